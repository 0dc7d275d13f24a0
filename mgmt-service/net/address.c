/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of a link, and the routes through it. They go with the adapter when it becomes the uplink of a
 * switch. */
#include <errno.h>
#include <linux/if_addr.h>
#include <stdlib.h>
#include <string.h>

#include "net/netlink.h"

/* Copies of dumped messages, to be sent again with changes. */
struct copies {
	struct nlmsghdr **items;
	size_t count, room;
	int index;
	bool routes;
	bool no_memory;
};

static void copies_free(struct copies *copies)
{
	for (size_t i = 0; i < copies->count; i++)
		free(copies->items[i]);
	free(copies->items);
}

static void keep(struct copies *copies, const struct nlmsghdr *message)
{
	struct nlmsghdr *copy = malloc(message->nlmsg_len), **items = copies->items;

	if (copy && copies->count == copies->room) {
		items = realloc(items, (copies->room + 16) * sizeof(struct nlmsghdr *));
		if (items) {
			copies->items = items;
			copies->room += 16;
		}
	}
	if (!copy || !items) {
		free(copy);
		copies->no_memory = true;
		return;
	}
	memcpy(copy, message, message->nlmsg_len);
	copies->items[copies->count++] = copy;
}

static int take_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
	struct copies *copies = context;

	/* Link-local ones belong to the device and stay. */
	if (message->nlmsg_type == RTM_NEWADDR && (int)address->ifa_index == copies->index &&
	    address->ifa_scope != RT_SCOPE_LINK)
		keep(copies, message);
	return MNL_CB_OK;
}

static int take_route(const struct nlmsghdr *message, void *context)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	struct copies *copies = context;
	int oif = 0;

	mnl_attr_for_each(attribute, message, sizeof(*route)) if (mnl_attr_get_type(attribute) == RTA_OIF)
		oif = (int)mnl_attr_get_u32(attribute);
	/* The kernel's own come with the addresses; those of router advertisements with the next one. */
	if (message->nlmsg_type == RTM_NEWROUTE && oif == copies->index &&
	    route->rtm_table == RT_TABLE_MAIN && route->rtm_type == RTN_UNICAST &&
	    route->rtm_protocol != RTPROT_KERNEL && route->rtm_protocol != RTPROT_RA)
		keep(copies, message);
	return MNL_CB_OK;
}

static int list(struct net *net, int index, bool routes, struct copies *out)
{
	struct nlmsghdr *request = netlink_begin(net, routes ? RTM_GETROUTE : RTM_GETADDR, NLM_F_DUMP);
	int error;

	*out = (struct copies){.index = index};
	mnl_nlmsg_put_extra_header(request, routes ? sizeof(struct rtmsg) : sizeof(struct ifaddrmsg));
	error = netlink_dump(net, request, routes ? take_route : take_address, out);
	if (!error && out->no_memory)
		error = -ENOMEM;
	if (error)
		copies_free(out);
	return error;
}

int address_any(struct net *net, int index, bool *any)
{
	struct copies addresses;
	int error = list(net, index, false, &addresses);

	if (error)
		return error;
	*any = addresses.count > 0;
	copies_free(&addresses);
	return 0;
}

static int send_address(struct net *net, const struct nlmsghdr *from, int index, unsigned type,
			unsigned flags)
{
	struct nlmsghdr *request = netlink_begin(net, type, flags);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(request, sizeof(*address));
	const struct nlattr *attribute;

	memcpy(address, mnl_nlmsg_get_payload(from), sizeof(*address));
	address->ifa_index = (uint32_t)index;
	/* What the kernel says about an address, and not what it takes. */
	address->ifa_flags &= (uint8_t) ~(IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED);
	mnl_attr_for_each(attribute, from, sizeof(*address))
	{
		unsigned kind = mnl_attr_get_type(attribute);

		/* The label is the old device's name; flags come in the header too. */
		if (kind == IFA_LOCAL || kind == IFA_ADDRESS || kind == IFA_BROADCAST ||
		    kind == IFA_CACHEINFO || kind == IFA_RT_PRIORITY)
			mnl_attr_put(request, (uint16_t)kind, mnl_attr_get_payload_len(attribute),
				     mnl_attr_get_payload(attribute));
	}
	return netlink_commit(net, request);
}

