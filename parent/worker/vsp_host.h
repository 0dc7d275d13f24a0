/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker as the host of virtualization service providers (vsp/host.h): guest RAM, the driver's messages and events,
 * timers and descriptors on one event loop. Everything happens on the thread that runs that loop, or under one lock.
 */
#ifndef WORKER_VSP_HOST_H
#define WORKER_VSP_HOST_H

#include <stdatomic.h>

#include "host.h"
#include "worker/backend.h"
#include "worker/guest_mem.h"
#include "worker/loop.h"

struct doorbell;
struct watched;

struct vsp_world {
	struct vsp_host host;			/* what the providers get */
	struct vsp_host_ops ops;
	int trace_fd;				/* -1: no trace */
	atomic_bool trace_full;
	struct backend *backend;
	const struct guest_mem *mem;
	struct loop *loop;
	const struct vsp_lanes *guard;		/* whose lock callbacks need and the loop does not hold; NULL: none */
	struct loop_source timer;		/* timerfd, set to the earliest of `armed` */
	struct vsp_timer *armed;		/* earliest first */
	struct doorbell *doorbells;
	struct watched *watched;
};

int vsp_world_init(struct vsp_world *w, struct backend *backend, const struct guest_mem *mem, struct loop *loop,
		   int trace_fd, struct failure *why) MUST_CHECK;
/* Closes what the providers left open. */
void vsp_world_fini(struct vsp_world *w);

#endif
