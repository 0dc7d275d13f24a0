// SPDX-License-Identifier: Apache-2.0
/*
 * One io_uring a disk and nothing beside it. A pool of threads with preadv would work on kernels without io_uring
 * too, but the parent's kernel is ours, providers have no threads, and two paths would be two sets of bugs: where
 * io_uring is refused, making the disk fails and says so.
 *
 * Deallocation is fallocate(PUNCH_HOLE) for files and devices alike: on a device that is a discard that is known to
 * leave zeroes. BLKDISCARD promises no content, and as an ioctl it would stop the host's thread.
 */
#include "block/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/falloc.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "block/iov.h"

#define RAW_LOGICAL_BYTES     512u
#define RAW_PHYSICAL_BYTES    4096u
#define RAW_DEPTH             128u		/* requests in the ring; the others wait here */
#define RAW_BOUNCE_BYTES      (256u << 10)
#define RAW_BOUNCE_MAX        16u
#define RAW_ZERO_BYTES        (256u << 10)
#define RAW_FALLOCATE_MAX     (1ull << 40)
#define RAW_ALIGN_UNKNOWN     4096u		/* direct I/O, when the file system does not say */
#define RAW_SUBMIT_RETRY_NS   1000000u

enum raw_step {
	RAW_TRANSFER,
	RAW_PUNCH,
	RAW_ZERO_RANGE,
	RAW_ZERO_WRITE,		/* when there is no other way to zeroes */
	RAW_SYNC,
};

/* In disk_data of a request. */
struct raw_state {
	struct block_request *next;
	uint8_t *bounce;
	enum raw_step step;
};
_Static_assert(sizeof(struct raw_state) <= sizeof(((struct block_request *)0)->disk_data), "room for raw_state");

struct raw_queue {
	struct block_request *first, *last;
};

struct raw_disk {
	struct block_disk disk;		/* first */
	int fd;
	bool is_device;
	bool direct;
	bool no_punch, no_zero_range;	/* learned */
	uint32_t memory_align, offset_align;

	struct io_uring ring;
	struct vsp_watch watch;
	struct vsp_timer submit_timer;
	unsigned in_ring;
	unsigned queued;		/* of these, not handed to the kernel yet */
	bool reaping;
	struct raw_queue waiting;
	struct raw_queue waiting_for_bounce;

	uint8_t *free_bounces[RAW_BOUNCE_MAX];
	unsigned free_bounce_count, bounce_count;
	void *zeroes;
};

static struct raw_state *state_of(struct block_request *request)
{
	return (struct raw_state *)request->disk_data;
}

static struct raw_disk *raw_of(struct block_disk *disk)
{
	return (struct raw_disk *)disk;
}

