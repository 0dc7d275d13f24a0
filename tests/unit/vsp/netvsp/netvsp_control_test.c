// SPDX-License-Identifier: Apache-2.0
/*
 * NVSP and RNDIS control: what Linux sends on the way to a working interface, byte for byte; every OID.
 */
#include "netvsp_rig.h"

#include <stdio.h>

/* ---- byte for byte */

/* GPADL handles of the bench: 0xe1e11 receive, 0xe1e12 send. 1 MiB by 1808 is 579 sections; 4 queues. */
static void linux_comes_up_byte_for_byte(void **state)
{
	assert_int_equal(bench_open(&bench, 0), 0);
	assert_answer("init", "1 0 0 0 1 0 6 0 1 0 6 0", "2 0 0 0 1 0 6 0 22 0 0 0 1 0 0 0");
	assert_no_answer("ndis config", "7d 0 0 0 ea 5 0 0 0 0 0 0 ac 0 0 0 0 0 0 0");
	assert_no_answer("ndis version", "64 0 0 0 6 0 0 0 1e 0 0 0");
	assert_answer("receive buffer", "65 0 0 0 11 1e e 0 fe ca",
		      "66 0 0 0 1 0 0 0 1 0 0 0 0 0 0 0 10 7 0 0 43 2 0 0 30 f9 f 0");
	bench.section_bytes = 0x710;
	bench.section_count = 0x243;
	assert_answer("send buffer", "68 0 0 0 12 1e e 0 0 0", "69 0 0 0 1 0 0 0 0 18 0 0");
	assert_reply("initialize", "2 0 0 0 18 0 0 0 1 0 0 0 1 0 0 0 0 0 0 0 0 40 0 0",
		     "2 0 0 80 34 0 0 0 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 8 0 0 0 0 0 4 0 3 0 0 0 0 0 0 0 "
		     "0 0 0 0");
	assert_reply("frame size", "4 0 0 0 1c 0 0 0 2 0 0 0 6 1 1 0 0 0 0 0 14 0 0 0 0 0 0 0",
		     "4 0 0 80 1c 0 0 0 2 0 0 0 0 0 0 0 4 0 0 0 10 0 0 0 dc 5 0 0");
	assert_reply("address", "4 0 0 0 1c 0 0 0 3 0 0 0 1 1 1 1 0 0 0 0 14 0 0 0 0 0 0 0",
		     "4 0 0 80 1e 0 0 0 3 0 0 0 0 0 0 0 6 0 0 0 10 0 0 0 0 15 5d 1 2 3");
	assert_reply("name", "4 0 0 0 1c 0 0 0 4 0 0 0 16 2 2 0 0 0 0 0 14 0 0 0 0 0 0 0",
		     "4 0 0 80 26 0 0 0 4 0 0 0 0 0 0 0 e 0 0 0 10 0 0 0 6e 0 65 0 74 0 20 0 e9 0 3d d8 27 dc");
	assert_reply("offload", "4 0 0 0 20 0 0 0 5 0 0 0 d 2 1 fc 4 0 0 0 14 0 0 0 0 0 0 0 a7 3 9c 0",
		     "4 0 0 80 b4 0 0 0 5 0 0 0 0 0 0 0 9c 0 0 0 10 0 0 0 a7 3 9c 0 "
		     "2 0 0 0 55 1 0 0 2 0 0 0 55 1 0 0 2 0 0 0 55 0 0 0 2 0 0 0 55 0 0 0 "
		     "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
		     "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 "
		     "2 0 0 0 3c f5 0 0 2 0 0 0 2 0 0 0 3c f5 0 0 2 0 0 0 5 0 0 0 0 0 0 0 "
		     "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0");
	assert_reply("offload parameters", "5 0 0 0 38 0 0 0 6 0 0 0 c 2 1 fc 1c 0 0 0 14 0 0 0 0 0 0 0 "
		     "80 3 1c 0 1 4 4 4 4 1 0 2 2 0 0 0 0 0 0 0 0 0 1 1 0 0 0 0", "5 0 0 80 10 0 0 0 6 0 0 0 0 0 0 0");
	assert_reply("connected", "4 0 0 0 1c 0 0 0 7 0 0 0 14 1 1 0 0 0 0 0 14 0 0 0 0 0 0 0",
		     "4 0 0 80 1c 0 0 0 7 0 0 0 0 0 0 0 4 0 0 0 10 0 0 0 0 0 0 0");
	assert_reply("speed", "4 0 0 0 1c 0 0 0 8 0 0 0 7 1 1 0 0 0 0 0 14 0 0 0 0 0 0 0",
		     "4 0 0 80 1c 0 0 0 8 0 0 0 0 0 0 0 4 0 0 0 10 0 0 0 0 e1 f5 5");
	assert_reply("rss", "4 0 0 0 30 0 0 0 9 0 0 0 3 2 1 0 14 0 0 0 14 0 0 0 0 0 0 0 "
		     "88 2 14 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0",
		     "4 0 0 80 2a 0 0 0 9 0 0 0 0 0 0 0 12 0 0 0 10 0 0 0 88 2 12 0 1 3 0 0 4 0 0 0 4 0 0 0 80 0");
	assert_answer("sub-channels", "85 0 0 0 1 0 0 0 3 0 0 0", "85 0 0 0 1 0 0 0 3 0 0 0");
	assert_int_equal(bench.offered, 3);
	assert_reply("filter", "5 0 0 0 20 0 0 0 a 0 0 0 e 1 1 0 4 0 0 0 14 0 0 0 0 0 0 0 d 0 0 0",
		     "5 0 0 80 10 0 0 0 a 0 0 0 0 0 0 0");
	assert_answer("data path", "81 0 0 0 0 0 0 0", "");
	/* down again: filter, halt without a reply, both buffers without an answer */
	assert_reply("filter off", "5 0 0 0 20 0 0 0 b 0 0 0 e 1 1 0 4 0 0 0 14 0 0 0 0 0 0 0 0 0 0 0",
		     "5 0 0 80 10 0 0 0 b 0 0 0 0 0 0 0");
	assert_reply("halt", "3 0 0 0 c 0 0 0 c 0 0 0", "");
	assert_no_answer("revoke", "67 0 0 0 fe ca");
	assert_int_equal(bench.rx_uses, 0);
	assert_no_answer("revoke", "6a 0 0 0 0 0");
	assert_int_equal(bench.tx_uses, 0);
}

