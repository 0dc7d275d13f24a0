// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/vhdx_engine.h"

static bool get(const struct vhdx_space *space, uint64_t mib)
{
	return space->used[mib / 64] >> mib % 64 & 1;
}

static void set(struct vhdx_space *space, uint64_t mib)
{
	space->used[mib / 64] |= 1ull << mib % 64;
}

static void clear(struct vhdx_space *space, uint64_t mib)
{
	space->used[mib / 64] &= ~(1ull << mib % 64);
}

/* The file is as long as this at least. */
bool vhdx_space_extend(struct vhdx_space *space, uint64_t bytes)
{
	const uint64_t mibs = (bytes + VHDX_MIB - 1) / VHDX_MIB, words = (mibs + 63) / 64;

	if (mibs <= space->mibs)
		return true;
	if (words > space->room) {
		const uint64_t room = words > space->room * 2 ? words : space->room * 2;
		uint64_t *used = realloc(space->used, room * sizeof *used);

		if (!used)
			return false;
		memset(used + space->room, 0, (room - space->room) * sizeof *used);
		space->used = used;
		space->room = room;
	}
	space->free_mibs += mibs - space->mibs;
	space->mibs = mibs;
	return true;
}

bool vhdx_space_claim(struct vhdx_space *space, uint64_t offset, uint64_t bytes, bool *ret_taken)
{
	const uint64_t first = offset / VHDX_MIB, end = (offset + bytes + VHDX_MIB - 1) / VHDX_MIB;

	*ret_taken = false;
	if (!vhdx_space_extend(space, offset + bytes))
		return false;
	for (uint64_t mib = first; mib < end; mib++) {
		if (get(space, mib)) {
			*ret_taken = true;
			return false;
		}
		set(space, mib);
		space->free_mibs--;
	}
	return true;
}

/* A run of `count` free MiB before the end; false: there is none. */
static bool find_run(const struct vhdx_space *space, uint64_t count, uint64_t *ret_first)
{
	uint64_t run = 0;

	for (uint64_t mib = space->hint; mib < space->mibs; mib++) {
		if (mib % 64 == 0 && space->used[mib / 64] == UINT64_MAX) {
			mib += 63;
			run = 0;
			continue;
		}
		run = get(space, mib) ? 0 : run + 1;
		if (run == count) {
			*ret_first = mib + 1 - count;
			return true;
		}
	}
	return false;
}

int vhdx_space_take(struct vhdx_space *space, uint64_t bytes, uint64_t *ret_offset)
{
	const uint64_t count = bytes / VHDX_MIB;
	uint64_t first = space->mibs;
	bool taken;

	if (space->free_mibs >= count && space->free_mibs > space->failed_free_mibs) {
		if (find_run(space, count, &first))
			space->hint = count == 1 ? first : space->hint;
		else
			space->failed_free_mibs = space->free_mibs;
	}
	if ((first + count) * VHDX_MIB > VHDX_FILE_BYTES_MAX)
		return -ENOSPC;
	if (!vhdx_space_claim(space, first * VHDX_MIB, bytes, &taken))
		return -ENOMEM;
	*ret_offset = first * VHDX_MIB;
	return 0;
}

void vhdx_space_give(struct vhdx_space *space, uint64_t offset, uint64_t bytes)
{
	const uint64_t first = offset / VHDX_MIB, end = (offset + bytes + VHDX_MIB - 1) / VHDX_MIB;

	for (uint64_t mib = first; mib < end; mib++)
		clear(space, mib);
	space->free_mibs += end - first;
	space->failed_free_mibs = 0;
	if (first < space->hint)
		space->hint = first;
}

bool vhdx_mibs_add(struct vhdx_mibs *mibs, uint64_t offset)
{
	if (mibs->count == mibs->room) {
		const size_t room = mibs->room ? mibs->room * 2 : 16;
		uint32_t *items = realloc(mibs->items, room * sizeof *items);

		if (!items)
			return false;
		mibs->items = items;
		mibs->room = room;
	}
	mibs->items[mibs->count++] = (uint32_t)(offset / VHDX_MIB);
	return true;
}

/* What `to` cannot hold for want of memory stays in use until the file is opened again. */
void vhdx_mibs_move(struct vhdx_mibs *to, struct vhdx_mibs *from)
{
	if (to->count == 0) {
		const struct vhdx_mibs empty = *to;

		*to = *from;
		*from = empty;
		return;
	}
	for (size_t i = 0; i < from->count; i++)
		(void)vhdx_mibs_add(to, (uint64_t)from->items[i] * VHDX_MIB);
	from->count = 0;
}
