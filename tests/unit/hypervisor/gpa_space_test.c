/* SPDX-License-Identifier: Apache-2.0 */
/* The GPA space against a plain array, and the root's identity map. */
#include "caller.h"

#include <string.h>

#include "core/gpa_access.h"
#include "core/lapic.h"

#define MODEL_PAGES 4096u			/* 16 MiB from MODEL_BASE on: two of its regions lie in another GiB */
#define MODEL_BASE  ((1ull << 30) - (12ull << 20))
#define OPERATIONS  150000u

static struct page_pool pool;
static struct gpa_space space;
static struct model_page {
	uint64_t spa;
	uint8_t access;
} model[MODEL_PAGES];

static int setup(void **state)
{
	caller_setup(state);
	memset(&pool, 0, sizeof pool);
	memset(model, 0, sizeof model);
	return 0;
}

static void fill_pool(unsigned pages)
{
	for (unsigned i = 0; i < pages; i++)
		page_pool_add(&pool, SPA((16ull << 20) + i * PAGE_BYTES));
}

static gpa_t gpa_of(unsigned page)
{
	return GPA(MODEL_BASE + page * PAGE_BYTES);
}

static uint64_t model_count(void)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < MODEL_PAGES; i++)
		count += model[i].access != 0;
	return count;
}

static void assert_page(unsigned page)
{
	uint64_t offset = caller_random(PAGE_BYTES);
	struct gpa_mapping m = gpa_space_lookup(&space, GPA(gpa_of(page).v + offset));

	assert_int_equal(m.access, model[page].access);
	if (m.access)
		assert_int_equal(m.spa.v, model[page].spa + offset);
}

static void model_set(unsigned first, unsigned count, uint64_t spa, uint8_t access)
{
	for (unsigned i = 0; i < count; i++)
		model[first + i] = (struct model_page){ spa + i * PAGE_BYTES, access };
}

/* Returns false when the pool was empty. */
static bool one_operation(unsigned *out_page)
{
	static const uint8_t rights[] = { 0, ACCESS_READ, ACCESS_READ | ACCESS_WRITE, ACCESS_ALL };
	bool large = caller_random(6) == 0;
	unsigned count = large ? 512 : 1, page = (unsigned)caller_random(MODEL_PAGES / count) * count;
	uint64_t spa = caller_random(1 << 10) * (large ? 2ull << 20 : PAGE_BYTES);
	uint8_t access = rights[caller_random(ARRAY_COUNT(rights))], level = large ? GPA_LEVEL_2M : GPA_LEVEL_4K;
	enum hv_status status;

	*out_page = page;
	if (access)
		status = gpa_space_map(&space, gpa_of(page), SPA(spa), access, level);
	else
		status = gpa_space_unmap(&space, gpa_of(page), level);
	if (status == HV_STATUS_INSUFFICIENT_MEMORY)
		return false;
	assert_int_equal(status, HV_STATUS_SUCCESS);
	model_set(page, count, spa, access);
	return true;
}

static void agrees_with_a_plain_array(void **state)
{
	unsigned page, refused = 0;

	(void)state;
	caller_seed(20240611);
	fill_pool(7);			/* root, two each of the next levels, and too few for all eight last ones */
	assert_status(gpa_space_init(&space, &pool), SUCCESS);
	for (unsigned i = 0; i < OPERATIONS; i++) {
		refused += !one_operation(&page);
		assert_page(page);
		assert_page((unsigned)caller_random(MODEL_PAGES));
		if (i % 10000)
			continue;
		for (unsigned k = 0; k < MODEL_PAGES; k++)
			assert_page(k);
		assert_int_equal(space.mapped_pages, model_count());
	}
	assert_true(refused > 100);
	gpa_space_fini(&space);
	assert_int_equal(pool.used_count, 0);
	assert_int_equal(pool.free_count, 7);
}

struct walk_check {
	uint64_t next;
	uint64_t pages;
};

