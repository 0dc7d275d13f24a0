// SPDX-License-Identifier: Apache-2.0
/* Frames as bytes: headers found, sums, tags, guards, hashes of the published examples; RNDIS information to tap and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "netvsp/offload.h"
#include "netvsp/rss.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a builder of frames that knows nothing of frame.c */

struct packet {
	uint8_t bytes[2048];
	size_t count, l3, l4, l4_header;
	int version;
	uint8_t protocol;
};

static void put(struct packet *p, const void *from, size_t count)
{
	memcpy(p->bytes + p->count, from, count);
	p->count += count;
}

static uint16_t plain_sum(const uint8_t *bytes, size_t count, uint32_t sum)
{
	for (size_t i = 0; i < count; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t pseudo(const struct packet *p, size_t l4_bytes)
{
	uint32_t sum = p->protocol + (uint32_t)l4_bytes;

	return p->version == 4 ? sum + plain_sum(p->bytes + p->l3 + 12, 8, 0) : sum + plain_sum(p->bytes + p->l3 + 8, 32, 0);
}

/* Right checksums everywhere. options: bytes of IPv4 options, or of IPv6 destination options (multiple of 8). */
static struct packet make(int version, uint8_t protocol, unsigned tags, size_t options, size_t payload)
{
	static const uint8_t macs[12] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2 };
	static const uint8_t tag[4] = { 0x81, 0x00, 0x60, 0x2a };
	static const uint8_t addresses[32] = { 0x20, 0x01, 0xd, 0xb8, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
					       0x20, 0x01, 0xd, 0xb8, 9, 9, 9, 9, 9, 10, 11, 12, 13, 14, 15, 17 };
	struct packet p = { .version = version, .protocol = protocol };
	size_t l4_bytes;
	uint16_t sum;

	put(&p, macs, sizeof macs);
	for (unsigned i = 0; i < tags; i++)
		put(&p, tag, sizeof tag);
	put(&p, version == 4 ? "\x08\x00" : "\x86\xdd", 2);
	p.l3 = p.count;
	p.l4_header = protocol == FRAME_TCP ? 32 : 8;
	l4_bytes = p.l4_header + payload;
	if (version == 4) {
		uint8_t ip[60] = { (uint8_t)(0x40 | (20 + options) / 4), 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, protocol, 0, 0,
				   10, 1, 2, 3, 10, 1, 2, 4 };

		frame_put16(ip + 2, (uint16_t)(20 + options + l4_bytes));
		frame_put16(ip + 10, (uint16_t)~plain_sum(ip, 20 + options, 0));
		put(&p, ip, 20 + options);
	} else {
		uint8_t ip[40] = { 0x60, 0, 0, 0, 0, 0, options ? 60 : protocol, 64 };
		uint8_t extension[64] = { protocol, (uint8_t)(options / 8 - 1), 1, (uint8_t)(options - 4) };

		frame_put16(ip + 4, (uint16_t)(options + l4_bytes));
		memcpy(ip + 8, addresses, 32);
		put(&p, ip, 40);
		put(&p, extension, options);
	}
	p.l4 = p.count;
	for (size_t i = 0; i < l4_bytes; i++)
		p.bytes[p.count++] = (uint8_t)(i * 37 + 11);
	if (protocol == FRAME_TCP)
		p.bytes[p.l4 + 12] = 0x80;
	else
		frame_put16(p.bytes + p.l4 + 4, (uint16_t)l4_bytes);
	frame_put16(p.bytes + p.l4 + (protocol == FRAME_TCP ? 16 : 6), 0);
	sum = (uint16_t)~plain_sum(p.bytes + p.l4, l4_bytes, pseudo(&p, l4_bytes));
	frame_put16(p.bytes + p.l4 + (protocol == FRAME_TCP ? 16 : 6), sum);
	return p;
}

static size_t sum_field(const struct packet *p)
{
	return p->l4 + (p->protocol == FRAME_TCP ? 16 : 6);
}

static const struct kind {
	int version;
	uint8_t protocol;
	unsigned tags;
	size_t options;
} kinds[] = {
	{ 4, FRAME_TCP, 0, 0 }, { 4, FRAME_UDP, 0, 0 }, { 6, FRAME_TCP, 0, 0 }, { 6, FRAME_UDP, 0, 0 },
	{ 4, FRAME_TCP, 1, 12 }, { 4, FRAME_UDP, 2, 40 }, { 6, FRAME_TCP, 1, 8 }, { 6, FRAME_UDP, 1, 24 },
};

static struct packet make_kind(const struct kind *kind, size_t payload)
{
	return make(kind->version, kind->protocol, kind->tags, kind->options, payload);
}

static void headers_are_found(void **state)
{
	for (unsigned i = 0; i < COUNT(kinds); i++) {
		struct packet p = make_kind(&kinds[i], 100);
		struct frame_info info;

		frame_parse(p.bytes, p.count, &info);
		assert_int_equal(info.ip_version, kinds[i].version);
		assert_int_equal(info.protocol, kinds[i].protocol);
		assert_int_equal(info.tags, kinds[i].tags);
		assert_int_equal(info.l3, p.l3);
		assert_int_equal(info.l4, p.l4);
		assert_int_equal(info.l4_bytes, p.count - p.l4);
		assert_false(info.is_fragment);
		assert_false(info.is_cut);
	}
}

/* Every prefix of every kind, in memory of exactly that size: a sanitizer watches. */
static void no_prefix_is_read_beyond_its_end(void **state)
{
	for (unsigned i = 0; i < COUNT(kinds); i++) {
		struct packet p = make_kind(&kinds[i], 20);

		for (size_t bytes = FRAME_HEADER_BYTES; bytes <= p.count; bytes++) {
			struct virtio_net_hdr_v1 header = { 0 };
			const struct offload_tx tx = { .has_lso = true, .lso_is_ipv6 = p.version == 6, .mss = 100 };
			const struct offload_tx sums = { .tcp_checksum = true, .ip_checksum = p.version == 4 };
			const struct offload_rx_wanted wanted = { true, true, true, true, true };
			uint8_t *copy = malloc(bytes);
			struct offload_rx rx;
			struct frame_info info;

			memcpy(copy, p.bytes, bytes);
			frame_parse(copy, bytes, &info);
			assert_true(info.l4 < bytes);
			(void)frame_is_dhcp_server(copy, bytes, &info);
			(void)frame_is_router(copy, bytes, &info);
			(void)offload_tx_apply(&tx, copy, bytes, p.count, &info, &header);
			(void)offload_tx_apply(&sums, copy, bytes, p.count, &info, &header);
			(void)offload_rx_apply(&(struct virtio_net_hdr_v1){ .flags = 2 }, copy, bytes, &info, &wanted, &rx);
			free(copy);
		}
	}
}

static void random_bytes_behind_an_ethertype_do_no_harm(void **state)
{
	srandom(7);
	for (unsigned i = 0; i < 200000; i++) {
		size_t bytes = FRAME_HEADER_BYTES + (size_t)random() % 200;
		uint8_t *copy = malloc(bytes);
		struct rss rss = { .is_on = true, .hash = 0x1701, .table_count = 1 };
		struct virtio_net_hdr_v1 header = { .flags = 1, .csum_start = (uint16_t)(random() % 300),
						    .csum_offset = (uint16_t)(random() % 40) };
		const struct offload_rx_wanted wanted = { true, true, true, true, true };
		struct offload_tx tx = { .mss = 1000 };
		struct frame_info info;
		struct offload_rx rx;
		uint32_t hash;

		for (size_t k = 0; k < bytes; k++)
			copy[k] = (uint8_t)random();
		frame_put16(copy + 12, random() % 2 ? 0x0800 : 0x86dd);
		if (random() % 4 == 0)
			frame_put16(copy + 12, 0x8100);
		if (bytes > 20) {
			copy[14] = (uint8_t)((random() % 2 ? 0x40 : 0x60) | (copy[14] & 0xf));
			copy[20] = (uint8_t[]){ 0, 43, 44, 51, 60, 6, 17, 58 }[random() % 8];
		}
		frame_parse(copy, bytes, &info);
		tx.has_lso = random() % 2;
		tx.lso_is_ipv6 = random() % 2;
		tx.tcp_checksum = random() % 2;
		tx.ip_checksum = random() % 2;
		tx.transport_offset = (uint16_t)(random() % 1024);
		(void)offload_rx_apply(&header, copy, bytes, &info, &wanted, &rx);
		(void)offload_tx_apply(&tx, copy, bytes, bytes + 1000, &info, &header);
		(void)frame_is_dhcp_server(copy, bytes, &info);
		(void)frame_is_router(copy, bytes, &info);
		(void)rss_hash(&rss, copy, bytes, &info, &hash);
		free(copy);
	}
}

static void sums_agree_with_the_plain_way(void **state)
{
	uint8_t bytes[67];

	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(255 - i * 3);
	for (size_t count = 0; count <= sizeof bytes; count++)
		assert_int_equal(frame_sum_fold(frame_sum(0, bytes, count)), plain_sum(bytes, count, 0));
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(frame_sum_fold(frame_sum(0xffffffff, bytes, 64)), 0xffff);
}

/* RFC 1071 */
static void the_example_of_the_rfc(void **state)
{
	static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };

	assert_int_equal(frame_sum_fold(frame_sum(0, bytes, sizeof bytes)), 0xddf2);
}

