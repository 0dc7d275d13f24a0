// SPDX-License-Identifier: Apache-2.0
#include "block/block.h"

#include <errno.h>

#include "block/iov.h"

static void closed(void *context)
{
	struct block_disk *disk = context;
	const vsp_callback callback = disk->closed;
	void *const callback_context = disk->closed_context;

	if (disk->ops->settle && !disk->settling) {
		disk->settling = true;
		disk->ops->settle(disk);
		return;
	}
	disk->ops->destroy(disk);
	if (callback)
		callback(callback_context);
}

static void resized(void *context)
{
	struct block_disk *disk = context;

	if (disk->resize_error == 0 && disk->info.bytes != disk->resize_bytes) {
		disk->info.bytes = disk->resize_bytes;
		if (disk->listener.resized)
			disk->listener.resized(disk->listener.context);
	}
	disk->resizing = false;
	disk->resize_done(disk->resize_context, disk->resize_error);
	if (--disk->in_flight == 0 && disk->closing)
		disk->host.ops->timer_arm(disk->host.context, &disk->close_timer, 0);
}

void block_disk_init(struct block_disk *disk, const struct block_disk_ops *ops, const struct vsp_host *host)
{
	disk->ops = ops;
	disk->host = *host;
	disk->close_timer = (struct vsp_timer){ .expired = closed, .context = disk };
	disk->resize_timer = (struct vsp_timer){ .expired = resized, .context = disk };
}

static int check_range(const struct block_disk *disk, const struct block_request *request)
{
	const uint64_t mask = disk->info.logical_bytes - 1u;

	if (((request->offset | request->bytes) & mask) || request->bytes == 0)
		return -EINVAL;
	if (request->offset > disk->info.bytes || request->bytes > disk->info.bytes - request->offset)
		return -ERANGE;
	return 0;
}

static int check_memory(const struct block_request *request)
{
	if (request->iov_count == 1)
		return request->iov->iov_len == request->bytes ? 0 : -EINVAL;
	if (request->iov_count > BLOCK_IOV_MAX)
		return -EINVAL;
	return iov_bytes(request->iov, request->iov_count) == request->bytes ? 0 : -EINVAL;
}

static int check(const struct block_disk *disk, const struct block_request *request)
{
	int r;

	if (disk->closing)
		return -ENODEV;
	if (request->op == BLOCK_FLUSH)
		return 0;
	if (request->op != BLOCK_READ && disk->info.read_only)
		return -EROFS;
	if (request->op == BLOCK_UNMAP && !disk->info.unmap)
		return -EOPNOTSUPP;
	r = check_range(disk, request);
	if (r == 0 && (request->op == BLOCK_READ || request->op == BLOCK_WRITE))
		r = check_memory(request);
	return r;
}

int block_submit(struct block_disk *disk, struct block_request *request)
{
	int r = check(disk, request);

	if (r)
		return r;
	request->disk = disk;
	request->moved = 0;
	disk->in_flight++;
	disk->ops->submit(disk, request);
	return 0;
}

void block_kick(struct block_disk *disk)
{
	disk->ops->kick(disk);
}

void block_finish(struct block_request *request, int error)
{
	struct block_disk *disk = request->disk;

	/* Still counted while the callback runs: the disk cannot go away below it. */
	request->done(request, error);
	if (--disk->in_flight == 0 && disk->closing)
		disk->host.ops->timer_arm(disk->host.context, &disk->close_timer, 0);
}

void block_batch_end(struct block_disk *disk)
{
	if (disk->listener.batched)
		disk->listener.batched(disk->listener.context);
}

void block_listen(struct block_disk *disk, const struct block_listener *listener)
{
	disk->listener = listener ? *listener : (struct block_listener){ 0 };
}

int block_refresh(struct block_disk *disk)
{
	uint64_t bytes;
	int r = disk->ops->current_bytes(disk, &bytes);

	if (r)
		return r;
	bytes -= bytes % disk->info.logical_bytes;
	if (bytes == disk->info.bytes)
		return 0;
	disk->info.bytes = bytes;
	if (disk->listener.resized)
		disk->listener.resized(disk->listener.context);
	return 0;
}

void block_resized(struct block_disk *disk, int error)
{
	disk->resize_error = error;
	disk->host.ops->timer_arm(disk->host.context, &disk->resize_timer, 0);
}

static int check_resize(const struct block_disk *disk, uint64_t bytes, struct block_failure *failure)
{
	if (disk->closing)
		return block_failure_set(failure, -ENODEV, "the disk is being closed");
	if (disk->info.read_only)
		return block_failure_set(failure, -EROFS, "the disk is read-only");
	if (!disk->ops->resize)
		return block_failure_set(failure, -EOPNOTSUPP, "a disk of this format keeps its size while it is in use");
	if (disk->resizing)
		return block_failure_set(failure, -EBUSY, "the disk's size is being changed already");
	if (bytes == 0 || bytes % disk->info.logical_bytes)
		return block_failure_set(failure, -EINVAL, "%llu bytes are not whole sectors of %u",
					 (unsigned long long)bytes, disk->info.logical_bytes);
	if (bytes < disk->info.bytes)
		return block_failure_set(failure, -ENOTSUP, "the disk has %llu bytes: it is not made smaller while it is in use",
					 (unsigned long long)disk->info.bytes);
	return 0;
}

int block_resize(struct block_disk *disk, uint64_t bytes, block_resize_done done, void *context,
		 struct block_failure *failure)
{
	int r = check_resize(disk, bytes, failure);

	if (r)
		return r;
	disk->resize_bytes = bytes;
	disk->resize_done = done;
	disk->resize_context = context;
	if (bytes != disk->info.bytes) {
		r = disk->ops->resize(disk, bytes, failure);
		if (r)
			return r;
	} else {
		block_resized(disk, 0);
	}
	disk->resizing = true;
	disk->in_flight++;
	return 0;
}

void block_close(struct block_disk *disk, vsp_callback callback, void *context)
{
	if (disk->closing)
		return;
	disk->closing = true;
	disk->closed = callback;
	disk->closed_context = context;
	if (disk->in_flight == 0)
		disk->host.ops->timer_arm(disk->host.context, &disk->close_timer, 0);
}

void block_settled(struct block_disk *disk)
{
	disk->host.ops->timer_arm(disk->host.context, &disk->close_timer, 0);
}
