// SPDX-License-Identifier: Apache-2.0
/* Queries and sets: one row per OID. What is not in the table is not supported, which is an answer too. */
#include <ctype.h>
#include <string.h>

#include "netvsp/nic.h"

#define VENDOR_NONE        0x00ffffffu	/* no IEEE code */
#define VENDOR_DESCRIPTION "Undercroft synthetic network adapter"
#define DRIVER_VERSION     0x0000061eu	/* NDIS 6.30 */
#define PHYSICAL_MEDIUM_802_3 14u
#define MAC_OPTION_COPY_LOOKAHEAD 0x01u
#define MAC_OPTION_RECEIVE_SERIALIZED 0x02u
#define MAC_OPTION_NO_LOOPBACK 0x08u
#define MAC_OPTION_8021P   0x40u
#define MAC_OPTION_8021Q   0x80u
#define STATUS_HARDWARE_READY 0u
#define CONNECTED          0u
#define DISCONNECTED       1u
#define FILTERS (NDIS_FILTER_DIRECTED | NDIS_FILTER_MULTICAST | NDIS_FILTER_ALL_MULTICAST | NDIS_FILTER_BROADCAST | \
		 NDIS_FILTER_PROMISCUOUS)
#define CHECKSUM4 (NDIS_CHECKSUM_IP_OPTIONS | NDIS_CHECKSUM_TCP_OPTIONS | NDIS_CHECKSUM_TCP | NDIS_CHECKSUM_UDP | \
		   NDIS_CHECKSUM_IP_HEADER)
#define CHECKSUM6 (NDIS_CHECKSUM_IP_OPTIONS | NDIS_CHECKSUM_TCP_OPTIONS | NDIS_CHECKSUM_TCP | NDIS_CHECKSUM_UDP)
#define LSO_SEGMENTS_MIN   2u

struct row;

/* What the row's functions are given */
struct call {
	struct netvsp *nic;
	const struct row *row;
	const uint8_t *info;
	size_t bytes;
};

struct row {
	uint32_t oid;
	uint32_t value;			/* of constants; the smallest set; which counter */
	uint32_t (*query)(const struct call *call, struct oid_reply *out);	/* NULL: cannot be queried */
	uint32_t (*set)(const struct call *call);				/* NULL: cannot be set */
};

static uint32_t reply_bytes(struct oid_reply *out, const void *from, size_t bytes)
{
	memcpy(out->data, from, bytes);
	out->bytes = bytes;
	return NDIS_STATUS_SUCCESS;
}

static uint32_t reply_u32(struct oid_reply *out, uint32_t value)
{
	return reply_bytes(out, &value, sizeof value);
}

static uint32_t query_value(const struct call *call, struct oid_reply *out)
{
	return reply_u32(out, call->row->value);
}

static uint32_t query_mtu(const struct call *call, struct oid_reply *out)
{
	return reply_u32(out, call->nic->mtu);
}

static uint32_t query_frame_bytes(const struct call *call, struct oid_reply *out)
{
	return reply_u32(out, call->nic->mtu + FRAME_HEADER_BYTES);
}

static uint32_t query_link_speed(const struct call *call, struct oid_reply *out)
{
	uint64_t speed = nic_link_speed(call->nic);

	return reply_u32(out, speed < UINT32_MAX ? (uint32_t)speed : UINT32_MAX);
}

static uint32_t query_transmit_space(const struct call *call, struct oid_reply *out)
{
	return reply_u32(out, (uint32_t)call->nic->send_buffer.range.bytes);
}

static uint32_t query_receive_space(const struct call *call, struct oid_reply *out)
{
	return reply_u32(out, call->nic->rx.section_bytes * call->nic->rx.section_count);
}

static uint32_t query_vendor(const struct call *call, struct oid_reply *out)
{
	return reply_bytes(out, VENDOR_DESCRIPTION, sizeof VENDOR_DESCRIPTION);
}

static uint32_t query_filter(const struct call *call, struct oid_reply *out)
{
	return reply_u32(out, call->nic->rndis.filter);
}

static uint32_t set_filter(const struct call *call)
{
	uint32_t filter;

	memcpy(&filter, call->info, sizeof filter);
	if (filter & ~FILTERS)
		return NDIS_STATUS_NOT_SUPPORTED;
	call->nic->rndis.filter = filter;
	return NDIS_STATUS_SUCCESS;
}

