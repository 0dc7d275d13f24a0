// SPDX-License-Identifier: Apache-2.0
/* Connection and channels: every version, lists of every length, thousands of packets of random size through small rings. */
#include "unit/vsp/cmocka_all.h"

#include "channel.h"
#include "loopback.h"
#include "mirror.h"

#define RING_PAGES_MAX 8u
#define DATA_BYTES     (256u << 10)
#define LIST_PAGES_MAX 8190u

static struct loopback loopback;
static struct mirror mirror;
static struct vsc_channel channel;
static uint8_t buffer[MIRROR_PACKET_MAX + 64];
static uint8_t *rings;

static int setup(void **state)
{
	loopback_init(&loopback, 1);
	mirror_init(&mirror);
	rings = loopback_pages(&loopback, 2 * RING_PAGES_MAX);
	return vmbus_device_add(loopback.server, &mirror.device);
}

static int teardown(void **state)
{
	loopback_reset(&loopback);
	loopback_fini(&loopback);
	return mirror.channel ? -1 : 0;
}

static void open_mirror(unsigned ring_pages)
{
	const struct vsc_offer *offer;

	assert_int_equal(vsc_bus_connect(&loopback.bus, VMBUS_VERSION_WIN10_V5_3, 0), VSC_OK);
	offer = vsc_bus_find(&loopback.bus, &mirror_interface, 0);
	assert_non_null(offer);
	assert_int_equal(vsc_channel_open(&channel, &loopback.bus, offer, rings, ring_pages, 0), VSC_OK);
	assert_non_null(mirror.channel);
}

/* ---- connection */

static void test_every_version(void **state)
{
	static const uint32_t versions[] = {
		VMBUS_VERSION_WIN8, VMBUS_VERSION_WIN8_1, VMBUS_VERSION_WIN10, VMBUS_VERSION_WIN10_V4_1,
		VMBUS_VERSION_WIN10_V5, VMBUS_VERSION_WIN10_V5_1, VMBUS_VERSION_WIN10_V5_2, VMBUS_VERSION_WIN10_V5_3,
	};
	struct vsc_packet packet;

	for (unsigned i = 0; i < COUNT(versions); i++) {
		assert_int_equal(vsc_bus_connect(&loopback.bus, versions[i], 0), VSC_OK);
		assert_int_equal(loopback.bus.version, versions[i]);
		assert_int_equal(vsc_channel_open(&channel, &loopback.bus, vsc_bus_find(&loopback.bus, &mirror_interface, 0),
						  rings, 2, 0), VSC_OK);
		assert_int_equal(vsc_channel_transact(&channel, i, "version.", 8, &packet, buffer, sizeof buffer), VSC_OK);
		assert_int_equal(vsc_channel_close(&channel), VSC_OK);
		assert_int_equal(vsc_bus_unload(&loopback.bus), VSC_OK);
		assert_null(vsc_bus_find(&loopback.bus, &mirror_interface, 0));
	}
	assert_int_equal(loopback.bus.unexpected, 0);
}

static void test_unknown_versions_are_refused(void **state)
{
	assert_int_equal(vsc_bus_contact(&loopback.bus, 0x00070000, 0), VSC_REFUSED);
	assert_int_equal(vsc_bus_contact(&loopback.bus, 0x00020003, 0), VSC_REFUSED);
	assert_int_equal(vsc_bus_contact(&loopback.bus, 0, 0), VSC_REFUSED);
	/* From above the client comes down to one that the host has. */
	assert_int_equal(vsc_bus_connect(&loopback.bus, 0x00090000, 1), VSC_OK);
	assert_int_equal(loopback.bus.version, VMBUS_VERSION_WIN10_V5_3);
}

static void test_a_contact_to_nobody_is_not_answered(void **state)
{
	loopback.patience = 5;
	assert_int_equal(vsc_bus_contact(&loopback.bus, VMBUS_VERSION_WIN10_V5_3, 77), VSC_TIMEOUT);
	assert_int_equal(vsc_bus_connect(&loopback.bus, VMBUS_VERSION_WIN10_V5_3, 1), VSC_OK);
}

