/* SPDX-License-Identifier: Apache-2.0 */
/* VMBus: channel messages, ring packets and offers as they lie in memory. Little endian. */
#ifndef SCHEMAS_VMBUS_H
#define SCHEMAS_VMBUS_H

#include "hv/hv_types.h"

/* As in memory: the first three fields of the printed form are little endian. */
struct vmbus_guid {
	uint32_t a;
	uint16_t b, c;
	uint8_t d[8];
};
WIRE_SIZE(struct vmbus_guid, 16);

enum vmbus_packet_type {
	VMBUS_PACKET_IN_BAND        = 0x6,
	VMBUS_PACKET_TRANSFER_PAGES = 0x7,
	VMBUS_PACKET_GPA_DIRECT     = 0x9,
	VMBUS_PACKET_COMPLETION     = 0xb,
};
#define VMBUS_PACKET_FLAG_COMPLETION_REQUESTED 1u

/* ---- where things are */

#define VMBUS_SINT                2u
#define VMBUS_MESSAGE_TYPE        1u	/* SynIC message type of channel messages */
#define VMBUS_MESSAGE_BYTES_MAX   240u
#define VMBUS_CONNECTION_MESSAGE  1u	/* contact below 5.0, and what follows a contact */
#define VMBUS_CONNECTION_MESSAGE4 4u	/* contact from 5.0 on */
#define VMBUS_CONNECTION_CHANNELS 0x2000u	/* + relid: HvSignalEvent of a channel */
#define VMBUS_RELID_MAX           2047u	/* event flags of one SINT */
#define VMBUS_VP_NONE             0xffffffffu	/* target VP: never interrupt */

/* ---- versions: major << 16 | minor */

#define VMBUS_VERSION_WIN8       0x00020004u
#define VMBUS_VERSION_WIN8_1     0x00030000u
#define VMBUS_VERSION_WIN10      0x00040000u
#define VMBUS_VERSION_WIN10_V4_1 0x00040001u
#define VMBUS_VERSION_WIN10_V5   0x00050000u
#define VMBUS_VERSION_WIN10_V5_1 0x00050001u
#define VMBUS_VERSION_WIN10_V5_2 0x00050002u
#define VMBUS_VERSION_WIN10_V5_3 0x00050003u
#define VMBUS_VERSION_WIN10_V6_0 0x00060000u

/* ---- channel messages */

enum vmbus_message_type {
	VMBUS_OFFER_CHANNEL           = 1,
	VMBUS_RESCIND_CHANNEL_OFFER   = 2,
	VMBUS_REQUEST_OFFERS          = 3,
	VMBUS_ALL_OFFERS_DELIVERED    = 4,
	VMBUS_OPEN_CHANNEL            = 5,
	VMBUS_OPEN_CHANNEL_RESULT     = 6,
	VMBUS_CLOSE_CHANNEL           = 7,
	VMBUS_GPADL_HEADER            = 8,
	VMBUS_GPADL_BODY              = 9,
	VMBUS_GPADL_CREATED           = 10,
	VMBUS_GPADL_TEARDOWN          = 11,
	VMBUS_GPADL_TORNDOWN          = 12,
	VMBUS_RELID_RELEASED          = 13,
	VMBUS_INITIATE_CONTACT        = 14,
	VMBUS_VERSION_RESPONSE        = 15,
	VMBUS_UNLOAD                  = 16,
	VMBUS_UNLOAD_RESPONSE         = 17,
	VMBUS_TL_CONNECT_REQUEST      = 21,
	VMBUS_MODIFY_CHANNEL          = 22,
	VMBUS_TL_CONNECT_RESULT       = 23,
	VMBUS_MODIFY_CHANNEL_RESPONSE = 24,
	VMBUS_MESSAGE_TYPE_COUNT      = 25,
};

/* Statuses in answers are NTSTATUS values; a guest looks for zero. */
#define VMBUS_STATUS_SUCCESS                0u
#define VMBUS_STATUS_UNSUCCESSFUL           0xc0000001u
#define VMBUS_STATUS_INVALID_PARAMETER      0xc000000du
#define VMBUS_STATUS_INSUFFICIENT_RESOURCES 0xc000009au
#define VMBUS_STATUS_CONNECTION_REFUSED     0xc0000236u

