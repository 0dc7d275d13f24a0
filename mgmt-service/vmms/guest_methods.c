/* SPDX-License-Identifier: Apache-2.0 */
/* Methods that ask something of a guest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cim_schema.gen.h"
#include "daemon/log.h"
#include "vmms/device_wire.h"
#include "vmms/guest.h"
#include "vmms/guest_text.h"
#include "vmms/host_file.h"
#include "vmms/instances.h"

#define FREEZE_SECONDS   60
#define SET_IP_MS        60000
#define HOST_ITEMS_MAX   256
#define FILES_MAX        64
#define SOURCE_HOST      0
#define SOURCE_HOST_ONLY 4
#define FAMILY_IPV4      4096
#define FAMILY_IPV6      4097

/* ---- one job for several requests ---- */

struct batch {
	struct job *job;
	const char *doing; /* how the sentence about a failure begins */
	unsigned total, left;
	bool failed;
	char text[STORE_STATUS_MAX + 1];
};

static void close_batch(struct vm *vm, struct batch *batch)
{
	if (batch->failed)
		job_fail(vm->model, batch->job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED, batch->text);
	else
		job_complete(vm->model, batch->job);
	free(batch);
}

/* A guest_done: the first failure is the job's. */
static void part_done(struct vm *vm, void *context, const struct guest_failure *failure,
		      struct json_object *event)
{
	struct batch *batch = context;

	if (failure && !batch->failed) {
		guest_failure_text(failure, batch->doing, batch->text, sizeof(batch->text));
		batch->failed = true;
	}
	if (--batch->left)
		job_progress(vm->model, batch->job, 100 * (batch->total - batch->left) / batch->total);
	else
		close_batch(vm, batch);
}

/* NULL with the error. */
static struct batch *open_batch(struct cim_context *context, struct vm *vm, int job_type, const char *doing,
				size_t parts)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (batch)
		batch->job = job_begin(context->model, vm, job_type);
	if (!batch || !batch->job) {
		free(batch);
		cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
			      store_error(context->model->store));
		return NULL;
	}
	batch->doing = doing;
	batch->total = batch->left = (unsigned)parts;
	return batch;
}

static uint32_t failed(const struct cim_context *context)
{
	return cim_status_return_value(context->error.status);
}

static uint32_t started(struct cim_context *context, struct cim_arguments *out, int parameter,
			const struct job *job)
{
	cim_argument_set_reference(out, parameter, instance_job_reference(context->arena, job));
	return CIM_RETURN_JOB_STARTED;
}

/* The machine that a component or service is of; it was enumerated under the same lock. */
static struct vm *owner(struct cim_context *context, const struct cim_instance *self, int system_name)
{
	return vm_find(context->model, cim_get_string(self, system_name));
}

static bool require_running(struct cim_context *context, const struct vm *vm)
{
	if (vm->record.state == VM_RUNNING && vm->worker)
		return true;
	cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_STATE, NULL,
		      "%s is %s; a guest can be asked only while it runs", vm->record.element_name,
		      vm_state_name((enum vm_state)vm->record.state));
	return false;
}

/* ---- shutdown ---- */

static uint32_t go(struct cim_context *context, const struct cim_instance *self, unsigned requested,
		   struct vm_shutdown *how, const struct cim_value *reason, struct cim_arguments *out,
		   int job_parameter)
{
	struct vm *vm = owner(context, self, Msvm_ShutdownComponent_SystemName);
	struct job *job;
	uint32_t result;

	if (reason->is_set) {
		if (!setting_put_check_text(context, "Reason", reason->items[0].string,
					    sizeof(how->reason) - 1))
			return failed(context);
		snprintf(how->reason, sizeof(how->reason), "%s", reason->items[0].string);
	}
	result = vm_request_shutdown(context->model, vm, requested, how, context->arena, &context->error,
				     &job);
	return result == CIM_RETURN_JOB_STARTED ? started(context, out, job_parameter, job) : result;
}

static bool is_true(const struct cim_value *value)
{
	return value->is_set && value->items[0].boolean;
}

CIM_METHOD(Msvm_ShutdownComponent, InitiateShutdown)
{
	struct vm_shutdown how = {
		.force =
			is_true(&in->values[CIM_PARAMETER(Msvm_ShutdownComponent, InitiateShutdown, Force)])};

	return go(context, self, VM_REQUEST_SHUTDOWN, &how,
		  &in->values[CIM_PARAMETER(Msvm_ShutdownComponent, InitiateShutdown, Reason)], out,
		  CIM_PARAMETER(Msvm_ShutdownComponent, InitiateShutdown, Job));
}