/* ---- guest to tap */

static size_t ppi_put(uint8_t *to, uint32_t type, uint32_t word)
{
	const struct rndis_ppi entry = { 16, type, 12 };

	memcpy(to, &entry, sizeof entry);
	memcpy(to + 12, &word, 4);
	return 16;
}

static void information_is_decoded(void **state)
{
	uint8_t ppi[128];
	struct offload_tx tx;
	size_t bytes = 0;

	bytes += ppi_put(ppi + bytes, RNDIS_PPI_HASH, 0x12345678);
	bytes += ppi_put(ppi + bytes, RNDIS_PPI_VLAN, 5 | 1 << 3 | 0x123 << 4);
	bytes += ppi_put(ppi + bytes, RNDIS_PPI_CHECKSUM, 0x1 | 0x4 | 0x10 | 34 << 16);
	bytes += ppi_put(ppi + bytes, 0x80000001, 1);
	assert_int_equal(offload_tx_decode(ppi, bytes, &tx), 0);
	assert_true(tx.tcp_checksum && tx.ip_checksum && tx.has_tag);
	assert_false(tx.udp_checksum || tx.has_lso);
	assert_int_equal(tx.transport_offset, 34);
	assert_int_equal(tx.tci, 5 << 13 | 1 << 12 | 0x123);
	assert_int_equal(RNDIS_VLAN_FROM_TCI(tx.tci), 5 | 1 << 3 | 0x123 << 4);
	bytes = ppi_put(ppi, RNDIS_PPI_LSO, 1448 | 54u << 20 | RNDIS_LSO_V2 | RNDIS_LSO_IPV6);
	assert_int_equal(offload_tx_decode(ppi, bytes, &tx), 0);
	assert_true(tx.has_lso && tx.lso_is_ipv6);
	assert_int_equal(tx.mss, 1448);
	assert_int_equal(offload_tx_decode(ppi, 0, &tx), 0);
	assert_false(tx.has_lso);
}

