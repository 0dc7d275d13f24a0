/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dynamic memory (what hv_balloon of stock Linux speaks): raw in-band packets, no pipe header. The guest asks for the
 * protocol first, then tells what it can do. All numbers of pages and page frames are in units of 4 KiB. Little endian.
 */
#ifndef SCHEMAS_VMBUS_DM_H
#define SCHEMAS_VMBUS_DM_H

#include "hv/hv_types.h"

enum dm_message_type {
	DM_ERROR                 = 0,
	DM_VERSION_REQUEST       = 1,	/* guest */
	DM_VERSION_RESPONSE      = 2,
	DM_CAPABILITIES_REPORT   = 3,	/* guest */
	DM_CAPABILITIES_RESPONSE = 4,
	DM_STATUS_REPORT         = 5,	/* guest; no answer */
	DM_BALLOON_REQUEST       = 6,
	DM_BALLOON_RESPONSE      = 7,	/* guest; one or more */
	DM_UNBALLOON_REQUEST     = 8,
	DM_UNBALLOON_RESPONSE    = 9,	/* guest; to the message without DM_MORE_PAGES */
	DM_HOT_ADD_REQUEST       = 10,
	DM_HOT_ADD_RESPONSE      = 11,	/* guest */
	DM_INFO                  = 12,	/* from DM_VERSION_WIN8 on */
};

#define DM_VERSION(major, minor) ((uint32_t)(major) << 16 | (minor))
#define DM_VERSION_WIN7          DM_VERSION(0, 3)
#define DM_VERSION_WIN8          DM_VERSION(1, 0)
#define DM_VERSION_WIN10         DM_VERSION(2, 0)

struct dm_header {
	uint16_t type;
	uint16_t bytes;			/* of the whole message */
	uint32_t transaction;		/* each side counts its own; answers are matched by kind */
};
WIRE_SIZE(struct dm_header, 8);

struct dm_version_request {
	struct dm_header header;
	uint32_t version;
	uint32_t flags;
};
WIRE_SIZE(struct dm_version_request, 16);
#define DM_VERSION_LAST_ATTEMPT 1u

/* DM_VERSION_RESPONSE and DM_CAPABILITIES_RESPONSE. */
struct dm_verdict {
	struct dm_header header;
	uint64_t flags;
};
WIRE_SIZE(struct dm_verdict, 16);
#define DM_ACCEPTED 1ull

struct dm_capabilities {
	struct dm_header header;
	uint64_t capabilities;
	uint64_t page_count_min;	/* not used by any guest that we know */
	uint64_t page_number_max;	/* same; all ones */
};
WIRE_SIZE(struct dm_capabilities, 32);
#define DM_CAN_BALLOON                     1ull
#define DM_CAN_HOT_ADD                     2ull
/* Hot-added ranges begin and end at multiples of this many MiB. */
#define DM_HOT_ADD_ALIGNMENT(capabilities) (1ull << ((capabilities) >> 2 & 0xf))

struct dm_status_report {
	struct dm_header header;
	uint64_t available;
	uint64_t committed;		/* ballooned pages included */
	uint64_t page_file;
	uint64_t zero_free;
	uint32_t page_file_writes;
	uint32_t io_difference;
};
WIRE_SIZE(struct dm_status_report, 48);
WIRE_OFFSET(struct dm_status_report, io_difference, 44);

struct dm_balloon_request {
	struct dm_header header;
	uint32_t page_count;		/* a multiple of DM_BALLOON_UNIT */
	uint32_t rsvd;
};
WIRE_SIZE(struct dm_balloon_request, 16);
#define DM_BALLOON_UNIT 512u

/* A range of pages: the first one's number in bits 0-39, their count in 40-63. */
#define DM_RANGE(first, count)  ((uint64_t)(first) | (uint64_t)(count) << 40)
#define DM_RANGE_FIRST(range)   ((range) & 0xffffffffffull)
#define DM_RANGE_COUNT(range)   ((range) >> 40)
#define DM_RANGE_COUNT_MAX      0xffffffu
#define DM_RANGE_FIRST_MAX      0xffffffffffull

/* Followed by the ranges. */
struct dm_balloon_response {
	struct dm_header header;
	uint32_t rsvd;
	uint32_t more_and_range_count;	/* bit 0: DM_MORE_PAGES; from bit 1 on: the count */
};
WIRE_SIZE(struct dm_balloon_response, 16);
#define DM_MORE_PAGES 1u

/* Followed by the ranges. */
struct dm_unballoon_request {
	struct dm_header header;
	uint32_t flags;			/* DM_MORE_PAGES */
	uint32_t range_count;
};
WIRE_SIZE(struct dm_unballoon_request, 16);

/* The region is what the guest makes address space of, the range what of that has memory behind it. */
struct dm_hot_add_request {
	struct dm_header header;
	uint64_t range;
	uint64_t region;
};
WIRE_SIZE(struct dm_hot_add_request, 24);

struct dm_hot_add_response {
	struct dm_header header;
	uint32_t page_count;		/* so many, from the beginning of the range */
	uint32_t result;		/* with page_count 0: 0 try again later, 1 never again */
};
WIRE_SIZE(struct dm_hot_add_response, 16);

/* DM_INFO with the only kind of information that there is. */
struct dm_info {
	struct dm_header header;
	uint32_t rsvd;
	uint32_t info_bytes;		/* from info_type on */
	uint32_t info_type;		/* DM_INFO_MAX_PAGE_COUNT */
	uint32_t data_bytes;		/* 8 */
	uint64_t max_page_count;
};
WIRE_SIZE(struct dm_info, 32);
#define DM_INFO_MAX_PAGE_COUNT 0u

#endif
