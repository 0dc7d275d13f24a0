/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

#include "hv/hv_msr.h"

#define SIM  4u			/* message page of VP 0 */
#define SIEF 6u
#define SINT 2u
#define VECTOR 0xf3u

static struct vp *vp;

static void synic_on(struct vp *v, unsigned sim, unsigned sief)
{
	lapic_write(v, 0xf0, 0x1ff);
	rig_wrmsr(v, HV_MSR_SIMP, (uint64_t)sim << 12 | 1);
	rig_wrmsr(v, HV_MSR_SIEFP, (uint64_t)sief << 12 | 1);
	rig_wrmsr(v, HV_MSR_SINT0 + SINT, VECTOR);
	rig_wrmsr(v, HV_MSR_SCONTROL, 1);
}

static int setup(void **state)
{
	(void)state;
	rig_child(2);
	vp = &rig.vp[0];
	synic_on(vp, SIM, SIEF);
	return 0;
}

static enum hv_status post(unsigned sint, uint32_t type)
{
	struct hv_message m = { .type = type, .payload_bytes = 8, .sender = 1234 };

	memset(m.payload, (int)type, 8);
	return synic_post(vp, sint, &m);
}

static void free_slot(unsigned sint)
{
	rig_slot(SIM, sint)->type = 0;
}

static bool interrupted(void)
{
	int vector = rig_take_interrupt(vp);

	if (vector < 0)
		return false;
	assert_int_equal(vector, VECTOR);
	lapic_write(vp, 0xb0, 0);
	return true;
}

static void registers_start_at_their_reset_values(void **state)
{
	(void)state;
	rig_child(1);
	vp = &rig.vp[0];
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SCONTROL), 0);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SVERSION), 1);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SIMP), 0);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SIEFP), 0);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_EOM), 0);
	for (unsigned i = 0; i < HV_SINT_COUNT; i++)
		assert_int_equal(rig_rdmsr(vp, HV_MSR_SINT0 + i), 0x10000);
}

static void reserved_bits_are_preserved(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_SCONTROL, ~0ull);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SCONTROL), ~0ull);
	rig_wrmsr(vp, HV_MSR_SIMP, 0x5ffe);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SIMP), 0x5ffe);
	rig_wrmsr(vp, HV_MSR_SIEFP, 0x5fff);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SIEFP), 0x5fff);
	rig_wrmsr(vp, HV_MSR_SINT0 + 5, 0xffffffffffe0ff10ull);
	assert_int_equal(rig_rdmsr(vp, HV_MSR_SINT0 + 5), 0xffffffffffe0ff10ull);
}

static void an_unmasked_sint_needs_a_vector_from_16(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 16; v++) {
		rig_wrmsr_gp(vp, HV_MSR_SINT0 + 3, v);
		rig_wrmsr(vp, HV_MSR_SINT0 + 3, 0x10000 | v);
		assert_int_equal(rig_rdmsr(vp, HV_MSR_SINT0 + 3), 0x10000 | v);
	}
	rig_wrmsr(vp, HV_MSR_SINT0 + 3, 16);
	rig_wrmsr(vp, HV_MSR_SINT0 + 4, 16);	/* shared vectors are fine */
}

static void a_message_fills_a_free_slot_and_interrupts(void **state)
{
	const struct hv_message *slot = rig_slot(SIM, SINT);

	(void)state;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(slot->type, 1);
	assert_int_equal(slot->payload_bytes, 8);
	assert_int_equal(slot->flags, 0);
	assert_int_equal(slot->sender, 1234);
	assert_int_equal(slot->payload[7], 1);
	assert_true(interrupted());
	assert_int_equal(vp->synic.waiting, 0);
}

static void only_the_type_says_whether_a_slot_is_free(void **state)
{
	struct hv_message *slot = rig_slot(SIM, SINT);

	(void)state;
	memset(slot, 0xff, sizeof(*slot));
	slot->type = 0;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(slot->type, 1);
	assert_int_equal(slot->flags, 0);
	assert_int_equal(slot->rsvd, 0);
	assert_int_equal(slot->payload[8], 0xff);	/* only the payload's own bytes are written */
}

