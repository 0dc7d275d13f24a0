// SPDX-License-Identifier: Apache-2.0
/*
 * Control messages as hostile guests send them; channels that come and go in every order; opening again.
 */
#include "netvsp_rig.h"

#include <stdio.h>

/* ---- hostile */

static void every_request_gets_an_answer(void **state)
{
	uint8_t out[NVSP_MESSAGE_BYTES];

	assert_int_equal(bench_open(&bench, 0), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (uint32_t type = 0; type < 300; type++) {
			if (type == NVSP_INIT || type == NVSP_RECEIVE_BUFFER || type == NVSP_SEND_BUFFER)
				continue;
			if (bench_transact(&bench, 0, &type, sizeof type, out) < 0)
				fail_msg("type %u, round %u: no answer", type, round);
		}
		if (round == 0)
			assert_int_equal(bench_nvsp_init(&bench, NVSP_VERSION_6_1, 1500), 0);
	}
	assert_answer("oid query ex", "83 0 0 0 80 1 8 0 1 1 1 0", "84 0 0 0 bb 0 0 c0 0 0 0 0");
	assert_true(drops(0, NETVSP_DROP_BAD_MESSAGE) > 500);
}

static void short_messages_are_refused(void **state)
{
	static const uint32_t types[] = { 1, 100, 101, 103, 104, 106, 107, 125, 129, 133 };
	uint8_t bytes[NVSP_MESSAGE_BYTES] = { 0 };

	assert_int_equal(bench_open(&bench, 0), 0);
	assert_int_equal(bench_nvsp_init(&bench, NVSP_VERSION_6_1, 1500), 0);
	for (unsigned i = 0; i < COUNT(types); i++)
		for (size_t count = 0; count < 5; count++) {
			uint64_t before = drops(0, NETVSP_DROP_BAD_MESSAGE);
			struct bench_packet *packet;

			memcpy(bytes, &types[i], 4);
			bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, true, 5, bytes, count, NULL, 0);
			bench_run(&bench);
			packet = bench_take(&bench, 0);
			assert_non_null(packet);
			assert_int_equal(packet->bytes, 40);
			free(packet);
			assert_int_equal(drops(0, NETVSP_DROP_BAD_MESSAGE), before + 1);
		}
}

static void buffers_are_bound_once_and_checked(void **state)
{
	assert_int_equal(bench_open(&bench, 0), 0);
	assert_answer("init", "1 0 0 0 1 0 6 0 1 0 6 0", "2 0 0 0 1 0 6 0 22 0 0 0 1 0 0 0");
	assert_answer("no such gpadl", "65 0 0 0 99 1e e 0 fe ca", "66 0 0 0 2");
	assert_answer("no such gpadl", "68 0 0 0 99 1e e 0 0 0", "69 0 0 0 2");
	bench.rx.bytes = 1000;
	bench.rx.count = 1;
	assert_answer("too small", "65 0 0 0 11 1e e 0 fe ca", "66 0 0 0 2");
	assert_int_equal(bench.rx_uses, 0);
	bench.tx.bytes = 6143;
	assert_answer("too small", "68 0 0 0 12 1e e 0 0 0", "69 0 0 0 2");
	assert_int_equal(bench.tx_uses, 0);
	bench.rx.bytes = 1808 + 7;
	assert_answer("one section", "65 0 0 0 11 1e e 0 fe ca",
		      "66 0 0 0 1 0 0 0 1 0 0 0 0 0 0 0 10 7 0 0 1 0 0 0 10 7 0 0");
	assert_answer("twice", "65 0 0 0 11 1e e 0 fe ca", "66 0 0 0 2");
	assert_answer("another's id", "67 0 0 0 fd ca", "67 0 0 0 2");
	assert_int_equal(bench.rx_uses, 1);
	assert_answer("revoked", "67 0 0 0 fe ca", "67 0 0 0 1");
	assert_int_equal(bench.rx_uses, 0);
	assert_answer("revoked", "67 0 0 0 fe ca", "67 0 0 0 2");
}

static void control_lengths_and_offsets_are_checked(void **state)
{
	static const uint32_t values[] = { 0, 1, 7, 8, 12, 19, 20, 21, 24, 27, 28, 31, 32, 33, 64, 0x7fffffff, 0x80000000,
					   0xfffffff0, 0xfffffff8, 0xffffffff };
	uint8_t message[64], reply[2048];

	bench_connect(&bench);
	for (unsigned type = 0; type < 10; type++)
		for (unsigned field = 0; field < 7; field++)
			for (unsigned i = 0; i < COUNT(values); i++)
				for (size_t bytes = 0; bytes <= 32; bytes += 4) {
					const uint32_t words[8] = { type, 32, 9, OID_802_3_MULTICAST_LIST, 4, 20, 0, 0 };

					memcpy(message, words, sizeof words);
					memcpy(message + (size_t)4 * field, &values[i], 4);
					(void)bench_control(&bench, message, bytes, reply, sizeof reply);
					bench_drop_all(&bench);
					bench_run(&bench);
				}
	/* It is all still there. */
	if (bench_rndis_init(&bench))
		fail_msg("the adapter is gone");
	assert_int_equal(query_u32(OID_GEN_MEDIA_CONNECT_STATUS), 0);
}

