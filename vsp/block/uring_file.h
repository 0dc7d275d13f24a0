/* SPDX-License-Identifier: Apache-2.0 */
/* A file or a block device by an io_uring of its own, or one for each of the host's lanes. */
#ifndef VSP_BLOCK_URING_FILE_H
#define VSP_BLOCK_URING_FILE_H

#include "block/file.h"

struct block_uring_options {
	bool read_only;			/* also when the descriptor cannot write */
	bool direct;			/* around the parent's page cache */
	uint32_t align_max;		/* the largest align_bytes that suits the caller; 0: any */
};

/*
 * Takes an open descriptor; on success it is the file's, closed with it. The descriptor's O_DIRECT is set as the
 * option says. -EINVAL the descriptor is for writing alone, or align_max; -EMEDIUMTYPE neither file nor device; other
 * -errno of the system, among them what says that there is no io_uring here.
 */
int block_uring_create(const struct vsp_host *host, int fd, const struct block_uring_options *options,
		       struct block_file **ret_file);

#endif
