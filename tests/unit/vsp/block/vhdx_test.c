// SPDX-License-Identifier: Apache-2.0
/*
 * VHDX: what we write is accepted by qemu-img, what it writes is read by us, random requests against a model, chains of
 * differencing disks, storage that fails, and files that were made to harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "block/crc32c.h"
#include "block/vhdx.h"
#include "unit/vsp/block/disk_model.h"
#include "unit/vsp/block/memory_file.h"

#define MIB (1ull << 20)

static int create(const struct vhdx_create_options *options)
{
	const int fd = memfd_create("vhdx", 0);
	struct block_failure failure;
	int r = vhdx_create(fd, options, &failure);

	if (r)
		fail_msg("%s", failure.text);
	return fd;
}

static struct memory_file *image_new(struct block_host *host, const struct vhdx_create_options *options)
{
	struct memory_file *file = memory_file_new(&host->host);
	const int fd = create(options);

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

static int try_open(struct block_host *host, struct memory_file *file, struct block_disk *parent, bool read_only,
		    struct block_disk **ret_disk, struct block_failure *failure)
{
	const struct vhdx_open_options options = { .read_only = read_only };

	return vhdx_open(&host->host, &file->file, parent, &options, ret_disk, failure);
}

static struct block_disk *disk_open(struct block_host *host, struct memory_file *file, struct block_disk *parent,
				    bool read_only)
{
	struct block_failure failure;
	struct block_disk *disk;
	int r = try_open(host, file, parent, read_only, &disk, &failure);

	if (r)
		fail_msg("%d: %s", r, failure.text);
	return disk;
}


/* A disk with random content on it, closed again. */
static struct memory_file *write_randomly(struct block_host *host, struct memory_file *file, struct disk_model *model,
					  uint64_t block_bytes, unsigned requests, uint32_t seed)
{
	struct block_disk *disk;

	file->random = seed;
	file->keep = true;
	disk = disk_open(host, file, NULL, false);
	disk_model_init(model, host, disk, block_bytes, seed);
	disk_model_run(model, requests);
	disk_model_check(model);
	disk_model_close(host, disk);
	file->keep = false;
	return file;
}

static void random_requests_agree_with_a_model(void **state)
{
	static const struct {
		enum vhdx_type type;
		uint64_t bytes;
		uint32_t block_bytes, logical_bytes;
		bool no_punch, device;
	} rows[] = {
		{ VHDX_DYNAMIC, 20 * MIB, 1 * MIB, 512, false, false },
		{ VHDX_DYNAMIC, 20 * MIB + 1536, 2 * MIB, 512, true, false },
		{ VHDX_DYNAMIC, 40 * MIB, 32 * MIB, 4096, false, false },
		{ VHDX_DYNAMIC, 600 * MIB, 256 * MIB, 512, false, false },
		{ VHDX_DYNAMIC, 12 * MIB, 1 * MIB, 512, false, true },
		{ VHDX_FIXED, 20 * MIB, 1 * MIB, 512, false, false },
		{ VHDX_FIXED, 33 * MIB, 8 * MIB, 4096, true, false },
	};

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct vhdx_create_options options = {
			.type = rows[i].type, .bytes = rows[i].bytes, .block_bytes = rows[i].block_bytes,
			.logical_bytes = rows[i].logical_bytes,
		};
		struct block_host host;
		struct disk_model model;
		struct memory_file *file;
		struct block_disk *disk;

		block_host_init(&host);
		file = image_new(&host, &options);
		file->file.can_punch = !rows[i].no_punch;
		file->file.is_device = rows[i].device;
		if (rows[i].device) {
			/* What a device held before is no zeroes. */
			const uint64_t end = file->bytes;

			memory_file_set_size(file, 64 * MIB);
			memset(file->data + end, 0xee, 64 * MIB - end);
			memory_file_touch(file, end, 64 * MIB - end);
		}
		file->turn_max = 3;
		(void)write_randomly(&host, file, &model, rows[i].block_bytes, 3000, 77 + i);
		/* And once more from the file. */
		disk = disk_open(&host, file, NULL, true);
		disk_model_use(&model, disk);
		disk_model_run(&model, 200);
		disk_model_check(&model);
		assert_int_equal(file->requests[BLOCK_FILE_READ] > 100, 1);
		disk_model_close(&host, disk);
		disk_model_fini(&model);
		assert_true(block_host_idle(&host));
	}
}

