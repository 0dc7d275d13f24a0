// SPDX-License-Identifier: Apache-2.0
#include "net_client.h"

#define RECEIVE_BUFFER_ID  0xcafeu
#define SEND_BUFFER_ID     0u
#define MTU                1514u	/* with the Ethernet header */
#define NDIS_MAJOR         6u
#define NDIS_MINOR         30u
#define RNDIS_TRANSFER_MAX 0x4000u
#define TRANSACTION_CONTROL 0x10000u		/* below: a section of the send buffer */
#define FILTER (NDIS_FILTER_DIRECTED | NDIS_FILTER_BROADCAST | NDIS_FILTER_ALL_MULTICAST)

const struct vmbus_guid vsc_nic_interface = {
	0xf8615163, 0xdf3e, 0x46c5, { 0x91, 0x3f, 0xf2, 0xd2, 0xf9, 0x65, 0xed, 0x0e }
};

/* ---- NVSP */

/* All messages go out at full size. An answer may be shorter than what it is copied into: zeroes then. */
static int transact(struct vsc_nic *nic, const void *message, uint32_t bytes, void *out, uint32_t out_bytes)
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	struct vsc_packet got;
	int r;

	memcpy(padded, message, bytes);
	r = vsc_channel_transact(&nic->channel, TRANSACTION_CONTROL, padded, sizeof padded, &got, nic->memory.packet,
				 nic->memory.packet_bytes);
	if (r)
		return r;
	memset(out, 0, out_bytes);
	memcpy(out, (uint8_t *)nic->memory.packet + got.payload_offset,
	       got.payload_bytes < out_bytes ? got.payload_bytes : out_bytes);
	return VSC_OK;
}

static int tell(struct vsc_nic *nic, const void *message, uint32_t bytes)
{
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	const struct vsc_part part = { padded, sizeof padded };

	memcpy(padded, message, bytes);
	return vsc_channel_send(&nic->channel, VMBUS_PACKET_IN_BAND, 0, TRANSACTION_CONTROL, &part, 1);
}

static int agree(struct vsc_nic *nic)
{
	static const uint32_t versions[] = { NVSP_VERSION_6_1, NVSP_VERSION_6, NVSP_VERSION_5, NVSP_VERSION_4 };
	const struct nvsp_ndis_config config = { .type = NVSP_NDIS_CONFIG, .mtu = MTU,
						.capabilities = NVSP_CAPABILITY_IEEE8021Q };
	const struct nvsp_ndis_version ndis = { NVSP_NDIS_VERSION, NDIS_MAJOR, NDIS_MINOR };
	struct nvsp_init_complete complete = { .status = NVSP_STATUS_NONE };
	int r = VSC_OK;

	for (unsigned i = 0; i < sizeof versions / sizeof versions[0] && complete.status != NVSP_STATUS_SUCCESS; i++) {
		const struct nvsp_init init = { NVSP_INIT, versions[i], versions[i] };

		r = transact(nic, &init, sizeof init, &complete, sizeof complete);
		if (r)
			return r;
		nic->version = versions[i];
	}
	if (complete.status != NVSP_STATUS_SUCCESS)
		return VSC_REFUSED;
	r = tell(nic, &config, sizeof config);
	return r ? r : tell(nic, &ndis, sizeof ndis);
}