struct vmbus_message_header {
	uint32_t type;
	uint32_t rsvd;
};
WIRE_SIZE(struct vmbus_message_header, 8);

/* OFFERCHANNEL */
struct vmbus_offer_message {
	struct vmbus_message_header header;
	struct vmbus_guid interface;
	struct vmbus_guid instance;
	uint8_t rsvd1[16];
	uint16_t flags;			/* VMBUS_OFFER_... */
	uint16_t mmio_megabytes;
	uint8_t user_defined[120];	/* pipes: u32 pipe mode first */
	uint16_t sub_channel_index;	/* 0: primary */
	uint16_t mmio_megabytes_optional;
	uint32_t relid;
	uint8_t monitor_id;
	uint8_t monitor_allocated;	/* bit 0 */
	uint16_t dedicated_interrupt;	/* bit 0 */
	uint32_t connection_id;		/* what the guest signals */
};
WIRE_SIZE(struct vmbus_offer_message, 196);
WIRE_OFFSET(struct vmbus_offer_message, flags, 56);
WIRE_OFFSET(struct vmbus_offer_message, mmio_megabytes, 58);
WIRE_OFFSET(struct vmbus_offer_message, user_defined, 60);
WIRE_OFFSET(struct vmbus_offer_message, sub_channel_index, 180);
WIRE_OFFSET(struct vmbus_offer_message, relid, 184);
WIRE_OFFSET(struct vmbus_offer_message, monitor_id, 188);
WIRE_OFFSET(struct vmbus_offer_message, monitor_allocated, 189);
WIRE_OFFSET(struct vmbus_offer_message, dedicated_interrupt, 190);
WIRE_OFFSET(struct vmbus_offer_message, connection_id, 192);

/* RESCIND_CHANNELOFFER, CLOSECHANNEL, RELID_RELEASED */
struct vmbus_relid_message {
	struct vmbus_message_header header;
	uint32_t relid;
};
WIRE_SIZE(struct vmbus_relid_message, 12);
WIRE_OFFSET(struct vmbus_relid_message, relid, 8);

struct vmbus_open_message {
	struct vmbus_message_header header;
	uint32_t relid;
	uint32_t open_id;
	uint32_t ring_gpadl;
	uint32_t target_vp;		/* VMBUS_VP_NONE: no interrupts */
	uint32_t downstream_page;	/* pages of the GPADL before the host -> guest ring */
	uint8_t user_data[120];
};
WIRE_SIZE(struct vmbus_open_message, 148);
WIRE_OFFSET(struct vmbus_open_message, relid, 8);
WIRE_OFFSET(struct vmbus_open_message, open_id, 12);
WIRE_OFFSET(struct vmbus_open_message, ring_gpadl, 16);
WIRE_OFFSET(struct vmbus_open_message, target_vp, 20);
WIRE_OFFSET(struct vmbus_open_message, downstream_page, 24);
WIRE_OFFSET(struct vmbus_open_message, user_data, 28);

struct vmbus_open_result_message {
	struct vmbus_message_header header;
	uint32_t relid;
	uint32_t open_id;
	uint32_t status;
};
WIRE_SIZE(struct vmbus_open_result_message, 20);
WIRE_OFFSET(struct vmbus_open_result_message, status, 16);

/* Behind the header lie range_count ranges: vmbus_gpa_range_header, then a u64 page number for each page it touches.
 * Not aligned. */
struct vmbus_gpadl_header_message {
	struct vmbus_message_header header;
	uint32_t relid;
	uint32_t gpadl;
	uint16_t range_bytes;		/* of all ranges, in this message and the bodies that follow */
	uint16_t range_count;
};
WIRE_SIZE(struct vmbus_gpadl_header_message, 20);
WIRE_OFFSET(struct vmbus_gpadl_header_message, range_bytes, 16);
WIRE_OFFSET(struct vmbus_gpadl_header_message, range_count, 18);

struct vmbus_gpa_range_header {
	uint32_t bytes;
	uint32_t offset;		/* in the first page */
};
WIRE_SIZE(struct vmbus_gpa_range_header, 8);

