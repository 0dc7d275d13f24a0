// SPDX-License-Identifier: Apache-2.0
/* The bench's other half: the guest's driver, frames, and the network's end of the taps. */
#include "netvsp_bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int bench_nvsp_init(struct bench *bench, uint32_t version, uint32_t mtu)
{
	const struct nvsp_init init = { NVSP_INIT, version, version };
	const struct nvsp_ndis_config config = { .type = NVSP_NDIS_CONFIG, .mtu = mtu + 14, .capabilities =
		NVSP_CAPABILITY_IEEE8021Q | NVSP_CAPABILITY_SRIOV | NVSP_CAPABILITY_TEAMING | NVSP_CAPABILITY_RSC };
	const struct nvsp_ndis_version ndis = { NVSP_NDIS_VERSION, 6, version >= NVSP_VERSION_5 ? 0x1e : 1 };
	const struct nvsp_buffer rx = { NVSP_RECEIVE_BUFFER, BENCH_RX_GPADL, BENCH_RX_ID, 0 };
	const struct nvsp_buffer tx = { NVSP_SEND_BUFFER, BENCH_TX_GPADL, 0, 0 };
	struct nvsp_receive_buffer_complete rx_done;
	struct nvsp_init_complete init_done;
	struct nvsp_send_buffer_complete tx_done;
	uint8_t out[NVSP_MESSAGE_BYTES], padded[NVSP_MESSAGE_BYTES] = { 0 };

	if (bench_transact(bench, 0, &init, sizeof init, out) != NVSP_MESSAGE_BYTES)
		return -1;
	memcpy(&init_done, out, sizeof init_done);
	if (init_done.type != NVSP_INIT_COMPLETE || init_done.status != NVSP_STATUS_SUCCESS || init_done.version != version)
		return -2;
	memcpy(padded, &config, sizeof config);
	bench_post(bench, 0, VMBUS_PACKET_IN_BAND, false, 1, padded, sizeof padded, NULL, 0);
	memset(padded, 0, sizeof padded);
	memcpy(padded, &ndis, sizeof ndis);
	bench_post(bench, 0, VMBUS_PACKET_IN_BAND, false, 2, padded, sizeof padded, NULL, 0);
	if (bench_transact(bench, 0, &rx, sizeof rx, out) != NVSP_MESSAGE_BYTES)
		return -3;
	memcpy(&rx_done, out, sizeof rx_done);
	if (rx_done.type != NVSP_RECEIVE_BUFFER_COMPLETE || rx_done.status != NVSP_STATUS_SUCCESS ||
	    rx_done.section_count != 1 || rx_done.offset != 0 ||
	    (uint64_t)rx_done.suballoc_bytes * rx_done.suballoc_count > BENCH_RX_BYTES)
		return -4;
	bench->section_bytes = rx_done.suballoc_bytes;
	bench->section_count = rx_done.suballoc_count;
	if (bench_transact(bench, 0, &tx, sizeof tx, out) != NVSP_MESSAGE_BYTES)
		return -5;
	memcpy(&tx_done, out, sizeof tx_done);
	return tx_done.type == NVSP_SEND_BUFFER_COMPLETE && tx_done.status == NVSP_STATUS_SUCCESS &&
	       tx_done.section_bytes == 6144 ? 0 : -6;
}

