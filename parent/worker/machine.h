/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child as a machine: guest RAM with the boot image and the tables in it, a partition, its devices and its VPs' threads.
 * Built as a whole and taken down as a whole; a reset is the one after the other. Loop thread only, but for the
 * reports of its VPs, which reach the loop thread through an eventfd.
 */
#ifndef WORKER_MACHINE_H
#define WORKER_MACHINE_H

#include "worker/config.h"
#include "worker/console.h"
#include "worker/vmbus.h"
#include "worker/vp_thread.h"

struct machine_files {
	int kernel_fd;
	int initrd_fd;				/* -1: none */
};

struct machine {
	struct config *config;
	struct machine_files files;
	struct backend *backend;
	struct console *console;
	struct loop *loop;
	void (*on_event)(void *context, enum intercept_verdict verdict, const struct failure *why);
	void *context;

	bool built;
	struct guest_mem mem;
	struct devices devices;
	struct vmbus *vmbus;
	struct node_events events;
	struct vp_group vps;

	struct loop_source event;		/* eventfd */
	pthread_mutex_t event_lock;
	bool event_pending;			/* the first report of a run; later ones tell nothing new */
	enum intercept_verdict event_verdict;
	struct failure event_why;
};

/* on_event: loop thread; the VPs may still run. config, backend, console and loop outlive the machine. */
int machine_init(struct machine *m, struct config *config, const struct machine_files *files, struct backend *backend,
		 struct console *console, struct loop *loop,
		 void (*on_event)(void *context, enum intercept_verdict verdict, const struct failure *why), void *context,
		 struct failure *why) MUST_CHECK;
void machine_fini(struct machine *m);

/* A fresh child whose VPs stand still. On failure there is none. */
int machine_build(struct machine *m, struct failure *why) MUST_CHECK;
/* Takes it down, if there is one. */
void machine_destroy(struct machine *m);

void machine_run(struct machine *m);
/* VPs stand still and the partition's time stands too; machine_resume is the way back. On failure the VPs run on. */
int machine_pause(struct machine *m, struct failure *why) MUST_CHECK;
int machine_resume(struct machine *m, struct failure *why) MUST_CHECK;

/* The guest reported a crash through its crash MSRs since it was built. */
bool machine_guest_crashed(struct machine *m);

/* Devices of the configuration, whether the child is there or not: kept over resets. */
/* The node is the configuration's afterwards. As node_list_add and the kind's `add`. */
int machine_add_device(struct machine *m, struct node *node, struct failure *why) MUST_CHECK;
/* `events` tells when it is gone, perhaps before this returns. -ENOENT, -ENOMEM. */
int machine_remove_device(struct machine *m, const char *instance, struct failure *why) MUST_CHECK;
/* -ENOENT, or as node_call. */
int machine_call_device(struct machine *m, const char *instance, const char *name, struct json_object *params,
			struct node_fds *fds, struct failure *why) MUST_CHECK;
/* Who gets the events of devices: told by `happened`; `connected` when somebody came, who hears how things stand. */
void machine_client(struct machine *m, bool connected);

/* For the console: input waits. */
void machine_console_input(struct machine *m);

#endif