struct vmbus_gpadl_body_message {
	struct vmbus_message_header header;
	uint32_t message_number;	/* guests leave it 0 */
	uint32_t gpadl;
};
WIRE_SIZE(struct vmbus_gpadl_body_message, 16);
WIRE_OFFSET(struct vmbus_gpadl_body_message, message_number, 8);
WIRE_OFFSET(struct vmbus_gpadl_body_message, gpadl, 12);

struct vmbus_gpadl_created_message {
	struct vmbus_message_header header;
	uint32_t relid;
	uint32_t gpadl;
	uint32_t status;
};
WIRE_SIZE(struct vmbus_gpadl_created_message, 20);
WIRE_OFFSET(struct vmbus_gpadl_created_message, status, 16);

struct vmbus_gpadl_teardown_message {
	struct vmbus_message_header header;
	uint32_t relid;
	uint32_t gpadl;
};
WIRE_SIZE(struct vmbus_gpadl_teardown_message, 16);
WIRE_OFFSET(struct vmbus_gpadl_teardown_message, gpadl, 12);

struct vmbus_gpadl_torndown_message {
	struct vmbus_message_header header;
	uint32_t gpadl;
};
WIRE_SIZE(struct vmbus_gpadl_torndown_message, 12);
WIRE_OFFSET(struct vmbus_gpadl_torndown_message, gpadl, 8);

struct vmbus_contact_message {
	struct vmbus_message_header header;
	uint32_t version;
	uint32_t target_vp;		/* messages go there */
	uint8_t sint;			/* sint .. feature_flags from 5.0 on; below: GPA of the interrupt page */
	uint8_t vtl;
	uint16_t rsvd;
	uint32_t feature_flags;
	uint64_t monitor_page1;		/* GPAs */
	uint64_t monitor_page2;
};
WIRE_SIZE(struct vmbus_contact_message, 40);
WIRE_OFFSET(struct vmbus_contact_message, version, 8);
WIRE_OFFSET(struct vmbus_contact_message, target_vp, 12);
WIRE_OFFSET(struct vmbus_contact_message, sint, 16);
WIRE_OFFSET(struct vmbus_contact_message, monitor_page1, 24);
WIRE_OFFSET(struct vmbus_contact_message, monitor_page2, 32);

struct vmbus_version_response_message {
	struct vmbus_message_header header;
	uint8_t supported;
	uint8_t connection_state;
	uint16_t rsvd;
	uint32_t connection_id;		/* from 5.0 on where to post; below: the version */
};
WIRE_SIZE(struct vmbus_version_response_message, 16);
WIRE_OFFSET(struct vmbus_version_response_message, supported, 8);
WIRE_OFFSET(struct vmbus_version_response_message, connection_state, 9);
WIRE_OFFSET(struct vmbus_version_response_message, connection_id, 12);

/* From 6.0 on: which of the contact's feature flags hold. */
struct vmbus_version_response_message_v6 {
	struct vmbus_version_response_message response;
	uint32_t feature_flags;
};
WIRE_SIZE(struct vmbus_version_response_message_v6, 20);
WIRE_OFFSET(struct vmbus_version_response_message_v6, feature_flags, 16);

/* The guest connects to a socket of the parent. What is behind that, in longer ones, is a silo's id. */
struct vmbus_tl_connect_message {
	struct vmbus_message_header header;
	struct vmbus_guid endpoint;	/* the guest's: instance of the offer that it waits for */
	struct vmbus_guid service;	/* the parent's: interface of that offer */
};
WIRE_SIZE(struct vmbus_tl_connect_message, 40);
WIRE_OFFSET(struct vmbus_tl_connect_message, endpoint, 8);
WIRE_OFFSET(struct vmbus_tl_connect_message, service, 24);

/* Only when there will be no offer. */
struct vmbus_tl_connect_result_message {
	struct vmbus_message_header header;
	struct vmbus_guid endpoint;
	struct vmbus_guid service;
	uint32_t status;
};
WIRE_SIZE(struct vmbus_tl_connect_result_message, 44);
WIRE_OFFSET(struct vmbus_tl_connect_result_message, status, 40);

