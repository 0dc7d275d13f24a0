// SPDX-License-Identifier: Apache-2.0
#include "block/vhd_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VHD_VERSION_MAJOR   1u
#define VHD_LEGACY_FOOTER   511u	/* of early writers: the last, reserved byte is missing */
#define VHD_LOCATOR_MAX     (64u << 10)
#define VHD_BAT_READ_BYTES  (1u << 20)

uint32_t vhd_checksum(const uint8_t *bytes, size_t count, size_t checksum_offset)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i++)
		if (i < checksum_offset || i >= checksum_offset + 4)
			sum += bytes[i];
	return ~sum;
}

uint32_t vhd_bitmap_bytes(uint32_t block_bytes)
{
	const uint32_t bytes = (block_bytes / VHD_SECTOR_BYTES + 7) / 8;

	return (bytes + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
}

/* Appendix "CHS Calculation". */
static uint32_t specified_geometry(uint64_t sectors)
{
	uint32_t per_track, heads;
	uint64_t tracks;

	if (sectors >= 65535ull * 16 * 63) {
		per_track = 255;
		heads = 16;
		tracks = sectors / per_track;
	} else {
		per_track = 17;
		tracks = sectors / per_track;
		heads = (uint32_t)(tracks + 1023) / 1024;
		if (heads < 4)
			heads = 4;
		if (tracks >= (uint64_t)heads * 1024 || heads > 16) {
			per_track = 31;
			heads = 16;
			tracks = sectors / per_track;
		}
		if (tracks >= (uint64_t)heads * 1024) {
			per_track = 63;
			heads = 16;
			tracks = sectors / per_track;
		}
	}
	return (uint32_t)(tracks / heads) << 16 | heads << 8 | per_track;
}

/* Some readers take the size from the geometry. Where it cannot say the size exactly it says the largest that there is:
 * then all of them believe the size. */
uint32_t vhd_geometry(uint64_t bytes)
{
	const uint64_t sectors = bytes / VHD_SECTOR_BYTES;
	const uint32_t chs = sectors < 65535ull * 16 * 255 ? specified_geometry(sectors) : 0;

	if ((uint64_t)(chs >> 16) * (chs >> 8 & 0xff) * (chs & 0xff) == sectors)
		return chs;
	return 65535u << 16 | 16u << 8 | 255u;
}

static bool power_of_two(uint32_t v)
{
	return v && (v & (v - 1)) == 0;
}

static bool is_footer(const uint8_t *footer)
{
	return memcmp(footer + VHD_FOOTER_COOKIE, "conectix", 8) == 0 &&
	       vhd_checksum(footer, VHD_FOOTER_BYTES, VHD_FOOTER_CHECKSUM) == vhd_get32(footer + VHD_FOOTER_CHECKSUM);
}

/* The footer at the end, in its long or short form, or the copy in front when a crash has left none at the end. */
static int find_footer(const struct vhd_source *source, struct vhd_layout *out, struct block_failure *why)
{
	static const uint32_t sizes[] = { VHD_FOOTER_BYTES, VHD_LEGACY_FOOTER };
	int r;

	if (source->bytes < VHD_FOOTER_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: the file has %" PRIu64 " bytes, too few for a footer", source->bytes);
	for (unsigned i = 0; i < 2; i++) {
		memset(out->footer, 0, sizeof out->footer);
		out->footer_offset = source->bytes - sizes[i];
		r = source->read(source->context, out->footer_offset, out->footer, sizes[i]);
		if (r)
			return block_failure_set(why, r, "VHD: the footer cannot be read: %s", strerror(-r));
		if (is_footer(out->footer))
			return 0;
	}
	out->footer_offset = 0;
	r = source->read(source->context, 0, out->footer, VHD_FOOTER_BYTES);
	if (r)
		return block_failure_set(why, r, "VHD: the copy of the footer cannot be read: %s", strerror(-r));
	if (is_footer(out->footer) && vhd_get32(out->footer + VHD_FOOTER_TYPE) != VHD_FIXED)
		return 0;
	return block_failure_set(why, -EINVAL, "VHD: no footer with a good checksum at the end of the file, and no copy at its "
				 "begin");
}

static int read_footer(const struct vhd_source *source, struct vhd_layout *out, struct block_failure *why)
{
	int r = find_footer(source, out, why);
	uint32_t type;

	if (r)
		return r;
	if (vhd_get32(out->footer + VHD_FOOTER_VERSION) >> 16 != VHD_VERSION_MAJOR)
		return block_failure_set(why, -ENOTSUP, "VHD: format version %#x", vhd_get32(out->footer + VHD_FOOTER_VERSION));
	type = vhd_get32(out->footer + VHD_FOOTER_TYPE);
	if (type != VHD_FIXED && type != VHD_DYNAMIC && type != VHD_DIFFERENCING)
		return block_failure_set(why, -ENOTSUP, "VHD: disk type %u", type);
	out->type = (enum vhd_type)type;
	out->bytes = vhd_get64(out->footer + VHD_FOOTER_CURRENT_BYTES);
	out->timestamp = vhd_get32(out->footer + VHD_FOOTER_TIMESTAMP);
	out->file_bytes = source->bytes;
	memcpy(out->id, out->footer + VHD_FOOTER_ID, sizeof out->id);
	if (out->bytes == 0 || out->bytes % VHD_SECTOR_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: disk size %" PRIu64 " is not whole sectors", out->bytes);
	if (type == VHD_FIXED && out->bytes > out->footer_offset)
		return block_failure_set(why, -EINVAL, "VHD: the disk has %" PRIu64 " bytes, the file before its footer only %" PRIu64,
					 out->bytes, out->footer_offset);
	if (type != VHD_FIXED && out->bytes > VHD_BYTES_MAX)
		return block_failure_set(why, -EINVAL, "VHD: disk size %" PRIu64 " is above 2040 GiB", out->bytes);
	return 0;
}

static bool inside(const struct vhd_layout *layout, uint64_t offset, uint64_t bytes)
{
	return offset <= layout->file_bytes && bytes <= layout->file_bytes - offset;
}

static void reach(struct vhd_layout *layout, uint64_t end)
{
	const uint64_t sectors = (end + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES;

	if (sectors * VHD_SECTOR_BYTES > layout->data_end)
		layout->data_end = sectors * VHD_SECTOR_BYTES;
}

static int read_locators(struct vhd_layout *out, const uint8_t *header, struct block_failure *why)
{
	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		const uint8_t *raw = header + VHD_HEADER_LOCATORS + i * VHD_LOCATOR_BYTES;
		struct vhd_locator *locator = &out->locators[i];

		locator->code = vhd_get32(raw + VHD_LOCATOR_CODE);
		locator->bytes = vhd_get32(raw + VHD_LOCATOR_LENGTH);
		locator->offset = vhd_get64(raw + VHD_LOCATOR_OFFSET);
		if (!locator->code)
			continue;
		if (locator->bytes > VHD_LOCATOR_MAX || !inside(out, locator->offset, locator->bytes))
			return block_failure_set(why, -EINVAL, "VHD: parent locator %u of %u bytes at %" PRIu64 " is not in the file", i,
						 locator->bytes, locator->offset);
		reach(out, locator->offset + locator->bytes);
	}
	return 0;
}

static int check_blocks(struct vhd_layout *out, uint32_t file_entries, struct block_failure *why)
{
	uint64_t needed;

	if (!power_of_two(out->block_bytes) || out->block_bytes < VHD_BLOCK_MIN || out->block_bytes > VHD_BLOCK_MAX)
		return block_failure_set(why, -EINVAL, "VHD: block size %u is not a power of two from 16 KiB to 256 MiB",
					 out->block_bytes);
	needed = (out->bytes + out->block_bytes - 1) / out->block_bytes;
	if (needed > VHD_BAT_MAX)
		return block_failure_set(why, -EINVAL, "VHD: %" PRIu64 " blocks of %u bytes are too many", needed, out->block_bytes);
	if (file_entries < needed)
		return block_failure_set(why, -EINVAL, "VHD: the block allocation table has %u entries, the disk needs %" PRIu64,
					 file_entries, needed);
	if (!inside(out, out->bat_offset, (uint64_t)file_entries * 4) || out->bat_offset % VHD_SECTOR_BYTES ||
	    out->bat_offset < VHD_FOOTER_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: block allocation table at %" PRIu64 " is not whole sectors in the file",
					 out->bat_offset);
	if (out->bat_offset < out->header_offset + VHD_HEADER_BYTES &&
	    out->header_offset < out->bat_offset + (uint64_t)file_entries * 4)
		return block_failure_set(why, -EINVAL, "VHD: the block allocation table lies on the dynamic header");
	out->bat_entries = (uint32_t)needed;
	out->bitmap_bytes = vhd_bitmap_bytes(out->block_bytes);
	reach(out, out->bat_offset + (uint64_t)file_entries * 4);
	return 0;
}

static int read_header(const struct vhd_source *source, struct vhd_layout *out, struct block_failure *why)
{
	uint8_t header[VHD_HEADER_BYTES];
	int r;

	out->header_offset = vhd_get64(out->footer + VHD_FOOTER_DATA_OFFSET);
	if (!inside(out, out->header_offset, sizeof header) || out->header_offset < VHD_FOOTER_BYTES ||
	    out->header_offset % VHD_SECTOR_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: the dynamic header at %" PRIu64 " is not whole sectors in the file", out->header_offset);
	r = source->read(source->context, out->header_offset, header, sizeof header);
	if (r)
		return block_failure_set(why, r, "VHD: the dynamic header cannot be read: %s", strerror(-r));
	if (memcmp(header + VHD_HEADER_COOKIE, "cxsparse", 8) ||
	    vhd_checksum(header, sizeof header, VHD_HEADER_CHECKSUM) != vhd_get32(header + VHD_HEADER_CHECKSUM))
		return block_failure_set(why, -EINVAL, "VHD: no dynamic header with a good checksum at %" PRIu64, out->header_offset);
	if (vhd_get32(header + VHD_HEADER_VERSION) >> 16 != VHD_VERSION_MAJOR)
		return block_failure_set(why, -ENOTSUP, "VHD: dynamic header version %#x", vhd_get32(header + VHD_HEADER_VERSION));
	reach(out, VHD_FOOTER_BYTES);
	reach(out, out->header_offset + sizeof header);
	out->bat_offset = vhd_get64(header + VHD_HEADER_BAT_OFFSET);
	out->block_bytes = vhd_get32(header + VHD_HEADER_BLOCK_BYTES);
	r = check_blocks(out, vhd_get32(header + VHD_HEADER_BAT_ENTRIES), why);
	if (r || out->type != VHD_DIFFERENCING)
		return r;
	memcpy(out->parent_id, header + VHD_HEADER_PARENT_ID, sizeof out->parent_id);
	out->parent_timestamp = vhd_get32(header + VHD_HEADER_PARENT_TIMESTAMP);
	memcpy(out->parent_name, header + VHD_HEADER_PARENT_NAME, sizeof out->parent_name);
	return read_locators(out, header, why);
}

int vhd_layout_read(const struct vhd_source *source, struct vhd_layout *out, struct block_failure *why)
{
	int r;

	memset(out, 0, sizeof *out);
	r = read_footer(source, out, why);
	if (r == 0 && out->type != VHD_FIXED)
		r = read_header(source, out, why);
	return r;
}

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Blocks in the order of the file: each begins where all before it have ended. */
static int check_overlaps(struct vhd_layout *layout, uint32_t *sorted, struct block_failure *why)
{
	const uint64_t stride = (uint64_t)layout->bitmap_bytes + layout->block_bytes;
	uint64_t end = layout->bat_offset + (uint64_t)layout->bat_entries * 4;

	if (layout->header_offset + VHD_HEADER_BYTES > end)
		end = layout->header_offset + VHD_HEADER_BYTES;
	qsort(sorted, layout->bat_entries, sizeof *sorted, by_value);
	for (uint32_t i = 0; i < layout->bat_entries && sorted[i] != VHD_UNALLOCATED; i++) {
		const uint64_t at = (uint64_t)sorted[i] * VHD_SECTOR_BYTES;

		if (at < end)
			return block_failure_set(why, -EINVAL, "VHD: the block at sector %u lies on another or on the tables", sorted[i]);
		end = at + stride;
		if (!inside(layout, at, stride))
			return block_failure_set(why, -EINVAL, "VHD: the block at sector %u ends behind the file", sorted[i]);
	}
	reach(layout, end);
	return 0;
}

int vhd_bat_read(const struct vhd_source *source, struct vhd_layout *layout, uint32_t **ret_bat, struct block_failure *why)
{
	const size_t bytes = (size_t)layout->bat_entries * 4;
	uint32_t *bat = malloc(bytes), *sorted = malloc(bytes);
	int r = bat && sorted ? 0 : block_failure_set(why, -ENOMEM, "VHD: no memory for %u blocks", layout->bat_entries);

	for (size_t done = 0; r == 0 && done < bytes; done += VHD_BAT_READ_BYTES) {
		r = source->read(source->context, layout->bat_offset + done, (uint8_t *)bat + done,
				 bytes - done < VHD_BAT_READ_BYTES ? bytes - done : VHD_BAT_READ_BYTES);
		if (r)
			(void)block_failure_set(why, r, "VHD: the block allocation table cannot be read: %s", strerror(-r));
	}
	if (r == 0) {
		for (uint32_t i = 0; i < layout->bat_entries; i++)
			sorted[i] = bat[i] = vhd_get32((const uint8_t *)&bat[i]);
		r = check_overlaps(layout, sorted, why);
	}
	free(sorted);
	if (r)
		free(bat);
	else
		*ret_bat = bat;
	return r;
}
