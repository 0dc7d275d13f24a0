/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane of VMBus as a state machine: messages of the guest and wishes of the host go in, messages to the
 * guest and actions come out. No I/O, no clock, no guest memory, no state of others. Whoever drives it takes all
 * actions after each call and reports how they went; messages may leave later, in their order.
 *
 * What a guest can make grow is bounded: GPADLs by the limits, channels by the channel ids, sockets by
 * CONTROL_SOCKETS_MAX, messages to the guest by CONTROL_QUEUE_MAX and what one message can cause (at most one for each
 * channel).
 */
#ifndef VSP_VMBUS_CONTROL_H
#define VSP_VMBUS_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "vmbus/channel.h"
#include "vmbus/gpadl.h"
#include "vmbus/vmbus.h"

#define CONTROL_QUEUE_MAX   4096u
#define CONTROL_SOCKETS_MAX 256u	/* channels of sockets, until the guest releases them */

enum control_channel_state {
	CONTROL_CLOSED,
	CONTROL_OPENING,		/* action OPEN is not yet answered */
	CONTROL_OPEN,
	CONTROL_CLOSING,		/* action CLOSE is not yet answered */
};

enum control_action {
	CONTROL_IDLE,			/* no action */
	CONTROL_MAP,			/* gpadl: is it RAM? then control_mapped */
	CONTROL_ATTACH,			/* channel: open it; then control_opened */
	CONTROL_DETACH,			/* channel: close it; some day control_closed */
	CONTROL_GONE,			/* channel: forgotten here, the memory is the driver's again */
	CONTROL_CONNECT,		/* control->connect: is anybody there? Then an offer, else control_refuse */
	CONTROL_QUIET,			/* a reset is complete */
};

struct control_open {
	uint32_t open_id;
	uint32_t gpadl;
	uint32_t target_vp;
	uint32_t downstream_page;
};

/* A primary or a sub-channel; the driver's memory from control_add until CONTROL_GONE. */
struct control_channel {
	TAILQ_ENTRY(control_channel) link;
	TAILQ_ENTRY(control_channel) action_link;
	enum control_action action;
	struct vmbus_offer offer;
	struct control_channel *primary;	/* NULL: it is one */
	uint16_t index;				/* 0: primary */
	uint32_t relid;				/* 0: not offered */
	uint32_t home;				/* the relid of each offer, from the first on; 0: there was none */
	enum control_channel_state state;
	bool revoked;				/* taken back by the host: gone when released */
	bool untold;				/* revoked by a restore: the guest is yet to be told */
	bool released;				/* while closing: the guest has released the id already */
	bool declined;				/* released by the guest of its own: no offer before the next contact */
	bool open_waits;			/* next_open came before the channel was closed */
	struct control_open open;		/* while not closed */
	struct control_open next_open;
};
TAILQ_HEAD(control_channel_list, control_channel);

struct control_message {
	STAILQ_ENTRY(control_message) link;
	uint32_t vp;
	uint8_t sint;
	uint8_t bytes;
	uint32_t opened_relid;			/* OPEN_RESULT, success: signals may follow. Else 0 */
	uint8_t payload[VMBUS_MESSAGE_BYTES_MAX];
};
STAILQ_HEAD(control_message_list, control_message);

enum control_state {
	CONTROL_DISCONNECTED,
	CONTROL_CONNECTED,
	CONTROL_RESETTING,			/* channels are closing; then `next` */
};

enum control_next {
	CONTROL_NEXT_NOTHING,
	CONTROL_NEXT_CONTACT,			/* accept `contact` */
	CONTROL_NEXT_UNLOAD,			/* answer UNLOAD */
};

struct control_counters {
	uint64_t received, bad, unknown, refused, contacts, gpadls_refused, opens_refused, connects, connects_refused;
};

struct control_limits {
	uint32_t vp_count;
	uint32_t gpadls;
	uint64_t gpadl_bytes;
};

