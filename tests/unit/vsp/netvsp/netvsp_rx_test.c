// SPDX-License-Identifier: Apache-2.0
/*
 * Network to guest: filter, tags, sizes, flow control, channels that close with transfers in flight; several queues; random
 * streams in both directions.
 */
#include "netvsp_rig.h"

#include <stdio.h>
#include <unistd.h>

#include <linux/virtio_net.h>

static struct bench_frame frames[64];

/* ---- network to guest */

static void a_frame_comes_in(void **state)
{
	uint8_t frame[1514];

	for (size_t bytes = 14; bytes <= 1514; bytes += 75) {
		bench_fill(frame, bytes, guest_mac, other_mac, (unsigned)bytes);
		bench_wire_send(&bench, 0, NULL, frame, bytes);
		bench_run(&bench);
		assert_int_equal(bench_receive(&bench, 0, frames, COUNT(frames)), 1);
		assert_int_equal(frames[0].channel, NVSP_CHANNEL_DATA);
		assert_int_equal(frames[0].bytes, bytes);
		assert_memory_equal(frames[0].data, frame, bytes);
		assert_false(frames[0].has_checksum || frames[0].has_tag || frames[0].has_hash);
	}
	assert_int_equal(counters(0).rx[NETVSP_UNICAST].frames, 21);
}

static void what_waits_comes_in_together(void **state)
{
	uint8_t frame[200];
	unsigned got = 0, packets = 0, count;

	for (unsigned i = 0; i < 150; i++) {
		bench_fill(frame, 60 + i % 100, guest_mac, other_mac, i);
		bench_wire_send(&bench, 0, NULL, frame, 60 + i % 100);
	}
	bench_run(&bench);
	while ((count = bench_receive(&bench, 0, frames, COUNT(frames)))) {
		for (unsigned i = 0; i < count; i++, got++) {
			bench_fill(frame, 60 + got % 100, guest_mac, other_mac, got);
			assert_int_equal(frames[i].bytes, 60 + got % 100);
			assert_memory_equal(frames[i].data, frame, 60 + got % 100);
		}
		packets++;
	}
	assert_int_equal(got, 150);
	assert_true(packets <= 5);
}

static void the_filter_decides(void **state)
{
	static const uint8_t to[][6] = {
		{ 0x00, 0x15, 0x5d, 0x01, 0x02, 0x03 }, { 0x00, 0x15, 0x5d, 0x01, 0x02, 0x04 },
		{ 0x01, 0x00, 0x5e, 0, 0, 1 }, { 0x33, 0x33, 0, 0, 0, 1 }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	};
	static const struct {
		uint32_t filter;
		const char *wanted;		/* of each address above */
	} rows[] = {
		{ 0x1, "10000" }, { 0x2, "00100" }, { 0x4, "00110" }, { 0x8, "00001" }, { 0xd, "10111" }, { 0xb, "10101" },
		{ 0x20, "11111" },
	};
	uint8_t frame[60];

	assert_int_equal(bench_set(&bench, OID_802_3_MULTICAST_LIST, to[2], 6), 0);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		assert_int_equal(bench_set_filter(&bench, rows[i].filter), 0);
		for (unsigned k = 0; k < COUNT(to); k++) {
			bench_fill(frame, sizeof frame, to[k], other_mac, k);
			bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
			bench_run(&bench);
			if (bench_receive(&bench, 0, frames, 1) != (unsigned)(rows[i].wanted[k] - '0'))
				fail_msg("filter %#x, address %u", rows[i].filter, k);
		}
	}
	assert_int_equal(counters(0).rx[NETVSP_MULTICAST].frames, 8);
	assert_int_equal(counters(0).rx[NETVSP_BROADCAST].frames, 4);
}

static void tags_are_taken_off_where_the_guest_can_tell(void **state)
{
	uint8_t frame[64];

	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	memcpy(frame + 12, "\x81\x00\xb0\x64\x88\xb5", 6);
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 1);
	assert_true(frames[0].has_tag);
	assert_int_equal(frames[0].tag, 5 | 1 << 3 | 100 << 4);
	assert_int_equal(frames[0].bytes, 60);
	assert_memory_equal(frames[0].data, frame, 12);
	assert_memory_equal(frames[0].data + 12, frame + 16, 48);
}