static void a_broken_chain_is_refused(void **state)
{
	static const struct rndis_ppi bad[] = {
		{ 0, 0, 12 }, { 11, 0, 12 }, { 17, 0, 12 }, { 0xffffffff, 0, 12 }, { 16, 0, 0 }, { 16, 0, 11 }, { 16, 0, 17 },
		{ 16, 0, 0xffffffff },
	};
	struct offload_tx tx;
	uint8_t ppi[32];

	for (unsigned i = 0; i < COUNT(bad); i++) {
		(void)ppi_put(ppi, 0, 0);
		memcpy(ppi, &bad[i], sizeof bad[i]);
		assert_int_equal(offload_tx_decode(ppi, 16, &tx), -EPROTO);
	}
	(void)ppi_put(ppi, 0, 0);
	for (size_t bytes = 1; bytes < 16; bytes++)
		assert_int_equal(offload_tx_decode(ppi, bytes, &tx), -EPROTO);
	(void)ppi_put(ppi + 16, 0, 0);
	assert_int_equal(offload_tx_decode(ppi, 27, &tx), -EPROTO);
	/* An entry without data says nothing, which is not wrong. */
	memcpy(ppi, &(struct rndis_ppi){ 12, RNDIS_PPI_LSO, 12 }, 12);
	assert_int_equal(offload_tx_decode(ppi, 12, &tx), 0);
	assert_false(tx.has_lso);
}

