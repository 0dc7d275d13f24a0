// SPDX-License-Identifier: Apache-2.0
#include "netvsp/frame.h"

#include <string.h>

#define ETHERTYPE_IPV4   0x0800u
#define ETHERTYPE_VLAN   0x8100u
#define ETHERTYPE_QINQ   0x88a8u
#define ETHERTYPE_IPV6   0x86ddu
#define TAGS_MAX         2u

#define IPV4_BYTES_MIN   20u
#define IPV4_FRAGMENT    0x3fffu		/* more fragments, or an offset */
#define IPV4_OFFSET      0x1fffu
#define IPV6_BYTES       40u
#define IPV6_EXTENSIONS_MAX 16u

#define IPV6_HOP_BY_HOP  0u
#define IPV6_ROUTING     43u
#define IPV6_FRAGMENT    44u
#define IPV6_AH          51u
#define IPV6_DESTINATION 60u

#define DHCP4_SERVER_PORT 67u
#define DHCP6_SERVER_PORT 547u
#define ICMP6_ROUTER_ADVERTISEMENT 134u
#define ICMP6_REDIRECT   137u

static bool is_tag(uint16_t ethertype)
{
	return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ;
}

static void parse_ipv4(const uint8_t *head, size_t head_bytes, struct frame_info *out)
{
	const uint8_t *ip = head + out->l3;
	size_t header_bytes, total;
	uint16_t fragment;

	if (head_bytes - out->l3 < IPV4_BYTES_MIN || ip[0] >> 4 != 4) {
		out->is_cut = true;
		return;
	}
	header_bytes = (size_t)(ip[0] & 0xf) * 4;
	total = frame_get16(ip + 2);
	if (header_bytes < IPV4_BYTES_MIN || head_bytes - out->l3 < header_bytes) {
		out->is_cut = true;
		return;
	}
	out->ip_version = 4;
	out->protocol = ip[9];
	fragment = frame_get16(ip + 6);
	out->is_fragment = (fragment & IPV4_FRAGMENT) != 0;
	if ((fragment & IPV4_OFFSET) == 0)
		out->l4 = (uint16_t)(out->l3 + header_bytes);
	if (total > header_bytes)
		out->l4_bytes = (uint16_t)(total - header_bytes);
}

static void parse_ipv6(const uint8_t *head, size_t head_bytes, struct frame_info *out)
{
	size_t at = out->l3 + IPV6_BYTES, payload;
	uint8_t next;

	if (head_bytes - out->l3 < IPV6_BYTES || head[out->l3] >> 4 != 6) {
		out->is_cut = true;
		return;
	}
	out->ip_version = 6;
	payload = frame_get16(head + out->l3 + 4);
	next = head[out->l3 + 6];
	for (unsigned i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		size_t bytes;

		if (next != IPV6_HOP_BY_HOP && next != IPV6_ROUTING && next != IPV6_FRAGMENT && next != IPV6_AH &&
		    next != IPV6_DESTINATION) {
			out->protocol = next;
			out->l4 = (uint16_t)at;
			if (payload > at - out->l3 - IPV6_BYTES)
				out->l4_bytes = (uint16_t)(payload - (at - out->l3 - IPV6_BYTES));
			return;
		}
		if (head_bytes < at + 8)
			break;
		if (next == IPV6_FRAGMENT) {
			out->is_fragment = true;
			if (frame_get16(head + at + 2) >> 3) {	/* not the first: no transport header in here */
				out->protocol = head[at];
				return;
			}
			bytes = 8;
		} else if (next == IPV6_AH) {
			bytes = ((size_t)head[at + 1] + 2) * 4;
		} else {
			bytes = ((size_t)head[at + 1] + 1) * 8;
		}
		next = head[at];
		at += bytes;
	}
	out->is_cut = true;
}

