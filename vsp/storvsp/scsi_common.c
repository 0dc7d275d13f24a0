// SPDX-License-Identifier: Apache-2.0
/* Commands that disks and drives answer alike. SPC-4, SBC-3. */
#include <stdio.h>
#include <string.h>

#include "block/iov.h"
#include "storvsp/scsi.h"

#define VERIFY_BYTES (128u << 10)	/* of one step */

/* Without an end, as in SCSI. Linux knows by the vendor which commands a Hyper-V disk takes. */
static const char vendor[8] = { 'M', 's', 'f', 't', ' ', ' ', ' ', ' ' };
static const char revision[4] = { '1', '.', '0', ' ' };

/* SPC-4: the three bits on top of the opcode give the CDB's length. */
struct scsi_extent scsi_extent_of(const struct scsi_task *task)
{
	const uint8_t *cdb = task->cdb;

	switch (cdb[0] >> 5) {
	case 0:
		return (struct scsi_extent){ scsi_get32(cdb) & 0x1fffff, cdb[4] ? cdb[4] : 256 };
	case 4:
		return (struct scsi_extent){ scsi_get64(cdb + 2), scsi_get32(cdb + 10) };
	case 5:
		return (struct scsi_extent){ scsi_get32(cdb + 2), scsi_get32(cdb + 6) };
	default:
		return (struct scsi_extent){ scsi_get32(cdb + 2), scsi_get16(cdb + 7) };
	}
}

static unsigned length_byte(const struct scsi_task *task)
{
	static const uint8_t at[8] = { 4, 7, 7, 7, 10, 6, 7, 7 };

	return at[task->cdb[0] >> 5];
}

/* Bits of byte 1 in all but the 6-byte commands, which have LBA there. */
static uint8_t option_bits(const struct scsi_task *task)
{
	return task->cdb[0] >> 5 ? task->cdb[1] : 0;
}

#define OPTION_PROTECT 0xe0u
#define OPTION_FUA     0x08u

/* Checks what reads and writes have in common and cuts the task's memory to what the command moves. false: ended. */
static bool transfer_ok(struct scsi_task *task, const struct scsi_extent *extent, enum scsi_data direction)
{
	const uint64_t bytes = (uint64_t)extent->blocks * scsi_block_bytes(task);

	if (option_bits(task) & OPTION_PROTECT) {
		scsi_fail_field(task, 1);
		return false;
	}
	if (!scsi_range_ok(task, extent->lba, extent->blocks))
		return false;
	if (extent->blocks == 0) {
		scsi_good(task);
		return false;
	}
	if (bytes > SCSI_TRANSFER_MAX || task->data != direction || bytes > task->bytes) {
		scsi_fail_field(task, length_byte(task));
		return false;
	}
	task->iov_count = iov_truncate(task->iov, task->iov_count, bytes);
	task->request.iov = task->iov;
	task->request.iov_count = task->iov_count;
	return true;
}

/* One look at the clock serves a batch of the disk; what arrived after it was as quick as can be. */
static void count_latency(const struct scsi_task *task, struct storvsp_latency *latency)
{
	struct scsi_unit *unit = task->unit;
	uint64_t us;

	if (!unit->batch_ns)
		unit->batch_ns = unit->host.ops->monotonic_ns(unit->host.context);
	us = unit->batch_ns > task->arrived_ns ? (unit->batch_ns - task->arrived_ns) / 1000 : 0;
	if (us >= 1ull << (STORVSP_LATENCY_BUCKETS - 1))
		latency->commands[STORVSP_LATENCY_BUCKETS - 1]++;
	else
		latency->commands[31 - __builtin_clz((uint32_t)us | 1)]++;
}

static void read_done(struct scsi_task *task)
{
	task->moved = (uint32_t)task->request.bytes;
	task->unit->stats.reads++;
	count_latency(task, &task->unit->stats.read_latency);
	task->unit->stats.read_bytes += task->moved;
	scsi_good(task);
}

