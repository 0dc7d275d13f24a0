// SPDX-License-Identifier: Apache-2.0
/* Dynamic memory: negotiation, ballooning, hot add, reports; guests that give less, lie, or do not answer. */
#include "dm_rig.h"

#include <errno.h>

static void versions_are_agreed_on(void **state)
{
	struct dm_info info;

	assert_int_equal(dm.device.offer.flags, 1);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig_unread(&rig), 0);		/* the guest speaks first */
	report_capabilities(LINUX_CAPABILITIES);
	assert_int_equal(rig_unread(&rig), 0);		/* and in order */
	request_version(DM_VERSION(3, 0));
	expect_verdict(DM_VERSION_RESPONSE, false);
	request_version(DM_VERSION(1, 1));
	expect_verdict(DM_VERSION_RESPONSE, false);
	request_version(DM_VERSION_WIN8);
	expect_verdict(DM_VERSION_RESPONSE, true);
	request_version(DM_VERSION_WIN10);		/* one is enough */
	expect_verdict(DM_VERSION_RESPONSE, false);
	report_capabilities(LINUX_CAPABILITIES);
	expect_verdict(DM_CAPABILITIES_RESPONSE, true);
	expect_request(DM_INFO, &info, sizeof info);
	assert_int_equal(info.info_bytes, 16);
	assert_int_equal(info.info_type, DM_INFO_MAX_PAGE_COUNT);
	assert_int_equal(info.data_bytes, 8);
	assert_int_equal(info.max_page_count, MAXIMUM);
	assert_int_equal(now().version, DM_VERSION_WIN8);
	assert_true(now().can_balloon && now().can_hot_add);
	assert_int_equal(now().assigned, RAM);
	assert_int_equal(now().target, RAM);
	assert_int_equal(dm.counters.dropped, 1);
}

static void the_oldest_version_has_no_information(void **state)
{
	assert_int_equal(rig_open(&rig), 0);
	request_version(DM_VERSION_WIN7);
	expect_verdict(DM_VERSION_RESPONSE, true);
	report_capabilities(DM_CAN_BALLOON);
	expect_verdict(DM_CAPABILITIES_RESPONSE, true);
	assert_int_equal(rig_unread(&rig), 0);
	assert_true(now().can_balloon && !now().can_hot_add);
}

static void answers_wait_for_room(void **state)
{
	assert_int_equal(rig_open(&rig), 0);
	rig.channel.used = rig.channel.ring_bytes - 8 - 40;	/* room for one */
	request_version(DM_VERSION_WIN10);
	report_capabilities(LINUX_CAPABILITIES);
	assert_int_equal(rig_unread(&rig), 1);
	expect_verdict(DM_VERSION_RESPONSE, true);
	expect_verdict(DM_CAPABILITIES_RESPONSE, true);
	assert_int_equal(rig_unread(&rig), 0);
	rig.channel.used = 0;
	rig.device->ops->ready(rig.device->context, &rig.channel);
	rig_drop(&rig);
	assert_int_equal(now().phase, DM_READY);
}

static void a_completion_that_was_asked_for_comes(void **state)
{
	struct rig_packet packet;

	assert_int_equal(rig_open(&rig), 0);
	rig_put(&rig, VMBUS_PACKET_IN_BAND, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, 9, "", 0);
	rig.device->ops->ready(rig.device->context, &rig.channel);
	packet = rig_take(&rig);
	assert_int_equal(packet.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(packet.transaction, 9);
	free(packet.payload);
}

static void pages_come_and_go(void **state)
{
	const uint64_t scattered[] = { DM_RANGE(8, 1), DM_RANGE(10, 3), DM_RANGE(13, 1), DM_RANGE(HIGH, 512) };
	struct dm_range run;

	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(4) - 5), 0);
	assert_int_equal(expect_balloon(), MIB(4));	/* whole units */
	give(scattered, 4, true);
	assert_int_equal(now().assigned, RAM - 517);
	assert_int_equal(rig_unread(&rig), 0);
	give_one(1024, 507);
	assert_int_equal(now().ballooned, 1024);
	assert_true(dm_ballooned_next(&dm, 0, &run) && run.first == 8 && run.count == 1);
	assert_true(dm_ballooned_next(&dm, 9, &run) && run.first == 10 && run.count == 4);
	assert_int_equal(rig_unread(&rig), 0);		/* less than a unit is missing */

	assert_int_equal(dm_set_target(&dm, RAM - 100), 0);
	assert_int_equal(expect_unballoon(), 924);
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	assert_int_equal(rig_unread(&rig), 0);		/* one at a time */
	answer_unballoon();
	assert_int_equal(expect_unballoon(), 100);
	answer_unballoon();
	assert_int_equal(now().assigned, RAM);
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(dm.counters.lies, 0);
	assert_int_equal(dm.counters.dropped, 0);
}

