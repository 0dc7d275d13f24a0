// SPDX-License-Identifier: Apache-2.0
/*
 * One io_uring a file, and lane, and nothing beside it: a thread puts what it begins into its own ring, enters the kernel
 * for it without the lock, and goes on with what comes out of it, whosever request that is. A pool of threads with preadv
 * would work on kernels without io_uring too, but the parent's kernel is ours, and two paths would be two sets of bugs:
 * where io_uring is refused, making the file fails and says so.
 *
 * What goes through a ring passes no system call filter. Therefore the ring is made disabled, bound to its one file,
 * restricted to the operations below, and only then enabled: it can do to that file what the process could do anyway,
 * and nothing else, whoever writes into it.
 *
 * Deallocation is fallocate(PUNCH_HOLE) for files and devices alike: on a device that is a discard that is known to
 * leave zeroes. BLKDISCARD promises no content, and as an ioctl it would stop the host's thread.
 */
#include "block/uring_file.h"

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

#define URING_DEPTH           128u	/* requests in the ring; the others wait here */
#define URING_BOUNCE_BYTES    (256u << 10)
#define URING_BOUNCE_MAX      16u
#define URING_ZERO_BYTES      (256u << 10)
#define URING_FALLOCATE_MAX   (1ull << 40)
#define URING_ALIGN_UNKNOWN   4096u	/* direct I/O, when the file system does not say */
#define URING_SUBMIT_RETRY_NS 1000000u
#define URING_PROBE_BYTES     4096u

enum uring_step {
	URING_TRANSFER,
	URING_PUNCH,
	URING_ZERO_RANGE,
	URING_ZERO_WRITE,	/* when there is no other way to zeroes */
	URING_SYNC,
};

/* In file_data of a request. */
struct uring_state {
	struct block_file_request *next;
	uint8_t *bounce;
	enum uring_step step;
	int result;		/* of a request that does not go through the ring */
};
_Static_assert(sizeof(struct uring_state) <= sizeof(((struct block_file_request *)0)->file_data), "room for uring_state");

struct uring_queue {
	struct block_file_request *first, *last;
};

/* What one thread has under way. */
struct uring_lane {
	struct uring_file *u;
	struct vsp_host host;		/* of this thread */
	struct io_uring ring;
	struct vsp_watch watch;
	struct vsp_timer submit_timer;
	struct vsp_call submit_call;
	unsigned in_ring;
	unsigned queued;		/* of these, not handed to the kernel yet: the thread's own, also without the lock */
	bool reaping;
	struct uring_queue waiting;
};

struct uring_file {
	struct block_file file;		/* first */
	int fd;
	bool direct;
	bool no_zero_range;		/* learned */
	uint32_t memory_align;

	struct uring_queue waiting_for_bounce;
	struct uring_queue decided;	/* answered soon */
	struct vsp_soon answer;

	uint8_t *free_bounces[URING_BOUNCE_MAX];
	unsigned free_bounce_count, bounce_count;
	void *zeroes;

	unsigned lane_count;		/* 1: one thread does everything */
	struct uring_lane lanes[];
};

static struct uring_state *state_of(struct block_file_request *request)
{
	return (struct uring_state *)request->file_data;
}

static struct uring_file *uring_of(struct block_file *file)
{
	return (struct uring_file *)file;
}

/* The caller's. */
static struct uring_lane *lane_of(struct uring_file *u)
{
	const struct vsp_lanes *lanes = u->file.host.lanes;

	return &u->lanes[lanes ? lanes->current(lanes->context) : 0];
}

