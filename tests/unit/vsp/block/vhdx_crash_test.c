// SPDX-License-Identifier: Apache-2.0
/*
 * Power cuts: everything that is done to the file is recorded while random requests run, then the file is put together
 * as any cut may have left it, opened, and each sector compared with what was acknowledged as stable by then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "block/vhdx.h"
#include "unit/vsp/block/disk_model.h"
#include "unit/vsp/block/memory_file.h"

#define MIB (1ull << 20)

static struct memory_file *image_new(struct block_host *host, const struct vhdx_create_options *options)
{
	struct memory_file *file = memory_file_new(&host->host);
	const int fd = memfd_create("vhdx", 0);
	struct block_failure failure;

	assert_int_equal(vhdx_create(fd, options, &failure), 0);
	memory_file_load(file, fd);
	(void)close(fd);
	return file;
}

static struct memory_file *copy_of(struct block_host *host, const struct memory_file *from)
{
	struct memory_file *file = memory_file_new(&host->host);

	memory_file_copy(file, from);
	return file;
}

static struct block_disk *disk_open(struct block_host *host, struct memory_file *file, struct block_disk *parent,
				    bool read_only)
{
	const struct vhdx_open_options options = { .read_only = read_only };
	struct block_failure failure;
	struct block_disk *disk;
	int r = vhdx_open(&host->host, &file->file, parent, &options, &disk, &failure);

	if (r)
		fail_msg("%d: %s", r, failure.text);
	return disk;
}

#define RESIZES_MAX 3u

/* By the count of records. */
struct resize {
	uint64_t bytes;
	size_t begun, done;
};

/* `base`: what the file held before the records; a parent when it is one's child. */
struct story {
	struct block_host host;
	struct memory_file *base, *parent, *file;
	struct block_disk *disk;
	struct disk_model model;
	struct resize sizes[1 + RESIZES_MAX];	/* the first from the beginning on */
	unsigned size_count;
	bool resized;
};

static struct block_disk *parent_open(struct story *s)
{
	return s->parent ? disk_open(&s->host, copy_of(&s->host, s->parent), NULL, true) : NULL;
}

static void story_begin(struct story *s, const struct vhdx_create_options *options, uint32_t seed)
{
	s->base = image_new(&s->host, options);
	s->file = copy_of(&s->host, s->base);
	s->file->record = true;
	s->file->random = seed;
	s->file->turn_max = 5;
	s->disk = disk_open(&s->host, s->file, parent_open(s), false);
	disk_model_init(&s->model, &s->host, s->disk, options->block_bytes, seed);
	s->model.clock = &s->file->record_count;
	s->sizes[s->size_count++] = (struct resize){ .bytes = s->disk->info.bytes };
}

static void resize_done(void *context, int error)
{
	struct story *s = context;

	assert_int_equal(error, 0);
	s->sizes[s->size_count - 1].done = s->file->record_count;
	s->resized = true;
}

static void story_resize(struct story *s, uint64_t bytes, unsigned requests)
{
	struct block_failure failure;

	s->resized = false;
	s->sizes[s->size_count++] = (struct resize){ bytes, s->file->record_count, SIZE_MAX };
	if (block_resize(s->disk, bytes, resize_done, s, &failure))
		fail_msg("%s", failure.text);
	disk_model_run(&s->model, requests);
	block_host_run_until(&s->host, &s->resized);
	disk_model_grow(&s->model, bytes);
}

/* One of the sizes that had been begun, and none before one that was done. */
static void check_size(const struct story *s, const struct block_disk *disk, size_t cut)
{
	for (unsigned i = s->size_count; i-- > 0;) {
		if (disk->info.bytes == s->sizes[i].bytes && s->sizes[i].begun <= cut)
			return;
		if (s->sizes[i].done <= cut)
			break;
	}
	fail_msg("cut %zu: %llu bytes", cut, (unsigned long long)disk->info.bytes);
}

static struct memory_file *after_cut(struct story *s, const struct memory_file *base, const struct memory_file *recorded,
				     size_t cut, uint32_t random)
{
	struct memory_file *file = copy_of(&s->host, base);

	file->sector_bytes = s->model.sector_bytes;
	memory_file_replay(file, recorded->records, recorded->record_count, cut, random);
	return file;
}

/* Writes what is there already: the log is replayed into the file before. */
static void write_the_same(struct story *s, struct block_disk *disk)
{
	uint8_t sector[4096];

	assert_int_equal(disk_model_transfer(&s->host, disk, BLOCK_READ, 0, 0, sector, 4096), 0);
	assert_int_equal(disk_model_transfer(&s->host, disk, BLOCK_WRITE, BLOCK_FLAG_FUA, 0, sector, 4096), 0);
}

static void check_read_only(struct story *s, struct memory_file *file, size_t cut)
{
	struct block_disk *disk = disk_open(&s->host, file, parent_open(s), true);

	check_size(s, disk, cut);
	disk_model_check_cut(&s->model, disk, cut);
	disk_model_close(&s->host, disk);
}