static void a_long_way_goes_in_steps(void **state)
{
	uint64_t at = 0;

	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(500)), 0);
	while (rig_unread(&rig)) {
		uint32_t count = expect_balloon();

		assert_true(count <= DM_OPERATION_PAGES);
		give_one(at, count);
		at += count;
	}
	assert_int_equal(now().assigned, RAM - MIB(500));
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	while (rig_unread(&rig)) {
		assert_true(expect_unballoon() <= DM_OPERATION_PAGES);
		answer_unballoon();
	}
	assert_int_equal(now().assigned, RAM);
}

static void scattered_pages_fit_into_messages(void **state)
{
	uint64_t ranges[500];
	unsigned messages = 0;

	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - 2048), 0);
	assert_int_equal(expect_balloon(), 2048);
	for (unsigned k = 0; k < 4; k++) {
		for (unsigned i = 0; i < 500; i++)
			ranges[i] = DM_RANGE(2 * (k * 500 + i), 1);
		give(ranges, 500, k < 3);
	}
	assert_int_equal(now().ballooned, 2000);
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	for (; rig_unread(&rig); messages++) {
		assert_true(expect_unballoon() <= 508);
		answer_unballoon();
	}
	assert_int_equal(messages, 4);
	assert_int_equal(now().assigned, RAM);
}

static void a_guest_that_gives_less_is_asked_again_later(void **state)
{
	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(64)), 0);
	assert_int_equal(expect_balloon(), MIB(64));
	give_one(0, MIB(60));
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(dm_set_target(&dm, RAM - MIB(66)), 0);	/* no new chance */
	assert_int_equal(rig_unread(&rig), 0);
	rig_advance(&rig, DM_HOLD_NS - 1);
	assert_int_equal(rig_unread(&rig), 0);
	rig_advance(&rig, 1);
	assert_int_equal(expect_balloon(), MIB(6));
	give(NULL, 0, false);				/* nothing at all */
	assert_int_equal(dm.counters.refusals, 2);
	/* Memory for the guest does not wait. */
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	assert_int_equal(expect_unballoon(), MIB(60));
	answer_unballoon();
	rig_advance(&rig, 2 * DM_HOLD_NS);
	assert_int_equal(rig_unread(&rig), 0);
}

static void lies_are_not_believed(void **state)
{
	const uint64_t lies[] = {
		DM_RANGE(LOW - 1, 2),			/* into the hole */
		DM_RANGE(LOW, 1), DM_RANGE(HIGH - 1, 1), DM_RANGE(HOT, 1), DM_RANGE(HOT - 1, 2),
		DM_RANGE(DM_RANGE_FIRST_MAX, 512), DM_RANGE(FRAMES + 100, 1),
		DM_RANGE(100, 0),
	};
	const uint64_t twice[] = { DM_RANGE(0, 16), DM_RANGE(15, 2), DM_RANGE(32, 4), DM_RANGE(32, 4) };

	open_ready();
	give_one(0, 512);				/* nobody asked */
	assert_int_equal(now().assigned, RAM);
	assert_int_equal(dm.counters.dropped, 1);
	assert_int_equal(dm_set_target(&dm, RAM - MIB(4)), 0);
	assert_int_equal(expect_balloon(), MIB(4));
	give(lies, 8, true);
	assert_int_equal(dm.counters.lies, 7);
	give(twice, 4, true);
	assert_int_equal(dm.counters.lies, 9);
	assert_int_equal(now().ballooned, 20);
	give_one(1024, DM_RANGE_COUNT_MAX);		/* more than was asked for */
	assert_int_equal(now().ballooned, MIB(4));
	assert_int_equal(dm.counters.lies, 10);
	answer_unballoon();
	answer_hot_add(1, 1);
	assert_int_equal(dm.counters.dropped, 3);
}

