/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HvDispatchVp and what happens around it, on the fake machine: a guest is a function that says which exit comes next.
 * Guards the contract with the parent's driver: nothing that makes a blocked VP runnable is lost, and an intercept is seen
 * once, with the VP suspended.
 */
#include "caller.h"

#include "core/exit.h"
#include "core/run.h"
#include "hv/hv_intercept.h"
#include "hv/hv_msr.h"

#define SIMP_GPA 0x30000ull
#define VECTOR	 0x55u

static unsigned entered;
static struct vp_exit script[8];
static unsigned script_length;
static uint64_t tsc_step;
static uint64_t now;

/* Plays the script; behind its end the guest halts for ever. Takes any interrupt it is offered when IF is set. */
static void scripted(struct vp *vp, struct vp_exit *out)
{
	if (vp->irq_vector >= 0 && (vp->rflags & (1u << 9)))
		vp->irq_vector = -1;
	vp->event.type = VP_EVENT_NONE;
	now += tsc_step;
	fake_set_tsc(now);
	*out = entered < script_length ? script[entered] : (struct vp_exit){ .kind = EXIT_HALT, .insn_len = 1 };
	entered++;
}

static uint64_t child;
static struct vp *vp;

static int setup(void **state)
{
	struct hv_u128 zero = { 0, 0 }, rflags = { 0x202, 0 };

	caller_setup(state);
	entered = script_length = 0;
	tsc_step = 1000;
	now = 1000000;
	fake_set_tsc(now);
	fake_set_guest(scripted);
	child = caller_child(64);
	assert_status(caller_create_vp(child, 0), SUCCESS);
	assert_status(caller_set_register(child, 0, HV_REG_EXPLICIT_SUSPEND, zero), SUCCESS);
	assert_status(caller_set_register(child, 0, HV_REG_RFLAGS, rflags), SUCCESS);
	vp = partition_vp(caller_partition_of(child), 0);
	lapic_write(vp, 0xf0, 0x1ff);

	/* The parent listens: message page, SINT0 unmasked, SynIC on. */
	assert_true(synic_msr_write(caller_vp(), HV_MSR_SIMP, SIMP_GPA | 1));
	assert_true(synic_msr_write(caller_vp(), HV_MSR_SINT0, 0xf3));
	assert_true(synic_msr_write(caller_vp(), HV_MSR_SCONTROL, 1));
	lapic_write(caller_vp(), 0xf0, 0x1ff);
	return 0;
}

static struct hv_message *slot0(void)
{
	return platform_ptr(SPA(SIMP_GPA));
}

static struct hv_output_dispatch_vp dispatch(uint32_t flags)
{
	struct hv_output_dispatch_vp out = { 99, 99 };

	assert_status(caller_dispatch(child, 0, flags, &out), SUCCESS);
	return out;
}

