/* SPDX-License-Identifier: Apache-2.0 */
/* Shutdown: asks the guest to power off, restart or hibernate. */
#ifndef VSP_IC_SHUTDOWN_H
#define VSP_IC_SHUTDOWN_H

#include "ic/ic.h"

enum shutdown_action { SHUTDOWN_POWER_OFF, SHUTDOWN_RESTART, SHUTDOWN_HIBERNATE };

enum shutdown_end {
	SHUTDOWN_LEFT,			/* the channel closed: the guest is down, was reset or turned off */
	SHUTDOWN_REFUSED,		/* the guest said no: its HRESULT is given */
	SHUTDOWN_TIMED_OUT,		/* whether to force it now is the caller's decision */
};

struct shutdown_events {
	void (*accepted)(void *context);	/* the guest is on its way; `ended` follows */
	void (*ended)(void *context, enum shutdown_end end, uint32_t status);
};

enum shutdown_phase { SHUTDOWN_IDLE, SHUTDOWN_ASKED, SHUTDOWN_ACCEPTED, SHUTDOWN_PHASE_COUNT };

struct shutdown_state {
	struct ic_state ic;
	uint8_t phase;			/* enum shutdown_phase */
	uint32_t timeout_seconds;
};

struct shutdown {
	struct ic ic;
	struct shutdown_state state;	/* its `ic` is filled by get only */
	struct vsp_timer deadline;
	const struct shutdown_events *events;
	void *context;
};

struct shutdown_request {
	enum shutdown_action action;
	bool force;			/* the guest shall not wait for its applications */
	uint32_t timeout_seconds;	/* from now to SHUTDOWN_TIMED_OUT; told to the guest too */
	const char *text;		/* shown to the guest's users; at most 2047 bytes; may be NULL */
};

void shutdown_init(struct shutdown *shutdown, const struct shutdown_events *events, void *context);

/* 0: `ended` is called later, once. -EBUSY a shutdown is under way; -EOPNOTSUPP the guest's version does not know this
 * action; -EINVAL; else as ic_request. */
int shutdown_start(struct shutdown *shutdown, const struct shutdown_request *request);

/* As heartbeat_get_state and heartbeat_set_state. */
void shutdown_get_state(const struct shutdown *shutdown, struct shutdown_state *out);
int shutdown_set_state(struct shutdown *shutdown, const struct shutdown_state *state);

#endif
