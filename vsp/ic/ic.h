/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame that all integration components share: the offer, the negotiation of versions when the guest opens the
 * channel, one request at a time with its answer or its time-out. The components stand on top of it: heartbeat.h,
 * shutdown.h, timesync.h, kvp.h, vss.h, fcopy.h.
 *
 * At most one request is out, because guests read one packet for each interrupt. A request that timed out is still in
 * the way until the guest has read it: until then new ones are refused, not queued behind it. The negotiation is such
 * a request too: a guest whose daemon does not run leaves it unread for as long as it likes.
 *
 * The owner of a component gives ic->device to vmbus_device_add, and keeps the component in place until the device is
 * removed. It must not remove the device from a callback.
 */
#ifndef VSP_IC_IC_H
#define VSP_IC_IC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host.h"
#include "vmbus/channel.h"
#include "vmbus/ic.h"

#define IC_SECOND_NS 1000000000ull

enum ic_phase {
	IC_CLOSED,		/* no channel */
	IC_NEGOTIATING,
	IC_READY,
	IC_MISMATCH,		/* no version in common: nothing more until the guest opens again */
	IC_BROKEN,		/* the guest broke the ring: nothing more until the guest opens again */
	IC_PHASE_COUNT
};

enum ic_waiting {
	IC_WAITING_NONE,
	IC_WAITING_ANSWER,
	IC_WAITING_LATE,	/* timed out; the guest has not read it yet */
	IC_WAITING_COUNT
};

/* All that has to be kept to go on with an open channel. */
struct ic_state {
	uint8_t phase;			/* enum ic_phase */
	uint8_t waiting;		/* enum ic_waiting */
	uint8_t transaction;		/* of the last request */
	bool paused;
	struct ic_version framework, message;
	uint64_t timeout_ns;		/* of the last request */
	uint64_t room_empty;		/* room of a ring in which nothing of ours is unread */
};

struct ic_answer {
	int error;			/* 0; -ETIMEDOUT, then the rest is empty */
	uint32_t status;		/* HRESULT */
	const uint8_t *body;
	size_t body_bytes;
};

struct ic;

/* What makes a frame a component. Callbacks may be NULL where not noted. */
struct ic_kind {
	struct vmbus_guid interface, instance;
	uint16_t message_type;
	uint32_t packet_bytes_max;		/* what guests' drivers take */
	const struct ic_version *frameworks, *messages;		/* what we speak, ascending */
	uint16_t framework_count, message_count;
	void (*negotiated)(struct ic *ic);
	void (*mismatched)(struct ic *ic);
	void (*answered)(struct ic *ic, const struct ic_answer *answer);	/* never NULL; may send a new request */
	void (*freed)(struct ic *ic);		/* the way is free again after a time-out */
	void (*closed)(struct ic *ic);		/* after negotiated: the channel is gone, and any answer with it */
	void (*paused)(struct ic *ic);		/* both only while negotiated */
	void (*resumed)(struct ic *ic);
};

struct ic_counters {
	uint64_t requests, answers, timeouts;
	uint64_t dropped;		/* packets that were no answer to what was asked */
};

struct ic {
	const struct ic_kind *kind;
	struct vmbus_device device;
	struct vmbus_channel *channel;		/* NULL while closed */
	struct ic_state state;
	struct vsp_timer deadline, again;
	struct ic_counters counters;
};

void ic_init(struct ic *ic, const struct ic_kind *kind);

/* For the owner, on any component: the partition stands still, time-outs too. */
void ic_pause(struct ic *ic);
void ic_resume(struct ic *ic);

/* The rest is for the components. */

/* Sends a request; `answered` is called later, exactly once, unless `closed` comes first. 0; -ENOTCONN not
 * negotiated; -EBUSY a request is out; -EHOSTDOWN the guest does not read: paused, or an earlier request is in the
 * way; -EMSGSIZE its ring is too small; -EAGAIN its ring is full; -EPROTO it broke the ring. */
int ic_request(struct ic *ic, const void *body, size_t bytes, uint64_t timeout_ns);
/* Whether the negotiated message version is at least this one. */
bool ic_speaks(const struct ic *ic, uint16_t major, uint16_t minor);
bool ic_is_ready(const struct ic *ic);
void ic_timer_arm(const struct ic *ic, struct vsp_timer *timer, uint64_t after_ns);
void ic_timer_cancel(const struct ic *ic, struct vsp_timer *timer);

/* Checks the state of a paused component and takes it. When the server is restored, the channel goes on with it;
 * when the server and the component are resumed, in this order, it talks again. 0; -EINVAL; -EBUSY the channel is
 * open. */
int ic_set_state(struct ic *ic, const struct ic_state *state);

#endif
