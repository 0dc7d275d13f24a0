/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if_arp.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/netlink.h"

struct reason {
	char *text;
	unsigned size;
};

static int failed(struct net *net, const struct net_switch *want, int error, const struct reason *reason,
		  const char *what)
{
	return net_refuse(reason->text, reason->size, "switch '%s': %s: %s", want->name, what,
			  netlink_why(net, error));
}

/* The parent's device in it is up for the parent's own use. */
static bool host_takes_part(const struct net_switch *want)
{
	return want->kind == NET_SWITCH_INTERNAL || want->kind == NET_SWITCH_NAT ||
	       (want->kind == NET_SWITCH_EXTERNAL && want->host_shares);
}

/* A locally administered address that stays with the switch: guests remember their gateway's. */
static void own_mac(const char *id, uint8_t mac[6])
{
	size_t size = strlen(id);

	mac[0] = 0x02;
	mac[1] = 0x15;
	mac[2] = 0x5d;
	for (unsigned i = 0; i < 3; i++) {
		char digits[3] = {id[size - 6 + 2 * i], id[size - 5 + 2 * i], 0};

		mac[3 + i] = (uint8_t)strtoul(digits, NULL, 16);
	}
}

static int find_uplink(struct net *net, const struct net_switch *want, int bridge, struct link *uplink,
		       const struct reason *reason)
{
	struct link master;
	int found = link_find(net, want->uplink, uplink);

	if (found < 0)
		return failed(net, want, found, reason, want->uplink);
	if (!found)
		return net_refuse(reason->text, reason->size, "switch '%s': there is no network adapter %s",
				  want->name, want->uplink);
	if (uplink->type != ARPHRD_ETHER || strcmp(uplink->kind, "bridge") == 0 ||
	    strcmp(uplink->kind, "tun") == 0)
		return net_refuse(reason->text, reason->size, "switch '%s': %s is no Ethernet adapter",
				  want->name, want->uplink);
	if (uplink->master && uplink->master != bridge)
		return net_refuse(reason->text, reason->size, "switch '%s': %s is already a port of %s",
				  want->name, want->uplink,
				  link_find_index(net, uplink->master, &master) == 1 ? master.name
										     : "another device");
	return 0;
}

static struct nlmsghdr *begin_bridge(struct net *net, const char *device, int index, struct nlattr *nests[2])
{
	struct nlmsghdr *request =
		index ? link_change(net, index) : netlink_begin(net, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);

	if (!index) {
		mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
		mnl_attr_put_strz(request, IFLA_IFNAME, device);
	}
	nests[0] = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "bridge");
	nests[1] = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	return request;
}

static int commit_bridge(struct net *net, struct nlmsghdr *request, struct nlattr *nests[2])
{
	mnl_attr_nest_end(request, nests[1]);
	mnl_attr_nest_end(request, nests[0]);
	return netlink_commit(net, request);
}

static int create_bridge(struct net *net, const char *device)
{
	struct nlattr *nests[2];
	struct nlmsghdr *request = begin_bridge(net, device, 0, nests);

	mnl_attr_put_u32(request, IFLA_BR_STP_STATE, 0);
	/* Without a querier in sight, snooping would lose the groups that IPv6 lives by. */
	mnl_attr_put_u8(request, IFLA_BR_MCAST_SNOOPING, 0);
	return commit_bridge(net, request, nests);
}

/* Two steps: the VLAN that ports get by themselves changes only while there is no filtering. */
static int filter_vlans(struct net *net, int index)
{
	struct nlattr *nests[2];
	struct nlmsghdr *request = begin_bridge(net, NULL, index, nests);
	int error;

	mnl_attr_put_u16(request, IFLA_BR_VLAN_DEFAULT_PVID, 0);
	error = commit_bridge(net, request, nests);
	if (error)
		return error;
	request = begin_bridge(net, NULL, index, nests);
	mnl_attr_put_u8(request, IFLA_BR_VLAN_FILTERING, 1);
	return commit_bridge(net, request, nests);
}

static int find_or_create(struct net *net, const struct net_switch *want, struct link *bridge,
			  const struct reason *reason)
{
	char device[IF_NAMESIZE];
	int found, error;

	net_switch_device(want->id, device);
	found = link_find(net, device, bridge);
	if (!found) {
		error = create_bridge(net, device);
		if (error)
			return failed(net, want, error, reason, "the bridge cannot be made");
		found = link_find(net, device, bridge);
	}
	if (found != 1)
		return failed(net, want, found ? found : ENODEV, reason, device);
	if (!link_is_of(bridge, device, want->id) || strcmp(bridge->kind, "bridge") != 0)
		return net_refuse(reason->text, reason->size, "switch '%s': the device %s is not ours",
				  want->name, device);
	if (!bridge->alias[0]) {
		error = link_set_alias(net, bridge->index, want->id);
		if (error)
			return failed(net, want, error, reason, "the bridge cannot be marked");
	}
	/* A kernel without it makes switches that know no VLANs; ports that ask for one are refused. */
	if (!bridge->vlan_filtering) {
		error = filter_vlans(net, bridge->index);
		if (error && error != -EOPNOTSUPP)
			return failed(net, want, error, reason, "VLAN filtering");
		bridge->vlan_filtering = !error;
	}
	return 0;
}

