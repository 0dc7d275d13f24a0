// SPDX-License-Identifier: Apache-2.0
#include "vmbus/trace.h"

#include "vmbus/vmbus_trace.h"	/* schemas/vmbus: the records */

#define PIECES_MAX 32u

/* A record in pieces; those that are too many are left out, and the sizes say so. */
struct record {
	struct vmbus_trace_record header;
	struct iovec piece[PIECES_MAX];
	unsigned count;
};

static void begin(struct record *r, enum vmbus_trace_kind kind, uint32_t relid)
{
	r->header = (struct vmbus_trace_record){ .bytes = sizeof r->header, .kind = kind, .relid = (uint16_t)relid };
	r->piece[0] = (struct iovec){ &r->header, sizeof r->header };
	r->count = 1;
}

/* Of `count` pieces at most `max` bytes; returns how many. */
static uint32_t add(struct record *r, const struct iovec *from, unsigned count, size_t max)
{
	uint32_t added = 0;

	for (unsigned i = 0; i < count && max && r->count < PIECES_MAX; i++) {
		const size_t bytes = from[i].iov_len < max ? from[i].iov_len : max;

		r->piece[r->count++] = (struct iovec){ from[i].iov_base, bytes };
		added += (uint32_t)bytes;
		max -= bytes;
	}
	r->header.bytes += added;
	return added;
}

static void add_one(struct record *r, const void *from, size_t bytes)
{
	const struct iovec piece = { (void *)(uintptr_t)from, bytes };

	(void)add(r, &piece, 1, bytes);
}

static void end(struct record *r, const struct vmbus_server *server)
{
	const struct vsp_host *host = server->host;

	r->header.time_ns = host->ops->monotonic_ns(host->context);
	host->ops->trace(host->context, r->piece, r->count);
}

void trace_start(const struct vmbus_server *server)
{
	const struct vmbus_trace_start start = {
		.magic = VMBUS_TRACE_MAGIC, .version = VMBUS_TRACE_VERSION, .vp_count = server->control.limits.vp_count,
	};
	struct record r;

	begin(&r, VMBUS_TRACE_START, 0);
	add_one(&r, &start, sizeof start);
	end(&r, server);
}

void trace_message(const struct vmbus_server *server, bool from_guest, const void *payload, size_t bytes)
{
	struct record r;

	begin(&r, from_guest ? VMBUS_TRACE_MESSAGE_IN : VMBUS_TRACE_MESSAGE_OUT, 0);
	add_one(&r, payload, bytes);
	end(&r, server);
}

void trace_open(const struct vmbus_channel *channel)
{
	const struct vmbus_trace_open open = {
		.interface = channel->control.offer.interface,
		.instance = channel->control.offer.instance,
		.index = channel->control.index,
	};
	struct record r;

	begin(&r, VMBUS_TRACE_OPEN, channel->control.relid);
	add_one(&r, &open, sizeof open);
	end(&r, channel->server);
}

void trace_close(const struct vmbus_channel *channel)
{
	struct record r;

	begin(&r, VMBUS_TRACE_CLOSE, channel->control.relid);
	end(&r, channel->server);
}

void trace_packet_in(const struct vmbus_channel *channel, size_t bytes, const struct vmbus_gpa_range *range)
{
	struct vmbus_trace_packet packet = { .packet_bytes = (uint32_t)bytes, .range_bytes = range->bytes };
	struct record r;

	begin(&r, VMBUS_TRACE_PACKET_IN, channel->control.relid);
	add_one(&r, &packet, sizeof packet);
	add_one(&r, channel->packet, bytes);
	packet.data_bytes = add(&r, range->iov, range->iov_count, VMBUS_TRACE_DATA_MAX);
	end(&r, channel->server);
}

void trace_packet_out(const struct vmbus_channel *channel, const struct iovec *head, unsigned head_count,
		      const struct iovec *parts, unsigned part_count)
{
	struct vmbus_trace_packet packet = { .data_bytes = 0 };
	struct record r;

	begin(&r, VMBUS_TRACE_PACKET_OUT, channel->control.relid);
	add_one(&r, &packet, sizeof packet);
	packet.packet_bytes = add(&r, head, head_count, SIZE_MAX);
	packet.packet_bytes += add(&r, parts, part_count, SIZE_MAX);
	end(&r, channel->server);
}

bool vmbus_channel_is_traced(const struct vmbus_channel *channel)
{
	return trace_is_on(channel->server);
}

void vmbus_channel_trace(const struct vmbus_channel *channel, const struct iovec *pieces, unsigned count)
{
	struct record r;

	if (!trace_is_on(channel->server))
		return;
	begin(&r, VMBUS_TRACE_DATA, channel->control.relid);
	(void)add(&r, pieces, count, VMBUS_TRACE_DATA_MAX);
	end(&r, channel->server);
}
