// SPDX-License-Identifier: Apache-2.0
#include "block/vhd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/iov.h"
#include "block/vhd_disk.h"

/* A piece of a request that lies in one place. */
struct vhd_part {
	union {
		struct block_file_request file;
		struct block_request disk;
	} below;			/* first */
	struct vhd_disk *v;
	struct block_request *request;
	struct vhd_block *block;	/* whose bitmap matters; NULL */
	uint64_t start;			/* on this disk */
	uint64_t bytes;
	struct iovec iov[];
};

static struct vhd_disk *vhd_of(struct block_disk *disk)
{
	return (struct vhd_disk *)disk;
}

void vhd_queue_push(struct vhd_queue *queue, struct block_request *request)
{
	vhd_state_of(request)->next = NULL;
	if (queue->first)
		vhd_state_of(queue->last)->next = request;
	else
		queue->first = request;
	queue->last = request;
}

struct block_request *vhd_queue_pop(struct vhd_queue *queue)
{
	struct block_request *request = queue->first;

	if (request)
		queue->first = vhd_state_of(request)->next;
	return request;
}

void vhd_submit_below(struct vhd_disk *v, struct block_file_request *request)
{
	v->file->ops->submit(v->file, request);
}

static void kick_below(struct vhd_disk *v)
{
	v->file->ops->kick(v->file);
	if (v->parent)
		block_kick(v->parent);
}

/* ---- answers */

static void finish(struct block_request *request)
{
	const struct vhd_state *state = vhd_state_of(request);

	request->moved = state->error ? state->bad - request->offset : request->bytes;
	block_finish(request, state->error);
}

static void answer_later(void *context)
{
	struct vhd_disk *v = context;
	struct vhd_queue now = v->answered;
	struct block_request *request;

	v->answered = (struct vhd_queue){ 0 };
	while ((request = vhd_queue_pop(&now)))
		finish(request);
	block_batch_end(&v->disk);
	kick_below(v);
}

void vhd_answer(struct vhd_disk *v, struct block_request *request)
{
	if (!v->submitting) {
		finish(request);
		return;
	}
	vsp_soon(&v->disk.host, &v->answer);
	vhd_queue_push(&v->answered, request);
}

void vhd_part_end(struct vhd_disk *v, struct block_request *request, int error, uint64_t bad)
{
	struct vhd_state *state = vhd_state_of(request);

	if (error && (!state->error || bad < state->bad)) {
		state->error = error;
		state->bad = bad;
	}
	if (--state->pending)
		return;
	if (!state->error && (request->flags & BLOCK_FLAG_FUA) && request->op != BLOCK_READ && !vhd_commit_idle(v))
		vhd_commit_flush(v, request);	/* its bitmap bits and BAT entries too */
	else
		vhd_answer(v, request);
}

/* ---- parts */

static bool carries_data(const struct block_request *request)
{
	return request->op == BLOCK_READ || request->op == BLOCK_WRITE;
}

/* The request's memory for [start, start + bytes) as a list of its own: what lies below changes its list. */
static unsigned slice(const struct block_request *request, uint64_t start, uint64_t bytes, struct iovec *out)
{
	uint64_t skip = start - request->offset;
	unsigned count = 0;

	for (unsigned i = 0; i < request->iov_count && bytes; i++) {
		const struct iovec *from = &request->iov[i];
		uint64_t n;

		if (skip >= from->iov_len) {
			skip -= from->iov_len;
			continue;
		}
		n = from->iov_len - skip < bytes ? from->iov_len - skip : bytes;
		out[count++] = (struct iovec){ (uint8_t *)from->iov_base + skip, (size_t)n };
		skip = 0;
		bytes -= n;
	}
	return count;
}

static struct vhd_part *part_new(struct vhd_disk *v, struct block_request *request, uint64_t start, uint64_t bytes,
				 struct iovec **ret_iov, unsigned *ret_count)
{
	const bool whole = start == request->offset && bytes == request->bytes;
	const bool slices = carries_data(request) && !whole;	/* others may come with a list that means nothing */
	const size_t pieces = slices ? request->iov_count : 0;
	struct vhd_part *part = calloc(1, sizeof *part + pieces * sizeof *part->iov);

	vhd_state_of(request)->pending++;
	if (!part) {
		vhd_part_end(v, request, -ENOMEM, start);
		return NULL;
	}
	part->v = v;
	part->request = request;
	part->start = start;
	part->bytes = bytes;
	*ret_iov = slices ? part->iov : request->iov;
	*ret_count = slices ? slice(request, start, bytes, part->iov) : request->iov_count;
	return part;
}

