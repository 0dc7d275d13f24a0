// SPDX-License-Identifier: Apache-2.0
/*
 * Guest to tap. A packet names a stream: a section of the send buffer, then memory of its own; in it lie RNDIS
 * messages, one frame each. Headers are copied once, checked and rewritten in the copy; the rest goes to the tap from
 * where it lies.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "netvsp/nic.h"

#define PPI_BYTES_MAX   512u
#define PIECES_MAX      64u		/* of a frame, before it is put together first */
#define RANGE_PIECES_MAX 1024u		/* of a packet; nobody needs more than a page each */
#define RETRY_NS        500000u
#define TRIES_MAX       40u
#define TRACE_PIECES_MAX 4u

bool tx_stream(struct netvsp *nic, const struct vmbus_packet *packet, const struct nvsp_rndis_packet *message,
	       struct span part[2], size_t *out_bytes)
{
	part[0] = part[1] = (struct span){ .iov = NULL };
	if (message->section != NVSP_SECTION_NONE) {
		const struct guest_buffer *buffer = &nic->send_buffer;

		if (!buffer->channel || message->section >= buffer->range.bytes / NIC_SEND_SECTION_BYTES ||
		    message->section_bytes > NIC_SEND_SECTION_BYTES)
			return false;
		part[0] = guest_buffer_span(buffer, (size_t)message->section * NIC_SEND_SECTION_BYTES,
					    message->section_bytes);
	}
	if (packet->type == VMBUS_PACKET_GPA_DIRECT) {
		if (packet->range.bytes > NIC_TX_STREAM_MAX || packet->range.iov_count > RANGE_PIECES_MAX)
			return false;
		part[1] = (struct span){ packet->range.iov, packet->range.iov_count, 0, (size_t)packet->range.bytes };
	}
	*out_bytes = part[0].bytes + part[1].bytes;
	return true;
}

/* How much of a range is in the first part */
static size_t in_first(const struct span part[2], size_t offset, size_t bytes)
{
	if (offset >= part[0].bytes)
		return 0;
	return part[0].bytes - offset < bytes ? part[0].bytes - offset : bytes;
}

void tx_stream_copy(const struct span part[2], size_t offset, void *to, size_t bytes)
{
	size_t first = in_first(part, offset, bytes);

	span_copy_out(&part[0], offset, to, first);
	if (first < bytes)
		span_copy_out(&part[1], offset + first - part[0].bytes, (uint8_t *)to + first, bytes - first);
}

static int stream_gather(const struct span part[2], size_t offset, size_t bytes, struct iovec *out, unsigned max)
{
	size_t first = in_first(part, offset, bytes);
	int head = span_gather(&part[0], offset, first, out, max), tail;

	if (head < 0 || first == bytes)
		return head;
	tail = span_gather(&part[1], offset + first - part[0].bytes, bytes - first, out + head, max - (unsigned)head);
	return tail < 0 ? tail : head + tail;
}

/* A frame on its way: the head is a private copy, the rest is in the stream from `rest` on. */
struct frame {
	uint8_t *head;
	size_t head_bytes;
	size_t bytes;			/* all of it, without a tag to be inserted */
	size_t rest;
	struct offload_tx offload;
	struct virtio_net_hdr_v1 header;
};

/* NETVSP_DROP_COUNT: it may go */
static enum netvsp_drop frame_check(struct netvsp *nic, struct frame *frame)
{
	const uint8_t *source = frame->head + FRAME_MAC_BYTES;
	struct frame_info info;

	if (!nic->link_up)
		return NETVSP_DROP_TX_LINK_DOWN;
	if (!nic->policy.allow_mac_spoofing && memcmp(source, nic->mac_permanent, FRAME_MAC_BYTES) != 0)
		return NETVSP_DROP_TX_SPOOFED;
	frame_parse(frame->head, frame->head_bytes, &info);
	if ((nic->policy.guard_dhcp && frame_is_dhcp_server(frame->head, frame->head_bytes, &info)) ||
	    (nic->policy.guard_router && frame_is_router(frame->head, frame->head_bytes, &info)))
		return NETVSP_DROP_TX_GUARDED;
	if (!frame->offload.has_lso &&
	    frame->bytes > nic->mtu + FRAME_HEADER_BYTES + (size_t)info.tags * FRAME_TAG_BYTES)
		return NETVSP_DROP_TX_SIZE;
	if (offload_tx_apply(&frame->offload, frame->head, frame->head_bytes, frame->bytes, &info, &frame->header))
		return NETVSP_DROP_TX_OFFLOAD;
	return NETVSP_DROP_COUNT;
}

