// SPDX-License-Identifier: Apache-2.0
/* Units and tasks: dispatch by the type's table, sense data, data buffers, the way to the disk and back. */
#include "storvsp/scsi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/iov.h"

#define CDB_CONTROL_NACA 0x04u

/* ---- answers */

/* Fixed format. SPC-4, "Fixed format sense data". */
void scsi_set_sense(struct scsi_task *task, enum scsi_sense sense)
{
	memset(task->sense, 0, sizeof task->sense);
	task->sense[0] = 0x70;
	task->sense[2] = (uint8_t)(sense >> 16);
	task->sense[7] = SCSI_SENSE_BYTES - 8;
	task->sense[12] = (uint8_t)(sense >> 8);
	task->sense[13] = (uint8_t)sense;
	task->status = SCSI_CHECK_CONDITION;
	task->moved = 0;
}

void scsi_reply(struct scsi_task *task, const void *data, size_t bytes, size_t allocation_length)
{
	if (bytes > allocation_length)
		bytes = allocation_length;
	task->status = SCSI_GOOD;
	task->moved = 0;
	if (task->data == SCSI_DATA_IN)
		task->moved = (uint32_t)iov_scatter(task->iov, task->iov_count, 0, data, bytes);
}

static void end(struct scsi_task *task)
{
	free(task->scratch);
	task->scratch = NULL;
	task->done(task);
}

void scsi_good(struct scsi_task *task)
{
	task->status = SCSI_GOOD;
	end(task);
}

static void busy(struct scsi_task *task)
{
	task->status = SCSI_BUSY;
	task->moved = 0;
	end(task);
}

void scsi_fail(struct scsi_task *task, enum scsi_sense sense)
{
	scsi_set_sense(task, sense);
	end(task);
}

void scsi_fail_at(struct scsi_task *task, enum scsi_sense sense, uint64_t lba)
{
	scsi_set_sense(task, sense);
	if (lba <= UINT32_MAX) {	/* the fixed format cannot say more */
		task->sense[0] |= 0x80;
		scsi_put32(&task->sense[3], (uint32_t)lba);
	}
	end(task);
}

void scsi_fail_field(struct scsi_task *task, unsigned cdb_byte)
{
	scsi_set_sense(task, SENSE_INVALID_FIELD);
	task->sense[15] = 0xc0;		/* a pointer is given, into the CDB */
	scsi_put16(&task->sense[16], (uint16_t)cdb_byte);
	end(task);
}

void scsi_answer(struct scsi_task *task, const void *data, size_t bytes, size_t allocation_length)
{
	scsi_reply(task, data, bytes, allocation_length);
	end(task);
}

bool scsi_scratch(struct scsi_task *task, size_t bytes)
{
	task->scratch = calloc(1, bytes);
	if (!task->scratch)
		busy(task);
	return task->scratch != NULL;
}

bool scsi_parameters(struct scsi_task *task, size_t bytes)
{
	if (task->data != SCSI_DATA_OUT || bytes > task->bytes || bytes > SCSI_PARAMETER_MAX) {
		scsi_fail(task, SENSE_PARAMETER_LIST_LENGTH);
		return false;
	}
	if (!scsi_scratch(task, bytes))
		return false;
	(void)iov_gather(task->iov, task->iov_count, 0, task->scratch, bytes);
	return true;
}

/* ---- the disk below */

uint32_t scsi_block_bytes(const struct scsi_task *task)
{
	const uint32_t fixed = task->unit->type->block_bytes;

	return fixed ? fixed : task->disk->info.logical_bytes;
}

uint64_t scsi_blocks(const struct scsi_task *task)
{
	return task->disk->info.bytes / scsi_block_bytes(task);
}

bool scsi_range_ok(struct scsi_task *task, uint64_t lba, uint64_t count)
{
	const uint64_t blocks = scsi_blocks(task);

	if (lba <= blocks && count <= blocks - lba)
		return true;
	scsi_fail_at(task, SENSE_LBA_OUT_OF_RANGE, lba > blocks ? lba : blocks);
	return false;
}

static enum scsi_sense sense_of_medium_gone(const struct scsi_unit *unit)
{
	return unit->type->removable ? SENSE_NOT_READY_NO_MEDIUM_OPEN : SENSE_UNIT_NOT_SUPPORTED;
}

