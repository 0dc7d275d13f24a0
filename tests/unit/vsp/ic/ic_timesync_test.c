// SPDX-License-Identifier: Apache-2.0
/* Time synchronization: formats, when the guest's clock is set and when it is only compared, one instant for both
 * clocks. */
#include "ic_rig.h"

#include <errno.h>

#include "ic/timesync.h"

static struct rig rig;
static struct timesync timesync;

static int make(void **state)
{
	timesync_init(&timesync);
	rig_init(&rig, &timesync.ic.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void open_ready(uint16_t major)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_negotiate(&rig, (struct ic_version){ 3, 0 }, (struct ic_version){ major, 0 });
}

static void keep(uint8_t *body, void *context)
{
	memcpy(context, body, sizeof(struct ic_timesync));
}

static struct ic_timesync next(void)
{
	struct ic_timesync body;

	rig_answer(&rig, IC_MESSAGE_TIMESYNC, 24, 0, keep, &body);
	return body;
}

static void version_4_is_byte_exact(void **state)
{
	uint8_t expected[52] = {
		1, 0, 0, 0, 44, 0, 0, 0,
		3, 0, 0, 0, 4, 0, 4, 0, 0, 0, 24, 0, 0, 0, 0, 0, 2, 3, 0, 0,
	};
	uint64_t wall = RIG_WALL_OFFSET + 10000000, reference = RIG_REFERENCE_OFFSET + 10000000;
	struct rig_packet packet;

	rig_advance(&rig, RIG_SECOND);
	rig.clock_step_ns = 1;
	open_ready(4);
	assert_int_equal(rig.now_ns, RIG_SECOND + 3);	/* one try is enough when nothing comes between */
	memcpy(expected + 28, &wall, 8);
	memcpy(expected + 36, &reference, 8);
	expected[44] = 1;
	packet = rig_take(&rig);
	assert_int_equal(packet.bytes, sizeof expected);
	assert_memory_equal(packet.payload, expected, sizeof expected);
	free(packet.payload);
}

static void older_versions_are_byte_exact(void **state)
{
	for (uint16_t major = 1; major <= 3; major += 2) {
		uint8_t expected[56] = {
			1, 0, 0, 0, 48, 0, 0, 0,
			3, 0, 0, 0, 4, 0, (uint8_t)major, 0, 0, 0, 28, 0, 0, 0, 0, 0, (uint8_t)(1 + major), 3, 0, 0,
		};
		uint64_t wall = RIG_WALL_OFFSET;
		struct rig_packet packet;

		open_ready(major);
		memcpy(expected + 28, &wall, 8);
		expected[52] = 1;
		packet = rig_take(&rig);
		assert_int_equal(packet.bytes, sizeof expected);
		assert_memory_equal(packet.payload, expected, sizeof expected);
		free(packet.payload);
		rig_close(&rig);
	}
}

static void sets_once_then_samples_every_five_seconds(void **state)
{
	open_ready(4);
	assert_int_equal(next().flags, IC_TIMESYNC_SYNC);
	for (unsigned i = 1; i < 100; i++) {
		struct ic_timesync sample;

		rig_advance(&rig, TIMESYNC_PERIOD_NS - 1);
		assert_int_equal(rig_unread(&rig), 0);
		rig_advance(&rig, 1);
		sample = next();
		assert_int_equal(sample.flags, IC_TIMESYNC_SAMPLE);
		assert_int_equal(sample.wall_time - RIG_WALL_OFFSET, i * 50000000ull);
		assert_int_equal(sample.reference_time - RIG_REFERENCE_OFFSET, i * 50000000ull);
	}
}

static void both_clocks_are_of_one_instant(void **state)
{
	struct ic_timesync sample;

	/* Interrupted for a second at each look, three times: the fourth try is undisturbed. */
	rig.clock_step_ns = 1000;
	rig.slow_reads = 9;
	rig.slow_step_ns = RIG_SECOND;
	open_ready(4);
	sample = next();
	assert_int_equal(sample.wall_time - RIG_WALL_OFFSET, sample.reference_time - RIG_REFERENCE_OFFSET);
	/* Interrupted always: the best there is, in the middle. */
	rig.slow_reads = 1000;
	rig_advance(&rig, TIMESYNC_PERIOD_NS);
	sample = next();
	assert_int_equal(sample.wall_time - RIG_WALL_OFFSET, sample.reference_time - RIG_REFERENCE_OFFSET);
}

static void a_resume_sets_the_clock(void **state)
{
	open_ready(4);
	assert_int_equal(next().flags, IC_TIMESYNC_SYNC);
	ic_pause(&timesync.ic);
	assert_int_equal(rig_timers(&rig), 0);
	rig_advance(&rig, 3600 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 0);
	ic_resume(&timesync.ic);
	assert_int_equal(next().flags, IC_TIMESYNC_SYNC);
	rig_advance(&rig, TIMESYNC_PERIOD_NS);
	assert_int_equal(next().flags, IC_TIMESYNC_SAMPLE);
}

static void a_sync_behind_a_sample_is_sent_right_after_it(void **state)
{
	open_ready(4);
	(void)next();
	rig_advance(&rig, TIMESYNC_PERIOD_NS);
	timesync_sync(&timesync);
	assert_int_equal(rig_unread(&rig), 1);
	assert_int_equal(next().flags, IC_TIMESYNC_SAMPLE);
	assert_int_equal(next().flags, IC_TIMESYNC_SYNC);
	assert_int_equal(rig_unread(&rig), 0);
}

static void a_silent_guest_gets_no_pile(void **state)
{
	open_ready(4);
	rig_advance(&rig, 3600 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 1);
	(void)next();
	rig_advance(&rig, TIMESYNC_PERIOD_NS);
	assert_int_equal(next().flags, IC_TIMESYNC_SAMPLE);
	rig_advance(&rig, TIMESYNC_PERIOD_NS);
	rig_drop(&rig);					/* read without an answer */
	rig_advance(&rig, 3 * TIMESYNC_PERIOD_NS);
	assert_int_equal(rig_unread(&rig), 1);
}

static void syncs_without_a_guest_wait(void **state)
{
	timesync_sync(&timesync);
	assert_int_equal(rig_open(&rig), 0);
	timesync_sync(&timesync);
	assert_int_equal(rig_unread(&rig), 1);
	rig_negotiate(&rig, (struct ic_version){ 3, 0 }, (struct ic_version){ 4, 0 });
	assert_int_equal(next().flags, IC_TIMESYNC_SYNC);
	rig_break(&rig);
	timesync_sync(&timesync);
	assert_int_equal(rig_timers(&rig), 0);
}

static void a_restored_guest_gets_its_clock_set(void **state)
{
	struct timesync_state saved;

	open_ready(4);
	(void)next();
	ic_pause(&timesync.ic);
	timesync_get_state(&timesync, &saved);
	rig_close(&rig);
	timesync_init(&timesync);
	assert_int_equal(timesync_set_state(&timesync, &saved), 0);
	assert_int_equal(rig_restore(&rig), 0);
	ic_resume(&timesync.ic);
	assert_int_equal(next().flags, IC_TIMESYNC_SYNC);
	saved.ic.phase = 77;
	assert_int_equal(timesync_set_state(&timesync, &saved), -EBUSY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(version_4_is_byte_exact),
		TEST(older_versions_are_byte_exact),
		TEST(sets_once_then_samples_every_five_seconds),
		TEST(both_clocks_are_of_one_instant),
		TEST(a_resume_sets_the_clock),
		TEST(a_sync_behind_a_sample_is_sent_right_after_it),
		TEST(a_silent_guest_gets_no_pile),
		TEST(syncs_without_a_guest_wait),
		TEST(a_restored_guest_gets_its_clock_set),
	};

	return cmocka_run_group_tests_name("ic_timesync", tests, NULL, NULL);
}
