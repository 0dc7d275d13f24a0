/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about virtual machines: REST calls out, PowerShell-shaped objects back. */
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/console.h"
#include "cli/shell.h"

#define CLASSES   "/api/v2/classes/"
#define SERVICE   CLASSES "Msvm_VirtualSystemManagementService/instances/vmms"
#define SUMMARIES CLASSES "Msvm_SummaryInformation/instances"
#define MIB       (INT64_C(1024) * 1024)

#define REQUEST_ENABLED  2
#define REQUEST_DISABLED 3
#define REQUEST_SHUTDOWN 4
#define REQUEST_OFFLINE  6
#define REQUEST_QUIESCE  9
#define REQUEST_RESET    11

typedef struct json_object json;

static json *member(json *o, const char *name)
{
	json *value = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, name, &value);
	return value;
}

static const char *text_of(json *o, const char *name)
{
	json *value = member(o, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

/* 64-bit integers come as strings. */
static int64_t number_of(json *o, const char *name)
{
	json *value = member(o, name);

	return value ? json_object_get_int64(value) : 0;
}

static void put(json *o, const char *name, json *value)
{
	json_object_object_add(o, name, value);
}

static void put_text(json *o, const char *name, const char *text)
{
	put(o, name, json_object_new_string(text));
}

static char *format(const char *form, ...) __attribute__((format(printf, 1, 2)));
static char *format(const char *form, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, form);
	if (vasprintf(&text, form, arguments) < 0)
		abort();
	va_end(arguments);
	return text;
}

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
	put_text(o, name, text);
}

static json *vm_object(json *summary)
{
	json *o = json_object_new_object(), *status = member(summary, "StatusDescriptions");

	put_text(o, "Name", text_of(summary, "ElementName"));
	put_text(o, "State", state_name(number_of(summary, "EnabledState")));
	put(o, "CPUUsage", json_object_new_int64(number_of(summary, "ProcessorLoad")));
	put(o, "MemoryAssigned", json_object_new_int64(number_of(summary, "MemoryUsage") * MIB));
	put_uptime(o, "Uptime", number_of(summary, "UpTime"));
	put_text(o, "Status",
		 json_object_is_type(status, json_type_array) && json_object_array_length(status)
			 ? json_object_get_string(json_object_array_get_idx(status, 0))
			 : "");
	put_text(o, "Version", text_of(summary, "Version"));
	put_text(o, "Id", text_of(summary, "Name"));
	put(o, "ProcessorCount", json_object_new_int64(number_of(summary, "NumberOfProcessors")));
	put_text(o, "Notes", text_of(summary, "Notes"));
	put_text(o, "ComputerName", text_of(summary, "HostComputerSystemName"));
	return o;
}

/* Follows "next". Adds the "properties" of each instance to a new array; NULL after an error. */
static json *list_properties(struct stage *stage, const char *path)
{
	json *all = json_object_new_array();
	char *next = strdup(path);

	while (next) {
		json *page = client_get(&stage->shell->client, next), *instances = member(page, "instances");

		free(next);
		next = NULL;
		if (!page) {
			stage->shell->errors++;
			json_object_put(all);
			return NULL;
		}
		for (size_t i = 0; instances && i < json_object_array_length(instances); i++) {
			json *properties = member(json_object_array_get_idx(instances, i), "properties");

			json_object_array_add(all, json_object_get(properties));
		}
		if (*text_of(page, "next"))
			next = strdup(text_of(page, "next"));
		json_object_put(page);
	}
	return all;
}

static bool has_wildcard(const char *name)
{
	return strpbrk(name, "*?[") != NULL;
}

/* A literal of the service's filter language. */
static char *quote(const char *text)
{
	char *out = malloc(strlen(text) * 2 + 3), *at = out;

	if (!out)
		abort();
	*at++ = '\'';
	for (; *text; text++) {
		if (*text == '\'')
			*at++ = '\'';
		*at++ = *text;
	}
	*at++ = '\'';
	*at = 0;
	return out;
}

