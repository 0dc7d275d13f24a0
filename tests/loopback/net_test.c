// SPDX-License-Identifier: Apache-2.0
/* netvsc against netvsp, with a packet socket as the tap: frames of every size, both ways at once, in bursts. */
#include "unit/vsp/cmocka_all.h"

#include <sys/socket.h>
#include <unistd.h>

#include "loopback.h"
#include "net_client.h"
#include "netvsp/netvsp.h"

#define RING_PAGES   8u
#define BUFFER_BYTES (512u << 10)
#define FRAME_MIN    60u
#define FRAME_MAX    1514u
#define HEADER_BYTES 12u		/* of the tap */
#define FRAME_COUNT  20000u
#define QUEUE        64u		/* frames on their way in one direction, at most */

static const uint8_t mac[6] = { 0x00, 0x15, 0x5d, 1, 2, 3 }, other[6] = { 2, 0, 0, 0, 0, 9 };

static struct loopback loopback;
static struct netvsp *netvsp;
static struct vsc_nic nic;
static struct vsc_nic_memory memory;
static int tap;
static bool gone;
static unsigned received;		/* by the guest, all as expected */

static void note(void *flag)
{
	*(bool *)flag = true;
}

/* Frame number n of a direction: its length, its bytes. */
static uint32_t make_frame(uint8_t *frame, unsigned number, const uint8_t *to, const uint8_t *from)
{
	uint32_t bytes = FRAME_MIN + (number * 2654435761u >> 9) % (FRAME_MAX - FRAME_MIN + 1);

	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 0x88;		/* local experimental ethertype: nobody looks inside */
	frame[13] = 0xb5;
	for (uint32_t i = 14; i < bytes; i++)
		frame[i] = (uint8_t)(number * 31 + i);
	return bytes;
}

static void receive(void *context, const uint8_t *frame, uint32_t bytes)
{
	uint8_t expected[FRAME_MAX];

	assert_int_equal(bytes, make_frame(expected, received, mac, other));
	assert_memory_equal(frame, expected, bytes);
	received++;
}

static int setup(void **state)
{
	struct netvsp_config config = { .host = &loopback.world.host, .instance = { 9, 9, 9, { 9 } }, .mtu = 1500,
					.queue_count = 1, .link_mbps = 1000, .link_up = true };
	int pair[2];

	loopback_init(&loopback, 3);
	memory = (struct vsc_nic_memory){
		.rings = loopback_pages(&loopback, 2 * RING_PAGES), .ring_pages = RING_PAGES,
		.receive = loopback_pages(&loopback, BUFFER_BYTES / VSC_PAGE), .receive_bytes = BUFFER_BYTES,
		.send = loopback_pages(&loopback, BUFFER_BYTES / VSC_PAGE), .send_bytes = BUFFER_BYTES,
		.control = loopback_pages(&loopback, 1),
		.packet = loopback_pages(&loopback, 2), .packet_bytes = 2 * VSC_PAGE,
	};
	received = 0;
	memcpy(config.mac, mac, sizeof mac);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		return -1;
	tap = pair[0];
	config.tap_fd[0] = pair[1];
	if (netvsp_create(loopback.server, &config, &netvsp))
		return -1;
	return vsc_bus_connect(&loopback.bus, VMBUS_VERSION_WIN10_V5_3, 0);
}

static int teardown(void **state)
{
	gone = false;
	loopback_reset(&loopback);
	netvsp_destroy(netvsp, note, &gone);
	(void)loopback_until(&loopback, &gone);
	loopback_fini(&loopback);
	(void)close(tap);
	return gone ? 0 : -1;
}

static void open_nic(void)
{
	const struct vsc_offer *offer = vsc_bus_find(&loopback.bus, &vsc_nic_interface, 0);

	assert_non_null(offer);
	assert_int_equal(vsc_nic_open(&nic, &loopback.bus, offer, &memory, receive, NULL), VSC_OK);
}

static bool tap_send(unsigned number)
{
	uint8_t packet[HEADER_BYTES + FRAME_MAX] = { 0 };
	uint32_t bytes = make_frame(packet + HEADER_BYTES, number, mac, other);

	return write(tap, packet, HEADER_BYTES + bytes) == (ssize_t)(HEADER_BYTES + bytes);
}