static void the_table_comes_after_the_last_channel(void **state)
{
	struct bench_packet *packet;
	struct nvsp_indirection_table table;

	bench_connect(&bench);
	bench_subchannels(&bench, 3);
	packet = bench_take(&bench, 0);
	assert_non_null(packet);
	assert_int_equal(packet->type, VMBUS_PACKET_IN_BAND);
	assert_int_equal(packet->flags, 0);
	assert_int_equal(packet->bytes, 104);
	memcpy(&table, packet->payload, sizeof table);
	assert_int_equal(table.type, 134);
	assert_int_equal(table.count, 16);
	assert_int_equal(table.offset, 40);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(table.channel[i], i % 4);
	free(packet);
	assert_null(bench_take(&bench, 0));
}

static void versions_are_negotiated(void **state)
{
	static const struct {
		uint32_t min, max, version, status;
	} rows[] = {
		{ 2, 2, 0, NVSP_STATUS_TOO_OLD },
		{ 0x30002, 0x30002, 0, NVSP_STATUS_TOO_OLD },
		{ 0x60002, 0x60002, 0, NVSP_STATUS_TOO_NEW },
		{ 0xffffffff, 0xffffffff, 0, NVSP_STATUS_TOO_NEW },
		{ 0x40001, 0x4ffff, 0, NVSP_STATUS_FAIL },
		{ 0x60000, 0x40000, 0, NVSP_STATUS_FAIL },
		{ 0x40000, 0x40000, 0x40000, NVSP_STATUS_SUCCESS },
		{ 0x50000, 0x50000, 0x50000, NVSP_STATUS_SUCCESS },
		{ 0x60000, 0x60000, 0x60000, NVSP_STATUS_SUCCESS },
		{ 0x60001, 0x60001, 0x60001, NVSP_STATUS_SUCCESS },
		{ 2, 0xffffffff, 0x60001, NVSP_STATUS_SUCCESS },
		{ 2, 0x5ffff, 0x50000, NVSP_STATUS_SUCCESS },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct nvsp_init init = { NVSP_INIT, rows[i].min, rows[i].max };
		struct nvsp_init_complete done;
		uint8_t out[NVSP_MESSAGE_BYTES];

		assert_int_equal(bench_open(&bench, 0), 0);
		assert_int_equal(bench_transact(&bench, 0, &init, sizeof init, out), NVSP_MESSAGE_BYTES);
		memcpy(&done, out, sizeof done);
		assert_int_equal(done.type, NVSP_INIT_COMPLETE);
		assert_int_equal(done.status, rows[i].status);
		assert_int_equal(done.version, rows[i].version);
		/* The next try on the same channel: well if the first failed, else not. */
		assert_int_equal(bench_transact(&bench, 0, &(struct nvsp_init){ 1, 0x60001, 0x60001 }, 12, out), 40);
		memcpy(&done, out, sizeof done);
		assert_int_equal(done.status, rows[i].version ? NVSP_STATUS_FAIL : NVSP_STATUS_SUCCESS);
		bench_close(&bench, 0);
	}
}

