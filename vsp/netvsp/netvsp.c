// SPDX-License-Identifier: Apache-2.0
/*
 * Life of an adapter, and the turn of a queue: a queue reads packets until its ring is empty, an answer finds no room,
 * the tap takes no more, or others have waited long enough.
 */
#include "netvsp/netvsp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netvsp/nic.h"
#include "unicode/utf16.h"

#define PACKETS_PER_TURN 256u
/* The guest's own buffer for a packet: a larger one costs it the channel. */
#define GUEST_PACKET_BYTES_MAX 4624u

static const struct vmbus_guid network_interface = {
	0xf8615163, 0xdf3e, 0x46c5, { 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e }
};

const char *const netvsp_drop_names[NETVSP_DROP_COUNT] = {
#define NETVSP_DROP_NAME(id, name) [NETVSP_DROP_##id] = (name),
	NETVSP_DROPS(NETVSP_DROP_NAME)
#undef NETVSP_DROP_NAME
};

uint64_t nic_link_speed(const struct netvsp *nic)
{
	return (uint64_t)nic->link_mbps * 10000;
}

void nic_enter(struct netvsp *nic)
{
	nic->calls++;
}

static void nic_free(struct netvsp *nic)
{
	vsp_callback done = nic->destroyed;
	void *context = nic->destroyed_context;

	for (unsigned i = 0; i < nic->queue_count; i++)
		(void)close(nic->queue[i].tap.fd);
	free(nic);
	if (done)
		done(context);
}

void nic_leave(struct netvsp *nic)
{
	if (--nic->calls == 0 && nic->is_removed)
		nic_free(nic);
}

bool nic_queue_sent(struct nic_queue *queue, int result)
{
	if (result == -EAGAIN)
		return false;
	if (result)
		queue->is_dead = true;
	return true;
}

void nic_complete(struct nic_queue *queue, uint64_t transaction, const void *payload, size_t bytes)
{
	if (!nic_queue_is_usable(queue) ||
	    nic_queue_sent(queue, vmbus_channel_complete(queue->channel, transaction, payload, bytes)))
		return;
	queue->completion.is_waiting = true;
	queue->completion.transaction = transaction;
	queue->completion.bytes = bytes;
	if (bytes)
		memcpy(queue->completion.payload, payload, bytes);
}

/* Whether the queue may read: nothing waits in front of the next answer. */
static bool queue_flush(struct nic_queue *queue)
{
	if (!nic_queue_is_usable(queue))
		return false;
	if (queue->completion.is_waiting) {
		queue->completion.is_waiting = false;
		nic_complete(queue, queue->completion.transaction, queue->completion.payload, queue->completion.bytes);
	}
	return !queue->completion.is_waiting && !queue->is_dead;
}

void nic_settle(struct netvsp *nic)
{
	nvsp_flush(nic);
	rndis_flush(nic);
	for (unsigned i = 0; i < nic->queue_count; i++)
		if (nic->queue[i].batch.is_stuck)
			rx_flush(&nic->queue[i]);
	rx_update(nic);
	for (unsigned i = 0; i < nic->queue_count; i++)
		if (nic_queue_is_usable(&nic->queue[i]))
			vmbus_channel_flush(nic->queue[i].channel);
}

static void queue_turn(struct nic_queue *queue)
{
	struct netvsp *nic = queue->nic;
	unsigned budget = PACKETS_PER_TURN;
	struct vmbus_packet packet;

	while (queue_flush(queue) && !queue->job.is_held) {
		int r;

		if (budget-- == 0) {
			nic->host.ops->timer_arm(nic->host.context, &queue->again, 0);
			break;
		}
		r = vmbus_channel_read(queue->channel, &packet);
		if (r < 0)
			queue->is_dead = true;
		if (r <= 0)
			break;
		nvsp_packet(queue, &packet);
	}
	nic_settle(nic);
}

static void queue_again(void *context)
{
	struct nic_queue *queue = context;
	struct netvsp *nic = queue->nic;

	if (nic->is_paused)
		return;			/* netvsp_resume comes back to it */
	nic_enter(nic);
	if (queue->job.is_held)
		tx_continue(queue);
	queue_turn(queue);
	nic_leave(nic);
}

/* All that belongs to a guest's use of the adapter, not to the adapter: as before the first use. */
static void session_end(struct netvsp *nic)
{
	for (unsigned i = 0; i < nic->queue_count; i++)
		tx_abandon(&nic->queue[i]);
	rx_release(nic);
	guest_buffer_release(&nic->send_buffer);
	rndis_reset(nic);
	nic->version = nic->capabilities = 0;
	nic->mtu = nic->mtu_max < NIC_MTU_DEFAULT ? nic->mtu_max : NIC_MTU_DEFAULT;
	nic->subchannels = 0;
	nic->must_offer = nic->must_send_table = false;
}

static int channel_opened(void *device, struct vmbus_channel *channel)
{
	struct netvsp *nic = device;
	unsigned index = vmbus_channel_index(channel);

	if (index > nic->subchannels || nic->queue[index].channel || (index && !nic_queue_is_usable(&nic->queue[0])))
		return -EINVAL;
	nic_enter(nic);
	nic->queue[index].channel = channel;
	nic->queue[index].is_dead = false;
	vmbus_channel_set_context(channel, &nic->queue[index]);
	if (index)
		nvsp_subchannel_opened(nic);
	nic_settle(nic);
	nic_leave(nic);
	return 0;
}

