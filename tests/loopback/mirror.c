// SPDX-License-Identifier: Apache-2.0
#include "mirror.h"

#include <errno.h>
#include <string.h>

const struct vmbus_guid mirror_interface = { 0x3144044a, 1, 2, { 3, 4, 5, 6, 7, 8, 9, 10 } };

static int opened(void *device, struct vmbus_channel *channel)
{
	struct mirror *mirror = device;

	mirror->channel = channel;
	mirror->waits = false;
	mirror->to_send = mirror->sent = 0;
	mirror->broken = 0;
	return 0;
}

static void closing(void *device, struct vmbus_channel *channel)
{
	struct mirror *mirror = device;

	mirror->channel = NULL;
	vmbus_channel_closed(channel);
}

static bool send_unsent(struct mirror *mirror)
{
	int r = vmbus_channel_complete(mirror->channel, mirror->unsent_transaction, mirror->unsent, mirror->unsent_bytes);

	mirror->waits = r == -EAGAIN;
	mirror->stalls += mirror->waits;
	return !mirror->waits;
}

static void send_own(struct mirror *mirror)
{
	static uint8_t bytes[MIRROR_PACKET_MAX];

	for (; mirror->to_send; mirror->to_send--, mirror->sent++) {
		const struct iovec part = { bytes, mirror_length(mirror->sent) };

		memset(bytes, mirror_byte(mirror->sent), part.iov_len);
		if (vmbus_channel_send(mirror->channel, VMBUS_PACKET_IN_BAND, 0, mirror->sent, &part, 1)) {
			mirror->stalls++;
			return;
		}
	}
}

static void take(struct mirror *mirror, const struct vmbus_packet *packet)
{
	mirror->requests++;
	for (unsigned i = 0; i < packet->range.iov_count; i++) {
		uint8_t *at = packet->range.iov[i].iov_base;

		for (size_t j = 0; j < packet->range.iov[i].iov_len; j++)
			at[j] = (uint8_t)~at[j];
	}
	if (!packet->wants_completion || packet->payload_bytes > sizeof mirror->unsent)
		return;
	memcpy(mirror->unsent, packet->payload, packet->payload_bytes);
	mirror->unsent_bytes = packet->payload_bytes;
	mirror->unsent_transaction = packet->transaction;
	(void)send_unsent(mirror);
}

static void ready(void *device, struct vmbus_channel *channel)
{
	struct mirror *mirror = device;
	struct vmbus_packet packet;
	int r = 0;

	if (mirror->waits && !send_unsent(mirror))
		return;
	send_own(mirror);
	while (!mirror->waits && (r = vmbus_channel_read(channel, &packet)) > 0)
		take(mirror, &packet);
	if (r < 0)
		mirror->broken = r;
}

static const struct vmbus_device_ops ops = { .opened = opened, .closing = closing, .ready = ready };

void mirror_init(struct mirror *mirror)
{
	memset(mirror, 0, sizeof *mirror);
	mirror->device.offer.interface = mirror_interface;
	mirror->device.offer.instance = (struct vmbus_guid){ 0x3144044b, 0, 0, { 0 } };
	mirror->device.offer.packet_bytes_max = MIRROR_PACKET_MAX + 64;
	mirror->device.ops = &ops;
	mirror->device.context = mirror;
}

void mirror_send(struct mirror *mirror, unsigned count)
{
	mirror->to_send += count;
	send_own(mirror);
	vmbus_channel_flush(mirror->channel);
}

void mirror_gone(void *mirror)
{
	((struct mirror *)mirror)->gone = true;
}
