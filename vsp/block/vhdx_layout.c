// SPDX-License-Identifier: Apache-2.0
#include "block/vhdx_layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/crc32c.h"
#include "block/vhdx_replay.h"

bool vhdx_guid_is(const struct vhdx_guid *guid, struct vhdx_guid other)
{
	return memcmp(guid, &other, sizeof other) == 0;
}

bool vhdx_guid_is_null(const struct vhdx_guid *guid)
{
	return vhdx_guid_is(guid, (struct vhdx_guid){ { 0 } });
}

int vhdx_source_read(const struct vhdx_source *source, uint64_t offset, void *buffer, size_t bytes)
{
	int r = source->read(source->context, offset, buffer, bytes);

	if (r == 0 && source->replay)
		vhdx_replay_over(source->replay, offset, buffer, bytes);
	return r;
}

static uint32_t checksum(const uint8_t *data, size_t bytes, size_t field)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, data, field);

	crc = crc32c(crc, zero, sizeof zero);
	return crc32c(crc, data + field + sizeof zero, bytes - field - sizeof zero);
}

bool vhdx_checksum_ok(const void *data, size_t bytes, size_t field)
{
	uint32_t said;

	memcpy(&said, (const uint8_t *)data + field, sizeof said);
	return said == checksum(data, bytes, field);
}

void vhdx_seal(void *data, size_t bytes, size_t field)
{
	const uint32_t crc = checksum(data, bytes, field);

	memcpy((uint8_t *)data + field, &crc, sizeof crc);
}

static int read_identifier(const struct vhdx_source *source, struct block_failure *failure)
{
	uint8_t page[VHDX_PAGE_BYTES];
	uint64_t signature;
	int r = source->read(source->context, 0, page, sizeof page);

	if (r)
		return block_failure_set(failure, r, "the file cannot be read: %s", strerror(-r));
	memcpy(&signature, page, sizeof signature);
	return signature == VHDX_FILE_SIGNATURE ? 0 :
	       block_failure_set(failure, -EINVAL, "not a VHDX: no signature \"vhdxfile\"");
}

static int read_headers(const struct vhdx_source *source, struct vhdx_layout *layout, struct block_failure *failure)
{
	bool any = false;

	for (unsigned slot = 0; slot < 2; slot++) {
		struct vhdx_header header;
		int r = source->read(source->context, VHDX_HEADER_OFFSET(slot), &header, sizeof header);

		if (r)
			return block_failure_set(failure, r, "header %u cannot be read: %s", slot + 1, strerror(-r));
		if (header.signature != VHDX_HEADER_SIGNATURE ||
		    !vhdx_checksum_ok(&header, sizeof header, offsetof(struct vhdx_header, checksum)))
			continue;
		if (any && header.sequence <= layout->header.sequence)
			continue;
		layout->header = header;
		layout->header_slot = slot;
		any = true;
	}
	if (!any)
		return block_failure_set(failure, -EINVAL, "both headers are damaged");
	if (layout->header.version != 1)
		return block_failure_set(failure, -ENOTSUP, "version %u of VHDX is not supported",
					 layout->header.version);
	return 0;
}

static int check_log(const struct vhdx_layout *layout, struct block_failure *failure)
{
	const struct vhdx_header *header = &layout->header;

	if (header->log_bytes == 0 || header->log_bytes % VHDX_MIB || header->log_offset % VHDX_MIB ||
	    header->log_offset < VHDX_MIB || header->log_offset > VHDX_FILE_BYTES_MAX)
		return block_failure_set(failure, -EINVAL, "log at %#llx, %#x bytes: not whole MiB behind the headers",
					 (unsigned long long)header->log_offset, header->log_bytes);
	if (header->log_bytes > VHDX_LOG_BYTES_MAX)
		return block_failure_set(failure, -ENOTSUP, "a log of %u MiB is not supported, %u are the limit",
					 header->log_bytes / VHDX_MIB, VHDX_LOG_BYTES_MAX / VHDX_MIB);
	if (vhdx_guid_is_null(&header->log_guid))
		return 0;
	if (header->log_version != 0)
		return block_failure_set(failure, -ENOTSUP, "version %u of the log is not supported",
					 header->log_version);
	return 0;
}

