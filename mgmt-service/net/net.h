/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual switches and their ports, made of what Linux has: a switch is a bridge, a port a tap, its rules
 * nftables, its bandwidth tc, and the addresses of a NAT switch come from dnsmasq.
 *
 * Callers say what shall be; each call looks at what is there and changes what differs, so that every call
 * may be repeated, also by another process after a crash. Devices carry names made of their GUID (ucb<8 hex>
 * for bridges, uct<8 hex> for taps) and the GUID itself as alias; a device that does not have both is never
 * touched. Taps live as long as somebody holds their descriptors.
 *
 * Everything happens in the network namespace of the calling thread. Calls on one struct net must not
 * overlap. Functions that can fail return -1 with one sentence in `reason`.
 */
#ifndef NET_NET_H
#define NET_NET_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define NET_QUEUES_MAX    8
#define NET_GUID_SIZE     37
#define NET_REASON_SIZE   512
#define NET_VLAN_MAX      4093 /* of a port */
#define NET_VLAN_UNTAGGED 4094 /* in bridges: frames without a tag */

struct net;

/* `directory` is for what dnsmasq reads and writes, and is made when it is missing. */
struct net *net_open(const char *directory, char *reason, unsigned reason_size);
/* Leaves devices and dnsmasq as they are. */
void net_close(struct net *net);

/* ---- switches ---- */

enum net_switch_kind {
	NET_SWITCH_PRIVATE,  /* ports only: nothing of the parent is in it */
	NET_SWITCH_INTERNAL, /* the parent is in it, through the bridge's own device */
	NET_SWITCH_EXTERNAL, /* with a network adapter of the parent's as uplink */
	NET_SWITCH_NAT,      /* internal; the parent routes, translates, and answers DHCP and DNS */
};

struct net_subnet {
	struct in_addr address; /* the parent's in it */
	unsigned prefix;        /* 0: no address */
};

struct net_switch {
	const char *id;   /* GUID */
	const char *name; /* for sentences */
	enum net_switch_kind kind;
	const char *uplink;     /* external */
	bool host_shares;       /* external: the parent goes on using the adapter, through the bridge */
	struct net_subnet host; /* internal: may have an address; NAT: has one */
};

int net_switch_apply(struct net *net, const struct net_switch *want, char *reason, unsigned reason_size);
/* Gives the uplink its addresses back. No switch of that id is no error. */
int net_switch_remove(struct net *net, const char *id, char *reason, unsigned reason_size);
/* "192.168.77.0/24": the parent gets the first address of the network. Networks of 8 to 29 bits. */
int net_subnet_parse(const char *text, struct net_subnet *out, char *reason, unsigned reason_size);
bool net_subnets_overlap(const struct net_subnet *a, const struct net_subnet *b);
/* The device that another than `but` has an address of this network on, or nothing: 1 with its name, 0, -1.
 */
int net_subnet_user(struct net *net, const struct net_subnet *subnet, const char *but_switch,
		    char name[IF_NAMESIZE]);

/* ---- ports ---- */

enum net_vlan_mode { NET_VLAN_NONE, NET_VLAN_ACCESS, NET_VLAN_TRUNK };

struct net_vlans {
	uint8_t bits[512];
};
static inline bool net_vlans_has(const struct net_vlans *vlans, unsigned id)
{
	return vlans->bits[id / 8] >> (id % 8) & 1;
}
static inline void net_vlans_add(struct net_vlans *vlans, unsigned id)
{
	vlans->bits[id / 8] |= (uint8_t)(1u << (id % 8));
}
/* "1-100,200", 1..NET_VLAN_MAX. */
int net_vlans_parse(const char *text, struct net_vlans *out, char *reason, unsigned reason_size);

enum net_monitor { NET_MONITOR_NONE, NET_MONITOR_DESTINATION, NET_MONITOR_SOURCE };

enum net_address_kind { NET_ADDRESS_ANY, NET_ADDRESS_MAC, NET_ADDRESS_IPV4, NET_ADDRESS_IPV6 };