static void push(struct uring_queue *queue, struct block_file_request *request)
{
	state_of(request)->next = NULL;
	if (queue->last)
		state_of(queue->last)->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static struct block_file_request *pop(struct uring_queue *queue)
{
	struct block_file_request *request = queue->first;

	if (request) {
		queue->first = state_of(request)->next;
		if (!queue->first)
			queue->last = NULL;
	}
	return request;
}

static uint8_t *bounce_get(struct uring_file *u)
{
	void *bounce;

	if (u->free_bounce_count)
		return u->free_bounces[--u->free_bounce_count];
	if (u->bounce_count == URING_BOUNCE_MAX || posix_memalign(&bounce, URING_ALIGN_UNKNOWN, URING_BOUNCE_BYTES))
		return NULL;	/* at least one exists since the file was made: it will come back */
	u->bounce_count++;
	return bounce;
}

static void bounce_put(struct uring_file *u, uint8_t *bounce)
{
	struct block_file_request *next = pop(&u->waiting_for_bounce);

	if (next) {
		state_of(next)->bounce = bounce;
		push(&lane_of(u)->waiting, next);
	} else {
		u->free_bounces[u->free_bounce_count++] = bounce;
	}
}

/* The kernel wants each piece to begin at memory_align and to be whole sectors of the storage. */
static bool needs_bounce(const struct uring_file *u, const struct block_file_request *request)
{
	for (unsigned i = 0; i < request->iov_count; i++)
		if (((uintptr_t)request->iov[i].iov_base & (u->memory_align - 1)) ||
		    (request->iov[i].iov_len & (u->file.align_bytes - 1)))
			return true;
	return false;
}

static void finish(struct block_file_request *request, int error)
{
	struct uring_state *state = state_of(request);

	if (state->bounce) {
		bounce_put(uring_of(request->file), state->bounce);
		state->bounce = NULL;
	}
	request->done(request, error);
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

static void prepare_bounced(struct block_file_request *request, struct io_uring_sqe *sqe, uint8_t *bounce)
{
	const uint64_t at = request->offset + request->moved, left = request->bytes - request->moved;
	const unsigned bytes = left < URING_BOUNCE_BYTES ? (unsigned)left : URING_BOUNCE_BYTES;

	if (request->op == BLOCK_FILE_WRITE) {
		(void)iov_gather(request->iov, request->iov_count, 0, bounce, bytes);
		io_uring_prep_write(sqe, 0, bounce, bytes, at);
	} else {
		io_uring_prep_read(sqe, 0, bounce, bytes, at);
	}
}

static void prepare_transfer(struct block_file_request *request, struct io_uring_sqe *sqe)
{
	const uint64_t at = request->offset + request->moved;
	const bool write = request->op == BLOCK_FILE_WRITE;

	if (state_of(request)->bounce) {
		prepare_bounced(request, sqe, state_of(request)->bounce);
	} else if (write) {
		io_uring_prep_writev(sqe, 0, request->iov, request->iov_count, at);
	} else {
		io_uring_prep_readv(sqe, 0, request->iov, request->iov_count, at);
	}
	if (write && (request->flags & BLOCK_FILE_FUA))
		sqe->rw_flags = RWF_DSYNC;
}

static uint64_t fallocate_bytes(const struct block_file_request *request)
{
	const uint64_t left = request->bytes - request->moved;

	return left < URING_FALLOCATE_MAX ? left : URING_FALLOCATE_MAX;
}

static void prepare_fallocate(struct block_file_request *request, struct io_uring_sqe *sqe, int mode)
{
	io_uring_prep_fallocate(sqe, 0, mode, (off_t)(request->offset + request->moved), (off_t)fallocate_bytes(request));
}

static void prepare_zero_write(struct uring_file *u, struct block_file_request *request, struct io_uring_sqe *sqe)
{
	const uint64_t left = request->bytes - request->moved;

	io_uring_prep_write(sqe, 0, u->zeroes, left < URING_ZERO_BYTES ? (unsigned)left : URING_ZERO_BYTES,
			    request->offset + request->moved);
}

/* Descriptor 0 of the ring is the file: the only one that it has. */
static void prepare(struct uring_lane *lane, struct block_file_request *request)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&lane->ring);

	switch (state_of(request)->step) {
	case URING_TRANSFER:
		prepare_transfer(request, sqe);
		break;
	case URING_PUNCH:
		prepare_fallocate(request, sqe, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
		break;
	case URING_ZERO_RANGE:
		prepare_fallocate(request, sqe, FALLOC_FL_ZERO_RANGE);
		break;
	case URING_ZERO_WRITE:
		prepare_zero_write(lane->u, request, sqe);
		break;
	case URING_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	}
	sqe->flags = IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, request);
	lane->in_ring++;
	lane->queued++;
}

/* Moves what waits into the ring as far as it has room: as many entries as URING_DEPTH. */
static void fill_ring(struct uring_lane *lane)
{
	while (lane->waiting.first && lane->in_ring < URING_DEPTH)
		prepare(lane, pop(&lane->waiting));
}

/* false: short of memory; the entries stay in the ring. */
static bool enter_ring(struct uring_lane *lane)
{
	while (lane->queued) {
		int r = io_uring_submit(&lane->ring);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return false;
		lane->queued -= (unsigned)r < lane->queued ? (unsigned)r : lane->queued;
	}
	return true;
}