CIM_METHOD(Msvm_ShutdownComponent, InitiateReboot)
{
	struct vm_shutdown how = {
		.force = is_true(&in->values[CIM_PARAMETER(Msvm_ShutdownComponent, InitiateReboot, Force)])};

	return go(context, self, VM_REQUEST_REBOOT, &how,
		  &in->values[CIM_PARAMETER(Msvm_ShutdownComponent, InitiateReboot, Reason)], out,
		  CIM_PARAMETER(Msvm_ShutdownComponent, InitiateReboot, Job));
}

CIM_METHOD(Msvm_ShutdownComponent, InitiateHibernate)
{
	struct vm_shutdown how = {.hibernate = true};

	return go(context, self, VM_REQUEST_SHUTDOWN, &how,
		  &in->values[CIM_PARAMETER(Msvm_ShutdownComponent, InitiateHibernate, Reason)], out,
		  CIM_PARAMETER(Msvm_ShutdownComponent, InitiateHibernate, Job));
}

/* ---- VSS ---- */

static unsigned seconds(const struct cim_arguments *in, int parameter)
{
	return in->values[parameter].is_set ? (unsigned)cim_argument_uint(in, parameter) : FREEZE_SECONDS;
}

CIM_METHOD(Msvm_VssComponent, Undercroft_Freeze)
{
	struct vm *vm = owner(context, self, Msvm_VssComponent_SystemName);
	struct batch *batch;
	struct job *job;

	if (!require_running(context, vm))
		return failed(context);
	batch = open_batch(context, vm, JOB_TYPE_FREEZE, "The guest's file systems were not frozen", 1);
	if (!batch)
		return failed(context);
	job = batch->job;
	guest_freeze(vm, seconds(in, CIM_PARAMETER(Msvm_VssComponent, Undercroft_Freeze, Timeout)),
		     seconds(in, CIM_PARAMETER(Msvm_VssComponent, Undercroft_Freeze, FrozenMaximum)),
		     part_done, batch);
	return started(context, out, CIM_PARAMETER(Msvm_VssComponent, Undercroft_Freeze, Job), job);
}

CIM_METHOD(Msvm_VssComponent, Undercroft_Thaw)
{
	struct vm *vm = owner(context, self, Msvm_VssComponent_SystemName);
	struct batch *batch;
	struct job *job;

	if (!require_running(context, vm))
		return failed(context);
	batch = open_batch(context, vm, JOB_TYPE_FREEZE,
			   "The guest's file systems were not held still to the end", 1);
	if (!batch)
		return failed(context);
	job = batch->job;
	guest_thaw(vm, part_done, batch);
	return started(context, out, CIM_PARAMETER(Msvm_VssComponent, Undercroft_Thaw, Job), job);
}

/* ---- key-value items of the host ---- */

enum kvp_change { KVP_ADD, KVP_MODIFY, KVP_REMOVE };

static bool refuse_item(struct cim_context *context, size_t index, const char *field, const char *text)
{
	cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER,
		      arena_printf(context->arena, "DataItems[%zu].%s", index, field), "DataItems[%zu]: %s",
		      index, text);
	return false;
}

static bool check_item(struct cim_context *context, const struct vm *vm, enum kvp_change change,
		       const struct cim_instance *item, size_t index)
{
	const char *name = cim_get_string(item, Msvm_KvpExchangeDataItem_Name),
		   *data = cim_get_string(item, Msvm_KvpExchangeDataItem_Data);
	const struct guest_item *present = name ? guest_items_find(&vm->guest.host, name) : NULL;
	uint64_t source = SOURCE_HOST;

	cim_get_uint(item, Msvm_KvpExchangeDataItem_Source, &source);
	if (!name || !*name || !guest_text_fits(name, GUEST_KEY_UNITS_MAX))
		return refuse_item(context, index, "Name", "Name must have 1 to 255 characters");
	if (source != SOURCE_HOST && source != SOURCE_HOST_ONLY)
		return refuse_item(context, index, "Source",
				   "Source must be 0 (host to guest) or 4 (host only)");
	if (change == KVP_ADD && present)
		return refuse_item(context, index, "Name", "an item of this name is there already");
	if (change != KVP_ADD && !present)
		return refuse_item(context, index, "Name", "there is no item of this name");
	if (change != KVP_REMOVE && (!data || !guest_text_fits(data, GUEST_VALUE_UNITS_MAX)))
		return refuse_item(context, index, "Data",
				   "Data must be there and have at most 1023 characters");
	if (change == KVP_ADD && vm->guest.host.count + index >= HOST_ITEMS_MAX)
		return refuse_item(context, index, "Name", "a machine has at most 256 items");
	return true;
}

