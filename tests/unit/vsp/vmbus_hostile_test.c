// SPDX-License-Identifier: Apache-2.0
/*
 * A guest that tries everything: random messages, random ring pages, in any order, against devices that are slow. It
 * may break its own channels, but the server stands, what it holds is bounded, and the next guest finds everything in
 * order.
 */
#include "cmocka_all.h"

#include <errno.h>

#include "guest.h"
#include "vmbus_echo.h"

#define DEVICES 3u
#define RAM     (1u << 30)

static struct guest *guest;
static struct echo echo[DEVICES];
static bool removed[DEVICES];
static unsigned migrations;
static uint32_t seed;
static uint64_t ring_gpa;

static uint32_t any(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 9;
}

static uint32_t less_than(uint32_t limit)
{
	return any() % limit;
}

static int setup(void **state)
{
	guest = guest_new(RAM, 2);
	for (unsigned i = 0; i < DEVICES; i++) {
		echo_init(&echo[i], (uint8_t)(i + 1), (uint8_t)i);
		assert_int_equal(vmbus_device_add(guest_server(guest), &echo[i].device), 0);
	}
	ring_gpa = guest_pages(guest, 64);
	return 0;
}

static int teardown(void **state)
{
	guest_free(guest);
	return 0;
}

/* Mostly the right thing, so that much is reached; sometimes anything. */
static uint32_t some_relid(void)
{
	return less_than(20) ? 1 + less_than(8) : any();
}

/* Two for each channel, so that a ring and something else can come together. */
static uint32_t some_gpadl_of(uint32_t relid)
{
	return less_than(20) ? relid + 8 * less_than(2) : any();
}

static uint32_t some_type(void)
{
	static const uint8_t often[] = { 8, 8, 8, 8, 5, 5, 5, 5, 7, 7, 11, 11, 13, 22, 3, 9 };

	if (less_than(80) == 0)
		return less_than(2) ? VMBUS_INITIATE_CONTACT : VMBUS_UNLOAD;
	if (less_than(30) == 0)
		return any() % (less_than(2) ? 30 : UINT32_MAX);
	return often[less_than(COUNT(often))];
}

static void random_message(void)
{
	static const uint8_t lengths[] = { 8, 12, 16, 20, 28, 40, 60, 92, 148, 240 };
	uint32_t words[60];
	uint64_t pfn = ring_gpa / GUEST_PAGE + less_than(60);
	unsigned bytes = less_than(30) ? lengths[3 + less_than(COUNT(lengths) - 3)] : less_than(241);

	for (unsigned i = 0; i < COUNT(words); i++)
		words[i] = less_than(3) ? less_than(5) : any();
	words[0] = some_type();
	words[2] = some_relid();
	switch (words[0]) {
	case VMBUS_GPADL_HEADER:
		words[3] = some_gpadl_of(words[2]);
		words[4] = 1u << 16 | (less_than(12) ? 8 + 8 * (4 + less_than(12)) : less_than(65536));
		words[5] = ((words[4] & 0xffff) - 8) / 8 * GUEST_PAGE;
		words[6] = less_than(10) ? 0 : any();
		for (unsigned i = 7; i + 1 < COUNT(words); i += 2, pfn++)
			memcpy(&words[i], &pfn, 8);
		bytes = less_than(9) ? (20 + (words[4] & 0xffff) < 240 ? 20 + (words[4] & 0xffff) : 236) : bytes;
		break;
	case VMBUS_OPEN_CHANNEL:
		words[4] = some_gpadl_of(words[2]);
		words[5] = less_than(9) ? less_than(2) : any();
		words[6] = less_than(9) ? 2 + less_than(3) : any();
		bytes = 148;
		break;
	case VMBUS_GPADL_TEARDOWN:
		words[3] = some_gpadl_of(words[2]);
		break;
	case VMBUS_INITIATE_CONTACT:
		words[2] = less_than(4) ? VMBUS_VERSION_WIN10_V5_3 : any();
		words[3] = less_than(3);
		words[4] = 2;
		break;
	case VMBUS_MODIFY_CHANNEL:
		words[3] = less_than(3);
		break;
	default:
		break;
	}
	(void)guest_post(guest, words, bytes);
}

