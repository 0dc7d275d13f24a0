/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network adapters of machines as settings, and their connections to switches.
 *
 *   Microsoft:<machine>\<adapter>       Msvm_SyntheticEthernetPortSettingData
 *   Microsoft:<machine>\<adapter>\C     Msvm_EthernetPortAllocationSettingData
 */
#ifndef VMMS_NETWORK_ADAPTERS_H
#define VMMS_NETWORK_ADAPTERS_H

#include "cim/provider.h"
#include "vmms/network.h"

enum network_item_kind { NETWORK_ADAPTER, NETWORK_CONNECTION };

struct network_item {
	enum network_item_kind kind;
	unsigned nic; /* index */
};

/* What a call adds can be the Parent of what it adds later. */
struct network_label {
	const char *instance_id; /* or NULL */
	unsigned nic;
};

struct network_adding {
	const char *vm_id;
	struct store_network *network;
	struct network_label *labels; /* room for one per added setting */
	size_t count;
};

/* Settings of this class are of this kind. */
bool network_setting_class(const struct cim_class *class);
/* What stands behind "Microsoft:<machine>\". False: there is no such item. */
bool network_item_find(const struct store_network *network, const char *suffix, struct network_item *item);
struct cim_reference *network_setting_reference(struct arena *arena, const char *vm_id,
						const struct store_network *network,
						const struct network_item *item);
/* In network_ports.c: the adapter as a device of its running machine, by index. */
struct cim_reference *network_port_reference(struct arena *arena, const struct vm *vm, unsigned nic);
/* The class of the item's setting. */
const struct cim_class *network_item_class(const struct network_item *item);
/* Of every adapter and connection of the machine. */
void network_setting_references(struct arena *arena, const struct vm *vm,
				void (*visit)(void *context, struct cim_reference *reference), void *context);
/* Adds what the setting describes, and its label. False with the context's error. */
bool network_setting_add(struct cim_context *context, struct network_adding *adding,
			 const struct cim_instance *setting, struct network_item *added);
bool network_setting_modify(struct cim_context *context, const char *vm_id, struct store_network *network,
			    const struct network_item *item, const struct cim_instance *changes);
/* With what hangs on it. */
void network_setting_remove(struct store_network *network, const struct network_item *item);

#endif
