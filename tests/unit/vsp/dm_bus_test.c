// SPDX-License-Identifier: Apache-2.0
/* Dynamic memory on the real bus, against a guest that keeps a balloon as hv_balloon does: scattered pages in answers of
 * 4096 bytes through rings of five pages. */
#include "cmocka_all.h"

#include <errno.h>

#include "dm/dm.h"
#include "guest.h"

#define RAM        16384u		/* pages */
#define HOT        0x100000u
#define HOT_PAGES  65536u
#define RING_PAGES 5
#define RANGES     508

static struct guest *guest;
static struct guest_channel *channel;
static struct guest_packet packet;
static struct dm dm;
static bool present[RAM], out[RAM];		/* what the host, what the guest thinks */
static unsigned resets, statuses;
static uint64_t added;

static void give_back(void *context, uint64_t first, uint64_t count)
{
	for (; count; count--)
		present[first++] = false;
}

static int take(void *context, uint64_t first, uint64_t count)
{
	for (; count; count--)
		present[first++] = true;
	return 0;
}

static int hot_add(void *context, uint64_t first, uint64_t count)
{
	added += count;
	return 0;
}

static void reset(void *context)
{
	resets++;
	memset(present, 1, sizeof present);
}

static void status(void *context)
{
	statuses++;
}

static const struct dm_events events = { give_back, take, hot_add, reset, status };

static void nothing(void *context)
{
}

static void init(void)
{
	const struct dm_config config = {
		.ram = { { 0, RAM } }, .ram_count = 1, .hot = { HOT, HOT_PAGES }, .max_pages = RAM + HOT_PAGES,
		.settle_ns = DM_SETTLE_NS,
	};

	assert_int_equal(dm_init(&dm, &config, &events, NULL), 0);
	assert_int_equal(vmbus_device_add(guest_server(guest), &dm.device), 0);
}

static int setup(void **state)
{
	resets = statuses = 0;
	added = 0;
	memset(present, 1, sizeof present);
	guest = guest_new(64u << 20, 2);
	init();
	return guest_connect(guest, VMBUS_VERSION_WIN10_V5_3);
}

static int teardown(void **state)
{
	vmbus_server_reset(guest_server(guest), nothing, NULL);
	guest_run(guest);
	assert_int_equal(dm.state.phase, DM_CLOSED);
	assert_null(dm.deadline.host_data);
	assert_null(dm.retry.host_data);
	assert_null(dm.again.host_data);
	assert_null(dm.notify.host_data);
	guest_free(guest);
	dm_fini(&dm);
	return 0;
}

static void say(const void *message, size_t bytes)
{
	while (guest_send(channel, VMBUS_PACKET_IN_BAND, 0, 0, message, bytes) == -EAGAIN)
		guest_run(guest);
	guest_run(guest);
}

static void open_ready(void)
{
	const struct dm_version_request version = {
		.header = { DM_VERSION_REQUEST, sizeof version, 1 }, .version = DM_VERSION_WIN10,
	};
	const struct dm_capabilities capabilities = {
		.header = { DM_CAPABILITIES_REPORT, sizeof capabilities, 2 },
		.capabilities = DM_CAN_BALLOON | DM_CAN_HOT_ADD | 7 << 2,
	};

	memset(out, 0, sizeof out);
	channel = guest_open(guest, guest_relid(guest, &dm.device.offer.interface, 0), RING_PAGES);
	assert_non_null(channel);
	say(&version, sizeof version);
	assert_true(guest_receive(channel, &packet));
	say(&capabilities, sizeof capabilities);
	assert_true(guest_receive(channel, &packet));
	assert_true(guest_receive(channel, &packet));
	assert_int_equal(dm.state.phase, DM_READY);
}

/* Every third page, as long as there are some, then any. */
static void balloon_up(uint32_t pages)
{
	struct {
		struct dm_balloon_response response;
		uint64_t ranges[RANGES];
	} message;
	uint32_t at = 0, step = 3;

	do {
		uint32_t count = 0;

		for (; pages && count < RANGES && step; at += step) {
			if (at >= RAM) {
				at = 0;
				step = step == 3 ? 1 : 0;
			} else if (!out[at]) {
				out[at] = true;
				message.ranges[count++] = DM_RANGE(at, 1);
				pages--;
			}
		}
		message.response = (struct dm_balloon_response){
			.header = { DM_BALLOON_RESPONSE, (uint16_t)(sizeof message.response + count * 8), 3 },
			.more_and_range_count = count << 1 | (pages && step),
		};
		say(&message, sizeof message.response + count * 8);
	} while (pages && step);
}

