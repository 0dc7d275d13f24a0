// SPDX-License-Identifier: Apache-2.0
/*
 * Dynamic memory: negotiation, ballooning, hot add, reports; guests that give less, lie, or do not answer. The owner
 * keeps a list of present pages of its own and sees to it that no page is taken or given twice.
 */
#include "unit/vsp/ic/ic_rig.h"

#include <errno.h>

#include "dm/dm.h"

#define MIB(n)   ((uint64_t)(n) * 256)
#define LOW      MIB(512)
#define HIGH     MIB(4096)
#define HIGH_MIB 64
#define RAM      (LOW + MIB(HIGH_MIB))
#define HOT      (HIGH + MIB(HIGH_MIB))
#define HOT_MIB  1088
#define FRAMES   (HOT + MIB(HOT_MIB))
#define MAXIMUM  (RAM + MIB(1024))

static struct rig rig;
static struct dm dm;
static bool *present;
static uint64_t present_count;
static unsigned statuses, resets, refuse_takes, refuse_hot_adds, takes;

static void mark(uint64_t first, uint64_t count, bool now)
{
	assert_true(first < FRAMES && count > 0 && count <= FRAMES - first);
	for (uint64_t i = first; i < first + count; i++) {
		assert_int_equal(present[i], !now);
		present[i] = now;
	}
	present_count = now ? present_count + count : present_count - count;
}

static void give_back(void *context, uint64_t first, uint64_t count)
{
	mark(first, count, false);
}

static int take(void *context, uint64_t first, uint64_t count)
{
	assert_true(count <= DM_TAKE_PAGES);
	takes++;
	if (refuse_takes && --refuse_takes == 0) {
		refuse_takes = 1;
		return -ENOMEM;
	}
	mark(first, count, true);
	return 0;
}

static int hot_add(void *context, uint64_t first, uint64_t count)
{
	assert_true(first >= HOT);
	if (refuse_hot_adds) {
		refuse_hot_adds--;
		return -ENOMEM;
	}
	mark(first, count, true);
	return 0;
}

static void all_back(void *context)
{
	struct dm_range run = { 0, 0 };

	resets++;
	while (dm_ballooned_next(&dm, run.first + run.count, &run))
		mark(run.first, run.count, true);
}

static void status(void *context)
{
	statuses++;
}

static const struct dm_events events = { give_back, take, hot_add, all_back, status };

static struct dm_config config(void)
{
	return (struct dm_config){
		.instance = { 0x1eccfd72, 0x4b41, 0x45ef, { 0xb7, 0x3a, 0x4a, 0x6e, 0x44, 0xc1, 0x29, 0x24 } },
		.ram = { { 0, LOW }, { HIGH, MIB(HIGH_MIB) } },
		.ram_count = 2,
		.hot = { HOT, MIB(HOT_MIB) },
		.max_pages = MAXIMUM,
		.settle_ns = DM_SETTLE_NS,
	};
}