static void chain_of_three_reads_through(void **state)
{
	static const uint32_t blocks[3] = { 2 * MIB, 1 * MIB, 32 * MIB };
	static const uint64_t sizes[3] = { 10 * MIB, 20 * MIB, 40 * MIB };

	for (uint32_t seed = 1; seed < 4; seed++) {
		struct block_host host;
		struct memory_file *files[3];
		struct vhdx_guid linkage = { { 0 } };
		uint32_t *versions = calloc(sizes[2] / 512, sizeof *versions), next_version = 0;

		block_host_init(&host);
		for (unsigned level = 0; level < 3; level++) {
			struct vhdx_create_options options = {
				.type = level ? VHDX_DIFFERENCING : VHDX_DYNAMIC, .bytes = sizes[level],
				.block_bytes = blocks[level], .parent = { .linkage = linkage, .relative_path = "parent.vhdx" },
			};
			struct block_disk *disk = NULL;
			struct disk_model model;

			for (unsigned below = 0; below < level; below++)
				disk = disk_open(&host, copy_of(&host, files[below]), disk, true);
			files[level] = image_new(&host, &options);
			files[level]->random = seed * 31 + level;
			files[level]->turn_max = 4;
			files[level]->keep = true;
			disk = disk_open(&host, files[level], disk, false);
			disk_model_init(&model, &host, disk, blocks[level], seed * 7 + level);
			memcpy(model.versions, versions, model.sectors * sizeof *versions);
			model.next_version = next_version;
			disk_model_check(&model);
			disk_model_run(&model, 1500);
			disk_model_check(&model);
			memcpy(versions, model.versions, model.sectors * sizeof *versions);
			next_version = model.next_version;
			assert_true(vhdx_data_write_guid(disk, &linkage));
			disk_model_close(&host, disk);
			files[level]->keep = false;
			disk_model_fini(&model);
		}
		for (unsigned level = 0; level < 3; level++)
			memory_file_free(files[level]);
		assert_true(block_host_idle(&host));
		free(versions);
	}
}

static void parent_that_has_changed_is_refused(void **state)
{
	struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 4 * MIB, .block_bytes = 1 * MIB };
	uint8_t sector[512] = { 1 };
	struct block_host host;
	struct memory_file *parent_file, *file;
	struct block_disk *parent, *disk;
	struct block_failure failure;

	block_host_init(&host);
	parent_file = image_new(&host, &options);
	parent = disk_open(&host, copy_of(&host, parent_file), NULL, true);
	assert_true(vhdx_data_write_guid(parent, &options.parent.linkage));
	options.type = VHDX_DIFFERENCING;
	(void)snprintf(options.parent.relative_path, VHDX_PATH_MAX, "%s", ".\\base.vhdx");
	file = image_new(&host, &options);
	assert_int_equal(try_open(&host, file, NULL, false, &disk, &failure), -EINVAL);
	assert_non_null(strstr(failure.text, ".\\base.vhdx"));
	disk = disk_open(&host, copy_of(&host, file), parent, false);
	disk_model_close(&host, disk);

	parent_file->keep = true;
	parent = disk_open(&host, parent_file, NULL, false);
	assert_int_equal(try_open(&host, file, parent, false, &disk, &failure), -EINVAL);	/* may be written */
	assert_int_equal(disk_model_transfer(&host, parent, BLOCK_WRITE, 0, 0, sector, 512), 0);
	disk_model_close(&host, parent);
	parent = disk_open(&host, parent_file, NULL, true);
	assert_int_equal(try_open(&host, file, parent, false, &disk, &failure), -ESTALE);
	assert_non_null(strstr(failure.text, "changed"));
	disk_model_close(&host, parent);
	memory_file_free(parent_file);
	memory_file_free(file);
	assert_true(block_host_idle(&host));
}

