// SPDX-License-Identifier: Apache-2.0
#include "vmbus/gpadl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct gpadl *gpadl_new(const struct vmbus_gpadl_header_message *header)
{
	struct gpadl *gpadl = calloc(1, sizeof *gpadl + header->range_bytes);

	if (!gpadl)
		return NULL;
	gpadl->id = header->gpadl;
	gpadl->relid = header->relid;
	gpadl->range_count = header->range_count;
	gpadl->range_bytes = header->range_bytes;
	return gpadl;
}

bool gpadl_append(struct gpadl *gpadl, const void *bytes, size_t count)
{
	size_t missing = (size_t)(gpadl->range_bytes - gpadl->received);

	if (count > missing)
		count = missing;
	memcpy(gpadl->ranges + gpadl->received, bytes, count);
	gpadl->received = (uint16_t)(gpadl->received + count);
	return gpadl->received == gpadl->range_bytes;
}

void gpa_cursor_init(struct gpa_cursor *cursor, const void *ranges, uint32_t bytes, uint32_t range_count)
{
	*cursor = (struct gpa_cursor){ .at = ranges, .left = bytes, .ranges = range_count };
}

static bool take(struct gpa_cursor *cursor, void *to, uint32_t bytes)
{
	if (cursor->left < bytes)
		return false;
	memcpy(to, cursor->at, bytes);
	cursor->at += bytes;
	cursor->left -= bytes;
	return true;
}

int gpa_cursor_next(struct gpa_cursor *cursor, uint64_t *out_gpa, uint32_t *out_bytes)
{
	uint64_t page;

	while (cursor->bytes == 0) {
		struct vmbus_gpa_range_header range;

		if (cursor->ranges == 0)
			return 0;
		if (!take(cursor, &range, sizeof range) || range.offset >= HV_PAGE_BYTES)
			return -EPROTO;
		cursor->ranges--;
		cursor->bytes = range.bytes;
		cursor->offset = range.offset;
		/* An empty range inside a page still names that page. */
		if (range.bytes == 0 && range.offset && !take(cursor, &page, sizeof page))
			return -EPROTO;
	}
	if (!take(cursor, &page, sizeof page) || page > UINT64_MAX >> HV_PAGE_SHIFT)
		return -EPROTO;
	*out_gpa = (page << HV_PAGE_SHIFT) + cursor->offset;
	*out_bytes = HV_PAGE_BYTES - cursor->offset;
	if (*out_bytes > cursor->bytes)
		*out_bytes = cursor->bytes;
	cursor->bytes -= *out_bytes;
	cursor->offset = 0;
	return 1;
}

void gpadl_pieces(const struct gpadl *gpadl, struct gpa_cursor *out)
{
	gpa_cursor_init(out, gpadl->ranges, gpadl->range_bytes, gpadl->range_count);
}

bool gpadl_well_formed(const struct gpadl *gpadl)
{
	struct gpa_cursor cursor;
	unsigned pieces = 0;
	uint64_t gpa;
	uint32_t bytes;
	int r;

	gpadl_pieces(gpadl, &cursor);
	while ((r = gpa_cursor_next(&cursor, &gpa, &bytes)) > 0)
		pieces++;
	return r == 0 && cursor.left == 0 && pieces > 0;
}

unsigned gpadl_whole_pages(const struct gpadl *gpadl)
{
	struct vmbus_gpa_range_header range;

	if (gpadl->range_count != 1 || gpadl->range_bytes < sizeof range)
		return 0;
	memcpy(&range, gpadl->ranges, sizeof range);
	return range.offset || range.bytes % HV_PAGE_BYTES ? 0 : range.bytes / HV_PAGE_BYTES;
}
