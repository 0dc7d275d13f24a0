/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random requests, many at once, on any disk, against what each sector has to hold. A sector holds the number of the
 * write that was the last there, and its own; 0: zeroes. Requests in flight never touch the same sector, so there is
 * always one right answer. With a history, what a power cut may leave can be asked.
 */
#ifndef TESTS_DISK_MODEL_H
#define TESTS_DISK_MODEL_H

#include "block/block.h"
#include "unit/vsp/block/block_host.h"

#define DISK_MODEL_OPS      24u
#define DISK_MODEL_SECTORS  48u		/* in one request, but for an unmap */
#define DISK_MODEL_UNKNOWN  UINT32_MAX

struct disk_model_write {
	uint64_t first, count;
	uint32_t version;
	size_t begun, stable;		/* by the clock; SIZE_MAX: not yet */
	size_t done;			/* by the count of submits: a clock may stand still */
};

struct disk_model_op {
	struct block_request request;	/* first */
	struct disk_model *model;
	struct iovec iov[2 * DISK_MODEL_SECTORS];
	uint8_t *memory;
	uint64_t first, count;
	uint32_t version;
	size_t write, submitted;
	bool busy;
};

struct disk_model {
	struct block_host *host;
	struct block_disk *disk;
	uint64_t sectors, block_sectors;
	uint32_t sector_bytes;
	uint32_t *versions;
	uint8_t *locked;
	uint32_t next_version, random;
	struct disk_model_op ops[DISK_MODEL_OPS];
	unsigned busy, wanted;		/* how many at once */
	bool read_only, errors_allowed;
	unsigned errors;
	uint64_t hot;			/* requests go to so many sectors from the start; 0: all */
	uint64_t stride;		/* and to as many behind each multiple of it; 0: only those */

	const size_t *clock;		/* NULL: no history */
	size_t submits;
	struct disk_model_write *writes;
	size_t write_count, write_room;
};

void disk_model_init(struct disk_model *model, struct block_host *host, struct block_disk *disk, uint64_t block_bytes,
		     uint32_t seed);
void disk_model_grow(struct disk_model *model, uint64_t bytes);			/* the disk may have fewer yet; zeroes */
void disk_model_use(struct disk_model *model, struct block_disk *disk);		/* the same content on another disk */
void disk_model_fini(struct disk_model *model);
void disk_model_run(struct disk_model *model, unsigned requests);	/* and waits for all */
void disk_model_check(struct disk_model *model);	/* all sectors; with a stride, those that requests go to */
/* All sectors, read through `disk`, are what a power cut at `cut` may leave. What it does not have is zeroes. */
void disk_model_check_cut(struct disk_model *model, struct block_disk *disk, size_t cut);
int disk_model_transfer(struct block_host *host, struct block_disk *disk, enum block_op op, unsigned flags,
			uint64_t offset, void *data, uint64_t bytes);
void disk_model_close(struct block_host *host, struct block_disk *disk);

#endif
