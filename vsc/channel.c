// SPDX-License-Identifier: Apache-2.0
#include "channel.h"

#define RING_PAGES_MIN 2u
#define RING_PAGES_MAX 4095u		/* both together in one GPADL */

/* ---- opening and closing */

static int post_open(struct vsc_channel *channel, unsigned ring_pages, uint32_t vp)
{
	const struct vmbus_open_message message = {
		.header.type = VMBUS_OPEN_CHANNEL,
		.relid = channel->relid,
		.open_id = channel->relid,
		.ring_gpadl = channel->ring_gpadl,
		.target_vp = vp,
		.downstream_page = ring_pages,
	};
	struct vmbus_open_result_message result;
	int r;

	vsc_bus_expect(channel->bus, VMBUS_OPEN_CHANNEL_RESULT, offsetof(struct vmbus_open_result_message, relid),
		       channel->relid, channel->relid);
	r = vsc_bus_post(channel->bus, &message, sizeof message);
	if (r == VSC_OK)
		r = vsc_bus_await(channel->bus, &result, sizeof result);
	channel->bus->reply.type = 0;
	if (r)
		return r;
	return result.status == VMBUS_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

int vsc_channel_open(struct vsc_channel *channel, struct vsc_bus *bus, const struct vsc_offer *offer, void *memory,
		     unsigned ring_pages, uint32_t vp)
{
	int r;

	if (ring_pages < RING_PAGES_MIN || ring_pages > RING_PAGES_MAX)
		return VSC_INVALID;
	*channel = (struct vsc_channel){ .bus = bus, .relid = offer->relid, .connection = offer->connection };
	vsc_ring_init(&channel->out, memory, ring_pages);
	vsc_ring_init(&channel->in, (uint8_t *)memory + (size_t)ring_pages * VSC_PAGE, ring_pages);
	channel->out.control->feature_bits = VMBUS_RING_FEATURE_PENDING_SEND;
	r = vsc_gpadl_create(bus, channel->relid, memory, 2 * ring_pages * VSC_PAGE, &channel->ring_gpadl);
	if (r)
		return r;
	channel->next = bus->channels;
	bus->channels = channel;
	r = post_open(channel, ring_pages, vp);
	if (r)
		(void)vsc_channel_close(channel);
	return r;
}

static void unlink_channel(struct vsc_channel *channel)
{
	struct vsc_channel **at = &channel->bus->channels;

	while (*at && *at != channel)
		at = &(*at)->next;
	if (*at)
		*at = channel->next;
}

int vsc_channel_close(struct vsc_channel *channel)
{
	const struct vmbus_relid_message message = { .header.type = VMBUS_CLOSE_CHANNEL, .relid = channel->relid };
	int r;

	if (channel->ring_gpadl == 0)
		return VSC_OK;
	r = vsc_bus_post(channel->bus, &message, sizeof message);
	if (r == VSC_OK)
		r = vsc_gpadl_teardown(channel->bus, channel->relid, channel->ring_gpadl);
	unlink_channel(channel);
	channel->ring_gpadl = 0;
	return r;
}

int vsc_channel_retarget(struct vsc_channel *channel, uint32_t vp)
{
	const struct vmbus_modify_message message = {
		.header.type = VMBUS_MODIFY_CHANNEL, .relid = channel->relid, .target_vp = vp,
	};
	struct vmbus_modify_response_message response;
	int r;

	if (channel->bus->version < VMBUS_VERSION_WIN10_V4_1)
		return VSC_INVALID;
	vsc_bus_expect(channel->bus, VMBUS_MODIFY_CHANNEL_RESPONSE,
		       offsetof(struct vmbus_modify_response_message, relid), channel->relid, channel->relid);
	r = vsc_bus_post(channel->bus, &message, sizeof message);
	if (r == VSC_OK && channel->bus->version >= VMBUS_VERSION_WIN10_V5_3) {
		r = vsc_bus_await(channel->bus, &response, sizeof response);
		if (r == VSC_OK && response.status != VMBUS_STATUS_SUCCESS)
			r = VSC_REFUSED;
	}
	channel->bus->reply.type = 0;
	return r;
}

/* ---- sending */

void vsc_channel_signal(struct vsc_channel *channel)
{
	const struct vsc_platform *platform = channel->bus->platform;

	channel->signals++;
	platform->signal_event(platform->context, channel->connection);
}

static int start(struct vsc_channel *channel, const struct vmbus_packet_descriptor *descriptor, uint32_t length)
{
	int r = channel->rescinded ? VSC_GONE : vsc_ring_reserve(&channel->out, length);

	if (r == VSC_OK)
		vsc_ring_put(&channel->out, descriptor, sizeof *descriptor);
	return r;
}

static void finish(struct vsc_channel *channel)
{
	vsc_ring_end(&channel->out);
	channel->packets_sent++;
	if (vsc_ring_publish_write(&channel->out))
		vsc_channel_signal(channel);
}

static uint16_t in_eights(uint32_t bytes)
{
	return (uint16_t)((bytes + VMBUS_RING_ALIGN - 1) / VMBUS_RING_ALIGN);
}

#define LENGTH_MAX (0xffffu * VMBUS_RING_ALIGN)

int vsc_channel_send(struct vsc_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		     const struct vsc_part *parts, unsigned part_count)
{
	struct vmbus_packet_descriptor descriptor = { type, in_eights(sizeof descriptor), 0, flags, transaction };
	uint64_t length = sizeof descriptor;
	int r;

	for (unsigned i = 0; i < part_count; i++)
		length += parts[i].bytes;
	if (length > LENGTH_MAX)
		return VSC_TOO_LARGE;
	descriptor.length8 = in_eights((uint32_t)length);
	r = start(channel, &descriptor, (uint32_t)length);
	if (r)
		return r;
	for (unsigned i = 0; i < part_count; i++)
		vsc_ring_put(&channel->out, parts[i].base, parts[i].bytes);
	finish(channel);
	return VSC_OK;
}

int vsc_channel_send_memory(struct vsc_channel *channel, uint16_t flags, uint64_t transaction, const void *memory,
			    uint32_t bytes, const void *payload, uint32_t payload_bytes)
{
	const struct vsc_platform *platform = channel->bus->platform;
	const uint8_t *page = (const uint8_t *)((uintptr_t)memory & ~(uintptr_t)(VSC_PAGE - 1));
	const struct vmbus_gpa_range_header range = { bytes, (uint32_t)((const uint8_t *)memory - page) };
	const uint32_t frames = (uint32_t)(((uint64_t)range.offset + bytes + VSC_PAGE - 1) / VSC_PAGE);
	const uint64_t head = sizeof(struct vmbus_gpa_direct_header) + sizeof range + (uint64_t)frames * sizeof(uint64_t);
	struct vmbus_gpa_direct_header header = { .range_count = 1 };
	int r;

	if (bytes == 0)
		return VSC_INVALID;
	if (head + payload_bytes > LENGTH_MAX)
		return VSC_TOO_LARGE;
	header.descriptor = (struct vmbus_packet_descriptor){
		VMBUS_PACKET_GPA_DIRECT, in_eights((uint32_t)head), in_eights((uint32_t)head + payload_bytes), flags,
		transaction,
	};
	r = start(channel, &header.descriptor, (uint32_t)head + payload_bytes);
	if (r)
		return r;
	vsc_ring_put(&channel->out, &header.rsvd, sizeof header - sizeof header.descriptor);
	vsc_ring_put(&channel->out, &range, sizeof range);
	for (uint32_t i = 0; i < frames; i++, page += VSC_PAGE) {
		uint64_t frame = platform->gpa(platform->context, page) / VSC_PAGE;

		vsc_ring_put(&channel->out, &frame, sizeof frame);
	}
	vsc_ring_put(&channel->out, payload, payload_bytes);
	finish(channel);
	return VSC_OK;
}

int vsc_channel_want_room(struct vsc_channel *channel, uint32_t payload_bytes)
{
	return vsc_ring_want(&channel->out, (uint32_t)sizeof(struct vmbus_packet_descriptor) + payload_bytes);
}

/* ---- receiving */

static void give_back(struct vsc_channel *channel)
{
	if (vsc_ring_publish_read(&channel->in))
		vsc_channel_signal(channel);
}

int vsc_channel_receive(struct vsc_channel *channel, struct vsc_packet *out, void *buffer, uint32_t buffer_bytes)
{
	struct vmbus_packet_descriptor descriptor;
	uint32_t bytes;
	int r;

	if (channel->rescinded)
		return VSC_GONE;
	vsc_ring_mask(&channel->in);
	do {
		r = vsc_ring_peek(&channel->in, &descriptor);
		if (r)
			break;
		give_back(channel);
	} while (vsc_ring_unmask(&channel->in));
	if (r <= 0)
		return r;
	bytes = descriptor.length8 * VMBUS_RING_ALIGN;
	if (bytes > buffer_bytes)
		return VSC_TOO_LARGE;
	/* The descriptor that was checked, not what may lie there by now. */
	memcpy(buffer, &descriptor, sizeof descriptor);
	vsc_ring_copy(&channel->in, sizeof descriptor, (uint8_t *)buffer + sizeof descriptor,
		      bytes - (uint32_t)sizeof descriptor);
	vsc_ring_consume(&channel->in, &descriptor);
	channel->packets_received++;
	/* In batches, but early enough that the host need not stop. */
	if (vsc_ring_unpublished(&channel->in) > channel->in.bytes / 4)
		give_back(channel);
	*out = (struct vsc_packet){
		.type = descriptor.type,
		.flags = descriptor.flags,
		.transaction = descriptor.transaction,
		.payload_offset = descriptor.payload_offset8 * VMBUS_RING_ALIGN,
		.payload_bytes = bytes - descriptor.payload_offset8 * VMBUS_RING_ALIGN,
	};
	return 1;
}

int vsc_channel_await(struct vsc_channel *channel, struct vsc_packet *out, void *buffer, uint32_t buffer_bytes)
{
	const struct vsc_platform *platform = channel->bus->platform;

	for (unsigned round = 0;; round++) {
		int r = vsc_channel_receive(channel, out, buffer, buffer_bytes);

		if (r)
			return r;
		/* A rescind is a message. */
		vsc_bus_poll(channel->bus);
		if (!platform->wait(platform->context, round))
			return VSC_TIMEOUT;
	}
}

int vsc_channel_transact(struct vsc_channel *channel, uint64_t transaction, const void *payload, uint32_t bytes,
			 struct vsc_packet *out, void *buffer, uint32_t buffer_bytes)
{
	const struct vsc_part part = { payload, bytes };
	int r = vsc_channel_send(channel, VMBUS_PACKET_IN_BAND, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, transaction, &part,
				 1);

	while (r == VSC_OK) {
		r = vsc_channel_await(channel, out, buffer, buffer_bytes);
		if (r == 1 && out->type == VMBUS_PACKET_COMPLETION && out->transaction == transaction)
			return VSC_OK;
		r = r == 1 ? VSC_OK : r;
	}
	return r;
}
