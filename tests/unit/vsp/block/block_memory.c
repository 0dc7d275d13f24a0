// SPDX-License-Identifier: Apache-2.0
#include "unit/vsp/block/block_memory.h"

#include <stdlib.h>
#include <string.h>

#include "block/iov.h"

static struct block_memory *memory_of(struct block_disk *disk)
{
	return (struct block_memory *)disk;
}

static int run_one(struct block_memory *m, struct block_request *request)
{
	uint64_t bytes = request->bytes;

	m->requests[request->op]++;
	m->last_flags = request->flags;
	if (request->op == BLOCK_FLUSH)
		return m->fail_op == BLOCK_FLUSH ? m->fail_error : 0;
	if (m->fail_error && m->fail_op == request->op && m->fail_offset >= request->offset &&
	    m->fail_offset - request->offset < bytes) {
		bytes = m->fail_offset - request->offset;
		bytes -= bytes % m->disk.info.logical_bytes;
	}
	request->moved = bytes;
	if (request->op == BLOCK_READ)
		(void)iov_scatter(request->iov, request->iov_count, 0, m->data + request->offset, bytes);
	else if (request->op == BLOCK_WRITE)
		(void)iov_gather(request->iov, request->iov_count, 0, m->data + request->offset, bytes);
	else
		memset(m->data + request->offset, 0, bytes);
	return bytes < request->bytes ? m->fail_error : 0;
}

void block_memory_run(struct block_memory *m)
{
	bool any = false;

	while (m->kicked && !m->hold) {
		struct block_request *request = m->queue[0];

		m->kicked--;
		memmove(m->queue, m->queue + 1, --m->queued * sizeof *m->queue);
		any = true;
		block_finish(request, run_one(m, request));
		m->kicked = m->queued;	/* what came from inside `done` needs no kick */
	}
	if (any)
		block_batch_end(&m->disk);
}

static void run_from_timer(void *context)
{
	block_memory_run(context);
}

static void submit(struct block_disk *disk, struct block_request *request)
{
	struct block_memory *m = memory_of(disk);

	if (m->queued == BLOCK_MEMORY_QUEUE)
		abort();
	m->queue[m->queued++] = request;
}

static void kick(struct block_disk *disk)
{
	struct block_memory *m = memory_of(disk);

	m->kicked = m->queued;
	if (!m->hold)
		disk->host.ops->timer_arm(disk->host.context, &m->timer, 0);
}

static int current_bytes(struct block_disk *disk, uint64_t *ret_bytes)
{
	*ret_bytes = memory_of(disk)->bytes;
	return 0;
}

static void destroy(struct block_disk *disk)
{
	struct block_memory *m = memory_of(disk);

	if (m->queued)
		abort();
	disk->host.ops->timer_cancel(disk->host.context, &m->timer);
	if (m->gone)
		*m->gone = true;
	free(m->data);
	free(m);
}

static const struct block_disk_ops ops = {
	.submit = submit,
	.kick = kick,
	.current_bytes = current_bytes,
	.destroy = destroy,
};

struct block_memory *block_memory_new(const struct vsp_host *host, uint64_t bytes, uint32_t sector_bytes)
{
	struct block_memory *m = calloc(1, sizeof *m);

	if (!m)
		abort();
	block_disk_init(&m->disk, &ops, host);
	m->bytes = bytes;
	m->data = calloc(1, bytes ? bytes : 1);
	if (!m->data)
		abort();
	m->timer = (struct vsp_timer){ .expired = run_from_timer, .context = m };
	m->disk.info = (struct block_info){
		.bytes = bytes, .logical_bytes = sector_bytes, .physical_bytes = 4096, .unmap_bytes = 4096, .unmap = true,
	};
	for (unsigned i = 0; i < sizeof m->disk.info.id; i++)
		m->disk.info.id[i] = (uint8_t)(0x10 + i);
	return m;
}
