// SPDX-License-Identifier: Apache-2.0
/* A server's state goes to another server, under a guest that does not notice. */
#include "cmocka_all.h"

#include <errno.h>

#include "guest.h"
#include "vmbus_echo.h"

static struct guest *guest;
static struct echo echo[3];
static struct guest_packet packet;

static void add(void)
{
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(vmbus_device_add(guest_server(guest), &echo[i].device), 0);
}

static int setup(void **state)
{
	guest = guest_new(64u << 20, 4);
	for (unsigned i = 0; i < COUNT(echo); i++)
		echo_init(&echo[i], (uint8_t)(i + 1), (uint8_t)i);
	add();
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	return 0;
}

static int teardown(void **state)
{
	guest_free(guest);
	return 0;
}

static void *save(size_t *bytes)
{
	void *state = NULL;

	vmbus_server_pause(guest_server(guest));
	assert_int_equal(guest_timers_armed(guest), 0);
	assert_int_equal(vmbus_server_save(guest_server(guest), &state, bytes), 0);
	return state;
}

/* A copy of just the right size: who reads behind it is found out. */
static int restore(const void *state, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);
	int r;

	memcpy(copy, state, bytes);
	r = vmbus_server_restore(guest_server(guest), copy, bytes);
	free(copy);
	return r;
}

static void migrate(void)
{
	size_t bytes;
	void *state = save(&bytes);

	guest_replace_server(guest);
	assert_int_equal(guest_doorbells_open(guest), 0);
	add();
	assert_int_equal(restore(state, bytes), 0);
	free(state);
	vmbus_server_resume(guest_server(guest));
	guest_run(guest);
}

static void works(struct guest_channel *channel)
{
	static uint64_t transaction = 1;

	transaction++;
	assert_int_equal(guest_transact(channel, transaction, "still the same?", 15, &packet), 0);
}

static void an_open_channel_goes_on(void **state)
{
	struct guest_channel *channel = guest_open(guest, 1, 4), *other;
	uint32_t gpadl = guest_make_gpadl(guest, 1, GUEST_PAGE, 300 * GUEST_PAGE);
	struct vmbus_server_counters now;
	struct vmbus_gpa_range range;

	for (unsigned i = 0; i < 300; i++) {
		works(channel);
		if (i % 50 == 0)
			migrate();
	}
	assert_int_equal(echo[0].opened, 1);
	assert_int_equal(echo[0].restored, 6);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 2);	/* nothing is offered again */
	assert_int_equal(vmbus_channel_gpadl_get(echo[0].channels[0], gpadl, &range), 0);
	assert_int_equal(range.bytes, 300 * GUEST_PAGE);
	vmbus_server_get_counters(guest_server(guest), &now);
	assert_int_equal(now.version, VMBUS_VERSION_WIN10_V5_3);
	assert_int_equal(now.gpadl_count, 2);
	other = guest_open(guest, 2, 4);
	works(other);
	assert_int_equal(guest_close(channel), 0);
	assert_int_equal(guest_teardown_gpadl(guest, 1, gpadl), 0);
	assert_int_equal(guest_unload(guest), 0);
}

static void what_is_in_flight_arrives(void **state)
{
	struct guest_channel *channel = guest_open(guest, 1, 4);
	size_t bytes;
	void *saved;

	/* A request that nobody has read, an answer that nobody has published, a doorbell during the pause. */
	vmbus_server_pause(guest_server(guest));
	assert_int_equal(vmbus_channel_send(echo[0].channels[0], 6, 0, 70, NULL, 0), 0);
	assert_int_equal(guest_in_ring(channel)->write_index, 0);
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 71, "x", 1), 0);
	guest_run(guest);
	assert_int_equal(echo[0].packets, 0);
	saved = save(&bytes);
	guest_replace_server(guest);
	add();
	assert_int_equal(restore(saved, bytes), 0);
	free(saved);
	guest_run(guest);
	assert_int_equal(echo[0].packets, 0);
	assert_int_equal(guest_interrupts(channel), 0);
	vmbus_server_resume(guest_server(guest));
	guest_run(guest);
	assert_int_equal(echo[0].packets, 1);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_true(guest_receive(channel, &packet));
	assert_int_equal(packet.transaction, 70);
	assert_true(guest_receive(channel, &packet));
	assert_int_equal(packet.transaction, 71);
	works(channel);
}

static void pause_alone(void **state)
{
	struct guest_channel *channel = guest_open(guest, 1, 4);

	vmbus_server_pause(guest_server(guest));
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 1, "x", 1), 0);
	assert_int_equal(vmbus_channel_send(echo[0].channels[0], 6, 0, 0, NULL, 0), 0);
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[2].device), 0);
	guest_advance(guest, 10000000000);
	assert_int_equal(echo[0].packets, 0);
	assert_int_equal(guest_in_ring(channel)->write_index, 0);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 2);
	vmbus_server_resume(guest_server(guest));
	guest_run(guest);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 3);
	assert_int_equal(echo[0].packets, 1);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_true(guest_receive(channel, &packet));
	assert_true(guest_receive(channel, &packet));
	works(channel);
}

