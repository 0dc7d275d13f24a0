/* SPDX-License-Identifier: Apache-2.0 */
/* Each row of the table: well formed, closed to children, and dead for ids that are not the caller's children. */
#include "caller.h"

#include <string.h>

static void rows_are_sorted_and_whole(void **state)
{
	(void)state;
	for (size_t i = 0; i < hypercall_row_count; i++) {
		const struct hypercall_row *row = &hypercall_rows[i];

		assert_true(i == 0 || hypercall_rows[i - 1].code < row->code);
		assert_non_null(row->name);
		assert_non_null(row->handle);
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(hypercall_rows[k].name, row->name);
		assert_true(row->in_bytes <= PAGE_BYTES && row->out_bytes <= PAGE_BYTES);
		assert_true(row->rep || (!row->in_rep_bytes && !row->out_rep_bytes && !row->finish));
		assert_true(!row->rep || !row->out_bytes);
		/* finish uses the output page of calls without output as scratch. */
		if (row->flags & HC_FAST_OK)
			assert_true(row->in_bytes <= 16 && !row->out_bytes && !row->rep);
		assert_true((row->flags & HC_ROOT_ONLY) || row->privilege);
	}
}

/* TLFS, per call: fixed input, list element, output, list element of output. */
static void sizes_are_those_of_the_specification(void **state)
{
	static const struct { uint16_t code, in, in_rep, out, out_rep; bool rep; } want[] = {
		{ 0x40, 56, 0, 8, 0, false }, { 0x41, 8, 0, 0, 0, false }, { 0x42, 8, 0, 0, 0, false }, { 0x43, 8, 0, 0, 0, false },
		{ 0x44, 16, 0, 8, 0, false }, { 0x45, 24, 0, 0, 0, false }, { 0x46, 0, 0, 8, 0, false }, { 0x47, 16, 0, 8, 0, false },
		{ 0x48, 8, 8, 0, 0, true }, { 0x49, 16, 0, 0, 8, true }, { 0x4a, 16, 0, 16, 0, false }, { 0x4b, 24, 8, 0, 0, true },
		{ 0x4c, 24, 0, 0, 0, true }, { 0x4d, 24, 0, 0, 0, false }, { 0x4e, 40, 0, 0, 0, false }, { 0x4f, 16, 0, 0, 0, false },
		{ 0x50, 16, 4, 0, 16, true }, { 0x51, 16, 32, 0, 0, true }, { 0x52, 32, 0, 16, 0, false }, { 0x53, 32, 0, 24, 0, false },
		{ 0x54, 48, 0, 8, 0, false }, { 0x56, 8, 0, 0, 0, false }, { 0x58, 16, 0, 0, 0, false }, { 0x5b, 16, 0, 0, 0, false },
		{ 0x5c, 256, 0, 0, 0, false }, { 0x5d, 8, 0, 0, 0, false }, { 0x6c, 24, 0, 8, 0, false }, { 0x6d, 24, 0, 0, 0, false },
		{ 0x70, 24, 0, 0, 0, false }, { 0x7b, 24, 0, 8, 0, false }, { 0x94, 32, 0, 0, 0, false }, { 0x95, 56, 0, 0, 0, false },
		{ 0x96, 72, 0, 0, 0, false }, { 0xc0, 16, 0, 8, 0, false }, { 0xc1, 280, 0, 0, 0, false }, { 0xc2, 32, 0, 8, 0, false }, { 0xe1, 16, 0, 8, 0, false },
		{ 0xe2, 16, 0, 0, 0, false }, { 0xe3, 40, 0, 0, 0, false }, { 0xe4, 40, 0, 0, 0, false },
	};

	(void)state;
	assert_int_equal(hypercall_row_count, ARRAY_COUNT(want));
	for (size_t i = 0; i < ARRAY_COUNT(want); i++) {
		const struct hypercall_row *row = &hypercall_rows[i];

		assert_int_equal(row->code, want[i].code);
		assert_int_equal(row->in_bytes, want[i].in);
		assert_int_equal(row->in_rep_bytes, want[i].in_rep);
		assert_int_equal(row->out_bytes, want[i].out);
		assert_int_equal(row->out_rep_bytes, want[i].out_rep);
		assert_int_equal(row->rep, want[i].rep);
	}
}

static uint64_t control_of(const struct hypercall_row *row)
{
	return row->code | (row->rep ? 1ull << HC_REP_COUNT_SHIFT : 0);
}

static void children_are_refused_before_anything_is_looked_at(void **state)
{
	uint64_t id = caller_child(40), before_free, before_used, available, used;
	struct vp *vp;

	(void)state;
	assert_status(caller_create_vp(id, 0), SUCCESS);
	caller_ram(id, 0, 4);
	vp = caller_make_caller(id, 0);
	vp->partition->privileges &= ~(HV_PRIV_PARTITION_ID | HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS);
	assert_status(caller_balance(id, &before_free, &before_used), SUCCESS);
	for (size_t i = 0; i < hypercall_row_count; i++) {
		uint64_t control = control_of(&hypercall_rows[i]);

		assert_int_equal(caller_enter(vp, control, 0x1000, 0x2000), HV_STATUS_ACCESS_DENIED);
		assert_int_equal(caller_enter(vp, control, 7, 0x77777777), HV_STATUS_ACCESS_DENIED);
	}
	/* Whatever a parent lets a child have, it never becomes a parent. */
	vp->partition->privileges = ~HV_PRIV_CREATE_PARTITIONS;
	for (size_t i = 0; i < hypercall_row_count; i++)
		if (hypercall_rows[i].flags & HC_ROOT_ONLY)
			assert_int_equal(caller_enter(vp, control_of(&hypercall_rows[i]), 0x1000, 0x2000), HV_STATUS_ACCESS_DENIED);
	assert_status(caller_balance(id, &available, &used), SUCCESS);
	assert_int_equal(available, before_free);
	assert_int_equal(used, before_used);
}