static bool store_items(struct store *store, const struct vm *vm, enum kvp_change change,
			const struct cim_value *items)
{
	if (store_begin(store))
		return false;
	for (size_t i = 0; i < items->count; i++) {
		const struct cim_instance *item = items->items[i].instance;
		const char *name = cim_get_string(item, Msvm_KvpExchangeDataItem_Name);
		uint64_t source = SOURCE_HOST;

		cim_get_uint(item, Msvm_KvpExchangeDataItem_Source, &source);
		if (change == KVP_REMOVE ? store_kvp_delete(store, vm->record.id, name)
					 : store_kvp_put(store, vm->record.id, name,
							 cim_get_string(item, Msvm_KvpExchangeDataItem_Data),
							 source == SOURCE_HOST_ONLY)) {
			store_rollback(store);
			return false;
		}
	}
	return store_commit(store) == 0;
}

/* In the model, after the store has it. The items that the guest must hear of are flagged in `tell`. */
static size_t take_items(struct vm *vm, enum kvp_change change, const struct cim_value *items, bool *tell)
{
	size_t count = 0;

	for (size_t i = 0; i < items->count; i++) {
		const struct cim_instance *item = items->items[i].instance;
		const char *name = cim_get_string(item, Msvm_KvpExchangeDataItem_Name);
		const struct guest_item *present = guest_items_find(&vm->guest.host, name);
		bool was_given = present && !present->host_only;
		uint64_t source = SOURCE_HOST;

		cim_get_uint(item, Msvm_KvpExchangeDataItem_Source, &source);
		if (change == KVP_REMOVE)
			guest_items_remove(&vm->guest.host, name);
		else if (!guest_items_put(&vm->guest.host, name,
					  cim_get_string(item, Msvm_KvpExchangeDataItem_Data),
					  source == SOURCE_HOST_ONLY))
			abort();
		tell[i] = vm->guest.kvp_ready &&
			  (was_given || (change != KVP_REMOVE && source != SOURCE_HOST_ONLY));
		count += tell[i];
	}
	return count;
}

static void tell_guest(struct vm *vm, const struct cim_value *items, const bool *tell, struct batch *batch)
{
	for (size_t i = 0; i < items->count; i++) {
		const char *name = cim_get_string(items->items[i].instance, Msvm_KvpExchangeDataItem_Name);
		const struct guest_item *now = guest_items_find(&vm->guest.host, name);

		if (tell[i])
			guest_kvp_give(vm, name, now && !now->host_only ? now->value : NULL, part_done,
				       batch);
	}
}

static uint32_t change_items(struct cim_context *context, const struct cim_reference *system,
			     const struct cim_value *items, enum kvp_change change, struct cim_arguments *out,
			     int job_parameter)
{
	struct vm *vm = vm_find(context->model, cim_reference_key(system, "Name"));
	bool *tell = arena_alloc(context->arena, items->count + 1);
	struct batch *batch;
	struct job *job;
	size_t count;

	if (!vm)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, "TargetSystem",
				     "TargetSystem is no virtual machine");
	for (size_t i = 0; i < items->count; i++)
		if (!check_item(context, vm, change, items->items[i].instance, i))
			return failed(context);
	if (!store_items(context->model->store, vm, change, items))
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
				     store_error(context->model->store));
	count = take_items(vm, change, items, tell);
	/* A guest that is not there yet gets them when it is. */
	if (!count)
		return CIM_RETURN_COMPLETED;
	batch = open_batch(context, vm, JOB_TYPE_MODIFY, "The guest did not take the items", count);
	if (!batch)
		return failed(context);
	job = batch->job;
	tell_guest(vm, items, tell, batch);
	return started(context, out, job_parameter, job);
}

#define KVP_METHOD(method, change)                                                                           \
	CIM_METHOD(Msvm_VirtualSystemManagementService, method)                                              \
	{                                                                                                    \
		return change_items(                                                                         \
			context,                                                                             \
			cim_argument_reference(in, CIM_PARAMETER(Msvm_VirtualSystemManagementService,        \
								 method, TargetSystem)),                     \
			&in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService, method, DataItems)],  \
			change, out, CIM_PARAMETER(Msvm_VirtualSystemManagementService, method, Job));       \
	}

KVP_METHOD(AddKvpItems, KVP_ADD)
KVP_METHOD(ModifyKvpItems, KVP_MODIFY)
KVP_METHOD(RemoveKvpItems, KVP_REMOVE)

/* ---- addresses of network adapters ---- */

