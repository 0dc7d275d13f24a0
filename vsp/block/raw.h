/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that is a plain file or a block device, byte for byte. */
#ifndef VSP_BLOCK_RAW_H
#define VSP_BLOCK_RAW_H

#include "block/block.h"
#include "block/file.h"

struct block_raw_options {
	bool read_only;			/* also when the descriptor cannot write */
	bool direct;			/* around the parent's page cache */
	/* As the guest sees it. Through the page cache each size works on each storage: who opened it knows what suits. */
	uint32_t logical_bytes;		/* 0: 512 */
	uint32_t physical_bytes;	/* 0: 4096 */
	uint8_t id[16];
};

/*
 * Takes an open descriptor; on success it is the disk's, closed with it. The descriptor's O_DIRECT is set as the
 * option says. -EINVAL sector sizes, or direct with logical sectors below what the storage takes directly;
 * -EMEDIUMTYPE neither file nor device; other -errno of the system.
 */
int block_raw_create(const struct vsp_host *host, int fd, const struct block_raw_options *options,
		     struct block_disk **ret_disk);

/* The same over a file that is open already; on success it is the disk's. `direct` does not matter here. -EINVAL,
 * other -errno of the file. */
int block_raw_open(struct block_file *file, const struct block_raw_options *options, struct block_disk **ret_disk);

#endif