static void submit_later(struct uring_lane *lane)
{
	lane->host.ops->timer_arm(lane->host.context, &lane->submit_timer, URING_SUBMIT_RETRY_NS);
}

/* Without the lock. What was handed over is answered by this thread alone, so that the file is not gone before. */
static void submit_unlocked(void *context)
{
	struct uring_lane *lane = context;
	const struct vsp_lanes *lanes = lane->host.lanes;

	if (enter_ring(lane))
		return;
	lanes->enter(lanes->context);
	submit_later(lane);
	lanes->leave(lanes->context);
}

static void hand_over(struct uring_lane *lane)
{
	const struct vsp_lanes *lanes = lane->host.lanes;

	fill_ring(lane);
	if (lane->queued && lanes)
		lanes->after(lanes->context, &lane->submit_call);
	else if (!enter_ring(lane))
		submit_later(lane);
}

static void submit_again(void *context)
{
	hand_over(context);
}

static void batch_end(struct uring_lane *lane)
{
	struct block_file *file = &lane->u->file;

	hand_over(lane);
	if (file->batched)
		file->batched(file->batched_context);
	lane->reaping = false;
	hand_over(lane);
}

static void answer_decided(void *context)
{
	struct uring_file *u = context;
	struct uring_lane *lane = lane_of(u);
	struct uring_queue now = u->decided;
	struct block_file_request *request;

	u->decided = (struct uring_queue){ 0 };
	lane->reaping = true;
	while ((request = pop(&now)))
		finish(request, state_of(request)->result);
	batch_end(lane);
}

/* The answer is known, yet never given from inside a submit. */
static void decide(struct uring_file *u, struct block_file_request *request, int result)
{
	state_of(request)->result = result;
	vsp_soon(&u->file.host, &u->answer);
	push(&u->decided, request);
}

/* Not through the ring, which knows it only since Linux 6.9; growing is a change of the inode alone. */
static int set_size(struct uring_file *u, uint64_t bytes)
{
	int r;

	if (u->file.read_only)
		return -EROFS;
	if (u->file.is_device)
		return -EOPNOTSUPP;
	if (bytes > INT64_MAX)
		return -ENOSPC;
	do
		r = ftruncate(u->fd, (off_t)bytes) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r ? error_of(r) : 0;
}

static void enqueue(struct uring_file *u, struct block_file_request *request)
{
	struct uring_lane *lane = lane_of(u);

	if (!lane->waiting.first && lane->in_ring < URING_DEPTH) {
		prepare(lane, request);
	} else {
		push(&lane->waiting, request);
		fill_ring(lane);
	}
}

static void transfer_direct(struct uring_file *u, struct block_file_request *request)
{
	if (needs_bounce(u, request)) {
		state_of(request)->bounce = bounce_get(u);
		if (!state_of(request)->bounce) {
			push(&u->waiting_for_bounce, request);
			return;
		}
	}
	enqueue(u, request);
}

static void begin(struct uring_file *u, struct block_file_request *request, enum uring_step first)
{
	state_of(request)->step = first;
	enqueue(u, request);
}

static void submit(struct block_file *file, struct block_file_request *request)
{
	struct uring_file *u = uring_of(file);
	struct uring_state *state = state_of(request);

	request->file = file;
	request->moved = 0;
	state->bounce = NULL;
	state->step = URING_TRANSFER;
	switch (request->op) {
	case BLOCK_FILE_READ:
		if (u->direct)
			transfer_direct(u, request);
		else
			enqueue(u, request);
		return;
	case BLOCK_FILE_FLUSH:
		begin(u, request, URING_SYNC);
		return;
	case BLOCK_FILE_SET_SIZE:
		decide(u, request, set_size(u, request->offset));
		return;
	case BLOCK_FILE_WRITE:
	case BLOCK_FILE_PUNCH:
	case BLOCK_FILE_ZERO:
		break;
	}
	if (file->read_only)
		decide(u, request, -EROFS);
	else if (request->op == BLOCK_FILE_WRITE && u->direct)
		transfer_direct(u, request);
	else if (request->op == BLOCK_FILE_WRITE)
		enqueue(u, request);
	else if (request->op == BLOCK_FILE_ZERO)
		begin(u, request, u->no_zero_range ? URING_ZERO_WRITE : URING_ZERO_RANGE);
	else if (file->can_punch)
		begin(u, request, URING_PUNCH);
	else
		decide(u, request, -EOPNOTSUPP);
}