static void sections_fit_the_mtu(void **state)
{
	static const struct {
		uint32_t guest, host, frame;
	} rows[] = {
		{ 1500, 1500, 1500 }, { 9000, 1500, 1500 }, { 9000, 9000, 9000 }, { 1500, 9000, 1500 }, { 576, 1500, 576 },
		{ 68, 1500, 576 }, { 0, 1500, 1500 }, { 0xfffffff0, 9000, 9000 },
	};

	bench_stop(&bench);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct netvsp_config config = bench_config(1);
		uint32_t mtu;
		size_t bytes;

		config.mtu = (uint16_t)rows[i].host;
		bench_start(&bench, &config);
		assert_int_equal(bench_open(&bench, 0), 0);
		assert_int_equal(bench_nvsp_init(&bench, NVSP_VERSION_5, rows[i].guest), 0);
		assert_true(bench.section_bytes >= rows[i].frame + 14 + 4 + 44 + 48);
		assert_true(bench.section_bytes >= rows[i].frame + 256);
		assert_int_equal(bench_rndis_init(&bench), 0);
		assert_int_equal(bench_query(&bench, OID_GEN_MAXIMUM_FRAME_SIZE, NULL, 0, &mtu, &bytes), 0);
		assert_int_equal(mtu, rows[i].frame);
		assert_int_equal(bench_query(&bench, OID_GEN_MAXIMUM_TOTAL_SIZE, NULL, 0, &mtu, &bytes), 0);
		assert_int_equal(mtu, rows[i].frame + 14);
		if (i + 1 < COUNT(rows))
			bench_stop(&bench);
	}
}

/* ---- OIDs */

static void constants_are_told(void **state)
{
	static const struct {
		uint32_t oid, value;
	} rows[] = {
		{ OID_GEN_HARDWARE_STATUS, 0 }, { OID_GEN_MEDIA_SUPPORTED, 0 }, { OID_GEN_MEDIA_IN_USE, 0 },
		{ OID_GEN_MAXIMUM_LOOKAHEAD, 1500 }, { OID_GEN_MAXIMUM_FRAME_SIZE, 1500 }, { OID_GEN_LINK_SPEED, 100000000 },
		{ OID_GEN_TRANSMIT_BUFFER_SPACE, 170 * 6144 }, { OID_GEN_RECEIVE_BUFFER_SPACE, 0x710 * 0x243 },
		{ OID_GEN_TRANSMIT_BLOCK_SIZE, 1514 }, { OID_GEN_RECEIVE_BLOCK_SIZE, 1514 }, { OID_GEN_VENDOR_ID, 0xffffff },
		{ OID_GEN_CURRENT_PACKET_FILTER, 0xd }, { OID_GEN_CURRENT_LOOKAHEAD, 1500 }, { OID_GEN_DRIVER_VERSION, 0x61e },
		{ OID_GEN_MAXIMUM_TOTAL_SIZE, 1514 }, { OID_GEN_MAC_OPTIONS, 0xcb }, { OID_GEN_MEDIA_CONNECT_STATUS, 0 },
		{ OID_GEN_MAXIMUM_SEND_PACKETS, 0xffffffff }, { OID_GEN_VENDOR_DRIVER_VERSION, 1 },
		{ OID_GEN_PHYSICAL_MEDIUM, 14 }, { OID_GEN_RCV_CRC_ERROR, 0 }, { OID_GEN_TRANSMIT_QUEUE_LENGTH, 0 },
		{ OID_802_3_MAXIMUM_LIST_SIZE, 64 }, { OID_802_3_RCV_ERROR_ALIGNMENT, 0 }, { OID_802_3_XMIT_ONE_COLLISION, 0 },
		{ OID_802_3_XMIT_MORE_COLLISIONS, 0 },
	};
	uint8_t out[1024];
	size_t bytes;

	bench_connect(&bench);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		if (query_u32(rows[i].oid) != rows[i].value)
			fail_msg("OID %#x is %#x", rows[i].oid, query_u32(rows[i].oid));
	}
	assert_int_equal(bench_query(&bench, OID_GEN_VENDOR_DESCRIPTION, NULL, 0, out, &bytes), 0);
	assert_true(bytes > 10 && out[bytes - 1] == 0 && strlen((char *)out) == bytes - 1);
	assert_int_equal(bench_query(&bench, OID_802_3_CURRENT_ADDRESS, NULL, 0, out, &bytes), 0);
	assert_int_equal(bytes, 6);
	assert_memory_equal(out, "\x00\x15\x5d\x01\x02\x03", 6);
}

