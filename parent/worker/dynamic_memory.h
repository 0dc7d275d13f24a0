/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The owner of a dynamic memory device (vsp/dm) in a worker: it makes pages come and go in the partition. The loop thread
 * calls all of this.
 *
 *   guest_mem_init, guest_mem_reserve(mem, maximum - startup)       before the guest is told where its RAM ends
 *   dynamic_memory_init, then vmbus_device_add(&d->dm.device)
 *   dm_set_target(&d->dm), dm_get_status, dm_pause, dm_resume       straight on d->dm
 *   vmbus_device_remove, then dynamic_memory_fini
 *
 * A machine that is built anew gets a new one: what was added is gone with its memory.
 */
#ifndef WORKER_DYNAMIC_MEMORY_H
#define WORKER_DYNAMIC_MEMORY_H

#include "dm/dm.h"
#include "worker/backend.h"
#include "worker/guest_mem.h"

struct dynamic_memory_events {
	void (*status)(void *context);		/* of dm: once a second at most */
	/* The guest starts over and cannot have all its RAM back: the parent has none. It must not run on. */
	void (*failed)(void *context, const struct failure *why);
};

struct dynamic_memory {
	struct dm dm;
	struct backend *backend;
	struct guest_mem *mem;
	uint64_t take_failures, return_failures;	/* calls that the driver refused */
	const struct dynamic_memory_events *events;
	void *context;
};

/* maximum_bytes is what the guest may have at most, and lies within mem with its growth. -EINVAL, -ENOMEM. */
int dynamic_memory_init(struct dynamic_memory *d, const struct vmbus_guid *instance, uint64_t maximum_bytes,
			struct backend *backend, struct guest_mem *mem, const struct dynamic_memory_events *events,
			void *context, struct failure *why) MUST_CHECK;
void dynamic_memory_fini(struct dynamic_memory *d);

/* For restore, on a paused one: checks the state, adds the RAM that was added and takes what was ballooned. Before memory
 * contents are loaded. -EINVAL, or why the partition did not take it. */
int dynamic_memory_set_state(struct dynamic_memory *d, const void *state, size_t bytes, struct failure *why) MUST_CHECK;

#endif
