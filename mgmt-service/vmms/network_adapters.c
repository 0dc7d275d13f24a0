/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/network_adapters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cim/path.h"
#include "cim_schema.gen.h"
#include "vmms/instances.h"
#include "vmms/setting_put.h"

#define STATE_ENABLED  2
#define STATE_DISABLED 3
#define NAME_DEFAULT   "Network Adapter"

#define HOST_RESOURCE CIM_ResourceAllocationSettingData_HostResource
#define PARENT        CIM_ResourceAllocationSettingData_Parent
#define ADDRESS       CIM_ResourceAllocationSettingData_Address
#define ELEMENT_NAME  CIM_ManagedElement_ElementName

bool network_setting_class(const struct cim_class *class)
{
	return class == &cim_class_Msvm_SyntheticEthernetPortSettingData ||
	       class == &cim_class_Msvm_EthernetPortAllocationSettingData;
}

const struct cim_class *network_item_class(const struct network_item *item)
{
	return item->kind == NETWORK_ADAPTER ? &cim_class_Msvm_SyntheticEthernetPortSettingData
					     : &cim_class_Msvm_EthernetPortAllocationSettingData;
}

bool network_item_find(const struct store_network *network, const char *suffix, struct network_item *item)
{
	for (unsigned i = 0; i < network->nic_count; i++) {
		if (strncasecmp(suffix, network->nics[i].id, STORE_ID_SIZE - 1) != 0)
			continue;
		suffix += STORE_ID_SIZE - 1;
		*item = (struct network_item){*suffix ? NETWORK_CONNECTION : NETWORK_ADAPTER, i};
		return !*suffix || (strcasecmp(suffix, "\\C") == 0 && network->nics[i].connection);
	}
	return false;
}

struct cim_reference *network_setting_reference(struct arena *arena, const char *vm_id,
						const struct store_network *network,
						const struct network_item *item)
{
	const char *keys[] = {arena_printf(arena, "Microsoft:%s\\%s%s", vm_id, network->nics[item->nic].id,
					   item->kind == NETWORK_CONNECTION ? "\\C" : "")};

	return cim_reference_make(arena, network_item_class(item), 1, keys);
}

void network_setting_references(struct arena *arena, const struct vm *vm,
				void (*visit)(void *context, struct cim_reference *reference), void *context)
{
	for (unsigned i = 0; i < vm->network.nic_count; i++)
		for (int kind = NETWORK_ADAPTER; kind <= NETWORK_CONNECTION; kind++) {
			struct network_item item = {(enum network_item_kind)kind, i};

			if (kind == NETWORK_ADAPTER || vm->network.nics[i].connection)
				visit(context,
				      network_setting_reference(arena, vm->record.id, &vm->network, &item));
		}
}

static struct cim_reference *switch_reference(struct arena *arena, const char *id)
{
	const char *keys[] = {"Msvm_VirtualEthernetSwitch", id};

	return cim_reference_make(arena, &cim_class_Msvm_VirtualEthernetSwitch, 2, keys);
}

static struct cim_instance *adapter_instance(struct cim_context *context, const struct store_nic *nic,
					     struct cim_instance *i)
{
	const char *guids[] = {nic->id};

	cim_set_string(i, ELEMENT_NAME, nic->element_name);
	cim_set_string(i, ADDRESS,
		       arena_printf(context->arena, "%02X%02X%02X%02X%02X%02X", nic->mac[0], nic->mac[1],
				    nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]));
	cim_set_strings(i, Msvm_SyntheticEthernetPortSettingData_VirtualSystemIdentifiers, guids, 1);
	cim_set_boolean(i, Msvm_SyntheticEthernetPortSettingData_StaticMacAddress, nic->static_mac);
	return i;
}