static void fail_request(struct scsi_task *task, int error)
{
	const struct block_request *request = &task->request;
	const uint64_t block_bytes = scsi_block_bytes(task);
	const uint64_t lba = (request->offset + request->moved) / block_bytes;

	task->unit->stats.errors++;
	switch (error) {
	case -ENOSPC:
		scsi_fail_at(task, SENSE_SPACE_EXHAUSTED, lba);
		break;
	case -EROFS:
		scsi_fail(task, SENSE_WRITE_PROTECTED);
		break;
	case -ENOMEM:
		busy(task);
		break;
	case -ERANGE:		/* it has become smaller in between */
		scsi_fail_at(task, SENSE_LBA_OUT_OF_RANGE, lba);
		break;
	case -ENODEV:		/* it is being taken away */
		scsi_fail(task, sense_of_medium_gone(task->unit));
		break;
	case -EIO:
		if (request->op == BLOCK_FLUSH)
			scsi_fail(task, SENSE_WRITE_ERROR);
		else
			scsi_fail_at(task, request->op == BLOCK_READ ? SENSE_READ_ERROR : SENSE_WRITE_ERROR, lba);
		break;
	default:
		scsi_fail(task, SENSE_TARGET_FAILURE);
	}
}

static void request_done(struct block_request *request, int error)
{
	struct scsi_task *task = (struct scsi_task *)((char *)request - offsetof(struct scsi_task, request));

	if (error)
		fail_request(task, error);
	else
		task->next(task);
}

void scsi_submit(struct scsi_task *task, enum block_op op, unsigned flags, uint64_t lba, uint64_t count, scsi_step next)
{
	struct block_request *request = &task->request;
	const uint64_t block_bytes = scsi_block_bytes(task);
	int r;

	request->op = op;
	request->flags = flags;
	request->offset = lba * block_bytes;
	request->bytes = count * block_bytes;
	request->moved = 0;
	request->done = request_done;
	task->next = next;
	r = block_submit(task->disk, request);
	if (r)
		fail_request(task, r);
	else
		task->unit->kick = true;
}

void scsi_submit_scratch(struct scsi_task *task, enum block_op op, unsigned flags, uint64_t lba, uint64_t count,
			 scsi_step next)
{
	task->piece = (struct iovec){ task->scratch, (size_t)(count * scsi_block_bytes(task)) };
	task->request.iov = &task->piece;
	task->request.iov_count = 1;
	scsi_submit(task, op, flags, lba, count, next);
}

/* ---- dispatch */

