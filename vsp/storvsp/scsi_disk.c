// SPDX-License-Identifier: Apache-2.0
/* A fixed disk. SBC-3. */
#include <string.h>

#include "block/iov.h"
#include "storvsp/scsi.h"

#define UNMAP_BYTES_MAX       (4ull << 30)	/* of one UNMAP command in sum */
#define UNMAP_DESCRIPTORS_MAX 256u
#define UNMAP_HEADER_BYTES    8u
#define UNMAP_DESCRIPTOR_BYTES 16u
#define WRITE_SAME_BYTES_MAX  (1ull << 30)
#define WRITE_SAME_STEP_BYTES (256u << 10)

_Static_assert(UNMAP_HEADER_BYTES + UNMAP_DESCRIPTORS_MAX * UNMAP_DESCRIPTOR_BYTES <= SCSI_PARAMETER_MAX,
	       "a whole list");

static uint32_t blocks_of(const struct block_info *info, uint64_t bytes)
{
	return (uint32_t)(bytes / info->logical_bytes);
}

/* ---- VPD */

static const uint8_t vpd_pages[] = { 0x00, 0x80, 0x83, 0xb0, 0xb1, 0xb2 };

static size_t vpd_block_limits(const struct scsi_unit *unit, uint8_t *page)
{
	const struct block_info *info = &unit->disk->info;

	page[4] = 1;			/* WSNZ: WRITE SAME of no blocks is none */
	scsi_put16(page + 6, (uint16_t)(info->physical_bytes / info->logical_bytes));
	scsi_put32(page + 8, blocks_of(info, SCSI_TRANSFER_MAX));
	scsi_put32(page + 12, blocks_of(info, SCSI_TRANSFER_MAX));
	if (info->unmap) {
		scsi_put32(page + 20, blocks_of(info, UNMAP_BYTES_MAX));
		scsi_put32(page + 24, UNMAP_DESCRIPTORS_MAX);
		scsi_put32(page + 28, blocks_of(info, info->unmap_bytes));
		scsi_put32(page + 32, 0x80000000);	/* alignment is given: 0 */
	}
	scsi_put64(page + 36, blocks_of(info, WRITE_SAME_BYTES_MAX));
	return 64;
}

static size_t vpd_characteristics(uint8_t *page)
{
	scsi_put16(page + 4, 1);	/* does not rotate */
	return 64;
}

static size_t vpd_provisioning(const struct scsi_unit *unit, uint8_t *page)
{
	if (unit->disk->info.unmap) {
		page[5] = 0xe0 | 1 << 2;	/* UNMAP, WRITE SAME(16) and (10) with it; then reads zeroes */
		page[6] = 2;			/* thin */
	}
	return 8;
}

static size_t disk_vpd(const struct scsi_unit *unit, uint8_t code, uint8_t *page)
{
	switch (code) {
	case 0xb0:
		return vpd_block_limits(unit, page);
	case 0xb1:
		return vpd_characteristics(page);
	case 0xb2:
		return vpd_provisioning(unit, page);
	default:
		return 0;
	}
}

/* ---- capacity, modes, power */

static unsigned log2_of(uint32_t v)
{
	unsigned n = 0;

	while (v >>= 1)
		n++;
	return n;
}

static void read_capacity_16(struct scsi_task *task)
{
	const struct block_info *info = &task->disk->info;
	const uint64_t blocks = scsi_blocks(task);
	uint8_t data[32] = { 0 };

	if ((task->cdb[1] & 0x1f) != 0x10) {	/* the only service action */
		scsi_fail_field(task, 1);
		return;
	}
	if (blocks == 0) {
		scsi_fail(task, SENSE_NOT_READY_NO_MEDIUM_CLOSED);
		return;
	}
	scsi_put64(data, blocks - 1);
	scsi_put32(data + 8, info->logical_bytes);
	data[13] = (uint8_t)log2_of(info->physical_bytes / info->logical_bytes);
	if (info->unmap)
		data[14] = 0xc0;		/* LBPME, LBPRZ */
	scsi_answer(task, data, sizeof data, scsi_get32(task->cdb + 10));
}

static void mode_sense(struct scsi_task *task)
{
	static const uint8_t no_error_recovery[10] = { 0 };
	static const uint8_t caching[18] = { 0x04 };	/* WCE: writes are stable after a flush */
	static const uint8_t control[10] = { 0x00, 0x10 };	/* tasks may be reordered */
	static const struct scsi_mode_page pages[] = {
		{ 0x01, 12, no_error_recovery },
		{ 0x08, 20, caching },
		{ 0x0a, 12, control },
	};
	const struct scsi_mode mode = {
		.device_specific = 0x10 | (task->disk->info.read_only ? 0x80 : 0),	/* DPO and FUA work; WP */
		.block_descriptor = true,
		.pages = pages,
		.page_count = sizeof pages / sizeof pages[0],
	};

	scsi_mode_sense(task, &mode);
}