/* Adds machines that the name means; by the server's filter where that can say it. */
static void find_by(struct stage *stage, const char *property, const char *value, json *out)
{
	bool wild = has_wildcard(value);
	char *quoted = quote(value), *filter = format("%s eq %s", property, quoted),
	     *encoded = client_encode(filter);
	char *path = wild ? strdup(SUMMARIES) : format(SUMMARIES "?$filter=%s", encoded);
	json *summaries = list_properties(stage, path);
	size_t found = 0;

	for (size_t i = 0; summaries && i < json_object_array_length(summaries); i++) {
		json *summary = json_object_array_get_idx(summaries, i);

		if (wild && fnmatch(value, text_of(summary, property), FNM_CASEFOLD) != 0)
			continue;
		json_object_array_add(out, vm_object(summary));
		found++;
	}
	if (summaries && !found && !wild)
		stage_error(stage, "There is no virtual machine with the %s \"%s\".",
			    strcmp(property, "Name") == 0 ? "id" : "name", value);
	json_object_put(summaries);
	free(path);
	free(encoded);
	free(filter);
	free(quoted);
}

/* The machines a command is for: by parameter, else from the pipeline. A new array. */
static json *chosen(struct stage *stage, const char *parameter)
{
	const struct parameter_value *names = parameters_get(&stage->parameters, parameter);
	json *out = json_object_new_array();

	for (size_t i = 0; i < names->count; i++)
		find_by(stage, "ElementName", names->items[i], out);
	for (size_t i = 0; !names->given && stage->input && i < json_object_array_length(stage->input); i++) {
		json *object = json_object_array_get_idx(stage->input, i);
		const char *id = *text_of(object, "VMId") ? text_of(object, "VMId") : text_of(object, "Id");

		if (*id)
			find_by(stage, "Name", id, out);
		else if (*text_of(object, "Name"))
			find_by(stage, "ElementName", text_of(object, "Name"), out);
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
		found = chosen(stage, "Name");
		for (size_t i = 0; i < json_object_array_length(found); i++)
			json_object_array_add(stage->output,
					      json_object_get(json_object_array_get_idx(found, i)));
		json_object_put(found);
	} else if (!ids->given) {
		summaries = list_properties(stage, SUMMARIES);
		for (size_t i = 0; summaries && i < json_object_array_length(summaries); i++)
			json_object_array_add(stage->output,
					      vm_object(json_object_array_get_idx(summaries, i)));
		json_object_put(summaries);
	}
}

static char *setting_path(const char *class, const char *id, const char *suffix)
{
	return format(CLASSES "%s/instances/Microsoft:%s%s%s", class, id, suffix ? "%5C" : "",
		      suffix ? suffix : "");
}

static json *setting(const char *class, const char *id, const char *suffix)
{
	json *o = json_object_new_object(), *properties = json_object_new_object();
	char *instance = format("Microsoft:%s%s%s", id, suffix ? "\\" : "", suffix ? suffix : "");

	put_text(o, "class", class);
	if (*id)
		put_text(properties, "InstanceID", instance);
	put(o, "properties", properties);
	free(instance);
	return o;
}

static bool call(struct stage *stage, const char *instance, const char *method, json *body)
{
	json *answer = client_invoke(&stage->shell->client, instance, method, body);

	if (!answer)
		stage->shell->errors++;
	json_object_put(answer);
	return answer != NULL;
}

static bool call_with_setting(struct stage *stage, const char *method, const char *parameter, bool array,
			      json *value)
{
	json *body = json_object_new_object(), *list = value;

	if (array) {
		list = json_object_new_array();
		json_object_array_add(list, value);
	}
	put(body, parameter, list);
	return call(stage, SERVICE, method, body);
}

/* KernelPath, InitialRamdiskPath, CommandLine as given. False: none was. */
static bool put_direct_boot(struct stage *stage, json *setting_object)
{
	static const char *const names[] = {"KernelPath", "InitialRamdiskPath", "CommandLine"};
	bool any = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *text = parameters_string(&stage->parameters, names[i]);

		if (text)
			put_text(member(setting_object, "properties"), names[i], text);
		any |= text != NULL;
	}
	return any;
}

static json *quantity(const char *class, const char *id, const char *suffix, uint64_t number)
{
	json *o = setting(class, id, suffix);
	char *text = format("%llu", (unsigned long long)number);

	put_text(member(o, "properties"), "VirtualQuantity", text);
	free(text);
	return o;
}

static bool mebibytes(struct stage *stage, const char *name, uint64_t *mib)
{
	const struct parameter_value *value = parameters_get(&stage->parameters, name);

	if (value->given && value->number % (uint64_t)MIB) {
		stage_error(stage, "-%s must be a whole number of MiB.", name);
		return false;
	}
	*mib = value->number / (uint64_t)MIB;
	return true;
}

