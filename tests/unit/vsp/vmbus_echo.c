// SPDX-License-Identifier: Apache-2.0
#include "vmbus_echo.h"

#include <errno.h>
#include <string.h>

struct vmbus_guid echo_interface(uint8_t interface)
{
	return (struct vmbus_guid){ 0xec400000u | interface, 1, 2, { 3, 4, 5, 6, 7, 8, 9, interface } };
}

static int open_as(struct echo *echo, struct vmbus_channel *channel, unsigned *count)
{
	unsigned index = vmbus_channel_index(channel);

	if (echo->open_error)
		return echo->open_error;
	(*count)++;
	if (index < ECHO_CHANNELS)
		echo->channels[index] = channel;
	vmbus_channel_set_context(channel, echo);
	if (echo->greets)
		echo->send_result = vmbus_channel_send(channel, VMBUS_PACKET_IN_BAND, 0, 0, NULL, 0);
	return 0;
}

static int opened(void *device, struct vmbus_channel *channel)
{
	return open_as(device, channel, &((struct echo *)device)->opened);
}

static int restored(void *device, struct vmbus_channel *channel)
{
	return open_as(device, channel, &((struct echo *)device)->restored);
}

static void closing(void *device, struct vmbus_channel *channel)
{
	struct echo *echo = device;

	unsigned index = vmbus_channel_index(channel);

	echo->closing++;
	if (index < ECHO_CHANNELS && echo->channels[index] == channel)
		echo->channels[index] = NULL;
	if (echo->closes_later && echo->late_count < ECHO_LATE)
		echo->late[echo->late_count++] = channel;
	else
		vmbus_channel_closed(channel);
}

void echo_close_one(struct echo *echo, unsigned index)
{
	struct vmbus_channel *channel = echo->late[index];

	echo->late[index] = echo->late[--echo->late_count];
	vmbus_channel_closed(channel);
}

void echo_finish_closing(struct echo *echo)
{
	echo->closes_later = false;
	while (echo->late_count)
		echo_close_one(echo, echo->late_count - 1);
}

static size_t gather(const struct vmbus_gpa_range *range, uint8_t *to, size_t max)
{
	size_t used = 0;

	for (unsigned i = 0; i < range->iov_count && used < max; i++) {
		size_t now = range->iov[i].iov_len < max - used ? range->iov[i].iov_len : max - used;

		memcpy(to + used, range->iov[i].iov_base, now);
		used += now;
	}
	return used;
}

static void remember(struct echo *echo, const struct vmbus_packet *packet)
{
	echo->packets++;
	echo->type = packet->type;
	echo->wants_completion = packet->wants_completion;
	echo->transaction = packet->transaction;
	echo->payload_bytes = packet->payload_bytes;
	memcpy(echo->payload, packet->payload,
	       packet->payload_bytes < sizeof echo->payload ? packet->payload_bytes : sizeof echo->payload);
	echo->range_bytes = packet->range.bytes;
	echo->iov_count = packet->range.iov_count;
	(void)gather(&packet->range, echo->range, sizeof echo->range);
}

static void ready(void *device, struct vmbus_channel *channel)
{
	struct echo *echo = device;
	struct vmbus_packet packet;

	echo->ready++;
	while (!echo->deaf && (echo->read_result = vmbus_channel_read(channel, &packet)) > 0) {
		remember(echo, &packet);
		if (echo->subchannels)
			echo->offer_result = vmbus_device_offer_subchannels(&echo->device, echo->subchannels);
		if (!packet.wants_completion || echo->mute) {
			echo->unanswered++;
			continue;
		}
		echo->send_result = vmbus_channel_complete(channel, packet.transaction, packet.payload,
							   packet.payload_bytes);
		echo->unanswered += echo->send_result != 0;
	}
}

static const struct vmbus_device_ops ops = {
	.opened = opened, .closing = closing, .ready = ready, .restored = restored,
};

void echo_init(struct echo *echo, uint8_t interface, uint8_t instance)
{
	memset(echo, 0, sizeof *echo);
	echo->device.offer.interface = echo_interface(interface);
	echo->device.offer.instance = (struct vmbus_guid){ 0x1057a4ceu, interface, instance, { 0 } };
	echo->device.offer.packet_bytes_max = 16384;
	echo->device.ops = &ops;
	echo->device.context = echo;
}

void echo_gone(void *echo)
{
	((struct echo *)echo)->gone = true;
}
