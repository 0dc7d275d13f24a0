// SPDX-License-Identifier: Apache-2.0
/*
 * The log is a ring of pages; an entry begins at any of them. The sequence to replay ends in the valid entry with the
 * greatest sequence number from whose tail an unbroken row of entries leads to it.
 */
#include "block/vhdx_replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/crc32c.h"

#define DESCRIPTORS_IN_PAGE (VHDX_PAGE_BYTES / (uint32_t)sizeof(struct vhdx_log_descriptor))
#define HEADER_DESCRIPTORS  ((uint32_t)(sizeof(struct vhdx_log_entry) / sizeof(struct vhdx_log_descriptor)))

/* Entries of a log do not overlap: a file that makes us check more than this was made to. */
#define CHECKSUM_BUDGET(log_bytes) (8ull * (log_bytes))

struct scan {
	const uint8_t *log;
	uint32_t pages;			/* of the log */
	struct vhdx_guid guid;
	uint32_t *entry_pages;		/* by page: length of the valid entry that begins there, 0: none does */
	uint64_t budget;
};

static const uint8_t *page_at(const struct scan *scan, uint64_t index)
{
	return scan->log + index % scan->pages * VHDX_PAGE_BYTES;
}

static struct vhdx_log_entry entry_at(const struct scan *scan, uint32_t index)
{
	struct vhdx_log_entry entry;

	memcpy(&entry, page_at(scan, index), sizeof entry);
	return entry;
}

static struct vhdx_log_descriptor descriptor_at(const struct scan *scan, uint32_t index, uint32_t number)
{
	struct vhdx_log_descriptor descriptor;
	const uint32_t row = number + HEADER_DESCRIPTORS;

	memcpy(&descriptor, page_at(scan, (uint64_t)index + row / DESCRIPTORS_IN_PAGE) +
	       row % DESCRIPTORS_IN_PAGE * sizeof descriptor, sizeof descriptor);
	return descriptor;
}

static uint32_t descriptor_pages(uint32_t count)
{
	return (count + HEADER_DESCRIPTORS + DESCRIPTORS_IN_PAGE - 1) / DESCRIPTORS_IN_PAGE;
}

static bool entry_checksum_ok(struct scan *scan, uint32_t index, const struct vhdx_log_entry *entry)
{
	struct vhdx_log_entry zeroed = *entry;
	uint32_t crc;

	if (entry->entry_bytes > scan->budget)
		return false;
	scan->budget -= entry->entry_bytes;
	zeroed.checksum = 0;
	crc = crc32c(0, &zeroed, sizeof zeroed);
	crc = crc32c(crc, page_at(scan, index) + sizeof zeroed, VHDX_PAGE_BYTES - sizeof zeroed);
	for (uint32_t i = 1; i < entry->entry_bytes / VHDX_PAGE_BYTES; i++)
		crc = crc32c(crc, page_at(scan, (uint64_t)index + i), VHDX_PAGE_BYTES);
	return crc == entry->checksum;
}

static bool descriptor_ok(const struct scan *scan, const struct vhdx_log_entry *entry, uint32_t index, uint32_t number,
			  uint32_t *data_page)
{
	const struct vhdx_log_descriptor descriptor = descriptor_at(scan, index, number);
	struct vhdx_log_sector sector;

	if (descriptor.sequence != entry->sequence || descriptor.file_offset % VHDX_PAGE_BYTES)
		return false;
	if (descriptor.signature == VHDX_ZERO_SIGNATURE)
		return descriptor.leading % VHDX_PAGE_BYTES == 0;
	if (descriptor.signature != VHDX_DATA_SIGNATURE || *data_page >= entry->entry_bytes / VHDX_PAGE_BYTES)
		return false;
	memcpy(&sector, page_at(scan, (uint64_t)index + *data_page), sizeof sector);
	(*data_page)++;
	return sector.signature == VHDX_SECTOR_SIGNATURE &&
	       ((uint64_t)sector.sequence_high << 32 | sector.sequence_low) == entry->sequence;
}