/* FUA asks for the medium's content, and the page cache is never older: nothing to do for it. DPO is a hint. */
void scsi_read(struct scsi_task *task)
{
	const struct scsi_extent extent = scsi_extent_of(task);

	if (transfer_ok(task, &extent, SCSI_DATA_IN))
		scsi_submit(task, BLOCK_READ, 0, extent.lba, extent.blocks, read_done);
}

static void write_done(struct scsi_task *task)
{
	task->moved = (uint32_t)task->request.bytes;
	task->unit->stats.writes++;
	count_latency(task, &task->unit->stats.write_latency);
	task->unit->stats.write_bytes += task->moved;
	scsi_good(task);
}

void scsi_write(struct scsi_task *task)
{
	const struct scsi_extent extent = scsi_extent_of(task);
	const unsigned flags = option_bits(task) & OPTION_FUA ? BLOCK_FLAG_FUA : 0;

	if (transfer_ok(task, &extent, SCSI_DATA_OUT))
		scsi_submit(task, BLOCK_WRITE, flags, extent.lba, extent.blocks, write_done);
}

/* ---- VERIFY: reads, and with BYTCHK compares, a piece at a time */

static bool verify_compares(const struct scsi_task *task)
{
	return task->cdb[1] & 0x02;
}

static void verify_next(struct scsi_task *task);

static void verify_read(struct scsi_task *task)
{
	const uint32_t block_bytes = scsi_block_bytes(task);
	const size_t bytes = (size_t)task->request.bytes;
	uint8_t *guest = task->scratch + VERIFY_BYTES;

	if (verify_compares(task)) {
		(void)iov_gather(task->iov, task->iov_count, task->compared, guest, bytes);
		for (size_t i = 0; i < bytes; i += block_bytes) {
			if (memcmp(task->scratch + i, guest + i, block_bytes) != 0) {
				scsi_fail_at(task, SENSE_MISCOMPARE, task->lba + i / block_bytes);
				return;
			}
		}
		task->compared += bytes;
	}
	task->lba += bytes / block_bytes;
	task->blocks -= bytes / block_bytes;
	verify_next(task);
}

static void verify_next(struct scsi_task *task)
{
	const uint64_t most = VERIFY_BYTES / scsi_block_bytes(task);

	if (task->blocks == 0) {
		task->moved = (uint32_t)task->compared;
		scsi_good(task);
		return;
	}
	scsi_submit_scratch(task, BLOCK_READ, 0, task->lba, task->blocks < most ? task->blocks : most, verify_read);
}

void scsi_verify(struct scsi_task *task)
{
	const struct scsi_extent extent = scsi_extent_of(task);

	if (task->cdb[1] & (OPTION_PROTECT | 0x04)) {	/* protection; comparing with one block only */
		scsi_fail_field(task, 1);
		return;
	}
	if (verify_compares(task) ? !transfer_ok(task, &extent, SCSI_DATA_OUT)
				  : !scsi_range_ok(task, extent.lba, extent.blocks))
		return;
	if (!scsi_scratch(task, 2 * VERIFY_BYTES))
		return;
	task->lba = extent.lba;
	task->blocks = extent.blocks;
	task->compared = 0;
	verify_next(task);
}

/* ---- without data */

static void synchronized(struct scsi_task *task)
{
	task->unit->stats.flushes++;
	scsi_good(task);
}

/* All of the disk whatever the range; answered when it is done also with IMMED. */
void scsi_synchronize_cache(struct scsi_task *task)
{
	const struct scsi_extent extent = scsi_extent_of(task);

	if (scsi_range_ok(task, extent.lba, extent.blocks))
		scsi_submit(task, BLOCK_FLUSH, 0, 0, 0, synchronized);
}

void scsi_test_unit_ready(struct scsi_task *task)
{
	scsi_good(task);	/* the dispatcher has asked for medium and attention */
}

