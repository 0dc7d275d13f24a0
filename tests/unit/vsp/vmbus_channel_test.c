// SPDX-License-Identifier: Apache-2.0
/* What a device can do with a channel: packets of each kind, room, signals, GPADLs. */
#include "cmocka_all.h"

#include <errno.h>

#include "guest.h"
#include "vmbus_echo.h"

static struct guest *guest;
static struct echo echo;
static uint32_t relid;
static struct guest_packet packet;

static int setup(void **state)
{
	guest = guest_new(64u << 20, 2);
	echo_init(&echo, 1, 1);
	assert_int_equal(vmbus_device_add(guest_server(guest), &echo.device), 0);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	relid = guest_relid(guest, &echo.device.offer.interface, 0);
	return 0;
}

static int teardown(void **state)
{
	guest_free(guest);
	return 0;
}

static struct vmbus_channel_counters counters(void)
{
	struct vmbus_channel_counters now;

	assert_int_equal(vmbus_channel_get_counters(&echo.device, 0, &now), 0);
	return now;
}

/* ---- packets from the guest */

static void payloads_of_all_lengths_wrap_around(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	uint8_t payload[4000];

	for (unsigned i = 0; i < sizeof payload; i++)
		payload[i] = (uint8_t)(i * 7);
	for (unsigned i = 0; i < 700; i++) {
		size_t bytes = i * 97 % sizeof payload;

		assert_int_equal(guest_transact(channel, i, payload, bytes, &packet), 0);
		assert_int_equal(echo.payload_bytes, (bytes + 7) / 8 * 8);
		assert_memory_equal(echo.payload, payload, bytes);
		assert_int_equal(packet.payload_bytes, (bytes + 7) / 8 * 8);
		assert_memory_equal(guest_packet_payload(&packet), payload, bytes);
		assert_int_equal(packet.flags, 0);
	}
	assert_int_equal(counters().packets_received, 700);
	assert_int_equal(counters().packets_sent, 700);
	assert_int_equal(guest_in_ring(channel)->interrupt_mask, 0);
	assert_int_equal(guest_out_ring(channel)->interrupt_mask, 0);
}

static void one_signal_and_one_index_for_a_batch(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 16);

	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, i, "12345678", 8), 0);
	guest_run(guest);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_int_equal(counters().signals_received, 1);
	assert_int_equal(counters().signals_sent, 1);
	assert_int_equal(counters().batches_received, 1);
	assert_int_equal(counters().batches_sent, 1);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(guest_receive(channel, &packet));
		assert_int_equal(packet.transaction, i);
		assert_int_equal(packet.type, VMBUS_PACKET_COMPLETION);
	}
	assert_false(guest_receive(channel, &packet));
}

static void a_guest_that_polls_is_not_signalled(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);

	guest_in_ring(channel)->interrupt_mask = 1;
	assert_int_equal(guest_transact(channel, 1, "x", 1, &packet), 0);
	assert_int_equal(guest_interrupts(channel), 0);
}

static void a_device_that_stops_reading_is_not_disturbed(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);

	echo.mute = true;
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 0, 1, "x", 1), 0);
	guest_run(guest);
	assert_int_equal(echo.packets, 1);
	assert_int_equal(echo.type, VMBUS_PACKET_IN_BAND);
	assert_false(echo.wants_completion);
	assert_int_equal(echo.ready, 1);
	guest_signal(channel);					/* nothing there: no news */
	guest_run(guest);
	assert_int_equal(echo.ready, 1);
	assert_int_equal(guest_send_completion(channel, 99, "y", 1), 0);
	guest_run(guest);
	assert_int_equal(echo.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(echo.transaction, 99);
}

/* A device that reads of its own, not from its callback: the guest signals again although nothing was flushed yet. */
static void reading_outside_of_callbacks(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	struct vmbus_channel *own = echo.channels[0];
	struct vmbus_packet request;

	echo.deaf = true;
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 0, 1, "x", 1), 0);
	guest_run(guest);
	assert_int_equal(vmbus_channel_read(own, &request), 1);
	assert_int_equal(vmbus_channel_read(own, &request), 0);
	echo.deaf = false;
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 0, 2, "y", 1), 0);
	guest_run(guest);
	assert_int_equal(echo.packets, 1);
	assert_int_equal(echo.transaction, 2);
}

