// SPDX-License-Identifier: Apache-2.0
#include "block/iov.h"

#include <string.h>

uint64_t iov_bytes(const struct iovec *iov, unsigned count)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

/* The part of a piece that lies behind *offset, at most `max` bytes; moves *offset on. */
static size_t next_part(const struct iovec *piece, uint64_t *offset, size_t max, uint8_t **out)
{
	size_t bytes;

	if (*offset >= piece->iov_len) {
		*offset -= piece->iov_len;
		return 0;
	}
	*out = (uint8_t *)piece->iov_base + *offset;
	bytes = piece->iov_len - (size_t)*offset;
	*offset = 0;
	return bytes < max ? bytes : max;
}

size_t iov_gather(const struct iovec *iov, unsigned count, uint64_t offset, void *to, size_t bytes)
{
	size_t copied = 0;

	for (unsigned i = 0; i < count && copied < bytes; i++) {
		uint8_t *part;
		size_t n = next_part(&iov[i], &offset, bytes - copied, &part);

		if (n)
			memcpy((uint8_t *)to + copied, part, n);
		copied += n;
	}
	return copied;
}

size_t iov_scatter(const struct iovec *iov, unsigned count, uint64_t offset, const void *from, size_t bytes)
{
	size_t copied = 0;

	for (unsigned i = 0; i < count && copied < bytes; i++) {
		uint8_t *part;
		size_t n = next_part(&iov[i], &offset, bytes - copied, &part);

		if (n)
			memcpy(part, (const uint8_t *)from + copied, n);
		copied += n;
	}
	return copied;
}

void iov_zero(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t bytes)
{
	for (unsigned i = 0; i < count && bytes; i++) {
		uint8_t *part;
		size_t n = next_part(&iov[i], &offset, bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX, &part);

		if (n)
			memset(part, 0, n);
		bytes -= n;
	}
}

void iov_advance(struct iovec **iov, unsigned *count, uint64_t bytes)
{
	while (*count && bytes >= (*iov)->iov_len) {
		bytes -= (*iov)->iov_len;
		(*iov)++;
		(*count)--;
	}
	if (*count) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + bytes;
		(*iov)->iov_len -= (size_t)bytes;
	}
}

unsigned iov_truncate(struct iovec *iov, unsigned count, uint64_t bytes)
{
	for (unsigned i = 0; i < count; i++) {
		if (bytes == 0)
			return i;
		if (bytes < iov[i].iov_len)
			iov[i].iov_len = (size_t)bytes;
		bytes -= iov[i].iov_len;
	}
	return count;
}
