/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread per VP. It runs the VP while the command is VP_RUN and stands still otherwise; a signal gets it out of the driver.
 * What ends a VP's life goes to the owner through `report`, once per VP and run, from the VP's thread.
 */
#ifndef WORKER_VP_THREAD_H
#define WORKER_VP_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "worker/intercept.h"

enum vp_command { VP_PAUSE, VP_RUN, VP_QUIT };

struct vp_group;

struct vp_thread {
	struct vp_group *group;
	struct vp_context context;
	pthread_t thread;
	bool started;
	bool parked;				/* stands still; group lock */
	_Atomic uint64_t counters[INTERCEPT_KIND_COUNT];
};

/* All VPs of a machine. */
struct vp_group {
	struct vp_thread *threads;
	unsigned count;
	_Atomic int command;			/* enum vp_command; written under the lock */
	pthread_mutex_t lock;
	pthread_cond_t commanded, stands;
	void (*report)(void *owner, enum intercept_verdict verdict, const struct failure *why);
	void *owner;
};

/* Once per process, before any group: the signal that interrupts a running VP. */
void vp_thread_install_signal(void);

/* Threads for contexts[0..count), all standing still. On failure none is left. */
int vp_group_start(struct vp_group *group, const struct vp_context *contexts, unsigned count,
		   void (*report)(void *owner, enum intercept_verdict verdict, const struct failure *why), void *owner,
		   struct failure *why) MUST_CHECK;
void vp_group_run(struct vp_group *group);
/* Returns when every VP stands still: no VP is in the driver, none holds a device. */
void vp_group_pause(struct vp_group *group);
/* Ends and joins all threads. A group that was never started is fine. */
void vp_group_stop(struct vp_group *group);

#endif
