/* SPDX-License-Identifier: Apache-2.0 */
/* The BAT as a file has it, and the space that it and the regions take. */
#ifndef VSP_BLOCK_VHDX_BAT_H
#define VSP_BLOCK_VHDX_BAT_H

#include "block/vhdx_layout.h"

struct vhdx_space {
	uint64_t *used;			/* a bit a MiB */
	uint64_t mibs, room;		/* all behind is free */
	uint64_t free_mibs;		/* of the others */
	uint64_t hint;
	uint64_t failed_free_mibs;	/* with so many free, no run was long enough */
};

/* false: out of memory, or the range is in use. */
bool vhdx_space_claim(struct vhdx_space *space, uint64_t offset, uint64_t bytes, bool *ret_taken);
int vhdx_space_take(struct vhdx_space *space, uint64_t bytes, uint64_t *ret_offset);
void vhdx_space_give(struct vhdx_space *space, uint64_t offset, uint64_t bytes);
bool vhdx_space_extend(struct vhdx_space *space, uint64_t bytes);

/* An anonymous mapping of whole pages; those of zeroes cost nothing. NULL: no memory. */
uint64_t *vhdx_bat_map(uint64_t count, size_t *ret_bytes);

/* All entries, into such a mapping, which is the caller's. 0, -errno as vhdx_open. */
int vhdx_bat_read(const struct vhdx_source *source, const struct vhdx_layout *layout, uint64_t **ret_bat, size_t *ret_bytes,
		  struct block_failure *failure);

/*
 * Every entry is one that may be, and nothing lies on anything else. Entries of blocks that are not there lose the place
 * that they name.
 *
 * in_memory  the log will not be replayed into the file: what it holds of a block's data would be missed
 * whole      blocks end in the file too
 *
 * 0, -errno as vhdx_open; `space` is the caller's to free in any case.
 */
int vhdx_bat_check(const struct vhdx_source *source, const struct vhdx_layout *layout, bool in_memory, bool whole,
		   uint64_t *bat, struct vhdx_space *space, struct block_failure *failure);

#endif
