/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about virtual switches. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/objects.h"

#define SETTING    "Msvm_VirtualEthernetSwitchSettingData"
#define CONNECTION "Msvm_EthernetPortAllocationSettingData"
#define ADAPTER    "Msvm_ExternalEthernetPort"
#define NAT        "Undercroft_NatSwitchSettingData"
#define SERVICE    OBJECT_CLASSES "Msvm_VirtualEthernetSwitchManagementService/instances/nvspwmi"
#define HOST                                                                                                 \
	OBJECT_CLASSES "Msvm_ComputerSystem/instances?$filter=Caption%20eq%20'Hosting%20Computer%20System'"

/* ---- what is there ---- */

json *switch_find(struct stage *stage, const char *name)
{
	bool wild = strpbrk(name, "*?[") != NULL;
	json *all = wild ? object_list(stage, OBJECT_CLASSES SETTING "/instances")
			 : object_list_where(stage, SETTING, "ElementName", name),
	     *out = json_object_new_array();

	for (size_t i = 0; all && i < json_object_array_length(all); i++) {
		json *setting = json_object_array_get_idx(all, i);

		if (!wild || fnmatch(name, object_text(setting, "ElementName"), FNM_CASEFOLD) == 0)
			json_object_array_add(out, json_object_get(setting));
	}
	if (all && !wild && !json_object_array_length(out))
		stage_error(stage, "There is no virtual switch with the name \"%s\".", name);
	json_object_put(all);
	if (json_object_array_length(out) || wild)
		return out;
	json_object_put(out);
	return NULL;
}

char *switch_path(json *setting)
{
	return object_format(OBJECT_CLASSES "Msvm_VirtualEthernetSwitch/instances/"
					    "CreationClassName=Msvm_VirtualEthernetSwitch,Name=%s",
			     object_text(setting, "VirtualSystemIdentifier"));
}

/* The first of its settings of this class whose HostResource has the text in it; NULL: there is none. */
static json *part_of(json *parts, json *setting, const char *resource)
{
	char *prefix = object_format("%s\\", object_text(setting, "InstanceID"));
	json *found = NULL;

	for (size_t i = 0; parts && !found && i < json_object_array_length(parts); i++) {
		json *part = json_object_array_get_idx(parts, i), *to = object_member(part, "HostResource");
		const char *text = json_object_is_type(to, json_type_array) && json_object_array_length(to)
					   ? json_object_get_string(json_object_array_get_idx(to, 0))
					   : "";

		if (strncasecmp(object_text(part, "InstanceID"), prefix, strlen(prefix)) == 0 &&
		    strstr(text, resource))
			found = part;
	}
	free(prefix);
	return found;
}

struct parts {
	json *ports, *nats, *adapters;
};

static void parts_close(struct parts *parts)
{
	json_object_put(parts->ports);
	json_object_put(parts->nats);
	json_object_put(parts->adapters);
}

static bool parts_read(struct stage *stage, struct parts *parts)
{
	parts->ports = object_list(stage, OBJECT_CLASSES CONNECTION "/instances");
	parts->nats = parts->ports ? object_list(stage, OBJECT_CLASSES NAT "/instances") : NULL;
	parts->adapters = parts->nats ? object_list(stage, OBJECT_CLASSES ADAPTER "/instances") : NULL;
	if (parts->adapters)
		return true;
	parts_close(parts);
	return false;
}

static json *adapter_of(const struct parts *parts, json *port)
{
	const char *path =
		json_object_get_string(json_object_array_get_idx(object_member(port, "HostResource"), 0));

	for (size_t i = 0; i < json_object_array_length(parts->adapters); i++) {
		json *adapter = json_object_array_get_idx(parts->adapters, i);

		if (strcasecmp(object_text(adapter, "self"), path) == 0)
			return adapter;
	}
	return NULL;
}

static json *switch_object(const struct parts *parts, json *setting)
{
	json *o = json_object_new_object(), *external = part_of(parts->ports, setting, "/" ADAPTER "/"),
	     *internal = part_of(parts->ports, setting, "/Msvm_ComputerSystem/"),
	     *nat = part_of(parts->nats, setting, ""),
	     *adapter = external ? adapter_of(parts, external) : NULL,
	     *notes = object_member(setting, "Notes");

	object_put_text(o, "Name", object_text(setting, "ElementName"));
	object_put_text(o, "SwitchType",
			external   ? "External"
			: nat      ? "NAT"
			: internal ? "Internal"
				   : "Private");
	object_put_text(o, "NetAdapterInterfaceDescription",
			adapter ? object_text(adapter, "Description") : "");
	object_put_text(o, "NetAdapterName", adapter ? object_text(adapter, "ElementName") : "");
	object_put(o, "AllowManagementOS", json_object_new_boolean(internal != NULL));
	object_put_text(o, "NATSubnetAddress", nat ? object_text(nat, "SubnetAddress") : "");
	object_put_text(o, "Notes",
			json_object_is_type(notes, json_type_array) && json_object_array_length(notes)
				? json_object_get_string(json_object_array_get_idx(notes, 0))
				: "");
	object_put_text(o, "Id", object_text(setting, "VirtualSystemIdentifier"));
	return o;
}

