/* SPDX-License-Identifier: Apache-2.0 */
/* Storage over VMBus: packets of a SCSI controller's channels as they lie in memory. Little endian; CDB, sense as SCSI. */
#ifndef SCHEMAS_STORVSC_H
#define SCHEMAS_STORVSC_H

#include "hv/hv_types.h"

#define STORVSC_CDB_BYTES   16u
#define STORVSC_SENSE_BYTES 20u

/* The interface {ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}, for a struct vmbus_guid */
#define STORVSC_SCSI_INTERFACE \
	{ 0xba6163d9u, 0x04a1, 0x4d29, { 0xb6, 0x05, 0x72, 0xe2, 0xff, 0xb1, 0xdc, 0x7f } }

enum storvsc_operation {
	STORVSC_COMPLETE_IO            = 1,	/* every answer */
	STORVSC_REMOVE_DEVICE          = 2,	/* to the guest, unasked: a unit has gone */
	STORVSC_EXECUTE_SRB            = 3,
	STORVSC_RESET_LUN              = 4,
	STORVSC_RESET_ADAPTER          = 5,
	STORVSC_RESET_BUS              = 6,
	STORVSC_BEGIN_INITIALIZATION   = 7,
	STORVSC_END_INITIALIZATION     = 8,
	STORVSC_QUERY_PROTOCOL_VERSION = 9,
	STORVSC_QUERY_PROPERTIES       = 10,
	STORVSC_ENUMERATE_BUS          = 11,	/* to the guest, unasked: look what is there */
	STORVSC_FCHBA_DATA             = 12,
	STORVSC_CREATE_SUB_CHANNELS    = 13,
};

/* Versions of the protocol whose packets are 64 bytes long. */
#define STORVSC_VERSION_WIN8   0x0501u
#define STORVSC_VERSION_WIN8_1 0x0600u
#define STORVSC_VERSION_WIN10  0x0602u

#define STORVSC_PROPERTY_MULTI_CHANNEL 1u

/* NTSTATUS in an answer */
#define STORVSC_STATUS_SUCCESS              0u
#define STORVSC_STATUS_INVALID_PARAMETER    0xc000000du
#define STORVSC_STATUS_INVALID_DEVICE_STATE 0xc0000184u
#define STORVSC_STATUS_NOT_SUPPORTED        0xc00000bbu
#define STORVSC_STATUS_REVISION_MISMATCH    0xc0000059u

/* srb_status */
#define SRB_STATUS_SUCCESS         0x01u
#define SRB_STATUS_ERROR           0x04u
#define SRB_STATUS_INVALID_REQUEST 0x06u
#define SRB_STATUS_INVALID_LUN     0x20u
#define SRB_STATUS_AUTOSENSE_VALID 0x80u	/* added to the others */

/* data_in */
#define SRB_DATA_OUT  0u
#define SRB_DATA_IN   1u
#define SRB_DATA_NONE 2u

struct storvsc_srb {
	uint16_t length;
	uint8_t srb_status;
	uint8_t scsi_status;
	uint8_t port;
	uint8_t path_id;
	uint8_t target_id;
	uint8_t lun;
	uint8_t cdb_length;
	uint8_t sense_info_length;	/* in: room; out: valid */
	uint8_t data_in;
	uint8_t rsvd1;
	uint32_t data_transfer_length;	/* in: asked; out: moved */
	uint8_t cdb_or_sense[STORVSC_SENSE_BYTES];	/* in: CDB; out: sense data */
	uint16_t rsvd2;
	uint8_t queue_tag;
	uint8_t queue_action;
	uint32_t srb_flags;
	uint32_t time_out_value;
	uint32_t queue_sort_key;
};
WIRE_SIZE(struct storvsc_srb, 52);
WIRE_OFFSET(struct storvsc_srb, cdb_length, 8);
WIRE_OFFSET(struct storvsc_srb, data_in, 10);
WIRE_OFFSET(struct storvsc_srb, data_transfer_length, 12);
WIRE_OFFSET(struct storvsc_srb, cdb_or_sense, 16);
WIRE_OFFSET(struct storvsc_srb, queue_tag, 38);
WIRE_OFFSET(struct storvsc_srb, srb_flags, 40);
WIRE_OFFSET(struct storvsc_srb, time_out_value, 44);

struct storvsc_version {
	uint16_t version;
	uint16_t revision;
};
WIRE_SIZE(struct storvsc_version, 4);

struct storvsc_properties {
	uint32_t rsvd1;
	uint16_t max_channel_count;	/* sub-channels */
	uint16_t rsvd2;
	uint32_t flags;
	uint32_t max_transfer_bytes;	/* a multiple of 4096 */
	uint32_t rsvd3[2];		/* one 64-bit field, not aligned in the packet */
};
WIRE_SIZE(struct storvsc_properties, 24);
WIRE_OFFSET(struct storvsc_properties, max_channel_count, 4);
WIRE_OFFSET(struct storvsc_properties, flags, 8);
WIRE_OFFSET(struct storvsc_properties, max_transfer_bytes, 12);

struct storvsc_packet {
	uint32_t operation;
	uint32_t flags;
	uint32_t status;
	union {
		struct storvsc_srb srb;
		struct storvsc_version version;
		struct storvsc_properties properties;
		uint16_t sub_channel_count;
	};
};
WIRE_SIZE(struct storvsc_packet, 64);
WIRE_OFFSET(struct storvsc_packet, srb, 12);

#endif
