// SPDX-License-Identifier: Apache-2.0
/*
 * The parent is open twice: for reading, below the child, and for writing. Each place is read before it is written, and
 * nothing of the parent moves, so that the first one may be out of date.
 */
#include "vhdtool/merge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct merge {
	struct tool_host host;
	struct block_disk *child, *parent;
	uint8_t *blocks;		/* a bit for each that the child has */
	uint64_t block_bytes;
	uint8_t *data;			/* a chunk of the child, and of the parent */
};

static int merge_block(struct merge *m, uint64_t block, struct block_failure *why)
{
	const uint64_t bytes = m->child->info.bytes, start = block * m->block_bytes;
	const uint64_t end = bytes - start < m->block_bytes ? bytes : start + m->block_bytes;
	uint8_t *old = m->data + CHAIN_CHUNK_BYTES;
	int r = 0;

	for (uint64_t at = start; r == 0 && at < end; at += CHAIN_CHUNK_BYTES) {
		const uint64_t size = end - at < CHAIN_CHUNK_BYTES ? end - at : CHAIN_CHUNK_BYTES;

		r = chain_read(&m->host, m->child, at, m->data, size, why);
		if (r == 0)
			r = chain_read(&m->host, m->parent, at, old, size, why);
		if (r == 0)
			r = chain_write_changed(&m->host, m->parent, at, m->data, old, size, why);
	}
	return r;
}

static int merge_blocks(struct merge *m, struct block_failure *why)
{
	int r = 0;

	for (uint64_t block = 0; r == 0 && block * m->block_bytes < m->child->info.bytes; block++)
		if (m->blocks[block / 8] >> block % 8 & 1)
			r = merge_block(m, block, why);
	return r ? r : chain_flush(&m->host, m->parent, why);
}

static int open_both(struct merge *m, const struct chain_image *images, unsigned count, struct block_failure *why)
{
	int r = chain_open(&m->host, images, count, IMAGE_READ, &m->child, why);

	if (r == 0)
		r = chain_open(&m->host, images + 1, count - 1, IMAGE_MERGE, &m->parent, why);
	/* A parent that grew first would not be the child's any more if this was cut off then. */
	if (r == 0 && m->parent->info.bytes < m->child->info.bytes)
		r = block_failure_set(why, -ENOTSUP, "the disk has %" PRIu64 " bytes, its parent only %" PRIu64 ": convert it "
				      "instead", m->child->info.bytes, m->parent->info.bytes);
	return r;
}

static int look(struct merge *m, const struct chain_image *images, unsigned count, struct block_failure *why)
{
	struct image_info info;
	int r;

	memset(&info, 0, sizeof info);
	r = images[0].format->inspect(images[0].fd, &info, why);
	if (r)
		return r;
	if (info.type != IMAGE_DIFFERENCING || !images[0].format->blocks || count < 2)
		return block_failure_set(why, -EINVAL, "only a differencing image can be merged, with its parents");
	m->block_bytes = info.block_bytes;
	r = chain_check(images, count, why);
	return r ? r : images[0].format->blocks(images[0].fd, &m->blocks, why);
}

int merge(const struct chain_image *images, unsigned count, struct block_failure *why)
{
	struct merge m = { .data = malloc(2 * CHAIN_CHUNK_BYTES) };
	int r = m.data ? 0 : block_failure_set(why, -ENOMEM, "no memory");

	tool_host_init(&m.host);
	if (r == 0)
		r = look(&m, images, count, why);
	if (r == 0)
		r = open_both(&m, images, count, why);
	if (r == 0)
		r = merge_blocks(&m, why);
	chain_close(&m.host, m.parent);
	chain_close(&m.host, m.child);
	free(m.blocks);
	free(m.data);
	if (r == 0 && images[1].format->merged)
		r = images[1].format->merged(images[1].fd, why);
	return r;
}
