/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace of a guest's bus: records one after the other, nothing before and nothing behind them, in the order in which
 * they were written. Little endian, not aligned. Written by vsp/vmbus/trace.c, read by tests/fuzz/vmbus_trace.py.
 */
#ifndef SCHEMAS_VMBUS_VMBUS_TRACE_H
#define SCHEMAS_VMBUS_VMBUS_TRACE_H

#include "vmbus/vmbus.h"

#define VMBUS_TRACE_MAGIC   0x7274737562766375ull	/* "ucvbustr" */
#define VMBUS_TRACE_VERSION 1u
#define VMBUS_TRACE_DATA_MAX 1024u	/* of the memory that a packet names */

enum vmbus_trace_kind {
	VMBUS_TRACE_START       = 1,	/* a new server, as the file begins and after each reset: vmbus_trace_start */
	VMBUS_TRACE_MESSAGE_IN  = 2,	/* of the guest: the message */
	VMBUS_TRACE_MESSAGE_OUT = 3,	/* to the guest: the message */
	VMBUS_TRACE_OPEN        = 4,	/* a channel opened: vmbus_trace_open */
	VMBUS_TRACE_CLOSE       = 5,	/* it begins to close */
	VMBUS_TRACE_PACKET_IN   = 6,	/* a device read a packet: vmbus_trace_packet */
	VMBUS_TRACE_PACKET_OUT  = 7,	/* a device sent a packet: vmbus_trace_packet */
	VMBUS_TRACE_DATA        = 8,	/* what the last packet of this channel names in a buffer of the device: the data */
};

struct vmbus_trace_record {
	uint32_t bytes;			/* with this header */
	uint16_t kind;
	uint16_t relid;			/* of the channel; 0: of none */
	uint64_t time_ns;		/* monotonic, since any moment */
};
WIRE_SIZE(struct vmbus_trace_record, 16);
WIRE_OFFSET(struct vmbus_trace_record, time_ns, 8);

struct vmbus_trace_start {
	uint64_t magic;
	uint32_t version;
	uint32_t vp_count;
};
WIRE_SIZE(struct vmbus_trace_start, 16);

struct vmbus_trace_open {
	struct vmbus_guid interface;
	struct vmbus_guid instance;
	uint16_t index;			/* 0 primary, 1.. sub-channels */
	uint16_t rsvd[3];
};
WIRE_SIZE(struct vmbus_trace_open, 40);
WIRE_OFFSET(struct vmbus_trace_open, index, 32);

/* Then the packet as it lies in the ring, descriptor included (sent ones without what pads them to 8 bytes), then the
 * first data_bytes bytes of its ranges. */
struct vmbus_trace_packet {
	uint32_t packet_bytes;
	uint32_t data_bytes;		/* at most VMBUS_TRACE_DATA_MAX */
	uint64_t range_bytes;		/* GPA direct: of all its ranges */
};
WIRE_SIZE(struct vmbus_trace_packet, 16);
WIRE_OFFSET(struct vmbus_trace_packet, range_bytes, 8);

#endif