int bench_control(struct bench *bench, const void *message, size_t bytes, uint8_t *reply, size_t reply_max)
{
	const struct nvsp_rndis_packet head = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_CONTROL, NVSP_SECTION_NONE, 0 };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	uint8_t *copy = malloc(bytes ? bytes : 1);
	/* Two pieces, so that no header lies in one */
	const struct iovec iov[] = { { copy, bytes / 3 }, { copy + bytes / 3, bytes - bytes / 3 } };
	uint64_t transaction = ++bench->transaction << 8;
	struct nvsp_status_message done;
	struct bench_packet *packet;
	int length = 0;

	BENCH_CHECK(copy);
	memcpy(copy, message, bytes);
	memcpy(padded, &head, sizeof head);
	bench_post(bench, 0, VMBUS_PACKET_GPA_DIRECT, true, transaction, padded, sizeof padded, iov, 2);
	bench_run(bench);
	packet = bench_take(bench, 0);
	free(copy);
	if (!packet || packet->type != VMBUS_PACKET_COMPLETION || packet->transaction != transaction ||
	    packet->bytes != NVSP_MESSAGE_BYTES) {
		free(packet);
		return -1;
	}
	memcpy(&done, packet->payload, sizeof done);
	free(packet);
	if (done.type != NVSP_RNDIS_PACKET_COMPLETE || done.status != NVSP_STATUS_SUCCESS)
		return -1;
	packet = bench_take(bench, 0);
	if (packet) {
		BENCH_CHECK(packet->type == VMBUS_PACKET_TRANSFER_PAGES && packet->set_id == BENCH_RX_ID &&
			    packet->range_count == 1 && packet->range[0].bytes <= bench->section_bytes &&
			    packet->range[0].offset % bench->section_bytes == 0 && packet->range[0].bytes <= reply_max &&
			    packet->bytes == NVSP_MESSAGE_BYTES && packet->flags == 1 && packet->transaction);
		length = (int)packet->range[0].bytes;
		bench_memory_read(&bench->rx, packet->range[0].offset, reply, packet->range[0].bytes);
		if (!bench->hold_completions)
			bench_complete(bench, 0, packet->transaction);
		free(packet);
		bench_run(bench);
	}
	return length;
}

int bench_rndis_init(struct bench *bench)
{
	const struct rndis_initialize init = { { RNDIS_INITIALIZE, sizeof init }, ++bench->request_id, 1, 0, 0x4000 };
	struct rndis_initialize_complete done;

	if (bench_control(bench, &init, sizeof init, (uint8_t *)&done, sizeof done) != (int)sizeof done)
		return -1;
	return done.header.type == (RNDIS_INITIALIZE | RNDIS_COMPLETE) && done.request_id == bench->request_id &&
	       done.status == 0 ? 0 : -2;
}

static size_t request_make(struct bench *bench, uint8_t *to, uint32_t type, uint32_t oid, const void *in, size_t in_bytes)
{
	const struct rndis_request request = { { type, (uint32_t)(sizeof request + in_bytes) }, ++bench->request_id, oid,
					       (uint32_t)in_bytes, sizeof request - RNDIS_OFFSET_BASE, 0 };

	memcpy(to, &request, sizeof request);
	if (in_bytes)
		memcpy(to + sizeof request, in, in_bytes);
	return request.header.bytes;
}

uint32_t bench_query(struct bench *bench, uint32_t oid, const void *in, size_t in_bytes, void *out, size_t *out_bytes)
{
	uint8_t request[4096], reply[2048];
	struct rndis_query_complete done;
	int length = bench_control(bench, request, request_make(bench, request, RNDIS_QUERY, oid, in, in_bytes), reply,
				   sizeof reply);

	BENCH_CHECK(length >= (int)sizeof done);
	memcpy(&done, reply, sizeof done);
	BENCH_CHECK(done.header.type == (RNDIS_QUERY | RNDIS_COMPLETE) && done.header.bytes == (uint32_t)length &&
		    done.request_id == bench->request_id);
	if (done.status) {
		BENCH_CHECK(done.info_bytes == 0 && done.info_offset == 0);
		*out_bytes = 0;
		return done.status;
	}
	BENCH_CHECK(done.info_offset == 16 && done.info_bytes == (uint32_t)length - sizeof done);
	memcpy(out, reply + sizeof done, done.info_bytes);
	*out_bytes = done.info_bytes;
	return 0;
}

uint32_t bench_set(struct bench *bench, uint32_t oid, const void *in, size_t in_bytes)
{
	uint8_t request[4096];
	struct rndis_status_complete done;
	int length = bench_control(bench, request, request_make(bench, request, RNDIS_SET, oid, in, in_bytes),
				   (uint8_t *)&done, sizeof done);

	BENCH_CHECK(length == (int)sizeof done && done.header.type == (RNDIS_SET | RNDIS_COMPLETE) &&
		    done.header.bytes == sizeof done && done.request_id == bench->request_id);
	return done.status;
}

uint32_t bench_set_filter(struct bench *bench, uint32_t filter)
{
	return bench_set(bench, OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof filter);
}