static void a_second_message_waits_and_marks_the_first(void **state)
{
	struct hv_message *slot = rig_slot(SIM, SINT);

	(void)state;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_true(interrupted());
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	assert_int_equal(slot->type, 1);
	assert_int_equal(slot->flags, HV_MESSAGE_FLAG_PENDING);
	assert_false(interrupted());
	free_slot(SINT);
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(slot->type, 2);
	assert_int_equal(slot->flags, 0);
	assert_true(interrupted());
}

static void messages_of_a_sint_come_in_order(void **state)
{
	(void)state;
	for (unsigned i = 1; i <= 8; i++) {
		assert_int_equal(post(SINT, i), HV_STATUS_SUCCESS);
		assert_int_equal(post(SINT + 1, 100 + i), HV_STATUS_SUCCESS);
	}
	for (unsigned i = 1; i <= 8; i++) {
		assert_int_equal(rig_slot(SIM, SINT)->type, i);
		assert_int_equal(rig_slot(SIM, SINT + 1)->type, 100 + i);
		assert_int_equal(rig_slot(SIM, SINT)->flags, i < 8);
		free_slot(SINT);
		free_slot(SINT + 1);
		rig_wrmsr(vp, HV_MSR_EOM, 0);
	}
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
}

static void eom_with_nothing_to_do_does_nothing(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_EOM, 0x1234);
	assert_false(interrupted());
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	assert_true(interrupted());
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(SIM, SINT)->type, 1);
	assert_false(interrupted());
	assert_int_not_equal(vp->synic.waiting, 0);
}

static void eom_of_one_vp_leaves_the_others_alone(void **state)
{
	(void)state;
	synic_on(&rig.vp[1], SIM + 1, SIEF + 1);
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	free_slot(SINT);
	rig_wrmsr(&rig.vp[1], HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
	assert_int_equal(rig_slot(SIM + 1, SINT)->type, 0);
}

static void the_end_of_an_interrupt_scans_too(void **state)
{
	(void)state;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	assert_int_equal(rig_take_interrupt(vp), VECTOR);
	free_slot(SINT);
	lapic_write(vp, 0xb0, 0);
	assert_int_equal(rig_slot(SIM, SINT)->type, 2);
	assert_true(interrupted());
}

static void a_scan_at_an_exit_helps_a_guest_that_forgot_eom(void **state)
{
	(void)state;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	free_slot(SINT);
	assert_int_not_equal(vp->synic.waiting, 0);
	synic_scan(vp);
	assert_int_equal(rig_slot(SIM, SINT)->type, 2);
}

static void the_queue_holds_16_messages(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 17; i++)
		assert_int_equal(post(SINT, 1 + i), HV_STATUS_SUCCESS);
	assert_int_equal(post(SINT, 99), HV_STATUS_INSUFFICIENT_BUFFERS);
	free_slot(SINT);
	assert_int_equal(post(SINT, 18), HV_STATUS_SUCCESS);	/* it looks before it refuses */
	for (unsigned i = 1; i < 18; i++) {
		assert_int_equal(rig_slot(SIM, SINT)->type, 1 + i);
		free_slot(SINT);
		synic_scan(vp);
	}
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
}

