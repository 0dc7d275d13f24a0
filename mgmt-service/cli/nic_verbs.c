/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about network adapters of virtual machines, and what their ports do. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/objects.h"

#define ADAPTER       "Msvm_SyntheticEthernetPortSettingData"
#define CONNECTION    "Msvm_EthernetPortAllocationSettingData"
#define CONFIGURATION "Msvm_GuestNetworkAdapterConfiguration"
#define FEATURE       "Msvm_EthernetSwitchPort%sSettingData"

#define VLAN_ACCESS   1
#define VLAN_TRUNK    2
#define VLAN_PRIVATE  3
#define VLAN_MAX      4093
#define STATE_ENABLED 2

/* One adapter while a command looks at it. */
struct nic {
	json *vm;
	json *adapter;    /* its setting */
	json *connection; /* NULL: it has none */
};

/* ---- settings, as the service takes them ---- */

static json *host_resource(json *setting, const char *path)
{
	json *paths = json_object_new_array();

	if (path)
		json_object_array_add(paths, json_object_new_string(path));
	object_put(object_member(setting, "properties"), "HostResource", paths);
	return setting;
}

/* The path of the switch with that name, to be freed. NULL after a message. */
static char *path_of_switch(struct stage *stage, const char *name)
{
	json *found = switch_find(stage, name);
	char *path = NULL;

	if (found && json_object_array_length(found) == 1)
		path = switch_path(json_object_array_get_idx(found, 0));
	else if (found)
		stage_error(stage, "\"%s\" must mean one virtual switch, and means %zu.", name,
			    json_object_array_length(found));
	json_object_put(found);
	return path;
}

bool nic_describe(struct stage *stage, json *settings, const char *name, const char *switch_name)
{
	json *adapter = object_setting(ADAPTER, "", NULL), *connection;
	char *path = switch_name ? path_of_switch(stage, switch_name) : NULL;

	if (switch_name && !path) {
		json_object_put(adapter);
		return false;
	}
	object_put_text(object_member(adapter, "properties"), "InstanceID", "adapter");
	if (name)
		object_put_text(object_member(adapter, "properties"), "ElementName", name);
	json_object_array_add(settings, adapter);
	if (path) {
		connection = host_resource(object_setting(CONNECTION, "", NULL), path);
		object_put_text(object_member(connection, "properties"), "Parent", "adapter");
		json_object_array_add(settings, connection);
	}
	free(path);
	return true;
}

/* ---- which adapters ---- */

static json *child_of(json *settings, json *parent)
{
	for (size_t i = 0; i < json_object_array_length(settings); i++) {
		json *setting = json_object_array_get_idx(settings, i);

		if (strcasecmp(object_text(setting, "Parent"), object_text(parent, "self")) == 0)
			return setting;
	}
	return NULL;
}

static bool name_matches(struct stage *stage, json *adapter)
{
	const struct parameter_value *names = parameters_get(&stage->parameters, "Name");

	for (size_t i = 0; i < names->count; i++)
		if (fnmatch(names->items[i], object_text(adapter, "ElementName"), FNM_CASEFOLD) == 0)
			return true;
	return !names->given;
}

/* Those of a machine that are meant: by -Name, or the one with this InstanceID. */
static void each_of(struct stage *stage, json *vm, const char *instance_id,
		    void (*visit)(struct stage *stage, const struct nic *nic))
{
	json *adapters = object_components(stage, vm, ADAPTER),
	     *connections = adapters ? object_components(stage, vm, CONNECTION) : NULL;
	size_t found = 0;

	for (size_t i = 0; connections && i < json_object_array_length(adapters); i++) {
		struct nic nic = {.vm = vm, .adapter = json_object_array_get_idx(adapters, i)};

		if (instance_id ? strcasecmp(instance_id, object_text(nic.adapter, "InstanceID")) != 0
				: !name_matches(stage, nic.adapter))
			continue;
		nic.connection = child_of(connections, nic.adapter);
		visit(stage, &nic);
		found++;
	}
	if (connections && !found && (instance_id || parameters_get(&stage->parameters, "Name")->given))
		stage_error(stage, "\"%s\" has no such network adapter.", object_text(vm, "Name"));
	json_object_put(connections);
	json_object_put(adapters);
}

