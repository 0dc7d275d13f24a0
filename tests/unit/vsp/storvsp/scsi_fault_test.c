// SPDX-License-Identifier: Apache-2.0
/* What a guest is told when the storage below a raw or a VHD disk fails: from the file's error to sense data. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "block/raw.h"
#include "block/vhd.h"
#include "block/vhd_image.h"
#include "storvsp/scsi.h"
#include "unit/vsp/block/block_host.h"
#include "unit/vsp/block/fault_file.h"
#include "unit/vsp/block/power_file.h"

#define DISK_BYTES  (4u << 20)
#define BLOCK_BYTES (64u << 10)

struct world {
	struct block_host host;
	struct power_file *file;
	struct fault_file *faults;
	struct scsi_unit *unit;
	struct scsi_task task;
	struct iovec iov;
	uint8_t buffer[64 * 512];
	bool done;
};

static struct world world;

static void task_done(struct scsi_task *task)
{
	world.done = true;
}

static void nothing(void *context)
{
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

static void unit_new(struct block_disk *disk)
{
	const struct scsi_unit_events events = { nothing, nothing, &world };

	world.unit = scsi_unit_new(&scsi_disk_type, &world.host.host, disk->info.id, disk, &events);
	assert_non_null(world.unit);
	world.unit->attention = 0;
}

static void file_new(const void *data, uint64_t bytes)
{
	memset(&world, 0, sizeof world);
	block_host_init(&world.host);
	world.file = power_file_new(&world.host.host, data, bytes);
	world.faults = fault_file_new(&world.file->file);
}

static int setup_raw(void **state)
{
	static const uint8_t data[DISK_BYTES];
	struct block_disk *disk;

	file_new(data, sizeof data);
	assert_int_equal(block_raw_open(&world.faults->file, &(struct block_raw_options){ .id = "raw" }, &disk), 0);
	unit_new(disk);
	return 0;
}

static int setup_vhd(void **state)
{
	const struct vhd_create_options create = { .type = VHD_DYNAMIC, .bytes = DISK_BYTES, .block_bytes = BLOCK_BYTES };
	const int fd = memfd_create("vhd", MFD_CLOEXEC);
	struct block_failure why;
	struct block_disk *disk;
	uint8_t image[8192];
	ssize_t bytes;

	assert_int_equal(vhd_create(fd, &create, &why), 0);
	bytes = pread(fd, image, sizeof image, 0);
	assert_in_range(bytes, 2048, sizeof image - 1);
	(void)close(fd);
	file_new(image, (uint64_t)bytes);
	assert_int_equal(vhd_open(&world.faults->file, &(struct vhd_options){ .id = "vhd" }, &disk, &why), 0);
	unit_new(disk);
	return 0;
}

static int teardown(void **state)
{
	bool closed = false;

	scsi_unit_close(world.unit, set_flag, &closed);
	block_host_run_until(&world.host, &closed);
	assert_true(block_host_idle(&world.host));
	return 0;
}

static void run(uint8_t op, uint32_t lba, uint16_t blocks, enum scsi_data data)
{
	struct scsi_task *task = &world.task;

	memset(task, 0, sizeof *task);
	task->cdb[0] = op;
	scsi_put32(task->cdb + 2, lba);
	scsi_put16(task->cdb + 7, blocks);
	task->cdb_bytes = 10;
	task->data = data;
	task->bytes = data == SCSI_DATA_NONE ? 0 : blocks * 512u;
	task->iov = &world.iov;
	task->iov_count = task->bytes ? 1 : 0;
	world.iov = (struct iovec){ world.buffer, task->bytes };
	task->done = task_done;
	world.done = false;
	scsi_execute(world.unit, task);
	scsi_unit_kick(world.unit);
	block_host_run_until(&world.host, &world.done);
}

#define READ_10  0x28
#define WRITE_10 0x2a
#define SYNC_10  0x35

static void assert_sense(enum scsi_sense sense)
{
	const uint8_t *s = world.task.sense;

	assert_int_equal(world.task.status, SCSI_CHECK_CONDITION);
	assert_int_equal(s[2] << 16 | s[12] << 8 | s[13], sense);
}

static void assert_sense_at(enum scsi_sense sense, uint32_t lba)
{
	assert_sense(sense);
	assert_int_equal(world.task.sense[0], 0xf0);
	assert_int_equal(scsi_get32(world.task.sense + 3), lba);
}

static void hit(unsigned ops, uint64_t from, uint64_t to, int error)
{
	world.faults->rules[0] = (struct fault_rule){ .ops = ops, .from = from, .to = to, .error = error, .at_range = true };
}

static void a_medium_error_names_its_sector(void **state)
{
	hit(FAULT_OP(BLOCK_FILE_READ), 1005 * 512, 1006 * 512, -EIO);
	run(READ_10, 1000, 32, SCSI_DATA_IN);
	assert_sense_at(SENSE_READ_ERROR, 1005);
	run(READ_10, 1006, 32, SCSI_DATA_IN);
	assert_int_equal(world.task.status, SCSI_GOOD);
	hit(FAULT_OP(BLOCK_FILE_WRITE), 1007 * 512, 1008 * 512, -EIO);
	run(WRITE_10, 1000, 32, SCSI_DATA_OUT);
	assert_sense_at(SENSE_WRITE_ERROR, 1007);
}

static void a_failed_flush_is_told(void **state)
{
	hit(FAULT_OP(BLOCK_FILE_FLUSH), 0, UINT64_MAX, -EIO);
	run(SYNC_10, 0, 0, SCSI_DATA_NONE);
	assert_sense(SENSE_WRITE_ERROR);
	world.faults->rules[0].ops = 0;
	run(SYNC_10, 0, 0, SCSI_DATA_NONE);
	assert_int_equal(world.task.status, SCSI_GOOD);
}

static void storage_that_turned_read_only_is_write_protected(void **state)
{
	hit(FAULT_OP(BLOCK_FILE_WRITE), 0, UINT64_MAX, -EROFS);
	run(WRITE_10, 0, 8, SCSI_DATA_OUT);
	assert_sense(SENSE_WRITE_PROTECTED);
}

static void a_full_storage_is_space_exhausted(void **state)
{
	hit(FAULT_OP(BLOCK_FILE_WRITE), 2000 * 512, UINT64_MAX, -ENOSPC);
	run(WRITE_10, 1990, 32, SCSI_DATA_OUT);
	assert_sense_at(SENSE_SPACE_EXHAUSTED, 2000);
}

static void short_of_memory_is_busy(void **state)
{
	hit(FAULT_ANY_OP, 0, UINT64_MAX, -ENOMEM);
	run(READ_10, 0, 8, SCSI_DATA_IN);
	assert_int_equal(world.task.status, SCSI_BUSY);
}

static void a_slow_storage_delays_and_no_more(void **state)
{
	world.faults->rules[0] = (struct fault_rule){ .ops = FAULT_ANY_OP, .to = UINT64_MAX, .delay_ns = 20000000 };
	run(WRITE_10, 0, 8, SCSI_DATA_OUT);
	assert_int_equal(world.task.status, SCSI_GOOD);
	run(READ_10, 0, 8, SCSI_DATA_IN);
	assert_int_equal(world.task.status, SCSI_GOOD);
}

/* The second block of the image does not fit: the sector where it begins is named, and the first goes on. */
static void an_image_that_cannot_grow_is_space_exhausted(void **state)
{
	run(WRITE_10, 0, 8, SCSI_DATA_OUT);
	assert_int_equal(world.task.status, SCSI_GOOD);
	world.file->room = world.file->now.size;
	run(WRITE_10, BLOCK_BYTES / 512 - 4, 16, SCSI_DATA_OUT);
	assert_sense_at(SENSE_SPACE_EXHAUSTED, BLOCK_BYTES / 512);
	run(WRITE_10, 8, 8, SCSI_DATA_OUT);
	assert_int_equal(world.task.status, SCSI_GOOD);
}

int main(void)
{
#define RAW(name) cmocka_unit_test_setup_teardown(name, setup_raw, teardown)
#define VHD(name) cmocka_unit_test_setup_teardown(name, setup_vhd, teardown)
	const struct CMUnitTest tests[] = {
		RAW(a_medium_error_names_its_sector),
		RAW(a_failed_flush_is_told),
		RAW(storage_that_turned_read_only_is_write_protected),
		RAW(a_full_storage_is_space_exhausted),
		RAW(short_of_memory_is_busy),
		RAW(a_slow_storage_delays_and_no_more),
		VHD(a_failed_flush_is_told),
		VHD(storage_that_turned_read_only_is_write_protected),
		VHD(a_slow_storage_delays_and_no_more),
		VHD(an_image_that_cannot_grow_is_space_exhausted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
