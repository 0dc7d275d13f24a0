// SPDX-License-Identifier: Apache-2.0
/*
 * Tap to guest. The receive buffer is cut into sections; a frame takes one, a transfer packet names several, and its
 * completion brings them all back. A transaction id names the first section of a transfer, which leads to the others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "netvsp/nic.h"

#define FRAMES_PER_TURN  128u
#define STALE_MAX        4096u		/* frames, more than a tap queues */
#define RESERVE_SECTIONS 4u
/* Header and information of a data message, and the largest control message, with room to spare. */
#define SECTION_HEADROOM 292u
#define SECTION_ALIGNMENT 16u
#define PACKET_HEADER_MAX (sizeof(struct rndis_packet) + OFFLOAD_RX_PPI_BYTES_MAX)

_Static_assert(PACKET_HEADER_MAX + FRAME_TAG_BYTES <= SECTION_HEADROOM, "a whole frame fits a section");
_Static_assert(NIC_REPLY_BYTES_MAX <= NETVSP_MTU_MIN + FRAME_HEADER_BYTES + SECTION_HEADROOM, "so does a reply");

enum rx_state { SECTION_FREE, SECTION_TAKEN, SECTION_LEADS };

/* ---- Sections ---- */

static void section_free(struct nic_rx *rx, uint32_t index)
{
	rx->section[index] = (struct rx_section){ .next = rx->free_first, .state = SECTION_FREE };
	rx->free_first = index;
	rx->free_count++;
}

/* There is one. */
static uint32_t section_take(struct nic_rx *rx)
{
	uint32_t index = rx->free_first;

	rx->free_first = rx->section[index].next;
	rx->free_count--;
	rx->section[index] = (struct rx_section){ .next = RX_NONE, .state = SECTION_TAKEN };
	return index;
}

static void chain_free(struct nic_rx *rx, uint32_t first)
{
	while (first != RX_NONE) {
		uint32_t next = rx->section[first].next;

		section_free(rx, first);
		first = next;
	}
}

int rx_bind(struct netvsp *nic, struct vmbus_channel *channel, uint32_t gpadl, uint16_t id)
{
	struct nic_rx *rx = &nic->rx;
	int r = guest_buffer_bind(&rx->buffer, channel, gpadl, id);

	if (r)
		return r;
	rx->section_bytes = nic->mtu + FRAME_HEADER_BYTES + SECTION_HEADROOM;
	rx->section_bytes = (rx->section_bytes + SECTION_ALIGNMENT - 1) / SECTION_ALIGNMENT * SECTION_ALIGNMENT;
	if (rx->buffer.range.bytes < rx->section_bytes || rx->buffer.range.bytes > UINT32_MAX) {
		guest_buffer_release(&rx->buffer);
		return -EINVAL;
	}
	rx->section_count = (uint32_t)(rx->buffer.range.bytes / rx->section_bytes);
	rx->section = calloc(rx->section_count, sizeof *rx->section);
	if (!rx->section) {
		guest_buffer_release(&rx->buffer);
		return -ENOMEM;
	}
	rx->reserve = rx->section_count > 2 * RESERVE_SECTIONS ? RESERVE_SECTIONS : rx->section_count / 2;
	rx->free_first = RX_NONE;
	rx->free_count = 0;
	rx->generation++;
	for (uint32_t i = rx->section_count; i > 0; i--)
		section_free(rx, i - 1);
	return 0;
}

void rx_release(struct netvsp *nic)
{
	struct nic_rx *rx = &nic->rx;

	if (!rx->buffer.channel)
		return;
	for (unsigned i = 0; i < nic->queue_count; i++) {
		nic->queue[i].counters.drops[NETVSP_DROP_RX_CHANNEL] += nic->queue[i].batch.count;
		nic->queue[i].batch = (struct rx_batch){ .count = 0 };
	}
	free(rx->section);
	rx->section = NULL;
	rx->section_bytes = rx->section_count = rx->free_count = 0;
	guest_buffer_release(&rx->buffer);
}

static uint64_t transaction_of(const struct nic_rx *rx, uint32_t first)
{
	return (uint64_t)rx->generation << 32 | (first + 1u);
}