static bool entry_ok(struct scan *scan, uint32_t index)
{
	const struct vhdx_log_entry entry = entry_at(scan, index);
	uint32_t data_page;

	if (entry.signature != VHDX_ENTRY_SIGNATURE || entry.sequence == 0 || entry.entry_bytes == 0 ||
	    entry.entry_bytes % VHDX_PAGE_BYTES || entry.entry_bytes / VHDX_PAGE_BYTES > scan->pages ||
	    entry.tail % VHDX_PAGE_BYTES || entry.tail / VHDX_PAGE_BYTES >= scan->pages ||
	    memcmp(&entry.log_guid, &scan->guid, sizeof scan->guid) != 0)
		return false;
	if (entry.descriptor_count > entry.entry_bytes / sizeof(struct vhdx_log_descriptor) ||
	    descriptor_pages(entry.descriptor_count) > entry.entry_bytes / VHDX_PAGE_BYTES)
		return false;
	if (!entry_checksum_ok(scan, index, &entry))
		return false;
	data_page = descriptor_pages(entry.descriptor_count);
	for (uint32_t i = 0; i < entry.descriptor_count; i++)
		if (!descriptor_ok(scan, &entry, index, i, &data_page))
			return false;
	return data_page == entry.entry_bytes / VHDX_PAGE_BYTES;
}

/* Does an unbroken row lead from the tail of the entry at `head` to it? How many entries it has; 0: no. */
static uint32_t row_to(const struct scan *scan, uint32_t head)
{
	const struct vhdx_log_entry last = entry_at(scan, head);
	uint32_t at = last.tail / VHDX_PAGE_BYTES, covered = 0, count = 0;
	uint64_t sequence = 0;

	for (;;) {
		struct vhdx_log_entry entry;

		if (scan->entry_pages[at] == 0)
			return 0;
		entry = entry_at(scan, at);
		if (count && entry.sequence != sequence + 1)
			return 0;
		sequence = entry.sequence;
		covered += scan->entry_pages[at];
		count++;
		if (covered > scan->pages)
			return 0;
		if (at == head)
			return count;
		at = (at + scan->entry_pages[at]) % scan->pages;
	}
}

/* The head of the row to replay. false: there is none. */
static bool find_head(const struct scan *scan, uint32_t *ret_head, uint32_t *ret_count)
{
	uint64_t best = 0;

	for (uint32_t i = 0; i < scan->pages; i++) {
		uint32_t count;

		if (scan->entry_pages[i] == 0 || entry_at(scan, i).sequence <= best)
			continue;
		count = row_to(scan, i);
		if (count) {
			best = entry_at(scan, i).sequence;
			*ret_head = i;
			*ret_count = count;
		}
	}
	return best != 0;
}

static int check_step(const struct vhdx_replay_step *step, const struct vhdx_replay *replay,
		      const struct vhdx_header *header, struct block_failure *failure)
{
	const uint64_t log_end = header->log_offset + header->log_bytes;

	if (step->offset > replay->file_bytes || step->bytes > replay->file_bytes - step->offset)
		return block_failure_set(failure, -EINVAL, "the log writes at %#llx, beyond the file's end",
					 (unsigned long long)step->offset);
	if (step->offset < VHDX_REGION_OFFSET(0))
		return block_failure_set(failure, -EINVAL, "the log writes over the headers");
	if (step->offset < log_end && header->log_offset < step->offset + step->bytes)
		return block_failure_set(failure, -EINVAL, "the log writes over itself");
	return 0;
}

static int add_step(struct vhdx_replay *replay, const struct vhdx_replay_step *step, const struct vhdx_header *header,
		    struct block_failure *failure)
{
	int r = check_step(step, replay, header, failure);

	if (r || step->bytes == 0)
		return r;
	if (replay->count == replay->room) {
		const size_t room = replay->room ? replay->room * 2 : 64;
		struct vhdx_replay_step *steps = realloc(replay->steps, room * sizeof *steps);

		if (!steps)
			return block_failure_set(failure, -ENOMEM, "out of memory");
		replay->steps = steps;
		replay->room = room;
	}
	replay->steps[replay->count++] = *step;
	return 0;
}

static int add_entry(struct vhdx_replay *replay, const struct scan *scan, uint32_t index,
		     const struct vhdx_header *header, struct block_failure *failure)
{
	const struct vhdx_log_entry entry = entry_at(scan, index);
	uint64_t data_page = (uint64_t)index + descriptor_pages(entry.descriptor_count);
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < entry.descriptor_count; i++) {
		const struct vhdx_log_descriptor descriptor = descriptor_at(scan, index, i);
		struct vhdx_replay_step step = { .offset = descriptor.file_offset };

		if (descriptor.signature == VHDX_ZERO_SIGNATURE) {
			step.zero = true;
			step.bytes = descriptor.leading;
		} else {
			step.bytes = VHDX_PAGE_BYTES;
			step.leading = descriptor.leading;
			step.trailing = descriptor.trailing;
			step.sector = (const struct vhdx_log_sector *)page_at(scan, data_page++);
		}
		r = add_step(replay, &step, header, failure);
	}
	return r;
}