/* What the tap's kernel makes of NEEDS_CSUM */
static void finish(struct packet *p, const struct virtio_net_hdr_v1 *header)
{
	size_t start = header->csum_start;

	assert_int_equal(header->flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	frame_put16(p->bytes + start + header->csum_offset,
		    (uint16_t)~plain_sum(p->bytes + start, p->count - start, 0));
}

static void a_checksum_is_left_to_the_tap(void **state)
{
	for (unsigned i = 0; i < COUNT(kinds) * 2; i++) {
		const struct kind *kind = &kinds[i / 2];
		struct packet p = make_kind(kind, 333), right = p;
		struct offload_tx tx = { .tcp_checksum = kind->protocol == FRAME_TCP,
					 .udp_checksum = kind->protocol == FRAME_UDP, .ip_checksum = kind->version == 4,
					 .transport_offset = i % 2 ? (uint16_t)p.l4 : 0 };
		struct virtio_net_hdr_v1 header;
		struct frame_info info;

		frame_put16(p.bytes + sum_field(&p), plain_sum(NULL, 0, pseudo(&p, p.count - p.l4)));
		if (kind->version == 4)
			frame_put16(p.bytes + p.l3 + 10, 0xdead);
		frame_parse(p.bytes, p.count, &info);
		assert_int_equal(offload_tx_apply(&tx, p.bytes, p.count < 256 ? p.count : 256, p.count, &info, &header), 0);
		assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		assert_int_equal(header.csum_start, p.l4);
		finish(&p, &header);
		assert_memory_equal(p.bytes, right.bytes, p.count);
	}
}

static void checksum_offsets_stay_inside(void **state)
{
	struct packet p = make(4, FRAME_TCP, 0, 0, 0);
	struct virtio_net_hdr_v1 header;
	struct offload_tx tx = { .tcp_checksum = true };
	struct frame_info info;

	frame_parse(p.bytes, p.count, &info);
	for (unsigned offset = 1; offset < 1024; offset++) {
		tx.transport_offset = (uint16_t)offset;
		assert_int_equal(offload_tx_apply(&tx, p.bytes, p.count, p.count, &info, &header),
				 offset >= 14 && offset + 18 <= p.count ? 0 : -EINVAL);
	}
	tx = (struct offload_tx){ .tcp_checksum = true, .udp_checksum = true };
	assert_int_equal(offload_tx_apply(&tx, p.bytes, p.count, p.count, &info, &header), -EINVAL);
	frame_put16(p.bytes + 12, 0x0806);
	frame_parse(p.bytes, p.count, &info);
	tx = (struct offload_tx){ .tcp_checksum = true };
	assert_int_equal(offload_tx_apply(&tx, p.bytes, p.count, p.count, &info, &header), -EINVAL);
	tx = (struct offload_tx){ .ip_checksum = true };
	assert_int_equal(offload_tx_apply(&tx, p.bytes, p.count, p.count, &info, &header), -EINVAL);
	tx = (struct offload_tx){ .has_tag = true };
	assert_int_equal(offload_tx_apply(&tx, p.bytes, p.count, p.count, &info, &header), 0);
	assert_int_equal(header.flags, 0);
}

/* Segments as a kernel makes them from the result, each with right sums: then the whole thing was right. */
static void check_segments(const struct packet *p, const struct virtio_net_hdr_v1 *header)
{
	size_t payload_at = header->hdr_len, length_at = p->version == 4 ? p->l3 + 2 : p->l3 + 4;

	assert_int_equal(payload_at, p->l4 + p->l4_header);
	assert_int_equal(header->csum_start, p->l4);
	assert_int_equal(header->csum_offset, 16);
	assert_int_equal(frame_get16(p->bytes + length_at), p->count - p->l3 - (p->version == 4 ? 0 : 40));
	/* The field: a pseudo header with the whole length, not inverted. */
	assert_int_equal(frame_get16(p->bytes + sum_field(p)), plain_sum(NULL, 0, pseudo(p, p->count - p->l4)));
	if (p->version == 4)
		assert_int_equal(plain_sum(p->bytes + p->l3, p->l4 - p->l3, 0), 0xffff);
}

static void a_long_frame_is_left_to_the_tap(void **state)
{
	for (unsigned i = 0; i < COUNT(kinds); i++) {
		const struct kind *kind = &kinds[i];
		struct packet p = make_kind(kind, 1800);
		const struct offload_tx tx = { .has_lso = true, .lso_is_ipv6 = kind->version == 6, .mss = 500 };
		struct virtio_net_hdr_v1 header;
		struct frame_info info;
		int r;

		/* As Linux sends it: no lengths, and the pseudo header's sum without one. */
		frame_put16(p.bytes + p.l3 + (kind->version == 4 ? 2 : 4), 0);
		if (kind->version == 4)
			frame_put16(p.bytes + p.l3 + 10, 0);
		frame_put16(p.bytes + sum_field(&p), plain_sum(NULL, 0, pseudo(&p, 0)));
		p.bytes[p.l4 + 13] = i % 2 ? 0x18 : 0x98;
		frame_parse(p.bytes, 256, &info);
		r = offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header);
		if (kind->protocol != FRAME_TCP) {
			assert_int_equal(r, -EINVAL);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(header.gso_type, (kind->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6) |
						  (i % 2 ? 0 : VIRTIO_NET_HDR_GSO_ECN));
		assert_int_equal(header.gso_size, 500);
		check_segments(&p, &header);
	}
}

static void one_segment_is_no_long_frame(void **state)
{
	struct packet p = make(4, FRAME_TCP, 0, 0, 500), right = p;
	const struct offload_tx tx = { .has_lso = true, .mss = 500 };
	struct virtio_net_hdr_v1 header;
	struct frame_info info;

	frame_put16(p.bytes + p.l3 + 2, 0);
	frame_parse(p.bytes, p.count, &info);
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header), 0);
	assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	finish(&p, &header);
	assert_memory_equal(p.bytes, right.bytes, p.count);
}