static uint32_t query_lookahead(const struct call *call, struct oid_reply *out)
{
	return reply_u32(out, call->nic->rndis.lookahead ? call->nic->rndis.lookahead : call->nic->mtu);
}

static uint32_t set_lookahead(const struct call *call)
{
	uint32_t bytes;

	memcpy(&bytes, call->info, sizeof bytes);
	if (bytes > call->nic->mtu)
		return NDIS_STATUS_INVALID_DATA;
	call->nic->rndis.lookahead = bytes;
	return NDIS_STATUS_SUCCESS;
}

/* Hints about a guest's own stack that change nothing here */
static uint32_t set_hint(const struct call *call)
{
	return NDIS_STATUS_SUCCESS;
}

static uint32_t query_connect_status(const struct call *call, struct oid_reply *out)
{
	call->nic->rndis.told_link_up = call->nic->link_up;
	return reply_u32(out, call->nic->link_up ? CONNECTED : DISCONNECTED);
}

static uint32_t query_name(const struct call *call, struct oid_reply *out)
{
	if (call->nic->name_units == 0)
		return NDIS_STATUS_NOT_SUPPORTED;
	return reply_bytes(out, call->nic->name, call->nic->name_units * sizeof call->nic->name[0]);
}

static uint32_t query_mac_permanent(const struct call *call, struct oid_reply *out)
{
	return reply_bytes(out, call->nic->mac_permanent, sizeof call->nic->mac_permanent);
}

static uint32_t query_mac(const struct call *call, struct oid_reply *out)
{
	return reply_bytes(out, call->nic->mac, sizeof call->nic->mac);
}

static uint32_t query_multicast(const struct call *call, struct oid_reply *out)
{
	return reply_bytes(out, call->nic->rndis.multicast, call->nic->rndis.multicast_count * (size_t)FRAME_MAC_BYTES);
}

static uint32_t set_multicast(const struct call *call)
{
	if (call->bytes % FRAME_MAC_BYTES)
		return NDIS_STATUS_INVALID_LENGTH;
	if (call->bytes / FRAME_MAC_BYTES > NIC_MULTICAST_MAX)
		return NDIS_STATUS_MULTICAST_FULL;
	for (size_t at = 0; at < call->bytes; at += FRAME_MAC_BYTES)
		if (frame_cast(call->info + at) == FRAME_UNICAST)
			return NDIS_STATUS_INVALID_DATA;
	call->nic->rndis.multicast_count = (unsigned)(call->bytes / FRAME_MAC_BYTES);
	memcpy(call->nic->rndis.multicast, call->info, call->bytes);
	return NDIS_STATUS_SUCCESS;
}

/* ---- Offloads ---- */

/* Guests take no more than they know of: the layout that their version brought, or a smaller one if they name it. */
static size_t offload_bytes(const struct call *call)
{
	size_t bytes = call->nic->version >= NVSP_VERSION_5 ? NDIS_OFFLOAD_BYTES_REVISION_3
							    : NDIS_OFFLOAD_BYTES_REVISION_2;
	struct ndis_object_header header;

	if (call->bytes < sizeof header)
		return bytes;
	memcpy(&header, call->info, sizeof header);
	if (header.type != NDIS_OBJECT_OFFLOAD || header.bytes >= bytes)
		return bytes;
	return header.bytes >= NDIS_OFFLOAD_BYTES_REVISION_2 ? NDIS_OFFLOAD_BYTES_REVISION_2
							     : NDIS_OFFLOAD_BYTES_REVISION_1;
}

static uint32_t reply_offload(const struct call *call, const struct ndis_offload *offload, struct oid_reply *out)
{
	size_t bytes = offload_bytes(call);
	struct ndis_offload o = *offload;

	o.header = (struct ndis_object_header){
		.type = NDIS_OBJECT_OFFLOAD,
		.revision = bytes == NDIS_OFFLOAD_BYTES_REVISION_3 ? 3 : bytes == NDIS_OFFLOAD_BYTES_REVISION_2 ? 2 : 1,
		.bytes = (uint16_t)bytes,
	};
	return reply_bytes(out, &o, bytes);
}

