// SPDX-License-Identifier: Apache-2.0
/*
 * Guest to network: every way to name a frame, several in a packet, information, policy, a tap without room, hostile lengths.
 */
#include "netvsp_rig.h"

#include <stdio.h>
#include <unistd.h>

#include <linux/virtio_net.h>

/* ---- guest to network */

static void a_frame_in_a_section_goes_out(void **state)
{
	uint8_t frame[1514], message[2048];

	for (size_t bytes = 14; bytes <= 1514; bytes += 75) {
		bench_fill(frame, bytes, other_mac, guest_mac, (unsigned)bytes);
		bench_send(&bench, 0, (uint32_t)bytes % 170, message, bench_message(message, frame, bytes, NULL, 0));
		bench_run(&bench);
		assert_on_wire(0, frame, bytes);
		for (unsigned i = 0; i < 12; i++)
			assert_int_equal(wire.header[i], 0);
		assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
	}
	assert_int_equal(counters(0).tx[NETVSP_UNICAST].frames, 21);
}

static void a_frame_in_its_own_memory_goes_out(void **state)
{
	uint8_t frame[1514], message[2048];

	for (size_t bytes = 14; bytes <= 1514; bytes += 100) {
		bench_fill(frame, bytes, other_mac, guest_mac, (unsigned)bytes);
		bench_send(&bench, 0, NVSP_SECTION_NONE, message, bench_message(message, frame, bytes, NULL, 0));
		bench_run(&bench);
		assert_on_wire(0, frame, bytes);
		assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
	}
}

/* Sends a stream whose first `cut` bytes are in a section and the rest in pieces of `step` bytes. */
static void send_cut(const uint8_t *stream, size_t bytes, size_t cut, size_t step)
{
	const struct nvsp_rndis_packet m = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_DATA, cut ? 3 : NVSP_SECTION_NONE, (uint32_t)cut };
	static uint8_t memory[8192];
	struct iovec iov[1024];
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	unsigned count = 0;

	memcpy(padded, &m, sizeof m);
	bench_memory_write(&bench.tx, 3 * 6144, stream, cut);
	memcpy(memory, stream + cut, bytes - cut);
	for (size_t at = 0; at < bytes - cut; at += step, count++) {
		assert_true(count < COUNT(iov));
		iov[count] = (struct iovec){ memory + at, bytes - cut - at < step ? bytes - cut - at : step };
	}
	bench_post(&bench, 0, count ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_IN_BAND, true, 4711, padded, sizeof padded,
		   iov, count);
	bench_run(&bench);
}

static void a_batch_split_anywhere_goes_out(void **state)
{
	static const size_t steps[] = { 5, 64, 301, 4096 };
	uint8_t frame[3][300], stream[2048];
	size_t bytes = 0;

	for (unsigned i = 0; i < 3; i++) {
		bench_fill(frame[i], 300 - 7 * i, other_mac, guest_mac, i);
		bytes += bench_message(stream + bytes, frame[i], 300 - 7 * i, NULL, 0);
	}
	for (size_t cut = 0; cut <= bytes; cut += 7)
		for (unsigned s = 0; s < COUNT(steps); s++) {
			send_cut(stream, bytes, cut, steps[s]);
			for (unsigned i = 0; i < 3; i++)
				assert_on_wire(0, frame[i], 300 - 7 * i);
			assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
		}
}

static void what_is_broken_is_refused_and_what_came_before_goes_out(void **state)
{
	uint8_t frame[100], stream[512];
	size_t first;

	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	first = bench_message(stream, frame, sizeof frame, NULL, 0);
	(void)bench_message(stream + first, frame, sizeof frame, NULL, 0);
	stream[first] = 9;
	send_cut(stream, 2 * first, 2 * first, 1);
	assert_on_wire(0, frame, sizeof frame);
	assert_int_equal(bench_wire_take(&bench, 0, &wire), -1);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_INVALID_RNDIS_PACKET), 1);
	assert_int_equal(drops(0, NETVSP_DROP_TX_MALFORMED), 1);
}