static void each_nic(struct stage *stage, void (*visit)(struct stage *stage, const struct nic *nic))
{
	bool piped = stage->input && !parameters_get(&stage->parameters, "VMName")->given;
	json *vms = vm_chosen(stage, "VMName");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *object = piped ? json_object_array_get_idx(stage->input, i) : NULL;

		/* A piped adapter means itself, a piped machine its adapters. */
		each_of(stage, json_object_array_get_idx(vms, i),
			*object_text(object, "VMId") ? object_text(object, "Id") : NULL, visit);
	}
	json_object_put(vms);
}

/* ---- objects ---- */

static bool is_connected(const struct nic *nic)
{
	json *to = object_member(nic->connection, "HostResource");

	return json_object_is_type(to, json_type_array) && json_object_array_length(to) &&
	       object_number(nic->connection, "EnabledState") == STATE_ENABLED;
}

/* That the guest has on the adapter, as it told. A new array. */
static json *addresses_of(struct stage *stage, const struct nic *nic)
{
	const char *suffix = strchr(object_text(nic->adapter, "InstanceID"), ':');
	char *id = object_format("Microsoft:GuestNetwork\\%s", suffix ? suffix + 1 : "");
	json *found = object_list_where(stage, CONFIGURATION, "InstanceID", id),
	     *addresses = found && json_object_array_length(found)
				  ? object_member(json_object_array_get_idx(found, 0), "IPAddresses")
				  : NULL;

	addresses = addresses ? json_object_get(addresses) : json_object_new_array();
	json_object_put(found);
	free(id);
	return addresses;
}

static json *nic_object(struct stage *stage, const struct nic *nic)
{
	json *o = json_object_new_object();

	object_put_text(o, "Name", object_text(nic->adapter, "ElementName"));
	object_put(o, "IsManagementOs", json_object_new_boolean(false));
	object_put_text(o, "VMName", object_text(nic->vm, "Name"));
	object_put_text(o, "SwitchName",
			is_connected(nic) ? object_text(nic->connection, "LastKnownSwitchName") : "");
	object_put_text(o, "MacAddress", object_text(nic->adapter, "Address"));
	object_put_text(o, "Status", is_connected(nic) ? "Ok" : "Disconnected");
	object_put(o, "IPAddresses", addresses_of(stage, nic));
	object_put(o, "DynamicMacAddressEnabled",
		   json_object_new_boolean(
			   !json_object_get_boolean(object_member(nic->adapter, "StaticMacAddress"))));
	object_put_text(o, "Id", object_text(nic->adapter, "InstanceID"));
	object_put_text(o, "VMId", object_text(nic->vm, "Id"));
	return o;
}

static void add_object(struct stage *stage, const struct nic *nic)
{
	json_object_array_add(stage->output, nic_object(stage, nic));
}

/* The adapter as it is now, when -Passthru asks for it. */
static void pass_through(struct stage *stage, const struct nic *nic)
{
	if (parameters_switch(&stage->parameters, "Passthru"))
		each_of(stage, nic->vm, object_text(nic->adapter, "InstanceID"), add_object);
}

void verb_get_vm_network_adapter(struct stage *stage)
{
	each_nic(stage, add_object);
}

/* ---- adapters and their connections ---- */

static void put_mac(json *setting, const char *mac)
{
	object_put_text(object_member(setting, "properties"), "Address", mac ? mac : "");
	object_put(object_member(setting, "properties"), "StaticMacAddress",
		   json_object_new_boolean(mac != NULL));
	if (!mac)
		json_object_object_del(object_member(setting, "properties"), "Address");
}

static void add_adapter(struct stage *stage, json *vm)
{
	const char *mac = parameters_string(&stage->parameters, "StaticMacAddress");
	json *settings = json_object_new_array(), *answer, *made;
	struct nic nic = {.vm = vm};

	if (!nic_describe(stage, settings, parameters_string(&stage->parameters, "Name"),
			  parameters_string(&stage->parameters, "SwitchName"))) {
		json_object_put(settings);
		return;
	}
	if (mac)
		put_mac(json_object_array_get_idx(settings, 0), mac);
	answer = object_add_settings(stage, object_text(vm, "Id"), settings);
	made = object_member(answer, "ResultingResourceSettings");
	if (parameters_switch(&stage->parameters, "Passthru") && json_object_is_type(made, json_type_array)) {
		json *all = object_components(stage, vm, ADAPTER);
		const char *path = json_object_get_string(json_object_array_get_idx(made, 0));

		for (size_t i = 0; all && i < json_object_array_length(all); i++) {
			nic.adapter = json_object_array_get_idx(all, i);
			if (strcasecmp(object_text(nic.adapter, "self"), path) == 0)
				pass_through(stage, &nic);
		}
		json_object_put(all);
	}
	json_object_put(answer);
}

