/* SPDX-License-Identifier: Apache-2.0 */
/* Integration components of running machines, as instances. */
#include <string.h>

#include "cim_schema.gen.h"
#include "vmms/guest.h"
#include "vmms/instances.h"
#include "vmms/integration.h"
#include "vmms/network_adapters.h"

#define SOURCE_HOST      0
#define SOURCE_GUEST     1
#define SOURCE_INTRINSIC 2
#define SOURCE_HOST_ONLY 4

struct component {
	const struct cim_class *class;
	enum store_component component;
	const char *device; /* the end of DeviceID */
	/* OperationalStatus; their number. */
	size_t (*status)(const struct vm *vm, uint16_t out[2]);
	void (*fill)(struct cim_instance *instance, const struct vm *vm); /* or NULL */
};

static const char *status_text(uint16_t status)
{
	static const struct {
		uint16_t status;
		const char *text;
	} texts[] = {{2, "OK"},
		     {3, "Degraded"},
		     {7, "Non-Recoverable Error"},
		     {12, "No Contact"},
		     {13, "Lost Communication"},
		     {15, "Paused"},
		     {32775, "Protocol Mismatch"},
		     {32782, "Application Critical State"},
		     {32783, "Communication Timed Out"},
		     {32784, "Communication Failed"}};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Unknown";
}

static size_t heartbeat_status(const struct vm *vm, uint16_t out[2])
{
	out[0] = (uint16_t)(vm->guest.status ? vm->guest.status : GUEST_STATUS_NO_CONTACT);
	out[1] = (uint16_t)vm->guest.application;
	return out[1] ? 2 : 1;
}

static size_t kvp_status(const struct vm *vm, uint16_t out[2])
{
	out[0] = vm->guest.kvp_ready ? GUEST_STATUS_OK : GUEST_STATUS_NO_CONTACT;
	return 1;
}

/* Their protocols say nothing until they are used: a guest whose heartbeat is heard has their drivers. */
static size_t driver_status(const struct vm *vm, uint16_t out[2])
{
	out[0] = vm->guest.status == GUEST_STATUS_OK || vm->guest.kvp_ready ? GUEST_STATUS_OK
									    : GUEST_STATUS_NO_CONTACT;
	return 1;
}

static void put_items(struct cim_instance *instance, int property, const struct guest_items *items,
		      bool host_only, unsigned source)
{
	struct cim_instance **list = arena_alloc(instance->arena, (items->count + 1) * sizeof(*list));
	size_t count = 0;

	for (size_t i = 0; i < items->count; i++) {
		struct cim_instance *item;

		if (items->items[i].host_only != host_only)
			continue;
		item = cim_instance_create(instance->arena, &cim_class_Msvm_KvpExchangeDataItem);
		cim_set_uint(item, Msvm_KvpExchangeDataItem_Source, source);
		cim_set_string(item, Msvm_KvpExchangeDataItem_Name, items->items[i].name);
		cim_set_string(item, Msvm_KvpExchangeDataItem_Data, items->items[i].value);
		list[count++] = item;
	}
	cim_set_instances(instance, property, list, count);
}

static void fill_kvp(struct cim_instance *instance, const struct vm *vm)
{
	put_items(instance, Msvm_KvpExchangeComponent_GuestExchangeItems, &vm->guest.exchange, false,
		  SOURCE_GUEST);
	put_items(instance, Msvm_KvpExchangeComponent_GuestIntrinsicExchangeItems, &vm->guest.intrinsic,
		  false, SOURCE_INTRINSIC);
}

static const struct component components[] = {
	{&cim_class_Msvm_HeartbeatComponent, STORE_HEARTBEAT, INTEGRATION_HEARTBEAT_SETTING, heartbeat_status,
	 NULL},
	{&cim_class_Msvm_ShutdownComponent, STORE_SHUTDOWN, INTEGRATION_SHUTDOWN_SETTING, driver_status,
	 NULL},
	{&cim_class_Msvm_TimeSyncComponent, STORE_TIMESYNC, INTEGRATION_TIMESYNC_SETTING, driver_status,
	 NULL},
	{&cim_class_Msvm_KvpExchangeComponent, STORE_KVP, INTEGRATION_KVP_SETTING, kvp_status, fill_kvp},
	{&cim_class_Msvm_VssComponent, STORE_VSS, INTEGRATION_VSS_SETTING, driver_status, NULL},
	{&cim_class_Msvm_GuestServiceInterfaceComponent, STORE_FCOPY, INTEGRATION_FCOPY_SETTING,
	 driver_status, NULL},
};
#define COMPONENT_COUNT (sizeof(components) / sizeof(components[0]))

