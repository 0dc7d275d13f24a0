// SPDX-License-Identifier: Apache-2.0
#include "ic_rig.h"

#include <errno.h>

#define PACKET_OVERHEAD (16 + 8)	/* descriptor and trailer */

static size_t padded(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static void fifo_put(struct rig_fifo *fifo, struct rig_packet packet)
{
	assert_true(fifo->count < RIG_PACKETS_MAX);
	fifo->packets[(fifo->first + fifo->count++) % RIG_PACKETS_MAX] = packet;
}

static struct rig_packet fifo_take(struct rig_fifo *fifo)
{
	struct rig_packet packet;

	assert_true(fifo->count > 0);
	packet = fifo->packets[fifo->first];
	fifo->first = (fifo->first + 1) % RIG_PACKETS_MAX;
	fifo->count--;
	return packet;
}

static struct rig_packet packet_of(uint16_t type, uint16_t flags, uint64_t transaction, const struct iovec *parts,
				   unsigned part_count)
{
	struct rig_packet packet = { .type = type, .flags = flags, .transaction = transaction };
	size_t at = 0;

	for (unsigned i = 0; i < part_count; i++)
		packet.bytes += parts[i].iov_len;
	/* Exactly as long as what a reader may look at, so that a sanitizer sees the rest. */
	packet.payload = calloc(1, padded(packet.bytes) ? padded(packet.bytes) : 1);
	assert_non_null(packet.payload);
	for (unsigned i = 0; i < part_count; i++) {
		if (parts[i].iov_len)
			memcpy(packet.payload + at, parts[i].iov_base, parts[i].iov_len);
		at += parts[i].iov_len;
	}
	return packet;
}

/* ---- vmbus/channel.h */

int vmbus_channel_read(struct vmbus_channel *channel, struct vmbus_packet *out)
{
	struct rig_packet packet;

	assert_true(channel->open);
	free(channel->reading);
	channel->reading = NULL;
	if (channel->broken)
		return -EPROTO;
	if (channel->to_host.count == 0)
		return 0;
	packet = fifo_take(&channel->to_host);
	channel->reading = packet.payload;
	*out = (struct vmbus_packet){
		.type = packet.type,
		.wants_completion = packet.flags & VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
		.transaction = packet.transaction,
		.payload = packet.payload,
		.payload_bytes = padded(packet.bytes),
	};
	return 1;
}

int vmbus_channel_send(struct vmbus_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		       const struct iovec *parts, unsigned part_count)
{
	struct rig_packet packet;
	size_t bytes = 0, whole;

	assert_true(channel->open);
	for (unsigned i = 0; i < part_count; i++)
		bytes += parts[i].iov_len;
	whole = padded(bytes) + PACKET_OVERHEAD;
	if (channel->broken)
		return -EPROTO;
	if (whole - 8 > channel->rig->device->offer.packet_bytes_max || whole > channel->ring_bytes - 8)
		return -EMSGSIZE;
	if (whole > vmbus_channel_room(channel)) {
		channel->wants_room = true;
		return -EAGAIN;
	}
	packet = packet_of(type, flags, transaction, parts, part_count);
	channel->used += whole;
	fifo_put(&channel->to_guest, packet);
	return 0;
}

int vmbus_channel_complete(struct vmbus_channel *channel, uint64_t transaction, const void *payload, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)payload, bytes };

	return vmbus_channel_send(channel, VMBUS_PACKET_COMPLETION, 0, transaction, &part, 1);
}

void vmbus_channel_flush(struct vmbus_channel *channel)
{
	assert_true(channel->open);
	channel->rig->flushes++;
}

size_t vmbus_channel_room(const struct vmbus_channel *channel)
{
	assert_true(channel->open);
	return channel->ring_bytes - 8 - channel->used;
}

const struct vsp_host *vmbus_channel_host(const struct vmbus_channel *channel)
{
	assert_true(channel->open);
	return &channel->rig->host;
}

void vmbus_channel_closed(struct vmbus_channel *channel)
{
	assert_true(channel->open);
	channel->acknowledged = true;
}

