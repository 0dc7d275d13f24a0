// SPDX-License-Identifier: Apache-2.0
#include "unit/vsp/block/memory_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/iov.h"

static struct memory_file *memory_of(struct block_file *file)
{
	return (struct memory_file *)file;
}

uint32_t memory_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void zero(struct memory_file *m, uint64_t offset, uint64_t bytes)
{
	const uint64_t first = (offset + 4095) & ~4095ull, end = (offset + bytes) & ~4095ull;

	if (first < end) {
		memset(m->data + offset, 0, first - offset);
		(void)madvise(m->data + first, end - first, MADV_DONTNEED);
		memset(m->data + end, 0, offset + bytes - end);
	} else {
		memset(m->data + offset, 0, bytes);
	}
}

void memory_file_touch(struct memory_file *m, uint64_t offset, uint64_t bytes)
{
	if (bytes)
		memset(m->touched + offset / MEMORY_FILE_CHUNK, 1,
		       (offset + bytes - 1) / MEMORY_FILE_CHUNK - offset / MEMORY_FILE_CHUNK + 1);
}

void memory_file_set_size(struct memory_file *m, uint64_t bytes)
{
	if (bytes > MEMORY_FILE_BYTES_MAX)
		abort();
	if (bytes < m->bytes)
		zero(m, bytes, m->bytes - bytes);
	m->bytes = bytes;
}

static void record(struct memory_file *m, const struct block_file_request *request, size_t begun)
{
	struct memory_record *r;

	if (!m->record || request->op == BLOCK_FILE_READ)
		return;
	if (m->record_count == m->record_room) {
		m->record_room = m->record_room ? 2 * m->record_room : 256;
		m->records = must(realloc(m->records, m->record_room * sizeof *m->records));
	}
	r = &m->records[m->record_count++];
	*r = (struct memory_record){ .op = request->op, .offset = request->offset, .bytes = request->bytes, .begun = begun };
	r->fua = request->flags & BLOCK_FILE_FUA;
	if (request->op == BLOCK_FILE_WRITE) {
		r->data = must(malloc(request->bytes));
		if (iov_gather(request->iov, request->iov_count, 0, r->data, request->bytes) != request->bytes)
			abort();
	}
}

static bool fails(struct memory_file *m, const struct block_file_request *request)
{
	if (m->fail_count == 0 || (!m->fail_any && request->op != m->fail_op))
		return false;
	if (m->fail_at > 1) {
		m->fail_at--;
		return false;
	}
	m->fail_count--;
	return true;
}

static void check(const struct memory_file *m, const struct block_file_request *request)
{
	const bool memory = request->op == BLOCK_FILE_READ || request->op == BLOCK_FILE_WRITE;

	if ((request->offset | request->bytes) % m->file.align_bytes || request->iov_count > BLOCK_FILE_IOV_MAX ||
	    (memory && (request->bytes == 0 || iov_bytes(request->iov, request->iov_count) != request->bytes)) ||
	    (m->file.read_only && request->op != BLOCK_FILE_READ && request->op != BLOCK_FILE_FLUSH))
		abort();
}

static int do_it(struct memory_file *m, struct block_file_request *request)
{
	const uint64_t end = request->offset + request->bytes;
	uint64_t inside;

	if (end > MEMORY_FILE_BYTES_MAX || request->offset > MEMORY_FILE_BYTES_MAX)
		return -ENOSPC;
	switch (request->op) {
	case BLOCK_FILE_READ:
		(void)iov_scatter(request->iov, request->iov_count, 0, m->data + request->offset, request->bytes);
		break;
	case BLOCK_FILE_WRITE:
		(void)iov_gather(request->iov, request->iov_count, 0, m->data + request->offset, request->bytes);
		memory_file_touch(m, request->offset, request->bytes);
		if (end > m->bytes)
			m->bytes = end;
		break;
	case BLOCK_FILE_FLUSH:
		break;
	case BLOCK_FILE_SET_SIZE:
		memory_file_set_size(m, request->offset);
		break;
	case BLOCK_FILE_PUNCH:
		if (!m->file.can_punch)
			return -EOPNOTSUPP;
		inside = end < m->bytes ? end : m->bytes;
		if (inside > request->offset)
			zero(m, request->offset, inside - request->offset);
		break;
	case BLOCK_FILE_ZERO:
		zero(m, request->offset, request->bytes);
		if (end > m->bytes)
			m->bytes = end;
		break;
	}
	return 0;
}