static bool is_there(const struct component *component, const struct vm *vm)
{
	return vm->worker && vm->record.components[component->component];
}

static struct cim_reference *component_reference(struct arena *arena, const struct component *component,
						 const struct vm *vm)
{
	const char *keys[] = {"Msvm_ComputerSystem", vm->record.id, component->class->name,
			      arena_printf(arena, "Microsoft:%s\\%s", vm->record.id, component->device)};

	return cim_reference_make(arena, component->class, 4, keys);
}

static struct cim_instance *component_instance(struct arena *arena, const struct component *component,
					       const struct vm *vm)
{
	struct cim_instance *i = cim_instance_create(arena, component->class);
	const char *texts[2];
	uint16_t status[2];
	size_t count = component->status(vm, status);

	for (size_t n = 0; n < count; n++)
		texts[n] = status_text(status[n]);
	cim_set_string(i, CIM_LogicalDevice_SystemName, vm->record.id);
	cim_set_string(i, CIM_LogicalDevice_DeviceID,
		       arena_printf(arena, "Microsoft:%s\\%s", vm->record.id, component->device));
	cim_set_uints(i, CIM_LogicalDevice_OperationalStatus, status, count);
	cim_set_strings(i, CIM_LogicalDevice_StatusDescriptions, texts, count);
	if (component->fill)
		component->fill(i, vm);
	return i;
}

static void enumerate_class(struct cim_context *context, const struct cim_class *class, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (size_t i = 0; i < COMPONENT_COUNT; i++)
			if (components[i].class == class && is_there(&components[i], vm))
				cim_list_add(out, component_instance(context->arena, &components[i], vm));
}

static void enumerate_heartbeat(struct cim_context *context, struct cim_list *out)
{
	enumerate_class(context, &cim_class_Msvm_HeartbeatComponent, out);
}

static void enumerate_shutdown(struct cim_context *context, struct cim_list *out)
{
	enumerate_class(context, &cim_class_Msvm_ShutdownComponent, out);
}

static void enumerate_timesync(struct cim_context *context, struct cim_list *out)
{
	enumerate_class(context, &cim_class_Msvm_TimeSyncComponent, out);
}

static void enumerate_kvp(struct cim_context *context, struct cim_list *out)
{
	enumerate_class(context, &cim_class_Msvm_KvpExchangeComponent, out);
}

static void enumerate_vss(struct cim_context *context, struct cim_list *out)
{
	enumerate_class(context, &cim_class_Msvm_VssComponent, out);
}

static void enumerate_interface(struct cim_context *context, struct cim_list *out)
{
	enumerate_class(context, &cim_class_Msvm_GuestServiceInterfaceComponent, out);
}

CIM_PROVIDER(Msvm_HeartbeatComponent) = {.enumerate = enumerate_heartbeat};
CIM_PROVIDER(Msvm_ShutdownComponent) = {.enumerate = enumerate_shutdown};
CIM_PROVIDER(Msvm_TimeSyncComponent) = {.enumerate = enumerate_timesync};
CIM_PROVIDER(Msvm_KvpExchangeComponent) = {.enumerate = enumerate_kvp};
CIM_PROVIDER(Msvm_VssComponent) = {.enumerate = enumerate_vss};
CIM_PROVIDER(Msvm_GuestServiceInterfaceComponent) = {.enumerate = enumerate_interface};

static void enumerate_kvp_settings(struct cim_context *context, struct cim_list *out)
{
	static const struct cim_class *const class = &cim_class_Msvm_KvpExchangeComponentSettingData;

	instance_settings(context, class, out);
	for (size_t i = 0; i < out->count; i++) {
		struct cim_instance *setting = out->items[i];
		const char *suffix;
		const struct vm *vm;

		/* The list may hold instances of other classes already. */
		if (setting->class != class)
			continue;
		vm = instance_setting_owner(context->model,
					    cim_get_string(setting, CIM_SettingData_InstanceID), &suffix);
		if (!vm)
			continue;
		put_items(setting, Msvm_KvpExchangeComponentSettingData_HostExchangeItems, &vm->guest.host,
			  false, SOURCE_HOST);
		put_items(setting, Msvm_KvpExchangeComponentSettingData_HostOnlyItems, &vm->guest.host, true,
			  SOURCE_HOST_ONLY);
	}
}

CIM_PROVIDER(Msvm_KvpExchangeComponentSettingData) = {.enumerate = enumerate_kvp_settings};