void verb_new_vm(struct stage *stage)
{
	const char *name = parameters_string(&stage->parameters, "Name");
	const struct parameter_value *count = parameters_get(&stage->parameters, "ProcessorCount");
	json *body = json_object_new_object(), *system = setting("Msvm_VirtualSystemSettingData", "", NULL);
	json *resources = json_object_new_array(), *direct, *answer;
	uint64_t mib;

	if (!mebibytes(stage, "MemoryStartupBytes", &mib)) {
		json_object_put(body);
		json_object_put(system);
		json_object_put(resources);
		return;
	}
	if (name)
		put_text(member(system, "properties"), "ElementName", name);
	if (parameters_get(&stage->parameters, "MemoryStartupBytes")->given)
		json_object_array_add(resources, quantity("Msvm_MemorySettingData", "", NULL, mib));
	if (count->given)
		json_object_array_add(resources,
				      quantity("Msvm_ProcessorSettingData", "", NULL, count->number));
	direct = setting("Undercroft_LinuxKernelDirectSettingData", "", NULL);
	if (put_direct_boot(stage, direct))
		json_object_array_add(resources, direct);
	else
		json_object_put(direct);
	put(body, "SystemSettings", system);
	put(body, "ResourceSettings", resources);
	answer = client_invoke(&stage->shell->client, SERVICE, "DefineSystem", body);
	if (answer) {
		const char *id = strrchr(text_of(answer, "ResultingSystem"), '=');

		if (id)
			find_by(stage, "Name", id + 1, stage->output);
	} else {
		stage->shell->errors++;
	}
	json_object_put(answer);
}

static void pass_through(struct stage *stage, json *vm)
{
	if (parameters_switch(&stage->parameters, "Passthru"))
		find_by(stage, "Name", text_of(vm, "Id"), stage->output);
}

static bool set_direct_boot(struct stage *stage, const char *id)
{
	json *change = setting("Undercroft_LinuxKernelDirectSettingData", id, "LinuxKernelDirect"),
	     *component, *body, *list;
	char *path =
		format(CLASSES "Undercroft_LinuxKernelDirectSettingData/"
			       "instances?$filter=InstanceID%%20eq%%20'Microsoft:%s%%5CLinuxKernelDirect'",
		       id);
	char *vssd;
	bool given = put_direct_boot(stage, change), good;

	component = given ? list_properties(stage, path) : NULL;
	free(path);
	if (!given || !component) {
		json_object_put(change);
		return !given;
	}
	if (json_object_array_length(component)) {
		good = call_with_setting(stage, "ModifyResourceSettings", "ResourceSettings", true, change);
	} else {
		json_object_object_del(member(change, "properties"), "InstanceID");
		body = json_object_new_object();
		list = json_object_new_array();
		vssd = setting_path("Msvm_VirtualSystemSettingData", id, NULL);
		put_text(body, "AffectedConfiguration", vssd);
		free(vssd);
		json_object_array_add(list, change);
		put(body, "ResourceSettings", list);
		good = call(stage, SERVICE, "AddResourceSettings", body);
	}
	json_object_put(component);
	return good;
}

static bool set_system(struct stage *stage, const char *id, const char *name, const char *notes)
{
	json *o = setting("Msvm_VirtualSystemSettingData", id, NULL), *lines;

	if (name)
		put_text(member(o, "properties"), "ElementName", name);
	if (notes) {
		lines = json_object_new_array();
		json_object_array_add(lines, json_object_new_string(notes));
		put(member(o, "properties"), "Notes", lines);
	}
	return call_with_setting(stage, "ModifySystemSettings", "SystemSettings", false, o);
}

static bool set_quantity(struct stage *stage, const char *id, const char *class, const char *suffix,
			 uint64_t number)
{
	return call_with_setting(stage, "ModifyResourceSettings", "ResourceSettings", true,
				 quantity(class, id, suffix, number));
}

