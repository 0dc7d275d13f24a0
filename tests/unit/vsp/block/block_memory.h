/* SPDX-License-Identifier: Apache-2.0 */
/* A disk in memory that fails and waits on demand. Checks its caller: what it is given must be as block.h promises. */
#ifndef TESTS_BLOCK_MEMORY_H
#define TESTS_BLOCK_MEMORY_H

#include "block/block.h"

#define BLOCK_MEMORY_QUEUE 1024

struct block_memory {
	struct block_disk disk;		/* first */
	uint8_t *data;
	uint64_t bytes;			/* what block_refresh finds */
	struct block_request *queue[BLOCK_MEMORY_QUEUE];
	unsigned queued, kicked;	/* requests; how many of them may run */
	struct vsp_timer timer;
	bool hold;			/* requests wait until this is taken back and block_memory_run is called */
	enum block_op fail_op;
	int fail_error;			/* of requests with fail_op, where they touch fail_offset */
	uint64_t fail_offset;
	unsigned requests[BLOCK_WRITE_ZEROES + 1];	/* how many of each kind */
	unsigned last_flags;
	bool *gone;			/* set when the disk is freed */
};

struct block_memory *block_memory_new(const struct vsp_host *host, uint64_t bytes, uint32_t sector_bytes);
void block_memory_run(struct block_memory *disk);

#endif
