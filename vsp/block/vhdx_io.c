// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/iov.h"
#include "block/vhdx_engine.h"

enum verdict {
	NEXT,		/* a piece is on its way, or needs nothing */
	AGAIN,		/* look once more */
	WAIT,		/* the request is on a list */
	FAILED,
};

static void complete(struct vhdx *v, struct block_request *request);
static void submit_flush(struct vhdx *v, struct block_request *request);

static void note_error(struct block_request *request, uint64_t at, int error)
{
	struct vhdx_state *state = vhdx_state(request);

	if (at < state->failed_at) {
		state->failed_at = at;
		state->error = error;
	}
}

static void put(struct vhdx *v, struct block_request *request)
{
	if (--vhdx_state(request)->pending == 0)
		complete(v, request);
}

void vhdx_fail_request(struct vhdx *v, struct block_request *request, int error)
{
	note_error(request, vhdx_state(request)->at, error);
	vhdx_state(request)->at = request->bytes;
	put(v, request);
}

void vhdx_wake(struct vhdx *v, struct vhdx_queue *queue)
{
	struct vhdx_queue now = *queue;
	struct block_request *request;

	*queue = (struct vhdx_queue){ 0 };
	while ((request = vhdx_pop(&now)))
		vhdx_go_on(v, request);
}

/* Its answer, now or when nobody is inside block_submit. */
void vhdx_finish(struct vhdx *v, struct block_request *request, int error)
{
	struct vhdx_state *state = vhdx_state(request);

	if (!v->submitting) {
		block_finish(request, error);
		return;
	}
	state->error = error;
	vsp_soon(&v->disk.host, &v->run_done);
	vhdx_push(&v->done, request);
}

void vhdx_run_done(void *context)
{
	struct vhdx *v = context;
	struct vhdx_queue done = v->done;
	struct block_request *request;

	v->done = (struct vhdx_queue){ 0 };
	while ((request = vhdx_pop(&done)))
		block_finish(request, vhdx_state(request)->error);
	vhdx_batch_end(v);
}

static void complete(struct vhdx *v, struct block_request *request)
{
	const struct vhdx_state *state = vhdx_state(request);

	request->moved = state->error ? state->failed_at : request->bytes;
	if (state->error == 0 && (request->flags & BLOCK_FLAG_FUA) && request->op != BLOCK_READ && !vhdx_settled(v)) {
		/* Its data are stable; what says where they are is not. */
		submit_flush(v, request);
		return;
	}
	vhdx_finish(v, request, state->error);
}

/* Pieces ------------------------------------------------------------------------------------------------------------*/

static struct vhdx_io *io_get(struct vhdx *v)
{
	struct vhdx_io *io = v->free_ios;

	if (!io && v->slab_count < VHDX_IO_MAX / VHDX_IO_SLAB) {
		struct vhdx_io *slab = calloc(VHDX_IO_SLAB, sizeof *slab);

		if (!slab)
			return NULL;
		for (unsigned i = 0; i < VHDX_IO_SLAB; i++) {
			slab[i].vhdx = v;
			slab[i].next = i + 1 < VHDX_IO_SLAB ? &slab[i + 1] : NULL;
		}
		v->slabs[v->slab_count++] = slab;
		io = slab;
	}
	if (io)
		v->free_ios = io->next;
	return io;
}

static void io_put(struct vhdx *v, struct vhdx_io *io)
{
	if (io->many) {
		free(io->many);
		io->many = NULL;
	}
	io->next = v->free_ios;
	v->free_ios = io;
}

void vhdx_ios_free(struct vhdx *v)
{
	while (v->slab_count)
		free(v->slabs[--v->slab_count]);
	free(v->slabs);
}

/* The whole block is here: the bitmap need not be asked any more. */
static bool block_is_full(const struct vhdx *v, const struct vhdx_io *io, uint64_t sector)
{
	const uint64_t sectors = v->block_bytes >> v->sector_shift;
	const uint32_t in_page = (uint32_t)((sector & ~(sectors - 1)) % VHDX_BITMAP_PAGE_SECTORS);

	return sectors <= VHDX_BITMAP_PAGE_SECTORS && vhdx_bitmap_is_set(io->page, in_page, (uint32_t)sectors);
}

