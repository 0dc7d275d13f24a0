/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about guests: shutdown, memory, integration services, key-value items, files. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/objects.h"

#define MIB            (INT64_C(1024) * 1024)
#define STATE_ENABLED  2
#define STATE_DISABLED 3

#define REQUEST_DISABLED 3
#define REQUEST_SHUTDOWN 4
#define REQUEST_OFFLINE  6
#define REQUEST_REBOOT   10
#define REQUEST_RESET    11

#define STATUS_OK          2
#define STATUS_NO_CONTACT  12
#define STATUS_LOST        13
#define STATUS_APPLICATION 32782 /* critical */
#define WEIGHT_PER_CENT    100   /* of a priority */

/* ---- what a list of machines shows ---- */

static const char *heartbeat_name(json *summary)
{
	int64_t application = object_number(summary, "ApplicationHealth");

	switch (object_number(summary, "Heartbeat")) {
	case 0:
		return "";
	case STATUS_OK:
		return application == STATUS_OK            ? "OkApplicationsHealthy"
		       : application == STATUS_APPLICATION ? "OkApplicationsCritical"
							   : "OkApplicationsUnknown";
	case STATUS_NO_CONTACT:
		return "NoContact";
	case STATUS_LOST:
		return "LostCommunication";
	default:
		return "Error";
	}
}

/* Empty without figures of the guest; low when its buffer is partly, a warning when it is wholly used up. */
static const char *memory_status(json *summary)
{
	if (!object_member(summary, "MemoryAvailable"))
		return "";
	if (object_number(summary, "MemoryAvailable") < 0)
		return "Warning";
	return object_number(summary, "AvailableMemoryBuffer") < 80 ? "Low" : "OK";
}

void guest_describe(json *vm, json *summary)
{
	json *addresses = object_member(summary, "Undercroft_IPAddresses");

	object_put_text(vm, "Heartbeat", heartbeat_name(summary));
	object_put(vm, "MemoryDemand",
		   json_object_new_int64(object_number(summary, "Undercroft_MemoryDemand") * MIB));
	object_put_text(vm, "MemoryStatus", memory_status(summary));
	object_put(vm, "IPAddresses",
		   addresses ? json_object_get(addresses) : json_object_new_array());
	object_put_text(vm, "GuestOperatingSystem", object_text(summary, "GuestOperatingSystem"));
}

/* The instance of a class that belongs to a machine, with its path; NULL: there is none now. */
static json *instance_of(struct stage *stage, json *vm, const char *class)
{
	json *found = object_list_where(stage, class, "SystemName", object_text(vm, "Id")),
	     *instance = found && json_object_array_length(found)
				 ? json_object_get(json_object_array_get_idx(found, 0))
				 : NULL;

	json_object_put(found);
	return instance;
}

/* ---- shutdown ---- */

/* A method of the machine's shutdown component, or a plain request, whose refusal says why there is none. */
static void ask_to_go(struct stage *stage, json *vm, const char *method, int plain)
{
	json *component = instance_of(stage, vm, "Msvm_ShutdownComponent"), *body = json_object_new_object();
	char *path = component ? object_format("%s", object_text(component, "self")) : vm_path(vm);

	if (component)
		object_put(body, "Force",
			   json_object_new_boolean(parameters_switch(&stage->parameters, "Force")));
	else
		object_put(body, "RequestedState", json_object_new_int(plain));
	if (object_call(stage, path, component ? method : "RequestStateChange", body))
		vm_pass_through(stage, vm);
	free(path);
	json_object_put(component);
}

static void each_to_go(struct stage *stage, const char *method, int plain)
{
	json *vms = vm_chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++)
		ask_to_go(stage, json_object_array_get_idx(vms, i), method, plain);
	json_object_put(vms);
}

void verb_stop_vm(struct stage *stage)
{
	if (parameters_switch(&stage->parameters, "TurnOff"))
		vm_request_state(stage, REQUEST_DISABLED, NULL);
	else if (parameters_switch(&stage->parameters, "Save"))
		vm_request_state(stage, REQUEST_OFFLINE, NULL);
	else
		each_to_go(stage, "InitiateShutdown", REQUEST_SHUTDOWN);
}

