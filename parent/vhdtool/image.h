/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands ask of an image format: one row of functions each. All take a descriptor that stays the caller's,
 * return 0 or -errno, and say in `why` what was wrong. A NULL function: the format cannot.
 */
#ifndef VHDTOOL_IMAGE_H
#define VHDTOOL_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "block/block.h"
#include "block/failure.h"

#define IMAGE_ID_TEXT   37
#define IMAGE_PATHS_MAX 9u
#define IMAGE_PATH_BYTES 1024u
#define IMAGE_NOTES_MAX 4u

enum image_type {
	IMAGE_FIXED,
	IMAGE_DYNAMIC,
	IMAGE_DIFFERENCING,
	IMAGE_TYPE_COUNT,
};

extern const char *const image_type_names[IMAGE_TYPE_COUNT];

struct image_info {
	enum image_type type;
	uint64_t virtual_bytes, file_bytes;
	uint32_t block_bytes;			/* 0: none */
	uint32_t logical_bytes, physical_bytes;
	char id[IMAGE_ID_TEXT];			/* what children know it by; empty: none */
	char disk_id[IMAGE_ID_TEXT];		/* what the guest knows it by; empty: none */
	/* Of a differencing image. */
	char parent_id[IMAGE_ID_TEXT];
	char parent_paths[IMAGE_PATHS_MAX][IMAGE_PATH_BYTES];
	unsigned parent_path_count;
};

struct image_create {
	enum image_type type;
	uint64_t bytes;
	uint32_t block_bytes, logical_bytes, physical_bytes;	/* 0: what the format prefers */
	/* Of a differencing image. */
	const char *path;			/* where it will lie; NULL: not known */
	const char *parent_path;
	int parent_fd;
};

struct image_check {
	uint32_t blocks;
	uint64_t lost_bytes;
	const char *notes[IMAGE_NOTES_MAX];	/* what is not as it should be and does no harm */
	unsigned note_count;
};

enum image_access {
	IMAGE_READ,
	IMAGE_WRITE,
	IMAGE_MERGE,			/* write; until `merged`, children still take it for their parent */
};

struct image_format {
	const char *name;
	bool (*probe)(int fd);
	int (*inspect)(int fd, struct image_info *out, struct block_failure *why);
	int (*create)(int fd, const struct image_create *create, struct block_failure *why);
	int (*check)(int fd, struct image_check *out, struct block_failure *why);
	int (*resize)(int fd, uint64_t bytes, struct block_failure *why);
	/* The disk in it, over its parent (NULL: none), which is the disk's on success. */
	int (*open)(const struct vsp_host *host, int fd, enum image_access access, struct block_disk *parent,
		    struct block_disk **ret_disk, struct block_failure *why);
	/* A bit for each block of block_bytes: the image does not leave it to its parent. The caller's to free. */
	int (*blocks)(int fd, uint8_t **ret_bits, struct block_failure *why);
	/* A merge into it is over: it is not what its children were made from. */
	int (*merged)(int fd, struct block_failure *why);
};

extern const struct image_format image_raw, image_vhd, image_vhdx;

const struct image_format *image_format_named(const char *name);	/* NULL: no such format */
const struct image_format *image_format_of(int fd);			/* by its content; raw when it is nothing else */
void image_id_format(const uint8_t id[16], char out[IMAGE_ID_TEXT]);	/* bytes in the order of the text */
int image_fail(struct block_failure *why, const char *what);		/* with errno's text; -errno */

#endif
