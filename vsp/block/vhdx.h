/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VHDX disks: fixed, dynamic, differencing. Source: [MS-VHDX].
 *
 * A power cut at any time loses no write that a flush or FUA covered, and leaves every other write old or new, sector
 * by sector.
 */
#ifndef VSP_BLOCK_VHDX_H
#define VSP_BLOCK_VHDX_H

#include "block/block.h"
#include "block/failure.h"
#include "block/file.h"
#include "block/vhdx_format.h"

#define VHDX_PATH_MAX 1024u

enum vhdx_type {
	VHDX_FIXED,
	VHDX_DYNAMIC,
	VHDX_DIFFERENCING,
};

struct vhdx_locator {
	struct vhdx_guid linkage;	/* the parent's data_write_guid */
	struct vhdx_guid linkage2;	/* 0, or another that will do */
	char relative_path[VHDX_PATH_MAX];		/* UTF-8; empty: not there */
	char absolute_win32_path[VHDX_PATH_MAX];
	char volume_path[VHDX_PATH_MAX];
};

struct vhdx_info {
	enum vhdx_type type;
	uint64_t bytes;			/* of the virtual disk */
	uint64_t file_bytes;
	uint32_t block_bytes, logical_bytes, physical_bytes;
	struct vhdx_guid disk_id;	/* page 0x83 */
	struct vhdx_guid data_write_guid;
	bool log_to_replay;
	struct vhdx_locator parent;	/* differencing */
};

struct vhdx_open_options {
	bool read_only;			/* neither the guest nor a replay of the log writes: that stays in memory */
	bool keep_data_guid;		/* children are to know the file while it changes: for a merge, see vhdx_merged */
	uint8_t id[16];			/* for block_info; all 0: the file's own */
};

/*
 * Reads what describes the disk, at once, and writes nothing: a log is replayed in memory, and into the file before the
 * first request of a disk that may be written.
 *
 * file     owned by the disk from success on, closed with it
 * parent   of a differencing disk, opened read-only; else NULL. Owned likewise
 *
 * 0; -EINVAL not a VHDX, or damaged; -ENOTSUP of a kind that is not supported; -ESTALE the parent has changed; -ENOMEM;
 * -errno of reading. `failure` then says why.
 */
int vhdx_open(const struct vsp_host *host, struct block_file *file, struct block_disk *parent,
	      const struct vhdx_open_options *options, struct block_disk **ret_disk, struct block_failure *failure);

/* false: not a VHDX. What a differencing disk's locator must hold. */
bool vhdx_data_write_guid(const struct block_disk *disk, struct vhdx_guid *ret_guid);

/* What a file says of itself; takes nothing. As vhdx_open, without a look at the BAT or the parent. */
int vhdx_inspect(int fd, struct vhdx_info *ret_info, struct block_failure *failure);

struct vhdx_create_options {
	enum vhdx_type type;
	uint64_t bytes;
	uint32_t block_bytes;		/* 0: 32 MiB; a differencing disk's 2 MiB */
	uint32_t logical_bytes;		/* 0: 512 */
	uint32_t physical_bytes;	/* 0: 4096 */
	struct vhdx_guid disk_id;	/* 0: a new one */
	struct vhdx_locator parent;	/* differencing */
};

/*
 * Makes an empty file a VHDX, on the caller's time, and syncs it. 0; -EINVAL options; -EEXIST the file is not empty;
 * -errno of writing.
 */
int vhdx_create(int fd, const struct vhdx_create_options *options, struct block_failure *failure);

struct vhdx_check {
	uint64_t blocks;		/* in the file */
	uint64_t lost_bytes;		/* used by nothing, until a block is needed */
	bool log_to_replay;
	bool header_damaged, region_table_damaged;	/* one of the two; the other counts */
};

/* All that vhdx_open looks at, and that all blocks end in the file. An error only when the image cannot be used. */
int vhdx_check(int fd, struct vhdx_check *out, struct block_failure *failure);

/* A bit for each payload block, the lowest first: the file does not leave it to its parent. The caller's to free. */
int vhdx_blocks(int fd, uint8_t **ret_bits, struct block_failure *failure);

/*
 * A file that nobody has open gets a larger disk; a log is replayed into it. Children do not know it any more.
 * 0; -ENOTSUP smaller, or beyond what is supported; -EINVAL no such size; -errno as vhdx_open, or of writing: then the
 * disk is as it was, or has its new size.
 */
int vhdx_resize(int fd, uint64_t bytes, struct block_failure *failure);

/* What was written under keep_data_guid is whole: children do not know the file any more. Nobody has it open. 0, -errno. */
int vhdx_merged(int fd, struct block_failure *failure);

/* "{01234567-89AB-CDEF-0123-456789ABCDEF}", with its terminator. */
#define VHDX_GUID_TEXT 39
void vhdx_guid_format(const struct vhdx_guid *guid, char text[VHDX_GUID_TEXT]);
bool vhdx_guid_parse(const char *text, struct vhdx_guid *ret_guid);	/* with or without braces */
int vhdx_guid_new(struct vhdx_guid *ret_guid);				/* 0, -errno */

#endif