void verb_add_vm_network_adapter(struct stage *stage)
{
	vm_each(stage, add_adapter);
}

static void remove_adapter(struct stage *stage, const struct nic *nic)
{
	json *paths = json_object_new_array();

	json_object_array_add(paths, json_object_new_string(object_text(nic->adapter, "self")));
	object_remove_settings(stage, paths);
}

void verb_remove_vm_network_adapter(struct stage *stage)
{
	each_nic(stage, remove_adapter);
}

static json *existing(const char *class, json *setting)
{
	json *o = object_setting(class, "", NULL);

	object_put_text(object_member(o, "properties"), "InstanceID", object_text(setting, "InstanceID"));
	return o;
}

static bool add_connection(struct stage *stage, const struct nic *nic, const char *path)
{
	json *settings = json_object_new_array(), *setting = object_setting(CONNECTION, "", NULL), *answer;
	bool good;

	object_put_text(object_member(setting, "properties"), "Parent", object_text(nic->adapter, "self"));
	json_object_array_add(settings, host_resource(setting, path));
	answer = object_add_settings(stage, object_text(nic->vm, "Id"), settings);
	good = answer != NULL;
	json_object_put(answer);
	return good;
}

static void connect_adapter(struct stage *stage, const struct nic *nic)
{
	const char *name = parameters_string(&stage->parameters, "SwitchName");
	char *path;
	bool good;

	if (!name) {
		stage_error(stage, "-SwitchName is missing.");
		return;
	}
	path = path_of_switch(stage, name);
	if (!path)
		return;
	if (nic->connection) {
		json *setting = host_resource(existing(CONNECTION, nic->connection), path);

		object_put(object_member(setting, "properties"), "EnabledState",
			   json_object_new_int(STATE_ENABLED));
		good = object_modify_setting(stage, setting);
	} else {
		good = add_connection(stage, nic, path);
	}
	free(path);
	if (good)
		pass_through(stage, nic);
}

void verb_connect_vm_network_adapter(struct stage *stage)
{
	each_nic(stage, connect_adapter);
}

static void disconnect_adapter(struct stage *stage, const struct nic *nic)
{
	if (!nic->connection ||
	    object_modify_setting(stage, host_resource(existing(CONNECTION, nic->connection), NULL)))
		pass_through(stage, nic);
}

void verb_disconnect_vm_network_adapter(struct stage *stage)
{
	each_nic(stage, disconnect_adapter);
}

/* ---- features of the port ---- */

static json *features_of(struct stage *stage, const struct nic *nic, const char *kind)
{
	char *path = object_format(
		"%s/associators?AssocClass=Msvm_EthernetPortSettingDataComponent&ResultClass=" FEATURE,
		object_text(nic->connection, "self"), kind);
	json *found = nic->connection ? object_list(stage, path) : json_object_new_array();

	free(path);
	return found;
}

static bool call_with_features(struct stage *stage, const char *method, const char *affected, json *features)
{
	json *body = json_object_new_object();

	if (affected)
		object_put_text(body, "AffectedConfiguration", affected);
	object_put(body, "FeatureSettings", features);
	return object_call(stage, OBJECT_SERVICE, method, body);
}

/* The path of the adapter's connection, which is made if it has none; to be freed. NULL after a message. */
static char *connection_path(struct stage *stage, const struct nic *nic)
{
	if (!nic->connection && !add_connection(stage, nic, NULL))
		return NULL;
	return nic->connection ? strdup(object_text(nic->connection, "self"))
			       : object_format(OBJECT_CLASSES CONNECTION "/instances/%s%%5CC",
					       strrchr(object_text(nic->adapter, "self"), '/') + 1);
}

