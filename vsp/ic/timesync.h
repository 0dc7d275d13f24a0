/* SPDX-License-Identifier: Apache-2.0 */
/* Time synchronization: sets the guest's clock when it starts or was paused, and sends samples for it to follow. */
#ifndef VSP_IC_TIMESYNC_H
#define VSP_IC_TIMESYNC_H

#include "ic/ic.h"

#define TIMESYNC_PERIOD_NS (5 * IC_SECOND_NS)

struct timesync_state {
	struct ic_state ic;
	bool sync;			/* the next message sets the guest's clock */
};

struct timesync {
	struct ic ic;
	struct timesync_state state;	/* its `ic` is filled by get only */
	struct vsp_timer period;
};

void timesync_init(struct timesync *timesync);

/* The guest's clock is to be set, not only compared: after a restore, or because someone asks for it. At once if
 * it can be, else with the next message. After open and resume it happens by itself. */
void timesync_sync(struct timesync *timesync);

/* As heartbeat_get_state and heartbeat_set_state. */
void timesync_get_state(const struct timesync *timesync, struct timesync_state *out);
int timesync_set_state(struct timesync *timesync, const struct timesync_state *state);

#endif