static void channel_closing(void *device, struct vmbus_channel *channel)
{
	struct netvsp *nic = device;
	struct nic_queue *queue = vmbus_channel_context(channel);

	nic_enter(nic);
	nic->host.ops->timer_cancel(nic->host.context, &queue->again);
	queue->is_dead = true;		/* no answer goes out any more */
	tx_abandon(queue);
	queue->completion.is_waiting = false;
	rx_reclaim(queue);
	if (queue->index == 0)
		session_end(nic);
	queue->channel = NULL;
	nic_settle(nic);
	vmbus_channel_closed(channel);
	nic_leave(nic);
}

static void channel_ready(void *device, struct vmbus_channel *channel)
{
	struct netvsp *nic = device;

	nic_enter(nic);
	queue_turn(vmbus_channel_context(channel));
	nic_leave(nic);
}

static const struct vmbus_device_ops device_ops = {
	.opened = channel_opened,
	.closing = channel_closing,
	.ready = channel_ready,
};

/* 0; -EINVAL malformed or too long. */
static int name_set(struct netvsp *nic, const char *name)
{
	uint16_t units[NIC_NAME_UNITS_MAX + 1];		/* with a zero, which the guest does not get */
	size_t count;

	if (utf16_from_utf8(name, units, sizeof units / sizeof units[0], &count))
		return -EINVAL;
	nic->name_units = (unsigned)count - 1;
	memcpy(nic->name, units, nic->name_units * sizeof units[0]);
	return 0;
}

static bool config_is_valid(const struct netvsp_config *config)
{
	static const uint8_t zero[FRAME_MAC_BYTES];

	if (config->queue_count < 1 || config->queue_count > NETVSP_QUEUES_MAX || config->mtu < NETVSP_MTU_MIN ||
	    config->mtu > NETVSP_MTU_MAX || config->mac[0] & 1 || memcmp(config->mac, zero, sizeof zero) == 0)
		return false;
	for (unsigned i = 0; i < config->queue_count; i++)
		if (config->tap_fd[i] < 0)
			return false;
	return true;
}

int netvsp_create(struct vmbus_server *server, const struct netvsp_config *config, struct netvsp **ret_nic)
{
	struct netvsp *nic;
	int r;

	if (!config_is_valid(config))
		return -EINVAL;
	nic = calloc(1, sizeof *nic);
	if (!nic)
		return -ENOMEM;
	nic->host = *config->host;
	nic->server = server;
	memcpy(nic->mac_permanent, config->mac, sizeof nic->mac_permanent);
	memcpy(nic->mac, config->mac, sizeof nic->mac);
	nic->mtu_max = config->mtu;
	nic->link_mbps = config->link_mbps;
	nic->link_up = config->link_up;
	nic->policy = config->policy;
	nic->queue_count = config->queue_count;
	for (unsigned i = 0; i < nic->queue_count; i++) {
		struct nic_queue *queue = &nic->queue[i];

		queue->nic = nic;
		queue->index = i;
		queue->again = (struct vsp_timer){ .expired = queue_again, .context = queue };
		queue->tap = (struct vsp_watch){ .fd = config->tap_fd[i], .ready = rx_tap_ready, .context = queue };
	}
	session_end(nic);
	nic->device = (struct vmbus_device){
		.offer = { .interface = network_interface, .instance = config->instance,
			   .packet_bytes_max = GUEST_PACKET_BYTES_MAX },
		.ops = &device_ops,
		.context = nic,
	};
	r = config->name ? name_set(nic, config->name) : 0;
	if (r == 0)
		r = vmbus_device_add(server, &nic->device);
	if (r) {
		free(nic);
		return r;
	}
	*ret_nic = nic;
	return 0;
}

static void device_removed(void *context)
{
	struct netvsp *nic = context;

	nic_enter(nic);
	nic->is_removed = true;
	nic_leave(nic);
}

void netvsp_destroy(struct netvsp *nic, vsp_callback done, void *context)
{
	nic_enter(nic);
	nic->destroyed = done;
	nic->destroyed_context = context;
	vmbus_device_remove(nic->server, &nic->device, device_removed, nic);
	nic_leave(nic);
}

void netvsp_link_set(struct netvsp *nic, enum netvsp_link_change change)
{
	nic_enter(nic);
	nic->link_up = change != NETVSP_LINK_DOWN;
	nic->rndis.must_tell_move |= change == NETVSP_LINK_MOVED;
	nic_settle(nic);
	nic_leave(nic);
}

void netvsp_link_speed_set(struct netvsp *nic, uint32_t mbps)
{
	nic_enter(nic);
	nic->rndis.must_tell_speed |= mbps != nic->link_mbps;
	nic->link_mbps = mbps;
	nic_settle(nic);
	nic_leave(nic);
}

void netvsp_policy_set(struct netvsp *nic, const struct netvsp_policy *policy)
{
	nic->policy = *policy;
	if (!policy->allow_mac_spoofing)
		memcpy(nic->mac, nic->mac_permanent, sizeof nic->mac);
}

void netvsp_pause(struct netvsp *nic)
{
	nic->is_paused = true;
	rx_update(nic);
}

void netvsp_resume(struct netvsp *nic)
{
	nic->is_paused = false;
	for (unsigned i = 0; i < nic->queue_count; i++)
		if (nic_queue_is_usable(&nic->queue[i]))
			nic->host.ops->timer_arm(nic->host.context, &nic->queue[i].again, 0);
}

void netvsp_counters_get(const struct netvsp *nic, unsigned queue, struct netvsp_counters *out)
{
	*out = nic->queue[queue].counters;
}