/* `complete` is the answer, which begins with type and status whatever the buffer is. */
static int hand_over(struct vsc_nic *nic, const struct nvsp_buffer *buffer, void *memory, uint32_t bytes, uint32_t *ret_gpadl,
		     void *complete, uint32_t complete_bytes)
{
	struct nvsp_buffer message = *buffer;
	struct nvsp_status_message answer;
	int r;

	r = vsc_gpadl_create(nic->channel.bus, nic->channel.relid, memory, bytes, ret_gpadl);
	message.gpadl = *ret_gpadl;
	if (r == VSC_OK)
		r = transact(nic, &message, sizeof message, complete, complete_bytes);
	if (r)
		return r;
	memcpy(&answer, complete, sizeof answer);
	return answer.status == NVSP_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

static int hand_over_receive(struct vsc_nic *nic)
{
	const struct nvsp_buffer buffer = { .type = NVSP_RECEIVE_BUFFER, .id = RECEIVE_BUFFER_ID };
	struct nvsp_receive_buffer_complete complete;
	int r = hand_over(nic, &buffer, nic->memory.receive, nic->memory.receive_bytes, &nic->receive_gpadl, &complete,
			  sizeof complete);

	if (r)
		return r;
	return complete.section_count == 1 && complete.offset == 0 ? VSC_OK : VSC_BROKEN;
}

static int hand_over_send(struct vsc_nic *nic)
{
	const struct nvsp_buffer buffer = { .type = NVSP_SEND_BUFFER, .id = SEND_BUFFER_ID };
	struct nvsp_send_buffer_complete complete;
	int r = hand_over(nic, &buffer, nic->memory.send, nic->memory.send_bytes, &nic->send_gpadl, &complete, sizeof complete);

	if (r)
		return r;
	if (complete.section_bytes < sizeof(struct rndis_packet) || complete.section_bytes > nic->memory.send_bytes)
		return VSC_BROKEN;
	nic->section_bytes = complete.section_bytes;
	nic->section_count = nic->memory.send_bytes / complete.section_bytes;
	if (nic->section_count > VSC_NIC_SECTIONS_MAX)
		nic->section_count = VSC_NIC_SECTIONS_MAX;
	return VSC_OK;
}

/* ---- what comes */

static void take_frame(struct vsc_nic *nic, const uint8_t *message, uint32_t bytes)
{
	struct rndis_packet packet;
	uint64_t data;

	if (bytes < sizeof packet) {
		nic->failures++;
		return;
	}
	memcpy(&packet, message, sizeof packet);
	data = (uint64_t)packet.data_offset + RNDIS_OFFSET_BASE;
	if (data < sizeof packet || data > bytes || packet.data_bytes > bytes - data) {
		nic->failures++;
		return;
	}
	nic->frames_received++;
	nic->receiver(nic->context, message + data, packet.data_bytes);
}

static void take_control(struct vsc_nic *nic, uint32_t type, const uint8_t *message, uint32_t bytes)
{
	struct rndis_indicate indicate;
	uint32_t id = 0;

	if (type == RNDIS_INDICATE && bytes >= sizeof indicate) {
		memcpy(&indicate, message, sizeof indicate);
		if (indicate.status == NDIS_STATUS_MEDIA_CONNECT || indicate.status == NDIS_STATUS_MEDIA_DISCONNECT)
			nic->link_up = indicate.status == NDIS_STATUS_MEDIA_CONNECT;
		return;
	}
	if (bytes >= sizeof(struct rndis_header) + sizeof id)
		memcpy(&id, message + sizeof(struct rndis_header), sizeof id);
	if (!(type & RNDIS_COMPLETE) || id == 0 || id != nic->awaited_request || bytes > sizeof nic->reply) {
		nic->failures++;
		return;
	}
	memcpy(nic->reply, message, bytes);
	nic->reply_bytes = bytes;
}

static void take_range(struct vsc_nic *nic, const struct vmbus_transfer_page_range *range)
{
	const uint8_t *message = (const uint8_t *)nic->memory.receive + range->offset;
	struct rndis_header header;

	if (range->offset > nic->memory.receive_bytes || range->bytes > nic->memory.receive_bytes - range->offset ||
	    range->bytes < sizeof header) {
		nic->failures++;
		return;
	}
	memcpy(&header, message, sizeof header);
	if (header.bytes < sizeof header || header.bytes > range->bytes)
		nic->failures++;
	else if (header.type == RNDIS_PACKET)
		take_frame(nic, message, header.bytes);
	else
		take_control(nic, header.type, message, header.bytes);
}

static void give_back(struct vsc_nic *nic)
{
	const struct nvsp_status_message message = { NVSP_RNDIS_PACKET_COMPLETE, NVSP_STATUS_SUCCESS };
	const struct vsc_part part = { &message, sizeof message };

	int r = vsc_channel_send(&nic->channel, VMBUS_PACKET_COMPLETION, 0, nic->owed_transaction, &part, 1);

	nic->owes = r == VSC_FULL && vsc_channel_want_room(&nic->channel, sizeof message) == VSC_FULL;
}

static int take_transfer(struct vsc_nic *nic, const struct vsc_packet *got)
{
	const uint8_t *buffer = nic->memory.packet;
	struct vmbus_transfer_page_header header;
	struct vmbus_transfer_page_range range;

	if (got->payload_offset < sizeof header)
		return VSC_BROKEN;
	memcpy(&header, buffer, sizeof header);
	if (header.set_id != RECEIVE_BUFFER_ID || header.range_count > (got->payload_offset - sizeof header) / sizeof range)
		return VSC_BROKEN;
	for (uint32_t i = 0; i < header.range_count; i++) {
		memcpy(&range, buffer + sizeof header + i * sizeof range, sizeof range);
		take_range(nic, &range);
	}
	nic->owed_transaction = got->transaction;
	give_back(nic);
	return VSC_OK;
}

static void take_completion(struct vsc_nic *nic, const struct vsc_packet *got)
{
	struct nvsp_status_message status = { .type = 0 };
	uint32_t section = (uint32_t)got->transaction;

	if (got->payload_bytes >= sizeof status)
		memcpy(&status, (uint8_t *)nic->memory.packet + got->payload_offset, sizeof status);
	if (status.type != NVSP_RNDIS_PACKET_COMPLETE || status.status != NVSP_STATUS_SUCCESS)
		nic->failures++;
	if (got->transaction >= nic->section_count)
		return;
	if (!(nic->sections_used[section / 32] & 1u << section % 32)) {
		nic->failures++;
		return;
	}
	nic->sections_used[section / 32] &= ~(1u << section % 32);
	nic->sections_in_flight--;
}

int vsc_nic_poll(struct vsc_nic *nic)
{
	struct vsc_packet got;
	int r = VSC_OK;

	if (nic->owes)
		give_back(nic);
	while (r == VSC_OK && !nic->owes) {
		r = vsc_channel_receive(&nic->channel, &got, nic->memory.packet, nic->memory.packet_bytes);
		if (r == 0)
			return VSC_OK;
		if (r < 0)
			return r == VSC_TOO_LARGE ? VSC_BROKEN : r;
		r = VSC_OK;
		if (got.type == VMBUS_PACKET_TRANSFER_PAGES)
			r = take_transfer(nic, &got);
		else if (got.type == VMBUS_PACKET_COMPLETION)
			take_completion(nic, &got);
	}
	return r;
}

/* ---- RNDIS control */

static int request(struct vsc_nic *nic, void *message, uint32_t bytes)
{
	const struct nvsp_rndis_packet head = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_CONTROL, NVSP_SECTION_NONE, 0 };
	const struct vsc_platform *platform = nic->channel.bus->platform;
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 };
	int r;

	nic->awaited_request = ++nic->next_request;
	nic->reply_bytes = 0;
	memcpy((uint8_t *)message + sizeof(struct rndis_header), &nic->awaited_request, sizeof nic->awaited_request);
	memcpy(nic->memory.control, message, bytes);
	memcpy(padded, &head, sizeof head);
	r = vsc_channel_send_memory(&nic->channel, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, TRANSACTION_CONTROL,
				    nic->memory.control, bytes, padded, sizeof padded);
	for (unsigned round = 0; r == VSC_OK; round++) {
		r = vsc_nic_poll(nic);
		if (nic->reply_bytes || r)
			break;
		vsc_bus_poll(nic->channel.bus);
		if (!platform->wait(platform->context, round))
			r = VSC_TIMEOUT;
	}
	nic->awaited_request = 0;
	return r;
}