static void test_a_contact_closes_everything(void **state)
{
	open_mirror(2);
	assert_int_equal(vsc_bus_connect(&loopback.bus, VMBUS_VERSION_WIN10_V5_3, 0), VSC_OK);
	assert_null(mirror.channel);
	assert_int_equal(vsc_channel_receive(&channel, &(struct vsc_packet){ 0 }, buffer, sizeof buffer), VSC_GONE);
	assert_int_equal(vsc_channel_send(&channel, VMBUS_PACKET_IN_BAND, 0, 0, NULL, 0), VSC_GONE);
}

/* ---- lists */

static void test_lists_of_every_length(void **state)
{
	static const unsigned lengths[] = { 1, 25, 26, 27, 53, 54, 55, 82, 1000, LIST_PAGES_MAX };
	uint8_t *memory = loopback_pages(&loopback, LIST_PAGES_MAX);
	struct vmbus_server_counters counters;
	uint32_t gpadl;

	open_mirror(2);
	for (unsigned i = 0; i < COUNT(lengths); i++) {
		assert_int_equal(vsc_gpadl_create(&loopback.bus, channel.relid, memory, lengths[i] * VSC_PAGE, &gpadl), VSC_OK);
		assert_int_equal(vsc_gpadl_teardown(&loopback.bus, channel.relid, gpadl), VSC_OK);
	}
	assert_int_equal(vsc_gpadl_create(&loopback.bus, channel.relid, memory, 0, &gpadl), VSC_INVALID);
	assert_int_equal(vsc_gpadl_create(&loopback.bus, channel.relid, memory, 100, &gpadl), VSC_INVALID);
	assert_int_equal(vsc_gpadl_create(&loopback.bus, channel.relid, memory + 8, VSC_PAGE, &gpadl), VSC_INVALID);
	assert_int_equal(vsc_gpadl_create(&loopback.bus, channel.relid, memory, (LIST_PAGES_MAX + 1) * VSC_PAGE, &gpadl),
			 VSC_INVALID);
	assert_int_equal(vsc_gpadl_create(&loopback.bus, 999, memory, VSC_PAGE, &gpadl), VSC_REFUSED);
	vmbus_server_get_counters(loopback.server, &counters);
	assert_int_equal(counters.gpadl_count, 1);
}

/* ---- life of a channel */

static void test_open_and_close_again_and_again(void **state)
{
	struct vsc_packet packet;

	open_mirror(2);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(vsc_channel_close(&channel), VSC_OK);
		assert_null(mirror.channel);
		assert_int_equal(vsc_channel_open(&channel, &loopback.bus, vsc_bus_find(&loopback.bus, &mirror_interface, 0),
						  rings, 2 + i % 7, i % 2 ? 0 : VMBUS_VP_NONE), VSC_OK);
		assert_int_equal(vsc_channel_transact(&channel, i, &i, sizeof i, &packet, buffer, sizeof buffer), VSC_OK);
	}
}

static void test_a_rescinded_channel(void **state)
{
	struct vsc_offer *offer;

	open_mirror(2);
	offer = vsc_bus_find(&loopback.bus, &mirror_interface, 0);
	vmbus_device_remove(loopback.server, &mirror.device, mirror_gone, &mirror);
	loopback_advance(&loopback, 3000000000ull);	/* the offer is not taken back before it is seen */
	vsc_bus_poll(&loopback.bus);
	assert_true(offer->rescinded);
	assert_null(vsc_bus_find(&loopback.bus, &mirror_interface, 0));
	assert_int_equal(vsc_channel_receive(&channel, &(struct vsc_packet){ 0 }, buffer, sizeof buffer), VSC_GONE);
	assert_int_equal(vsc_channel_close(&channel), VSC_OK);
	assert_false(mirror.gone);
	assert_int_equal(vsc_bus_release(&loopback.bus, offer), VSC_OK);
	loopback_run(&loopback);
	assert_true(mirror.gone);
	/* It comes again, into an entry that is free. */
	mirror_init(&mirror);
	assert_int_equal(vmbus_device_add(loopback.server, &mirror.device), 0);
	loopback_run(&loopback);
	vsc_bus_poll(&loopback.bus);
	assert_non_null(vsc_bus_find(&loopback.bus, &mirror_interface, 0));
}