static int run_one(struct memory_file *m, struct block_file_request *request, size_t begun)
{
	int r;

	m->requests[request->op]++;
	if (fails(m, request))
		return m->fail_error;
	record(m, request, begun);
	r = do_it(m, request);
	request->moved = r ? 0 : request->bytes;
	return r;
}

static void run(void *context)
{
	struct memory_file *m = context;
	unsigned left = m->turn_max ? m->turn_max : ~0u;

	if (m->hold)
		return;
	while (m->queued && left--) {
		const size_t i = m->random ? memory_random(&m->random) % m->queued : 0;
		struct block_file_request *request = m->queue[i];
		const size_t begun = m->queue_begun[i];

		m->queued--;
		memmove(m->queue + i, m->queue + i + 1, (m->queued - i) * sizeof *m->queue);
		memmove(m->queue_begun + i, m->queue_begun + i + 1, (m->queued - i) * sizeof *m->queue_begun);
		request->done(request, run_one(m, request, begun));
	}
	if (m->queued)
		m->file.host.ops->timer_arm(m->file.host.context, &m->timer, 0);
	if (m->file.batched)
		m->file.batched(m->file.batched_context);
}

static void submit(struct block_file *file, struct block_file_request *request)
{
	struct memory_file *m = memory_of(file);

	check(m, request);
	if (m->queued == m->queue_room) {
		m->queue_room = m->queue_room ? 2 * m->queue_room : 64;
		m->queue = must(realloc(m->queue, m->queue_room * sizeof *m->queue));
		m->queue_begun = must(realloc(m->queue_begun, m->queue_room * sizeof *m->queue_begun));
	}
	memset(request->file_data, 0x5a, sizeof request->file_data);	/* they are ours */
	m->queue_begun[m->queued] = m->record_count;
	m->queue[m->queued++] = request;
	if (m->queued > m->largest_queue)
		m->largest_queue = m->queued;
}

static void kick(struct block_file *file)
{
	struct memory_file *m = memory_of(file);

	if (m->queued)
		file->host.ops->timer_arm(file->host.context, &m->timer, 0);
}

static int size(struct block_file *file, uint64_t *ret_bytes)
{
	*ret_bytes = memory_of(file)->bytes;
	return 0;
}

static int read_now(struct block_file *file, uint64_t offset, void *buffer, size_t bytes)
{
	struct memory_file *m = memory_of(file);
	const uint64_t left = offset < m->bytes ? m->bytes - offset : 0;
	const size_t inside = left < bytes ? (size_t)left : bytes;

	if (inside)
		memcpy(buffer, m->data + offset, inside);
	memset((uint8_t *)buffer + inside, 0, bytes - inside);
	return 0;
}

void memory_file_free(struct memory_file *m)
{
	if (m->queued)
		abort();
	m->file.host.ops->timer_cancel(m->file.host.context, &m->timer);
	for (size_t i = 0; i < m->record_count; i++)
		free(m->records[i].data);
	free(m->records);
	free(m->queue);
	free(m->queue_begun);
	(void)munmap(m->data, MEMORY_FILE_BYTES_MAX);
	if (m->gone)
		*m->gone = true;
	free(m);
}

static void destroy(struct block_file *file)
{
	if (memory_of(file)->keep)
		file->batched = NULL;
	else
		memory_file_free(memory_of(file));
}

static const struct block_file_ops ops = {
	.submit = submit,
	.kick = kick,
	.size = size,
	.read_now = read_now,
	.destroy = destroy,
};

struct memory_file *memory_file_new(const struct vsp_host *host)
{
	struct memory_file *m = must(calloc(1, sizeof *m));

