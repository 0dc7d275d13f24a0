/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI as the controller sees it: units that execute tasks. What a unit is (disk, DVD drive) is a table of commands.
 * Nothing here knows VMBus.
 */
#ifndef VSP_STORVSP_SCSI_H
#define VSP_STORVSP_SCSI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "block/block.h"
#include "storvsp/stats.h"

#define SCSI_CDB_BYTES         16u
#define SCSI_SENSE_BYTES       18u		/* fixed format */
#define SCSI_INQUIRY_BYTES     36u
#define SCSI_TRANSFER_MAX      (1u << 20)	/* of one command, bytes */
#define SCSI_PARAMETER_MAX     8192u		/* of one parameter list, bytes */

enum scsi_status {
	SCSI_GOOD            = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_BUSY            = 0x08,
};

/* key << 16 | additional sense code << 8 | qualifier */
enum scsi_sense {
	SENSE_NONE                       = 0x000000,
	SENSE_NOT_READY_NO_MEDIUM_CLOSED = 0x023a01,
	SENSE_NOT_READY_NO_MEDIUM_OPEN   = 0x023a02,
	SENSE_WRITE_ERROR                = 0x030c00,
	SENSE_READ_ERROR                 = 0x031100,
	SENSE_TARGET_FAILURE             = 0x044400,
	SENSE_PARAMETER_LIST_LENGTH      = 0x051a00,
	SENSE_INVALID_OPCODE             = 0x052000,
	SENSE_LBA_OUT_OF_RANGE           = 0x052100,
	SENSE_INVALID_FIELD              = 0x052400,
	SENSE_UNIT_NOT_SUPPORTED         = 0x052500,
	SENSE_INVALID_PARAMETER          = 0x052600,
	SENSE_SAVING_NOT_SUPPORTED       = 0x053900,
	SENSE_REMOVAL_PREVENTED          = 0x055302,
	SENSE_MEDIUM_CHANGED             = 0x062800,
	SENSE_POWER_ON                   = 0x062900,
	SENSE_CAPACITY_CHANGED           = 0x062a09,
	SENSE_WRITE_PROTECTED            = 0x072700,
	SENSE_SPACE_EXHAUSTED            = 0x072707,
	SENSE_MISCOMPARE                 = 0x0e1d00,
};

enum scsi_data {
	SCSI_DATA_NONE,
	SCSI_DATA_IN,		/* to the guest */
	SCSI_DATA_OUT,
};

/* Conditions that the next command learns of, once each, in this order. */
#define SCSI_ATTENTION_POWER_ON 1u
#define SCSI_ATTENTION_MEDIUM   2u
#define SCSI_ATTENTION_CAPACITY 4u

struct scsi_unit;
struct scsi_task;

typedef void (*scsi_step)(struct scsi_task *task);

struct scsi_task {
	/* From the initiator. The memory is the task's until done is called, and not touched any more then. */
	uint8_t cdb[SCSI_CDB_BYTES];
	uint8_t cdb_bytes;		/* 1..16 */
	enum scsi_data data;
	struct iovec *iov;
	unsigned iov_count;
	uint32_t bytes;			/* in iov, at most SCSI_TRANSFER_MAX; 0 for SCSI_DATA_NONE */
	void (*done)(struct scsi_task *task);	/* exactly once, possibly from inside scsi_execute */
	uint64_t arrived_ns;		/* by the host's monotonic clock */

	/* Answer */
	enum scsi_status status;
	uint8_t sense[SCSI_SENSE_BYTES];	/* valid with SCSI_CHECK_CONDITION */
	uint32_t moved;				/* bytes into or out of iov */

	/* The unit's */
	struct scsi_unit *unit;
	struct block_disk *disk;
	struct block_request request;
	scsi_step next;			/* when `request` is done without error */
	uint8_t *scratch;		/* freed with the task's end */
	struct iovec piece;		/* of scratch */
	uint64_t lba, blocks;		/* still to do, for commands of several steps */
	uint64_t compared;
	unsigned descriptor, descriptor_count;
};

#define SCSI_COMMAND_NO_ATTENTION 1u	/* runs in spite of a pending unit attention */
#define SCSI_COMMAND_MEDIUM       2u	/* fails without medium */
#define SCSI_COMMAND_WRITES       4u	/* fails without medium, and on a write-protected one */

struct scsi_command {
	uint8_t opcode;
	uint8_t cdb_bytes;
	uint8_t flags;
	void (*execute)(struct scsi_task *task);
};

struct scsi_unit_type {
	uint8_t peripheral;		/* device type of INQUIRY */
	bool removable;
	uint32_t block_bytes;		/* 0: the medium's */
	char product[17];		/* padded with spaces */
	const struct scsi_command *commands;	/* by rising opcode */
	size_t command_count;
	/* A VPD page of this type; page[0..3] is filled in. Its length, 0: there is none. */
	size_t (*vpd)(const struct scsi_unit *unit, uint8_t code, uint8_t *page);
	const uint8_t *vpd_pages;	/* rising, with those that all units have */
	size_t vpd_page_count;
};
extern const struct scsi_unit_type scsi_disk_type, scsi_dvd_type;

/* What a controller wants to know of its units. */
struct scsi_unit_events {
	void (*changed)(void *context);		/* there is a new unit attention: the guest should look */
	void (*batched)(void *context);		/* after one or several tasks were done by the disk */
	void *context;
};

