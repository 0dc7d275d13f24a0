/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies in a VHDX file, little-endian. Source: [MS-VHDX].
 *
 *   0          file identifier         64 KiB   two headers, each 4 KiB, at 64 and 128 KiB
 *   192 KiB    region table, 256 KiB   its copy
 *   1 MiB ...  log, BAT region, metadata region, payload and sector bitmap blocks, in any order, aligned to 1 MiB
 */
#ifndef VSP_BLOCK_VHDX_FORMAT_H
#define VSP_BLOCK_VHDX_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#define VHDX_KIB 1024u
#define VHDX_MIB (1024u * 1024u)

#define VHDX_FILE_SIGNATURE      0x656c696678646876ull	/* vhdxfile */
#define VHDX_HEADER_SIGNATURE    0x64616568u		/* head */
#define VHDX_REGION_SIGNATURE    0x69676572u		/* regi */
#define VHDX_METADATA_SIGNATURE  0x617461646174656dull	/* metadata */
#define VHDX_ENTRY_SIGNATURE     0x65676f6cu		/* loge */
#define VHDX_ZERO_SIGNATURE      0x6f72657au		/* zero */
#define VHDX_DATA_SIGNATURE      0x63736564u		/* desc */
#define VHDX_SECTOR_SIGNATURE    0x61746164u		/* data */

#define VHDX_HEADER_OFFSET(slot) ((1u + (slot)) * 64u * VHDX_KIB)
#define VHDX_REGION_OFFSET(slot) ((3u + (slot)) * 64u * VHDX_KIB)
#define VHDX_REGION_TABLE_BYTES  (64u * VHDX_KIB)
#define VHDX_REGION_ENTRIES_MAX  2047u
#define VHDX_METADATA_TABLE_BYTES (64u * VHDX_KIB)
#define VHDX_METADATA_ENTRIES_MAX 2047u
#define VHDX_METADATA_ITEM_MAX   VHDX_MIB
#define VHDX_PAGE_BYTES          4096u			/* of the log, and of all that goes through it */
#define VHDX_DISK_BYTES_MAX      (64ull << 40)
#define VHDX_BLOCK_BYTES_MIN     VHDX_MIB
#define VHDX_BLOCK_BYTES_MAX     (256u * VHDX_MIB)
#define VHDX_CHUNK_SECTORS       (1ull << 23)		/* what one sector bitmap block covers */
#define VHDX_BITMAP_BYTES        VHDX_MIB
#define VHDX_BITMAP_PAGE_SECTORS (VHDX_PAGE_BYTES * 8u)

struct vhdx_guid {
	uint8_t bytes[16];		/* as in the file: the first three fields little-endian */
};
_Static_assert(sizeof(struct vhdx_guid) == 16, "vhdx_guid");

#define VHDX_GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7) { {						\
	(a) & 0xff, ((a) >> 8) & 0xff, ((a) >> 16) & 0xff, ((a) >> 24) & 0xff, (b) & 0xff, (b) >> 8,	\
	(c) & 0xff, (c) >> 8, d0, d1, d2, d3, d4, d5, d6, d7 } }

#define VHDX_REGION_BAT      VHDX_GUID(0x2dc27766u, 0xf623, 0x4200, 0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08)
#define VHDX_REGION_METADATA VHDX_GUID(0x8b7ca206u, 0x4790, 0x4b9a, 0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e)

#define VHDX_ITEM_FILE_PARAMETERS VHDX_GUID(0xcaa16737u, 0xfa36, 0x4d43, 0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b)
#define VHDX_ITEM_DISK_SIZE       VHDX_GUID(0x2fa54224u, 0xcd1b, 0x4876, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8)
#define VHDX_ITEM_DISK_ID         VHDX_GUID(0xbeca12abu, 0xb2e6, 0x4523, 0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46)
#define VHDX_ITEM_LOGICAL_SECTOR  VHDX_GUID(0x8141bf1du, 0xa96f, 0x4709, 0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f)
#define VHDX_ITEM_PHYSICAL_SECTOR VHDX_GUID(0xcda348c7u, 0x445d, 0x4471, 0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56)
#define VHDX_ITEM_PARENT_LOCATOR  VHDX_GUID(0xa8d35f2du, 0xb30b, 0x454d, 0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c)
#define VHDX_LOCATOR_TYPE         VHDX_GUID(0xb04aefb7u, 0xd19e, 0x4a81, 0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13)

struct vhdx_file_identifier {
	uint64_t signature;
	uint16_t creator[256];		/* UTF-16 */
};
_Static_assert(sizeof(struct vhdx_file_identifier) == 520, "vhdx_file_identifier");