void frame_parse(const uint8_t *head, size_t head_bytes, struct frame_info *out)
{
	size_t at = FRAME_HEADER_BYTES;

	*out = (struct frame_info){ .ethertype = frame_get16(head + 12) };
	while (is_tag(out->ethertype)) {
		if (out->tags == TAGS_MAX || head_bytes < at + FRAME_TAG_BYTES) {
			out->is_cut = true;
			return;
		}
		out->ethertype = frame_get16(head + at + 2);
		out->tags++;
		at += FRAME_TAG_BYTES;
	}
	out->l3 = (uint16_t)at;
	if (out->ethertype == ETHERTYPE_IPV4)
		parse_ipv4(head, head_bytes, out);
	else if (out->ethertype == ETHERTYPE_IPV6)
		parse_ipv6(head, head_bytes, out);
	/* A chain may end where the bytes do: then there is no transport header to look at. */
	if (out->l4 >= head_bytes) {
		out->l4 = 0;
		out->is_cut = true;
	}
}

enum frame_cast frame_cast(const uint8_t *frame)
{
	static const uint8_t broadcast[FRAME_MAC_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (!(frame[0] & 1))
		return FRAME_UNICAST;
	return memcmp(frame, broadcast, sizeof broadcast) == 0 ? FRAME_BROADCAST : FRAME_MULTICAST;
}

/* Four bytes at a time; the folding does not care about the width. */
uint32_t frame_sum(uint32_t sum, const uint8_t *bytes, size_t count)
{
	uint64_t wide = sum;
	uint32_t word;

	for (; count >= 4; bytes += 4, count -= 4) {
		memcpy(&word, bytes, 4);
		wide += __builtin_bswap32(word);
	}
	for (; count >= 2; bytes += 2, count -= 2)
		wide += frame_get16(bytes);
	if (count)
		wide += (uint32_t)bytes[0] << 8;
	wide = (wide & 0xffffffff) + (wide >> 32);
	wide = (wide & 0xffffffff) + (wide >> 32);
	return (uint32_t)wide;
}

uint16_t frame_sum_fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint32_t frame_sum_pseudo(const uint8_t *head, const struct frame_info *info, uint32_t l4_bytes)
{
	const uint8_t *ip = head + info->l3;
	uint8_t tail[8] = { (uint8_t)(l4_bytes >> 24), (uint8_t)(l4_bytes >> 16), (uint8_t)(l4_bytes >> 8),
			    (uint8_t)l4_bytes, 0, 0, 0, info->protocol };
	uint32_t sum = info->ip_version == 4 ? frame_sum(0, ip + 12, 8) : frame_sum(0, ip + 8, 32);

	return frame_sum(sum, tail, sizeof tail);
}

void frame_tag_insert(uint8_t *frame, uint16_t tci)
{
	memmove(frame - FRAME_TAG_BYTES, frame, (size_t)2 * FRAME_MAC_BYTES);
	frame_put16(frame + 2 * FRAME_MAC_BYTES - FRAME_TAG_BYTES, ETHERTYPE_VLAN);
	frame_put16(frame + 2 * FRAME_MAC_BYTES - FRAME_TAG_BYTES + 2, tci);
}

bool frame_tag_remove(uint8_t *frame, size_t bytes, uint16_t *out_tci)
{
	if (bytes < FRAME_HEADER_BYTES + FRAME_TAG_BYTES || frame_get16(frame + 12) != ETHERTYPE_VLAN)
		return false;
	*out_tci = frame_get16(frame + FRAME_HEADER_BYTES);
	memmove(frame + FRAME_TAG_BYTES, frame, (size_t)2 * FRAME_MAC_BYTES);
	return true;
}

bool frame_is_dhcp_server(const uint8_t *head, size_t head_bytes, const struct frame_info *info)
{
	if (info->is_cut)
		return true;
	if (!info->l4 || info->protocol != FRAME_UDP)
		return false;
	if (head_bytes < info->l4 + 2u)
		return true;
	return frame_get16(head + info->l4) == (info->ip_version == 4 ? DHCP4_SERVER_PORT : DHCP6_SERVER_PORT);
}

bool frame_is_router(const uint8_t *head, size_t head_bytes, const struct frame_info *info)
{
	uint8_t type;

	if (info->is_cut)
		return true;
	if (info->ip_version != 6 || !info->l4 || info->protocol != FRAME_ICMP6)
		return false;
	if (head_bytes < info->l4 + 1u)
		return true;
	type = head[info->l4];
	return type == ICMP6_ROUTER_ADVERTISEMENT || type == ICMP6_REDIRECT;
}