static struct cim_instance *setting_instance(struct cim_context *context, const char *vm_id,
					     const struct store_network *network,
					     const struct network_item *item)
{
	const struct cim_reference *self = network_setting_reference(context->arena, vm_id, network, item);
	struct cim_instance *i = cim_instance_create(context->arena, self->class);
	const struct store_nic *nic = &network->nics[item->nic];
	struct network_item adapter = {NETWORK_ADAPTER, item->nic};
	const struct vswitch *s;
	const char *path;

	cim_set_string(i, CIM_SettingData_InstanceID, self->keys[0].string);
	if (item->kind == NETWORK_ADAPTER)
		return adapter_instance(context, nic, i);
	cim_set_string(i, ELEMENT_NAME, nic->element_name);
	cim_set_string(i, PARENT,
		       cim_path_of(context->arena, context->model->host_name,
				   network_setting_reference(context->arena, vm_id, network, &adapter)));
	if (nic->switch_id[0]) {
		s = vswitch_find(context->model, nic->switch_id);
		path = cim_path_of(context->arena, context->model->host_name,
				   switch_reference(context->arena, nic->switch_id));
		cim_set_strings(i, HOST_RESOURCE, &path, 1);
		cim_set_string(i, Msvm_EthernetPortAllocationSettingData_LastKnownSwitchName,
			       s ? s->record.element_name : nic->switch_name);
	}
	cim_set_uint(i, Msvm_EthernetPortAllocationSettingData_EnabledState,
		     nic->enabled ? STATE_ENABLED : STATE_DISABLED);
	return i;
}

/* ---- changes ---- */

static enum setting_put put_adapter(struct cim_context *context, const struct setting_target *target,
				    int property, const struct cim_value *value)
{
	struct store_nic *nic = target->nic;

	switch (property) {
	case ELEMENT_NAME:
		if (!value->items[0].string[0])
			return setting_put_refuse(context, "ElementName", "ElementName must not be empty");
		if (!setting_put_check_text(context, "ElementName", value->items[0].string, STORE_NAME_MAX))
			return SETTING_REFUSED;
		snprintf(nic->element_name, sizeof(nic->element_name), "%s", value->items[0].string);
		return SETTING_PUT;
	case ADDRESS:
		if (net_mac_parse(value->items[0].string, nic->mac))
			return setting_put_refuse(context, "Address",
						  "Address must be 12 hexadecimal digits, such as "
						  "00155D010203");
		return SETTING_PUT;
	case Msvm_SyntheticEthernetPortSettingData_StaticMacAddress:
		nic->static_mac = value->items[0].boolean;
		return SETTING_PUT;
	default:
		return SETTING_NOT_BACKED;
	}
}

/* The address as a whole, once all of the setting is in. */
static bool check_mac(struct cim_context *context, const char *vm_id, const struct store_network *network,
		      struct store_nic *nic, const struct store_nic *before)
{
	static const unsigned char none[6];
	const struct vm *user;
	bool changed = memcmp(nic->mac, before->mac, sizeof(nic->mac)) != 0;

	if (!nic->static_mac) {
		if (changed)
			return setting_put_refuse(context, "Address",
						  "Address can be given only together with StaticMacAddress"),
			       false;
		if (before->static_mac || memcmp(nic->mac, none, sizeof(none)) == 0)
			network_new_mac(context->model, nic->mac);
		return true;
	}
	if (memcmp(nic->mac, none, sizeof(none)) == 0 || nic->mac[0] & 1) {
		setting_put_refuse(
			context, "Address",
			"Address of a static adapter must be given, and that of one machine, not of a group");
		return false;
	}
	user = network_mac_user(context->model, vm_find(context->model, vm_id), nic->mac);
	if (user) {
		setting_put_refuse(context, "Address",
				   "Address: the virtual machine \"%s\" has this address already",
				   user->record.element_name);
		return false;
	}
	for (unsigned i = 0; i < network->nic_count; i++)
		if (&network->nics[i] != nic &&
		    memcmp(network->nics[i].mac, nic->mac, sizeof(nic->mac)) == 0) {
			setting_put_refuse(
				context, "Address",
				"Address: another adapter of this virtual machine has this address already");
			return false;
		}
	return true;
}