/* Whatever fails, each request has its answer, the disk closes, and what is left is a disk. */
static void storage_that_fails_is_survived(void **state)
{
	static const enum block_file_op ops[] = {
		BLOCK_FILE_READ, BLOCK_FILE_WRITE, BLOCK_FILE_FLUSH, BLOCK_FILE_SET_SIZE, BLOCK_FILE_PUNCH, BLOCK_FILE_ZERO,
	};
	struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 8 * MIB, .block_bytes = 1 * MIB };
	struct block_host host;
	struct memory_file *parent;
	struct block_disk *disk;

	block_host_init(&host);
	parent = image_new(&host, &options);
	disk = disk_open(&host, copy_of(&host, parent), NULL, true);
	assert_true(vhdx_data_write_guid(disk, &options.parent.linkage));
	disk_model_close(&host, disk);
	for (unsigned i = 0; i < 240; i++) {
		const bool differencing = i % 2;
		struct memory_file *file;
		struct disk_model model;

		options.type = differencing ? VHDX_DIFFERENCING : VHDX_DYNAMIC;
		file = image_new(&host, &options);
		file->random = i + 1;
		file->keep = true;
		file->fail_any = i % 7 == 6;
		file->fail_op = ops[i / 2 % 6];
		file->fail_at = 1 + i / 12;
		file->fail_count = 1 + i % 5 * 10;
		file->fail_error = i % 3 ? -EIO : -ENOSPC;
		disk = differencing ? disk_open(&host, copy_of(&host, parent), NULL, true) : NULL;
		disk = disk_open(&host, file, disk, false);
		disk_model_init(&model, &host, disk, options.block_bytes, i + 1);
		model.errors_allowed = true;
		disk_model_run(&model, 150);
		disk_model_close(&host, disk);
		disk_model_fini(&model);
		file->keep = false;
		file->fail_count = 0;
		disk = differencing ? disk_open(&host, copy_of(&host, parent), NULL, true) : NULL;
		disk_model_close(&host, disk_open(&host, file, disk, false));
		assert_true(block_host_idle(&host));
	}
	memory_file_free(parent);
}

static void given_back_blocks_are_used_again(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 64 * MIB, .block_bytes = 1 * MIB };
	struct block_host host;
	struct memory_file *file;
	struct block_disk *disk;
	uint8_t sector[512];
	uint64_t bytes;

	block_host_init(&host);
	file = image_new(&host, &options);
	disk = disk_open(&host, file, NULL, false);
	memset(sector, 0xab, sizeof sector);
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(disk_model_transfer(&host, disk, BLOCK_WRITE, 0, i * MIB, sector, 512), 0);
		assert_int_equal(disk_model_transfer(&host, disk, BLOCK_UNMAP, 0, i * MIB, NULL, MIB), 0);
		assert_int_equal(disk_model_transfer(&host, disk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
		while (block_host_turn(&host, 0))
			;
	}
	assert_in_range(file->bytes, 4 * MIB, 8 * MIB);
	bytes = file->bytes;
	assert_int_equal(disk_model_transfer(&host, disk, BLOCK_WRITE, 0, 512, sector, 512), 0);
	assert_int_equal(file->bytes, bytes);
	assert_int_equal(disk_model_transfer(&host, disk, BLOCK_READ, 0, 0, sector, 512), 0);
	assert_int_equal(sector[0], 0);		/* and nothing of what was there */
	disk_model_close(&host, disk);
	assert_true(block_host_idle(&host));
}