/* Each field of the header with each value; each length of the stream. The sanitizers watch, the count must be right. */
static void hostile_headers_are_refused(void **state)
{
	static const uint32_t values[] = { 0, 1, 7, 8, 35, 36, 37, 43, 44, 100, 120, 151, 152, 153, 0x7fffffff, 0x80000000,
					   0xfffffff7, 0xfffffff8, 0xffffffff };
	uint8_t frame[60], message[256], copy[256], ppi[16] = { 16, 0, 0, 0, 0, 0, 0, 0, 12 };
	struct bench_packet *packet;
	unsigned good = 0, bad = 0, sent = 0;
	size_t bytes;

	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	bytes = bench_message(message, frame, sizeof frame, ppi, sizeof ppi);
	for (unsigned field = 0; field < 11; field++)
		for (unsigned i = 0; i < COUNT(values); i++) {
			memcpy(copy, message, bytes);
			memcpy(copy + (size_t)4 * field, &values[i], 4);
			send_cut(copy, bytes, sent % 2 ? bytes : 0, 3 + sent % 50);
			sent++;
		}
	for (size_t count = 1; count < bytes; count++, sent++)
		send_cut(message, count, sent % 2 ? count : 0, 10);
	while ((packet = bench_take(&bench, 0))) {
		good += packet->payload[4] == NVSP_STATUS_SUCCESS;
		bad += packet->payload[4] == NVSP_STATUS_INVALID_RNDIS_PACKET;
		free(packet);
	}
	assert_int_equal(good + bad, sent);
	assert_true(bad > 150);
	assert_int_equal(drops(0, NETVSP_DROP_TX_MALFORMED), bad);
}

static void sections_are_checked(void **state)
{
	static const uint32_t rows[][2] = { { 170, 100 }, { 0xfffffffe, 100 }, { 0, 6145 }, { 0, 0xffffffff }, { 169, 0 } };
	const uint32_t revoke[10] = { NVSP_REVOKE_SEND_BUFFER, 0 };

	for (unsigned i = 0; i <= COUNT(rows); i++) {
		struct nvsp_rndis_packet m = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_DATA, 1, 100 };
		uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };

		if (i < COUNT(rows)) {
			m.section = rows[i][0];
			m.section_bytes = rows[i][1];
		} else {
			bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, false, 0, revoke, sizeof revoke, NULL, 0);
		}
		memcpy(padded, &m, sizeof m);
		bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, true, 0, padded, sizeof padded, NULL, 0);
		bench_run(&bench);
		assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_INVALID_RNDIS_PACKET), 1);
	}
}

static void too_many_pieces_are_refused(void **state)
{
	const struct nvsp_rndis_packet m = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_DATA, NVSP_SECTION_NONE, 0 };
	static struct iovec iov[2000];
	static uint8_t memory[300 << 10];

	for (unsigned i = 0; i < COUNT(iov); i++)
		iov[i] = (struct iovec){ memory + i, 1 };
	bench_post(&bench, 0, VMBUS_PACKET_GPA_DIRECT, true, 0, &m, sizeof m, iov, COUNT(iov));
	iov[0] = (struct iovec){ memory, sizeof memory };
	bench_post(&bench, 0, VMBUS_PACKET_GPA_DIRECT, true, 0, &m, sizeof m, iov, 1);
	bench_run(&bench);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_INVALID_RNDIS_PACKET), 2);
}

