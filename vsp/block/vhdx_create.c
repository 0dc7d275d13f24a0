// SPDX-License-Identifier: Apache-2.0
/* New files: on plain descriptors, on the caller's time. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/vhdx_layout.h"

#define LOG_OFFSET      (1ull * VHDX_MIB)
#define LOG_BYTES       VHDX_MIB
#define METADATA_OFFSET (2ull * VHDX_MIB)
#define METADATA_BYTES  VHDX_MIB
#define BAT_OFFSET      (3ull * VHDX_MIB)

#define BLOCK_BYTES_DEFAULT              (32u * VHDX_MIB)
#define BLOCK_BYTES_DEFAULT_DIFFERENCING (2u * VHDX_MIB)

static int check_options(const struct vhdx_create_options *options, struct vhdx_layout *layout,
			 struct block_failure *failure)
{
	struct vhdx_info *info = &layout->info;

	info->type = options->type;
	info->bytes = options->bytes;
	info->block_bytes = options->block_bytes ? options->block_bytes : options->type == VHDX_DIFFERENCING ?
			    BLOCK_BYTES_DEFAULT_DIFFERENCING : BLOCK_BYTES_DEFAULT;
	info->logical_bytes = options->logical_bytes ? options->logical_bytes : 512;
	info->physical_bytes = options->physical_bytes ? options->physical_bytes : 4096;
	if (info->bytes == 0 || info->bytes > VHDX_DISK_BYTES_MAX)
		return block_failure_set(failure, -EINVAL, "a disk of %llu bytes: 1 sector to 64 TiB are possible",
					 (unsigned long long)info->bytes);
	if (info->physical_bytes < info->logical_bytes || !vhdx_geometry(layout))
		return block_failure_set(failure, -EINVAL,
					 "blocks of %u bytes, sectors of %u and %u, size %llu: not possible",
					 info->block_bytes, info->logical_bytes, info->physical_bytes,
					 (unsigned long long)info->bytes);
	if (options->type == VHDX_DIFFERENCING && vhdx_guid_is_null(&options->parent.linkage))
		return block_failure_set(failure, -EINVAL, "a differencing disk needs its parent's data write GUID");
	layout->bat = (struct vhdx_extent){ BAT_OFFSET, vhdx_whole_mib(layout->bat_count * sizeof(uint64_t)) };
	layout->file_bytes = layout->bat.offset + layout->bat.bytes;
	return 0;
}

static int write_identifier(int fd)
{
	struct vhdx_file_identifier identifier = { .signature = VHDX_FILE_SIGNATURE };
	static const char creator[] = "Undercroft";

	for (unsigned i = 0; creator[i]; i++)
		identifier.creator[i] = (uint16_t)creator[i];
	return vhdx_fd_write(fd, &identifier, sizeof identifier, 0);
}

static int write_headers(int fd)
{
	struct vhdx_header header = {
		.signature = VHDX_HEADER_SIGNATURE, .version = 1, .log_offset = LOG_OFFSET, .log_bytes = LOG_BYTES,
	};
	int r = vhdx_guid_new(&header.file_write_guid);

	if (r == 0)
		r = vhdx_guid_new(&header.data_write_guid);
	for (unsigned slot = 0; r == 0 && slot < 2; slot++) {
		header.sequence = slot + 1;
		vhdx_seal(&header, sizeof header, offsetof(struct vhdx_header, checksum));
		r = vhdx_fd_write(fd, &header, sizeof header, VHDX_HEADER_OFFSET(slot));
	}
	return r;
}

static int write_regions(int fd, const struct vhdx_layout *layout, uint8_t *table)
{
	struct vhdx_region_table header = { .signature = VHDX_REGION_SIGNATURE, .entry_count = 2 };
	const struct vhdx_region_entry entries[2] = {
		{ VHDX_REGION_BAT, layout->bat.offset, (uint32_t)layout->bat.bytes, VHDX_REGION_REQUIRED },
		{ VHDX_REGION_METADATA, METADATA_OFFSET, METADATA_BYTES, VHDX_REGION_REQUIRED },
	};
	int r;

	memset(table, 0, VHDX_REGION_TABLE_BYTES);
	memcpy(table, &header, sizeof header);
	memcpy(table + sizeof header, entries, sizeof entries);
	vhdx_seal(table, VHDX_REGION_TABLE_BYTES, offsetof(struct vhdx_region_table, checksum));
	r = vhdx_fd_write(fd, table, VHDX_REGION_TABLE_BYTES, VHDX_REGION_OFFSET(0));
	return r ? r : vhdx_fd_write(fd, table, VHDX_REGION_TABLE_BYTES, VHDX_REGION_OFFSET(1));
}

struct metadata {
	uint8_t *bytes;			/* table, then items */
	struct vhdx_metadata_table header;
	uint32_t used;
};

static void add_item(struct metadata *metadata, struct vhdx_guid guid, const void *value, uint32_t bytes, uint32_t flags)
{
	const struct vhdx_metadata_entry entry = { guid, metadata->used, bytes, flags | VHDX_ITEM_REQUIRED, 0 };

	memcpy(metadata->bytes + metadata->used, value, bytes);
	metadata->used += (bytes + 7u) & ~7u;
	memcpy(metadata->bytes + ++metadata->header.entry_count * sizeof entry, &entry, sizeof entry);
}

