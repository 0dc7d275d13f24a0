// SPDX-License-Identifier: Apache-2.0
/*
 * The host's ends of the rings alone, over scattered pages. The other side is played by the test with plain stores and
 * loads, and once by a thread of its own.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sched.h>
#include <unistd.h>

#include "vmbus/ring.h"

#define PAGES 4u
#define BYTES ((PAGES - 1) * 4096u)

static _Alignas(4096) uint8_t memory[2 * PAGES + 1][4096];
static uint8_t *pages[PAGES];
static struct vmbus_ring_page *control;

/* Every other page, from the end; the pages between must stay as they are. */
static int setup(void **state)
{
	memset(memory, 0, sizeof memory);
	for (unsigned i = 0; i < PAGES; i++) {
		memset(memory[2 * i], 0x5a, sizeof memory[0]);
		pages[i] = memory[2 * (PAGES - 1 - i) + 1];
	}
	memset(memory[2 * PAGES], 0x5a, sizeof memory[0]);
	control = (struct vmbus_ring_page *)(void *)pages[0];
	control->feature_bits = VMBUS_RING_FEATURE_PENDING_SEND;
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i <= PAGES; i++)
		for (unsigned n = 0; n < sizeof memory[0]; n++)
			assert_int_equal(memory[2 * i][n], 0x5a);
	return 0;
}

static void poke(uint32_t offset, const void *from, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		uint32_t at = (offset + i) % BYTES;

		pages[1 + at / 4096][at % 4096] = ((const uint8_t *)from)[i];
	}
}

static void peek(uint32_t offset, void *to, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		uint32_t at = (offset + i) % BYTES;

		((uint8_t *)to)[i] = pages[1 + at / 4096][at % 4096];
	}
}

/* A guest's packet of `length` bytes with a payload that counts up from `first`. */
static void guest_writes(uint32_t length, uint8_t first)
{
	const struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_IN_BAND,
		.payload_offset8 = 2,
		.length8 = (uint16_t)(length / 8),
		.transaction = first,
	};
	uint32_t start = control->write_index;

	poke(start, &descriptor, sizeof descriptor);
	for (uint32_t i = 16; i < length; i++) {
		uint8_t byte = (uint8_t)(first + i);

		poke(start + i, &byte, 1);
	}
	control->write_index = (start + length + 8) % BYTES;
}

static int host_writes(struct vmbus_ring_writer *writer, uint32_t length, uint8_t first)
{
	struct vmbus_packet_descriptor descriptor = {
		.type = VMBUS_PACKET_IN_BAND,
		.payload_offset8 = 2,
		.length8 = (uint16_t)((length + 7) / 8),
		.transaction = first,
	};
	static uint8_t payload[BYTES];
	const struct iovec head = { &descriptor, sizeof descriptor };
	const uint32_t half = (length - 16) / 2;
	const struct iovec parts[] = { { payload, half }, { payload + half, length - 16 - half } };

	for (uint32_t i = 16; i < length; i++)
		payload[i - 16] = (uint8_t)(first + i);
	return vmbus_ring_write(writer, &head, 1, parts, 2, length);
}

static struct vmbus_ring_reader new_reader(void)
{
	struct vmbus_ring_reader reader;

	assert_int_equal(vmbus_ring_reader_init(&reader, pages, PAGES), 0);
	return reader;
}

static struct vmbus_ring_writer new_writer(void)
{
	struct vmbus_ring_writer writer;

	assert_int_equal(vmbus_ring_writer_init(&writer, pages, PAGES), 0);
	return writer;
}

/* ---- reading */

static void read_one(struct vmbus_ring_reader *reader, uint32_t length, uint8_t first)
{
	struct vmbus_packet_descriptor descriptor;
	static uint8_t packet[BYTES];

	assert_int_equal(vmbus_ring_peek(reader, &descriptor), 1);
	assert_int_equal(descriptor.length8 * 8, length);
	assert_int_equal(descriptor.transaction, first);
	vmbus_ring_copy(reader, 0, packet, length);
	for (uint32_t i = 16; i < length; i++)
		assert_int_equal(packet[i], (uint8_t)(first + i));
	vmbus_ring_consume(reader, &descriptor);
}

static void packets_of_all_lengths_at_all_places(void **state)
{
	struct vmbus_ring_reader reader = new_reader();
	struct vmbus_packet_descriptor descriptor;

	for (unsigned round = 0; round < 4000; round++) {
		uint32_t length = 16 + round * 40 % 4096 / 8 * 8;

		guest_writes(length, (uint8_t)round);
		read_one(&reader, length, (uint8_t)round);
		assert_int_equal(vmbus_ring_peek(&reader, &descriptor), 0);
		assert_int_equal(vmbus_ring_unpublished(&reader), length + 8);
		assert_false(vmbus_ring_publish_read(&reader));
		assert_int_equal(control->read_index, control->write_index);
	}
}