static void nonsense_about_long_frames_is_refused(void **state)
{
	struct packet p = make(4, FRAME_TCP, 0, 0, 1000);
	struct offload_tx tx = { .has_lso = true, .mss = 500 };
	struct virtio_net_hdr_v1 header;
	struct frame_info info;

	frame_parse(p.bytes, 256, &info);
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header), 0);
	for (unsigned mss = 0; mss < OFFLOAD_MSS_MIN; mss++) {
		tx.mss = mss;
		assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header), -EINVAL);
	}
	tx.mss = 0x10000;
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header), -EINVAL);
	tx.mss = 500;
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, 14 + 65535, &info, &header), 0);
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, 14 + 65536, &info, &header), -EINVAL);
	/* no payload, header beyond the head, header too short, wrong version, a fragment */
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 66, 66, &info, &header), -EINVAL);
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 65, p.count, &info, &header), -EINVAL);
	p.bytes[p.l4 + 12] = 0x40;
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header), -EINVAL);
	p.bytes[p.l4 + 12] = 0x80;
	tx.lso_is_ipv6 = true;
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header), -EINVAL);
	tx.lso_is_ipv6 = false;
	p.bytes[p.l3 + 6] = 0x20;
	frame_parse(p.bytes, 256, &info);
	assert_true(info.is_fragment);
	assert_int_equal(offload_tx_apply(&tx, p.bytes, 256, p.count, &info, &header), -EINVAL);
}

/* ---- tap to guest */

static const struct offload_rx_wanted all = { true, true, true, true, true };

static void a_sum_left_to_us_is_completed(void **state)
{
	for (unsigned i = 0; i < COUNT(kinds); i++) {
		struct packet p = make_kind(&kinds[i], 77), right = p;
		const struct virtio_net_hdr_v1 header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = (uint16_t)p.l4,
							  .csum_offset = (uint16_t)(sum_field(&p) - p.l4) };
		struct frame_info info;
		struct offload_rx rx;

		frame_put16(p.bytes + sum_field(&p), plain_sum(NULL, 0, pseudo(&p, p.count - p.l4)));
		frame_parse(p.bytes, p.count, &info);
		assert_int_equal(offload_rx_apply(&header, p.bytes, p.count, &info, &all, &rx), 0);
		assert_memory_equal(p.bytes, right.bytes, p.count);
		assert_int_equal(rx.checksum, (kinds[i].protocol == FRAME_TCP ? RNDIS_CHECKSUM_RX_TCP_GOOD
									     : RNDIS_CHECKSUM_RX_UDP_GOOD) |
					      (kinds[i].version == 4 ? RNDIS_CHECKSUM_RX_IP_GOOD : 0));
	}
}