/* Changes the feature of the kind, or adds it; puts the properties. */
static bool put_feature(struct stage *stage, const struct nic *nic, const char *kind, json *properties)
{
	json *present = features_of(stage, nic, kind), *list = json_object_new_array(), *setting;
	char *class = object_format(FEATURE, kind), *path = NULL;
	bool good = false;

	setting = object_setting(class, "", NULL);
	if (present && json_object_array_length(present)) {
		object_put_text(properties, "InstanceID",
				object_text(json_object_array_get_idx(present, 0), "InstanceID"));
		object_put(setting, "properties", properties);
		json_object_array_add(list, setting);
		good = call_with_features(stage, "ModifyFeatureSettings", NULL, list);
	} else if (present && (path = connection_path(stage, nic))) {
		object_put(setting, "properties", properties);
		json_object_array_add(list, setting);
		good = call_with_features(stage, "AddFeatureSettings", path, list);
	} else {
		json_object_put(properties);
		json_object_put(setting);
		json_object_put(list);
	}
	free(path);
	free(class);
	json_object_put(present);
	return good;
}

/* On or Off. False after a message. */
static bool put_switch(struct stage *stage, const char *parameter, const char *property, json *properties)
{
	const char *text = parameters_string(&stage->parameters, parameter);

	if (!text)
		return true;
	if (strcasecmp(text, "On") != 0 && strcasecmp(text, "Off") != 0) {
		stage_error(stage, "-%s is On or Off.", parameter);
		return false;
	}
	object_put(properties, property, json_object_new_boolean(strcasecmp(text, "On") == 0));
	return true;
}

static bool put_monitor(struct stage *stage, json *properties)
{
	static const char *const modes[] = {"None", "Destination", "Source"};
	const char *text = parameters_string(&stage->parameters, "PortMirroring");

	for (int i = 0; text && i < 3; i++)
		if (strcasecmp(text, modes[i]) == 0) {
			object_put(properties, "MonitorMode", json_object_new_int(i));
			return true;
		}
	if (text)
		stage_error(stage, "-PortMirroring is None, Destination or Source.");
	return !text;
}

static void put_number(struct stage *stage, const char *parameter, const char *property, json *properties)
{
	const struct parameter_value *value = parameters_get(&stage->parameters, parameter);
	char *text = object_format("%llu", (unsigned long long)value->number);

	if (value->given)
		object_put_text(properties, property, text);
	free(text);
}

/* Puts the feature unless no parameter was about it. */
static bool put_if_any(struct stage *stage, const struct nic *nic, const char *kind, json *properties)
{
	if (json_object_object_length(properties))
		return put_feature(stage, nic, kind, properties);
	json_object_put(properties);
	return true;
}

static bool set_mac(struct stage *stage, const struct nic *nic)
{
	const char *mac = parameters_string(&stage->parameters, "StaticMacAddress");
	json *setting;

	if (!mac && !parameters_switch(&stage->parameters, "DynamicMacAddress"))
		return true;
	setting = existing(ADAPTER, nic->adapter);
	put_mac(setting, mac);
	return object_modify_setting(stage, setting);
}

static void set_adapter(struct stage *stage, const struct nic *nic)
{
	json *security = json_object_new_object(), *bandwidth = json_object_new_object();

	if (!put_switch(stage, "MacAddressSpoofing", "AllowMacSpoofing", security) ||
	    !put_switch(stage, "DhcpGuard", "EnableDhcpGuard", security) ||
	    !put_switch(stage, "RouterGuard", "EnableRouterGuard", security) ||
	    !put_monitor(stage, security) || !set_mac(stage, nic)) {
		json_object_put(security);
		json_object_put(bandwidth);
		return;
	}
	put_number(stage, "MaximumBandwidth", "Limit", bandwidth);
	put_number(stage, "MinimumBandwidthAbsolute", "Reservation", bandwidth);
	if (!put_if_any(stage, nic, "Security", security)) {
		json_object_put(bandwidth);
		return;
	}
	/* The connection may be new. */
	if (json_object_object_length(bandwidth) && !nic->connection) {
		json *connections = object_components(stage, nic->vm, CONNECTION);
		struct nic again = *nic;

		again.connection = connections ? child_of(connections, nic->adapter) : NULL;
		put_if_any(stage, &again, "Bandwidth", bandwidth);
		json_object_put(connections);
	} else if (!put_if_any(stage, nic, "Bandwidth", bandwidth)) {
		return;
	}
	pass_through(stage, nic);
}

