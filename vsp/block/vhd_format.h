/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout of VHD images, big-endian throughout.
 *
 *   fixed          data, footer
 *   dynamic        copy of the footer, dynamic header, BAT, blocks in any order, footer
 *   differencing   the same with parent locators before the blocks
 *
 * A block is a bitmap, one bit a sector, most significant first, whole sectors long; then its data. The BAT says at which
 * sector of the file a block begins.
 *
 * Source: Virtual Hard Disk Image Format Specification 1.0.
 */
#ifndef VSP_BLOCK_VHD_FORMAT_H
#define VSP_BLOCK_VHD_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "block/failure.h"

#define VHD_SECTOR_BYTES 512u
#define VHD_FOOTER_BYTES 512u
#define VHD_HEADER_BYTES 1024u
#define VHD_UNALLOCATED  0xffffffffu
#define VHD_BYTES_MAX    (2040ull << 30)
#define VHD_BLOCK_MIN    (16u << 10)
#define VHD_BLOCK_MAX    (256u << 20)
#define VHD_BLOCK_USUAL  (2u << 20)
#define VHD_BAT_MAX      (8u << 20)	/* entries: what a small block size makes of the largest disk is refused */
#define VHD_LOCATORS     8u

/* Offsets in the footer. */
enum {
	VHD_FOOTER_COOKIE = 0,		/* "conectix" */
	VHD_FOOTER_FEATURES = 8,
	VHD_FOOTER_VERSION = 12,
	VHD_FOOTER_DATA_OFFSET = 16,	/* of the dynamic header; fixed: all ones */
	VHD_FOOTER_TIMESTAMP = 24,	/* seconds since 2000-01-01 UTC */
	VHD_FOOTER_CREATOR = 28,
	VHD_FOOTER_CREATOR_VERSION = 32,
	VHD_FOOTER_CREATOR_HOST = 36,
	VHD_FOOTER_ORIGINAL_BYTES = 40,
	VHD_FOOTER_CURRENT_BYTES = 48,
	VHD_FOOTER_GEOMETRY = 56,
	VHD_FOOTER_TYPE = 60,
	VHD_FOOTER_CHECKSUM = 64,
	VHD_FOOTER_ID = 68,
};

/* Offsets in the dynamic header. */
enum {
	VHD_HEADER_COOKIE = 0,		/* "cxsparse" */
	VHD_HEADER_DATA_OFFSET = 8,	/* all ones */
	VHD_HEADER_BAT_OFFSET = 16,
	VHD_HEADER_VERSION = 24,
	VHD_HEADER_BAT_ENTRIES = 28,
	VHD_HEADER_BLOCK_BYTES = 32,
	VHD_HEADER_CHECKSUM = 36,
	VHD_HEADER_PARENT_ID = 40,
	VHD_HEADER_PARENT_TIMESTAMP = 56,
	VHD_HEADER_PARENT_NAME = 64,	/* UTF-16, 512 bytes */
	VHD_HEADER_LOCATORS = 576,
};
#define VHD_PARENT_NAME_BYTES 512u

/* Offsets in a parent locator. */
enum {
	VHD_LOCATOR_CODE = 0,
	VHD_LOCATOR_SPACE = 4,		/* sectors or bytes: writers differ */
	VHD_LOCATOR_LENGTH = 8,		/* bytes */
	VHD_LOCATOR_OFFSET = 16,
	VHD_LOCATOR_BYTES = 24,
};
#define VHD_LOCATOR_ABSOLUTE 0x57326b75u	/* "W2ku": UTF-16, little-endian */
#define VHD_LOCATOR_RELATIVE 0x57327275u	/* "W2ru" */

enum vhd_type {
	VHD_FIXED = 2,
	VHD_DYNAMIC = 3,
	VHD_DIFFERENCING = 4,
};

struct vhd_locator {
	uint32_t code;			/* 0: none */
	uint32_t bytes;
	uint64_t offset;
};

/* An image's checked description. All of it fits: arithmetic on these numbers does not overflow. */
struct vhd_layout {
	enum vhd_type type;
	uint64_t bytes;			/* of the disk */
	uint64_t file_bytes;
	uint8_t id[16];
	uint32_t timestamp;
	uint8_t footer[VHD_FOOTER_BYTES];	/* as it was found */
	uint64_t footer_offset;		/* where; 0: there was only the copy */
	/* Not of a fixed disk. */
	uint64_t header_offset;
	uint64_t bat_offset;
	uint32_t bat_entries;		/* that the disk's size needs; the file may have more */
	uint32_t block_bytes, bitmap_bytes;
	uint64_t data_end;		/* behind the last structure and block: where the next block goes */
	/* Of a differencing disk. */
	uint8_t parent_id[16];
	uint32_t parent_timestamp;
	uint8_t parent_name[VHD_PARENT_NAME_BYTES];
	struct vhd_locator locators[VHD_LOCATORS];
};

/* Where the bytes come from. Behind the end: zeroes. 0, -errno. */
struct vhd_source {
	int (*read)(void *context, uint64_t offset, void *buffer, size_t bytes);
	void *context;
	uint64_t bytes;
};

/* 0; -EINVAL not a VHD or a broken one, -ENOTSUP one that is not understood, -errno of the source. */
int vhd_layout_read(const struct vhd_source *source, struct vhd_layout *out, struct block_failure *why);

/* The BAT in host order, checked: every block lies in the file, and on no other structure. Completes data_end. The
 * caller frees it. 0, -EINVAL, -ENOMEM, -errno of the source. */
int vhd_bat_read(const struct vhd_source *source, struct vhd_layout *layout, uint32_t **ret_bat,
		 struct block_failure *why);

uint32_t vhd_bitmap_bytes(uint32_t block_bytes);
uint32_t vhd_checksum(const uint8_t *bytes, size_t count, size_t checksum_offset);
/* Cylinders, heads, sectors per track as the footer has them. */
uint32_t vhd_geometry(uint64_t bytes);

static inline uint16_t vhd_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t vhd_get32(const uint8_t *p)
{
	return (uint32_t)vhd_get16(p) << 16 | vhd_get16(p + 2);
}

static inline uint64_t vhd_get64(const uint8_t *p)
{
	return (uint64_t)vhd_get32(p) << 32 | vhd_get32(p + 4);
}

static inline void vhd_put32(uint8_t *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static inline void vhd_put64(uint8_t *p, uint64_t v)
{
	vhd_put32(p, (uint32_t)(v >> 32));
	vhd_put32(p + 4, (uint32_t)v);
}

#endif