static const struct ndis_offload offload_hardware = {
	.ip4_tx_encapsulation = NDIS_ENCAPSULATION_802_3,
	.ip4_tx_checksum = CHECKSUM4,
	.ip4_rx_encapsulation = NDIS_ENCAPSULATION_802_3,
	.ip4_rx_checksum = CHECKSUM4,
	.ip6_tx_encapsulation = NDIS_ENCAPSULATION_802_3,
	.ip6_tx_checksum = CHECKSUM6,
	.ip6_rx_encapsulation = NDIS_ENCAPSULATION_802_3,
	.ip6_rx_checksum = CHECKSUM6,
	.lso4_encapsulation = NDIS_ENCAPSULATION_802_3,
	.lso4_bytes_max = OFFLOAD_LSO_BYTES_MAX,
	.lso4_segments_min = LSO_SEGMENTS_MIN,
	.lso6_encapsulation = NDIS_ENCAPSULATION_802_3,
	.lso6_bytes_max = OFFLOAD_LSO_BYTES_MAX,
	.lso6_segments_min = LSO_SEGMENTS_MIN,
	.lso6_options = NDIS_LSO_V6_EXTENSION_HEADERS | NDIS_LSO_V6_TCP_OPTIONS,
};

static uint32_t query_offload_hardware(const struct call *call, struct oid_reply *out)
{
	return reply_offload(call, &offload_hardware, out);
}

/* The part of a checksum capability that is on in one direction */
static uint32_t is_on(uint8_t setting, enum ndis_offload_direction direction, uint32_t capability)
{
	return setting == (uint8_t)direction || setting == NDIS_OFFLOAD_TX_RX ? capability : 0;
}

static uint32_t checksum_on(const struct ndis_offload_parameters *p, bool is_ipv4,
			    enum ndis_offload_direction direction)
{
	uint32_t tcp = is_on(is_ipv4 ? p->tcp4 : p->tcp6, direction, NDIS_CHECKSUM_TCP | NDIS_CHECKSUM_TCP_OPTIONS);
	uint32_t udp = is_on(is_ipv4 ? p->udp4 : p->udp6, direction, NDIS_CHECKSUM_UDP);
	uint32_t ip = is_ipv4 ? is_on(p->ip4, direction, NDIS_CHECKSUM_IP_HEADER) : 0;

	return tcp | udp | ip | (tcp | udp | ip ? NDIS_CHECKSUM_IP_OPTIONS : 0);
}

static uint32_t query_offload_config(const struct call *call, struct oid_reply *out)
{
	const struct ndis_offload_parameters *p = &call->nic->rndis.offload;
	struct ndis_offload o = offload_hardware;

	o.ip4_tx_checksum = checksum_on(p, true, NDIS_OFFLOAD_TX);
	o.ip4_rx_checksum = checksum_on(p, true, NDIS_OFFLOAD_RX);
	o.ip6_tx_checksum = checksum_on(p, false, NDIS_OFFLOAD_TX);
	o.ip6_rx_checksum = checksum_on(p, false, NDIS_OFFLOAD_RX);
	if (p->lso4 != NDIS_OFFLOAD_ON)
		o.lso4_encapsulation = o.lso4_bytes_max = o.lso4_segments_min = 0;
	if (p->lso6 != NDIS_OFFLOAD_ON)
		o.lso6_encapsulation = o.lso6_bytes_max = o.lso6_segments_min = o.lso6_options = 0;
	return reply_offload(call, &o, out);
}

/* One setting of the new parameters over the old one. false: no such value. */
static bool setting_merge(uint8_t *old, uint8_t new, uint8_t max)
{
	if (new > max)
		return false;
	if (new != NDIS_OFFLOAD_NO_CHANGE)
		*old = new;
	return true;
}

static uint32_t set_offload(const struct call *call)
{
	struct ndis_offload_parameters new = { .ip4 = 0 }, merged = call->nic->rndis.offload;

	memcpy(&new, call->info, call->bytes < sizeof new ? call->bytes : sizeof new);
	if (new.header.type != NDIS_OBJECT_DEFAULT ||
	    !setting_merge(&merged.ip4, new.ip4, NDIS_OFFLOAD_TX_RX) ||
	    !setting_merge(&merged.tcp4, new.tcp4, NDIS_OFFLOAD_TX_RX) ||
	    !setting_merge(&merged.udp4, new.udp4, NDIS_OFFLOAD_TX_RX) ||
	    !setting_merge(&merged.tcp6, new.tcp6, NDIS_OFFLOAD_TX_RX) ||
	    !setting_merge(&merged.udp6, new.udp6, NDIS_OFFLOAD_TX_RX) ||
	    !setting_merge(&merged.lso4, new.lso4, NDIS_OFFLOAD_ON) ||
	    !setting_merge(&merged.lso6, new.lso6, NDIS_OFFLOAD_ON))
		return NDIS_STATUS_INVALID_DATA;
	call->nic->rndis.offload = merged;
	return NDIS_STATUS_SUCCESS;
}

