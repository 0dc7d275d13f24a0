// SPDX-License-Identifier: Apache-2.0
/*
 * Everything whose order matters to a power cut.
 *
 * The first write: a header with new GUIDs, and what a replay of the log has to say, into the file.
 *
 * After that, cycles, one at a time. A cycle takes all pages of BAT and sector bitmaps that have changed, as they are
 * now, so that changes which belong together are never apart:
 *
 *   barrier   flush, when the pages speak of data or zeroes that have to be on the storage before them
 *   entry     all pages in one log entry
 *   stable    flush: the entry counts, and every write that was done before. Flushes that waited for it are done
 *   apply     the pages to their places
 *
 * Without changed pages a cycle is one flush. The pages are stable in their places after the next flush only, so an
 * entry's tail is the entry before it unless a flush came between, and entry N may be torn while N - 1 still needs
 * N - 2: three entries have to fit into the log.
 *
 * An error on this way leaves unknown what is on the storage: from then on nothing is written any more, and the next
 * opening finds what the last good entry says.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/crc32c.h"
#include "block/vhdx_engine.h"

static struct vhdx *of_control(struct block_file_request *request)
{
	return (struct vhdx *)((char *)request - offsetof(struct vhdx, control));
}

void vhdx_broken(struct vhdx *v, int error)
{
	struct block_request *request;

	if (!v->broken)
		v->disk.host.ops->log(v->disk.host.context, "vhdx: writing the log or flushing failed; no more writes");
	v->broken = error;
	v->starting = v->busy = v->unstable = false;
	for (unsigned i = 0; i < v->committing_count; i++)
		if (v->committing[i].page)
			v->committing[i].page->pins--;
	v->committing_count = 0;
	while ((request = vhdx_pop(&v->flush_active)))
		vhdx_finish(v, request, error);
	while ((request = vhdx_pop(&v->flush_waiting)))
		vhdx_finish(v, request, error);
	vhdx_wake(v, &v->wait_start);
	vhdx_wake(v, &v->wait_room);
	vhdx_allocations_go_on(v);
	vhdx_marks_go_on(v);
	vhdx_online_go_on(v);
	if (v->ending)
		vhdx_poke(v);
}

static void control_done(struct block_file_request *request, int error)
{
	struct vhdx *v = of_control(request);

	if (error)
		vhdx_broken(v, error);
	else
		v->control_then(v);
}

static void control(struct vhdx *v, enum block_file_op op, uint64_t offset, void *data, uint64_t bytes,
		    void (*then)(struct vhdx *))
{
	const bool memory = op == BLOCK_FILE_WRITE;

	v->control_iov = (struct iovec){ data, bytes };
	v->control_then = then;
	v->control = (struct block_file_request){
		.op = op, .offset = offset, .bytes = bytes, .iov = memory ? &v->control_iov : NULL, .iov_count = memory,
		.done = control_done,
	};
	vhdx_send(v, &v->control);
}

static void flush(struct vhdx *v, void (*then)(struct vhdx *))
{
	v->flushing_bytes = v->file_bytes;
	control(v, BLOCK_FILE_FLUSH, 0, NULL, 0, then);
}

/* The header, into both places, one after the other. */
static void header_step(struct vhdx *v)
{
	struct vhdx_header *header = &v->layout.header;

	if (v->header_left == 0) {
		v->header_then(v);
		return;
	}
	if (v->header_left-- % 2) {
		flush(v, header_step);
		return;
	}
	v->layout.header_slot = !v->layout.header_slot;
	header->sequence++;
	header->checksum = 0;
	header->checksum = crc32c(0, header, sizeof *header);
	control(v, BLOCK_FILE_WRITE, VHDX_HEADER_OFFSET(v->layout.header_slot), header, sizeof *header, header_step);
}

static void write_header(struct vhdx *v, void (*then)(struct vhdx *))
{
	v->header_left = 4;
	v->header_then = then;
	header_step(v);
}

static void started(struct vhdx *v)
{
	vhdx_replay_free(v->replay);
	v->replay = NULL;
	v->starting = false;
	v->started = true;
	vhdx_wake(v, &v->wait_start);
	vhdx_online_go_on(v);
	vhdx_poke(v);
}

static void replayed(struct vhdx *v)
{
	v->layout.header.log_guid = (struct vhdx_guid){ { 0 } };
	write_header(v, started);
}

