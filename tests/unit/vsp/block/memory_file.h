/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file in memory, for tests of disk formats: does what waits in any order, fails on demand, and can record what was
 * done to it, so that a power cut at any time can be played.
 */
#ifndef TESTS_MEMORY_FILE_H
#define TESTS_MEMORY_FILE_H

#include "block/file.h"

#define MEMORY_FILE_BYTES_MAX (4ull << 30)	/* address space; memory only where it was written */
#define MEMORY_FILE_CHUNK     (64u << 10)

struct memory_record {
	enum block_file_op op;
	uint64_t offset, bytes;
	uint8_t *data;			/* of a write */
	size_t begun;			/* how many records there were when it was submitted */
	bool fua;
};

struct memory_file {
	struct block_file file;		/* first */
	uint8_t *data;
	uint64_t bytes;
	uint8_t touched[MEMORY_FILE_BYTES_MAX / MEMORY_FILE_CHUNK];	/* chunks that may be other than zero */
	struct block_file_request **queue;
	size_t *queue_begun;
	size_t queued, queue_room;
	struct vsp_timer timer;
	uint32_t random;		/* 0: in order */
	unsigned turn_max;		/* requests done in one turn; 0: all */
	bool hold;

	unsigned fail_at;		/* counts down: the request that makes it 0 fails, and */
	unsigned fail_count;		/* so many in all */
	enum block_file_op fail_op;	/* which are counted, */
	bool fail_any;			/* or all */
	int fail_error;
	unsigned requests[BLOCK_FILE_ZERO + 1];
	size_t largest_queue;

	uint32_t sector_bytes;		/* what a power cut does not tear; 0: 512 */
	bool record;
	struct memory_record *records;
	size_t record_count, record_room;
	bool *gone;
	bool keep;			/* a disk that is closed leaves it: memory_file_free */
};

struct memory_file *memory_file_new(const struct vsp_host *host);
void memory_file_free(struct memory_file *file);	/* of one that no disk owns */
void memory_file_touch(struct memory_file *file, uint64_t offset, uint64_t bytes);	/* of who writes `data` himself */
void memory_file_set_size(struct memory_file *file, uint64_t bytes);
void memory_file_copy(struct memory_file *to, const struct memory_file *from);	/* content */
void memory_file_load(struct memory_file *file, int fd);
void memory_file_save(const struct memory_file *file, int fd);
/* What a power cut before record `cut` may have left of records done on `file`, which holds what was before the first.
 * Of what was not flushed each sector is there or not, as `random` falls; all of it with random = 0. */
void memory_file_replay(struct memory_file *file, const struct memory_record *records, size_t count, size_t cut,
			uint32_t random);
uint32_t memory_random(uint32_t *state);

#endif
