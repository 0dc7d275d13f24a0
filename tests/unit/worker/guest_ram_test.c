// SPDX-License-Identifier: Apache-2.0
/* RAM that comes and goes: what the worker may address, what the partition is told, and what is undone on failure. */
#include "cmocka_all.h"

#include <errno.h>

#include "fake_backend.h"
#include "worker/guest_ram.h"

#define MIB 0x100000ull

static struct fake_backend fake;
static struct guest_mem mem;
static struct failure why;

static int make(void **state)
{
	fake_backend_init(&fake);
	assert_int_equal(guest_mem_init(&mem, 8 * MIB, &why), 0);
	assert_int_equal(guest_mem_reserve(&mem, 512 * MIB, &why), 0);
	return 0;
}

static int finish(void **state)
{
	guest_mem_fini(&mem);
	fake_backend_fini(&fake);
	return 0;
}

#define HOT (GUEST_MEM_HIGH_BASE)

static void address_space_is_no_ram_yet(void **state)
{
	assert_int_equal(mem.growth.gpa, HOT);
	assert_int_equal(guest_mem_top(&mem), HOT + 512 * MIB);
	assert_null(guest_mem_range(&mem, HOT, 1));
	assert_null(guest_mem_range(&mem, HOT, 0));
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT + 128 * MIB, 128 * MIB, &why), 0);
	assert_int_equal(fake.mapped_bytes, 128 * MIB);
	assert_non_null(guest_mem_range(&mem, HOT + 128 * MIB, 128 * MIB));
	assert_ptr_equal(guest_mem_range(&mem, HOT + 256 * MIB - 1, 1), mem.growth.host + 256 * MIB - 1);
	assert_null(guest_mem_range(&mem, HOT + 128 * MIB - 1, 2));
	assert_null(guest_mem_range(&mem, HOT + 256 * MIB - 1, 2));
	assert_null(guest_mem_range(&mem, HOT + 512 * MIB, 0));
	assert_null(guest_mem_range(&mem, HOT + 512 * MIB - 1, UINT64_MAX));
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT + 384 * MIB, 128 * MIB, &why), 0);
	assert_non_null(guest_mem_range(&mem, HOT + 512 * MIB - 1, 1));
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT + 512 * MIB, 2 * MIB, &why), -EINVAL);
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT + MIB, 2 * MIB, &why), -EINVAL);
	assert_int_equal(guest_ram_add(&fake.base, &mem, 0, 2 * MIB, &why), -EINVAL);
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT, 0, &why), -EINVAL);
}

static void large_memory_grows_behind_its_end(void **state)
{
	struct guest_mem large;

	assert_int_equal(guest_mem_init(&large, GUEST_MEM_LOW_MAX + 130 * MIB, &why), 0);
	assert_int_equal(guest_mem_reserve(&large, 0, &why), 0);
	assert_null(guest_mem_range(&large, GUEST_MEM_HIGH_BASE + 130 * MIB, 1));
	assert_int_equal(guest_mem_reserve(&large, MIB, &why), -EINVAL);
	assert_int_equal(guest_mem_reserve(&large, 2 * MIB, &why), 0);
	assert_int_equal(large.growth.gpa, GUEST_MEM_HIGH_BASE + 256 * MIB);
	guest_mem_fini(&large);
}

static void what_is_taken_comes_back_zeroed(void **state)
{
	uint8_t *byte = guest_mem_range(&mem, 2 * MIB, 1);

	byte[0] = byte[4096] = byte[8192] = 7;
	assert_int_equal(guest_ram_take(&fake.base, &mem, 2 * MIB + 4096, 4096, &why), 0);
	assert_int_equal(fake.released_bytes, 4096);
	assert_int_equal(fake.changed_gpa, 2 * MIB + 4096);
	assert_int_equal(byte[0], 7);
	assert_int_equal(byte[4096], 0);
	assert_int_equal(byte[8192], 7);
	byte[4096] = 9;				/* a device that came too late */
	assert_int_equal(guest_ram_return(&fake.base, &mem, 2 * MIB + 4096, 4096, &why), 0);
	assert_int_equal(fake.restored_bytes, 4096);
	assert_int_equal(byte[4096], 0);
}