static void nonsense_is_refused(void **state)
{
	struct hv_message m = { .type = 1, .payload_bytes = 241 };
	bool fresh;

	(void)state;
	assert_int_equal(post(16, 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(post(SINT, 0), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(synic_post(vp, SINT, &m), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(synic_signal(vp, 16, 0, &fresh), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(synic_signal(vp, SINT, 2048, &fresh), HV_STATUS_INVALID_PARAMETER);
}

static void a_synic_that_is_off_refuses_messages_and_signals(void **state)
{
	bool fresh;

	(void)state;
	rig_wrmsr(vp, HV_MSR_SCONTROL, 0);
	assert_int_equal(post(SINT, 1), HV_STATUS_INVALID_SYNIC_STATE);
	assert_int_equal(synic_signal(vp, SINT, 1, &fresh), HV_STATUS_INVALID_SYNIC_STATE);
	rig_wrmsr(vp, HV_MSR_SCONTROL, 1);
	rig_wrmsr(vp, HV_MSR_SIMP, (uint64_t)SIM << 12);
	assert_int_equal(post(SINT, 1), HV_STATUS_INVALID_SYNIC_STATE);
	rig_wrmsr(vp, HV_MSR_SIEFP, (uint64_t)SIEF << 12);
	assert_int_equal(synic_signal(vp, SINT, 1, &fresh), HV_STATUS_INVALID_SYNIC_STATE);
	rig_wrmsr(vp, HV_MSR_SIEFP, (uint64_t)SIEF << 12 | 1);
	assert_int_equal(rig_page(SIEF)[SINT * 256], 0);	/* not remembered */
	rig_wrmsr(vp, HV_MSR_SIEFP, (uint64_t)RIG_PAGES << 12 | 1);
	assert_int_equal(synic_signal(vp, SINT, 1, &fresh), HV_STATUS_INVALID_SYNIC_STATE);
}

static void what_was_queued_appears_when_the_page_is_enabled(void **state)
{
	(void)state;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	assert_true(interrupted());
	rig_wrmsr(vp, HV_MSR_SIMP, 0);
	free_slot(SINT);
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
	rig_wrmsr(vp, HV_MSR_SIMP, 9 << 12 | 1);
	assert_int_equal(rig_slot(9, SINT)->type, 2);
	assert_true(interrupted());
	assert_int_equal(post(SINT, 3), HV_STATUS_SUCCESS);
	rig_wrmsr(vp, HV_MSR_SCONTROL, 0);
	rig_slot(9, SINT)->type = 0;
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(9, SINT)->type, 0);
	rig_wrmsr(vp, HV_MSR_SCONTROL, 1);
	assert_int_equal(rig_slot(9, SINT)->type, 3);
}

static void messages_for_a_page_without_ram_wait(void **state)
{
	(void)state;
	rig.page_mapped[SIM] = false;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_false(interrupted());
	rig.page_mapped[SIM] = true;
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(SIM, SINT)->type, 1);
	assert_true(interrupted());
}

static void a_masked_or_polled_sint_fills_its_slot_without_an_interrupt(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, HV_SINT_MASKED | VECTOR);
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(rig_slot(SIM, SINT)->type, 1);
	assert_false(interrupted());
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, VECTOR);
	assert_false(interrupted());			/* lost, not deferred */
	free_slot(SINT);
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, HV_SINT_POLLING | VECTOR);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	assert_int_equal(rig_slot(SIM, SINT)->type, 2);
	assert_false(interrupted());
}

static void a_disabled_lapic_loses_the_interrupt_but_not_the_message(void **state)
{
	(void)state;
	lapic_write(vp, 0xf0, 0xff);
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	lapic_write(vp, 0xf0, 0x1ff);
	assert_false(interrupted());
	assert_int_equal(rig_slot(SIM, SINT)->type, 1);
}

static void a_changed_vector_leaves_the_pending_one(void **state)
{
	(void)state;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, 0x55);
	assert_true(interrupted());
	assert_int_equal(rig_take_interrupt(vp), -1);
}

static void a_second_interrupt_merges_into_a_pending_one(void **state)
{
	bool fresh;

	(void)state;
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(synic_signal(vp, SINT, 5, &fresh), HV_STATUS_SUCCESS);
	assert_true(interrupted());
	assert_false(interrupted());
}

static void an_auto_eoi_sint_is_never_in_service(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, HV_SINT_AUTO_EOI | VECTOR);
	lapic_post(vp, 0x41, false);
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(rig_take_interrupt(vp), VECTOR);
	assert_int_equal(rig_take_interrupt(vp), 0x41);
	lapic_write(vp, 0xb0, 0);
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, VECTOR);
	free_slot(SINT);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	assert_int_equal(rig_take_interrupt(vp), VECTOR);
	assert_int_equal(lapic_read(vp, 0x100 + 0x70), 1u << 19);
}

