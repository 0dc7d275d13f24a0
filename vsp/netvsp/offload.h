/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Per-packet information of RNDIS on the one side, virtio_net_hdr of a tap on the other. Pure: bytes in, bytes out.
 * Which headers a frame has is taken from the frame, not from what the guest says about it.
 */
#ifndef VSP_NETVSP_OFFLOAD_H
#define VSP_NETVSP_OFFLOAD_H

#include <linux/virtio_net.h>

#include "netvsp/frame.h"
#include "vmbus/netvsc.h"

/* What we promise: a segmented frame with its headers stays below 64 KiB. */
#define OFFLOAD_LSO_BYTES_MAX 0xf53cu
/* Linux' own floor of a segment less its options; fewer bytes make more segments than their sender could mean. */
#define OFFLOAD_MSS_MIN       8u

/* What the guest asks for one frame */
struct offload_tx {
	bool tcp_checksum, udp_checksum, ip_checksum;
	bool has_lso, lso_is_ipv6;
	bool has_tag;
	uint16_t tci;
	uint16_t transport_offset;	/* 0: not said */
	uint32_t mss;
};

/* 0; -EPROTO the chain is broken. */
int offload_tx_decode(const uint8_t *ppi, size_t bytes, struct offload_tx *out);

/*
 * head: the first head_bytes of a frame of frame_bytes; info: of head. Completes the headers where the guest leaves
 * lengths and sums to the offload, and says in *out what the tap has to do. The tag is not looked at.
 * 0; -EINVAL the frame is not what the guest says.
 */
int offload_tx_apply(const struct offload_tx *tx, uint8_t *head, size_t head_bytes, size_t frame_bytes,
		     const struct frame_info *info, struct virtio_net_hdr_v1 *out);

/* What the guest wants to be told about received frames; it may turn off each. */
struct offload_rx_wanted {
	bool ip4, tcp4, udp4, tcp6, udp6;
};

/* What is told with one frame */
struct offload_rx {
	uint32_t checksum;		/* RNDIS_CHECKSUM_RX_...; 0: nothing to tell */
	bool has_tag, has_hash;
	uint16_t tci;
	uint32_t hash;
};
#define OFFLOAD_RX_PPI_BYTES_MAX (3u * (sizeof(struct rndis_ppi) + 4))

/*
 * Completes a sum that the sender left to the receiver, and finds what can be said about checksums.
 * 0; -EINVAL the header does not fit the frame, or it is a frame yet to be segmented.
 */
int offload_rx_apply(const struct virtio_net_hdr_v1 *header, uint8_t *frame, size_t bytes,
		     const struct frame_info *info, const struct offload_rx_wanted *wanted, struct offload_rx *out);

/* The chain, at most OFFLOAD_RX_PPI_BYTES_MAX. Its length. */
size_t offload_rx_encode(const struct offload_rx *rx, uint8_t *to);

#endif