static void check_leaf(void *arg, gpa_t gpa, spa_t spa, uint8_t level)
{
	struct walk_check *w = arg;

	assert_true(gpa.v >= w->next);
	w->next = gpa.v + GPA_LEVEL_BYTES(level);
	for (uint64_t at = 0; at < GPA_LEVEL_BYTES(level); at += PAGE_BYTES) {
		const struct model_page *m = &model[(gpa.v + at - MODEL_BASE) / PAGE_BYTES];

		assert_int_not_equal(m->access, 0);
		assert_int_equal(m->spa, spa.v + at);
		w->pages++;
	}
}

static void visits_every_leaf_once_in_order(void **state)
{
	struct walk_check w = { 0, 0 };
	unsigned page;

	(void)state;
	caller_seed(7);
	fill_pool(64);
	assert_status(gpa_space_init(&space, &pool), SUCCESS);
	for (unsigned i = 0; i < 2000; i++)
		assert_true(one_operation(&page));
	gpa_space_for_each(&space, check_leaf, &w);
	assert_int_equal(w.pages, model_count());
}

static void refuses_what_is_not_aligned_or_outside(void **state)
{
	(void)state;
	fill_pool(8);
	assert_status(gpa_space_init(&space, &pool), SUCCESS);
	assert_status(gpa_space_map(&space, GPA(0x800), SPA(0), ACCESS_ALL, GPA_LEVEL_4K), INVALID_PARAMETER);
	assert_status(gpa_space_map(&space, GPA(0), SPA(0x800), ACCESS_ALL, GPA_LEVEL_4K), INVALID_PARAMETER);
	assert_status(gpa_space_map(&space, GPA(0x1000), SPA(0), ACCESS_ALL, GPA_LEVEL_2M), INVALID_PARAMETER);
	assert_status(gpa_space_map(&space, GPA(0), SPA(0x1000), ACCESS_ALL, GPA_LEVEL_2M), INVALID_PARAMETER);
	assert_status(gpa_space_map(&space, GPA(1ull << 48), SPA(0), ACCESS_ALL, GPA_LEVEL_4K), INVALID_PARAMETER);
	assert_status(gpa_space_map(&space, GPA(0), SPA(0), ACCESS_ALL, 3), INVALID_PARAMETER);
	assert_status(gpa_space_map(&space, GPA(0), SPA(0), 0, GPA_LEVEL_4K), INVALID_PARAMETER);
	assert_int_equal(gpa_space_lookup(&space, GPA(1ull << 50)).access, 0);
	assert_int_equal(pool.used_count, 1);
}

static void a_change_of_what_was_mapped_asks_for_a_flush(void **state)
{
	uint64_t generation;

	(void)state;
	fill_pool(8);
	assert_status(gpa_space_init(&space, &pool), SUCCESS);
	assert_status(gpa_space_map(&space, GPA(0x1000), SPA(0x5000), ACCESS_ALL, GPA_LEVEL_4K), SUCCESS);
	generation = space.generation;
	assert_status(gpa_space_map(&space, GPA(0x2000), SPA(0x6000), ACCESS_ALL, GPA_LEVEL_4K), SUCCESS);
	assert_int_equal(space.generation, generation);
	assert_status(gpa_space_unmap(&space, GPA(0x3000), GPA_LEVEL_4K), SUCCESS);
	assert_int_equal(space.generation, generation);
	assert_status(gpa_space_map(&space, GPA(0x1000), SPA(0x5000), ACCESS_READ, GPA_LEVEL_4K), SUCCESS);
	assert_true(space.generation > generation);
	generation = space.generation;
	assert_status(gpa_space_unmap(&space, GPA(0x1000), GPA_LEVEL_4K), SUCCESS);
	assert_true(space.generation > generation);
}

static unsigned released;

static void count_released(void *arg, gpa_t gpa, spa_t spa, uint8_t level)
{
	(void)arg;
	(void)gpa;
	(void)level;
	assert_int_equal(spa.v, 0x400000 + released * PAGE_BYTES);
	released++;
}

