// SPDX-License-Identifier: Apache-2.0
/*
 * A block comes into being in this order: space is taken, the file made long enough, what the space held before
 * zeroed, and only then the BAT says so; whoever wants to write the block waits until then. Until it does, readers
 * see what was there before, and so does a power cut: of space used before the zeroes are made stable first.
 *
 * A block is given back in this order: the BAT says so, the change is committed, all pieces that may still know the
 * old place are done, a hole is punched. Then its space may be taken again.
 */
#include <errno.h>
#include <string.h>

#include "block/vhdx_engine.h"

struct vhdx_allocation *vhdx_allocation_find(struct vhdx *v, uint64_t index)
{
	if (v->allocation_count == 0)
		return NULL;
	for (unsigned i = 0; i < VHDX_ALLOCATIONS_MAX; i++)
		if (v->allocations[i].active && v->allocations[i].index == index)
			return &v->allocations[i];
	return NULL;
}

static struct vhdx_allocation *of_file(struct block_file_request *request)
{
	return (struct vhdx_allocation *)((char *)request - offsetof(struct vhdx_allocation, file));
}

static void end(struct vhdx_allocation *a, int error)
{
	struct vhdx *v = a->vhdx;
	struct vhdx_queue waiting = a->waiting;
	struct block_request *request;

	for (unsigned i = 0; i < a->page_count; i++)
		a->pages[i]->pins--;
	a->active = false;
	v->allocation_count--;
	if (error) {
		vhdx_space_give(&v->space, a->offset, a->bytes);
		while ((request = vhdx_pop(&waiting)))
			vhdx_fail_request(v, request, error);
	} else {
		vhdx_wake(v, &waiting);
	}
	vhdx_wake(v, &v->wait_allocation);
}

/* The bits of the block in the pages that it has: nothing of it is here yet. */
static void clear_bits(struct vhdx_allocation *a)
{
	struct vhdx *v = a->vhdx;
	const uint64_t chunk = a->index / ((1ull << v->chunk_shift) + 1), block = a->index - chunk;
	const uint64_t first = block << (v->block_shift - v->sector_shift);
	const uint64_t sectors = 1ull << (v->block_shift - v->sector_shift);
	const uint32_t in_page = (uint32_t)(first % VHDX_BITMAP_PAGE_SECTORS);
	const uint32_t count = sectors < VHDX_BITMAP_PAGE_SECTORS ? (uint32_t)sectors : VHDX_BITMAP_PAGE_SECTORS;

	for (unsigned i = 0; i < a->page_count; i++)
		vhdx_bitmap_fill(v, a->pages[i], in_page, count, false);
}

static void ready(struct vhdx_allocation *a)
{
	struct vhdx *v = a->vhdx;

	if (v->broken) {
		end(a, -EIO);
		return;
	}
	if (!vhdx_room(v, 1 + a->page_count)) {
		a->waiting_for_room = true;
		vhdx_poke(v);
		return;
	}
	clear_bits(a);
	v->bat[a->index] = a->offset | a->state;
	if (a->stale)
		v->barrier = true;
	vhdx_dirty_bat(v, a->index);
	end(a, 0);
}

void vhdx_allocations_go_on(struct vhdx *v)
{
	for (unsigned i = 0; i < VHDX_ALLOCATIONS_MAX; i++) {
		struct vhdx_allocation *a = &v->allocations[i];

		if (a->active && a->waiting_for_room) {
			a->waiting_for_room = false;
			ready(a);
		}
	}
}

static void zeroed(struct block_file_request *request, int error)
{
	struct vhdx_allocation *a = of_file(request);

	if (error && request->op == BLOCK_FILE_PUNCH) {
		request->op = BLOCK_FILE_ZERO;
		vhdx_send(a->vhdx, request);
	} else if (error) {
		end(a, error);
	} else {
		ready(a);
	}
}

static void has_space(struct vhdx_allocation *a)
{
	struct vhdx *v = a->vhdx;

	if (!a->stale) {
		ready(a);
		return;
	}
	a->file = (struct block_file_request){
		.op = v->file->can_punch ? BLOCK_FILE_PUNCH : BLOCK_FILE_ZERO, .offset = a->offset, .bytes = a->bytes,
		.done = zeroed,
	};
	vhdx_send(v, &a->file);
}

static void grown(struct block_file_request *request, int error)
{
	struct vhdx *v = (struct vhdx *)((char *)request - offsetof(struct vhdx, grow));

	v->growing = false;
	if (error == 0)
		v->file_bytes = request->offset;
	for (unsigned i = 0; i < VHDX_ALLOCATIONS_MAX; i++) {
		struct vhdx_allocation *a = &v->allocations[i];

		if (!a->active || !a->growing || a->offset + a->bytes > request->offset)
			continue;
		a->growing = false;
		if (error)
			end(a, error);
		else
			has_space(a);
	}
	if (error && vhdx_online_file_bytes(v) > v->file_bytes && vhdx_online_file_bytes(v) <= request->offset)
		vhdx_online_fail(v, error);
	else
		vhdx_online_go_on(v);
	vhdx_lengthen(v);
}