static void a_full_ring_moves(void **state)
{
	struct guest_channel *channel = guest_open(guest, 1, 2);
	unsigned sent = 0;

	while (vmbus_channel_send(echo[0].channels[0], 6, 0, sent, NULL, 0) == 0)
		sent++;
	migrate();
	assert_int_equal(guest_in_ring(channel)->pending_send_bytes, 24);
	echo[0].ready = 0;
	for (unsigned i = 0; i < sent; i++) {
		assert_true(guest_receive(channel, &packet));
		assert_int_equal(packet.transaction, i);
	}
	guest_run(guest);
	assert_int_equal(echo[0].ready, 1);
	assert_int_equal(vmbus_channel_send(echo[0].channels[0], 6, 0, 0, NULL, 0), 0);
}

static void control_requests_in_flight(void **state)
{
	uint8_t header[28] = { VMBUS_GPADL_HEADER }, body[24] = { VMBUS_GPADL_BODY };
	struct guest_channel *channel = guest_open(guest, 1, 4);
	uint32_t waiting = guest_make_gpadl(guest, 1, GUEST_PAGE, GUEST_PAGE);
	struct vmbus_gpa_range range;
	uint64_t pfn = 3;

	/* A GPADL that has half arrived, a teardown that waits for a device, an answer that found no slot. */
	header[8] = 2;
	header[12] = 77;
	header[16] = 16;
	header[18] = 1;
	memcpy(header + 20, &(uint32_t){ 4096 }, 4);
	assert_int_equal(guest_post(guest, header, sizeof header), 0);
	assert_int_equal(vmbus_channel_gpadl_get(echo[0].channels[0], waiting, &range), 0);
	assert_int_equal(guest_teardown_gpadl(guest, 1, waiting), -ETIMEDOUT);
	guest_faults(guest)->post_error = -EAGAIN;
	assert_int_equal(guest_teardown_gpadl(guest, 1, 12345), -ETIMEDOUT);
	guest_faults(guest)->post_error = 0;
	migrate();
	assert_int_equal(guest_torndown_count(guest, 12345), 1);
	/* The test's device does not come back to its GPADL, so nobody holds it up. */
	assert_int_equal(guest_torndown_count(guest, waiting), 1);
	body[12] = 77;
	memcpy(body + 16, &pfn, 8);
	guest_forget_messages(guest);
	assert_int_equal(guest_post(guest, body, sizeof body), 0);
	guest_run(guest);
	assert_int_equal(guest_message(guest, 0)->type, VMBUS_GPADL_CREATED);
	assert_int_equal(guest_message(guest, 0)->payload[16], 0);
	works(channel);
}

static void subchannels_move(void **state)
{
	struct guest_channel *channel = guest_open(guest, 1, 4), *sub;

	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 3), 0);
	guest_run(guest);
	sub = guest_open(guest, guest_relid(guest, &echo[0].device.offer.interface, 2), 4);
	migrate();
	assert_int_equal(echo[0].restored, 2);
	assert_non_null(echo[0].channels[2]);
	works(sub);
	works(channel);
	works(guest_open(guest, guest_relid(guest, &echo[0].device.offer.interface, 3), 4));
	assert_int_equal(guest_close(channel), 0);
	for (uint32_t relid = 3; relid <= 5; relid++)
		assert_true(guest_rescinded(guest, relid));
}

static void rescinded_and_dead_channels_move(void **state)
{
	struct guest_channel *channel = guest_open(guest, 1, 4), *broken = guest_open(guest, 2, 4);
	uint32_t sub;

	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 1), 0);
	guest_run(guest);
	sub = guest_relid(guest, &echo[0].device.offer.interface, 1);
	assert_int_equal(guest_close(channel), 0);
	assert_true(guest_rescinded(guest, sub));
	guest_out_ring(broken)->write_index = 5;
	guest_signal(broken);
	guest_run(guest);
	migrate();
	assert_int_equal(vmbus_channel_send(echo[1].channels[0], 6, 0, 0, NULL, 0), -EPROTO);
	assert_int_equal(guest_close(broken), 0);
	channel = guest_open(guest, 1, 4);
	works(channel);
	/* Its id is still taken: the next sub-channel gets another one. */
	assert_int_equal(vmbus_device_offer_subchannels(&echo[0].device, 1), 0);
	guest_run(guest);
	assert_int_equal(guest_relid(guest, &echo[0].device.offer.interface, 1), sub + 1);
	guest_release(guest, sub);
	works(guest_open(guest, sub + 1, 4));
}

