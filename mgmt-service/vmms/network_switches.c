/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual switches as instances, and the service that makes and changes them.
 *
 *   Microsoft:<switch>            Msvm_VirtualEthernetSwitchSettingData
 *   Microsoft:<switch>\<port>     Msvm_EthernetPortAllocationSettingData: to an adapter of the host, or to
 * the host Microsoft:<switch>\Nat        Undercroft_NatSwitchSettingData
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cim/path.h"
#include "cim_schema.gen.h"
#include "daemon/log.h"
#include "vmms/instances.h"
#include "vmms/network.h"
#include "vmms/setting_put.h"

#define SERVICE(method, parameter)                                                                           \
	CIM_PARAMETER(Msvm_VirtualEthernetSwitchManagementService, method, parameter)
#define HOST_RESOURCE CIM_ResourceAllocationSettingData_HostResource
#define SUBNET        Undercroft_NatSwitchSettingData_SubnetAddress
#define NAME_DEFAULT  "New Virtual Switch"
#define PREFIX        "Microsoft:"
#define NAT_SUFFIX    "Nat"
#define STATE_ENABLED 2

/* ---- instances ---- */

struct cim_instance *instance_switch_service(struct cim_context *context)
{
	struct cim_instance *i =
		cim_instance_create(context->arena, &cim_class_Msvm_VirtualEthernetSwitchManagementService);

	cim_set_string(i, Msvm_VirtualEthernetSwitchManagementService_SystemName, context->model->host_name);
	cim_set_strings(i, Msvm_VirtualEthernetSwitchManagementService_StatusDescriptions,
			(const char *[]){"OK"}, 1);
	return i;
}

static void enumerate_services(struct cim_context *context, struct cim_list *out)
{
	cim_list_add(out, instance_switch_service(context));
}

CIM_PROVIDER(Msvm_VirtualEthernetSwitchManagementService) = {.enumerate = enumerate_services};

static struct cim_reference *switch_reference(struct arena *arena, const char *id)
{
	const char *keys[] = {"Msvm_VirtualEthernetSwitch", id};

	return cim_reference_make(arena, &cim_class_Msvm_VirtualEthernetSwitch, 2, keys);
}

static void enumerate_switches(struct cim_context *context, struct cim_list *out)
{
	for (const struct vswitch *s = context->model->network->switches; s; s = s->next) {
		struct cim_instance *i =
			cim_instance_create(context->arena, &cim_class_Msvm_VirtualEthernetSwitch);
		const char *text = s->problem[0] ? s->problem : "OK";
		uint16_t status = s->problem[0] ? 3 : 2;

		cim_set_string(i, Msvm_VirtualEthernetSwitch_Name, s->record.id);
		cim_set_string(i, Msvm_VirtualEthernetSwitch_ElementName, s->record.element_name);
		cim_set_time(i, Msvm_VirtualEthernetSwitch_InstallDate, s->record.created_ms);
		cim_set_uints(i, Msvm_VirtualEthernetSwitch_OperationalStatus, &status, 1);
		cim_set_strings(i, Msvm_VirtualEthernetSwitch_StatusDescriptions, &text, 1);
		cim_set_uint(i, Msvm_VirtualEthernetSwitch_HealthState, s->problem[0] ? 20 : 5);
		cim_list_add(out, i);
	}
}

CIM_PROVIDER(Msvm_VirtualEthernetSwitch) = {.enumerate = enumerate_switches};

static struct cim_instance *setting_instance(struct arena *arena, const struct store_switch *record)
{
	struct cim_instance *i = cim_instance_create(arena, &cim_class_Msvm_VirtualEthernetSwitchSettingData);
	char *notes = arena_strdup(arena, record->notes), *save = NULL;
	const char *lines[STORE_NOTES_MAX / 2 + 1];
	size_t count = 0;

