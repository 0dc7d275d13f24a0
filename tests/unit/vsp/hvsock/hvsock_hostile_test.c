// SPDX-License-Identifier: Apache-2.0
/* Hyper-V sockets of guests that do not keep to the rules: at worst they lose their own connection. */
#include <unistd.h>

#include "hvsock_rig.h"
#include "unit/vsp/vmbus_echo.h"

static uint8_t bytes[1u << 20];

static void connection_is_lost(struct guest_channel *channel, int program)
{
	uint64_t broken = rig_counters().broken;
	uint32_t relid = guest_channel_relid(channel);

	guest_run(rig.guest);
	assert_int_equal(rig_counters().broken, broken + 1);
	assert_true(rig_at_end(program));
	assert_true(guest_rescinded(rig.guest, relid));
	assert_int_equal(guest_close(channel), 0);
	guest_release(rig.guest, relid);
	assert_int_equal(rig_counters().sockets, 0);
	(void)close(program);
}

static void packets_that_make_no_sense(void **state)
{
	static const struct {
		uint16_t type;
		uint32_t words[2];
		size_t bytes;
	} rows[] = {
		{ VMBUS_PACKET_IN_BAND, { 1, 9 }, 16 },			/* more than there is */
		{ VMBUS_PACKET_IN_BAND, { 1, 0xffffffff }, 16 },
		{ VMBUS_PACKET_IN_BAND, { 1, 16385 }, 16400 },
		{ VMBUS_PACKET_IN_BAND, { 0, 4 }, 16 },
		{ VMBUS_PACKET_IN_BAND, { 2, 4 }, 16 },
		{ VMBUS_PACKET_IN_BAND, { 1, 0 }, 0 },
		{ VMBUS_PACKET_COMPLETION, { 1, 4 }, 16 },
	};
	static uint8_t payload[16400];

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct guest_channel *channel = rig_connection(16);

		memcpy(payload, rows[i].words, sizeof rows[i].words);
		assert_int_equal(guest_send(channel, rows[i].type, 0, 0, payload, rows[i].bytes), 0);
		connection_is_lost(channel, rig.program);
	}
}

static void rings_that_make_no_sense(void **state)
{
	struct guest_channel *channel = rig_connection(16);

	guest_out_ring(channel)->write_index = 13;
	guest_signal(channel);
	connection_is_lost(channel, rig.program);
	channel = rig_connection(16);
	guest_in_ring(channel)->read_index = 0xfffffff8;
	assert_int_equal(rig_write(rig.program, "x", 1), 1);
	connection_is_lost(channel, rig.program);
}

/* Room that was given is taken back between looks. */
static void a_read_index_that_runs_back(void **state)
{
	struct guest_channel *channel = rig_connection(3);
	const int program = rig.program;

	for (unsigned i = 0; i < 2000; i++) {
		(void)rig_write(program, bytes, 3000);
		guest_in_ring(channel)->read_index = i * 4088 % 8192 & ~7u;
		guest_signal(channel);
		guest_run(rig.guest);
	}
	guest_advance(rig.guest, 60 * SECOND);
	(void)close(program);
}

static void rings_too_small(void **state)
{
	const struct vmbus_guid endpoint = rig_endpoint(5);
	const uint32_t relid = rig_guest_connects(&endpoint, 1);
	struct guest_channel *channel = guest_open(rig.guest, relid, 2);
	bool ended = false;

	/* A page of data: slow, but it works. */
	assert_non_null(channel);
	for (unsigned i = 0; i < 100; i++) {
		size_t got = 0;

		memset(bytes, (int)i, 5000);
		assert_int_equal(rig_write(rig.program, bytes, 5000), 5000);
		while (got < 5000) {
			guest_run(rig.guest);
			got += rig_receive(channel, bytes + got, sizeof bytes - got, 1, &ended);
		}
		assert_int_equal(got, 5000);
		assert_int_equal(bytes[4999], i);
	}
	(void)close(rig.program);
}

