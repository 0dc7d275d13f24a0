// SPDX-License-Identifier: Apache-2.0
#include "vmbus/ring.h"

#include <errno.h>
#include <string.h>

/* One access each, whatever the compiler would like to do with memory that it thinks it owns. */
static uint32_t load(const uint32_t *shared)
{
	return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}

static void store(uint32_t *shared, uint32_t value)
{
	__atomic_store_n(shared, value, __ATOMIC_RELEASE);
}

/* Between a store that the other side looks at and a load of what it stores: even x86 lets them pass. */
static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static bool valid(const struct vmbus_ring_area *area, uint32_t index)
{
	return index < area->bytes && index % VMBUS_RING_ALIGN == 0;
}

static int load_index(const struct vmbus_ring_area *area, const uint32_t *shared, uint32_t *out)
{
	uint32_t index = load(shared);

	if (!valid(area, index))
		return -EPROTO;
	*out = index;
	return 0;
}

static uint32_t distance(const struct vmbus_ring_area *area, uint32_t from, uint32_t to)
{
	return to >= from ? to - from : area->bytes - from + to;
}

static uint32_t advance(const struct vmbus_ring_area *area, uint32_t index, uint32_t bytes)
{
	return bytes < area->bytes - index ? index + bytes : bytes - (area->bytes - index);
}

static void area_init(struct vmbus_ring_area *area, uint8_t *const *pages, unsigned page_count)
{
	area->control = (struct vmbus_ring_page *)(void *)pages[0];
	area->pages = pages + 1;
	area->bytes = (page_count - 1) * HV_PAGE_BYTES;
}

/* The piece of a page at index, at most bytes long. */
static uint8_t *piece(const struct vmbus_ring_area *area, uint32_t index, uint32_t bytes, uint32_t *out_bytes)
{
	uint32_t rest = HV_PAGE_BYTES - index % HV_PAGE_BYTES;

	*out_bytes = bytes < rest ? bytes : rest;
	return area->pages[index / HV_PAGE_BYTES] + index % HV_PAGE_BYTES;
}

static void copy_out(const struct vmbus_ring_area *area, uint32_t index, void *to, uint32_t bytes)
{
	uint8_t *at = to;

	while (bytes) {
		uint32_t now;
		const uint8_t *from = piece(area, index, bytes, &now);

		memcpy(at, from, now);
		at += now;
		bytes -= now;
		index = advance(area, index, now);
	}
}

static uint32_t copy_in(const struct vmbus_ring_area *area, uint32_t index, const void *from, size_t bytes)
{
	const uint8_t *at = from;

	while (bytes) {
		uint32_t now;
		uint8_t *to = piece(area, index, (uint32_t)bytes, &now);

		memcpy(to, at, now);
		at += now;
		bytes -= now;
		index = advance(area, index, now);
	}
	return index;
}

/* ---- reading */

int vmbus_ring_reader_init(struct vmbus_ring_reader *reader, uint8_t *const *pages, unsigned page_count)
{
	memset(reader, 0, sizeof *reader);
	area_init(&reader->area, pages, page_count);
	if (load_index(&reader->area, &reader->area.control->read_index, &reader->read) ||
	    load_index(&reader->area, &reader->area.control->write_index, &reader->write))
		return -EPROTO;
	reader->published = reader->read;
	reader->masked = true;
	return vmbus_ring_unmask(reader) < 0 ? -EPROTO : 0;
}

int vmbus_ring_reader_resume(struct vmbus_ring_reader *reader, uint8_t *const *pages, unsigned page_count,
			     uint32_t read, uint32_t published, bool masked)
{
	memset(reader, 0, sizeof *reader);
	area_init(&reader->area, pages, page_count);
	if (!valid(&reader->area, read) || !valid(&reader->area, published))
		return -EINVAL;
	reader->read = reader->write = read;
	reader->published = published;
	reader->masked = masked;
	return 0;
}

int vmbus_ring_readable(struct vmbus_ring_reader *reader)
{
	if (load_index(&reader->area, &reader->area.control->write_index, &reader->write))
		return -EPROTO;
	return reader->write != reader->read;
}

