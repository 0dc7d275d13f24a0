// SPDX-License-Identifier: Apache-2.0
/*
 * A VHDX that says what it likes. Input: a byte that chooses the disk it starts as and its new size, then patches (place,
 * length, bytes) over what describes it: headers, region tables, log entries, metadata, BAT. Checksums are made right again, so that
 * what lies behind them is reached. With bit 7 of the first byte it is instead a whole file: its size in units of 64 KiB (a
 * byte), then pieces of place (three bytes), length (one byte), bytes. Whatever it says: opening answers, and what can be
 * opened can be made larger, read, written, flushed and closed, and opened again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/crc32c.h"
#include "block/vhdx.h"
#include "unit/vsp/block/disk_model.h"
#include "unit/vsp/block/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)

#define MIB (1ull << 20)

struct input {
	const uint8_t *data;
	size_t left;
};

static uint8_t take(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->data++;
}

static uint32_t take16(struct input *in)
{
	const uint32_t high = take(in);

	return high << 8 | take(in);
}

static const struct vhdx_open_options writable;

static struct block_disk *open_disk(struct block_host *host, struct memory_file *file, struct block_disk *parent,
				    const struct vhdx_open_options *options)
{
	struct block_failure failure = { "" };
	struct block_disk *disk;

	if (vhdx_open(&host->host, &file->file, parent, options, &disk, &failure) == 0)
		return disk;
	CHECK(failure.text[0]);
	return NULL;
}

static struct memory_file *image(struct block_host *host, const struct vhdx_create_options *options)
{
	struct memory_file *file = memory_file_new(&host->host);
	const int fd = memfd_create("vhdx", 0);
	struct block_failure failure;

	CHECK(vhdx_create(fd, options, &failure) == 0);
	memory_file_load(file, fd);
	(void)close(fd);
	return file;
}

static struct block_disk *parent_of(struct block_host *host, const struct memory_file *from)
{
	static const struct vhdx_open_options read_only = { .read_only = true };
	struct memory_file *file = memory_file_new(&host->host);
	struct block_disk *disk;

	memory_file_copy(file, from);
	disk = open_disk(host, file, NULL, &read_only);
	CHECK(disk);
	return disk;
}

/* In use: with a log that holds an entry. */
static struct memory_file *in_use(struct block_host *host, struct memory_file *file, struct block_disk *parent)
{
	struct memory_file *copy = memory_file_new(&host->host);
	struct block_disk *disk = open_disk(host, file, parent, &writable);
	uint8_t sector[4096] = { 1 };

	CHECK(disk);
	CHECK(disk_model_transfer(host, disk, BLOCK_WRITE, BLOCK_FLAG_FUA, 8192, sector, 4096) == 0);
	CHECK(disk_model_transfer(host, disk, BLOCK_WRITE, BLOCK_FLAG_FUA, 3 * MIB, sector, 4096) == 0);
	memory_file_copy(copy, file);
	disk_model_close(host, disk);
	return copy;
}

static void patch(struct memory_file *file, struct input *in)
{
	static const uint32_t places[] = {
		0, 65536, 131072, 196608, 262144, 1 << 20, (1 << 20) + 4096, (1 << 20) + 8192, 2 << 20, (2 << 20) + 65536, 3 << 20,
	};
	const uint64_t at = places[take(in) % (sizeof places / sizeof *places)] + take16(in) % 4096;
	const unsigned bytes = 1 + take(in) % 8;

	for (unsigned i = 0; i < bytes; i++)
		file->data[at + i] = take(in);
}

/* What a file of others holds besides zeroes. */
static void take_file(struct memory_file *file, struct input *in)
{
	memory_file_set_size(file, take(in) * 65536ull);
	while (in->left) {
		const uint64_t at = take16(in) << 8 | take(in);
		const unsigned bytes = take(in);

		for (unsigned i = 0; i < bytes; i++) {
			const uint8_t byte = take(in);

			if (at + i >= file->bytes)
				continue;
			memory_file_touch(file, at + i, 1);
			file->data[at + i] = byte;
		}
	}
}

static void seal(struct memory_file *file, uint64_t offset, uint32_t bytes)
{
	uint32_t crc = 0;

	memcpy(file->data + offset + 4, &crc, 4);
	crc = crc32c(0, file->data + offset, bytes);
	memcpy(file->data + offset + 4, &crc, 4);
}

