/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic network adapter: NVSP and RNDIS towards the guest, one tap queue per channel towards the host's
 * network. All of it runs on the thread of the VMBus server.
 *
 * The taps: IFF_TAP, IFF_NO_PI, IFF_VNET_HDR (IFF_MULTI_QUEUE for more than one), TUNSETVNETHDRSZ 12, TUNSETOFFLOAD at
 * most TUN_F_CSUM, O_NONBLOCK. Whatever else keeps frame boundaries and speaks that header does as well.
 */
#ifndef VSP_NETVSP_H
#define VSP_NETVSP_H

#include "vmbus/channel.h"

#define NETVSP_QUEUES_MAX 8u
#define NETVSP_MTU_MIN    576u
#define NETVSP_MTU_MAX    9000u

/* What the network lets the guest do; may change while it runs. */
struct netvsp_policy {
	bool allow_mac_spoofing;	/* else: frames from its own address only, and that is the permanent one */
	bool guard_dhcp;		/* nothing that only a DHCP server sends */
	bool guard_router;		/* no IPv6 router advertisements, no redirects */
};

struct netvsp_config {
	const struct vsp_host *host;
	struct vmbus_guid instance;
	const char *name;		/* UTF-8, at most 255 UTF-16 units: alias in the guest; may be NULL */
	uint8_t mac[6];			/* permanent address: not zero, not a group's */
	uint16_t mtu;			/* what the network carries; a guest may use less */
	unsigned queue_count;
	int tap_fd[NETVSP_QUEUES_MAX];	/* the adapter's from a successful create on: it closes them */
	uint32_t link_mbps;
	bool link_up;
	struct netvsp_policy policy;
};

struct netvsp;

/* Offers the adapter. 0; -EINVAL; -ENOMEM; as vmbus_device_add. */
int netvsp_create(struct vmbus_server *server, const struct netvsp_config *config, struct netvsp **ret_nic);
/* Takes the offer back; `done` is called when nothing of the adapter is left. */
void netvsp_destroy(struct netvsp *nic, vsp_callback done, void *context);

enum netvsp_link_change {
	NETVSP_LINK_DOWN,		/* cable out, or the port turned off */
	NETVSP_LINK_UP,
	NETVSP_LINK_MOVED,		/* another network, same cable: the guest asks for its address again */
};
void netvsp_link_set(struct netvsp *nic, enum netvsp_link_change change);
void netvsp_link_speed_set(struct netvsp *nic, uint32_t mbps);
void netvsp_policy_set(struct netvsp *nic, const struct netvsp_policy *policy);

/* While the server is paused the adapter leaves its taps and timers alone; resume after the server. */
void netvsp_pause(struct netvsp *nic);
void netvsp_resume(struct netvsp *nic);

/* Why a frame went nowhere, or a message got no further. */
#define NETVSP_DROPS(X) \
	X(TX_MALFORMED,   "tx_malformed")	/* lengths or offsets that do not hold */ \
	X(TX_NOT_READY,   "tx_not_ready")	/* before initialization, after halt */ \
	X(TX_LINK_DOWN,   "tx_link_down") \
	X(TX_SPOOFED,     "tx_spoofed")		/* another's source address */ \
	X(TX_GUARDED,     "tx_guarded")		/* a DHCP server's or a router's */ \
	X(TX_SIZE,        "tx_size")		/* shorter than a header, longer than the MTU allows */ \
	X(TX_OFFLOAD,     "tx_offload")		/* asks for an offload that does not fit the frame */ \
	X(TX_TAP_FULL,    "tx_tap_full")	/* and stayed so */ \
	X(TX_TAP_ERROR,   "tx_tap_error") \
	X(RX_FILTERED,    "rx_filtered")	/* not for this guest */ \
	X(RX_SIZE,        "rx_size") \
	X(RX_OFFLOAD,     "rx_offload")		/* a header that does not fit, or a frame to be segmented */ \
	X(RX_STALE,       "rx_stale")		/* arrived while nobody listened */ \
	X(RX_CHANNEL,     "rx_channel")		/* its channel went away */ \
	X(BAD_MESSAGE,    "bad_message")	/* NVSP or RNDIS control that makes no sense */ \
	X(BAD_COMPLETION, "bad_completion")	/* of nothing that is in flight */ \
	X(CONTROL_FULL,   "control_full")	/* too many control requests at once */

enum netvsp_drop {
#define NETVSP_DROP_ID(id, name) NETVSP_DROP_##id,
	NETVSP_DROPS(NETVSP_DROP_ID)
#undef NETVSP_DROP_ID
	NETVSP_DROP_COUNT
};
extern const char *const netvsp_drop_names[NETVSP_DROP_COUNT];

enum { NETVSP_UNICAST, NETVSP_MULTICAST, NETVSP_BROADCAST, NETVSP_CAST_COUNT };

struct netvsp_traffic {
	uint64_t frames, bytes;		/* as on the wire: no header of ours; a frame to be segmented counts once */
};

/* Of one queue, since create */
struct netvsp_counters {
	struct netvsp_traffic tx[NETVSP_CAST_COUNT], rx[NETVSP_CAST_COUNT];	/* tx: guest to network */
	uint64_t drops[NETVSP_DROP_COUNT];
	uint64_t tx_waits;		/* the tap had no room for a moment */
	uint64_t rx_waits;		/* the guest had no room: the taps were left alone */
};
/* queue < queue_count */
void netvsp_counters_get(const struct netvsp *nic, unsigned queue, struct netvsp_counters *out);

#endif