/* A list as the protocol has it: separated by ";". NULL with the error. */
static const char *joined(struct cim_context *context, const struct cim_instance *config, int property)
{
	const struct cim_value *value = &config->values[property];
	const char *text = "", *name = config->class->properties[property].name;

	for (size_t i = 0; value->is_set && i < value->count; i++) {
		if (!guest_text_is_address(value->items[i].string)) {
			setting_put_refuse(context, name, "%s: \"%s\" is no address", name,
					   value->items[i].string);
			return NULL;
		}
		text = arena_printf(context->arena, "%s%s%s", text, i ? ";" : "", value->items[i].string);
	}
	return text;
}

/* The adapter of "Microsoft:GuestNetwork\VM\ADAPTER", as guests name it. NULL: it is none of the machine's.
 */
static const char *adapter_of(struct cim_context *context, const struct vm *vm, const char *instance_id)
{
	const char *head = arena_printf(context->arena, "Microsoft:GuestNetwork\\%s\\", vm->record.id);
	char *adapter;

	if (!instance_id || strncasecmp(instance_id, head, strlen(head)) != 0 ||
	    !guest_text_is_guid(instance_id + strlen(head)))
		return NULL;
	adapter = arena_printf(context->arena, "{%s}", instance_id + strlen(head));
	for (char *c = adapter; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'F' ? *c - 'A' + 'a' : *c);
	return adapter;
}

/* The parameters of the call. NULL with the error. */
static struct json_object *set_ip(struct cim_context *context, const struct vm *vm,
				  const struct cim_instance *config)
{
	static const struct {
		const char *name;
		int property;
	} lists[] = {{"addresses", Msvm_GuestNetworkAdapterConfiguration_IPAddresses},
		     {"subnets", Msvm_GuestNetworkAdapterConfiguration_Subnets},
		     {"gateways", Msvm_GuestNetworkAdapterConfiguration_DefaultGateways},
		     {"dns_servers", Msvm_GuestNetworkAdapterConfiguration_DNSServers}};
	const char *adapter = adapter_of(
		context, vm, cim_get_string(config, Msvm_GuestNetworkAdapterConfiguration_InstanceID));
	bool dhcp = is_true(&config->values[Msvm_GuestNetworkAdapterConfiguration_DHCPEnabled]);
	struct json_object *params;
	uint64_t family = FAMILY_IPV4;

	cim_get_uint(config, Msvm_GuestNetworkAdapterConfiguration_ProtocolIFType, &family);
	if (!adapter)
		setting_put_refuse(
			context, "InstanceID",
			"InstanceID must be Microsoft:GuestNetwork\\%s\\ADAPTER, with the GUID of a "
			"network adapter",
			vm->record.id);
	else if (family != FAMILY_IPV4 && family != FAMILY_IPV6)
		setting_put_refuse(context, "ProtocolIFType",
				   "ProtocolIFType must be 4096 (IPv4) or 4097 (IPv6)");
	else if (!dhcp && !config->values[Msvm_GuestNetworkAdapterConfiguration_IPAddresses].count)
		setting_put_refuse(context, "IPAddresses", "IPAddresses are needed without DHCPEnabled");
	if (context->error.status != CIM_OK)
		return NULL;
	params = guest_call(STORE_KVP, "set_ip");
	device_wire_put_text(params, "adapter", adapter);
	device_wire_put_text(params, "family", family == FAMILY_IPV6 ? "ipv6" : "ipv4");
	device_wire_put_flag(params, "dhcp", dhcp);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const char *text = joined(context, config, lists[i].property);

		if (!text) {
			device_wire_release(params);
			return NULL;
		}
		device_wire_put_text(params, lists[i].name, text);
	}
	return params;
}

/* A guest_done. */
static void addresses_given(struct vm *vm, void *context, const struct guest_failure *failure,
			    struct json_object *event)
{
	if (!failure)
		vm->guest.kvp_given_ms = model_monotonic_ms();
	part_done(vm, context, failure, event);
}

