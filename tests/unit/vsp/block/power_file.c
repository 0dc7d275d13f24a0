// SPDX-License-Identifier: Apache-2.0
#include "unit/vsp/block/power_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/iov.h"

#define SECTOR 512u

static struct power_file *power_of(struct block_file *file)
{
	return (struct power_file *)file;
}

static void *need(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

static void resize(struct power_bytes *b, uint64_t size)
{
	b->data = need(realloc(b->data, size ? size : 1));
	if (size > b->size)
		memset(b->data + b->size, 0, size - b->size);
	b->size = size;
}

static void put(struct power_bytes *b, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	if (offset + bytes > b->size)
		resize(b, offset + bytes);
	memcpy(b->data + offset, data, bytes);
}

static void apply(struct power_bytes *b, const struct power_write *w)
{
	if (w->sizes)
		resize(b, w->offset);
	else
		put(b, w->offset, w->data, w->bytes);
}

static struct power_write *record(struct power_file *m, uint64_t offset, uint64_t bytes)
{
	struct power_write *w = need(calloc(1, sizeof *w + bytes));

	w->number = ++m->writes;
	w->offset = offset;
	w->bytes = bytes;
	*m->unstable_end = w;
	m->unstable_end = &w->next;
	return w;
}

static void make_stable(struct power_file *m, uint64_t up_to)
{
	while (m->unstable && m->unstable->number <= up_to) {
		struct power_write *w = m->unstable;

		apply(&m->stable, w);
		m->unstable = w->next;
		free(w);
	}
	if (!m->unstable)
		m->unstable_end = &m->unstable;
}

static int write_one(struct power_file *m, struct block_file_request *request)
{
	uint64_t offset = request->offset;
	struct power_write *w;

	if (request->op == BLOCK_FILE_PUNCH && offset + request->bytes > m->now.size)
		return -EOPNOTSUPP;
	if (m->room && offset + request->bytes > m->room)
		return -ENOSPC;
	w = record(m, offset, request->bytes);
	if (request->op == BLOCK_FILE_WRITE)
		(void)iov_gather(request->iov, request->iov_count, 0, w->data, request->bytes);
	apply(&m->now, w);
	if (request->flags & BLOCK_FILE_FUA)
		make_stable(m, w->number);	/* and what came before: allowed, never promised */
	return 0;
}

static int read_one(struct power_file *m, struct block_file_request *request)
{
	const uint64_t size = m->now.size, offset = request->offset;
	const uint64_t there = offset < size ? (request->bytes < size - offset ? request->bytes : size - offset) : 0;

	(void)iov_scatter(request->iov, request->iov_count, 0, m->now.data + offset, there);
	iov_zero(request->iov, request->iov_count, there, request->bytes - there);
	if (there == request->bytes || !(request->flags & BLOCK_FILE_INSIDE))
		return 0;
	request->moved = there;
	return -EIO;
}

static int run_one(struct power_file *m, struct block_file_request *request)
{
	if (request->op != BLOCK_FILE_READ && request->op != BLOCK_FILE_FLUSH && m->file.read_only)
		return -EROFS;
	switch (request->op) {
	case BLOCK_FILE_READ:
		return read_one(m, request);
	case BLOCK_FILE_FLUSH:
		make_stable(m, request->file_data[0]);
		m->flushes++;
		return 0;
	case BLOCK_FILE_SET_SIZE:
		record(m, request->offset, 0)->sizes = true;
		resize(&m->now, request->offset);
		return 0;
	case BLOCK_FILE_WRITE:
	case BLOCK_FILE_PUNCH:
	case BLOCK_FILE_ZERO:
		break;
	}
	return write_one(m, request);
}

static void run(void *context)
{
	struct power_file *m = context;
	unsigned some = 1 + (unsigned)rand() % 8;

	while (m->queued && some--) {
		const unsigned i = (unsigned)rand() % m->queued;
		struct block_file_request *request = m->queue[i];
		int error;

		m->queue[i] = m->queue[--m->queued];
		error = run_one(m, request);
		if (!error)
			request->moved = request->bytes;
		request->done(request, error);
	}
	if (m->file.batched)
		m->file.batched(m->file.batched_context);
	if (m->queued)
		m->file.host.ops->timer_arm(m->file.host.context, &m->timer, 0);
}

static void submit(struct block_file *file, struct block_file_request *request)
{
	struct power_file *m = power_of(file);

	if (m->queued == POWER_FILE_QUEUE || (!request->bytes && request->op != BLOCK_FILE_FLUSH &&
					       request->op != BLOCK_FILE_SET_SIZE))
		abort();
	if (iov_bytes(request->iov, request->iov_count) != request->bytes &&
	    (request->op == BLOCK_FILE_READ || request->op == BLOCK_FILE_WRITE))
		abort();
	request->file = file;
	request->moved = 0;
	request->file_data[0] = m->writes;
	m->queue[m->queued++] = request;
}

static void kick(struct block_file *file)
{
	struct power_file *m = power_of(file);

	if (m->queued)
		file->host.ops->timer_arm(file->host.context, &m->timer, 0);
}

static int size(struct block_file *file, uint64_t *ret_bytes)
{
	*ret_bytes = power_of(file)->now.size;
	return 0;
}

static int read_now(struct block_file *file, uint64_t offset, void *buffer, size_t bytes)
{
	const struct power_bytes *now = &power_of(file)->now;
	const size_t there = offset < now->size ? (bytes < now->size - offset ? bytes : (size_t)(now->size - offset)) : 0;

	if (there)
		memcpy(buffer, now->data + offset, there);
	memset((uint8_t *)buffer + there, 0, bytes - there);
	return 0;
}

static void destroy(struct block_file *file)
{
	struct power_file *m = power_of(file);

	if (m->queued)
		abort();
	file->host.ops->timer_cancel(file->host.context, &m->timer);
	make_stable(m, UINT64_MAX);
	if (m->keep)
		*m->keep = m->now;
	else
		free(m->now.data);
	free(m->stable.data);
	free(m);
}

static const struct block_file_ops ops = {
	.submit = submit, .kick = kick, .size = size, .read_now = read_now, .destroy = destroy,
};

struct power_file *power_file_new(const struct vsp_host *host, const void *data, uint64_t bytes)
{
	struct power_file *m = need(calloc(1, sizeof *m));

	m->file.ops = &ops;
	m->file.host = *host;
	m->file.can_punch = true;
	m->file.align_bytes = 1;
	m->timer = (struct vsp_timer){ .expired = run, .context = m };
	m->unstable_end = &m->unstable;
	if (bytes) {
		put(&m->now, 0, data, bytes);
		put(&m->stable, 0, data, bytes);
	}
	return m;
}

struct power_bytes power_file_cut(const struct power_file *m)
{
	struct power_bytes image = { 0 };

	if (m->stable.size)
		put(&image, 0, m->stable.data, m->stable.size);
	for (const struct power_write *w = m->unstable; w; w = w->next) {
		const unsigned kind = (unsigned)rand() % 3;	/* nothing of it, all of it, some sectors of it */

		if (kind == 0)
			continue;
		if (w->sizes || kind == 1) {
			apply(&image, w);
			continue;
		}
		for (uint64_t at = 0; at < w->bytes; at += SECTOR)
			if (rand() % 2)
				put(&image, w->offset + at, w->data + at, w->bytes - at < SECTOR ? w->bytes - at : SECTOR);
	}
	return image;
}
