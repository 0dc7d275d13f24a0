// SPDX-License-Identifier: Apache-2.0
/*
 * NVSP. Guests wait for answers without a timeout, under their network configuration lock: whatever asks for a
 * completion gets one, whatever is wrong with it.
 */
#include <errno.h>
#include <string.h>

#include "netvsp/nic.h"

#define MDL_CHAIN_MAX 34u

/* A message as it came, zero padded */
union message {
	uint8_t bytes[NVSP_MESSAGE_BYTES];
	uint32_t type;
	struct nvsp_init init;
	struct nvsp_buffer buffer;
	struct nvsp_revoke revoke;
	struct nvsp_rndis_packet rndis;
	struct nvsp_ndis_config config;
	struct nvsp_subchannel subchannel;
};

/* Answers of any length go out at full size: guests check for a minimum and copy the maximum. */
static void answer(struct nic_queue *queue, const struct vmbus_packet *packet, const void *payload, size_t bytes)
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };

	if (!packet->wants_completion)
		return;
	memcpy(padded, payload, bytes);
	nic_complete(queue, packet->transaction, padded, sizeof padded);
}

static void answer_status(struct nic_queue *queue, const struct vmbus_packet *packet, uint32_t type, uint32_t status)
{
	const struct nvsp_status_message message = { type, status };

	answer(queue, packet, &message, sizeof message);
}

static void handle_init(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	static const uint32_t versions[] = { NVSP_VERSION_6_1, NVSP_VERSION_6, NVSP_VERSION_5, NVSP_VERSION_4 };
	struct nvsp_init_complete reply = { NVSP_INIT_COMPLETE, 0, MDL_CHAIN_MAX, NVSP_STATUS_FAIL };

	if (m->init.version_min > NVSP_VERSION_6_1)
		reply.status = NVSP_STATUS_TOO_NEW;
	else if (m->init.version_max < NVSP_VERSION_4)
		reply.status = NVSP_STATUS_TOO_OLD;
	for (unsigned i = 0; i < sizeof versions / sizeof versions[0] && queue->nic->version == 0; i++)
		if (versions[i] >= m->init.version_min && versions[i] <= m->init.version_max) {
			queue->nic->version = reply.version = versions[i];
			reply.status = NVSP_STATUS_SUCCESS;
			break;
		}
	answer(queue, packet, &reply, sizeof reply);
}

static void handle_config(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	struct netvsp *nic = queue->nic;
	uint32_t mtu = m->config.mtu > FRAME_HEADER_BYTES ? m->config.mtu - FRAME_HEADER_BYTES : NIC_MTU_DEFAULT;

	/* Sections are laid out by it, so it cannot change under them. */
	if (nic->rx.buffer.channel) {
		nic_count(queue, NETVSP_DROP_BAD_MESSAGE);
		answer_status(queue, packet, NVSP_NDIS_CONFIG, NVSP_STATUS_FAIL);
		return;
	}
	if (mtu < NETVSP_MTU_MIN)
		mtu = NETVSP_MTU_MIN;
	nic->mtu = (uint16_t)(mtu < nic->mtu_max ? mtu : nic->mtu_max);
	nic->capabilities = m->config.capabilities;
	answer_status(queue, packet, NVSP_NDIS_CONFIG, NVSP_STATUS_SUCCESS);
}

static void handle_receive_buffer(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	struct netvsp *nic = queue->nic;
	struct nvsp_receive_buffer_complete reply = { NVSP_RECEIVE_BUFFER_COMPLETE, NVSP_STATUS_FAIL, 0, 0, 0, 0, 0 };

	if (!nic->rx.buffer.channel && rx_bind(nic, queue->channel, m->buffer.gpadl, m->buffer.id) == 0) {
		reply.status = NVSP_STATUS_SUCCESS;
		reply.section_count = 1;
		reply.suballoc_bytes = nic->rx.section_bytes;
		reply.suballoc_count = nic->rx.section_count;
		reply.end_offset = nic->rx.section_bytes * nic->rx.section_count;
	}
	answer(queue, packet, &reply, sizeof reply);
}