/* The sectors of a piece are in the file: the bitmap says so. false: no room for another page. */
static bool mark(struct vhdx *v, struct vhdx_io *io)
{
	const uint64_t sector = (io->request->offset + io->at) >> v->sector_shift;
	const uint32_t first = (uint32_t)(sector % VHDX_BITMAP_PAGE_SECTORS);
	const uint32_t count = (uint32_t)(io->file.bytes >> v->sector_shift);

	/* Another block by now, or a full one. */
	if (v->bat[io->index] != io->entry || vhdx_bitmap_is_set(io->page, first, count))
		return true;
	if (!vhdx_room(v, 2))
		return false;
	vhdx_bitmap_fill(v, io->page, first, count, true);
	if (block_is_full(v, io, sector)) {
		v->bat[io->index] = VHDX_BAT_OFFSET(io->entry) | VHDX_BLOCK_PRESENT;
		vhdx_dirty_bat(v, io->index);
	}
	return true;
}

static void piece_end(struct vhdx *v, struct vhdx_io *io)
{
	struct block_request *request = io->request;

	if (io->page) {
		io->page->pins--;
		io->page = NULL;
	}
	io_put(v, io);
	put(v, request);
	while (v->wait_io.first && v->free_ios)
		vhdx_go_on(v, vhdx_pop(&v->wait_io));
}

void vhdx_marks_go_on(struct vhdx *v)
{
	struct vhdx_io *io = v->wait_mark;

	v->wait_mark = NULL;
	v->wait_mark_last = &v->wait_mark;
	while (io) {
		struct vhdx_io *next = io->next;

		if (v->broken)
			note_error(io->request, io->at, v->broken);
		if (v->broken || mark(v, io)) {
			piece_end(v, io);
		} else {
			io->next = NULL;
			*v->wait_mark_last = io;
			v->wait_mark_last = &io->next;
		}
		io = next;
	}
}

static void left_grace(struct vhdx *v, unsigned grace)
{
	if (--v->in_grace[grace] == 0 && v->grace_waits)
		vhdx_freed_rest(v);
}

/* Not every storage can punch holes: an unmap did nothing then, and zeroes are written. */
static bool punch_refused(struct vhdx *v, struct vhdx_io *io, int *error)
{
	if (*error != -EOPNOTSUPP || io->file.op != BLOCK_FILE_PUNCH)
		return false;
	if (io->request->op == BLOCK_UNMAP) {
		*error = 0;
		return false;
	}
	io->file.op = BLOCK_FILE_ZERO;
	vhdx_send(v, &io->file);
	return true;
}

static void file_done(struct block_file_request *file, int error)
{
	struct vhdx_io *io = (struct vhdx_io *)file;
	struct vhdx *v = io->vhdx;

	if (error && punch_refused(v, io, &error))
		return;
	left_grace(v, io->grace);
	if (error) {
		note_error(io->request, io->at + file->moved, error);
	} else if (io->page && v->broken) {
		note_error(io->request, io->at, v->broken);
	} else if (io->page && !mark(v, io)) {
		io->next = NULL;
		*v->wait_mark_last = io;
		v->wait_mark_last = &io->next;
		vhdx_poke(v);
		return;
	}
	piece_end(v, io);
}

static void parent_done(struct block_request *parent, int error)
{
	struct vhdx_io *io = (struct vhdx_io *)parent;

	if (error)
		note_error(io->request, io->at + parent->moved, error);
	piece_end(io->vhdx, io);
}

/* The next `bytes` of the request's memory. The whole list is lent as it is; a part is copied. */
static struct iovec *take_memory(struct vhdx_io *io, struct block_request *request, uint64_t bytes, unsigned *ret_count)
{
	struct iovec *iov = io->iov;
	uint64_t covered = 0;
	unsigned count = 0;

	if (bytes == request->bytes) {
		*ret_count = request->iov_count;
		return request->iov;
	}
	while (covered < bytes)
		covered += request->iov[count++].iov_len;
	if (count > VHDX_IO_IOV) {
		io->many = malloc(count * sizeof *iov);
		iov = io->many;
		if (!iov)
			return NULL;
	}
	memcpy(iov, request->iov, count * sizeof *iov);
	*ret_count = iov_truncate(iov, count, bytes);
	iov_advance(&request->iov, &request->iov_count, bytes);
	return iov;
}

static enum verdict fail(struct block_request *request, int error)
{
	note_error(request, vhdx_state(request)->at, error);
	return FAILED;
}

static enum verdict no_io(struct vhdx *v, struct block_request *request)
{
	if (v->slab_count == 0)
		return fail(request, -ENOMEM);
	vhdx_push(&v->wait_io, request);
	return WAIT;
}

