/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in a VHD image: fixed, dynamic, or differencing over another disk. */
#ifndef VSP_BLOCK_VHD_H
#define VSP_BLOCK_VHD_H

#include "block/block.h"
#include "block/failure.h"
#include "block/file.h"

struct vhd_options {
	bool read_only;
	uint32_t physical_bytes;	/* 0: 512 */
	uint8_t id[16];			/* to the guest */
	struct block_disk *parent;	/* of a differencing image, else NULL; only read from */
};

/*
 * Reads the image's description at once. On success file and parent are the disk's, closed with it.
 * -EINVAL not a VHD or a broken one, or options; -ENOTSUP not understood; -ENOLINK a differencing image without parent;
 * -ENOMEM; -errno of the file. `why` says what was wrong.
 */
int vhd_open(struct block_file *file, const struct vhd_options *options, struct block_disk **ret_disk,
	     struct block_failure *why);

#endif
