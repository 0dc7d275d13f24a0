/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about virtual machines: REST calls out, PowerShell-shaped objects back. */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/console.h"
#include "cli/objects.h"

#define CLASSES   OBJECT_CLASSES
#define SERVICE   OBJECT_SERVICE
#define SUMMARIES CLASSES "Msvm_SummaryInformation/instances"
#define MIB       (INT64_C(1024) * 1024)

#define REQUEST_ENABLED 2
#define REQUEST_QUIESCE 9

static const char *state_name(int64_t enabled_state)
{
	switch (enabled_state) {
	case 2:
		return "Running";
	case 3:
		return "Off";
	case 4:
		return "Stopping";
	case 9:
		return "Paused";
	case 10:
		return "Starting";
	default:
		return "Other";
	}
}

/* hh:mm:ss, with the days before it once there are any. */
static void put_uptime(json *o, const char *name, int64_t ms)
{
	int64_t seconds = ms / 1000, days = seconds / 86400;
	char text[64];

	snprintf(text, sizeof(text), "%.0lld%s%02d:%02d:%02d", (long long)days, days ? "." : "",
		 (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60), (int)(seconds % 60));
	object_put_text(o, name, text);
}

static json *vm_object(json *summary)
{
	json *o = json_object_new_object(), *status = object_member(summary, "StatusDescriptions");

	object_put_text(o, "Name", object_text(summary, "ElementName"));
	object_put_text(o, "State", state_name(object_number(summary, "EnabledState")));
	object_put(o, "CPUUsage", json_object_new_int64(object_number(summary, "ProcessorLoad")));
	object_put(o, "MemoryAssigned", json_object_new_int64(object_number(summary, "MemoryUsage") * MIB));
	put_uptime(o, "Uptime", object_number(summary, "UpTime"));
	object_put_text(o, "Status",
			json_object_is_type(status, json_type_array) && json_object_array_length(status)
				? json_object_get_string(json_object_array_get_idx(status, 0))
				: "");
	object_put_text(o, "Version", object_text(summary, "Version"));
	guest_describe(o, summary);
	object_put_text(o, "Id", object_text(summary, "Name"));
	object_put(o, "ProcessorCount", json_object_new_int64(object_number(summary, "NumberOfProcessors")));
	object_put_text(o, "Notes", object_text(summary, "Notes"));
	object_put_text(o, "ComputerName", object_text(summary, "HostComputerSystemName"));
	return o;
}

static bool has_wildcard(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

/* Adds machines that the name means; by the server's filter where that can say it. */
static void find_by(struct stage *stage, const char *property, const char *value, json *out)
{
	bool wild = has_wildcard(value);
	json *summaries = wild ? object_list(stage, SUMMARIES)
			       : object_list_where(stage, "Msvm_SummaryInformation", property, value);
	size_t found = 0;

	for (size_t i = 0; summaries && i < json_object_array_length(summaries); i++) {
		json *summary = json_object_array_get_idx(summaries, i);

		if (wild && fnmatch(value, object_text(summary, property), FNM_CASEFOLD) != 0)
			continue;
		json_object_array_add(out, vm_object(summary));
		found++;
	}
	if (summaries && !found && !wild)
		stage_error(stage, "There is no virtual machine with the %s \"%s\".",
			    strcmp(property, "Name") == 0 ? "id" : "name", value);
	json_object_put(summaries);
}

json *vm_chosen(struct stage *stage, const char *parameter)
{
	const struct parameter_value *names = parameters_get(&stage->parameters, parameter);
	json *out = json_object_new_array();

	for (size_t i = 0; i < names->count; i++)
		find_by(stage, "ElementName", names->items[i], out);
	for (size_t i = 0; !names->given && stage->input && i < json_object_array_length(stage->input); i++) {
		json *object = json_object_array_get_idx(stage->input, i);
		const char *id = *object_text(object, "VMId") ? object_text(object, "VMId")
							      : object_text(object, "Id");

		if (*id)
			find_by(stage, "Name", id, out);
		else if (*object_text(object, "Name"))
			find_by(stage, "ElementName", object_text(object, "Name"), out);
		else
			stage_error(stage, "An object of the pipeline is no virtual machine.");
	}
	return out;
}

void verb_get_vm(struct stage *stage)
{
	const struct parameter_value *ids = parameters_get(&stage->parameters, "Id");
	json *found, *summaries;

	for (size_t i = 0; i < ids->count; i++)
		find_by(stage, "Name", ids->items[i], stage->output);
	if (parameters_get(&stage->parameters, "Name")->given || stage->input) {
		found = vm_chosen(stage, "Name");
		for (size_t i = 0; i < json_object_array_length(found); i++)
			json_object_array_add(stage->output,
					      json_object_get(json_object_array_get_idx(found, i)));
		json_object_put(found);
	} else if (!ids->given) {
		summaries = object_list(stage, SUMMARIES);
		for (size_t i = 0; summaries && i < json_object_array_length(summaries); i++)
			json_object_array_add(stage->output,
					      vm_object(json_object_array_get_idx(summaries, i)));
		json_object_put(summaries);
	}
}

/* KernelPath, InitialRamdiskPath, CommandLine as given. False: none was. */
static bool put_direct_boot(struct stage *stage, json *setting_object)
{
	static const char *const names[] = {"KernelPath", "InitialRamdiskPath", "CommandLine"};
	bool any = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *text = parameters_string(&stage->parameters, names[i]);

		if (text)
			object_put_text(object_member(setting_object, "properties"), names[i], text);
		any |= text != NULL;
	}
	return any;
}