	cim_set_string(i, Msvm_VirtualEthernetSwitchSettingData_InstanceID,
		       arena_printf(arena, PREFIX "%s", record->id));
	cim_set_string(i, Msvm_VirtualEthernetSwitchSettingData_ElementName, record->element_name);
	cim_set_string(i, Msvm_VirtualEthernetSwitchSettingData_VirtualSystemIdentifier, record->id);
	cim_set_time(i, Msvm_VirtualEthernetSwitchSettingData_CreationTime, record->created_ms);
	for (char *line = strtok_r(notes, "\n", &save); line && count < sizeof(lines) / sizeof(lines[0]);
	     line = strtok_r(NULL, "\n", &save))
		lines[count++] = line;
	cim_set_strings(i, Msvm_VirtualEthernetSwitchSettingData_Notes, lines, count);
	return i;
}

static void enumerate_settings(struct cim_context *context, struct cim_list *out)
{
	for (const struct vswitch *s = context->model->network->switches; s; s = s->next)
		cim_list_add(out, setting_instance(context->arena, &s->record));
}

CIM_PROVIDER(Msvm_VirtualEthernetSwitchSettingData) = {.enumerate = enumerate_settings};

static struct cim_reference *adapter_reference(struct cim_context *context, const char *name)
{
	const char *keys[] = {"Msvm_ComputerSystem", context->model->host_name, "Msvm_ExternalEthernetPort",
			      arena_printf(context->arena, PREFIX "%s", name)};

	return cim_reference_make(context->arena, &cim_class_Msvm_ExternalEthernetPort, 4, keys);
}

static struct cim_reference *port_reference(struct arena *arena, const char *switch_id, const char *port_id)
{
	const char *keys[] = {arena_printf(arena, PREFIX "%s\\%s", switch_id, port_id)};

	return cim_reference_make(arena, &cim_class_Msvm_EthernetPortAllocationSettingData, 1, keys);
}

static struct cim_instance *port_instance(struct cim_context *context, const struct store_switch *record,
					  bool external)
{
	const struct cim_reference *to =
		external ? adapter_reference(context, record->uplink)
			 : instance_system_reference(context->arena, context->model->host_name);
	const char *path = cim_path_of(context->arena, context->model->host_name, to);
	struct cim_instance *i =
		cim_instance_create(context->arena, &cim_class_Msvm_EthernetPortAllocationSettingData);

	cim_set_string(i, CIM_SettingData_InstanceID,
		       port_reference(context->arena, record->id,
				      external ? record->external_id : record->internal_id)
			       ->keys[0]
			       .string);
	cim_set_string(i, Msvm_EthernetPortAllocationSettingData_ElementName, record->element_name);
	cim_set_strings(i, HOST_RESOURCE, &path, 1);
	cim_set_uint(i, Msvm_EthernetPortAllocationSettingData_EnabledState, STATE_ENABLED);
	cim_set_string(i, Msvm_EthernetPortAllocationSettingData_LastKnownSwitchName, record->element_name);
	return i;
}

void network_switch_ports(struct cim_context *context, struct cim_list *out)
{
	for (const struct vswitch *s = context->model->network->switches; s; s = s->next) {
		if (s->record.external_id[0])
			cim_list_add(out, port_instance(context, &s->record, true));
		if (s->record.internal_id[0])
			cim_list_add(out, port_instance(context, &s->record, false));
	}
}

static struct cim_instance *nat_instance(struct arena *arena, const struct store_switch *record)
{
	struct cim_instance *i = cim_instance_create(arena, &cim_class_Undercroft_NatSwitchSettingData);

	cim_set_string(i, CIM_SettingData_InstanceID,
		       arena_printf(arena, PREFIX "%s\\" NAT_SUFFIX, record->id));
	cim_set_string(i, Undercroft_NatSwitchSettingData_ElementName, record->element_name);
	cim_set_string(i, SUBNET, record->nat_subnet);
	return i;
}

static void enumerate_nats(struct cim_context *context, struct cim_list *out)
{
	for (const struct vswitch *s = context->model->network->switches; s; s = s->next)
		if (s->record.nat_subnet[0])
			cim_list_add(out, nat_instance(context->arena, &s->record));
}

CIM_PROVIDER(Undercroft_NatSwitchSettingData) = {.enumerate = enumerate_nats};

struct adapter_list {
	struct cim_context *context;
	struct cim_list *out;
};