void verb_set_vm_network_adapter(struct stage *stage)
{
	each_nic(stage, set_adapter);
}

/* ---- VLANs ---- */

static json *vlan_object(const struct nic *nic, json *vlan)
{
	static const char *const modes[] = {"Untagged", "Access", "Trunk", "Private"};
	int64_t mode = object_number(vlan, "OperationMode");
	json *o = json_object_new_object(), *trunk = object_member(vlan, "TrunkVlanIdArray");

	object_put_text(o, "VMName", object_text(nic->vm, "Name"));
	object_put_text(o, "VMNetworkAdapterName", object_text(nic->adapter, "ElementName"));
	object_put_text(o, "Mode", mode >= 0 && mode <= VLAN_PRIVATE ? modes[mode] : "");
	object_put(o, "VlanList",
		   mode == VLAN_TRUNK && trunk ? json_object_get(trunk)
		   : mode == VLAN_ACCESS       ? json_object_new_int64(object_number(vlan, "AccessVlanId"))
		   : mode == VLAN_PRIVATE      ? json_object_new_int64(object_number(vlan, "PrimaryVlanId"))
					       : NULL);
	object_put(o, "NativeVlanId", json_object_new_int64(object_number(vlan, "NativeVlanId")));
	object_put_text(o, "Id", object_text(nic->adapter, "InstanceID"));
	object_put_text(o, "VMId", object_text(nic->vm, "Id"));
	return o;
}

static void add_vlan(struct stage *stage, const struct nic *nic)
{
	json *found = features_of(stage, nic, "Vlan");

	if (found)
		json_object_array_add(stage->output, vlan_object(nic, json_object_array_get_idx(found, 0)));
	json_object_put(found);
}

void verb_get_vm_network_adapter_vlan(struct stage *stage)
{
	each_nic(stage, add_vlan);
}

/* "1-100,200" as the list that the service takes. The parameter is cut at commas already. */
static json *vlan_list(struct stage *stage)
{
	const struct parameter_value *value = parameters_get(&stage->parameters, "AllowedVlanIdList");
	json *list = json_object_new_array();

	for (size_t i = 0; i < value->count; i++) {
		char *end;
		long first = strtol(value->items[i], &end, 10),
		     last = *end == '-' ? strtol(end + 1, &end, 10) : first;

		if (*end || first < 1 || last < first || last > VLAN_MAX) {
			stage_error(
				stage,
				"-AllowedVlanIdList: \"%s\" is no VLAN, and no range of VLANs, from 1 to %d.",
				value->items[i], VLAN_MAX);
			json_object_put(list);
			return NULL;
		}
		for (long id = first; id <= last; id++)
			json_object_array_add(list, json_object_new_int64(id));
	}
	return list;
}

static void put_vlan_id(struct stage *stage, json *properties, const char *parameter, const char *property)
{
	const struct parameter_value *value = parameters_get(&stage->parameters, parameter);

	if (value->given)
		object_put(properties, property, json_object_new_int64((int64_t)value->number));
}

static json *describe_vlan(struct stage *stage)
{
	static const struct {
		const char *parameter;
		int mode, pvlan_mode;
	} modes[] = {{"Untagged", 0, 0},
		     {"Access", VLAN_ACCESS, 0},
		     {"Trunk", VLAN_TRUNK, 0},
		     {"Isolated", VLAN_PRIVATE, 1},
		     {"Promiscuous", VLAN_PRIVATE, 3}};
	json *properties = json_object_new_object(), *list;
	unsigned given = 0;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (parameters_switch(&stage->parameters, modes[i].parameter)) {
			object_put(properties, "OperationMode", json_object_new_int(modes[i].mode));
			object_put(properties, "PvlanMode", json_object_new_int(modes[i].pvlan_mode));
			given++;
		}
	list = given == 1 ? vlan_list(stage) : NULL;
	if (given != 1)
		stage_error(stage,
			    "One of -Untagged, -Access, -Trunk, -Isolated and -Promiscuous is needed.");
	if (!list) {
		json_object_put(properties);
		return NULL;
	}
	object_put(properties, "TrunkVlanIdArray", list);
	put_vlan_id(stage, properties, "VlanId", "AccessVlanId");
	put_vlan_id(stage, properties, "NativeVlanId", "NativeVlanId");
	put_vlan_id(stage, properties, "PrimaryVlanId", "PrimaryVlanId");
	put_vlan_id(stage, properties, "SecondaryVlanId", "SecondaryVlanId");
	return properties;
}