int vsc_nic_query(struct vsc_nic *nic, uint32_t oid, void *out, uint32_t bytes)
{
	struct rndis_request query = { .header = { RNDIS_QUERY, sizeof query }, .oid = oid };
	struct rndis_query_complete complete;
	uint64_t info;
	int r = request(nic, &query, sizeof query);

	if (r)
		return r;
	if (nic->reply_bytes < sizeof complete)
		return VSC_BROKEN;
	memcpy(&complete, nic->reply, sizeof complete);
	if (complete.status != NDIS_STATUS_SUCCESS)
		return VSC_REFUSED;
	info = (uint64_t)complete.info_offset + RNDIS_OFFSET_BASE;
	if (info < sizeof complete || info > nic->reply_bytes || complete.info_bytes > nic->reply_bytes - info ||
	    complete.info_bytes < bytes)
		return VSC_BROKEN;
	memcpy(out, nic->reply + info, bytes);
	return VSC_OK;
}

int vsc_nic_set(struct vsc_nic *nic, uint32_t oid, const void *value, uint32_t bytes)
{
	struct {
		struct rndis_request head;
		uint8_t info[VSC_NIC_REPLY_BYTES];
	} set = { .head = { .header = { RNDIS_SET, (uint32_t)sizeof set.head + bytes }, .oid = oid, .info_bytes = bytes,
			    .info_offset = sizeof set.head - RNDIS_OFFSET_BASE } };
	struct rndis_status_complete complete;
	int r;

	if (bytes > sizeof set.info)
		return VSC_TOO_LARGE;
	memcpy(set.info, value, bytes);
	r = request(nic, &set, set.head.header.bytes);
	if (r)
		return r;
	if (nic->reply_bytes < sizeof complete)
		return VSC_BROKEN;
	memcpy(&complete, nic->reply, sizeof complete);
	return complete.status == NDIS_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

static int initialize(struct vsc_nic *nic)
{
	struct rndis_initialize message = {
		.header = { RNDIS_INITIALIZE, sizeof message }, .major = 1, .transfer_max = RNDIS_TRANSFER_MAX,
	};
	struct rndis_initialize_complete complete;
	int r = request(nic, &message, sizeof message);

	if (r)
		return r;
	if (nic->reply_bytes < sizeof complete)
		return VSC_BROKEN;
	memcpy(&complete, nic->reply, sizeof complete);
	return complete.status == NDIS_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

static int start(struct vsc_nic *nic)
{
	const uint32_t filter = FILTER;
	uint32_t disconnected = 1;
	int r = agree(nic);

	if (r == VSC_OK)
		r = hand_over_receive(nic);
	if (r == VSC_OK)
		r = hand_over_send(nic);
	if (r == VSC_OK)
		r = initialize(nic);
	if (r == VSC_OK)
		r = vsc_nic_query(nic, OID_802_3_PERMANENT_ADDRESS, nic->mac, sizeof nic->mac);
	if (r == VSC_OK)
		r = vsc_nic_query(nic, OID_GEN_MEDIA_CONNECT_STATUS, &disconnected, sizeof disconnected);
	nic->link_up = !disconnected;
	return r ? r : vsc_nic_set(nic, OID_GEN_CURRENT_PACKET_FILTER, &filter, sizeof filter);
}

int vsc_nic_open(struct vsc_nic *nic, struct vsc_bus *bus, const struct vsc_offer *offer,
		 const struct vsc_nic_memory *memory, vsc_nic_receiver receiver, void *context)
{
	int r;

	memset(nic, 0, sizeof *nic);
	nic->memory = *memory;
	nic->receiver = receiver;
	nic->context = context;
	r = vsc_channel_open(&nic->channel, bus, offer, memory->rings, memory->ring_pages, bus->vp);
	if (r)
		return r;
	r = start(nic);
	if (r)
		(void)vsc_nic_close(nic);
	return r;
}

/* The channel first: after that nothing is written to the buffers, and the host lets go of them. */
int vsc_nic_close(struct vsc_nic *nic)
{
	int r = vsc_channel_close(&nic->channel);

	if (r == VSC_OK && nic->receive_gpadl)
		r = vsc_gpadl_teardown(nic->channel.bus, nic->channel.relid, nic->receive_gpadl);
	if (r == VSC_OK && nic->send_gpadl)
		r = vsc_gpadl_teardown(nic->channel.bus, nic->channel.relid, nic->send_gpadl);
	nic->receive_gpadl = nic->send_gpadl = 0;
	return r;
}

/* ---- sending */

static bool take_section(struct vsc_nic *nic, uint32_t *out)
{
	for (uint32_t i = 0; i < nic->section_count; i++) {
		if (nic->sections_used[i / 32] & 1u << i % 32)
			continue;
		*out = i;
		return true;
	}
	return false;
}

int vsc_nic_send(struct vsc_nic *nic, const void *frame, uint32_t bytes)
{
	const struct rndis_packet packet = {
		.header = { RNDIS_PACKET, (uint32_t)sizeof packet + bytes },
		.data_offset = sizeof packet - RNDIS_OFFSET_BASE,
		.data_bytes = bytes,
	};
	struct nvsp_rndis_packet head = { NVSP_RNDIS_PACKET, NVSP_CHANNEL_DATA, 0, packet.header.bytes };
	uint8_t padded[NVSP_MESSAGE_BYTES] = { 0 }, *section;
	const struct vsc_part part = { padded, sizeof padded };
	int r;

	if (bytes > nic->section_bytes - sizeof packet)
		return VSC_TOO_LARGE;
	if (!take_section(nic, &head.section))
		return VSC_FULL;
	section = (uint8_t *)nic->memory.send + (size_t)head.section * nic->section_bytes;
	memcpy(section, &packet, sizeof packet);
	memcpy(section + sizeof packet, frame, bytes);
	memcpy(padded, &head, sizeof head);
	r = vsc_channel_send(&nic->channel, VMBUS_PACKET_IN_BAND, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, head.section,
			     &part, 1);
	if (r)
		return r;
	nic->sections_used[head.section / 32] |= 1u << head.section % 32;
	nic->sections_in_flight++;
	nic->frames_sent++;
	return VSC_OK;
}
