/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The waist of storage: everything above speaks SCSI, everything below speaks files. A disk takes asynchronous
 * requests and answers each exactly once. All on the host's one thread, or under the lock of its lanes.
 *
 * Requests in flight have no order among each other. A flush covers the writes that were done before it was submitted.
 */
#ifndef VSP_BLOCK_BLOCK_H
#define VSP_BLOCK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "block/failure.h"
#include "host.h"

#define BLOCK_IOV_MAX    1024u	/* pieces of one request: what the kernel takes at once */
#define BLOCK_SECTOR_MIN 512u
#define BLOCK_SECTOR_MAX 4096u

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,		/* no range, no memory */
	BLOCK_UNMAP,		/* a hint; what it did deallocate reads as zeroes */
	BLOCK_WRITE_ZEROES,
};

#define BLOCK_FLAG_FUA       1u	/* write, write zeroes: stable before it is done */
#define BLOCK_FLAG_MAY_UNMAP 2u	/* write zeroes: may deallocate instead */

struct block_info {
	uint64_t bytes;			/* a multiple of logical_bytes */
	uint32_t logical_bytes;		/* power of two; offset and length of each request are multiples of it */
	uint32_t physical_bytes;	/* power of two, not below logical_bytes: best granularity of writes */
	uint32_t unmap_bytes;		/* best granularity of unmap */
	bool read_only;
	bool unmap;			/* unmap does something; write zeroes works on every disk that can be written */
	uint8_t id[16];			/* of the disk, stable, unique */
};

struct block_disk;

struct block_request {
	enum block_op op;
	unsigned flags;			/* BLOCK_FLAG_... */
	uint64_t offset;		/* bytes */
	uint64_t bytes;
	struct iovec *iov;		/* read and write: `bytes` in sum. The disk may change the list until done */
	unsigned iov_count;
	/* 0 or -errno: -EIO; -ENOSPC the storage below is full; -EROFS; -ENOMEM nothing was tried. Called once for each
	 * accepted request, never from inside block_submit. May submit again and may close the disk. */
	void (*done)(struct block_request *request, int error);
	uint64_t moved;			/* set by the disk: bytes before the first that failed */

	uint64_t disk_data[4];		/* the disk's own */
	struct block_disk *disk;
};

struct block_listener {
	void (*resized)(void *context);		/* info.bytes has changed */
	void (*batched)(void *context);		/* after one or several `done`, before the host waits again */
	void *context;
};

struct block_disk_ops {
	/* A checked request. Does not call block_finish from inside. */
	void (*submit)(struct block_disk *disk, struct block_request *request);
	void (*kick)(struct block_disk *disk);
	int (*current_bytes)(struct block_disk *disk, uint64_t *ret_bytes);
	/* NULL: its size cannot be changed. A checked size, not the present one. 0: block_resized follows, with a reason -errno. */
	int (*resize)(struct block_disk *disk, uint64_t bytes, struct block_failure *failure);
	/* May be NULL. Closing, and nothing is in flight: writes what the disk owes to its storage, then block_settled. */
	void (*settle)(struct block_disk *disk);
	void (*destroy)(struct block_disk *disk);	/* nothing is in flight; frees the disk */
};

/* 0; -errno: the disk has the size that it had, but when its storage failed: then its next opening tells. */
typedef void (*block_resize_done)(void *context, int error);

/* The part that every kind of disk begins with. */
struct block_disk {
	const struct block_disk_ops *ops;
	struct vsp_host host;
	struct block_info info;
	struct block_listener listener;
	unsigned in_flight;
	bool closing;
	bool settling;
	bool resizing;
	int resize_error;
	uint64_t resize_bytes;
	block_resize_done resize_done;
	void *resize_context;
	struct vsp_timer resize_timer;
	struct vsp_timer close_timer;
	vsp_callback closed;
	void *closed_context;
};

/* 0: done will be called. Refused, done will not be called: -EINVAL not whole sectors, or memory does not match;
 * -ERANGE not inside the disk; -EROFS; -EOPNOTSUPP unmap; -ENODEV closing. The disk may wait with it until block_kick. */
int block_submit(struct block_disk *disk, struct block_request *request);
/* Ends a batch of submits. Not needed after submitting to a disk from one of its own `done` callbacks. */
void block_kick(struct block_disk *disk);

void block_listen(struct block_disk *disk, const struct block_listener *listener);	/* NULL: nobody */

/* The storage below may have changed its size: looks, and tells the listener. 0, -errno. */
int block_refresh(struct block_disk *disk);

/*
 * Gives the disk another size while it is used. 0: `done` will be called once, never from inside, on success behind
 * listener.resized. Refused with a reason: -EINVAL not whole sectors, or more than the format can; -ENOTSUP smaller than it
 * is; -EOPNOTSUPP of this kind of disk, or of storage; -EROFS; -EBUSY it is done already; -ENODEV closing; -ENOMEM; -EIO.
 */
int block_resize(struct block_disk *disk, uint64_t bytes, block_resize_done done, void *context,
		 struct block_failure *failure);

/* No more requests; those in flight are done first. Then the disk is freed and `closed` called, never from inside. */
void block_close(struct block_disk *disk, vsp_callback closed, void *context);

/* For implementers. */
void block_disk_init(struct block_disk *disk, const struct block_disk_ops *ops, const struct vsp_host *host);
void block_finish(struct block_request *request, int error);
void block_batch_end(struct block_disk *disk);
void block_settled(struct block_disk *disk);
void block_resized(struct block_disk *disk, int error);	/* ends ops->resize */

#endif
