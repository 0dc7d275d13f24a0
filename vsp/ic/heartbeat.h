/* SPDX-License-Identifier: Apache-2.0 */
/* Heartbeat: asks the guest every two seconds whether it lives. */
#ifndef VSP_IC_HEARTBEAT_H
#define VSP_IC_HEARTBEAT_H

#include "ic/ic.h"

/* Values are those of Msvm_HeartbeatComponent.OperationalStatus. */
enum heartbeat_status {
	HEARTBEAT_OK                  = 2,
	HEARTBEAT_NO_CONTACT          = 12,	/* no answer since the channel opened, or no channel */
	HEARTBEAT_LOST_COMMUNICATION  = 13,	/* answers stopped */
	HEARTBEAT_PAUSED              = 15,
	HEARTBEAT_PROTOCOL_MISMATCH   = 32775,
};

#define HEARTBEAT_PERIOD_NS  (2 * IC_SECOND_NS)
#define HEARTBEAT_MISSED_MAX 3

struct heartbeat_events {
	/* Status or application state is another one now. */
	void (*changed)(void *context, enum heartbeat_status status, enum ic_application_state application);
};

struct heartbeat_state {
	struct ic_state ic;
	uint64_t sequence;		/* of the last request */
	uint16_t status;		/* without regard to a pause */
	uint8_t application;		/* enum ic_application_state */
	uint8_t missed;			/* periods in a row */
	bool answered;			/* in this period */
};

struct heartbeat {
	struct ic ic;
	struct heartbeat_state state;	/* its `ic` is filled by get only */
	struct vsp_timer period;
	const struct heartbeat_events *events;
	void *context;
};

void heartbeat_init(struct heartbeat *heartbeat, const struct heartbeat_events *events, void *context);
enum heartbeat_status heartbeat_status(const struct heartbeat *heartbeat);
enum ic_application_state heartbeat_application(const struct heartbeat *heartbeat);

/* For save and restore: get of a paused component; set before its server is restored. As ic_set_state. */
void heartbeat_get_state(const struct heartbeat *heartbeat, struct heartbeat_state *out);
int heartbeat_set_state(struct heartbeat *heartbeat, const struct heartbeat_state *state);

#endif
