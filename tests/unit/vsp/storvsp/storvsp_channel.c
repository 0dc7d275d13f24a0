// SPDX-License-Identifier: Apache-2.0
#include "unit/vsp/storvsp/storvsp_channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/iov.h"

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)

struct vmbus_server *fake_bus_new(const struct vsp_host *host)
{
	struct vmbus_server *bus = calloc(1, sizeof *bus);

	CHECK(bus);
	bus->host = host;
	for (unsigned i = 0; i < FAKE_CHANNELS_MAX; i++) {
		bus->channels[i].bus = bus;
		bus->channels[i].index = i;
		bus->channels[i].room_bytes = 128 << 10;
	}
	return bus;
}

static void forget(struct vmbus_channel *channel)
{
	while (channel->in_first != channel->in_last)
		free(channel->in[channel->in_first++ % FAKE_QUEUE].iov);
	free(channel->iov);
	channel->iov = NULL;
	channel->out_first = channel->out_last;
}

void fake_bus_free(struct vmbus_server *bus)
{
	CHECK(!bus->device);
	for (unsigned i = 0; i < FAKE_CHANNELS_MAX; i++)
		forget(&bus->channels[i]);
	free(bus);
}

int vmbus_device_add(struct vmbus_server *bus, struct vmbus_device *device)
{
	if (bus->device)
		return -EEXIST;
	bus->device = device;
	return 0;
}

static void removed_if_closed(struct vmbus_server *bus)
{
	for (unsigned i = 0; i < FAKE_CHANNELS_MAX; i++)
		if (bus->channels[i].open)
			return;
	if (bus->removed) {
		bus->device = NULL;
		bus->removed(bus->removed_context);
	}
}

void vmbus_device_remove(struct vmbus_server *bus, struct vmbus_device *device, vsp_callback done, void *context)
{
	CHECK(bus->device == device);
	bus->removed = done;
	bus->removed_context = context;
	for (unsigned i = FAKE_CHANNELS_MAX; i-- > 1;)
		fake_close(bus, i);
	if (bus->channels[0].open)
		fake_close(bus, 0);	/* the last one: the device is gone afterwards */
	else
		removed_if_closed(bus);
}

int vmbus_device_offer_subchannels(struct vmbus_device *device, unsigned count)
{
	struct vmbus_server *bus = (struct vmbus_server *)device->server_data;

	CHECK(bus);
	if (count == 0 || bus->sub_channels || count >= FAKE_CHANNELS_MAX)
		return -EINVAL;
	bus->sub_channels = count;
	return 0;
}

const struct vsp_host *vmbus_channel_host(const struct vmbus_channel *channel)
{
	return channel->bus->host;
}

int fake_open(struct vmbus_server *bus, unsigned index)
{
	struct vmbus_channel *channel = &bus->channels[index];
	int r;

	CHECK(!channel->open && bus->device);
	bus->device->server_data = bus;
	channel->dead = channel->closing = channel->wants_room = channel->ringing = false;
	r = bus->device->ops->opened(bus->device->context, channel);
	channel->open = r == 0;
	return r;
}

void fake_close(struct vmbus_server *bus, unsigned index)
{
	struct vmbus_channel *channel = &bus->channels[index];

	if (!channel->open || channel->closing)
		return;
	channel->closing = true;
	bus->device->ops->closing(bus->device->context, channel);
}

void vmbus_channel_closed(struct vmbus_channel *channel)
{
	CHECK(channel->open && channel->closing);
	channel->open = false;
	forget(channel);
	if (channel->index == 0)
		channel->bus->sub_channels = 0;
	removed_if_closed(channel->bus);
}

void fake_send(struct vmbus_channel *channel, uint16_t type, bool wants_completion, uint64_t transaction,
	       const void *payload, size_t bytes, const struct iovec *iov, unsigned iov_count)
{
	struct fake_packet *packet = &channel->in[channel->in_last++ % FAKE_QUEUE];

	CHECK(channel->in_last - channel->in_first <= FAKE_QUEUE && bytes <= FAKE_PAYLOAD_MAX);
	*packet = (struct fake_packet){ type, wants_completion, transaction, bytes, { 0 }, NULL, iov_count };
	memcpy(packet->payload, payload, bytes);
	if (iov_count) {
		packet->iov = malloc(iov_count * sizeof *iov);
		CHECK(packet->iov);
		memcpy(packet->iov, iov, iov_count * sizeof *iov);
	}
}

