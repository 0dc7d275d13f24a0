/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one adapter and what its parts call each other for:
 *
 *   netvsp.c  life cycle, the turn of a queue     nvsp.c   NVSP messages
 *   rndis.c   RNDIS control, replies, indications  oid.c    one row per OID
 *   tx.c      guest to tap                         rx.c     tap to guest, sections of the receive buffer
 */
#ifndef VSP_NETVSP_NIC_H
#define VSP_NETVSP_NIC_H

#include "netvsp/guest_buffer.h"
#include "netvsp/netvsp.h"
#include "netvsp/offload.h"
#include "netvsp/rss.h"

#define NIC_SEND_SECTION_BYTES 6144u	/* of the send buffer */
#define NIC_MTU_DEFAULT        1500u	/* of a guest that says nothing */
#define NIC_MULTICAST_MAX      64u
#define NIC_NAME_UNITS_MAX     255u
#define NIC_CONTROL_BYTES_MAX  8192u	/* of a request: a table, a key, a list and then some */
#define NIC_REPLY_BYTES_MAX    640u	/* fits a section at the smallest MTU */
#define NIC_REPLIES_MAX        16u	/* requests answered but not yet delivered */
#define NIC_RX_BATCH_MAX       64u	/* frames in one transfer */
#define NIC_FRAME_BYTES_MAX    (65536u + FRAME_HEADER_BYTES + 2 * FRAME_TAG_BYTES)
#define NIC_TX_STREAM_MAX      (256u << 10)	/* RNDIS messages of one packet, together */

/* The guest's packet in work. It waits here, not completed, while the tap has no room. */
struct tx_job {
	bool is_held;
	bool wants_completion;
	uint64_t transaction;
	struct span part[2];		/* section of the send buffer, then the packet's own memory: one stream */
	size_t bytes, at;		/* of the stream; where the next message begins */
	unsigned tries;
};

/* Frames on their way into one transfer packet */
struct rx_batch {
	bool is_stuck;			/* the ring had no room for it */
	unsigned count;
	uint32_t first, last;		/* sections, chained */
	struct vmbus_transfer_range range[NIC_RX_BATCH_MAX];
};

struct nic_queue {
	struct netvsp *nic;
	unsigned index;

	struct vmbus_channel *channel;	/* NULL: not open */
	bool is_dead;			/* the guest broke the ring */
	struct {
		bool is_waiting;
		uint64_t transaction;
		size_t bytes;
		uint8_t payload[NVSP_MESSAGE_BYTES];
	} completion;			/* the one that found no room; nothing is read before it is out */
	struct tx_job job;
	struct rx_batch batch;
	struct vsp_timer again;		/* the next turn, when nobody rings for it */

	struct vsp_watch tap;
	bool tap_watched;
	bool tap_dead;
	struct netvsp_counters counters;
};

/* A section of the receive buffer; chained by `next` while free or part of a transfer. */
struct rx_section {
	uint32_t next;			/* RX_NONE: the end */
	uint8_t state;			/* enum rx_state */
	uint8_t channel;		/* of a transfer's first section */
};
#define RX_NONE 0xffffffffu

struct nic_rx {
	struct guest_buffer buffer;
	uint32_t section_bytes, section_count;
	struct rx_section *section;
	uint32_t free_first, free_count;
	uint32_t reserve;		/* of them not for frames, so that control always gets through */
	uint32_t generation;		/* of the buffer, in transaction ids: late completions name nothing */
	bool is_listening;		/* the guest wants frames, and there is a link */
	bool is_waiting;		/* but there is no room for them */
};

struct nic_reply {
	uint16_t bytes;
	uint8_t data[NIC_REPLY_BYTES_MAX];
};

struct nic_rndis {
	bool is_initialized;
	uint32_t filter;		/* NDIS_FILTER_... */
	uint32_t lookahead;
	unsigned multicast_count;
	uint8_t multicast[NIC_MULTICAST_MAX][FRAME_MAC_BYTES];
	struct ndis_offload_parameters offload;	/* as the guest turned them on and off */
	struct rss rss;
	struct nic_reply reply[NIC_REPLIES_MAX];
	unsigned reply_first, reply_count;
	bool told_link_up;		/* what the guest knows */
	bool must_tell_move, must_tell_speed;
};

struct netvsp {
	struct vsp_host host;
	struct vmbus_server *server;
	struct vmbus_device device;
	vsp_callback destroyed;
	void *destroyed_context;
	unsigned calls;			/* from outside that are on the stack: it is not freed under them */
	bool is_removed;

	/* The second as the guest set it. It outlives sessions: a guest that only reopens its channel does not set it
	 * again, a rebooted one has forgotten it. */
	uint8_t mac_permanent[FRAME_MAC_BYTES], mac[FRAME_MAC_BYTES];
	uint16_t mtu_max;
	uint16_t name[NIC_NAME_UNITS_MAX];
	unsigned name_units;
	uint32_t link_mbps;
	bool link_up;
	bool is_paused;
	struct netvsp_policy policy;

