// SPDX-License-Identifier: Apache-2.0
#include "netvsp/guest_buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Calls walk pieces; a piece may be empty. */
struct walk {
	const struct iovec *iov;
	size_t skip;
};

static struct walk walk_to(const struct span *span, size_t offset)
{
	struct walk walk = { span->iov, span->skip };

	/* skip may be past the first piece only by what offset adds */
	for (walk.skip += offset; walk.skip && walk.skip >= walk.iov->iov_len; walk.iov++)
		walk.skip -= walk.iov->iov_len;
	return walk;
}

static uint8_t *walk_step(struct walk *walk, size_t max, size_t *out_bytes)
{
	uint8_t *at;

	while (walk->skip == walk->iov->iov_len) {
		walk->iov++;
		walk->skip = 0;
	}
	at = (uint8_t *)walk->iov->iov_base + walk->skip;
	*out_bytes = walk->iov->iov_len - walk->skip < max ? walk->iov->iov_len - walk->skip : max;
	walk->skip += *out_bytes;
	return at;
}

void span_copy_out(const struct span *span, size_t offset, void *to, size_t bytes)
{
	struct walk walk;
	size_t step;

	if (bytes == 0)
		return;
	walk = walk_to(span, offset);
	for (uint8_t *at = to; bytes; bytes -= step, at += step) {
		const uint8_t *from = walk_step(&walk, bytes, &step);

		memcpy(at, from, step);
	}
}

void span_copy_in(const struct span *span, size_t offset, const void *from, size_t bytes)
{
	struct walk walk;
	size_t step;

	if (bytes == 0)
		return;
	walk = walk_to(span, offset);
	for (const uint8_t *at = from; bytes; bytes -= step, at += step) {
		uint8_t *to = walk_step(&walk, bytes, &step);

		memcpy(to, at, step);
	}
}

int span_gather(const struct span *span, size_t offset, size_t bytes, struct iovec *out, unsigned max)
{
	struct walk walk;
	unsigned count = 0;

	if (bytes == 0)
		return 0;
	walk = walk_to(span, offset);
	while (bytes) {
		struct iovec piece;

		piece.iov_base = walk_step(&walk, bytes, &piece.iov_len);
		if (count == max)
			return -E2BIG;
		out[count++] = piece;
		bytes -= piece.iov_len;
	}
	return (int)count;
}

int guest_buffer_bind(struct guest_buffer *buffer, struct vmbus_channel *channel, uint32_t gpadl, uint16_t id)
{
	struct guest_buffer b = { .channel = channel, .gpadl = gpadl, .id = id };
	size_t at = 0;
	int r = vmbus_channel_gpadl_get(channel, gpadl, &b.range);

	if (r)
		return r;
	if (b.range.iov_count == 0 || b.range.bytes == 0) {
		vmbus_channel_gpadl_put(channel, gpadl);
		return -EINVAL;
	}
	b.starts = calloc(b.range.iov_count, sizeof *b.starts);
	if (!b.starts) {
		vmbus_channel_gpadl_put(channel, gpadl);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < b.range.iov_count; i++) {
		b.starts[i] = at;
		at += b.range.iov[i].iov_len;
	}
	*buffer = b;
	return 0;
}

void guest_buffer_release(struct guest_buffer *buffer)
{
	struct guest_buffer b = *buffer;

	if (!b.channel)
		return;
	/* First, because the server may close the channel from within. */
	*buffer = (struct guest_buffer){ .channel = NULL };
	free(b.starts);
	vmbus_channel_gpadl_put(b.channel, b.gpadl);
}

struct span guest_buffer_span(const struct guest_buffer *buffer, size_t offset, size_t bytes)
{
	unsigned low = 0, high = buffer->range.iov_count;

	while (high - low > 1) {
		unsigned middle = low + (high - low) / 2;

		if (buffer->starts[middle] <= offset)
			low = middle;
		else
			high = middle;
	}
	return (struct span){ buffer->range.iov + low, buffer->range.iov_count - low, offset - buffer->starts[low],
			      bytes };
}
