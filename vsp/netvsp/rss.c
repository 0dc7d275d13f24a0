// SPDX-License-Identifier: Apache-2.0
#include "netvsp/rss.h"

#include <string.h>

/* 32 bits of the key from a bit on */
static uint32_t key_window(const uint8_t key[NDIS_RSS_KEY_BYTES], unsigned bit)
{
	uint64_t five = 0;

	for (unsigned i = 0; i < 5; i++)
		five = five << 8 | (bit / 8 + i < NDIS_RSS_KEY_BYTES ? key[bit / 8 + i] : 0);
	return (uint32_t)(five >> (8 - bit % 8));
}

void rss_key_set(struct rss *rss, const uint8_t key[NDIS_RSS_KEY_BYTES])
{
	memcpy(rss->key, key, NDIS_RSS_KEY_BYTES);
	for (unsigned i = 0; i < 2 * RSS_INPUT_BYTES_MAX; i++) {
		for (unsigned value = 0; value < 16; value++) {
			uint32_t sum = 0;

			for (unsigned bit = 0; bit < 4; bit++)
				if (value & 8u >> bit)
					sum ^= key_window(key, 4 * i + bit);
			rss->part[i][value] = sum;
		}
	}
}

uint32_t rss_toeplitz(const struct rss *rss, const uint8_t *input, size_t bytes)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < bytes; i++)
		hash ^= rss->part[2 * i][input[i] >> 4] ^ rss->part[2 * i + 1][input[i] & 0xf];
	return hash;
}

bool rss_hash(const struct rss *rss, const uint8_t *head, size_t head_bytes, const struct frame_info *info,
	      uint32_t *out_hash)
{
	bool is_ipv4 = info->ip_version == 4;
	size_t bytes = is_ipv4 ? 8 : 32;
	uint8_t input[RSS_INPUT_BYTES_MAX];

	if (!rss->is_on || !info->ip_version)
		return false;
	memcpy(input, head + info->l3 + (is_ipv4 ? 12 : 8), bytes);
	if (info->protocol == FRAME_TCP && info->l4 && !info->is_fragment && head_bytes >= info->l4 + 4u &&
	    rss->hash & (is_ipv4 ? NDIS_HASH_TCP_IPV4 : NDIS_HASH_TCP_IPV6)) {
		memcpy(input + bytes, head + info->l4, 4);
		bytes += 4;
	} else if (!(rss->hash & (is_ipv4 ? NDIS_HASH_IPV4 : NDIS_HASH_IPV6))) {
		return false;
	}
	*out_hash = rss_toeplitz(rss, input, bytes);
	return true;
}

static bool is_within(uint32_t offset, uint32_t count, size_t bytes)
{
	return offset >= sizeof(struct ndis_rss_parameters) && offset <= bytes && count <= bytes - offset;
}

static uint32_t table_read(const uint8_t *from, unsigned count, unsigned channels, uint8_t table[NDIS_RSS_TABLE_MAX])
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t channel;

		memcpy(&channel, from + (size_t)4 * i, 4);
		if (channel >= channels)
			return NDIS_STATUS_INVALID_DATA;
		table[i] = (uint8_t)channel;
	}
	return NDIS_STATUS_SUCCESS;
}

uint32_t rss_set(struct rss *rss, const uint8_t *parameters, size_t bytes, unsigned channels)
{
	uint8_t table[NDIS_RSS_TABLE_MAX];
	struct ndis_rss_parameters p;
	bool takes_table, takes_key;

	if (bytes < sizeof p)
		return NDIS_STATUS_INVALID_LENGTH;
	memcpy(&p, parameters, sizeof p);
	if (p.header.type != NDIS_OBJECT_RSS_PARAMETERS)
		return NDIS_STATUS_INVALID_DATA;
	if (p.flags & NDIS_RSS_DISABLE || (!(p.flags & NDIS_RSS_KEEP_HASH) && p.hash == 0)) {
		rss->is_on = false;
		return NDIS_STATUS_SUCCESS;
	}
	takes_table = !(p.flags & NDIS_RSS_KEEP_TABLE);
	takes_key = !(p.flags & NDIS_RSS_KEEP_KEY);
	if (takes_table) {
		uint32_t status;

		if (p.table_bytes == 0 || p.table_bytes % 4 || p.table_bytes / 4 > NDIS_RSS_TABLE_MAX ||
		    !is_within(p.table_offset, p.table_bytes, bytes))
			return NDIS_STATUS_INVALID_LENGTH;
		status = table_read(parameters + p.table_offset, p.table_bytes / 4u, channels, table);
		if (status)
			return status;
	} else if (rss->table_count == 0) {
		return NDIS_STATUS_INVALID_DATA;
	}
	if (takes_key && (p.key_bytes != NDIS_RSS_KEY_BYTES || !is_within(p.key_offset, p.key_bytes, bytes)))
		return NDIS_STATUS_INVALID_LENGTH;
	if (!(p.flags & NDIS_RSS_KEEP_HASH)) {
		if ((p.hash & NDIS_HASH_FUNCTION_MASK) != NDIS_HASH_TOEPLITZ)
			return NDIS_STATUS_INVALID_DATA;
		rss->hash = p.hash;
	}
	if (takes_table) {
		rss->table_count = p.table_bytes / 4u;
		memcpy(rss->table, table, rss->table_count);
	}
	if (takes_key)
		rss_key_set(rss, parameters + p.key_offset);
	rss->is_on = true;
	return NDIS_STATUS_SUCCESS;
}
