/* SPDX-License-Identifier: Apache-2.0 */
/* A synthetic SCSI controller from the guest's side (storvsc): any number of commands in flight, and a disk on top. */
#ifndef VSC_SCSI_CLIENT_H
#define VSC_SCSI_CLIENT_H

#include "channel.h"
#include "vmbus/storvsc.h"

extern const struct vmbus_guid vsc_scsi_interface;

struct vsc_scsi {
	struct vsc_channel channel;
	uint16_t version;		/* STORVSC_VERSION_... */
	uint16_t sub_channels_max;
	uint32_t transfer_max;		/* bytes of one command */
	unsigned changes;		/* times that the host said: look what is there */
	uint64_t next_transaction;
};

/* Opens the channel and agrees on a version. As vsc_channel_open; VSC_BROKEN: answers that make no sense. */
int vsc_scsi_open(struct vsc_scsi *scsi, struct vsc_bus *bus, const struct vsc_offer *offer, void *rings,
		  unsigned ring_pages);
int vsc_scsi_close(struct vsc_scsi *scsi);

/* Asks for so many sub-channels: their offers come with vsc_bus_poll. VSC_REFUSED. */
int vsc_scsi_ask_sub_channels(struct vsc_scsi *scsi, unsigned count);
/* A sub-channel as a controller of its own, which takes commands for the same units. As vsc_channel_open. */
int vsc_scsi_open_sub_channel(struct vsc_scsi *sub, const struct vsc_scsi *scsi, const struct vsc_offer *offer, void *rings,
			      unsigned ring_pages);

struct vsc_scsi_command {
	uint64_t transaction;		/* comes back with the result */
	uint8_t lun;
	uint8_t cdb_bytes;
	uint8_t cdb[STORVSC_CDB_BYTES];
	uint8_t direction;		/* SRB_DATA_... */
	void *memory;			/* the command's until its result is there */
	uint32_t bytes;
};

struct vsc_scsi_result {
	uint64_t transaction;
	uint8_t srb_status;
	uint8_t scsi_status;		/* 0: good */
	uint8_t sense_bytes;
	uint8_t sense[STORVSC_SENSE_BYTES];
	uint32_t moved;
};

/* VSC_OK; VSC_FULL reap first; as vsc_channel_send. */
int vsc_scsi_submit(struct vsc_scsi *scsi, const struct vsc_scsi_command *command);
/* 1; 0 none yet; VSC_BROKEN; VSC_GONE. */
int vsc_scsi_reap(struct vsc_scsi *scsi, struct vsc_scsi_result *out);
/* One command with nothing else in flight. VSC_OK whatever the unit says. */
int vsc_scsi_execute(struct vsc_scsi *scsi, struct vsc_scsi_command *command, struct vsc_scsi_result *out);

/* ---- a disk: one command at a time; `last` says why something was VSC_REFUSED */

#define VSC_INQUIRY_BYTES 36u
#define VSC_SCRATCH_BYTES 64u

struct vsc_disk {
	struct vsc_scsi *scsi;
	uint8_t lun;
	uint8_t *scratch;
	uint64_t blocks;
	uint32_t block_bytes;
	struct vsc_scsi_result last;
};

/* READ CAPACITY (16), into *disk. The scratch memory, of VSC_SCRATCH_BYTES, is kept: what the host writes goes there. */
int vsc_disk_open(struct vsc_disk *disk, struct vsc_scsi *scsi, uint8_t lun, void *scratch);
/* The unit's INQUIRY data. */
int vsc_disk_inquiry(struct vsc_disk *disk, uint8_t out[VSC_INQUIRY_BYTES]);
int vsc_disk_read(struct vsc_disk *disk, uint64_t block, uint32_t count, void *memory);
int vsc_disk_write(struct vsc_disk *disk, uint64_t block, uint32_t count, const void *memory);
int vsc_disk_flush(struct vsc_disk *disk);

/* A command for blocks of a disk, to be submitted. */
void vsc_disk_command(const struct vsc_disk *disk, bool write, uint64_t block, uint32_t count, void *memory,
		      struct vsc_scsi_command *out);

#endif