/* `page`: set bits there when it is done. */
static enum verdict file_piece(struct vhdx *v, struct block_request *request, enum block_file_op op, uint64_t index,
			       uint64_t in_block, uint64_t bytes, struct vhdx_bitmap_page *page)
{
	struct vhdx_state *state = vhdx_state(request);
	struct vhdx_io *io = io_get(v);

	if (!io)
		return no_io(v, request);
	io->request = request;
	io->at = state->at;
	io->index = index;
	io->entry = v->bat[index];
	io->page = page;
	io->grace = v->grace;
	io->file.op = op;
	io->file.flags = request->flags & BLOCK_FLAG_FUA && op != BLOCK_FILE_READ ? BLOCK_FILE_FUA : 0;
	io->file.offset = VHDX_BAT_OFFSET(io->entry) + in_block;
	io->file.bytes = bytes;
	io->file.iov = NULL;
	io->file.iov_count = 0;
	io->file.done = file_done;
	if (op == BLOCK_FILE_READ || op == BLOCK_FILE_WRITE) {
		io->file.iov = take_memory(io, request, bytes, &io->file.iov_count);
		if (!io->file.iov) {
			io->page = NULL;
			io_put(v, io);
			return fail(request, -ENOMEM);
		}
	}
	if (page)
		page->pins++;
	v->in_grace[io->grace]++;
	state->pending++;
	state->at += bytes;
	vhdx_send(v, &io->file);
	return NEXT;
}

static enum verdict zeroes_piece(struct block_request *request, uint64_t bytes)
{
	vhdx_state(request)->at += bytes;
	while (bytes) {
		const uint64_t n = request->iov->iov_len < bytes ? request->iov->iov_len : bytes;

		memset(request->iov->iov_base, 0, n);
		iov_advance(&request->iov, &request->iov_count, n);
		bytes -= n;
	}
	return NEXT;
}

static enum verdict parent_piece(struct vhdx *v, struct block_request *request, uint64_t bytes)
{
	const uint64_t at = request->offset + vhdx_state(request)->at, end = v->parent->info.bytes;
	struct vhdx_io *io;

	if (at >= end)
		return zeroes_piece(request, bytes);
	if (bytes > end - at)
		bytes = end - at;
	io = io_get(v);
	if (!io)
		return no_io(v, request);
	io->request = request;
	io->at = vhdx_state(request)->at;
	io->parent = (struct block_request){ .op = BLOCK_READ, .offset = at, .bytes = bytes, .done = parent_done };
	io->parent.iov = take_memory(io, request, bytes, &io->parent.iov_count);
	if (!io->parent.iov || block_submit(v->parent, &io->parent) != 0) {
		const int error = io->parent.iov ? -EIO : -ENOMEM;

		io_put(v, io);
		return fail(request, error);
	}
	v->kick = true;
	vhdx_state(request)->pending++;
	vhdx_state(request)->at += bytes;
	return NEXT;
}

/* The bitmap page of a place, ready. Cuts *bytes to what it covers. */
static enum verdict page_at(struct vhdx *v, struct block_request *request, uint64_t at, uint64_t *bytes,
			    struct vhdx_bitmap_page **ret_page)
{
	const uint64_t covers = 1ull << v->page_shift, left = covers - (at & (covers - 1));
	struct vhdx_bitmap_page *page;
	int r = vhdx_bitmap_get(v, at >> v->page_shift, &page);

	if (r)
		return fail(request, r);
	if (!page->ready) {
		vhdx_push(&page->waiting, request);
		return WAIT;
	}
	if (*bytes > left)
		*bytes = left;
	*ret_page = page;
	return NEXT;
}

/* Requests ----------------------------------------------------------------------------------------------------------*/

struct place {
	uint64_t at;		/* of the disk */
	uint64_t index;		/* in the BAT */
	uint64_t in_block;
	uint64_t bytes;		/* to the end of the block, or of the request */
	unsigned state;
};

static enum verdict read_partial(struct vhdx *v, struct block_request *request, const struct place *place)
{
	struct vhdx_bitmap_page *page;
	uint64_t bytes = place->bytes;
	uint32_t first, count;
	enum verdict verdict = page_at(v, request, place->at, &bytes, &page);
	bool here;

	if (verdict != NEXT)
		return verdict;
	first = (uint32_t)((place->at >> v->sector_shift) % VHDX_BITMAP_PAGE_SECTORS);
	here = vhdx_bitmap_run(page, first, first + (uint32_t)(bytes >> v->sector_shift), &count);
	bytes = (uint64_t)count << v->sector_shift;
	return here ? file_piece(v, request, BLOCK_FILE_READ, place->index, place->in_block, bytes, NULL) :
		      parent_piece(v, request, bytes);
}