void rx_completed(struct nic_queue *queue, uint64_t transaction)
{
	struct nic_rx *rx = &queue->nic->rx;
	uint32_t first = (uint32_t)transaction - 1;

	if (!rx->buffer.channel || transaction >> 32 != rx->generation || first >= rx->section_count ||
	    rx->section[first].state != SECTION_LEADS || rx->section[first].channel != queue->index) {
		nic_count(queue, NETVSP_DROP_BAD_COMPLETION);
		return;
	}
	chain_free(rx, first);
}

void rx_reclaim(struct nic_queue *queue)
{
	struct nic_rx *rx = &queue->nic->rx;

	if (!rx->buffer.channel)
		return;
	if (queue->batch.count)
		chain_free(rx, queue->batch.first);
	queue->counters.drops[NETVSP_DROP_RX_CHANNEL] += queue->batch.count;
	queue->batch = (struct rx_batch){ .count = 0 };
	for (uint32_t i = 0; i < rx->section_count; i++)
		if (rx->section[i].state == SECTION_LEADS && rx->section[i].channel == queue->index)
			chain_free(rx, i);
}

/* ---- Transfers ---- */

static int transfer_send(struct nic_queue *queue, uint32_t channel_type, uint32_t first,
			 const struct vmbus_transfer_range *range, unsigned count)
{
	struct nic_rx *rx = &queue->nic->rx;
	const struct nvsp_rndis_packet message = { NVSP_RNDIS_PACKET, channel_type, NVSP_SECTION_NONE, 0 };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	const struct iovec part = { padded, sizeof padded };
	int r;

	memcpy(padded, &message, sizeof message);
	r = vmbus_channel_send_transfer(queue->channel, rx->buffer.id, transaction_of(rx, first), range, count, &part,
					1);
	if (r == 0) {
		rx->section[first].state = SECTION_LEADS;
		rx->section[first].channel = (uint8_t)queue->index;
	}
	return r;
}

int rx_send_control(struct netvsp *nic, const void *message, size_t bytes)
{
	struct nic_rx *rx = &nic->rx;
	struct vmbus_transfer_range range;
	struct span span;
	uint32_t first;
	int r;

	if (!rx->buffer.channel || rx->free_count == 0)
		return -EAGAIN;
	first = section_take(rx);
	range = (struct vmbus_transfer_range){ (uint32_t)bytes, first * rx->section_bytes };
	span = guest_buffer_span(&rx->buffer, range.offset, bytes);
	span_copy_in(&span, 0, message, bytes);
	r = transfer_send(&nic->queue[0], NVSP_CHANNEL_CONTROL, first, &range, 1);
	if (r)
		section_free(rx, first);
	(void)nic_queue_sent(&nic->queue[0], r);
	return r;
}

void rx_flush(struct nic_queue *queue)
{
	struct rx_batch *batch = &queue->batch;
	int r;

	if (batch->count == 0)
		return;
	r = nic_queue_is_usable(queue) ?
	    transfer_send(queue, NVSP_CHANNEL_DATA, batch->first, batch->range, batch->count) : -EPROTO;
	batch->is_stuck = r == -EAGAIN;
	if (batch->is_stuck)
		return;
	if (r) {
		(void)nic_queue_sent(queue, r);
		chain_free(&queue->nic->rx, batch->first);
		queue->counters.drops[NETVSP_DROP_RX_CHANNEL] += batch->count;
	}
	batch->count = 0;
}

static void batch_add(struct nic_queue *queue, uint32_t section, uint32_t bytes)
{
	struct nic_rx *rx = &queue->nic->rx;
	struct rx_batch *batch = &queue->batch;

	if (batch->count == 0)
		batch->first = section;
	else
		rx->section[batch->last].next = section;
	batch->last = section;
	batch->range[batch->count++] = (struct vmbus_transfer_range){ bytes, section * rx->section_bytes };
	if (batch->count == NIC_RX_BATCH_MAX)
		rx_flush(queue);
}

/* ---- Frames ---- */

static bool is_listed(const struct nic_rndis *rndis, const uint8_t *mac)
{
	for (unsigned i = 0; i < rndis->multicast_count; i++)
		if (memcmp(rndis->multicast[i], mac, FRAME_MAC_BYTES) == 0)
			return true;
	return false;
}

