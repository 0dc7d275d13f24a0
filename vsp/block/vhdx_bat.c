// SPDX-License-Identifier: Apache-2.0
#include "block/vhdx_bat.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "block/vhdx_replay.h"

#define READ_BYTES VHDX_MIB

uint64_t *vhdx_bat_map(uint64_t count, size_t *ret_bytes)
{
	const size_t bytes = (count * sizeof(uint64_t) + VHDX_PAGE_BYTES - 1) & ~(size_t)(VHDX_PAGE_BYTES - 1);
	uint64_t *bat = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	*ret_bytes = bytes;
	return bat == MAP_FAILED ? NULL : bat;
}

/* Pages of zeroes are not copied: a large disk's BAT takes as much memory as it has entries. */
static int read_entries(const struct vhdx_source *source, uint64_t offset, uint8_t *bat, size_t bat_bytes, uint8_t *buffer)
{
	static const uint8_t zeroes[VHDX_PAGE_BYTES];

	for (size_t at = 0; at < bat_bytes; at += READ_BYTES) {
		const size_t bytes = bat_bytes - at < READ_BYTES ? bat_bytes - at : READ_BYTES;
		int r = vhdx_source_read(source, offset + at, buffer, bytes);

		if (r)
			return r;
		for (size_t page = 0; page < bytes; page += VHDX_PAGE_BYTES)
			if (memcmp(buffer + page, zeroes, VHDX_PAGE_BYTES) != 0)
				memcpy(bat + at + page, buffer + page, VHDX_PAGE_BYTES);
	}
	return 0;
}

int vhdx_bat_read(const struct vhdx_source *source, const struct vhdx_layout *layout, uint64_t **ret_bat, size_t *ret_bytes,
		  struct block_failure *failure)
{
	uint8_t *buffer = malloc(READ_BYTES);
	size_t bytes;
	uint64_t *bat = vhdx_bat_map(layout->bat_count, &bytes);
	int r = -ENOMEM;

	if (buffer && bat)
		r = read_entries(source, layout->bat.offset, (uint8_t *)bat, bytes, buffer);
	free(buffer);
	if (r) {
		if (bat)
			(void)munmap(bat, bytes);
		return block_failure_set(failure, r, "the BAT cannot be read: %s", strerror(-r));
	}
	*ret_bat = bat;
	*ret_bytes = bytes;
	return 0;
}

struct check {
	const struct vhdx_source *source;
	const struct vhdx_layout *layout;
	bool in_memory, whole;
	uint64_t *bat;
	struct vhdx_space *space;
	struct block_failure *failure;
};

static int claim(struct check *c, uint64_t offset, uint64_t bytes, const char *what, uint64_t number)
{
	bool taken;

	if (vhdx_space_claim(c->space, offset, bytes, &taken))
		return 0;
	if (!taken)
		return block_failure_set(c->failure, -ENOMEM, "out of memory");
	return block_failure_set(c->failure, -EINVAL, "%s %" PRIu64 " at %#" PRIx64 " overlaps something else", what,
				 number, offset);
}

static int check_entry(struct check *c, uint64_t index)
{
	const struct vhdx_layout *layout = c->layout;
	const unsigned chunk_shift = layout->chunk_shift;
	const uint64_t chunk = index / ((1ull << chunk_shift) + 1);
	const bool bitmap = index % ((1ull << chunk_shift) + 1) == 1ull << chunk_shift;
	const bool differencing = layout->info.type == VHDX_DIFFERENCING;
	const uint64_t entry = c->bat[index], offset = VHDX_BAT_OFFSET(entry);
	const uint64_t bytes = bitmap ? VHDX_BITMAP_BYTES : layout->info.block_bytes;
	const uint64_t number = bitmap ? chunk : index - chunk;
	const char *what = bitmap ? "bitmap block" : "block";
	const unsigned state = VHDX_BAT_STATE(entry);

	if (state == 4 || state == 5 || (state == VHDX_BLOCK_PARTIAL && (bitmap || !differencing)) ||
	    (bitmap && state != VHDX_BLOCK_NOT_PRESENT && state != VHDX_BLOCK_PRESENT))
		return block_failure_set(c->failure, -EINVAL, "%s %" PRIu64 " is in state %u", what, number, state);
	if (state < VHDX_BLOCK_PRESENT || (bitmap && !differencing)) {
		/* What an absent block may say about a place binds nobody. */
		c->bat[index] = state;
		return 0;
	}
	if (offset < VHDX_MIB || offset >= layout->file_bytes)
		return block_failure_set(c->failure, -EINVAL, "%s %" PRIu64 " at %#" PRIx64 " lies outside the file",
					 what, number, offset);
	if (c->whole && bytes > layout->file_bytes - offset)
		return block_failure_set(c->failure, -EINVAL, "%s %" PRIu64 " at %#" PRIx64 " ends beyond the end of the file",
					 what, number, offset);
	if (state == VHDX_BLOCK_PARTIAL &&
	    VHDX_BAT_STATE(c->bat[vhdx_bat_bitmap_index(chunk_shift, chunk)]) != VHDX_BLOCK_PRESENT)
		return block_failure_set(c->failure, -EINVAL, "block %" PRIu64 " is partially present without a bitmap",
					 number);
	/* In place a replay would change it; in memory there is nothing that would. */
	if (!bitmap && c->source->replay && c->in_memory && vhdx_replay_touches(c->source->replay, offset, bytes))
		return block_failure_set(c->failure, -ENOTSUP,
					 "the log holds data of block %" PRIu64 ": open it writable once", number);
	return claim(c, offset, bytes, what, number);
}

int vhdx_bat_check(const struct vhdx_source *source, const struct vhdx_layout *layout, bool in_memory, bool whole,
		   uint64_t *bat, struct vhdx_space *space, struct block_failure *failure)
{
	struct check c = { source, layout, in_memory, whole, bat, space, failure };
	int r = claim(&c, 0, VHDX_MIB, "header", 0);

	if (r == 0)
		r = claim(&c, layout->header.log_offset, layout->header.log_bytes, "log", 0);
	for (unsigned i = 0; r == 0 && i < layout->region_count; i++)
		r = claim(&c, layout->regions[i].offset, layout->regions[i].bytes, "region", i);
	if (r == 0 && !vhdx_space_extend(space, layout->file_bytes))
		r = block_failure_set(failure, -ENOMEM, "out of memory");
	for (uint64_t index = 0; r == 0 && index < layout->bat_count; index++)
		if (bat[index])
			r = check_entry(&c, index);
	return r;
}
