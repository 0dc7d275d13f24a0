// SPDX-License-Identifier: Apache-2.0
#include "netvsp/offload.h"

#include <errno.h>
#include <string.h>

#define TCP_BYTES_MIN       20u
#define TCP_FLAGS           13u
#define TCP_FLAG_CWR        0x80u
#define TCP_CHECKSUM        16u
#define UDP_CHECKSUM        6u
#define IPV4_BYTES_MIN      20u
#define IPV4_CHECKSUM       10u
#define IPV6_BYTES          40u
#define IP_BYTES_MAX        65535u

static void decode_entry(uint32_t type, uint32_t word, struct offload_tx *out)
{
	switch (type) {
	case RNDIS_PPI_CHECKSUM:
		out->tcp_checksum = (word & RNDIS_CHECKSUM_TX_TCP) != 0;
		out->udp_checksum = (word & RNDIS_CHECKSUM_TX_UDP) != 0;
		out->ip_checksum = (word & RNDIS_CHECKSUM_TX_IP_HEADER) != 0;
		out->transport_offset = RNDIS_CHECKSUM_TX_OFFSET(word);
		break;
	case RNDIS_PPI_LSO:
		out->has_lso = true;
		out->lso_is_ipv6 = (word & RNDIS_LSO_IPV6) != 0;
		out->mss = RNDIS_LSO_MSS(word);
		break;
	case RNDIS_PPI_VLAN:
		out->has_tag = true;
		out->tci = RNDIS_VLAN_TO_TCI(word);
		break;
	default:			/* hash and whatever else: nothing that a tap can use */
		break;
	}
}

int offload_tx_decode(const uint8_t *ppi, size_t bytes, struct offload_tx *out)
{
	struct offload_tx tx = { .has_lso = false };

	while (bytes) {
		struct rndis_ppi entry;
		uint32_t word = 0;

		if (bytes < sizeof entry)
			return -EPROTO;
		memcpy(&entry, ppi, sizeof entry);
		if (entry.bytes < sizeof entry || entry.bytes > bytes || entry.offset < sizeof entry ||
		    entry.offset > entry.bytes)
			return -EPROTO;
		if (entry.bytes - entry.offset >= sizeof word) {
			memcpy(&word, ppi + entry.offset, sizeof word);
			decode_entry(entry.type, word, &tx);
		}
		ppi += entry.bytes;
		bytes -= entry.bytes;
	}
	*out = tx;
	return 0;
}

static void ipv4_sum(uint8_t *ip)
{
	frame_put16(ip + IPV4_CHECKSUM, 0);
	frame_put16(ip + IPV4_CHECKSUM, (uint16_t)~frame_sum_fold(frame_sum(0, ip, (size_t)(ip[0] & 0xf) * 4)));
}

/* The guest leaves the IP length and the length part of TCP's pseudo header to us, who know the segments. */
static int apply_lso(const struct offload_tx *tx, uint8_t *head, size_t head_bytes, size_t frame_bytes,
		     const struct frame_info *info, struct virtio_net_hdr_v1 *out)
{
	uint8_t *ip = head + info->l3, *tcp = head + info->l4;
	size_t header_bytes;

	if (info->ip_version != (tx->lso_is_ipv6 ? 6 : 4) || !info->l4 || info->protocol != FRAME_TCP ||
	    info->is_fragment || head_bytes - info->l4 < TCP_BYTES_MIN)
		return -EINVAL;
	header_bytes = info->l4 + (size_t)(tcp[12] >> 4) * 4;
	if (header_bytes < info->l4 + TCP_BYTES_MIN || header_bytes > head_bytes || frame_bytes <= header_bytes ||
	    tx->mss < OFFLOAD_MSS_MIN || tx->mss > UINT16_MAX)
		return -EINVAL;
	if (info->ip_version == 4) {
		if (frame_bytes - info->l3 > IP_BYTES_MAX)
			return -EINVAL;
		frame_put16(ip + 2, (uint16_t)(frame_bytes - info->l3));
		ipv4_sum(ip);
	} else {
		if (frame_bytes - info->l3 - IPV6_BYTES > IP_BYTES_MAX)
			return -EINVAL;
		frame_put16(ip + 4, (uint16_t)(frame_bytes - info->l3 - IPV6_BYTES));
	}
	frame_put16(tcp + TCP_CHECKSUM,
		    frame_sum_fold(frame_sum_pseudo(head, info, (uint32_t)(frame_bytes - info->l4))));
	out->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	out->csum_start = info->l4;
	out->csum_offset = TCP_CHECKSUM;
	if (frame_bytes - header_bytes <= tx->mss)
		return 0;
	out->gso_type = info->ip_version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	if (tcp[TCP_FLAGS] & TCP_FLAG_CWR)
		out->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	out->hdr_len = (uint16_t)header_bytes;
	out->gso_size = (uint16_t)tx->mss;
	return 0;
}

