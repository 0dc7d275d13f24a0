/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the bus' thread to the main thread: events of devices for the client of the control socket, and nodes that are off the
 * bus for good. Outlives the buses.
 */
#ifndef WORKER_NODE_EVENTS_H
#define WORKER_NODE_EVENTS_H

#include <pthread.h>

#include "worker/loop.h"
#include "worker/node.h"

#define NODE_EVENTS_MAX 4096u		/* that wait; what comes then is dropped */

struct node_mail;

struct node_events {
	pthread_mutex_t lock;
	struct node_mail *first, **last;
	unsigned waiting;
	struct loop_source wake;		/* eventfd */
	struct loop *loop;
	/* Main thread. `text` is the event as JSON, without a newline. */
	void (*happened)(void *context, const char *text, size_t bytes);
	void *happened_context;
	void (*gone)(void *context, struct node *node);
	void *gone_context;
};

int node_events_init(struct node_events *e, struct loop *loop, struct failure *why) MUST_CHECK;
void node_events_fini(struct node_events *e);

/* The bus' thread. Takes the body. */
void node_events_push(struct node_events *e, const struct node *node, const char *what, struct json_object *body);
void node_events_push_gone(struct node_events *e, struct node *node);

/* The main thread: at once what waits. */
void node_events_deliver(struct node_events *e);

#endif
