// SPDX-License-Identifier: Apache-2.0
/*
 * A larger disk while it is used. What the new size needs is made beside what is in use: space, a fixed disk's new
 * blocks, zeroes behind the old end, the BAT's new entries or, without room for them, a BAT in a new place. The size
 * and what names the new BAT then go into one log entry behind a barrier: a power cut leaves the old size or the new.
 *
 * While the BAT is copied nobody changes it: who wants to finds no room, and waits as for the log. All others go on.
 *
 * The old BAT's space is free when the file is opened again, and has another log: some programs replay all entries that
 * follow each other, not only those from the tail on, and older ones write to the old BAT.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "block/vhdx_engine.h"

#define BAT_AT_ONCE    VHDX_MIB
#define ZEROES_AT_ONCE (1024ull * VHDX_MIB)	/* a disk that closes waits for no more */
#define TABLE_PAGES    (VHDX_REGION_TABLE_BYTES / VHDX_PAGE_BYTES)

_Static_assert(2 * TABLE_PAGES + 2 + 1 <= VHDX_DIRTY_MAX, "both tables, the size and a page of the BAT in one entry");

struct vhdx_online {
	struct vhdx *vhdx;
	struct vhdx_layout grown;
	uint64_t *bat;			/* afterwards */
	size_t bat_bytes;
	unsigned long *bat_dirty;
	uint8_t *table;			/* of regions */
	uint8_t *size;			/* the pages that hold the disk's size */
	unsigned size_pages;
	uint64_t blocks_taken;		/* a fixed disk's, from the old count on */
	bool zeroing;			/* the storage holds something for them */
	uint64_t end;			/* the file has to reach so far */
	unsigned step;
	uint64_t at;			/* in a step of several requests */
	bool busy;			/* a request to the file is under way */
	bool put, taken;		/* all that it wants is on its way to the log, and in an entry */
	int error;
	struct block_file_request file;
	struct iovec iov;
};

static void go_on(struct vhdx_online *o);

static bool moves(const struct vhdx_online *o)
{
	return o->grown.bat.offset != o->vhdx->layout.bat.offset;
}

/* ---- the file */

static void file_done(struct block_file_request *request, int error)
{
	struct vhdx_online *o = (struct vhdx_online *)((char *)request - offsetof(struct vhdx_online, file));

	o->busy = false;
	if (error)
		o->error = error;
	go_on(o);
}

static void send(struct vhdx_online *o, enum block_file_op op, uint64_t offset, void *data, uint64_t bytes)
{
	o->iov = (struct iovec){ data, bytes };
	o->file = (struct block_file_request){
		.op = op, .offset = offset, .bytes = bytes, .iov = data ? &o->iov : NULL, .iov_count = data != NULL,
		.done = file_done,
	};
	o->busy = true;
	vhdx_send(o->vhdx, &o->file);
}

/* ---- the steps; true: it is not over yet */

static bool start(struct vhdx_online *o)
{
	struct vhdx *v = o->vhdx;

	if (!v->started)
		vhdx_start(v);		/* may end it at once */
	return !v->started;
}

static int take(struct vhdx_online *o, uint64_t bytes, uint64_t *ret_offset)
{
	int r = vhdx_space_take(&o->vhdx->space, bytes, ret_offset);

	if (r == 0 && *ret_offset + bytes > o->end)
		o->end = *ret_offset + bytes;
	return r;
}