static void what_the_tap_knows_is_told(void **state)
{
	struct virtio_net_hdr_v1 header = { .flags = VIRTIO_NET_HDR_F_DATA_VALID };
	struct packet p = make(4, FRAME_UDP, 0, 0, 50);
	struct offload_rx_wanted wanted = all;
	struct frame_info info;
	struct offload_rx rx;

	frame_parse(p.bytes, p.count, &info);
	assert_int_equal(offload_rx_apply(&header, p.bytes, p.count, &info, &wanted, &rx), 0);
	assert_int_equal(rx.checksum, RNDIS_CHECKSUM_RX_UDP_GOOD | RNDIS_CHECKSUM_RX_IP_GOOD);
	wanted.udp4 = false;
	assert_int_equal(offload_rx_apply(&header, p.bytes, p.count, &info, &wanted, &rx), 0);
	assert_int_equal(rx.checksum, RNDIS_CHECKSUM_RX_IP_GOOD);
	header.flags = 0;
	wanted = all;
	p.bytes[p.l3 + 8]--;
	assert_int_equal(offload_rx_apply(&header, p.bytes, p.count, &info, &wanted, &rx), 0);
	assert_int_equal(rx.checksum, RNDIS_CHECKSUM_RX_IP_FAILED);
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	assert_int_equal(offload_rx_apply(&header, p.bytes, p.count, &info, &all, &rx), -EINVAL);
	header = (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff };
	assert_int_equal(offload_rx_apply(&header, p.bytes, p.count, &info, &all, &rx), -EINVAL);
	header.csum_start = (uint16_t)p.count;
	header.csum_offset = 0;
	assert_int_equal(offload_rx_apply(&header, p.bytes, p.count, &info, &all, &rx), -EINVAL);
}

static void information_is_encoded(void **state)
{
	static const uint8_t expected[48] = {
		16, 0, 0, 0, 6, 0, 0, 0, 12, 0, 0, 0, 0x3d, 0x12, 0, 0,
		16, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0x28, 0, 0, 0,
		16, 0, 0, 0, 8, 0, 0, 0, 12, 0, 0, 0, 0x78, 0x56, 0x34, 0x12,
	};
	const struct offload_rx rx = { 0x28, true, true, 5 << 13 | 1 << 12 | 0x123, 0x12345678 }, none = { 0 };
	uint8_t ppi[OFFLOAD_RX_PPI_BYTES_MAX];

	assert_int_equal(offload_rx_encode(&rx, ppi), sizeof expected);
	assert_memory_equal(ppi, expected, sizeof expected);
	assert_int_equal(offload_rx_encode(&none, ppi), 0);
}

static void tags_go_in_and_out(void **state)
{
	struct packet p = make(4, FRAME_UDP, 0, 0, 10), tagged = make(4, FRAME_UDP, 1, 0, 10);
	uint8_t room[4 + 2048];
	uint16_t tci;

	memcpy(room + 4, p.bytes, p.count);
	frame_tag_insert(room + 4, 0x602a);
	assert_memory_equal(room, tagged.bytes, tagged.count);
	assert_true(frame_tag_remove(room, tagged.count, &tci));
	assert_int_equal(tci, 0x602a);
	assert_memory_equal(room + 4, p.bytes, p.count);
	assert_false(frame_tag_remove(room + 4, p.count, &tci));
	assert_false(frame_tag_remove(room, 17, &tci));
}

/* ---- guards */

static bool guarded(const struct packet *p, bool (*question)(const uint8_t *, size_t, const struct frame_info *))
{
	struct frame_info info;

	frame_parse(p->bytes, p->count, &info);
	return question(p->bytes, p->count, &info);
}