static bool overlap(const struct vhdx_extent *a, const struct vhdx_extent *b)
{
	return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static int add_region(struct vhdx_layout *layout, const struct vhdx_region_entry *entry, struct block_failure *failure)
{
	const struct vhdx_extent extent = { entry->offset, entry->bytes };
	const struct vhdx_extent log = { layout->header.log_offset, layout->header.log_bytes };
	const bool bat = vhdx_guid_is(&entry->guid, (struct vhdx_guid)VHDX_REGION_BAT);
	const bool metadata = vhdx_guid_is(&entry->guid, (struct vhdx_guid)VHDX_REGION_METADATA);
	char text[VHDX_GUID_TEXT];

	vhdx_guid_format(&entry->guid, text);
	if (!bat && !metadata && (entry->flags & VHDX_REGION_REQUIRED))
		return block_failure_set(failure, -ENOTSUP, "the file needs region %s, which is unknown", text);
	if (extent.offset < VHDX_MIB || extent.offset % VHDX_MIB || extent.bytes == 0 || extent.bytes % VHDX_MIB ||
	    extent.offset > VHDX_FILE_BYTES_MAX)
		return block_failure_set(failure, -EINVAL,
					 "region %s at %#llx, %#llx bytes: not whole MiB behind the headers", text,
					 (unsigned long long)extent.offset, (unsigned long long)extent.bytes);
	if (layout->region_count == VHDX_REGIONS_MAX)
		return block_failure_set(failure, -ENOTSUP, "more than %u regions are not supported", VHDX_REGIONS_MAX);
	for (unsigned i = 0; i < layout->region_count; i++)
		if (overlap(&extent, &layout->regions[i]))
			return block_failure_set(failure, -EINVAL, "region %s overlaps another", text);
	if (overlap(&extent, &log))
		return block_failure_set(failure, -EINVAL, "region %s overlaps the log", text);
	if ((bat && layout->bat.bytes) || (metadata && layout->metadata.bytes))
		return block_failure_set(failure, -EINVAL, "region %s is there twice", text);
	if (bat)
		layout->bat = extent;
	if (metadata)
		layout->metadata = extent;
	layout->regions[layout->region_count++] = extent;
	return 0;
}

static int decode_regions(const uint8_t *table, struct vhdx_layout *layout, struct block_failure *failure)
{
	struct vhdx_region_table header;
	int r = 0;

	memcpy(&header, table, sizeof header);
	if (header.entry_count > VHDX_REGION_ENTRIES_MAX)
		return block_failure_set(failure, -EINVAL, "a region table with %u entries", header.entry_count);
	for (unsigned i = 0; r == 0 && i < header.entry_count; i++) {
		struct vhdx_region_entry entry;

		memcpy(&entry, table + sizeof header + i * sizeof entry, sizeof entry);
		r = add_region(layout, &entry, failure);
	}
	if (r == 0 && layout->bat.bytes == 0)
		r = block_failure_set(failure, -EINVAL, "no BAT region");
	if (r == 0 && layout->metadata.bytes == 0)
		r = block_failure_set(failure, -EINVAL, "no metadata region");
	return r;
}

bool vhdx_region_table_ok(const void *table)
{
	const uint32_t signature = VHDX_REGION_SIGNATURE;

	return memcmp(table, &signature, sizeof signature) == 0 &&
	       vhdx_checksum_ok(table, VHDX_REGION_TABLE_BYTES, offsetof(struct vhdx_region_table, checksum));
}

void vhdx_region_table_move_bat(void *table, const struct vhdx_extent *bat)
{
	uint8_t *place = (uint8_t *)table + sizeof(struct vhdx_region_table);
	struct vhdx_region_table header;

	memcpy(&header, table, sizeof header);
	for (unsigned i = 0; i < header.entry_count && i < VHDX_REGION_ENTRIES_MAX; i++) {
		struct vhdx_region_entry entry;

		memcpy(&entry, place + i * sizeof entry, sizeof entry);
		if (!vhdx_guid_is(&entry.guid, (struct vhdx_guid)VHDX_REGION_BAT))
			continue;
		entry.offset = bat->offset;
		entry.bytes = (uint32_t)bat->bytes;
		memcpy(place + i * sizeof entry, &entry, sizeof entry);
	}
	vhdx_seal(table, VHDX_REGION_TABLE_BYTES, offsetof(struct vhdx_region_table, checksum));
}

static int read_regions(const struct vhdx_source *source, uint8_t *table, struct vhdx_layout *layout,
			struct block_failure *failure)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		int r = vhdx_source_read(source, VHDX_REGION_OFFSET(copy), table, VHDX_REGION_TABLE_BYTES);

		if (r)
			return block_failure_set(failure, r, "region table %u cannot be read: %s", copy + 1,
						 strerror(-r));
		if (vhdx_region_table_ok(table))
			return decode_regions(table, layout, failure);
	}
	return block_failure_set(failure, -EINVAL, "both region tables are damaged");
}

