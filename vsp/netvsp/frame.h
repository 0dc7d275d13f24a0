/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet frames as bytes: where their headers are, checksums, VLAN tags, and what a switch port may refuse. Pure. */
#ifndef VSP_NETVSP_FRAME_H
#define VSP_NETVSP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_MAC_BYTES     6u
#define FRAME_HEADER_BYTES  14u
#define FRAME_TAG_BYTES     4u
/* Enough for Ethernet, two tags, IP with options or extension headers and TCP with options. */
#define FRAME_HEAD_BYTES    256u

#define FRAME_TCP  6u
#define FRAME_UDP  17u
#define FRAME_ICMP6 58u

enum frame_cast { FRAME_UNICAST, FRAME_MULTICAST, FRAME_BROADCAST, FRAME_CAST_COUNT };

struct frame_info {
	uint16_t ethertype;		/* behind the tags */
	uint8_t tags;			/* how many VLAN tags */
	uint8_t ip_version;		/* 4, 6; 0: not IP, or no whole IP header */
	uint8_t protocol;		/* behind IPv6 extension headers; meaningful when l4 */
	bool is_fragment;		/* any fragment, the first one included */
	bool is_cut;			/* IP, but its header chain does not end within the bytes looked at */
	uint16_t l3;			/* offset of the IP header, when ip_version */
	uint16_t l4;			/* offset of the transport header; 0: none here */
	uint16_t l4_bytes;		/* of the transport header and payload, by the IP header; 0: it does not say */
};

/* head: the first head_bytes (at least FRAME_HEADER_BYTES) of a frame. */
void frame_parse(const uint8_t *head, size_t head_bytes, struct frame_info *out);

enum frame_cast frame_cast(const uint8_t *frame);

static inline uint16_t frame_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void frame_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Ones' complement sum; `sum` is 0 or a former result of an even number of bytes. */
uint32_t frame_sum(uint32_t sum, const uint8_t *bytes, size_t count);
/* Folded to 16 bits, not inverted. */
uint16_t frame_sum_fold(uint32_t sum);
/* Of the pseudo header of a parsed IP packet with that many bytes behind its IP header. */
uint32_t frame_sum_pseudo(const uint8_t *head, const struct frame_info *info, uint32_t l4_bytes);

/* Puts an 802.1Q tag behind the addresses: the frame begins FRAME_TAG_BYTES before `frame` then; there is room. */
void frame_tag_insert(uint8_t *frame, uint16_t tci);
/* Takes the outer tag off, if there is one: the frame begins FRAME_TAG_BYTES later then. */
bool frame_tag_remove(uint8_t *frame, size_t bytes, uint16_t *out_tci);

/* What only a DHCP server, and what only a router, sends; and what hides from the question in a long chain. */
bool frame_is_dhcp_server(const uint8_t *head, size_t head_bytes, const struct frame_info *info);
bool frame_is_router(const uint8_t *head, size_t head_bytes, const struct frame_info *info);

#endif