void verb_restart_vm(struct stage *stage)
{
	const char *type = parameters_string(&stage->parameters, "Type");

	if (!type || strcasecmp(type, "Reset") == 0)
		vm_request_state(stage, REQUEST_RESET, "Reset");
	else if (strcasecmp(type, "Reboot") == 0)
		each_to_go(stage, "InitiateReboot", REQUEST_REBOOT);
	else
		stage_error(stage, "-Type: \"%s\" is neither Reset nor Reboot.", type);
}

/* ---- memory ---- */

/* -1: it is none. */
static int truth(const char *text)
{
	text += *text == '$';
	if (strcasecmp(text, "true") == 0 || strcmp(text, "1") == 0)
		return 1;
	return strcasecmp(text, "false") == 0 || strcmp(text, "0") == 0 ? 0 : -1;
}

static bool put_size(struct stage *stage, json *properties, const char *parameter, const char *property)
{
	uint64_t mib;
	char *text;

	if (!parameter || !parameters_get(&stage->parameters, parameter)->given)
		return true;
	if (!vm_mebibytes(stage, parameter, &mib))
		return false;
	text = object_format("%llu", (unsigned long long)mib);
	object_put_text(properties, property, text);
	free(text);
	return true;
}

/* The service is the judge of the range; here it only has to fit into a number. */
static void put_number(struct stage *stage, json *properties, const char *parameter, const char *property,
		       uint64_t factor)
{
	const struct parameter_value *value =
		parameter ? parameters_get(&stage->parameters, parameter) : NULL;

	if (value && value->given)
		object_put(properties, property,
			   json_object_new_uint64(value->number > UINT32_MAX ? UINT32_MAX
									     : value->number * factor));
}

bool guest_set_memory(struct stage *stage, const char *vm_id, const struct guest_memory_names *names)
{
	json *setting = object_setting("Msvm_MemorySettingData", vm_id, "Memory"),
	     *properties = object_member(setting, "properties");
	int dynamic = names->dynamic ? truth(names->dynamic) : -1;

	if (names->dynamic && dynamic < 0) {
		stage_error(stage, "-DynamicMemoryEnabled: \"%s\" is neither $true nor $false.",
			    names->dynamic);
		json_object_put(setting);
		return false;
	}
	if (!put_size(stage, properties, names->startup, "VirtualQuantity") ||
	    !put_size(stage, properties, names->minimum, "Reservation") ||
	    !put_size(stage, properties, names->maximum, "Limit")) {
		json_object_put(setting);
		return false;
	}
	put_number(stage, properties, names->buffer, "TargetMemoryBuffer", 1);
	put_number(stage, properties, names->priority, "Weight", WEIGHT_PER_CENT);
	if (dynamic >= 0)
		object_put(properties, "DynamicMemoryEnabled", json_object_new_boolean(dynamic));
	/* Nothing but its InstanceID: nothing is asked. */
	if (json_object_object_length(properties) > 1)
		return object_modify_setting(stage, setting);
	json_object_put(setting);
	return true;
}

static void put_mib(json *o, const char *name, json *properties, const char *property)
{
	object_put(o, name, json_object_new_int64(object_number(properties, property) * MIB));
}

static void add_memory(struct stage *stage, json *vm)
{
	json *properties = vm_setting(stage, "Msvm_MemorySettingData", object_text(vm, "Id"), "Memory"), *o;

	if (!properties)
		return;
	o = json_object_new_object();
	object_put_text(o, "VMName", object_text(vm, "Name"));
	object_put(o, "DynamicMemoryEnabled",
		   json_object_get(object_member(properties, "DynamicMemoryEnabled")));
	put_mib(o, "Minimum", properties, "Reservation");
	put_mib(o, "Startup", properties, "VirtualQuantity");
	put_mib(o, "Maximum", properties, "Limit");
	object_put(o, "Buffer", json_object_new_int64(object_number(properties, "TargetMemoryBuffer")));
	object_put(o, "Priority",
		   json_object_new_int64(object_number(properties, "Weight") / WEIGHT_PER_CENT));
	object_put_text(o, "VMId", object_text(vm, "Id"));
	json_object_array_add(stage->output, o);
	json_object_put(properties);
}