static void handle_send_buffer(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	struct guest_buffer *buffer = &queue->nic->send_buffer;
	struct nvsp_send_buffer_complete reply = { .type = NVSP_SEND_BUFFER_COMPLETE, .status = NVSP_STATUS_FAIL };

	if (!buffer->channel && guest_buffer_bind(buffer, queue->channel, m->buffer.gpadl, m->buffer.id) == 0) {
		if (buffer->range.bytes >= NIC_SEND_SECTION_BYTES) {
			reply.status = NVSP_STATUS_SUCCESS;
			reply.section_bytes = NIC_SEND_SECTION_BYTES;
		} else {
			guest_buffer_release(buffer);
		}
	}
	answer(queue, packet, &reply, sizeof reply);
}

static void handle_revoke_receive(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	struct netvsp *nic = queue->nic;
	bool is_ours = nic->rx.buffer.channel && nic->rx.buffer.id == m->revoke.id;

	if (is_ours)
		rx_release(nic);
	answer_status(queue, packet, NVSP_REVOKE_RECEIVE_BUFFER, is_ours ? NVSP_STATUS_SUCCESS : NVSP_STATUS_FAIL);
}

static void handle_revoke_send(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	struct netvsp *nic = queue->nic;
	bool is_ours = nic->send_buffer.channel && nic->send_buffer.id == m->revoke.id;

	if (is_ours) {
		for (unsigned i = 0; i < nic->queue_count; i++)
			tx_abandon(&nic->queue[i]);
		guest_buffer_release(&nic->send_buffer);
	}
	answer_status(queue, packet, NVSP_REVOKE_SEND_BUFFER, is_ours ? NVSP_STATUS_SUCCESS : NVSP_STATUS_FAIL);
}

static void handle_control(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	struct netvsp *nic = queue->nic;
	uint32_t status = NVSP_STATUS_INVALID_RNDIS_PACKET;
	struct span part[2];
	size_t bytes;

	if (queue->index == 0 && tx_stream(nic, packet, &m->rndis, part, &bytes) && bytes <= sizeof nic->control) {
		tx_stream_copy(part, 0, nic->control, bytes);
		status = rndis_control(nic, bytes);
	}
	if (status == NVSP_STATUS_INVALID_RNDIS_PACKET)
		nic_count(queue, NETVSP_DROP_BAD_MESSAGE);
	answer_status(queue, packet, NVSP_RNDIS_PACKET_COMPLETE, status);
	rndis_flush(nic);
}

static void handle_rndis(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	if (m->rndis.channel == NVSP_CHANNEL_DATA) {
		tx_start(queue, packet, &m->rndis);
	} else if (m->rndis.channel == NVSP_CHANNEL_CONTROL) {
		handle_control(queue, packet, m);
	} else {
		nic_count(queue, NETVSP_DROP_BAD_MESSAGE);
		answer_status(queue, packet, NVSP_RNDIS_PACKET_COMPLETE, NVSP_STATUS_FAIL);
	}
}

/* There is no VF: both paths are this one. The guest takes an empty completion and nothing else. */
static void handle_switch(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	if (packet->wants_completion)
		nic_complete(queue, packet->transaction, NULL, 0);
}

static void handle_oid_query_ex(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	const struct nvsp_oid_query_ex_complete reply = { NVSP_OID_QUERY_EX_COMPLETE, NDIS_STATUS_NOT_SUPPORTED, 0 };

	answer(queue, packet, &reply, sizeof reply);
}

static void handle_subchannel(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	struct netvsp *nic = queue->nic;
	struct nvsp_subchannel reply = { NVSP_SUBCHANNEL, NVSP_STATUS_FAIL, 0 };

	if (nic->version >= NVSP_VERSION_5 && m->subchannel.operation == NVSP_SUBCHANNEL_ALLOCATE &&
	    !nic->subchannels) {
		reply.operation = NVSP_STATUS_SUCCESS;
		reply.count = m->subchannel.count < nic->queue_count - 1 ? m->subchannel.count : nic->queue_count - 1;
		nic->subchannels = reply.count;
		nic->must_offer = reply.count > 0;
	}
	answer(queue, packet, &reply, sizeof reply);
}

/* All that differs by it comes with the NVSP version too. */
static void handle_ndis_version(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m)
{
	answer_status(queue, packet, NVSP_NDIS_VERSION, NVSP_STATUS_SUCCESS);
}