static void a_long_batch_gives_room_back_on_the_way(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	struct vmbus_packet request;
	uint8_t payload[1000] = { 0 };

	echo.deaf = true;
	while (guest_send(channel, VMBUS_PACKET_IN_BAND, 0, 1, payload, sizeof payload) == 0)
		;
	guest_run(guest);
	assert_int_equal(vmbus_channel_read(echo.channels[0], &request), 1);
	assert_int_equal(guest_out_ring(channel)->read_index, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(vmbus_channel_read(echo.channels[0], &request), 1);
	assert_int_equal(guest_out_ring(channel)->read_index, 4 * 1024);
}

static void types_that_no_guest_sends(void **state)
{
	static const uint16_t types[] = { 0, 1, 5, 7, 8, 0xa, 0xc, 0xffff };

	for (unsigned i = 0; i < COUNT(types); i++) {
		struct guest_channel *channel = guest_open(guest, relid, 4);

		assert_int_equal(guest_send(channel, types[i], 1, 0, "x", 1), 0);
		guest_run(guest);
		assert_int_equal(echo.read_result, -EPROTO);
		assert_true(counters().broken);
		/* Dead, whatever comes, and no callbacks. */
		echo.ready = 0;
		guest_signal(channel);
		guest_run(guest);
		assert_int_equal(echo.ready, 0);
		assert_int_equal(vmbus_channel_send(echo.channels[0], 6, 0, 0, NULL, 0), -EPROTO);
		assert_int_equal(vmbus_channel_room(echo.channels[0]), 0);
		assert_int_equal(guest_close(channel), 0);
		assert_false(counters().open);
	}
	assert_int_equal(echo.packets, 0);
	assert_non_null(guest_open(guest, relid, 4));
	assert_false(counters().broken);
}

/* ---- GPA direct */

static void ranges_of_guest_memory(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 8);
	uint64_t gpa = guest_pages(guest, 8);
	const struct guest_range ranges[] = {
		{ gpa + 100, 5000 }, { gpa + 3 * GUEST_PAGE, 2 * GUEST_PAGE }, { gpa + 8, 8 },
	};
	uint8_t *ram = guest_ram(guest, gpa);

	for (unsigned i = 0; i < 8 * GUEST_PAGE; i++)
		ram[i] = (uint8_t)(i * 11 + i / 256);
	assert_int_equal(guest_send_gpa_direct(channel, 1, 5, ranges, 3, "request", 7), 0);
	guest_run(guest);
	assert_int_equal(echo.type, VMBUS_PACKET_GPA_DIRECT);
	assert_int_equal(echo.payload_bytes, 8);
	assert_string_equal((const char *)echo.payload, "request");
	assert_int_equal(echo.range_bytes, 5000 + 2 * GUEST_PAGE + 8);
	assert_int_equal(echo.iov_count, 3);			/* pages in a row are one piece */
	assert_memory_equal(echo.range, ram + 100, 5000);
	assert_memory_equal(echo.range + 5000, ram + 3 * GUEST_PAGE, 2 * GUEST_PAGE);
	assert_memory_equal(echo.range + 5000 + 2 * GUEST_PAGE, ram + 8, 8);
	/* Many pieces, then none: the array is the channel's and grows. */
	{
		struct guest_range many[100];

		for (unsigned i = 0; i < COUNT(many); i++)
			many[i] = (struct guest_range){ gpa + i * 16, 8 };
		assert_int_equal(guest_send_gpa_direct(channel, 1, 6, many, COUNT(many), "", 0), 0);
		guest_run(guest);
		assert_int_equal(echo.iov_count, 100);
		assert_int_equal(guest_send_gpa_direct(channel, 1, 7, many, 0, "", 0), 0);
		guest_run(guest);
		assert_int_equal(echo.iov_count, 0);
		assert_int_equal(echo.range_bytes, 0);
	}
	assert_int_equal(echo.packets, 3);
	assert_false(counters().broken);
}