static int collect(struct vhdx_replay *replay, struct scan *scan, struct vhdx_layout *layout,
		   struct block_failure *failure)
{
	struct vhdx_log_entry last;
	uint32_t head, count, at;
	int r = 0;

	for (uint32_t i = 0; i < scan->pages; i++)
		if (entry_ok(scan, i))
			scan->entry_pages[i] = entry_at(scan, i).entry_bytes / VHDX_PAGE_BYTES;
	if (!find_head(scan, &head, &count))
		return block_failure_set(failure, -EINVAL, "the log is said to be in use, and holds no valid entry");
	last = entry_at(scan, head);
	if (layout->file_bytes < last.flushed_file_bytes)
		return block_failure_set(failure, -EINVAL, "the file has %llu bytes, and had %llu: it was cut",
					 (unsigned long long)layout->file_bytes, (unsigned long long)last.flushed_file_bytes);
	if (last.last_file_bytes > VHDX_FILE_BYTES_MAX)
		return block_failure_set(failure, -EINVAL, "the log makes the file %llu bytes long",
					 (unsigned long long)last.last_file_bytes);
	if (layout->file_bytes < last.last_file_bytes)
		layout->file_bytes = last.last_file_bytes;
	replay->file_bytes = layout->file_bytes;
	at = last.tail / VHDX_PAGE_BYTES;
	while (r == 0 && count--) {
		r = add_entry(replay, scan, at, &layout->header, failure);
		at = (at + scan->entry_pages[at]) % scan->pages;
	}
	return r;
}

int vhdx_replay_read(struct vhdx_source *source, struct vhdx_layout *layout, struct block_failure *failure)
{
	const struct vhdx_header *header = &layout->header;
	struct vhdx_replay *replay = calloc(1, sizeof *replay);
	struct scan scan = { .pages = header->log_bytes / VHDX_PAGE_BYTES, .guid = header->log_guid };
	int r = block_failure_set(failure, -ENOMEM, "out of memory");

	scan.budget = CHECKSUM_BUDGET(header->log_bytes);
	scan.entry_pages = calloc(scan.pages, sizeof *scan.entry_pages);
	if (replay)
		replay->log = malloc(header->log_bytes);
	if (replay && replay->log && scan.entry_pages) {
		scan.log = replay->log;
		r = source->read(source->context, header->log_offset, replay->log, header->log_bytes);
		r = r ? block_failure_set(failure, r, "the log cannot be read: %s", strerror(-r)) :
			collect(replay, &scan, layout, failure);
	}
	free(scan.entry_pages);
	if (r)
		vhdx_replay_free(replay);
	else
		source->replay = replay;
	return r;
}

void vhdx_replay_page(const struct vhdx_replay_step *step, uint8_t page[VHDX_PAGE_BYTES])
{
	memcpy(page, &step->leading, sizeof step->leading);
	memcpy(page + sizeof step->leading, step->sector->data, sizeof step->sector->data);
	memcpy(page + VHDX_PAGE_BYTES - sizeof step->trailing, &step->trailing, sizeof step->trailing);
}

void vhdx_replay_over(const struct vhdx_replay *replay, uint64_t offset, void *buffer, size_t bytes)
{
	for (size_t i = 0; i < replay->count; i++) {
		const struct vhdx_replay_step *step = &replay->steps[i];
		const uint64_t from = step->offset > offset ? step->offset : offset;
		const uint64_t step_end = step->offset + step->bytes, end = offset + bytes;
		const uint64_t to = step_end < end ? step_end : end;
		uint8_t page[VHDX_PAGE_BYTES];

		if (from >= to)
			continue;
		if (step->zero) {
			memset((uint8_t *)buffer + (from - offset), 0, to - from);
		} else {
			vhdx_replay_page(step, page);
			memcpy((uint8_t *)buffer + (from - offset), page + (from - step->offset), to - from);
		}
	}
}

bool vhdx_replay_touches(const struct vhdx_replay *replay, uint64_t offset, uint64_t bytes)
{
	for (size_t i = 0; i < replay->count; i++)
		if (replay->steps[i].offset < offset + bytes && offset < replay->steps[i].offset + replay->steps[i].bytes)
			return true;
	return false;
}

void vhdx_replay_free(struct vhdx_replay *replay)
{
	if (!replay)
		return;
	free(replay->log);
	free(replay->steps);
	free(replay);
}
