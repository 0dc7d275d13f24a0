/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VMBus server as its host drives it: one server is one guest's bus. One thread makes all calls and gets all
 * callbacks but those of devices with lanes, whose locks it takes itself; none of these functions may be called from a device's callback (devices have those of channel.h).
 */
#ifndef VSP_VMBUS_SERVER_H
#define VSP_VMBUS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host.h"
#include "vmbus/channel.h"

struct vmbus_server;

struct vmbus_server_config {
	const struct vsp_host *host;	/* stays in place as long as the server lives */
	uint32_t vp_count;		/* VPs 0 .. vp_count - 1 may be named by the guest */
	uint32_t gpadl_max;		/* GPADLs of a connection; 0: VMBUS_GPADL_MAX */
	uint64_t gpadl_bytes_max;	/* guest memory in them; 0: VMBUS_GPADL_BYTES_MAX */
};
#define VMBUS_GPADL_MAX       2048u
#define VMBUS_GPADL_BYTES_MAX (1280ull << 20)

/* NULL: no memory, or nonsense in the configuration. */
struct vmbus_server *vmbus_server_new(const struct vmbus_server_config *config);
/* Closes doorbells, cancels timers, forgets devices without a word to them: reset first, and wait until it is done. */
void vmbus_server_free(struct vmbus_server *server);

/* A message that the guest posted to connection 1 or 4 (message type 1): a private copy. 0; -EAGAIN not taken,
 * because the guest leaves too many answers unread: hand it in again later, or drop it. What a guest sends is never
 * an error. */
int vmbus_server_message(struct vmbus_server *server, const void *payload, size_t bytes);

/* The guest is gone (reset, power off): everything is closed without a word to it. `done` (may be NULL) is called
 * when no device touches guest memory any more, perhaps before this returns. One at a time: a second reset takes the
 * place of the first, whose `done` is not called. */
void vmbus_server_reset(struct vmbus_server *server, vsp_callback done, void *context);

/* Between the two nothing is delivered in either direction: no messages, events, callbacks of devices. Guest messages
 * are not to be handed in. Devices that act on their own have to be held by their owner. */
void vmbus_server_pause(struct vmbus_server *server);
void vmbus_server_resume(struct vmbus_server *server);

/* The state of a paused server as bytes (malloc, the caller frees): connection, offers' ids, GPADLs, open channels,
 * ring indices, messages not yet delivered. Devices' own state is theirs to save. 0; -EBUSY not paused, or a device
 * is still closing a channel or leaving (resume, try again: it takes seconds at most, unless a device hangs);
 * -ENOMEM. */
int vmbus_server_save(struct vmbus_server *server, void **out, size_t *out_bytes);
/* Into a new server that has the same devices (found by instance id) and was not talked to yet. It is paused
 * afterwards. Devices hear of their open channels by `restored`. One that was rescinded and not released is not to
 * be added again. 0; -EINVAL damaged, or devices are missing; -ENOMEM; what a device or the host's doorbell_open
 * said. After an error the server is only good to be freed. */
int vmbus_server_restore(struct vmbus_server *server, const void *state, size_t bytes);

struct vmbus_server_counters {
	uint64_t messages_received, messages_sent;
	uint64_t messages_bad;		/* too short, wrong in this state, about things that do not exist */
	uint64_t messages_unknown;
	uint64_t messages_refused;	/* -EAGAIN: too many answers unread */
	uint64_t post_retries;
	uint64_t contacts, gpadls_refused, opens_refused;
	uint64_t connects, connects_refused;	/* of the guest to sockets */
	uint32_t gpadl_count;
	uint64_t gpadl_bytes;
	uint32_t queued;		/* messages that wait for a free slot */
	uint32_t version;		/* 0: not connected */
};
void vmbus_server_get_counters(const struct vmbus_server *server, struct vmbus_server_counters *out);

struct vmbus_channel_counters {
	uint64_t signals_sent, signals_received;
	uint64_t signals_failed;	/* the host said no */
	uint64_t signals_lost;		/* repeated because the guest did not react */
	uint64_t signals_missed;	/* packets found by the watchdog: the guest's signal did not arrive */
	uint64_t packets_received, packets_sent;
	uint64_t batches_received, batches_sent;	/* publications of a ring index */
	uint64_t full;			/* sends that found no room */
	bool open, broken;
	uint32_t relid, target_vp;
};
/* Of a device's channel: 0 primary, 1 .. sub-channels. Counts go on over close and open. 0; -ENOENT. */
int vmbus_channel_get_counters(const struct vmbus_device *device, unsigned index, struct vmbus_channel_counters *out);

#endif
