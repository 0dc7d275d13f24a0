// SPDX-License-Identifier: Apache-2.0
/* VHDX disks that get another size while random requests run: against a model, qemu-img, and storage that fails. */
#include <errno.h>
#include <fcntl.h>
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
#define GIB (1ull << 30)

struct row {
	enum vhdx_type type;
	uint64_t bytes;
	uint32_t block_bytes, logical_bytes;
	uint64_t sizes[4];		/* one after the other; 0 ends them */
	uint64_t hot, stride;		/* in bytes; 0: all */
	bool no_punch, device, aligned;
};

static const struct row rows[] = {
	{ VHDX_DYNAMIC, 6 * MIB, 1 * MIB, 512, { 6 * MIB + 512, 9 * MIB, 30 * MIB }, 0, 0, false, false, false },
	{ VHDX_DYNAMIC, 6 * MIB + 1536, 2 * MIB, 512, { 7 * MIB, 12 * MIB + 512 }, 0, 0, true, false, false },
	{ VHDX_DYNAMIC, 40 * MIB, 32 * MIB, 4096, { 41 * MIB, 200 * MIB }, 0, 0, false, false, true },
	/* Entries in another page of the BAT, and in many. */
	{ VHDX_DYNAMIC, 510 * MIB, 1 * MIB, 4096, { 514 * MIB, 3000 * MIB }, 1 * MIB, 100 * MIB, false, false, false },
	/* A BAT that moves, and moves again. */
	{ VHDX_DYNAMIC, 100 * GIB, 1 * MIB, 4096, { 127 * GIB, 129 * GIB, 260 * GIB, 270 * GIB }, 1 * MIB, 8 * GIB, false,
	  false, true },
	{ VHDX_DYNAMIC, 120 * GIB, 1 * MIB, 4096, { 140 * GIB }, 1 * MIB, 8 * GIB, true, false, false },
	{ VHDX_DYNAMIC, 6 * MIB, 1 * MIB, 512, { 9 * MIB, 12 * MIB }, 0, 0, false, true, false },
	{ VHDX_FIXED, 6 * MIB, 1 * MIB, 512, { 7 * MIB + 512, 8 * MIB, 20 * MIB }, 0, 0, false, false, false },
	{ VHDX_FIXED, 9 * MIB, 8 * MIB, 4096, { 10 * MIB, 64 * MIB }, 0, 0, true, false, true },
	{ VHDX_FIXED, 500 * MIB, 1 * MIB, 4096, { 1100 * MIB }, 1 * MIB, 50 * MIB, false, false, true },
	{ VHDX_FIXED, 6 * MIB, 1 * MIB, 512, { 9 * MIB }, 0, 0, false, true, false },
	{ VHDX_DIFFERENCING, 6 * MIB, 1 * MIB, 512, { 6 * MIB + 512, 9 * MIB, 30 * MIB }, 0, 0, false, false, false },
	{ VHDX_DIFFERENCING, 5 * MIB + 512, 2 * MIB, 512, { 9 * MIB, 300 * MIB }, 4 * MIB, 0, true, false, false },
	{ VHDX_DIFFERENCING, 120 * GIB, 1 * MIB, 4096, { 140 * GIB }, 1 * MIB, 8 * GIB, false, false, false },
};

#define ROWS (sizeof rows / sizeof *rows)

struct world {
	struct block_host host;
	const struct row *row;
	struct memory_file *parent, *file;	/* parent: of a differencing disk */
	struct block_disk *disk;
	struct disk_model model;
	bool resized;			/* the listener was told */
	bool done;
	int error;
};

static struct memory_file *image_new(struct block_host *host, const struct vhdx_create_options *options)
{
	struct memory_file *file = memory_file_new(&host->host);
	const int fd = memfd_create("vhdx", 0);
	struct block_failure failure;