static void add_adapter(void *context, const struct net_adapter *adapter)
{
	const struct adapter_list *list = context;
	struct arena *arena = list->context->arena;
	struct cim_instance *i = cim_instance_create(arena, &cim_class_Msvm_ExternalEthernetPort);
	const uint8_t *m = adapter->mac;

	cim_set_string(i, Msvm_ExternalEthernetPort_SystemName, list->context->model->host_name);
	cim_set_string(i, Msvm_ExternalEthernetPort_DeviceID,
		       arena_printf(arena, PREFIX "%s", adapter->name));
	cim_set_string(i, Msvm_ExternalEthernetPort_ElementName, adapter->name);
	cim_set_string(i, Msvm_ExternalEthernetPort_Name, adapter->name);
	cim_set_string(i, Msvm_ExternalEthernetPort_Description,
		       adapter->device[0] ? adapter->device : adapter->name);
	cim_set_string(i, Msvm_ExternalEthernetPort_PermanentAddress,
		       arena_printf(arena, "%02X%02X%02X%02X%02X%02X", m[0], m[1], m[2], m[3], m[4], m[5]));
	cim_set_uint(i, Msvm_ExternalEthernetPort_EnabledState, adapter->up ? STATE_ENABLED : 3);
	cim_set_uint(i, Msvm_ExternalEthernetPort_ActiveMaximumTransmissionUnit, adapter->mtu);
	if (adapter->mbps)
		cim_set_uint(i, Msvm_ExternalEthernetPort_Speed, adapter->mbps * 1000000);
	cim_set_boolean(i, Msvm_ExternalEthernetPort_IsBound, adapter->switch_device[0] != 0);
	cim_list_add(list->out, i);
}

static void enumerate_adapters(struct cim_context *context, struct cim_list *out)
{
	struct network *network = context->model->network;
	struct adapter_list list = {context, out};
	char reason[NET_REASON_SIZE];

	if (network->net && net_adapters(network->net, add_adapter, &list, reason, sizeof(reason)))
		log_warning("network.adapters", "text=\"%s\"", reason);
}

CIM_PROVIDER(Msvm_ExternalEthernetPort) = {.enumerate = enumerate_adapters};

/* ---- changes of a record ---- */

static uint32_t failed(const struct cim_context *context)
{
	return cim_status_return_value(context->error.status);
}

static enum setting_put put_switch(struct cim_context *context, const struct setting_target *target,
				   int property, const struct cim_value *value)
{
	struct store_switch *record = target->ethernet_switch;
	size_t used = 0;

	if (property == Msvm_VirtualEthernetSwitchSettingData_ElementName) {
		if (!value->items[0].string[0])
			return setting_put_refuse(context, "ElementName", "ElementName must not be empty");
		if (!setting_put_check_text(context, "ElementName", value->items[0].string, STORE_NAME_MAX))
			return SETTING_REFUSED;
		snprintf(record->element_name, sizeof(record->element_name), "%s", value->items[0].string);
		return SETTING_PUT;
	}
	if (property != Msvm_VirtualEthernetSwitchSettingData_Notes)
		return SETTING_NOT_BACKED;
	record->notes[0] = 0;
	for (size_t i = 0; i < value->count; i++) {
		used += (size_t)snprintf(record->notes + used, sizeof(record->notes) - used, "%s%s",
					 i ? "\n" : "", value->items[i].string);
		if (used >= sizeof(record->notes))
			return setting_put_refuse(context, "Notes", "Notes are longer than %d bytes",
						  STORE_NOTES_MAX);
	}
	return SETTING_PUT;
}

static bool put_system(struct cim_context *context, struct store_switch *record,
		       const struct cim_instance *system)
{
	const struct setting_target target = {.class = system->class, .ethernet_switch = record};

	return setting_put_all(context, &target, setting_instance(context->arena, record), system,
			       put_switch);
}