	m->file = (struct block_file){ .ops = &ops, .host = *host, .can_punch = true, .align_bytes = 1 };
	m->data = mmap(NULL, MEMORY_FILE_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	if (m->data == MAP_FAILED)
		abort();
	m->timer = (struct vsp_timer){ .expired = run, .context = m };
	return m;
}

void memory_file_copy(struct memory_file *to, const struct memory_file *from)
{
	memory_file_set_size(to, 0);
	memory_file_set_size(to, from->bytes);
	for (uint64_t at = 0; at < from->bytes; at += MEMORY_FILE_CHUNK) {
		if (!from->touched[at / MEMORY_FILE_CHUNK])
			continue;
		memcpy(to->data + at, from->data + at, MEMORY_FILE_CHUNK);
		memory_file_touch(to, at, MEMORY_FILE_CHUNK);
	}
}

void memory_file_load(struct memory_file *m, int fd)
{
	const off_t bytes = lseek(fd, 0, SEEK_END);
	ssize_t n;

	memory_file_set_size(m, 0);
	for (off_t at = 0; at < bytes; at += n) {
		at = lseek(fd, at, SEEK_DATA);
		if (at < 0)
			break;
		n = pread(fd, m->data + at, (size_t)(bytes - at) < (1u << 20) ? (size_t)(bytes - at) : 1u << 20, at);
		if (n <= 0)
			abort();
		memory_file_touch(m, (uint64_t)at, (uint64_t)n);
	}
	m->bytes = (uint64_t)bytes;
}

void memory_file_save(const struct memory_file *m, int fd)
{
	static const uint8_t none[4096];

	if (ftruncate(fd, 0) || ftruncate(fd, (off_t)m->bytes))
		abort();
	for (uint64_t at = 0; at < m->bytes; at += sizeof none) {
		const size_t n = m->bytes - at < sizeof none ? (size_t)(m->bytes - at) : sizeof none;

		if (!m->touched[at / MEMORY_FILE_CHUNK])
			continue;
		if (memcmp(m->data + at, none, n) != 0 && pwrite(fd, m->data + at, n, (off_t)at) != (ssize_t)n)
			abort();
	}
}

/* One sector of a record. */
static void replay_part(struct memory_file *m, const struct memory_record *r, uint64_t at, uint64_t bytes)
{
	const uint64_t end = r->offset + at + bytes;

	memory_file_touch(m, r->offset + at, bytes);
	if (r->op == BLOCK_FILE_WRITE)
		memcpy(m->data + r->offset + at, r->data + at, bytes);
	else
		memset(m->data + r->offset + at, 0, bytes);
	if (r->op != BLOCK_FILE_PUNCH && end > m->bytes)
		m->bytes = end;
}

static void replay_one(struct memory_file *m, const struct memory_record *r, bool whole, uint32_t *random)
{
	/* Mostly all of it or nothing, and sometimes in parts. */
	const uint32_t how = whole ? 0 : memory_random(random) % 8, sector = m->sector_bytes ? m->sector_bytes : 512;

	if (r->op == BLOCK_FILE_FLUSH || (!whole && how < 3))
		return;
	if (r->op == BLOCK_FILE_SET_SIZE) {
		if (r->offset > m->bytes)
			m->bytes = r->offset;
		return;
	}
	if (how < 6 && r->op != BLOCK_FILE_WRITE) {
		zero(m, r->offset, r->bytes);
		if (r->op == BLOCK_FILE_ZERO && r->offset + r->bytes > m->bytes)
			m->bytes = r->offset + r->bytes;
		return;
	}
	for (uint64_t at = 0; at < r->bytes; at += sector)
		if (how < 6 || memory_random(random) % 2)
			replay_part(m, r, at, r->bytes - at < sector ? r->bytes - at : sector);
}

void memory_file_replay(struct memory_file *m, const struct memory_record *records, size_t count, size_t cut,
			uint32_t random)
{
	size_t stable = 0;

	/* A flush that is done makes stable what was done when it was submitted. */
	for (size_t i = 0; i < cut; i++)
		if (records[i].op == BLOCK_FILE_FLUSH && records[i].begun > stable)
			stable = records[i].begun;
	for (size_t i = 0; i < count; i++) {
		if (i < cut)
			replay_one(m, &records[i], i < stable || records[i].fua || random == 0, &random);
		else if (records[i].begun < cut && random)
			replay_one(m, &records[i], false, &random);	/* it was under way */
	}
}