static void frame_tag(struct frame *frame)
{
	if (!frame->offload.has_tag)
		return;
	frame_tag_insert(frame->head, frame->offload.tci);
	frame->head -= FRAME_TAG_BYTES;
	frame->head_bytes += FRAME_TAG_BYTES;
	frame->bytes += FRAME_TAG_BYTES;
	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		frame->header.csum_start = (uint16_t)(frame->header.csum_start + FRAME_TAG_BYTES);
	if (frame->header.gso_type != VIRTIO_NET_HDR_GSO_NONE)
		frame->header.hdr_len = (uint16_t)(frame->header.hdr_len + FRAME_TAG_BYTES);
}

/* 0; -EAGAIN; whatever else the tap says. */
static int frame_write(struct nic_queue *queue, const struct span part[2], struct frame *frame)
{
	size_t rest_bytes = frame->bytes - frame->head_bytes;
	struct iovec iov[2 + PIECES_MAX] = {
		{ &frame->header, sizeof frame->header },
		{ frame->head, frame->head_bytes },
	};
	int pieces = stream_gather(part, frame->rest, rest_bytes, iov + 2, PIECES_MAX);
	ssize_t written;

	if (pieces < 0) {
		tx_stream_copy(part, frame->rest, queue->nic->frame, rest_bytes);
		iov[2] = (struct iovec){ queue->nic->frame, rest_bytes };
		pieces = 1;
	}
	do
		written = writev(queue->tap.fd, iov, 2 + pieces);
	while (written < 0 && errno == EINTR);
	if (written >= 0)
		return 0;
	return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
}

/* Two halves of an RNDIS packet message that is bytes long: its information, its data. */
static bool message_is_valid(const struct rndis_packet *m, size_t bytes)
{
	size_t data = (size_t)m->data_offset + RNDIS_OFFSET_BASE, ppi = (size_t)m->ppi_offset + RNDIS_OFFSET_BASE;

	if (data < sizeof *m || data > bytes || m->data_bytes > bytes - data)
		return false;
	return m->ppi_bytes == 0 ||
	       (m->ppi_bytes <= PPI_BYTES_MAX && ppi >= sizeof *m && ppi <= bytes && m->ppi_bytes <= bytes - ppi);
}

/* The frame of one message, whose header is a private copy. 0; -EAGAIN the tap has no room; -EPROTO it is broken. */
static int send_message(struct nic_queue *queue, const struct tx_job *job, const struct rndis_packet *m)
{
	struct netvsp *nic = queue->nic;
	size_t data = job->at + m->data_offset + RNDIS_OFFSET_BASE;
	struct frame frame = { .head = nic->head + FRAME_TAG_BYTES, .bytes = m->data_bytes };
	uint8_t ppi[PPI_BYTES_MAX];
	struct netvsp_traffic *traffic;
	enum netvsp_drop drop;
	int r;

	if (m->ppi_bytes)
		tx_stream_copy(job->part, job->at + m->ppi_offset + RNDIS_OFFSET_BASE, ppi, m->ppi_bytes);
	if (offload_tx_decode(ppi, m->ppi_bytes, &frame.offload))
		return -EPROTO;
	if (frame.bytes < FRAME_HEADER_BYTES || frame.bytes > NIC_FRAME_BYTES_MAX) {
		nic_count(queue, NETVSP_DROP_TX_SIZE);
		return 0;
	}
	frame.head_bytes = frame.bytes < FRAME_HEAD_BYTES ? frame.bytes : FRAME_HEAD_BYTES;
	frame.rest = data + frame.head_bytes;
	tx_stream_copy(job->part, data, frame.head, frame.head_bytes);
	drop = frame_check(nic, &frame);
	if (drop != NETVSP_DROP_COUNT) {
		nic_count(queue, drop);
		return 0;
	}
	frame_tag(&frame);
	r = frame_write(queue, job->part, &frame);
	if (r == -EAGAIN)
		return r;
	if (r) {
		nic_count(queue, NETVSP_DROP_TX_TAP_ERROR);
		return 0;
	}
	traffic = &queue->counters.tx[frame_cast(frame.head)];
	traffic->frames++;
	traffic->bytes += frame.bytes;
	return 0;
}