static void words_after_the_last(void **state)
{
	struct guest_channel *channel = rig_connection(7);

	assert_true(rig_send_end(channel));
	assert_true(rig_send(channel, "more", 4));
	assert_true(rig_send_end(channel));
	guest_run(rig.guest);
	guest_signal(channel);
	guest_run(rig.guest);
	assert_true(rig_at_end(rig.program));
	assert_int_equal(rig_counters().bytes_received, 0);
	(void)close(rig.program);
	guest_run(rig.guest);
	assert_true(guest_rescinded(rig.guest, guest_channel_relid(channel)));
}

/* A guest that never lets go has its 256, and no more; devices still come and go. */
static void ids_that_are_never_released(void **state)
{
	static struct echo device;
	unsigned offered = 0;

	for (unsigned i = 0; i < 600; i++) {
		const struct vmbus_guid endpoint = rig_endpoint(1000 + i);

		rig.program = -1;
		offered += rig_guest_connects(&endpoint, 1) != 0;
		if (rig.program >= 0)
			(void)close(rig.program);
		if (i % 100 == 99)
			guest_advance(rig.guest, 30 * SECOND);
	}
	assert_int_equal(offered, 256);
	assert_int_equal(rig_counters().sockets, 0);		/* nothing of them is held but the ids */
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 600 - 256);
	assert_int_equal(rig_parent_connects(1), 0);
	assert_int_equal(rig.done_error, -ENOSPC);
	(void)close(rig.program);
	(void)close(rig.provider_fd);
	echo_init(&device, 1, 1);
	assert_int_equal(vmbus_device_add(guest_server(rig.guest), &device.device), 0);
	guest_run(rig.guest);
	assert_non_null(guest_open(rig.guest, guest_relid(rig.guest, &device.device.offer.interface, 0), 4));
	/* The next kernel starts with none. */
	assert_int_equal(guest_connect(rig.guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_non_null(rig_connection(4));
	(void)close(rig.program);
	vmbus_server_reset(guest_server(rig.guest), NULL, NULL);
	vmbus_device_remove(guest_server(rig.guest), &device.device, NULL, NULL);
}

static void names_that_are_taken(void **state)
{
	static struct echo device, late;
	struct vmbus_guid endpoint = rig_endpoint(5);

	echo_init(&device, 1, 1);
	echo_init(&late, 2, 2);
	assert_int_equal(vmbus_device_add(guest_server(rig.guest), &device.device), 0);
	guest_run(rig.guest);
	assert_int_not_equal(rig_guest_connects(&endpoint, 1), 0);
	(void)close(rig.program);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 0);
	(void)rig_guest_connects(&endpoint, 2);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 1);
	assert_true(rig_at_end(rig.program));
	(void)close(rig.program);
	(void)rig_guest_connects(&device.device.offer.instance, 2);
	assert_int_equal(guest_message_count(rig.guest, VMBUS_TL_CONNECT_RESULT), 2);
	(void)close(rig.program);
	/* The other way round the device wins. */
	assert_int_not_equal(rig_guest_connects(&late.device.offer.instance, 2), 0);
	(void)close(rig.program);
	assert_int_equal(vmbus_device_add(guest_server(rig.guest), &late.device), 0);
	guest_run(rig.guest);
	assert_non_null(guest_open(rig.guest, guest_relid(rig.guest, &late.device.offer.interface, 0), 4));
	vmbus_server_reset(guest_server(rig.guest), NULL, NULL);
	vmbus_device_remove(guest_server(rig.guest), &device.device, NULL, NULL);
	vmbus_device_remove(guest_server(rig.guest), &late.device, NULL, NULL);
}