static void another_address_is_spoofing(void **state)
{
	const struct netvsp_policy free_policy = { .allow_mac_spoofing = true };
	uint8_t frame[100], message[256];
	size_t bytes;

	bench_fill(frame, sizeof frame, guest_mac, other_mac, 1);
	bytes = bench_message(message, frame, sizeof frame, NULL, 0);
	bench_send(&bench, 0, 0, message, bytes);
	bench_run(&bench);
	assert_int_equal(bench_wire_take(&bench, 0, &wire), -1);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
	assert_int_equal(drops(0, NETVSP_DROP_TX_SPOOFED), 1);
	netvsp_policy_set(bench.nic, &free_policy);
	bench_send(&bench, 0, 0, message, bytes);
	bench_run(&bench);
	assert_on_wire(0, frame, sizeof frame);
}

static void a_guest_is_no_dhcp_server(void **state)
{
	const struct netvsp_policy policy = { .guard_dhcp = true, .guard_router = true };
	static const uint8_t udp[] = { 0x08, 0x00, 0x45, 0, 0, 48, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
				       0, 67, 0, 68, 0, 28 };
	uint8_t frame[100] = { 0 }, message[256];

	netvsp_policy_set(bench.nic, &policy);
	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	memcpy(frame + 12, udp, sizeof udp);
	for (unsigned source = 67; source < 69; source++) {
		frame[35] = (uint8_t)source;
		bench_send(&bench, 0, 0, message, bench_message(message, frame, sizeof frame, NULL, 0));
		bench_run(&bench);
		assert_int_equal(bench_wire_take(&bench, 0, &wire) > 0, source == 68);
	}
	assert_int_equal(drops(0, NETVSP_DROP_TX_GUARDED), 1);
}

static void lengths_are_the_mtu_and_a_tag(void **state)
{
	static const struct {
		size_t bytes;
		bool tagged, good;
	} rows[] = { { 13, false, false }, { 14, false, true }, { 1514, false, true }, { 1515, false, false },
		     { 1518, true, true }, { 1519, true, false }, { 1518, false, false } };
	uint8_t frame[2000], message[2500];

	for (unsigned i = 0; i < COUNT(rows); i++) {
		bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
		if (rows[i].tagged)
			memcpy(frame + 12, "\x81\x00\x00\x05\x88\xb5", 6);
		bench_send(&bench, 0, 0, message, bench_message(message, frame, rows[i].bytes, NULL, 0));
		bench_run(&bench);
		assert_int_equal(bench_wire_take(&bench, 0, &wire), rows[i].good ? (int)rows[i].bytes : -1);
	}
	assert_int_equal(drops(0, NETVSP_DROP_TX_SIZE), 4);
}

static size_t ppi_put(uint8_t *to, uint32_t type, uint32_t word)
{
	memcpy(to, (uint32_t[]){ 16, type, 12, word }, 16);
	return 16;
}

static void a_long_tagged_frame_goes_out_whole(void **state)
{
	static uint8_t frame[64000], message[65000];
	struct virtio_net_hdr_v1 header;
	uint8_t ppi[48];
	size_t bytes = bench_fill_tcp(frame, 60000, other_mac, guest_mac), ppi_bytes = 0;

	ppi_bytes += ppi_put(ppi, RNDIS_PPI_LSO, 1460 | 34 << 20 | RNDIS_LSO_V2);
	ppi_bytes += ppi_put(ppi + ppi_bytes, RNDIS_PPI_VLAN, 3 | 100 << 4);
	ppi_bytes += ppi_put(ppi + ppi_bytes, RNDIS_PPI_HASH, 0x1234);
	bench_send(&bench, 0, NVSP_SECTION_NONE, message, bench_message(message, frame, bytes, ppi, ppi_bytes));
	bench_run(&bench);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
	assert_int_equal(bench_wire_take(&bench, 0, &wire), bytes + 4);
	memcpy(&header, wire.header, sizeof header);
	assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(header.gso_size, 1460);
	assert_int_equal(header.hdr_len, 58);
	assert_int_equal(header.csum_start, 38);
	assert_int_equal(header.csum_offset, 16);
	assert_memory_equal(wire.data, frame, 12);
	assert_memory_equal(wire.data + 12, "\x81\x00\x60\x64\x08\x00\x45\x00", 8);
	assert_int_equal(wire.data[20] << 8 | wire.data[21], bytes - 14);
	assert_memory_equal(wire.data + 58, frame + 54, 60000);
	/* The same without the information is just too long. */
	bench_send(&bench, 0, NVSP_SECTION_NONE, message, bench_message(message, frame, bytes, NULL, 0));
	bench_run(&bench);
	assert_int_equal(bench_wire_take(&bench, 0, &wire), -1);
	assert_int_equal(drops(0, NETVSP_DROP_TX_SIZE), 1);
}