static void push(struct raw_queue *queue, struct block_request *request)
{
	state_of(request)->next = NULL;
	if (queue->last)
		state_of(queue->last)->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static struct block_request *pop(struct raw_queue *queue)
{
	struct block_request *request = queue->first;

	if (request) {
		queue->first = state_of(request)->next;
		if (!queue->first)
			queue->last = NULL;
	}
	return request;
}

static uint8_t *bounce_get(struct raw_disk *raw)
{
	void *bounce;

	if (raw->free_bounce_count)
		return raw->free_bounces[--raw->free_bounce_count];
	if (raw->bounce_count == RAW_BOUNCE_MAX || posix_memalign(&bounce, RAW_ALIGN_UNKNOWN, RAW_BOUNCE_BYTES))
		return NULL;	/* at least one exists since the disk was made: it will come back */
	raw->bounce_count++;
	return bounce;
}

static void bounce_put(struct raw_disk *raw, uint8_t *bounce)
{
	struct block_request *next = pop(&raw->waiting_for_bounce);

	if (next) {
		state_of(next)->bounce = bounce;
		push(&raw->waiting, next);
	} else {
		raw->free_bounces[raw->free_bounce_count++] = bounce;
	}
}

/* The kernel wants each piece to begin at memory_align and to be whole sectors of the storage. */
static bool needs_bounce(const struct raw_disk *raw, const struct block_request *request)
{
	if (!raw->direct)
		return false;
	for (unsigned i = 0; i < request->iov_count; i++)
		if (((uintptr_t)request->iov[i].iov_base & (raw->memory_align - 1)) ||
		    (request->iov[i].iov_len & (raw->offset_align - 1)))
			return true;
	return false;
}

static void finish(struct block_request *request, int error)
{
	struct raw_state *state = state_of(request);

	if (state->bounce) {
		bounce_put(raw_of(request->disk), state->bounce);
		state->bounce = NULL;
	}
	block_finish(request, error);
}

static int error_of(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return -ENOSPC;
	case -EROFS:
	case -EPERM:
		return -EROFS;
	case -ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static void prepare_transfer(struct raw_disk *raw, struct block_request *request, struct io_uring_sqe *sqe)
{
	const uint64_t at = request->offset + request->moved, left = request->bytes - request->moved;
	uint8_t *bounce = state_of(request)->bounce;
	const bool write = request->op == BLOCK_WRITE;
	const unsigned bounce_bytes = left < RAW_BOUNCE_BYTES ? (unsigned)left : RAW_BOUNCE_BYTES;

	if (bounce && write) {
		(void)iov_gather(request->iov, request->iov_count, 0, bounce, bounce_bytes);
		io_uring_prep_write(sqe, raw->fd, bounce, bounce_bytes, at);
	} else if (bounce) {
		io_uring_prep_read(sqe, raw->fd, bounce, bounce_bytes, at);
	} else if (write) {
		io_uring_prep_writev(sqe, raw->fd, request->iov, request->iov_count, at);
	} else {
		io_uring_prep_readv(sqe, raw->fd, request->iov, request->iov_count, at);
	}
	if (write && (request->flags & BLOCK_FLAG_FUA))
		sqe->rw_flags = RWF_DSYNC;
}

static void prepare_fallocate(struct raw_disk *raw, struct block_request *request, struct io_uring_sqe *sqe, int mode)
{
	const uint64_t left = request->bytes - request->moved;

	io_uring_prep_fallocate(sqe, raw->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)(request->offset + request->moved),
				(off_t)(left < RAW_FALLOCATE_MAX ? left : RAW_FALLOCATE_MAX));
}

static void prepare_zero_write(struct raw_disk *raw, struct block_request *request, struct io_uring_sqe *sqe)
{
	const uint64_t left = request->bytes - request->moved;

	io_uring_prep_write(sqe, raw->fd, raw->zeroes, left < RAW_ZERO_BYTES ? (unsigned)left : RAW_ZERO_BYTES,
			    request->offset + request->moved);
}

static void prepare(struct raw_disk *raw, struct block_request *request, struct io_uring_sqe *sqe)
{
	switch (state_of(request)->step) {
	case RAW_TRANSFER:
		prepare_transfer(raw, request, sqe);
		break;
	case RAW_PUNCH:
		prepare_fallocate(raw, request, sqe, FALLOC_FL_PUNCH_HOLE);
		break;
	case RAW_ZERO_RANGE:
		prepare_fallocate(raw, request, sqe, FALLOC_FL_ZERO_RANGE);
		break;
	case RAW_ZERO_WRITE:
		prepare_zero_write(raw, request, sqe);
		break;
	case RAW_SYNC:
		io_uring_prep_fsync(sqe, raw->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	io_uring_sqe_set_data(sqe, request);
}

/* Moves what waits into the ring as far as it has room. */
static void fill_ring(struct raw_disk *raw)
{
	while (raw->waiting.first && raw->in_ring < RAW_DEPTH) {
		struct block_request *request = pop(&raw->waiting);

		/* As many entries as RAW_DEPTH: there is one. */
		prepare(raw, request, io_uring_get_sqe(&raw->ring));
		raw->in_ring++;
		raw->queued++;
	}
}

static void hand_over(struct raw_disk *raw)
{
	fill_ring(raw);
	while (raw->queued) {
		int r = io_uring_submit(&raw->ring);

		if (r == -EINTR)
			continue;
		if (r <= 0) {
			/* Short of memory: the entries stay in the ring. */
			raw->disk.host.ops->timer_arm(raw->disk.host.context, &raw->submit_timer, RAW_SUBMIT_RETRY_NS);
			return;
		}
		raw->queued -= (unsigned)r < raw->queued ? (unsigned)r : raw->queued;
	}
}

static void submit_again(void *context)
{
	hand_over(context);
}

static enum raw_step first_step(const struct raw_disk *raw, const struct block_request *request)
{
	switch (request->op) {
	case BLOCK_READ:
	case BLOCK_WRITE:
		return RAW_TRANSFER;
	case BLOCK_UNMAP:
		return RAW_PUNCH;
	case BLOCK_WRITE_ZEROES:
		if ((request->flags & BLOCK_FLAG_MAY_UNMAP) && !raw->no_punch)
			return RAW_PUNCH;
		return raw->no_zero_range ? RAW_ZERO_WRITE : RAW_ZERO_RANGE;
	case BLOCK_FLUSH:
		break;
	}
	return RAW_SYNC;
}

static void raw_submit(struct block_disk *disk, struct block_request *request)
{
	struct raw_disk *raw = raw_of(disk);
	struct raw_state *state = state_of(request);

	*state = (struct raw_state){ .step = first_step(raw, request) };
	if (state->step == RAW_TRANSFER && needs_bounce(raw, request)) {
		state->bounce = bounce_get(raw);
		if (!state->bounce) {
			push(&raw->waiting_for_bounce, request);
			return;
		}
	}
	push(&raw->waiting, request);
	fill_ring(raw);
}

static void raw_kick(struct block_disk *disk)
{
	struct raw_disk *raw = raw_of(disk);

	if (!raw->reaping)	/* the end of reaping does it for all */
		hand_over(raw);
}

/* `bytes` more are where they belong. true: that was all. */
static bool moved_on(struct block_request *request, uint64_t bytes)
{
	request->moved += bytes;
	return request->moved >= request->bytes;
}

static void step(struct raw_disk *raw, struct block_request *request, enum raw_step next)
{
	state_of(request)->step = next;
	push(&raw->waiting, request);
}

static void zeroes_done(struct raw_disk *raw, struct block_request *request)
{
	if (request->op == BLOCK_WRITE_ZEROES && (request->flags & BLOCK_FLAG_FUA))
		step(raw, request, RAW_SYNC);
	else
		finish(request, 0);
}

static void transferred(struct raw_disk *raw, struct block_request *request, int result)
{
	uint8_t *bounce = state_of(request)->bounce;

	if (result <= 0) {
		/* Nothing at all inside the disk: the file was cut behind our back. */
		finish(request, result ? error_of(result) : -EIO);
		return;
	}
	if (bounce && request->op == BLOCK_READ)
		(void)iov_scatter(request->iov, request->iov_count, 0, bounce, (size_t)result);
	iov_advance(&request->iov, &request->iov_count, (uint64_t)result);
	if (moved_on(request, (uint64_t)result))
		finish(request, 0);
	else
		step(raw, request, RAW_TRANSFER);
}

static void allocated(struct raw_disk *raw, struct block_request *request, int result)
{
	struct raw_state *state = state_of(request);
	const uint64_t left = request->bytes - request->moved;

	if (result == 0) {
		if (moved_on(request, left < RAW_FALLOCATE_MAX ? left : RAW_FALLOCATE_MAX))
			zeroes_done(raw, request);
		else
			step(raw, request, state->step);
		return;
	}
	if (result != -EOPNOTSUPP && result != -EINVAL) {
		finish(request, error_of(result));
		return;
	}
	/* Not here: never (-EOPNOTSUPP), or not for this range (-EINVAL). */
	if (state->step == RAW_PUNCH) {
		raw->no_punch |= result == -EOPNOTSUPP;
		if (request->op == BLOCK_UNMAP)
			finish(request, 0);
		else
			step(raw, request, RAW_ZERO_RANGE);
	} else {
		raw->no_zero_range |= result == -EOPNOTSUPP;
		step(raw, request, RAW_ZERO_WRITE);
	}
}

static void completed(struct raw_disk *raw, struct block_request *request, int result)
{
	const enum raw_step now = state_of(request)->step;

	if (result == -EINTR || result == -EAGAIN) {
		step(raw, request, now);
		return;
	}
	switch (now) {
	case RAW_TRANSFER:
		transferred(raw, request, result);
		break;
	case RAW_PUNCH:
	case RAW_ZERO_RANGE:
		allocated(raw, request, result);
		break;
	case RAW_ZERO_WRITE:
		if (result <= 0)
			finish(request, result ? error_of(result) : -EIO);
		else if (moved_on(request, (uint64_t)result))
			zeroes_done(raw, request);
		else
			step(raw, request, RAW_ZERO_WRITE);
		break;
	case RAW_SYNC:
		finish(request, result < 0 ? error_of(result) : 0);
		break;
	}
}

static void ring_ready(void *context)
{
	struct raw_disk *raw = context;
	struct io_uring_cqe *cqe;
	eventfd_t count;

	(void)eventfd_read(raw->watch.fd, &count);	/* whatever it says: the ring is looked at */
	raw->reaping = true;
	while (io_uring_peek_cqe(&raw->ring, &cqe) == 0) {
		struct block_request *request = io_uring_cqe_get_data(cqe);
		const int result = cqe->res;

		io_uring_cqe_seen(&raw->ring, cqe);
		raw->in_ring--;
		completed(raw, request, result);
	}
	raw->reaping = false;
	hand_over(raw);
	block_batch_end(&raw->disk);
}

static int raw_current_bytes(struct block_disk *disk, uint64_t *ret_bytes)
{
	const off_t end = lseek(raw_of(disk)->fd, 0, SEEK_END);

	if (end < 0)
		return -errno;
	*ret_bytes = (uint64_t)end;
	return 0;
}

static void raw_free(struct raw_disk *raw)
{
	while (raw->free_bounce_count)
		free(raw->free_bounces[--raw->free_bounce_count]);
	if (raw->zeroes)
		(void)munmap(raw->zeroes, RAW_ZERO_BYTES);
	free(raw);
}

static void raw_destroy(struct block_disk *disk)
{
	struct raw_disk *raw = raw_of(disk);

	disk->host.ops->watch_remove(disk->host.context, &raw->watch);
	disk->host.ops->timer_cancel(disk->host.context, &raw->submit_timer);
	io_uring_queue_exit(&raw->ring);
	(void)close(raw->watch.fd);
	(void)close(raw->fd);
	raw_free(raw);
}

static const struct block_disk_ops raw_ops = {
	.submit = raw_submit,
	.kick = raw_kick,
	.current_bytes = raw_current_bytes,
	.destroy = raw_destroy,
};

static bool sector_size_ok(uint32_t bytes)
{
	return bytes >= BLOCK_SECTOR_MIN && bytes <= BLOCK_SECTOR_MAX && (bytes & (bytes - 1)) == 0;
}

static int read_geometry(struct raw_disk *raw, const struct block_raw_options *options)
{
	struct block_info *info = &raw->disk.info;
	struct stat st;
	int r;

	if (fstat(raw->fd, &st) < 0)
		return -errno;
	raw->is_device = S_ISBLK(st.st_mode);
	if (!raw->is_device && !S_ISREG(st.st_mode))
		return -EMEDIUMTYPE;
	info->logical_bytes = options->logical_bytes ? options->logical_bytes : RAW_LOGICAL_BYTES;
	info->physical_bytes = options->physical_bytes ? options->physical_bytes : RAW_PHYSICAL_BYTES;
	if (!sector_size_ok(info->logical_bytes) || !sector_size_ok(info->physical_bytes) ||
	    info->physical_bytes < info->logical_bytes)
		return -EINVAL;
	info->unmap_bytes = info->physical_bytes;
	r = raw_current_bytes(&raw->disk, &info->bytes);
	if (r == 0)
		info->bytes -= info->bytes % info->logical_bytes;
	return r;
}

/* Linux says since 6.1 what direct I/O needs; the C library of the build may be older than that. */
static void read_direct_alignment(struct raw_disk *raw)
{
	struct statx stx;

	raw->memory_align = raw->offset_align = RAW_ALIGN_UNKNOWN;
	memset(&stx, 0, sizeof stx);
	if (syscall(SYS_statx, raw->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align && stx.stx_dio_offset_align) {
		raw->memory_align = stx.stx_dio_mem_align;
		raw->offset_align = stx.stx_dio_offset_align;
	}
}

static int set_direct(struct raw_disk *raw, bool direct)
{
	const int flags = fcntl(raw->fd, F_GETFL);
	void *bounce;

	if (flags < 0)
		return -errno;
	if ((flags & O_ACCMODE) == O_RDONLY)
		raw->disk.info.read_only = true;
	else if ((flags & O_ACCMODE) == O_WRONLY)
		return -EINVAL;
	raw->direct = direct;
	if (direct) {
		read_direct_alignment(raw);
		/* Smaller sectors would need read-modify-write here, which races with the neighbours' writes. */
		if (raw->disk.info.logical_bytes < raw->offset_align)
			return -EINVAL;
		if (posix_memalign(&bounce, RAW_ALIGN_UNKNOWN, RAW_BOUNCE_BYTES))
			return -ENOMEM;
		raw->free_bounces[raw->free_bounce_count++] = bounce;
		raw->bounce_count = 1;
	}
	return fcntl(raw->fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) < 0 ? -errno : 0;
}

/* Behind a file's end a hole changes nothing; a device would refuse the range, and is believed until it says no. */
static bool can_punch(const struct raw_disk *raw)
{
	if (raw->disk.info.read_only)
		return false;
	if (raw->is_device)
		return true;
	return fallocate(raw->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 (off_t)(raw->disk.info.bytes + BLOCK_SECTOR_MAX), BLOCK_SECTOR_MAX) == 0;
}

static int open_file(struct raw_disk *raw, const struct block_raw_options *options)
{
	int r = read_geometry(raw, options);

	raw->disk.info.read_only = options->read_only;
	memcpy(raw->disk.info.id, options->id, sizeof raw->disk.info.id);
	if (r == 0)
		r = set_direct(raw, options->direct);
	if (r)
		return r;
	raw->disk.info.unmap = can_punch(raw);
	raw->no_punch = !raw->disk.info.unmap;
	/* Never written: all of it is the kernel's one page of zeroes. */
	raw->zeroes = mmap(NULL, RAW_ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw->zeroes == MAP_FAILED) {
		raw->zeroes = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int open_ring(struct raw_disk *raw)
{
	const struct vsp_host *host = &raw->disk.host;
	int r = io_uring_queue_init(RAW_DEPTH, &raw->ring, 0);

	if (r < 0)
		return r;
	raw->watch = (struct vsp_watch){ .ready = ring_ready, .context = raw };
	raw->watch.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	raw->submit_timer = (struct vsp_timer){ .expired = submit_again, .context = raw };
	r = raw->watch.fd < 0 ? -errno : io_uring_register_eventfd(&raw->ring, raw->watch.fd);
	if (r == 0)
		r = host->ops->watch_add(host->context, &raw->watch);
	if (r == 0)
		return 0;
	if (raw->watch.fd >= 0)
		(void)close(raw->watch.fd);
	io_uring_queue_exit(&raw->ring);
	return r;
}

int block_raw_create(const struct vsp_host *host, int fd, const struct block_raw_options *options,
		     struct block_disk **ret_disk)
{
	struct raw_disk *raw = calloc(1, sizeof *raw);
	int r;

	if (!raw)
		return -ENOMEM;
	block_disk_init(&raw->disk, &raw_ops, host);
	raw->fd = fd;
	r = open_file(raw, options);
	if (r == 0)
		r = open_ring(raw);
	if (r) {
		raw_free(raw);
		return r;
	}
	*ret_disk = &raw->disk;
	return 0;
}
