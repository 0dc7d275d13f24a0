/* SPDX-License-Identifier: Apache-2.0 */
/* A guest physical address descriptor list: collected from a header and its bodies, then a list of checked pieces. */
#ifndef VSP_VMBUS_GPADL_H
#define VSP_VMBUS_GPADL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "vmbus/vmbus.h"

enum gpadl_state {
	GPADL_COLLECTING,		/* bodies are missing */
	GPADL_MAPPING,			/* whole and well formed; is it RAM? */
	GPADL_READY,
	GPADL_TEARING_DOWN,		/* the guest wants it back: no new users, answered after the last one */
};

struct gpadl {
	TAILQ_ENTRY(gpadl) link;
	TAILQ_ENTRY(gpadl) action_link;
	enum gpadl_state state;
	uint32_t id;
	uint32_t relid;
	uint32_t users;
	uint16_t range_count;
	uint16_t range_bytes;		/* of all ranges together */
	uint16_t received;		/* bytes of them that have come */
	uint8_t ranges[];		/* as in the messages; private */
};
TAILQ_HEAD(gpadl_list, gpadl);

/* NULL: no memory. */
struct gpadl *gpadl_new(const struct vmbus_gpadl_header_message *header);
/* More of the ranges; what is too much is left out. True: complete. */
bool gpadl_append(struct gpadl *gpadl, const void *bytes, size_t count);
/* Whether counts, offsets and page numbers of a complete one make sense. */
bool gpadl_well_formed(const struct gpadl *gpadl);
/* Guest memory that a list of so many range bytes can hold at most: what is charged for it. */
static inline uint64_t gpadl_charge(uint16_t range_bytes)
{
	return (uint64_t)(range_bytes / sizeof(uint64_t)) * HV_PAGE_BYTES;
}

/* The parts of a range list that lie in one page each. Also used on the ranges of GPA-direct packets. */
struct gpa_cursor {
	const uint8_t *at;		/* next page number or range header */
	uint32_t left;			/* bytes behind at */
	uint32_t ranges;		/* not yet begun */
	uint32_t bytes;			/* left of this range */
	uint32_t offset;		/* in its next page */
};
void gpa_cursor_init(struct gpa_cursor *cursor, const void *ranges, uint32_t bytes, uint32_t range_count);
/* 1 and a piece; 0 end; -EPROTO malformed. */
int gpa_cursor_next(struct gpa_cursor *cursor, uint64_t *out_gpa, uint32_t *out_bytes);
void gpadl_pieces(const struct gpadl *gpadl, struct gpa_cursor *out);

/* Whole pages in one range, as rings need them: how many, or 0 when it is something else. */
unsigned gpadl_whole_pages(const struct gpadl *gpadl);

#endif