static bool take_space(struct vhdx_online *o)
{
	const struct vhdx *v = o->vhdx;
	uint64_t offset;

	/* Nor does a log write beyond the file's end, wherever a foreign one ends. */
	o->end = (o->grown.size_at & ~(uint64_t)(VHDX_PAGE_BYTES - 1)) + o->size_pages * VHDX_PAGE_BYTES;
	if (!moves(o) && o->grown.bat.offset + o->bat_bytes > o->end)
		o->end = o->grown.bat.offset + o->bat_bytes;
	if (o->grown.bat.offset == 0)
		o->error = take(o, o->grown.bat.bytes, &o->grown.bat.offset);
	for (uint64_t block = v->layout.block_count;
	     o->error == 0 && o->grown.info.type == VHDX_FIXED && block < o->grown.block_count; block++) {
		o->error = take(o, v->block_bytes, &offset);
		if (o->error)
			break;
		o->bat[vhdx_bat_index(v->chunk_shift, block)] = offset | VHDX_BLOCK_PRESENT;
		o->blocks_taken++;
	}
	if (o->error == 0 && v->file->is_device && o->end > v->file_bytes)
		o->error = -ENOSPC;
	return false;
}

static bool make_longer(struct vhdx_online *o)
{
	if (o->end <= o->vhdx->file_bytes)
		return false;
	vhdx_lengthen(o->vhdx);
	return true;
}

static uint64_t new_block(const struct vhdx_online *o, uint64_t number)
{
	const struct vhdx *v = o->vhdx;

	return VHDX_BAT_OFFSET(o->bat[vhdx_bat_index(v->chunk_shift, v->layout.block_count + number)]);
}

/* A fixed disk owns its space. */
static bool zero_blocks(struct vhdx_online *o)
{
	const uint64_t block = o->vhdx->block_bytes, from = o->at < o->blocks_taken ? new_block(o, o->at) : 0;
	uint64_t bytes = 0;

	while (o->at < o->blocks_taken && bytes < ZEROES_AT_ONCE && new_block(o, o->at) == from + bytes) {
		bytes += block;
		o->at++;
	}
	if (bytes == 0)
		return false;
	o->zeroing = true;
	send(o, BLOCK_FILE_ZERO, from, NULL, bytes);
	return true;
}

static bool read_size(struct vhdx_online *o)
{
	if (o->at++)
		return false;
	send(o, BLOCK_FILE_READ, o->grown.size_at & ~(uint64_t)(VHDX_PAGE_BYTES - 1), o->size,
	     o->size_pages * VHDX_PAGE_BYTES);
	return true;
}

/* One good copy there is: the layout was read from it. */
static bool read_table(struct vhdx_online *o)
{
	if (!moves(o) || (o->at && vhdx_region_table_ok(o->table)))
		return false;
	if (o->at == 2) {
		o->error = -EIO;
		return false;
	}
	send(o, BLOCK_FILE_READ, VHDX_REGION_OFFSET(o->at++), o->table, VHDX_REGION_TABLE_BYTES);
	return true;
}

/* All changes of the BAT are in an entry, and it says what it will say until the gate is open again. */
static bool close_gate(struct vhdx_online *o)
{
	struct vhdx *v = o->vhdx;

	v->gate = true;
	if (v->dirty_count) {
		vhdx_poke(v);
		return true;
	}
	for (uint64_t i = 0; i < v->layout.bat_count; i++)
		if (v->bat[i])
			o->bat[i] = v->bat[i];
	return false;
}

/* The last block reaches beyond the old end, and may hold anything there. */
static bool clear_tail(struct vhdx_online *o)
{
	const struct vhdx *v = o->vhdx;
	const uint64_t entry = v->bat[vhdx_bat_index(v->chunk_shift, v->layout.block_count - 1)];
	const uint64_t in_block = v->layout.info.bytes % v->block_bytes;

	if (o->at++ || in_block == 0 || VHDX_BAT_STATE(entry) < VHDX_BLOCK_PRESENT)
		return false;
	send(o, BLOCK_FILE_ZERO, VHDX_BAT_OFFSET(entry) + in_block, NULL, v->block_bytes - in_block);
	return true;
}

static bool page_is_zero(const struct vhdx_online *o, uint64_t at)
{
	static const uint8_t zeroes[VHDX_PAGE_BYTES];

	return memcmp((const uint8_t *)o->bat + at, zeroes, sizeof zeroes) == 0;
}