struct uplink_search {
	const struct link *bridge;
	const char *but;
	struct link found;
};

/* The uplink is the port whose address the bridge has; what others may have put into it is theirs. */
static void match_uplink(void *context, const struct link *link)
{
	struct uplink_search *search = context;

	if (link->master == search->bridge->index &&
	    memcmp(link->mac, search->bridge->mac, sizeof(link->mac)) == 0 &&
	    (!search->but || strcmp(link->name, search->but) != 0))
		search->found = *link;
}

static int release_uplink(struct net *net, const struct link *bridge, const char *but)
{
	struct uplink_search search = {.bridge = bridge, .but = but};
	bool any = false;
	int error = link_each(net, match_uplink, &search);

	if (error || !search.found.index)
		return error;
	error = link_set_master(net, search.found.index, 0);
	if (!error)
		error = address_any(net, bridge->index, &any);
	return error || !any ? error : address_move(net, bridge->index, search.found.index);
}

static int set_mac(struct net *net, struct link *bridge, const uint8_t mac[6])
{
	struct nlmsghdr *request;

	if (memcmp(bridge->mac, mac, sizeof(bridge->mac)) == 0)
		return 0;
	memcpy(bridge->mac, mac, sizeof(bridge->mac));
	request = link_change(net, bridge->index);
	mnl_attr_put(request, IFLA_ADDRESS, sizeof(bridge->mac), mac);
	return netlink_commit(net, request);
}

static int set_vlans(struct net *net, const struct link *bridge, bool host, int uplink)
{
	uint8_t want[4096] = {0};
	int error;

	if (!bridge->vlan_filtering)
		return 0;
	if (host)
		want[NET_VLAN_UNTAGGED] = VLAN_MEMBER | VLAN_PVID | VLAN_UNTAGGED;
	error = vlan_apply(net, bridge->index, true, want);
	if (error || !uplink)
		return error;
	memset(want + 1, VLAN_MEMBER, NET_VLAN_MAX);
	want[NET_VLAN_UNTAGGED] = VLAN_MEMBER | VLAN_PVID | VLAN_UNTAGGED;
	return vlan_apply(net, uplink, false, want);
}

static void set_ipv6(const char *device, bool on)
{
	char path[64];

	snprintf(path, sizeof(path), "ipv6/conf/%s/disable_ipv6", device);
	/* A kernel without IPv6 has nothing to turn off. */
	net_sysctl(path, on ? "0" : "1");
}

/* What the parent has in the switch, with the bridge up and its uplink in. */
static int apply_host(struct net *net, const struct net_switch *want, const struct link *bridge,
		      const struct link *uplink, const struct reason *reason)
{
	static const struct net_subnet none;
	int error = 0;

	if (want->kind == NET_SWITCH_EXTERNAL && want->host_shares)
		error = address_move(net, uplink->index, bridge->index);
	else if (want->kind == NET_SWITCH_EXTERNAL && !want->host_shares) {
		bool any;

		error = address_any(net, bridge->index, &any);
		if (!error && any)
			error = address_move(net, bridge->index, uplink->index);
	} else if (want->kind == NET_SWITCH_PRIVATE)
		error = address_set_only(net, bridge->index, &none);
	else if (want->host.prefix)
		/* An internal switch without an address of ours may have been given one by hand. */
		error = address_set_only(net, bridge->index, &want->host);
	if (error)
		return failed(net, want, error, reason, "the parent's addresses");
	return 0;
}

static int apply_nat(struct net *net, const struct net_switch *want, const struct link *bridge,
		     const struct reason *reason)
{
	static const struct net_subnet none;
	bool nat = want->kind == NET_SWITCH_NAT;
	int error = nat ? net_sysctl("ipv4/ip_forward", "1") : 0;

	if (error)
		return failed(net, want, error, reason, "ip_forward");
	return dnsmasq_apply(net, want->id, bridge->name, nat ? &want->host : &none, reason->text,
			     reason->size);
}

