// SPDX-License-Identifier: Apache-2.0
/*
 * A VHD image whose footer, header, table and bitmaps are the input's, with checksums made right, because no fuzzer
 * guesses those; then a few requests on what could be opened. An input that begins with 0xff is a whole image: its size in
 * sectors (two bytes), then pieces of place (three bytes), length (one byte), bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "block/vhd.h"
#include "block/vhd_format.h"
#include "unit/vsp/block/block_host.h"
#include "unit/vsp/block/block_memory.h"
#include "unit/vsp/block/power_file.h"

#define IMAGE_BYTES (256u << 10)
#define BLOCK_BYTES (16u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct io {
	struct block_request request;	/* first */
	struct iovec iov;
	bool done;
};

static void io_done(struct block_request *request, int error)
{
	((struct io *)request)->done = true;
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

static void seal(uint8_t *bytes, size_t count, size_t at)
{
	vhd_put32(bytes + at, vhd_checksum(bytes, count, at));
}

/* A small dynamic or differencing image with two blocks, then the input's bytes over it: pairs of place and value. */
static void make_image(uint8_t *image, const uint8_t *data, size_t size)
{
	static const uint16_t parts[] = { 0, 512, 1536, 2048 };
	uint8_t *header = image + 512;

	memcpy(image, "conectix", 8);
	vhd_put32(image + VHD_FOOTER_VERSION, 0x10000);
	vhd_put64(image + VHD_FOOTER_DATA_OFFSET, 512);
	vhd_put64(image + VHD_FOOTER_CURRENT_BYTES, 8 * BLOCK_BYTES);
	vhd_put32(image + VHD_FOOTER_TYPE, size & 1 ? VHD_DYNAMIC : VHD_DIFFERENCING);
	memcpy(header, "cxsparse", 8);
	vhd_put64(header + VHD_HEADER_BAT_OFFSET, 1536);
	vhd_put32(header + VHD_HEADER_VERSION, 0x10000);
	vhd_put32(header + VHD_HEADER_BAT_ENTRIES, 8);
	vhd_put32(header + VHD_HEADER_BLOCK_BYTES, BLOCK_BYTES);
	memset(image + 1536, 0xff, 512);
	vhd_put32(image + 1536, 4);
	vhd_put32(image + 1536 + 8, 4 + 33);
	for (size_t i = 0; i + 2 < size; i += 3)
		image[parts[data[i] & 3] + data[i + 1] + (data[i] >> 2) * 16u] = data[i + 2];
	seal(image, VHD_FOOTER_BYTES, VHD_FOOTER_CHECKSUM);
	seal(header, VHD_HEADER_BYTES, VHD_HEADER_CHECKSUM);
	memcpy(image + IMAGE_BYTES - 512, image, 512);
}

static size_t little(const uint8_t *bytes, unsigned count)
{
	size_t value = 0;

	while (count--)
		value = value << 8 | bytes[count];
	return value;
}

/* What an image of others holds besides zeroes; the checksums are made right again as far as they lie where they should. */
static size_t take_image(uint8_t *image, const uint8_t *data, size_t size)
{
	const size_t bytes = size < 2 ? 0 : little(data, 2) * 512 % (IMAGE_BYTES + 512);
	uint8_t *last = image + bytes - VHD_FOOTER_BYTES;

	for (size_t i = 2; i + 4 <= size;) {
		const size_t place = little(data + i, 3), count = data[i + 3];

		i += 4;
		for (size_t k = 0; k < count && i + k < size && place + k < bytes; k++)
			image[place + k] = data[i + k];
		i += count;
	}
	if (bytes < 2 * VHD_FOOTER_BYTES + VHD_HEADER_BYTES)
		return bytes;
	seal(last, VHD_FOOTER_BYTES, VHD_FOOTER_CHECKSUM);
	if (memcmp(image, "conectix", 8) == 0) {
		seal(image, VHD_FOOTER_BYTES, VHD_FOOTER_CHECKSUM);
		seal(image + 512, VHD_HEADER_BYTES, VHD_HEADER_CHECKSUM);
	}
	return bytes;
}

static void use_disk(struct block_host *host, struct block_disk *disk)
{
	static const enum block_op ops[] = { BLOCK_READ, BLOCK_WRITE, BLOCK_WRITE_ZEROES, BLOCK_FLUSH, BLOCK_UNMAP, BLOCK_READ };
	static uint8_t memory[6][40960];
	struct io ios[6];
	bool closed = false;

	for (unsigned i = 0; i < 6; i++) {
		const uint64_t bytes = disk->info.bytes < sizeof memory[i] ? disk->info.bytes : sizeof memory[i];

		ios[i] = (struct io){ .request = { .op = ops[i], .bytes = bytes, .iov_count = 1, .done = io_done },
				      .iov = { memory[i], bytes } };
		ios[i].request.iov = &ios[i].iov;
		ios[i].request.offset = (disk->info.bytes - bytes) / 512 * i / 6 * 512;
		ios[i].done = block_submit(disk, &ios[i].request) != 0;
	}
	block_kick(disk);
	for (unsigned i = 0; i < 6; i++)
		block_host_run_until(host, &ios[i].done);
	block_close(disk, set_flag, &closed);
	block_host_run_until(host, &closed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t image[IMAGE_BYTES];
	struct vhd_options options = { .read_only = false };
	struct block_memory *parent = NULL;
	struct power_file *file;
	struct block_failure why;
	struct block_disk *disk;
	struct block_host host;
	size_t bytes = IMAGE_BYTES;
	bool closed = false;

	srand(1);
	memset(image, 0, sizeof image);
	if (size && data[0] == 0xff)
		bytes = take_image(image, data + 1, size - 1);
	else
		make_image(image, data, size);
	block_host_init(&host);
	file = power_file_new(&host.host, image, bytes);
	file->room = 4u << 20;
	if (vhd_get32(image + VHD_FOOTER_TYPE) == VHD_DIFFERENCING) {
		parent = block_memory_new(&host.host, 5 * BLOCK_BYTES, 512);
		options.parent = &parent->disk;
	}
	if (vhd_open(&file->file, &options, &disk, &why) == 0) {
		use_disk(&host, disk);
	} else {
		file->file.ops->destroy(&file->file);
		if (parent) {
			block_close(&parent->disk, set_flag, &closed);
			block_host_run_until(&host, &closed);
		}
	}
	if (!block_host_idle(&host))
		abort();
	return 0;
}