static const struct scsi_command *find_command(const struct scsi_unit_type *type, uint8_t opcode)
{
	size_t low = 0, high = type->command_count;

	while (low < high) {
		const size_t middle = (low + high) / 2;

		if (type->commands[middle].opcode == opcode)
			return &type->commands[middle];
		if (type->commands[middle].opcode < opcode)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static enum scsi_sense take_attention(struct scsi_unit *unit)
{
	static const enum scsi_sense senses[] = { SENSE_POWER_ON, SENSE_MEDIUM_CHANGED, SENSE_CAPACITY_CHANGED };

	for (unsigned i = 0; i < sizeof senses / sizeof senses[0]; i++) {
		if (unit->attention & 1u << i) {
			unit->attention &= ~(1u << i);
			return senses[i];
		}
	}
	return SENSE_NONE;
}

static enum scsi_sense not_ready(const struct scsi_unit *unit)
{
	return unit->tray_open ? SENSE_NOT_READY_NO_MEDIUM_OPEN : SENSE_NOT_READY_NO_MEDIUM_CLOSED;
}

/* What stands in a command's way whatever it says. */
static enum scsi_sense obstacle(struct scsi_unit *unit, uint8_t flags)
{
	if (unit->attention && !(flags & SCSI_COMMAND_NO_ATTENTION))
		return take_attention(unit);
	if (!unit->disk)
		return flags & (SCSI_COMMAND_MEDIUM | SCSI_COMMAND_WRITES) ? not_ready(unit) : SENSE_NONE;
	return (flags & SCSI_COMMAND_WRITES) && unit->disk->info.read_only ? SENSE_WRITE_PROTECTED : SENSE_NONE;
}

void scsi_execute(struct scsi_unit *unit, struct scsi_task *task)
{
	const struct scsi_command *command = find_command(unit->type, task->cdb[0]);
	enum scsi_sense sense;

	task->unit = unit;
	task->disk = unit->disk;
	task->scratch = NULL;
	task->moved = 0;
	if (!command) {
		scsi_fail(task, SENSE_INVALID_OPCODE);
	} else if (task->cdb_bytes < command->cdb_bytes) {
		scsi_fail_field(task, task->cdb_bytes);
	} else if (task->cdb[command->cdb_bytes - 1] & CDB_CONTROL_NACA) {
		scsi_fail_field(task, command->cdb_bytes - 1u);
	} else {
		sense = obstacle(unit, command->flags);
		if (sense == SENSE_NONE)
			command->execute(task);
		else
			scsi_fail(task, sense);
	}
}

void scsi_request_sense(struct scsi_task *task)
{
	const struct scsi_unit *unit = task->unit;
	uint8_t data[SCSI_SENSE_BYTES];
	enum scsi_sense sense;

	if (task->cdb[1] & 1) {		/* descriptor format */
		scsi_fail_field(task, 1);
		return;
	}
	sense = take_attention(task->unit);
	if (sense == SENSE_NONE && !unit->disk)
		sense = not_ready(unit);
	scsi_set_sense(task, sense);
	memcpy(data, task->sense, sizeof data);
	scsi_answer(task, data, sizeof data, task->cdb[4]);
}

/* ---- units */

static void disk_resized(void *context)
{
	struct scsi_unit *unit = context;

	unit->attention |= SCSI_ATTENTION_CAPACITY;
	unit->events.changed(unit->events.context);
}

static void disk_batched(void *context)
{
	struct scsi_unit *unit = context;

	unit->batch_ns = 0;
	unit->events.batched(unit->events.context);
}

static void unit_free(void *context)
{
	struct scsi_unit *unit = context;
	const vsp_callback closed = unit->closed;
	void *const closed_context = unit->closed_context;

	free(unit);
	closed(closed_context);
}

static void listen_to_disk(struct scsi_unit *unit)
{
	const struct block_listener listener = { .resized = disk_resized, .batched = disk_batched, .context = unit };

	block_listen(unit->disk, &listener);
}

struct scsi_unit *scsi_unit_new(const struct scsi_unit_type *type, const struct vsp_host *host, const uint8_t id[16],
				struct block_disk *disk, const struct scsi_unit_events *events)
{
	struct scsi_unit *unit = calloc(1, sizeof *unit);

	if (!unit)
		return NULL;
	unit->type = type;
	unit->host = *host;
	unit->events = *events;
	unit->disk = disk;
	unit->attention = SCSI_ATTENTION_POWER_ON;
	unit->close_timer = (struct vsp_timer){ .expired = unit_free, .context = unit };
	memcpy(unit->id, id, sizeof unit->id);
	if (disk)
		listen_to_disk(unit);
	return unit;
}

static void disk_closed(void *context)
{
	struct scsi_unit *unit = context;

	if (--unit->closing_disks == 0 && unit->closed)
		unit_free(unit);
}

void scsi_unit_kick(struct scsi_unit *unit)
{
	if (unit->kick && unit->disk)
		block_kick(unit->disk);
	unit->kick = false;
}

void scsi_unit_medium_set(struct scsi_unit *unit, struct block_disk *disk)
{
	unit->disk = disk;
	listen_to_disk(unit);
}

void scsi_unit_medium_drop(struct scsi_unit *unit)
{
	struct block_disk *disk = unit->disk;

	if (!disk)
		return;
	scsi_unit_kick(unit);		/* else it would wait for ever for what it has been given */
	unit->disk = NULL;
	unit->closing_disks++;
	block_close(disk, disk_closed, unit);
}

void scsi_unit_close(struct scsi_unit *unit, vsp_callback closed, void *context)
{
	unit->closed = closed;
	unit->closed_context = context;
	scsi_unit_medium_drop(unit);
	if (unit->closing_disks == 0)
		unit->host.ops->timer_arm(unit->host.context, &unit->close_timer, 0);
}