static void replay_step(struct vhdx *v)
{
	const struct vhdx_replay_step *step = &v->replay->steps[v->replay_at];

	if (v->replay_at++ == v->replay->count) {
		flush(v, replayed);
	} else if (step->zero) {
		control(v, BLOCK_FILE_ZERO, step->offset, NULL, step->bytes, replay_step);
	} else {
		vhdx_replay_page(step, v->pages);
		control(v, BLOCK_FILE_WRITE, step->offset, v->pages, VHDX_PAGE_BYTES, replay_step);
	}
}

static void replay_size_set(struct vhdx *v)
{
	v->file_bytes = v->replay->file_bytes;
	replay_step(v);
}

static void header_says_writing(struct vhdx *v)
{
	if (!v->replay)
		started(v);
	else if (v->file_bytes < v->replay->file_bytes)
		control(v, BLOCK_FILE_SET_SIZE, v->replay->file_bytes, NULL, 0, replay_size_set);
	else
		replay_step(v);
}

void vhdx_start(struct vhdx *v)
{
	struct vhdx_header *header = &v->layout.header;
	void *pages = NULL, *entry = NULL;

	if (v->starting || v->started)
		return;
	v->starting = true;
	if (posix_memalign(&pages, VHDX_PAGE_BYTES, VHDX_DIRTY_MAX * VHDX_PAGE_BYTES) ||
	    posix_memalign(&entry, VHDX_PAGE_BYTES, (VHDX_DIRTY_MAX + 1) * VHDX_PAGE_BYTES) ||
	    vhdx_guid_new(&header->file_write_guid) ||
	    (!v->keep_data_guid && vhdx_guid_new(&header->data_write_guid))) {
		struct block_request *request;

		free(pages);
		free(entry);
		v->starting = false;
		while ((request = vhdx_pop(&v->wait_start)))
			vhdx_fail_request(v, request, -ENOMEM);
		vhdx_online_fail(v, -ENOMEM);
		return;
	}
	v->pages = pages;
	v->entry = entry;
	write_header(v, header_says_writing);
}

bool vhdx_room(const struct vhdx *v, unsigned pages)
{
	return !v->gate && v->dirty_count + pages <= VHDX_DIRTY_MAX;
}

static void dirty(struct vhdx *v, const struct vhdx_dirty *page)
{
	if (v->dirty_count == 0)
		v->disk.host.ops->timer_arm(v->disk.host.context, &v->commit_timer, VHDX_COMMIT_NS);
	v->dirty[v->dirty_count++] = *page;
}

void vhdx_dirty_bat(struct vhdx *v, uint64_t index)
{
	const uint64_t page = index * sizeof *v->bat / VHDX_PAGE_BYTES;
	const unsigned bits = 8 * sizeof *v->bat_dirty;

	if (v->bat_dirty[page / bits] >> page % bits & 1)
		return;
	v->bat_dirty[page / bits] |= 1ul << page % bits;
	dirty(v, &(struct vhdx_dirty){ v->layout.bat.offset + page * VHDX_PAGE_BYTES,
				       v->bat + page * (VHDX_PAGE_BYTES / sizeof *v->bat), NULL, true });
}

void vhdx_dirty_page(struct vhdx *v, uint64_t file_offset, const void *data)
{
	dirty(v, &(struct vhdx_dirty){ file_offset, data, NULL, false });
}

void vhdx_dirty_bitmap(struct vhdx *v, struct vhdx_bitmap_page *page)
{
	/* Its bits are not true before the sectors are there. */
	v->barrier = true;
	if (page->dirty)
		return;
	page->dirty = true;
	page->pins++;
	dirty(v, &(struct vhdx_dirty){ page->file_offset, page->data, page, false });
}

bool vhdx_settled(const struct vhdx *v)
{
	return v->dirty_count == 0 && !v->unstable;
}

static void cycle_end(struct vhdx *v)
{
	v->busy = false;
	vhdx_poke(v);
}

static void applied(struct block_file_request *request, int error)
{
	struct vhdx *v = ((struct vhdx_apply *)request)->vhdx;

	if (error)
		v->apply_error = error;
	if (--v->applying)
		return;
	if (v->apply_error) {
		vhdx_broken(v, v->apply_error);
		return;
	}
	for (unsigned i = 0; i < v->committing_count; i++)
		if (v->committing[i].page)
			v->committing[i].page->pins--;
	v->committing_count = 0;
	vhdx_online_applied(v);
	cycle_end(v);
}