CIM_METHOD(Msvm_VirtualSystemManagementService, SetGuestNetworkAdapterConfiguration)
{
	const struct cim_value *configs =
		&in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService,
					  SetGuestNetworkAdapterConfiguration, NetworkConfiguration)];
	struct vm *vm =
		vm_find(context->model,
			cim_reference_key(
				cim_argument_reference(in, CIM_PARAMETER(Msvm_VirtualSystemManagementService,
									 SetGuestNetworkAdapterConfiguration,
									 ComputerSystem)),
				"Name"));
	struct json_object **params =
		arena_alloc(context->arena, (configs->count + 1) * sizeof(struct json_object *));
	struct batch *batch = NULL;
	struct job *job;
	size_t count = 0;

	if (!vm)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, "ComputerSystem",
				     "ComputerSystem is no virtual machine");
	if (!configs->count)
		return cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER,
				     "NetworkConfiguration", "NetworkConfiguration is empty");
	if (!require_running(context, vm))
		return failed(context);
	while (count < configs->count) {
		params[count] = set_ip(context, vm, configs->items[count].instance);
		if (!params[count])
			break;
		count++;
	}
	if (count == configs->count)
		batch = open_batch(context, vm, JOB_TYPE_MODIFY, "The guest did not take the addresses",
				   count);
	if (!batch) {
		for (size_t i = 0; i < count; i++)
			device_wire_release(params[i]);
		return failed(context);
	}
	job = batch->job;
	for (size_t i = 0; i < count; i++)
		guest_ask(vm, STORE_KVP, params[i], -1, SET_IP_MS, addresses_given, batch);
	return started(
		context, out,
		CIM_PARAMETER(Msvm_VirtualSystemManagementService, SetGuestNetworkAdapterConfiguration, Job),
		job);
}

/* ---- files ---- */

struct copy {
	int fd;
	struct guest_path to;
	bool overwrite, create_path;
};

/* What a setting asks for, with its source opened. False with the error. */
static bool open_copy(struct cim_context *context, const struct cim_instance *setting, struct copy *copy)
{
	const char *source = cim_get_string(setting, Msvm_CopyFileToGuestSettingData_SourcePath),
		   *destination = cim_get_string(setting, Msvm_CopyFileToGuestSettingData_DestinationPath);
	char reason[STORE_STATUS_MAX + 1];

	copy->fd = -1;
	copy->overwrite = is_true(&setting->values[Msvm_CopyFileToGuestSettingData_OverwriteExisting]);
	copy->create_path = is_true(&setting->values[Msvm_CopyFileToGuestSettingData_CreateFullPath]);
	if (!source || !destination) {
		setting_put_refuse(context, source ? "DestinationPath" : "SourcePath",
				   "SourcePath and DestinationPath are required");
		return false;
	}
	if (!guest_path_split(destination, source, &copy->to)) {
		setting_put_refuse(
			context, "DestinationPath",
			"DestinationPath must be an absolute path of a file or, with a / at its end, of a "
			"folder, with at most %d characters each in folder and name",
			GUEST_PATH_UNITS_MAX);
		return false;
	}
	copy->fd =
		host_file_open_source(&context->model->config->guest_files, source, reason, sizeof(reason));
	if (copy->fd >= 0)
		return true;
	setting_put_refuse(context, "SourcePath", "SourcePath: %s", reason);
	return false;
}

static void send_copy(struct vm *vm, const struct copy *copy, struct batch *batch)
{
	struct json_object *params = guest_call(STORE_FCOPY, "copy");

	device_wire_put_number(params, "fd", 0);
	device_wire_put_text(params, "directory", copy->to.directory);
	device_wire_put_text(params, "name", copy->to.name);
	device_wire_put_flag(params, "overwrite", copy->overwrite);
	device_wire_put_flag(params, "create_path", copy->create_path);
	guest_ask(vm, STORE_FCOPY, params, copy->fd, 0, part_done, batch);
}

CIM_METHOD(Msvm_GuestFileService, CopyFilesToGuest)
{
	const struct cim_value *settings =
		&in->values[CIM_PARAMETER(Msvm_GuestFileService, CopyFilesToGuest, CopyFileToGuestSettings)];
	struct vm *vm = owner(context, self, Msvm_GuestFileService_SystemName);
	struct copy *copies = arena_alloc(context->arena, (settings->count + 1) * sizeof(*copies));
	struct batch *batch = NULL;
	struct job *job;
	size_t count = 0;

	if (!settings->count || settings->count > FILES_MAX)
		return cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER,
				     "CopyFileToGuestSettings", "1 to %d files are copied at once",
				     FILES_MAX);
	if (!require_running(context, vm))
		return failed(context);
	while (count < settings->count && open_copy(context, settings->items[count].instance, &copies[count]))
		count++;
	if (count == settings->count)
		batch = open_batch(context, vm, JOB_TYPE_GUEST, "The file was not copied", count);
	if (!batch) {
		for (size_t i = 0; i < count; i++)
			close(copies[i].fd);
		return failed(context);
	}
	job = batch->job;
	log_notice("guest.copy", "vm=%s files=%zu job=%s", vm->record.id, count, job->record.id);
	for (size_t i = 0; i < count; i++)
		send_copy(vm, &copies[i], batch);
	return started(context, out, CIM_PARAMETER(Msvm_GuestFileService, CopyFilesToGuest, Job), job);
}
