// SPDX-License-Identifier: Apache-2.0
/* Dynamic memory in a worker: what the device asks of its owner reaches the partition and the worker's own memory. */
#include "cmocka_all.h"

#include <errno.h>

#include "fake_backend.h"
#include "worker/dynamic_memory.h"

#define MIB        0x100000ull
#define MIB_PAGES  256u
#define START      (8 * MIB)
#define MAXIMUM    (264 * MIB)

static const struct vmbus_guid instance = { 0x1eccfd72, 0x4b41, 0x45ef, { 0xb7, 0x3a, 0x4a, 0x6e, 0x44, 0xc1, 0x29, 0x24 } };
static struct fake_backend fake;
static struct guest_mem mem;
static struct dynamic_memory d;
static struct failure why;
static unsigned statuses, failures;

static void status(void *context)
{
	statuses++;
}

static void failed(void *context, const struct failure *reason)
{
	assert_string_equal(reason->text, "fake: restore fails");
	failures++;
}

static const struct dynamic_memory_events events = { status, failed };

static int make(void **state)
{
	statuses = failures = 0;
	fake_backend_init(&fake);
	assert_int_equal(guest_mem_init(&mem, START, &why), 0);
	assert_int_equal(guest_mem_reserve(&mem, MAXIMUM - START, &why), 0);
	return dynamic_memory_init(&d, &instance, MAXIMUM, &fake.base, &mem, &events, NULL, &why);
}

static int finish(void **state)
{
	dynamic_memory_fini(&d);
	guest_mem_fini(&mem);
	fake_backend_fini(&fake);
	return 0;
}

/* A saved state with 128 MiB added and these pages ballooned. */
static uint8_t *saved_state(uint64_t first, uint64_t count, size_t *out_bytes)
{
	struct dm_state state;
	uint8_t *saved;

	*out_bytes = dm_state_bytes(&d.dm);
	saved = malloc(*out_bytes);
	dm_get_state(&d.dm, saved);
	memcpy(&state, saved, sizeof state);
	state.phase = DM_READY;
	state.version = DM_VERSION_WIN10;
	state.added_count = 1;
	state.added[0] = (struct dm_range){ mem.growth.gpa / 4096, 128 * MIB_PAGES };
	memcpy(saved, &state, sizeof state);
	for (; count; count--, first++)
		saved[sizeof state + first / 8] |= (uint8_t)(1 << first % 8);
	return saved;
}

static void the_machine_is_as_its_memory(void **state)
{
	struct dynamic_memory other;
	struct dm_status now;

	dm_get_status(&d.dm, &now);
	assert_int_equal(now.assigned, START / 4096);
	assert_int_equal(d.dm.config.max_pages, MAXIMUM / 4096);
	assert_int_equal(d.dm.config.hot.first, mem.growth.gpa / 4096);
	assert_int_equal(dynamic_memory_init(&other, &instance, START - 1, &fake.base, &mem, &events, NULL, &why), -EINVAL);
	assert_non_null(strstr(why.text, "7 MiB are no maximum"));
}

static void pages_come_and_go(void **state)
{
	const struct dm_events *dm_events = d.dm.events;
	uint8_t *byte = guest_mem_range(&mem, MIB, 1);

	byte[0] = 7;
	dm_events->give_back(&d, MIB_PAGES, 2);
	assert_int_equal(fake.released_bytes, 8192);
	assert_int_equal(fake.changed_gpa, MIB);
	assert_int_equal(byte[0], 0);
	assert_int_equal(dm_events->take(&d, MIB_PAGES, 2), 0);
	assert_int_equal(fake.restored_bytes, 8192);
	assert_int_equal(dm_events->hot_add(&d, mem.growth.gpa / 4096, 128 * MIB_PAGES), 0);
	assert_int_equal(fake.mapped_bytes, 128 * MIB);
	dm_events->status(&d);
	assert_int_equal(statuses, 1);
}

static void refusals_of_the_driver_are_passed_on(void **state)
{
	const struct dm_events *dm_events = d.dm.events;

	fake.fail_error = -ENOMEM;
	fake.fail_call = "release";
	dm_events->give_back(&d, 0, 1);
	dm_events->give_back(&d, 0, 1);
	assert_int_equal(d.take_failures, 2);
	fake.fail_call = "restore";
	assert_int_equal(dm_events->take(&d, 0, 1), -ENOMEM);
	fake.fail_call = "map";
	assert_int_equal(dm_events->hot_add(&d, mem.growth.gpa / 4096, 128 * MIB_PAGES), -ENOMEM);
	assert_int_equal(d.return_failures, 2);
}

static void a_restored_one_has_the_same_pages(void **state)
{
	size_t bytes;
	uint8_t *saved = saved_state(100, 50, &bytes);

	assert_int_equal(dynamic_memory_set_state(&d, saved, bytes, &why), -EINVAL);	/* not paused */
	assert_non_null(strstr(why.text, "does not fit"));
	dm_pause(&d.dm);
	assert_int_equal(dynamic_memory_set_state(&d, saved, bytes, &why), 0);
	assert_int_equal(fake.mapped_bytes, 128 * MIB);
	assert_int_equal(fake.changed_gpa, 100 * 4096);
	assert_int_equal(fake.changed_bytes, 50 * 4096);
	assert_non_null(guest_mem_range(&mem, mem.growth.gpa, 128 * MIB));

	/* The guest starts over: all of it has to come back, or the machine ends. */
	d.dm.events->reset(&d);
	assert_int_equal(fake.restored_bytes, 50 * 4096);
	assert_int_equal(failures, 0);
	fake.fail_call = "restore";
	fake.fail_error = -ENOMEM;
	d.dm.events->reset(&d);
	assert_int_equal(failures, 1);
	free(saved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_machine_is_as_its_memory, make, finish),
		cmocka_unit_test_setup_teardown(pages_come_and_go, make, finish),
		cmocka_unit_test_setup_teardown(refusals_of_the_driver_are_passed_on, make, finish),
		cmocka_unit_test_setup_teardown(a_restored_one_has_the_same_pages, make, finish),
	};

	return cmocka_run_group_tests_name("dynamic_memory", tests, NULL, NULL);
}
