/* SPDX-License-Identifier: Apache-2.0 */
/* The server's inside, shared by server.c (the loop), group.c, channel.c (a device's channel) and saved_state.c. */
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

TAILQ_HEAD(vmbus_channel_list, vmbus_channel);

/* Channels under one lock: those that the bus' thread serves, or those of one device with lanes. What they sent and read
 * is published when the outermost call ends. */
struct channel_group {
	struct vmbus_server *server;
	const struct vsp_host *host;		/* its timers run on the bus' thread */
	const struct vsp_lanes *lanes;		/* NULL: there is one thread, and no lock */
	struct vmbus_channel_list dirty;
	unsigned depth;				/* calls from outside that are on the stack */
	unsigned open_count;			/* channels with a doorbell */
	bool paused;
	bool sent;				/* since the watchdog's last look */
	struct vsp_soon flush;			/* what devices did outside of callbacks */
	struct vsp_timer watchdog;
	struct vsp_timer release;		/* with lanes: channels that the device has closed */
	bool watchdog_armed;
	bool watchdog_idles;			/* armed for a long time */
	uint64_t log_window;			/* reference time */
	unsigned log_lines;
};

struct server_device {
	TAILQ_ENTRY(server_device) link;
	struct channel_group own_group;		/* if it has lanes */
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
	struct channel_group *group;
	const struct vsp_host *host;		/* of its lane */
	void *context;				/* the device's */

	bool attached;				/* rings are mapped */
	bool closing;				/* the device was told so */
	bool broken;				/* by the guest; until it is closed */
	bool announced;				/* the guest has its OPEN_RESULT: it may be signalled */
	bool signal_due;			/* as soon as it may be */
	bool rung;				/* while paused */
	bool dirty;				/* on the group's list: something to publish */
	bool let_go;				/* by its device, on a lane: the bus' thread is about to hear of it */
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

struct vmbus_server {
	const struct vsp_host *host;
	struct control control;
	struct server_device_list devices;
	unsigned leaving_count;			/* of them, not DEVICE_HERE */
	struct channel_group group;
	bool restoring;
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
	bool retry_armed;
	uint64_t messages_sent, post_retries;
};

void group_lock(struct channel_group *group);
void group_unlock(struct channel_group *group);
/* Around every entry: the outermost leave does what is left to do. */
void group_enter(struct channel_group *group);
void group_leave(struct channel_group *group);
/* The server's own group has the watchdog that it is given, which calls group_watch; the others need none. */
void group_init(struct channel_group *group, struct vmbus_server *server, const struct vsp_lanes *lanes, vsp_callback watchdog);
void group_stop(struct channel_group *group);		/* its timers; nothing is open any more, or all stands still */
void group_set_paused(struct channel_group *group, bool paused);	/* of a device with lanes */
void group_publish(struct channel_group *group);
void group_arm_watchdog(struct channel_group *group, bool worth);
void group_watch(struct channel_group *group);
void group_log(struct channel_group *group, const char *format, ...) __attribute__((format(printf, 2, 3)));
void group_mark_dirty(struct vmbus_channel *channel);
uint64_t server_now(const struct vmbus_server *server);
void server_settle(struct vmbus_server *server);	/* what is left to do at the end of the outermost call */
void server_set_paused(struct vmbus_server *server, bool paused);	/* and its devices' lanes */

static inline void server_enter(struct vmbus_server *server)
{
	group_enter(&server->group);
}

static inline void server_leave(struct vmbus_server *server)
{
	group_leave(&server->group);
}

#define server_log(server, ...) group_log(&(server)->group, __VA_ARGS__)

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
/* The device is gone: what is left is a channel id that the guest has not released. */
void channel_expel(struct vmbus_channel *channel);
/* What vmbus_channel_closed means for the bus. */
void channel_release(struct vmbus_channel *channel);
/* Maps the rings, opens the doorbell, tells the device. 0; -errno, and nothing is left of it. */
int channel_attach(struct vmbus_channel *channel, const struct channel_indices *resume);
/* No doorbell any more; the device is told. */
void channel_detach(struct vmbus_channel *channel);
void channel_publish(struct vmbus_channel *channel);
/* Shows what is on the rings to the device, if there is anything. */
void channel_attend(struct vmbus_channel *channel);
void channel_announce(struct vmbus_channel *channel);		/* signals may go now */
void channel_signal_if_due(struct vmbus_channel *channel);
void channel_resume(struct vmbus_channel *channel);		/* catches up with what happened while paused */
/* Looks for signals that were lost; true: worth another look. */
bool channel_watch(struct vmbus_channel *channel);

#endif
