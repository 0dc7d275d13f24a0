// SPDX-License-Identifier: Apache-2.0
/* Sets of page frames: against a plain array, at word and limit edges, saved and loaded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "dm/page_set.h"

#define LIMIT 1000u

static struct page_set set;

static int make(void **state)
{
	return page_set_init(&set, LIMIT);
}

static int finish(void **state)
{
	page_set_fini(&set);
	return 0;
}

static void it_agrees_with_a_plain_array(void **state)
{
	bool plain[LIMIT] = { false };
	unsigned seed = 1, in = 0;

	for (unsigned n = 0; n < 20000; n++) {
		unsigned first = rand_r(&seed) % LIMIT, most = n % 3 ? 200 : 5;
		unsigned count = 1 + rand_r(&seed) % (LIMIT - first < most ? LIMIT - first : most), have = 0;
		uint64_t found = LIMIT, length = 0;

		for (unsigned i = first; i < first + count; i++)
			have += plain[i];
		assert_int_equal(page_set_overlaps(&set, first, count), have > 0);
		if (have == 0 || have == count) {
			if (have)
				page_set_remove(&set, first, count);
			else
				page_set_add(&set, first, count);
			for (unsigned i = first; i < first + count; i++)
				plain[i] = !have;
			in = have ? in - count : in + count;
		}
		assert_int_equal(set.count, in);
		while (first < LIMIT && !plain[first])
			first++;
		for (unsigned i = first; i < LIMIT && plain[i] && i < first + most; i++)
			length++;
		assert_int_equal(page_set_next(&set, first, most, &found), length);
		assert_int_equal(found, first);
	}
}

static void runs_end_at_the_limit(void **state)
{
	uint64_t first;

	page_set_add(&set, 0, LIMIT);
	assert_int_equal(page_set_next(&set, 0, UINT64_MAX, &first), LIMIT);
	assert_int_equal(page_set_next(&set, 999, UINT64_MAX, &first), 1);
	assert_int_equal(page_set_next(&set, LIMIT, UINT64_MAX, &first), 0);
	page_set_clear(&set);
	assert_int_equal(set.count, 0);
	assert_int_equal(page_set_next(&set, 0, UINT64_MAX, &first), 0);
}

static void what_is_saved_is_loaded(void **state)
{
	uint8_t *bytes = malloc(page_set_bytes(&set));
	uint64_t first;

	page_set_add(&set, 63, 66);
	page_set_add(&set, 990, 10);
	page_set_save(&set, bytes);
	page_set_clear(&set);
	assert_int_equal(page_set_load(&set, bytes), 0);
	assert_int_equal(set.count, 76);
	assert_int_equal(page_set_next(&set, 0, 1000, &first), 66);
	assert_int_equal(first, 63);
	bytes[LIMIT / 8] |= 1 << LIMIT % 8;		/* a frame at the limit */
	assert_int_equal(page_set_load(&set, bytes), -EINVAL);
	assert_int_equal(set.count, 76);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_agrees_with_a_plain_array, make, finish),
		cmocka_unit_test_setup_teardown(runs_end_at_the_limit, make, finish),
		cmocka_unit_test_setup_teardown(what_is_saved_is_loaded, make, finish),
	};

	return cmocka_run_group_tests_name("page_set", tests, NULL, NULL);
}
