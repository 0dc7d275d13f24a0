/* SPDX-License-Identifier: Apache-2.0 */
/* What a log that was left behind says: pages and zeroes to lay over the file, in order. */
#ifndef VSP_BLOCK_VHDX_REPLAY_H
#define VSP_BLOCK_VHDX_REPLAY_H

#include "block/vhdx_layout.h"

struct vhdx_replay_step {
	uint64_t offset, bytes;
	bool zero;
	uint64_t leading;
	uint32_t trailing;
	const struct vhdx_log_sector *sector;
};

struct vhdx_replay {
	uint8_t *log;
	struct vhdx_replay_step *steps;
	size_t count, room;
	uint64_t file_bytes;		/* the file becomes as long as this at least */
};

/* Sets source->replay, and the layout's file_bytes. 0, -errno as vhdx_open. */
int vhdx_replay_read(struct vhdx_source *source, struct vhdx_layout *layout, struct block_failure *failure);
void vhdx_replay_over(const struct vhdx_replay *replay, uint64_t offset, void *buffer, size_t bytes);
bool vhdx_replay_touches(const struct vhdx_replay *replay, uint64_t offset, uint64_t bytes);
void vhdx_replay_page(const struct vhdx_replay_step *step, uint8_t page[VHDX_PAGE_BYTES]);
void vhdx_replay_free(struct vhdx_replay *replay);	/* NULL is fine */

#endif