static void reading_is_published_in_batches(void **state)
{
	struct vmbus_ring_reader reader = new_reader();

	for (uint8_t i = 0; i < 50; i++)
		guest_writes(64, i);
	for (uint8_t i = 0; i < 50; i++)
		read_one(&reader, 64, i);
	assert_int_equal(control->read_index, 0);
	(void)vmbus_ring_publish_read(&reader);
	assert_int_equal(control->read_index, 50 * 72);
}

static void broken_packets(void **state)
{
	static const struct {
		const char *why;
		uint16_t offset8, length8;
		uint32_t write_index;
	} rows[] = {
		{ "write index odd", 2, 2, 25 },
		{ "write index at the end", 2, 2, BYTES },
		{ "write index far", 2, 2, 0xfffffff8 },
		{ "no room for a descriptor", 2, 2, 16 },
		{ "length 0", 2, 0, 64 },
		{ "shorter than its descriptor", 1, 1, 64 },
		{ "payload starts in the descriptor", 1, 4, 64 },
		{ "payload starts behind the end", 5, 4, 64 },
		{ "longer than what was written", 2, 8, 64 },
		{ "one byte group longer", 2, 3, 24 },
		{ "huge", 2, 0xffff, 64 },
		{ "huge offset", 0xffff, 0xffff, 64 },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct vmbus_packet_descriptor bad = {
			.type = 6, .payload_offset8 = rows[i].offset8, .length8 = rows[i].length8,
		};
		struct vmbus_packet_descriptor out;
		struct vmbus_ring_reader reader;

		control->write_index = 0;
		reader = new_reader();
		poke(0, &bad, sizeof bad);
		control->write_index = rows[i].write_index;
		if (vmbus_ring_peek(&reader, &out) != -EPROTO)
			fail_msg("%s: taken", rows[i].why);
	}
}

static void the_guests_copy_of_our_index_is_not_believed(void **state)
{
	struct vmbus_ring_reader reader = new_reader();

	guest_writes(64, 1);
	guest_writes(64, 2);
	read_one(&reader, 64, 1);
	control->read_index = 0xdead;
	read_one(&reader, 64, 2);
	(void)vmbus_ring_publish_read(&reader);
	assert_int_equal(control->read_index, 144);
}

static void the_mask(void **state)
{
	struct vmbus_ring_reader reader = new_reader();
	struct vmbus_packet_descriptor out;

	assert_int_equal(control->interrupt_mask, 0);
	vmbus_ring_mask(&reader);
	assert_int_equal(control->interrupt_mask, 1);
	assert_int_equal(vmbus_ring_peek(&reader, &out), 0);
	guest_writes(32, 1);				/* masked: no signal; so unmasking has to look */
	assert_int_equal(vmbus_ring_unmask(&reader), 1);
	assert_int_equal(control->interrupt_mask, 1);
	read_one(&reader, 32, 1);
	assert_int_equal(vmbus_ring_unmask(&reader), 0);
	assert_int_equal(control->interrupt_mask, 0);
	control->write_index = 3;
	assert_int_equal(vmbus_ring_unmask(&reader), -EPROTO);
}

/* A guest that waits for room is signalled exactly when this batch makes the difference. */
static void a_guest_that_waits_for_room(void **state)
{
	struct vmbus_ring_reader reader = new_reader();
	unsigned signals = 0;

	/* 170 packets of 72 bytes: 48 bytes are free. */
	for (unsigned i = 0; i < 170; i++)
		guest_writes(64, (uint8_t)i);
	control->pending_send_bytes = 72 * 3 + 48;
	for (unsigned i = 0; i < 6; i++) {
		read_one(&reader, 64, (uint8_t)i);
		signals += vmbus_ring_publish_read(&reader);
		/* Free is 48 + 72 (i + 1): equal to what is wanted with the third, more with the fourth. */
		assert_int_equal(signals, i >= 3);
	}
	assert_int_equal(signals, 1);
	/* Not without the feature. */
	control->feature_bits = 0;
	control->pending_send_bytes = 48 + 72 * 6;
	read_one(&reader, 64, 6);
	assert_false(vmbus_ring_publish_read(&reader));
	control->feature_bits = VMBUS_RING_FEATURE_PENDING_SEND;
	control->pending_send_bytes = 48 + 72 * 7;
	for (unsigned i = 7; i < 20; i++)
		read_one(&reader, 64, (uint8_t)i);
	assert_true(vmbus_ring_publish_read(&reader));
}

