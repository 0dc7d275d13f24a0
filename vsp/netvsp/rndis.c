// SPDX-License-Identifier: Apache-2.0
/*
 * RNDIS control: requests in, replies and indications out through the receive buffer. Replies wait in a queue for a
 * section and for room, in order; packets go on being read meanwhile, because the completions among them bring sections
 * back.
 */
#include <errno.h>
#include <string.h>

#include "netvsp/nic.h"

#define RNDIS_MAJOR      1u
#define CONNECTIONLESS   1u
#define PACKETS_PER_TRANSFER 8u
#define ALIGNMENT_LOG2   3u

static const struct ndis_offload_parameters offload_default = {
	.header = { NDIS_OBJECT_DEFAULT, 3, sizeof(struct ndis_offload_parameters) },
	.ip4 = NDIS_OFFLOAD_TX_RX,
	.tcp4 = NDIS_OFFLOAD_TX_RX,
	.udp4 = NDIS_OFFLOAD_TX_RX,
	.tcp6 = NDIS_OFFLOAD_TX_RX,
	.udp6 = NDIS_OFFLOAD_TX_RX,
	.lso_v1 = NDIS_OFFLOAD_OFF,
	.lso4 = NDIS_OFFLOAD_ON,
	.lso6 = NDIS_OFFLOAD_ON,
};

void rndis_reset(struct netvsp *nic)
{
	memset(&nic->rndis, 0, sizeof nic->rndis);
	nic->rndis.offload = offload_default;
}

/* A place for a reply; there is one, or the request would not have been taken. */
static void reply_add(struct netvsp *nic, const void *head, size_t head_bytes, const void *tail, size_t tail_bytes)
{
	struct nic_rndis *rndis = &nic->rndis;
	struct nic_reply *reply = &rndis->reply[(rndis->reply_first + rndis->reply_count++) % NIC_REPLIES_MAX];

	memcpy(reply->data, head, head_bytes);
	if (tail_bytes)
		memcpy(reply->data + head_bytes, tail, tail_bytes);
	reply->bytes = (uint16_t)(head_bytes + tail_bytes);
}

static void handle_initialize(struct netvsp *nic, size_t bytes)
{
	struct rndis_initialize request;
	struct rndis_initialize_complete reply = {
		.header = { RNDIS_INITIALIZE | RNDIS_COMPLETE, sizeof reply },
		.status = NDIS_STATUS_SUCCESS,
		.major = RNDIS_MAJOR,
		.device_flags = CONNECTIONLESS,
		.packets_max = PACKETS_PER_TRANSFER,
		.transfer_max = NIC_TX_STREAM_MAX,
		.alignment_log2 = ALIGNMENT_LOG2,
	};

	memcpy(&request, nic->control, sizeof request);
	reply.request_id = request.request_id;
	if (request.major == RNDIS_MAJOR) {
		rndis_reset(nic);
		nic->rndis.is_initialized = true;
		nic->rndis.told_link_up = nic->link_up;
	} else {
		reply.status = NDIS_STATUS_BAD_VERSION;
	}
	reply_add(nic, &reply, sizeof reply, NULL, 0);
}

static void handle_halt(struct netvsp *nic, size_t bytes)
{
	rndis_reset(nic);
}

/* What a query or set carries: behind its header, inside its message. */
static bool request_info(const struct rndis_request *request, size_t bytes, const uint8_t *message, const uint8_t **out)
{
	size_t offset = (size_t)request->info_offset + RNDIS_OFFSET_BASE;

	*out = message;
	if (request->info_bytes == 0)
		return true;
	if (offset < sizeof *request || offset > bytes || request->info_bytes > bytes - offset)
		return false;
	*out = message + offset;
	return true;
}

static void handle_query(struct netvsp *nic, size_t bytes)
{
	struct rndis_query_complete reply = { .header = { RNDIS_QUERY | RNDIS_COMPLETE, sizeof reply } };
	struct rndis_request request;
	struct oid_reply info = { .bytes = 0 };
	const uint8_t *in;

	memcpy(&request, nic->control, sizeof request);
	reply.request_id = request.request_id;
	if (!nic->rndis.is_initialized)
		reply.status = NDIS_STATUS_FAILURE;
	else if (!request_info(&request, bytes, nic->control, &in))
		reply.status = NDIS_STATUS_INVALID_LENGTH;
	else
		reply.status = oid_query(nic, request.oid, in, request.info_bytes, &info);
	/* Guests tell a failure by offset 0, not by the status. */
	if (reply.status == NDIS_STATUS_SUCCESS) {
		reply.info_bytes = (uint32_t)info.bytes;
		reply.info_offset = sizeof reply - RNDIS_OFFSET_BASE;
		reply.header.bytes += reply.info_bytes;
	}
	reply_add(nic, &reply, sizeof reply, info.data, reply.info_bytes);
}

static void handle_set(struct netvsp *nic, size_t bytes)
{
	struct rndis_status_complete reply = { .header = { RNDIS_SET | RNDIS_COMPLETE, sizeof reply } };
	struct rndis_request request;
	const uint8_t *in;

	memcpy(&request, nic->control, sizeof request);
	reply.request_id = request.request_id;
	if (!nic->rndis.is_initialized)
		reply.status = NDIS_STATUS_FAILURE;
	else if (!request_info(&request, bytes, nic->control, &in))
		reply.status = NDIS_STATUS_INVALID_LENGTH;
	else
		reply.status = oid_set(nic, request.oid, in, request.info_bytes);
	reply_add(nic, &reply, sizeof reply, NULL, 0);
}

