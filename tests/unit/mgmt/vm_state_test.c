/* SPDX-License-Identifier: Apache-2.0 */
/* The whole state table: every state with every request. */
#include "case.h"

#include "vmms/vm_state.h"

static const uint16_t requests[] = {VM_REQUEST_ENABLED, VM_REQUEST_DISABLED, VM_REQUEST_SHUTDOWN,
				    VM_REQUEST_OFFLINE, VM_REQUEST_QUIESCE,  VM_REQUEST_REBOOT,
				    VM_REQUEST_RESET,   VM_REQUEST_PAUSING,  VM_REQUEST_RESUMING};
#define REQUEST_COUNT (sizeof(requests) / sizeof(requests[0]))

static void each_pair_has_exactly_one_row(void **state)
{
	assert_int_equal(vm_transition_count, VM_STATE_COUNT * REQUEST_COUNT);
	for (int from = 0; from < VM_STATE_COUNT; from++)
		for (size_t r = 0; r < REQUEST_COUNT; r++) {
			int rows = 0;

			for (size_t i = 0; i < vm_transition_count; i++)
				rows += (int)vm_transitions[i].from == from &&
					vm_transitions[i].requested == requests[r];
			assert_int_equal(rows, 1);
		}
}

static void a_refusal_changes_nothing_and_says_why(void **state)
{
	for (size_t i = 0; i < vm_transition_count; i++) {
		const struct vm_transition *t = &vm_transitions[i];

		if (t->refusal == VM_ALLOWED) {
			assert_int_not_equal(t->action, VM_ACTION_NONE);
			assert_int_not_equal(t->to, t->from);
			assert_int_not_equal(vm_state_transitioning_to(t->to), 5);
		} else {
			assert_int_equal(t->action, VM_ACTION_NONE);
			assert_int_equal(t->to, t->from);
			assert_true(strlen(vm_refusal_text(t->refusal)) > 10);
		}
	}
}

static void allowed_transitions_are_these(void **state)
{
	static const struct {
		enum vm_state from;
		uint16_t requested;
		enum vm_action action;
		enum vm_state to;
	} allowed[] = {
		{VM_OFF, 2, VM_ACTION_START, VM_STARTING},
		{VM_STARTING, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_RUNNING, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_RUNNING, 4, VM_ACTION_SHUTDOWN, VM_SHUTTING_DOWN},
		{VM_RUNNING, 10, VM_ACTION_REBOOT, VM_REBOOTING},
		{VM_RUNNING, 9, VM_ACTION_PAUSE, VM_PAUSING},
		{VM_RUNNING, 11, VM_ACTION_RESET, VM_RESETTING},
		{VM_RUNNING, 32776, VM_ACTION_PAUSE, VM_PAUSING},
		{VM_PAUSING, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_PAUSED, 2, VM_ACTION_RESUME, VM_RESUMING},
		{VM_PAUSED, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_PAUSED, 11, VM_ACTION_RESET, VM_RESETTING},
		{VM_PAUSED, 32777, VM_ACTION_RESUME, VM_RESUMING},
		{VM_RESUMING, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_RESETTING, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_SHUTTING_DOWN, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_SHUTTING_DOWN, 11, VM_ACTION_RESET, VM_RESETTING},
		{VM_REBOOTING, 3, VM_ACTION_TURN_OFF, VM_STOPPING},
		{VM_REBOOTING, 11, VM_ACTION_RESET, VM_RESETTING},
	};
	size_t count = 0;

	for (size_t i = 0; i < vm_transition_count; i++)
		count += vm_transitions[i].refusal == VM_ALLOWED;
	assert_int_equal(count, sizeof(allowed) / sizeof(allowed[0]));
	for (size_t i = 0; i < count; i++) {
		struct vm_transition t = vm_state_request(allowed[i].from, allowed[i].requested);

		assert_int_equal(t.refusal, VM_ALLOWED);
		assert_int_equal(t.action, allowed[i].action);
		assert_int_equal(t.to, allowed[i].to);
	}
}

static void refusals_have_their_reason(void **state)
{
	static const struct {
		enum vm_state from;
		unsigned requested;
		enum vm_refusal refusal;
	} rows[] = {
		{VM_RUNNING, 2, VM_REFUSED_ALREADY}, {VM_OFF, 3, VM_REFUSED_ALREADY},
		{VM_PAUSED, 9, VM_REFUSED_ALREADY},  {VM_SHUTTING_DOWN, 4, VM_REFUSED_BUSY},
		{VM_REBOOTING, 10, VM_REFUSED_BUSY}, {VM_RUNNING, 6, VM_REFUSED_SAVE},
		{VM_OFF, 9, VM_REFUSED_STATE},       {VM_OFF, 4, VM_REFUSED_STATE},
		{VM_STOPPING, 3, VM_REFUSED_BUSY},   {VM_STARTING, 2, VM_REFUSED_BUSY},
		{VM_RUNNING, 7, VM_REFUSED_UNKNOWN}, {VM_RUNNING, 32773, VM_REFUSED_UNKNOWN},
		{VM_OFF, 32781, VM_REFUSED_UNKNOWN}, {VM_OFF, 0, VM_REFUSED_NUMBER},
		{VM_OFF, 12, VM_REFUSED_NUMBER},     {VM_RUNNING, 65535, VM_REFUSED_NUMBER},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(vm_state_request(rows[i].from, rows[i].requested).refusal, rows[i].refusal);
}

static void available_states_are_the_allowed_requests(void **state)
{
	uint16_t available[8];

	assert_int_equal(vm_state_available(VM_OFF, available, 8), 1);
	assert_int_equal(available[0], 2);
	assert_int_equal(vm_state_available(VM_STOPPING, available, 8), 0);
	assert_int_equal(vm_state_available(VM_RUNNING, available, 8), 6);
	assert_int_equal(vm_state_available(VM_RUNNING, available, 2), 2);
}

static void the_model_shows_documented_numbers(void **state)
{
	assert_int_equal(vm_state_enabled_state(VM_OFF), 3);
	assert_int_equal(vm_state_enabled_state(VM_STARTING), 10);
	assert_int_equal(vm_state_enabled_state(VM_RUNNING), 2);
	assert_int_equal(vm_state_enabled_state(VM_PAUSED), 9);
	assert_int_equal(vm_state_enabled_state(VM_STOPPING), 4);
	assert_int_equal(vm_state_enabled_state(VM_SHUTTING_DOWN), 4);
	assert_int_equal(vm_state_enabled_state(VM_REBOOTING), 2);
	for (int s = 0; s < VM_STATE_COUNT; s++)
		assert_true(vm_state_enabled_state((enum vm_state)s) <= 10);
	assert_int_equal(vm_action_goal(VM_ACTION_PAUSE), VM_PAUSED);
	assert_int_equal(vm_action_goal(VM_ACTION_RESET), VM_RUNNING);
	assert_int_equal(vm_action_goal(VM_ACTION_TURN_OFF), VM_OFF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pair_has_exactly_one_row),
		cmocka_unit_test(a_refusal_changes_nothing_and_says_why),
		cmocka_unit_test(allowed_transitions_are_these),
		cmocka_unit_test(refusals_have_their_reason),
		cmocka_unit_test(available_states_are_the_allowed_requests),
		cmocka_unit_test(the_model_shows_documented_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