static void a_wrong_offload_is_a_drop(void **state)
{
	uint8_t frame[200], message[400], ppi[16];
	size_t bytes = bench_fill_tcp(frame, 100, other_mac, guest_mac);

	(void)ppi_put(ppi, RNDIS_PPI_LSO, 1 | 34 << 20 | RNDIS_LSO_V2);
	bench_send(&bench, 0, 0, message, bench_message(message, frame, bytes, ppi, sizeof ppi));
	(void)ppi_put(ppi, RNDIS_PPI_CHECKSUM, 0x5 | 1000 << 16);
	bench_send(&bench, 0, 1, message, bench_message(message, frame, bytes, ppi, sizeof ppi));
	bench_run(&bench);
	assert_int_equal(bench_wire_take(&bench, 0, &wire), -1);
	assert_int_equal(drops(0, NETVSP_DROP_TX_OFFLOAD), 2);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 2);
}

static void no_frames_before_initialize_or_without_a_link(void **state)
{
	uint8_t frame[100], message[256];
	size_t bytes;

	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	bytes = bench_message(message, frame, sizeof frame, NULL, 0);
	netvsp_link_set(bench.nic, NETVSP_LINK_DOWN);
	bench_drop_all(&bench);
	bench_send(&bench, 0, 0, message, bytes);
	bench_run(&bench);
	assert_int_equal(drops(0, NETVSP_DROP_TX_LINK_DOWN), 1);
	bench_close(&bench, 0);
	assert_int_equal(bench_open(&bench, 0), 0);
	assert_int_equal(bench_nvsp_init(&bench, NVSP_VERSION_6_1, 1500), 0);
	bench_send(&bench, 0, 0, message, bytes);
	bench_run(&bench);
	assert_int_equal(drops(0, NETVSP_DROP_TX_NOT_READY), 1);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
	assert_int_equal(bench_wire_take(&bench, 0, &wire), -1);
}

/* A packet socket takes a number of frames and then no more. */
static unsigned fill_tap(void)
{
	uint8_t frame[1514], message[2048];
	unsigned posted = 0;
	size_t bytes;

	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	bytes = bench_message(message, frame, sizeof frame, NULL, 0);
	while (counters(0).tx_waits == 0) {
		bench_send(&bench, 0, posted++ % 170, message, bytes);
		bench_run(&bench);
	}
	return posted;
}

static void a_full_tap_holds_the_guest_for_a_moment(void **state)
{
	unsigned posted = fill_tap(), completed = bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), taken = 0;

	assert_int_equal(completed, posted - 1);
	/* What comes behind waits too. */
	bench_send(&bench, 0, 5, "x", 1);
	bench_run(&bench);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 0);
	while (bench_wire_take(&bench, 0, &wire) >= 0)
		taken++;
	assert_int_equal(taken, posted - 1);
	bench_advance(&bench, 1000000);
	assert_int_equal(bench_wire_take(&bench, 0, &wire), 1514);
	free(bench_take(&bench, 0));
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_INVALID_RNDIS_PACKET), 1);
	assert_int_equal(drops(0, NETVSP_DROP_TX_TAP_FULL), 0);
}

static void a_tap_that_stays_full_loses_frames(void **state)
{
	(void)fill_tap();
	(void)bench_completions(&bench, 0, NVSP_STATUS_SUCCESS);
	bench_advance(&bench, 1000000000);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
	assert_int_equal(drops(0, NETVSP_DROP_TX_TAP_FULL), 1);
}