int offload_tx_apply(const struct offload_tx *tx, uint8_t *head, size_t head_bytes, size_t frame_bytes,
		     const struct frame_info *info, struct virtio_net_hdr_v1 *out)
{
	uint16_t start, at;

	*out = (struct virtio_net_hdr_v1){ .gso_type = VIRTIO_NET_HDR_GSO_NONE };
	if (tx->has_lso)
		return apply_lso(tx, head, head_bytes, frame_bytes, info, out);
	if (tx->ip_checksum) {
		if (info->ip_version != 4)
			return -EINVAL;
		ipv4_sum(head + info->l3);
	}
	if (!tx->tcp_checksum && !tx->udp_checksum)
		return 0;
	/* Windows gives no offset for UDP. */
	start = tx->transport_offset ? tx->transport_offset : info->l4;
	at = tx->tcp_checksum ? TCP_CHECKSUM : UDP_CHECKSUM;
	if ((tx->tcp_checksum && tx->udp_checksum) || start < FRAME_HEADER_BYTES ||
	    frame_bytes < (size_t)start + at + 2)
		return -EINVAL;
	out->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	out->csum_start = start;
	out->csum_offset = at;
	return 0;
}

/* As skb_checksum_help: all from the start on, the field in it holding the pseudo header's sum. */
static int complete_sum(const struct virtio_net_hdr_v1 *header, uint8_t *frame, size_t bytes,
			const struct frame_info *info)
{
	size_t start = header->csum_start, field = start + header->csum_offset;
	uint16_t sum;

	if (bytes < 2 || field > bytes - 2)
		return -EINVAL;
	sum = (uint16_t)~frame_sum_fold(frame_sum(0, frame + start, bytes - start));
	if (sum == 0 && info->protocol == FRAME_UDP)
		sum = 0xffff;		/* 0 would say that there is no sum */
	frame_put16(frame + field, sum);
	return 0;
}

static uint32_t transport_good(const struct frame_info *info, const struct offload_rx_wanted *wanted)
{
	bool is_ipv4 = info->ip_version == 4;

	if (!info->l4 || info->is_fragment)
		return 0;
	if (info->protocol == FRAME_TCP && (is_ipv4 ? wanted->tcp4 : wanted->tcp6))
		return RNDIS_CHECKSUM_RX_TCP_GOOD;
	if (info->protocol == FRAME_UDP && (is_ipv4 ? wanted->udp4 : wanted->udp6))
		return RNDIS_CHECKSUM_RX_UDP_GOOD;
	return 0;
}

int offload_rx_apply(const struct virtio_net_hdr_v1 *header, uint8_t *frame, size_t bytes,
		     const struct frame_info *info, const struct offload_rx_wanted *wanted, struct offload_rx *out)
{
	*out = (struct offload_rx){ .checksum = 0 };
	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return -EINVAL;
	/* Before a sum is written, wherever its header says: info is of the frame as it is now. */
	if (info->ip_version == 4 && wanted->ip4) {
		const uint8_t *ip = frame + info->l3;
		bool is_good = frame_sum_fold(frame_sum(0, ip, (size_t)(ip[0] & 0xf) * 4)) == 0xffff;

		out->checksum |= is_good ? RNDIS_CHECKSUM_RX_IP_GOOD : RNDIS_CHECKSUM_RX_IP_FAILED;
	}
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && complete_sum(header, frame, bytes, info))
		return -EINVAL;
	if (header->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID))
		out->checksum |= transport_good(info, wanted);
	return 0;
}

static size_t encode_entry(uint8_t *to, uint32_t type, uint32_t word)
{
	const struct rndis_ppi entry = { sizeof entry + sizeof word, type, sizeof entry };

	memcpy(to, &entry, sizeof entry);
	memcpy(to + sizeof entry, &word, sizeof word);
	return entry.bytes;
}

size_t offload_rx_encode(const struct offload_rx *rx, uint8_t *to)
{
	size_t bytes = 0;

	if (rx->has_tag)
		bytes += encode_entry(to + bytes, RNDIS_PPI_VLAN, RNDIS_VLAN_FROM_TCI(rx->tci));
	if (rx->checksum)
		bytes += encode_entry(to + bytes, RNDIS_PPI_CHECKSUM, rx->checksum);
	if (rx->has_hash)
		bytes += encode_entry(to + bytes, RNDIS_PPI_HASH, rx->hash);
	return bytes;
}