void fake_ring(struct vmbus_channel *channel)
{
	if (!channel->open || channel->closing || channel->ringing)
		return;
	channel->ringing = true;
	channel->bus->device->ops->ready(channel->bus->device->context, channel);
}

int vmbus_channel_read(struct vmbus_channel *channel, struct vmbus_packet *out)
{
	struct fake_packet *packet;

	CHECK(channel->open && !channel->closing);
	free(channel->iov);
	channel->iov = NULL;
	if (channel->dead)
		return -EPROTO;
	if (channel->in_first == channel->in_last) {
		channel->ringing = false;
		return 0;
	}
	packet = &channel->in[channel->in_first++ % FAKE_QUEUE];
	channel->iov = packet->iov;
	packet->iov = NULL;
	*out = (struct vmbus_packet){
		.type = packet->type,
		.wants_completion = packet->wants_completion,
		.transaction = packet->transaction,
		.payload = packet->payload,
		.payload_bytes = packet->bytes,
		.range = { channel->iov, packet->iov_count, iov_bytes(channel->iov, packet->iov_count) },
	};
	return 1;
}

static size_t used(const struct vmbus_channel *channel)
{
	size_t bytes = 0;

	for (unsigned i = channel->out_first; i != channel->out_last; i++)
		bytes += FAKE_PACKET_RING_BYTES(channel->out[i % FAKE_QUEUE].bytes);
	return bytes;
}

size_t vmbus_channel_room(const struct vmbus_channel *channel)
{
	CHECK(channel->open);
	return channel->dead ? 0 : channel->room_bytes + channel->lie_bytes - used(channel);
}

int vmbus_channel_send(struct vmbus_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		       const struct iovec *parts, unsigned part_count)
{
	const size_t bytes = iov_bytes(parts, part_count);
	struct fake_packet *packet = &channel->out[channel->out_last % FAKE_QUEUE];

	CHECK(channel->open && !channel->closing && bytes <= FAKE_PAYLOAD_MAX);
	CHECK(bytes + 16 <= channel->bus->device->offer.packet_bytes_max);
	if (channel->dead)
		return -EPROTO;
	if (used(channel) + FAKE_PACKET_RING_BYTES(bytes) > channel->room_bytes) {
		channel->wants_room = true;
		return -EAGAIN;
	}
	CHECK(channel->out_last - channel->out_first < FAKE_QUEUE);
	channel->out_last++;
	*packet = (struct fake_packet){ .type = type, .wants_completion = flags & 1, .transaction = transaction, .bytes = bytes };
	(void)iov_gather(parts, part_count, 0, packet->payload, bytes);
	channel->unflushed = true;
	return 0;
}

int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction, const void *payload, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)payload, bytes };

	return vmbus_channel_send(channel, VMBUS_PACKET_COMPLETION, 0, transaction, &part, 1);
}

void vmbus_channel_flush(struct vmbus_channel *channel)
{
	CHECK(channel->open && !channel->closing);
	channel->flushes++;
	channel->unflushed = false;
}

const struct fake_packet *fake_receive(struct vmbus_channel *channel)
{
	const struct fake_packet *packet;

	if (channel->out_first == channel->out_last)
		return NULL;
	packet = &channel->out[channel->out_first++ % FAKE_QUEUE];
	if (channel->wants_room && channel->open && !channel->closing) {
		channel->wants_room = false;
		channel->bus->device->ops->ready(channel->bus->device->context, channel);
	}
	return packet;
}

unsigned vmbus_channel_index(const struct vmbus_channel *channel)
{
	return channel->index;
}

void *vmbus_channel_context(const struct vmbus_channel *channel)
{
	return channel->context;
}

void vmbus_channel_set_context(struct vmbus_channel *channel, void *context)
{
	channel->context = context;
}
