/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* SynIC messages, event flags and the scheduler's messages to a root. TLFS web, "Inter-Partition Communication". */
#ifndef HV_SYNIC_H
#define HV_SYNIC_H

#include "hv/hv_types.h"

#define HV_SINT_COUNT            16
#define HV_STIMER_COUNT          4
#define HV_MESSAGE_BYTES         256
#define HV_MESSAGE_PAYLOAD_BYTES 240
#define HV_EVENT_FLAGS_PER_SINT  2048
#define HV_PORT_MESSAGES         16	/* that may wait at one message port */

struct hv_message {
	uint32_t type;			/* 0: slot free; bit 31: made by the hypervisor */
	uint8_t payload_bytes;
	uint8_t flags;			/* bit 0: more messages wait */
	uint16_t rsvd;
	uint64_t sender;		/* port id, or partition id for hypervisor messages */
	uint8_t payload[HV_MESSAGE_PAYLOAD_BYTES];
};
WIRE_SIZE(struct hv_message, 256);
WIRE_OFFSET(struct hv_message, payload, 16);
#define HV_MESSAGE_FLAG_PENDING 0x1u

enum hv_message_type {
	HV_MESSAGE_NONE                    = 0,
	HV_MESSAGE_GPA_UNMAPPED            = 0x80000000,
	HV_MESSAGE_GPA_INTERCEPT           = 0x80000001,
	HV_MESSAGE_TIMER_EXPIRED           = 0x80000010,
	HV_MESSAGE_INVALID_VP_REGISTER     = 0x80000020,
	HV_MESSAGE_UNRECOVERABLE_EXCEPTION = 0x80000021,
	HV_MESSAGE_UNSUPPORTED_FEATURE     = 0x80000022,
	HV_MESSAGE_OPAQUE_INTERCEPT        = 0x8000003f,
	HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR = 0x80000101,
	HV_MESSAGE_IO_PORT                 = 0x80010000,
	HV_MESSAGE_MSR                     = 0x80010001,
	HV_MESSAGE_CPUID                   = 0x80010002,
	HV_MESSAGE_EXCEPTION               = 0x80010003,
	HV_MESSAGE_APIC_EOI                = 0x80010004,
	HV_MESSAGE_HALT                    = 0x80010007,
};

struct hv_timer_message {
	uint32_t timer_index;
	uint32_t rsvd;
	uint64_t expiration_time;	/* 100 ns reference time */
	uint64_t delivery_time;
};
WIRE_SIZE(struct hv_timer_message, 24);

/* Root scheduler: these blocked VPs can run again. Vp_count pairs; overflow_count says how many did not fit. */
#define HV_VP_SIGNAL_PAIR_MAX 19
struct hv_vp_signal_pair_message {
	uint32_t overflow_count;
	uint8_t vp_count;
	uint8_t rsvd[3];
	uint64_t partition_ids[HV_VP_SIGNAL_PAIR_MAX];
	uint32_t vp_indexes[HV_VP_SIGNAL_PAIR_MAX];
	uint8_t rsvd2[4];
};
WIRE_SIZE(struct hv_vp_signal_pair_message, 240);

/* Reference TSC page: time = ((TSC * scale) >> 64) + offset, in 100 ns; sequence 0 = not valid. */
struct hv_reference_tsc_page {
	uint32_t sequence;
	uint32_t rsvd;
	uint64_t scale;
	int64_t offset;
	uint64_t rsvd2[509];
};
WIRE_SIZE(struct hv_reference_tsc_page, 4096);

#endif