/* ---- writing */

static void what_is_written_lies_on_the_ring(void **state)
{
	struct vmbus_ring_writer writer = new_writer();

	for (unsigned round = 0; round < 4000; round++) {
		uint32_t length = 16 + round * 13 % 3000, padded = (length + 7) / 8 * 8, start = control->write_index;
		struct vmbus_packet_descriptor descriptor;
		struct vmbus_packet_trailer trailer;

		assert_int_equal(host_writes(&writer, length, (uint8_t)round), 0);
		assert_int_equal(control->write_index, start);
		assert_true(vmbus_ring_publish_write(&writer));		/* it was empty */
		assert_false(vmbus_ring_publish_write(&writer));
		peek(start, &descriptor, sizeof descriptor);
		assert_int_equal(descriptor.length8 * 8, padded);
		for (uint32_t i = 16; i < padded; i++) {
			uint8_t byte;

			peek(start + i, &byte, 1);
			assert_int_equal(byte, i < length ? (uint8_t)(round + i) : 0);
		}
		peek(start + padded, &trailer, sizeof trailer);
		assert_int_equal(trailer.rsvd, 0);
		assert_int_equal(trailer.start, start);
		assert_int_equal(control->write_index, (start + padded + 8) % BYTES);
		control->read_index = control->write_index;
	}
}

static void signals_only_for_an_empty_ring(void **state)
{
	struct vmbus_ring_writer writer = new_writer();

	assert_int_equal(host_writes(&writer, 64, 0), 0);
	assert_int_equal(host_writes(&writer, 64, 0), 0);
	assert_true(vmbus_ring_publish_write(&writer));		/* one for both */
	assert_int_equal(host_writes(&writer, 64, 0), 0);
	assert_false(vmbus_ring_publish_write(&writer));
	control->read_index = 72;				/* still two there */
	assert_int_equal(host_writes(&writer, 64, 0), 0);
	assert_false(vmbus_ring_publish_write(&writer));
	control->read_index = 4 * 72;
	control->interrupt_mask = 1;
	assert_int_equal(host_writes(&writer, 64, 0), 0);
	assert_false(vmbus_ring_publish_write(&writer));
}

static void never_filled_up(void **state)
{
	struct vmbus_ring_writer writer = new_writer();
	unsigned count = 0;

	while (host_writes(&writer, 64, 0) == 0)
		count++;
	assert_int_equal(count, BYTES / 72);
	assert_int_equal(vmbus_ring_room(&writer), BYTES - count * 72 - 8);
	/* Exactly what is free is one too much: the ring would look empty. */
	assert_int_equal(host_writes(&writer, BYTES - count * 72 - 8, 0), -EAGAIN);
	assert_int_equal(host_writes(&writer, BYTES - count * 72 - 16, 0), 0);
	assert_int_equal(vmbus_ring_room(&writer), 0);
	(void)vmbus_ring_publish_write(&writer);
	assert_int_not_equal(control->write_index, control->read_index);
	assert_int_equal(host_writes(&writer, BYTES - 8, 0), -EMSGSIZE);
	assert_int_equal(host_writes(&writer, BYTES - 16, 0), -EAGAIN);
}

static void waiting_for_room(void **state)
{
	struct vmbus_ring_writer writer = new_writer();

	while (host_writes(&writer, 64, 0) == 0)
		;
	(void)vmbus_ring_publish_write(&writer);
	assert_int_equal(vmbus_ring_granted(&writer), 0);
	assert_int_equal(vmbus_ring_want(&writer, 200), -EAGAIN);
	assert_int_equal(control->pending_send_bytes, 208);
	/* A smaller one does not make the larger one's request smaller. */
	assert_int_equal(vmbus_ring_want(&writer, 64), -EAGAIN);
	assert_int_equal(control->pending_send_bytes, 208);
	control->read_index = 72 * 2;				/* 48 + 144 = 192 free */
	assert_int_equal(vmbus_ring_granted(&writer), 0);
	control->read_index = 72 * 3;				/* 264 */
	assert_int_equal(vmbus_ring_granted(&writer), 1);
	assert_int_equal(control->pending_send_bytes, 0);
	assert_int_equal(vmbus_ring_granted(&writer), 0);
	assert_int_equal(vmbus_ring_want(&writer, 200), 0);
	assert_int_equal(control->pending_send_bytes, 0);
	assert_int_equal(host_writes(&writer, 200, 0), 0);
}