/* Nothing here can hang that a reset would loosen; addresses and filters stay. */
static void handle_reset(struct netvsp *nic, size_t bytes)
{
	const struct rndis_reset_complete reply = {
		.header = { RNDIS_RESET | RNDIS_COMPLETE, sizeof reply },
		.status = NDIS_STATUS_SUCCESS,
	};

	reply_add(nic, &reply, sizeof reply, NULL, 0);
}

static void handle_keepalive(struct netvsp *nic, size_t bytes)
{
	struct rndis_status_complete reply = {
		.header = { RNDIS_KEEPALIVE | RNDIS_COMPLETE, sizeof reply },
		.status = NDIS_STATUS_SUCCESS,
	};
	struct rndis_keepalive request;

	memcpy(&request, nic->control, sizeof request);
	reply.request_id = request.request_id;
	reply_add(nic, &reply, sizeof reply, NULL, 0);
}

static const struct route {
	uint32_t type;
	uint32_t bytes_min;
	bool has_reply;
	void (*handle)(struct netvsp *nic, size_t bytes);
} routes[] = {
	{ RNDIS_INITIALIZE, sizeof(struct rndis_initialize), true, handle_initialize },
	{ RNDIS_HALT, sizeof(struct rndis_header), false, handle_halt },
	{ RNDIS_QUERY, sizeof(struct rndis_request), true, handle_query },
	{ RNDIS_SET, sizeof(struct rndis_request), true, handle_set },
	{ RNDIS_RESET, sizeof(struct rndis_header), true, handle_reset },
	{ RNDIS_KEEPALIVE, sizeof(struct rndis_keepalive), true, handle_keepalive },
};

uint32_t rndis_control(struct netvsp *nic, size_t bytes)
{
	struct rndis_header header;

	if (bytes < sizeof header)
		return NVSP_STATUS_INVALID_RNDIS_PACKET;
	memcpy(&header, nic->control, sizeof header);
	for (unsigned i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		const struct route *route = &routes[i];

		if (route->type != header.type)
			continue;
		if (header.bytes < route->bytes_min || header.bytes > bytes)
			return NVSP_STATUS_INVALID_RNDIS_PACKET;
		/* A reply needs somewhere to go. */
		if (route->has_reply && !nic->rx.buffer.channel)
			return NVSP_STATUS_FAIL;
		if (route->has_reply && nic->rndis.reply_count == NIC_REPLIES_MAX) {
			nic_count(&nic->queue[0], NETVSP_DROP_CONTROL_FULL);
			return NVSP_STATUS_BUSY;
		}
		route->handle(nic, header.bytes);
		return NVSP_STATUS_SUCCESS;
	}
	return NVSP_STATUS_INVALID_RNDIS_PACKET;
}

static int indicate(struct netvsp *nic, uint32_t status, const uint32_t *value)
{
	struct {
		struct rndis_indicate head;
		uint32_t value;
	} message = { .head = { { RNDIS_INDICATE, sizeof message.head }, status, 0, 0 } };

	if (value) {
		message.head.header.bytes = sizeof message;
		message.head.buffer_bytes = sizeof message.value;
		message.head.buffer_offset = sizeof message.head - RNDIS_OFFSET_BASE;
		message.value = *value;
	}
	return rx_send_control(nic, &message, message.head.header.bytes);
}

/* States, not events: what came and went before it could be told is not told. */
static void indications_flush(struct netvsp *nic)
{
	struct nic_rndis *rndis = &nic->rndis;
	uint32_t speed = (uint32_t)nic_link_speed(nic);

	if (rndis->told_link_up != nic->link_up) {
		if (indicate(nic, nic->link_up ? NDIS_STATUS_MEDIA_CONNECT : NDIS_STATUS_MEDIA_DISCONNECT, NULL))
			return;
		rndis->told_link_up = nic->link_up;
	}
	if (rndis->must_tell_move) {
		if (indicate(nic, NDIS_STATUS_NETWORK_CHANGE, NULL))
			return;
		rndis->must_tell_move = false;
	}
	/* Guests that do not know it take it for an unknown indication. */
	if (rndis->must_tell_speed && nic->capabilities & NVSP_CAPABILITY_TEAMING &&
	    indicate(nic, NDIS_STATUS_LINK_SPEED_CHANGE, &speed))
		return;
	rndis->must_tell_speed = false;
}

void rndis_flush(struct netvsp *nic)
{
	struct nic_rndis *rndis = &nic->rndis;

	if (!nic_queue_is_usable(&nic->queue[0]) || nic->queue[0].completion.is_waiting)
		return;
	while (rndis->reply_count) {
		const struct nic_reply *reply = &rndis->reply[rndis->reply_first];

		if (rx_send_control(nic, reply->data, reply->bytes) == -EAGAIN)
			return;
		rndis->reply_first = (rndis->reply_first + 1) % NIC_REPLIES_MAX;
		rndis->reply_count--;
	}
	if (rndis->is_initialized)
		indications_flush(nic);
}
