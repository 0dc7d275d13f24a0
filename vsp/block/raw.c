// SPDX-License-Identifier: Apache-2.0
/* Sectors of a disk to the same bytes of its file; what is left to do is zeroes where the file cannot deallocate. */
#include "block/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/uring_file.h"

#define RAW_LOGICAL_BYTES  512u
#define RAW_PHYSICAL_BYTES 4096u
#define RAW_IOS            160u		/* requests below; the others wait here */

struct raw_io {
	struct block_file_request below;	/* first */
	struct block_request *request;
	struct raw_io *next_free;
};

struct raw_disk {
	struct block_disk disk;			/* first */
	struct block_file *file;
	struct raw_io *free;
	struct block_request *waiting, *waiting_last;	/* linked by next_of */
	struct block_file_request resize;
	struct raw_io ios[RAW_IOS];
};

static struct block_request **next_of(struct block_request *request)
{
	return (struct block_request **)request->disk_data;
}

static struct raw_disk *raw_of(struct block_disk *disk)
{
	return (struct raw_disk *)disk;
}

static enum block_file_op op_below(const struct raw_disk *raw, const struct block_request *request)
{
	switch (request->op) {
	case BLOCK_READ:
		return BLOCK_FILE_READ;
	case BLOCK_WRITE:
		return BLOCK_FILE_WRITE;
	case BLOCK_UNMAP:
		return BLOCK_FILE_PUNCH;
	case BLOCK_WRITE_ZEROES:
		return (request->flags & BLOCK_FLAG_MAY_UNMAP) && raw->file->can_punch ? BLOCK_FILE_PUNCH : BLOCK_FILE_ZERO;
	case BLOCK_FLUSH:
		break;
	}
	return BLOCK_FILE_FLUSH;
}

static void start(struct raw_disk *raw, struct raw_io *io, struct block_request *request)
{
	struct block_file_request *below = &io->below;

	io->request = request;
	below->op = op_below(raw, request);
	below->flags = BLOCK_FILE_INSIDE;	/* a file that ends before its disk was cut behind our back */
	if (request->flags & BLOCK_FLAG_FUA)
		below->flags |= BLOCK_FILE_FUA;
	below->offset = request->offset;
	below->bytes = request->bytes;
	below->iov = request->iov;
	below->iov_count = request->iov_count;
	raw->file->ops->submit(raw->file, below);
}

static void raw_submit(struct block_disk *disk, struct block_request *request)
{
	struct raw_disk *raw = raw_of(disk);
	struct raw_io *io = raw->free;

	if (io) {
		raw->free = io->next_free;
		start(raw, io, request);
		return;
	}
	*next_of(request) = NULL;
	if (raw->waiting)
		*next_of(raw->waiting_last) = request;
	else
		raw->waiting = request;
	raw->waiting_last = request;
}

static void raw_kick(struct block_disk *disk)
{
	struct block_file *file = raw_of(disk)->file;

	file->ops->kick(file);
}

static void io_put(struct raw_disk *raw, struct raw_io *io)
{
	struct block_request *next = raw->waiting;

	if (next) {
		raw->waiting = *next_of(next);
		start(raw, io, next);
	} else {
		io->next_free = raw->free;
		raw->free = io;
	}
}

static void io_done(struct block_file_request *below, int error)
{
	struct raw_io *io = (struct raw_io *)below;
	struct block_request *request = io->request;
	struct raw_disk *raw = raw_of(request->disk);

	if (error == -EOPNOTSUPP && below->op == BLOCK_FILE_PUNCH) {
		if (request->op == BLOCK_WRITE_ZEROES) {
			below->op = BLOCK_FILE_ZERO;
			raw->file->ops->submit(raw->file, below);
			return;
		}
		error = 0;		/* an unmap is a hint */
	}
	request->moved = below->moved;
	io_put(raw, io);
	block_finish(request, error);
}

static void file_batched(void *context)
{
	block_batch_end(context);
}

static int raw_current_bytes(struct block_disk *disk, uint64_t *ret_bytes)
{
	struct block_file *file = raw_of(disk)->file;

	return file->ops->size(file, ret_bytes);
}

