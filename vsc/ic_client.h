/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's side of an integration component: agrees on versions and answers shutdown, heartbeat, time synchronization. */
#ifndef VSC_IC_CLIENT_H
#define VSC_IC_CLIENT_H

#include "channel.h"
#include "vmbus/ic.h"

#define VSC_IC_PACKET_BYTES 4096u	/* none of these components sends more */

extern const struct vmbus_guid vsc_heartbeat_interface, vsc_shutdown_interface, vsc_timesync_interface;

struct vsc_ic {
	struct vsc_channel channel;
	uint8_t *packet;		/* VSC_IC_PACKET_BYTES, 8-byte aligned */
	struct ic_version framework, message;	/* 0.0: not agreed */
	uint64_t requests;		/* answered, negotiations not counted */
	uint64_t refused;		/* of them: unknown kinds, nonsense */
	/* What the host said last. */
	bool shutdown_asked;		/* answered with yes: now it is the guest's to do it */
	uint32_t shutdown_flags;	/* IC_SHUTDOWN_... */
	uint64_t heartbeats;
	uint64_t wall_time;		/* 100 ns since 1601; 0: never told */
	uint64_t reference_time;	/* from message version 4.0 on */
	uint8_t timesync_flags;
};

/* As vsc_channel_open. */
int vsc_ic_open(struct vsc_ic *ic, struct vsc_bus *bus, const struct vsc_offer *offer, void *rings, unsigned ring_pages,
		void *packet);
int vsc_ic_close(struct vsc_ic *ic);
/* Answers what has come. VSC_OK; VSC_BROKEN; VSC_GONE; VSC_FULL the host does not read its answers. */
int vsc_ic_poll(struct vsc_ic *ic);

#endif
