/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a device sees of VMBus: its offer, its open channels, packets. The server (server.h) implements it; a device
 * never sees a ring or a GPADL's page numbers.
 */
#ifndef VSP_VMBUS_CHANNEL_H
#define VSP_VMBUS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "host.h"
#include "vmbus/vmbus.h"	/* schemas/vmbus: wire layouts, packet types, struct vmbus_guid */

struct vmbus_channel;
struct vmbus_server;

/* A piece of guest memory that a packet names (GPA direct) or that a GPADL holds, as host addresses. */
struct vmbus_gpa_range {
	struct iovec *iov;
	unsigned iov_count;
	uint64_t bytes;
};

struct vmbus_packet {
	uint16_t type;			/* enum vmbus_packet_type */
	bool wants_completion;
	uint64_t transaction;
	const uint8_t *payload;		/* private copy, valid until the next read from this channel */
	size_t payload_bytes;		/* a multiple of 8: what the sender padded is included */
	struct vmbus_gpa_range range;	/* GPA direct: all its ranges, one after the other. As payload */
};

struct vmbus_device_ops {
	/* The guest opened a channel: it may be read and written from now on. 0, or -errno: the guest's open fails. */
	int (*opened)(void *device, struct vmbus_channel *channel);
	/* The channel goes away (closed, rescinded, reset, unload). The device finishes or drops what it has in
	 * flight and then calls vmbus_channel_closed, at once or later; until then guest memory that its requests
	 * named stays valid. */
	void (*closing)(void *device, struct vmbus_channel *channel);
	/* Something to read, or room to write where there was none. A device that stops reading before 0 goes on by
	 * itself: the guest rings only after a read said 0. */
	void (*ready)(void *device, struct vmbus_channel *channel);
	/* A restored machine: the channel is open, as it was when the state was saved; contexts and GPADLs are to be
	 * got anew. Nothing is delivered before the server resumes; then ready comes. 0, or -errno: the restore
	 * fails. NULL: opened. */
	int (*restored)(void *device, struct vmbus_channel *channel);
};

struct vmbus_offer {
	struct vmbus_guid interface;
	struct vmbus_guid instance;	/* stable across boots */
	uint16_t flags;			/* VMBUS_OFFER_... */
	uint16_t mmio_megabytes;
	uint8_t user_defined[120];	/* pipes: pipe mode first */
	uint32_t packet_bytes_max;	/* whole packets that the guest's driver takes; never sent larger. 0: 4096 */
};

struct vmbus_device {
	struct vmbus_offer offer;
	const struct vmbus_device_ops *ops;
	void *context;			/* handed to the callbacks as `device` */
	/* Channel i is served by lane 1 + i, modulo their number. NULL: by the bus' thread. Such a device has no GPADLs but its
	 * rings. */
	const struct vsp_lanes *lanes;
	void *server_data;		/* the server's own */
};

/* Offers a device; at any time, also while a guest is connected (hot add), also from callbacks of this and other
 * devices. The device stays in place until removed. 0; -EEXIST an offer with this instance exists; -ENOSPC no channel
 * id left, or too many sockets. */
int vmbus_device_add(struct vmbus_server *server, struct vmbus_device *device);
/* Takes the offer back: rescinds its channels, but not within two seconds of the offer, because guests do not
 * survive that; sockets at once. `done` is called when no channel is left, perhaps before this returns, but not when
 * it was called from a callback; the device may go away then. A guest that does not let go for ten seconds is not asked
 * any longer: its channels are closed. */
void vmbus_device_remove(struct vmbus_server *server, struct vmbus_device *device, vsp_callback done, void *context);
/* Offers sub-channels 1 .. count of an open device's primary channel; opened/closing are called for each. They are
 * taken back when the primary closes. 0; -ENOSPC; -ENOMEM; -EINVAL not open (not from `opened` either), or there are
 * some. */
int vmbus_device_offer_subchannels(struct vmbus_device *device, unsigned count);