static void kick(struct block_file *file)
{
	struct uring_lane *lane = lane_of(uring_of(file));

	if (!lane->reaping)	/* the end of reaping does it for all */
		hand_over(lane);
}

/* `bytes` more are where they belong. true: that was all. */
static bool moved_on(struct block_file_request *request, uint64_t bytes)
{
	request->moved += bytes;
	return request->moved >= request->bytes;
}

static void step(struct uring_file *u, struct block_file_request *request, enum uring_step next)
{
	state_of(request)->step = next;
	push(&lane_of(u)->waiting, request);
}

static void zeroes_done(struct uring_file *u, struct block_file_request *request)
{
	if (request->flags & BLOCK_FILE_FUA)
		step(u, request, URING_SYNC);
	else
		finish(request, 0);
}

static void end_of_file(struct block_file_request *request)
{
	if (request->flags & BLOCK_FILE_INSIDE) {
		finish(request, -EIO);
		return;
	}
	iov_zero(request->iov, request->iov_count, 0, request->bytes - request->moved);
	request->moved = request->bytes;
	finish(request, 0);
}

static void transferred(struct uring_file *u, struct block_file_request *request, int result)
{
	const bool read = request->op == BLOCK_FILE_READ;
	uint8_t *bounce = state_of(request)->bounce;

	if (result < 0 || (result == 0 && !read)) {
		finish(request, result ? error_of(result) : -EIO);
		return;
	}
	if (bounce && read)
		(void)iov_scatter(request->iov, request->iov_count, 0, bounce, (size_t)result);
	if (moved_on(request, (uint64_t)result)) {
		finish(request, 0);
		return;
	}
	iov_advance(&request->iov, &request->iov_count, (uint64_t)result);
	/* Directly read, only the end of a file is not whole sectors; behind it nothing can be asked for. */
	if (read && (result == 0 || (u->direct && ((unsigned)result & (u->file.align_bytes - 1)))))
		end_of_file(request);
	else
		step(u, request, URING_TRANSFER);
}

static void allocated(struct uring_file *u, struct block_file_request *request, int result)
{
	struct uring_state *state = state_of(request);

	if (result == 0) {
		if (moved_on(request, fallocate_bytes(request)))
			zeroes_done(u, request);
		else
			step(u, request, state->step);
		return;
	}
	if (result != -EOPNOTSUPP && result != -EINVAL) {
		finish(request, error_of(result));
		return;
	}
	/* Not here: never (-EOPNOTSUPP), or not for this range (-EINVAL). */
	if (state->step == URING_PUNCH) {
		u->file.can_punch &= result != -EOPNOTSUPP;
		finish(request, -EOPNOTSUPP);
	} else {
		u->no_zero_range |= result == -EOPNOTSUPP;
		step(u, request, URING_ZERO_WRITE);
	}
}

static void completed(struct uring_file *u, struct block_file_request *request, int result)
{
	const enum uring_step now = state_of(request)->step;

	if (result == -EINTR || result == -EAGAIN) {
		step(u, request, now);
		return;
	}
	switch (now) {
	case URING_TRANSFER:
		transferred(u, request, result);
		break;
	case URING_PUNCH:
	case URING_ZERO_RANGE:
		allocated(u, request, result);
		break;
	case URING_ZERO_WRITE:
		if (result <= 0)
			finish(request, result ? error_of(result) : -EIO);
		else if (moved_on(request, (uint64_t)result))
			zeroes_done(u, request);
		else
			step(u, request, URING_ZERO_WRITE);
		break;
	case URING_SYNC:
		finish(request, result < 0 ? error_of(result) : 0);
		break;
	}
}

static void ring_ready(void *context)
{
	struct uring_lane *lane = context;
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0;
	eventfd_t count;

	(void)eventfd_read(lane->watch.fd, &count);	/* whatever it says: the ring is looked at */
	lane->reaping = true;
	/* The kernel's side has twice the entries, and is handed nothing before the end: it never overflows. */
	io_uring_for_each_cqe(&lane->ring, head, cqe) {
		seen++;
		lane->in_ring--;
		completed(lane->u, io_uring_cqe_get_data(cqe), cqe->res);
	}
	io_uring_cq_advance(&lane->ring, seen);
	batch_end(lane);
}

static int size(struct block_file *file, uint64_t *ret_bytes)
{
	const off_t end = lseek(uring_of(file)->fd, 0, SEEK_END);

	if (end < 0)
		return -errno;
	*ret_bytes = (uint64_t)end;
	return 0;
}