struct vhdx_header {
	uint32_t signature;
	uint32_t checksum;		/* over all 4 KiB, this field 0 */
	uint64_t sequence;
	struct vhdx_guid file_write_guid;
	struct vhdx_guid data_write_guid;
	struct vhdx_guid log_guid;	/* 0: nothing to replay */
	uint16_t log_version;		/* 0 */
	uint16_t version;		/* 1 */
	uint32_t log_bytes;
	uint64_t log_offset;
	uint8_t reserved[4016];
};
_Static_assert(sizeof(struct vhdx_header) == VHDX_PAGE_BYTES, "vhdx_header");
_Static_assert(offsetof(struct vhdx_header, log_offset) == 72, "vhdx_header.log_offset");

struct vhdx_region_table {
	uint32_t signature;
	uint32_t checksum;		/* over all 64 KiB, this field 0 */
	uint32_t entry_count;
	uint32_t reserved;
};
_Static_assert(sizeof(struct vhdx_region_table) == 16, "vhdx_region_table");

#define VHDX_REGION_REQUIRED 1u

struct vhdx_region_entry {
	struct vhdx_guid guid;
	uint64_t offset;
	uint32_t bytes;
	uint32_t flags;
};
_Static_assert(sizeof(struct vhdx_region_entry) == 32, "vhdx_region_entry");

struct vhdx_metadata_table {
	uint64_t signature;
	uint16_t reserved;
	uint16_t entry_count;
	uint32_t reserved2[5];
};
_Static_assert(sizeof(struct vhdx_metadata_table) == 32, "vhdx_metadata_table");

#define VHDX_ITEM_USER         1u
#define VHDX_ITEM_VIRTUAL_DISK 2u
#define VHDX_ITEM_REQUIRED     4u

struct vhdx_metadata_entry {
	struct vhdx_guid guid;
	uint32_t offset;		/* from the start of the region */
	uint32_t bytes;
	uint32_t flags;
	uint32_t reserved;
};
_Static_assert(sizeof(struct vhdx_metadata_entry) == 32, "vhdx_metadata_entry");

#define VHDX_LEAVE_ALLOCATED 1u		/* a fixed disk */
#define VHDX_HAS_PARENT      2u

struct vhdx_file_parameters {
	uint32_t block_bytes;
	uint32_t flags;
};
_Static_assert(sizeof(struct vhdx_file_parameters) == 8, "vhdx_file_parameters");

struct vhdx_locator_header {
	struct vhdx_guid type;
	uint16_t reserved;
	uint16_t pair_count;
};
_Static_assert(sizeof(struct vhdx_locator_header) == 20, "vhdx_locator_header");

struct vhdx_locator_entry {
	uint32_t key_offset, value_offset;	/* from the start of the item */
	uint16_t key_bytes, value_bytes;	/* UTF-16, no terminator */
};
_Static_assert(sizeof(struct vhdx_locator_entry) == 12, "vhdx_locator_entry");

/* A BAT entry: state in bits 0 to 2, file offset in MiB from bit 20 on. */
#define VHDX_BAT_STATE(entry)  ((unsigned)((entry) & 7u))
#define VHDX_BAT_OFFSET(entry) ((entry) & ~(uint64_t)(VHDX_MIB - 1u))

enum vhdx_block_state {
	VHDX_BLOCK_NOT_PRESENT = 0,	/* zeroes, or the parent's */
	VHDX_BLOCK_UNDEFINED = 1,
	VHDX_BLOCK_ZERO = 2,
	VHDX_BLOCK_UNMAPPED = 3,
	VHDX_BLOCK_PRESENT = 6,		/* of a sector bitmap block too */
	VHDX_BLOCK_PARTIAL = 7,		/* sectors whose bit is set; the others are the parent's */
};

struct vhdx_log_entry {
	uint32_t signature;
	uint32_t checksum;		/* over entry_bytes, this field 0 */
	uint32_t entry_bytes;
	uint32_t tail;			/* offset in the log of the oldest entry that replay needs */
	uint64_t sequence;
	uint32_t descriptor_count;
	uint32_t reserved;
	struct vhdx_guid log_guid;
	uint64_t flushed_file_bytes;	/* the file was stably as long as this at least */
	uint64_t last_file_bytes;	/* replay makes it as long as this at least */
};
_Static_assert(sizeof(struct vhdx_log_entry) == 64, "vhdx_log_entry");

struct vhdx_log_descriptor {
	uint32_t signature;
	uint32_t trailing;		/* data: last 4 bytes of the page */
	uint64_t leading;		/* data: first 8 bytes of the page; zero: length */
	uint64_t file_offset;
	uint64_t sequence;
};
_Static_assert(sizeof(struct vhdx_log_descriptor) == 32, "vhdx_log_descriptor");
_Static_assert(sizeof(struct vhdx_log_entry) % sizeof(struct vhdx_log_descriptor) == 0, "descriptors lie in one row");

struct vhdx_log_sector {
	uint32_t signature;
	uint32_t sequence_high;
	uint8_t data[4084];		/* the page without its first 8 and last 4 bytes */
	uint32_t sequence_low;
};
_Static_assert(sizeof(struct vhdx_log_sector) == VHDX_PAGE_BYTES, "vhdx_log_sector");

#endif