static void connects_while_nothing_is_taken(void **state)
{
	guest_faults(rig.guest)->messages_unread = true;
	for (unsigned i = 0; i < 20000; i++) {
		const struct vmbus_tl_connect_message request = {
			.header.type = VMBUS_TL_CONNECT_REQUEST, .endpoint = rig_endpoint(i), .service = rig_endpoint(1),
		};
		struct vmbus_server_counters now;

		rig.program = -1;
		(void)guest_post(rig.guest, &request, sizeof request);
		if (rig.program >= 0)
			(void)close(rig.program);
		vmbus_server_get_counters(guest_server(rig.guest), &now);
		assert_true(now.queued <= 4096 + 1);
	}
	assert_true(rig_counters().sockets <= HVSOCK_SOCKETS_MAX);
	guest_faults(rig.guest)->messages_unread = false;
	assert_int_equal(guest_unload(rig.guest), 0);
	assert_int_equal(rig_counters().sockets, 0);
}

/* Anything at any time, from both sides; at the end all is given back. */
static void anything(void **state)
{
	static struct guest_channel *channels[8];
	static int programs[8];
	uint32_t seed = 5;

	for (unsigned i = 0; i < COUNT(programs); i++)
		programs[i] = -1;
	for (unsigned step = 0; step < 40000; step++) {
		unsigned i = rig_random(&seed) % COUNT(channels);
		size_t n = rig_random(&seed) % 9000;
		bool ended = false;

		switch (rig_random(&seed) % 12) {
		case 0:
			if (!channels[i]) {
				if (programs[i] >= 0)
					(void)close(programs[i]);
				channels[i] = rig_connection(2 + n % 12);
				programs[i] = rig.program;
			}
			break;
		case 1:
		case 2:
			if (channels[i])
				(void)rig_send(channels[i], bytes, n);
			break;
		case 3:
			if (channels[i] && n < 500)
				(void)rig_send_end(channels[i]);
			break;
		case 4:
			if (channels[i] && n < 2000)
				*(&guest_out_ring(channels[i])->write_index + n % 4) = (uint32_t)n * 8;
			break;
		case 5:
			if (channels[i] && n < 2000)
				*(&guest_in_ring(channels[i])->write_index + n % 4) = (uint32_t)n * 8;
			break;
		case 6:
			if (channels[i] && n < 1500) {
				uint32_t relid = guest_channel_relid(channels[i]);

				(void)guest_close(channels[i]);
				channels[i] = NULL;
				if (n < 700)
					guest_release(rig.guest, relid);
			}
			break;
		case 7:
			if (programs[i] >= 0 && n < 1500) {
				(void)close(programs[i]);
				programs[i] = -1;
			}
			break;
		case 8:
		case 9:
			if (programs[i] >= 0)
				(void)rig_write(programs[i], bytes, n);
			break;
		case 10:
			if (programs[i] >= 0)
				(void)rig_read(programs[i], bytes, n, &ended);
			break;
		default:
			if (channels[i])
				guest_signal(channels[i]);
			guest_advance(rig.guest, n < 400 ? 11 * SECOND : n * 100000);
			break;
		}
		if (n % 3 == 0)
			guest_run(rig.guest);
		if (n < 3) {
			assert_int_equal(guest_connect(rig.guest, VMBUS_VERSION_WIN10_V6_0), 0);
			memset(channels, 0, sizeof channels);
			guest_forget_messages(rig.guest);
		}
	}
	for (unsigned i = 0; i < COUNT(programs); i++)
		if (programs[i] >= 0)
			(void)close(programs[i]);
	assert_int_equal(guest_unload(rig.guest), 0);
	assert_int_equal(rig_counters().sockets, 0);
assert_true(rig_counters().opened > 300 && rig_counters().broken > 50);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		TEST(packets_that_make_no_sense),
		TEST(rings_that_make_no_sense),
		TEST(a_read_index_that_runs_back),
		TEST(rings_too_small),
		TEST(words_after_the_last),
		TEST(ids_that_are_never_released),
		TEST(names_that_are_taken),
		TEST(connects_while_nothing_is_taken),
		TEST(anything),
	};

	return cmocka_run_group_tests_name("hvsock_hostile", tests, NULL, NULL);
}