void verb_get_vm_memory(struct stage *stage)
{
	vm_each(stage, add_memory);
}

static void change_memory(struct stage *stage, json *vm)
{
	struct guest_memory_names names = {
		.startup = "StartupBytes",
		.minimum = "MinimumBytes",
		.maximum = "MaximumBytes",
		.buffer = "Buffer",
		.priority = "Priority",
		.dynamic = parameters_string(&stage->parameters, "DynamicMemoryEnabled")};

	if (guest_set_memory(stage, object_text(vm, "Id"), &names) &&
	    parameters_switch(&stage->parameters, "Passthru"))
		add_memory(stage, vm);
}

void verb_set_vm_memory(struct stage *stage)
{
	vm_each(stage, change_memory);
}

/* ---- integration services ---- */

/* What the guest's half of a service says of itself: the first or second of its descriptions. */
static const char *status_description(json *device, size_t index)
{
	json *texts = object_member(device, "StatusDescriptions");

	return json_object_is_type(texts, json_type_array) && json_object_array_length(texts) > index
		       ? json_object_get_string(json_object_array_get_idx(texts, index))
		       : "";
}

static json *service_object(json *vm, json *component, json *device)
{
	json *o = json_object_new_object();

	object_put_text(o, "VMName", object_text(vm, "Name"));
	object_put_text(o, "Name", object_text(component, "ElementName"));
	object_put(o, "Enabled",
		   json_object_new_boolean(object_number(component, "EnabledState") == STATE_ENABLED));
	object_put_text(o, "PrimaryStatusDescription", status_description(device, 0));
	object_put_text(o, "SecondaryStatusDescription", status_description(device, 1));
	object_put_text(o, "Id", object_text(component, "InstanceID"));
	object_put_text(o, "VMId", object_text(vm, "Id"));
	return o;
}

typedef void visit_service(struct stage *stage, json *vm, const char *class, json *component);

/* Those of a machine that one of the names means; without names all. Complains when there is none. */
static void each_service(struct stage *stage, json *vm, const char *const *names, size_t count,
			 visit_service *visit)
{
	/* In the order of their names, as tables show them. */
	static const char *const classes[] = {"Msvm_GuestServiceInterfaceComponentSettingData",
					      "Msvm_HeartbeatComponentSettingData",
					      "Msvm_KvpExchangeComponentSettingData",
					      "Msvm_ShutdownComponentSettingData",
					      "Msvm_TimeSyncComponentSettingData",
					      "Msvm_VssComponentSettingData"};
	int errors = stage->shell->errors;
	bool any = false;

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		json *found = object_components(stage, vm, classes[i]),
		     *component = found ? json_object_array_get_idx(found, 0) : NULL;
		bool wanted = !count;

		for (size_t n = 0; n < count; n++)
			wanted |= fnmatch(names[n], object_text(component, "ElementName"), FNM_CASEFOLD) == 0;
		if (component && wanted) {
			visit(stage, vm, classes[i], component);
			any = true;
		}
		json_object_put(found);
	}
	if (!any && errors == stage->shell->errors)
		stage_error(stage, "\"%s\" has no integration service \"%s\".", object_text(vm, "Name"),
			    count ? names[0] : "");
}

/* Of the machines that the parameters mean, or of those that come through the pipeline. */
static void each_named_service(struct stage *stage, visit_service *visit)
{
	const struct parameter_value *names = parameters_get(&stage->parameters, "Name");
	json *vms = vm_chosen(stage, "VMName");

	for (size_t i = 0; i < json_object_array_length(vms); i++)
		each_service(stage, json_object_array_get_idx(vms, i), names->items, names->count, visit);
	json_object_put(vms);
}

static void get_service(struct stage *stage, json *vm, const char *class, json *component)
{
	/* Msvm_XComponentSettingData has its running half in Msvm_XComponent. */
	char *running = object_format("%.*s", (int)(strlen(class) - strlen("SettingData")), class);
	json *device = instance_of(stage, vm, running);

	json_object_array_add(stage->output, service_object(vm, component, device));
	json_object_put(device);
	free(running);
}