static void all_16_sints_work_at_once_some_with_auto_eoi(void **state)
{
	(void)state;
	for (unsigned i = 0; i < HV_SINT_COUNT; i++)
		rig_wrmsr(vp, HV_MSR_SINT0 + i, (0x30 + 8 * i) | (i % 3 == 0 ? HV_SINT_AUTO_EOI : 0));
	for (unsigned i = 0; i < HV_SINT_COUNT; i++)
		assert_int_equal(post(i, 1 + i), HV_STATUS_SUCCESS);
	for (unsigned i = HV_SINT_COUNT; i-- > 0;) {
		assert_int_equal(rig_slot(SIM, i)->type, 1 + i);
		assert_int_equal(rig_take_interrupt(vp), 0x30 + 8 * i);
		if (i % 3)
			lapic_write(vp, 0xb0, 0);
	}
}

static void an_event_flag_interrupts_when_it_becomes_set(void **state)
{
	bool fresh;

	(void)state;
	for (unsigned flag = 0; flag < HV_EVENT_FLAGS_PER_SINT; flag += 97) {
		uint8_t *byte = rig_page(SIEF) + SINT * 256 + flag / 8;

		assert_int_equal(synic_signal(vp, SINT, flag, &fresh), HV_STATUS_SUCCESS);
		assert_true(fresh);
		assert_true(*byte & 1u << flag % 8);
		assert_true(interrupted());
		assert_int_equal(synic_signal(vp, SINT, flag, &fresh), HV_STATUS_SUCCESS);
		assert_false(fresh);
		assert_false(interrupted());
		*byte = (uint8_t)(*byte & ~(1u << flag % 8));
		assert_int_equal(synic_signal(vp, SINT, flag, &fresh), HV_STATUS_SUCCESS);
		assert_true(interrupted());
	}
}

static void a_flag_for_a_masked_sint_is_set_without_an_interrupt(void **state)
{
	bool fresh;

	(void)state;
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, HV_SINT_MASKED | VECTOR);
	assert_int_equal(synic_signal(vp, SINT, 3, &fresh), HV_STATUS_SUCCESS);
	assert_true(fresh);
	assert_int_equal(rig_page(SIEF)[SINT * 256], 8);
	assert_false(interrupted());
}

static void a_reset_empties_the_queues(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, HV_SINT_AUTO_EOI | VECTOR);
	assert_int_equal(post(SINT, 1), HV_STATUS_SUCCESS);
	assert_int_equal(post(SINT, 2), HV_STATUS_SUCCESS);
	synic_reset(vp);
	assert_int_equal(vp->lapic.auto_eoi[VECTOR / 32], 0);
	synic_on(vp, 9, SIEF);
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(9, SINT)->type, 0);
	assert_int_equal(vp->synic.waiting, 0);
}

static void creation_needs_a_page_and_gives_it_back(void **state)
{
	static struct vp other;

	(void)state;
	other.partition = &rig.partition;
	rig.pool_limit = rig.pool_used;
	assert_int_equal(synic_create(&other), HV_STATUS_INSUFFICIENT_MEMORY);
	rig.pool_limit++;
	assert_int_equal(synic_create(&other), HV_STATUS_SUCCESS);
	synic_destroy(&other);
	assert_int_equal(rig.pool_used, 2);
	synic_destroy(&other);
	assert_int_equal(rig.pool_used, 2);
}