/* 0 also when the file ends before: what is missing then reads as zeroes. */
static int read_fully(int fd, uint64_t offset, uint8_t *buffer, size_t bytes, uint32_t align)
{
	while (bytes) {
		ssize_t n = pread(fd, buffer, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buffer += n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
		if (n == 0 || ((size_t)n & (align - 1)))
			break;
	}
	memset(buffer, 0, bytes);
	return 0;
}

static int read_now(struct block_file *file, uint64_t offset, void *buffer, size_t bytes)
{
	const struct uring_file *u = uring_of(file);
	const uint32_t align = u->direct ? file->align_bytes : 1;
	const uint64_t before = offset & (align - 1);
	void *aligned;
	size_t whole;
	int r;

	if (offset > INT64_MAX || bytes > (uint64_t)INT64_MAX - URING_ALIGN_UNKNOWN * 2 - offset)
		return -EINVAL;
	if (!u->direct)
		return read_fully(u->fd, offset, buffer, bytes, 1);
	whole = ((size_t)before + bytes + align - 1) & ~((size_t)align - 1);
	r = posix_memalign(&aligned, URING_ALIGN_UNKNOWN, whole ? whole : 1);
	if (r)
		return -r;
	r = read_fully(u->fd, offset - before, aligned, whole, align);
	if (r == 0)
		memcpy(buffer, (uint8_t *)aligned + before, bytes);
	free(aligned);
	return r;
}

static void free_memory(struct uring_file *u)
{
	while (u->free_bounce_count)
		free(u->free_bounces[--u->free_bounce_count]);
	if (u->zeroes)
		(void)munmap(u->zeroes, URING_ZERO_BYTES);
	free(u);
}

static void close_lane(struct uring_lane *lane)
{
	lane->host.ops->watch_remove(lane->host.context, &lane->watch);
	lane->host.ops->timer_cancel(lane->host.context, &lane->submit_timer);
	/* By itself the kernel takes a ring apart some time later, and its file, with the locks on it, stays open as long. */
	(void)io_uring_unregister_files(&lane->ring);
	io_uring_queue_exit(&lane->ring);
	(void)close(lane->watch.fd);
}

static void destroy(struct block_file *file)
{
	struct uring_file *u = uring_of(file);

	for (unsigned i = 0; i < u->lane_count; i++)
		close_lane(&u->lanes[i]);
	vsp_soon_cancel(&file->host, &u->answer);
	(void)close(u->fd);
	free_memory(u);
}

static const struct block_file_ops uring_ops = {
	.submit = submit,
	.kick = kick,
	.size = size,
	.read_now = read_now,
	.destroy = destroy,
};

/* Linux says since 6.1 what direct I/O needs; the C library of the build may be older than that. */
static void read_direct_alignment(struct uring_file *u)
{
	struct statx stx;

	u->memory_align = u->file.align_bytes = URING_ALIGN_UNKNOWN;
	memset(&stx, 0, sizeof stx);
	if (syscall(SYS_statx, u->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align && stx.stx_dio_offset_align) {
		u->memory_align = stx.stx_dio_mem_align;
		u->file.align_bytes = stx.stx_dio_offset_align;
	}
}

static int set_direct(struct uring_file *u, const struct block_uring_options *options, int flags)
{
	void *bounce;

	u->direct = options->direct;
	u->file.align_bytes = 1;
	if (u->direct) {
		read_direct_alignment(u);
		/* Smaller pieces would need read-modify-write here, which races with the neighbours' writes. */
		if (options->align_max && u->file.align_bytes > options->align_max)
			return -EINVAL;
		if (posix_memalign(&bounce, URING_ALIGN_UNKNOWN, URING_BOUNCE_BYTES))
			return -ENOMEM;
		u->free_bounces[u->free_bounce_count++] = bounce;
		u->bounce_count = 1;
	}
	return fcntl(u->fd, F_SETFL, u->direct ? flags | O_DIRECT : flags & ~O_DIRECT) < 0 ? -errno : 0;
}

/* Behind a file's end a hole changes nothing; a device would refuse the range, and is believed until it says no. */
static bool probe_punch(const struct uring_file *u)
{
	uint64_t end = 0;

	if (u->file.read_only)
		return false;
	if (u->file.is_device)
		return true;
	return size((struct block_file *)&u->file, &end) == 0 && end < INT64_MAX - 2 * URING_PROBE_BYTES &&
	       fallocate(u->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(end + URING_PROBE_BYTES),
			 URING_PROBE_BYTES) == 0;
}

static int open_file(struct uring_file *u, const struct block_uring_options *options)
{
	struct stat st;
	int flags, r;

	if (fstat(u->fd, &st) < 0)
		return -errno;
	u->file.is_device = S_ISBLK(st.st_mode);
	if (!u->file.is_device && !S_ISREG(st.st_mode))
		return -EMEDIUMTYPE;
	flags = fcntl(u->fd, F_GETFL);
	if (flags < 0)
		return -errno;
	if ((flags & O_ACCMODE) == O_WRONLY)
		return -EINVAL;
	u->file.read_only = options->read_only || (flags & O_ACCMODE) == O_RDONLY;
	r = set_direct(u, options, flags);
	if (r)
		return r;
	u->file.can_punch = probe_punch(u);
	/* Never written: all of it is the kernel's one page of zeroes. */
	u->zeroes = mmap(NULL, URING_ZERO_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (u->zeroes == MAP_FAILED) {
		u->zeroes = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* Debian 12's library declares these two and does not export them. */
static int register_with(struct io_uring *ring, unsigned what, void *argument, unsigned count)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, argument, count) < 0 ? -errno : 0;
}

/* From the moment that it is enabled a ring takes entries for its registered file alone, and lets go of that, no more. */
static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t allowed[] = {
		IORING_OP_READ, IORING_OP_READV, IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
	};
	struct io_uring_restriction list[sizeof allowed + 2] = {
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_UNREGISTER_FILES },
	};
	int r;

	for (unsigned i = 0; i < sizeof allowed; i++)
		list[2 + i] = (struct io_uring_restriction){ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = allowed[i] };
	r = register_with(ring, IORING_REGISTER_RESTRICTIONS, list, sizeof list / sizeof list[0]);
	return r ? r : register_with(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int bind_ring(struct uring_lane *lane)
{
	int r = io_uring_register_eventfd(&lane->ring, lane->watch.fd);

	if (r == 0)
		r = io_uring_register_files(&lane->ring, &lane->u->fd, 1);
	if (r == 0)
		r = restrict_ring(&lane->ring);
	return r;
}

static int open_lane(struct uring_lane *lane, struct uring_file *u, const struct vsp_host *host)
{
	int r;

	*lane = (struct uring_lane){
		.u = u,
		.host = *host,
		.watch = { .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .ready = ring_ready, .context = lane },
		.submit_timer = { .expired = submit_again, .context = lane },
		.submit_call = { .run = submit_unlocked, .context = lane },
	};
	if (lane->watch.fd < 0)
		return -errno;
	r = io_uring_queue_init(URING_DEPTH, &lane->ring, IORING_SETUP_R_DISABLED);
	if (r < 0) {
		(void)close(lane->watch.fd);
		return r;
	}
	r = bind_ring(lane);
	if (r == 0)
		r = host->ops->watch_add(host->context, &lane->watch);
	if (r == 0)
		return 0;
	(void)close(lane->watch.fd);
	io_uring_queue_exit(&lane->ring);
	return r;
}

static int open_lanes(struct uring_file *u)
{
	const struct vsp_host *host = &u->file.host;
	const unsigned count = u->lane_count;
	int r = 0;

	for (u->lane_count = 0; r == 0 && u->lane_count < count; u->lane_count += r == 0)
		r = open_lane(&u->lanes[u->lane_count], u, host->lanes ? &host->lanes->host[u->lane_count] : host);
	while (r && u->lane_count)
		close_lane(&u->lanes[--u->lane_count]);
	return r;
}

int block_uring_create(const struct vsp_host *host, int fd, const struct block_uring_options *options,
		       struct block_file **ret_file)
{
	const unsigned lane_count = host->lanes ? host->lanes->count : 1;
	struct uring_file *u = calloc(1, sizeof *u + lane_count * sizeof u->lanes[0]);
	int r;

	if (!u)
		return -ENOMEM;
	u->lane_count = lane_count;
	u->answer = vsp_soon_make(answer_decided, u);
	u->file.ops = &uring_ops;
	u->file.host = *host;
	u->fd = fd;
	r = open_file(u, options);
	if (r == 0)
		r = open_lanes(u);
	if (r) {
		free_memory(u);
		return r;
	}
	*ret_file = &u->file;
	return 0;
}