static void test_another_processor_gets_the_signals(void **state)
{
	struct vsc_packet packet;

	open_mirror(2);
	assert_int_equal(vsc_channel_transact(&channel, 1, "a", 1, &packet, buffer, sizeof buffer), VSC_OK);
	assert_int_equal(loopback.world.event_vp[channel.relid], 0);
	assert_int_equal(vsc_channel_retarget(&channel, 1), VSC_OK);
	assert_int_equal(vsc_channel_transact(&channel, 2, "b", 1, &packet, buffer, sizeof buffer), VSC_OK);
	assert_int_equal(loopback.world.event_vp[channel.relid], 1);
	assert_int_equal(vsc_channel_retarget(&channel, 2), VSC_REFUSED);
}

/* ---- packets */

struct expected {
	uint8_t *at;			/* payload, in the test's own memory */
	uint32_t bytes;
	uint8_t *memory;		/* NULL: in-band */
	uint32_t memory_bytes;
	uint8_t memory_byte;
};

#define IN_FLIGHT 64u

static bool send_random(struct expected *e, uint64_t transaction, const uint8_t *data, uint8_t *memory)
{
	int r;

	e->bytes = loopback_random(&loopback, channel.out.bytes < 5000 ? 1200 : 3000);
	e->at = (uint8_t *)data + loopback_random(&loopback, DATA_BYTES - e->bytes);
	e->memory = NULL;
	if (loopback_random(&loopback, 3) == 0) {
		const struct vsc_part parts[2] = { { e->at, e->bytes / 3 }, { e->at + e->bytes / 3, e->bytes - e->bytes / 3 } };

		r = vsc_channel_send(&channel, VMBUS_PACKET_IN_BAND, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, transaction, parts, 2);
	} else {
		e->memory = memory + loopback_random(&loopback, 3 * VSC_PAGE);
		e->memory_bytes = 1 + loopback_random(&loopback, 4 * VSC_PAGE);
		e->memory_byte = (uint8_t)transaction;
		memset(e->memory, e->memory_byte, e->memory_bytes);
		r = vsc_channel_send_memory(&channel, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, transaction, e->memory,
					    e->memory_bytes, e->at, e->bytes);
	}
	assert_true(r == VSC_OK || r == VSC_FULL);
	return r == VSC_OK;
}