static void sizes_from_the_network_are_checked(void **state)
{
	uint8_t frame[3000];
	struct virtio_net_hdr_v1 header = { .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 };

	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	bench_wire_send(&bench, 0, NULL, frame, 13);
	bench_wire_send(&bench, 0, NULL, frame, 0);
	bench_wire_send(&bench, 0, NULL, frame, 1515);
	bench_wire_send(&bench, 0, NULL, frame, 3000);
	bench_wire_send(&bench, 0, &header, frame, 100);
	header = (struct virtio_net_hdr_v1){ .flags = 1, .csum_start = 99, .csum_offset = 0 };
	bench_wire_send(&bench, 0, &header, frame, 100);
	assert_int_equal(write(bench.tap[0], frame, 5), 5);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 0);
	assert_int_equal(drops(0, NETVSP_DROP_RX_SIZE), 5);
	assert_int_equal(drops(0, NETVSP_DROP_RX_OFFLOAD), 2);
	memcpy(frame + 12, "\x81\x00\x00\x64\x88\xb5", 6);
	bench_wire_send(&bench, 0, NULL, frame, 1518);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 1);
}

static void no_section_means_no_reading(void **state)
{
	uint8_t frame[60];
	struct bench_packet *kept[2000], *packet;
	unsigned count = 0, got = 0;

	bench.hold_completions = true;
	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	for (unsigned i = 0; i < 2000 && bench.watch[0]; i++) {
		bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
		bench_run(&bench);
	}
	assert_null(bench.watch[0]);
	assert_int_equal(counters(0).rx_waits, 1);
	while ((packet = bench_take(&bench, 0))) {
		got += packet->range_count;
		kept[count++] = packet;
	}
	/* Control still gets through, by the sections that frames cannot have. */
	assert_int_equal(got, bench.section_count - 4);
	assert_int_equal(bench_set_filter(&bench, 0xf), 0);
	assert_int_equal(bench_set_filter(&bench, 0xd), 0);
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_null(bench_take(&bench, 0));
	for (unsigned i = 0; i < count; i++) {
		bench_complete(&bench, 0, kept[i]->transaction);
		bench_complete(&bench, 0, kept[i]->transaction);	/* which is one too many */
		free(kept[i]);
	}
	bench_run(&bench);
	assert_int_equal(drops(0, NETVSP_DROP_BAD_COMPLETION), count);
	assert_non_null(bench.watch[0]);
	bench.hold_completions = false;
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 1);
}

static void no_room_in_the_ring_means_no_reading(void **state)
{
	uint8_t frame[60];
	unsigned got = 0, count;

	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	bench_room_set(&bench, 0, 2);
	for (unsigned i = 0; i < 5; i++) {
		bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
		bench_run(&bench);
	}
	assert_null(bench.watch[0]);
	assert_int_equal(bench.channel[0].out_count, 2);
	bench_room_set(&bench, 0, 100);
	bench_run(&bench);
	assert_non_null(bench.watch[0]);
	while ((count = bench_receive(&bench, 0, frames, COUNT(frames))))
		got += count;
	assert_int_equal(got, 5);
}

static void completions_of_nothing_are_counted(void **state)
{
	static const uint64_t transactions[] = { 0, 1, 580, 0xffffffff, 0x100000000, 0x1ffffffff, 0x100000244, 0xffffffffffffffff };
	uint8_t frame[60];

	for (unsigned i = 0; i < COUNT(transactions); i++)
		bench_complete(&bench, 0, transactions[i]);
	bench_run(&bench);
	assert_int_equal(drops(0, NETVSP_DROP_BAD_COMPLETION), COUNT(transactions));
	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 1);
}

static void old_frames_are_not_delivered(void **state)
{
	uint8_t frame[60];

	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	assert_int_equal(bench_set_filter(&bench, 0), 0);
	for (unsigned i = 0; i < 7; i++)
		bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_int_equal(bench_set_filter(&bench, 0xd), 0);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 0);
	assert_int_equal(drops(0, NETVSP_DROP_RX_STALE), 7);
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 1);
}

