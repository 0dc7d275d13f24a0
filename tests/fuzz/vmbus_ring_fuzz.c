// SPDX-License-Identifier: Apache-2.0
/*
 * The host's ends of a ring whose pages the input writes between any two steps. Whatever is there: reads stay inside
 * the ring, own indices stay valid, and the ring never gives more than it can hold.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)
#define PAGES 3u
#define BYTES ((PAGES - 1) * 4096u)

/* Pages that the sanitizer guards, in no order. */
static uint8_t *make_pages(uint8_t **pages)
{
	uint8_t *all = aligned_alloc(4096, PAGES * 4096);

	CHECK(all);
	memset(all, 0, PAGES * 4096);
	pages[0] = all + 4096;
	pages[1] = all + 2 * 4096;
	pages[2] = all;
	return all;
}

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t next(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static void scribble(struct input *in, uint8_t *const *pages)
{
	static const uint16_t control[] = { 0, 4, 8, 12, 64 };
	uint8_t where = next(in);
	uint32_t value = next(in);

	value |= (uint32_t)next(in) << 8;
	if (where & 0x80)
		value = value << 16 | value;
	if (where & 0x40)
		memcpy(pages[0] + control[where % 5], &value, sizeof value);
	else
		memcpy(pages[1 + (where & 1)] + next(in) * 8, &value, sizeof value);
}

static void check_reader(const struct vmbus_ring_reader *reader)
{
	CHECK(reader->read < BYTES && reader->read % 8 == 0 && reader->write < BYTES && reader->write % 8 == 0);
	CHECK(reader->published < BYTES && vmbus_ring_unpublished(reader) < BYTES);
}

static void read_packet(struct vmbus_ring_reader *reader)
{
	struct vmbus_packet_descriptor descriptor;
	uint8_t *copy;
	uint32_t bytes;
	int r = vmbus_ring_peek(reader, &descriptor);

	CHECK(r == 1 || r == 0 || r == -EPROTO);
	if (r <= 0)
		return;
	bytes = descriptor.length8 * 8u;
	CHECK(bytes >= 16 && bytes + 8 < BYTES && descriptor.payload_offset8 >= 2 &&
	      descriptor.payload_offset8 <= descriptor.length8);
	copy = malloc(bytes);
	CHECK(copy);
	vmbus_ring_copy(reader, 0, copy, bytes);
	free(copy);
	vmbus_ring_consume(reader, &descriptor);
}

static void write_packet(struct vmbus_ring_writer *writer, uint32_t length)
{
	uint8_t *bytes = calloc(1, length + 1);
	const struct iovec head = { bytes, 16 }, part = { bytes + 16, length - 16 };
	uint32_t before = vmbus_ring_room(writer);
	int r;

	CHECK(bytes);
	r = vmbus_ring_write(writer, &head, 1, &part, 1, length);
	CHECK(r == 0 || r == -EAGAIN || r == -EMSGSIZE || r == -EPROTO);
	/* The cached index may allow more than the guest's index does now, never less. */
	if (vmbus_ring_packet_bytes(length) <= before)
		CHECK(r == 0);
	if (r == -EAGAIN)
		(void)vmbus_ring_want(writer, length);
	CHECK(writer->write < BYTES && writer->write % 8 == 0 && writer->read < BYTES && writer->wanted < BYTES);
	free(bytes);
}

/* As a guest does: a packet behind the last one, in units of 8 bytes, and the index behind it. */
static void guest_writes(struct input *in, uint8_t *const *pages)
{
	const unsigned bytes = next(in) * 8u;
	uint32_t write;

	memcpy(&write, pages[0], sizeof write);
	write = write % BYTES & ~7u;
	for (unsigned i = 0; i < bytes + 8; i++) {
		const uint32_t at = (write + i) % BYTES;

		pages[1 + at / 4096][at % 4096] = i < bytes ? next(in) : 0;
	}
	write = (write + bytes + 8) % BYTES;
	memcpy(pages[0], &write, sizeof write);
}

/* As a guest does that reads all there is. */
static void guest_reads(uint8_t *const *pages)
{
	memcpy(pages[0] + 4, pages[0], 4);
}

static void both_ends(struct input *in, uint8_t *const *in_pages, uint8_t *const *out_pages)
{
	struct vmbus_ring_reader reader;
	struct vmbus_ring_writer writer;

	if (vmbus_ring_reader_init(&reader, in_pages, PAGES) || vmbus_ring_writer_init(&writer, out_pages, PAGES))
		return;
	while (in->left) {
		uint8_t operation = next(in);

		switch (operation & 7) {
		case 0:
			scribble(in, in_pages);
			break;
		case 1:
			scribble(in, out_pages);
			break;
		case 2:
			(void)vmbus_ring_publish_read(&reader);
			break;
		case 3:
			vmbus_ring_mask(&reader);
			(void)vmbus_ring_unmask(&reader);
			break;
		case 4:
			write_packet(&writer, 16 + next(in) * (1 + (operation >> 3)));
			break;
		case 5:
			(void)vmbus_ring_publish_write(&writer);
			(void)vmbus_ring_granted(&writer);
			break;
		case 6:
			guest_writes(in, in_pages);
			if (operation & 8)
				guest_reads(out_pages);
			break;
		default:
			read_packet(&reader);
			break;
		}
		check_reader(&reader);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *in_pages[PAGES], *out_pages[PAGES];
	uint8_t *in_memory = make_pages(in_pages), *out_memory = make_pages(out_pages);
	struct input in = { data, size };

	for (unsigned i = next(&in) % 16; i; i--)
		scribble(&in, i & 1 ? in_pages : out_pages);
	both_ends(&in, in_pages, out_pages);
	free(in_memory);
	free(out_memory);
	return 0;
}
