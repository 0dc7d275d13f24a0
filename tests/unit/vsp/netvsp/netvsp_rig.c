// SPDX-License-Identifier: Apache-2.0
#include "netvsp_rig.h"

#include <stdio.h>

struct bench bench;
struct bench_wire wire;

const uint8_t guest_mac[6] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0x03 };
const uint8_t other_mac[6] = { 0x02, 0x99, 0x99, 0x99, 0x99, 0x99 };

static int start(unsigned queues)
{
	const struct netvsp_config config = bench_config(queues);

	bench_start(&bench, &config);
	return 0;
}

int setup(void **state)
{
	return start(1);
}

int setup_4(void **state)
{
	return start(4);
}

int setup_connected(void **state)
{
	if (start(1))
		return -1;
	bench_connect(&bench);
	return 0;
}

int setup_connected_4(void **state)
{
	if (start(4))
		return -1;
	bench_connect(&bench);
	bench_subchannels(&bench, 3);
	bench_drop_all(&bench);
	return 0;
}

int teardown(void **state)
{
	bench_stop(&bench);
	return 0;
}

struct netvsp_counters counters(unsigned queue)
{
	struct netvsp_counters c;

	netvsp_counters_get(bench.nic, queue, &c);
	return c;
}

uint64_t drops(unsigned queue, enum netvsp_drop drop)
{
	return counters(queue).drops[drop];
}

void assert_on_wire(unsigned tap, const uint8_t *frame, size_t bytes)
{
	int got = bench_wire_take(&bench, tap, &wire);

	assert_int_equal(got, bytes);
	assert_memory_equal(wire.data, frame, bytes);
}

/* ---- byte for byte */

size_t from_hex(const char *text, uint8_t *out, size_t max)
{
	size_t count = 0;
	unsigned byte;
	int used;

	for (; sscanf(text, "%x%n", &byte, &used) == 1; text += used) {
		assert_true(count < max);
		out[count++] = (uint8_t)byte;
	}
	return count;
}

void assert_bytes(const char *what, const uint8_t *got, size_t got_bytes, const char *expected)
{
	uint8_t bytes[512] = { 0 };
	size_t count = from_hex(expected, bytes, sizeof bytes);

	if (count == 0 && got_bytes == 0)
		return;
	for (size_t i = 0; i < got_bytes && i < sizeof bytes; i++)
		if (got[i] != bytes[i])
			fail_msg("%s: byte %zu is %#x, not %#x", what, i, got[i], bytes[i]);
	assert_true(count <= got_bytes);
	for (size_t i = count; i < got_bytes; i++)
		if (got[i])
			fail_msg("%s: byte %zu is %#x, not padding", what, i, got[i]);
}

void assert_answer(const char *what, const char *message, const char *expected)
{
	uint8_t bytes[NVSP_MESSAGE_BYTES], out[NVSP_MESSAGE_BYTES];
	size_t count = from_hex(message, bytes, sizeof bytes);
	int got = bench_transact(&bench, 0, bytes, count, out);

	if (got != (*expected ? (int)NVSP_MESSAGE_BYTES : 0))
		fail_msg("%s: an answer of %d bytes", what, got);
	assert_bytes(what, out, (size_t)got, expected);
}

void assert_no_answer(const char *what, const char *message)
{
	uint8_t bytes[NVSP_MESSAGE_BYTES] = { 0 };

	(void)from_hex(message, bytes, sizeof bytes);
	bench_post(&bench, 0, VMBUS_PACKET_IN_BAND, false, 99, bytes, sizeof bytes, NULL, 0);
	bench_run(&bench);
	if (bench.channel[0].out)
		fail_msg("%s: an answer that nobody asked for", what);
}

void assert_reply(const char *what, const char *message, const char *expected)
{
	uint8_t bytes[512], reply[2048], right[512];
	size_t count = from_hex(message, bytes, sizeof bytes);
	int got = bench_control(&bench, bytes, count, reply, sizeof reply);

	if (got != (int)from_hex(expected, right, sizeof right))
		fail_msg("%s: a reply of %d bytes", what, got);
	assert_bytes(what, reply, (size_t)got, expected);
}

uint32_t query_u32(uint32_t oid)
{
	uint8_t out[1024];
	uint32_t value;
	size_t bytes;

	assert_int_equal(bench_query(&bench, oid, NULL, 0, out, &bytes), 0);
	assert_int_equal(bytes, 4);
	memcpy(&value, out, 4);
	return value;
}