struct net_address {
	enum net_address_kind kind;
	uint8_t bytes[16];
	unsigned prefix; /* IPv4, IPv6: bits */
};
/* An address of either kind, "any" or "*", with an optional /prefix; MAC: 6 pairs of digits, with - or : or
 * nothing between them. */
int net_address_parse(const char *text, struct net_address *out, char *reason, unsigned reason_size);
int net_mac_parse(const char *text, uint8_t mac[6]);

enum net_acl_action { NET_ACL_ALLOW, NET_ACL_DENY, NET_ACL_METER };

/* Of the guest's traffic. Local is the guest's end. */
struct net_acl {
	enum net_acl_action action;
	bool inbound, outbound; /* to the guest; from it */
	struct net_address local, remote;
};

struct net_port {
	const char *id;        /* GUID */
	const char *name;      /* for sentences */
	const char *switch_id; /* NULL: of no switch */
	unsigned queues;       /* 1..NET_QUEUES_MAX */
	unsigned mtu;
	uint8_t mac[6]; /* the guest's */
	enum net_vlan_mode vlan_mode;
	unsigned vlan; /* access; trunk: of frames without a tag, 0: none */
	struct net_vlans trunk;
	bool isolated;    /* reaches only ports that are not */
	uint64_t max_bps; /* bits a second in each direction; 0: no limit */
	uint64_t min_bps; /* what the shaper guarantees towards the guest; 0: nothing */
	bool allow_mac_spoofing, dhcp_guard, router_guard;
	enum net_monitor monitor;
	unsigned monitor_session; /* sources are copied to the destinations of their session and switch */
	const struct net_acl *acls;
	unsigned acl_count;
};

/* A new tap, down and of no switch. The descriptors, as vsp/netvsp/netvsp.h wants them, are the caller's. */
int net_port_open(struct net *net, const struct net_port *port, int fds[NET_QUEUES_MAX], char *reason,
		  unsigned reason_size);
/*
 * Puts the port into its switch, or takes it out of any. Its rules must be in place (net_rules_apply): from
 * here on frames flow. The tap is there.
 */
int net_port_apply(struct net *net, const struct net_port *port, char *reason, unsigned reason_size);

struct net_port_state {
	bool connected; /* in a bridge, and up */
	bool running;   /* somebody has its queues open */
	char switch_device[IF_NAMESIZE];
	/* as the guest sees them */
	uint64_t rx_frames, rx_bytes, rx_dropped, tx_frames, tx_bytes, tx_dropped;
};
/* 1: it is there; 0: it is not; -1. */
int net_port_state(struct net *net, const char *id, struct net_port_state *out);

/* ---- both ---- */

struct net_plan {
	const struct net_switch *switches;
	unsigned switch_count;
	const struct net_port *ports; /* whose taps are there, or are to be opened */
	unsigned port_count;
};

/* Firewall, translation, mirrors of everything in one transaction each; rules of what is not in the plan go.
 */
int net_rules_apply(struct net *net, const struct net_plan *plan, char *reason, unsigned reason_size);
/* Removes bridges of ours that are not in the plan; ends the dnsmasq of those that need none. */
int net_sweep(struct net *net, const struct net_plan *plan, char *reason, unsigned reason_size);
/* Starts a dnsmasq again that has died, and one that follows another once that has gone; once a second. Says what it did in `reason`, empty for nothing. */
void net_tick(struct net *net, char *reason, unsigned reason_size);

/* The parent's network adapters that could be an uplink. */
struct net_adapter {
	char name[IF_NAMESIZE];
	char device[64]; /* "virtio0", or what the bus calls it; may be empty */
	uint8_t mac[6];
	bool up, carrier;
	uint64_t mbps; /* 0: unknown */
	unsigned mtu;
	char switch_device[IF_NAMESIZE]; /* bridge that it is in, or empty */
};
int net_adapters(struct net *net, void (*visit)(void *context, const struct net_adapter *adapter),
		 void *context, char *reason, unsigned reason_size);

/* ucb<8 hex> and uct<8 hex> of a GUID. */
void net_switch_device(const char *id, char name[IF_NAMESIZE]);
void net_port_device(const char *id, char name[IF_NAMESIZE]);

#endif