static void an_allocated_read_is_one_request(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 8 * MIB, .block_bytes = 2 * MIB };
	struct block_host host;
	struct memory_file *file;
	struct block_disk *disk;
	uint8_t data[4096] = { 7 };
	unsigned reads, writes;

	block_host_init(&host);
	file = image_new(&host, &options);
	disk = disk_open(&host, file, NULL, false);
	assert_int_equal(disk_model_transfer(&host, disk, BLOCK_WRITE, BLOCK_FLAG_FUA, 4096, data, 4096), 0);
	reads = file->requests[BLOCK_FILE_READ];
	writes = file->requests[BLOCK_FILE_WRITE];
	assert_int_equal(disk_model_transfer(&host, disk, BLOCK_READ, 0, 4096, data, 4096), 0);
	assert_int_equal(disk_model_transfer(&host, disk, BLOCK_WRITE, BLOCK_FLAG_FUA, 8192, data, 4096), 0);
	assert_int_equal(file->requests[BLOCK_FILE_READ], reads + 1);
	assert_in_range(file->requests[BLOCK_FILE_WRITE], writes + 1, writes + 2);	/* and the BAT's page in its place */
	disk_model_close(&host, disk);
}

/* qemu-img ----------------------------------------------------------------------------------------------------------*/

static bool has_qemu_img(void)
{
	return system("qemu-img --version > /dev/null 2>&1") == 0;
}

__attribute__((format(printf, 1, 2))) static void qemu_img(const char *format, ...)
{
	char arguments[512], command[600];
	va_list list;

	va_start(list, format);
	(void)vsnprintf(arguments, sizeof arguments, format, list);
	va_end(list);
	(void)snprintf(command, sizeof command, "qemu-img %s > /dev/null", arguments);
	if (system(command) != 0)
		fail_msg("%s", command);
}

struct paths {
	char folder[32], vhdx[64], raw[64];
};

