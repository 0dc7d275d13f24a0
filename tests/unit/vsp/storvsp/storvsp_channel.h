/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel.h without rings: packets in and out are queues that the test sees. It stands where the VMBus server stands,
 * so that storage can be tested and fuzzed alone, with every refusal that a real ring can give.
 */
#ifndef TESTS_STORVSP_CHANNEL_H
#define TESTS_STORVSP_CHANNEL_H

#include "vmbus/channel.h"

#define FAKE_CHANNELS_MAX 4
#define FAKE_QUEUE        1024
#define FAKE_PAYLOAD_MAX  64
#define FAKE_PACKET_RING_BYTES(payload) (16 + (payload) + 8)

struct fake_packet {
	uint16_t type;
	bool wants_completion;
	uint64_t transaction;
	size_t bytes;
	_Alignas(8) uint8_t payload[FAKE_PAYLOAD_MAX];
	struct iovec *iov;		/* freed by the channel */
	unsigned iov_count;
};

struct vmbus_channel {
	struct vmbus_server *bus;
	unsigned index;
	bool open, closing;
	bool dead;			/* the guest broke the ring */
	bool wants_room;		/* a send found none */
	bool ringing;			/* the last read found something: the guest does not ring */
	void *context;
	struct fake_packet in[FAKE_QUEUE];
	unsigned in_first, in_last;
	struct fake_packet out[FAKE_QUEUE];
	unsigned out_first, out_last;
	size_t room_bytes;		/* of the guest's ring, whole */
	size_t lie_bytes;		/* room that is promised and not there */
	unsigned flushes;
	bool unflushed;
	struct iovec *iov;		/* of the last packet that was read */
};

struct vmbus_server {
	const struct vsp_host *host;
	struct vmbus_device *device;
	struct vmbus_channel channels[FAKE_CHANNELS_MAX];
	unsigned sub_channels;		/* offered */
	vsp_callback removed;
	void *removed_context;
};

struct vmbus_server *fake_bus_new(const struct vsp_host *host);
void fake_bus_free(struct vmbus_server *bus);
int fake_open(struct vmbus_server *bus, unsigned index);
void fake_close(struct vmbus_server *bus, unsigned index);
/* Puts a packet on the ring; iov is copied. The device hears of it with fake_ring. */
void fake_send(struct vmbus_channel *channel, uint16_t type, bool wants_completion, uint64_t transaction,
	       const void *payload, size_t bytes, const struct iovec *iov, unsigned iov_count);
void fake_ring(struct vmbus_channel *channel);
/* The next packet for the guest, which frees its room; NULL when there is none. */
const struct fake_packet *fake_receive(struct vmbus_channel *channel);

#endif
