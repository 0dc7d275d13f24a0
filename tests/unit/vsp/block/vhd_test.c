// SPDX-License-Identifier: Apache-2.0
/* VHD disks on a file in memory: contents against a model, power cuts, faults of the storage, hostile images. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "block/vhd.h"
#include "block/vhd_image.h"
#include "unit/vsp/block/block_host.h"
#include "unit/vsp/block/block_memory.h"
#include "unit/vsp/block/fault_file.h"
#include "unit/vsp/block/power_file.h"

#define BLOCK_BYTES  (64u << 10)
#define BITMAP_BYTES 512u
#define DISK_BYTES   (24u * BLOCK_BYTES - 4096u)	/* the last block is not used whole */
#define SECTORS      (DISK_BYTES / 512)

struct world {
	struct block_host host;
	struct power_file *file;
	struct fault_file *faults;
	struct block_memory *parent;
	struct block_disk *disk;
};

struct io {
	struct block_request request;	/* first */
	struct iovec iov[3];
	bool finished;
	int error;
};

static const struct vhd_create_options small_dynamic = {
	.type = VHD_DYNAMIC, .bytes = DISK_BYTES, .block_bytes = BLOCK_BYTES, .id = "vhd-test", .timestamp = 1234,
};
static const struct vhd_create_options small_fixed = {
	.type = VHD_FIXED, .bytes = DISK_BYTES, .id = "vhd-test", .timestamp = 1234,
};
static const struct vhd_create_options small_differencing = {
	.type = VHD_DIFFERENCING, .bytes = DISK_BYTES, .block_bytes = BLOCK_BYTES, .id = "vhd-test", .timestamp = 1234,
	.parent_id = "vhd-parent", .parent_timestamp = 77, .parent_path = "/vm/gr\xc3\xbc\xc3\x9f \xf0\x9f\x92\xbe/base.vhd",
};