struct scsi_unit {
	const struct scsi_unit_type *type;
	struct vsp_host host;
	struct scsi_unit_events events;
	struct block_disk *disk;	/* the medium, or NULL */
	uint8_t id[16];
	unsigned attention;
	bool prevent_removal;
	bool tray_open;
	bool kick;			/* the disk has submits that were not kicked */
	uint8_t media_event;		/* MMC: for the next GET EVENT STATUS NOTIFICATION */
	uint64_t batch_ns;		/* when the disk's batch under way began to be answered; 0: nobody has looked yet */
	unsigned closing_disks;
	struct vsp_timer close_timer;
	vsp_callback closed;
	void *closed_context;
	struct storvsp_lun_stats stats;
};

/* A unit with a medium (which is the unit's from now on), or for a drive none. NULL: no memory. */
struct scsi_unit *scsi_unit_new(const struct scsi_unit_type *type, const struct vsp_host *host, const uint8_t id[16],
				struct block_disk *disk, const struct scsi_unit_events *events);
/* No more tasks come. Those under way are done first; then `closed`, never from inside. */
void scsi_unit_close(struct scsi_unit *unit, vsp_callback closed, void *context);
void scsi_unit_kick(struct scsi_unit *unit);		/* ends a batch of scsi_execute */
void scsi_unit_medium_set(struct scsi_unit *unit, struct block_disk *disk);
void scsi_unit_medium_drop(struct scsi_unit *unit);	/* closes it, if there is one */

void scsi_execute(struct scsi_unit *unit, struct scsi_task *task);

/* ---- for controllers, without a unit: answers made in place; done is not called */
void scsi_set_sense(struct scsi_task *task, enum scsi_sense sense);
void scsi_reply(struct scsi_task *task, const void *data, size_t bytes, size_t allocation_length);

/* ---- for the commands: each of these that says "ends" calls done; the task is not the command's any more */
void scsi_good(struct scsi_task *task);			/* ends */
void scsi_fail(struct scsi_task *task, enum scsi_sense sense);		/* ends */
void scsi_fail_at(struct scsi_task *task, enum scsi_sense sense, uint64_t lba);	/* ends */
void scsi_fail_field(struct scsi_task *task, unsigned cdb_byte);	/* ends: invalid field in CDB */
void scsi_answer(struct scsi_task *task, const void *data, size_t bytes, size_t allocation_length);	/* ends */

/* Of the task's medium, which is there, also when the unit has let it go in between. */
uint32_t scsi_block_bytes(const struct scsi_task *task);
uint64_t scsi_blocks(const struct scsi_task *task);

/* The parameter list, at most `bytes`, copied into scratch. false: ended. */
bool scsi_parameters(struct scsi_task *task, size_t bytes);
bool scsi_scratch(struct scsi_task *task, size_t bytes);	/* false: ended */
/* Whether blocks [lba, lba + count) exist. false: ended. */
bool scsi_range_ok(struct scsi_task *task, uint64_t lba, uint64_t count);

/* Submits task->request (op, flags, iov set here) for blocks; continues with `next`, or ends with an error. */
void scsi_submit(struct scsi_task *task, enum block_op op, unsigned flags, uint64_t lba, uint64_t count, scsi_step next);
/* The same with the first `count` blocks of scratch as memory. */
void scsi_submit_scratch(struct scsi_task *task, enum block_op op, unsigned flags, uint64_t lba, uint64_t count,
			 scsi_step next);

/* Reads and writes of every length of CDB, SYNCHRONIZE CACHE, and what all units answer alike. */
void scsi_read(struct scsi_task *task);
void scsi_write(struct scsi_task *task);
void scsi_verify(struct scsi_task *task);
void scsi_synchronize_cache(struct scsi_task *task);
void scsi_test_unit_ready(struct scsi_task *task);
void scsi_request_sense(struct scsi_task *task);
void scsi_inquiry(struct scsi_task *task);
void scsi_read_capacity_10(struct scsi_task *task);
void scsi_prevent_allow(struct scsi_task *task);
void scsi_send_diagnostic(struct scsi_task *task);

/* LBA and block count of a CDB by its length. */
struct scsi_extent {
	uint64_t lba;
	uint32_t blocks;
};
struct scsi_extent scsi_extent_of(const struct scsi_task *task);

/* MODE SENSE(6) and (10): the pages of a type, current values; changeable are none. */
struct scsi_mode_page {
	uint8_t code;
	uint8_t bytes;			/* with its two-byte header */
	const uint8_t *content;		/* behind the header */
};
struct scsi_mode {
	uint8_t medium_type;
	uint8_t device_specific;
	bool block_descriptor;		/* of the medium, which is there */
	const struct scsi_mode_page *pages;	/* by rising code */
	size_t page_count;
};
void scsi_mode_sense(struct scsi_task *task, const struct scsi_mode *mode);	/* ends */

static inline uint16_t scsi_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t scsi_get32(const uint8_t *p)
{
	return (uint32_t)scsi_get16(p) << 16 | scsi_get16(p + 2);
}

static inline uint64_t scsi_get64(const uint8_t *p)
{
	return (uint64_t)scsi_get32(p) << 32 | scsi_get32(p + 4);
}

static inline void scsi_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void scsi_put32(uint8_t *p, uint32_t v)
{
	scsi_put16(p, (uint16_t)(v >> 16));
	scsi_put16(p + 2, (uint16_t)v);
}

static inline void scsi_put64(uint8_t *p, uint64_t v)
{
	scsi_put32(p, (uint32_t)(v >> 32));
	scsi_put32(p + 4, (uint32_t)v);
}

#endif
