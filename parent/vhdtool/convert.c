// SPDX-License-Identifier: Apache-2.0
#include "vhdtool/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Zeroes stay away: so a new image reads. */
static int copy_all(struct tool_host *h, struct block_disk *from, struct block_disk *to, struct block_failure *why)
{
	uint8_t *data = malloc(CHAIN_CHUNK_BYTES);
	int r = data ? 0 : block_failure_set(why, -ENOMEM, "no memory");

	for (uint64_t at = 0; r == 0 && at < from->info.bytes; at += CHAIN_CHUNK_BYTES) {
		const uint64_t left = from->info.bytes - at, bytes = left < CHAIN_CHUNK_BYTES ? left : CHAIN_CHUNK_BYTES;

		r = chain_read(h, from, at, data, bytes, why);
		if (r == 0)
			r = chain_write_changed(h, to, at, data, NULL, bytes, why);
	}
	free(data);
	return r ? r : chain_flush(h, to, why);
}

int convert(const struct chain_image *from, unsigned from_count, int to, const struct image_format *to_format,
	    struct image_create *create, struct block_failure *why)
{
	struct block_disk *source = NULL, *target = NULL;
	struct tool_host h;
	int r;

	tool_host_init(&h);
	r = chain_check(from, from_count, why);
	if (r)
		return r;
	r = chain_open(&h, from, from_count, IMAGE_READ, &source, why);
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
		r = chain_open(&h, &(struct chain_image){ to, to_format }, 1, IMAGE_WRITE, &target, why);
	if (r == 0)
		r = copy_all(&h, source, target, why);
	chain_close(&h, target);
	chain_close(&h, source);
	return r;
}