static void ranges_that_make_no_sense(void **state)
{
	const struct {
		const char *why;
		uint32_t words[8];		/* reserved, count, ranges */
		unsigned word_count;
	} rows[] = {
		{ "no header", { 0 }, 0 },
		{ "range missing", { 0, 1 }, 2 },
		{ "page missing", { 0, 1, 4096, 0 }, 4 },
		{ "second page missing", { 0, 1, 4096, 1, 5, 0 }, 6 },
		{ "offset too large", { 0, 1, 8, 4096, 5, 0 }, 6 },
		{ "offset far too large", { 0, 1, 8, 5000, 5, 0 }, 6 },
		{ "not RAM", { 0, 1, 8, 0, 0x100000, 0 }, 6 },
		{ "page number overflows", { 0, 1, 8, 0, 5, 0x40000000 }, 6 },
		{ "second range missing", { 0, 2, 8, 0, 5, 0 }, 6 },
		{ "many ranges", { 0, 0xffffffff, 0, 0, 0, 0 }, 6 },
		{ "4 GiB", { 0, 1, 0xffffffff, 0xfff, 5, 0 }, 6 },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct guest_channel *channel = guest_open(guest, relid, 4);

		echo.read_result = 0;
		assert_int_equal(guest_send_raw(channel, VMBUS_PACKET_GPA_DIRECT, 1, 0, rows[i].words,
						4 * rows[i].word_count, "", 0), 0);
		guest_run(guest);
		if (echo.read_result != -EPROTO)
			fail_msg("%s: taken", rows[i].why);
		assert_int_equal(guest_close(channel), 0);
	}
	assert_int_equal(echo.packets, 0);
}

static void a_hole_in_memory(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	uint64_t gpa = guest_pages(guest, 4);
	const struct guest_range range = { gpa, 4 * GUEST_PAGE };

	assert_int_equal(guest_send_gpa_direct(channel, 1, 5, &range, 1, "", 0), 0);
	guest_run(guest);
	assert_int_equal(echo.packets, 1);
	guest_make_hole(guest, gpa + 2 * GUEST_PAGE, GUEST_PAGE);
	assert_int_equal(guest_send_gpa_direct(channel, 1, 5, &range, 1, "", 0), 0);
	guest_run(guest);
	assert_int_equal(echo.read_result, -EPROTO);
	assert_non_null(strstr(guest_log(guest), "not RAM"));
}

/* ---- packets to the guest */

static void a_full_ring_and_room_again(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 2);
	struct vmbus_channel *own = echo.channels[0];
	const struct iovec part = { (void *)(uintptr_t)"0123456789abcdef", 16 };
	unsigned sent = 0;
	int r;

	while ((r = vmbus_channel_send(own, VMBUS_PACKET_IN_BAND, 0, sent, &part, 1)) == 0)
		sent++;
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(sent, 4096 / 40);
	assert_int_equal(counters().full, 1);
	/* Published at once, so that the guest can make room; and it was asked to tell. */
	assert_int_equal(guest_interrupts(channel), 1);
	assert_int_equal(guest_in_ring(channel)->pending_send_bytes, 40);
	guest_run(guest);
	assert_int_equal(echo.ready, 0);
	assert_true(guest_receive(channel, &packet));
	guest_run(guest);
	assert_int_equal(echo.ready, 1);
	assert_int_equal(guest_in_ring(channel)->pending_send_bytes, 0);
	assert_int_equal(vmbus_channel_send(own, VMBUS_PACKET_IN_BAND, 0, sent, &part, 1), 0);
	guest_run(guest);
	for (unsigned i = 1; i <= sent; i++) {
		assert_true(guest_receive(channel, &packet));
		assert_int_equal(packet.transaction, i);
		assert_memory_equal(guest_packet_payload(&packet), "0123456789abcdef", 16);
	}
	assert_false(guest_receive(channel, &packet));
}

static void a_guest_that_waits_for_room_is_told(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 2);
	unsigned sent = 0;

	echo.deaf = true;
	while (guest_send(channel, VMBUS_PACKET_IN_BAND, 0, sent, "01234567", 8) == 0)
		sent++;
	guest_out_ring(channel)->pending_send_bytes = 32;
	guest_run(guest);
	assert_int_equal(guest_interrupts(channel), 0);
	echo.deaf = false;
	guest_signal(channel);
	guest_run(guest);
	assert_int_equal(echo.packets, sent);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 0, sent, "01234567", 8), 0);
}

