// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/vhd_disk.h"

#define VHD_IDLE_BYTES_MAX (8u << 20)	/* bitmaps that nobody uses at the moment */

bool vhd_block_is_full(const struct vhd_disk *v, uint32_t index)
{
	return v->full[index / 8] >> index % 8 & 1;
}

static void set_full(struct vhd_disk *v, uint32_t index)
{
	v->full[index / 8] |= (uint8_t)(1u << index % 8);
}

struct vhd_block *vhd_block_find(struct vhd_disk *v, uint32_t index)
{
	struct vhd_block *block = v->buckets[index % VHD_BUCKETS];

	while (block && block->index != index)
		block = block->hash_next;
	return block;
}

static struct vhd_block *block_new(struct vhd_disk *v, uint32_t index, enum vhd_block_state state)
{
	const uint32_t bytes = v->layout.bitmap_bytes;
	struct vhd_block *block = calloc(1, sizeof *block + 2 * bytes + VHD_SECTOR_BYTES);

	if (!block)
		return NULL;
	block->v = v;
	block->index = index;
	block->state = state;
	block->bitmap = (uint8_t *)(block + 1);
	block->copy = block->bitmap + bytes;
	block->bat_sector = block->copy + bytes;
	block->hash_next = v->buckets[index % VHD_BUCKETS];
	v->buckets[index % VHD_BUCKETS] = block;
	return block;
}

static void block_free(struct vhd_block *block)
{
	struct vhd_block **at = &block->v->buckets[block->index % VHD_BUCKETS];

	while (*at != block)
		at = &(*at)->hash_next;
	*at = block->hash_next;
	free(block);
}

/* ---- those that nobody uses */

static void idle_remove(struct vhd_block *block)
{
	struct vhd_disk *v = block->v;

	if (!block->idle)
		return;
	*(block->idle_previous ? &block->idle_previous->idle_next : &v->idle_first) = block->idle_next;
	*(block->idle_next ? &block->idle_next->idle_previous : &v->idle_last) = block->idle_previous;
	block->idle = false;
	v->idle_bytes -= v->layout.bitmap_bytes;
}

static void idle_add(struct vhd_block *block)
{
	struct vhd_disk *v = block->v;

	block->idle = true;
	block->idle_next = NULL;
	block->idle_previous = v->idle_last;
	*(v->idle_last ? &v->idle_last->idle_next : &v->idle_first) = block;
	v->idle_last = block;
	v->idle_bytes += v->layout.bitmap_bytes;
	while (v->idle_bytes > VHD_IDLE_BYTES_MAX) {
		block = v->idle_first;
		idle_remove(block);
		block_free(block);
	}
}

void vhd_block_use(struct vhd_block *block)
{
	idle_remove(block);
	block->users++;
}

void vhd_block_unuse(struct vhd_block *block)
{
	if (--block->users || block->changed || block->committing)
		return;
	if (vhd_block_is_full(block->v, block->index))
		block_free(block);
	else
		idle_add(block);
}

void vhd_blocks_free(struct vhd_disk *v)
{
	for (unsigned i = 0; i < VHD_BUCKETS; i++)
		while (v->buckets[i])
			block_free(v->buckets[i]);
}

/* ---- bits */

static bool bit(const struct vhd_block *block, uint32_t sector)
{
	return block->bitmap[sector / 8] >> (7 - sector % 8) & 1;
}

uint32_t vhd_block_run(const struct vhd_block *block, uint32_t offset, uint32_t bytes, bool *ret_present)
{
	const uint32_t first = offset / VHD_SECTOR_BYTES, count = bytes / VHD_SECTOR_BYTES;
	const bool present = bit(block, first);
	uint32_t n = 1;

	while (n < count && bit(block, first + n) == present)
		n++;
	*ret_present = present;
	return n * VHD_SECTOR_BYTES;
}

static bool all_set(const struct vhd_block *block)
{
	const uint32_t sectors = block->v->layout.block_bytes / VHD_SECTOR_BYTES;

	for (uint32_t i = 0; i < sectors / 8; i++)	/* a block is a multiple of eight sectors */
		if (block->bitmap[i] != 0xff)
			return false;
	return true;
}
_Static_assert(VHD_BLOCK_MIN % (8 * VHD_SECTOR_BYTES) == 0, "whole bytes of bitmap");

