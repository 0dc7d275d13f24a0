/* SPDX-License-Identifier: Apache-2.0 */
#include "net/netlink.h"

#include <ctype.h>
#include <errno.h>
#include <net/if_arp.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void device_name(const char *prefix, const char *id, char name[IF_NAMESIZE])
{
	size_t used = (size_t)snprintf(name, IF_NAMESIZE, "%s", prefix);

	for (unsigned i = 0; i < 8 && isxdigit((unsigned char)id[i]); i++)
		name[used++] = (char)tolower((unsigned char)id[i]);
	name[used] = 0;
}

void net_switch_device(const char *id, char name[IF_NAMESIZE])
{
	device_name("ucb", id, name);
}

void net_port_device(const char *id, char name[IF_NAMESIZE])
{
	device_name("uct", id, name);
}

static void copy_text(const struct nlattr *attribute, char *out, size_t size)
{
	snprintf(out, size, "%.*s", (int)mnl_attr_get_payload_len(attribute),
		 (const char *)mnl_attr_get_payload(attribute));
}

static void read_bridge(const struct nlattr *data, struct link *link)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, data) if (mnl_attr_get_type(attribute) == IFLA_BR_VLAN_FILTERING)
		link->vlan_filtering = mnl_attr_get_u8(attribute) != 0;
}

static void read_bridge_port(const struct nlattr *data, struct link *link)
{
	const struct nlattr *attribute;

	mnl_attr_for_each_nested(attribute, data) if (mnl_attr_get_type(attribute) == IFLA_BRPORT_ISOLATED)
		link->isolated = mnl_attr_get_u8(attribute) != 0;
}

static void read_info(const struct nlattr *info, struct link *link)
{
	const struct nlattr *attribute, *data = NULL, *port = NULL;
	char master_kind[32] = "";

	mnl_attr_for_each_nested(attribute, info) switch (mnl_attr_get_type(attribute))
	{
	case IFLA_INFO_KIND:
		copy_text(attribute, link->kind, sizeof(link->kind));
		break;
	case IFLA_INFO_DATA:
		data = attribute;
		break;
	case IFLA_INFO_SLAVE_KIND:
		copy_text(attribute, master_kind, sizeof(master_kind));
		break;
	case IFLA_INFO_SLAVE_DATA:
		port = attribute;
		break;
	}
	if (data && strcmp(link->kind, "bridge") == 0)
		read_bridge(data, link);
	if (port && strcmp(master_kind, "bridge") == 0)
		read_bridge_port(port, link);
}

static void read_stats(const struct nlattr *attribute, struct link *link)
{
	struct rtnl_link_stats64 stats = {0};
	size_t size = mnl_attr_get_payload_len(attribute);

	memcpy(&stats, mnl_attr_get_payload(attribute), size < sizeof(stats) ? size : sizeof(stats));
	link->rx_packets = stats.rx_packets;
	link->rx_bytes = stats.rx_bytes;
	link->rx_dropped = stats.rx_dropped;
	link->tx_packets = stats.tx_packets;
	link->tx_bytes = stats.tx_bytes;
	link->tx_dropped = stats.tx_dropped;
}

static void read_link(const struct nlmsghdr *message, struct link *link)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attribute;

	memset(link, 0, sizeof(*link));
	link->index = info->ifi_index;
	link->type = info->ifi_type;
	link->up = (info->ifi_flags & IFF_UP) != 0;
	mnl_attr_for_each(attribute, message, sizeof(*info)) switch (mnl_attr_get_type(attribute))
	{
	case IFLA_IFNAME:
		copy_text(attribute, link->name, sizeof(link->name));
		break;
	case IFLA_IFALIAS:
		copy_text(attribute, link->alias, sizeof(link->alias));
		break;
	case IFLA_MASTER:
		link->master = (int)mnl_attr_get_u32(attribute);
		break;
	case IFLA_MTU:
		link->mtu = mnl_attr_get_u32(attribute);
		break;
	case IFLA_CARRIER:
		link->carrier = mnl_attr_get_u8(attribute) != 0;
		break;
	case IFLA_ADDRESS:
		if (mnl_attr_get_payload_len(attribute) == sizeof(link->mac))
			memcpy(link->mac, mnl_attr_get_payload(attribute), sizeof(link->mac));
		break;
	case IFLA_STATS64:
		read_stats(attribute, link);
		break;
	case IFLA_LINKINFO:
		read_info(attribute, link);
		break;
	}
}

static int take_link(const struct nlmsghdr *message, void *context)
{
	if (message->nlmsg_type == RTM_NEWLINK)
		read_link(message, context);
	return MNL_CB_OK;
}

static int find(struct net *net, const char *name, int index, struct link *out)
{
	struct nlmsghdr *request = netlink_begin(net, RTM_GETLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	int error;

	info->ifi_index = index;
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);
	out->index = 0;
	error = netlink_dump(net, request, take_link, out);
	if (error == -ENODEV)
		return 0;
	return error ? error : out->index != 0;
}

int link_find(struct net *net, const char *name, struct link *out)
{
	return find(net, name, 0, out);
}

int link_find_index(struct net *net, int index, struct link *out)
{
	return find(net, NULL, index, out);
}

struct each {
	void (*visit)(void *context, const struct link *link);
	void *context;
};

static int visit_link(const struct nlmsghdr *message, void *context)
{
	const struct each *each = context;
	struct link link;

	if (message->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	read_link(message, &link);
	each->visit(each->context, &link);
	return MNL_CB_OK;
}

/* The callback must not talk netlink itself. */
int link_each(struct net *net, void (*visit)(void *context, const struct link *link), void *context)
{
	struct nlmsghdr *request = netlink_begin(net, RTM_GETLINK, NLM_F_DUMP);
	struct each each = {visit, context};

	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	return netlink_dump(net, request, visit_link, &each);
}

bool link_is_of(const struct link *link, const char *name, const char *id)
{
	return strcmp(link->name, name) == 0 && (!link->alias[0] || strcasecmp(link->alias, id) == 0);
}

struct nlmsghdr *link_change(struct net *net, int index)
{
	struct nlmsghdr *request = netlink_begin(net, RTM_NEWLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	info->ifi_index = index;
	return request;
}

int link_set_up(struct net *net, int index, bool up)
{
	struct nlmsghdr *request = link_change(net, index);
	struct ifinfomsg *info = mnl_nlmsg_get_payload(request);

	info->ifi_flags = up ? IFF_UP : 0;
	info->ifi_change = IFF_UP;
	return netlink_commit(net, request);
}

int link_set_master(struct net *net, int index, int master)
{
	struct nlmsghdr *request = link_change(net, index);

	mnl_attr_put_u32(request, IFLA_MASTER, (uint32_t)master);
	return netlink_commit(net, request);
}

int link_set_alias(struct net *net, int index, const char *alias)
{
	struct nlmsghdr *request = link_change(net, index);

	mnl_attr_put_strz(request, IFLA_IFALIAS, alias);
	return netlink_commit(net, request);
}

int link_delete(struct net *net, int index)
{
	struct nlmsghdr *request = netlink_begin(net, RTM_DELLINK, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	info->ifi_index = index;
	return netlink_commit(net, request);
}
