/* SPDX-License-Identifier: Apache-2.0 */
/* The server's inside, shared by server.c (the loop), channel.c (a device's channel) and saved_state.c. */
#ifndef VSP_VMBUS_SERVER_STATE_H
#define VSP_VMBUS_SERVER_STATE_H

#include <sys/queue.h>

#include "vmbus/control.h"
#include "vmbus/ring.h"
#include "vmbus/server.h"

/* A GPADL that a device uses, as host addresses. */
struct held_gpadl {
	SLIST_ENTRY(held_gpadl) link;
	uint32_t id;
	unsigned count;
	struct vmbus_gpa_range range;
};

struct server_device {
	TAILQ_ENTRY(server_device) link;
	struct vmbus_server *server;
	struct vmbus_device *device;
	struct vmbus_channel *primary;
	unsigned channel_count;			/* not gone */
	uint64_t added_at;			/* reference time */
	enum { DEVICE_HERE, DEVICE_LEAVING, DEVICE_RESCINDED, DEVICE_EXPELLED } state;
	uint64_t due;				/* next step of a removal */
	vsp_callback done;
	void *done_context;
};
TAILQ_HEAD(server_device_list, server_device);

struct vmbus_channel {
	struct control_channel control;		/* first: the control plane hands out pointers to it */
	struct vmbus_server *server;
	struct server_device *device;		/* NULL: expelled; the guest still knows the channel id */
	void *context;				/* the device's */

	bool attached;				/* rings are mapped */
	bool closing;				/* the device was told so */
	bool broken;				/* by the guest; until it is closed */
	bool announced;				/* the guest has its OPEN_RESULT: it may be signalled */
	bool signal_due;			/* as soon as it may be */
	bool rung;				/* while paused */
	bool dirty;				/* on the server's list: something to publish */
	TAILQ_ENTRY(vmbus_channel) dirty_link;

	uint8_t **pages;			/* of both rings */
	struct vmbus_ring_reader in;
	struct vmbus_ring_writer out;
	uint8_t *packet;			/* private copy of the last packet */
	uint32_t packet_max;
	struct iovec *iov;			/* of its ranges */
	unsigned iov_max;
	SLIST_HEAD(, held_gpadl) gpadls;

	uint32_t unread_at;			/* the guest's read index at the watchdog's last look */
	bool unread;
	struct vmbus_channel_counters counters;
};
TAILQ_HEAD(vmbus_channel_list, vmbus_channel);

struct vmbus_server {
	const struct vsp_host *host;
	struct control control;
	struct server_device_list devices;
	unsigned leaving_count;			/* of them, not DEVICE_HERE */
	unsigned open_count;			/* channels with a doorbell */
	struct vmbus_channel_list dirty;
	unsigned depth;				/* calls from outside that are on the stack */
	bool paused;
	bool restoring;
	bool sent;				/* since the watchdog's last look */
	bool offered;				/* REQUESTOFFERS was answered */
	uint64_t offers_at;			/* then: reference time */
	const struct vmbus_connector *connector;	/* NULL: no sockets */
	vsp_callback reset_done;
	void *reset_context;

	struct vsp_timer retry;			/* a message that found no slot */
	uint64_t retry_ns;
	uint64_t stalled_since;			/* reference time of its first try */
	bool stalled, stall_told;
	unsigned resets_watched;		/* looks of the watchdog at the same reset */
	struct vsp_timer flush;			/* what devices did outside of callbacks */
	struct vsp_timer watchdog;
	bool retry_armed, flush_armed, watchdog_armed;
	bool watchdog_idles;			/* armed for a long time */

	uint64_t log_window;			/* reference time */
	unsigned log_lines;
	uint64_t messages_sent, post_retries;
};

/* Around every entry: the outermost leave does what is left to do. */
void server_enter(struct vmbus_server *server);
void server_leave(struct vmbus_server *server);
void server_log(struct vmbus_server *server, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t server_now(const struct vmbus_server *server);
void server_mark_dirty(struct vmbus_channel *channel);

static inline struct vmbus_channel *channel_of(struct control_channel *control)
{
	return (struct vmbus_channel *)(void *)control;
}

/* Steps of a channel's life, for server.c. */
struct vmbus_channel *channel_new(struct server_device *device, struct vmbus_channel *primary, unsigned index);
/* Revoked, without a device: only keeps a channel id that a guest has not released. */
struct vmbus_channel *channel_new_expelled(struct vmbus_server *server, const struct vmbus_guid *interface,
					   const struct vmbus_guid *instance, uint16_t index);
void channel_free(struct vmbus_channel *channel);
void channel_abandon(struct vmbus_channel *channel);	/* frees it in any state, without a word to the device */
/* Ring indices of a saved state. */
struct channel_indices {
	uint32_t read, read_published, write, write_published, wanted;
	bool masked;
};
/* Maps the rings, opens the doorbell, tells the device. 0; -errno, and nothing is left of it. */
int channel_attach(struct vmbus_channel *channel, const struct channel_indices *resume);
/* No doorbell any more; the device is told. */
void channel_detach(struct vmbus_channel *channel);
void channel_unmap(struct vmbus_channel *channel);		/* behind it: nothing points to guest memory */
void channel_publish(struct vmbus_channel *channel);
/* Shows what is on the rings to the device, if there is anything. */
void channel_attend(struct vmbus_channel *channel);
void channel_announce(struct vmbus_channel *channel);		/* signals may go now */
void channel_signal_if_due(struct vmbus_channel *channel);
void channel_resume(struct vmbus_channel *channel);		/* catches up with what happened while paused */
/* Looks for signals that were lost; true: worth another look. */
bool channel_watch(struct vmbus_channel *channel);

#endif