struct items {
	const uint8_t *table;
	unsigned count;
	unsigned known;			/* how many of them somebody has asked for */
	unsigned required;
	uint64_t at;			/* in the file: the item that was found last */
};

/* An item's bytes into a buffer; how many it has, 0: not there. */
static int read_item(const struct vhdx_source *source, const struct vhdx_layout *layout, struct items *items,
		     struct vhdx_guid guid, void *buffer, size_t bytes_min, size_t bytes_max, size_t *ret_bytes,
		     struct block_failure *failure)
{
	*ret_bytes = 0;
	for (unsigned i = 0; i < items->count; i++) {
		struct vhdx_metadata_entry entry;
		uint8_t *pages;
		uint64_t first, end;
		int r;

		memcpy(&entry, items->table + (i + 1) * sizeof entry, sizeof entry);
		if ((entry.flags & VHDX_ITEM_USER) || !vhdx_guid_is(&entry.guid, guid))
			continue;
		if (*ret_bytes)
			return block_failure_set(failure, -EINVAL, "a metadata item is there twice");
		end = (uint64_t)entry.offset + entry.bytes;
		if (entry.offset < VHDX_METADATA_TABLE_BYTES || end > layout->metadata.bytes || entry.bytes < bytes_min ||
		    entry.bytes > bytes_max)
			return block_failure_set(failure, -EINVAL, "a metadata item at %#x with %u bytes",
						 entry.offset, entry.bytes);
		first = entry.offset & ~(VHDX_PAGE_BYTES - 1u);
		end = (end + VHDX_PAGE_BYTES - 1) & ~(uint64_t)(VHDX_PAGE_BYTES - 1u);
		pages = malloc(end - first);
		if (!pages)
			return block_failure_set(failure, -ENOMEM, "out of memory");
		r = vhdx_source_read(source, layout->metadata.offset + first, pages, end - first);
		if (r == 0)
			memcpy(buffer, pages + (entry.offset - first), entry.bytes);
		free(pages);
		if (r)
			return block_failure_set(failure, r, "metadata cannot be read: %s", strerror(-r));
		*ret_bytes = entry.bytes;
		items->at = layout->metadata.offset + entry.offset;
		items->known += !!(entry.flags & VHDX_ITEM_REQUIRED);
	}
	return 0;
}

static int need_item(const struct vhdx_source *source, const struct vhdx_layout *layout, struct items *items,
		     struct vhdx_guid guid, void *value, size_t bytes, const char *what, struct block_failure *failure)
{
	size_t got;
	int r = read_item(source, layout, items, guid, value, bytes, bytes, &got, failure);

	if (r == 0 && got == 0)
		r = block_failure_set(failure, -EINVAL, "no metadata item with the %s", what);
	return r;
}

static int read_locator(const struct vhdx_source *source, struct vhdx_layout *layout, struct items *items,
			struct block_failure *failure)
{
	uint8_t *item = malloc(VHDX_METADATA_ITEM_MAX);
	size_t bytes;
	int r;