void verb_get_vm_service(struct stage *stage)
{
	each_named_service(stage, get_service);
}

static void switch_service(struct stage *stage, json *vm, const char *class, json *component, int state)
{
	json *setting = object_setting(class, "", NULL), *properties = object_member(setting, "properties");

	object_put_text(properties, "InstanceID", object_text(component, "InstanceID"));
	object_put(properties, "EnabledState", json_object_new_int(state));
	if (!object_modify_setting(stage, setting) || !parameters_switch(&stage->parameters, "Passthru"))
		return;
	object_put(component, "EnabledState", json_object_new_int(state));
	get_service(stage, vm, class, component);
}

static void enable_service(struct stage *stage, json *vm, const char *class, json *component)
{
	switch_service(stage, vm, class, component, STATE_ENABLED);
}

static void disable_service(struct stage *stage, json *vm, const char *class, json *component)
{
	switch_service(stage, vm, class, component, STATE_DISABLED);
}

/* Without -Name the pipeline brings services, not machines. */
static void switch_services(struct stage *stage, visit_service *visit)
{
	if (!object_is_piped(stage) || parameters_get(&stage->parameters, "Name")->given) {
		each_named_service(stage, visit);
		return;
	}
	for (size_t i = 0; i < json_object_array_length(stage->input); i++) {
		json *service = json_object_array_get_idx(stage->input, i), *vm;
		const char *name = object_text(service, "Name");

		if (!object_piped_id(stage, i, "integration service"))
			continue;
		vm = object_machine(service);
		each_service(stage, vm, &name, 1, visit);
		json_object_put(vm);
	}
}

void verb_enable_vm_service(struct stage *stage)
{
	switch_services(stage, enable_service);
}

void verb_disable_vm_service(struct stage *stage)
{
	switch_services(stage, disable_service);
}

/* ---- key-value items ---- */

static void add_items(struct stage *stage, json *vm, json *items)
{
	static const char *const sources[] = {"Host", "Guest", "Intrinsic", "", "HostOnly"};
	const struct parameter_value *names = parameters_get(&stage->parameters, "Name");

	for (size_t i = 0; json_object_is_type(items, json_type_array) && i < json_object_array_length(items);
	     i++) {
		json *properties = object_member(json_object_array_get_idx(items, i), "properties"),
		     *o = json_object_new_object();
		int64_t source = object_number(properties, "Source");
		bool wanted = !names->count;

		for (size_t n = 0; n < names->count; n++)
			wanted |=
				fnmatch(names->items[n], object_text(properties, "Name"), FNM_CASEFOLD) == 0;
		object_put_text(o, "VMName", object_text(vm, "Name"));
		object_put_text(o, "Source", source >= 0 && source <= 4 ? sources[source] : "");
		object_put_text(o, "Name", object_text(properties, "Name"));
		object_put_text(o, "Data", object_text(properties, "Data"));
		object_put_text(o, "VMId", object_text(vm, "Id"));
		if (wanted)
			json_object_array_add(stage->output, o);
		else
			json_object_put(o);
	}
}

static void get_items(struct stage *stage, json *vm)
{
	json *component = instance_of(stage, vm, "Msvm_KvpExchangeComponent"),
	     *settings = object_components(stage, vm, "Msvm_KvpExchangeComponentSettingData"),
	     *setting = settings ? json_object_array_get_idx(settings, 0) : NULL;

	add_items(stage, vm, object_member(component, "GuestIntrinsicExchangeItems"));
	add_items(stage, vm, object_member(component, "GuestExchangeItems"));
	add_items(stage, vm, object_member(setting, "HostExchangeItems"));
	add_items(stage, vm, object_member(setting, "HostOnlyItems"));
	json_object_put(settings);
	json_object_put(component);
}

void verb_get_vm_kvp_item(struct stage *stage)
{
	vm_each(stage, get_items);
}