/*
 * Sockets are offers with VMBUS_OFFER_TLNPI_PROVIDER: one for each connection, made when one side connects and removed
 * when it is over. At most 256, counted until the guest has released them. They do not survive a restore: the guest is
 * told that they are closed.
 */
struct vmbus_connector {
	/* The guest connects to a service of the parent. 0: an offer with that instance and interface was made; -errno:
	 * the guest is told that the connection is refused. */
	int (*connect)(void *context, const struct vmbus_guid *endpoint, const struct vmbus_guid *service);
	/* The guest is gone, or starts anew: open sockets were closed, those not yet opened mean nothing any more. */
	void (*reset)(void *context);
	void *context;
};
/* Stays in place until the next call; NULL: nobody. */
void vmbus_server_set_connector(struct vmbus_server *server, const struct vmbus_connector *connector);
/* The guest is there, has asked for offers, and its version knows sockets. */
bool vmbus_server_takes_sockets(const struct vmbus_server *server);

unsigned vmbus_channel_index(const struct vmbus_channel *channel);	/* 0 primary, 1.. sub-channels */
struct vmbus_device *vmbus_channel_device(struct vmbus_channel *channel);
void *vmbus_channel_context(const struct vmbus_channel *channel);	/* what the device set for this channel */
void vmbus_channel_set_context(struct vmbus_channel *channel, void *context);
const struct vsp_host *vmbus_channel_host(const struct vmbus_channel *channel);	/* of its lane */

/* Next packet. 1; 0 when there is none (the guest rings when there is one again); -EPROTO when the guest broke the
 * ring or named memory that is not RAM: the channel is dead until it is closed, further reads say the same. */
int vmbus_channel_read(struct vmbus_channel *channel, struct vmbus_packet *out);

/* Sends a packet of the given type and payload parts. 0; -EAGAIN no room: ready comes when there is; -EMSGSIZE
 * larger than the offer's packet_bytes_max or than the ring; -EPROTO as above. Signals once per batch: when the
 * server returns to its loop, or with vmbus_channel_flush. */
int vmbus_channel_send(struct vmbus_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		       const struct iovec *parts, unsigned part_count);
/* The completion (type 0xB) of a request. As vmbus_channel_send. */
int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction, const void *payload, size_t bytes);
/* A transfer-page packet (type 7): payload in an earlier GPADL, ranges {bytes, offset} in it. As vmbus_channel_send. */
struct vmbus_transfer_range {
	uint32_t bytes, offset;
};
int vmbus_channel_send_transfer(struct vmbus_channel *channel, uint16_t set_id, uint64_t transaction,
				const struct vmbus_transfer_range *ranges, unsigned range_count,
				const struct iovec *parts, unsigned part_count);
void vmbus_channel_flush(struct vmbus_channel *channel);

/* Bytes free for sending, whole packets with all overhead. */
size_t vmbus_channel_room(const struct vmbus_channel *channel);
#define VMBUS_CHANNEL_OVERHEAD (sizeof(struct vmbus_packet_descriptor) + sizeof(struct vmbus_packet_trailer))
/* As a sender that found no room waits: 0 there are that many bytes free; -EAGAIN ready comes when there are;
 * -EMSGSIZE not a packet's size, or never; -EPROTO. */
int vmbus_channel_want_room(struct vmbus_channel *channel, size_t bytes);

/* A GPADL that the guest made on this channel, as host memory; it stays valid until vmbus_channel_closed or until
 * the device releases it with count back to 0: a guest's teardown waits. -ENOENT. */
int vmbus_channel_gpadl_get(struct vmbus_channel *channel, uint32_t gpadl, struct vmbus_gpa_range *out);
void vmbus_channel_gpadl_put(struct vmbus_channel *channel, uint32_t gpadl);

/* Where a trace is made: data of the last packet that lies in a buffer of the device's. */
bool vmbus_channel_is_traced(const struct vmbus_channel *channel);
void vmbus_channel_trace(const struct vmbus_channel *channel, const struct iovec *pieces, unsigned count);

/* After closing: nothing of the device touches this channel or its guest memory any more. */
void vmbus_channel_closed(struct vmbus_channel *channel);

#endif
