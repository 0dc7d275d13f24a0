/* SPDX-License-Identifier: Apache-2.0 */
/* VHD images as files, for programs without a guest: made, described, checked and resized at once, on plain descriptors.
 * All return 0 or -errno, and say in `why` what was wrong. */
#ifndef VSP_BLOCK_VHD_IMAGE_H
#define VSP_BLOCK_VHD_IMAGE_H

#include "block/vhd_format.h"

#define VHD_PATH_BYTES 1024u
#define VHD_PATHS_MAX  (VHD_LOCATORS + 1)

struct vhd_info {
	struct vhd_layout layout;
	char paths[VHD_PATHS_MAX][VHD_PATH_BYTES];	/* of the parent, UTF-8: locators first, then the header's name */
	unsigned path_count;
};

struct vhd_create_options {
	enum vhd_type type;
	uint64_t bytes;
	uint32_t block_bytes;		/* 0: 2 MiB */
	uint8_t id[16];			/* all 0: a new one */
	uint32_t timestamp;		/* seconds since 2000-01-01 UTC */
	/* Of a differencing image. */
	uint8_t parent_id[16];
	uint32_t parent_timestamp;
	const char *parent_path;
};

struct vhd_check {
	uint32_t blocks;		/* in the file */
	uint64_t lost_bytes;		/* used by nothing: what a crash left behind */
	bool footer_missing;		/* the copy in front stands in for it */
	bool copy_differs;		/* from the footer; the footer counts */
};

int vhd_inspect(int fd, struct vhd_info *out, struct block_failure *why);
/* Whatever the file held before is gone. */
int vhd_create(int fd, const struct vhd_create_options *options, struct block_failure *why);
/* An error only when the image cannot be used. */
int vhd_check(int fd, struct vhd_check *out, struct block_failure *why);
/* A bit for each block, the lowest first: it is in the file. Not of a fixed image. The caller's to free. */
int vhd_blocks(int fd, uint8_t **ret_bits, struct block_failure *why);
/* Larger. -ENOTSUP smaller, differencing, or a dynamic image whose table has no room. */
int vhd_resize(int fd, uint64_t bytes, struct block_failure *why);

#endif