struct vmbus_modify_message {
	struct vmbus_message_header header;
	uint32_t relid;
	uint32_t target_vp;
};
WIRE_SIZE(struct vmbus_modify_message, 16);
WIRE_OFFSET(struct vmbus_modify_message, target_vp, 12);

struct vmbus_modify_response_message {
	struct vmbus_message_header header;
	uint32_t relid;
	uint32_t status;
};
WIRE_SIZE(struct vmbus_modify_response_message, 16);
WIRE_OFFSET(struct vmbus_modify_response_message, status, 12);

/* ---- rings: a control page, then the data area, in each direction */

struct vmbus_ring_page {
	uint32_t write_index;		/* the producer's: offset in the data area, a multiple of 8 */
	uint32_t read_index;		/* the consumer's */
	uint32_t interrupt_mask;	/* the consumer's: 1 = no signals for new data */
	uint32_t pending_send_bytes;	/* the producer's: it waits until more than this is free; 0: it does not wait */
	uint32_t rsvd1[12];
	uint32_t feature_bits;		/* the producer's */
	uint8_t rsvd2[4028];
};
WIRE_SIZE(struct vmbus_ring_page, 4096);
WIRE_OFFSET(struct vmbus_ring_page, write_index, 0);
WIRE_OFFSET(struct vmbus_ring_page, read_index, 4);
WIRE_OFFSET(struct vmbus_ring_page, interrupt_mask, 8);
WIRE_OFFSET(struct vmbus_ring_page, pending_send_bytes, 12);
WIRE_OFFSET(struct vmbus_ring_page, feature_bits, 64);
#define VMBUS_RING_FEATURE_PENDING_SEND 0x1u	/* the owner uses pending_send_bytes, here and in the other direction */
#define VMBUS_RING_ALIGN                8u

/* A packet: descriptor, payload padded to 8 bytes, trailer. Equal indices mean empty, so a ring is never filled up. */
struct vmbus_packet_descriptor {
	uint16_t type;			/* enum vmbus_packet_type */
	uint16_t payload_offset8;	/* where the payload starts, in units of 8 bytes */
	uint16_t length8;		/* whole packet without trailer, in units of 8 bytes */
	uint16_t flags;
	uint64_t transaction;
};
WIRE_SIZE(struct vmbus_packet_descriptor, 16);
WIRE_OFFSET(struct vmbus_packet_descriptor, transaction, 8);

/* Behind the descriptor of a GPA-direct packet; the ranges follow: vmbus_gpa_range_header and its page numbers. */
struct vmbus_gpa_direct_header {
	struct vmbus_packet_descriptor descriptor;
	uint32_t rsvd;
	uint32_t range_count;
};
WIRE_SIZE(struct vmbus_gpa_direct_header, 24);
WIRE_OFFSET(struct vmbus_gpa_direct_header, range_count, 20);

/* Transfer pages: vmbus_transfer_page_range follow. */
struct vmbus_transfer_page_header {
	struct vmbus_packet_descriptor descriptor;
	uint16_t set_id;
	uint8_t sender_owns_set;
	uint8_t rsvd;
	uint32_t range_count;
};
WIRE_SIZE(struct vmbus_transfer_page_header, 24);
WIRE_OFFSET(struct vmbus_transfer_page_header, set_id, 16);
WIRE_OFFSET(struct vmbus_transfer_page_header, range_count, 20);

struct vmbus_transfer_page_range {
	uint32_t bytes;
	uint32_t offset;		/* in the page set */
};
WIRE_SIZE(struct vmbus_transfer_page_range, 8);

struct vmbus_packet_trailer {
	uint32_t rsvd;
	uint32_t start;			/* write index at which the packet started */
};
WIRE_SIZE(struct vmbus_packet_trailer, 8);

/* Offer flags */
#define VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE 0x0001u
#define VMBUS_OFFER_NAMED_PIPE_MODE            0x0010u
#define VMBUS_OFFER_TLNPI_PROVIDER             0x2000u

#define VMBUS_PIPE_MODE_BYTE    0u
#define VMBUS_PIPE_MODE_MESSAGE 4u

#endif