static void scribble(void)
{
	static const unsigned offsets[] = { 0, 4, 8, 12, 64 };
	uint32_t value = less_than(2) ? less_than(4096) & ~7u : any();
	uint64_t page = ring_gpa + less_than(64) * GUEST_PAGE;
	uint32_t offset = less_than(2) ? offsets[less_than(COUNT(offsets))] : less_than(1023) * 4;

	memcpy((uint8_t *)guest_ram(guest, page) + offset, &value, sizeof value);
}

static void random_device_act(struct echo *device)
{
	struct vmbus_gpa_range range;
	struct vmbus_channel *channel = device->channels[less_than(3)];

	switch (less_than(8)) {
	case 0:
		if (less_than(2))
			echo_finish_closing(device);
		else if (device->late_count)
			echo_close_one(device, less_than(device->late_count));
		device->closes_later = less_than(4);
		break;
	case 1:
		(void)vmbus_device_offer_subchannels(&device->device, 1 + less_than(2));
		break;
	case 2:
		if (channel && vmbus_channel_gpadl_get(channel, some_gpadl_of(1 + less_than(4)), &range) == 0)
			for (unsigned i = 0; i < range.iov_count; i++)
				memset(range.iov[i].iov_base, 0x5a, range.iov[i].iov_len);
		break;
	case 3:
		if (channel)
			vmbus_channel_gpadl_put(channel, some_gpadl_of(1 + less_than(4)));
		break;
	case 4:
		device->mute = less_than(2);
		device->deaf = less_than(8) == 0;
		break;
	case 5:
		if (device->device.server_data && less_than(10) == 0) {
			device->gone = false;
			removed[device - echo] = true;
			vmbus_device_remove(guest_server(guest), &device->device, echo_gone, device);
		} else if (!device->device.server_data &&
			   vmbus_device_add(guest_server(guest), &device->device) == 0) {
			removed[device - echo] = false;
		}
		break;
	default:
		if (channel)
			(void)vmbus_channel_send(channel, VMBUS_PACKET_IN_BAND, 0, any(), NULL, 0);
		break;
	}
}

/* Whatever a guest has done, its state goes to another server, unless something is on its way out. */
static void migrate(void)
{
	size_t bytes;
	void *saved;
	int r;

	vmbus_server_pause(guest_server(guest));
	r = vmbus_server_save(guest_server(guest), &saved, &bytes);
	if (r) {
		assert_int_equal(r, -EBUSY);
		vmbus_server_resume(guest_server(guest));
		return;
	}
	migrations++;
	guest_replace_server(guest);
	for (unsigned i = 0; i < DEVICES; i++) {
		assert_int_equal(echo[i].late_count, 0);
		memset(echo[i].channels, 0, sizeof echo[i].channels);
		if (!removed[i])
			assert_int_equal(vmbus_device_add(guest_server(guest), &echo[i].device), 0);
	}
	assert_int_equal(vmbus_server_restore(guest_server(guest), saved, bytes), 0);
	free(saved);
	vmbus_server_resume(guest_server(guest));
}

static void in_order_afterwards(void)
{
	struct vmbus_server_counters now;
	struct guest_packet *packet = malloc(sizeof *packet);

	guest_faults(guest)->post_error = 0;
	guest_advance(guest, 30000000000);
	for (unsigned i = 0; i < DEVICES; i++) {
		echo_finish_closing(&echo[i]);
		echo[i].mute = echo[i].deaf = false;
	}
	guest_advance(guest, 30000000000);
	assert_int_equal(guest_unload(guest), 0);
	vmbus_server_get_counters(guest_server(guest), &now);
	assert_int_equal(now.gpadl_count, 0);
	assert_int_equal(now.gpadl_bytes, 0);
	assert_int_equal(guest_doorbells_open(guest), 0);
	guest_advance(guest, 3000000000);
	assert_int_equal(guest_timers_armed(guest), 0);
	memset(removed, 0, sizeof removed);
	/* Channel ids stay with devices; new ones get them in order. */
	for (unsigned i = 0; i < DEVICES; i++)
		vmbus_device_remove(guest_server(guest), &echo[i].device, NULL, NULL);
	for (unsigned i = 0; i < DEVICES; i++)
		assert_int_equal(vmbus_device_add(guest_server(guest), &echo[i].device), 0);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	for (unsigned i = 0; i < DEVICES; i++) {
		uint32_t relid = guest_relid_of_instance(guest, &echo[i].device.offer.instance, 0);
		struct guest_channel *channel = guest_open(guest, relid, 4);

		assert_int_equal(relid, i + 1);
		assert_non_null(channel);
		assert_int_equal(guest_transact(channel, 1, "x", 1, packet), 0);
		assert_int_equal(guest_close(channel), 0);
	}
	assert_int_equal(guest_unload(guest), 0);
	memset(guest_ram(guest, ring_gpa), 0, 64 * GUEST_PAGE);
	free(packet);
}