static void states_without_a_connection(void **state)
{
	assert_int_equal(guest_unload(guest), 0);
	migrate();
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), 0);
	migrate();
	assert_int_equal(guest_request_offers(guest), 0);
	guest_release(guest, 1);
	migrate();
	assert_int_equal(guest_relid(guest, &echo[0].device.offer.interface, 0), 0);
	works(guest_open(guest, 2, 4));
}

static void channel_ids_move_too(void **state)
{
	/* The first in the order of offers comes later than the second. */
	assert_int_equal(guest_unload(guest), 0);
	for (unsigned i = 0; i < 2; i++)
		vmbus_device_remove(guest_server(guest), &echo[i].device, NULL, NULL);
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[1].device), 0);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[0].device), 0);
	guest_run(guest);
	assert_int_equal(guest_relid(guest, &echo[0].device.offer.interface, 0), 2);
	guest_release(guest, 2);			/* declined: not offered now, but that is its id */
	migrate();
	assert_int_equal(guest_unload(guest), 0);
	migrate();
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(guest_relid(guest, &echo[0].device.offer.interface, 0), 2);
	assert_int_equal(guest_relid(guest, &echo[1].device.offer.interface, 0), 1);
	works(guest_open(guest, 2, 4));
}

static void a_device_that_is_new_there_is_offered(void **state)
{
	size_t bytes;
	void *saved = save(&bytes);

	guest_replace_server(guest);
	add();
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo[2].device), 0);
	assert_int_equal(restore(saved, bytes), 0);
	free(saved);
	vmbus_server_resume(guest_server(guest));
	guest_run(guest);
	works(guest_open(guest, 3, 4));
}

static void when_it_cannot_be_saved(void **state)
{
	void *saved;
	size_t bytes;

	assert_int_equal(vmbus_server_save(guest_server(guest), &saved, &bytes), -EBUSY);	/* not paused */
	assert_non_null(guest_open(guest, 1, 4));
	echo[0].closes_later = true;
	assert_int_equal(guest_unload(guest), -ETIMEDOUT);
	vmbus_server_pause(guest_server(guest));
	assert_int_equal(vmbus_server_save(guest_server(guest), &saved, &bytes), -EBUSY);
	echo_finish_closing(&echo[0]);
	saved = save(&bytes);
	free(saved);
}

static void when_it_cannot_be_restored(void **state)
{
	size_t bytes;
	void *saved;

	assert_non_null(guest_open(guest, 1, 4));
	saved = save(&bytes);
	assert_int_equal(restore(saved, bytes), -EINVAL);			/* it is in use */
	guest_replace_server(guest);
	assert_int_equal(restore(saved, bytes), -EINVAL);			/* no devices */
	guest_replace_server(guest);
	add();
	echo[0].open_error = -EIO;
	assert_int_equal(restore(saved, bytes), -EIO);
	echo[0].open_error = 0;
	guest_replace_server(guest);
	add();
	guest_faults(guest)->doorbell_error = -ENOMEM;
	assert_int_equal(restore(saved, bytes), -ENOMEM);
	guest_faults(guest)->doorbell_error = 0;
	for (size_t part = 0; part < bytes; part++) {
		guest_replace_server(guest);
		add();
		assert_int_equal(restore(saved, part), -EINVAL);
	}
	guest_replace_server(guest);
	assert_int_equal(guest_doorbells_open(guest), 0);
	free(saved);
}

/* Whatever the bytes are: an error or a server that can be used and freed. */
static void damaged_states(void **state)
{
	uint32_t seed = 12345;
	uint8_t *saved;
	size_t bytes;

	assert_non_null(guest_open(guest, 1, 4));
	assert_int_not_equal(guest_make_gpadl(guest, 2, GUEST_PAGE + 5, 5 * GUEST_PAGE), 0);
	saved = save(&bytes);
	for (unsigned round = 0; round < 20000; round++) {
		size_t at;
		uint8_t old;

		seed = seed * 1664525u + 1013904223u;
		at = (seed >> 8) % bytes;
		old = saved[at];
		saved[at] = (uint8_t)(seed >> 24 & 1 ? seed >> 16 : old ^ 1u << (seed >> 29));
		guest_replace_server(guest);
		add();
		if (restore(saved, bytes) == 0) {
			vmbus_server_resume(guest_server(guest));
			guest_run(guest);
			guest_forget_messages(guest);
			(void)guest_unload(guest);
		}
		saved[at] = old;
	}
	free(saved);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_open_channel_goes_on),
		TEST(what_is_in_flight_arrives),
		TEST(pause_alone),
		TEST(a_full_ring_moves),
		TEST(control_requests_in_flight),
		TEST(subchannels_move),
		TEST(rescinded_and_dead_channels_move),
		TEST(states_without_a_connection),
		TEST(channel_ids_move_too),
		TEST(a_device_that_is_new_there_is_offered),
		TEST(when_it_cannot_be_saved),
		TEST(when_it_cannot_be_restored),
		TEST(damaged_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