/* A stopped disk answers like a running one: there is nothing to spin down. What it holds back is written first. */
static void start_stop(struct scsi_task *task)
{
	const bool start = task->cdb[4] & 1, load_eject = task->cdb[4] & 2;

	if (load_eject)
		scsi_fail_field(task, 4);
	else if (start || task->cdb[4] >> 4)
		scsi_good(task);
	else
		scsi_submit(task, BLOCK_FLUSH, 0, 0, 0, scsi_good);
}

/* ---- UNMAP */

static const uint8_t *unmap_descriptor(const struct scsi_task *task, unsigned i)
{
	return task->scratch + UNMAP_HEADER_BYTES + (size_t)i * UNMAP_DESCRIPTOR_BYTES;
}

static void unmap_next(struct scsi_task *task)
{
	while (task->descriptor < task->descriptor_count) {
		const uint8_t *d = unmap_descriptor(task, task->descriptor++);

		if (scsi_get32(d + 8)) {
			task->unit->stats.unmaps++;
			scsi_submit(task, BLOCK_UNMAP, 0, scsi_get64(d), scsi_get32(d + 8), unmap_next);
			return;
		}
	}
	task->moved = scsi_get16(task->cdb + 7);
	scsi_good(task);
}

/* All of the list is checked before anything is done. false: ended. */
static bool unmap_list_ok(struct scsi_task *task)
{
	uint64_t sum = 0;

	if (task->descriptor_count > UNMAP_DESCRIPTORS_MAX) {
		scsi_fail(task, SENSE_INVALID_PARAMETER);
		return false;
	}
	for (unsigned i = 0; i < task->descriptor_count; i++) {
		const uint8_t *d = unmap_descriptor(task, i);

		if (!scsi_range_ok(task, scsi_get64(d), scsi_get32(d + 8)))
			return false;
		sum += scsi_get32(d + 8);
	}
	if (sum > blocks_of(&task->disk->info, UNMAP_BYTES_MAX)) {
		scsi_fail(task, SENSE_INVALID_PARAMETER);
		return false;
	}
	return true;
}

static void unmap(struct scsi_task *task)
{
	const size_t bytes = scsi_get16(task->cdb + 7);
	size_t list;

	if (!task->disk->info.unmap) {
		scsi_fail(task, SENSE_INVALID_OPCODE);
		return;
	}
	if (task->cdb[1] & 1) {		/* anchored blocks are not known here */
		scsi_fail_field(task, 1);
		return;
	}
	if (bytes == 0) {
		scsi_good(task);
		return;
	}
	if (bytes < UNMAP_HEADER_BYTES) {
		scsi_fail(task, SENSE_PARAMETER_LIST_LENGTH);
		return;
	}
	if (!scsi_parameters(task, bytes))
		return;
	/* Only whole descriptors that were sent. */
	list = scsi_get16(task->scratch + 2);
	if (list > bytes - UNMAP_HEADER_BYTES)
		list = bytes - UNMAP_HEADER_BYTES;
	task->descriptor = 0;
	task->descriptor_count = (unsigned)(list / UNMAP_DESCRIPTOR_BYTES);
	if (unmap_list_ok(task))
		unmap_next(task);
}

/* ---- WRITE SAME */

#define SAME_UNMAP   0x08u
#define SAME_ANCHOR  0x10u
#define SAME_PROTECT 0xe0u
#define SAME_NO_DATA 0x01u	/* (16) only: zeroes, and no data-out buffer */

static void same_done(struct scsi_task *task)
{
	task->moved = task->data == SCSI_DATA_OUT ? scsi_block_bytes(task) : 0;
	scsi_good(task);
}

static void same_pattern_next(struct scsi_task *task)
{
	const uint64_t most = blocks_of(&task->disk->info, WRITE_SAME_STEP_BYTES);
	const uint64_t lba = task->lba, count = task->blocks < most ? task->blocks : most;

	task->lba += count;
	task->blocks -= count;
	scsi_submit_scratch(task, BLOCK_WRITE, 0, lba, count, task->blocks ? same_pattern_next : same_done);
}

static void same_zeroes(struct scsi_task *task)
{
	const bool may_unmap = task->cdb[1] & SAME_UNMAP;

	if (may_unmap)
		task->unit->stats.unmaps++;
	scsi_submit(task, BLOCK_WRITE_ZEROES, may_unmap ? BLOCK_FLAG_MAY_UNMAP : 0, task->lba, task->blocks, same_done);
}