static void part_done(struct vhd_part *part, int error, uint64_t moved)
{
	struct vhd_disk *v = part->v;
	struct block_request *request = part->request;
	const uint64_t bad = part->start + moved;

	if (part->block) {
		if (!error && request->op != BLOCK_READ && request->op != BLOCK_UNMAP)
			vhd_block_written(part->block, (uint32_t)(part->start % v->layout.block_bytes), (uint32_t)part->bytes);
		vhd_block_unuse(part->block);
	}
	free(part);
	vhd_part_end(v, request, error, bad);
}

static void file_part_done(struct block_file_request *below, int error)
{
	struct vhd_part *part = (struct vhd_part *)below;

	if (error == -EOPNOTSUPP && below->op == BLOCK_FILE_PUNCH) {
		if (part->request->op == BLOCK_WRITE_ZEROES) {
			below->op = BLOCK_FILE_ZERO;
			vhd_submit_below(part->v, below);
			return;
		}
		error = 0;		/* an unmap is a hint */
	}
	part_done(part, error, below->moved);
}

static void parent_part_done(struct block_request *below, int error)
{
	part_done((struct vhd_part *)below, error, below->moved);
}

static enum block_file_op op_below(const struct vhd_disk *v, const struct block_request *request)
{
	switch (request->op) {
	case BLOCK_READ:
		return BLOCK_FILE_READ;
	case BLOCK_WRITE:
		return BLOCK_FILE_WRITE;
	case BLOCK_WRITE_ZEROES:
		return (request->flags & BLOCK_FLAG_MAY_UNMAP) && v->file->can_punch ? BLOCK_FILE_PUNCH : BLOCK_FILE_ZERO;
	case BLOCK_UNMAP:
		return BLOCK_FILE_PUNCH;
	case BLOCK_FLUSH:
		break;
	}
	return BLOCK_FILE_FLUSH;
}

static void file_part(struct vhd_disk *v, struct block_request *request, uint64_t bytes, uint64_t file_offset,
		      struct vhd_block *block)
{
	struct iovec *iov;
	unsigned count;
	struct vhd_part *part = part_new(v, request, vhd_state_of(request)->cursor, bytes, &iov, &count);

	if (!part)
		return;
	part->block = block;
	if (block)
		vhd_block_use(block);
	part->below.file = (struct block_file_request){
		.op = op_below(v, request),
		.flags = BLOCK_FILE_INSIDE | (request->flags & BLOCK_FLAG_FUA ? BLOCK_FILE_FUA : 0),
		.offset = file_offset,
		.bytes = bytes,
		.iov = iov,
		.iov_count = count,
		.done = file_part_done,
	};
	vhd_submit_below(v, &part->below.file);
}

static void parent_part(struct vhd_disk *v, struct block_request *request, uint64_t bytes)
{
	const uint64_t start = vhd_state_of(request)->cursor;
	struct iovec *iov;
	unsigned count;
	struct vhd_part *part = part_new(v, request, start, bytes, &iov, &count);
	int r;

	if (!part)
		return;
	part->below.disk = (struct block_request){
		.op = BLOCK_READ, .offset = start, .bytes = bytes, .iov = iov, .iov_count = count, .done = parent_part_done,
	};
	r = block_submit(v->parent, &part->below.disk);
	if (r)
		part_done(part, -EIO, 0);
}

/* What was never written here: the parent's as far as that reaches, and zeroes. */
static void read_absent(struct vhd_disk *v, struct block_request *request, uint64_t bytes)
{
	const uint64_t start = vhd_state_of(request)->cursor;
	const uint64_t parent_bytes = v->parent ? v->parent->info.bytes : 0;
	uint64_t above = 0;

	if (start < parent_bytes)
		above = bytes < parent_bytes - start ? bytes : parent_bytes - start;
	if (above < bytes)
		iov_zero(request->iov, request->iov_count, start - request->offset + above, bytes - above);
	if (above)
		parent_part(v, request, above);
}

static uint64_t block_data_offset(const struct vhd_disk *v, uint32_t index)
{
	return (uint64_t)v->bat[index] * VHD_SECTOR_BYTES + v->layout.bitmap_bytes;
}

