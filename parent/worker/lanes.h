/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads of one device (struct vsp_lanes of vsp/host.h): lane 0 is the bus' thread and uses its loop, each other lane is a
 * thread with a loop of its own. A thread waits without the device's lock and runs callbacks with it.
 */
#ifndef WORKER_LANES_H
#define WORKER_LANES_H

#include "worker/vsp_host.h"

struct lanes;

/* `count` threads beside the bus' own, which calls this. `name` (at most 8 characters) is for who looks at threads. */
int lanes_start(struct lanes **out, unsigned count, const char *name, struct backend *backend, const struct guest_mem *mem,
		struct loop *bus_loop, struct failure *why) MUST_CHECK;
/* The device is gone. Waits for the threads; the caller, the bus' thread, does not hold the lock. NULL: nothing to do. */
void lanes_stop(struct lanes *lanes);

/* The host of lane 0, which names all others. */
const struct vsp_host *lanes_host(const struct lanes *lanes);

void lanes_enter(struct lanes *lanes);
void lanes_leave(struct lanes *lanes);

#endif