	/* From here to the queues: as long as the primary channel is open. */
	uint32_t version;		/* 0: not negotiated */
	uint32_t capabilities;		/* NVSP_CAPABILITY_... of the guest */
	uint16_t mtu;
	unsigned subchannels;		/* granted */
	bool must_offer, must_send_table;
	struct guest_buffer send_buffer;
	struct nic_rx rx;
	struct nic_rndis rndis;

	unsigned queue_count;
	struct nic_queue queue[NETVSP_QUEUES_MAX];
	uint8_t head[FRAME_TAG_BYTES + FRAME_HEAD_BYTES];	/* of the frame in work, with room for a tag */
	uint8_t frame[NIC_FRAME_BYTES_MAX];	/* a whole one, where pieces would not do */
	uint8_t control[NIC_CONTROL_BYTES_MAX];
};

static inline void nic_count(struct nic_queue *queue, enum netvsp_drop drop)
{
	queue->counters.drops[drop]++;
}

static inline bool nic_queue_is_usable(const struct nic_queue *queue)
{
	return queue->channel && !queue->is_dead;
}

/* ---- netvsp.c ---- */

/* Around whatever is called from outside. After nic_leave the adapter may be gone. */
void nic_enter(struct netvsp *nic);
void nic_leave(struct netvsp *nic);
/* Answers a packet; at most one answer to each. */
void nic_complete(struct nic_queue *queue, uint64_t transaction, const void *payload, size_t bytes);
/* What a send to this queue's channel returned: false when it has to be tried again. Other trouble ends the queue. */
bool nic_queue_sent(struct nic_queue *queue, int result);
/* An update of what rx listens to and of what waits for room; at the end of whatever may have changed that. */
void nic_settle(struct netvsp *nic);
uint64_t nic_link_speed(const struct netvsp *nic);	/* in 100 bit/s */

/* ---- nvsp.c ---- */

void nvsp_packet(struct nic_queue *queue, const struct vmbus_packet *packet);
/* Sends what had no room or had to wait for a completion: sub-channel offers, the table. */
void nvsp_flush(struct netvsp *nic);
/* A sub-channel came up. */
void nvsp_subchannel_opened(struct netvsp *nic);

/* ---- rndis.c ---- */

void rndis_reset(struct netvsp *nic);			/* as after the primary channel's open */
/* A control message, private copy in nic->control. An NVSP status. */
uint32_t rndis_control(struct netvsp *nic, size_t bytes);
/* Sends replies and indications as far as sections and room allow. */
void rndis_flush(struct netvsp *nic);

/* ---- oid.c ---- */

struct oid_reply {
	size_t bytes;
	uint8_t data[NIC_REPLY_BYTES_MAX - sizeof(struct rndis_query_complete)];
};
/* info: what came with the request. NDIS_STATUS_... */
uint32_t oid_query(struct netvsp *nic, uint32_t oid, const uint8_t *info, size_t bytes, struct oid_reply *out);
uint32_t oid_set(struct netvsp *nic, uint32_t oid, const uint8_t *info, size_t bytes);

/* ---- tx.c ---- */

/* Takes a data packet and completes it, at once or when the tap has room again. */
void tx_start(struct nic_queue *queue, const struct vmbus_packet *packet, const struct nvsp_rndis_packet *message);
void tx_continue(struct nic_queue *queue);		/* of a held job */
/* The stream that a packet names: section and ranges. false: it names what is not there. */
bool tx_stream(struct netvsp *nic, const struct vmbus_packet *packet, const struct nvsp_rndis_packet *message,
	       struct span part[2], size_t *out_bytes);
void tx_stream_copy(const struct span part[2], size_t offset, void *to, size_t bytes);
/* Nothing touches the send buffer any more: what is held is given up, and completed. */
void tx_abandon(struct nic_queue *queue);

/* ---- rx.c ---- */

/* Divides the receive buffer. 0, -errno as guest_buffer_bind; -EINVAL too small. */
int rx_bind(struct netvsp *nic, struct vmbus_channel *channel, uint32_t gpadl, uint16_t id);
void rx_release(struct netvsp *nic);
void rx_completed(struct nic_queue *queue, uint64_t transaction);
/* The channel goes away: its transfers will not be completed. */
void rx_reclaim(struct nic_queue *queue);
/* Sends a message of RNDIS to the primary channel, all by itself. 0; -EAGAIN no section or no room; -EIO never. */
int rx_send_control(struct netvsp *nic, const void *message, size_t bytes);
void rx_flush(struct nic_queue *queue);			/* its batch */
void rx_update(struct netvsp *nic);			/* watches the taps, or leaves them alone */
void rx_tap_ready(void *queue);

#endif