/* What HostResource names: an adapter of the host (its name in `uplink`), or the host itself (empty). */
static bool read_host_resource(struct cim_context *context, const struct cim_instance *setting,
			       const char **uplink)
{
	const struct cim_value *value = &setting->values[HOST_RESOURCE];
	const struct cim_reference *to = value->is_set && value->count == 1
						 ? cim_path_parse(context->arena, value->items[0].string)
						 : NULL;
	const char *id;

	if (to && to->class == &cim_class_Msvm_ComputerSystem &&
	    strcasecmp(cim_reference_key(to, "Name"), context->model->host_name) == 0) {
		*uplink = "";
		return true;
	}
	id = to && to->class == &cim_class_Msvm_ExternalEthernetPort ? cim_reference_key(to, "DeviceID")
								     : NULL;
	if (id && strncasecmp(id, PREFIX, strlen(PREFIX)) == 0 && id[strlen(PREFIX)] &&
	    strlen(id + strlen(PREFIX)) <= STORE_DEVICE_MAX) {
		*uplink = id + strlen(PREFIX);
		return true;
	}
	setting_put_refuse(
		context, "HostResource",
		"HostResource must name one Msvm_ExternalEthernetPort, or the host's Msvm_ComputerSystem");
	return false;
}

static bool add_port(struct cim_context *context, struct store_switch *record,
		     const struct cim_instance *setting, struct cim_reference **result)
{
	const char *uplink;
	char *id;

	if (!read_host_resource(context, setting, &uplink))
		return false;
	id = uplink[0] ? record->external_id : record->internal_id;
	if (id[0]) {
		setting_put_refuse(context, "HostResource", "The switch has a port to %s already",
				   uplink[0] ? "a network adapter of the host" : "the host");
		return false;
	}
	model_new_id(id);
	if (uplink[0])
		snprintf(record->uplink, sizeof(record->uplink), "%s", uplink);
	*result = port_reference(context->arena, record->id, id);
	return true;
}

static bool put_subnet(struct cim_context *context, struct store_switch *record,
		       const struct cim_instance *setting)
{
	const char *text = cim_get_string(setting, SUBNET);
	char reason[NET_REASON_SIZE];
	struct net_subnet subnet;

	if (!text || net_subnet_parse(text, &subnet, reason, sizeof(reason))) {
		setting_put_refuse(context, "SubnetAddress", "SubnetAddress%s%s",
				   text ? ": " : " is required", text ? reason : "");
		return false;
	}
	snprintf(record->nat_subnet, sizeof(record->nat_subnet), "%s", text);
	return true;
}

static bool add_resource(struct cim_context *context, struct store_switch *record,
			 const struct cim_instance *setting, struct cim_reference **result)
{
	if (setting->class == &cim_class_Msvm_EthernetPortAllocationSettingData)
		return add_port(context, record, setting, result);
	if (setting->class != &cim_class_Undercroft_NatSwitchSettingData) {
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "ResourceSettings",
			      "%s cannot be added to a virtual switch", setting->class->name);
		return false;
	}
	if (record->nat_subnet[0]) {
		setting_put_refuse(context, "ResourceSettings", "The switch has a NAT network already");
		return false;
	}
	if (!put_subnet(context, record, setting))
		return false;
	*result = cim_reference_of(nat_instance(context->arena, record));
	return true;
}

/* As a whole, once all of a call is in; then in effect and stored. */
static bool put(struct cim_context *context, const struct store_switch *record)
{
	char reason[NET_REASON_SIZE];

	if (record->nat_subnet[0] && (!record->internal_id[0] || record->external_id[0])) {
		setting_put_refuse(
			context, "ResourceSettings",
			"A NAT switch has a port to the host, and none to a network adapter of it");
		return false;
	}
	if (network_switch_check(context->model, record, reason, sizeof(reason)))
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_STATE, NULL, "%s", reason);
	else if (network_switch_put(context->model, record, reason, sizeof(reason)))
		cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "%s", reason);
	return context->error.status == CIM_OK;
}

