/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory in pieces: a span names bytes of it; a guest buffer is a GPADL that a device holds. */
#ifndef VSP_NETVSP_GUEST_BUFFER_H
#define VSP_NETVSP_GUEST_BUFFER_H

#include "vmbus/channel.h"

/* `bytes` bytes, from `skip` bytes into the first of `count` pieces on. All-zero: nothing. */
struct span {
	const struct iovec *iov;
	unsigned count;
	size_t skip;
	size_t bytes;
};

/* Ranges are the caller's to check: offset + bytes <= span->bytes. */
void span_copy_out(const struct span *span, size_t offset, void *to, size_t bytes);
void span_copy_in(const struct span *span, size_t offset, const void *from, size_t bytes);
/* The pieces that hold a range. Their number; -E2BIG more than max. */
int span_gather(const struct span *span, size_t offset, size_t bytes, struct iovec *out, unsigned max);

struct guest_buffer {
	struct vmbus_channel *channel;	/* NULL: not bound */
	uint32_t gpadl;
	uint16_t id;			/* the guest's name for it */
	struct vmbus_gpa_range range;
	size_t *starts;			/* of each piece, to find one without a walk */
};

/* 0; -ENOENT no such GPADL; -EINVAL nothing in it; -ENOMEM. */
int guest_buffer_bind(struct guest_buffer *buffer, struct vmbus_channel *channel, uint32_t gpadl, uint16_t id);
void guest_buffer_release(struct guest_buffer *buffer);	/* of an unbound one: nothing */
/* offset + bytes <= range.bytes */
struct span guest_buffer_span(const struct guest_buffer *buffer, size_t offset, size_t bytes);

#endif