static enum verdict read_step(struct vhdx *v, struct block_request *request, const struct place *place)
{
	switch (place->state) {
	case VHDX_BLOCK_PRESENT:
		return file_piece(v, request, BLOCK_FILE_READ, place->index, place->in_block, place->bytes, NULL);
	case VHDX_BLOCK_PARTIAL:
		return read_partial(v, request, place);
	case VHDX_BLOCK_NOT_PRESENT:
		if (v->parent)
			return parent_piece(v, request, place->bytes);
		break;
	}
	return zeroes_piece(request, place->bytes);
}

static enum verdict allocate(struct vhdx *v, struct block_request *request, uint64_t index, uint64_t bytes,
			     enum vhdx_block_state state, struct vhdx_bitmap_page **pages, unsigned page_count)
{
	struct vhdx_allocation *allocation = vhdx_allocation_find(v, index);

	if (!allocation) {
		int r;

		for (unsigned i = 0; i < page_count; i++)
			pages[i]->pins++;
		r = vhdx_allocate(v, index, bytes, state, pages, page_count);
		for (unsigned i = 0; r && i < page_count; i++)
			pages[i]->pins--;
		if (r == -EAGAIN) {
			vhdx_push(&v->wait_allocation, request);
			return WAIT;
		}
		if (r)
			return fail(request, r);
		allocation = vhdx_allocation_find(v, index);
		if (!allocation)
			return AGAIN;
	}
	vhdx_push(&allocation->waiting, request);
	return WAIT;
}

/* A block of a differencing disk about to hold some sectors: its bitmap first. */
static enum verdict allocate_partial(struct vhdx *v, struct block_request *request, const struct place *place)
{
	const uint64_t start = place->at - place->in_block;
	const uint64_t bitmap = vhdx_bat_bitmap_index(v->chunk_shift, start >> v->block_shift >> v->chunk_shift);
	struct vhdx_bitmap_page *pages[VHDX_BLOCK_PAGES_MAX];
	unsigned count = 0;

	if (VHDX_BAT_STATE(v->bat[bitmap]) != VHDX_BLOCK_PRESENT)
		return allocate(v, request, bitmap, VHDX_BITMAP_BYTES, VHDX_BLOCK_PRESENT, NULL, 0);
	for (uint64_t at = start; at < start + v->block_bytes; at += 1ull << v->page_shift) {
		uint64_t bytes = v->block_bytes;
		const enum verdict verdict = page_at(v, request, at, &bytes, &pages[count]);

		if (verdict != NEXT)
			return verdict;
		count++;
	}
	return allocate(v, request, place->index, v->block_bytes, VHDX_BLOCK_PARTIAL, pages, count);
}

/* Data or zeroes into a block, wherever it may be. */
static enum verdict into_block(struct vhdx *v, struct block_request *request, const struct place *place,
			       enum block_file_op op)
{
	struct vhdx_bitmap_page *page;
	uint64_t bytes = place->bytes;
	enum verdict verdict;

	if (place->state == VHDX_BLOCK_PRESENT)
		return file_piece(v, request, op, place->index, place->in_block, bytes, NULL);
	if (place->state == VHDX_BLOCK_PARTIAL) {
		verdict = page_at(v, request, place->at, &bytes, &page);
		return verdict == NEXT ? file_piece(v, request, op, place->index, place->in_block, bytes, page) : verdict;
	}
	if (v->parent && place->state == VHDX_BLOCK_NOT_PRESENT)
		return allocate_partial(v, request, place);
	return allocate(v, request, place->index, v->block_bytes, VHDX_BLOCK_PRESENT, NULL, 0);
}

static enum verdict nothing(struct block_request *request, const struct place *place)
{
	vhdx_state(request)->at += place->bytes;
	return NEXT;
}

static bool reads_zeroes(const struct vhdx *v, unsigned state)
{
	return state < VHDX_BLOCK_PRESENT && (state != VHDX_BLOCK_NOT_PRESENT || !v->parent);
}

/* A whole block becomes nothing. An unmapped block of a differencing disk could be read as the parent's by others. */
static enum verdict drop_block(struct vhdx *v, struct block_request *request, const struct place *place)
{
	if (!vhdx_room(v, 1)) {
		vhdx_push(&v->wait_room, request);
		vhdx_poke(v);
		return WAIT;
	}
	vhdx_release(v, place->index, request->op == BLOCK_UNMAP && !v->parent ? VHDX_BLOCK_UNMAPPED : VHDX_BLOCK_ZERO);
	return nothing(request, place);
}