static void paths_init(struct paths *p)
{
	(void)snprintf(p->folder, sizeof p->folder, "./vhdx_test.XXXXXX");
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

static int file_at(const char *path)
{
	const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* What the model holds, as a raw file. */
static void save_raw(const struct disk_model *m, const char *path)
{
	const int fd = file_at(path);

	assert_int_equal(ftruncate(fd, (off_t)(m->sectors * m->sector_bytes)), 0);
	for (uint64_t i = 0; i < m->sectors; i++) {
		uint64_t words[512];

		if (m->versions[i] == 0)
			continue;
		for (unsigned word = 0; word < m->sector_bytes / 8; word++)
			words[word] = (uint64_t)m->versions[i] << 32 | i;
		assert_int_equal(pwrite(fd, words, m->sector_bytes, (off_t)(i * m->sector_bytes)), m->sector_bytes);
	}
	(void)close(fd);
}

static void save(const struct memory_file *file, const char *path)
{
	const int fd = file_at(path);

	memory_file_save(file, fd);
	(void)close(fd);
}

static void qemu_img_accepts_what_we_write(void **state)
{
	static const struct {
		enum vhdx_type type;
		uint64_t bytes;
		uint32_t block_bytes;
		unsigned requests;
	} rows[] = {
		{ VHDX_DYNAMIC, 20 * MIB, 1 * MIB, 0 },
		{ VHDX_DYNAMIC, 20 * MIB, 1 * MIB, 1000 },
		{ VHDX_DYNAMIC, 4200 * MIB, 1 * MIB, 60 },
		{ VHDX_DYNAMIC, 100 * MIB + 512 * 7, 32 * MIB, 300 },
		{ VHDX_DYNAMIC, 500 * MIB, 256 * MIB, 300 },
		{ VHDX_FIXED, 20 * MIB, 1 * MIB, 1000 },
		{ VHDX_FIXED, 70 * MIB, 32 * MIB, 0 },
	};
	struct paths p;

	if (!has_qemu_img())
		skip();
	paths_init(&p);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct vhdx_create_options options = {
			.type = rows[i].type, .bytes = rows[i].bytes, .block_bytes = rows[i].block_bytes,
		};
		struct block_host host;
		struct disk_model model;
		struct memory_file *file, *in_use;
		struct block_disk *disk;

		block_host_init(&host);
		file = image_new(&host, &options);
		(void)write_randomly(&host, file, &model, rows[i].block_bytes, rows[i].requests, 3 + i);
		save_raw(&model, p.raw);
		save(file, p.vhdx);
		qemu_img("check -q -f vhdx %s", p.vhdx);
		qemu_img("compare -q -f vhdx -F raw %s %s", p.vhdx, p.raw);

		/* As it lies there in use, log and all. */
		disk = disk_open(&host, file, NULL, false);
		disk_model_use(&model, disk);
		disk_model_run(&model, rows[i].requests / 4 + 20);
		assert_int_equal(disk_model_transfer(&host, disk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
		in_use = copy_of(&host, file);
		disk_model_close(&host, disk);
		save_raw(&model, p.raw);
		save(in_use, p.vhdx);
		qemu_img("check -q -r all -f vhdx %s", p.vhdx);
		qemu_img("compare -q -f vhdx -F raw %s %s", p.vhdx, p.raw);
		memory_file_free(in_use);
		disk_model_fini(&model);
	}
	paths_fini(&p);
}

static void what_qemu_img_writes_is_read(void **state)
{
	static const struct {
		const char *options;
		uint64_t bytes, block_bytes;
		bool full;
	} rows[] = {
		{ "subformat=dynamic,block_size=1M", 20 * MIB, 1 * MIB, true },
		{ "subformat=dynamic,block_size=1M", 20 * MIB, 1 * MIB, false },
		{ "subformat=dynamic,block_size=32M", 100 * MIB, 32 * MIB, true },
		{ "subformat=dynamic,block_size=256M", 300 * MIB, 256 * MIB, true },
		{ "subformat=fixed,block_size=8M", 40 * MIB, 8 * MIB, true },
		{ "subformat=fixed,block_size=8M,block_state_zero=off", 40 * MIB, 8 * MIB, false },
		{ "subformat=fixed", 40 * MIB, 8 * MIB, false },
	};
	struct paths p;

	if (!has_qemu_img())
		skip();
	paths_init(&p);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct vhdx_create_options ours = { .type = VHDX_DYNAMIC, .bytes = rows[i].bytes, .block_bytes = 1 * MIB };
		struct block_host host;
		struct disk_model model;
		struct memory_file *file;
		struct block_disk *disk;
		int fd;

		/* The content is made by the model on a disk of ours. */
		block_host_init(&host);
		file = image_new(&host, &ours);
		memory_file_free(write_randomly(&host, file, &model, rows[i].block_bytes, rows[i].full ? 400 : 0, 5 + i));
		save_raw(&model, p.raw);
		if (rows[i].full)
			qemu_img("convert -q -f raw -O vhdx -o %s %s %s", rows[i].options, p.raw, p.vhdx);
		else
			qemu_img("create -q -f vhdx -o %s %s %llu", rows[i].options, p.vhdx, (unsigned long long)rows[i].bytes);
		file = memory_file_new(&host.host);
		fd = open(p.vhdx, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		memory_file_load(file, fd);
		(void)close(fd);
		file->keep = true;
		disk = disk_open(&host, file, NULL, false);
		assert_int_equal(disk->info.bytes, rows[i].bytes);
		disk_model_use(&model, disk);
		disk_model_check(&model);
		disk_model_run(&model, 500);
		disk_model_check(&model);
		disk_model_close(&host, disk);
		save_raw(&model, p.raw);
		save(file, p.vhdx);
		qemu_img("check -q -f vhdx %s", p.vhdx);
		qemu_img("compare -q -f vhdx -F raw %s %s", p.vhdx, p.raw);
		memory_file_free(file);
		disk_model_fini(&model);
	}
	paths_fini(&p);
}

/* Files that were made to harm --------------------------------------------------------------------------------------*/

#define LOG_AT      (1 * MIB)
#define METADATA_AT (2 * MIB)
#define BAT_AT      (3 * MIB)

enum seal {
	NOTHING,
	HEADERS,		/* make the checksums right again */
	REGIONS,
};

static void seal(struct memory_file *file, uint64_t offset, uint32_t bytes)
{
	uint32_t crc = 0;

	memcpy(file->data + offset + 4, &crc, 4);
	crc = crc32c(0, file->data + offset, bytes);
	memcpy(file->data + offset + 4, &crc, 4);
}

static void put64(struct memory_file *file, uint64_t offset, uint64_t value, unsigned bytes)
{
	memcpy(file->data + offset, &value, bytes);
	memory_file_touch(file, offset, bytes);
}

static void damaged_files_are_refused_and_say_why(void **state)
{
	static const struct {
		uint64_t offset, value;
		unsigned bytes;
		enum seal seal;
		const char *text;
	} rows[] = {
		{ 0, 0, 8, NOTHING, "no signature" },
		{ 65536 + 66, 2, 2, HEADERS, "version 2" },
		{ 65536 + 68, 0, 4, HEADERS, "log at" },
		{ 65536 + 68, 12345, 4, HEADERS, "log at" },
		{ 65536 + 68, 1u << 30, 4, HEADERS, "a log of 1024 MiB" },
		{ 65536 + 72, 4096, 8, HEADERS, "log at" },
		{ 65536 + 72, 3 * MIB, 8, HEADERS, "overlaps the log" },
		{ 65536 + 48, 1, 1, HEADERS, "no valid entry" },
		{ 196608 + 8, 5000, 4, REGIONS, "5000 entries" },
		{ 196608 + 8, 1, 4, REGIONS, "no metadata region" },
		{ 196608 + 8, 0, 4, REGIONS, "no BAT region" },
		{ 196608 + 16, 0, 1, REGIONS, "is unknown" },
		{ 196608 + 16 + 16, 2 * MIB, 8, REGIONS, "overlaps another" },
		{ 196608 + 16 + 16, 3 * MIB + 4096, 8, REGIONS, "not whole MiB" },
		{ 196608 + 16 + 16, ~0xfffffull, 8, REGIONS, "not whole MiB" },
		{ 196608 + 16 + 24, 0, 4, REGIONS, "not whole MiB" },
		{ METADATA_AT, 0, 8, NOTHING, "metadata table is damaged" },
		{ METADATA_AT + 10, 4000, 2, NOTHING, "metadata table is damaged" },
		{ METADATA_AT + 10, 4, 2, NOTHING, "no metadata item with the physical" },
		{ METADATA_AT + 32, 0, 1, NOTHING, "no metadata item with the file parameters" },
		{ METADATA_AT + 32 + 16, 0xffffffff, 4, NOTHING, "a metadata item at" },
		{ METADATA_AT + 32 + 20, 9, 4, NOTHING, "a metadata item at" },
		{ METADATA_AT + 65536, 3 * MIB, 4, NOTHING, "in blocks of 3145728" },
		{ METADATA_AT + 65536, 1u << 31, 4, NOTHING, "in blocks of" },
		{ METADATA_AT + 65536 + 4, 2, 4, NOTHING, "parent locator" },
		{ METADATA_AT + 65536 + 8, 0, 8, NOTHING, "a disk of 0 bytes" },
		{ METADATA_AT + 65536 + 8, 1ull << 62, 8, NOTHING, "a disk of" },
		{ METADATA_AT + 65536 + 8, 1ull << 40, 8, NOTHING, "a BAT region of" },
		{ METADATA_AT + 65536 + 8, 1000, 8, NOTHING, "a disk of 1000 bytes" },
		{ METADATA_AT + 65536 + 32, 1024, 4, NOTHING, "sectors of 1024" },
		{ BAT_AT, 4, 8, NOTHING, "block 0 is in state 4" },
		{ BAT_AT, 5 * MIB | 7, 8, NOTHING, "block 0 is in state 7" },
		{ BAT_AT, 6, 8, NOTHING, "outside the file" },
		{ BAT_AT, 1ull << 50 | 6, 8, NOTHING, "outside the file" },
		{ BAT_AT, 1 * MIB | 6, 8, NOTHING, "overlaps" },
		{ BAT_AT + 8, 4 * MIB | 6, 8, NOTHING, "block 1 at 0x400000 overlaps" },
	};
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 16 * MIB, .block_bytes = 1 * MIB };
	struct block_host host;
	struct memory_file *good;

	block_host_init(&host);
	good = image_new(&host, &options);
	memory_file_set_size(good, 5 * MIB);
	put64(good, BAT_AT, 4 * MIB | 6, 8);
	disk_model_close(&host, disk_open(&host, copy_of(&host, good), NULL, false));
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct memory_file *file = copy_of(&host, good);
		struct block_failure failure = { "" };
		struct block_disk *disk;
		int r;

		/* Both copies of headers and region tables are the same but for the sequence number. */
		put64(file, rows[i].offset, rows[i].value, rows[i].bytes);
		if (rows[i].seal != NOTHING)
			put64(file, rows[i].offset + 65536, rows[i].value, rows[i].bytes);
		for (unsigned copy = 0; copy < 2; copy++) {
			if (rows[i].seal == HEADERS)
				seal(file, VHDX_HEADER_OFFSET(copy), 4096);
			if (rows[i].seal == REGIONS)
				seal(file, VHDX_REGION_OFFSET(copy), VHDX_REGION_TABLE_BYTES);
		}
		r = try_open(&host, file, NULL, false, &disk, &failure);
		if (r == 0 || !strstr(failure.text, rows[i].text))
			fail_msg("row %u: %d, \"%s\" does not say \"%s\"", i, r, failure.text, rows[i].text);
		memory_file_free(file);
	}
	memory_file_free(good);
}

static void one_good_copy_is_enough(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 16 * MIB, .block_bytes = 1 * MIB };

	for (unsigned copy = 0; copy < 2; copy++) {
		struct block_host host;
		struct memory_file *file;

		block_host_init(&host);
		file = image_new(&host, &options);
		file->data[VHDX_HEADER_OFFSET(copy) + 100] ^= 1;
		file->data[VHDX_REGION_OFFSET(copy) + 100] ^= 1;
		disk_model_close(&host, disk_open(&host, file, NULL, false));
	}
}