CIM_METHOD(Msvm_VirtualEthernetSwitchManagementService, DefineSystem)
{
	const struct cim_instance *system = cim_argument_instance(in, SERVICE(DefineSystem, SystemSettings));
	const struct cim_value *resources = &in->values[SERVICE(DefineSystem, ResourceSettings)];
	struct store_switch *record = arena_alloc(context->arena, sizeof(*record));
	struct cim_reference *result;

	if (in->values[SERVICE(DefineSystem, ReferenceConfiguration)].is_set)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED,
				     "ReferenceConfiguration", "A switch cannot be defined from another one");
	model_new_id(record->id);
	record->created_ms = model_now_ms();
	snprintf(record->element_name, sizeof(record->element_name), "%s", NAME_DEFAULT);
	if (!put_system(context, record, system))
		return failed(context);
	for (size_t i = 0; resources->is_set && i < resources->count; i++)
		if (!add_resource(context, record, resources->items[i].instance, &result))
			return failed(context);
	if (!put(context, record))
		return failed(context);
	log_notice("switch.define", "switch=%s name=\"%s\"", record->id, record->element_name);
	cim_argument_set_reference(out, SERVICE(DefineSystem, ResultingSystem),
				   switch_reference(context->arena, record->id));
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_VirtualEthernetSwitchManagementService, DestroySystem)
{
	const struct cim_reference *affected =
		cim_argument_reference(in, SERVICE(DestroySystem, AffectedSystem));
	const char *name = cim_reference_key(affected, "Name"), *users;
	struct vswitch *s = name ? vswitch_find(context->model, name) : NULL;
	char reason[NET_REASON_SIZE];

	if (!s)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, "AffectedSystem",
				     "AffectedSystem names no virtual switch");
	users = network_switch_users(context->model, s->record.id, context->arena);
	if (users)
		return cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_STATE, "AffectedSystem",
				     "The switch '%s' is in use by %s", s->record.element_name, users);
	log_notice("switch.destroy", "switch=%s name=\"%s\"", s->record.id, s->record.element_name);
	if (network_switch_remove(context->model, s, reason, sizeof(reason)))
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "%s", reason);
	return CIM_RETURN_COMPLETED;
}

/* "Microsoft:<switch>[\suffix]"; a copy of its record to change, NULL: there is no such switch. */
static struct store_switch *find(struct cim_context *context, const char *instance_id, const char **suffix)
{
	struct store_switch *record;
	const struct vswitch *s;
	const char *id, *at;

	if (!instance_id || strncasecmp(instance_id, PREFIX, strlen(PREFIX)) != 0 ||
	    strlen(instance_id) < strlen(PREFIX) + STORE_ID_SIZE - 1)
		return NULL;
	id = arena_strndup(context->arena, instance_id + strlen(PREFIX), STORE_ID_SIZE - 1);
	at = instance_id + strlen(PREFIX) + STORE_ID_SIZE - 1;
	s = vswitch_find(context->model, id);
	if (!s || (*at && *at != '\\'))
		return NULL;
	*suffix = *at ? at + 1 : "";
	record = arena_alloc(context->arena, sizeof(*record));
	*record = s->record;
	return record;
}

CIM_METHOD(Msvm_VirtualEthernetSwitchManagementService, ModifySystemSettings)
{
	const struct cim_instance *system =
		cim_argument_instance(in, SERVICE(ModifySystemSettings, SystemSettings));
	const char *id = cim_get_string(system, CIM_SettingData_InstanceID), *suffix;
	struct store_switch *record = find(context, id, &suffix);

	if (!record || *suffix)
		return cim_error_set(&context->error, context->arena,
				     id ? CIM_ERR_NOT_FOUND : CIM_ERR_INVALID_PARAMETER, "InstanceID",
				     "InstanceID must name the settings of a virtual switch");
	return put_system(context, record, system) && put(context, record) ? CIM_RETURN_COMPLETED
									   : failed(context);
}

CIM_METHOD(Msvm_VirtualEthernetSwitchManagementService, AddResourceSettings)
{
	const struct cim_reference *affected =
		cim_argument_reference(in, SERVICE(AddResourceSettings, AffectedConfiguration));
	const struct cim_value *resources = &in->values[SERVICE(AddResourceSettings, ResourceSettings)];
	struct cim_reference **results =
		arena_alloc(context->arena, (resources->count + 1) * sizeof(*results));
	const char *suffix;
	struct store_switch *record = find(context, cim_reference_key(affected, "InstanceID"), &suffix);

	if (!record || *suffix)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND,
				     "AffectedConfiguration",
				     "AffectedConfiguration names no settings of a virtual switch");
	for (size_t i = 0; i < resources->count; i++)
		if (!add_resource(context, record, resources->items[i].instance, &results[i]))
			return failed(context);
	if (!put(context, record))
		return failed(context);
	cim_argument_set_references(out, SERVICE(AddResourceSettings, ResultingResourceSettings), results,
				    resources->count);
	return CIM_RETURN_COMPLETED;
}