static void control_by_a_subchannel_is_refused(void **state)
{
	const uint32_t words[10] = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_CONTROL, NVSP_SECTION_NONE };
	uint8_t out[NVSP_MESSAGE_BYTES];

	bench_connect(&bench);
	bench_subchannels(&bench, 2);
	assert_int_equal(bench_transact(&bench, 1, words, sizeof words, out), 40);
	assert_bytes("control", out, 40, "6c 0 0 0 5");
	assert_int_equal(bench_transact(&bench, 2, (uint32_t[]){ NVSP_REVOKE_RECEIVE_BUFFER, BENCH_RX_ID }, 8, out), 40);
	assert_bytes("revoke", out, 40, "67 0 0 0 2");
	assert_int_equal(bench.rx_uses, 1);
}

static void too_many_requests_are_refused_not_forgotten(void **state)
{
	const uint32_t keepalive[3] = { RNDIS_KEEPALIVE, 12, 0x55 };
	const struct nvsp_rndis_packet head = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_CONTROL, 0, 12 };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	unsigned done = 0, busy = 0, replies = 0;
	struct bench_packet *packet;

	bench_connect(&bench);
	bench_memory_write(&bench.tx, 0, keepalive, sizeof keepalive);
	memcpy(padded, &head, sizeof head);
	/* The guest keeps every section. */
	bench.hold_completions = true;
	for (unsigned i = 0; i < 1000; i++)
		bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, true, i, padded, sizeof padded, NULL, 0);
	bench_run(&bench);
	while ((packet = bench_take(&bench, 0))) {
		if (packet->type == VMBUS_PACKET_TRANSFER_PAGES) {
			replies++;
		} else {
			done += packet->payload[4] == NVSP_STATUS_SUCCESS;
			busy += packet->payload[4] == NVSP_STATUS_BUSY;
		}
		free(packet);
	}
	assert_int_equal(replies, bench.section_count);
	assert_int_equal(done, bench.section_count + 16);
	assert_int_equal(done + busy, 1000);
	assert_int_equal(drops(0, NETVSP_DROP_CONTROL_FULL), busy);
}

static void a_broken_ring_is_left_alone(void **state)
{
	bench_connect(&bench);
	bench.channel[0].broken = true;
	bench.channel[0].rung = true;
	bench_run(&bench);
	assert_null(bench.watch[0]);
	netvsp_link_set(bench.nic, NETVSP_LINK_DOWN);
	netvsp_link_set(bench.nic, NETVSP_LINK_UP);
	bench_close(&bench, 0);
	bench_connect(&bench);
	assert_non_null(bench.watch[0]);
}

/* ---- channels come and go */

static void only_granted_channels_open(void **state)
{
	uint8_t out[NVSP_MESSAGE_BYTES];

	bench_connect(&bench);
	assert_true(bench_open(&bench, 1) < 0);
	assert_answer("more than there are", "85 0 0 0 1 0 0 0 f0 0 0 0", "85 0 0 0 1 0 0 0 3 0 0 0");
	assert_int_equal(bench.offered, 3);
	assert_answer("once more", "85 0 0 0 1 0 0 0 1 0 0 0", "85 0 0 0 2 0 0 0 0 0 0 0");
	assert_int_equal(bench_open(&bench, 1), 0);
	assert_true(bench_open(&bench, 4) < 0);
	assert_int_equal(bench_open(&bench, 3), 0);
	bench_run(&bench);
	assert_null(bench.channel[0].out);
	assert_int_equal(bench_open(&bench, 2), 0);
	assert_int_equal(bench.channel[0].out_count, 1);	/* the table */
	bench_drop_all(&bench);
	/* A message that only the primary takes, on another channel. */
	assert_int_equal(bench_transact(&bench, 2, (uint32_t[]){ NVSP_INIT, 0x60001, 0x60001 }, 12, out), 40);
	assert_bytes("init", out, 40, "1 0 0 0 2");
}