static void check(const struct expected *e, const struct vsc_packet *packet)
{
	assert_int_equal(packet->type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(packet->payload_bytes, (e->bytes + 7) / 8 * 8);
	assert_memory_equal(buffer + packet->payload_offset, e->at, e->bytes);
	for (uint32_t i = 0; e->memory && i < e->memory_bytes; i++)
		assert_int_equal(e->memory[i], (uint8_t)~e->memory_byte);
}

static void exchange(unsigned ring_pages, unsigned count)
{
	static struct expected expected[IN_FLIGHT];
	uint8_t *data = loopback_pages(&loopback, DATA_BYTES / VSC_PAGE), *memory = loopback_pages(&loopback, 8 * IN_FLIGHT);
	uint64_t sent = 0, received = 0, before = loopback.hypercalls;
	unsigned idle = 0;
	struct vsc_packet packet;
	int r;

	loopback_fill(&loopback, data, DATA_BYTES);
	open_mirror(ring_pages);
	while (received < count) {
		unsigned burst = loopback_random(&loopback, IN_FLIGHT);

		while (burst-- && sent < count && sent - received < IN_FLIGHT &&
		       send_random(&expected[sent % IN_FLIGHT], sent, data, memory + sent % IN_FLIGHT * 8 * VSC_PAGE))
			sent++;
		if (loopback_random(&loopback, 2))
			loopback_run(&loopback);
		for (burst = loopback_random(&loopback, IN_FLIGHT); burst; burst--) {
			r = vsc_channel_receive(&channel, &packet, buffer, sizeof buffer);
			assert_in_range(r, 0, 1);
			if (r == 0)
				break;
			assert_int_equal(packet.transaction, received);
			check(&expected[received++ % IN_FLIGHT], &packet);
			idle = 0;
		}
		/* Nothing is lost, no side waits for the other. */
		assert_true(idle++ < 1000);
	}
	assert_int_equal(mirror.requests, count);
	assert_true(loopback.hypercalls - before < 2 * count);
	assert_int_equal(vsc_channel_receive(&channel, &packet, buffer, sizeof buffer), 0);
}

static void test_packets_through_the_smallest_rings(void **state)
{
	exchange(2, 20000);
	assert_true(mirror.stalls > 100);
}

static void test_packets_through_larger_rings(void **state)
{
	exchange(3, 10000);
	assert_int_equal(vsc_channel_close(&channel), VSC_OK);
	mirror.requests = 0;
	exchange(RING_PAGES_MAX, 10000);
}

/* Much more than fits: the host waits for room, and is told of it, again and again. */
static void test_the_hosts_own_packets(void **state)
{
	struct vsc_packet packet;
	unsigned idle = 0;

	open_mirror(2);
	mirror_send(&mirror, 5000);
	for (unsigned number = 0; number < 5000;) {
		int r = vsc_channel_receive(&channel, &packet, buffer, sizeof buffer);

		assert_in_range(r, 0, 1);
		if (r == 0) {
			loopback_run(&loopback);
			assert_true(idle++ < 50);
			continue;
		}
		idle = 0;
		assert_int_equal(packet.type, VMBUS_PACKET_IN_BAND);
		assert_int_equal(packet.transaction, number);
		assert_int_equal(packet.payload_bytes, mirror_length(number));
		for (uint32_t i = 0; i < packet.payload_bytes; i++)
			assert_int_equal(buffer[packet.payload_offset + i], mirror_byte(number));
		number++;
	}
	assert_true(mirror.stalls > 100);
}

/* The host signals when a packet fits that did not, and only if it was asked to. */
static void test_waiting_for_room(void **state)
{
	const struct vsc_part part = { rings, 1000 };
	unsigned events;

	open_mirror(2);
	while (vsc_channel_send(&channel, VMBUS_PACKET_IN_BAND, 0, 0, &part, 1) == VSC_OK)
		;
	assert_int_equal(vsc_channel_want_room(&channel, 1000), VSC_FULL);
	assert_true(channel.out.control->pending_send_bytes > 1000);
	events = loopback.world.events[channel.relid];
	loopback_run(&loopback);
	assert_int_equal(loopback.world.events[channel.relid], events + 1);
	assert_int_equal(vsc_channel_want_room(&channel, 1000), VSC_OK);
	assert_int_equal(channel.out.control->pending_send_bytes, 0);
	assert_int_equal(vsc_channel_want_room(&channel, 4096), VSC_TOO_LARGE);
}

static void test_signals_are_few(void **state)
{
	const struct vsc_part part = { "x", 1 };

	open_mirror(8);
	/* The host does not look meanwhile: one signal for all. */
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(vsc_channel_send(&channel, VMBUS_PACKET_IN_BAND, 0, i, &part, 1), VSC_OK);
	assert_int_equal(channel.signals, 1);
	loopback_run(&loopback);
	assert_int_equal(mirror.requests, 100);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_every_version),
		CASE(test_unknown_versions_are_refused),
		CASE(test_a_contact_to_nobody_is_not_answered),
		CASE(test_a_contact_closes_everything),
		CASE(test_lists_of_every_length),
		CASE(test_open_and_close_again_and_again),
		CASE(test_a_rescinded_channel),
		CASE(test_another_processor_gets_the_signals),
		CASE(test_packets_through_the_smallest_rings),
		CASE(test_packets_through_larger_rings),
		CASE(test_the_hosts_own_packets),
		CASE(test_waiting_for_room),
		CASE(test_signals_are_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