/* Root: the scheduler's messages share SINT 0 with posted ones. */
static void scheduler_messages_take_the_slot_of_sint_0(void **state)
{
	struct list_node waiting;

	(void)state;
	rig_root(1);
	vp = &rig.vp[0];
	synic_on(vp, SIM, SIEF);
	rig_wrmsr(vp, HV_MSR_SINT0, VECTOR);
	synic_scan(vp);
	assert_int_equal(rig_slot(SIM, 0)->type, 0);

	rig.scheduler_message.type = HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR;
	rig.scheduler_message.payload_bytes = 240;
	list_add_tail(&rig.cpu.signals, &waiting);
	synic_scan(vp);
	assert_int_equal(rig_slot(SIM, 0)->type, HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR);
	assert_int_equal(rig_slot(SIM, 0)->flags, 0);
	assert_int_equal(vp->synic.waiting, 0);
	assert_true(interrupted());

	rig.scheduler_message.type = HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR;
	list_add_tail(&rig.cpu.signals, &waiting);
	synic_scan(vp);
	assert_int_equal(rig_slot(SIM, 0)->flags, HV_MESSAGE_FLAG_PENDING);
	assert_int_equal(post(0, 5), HV_STATUS_SUCCESS);
	free_slot(0);
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(SIM, 0)->type, HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR);
	assert_int_equal(rig_slot(SIM, 0)->flags, HV_MESSAGE_FLAG_PENDING);
	free_slot(0);
	rig_wrmsr(vp, HV_MSR_EOM, 0);
	assert_int_equal(rig_slot(SIM, 0)->type, 5);
	assert_int_equal(rig_slot(SIM, 0)->flags, 0);
}

/* Every message arrives once and in the order of its SINT, whatever guest and sender do in between. */
static void no_message_is_lost_or_reordered_in_a_random_run(void **state)
{
	uint32_t sent[HV_SINT_COUNT] = { 0 }, got[HV_SINT_COUNT] = { 0 }, refused = 0, total = 0;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		unsigned sint = rig_random() % HV_SINT_COUNT;
		struct hv_message *slot = rig_slot(SIM, sint);

		switch (rig_random() % 6) {
		case 0 ... 1:
			if (post(sint, sent[sint] + 1) == HV_STATUS_SUCCESS)
				sent[sint]++;
			else
				refused++;
			break;
		case 2 ... 3:
			if (!slot->type)
				break;
			assert_int_equal(slot->type, ++got[sint]);
			total++;
			slot->type = 0;
			if (slot->flags & HV_MESSAGE_FLAG_PENDING)
				rig_wrmsr(vp, HV_MSR_EOM, 0);
			else
				assert_int_equal(sent[sint], got[sint]);
			break;
		case 4:
			rig_wrmsr(vp, HV_MSR_SCONTROL, 0);
			assert_int_equal(post(sint, 77), HV_STATUS_INVALID_SYNIC_STATE);
			rig_wrmsr(vp, HV_MSR_SCONTROL, 1);
			break;
		case 5:
			synic_scan(vp);
			break;
		}
	}
	assert_true(refused > 0);
	assert_true(total > 30000);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registers_start_at_their_reset_values),
		T(reserved_bits_are_preserved),
		T(an_unmasked_sint_needs_a_vector_from_16),
		T(a_message_fills_a_free_slot_and_interrupts),
		T(only_the_type_says_whether_a_slot_is_free),
		T(a_second_message_waits_and_marks_the_first),
		T(messages_of_a_sint_come_in_order),
		T(eom_with_nothing_to_do_does_nothing),
		T(eom_of_one_vp_leaves_the_others_alone),
		T(the_end_of_an_interrupt_scans_too),
		T(a_scan_at_an_exit_helps_a_guest_that_forgot_eom),
		T(the_queue_holds_16_messages),
		T(nonsense_is_refused),
		T(a_synic_that_is_off_refuses_messages_and_signals),
		T(what_was_queued_appears_when_the_page_is_enabled),
		T(messages_for_a_page_without_ram_wait),
		T(a_masked_or_polled_sint_fills_its_slot_without_an_interrupt),
		T(a_disabled_lapic_loses_the_interrupt_but_not_the_message),
		T(a_changed_vector_leaves_the_pending_one),
		T(a_second_interrupt_merges_into_a_pending_one),
		T(an_auto_eoi_sint_is_never_in_service),
		T(all_16_sints_work_at_once_some_with_auto_eoi),
		T(an_event_flag_interrupts_when_it_becomes_set),
		T(a_flag_for_a_masked_sint_is_set_without_an_interrupt),
		T(a_reset_empties_the_queues),
		T(creation_needs_a_page_and_gives_it_back),
		T(scheduler_messages_take_the_slot_of_sint_0),
		T(no_message_is_lost_or_reordered_in_a_random_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