static void a_held_packet_does_not_outlive_its_memory(void **state)
{
	const uint32_t revoke[10] = { NVSP_REVOKE_SEND_BUFFER, 0 };

	(void)fill_tap();
	(void)bench_completions(&bench, 0, NVSP_STATUS_SUCCESS);
	bench_close(&bench, 0);
	bench_connect(&bench);
	assert_null(bench.timers);
	/* By revocation on another channel: only from the primary, here behind a held packet of a sub-channel. */
	bench_stop(&bench);
	assert_int_equal(setup_connected_4(state), 0);
	while (counters(1).tx_waits == 0) {
		uint8_t frame[1514], message[2048];

		bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
		bench_send(&bench, 1, 7, message, bench_message(message, frame, sizeof frame, NULL, 0));
		bench_run(&bench);
	}
	(void)bench_completions(&bench, 1, NVSP_STATUS_SUCCESS);
	bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, false, 0, revoke, sizeof revoke, NULL, 0);
	bench_run(&bench);
	assert_int_equal(bench.tx_uses, 0);
	assert_int_equal(bench_completions(&bench, 1, NVSP_STATUS_SUCCESS), 1);
	bench_advance(&bench, 1000000000);
}

static void no_room_for_a_completion_stops_reading(void **state)
{
	uint8_t frame[100], message[256];
	size_t bytes;

	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	bytes = bench_message(message, frame, sizeof frame, NULL, 0);
	bench_room_set(&bench, 0, 3);
	for (unsigned i = 0; i < 10; i++)
		bench_send(&bench, 0, i, message, bytes);
	bench_run(&bench);
	/* Three completions found room, the fourth waits, nobody went on. */
	assert_int_equal(counters(0).tx[NETVSP_UNICAST].frames, 4);
	for (unsigned round = 0; round < 7; round++) {
		bench_room_set(&bench, 0, 1);
		bench_run(&bench);
	}
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 10);
	for (unsigned i = 0; i < 10; i++)
		assert_on_wire(0, frame, sizeof frame);
}

static void a_long_queue_is_worked_off_in_turns(void **state)
{
	uint8_t frame[20], message[128];
	size_t bytes;

	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	bytes = bench_message(message, frame, sizeof frame, NULL, 0);
	netvsp_link_set(bench.nic, NETVSP_LINK_DOWN);
	bench_drop_all(&bench);
	for (unsigned i = 0; i < 1000; i++)
		bench_send(&bench, 0, i % 170, message, bytes);
	bench.channel[0].rung = false;
	bench.device->ops->ready(bench.device->context, &bench.channel[0]);
	assert_in_range(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1, 999);
	bench_run(&bench);
	assert_int_equal(drops(0, NETVSP_DROP_TX_LINK_DOWN), 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_connected, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_frame_in_a_section_goes_out),
		TEST(a_frame_in_its_own_memory_goes_out),
		TEST(a_batch_split_anywhere_goes_out),
		TEST(what_is_broken_is_refused_and_what_came_before_goes_out),
		TEST(hostile_headers_are_refused),
		TEST(sections_are_checked),
		TEST(too_many_pieces_are_refused),
		TEST(another_address_is_spoofing),
		TEST(a_guest_is_no_dhcp_server),
		TEST(lengths_are_the_mtu_and_a_tag),
		TEST(a_long_tagged_frame_goes_out_whole),
		TEST(a_wrong_offload_is_a_drop),
		TEST(no_frames_before_initialize_or_without_a_link),
		TEST(a_full_tap_holds_the_guest_for_a_moment),
		TEST(a_tap_that_stays_full_loses_frames),
		TEST(a_held_packet_does_not_outlive_its_memory),
		TEST(no_room_for_a_completion_stops_reading),
		TEST(a_long_queue_is_worked_off_in_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
