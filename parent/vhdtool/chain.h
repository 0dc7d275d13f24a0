/* SPDX-License-Identifier: Apache-2.0 */
/* An image over its parents as one disk, and what is done to such a disk, waited for. All return 0 or -errno. */
#ifndef VHDTOOL_CHAIN_H
#define VHDTOOL_CHAIN_H

#include "vhdtool/image.h"
#include "vhdtool/tool_host.h"

#define CHAIN_CHUNK_BYTES (1u << 20)

struct chain_image {
	int fd;
	const struct image_format *format;
};

/* `images` is the image, then its parents down to the base. */
int chain_check(const struct chain_image *images, unsigned count, struct block_failure *why);
/* `access` is to the image; its parents are only read. */
int chain_open(struct tool_host *h, const struct chain_image *images, unsigned count, enum image_access access,
	       struct block_disk **ret_disk, struct block_failure *why);
void chain_close(struct tool_host *h, struct block_disk *disk);		/* NULL is fine */

int chain_transfer(struct tool_host *h, struct block_disk *disk, enum block_op op, uint64_t offset, void *data, uint64_t bytes);
int chain_read(struct tool_host *h, struct block_disk *disk, uint64_t at, uint8_t *data, uint64_t bytes,
	       struct block_failure *why);
/* Only what is not as it was: `old`, or zeroes when that is NULL. */
int chain_write_changed(struct tool_host *h, struct block_disk *disk, uint64_t at, uint8_t *data, const uint8_t *old,
			uint64_t bytes, struct block_failure *why);
int chain_flush(struct tool_host *h, struct block_disk *disk, struct block_failure *why);

#endif
