// SPDX-License-Identifier: Apache-2.0
#include "dm_rig.h"

#include <errno.h>

struct rig rig;
struct dm dm;
unsigned statuses, resets, takes, refuse_takes, refuse_hot_adds;
bool *present;
uint64_t present_count;

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

const struct dm_events events = { give_back, take, hot_add, all_back, status };

struct dm_config config(void)
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

int make(void **state)
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

int finish(void **state)
{
	rig_fini(&rig);
	dm_fini(&dm);
	free(present);
	return 0;
}

struct dm_status now(void)
{
	struct dm_status s;

	dm_get_status(&dm, &s);
	assert_true(s.phase != DM_READY || s.assigned == present_count);
	return s;
}

struct dm_header header(uint16_t type, size_t bytes)
{
	return (struct dm_header){ type, (uint16_t)bytes, 77 };
}

void request_version(uint32_t version)
{
	const struct dm_version_request request = {
		.header = header(DM_VERSION_REQUEST, sizeof request), .version = version,
	};

	rig_send(&rig, &request, sizeof request);
}

void expect_verdict(uint16_t type, bool accepted)
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

void report_capabilities(uint64_t capabilities)
{
	const struct dm_capabilities report = {
		.header = header(DM_CAPABILITIES_REPORT, sizeof report), .capabilities = capabilities,
		.page_number_max = ~0ull,
	};

	rig_send(&rig, &report, sizeof report);
}

void open_ready_with(uint64_t capabilities)
{
	assert_int_equal(rig_open(&rig), 0);
	request_version(DM_VERSION_WIN10);
	expect_verdict(DM_VERSION_RESPONSE, true);
	report_capabilities(capabilities);
	expect_verdict(DM_CAPABILITIES_RESPONSE, true);
	rig_drop(&rig);			/* information */
	assert_int_equal(now().phase, DM_READY);
}

void open_ready(void)
{
	open_ready_with(LINUX_CAPABILITIES);
}

void expect_request(uint16_t type, void *out, size_t bytes)
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

uint32_t expect_balloon(void)
{
	struct dm_balloon_request request;

	expect_request(DM_BALLOON_REQUEST, &request, sizeof request);
	assert_int_equal(request.page_count % DM_BALLOON_UNIT, 0);
	return request.page_count;
}

void give(const uint64_t *ranges, unsigned count, bool more)
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

void give_one(uint64_t first, uint64_t count)
{
	const uint64_t range = DM_RANGE(first, count);

	give(&range, 1, false);
}

uint64_t expect_unballoon(void)
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

void answer_unballoon(void)
{
	const struct dm_header response = header(DM_UNBALLOON_RESPONSE, sizeof response);

	rig_send(&rig, &response, sizeof response);
}

struct dm_range expect_hot_add(void)
{
	struct dm_hot_add_request request;

	expect_request(DM_HOT_ADD_REQUEST, &request, sizeof request);
	assert_int_equal(request.range, request.region);
	return (struct dm_range){ DM_RANGE_FIRST(request.range), DM_RANGE_COUNT(request.range) };
}

void answer_hot_add(uint64_t pages, uint32_t result)
{
	const struct dm_hot_add_response response = {
		.header = header(DM_HOT_ADD_RESPONSE, sizeof response),
		.page_count = (uint32_t)pages, .result = result,
	};

	rig_send(&rig, &response, sizeof response);
}

void report(uint64_t available, uint64_t committed)
{
	const struct dm_status_report r = {
		.header = header(DM_STATUS_REPORT, sizeof r), .available = available, .committed = committed,
	};

	rig_send(&rig, &r, sizeof r);
}
