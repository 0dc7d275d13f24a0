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

/* `base`: what the file held before the records; a parent when it is one's child. */
struct story {
	struct block_host host;
	struct memory_file *base, *parent, *file;
	struct block_disk *disk;
	struct disk_model model;
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
static void check_log_cuts(struct story *s)
{
	uint32_t random = 54321;

	for (size_t i = 0; i < s->file->record_count; i++) {
		const struct memory_record *r = &s->file->records[i];

		if (r->op == BLOCK_FILE_WRITE && r->offset >= MIB && r->offset < 2 * MIB)
			check_cut(s, i + 1, memory_random(&random) | 1, 4);
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
		check_log_cuts(s);
		story_end(s, 15);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