void bench_connect(struct bench *bench)
{
	BENCH_CHECK(bench_open(bench, 0) == 0);
	BENCH_CHECK(bench_nvsp_init(bench, NVSP_VERSION_6_1, 1500) == 0);
	BENCH_CHECK(bench_rndis_init(bench) == 0);
	BENCH_CHECK(bench_set_filter(bench, 0xd) == 0);
}

void bench_subchannels(struct bench *bench, unsigned count)
{
	const struct nvsp_subchannel request = { NVSP_SUBCHANNEL, NVSP_SUBCHANNEL_ALLOCATE, count };
	uint8_t out[NVSP_MESSAGE_BYTES];

	BENCH_CHECK(bench_transact(bench, 0, &request, sizeof request, out) == NVSP_MESSAGE_BYTES);
	for (unsigned i = 1; i <= bench->offered; i++)
		BENCH_CHECK(bench_open(bench, i) == 0);
	bench_run(bench);
}

static void frame_decode(struct bench *bench, const struct vmbus_transfer_range *range, struct bench_frame *out)
{
	uint8_t message[9500];
	struct rndis_packet m;
	size_t at;

	BENCH_CHECK(range->offset % bench->section_bytes == 0 &&
		    range->offset / bench->section_bytes < bench->section_count && range->bytes <= bench->section_bytes);
	bench_memory_read(&bench->rx, range->offset, message, range->bytes);
	memcpy(&m, message, sizeof m);
	BENCH_CHECK(m.header.type == RNDIS_PACKET && m.header.bytes == range->bytes && m.data_bytes <= range->bytes &&
		    m.data_offset + 8u + m.data_bytes <= range->bytes && m.data_offset >= 36 && m.oob_bytes == 0 &&
		    m.rsvd == 0 && m.vc == 0);
	out->bytes = m.data_bytes;
	memcpy(out->data, message + m.data_offset + 8, m.data_bytes);
	BENCH_CHECK(m.ppi_bytes ? m.ppi_offset == 36 && m.data_offset == 36 + m.ppi_bytes : m.ppi_offset == 0);
	for (at = 44; at < 44 + m.ppi_bytes;) {
		struct rndis_ppi ppi;
		uint32_t word;

		memcpy(&ppi, message + at, sizeof ppi);
		BENCH_CHECK(ppi.bytes == 16 && ppi.offset == 12);
		memcpy(&word, message + at + 12, sizeof word);
		if (ppi.type == RNDIS_PPI_CHECKSUM) {
			out->has_checksum = true;
			out->checksum = word;
		} else if (ppi.type == RNDIS_PPI_VLAN) {
			out->has_tag = true;
			out->tag = word;
		} else if (ppi.type == RNDIS_PPI_HASH) {
			out->has_hash = true;
			out->hash = word;
		}
		at += ppi.bytes;
	}
	BENCH_CHECK(at == 44 + m.ppi_bytes);
}

unsigned bench_receive(struct bench *bench, unsigned index, struct bench_frame *out, unsigned max)
{
	struct bench_packet *packet = bench_take(bench, index);
	struct nvsp_rndis_packet m;
	unsigned count;

	if (!packet)
		return 0;
	BENCH_CHECK(packet->type == VMBUS_PACKET_TRANSFER_PAGES && packet->set_id == BENCH_RX_ID && packet->flags == 1 &&
		    packet->transaction && packet->range_count && packet->range_count <= max &&
		    packet->bytes == NVSP_MESSAGE_BYTES);
	memcpy(&m, packet->payload, sizeof m);
	BENCH_CHECK(m.type == NVSP_RNDIS_PACKET && m.section == NVSP_SECTION_NONE && m.section_bytes == 0);
	count = packet->range_count;
	for (unsigned i = 0; i < count; i++) {
		memset(&out[i], 0, sizeof out[i]);
		out[i].channel = m.channel;
		if (m.channel == NVSP_CHANNEL_DATA) {
			frame_decode(bench, &packet->range[i], &out[i]);
		} else {
			out[i].bytes = packet->range[i].bytes;
			bench_memory_read(&bench->rx, packet->range[i].offset, out[i].data, out[i].bytes);
		}
	}
	if (!bench->hold_completions)
		bench_complete(bench, index, packet->transaction);
	free(packet);
	return count;
}

