/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's VMBus: server, devices and the thread that serves them on a loop of its own, so that a slow disk never holds
 * the control socket up. Everything of vsp/ happens on that thread; the calls here come from the main thread and wait for it.
 */
#ifndef WORKER_VMBUS_H
#define WORKER_VMBUS_H

#include "worker/backend.h"
#include "worker/config.h"
#include "worker/guest_mem.h"

struct vmbus;

/* The partition exists and its VPs do not run yet. All that is handed in outlives the bus. NULL in *out, and 0, when the
 * configuration has no device for it. On failure nothing is left behind. */
int vmbus_start(struct vmbus **out, const struct config *config, struct backend *backend, const struct guest_mem *mem,
		struct failure *why) MUST_CHECK;
/* No VP runs. Waits until all that is under way is done; nothing touches guest memory afterwards. NULL is fine. */
void vmbus_stop(struct vmbus *bus);

/* The VPs stand still; from pause to resume nothing reaches the guest. NULL is fine. */
void vmbus_pause(struct vmbus *bus);
void vmbus_resume(struct vmbus *bus);

/* Calls `emit` for each device and counter. */
typedef void (*vmbus_counter_fn)(void *context, const char *device, const char *counter, uint64_t value);
void vmbus_counters(struct vmbus *bus, vmbus_counter_fn emit, void *context);

#endif