int net_switch_apply(struct net *net, const struct net_switch *want, char *reason, unsigned reason_size)
{
	const struct reason why = {reason, reason_size};
	struct link bridge, uplink = {.index = 0};
	bool external = want->kind == NET_SWITCH_EXTERNAL;
	uint8_t mac[6];
	int error;

	if (strlen(want->id) != NET_GUID_SIZE - 1)
		return net_refuse(reason, reason_size, "switch '%s': \"%s\" is no GUID", want->name,
				  want->id);
	if (want->kind == NET_SWITCH_NAT && !want->host.prefix)
		return net_refuse(reason, reason_size, "switch '%s': NAT needs a network", want->name);
	if (external) {
		char device[IF_NAMESIZE];

		/* Before anything is made. */
		net_switch_device(want->id, device);
		if (find_uplink(net, want, link_find(net, device, &bridge) == 1 ? bridge.index : 0, &uplink,
				&why))
			return -1;
	}
	if (find_or_create(net, want, &bridge, &why))
		return -1;
	error = release_uplink(net, &bridge, external ? want->uplink : NULL);
	if (error)
		return failed(net, want, error, &why, "the former uplink");
	own_mac(want->id, mac);
	error = set_mac(net, &bridge, external ? uplink.mac : mac);
	if (error)
		return failed(net, want, error, &why, "the bridge's address");
	set_ipv6(bridge.name, host_takes_part(want));
	if (external && uplink.master != bridge.index)
		error = link_set_master(net, uplink.index, bridge.index);
	if (!error && external && !uplink.up)
		error = link_set_up(net, uplink.index, true);
	if (error)
		return failed(net, want, error, &why, want->uplink);
	error = set_vlans(net, &bridge, host_takes_part(want), uplink.index);
	if (error)
		return failed(net, want, error, &why, "VLANs");
	error = bridge.up ? 0 : link_set_up(net, bridge.index, true);
	if (error)
		return failed(net, want, error, &why, "the bridge does not come up");
	return apply_host(net, want, &bridge, &uplink, &why) || apply_nat(net, want, &bridge, &why) ? -1 : 0;
}

int net_switch_remove(struct net *net, const char *id, char *reason, unsigned reason_size)
{
	static const struct net_subnet none;
	char device[IF_NAMESIZE];
	struct link bridge;
	int found;

	net_switch_device(id, device);
	if (dnsmasq_apply(net, id, device, &none, reason, reason_size))
		return -1;
	found = link_find(net, device, &bridge);
	if (found == 1 && !link_is_of(&bridge, device, id))
		found = 0;
	if (found == 1)
		found = release_uplink(net, &bridge, NULL);
	else if (!found)
		return 0;
	if (found == 0)
		found = link_delete(net, bridge.index);
	if (found < 0)
		return net_refuse(reason, reason_size, "%s cannot be removed: %s", device,
				  netlink_why(net, found));
	return 0;
}

struct sweep {
	const struct net_plan *plan;
	char strays[64][NET_GUID_SIZE];
	unsigned count;
};

static const struct net_switch *planned(const struct net_plan *plan, const char *id)
{
	for (unsigned i = 0; i < plan->switch_count; i++)
		if (strcasecmp(plan->switches[i].id, id) == 0)
			return &plan->switches[i];
	return NULL;
}

static void match_stray(void *context, const struct link *link)
{
	struct sweep *sweep = context;
	char device[IF_NAMESIZE];

	if (strcmp(link->kind, "bridge") != 0 || strlen(link->alias) != NET_GUID_SIZE - 1 ||
	    sweep->count == 64)
		return;
	net_switch_device(link->alias, device);
	if (strcmp(link->name, device) == 0 && !planned(sweep->plan, link->alias))
		memcpy(sweep->strays[sweep->count++], link->alias, NET_GUID_SIZE);
}

static void end_stray_dnsmasq(struct net *net, const char *id, void *context)
{
	static const struct net_subnet none;
	const struct net_switch *have = planned(context, id);
	char device[IF_NAMESIZE], reason[NET_REASON_SIZE];

	net_switch_device(id, device);
	if (!have || have->kind != NET_SWITCH_NAT)
		dnsmasq_apply(net, id, device, &none, reason, sizeof(reason));
}

int net_sweep(struct net *net, const struct net_plan *plan, char *reason, unsigned reason_size)
{
	struct sweep sweep = {.plan = plan};
	int error = link_each(net, match_stray, &sweep);

	if (error)
		return net_refuse(reason, reason_size, "devices cannot be listed: %s",
				  netlink_why(net, error));
	dnsmasq_each(net, end_stray_dnsmasq, (void *)plan);
	for (unsigned i = 0; i < sweep.count; i++)
		if (net_switch_remove(net, sweep.strays[i], reason, reason_size))
			return -1;
	return 0;
}
