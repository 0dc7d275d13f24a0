/* SPDX-License-Identifier: Apache-2.0 */
/* The ABI: control words, forms, order of checks, result words, continuation. */
#include "caller.h"

#include <string.h>

#include "core/gpa_access.h"
#include "core/msr.h"

#define CODE(code) ((uint64_t)(code))
#define REPS(n)    ((uint64_t)(n) << HC_REP_COUNT_SHIFT)
#define START(n)   ((uint64_t)(n) << HC_REP_START_SHIFT)
#define BAD_GPA    0x123456789abcdef1ull

static uint64_t result(uint64_t control, uint64_t rdx, uint64_t r8)
{
	return caller_enter(caller_vp(), control, rdx, r8);
}

static void unknown_codes_come_before_everything(void **state)
{
	const uint64_t codes[] = { 0, 1, 0x3f, 0x55, 0x57, 0x8001, 0xffff, 0x000b, 0x0003 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(codes); i++) {
		assert_int_equal(result(codes[i], BAD_GPA, BAD_GPA), HV_STATUS_INVALID_HYPERCALL_CODE);
		assert_int_equal(result(codes[i] | HC_RSVDZ | REPS(7) | START(9), BAD_GPA, BAD_GPA), HV_STATUS_INVALID_HYPERCALL_CODE);
	}
}