static void everything_in_any_order(void **state)
{
	for (unsigned round = 0; round < 300; round++) {
		seed = round * 7919 + 1;
		(void)guest_connect(guest, VMBUS_VERSION_WIN10_V5_3);
		for (unsigned step = 0; step < 1500; step++) {
			uint32_t what = less_than(20);

			if (what < 12)
				random_message();
			else if (what < 16)
				scribble();
			else if (what < 18)
				random_device_act(&echo[less_than(DEVICES)]);
			else if (step % 50 == 0)
				migrate();
			else if (step % 50 == 1)
				guest_faults(guest)->post_error = less_than(2) ? -EAGAIN : 0;
			else if (what < 19)
				guest_advance(guest, (uint64_t)less_than(1000) * 1000000);
			else
				for (uint32_t relid = 1; relid < 8; relid++)
					guest_ring(guest, 0x2000 + relid);
			if (less_than(4) == 0)
				guest_run(guest);
		}
		guest_forget_messages(guest);
		in_order_afterwards();
		guest_forget_messages(guest);
	}
	assert_true(migrations > 100);
}

static void random_bytes(void **state)
{
	struct vmbus_server_counters now;
	uint8_t bytes[256];

	seed = 99;
	for (unsigned round = 0; round < 200000; round++) {
		unsigned count = less_than(sizeof bytes + 1);

		for (unsigned i = 0; i < count; i++)
			bytes[i] = (uint8_t)any();
		if (count > 4 && less_than(2))
			memset(bytes + 1, 0, 3);
		assert_int_equal(guest_post(guest, bytes, count), 0);
	}
	vmbus_server_get_counters(guest_server(guest), &now);
	assert_int_equal(now.messages_received, 200000);
	in_order_afterwards();
}

/* Ring contents at random under a channel that is open: dead or alive, but never outside of its memory. */
static void random_rings(void **state)
{
	for (unsigned round = 0; round < 3000; round++) {
		struct guest_channel *channel;

		if (round % 500 == 0) {
			guest_free(guest);
			assert_int_equal(setup(NULL), 0);
			assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
		}
		seed = round + 1;
		channel = guest_open(guest, 1, 3);
		assert_non_null(channel);
		for (unsigned step = 0; step < 20; step++) {
			uint32_t at = less_than(4) ? guest_out_ring(channel)->read_index : any() & 0xffff;
			uint16_t halves[12];

			for (unsigned i = 0; i < COUNT(halves); i++)
				halves[i] = (uint16_t)less_than(1 + less_than(40));
			halves[0] = (uint16_t)(less_than(8) ? 6 + less_than(2) * 3 : any());
			guest_ring_write(channel, true, at, halves, sizeof halves);
			guest_out_ring(channel)->write_index =
				less_than(10) ? less_than(guest_ring_bytes(channel)) & ~7u : any();
			if (less_than(4) == 0)
				guest_in_ring(channel)->read_index = less_than(3) ? less_than(8192) & ~7u : any();
			guest_signal(channel);
			guest_run(guest);
		}
		assert_int_equal(guest_close(channel), 0);
		guest_forget_messages(guest);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_in_any_order),
		TEST(random_bytes),
		TEST(random_rings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