static uint32_t set_encapsulation(const struct call *call)
{
	struct ndis_offload_encapsulation e;

	memcpy(&e, call->info, sizeof e);
	if (e.header.type != NDIS_OBJECT_OFFLOAD_ENCAPSULATION ||
	    (e.ip4_set == NDIS_OFFLOAD_SET_ON && !(e.ip4_type & NDIS_ENCAPSULATION_802_3)) ||
	    (e.ip6_set == NDIS_OFFLOAD_SET_ON && !(e.ip6_type & NDIS_ENCAPSULATION_802_3)))
		return NDIS_STATUS_INVALID_DATA;
	return NDIS_STATUS_SUCCESS;
}

static uint32_t query_rss(const struct call *call, struct oid_reply *out)
{
	const struct ndis_rss_capabilities capabilities = {
		.header = { NDIS_OBJECT_RSS_CAPABILITIES, 2, NDIS_RSS_CAPABILITIES_BYTES },
		.flags = NDIS_RSS_CAPABILITY_TOEPLITZ | NDIS_RSS_CAPABILITY_TCP_IPV4 | NDIS_RSS_CAPABILITY_TCP_IPV6,
		.interrupt_count = call->nic->queue_count,
		.queue_count = call->nic->queue_count,
		.table_count = NDIS_RSS_TABLE_MAX,
	};

	return reply_bytes(out, &capabilities, NDIS_RSS_CAPABILITIES_BYTES);
}

static uint32_t set_rss(const struct call *call)
{
	unsigned channels = 1;

	while (channels < call->nic->queue_count && call->nic->queue[channels].channel)
		channels++;
	return rss_set(&call->nic->rndis.rss, call->info, call->bytes, channels);
}

/* ---- The address by name: "NetworkAddress", twelve hexadecimal digits, both in UTF-16 ---- */

static bool utf16_get(const struct call *call, uint32_t offset, uint32_t bytes, char *out, size_t max)
{
	if (offset < sizeof(struct rndis_config_parameter) || offset > call->bytes || bytes > call->bytes - offset ||
	    bytes % 2 || bytes / 2 > max)
		return false;
	for (uint32_t i = 0; i < bytes; i += 2) {
		if (call->info[offset + i + 1])
			return false;
		out[i / 2] = (char)call->info[offset + i];
	}
	return true;
}