static void servers_and_routers_are_known(void **state)
{
	for (unsigned tags = 0; tags < 3; tags++) {
		struct packet p = make(4, FRAME_UDP, tags, 8, 300);

		frame_put16(p.bytes + p.l4, 68);
		assert_false(guarded(&p, frame_is_dhcp_server));
		frame_put16(p.bytes + p.l4, 67);
		assert_true(guarded(&p, frame_is_dhcp_server));
		p = make(6, FRAME_UDP, tags, 16, 100);
		frame_put16(p.bytes + p.l4, 546);
		assert_false(guarded(&p, frame_is_dhcp_server));
		frame_put16(p.bytes + p.l4, 547);
		assert_true(guarded(&p, frame_is_dhcp_server));
		p = make(6, FRAME_ICMP6, tags, 8, 40);
		for (unsigned type = 0; type < 256; type++) {
			p.bytes[p.l4] = (uint8_t)type;
			assert_int_equal(guarded(&p, frame_is_router), type == 134 || type == 137);
		}
	}
	assert_true(guarded(&(struct packet){ .bytes = { [12] = 0x86, 0xdd, 0x60 }, .count = 40 }, frame_is_router));
	assert_false(guarded(&(struct packet){ .bytes = { [12] = 0x08, 0x06 }, .count = 42 }, frame_is_router));
}

/* ---- hash: the examples that the Toeplitz documentation of NDIS gives */

static const uint8_t key[NDIS_RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static void the_published_hashes(void **state)
{
	static const struct {
		uint8_t input[12];
		uint32_t with_ports, without;
	} examples[] = {
		{ { 66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6 }, 0x51ccc178, 0x323e8fc2 },
		{ { 199, 92, 111, 2, 65, 69, 140, 83, 0x37, 0x96, 0x12, 0x83 }, 0xc626b0ea, 0xd718262a },
		{ { 24, 19, 198, 95, 12, 22, 207, 184, 0x32, 0x62, 0x94, 0x88 }, 0x5c2b394a, 0xd2d0a5de },
		{ { 38, 27, 205, 30, 209, 142, 163, 6, 0xbc, 0x64, 0x08, 0xa9 }, 0xafc7327f, 0x82989176 },
		{ { 153, 39, 163, 191, 202, 188, 127, 2, 0xac, 0xdb, 0x05, 0x17 }, 0x10e828a2, 0x5d1809c5 },
	};
	static struct rss rss;

	rss_key_set(&rss, key);
	for (unsigned i = 0; i < COUNT(examples); i++) {
		struct packet p = make(4, FRAME_TCP, i % 3, 0, 10);
		struct frame_info info;
		uint32_t hash;

		assert_int_equal(rss_toeplitz(&rss, examples[i].input, 12), examples[i].with_ports);
		assert_int_equal(rss_toeplitz(&rss, examples[i].input, 8), examples[i].without);
		memcpy(p.bytes + p.l3 + 12, examples[i].input, 8);
		memcpy(p.bytes + p.l4, examples[i].input + 8, 4);
		frame_parse(p.bytes, p.count, &info);
		rss.is_on = true;
		rss.hash = NDIS_HASH_TOEPLITZ | NDIS_HASH_TCP_IPV4 | NDIS_HASH_IPV4;
		assert_true(rss_hash(&rss, p.bytes, p.count, &info, &hash));
		assert_int_equal(hash, examples[i].with_ports);
		rss.hash = NDIS_HASH_TOEPLITZ | NDIS_HASH_IPV4;
		assert_true(rss_hash(&rss, p.bytes, p.count, &info, &hash));
		assert_int_equal(hash, examples[i].without);
		rss.hash = NDIS_HASH_TOEPLITZ | NDIS_HASH_TCP_IPV6 | NDIS_HASH_IPV6;
		assert_false(rss_hash(&rss, p.bytes, p.count, &info, &hash));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_found),
		cmocka_unit_test(no_prefix_is_read_beyond_its_end),
		cmocka_unit_test(random_bytes_behind_an_ethertype_do_no_harm),
		cmocka_unit_test(sums_agree_with_the_plain_way),
		cmocka_unit_test(the_example_of_the_rfc),
		cmocka_unit_test(information_is_decoded),
		cmocka_unit_test(a_broken_chain_is_refused),
		cmocka_unit_test(a_checksum_is_left_to_the_tap),
		cmocka_unit_test(checksum_offsets_stay_inside),
		cmocka_unit_test(a_long_frame_is_left_to_the_tap),
		cmocka_unit_test(one_segment_is_no_long_frame),
		cmocka_unit_test(nonsense_about_long_frames_is_refused),
		cmocka_unit_test(a_sum_left_to_us_is_completed),
		cmocka_unit_test(what_the_tap_knows_is_told),
		cmocka_unit_test(information_is_encoded),
		cmocka_unit_test(tags_go_in_and_out),
		cmocka_unit_test(servers_and_routers_are_known),
		cmocka_unit_test(the_published_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