void verb_set_vm(struct stage *stage)
{
	const char *name = parameters_string(&stage->parameters, "NewVMName");
	const char *notes = parameters_string(&stage->parameters, "Notes");
	const struct parameter_value *count = parameters_get(&stage->parameters, "ProcessorCount");
	json *vms;
	uint64_t mib;

	if (!mebibytes(stage, "MemoryStartupBytes", &mib))
		return;
	vms = chosen(stage, "Name");
	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i);
		const char *id = text_of(vm, "Id");

		if (count->given &&
		    !set_quantity(stage, id, "Msvm_ProcessorSettingData", "Processor", count->number))
			continue;
		if (parameters_get(&stage->parameters, "MemoryStartupBytes")->given &&
		    !set_quantity(stage, id, "Msvm_MemorySettingData", "Memory", mib))
			continue;
		if (!set_direct_boot(stage, id))
			continue;
		if ((name || notes) && !set_system(stage, id, name, notes))
			continue;
		pass_through(stage, vm);
	}
	json_object_put(vms);
}

void verb_rename_vm(struct stage *stage)
{
	json *vms = chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i);

		if (set_system(stage, text_of(vm, "Id"), parameters_string(&stage->parameters, "NewName"),
			       NULL))
			pass_through(stage, vm);
	}
	json_object_put(vms);
}

static char *system_path(json *vm)
{
	return format(CLASSES "Msvm_ComputerSystem/instances/CreationClassName=Msvm_ComputerSystem,Name=%s",
		      text_of(vm, "Id"));
}

/* Asks on a terminal; without one only -Force will do. */
static bool confirmed(struct stage *stage, const char *what, json *vm)
{
	char answer[16];

	if (parameters_switch(&stage->parameters, "Force"))
		return true;
	if (!isatty(STDIN_FILENO)) {
		stage_error(stage, "%s \"%s\" needs -Force where nobody can be asked.", what,
			    text_of(vm, "Name"));
		return false;
	}
	fprintf(stderr, "%s \"%s\"? [Y] Yes  [N] No (default is \"Y\"): ", what, text_of(vm, "Name"));
	return fgets(answer, sizeof(answer), stdin) &&
	       (answer[0] == '\n' || answer[0] == 'y' || answer[0] == 'Y');
}

static void request_state(struct stage *stage, int requested, const char *confirm)
{
	json *vms = chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i), *body;
		char *path;

		if (confirm && !confirmed(stage, confirm, vm))
			continue;
		body = json_object_new_object();
		put(body, "RequestedState", json_object_new_int(requested));
		path = system_path(vm);
		if (call(stage, path, "RequestStateChange", body))
			pass_through(stage, vm);
		free(path);
	}
	json_object_put(vms);
}

void verb_start_vm(struct stage *stage)
{
	request_state(stage, REQUEST_ENABLED, NULL);
}

void verb_stop_vm(struct stage *stage)
{
	if (parameters_switch(&stage->parameters, "TurnOff"))
		request_state(stage, REQUEST_DISABLED, NULL);
	else if (parameters_switch(&stage->parameters, "Save"))
		request_state(stage, REQUEST_OFFLINE, NULL);
	else
		request_state(stage, REQUEST_SHUTDOWN, NULL);
}

void verb_suspend_vm(struct stage *stage)
{
	request_state(stage, REQUEST_QUIESCE, NULL);
}

void verb_resume_vm(struct stage *stage)
{
	request_state(stage, REQUEST_ENABLED, NULL);
}

void verb_restart_vm(struct stage *stage)
{
	request_state(stage, REQUEST_RESET, "Reset");
}

void verb_remove_vm(struct stage *stage)
{
	json *vms = chosen(stage, "Name");

	for (size_t i = 0; i < json_object_array_length(vms); i++) {
		json *vm = json_object_array_get_idx(vms, i), *body;
		char *path;

		if (!confirmed(stage, "Remove", vm))
			continue;
		body = json_object_new_object();
		path = system_path(vm);
		put_text(body, "AffectedSystem", path);
		free(path);
		if (call(stage, SERVICE, "DestroySystem", body) &&
		    parameters_switch(&stage->parameters, "Passthru"))
			json_object_array_add(stage->output, json_object_get(vm));
	}
	json_object_put(vms);
}

void verb_connect_vm(struct stage *stage)
{
	json *vms = chosen(stage, "VMName");
	char *path;

	if (json_object_array_length(vms) > 1) {
		stage_error(stage, "Several virtual machines have this name.");
	} else if (json_object_array_length(vms) == 1) {
		path = setting_path("Msvm_SerialPortSettingData",
				    text_of(json_object_array_get_idx(vms, 0), "Id"), "COM1");
		stage->shell->errors += console_connect(&stage->shell->client, path);
		free(path);
	}
	json_object_put(vms);
}