static void apply(struct vhdx *v)
{
	v->applying = v->committing_count;
	v->apply_error = 0;
	for (unsigned i = 0; i < v->committing_count; i++) {
		struct vhdx_apply *a = &v->apply[i];

		*a = (struct vhdx_apply){ .vhdx = v, .iov = { v->pages + i * VHDX_PAGE_BYTES, VHDX_PAGE_BYTES } };
		a->file = (struct block_file_request){
			.op = BLOCK_FILE_WRITE, .offset = v->committing[i].file_offset, .bytes = VHDX_PAGE_BYTES,
			.iov = &a->iov, .iov_count = 1, .done = applied,
		};
		vhdx_send(v, &a->file);
	}
}

static void finish_flushes(struct vhdx *v)
{
	struct block_request *request;

	v->stable_bytes = v->flushing_bytes;
	while ((request = vhdx_pop(&v->flush_active)))
		vhdx_finish(v, request, 0);
}

static void entry_counts(struct vhdx *v)
{
	v->log_used = true;
	v->unstable = false;
	v->last_at = v->entry_at;
	v->last_needed = true;
	v->entry_at = (v->entry_at + v->entry_bytes) % v->layout.header.log_bytes;
	vhdx_freed_stable(v);
	finish_flushes(v);
	apply(v);
}

static void entry_stable(struct vhdx *v)
{
	if (v->log_used) {
		entry_counts(v);
		return;
	}
	/* The first one: nobody looks at the log before the header names it. */
	memcpy(&v->layout.header.log_guid, v->entry + offsetof(struct vhdx_log_entry, log_guid), sizeof(struct vhdx_guid));
	write_header(v, entry_counts);
}

static void entry_written(struct vhdx *v)
{
	flush(v, entry_stable);
}

/* What lies behind the log's end goes to its beginning. */
static void entry_wraps(struct vhdx *v)
{
	const uint32_t first = v->layout.header.log_bytes - v->entry_at;

	control(v, BLOCK_FILE_WRITE, v->layout.header.log_offset, v->entry + first, v->entry_bytes - first, entry_written);
}

static void make_sector(uint8_t *to, const uint8_t *page, uint64_t sequence)
{
	struct vhdx_log_sector *sector = (struct vhdx_log_sector *)to;

	sector->signature = VHDX_SECTOR_SIGNATURE;
	sector->sequence_high = (uint32_t)(sequence >> 32);
	memcpy(sector->data, page + 8, sizeof sector->data);
	sector->sequence_low = (uint32_t)sequence;
}

static void make_entry(struct vhdx *v)
{
	struct vhdx_log_entry *header = (struct vhdx_log_entry *)v->entry;
	struct vhdx_log_descriptor *descriptor = (struct vhdx_log_descriptor *)(header + 1);

	v->entry_bytes = (v->committing_count + 1) * VHDX_PAGE_BYTES;
	memset(v->entry, 0, VHDX_PAGE_BYTES);
	*header = (struct vhdx_log_entry){
		.signature = VHDX_ENTRY_SIGNATURE, .entry_bytes = v->entry_bytes,
		.tail = v->last_needed ? v->last_at : v->entry_at, .sequence = ++v->entry_sequence,
		.descriptor_count = v->committing_count, .log_guid = v->layout.header.log_guid,
		.flushed_file_bytes = v->stable_bytes, .last_file_bytes = v->file_bytes,
	};
	for (unsigned i = 0; i < v->committing_count; i++) {
		const uint8_t *page = v->pages + i * VHDX_PAGE_BYTES;

		descriptor[i] = (struct vhdx_log_descriptor){
			.signature = VHDX_DATA_SIGNATURE, .file_offset = v->committing[i].file_offset,
			.sequence = header->sequence,
		};
		memcpy(&descriptor[i].leading, page, 8);
		memcpy(&descriptor[i].trailing, page + VHDX_PAGE_BYTES - 4, 4);
		make_sector(v->entry + (i + 1) * VHDX_PAGE_BYTES, page, header->sequence);
	}
}

