/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machine of a virtual machine, as tables without side effects.
 *
 *            start            (worker runs)
 *   OFF ------------> STARTING ------------> RUNNING <----> PAUSING / RESETTING / RESUMING <----> PAUSED
 *    ^                                          |                     |
 *    +---------------- STOPPING <---------------+---------------------+        any state -> OFF: the worker
 * is gone
 *
 * SHUTTING_DOWN and REBOOTING wait for the guest, and fall back to RUNNING when it does not go.
 */
#ifndef VMMS_VM_STATE_H
#define VMMS_VM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stored as numbers: append only. */
enum vm_state {
	VM_OFF,
	VM_STARTING,
	VM_RUNNING,
	VM_PAUSING,
	VM_PAUSED,
	VM_RESUMING,
	VM_RESETTING,
	VM_STOPPING,
	VM_SHUTTING_DOWN, /* the guest was asked */
	VM_REBOOTING,     /* the guest was asked */
	VM_STATE_COUNT,
};

enum vm_action {
	VM_ACTION_NONE,
	VM_ACTION_START,
	VM_ACTION_TURN_OFF,
	VM_ACTION_PAUSE,
	VM_ACTION_RESUME,
	VM_ACTION_RESET,
	VM_ACTION_SHUTDOWN,
	VM_ACTION_REBOOT
};

enum vm_refusal {
	VM_ALLOWED,
	VM_REFUSED_ALREADY,    /* it is in that state */
	VM_REFUSED_STATE,      /* not from this state */
	VM_REFUSED_BUSY,       /* it is changing state; the same request may do later */
	VM_REFUSED_COMPONENTS, /* needs an integration component that is disabled */
	VM_REFUSED_SAVE,       /* needs saved states */
	VM_REFUSED_UNKNOWN,    /* a documented request that this service does not take */
	VM_REFUSED_NUMBER,     /* no documented request */
	VM_REFUSAL_COUNT,
};

/* RequestedState of RequestStateChange. */
#define VM_REQUEST_ENABLED  2
#define VM_REQUEST_DISABLED 3
#define VM_REQUEST_SHUTDOWN 4
#define VM_REQUEST_OFFLINE  6
#define VM_REQUEST_QUIESCE  9
#define VM_REQUEST_REBOOT   10
#define VM_REQUEST_RESET    11
#define VM_REQUEST_PAUSING  32776
#define VM_REQUEST_RESUMING 32777
#define VM_REQUEST_NONE     12 /* RequestedState of a system nothing was asked of: Not Applicable */

struct vm_transition {
	enum vm_state from;
	uint16_t requested;
	enum vm_action action;
	enum vm_state to; /* while the action runs; == from when refused */
	enum vm_refusal refusal;
};

/* Every state with every request that has an effect somewhere. */
extern const struct vm_transition vm_transitions[];
extern const size_t vm_transition_count;

/* Never NULL: requests without a row give a refusal of their own. */
struct vm_transition vm_state_request(enum vm_state from, unsigned requested);
const char *vm_refusal_text(enum vm_refusal refusal);
/* Requests that would be taken now, at most `room`; their number. */
size_t vm_state_available(enum vm_state from, uint16_t *out, size_t room);
/* The state an action ends in when it succeeds. */
enum vm_state vm_action_goal(enum vm_action action);
/* As the model shows it. */
uint16_t vm_state_enabled_state(enum vm_state state);
/* 5 (no change) when no transition runs. */
uint16_t vm_state_transitioning_to(enum vm_state state);
const char *vm_state_name(enum vm_state state);
bool vm_state_has_worker(enum vm_state state);

#endif
