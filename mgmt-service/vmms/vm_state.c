/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/vm_state.h"

/* clang-format off */
#define GO(from, requested, action, to)  { VM_##from, VM_REQUEST_##requested, VM_ACTION_##action, VM_##to, VM_ALLOWED }
#define NO(from, requested, why)         { VM_##from, VM_REQUEST_##requested, VM_ACTION_NONE, VM_##from, VM_REFUSED_##why }

const struct vm_transition vm_transitions[] = {
	/*  from       requested                   action    to */
	GO(OFF,       ENABLED,                    START,    STARTING),
	NO(OFF,       DISABLED,  ALREADY),
	NO(OFF,       SHUTDOWN,  STATE),
	NO(OFF,       OFFLINE,   STATE),
	NO(OFF,       QUIESCE,   STATE),
	NO(OFF,       REBOOT,    STATE),
	NO(OFF,       RESET,     STATE),
	NO(OFF,       PAUSING,   STATE),
	NO(OFF,       RESUMING,  STATE),

	NO(STARTING,  ENABLED,   BUSY),
	GO(STARTING,  DISABLED,                   TURN_OFF, STOPPING),
	NO(STARTING,  SHUTDOWN,  BUSY),
	NO(STARTING,  OFFLINE,   BUSY),
	NO(STARTING,  QUIESCE,   BUSY),
	NO(STARTING,  REBOOT,    BUSY),
	NO(STARTING,  RESET,     BUSY),
	NO(STARTING,  PAUSING,   BUSY),
	NO(STARTING,  RESUMING,  BUSY),

	NO(RUNNING,   ENABLED,   ALREADY),
	GO(RUNNING,   DISABLED,                   TURN_OFF, STOPPING),
	GO(RUNNING,   SHUTDOWN,                   SHUTDOWN, SHUTTING_DOWN),
	NO(RUNNING,   OFFLINE,   SAVE),
	GO(RUNNING,   QUIESCE,                    PAUSE,    PAUSING),
	GO(RUNNING,   REBOOT,                     REBOOT,   REBOOTING),
	GO(RUNNING,   RESET,                      RESET,    RESETTING),
	GO(RUNNING,   PAUSING,                    PAUSE,    PAUSING),
	NO(RUNNING,   RESUMING,  STATE),

	NO(PAUSING,   ENABLED,   BUSY),
	GO(PAUSING,   DISABLED,                   TURN_OFF, STOPPING),
	NO(PAUSING,   SHUTDOWN,  BUSY),
	NO(PAUSING,   OFFLINE,   BUSY),
	NO(PAUSING,   QUIESCE,   BUSY),
	NO(PAUSING,   REBOOT,    BUSY),
	NO(PAUSING,   RESET,     BUSY),
	NO(PAUSING,   PAUSING,   BUSY),
	NO(PAUSING,   RESUMING,  BUSY),

	GO(PAUSED,    ENABLED,                    RESUME,   RESUMING),
	GO(PAUSED,    DISABLED,                   TURN_OFF, STOPPING),
	NO(PAUSED,    SHUTDOWN,  STATE),
	NO(PAUSED,    OFFLINE,   SAVE),
	NO(PAUSED,    QUIESCE,   ALREADY),
	NO(PAUSED,    REBOOT,    STATE),
	GO(PAUSED,    RESET,                      RESET,    RESETTING),
	NO(PAUSED,    PAUSING,   ALREADY),
	GO(PAUSED,    RESUMING,                   RESUME,   RESUMING),

	NO(RESUMING,  ENABLED,   BUSY),
	GO(RESUMING,  DISABLED,                   TURN_OFF, STOPPING),
	NO(RESUMING,  SHUTDOWN,  BUSY),
	NO(RESUMING,  OFFLINE,   BUSY),
	NO(RESUMING,  QUIESCE,   BUSY),
	NO(RESUMING,  REBOOT,    BUSY),
	NO(RESUMING,  RESET,     BUSY),
	NO(RESUMING,  PAUSING,   BUSY),
	NO(RESUMING,  RESUMING,  BUSY),

	NO(RESETTING, ENABLED,   BUSY),
	GO(RESETTING, DISABLED,                   TURN_OFF, STOPPING),
	NO(RESETTING, SHUTDOWN,  BUSY),
	NO(RESETTING, OFFLINE,   BUSY),
	NO(RESETTING, QUIESCE,   BUSY),
	NO(RESETTING, REBOOT,    BUSY),
	NO(RESETTING, RESET,     BUSY),
	NO(RESETTING, PAUSING,   BUSY),
	NO(RESETTING, RESUMING,  BUSY),

	NO(STOPPING,  ENABLED,   BUSY),
	NO(STOPPING,  DISABLED,  BUSY),
	NO(STOPPING,  SHUTDOWN,  BUSY),
	NO(STOPPING,  OFFLINE,   BUSY),
	NO(STOPPING,  QUIESCE,   BUSY),
	NO(STOPPING,  REBOOT,    BUSY),
	NO(STOPPING,  RESET,     BUSY),
	NO(STOPPING,  PAUSING,   BUSY),
	NO(STOPPING,  RESUMING,  BUSY),

	NO(SHUTTING_DOWN, ENABLED,   BUSY),
	GO(SHUTTING_DOWN, DISABLED,                TURN_OFF, STOPPING),
	NO(SHUTTING_DOWN, SHUTDOWN,  BUSY),
	NO(SHUTTING_DOWN, OFFLINE,   BUSY),
	NO(SHUTTING_DOWN, QUIESCE,   BUSY),
	NO(SHUTTING_DOWN, REBOOT,    BUSY),
	GO(SHUTTING_DOWN, RESET,                   RESET,    RESETTING),
	NO(SHUTTING_DOWN, PAUSING,   BUSY),
	NO(SHUTTING_DOWN, RESUMING,  BUSY),

	NO(REBOOTING, ENABLED,   BUSY),
	GO(REBOOTING, DISABLED,                TURN_OFF, STOPPING),
	NO(REBOOTING, SHUTDOWN,  BUSY),
	NO(REBOOTING, OFFLINE,   BUSY),
	NO(REBOOTING, QUIESCE,   BUSY),
	NO(REBOOTING, REBOOT,    BUSY),
	GO(REBOOTING, RESET,                   RESET,    RESETTING),
	NO(REBOOTING, PAUSING,   BUSY),
	NO(REBOOTING, RESUMING,  BUSY),
};