	if (!item)
		return block_failure_set(failure, -ENOMEM, "out of memory");
	r = read_item(source, layout, items, (struct vhdx_guid)VHDX_ITEM_PARENT_LOCATOR, item,
		      sizeof(struct vhdx_locator_header), VHDX_METADATA_ITEM_MAX, &bytes, failure);
	if (r == 0 && layout->info.type == VHDX_DIFFERENCING)
		r = bytes ? vhdx_locator_decode(item, bytes, &layout->info.parent, failure) :
			    block_failure_set(failure, -EINVAL, "a differencing disk without a parent locator");
	free(item);
	return r;
}

static int read_parameters(const struct vhdx_source *source, struct vhdx_layout *layout, struct items *items,
			   struct block_failure *failure)
{
	struct vhdx_info *info = &layout->info;
	struct vhdx_file_parameters parameters;
	int r;

	r = need_item(source, layout, items, (struct vhdx_guid)VHDX_ITEM_FILE_PARAMETERS, &parameters, sizeof parameters,
		      "file parameters", failure);
	if (r == 0)
		r = need_item(source, layout, items, (struct vhdx_guid)VHDX_ITEM_DISK_SIZE, &info->bytes, 8, "disk size",
			      failure);
	layout->size_at = items->at;
	if (r == 0)
		r = need_item(source, layout, items, (struct vhdx_guid)VHDX_ITEM_DISK_ID, &info->disk_id, 16, "disk id",
			      failure);
	if (r == 0)
		r = need_item(source, layout, items, (struct vhdx_guid)VHDX_ITEM_LOGICAL_SECTOR, &info->logical_bytes, 4,
			      "logical sector size", failure);
	if (r == 0)
		r = need_item(source, layout, items, (struct vhdx_guid)VHDX_ITEM_PHYSICAL_SECTOR, &info->physical_bytes, 4,
			      "physical sector size", failure);
	if (r)
		return r;
	info->block_bytes = parameters.block_bytes;
	info->type = parameters.flags & VHDX_HAS_PARENT ? VHDX_DIFFERENCING :
		     parameters.flags & VHDX_LEAVE_ALLOCATED ? VHDX_FIXED : VHDX_DYNAMIC;
	return read_locator(source, layout, items, failure);
}

static int read_metadata(const struct vhdx_source *source, uint8_t *table, struct vhdx_layout *layout,
			 struct block_failure *failure)
{
	struct vhdx_metadata_table header;
	struct items items = { .table = table };
	int r = vhdx_source_read(source, layout->metadata.offset, table, VHDX_METADATA_TABLE_BYTES);

	if (r)
		return block_failure_set(failure, r, "the metadata table cannot be read: %s", strerror(-r));
	memcpy(&header, table, sizeof header);
	if (header.signature != VHDX_METADATA_SIGNATURE || header.entry_count > VHDX_METADATA_ENTRIES_MAX)
		return block_failure_set(failure, -EINVAL, "the metadata table is damaged");
	items.count = header.entry_count;
	for (unsigned i = 0; i < items.count; i++) {
		struct vhdx_metadata_entry entry;

		memcpy(&entry, table + (i + 1) * sizeof entry, sizeof entry);
		items.required += !!(entry.flags & VHDX_ITEM_REQUIRED);
	}
	r = read_parameters(source, layout, &items, failure);
	if (r == 0 && items.known < items.required)
		r = block_failure_set(failure, -ENOTSUP, "the file needs a metadata item that is unknown");
	return r;
}

static bool sector_ok(uint32_t bytes)
{
	return bytes == 512 || bytes == 4096;
}