/* Calls whose input begins with the id of a partition that must be a child. */
static bool names_a_child(uint16_t code)
{
	static const uint16_t others[] = { 0x40, 0x46, 0x47, 0x5c, 0x5d, 0x6c, 0x6d, 0x7b };

	for (size_t i = 0; i < ARRAY_COUNT(others); i++)
		if (others[i] == code)
			return false;
	return true;
}

static bool allows_self(uint16_t code)
{
	return code == 0x44 || (code >= 0x48 && code <= 0x4a) || code == 0x50 || code == 0x58 || code == 0x5b || code == 0x70 ||
	       code == 0x95 || code == 0x96;
}

static void other_ids_are_refused(void **state)
{
	uint8_t in[512] = { 0 };

	(void)state;
	for (size_t i = 0; i < hypercall_row_count; i++) {
		const struct hypercall_row *row = &hypercall_rows[i];
		uint64_t self[] = { HV_PARTITION_ID_SELF, HV_PARTITION_ID_ROOT };
		uint64_t dead[] = { 0, 2, 77, 1ull << 63 };

		if (!names_a_child(row->code))
			continue;
		for (size_t k = 0; k < ARRAY_COUNT(dead); k++) {
			memcpy(in, &dead[k], 8);
			assert_status(caller_rep(row->code, in, sizeof in, row->rep, NULL, 0, NULL), INVALID_PARTITION_ID);
		}
		for (size_t k = 0; k < ARRAY_COUNT(self) && !allows_self(row->code); k++) {
			memcpy(in, &self[k], 8);
			assert_status(caller_rep(row->code, in, sizeof in, row->rep, NULL, 0, NULL), ACCESS_DENIED);
		}
	}
}

static bool is_for_any_state(uint16_t code)
{
	return (code >= 0x41 && code <= 0x43) || code == 0x49 || code == 0x4a;
}

static void states_are_respected(void **state)
{
	uint8_t in[512] = { 0 };
	uint64_t fresh, over;

	(void)state;
	assert_status(caller_create(0, &fresh), SUCCESS);
	over = caller_child(10);
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, over), SUCCESS);
	for (size_t i = 0; i < hypercall_row_count; i++) {
		const struct hypercall_row *row = &hypercall_rows[i];

		if (!names_a_child(row->code) || is_for_any_state(row->code))
			continue;
		memcpy(in, &over, 8);
		assert_status(caller_rep(row->code, in, sizeof in, row->rep, NULL, 0, NULL), INVALID_PARTITION_STATE);
		if (row->code == 0x44 || row->code == 0x45 || row->code == 0x48)
			continue;
		memcpy(in, &fresh, 8);
		assert_status(caller_rep(row->code, in, sizeof in, row->rep, NULL, 0, NULL), INVALID_PARTITION_STATE);
	}
}

/* No input makes the hypervisor stumble: each row with random bytes, on a living partition. */
static void random_input_does_no_harm(void **state)
{
	uint64_t id = caller_child(200), gpfn[512];
	uint8_t in[2048];
	uint32_t done;

	(void)state;
	caller_seed(0xf00d);
	for (uint32_t i = 0; i < 2; i++)
		assert_status(caller_create_vp(id, i), SUCCESS);
	for (unsigned round = 0; round < 20000; round++) {
		const struct hypercall_row *row = &hypercall_rows[caller_random(hypercall_row_count)];
		uint32_t vp_index = (uint32_t)caller_random(3);

		/* Those that end the partition, or run it, have their own tests. */
		if (row->code == 0x42 || row->code == 0x43 || row->code == 0xc2)
			continue;
		for (size_t i = 0; i < sizeof in; i++)
			in[i] = (uint8_t)(caller_random(3) ? 0 : caller_random(256));
		memcpy(in, &id, 8);
		if (caller_random(2))
			memcpy(in + 8, &vp_index, 4);
		caller_rep(row->code, in, sizeof in, row->rep ? 1 + (uint32_t)caller_random(40) : 0, NULL, 0, NULL);
	}
	assert_status(caller_partition(HVCALL_FINALIZE_PARTITION, id), SUCCESS);
	do
		assert_true(caller_withdraw(id, 512, gpfn, &done) != HV_STATUS_ACCESS_DENIED);
	while (done == 512);
	assert_status(caller_partition(HVCALL_DELETE_PARTITION, id), SUCCESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, caller_setup, caller_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_sorted_and_whole),
		TEST(sizes_are_those_of_the_specification),
		TEST(children_are_refused_before_anything_is_looked_at),
		TEST(other_ids_are_refused),
		TEST(states_are_respected),
		TEST(random_input_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