static void paused_it_leaves_the_taps_alone(void **state)
{
	uint8_t frame[60];

	netvsp_pause(bench.nic);
	assert_null(bench.watch[0]);
	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 0);
	netvsp_resume(bench.nic);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 1);
}

static void closing_takes_what_is_in_flight_along(void **state)
{
	uint8_t frame[60];

	bench.hold_completions = true;
	for (unsigned round = 0; round < 20; round++) {
		bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
		bench_room_set(&bench, 0, round % 3);
		for (unsigned i = 0; i < 50; i++)
			bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
		bench_run(&bench);
		bench_close(&bench, 0);
		assert_int_equal(bench.rx_uses, 0);
		assert_null(bench.watch[0]);
		bench_connect(&bench);
	}
	bench.hold_completions = false;
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, frames, 1), 1);
}

/* A late completion of a former buffer does not free a section of the new one. */
static void completions_name_their_buffer(void **state)
{
	const uint32_t revoke[10] = { NVSP_REVOKE_RECEIVE_BUFFER, BENCH_RX_ID };
	const uint32_t bind[10] = { NVSP_RECEIVE_BUFFER, BENCH_RX_GPADL, BENCH_RX_ID };
	struct bench_packet *packet;
	uint8_t frame[60];
	uint64_t transaction;

	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	packet = bench_take(&bench, 0);
	assert_non_null(packet);
	transaction = packet->transaction;
	free(packet);
	bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, false, 0, revoke, sizeof revoke, NULL, 0);
	bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, false, 0, bind, sizeof bind, NULL, 0);
	bench_run(&bench);
	bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	bench_run(&bench);
	packet = bench_take(&bench, 0);
	assert_non_null(packet);
	assert_true(packet->transaction != transaction);
	assert_int_equal((uint32_t)packet->transaction, (uint32_t)transaction);
	free(packet);
	bench_complete(&bench, 0, transaction);
	bench_run(&bench);
	assert_int_equal(drops(0, NETVSP_DROP_BAD_COMPLETION), 1);
}

static void a_tap_that_ends_is_not_asked_again(void **state)
{
	uint8_t frame[100], message[256];

	(void)close(bench.tap[0]);
	bench.tap[0] = -1;
	bench_run(&bench);
	assert_null(bench.watch[0]);
	assert_string_not_equal(bench.log, "");
	bench_fill(frame, sizeof frame, other_mac, guest_mac, 1);
	bench_send(&bench, 0, 0, message, bench_message(message, frame, sizeof frame, NULL, 0));
	bench_run(&bench);
	assert_int_equal(drops(0, NETVSP_DROP_TX_TAP_ERROR), 1);
	assert_int_equal(bench_completions(&bench, 0, NVSP_STATUS_SUCCESS), 1);
}

/* ---- several queues */

static void each_channel_has_its_tap(void **state)
{
	uint8_t frame[100], message[256];

	for (unsigned i = 0; i < 4; i++) {
		bench_fill(frame, sizeof frame, other_mac, guest_mac, i);
		bench_send(&bench, i, i, message, bench_message(message, frame, sizeof frame, NULL, 0));
		bench_run(&bench);
		assert_on_wire(i, frame, sizeof frame);
		assert_int_equal(bench_completions(&bench, i, NVSP_STATUS_SUCCESS), 1);
		bench_fill(frame, sizeof frame, guest_mac, other_mac, i);
		bench_wire_send(&bench, i, NULL, frame, sizeof frame);
		bench_run(&bench);
		assert_int_equal(bench_receive(&bench, i, frames, 1), 1);
		assert_memory_equal(frames[0].data, frame, sizeof frame);
	}
}