/* Inside a block with holes: the run of sectors at the cursor that are all there or all not. The bytes. */
static uint32_t step_in_block(struct vhd_disk *v, struct block_request *request, struct vhd_block *block, uint32_t offset,
			      uint32_t bytes)
{
	const bool writes = request->op == BLOCK_WRITE || request->op == BLOCK_WRITE_ZEROES;
	bool present = true;

	if (!writes)
		bytes = vhd_block_run(block, offset, bytes, &present);
	if (present)
		file_part(v, request, bytes, block_data_offset(v, block->index) + offset, block);
	else if (request->op == BLOCK_READ)
		read_absent(v, request, bytes);
	return bytes;
}

/* At the cursor, in one block. The bytes that are on their way; 0: the request waits or has failed. */
static uint32_t step_in_disk(struct vhd_disk *v, struct block_request *request, uint32_t index, uint32_t offset,
			     uint32_t bytes)
{
	struct vhd_block *block;

	if (v->bat[index] == VHD_UNALLOCATED) {
		const bool needs_room = request->op == BLOCK_WRITE || (request->op == BLOCK_WRITE_ZEROES && v->parent);

		if (needs_room) {
			vhd_block_allocate(v, index, request);
			return 0;
		}
		if (request->op == BLOCK_READ)
			read_absent(v, request, bytes);
		return bytes;
	}
	if (vhd_block_is_full(v, index)) {
		file_part(v, request, bytes, block_data_offset(v, index) + offset, NULL);
		return bytes;
	}
	block = vhd_block_get(v, index, request);
	return block ? step_in_block(v, request, block, offset, bytes) : 0;
}

void vhd_advance(struct vhd_disk *v, struct block_request *request)
{
	struct vhd_state *state = vhd_state_of(request);
	const uint64_t end = request->offset + request->bytes;

	while (state->cursor < end) {
		const uint32_t offset = (uint32_t)(state->cursor % v->layout.block_bytes);
		const uint32_t left = v->layout.block_bytes - offset;
		const uint32_t bytes = step_in_disk(v, request, (uint32_t)(state->cursor / v->layout.block_bytes), offset,
						    end - state->cursor < left ? (uint32_t)(end - state->cursor) : left);

		if (bytes == 0)
			return;
		state->cursor += bytes;
	}
	vhd_part_end(v, request, 0, 0);
}

/* ---- the disk */

static void vhd_submit(struct block_disk *disk, struct block_request *request)
{
	struct vhd_disk *v = vhd_of(disk);
	const bool inside = v->submitting;

	v->submitting = true;
	*vhd_state_of(request) = (struct vhd_state){ .cursor = request->offset, .pending = 1 };
	if (request->op == BLOCK_FLUSH) {
		vhd_commit_flush(v, request);
	} else if (v->layout.type == VHD_FIXED) {
		file_part(v, request, request->bytes, request->offset, NULL);
		vhd_part_end(v, request, 0, 0);
	} else {
		vhd_advance(v, request);
	}
	v->submitting = inside;
}

static void vhd_kick(struct block_disk *disk)
{
	kick_below(vhd_of(disk));
}

static void file_batched(void *context)
{
	struct vhd_disk *v = context;

	if (v->parent)
		block_kick(v->parent);
	block_batch_end(&v->disk);
}

static void parent_batched(void *context)
{
	struct vhd_disk *v = context;

	v->file->ops->kick(v->file);
	block_batch_end(&v->disk);
}

static int vhd_current_bytes(struct block_disk *disk, uint64_t *ret_bytes)
{
	*ret_bytes = vhd_of(disk)->layout.bytes;
	return 0;
}

static void parent_closed(void *context)
{
	struct vhd_disk *v = context;

	block_settled(&v->disk);
}

void vhd_settle_go_on(struct vhd_disk *v)
{
	struct block_disk *parent = v->parent;

	v->settling = false;
	v->disk.host.ops->timer_cancel(v->disk.host.context, &v->commit_timer);
	v->parent = NULL;
	if (parent)
		block_close(parent, parent_closed, v);
	else
		block_settled(&v->disk);
}

/* Links what no flush asked to be linked, and then lets the parent go. */
static void vhd_settle(struct block_disk *disk)
{
	struct vhd_disk *v = vhd_of(disk);

	v->settling = true;
	if (v->phase != VHD_COMMIT_NONE)
		return;			/* its end goes on */
	if (v->changed) {
		vhd_commit_now(v);
		kick_below(v);
	} else {
		vhd_settle_go_on(v);
	}
}

