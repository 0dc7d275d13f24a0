/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of a channel as the guest sees it: a control page and a data area behind it, in a row. Each end owns one
 * index, kept here as a private number and only ever stored; the host's is loaded, checked, then used.
 */
#ifndef VSC_RING_H
#define VSC_RING_H

#include "guest_platform.h"

struct vsc_ring {
	struct vmbus_ring_page *control;
	uint8_t *data;
	uint32_t bytes;			/* of the data area */
	uint32_t index;			/* own: where the next packet is written, or read */
	uint32_t published;		/* what the host was told */
};

/* Zeroes the control page. `pages` counts it. */
void vsc_ring_init(struct vsc_ring *ring, void *memory, unsigned pages);

/* Bytes that a packet of this length takes, descriptor included. */
static inline uint32_t vsc_ring_packet_bytes(uint32_t length)
{
	return ((length + VMBUS_RING_ALIGN - 1) & ~(VMBUS_RING_ALIGN - 1)) + (uint32_t)sizeof(struct vmbus_packet_trailer);
}

/* ---- writing: reserve, put all of it, end, publish */

/* Is there room for a packet of this length? VSC_OK; VSC_FULL; VSC_TOO_LARGE; VSC_BROKEN. */
int vsc_ring_reserve(const struct vsc_ring *ring, uint32_t length);
void vsc_ring_put(struct vsc_ring *ring, const void *from, uint32_t bytes);
void vsc_ring_end(struct vsc_ring *ring);		/* pads, and writes the trailer */
bool vsc_ring_publish_write(struct vsc_ring *ring);	/* true: signal */
/* The host is to signal when a packet of this length fits. VSC_OK it does already; VSC_FULL; VSC_BROKEN. */
int vsc_ring_want(struct vsc_ring *ring, uint32_t length);

/* ---- reading */

/* The next packet's descriptor, checked. 1; 0; VSC_BROKEN. */
int vsc_ring_peek(const struct vsc_ring *ring, struct vmbus_packet_descriptor *out);
void vsc_ring_copy(const struct vsc_ring *ring, uint32_t offset, void *to, uint32_t bytes);	/* of the packet at hand */
void vsc_ring_consume(struct vsc_ring *ring, const struct vmbus_packet_descriptor *packet);
uint32_t vsc_ring_unpublished(const struct vsc_ring *ring);
bool vsc_ring_publish_read(struct vsc_ring *ring);	/* gives the room back; true: signal */
/* While masked the host does not interrupt. Unmasking looks again: true, something is there, and it is masked again. */
void vsc_ring_mask(struct vsc_ring *ring);
bool vsc_ring_unmask(struct vsc_ring *ring);

#endif