int vmbus_ring_peek(struct vmbus_ring_reader *reader, struct vmbus_packet_descriptor *out)
{
	uint32_t used, length;

	if (reader->write == reader->read) {
		int r = vmbus_ring_readable(reader);

		if (r <= 0)
			return r;
	}
	used = distance(&reader->area, reader->read, reader->write);
	if (used < sizeof *out + sizeof(struct vmbus_packet_trailer))
		return -EPROTO;
	copy_out(&reader->area, reader->read, out, sizeof *out);
	length = out->length8 * VMBUS_RING_ALIGN;
	if (out->payload_offset8 * VMBUS_RING_ALIGN < sizeof *out || out->payload_offset8 > out->length8 ||
	    length + sizeof(struct vmbus_packet_trailer) > used)
		return -EPROTO;
	return 1;
}

void vmbus_ring_copy(const struct vmbus_ring_reader *reader, uint32_t offset, void *to, uint32_t bytes)
{
	copy_out(&reader->area, advance(&reader->area, reader->read, offset), to, bytes);
}

void vmbus_ring_consume(struct vmbus_ring_reader *reader, const struct vmbus_packet_descriptor *packet)
{
	reader->read = advance(&reader->area, reader->read,
			       (uint32_t)vmbus_ring_packet_bytes(packet->length8 * VMBUS_RING_ALIGN));
}

uint32_t vmbus_ring_unpublished(const struct vmbus_ring_reader *reader)
{
	return distance(&reader->area, reader->published, reader->read);
}

bool vmbus_ring_publish_read(struct vmbus_ring_reader *reader)
{
	struct vmbus_ring_page *control = reader->area.control;
	uint32_t given = vmbus_ring_unpublished(reader), wanted, write, room;

	if (given == 0)
		return false;
	store(&control->read_index, reader->read);
	reader->published = reader->read;
	full_barrier();
	wanted = load(&control->pending_send_bytes);
	if (wanted == 0 || !(load(&control->feature_bits) & VMBUS_RING_FEATURE_PENDING_SEND))
		return false;
	/* A broken index will be found by the next read. */
	if (load_index(&reader->area, &control->write_index, &write))
		return false;
	room = reader->area.bytes - distance(&reader->area, reader->read, write);
	/* Only when this batch made the difference: before it the writer was stuck, now its packet fits. */
	return room > wanted && (room < given || room - given <= wanted);
}

void vmbus_ring_mask(struct vmbus_ring_reader *reader)
{
	if (!reader->masked)
		store(&reader->area.control->interrupt_mask, 1);
	reader->masked = true;
}

int vmbus_ring_unmask(struct vmbus_ring_reader *reader)
{
	int r;

	if (reader->masked)
		store(&reader->area.control->interrupt_mask, 0);
	reader->masked = false;
	/* The guest may have written after the last look and before the mask fell, without a signal. */
	full_barrier();
	r = vmbus_ring_readable(reader);
	if (r > 0)
		vmbus_ring_mask(reader);
	return r;
}

/* ---- writing */

int vmbus_ring_writer_init(struct vmbus_ring_writer *writer, uint8_t *const *pages, unsigned page_count)
{
	struct vmbus_ring_page *control;

	memset(writer, 0, sizeof *writer);
	area_init(&writer->area, pages, page_count);
	control = writer->area.control;
	if (load_index(&writer->area, &control->read_index, &writer->read) ||
	    load_index(&writer->area, &control->write_index, &writer->write))
		return -EPROTO;
	writer->published = writer->write;
	store(&control->pending_send_bytes, 0);
	store(&control->feature_bits, load(&control->feature_bits) | VMBUS_RING_FEATURE_PENDING_SEND);
	return 0;
}

