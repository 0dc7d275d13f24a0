/* SPDX-License-Identifier: Apache-2.0 */
#include "caller.h"

#include <string.h>

static struct page_pool pool;

static int setup(void **state)
{
	caller_setup(state);
	memset(&pool, 0, sizeof pool);
	return 0;
}

static spa_t dirty_page(unsigned n)
{
	spa_t page = SPA((8ull << 20) + n * PAGE_BYTES);

	memset(platform_ptr(page), 0xee, PAGE_BYTES);
	return page;
}

static bool is_zero(spa_t page)
{
	const uint8_t *bytes = platform_ptr(page);

	return bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE_BYTES - 1) == 0;
}

static void allocates_zeroed_pages_until_empty(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++)
		page_pool_add(&pool, dirty_page(i));
	for (unsigned i = 0; i < 3; i++) {
		spa_t page = page_pool_alloc(&pool);

		assert_int_not_equal(page.v, 0);
		assert_true(is_zero(page));
		memset(platform_ptr(page), 0xcc, PAGE_BYTES);
	}
	assert_int_equal(page_pool_alloc(&pool).v, 0);
	assert_int_equal(pool.used_count, 3);
	assert_int_equal(pool.free_count, 0);
}

static void freed_page_comes_back_zeroed(void **state)
{
	spa_t page;

	(void)state;
	page_pool_add(&pool, dirty_page(0));
	page = page_pool_alloc(&pool);
	memset(platform_ptr(page), 0xcc, PAGE_BYTES);
	page_pool_free(&pool, page);
	assert_int_equal(pool.free_count, 1);
	assert_int_equal(pool.used_count, 0);
	assert_true(page_pool_take(&pool, &page));
	assert_true(is_zero(page));
	assert_false(page_pool_take(&pool, &page));
	assert_int_equal(pool.free_count, 0);
}

static void reserve_is_for_those_who_ask(void **state)
{
	spa_t page;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		page_pool_add(&pool, dirty_page(i));
	pool.reserve = 3;
	assert_int_not_equal(page_pool_alloc(&pool).v, 0);
	assert_int_equal(page_pool_alloc(&pool).v, 0);
	assert_false(page_pool_take(&pool, &page));
	for (unsigned i = 0; i < 3; i++)
		assert_int_not_equal(page_pool_alloc_reserved(&pool).v, 0);
	assert_int_equal(page_pool_alloc_reserved(&pool).v, 0);
}

static void pages_of_the_block_are_never_given_away(void **state)
{
	spa_t page;

	(void)state;
	page_pool_add(&pool, SPA(FAKE_BLOCK_BASE));
	page_pool_add(&pool, dirty_page(0));
	page_pool_add(&pool, SPA(FAKE_BLOCK_BASE + PAGE_BYTES));
	assert_true(page_pool_take(&pool, &page));
	assert_int_equal(page.v, dirty_page(0).v);
	assert_false(page_pool_take(&pool, &page));
	assert_int_equal(pool.free_count, 2);
	assert_int_equal(page_pool_alloc(&pool).v, FAKE_BLOCK_BASE + PAGE_BYTES);
	assert_int_equal(page_pool_alloc(&pool).v, FAKE_BLOCK_BASE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(allocates_zeroed_pages_until_empty, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(freed_page_comes_back_zeroed, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(reserve_is_for_those_who_ask, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(pages_of_the_block_are_never_given_away, setup, caller_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