static void info_is_what_was_asked_for(void **state)
{
	struct vhdx_create_options options = {
		.type = VHDX_DIFFERENCING, .bytes = 3ull << 40, .block_bytes = 2 * MIB, .logical_bytes = 4096,
		.parent = { .relative_path = ".\\b\xc3\xa4se.vhdx", .absolute_win32_path = "C:\\vm\\\xf0\x9f\x92\xbe.vhdx" },
	};
	struct block_failure failure;
	struct vhdx_info info;
	int fd;

	assert_true(vhdx_guid_parse("{01234567-89ab-CDEF-0123-456789abcdef}", &options.parent.linkage));
	fd = create(&options);
	assert_int_equal(vhdx_inspect(fd, &info, &failure), 0);
	assert_int_equal(info.type, VHDX_DIFFERENCING);
	assert_int_equal(info.bytes, 3ull << 40);
	assert_int_equal(info.block_bytes, 2 * MIB);
	assert_int_equal(info.logical_bytes, 4096);
	assert_int_equal(info.physical_bytes, 4096);
	assert_false(info.log_to_replay);
	assert_memory_equal(&info.parent.linkage, &options.parent.linkage, 16);
	assert_string_equal(info.parent.relative_path, options.parent.relative_path);
	assert_string_equal(info.parent.absolute_win32_path, options.parent.absolute_win32_path);
	assert_string_equal(info.parent.volume_path, "");
	assert_int_equal(vhdx_create(fd, &options, &failure), -EEXIST);
	(void)close(fd);
}

