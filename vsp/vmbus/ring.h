/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's ends of a channel's two rings. The pages are guest memory, each at a host address of its own, and the
 * guest may change any byte of them at any time: the other side's index is loaded once, checked, then used; the own
 * index is a private number that is only ever stored. What is read is copied out first.
 *
 * Both ends work in batches: reading and writing move the private index, publishing shows it to the guest and tells
 * whether the guest asked for a signal.
 */
#ifndef VSP_VMBUS_RING_H
#define VSP_VMBUS_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmbus/vmbus.h"

struct vmbus_ring_area {
	struct vmbus_ring_page *control;
	uint8_t *const *pages;		/* of the data area; the caller's, in place as long as the ring is used */
	uint32_t bytes;			/* of the data area */
};

struct vmbus_ring_reader {
	struct vmbus_ring_area area;
	uint32_t read;			/* own index */
	uint32_t published;		/* what the guest was told */
	uint32_t write;			/* the guest's, checked, as last loaded */
	bool masked;			/* the guest need not signal */
};

struct vmbus_ring_writer {
	struct vmbus_ring_area area;
	uint32_t write;			/* own index */
	uint32_t published;
	uint32_t read;			/* the guest's, checked, as last loaded */
	uint32_t wanted;		/* bytes that a sender waits for; 0: nobody waits */
};

/* pages[0] is the control page; at least two pages. The indices are taken from the control page. 0; -EPROTO invalid. */
int vmbus_ring_reader_init(struct vmbus_ring_reader *reader, uint8_t *const *pages, unsigned page_count);
int vmbus_ring_writer_init(struct vmbus_ring_writer *writer, uint8_t *const *pages, unsigned page_count);
/* The same ring elsewhere: own index and what was published of it are known, nothing there is touched. 0; -EINVAL. */
int vmbus_ring_reader_resume(struct vmbus_ring_reader *reader, uint8_t *const *pages, unsigned page_count,
			     uint32_t read, uint32_t published, bool masked);
int vmbus_ring_writer_resume(struct vmbus_ring_writer *writer, uint8_t *const *pages, unsigned page_count,
			     uint32_t write, uint32_t published, uint32_t wanted);

/* ---- reading */

/* Looks at the next packet: its descriptor, checked. 1; 0 nothing there; -EPROTO the guest broke the ring. */
int vmbus_ring_peek(struct vmbus_ring_reader *reader, struct vmbus_packet_descriptor *out);
/* Copies [offset, offset + bytes) of the packet that peek found. */
void vmbus_ring_copy(const struct vmbus_ring_reader *reader, uint32_t offset, void *to, uint32_t bytes);
/* Steps over the packet that peek found. */
void vmbus_ring_consume(struct vmbus_ring_reader *reader, const struct vmbus_packet_descriptor *packet);
/* Read but not yet published. */
uint32_t vmbus_ring_unpublished(const struct vmbus_ring_reader *reader);
/* Gives the room of what was read back; true: signal the guest, it waits for room. */
bool vmbus_ring_publish_read(struct vmbus_ring_reader *reader);
/* While masked the guest does not signal. Unmasking looks again: 1 there is something, so it is masked again; 0;
 * -EPROTO. */
void vmbus_ring_mask(struct vmbus_ring_reader *reader);
int vmbus_ring_unmask(struct vmbus_ring_reader *reader);
/* Whether the guest has written what was not read. 1, 0, -EPROTO. */
int vmbus_ring_readable(struct vmbus_ring_reader *reader);

/* ---- writing */

/* Bytes that a packet of this length (descriptor and payload) takes. */
static inline uint64_t vmbus_ring_packet_bytes(uint64_t length)
{
	const uint64_t padded = (length + VMBUS_RING_ALIGN - 1) & ~(uint64_t)(VMBUS_RING_ALIGN - 1);

	return padded + sizeof(struct vmbus_packet_trailer);
}

/* Appends a packet: descriptor, then payload, `length` bytes together. 0; -EAGAIN no room; -EMSGSIZE never room;
 * -EPROTO the guest broke the ring. */
int vmbus_ring_write(struct vmbus_ring_writer *writer, const struct iovec *head, unsigned head_count,
		     const struct iovec *parts, unsigned part_count, size_t length);
/* Shows what was written; true: signal the guest. */
bool vmbus_ring_publish_write(struct vmbus_ring_writer *writer);
/* Asks the guest to signal when the ring takes a packet of this length. 0 it does so now; -EAGAIN wait; -EPROTO.
 * Publish before. */
int vmbus_ring_want(struct vmbus_ring_writer *writer, size_t length);
/* Somebody waits and needs to wait no longer; then the request is taken back. 1, 0, -EPROTO. */
int vmbus_ring_granted(struct vmbus_ring_writer *writer);
/* Bytes that packets may take now, as vmbus_ring_packet_bytes counts. 0 also when the guest broke the ring. */
uint32_t vmbus_ring_room(const struct vmbus_ring_writer *writer);
/* The guest has not read all that was published, and asks for signals. */
bool vmbus_ring_unread(const struct vmbus_ring_writer *writer, uint32_t *out_read_index);

#endif
