/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VMBus device of the child as a node of the configuration document: read, put on the bus, called, taken off, each kind in a
 * file of its own (node_*.c). Nodes live as long as the worker or until they are removed; a reset puts them on a new bus.
 *
 * Two threads, never at once: the main thread reads and frees nodes, the bus' thread does all the rest while the main
 * thread waits, or by itself when the guest does something. A kind may have threads of its own below that (lanes.h).
 */
#ifndef WORKER_NODE_H
#define WORKER_NODE_H

#include "vmbus/server.h"
#include "worker/backend.h"
#include "worker/counters.h"
#include "worker/guest_mem.h"
#include "worker/json_take.h"

struct node;

/* The descriptors that a document or a call may name. */
struct node_fds {
	int *fd;			/* NULL: numbers are inherited descriptors; else indices here, -1 once taken */
	unsigned count;
};

struct node_bus {
	struct vmbus_server *server;
	const struct vsp_host *host;
	struct backend *backend;
	struct guest_mem *mem;
	struct loop *loop;
	unsigned vp_count;
	/* Takes the body (may be NULL) and sends it as the event `what` of this node. */
	void (*event)(void *context, const struct node *node, const char *what, struct json_object *body);
	/* The machine must not run on. */
	void (*failed)(void *context, const struct failure *why);
	void *context;
};

struct node_call {
	const char *name;
	/* `params` still has its "instance" and "call". 0; -EINVAL, -ENOENT, -EEXIST, -EBUSY, -EOPNOTSUPP, -ENOTCONN ... */
	int (*call)(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why);
	bool any_time;			/* also while the machine is not there */
};

struct node_kind {
	const char *type;
	unsigned max;			/* nodes of this kind that a child can have */
	size_t bytes;			/* of the kind's struct, which begins with a struct node; zeroed */
	void (*init)(struct node *node);			/* before anything is read. NULL: zeros will do */
	/* Besides "type" and "instance". `into` of their `take` is the struct node_reading. */
	const struct json_member *members;
	unsigned member_count;
	void (*fini)(struct node *node);			/* frees what reading took, perhaps not all. NULL: nothing */

	int (*add)(struct node *node, struct failure *why);	/* node->bus is set; after a failure too remove is called */
	/* Off the bus, after a reset of the server too; `done` when nothing of it is left, perhaps before this returns. */
	void (*remove)(struct node *node, vsp_callback done, void *context);
	void (*pause)(struct node *node);	/* what acts by itself stops. NULL both: nothing does */
	void (*resume)(struct node *node);
	/* A client of the control socket came or went. NULL: does not matter */
	void (*client)(struct node *node, bool connected);
	void (*counters)(struct node *node, struct counter_sink *sink);	/* NULL: none */
	const struct node_call *calls;
	unsigned call_count;
};

struct node {
	const struct node_kind *kind;
	struct node *next;
	char instance[JSON_GUID_BYTES];
	unsigned index;			/* among those of its kind: the lowest that was free */
	const struct node_bus *bus;	/* while it is on one */
	bool removing;			/* for good: not to be put on a bus again */
};

struct node_reading {
	struct node *node;
	struct node_fds *fds;
	const char *prefix;		/* path of the object, with its dot */
};

/* Reads one DEVICE of worker_msg.h; the descriptors that it names are the node's. -EINVAL; -ENOMEM. */
int node_read(struct json_object *device, const char *prefix, struct node_fds *fds, struct node **out,
	      struct failure *why) MUST_CHECK;
void node_free(struct node *node);

/* Appends. -EEXIST there is one with this instance; -ENOSPC as many of this kind as can be. */
int node_list_add(struct node **list, struct node *node, struct failure *why) MUST_CHECK;
void node_list_remove(struct node **list, struct node *node);
struct node *node_list_find(struct node *list, const char *instance);	/* in any case of letters */
void node_list_free(struct node **list);

/* The calls of node_kind.calls, by name. -ENOTCONN not on a bus. */
int node_call(struct node *node, const char *name, struct json_object *params, struct node_fds *fds,
	      struct failure *why) MUST_CHECK;

/* For kinds. */
/* A member that names a descriptor; -1 passes when it may be missing. Checked to be open; from then on the caller's. */
int node_take_fd(struct json_object *value, const char *path, struct node_fds *fds, bool may_be_none, int *out,
		 struct failure *why) MUST_CHECK;
/* As json_take, over the members of a call. */
int node_take_params(struct json_object *params, const struct json_member *members, unsigned count, void *into,
		     struct failure *why) MUST_CHECK;
struct vmbus_guid node_guid(const char *text);
void node_event(const struct node *node, const char *what, struct json_object *body);
/* The counters that follow are of the node's LUN or queue, or COUNTER_NO_UNIT. */
void node_counts(const struct node *node, int unit, struct counter_sink *sink);
/* What clients call an error (worker_msg.h, ERROR). */
const char *node_error_code(int error);

#endif