static void ranges_that_are_no_ram_are_refused(void **state)
{
	assert_int_equal(guest_ram_take(&fake.base, &mem, 8 * MIB, 4096, &why), -EINVAL);
	assert_int_equal(guest_ram_take(&fake.base, &mem, 1, 4096, &why), -EINVAL);
	assert_int_equal(guest_ram_take(&fake.base, &mem, 0, 1, &why), -EINVAL);
	assert_int_equal(guest_ram_take(&fake.base, &mem, 0, 0, &why), -EINVAL);
	assert_int_equal(guest_ram_return(&fake.base, &mem, UINT64_MAX - 4095, 4096, &why), -EINVAL);
	assert_int_equal(guest_ram_return(&fake.base, &mem, HOT, 4096, &why), -EINVAL);
	assert_int_equal(fake.released_bytes + fake.restored_bytes, 0);
}

static void a_range_over_the_end_of_a_slot(void **state)
{
	struct guest_mem large;

	assert_int_equal(guest_mem_init(&large, GUEST_MEM_LOW_MAX + 128 * MIB, &why), 0);
	assert_int_equal(guest_mem_reserve(&large, 128 * MIB, &why), 0);
	assert_int_equal(large.growth.gpa, GUEST_MEM_HIGH_BASE + 128 * MIB);
	assert_int_equal(guest_ram_add(&fake.base, &large, large.growth.gpa, 128 * MIB, &why), 0);
	assert_int_equal(guest_ram_take(&fake.base, &large, large.growth.gpa - 3 * 4096, 8 * 4096, &why), 0);
	assert_int_equal(fake.released_bytes, 8 * 4096);
	assert_int_equal(guest_ram_return(&fake.base, &large, large.growth.gpa - 3 * 4096, 8 * 4096, &why), 0);
	assert_int_equal(fake.restored_bytes, 8 * 4096);
	assert_int_equal(guest_ram_take(&fake.base, &large, GUEST_MEM_LOW_MAX - 4096, 8192, &why), -EINVAL);
	guest_mem_fini(&large);
}

static void failures_leave_the_guest_with_nothing(void **state)
{
	fake.fail_error = -ENOMEM;
	fake.fail_call = "restore";
	assert_int_equal(guest_ram_return(&fake.base, &mem, 0, 2 * MIB, &why), -ENOMEM);
	assert_string_equal(why.text, "fake: restore fails");
	assert_int_equal(fake.released_bytes, 4 * MIB);		/* before, and after */
	fake.fail_call = "map";
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT, 128 * MIB, &why), -ENOMEM);
	assert_null(guest_mem_range(&mem, HOT, 1));
	assert_int_equal(fake.released_bytes, 4 * MIB);		/* there was nothing */
	fake.fail_call = "release";
	assert_int_equal(guest_ram_take(&fake.base, &mem, 0, 4096, &why), -ENOMEM);
}

/* The guest took a part of what was added, the rest was taken; then all of it, and more, is added again. */
static void what_was_added_before_is_not_mapped_twice(void **state)
{
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT, 128 * MIB, &why), 0);
	assert_int_equal(guest_ram_take(&fake.base, &mem, HOT + 64 * MIB, 64 * MIB, &why), 0);
	fake.released_bytes = 0;
	fake.fail_call = "map";
	fake.fail_error = -ENOMEM;
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT + 64 * MIB, 128 * MIB, &why), -ENOMEM);
	assert_int_equal(fake.restored_bytes, 64 * MIB);
	assert_int_equal(fake.changed_gpa, HOT + 64 * MIB);	/* released again */
	assert_int_equal(fake.changed_bytes, 64 * MIB);
	assert_int_equal(fake.released_bytes, 2 * 64 * MIB);
	fake.fail_call = NULL;
	fake.mapped_bytes = 0;
	assert_int_equal(guest_ram_add(&fake.base, &mem, HOT + 64 * MIB, 128 * MIB, &why), 0);
	assert_int_equal(fake.mapped_bytes, 64 * MIB);
	assert_non_null(guest_mem_range(&mem, HOT, 192 * MIB));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(address_space_is_no_ram_yet, make, finish),
		cmocka_unit_test_setup_teardown(large_memory_grows_behind_its_end, make, finish),
		cmocka_unit_test_setup_teardown(what_is_taken_comes_back_zeroed, make, finish),
		cmocka_unit_test_setup_teardown(ranges_that_are_no_ram_are_refused, make, finish),
		cmocka_unit_test_setup_teardown(a_range_over_the_end_of_a_slot, make, finish),
		cmocka_unit_test_setup_teardown(failures_leave_the_guest_with_nothing, make, finish),
		cmocka_unit_test_setup_teardown(what_was_added_before_is_not_mapped_twice, make, finish),
	};

	return cmocka_run_group_tests_name("guest_ram", tests, NULL, NULL);
}
