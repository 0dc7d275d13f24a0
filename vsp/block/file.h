/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies below a disk format: bytes of one file or block device, asynchronously, on the host's one thread or under the
 * lock of its lanes. uring_file.h is the real one; tests put layers over it that record, fail or cut the power.
 *
 * Requests in flight have no order among each other. A flush makes stable what was done before it was submitted; what
 * was written and not flushed may be on the storage, or not, or in parts, after a power cut.
 */
#ifndef VSP_BLOCK_FILE_H
#define VSP_BLOCK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "host.h"

#define BLOCK_FILE_IOV_MAX 1024u	/* pieces of one request */

enum block_file_op {
	BLOCK_FILE_READ,		/* beyond the end: zeroes, or with BLOCK_FILE_INSIDE -EIO */
	BLOCK_FILE_WRITE,		/* beyond the end: a file grows, a device says -ENOSPC */
	BLOCK_FILE_FLUSH,
	BLOCK_FILE_SET_SIZE,		/* the file's size becomes `offset`; new bytes are zeroes. A device: -EOPNOTSUPP */
	BLOCK_FILE_PUNCH,		/* give the range back to the storage; reads as zeroes. -EOPNOTSUPP it cannot */
	BLOCK_FILE_ZERO,		/* reads as zeroes afterwards, and stays allocated; beyond the end as a write */
};

#define BLOCK_FILE_FUA    1u		/* write, zero, punch: stable before it is done */
#define BLOCK_FILE_INSIDE 2u		/* read: the file is to reach that far */

struct block_file;

struct block_file_request {
	enum block_file_op op;
	unsigned flags;
	uint64_t offset, bytes;		/* bytes: not 0, except of a flush and a size */
	struct iovec *iov;		/* read and write: `bytes` in sum. The file may change the list until done */
	unsigned iov_count;
	/* 0, -EIO, -ENOSPC, -EROFS, -ENOMEM, -EOPNOTSUPP. Once for each request, never from inside submit; all or
	 * nothing is promised to nobody: after an error the range holds old and new bytes. */
	void (*done)(struct block_file_request *request, int error);
	uint64_t moved;			/* set by the file: bytes before the first that failed */
	uint64_t file_data[4];		/* the file's own */
	struct block_file *file;
};

struct block_file_ops {
	/* Sets `file` and `moved` itself. From a `done` or from `batched` no kick is needed afterwards. */
	void (*submit)(struct block_file *file, struct block_file_request *request);
	void (*kick)(struct block_file *file);		/* a batch of submits ends */
	/* As the system says now, without waiting for requests in flight. 0, -errno. */
	int (*size)(struct block_file *file, uint64_t *ret_bytes);
	/* Reads at once, on the caller's time: for opening a format, before any guest runs. 0, -errno. */
	int (*read_now)(struct block_file *file, uint64_t offset, void *buffer, size_t bytes);
	/* Nothing is in flight; frees it and closes its descriptor. Not from inside `done` or `batched`. */
	void (*destroy)(struct block_file *file);
};

/* The part that every kind of file begins with. */
struct block_file {
	const struct block_file_ops *ops;
	struct vsp_host host;
	bool read_only;
	bool is_device;
	bool can_punch;			/* as far as is known */
	uint32_t align_bytes;		/* offsets and lengths of requests are multiples of it: 1, or a direct storage's sector */
	/* Set by the format: called after one or several `done`, before the host waits again. May be NULL. */
	void (*batched)(void *context);
	void *batched_context;
};

#endif