/* ---- host.h */

static void timer_cancel(void *host, struct vsp_timer *timer)
{
	struct rig *rig = host;

	for (unsigned i = 0; i < sizeof rig->timers / sizeof rig->timers[0]; i++) {
		if (rig->timers[i] == timer)
			rig->timers[i] = NULL;
	}
}

static void timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	struct rig *rig = host;

	timer_cancel(host, timer);
	for (unsigned i = 0; i < sizeof rig->timers / sizeof rig->timers[0]; i++) {
		if (!rig->timers[i]) {
			rig->timers[i] = timer;
			rig->due[i] = rig->now_ns + after_ns;
			return;
		}
	}
	fail_msg("more timers than the rig holds");
}

static void clock_looked_at(struct rig *rig)
{
	rig->now_ns += rig->slow_reads ? rig->slow_step_ns : rig->clock_step_ns;
	if (rig->slow_reads)
		rig->slow_reads--;
}

static uint64_t reference_time(void *host)
{
	struct rig *rig = host;

	clock_looked_at(rig);
	return RIG_REFERENCE_OFFSET + rig->now_ns / 100;
}

static uint64_t wall_time(void *host)
{
	struct rig *rig = host;

	clock_looked_at(rig);
	return RIG_WALL_OFFSET + rig->now_ns / 100;
}

static uint64_t monotonic_ns(void *host)
{
	struct rig *rig = host;

	return 1 + rig->now_ns;
}

static const struct vsp_host_ops ops = {
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.reference_time = reference_time,
	.wall_time = wall_time,
	.monotonic_ns = monotonic_ns,
};

/* ---- for tests */

void rig_init(struct rig *rig, struct vmbus_device *device)
{
	memset(rig, 0, sizeof *rig);
	rig->device = device;
	rig->host = (struct vsp_host){ .ops = &ops, .context = rig };
	rig->channel.rig = rig;
	rig->channel.ring_bytes = RIG_RING_BYTES;
}

static void forget(struct rig *rig)
{
	while (rig->channel.to_guest.count)
		free(fifo_take(&rig->channel.to_guest).payload);
	while (rig->channel.to_host.count)
		free(fifo_take(&rig->channel.to_host).payload);
	free(rig->channel.reading);
	rig->channel.reading = NULL;
	rig->channel.used = 0;
}

void rig_fini(struct rig *rig)
{
	if (rig->channel.open)
		rig_close(rig);
	forget(rig);
	assert_int_equal(rig_timers(rig), 0);
}

static void channel_start(struct vmbus_channel *channel)
{
	assert_false(channel->open);
	channel->open = true;
	channel->broken = false;
	channel->wants_room = false;
	channel->acknowledged = false;
}

int rig_open(struct rig *rig)
{
	channel_start(&rig->channel);
	return rig->device->ops->opened(rig->device->context, &rig->channel);
}

int rig_restore(struct rig *rig)
{
	int r;

	channel_start(&rig->channel);
	r = rig->device->ops->restored(rig->device->context, &rig->channel);
	rig->channel.open = r == 0;
	return r;
}

void rig_close(struct rig *rig)
{
	rig->device->ops->closing(rig->device->context, &rig->channel);
	assert_true(rig->channel.acknowledged);
	rig->channel.open = false;
	forget(rig);
}

static void ready(struct rig *rig)
{
	if (rig->channel.open)
		rig->device->ops->ready(rig->device->context, &rig->channel);
}

void rig_advance(struct rig *rig, uint64_t ns)
{
	uint64_t end = rig->now_ns + ns;

	for (unsigned fired = 0;; fired++) {
		unsigned next = 0;
		struct vsp_timer *timer;

		assert_true(fired < 100000);
		for (unsigned i = 1; i < sizeof rig->timers / sizeof rig->timers[0]; i++) {
			if (rig->timers[i] && (!rig->timers[next] || rig->due[i] < rig->due[next]))
				next = i;
		}
		timer = rig->timers[next];
		if (!timer || rig->due[next] > end)
			break;
		if (rig->due[next] > rig->now_ns)
			rig->now_ns = rig->due[next];
		rig->timers[next] = NULL;
		timer->expired(timer->context);
	}
	if (rig->now_ns < end)
		rig->now_ns = end;
}

