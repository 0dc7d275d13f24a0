// SPDX-License-Identifier: Apache-2.0
/* Every command of the disk and the DVD drive, and every way in which each can fail, on a disk in memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "unit/vsp/block/block_host.h"
#include "unit/vsp/block/block_memory.h"
#include "storvsp/scsi_dvd.h"

#define DISK_BLOCKS 4096u
#define BUFFER_BYTES (2u << 20)

struct world {
	struct block_host host;
	struct block_memory *memory;	/* NULL: no medium */
	struct scsi_unit *unit;
	struct scsi_task task;
	struct iovec iov[8];
	uint8_t buffer[BUFFER_BYTES];
	bool done;
	unsigned changes;
};

static struct world world;	/* one at a time; tasks find it without a pointer */

static void task_done(struct scsi_task *task)
{
	assert_false(world.done);
	assert_null(task->scratch);
	world.done = true;
}

static void changed(void *context)
{
	((struct world *)context)->changes++;
}

static void batched(void *context)
{
}

static void unit_new(const struct scsi_unit_type *type, struct block_memory *memory)
{
	const struct scsi_unit_events events = { changed, batched, &world };
	static const uint8_t id[16] = "0123456789abcde";

	world.memory = memory;
	world.unit = scsi_unit_new(type, &world.host.host, memory ? memory->disk.info.id : id, memory ? &memory->disk : NULL,
				   &events);
	assert_non_null(world.unit);
	world.unit->attention = 0;
}

static int setup_disk(void **state)
{
	memset(&world, 0, sizeof world);
	block_host_init(&world.host);
	unit_new(&scsi_disk_type, block_memory_new(&world.host.host, DISK_BLOCKS * 512, 512));
	return 0;
}

static int setup_dvd(void **state)
{
	memset(&world, 0, sizeof world);
	block_host_init(&world.host);
	unit_new(&scsi_dvd_type, block_memory_new(&world.host.host, 100 * 2048, 512));
	world.memory->disk.info.read_only = true;
	return 0;
}

static void set_flag(void *context)
{
	*(bool *)context = true;
}

static int teardown(void **state)
{
	bool closed = false;

	scsi_unit_close(world.unit, set_flag, &closed);
	assert_false(closed);
	block_host_run_until(&world.host, &closed);
	assert_true(block_host_idle(&world.host));
	return 0;
}

/* Starts a command with `bytes` of buffer, in two pieces. */
static void start(const uint8_t *cdb, unsigned cdb_bytes, enum scsi_data data, uint32_t bytes)
{
	struct scsi_task *task = &world.task;

	memset(task, 0xa5, sizeof *task);
	memset(task->cdb, 0, sizeof task->cdb);
	memcpy(task->cdb, cdb, cdb_bytes);
	task->cdb_bytes = (uint8_t)cdb_bytes;
	task->data = data;
	task->bytes = bytes;
	task->iov = world.iov;
	task->iov_count = bytes ? 2 : 0;
	world.iov[0] = (struct iovec){ world.buffer, bytes / 3 };
	world.iov[1] = (struct iovec){ world.buffer + bytes / 3, bytes - bytes / 3 };
	task->done = task_done;
	world.done = false;
	scsi_execute(world.unit, task);
	scsi_unit_kick(world.unit);
}

static void run(const uint8_t *cdb, unsigned cdb_bytes, enum scsi_data data, uint32_t bytes)
{
	start(cdb, cdb_bytes, data, bytes);
	block_host_run_until(&world.host, &world.done);
}

#define CDB(...) ((const uint8_t[16]){ __VA_ARGS__ })

static void run_good(const uint8_t *cdb, unsigned cdb_bytes, enum scsi_data data, uint32_t bytes, uint32_t moved)
{
	run(cdb, cdb_bytes, data, bytes);
	assert_int_equal(world.task.status, SCSI_GOOD);
	assert_int_equal(world.task.moved, moved);
}

static void assert_sense(enum scsi_sense sense)
{
	const uint8_t *s = world.task.sense;

	assert_int_equal(world.task.status, SCSI_CHECK_CONDITION);
	assert_int_equal(world.task.moved, 0);
	assert_int_equal(s[0] & 0x7f, 0x70);
	assert_int_equal(s[7], 10);
	assert_int_equal(s[2] << 16 | s[12] << 8 | s[13], sense);
}

static void run_bad(const uint8_t *cdb, unsigned cdb_bytes, enum scsi_data data, uint32_t bytes, enum scsi_sense sense)
{
	run(cdb, cdb_bytes, data, bytes);
	assert_sense(sense);
}

static void assert_field(unsigned byte)
{
	assert_sense(SENSE_INVALID_FIELD);
	assert_int_equal(world.task.sense[15], 0xc0);
	assert_int_equal(scsi_get16(world.task.sense + 16), byte);
}

static void assert_information(uint32_t lba)
{
	assert_int_equal(world.task.sense[0], 0xf0);
	assert_int_equal(scsi_get32(world.task.sense + 3), lba);
}

/* ---- what a disk says of itself */

static void inquiry_names_a_hyper_v_disk(void **state)
{
	run_good(CDB(0x12, 0, 0, 0, 36), 6, SCSI_DATA_IN, 100, 36);
	assert_int_equal(world.buffer[0], 0);
	assert_int_equal(world.buffer[1], 0);
	assert_int_equal(world.buffer[4], 31);
	assert_int_equal(world.buffer[7], 2);
	assert_memory_equal(world.buffer + 8, "Msft    Virtual Disk    1.0 ", 28);
	/* Never more than asked for, or than there is room for. */
	run_good(CDB(0x12, 0, 0, 0, 5), 6, SCSI_DATA_IN, 100, 5);
	run_good(CDB(0x12, 0, 0, 0, 36), 6, SCSI_DATA_IN, 7, 7);
	run_good(CDB(0x12, 0, 0, 0, 36), 6, SCSI_DATA_OUT, 100, 0);
	run_bad(CDB(0x12, 0, 1, 0, 36), 6, SCSI_DATA_IN, 100, SENSE_INVALID_FIELD);
	run_bad(CDB(0x12, 2, 0, 0, 36), 6, SCSI_DATA_IN, 100, SENSE_INVALID_FIELD);
	run_bad(CDB(0x12, 1, 0x89, 0, 36), 6, SCSI_DATA_IN, 100, SENSE_INVALID_FIELD);
	assert_field(2);
}

