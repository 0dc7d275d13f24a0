/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"

#include "core/frame.h"
#include "core/lapic.h"

static const spa_t page = { 5 << 20 };

static void a_deposited_frame_is_nobody_elses(void **state)
{
	(void)state;
	assert_status(frame_deposit(page), SUCCESS);
	assert_status(frame_deposit(page), OPERATION_DENIED);
	assert_status(frame_map_get(page, 1), OPERATION_DENIED);
	frame_withdraw(page);
	assert_status(frame_map_get(page, 1), SUCCESS);
	frame_map_put(page, 1);
}

static void a_mapped_frame_cannot_be_deposited(void **state)
{
	(void)state;
	assert_status(frame_map_get(page, 1), SUCCESS);
	assert_status(frame_map_get(page, 1), SUCCESS);
	frame_map_put(page, 1);
	assert_status(frame_deposit(page), OBJECT_IN_USE);
	frame_map_put(page, 1);
	assert_status(frame_deposit(page), SUCCESS);
}

static void a_range_is_counted_wholly_or_not_at_all(void **state)
{
	spa_t last = SPA(page.v + 511 * PAGE_BYTES);

	(void)state;
	assert_status(frame_deposit(last), SUCCESS);
	assert_status(frame_map_get(page, 512), OPERATION_DENIED);
	assert_status(frame_deposit(page), SUCCESS);		/* no count was left behind */
	frame_withdraw(page);
	frame_withdraw(last);
	assert_status(frame_map_get(page, 512), SUCCESS);
	assert_status(frame_deposit(last), OBJECT_IN_USE);
	frame_map_put(page, 512);
	assert_status(frame_deposit(last), SUCCESS);
}

static void the_count_does_not_overflow(void **state)
{
	unsigned count = 0;

	(void)state;
	while (frame_map_get(page, 1) == HV_STATUS_SUCCESS)
		count++;
	assert_int_equal(count, 0x3fff);
	assert_status(frame_map_get(page, 1), OBJECT_IN_USE);
	assert_status(frame_deposit(page), OBJECT_IN_USE);
	while (count--)
		frame_map_put(page, 1);
	assert_status(frame_deposit(page), SUCCESS);
}

static void only_the_parents_ram_counts(void **state)
{
	const spa_t bad[] = { { 0 }, { FAKE_RAM_BYTES }, { 1ull << 39 }, { ~0ull << 12 }, { FAKE_BLOCK_BASE },
			      { FAKE_BLOCK_BASE + FAKE_BLOCK_BYTES - PAGE_BYTES }, { LAPIC_MMIO_BASE } };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
		assert_status(frame_deposit(bad[i]), OPERATION_DENIED);
		assert_status(frame_map_get(bad[i], 1), OPERATION_DENIED);
	}
	assert_status(frame_deposit(SPA(FAKE_BLOCK_BASE + FAKE_BLOCK_BYTES)), SUCCESS);
	assert_status(frame_deposit(SPA(FAKE_RAM_BYTES - PAGE_BYTES)), SUCCESS);
}

static void holes_are_not_ram(void **state)
{
	const uint64_t base = 61ull << 20;

	(void)state;
	assert_true(frame_add_hole(SPA(base), 1 << 20));
	assert_true(frame_add_hole(SPA(base + (1 << 20)), 1 << 20));	/* grows the first */
	assert_status(frame_deposit(SPA(base)), OPERATION_DENIED);
	assert_status(frame_deposit(SPA(base + (2 << 20) - PAGE_BYTES)), OPERATION_DENIED);
	assert_status(frame_deposit(SPA(base + (2 << 20))), SUCCESS);
	assert_false(frame_is_ram(SPA(base + 5)));
	assert_true(frame_is_ram(SPA(base - 1)));
}

static void no_memory_for_the_words_is_told(void **state)
{
	(void)state;
	while (page_pool_alloc_reserved(&root_partition->pool).v)
		;
	assert_status(frame_deposit(page), INSUFFICIENT_MEMORY);
	assert_status(frame_map_get(page, 1), INSUFFICIENT_MEMORY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_deposited_frame_is_nobody_elses, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_mapped_frame_cannot_be_deposited, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_range_is_counted_wholly_or_not_at_all, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(the_count_does_not_overflow, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(only_the_parents_ram_counts, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(holes_are_not_ram, caller_setup, caller_teardown),
		cmocka_unit_test_setup_teardown(no_memory_for_the_words_is_told, caller_setup, caller_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
