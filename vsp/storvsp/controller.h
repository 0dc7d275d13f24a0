/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's inside, shared by storvsp.c (channels and requests) and units.c (what is attached). */
#ifndef VSP_STORVSP_CONTROLLER_H
#define VSP_STORVSP_CONTROLLER_H

#include "storvsp/scsi.h"
#include "storvsp/storvsp.h"
#include "vmbus/storvsc.h"

enum storvsp_phase {
	PHASE_IDLE,		/* nothing was said yet */
	PHASE_INITIALIZING,
	PHASE_VERSION_AGREED,
	PHASE_READY,
};

struct storvsp_channel;

/* Of a unit, for its end. */
struct detachment {
	struct storvsp *storvsp;
	vsp_callback done;
	void *context;
};

struct storvsp_request {
	struct scsi_task task;		/* first */
	struct storvsp_channel *channel;
	struct storvsp_request *before, *after;	/* by arrival, over all channels */
	struct storvsp_request *next;	/* free, or waiting to be sent */
	uint64_t transaction;
	struct storvsc_packet packet;	/* the guest's at first, then the answer */
	struct iovec *iov;		/* kept for the next request */
	unsigned iov_room;
};

struct storvsp_channel {
	struct storvsp *storvsp;
	struct vmbus_channel *vmbus;
	struct storvsp_channel *next;
	struct storvsp_request *free;
	struct storvsp_request *unsent, **unsent_end;
	unsigned in_use;		/* requests that are not free */
	uint64_t batch_ns;		/* when the packets of the last batch were found in the ring */
	bool primary;
	bool pumping, closing;
	bool throttled;			/* more to do, as soon as a request is done */
	bool to_flush;			/* completions were sent since the last flush */
	struct vsp_timer again;
	struct storvsp_request requests[STORVSP_QUEUE_DEPTH];
};

struct storvsp {
	struct vmbus_server *server;
	struct vsp_host host;
	struct vmbus_device device;
	unsigned sub_channels_max;
	enum storvsp_phase phase;
	struct scsi_unit *units[STORVSP_LUN_COUNT];
	struct detachment *detachments[STORVSP_LUN_COUNT];	/* of each unit, for its end */
	struct storvsp_channel *channels;
	struct storvsp_request *oldest, *newest;
	bool tell_removed, tell_enumerate;
	struct storvsp_request *growing;	/* asks for sub-channels: a matter of the bus' thread */
	struct vsp_timer grow_timer;

	bool destroying;
	unsigned closing_units;		/* and one while storvsp_destroy itself is at work */
	struct vsp_timer destroy_timer;
	vsp_callback destroyed;
	void *destroyed_context;
};

/* What the guest is to hear of, as soon as it can: storvsp->tell_removed, tell_enumerate. */
void storvsp_tell_news(struct storvsp *storvsp);
void storvsp_flush(struct storvsp *storvsp);
/* One of closing_units is gone. */
void storvsp_unit_gone(struct storvsp *storvsp);

#endif