static json *quantity(const char *class, const char *id, const char *suffix, uint64_t number)
{
	json *o = object_setting(class, id, suffix);
	char *text = object_format("%llu", (unsigned long long)number);

	object_put_text(object_member(o, "properties"), "VirtualQuantity", text);
	free(text);
	return o;
}

bool vm_mebibytes(struct stage *stage, const char *name, uint64_t *mib)
{
	const struct parameter_value *value = parameters_get(&stage->parameters, name);

	if (value->given && value->number % (uint64_t)MIB) {
		stage_error(stage, "-%s must be a whole number of MiB.", name);
		return false;
	}
	*mib = value->number / (uint64_t)MIB;
	return true;
}

/* The path of the disk, made first where it is to be a new one; NULL: none. False: an error was counted. */
static bool new_vm_disk(struct stage *stage, const char **path)
{
	const struct parameter_value *size = parameters_get(&stage->parameters, "NewVHDSizeBytes");
	const char *new_path = parameters_string(&stage->parameters, "NewVHDPath");

	*path = parameters_string(&stage->parameters, "VHDPath");
	if (!new_path && !size->given)
		return true;
	if (!new_path || !size->given || *path) {
		stage_error(stage, "-NewVHDPath and -NewVHDSizeBytes go together, and without -VHDPath.");
		return false;
	}
	*path = new_path;
	return vhd_create_dynamic(stage, new_path, size->number);
}

void verb_new_vm(struct stage *stage)
{
	const char *name = parameters_string(&stage->parameters, "Name");
	const struct parameter_value *count = parameters_get(&stage->parameters, "ProcessorCount");
	json *body = json_object_new_object(),
	     *system = object_setting("Msvm_VirtualSystemSettingData", "", NULL);
	json *resources = json_object_new_array(), *direct, *answer;
	const char *disk;
	uint64_t mib;

	if (!vm_mebibytes(stage, "MemoryStartupBytes", &mib) || !new_vm_disk(stage, &disk)) {
		json_object_put(body);
		json_object_put(system);
		json_object_put(resources);
		return;
	}
	if (name)
		object_put_text(object_member(system, "properties"), "ElementName", name);
	if (parameters_get(&stage->parameters, "MemoryStartupBytes")->given)
		json_object_array_add(resources, quantity("Msvm_MemorySettingData", "", NULL, mib));
	if (count->given)
		json_object_array_add(resources,
				      quantity("Msvm_ProcessorSettingData", "", NULL, count->number));
	direct = object_setting("Undercroft_LinuxKernelDirectSettingData", "", NULL);
	if (put_direct_boot(stage, direct))
		json_object_array_add(resources, direct);
	else
		json_object_put(direct);
	device_describe_disk(resources, disk);
	if (!nic_describe(stage, resources, NULL, parameters_string(&stage->parameters, "SwitchName"))) {
		json_object_put(body);
		json_object_put(system);
		json_object_put(resources);
		return;
	}
	object_put(body, "SystemSettings", system);
	object_put(body, "ResourceSettings", resources);
	answer = object_invoke(stage, SERVICE, "DefineSystem", body);
	if (answer) {
		const char *id = strrchr(object_text(answer, "ResultingSystem"), '=');

		if (id)
			find_by(stage, "Name", id + 1, stage->output);
	}
	json_object_put(answer);
}

void vm_pass_through(struct stage *stage, json *vm)
{
	if (parameters_switch(&stage->parameters, "Passthru"))
		find_by(stage, "Name", object_text(vm, "Id"), stage->output);
}