static void vital_product_data(void **state)
{
	static const uint8_t pages[] = { 0, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };
	const uint8_t *b = world.buffer;

	run_good(CDB(0x12, 1, 0, 0, 255), 6, SCSI_DATA_IN, 255, 10);
	assert_int_equal(scsi_get16(b + 2), 6);
	assert_memory_equal(b + 4, pages, 6);
	for (unsigned i = 0; i < 6; i++) {
		run(CDB(0x12, 1, pages[i], 1, 0), 6, SCSI_DATA_IN, 256);
		assert_int_equal(world.task.status, SCSI_GOOD);
		assert_int_equal(b[1], pages[i]);
		assert_int_equal(world.task.moved, scsi_get16(b + 2) + 4);
	}
	run_good(CDB(0x12, 1, 0x80, 0, 255), 6, SCSI_DATA_IN, 255, 36);
	assert_memory_equal(b + 4, "101112131415161718191a1b1c1d1e1f", 32);
	run_good(CDB(0x12, 1, 0x83, 0, 255), 6, SCSI_DATA_IN, 255, 68);
	assert_memory_equal(b + 4, "\x02\x01\x00\x28Msft    1011121314151617", 28);
	assert_memory_equal(b + 48, "\x01\x03\x00\x10\x60\x02\x24\x80\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f", 20);
	run_good(CDB(0x12, 1, 0xb0, 0, 255), 6, SCSI_DATA_IN, 255, 64);
	assert_int_equal(scsi_get16(b + 6), 8);
	assert_int_equal(scsi_get32(b + 8), SCSI_TRANSFER_MAX / 512);
	assert_int_equal(scsi_get32(b + 20), 8 << 20);
	assert_int_equal(scsi_get32(b + 28), 8);
	run_good(CDB(0x12, 1, 0xb1, 0, 255), 6, SCSI_DATA_IN, 255, 64);
	assert_int_equal(scsi_get16(b + 4), 1);
	run_good(CDB(0x12, 1, 0xb2, 0, 255), 6, SCSI_DATA_IN, 255, 8);
	assert_int_equal(b[5], 0xe4);
	assert_int_equal(b[6], 2);
	world.memory->disk.info.unmap = false;
	run_good(CDB(0x12, 1, 0xb2, 0, 255), 6, SCSI_DATA_IN, 255, 8);
	assert_int_equal(b[5] | b[6], 0);
	run_good(CDB(0x12, 1, 0xb0, 0, 255), 6, SCSI_DATA_IN, 255, 64);
	assert_int_equal(scsi_get32(b + 20), 0);
}

static void capacity(void **state)
{
	const uint8_t *b = world.buffer;

	run_good(CDB(0x25), 10, SCSI_DATA_IN, 8, 8);
	assert_int_equal(scsi_get32(b), DISK_BLOCKS - 1);
	assert_int_equal(scsi_get32(b + 4), 512);
	run_good(CDB(0x9e, 0x10, [13] = 32), 16, SCSI_DATA_IN, 32, 32);
	assert_int_equal(scsi_get64(b), DISK_BLOCKS - 1);
	assert_int_equal(scsi_get32(b + 8), 512);
	assert_int_equal(b[13], 3);
	assert_int_equal(b[14], 0xc0);
	run_bad(CDB(0x9e, 0x12, [13] = 32), 16, SCSI_DATA_IN, 32, SENSE_INVALID_FIELD);
	world.memory->disk.info.bytes = 3ull << 40;	/* 512 * 2^32 and more */
	run_good(CDB(0x25), 10, SCSI_DATA_IN, 8, 8);
	assert_int_equal(scsi_get32(b), UINT32_MAX);
	run_good(CDB(0x9e, 0x10, [13] = 32), 16, SCSI_DATA_IN, 32, 32);
	assert_int_equal(scsi_get64(b), (3ull << 40) / 512 - 1);
	world.memory->disk.info.bytes = 0;
	run_bad(CDB(0x25), 10, SCSI_DATA_IN, 8, SENSE_NOT_READY_NO_MEDIUM_CLOSED);
	run_bad(CDB(0x9e, 0x10, [13] = 32), 16, SCSI_DATA_IN, 32, SENSE_NOT_READY_NO_MEDIUM_CLOSED);
}