static bool tap_receive(unsigned number)
{
	uint8_t packet[HEADER_BYTES + FRAME_MAX + 1], expected[FRAME_MAX];
	ssize_t bytes = read(tap, packet, sizeof packet);

	if (bytes < 0)
		return false;
	assert_int_equal(bytes, HEADER_BYTES + make_frame(expected, number, other, mac));
	assert_memory_equal(packet + HEADER_BYTES, expected, (size_t)bytes - HEADER_BYTES);
	return true;
}

static void test_what_an_adapter_says(void **state)
{
	uint32_t value = 0;

	open_nic();
	assert_int_equal(nic.version, NVSP_VERSION_6_1);
	assert_memory_equal(nic.mac, mac, sizeof mac);
	assert_true(nic.link_up);
	assert_int_equal(vsc_nic_query(&nic, OID_GEN_MAXIMUM_FRAME_SIZE, &value, sizeof value), VSC_OK);
	assert_int_equal(value, 1500);
	assert_int_equal(vsc_nic_query(&nic, 0x12345678, &value, sizeof value), VSC_REFUSED);
	assert_int_equal(vsc_nic_set(&nic, 0x12345678, &value, sizeof value), VSC_REFUSED);
	netvsp_link_set(netvsp, NETVSP_LINK_DOWN);
	loopback_run(&loopback);
	assert_int_equal(vsc_nic_poll(&nic), VSC_OK);
	assert_false(nic.link_up);
	assert_int_equal(vsc_nic_close(&nic), VSC_OK);
	assert_int_equal(nic.failures, 0);
}

static void test_frames_both_ways(void **state)
{
	unsigned sent = 0, arrived = 0, fed = 0, idle = 0;
	uint8_t frame[FRAME_MAX];

	open_nic();
	while (arrived < FRAME_COUNT || received < FRAME_COUNT) {
		unsigned before = arrived + received;

		for (unsigned i = loopback_random(&loopback, QUEUE); i && sent < FRAME_COUNT && sent - arrived < QUEUE; i--) {
			int r = vsc_nic_send(&nic, frame, make_frame(frame, sent, other, mac));

			assert_true(r == VSC_OK || r == VSC_FULL);
			if (r)
				break;
			sent++;
		}
		for (unsigned i = loopback_random(&loopback, QUEUE); i && fed < FRAME_COUNT && fed - received < QUEUE; i--) {
			if (!tap_send(fed))
				break;
			fed++;
		}
		if (world_turn(&loopback.world, 0) == 0)
			loopback_advance(&loopback, 1000000);
		if (loopback_random(&loopback, 3))
			assert_int_equal(vsc_nic_poll(&nic), VSC_OK);
		while (arrived < sent && tap_receive(arrived))
			arrived++;
		idle = before == arrived + received ? idle + 1 : 0;
		assert_true(idle < 1000);
	}
	while (nic.sections_in_flight && idle++ < 2000) {
		loopback_run(&loopback);
		assert_int_equal(vsc_nic_poll(&nic), VSC_OK);
	}
	assert_int_equal(nic.sections_in_flight, 0);
	assert_int_equal(nic.failures, 0);
	assert_int_equal(nic.frames_sent, FRAME_COUNT);
}

static void test_closed_and_opened_again(void **state)
{
	uint8_t frame[FRAME_MAX];

	for (unsigned i = 0; i < 20; i++) {
		open_nic();
		assert_int_equal(vsc_nic_send(&nic, frame, make_frame(frame, i, other, mac)), VSC_OK);
		assert_true(tap_send(i));
		loopback_advance(&loopback, 1000000);
		assert_int_equal(vsc_nic_poll(&nic), VSC_OK);
		assert_true(tap_receive(i));
		assert_int_equal(received, i + 1);
		assert_int_equal(vsc_nic_close(&nic), VSC_OK);
	}
}

static void test_too_long_a_frame(void **state)
{
	static const uint8_t frame[8192];

	open_nic();
	assert_int_equal(vsc_nic_send(&nic, frame, sizeof frame), VSC_TOO_LARGE);
	assert_int_equal(nic.sections_in_flight, 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_what_an_adapter_says),
		CASE(test_frames_both_ways),
		CASE(test_closed_and_opened_again),
		CASE(test_too_long_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
