/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

#include "hv/hv_msr.h"

#define PAGE 5u

static struct partition *p;
static const struct hv_reference_tsc_page *page;

static int setup(void **state)
{
	(void)state;
	rig_child(1);
	p = &rig.partition;
	page = (const struct hv_reference_tsc_page *)rig_page(PAGE);
	return 0;
}

static void enable_page(void)
{
	assert_true(ref_time_msr_write(p, (uint64_t)PAGE << 12 | 1));
}

/* As a guest computes it. */
static uint64_t time_of_page(void)
{
	uint64_t guest_tsc = rig.tsc + p->time.tsc_offset;

	assert_int_not_equal(page->sequence, 0);
	return (uint64_t)((unsigned __int128)guest_tsc * page->scale >> 64) + (uint64_t)page->offset;
}

static uint64_t random64(void)
{
	uint64_t value = (uint64_t)rig_random() << 48 ^ (uint64_t)rig_random() << 24 ^ rig_random();

	return value >> rig_random() % 64;
}

static void products_and_quotients_are_exact(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t a = random64(), b = random64(), c = random64() | 1;
		unsigned __int128 product = (unsigned __int128)a * b, quotient = product / c;

		assert_int_equal(mul_high_u64(a, b), (uint64_t)(product >> 64));
		assert_int_equal(mul_div_u64(a, b, c), quotient >> 64 ? ~0ull : (uint64_t)quotient);
		if (a < c)
			assert_int_equal(div_shifted_u64(a, c), (uint64_t)(((unsigned __int128)a << 64) / c));
	}
	assert_int_equal(mul_div_u64(~0ull, ~0ull, ~0ull), ~0ull);
	assert_int_equal(mul_div_u64(~0ull, ~0ull, ~0ull - 1), ~0ull);
	assert_int_equal(div_shifted_u64(~0ull - 1, ~0ull), (uint64_t)(((unsigned __int128)(~0ull - 1) << 64) / ~0ull));
	assert_int_equal(div_shifted_u64(1, 2), 1ull << 63);
}

static void a_childs_time_starts_at_0_and_runs_in_100_ns(void **state)
{
	(void)state;
	assert_int_equal(ref_time_now(p), 0);
	rig.tsc += RIG_TSC_HZ;
	assert_in_range(ref_time_now(p), 9999999, 10000000);
	rig.tsc += 3600 * RIG_TSC_HZ;
	assert_in_range(ref_time_now(p), 36009999999, 36010000000);
}

static void the_roots_time_follows_the_machines_tsc(void **state)
{
	(void)state;
	rig_root(1);
	assert_int_equal(rig.partition.time.tsc_offset, 0);
	assert_in_range(ref_time_now(&rig.partition), 9999999999, 10000000000);
}

static void the_page_says_what_the_msr_says(void **state)
{
	(void)state;
	enable_page();
	for (unsigned i = 0; i < 100000; i++) {
		rig.tsc += rig_random() % 1000;
		assert_int_equal(time_of_page(), ref_time_now(p));
	}
}

static void the_page_is_written_whole_and_its_sequence_starts_at_1(void **state)
{
	static const uint8_t zero[sizeof(page->rsvd2)];

	(void)state;
	memset(rig_page(PAGE), 0xa5, PAGE_BYTES);
	enable_page();
	assert_int_equal(page->sequence, 1);
	assert_int_equal(page->rsvd, 0);
	assert_int_equal(page->scale, p->time.scale);
	assert_memory_equal(page->rsvd2, zero, sizeof(zero));
	enable_page();
	assert_int_equal(page->sequence, 2);
}

static void the_sequence_skips_the_values_that_mean_invalid(void **state)
{
	(void)state;
	p->time.sequence = 0xfffffffd;
	enable_page();
	assert_int_equal(page->sequence, 0xfffffffe);
	enable_page();
	assert_int_equal(page->sequence, 1);
}

static void the_page_stays_invalid_on_an_unreliable_tsc(void **state)
{
	(void)state;
	machine.tsc_reliable = false;
	memset(rig_page(PAGE), 0xa5, PAGE_BYTES);
	enable_page();
	assert_int_equal(page->sequence, 0);
}

static void a_disabled_page_is_not_touched(void **state)
{
	(void)state;
	memset(rig_page(PAGE), 0xa5, PAGE_BYTES);
	assert_true(ref_time_msr_write(p, (uint64_t)PAGE << 12));
	assert_int_equal(page->sequence, 0xa5a5a5a5);
	assert_int_equal(p->time.page_msr, (uint64_t)PAGE << 12);
}

static void a_page_without_ram_is_accepted_and_one_beyond_the_address_width_is_not(void **state)
{
	(void)state;
	assert_true(ref_time_msr_write(p, (uint64_t)(RIG_PAGES + 1) << 12 | 1));
	assert_false(ref_time_msr_write(p, 1ull << 40 | 1));
	assert_true(ref_time_msr_write(p, 1ull << 40));
}