static void packets_are_never_larger_than_the_driver_takes(void **state)
{
	static const uint8_t zeroes[70000];
	struct guest_channel *channel = guest_open(guest, relid, 64);
	struct vmbus_channel *own = echo.channels[0];
	const struct iovec fits = { (void *)(uintptr_t)zeroes, 16384 - 16 };
	const struct iovec more = { (void *)(uintptr_t)zeroes, 16384 - 15 };
	const struct iovec huge[] = { { (void *)(uintptr_t)zeroes, 70000 }, { (void *)(uintptr_t)zeroes, 70000 } };

	assert_int_equal(vmbus_channel_send(own, 6, 0, 0, &more, 1), -EMSGSIZE);
	assert_int_equal(vmbus_channel_send(own, 6, 0, 0, huge, 2), -EMSGSIZE);
	assert_int_equal(vmbus_channel_send(own, 6, 0, 0, &fits, 1), 0);
	guest_run(guest);
	assert_true(guest_receive(channel, &packet));
	assert_int_equal(packet.payload_bytes, 16384 - 16);
	assert_int_equal(guest_close(channel), 0);
	channel = guest_open(guest, relid, 2);
	assert_int_equal(vmbus_channel_send(echo.channels[0], 6, 0, 0, &fits, 1), -EMSGSIZE);	/* than the ring */
	assert_int_equal(guest_close(channel), 0);
}

static void transfer_pages(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	const struct vmbus_transfer_range ranges[] = { { 100, 0 }, { 200, 4096 }, { 300, 8192 } };
	const struct iovec parts[] = { { (void *)(uintptr_t)"abc", 3 }, { (void *)(uintptr_t)"defghijkl", 9 } };
	uint32_t words[6];

	assert_int_equal(vmbus_channel_send_transfer(echo.channels[0], 0xcafe, 42, ranges, 3, parts, 2), 0);
	guest_run(guest);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_true(guest_receive(channel, &packet));
	assert_int_equal(packet.type, VMBUS_PACKET_TRANSFER_PAGES);
	assert_int_equal(packet.flags, 1);
	assert_int_equal(packet.transaction, 42);
	assert_int_equal(packet.descriptor_bytes, 24 + 3 * 8);
	assert_int_equal(packet.data[16] | packet.data[17] << 8, 0xcafe);
	assert_int_equal(packet.data[20], 3);
	memcpy(words, packet.data + 24, sizeof words);
	assert_memory_equal(words, ranges, sizeof words);
	assert_int_equal(packet.payload_bytes, 16);
	assert_memory_equal(guest_packet_payload(&packet), "abcdefghijkl\0\0\0\0", 16);
}

static void sends_outside_of_callbacks_are_flushed(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	struct vmbus_channel *own = echo.channels[0];

	assert_int_equal(vmbus_channel_send(own, 6, 0, 1, NULL, 0), 0);
	assert_int_equal(vmbus_channel_send(own, 6, 0, 2, NULL, 0), 0);
	assert_int_equal(guest_in_ring(channel)->write_index, 0);
	guest_run(guest);
	assert_int_equal(guest_in_ring(channel)->write_index, 48);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_int_equal(vmbus_channel_send(own, 6, 0, 3, NULL, 0), 0);
	vmbus_channel_flush(own);
	assert_int_equal(guest_in_ring(channel)->write_index, 72);
	assert_int_equal(vmbus_channel_room(own), 3 * 4096 - 72 - 8);
	guest_run(guest);
	assert_int_equal(guest_interrupts(channel), 0);		/* not empty before */
}

static void no_signal_before_the_open_is_answered(void **state)
{
	struct guest_channel *channel;
	uint32_t words[37] = { VMBUS_OPEN_CHANNEL, 0, relid, relid };
	uint64_t gpa = guest_pages(guest, 8);

	words[4] = guest_make_gpadl(guest, relid, gpa, 8 * GUEST_PAGE);
	words[6] = 4;
	echo.greets = true;
	guest_faults(guest)->post_error = -EAGAIN;
	assert_int_equal(guest_post(guest, words, sizeof words), 0);
	guest_run(guest);
	assert_int_equal(echo.opened, 1);
	assert_int_equal(echo.send_result, 0);
	assert_int_equal(counters().signals_sent, 0);
	guest_faults(guest)->post_error = 0;
	guest_advance(guest, 100000000);
	assert_int_equal(counters().signals_sent, 1);
	/* The next time it comes at once. */
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	channel = guest_open(guest, relid, 4);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_true(guest_receive(channel, &packet));
}