enum part { PART_NONE, PART_EXTERNAL, PART_INTERNAL, PART_NAT };

static enum part part_of(const struct store_switch *record, const char *suffix)
{
	if (record->external_id[0] && strcasecmp(suffix, record->external_id) == 0)
		return PART_EXTERNAL;
	if (record->internal_id[0] && strcasecmp(suffix, record->internal_id) == 0)
		return PART_INTERNAL;
	return record->nat_subnet[0] && strcasecmp(suffix, NAT_SUFFIX) == 0 ? PART_NAT : PART_NONE;
}

/* A port may be plugged into another adapter; a port to the host stays one. */
static bool modify_port(struct cim_context *context, struct store_switch *record, enum part part,
			const struct cim_instance *changes)
{
	const char *uplink;

	if (!read_host_resource(context, changes, &uplink))
		return false;
	if ((uplink[0] != 0) != (part == PART_EXTERNAL)) {
		setting_put_refuse(context, "HostResource",
				   "HostResource: a port to the host and one to an adapter of it do not "
				   "become each other");
		return false;
	}
	snprintf(record->uplink, sizeof(record->uplink), "%s",
		 part == PART_EXTERNAL ? uplink : record->uplink);
	return true;
}

static bool missing(struct cim_context *context)
{
	cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, "ResourceSettings",
		      "ResourceSettings names a setting that is not there");
	return false;
}

/* All settings of a call are of one switch: each call is one change. */
static bool same_switch(struct cim_context *context, struct store_switch **record, struct store_switch *found)
{
	if (!found)
		return missing(context);
	if (!*record)
		*record = found;
	if (strcmp((*record)->id, found->id) == 0)
		return true;
	setting_put_refuse(context, "ResourceSettings",
			   "ResourceSettings: all must be of one virtual switch");
	return false;
}

CIM_METHOD(Msvm_VirtualEthernetSwitchManagementService, ModifyResourceSettings)
{
	const struct cim_value *resources = &in->values[SERVICE(ModifyResourceSettings, ResourceSettings)];
	struct cim_reference **results =
		arena_alloc(context->arena, (resources->count + 1) * sizeof(*results));
	struct store_switch *record = NULL;

	for (size_t i = 0; i < resources->count; i++) {
		const struct cim_instance *changes = resources->items[i].instance;
		const char *id = cim_get_string(changes, CIM_SettingData_InstanceID), *suffix = "";
		bool nat = changes->class == &cim_class_Undercroft_NatSwitchSettingData;
		enum part part;

		if (!same_switch(context, &record, find(context, id, &suffix)))
			return failed(context);
		part = part_of(record, suffix);
		if (part == PART_NONE || nat != (part == PART_NAT)) {
			missing(context);
			return failed(context);
		}
		if (!(nat ? put_subnet(context, record, changes)
			  : modify_port(context, record, part, changes)))
			return failed(context);
		results[i] = nat ? cim_reference_of(nat_instance(context->arena, record))
				 : port_reference(context->arena, record->id, suffix);
	}
	if (record && !put(context, record))
		return failed(context);
	cim_argument_set_references(out, SERVICE(ModifyResourceSettings, ResultingResourceSettings), results,
				    resources->count);
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_VirtualEthernetSwitchManagementService, RemoveResourceSettings)
{
	const struct cim_value *resources = &in->values[SERVICE(RemoveResourceSettings, ResourceSettings)];
	struct store_switch *record = NULL;

	for (size_t i = 0; i < resources->count; i++) {
		const char *suffix = "";

		if (!same_switch(context, &record,
				 find(context, cim_reference_key(resources->items[i].reference, "InstanceID"),
				      &suffix)))
			return failed(context);
		switch (part_of(record, suffix)) {
		case PART_EXTERNAL:
			record->external_id[0] = record->uplink[0] = 0;
			break;
		case PART_INTERNAL:
			record->internal_id[0] = 0;
			break;
		case PART_NAT:
			record->nat_subnet[0] = 0;
			break;
		case PART_NONE:
			missing(context);
			return failed(context);
		}
	}
	return !record || put(context, record) ? CIM_RETURN_COMPLETED : failed(context);
}