static bool set_direct_boot(struct stage *stage, const char *id)
{
	static const char class[] = "Undercroft_LinuxKernelDirectSettingData";
	json *change = object_setting(class, id, "LinuxKernelDirect"), *present, *list, *answer;
	bool given = put_direct_boot(stage, change), good;

	present = given ? object_list_where(stage, class, "InstanceID",
					    object_text(object_member(change, "properties"), "InstanceID"))
			: NULL;
	if (!present) {
		json_object_put(change);
		return !given;
	}
	if (json_object_array_length(present)) {
		good = object_modify_setting(stage, change);
	} else {
		json_object_object_del(object_member(change, "properties"), "InstanceID");
		list = json_object_new_array();
		json_object_array_add(list, change);
		answer = object_add_settings(stage, id, list);
		good = answer != NULL;
		json_object_put(answer);
	}
	json_object_put(present);
	return good;
}

static bool set_system(struct stage *stage, const char *id, const char *name, const char *notes)
{
	json *o = object_setting("Msvm_VirtualSystemSettingData", id, NULL), *lines, *body;

	if (name)
		object_put_text(object_member(o, "properties"), "ElementName", name);
	if (notes) {
		lines = json_object_new_array();
		json_object_array_add(lines, json_object_new_string(notes));
		object_put(object_member(o, "properties"), "Notes", lines);
	}
	body = json_object_new_object();
	object_put(body, "SystemSettings", o);
	return object_call(stage, SERVICE, "ModifySystemSettings", body);
}

static bool set_quantity(struct stage *stage, const char *id, const char *class, const char *suffix,
			 uint64_t number)
{
	return object_modify_setting(stage, quantity(class, id, suffix, number));
}

void verb_set_vm(struct stage *stage)
{
	const char *name = parameters_string(&stage->parameters, "NewVMName");
	const char *notes = parameters_string(&stage->parameters, "Notes");
	const struct parameter_value *count = parameters_get(&stage->parameters, "ProcessorCount");
	bool dynamic = parameters_switch(&stage->parameters, "DynamicMemory"),
	     fixed = parameters_switch(&stage->parameters, "StaticMemory");
	struct guest_memory_names memory = {.startup = "MemoryStartupBytes",
					    .minimum = "MemoryMinimumBytes",
					    .maximum = "MemoryMaximumBytes",
					    .dynamic = dynamic ? "true"
						       : fixed ? "false"
							       : NULL};
	json *vms;

	if (dynamic && fixed) {
		stage_error(stage, "-DynamicMemory and -StaticMemory exclude each other.");
		return;
	}
	vms = vm_chosen(stage, "Name");
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i);
		const char *id = object_text(vm, "Id");

		if (count->given &&
		    !set_quantity(stage, id, "Msvm_ProcessorSettingData", "Processor", count->number))
			continue;
		if (!guest_set_memory(stage, id, &memory))
			continue;
		if (!set_direct_boot(stage, id))
			continue;
		if ((name || notes) && !set_system(stage, id, name, notes))
			continue;
		vm_pass_through(stage, vm);
	}
	json_object_put(vms);
}

void verb_rename_vm(struct stage *stage)
{
	json *vms = vm_chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i);

		if (set_system(stage, object_text(vm, "Id"), parameters_string(&stage->parameters, "NewName"),
			       NULL))
			vm_pass_through(stage, vm);
	}
	json_object_put(vms);
}

char *vm_path(json *vm)
{
	return object_format(CLASSES
			     "Msvm_ComputerSystem/instances/CreationClassName=Msvm_ComputerSystem,Name=%s",
			     object_text(vm, "Id"));
}

bool vm_confirmed(struct stage *stage, const char *what, const char *name)
{
	char answer[16];

	if (parameters_switch(&stage->parameters, "Force"))
		return true;
	if (!isatty(STDIN_FILENO)) {
		stage_error(stage, "%s \"%s\" needs -Force where nobody can be asked.", what, name);
		return false;
	}
	fprintf(stderr, "%s \"%s\"? [Y] Yes  [N] No (default is \"Y\"): ", what, name);
	return fgets(answer, sizeof(answer), stdin) &&
	       (answer[0] == '\n' || answer[0] == 'y' || answer[0] == 'Y');
}

void vm_request_state(struct stage *stage, int requested, const char *confirm)
{
	json *vms = vm_chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i), *body;
		char *path;

		if (confirm && !vm_confirmed(stage, confirm, object_text(vm, "Name")))
			continue;
		body = json_object_new_object();
		object_put(body, "RequestedState", json_object_new_int(requested));
		path = vm_path(vm);
		if (object_call(stage, path, "RequestStateChange", body))
			vm_pass_through(stage, vm);
		free(path);
	}
	json_object_put(vms);
}

void verb_start_vm(struct stage *stage)
{
	vm_request_state(stage, REQUEST_ENABLED, NULL);
}