static void broken_read_index(void **state)
{
	static const uint32_t values[] = { 1, 4, BYTES, BYTES + 8, 0xffffffff };

	for (unsigned i = 0; i < COUNT(values); i++) {
		struct vmbus_ring_writer writer;

		control->read_index = control->write_index = 0;
		writer = new_writer();
		while (host_writes(&writer, 64, 0) == 0)
			;
		control->read_index = values[i];
		assert_int_equal(host_writes(&writer, 64, 0), -EPROTO);
		assert_int_equal(vmbus_ring_want(&writer, 64), -EPROTO);
		assert_int_equal(vmbus_ring_granted(&writer), -EPROTO);
		assert_int_equal(vmbus_ring_room(&writer), 0);
	}
}

static void resume_elsewhere(void **state)
{
	struct vmbus_ring_writer writer = new_writer(), other;
	struct vmbus_ring_reader reader;

	assert_int_equal(host_writes(&writer, 64, 3), 0);
	assert_int_equal(vmbus_ring_writer_resume(&other, pages, PAGES, writer.write, writer.published, 0), 0);
	assert_int_equal(host_writes(&other, 64, 4), 0);
	assert_true(vmbus_ring_publish_write(&other));
	assert_int_equal(control->write_index, 144);
	assert_int_equal(vmbus_ring_writer_resume(&other, pages, PAGES, 4, 0, 0), -EINVAL);
	assert_int_equal(vmbus_ring_writer_resume(&other, pages, PAGES, 0, BYTES, 0), -EINVAL);
	assert_int_equal(vmbus_ring_writer_resume(&other, pages, PAGES, 0, 0, BYTES + 1), -EINVAL);
	assert_int_equal(vmbus_ring_reader_resume(&reader, pages, PAGES, 72, 0, true), 0);
	read_one(&reader, 64, 4);
	(void)vmbus_ring_publish_read(&reader);
	assert_int_equal(control->read_index, 144);
	assert_int_equal(vmbus_ring_reader_resume(&reader, pages, PAGES, BYTES, 0, true), -EINVAL);
	assert_int_equal(vmbus_ring_reader_resume(&reader, pages, PAGES, 0, 1, true), -EINVAL);
}

/* ---- with somebody on the other side */

#define RACE_PACKETS 60000u

/* Signals as a flag that a sleeper waits for; a lost one ends in a sleep without end, which the test's timeout sees. */
static atomic_uint to_guest, to_host;
static atomic_bool stalled;

static void sleep_until(atomic_uint *signals)
{
	for (unsigned spins = 0; atomic_exchange(signals, 0) == 0; spins++) {
		if (spins > 20000000u || atomic_load(&stalled)) {
			atomic_store(&stalled, true);
			return;
		}
		sched_yield();
	}
}

/* As a guest reads: masks, drains, unmasks, looks again. Signals when it frees what the host waits for. */
static void *guest_reader(void *context)
{
	uint32_t read = 0;
	uint64_t *sum = context;

	for (unsigned count = 0; count < RACE_PACKETS && !atomic_load(&stalled);) {
		uint32_t write = __atomic_load_n(&control->write_index, __ATOMIC_ACQUIRE);
		uint32_t before, after, pending, first = read;

		if (write == read) {
			__atomic_store_n(&control->interrupt_mask, 0, __ATOMIC_SEQ_CST);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			if (__atomic_load_n(&control->write_index, __ATOMIC_SEQ_CST) == read)
				sleep_until(&to_guest);
			__atomic_store_n(&control->interrupt_mask, 1, __ATOMIC_SEQ_CST);
			continue;
		}
		for (; read != write; count++) {
			struct vmbus_packet_descriptor descriptor;

			peek(read, &descriptor, sizeof descriptor);
			*sum += descriptor.transaction;
			read = (read + descriptor.length8 * 8u + 8) % BYTES;
		}
		__atomic_store_n(&control->read_index, read, __ATOMIC_SEQ_CST);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		pending = __atomic_load_n(&control->pending_send_bytes, __ATOMIC_SEQ_CST);
		write = __atomic_load_n(&control->write_index, __ATOMIC_SEQ_CST);
		after = write >= read ? BYTES - (write - read) : read - write;
		before = after - (read >= first ? read - first : BYTES - first + read);
		if (pending && after > pending && before <= pending)
			atomic_store(&to_host, 1);
	}
	return NULL;
}