static void rss_chooses_the_channel(void **state)
{
	uint8_t parameters[40 + 512 + 40] = { 0 }, frame[60];
	const struct ndis_rss_parameters p = {
		.header = { 0x89, 2, 40 }, .hash = 0x1701, .table_bytes = 512, .table_offset = 40, .key_bytes = 40,
		.key_offset = 40 + 512,
	};
	unsigned seen[4] = { 0 };

	memcpy(parameters, &p, sizeof p);
	for (unsigned i = 0; i < 128; i++)
		parameters[40 + 4 * i] = (uint8_t)(i % 4);
	for (unsigned i = 0; i < 40; i++)
		parameters[40 + 512 + i] = (uint8_t)(i * 41 + 7);
	assert_int_equal(bench_set(&bench, OID_GEN_RECEIVE_SCALE_PARAMETERS, parameters, sizeof parameters), 0);
	bench_run(&bench);
	for (unsigned i = 0; i < 200; i++) {
		(void)bench_fill_tcp(frame, 6, guest_mac, other_mac);
		frame[35] = (uint8_t)i;		/* source port */
		bench_wire_send(&bench, i % 4, NULL, frame, sizeof frame);
		bench_run(&bench);
		for (unsigned k = 0; k < 4; k++)
			if (bench_receive(&bench, k, frames, 1)) {
				assert_true(frames[0].has_hash);
				assert_int_equal(frames[0].hash % 128 % 4, k);
				seen[k]++;
			}
	}
	assert_int_equal(seen[0] + seen[1] + seen[2] + seen[3], 200);
	for (unsigned k = 0; k < 4; k++)
		assert_true(seen[k] > 20);
	/* A channel that went away leaves its share to the primary. */
	bench_close(&bench, 2);
	for (unsigned i = 0; i < 50; i++) {
		frame[35] = (uint8_t)i;
		bench_wire_send(&bench, 0, NULL, frame, sizeof frame);
	}
	bench_run(&bench);
	for (unsigned k = 0; k < 4; k++)
		while (bench_receive(&bench, k, frames, COUNT(frames)))
			;
	assert_null(bench.channel[2].out);
}

static void one_channel_may_close_with_frames_in_flight(void **state)
{
	uint8_t frame[60];

	bench_fill(frame, sizeof frame, guest_mac, other_mac, 9);
	bench.hold_completions = true;
	/* More than there are sections, if they did not come back. */
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 50; i++)
			bench_wire_send(&bench, 3, NULL, frame, sizeof frame);
		bench_room_set(&bench, 3, round % 2);
		bench_run(&bench);
		bench_close(&bench, 3);
		assert_int_equal(bench_open(&bench, 3), 0);
		bench_drop_all(&bench);
	}
	bench.hold_completions = false;
	bench_wire_send(&bench, 3, NULL, frame, sizeof frame);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 3, frames, 1), 1);
}

static void random_streams_arrive_whole_and_in_order(void **state)
{
	unsigned out_sent[4] = { 0 }, out_got[4] = { 0 }, in_sent[4] = { 0 }, in_got[4] = { 0 };
	uint8_t frame[1514], stream[6144];

	srandom(11);
	for (unsigned round = 0; round < 4000; round++) {
		unsigned q = (unsigned)random() % 4, batch = 1 + (unsigned)random() % 3, got;
		size_t bytes = 0;

		for (unsigned i = 0; i < batch; i++, out_sent[q]++) {
			size_t n = 14 + (out_sent[q] * 7919u) % 1501;

			bench_fill(frame, n, other_mac, guest_mac, out_sent[q]);
			bytes += bench_message(stream + bytes, frame, n, NULL, 0);
		}
		bench_send(&bench, q, random() % 2 ? (uint32_t)(random() % 170) : NVSP_SECTION_NONE, stream, bytes);
		for (unsigned i = 0; i < batch; i++, in_sent[q]++) {
			size_t n = 14 + (in_sent[q] * 104729u) % 1501;

			bench_fill(frame, n, guest_mac, other_mac, in_sent[q]);
			bench_wire_send(&bench, q, NULL, frame, n);
		}
		if (random() % 16 == 0)
			bench_room_set(&bench, q, (unsigned)random() % 3);
		bench_run(&bench);
		for (unsigned i = 0; i < 4; i++)
			bench_room_set(&bench, i, 1000);
		bench_run(&bench);
		for (unsigned i = 0; i < 4; i++) {
			struct vmbus_channel *channel = &bench.channel[i];

			while (channel->out) {
				if (channel->out->type == VMBUS_PACKET_COMPLETION) {
					free(bench_take(&bench, i));
					continue;
				}
				got = bench_receive(&bench, i, frames, COUNT(frames));
				for (unsigned k = 0; k < got; k++, in_got[i]++) {
					size_t n = 14 + (in_got[i] * 104729u) % 1501;

					bench_fill(frame, n, guest_mac, other_mac, in_got[i]);
					assert_int_equal(frames[k].bytes, n);
					assert_memory_equal(frames[k].data, frame, n);
				}
			}
			for (int n; (n = bench_wire_take(&bench, i, &wire)) >= 0; out_got[i]++) {
				bench_fill(frame, 14 + (out_got[i] * 7919u) % 1501, other_mac, guest_mac, out_got[i]);
				assert_int_equal(n, 14 + (out_got[i] * 7919u) % 1501);
				assert_memory_equal(wire.data, frame, (size_t)n);
			}
		}
	}
	bench_run(&bench);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(out_got[i], out_sent[i]);
		assert_int_equal(in_got[i], in_sent[i]);
		for (unsigned d = 0; d < NETVSP_DROP_COUNT; d++)
			if (drops(i, d))
				fail_msg("queue %u: %s", i, netvsp_drop_names[d]);
	}
}