static const struct {
	const char *name;
	uint16_t enabled_state;
	uint16_t transitioning_to;
} states[VM_STATE_COUNT] = {
	[VM_OFF]       = { "off",       3,  5 },
	[VM_STARTING]  = { "starting",  10, 2 },
	[VM_RUNNING]   = { "running",   2,  5 },
	[VM_PAUSING]   = { "pausing",   2,  9 },
	[VM_PAUSED]    = { "paused",    9,  5 },
	[VM_RESUMING]  = { "resuming",  9,  2 },
	[VM_RESETTING] = { "resetting", 2,  11 },
	[VM_STOPPING]  = { "stopping",  4,  3 },
	[VM_SHUTTING_DOWN] = { "shutting down", 4, 3 },
	[VM_REBOOTING] = { "rebooting", 2,  10 },
};
/* clang-format on */

const size_t vm_transition_count = sizeof(vm_transitions) / sizeof(vm_transitions[0]);

static const char *const refusal_texts[VM_REFUSAL_COUNT] = {
	[VM_ALLOWED] = "",
	[VM_REFUSED_ALREADY] = "the virtual machine is in this state already",
	[VM_REFUSED_STATE] = "this cannot be asked of a virtual machine in its present state",
	[VM_REFUSED_BUSY] = "the virtual machine is changing its state",
	[VM_REFUSED_COMPONENTS] =
		"the integration component for it is disabled; turn off (3) or reset (11) work without it",
	[VM_REFUSED_SAVE] = "saved states are not supported",
	[VM_REFUSED_UNKNOWN] = "this request is not supported",
	[VM_REFUSED_NUMBER] = "this is no RequestedState",
};

/* Documented for RequestStateChange, without effect here. */
static bool documented(unsigned requested)
{
	return requested == 1 || requested == 7 || requested == 8 || requested == 32773 ||
	       (requested >= 32779 && requested <= 32792);
}

struct vm_transition vm_state_request(enum vm_state from, unsigned requested)
{
	for (size_t i = 0; i < vm_transition_count; i++)
		if (vm_transitions[i].from == from && vm_transitions[i].requested == requested)
			return vm_transitions[i];
	return (struct vm_transition){from, (uint16_t)requested, VM_ACTION_NONE, from,
				      documented(requested) ? VM_REFUSED_UNKNOWN : VM_REFUSED_NUMBER};
}

const char *vm_refusal_text(enum vm_refusal refusal)
{
	return refusal_texts[refusal];
}

size_t vm_state_available(enum vm_state from, uint16_t *out, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < vm_transition_count && count < room; i++)
		if (vm_transitions[i].from == from && vm_transitions[i].refusal == VM_ALLOWED)
			out[count++] = vm_transitions[i].requested;
	return count;
}

enum vm_state vm_action_goal(enum vm_action action)
{
	switch (action) {
	case VM_ACTION_PAUSE:
		return VM_PAUSED;
	case VM_ACTION_START:
	case VM_ACTION_RESUME:
	case VM_ACTION_RESET:
	case VM_ACTION_REBOOT:
		return VM_RUNNING;
	case VM_ACTION_TURN_OFF:
	case VM_ACTION_SHUTDOWN:
	case VM_ACTION_NONE:
		break;
	}
	return VM_OFF;
}

uint16_t vm_state_enabled_state(enum vm_state state)
{
	return states[state].enabled_state;
}

uint16_t vm_state_transitioning_to(enum vm_state state)
{
	return states[state].transitioning_to;
}

const char *vm_state_name(enum vm_state state)
{
	return states[state].name;
}

bool vm_state_has_worker(enum vm_state state)
{
	return state != VM_OFF;
}