static enum setting_put put_switch(struct cim_context *context, struct store_nic *nic,
				   const struct cim_value *value)
{
	const struct cim_reference *reference;
	const struct vswitch *s;

	/* Nothing, or one empty string as some clients send it: of no switch. */
	if (!value->count || (value->count == 1 && !value->items[0].string[0])) {
		nic->switch_id[0] = 0;
		return SETTING_PUT;
	}
	if (value->count > 1)
		return setting_put_refuse(context, "HostResource",
					  "HostResource must name one virtual switch");
	reference = cim_path_parse(context->arena, value->items[0].string);
	s = reference && reference->class == &cim_class_Msvm_VirtualEthernetSwitch
		    ? vswitch_find(context->model, cim_reference_key(reference, "Name"))
		    : NULL;
	if (!s)
		return setting_put_refuse(context, "HostResource", "HostResource names no virtual switch");
	snprintf(nic->switch_id, sizeof(nic->switch_id), "%s", s->record.id);
	snprintf(nic->switch_name, sizeof(nic->switch_name), "%s", s->record.element_name);
	return SETTING_PUT;
}

static enum setting_put put_connection(struct cim_context *context, const struct setting_target *target,
				       int property, const struct cim_value *value)
{
	uint64_t state;

	switch (property) {
	case HOST_RESOURCE:
		return put_switch(context, target->nic, value);
	case Msvm_EthernetPortAllocationSettingData_EnabledState:
		state = value->items[0].uint;
		if (state != STATE_ENABLED && state != STATE_DISABLED)
			return setting_put_refuse(context, "EnabledState",
						  "EnabledState must be %d (enabled) or %d (disabled)",
						  STATE_ENABLED, STATE_DISABLED);
		target->nic->enabled = state == STATE_ENABLED;
		return SETTING_PUT;
	case Msvm_EthernetPortAllocationSettingData_LastKnownSwitchName:
		/* It follows HostResource, and may come back from before the change. */
		return SETTING_PUT;
	default:
		return SETTING_NOT_BACKED;
	}
}

bool network_setting_modify(struct cim_context *context, const char *vm_id, struct store_network *network,
			    const struct network_item *item, const struct cim_instance *changes)
{
	struct store_nic *nic = &network->nics[item->nic], before = *nic;
	const struct setting_target target = {.class = changes->class, .nic = nic};
	const struct cim_instance *current = setting_instance(context, vm_id, network, item);
	bool adapter = item->kind == NETWORK_ADAPTER;

	return setting_put_all(context, &target, current, changes, adapter ? put_adapter : put_connection) &&
	       (!adapter || check_mac(context, vm_id, network, nic, &before));
}

static bool add_adapter(struct cim_context *context, struct store_network *network,
			struct network_item *added)
{
	struct store_nic *nic;

	if (network->nic_count == STORE_NICS_MAX) {
		setting_put_refuse(context, "ResourceSettings",
				   "ResourceSettings: a virtual machine has at most %d network adapters",
				   STORE_NICS_MAX);
		return false;
	}
	*added = (struct network_item){NETWORK_ADAPTER, network->nic_count};
	nic = &network->nics[network->nic_count++];
	memset(nic, 0, sizeof(*nic));
	model_new_id(nic->id);
	snprintf(nic->element_name, sizeof(nic->element_name), "%s", NAME_DEFAULT);
	nic->enabled = true;
	return true;
}