	if (vhdx_create(fd, options, &failure))
		fail_msg("%s", failure.text);
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

static struct block_disk *open_file(struct block_host *host, struct memory_file *file, struct block_disk *parent,
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

static struct block_disk *parent_open(struct world *w)
{
	return w->parent ? open_file(&w->host, copy_of(&w->host, w->parent), NULL, true) : NULL;
}

static void was_resized(void *context)
{
	((struct world *)context)->resized = true;
}

static void listen_to_disk(struct world *w)
{
	block_listen(w->disk, &(struct block_listener){ .resized = was_resized, .context = w });
}

/* What was on a device before is no zeroes. */
static void make_device(struct memory_file *file)
{
	const uint64_t end = file->bytes;

	file->file.is_device = true;
	memory_file_set_size(file, 64 * MIB);
	memset(file->data + end, 0xee, 64 * MIB - end);
	memory_file_touch(file, end, 64 * MIB - end);
}

static struct world *world_new(const struct row *row, uint32_t seed)
{
	struct world *w = calloc(1, sizeof *w);
	struct vhdx_create_options options = {
		.type = VHDX_DYNAMIC, .bytes = row->bytes, .block_bytes = row->block_bytes, .logical_bytes = row->logical_bytes,
	};

	assert_non_null(w);
	block_host_init(&w->host);
	w->row = row;
	if (row->type == VHDX_DIFFERENCING) {
		struct block_disk *parent;

		w->parent = image_new(&w->host, &options);
		parent = parent_open(w);
		assert_true(vhdx_data_write_guid(parent, &options.parent.linkage));
		disk_model_close(&w->host, parent);
	}
	options.type = row->type;
	w->file = image_new(&w->host, &options);
	if (row->device)
		make_device(w->file);
	w->file->keep = true;
	w->file->random = seed;
	w->file->turn_max = 4;
	w->file->file.can_punch = !row->no_punch;
	w->file->file.align_bytes = row->aligned ? row->logical_bytes : 1;
	w->disk = open_file(&w->host, w->file, parent_open(w), false);
	listen_to_disk(w);
	disk_model_init(&w->model, &w->host, w->disk, row->block_bytes, seed);
	w->model.hot = row->hot / row->logical_bytes;
	w->model.stride = row->stride / row->logical_bytes;
	return w;
}

static void world_free(struct world *w)
{
	disk_model_fini(&w->model);
	memory_file_free(w->file);
	if (w->parent)
		memory_file_free(w->parent);
	assert_true(block_host_idle(&w->host));
	free(w);
}

static void resize_done(void *context, int error)
{
	struct world *w = context;

	assert_false(w->done);
	w->done = true;
	w->error = error;
}

static int begin(struct world *w, uint64_t bytes, struct block_failure *failure)
{
	int r;

	w->done = w->resized = false;
	failure->text[0] = 0;
	r = block_resize(w->disk, bytes, resize_done, w, failure);
	assert_false(w->done);
	return r;
}

static void resize(struct world *w, uint64_t bytes)
{
	struct block_failure failure;
	const bool another = bytes != w->disk->info.bytes;

	if (begin(w, bytes, &failure))
		fail_msg("%s", failure.text);
	disk_model_run(&w->model, 60);
	block_host_run_until(&w->host, &w->done);
	assert_int_equal(w->error, 0);
	assert_int_equal(w->disk->info.bytes, bytes);
	assert_int_equal(w->resized, another);
	disk_model_grow(&w->model, bytes);
}

/* The file by itself: nothing overlaps, nothing lies outside, and it says the size. */
static void check_file(const struct memory_file *file, uint64_t bytes)
{
	const int fd = memfd_create("vhdx", 0);
	struct block_failure failure;
	struct vhdx_check check;
	struct vhdx_info info;

	memory_file_save(file, fd);
	if (vhdx_check(fd, &check, &failure) || vhdx_inspect(fd, &info, &failure))
		fail_msg("%s", failure.text);
	assert_false(check.header_damaged || check.region_table_damaged || check.log_to_replay);
	assert_int_equal(info.bytes, bytes);
	(void)close(fd);
}

static uint64_t grow_by_row(struct world *w)
{
	uint64_t bytes = w->row->bytes;

	disk_model_run(&w->model, 200);
	for (unsigned i = 0; i < 4 && w->row->sizes[i]; i++) {
		bytes = w->row->sizes[i];
		resize(w, bytes);
		disk_model_run(&w->model, 200);
		disk_model_check(&w->model);
	}
	return bytes;
}

static void disks_grow_under_requests(void **state)
{
	for (unsigned i = 0; i < ROWS; i++) {
		struct world *w = world_new(&rows[i], 100 + i);
		uint64_t bytes;

		bytes = grow_by_row(w);
		disk_model_close(&w->host, w->disk);
		check_file(w->file, bytes);
		w->disk = open_file(&w->host, w->file, parent_open(w), true);
		assert_int_equal(w->disk->info.bytes, bytes);
		disk_model_use(&w->model, w->disk);
		disk_model_check(&w->model);
		disk_model_close(&w->host, w->disk);
		world_free(w);
	}
}

/* As the first thing that is ever written, and with a log that was left behind. */
static void a_disk_that_was_not_written_grows(void **state)
{
	for (unsigned log = 0; log < 2; log++) {
		struct world *w = world_new(&rows[0], 5);
		struct memory_file *left;

		if (log) {
			disk_model_run(&w->model, 100);
			assert_int_equal(disk_model_transfer(&w->host, w->disk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
			left = copy_of(&w->host, w->file);
			disk_model_close(&w->host, w->disk);
			memory_file_free(w->file);
			w->file = left;
			left->keep = true;
			w->disk = open_file(&w->host, left, NULL, false);
			listen_to_disk(w);
			disk_model_use(&w->model, w->disk);
		}
		resize(w, 9 * MIB);
		resize(w, 9 * MIB);
		disk_model_check(&w->model);
		disk_model_close(&w->host, w->disk);
		check_file(w->file, 9 * MIB);
		world_free(w);
	}
}

/* A block reaches beyond the end, and whoever made the file left something there. */
static void what_lay_behind_the_end_is_zeroes(void **state)
{
	static const struct row odd = { VHDX_DYNAMIC, 6 * MIB + 4096, 2 * MIB, 512, { 0 }, 0, 0, false, false, false };
	struct world *w = world_new(&odd, 3);
	uint8_t data[8192], *found = NULL;

	memset(data, 0xab, 4096);
	assert_int_equal(disk_model_transfer(&w->host, w->disk, BLOCK_WRITE, BLOCK_FLAG_FUA, 6 * MIB, data, 4096), 0);
	for (uint64_t at = 0; !found && at < w->file->bytes; at += 4096)
		if (memcmp(w->file->data + at, data, 4096) == 0)
			found = w->file->data + at;
	assert_non_null(found);
	memset(found + 4096, 0xcd, 2 * MIB - 4096);
	memory_file_touch(w->file, (uint64_t)(found - w->file->data), 2 * MIB);
	w->model.versions[6 * MIB / 512] = DISK_MODEL_UNKNOWN;
	resize(w, 8 * MIB);
	assert_int_equal(disk_model_transfer(&w->host, w->disk, BLOCK_READ, 0, 6 * MIB + 4096, data, 8192), 0);
	for (unsigned i = 0; i < sizeof data; i++)
		assert_int_equal(data[i], 0);
	disk_model_close(&w->host, w->disk);
	world_free(w);
}

static void expect_refused(struct world *w, uint64_t bytes, int error, const char *text)
{
	struct block_failure failure;

	assert_int_equal(begin(w, bytes, &failure), error);
	if (!strstr(failure.text, text))
		fail_msg("\"%s\", not \"%s\"", failure.text, text);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
	struct world *w = world_new(&rows[0], 3);
	struct block_failure failure;
	struct block_disk *read_only;

	expect_refused(w, 0, -EINVAL, "whole sectors");
	expect_refused(w, 7 * MIB + 1, -EINVAL, "whole sectors of 512");
	expect_refused(w, (64ull << 40) + 512, -EINVAL, "64 TiB");
	expect_refused(w, 5 * MIB, -ENOTSUP, "not made smaller");
	assert_int_equal(begin(w, 7 * MIB, &failure), 0);
	assert_int_equal(block_resize(w->disk, 8 * MIB, resize_done, w, &failure), -EBUSY);
	block_host_run_until(&w->host, &w->done);
	assert_int_equal(w->disk->info.bytes, 7 * MIB);
	read_only = open_file(&w->host, copy_of(&w->host, w->file), NULL, true);
	assert_int_equal(block_resize(read_only, 8 * MIB, resize_done, w, &failure), -EROFS);
	disk_model_close(&w->host, read_only);
	block_close(w->disk, NULL, NULL);
	expect_refused(w, 8 * MIB, -ENODEV, "closed");
	while (block_host_turn(&w->host, 0))
		;
	world_free(w);
}

static void a_device_that_is_full_keeps_its_disk(void **state)
{
	static const struct row fixed = { VHDX_FIXED, 20 * MIB, 1 * MIB, 512, { 0 }, 0, 0, false, true, false };
	struct world *w = world_new(&fixed, 3);
	struct block_failure failure;

	disk_model_run(&w->model, 100);
	assert_int_equal(begin(w, 100 * MIB, &failure), 0);
	disk_model_run(&w->model, 100);
	block_host_run_until(&w->host, &w->done);
	assert_int_equal(w->error, -ENOSPC);
	assert_false(w->resized);
	/* And what had been taken is there for the next. */
	resize(w, 50 * MIB);
	disk_model_run(&w->model, 100);
	disk_model_check(&w->model);
	disk_model_close(&w->host, w->disk);
	check_file(w->file, 50 * MIB);
	world_free(w);
}

static void closing_waits_for_it_or_ends_it(void **state)
{
	for (unsigned turns = 0; turns < 30; turns++) {
		struct world *w = world_new(&rows[turns % 2 ? 7 : 4], turns + 1);
		struct block_failure failure;

		disk_model_run(&w->model, 50);
		assert_int_equal(begin(w, w->row->sizes[2], &failure), 0);
		for (unsigned i = 0; i < turns; i++)
			(void)block_host_turn(&w->host, 0);
		disk_model_close(&w->host, w->disk);
		assert_true(w->done);
		assert_true(w->error == 0 || w->error == -ENODEV);
		check_file(w->file, w->error ? w->row->bytes : w->row->sizes[2]);
		world_free(w);
	}
}

static void forget_all(struct disk_model *m)
{
	const uint64_t count = m->stride ? m->hot : m->sectors;

	for (uint64_t at = 0; at + count <= m->sectors; at += m->stride ? m->stride : m->sectors)
		memset(m->versions + at, 0xff, count * sizeof *m->versions);
}

/* Whatever fails, there is an answer, requests have theirs, and what is left has one of the two sizes. */
static void storage_that_fails_is_survived(void **state)
{
	static const enum block_file_op ops[] = {
		BLOCK_FILE_READ, BLOCK_FILE_WRITE, BLOCK_FILE_FLUSH, BLOCK_FILE_SET_SIZE, BLOCK_FILE_PUNCH, BLOCK_FILE_ZERO,
	};
	static const unsigned which[] = { 0, 4, 7, 11 };
	unsigned failed = 0;

	for (unsigned i = 0; i < 240; i++) {
		const struct row *row = &rows[which[i % 4]];
		struct world *w = world_new(row, i + 1);
		const uint64_t bytes = row->sizes[1];
		struct block_failure failure;

		w->model.errors_allowed = true;
		disk_model_run(&w->model, i % 3 * 40);
		w->file->fail_op = ops[i / 4 % 6];
		w->file->fail_at = 1 + i / 24;
		w->file->fail_count = 1 + i % 5 * 3;
		w->file->fail_error = i % 3 ? -EIO : -ENOSPC;
		assert_int_equal(begin(w, bytes, &failure), 0);
		disk_model_run(&w->model, 60);
		block_host_run_until(&w->host, &w->done);
		failed += w->error != 0;
		disk_model_run(&w->model, 30);
		disk_model_close(&w->host, w->disk);
		w->file->fail_count = 0;
		w->disk = open_file(&w->host, w->file, parent_open(w), false);
		assert_true(w->disk->info.bytes == bytes || (w->error && w->disk->info.bytes == row->bytes));
		/* What no flush covered may be gone. */
		forget_all(&w->model);
		disk_model_use(&w->model, w->disk);
		disk_model_run(&w->model, 30);
		disk_model_check(&w->model);
		disk_model_close(&w->host, w->disk);
		world_free(w);
	}
	assert_in_range(failed, 30, 200);
}

/* The log fails while it is full, and sectors that come in later have no place in it. */
static void writes_that_come_after_a_failure_are_answered(void **state)
{
	static const struct row wide = {
		VHDX_DIFFERENCING, 130 * GIB, 1 * MIB, 4096, { 0 }, 1 * MIB, 512 * MIB, false, false, false,
	};

	for (unsigned i = 0; i < 12; i++) {
		struct world *w = world_new(&wide, i + 1);

		w->model.errors_allowed = true;
		disk_model_run(&w->model, 300);
		w->file->fail_op = BLOCK_FILE_FLUSH;
		w->file->fail_at = 1 + i;
		w->file->fail_count = 1;
		w->file->fail_error = -EIO;
		disk_model_run(&w->model, 600);
		disk_model_close(&w->host, w->disk);
		world_free(w);
	}
}

/* ---- qemu-img */

__attribute__((format(printf, 1, 2))) static void run_program(const char *format, ...)
{
	char command[512];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(command, sizeof command, format, list);
	va_end(list);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static void save(const struct memory_file *file, const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	memory_file_save(file, fd);
	(void)close(fd);
}

static void save_model(const struct disk_model *m, const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(m->sectors * m->sector_bytes)), 0);
	for (uint64_t i = 0; i < m->sectors; i++) {
		uint64_t words[64];

		for (unsigned word = 0; word < 64; word++)
			words[word] = (uint64_t)m->versions[i] << 32 | i;
		if (m->versions[i])
			assert_int_equal(pwrite(fd, words, 512, (off_t)(i * 512)), 512);
	}
	(void)close(fd);
}

static bool has_qemu_img(void)
{
	return system("qemu-img --version > /dev/null 2>&1") == 0;
}

struct paths {
	char folder[32], vhdx[64], raw[64];
};

static void paths_init(struct paths *p)
{
	(void)snprintf(p->folder, sizeof p->folder, "./vhdx_online.XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	(void)snprintf(p->vhdx, sizeof p->vhdx, "%s/disk.vhdx", p->folder);
	(void)snprintf(p->raw, sizeof p->raw, "%s/disk.raw", p->folder);
}

static void paths_fini(const struct paths *p)
{
	(void)unlink(p->vhdx);
	(void)unlink(p->raw);
	(void)rmdir(p->folder);
}

static void compare(const struct memory_file *file, const struct paths *p, const char *repair)
{
	save(file, p->vhdx);
	run_program("qemu-img check -q %s -f vhdx %s > /dev/null", repair, p->vhdx);
	run_program("qemu-img compare -q -f vhdx -F raw %s %s > /dev/null", p->vhdx, p->raw);
}

/* Closed, and as it lies there in use with its log. */
static void qemu_img_accepts_what_has_grown(void **state)
{
	static const struct row small[] = {
		{ VHDX_DYNAMIC, 6 * MIB, 1 * MIB, 512, { 9 * MIB, 1000 * MIB }, 4 * MIB, 0, false, false, false },
		{ VHDX_FIXED, 6 * MIB, 1 * MIB, 512, { 30 * MIB }, 0, 0, false, false, false },
	};
	struct paths p;

	if (!has_qemu_img())
		skip();
	paths_init(&p);
	for (unsigned i = 0; i < sizeof small / sizeof *small; i++) {
		struct world *w = world_new(&small[i], 9 + i);
		struct memory_file *in_use;

		(void)grow_by_row(w);
		assert_int_equal(disk_model_transfer(&w->host, w->disk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
		in_use = copy_of(&w->host, w->file);
		save_model(&w->model, p.raw);
		disk_model_close(&w->host, w->disk);
		compare(in_use, &p, "-r all");
		compare(w->file, &p, "");
		memory_file_free(in_use);
		world_free(w);
	}
	paths_fini(&p);
}

static uint64_t far_apart(unsigned i)
{
	return i % 8 * 16 * GIB + i * 7 * MIB;
}

static void read_with_qemu_io(const struct memory_file *file, const struct paths *p, const char *repair)
{
	save(file, p->vhdx);
	run_program("qemu-img check -q %s -f vhdx %s > /dev/null", repair, p->vhdx);
	for (unsigned i = 0; i < 16; i++)
		run_program("qemu-io -r -f vhdx -c 'read -P %u %llu 512' -c 'read -P 0 %llu 512' %s > %s && ! grep -q fail %s", i + 1,
			    (unsigned long long)far_apart(i), (unsigned long long)far_apart(i) + 512, p->vhdx, p->raw, p->raw);
}

/* Too large to be compared: a sector here and there, before and after. */
static void qemu_img_accepts_a_bat_that_has_moved(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 100 * GIB, .block_bytes = 1 * MIB };
	struct block_failure failure;
	struct memory_file *in_use;
	uint8_t sector[512];
	struct world w = { .error = -1 };
	struct paths p;

	if (!has_qemu_img())
		skip();
	paths_init(&p);
	block_host_init(&w.host);
	w.file = image_new(&w.host, &options);
	w.file->keep = true;
	w.disk = open_file(&w.host, w.file, NULL, false);
	for (unsigned i = 0; i < 16; i++) {
		if (i == 6) {
			assert_int_equal(begin(&w, 129 * GIB, &failure), 0);
			block_host_run_until(&w.host, &w.done);
			assert_int_equal(w.error, 0);
		}
		memset(sector, (int)i + 1, sizeof sector);
		assert_int_equal(disk_model_transfer(&w.host, w.disk, BLOCK_WRITE, i % 3 ? 0 : BLOCK_FLAG_FUA, far_apart(i), sector,
						     512), 0);
	}
	assert_int_equal(disk_model_transfer(&w.host, w.disk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	in_use = copy_of(&w.host, w.file);
	disk_model_close(&w.host, w.disk);
	read_with_qemu_io(in_use, &p, "-r all");
	read_with_qemu_io(w.file, &p, "");
	memory_file_free(in_use);
	memory_file_free(w.file);
	paths_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(disks_grow_under_requests),
		cmocka_unit_test(a_disk_that_was_not_written_grows),
		cmocka_unit_test(what_lay_behind_the_end_is_zeroes),
		cmocka_unit_test(sizes_that_cannot_be_are_refused),
		cmocka_unit_test(a_device_that_is_full_keeps_its_disk),
		cmocka_unit_test(closing_waits_for_it_or_ends_it),
		cmocka_unit_test(storage_that_fails_is_survived),
		cmocka_unit_test(writes_that_come_after_a_failure_are_answered),
		cmocka_unit_test(qemu_img_accepts_what_has_grown),
		cmocka_unit_test(qemu_img_accepts_a_bat_that_has_moved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