static int hex_digit(char c)
{
	if (!isxdigit((unsigned char)c))
		return -1;
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

static uint32_t set_parameter(const struct call *call)
{
	static const char network_address[] = "NetworkAddress";
	static const uint8_t zero[FRAME_MAC_BYTES];
	char name[sizeof network_address - 1], digits[2 * FRAME_MAC_BYTES];
	uint8_t mac[FRAME_MAC_BYTES];
	struct rndis_config_parameter p;

	memcpy(&p, call->info, sizeof p);
	if (p.name_bytes != 2 * sizeof name || !utf16_get(call, p.name_offset, p.name_bytes, name, sizeof name) ||
	    memcmp(name, network_address, sizeof name) != 0)
		return NDIS_STATUS_NOT_SUPPORTED;
	if (p.value_type != RNDIS_CONFIG_STRING || p.value_bytes != 2 * sizeof digits ||
	    !utf16_get(call, p.value_offset, p.value_bytes, digits, sizeof digits))
		return NDIS_STATUS_INVALID_DATA;
	for (unsigned i = 0; i < FRAME_MAC_BYTES; i++) {
		int high = hex_digit(digits[2 * i]), low = hex_digit(digits[2 * i + 1]);

		if (high < 0 || low < 0)
			return NDIS_STATUS_INVALID_DATA;
		mac[i] = (uint8_t)(high << 4 | low);
	}
	if (frame_cast(mac) != FRAME_UNICAST || memcmp(mac, zero, sizeof mac) == 0)
		return NDIS_STATUS_INVALID_DATA;
	if (!call->nic->policy.allow_mac_spoofing && memcmp(mac, call->nic->mac_permanent, sizeof mac) != 0)
		return NDIS_STATUS_FAILURE;
	memcpy(call->nic->mac, mac, sizeof mac);
	return NDIS_STATUS_SUCCESS;
}

/* ---- Statistics: sums over the queues ---- */

static void statistics_sum(const struct netvsp *nic, struct ndis_statistics *out)
{
	*out = (struct ndis_statistics){
		.header = { NDIS_OBJECT_DEFAULT, 1, sizeof *out },
		.valid = NDIS_STATISTICS_VALID_ALL,
	};
	for (unsigned i = 0; i < nic->queue_count; i++) {
		const struct netvsp_counters *c = &nic->queue[i].counters;

		out->in_unicast_frames += c->rx[NETVSP_UNICAST].frames;
		out->in_unicast_octets += c->rx[NETVSP_UNICAST].bytes;
		out->in_multicast_frames += c->rx[NETVSP_MULTICAST].frames;
		out->in_multicast_octets += c->rx[NETVSP_MULTICAST].bytes;
		out->in_broadcast_frames += c->rx[NETVSP_BROADCAST].frames;
		out->in_broadcast_octets += c->rx[NETVSP_BROADCAST].bytes;
		out->out_unicast_frames += c->tx[NETVSP_UNICAST].frames;
		out->out_unicast_octets += c->tx[NETVSP_UNICAST].bytes;
		out->out_multicast_frames += c->tx[NETVSP_MULTICAST].frames;
		out->out_multicast_octets += c->tx[NETVSP_MULTICAST].bytes;
		out->out_broadcast_frames += c->tx[NETVSP_BROADCAST].frames;
		out->out_broadcast_octets += c->tx[NETVSP_BROADCAST].bytes;
		out->in_errors += c->drops[NETVSP_DROP_RX_SIZE] + c->drops[NETVSP_DROP_RX_OFFLOAD];
		out->in_discards += c->drops[NETVSP_DROP_RX_CHANNEL];
		out->out_errors += c->drops[NETVSP_DROP_TX_MALFORMED] + c->drops[NETVSP_DROP_TX_SIZE] +
				   c->drops[NETVSP_DROP_TX_OFFLOAD] + c->drops[NETVSP_DROP_TX_TAP_ERROR];
		out->out_discards += c->drops[NETVSP_DROP_TX_NOT_READY] + c->drops[NETVSP_DROP_TX_LINK_DOWN] +
				     c->drops[NETVSP_DROP_TX_SPOOFED] + c->drops[NETVSP_DROP_TX_GUARDED] +
				     c->drops[NETVSP_DROP_TX_TAP_FULL];
	}
	out->in_octets = out->in_unicast_octets + out->in_multicast_octets + out->in_broadcast_octets;
	out->out_octets = out->out_unicast_octets + out->out_multicast_octets + out->out_broadcast_octets;
}

static uint32_t query_statistics(const struct call *call, struct oid_reply *out)
{
	struct ndis_statistics statistics;

	statistics_sum(call->nic, &statistics);
	return reply_bytes(out, &statistics, sizeof statistics);
}

/* Counters are 32 bits wide for who has no room for more. */
static uint32_t reply_counter(const struct call *call, uint64_t value, struct oid_reply *out)
{
	return call->bytes == sizeof value ? reply_bytes(out, &value, sizeof value) : reply_u32(out, (uint32_t)value);
}

/* row->value: offset of the field */
static uint32_t query_counter(const struct call *call, struct oid_reply *out)
{
	struct ndis_statistics statistics;
	uint64_t value;

	statistics_sum(call->nic, &statistics);
	memcpy(&value, (const uint8_t *)&statistics + call->row->value, sizeof value);
	return reply_counter(call, value, out);
}

static uint32_t query_xmit_ok(const struct call *call, struct oid_reply *out)
{
	struct ndis_statistics s;

	statistics_sum(call->nic, &s);
	return reply_counter(call, s.out_unicast_frames + s.out_multicast_frames + s.out_broadcast_frames, out);
}

static uint32_t query_rcv_ok(const struct call *call, struct oid_reply *out)
{
	struct ndis_statistics s;

	statistics_sum(call->nic, &s);
	return reply_counter(call, s.in_unicast_frames + s.in_multicast_frames + s.in_broadcast_frames, out);
}

static uint32_t query_supported(const struct call *call, struct oid_reply *out);

#define COUNTER(field) offsetof(struct ndis_statistics, field), query_counter, NULL

static const struct row rows[] = {
	{ OID_GEN_SUPPORTED_LIST, 0, query_supported, NULL },
	{ OID_GEN_HARDWARE_STATUS, STATUS_HARDWARE_READY, query_value, NULL },
	{ OID_GEN_MEDIA_SUPPORTED, 0, query_value, NULL },
	{ OID_GEN_MEDIA_IN_USE, 0, query_value, NULL },
	{ OID_GEN_MAXIMUM_LOOKAHEAD, 0, query_mtu, NULL },
	{ OID_GEN_MAXIMUM_FRAME_SIZE, 0, query_mtu, NULL },
	{ OID_GEN_LINK_SPEED, 0, query_link_speed, NULL },
	{ OID_GEN_TRANSMIT_BUFFER_SPACE, 0, query_transmit_space, NULL },
	{ OID_GEN_RECEIVE_BUFFER_SPACE, 0, query_receive_space, NULL },
	{ OID_GEN_TRANSMIT_BLOCK_SIZE, 0, query_frame_bytes, NULL },
	{ OID_GEN_RECEIVE_BLOCK_SIZE, 0, query_frame_bytes, NULL },
	{ OID_GEN_VENDOR_ID, VENDOR_NONE, query_value, NULL },
	{ OID_GEN_VENDOR_DESCRIPTION, 0, query_vendor, NULL },
	{ OID_GEN_CURRENT_PACKET_FILTER, 4, query_filter, set_filter },
	{ OID_GEN_CURRENT_LOOKAHEAD, 4, query_lookahead, set_lookahead },
	{ OID_GEN_DRIVER_VERSION, DRIVER_VERSION, query_value, NULL },
	{ OID_GEN_MAXIMUM_TOTAL_SIZE, 0, query_frame_bytes, NULL },
	{ OID_GEN_PROTOCOL_OPTIONS, 4, NULL, set_hint },
	{ OID_GEN_MAC_OPTIONS, MAC_OPTION_COPY_LOOKAHEAD | MAC_OPTION_RECEIVE_SERIALIZED | MAC_OPTION_NO_LOOPBACK |
	  MAC_OPTION_8021P | MAC_OPTION_8021Q, query_value, NULL },
	{ OID_GEN_MEDIA_CONNECT_STATUS, 0, query_connect_status, NULL },
	{ OID_GEN_MAXIMUM_SEND_PACKETS, UINT32_MAX, query_value, NULL },
	{ OID_GEN_VENDOR_DRIVER_VERSION, 1, query_value, NULL },
	{ OID_GEN_NETWORK_LAYER_ADDRESSES, 0, NULL, set_hint },
	{ OID_GEN_TRANSPORT_HEADER_OFFSET, 0, NULL, set_hint },
	{ OID_GEN_PHYSICAL_MEDIUM, PHYSICAL_MEDIUM_802_3, query_value, NULL },
	{ OID_GEN_RECEIVE_SCALE_CAPABILITIES, 0, query_rss, NULL },
	{ OID_GEN_RECEIVE_SCALE_PARAMETERS, 0, NULL, set_rss },
	{ OID_GEN_LINK_PARAMETERS, 0, NULL, set_hint },
	{ OID_GEN_MACHINE_NAME, 0, NULL, set_hint },
	{ OID_GEN_RNDIS_CONFIG_PARAMETER, sizeof(struct rndis_config_parameter), NULL, set_parameter },
	{ OID_GEN_XMIT_OK, 0, query_xmit_ok, NULL },
	{ OID_GEN_RCV_OK, 0, query_rcv_ok, NULL },
	{ OID_GEN_XMIT_ERROR, COUNTER(out_errors) },
	{ OID_GEN_RCV_ERROR, COUNTER(in_errors) },
	{ OID_GEN_RCV_NO_BUFFER, COUNTER(in_discards) },
	{ OID_GEN_STATISTICS, 0, query_statistics, NULL },
	{ OID_GEN_DIRECTED_BYTES_XMIT, COUNTER(out_unicast_octets) },
	{ OID_GEN_DIRECTED_FRAMES_XMIT, COUNTER(out_unicast_frames) },
	{ OID_GEN_MULTICAST_BYTES_XMIT, COUNTER(out_multicast_octets) },
	{ OID_GEN_MULTICAST_FRAMES_XMIT, COUNTER(out_multicast_frames) },
	{ OID_GEN_BROADCAST_BYTES_XMIT, COUNTER(out_broadcast_octets) },
	{ OID_GEN_BROADCAST_FRAMES_XMIT, COUNTER(out_broadcast_frames) },
	{ OID_GEN_DIRECTED_BYTES_RCV, COUNTER(in_unicast_octets) },
	{ OID_GEN_DIRECTED_FRAMES_RCV, COUNTER(in_unicast_frames) },
	{ OID_GEN_MULTICAST_BYTES_RCV, COUNTER(in_multicast_octets) },
	{ OID_GEN_MULTICAST_FRAMES_RCV, COUNTER(in_multicast_frames) },
	{ OID_GEN_BROADCAST_BYTES_RCV, COUNTER(in_broadcast_octets) },
	{ OID_GEN_BROADCAST_FRAMES_RCV, COUNTER(in_broadcast_frames) },
	{ OID_GEN_RCV_CRC_ERROR, 0, query_value, NULL },
	{ OID_GEN_TRANSMIT_QUEUE_LENGTH, 0, query_value, NULL },
	{ OID_GEN_FRIENDLY_NAME, 0, query_name, NULL },
	{ OID_802_3_PERMANENT_ADDRESS, 0, query_mac_permanent, NULL },
	{ OID_802_3_CURRENT_ADDRESS, 0, query_mac, NULL },
	{ OID_802_3_MULTICAST_LIST, 0, query_multicast, set_multicast },
	{ OID_802_3_MAXIMUM_LIST_SIZE, NIC_MULTICAST_MAX, query_value, NULL },
	{ OID_802_3_RCV_ERROR_ALIGNMENT, 0, query_value, NULL },
	{ OID_802_3_XMIT_ONE_COLLISION, 0, query_value, NULL },
	{ OID_802_3_XMIT_MORE_COLLISIONS, 0, query_value, NULL },
	{ OID_OFFLOAD_ENCAPSULATION, sizeof(struct ndis_offload_encapsulation), NULL, set_encapsulation },
	{ OID_TCP_OFFLOAD_CURRENT_CONFIG, 0, query_offload_config, NULL },
	{ OID_TCP_OFFLOAD_PARAMETERS, NDIS_OFFLOAD_PARAMETERS_BYTES_MIN, NULL, set_offload },
	{ OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, 0, query_offload_hardware, NULL },
};
#define ROW_COUNT (sizeof rows / sizeof rows[0])

static uint32_t query_supported(const struct call *call, struct oid_reply *out)
{
	_Static_assert(ROW_COUNT * 4 <= sizeof out->data, "the list fits a reply");
	for (unsigned i = 0; i < ROW_COUNT; i++)
		memcpy(out->data + (size_t)4 * i, &rows[i].oid, 4);
	out->bytes = ROW_COUNT * 4;
	return NDIS_STATUS_SUCCESS;
}

static const struct row *row_find(uint32_t oid)
{
	for (unsigned i = 0; i < ROW_COUNT; i++)
		if (rows[i].oid == oid)
			return &rows[i];
	return NULL;
}

uint32_t oid_query(struct netvsp *nic, uint32_t oid, const uint8_t *info, size_t bytes, struct oid_reply *out)
{
	const struct row *row = row_find(oid);
	const struct call call = { nic, row, info, bytes };

	return row && row->query ? row->query(&call, out) : NDIS_STATUS_NOT_SUPPORTED;
}

uint32_t oid_set(struct netvsp *nic, uint32_t oid, const uint8_t *info, size_t bytes)
{
	const struct row *row = row_find(oid);
	const struct call call = { nic, row, info, bytes };

	if (!row || !row->set)
		return NDIS_STATUS_NOT_SUPPORTED;
	return bytes < row->value ? NDIS_STATUS_INVALID_LENGTH : row->set(&call);
}