static void what_lies_on_the_ring_before_open_is_read(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	uint32_t words[37] = { VMBUS_OPEN_CHANNEL, 0, relid, relid };
	const struct vmbus_relid_message close = { .header.type = VMBUS_CLOSE_CHANNEL, .relid = relid };

	assert_int_equal(guest_post(guest, &close, sizeof close), 0);
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 8, "early", 5), 0);
	guest_run(guest);
	assert_int_equal(echo.packets, 0);
	words[4] = guest_channel_ring_gpadl(channel);
	words[6] = 4;
	assert_int_equal(guest_post(guest, words, sizeof words), 0);
	guest_run(guest);
	assert_int_equal(echo.packets, 1);
	assert_true(guest_receive(channel, &packet));
}

static void signals_that_fail(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);

	guest_faults(guest)->signal_error = -EIO;
	assert_int_equal(guest_transact(channel, 1, "x", 1, &packet), 0);
	assert_int_equal(counters().signals_failed, 1);
	assert_int_equal(counters().signals_sent, 0);
}

static void lost_signals_are_found(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);

	/* The guest leaves an answer: it is told once more, then left alone. */
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 1, "x", 1), 0);
	guest_run(guest);
	assert_int_equal(guest_interrupts(channel), 1);
	guest_advance(guest, 10000000000);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_int_equal(counters().signals_lost, 1);
	assert_int_equal(guest_timers_armed(guest), 1);		/* the watchdog's, now a slow one */
	assert_true(guest_receive(channel, &packet));
	/* The guest's own signal gets lost while the watchdog is awake. */
	assert_int_equal(guest_transact(channel, 2, "x", 1, &packet), 0);
	guest_in_ring(channel)->interrupt_mask = 1;
	guest_out_ring(channel)->interrupt_mask = 1;		/* so the model does not ring */
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 3, "x", 1), 0);
	guest_run(guest);
	assert_int_equal(echo.packets, 2);
	guest_advance(guest, 1000000000);
	assert_int_equal(echo.packets, 3);
	assert_int_equal(counters().signals_missed, 1);
	/* And after a long silence. */
	guest_receive(channel, &packet);
	guest_advance(guest, 60000000000);
	guest_out_ring(channel)->interrupt_mask = 1;
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 4, "x", 1), 0);
	guest_run(guest);
	assert_int_equal(echo.packets, 3);
	guest_advance(guest, 10000000000);
	assert_int_equal(echo.packets, 4);
	assert_int_equal(counters().signals_missed, 2);
	/* Without a channel there is nothing to find. */
	assert_int_equal(guest_close(channel), 0);
	guest_advance(guest, 20000000000);
	assert_int_equal(guest_timers_armed(guest), 0);
}

static void broken_indices_at_run_time(void **state)
{
	for (unsigned out = 0; out < 2; out++) {
		struct guest_channel *channel = guest_open(guest, relid, 4);

		echo.read_result = 0;
		echo.ready = 0;
		if (out) {
			guest_out_ring(channel)->write_index = 0x7fffffff;
		} else {
			while (vmbus_channel_send(echo.channels[0], 6, 0, 0, NULL, 0) == 0)
				;
			guest_in_ring(channel)->read_index = 0x7fffffff;
		}
		guest_signal(channel);
		guest_run(guest);
		assert_int_equal(echo.ready, 1);			/* so that the device hears of it */
		assert_int_equal(echo.read_result, -EPROTO);
		assert_true(counters().broken);
		assert_int_equal(guest_close(channel), 0);
	}
}

/* ---- GPADLs as memory */