void scsi_prevent_allow(struct scsi_task *task)
{
	task->unit->prevent_removal = task->cdb[4] & 1;
	scsi_good(task);
}

void scsi_send_diagnostic(struct scsi_task *task)
{
	/* The default self-test only: no pages, no test codes. */
	if ((task->cdb[1] & 0xf4) != 0x04)
		scsi_fail_field(task, 1);
	else if (scsi_get16(task->cdb + 3))
		scsi_fail_field(task, 3);
	else
		scsi_good(task);
}

void scsi_read_capacity_10(struct scsi_task *task)
{
	const uint64_t blocks = scsi_blocks(task);
	uint8_t data[8];

	if (blocks == 0) {
		scsi_fail(task, SENSE_NOT_READY_NO_MEDIUM_CLOSED);
		return;
	}
	scsi_put32(data, blocks - 1 < UINT32_MAX ? (uint32_t)(blocks - 1) : UINT32_MAX);
	scsi_put32(data + 4, scsi_block_bytes(task));
	scsi_answer(task, data, sizeof data, sizeof data);
}

/* ---- INQUIRY */

#define ID_TEXT_BYTES 32u

static void id_text(const struct scsi_unit *unit, char text[ID_TEXT_BYTES + 1])
{
	for (unsigned i = 0; i < sizeof unit->id; i++)
		(void)snprintf(text + (size_t)2 * i, 3, "%02x", unit->id[i]);
}

static size_t vpd_supported(const struct scsi_unit *unit, uint8_t *page)
{
	memcpy(page + 4, unit->type->vpd_pages, unit->type->vpd_page_count);
	return 4 + unit->type->vpd_page_count;
}

static size_t vpd_serial(const struct scsi_unit *unit, uint8_t *page)
{
	char text[ID_TEXT_BYTES + 1];

	id_text(unit, text);
	memcpy(page + 4, text, ID_TEXT_BYTES);
	return 4 + ID_TEXT_BYTES;
}

/* Two names: all of the id as text, and as much of it as fits behind Hyper-V's NAA prefix. */
static size_t vpd_identification(const struct scsi_unit *unit, uint8_t *page)
{
	char text[ID_TEXT_BYTES + 1];
	uint8_t *t10 = page + 4, *naa = t10 + 4 + 8 + ID_TEXT_BYTES;

	id_text(unit, text);
	t10[0] = 2;			/* ASCII */
	t10[1] = 1;			/* T10 vendor identification, of the unit */
	t10[3] = 8 + ID_TEXT_BYTES;
	memcpy(t10 + 4, vendor, sizeof vendor);
	memcpy(t10 + 12, text, ID_TEXT_BYTES);

	naa[0] = 1;			/* binary */
	naa[1] = 3;			/* NAA */
	naa[3] = 16;
	memcpy(naa + 4, (const uint8_t[]){ 0x60, 0x02, 0x24, 0x80 }, 4);
	naa[7] |= (unit->id[0] ^ unit->id[1] ^ unit->id[2] ^ unit->id[3]) & 0x0f;
	memcpy(naa + 8, unit->id + 4, 12);
	return (size_t)(naa + 4 + 16 - page);
}

static void inquiry_vpd(struct scsi_task *task, size_t allocation_length)
{
	const struct scsi_unit *unit = task->unit;
	const uint8_t code = task->cdb[2];
	uint8_t page[256] = { unit->type->peripheral, code };
	size_t bytes;

	switch (code) {
	case 0x00:
		bytes = vpd_supported(unit, page);
		break;
	case 0x80:
		bytes = vpd_serial(unit, page);
		break;
	case 0x83:
		bytes = vpd_identification(unit, page);
		break;
	default:
		bytes = unit->type->vpd ? unit->type->vpd(unit, code, page) : 0;
	}
	if (bytes == 0) {
		scsi_fail_field(task, 2);
		return;
	}
	scsi_put16(page + 2, (uint16_t)(bytes - 4));
	scsi_answer(task, page, bytes, allocation_length);
}

