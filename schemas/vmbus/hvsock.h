/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-V sockets: a stream is a channel of its own, a byte-mode pipe. Its offer has VMBUS_OFFER_TLNPI_PROVIDER; the
 * interface is the service that is connected to, the instance the other end. Either side ends its direction with an
 * empty packet; the host closes by rescinding the channel, and guests wait for that. Little endian.
 */
#ifndef SCHEMAS_HVSOCK_H
#define SCHEMAS_HVSOCK_H

#include "vmbus/vmbus.h"

#define HVSOCK_OFFER_FLAGS (VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE | VMBUS_OFFER_NAMED_PIPE_MODE | VMBUS_OFFER_TLNPI_PROVIDER)

/* user_defined of the offer */
struct hvsock_user_defined {
	uint32_t pipe_mode;		/* VMBUS_PIPE_MODE_BYTE */
	uint8_t guest_accepts;		/* 1: the parent connects to a service of the guest; 0: the guest asked for it */
	uint8_t guest_container;
	uint16_t version_low;		/* a u32 that is not aligned: HVSOCK_VERSION_... */
	uint16_t version_high;
	uint8_t silo[16];		/* GUID */
	uint8_t rsvd[94];
};
WIRE_SIZE(struct hvsock_user_defined, 120);
WIRE_OFFSET(struct hvsock_user_defined, guest_accepts, 4);
WIRE_OFFSET(struct hvsock_user_defined, version_low, 6);
WIRE_OFFSET(struct hvsock_user_defined, silo, 10);
#define HVSOCK_VERSION_RS5 1u

/* Start of an in-band packet's payload. `bytes` follow, padded to 8; none: the sender sends no more. */
struct hvsock_packet_header {
	uint32_t type;			/* HVSOCK_PACKET_DATA */
	uint32_t bytes;
};
WIRE_SIZE(struct hvsock_packet_header, 8);
#define HVSOCK_PACKET_DATA 1u
#define HVSOCK_BYTES_MAX   16384u	/* in a packet, in both directions */

/* The service of an AF_VSOCK port; Linux guests know no others. Ports above 0x7fffffff are no services. */
#define HVSOCK_SERVICE_OF_PORT(port) \
	((struct vmbus_guid){ (port), 0xfacb, 0x11e6, { 0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3 } })

#endif