static void set_vlan(struct stage *stage, const struct nic *nic)
{
	json *properties = describe_vlan(stage);

	if (properties && put_feature(stage, nic, "Vlan", properties) &&
	    parameters_switch(&stage->parameters, "Passthru"))
		each_of(stage, nic->vm, object_text(nic->adapter, "InstanceID"), add_vlan);
}

void verb_set_vm_network_adapter_vlan(struct stage *stage)
{
	each_nic(stage, set_vlan);
}

/* ---- access lists ---- */

static const char *const acl_actions[] = {"", "Allow", "Deny", "Meter"};
static const char *const acl_directions[] = {"", "Inbound", "Outbound", ""};
#define ACL_TYPE_MAC  1
#define ACL_TYPE_IPV4 2
#define ACL_TYPE_IPV6 3

/* The address with its prefix, and empty for any. */
static char *acl_address(json *acl, const char *property, const char *prefix)
{
	const char *text = object_text(acl, property);

	return !*text || object_number(acl, "AclType") == ACL_TYPE_MAC
		       ? object_format("%s", text)
		       : object_format("%s/%lld", text, (long long)object_number(acl, prefix));
}

static void add_acls(struct stage *stage, const struct nic *nic)
{
	json *found = features_of(stage, nic, "Acl");

	for (size_t i = 0; found && i < json_object_array_length(found); i++) {
		json *acl = json_object_array_get_idx(found, i), *o = json_object_new_object();
		char *local = acl_address(acl, "LocalAddress", "LocalAddressPrefixLength"),
		     *remote = acl_address(acl, "RemoteAddress", "RemoteAddressPrefixLength");

		object_put_text(o, "VMName", object_text(nic->vm, "Name"));
		object_put_text(o, "VMNetworkAdapterName", object_text(nic->adapter, "ElementName"));
		object_put_text(o, "Direction", acl_directions[object_number(acl, "Direction") & 3]);
		object_put_text(o, "Action", acl_actions[object_number(acl, "Action") & 3]);
		object_put_text(o, "LocalAddress", local);
		object_put_text(o, "RemoteAddress", remote);
		object_put_text(o, "Id", object_text(nic->adapter, "InstanceID"));
		object_put_text(o, "VMId", object_text(nic->vm, "Id"));
		json_object_array_add(stage->output, o);
		free(remote);
		free(local);
	}
	json_object_put(found);
}

void verb_get_vm_network_adapter_acl(struct stage *stage)
{
	each_nic(stage, add_acls);
}

/* An entry as parameters say it, in one direction. */
struct acl {
	int action, direction, type;
	const char *address; /* of the end that it is about */
	bool remote;
};

static int code_of(const char *const *names, int count, const char *text)
{
	for (int i = 1; i < count; i++)
		if (text && strcasecmp(names[i], text) == 0)
			return i;
	return 0;
}

/* Calls back for each direction and address that the parameters name. */
static void each_acl(struct stage *stage, const struct nic *nic,
		     void (*visit)(struct stage *stage, const struct nic *nic, const struct acl *acl))
{
	static const struct {
		const char *parameter;
		bool remote, mac;
	} addresses[] = {{"LocalIPAddress", false, false},
			 {"LocalMacAddress", false, true},
			 {"RemoteIPAddress", true, false},
			 {"RemoteMacAddress", true, true}};
	const char *direction = parameters_string(&stage->parameters, "Direction");
	bool both = direction && strcasecmp(direction, "Both") == 0;
	struct acl acl = {.action = code_of(acl_actions, 4, parameters_string(&stage->parameters, "Action")),
			  .direction = code_of(acl_directions, 3, direction)};
	size_t visited = 0;

	if (!acl.action || (!acl.direction && !both)) {
		stage_error(stage,
			    "-Action is Allow, Deny or Meter; -Direction is Inbound, Outbound or Both.");
		return;
	}
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const struct parameter_value *value =
			parameters_get(&stage->parameters, addresses[i].parameter);

		for (size_t n = 0; n < value->count; n++, visited++) {
			acl.address = value->items[n];
			acl.remote = addresses[i].remote;
			acl.type = addresses[i].mac           ? ACL_TYPE_MAC
				   : strchr(acl.address, ':') ? ACL_TYPE_IPV6
							      : ACL_TYPE_IPV4;
			if (both)
				acl.direction = 1;
			visit(stage, nic, &acl);
			if (both) {
				acl.direction = 2;
				visit(stage, nic, &acl);
			}
		}
	}
	if (!visited)
		stage_error(stage,
			    "An address is missing: -RemoteIPAddress, -RemoteMacAddress, -LocalIPAddress or "
			    "-LocalMacAddress.");
}

