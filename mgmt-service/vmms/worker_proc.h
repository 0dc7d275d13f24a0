/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a worker process: sockets, files, user, descriptors. */
#ifndef VMMS_WORKER_PROC_H
#define VMMS_WORKER_PROC_H

#include <sys/types.h>

#include "vmms/model.h"

struct worker_process {
	pid_t pid;
	int pidfd;
};

struct vm;
struct disk_set;

/*
 * Creates the sockets, opens the device, kernel and initial RAM disk, and starts vmwp with them and the images of all
 * drives. 0, or -1 with one sentence in `reason` and nothing left behind. The images stay locked for as long as the
 * worker lives.
 */
int worker_proc_start(struct model *model, const struct vm *vm, const struct disk_set *disks,
		      struct worker_process *process, char *reason, unsigned reason_size);
/* Names inside <rundir>/workers. */
void worker_proc_remove_sockets(const struct model *model, const char *id);
/* Connects to <id>.<kind>; type SOCK_SEQPACKET or SOCK_STREAM. -1 with errno. */
int worker_proc_connect(const struct model *model, const char *id, const char *kind, int type);
/* The last line the worker wrote to its standard error; empty when there is none. */
void worker_proc_last_line(const struct model *model, const char *id, char *out, unsigned out_size);

#endif