/* Read-only, where the replay stays in memory; then for writing, and the power is cut `again` times in the middle of that. */
static void check_cut(struct story *s, size_t cut, uint32_t random, unsigned again)
{
	struct memory_file *base = after_cut(s, s->base, s->file, cut, random), *file = copy_of(&s->host, base);
	struct block_disk *disk;

	check_read_only(s, copy_of(&s->host, base), cut);
	file->record = true;
	file->keep = true;
	file->random = random | 1;
	disk = disk_open(&s->host, file, parent_open(s), false);
	check_size(s, disk, cut);
	write_the_same(s, disk);
	disk_model_check_cut(&s->model, disk, cut);
	disk_model_close(&s->host, disk);
	for (unsigned i = 0; i < again; i++) {
		const size_t second = memory_random(&file->random) % (file->record_count + 1);

		check_read_only(s, after_cut(s, base, file, second, memory_random(&file->random)), cut);
	}
	memory_file_free(file);
	memory_file_free(base);
}

/* Behind each write to the log, where an entry counts or does not. */
static void check_log_cuts(struct story *s, size_t from, size_t to, unsigned times)
{
	uint32_t random = 54321;

	for (size_t i = from; i < to; i++) {
		const struct memory_record *r = &s->file->records[i];

		for (unsigned n = 0; n < times && r->op == BLOCK_FILE_WRITE && r->offset >= MIB && r->offset < 2 * MIB; n++)
			check_cut(s, i + 1, memory_random(&random) | 1, 4);
	}
}

/* While each of the resizes was under way. */
static void check_resize_cuts(struct story *s, unsigned cuts)
{
	uint32_t random = 98765;

	for (unsigned i = 1; i < s->size_count; i++) {
		const size_t begun = s->sizes[i].begun, records = s->sizes[i].done - begun + 1;

		check_log_cuts(s, begun, s->sizes[i].done, 1);
		for (unsigned n = 0; n < cuts; n++)
			check_cut(s, begun + memory_random(&random) % records, n % 8 ? memory_random(&random) | 1 : 0, 1);
	}
}

static void story_end(struct story *s, unsigned cuts)
{
	const size_t count = s->file->record_count;
	uint32_t random = 12345;

	for (unsigned i = 0; i < cuts; i++) {
		const size_t cut = count * i / cuts + memory_random(&random) % (count / cuts + 1);

		check_cut(s, cut > count ? count : cut, i % 5 ? memory_random(&random) | 1 : 0, 1);
	}
	disk_model_close(&s->host, s->disk);
	disk_model_fini(&s->model);
	memory_file_free(s->base);
	if (s->parent)
		memory_file_free(s->parent);
	assert_true(block_host_idle(&s->host));
	free(s);
}

static struct story *story_new(void)
{
	struct story *s = calloc(1, sizeof *s);

	assert_non_null(s);
	block_host_init(&s->host);
	return s;
}

/* How long to search: by hand, VHDX_CRASH_SEEDS=20 takes minutes. */
static uint32_t seeds(void)
{
	const char *text = getenv("VHDX_CRASH_SEEDS");

	return text ? (uint32_t)strtoul(text, NULL, 10) : 1;
}

static void run_story(enum vhdx_type type, uint32_t logical_bytes, unsigned requests, unsigned cuts, uint32_t seed)
{
	const struct vhdx_create_options options = {
		.type = type, .bytes = 6 * MIB + 64 * 4096, .block_bytes = 1 * MIB, .logical_bytes = logical_bytes,
	};
	struct story *s = story_new();

	story_begin(s, &options, seed);
	s->model.hot = 4 * MIB / logical_bytes;
	disk_model_run(&s->model, requests);
	disk_model_check(&s->model);
	story_end(s, cuts);
}

static void dynamic_disk_survives_any_cut(void **state)
{
	for (uint32_t seed = 1; seed <= seeds(); seed++)
		run_story(VHDX_DYNAMIC, 512, 500, 15, seed * 7919);
}

static void dynamic_disk_of_large_sectors_survives_any_cut(void **state)
{
	run_story(VHDX_DYNAMIC, 4096, 500, 8 * seeds(), 99);
}

static void fixed_disk_survives_any_cut(void **state)
{
	run_story(VHDX_FIXED, 512, 300, 8 * seeds(), 5);
}