static void add_objects(struct stage *stage, json *settings)
{
	const char *type = stage->verb->run == verb_get_vm_switch
				   ? parameters_string(&stage->parameters, "SwitchType")
				   : NULL;
	struct parts parts;

	if (!settings || !parts_read(stage, &parts))
		return;
	for (size_t i = 0; i < json_object_array_length(settings); i++) {
		json *o = switch_object(&parts, json_object_array_get_idx(settings, i));

		if (!type || strcasecmp(type, object_text(o, "SwitchType")) == 0)
			json_object_array_add(stage->output, o);
		else
			json_object_put(o);
	}
	parts_close(&parts);
}

/* Those that are named, or that come through the pipeline. */
static void each_switch(struct stage *stage, void (*visit)(struct stage *stage, json *setting))
{
	const struct parameter_value *names = parameters_get(&stage->parameters, "Name");
	size_t piped = !names->given && stage->input ? json_object_array_length(stage->input) : 0;

	for (size_t i = 0; i < names->count + piped; i++) {
		const char *name =
			i < names->count
				? names->items[i]
				: object_text(json_object_array_get_idx(stage->input, i - names->count),
					      "Name");
		json *found = switch_find(stage, name);

		for (size_t n = 0; found && n < json_object_array_length(found); n++)
			visit(stage, json_object_array_get_idx(found, n));
		json_object_put(found);
	}
}

static void add_one(struct stage *stage, json *setting)
{
	json *one = json_object_new_array();

	json_object_array_add(one, json_object_get(setting));
	add_objects(stage, one);
	json_object_put(one);
}

void verb_get_vm_switch(struct stage *stage)
{
	json *all;

	if (parameters_get(&stage->parameters, "Name")->given || stage->input) {
		each_switch(stage, add_one);
		return;
	}
	all = object_list(stage, OBJECT_CLASSES SETTING "/instances");
	add_objects(stage, all);
	json_object_put(all);
}

/* ---- changes ---- */

/* $true, true and what else PowerShell takes. -1 after a message. */
static int boolean(struct stage *stage, const char *name)
{
	const char *text = parameters_string(&stage->parameters, name);

	text += text[0] == '$';
	if (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0)
		return 1;
	if (strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0)
		return 0;
	stage_error(stage, "-%s: \"%s\" is neither $true nor $false.", name, text);
	return -1;
}

static json *connection(const char *instance_id, const char *path)
{
	json *setting = object_setting(CONNECTION, "", NULL),
	     *properties = object_member(setting, "properties"), *paths = json_object_new_array();

	if (instance_id)
		object_put_text(properties, "InstanceID", instance_id);
	json_object_array_add(paths, json_object_new_string(path));
	object_put(properties, "HostResource", paths);
	return setting;
}

/* A setting for a port to the adapter, which is named as its system or its bus does. NULL after a message. */
static json *to_adapter(struct stage *stage, const char *instance_id, const char *name)
{
	json *all = object_list(stage, OBJECT_CLASSES ADAPTER "/instances"), *setting = NULL;

	for (size_t i = 0; all && !setting && i < json_object_array_length(all); i++) {
		json *adapter = json_object_array_get_idx(all, i);

		if (strcasecmp(object_text(adapter, "ElementName"), name) == 0 ||
		    strcasecmp(object_text(adapter, "Description"), name) == 0)
			setting = connection(instance_id, object_text(adapter, "self"));
	}
	if (all && !setting)
		stage_error(stage, "There is no network adapter \"%s\" on the host.", name);
	json_object_put(all);
	return setting;
}

static json *to_host(struct stage *stage)
{
	json *hosts = object_list(stage, HOST), *setting = NULL;

	if (hosts && json_object_array_length(hosts))
		setting = connection(NULL, object_text(json_object_array_get_idx(hosts, 0), "self"));
	json_object_put(hosts);
	return setting;
}

static json *nat_setting(const char *subnet)
{
	json *setting = object_setting(NAT, "", NULL);

	object_put_text(object_member(setting, "properties"), "SubnetAddress", subnet);
	return setting;
}

/* Adds the setting unless it is NULL, which its maker has said something about. */
static bool append(json *list, json *setting)
{
	if (setting)
		json_object_array_add(list, setting);
	return setting != NULL;
}