static void add_acl(struct stage *stage, const struct nic *nic, const struct acl *acl)
{
	json *setting, *properties, *list;
	char *path = connection_path(stage, nic), *address = strdup(acl->address),
	     *slash = strchr(address, '/'),
	     *prefix = object_format("%sAddressPrefixLength", acl->remote ? "Remote" : "Local");

	setting = object_setting("Msvm_EthernetSwitchPortAclSettingData", "", NULL);
	properties = object_member(setting, "properties");
	object_put(properties, "Action", json_object_new_int(acl->action));
	object_put(properties, "Direction", json_object_new_int(acl->direction));
	object_put(properties, "AclType", json_object_new_int(acl->type));
	object_put(properties, "Applicability", json_object_new_int(acl->remote ? 2 : 1));
	if (slash) {
		char *end;
		long bits = strtol(slash + 1, &end, 10);

		*slash = 0;
		if (end == slash + 1 || *end || bits < 0 || bits > 128) {
			stage_error(stage, "\"%s\" has no prefix length behind the slash.", acl->address);
			free(path);
			path = NULL;
		}
		object_put(properties, prefix, json_object_new_int64(bits));
	}
	object_put_text(properties, acl->remote ? "RemoteAddress" : "LocalAddress", address);
	list = json_object_new_array();
	json_object_array_add(list, setting);
	if (path)
		call_with_features(stage, "AddFeatureSettings", path, list);
	else
		json_object_put(list);
	free(prefix);
	free(address);
	free(path);
}

static void add_acls_to(struct stage *stage, const struct nic *nic)
{
	each_acl(stage, nic, add_acl);
	if (parameters_switch(&stage->parameters, "Passthru"))
		each_of(stage, nic->vm, object_text(nic->adapter, "InstanceID"), add_acls);
}

void verb_add_vm_network_adapter_acl(struct stage *stage)
{
	each_nic(stage, add_acls_to);
}

static void remove_acl(struct stage *stage, const struct nic *nic, const struct acl *acl)
{
	json *found = features_of(stage, nic, "Acl"), *paths = json_object_new_array();

	for (size_t i = 0; found && i < json_object_array_length(found); i++) {
		json *entry = json_object_array_get_idx(found, i);
		char *address = acl->remote ? acl_address(entry, "RemoteAddress", "RemoteAddressPrefixLength")
					    : acl_address(entry, "LocalAddress", "LocalAddressPrefixLength");
		size_t size = strcspn(address, "/");
		/* One host may be written with its prefix or without. */
		bool same = strcasecmp(address, acl->address) == 0 ||
			    (!strchr(acl->address, '/') && size == strlen(acl->address) &&
			     strncasecmp(address, acl->address, size) == 0 &&
			     (strcmp(address + size, "/32") == 0 || strcmp(address + size, "/128") == 0));

		if (same && object_number(entry, "Action") == acl->action &&
		    object_number(entry, "Direction") == acl->direction)
			json_object_array_add(paths, json_object_new_string(object_text(entry, "self")));
		free(address);
	}
	json_object_put(found);
	if (json_object_array_length(paths)) {
		call_with_features(stage, "RemoveFeatureSettings", NULL, paths);
	} else {
		stage_error(stage, "The access list of \"%s\" has no such entry.",
			    object_text(nic->vm, "Name"));
		json_object_put(paths);
	}
}

static void remove_acls_from(struct stage *stage, const struct nic *nic)
{
	each_acl(stage, nic, remove_acl);
}

void verb_remove_vm_network_adapter_acl(struct stage *stage)
{
	each_nic(stage, remove_acls_from);
}