static int move_route(struct net *net, const struct nlmsghdr *from, int index)
{
	struct nlmsghdr *request = netlink_begin(net, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(request, sizeof(*route));
	const struct nlattr *attribute;

	memcpy(route, mnl_nlmsg_get_payload(from), sizeof(*route));
	route->rtm_flags = 0;
	mnl_attr_for_each(attribute, from, sizeof(*route))
	{
		unsigned kind = mnl_attr_get_type(attribute);

		if (kind == RTA_OIF)
			mnl_attr_put_u32(request, RTA_OIF, (uint32_t)index);
		else if (kind != RTA_CACHEINFO)
			mnl_attr_put(request, (uint16_t)kind, mnl_attr_get_payload_len(attribute),
				     mnl_attr_get_payload(attribute));
	}
	return netlink_commit(net, request);
}

/* Both have the addresses while the routes go over, so that no route is lost on the way, nor by a crash. */
int address_move(struct net *net, int from, int to)
{
	struct copies addresses, routes;
	int error = list(net, from, false, &addresses);

	if (error)
		return error;
	error = list(net, from, true, &routes);
	if (error) {
		copies_free(&addresses);
		return error;
	}
	for (size_t i = 0; !error && i < addresses.count; i++)
		error = send_address(net, addresses.items[i], to, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	for (size_t i = 0; !error && i < routes.count; i++)
		error = move_route(net, routes.items[i], to);
	for (size_t i = 0; !error && i < addresses.count; i++) {
		error = send_address(net, addresses.items[i], from, RTM_DELADDR, 0);
		/* A secondary address goes with its primary one. */
		if (error == -EADDRNOTAVAIL)
			error = 0;
	}
	copies_free(&addresses);
	copies_free(&routes);
	return error;
}

static bool is_wanted(const struct nlmsghdr *message, const struct net_subnet *want)
{
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;

	if (!want->prefix || address->ifa_family != AF_INET || address->ifa_prefixlen != want->prefix)
		return false;
	mnl_attr_for_each(attribute, message,
			  sizeof(*address)) if (mnl_attr_get_type(attribute) ==
						IFA_LOCAL) return mnl_attr_get_u32(attribute) ==
		want->address.s_addr;
	return false;
}

static int add(struct net *net, int index, const struct net_subnet *want)
{
	struct nlmsghdr *request = netlink_begin(net, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(request, sizeof(*address));

	address->ifa_family = AF_INET;
	address->ifa_prefixlen = (uint8_t)want->prefix;
	address->ifa_index = (uint32_t)index;
	mnl_attr_put_u32(request, IFA_LOCAL, want->address.s_addr);
	mnl_attr_put_u32(request, IFA_ADDRESS, want->address.s_addr);
	mnl_attr_put_u32(request, IFA_BROADCAST, want->address.s_addr | htonl(0xffffffffu >> want->prefix));
	return netlink_commit(net, request);
}

int address_set_only(struct net *net, int index, const struct net_subnet *want)
{
	struct copies addresses;
	bool have = false;
	int error = list(net, index, false, &addresses);

	for (size_t i = 0; !error && i < addresses.count; i++) {
		if (is_wanted(addresses.items[i], want))
			have = true;
		else
			error = send_address(net, addresses.items[i], index, RTM_DELADDR, 0);
		if (error == -EADDRNOTAVAIL)
			error = 0;
	}
	copies_free(&addresses);
	return error || have || !want->prefix ? error : add(net, index, want);
}

struct search {
	const struct net_subnet *subnet;
	int but;
	int found;
};

static int match_address(const struct nlmsghdr *message, void *context)
{
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;
	struct search *search = context;

	if (message->nlmsg_type != RTM_NEWADDR || address->ifa_family != AF_INET ||
	    (int)address->ifa_index == search->but)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*address)) if (mnl_attr_get_type(attribute) == IFA_LOCAL)
	{
		struct net_subnet other = {{mnl_attr_get_u32(attribute)}, address->ifa_prefixlen};

		if (net_subnets_overlap(search->subnet, &other))
			search->found = (int)address->ifa_index;
	}
	return MNL_CB_OK;
}

int net_subnet_user(struct net *net, const struct net_subnet *subnet, const char *but_switch,
		    char name[IF_NAMESIZE])
{
	struct search search = {.subnet = subnet, .but = -1};
	char device[IF_NAMESIZE];
	struct nlmsghdr *request;
	struct link link;

	if (but_switch) {
		net_switch_device(but_switch, device);
		if (link_find(net, device, &link) == 1)
			search.but = link.index;
	}
	request = netlink_begin(net, RTM_GETADDR, NLM_F_DUMP);
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifaddrmsg));
	if (netlink_dump(net, request, match_address, &search))
		return -1;
	if (!search.found || link_find_index(net, search.found, &link) != 1)
		return 0;
	memcpy(name, link.name, IF_NAMESIZE);
	return 1;
}
