// SPDX-License-Identifier: Apache-2.0
/* storvsc against storvsp with a raw disk on a real file: what a disk says of itself, errors, thousands of requests at a
 * time, and the file afterwards. */
#include "unit/vsp/cmocka_all.h"

#include <sys/mman.h>
#include <unistd.h>

#include "block/raw.h"
#include "loopback.h"
#include "scsi_client.h"
#include "storvsp/storvsp.h"

#define DISK_BYTES   (8u << 20)
#define BLOCK        512u
#define DEPTH        32u
#define BLOCKS_MAX   40u
#define SLOT_PAGES   6u			/* BLOCKS_MAX blocks that begin anywhere in a page */
#define RING_PAGES   4u
#define IO_COUNT     8000u

static struct loopback loopback;
static struct storvsp *storvsp;
static struct vsc_scsi scsi;
static struct vsc_disk disk;
static int file;
static uint8_t *rings, *scratch, *memory;
static bool gone;

static void note(void *flag)
{
	*(bool *)flag = true;
}

static int setup_as(bool read_only)
{
	const struct storvsp_options options = { .instance = { 0x1234 } };
	struct block_disk *raw;

	loopback_init(&loopback, 2);
	rings = loopback_pages(&loopback, 2 * RING_PAGES);
	scratch = loopback_pages(&loopback, 1);
	memory = loopback_pages(&loopback, DEPTH * SLOT_PAGES);
	file = memfd_create("disk", MFD_CLOEXEC);
	if (ftruncate(file, DISK_BYTES) ||
	    block_raw_create(&loopback.world.host, dup(file), &(struct block_raw_options){ .read_only = read_only }, &raw) ||
	    storvsp_create(loopback.server, &loopback.world.host, &options, &storvsp) || storvsp_attach_disk(storvsp, 3, raw))
		return -1;
	return vsc_bus_connect(&loopback.bus, VMBUS_VERSION_WIN10_V5_3, 0);
}

static int setup(void **state)
{
	return setup_as(false);
}

static int setup_read_only(void **state)
{
	return setup_as(true);
}

static int teardown(void **state)
{
	gone = false;
	loopback_reset(&loopback);
	storvsp_destroy(storvsp, note, &gone);
	(void)loopback_until(&loopback, &gone);
	loopback_fini(&loopback);
	(void)close(file);
	return gone ? 0 : -1;
}

static void open_disk(void)
{
	const struct vsc_offer *offer = vsc_bus_find(&loopback.bus, &vsc_scsi_interface, 0);

	assert_non_null(offer);
	assert_int_equal(vsc_scsi_open(&scsi, &loopback.bus, offer, rings, RING_PAGES), VSC_OK);
	assert_int_equal(vsc_disk_open(&disk, &scsi, 3, scratch), VSC_OK);
	assert_int_equal(disk.block_bytes, BLOCK);
	assert_int_equal(disk.blocks, DISK_BYTES / BLOCK);
}

static void test_what_a_disk_says(void **state)
{
	uint8_t inquiry[VSC_INQUIRY_BYTES];

	open_disk();
	assert_int_equal(scsi.version, STORVSC_VERSION_WIN10);
	assert_int_equal(vsc_disk_inquiry(&disk, inquiry), VSC_OK);
	assert_int_equal(inquiry[0], 0);
	assert_int_equal(vsc_disk_flush(&disk), VSC_OK);
	assert_int_equal(vsc_scsi_close(&scsi), VSC_OK);
}

static void test_one_at_a_time(void **state)
{
	uint8_t expected[BLOCKS_MAX * BLOCK];

	open_disk();
	for (unsigned i = 0; i < 200; i++) {
		uint32_t count = 1 + loopback_random(&loopback, BLOCKS_MAX);
		uint64_t block = loopback_random(&loopback, (uint32_t)disk.blocks - count);

		loopback_fill(&loopback, memory, count * BLOCK);
		memcpy(expected, memory, count * BLOCK);
		assert_int_equal(vsc_disk_write(&disk, block, count, memory), VSC_OK);
		memset(memory, 0, count * BLOCK);
		assert_int_equal(vsc_disk_read(&disk, block, count, memory), VSC_OK);
		assert_memory_equal(memory, expected, count * BLOCK);
	}
}

static void test_what_a_disk_refuses(void **state)
{
	struct vsc_disk absent;

	open_disk();
	assert_int_equal(vsc_disk_read(&disk, disk.blocks, 1, memory), VSC_REFUSED);
	assert_int_equal(disk.last.sense[2] & 0xf, 5);
	assert_int_equal(disk.last.sense[12], 0x21);
	assert_int_equal(vsc_disk_write(&disk, UINT64_MAX, 1, memory), VSC_REFUSED);
	assert_int_equal(vsc_disk_read(&disk, 0, 0, memory), VSC_INVALID);
	assert_int_equal(vsc_disk_read(&disk, 0, UINT32_MAX, memory), VSC_INVALID);
	assert_int_equal(vsc_disk_open(&absent, &scsi, 4, scratch), VSC_REFUSED);
	assert_int_equal(vsc_disk_read(&disk, 0, 1, memory), VSC_OK);
}