static json *describe_resources(struct stage *stage)
{
	const char *type = parameters_string(&stage->parameters, "SwitchType"),
		   *adapter = parameters_string(&stage->parameters, "NetAdapterName"),
		   *subnet = parameters_string(&stage->parameters, "NATSubnetAddress");
	int share = parameters_get(&stage->parameters, "AllowManagementOS")->given
			    ? boolean(stage, "AllowManagementOS")
			    : 1;
	json *list = json_object_new_array();
	bool good = share >= 0;

	type = type ? type : adapter ? "External" : subnet ? "NAT" : "";
	if (strcasecmp(type, "External") == 0 && adapter && !subnet)
		good = good && append(list, to_adapter(stage, NULL, adapter)) &&
		       (!share || append(list, to_host(stage)));
	else if (strcasecmp(type, "NAT") == 0 && subnet && !adapter)
		good = good && append(list, to_host(stage)) && append(list, nat_setting(subnet));
	else if (strcasecmp(type, "Internal") == 0 && !adapter && !subnet)
		good = good && append(list, to_host(stage));
	else if (strcasecmp(type, "Private") != 0 || adapter || subnet) {
		stage_error(stage, "A switch is External with -NetAdapterName, NAT with -NATSubnetAddress, "
				   "Internal or Private: -SwitchType.");
		good = false;
	}
	if (good)
		return list;
	json_object_put(list);
	return NULL;
}

static json *system_setting(struct stage *stage, const char *instance_id, const char *name)
{
	const char *notes = parameters_string(&stage->parameters, "Notes");
	json *system = object_setting(SETTING, "", NULL), *properties = object_member(system, "properties"),
	     *lines;

	if (instance_id)
		object_put_text(properties, "InstanceID", instance_id);
	if (name)
		object_put_text(properties, "ElementName", name);
	if (notes) {
		lines = json_object_new_array();
		json_object_array_add(lines, json_object_new_string(notes));
		object_put(properties, "Notes", lines);
	}
	return system;
}

void verb_new_vm_switch(struct stage *stage)
{
	json *resources = describe_resources(stage), *body, *answer, *found;
	const char *id;

	if (!resources)
		return;
	body = json_object_new_object();
	object_put(body, "SystemSettings",
		   system_setting(stage, NULL, parameters_string(&stage->parameters, "Name")));
	object_put(body, "ResourceSettings", resources);
	answer = object_invoke(stage, SERVICE, "DefineSystem", body);
	id = strrchr(object_text(answer, "ResultingSystem"), '=');
	found = id ? object_list_where(stage, SETTING, "VirtualSystemIdentifier", id + 1) : NULL;
	add_objects(stage, found);
	json_object_put(found);
	json_object_put(answer);
}

static void remove_switch(struct stage *stage, json *setting)
{
	json *body;
	char *path;

	if (!vm_confirmed(stage, "Remove", object_text(setting, "ElementName")))
		return;
	body = json_object_new_object();
	path = switch_path(setting);
	object_put_text(body, "AffectedSystem", path);
	object_call(stage, SERVICE, "DestroySystem", body);
	free(path);
}

void verb_remove_vm_switch(struct stage *stage)
{
	each_switch(stage, remove_switch);
}

static bool call_with(struct stage *stage, json *setting, const char *method, json *resource)
{
	json *body, *list;

	if (!resource)
		return false;
	body = json_object_new_object();
	list = json_object_new_array();
	json_object_array_add(list, resource);
	object_put(body, "ResourceSettings", list);
	if (strcmp(method, "AddResourceSettings") == 0)
		object_put_text(body, "AffectedConfiguration", object_text(setting, "self"));
	return object_call(stage, SERVICE, method, body);
}

static bool share_with_host(struct stage *stage, const struct parts *parts, json *setting)
{
	json *internal = part_of(parts->ports, setting, "/Msvm_ComputerSystem/");
	int share = boolean(stage, "AllowManagementOS");

	if (share < 0 || (share != 0) == (internal != NULL))
		return share >= 0;
	return share ? call_with(stage, setting, "AddResourceSettings", to_host(stage))
		     : call_with(stage, setting, "RemoveResourceSettings",
				 json_object_new_string(object_text(internal, "self")));
}

static bool plug_into(struct stage *stage, const struct parts *parts, json *setting, const char *adapter)
{
	json *external = part_of(parts->ports, setting, "/" ADAPTER "/");

	return call_with(stage, setting, external ? "ModifyResourceSettings" : "AddResourceSettings",
			 to_adapter(stage, external ? object_text(external, "InstanceID") : NULL, adapter));
}

static bool set_system(struct stage *stage, json *setting, const char *name)
{
	json *body = json_object_new_object();

	object_put(body, "SystemSettings", system_setting(stage, object_text(setting, "InstanceID"), name));
	return object_call(stage, SERVICE, "ModifySystemSettings", body);
}

static void change_switch(struct stage *stage, json *setting)
{
	const char *adapter = parameters_string(&stage->parameters, "NetAdapterName");
	struct parts parts;
	bool good = true;

	if (!parts_read(stage, &parts))
		return;
	if (adapter)
		good = plug_into(stage, &parts, setting, adapter);
	if (good && parameters_get(&stage->parameters, "AllowManagementOS")->given)
		good = share_with_host(stage, &parts, setting);
	if (good && parameters_string(&stage->parameters, "Notes"))
		good = set_system(stage, setting, NULL);
	parts_close(&parts);
	if (good && parameters_switch(&stage->parameters, "Passthru"))
		add_one(stage, setting);
}

void verb_set_vm_switch(struct stage *stage)
{
	each_switch(stage, change_switch);
}
