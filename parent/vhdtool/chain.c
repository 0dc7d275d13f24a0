// SPDX-License-Identifier: Apache-2.0
#include "vhdtool/chain.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PIECE_BYTES (64u << 10)	/* of this size and place is what is written or left out */

struct copy {
	struct block_request request;	/* first */
	struct iovec iov;
	bool done;
	int error;
};

static void copy_done(struct block_request *request, int error)
{
	struct copy *copy = (struct copy *)request;

	copy->error = error;
	copy->done = true;
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

int chain_transfer(struct tool_host *h, struct block_disk *disk, enum block_op op, uint64_t offset, void *data, uint64_t bytes)
{
	struct copy copy = {
		.request = { .op = op, .offset = offset, .bytes = bytes, .iov_count = data != NULL, .done = copy_done },
		.iov = { data, (size_t)bytes },
	};
	int r;

	copy.request.iov = &copy.iov;
	r = block_submit(disk, &copy.request);
	if (r)
		return r;
	block_kick(disk);
	tool_host_run_until(h, &copy.done);
	return copy.error;
}

void chain_close(struct tool_host *h, struct block_disk *disk)
{
	bool closed = false;

	if (!disk)
		return;
	block_close(disk, set_flag, &closed);
	tool_host_run_until(h, &closed);
}

static bool is_same(const uint8_t *data, const uint8_t *old, size_t bytes)
{
	return old ? memcmp(data, old, bytes) == 0 : data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

int chain_write_changed(struct tool_host *h, struct block_disk *disk, uint64_t at, uint8_t *data, const uint8_t *old,
			uint64_t bytes, struct block_failure *why)
{
	uint64_t from = 0, next;

	for (uint64_t piece = 0; piece < bytes; piece = next) {
		const uint64_t size = bytes - piece < PIECE_BYTES ? bytes - piece : PIECE_BYTES;
		const bool same = is_same(data + piece, old ? old + piece : NULL, (size_t)size);
		const uint64_t end = same ? piece : piece + size;
		int r;

		next = piece + size;
		if ((same || next == bytes) && from < end) {
			r = chain_transfer(h, disk, BLOCK_WRITE, at + from, data + from, end - from);
			if (r)
				return block_failure_set(why, r, "writing %" PRIu64 " bytes at %" PRIu64 ": %s", end - from,
							 at + from, strerror(-r));
		}
		if (same)
			from = next;
	}
	return 0;
}

int chain_read(struct tool_host *h, struct block_disk *disk, uint64_t at, uint8_t *data, uint64_t bytes,
	       struct block_failure *why)
{
	int r = chain_transfer(h, disk, BLOCK_READ, at, data, bytes);

	return r ? block_failure_set(why, r, "reading %" PRIu64 " bytes at %" PRIu64 ": %s", bytes, at, strerror(-r)) : 0;
}

int chain_flush(struct tool_host *h, struct block_disk *disk, struct block_failure *why)
{
	int r = chain_transfer(h, disk, BLOCK_FLUSH, 0, NULL, 0);

	return r ? block_failure_set(why, r, "making the image stable: %s", strerror(-r)) : 0;
}

/* A parent that is not the one whose sectors the child leaves out would give a disk of both. */
int chain_check(const struct chain_image *from, unsigned count, struct block_failure *why)
{
	struct image_info child, parent;
	int r;

	for (unsigned i = 0; i + 1 < count; i++) {
		memset(&child, 0, sizeof child);
		memset(&parent, 0, sizeof parent);
		r = from[i].format->inspect(from[i].fd, &child, why);
		if (r == 0)
			r = from[i + 1].format->inspect(from[i + 1].fd, &parent, why);
		if (r)
			return r;
		if (strcmp(child.parent_id, parent.id))
			return block_failure_set(why, -EINVAL, "the parent that is wanted has the id %s, the one given %s",
						 child.parent_id[0] ? child.parent_id : "(none)", parent.id[0] ? parent.id : "(none)");
	}
	return 0;
}

/* From the base up: each disk takes the one below it. */
int chain_open(struct tool_host *h, const struct chain_image *from, unsigned count, enum image_access access,
	       struct block_disk **ret_disk, struct block_failure *why)
{
	struct block_disk *below = NULL;

	while (count--) {
		struct block_disk *disk;
		int r = from[count].format->open(&h->host, from[count].fd, count ? IMAGE_READ : access, below, &disk,
						  why);

		if (r) {
			chain_close(h, below);
			return r;
		}
		below = disk;
	}
	*ret_disk = below;
	return 0;
}
