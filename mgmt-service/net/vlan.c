/* SPDX-License-Identifier: Apache-2.0 */
/* Which VLANs a bridge lets through a port, or to its own device. */
#include <linux/if_bridge.h>
#include <string.h>

#include "net/netlink.h"

#define IDS 4096

struct vlan_table {
	int index;
	uint8_t flags[IDS];
};

static void take_info(struct vlan_table *table, const struct nlattr *spec)
{
	const struct nlattr *attribute;
	unsigned begin = 0;

	mnl_attr_for_each_nested(attribute, spec)
	{
		const struct bridge_vlan_info *info = mnl_attr_get_payload(attribute);
		uint8_t flags = VLAN_MEMBER;

		if (mnl_attr_get_type(attribute) != IFLA_BRIDGE_VLAN_INFO ||
		    mnl_attr_get_payload_len(attribute) < sizeof(*info) || info->vid >= IDS)
			continue;
		if (info->flags & BRIDGE_VLAN_INFO_PVID)
			flags |= VLAN_PVID;
		if (info->flags & BRIDGE_VLAN_INFO_UNTAGGED)
			flags |= VLAN_UNTAGGED;
		if (!(info->flags & BRIDGE_VLAN_INFO_RANGE_END))
			begin = info->vid;
		for (unsigned id = begin; id <= info->vid; id++)
			table->flags[id] = flags;
	}
}

static int take(const struct nlmsghdr *message, void *context)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct vlan_table *table = context;
	const struct nlattr *attribute;

	if (message->nlmsg_type != RTM_NEWLINK || info->ifi_index != table->index)
		return MNL_CB_OK;
	mnl_attr_for_each(attribute, message, sizeof(*info)) if (mnl_attr_get_type(attribute) == IFLA_AF_SPEC)
		take_info(table, attribute);
	return MNL_CB_OK;
}

static int read_table(struct net *net, int index, struct vlan_table *table)
{
	struct nlmsghdr *request = netlink_begin(net, RTM_GETLINK, NLM_F_DUMP);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));

	info->ifi_family = AF_BRIDGE;
	mnl_attr_put_u32(request, IFLA_EXT_MASK, RTEXT_FILTER_BRVLAN_COMPRESSED);
	memset(table, 0, sizeof(*table));
	table->index = index;
	return netlink_dump(net, request, take, table);
}

static void put_range(struct nlmsghdr *request, unsigned first, unsigned last, uint8_t flags)
{
	struct bridge_vlan_info info = {
		.flags = (uint16_t)((flags & VLAN_PVID ? BRIDGE_VLAN_INFO_PVID : 0) |
				    (flags & VLAN_UNTAGGED ? BRIDGE_VLAN_INFO_UNTAGGED : 0)),
		.vid = (uint16_t)first};
	uint16_t common = info.flags;

	if (first == last) {
		mnl_attr_put(request, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
		return;
	}
	info.flags = common | BRIDGE_VLAN_INFO_RANGE_BEGIN;
	mnl_attr_put(request, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
	info.flags = common | BRIDGE_VLAN_INFO_RANGE_END;
	info.vid = (uint16_t)last;
	mnl_attr_put(request, IFLA_BRIDGE_VLAN_INFO, sizeof(info), &info);
}

/* All ids whose flags in `which` are not zero, those of equal flags next to each other as a range. */
static int send_changes(struct net *net, int index, bool self, unsigned type, const uint8_t which[IDS])
{
	struct nlmsghdr *request = netlink_begin(net, type, 0);
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	struct nlattr *spec;
	unsigned count = 0, last;

	info->ifi_family = AF_BRIDGE;
	info->ifi_index = index;
	spec = mnl_attr_nest_start(request, IFLA_AF_SPEC);
	if (self)
		mnl_attr_put_u16(request, IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_SELF);
	for (unsigned id = 1; id < IDS - 1; id = last + 1) {
		last = id;
		if (!which[id])
			continue;
		/* There is one PVID: no range of them. */
		while (!(which[id] & VLAN_PVID) && last + 1 < IDS - 1 && which[last + 1] == which[id])
			last++;
		put_range(request, id, last, which[id]);
		count++;
	}
	mnl_attr_nest_end(request, spec);
	return count ? netlink_commit(net, request) : 0;
}

int vlan_apply(struct net *net, int index, bool self, const uint8_t want[IDS])
{
	struct vlan_table have;
	uint8_t changes[IDS];
	int error = read_table(net, index, &have);

	if (error)
		return error;
	for (unsigned id = 0; id < IDS; id++)
		changes[id] = have.flags[id] && !want[id] ? VLAN_MEMBER : 0;
	error = send_changes(net, index, self, RTM_DELLINK, changes);
	for (unsigned id = 0; id < IDS; id++)
		changes[id] = want[id] != have.flags[id] ? want[id] : 0;
	return error ? error : send_changes(net, index, self, RTM_SETLINK, changes);
}