static void options_that_make_no_disk_are_refused(void **state)
{
	static const struct vhdx_create_options rows[] = {
		{ .type = VHDX_DYNAMIC },
		{ .type = VHDX_DYNAMIC, .bytes = 100 },
		{ .type = VHDX_DYNAMIC, .bytes = (64ull << 40) + 512 },
		{ .type = VHDX_DYNAMIC, .bytes = 1 << 20, .block_bytes = 512 << 10 },
		{ .type = VHDX_DYNAMIC, .bytes = 1 << 20, .block_bytes = 3 << 20 },
		{ .type = VHDX_DYNAMIC, .bytes = 1 << 20, .block_bytes = 512 << 20 },
		{ .type = VHDX_DYNAMIC, .bytes = 1 << 20, .logical_bytes = 1024 },
		{ .type = VHDX_DYNAMIC, .bytes = 1 << 20, .logical_bytes = 4096, .physical_bytes = 512 },
		{ .type = VHDX_DIFFERENCING, .bytes = 1 << 20 },
		{ .type = VHDX_DIFFERENCING, .bytes = 1 << 20, .parent = { .linkage = { { 1 } }, .volume_path = "\xff" } },
	};

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		const int fd = memfd_create("vhdx", 0);
		struct block_failure failure = { "" };

		assert_int_equal(vhdx_create(fd, &rows[i], &failure), -EINVAL);
		assert_true(failure.text[0] != 0);
		(void)close(fd);
	}
}