static bool is_wanted(const struct netvsp *nic, const uint8_t *frame)
{
	uint32_t filter = nic->rndis.filter;

	if (filter & NDIS_FILTER_PROMISCUOUS)
		return true;
	switch (frame_cast(frame)) {
	case FRAME_BROADCAST:
		return (filter & NDIS_FILTER_BROADCAST) != 0;
	case FRAME_MULTICAST:
		return filter & NDIS_FILTER_ALL_MULTICAST ||
		       (filter & NDIS_FILTER_MULTICAST && is_listed(&nic->rndis, frame));
	default:
		return filter & NDIS_FILTER_DIRECTED && (memcmp(frame, nic->mac, FRAME_MAC_BYTES) == 0 ||
							 memcmp(frame, nic->mac_permanent, FRAME_MAC_BYTES) == 0);
	}
}

/* By the guest's table where there is a hash, else as the tap chose. */
static struct nic_queue *target_of(struct nic_queue *queue, const struct offload_rx *rx)
{
	struct netvsp *nic = queue->nic;
	const struct rss *rss = &nic->rndis.rss;
	struct nic_queue *target = queue;

	if (rx->has_hash)
		target = &nic->queue[rss->table[rx->hash % rss->table_count]];
	return nic_queue_is_usable(target) ? target : &nic->queue[0];
}

static bool receives(uint8_t setting)
{
	return setting == NDIS_OFFLOAD_RX || setting == NDIS_OFFLOAD_TX_RX;
}

static uint32_t message_write(struct nic_rx *rx, uint32_t section, const struct offload_rx *offload,
			      const uint8_t *frame, size_t bytes)
{
	uint8_t head[PACKET_HEADER_MAX];
	size_t ppi_bytes = offload_rx_encode(offload, head + sizeof(struct rndis_packet));
	size_t head_bytes = sizeof(struct rndis_packet) + ppi_bytes;
	const struct rndis_packet m = {
		.header = { RNDIS_PACKET, (uint32_t)(head_bytes + bytes) },
		.data_offset = (uint32_t)(head_bytes - RNDIS_OFFSET_BASE),
		.data_bytes = (uint32_t)bytes,
		.ppi_offset = ppi_bytes ? sizeof m - RNDIS_OFFSET_BASE : 0,
		.ppi_bytes = (uint32_t)ppi_bytes,
	};
	struct span span = guest_buffer_span(&rx->buffer, (size_t)section * rx->section_bytes, m.header.bytes);

	memcpy(head, &m, sizeof m);
	span_copy_in(&span, 0, head, head_bytes);
	span_copy_in(&span, head_bytes, frame, bytes);
	return m.header.bytes;
}

/* A frame in nic->frame. A section is free. */
static void receive(struct nic_queue *queue, const struct virtio_net_hdr_v1 *header, size_t bytes)
{
	struct netvsp *nic = queue->nic;
	const struct ndis_offload_parameters *p = &nic->rndis.offload;
	const struct offload_rx_wanted wanted = { receives(p->ip4), receives(p->tcp4), receives(p->udp4),
						  receives(p->tcp6), receives(p->udp6) };
	size_t head_bytes = bytes < FRAME_HEAD_BYTES ? bytes : FRAME_HEAD_BYTES, on_wire = bytes;
	uint8_t *frame = nic->frame;
	struct netvsp_traffic *traffic;
	struct offload_rx offload;
	struct nic_queue *target;
	struct frame_info info;
	uint32_t section;

	if (bytes < FRAME_HEADER_BYTES) {
		nic_count(queue, NETVSP_DROP_RX_SIZE);
		return;
	}
	frame_parse(frame, head_bytes, &info);
	if (bytes > nic->mtu + FRAME_HEADER_BYTES + (info.tags ? FRAME_TAG_BYTES : 0)) {
		nic_count(queue, NETVSP_DROP_RX_SIZE);
		return;
	}
	if (!is_wanted(nic, frame)) {
		nic_count(queue, NETVSP_DROP_RX_FILTERED);
		return;
	}
	if (offload_rx_apply(header, frame, bytes, &info, &wanted, &offload)) {
		nic_count(queue, NETVSP_DROP_RX_OFFLOAD);
		return;
	}
	offload.has_hash = rss_hash(&nic->rndis.rss, frame, head_bytes, &info, &offload.hash);
	if (nic->capabilities & NVSP_CAPABILITY_IEEE8021Q)
		offload.has_tag = frame_tag_remove(frame, bytes, &offload.tci);
	if (offload.has_tag) {
		frame += FRAME_TAG_BYTES;
		bytes -= FRAME_TAG_BYTES;
	}
	target = target_of(queue, &offload);
	traffic = &target->counters.rx[frame_cast(frame)];
	traffic->frames++;
	traffic->bytes += on_wire;
	section = section_take(&nic->rx);
	batch_add(target, section, message_write(&nic->rx, section, &offload, frame, bytes));
}

