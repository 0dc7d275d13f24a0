/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/network_wire.h"

#include <json-c/json.h>
#include <stdio.h>

static void put_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void put_policy(struct json_object *object, const struct store_nic *nic)
{
	bool secured = nic->features[STORE_FEATURE_SECURITY];

	json_object_object_add(object, "mac_spoofing", json_object_new_boolean(secured && nic->mac_spoofing));
	json_object_object_add(object, "guard_dhcp", json_object_new_boolean(secured && nic->dhcp_guard));
	json_object_object_add(object, "guard_router", json_object_new_boolean(secured && nic->router_guard));
}

static struct json_object *device(const struct store_nic *nic, bool connected, const int *taps,
				  unsigned queue_count)
{
	struct json_object *o = json_object_new_object(), *numbers = json_object_new_array();
	char mac[18];

	snprintf(mac, sizeof(mac), "%02X-%02X-%02X-%02X-%02X-%02X", nic->mac[0], nic->mac[1], nic->mac[2],
		 nic->mac[3], nic->mac[4], nic->mac[5]);
	for (unsigned q = 0; q < queue_count; q++)
		json_object_array_add(numbers, json_object_new_int(taps[q]));
	put_text(o, "type", "nic");
	put_text(o, "instance", nic->id);
	put_text(o, "name", nic->element_name);
	put_text(o, "mac", mac);
	json_object_object_add(o, "mtu", json_object_new_int(NETWORK_MTU));
	json_object_object_add(o, "taps", numbers);
	put_text(o, "link", connected ? "up" : "down");
	put_policy(o, nic);
	return o;
}

void network_wire_devices(struct json_object *devices, const struct network_devices *adapters)
{
	for (unsigned i = 0; adapters && i < adapters->network->nic_count; i++)
		json_object_array_add(devices,
				      device(&adapters->network->nics[i], adapters->connected[i],
					     adapters->numbers.fds[i], adapters->numbers.queue_count));
}

struct json_object *network_wire_add(const struct store_nic *nic, unsigned queue_count)
{
	struct json_object *params = json_object_new_object();
	int indices[NET_QUEUES_MAX];

	for (unsigned q = 0; q < queue_count; q++)
		indices[q] = (int)q;
	json_object_object_add(params, "device", device(nic, false, indices, queue_count));
	return params;
}

struct json_object *network_wire_remove(const char *instance)
{
	struct json_object *params = json_object_new_object();

	put_text(params, "instance", instance);
	return params;
}

struct json_object *network_wire_set(const struct store_nic *nic, enum network_link link)
{
	static const char *const links[] = {
		[NETWORK_LINK_UP] = "up", [NETWORK_LINK_DOWN] = "down", [NETWORK_LINK_MOVED] = "moved"};
	struct json_object *o = json_object_new_object();

	put_text(o, "instance", nic->id);
	put_text(o, "call", "set");
	if (link != NETWORK_LINK_SAME)
		put_text(o, "link", links[link]);
	put_policy(o, nic);
	return o;
}
