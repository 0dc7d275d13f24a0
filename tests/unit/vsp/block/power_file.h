/* SPDX-License-Identifier: Apache-2.0 */
/* A file in memory, whose power can fail: it knows what was flushed, and gives any state that a disk could be in. What
 * is in flight is done in an order of its own, by chance from rand(). */
#ifndef TESTS_POWER_FILE_H
#define TESTS_POWER_FILE_H

#include "block/file.h"

#define POWER_FILE_QUEUE 4096

struct power_write {
	struct power_write *next;
	uint64_t number, offset, bytes;
	bool sizes;			/* the size became `offset` */
	uint8_t data[];
};

struct power_bytes {
	uint8_t *data;
	uint64_t size;
};

struct power_file {
	struct block_file file;		/* first */
	struct power_bytes now, stable;
	struct power_write *unstable, **unstable_end;	/* in the order in which they were done */
	uint64_t writes;		/* done so far */
	struct block_file_request *queue[POWER_FILE_QUEUE];
	unsigned queued;
	uint64_t room;			/* -ENOSPC beyond; 0: none */
	unsigned flushes;
	struct power_bytes *keep;	/* gets the contents when the file is destroyed, flushed or not */
	struct vsp_timer timer;
};

/* Begins with these bytes, stable. */
struct power_file *power_file_new(const struct vsp_host *host, const void *data, uint64_t bytes);
/* What the storage may hold if the power fails now. The caller frees the data. */
struct power_bytes power_file_cut(const struct power_file *file);

#endif