void scsi_inquiry(struct scsi_task *task)
{
	const struct scsi_unit_type *type = task->unit->type;
	const size_t allocation_length = scsi_get16(task->cdb + 3);
	uint8_t data[SCSI_INQUIRY_BYTES] = { type->peripheral, type->removable ? 0x80 : 0 };

	if (task->cdb[1] & 0xfe) {
		scsi_fail_field(task, 1);
		return;
	}
	if (task->cdb[1] & 1) {
		inquiry_vpd(task, allocation_length);
		return;
	}
	if (task->cdb[2]) {
		scsi_fail_field(task, 2);
		return;
	}
	data[2] = 5;			/* SPC-3 */
	data[3] = 2;			/* format of this answer */
	data[4] = SCSI_INQUIRY_BYTES - 5;
	data[7] = 0x02;			/* command queuing */
	memcpy(data + 8, vendor, sizeof vendor);
	memcpy(data + 16, type->product, 16);
	memcpy(data + 32, revision, sizeof revision);
	scsi_answer(task, data, sizeof data, allocation_length);
}

/* ---- MODE SENSE */

#define MODE_PAGE_ALL 0x3fu

enum { MODE_CURRENT, MODE_CHANGEABLE, MODE_DEFAULT, MODE_SAVED };

static size_t mode_block_descriptor(const struct scsi_task *task, uint8_t *to, bool long_form)
{
	const uint64_t blocks = scsi_blocks(task);
	const uint32_t block_bytes = scsi_block_bytes(task);

	if (long_form) {
		scsi_put64(to, blocks);
		scsi_put32(to + 12, block_bytes);
		return 16;
	}
	scsi_put32(to, blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX);
	scsi_put32(to + 4, block_bytes);	/* three bytes: sizes are far below */
	return 8;
}

void scsi_mode_sense(struct scsi_task *task, const struct scsi_mode *mode)
{
	const uint8_t *cdb = task->cdb;
	const bool six = cdb[0] == 0x1a, descriptor = mode->block_descriptor && !(cdb[1] & 0x08);
	const bool long_form = !six && (cdb[1] & 0x10);
	const uint8_t wanted = cdb[2] & 0x3f, control = cdb[2] >> 6;
	const size_t header = six ? 4 : 8;
	uint8_t data[256] = { 0 };
	size_t bytes = header;
	bool found = wanted == MODE_PAGE_ALL;

	if (cdb[3] != 0 && cdb[3] != 0xff) {	/* no subpages */
		scsi_fail_field(task, 3);
		return;
	}
	if (control == MODE_SAVED) {
		scsi_fail(task, SENSE_SAVING_NOT_SUPPORTED);
		return;
	}
	if (descriptor)
		bytes += mode_block_descriptor(task, data + bytes, long_form);
	data[six ? 1 : 2] = mode->medium_type;
	data[six ? 2 : 3] = mode->device_specific;
	data[six ? 3 : 7] = (uint8_t)(bytes - header);
	if (!six && descriptor && long_form)
		data[4] = 1;
	for (size_t i = 0; i < mode->page_count; i++) {
		const struct scsi_mode_page *page = &mode->pages[i];

		if (wanted != MODE_PAGE_ALL && wanted != page->code)
			continue;
		found = true;
		data[bytes] = page->code;
		data[bytes + 1] = page->bytes - 2;
		if (control != MODE_CHANGEABLE)		/* nothing is: all zeroes */
			memcpy(data + bytes + 2, page->content, page->bytes - 2u);
		bytes += page->bytes;
	}
	if (!found) {
		scsi_fail_field(task, 2);
		return;
	}
	if (six)
		data[0] = (uint8_t)(bytes - 1);
	else
		scsi_put16(data, (uint16_t)(bytes - 2));
	scsi_answer(task, data, bytes, six ? cdb[4] : scsi_get16(cdb + 7));
}