static void control_word_vectors(void **state)
{
	const uint64_t bad[] = {
		0x000000010000005c,		/* rep count on a simple call */
		0x0000000000000048,		/* rep count 0 */
		0x0005000500000048,		/* start = count */
		0x0006000500000048,
		0x0001000000000046,		/* start on a simple call */
		0x000000000800005c,		/* reserved bits */
		0x000000001000005c,
		0x000000004000005c,
		0x100000000000005c,
		0x000010000000005c,
		0x000000008000005c,		/* nested */
		0x000000000002005c,		/* variable header where there is none */
		0x000000000001005c,		/* fast: too big */
		0x0000000000010040,		/* fast: not for this call */
		0x0000000000010046,
		0x00000000000000e3 | 0x3ffull << 17,	/* variable header beyond a page */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
		assert_int_equal(result(bad[i], BAD_GPA, BAD_GPA), HV_STATUS_INVALID_HYPERCALL_INPUT);
}

static void result_vectors(void **state)
{
	uint64_t id, *in = platform_ptr(SPA(caller_input()));

	(void)state;
	assert_int_equal(result(0x46, 0, caller_output()), 0);
	assert_int_equal(*(uint64_t *)platform_ptr(SPA(caller_output())), HV_PARTITION_ID_ROOT);
	assert_status(caller_create(0, &id), SUCCESS);
	in[0] = id;
	for (unsigned i = 0; i < 10; i++)
		in[1 + i] = caller_page();
	assert_int_equal(result(0x0000000a00000048, caller_input(), 0), 0x0000000a00000000);
	for (unsigned i = 0; i < 10; i++)
		in[1 + i] = caller_page();
	in[4] = FAKE_BLOCK_BASE >> PAGE_SHIFT;
	assert_int_equal(result(0x0000000a00000048, caller_input(), 0), 0x0000000300000008);
	/* Resumed at element 4: done ones count from the start of the list. */
	assert_int_equal(result(0x0004000a00000048, caller_input(), 0), 0x0000000a00000000);
}

static void alignment_and_page_crossing(void **state)
{
	const uint64_t get = CODE(HVCALL_GET_PARTITION_PROPERTY), in = caller_input(), out = caller_output();
	uint64_t *words = platform_ptr(SPA(in));

	(void)state;
	words[0] = HV_PARTITION_ID_SELF;
	words[1] = HV_PROPERTY_PROCESSOR_CLOCK_FREQUENCY;
	assert_int_equal(result(get, in, out), 0);
	assert_int_equal(*(uint64_t *)platform_ptr(SPA(out)), FAKE_TSC_HZ);
	assert_int_equal(result(get, in + 4, out), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(result(get, in, out + 1), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(result(get, in + 0xff8, out), HV_STATUS_INVALID_ALIGNMENT);		/* 16 bytes over the edge */
	assert_int_equal(result(get, in + 0xff0, out), HV_STATUS_INVALID_PARTITION_ID);		/* just fits: id 0 */
	assert_int_equal(result(get, in, out + 0xff8), 0);
	assert_int_equal(result(get, 1ull << FAKE_PHYS_BITS, out), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(result(get, in, ~7ull), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(result(get, 0xfee00000, out), HV_STATUS_INVALID_ALIGNMENT);		/* not memory */
	assert_int_equal(result(get, in, FAKE_HYPERCALL_GPA), HV_STATUS_INVALID_ALIGNMENT);	/* not writable */
	assert_int_equal(result(CODE(HVCALL_DEPOSIT_MEMORY) | REPS(511), in + 8, out), HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(result(CODE(HVCALL_DEPOSIT_MEMORY) | REPS(4095), in, out), HV_STATUS_INVALID_ALIGNMENT);
}

static void overlap_is_refused_and_one_page_for_both_is_not(void **state)
{
	const uint64_t get = CODE(HVCALL_GET_PARTITION_PROPERTY), in = caller_input();
	uint64_t *words = platform_ptr(SPA(in));

	(void)state;
	words[0] = HV_PARTITION_ID_SELF;
	words[1] = HV_PROPERTY_PROCESSOR_CLOCK_FREQUENCY;
	assert_int_equal(result(get, in, in), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(result(get, in, in + 8), HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(result(get, in, in + 16), 0);
	assert_int_equal(words[2], FAKE_TSC_HZ);
}

static void unused_pointers_are_not_looked_at(void **state)
{
	uint64_t id, *in = platform_ptr(SPA(caller_input()));

	(void)state;
	assert_int_equal(result(CODE(HVCALL_GET_PARTITION_ID), BAD_GPA, caller_output()), 0);
	assert_status(caller_create(0, &id), SUCCESS);
	in[0] = id;
	assert_int_equal(result(CODE(HVCALL_DELETE_PARTITION), caller_input(), BAD_GPA), 0);
}

static void fast_form_takes_registers(void **state)
{
	uint64_t id;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	assert_int_equal(result(CODE(HVCALL_DELETE_PARTITION) | HC_FAST_FLAG, id, BAD_GPA), 0);
	assert_int_equal(result(CODE(HVCALL_DELETE_PARTITION) | HC_FAST_FLAG, id, BAD_GPA), HV_STATUS_INVALID_PARTITION_ID);
}

static void only_kernel_code_may_call(void **state)
{
	struct vp *vp = caller_vp();
	struct hv_u128 real_mode = { 0x10, 0 }, paged = { 0x80010033, 0 };

	(void)state;
	vp->gpr[1] = CODE(HVCALL_GET_PARTITION_ID);
	vp->gpr[8] = caller_output();
	assert_int_equal(hypercall_enter(vp), HYPERCALL_NEXT);
	fake_long_mode(vp, 3);
	assert_int_equal(hypercall_enter(vp), HYPERCALL_UD);
	fake_long_mode(vp, 0);
	assert_status(vp_register_set(vp, HV_REG_CR0, &real_mode), SUCCESS);
	assert_int_equal(hypercall_enter(vp), HYPERCALL_UD);
	assert_status(vp_register_set(vp, HV_REG_CR0, &paged), SUCCESS);
	vp->rflags |= 1 << 17;
	assert_int_equal(hypercall_enter(vp), HYPERCALL_UD);
	vp->rflags &= ~(1ull << 17);
	assert_true(partition_hypercall_msr_write(root_partition, FAKE_HYPERCALL_GPA));
	assert_int_equal(hypercall_enter(vp), HYPERCALL_UD);
	assert_true(partition_hypercall_msr_write(root_partition, FAKE_HYPERCALL_GPA | 1));
	assert_int_equal(hypercall_enter(vp), HYPERCALL_NEXT);
	partition_guest_os_id_write(root_partition, 0);
	assert_int_equal(hypercall_enter(vp), HYPERCALL_UD);
	/* Enabling needs an OS id. */
	assert_true(partition_hypercall_msr_write(root_partition, FAKE_HYPERCALL_GPA | 1));
	assert_int_equal(root_partition->hypercall_msr & 1, 0);
}

/* EDX:EAX control, EBX:ECX input, EDI:ESI output, EDX:EAX result; what the guest has above 32 bits is not its. */
static void protected_mode_uses_pairs(void **state)
{
	struct vp *vp = caller_vp();
	uint64_t *in = platform_ptr(SPA(caller_input())), id;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	in[0] = id;
	in[1] = caller_page();
	in[2] = FAKE_BLOCK_BASE >> PAGE_SHIFT;
	assert_status(vp_register_set(vp, HV_REG_EFER, &(struct hv_u128){ 0, 0 }), SUCCESS);
	memset(vp->gpr, 0xff, sizeof vp->gpr);
	vp->gpr[0] = 0xdead00000000ull | HVCALL_DEPOSIT_MEMORY;
	vp->gpr[2] = 2;
	vp->gpr[3] = 0;
	vp->gpr[1] = caller_input();
	assert_int_equal(hypercall_enter(vp), HYPERCALL_NEXT);
	assert_int_equal(vp->gpr[0], HV_STATUS_OPERATION_DENIED);
	assert_int_equal(vp->gpr[2], 1);
	assert_int_equal(vp->gpr[1], caller_input());
	vp->gpr[0] = HVCALL_GET_PARTITION_ID;
	vp->gpr[2] = 0;
	vp->gpr[7] = 0;
	vp->gpr[6] = caller_output();
	assert_int_equal(hypercall_enter(vp), HYPERCALL_NEXT);
	assert_int_equal(vp->gpr[0] | vp->gpr[2], 0);
	assert_int_equal(*(uint64_t *)platform_ptr(SPA(caller_output())), 1);
	/* Compatibility mode is the same: long mode, but CS without L. */
	fake_long_mode(vp, 0);
	assert_status(vp_register_set(vp, HV_REG_CS, &(struct hv_u128){ 0, 0xc09b001affffffffull }), SUCCESS);
	vp->gpr[0] = 0xffff;
	vp->gpr[2] = 0;
	assert_int_equal(hypercall_enter(vp), HYPERCALL_NEXT);
	assert_int_equal(vp->gpr[0], HV_STATUS_INVALID_HYPERCALL_CODE);
}

static void long_lists_continue_in_rounds(void **state)
{
	struct vp *vp = caller_vp();
	uint64_t *in = platform_ptr(SPA(caller_input())), id;
	unsigned rounds = 1;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	in[0] = id;
	for (unsigned i = 0; i < 500; i++)
		in[1 + i] = caller_page();
	vp->gpr[1] = CODE(HVCALL_DEPOSIT_MEMORY) | REPS(500);
	vp->gpr[2] = caller_input();
	while (hypercall_enter(vp) == HYPERCALL_RETRY) {
		assert_int_equal(HC_REP_START(vp->gpr[1]), rounds * HYPERCALL_REPS_MAX);
		assert_int_equal(caller_partition_of(id)->pool.free_count, rounds * HYPERCALL_REPS_MAX);
		rounds++;
	}
	assert_int_equal(rounds, 4);
	assert_int_equal(vp->gpr[0], REPS(500));
	assert_int_equal(caller_partition_of(id)->pool.free_count, 500);
}

static void a_waiting_interrupt_ends_the_round(void **state)
{
	struct vp *vp = caller_vp();
	uint64_t *in = platform_ptr(SPA(caller_input())), id;

	(void)state;
	assert_status(caller_create(0, &id), SUCCESS);
	in[0] = id;
	for (unsigned i = 0; i < 5; i++)
		in[1 + i] = caller_page();
	lapic_write(vp, 0xf0, 0x1ff);
	lapic_post(vp, 0x40, false);
	assert_true(lapic_pending(vp) >= 0);
	vp->rflags |= 1 << 9;
	vp->gpr[1] = CODE(HVCALL_DEPOSIT_MEMORY) | REPS(5);
	vp->gpr[2] = caller_input();
	for (unsigned i = 1; i < 5; i++) {
		assert_int_equal(hypercall_enter(vp), HYPERCALL_RETRY);
		assert_int_equal(HC_REP_START(vp->gpr[1]), i);
	}
	assert_int_equal(hypercall_enter(vp), HYPERCALL_NEXT);
	assert_int_equal(vp->gpr[0], REPS(5));
}

static void calls_are_counted_by_row(void **state)
{
	struct vp *vp = caller_vp();
	unsigned row = 0;

	(void)state;
	while (hypercall_rows[row].code != HVCALL_GET_PARTITION_ID)
		row++;
	vp->stats[HV_STATS_VP_HYPERCALL_BASE + row] = 0;
	result(CODE(HVCALL_GET_PARTITION_ID), 0, caller_output());
	result(CODE(HVCALL_GET_PARTITION_ID), 0, 1);
	result(CODE(0x3f), 0, 0);
	assert_int_equal(vp->stats[HV_STATS_VP_HYPERCALL_BASE + row], 2);
}

/* --- A child calls -------------------------------------------------------------------------------------------------- */

static void children_may_only_what_their_privileges_say(void **state)
{
	uint64_t id = caller_child(40);
	uint64_t message[32] = { 0 };
	struct vp *vp;

	(void)state;
	assert_status(caller_create_vp(id, 0), SUCCESS);
	caller_ram(id, 0, 4);
	vp = caller_make_caller(id, 0);
	assert_int_equal(caller_enter(vp, HVCALL_GET_PARTITION_ID, 0, 0x1000), HV_STATUS_ACCESS_DENIED);
	vp->partition->privileges |= HV_PRIV_PARTITION_ID;
	assert_int_equal(caller_enter(vp, HVCALL_GET_PARTITION_ID, 0, 0x1000), 0);
	assert_int_equal(gpa_read(vp->partition, GPA(0x1000), message, 8), GPA_DONE);
	assert_int_equal(message[0], id);

	vp->partition->privileges |= HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS;
	message[0] = 5;
	message[1] = 1 | 240ull << 32;
	assert_int_equal(gpa_write(vp->partition, GPA(0x1000), message, sizeof message), GPA_DONE);
	assert_int_equal(caller_enter(vp, HVCALL_POST_MESSAGE, 0x1000, 1), HV_STATUS_INVALID_CONNECTION_ID);
	message[1] = 1 | 241ull << 32;
	assert_int_equal(gpa_write(vp->partition, GPA(0x1000), message, sizeof message), GPA_DONE);
	assert_int_equal(caller_enter(vp, HVCALL_POST_MESSAGE, 0x1000, 1), HV_STATUS_INVALID_PARAMETER);
	message[1] = 0x80000001 | 16ull << 32;
	assert_int_equal(gpa_write(vp->partition, GPA(0x1000), message, sizeof message), GPA_DONE);
	assert_int_equal(caller_enter(vp, HVCALL_POST_MESSAGE, 0x1000, 1), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(caller_enter(vp, 0x1005d, 0x2005, BAD_GPA), HV_STATUS_INVALID_CONNECTION_ID);
	vp->partition->privileges &= ~HV_PRIV_SIGNAL_EVENTS;
	assert_int_equal(caller_enter(vp, 0x1005d, 0x2005, BAD_GPA), HV_STATUS_ACCESS_DENIED);
	/* Not its memory: nothing is revealed of what lies at such an address in the machine. */
	assert_int_equal(caller_enter(vp, HVCALL_POST_MESSAGE, 0x8000, 0), HV_STATUS_INVALID_ALIGNMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unknown_codes_come_before_everything),
		TEST(control_word_vectors),
		TEST(result_vectors),
		TEST(alignment_and_page_crossing),
		TEST(overlap_is_refused_and_one_page_for_both_is_not),
		TEST(unused_pointers_are_not_looked_at),
		TEST(fast_form_takes_registers),
		TEST(only_kernel_code_may_call),
		TEST(protected_mode_uses_pairs),
		TEST(long_lists_continue_in_rounds),
		TEST(a_waiting_interrupt_ends_the_round),
		TEST(calls_are_counted_by_row),
		TEST(children_may_only_what_their_privileges_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
