/* SPDX-License-Identifier: Apache-2.0 */
/* Exits: decoded by the vendor, routed by one table, carried out in one place. Nobody else advances RIP. */
#ifndef CORE_EXIT_H
#define CORE_EXIT_H

#include "core/vp.h"

enum verdict {
	VERDICT_RETRY,		/* re-enter at the same RIP */
	VERDICT_NEXT,		/* emulated: step over the instruction */
	VERDICT_PARENT,		/* the intercept message is in the page: suspend and tell the parent */
	VERDICT_FAULT_UD,
	VERDICT_FAULT_GP,
	VERDICT_STOP,		/* this VP cannot go on: message to the parent; the root: the machine's CPU stops */
};

struct exit_route {
	const char *name;
	enum verdict (*handle)(struct vp *vp, const struct vp_exit *exit);
};
extern const struct exit_route exit_routes[EXIT_KIND_COUNT];

/* Carries out the verdict, and returns it. */
enum verdict exit_dispatch(struct vp *vp, const struct vp_exit *exit);

#endif
