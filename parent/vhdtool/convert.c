// SPDX-License-Identifier: Apache-2.0
#include "vhdtool/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vhdtool/tool_host.h"

#define CHUNK_BYTES (1u << 20)
#define HOLE_BYTES  (64u << 10)	/* zeroes of this size and place are left out */

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

static int run(struct tool_host *h, struct block_disk *disk, enum block_op op, uint64_t offset, void *data, uint64_t bytes)
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

static void close_disk(struct tool_host *h, struct block_disk *disk)
{
	bool closed = false;

	if (!disk)
		return;
	block_close(disk, set_flag, &closed);
	tool_host_run_until(h, &closed);
}

static bool is_zero(const uint8_t *data, size_t bytes)
{
	return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

/* Pieces that are all zeroes stay away: so a new image reads. */
static int write_data(struct tool_host *h, struct block_disk *to, uint64_t at, uint8_t *data, uint64_t bytes,
		      struct block_failure *why)
{
	uint64_t from = 0, next;

	for (uint64_t piece = 0; piece < bytes; piece = next) {
		const uint64_t size = bytes - piece < HOLE_BYTES ? bytes - piece : HOLE_BYTES;
		const bool hole = is_zero(data + piece, (size_t)size);
		const uint64_t end = hole ? piece : piece + size;
		int r;

		next = piece + size;
		if ((hole || next == bytes) && from < end) {
			r = run(h, to, BLOCK_WRITE, at + from, data + from, end - from);
			if (r)
				return block_failure_set(why, r, "writing %" PRIu64 " bytes at %" PRIu64 ": %s", end - from,
							 at + from, strerror(-r));
		}
		if (hole)
			from = next;
	}
	return 0;
}

static int copy_all(struct tool_host *h, struct block_disk *from, struct block_disk *to, struct block_failure *why)
{
	uint8_t *data = malloc(CHUNK_BYTES);
	int r = data ? 0 : block_failure_set(why, -ENOMEM, "no memory");

	for (uint64_t at = 0; r == 0 && at < from->info.bytes; at += CHUNK_BYTES) {
		const uint64_t bytes = from->info.bytes - at < CHUNK_BYTES ? from->info.bytes - at : CHUNK_BYTES;

		r = run(h, from, BLOCK_READ, at, data, bytes);
		if (r) {
			(void)block_failure_set(why, r, "reading %" PRIu64 " bytes at %" PRIu64 ": %s", bytes, at, strerror(-r));
			break;
		}
		r = write_data(h, to, at, data, bytes, why);
	}
	free(data);
	if (r == 0) {
		r = run(h, to, BLOCK_FLUSH, 0, NULL, 0);
		if (r)
			(void)block_failure_set(why, r, "making the new image stable: %s", strerror(-r));
	}
	return r;
}

/* A parent that is not the one whose sectors the child leaves out would give a disk of both. */
static int check_chain(const struct convert_source *from, unsigned count, struct block_failure *why)
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
static int open_chain(struct tool_host *h, const struct convert_source *from, unsigned count, struct block_disk **ret_disk,
		      struct block_failure *why)
{
	struct block_disk *below = NULL;

	while (count--) {
		struct block_disk *disk;
		int r = from[count].format->open(&h->host, from[count].fd, true, below, &disk, why);

		if (r) {
			close_disk(h, below);
			return r;
		}
		below = disk;
	}
	*ret_disk = below;
	return 0;
}

int convert(const struct convert_source *from, unsigned from_count, int to, const struct image_format *to_format,
	    struct image_create *create, struct block_failure *why)
{
	struct block_disk *source = NULL, *target = NULL;
	struct tool_host h;
	int r;

	tool_host_init(&h);
	r = check_chain(from, from_count, why);
	if (r)
		return r;
	r = open_chain(&h, from, from_count, &source, why);
	if (r)
		return r;
	if (!create->bytes)
		create->bytes = source->info.bytes;
	if (!create->logical_bytes)
		create->logical_bytes = source->info.logical_bytes;	/* what lies on the disk counts in them */
	if (create->bytes < source->info.bytes)
		r = block_failure_set(why, -EINVAL, "the disk has %" PRIu64 " bytes, the new image only %" PRIu64, source->info.bytes,
				      create->bytes);
	if (r == 0)
		r = to_format->create(to, create, why);
	if (r == 0)
		r = to_format->open(&h.host, to, false, NULL, &target, why);
	if (r == 0)
		r = copy_all(&h, source, target, why);
	close_disk(&h, target);
	close_disk(&h, source);
	return r;
}