static void resize_done(struct block_file_request *below, int error)
{
	struct raw_disk *raw = (struct raw_disk *)((char *)below - offsetof(struct raw_disk, resize));

	block_resized(&raw->disk, error);
}

static int raw_resize(struct block_disk *disk, uint64_t bytes, struct block_failure *failure)
{
	struct raw_disk *raw = raw_of(disk);

	if (raw->file->is_device)
		return block_failure_set(failure, -EOPNOTSUPP, "a block device has the size that it has");
	raw->resize = (struct block_file_request){ .op = BLOCK_FILE_SET_SIZE, .offset = bytes, .done = resize_done };
	raw->file->ops->submit(raw->file, &raw->resize);
	raw->file->ops->kick(raw->file);
	return 0;
}

static void raw_destroy(struct block_disk *disk)
{
	struct raw_disk *raw = raw_of(disk);

	raw->file->ops->destroy(raw->file);
	free(raw);
}

static const struct block_disk_ops raw_ops = {
	.submit = raw_submit,
	.kick = raw_kick,
	.current_bytes = raw_current_bytes,
	.resize = raw_resize,
	.destroy = raw_destroy,
};

static bool sector_size_ok(uint32_t bytes)
{
	return bytes >= BLOCK_SECTOR_MIN && bytes <= BLOCK_SECTOR_MAX && (bytes & (bytes - 1)) == 0;
}

static int set_sectors(struct block_info *info, const struct block_raw_options *options)
{
	info->logical_bytes = options->logical_bytes ? options->logical_bytes : RAW_LOGICAL_BYTES;
	info->physical_bytes = options->physical_bytes ? options->physical_bytes : RAW_PHYSICAL_BYTES;
	info->unmap_bytes = info->physical_bytes;
	return sector_size_ok(info->logical_bytes) && sector_size_ok(info->physical_bytes) &&
	       info->physical_bytes >= info->logical_bytes ? 0 : -EINVAL;
}

static int raw_open(struct raw_disk *raw, struct block_file *file, const struct block_raw_options *options)
{
	struct block_info *info = &raw->disk.info;
	int r = set_sectors(info, options);

	if (r == 0 && file->align_bytes > info->logical_bytes)
		r = -EINVAL;
	if (r == 0)
		r = file->ops->size(file, &info->bytes);
	if (r)
		return r;
	info->bytes -= info->bytes % info->logical_bytes;
	info->read_only = options->read_only || file->read_only;
	info->unmap = file->can_punch && !info->read_only;
	memcpy(info->id, options->id, sizeof info->id);
	raw->file = file;
	file->batched = file_batched;
	file->batched_context = &raw->disk;
	for (unsigned i = 0; i < RAW_IOS; i++) {
		raw->ios[i].below.done = io_done;
		raw->ios[i].next_free = i + 1 < RAW_IOS ? &raw->ios[i + 1] : NULL;
	}
	raw->free = raw->ios;
	return 0;
}

int block_raw_open(struct block_file *file, const struct block_raw_options *options, struct block_disk **ret_disk)
{
	struct raw_disk *raw = calloc(1, sizeof *raw);
	int r;

	if (!raw)
		return -ENOMEM;
	block_disk_init(&raw->disk, &raw_ops, &file->host);
	r = raw_open(raw, file, options);
	if (r) {
		free(raw);
		return r;
	}
	*ret_disk = &raw->disk;
	return 0;
}

/* The disk works on a second descriptor: whatever fails, the caller's own is still open and the caller's. */
int block_raw_create(const struct vsp_host *host, int fd, const struct block_raw_options *options,
		     struct block_disk **ret_disk)
{
	struct block_uring_options below = { .read_only = options->read_only, .direct = options->direct };
	struct block_info sectors = { 0 };
	struct block_file *file;
	int own, r = set_sectors(&sectors, options);

	if (r)
		return r;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return -errno;
	below.align_max = sectors.logical_bytes;
	r = block_uring_create(host, own, &below, &file);
	if (r) {
		(void)close(own);
		return r;
	}
	r = block_raw_open(file, options, ret_disk);
	if (r)
		file->ops->destroy(file);
	else
		(void)close(fd);
	return r;
}