static void balloon_down(const uint8_t *payload)
{
	const struct dm_header done = { DM_UNBALLOON_RESPONSE, sizeof done, 4 };
	struct dm_unballoon_request request;

	memcpy(&request, payload, sizeof request);
	for (uint32_t i = 0; i < request.range_count; i++) {
		uint64_t range;

		memcpy(&range, payload + sizeof request + i * sizeof range, sizeof range);
		for (uint64_t k = 0; k < DM_RANGE_COUNT(range); k++) {
			assert_true(out[DM_RANGE_FIRST(range) + k]);
			assert_true(present[DM_RANGE_FIRST(range) + k]);
			out[DM_RANGE_FIRST(range) + k] = false;
		}
	}
	say(&done, sizeof done);
}

static void hot_added(const uint8_t *payload)
{
	struct dm_hot_add_request request;
	struct dm_hot_add_response response = {
		.header = { DM_HOT_ADD_RESPONSE, sizeof response, 5 }, .result = 1,
	};

	memcpy(&request, payload, sizeof request);
	response.page_count = (uint32_t)DM_RANGE_COUNT(request.range);
	say(&response, sizeof response);
}

/* The driver at work until nothing is asked of it. */
static void work(void)
{
	guest_run(guest);
	while (guest_receive(channel, &packet)) {
		const uint8_t *payload = guest_packet_payload(&packet);
		struct dm_balloon_request request;

		memcpy(&request, payload, sizeof request);
		assert_true(packet.descriptor_bytes + packet.payload_bytes <= GUEST_PAGE);
		if (request.header.type == DM_BALLOON_REQUEST)
			balloon_up(request.page_count);
		else if (request.header.type == DM_UNBALLOON_REQUEST)
			balloon_down(payload);
		else if (request.header.type == DM_HOT_ADD_REQUEST)
			hot_added(payload);
		else
			fail_msg("type %u", request.header.type);
	}
}

static uint64_t assigned(void)
{
	struct dm_status now;
	uint64_t count = 0;

	for (unsigned i = 0; i < RAM; i++) {
		assert_int_equal(present[i], !out[i]);
		count += present[i];
	}
	dm_get_status(&dm, &now);
	assert_int_equal(now.assigned, count + added);
	return now.assigned;
}

static void the_guest_follows_its_target(void **state)
{
	static const uint64_t targets[] = { RAM - 8192, RAM - 1024, 1024, RAM, RAM - 512, 4096, RAM };

	open_ready();
	for (unsigned i = 0; i < COUNT(targets); i++) {
		assert_int_equal(dm_set_target(&dm, targets[i]), 0);
		work();
		assert_int_equal(assigned(), targets[i]);
	}
	assert_int_equal(dm_set_target(&dm, RAM + HOT_PAGES), 0);
	guest_advance(guest, DM_SETTLE_NS);
	work();
	assert_int_equal(assigned(), RAM + HOT_PAGES);
	assert_int_equal(dm.counters.lies + dm.counters.dropped + dm.counters.refusals, 0);
	assert_true(statuses > 0);
}

static void a_kexec_has_all_its_memory(void **state)
{
	open_ready();
	assert_int_equal(dm_set_target(&dm, 8192), 0);
	work();
	assert_int_equal(assigned(), 8192);
	assert_int_equal(guest_unload(guest), 0);
	assert_int_equal(resets, 1);
	memset(out, 0, sizeof out);
	assert_int_equal(assigned(), RAM);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	open_ready();
	work();
	assert_int_equal(assigned(), 8192);
}

static void a_restored_machine_goes_on(void **state)
{
	void *bus, *memory;
	size_t bus_bytes, memory_bytes;

	open_ready();
	assert_int_equal(dm_set_target(&dm, 8192), 0);
	work();
	assert_int_equal(dm_set_target(&dm, 12288), 0);
	guest_run(guest);				/* the request is out */
	dm_pause(&dm);
	vmbus_server_pause(guest_server(guest));
	memory_bytes = dm_state_bytes(&dm);
	memory = malloc(memory_bytes);
	dm_get_state(&dm, memory);
	assert_int_equal(vmbus_server_save(guest_server(guest), &bus, &bus_bytes), 0);
	guest_replace_server(guest);
	dm_fini(&dm);
	init();
	dm_pause(&dm);
	assert_int_equal(dm_set_state(&dm, memory, memory_bytes), 0);
	assert_int_equal(vmbus_server_restore(guest_server(guest), bus, bus_bytes), 0);
	free(bus);
	free(memory);
	vmbus_server_resume(guest_server(guest));
	dm_resume(&dm);
	work();
	assert_int_equal(assigned(), 12288);
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	work();
	assert_int_equal(assigned(), RAM);
	assert_int_equal(resets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_guest_follows_its_target),
		TEST(a_kexec_has_all_its_memory),
		TEST(a_restored_machine_goes_on),
	};

	return cmocka_run_group_tests_name("dm_bus", tests, NULL, NULL);
}