void verb_suspend_vm(struct stage *stage)
{
	vm_request_state(stage, REQUEST_QUIESCE, NULL);
}

void verb_resume_vm(struct stage *stage)
{
	vm_request_state(stage, REQUEST_ENABLED, NULL);
}

void verb_remove_vm(struct stage *stage)
{
	json *vms = vm_chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i), *body;
		char *path;

		if (!vm_confirmed(stage, "Remove", object_text(vm, "Name")))
			continue;
		body = json_object_new_object();
		path = vm_path(vm);
		object_put_text(body, "AffectedSystem", path);
		free(path);
		if (object_call(stage, SERVICE, "DestroySystem", body) &&
		    parameters_switch(&stage->parameters, "Passthru"))
			json_object_array_add(stage->output, json_object_get(vm));
	}
	json_object_put(vms);
}

void verb_connect_vm(struct stage *stage)
{
	json *vms = vm_chosen(stage, "VMName");
	char *path;

	if (json_object_array_length(vms) > 1) {
		stage_error(stage, "Several virtual machines have this name.");
	} else if (json_object_array_length(vms) == 1) {
		path = object_setting_path("Msvm_SerialPortSettingData",
					   object_text(json_object_array_get_idx(vms, 0), "Id"), "COM1");
		stage->shell->errors += console_connect(&stage->shell->client, path);
		free(path);
	}
	json_object_put(vms);
}

json *vm_setting(struct stage *stage, const char *class, const char *id, const char *suffix)
{
	char *path = object_setting_path(class, id, suffix);
	json *o = client_get(&stage->shell->client, path),
	     *properties = json_object_get(object_member(o, "properties"));

	free(path);
	if (!o)
		stage->shell->errors++;
	json_object_put(o);
	return properties;
}

static void add_processor(struct stage *stage, json *vm)
{
	json *properties = vm_setting(stage, "Msvm_ProcessorSettingData", object_text(vm, "Id"), "Processor"),
	     *o;

	if (!properties)
		return;
	o = json_object_new_object();
	object_put_text(o, "VMName", object_text(vm, "Name"));
	object_put(o, "Count", json_object_new_int64(object_number(properties, "VirtualQuantity")));
	object_put_text(o, "VMId", object_text(vm, "Id"));
	json_object_array_add(stage->output, o);
	json_object_put(properties);
}

void vm_each(struct stage *stage, void (*visit)(struct stage *stage, json *vm))
{
	json *vms = vm_chosen(stage, "VMName");

	for (size_t i = 0; i < json_object_array_length(vms); i++)
		visit(stage, json_object_array_get_idx(vms, i));
	json_object_put(vms);
}

void verb_get_vm_processor(struct stage *stage)
{
	vm_each(stage, add_processor);
}

static void change_processor(struct stage *stage, json *vm)
{
	const struct parameter_value *count = parameters_get(&stage->parameters, "Count");

	if (count->given && !set_quantity(stage, object_text(vm, "Id"), "Msvm_ProcessorSettingData",
					  "Processor", count->number))
		return;
	if (parameters_switch(&stage->parameters, "Passthru"))
		add_processor(stage, vm);
}

void verb_set_vm_processor(struct stage *stage)
{
	vm_each(stage, change_processor);
}

void verb_get_vm_host(struct stage *stage)
{
	json *hosts = object_list(
		stage,
		CLASSES "Msvm_ComputerSystem/instances?$filter=Caption%20eq%20'Hosting%20Computer%20System'");

	for (size_t i = 0; hosts && i < json_object_array_length(hosts); i++) {
		json *host = json_object_array_get_idx(hosts, i), *o = json_object_new_object();

		object_put_text(o, "Name", object_text(host, "Name"));
		object_put_text(o, "ComputerName", object_text(host, "ElementName"));
		put_uptime(o, "Uptime", object_number(host, "OnTimeInMilliseconds"));
		json_object_array_add(stage->output, o);
	}
	json_object_put(hosts);
}

void verb_get_cim_instance(struct stage *stage)
{
	const char *filter = parameters_string(&stage->parameters, "Filter");
	char *class = client_encode(parameters_string(&stage->parameters, "ClassName"));
	char *encoded = client_encode(filter ? filter : "");
	char *path = object_format(CLASSES "%s/instances%s%s", class, filter ? "?$filter=" : "", encoded);
	json *found = object_list(stage, path);

	/* What the class has, no more. */
	for (size_t i = 0; found && i < json_object_array_length(found); i++)
		json_object_object_del(json_object_array_get_idx(found, i), "self");
	if (found) {
		json_object_put(stage->output);
		stage->output = found;
	}
	free(path);
	free(encoded);
	free(class);
}