void vhd_block_written(struct vhd_block *block, uint32_t offset, uint32_t bytes)
{
	bool any = false;

	for (uint32_t s = offset / VHD_SECTOR_BYTES; s < (offset + bytes) / VHD_SECTOR_BYTES; s++) {
		any |= !bit(block, s);
		block->bitmap[s / 8] |= (uint8_t)(0x80u >> s % 8);
	}
	if (!any)
		return;
	if (all_set(block))
		set_full(block->v, block->index);
	block->bits_changed = true;
	vhd_commit_add(block);
}

/* ---- those that requests wait for */

static void wake(struct vhd_block *block)
{
	struct vhd_disk *v = block->v;
	struct vhd_queue now = block->waiting;
	struct block_request *request;

	block->waiting = (struct vhd_queue){ 0 };
	vhd_block_use(block);
	while ((request = vhd_queue_pop(&now)))
		vhd_advance(v, request);
	vhd_block_unuse(block);
}

static void fail(struct vhd_block *block, int error)
{
	struct vhd_disk *v = block->v;
	struct vhd_queue now = block->waiting;
	struct block_request *request;

	block_free(block);
	while ((request = vhd_queue_pop(&now)))
		vhd_part_end(v, request, error, vhd_state_of(request)->cursor);
}

static void submit_bitmap(struct vhd_block *block, enum block_file_op op, uint32_t sector,
			  void (*done)(struct block_file_request *request, int error))
{
	block->iov = (struct iovec){ block->bitmap, block->v->layout.bitmap_bytes };
	block->request = (struct block_file_request){
		.op = op,
		.flags = BLOCK_FILE_INSIDE,
		.offset = (uint64_t)sector * VHD_SECTOR_BYTES,
		.bytes = block->iov.iov_len,
		.iov = &block->iov,
		.iov_count = 1,
		.done = done,
	};
	vhd_submit_below(block->v, &block->request);
}

static void loaded(struct block_file_request *request, int error)
{
	struct vhd_block *block = (struct vhd_block *)request;

	if (error) {
		fail(block, error);
		return;
	}
	block->state = VHD_BLOCK_READY;
	if (all_set(block))
		set_full(block->v, block->index);
	wake(block);
}

struct vhd_block *vhd_block_get(struct vhd_disk *v, uint32_t index, struct block_request *request)
{
	struct vhd_block *block = vhd_block_find(v, index);

	if (block && block->state == VHD_BLOCK_READY)
		return block;
	if (!block) {
		block = block_new(v, index, VHD_BLOCK_LOADING);
		if (!block) {
			vhd_part_end(v, request, -ENOMEM, vhd_state_of(request)->cursor);
			return NULL;
		}
		submit_bitmap(block, BLOCK_FILE_READ, v->bat[index], loaded);
	}
	vhd_queue_push(&block->waiting, request);
	return NULL;
}

/* ---- room for new ones: one group at a time, because each puts the footer where the next one begins */

static void make_room(struct vhd_disk *v);

static void room_made_for_one(struct vhd_disk *v)
{
	if (--v->room_pending)
		return;
	v->room_making = NULL;
	make_room(v);
}

static void made(struct block_file_request *request, int error)
{
	struct vhd_block *block = (struct vhd_block *)request;
	struct vhd_disk *v = block->v;

	if (error) {
		fail(block, error);	/* its room stays unused */
	} else {
		v->bat[block->index] = block->sector;
		block->state = VHD_BLOCK_READY;
		block->unlinked = true;
		if (v->layout.type == VHD_DYNAMIC)
			set_full(v, block->index);
		vhd_commit_add(block);
		wake(block);
	}
	room_made_for_one(v);
}

/* All of a dynamic disk's block counts as written, and reads as zeroes. */
static void write_bitmap(struct vhd_block *block)
{
	memset(block->bitmap, block->v->layout.type == VHD_DYNAMIC ? 0xff : 0, block->v->layout.bitmap_bytes);
	submit_bitmap(block, BLOCK_FILE_WRITE, block->sector, made);
}

