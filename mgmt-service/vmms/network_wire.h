/* SPDX-License-Identifier: Apache-2.0 */
/* Network adapters in packets of schemas/worker/worker_msg.h. */
#ifndef VMMS_NETWORK_WIRE_H
#define VMMS_NETWORK_WIRE_H

#include "vmms/network.h"

struct json_object;

#define NETWORK_MTU 1500

enum network_link { NETWORK_LINK_SAME, NETWORK_LINK_UP, NETWORK_LINK_DOWN, NETWORK_LINK_MOVED };

/* The adapters of a machine that starts. */
struct network_devices {
	const struct store_network *network;
	struct network_taps numbers; /* what the taps are in the worker */
	bool connected[STORE_NICS_MAX];
};

/* Adds a DEVICE for each adapter; NULL: there are none. */
void network_wire_devices(struct json_object *devices, const struct network_devices *adapters);
/* Parameters of "add_device", with the taps as the packet's descriptors; the link is down. */
struct json_object *network_wire_add(const struct store_nic *nic, unsigned queue_count);
/* Parameters of "remove_device". */
struct json_object *network_wire_remove(const char *instance);
/* Parameters of the method "device". */
struct json_object *network_wire_set(const struct store_nic *nic, enum network_link link);

#endif