bool vhdx_geometry(struct vhdx_layout *layout)
{
	const struct vhdx_info *info = &layout->info;
	uint64_t chunk;

	if (!sector_ok(info->logical_bytes) || !sector_ok(info->physical_bytes) ||
	    info->block_bytes < VHDX_BLOCK_BYTES_MIN || info->block_bytes > VHDX_BLOCK_BYTES_MAX ||
	    (info->block_bytes & (info->block_bytes - 1)) || info->bytes == 0 || info->bytes > VHDX_DISK_BYTES_MAX ||
	    info->bytes % info->logical_bytes)
		return false;
	chunk = VHDX_CHUNK_SECTORS * info->logical_bytes / info->block_bytes;
	layout->chunk_shift = (unsigned)__builtin_ctzll(chunk);
	layout->block_count = (info->bytes + info->block_bytes - 1) / info->block_bytes;
	/* A differencing disk has whole chunks; the others end with their last block. */
	if (info->type == VHDX_DIFFERENCING)
		layout->bat_count = vhdx_bat_bitmap_index(layout->chunk_shift, (layout->block_count - 1) / chunk) + 1;
	else
		layout->bat_count = vhdx_bat_index(layout->chunk_shift, layout->block_count - 1) + 1;
	return true;
}

int vhdx_layout_grow(const struct vhdx_layout *layout, uint64_t bytes, struct vhdx_layout *grown,
		     struct block_failure *failure)
{
	const struct vhdx_info *info = &layout->info;

	if (bytes < info->bytes)
		return block_failure_set(failure, -ENOTSUP, "the disk has %llu bytes: a VHDX is not made smaller",
					 (unsigned long long)info->bytes);
	*grown = *layout;
	grown->info.bytes = bytes;
	if (!vhdx_geometry(grown))
		return block_failure_set(failure, -EINVAL, "a disk of %llu bytes: up to 64 TiB in sectors of %u are possible",
					 (unsigned long long)bytes, info->logical_bytes);
	if (grown->bat_count * sizeof(uint64_t) > layout->bat.bytes)
		grown->bat = (struct vhdx_extent){ 0, vhdx_whole_mib(grown->bat_count * sizeof(uint64_t)) };
	return 0;
}

static int check_geometry(struct vhdx_layout *layout, struct block_failure *failure)
{
	struct vhdx_info *info = &layout->info;

	if (!vhdx_geometry(layout))
		return block_failure_set(failure, -EINVAL, "a disk of %llu bytes in blocks of %u, sectors of %u and %u",
					 (unsigned long long)info->bytes, info->block_bytes, info->logical_bytes,
					 info->physical_bytes);
	/* Somebody may say 4096 and 512: the waist wants an order. */
	if (info->physical_bytes < info->logical_bytes)
		info->physical_bytes = info->logical_bytes;
	if (layout->bat.bytes / sizeof(uint64_t) < layout->bat_count)
		return block_failure_set(failure, -EINVAL, "a BAT region of %llu bytes for %llu entries",
					 (unsigned long long)layout->bat.bytes, (unsigned long long)layout->bat_count);
	return 0;
}

static int read_all(struct vhdx_source *source, uint8_t *table, struct vhdx_layout *layout,
		    struct block_failure *failure)
{
	int r = read_identifier(source, failure);

	if (r == 0)
		r = read_headers(source, layout, failure);
	if (r == 0)
		r = check_log(layout, failure);
	if (r == 0 && !vhdx_guid_is_null(&layout->header.log_guid))
		r = vhdx_replay_read(source, layout, failure);
	if (r == 0)
		r = read_regions(source, table, layout, failure);
	if (r == 0)
		r = read_metadata(source, table, layout, failure);
	if (r == 0)
		r = check_geometry(layout, failure);
	return r;
}

int vhdx_layout_read(struct vhdx_source *source, struct vhdx_layout *layout, struct block_failure *failure)
{
	uint8_t *table = malloc(VHDX_REGION_TABLE_BYTES);
	int r;

	_Static_assert(VHDX_REGION_TABLE_BYTES == VHDX_METADATA_TABLE_BYTES, "one buffer for both tables");
	memset(layout, 0, sizeof *layout);
	if (!table)
		return block_failure_set(failure, -ENOMEM, "out of memory");
	layout->file_bytes = source->file_bytes;
	r = read_all(source, table, layout, failure);
	free(table);
	if (r) {
		vhdx_replay_free(source->replay);
		source->replay = NULL;
		return r;
	}
	layout->info.file_bytes = source->file_bytes;
	layout->info.data_write_guid = layout->header.data_write_guid;
	layout->info.log_to_replay = source->replay != NULL;
	return 0;
}
