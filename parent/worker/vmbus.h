/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's VMBus: server, devices and the thread that serves them on a loop of its own, so that a slow disk never holds
 * the control socket up. Everything of vsp/ happens on that thread, but for devices with lanes (lanes.h); the calls here come
 * from the main thread and wait for it.
 */
#ifndef WORKER_VMBUS_H
#define WORKER_VMBUS_H

#include "worker/backend.h"
#include "worker/config.h"
#include "worker/guest_mem.h"
#include "worker/node_events.h"

struct vmbus;

struct vmbus_owner {
	struct node_events *events;
	void (*failed)(void *context, const struct failure *why);	/* the bus' thread: the machine must not run on */
	void *context;
};

/* The partition exists and its VPs do not run yet; all nodes of the configuration that are not leaving are put on the bus. All
 * that is handed in outlives the bus. On failure nothing is left behind. */
int vmbus_start(struct vmbus **out, const struct config *config, struct backend *backend, struct guest_mem *mem,
		const struct vmbus_owner *owner, struct failure *why) MUST_CHECK;
/* No VP runs. Waits until all that is under way is done; nothing touches guest memory afterwards. */
void vmbus_stop(struct vmbus *bus);

/* The VPs stand still; from pause to resume nothing reaches the guest. */
void vmbus_pause(struct vmbus *bus);
void vmbus_resume(struct vmbus *bus);

/* Hot add; after a failure the node is not on the bus. */
int vmbus_add(struct vmbus *bus, struct node *node, struct failure *why) MUST_CHECK;
/* Hot remove: node_events tells that it is gone, perhaps seconds later. */
int vmbus_remove(struct vmbus *bus, struct node *node, struct failure *why) MUST_CHECK;
/* As node_call. */
int vmbus_call(struct vmbus *bus, struct node *node, const char *name, struct json_object *params, struct node_fds *fds,
	       struct failure *why) MUST_CHECK;
/* A client of the control socket came or went. */
void vmbus_client(struct vmbus *bus, bool connected);

void vmbus_counters(struct vmbus *bus, struct counter_sink *sink);

#endif