static void differencing_disk_survives_any_cut(void **state)
{
	for (uint32_t seed = 1; seed <= seeds(); seed++) {
		struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 6 * MIB, .block_bytes = 2 * MIB };
		struct story *s = story_new();
		struct block_disk *disk;
		struct disk_model parent;
		uint8_t sector[512];

		s->parent = image_new(&s->host, &options);
		s->file = copy_of(&s->host, s->parent);
		disk = disk_open(&s->host, s->file, NULL, false);
		disk_model_init(&parent, &s->host, disk, options.block_bytes, seed);
		memset(sector, 0, sizeof sector);
		disk_model_run(&parent, 300);
		assert_int_equal(disk_model_transfer(&s->host, disk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
		(void)vhdx_data_write_guid(disk, &options.parent.linkage);
		/* As it lies there, with a log to replay. */
		memory_file_copy(s->parent, s->file);
		disk_model_close(&s->host, disk);

		options.type = VHDX_DIFFERENCING;
		options.block_bytes = 1 * MIB;
		options.bytes = 7 * MIB;
		story_begin(s, &options, seed * 104729);
		/* What the parent holds was there before all. */
		s->model.writes = calloc(parent.sectors + 4096, sizeof *s->model.writes);
		s->model.write_room = parent.sectors + 4096;
		for (uint64_t i = 0; i < parent.sectors; i++)
			s->model.writes[s->model.write_count++] =
				(struct disk_model_write){ .first = i, .count = 1, .version = parent.versions[i] };
		memcpy(s->model.versions, parent.versions, parent.sectors * sizeof *parent.versions);
		s->model.next_version = 1000000;
		disk_model_fini(&parent);
		disk_model_run(&s->model, 400);
		disk_model_check(&s->model);
		story_end(s, 15);
	}
}

/* So many commits that the log has gone round several times. */
static void log_goes_round(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 3 * MIB, .block_bytes = 1 * MIB };
	struct story *s = story_new();

	story_begin(s, &options, 4711);
	s->model.hot = 2 * MIB / 512;
	s->model.wanted = 3;
	disk_model_run(&s->model, 6000);
	story_end(s, 15 * seeds());
}

/* Each commit has pages of its own: what one entry says is in no other. */
static void far_apart_blocks_survive_any_cut(void **state)
{
	const struct vhdx_create_options options = {
		.type = VHDX_DYNAMIC, .bytes = 4096 * MIB, .block_bytes = 1 * MIB, .logical_bytes = 4096,
	};

	for (uint32_t seed = 1; seed <= seeds(); seed++) {
		struct story *s = story_new();

		story_begin(s, &options, seed * 65537);
		s->model.hot = 2 * MIB / 4096;
		s->model.stride = 512 * MIB / 4096;
		s->model.wanted = 3;
		disk_model_run(&s->model, 250);
		disk_model_check(&s->model);
		check_log_cuts(s, 0, s->file->record_count, 1);
		story_end(s, 15);
	}
}

static void disk_that_grows_survives_any_cut(void **state)
{
	static const struct {
		enum vhdx_type type;
		uint64_t bytes;
		uint32_t logical_bytes;
		uint64_t sizes[RESIZES_MAX];
		uint64_t stride;
	} rows[] = {
		{ VHDX_DYNAMIC, 6 * MIB + 1536, 512, { 7 * MIB + 512, 9 * MIB, 20 * MIB }, 0 },
		{ VHDX_FIXED, 5 * MIB + 512, 512, { 8 * MIB, 14 * MIB }, 0 },
		{ VHDX_FIXED, 510 * MIB, 4096, { 520 * MIB, 1100 * MIB }, 100 * MIB },
		{ VHDX_DIFFERENCING, 5 * MIB + 512, 512, { 8 * MIB, 14 * MIB }, 0 },
		/* The BAT moves. */
		{ VHDX_DYNAMIC, 127ull << 30, 4096, { 129ull << 30, 260ull << 30 }, 16ull << 30 },
		{ VHDX_DIFFERENCING, 127ull << 30, 4096, { 129ull << 30 }, 16ull << 30 },
	};

	for (uint32_t at = 0; at < sizeof rows / sizeof *rows * seeds(); at++) {
		const unsigned i = at % (sizeof rows / sizeof *rows);
		struct vhdx_create_options options = {
			.type = VHDX_DYNAMIC, .bytes = rows[i].bytes, .block_bytes = 1 * MIB, .logical_bytes = rows[i].logical_bytes,
		};
		struct story *s = story_new();

		if (rows[i].type == VHDX_DIFFERENCING) {
			struct block_disk *parent;

			s->parent = image_new(&s->host, &options);
			parent = parent_open(s);
			(void)vhdx_data_write_guid(parent, &options.parent.linkage);
			disk_model_close(&s->host, parent);
		}
		options.type = rows[i].type;
		story_begin(s, &options, (at + 1) * 7919);
		s->model.hot = (rows[i].stride ? 1 : 4) * MIB / rows[i].logical_bytes;
		s->model.stride = rows[i].stride / rows[i].logical_bytes;
		disk_model_run(&s->model, 60);
		for (unsigned n = 0; n < RESIZES_MAX && rows[i].sizes[n]; n++) {
			story_resize(s, rows[i].sizes[n], 60);
			if (!rows[i].stride)
				s->model.hot = 4 * MIB / rows[i].logical_bytes + n * MIB / rows[i].logical_bytes;
			disk_model_run(&s->model, 60);
		}
		disk_model_check(&s->model);
		check_resize_cuts(s, 6);
		story_end(s, 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dynamic_disk_survives_any_cut),
		cmocka_unit_test(dynamic_disk_of_large_sectors_survives_any_cut),
		cmocka_unit_test(fixed_disk_survives_any_cut),
		cmocka_unit_test(differencing_disk_survives_any_cut),
		cmocka_unit_test(far_apart_blocks_survive_any_cut),
		cmocka_unit_test(log_goes_round),
		cmocka_unit_test(disk_that_grows_survives_any_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