static struct cim_instance *file_service(struct arena *arena, const struct vm *vm)
{
	struct cim_instance *i = cim_instance_create(arena, &cim_class_Msvm_GuestFileService);

	cim_set_string(i, Msvm_GuestFileService_SystemName, vm->record.id);
	cim_set_boolean(i, Msvm_GuestFileService_Started, true);
	return i;
}

/* The service stands on the last of the components. */
static const struct component *const interface = &components[COMPONENT_COUNT - 1];

static void enumerate_file_services(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		if (is_there(interface, vm))
			cim_list_add(out, file_service(context->arena, vm));
}

CIM_PROVIDER(Msvm_GuestFileService) = {.enumerate = enumerate_file_services};

/* Files to copy are named in calls and then forgotten. */
static void enumerate_nothing(struct cim_context *context, struct cim_list *out)
{
}

CIM_PROVIDER(Msvm_CopyFileToGuestSettingData) = {.enumerate = enumerate_nothing};

static void enumerate_registered(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next) {
		struct cim_instance *i;

		if (!is_there(interface, vm))
			continue;
		i = cim_instance_create(context->arena, &cim_class_Msvm_RegisteredGuestService);
		cim_set_reference(i, Msvm_RegisteredGuestService_Antecedent,
				  component_reference(context->arena, interface, vm));
		cim_set_reference(i, Msvm_RegisteredGuestService_Dependent,
				  cim_reference_of(file_service(context->arena, vm)));
		cim_list_add(out, i);
	}
}

CIM_PROVIDER(Msvm_RegisteredGuestService) = {.enumerate = enumerate_registered};

static void add_device(struct cim_context *context, const struct vm *vm, struct cim_reference *device,
		       struct cim_list *out)
{
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Msvm_SystemDevice);

	cim_set_reference(i, Msvm_SystemDevice_GroupComponent,
			  instance_system_reference(context->arena, vm->record.id));
	cim_set_reference(i, Msvm_SystemDevice_PartComponent, device);
	cim_list_add(out, i);
}

static void enumerate_system_devices(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next) {
		for (size_t c = 0; c < COMPONENT_COUNT; c++)
			if (is_there(&components[c], vm))
				add_device(context, vm,
					   component_reference(context->arena, &components[c], vm), out);
		for (unsigned n = 0; vm->worker && n < vm->network.nic_count; n++)
			add_device(context, vm, network_port_reference(context->arena, vm, n), out);
	}
}

CIM_PROVIDER(Msvm_SystemDevice) = {.enumerate = enumerate_system_devices};

/* Of a hundred; figures of a guest may be anything. */
static int64_t percent(int64_t part, int64_t whole)
{
	int64_t value = whole > 0 ? part * 100 / whole : 0;

	return value < -1000000 ? -1000000 : value > 1000000 ? 1000000 : value;
}

static int64_t bounded(uint64_t mib)
{
	return (int64_t)(mib < VM_MEMORY_MAX_MIB ? mib : VM_MEMORY_MAX_MIB);
}

static void summarize_memory(struct cim_instance *summary, const struct vm *vm)
{
	int64_t assigned = bounded(vm->guest.memory.assigned), demand = bounded(vm->guest.memory.demand),
		buffer = demand * vm->record.dynamic_memory.buffer_percent / 100;

	cim_set_uint(summary, Msvm_SummaryInformation_MemoryUsage, (uint64_t)assigned);
	cim_set_uint(summary, Msvm_SummaryInformation_Undercroft_MemoryDemand, (uint64_t)demand);
	cim_set_sint(summary, Msvm_SummaryInformation_MemoryAvailable, percent(assigned - demand, assigned));
	cim_set_sint(summary, Msvm_SummaryInformation_AvailableMemoryBuffer,
		     percent(assigned - demand, buffer));
}

void instance_summarize_guest(struct cim_instance *summary, const struct vm *vm)
{
	const struct guest_item *system = guest_items_find(&vm->guest.intrinsic, "OSName");
	uint16_t status[2];

	if (!vm->worker)
		return;
	if (vm->record.components[STORE_HEARTBEAT]) {
		heartbeat_status(vm, status);
		cim_set_uint(summary, Msvm_SummaryInformation_Heartbeat, status[0]);
		cim_set_uint(summary, Msvm_SummaryInformation_ApplicationHealth,
			     status[1] ? status[1] : 32896);
	}
	if (system)
		cim_set_string(summary, Msvm_SummaryInformation_GuestOperatingSystem, system->value);
	if (vm->guest.memory.known)
		summarize_memory(summary, vm);
}