static void test_a_read_only_disk(void **state)
{
	open_disk();
	assert_int_equal(vsc_disk_write(&disk, 0, 1, memory), VSC_REFUSED);
	assert_int_equal(disk.last.sense[2] & 0xf, 7);
	assert_int_equal(vsc_disk_read(&disk, 0, 1, memory), VSC_OK);
}

/* ---- many at a time */

struct io {
	bool busy, write;
	uint32_t block, count, offset;
};

static bool overlaps(const struct io *ios, uint32_t block, uint32_t count)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (ios[i].busy && block < ios[i].block + ios[i].count && ios[i].block < block + count)
			return true;
	return false;
}

static uint8_t *place(unsigned slot, const struct io *io)
{
	return memory + slot * SLOT_PAGES * VSC_PAGE + io->offset;
}

/* Requests in flight have no order, so none of them touches what another one does. */
static void start_io(struct io *ios, unsigned slot, uint8_t *model)
{
	struct io io = { .busy = true, .write = loopback_random(&loopback, 2), .offset = loopback_random(&loopback, 1024) * 4 };
	struct vsc_scsi_command command;

	do {
		io.count = 1 + loopback_random(&loopback, BLOCKS_MAX);
		io.block = loopback_random(&loopback, (uint32_t)disk.blocks - io.count);
	} while (overlaps(ios, io.block, io.count));
	if (io.write) {
		loopback_fill(&loopback, place(slot, &io), io.count * BLOCK);
		memcpy(model + io.block * BLOCK, place(slot, &io), io.count * BLOCK);
	}
	vsc_disk_command(&disk, io.write, io.block, io.count, place(slot, &io), &command);
	command.transaction = slot;
	if (vsc_scsi_submit(&scsi, &command) == VSC_OK)
		ios[slot] = io;
	else
		assert_false(io.write);		/* the model would be wrong; the ring is large enough for 32 */
}

static void finish_io(struct io *ios, const struct vsc_scsi_result *result, const uint8_t *model)
{
	struct io *io;

	assert_in_range(result->transaction, 0, DEPTH - 1);
	io = &ios[result->transaction];
	assert_true(io->busy);
	assert_int_equal(result->scsi_status, 0);
	assert_int_equal(result->srb_status, SRB_STATUS_SUCCESS);
	assert_int_equal(result->moved, io->count * BLOCK);
	if (!io->write)
		assert_memory_equal(place((unsigned)result->transaction, io), model + io->block * BLOCK, io->count * BLOCK);
	io->busy = false;
}

static void test_many_at_a_time(void **state)
{
	static struct io ios[DEPTH];
	uint8_t *model = calloc(1, DISK_BYTES), *contents;
	struct vsc_scsi_result result;
	unsigned started = 0, finished = 0, idle = 0;
	int r;

	assert_non_null(model);
	memset(ios, 0, sizeof ios);
	open_disk();
	while (finished < IO_COUNT) {
		for (unsigned slot = 0; slot < DEPTH; slot++)
			if (!ios[slot].busy && started < IO_COUNT && loopback_random(&loopback, 4)) {
				start_io(ios, slot, model);
				started += ios[slot].busy;
			}
		(void)world_turn(&loopback.world, 10);
		while ((r = vsc_scsi_reap(&scsi, &result)) == 1) {
			finish_io(ios, &result, model);
			finished++;
			idle = 0;
		}
		assert_int_equal(r, 0);
		assert_true(idle++ < 500);
	}
	assert_int_equal(vsc_disk_flush(&disk), VSC_OK);
	assert_int_equal(vsc_scsi_close(&scsi), VSC_OK);
	contents = mmap(NULL, DISK_BYTES, PROT_READ, MAP_SHARED, file, 0);
	assert_ptr_not_equal(contents, MAP_FAILED);
	assert_memory_equal(contents, model, DISK_BYTES);
	(void)munmap(contents, DISK_BYTES);
	free(model);
}

static void test_units_that_come_and_go(void **state)
{
	struct block_disk *raw;
	struct vsc_scsi_result result;
	struct vsc_disk second;

	open_disk();
	assert_int_equal(block_raw_create(&loopback.world.host, dup(file), &(struct block_raw_options){ 0 }, &raw), 0);
	assert_int_equal(storvsp_attach_disk(storvsp, 5, raw), 0);
	loopback_run(&loopback);
	assert_int_equal(vsc_scsi_reap(&scsi, &result), 0);
	assert_true(scsi.changes > 0);
	assert_int_equal(vsc_disk_open(&second, &scsi, 5, scratch), VSC_OK);
	gone = false;
	assert_int_equal(storvsp_detach(storvsp, 5, note, &gone), 0);
	assert_true(loopback_until(&loopback, &gone));
	assert_int_equal(vsc_disk_read(&second, 0, 1, memory), VSC_REFUSED);
	assert_int_equal(vsc_disk_read(&disk, 0, 1, memory), VSC_OK);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_what_a_disk_says),
		CASE(test_one_at_a_time),
		CASE(test_what_a_disk_refuses),
		cmocka_unit_test_setup_teardown(test_a_read_only_disk, setup_read_only, teardown),
		CASE(test_many_at_a_time),
		CASE(test_units_that_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