static void a_detached_table_lives_until_it_is_released(void **state)
{
	uint64_t old, used;

	(void)state;
	fill_pool(8);
	assert_status(gpa_space_init(&space, &pool), SUCCESS);
	assert_status(gpa_space_map(&space, GPA(0), SPA(0x400000), ACCESS_ALL, GPA_LEVEL_2M), SUCCESS);
	assert_status(gpa_space_map(&space, GPA(0x5000), SPA(0x405000), ACCESS_READ, GPA_LEVEL_4K), SUCCESS);
	used = pool.used_count;
	assert_status(gpa_space_exchange(&space, GPA(0), SPA(0), 0, GPA_LEVEL_2M, &old), SUCCESS);
	assert_int_equal(pool.used_count, used);
	assert_int_equal(space.mapped_pages, 0);
	released = 0;
	gpa_space_release(&space, GPA(0), old, GPA_LEVEL_2M, count_released, NULL);
	assert_int_equal(released, 512);
	assert_int_equal(pool.used_count, used - 1);
}

/* --- The root ------------------------------------------------------------------------------------------------------- */

static void the_root_sees_all_but_the_block_and_the_lapic(void **state)
{
	struct gpa_space *root = &root_partition->space;
	const uint64_t plain[] = { 0, 0x1000, FAKE_BLOCK_BASE - 1, FAKE_BLOCK_BASE + FAKE_BLOCK_BYTES, LAPIC_MMIO_BASE - 1,
				   LAPIC_MMIO_BASE + 0x1000, (1ull << FAKE_PHYS_BITS) - 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(plain); i++) {
		struct gpa_mapping m = gpa_space_lookup(root, GPA(plain[i]));

		assert_int_equal(m.access, ACCESS_ALL);
		assert_int_equal(m.spa.v, plain[i]);
	}
	assert_int_equal(gpa_space_lookup(root, GPA(LAPIC_MMIO_BASE)).access, 0);
	assert_int_equal(gpa_space_lookup(root, GPA(1ull << FAKE_PHYS_BITS)).access, 0);
	for (uint64_t at = FAKE_BLOCK_BASE; at < FAKE_BLOCK_BASE + FAKE_BLOCK_BYTES; at += PAGE_BYTES)
		assert_int_equal(gpa_space_lookup(root, GPA(at)).spa.v, partition_dummy_page().v);
}

static void a_shown_page_is_the_only_one_of_its_region(void **state)
{
	struct gpa_space *root = &root_partition->space;
	spa_t page = page_pool_alloc(&root_partition->pool);
	uint8_t byte = 0x77, got;

	(void)state;
	memset(platform_ptr(page), 0x42, PAGE_BYTES);
	assert_int_equal(gpa_read(root_partition, GPA(page.v), &got, 1), GPA_DONE);
	assert_int_equal(got, 0);
	assert_int_equal(gpa_write(root_partition, GPA(page.v), &byte, 1), GPA_DONE);
	assert_int_equal(*(uint8_t *)platform_ptr(page), 0x42);		/* it went nowhere */

	assert_status(partition_show_page(page, ACCESS_READ), SUCCESS);
	for (uint64_t at = FAKE_BLOCK_BASE; at < FAKE_BLOCK_BASE + FAKE_BLOCK_BYTES; at += PAGE_BYTES)
		assert_int_equal(gpa_space_lookup(root, GPA(at)).spa.v, at == page.v ? page.v : partition_dummy_page().v);
	assert_int_equal(gpa_read(root_partition, GPA(page.v), &got, 1), GPA_DONE);
	assert_int_equal(got, 0x42);
	assert_int_equal(gpa_write(root_partition, GPA(page.v), &byte, 1), GPA_NOT_ALLOWED);

	partition_hide_page(page);
	assert_int_equal(gpa_space_lookup(root, GPA(page.v)).spa.v, partition_dummy_page().v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(agrees_with_a_plain_array, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(visits_every_leaf_once_in_order, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_not_aligned_or_outside, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_change_of_what_was_mapped_asks_for_a_flush, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_detached_table_lives_until_it_is_released, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(the_root_sees_all_but_the_block_and_the_lapic, setup, caller_teardown),
		cmocka_unit_test_setup_teardown(a_shown_page_is_the_only_one_of_its_region, setup, caller_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