static int write_metadata(int fd, const struct vhdx_layout *layout, const struct vhdx_create_options *options,
			  uint8_t *buffer, struct block_failure *failure)
{
	struct metadata metadata = { buffer, { .signature = VHDX_METADATA_SIGNATURE }, VHDX_METADATA_TABLE_BYTES };
	const struct vhdx_info *info = &layout->info;
	const struct vhdx_file_parameters parameters = {
		info->block_bytes,
		info->type == VHDX_FIXED ? VHDX_LEAVE_ALLOCATED : info->type == VHDX_DIFFERENCING ? VHDX_HAS_PARENT : 0,
	};
	struct vhdx_guid id = options->disk_id;
	uint8_t locator[VHDX_LOCATOR_BYTES_MAX];
	int r = vhdx_guid_is_null(&id) ? vhdx_guid_new(&id) : 0;

	if (r)
		return r;
	memset(buffer, 0, VHDX_METADATA_TABLE_BYTES + 2 * VHDX_LOCATOR_BYTES_MAX);
	add_item(&metadata, (struct vhdx_guid)VHDX_ITEM_FILE_PARAMETERS, &parameters, sizeof parameters, 0);
	add_item(&metadata, (struct vhdx_guid)VHDX_ITEM_DISK_SIZE, &info->bytes, 8, VHDX_ITEM_VIRTUAL_DISK);
	add_item(&metadata, (struct vhdx_guid)VHDX_ITEM_DISK_ID, &id, 16, VHDX_ITEM_VIRTUAL_DISK);
	add_item(&metadata, (struct vhdx_guid)VHDX_ITEM_LOGICAL_SECTOR, &info->logical_bytes, 4, VHDX_ITEM_VIRTUAL_DISK);
	add_item(&metadata, (struct vhdx_guid)VHDX_ITEM_PHYSICAL_SECTOR, &info->physical_bytes, 4, VHDX_ITEM_VIRTUAL_DISK);
	if (info->type == VHDX_DIFFERENCING) {
		const size_t bytes = vhdx_locator_encode(&options->parent, locator);

		if (bytes == 0)
			return block_failure_set(failure, -EINVAL, "the parent's paths are not UTF-8, or too long");
		add_item(&metadata, (struct vhdx_guid)VHDX_ITEM_PARENT_LOCATOR, locator, (uint32_t)bytes, 0);
	}
	memcpy(buffer, &metadata.header, sizeof metadata.header);
	return vhdx_fd_write(fd, buffer, metadata.used, METADATA_OFFSET);
}

/* All payload blocks in a row behind the BAT. */
static int write_fixed_bat(int fd, struct vhdx_layout *layout)
{
	uint64_t *bat = calloc(layout->bat_count, sizeof *bat), offset = layout->file_bytes;
	int r;

	if (!bat)
		return -ENOMEM;
	for (uint64_t block = 0; block < layout->block_count; block++) {
		bat[vhdx_bat_index(layout->chunk_shift, block)] = offset | VHDX_BLOCK_PRESENT;
		offset += layout->info.block_bytes;
	}
	layout->file_bytes = offset;
	r = vhdx_fd_write(fd, bat, layout->bat_count * sizeof *bat, layout->bat.offset);
	free(bat);
	return r;
}

static int set_size(int fd, const struct vhdx_layout *layout)
{
	if (ftruncate(fd, (off_t)layout->file_bytes) < 0)
		return -errno;
	/* A fixed disk owns its space, where the file system can do that. */
	if (layout->info.type == VHDX_FIXED && fallocate(fd, 0, 0, (off_t)layout->file_bytes) < 0 && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

static int write_file(int fd, struct vhdx_layout *layout, const struct vhdx_create_options *options, uint8_t *buffer,
		      struct block_failure *failure)
{
	int r = layout->info.type == VHDX_FIXED ? write_fixed_bat(fd, layout) : 0;

	if (r == 0)
		r = set_size(fd, layout);
	if (r == 0)
		r = write_metadata(fd, layout, options, buffer, failure);
	if (r == 0)
		r = write_regions(fd, layout, buffer);
	if (r == 0)
		r = write_headers(fd);
	/* What makes it a VHDX comes last. */
	if (r == 0)
		r = write_identifier(fd);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

int vhdx_create(int fd, const struct vhdx_create_options *options, struct block_failure *failure)
{
	struct vhdx_layout *layout = calloc(1, sizeof *layout);
	uint8_t *buffer = malloc(VHDX_METADATA_TABLE_BYTES + 2 * VHDX_LOCATOR_BYTES_MAX);
	struct stat st;
	int r = 0;

	failure->text[0] = 0;
	if (!layout || !buffer)
		r = -ENOMEM;
	else if (fstat(fd, &st) < 0)
		r = -errno;
	else if (!S_ISREG(st.st_mode))
		r = block_failure_set(failure, -EINVAL, "only a regular file can become a VHDX");
	else if (st.st_size != 0)
		r = block_failure_set(failure, -EEXIST, "the file is not empty");
	else
		r = check_options(options, layout, failure);
	if (r == 0)
		r = write_file(fd, layout, options, buffer, failure);
	if (r && failure->text[0] == 0)
		(void)block_failure_set(failure, r, "the file cannot be written: %s", strerror(-r));
	free(buffer);
	free(layout);
	return r;
}