static void gpadls_as_memory(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	uint64_t gpa = guest_pages(guest, 100);
	uint32_t gpadl = guest_make_gpadl(guest, relid, gpa, 100 * GUEST_PAGE);
	uint64_t pfns[] = { gpa / GUEST_PAGE, gpa / GUEST_PAGE + 2, gpa / GUEST_PAGE + 3, gpa / GUEST_PAGE + 1 };
	uint32_t scattered = guest_make_gpadl_of_pages(guest, relid, pfns, 4);
	struct vmbus_channel *own = echo.channels[0];
	struct vmbus_gpa_range range, again;

	assert_int_equal(vmbus_channel_gpadl_get(own, 12345, &range), -ENOENT);
	assert_int_equal(vmbus_channel_gpadl_get(own, gpadl, &range), 0);
	assert_int_equal(range.iov_count, 1);
	assert_int_equal(range.bytes, 100 * GUEST_PAGE);
	assert_ptr_equal(range.iov[0].iov_base, guest_ram(guest, gpa));
	assert_int_equal(vmbus_channel_gpadl_get(own, scattered, &again), 0);
	assert_int_equal(again.iov_count, 3);
	assert_int_equal(again.bytes, 4 * GUEST_PAGE);
	assert_int_equal(again.iov[1].iov_len, 2 * GUEST_PAGE);
	assert_int_equal(vmbus_channel_gpadl_get(own, gpadl, &again), 0);
	assert_ptr_equal(again.iov, range.iov);

	/* The guest wants it back: it waits for both users, and there are no new ones. */
	assert_int_equal(guest_teardown_gpadl(guest, relid, gpadl), -ETIMEDOUT);
	assert_int_equal(vmbus_channel_gpadl_get(own, gpadl, &again), -ENOENT);
	vmbus_channel_gpadl_put(own, gpadl);
	guest_run(guest);
	assert_int_equal(guest_torndown_count(guest, gpadl), 0);
	vmbus_channel_gpadl_put(own, gpadl);
	guest_run(guest);
	assert_int_equal(guest_torndown_count(guest, gpadl), 1);
	vmbus_channel_gpadl_put(own, gpadl);			/* once too often */

	/* Closing lets go of everything. */
	assert_int_equal(guest_teardown_gpadl(guest, relid, scattered), -ETIMEDOUT);
	assert_int_equal(guest_close(channel), 0);
	assert_int_equal(guest_torndown_count(guest, scattered), 1);
}

static void a_ring_is_not_torn_down_while_open(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	uint32_t gpadl = guest_channel_ring_gpadl(channel);

	assert_int_equal(guest_teardown_gpadl(guest, relid, gpadl), -ETIMEDOUT);
	assert_int_equal(guest_transact(channel, 1, "x", 1, &packet), 0);
	(void)guest_close(channel);
	assert_int_equal(guest_torndown_count(guest, gpadl), 2);	/* the second: unknown by then */
}

static void gpadls_of_other_channels(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	static struct echo other;
	struct vmbus_gpa_range range;
	uint32_t gpadl;

	echo_init(&other, 2, 2);
	assert_int_equal(vmbus_device_add(guest_server(guest), &other.device), 0);
	guest_run(guest);
	gpadl = guest_make_gpadl(guest, guest_relid(guest, &other.device.offer.interface, 0), GUEST_PAGE, GUEST_PAGE);
	assert_int_not_equal(gpadl, 0);
	assert_int_equal(vmbus_channel_gpadl_get(echo.channels[0], gpadl, &range), -ENOENT);
	assert_int_equal(guest_close(channel), 0);
}

static void what_a_device_may_ask(void **state)
{
	struct guest_channel *channel = guest_open(guest, relid, 4);
	struct vmbus_channel *own = echo.channels[0];
	struct vmbus_channel_counters now;

	assert_int_equal(vmbus_channel_index(own), 0);
	assert_ptr_equal(vmbus_channel_device(own), &echo.device);
	assert_ptr_equal(vmbus_channel_context(own), &echo);
	assert_ptr_equal(vmbus_channel_host(own), guest_host(guest));
	assert_int_equal(vmbus_channel_get_counters(&echo.device, 1, &now), -ENOENT);
	assert_int_equal(counters().relid, relid);
	vmbus_channel_closed(own);				/* nobody asked */
	assert_true(counters().open);
	assert_int_equal(guest_close(channel), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(payloads_of_all_lengths_wrap_around),
		TEST(one_signal_and_one_index_for_a_batch),
		TEST(a_guest_that_polls_is_not_signalled),
		TEST(a_device_that_stops_reading_is_not_disturbed),
		TEST(reading_outside_of_callbacks),
		TEST(a_long_batch_gives_room_back_on_the_way),
		TEST(types_that_no_guest_sends),
		TEST(ranges_of_guest_memory),
		TEST(ranges_that_make_no_sense),
		TEST(a_hole_in_memory),
		TEST(a_full_ring_and_room_again),
		TEST(a_guest_that_waits_for_room_is_told),
		TEST(packets_are_never_larger_than_the_driver_takes),
		TEST(transfer_pages),
		TEST(sends_outside_of_callbacks_are_flushed),
		TEST(no_signal_before_the_open_is_answered),
		TEST(what_lies_on_the_ring_before_open_is_read),
		TEST(signals_that_fail),
		TEST(lost_signals_are_found),
		TEST(broken_indices_at_run_time),
		TEST(gpadls_as_memory),
		TEST(a_ring_is_not_torn_down_while_open),
		TEST(gpadls_of_other_channels),
		TEST(what_a_device_may_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