static void seal_all(struct memory_file *file)
{
	uint32_t bytes, signature;

	for (unsigned i = 0; i < 2; i++) {
		seal(file, VHDX_HEADER_OFFSET(i), VHDX_PAGE_BYTES);
		seal(file, VHDX_REGION_OFFSET(i), VHDX_REGION_TABLE_BYTES);
	}
	for (uint64_t at = MIB; at < MIB + 65536; at += VHDX_PAGE_BYTES) {
		memcpy(&signature, file->data + at, 4);
		memcpy(&bytes, file->data + at + 8, 4);
		if (signature == VHDX_ENTRY_SIGNATURE && bytes <= MIB)
			seal(file, at, bytes);
	}
}

static void use(struct block_host *host, struct block_disk *disk)
{
	uint8_t buffer[8192];
	const uint64_t last = disk->info.bytes - disk->info.logical_bytes;
	const uint64_t places[] = { 0, 8192, MIB - 4096, last & ~4095ull };

	for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
		uint64_t bytes = disk->info.bytes - places[i];

		if (places[i] >= disk->info.bytes)
			continue;
		if (bytes > sizeof buffer)
			bytes = sizeof buffer;
		(void)disk_model_transfer(host, disk, BLOCK_READ, 0, places[i], buffer, bytes);
		memset(buffer, (int)i, bytes);
		(void)disk_model_transfer(host, disk, BLOCK_WRITE, i % 2 ? BLOCK_FLAG_FUA : 0, places[i], buffer, bytes);
		(void)disk_model_transfer(host, disk, BLOCK_WRITE_ZEROES, BLOCK_FLAG_MAY_UNMAP, places[i], NULL,
					  disk->info.logical_bytes);
	}
	(void)disk_model_transfer(host, disk, BLOCK_FLUSH, 0, 0, NULL, 0);
}

static void resized(void *context, int error)
{
	*(bool *)context = true;
}

/* By a little, or so that the BAT has no room. */
static void resize(struct block_host *host, struct block_disk *disk, bool far)
{
	const uint64_t by = far ? 140ull << 30 : 3 * MIB + disk->info.logical_bytes;
	struct block_failure failure = { "" };
	bool done = false;

	if (block_resize(disk, disk->info.bytes + by, resized, &done, &failure) == 0)
		block_host_run_until(host, &done);
	else
		CHECK(failure.text[0]);
}

/* What each kind of disk is before it is patched, made once. */
struct start {
	struct memory_file *parent, *file;
};

static const struct start *start_of(struct block_host *host, uint8_t how)
{
	static const uint32_t blocks[] = { 1 << 20, 2 << 20, 32 << 20, 256 << 20 };
	static struct start starts[16];
	struct start *start = &starts[how & 15];
	struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 8 * MIB, .block_bytes = blocks[how & 3] };
	struct block_disk *below = NULL;

	if (start->file)
		return start;
	start->parent = image(host, &options);
	if (how & 4) {
		below = parent_of(host, start->parent);
		CHECK(vhdx_data_write_guid(below, &options.parent.linkage));
		options.type = VHDX_DIFFERENCING;
	}
	options.logical_bytes = how & 8 ? 4096 : 512;
	start->file = in_use(host, image(host, &options), below);
	return start;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct block_host host;
	struct input in = { data, size };
	const uint8_t how = take(&in);
	const struct vhdx_open_options options = { .read_only = how & 0x10 };
	const struct start *start;
	struct memory_file *file;

	if (!host.host.ops)
		block_host_init(&host);
	start = start_of(&host, how);
	file = memory_file_new(&host.host);
	if (how & 0x80)
		take_file(file, &in);
	else
		memory_file_copy(file, start->file);
	while (in.left)
		patch(file, &in);
	if (file->bytes >= 2 * MIB)
		seal_all(file);
	file->keep = true;
	for (unsigned times = 0; times < 2; times++) {
		struct block_disk *below = how & 4 ? parent_of(&host, start->parent) : NULL;
		struct block_disk *disk = open_disk(&host, file, below, &options);

		if (disk && times == 0 && how & 0x20)
			resize(&host, disk, how & 0x40);
		if (disk && times == 0)
			use(&host, disk);
		if (disk || below)
			disk_model_close(&host, disk ? disk : below);
	}
	memory_file_free(file);
	CHECK(block_host_idle(&host));
	return 0;
}
