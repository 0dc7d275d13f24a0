/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's network adapters. */
#include <fcntl.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/netlink.h"

#define ADAPTERS_MAX 64

struct adapters {
	struct link links[ADAPTERS_MAX];
	unsigned count;
};

/* Hardware, and what bundles or stands for it; what is made for guests is none. */
static void take(void *context, const struct link *link)
{
	static const char *const kinds[] = {"", "bond", "team", "vlan", "veth"};
	struct adapters *adapters = context;

	if (link->type != ARPHRD_ETHER || adapters->count == ADAPTERS_MAX)
		return;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(link->kind, kinds[i]) == 0) {
			adapters->links[adapters->count++] = *link;
			return;
		}
}

static uint64_t speed_of(const char *name)
{
	char path[64], text[32] = "";
	long mbps;
	int fd;

	snprintf(path, sizeof(path), "/sys/class/net/%s/speed", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	mbps = strtol(text, NULL, 10);
	return mbps > 0 ? (uint64_t)mbps : 0;
}

static void device_of(const char *name, char *out, size_t size)
{
	char path[64], target[256];
	const char *last;
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
	length = readlink(path, target, sizeof(target) - 1);
	target[length > 0 ? length : 0] = 0;
	last = strrchr(target, '/');
	snprintf(out, size, "%.*s", (int)size - 1, last ? last + 1 : target);
}

int net_adapters(struct net *net, void (*visit)(void *context, const struct net_adapter *adapter),
		 void *context, char *reason, unsigned reason_size)
{
	struct adapters *adapters = calloc(1, sizeof(*adapters));
	int error = adapters ? link_each(net, take, adapters) : -1;

	for (unsigned i = 0; !error && i < adapters->count; i++) {
		const struct link *link = &adapters->links[i];
		struct net_adapter adapter = {.up = link->up, .carrier = link->carrier, .mtu = link->mtu};
		struct link bridge;

		memcpy(adapter.name, link->name, IF_NAMESIZE);
		memcpy(adapter.mac, link->mac, sizeof(adapter.mac));
		adapter.mbps = speed_of(link->name);
		device_of(link->name, adapter.device, sizeof(adapter.device));
		if (link->master && link_find_index(net, link->master, &bridge) == 1)
			memcpy(adapter.switch_device, bridge.name, IF_NAMESIZE);
		visit(context, &adapter);
	}
	free(adapters);
	return error ? net_refuse(reason, reason_size, "network adapters cannot be listed: %s",
				  netlink_why(net, error))
		     : 0;
}