/* One device setting's properties, to be put; NULL after an error. */
static json *read_setting(struct stage *stage, const char *class, const char *id, const char *suffix)
{
	char *path = setting_path(class, id, suffix);
	json *o = client_get(&stage->shell->client, path),
	     *properties = json_object_get(member(o, "properties"));

	free(path);
	if (!o)
		stage->shell->errors++;
	json_object_put(o);
	return properties;
}

static void add_processor(struct stage *stage, json *vm)
{
	json *properties = read_setting(stage, "Msvm_ProcessorSettingData", text_of(vm, "Id"), "Processor"),
	     *o;

	if (!properties)
		return;
	o = json_object_new_object();
	put_text(o, "VMName", text_of(vm, "Name"));
	put(o, "Count", json_object_new_int64(number_of(properties, "VirtualQuantity")));
	put_text(o, "VMId", text_of(vm, "Id"));
	json_object_array_add(stage->output, o);
	json_object_put(properties);
}

static void add_memory(struct stage *stage, json *vm)
{
	json *properties = read_setting(stage, "Msvm_MemorySettingData", text_of(vm, "Id"), "Memory"), *o;

	if (!properties)
		return;
	o = json_object_new_object();
	put_text(o, "VMName", text_of(vm, "Name"));
	put(o, "DynamicMemoryEnabled", json_object_get(member(properties, "DynamicMemoryEnabled")));
	put(o, "Startup", json_object_new_int64(number_of(properties, "VirtualQuantity") * MIB));
	put_text(o, "VMId", text_of(vm, "Id"));
	json_object_array_add(stage->output, o);
	json_object_put(properties);
}

static void each_vm(struct stage *stage, void (*visit)(struct stage *stage, json *vm))
{
	json *vms = chosen(stage, "VMName");

	for (size_t i = 0; i < json_object_array_length(vms); i++)
		visit(stage, json_object_array_get_idx(vms, i));
	json_object_put(vms);
}

void verb_get_vm_processor(struct stage *stage)
{
	each_vm(stage, add_processor);
}

void verb_get_vm_memory(struct stage *stage)
{
	each_vm(stage, add_memory);
}

static void change_processor(struct stage *stage, json *vm)
{
	const struct parameter_value *count = parameters_get(&stage->parameters, "Count");

	if (count->given &&
	    !set_quantity(stage, text_of(vm, "Id"), "Msvm_ProcessorSettingData", "Processor", count->number))
		return;
	if (parameters_switch(&stage->parameters, "Passthru"))
		add_processor(stage, vm);
}

static void change_memory(struct stage *stage, json *vm)
{
	uint64_t mib;

	if (!mebibytes(stage, "StartupBytes", &mib))
		return;
	if (parameters_get(&stage->parameters, "StartupBytes")->given &&
	    !set_quantity(stage, text_of(vm, "Id"), "Msvm_MemorySettingData", "Memory", mib))
		return;
	if (parameters_switch(&stage->parameters, "Passthru"))
		add_memory(stage, vm);
}

void verb_set_vm_processor(struct stage *stage)
{
	each_vm(stage, change_processor);
}

void verb_set_vm_memory(struct stage *stage)
{
	each_vm(stage, change_memory);
}

void verb_get_vm_host(struct stage *stage)
{
	json *hosts = list_properties(
		stage,
		CLASSES "Msvm_ComputerSystem/instances?$filter=Caption%20eq%20'Hosting%20Computer%20System'");

	for (size_t i = 0; hosts && i < json_object_array_length(hosts); i++) {
		json *host = json_object_array_get_idx(hosts, i), *o = json_object_new_object();

		put_text(o, "Name", text_of(host, "Name"));
		put_text(o, "ComputerName", text_of(host, "ElementName"));
		put_uptime(o, "Uptime", number_of(host, "OnTimeInMilliseconds"));
		json_object_array_add(stage->output, o);
	}
	json_object_put(hosts);
}

void verb_get_cim_instance(struct stage *stage)
{
	const char *filter = parameters_string(&stage->parameters, "Filter");
	char *class = client_encode(parameters_string(&stage->parameters, "ClassName"));
	char *encoded = client_encode(filter ? filter : "");
	char *path = format(CLASSES "%s/instances%s%s", class, filter ? "?$filter=" : "", encoded);
	json *found = list_properties(stage, path);

	if (found) {
		json_object_put(stage->output);
		stage->output = found;
	}
	free(path);
	free(encoded);
	free(class);
}
