/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VSS: freezes the guest's file systems while a checkpoint is taken.
 *
 *   IDLE -> ASKING (hot backup?) -> FREEZING -> FROZEN -> THAWING -> IDLE
 *
 * A guest that might be frozen without anybody wanting it (a freeze that timed out, a thaw without answer) is OWED a
 * thaw, and gets it as soon as it reads.
 */
#ifndef VSP_IC_VSS_H
#define VSP_IC_VSS_H

#include "ic/ic.h"

enum vss_phase { VSS_IDLE, VSS_ASKING, VSS_FREEZING, VSS_FROZEN, VSS_THAWING, VSS_OWED, VSS_REPAYING, VSS_PHASE_COUNT };

#define VSS_TIMEOUT_NS (30 * IC_SECOND_NS)	/* of all but the freeze */

/* Errors: -EREMOTEIO the guest said no: status; -ETIMEDOUT; -ECONNRESET the channel closed; -EPROTO malformed answer. */
struct vss_events {
	void (*frozen)(void *context);
	void (*failed)(void *context, int error, uint32_t status);	/* instead of frozen */
	/* After frozen, once. 0; -ETIME the limit was over before vss_thaw: the guest was running again, what was
	 * taken since then is not of one instant; or an error. */
	void (*thawed)(void *context, int error, uint32_t status);
};

struct vss_state {
	struct ic_state ic;
	uint8_t phase;			/* enum vss_phase */
	bool expired;			/* thawing because of the limit */
	uint64_t freeze_timeout_ns, frozen_max_ns;
};

struct vss {
	struct ic ic;
	struct vss_state state;		/* its `ic` is filled by get only */
	struct vsp_timer limit;
	const struct vss_events *events;
	void *context;
};

void vss_init(struct vss *vss, const struct vss_events *events, void *context);

/* freeze_timeout_ns: how long the guest may take; frozen_max_ns: when it is thawed even if nobody asks. 0: frozen
 * or failed is called later. -EBUSY not idle; -EINVAL; else as ic_request. */
int vss_freeze(struct vss *vss, uint64_t freeze_timeout_ns, uint64_t frozen_max_ns);
/* 0: thawed is called later. -EINVAL not frozen; -ETIME the limit has passed: thawed says so; -EPROTO: thawed has
 * been called; else as ic_request, with the guest frozen until the limit. */
int vss_thaw(struct vss *vss);

/* As heartbeat_get_state and heartbeat_set_state. */
void vss_get_state(const struct vss *vss, struct vss_state *out);
int vss_set_state(struct vss *vss, const struct vss_state *state);

#endif