/* AddKvpItems and its like, for one item. `data` NULL: it has none. */
static bool call_kvp(struct stage *stage, json *vm, const char *method, const char *data, int source)
{
	json *body = json_object_new_object(), *items = json_object_new_array(),
	     *item = object_setting("Msvm_KvpExchangeDataItem", "", NULL),
	     *properties = object_member(item, "properties");
	char *path = vm_path(vm);

	object_put_text(properties, "Name", parameters_string(&stage->parameters, "Name"));
	if (data) {
		object_put_text(properties, "Data", data);
		object_put(properties, "Source", json_object_new_int(source));
	}
	json_object_array_add(items, item);
	object_put_text(body, "TargetSystem", path);
	object_put(body, "DataItems", items);
	free(path);
	return object_call(stage, OBJECT_SERVICE, method, body);
}

static bool has_item(json *items, const char *name)
{
	for (size_t i = 0; json_object_is_type(items, json_type_array) && i < json_object_array_length(items);
	     i++)
		if (strcmp(object_text(object_member(json_object_array_get_idx(items, i), "properties"),
				       "Name"),
			   name) == 0)
			return true;
	return false;
}

static void set_item(struct stage *stage, json *vm)
{
	const char *name = parameters_string(&stage->parameters, "Name"),
		   *data = parameters_string(&stage->parameters, "Data");
	json *settings = object_components(stage, vm, "Msvm_KvpExchangeComponentSettingData"),
	     *setting = settings ? json_object_array_get_idx(settings, 0) : NULL;
	bool there = has_item(object_member(setting, "HostExchangeItems"), name) ||
		     has_item(object_member(setting, "HostOnlyItems"), name);

	if (setting)
		call_kvp(stage, vm, there ? "ModifyKvpItems" : "AddKvpItems", data ? data : "",
			 parameters_switch(&stage->parameters, "HostOnly") ? 4 : 0);
	json_object_put(settings);
}

void verb_set_vm_kvp_item(struct stage *stage)
{
	vm_each(stage, set_item);
}

static void remove_item(struct stage *stage, json *vm)
{
	call_kvp(stage, vm, "RemoveKvpItems", NULL, 0);
}

void verb_remove_vm_kvp_item(struct stage *stage)
{
	vm_each(stage, remove_item);
}

/* ---- files ---- */

static void copy_file(struct stage *stage, json *vm)
{
	json *service = instance_of(stage, vm, "Msvm_GuestFileService"), *body, *settings, *setting,
	     *properties;

	if (!service) {
		stage_error(
			stage,
			"\"%s\" takes no files: it does not run, or its integration service \"Guest Service "
			"Interface\" is not enabled.",
			object_text(vm, "Name"));
		return;
	}
	body = json_object_new_object();
	settings = json_object_new_array();
	setting = object_setting("Msvm_CopyFileToGuestSettingData", "", NULL);
	properties = object_member(setting, "properties");
	object_put_text(properties, "SourcePath", parameters_string(&stage->parameters, "SourcePath"));
	object_put_text(properties, "DestinationPath",
			parameters_string(&stage->parameters, "DestinationPath"));
	object_put(properties, "OverwriteExisting",
		   json_object_new_boolean(parameters_switch(&stage->parameters, "Force")));
	object_put(properties, "CreateFullPath",
		   json_object_new_boolean(parameters_switch(&stage->parameters, "CreateFullPath")));
	json_object_array_add(settings, setting);
	object_put(body, "CopyFileToGuestSettings", settings);
	object_call(stage, object_text(service, "self"), "CopyFilesToGuest", body);
	json_object_put(service);
}

void verb_copy_vm_file(struct stage *stage)
{
	const char *from = parameters_string(&stage->parameters, "FileSource");
	json *vms;

	if (strcasecmp(from, "Host") != 0) {
		stage_error(stage, "-FileSource: \"%s\" is not supported, Host is.", from);
		return;
	}
	vms = vm_chosen(stage, "Name");
	for (size_t i = 0; i < json_object_array_length(vms); i++)
		copy_file(stage, json_object_array_get_idx(vms, i));
	json_object_put(vms);
}