int vmbus_ring_writer_resume(struct vmbus_ring_writer *writer, uint8_t *const *pages, unsigned page_count,
			     uint32_t write, uint32_t published, uint32_t wanted)
{
	memset(writer, 0, sizeof *writer);
	area_init(&writer->area, pages, page_count);
	if (!valid(&writer->area, write) || !valid(&writer->area, published) || wanted > writer->area.bytes)
		return -EINVAL;
	writer->write = write;
	writer->published = published;
	writer->wanted = wanted;
	/* As if full: the first look at the guest's index tells the truth. */
	writer->read = advance(&writer->area, write, VMBUS_RING_ALIGN);
	return 0;
}

static int reload_free(struct vmbus_ring_writer *writer, uint32_t *out)
{
	if (load_index(&writer->area, &writer->area.control->read_index, &writer->read))
		return -EPROTO;
	*out = writer->area.bytes - distance(&writer->area, writer->read, writer->write);
	return 0;
}

uint32_t vmbus_ring_room(const struct vmbus_ring_writer *writer)
{
	uint32_t read, used;

	if (load_index(&writer->area, &writer->area.control->read_index, &read))
		return 0;
	used = distance(&writer->area, read, writer->write);
	return writer->area.bytes - used - VMBUS_RING_ALIGN;
}

static uint32_t copy_parts(const struct vmbus_ring_area *area, uint32_t index, const struct iovec *parts,
			   unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		index = copy_in(area, index, parts[i].iov_base, parts[i].iov_len);
	return index;
}

int vmbus_ring_write(struct vmbus_ring_writer *writer, const struct iovec *head, unsigned head_count,
		     const struct iovec *parts, unsigned part_count, size_t length)
{
	static const uint8_t zeroes[VMBUS_RING_ALIGN];
	const uint64_t total = vmbus_ring_packet_bytes(length);
	struct vmbus_packet_trailer trailer = { .start = writer->write };
	uint32_t room = writer->area.bytes - distance(&writer->area, writer->read, writer->write);
	uint32_t at;

	if (length > writer->area.bytes || total >= writer->area.bytes)
		return -EMSGSIZE;
	if (room <= total && reload_free(writer, &room))
		return -EPROTO;
	/* Equal is not enough: a full ring looks like an empty one. */
	if (room <= total)
		return -EAGAIN;
	at = copy_parts(&writer->area, writer->write, head, head_count);
	at = copy_parts(&writer->area, at, parts, part_count);
	at = copy_in(&writer->area, at, zeroes, total - sizeof trailer - length);
	writer->write = copy_in(&writer->area, at, &trailer, sizeof trailer);
	return 0;
}

bool vmbus_ring_publish_write(struct vmbus_ring_writer *writer)
{
	struct vmbus_ring_page *control = writer->area.control;
	uint32_t before = writer->published;

	if (before == writer->write)
		return false;
	store(&control->write_index, writer->write);
	writer->published = writer->write;
	full_barrier();
	/* The guest looks again after it unmasks and after it empties the ring, so only an empty one needs a signal. */
	return load(&control->interrupt_mask) == 0 && load(&control->read_index) == before;
}

int vmbus_ring_want(struct vmbus_ring_writer *writer, size_t length)
{
	const uint32_t wanted = (uint32_t)vmbus_ring_packet_bytes(length);
	uint32_t room;

	if (wanted > writer->wanted) {
		writer->wanted = wanted;
		store(&writer->area.control->pending_send_bytes, wanted);
	}
	full_barrier();
	if (reload_free(writer, &room))
		return -EPROTO;
	if (room <= wanted)
		return -EAGAIN;
	return vmbus_ring_granted(writer) < 0 ? -EPROTO : 0;
}

int vmbus_ring_granted(struct vmbus_ring_writer *writer)
{
	uint32_t room;

	if (writer->wanted == 0)
		return 0;
	if (reload_free(writer, &room))
		return -EPROTO;
	if (room <= writer->wanted)
		return 0;
	writer->wanted = 0;
	store(&writer->area.control->pending_send_bytes, 0);
	return 1;
}

bool vmbus_ring_unread(const struct vmbus_ring_writer *writer, uint32_t *out_read_index)
{
	*out_read_index = load(&writer->area.control->read_index);
	return *out_read_index != writer->published && load(&writer->area.control->interrupt_mask) == 0;
}