size_t bench_message(uint8_t *to, const void *frame, size_t bytes, const void *ppi, size_t ppi_bytes)
{
	size_t all = (sizeof(struct rndis_packet) + ppi_bytes + bytes + 7) / 8 * 8;
	const struct rndis_packet m = {
		.header = { RNDIS_PACKET, (uint32_t)all },
		.data_offset = (uint32_t)(sizeof m + ppi_bytes - RNDIS_OFFSET_BASE),
		.data_bytes = (uint32_t)bytes,
		.ppi_offset = ppi_bytes ? sizeof m - RNDIS_OFFSET_BASE : 0,
		.ppi_bytes = (uint32_t)ppi_bytes,
	};

	memset(to, 0, all);
	memcpy(to, &m, sizeof m);
	if (ppi_bytes)
		memcpy(to + sizeof m, ppi, ppi_bytes);
	memcpy(to + sizeof m + ppi_bytes, frame, bytes);
	return all;
}

void bench_send(struct bench *bench, unsigned index, uint32_t section, const void *message, size_t bytes)
{
	const struct nvsp_rndis_packet m = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_DATA, section,
					     section == NVSP_SECTION_NONE ? 0 : (uint32_t)bytes };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	struct iovec iov[64];
	unsigned count = 0;

	memcpy(padded, &m, sizeof m);
	if (section != NVSP_SECTION_NONE) {
		bench_memory_write(&bench->tx, (size_t)section * 6144, message, bytes);
	} else {
		bench_memory_write(&bench->scratch, 0, message, bytes);
		for (size_t at = 0; at < bytes; at += iov[count++].iov_len) {
			size_t left = bytes - at;

			BENCH_CHECK(count < 64);
			iov[count].iov_base = bench->scratch.iov[at / BENCH_PAGE].iov_base;
			iov[count].iov_len = left < BENCH_PAGE ? left : BENCH_PAGE;
		}
	}
	bench_post(bench, index, section == NVSP_SECTION_NONE ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_IN_BAND, true,
		   ++bench->transaction << 8, padded, sizeof padded, iov, count);
}

unsigned bench_completions(struct bench *bench, unsigned index, uint32_t status)
{
	struct bench_packet *packet;
	unsigned count = 0;

	while ((packet = bench_take(bench, index))) {
		struct nvsp_status_message m;

		memcpy(&m, packet->payload, sizeof m);
		BENCH_CHECK(packet->type == VMBUS_PACKET_COMPLETION && packet->bytes == NVSP_MESSAGE_BYTES &&
			    m.type == NVSP_RNDIS_PACKET_COMPLETE && m.status == status);
		free(packet);
		count++;
	}
	return count;
}

/* ---- frames */

void bench_fill(uint8_t *frame, size_t bytes, const uint8_t to[6], const uint8_t from[6], unsigned seed)
{
	for (size_t i = 0; i < bytes; i++)
		frame[i] = (uint8_t)(i * 13 + i / 256 + seed);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = 0x88;		/* an ethertype of experiments */
	frame[13] = 0xb5;
}

size_t bench_fill_tcp(uint8_t *frame, size_t payload, const uint8_t to[6], const uint8_t from[6])
{
	static const uint8_t head[] = { 0x08, 0x00, 0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
					0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0x10, 0, 0, 0, 0, 0 };

	for (size_t i = 0; i < payload; i++)
		frame[54 + i] = (uint8_t)(i * 3);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	memcpy(frame + 12, head, sizeof head);
	return 54 + payload;
}

/* ---- the network */

int bench_wire_take(struct bench *bench, unsigned tap, struct bench_wire *out)
{
	ssize_t got = recv(bench->tap[tap], out, sizeof *out, MSG_DONTWAIT);

	return got < (ssize_t)sizeof out->header ? -1 : (int)(got - (ssize_t)sizeof out->header);
}

void bench_wire_send(struct bench *bench, unsigned tap, const void *header, const void *frame, size_t bytes)
{
	static const uint8_t none[12];
	struct iovec iov[] = {
		{ (void *)(uintptr_t)(header ? header : none), sizeof none },
		{ (void *)(uintptr_t)frame, bytes },
	};
	struct msghdr m = { .msg_iov = iov, .msg_iovlen = 2 };

	BENCH_CHECK(sendmsg(bench->tap[tap], &m, MSG_DONTWAIT) == (ssize_t)(sizeof none + bytes));
}
