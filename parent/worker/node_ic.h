/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of integration components share: the struct that they begin with, and their life on the bus. */
#ifndef WORKER_NODE_IC_H
#define WORKER_NODE_IC_H

#include "ic/ic.h"
#include "worker/node.h"

struct node_ic {
	struct node node;
	struct ic *ic;			/* of the kind's own component, initialized */
};

/* The rest of node_kind.add: offers node_ic.ic. */
int node_ic_offer(struct node *node, struct failure *why) MUST_CHECK;
/* node_kind.remove, .pause, .resume */
void node_ic_remove(struct node *node, vsp_callback done, void *context);
void node_ic_pause(struct node *node);
void node_ic_resume(struct node *node);

/* `error` of a component's call, in words. */
int node_ic_failure(const struct node *node, int error, struct failure *why);
/* {"error": ERROR or null, "status": HRESULT} */
struct json_object *node_ic_outcome(int error, uint32_t status);

#endif
