/* SPDX-License-Identifier: Apache-2.0 */
/* A file in memory, whose power can fail: it knows what was flushed, and gives any state that a disk could be in. What
 * is in flight is done in an order of its own, by chance from rand(). */
#ifndef TESTS_MEMORY_FILE_H
#define TESTS_MEMORY_FILE_H

#include "block/file.h"

#define MEMORY_FILE_QUEUE 4096

struct memory_write {
	struct memory_write *next;
	uint64_t number, offset, bytes;
	bool sizes;			/* the size became `offset` */
	uint8_t data[];
};

struct memory_bytes {
	uint8_t *data;
	uint64_t size;
};

struct memory_file {
	struct block_file file;		/* first */
	struct memory_bytes now, stable;
	struct memory_write *unstable, **unstable_end;	/* in the order in which they were done */
	uint64_t writes;		/* done so far */
	struct block_file_request *queue[MEMORY_FILE_QUEUE];
	unsigned queued;
	uint64_t room;			/* -ENOSPC beyond; 0: none */
	unsigned flushes;
	struct memory_bytes *keep;	/* gets the contents when the file is destroyed, flushed or not */
	struct vsp_timer timer;
};

/* Begins with these bytes, stable. */
struct memory_file *memory_file_new(const struct vsp_host *host, const void *data, uint64_t bytes);
/* What the storage may hold if the power fails now. The caller frees the data. */
struct memory_bytes memory_file_cut(const struct memory_file *file);

#endif