static void vhd_destroy(struct block_disk *disk)
{
	struct vhd_disk *v = vhd_of(disk);

	vsp_soon_cancel(&disk->host, &v->answer);
	disk->host.ops->timer_cancel(disk->host.context, &v->commit_timer);
	if (v->file)
		v->file->ops->destroy(v->file);
	vhd_blocks_free(v);
	free(v->bat);
	free(v->full);
	free(v);
}

static const struct block_disk_ops vhd_ops = {
	.submit = vhd_submit,
	.kick = vhd_kick,
	.current_bytes = vhd_current_bytes,
	.settle = vhd_settle,
	.destroy = vhd_destroy,
};

static int read_file(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	struct block_file *file = context;

	return file->ops->read_now(file, offset, buffer, bytes);
}

static int read_blocks(struct vhd_disk *v, const struct vhd_source *source, struct block_failure *why)
{
	int r;

	if (v->layout.type == VHD_FIXED)
		return 0;
	r = vhd_bat_read(source, &v->layout, &v->bat, why);
	if (r)
		return r;
	v->full = calloc(1, (v->layout.bat_entries + 7) / 8);
	return v->full ? 0 : block_failure_set(why, -ENOMEM, "VHD: no memory for %u blocks", v->layout.bat_entries);
}

static int check_options(const struct vhd_disk *v, const struct vhd_options *options, const struct block_file *file,
			 struct block_failure *why)
{
	const uint32_t physical = v->disk.info.physical_bytes;

	if (physical < VHD_SECTOR_BYTES || physical > BLOCK_SECTOR_MAX || (physical & (physical - 1)))
		return block_failure_set(why, -EINVAL, "VHD: physical sectors of %u bytes", physical);
	if (file->align_bytes > VHD_SECTOR_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: the storage directly takes pieces of %u bytes, the format has 512",
					 file->align_bytes);
	if (v->layout.type != VHD_DIFFERENCING && options->parent)
		return block_failure_set(why, -EINVAL, "VHD: not a differencing image, yet a parent was given");
	if (v->layout.type == VHD_DIFFERENCING && !options->parent)
		return block_failure_set(why, -ENOLINK, "VHD: a differencing image cannot be used without its parent");
	if (options->parent && options->parent->info.logical_bytes != VHD_SECTOR_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: the parent has sectors of %u bytes, not 512",
					 options->parent->info.logical_bytes);
	return 0;
}

static int open_image(struct vhd_disk *v, struct block_file *file, const struct vhd_options *options,
		      struct block_failure *why)
{
	struct vhd_source source = { .read = read_file, .context = file };
	int r = file->ops->size(file, &source.bytes);

	if (r)
		return block_failure_set(why, r, "VHD: the file does not tell its size: %s", strerror(-r));
	r = vhd_layout_read(&source, &v->layout, why);
	if (r)
		return r;
	v->disk.info = (struct block_info){
		.bytes = v->layout.bytes,
		.logical_bytes = VHD_SECTOR_BYTES,
		.physical_bytes = options->physical_bytes ? options->physical_bytes : VHD_SECTOR_BYTES,
		.unmap_bytes = BLOCK_SECTOR_MAX,
		.read_only = options->read_only || file->read_only,
	};
	v->disk.info.unmap = file->can_punch && !v->disk.info.read_only;
	memcpy(v->disk.info.id, options->id, sizeof v->disk.info.id);
	v->stale_end = (v->layout.file_bytes + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
	r = check_options(v, options, file, why);
	return r ? r : read_blocks(v, &source, why);
}

int vhd_open(struct block_file *file, const struct vhd_options *options, struct block_disk **ret_disk,
	     struct block_failure *why)
{
	struct vhd_disk *v = calloc(1, sizeof *v);
	int r;

	if (!v)
		return block_failure_set(why, -ENOMEM, "VHD: no memory");
	block_disk_init(&v->disk, &vhd_ops, &file->host);
	v->answer = vsp_soon_make(answer_later, v);
	vhd_commit_init(v);
	r = open_image(v, file, options, why);
	if (r) {
		vhd_destroy(&v->disk);	/* has no file yet */
		return r;
	}
	v->file = file;
	file->batched = file_batched;
	file->batched_context = v;
	v->parent = options->parent;
	if (v->parent)
		block_listen(v->parent, &(struct block_listener){ .batched = parent_batched, .context = v });
	*ret_disk = &v->disk;
	return 0;
}