static void a_frozen_clock_stands_and_its_page_is_invalid(void **state)
{
	uint64_t stopped;

	(void)state;
	enable_page();
	rig_advance_100ns(1000);
	stopped = ref_time_now(p);
	ref_time_freeze(p, true);
	rig_advance_100ns(5000);
	assert_int_equal(ref_time_now(p), stopped);
	assert_int_equal(page->sequence, 0);
	assert_int_equal(ref_time_to_tsc(p, stopped + 1), ~0ull);
	ref_time_freeze(p, true);
	ref_time_freeze(p, false);
	assert_int_equal(ref_time_now(p), stopped);
	assert_int_equal(page->sequence, 2);
	assert_int_equal(time_of_page(), stopped);
	rig_advance_100ns(10);
	assert_in_range(ref_time_now(p), stopped + 9, stopped + 10);
	assert_int_equal(time_of_page(), ref_time_now(p));
}

static void time_is_set_only_while_frozen(void **state)
{
	(void)state;
	assert_int_equal(ref_time_set(p, 5), HV_STATUS_INVALID_PARTITION_STATE);
	rig_advance_100ns(100000);
	ref_time_freeze(p, true);
	assert_int_equal(ref_time_set(p, 5), HV_STATUS_SUCCESS);
	assert_int_equal(ref_time_now(p), 5);
	ref_time_freeze(p, false);
	assert_int_equal(ref_time_now(p), 5);
	ref_time_freeze(p, true);
	assert_int_equal(ref_time_set(p, 1ull << 60), HV_STATUS_SUCCESS);
	ref_time_freeze(p, false);
	assert_int_equal(ref_time_now(p), 1ull << 60);
}

/* The TSC that is promised is the first at which the time is reached. */
static void check_tight(uint64_t when)
{
	uint64_t tsc = ref_time_to_tsc(p, when), before = rig.tsc;

	rig.tsc = tsc;
	assert_true(ref_time_now(p) >= when);
	rig.tsc = tsc - 1;
	assert_true(ref_time_now(p) < when);
	rig.tsc = before;
}

static void a_deadline_is_neither_early_nor_late(void **state)
{
	static const uint64_t rates[] = { 2000000000, 2294609377, 999999937, 3700000001, 10000019 };

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rates); i++) {
		machine.tsc_hz = rates[i];
		ref_time_init(p, false);
		for (unsigned n = 0; n < 10000; n++)
			check_tight(1 + random64() % (1ull << 50));
		ref_time_freeze(p, true);
		assert_int_equal(ref_time_set(p, 1ull << 40), HV_STATUS_SUCCESS);
		ref_time_freeze(p, false);
		for (unsigned n = 0; n < 10000; n++)
			check_tight((1ull << 40) + 1 + rig_random());
	}
}

static void a_time_that_has_passed_gives_a_tsc_that_has_passed(void **state)
{
	(void)state;
	rig_advance_100ns(1000);
	assert_true(ref_time_to_tsc(p, 0) <= rig.tsc);
	assert_true(ref_time_to_tsc(p, 999) <= rig.tsc);
	ref_time_freeze(p, true);
	assert_int_equal(ref_time_set(p, 1ull << 40), HV_STATUS_SUCCESS);
	ref_time_freeze(p, false);
	assert_true(ref_time_to_tsc(p, 5) <= rig.tsc);
	rig_root(1);
	assert_true(ref_time_to_tsc(&rig.partition, 5) <= rig.tsc);
}

static void a_time_beyond_the_tsc_never_comes(void **state)
{
	(void)state;
	assert_int_equal(ref_time_to_tsc(p, ~0ull), ~0ull);
	assert_int_equal(ref_time_to_tsc(p, ~0ull - 1), ~0ull);
	p->time.offset = -5;
	assert_int_equal(ref_time_to_tsc(p, ~0ull), ~0ull);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(products_and_quotients_are_exact),
		T(a_childs_time_starts_at_0_and_runs_in_100_ns),
		T(the_roots_time_follows_the_machines_tsc),
		T(the_page_says_what_the_msr_says),
		T(the_page_is_written_whole_and_its_sequence_starts_at_1),
		T(the_sequence_skips_the_values_that_mean_invalid),
		T(the_page_stays_invalid_on_an_unreliable_tsc),
		T(a_disabled_page_is_not_touched),
		T(a_page_without_ram_is_accepted_and_one_beyond_the_address_width_is_not),
		T(a_frozen_clock_stands_and_its_page_is_invalid),
		T(time_is_set_only_while_frozen),
		T(a_deadline_is_neither_early_nor_late),
		T(a_time_that_has_passed_gives_a_tsc_that_has_passed),
		T(a_time_beyond_the_tsc_never_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