/* In a new place the whole region; in the old one only pages without an entry in use: others go the log's way. */
static bool copy_bat(struct vhdx_online *o)
{
	const uint64_t old_end = (o->vhdx->layout.bat_count * sizeof(uint64_t) + VHDX_PAGE_BYTES - 1) &
				 ~(uint64_t)(VHDX_PAGE_BYTES - 1);
	uint64_t from;
	bool zero = true;

	if (!moves(o) && o->at < old_end)
		o->at = old_end;
	from = o->at;
	if (from >= (moves(o) ? o->grown.bat.bytes : o->bat_bytes))
		return false;
	if (from >= o->bat_bytes) {
		o->at = o->grown.bat.bytes;
	} else {
		zero = page_is_zero(o, from);
		do
			o->at += VHDX_PAGE_BYTES;
		while (o->at < o->bat_bytes && o->at - from < BAT_AT_ONCE && page_is_zero(o, o->at) == zero);
	}
	send(o, zero ? BLOCK_FILE_ZERO : BLOCK_FILE_WRITE, o->grown.bat.offset + from, zero ? NULL : (uint8_t *)o->bat + from,
	     o->at - from);
	return true;
}

static void open_gate(struct vhdx *v)
{
	v->gate = false;
	vhdx_allocations_go_on(v);
	vhdx_marks_go_on(v);
	vhdx_wake(v, &v->wait_room);
	vhdx_poke(v);
}

static void put_table(struct vhdx_online *o)
{
	vhdx_region_table_move_bat(o->table, &o->grown.bat);
	for (unsigned copy = 0; copy < 2; copy++)
		for (unsigned i = 0; i < TABLE_PAGES; i++)
			vhdx_dirty_page(o->vhdx, VHDX_REGION_OFFSET(copy) + i * VHDX_PAGE_BYTES, o->table + i * VHDX_PAGE_BYTES);
}

static void swap_bat(struct vhdx_online *o)
{
	struct vhdx *v = o->vhdx;
	uint64_t *const bat = v->bat;
	const size_t bytes = v->bat_bytes;

	v->bat = o->bat;
	v->bat_bytes = o->bat_bytes;
	o->bat = bat;
	o->bat_bytes = bytes;
	free(v->bat_dirty);
	v->bat_dirty = o->bat_dirty;
	o->bat_dirty = NULL;
}

/* From here on the BAT is the new one; what changes in it goes into the same entry or a later one. */
static bool put(struct vhdx_online *o)
{
	struct vhdx *v = o->vhdx;
	const uint64_t page = VHDX_PAGE_BYTES, first = o->grown.size_at & ~(page - 1);

	o->put = true;
	swap_bat(o);
	if (moves(o))
		put_table(o);
	else if (v->layout.bat_count * sizeof *v->bat % page)
		vhdx_dirty_bat(v, v->layout.bat_count - 1);
	v->layout.bat = o->grown.bat;
	memcpy(o->size + (o->grown.size_at - first), &o->grown.info.bytes, sizeof o->grown.info.bytes);
	for (unsigned i = 0; i < o->size_pages; i++)
		vhdx_dirty_page(v, first + i * page, o->size + i * page);
	v->barrier = true;
	v->due = true;
	open_gate(v);
	return true;
}

static bool (*const steps[])(struct vhdx_online *o) = {
	start, take_space, make_longer, zero_blocks, read_size, read_table, close_gate, clear_tail, copy_bat, put,
};

/* ---- the end */

static void give_back(struct vhdx_online *o)
{
	struct vhdx *v = o->vhdx;

	if (moves(o) && o->grown.bat.offset)
		vhdx_space_give(&v->space, o->grown.bat.offset, o->grown.bat.bytes);
	for (uint64_t i = 0; i < o->blocks_taken; i++) {
		if (o->zeroing)
			(void)vhdx_mibs_add(&v->freed_punch, new_block(o, i));	/* or it is lost until the next opening */
		else
			vhdx_space_give(&v->space, new_block(o, i), v->block_bytes);
	}
	vhdx_punch_freed(v);
}