static void every_listed_oid_answers_and_others_are_refused(void **state)
{
	uint32_t list[256];
	uint8_t out[1024];
	size_t bytes, other;

	bench_connect(&bench);
	assert_int_equal(bench_query(&bench, OID_GEN_SUPPORTED_LIST, NULL, 0, list, &bytes), 0);
	assert_true(bytes > 4 * 50);
	for (unsigned i = 0; i < bytes / 4; i++) {
		uint32_t query = bench_query(&bench, list[i], NULL, 0, out, &other), set = bench_set(&bench, list[i], "", 0);

		assert_true(query == 0 || set != NDIS_STATUS_NOT_SUPPORTED || list[i] == OID_GEN_RNDIS_CONFIG_PARAMETER);
	}
	for (uint32_t oid = 0x00010100; oid < 0x00010120; oid++) {
		bool listed = false;

		for (unsigned i = 0; i < bytes / 4; i++)
			listed |= list[i] == oid;
		if (!listed) {
			assert_int_equal(bench_query(&bench, oid, NULL, 0, out, &other), NDIS_STATUS_NOT_SUPPORTED);
			assert_int_equal(bench_set(&bench, oid, "abcd", 4), NDIS_STATUS_NOT_SUPPORTED);
		}
	}
	/* known, but not this way */
	assert_int_equal(bench_set(&bench, OID_802_3_PERMANENT_ADDRESS, "abcdef", 6), NDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(bench_query(&bench, OID_GEN_RECEIVE_SCALE_PARAMETERS, NULL, 0, out, &other), NDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(bench_query(&bench, 0xfd010100, NULL, 0, out, &other), NDIS_STATUS_NOT_SUPPORTED);
}

static void sets_are_checked(void **state)
{
	static const struct {
		uint32_t oid;
		const char *bytes;
		uint32_t status;
	} rows[] = {
		{ OID_GEN_CURRENT_PACKET_FILTER, "2f 0 0 0", 0 },
		{ OID_GEN_CURRENT_PACKET_FILTER, "10 0 0 0", NDIS_STATUS_NOT_SUPPORTED },
		{ OID_GEN_CURRENT_PACKET_FILTER, "d 0 0", NDIS_STATUS_INVALID_LENGTH },
		{ OID_GEN_CURRENT_LOOKAHEAD, "0 1 0 0", 0 },
		{ OID_GEN_CURRENT_LOOKAHEAD, "dd 5 0 0", NDIS_STATUS_INVALID_DATA },
		{ OID_GEN_CURRENT_LOOKAHEAD, "", NDIS_STATUS_INVALID_LENGTH },
		{ OID_GEN_PROTOCOL_OPTIONS, "1 0 0 0", 0 },
		{ OID_GEN_PROTOCOL_OPTIONS, "", NDIS_STATUS_INVALID_LENGTH },
		{ OID_GEN_NETWORK_LAYER_ADDRESSES, "0 0 0 0", 0 },
		{ OID_GEN_TRANSPORT_HEADER_OFFSET, "0 0 0 0", 0 },
		{ OID_GEN_LINK_PARAMETERS, "0", 0 },
		{ OID_GEN_MACHINE_NAME, "41 0", 0 },
		{ OID_802_3_MULTICAST_LIST, "", 0 },
		{ OID_802_3_MULTICAST_LIST, "1 0 5e 0 0 1 33 33 0 0 0 1", 0 },
		{ OID_802_3_MULTICAST_LIST, "1 0 5e 0 0", NDIS_STATUS_INVALID_LENGTH },
		{ OID_802_3_MULTICAST_LIST, "2 0 5e 0 0 1", NDIS_STATUS_INVALID_DATA },
		{ OID_TCP_OFFLOAD_PARAMETERS, "80 1 14 0 4 4 4 4 4 1 1 2 2 0 0", 0 },
		{ OID_TCP_OFFLOAD_PARAMETERS, "80 1 14 0 4 4 4 4 4 1 1 2 2 0", NDIS_STATUS_INVALID_LENGTH },
		{ OID_TCP_OFFLOAD_PARAMETERS, "81 1 14 0 4 4 4 4 4 1 1 2 2 0 0", NDIS_STATUS_INVALID_DATA },
		{ OID_TCP_OFFLOAD_PARAMETERS, "80 1 14 0 5 4 4 4 4 1 1 2 2 0 0", NDIS_STATUS_INVALID_DATA },
		{ OID_TCP_OFFLOAD_PARAMETERS, "80 1 14 0 4 4 4 4 4 1 1 2 3 0 0", NDIS_STATUS_INVALID_DATA },
		{ OID_OFFLOAD_ENCAPSULATION, "a8 1 1c 0 1 0 0 0 2 0 0 0 e 0 0 0 1 0 0 0 2 0 0 0 e 0 0 0", 0 },
		{ OID_OFFLOAD_ENCAPSULATION, "a8 1 1c 0 1 0 0 0 4 0 0 0 e 0 0 0 1 0 0 0 2 0 0 0 e 0 0 0",
		  NDIS_STATUS_INVALID_DATA },
		{ OID_OFFLOAD_ENCAPSULATION, "a8 1 1c 0 1 0 0 0", NDIS_STATUS_INVALID_LENGTH },
	};
	uint8_t list[65 * 6];
	size_t bytes;

	bench_connect(&bench);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		uint8_t in[64];
		uint32_t status = bench_set(&bench, rows[i].oid, in, from_hex(rows[i].bytes, in, sizeof in));

		if (status != rows[i].status)
			fail_msg("row %u: status %#x", i, status);
	}
	assert_int_equal(query_u32(OID_GEN_CURRENT_PACKET_FILTER), 0x2f);
	assert_int_equal(query_u32(OID_GEN_CURRENT_LOOKAHEAD), 0x100);
	assert_int_equal(bench_query(&bench, OID_802_3_MULTICAST_LIST, NULL, 0, list, &bytes), 0);
	assert_int_equal(bytes, 12);
	assert_memory_equal(list, "\x01\x00\x5e\x00\x00\x01\x33\x33\x00\x00\x00\x01", 12);
	memset(list, 1, sizeof list);
	assert_int_equal(bench_set(&bench, OID_802_3_MULTICAST_LIST, list, sizeof list), NDIS_STATUS_MULTICAST_FULL);
	assert_int_equal(bench_set(&bench, OID_802_3_MULTICAST_LIST, list, sizeof list - 6), 0);
}

static void offload_settings_show(void **state)
{
	uint8_t parameters[32], out[256];
	struct ndis_offload o;
	size_t bytes;

	bench_connect(&bench);
	assert_int_equal(bench_query(&bench, OID_TCP_OFFLOAD_CURRENT_CONFIG, NULL, 0, &o, &bytes), 0);
	assert_int_equal(bytes, 156);
	assert_int_equal(o.ip4_tx_checksum, 0x155);
	assert_int_equal(o.ip6_rx_checksum, 0x55);
	assert_int_equal(o.lso4_bytes_max, 0xf53c);
	/* ip4 off, tcp4 tx, udp4 rx, tcp6 unchanged, udp6 off, lso4 off, lso6 unchanged */
	bytes = from_hex("80 3 1c 0 1 2 3 0 1 0 0 1 0 0 0", parameters, sizeof parameters);
	assert_int_equal(bench_set(&bench, OID_TCP_OFFLOAD_PARAMETERS, parameters, bytes), 0);
	assert_int_equal(bench_query(&bench, OID_TCP_OFFLOAD_CURRENT_CONFIG, NULL, 0, &o, &bytes), 0);
	assert_int_equal(o.ip4_tx_checksum, 0x15);
	assert_int_equal(o.ip4_rx_checksum, 0x41);
	assert_int_equal(o.ip6_tx_checksum, 0x15);
	assert_int_equal(o.ip6_rx_checksum, 0x15);
	assert_int_equal(o.lso4_encapsulation, 0);
	assert_int_equal(o.lso6_encapsulation, 2);
	/* The hardware does not change. A guest of an older revision gets that. */
	assert_int_equal(bench_query(&bench, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, "\xa7\x02\x90\x00", 4, out, &bytes), 0);
	assert_int_equal(bytes, 144);
	assert_memory_equal(out, "\xa7\x02\x90\x00", 4);
	assert_int_equal(bench_query(&bench, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, "\xa7\x01\x70\x00", 4, out, &bytes), 0);
	assert_int_equal(bytes, 112);
	assert_memory_equal(out, "\xa7\x01\x70\x00", 4);
}

static void version_4_gets_the_shorter_offload(void **state)
{
	uint8_t out[256];
	size_t bytes;

	assert_int_equal(bench_open(&bench, 0), 0);
	assert_int_equal(bench_nvsp_init(&bench, NVSP_VERSION_4, 1500), 0);
	assert_int_equal(bench_rndis_init(&bench), 0);
	assert_int_equal(bench_query(&bench, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, NULL, 0, out, &bytes), 0);
	assert_int_equal(bytes, 144);
	assert_memory_equal(out, "\xa7\x02\x90\x00", 4);
	assert_answer("no sub-channels below 5", "85 0 0 0 1 0 0 0 3 0 0 0", "85 0 0 0 2 0 0 0 0 0 0 0");
}

static uint32_t set_rss(const struct ndis_rss_parameters *p, unsigned entries, uint32_t channel)
{
	uint8_t bytes[40 + 512 + 40] = { 0 };

	memcpy(bytes, p, sizeof *p);
	for (unsigned i = 0; i < entries; i++)
		memcpy(bytes + 40 + (size_t)4 * i, &(uint32_t){ i % (channel + 1) }, 4);
	return bench_set(&bench, OID_GEN_RECEIVE_SCALE_PARAMETERS, bytes, 40 + (size_t)4 * entries + 40);
}

static void rss_parameters_are_validated(void **state)
{
	const struct ndis_rss_parameters good = {
		.header = { 0x89, 2, 40 }, .hash = 0x1701, .table_bytes = 512, .table_offset = 40, .key_bytes = 40,
		.key_offset = 40 + 512,
	};
	struct ndis_rss_parameters p = good;

	bench_connect(&bench);
	assert_int_equal(set_rss(&good, 128, 0), 0);
	assert_int_equal(set_rss(&good, 128, 1), NDIS_STATUS_INVALID_DATA);	/* one channel is open */
	bench_subchannels(&bench, 3);
	bench_drop_all(&bench);
	assert_int_equal(set_rss(&good, 128, 3), 0);
	assert_int_equal(set_rss(&good, 128, 4), NDIS_STATUS_INVALID_DATA);
	p.flags = 0x10;
	assert_int_equal(set_rss(&p, 128, 3), 0);
#define BAD(field, value, status) \
	p = good; \
	p.field = value; \
	assert_int_equal(set_rss(&p, 128, 3), status)
	BAD(header.type, 0x88, NDIS_STATUS_INVALID_DATA);
	BAD(hash, 0x1702, NDIS_STATUS_INVALID_DATA);
	BAD(table_bytes, 0, NDIS_STATUS_INVALID_LENGTH);
	BAD(table_bytes, 510, NDIS_STATUS_INVALID_LENGTH);
	BAD(table_bytes, 516, NDIS_STATUS_INVALID_LENGTH);
	BAD(table_offset, 0, NDIS_STATUS_INVALID_LENGTH);
	BAD(table_offset, 40 + 41, NDIS_STATUS_INVALID_LENGTH);
	BAD(table_offset, 0xfffffff0, NDIS_STATUS_INVALID_LENGTH);
	BAD(key_bytes, 39, NDIS_STATUS_INVALID_LENGTH);
	BAD(key_offset, 40 + 513, NDIS_STATUS_INVALID_LENGTH);
	BAD(key_offset, 0xffffffff, NDIS_STATUS_INVALID_LENGTH);
	BAD(key_offset, 39, NDIS_STATUS_INVALID_LENGTH);
	BAD(flags, 0x8, 0);
	BAD(flags, 0x4, 0);
	BAD(hash, 0, 0);
	assert_int_equal(bench_set(&bench, OID_GEN_RECEIVE_SCALE_PARAMETERS, &good, 39), NDIS_STATUS_INVALID_LENGTH);
}

/* ---- address */

static uint32_t set_mac(const char *name, const char *digits)
{
	struct rndis_config_parameter p = { 20, (uint32_t)(2 * strlen(name)), 2, (uint32_t)(20 + 2 * strlen(name)),
					    (uint32_t)(2 * strlen(digits)) };
	uint8_t bytes[128] = { 0 };

	memcpy(bytes, &p, sizeof p);
	for (unsigned i = 0; name[i]; i++)
		bytes[20 + 2 * i] = (uint8_t)name[i];
	for (unsigned i = 0; digits[i]; i++)
		bytes[p.value_offset + 2 * i] = (uint8_t)digits[i];
	return bench_set(&bench, OID_GEN_RNDIS_CONFIG_PARAMETER, bytes, p.value_offset + p.value_bytes);
}

static void an_address_is_set_where_that_is_allowed(void **state)
{
	const struct netvsp_policy free_policy = { .allow_mac_spoofing = true }, strict = { .allow_mac_spoofing = false };
	struct rndis_config_parameter bad = { 20, 28, 2, 48, 24 };
	uint8_t bytes[72] = { 0 }, mac[8];
	size_t count;

	bench_connect(&bench);
	assert_int_equal(set_mac("NetworkAddress", "020000ABcdef"), NDIS_STATUS_FAILURE);
	assert_int_equal(set_mac("NetworkAddress", "00155d010203"), 0);
	netvsp_policy_set(bench.nic, &free_policy);
	assert_int_equal(set_mac("NetworkAddress", "020000ABcdef"), 0);
	assert_int_equal(bench_query(&bench, OID_802_3_CURRENT_ADDRESS, NULL, 0, mac, &count), 0);
	assert_memory_equal(mac, "\x02\x00\x00\xab\xcd\xef", 6);
	assert_int_equal(bench_query(&bench, OID_802_3_PERMANENT_ADDRESS, NULL, 0, mac, &count), 0);
	assert_memory_equal(mac, "\x00\x15\x5d\x01\x02\x03", 6);
	assert_int_equal(set_mac("NetworkAddress", "030000abcdef"), NDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddress", "000000000000"), NDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddress", "02000 abcdef"), NDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddress", "020000abcde"), NDIS_STATUS_INVALID_DATA);
	assert_int_equal(set_mac("NetworkAddresz", "020000abcdef"), NDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(set_mac("Speed", "1"), NDIS_STATUS_NOT_SUPPORTED);
	/* every offset and length that points outside */
	for (unsigned i = 0; i < 64; i++) {
		static const uint32_t values[] = { 0, 19, 49, 71, 73, 0x7fffffff, 0xffffffff, 0xfffffff0 };
		struct rndis_config_parameter p = bad;

		*(uint32_t *[]){ &p.name_offset, &p.name_bytes, &p.value_offset, &p.value_bytes }[i / 16] = values[i % 8];
		memcpy(bytes, &p, sizeof p);
		assert_int_not_equal(bench_set(&bench, OID_GEN_RNDIS_CONFIG_PARAMETER, bytes, sizeof bytes), 0);
	}
	netvsp_policy_set(bench.nic, &strict);
	assert_int_equal(bench_query(&bench, OID_802_3_CURRENT_ADDRESS, NULL, 0, mac, &count), 0);
	assert_memory_equal(mac, "\x00\x15\x5d\x01\x02\x03", 6);
}

/* ---- other control messages */

static void reset_and_keepalive_are_answered(void **state)
{
	bench_connect(&bench);
	assert_reply("reset", "6 0 0 0 c 0 0 0 0 0 0 0", "6 0 0 80 10 0 0 0 0 0 0 0 0 0 0 0");
	assert_reply("keepalive", "8 0 0 0 c 0 0 0 77 0 0 0", "8 0 0 80 10 0 0 0 77 0 0 0 0 0 0 0");
	assert_int_equal(query_u32(OID_GEN_CURRENT_PACKET_FILTER), 0xd);
}

static void nothing_works_before_initialize_and_after_halt(void **state)
{
	uint8_t out[1024];
	size_t bytes;

	assert_int_equal(bench_open(&bench, 0), 0);
	assert_int_equal(bench_nvsp_init(&bench, NVSP_VERSION_6, 1500), 0);
	assert_int_equal(bench_query(&bench, OID_GEN_LINK_SPEED, NULL, 0, out, &bytes), NDIS_STATUS_FAILURE);
	assert_int_equal(bench_set_filter(&bench, 0xd), NDIS_STATUS_FAILURE);
	assert_reply("bad version", "2 0 0 0 18 0 0 0 1 0 0 0 2 0 0 0 0 0 0 0 0 40 0 0",
		     "2 0 0 80 34 0 0 0 1 0 0 0 4 0 1 c0 1 0 0 0 0 0 0 0 1 0 0 0 0 0 0 0 8 0 0 0 0 0 4 0 3 0 0 0 0 0 0 0 "
		     "0 0 0 0");
	assert_int_equal(bench_query(&bench, OID_GEN_LINK_SPEED, NULL, 0, out, &bytes), NDIS_STATUS_FAILURE);
	assert_int_equal(bench_rndis_init(&bench), 0);
	assert_int_equal(bench_set_filter(&bench, 0xd), 0);
	assert_non_null(bench.watch[0]);
	assert_reply("halt", "3 0 0 0 8 0 0 0", "");
	assert_null(bench.watch[0]);
	assert_int_equal(bench_query(&bench, OID_GEN_LINK_SPEED, NULL, 0, out, &bytes), NDIS_STATUS_FAILURE);
	assert_int_equal(bench_rndis_init(&bench), 0);
	assert_int_equal(query_u32(OID_GEN_CURRENT_PACKET_FILTER), 0);
}

static void link_changes_are_told(void **state)
{
	struct bench_frame frame;

	bench_connect(&bench);
	netvsp_link_set(bench.nic, NETVSP_LINK_UP);
	assert_int_equal(bench_receive(&bench, 0, &frame, 1), 0);
	netvsp_link_set(bench.nic, NETVSP_LINK_DOWN);
	assert_int_equal(bench_receive(&bench, 0, &frame, 1), 1);
	assert_int_equal(frame.channel, NVSP_CHANNEL_CONTROL);
	assert_bytes("down", frame.data, frame.bytes, "7 0 0 0 14 0 0 0 c 0 1 40 0 0 0 0 0 0 0 0");
	assert_null(bench.watch[0]);
	assert_int_equal(query_u32(OID_GEN_MEDIA_CONNECT_STATUS), 1);
	netvsp_link_set(bench.nic, NETVSP_LINK_UP);
	assert_int_equal(bench_receive(&bench, 0, &frame, 1), 1);
	assert_bytes("up", frame.data, frame.bytes, "7 0 0 0 14 0 0 0 b 0 1 40 0 0 0 0 0 0 0 0");
	assert_non_null(bench.watch[0]);
	netvsp_link_set(bench.nic, NETVSP_LINK_MOVED);
	assert_int_equal(bench_receive(&bench, 0, &frame, 1), 1);
	assert_bytes("moved", frame.data, frame.bytes, "7 0 0 0 14 0 0 0 18 0 1 40 0 0 0 0 0 0 0 0");
	netvsp_link_speed_set(bench.nic, 1000);
	assert_int_equal(bench_receive(&bench, 0, &frame, 1), 1);
	assert_bytes("speed", frame.data, frame.bytes, "7 0 0 0 18 0 0 0 13 0 1 40 4 0 0 0 c 0 0 0 80 96 98 0");
	netvsp_link_speed_set(bench.nic, 1000);
	assert_int_equal(bench_receive(&bench, 0, &frame, 1), 0);
	/* While there is no room, what came and went is not told. */
	bench_room_set(&bench, 0, 0);
	netvsp_link_set(bench.nic, NETVSP_LINK_DOWN);
	netvsp_link_set(bench.nic, NETVSP_LINK_UP);
	bench_room_set(&bench, 0, 100);
	bench_run(&bench);
	assert_int_equal(bench_receive(&bench, 0, &frame, 1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_4(name) cmocka_unit_test_setup_teardown(name, setup_4, teardown)
	const struct CMUnitTest tests[] = {
		TEST_4(linux_comes_up_byte_for_byte),
		TEST_4(the_table_comes_after_the_last_channel),
		TEST(versions_are_negotiated),
		TEST(sections_fit_the_mtu),
		TEST(constants_are_told),
		TEST(every_listed_oid_answers_and_others_are_refused),
		TEST(sets_are_checked),
		TEST(offload_settings_show),
		TEST(version_4_gets_the_shorter_offload),
		TEST_4(rss_parameters_are_validated),
		TEST(an_address_is_set_where_that_is_allowed),
		TEST(reset_and_keepalive_are_answered),
		TEST(nothing_works_before_initialize_and_after_halt),
		TEST(link_changes_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