static void offers_wait_for_the_answer(void **state)
{
	const struct nvsp_subchannel request = { NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, 2 };

	bench_connect(&bench);
	bench_room_set(&bench, 0, 0);
	bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, true, 7, &request, sizeof request, NULL, 0);
	bench_run(&bench);
	assert_int_equal(bench.offered, 0);
	bench_room_set(&bench, 0, 1);
	bench_run(&bench);
	assert_int_equal(bench.offered, 2);
	assert_int_equal(bench.channel[0].out_count, 1);
	assert_int_equal(bench_open(&bench, 1), 0);
	assert_int_equal(bench_open(&bench, 2), 0);
	/* Room was for one: the table follows when there is more. */
	assert_int_equal(bench.channel[0].out_count, 1);
	bench_room_set(&bench, 0, 5);
	bench_run(&bench);
	assert_int_equal(bench.channel[0].out_count, 2);
}

static void no_channel_ids_is_a_line_in_the_log(void **state)
{
	bench_connect(&bench);
	bench.offer_error = -28;
	bench_subchannels(&bench, 3);
	assert_string_not_equal(bench.log, "");
}

/* An MTU change: everything closed and opened again on the same offer. */
static void it_opens_again_with_another_mtu(void **state)
{
	struct netvsp_config config = bench_config(4);

	bench_stop(&bench);
	config.mtu = 9000;
	bench_start(&bench, &config);
	for (unsigned round = 0; round < 6; round++) {
		uint32_t mtu = round % 2 ? 9000 : 1500;

		assert_int_equal(bench_open(&bench, 0), 0);
		assert_int_equal(bench_nvsp_init(&bench, NVSP_VERSION_6_1, mtu), 0);
		assert_int_equal(bench_rndis_init(&bench), 0);
		assert_int_equal(query_u32(OID_GEN_MAXIMUM_FRAME_SIZE), mtu);
		assert_true(bench.section_bytes > mtu + 256);
		bench_subchannels(&bench, 3);
		bench_drop_all(&bench);
		assert_int_equal(bench_set_filter(&bench, 0xd), 0);
		if (round < 3) {
			assert_int_equal(bench_set_filter(&bench, 0), 0);
			assert_reply("halt", "3 0 0 0 8 0 0 0", "");
			assert_no_answer("revoke", "67 0 0 0 fe ca");
			assert_no_answer("revoke", "6a 0 0 0 0 0");
		}
		/* in the usual order, and the other way round */
		for (unsigned i = 0; i < 4; i++)
			bench_close(&bench, round % 2 ? i : 3 - i);
		assert_int_equal(bench.rx_uses, 0);
		assert_int_equal(bench.tx_uses, 0);
		assert_null(bench.watch[0]);
	}
}

/* A removal that the server had to put off may be carried out inside a call that the adapter makes. */
static void it_is_not_freed_under_its_own_feet(void **state)
{
	const uint32_t revoke[10] = { NVSP_REVOKE_RECEIVE_BUFFER, BENCH_RX_ID };

	bench_connect(&bench);
	bench_subchannels(&bench, 3);
	bench.defer_removal = true;
	bench_destroy(&bench);
	assert_false(bench.destroyed);
	bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, true, 1, revoke, sizeof revoke, NULL, 0);
	bench_run(&bench);
	assert_true(bench.destroyed);
}

static void nonsense_configurations_are_refused(void **state)
{
	struct netvsp_config good = bench_config(1), c;
	struct netvsp *nic;
	char name[1000];

	good.host = &bench.host;
#define REFUSED(change) \
	c = good; \
	change; \
	assert_true(netvsp_create(NULL, &c, &nic) < 0)
	REFUSED(c.queue_count = 0);
	REFUSED(c.queue_count = 9);
	REFUSED(c.tap_fd[0] = -1);
	REFUSED(c.mtu = 575);
	REFUSED(c.mtu = 9001);
	REFUSED(c.mac[0] = 1);
	REFUSED(memset(c.mac, 0, 6));
	REFUSED(c.name = "\xff");
	REFUSED(c.name = "\xc3");
	REFUSED(c.name = "\xc0\x80");
	REFUSED(c.name = "\xed\xa0\x80");
	REFUSED(c.name = "\xf4\x90\x80\x80");
	memset(name, 'a', sizeof name);
	name[256] = 0;
	REFUSED(c.name = name);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_4(name) cmocka_unit_test_setup_teardown(name, setup_4, teardown)
	const struct CMUnitTest tests[] = {
		TEST(every_request_gets_an_answer),
		TEST(short_messages_are_refused),
		TEST(buffers_are_bound_once_and_checked),
		TEST(control_lengths_and_offsets_are_checked),
		TEST_4(control_by_a_subchannel_is_refused),
		TEST(too_many_requests_are_refused_not_forgotten),
		TEST(a_broken_ring_is_left_alone),
		TEST_4(only_granted_channels_open),
		TEST_4(offers_wait_for_the_answer),
		TEST_4(no_channel_ids_is_a_line_in_the_log),
		TEST(it_opens_again_with_another_mtu),
		TEST_4(it_is_not_freed_under_its_own_feet),
		TEST(nonsense_configurations_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
