// SPDX-License-Identifier: Apache-2.0
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "block/vhd_disk.h"

#define VHD_COMMIT_DELAY_NS   500000000u
#define VHD_COMMIT_RETRY_NS   5000000000u
#define VHD_CHANGED_MAX       256u	/* then a commit does not wait */
#define VHD_ENTRIES_PER_SECTOR (VHD_SECTOR_BYTES / 4)

static void arm(struct vhd_disk *v, uint64_t after_ns)
{
	v->disk.host.ops->timer_arm(v->disk.host.context, &v->commit_timer, after_ns);
}

bool vhd_commit_idle(const struct vhd_disk *v)
{
	return v->phase == VHD_COMMIT_NONE && !v->changed;
}

static void remember(struct vhd_block *block)
{
	struct vhd_disk *v = block->v;

	if (block->changed)
		return;
	block->changed = true;
	block->list_next = v->changed;
	v->changed = block;
	v->changed_count++;
}

void vhd_commit_add(struct vhd_block *block)
{
	struct vhd_disk *v = block->v;
	const bool first = !v->changed;

	remember(block);
	if (v->phase != VHD_COMMIT_NONE)
		return;
	if (v->changed_count >= VHD_CHANGED_MAX)
		vhd_commit_now(v);
	else if (first)
		arm(v, VHD_COMMIT_DELAY_NS);
}

void vhd_commit_flush(struct vhd_disk *v, struct block_request *request)
{
	vhd_queue_push(&v->flushes, request);
	if (v->phase == VHD_COMMIT_NONE)
		vhd_commit_now(v);
}

static void tell_trouble(struct vhd_disk *v, int error)
{
	char text[120];

	if (error && !v->commit_failed_before) {
		(void)snprintf(text, sizeof text, "VHD: bitmaps and block table could not be written: %s", strerror(-error));
		v->disk.host.ops->log(v->disk.host.context, text);
	}
	v->commit_failed_before = error != 0;
}

static void settle_blocks(struct vhd_disk *v, int error)
{
	struct vhd_block *block = v->committing, *next;

	v->committing = NULL;
	for (; block; block = next) {
		next = block->commit_next;
		vhd_block_use(block);
		block->committing = false;
		if (error) {
			block->bits_changed |= block->write_bits;
			remember(block);
		} else if (block->link_now) {
			block->unlinked = false;
		}
		block->link_now = block->linked_now = block->write_bits = false;
		vhd_block_unuse(block);
	}
}

static void answer_flushes(struct vhd_disk *v, int error)
{
	struct vhd_queue now = v->flushes_now;
	struct block_request *request;

	v->flushes_now = (struct vhd_queue){ 0 };
	while ((request = vhd_queue_pop(&now))) {
		vhd_state_of(request)->error = error;
		vhd_state_of(request)->bad = request->offset;
		vhd_answer(v, request);
	}
}

static void end(struct vhd_disk *v, int error)
{
	tell_trouble(v, error);
	v->phase = VHD_COMMIT_NONE;
	settle_blocks(v, error);
	answer_flushes(v, error);
	if (v->phase == VHD_COMMIT_NONE) {	/* no answer has led to another */
		if (v->flushes.first || (v->settling && !error && v->changed))
			vhd_commit_now(v);
		else if (v->settling)
			vhd_settle_go_on(v);
		else if (v->changed)
			arm(v, error ? VHD_COMMIT_RETRY_NS : VHD_COMMIT_DELAY_NS);
	}
}

static void submit_flush(struct vhd_disk *v);

static void wrote_one(struct vhd_disk *v, int error)
{
	if (error)
		v->commit_error = error;
	if (--v->commit_pending)
		return;
	if (v->commit_error) {
		end(v, v->commit_error);
		return;
	}
	v->phase = VHD_COMMIT_END;
	submit_flush(v);
}

static void bitmap_written(struct block_file_request *request, int error)
{
	wrote_one(((struct vhd_block *)request)->v, error);
}

static void entries_written(struct block_file_request *request, int error)
{
	struct vhd_block *block = (struct vhd_block *)((char *)request - offsetof(struct vhd_block, bat_request));

	wrote_one(block->v, error);
}

