/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and checks what describes a VHDX: headers, log, regions, metadata. Pure but for the source's read. */
#ifndef VSP_BLOCK_VHDX_LAYOUT_H
#define VSP_BLOCK_VHDX_LAYOUT_H

#include "block/vhdx.h"

#define VHDX_LOG_BYTES_MAX  (64u * VHDX_MIB)
#define VHDX_BAT_BYTES_MAX  (513u * VHDX_MIB)	/* 64 TiB in blocks of 1 MiB, and the bitmap blocks' entries */
#define VHDX_FILE_BYTES_MAX (128ull << 40)
#define VHDX_REGIONS_MAX    16u			/* BAT, metadata, and such as nobody has defined yet */

struct vhdx_replay;

/* Bytes of a file; offsets, and lengths but for the last, are whole pages. Beyond the end: zeroes. */
struct vhdx_source {
	int (*read)(void *context, uint64_t offset, void *buffer, size_t bytes);
	void *context;
	uint64_t file_bytes;
	struct vhdx_replay *replay;	/* what the log lays over it; NULL: nothing */
};

struct vhdx_extent {
	uint64_t offset, bytes;
};

struct vhdx_layout {
	uint64_t file_bytes;		/* with what a replay adds */
	struct vhdx_header header;
	unsigned header_slot;
	struct vhdx_extent bat, metadata;
	struct vhdx_extent regions[VHDX_REGIONS_MAX];	/* all of them, BAT and metadata too */
	unsigned region_count;
	struct vhdx_info info;
	uint64_t size_at;		/* in the file: the disk's size */
	uint64_t block_count;		/* payload */
	uint64_t bat_count;		/* entries in use */
	unsigned chunk_shift;		/* log2 of payload blocks to a chunk */
};

/* The BAT entry of a payload block: after each chunk lies the entry of its sector bitmap block. */
static inline uint64_t vhdx_bat_index(unsigned chunk_shift, uint64_t block)
{
	return block + (block >> chunk_shift);
}

static inline uint64_t vhdx_bat_bitmap_index(unsigned chunk_shift, uint64_t chunk)
{
	return (chunk << chunk_shift) + (1ull << chunk_shift) + chunk;
}

/* Fills in what follows from size, block and sector size. false: outside the format's limits. */
bool vhdx_geometry(struct vhdx_layout *layout);

/*
 * As it will be with a disk of so many bytes; a BAT region that is too small has offset 0 then, and the bytes that it
 * needs. 0; -ENOTSUP smaller; -EINVAL with a reason.
 */
int vhdx_layout_grow(const struct vhdx_layout *layout, uint64_t bytes, struct vhdx_layout *grown,
		     struct block_failure *failure);

/* Tables of regions, VHDX_REGION_TABLE_BYTES each. */
bool vhdx_region_table_ok(const void *table);
void vhdx_region_table_move_bat(void *table, const struct vhdx_extent *bat);	/* and seals it */

/* On success source->replay may be set: vhdx_replay_free. 0, -errno as vhdx_open. */
int vhdx_layout_read(struct vhdx_source *source, struct vhdx_layout *layout, struct block_failure *failure);
int vhdx_source_read(const struct vhdx_source *source, uint64_t offset, void *buffer, size_t bytes);

/* CRC-32C of all, the four bytes at `field` taken as 0. */
bool vhdx_checksum_ok(const void *data, size_t bytes, size_t field);
void vhdx_seal(void *data, size_t bytes, size_t field);

/* Plain descriptors, on the caller's time: vhdx_image.c. The source keeps the pointer. 0, -errno. */
int vhdx_fd_source(int *fd, struct vhdx_source *source, struct block_failure *failure);
int vhdx_fd_write(int fd, const void *data, size_t bytes, uint64_t offset);
/* New GUIDs in both headers, and no log: whoever knows the file by them sees that it has changed. */
int vhdx_fd_changed(int fd, struct vhdx_layout *layout, struct block_failure *failure);

static inline uint64_t vhdx_whole_mib(uint64_t bytes)
{
	return (bytes + VHDX_MIB - 1) & ~(uint64_t)(VHDX_MIB - 1u);
}

bool vhdx_guid_is(const struct vhdx_guid *guid, struct vhdx_guid other);
bool vhdx_guid_is_null(const struct vhdx_guid *guid);

/* 0; -EINVAL with a reason. */
int vhdx_locator_decode(const uint8_t *item, size_t bytes, struct vhdx_locator *locator, struct block_failure *failure);
/* Into a buffer of VHDX_LOCATOR_BYTES_MAX; its bytes, 0: does not fit, or not UTF-8. */
#define VHDX_LOCATOR_BYTES_MAX 16384u
size_t vhdx_locator_encode(const struct vhdx_locator *locator, uint8_t *item);

#endif