static bool find_parent(struct cim_context *context, const struct network_adding *adding, const char *text,
			unsigned *nic)
{
	const struct cim_reference *reference = cim_path_parse(context->arena, text);
	const char *id = reference && network_setting_class(reference->class) ? reference->keys[0].string
									      : text,
		   *prefix = arena_printf(context->arena, "Microsoft:%s\\", adding->vm_id);
	struct network_item item;

	for (size_t i = 0; i < adding->count; i++)
		if (adding->labels[i].instance_id && strcasecmp(adding->labels[i].instance_id, id) == 0) {
			*nic = adding->labels[i].nic;
			return true;
		}
	if (strncasecmp(id, prefix, strlen(prefix)) != 0 ||
	    !network_item_find(adding->network, id + strlen(prefix), &item) || item.kind != NETWORK_ADAPTER)
		return false;
	*nic = item.nic;
	return true;
}

static bool add_connection(struct cim_context *context, struct network_adding *adding,
			   const struct cim_instance *setting, struct network_item *added)
{
	const char *parent = cim_get_string(setting, PARENT);
	struct store_nic *nic;

	added->kind = NETWORK_CONNECTION;
	if (!parent || !find_parent(context, adding, parent, &added->nic)) {
		setting_put_refuse(context, "Parent",
				   parent ? "Parent names no network adapter of this virtual machine"
					  : "Parent is required: a network adapter of this virtual machine");
		return false;
	}
	nic = &adding->network->nics[added->nic];
	if (nic->connection) {
		setting_put_refuse(context, "Parent",
				   "Parent: this network adapter has a connection already; change it "
				   "with ModifyResourceSettings");
		return false;
	}
	nic->connection = nic->enabled = true;
	nic->switch_id[0] = nic->switch_name[0] = 0;
	return true;
}

bool network_setting_add(struct cim_context *context, struct network_adding *adding,
			 const struct cim_instance *setting, struct network_item *added)
{
	bool adapter = setting->class == &cim_class_Msvm_SyntheticEthernetPortSettingData;
	struct cim_instance *rest;

	if (!(adapter ? add_adapter(context, adding->network, added)
		      : add_connection(context, adding, setting, added)))
		return false;
	if (adapter)
		adding->labels[adding->count++] = (struct network_label){
			cim_get_string(setting, CIM_SettingData_InstanceID), added->nic};
	rest = cim_instance_blank(context->arena, setting->class);
	memcpy(rest->values, setting->values, setting->class->property_count * sizeof(*rest->values));
	if (!adapter)
		rest->values[PARENT].is_set = rest->values[ELEMENT_NAME].is_set = false;
	return network_setting_modify(context, adding->vm_id, adding->network, added, rest);
}

void network_setting_remove(struct store_network *network, const struct network_item *item)
{
	struct store_nic *nic = &network->nics[item->nic];

	if (item->kind == NETWORK_ADAPTER) {
		network->nic_count--;
		memmove(nic, nic + 1, (network->nic_count - item->nic) * sizeof(*nic));
		return;
	}
	/* What a port does goes with the port. */
	nic->connection = false;
	nic->switch_id[0] = nic->switch_name[0] = 0;
	memset(nic->features, 0, sizeof(nic->features));
	nic->acl_count = 0;
}

/* ---- instances ---- */

static void enumerate(struct cim_context *context, enum network_item_kind kind, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (unsigned i = 0; i < vm->network.nic_count; i++) {
			struct network_item item = {kind, i};

			if (kind == NETWORK_ADAPTER || vm->network.nics[i].connection)
				cim_list_add(out,
					     setting_instance(context, vm->record.id, &vm->network, &item));
		}
}

static void enumerate_adapters(struct cim_context *context, struct cim_list *out)
{
	enumerate(context, NETWORK_ADAPTER, out);
}

static void enumerate_connections(struct cim_context *context, struct cim_list *out)
{
	enumerate(context, NETWORK_CONNECTION, out);
	network_switch_ports(context, out);
}

CIM_PROVIDER(Msvm_SyntheticEthernetPortSettingData) = {.enumerate = enumerate_adapters};
CIM_PROVIDER(Msvm_EthernetPortAllocationSettingData) = {.enumerate = enumerate_connections};