static void modes(void **state)
{
	const uint8_t *b = world.buffer;

	run_good(CDB(0x1a, 0, 0x3f, 0, 255), 6, SCSI_DATA_IN, 255, 56);
	assert_int_equal(b[0], 55);
	assert_int_equal(b[2], 0x10);
	assert_int_equal(b[3], 8);
	assert_int_equal(scsi_get32(b + 4), DISK_BLOCKS);
	assert_int_equal(scsi_get32(b + 8), 512);
	run_good(CDB(0x1a, 8, 8, 0, 255), 6, SCSI_DATA_IN, 255, 24);
	assert_int_equal(b[4], 8);
	assert_int_equal(b[5], 18);
	assert_int_equal(b[6], 4);
	run_good(CDB(0x1a, 8, 0x48, 0, 255), 6, SCSI_DATA_IN, 255, 24);	/* changeable: none */
	assert_int_equal(b[6], 0);
	run_good(CDB(0x5a, 0x10, 8, 0, 0, 0, 0, 0, 255), 10, SCSI_DATA_IN, 255, 44);
	assert_int_equal(scsi_get16(b), 42);
	assert_int_equal(b[4], 1);
	assert_int_equal(b[7], 16);
	assert_int_equal(scsi_get64(b + 8), DISK_BLOCKS);
	run_good(CDB(0x5a, 0, 8, 0, 0, 0, 0, 0, 255), 10, SCSI_DATA_IN, 255, 36);
	run_good(CDB(0x1a, 8, 8, 0xff, 255), 6, SCSI_DATA_IN, 255, 24);
	run_bad(CDB(0x1a, 8, 8, 1, 255), 6, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
	run_bad(CDB(0x1a, 8, 0x1c, 0, 255), 6, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
	run_bad(CDB(0x1a, 8, 0xc8, 0, 255), 6, SCSI_DATA_IN, 255, SENSE_SAVING_NOT_SUPPORTED);
	world.memory->disk.info.read_only = true;
	run_good(CDB(0x1a, 8, 8, 0, 255), 6, SCSI_DATA_IN, 255, 24);
	assert_int_equal(b[2], 0x90);
}

static void small_commands(void **state)
{
	run_good(CDB(0x00), 6, SCSI_DATA_NONE, 0, 0);
	run_good(CDB(0x1e, 0, 0, 0, 1), 6, SCSI_DATA_NONE, 0, 0);
	run_good(CDB(0x1d, 4), 6, SCSI_DATA_NONE, 0, 0);
	run_bad(CDB(0x1d, 0x20), 6, SCSI_DATA_NONE, 0, SENSE_INVALID_FIELD);
	run_bad(CDB(0x1d, 4, 0, 0, 8), 6, SCSI_DATA_OUT, 8, SENSE_INVALID_FIELD);
	run_good(CDB(0x1b, 0, 0, 0, 1), 6, SCSI_DATA_NONE, 0, 0);
	assert_int_equal(world.memory->requests[BLOCK_FLUSH], 0);
	run_good(CDB(0x1b, 0, 0, 0, 0), 6, SCSI_DATA_NONE, 0, 0);
	assert_int_equal(world.memory->requests[BLOCK_FLUSH], 1);
	run_bad(CDB(0x1b, 0, 0, 0, 2), 6, SCSI_DATA_NONE, 0, SENSE_INVALID_FIELD);
	run_good(CDB(0x03, 0, 0, 0, 18), 6, SCSI_DATA_IN, 18, 18);
	assert_int_equal(world.buffer[0], 0x70);
	assert_int_equal(world.buffer[2], 0);
	run_bad(CDB(0x03, 1, 0, 0, 18), 6, SCSI_DATA_IN, 18, SENSE_INVALID_FIELD);
	run_good(CDB(0x35), 10, SCSI_DATA_NONE, 0, 0);
	run_good(CDB(0x91), 16, SCSI_DATA_NONE, 0, 0);
	assert_int_equal(world.memory->requests[BLOCK_FLUSH], 3);
	assert_int_equal(world.unit->stats.flushes, 2);
	run_bad(CDB(0x35, 0, 0, 0, 0x10, 1), 10, SCSI_DATA_NONE, 0, SENSE_LBA_OUT_OF_RANGE);
}

static void what_is_not_known_is_an_invalid_opcode(void **state)
{
	static const uint8_t known[] = {
		0x00, 0x03, 0x08, 0x0a, 0x12, 0x1a, 0x1b, 0x1d, 0x1e, 0x25, 0x28, 0x2a, 0x2f, 0x35, 0x41, 0x42, 0x5a,
		0x88, 0x8a, 0x8f, 0x91, 0x93, 0x9e, 0xa8, 0xaa, 0xaf,
	};

	for (unsigned opcode = 0; opcode < 256; opcode++) {
		run(CDB((uint8_t)opcode), 16, SCSI_DATA_NONE, 0);
		if (memchr(known, (int)opcode, sizeof known)) {
			if (world.task.status == SCSI_CHECK_CONDITION)
				assert_int_not_equal(world.task.sense[12], 0x20);
			run_bad(CDB((uint8_t)opcode), 5, SCSI_DATA_NONE, 0, SENSE_INVALID_FIELD);	/* cut off */
		} else {
			assert_sense(SENSE_INVALID_OPCODE);
		}
	}
	run_bad(CDB(0x00, [5] = 4), 6, SCSI_DATA_NONE, 0, SENSE_INVALID_FIELD);	/* NACA */
	assert_field(5);
}

static void tables_are_sorted(void **state)
{
	const struct scsi_unit_type *types[] = { &scsi_disk_type, &scsi_dvd_type };

	for (unsigned t = 0; t < 2; t++)
		for (size_t i = 1; i < types[t]->command_count; i++)
			assert_true(types[t]->commands[i - 1].opcode < types[t]->commands[i].opcode);
}

/* ---- reading and writing */

struct rw {
	uint8_t opcode;
	unsigned cdb_bytes;
	bool write;
};
static const struct rw transfers[] = {
	{ 0x08, 6, false },  { 0x28, 10, false }, { 0xa8, 12, false }, { 0x88, 16, false },
	{ 0x0a, 6, true },   { 0x2a, 10, true },  { 0xaa, 12, true },  { 0x8a, 16, true },
};

static void rw_cdb(uint8_t *cdb, const struct rw *rw, uint64_t lba, uint32_t blocks)
{
	memset(cdb, 0, 16);
	cdb[0] = rw->opcode;
	switch (rw->cdb_bytes) {
	case 6:
		cdb[1] = (uint8_t)(lba >> 16);
		scsi_put16(cdb + 2, (uint16_t)lba);
		cdb[4] = (uint8_t)blocks;
		break;
	case 10:
		scsi_put32(cdb + 2, (uint32_t)lba);
		scsi_put16(cdb + 7, (uint16_t)blocks);
		break;
	case 12:
		scsi_put32(cdb + 2, (uint32_t)lba);
		scsi_put32(cdb + 6, blocks);
		break;
	default:
		scsi_put64(cdb + 2, lba);
		scsi_put32(cdb + 10, blocks);
	}
}

static void every_read_and_write(void **state)
{
	for (unsigned i = 0; i < sizeof transfers / sizeof transfers[0]; i++) {
		const struct rw *rw = &transfers[i];
		const enum scsi_data data = rw->write ? SCSI_DATA_OUT : SCSI_DATA_IN;
		uint8_t *disk = world.memory->data + 77 * 512, cdb[16];

		for (unsigned k = 0; k < 3 * 512; k++) {
			disk[k] = (uint8_t)rand();
			world.buffer[k] = (uint8_t)rand();
		}
		rw_cdb(cdb, rw, 77, 3);
		run_good(cdb, rw->cdb_bytes, data, 4 * 512, 3 * 512);
		assert_memory_equal(disk, world.buffer, 3 * 512);
		/* The wrong direction, too little memory, none. */
		run_bad(cdb, rw->cdb_bytes, rw->write ? SCSI_DATA_IN : SCSI_DATA_OUT, 4 * 512, SENSE_INVALID_FIELD);
		run_bad(cdb, rw->cdb_bytes, data, 3 * 512 - 1, SENSE_INVALID_FIELD);
		run_bad(cdb, rw->cdb_bytes, SCSI_DATA_NONE, 0, SENSE_INVALID_FIELD);
		/* The end of the disk. */
		rw_cdb(cdb, rw, DISK_BLOCKS - 1, 1);
		run_good(cdb, rw->cdb_bytes, data, 512, 512);
		rw_cdb(cdb, rw, DISK_BLOCKS - 1, 2);
		run_bad(cdb, rw->cdb_bytes, data, 1024, SENSE_LBA_OUT_OF_RANGE);
		assert_information(DISK_BLOCKS);
		rw_cdb(cdb, rw, DISK_BLOCKS + 5, 1);
		run_bad(cdb, rw->cdb_bytes, data, 1024, SENSE_LBA_OUT_OF_RANGE);
		assert_information(DISK_BLOCKS + 5);
		/* No blocks: 256 in the oldest form, else nothing to do. */
		rw_cdb(cdb, rw, 0, 0);
		run_good(cdb, rw->cdb_bytes, data, 256 * 512, rw->cdb_bytes == 6 ? 256 * 512 : 0);
		if (rw->cdb_bytes == 6)
			continue;
		rw_cdb(cdb, rw, 0, 1);
		cdb[1] = 0x20;			/* protection information */
		run_bad(cdb, rw->cdb_bytes, data, 512, SENSE_INVALID_FIELD);
		cdb[1] = 0x18;			/* DPO, FUA */
		run_good(cdb, rw->cdb_bytes, data, 512, 512);
		assert_int_equal(world.memory->last_flags, rw->write ? BLOCK_FLAG_FUA : 0);
		rw_cdb(cdb, rw, 0, SCSI_TRANSFER_MAX / 512 + 1);
		run_bad(cdb, rw->cdb_bytes, data, BUFFER_BYTES, SENSE_INVALID_FIELD);
		rw_cdb(cdb, rw, 0, SCSI_TRANSFER_MAX / 512);
		run_good(cdb, rw->cdb_bytes, data, BUFFER_BYTES, SCSI_TRANSFER_MAX);
	}
	run_bad(CDB(0x88, 0, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1), 16, SCSI_DATA_IN, 512,
		SENSE_LBA_OUT_OF_RANGE);
	assert_int_equal(world.task.sense[0], 0x70);	/* too large for the information field */
	assert_int_equal(world.unit->stats.errors, 0);
}

static void four_kilobyte_sectors(void **state)
{
	bool closed = false;

	scsi_unit_close(world.unit, set_flag, &closed);
	block_host_run_until(&world.host, &closed);
	unit_new(&scsi_disk_type, block_memory_new(&world.host.host, 64 * 4096, 4096));
	run_good(CDB(0x25), 10, SCSI_DATA_IN, 8, 8);
	assert_int_equal(scsi_get32(world.buffer), 63);
	assert_int_equal(scsi_get32(world.buffer + 4), 4096);
	memset(world.buffer, 0x3c, 8192);
	run_good(CDB(0x2a, 0, 0, 0, 0, 62, 0, 0, 2), 10, SCSI_DATA_OUT, 8192, 8192);
	assert_int_equal(world.memory->data[62 * 4096], 0x3c);
	assert_int_equal(world.memory->data[64 * 4096 - 1], 0x3c);
	run_bad(CDB(0x2a, 0, 0, 0, 0, 63, 0, 0, 2), 10, SCSI_DATA_OUT, 8192, SENSE_LBA_OUT_OF_RANGE);
	run_good(CDB(0x9e, 0x10, [13] = 32), 16, SCSI_DATA_IN, 32, 32);
	assert_int_equal(world.buffer[13], 0);
}

static void write_protection(void **state)
{
	static const uint8_t writers[] = { 0x0a, 0x2a, 0x41, 0x42, 0x8a, 0x93, 0xaa };

	world.memory->disk.info.read_only = true;
	for (unsigned i = 0; i < sizeof writers; i++)
		run_bad(CDB(writers[i], [4] = 1, [8] = 1, [9] = 1, [13] = 1), 16, SCSI_DATA_OUT, 512, SENSE_WRITE_PROTECTED);
	run_good(CDB(0x28, [8] = 1), 10, SCSI_DATA_IN, 512, 512);
	run_good(CDB(0x35), 10, SCSI_DATA_NONE, 0, 0);
}

/* ---- storage that fails */

static void inject(enum block_op op, int error, uint64_t offset)
{
	world.memory->fail_op = op;
	world.memory->fail_error = error;
	world.memory->fail_offset = offset;
}

static void errors_become_sense(void **state)
{
	const uint8_t *read = CDB(0x28, 0, 0, 0, 0, 10, 0, 0, 8), *write = CDB(0x2a, 0, 0, 0, 0, 10, 0, 0, 8);

	inject(BLOCK_READ, -EIO, 13 * 512 + 7);
	run_bad(read, 10, SCSI_DATA_IN, 4096, SENSE_READ_ERROR);
	assert_information(13);
	run_good(write, 10, SCSI_DATA_OUT, 4096, 4096);
	inject(BLOCK_WRITE, -EIO, 17 * 512);
	run_bad(write, 10, SCSI_DATA_OUT, 4096, SENSE_WRITE_ERROR);
	assert_information(17);
	inject(BLOCK_WRITE, -ENOSPC, 10 * 512);
	run_bad(write, 10, SCSI_DATA_OUT, 4096, SENSE_SPACE_EXHAUSTED);
	assert_information(10);
	inject(BLOCK_WRITE, -EROFS, 10 * 512);
	run_bad(write, 10, SCSI_DATA_OUT, 4096, SENSE_WRITE_PROTECTED);
	inject(BLOCK_WRITE, -ENXIO, 10 * 512);
	run_bad(write, 10, SCSI_DATA_OUT, 4096, SENSE_TARGET_FAILURE);
	inject(BLOCK_READ, -ENOMEM, 10 * 512);
	run(read, 10, SCSI_DATA_IN, 4096);
	assert_int_equal(world.task.status, SCSI_BUSY);
	assert_int_equal(world.task.moved, 0);
	inject(BLOCK_FLUSH, -EIO, 0);
	run_bad(CDB(0x35), 10, SCSI_DATA_NONE, 0, SENSE_WRITE_ERROR);
	assert_int_equal(world.task.sense[0], 0x70);
	assert_int_equal(world.unit->stats.errors, 7);
	assert_int_equal(world.unit->stats.flushes, 0);
	assert_int_equal(world.unit->stats.writes, 1);
	assert_int_equal(world.unit->stats.write_bytes, 4096);
}

/* ---- VERIFY */

static void verify(void **state)
{
	const uint8_t *plain = CDB(0x2f, 0, 0, 0, 0, 0, 0, 8, 0), *compare = CDB(0x2f, 2, 0, 0, 0, 0, 0, 8, 0);

	for (unsigned i = 0; i < 2048 * 512; i++)
		world.buffer[i] = world.memory->data[i] = (uint8_t)rand();
	run_good(plain, 10, SCSI_DATA_NONE, 0, 0);
	assert_int_equal(world.memory->requests[BLOCK_READ], 8);
	run_good(compare, 10, SCSI_DATA_OUT, 2048 * 512, 2048 * 512);
	world.buffer[1500 * 512 + 3] ^= 1;
	run_bad(compare, 10, SCSI_DATA_OUT, 2048 * 512, SENSE_MISCOMPARE);
	assert_information(1500);
	run_bad(compare, 10, SCSI_DATA_OUT, 2048 * 512 - 1, SENSE_INVALID_FIELD);
	run_bad(CDB(0x2f, 6, 0, 0, 0, 0, 0, 8, 0), 10, SCSI_DATA_OUT, 512, SENSE_INVALID_FIELD);
	inject(BLOCK_READ, -EIO, 700 * 512);
	run_bad(plain, 10, SCSI_DATA_NONE, 0, SENSE_READ_ERROR);
	assert_information(700);
	run_bad(CDB(0x8f, 0, [9] = 1, [12] = 0x10), 16, SCSI_DATA_NONE, 0, SENSE_LBA_OUT_OF_RANGE);
	run_good(CDB(0xaf), 12, SCSI_DATA_NONE, 0, 0);
}

/* ---- UNMAP and WRITE SAME */

static void unmap_list(const uint32_t (*ranges)[2], unsigned count)
{
	memset(world.buffer, 0, 4096);
	scsi_put16(world.buffer, (uint16_t)(6 + 16 * count));
	scsi_put16(world.buffer + 2, (uint16_t)(16 * count));
	for (unsigned i = 0; i < count; i++) {
		scsi_put32(world.buffer + 8 + 16 * i + 4, ranges[i][0]);
		scsi_put32(world.buffer + 8 + 16 * i + 8, ranges[i][1]);
	}
}

static void unmap(void **state)
{
	const uint32_t good[][2] = { { 5, 2 }, { 100, 0 }, { 4095, 1 } }, bad[][2] = { { 5, 2 }, { 4095, 2 } };
	const uint8_t *cdb = CDB(0x42, [8] = 8 + 3 * 16);

	memset(world.memory->data, 0xff, DISK_BLOCKS * 512);
	unmap_list(good, 3);
	run_good(cdb, 10, SCSI_DATA_OUT, 4096, 56);
	assert_int_equal(world.memory->requests[BLOCK_UNMAP], 2);
	assert_int_equal(world.unit->stats.unmaps, 2);
	assert_int_equal(world.memory->data[5 * 512 - 1], 0xff);
	assert_int_equal(world.memory->data[5 * 512], 0);
	assert_int_equal(world.memory->data[7 * 512 - 1], 0);
	assert_int_equal(world.memory->data[7 * 512], 0xff);
	assert_int_equal(world.memory->data[4095 * 512], 0);

	unmap_list(bad, 2);	/* all of it or nothing */
	run_bad(cdb, 10, SCSI_DATA_OUT, 4096, SENSE_LBA_OUT_OF_RANGE);
	assert_int_equal(world.memory->requests[BLOCK_UNMAP], 2);
	run_good(CDB(0x42), 10, SCSI_DATA_OUT, 4096, 0);
	run_bad(CDB(0x42, [8] = 7), 10, SCSI_DATA_OUT, 4096, SENSE_PARAMETER_LIST_LENGTH);
	run_bad(cdb, 10, SCSI_DATA_OUT, 55, SENSE_PARAMETER_LIST_LENGTH);
	run_bad(cdb, 10, SCSI_DATA_IN, 4096, SENSE_PARAMETER_LIST_LENGTH);
	run_bad(CDB(0x42, [7] = 0xff, [8] = 0xff), 10, SCSI_DATA_OUT, 65535, SENSE_PARAMETER_LIST_LENGTH);
	run_bad(CDB(0x42, 1, [8] = 8), 10, SCSI_DATA_OUT, 4096, SENSE_INVALID_FIELD);
	scsi_put16(world.buffer + 2, 0xffff);	/* claims more than was sent: only what was counts */
	run_good(CDB(0x42, [8] = 8 + 16 + 15), 10, SCSI_DATA_OUT, 4096, 39);
	assert_int_equal(world.memory->requests[BLOCK_UNMAP], 3);
	memset(world.buffer, 0, 8192);
	scsi_put16(world.buffer + 2, 257 * 16);
	run_bad(CDB(0x42, [7] = 0x10, [8] = 24), 10, SCSI_DATA_OUT, 8192, SENSE_INVALID_PARAMETER);
	world.memory->disk.info.bytes = 1ull << 42;
	unmap_list((const uint32_t[][2]){ { 0, 4u << 20 }, { 0, 4u << 20 }, { 0, 1 } }, 3);
	run_bad(cdb, 10, SCSI_DATA_OUT, 4096, SENSE_INVALID_PARAMETER);
	world.memory->disk.info.bytes = DISK_BLOCKS * 512;
	unmap_list(good, 3);
	inject(BLOCK_UNMAP, -EIO, 4095 * 512);
	run_bad(cdb, 10, SCSI_DATA_OUT, 4096, SENSE_WRITE_ERROR);
	assert_information(4095);
	world.memory->disk.info.unmap = false;
	run_bad(cdb, 10, SCSI_DATA_OUT, 4096, SENSE_INVALID_OPCODE);
}

static void write_same(void **state)
{
	uint8_t *data = world.memory->data;

	memset(data, 0xff, DISK_BLOCKS * 512);
	memset(world.buffer, 0, 512);
	run_good(CDB(0x41, 0, 0, 0, 0, 3, 0, 0, 4), 10, SCSI_DATA_OUT, 512, 512);
	assert_int_equal(world.memory->requests[BLOCK_WRITE_ZEROES], 1);
	assert_int_equal(world.memory->last_flags, 0);
	assert_int_equal(data[3 * 512 - 1] & data[7 * 512], 0xff);
	assert_int_equal(data[3 * 512] | data[7 * 512 - 1], 0);
	run_good(CDB(0x93, 8, [9] = 20, [13] = 1), 16, SCSI_DATA_OUT, 512, 512);
	assert_int_equal(world.memory->last_flags, BLOCK_FLAG_MAY_UNMAP);
	run_good(CDB(0x93, 9, [9] = 30, [13] = 1), 16, SCSI_DATA_NONE, 0, 0);	/* no data-out buffer */
	assert_int_equal(data[30 * 512], 0);
	for (unsigned i = 0; i < 512; i++)
		world.buffer[i] = (uint8_t)i;
	run_good(CDB(0x41, 8, 0, 0, 0, 40, 0, 0x07, 0xd0), 10, SCSI_DATA_OUT, 512, 512);
	assert_int_equal(world.memory->requests[BLOCK_WRITE], 4);	/* 2000 blocks, 512 each */
	for (unsigned i = 40; i < 2040; i++)
		assert_memory_equal(data + i * 512, world.buffer, 512);
	assert_int_equal(data[2040 * 512], 0xff);

	run_bad(CDB(0x41, 0, [8] = 0), 10, SCSI_DATA_OUT, 512, SENSE_INVALID_FIELD);
	run_bad(CDB(0x93, 0x10, [13] = 1), 16, SCSI_DATA_OUT, 512, SENSE_INVALID_FIELD);
	run_bad(CDB(0x93, 0x20, [13] = 1), 16, SCSI_DATA_OUT, 512, SENSE_INVALID_FIELD);
	run_bad(CDB(0x93, 0, [13] = 1), 16, SCSI_DATA_OUT, 511, SENSE_INVALID_FIELD);
	run_bad(CDB(0x93, 0, [13] = 1), 16, SCSI_DATA_NONE, 0, SENSE_INVALID_FIELD);
	run_bad(CDB(0x93, 0, [10] = 0x80), 16, SCSI_DATA_OUT, 512, SENSE_INVALID_FIELD);
	run_bad(CDB(0x93, 0, [9] = 1, [12] = 0x10), 16, SCSI_DATA_OUT, 512, SENSE_LBA_OUT_OF_RANGE);
	inject(BLOCK_WRITE, -ENOSPC, 600 * 512);
	run_bad(CDB(0x41, 0, 0, 0, 0, 40, 0, 0x07, 0xd0), 10, SCSI_DATA_OUT, 512, SENSE_SPACE_EXHAUSTED);
	assert_information(600);
	world.memory->disk.info.unmap = false;
	run_bad(CDB(0x93, 8, [13] = 1), 16, SCSI_DATA_OUT, 512, SENSE_INVALID_FIELD);
}

/* ---- unit attentions, size, end */

static void attentions_come_once_each_and_in_order(void **state)
{
	world.unit->attention = SCSI_ATTENTION_CAPACITY | SCSI_ATTENTION_POWER_ON;
	run_good(CDB(0x12, 0, 0, 0, 36), 6, SCSI_DATA_IN, 36, 36);
	run_bad(CDB(0x00), 6, SCSI_DATA_NONE, 0, SENSE_POWER_ON);
	run_bad(CDB(0x28, [8] = 1), 10, SCSI_DATA_IN, 512, SENSE_CAPACITY_CHANGED);
	run_good(CDB(0x00), 6, SCSI_DATA_NONE, 0, 0);
	world.unit->attention = SCSI_ATTENTION_POWER_ON;
	run_good(CDB(0x03, 0, 0, 0, 18), 6, SCSI_DATA_IN, 18, 18);
	assert_int_equal(world.buffer[2] << 16 | world.buffer[12] << 8 | world.buffer[13], SENSE_POWER_ON);
	run_good(CDB(0x00), 6, SCSI_DATA_NONE, 0, 0);
}

static void a_resize_is_an_attention(void **state)
{
	world.memory->bytes = 512 * 1000;
	assert_int_equal(block_refresh(&world.memory->disk), 0);
	assert_int_equal(world.changes, 1);
	run_bad(CDB(0x00), 6, SCSI_DATA_NONE, 0, SENSE_CAPACITY_CHANGED);
	run_good(CDB(0x25), 10, SCSI_DATA_IN, 8, 8);
	assert_int_equal(scsi_get32(world.buffer), 999);
	run_bad(CDB(0x28, 0, 0, 0, 3, 0xe8, 0, 0, 1), 10, SCSI_DATA_IN, 512, SENSE_LBA_OUT_OF_RANGE);
}

static void a_unit_is_closed_in_the_middle_of_a_long_command(void **state)
{
	bool closed = false, gone = false;

	world.memory->gone = &gone;
	world.memory->hold = true;
	start(CDB(0x2f, 0, 0, 0, 0, 0, 0, 8, 0), 10, SCSI_DATA_NONE, 0);
	scsi_unit_close(world.unit, set_flag, &closed);
	while (block_host_turn(&world.host, 5))
		;
	assert_false(closed);
	assert_false(world.done);
	world.memory->hold = false;
	block_memory_run(world.memory);
	assert_true(world.done);	/* the next step was refused */
	assert_sense(SENSE_UNIT_NOT_SUPPORTED);
	assert_false(gone);
	block_host_run_until(&world.host, &closed);
	assert_true(gone);
	unit_new(&scsi_disk_type, block_memory_new(&world.host.host, 4096, 512));	/* for the teardown */
}

static void requests_that_were_not_kicked_are_finished_too(void **state)
{
	bool closed = false;
	struct scsi_task *task = &world.task;

	memset(task, 0, sizeof *task);
	task->cdb[0] = 0x35;
	task->cdb_bytes = 10;
	task->done = task_done;
	world.done = false;
	scsi_execute(world.unit, task);
	scsi_unit_close(world.unit, set_flag, &closed);
	block_host_run_until(&world.host, &closed);
	assert_true(world.done);
	assert_int_equal(task->status, SCSI_GOOD);
	unit_new(&scsi_disk_type, block_memory_new(&world.host.host, 4096, 512));
}

/* Random reads, writes, unmaps and zeroes against a copy of the disk. */
static void random_commands_match_a_model(void **state)
{
	static uint8_t model[DISK_BLOCKS * 512];

	for (unsigned round = 0; round < 3000; round++) {
		const uint32_t lba = (uint32_t)rand() % DISK_BLOCKS, most = DISK_BLOCKS - lba < 64 ? DISK_BLOCKS - lba : 64;
		const uint32_t blocks = 1 + (uint32_t)rand() % most, bytes = blocks * 512;
		uint8_t cdb[16];

		switch (rand() % 4) {
		case 0:
			rw_cdb(cdb, &transfers[1 + rand() % 3], lba, blocks);
			run_good(cdb, 16, SCSI_DATA_IN, bytes, bytes);
			assert_memory_equal(world.buffer, model + lba * 512, bytes);
			break;
		case 1:
			for (unsigned i = 0; i < bytes; i++)
				world.buffer[i] = model[lba * 512 + i] = (uint8_t)rand();
			rw_cdb(cdb, &transfers[5 + rand() % 3], lba, blocks);
			run_good(cdb, 16, SCSI_DATA_OUT, bytes, bytes);
			break;
		case 2:
			memset(model + lba * 512, 0, bytes);
			unmap_list((const uint32_t[][2]){ { lba, blocks } }, 1);
			run_good(CDB(0x42, [8] = 24), 10, SCSI_DATA_OUT, 24, 24);
			break;
		default:
			memset(world.buffer, rand() & 1, 512);
			for (uint32_t i = 0; i < blocks; i++)
				memcpy(model + (lba + i) * 512, world.buffer, 512);
			rw_cdb(cdb, &(struct rw){ 0x93, 16, true }, lba, blocks);
			run_good(cdb, 16, SCSI_DATA_OUT, 512, 512);
		}
	}
	assert_memory_equal(world.memory->data, model, sizeof model);
}

/* ---- the DVD drive */

static void a_drive_names_itself(void **state)
{
	run_good(CDB(0x12, 0, 0, 0, 36), 6, SCSI_DATA_IN, 36, 36);
	assert_int_equal(world.buffer[0], 5);
	assert_int_equal(world.buffer[1], 0x80);
	assert_memory_equal(world.buffer + 16, "Virtual DVD-ROM ", 16);
	run_good(CDB(0x12, 1, 0, 0, 255), 6, SCSI_DATA_IN, 255, 7);
	run_bad(CDB(0x12, 1, 0xb0, 0, 255), 6, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
}

static void a_medium_is_read_in_2048_bytes(void **state)
{
	for (unsigned i = 0; i < 100 * 2048; i++)
		world.memory->data[i] = (uint8_t)rand();
	run_good(CDB(0x25), 10, SCSI_DATA_IN, 8, 8);
	assert_int_equal(scsi_get32(world.buffer), 99);
	assert_int_equal(scsi_get32(world.buffer + 4), 2048);
	run_good(CDB(0x28, 0, 0, 0, 0, 98, 0, 0, 2), 10, SCSI_DATA_IN, 4096, 4096);
	assert_memory_equal(world.buffer, world.memory->data + 98 * 2048, 4096);
	run_good(CDB(0xa8, 0, 0, 0, 0, 16, 0, 0, 0, 1), 12, SCSI_DATA_IN, 2048, 2048);
	run_bad(CDB(0x28, 0, 0, 0, 0, 99, 0, 0, 2), 10, SCSI_DATA_IN, 4096, SENSE_LBA_OUT_OF_RANGE);
	run_bad(CDB(0x2a, [8] = 1), 10, SCSI_DATA_OUT, 2048, SENSE_INVALID_OPCODE);
	run_good(CDB(0x2b, [5] = 99), 10, SCSI_DATA_NONE, 0, 0);
	run_bad(CDB(0x2b, [5] = 101), 10, SCSI_DATA_NONE, 0, SENSE_LBA_OUT_OF_RANGE);
	run_good(CDB(0xbb), 12, SCSI_DATA_NONE, 0, 0);
	inject(BLOCK_READ, -EIO, 20 * 2048);
	run_bad(CDB(0x28, 0, 0, 0, 0, 18, 0, 0, 4), 10, SCSI_DATA_IN, 8192, SENSE_READ_ERROR);
	assert_information(20);
}

static void what_is_on_a_medium(void **state)
{
	const uint8_t *b = world.buffer;

	run_good(CDB(0x43, [8] = 255), 10, SCSI_DATA_IN, 255, 20);
	assert_memory_equal(b, "\x00\x12\x01\x01\x00\x14\x01\x00\x00\x00\x00\x00\x00\x14\xaa\x00\x00\x00\x00\x64", 20);
	run_good(CDB(0x43, 2, [8] = 255), 10, SCSI_DATA_IN, 255, 20);
	assert_memory_equal(b + 16, "\x00\x00\x03\x19", 4);	/* 100 + 150 frames */
	run_good(CDB(0x43, 0, 0, 0, 0, 0, 0xaa, 0, 255), 10, SCSI_DATA_IN, 255, 12);
	run_good(CDB(0x43, 0, 1, [8] = 255), 10, SCSI_DATA_IN, 255, 12);
	assert_int_equal(scsi_get16(b), 10);
	run_bad(CDB(0x43, 0, 2, [8] = 255), 10, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
	run_bad(CDB(0x43, 0, 0, 0, 0, 0, 2, 0, 255), 10, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
	run_good(CDB(0x51, [8] = 255), 10, SCSI_DATA_IN, 255, 34);
	assert_int_equal(b[2], 0x0e);
	run_bad(CDB(0x51, 1, [8] = 255), 10, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
	/* One track of all blocks, by its address or by its number. */
	run_good(CDB(0x52, 1, [5] = 1, [8] = 255), 10, SCSI_DATA_IN, 255, 36);
	assert_int_equal(b[2], 1);
	assert_int_equal(scsi_get32(b + 24), 100);
	run_good(CDB(0x52, 0, [8] = 8), 10, SCSI_DATA_IN, 8, 8);
	run_bad(CDB(0x52, 1, [5] = 2, [8] = 255), 10, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
	run_bad(CDB(0x52, 3, [5] = 1, [8] = 255), 10, SCSI_DATA_IN, 255, SENSE_INVALID_FIELD);
	run_bad(CDB(0x52, 0, 0xff, 0xff, 0xff, 0xff, [8] = 255), 10, SCSI_DATA_IN, 255, SENSE_LBA_OUT_OF_RANGE);
	run_good(CDB(0xad, [8] = 0x10), 12, SCSI_DATA_IN, 4096, 2052);
	assert_int_equal(scsi_get32(b + 12), 0x30063);
	run_bad(CDB(0xad, [7] = 4, [8] = 0x10), 12, SCSI_DATA_IN, 4096, SENSE_INVALID_FIELD);
	assert_field(7);
}

static void what_a_drive_can_do(void **state)
{
	const uint8_t *b = world.buffer;

	run_good(CDB(0x46, [7] = 4), 10, SCSI_DATA_IN, 1024, 8 + 8 + 12 + 8 + 12 + 4);
	assert_int_equal(scsi_get32(b), world.task.moved - 4);
	assert_int_equal(scsi_get16(b + 6), 0x10);
	run_good(CDB(0x46, 2, 0, 0x10, [7] = 4), 10, SCSI_DATA_IN, 1024, 20);
	assert_int_equal(scsi_get16(b + 8), 0x10);
	assert_int_equal(b[10] & 1, 1);
	assert_int_equal(scsi_get32(b + 12), 2048);
	run_good(CDB(0x46, 2, 0, 0x20, [7] = 4), 10, SCSI_DATA_IN, 1024, 8);
	run_bad(CDB(0x46, 3, [7] = 4), 10, SCSI_DATA_IN, 1024, SENSE_INVALID_FIELD);
	run_good(CDB(0x5a, 0, 0x2a, [8] = 255), 10, SCSI_DATA_IN, 255, 28);
	assert_int_equal(b[8], 0x2a);
	assert_int_equal(b[14], 0x29);
	run_good(CDB(0xbd, [9] = 8), 12, SCSI_DATA_IN, 8, 8);
	assert_int_equal(b[1], 0);
	scsi_dvd_eject(world.unit);
	run_good(CDB(0x46, 1, [7] = 4), 10, SCSI_DATA_IN, 1024, 8 + 8 + 12 + 8);	/* current ones only */
	assert_int_equal(scsi_get16(b + 6), 0);
}

static void media_come_and_go(void **state)
{
	const uint8_t *events = CDB(0x4a, 1, 0, 0, 0x10, [8] = 8), *b = world.buffer;
	bool gone = false;

	run_good(events, 10, SCSI_DATA_IN, 8, 8);
	assert_memory_equal(b, "\x00\x06\x04\x10\x00\x02\x00\x00", 8);
	run_good(CDB(0x4a, 1, 0, 0, 0x02, [8] = 8), 10, SCSI_DATA_IN, 8, 4);
	assert_memory_equal(b, "\x00\x02\x80\x10", 4);
	run_bad(CDB(0x4a, 0, 0, 0, 0x10, [8] = 8), 10, SCSI_DATA_IN, 8, SENSE_INVALID_FIELD);

	run_good(CDB(0x1e, 0, 0, 0, 1), 6, SCSI_DATA_NONE, 0, 0);	/* locked */
	run_bad(CDB(0x1b, 0, 0, 0, 2), 6, SCSI_DATA_NONE, 0, SENSE_REMOVAL_PREVENTED);
	run_good(CDB(0x5a, 0, 0x2a, [8] = 255), 10, SCSI_DATA_IN, 255, 28);
	assert_int_equal(b[14], 0x2b);
	run_good(CDB(0x1e, 0, 0, 0, 0), 6, SCSI_DATA_NONE, 0, 0);
	world.memory->gone = &gone;
	run_good(CDB(0x1b, 0, 0, 0, 2), 6, SCSI_DATA_NONE, 0, 0);
	block_host_run_until(&world.host, &gone);
	assert_int_equal(world.changes, 1);
	run_good(CDB(0x1b, 0, 0, 0, 2), 6, SCSI_DATA_NONE, 0, 0);	/* again: nothing happens */
	assert_int_equal(world.changes, 1);
	run_bad(CDB(0x00), 6, SCSI_DATA_NONE, 0, SENSE_NOT_READY_NO_MEDIUM_OPEN);
	run_good(events, 10, SCSI_DATA_IN, 8, 8);
	assert_memory_equal(b + 4, "\x03\x01", 2);
	run_good(events, 10, SCSI_DATA_IN, 8, 8);
	assert_memory_equal(b + 4, "\x00\x01", 2);
	run_good(CDB(0xbd, [9] = 8), 12, SCSI_DATA_IN, 8, 8);
	assert_int_equal(b[1], 0x10);
	run_good(CDB(0x1b, 0, 0, 0, 3), 6, SCSI_DATA_NONE, 0, 0);
	run_bad(CDB(0x28, [8] = 1), 10, SCSI_DATA_IN, 2048, SENSE_NOT_READY_NO_MEDIUM_CLOSED);
	run_bad(CDB(0x43, [8] = 20), 10, SCSI_DATA_IN, 20, SENSE_NOT_READY_NO_MEDIUM_CLOSED);
	run_good(CDB(0x03, 0, 0, 0, 18), 6, SCSI_DATA_IN, 18, 18);
	assert_int_equal(b[2] << 16 | b[12] << 8 | b[13], SENSE_NOT_READY_NO_MEDIUM_CLOSED);

	world.memory = block_memory_new(&world.host.host, 2048 * 10, 512);
	scsi_dvd_insert(world.unit, &world.memory->disk);
	assert_int_equal(world.changes, 2);
	run_bad(CDB(0x00), 6, SCSI_DATA_NONE, 0, SENSE_MEDIUM_CHANGED);
	run_good(CDB(0x00), 6, SCSI_DATA_NONE, 0, 0);
	run_good(events, 10, SCSI_DATA_IN, 8, 8);
	assert_memory_equal(b + 4, "\x02\x02", 2);
	run_good(CDB(0x25), 10, SCSI_DATA_IN, 8, 8);
	assert_int_equal(scsi_get32(b), 9);
}

static void a_medium_is_taken_out_under_a_read(void **state)
{
	world.memory->hold = true;
	start(CDB(0x28, [8] = 1), 10, SCSI_DATA_IN, 2048);
	scsi_dvd_eject(world.unit);
	assert_false(world.done);
	world.memory->hold = false;
	block_memory_run(world.memory);
	assert_true(world.done);
	assert_int_equal(world.task.status, SCSI_GOOD);
	run_bad(CDB(0x28, [8] = 1), 10, SCSI_DATA_IN, 2048, SENSE_NOT_READY_NO_MEDIUM_OPEN);
}

#define DISK_TEST(f) cmocka_unit_test_setup_teardown(f, setup_disk, teardown)
#define DVD_TEST(f) cmocka_unit_test_setup_teardown(f, setup_dvd, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DISK_TEST(tables_are_sorted),
		DISK_TEST(inquiry_names_a_hyper_v_disk),
		DISK_TEST(vital_product_data),
		DISK_TEST(capacity),
		DISK_TEST(modes),
		DISK_TEST(small_commands),
		DISK_TEST(what_is_not_known_is_an_invalid_opcode),
		DISK_TEST(every_read_and_write),
		DISK_TEST(four_kilobyte_sectors),
		DISK_TEST(write_protection),
		DISK_TEST(errors_become_sense),
		DISK_TEST(verify),
		DISK_TEST(unmap),
		DISK_TEST(write_same),
		DISK_TEST(attentions_come_once_each_and_in_order),
		DISK_TEST(a_resize_is_an_attention),
		DISK_TEST(a_unit_is_closed_in_the_middle_of_a_long_command),
		DISK_TEST(requests_that_were_not_kicked_are_finished_too),
		DISK_TEST(random_commands_match_a_model),
		DVD_TEST(a_drive_names_itself),
		DVD_TEST(a_medium_is_read_in_2048_bytes),
		DVD_TEST(what_is_on_a_medium),
		DVD_TEST(what_a_drive_can_do),
		DVD_TEST(media_come_and_go),
		DVD_TEST(a_medium_is_taken_out_under_a_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