static void statistics_are_the_sum_of_the_queues(void **state)
{
	struct ndis_statistics s;
	uint8_t frame[100], message[256];
	uint64_t wide;
	uint32_t narrow;
	size_t bytes;

	for (unsigned i = 0; i < 4; i++) {
		bench_fill(frame, sizeof frame, i % 2 ? (const uint8_t *)"\xff\xff\xff\xff\xff\xff" : other_mac, guest_mac, i);
		bench_send(&bench, i, i, message, bench_message(message, frame, sizeof frame, NULL, 0));
		bench_fill(frame, sizeof frame, i == 3 ? (const uint8_t *)"\x01\x00\x5e\x00\x00\x01" : guest_mac, other_mac, i);
		bench_wire_send(&bench, i, NULL, frame, sizeof frame);
	}
	bench_run(&bench);
	for (unsigned i = 0; i < 4; i++)
		for (struct bench_packet *packet; (packet = bench_take(&bench, i));)
			free(packet);
	assert_int_equal(bench_query(&bench, OID_GEN_STATISTICS, NULL, 0, &s, &bytes), 0);
	assert_int_equal(bytes, 152);
	assert_int_equal(s.out_unicast_frames, 2);
	assert_int_equal(s.out_broadcast_octets, 200);
	assert_int_equal(s.out_octets, 400);
	assert_int_equal(s.in_unicast_frames, 3);
	assert_int_equal(s.in_multicast_octets, 100);
	assert_int_equal(bench_query(&bench, OID_GEN_XMIT_OK, NULL, 0, &narrow, &bytes), 0);
	assert_int_equal(bytes, 4);
	assert_int_equal(narrow, 4);
	assert_int_equal(bench_query(&bench, OID_GEN_DIRECTED_BYTES_RCV, "12345678", 8, &wide, &bytes), 0);
	assert_int_equal(bytes, 8);
	assert_int_equal(wide, 300);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_connected, teardown)
#define TEST_4(name) cmocka_unit_test_setup_teardown(name, setup_connected_4, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_frame_comes_in),
		TEST(what_waits_comes_in_together),
		TEST(the_filter_decides),
		TEST(tags_are_taken_off_where_the_guest_can_tell),
		TEST(sizes_from_the_network_are_checked),
		TEST(no_section_means_no_reading),
		TEST(no_room_in_the_ring_means_no_reading),
		TEST(completions_of_nothing_are_counted),
		TEST(old_frames_are_not_delivered),
		TEST(paused_it_leaves_the_taps_alone),
		TEST(closing_takes_what_is_in_flight_along),
		TEST(completions_name_their_buffer),
		TEST(a_tap_that_ends_is_not_asked_again),
		TEST_4(each_channel_has_its_tap),
		TEST_4(rss_chooses_the_channel),
		TEST_4(one_channel_may_close_with_frames_in_flight),
		TEST_4(random_streams_arrive_whole_and_in_order),
		TEST_4(statistics_are_the_sum_of_the_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