/* ---- Taps ---- */

/* Bytes of the frame, now in nic->frame; -EAGAIN nothing there; -EIO there will be nothing any more. */
static ssize_t tap_read(struct nic_queue *queue, struct virtio_net_hdr_v1 *header)
{
	struct netvsp *nic = queue->nic;
	struct iovec iov[] = { { header, sizeof *header }, { nic->frame, sizeof nic->frame } };
	ssize_t got;

	do
		got = readv(queue->tap.fd, iov, 2);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EWOULDBLOCK)
		return -EAGAIN;
	if (got <= 0)
		return -EIO;
	return (size_t)got < sizeof *header ? 0 : got - (ssize_t)sizeof *header;
}

static void tap_watch(struct nic_queue *queue, bool watch)
{
	const struct vsp_host *host = &queue->nic->host;

	watch &= !queue->tap_dead;
	if (watch == queue->tap_watched)
		return;
	if (!watch) {
		host->ops->watch_remove(host->context, &queue->tap);
		queue->tap_watched = false;
	} else if (host->ops->watch_add(host->context, &queue->tap) == 0) {
		queue->tap_watched = true;
	} else {
		queue->tap_dead = true;
		host->ops->log(host->context, "netvsp: a tap cannot be watched");
	}
}

static void tap_ended(struct nic_queue *queue)
{
	queue->tap_dead = true;
	queue->nic->host.ops->log(queue->nic->host.context, "netvsp: a tap is gone");
}

/* What came while nobody listened is old news. */
static void tap_drain(struct nic_queue *queue)
{
	struct virtio_net_hdr_v1 header;

	for (unsigned i = 0; i < STALE_MAX && !queue->tap_dead; i++) {
		ssize_t got = tap_read(queue, &header);

		if (got == -EAGAIN)
			return;
		if (got < 0)
			tap_ended(queue);
		else
			nic_count(queue, NETVSP_DROP_RX_STALE);
	}
}

static bool has_room(const struct netvsp *nic)
{
	if (nic->rx.free_count <= nic->rx.reserve)
		return false;
	for (unsigned i = 0; i < nic->queue_count; i++)
		if (nic->queue[i].batch.is_stuck)
			return false;
	return true;
}

void rx_update(struct netvsp *nic)
{
	bool listens = nic->rx.buffer.channel && nic_queue_is_usable(&nic->queue[0]) && nic->rndis.is_initialized &&
		       nic->rndis.filter && nic->link_up;
	bool waits = listens && !has_room(nic);

	if (nic->is_paused) {
		for (unsigned i = 0; i < nic->queue_count; i++)
			tap_watch(&nic->queue[i], false);
		return;
	}
	if (listens && !nic->rx.is_listening)
		for (unsigned i = 0; i < nic->queue_count; i++)
			tap_drain(&nic->queue[i]);
	if (waits && !nic->rx.is_waiting)
		nic->queue[0].counters.rx_waits++;
	nic->rx.is_listening = listens;
	nic->rx.is_waiting = waits;
	for (unsigned i = 0; i < nic->queue_count; i++)
		tap_watch(&nic->queue[i], listens && !waits);
}

void rx_tap_ready(void *context)
{
	struct nic_queue *queue = context;
	struct netvsp *nic = queue->nic;

	nic_enter(nic);
	for (unsigned i = 0; i < FRAMES_PER_TURN && has_room(nic); i++) {
		struct virtio_net_hdr_v1 header;
		ssize_t got = tap_read(queue, &header);

		if (got == -EAGAIN)
			break;
		if (got < 0) {
			tap_ended(queue);
			break;
		}
		receive(queue, &header, (size_t)got);
	}
	for (unsigned i = 0; i < nic->queue_count; i++)
		rx_flush(&nic->queue[i]);
	nic_settle(nic);
	nic_leave(nic);
}