/* One at a time: of two sizes set at once, the smaller might be the last. */
void vhdx_lengthen(struct vhdx *v)
{
	uint64_t bytes = vhdx_online_file_bytes(v);

	if (v->growing)
		return;
	for (unsigned i = 0; i < VHDX_ALLOCATIONS_MAX; i++) {
		const struct vhdx_allocation *a = &v->allocations[i];

		if (a->active && a->growing && a->offset + a->bytes > bytes)
			bytes = a->offset + a->bytes;
	}
	if (bytes <= v->file_bytes)
		return;
	v->growing = true;
	v->grow = (struct block_file_request){ .op = BLOCK_FILE_SET_SIZE, .offset = bytes, .done = grown };
	vhdx_send(v, &v->grow);
}

int vhdx_allocate(struct vhdx *v, uint64_t index, uint64_t bytes, enum vhdx_block_state state,
		  struct vhdx_bitmap_page **pages, unsigned page_count)
{
	struct vhdx_allocation *a = v->allocations;
	uint64_t offset;
	int r;

	if (v->allocation_count == VHDX_ALLOCATIONS_MAX)
		return -EAGAIN;
	r = vhdx_space_take(&v->space, bytes, &offset);
	if (r)
		return r;
	if (v->file->is_device && offset + bytes > v->file_bytes) {
		vhdx_space_give(&v->space, offset, bytes);
		return -ENOSPC;
	}
	while (a->active)
		a++;
	*a = (struct vhdx_allocation){
		.vhdx = v, .active = true, .index = index, .offset = offset, .bytes = bytes, .state = state,
		.stale = v->file->is_device || offset < v->file_bytes, .page_count = page_count,
	};
	for (unsigned i = 0; i < page_count; i++)
		a->pages[i] = pages[i];
	v->allocation_count++;
	if (offset + bytes > v->file_bytes) {
		a->growing = true;
		vhdx_lengthen(v);
	} else {
		has_space(a);
	}
	return 0;
}

/* There is room for the BAT's page. */
void vhdx_release(struct vhdx *v, uint64_t index, enum vhdx_block_state state)
{
	const uint64_t entry = v->bat[index];

	if (VHDX_BAT_STATE(entry) >= VHDX_BLOCK_PRESENT)
		(void)vhdx_mibs_add(&v->freed, VHDX_BAT_OFFSET(entry));	/* or it is lost until the next opening */
	v->bat[index] = state;
	vhdx_dirty_bat(v, index);
}

/* What was freed before the commit began is free on the storage too. */
void vhdx_freed_stable(struct vhdx *v)
{
	vhdx_mibs_move(&v->freed_resting, &v->freed_committing);
	vhdx_freed_rest(v);
}

static void punched(struct block_file_request *request, int error)
{
	struct vhdx *v = (struct vhdx *)((char *)request - offsetof(struct vhdx, punch));

	/* An error is no harm: space that is taken again is zeroed. */
	v->punching = false;
	vhdx_space_give(&v->space, request->offset, request->bytes);
	vhdx_punch_freed(v);
	if (v->ending)
		vhdx_poke(v);
}

void vhdx_punch_freed(struct vhdx *v)
{
	while (v->freed_punch.count && !v->punching) {
		const uint64_t offset = (uint64_t)v->freed_punch.items[--v->freed_punch.count] * VHDX_MIB;

		if (!v->file->can_punch) {
			vhdx_space_give(&v->space, offset, v->block_bytes);
			continue;
		}
		v->punching = true;
		v->punch = (struct block_file_request){
			.op = BLOCK_FILE_PUNCH, .offset = offset, .bytes = v->block_bytes, .done = punched,
		};
		vhdx_send(v, &v->punch);
	}
}

/* Two counts of pieces under way: new ones go to the one, and what has been freed waits until the other is empty. */
void vhdx_freed_rest(struct vhdx *v)
{
	if (v->grace_waits) {
		if (v->in_grace[!v->grace])
			return;
		v->grace_waits = false;
		vhdx_mibs_move(&v->freed_punch, &v->freed_grace);
		vhdx_punch_freed(v);
	}
	if (v->freed_resting.count == 0)
		return;
	vhdx_mibs_move(&v->freed_grace, &v->freed_resting);
	v->grace = !v->grace;
	v->grace_waits = true;
	vhdx_freed_rest(v);
}