#define assert_dispatch(flags, state_, event_)						\
	do {										\
		struct hv_output_dispatch_vp o_ = dispatch(flags);			\
		assert_int_equal(o_.dispatch_state, HV_DISPATCH_STATE_##state_);	\
		assert_int_equal(o_.dispatch_event, HV_DISPATCH_EVENT_##event_);	\
	} while (0)

static void end_parent_interrupt(void)
{
	int vector = lapic_pending(caller_vp());

	assert_int_equal(vector, 0xf3);
	lapic_accept(caller_vp(), (uint8_t)vector);
	lapic_eoi(caller_vp());
}

static void assert_interrupt(void)
{
	struct hv_input_assert_virtual_interrupt in = { .partition_id = child, .vector = VECTOR };

	assert_status(caller_simple(HVCALL_ASSERT_VIRTUAL_INTERRUPT, &in, sizeof in, NULL, 0), SUCCESS);
}

static void a_suspended_vp_is_not_entered(void **state)
{
	struct hv_u128 one = { 1, 0 };

	(void)state;
	assert_status(caller_set_register(child, 0, HV_REG_EXPLICIT_SUSPEND, one), SUCCESS);
	assert_dispatch(0, BLOCKED, SUSPEND);
	assert_int_equal(entered, 0);
}

static void an_interrupt_for_a_blocked_vp_becomes_one_message(void **state)
{
	const struct hv_vp_signal_pair_message *pair = (void *)slot0()->payload;

	(void)state;
	assert_dispatch(0, BLOCKED, NONE);
	assert_int_equal(entered, 1);
	assert_interrupt();
	assert_interrupt();
	synic_scan(caller_vp());	/* what the loop does before it enters the parent */
	assert_int_equal(slot0()->type, HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR);
	assert_int_equal(pair->vp_count, 1);
	assert_int_equal(pair->partition_ids[0], child);
	assert_int_equal(pair->vp_indexes[0], 0);
	end_parent_interrupt();
	slot0()->type = 0;

	assert_dispatch(0, BLOCKED, NONE);
	assert_int_equal(entered, 2);
	assert_int_equal(vp->lapic.isr[VECTOR / 32], 1u << (VECTOR % 32));
	assert_int_equal(vp->root_signal_count, 1);
}

static void an_interrupt_that_came_before_the_block_is_not_lost(void **state)
{
	(void)state;
	assert_interrupt();
	assert_dispatch(0, BLOCKED, NONE);
	assert_int_equal(entered, 1);		/* taken on the first entry, which then halted */
	assert_int_equal(vp->lapic.isr[VECTOR / 32], 1u << (VECTOR % 32));
	assert_int_equal(slot0()->type, 0);
}

static void a_deadline_wakes_a_blocked_vp(void **state)
{
	(void)state;
	/* Synthetic timer 0, direct, vector 0x60, 1 ms from now. */
	assert_true(synth_timer_msr_write(vp, HV_MSR_STIMER0_CONFIG, 1 << 12 | 0x60 << 4 | 1 << 3));
	assert_true(synth_timer_msr_write(vp, HV_MSR_STIMER0_CONFIG + 1, ref_time_now(vp->partition) + 10000));
	assert_dispatch(0, BLOCKED, NONE);
	assert_int_equal(fake_timer(0) == ~0ull, 0);

	now += FAKE_TSC_HZ / 100;
	fake_set_tsc(now);
	assert_dispatch(0, BLOCKED, NONE);
	assert_int_equal(entered, 2);
	assert_int_equal(vp->lapic.isr[0x60 / 32], 1u << (0x60 % 32));
}

static void an_intercept_is_seen_once_and_leaves_the_vp_suspended(void **state)
{
	const struct hv_message *m = platform_ptr(vp->message_page);
	const struct hv_io_port_intercept *io = (const void *)m->payload;

	(void)state;
	script[0] = (struct vp_exit){ .kind = EXIT_IO, .insn_len = 2, .io = { .port = 0x3f8, .size = 1, .in = false } };
	script_length = 1;
	caller_partition_of(child)->creation_flags |= HV_PARTITION_FLAG_EXO;
	vp->gpr[0] = 0x41;
	vp->rip = 0x1234;
	assert_dispatch(0, READY, INTERCEPT);
	assert_int_equal(m->type, HV_MESSAGE_IO_PORT);
	assert_int_equal(m->payload_bytes, sizeof *io);
	assert_int_equal(m->sender, child);
	assert_int_equal(io->port, 0x3f8);
	assert_int_equal(io->info, 1);
	assert_int_equal(io->rax, 0x41);
	assert_int_equal(io->header.rip, 0x1234);
	assert_int_equal(io->header.instruction_length & 0xf, 2);
	assert_int_equal(io->header.access_type, HV_INTERCEPT_WRITE);
	assert_int_equal(vp->rip, 0x1234);	/* the parent moves it */

	assert_dispatch(0, READY, INTERCEPT);
	assert_int_equal(entered, 1);
	assert_dispatch(HV_DISPATCH_FLAG_CLEAR_INTERCEPT_SUSPEND, BLOCKED, NONE);
	assert_int_equal(entered, 2);
}

static void work_for_the_parent_comes_first(void **state)
{
	(void)state;
	lapic_post(caller_vp(), 0x40, false);
	assert_dispatch(0, READY, NONE);
	assert_int_equal(entered, 0);
}

static void a_time_slice_ends(void **state)
{
	struct hv_input_dispatch_vp in = { .partition_id = child, .time_slice = 100000 };	/* 10 ms */
	struct hv_output_dispatch_vp out;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		script[i] = (struct vp_exit){ .kind = EXIT_INTERRUPT };
	script_length = 8;
	tsc_step = FAKE_TSC_HZ / 250;		/* 4 ms an entry */
	assert_status(caller_simple(HVCALL_DISPATCH_VP, &in, sizeof in, &out, sizeof out), SUCCESS);
	assert_int_equal(out.dispatch_state, HV_DISPATCH_STATE_READY);
	assert_int_equal(out.dispatch_event, HV_DISPATCH_EVENT_NONE);
	assert_int_equal(entered, 3);
}

static void what_a_guest_cannot_survive_reaches_the_parent(void **state)
{
	static const struct { struct vp_exit exit; uint32_t message; } rows[] = {
		{ { .kind = EXIT_TRIPLE_FAULT }, HV_MESSAGE_UNRECOVERABLE_EXCEPTION },
		{ { .kind = EXIT_UNKNOWN, .raw_code = 0x777 }, HV_MESSAGE_UNSUPPORTED_FEATURE },
		{ { .kind = EXIT_INVALID_STATE, .raw_code = 0xffffffff }, HV_MESSAGE_UNSUPPORTED_FEATURE },
		{ { .kind = EXIT_GPA_FAULT, .gpa_fault = { .gpa = { 0x12345678 }, .access = ACCESS_READ } },
		  HV_MESSAGE_GPA_UNMAPPED },
	};
	const struct hv_message *m = platform_ptr(vp->message_page);

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		script[0] = rows[i].exit;
		script_length = 1;
		entered = 0;
		assert_dispatch(HV_DISPATCH_FLAG_CLEAR_INTERCEPT_SUSPEND, READY, INTERCEPT);
		assert_int_equal(m->type, rows[i].message);
	}
}

static void an_emulated_instruction_can_be_single_stepped(void **state)
{
	struct hv_u128 dr6;

	(void)state;
	script[0] = (struct vp_exit){ .kind = EXIT_CPUID, .insn_len = 2 };
	vp->rflags |= 0x100;
	vp->rip = 0x1000;
	exit_dispatch(vp, &script[0]);
	assert_int_equal(vp->rip, 0x1002);
	assert_int_equal(vp->event.type, VP_EVENT_EXCEPTION);
	assert_int_equal(vp->event.vector, VECTOR_DB);
	assert_status(arch->reg_get(vp, HV_REG_DR6, &dr6), SUCCESS);
	assert_int_equal(dr6.low & 0x4000, 0x4000);
}

static void the_register_page_is_filled_and_its_dirty_groups_are_taken(void **state)
{
	struct hv_input_vp_state_page in = { .partition_id = child, .type = HV_VP_STATE_PAGE_REGISTERS };
	struct hv_output_map_page out;
	struct hv_register_page *page;

	(void)state;
	assert_status(caller_simple(HVCALL_MAP_VP_STATE_PAGE, &in, sizeof in, &out, sizeof out), SUCCESS);
	page = platform_ptr(SPA(out.gpfn << 12));
	script[0] = (struct vp_exit){ .kind = EXIT_TRIPLE_FAULT };
	script_length = 1;
	vp->gpr[3] = 0x1111;
	assert_dispatch(0, READY, INTERCEPT);
	assert_int_equal(page->is_valid, 1);
	assert_int_equal(page->gpr[3], 0x1111);
	page->gpr[3] = 0x2222;
	page->rip = 0x9999;
	page->dirty = HV_REGISTER_PAGE_DIRTY_GPR;	/* RIP is not marked: ignored */
	assert_dispatch(HV_DISPATCH_FLAG_CLEAR_INTERCEPT_SUSPEND, BLOCKED, NONE);
	assert_int_equal(vp->gpr[3], 0x2222);
	assert_int_not_equal(vp->rip, 0x9999);
	assert_int_equal(page->dirty, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_suspended_vp_is_not_entered, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(an_interrupt_for_a_blocked_vp_becomes_one_message, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(an_interrupt_that_came_before_the_block_is_not_lost, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_deadline_wakes_a_blocked_vp, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(an_intercept_is_seen_once_and_leaves_the_vp_suspended, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(work_for_the_parent_comes_first, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_time_slice_ends, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(what_a_guest_cannot_survive_reaches_the_parent, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(an_emulated_instruction_can_be_single_stepped, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(the_register_page_is_filled_and_its_dirty_groups_are_taken, setup, caller_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