static void write_entry(struct vhdx *v)
{
	const uint32_t left = v->layout.header.log_bytes - v->entry_at;
	const bool wraps = v->entry_bytes > left;

	control(v, BLOCK_FILE_WRITE, v->layout.header.log_offset + v->entry_at, v->entry, wraps ? left : v->entry_bytes,
		wraps ? entry_wraps : entry_written);
}

static void log_pages(struct vhdx *v)
{
	struct vhdx_log_entry *header = (struct vhdx_log_entry *)v->entry;

	make_entry(v);
	if (!v->log_used && vhdx_guid_new(&header->log_guid)) {
		vhdx_broken(v, -EIO);
		return;
	}
	header->checksum = crc32c(0, v->entry, v->entry_bytes);
	write_entry(v);
}

static void barrier_passed(struct vhdx *v)
{
	v->stable_bytes = v->flushing_bytes;
	v->last_needed = false;
	log_pages(v);
}

/* The pages as they are now; whatever changes from here on belongs to the next cycle. */
static void take_pages(struct vhdx *v)
{
	v->committing_count = v->dirty_count;
	v->dirty_count = 0;
	for (unsigned i = 0; i < v->committing_count; i++) {
		const struct vhdx_dirty *page = &v->committing[i];
		const unsigned bits = 8 * sizeof *v->bat_dirty;
		uint64_t number;

		v->committing[i] = v->dirty[i];
		memcpy(v->pages + i * VHDX_PAGE_BYTES, page->data, VHDX_PAGE_BYTES);
		if (page->page)
			page->page->dirty = false;
		if (!page->bat)
			continue;
		number = (page->file_offset - v->layout.bat.offset) / VHDX_PAGE_BYTES;
		v->bat_dirty[number / bits] &= ~(1ul << number % bits);
	}
	vhdx_mibs_move(&v->freed_committing, &v->freed);
	vhdx_online_taken(v);
}

static void flushed(struct vhdx *v)
{
	v->last_needed = false;
	finish_flushes(v);
	cycle_end(v);
}

static void begin(struct vhdx *v)
{
	const bool barrier = v->barrier;

	v->busy = true;
	v->due = false;
	v->flush_active = v->flush_waiting;
	v->flush_waiting = (struct vhdx_queue){ 0 };
	if (v->dirty_count == 0) {
		flush(v, flushed);
		return;
	}
	v->disk.host.ops->timer_cancel(v->disk.host.context, &v->commit_timer);
	v->barrier = false;
	v->unstable = true;
	take_pages(v);
	if (barrier)
		flush(v, barrier_passed);
	else
		log_pages(v);
	/* There is room again. */
	vhdx_online_go_on(v);
	vhdx_allocations_go_on(v);
	vhdx_marks_go_on(v);
	vhdx_wake(v, &v->wait_room);
}

static void parent_closed(void *context)
{
	struct vhdx *v = context;

	v->parent = NULL;
	block_settled(&v->disk);
}

static void ended(struct vhdx *v)
{
	v->ending = false;
	v->busy = true;
	if (v->parent)
		block_close(v->parent, parent_closed, v);
	else
		block_settled(&v->disk);
}

static void clean_header(struct vhdx *v)
{
	if (!v->log_used) {
		ended(v);
		return;
	}
	v->layout.header.log_guid = (struct vhdx_guid){ { 0 } };
	v->log_used = false;
	write_header(v, ended);
}

/* All requests are done. What has changed is committed, then the log is not needed any more. */
static void end_step(struct vhdx *v)
{
	if (v->punching || v->applying)
		return;
	if (v->broken || !v->started) {
		ended(v);
		return;
	}
	v->busy = true;
	flush(v, clean_header);
}

void vhdx_poke(struct vhdx *v)
{
	if (v->busy || v->starting)
		return;
	if (!v->broken && v->started) {
		const bool full = v->wait_mark || v->wait_room.first || !vhdx_room(v, 1 + VHDX_BLOCK_PAGES_MAX);

		if (v->flush_waiting.first || (v->dirty_count && (v->due || v->ending || full))) {
			begin(v);
			return;
		}
	}
	if (v->ending)
		end_step(v);
}

void vhdx_commit_due(void *context)
{
	struct vhdx *v = context;

	v->due = true;
	vhdx_poke(v);
	vhdx_kick_below(v);
}

void vhdx_settle(struct block_disk *disk)
{
	struct vhdx *v = vhdx_of(disk);

	v->ending = true;
	vhdx_poke(v);
	vhdx_kick_below(v);
}