struct control {
	struct control_limits limits;
	enum control_state state;
	enum control_next next;
	struct vmbus_contact_message contact;
	uint32_t version;			/* 0: not connected */
	uint32_t vp;				/* messages go there */
	uint8_t sint;
	bool offers_sent;
	bool quiet;				/* CONTROL_QUIET is due */
	struct control_channel_list channels;	/* sorted by offer, then index */
	struct control_channel *by_relid[VMBUS_RELID_MAX + 1];
	bool homes[VMBUS_RELID_MAX + 1];	/* taken */
	uint32_t channel_count, socket_count;
	struct vmbus_tl_connect_message connect;	/* the guest's last one, while connect_waits */
	bool connect_waits;
	struct gpadl_list gpadls;
	uint32_t gpadl_count;
	uint64_t gpadl_bytes;
	struct control_message_list messages;
	uint32_t message_count;
	struct control_channel_list channel_actions;
	struct gpadl_list gpadl_actions;
	struct control_counters counters;
};

void control_init(struct control *control, const struct control_limits *limits);
/* Frees GPADLs and messages; channels stay the driver's. */
void control_fini(struct control *control);

/* A message of the guest. 0; -EAGAIN not taken: too many messages wait for the guest. */
int control_message(struct control *control, const void *payload, size_t bytes);

/* The next action; *out_channel or *out_gpadl is what it is about. */
enum control_action control_next_action(struct control *control, struct control_channel **out_channel,
					struct gpadl **out_gpadl);
void control_mapped(struct control *control, struct gpadl *gpadl, bool ok);	/* else it is freed */
void control_opened(struct control *control, struct control_channel *channel, bool ok);
void control_closed(struct control *control, struct control_channel *channel);

static inline bool control_is_socket(const struct control_channel *channel)
{
	return channel->offer.flags & VMBUS_OFFER_TLNPI_PROVIDER;
}
/* Whether offers of sockets reach somebody who understands them. */
bool control_takes_sockets(const struct control *control);
/* The answer to a connect that gets no offer. */
void control_refuse(struct control *control, const struct vmbus_tl_connect_message *connect);

/* A new primary (primary NULL) or sub-channel; the caller has set offer, primary and index. 0; -EEXIST a primary
 * with this instance, but the guest, who names sockets, does not keep devices away with that; -ENOSPC. */
int control_add(struct control *control, struct control_channel *channel);
/* Takes a primary and its sub-channels back. */
void control_revoke(struct control *control, struct control_channel *primary);
/* Closes an open channel though the guest did not ask. */
void control_close(struct control *control, struct control_channel *channel);
/* Closes everything without a word to the guest; CONTROL_QUIET follows. */
void control_reset(struct control *control);

struct control_message *control_first_message(struct control *control);
void control_drop_message(struct control *control);		/* the first */

struct gpadl *control_find_gpadl(struct control *control, uint32_t id);
void control_put_gpadl(struct control *control, struct gpadl *gpadl);	/* users - 1; answers a teardown that waits */

/* ---- a restored state is put together from these, while disconnected */

/* 0; -EEXIST; -ENOSPC beyond the limits. */
int control_adopt_gpadl(struct control *control, struct gpadl *gpadl);
/* The relid of the channel's offers. 0; -EINVAL. */
int control_adopt_home(struct control *control, struct control_channel *channel, uint32_t home);
/* The guest knows this channel, by that relid. 0; -EINVAL. */
int control_adopt_offer(struct control *control, struct control_channel *channel);
/* The channel was open as channel->open says. 0; -EINVAL. */
int control_adopt_open(struct control *control, struct control_channel *channel);
/* Connected from now on: offers what is new, answers teardowns that nobody holds up. */
void control_adopt_connection(struct control *control, uint32_t version, bool offers_sent);
bool control_post(struct control *control, const void *payload, size_t bytes, uint32_t opened_relid);

#endif
