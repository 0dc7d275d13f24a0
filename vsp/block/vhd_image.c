// SPDX-License-Identifier: Apache-2.0
#include "block/vhd_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unicode/utf16.h"

#define VHD_HEADER_OFFSET  512u
#define VHD_BAT_OFFSET     1536u
#define VHD_CREATOR        "unde"
#define VHD_CREATOR_HOST   0x5769326bu	/* "Wi2k": of the two that are defined, the one of UTF-16 paths */
#define VHD_VERSION        0x00010000u
#define VHD_FEATURES       2u		/* reserved, always set */
#define VHD_PATH_UNITS_MAX 512u

/* ---- text: UTF-16 in both byte orders */

static uint16_t unit(const uint8_t *p, bool big)
{
	return big ? (uint16_t)(p[0] << 8 | p[1]) : (uint16_t)(p[1] << 8 | p[0]);
}

/* Up to a zero. false: not UTF-16, control characters, too long, or nothing at all. */
static bool text_decode(const uint8_t *from, size_t bytes, bool big, char out[VHD_PATH_BYTES])
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < bytes && unit(from + i, big);) {
		uint32_t c;
		const unsigned used = utf16_decode(unit(from + i, big), i + 3 < bytes ? unit(from + i + 2, big) : 0, &c);

		if (used == 0 || c < 0x20 || n + 5 > VHD_PATH_BYTES)
			return false;
		n += utf8_encode(c, out + n);
		i += 2 * used;
	}
	out[n] = '\0';
	return n > 0;
}

/* The units; 0: not UTF-8, or more than `max`. */
static size_t text_encode(const char *text, uint16_t *out, size_t max)
{
	size_t n = 0;

	while (*text) {
		uint32_t c;
		const unsigned bytes = utf8_decode(text, &c);

		if (bytes == 0 || n + 2 > max)
			return 0;
		n += utf16_encode(c, out + n);
		text += bytes;
	}
	return n;
}

/* ---- files */