static void zeroed(struct block_file_request *request, int error)
{
	if (error)
		made(request, error);
	else
		write_bitmap((struct vhd_block *)request);
}

static void prepare_block(struct vhd_block *block)
{
	const struct vhd_layout *layout = &block->v->layout;
	const uint64_t data = (uint64_t)block->sector * VHD_SECTOR_BYTES + layout->bitmap_bytes;

	if (data >= block->v->stale_end) {
		write_bitmap(block);
		return;
	}
	block->request = (struct block_file_request){
		.op = BLOCK_FILE_ZERO, .offset = data, .bytes = layout->block_bytes, .done = zeroed,
	};
	vhd_submit_below(block->v, &block->request);
}

static void footer_written(struct block_file_request *request, int error)
{
	struct vhd_disk *v = (struct vhd_disk *)((char *)request - offsetof(struct vhd_disk, footer_request));
	const uint64_t end = request->offset + VHD_FOOTER_BYTES;
	struct vhd_block *block = v->room_making, *next;

	if (error && end > v->stale_end)
		v->stale_end = end;
	if (!error) {
		v->layout.data_end = v->room_end;
		v->layout.file_bytes = end;
	}
	v->room_pending = 1;
	for (; block; block = next) {
		next = block->list_next;
		v->room_pending++;
		if (error)
			made(&block->request, error);
		else
			prepare_block(block);
	}
	room_made_for_one(v);
}

/* Behind the last block that is to come, and never before what the file's end is now. */
static void write_footer(struct vhd_disk *v)
{
	const uint64_t sectors = (v->layout.file_bytes + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES;
	const uint64_t at_end = (sectors - 1) * VHD_SECTOR_BYTES;

	v->footer_iov = (struct iovec){ v->layout.footer, VHD_FOOTER_BYTES };
	v->footer_request = (struct block_file_request){
		.op = BLOCK_FILE_WRITE,
		.offset = v->room_end > at_end ? v->room_end : at_end,
		.bytes = VHD_FOOTER_BYTES,
		.iov = &v->footer_iov,
		.iov_count = 1,
		.done = footer_written,
	};
	vhd_submit_below(v, &v->footer_request);
}

static void make_room(struct vhd_disk *v)
{
	const uint64_t stride = (uint64_t)v->layout.bitmap_bytes + v->layout.block_bytes;
	struct vhd_block *ordered = NULL, *too_far = NULL, *block, *next;

	if (v->room_making)
		return;
	for (block = v->room_waiting; block; block = next) {	/* the latest is the first of that list */
		next = block->list_next;
		block->list_next = ordered;
		ordered = block;
	}
	v->room_waiting = NULL;
	v->room_end = v->layout.data_end;
	for (block = ordered; block; block = next) {
		next = block->list_next;
		if (v->room_end / VHD_SECTOR_BYTES + stride / VHD_SECTOR_BYTES >= VHD_UNALLOCATED) {
			block->list_next = too_far;	/* further than an entry of the BAT can say */
			too_far = block;
			continue;
		}
		block->sector = (uint32_t)(v->room_end / VHD_SECTOR_BYTES);
		block->list_next = v->room_making;
		v->room_making = block;
		v->room_end += stride;
	}
	if (v->room_making)
		write_footer(v);
	for (block = too_far; block; block = next) {
		next = block->list_next;
		fail(block, -ENOSPC);
	}
}

void vhd_block_allocate(struct vhd_disk *v, uint32_t index, struct block_request *request)
{
	struct vhd_block *block = vhd_block_find(v, index);

	if (!block) {
		block = block_new(v, index, VHD_BLOCK_NEW);
		if (!block) {
			vhd_part_end(v, request, -ENOMEM, vhd_state_of(request)->cursor);
			return;
		}
		block->list_next = v->room_waiting;
		v->room_waiting = block;
	}
	vhd_queue_push(&block->waiting, request);
	make_room(v);
}
