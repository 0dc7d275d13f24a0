/* SPDX-License-Identifier: Apache-2.0 */
/* Requests over rtnetlink, and links as the rest of net/ sees them. */
#ifndef NET_NETLINK_H
#define NET_NETLINK_H

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "net/net.h"

#define NET_MESSAGE_MAX 16384 /* largest request: the VLANs of a port */

struct net {
	struct mnl_socket *socket;
	uint32_t sequence;
	char kernel_says[160]; /* of the last failed request, or empty */
	struct nft_ctx *nft;
	struct dnsmasq *dnsmasqs;
	char *directory;
	_Alignas(8) char request[NET_MESSAGE_MAX];
	_Alignas(8) char answer[65536];
};

struct link {
	int index;
	char name[IF_NAMESIZE];
	char alias[256];
	char kind[32]; /* "bridge", "tun", ...; empty for hardware */
	int master;    /* index, or 0 */
	bool up, carrier;
	unsigned mtu, type; /* ARPHRD_ */
	uint8_t mac[6];
	bool vlan_filtering; /* bridge */
	bool isolated;       /* port of a bridge */
	uint64_t rx_packets, rx_bytes, rx_dropped, tx_packets, tx_bytes, tx_dropped;
};

/* An empty request in net->request. */
struct nlmsghdr *netlink_begin(struct net *net, unsigned type, unsigned flags);
/* Sends it and waits for the answer: 0, or -errno with kernel_says. */
int netlink_commit(struct net *net, struct nlmsghdr *request);
/* Each answer to a dump, or to a get; the callback says MNL_CB_OK or MNL_CB_ERROR. 0 or -errno. */
int netlink_dump(struct net *net, struct nlmsghdr *request, mnl_cb_t visit, void *context);
/* Why a request failed: strerror, and the kernel's own words. Valid until the next call. */
const char *netlink_why(struct net *net, int error);

/* Puts `format` into reason; -1. */
int net_refuse(char *reason, unsigned reason_size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Writes a value below /proc/sys/net. 0 or -errno. */
int net_sysctl(const char *path, const char *value);

/* 1 and the link, 0: there is none, or -errno. */
int link_find(struct net *net, const char *name, struct link *out);
int link_find_index(struct net *net, int index, struct link *out);
int link_each(struct net *net, void (*visit)(void *context, const struct link *link), void *context);
/* Ours: the name is that of the GUID, and so is the alias; or it has none yet, as after a crash in between.
 */
bool link_is_of(const struct link *link, const char *name, const char *id);
/* A request for one link, to be filled in and committed. */
struct nlmsghdr *link_change(struct net *net, int index);
int link_set_up(struct net *net, int index, bool up);
int link_set_master(struct net *net, int index, int master);
int link_set_alias(struct net *net, int index, const char *alias);
int link_delete(struct net *net, int index);

/* address.c: what a link has for addresses and routes */
/* Exactly this IPv4 address; prefix 0: none. */
int address_set_only(struct net *net, int index, const struct net_subnet *want);
/* Global addresses and the routes through them. */
int address_move(struct net *net, int from, int to);
int address_any(struct net *net, int index, bool *any);

/* vlan.c: what the bridge lets through a port; `want` as for vlan_untagged: flags of each id */
#define VLAN_MEMBER   1u
#define VLAN_PVID     2u
#define VLAN_UNTAGGED 4u
/* `self`: the bridge's own device. */
int vlan_apply(struct net *net, int index, bool self, const uint8_t want[4096]);

/* shape.c */
/* Towards the guest; both 0: no shaper. */
int shape_apply(struct net *net, int index, uint64_t min_bps, uint64_t max_bps);
/* Copies what passes the port, in both directions, to these. */
int mirror_apply(struct net *net, int index, const int *to, unsigned count);
#define MIRROR_TARGETS_MAX 16

/* dnsmasq.c */
/* Runs one as the switch wants it, or none when prefix is 0. */
int dnsmasq_apply(struct net *net, const char *id, const char *device, const struct net_subnet *host,
		  char *reason, unsigned reason_size);
void dnsmasq_close_all(struct net *net);
/* Each switch that one runs for, by the files that are there. */
void dnsmasq_each(struct net *net, void (*visit)(struct net *net, const char *id, void *context),
		  void *context);

#endif