static void job_complete(struct nic_queue *queue, uint32_t status)
{
	const struct nvsp_status_message message = { NVSP_RNDIS_PACKET_COMPLETE, status };
	struct tx_job *job = &queue->job;
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };

	job->is_held = false;
	memcpy(padded, &message, sizeof message);
	if (job->wants_completion)
		nic_complete(queue, job->transaction, padded, sizeof padded);
}

/* Message by message. What is broken ends the packet: nothing behind it can be found. */
static void job_run(struct nic_queue *queue)
{
	struct tx_job *job = &queue->job;

	while (job->at < job->bytes) {
		size_t left = job->bytes - job->at;
		struct rndis_packet m;
		int r = -EPROTO;

		if (left >= sizeof m) {
			tx_stream_copy(job->part, job->at, &m, sizeof m);
			if (m.header.type == RNDIS_PACKET && m.header.bytes >= sizeof m && m.header.bytes <= left &&
			    message_is_valid(&m, m.header.bytes))
				r = send_message(queue, job, &m);
		}
		if (r == -EAGAIN && job->tries < TRIES_MAX) {
			const struct vsp_host *host = &queue->nic->host;

			job->is_held = true;
			job->tries++;
			queue->counters.tx_waits++;
			host->ops->timer_arm(host->context, &queue->again, RETRY_NS);
			return;
		}
		if (r == -EAGAIN)
			nic_count(queue, NETVSP_DROP_TX_TAP_FULL);
		if (r == -EPROTO) {
			nic_count(queue, NETVSP_DROP_TX_MALFORMED);
			job_complete(queue, NVSP_STATUS_INVALID_RNDIS_PACKET);
			return;
		}
		/* A tap that stays full has its tries once a packet, not once a frame. */
		job->at += m.header.bytes;
	}
	job_complete(queue, NVSP_STATUS_SUCCESS);
}

/* The send buffer's section; what lies in the packet's own memory is in the trace already. */
static void trace_section(const struct nic_queue *queue, const struct span *section)
{
	struct iovec pieces[TRACE_PIECES_MAX];
	int count = span_gather(section, 0, section->bytes, pieces, TRACE_PIECES_MAX);

	if (count > 0)
		vmbus_channel_trace(queue->channel, pieces, (unsigned)count);
}

void tx_start(struct nic_queue *queue, const struct vmbus_packet *packet, const struct nvsp_rndis_packet *message)
{
	struct tx_job *job = &queue->job;

	bool is_valid;

	*job = (struct tx_job){ .wants_completion = packet->wants_completion, .transaction = packet->transaction };
	is_valid = tx_stream(queue->nic, packet, message, job->part, &job->bytes) && job->bytes;
	if (is_valid && vmbus_channel_is_traced(queue->channel))
		trace_section(queue, &job->part[0]);
	if (!is_valid) {
		nic_count(queue, NETVSP_DROP_TX_MALFORMED);
		job_complete(queue, NVSP_STATUS_INVALID_RNDIS_PACKET);
	} else if (!queue->nic->rndis.is_initialized) {
		nic_count(queue, NETVSP_DROP_TX_NOT_READY);
		job_complete(queue, NVSP_STATUS_SUCCESS);
	} else {
		job_run(queue);
	}
}

void tx_continue(struct nic_queue *queue)
{
	job_run(queue);
}

void tx_abandon(struct nic_queue *queue)
{
	if (!queue->job.is_held)
		return;
	nic_count(queue, NETVSP_DROP_TX_NOT_READY);
	job_complete(queue, NVSP_STATUS_SUCCESS);
}