static int make(void **state)
{
	const struct dm_config c = config();

	statuses = resets = refuse_takes = refuse_hot_adds = takes = 0;
	present = calloc(FRAMES, sizeof *present);
	memset(present, 1, LOW);
	memset(present + HIGH, 1, MIB(HIGH_MIB));
	present_count = RAM;
	assert_int_equal(dm_init(&dm, &c, &events, NULL), 0);
	rig_init(&rig, &dm.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	dm_fini(&dm);
	free(present);
	return 0;
}

static struct dm_status now(void)
{
	struct dm_status s;

	dm_get_status(&dm, &s);
	assert_true(s.phase != DM_READY || s.assigned == present_count);
	return s;
}

static struct dm_header header(uint16_t type, size_t bytes)
{
	return (struct dm_header){ type, (uint16_t)bytes, 77 };
}

static void request_version(uint32_t version)
{
	const struct dm_version_request request = {
		.header = header(DM_VERSION_REQUEST, sizeof request), .version = version,
	};

	rig_send(&rig, &request, sizeof request);
}

static void expect_verdict(uint16_t type, bool accepted)
{
	struct rig_packet packet = rig_take(&rig);
	struct dm_verdict verdict;

	assert_int_equal(packet.type, VMBUS_PACKET_IN_BAND);
	assert_int_equal(packet.bytes, sizeof verdict);
	memcpy(&verdict, packet.payload, sizeof verdict);
	assert_int_equal(verdict.header.type, type);
	assert_int_equal(verdict.header.bytes, sizeof verdict);
	assert_int_equal(verdict.header.transaction, 77);
	assert_int_equal(verdict.flags, accepted);
	free(packet.payload);
}

static void report_capabilities(uint64_t capabilities)
{
	const struct dm_capabilities report = {
		.header = header(DM_CAPABILITIES_REPORT, sizeof report), .capabilities = capabilities,
		.page_number_max = ~0ull,
	};

	rig_send(&rig, &report, sizeof report);
}

#define LINUX_CAPABILITIES (DM_CAN_BALLOON | DM_CAN_HOT_ADD | 7 << 2)

static void open_ready_with(uint64_t capabilities)
{
	assert_int_equal(rig_open(&rig), 0);
	request_version(DM_VERSION_WIN10);
	expect_verdict(DM_VERSION_RESPONSE, true);
	report_capabilities(capabilities);
	expect_verdict(DM_CAPABILITIES_RESPONSE, true);
	rig_drop(&rig);			/* information */
	assert_int_equal(now().phase, DM_READY);
}

static void open_ready(void)
{
	open_ready_with(LINUX_CAPABILITIES);
}

/* The request that there has to be, of this type and the size of `out`. */
static void expect_request(uint16_t type, void *out, size_t bytes)
{
	struct rig_packet packet = rig_take(&rig);
	struct dm_header h;

	memcpy(&h, packet.payload, sizeof h);
	assert_int_equal(h.type, type);
	assert_int_equal(h.bytes, packet.bytes);
	assert_true(packet.bytes >= bytes);
	memcpy(out, packet.payload, bytes);
	free(packet.payload);
}

static uint32_t expect_balloon(void)
{
	struct dm_balloon_request request;

	expect_request(DM_BALLOON_REQUEST, &request, sizeof request);
	assert_int_equal(request.page_count % DM_BALLOON_UNIT, 0);
	return request.page_count;
}

static void give(const uint64_t *ranges, unsigned count, bool more)
{
	uint8_t message[4096] = { 0 };
	const struct dm_balloon_response response = {
		.header = header(DM_BALLOON_RESPONSE, sizeof response + count * sizeof *ranges),
		.more_and_range_count = count << 1 | more,
	};

	memcpy(message, &response, sizeof response);
	if (count)
		memcpy(message + sizeof response, ranges, count * sizeof *ranges);
	rig_send(&rig, message, response.header.bytes);
}

static void give_one(uint64_t first, uint64_t count)
{
	const uint64_t range = DM_RANGE(first, count);

	give(&range, 1, false);
}

/* All ranges of an unballoon request, which lie where none of the guest's own pages are; their pages. */
static uint64_t expect_unballoon(void)
{
	struct rig_packet packet = rig_take(&rig);
	struct dm_unballoon_request request;
	uint64_t pages = 0, range;

	memcpy(&request, packet.payload, sizeof request);
	assert_int_equal(request.header.type, DM_UNBALLOON_REQUEST);
	assert_int_equal(request.flags, 0);
	assert_int_equal(packet.bytes, sizeof request + request.range_count * sizeof range);
	assert_int_equal(request.header.bytes, packet.bytes);
	for (uint32_t i = 0; i < request.range_count; i++) {
		memcpy(&range, packet.payload + sizeof request + i * sizeof range, sizeof range);
		pages += DM_RANGE_COUNT(range);
	}
	free(packet.payload);
	return pages;
}

static void answer_unballoon(void)
{
	const struct dm_header response = header(DM_UNBALLOON_RESPONSE, sizeof response);

	rig_send(&rig, &response, sizeof response);
}

static struct dm_range expect_hot_add(void)
{
	struct dm_hot_add_request request;

	expect_request(DM_HOT_ADD_REQUEST, &request, sizeof request);
	assert_int_equal(request.range, request.region);
	return (struct dm_range){ DM_RANGE_FIRST(request.range), DM_RANGE_COUNT(request.range) };
}

static void answer_hot_add(uint64_t pages, uint32_t result)
{
	const struct dm_hot_add_response response = {
		.header = header(DM_HOT_ADD_RESPONSE, sizeof response),
		.page_count = (uint32_t)pages, .result = result,
	};

	rig_send(&rig, &response, sizeof response);
}

static void report(uint64_t available, uint64_t committed)
{
	const struct dm_status_report r = {
		.header = header(DM_STATUS_REPORT, sizeof r), .available = available, .committed = committed,
	};

	rig_send(&rig, &r, sizeof r);
}

/* ---- tests */

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

/* The state of dm goes into a new one, in its place. */
static int move(void (*spoil)(struct dm_state *state, uint8_t *pages))
{
	size_t bytes = dm_state_bytes(&dm);
	uint8_t *saved = malloc(bytes);
	struct dm_state state;
	const struct dm_config c = config();
	int r;

	dm_pause(&dm);
	assert_int_equal(rig_timers(&rig), 0);
	dm_get_state(&dm, saved);
	memcpy(&state, saved, sizeof state);
	if (spoil)
		spoil(&state, saved + sizeof state);
	memcpy(saved, &state, sizeof state);
	rig.channel.open = false;
	dm_fini(&dm);
	assert_int_equal(dm_init(&dm, &c, &events, NULL), 0);
	assert_int_equal(dm_set_state(&dm, saved, bytes), -EINVAL);	/* not paused */
	dm_pause(&dm);
	assert_int_equal(dm_set_state(&dm, saved, bytes - 1), -EINVAL);
	r = dm_set_state(&dm, saved, bytes);
	free(saved);
	return r;
}

static void a_saved_one_goes_on(void **state)
{
	struct dm_range range;

	open_ready();
	rig_advance(&rig, DM_SETTLE_NS);
	assert_int_equal(dm_set_target(&dm, RAM + MIB(128)), 0);
	range = expect_hot_add();
	answer_hot_add(range.count, 1);
	assert_int_equal(dm_set_target(&dm, RAM - MIB(32)), 0);
	assert_int_equal(expect_balloon(), MIB(160));
	give(&(uint64_t){ DM_RANGE(range.first, MIB(100)) }, 1, true);
	assert_int_equal(move(NULL), 0);
	assert_int_equal(rig_restore(&rig), 0);
	assert_int_equal(dm_set_state(&dm, &dm, 1), -EBUSY);
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	assert_int_equal(rig_unread(&rig), 0);
	dm_resume(&dm);
	assert_int_equal(now().added, MIB(128));
	assert_int_equal(now().ballooned, MIB(100));
	give_one(0, MIB(60));				/* the rest of the answer */
	assert_int_equal(expect_unballoon(), MIB(32));
	assert_int_equal(now().assigned, RAM);
	rig_advance(&rig, DM_ANSWER_NS);
	assert_true(now().stalled);
	answer_unballoon();
	assert_int_equal(now().assigned, RAM);
}

static void spoil_phase(struct dm_state *state, uint8_t *pages)
{
	state->phase = DM_PHASE_COUNT;
}

static void spoil_hole(struct dm_state *state, uint8_t *pages)
{
	pages[LOW / 8] = 1;
}

static void spoil_added(struct dm_state *state, uint8_t *pages)
{
	state->added_count = 1;
	state->added[0] = (struct dm_range){ HOT, MIB(HOT_MIB) + 1 };
}

static void spoil_overlap(struct dm_state *state, uint8_t *pages)
{
	state->added_count = 2;
	state->added[0] = (struct dm_range){ HOT, 10 };
	state->added[1] = (struct dm_range){ HOT + 9, 10 };
}

static void spoil_count(struct dm_state *state, uint8_t *pages)
{
	state->added_count = DM_ADDED_MAX + 1;
}

static void spoil_target(struct dm_state *state, uint8_t *pages)
{
	state->target = MAXIMUM + 1;
}

static void spoil_version(struct dm_state *state, uint8_t *pages)
{
	state->version = 0;
}

static void spoil_adding(struct dm_state *state, uint8_t *pages)
{
	state->operation = DM_HOT_ADD;
	state->adding = (struct dm_range){ HOT, 512 };
}

static void spoil_asked(struct dm_state *state, uint8_t *pages)
{
	state->got = state->asked + 1;
}

static void spoil_closed(struct dm_state *state, uint8_t *pages)
{
	state->phase = DM_CLOSED;
	pages[0] = 1;
}

static void spoiled_states_are_refused(void **state)
{
	static void (*const spoil[])(struct dm_state *state, uint8_t *pages) = {
		spoil_phase, spoil_hole, spoil_added, spoil_overlap, spoil_count, spoil_target, spoil_version,
		spoil_adding, spoil_asked, spoil_closed,
	};

	for (unsigned i = 0; i < sizeof spoil / sizeof spoil[0]; i++) {
		open_ready();
		assert_int_equal(move(spoil[i]), -EINVAL);
		assert_int_equal(now().assigned, RAM);
		dm_resume(&dm);
	}
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
		TEST(a_saved_one_goes_on),
		TEST(spoiled_states_are_refused),
	};

	return cmocka_run_group_tests_name("dm", tests, NULL, NULL);
}