static void submit_write(struct vhd_disk *v, struct block_file_request *request, struct iovec *iov, uint64_t offset,
			 void (*done)(struct block_file_request *request, int error))
{
	*request = (struct block_file_request){
		.op = BLOCK_FILE_WRITE, .offset = offset, .bytes = iov->iov_len, .iov = iov, .iov_count = 1, .done = done,
	};
	v->commit_pending++;
	vhd_submit_below(v, request);
}

/* A sector of the BAT with what this commit links, and without what is not to be seen yet. */
static void write_entries(struct vhd_disk *v, struct vhd_block *block)
{
	const uint32_t first = block->index - block->index % VHD_ENTRIES_PER_SECTOR;

	for (uint32_t i = 0; i < VHD_ENTRIES_PER_SECTOR; i++) {
		uint32_t entry = first + i < v->layout.bat_entries ? v->bat[first + i] : VHD_UNALLOCATED;
		struct vhd_block *other = entry == VHD_UNALLOCATED ? NULL : vhd_block_find(v, first + i);

		if (other && other->link_now)
			other->linked_now = true;
		else if (other && other->unlinked)
			entry = VHD_UNALLOCATED;
		vhd_put32(block->bat_sector + i * 4, entry);
	}
	block->bat_iov = (struct iovec){ block->bat_sector, VHD_SECTOR_BYTES };
	submit_write(v, &block->bat_request, &block->bat_iov, v->layout.bat_offset + (uint64_t)first * 4, entries_written);
}

static void write_changes(struct vhd_disk *v)
{
	v->phase = VHD_COMMIT_WRITE;
	v->commit_pending = 1;
	for (struct vhd_block *block = v->committing; block; block = block->commit_next) {
		if (block->write_bits) {
			block->iov = (struct iovec){ block->copy, v->layout.bitmap_bytes };
			submit_write(v, &block->request, &block->iov, (uint64_t)v->bat[block->index] * VHD_SECTOR_BYTES, bitmap_written);
		}
		if (block->link_now && !block->linked_now)
			write_entries(v, block);
	}
	wrote_one(v, 0);
}

static void flushed(struct block_file_request *request, int error)
{
	struct vhd_disk *v = (struct vhd_disk *)((char *)request - offsetof(struct vhd_disk, flush_request));

	if (error || v->phase == VHD_COMMIT_END)
		end(v, error);
	else
		write_changes(v);
}

static void submit_flush(struct vhd_disk *v)
{
	v->flush_request = (struct block_file_request){ .op = BLOCK_FILE_FLUSH, .done = flushed };
	vhd_submit_below(v, &v->flush_request);
}

/* What is written is what is set now: later bits stand for data that this commit's flush may miss. */
static void take_changes(struct vhd_disk *v)
{
	struct vhd_block *block = v->changed;

	v->changed = NULL;
	v->changed_count = 0;
	for (; block; block = block->list_next) {
		block->changed = false;
		block->committing = true;
		block->link_now = block->unlinked;
		block->write_bits = block->bits_changed;
		block->bits_changed = false;
		if (block->write_bits)
			memcpy(block->copy, block->bitmap, v->layout.bitmap_bytes);
		block->commit_next = v->committing;
		v->committing = block;
	}
}

void vhd_commit_now(struct vhd_disk *v)
{
	v->disk.host.ops->timer_cancel(v->disk.host.context, &v->commit_timer);
	v->commit_error = 0;
	v->flushes_now = v->flushes;
	v->flushes = (struct vhd_queue){ 0 };
	take_changes(v);
	v->phase = v->committing ? VHD_COMMIT_DATA : VHD_COMMIT_END;
	submit_flush(v);
}

static void delay_over(void *context)
{
	struct vhd_disk *v = context;

	if (v->phase == VHD_COMMIT_NONE && v->changed && !v->settling) {
		vhd_commit_now(v);
		v->file->ops->kick(v->file);
	}
}

void vhd_commit_init(struct vhd_disk *v)
{
	v->commit_timer = (struct vsp_timer){ .expired = delay_over, .context = v };
}