static int file_new(void)
{
	int fd = memfd_create("vhd", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct power_bytes image_new(const struct vhd_create_options *options)
{
	struct power_bytes image;
	struct block_failure why;
	int fd = file_new();

	assert_int_equal(vhd_create(fd, options, &why), 0);
	image.size = (uint64_t)lseek(fd, 0, SEEK_END);
	image.data = malloc(image.size);
	assert_int_equal(pread(fd, image.data, image.size, 0), image.size);
	(void)close(fd);
	return image;
}

static int image_open(struct world *w, const struct power_bytes *image, bool differencing, struct block_failure *why)
{
	struct vhd_options options = { .id = "guest" };
	int r;

	w->file = power_file_new(&w->host.host, image->data, image->size);
	w->faults = fault_file_new(&w->file->file);
	w->parent = NULL;
	if (differencing) {
		/* Ends before its child, not at a block. */
		w->parent = block_memory_new(&w->host.host, DISK_BYTES - 3 * BLOCK_BYTES - 1024, 512);
		for (uint64_t i = 0; i < w->parent->bytes; i++)
			w->parent->data[i] = (uint8_t)(i / 512 * 7 + i);
		options.parent = &w->parent->disk;
	}
	r = vhd_open(&w->faults->file, &options, &w->disk, why);
	if (r)
		w->faults->file.ops->destroy(&w->faults->file);
	return r;
}

static struct world *world_of(const struct power_bytes *image, bool differencing)
{
	struct world *w = calloc(1, sizeof *w);
	struct block_failure why = { "" };

	block_host_init(&w->host);
	if (image_open(w, image, differencing, &why))
		fail_msg("%s", why.text);
	return w;
}

static struct world *world_new(const struct vhd_create_options *options)
{
	struct power_bytes image = image_new(options);
	struct world *w = world_of(&image, options->type == VHD_DIFFERENCING);

	free(image.data);
	return w;
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

static void world_close_disk(struct world *w)
{
	bool closed = false;

	block_close(w->disk, set_flag, &closed);
	block_host_run_until(&w->host, &closed);
	assert_true(block_host_idle(&w->host));
}

static void world_free(struct world *w)
{
	world_close_disk(w);
	free(w);
}

static struct power_bytes contents(const struct world *w)
{
	struct power_bytes image = { malloc(w->file->now.size), w->file->now.size };

	memcpy(image.data, w->file->now.data, image.size);
	return image;
}

static void io_done(struct block_request *request, int error)
{
	struct io *io = (struct io *)request;

	assert_false(io->finished);
	io->finished = true;
	io->error = error;
}

static void start(struct world *w, struct io *io, enum block_op op, unsigned flags, uint64_t offset, void *data,
		  uint64_t bytes)
{
	const size_t first = bytes > 512 ? (size_t)bytes / 3 : (size_t)bytes;

	io->finished = false;
	io->request.op = op;
	io->request.flags = flags;
	io->request.offset = offset;
	io->request.bytes = bytes;
	io->request.iov = io->iov;
	io->request.iov_count = 3;	/* says nothing where no memory belongs */
	io->iov[0] = (struct iovec){ data, first };
	io->iov[1] = (struct iovec){ NULL, 0 };
	io->iov[2] = (struct iovec){ (uint8_t *)data + first, (size_t)bytes - first };
	io->request.done = io_done;
	assert_int_equal(block_submit(w->disk, &io->request), 0);
	assert_false(io->finished);
}

static int run(struct world *w, enum block_op op, unsigned flags, uint64_t offset, void *data, uint64_t bytes)
{
	struct io io = { .error = 0 };

	start(w, &io, op, flags, offset, data, bytes);
	block_kick(w->disk);
	block_host_run_until(&w->host, &io.finished);
	if (io.error)
		errno = (int)(io.request.moved);
	return io.error;
}

/* ---- descriptions */

static void what_was_created_is_described(void **state)
{
	static const struct vhd_create_options *kinds[] = { &small_fixed, &small_dynamic, &small_differencing };

	for (unsigned i = 0; i < 3; i++) {
		struct vhd_info info;
		struct vhd_check check;
		struct block_failure why = { "" };
		int fd = file_new();

		assert_int_equal(vhd_create(fd, kinds[i], &why), 0);
		assert_int_equal(vhd_inspect(fd, &info, &why), 0);
		assert_int_equal(info.layout.type, kinds[i]->type);
		assert_int_equal(info.layout.bytes, DISK_BYTES);
		assert_int_equal(info.layout.file_bytes, lseek(fd, 0, SEEK_END));
		assert_int_equal(info.layout.timestamp, 1234);
		assert_memory_equal(info.layout.id, kinds[i]->id, 16);
		assert_int_equal(info.layout.block_bytes, kinds[i]->block_bytes);
		assert_int_equal(info.path_count, kinds[i]->type == VHD_DIFFERENCING ? 2 : 0);
		if (info.path_count) {
			assert_string_equal(info.paths[0], small_differencing.parent_path);
			assert_string_equal(info.paths[1], "base.vhd");
			assert_memory_equal(info.layout.parent_id, "vhd-parent", 10);
			assert_int_equal(info.layout.parent_timestamp, 77);
		}
		assert_int_equal(vhd_check(fd, &check, &why), 0);
		assert_int_equal(check.blocks, 0);
		assert_int_equal(check.lost_bytes, 0);
		assert_false(check.footer_missing || check.copy_differs);
		(void)close(fd);
	}
}

static void what_cannot_be_created_is_refused(void **state)
{
	static const struct vhd_create_options bad[] = {
		{ .type = VHD_DYNAMIC, .bytes = 0 },
		{ .type = VHD_DYNAMIC, .bytes = 1000 },
		{ .type = VHD_FIXED, .bytes = VHD_BYTES_MAX + 512 },
		{ .type = VHD_DYNAMIC, .bytes = 1 << 20, .block_bytes = 3 << 20 },
		{ .type = VHD_DYNAMIC, .bytes = 1 << 20, .block_bytes = 512 },
		{ .type = VHD_DYNAMIC, .bytes = VHD_BYTES_MAX, .block_bytes = VHD_BLOCK_MIN },
		{ .type = VHD_DIFFERENCING, .bytes = 1 << 20 },
		{ .type = VHD_DIFFERENCING, .bytes = 1 << 20, .parent_path = "/bad\xff/utf-8" },
		{ .type = VHD_DIFFERENCING, .bytes = 1 << 20, .parent_path = "/" },
	};

	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct block_failure why = { "" };
		int fd = file_new();

		assert_int_equal(vhd_create(fd, &bad[i], &why), -EINVAL);
		assert_true(strlen(why.text) > 10);
		(void)close(fd);
	}
}

static void the_geometry_says_the_size_or_nothing(void **state)
{
	assert_int_equal(vhd_geometry(512ull * 4 * 17 * 100), 100u << 16 | 4 << 8 | 17);
	assert_int_equal(vhd_geometry(100ull << 20), 65535u << 16 | 16 << 8 | 255);
	assert_int_equal(vhd_geometry(VHD_BYTES_MAX), 65535u << 16 | 16 << 8 | 255);
	assert_int_equal(vhd_geometry(65535ull * 16 * 255 * 512), 65535u << 16 | 16 << 8 | 255);
}

static void an_image_grows(void **state)
{
	static const struct vhd_create_options *kinds[] = { &small_fixed, &small_dynamic };

	for (unsigned i = 0; i < 2; i++) {
		const uint64_t bytes = DISK_BYTES + 4 * BLOCK_BYTES;
		struct vhd_info info;
		struct block_failure why = { "" };
		int fd = file_new();

		assert_int_equal(vhd_create(fd, kinds[i], &why), 0);
		assert_int_equal(vhd_resize(fd, bytes, &why), 0);
		assert_int_equal(vhd_inspect(fd, &info, &why), 0);
		assert_int_equal(info.layout.bytes, bytes);
		assert_int_equal(vhd_resize(fd, DISK_BYTES, &why), -ENOTSUP);
		assert_int_equal(vhd_resize(fd, bytes + 1, &why), -EINVAL);
		if (kinds[i]->type == VHD_DYNAMIC)	/* its table has one sector */
			assert_int_equal(vhd_resize(fd, 200ull * BLOCK_BYTES, &why), -ENOTSUP);
		(void)close(fd);
	}
}

/* ---- contents */

#define LANES 12

static void expected_at_first(const struct world *w, uint8_t *model)
{
	memset(model, 0, DISK_BYTES);
	if (w->parent)
		memcpy(model, w->parent->data, w->parent->bytes);
}

static void assert_contents(struct world *w, const uint8_t *model)
{
	uint8_t *got = malloc(DISK_BYTES);

	assert_int_equal(run(w, BLOCK_READ, 0, 0, got, DISK_BYTES), 0);
	assert_memory_equal(got, model, DISK_BYTES);
	free(got);
}

/* Requests on lanes that do not overlap but share blocks, several at once; then all again from the file alone. */
static void compare_with_model(const struct vhd_create_options *options)
{
	struct world *w = world_new(options);
	const uint64_t lane = SECTORS / LANES;
	uint8_t *model = malloc(DISK_BYTES), *data = malloc(DISK_BYTES);
	static struct io ios[LANES];
	struct power_bytes image;

	expected_at_first(w, model);
	assert_contents(w, model);
	for (unsigned round = 0; round < 150; round++) {
		for (unsigned i = 0; i < LANES; i++) {
			const uint64_t start_sector = (uint64_t)rand() % lane;
			const uint64_t count = 1 + (uint64_t)rand() % (rand() % 4 ? 8 : lane - start_sector);
			const uint64_t at = (lane * i + start_sector) * 512;
			const uint64_t bytes = (start_sector + count > lane ? lane - start_sector : count) * 512;
			enum block_op op = (enum block_op)(rand() % 5);

			if (op == BLOCK_UNMAP)		/* says nothing about what it did not deallocate */
				op = BLOCK_READ;
			for (uint64_t k = 0; op == BLOCK_WRITE && k < bytes; k++)
				model[at + k] = data[at + k] = (uint8_t)rand();
			if (op == BLOCK_WRITE_ZEROES)
				memset(model + at, 0, bytes);
			start(w, &ios[i], op, (unsigned)rand() % 4, at, data + at, bytes);
		}
		block_kick(w->disk);
		for (unsigned i = 0; i < LANES; i++) {
			block_host_run_until(&w->host, &ios[i].finished);
			assert_int_equal(ios[i].error, 0);
			if (ios[i].request.op == BLOCK_READ)
				assert_memory_equal(data + ios[i].request.offset, model + ios[i].request.offset, ios[i].request.bytes);
		}
	}
	assert_contents(w, model);
	assert_int_equal(run(w, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	image = contents(w);
	world_free(w);
	w = world_of(&image, options->type == VHD_DIFFERENCING);
	assert_contents(w, model);
	world_free(w);
	free(image.data);
	free(model);
	free(data);
}

static void fixed_contents_match_a_model(void **state)
{
	compare_with_model(&small_fixed);
}

static void dynamic_contents_match_a_model(void **state)
{
	compare_with_model(&small_dynamic);
}

static void differencing_contents_match_a_model(void **state)
{
	compare_with_model(&small_differencing);
}

static void unmapped_sectors_read_as_zeroes_and_their_neighbours_stay(void **state)
{
	struct world *w = world_new(&small_dynamic);
	static uint8_t data[4 * 4096], zeroes[4096];

	memset(data, 0x5a, sizeof data);
	assert_true(w->disk->info.unmap);
	assert_int_equal(run(w, BLOCK_WRITE, 0, 8192, data, sizeof data), 0);
	assert_int_equal(run(w, BLOCK_UNMAP, 0, 8192 + 4096, NULL, 4096), 0);
	assert_int_equal(run(w, BLOCK_UNMAP, 0, 5 * BLOCK_BYTES, NULL, BLOCK_BYTES), 0);
	assert_int_equal(run(w, BLOCK_READ, 0, 8192, data, sizeof data), 0);
	assert_int_equal(data[4095], 0x5a);
	assert_memory_equal(data + 4096, zeroes, 4096);
	assert_int_equal(data[8192], 0x5a);
	world_free(w);
}

static void what_is_not_written_takes_no_room(void **state)
{
	struct world *w = world_new(&small_dynamic);
	const uint64_t before = w->file->now.size;
	static uint8_t data[512];

	assert_int_equal(run(w, BLOCK_WRITE_ZEROES, BLOCK_FLAG_FUA, 0, NULL, DISK_BYTES), 0);
	assert_int_equal(run(w, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(w->file->now.size, before);
	assert_int_equal(run(w, BLOCK_WRITE, 0, 17 * 512, data, 512), 0);
	assert_int_equal(w->file->now.size, before + BITMAP_BYTES + BLOCK_BYTES);
	world_free(w);
}

static void closing_links_what_was_never_flushed(void **state)
{
	struct world *w = world_new(&small_differencing);
	struct power_bytes image;
	static uint8_t data[512], got[512];

	memset(data, 0x77, sizeof data);
	assert_int_equal(run(w, BLOCK_WRITE, 0, 17 * 512, data, 512), 0);
	w->file->keep = &image;
	world_free(w);
	w = world_of(&image, true);
	assert_int_equal(run(w, BLOCK_READ, 0, 17 * 512, got, 512), 0);
	assert_memory_equal(got, data, 512);
	world_free(w);
	free(image.data);
}

/* ---- power cuts */

struct history {
	uint32_t stable;		/* what the last flush found */
	uint32_t later[16];		/* written since */
	unsigned later_count;
};

static uint32_t tag_at(const uint8_t *sector)
{
	uint32_t tag;

	memcpy(&tag, sector, 4);
	return tag;
}

static bool possible(const struct history *h, uint32_t tag)
{
	for (unsigned i = 0; i < h->later_count; i++)
		if (h->later[i] == tag)
			return true;
	return h->stable == tag;
}

static void assert_possible_after_cut(const struct world *w, const struct history *histories)
{
	struct power_bytes image = power_file_cut(w->file);
	struct world *after = world_of(&image, w->parent != NULL);
	uint8_t *got = malloc(DISK_BYTES);

	assert_int_equal(run(after, BLOCK_READ, 0, 0, got, DISK_BYTES), 0);
	for (uint32_t s = 0; s < SECTORS; s++)
		if (!possible(&histories[s], tag_at(got + s * 512)))
			fail_msg("sector %u has %#x, stable was %#x", s, tag_at(got + s * 512), histories[s].stable);
	/* And it can be gone on with: the tail of a block that comes into being now reads as it did. */
	memset(got, 0, 512);
	assert_int_equal(run(after, BLOCK_WRITE, 0, 0, got, 512), 0);
	assert_int_equal(run(after, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	assert_int_equal(run(after, BLOCK_READ, 0, 512, got, BLOCK_BYTES), 0);
	for (uint32_t s = 1; s < 1 + BLOCK_BYTES / 512; s++)
		assert_true(possible(&histories[s], tag_at(got + (s - 1) * 512)));
	world_free(after);
	free(image.data);
	free(got);
}

static void cut_power(const struct vhd_create_options *options)
{
	struct world *w = world_new(options);
	struct history *histories = calloc(SECTORS, sizeof *histories);
	uint8_t *data = malloc(DISK_BYTES);
	uint32_t tag = 0x10000000;

	expected_at_first(w, data);
	for (uint32_t s = 0; s < SECTORS; s++)
		histories[s].stable = tag_at(data + s * 512);
	for (unsigned round = 0; round < 60; round++) {
		struct io ios[10] = { 0 };

		for (unsigned i = 0; i < 10; i++) {
			const uint32_t first = (uint32_t)rand() % SECTORS;
			uint32_t count = 1 + (uint32_t)rand() % 40;

			if (count > SECTORS - first)
				count = SECTORS - first;
			for (uint32_t s = first; s < first + count; s++) {
				struct history *h = &histories[s];

				if (h->later_count == 16)
					count = s - first;
			}
			tag++;
			for (uint32_t s = first; s < first + count; s++) {
				memcpy(data + s * 512, &tag, 4);
				histories[s].later[histories[s].later_count++] = tag;
			}
			if (count == 0)
				ios[i].finished = true;
			else
				start(w, &ios[i], BLOCK_WRITE, 0, (uint64_t)first * 512, data + first * 512, (uint64_t)count * 512);
			if (count && rand() % 2) {	/* then alone: writes that overlap have no order */
				block_kick(w->disk);
				block_host_run_until(&w->host, &ios[i].finished);
			}
			if (rand() % 4 == 0)
				assert_possible_after_cut(w, histories);
		}
		block_kick(w->disk);
		for (unsigned i = 0; i < 10; i++) {
			while (!ios[i].finished) {
				(void)block_host_turn(&w->host, 10);
				if (rand() % 20 == 0)
					assert_possible_after_cut(w, histories);
			}
			assert_int_equal(ios[i].error, 0);
		}
		if (rand() % 3 == 0) {
			struct io flush = { .error = 0 };

			start(w, &flush, BLOCK_FLUSH, 0, 0, NULL, 0);
			block_kick(w->disk);
			while (!flush.finished) {
				(void)block_host_turn(&w->host, 10);
				assert_possible_after_cut(w, histories);
			}
			assert_int_equal(run(w, BLOCK_READ, 0, 0, data, DISK_BYTES), 0);
			for (uint32_t s = 0; s < SECTORS; s++) {
				assert_true(possible(&histories[s], tag_at(data + s * 512)));
				histories[s] = (struct history){ .stable = tag_at(data + s * 512) };
			}
			assert_possible_after_cut(w, histories);
		}
	}
	world_free(w);
	free(histories);
	free(data);
}

static void a_dynamic_disk_survives_power_cuts(void **state)
{
	cut_power(&small_dynamic);
}

static void a_differencing_disk_survives_power_cuts(void **state)
{
	cut_power(&small_differencing);
}

static void a_write_through_is_stable(void **state)
{
	static const struct vhd_create_options *kinds[] = { &small_fixed, &small_dynamic, &small_differencing };
	static uint8_t data[3 * 512], got[3 * 512];

	for (unsigned i = 0; i < 3; i++) {
		struct world *w = world_new(kinds[i]), *after;
		struct power_bytes image;

		memset(data, 0x31 + (int)i, sizeof data);
		assert_int_equal(run(w, BLOCK_WRITE, BLOCK_FLAG_FUA, BLOCK_BYTES - 512, data, sizeof data), 0);
		image = power_file_cut(w->file);
		after = world_of(&image, kinds[i]->type == VHD_DIFFERENCING);
		assert_int_equal(run(after, BLOCK_READ, 0, BLOCK_BYTES - 512, got, sizeof got), 0);
		assert_memory_equal(got, data, sizeof data);
		world_free(after);
		world_free(w);
		free(image.data);
	}
}

/* ---- faults of the storage */

static void a_full_storage_fails_what_needs_room_alone(void **state)
{
	struct world *w = world_new(&small_dynamic);
	static uint8_t data[4096];

	memset(data, 9, sizeof data);
	assert_int_equal(run(w, BLOCK_WRITE, 0, 0, data, sizeof data), 0);
	w->file->room = w->file->now.size;
	assert_int_equal(run(w, BLOCK_WRITE, 0, BLOCK_BYTES - 2048, data, sizeof data), -ENOSPC);
	assert_int_equal(errno, 2048);
	assert_int_equal(run(w, BLOCK_WRITE, 0, 4096, data, sizeof data), 0);
	assert_int_equal(run(w, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	w->file->room = 0;
	assert_int_equal(run(w, BLOCK_WRITE, 0, BLOCK_BYTES, data, sizeof data), 0);
	assert_int_equal(run(w, BLOCK_READ, 0, BLOCK_BYTES, data, sizeof data), 0);
	assert_int_equal(data[4095], 9);
	world_free(w);
}

static void bad_sectors_are_named(void **state)
{
	struct world *w = world_new(&small_dynamic);
	uint8_t *data = calloc(1, 3 * BLOCK_BYTES);
	const uint64_t first_block = w->file->now.size - 512;
	const uint64_t stride = BITMAP_BYTES + BLOCK_BYTES;

	assert_int_equal(run(w, BLOCK_WRITE, 0, 0, data, 3 * BLOCK_BYTES), 0);
	/* Blocks have come to be in the order in which one request asked for them. */
	w->faults->rules[0] = (struct fault_rule){
		.ops = FAULT_OP(BLOCK_FILE_READ), .from = first_block + stride + BITMAP_BYTES + 5 * 512,
		.to = first_block + stride + BITMAP_BYTES + 6 * 512, .error = -EIO, .at_range = true,
	};
	assert_int_equal(run(w, BLOCK_READ, 0, 512, data, 3 * BLOCK_BYTES - 512), -EIO);
	assert_int_equal(errno, BLOCK_BYTES + 5 * 512 - 512);
	assert_int_equal(run(w, BLOCK_READ, 0, 2 * BLOCK_BYTES, data, BLOCK_BYTES), 0);
	free(data);
	world_free(w);
}

static void a_bitmap_that_cannot_be_read_is_tried_again(void **state)
{
	struct world *w = world_new(&small_differencing);
	struct power_bytes image;
	static uint8_t data[512];

	assert_int_equal(run(w, BLOCK_WRITE, BLOCK_FLAG_FUA, 512, data, 512), 0);
	image = contents(w);
	world_free(w);
	w = world_of(&image, true);
	w->faults->rules[0] = (struct fault_rule){
		.ops = FAULT_OP(BLOCK_FILE_READ), .to = UINT64_MAX, .times = 1, .error = -EIO,
	};
	assert_int_equal(run(w, BLOCK_WRITE, 0, 1024, data, 512), -EIO);
	assert_int_equal(errno, 0);
	assert_int_equal(run(w, BLOCK_WRITE, 0, 1024, data, 512), 0);
	world_free(w);
	free(image.data);
}

static void a_flush_that_fails_is_told_and_the_next_does_all(void **state)
{
	struct world *w = world_new(&small_dynamic), *after;
	static uint8_t data[512], got[512];
	struct power_bytes image;

	memset(data, 0x44, sizeof data);
	for (unsigned i = 0; i < 3; i++) {	/* of a commit: first flush, write of the BAT, second flush */
		assert_int_equal(run(w, BLOCK_WRITE, 0, i * BLOCK_BYTES, data, 512), 0);
		w->faults->rules[0] = (struct fault_rule){
			.ops = FAULT_OP(i == 1 ? BLOCK_FILE_WRITE : BLOCK_FILE_FLUSH), .to = UINT64_MAX, .skip = i == 2, .times = 1,
			.error = -EIO,
		};
		assert_int_equal(run(w, BLOCK_FLUSH, 0, 0, NULL, 0), -EIO);
		assert_int_equal(run(w, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
		image = power_file_cut(w->file);
		after = world_of(&image, false);
		assert_int_equal(run(after, BLOCK_READ, 0, i * BLOCK_BYTES, got, 512), 0);
		assert_memory_equal(got, data, 512);
		world_free(after);
		free(image.data);
	}
	world_free(w);
}

static void a_parent_that_fails_fails_its_sectors_alone(void **state)
{
	struct world *w = world_new(&small_differencing);
	uint8_t *data = calloc(1, BLOCK_BYTES);

	assert_int_equal(run(w, BLOCK_WRITE, 0, 8 * 512, data, 4 * 512), 0);
	w->parent->fail_op = BLOCK_READ;
	w->parent->fail_error = -EIO;
	w->parent->fail_offset = 20 * 512;
	assert_int_equal(run(w, BLOCK_READ, 0, 0, data, BLOCK_BYTES), -EIO);
	assert_int_equal(errno, 20 * 512);
	assert_int_equal(run(w, BLOCK_READ, 0, 0, data, 20 * 512), 0);
	free(data);
	world_free(w);
}

static void many_requests_wait_for_one_slow_block(void **state)
{
	struct world *w = world_new(&small_dynamic);
	static struct io ios[100];
	static uint8_t data[100][512], got[512];
	bool closed = false;

	memset(ios, 0, sizeof ios);
	w->faults->rules[0] = (struct fault_rule){ .ops = FAULT_OP(BLOCK_FILE_WRITE), .to = UINT64_MAX, .times = 1, .hold = true };
	for (unsigned i = 0; i < 100; i++) {
		memset(data[i], (int)i + 1, 512);
		start(w, &ios[i], BLOCK_WRITE, i % 2 ? BLOCK_FLAG_FUA : 0, i * 512, data[i], 512);
	}
	block_kick(w->disk);
	for (unsigned i = 0; i < 10; i++)
		(void)block_host_turn(&w->host, 1);
	for (unsigned i = 0; i < 100; i++)
		assert_false(ios[i].finished);
	assert_int_equal(run(w, BLOCK_READ, 0, 0, got, 512), 0);	/* not there yet */
	assert_int_equal(got[0], 0);
	block_close(w->disk, set_flag, &closed);
	fault_release(w->faults);
	block_host_run_until(&w->host, &closed);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(ios[i].finished);
		assert_int_equal(ios[i].error, 0);
	}
	assert_true(block_host_idle(&w->host));
	free(w);
}

/* ---- hostile images */

static void seal(uint8_t *bytes, size_t count, size_t at)
{
	vhd_put32(bytes + at, vhd_checksum(bytes, count, at));
}

static void assert_refused(const struct power_bytes *image, bool differencing, int error, const char *text)
{
	struct world w = { .disk = NULL };
	struct block_failure why = { "" };
	bool closed = false;

	block_host_init(&w.host);
	assert_int_equal(image_open(&w, image, differencing, &why), error);
	if (!strstr(why.text, text))
		fail_msg("\"%s\" does not say \"%s\"", why.text, text);
	if (w.parent) {
		block_close(&w.parent->disk, set_flag, &closed);
		block_host_run_until(&w.host, &closed);
	}
	assert_true(block_host_idle(&w.host));
}

/* One change in the footer (both), the header, or the table, and the words that say so. */
static void broken_images_are_refused(void **state)
{
	static const struct {
		char part;
		unsigned at, bytes;
		uint64_t value;
		int error;
		const char *text;
	} rows[] = {
		{ 'f', VHD_FOOTER_COOKIE, 4, 0, -EINVAL, "no footer" },
		{ 'f', VHD_FOOTER_VERSION, 4, 0x00020000, -ENOTSUP, "version" },
		{ 'f', VHD_FOOTER_TYPE, 4, 7, -ENOTSUP, "type 7" },
		{ 'f', VHD_FOOTER_TYPE, 4, VHD_DIFFERENCING, -ENOLINK, "parent" },
		{ 'f', VHD_FOOTER_CURRENT_BYTES, 8, 0, -EINVAL, "disk size" },
		{ 'f', VHD_FOOTER_CURRENT_BYTES, 8, 1000, -EINVAL, "whole sectors" },
		{ 'f', VHD_FOOTER_CURRENT_BYTES, 8, UINT64_MAX - 511, -EINVAL, "2040 GiB" },
		{ 'f', VHD_FOOTER_CURRENT_BYTES, 8, 1ull << 40, -EINVAL, "too many" },
		{ 'f', VHD_FOOTER_CURRENT_BYTES, 8, 100 * BLOCK_BYTES, -EINVAL, "entries" },
		{ 'f', VHD_FOOTER_DATA_OFFSET, 8, 0, -EINVAL, "dynamic header" },
		{ 'f', VHD_FOOTER_DATA_OFFSET, 8, 513, -EINVAL, "dynamic header" },
		{ 'f', VHD_FOOTER_DATA_OFFSET, 8, UINT64_MAX, -EINVAL, "dynamic header" },
		{ 'f', VHD_FOOTER_DATA_OFFSET, 8, 1024, -EINVAL, "checksum" },
		{ 'h', VHD_HEADER_VERSION, 4, 0, -ENOTSUP, "version" },
		{ 'h', VHD_HEADER_BLOCK_BYTES, 4, 0, -EINVAL, "block size" },
		{ 'h', VHD_HEADER_BLOCK_BYTES, 4, 512, -EINVAL, "block size" },
		{ 'h', VHD_HEADER_BLOCK_BYTES, 4, 3 << 16, -EINVAL, "block size" },
		{ 'h', VHD_HEADER_BLOCK_BYTES, 4, 0x80000000, -EINVAL, "block size" },
		{ 'h', VHD_HEADER_BAT_ENTRIES, 4, 23, -EINVAL, "needs 24" },
		{ 'h', VHD_HEADER_BAT_ENTRIES, 4, UINT32_MAX, -EINVAL, "not whole sectors in the file" },
		{ 'h', VHD_HEADER_BAT_OFFSET, 8, 0, -EINVAL, "table" },
		{ 'h', VHD_HEADER_BAT_OFFSET, 8, 1024, -EINVAL, "on the dynamic header" },
		{ 'h', VHD_HEADER_BAT_OFFSET, 8, 1537, -EINVAL, "table" },
		{ 'h', VHD_HEADER_BAT_OFFSET, 8, UINT64_MAX - 511, -EINVAL, "table" },
		{ 'b', 0, 4, 0, -EINVAL, "sector 0 lies" },
		{ 'b', 0, 4, 3, -EINVAL, "lies on" },
		{ 'b', 8, 4, 5, -EINVAL, "lies on" },		/* on block 1 */
		{ 'b', 8, 4, 0xfffffffe, -EINVAL, "behind the file" },
	};
	struct power_bytes image;
	struct world *w = world_new(&small_dynamic);
	static uint8_t data[512];

	assert_int_equal(run(w, BLOCK_WRITE, BLOCK_FLAG_FUA, BLOCK_BYTES, data, 512), 0);
	image = contents(w);
	world_free(w);
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct power_bytes bad = { malloc(image.size), image.size };
		uint8_t *at = bad.data + (rows[i].part == 'f' ? 0 : rows[i].part == 'h' ? 512 : 1536) + rows[i].at;

		memcpy(bad.data, image.data, image.size);
		if (rows[i].bytes == 8)
			vhd_put64(at, rows[i].value);
		else
			vhd_put32(at, (uint32_t)rows[i].value);
		seal(bad.data, VHD_FOOTER_BYTES, VHD_FOOTER_CHECKSUM);
		seal(bad.data + 512, VHD_HEADER_BYTES, VHD_HEADER_CHECKSUM);
		memcpy(bad.data + bad.size - 512, bad.data, 512);
		assert_refused(&bad, false, rows[i].error, rows[i].text);
		free(bad.data);
	}
	image.size -= 512 + 4096;	/* cut off: the copy in front is left, the block is not */
	assert_refused(&image, false, -EINVAL, "behind the file");
	image.size = 511;
	assert_refused(&image, false, -EINVAL, "too few");
	free(image.data);
}

static void an_image_without_its_last_footer_is_whole(void **state)
{
	struct power_bytes image = image_new(&small_dynamic);
	static uint8_t data[512];
	struct world *w;

	memset(image.data + image.size - 512, 0xee, 512);
	w = world_of(&image, false);
	memset(data, 1, sizeof data);
	assert_int_equal(run(w, BLOCK_WRITE, BLOCK_FLAG_FUA, 0, data, 512), 0);
	assert_int_equal(run(w, BLOCK_READ, 0, 512, data, 512), 0);
	assert_int_equal(data[0], 0);
	assert_memory_equal(w->file->now.data + w->file->now.size - 512, "conectix", 8);
	world_free(w);
	free(image.data);
}

static void a_short_footer_of_early_writers_counts(void **state)
{
	struct power_bytes image = image_new(&small_fixed);
	struct world *w;

	image.size--;
	w = world_of(&image, false);
	assert_int_equal(w->disk->info.bytes, DISK_BYTES);
	world_free(w);
	free(image.data);
}

static void a_parent_of_another_kind_is_refused(void **state)
{
	struct power_bytes image = image_new(&small_dynamic);

	assert_refused(&image, true, -EINVAL, "not a differencing image");
	free(image.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_created_is_described),
		cmocka_unit_test(what_cannot_be_created_is_refused),
		cmocka_unit_test(the_geometry_says_the_size_or_nothing),
		cmocka_unit_test(an_image_grows),
		cmocka_unit_test(fixed_contents_match_a_model),
		cmocka_unit_test(dynamic_contents_match_a_model),
		cmocka_unit_test(differencing_contents_match_a_model),
		cmocka_unit_test(unmapped_sectors_read_as_zeroes_and_their_neighbours_stay),
		cmocka_unit_test(what_is_not_written_takes_no_room),
		cmocka_unit_test(closing_links_what_was_never_flushed),
		cmocka_unit_test(a_dynamic_disk_survives_power_cuts),
		cmocka_unit_test(a_differencing_disk_survives_power_cuts),
		cmocka_unit_test(a_write_through_is_stable),
		cmocka_unit_test(a_full_storage_fails_what_needs_room_alone),
		cmocka_unit_test(bad_sectors_are_named),
		cmocka_unit_test(a_bitmap_that_cannot_be_read_is_tried_again),
		cmocka_unit_test(a_flush_that_fails_is_told_and_the_next_does_all),
		cmocka_unit_test(a_parent_that_fails_fails_its_sectors_alone),
		cmocka_unit_test(many_requests_wait_for_one_slow_block),
		cmocka_unit_test(broken_images_are_refused),
		cmocka_unit_test(an_image_without_its_last_footer_is_whole),
		cmocka_unit_test(a_short_footer_of_early_writers_counts),
		cmocka_unit_test(a_parent_of_another_kind_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
