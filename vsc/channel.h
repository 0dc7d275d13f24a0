/* SPDX-License-Identifier: Apache-2.0 */
/* An open channel: packets out, packets in. */
#ifndef VSC_CHANNEL_H
#define VSC_CHANNEL_H

#include "bus.h"
#include "ring.h"

struct vsc_channel {
	struct vsc_channel *next;	/* of the bus */
	struct vsc_bus *bus;
	struct vsc_ring out, in;
	uint32_t relid, connection;
	uint32_t ring_gpadl;		/* 0: not open */
	bool rescinded;			/* by the host, or with the connection: close it */
	uint64_t signals, packets_sent, packets_received;
};

/* Memory is page aligned, 2 * ring_pages long: the outgoing ring, then the incoming one, a control page each included; it
 * is the channel's until closed. The host signals that VP; VMBUS_VP_NONE: none. VSC_OK; VSC_REFUSED; VSC_GONE;
 * VSC_TIMEOUT; VSC_INVALID. */
int vsc_channel_open(struct vsc_channel *channel, struct vsc_bus *bus, const struct vsc_offer *offer, void *memory,
		     unsigned ring_pages, uint32_t vp);
/* Waits until the host has let go of the memory. */
int vsc_channel_close(struct vsc_channel *channel);
/* Another VP is signalled from now on (version 4.1; from 5.3 on the host's answer is waited for). */
int vsc_channel_retarget(struct vsc_channel *channel, uint32_t vp);

struct vsc_part {
	const void *base;
	uint32_t bytes;
};

/* VSC_OK; VSC_FULL; VSC_TOO_LARGE; VSC_BROKEN; VSC_GONE. Signals by the rules of the ring. */
int vsc_channel_send(struct vsc_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		     const struct vsc_part *parts, unsigned part_count);
/* GPA direct: the payload in the ring, `memory` by its page numbers. It begins anywhere in a page. */
int vsc_channel_send_memory(struct vsc_channel *channel, uint16_t flags, uint64_t transaction, const void *memory,
			    uint32_t bytes, const void *payload, uint32_t payload_bytes);
/* After VSC_FULL: the host will signal when so long a packet fits. VSC_OK it does already; VSC_FULL; VSC_BROKEN. */
int vsc_channel_want_room(struct vsc_channel *channel, uint32_t payload_bytes);

struct vsc_packet {
	uint16_t type, flags;
	uint64_t transaction;
	uint32_t payload_offset;	/* in the buffer: behind the whole descriptor */
	uint32_t payload_bytes;		/* padding included */
};

/* Takes the next packet and copies all of it, descriptor first, into the caller's buffer. 1; 0 none; VSC_TOO_LARGE for the
 * buffer: it stays; VSC_BROKEN; VSC_GONE. After 0 the host signals again. */
int vsc_channel_receive(struct vsc_channel *channel, struct vsc_packet *out, void *buffer, uint32_t buffer_bytes);
/* As above, but waits. VSC_TIMEOUT. */
int vsc_channel_await(struct vsc_channel *channel, struct vsc_packet *out, void *buffer, uint32_t buffer_bytes);
/* In-band with completion requested, and its completion; packets before it are dropped. */
int vsc_channel_transact(struct vsc_channel *channel, uint64_t transaction, const void *payload, uint32_t bytes,
			 struct vsc_packet *out, void *buffer, uint32_t buffer_bytes);
/* Signals whether needed or not. */
void vsc_channel_signal(struct vsc_channel *channel);

#endif
