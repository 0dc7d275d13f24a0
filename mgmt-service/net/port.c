/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/netlink.h"

#define VNET_HEADER_SIZE 12 /* with the number of merged buffers, as vsp/netvsp expects it */

static int open_queue(const char *device, bool multi)
{
	struct ifreq request = {
		.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (multi ? IFF_MULTI_QUEUE : 0))};
	int size = VNET_HEADER_SIZE, error;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	memcpy(request.ifr_name, device, strlen(device));
	/* Segmentation is left out: netvsp takes whole frames. */
	if (ioctl(fd, TUNSETIFF, &request) || ioctl(fd, TUNSETVNETHDRSZ, &size) ||
	    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM)) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static int configure(struct net *net, const struct net_port *port, const char *device)
{
	struct nlmsghdr *request;
	struct link link;
	char path[64];
	int found = link_find(net, device, &link);

	if (found != 1)
		return found ? found : -ENODEV;
	if (!link_is_of(&link, device, port->id))
		return -EEXIST;
	/* The parent must not speak on the guest's cable. */
	snprintf(path, sizeof(path), "ipv6/conf/%s/disable_ipv6", device);
	net_sysctl(path, "1");
	request = link_change(net, link.index);
	mnl_attr_put_u32(request, IFLA_MTU, port->mtu);
	mnl_attr_put_strz(request, IFLA_IFALIAS, port->id);
	return netlink_commit(net, request);
}

int net_port_open(struct net *net, const struct net_port *port, int fds[NET_QUEUES_MAX], char *reason,
		  unsigned reason_size)
{
	char device[IF_NAMESIZE];
	unsigned count = 0;
	struct link link;
	int error = 0;

	if (port->queues < 1 || port->queues > NET_QUEUES_MAX || strlen(port->id) != NET_GUID_SIZE - 1)
		return net_refuse(reason, reason_size, "%s: a port has a GUID and 1 to %d queues", port->name,
				  NET_QUEUES_MAX);
	net_port_device(port->id, device);
	if (link_find(net, device, &link) == 1)
		return net_refuse(reason, reason_size, "%s: the device %s is there already", port->name,
				  device);
	while (count < port->queues && error >= 0) {
		error = open_queue(device, port->queues > 1);
		if (error >= 0)
			fds[count++] = error;
	}
	if (error >= 0)
		error = configure(net, port, device);
	if (error >= 0)
		return 0;
	while (count)
		close(fds[--count]);
	return net_refuse(reason, reason_size, "%s: no tap: %s", port->name, netlink_why(net, error));
}

static int set_isolated(struct net *net, int index, bool isolated)
{
	struct nlmsghdr *request = link_change(net, index);
	struct nlattr *info = mnl_attr_nest_start(request, IFLA_LINKINFO), *data;

	mnl_attr_put_strz(request, IFLA_INFO_SLAVE_KIND, "bridge");
	data = mnl_attr_nest_start(request, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(request, IFLA_BRPORT_ISOLATED, isolated);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	return netlink_commit(net, request);
}

static int set_vlans(struct net *net, const struct net_port *port, int index)
{
	uint8_t want[4096] = {0};
	unsigned untagged = port->vlan_mode != NET_VLAN_NONE && port->vlan ? port->vlan : NET_VLAN_UNTAGGED;

	for (unsigned id = 1; port->vlan_mode == NET_VLAN_TRUNK && id <= NET_VLAN_MAX; id++)
		if (net_vlans_has(&port->trunk, id))
			want[id] = VLAN_MEMBER;
	want[untagged] = VLAN_MEMBER | VLAN_PVID | VLAN_UNTAGGED;
	return vlan_apply(net, index, false, want);
}

static int failed(struct net *net, const struct net_port *port, int error, const char *what, char *reason,
		  unsigned reason_size)
{
	return net_refuse(reason, reason_size, "%s: %s: %s", port->name, what, netlink_why(net, error));
}

int net_port_apply(struct net *net, const struct net_port *port, char *reason, unsigned reason_size)
{
	char device[IF_NAMESIZE], bridge_device[IF_NAMESIZE];
	struct link link, bridge = {.index = 0};
	int found, error = 0;

	net_port_device(port->id, device);
	found = link_find(net, device, &link);
	if (found != 1 || !link_is_of(&link, device, port->id))
		return failed(net, port, found < 0 ? found : ENODEV, device, reason, reason_size);
	if (port->switch_id) {
		net_switch_device(port->switch_id, bridge_device);
		found = link_find(net, bridge_device, &bridge);
		if (found != 1 || !link_is_of(&bridge, bridge_device, port->switch_id))
			return failed(net, port, found < 0 ? found : ENODEV, "the switch's bridge is missing",
				      reason, reason_size);
		if (port->vlan_mode != NET_VLAN_NONE && !bridge.vlan_filtering)
			return net_refuse(reason, reason_size, "%s: this kernel's bridges do not know VLANs",
					  port->name);
	}
	/* Nothing flows while it moves: the VLANs of the new switch must be there first. */
	if (link.master != bridge.index) {
		error = link.up ? link_set_up(net, link.index, false) : 0;
		link.up = false;
		if (!error)
			error = link_set_master(net, link.index, bridge.index);
	}
	if (error)
		return failed(net, port, error, "the port does not go into its switch", reason, reason_size);
	error = shape_apply(net, link.index, port->min_bps, port->max_bps);
	if (error)
		return failed(net, port, error, "bandwidth", reason, reason_size);
	if (!bridge.index) {
		error = link.up ? link_set_up(net, link.index, false) : 0;
		return error ? failed(net, port, error, device, reason, reason_size) : 0;
	}
	error = bridge.vlan_filtering ? set_vlans(net, port, link.index) : 0;
	if (error)
		return failed(net, port, error, "VLANs", reason, reason_size);
	error = set_isolated(net, link.index, port->isolated);
	if (error)
		return failed(net, port, error, "isolation", reason, reason_size);
	error = link.up ? 0 : link_set_up(net, link.index, true);
	return error ? failed(net, port, error, device, reason, reason_size) : 0;
}

int net_port_state(struct net *net, const char *id, struct net_port_state *out)
{
	char device[IF_NAMESIZE];
	struct link link, bridge;
	int found;

	memset(out, 0, sizeof(*out));
	net_port_device(id, device);
	found = link_find(net, device, &link);
	if (found != 1 || !link_is_of(&link, device, id))
		return found < 0 ? -1 : 0;
	out->connected = link.up && link.master;
	out->running = link.carrier;
	/* What the device transmits is what the guest receives. */
	out->rx_frames = link.tx_packets;
	out->rx_bytes = link.tx_bytes;
	out->rx_dropped = link.tx_dropped;
	out->tx_frames = link.rx_packets;
	out->tx_bytes = link.rx_bytes;
	out->tx_dropped = link.rx_dropped;
	if (link.master && link_find_index(net, link.master, &bridge) == 1)
		memcpy(out->switch_device, bridge.name, IF_NAMESIZE);
	return 1;
}