static void malformed_messages_are_dropped(void **state)
{
	struct dm_balloon_response response = {
		.header = header(DM_BALLOON_RESPONSE, sizeof response), .more_and_range_count = 1 << 1,
	};

	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(4)), 0);
	(void)expect_balloon();
	rig_send(&rig, &response, sizeof response);		/* the range is not there */
	response.more_and_range_count = ~1u;
	rig_send(&rig, &response, sizeof response);
	response.header.bytes = sizeof response + 8;
	rig_send(&rig, &response, sizeof response);		/* longer than its packet */
	response.header.bytes = 8;
	rig_send(&rig, &response, sizeof response);
	response.header.type = DM_INFO;
	rig_send(&rig, &response, sizeof response);
	response.header.type = 0xffff;
	rig_send(&rig, &response, sizeof response);
	rig_send(&rig, "", 0);
	assert_int_equal(dm.counters.dropped, 7);
	assert_int_equal(now().assigned, RAM);
	give_one(0, MIB(4));				/* the operation still stands */
	assert_int_equal(now().assigned, RAM - MIB(4));
}

static void a_silent_guest_is_left_alone(void **state)
{
	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(4)), 0);
	(void)expect_balloon();
	rig_advance(&rig, DM_ANSWER_NS - 1);
	assert_false(now().stalled);
	give(NULL, 0, true);				/* nothing is no sign of life */
	rig_advance(&rig, 1);
	assert_true(now().stalled);
	assert_int_equal(dm_set_target(&dm, RAM - MIB(8)), 0);
	rig_advance(&rig, 10 * DM_ANSWER_NS);
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(dm.counters.timeouts, 1);
	give_one(0, MIB(4));				/* late, but true */
	assert_false(now().stalled);
	assert_int_equal(now().assigned, RAM - MIB(4));
	assert_int_equal(expect_balloon(), MIB(4));
	rig_close(&rig);
	open_ready();
	assert_false(now().stalled);
}

static void a_host_without_memory_returns_what_it_can(void **state)
{
	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(128)), 0);
	give_one(0, expect_balloon());
	refuse_takes = 3;
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	assert_int_equal(expect_unballoon(), 2 * DM_TAKE_PAGES);
	answer_unballoon();
	assert_int_equal(rig_unread(&rig), 0);
	takes = 0;
	rig_advance(&rig, DM_HOLD_NS);
	assert_int_equal(takes, 1);			/* not in a circle */
	refuse_takes = 0;
	rig_advance(&rig, DM_HOLD_NS);
	assert_int_equal(expect_unballoon(), MIB(128) - 2 * DM_TAKE_PAGES);
	answer_unballoon();
	assert_int_equal(now().assigned, RAM);
}

static void a_full_ring_takes_nothing_from_anybody(void **state)
{
	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(8)), 0);
	give_one(0, expect_balloon());
	rig.channel.used = rig.channel.ring_bytes - 16;
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(now().ballooned, MIB(8));
	rig.channel.used = 0;
	rig.device->ops->ready(rig.device->context, &rig.channel);
	assert_int_equal(expect_unballoon(), MIB(8));
	answer_unballoon();
	assert_int_equal(dm.counters.unballooned, MIB(8));
	assert_int_equal(dm_set_target(&dm, RAM + MIB(128)), 0);
	rig.channel.used = rig.channel.ring_bytes - 16;
	rig_advance(&rig, DM_SETTLE_NS);
	assert_int_equal(now().added, 0);
	rig.channel.used = 0;
	rig.device->ops->ready(rig.device->context, &rig.channel);
	assert_int_equal(expect_hot_add().count, MIB(128));
}

static void memory_is_added_in_the_guests_units(void **state)
{
	struct dm_range range;

	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM + MIB(500)), 0);
	rig_advance(&rig, DM_SETTLE_NS - 1);
	assert_int_equal(rig_unread(&rig), 0);		/* let it boot */
	rig_advance(&rig, 1);
	range = expect_hot_add();
	assert_int_equal(range.first, MIB(4224));	/* HOT is no multiple of 128 MiB */
	assert_int_equal(range.count, MIB(256));
	answer_hot_add(range.count, 1);
	range = expect_hot_add();
	assert_int_equal(range.first, MIB(4224 + 256));
	assert_int_equal(range.count, MIB(128));
	answer_hot_add(range.count, 1);
	assert_int_equal(rig_unread(&rig), 0);		/* 116 MiB are no unit */
	assert_int_equal(now().assigned, RAM + MIB(384));
	assert_int_equal(now().added, MIB(384));
	assert_int_equal(dm.counters.added, MIB(384));

	/* What was added can be ballooned, and comes back before more is added. */
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	assert_int_equal(expect_balloon(), MIB(256));
	give_one(MIB(4224 + 64), MIB(256));
	give_one(MIB(4224 + 320), expect_balloon());
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(dm.counters.lies, 1);		/* the second ran beyond what was added */
	assert_int_equal(now().ballooned, MIB(256));
	assert_int_equal(dm_set_target(&dm, MAXIMUM), 0);
	assert_int_equal(expect_unballoon(), MIB(256));
	answer_unballoon();
	range = expect_hot_add();
	assert_int_equal(range.first, MIB(4224 + 384));
	answer_hot_add(range.count, 1);
	range = expect_hot_add();
	answer_hot_add(range.count, 1);
	range = expect_hot_add();			/* up to the maximum, and not beyond the address space */
	assert_int_equal(range.count, MIB(128));
	answer_hot_add(range.count, 1);
	assert_int_equal(now().assigned, MAXIMUM);
	assert_int_equal(rig_unread(&rig), 0);
}

