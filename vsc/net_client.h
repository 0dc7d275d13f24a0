/* SPDX-License-Identifier: Apache-2.0 */
/* A synthetic network adapter from the guest's side (netvsc): one queue, frames by the send and the receive buffer. */
#ifndef VSC_NET_CLIENT_H
#define VSC_NET_CLIENT_H

#include "channel.h"
#include "vmbus/netvsc.h"

#define VSC_NIC_SECTIONS_MAX 256u
#define VSC_NIC_REPLY_BYTES  256u

extern const struct vmbus_guid vsc_nic_interface;

/* Page aligned, in whole pages; the adapter's until closed. */
struct vsc_nic_memory {
	void *rings;			/* 2 * ring_pages */
	unsigned ring_pages;
	void *receive, *send;
	uint32_t receive_bytes, send_bytes;
	void *control;			/* one page */
	void *packet;			/* any alignment of 8: takes the longest packet of the host's */
	uint32_t packet_bytes;
};

struct vsc_nic;
/* The frame lies in shared memory and is valid during the call. */
typedef void (*vsc_nic_receiver)(void *context, const uint8_t *frame, uint32_t bytes);

struct vsc_nic {
	struct vsc_channel channel;
	struct vsc_nic_memory memory;
	vsc_nic_receiver receiver;
	void *context;
	uint32_t version;		/* NVSP_VERSION_... */
	uint8_t mac[6];
	uint32_t receive_gpadl, send_gpadl;
	uint32_t section_bytes, section_count;	/* of the send buffer */
	uint32_t sections_used[VSC_NIC_SECTIONS_MAX / 32];
	uint32_t sections_in_flight;
	uint32_t next_request;
	uint32_t awaited_request;	/* 0: none */
	uint32_t reply_bytes;		/* of the awaited one; 0: not there yet */
	uint8_t reply[VSC_NIC_REPLY_BYTES];
	bool owes;			/* a transfer that is not yet given back, because the ring was full */
	uint64_t owed_transaction;
	uint64_t frames_sent, frames_received, failures;
	bool link_up;
};

/* Opens the channel, agrees on versions, hands over the buffers, initializes RNDIS, asks the address, and lets frames in.
 * As vsc_channel_open; VSC_REFUSED; VSC_BROKEN. */
int vsc_nic_open(struct vsc_nic *nic, struct vsc_bus *bus, const struct vsc_offer *offer,
		 const struct vsc_nic_memory *memory, vsc_nic_receiver receiver, void *context);
int vsc_nic_close(struct vsc_nic *nic);

/* Copies the frame. VSC_OK; VSC_FULL poll first; VSC_TOO_LARGE for a section; as vsc_channel_send. */
int vsc_nic_send(struct vsc_nic *nic, const void *frame, uint32_t bytes);
/* Takes everything that has come. VSC_OK; VSC_BROKEN; VSC_GONE. */
int vsc_nic_poll(struct vsc_nic *nic);

/* An RNDIS query or set. The answer's information into out (may be NULL). VSC_REFUSED: its status. */
int vsc_nic_query(struct vsc_nic *nic, uint32_t oid, void *out, uint32_t bytes);
int vsc_nic_set(struct vsc_nic *nic, uint32_t oid, const void *value, uint32_t bytes);

#endif