static enum verdict zero_step(struct vhdx *v, struct block_request *request, const struct place *place)
{
	const bool unmap = request->op == BLOCK_UNMAP;
	const bool give_back = (unmap || (request->flags & BLOCK_FLAG_MAY_UNMAP)) && v->layout.info.type != VHDX_FIXED;
	const bool whole = place->in_block == 0 &&
			   (place->bytes == v->block_bytes || place->at + place->bytes == v->disk.info.bytes);
	struct vhdx_allocation *allocation = vhdx_allocation_find(v, place->index);

	if (allocation) {
		vhdx_push(&allocation->waiting, request);
		return WAIT;
	}
	if (reads_zeroes(v, place->state))
		return nothing(request, place);
	if (whole && (give_back || place->state == VHDX_BLOCK_NOT_PRESENT))
		return drop_block(v, request, place);
	if (unmap && (place->state != VHDX_BLOCK_PRESENT || !give_back || !v->file->can_punch))
		return nothing(request, place);
	return into_block(v, request, place, give_back && v->file->can_punch ? BLOCK_FILE_PUNCH : BLOCK_FILE_ZERO);
}

static enum verdict step(struct vhdx *v, struct block_request *request)
{
	const struct vhdx_state *state = vhdx_state(request);
	const uint64_t at = request->offset + state->at, left = request->bytes - state->at;
	struct place place = { .at = at };
	uint64_t to_end;

	place.index = vhdx_bat_index(v->chunk_shift, at >> v->block_shift);
	place.in_block = at & (v->block_bytes - 1);
	to_end = v->block_bytes - place.in_block;
	place.bytes = left < to_end ? left : to_end;
	place.state = VHDX_BAT_STATE(v->bat[place.index]);
	switch (request->op) {
	case BLOCK_READ:
		return read_step(v, request, &place);
	case BLOCK_WRITE:
		return into_block(v, request, &place, BLOCK_FILE_WRITE);
	default:
		return zero_step(v, request, &place);
	}
}

void vhdx_go_on(struct vhdx *v, struct block_request *request)
{
	struct vhdx_state *state = vhdx_state(request);

	if (v->broken && (request->op != BLOCK_READ || v->replay)) {
		vhdx_fail_request(v, request, -EIO);
		return;
	}
	while (state->at < request->bytes) {
		const enum verdict verdict = step(v, request);

		if (verdict == WAIT)
			return;
		if (verdict == FAILED)
			break;
	}
	put(v, request);
}

static void submit_flush(struct vhdx *v, struct block_request *request)
{
	if (v->broken || !v->started) {
		vhdx_finish(v, request, v->broken);	/* nothing has been written yet */
		return;
	}
	vhdx_push(&v->flush_waiting, request);
	vhdx_poke(v);
}

static void vhdx_submit(struct block_disk *disk, struct block_request *request)
{
	struct vhdx *v = vhdx_of(disk);
	const bool outer = v->submitting;

	*vhdx_state(request) = (struct vhdx_state){ .pending = 1, .failed_at = UINT64_MAX };
	v->submitting = true;
	if (request->op == BLOCK_FLUSH) {
		submit_flush(v, request);
	} else if (!v->started && !v->broken && !disk->info.read_only && (request->op != BLOCK_READ || v->replay)) {
		vhdx_push(&v->wait_start, request);
		vhdx_start(v);
	} else {
		vhdx_go_on(v, request);
	}
	v->submitting = outer;
}

void vhdx_kick_below(struct vhdx *v)
{
	if (!v->kick)
		return;
	v->kick = false;
	v->file->ops->kick(v->file);
	if (v->parent)
		block_kick(v->parent);
}

static void vhdx_kick(struct block_disk *disk)
{
	vhdx_kick_below(vhdx_of(disk));
}

void vhdx_batch_end(void *context)
{
	struct vhdx *v = context;

	vhdx_kick_below(v);
	block_batch_end(&v->disk);
}

static int current_bytes(struct block_disk *disk, uint64_t *ret_bytes)
{
	*ret_bytes = vhdx_of(disk)->layout.info.bytes;
	return 0;
}

static void destroy(struct block_disk *disk)
{
	struct vhdx *v = vhdx_of(disk);

	v->file->ops->destroy(v->file);
	vhdx_close(v);
}

const struct block_disk_ops vhdx_ops = {
	.submit = vhdx_submit,
	.kick = vhdx_kick,
	.current_bytes = current_bytes,
	.resize = vhdx_online_resize,
	.settle = vhdx_settle,
	.destroy = destroy,
};