static void what_was_not_added_goes_back(void **state)
{
	struct dm_range range;

	open_ready();
	rig_advance(&rig, DM_SETTLE_NS);
	refuse_hot_adds = 1;
	assert_int_equal(dm_set_target(&dm, RAM + MIB(256)), 0);
	assert_int_equal(rig_unread(&rig), 0);
	rig_advance(&rig, DM_HOLD_NS);
	range = expect_hot_add();
	answer_hot_add(MIB(100), 1);			/* a part: its unit stays */
	assert_int_equal(now().added, MIB(128));
	assert_int_equal(rig_unread(&rig), 0);
	rig_advance(&rig, DM_HOLD_NS);
	range = expect_hot_add();
	assert_int_equal(range.first, MIB(4224 + 128));
	answer_hot_add(0, 0);				/* not now */
	assert_int_equal(now().added, MIB(128));
	rig_advance(&rig, DM_HOLD_NS);
	range = expect_hot_add();
	answer_hot_add(UINT32_MAX, 0);			/* more than there was */
	assert_int_equal(now().added, MIB(256));
	assert_int_equal(dm.counters.lies, 1);
	assert_int_equal(dm_set_target(&dm, RAM + MIB(384)), 0);
	(void)expect_hot_add();
	answer_hot_add(0, 1);				/* never */
	assert_false(now().can_hot_add);
	rig_advance(&rig, 10 * DM_HOLD_NS);
	assert_int_equal(rig_unread(&rig), 0);
}

static void other_units_after_a_new_start(void **state)
{
	struct dm_range range;

	open_ready_with(DM_CAN_HOT_ADD | 1 << 2);	/* 2 MiB */
	rig_advance(&rig, DM_SETTLE_NS);
	assert_int_equal(dm_set_target(&dm, RAM + MIB(6)), 0);
	range = expect_hot_add();
	assert_int_equal(range.first, HOT);
	assert_int_equal(range.count, MIB(6));
	answer_hot_add(range.count, 1);
	assert_int_equal(dm_set_target(&dm, RAM - MIB(6)), 0);
	assert_int_equal(rig_unread(&rig), 0);		/* it cannot balloon */
	rig_close(&rig);
	assert_int_equal(now().added, MIB(6));		/* who runs there may still use it */
	assert_int_equal(dm_set_target(&dm, RAM + MIB(134)), 0);
	open_ready();
	rig_advance(&rig, DM_SETTLE_NS);
	range = expect_hot_add();
	assert_int_equal(range.first, MIB(4224));
	assert_int_equal(range.count, MIB(128));
	answer_hot_add(range.count, 1);
	rig_close(&rig);
	assert_int_equal(dm_reset(&dm), 0);
	present_count -= MIB(134);
	memset(present + HOT, 0, MIB(HOT_MIB));
	assert_int_equal(now().assigned, RAM);
	open_ready();
	assert_int_equal(dm_reset(&dm), -EBUSY);
}

static void a_reset_brings_everything_back(void **state)
{
	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(200)), 0);
	give_one(0, expect_balloon());
	assert_int_equal(now().assigned, RAM - MIB(200));
	rig_close(&rig);
	assert_int_equal(resets, 1);
	assert_int_equal(now().assigned, RAM);
	assert_int_equal(present_count, RAM);
	open_ready();
	assert_int_equal(expect_balloon(), MIB(200));	/* the target still stands */
	give_one(0, 1);
	assert_int_equal(now().assigned, RAM - 1);
}