static void end(struct vhdx_online *o, int error)
{
	struct vhdx *v = o->vhdx;

	if (!o->put && !v->broken)
		give_back(o);
	v->online = NULL;
	(void)munmap(o->bat, o->bat_bytes);
	free(o->bat_dirty);
	free(o->table);
	free(o->size);
	free(o);
	block_resized(&v->disk, error);
	if (v->gate)
		open_gate(v);
}

static void go_on(struct vhdx_online *o)
{
	struct vhdx *v = o->vhdx;

	while (!o->busy) {
		if (v->broken)
			o->error = -EIO;
		else if (v->disk.closing && !o->put && o->error == 0)
			o->error = -ENODEV;
		if (o->error) {
			end(o, o->error);
			return;
		}
		if (o->put || steps[o->step](o))
			return;
		o->step++;
		o->at = 0;
	}
}

void vhdx_online_go_on(struct vhdx *v)
{
	if (v->online)
		go_on(v->online);
}

void vhdx_online_fail(struct vhdx *v, int error)
{
	if (!v->online)
		return;
	v->online->error = error;
	go_on(v->online);
}

uint64_t vhdx_online_file_bytes(const struct vhdx *v)
{
	return v->online ? v->online->end : 0;
}

void vhdx_online_taken(struct vhdx *v)
{
	if (v->online && v->online->put)
		v->online->taken = true;
}

void vhdx_online_applied(struct vhdx *v)
{
	struct vhdx_online *o = v->online;

	if (!o || !o->taken)
		return;
	v->layout.info.bytes = o->grown.info.bytes;
	v->layout.block_count = o->grown.block_count;
	v->layout.bat_count = o->grown.bat_count;
	end(o, 0);
}

static int prepare(struct vhdx_online *o, uint64_t bytes, struct block_failure *failure)
{
	const uint64_t page = VHDX_PAGE_BYTES;
	void *table = NULL, *size = NULL;
	uint64_t last;
	int r = vhdx_layout_grow(&o->vhdx->layout, bytes, &o->grown, failure);

	if (r)
		return r;
	last = o->grown.size_at + sizeof o->grown.info.bytes - 1;
	o->size_pages = (unsigned)(last / page - o->grown.size_at / page) + 1;
	o->bat = vhdx_bat_map(o->grown.bat_count, &o->bat_bytes);
	if (o->bat)
		o->bat_dirty = calloc(vhdx_bat_dirty_words(o->bat_bytes), sizeof *o->bat_dirty);
	if (!o->bat_dirty || posix_memalign(&size, VHDX_PAGE_BYTES, o->size_pages * page) ||
	    posix_memalign(&table, VHDX_PAGE_BYTES, VHDX_REGION_TABLE_BYTES)) {
		free(size);
		free(o->bat_dirty);
		if (o->bat)
			(void)munmap(o->bat, o->bat_bytes);
		return block_failure_set(failure, -ENOMEM, "out of memory");
	}
	o->size = size;
	o->table = table;
	return 0;
}

int vhdx_online_resize(struct block_disk *disk, uint64_t bytes, struct block_failure *failure)
{
	struct vhdx *v = vhdx_of(disk);
	const bool outer = v->submitting;
	struct vhdx_online *o;
	int r;

	if (v->broken)
		return block_failure_set(failure, -EIO, "the disk's storage has failed, and nothing is written to it any more");
	o = calloc(1, sizeof *o);
	if (!o)
		return block_failure_set(failure, -ENOMEM, "out of memory");
	o->vhdx = v;
	r = prepare(o, bytes, failure);
	if (r) {
		free(o);
		return r;
	}
	v->online = o;
	v->submitting = true;
	go_on(o);
	v->submitting = outer;
	vhdx_kick_below(v);
	return 0;
}
