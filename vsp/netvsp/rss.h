/* SPDX-License-Identifier: Apache-2.0 */
/* Receive side scaling: the guest's key and table, and the Toeplitz hash of a frame under them. Pure. */
#ifndef VSP_NETVSP_RSS_H
#define VSP_NETVSP_RSS_H

#include "netvsp/frame.h"
#include "vmbus/netvsc.h"

#define RSS_INPUT_BYTES_MAX 36u		/* two IPv6 addresses, two ports */

struct rss {
	bool is_on;
	uint32_t hash;			/* function and types, as in ndis_rss_parameters */
	unsigned table_count;
	uint8_t table[NDIS_RSS_TABLE_MAX];	/* channel of a hash value */
	uint8_t key[NDIS_RSS_KEY_BYTES];
	uint32_t part[2 * RSS_INPUT_BYTES_MAX][16];	/* what each value of each half byte adds to the hash */
};

/* From OID_GEN_RECEIVE_SCALE_PARAMETERS; channels: how many there are. NDIS_STATUS_...; no success, no change. */
uint32_t rss_set(struct rss *rss, const uint8_t *parameters, size_t bytes, unsigned channels);

void rss_key_set(struct rss *rss, const uint8_t key[NDIS_RSS_KEY_BYTES]);
uint32_t rss_toeplitz(const struct rss *rss, const uint8_t *input, size_t bytes);

/* Whether the frame has a hash under the types that are on. */
bool rss_hash(const struct rss *rss, const uint8_t *head, size_t head_bytes, const struct frame_info *info,
	      uint32_t *out_hash);

#endif