static void no_signal_is_lost_when_the_host_writes(void **state)
{
	struct vmbus_ring_writer writer = new_writer();
	uint64_t sum = 0, expected = 0;
	pthread_t thread;

	atomic_store(&stalled, false);
	assert_int_equal(pthread_create(&thread, NULL, guest_reader, &sum), 0);
	for (unsigned i = 0; i < RACE_PACKETS && !atomic_load(&stalled); i++) {
		uint32_t length = 64 + i % 50 * 8;
		int r;

		while ((r = host_writes(&writer, length, (uint8_t)i)) == -EAGAIN && !atomic_load(&stalled)) {
			if (vmbus_ring_publish_write(&writer))
				atomic_store(&to_guest, 1);
			if (vmbus_ring_want(&writer, length) == 0)
				continue;
			while (!atomic_load(&stalled)) {
				sleep_until(&to_host);
				if (vmbus_ring_granted(&writer))
					break;
			}
		}
		assert_true(r == 0 || atomic_load(&stalled));
		expected += (uint8_t)i;
		if (i % 7 == 0 && vmbus_ring_publish_write(&writer))
			atomic_store(&to_guest, 1);
	}
	if (vmbus_ring_publish_write(&writer))
		atomic_store(&to_guest, 1);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(atomic_load(&stalled));
	assert_int_equal(sum, expected);
}

/* As a guest writes, with pending_send_sz when the ring is full. */
static void *guest_writer(void *context)
{
	uint32_t write = 0;

	for (unsigned i = 0; i < RACE_PACKETS && !atomic_load(&stalled); i++) {
		const uint32_t length = 64 + i % 50 * 8, total = length + 8;
		const struct vmbus_packet_descriptor descriptor = {
			.type = 6, .payload_offset8 = 2, .length8 = (uint16_t)(length / 8), .transaction = i,
		};
		uint32_t old = write;

		for (;;) {
			uint32_t read = __atomic_load_n(&control->read_index, __ATOMIC_SEQ_CST);

			if ((write >= read ? BYTES - (write - read) : read - write) > total)
				break;
			__atomic_store_n(&control->pending_send_bytes, total, __ATOMIC_SEQ_CST);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			read = __atomic_load_n(&control->read_index, __ATOMIC_SEQ_CST);
			if ((write >= read ? BYTES - (write - read) : read - write) <= total)
				sleep_until(&to_guest);
			__atomic_store_n(&control->pending_send_bytes, 0, __ATOMIC_SEQ_CST);
			if (atomic_load(&stalled))
				return NULL;
		}
		poke(write, &descriptor, sizeof descriptor);
		write = (write + total) % BYTES;
		__atomic_store_n(&control->write_index, write, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(&control->interrupt_mask, __ATOMIC_SEQ_CST) == 0 &&
		    __atomic_load_n(&control->read_index, __ATOMIC_SEQ_CST) == old)
			atomic_store(&to_host, 1);
	}
	return context;
}

static void no_signal_is_lost_when_the_host_reads(void **state)
{
	struct vmbus_ring_reader reader = new_reader();
	pthread_t thread;
	unsigned i = 0;

	atomic_store(&stalled, false);
	assert_int_equal(pthread_create(&thread, NULL, guest_writer, NULL), 0);
	while (i < RACE_PACKETS && !atomic_load(&stalled)) {
		struct vmbus_packet_descriptor descriptor;
		int r;

		vmbus_ring_mask(&reader);
		while ((r = vmbus_ring_peek(&reader, &descriptor)) > 0) {
			assert_int_equal(descriptor.transaction, i++);
			vmbus_ring_consume(&reader, &descriptor);
		}
		assert_int_equal(r, 0);
		if (vmbus_ring_publish_read(&reader))
			atomic_store(&to_guest, 1);
		if (i < RACE_PACKETS && vmbus_ring_unmask(&reader) == 0)
			sleep_until(&to_host);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_false(atomic_load(&stalled));
	assert_int_equal(i, RACE_PACKETS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(packets_of_all_lengths_at_all_places),
		TEST(reading_is_published_in_batches),
		TEST(broken_packets),
		TEST(the_guests_copy_of_our_index_is_not_believed),
		TEST(the_mask),
		TEST(a_guest_that_waits_for_room),
		TEST(what_is_written_lies_on_the_ring),
		TEST(signals_only_for_an_empty_ring),
		TEST(never_filled_up),
		TEST(waiting_for_room),
		TEST(broken_read_index),
		TEST(resume_elsewhere),
		TEST(no_signal_is_lost_when_the_host_writes),
		TEST(no_signal_is_lost_when_the_host_reads),
	};

	alarm(50);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