unsigned rig_timers(const struct rig *rig)
{
	unsigned count = 0;

	for (unsigned i = 0; i < sizeof rig->timers / sizeof rig->timers[0]; i++)
		count += rig->timers[i] != NULL;
	return count;
}

unsigned rig_unread(const struct rig *rig)
{
	return rig->channel.to_guest.count;
}

struct rig_packet rig_take(struct rig *rig)
{
	struct rig_packet packet = fifo_take(&rig->channel.to_guest);

	rig->channel.used -= padded(packet.bytes) + PACKET_OVERHEAD;
	if (rig->channel.wants_room) {
		rig->channel.wants_room = false;
		ready(rig);
	}
	return packet;
}

void rig_drop(struct rig *rig)
{
	free(rig_take(rig).payload);
}

void rig_put(struct rig *rig, uint16_t type, uint16_t flags, uint64_t transaction, const void *payload, size_t bytes)
{
	const struct iovec part = { (void *)(uintptr_t)payload, bytes };

	fifo_put(&rig->channel.to_host, packet_of(type, flags, transaction, &part, 1));
}

void rig_send(struct rig *rig, const void *payload, size_t bytes)
{
	rig_put(rig, VMBUS_PACKET_IN_BAND, 0, 0, payload, bytes);
	ready(rig);
}

void rig_break(struct rig *rig)
{
	rig->channel.broken = true;
	ready(rig);
}

struct ic_header rig_header(const struct rig_packet *packet)
{
	struct ic_header header;

	assert_true(packet->bytes >= sizeof header);
	memcpy(&header, packet->payload, sizeof header);
	return header;
}

void rig_answer_packet(struct rig *rig, const struct rig_packet *request, uint32_t status)
{
	struct ic_header header = rig_header(request);

	header.status = status;
	header.flags = IC_FLAG_TRANSACTION | IC_FLAG_RESPONSE;
	memcpy(request->payload, &header, sizeof header);
	rig_send(rig, request->payload, request->bytes);
}

void rig_answer(struct rig *rig, uint16_t message_type, size_t body_bytes, uint32_t status,
		void (*edit)(uint8_t *body, void *context), void *context)
{
	struct rig_packet packet = rig_take(rig);
	struct ic_header header = rig_header(&packet);

	assert_int_equal(packet.type, VMBUS_PACKET_IN_BAND);
	assert_int_equal(packet.flags, 0);
	assert_int_equal(packet.bytes, sizeof header + body_bytes);
	assert_int_equal(header.pipe_type, 1);
	assert_int_equal(header.pipe_bytes, 20 + body_bytes);
	assert_int_equal(header.message_type, message_type);
	assert_int_equal(header.body_bytes, body_bytes);
	assert_int_equal(header.status, 0);
	assert_int_equal(header.flags, 3);
	assert_int_equal(header.rsvd, 0);
	if (edit)
		edit(packet.payload + sizeof header, context);
	rig_answer_packet(rig, &packet, status);
	free(packet.payload);
}

void rig_negotiate(struct rig *rig, struct ic_version framework, struct ic_version message)
{
	const struct ic_negotiate counts = { 1, 1, 0 };
	struct rig_packet packet = rig_take(rig);
	struct ic_header header = rig_header(&packet);

	assert_int_equal(header.message_type, IC_MESSAGE_NEGOTIATE);
	assert_true(packet.bytes >= 44);
	header.body_bytes = 16;			/* a guest writes its own size into the packet of the host's length */
	memcpy(packet.payload, &header, sizeof header);
	memcpy(packet.payload + 28, &counts, sizeof counts);
	memcpy(packet.payload + 36, &framework, sizeof framework);
	memcpy(packet.payload + 40, &message, sizeof message);
	rig_answer_packet(rig, &packet, IC_STATUS_OK);
	free(packet.payload);
}