static void an_image_with_a_log_grows(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_DYNAMIC, .bytes = 20 * MIB, .block_bytes = 1 * MIB };
	const int fd = memfd_create("vhdx", 0);
	struct block_failure failure = { "" };
	struct memory_file *file, *in_use;
	struct vhdx_check check;
	struct disk_model model;
	struct block_host host;
	struct block_disk *disk;

	block_host_init(&host);
	file = image_new(&host, &options);
	disk = disk_open(&host, file, NULL, false);
	disk_model_init(&model, &host, disk, 1 * MIB, 7);
	disk_model_run(&model, 200);
	assert_int_equal(disk_model_transfer(&host, disk, BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	in_use = copy_of(&host, file);
	disk_model_close(&host, disk);
	memory_file_save(in_use, fd);
	memory_file_free(in_use);
	assert_int_equal(vhdx_check(fd, &check, &failure), 0);
	assert_true(check.log_to_replay);
	assert_true(check.blocks > 0);
	assert_int_equal(vhdx_resize(fd, 50 * MIB, &failure), 0);
	assert_int_equal(vhdx_check(fd, &check, &failure), 0);
	assert_false(check.log_to_replay);
	file = memory_file_new(&host.host);
	memory_file_load(file, fd);
	disk = disk_open(&host, file, NULL, false);
	assert_int_equal(disk->info.bytes, 50 * MIB);
	disk_model_use(&model, disk);
	disk_model_check(&model);
	disk_model_close(&host, disk);
	disk_model_fini(&model);
	(void)close(fd);
}

static void sizes_that_cannot_be_are_refused(void **state)
{
	const struct vhdx_create_options options = { .type = VHDX_FIXED, .bytes = 4 * MIB, .block_bytes = 1 * MIB };
	const int fd = create(&options);
	struct block_failure failure = { "" };
	struct vhdx_info before, after;

	assert_int_equal(vhdx_inspect(fd, &before, &failure), 0);
	assert_int_equal(vhdx_resize(fd, 3 * MIB, &failure), -ENOTSUP);
	assert_int_equal(vhdx_resize(fd, 4 * MIB + 100, &failure), -EINVAL);
	assert_int_equal(vhdx_resize(fd, (64ull << 40) + 512, &failure), -EINVAL);
	assert_int_equal(vhdx_resize(fd, 4 * MIB, &failure), 0);
	assert_int_equal(vhdx_inspect(fd, &after, &failure), 0);
	assert_memory_equal(&before, &after, sizeof before);
	(void)close(fd);
}

static void checksum_is_castagnoli(void **state)
{
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
	assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_is_castagnoli),
		cmocka_unit_test(info_is_what_was_asked_for),
		cmocka_unit_test(options_that_make_no_disk_are_refused),
		cmocka_unit_test(damaged_files_are_refused_and_say_why),
		cmocka_unit_test(one_good_copy_is_enough),
		cmocka_unit_test(random_requests_agree_with_a_model),
		cmocka_unit_test(chain_of_three_reads_through),
		cmocka_unit_test(parent_that_has_changed_is_refused),
		cmocka_unit_test(storage_that_fails_is_survived),
		cmocka_unit_test(given_back_blocks_are_used_again),
		cmocka_unit_test(an_allocated_read_is_one_request),
		cmocka_unit_test(qemu_img_accepts_what_we_write),
		cmocka_unit_test(what_qemu_img_writes_is_read),
		cmocka_unit_test(an_image_with_a_log_grows),
		cmocka_unit_test(sizes_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