static const struct route {
	uint32_t type;
	uint32_t bytes_min;		/* of the fields that are read */
	bool everywhere;		/* else on the primary channel only, */
	bool before_init;		/* and else after the version is settled */
	void (*handle)(struct nic_queue *queue, const struct vmbus_packet *packet, const union message *m);
} routes[] = {
	{ NVSP_INIT, sizeof(struct nvsp_init), false, true, handle_init },
	{ NVSP_NDIS_VERSION, sizeof(struct nvsp_ndis_version), false, false, handle_ndis_version },
	{ NVSP_NDIS_CONFIG, sizeof(struct nvsp_ndis_config), false, false, handle_config },
	{ NVSP_RECEIVE_BUFFER, 10, false, false, handle_receive_buffer },
	{ NVSP_REVOKE_RECEIVE_BUFFER, 6, false, false, handle_revoke_receive },
	{ NVSP_SEND_BUFFER, 10, false, false, handle_send_buffer },
	{ NVSP_REVOKE_SEND_BUFFER, 6, false, false, handle_revoke_send },
	{ NVSP_RNDIS_PACKET, sizeof(struct nvsp_rndis_packet), true, false, handle_rndis },
	{ NVSP_SWITCH_DATA_PATH, sizeof(struct nvsp_switch_data_path), false, false, handle_switch },
	{ NVSP_OID_QUERY_EX, 4, false, false, handle_oid_query_ex },
	{ NVSP_SUBCHANNEL, sizeof(struct nvsp_subchannel), false, false, handle_subchannel },
};

static const struct route *route_find(uint32_t type)
{
	for (unsigned i = 0; i < sizeof routes / sizeof routes[0]; i++)
		if (routes[i].type == type)
			return &routes[i];
	return NULL;
}

static void handle_message(struct nic_queue *queue, const struct vmbus_packet *packet)
{
	size_t bytes = packet->payload_bytes < NVSP_MESSAGE_BYTES ? packet->payload_bytes : NVSP_MESSAGE_BYTES;
	const struct route *route;
	union message m;

	memset(&m, 0, sizeof m);
	memcpy(&m, packet->payload, bytes);
	route = route_find(m.type);
	if (route && bytes >= route->bytes_min && (queue->index == 0 || route->everywhere) &&
	    (queue->nic->version || route->before_init)) {
		route->handle(queue, packet, &m);
		return;
	}
	nic_count(queue, NETVSP_DROP_BAD_MESSAGE);
	answer_status(queue, packet, m.type == NVSP_RNDIS_PACKET ? NVSP_RNDIS_PACKET_COMPLETE : m.type,
		      NVSP_STATUS_FAIL);
}

void nvsp_packet(struct nic_queue *queue, const struct vmbus_packet *packet)
{
	switch (packet->type) {
	case VMBUS_PACKET_IN_BAND:
	case VMBUS_PACKET_GPA_DIRECT:
		handle_message(queue, packet);
		break;
	case VMBUS_PACKET_COMPLETION:
		rx_completed(queue, packet->transaction);
		break;
	default:
		nic_count(queue, NETVSP_DROP_BAD_MESSAGE);
		break;
	}
}

static void table_send(struct netvsp *nic)
{
	struct nvsp_indirection_table table = {
		.type = NVSP_INDIRECTION_TABLE,
		.count = NVSP_INDIRECTION_COUNT,
		.offset = offsetof(struct nvsp_indirection_table, channel),
	};
	const struct iovec part = { &table, sizeof table };

	for (unsigned i = 0; i < NVSP_INDIRECTION_COUNT; i++)
		table.channel[i] = i % (nic->subchannels + 1);
	nic->must_send_table = !nic_queue_sent(&nic->queue[0], vmbus_channel_send(nic->queue[0].channel,
						VMBUS_PACKET_IN_BAND, 0, 0, &part, 1));
}

void nvsp_flush(struct netvsp *nic)
{
	struct nic_queue *primary = &nic->queue[0];

	if (!nic_queue_is_usable(primary) || primary->completion.is_waiting)
		return;
	if (nic->must_offer) {
		/* The guest knows the number by now and waits for that many channels. */
		nic->must_offer = false;
		if (vmbus_device_offer_subchannels(&nic->device, nic->subchannels))
			nic->host.ops->log(nic->host.context, "netvsp: no channel ids left for sub-channels");
	}
	if (nic->must_send_table)
		table_send(nic);
}

void nvsp_subchannel_opened(struct netvsp *nic)
{
	for (unsigned i = 1; i <= nic->subchannels; i++)
		if (!nic->queue[i].channel)
			return;
	/* Not before: the guest fills its table evenly when its last channel is open. */
	nic->must_send_table = true;
}