static void reports_are_passed_on_once_a_second(void **state)
{
	open_ready();
	assert_false(now().reported);
	rig_advance(&rig, 5 * RIG_SECOND);
	statuses = 0;
	for (unsigned i = 0; i < 100; i++) {
		report(1000 + i, MIB(300));
		rig_advance(&rig, RIG_SECOND / 10);
	}
	assert_in_range(statuses, 10, 11);
	rig_advance(&rig, RIG_SECOND);
	assert_int_equal(now().available, 1099);
	assert_int_equal(now().demand, MIB(300));
	assert_int_equal(dm_set_target(&dm, RAM - MIB(100)), 0);
	give_one(0, expect_balloon());
	report(5, MIB(400));				/* ballooned pages count as committed there */
	assert_int_equal(now().demand, MIB(300));
	report(5, 1);
	assert_int_equal(now().demand, 0);
	report(~0ull, ~0ull);
	assert_true(now().demand < DM_RANGE_FIRST_MAX);
	rig_close(&rig);
	assert_false(now().reported);
	assert_int_equal(rig_open(&rig), 0);
	report(1, 1);
	assert_false(now().reported);
}

static void a_flood_is_read_in_portions(void **state)
{
	const struct dm_status_report r = { .header = header(DM_STATUS_REPORT, sizeof r) };

	open_ready();
	for (unsigned i = 0; i < 100; i++)
		rig_put(&rig, VMBUS_PACKET_IN_BAND, 0, 0, &r, sizeof r);
	rig.device->ops->ready(rig.device->context, &rig.channel);
	assert_in_range(dm.counters.reports, 1, 50);
	rig_advance(&rig, 1);
	assert_int_equal(dm.counters.reports, 100);
}

static void a_broken_ring_is_left_alone(void **state)
{
	open_ready();
	assert_int_equal(dm_set_target(&dm, RAM - MIB(4)), 0);
	rig_break(&rig);
	assert_int_equal(now().phase, DM_BROKEN);
	assert_int_equal(rig_timers(&rig), 0);
	assert_int_equal(dm_set_target(&dm, RAM - MIB(8)), 0);
	rig_close(&rig);
	rig_open(&rig);
	rig.channel.ring_bytes = 40;
	request_version(DM_VERSION_WIN10);
	assert_int_equal(now().phase, DM_BROKEN);
}

static void bad_configurations_and_targets_are_refused(void **state)
{
	struct dm other;
	struct dm_config c = config();

	assert_int_equal(dm_set_target(&dm, 0), -EINVAL);
	assert_int_equal(dm_set_target(&dm, MAXIMUM + 1), -EINVAL);
	c.ram[1].first = LOW - 1;
	assert_int_equal(dm_init(&other, &c, &events, NULL), -EINVAL);
	c = config();
	c.hot.first = HOT - 1;
	assert_int_equal(dm_init(&other, &c, &events, NULL), -EINVAL);
	c = config();
	c.hot.count = DM_RANGE_FIRST_MAX;
	assert_int_equal(dm_init(&other, &c, &events, NULL), -EINVAL);
	c = config();
	c.ram[0].count = 0;
	assert_int_equal(dm_init(&other, &c, &events, NULL), -EINVAL);
	c = config();
	c.max_pages = RAM - 1;
	assert_int_equal(dm_init(&other, &c, &events, NULL), -EINVAL);
	c = config();
	c.ram_count = 0;
	assert_int_equal(dm_init(&other, &c, &events, NULL), -EINVAL);
	c = config();
	c.hot.count = 0;
	assert_int_equal(dm_init(&other, &c, &events, NULL), 0);
	dm_fini(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(versions_are_agreed_on),
		TEST(the_oldest_version_has_no_information),
		TEST(answers_wait_for_room),
		TEST(a_completion_that_was_asked_for_comes),
		TEST(pages_come_and_go),
		TEST(a_long_way_goes_in_steps),
		TEST(scattered_pages_fit_into_messages),
		TEST(a_guest_that_gives_less_is_asked_again_later),
		TEST(lies_are_not_believed),
		TEST(malformed_messages_are_dropped),
		TEST(a_silent_guest_is_left_alone),
		TEST(a_host_without_memory_returns_what_it_can),
		TEST(a_full_ring_takes_nothing_from_anybody),
		TEST(memory_is_added_in_the_guests_units),
		TEST(what_was_not_added_goes_back),
		TEST(other_units_after_a_new_start),
		TEST(a_reset_brings_everything_back),
		TEST(reports_are_passed_on_once_a_second),
		TEST(a_flood_is_read_in_portions),
		TEST(a_broken_ring_is_left_alone),
		TEST(bad_configurations_and_targets_are_refused),
	};

	return cmocka_run_group_tests_name("dm", tests, NULL, NULL);
}