static int read_at(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	const int fd = *(int *)context;

	while (bytes) {
		ssize_t n = pread(fd, buffer, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(buffer, 0, bytes);
			return 0;
		}
		buffer = (uint8_t *)buffer + n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int write_at(int fd, uint64_t offset, const void *buffer, size_t bytes, struct block_failure *why)
{
	while (bytes) {
		ssize_t n = pwrite(fd, buffer, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			const int error = n ? errno : EIO;

			return block_failure_set(why, -error, "VHD: the file cannot be written: %s", strerror(error));
		}
		buffer = (const uint8_t *)buffer + n;
		offset += (uint64_t)n;
		bytes -= (size_t)n;
	}
	return 0;
}

static int make_stable(int fd, struct block_failure *why)
{
	return fsync(fd) < 0 ? block_failure_set(why, -errno, "VHD: the file cannot be made stable: %s", strerror(errno)) : 0;
}

static int open_source(int *fd, struct vhd_source *source, struct block_failure *why)
{
	const off_t end = lseek(*fd, 0, SEEK_END);

	if (end < 0)
		return block_failure_set(why, -errno, "VHD: the file does not tell its size: %s", strerror(errno));
	*source = (struct vhd_source){ .read = read_at, .context = fd, .bytes = (uint64_t)end };
	return 0;
}

/* ---- inspect */

static bool listed(const struct vhd_info *info, const char *path)
{
	for (unsigned i = 0; i < info->path_count; i++)
		if (strcmp(info->paths[i], path) == 0)
			return true;
	return false;
}

static void add_path(struct vhd_info *info, const uint8_t *text, size_t bytes, bool big)
{
	char path[VHD_PATH_BYTES];

	if (text_decode(text, bytes, big, path) && !listed(info, path))
		memcpy(info->paths[info->path_count++], path, sizeof path);
}

static int read_paths(const struct vhd_source *source, struct vhd_info *info, struct block_failure *why)
{
	uint8_t text[2 * VHD_PATH_UNITS_MAX];

	for (unsigned i = 0; i < VHD_LOCATORS; i++) {
		const struct vhd_locator *locator = &info->layout.locators[i];
		int r;

		if ((locator->code != VHD_LOCATOR_ABSOLUTE && locator->code != VHD_LOCATOR_RELATIVE) || locator->bytes > sizeof text)
			continue;
		r = source->read(source->context, locator->offset, text, locator->bytes);
		if (r)
			return block_failure_set(why, r, "VHD: a parent locator cannot be read: %s", strerror(-r));
		add_path(info, text, locator->bytes, false);
	}
	add_path(info, info->layout.parent_name, sizeof info->layout.parent_name, true);
	return 0;
}

int vhd_inspect(int fd, struct vhd_info *out, struct block_failure *why)
{
	struct vhd_source source;
	int r = open_source(&fd, &source, why);

	memset(out, 0, sizeof *out);
	if (r == 0)
		r = vhd_layout_read(&source, &out->layout, why);
	if (r == 0 && out->layout.type == VHD_DIFFERENCING)
		r = read_paths(&source, out, why);
	return r;
}

/* ---- create */

static void seal(uint8_t *bytes, size_t count, size_t checksum_offset)
{
	vhd_put32(bytes + checksum_offset, vhd_checksum(bytes, count, checksum_offset));
}

static int fill_footer(uint8_t *footer, const struct vhd_create_options *options, struct block_failure *why)
{
	static const uint8_t none[16];

	memset(footer, 0, VHD_FOOTER_BYTES);
	memcpy(footer + VHD_FOOTER_COOKIE, "conectix", 8);
	vhd_put32(footer + VHD_FOOTER_FEATURES, VHD_FEATURES);
	vhd_put32(footer + VHD_FOOTER_VERSION, VHD_VERSION);
	vhd_put64(footer + VHD_FOOTER_DATA_OFFSET, options->type == VHD_FIXED ? UINT64_MAX : VHD_HEADER_OFFSET);
	vhd_put32(footer + VHD_FOOTER_TIMESTAMP, options->timestamp);
	memcpy(footer + VHD_FOOTER_CREATOR, VHD_CREATOR, 4);
	vhd_put32(footer + VHD_FOOTER_CREATOR_VERSION, VHD_VERSION);
	vhd_put32(footer + VHD_FOOTER_CREATOR_HOST, VHD_CREATOR_HOST);
	vhd_put64(footer + VHD_FOOTER_ORIGINAL_BYTES, options->bytes);
	vhd_put64(footer + VHD_FOOTER_CURRENT_BYTES, options->bytes);
	vhd_put32(footer + VHD_FOOTER_GEOMETRY, vhd_geometry(options->bytes));
	vhd_put32(footer + VHD_FOOTER_TYPE, options->type);
	memcpy(footer + VHD_FOOTER_ID, options->id, 16);
	if (memcmp(options->id, none, 16) == 0 && getrandom(footer + VHD_FOOTER_ID, 16, 0) != 16)
		return block_failure_set(why, -EIO, "VHD: no random numbers for the image's id");
	if (memcmp(options->id, none, 16) == 0) {	/* version 4 */
		footer[VHD_FOOTER_ID + 6] = (footer[VHD_FOOTER_ID + 6] & 0x0f) | 0x40;
		footer[VHD_FOOTER_ID + 8] = (footer[VHD_FOOTER_ID + 8] & 0x3f) | 0x80;
	}
	seal(footer, VHD_FOOTER_BYTES, VHD_FOOTER_CHECKSUM);
	return 0;
}

static int check_options(const struct vhd_create_options *options, uint32_t block_bytes, struct block_failure *why)
{
	if (options->bytes == 0 || options->bytes % VHD_SECTOR_BYTES || options->bytes > VHD_BYTES_MAX)
		return block_failure_set(why, -EINVAL, "VHD: a disk of %" PRIu64 " bytes: up to 2040 GiB in sectors of 512 are possible",
					 options->bytes);
	if (block_bytes < VHD_BLOCK_MIN || block_bytes > VHD_BLOCK_MAX || (block_bytes & (block_bytes - 1)))
		return block_failure_set(why, -EINVAL, "VHD: block size %u is not a power of two from 16 KiB to 256 MiB", block_bytes);
	if ((options->bytes + block_bytes - 1) / block_bytes > VHD_BAT_MAX)
		return block_failure_set(why, -EINVAL, "VHD: blocks of %u bytes are too small for a disk of %" PRIu64 " bytes",
					 block_bytes, options->bytes);
	if (options->type == VHD_DIFFERENCING && !options->parent_path)
		return block_failure_set(why, -EINVAL, "VHD: a differencing image needs the path of its parent");
	return 0;
}

static int create_fixed(int fd, const uint8_t *footer, uint64_t bytes, struct block_failure *why)
{
	if (fallocate(fd, 0, 0, (off_t)bytes) < 0 && (errno != EOPNOTSUPP || ftruncate(fd, (off_t)bytes) < 0))
		return block_failure_set(why, -errno, "VHD: no room for %" PRIu64 " bytes: %s", bytes, strerror(errno));
	return write_at(fd, bytes, footer, VHD_FOOTER_BYTES, why);
}

/* The parent's name in the header and, with all of its path, in a locator behind the BAT. */
static int create_parent(int fd, uint8_t *header, const struct vhd_create_options *options, uint64_t at, uint64_t *ret_end,
			 struct block_failure *why)
{
	const char *name = strrchr(options->parent_path, '/');
	uint8_t *locator = header + VHD_HEADER_LOCATORS;
	uint16_t units[VHD_PATH_UNITS_MAX];
	uint8_t text[2 * VHD_PATH_UNITS_MAX] = { 0 };
	size_t count = text_encode(name ? name + 1 : options->parent_path, units, VHD_PARENT_NAME_BYTES / 2);

	if (!count)
		return block_failure_set(why, -EINVAL, "VHD: the name of the parent is not UTF-8, or too long");
	for (size_t i = 0; i < count; i++) {
		header[VHD_HEADER_PARENT_NAME + 2 * i] = (uint8_t)(units[i] >> 8);
		header[VHD_HEADER_PARENT_NAME + 2 * i + 1] = (uint8_t)units[i];
	}
	memcpy(header + VHD_HEADER_PARENT_ID, options->parent_id, 16);
	vhd_put32(header + VHD_HEADER_PARENT_TIMESTAMP, options->parent_timestamp);
	count = text_encode(options->parent_path, units, VHD_PATH_UNITS_MAX);
	if (!count)
		return block_failure_set(why, -EINVAL, "VHD: the path of the parent is not UTF-8, or too long");
	for (size_t i = 0; i < count; i++) {
		text[2 * i] = (uint8_t)units[i];
		text[2 * i + 1] = (uint8_t)(units[i] >> 8);
	}
	vhd_put32(locator + VHD_LOCATOR_CODE, options->parent_path[0] == '/' ? VHD_LOCATOR_ABSOLUTE : VHD_LOCATOR_RELATIVE);
	*ret_end = (at + 2 * count + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
	vhd_put32(locator + VHD_LOCATOR_SPACE, (uint32_t)(*ret_end - at));
	vhd_put32(locator + VHD_LOCATOR_LENGTH, (uint32_t)(2 * count));
	vhd_put64(locator + VHD_LOCATOR_OFFSET, at);
	return write_at(fd, at, text, (size_t)(*ret_end - at), why);
}

static int write_bat(int fd, uint64_t offset, uint64_t bytes, struct block_failure *why)
{
	uint8_t none[65536];
	int r = 0;

	memset(none, 0xff, sizeof none);
	for (uint64_t done = 0; r == 0 && done < bytes; done += sizeof none)
		r = write_at(fd, offset + done, none, bytes - done < sizeof none ? (size_t)(bytes - done) : sizeof none, why);
	return r;
}

static int create_sparse(int fd, const uint8_t *footer, const struct vhd_create_options *options, uint32_t block_bytes,
			 struct block_failure *why)
{
	const uint32_t entries = (uint32_t)((options->bytes + block_bytes - 1) / block_bytes);
	const uint64_t bat_bytes = ((uint64_t)entries * 4 + VHD_SECTOR_BYTES - 1) / VHD_SECTOR_BYTES * VHD_SECTOR_BYTES;
	uint8_t header[VHD_HEADER_BYTES] = "cxsparse";
	uint64_t end = VHD_BAT_OFFSET + bat_bytes;
	int r;

	vhd_put64(header + VHD_HEADER_DATA_OFFSET, UINT64_MAX);
	vhd_put64(header + VHD_HEADER_BAT_OFFSET, VHD_BAT_OFFSET);
	vhd_put32(header + VHD_HEADER_VERSION, VHD_VERSION);
	vhd_put32(header + VHD_HEADER_BAT_ENTRIES, entries);
	vhd_put32(header + VHD_HEADER_BLOCK_BYTES, block_bytes);
	r = options->type == VHD_DIFFERENCING ? create_parent(fd, header, options, end, &end, why) : 0;
	seal(header, sizeof header, VHD_HEADER_CHECKSUM);
	if (r == 0)
		r = write_bat(fd, VHD_BAT_OFFSET, bat_bytes, why);
	if (r == 0)
		r = write_at(fd, VHD_HEADER_OFFSET, header, sizeof header, why);
	if (r == 0)
		r = write_at(fd, 0, footer, VHD_FOOTER_BYTES, why);
	return r ? r : write_at(fd, end, footer, VHD_FOOTER_BYTES, why);
}

int vhd_create(int fd, const struct vhd_create_options *options, struct block_failure *why)
{
	const uint32_t block_bytes = options->block_bytes ? options->block_bytes : VHD_BLOCK_USUAL;
	uint8_t footer[VHD_FOOTER_BYTES];
	int r = check_options(options, block_bytes, why);

	if (r == 0)
		r = fill_footer(footer, options, why);
	if (r)
		return r;
	if (ftruncate(fd, 0) < 0)
		return block_failure_set(why, -errno, "VHD: the file cannot be emptied: %s", strerror(errno));
	r = options->type == VHD_FIXED ? create_fixed(fd, footer, options->bytes, why) :
					 create_sparse(fd, footer, options, block_bytes, why);
	return r ? r : make_stable(fd, why);
}

/* ---- check, resize */

int vhd_check(int fd, struct vhd_check *out, struct block_failure *why)
{
	uint8_t copy[VHD_FOOTER_BYTES];
	struct vhd_layout layout;
	struct vhd_source source;
	uint32_t *bat;
	int r = open_source(&fd, &source, why);

	memset(out, 0, sizeof *out);
	if (r == 0)
		r = vhd_layout_read(&source, &layout, why);
	if (r || layout.type == VHD_FIXED)
		return r;
	r = vhd_bat_read(&source, &layout, &bat, why);
	if (r)
		return r;
	for (uint32_t i = 0; i < layout.bat_entries; i++)
		out->blocks += bat[i] != VHD_UNALLOCATED;
	free(bat);
	out->footer_missing = layout.footer_offset == 0;
	if (layout.footer_offset > layout.data_end)
		out->lost_bytes = layout.footer_offset - layout.data_end;
	r = read_at(&fd, 0, copy, sizeof copy);
	if (r)
		return block_failure_set(why, r, "VHD: the copy of the footer cannot be read: %s", strerror(-r));
	out->copy_differs = memcmp(copy, layout.footer, sizeof copy) != 0;
	return 0;
}

int vhd_blocks(int fd, uint8_t **ret_bits, struct block_failure *why)
{
	struct vhd_layout layout;
	struct vhd_source source;
	uint8_t *bits;
	uint32_t *bat;
	int r = open_source(&fd, &source, why);

	if (r == 0)
		r = vhd_layout_read(&source, &layout, why);
	if (r == 0 && layout.type == VHD_FIXED)
		r = block_failure_set(why, -EINVAL, "VHD: a fixed image has no blocks");
	if (r == 0)
		r = vhd_bat_read(&source, &layout, &bat, why);
	if (r)
		return r;
	bits = calloc(layout.bat_entries / 8 + 1, 1);
	for (uint32_t i = 0; bits && i < layout.bat_entries; i++)
		if (bat[i] != VHD_UNALLOCATED)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
	free(bat);
	*ret_bits = bits;
	return bits ? 0 : block_failure_set(why, -ENOMEM, "VHD: no memory");
}

/* Entries that the file already has room for, before the first thing behind the table. */
static int grow_sparse(int fd, const struct vhd_source *source, struct vhd_layout *layout, uint64_t bytes,
		       struct block_failure *why)
{
	const uint64_t needed = (bytes + layout->block_bytes - 1) / layout->block_bytes;
	uint8_t header[VHD_HEADER_BYTES];
	uint64_t end = layout->footer_offset;
	uint32_t *bat;
	int r = vhd_bat_read(source, layout, &bat, why);

	if (r)
		return r;
	for (uint32_t i = 0; i < layout->bat_entries; i++)
		if (bat[i] != VHD_UNALLOCATED && (uint64_t)bat[i] * VHD_SECTOR_BYTES < end)
			end = (uint64_t)bat[i] * VHD_SECTOR_BYTES;
	free(bat);
	if (needed > VHD_BAT_MAX || needed * 4 > end - layout->bat_offset || layout->header_offset > layout->bat_offset)
		return block_failure_set(why, -ENOTSUP, "VHD: the block allocation table has no room for %" PRIu64 " entries: convert "
					 "the image instead", needed);
	r = read_at(&fd, layout->header_offset, header, sizeof header);
	if (r)
		return block_failure_set(why, r, "VHD: the dynamic header cannot be read: %s", strerror(-r));
	r = write_bat(fd, layout->bat_offset + (uint64_t)layout->bat_entries * 4, (needed - layout->bat_entries) * 4, why);
	if (r)
		return r;
	vhd_put32(header + VHD_HEADER_BAT_ENTRIES, (uint32_t)needed);
	seal(header, sizeof header, VHD_HEADER_CHECKSUM);
	return write_at(fd, layout->header_offset, header, sizeof header, why);
}

int vhd_resize(int fd, uint64_t bytes, struct block_failure *why)
{
	struct vhd_layout layout;
	struct vhd_source source;
	int r = open_source(&fd, &source, why);

	if (r == 0)
		r = vhd_layout_read(&source, &layout, why);
	if (r)
		return r;
	if (bytes % VHD_SECTOR_BYTES || bytes > VHD_BYTES_MAX)
		return block_failure_set(why, -EINVAL, "VHD: a disk of %" PRIu64 " bytes: up to 2040 GiB in sectors of 512 are possible",
					 bytes);
	if (bytes < layout.bytes || layout.type == VHD_DIFFERENCING || !layout.footer_offset ||
	    (layout.type == VHD_FIXED && layout.footer_offset != layout.bytes))
		return block_failure_set(why, -ENOTSUP, "VHD: only a whole fixed or dynamic image can be made larger, and none smaller");
	vhd_put64(layout.footer + VHD_FOOTER_CURRENT_BYTES, bytes);
	vhd_put32(layout.footer + VHD_FOOTER_GEOMETRY, vhd_geometry(bytes));
	seal(layout.footer, VHD_FOOTER_BYTES, VHD_FOOTER_CHECKSUM);
	if (layout.type == VHD_FIXED) {
		static const uint8_t zeroes[VHD_FOOTER_BYTES];

		/* The new footer first: the old one becomes part of the disk. */
		r = bytes > layout.bytes ? write_at(fd, bytes, layout.footer, VHD_FOOTER_BYTES, why) : 0;
		if (r == 0)
			r = make_stable(fd, why);
		if (r == 0 && bytes > layout.bytes)
			r = write_at(fd, layout.footer_offset, zeroes,
				     bytes - layout.footer_offset < sizeof zeroes ? (size_t)(bytes - layout.footer_offset) : sizeof zeroes,
				     why);
	} else {
		r = grow_sparse(fd, &source, &layout, bytes, why);
		if (r == 0)
			r = make_stable(fd, why);
		if (r == 0)
			r = write_at(fd, layout.footer_offset, layout.footer, VHD_FOOTER_BYTES, why);
		if (r == 0)
			r = write_at(fd, 0, layout.footer, VHD_FOOTER_BYTES, why);
	}
	return r ? r : make_stable(fd, why);
}