static bool all_zero(const uint8_t *data, size_t bytes)
{
	return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

static void write_same(struct scsi_task *task)
{
	const bool sixteen = task->cdb[0] == 0x93, no_data = sixteen && (task->cdb[1] & SAME_NO_DATA);
	const struct scsi_extent extent = scsi_extent_of(task);
	const size_t block_bytes = scsi_block_bytes(task);

	if ((task->cdb[1] & (SAME_PROTECT | SAME_ANCHOR)) ||
	    ((task->cdb[1] & SAME_UNMAP) && !task->disk->info.unmap)) {
		scsi_fail_field(task, 1);
		return;
	}
	if (extent.blocks == 0 || extent.blocks > blocks_of(&task->disk->info, WRITE_SAME_BYTES_MAX)) {
		scsi_fail_field(task, sixteen ? 10 : 7);
		return;
	}
	if (!scsi_range_ok(task, extent.lba, extent.blocks))
		return;
	task->lba = extent.lba;
	task->blocks = extent.blocks;
	if (no_data) {
		same_zeroes(task);
		return;
	}
	if (task->data != SCSI_DATA_OUT || task->bytes < block_bytes) {
		scsi_fail_field(task, 1);
		return;
	}
	if (!scsi_scratch(task, WRITE_SAME_STEP_BYTES))
		return;
	(void)iov_gather(task->iov, task->iov_count, 0, task->scratch, block_bytes);
	if (all_zero(task->scratch, block_bytes)) {
		same_zeroes(task);
		return;
	}
	for (size_t at = block_bytes; at < WRITE_SAME_STEP_BYTES; at += block_bytes)
		memcpy(task->scratch + at, task->scratch, block_bytes);
	same_pattern_next(task);
}

/* ---- */

#define QUIET SCSI_COMMAND_NO_ATTENTION
#define MEDIUM SCSI_COMMAND_MEDIUM
#define WRITES SCSI_COMMAND_WRITES

static const struct scsi_command commands[] = {
	{ 0x00,  6, MEDIUM, scsi_test_unit_ready },
	{ 0x03,  6, QUIET,  scsi_request_sense },
	{ 0x08,  6, MEDIUM, scsi_read },			/* READ(6) */
	{ 0x0a,  6, WRITES, scsi_write },			/* WRITE(6) */
	{ 0x12,  6, QUIET,  scsi_inquiry },
	{ 0x1a,  6, MEDIUM, mode_sense },			/* (6) */
	{ 0x1b,  6, MEDIUM, start_stop },
	{ 0x1d,  6, 0,      scsi_send_diagnostic },
	{ 0x1e,  6, 0,      scsi_prevent_allow },
	{ 0x25, 10, MEDIUM, scsi_read_capacity_10 },
	{ 0x28, 10, MEDIUM, scsi_read },			/* READ(10) */
	{ 0x2a, 10, WRITES, scsi_write },			/* WRITE(10) */
	{ 0x2f, 10, MEDIUM, scsi_verify },			/* VERIFY(10) */
	{ 0x35, 10, MEDIUM, scsi_synchronize_cache },		/* (10) */
	{ 0x41, 10, WRITES, write_same },			/* (10) */
	{ 0x42, 10, WRITES, unmap },
	{ 0x5a, 10, MEDIUM, mode_sense },			/* (10) */
	{ 0x88, 16, MEDIUM, scsi_read },			/* READ(16) */
	{ 0x8a, 16, WRITES, scsi_write },			/* WRITE(16) */
	{ 0x8f, 16, MEDIUM, scsi_verify },			/* VERIFY(16) */
	{ 0x91, 16, MEDIUM, scsi_synchronize_cache },		/* (16) */
	{ 0x93, 16, WRITES, write_same },			/* (16) */
	{ 0x9e, 16, MEDIUM, read_capacity_16 },			/* SERVICE ACTION IN(16) */
	{ 0xa8, 12, MEDIUM, scsi_read },			/* READ(12) */
	{ 0xaa, 12, WRITES, scsi_write },			/* WRITE(12) */
	{ 0xaf, 12, MEDIUM, scsi_verify },			/* VERIFY(12) */
};

const struct scsi_unit_type scsi_disk_type = {
	.peripheral = 0x00,
	.product = "Virtual Disk    ",
	.commands = commands,
	.command_count = sizeof commands / sizeof commands[0],
	.vpd = disk_vpd,
	.vpd_pages = vpd_pages,
	.vpd_page_count = sizeof vpd_pages,
};
