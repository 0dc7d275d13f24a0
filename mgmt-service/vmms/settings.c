/* SPDX-License-Identifier: Apache-2.0 */
/* What can be set on a virtual machine, and the methods that set it. */
#include <stdio.h>
#include <string.h>

#include "cim/invoke.h"
#include "cim_schema.gen.h"
#include "daemon/log.h"
#include "vmms/instances.h"
#include "vmms/host_file.h"
#include "vmms/hot_plug.h"
#include "vmms/network_plug.h"
#include "vmms/integration.h"
#include "vmms/memory_settings.h"
#include "vmms/network_adapters.h"
#include "vmms/storage_settings.h"

#define NAME_DEFAULT "New Virtual Machine"

static bool always(const struct store_vm *vm)
{
	return true;
}

static void fill_processor(struct cim_instance *i, const struct store_vm *vm)
{
	cim_set_string(i, Msvm_ProcessorSettingData_ElementName, "Processor");
	cim_set_uint(i, Msvm_ProcessorSettingData_VirtualQuantity, vm->processor_count);
}

static enum setting_put put_processor(struct cim_context *context, const struct setting_target *target,
				      int property, const struct cim_value *value)
{
	if (property != Msvm_ProcessorSettingData_VirtualQuantity)
		return SETTING_NOT_BACKED;
	if (value->items[0].uint < 1 || value->items[0].uint > VM_PROCESSORS_MAX)
		return setting_put_refuse(context, "VirtualQuantity",
					  "VirtualQuantity: a virtual machine has 1 to %d processors",
					  VM_PROCESSORS_MAX);
	target->vm->processor_count = (unsigned)value->items[0].uint;
	return SETTING_PUT;
}

static void fill_serial_port(struct cim_instance *i, const struct store_vm *vm)
{
	cim_set_string(i, Msvm_SerialPortSettingData_ElementName, "COM 1");
	cim_set_uint(i, Msvm_SerialPortSettingData_ResourceType, 21);
	cim_set_string(i, Msvm_SerialPortSettingData_ResourceSubType, "Microsoft:Hyper-V:Serial Port");
	cim_set_string(i, Msvm_SerialPortSettingData_AddressOnParent, "0");
}

static enum setting_put put_nothing(struct cim_context *context, const struct setting_target *target,
				    int property, const struct cim_value *value)
{
	return SETTING_NOT_BACKED;
}

static bool has_linux_direct(const struct store_vm *vm)
{
	return vm->has_linux_direct;
}

static void fill_linux_direct(struct cim_instance *i, const struct store_vm *vm)
{
	cim_set_string(i, Undercroft_LinuxKernelDirectSettingData_ElementName, "Linux Kernel Direct Boot");
	cim_set_string(i, Undercroft_LinuxKernelDirectSettingData_KernelPath, vm->kernel_path);
	cim_set_string(i, Undercroft_LinuxKernelDirectSettingData_InitialRamdiskPath,
		       vm->initrd_path[0] ? vm->initrd_path : NULL);
	cim_set_string(i, Undercroft_LinuxKernelDirectSettingData_CommandLine, vm->command_line);
}

static enum setting_put put_text(struct cim_context *context, const char *field,
				 const struct cim_value *value, char *out, size_t size)
{
	if (!setting_put_check_text(context, field, value->items[0].string, size - 1))
		return SETTING_REFUSED;
	snprintf(out, size, "%s", value->items[0].string);
	return SETTING_PUT;
}

static enum setting_put put_path(struct cim_context *context, const char *field,
				 const struct cim_value *value, bool may_be_empty, char *out)
{
	if (put_text(context, field, value, out, STORE_PATH_MAX + 1) == SETTING_REFUSED)
		return SETTING_REFUSED;
	if ((may_be_empty && !out[0]) || host_file_allowed(&context->model->config->kernels, out))
		return SETTING_PUT;
	return setting_put_refuse(
		context, field,
		"%s must be an absolute path below one of the directories that the configuration allows "
		"(kernel-directories)",
		field);
}

static enum setting_put put_linux_direct(struct cim_context *context, const struct setting_target *target,
					 int property, const struct cim_value *value)
{
	struct store_vm *vm = target->vm;

	switch (property) {
	case Undercroft_LinuxKernelDirectSettingData_KernelPath:
		return put_path(context, "KernelPath", value, false, vm->kernel_path);
	case Undercroft_LinuxKernelDirectSettingData_InitialRamdiskPath:
		return put_path(context, "InitialRamdiskPath", value, true, vm->initrd_path);
	case Undercroft_LinuxKernelDirectSettingData_CommandLine:
		return put_text(context, "CommandLine", value, vm->command_line, sizeof(vm->command_line));
	default:
		return SETTING_NOT_BACKED;
	}
}

/* EnabledState is the first property that the classes of the components have of their own. */
#define COMPONENT_STATE ((int)Msvm_HeartbeatComponentSettingData_EnabledState)
_Static_assert((int)Msvm_ShutdownComponentSettingData_EnabledState == COMPONENT_STATE, "one index for all");
_Static_assert((int)Msvm_TimeSyncComponentSettingData_EnabledState == COMPONENT_STATE, "one index for all");
_Static_assert((int)Msvm_KvpExchangeComponentSettingData_EnabledState == COMPONENT_STATE,
	       "one index for all");
_Static_assert((int)Msvm_VssComponentSettingData_EnabledState == COMPONENT_STATE, "one index for all");
_Static_assert((int)Msvm_GuestServiceInterfaceComponentSettingData_EnabledState == COMPONENT_STATE,
	       "one index for all");

#define COMPONENT_ENABLED  2
#define COMPONENT_DISABLED 3

static void fill_component(struct cim_instance *i, const struct store_vm *vm)
{
	cim_set_uint(i, COMPONENT_STATE,
		     vm->components[integration_component_of(i->class)] ? COMPONENT_ENABLED
									: COMPONENT_DISABLED);
}

static enum setting_put put_component(struct cim_context *context, const struct setting_target *target,
				      int property, const struct cim_value *value)
{
	if (property != COMPONENT_STATE)
		return SETTING_NOT_BACKED;
	if (value->items[0].uint != COMPONENT_ENABLED && value->items[0].uint != COMPONENT_DISABLED)
		return setting_put_refuse(context, "EnabledState",
					  "EnabledState must be %d (enabled) or %d (disabled)",
					  COMPONENT_ENABLED, COMPONENT_DISABLED);
	target->vm->components[integration_component_of(target->class)] =
		value->items[0].uint == COMPONENT_ENABLED;
	return SETTING_PUT;
}

const struct setting_kind setting_kinds[] = {
	{&cim_class_Msvm_ProcessorSettingData, "Processor", false, always, fill_processor, put_processor,
	 NULL},
	{&cim_class_Msvm_MemorySettingData, "Memory", false, always, memory_setting_fill, memory_setting_put,
	 memory_setting_check},
	{&cim_class_Msvm_SerialPortSettingData, "COM1", false, always, fill_serial_port, put_nothing, NULL},
	{&cim_class_Undercroft_LinuxKernelDirectSettingData, "LinuxKernelDirect", true, has_linux_direct,
	 fill_linux_direct, put_linux_direct, NULL},
	{&cim_class_Msvm_HeartbeatComponentSettingData, INTEGRATION_HEARTBEAT_SETTING, false, always,
	 fill_component, put_component, NULL},
	{&cim_class_Msvm_ShutdownComponentSettingData, INTEGRATION_SHUTDOWN_SETTING, false, always,
	 fill_component, put_component, NULL},
	{&cim_class_Msvm_TimeSyncComponentSettingData, INTEGRATION_TIMESYNC_SETTING, false, always,
	 fill_component, put_component, NULL},
	{&cim_class_Msvm_KvpExchangeComponentSettingData, INTEGRATION_KVP_SETTING, false, always,
	 fill_component, put_component, NULL},
	{&cim_class_Msvm_VssComponentSettingData, INTEGRATION_VSS_SETTING, false, always, fill_component,
	 put_component, NULL},
	{&cim_class_Msvm_GuestServiceInterfaceComponentSettingData, INTEGRATION_FCOPY_SETTING, false, always,
	 fill_component, put_component, NULL},
};
const size_t setting_kind_count = sizeof(setting_kinds) / sizeof(setting_kinds[0]);

static enum setting_put put_vssd(struct cim_context *context, const struct setting_target *target,
				 int property, const struct cim_value *value)
{
	struct store_vm *vm = target->vm;
	size_t used = 0;

	if (property == Msvm_VirtualSystemSettingData_ElementName) {
		if (!value->items[0].string[0])
			return setting_put_refuse(context, "ElementName", "ElementName must not be empty");
		return put_text(context, "ElementName", value, vm->element_name, sizeof(vm->element_name));
	}
	if (property != Msvm_VirtualSystemSettingData_Notes)
		return SETTING_NOT_BACKED;
	vm->notes[0] = 0;
	for (size_t i = 0; i < value->count; i++) {
		used += (size_t)snprintf(vm->notes + used, sizeof(vm->notes) - used, "%s%s", i ? "\n" : "",
					 value->items[i].string);
		if (used >= sizeof(vm->notes))
			return setting_put_refuse(context, "Notes", "Notes are longer than %d bytes",
						  STORE_NOTES_MAX);
	}
	return SETTING_PUT;
}

static const struct setting_kind *kind_of_class(const struct cim_class *class)
{
	for (size_t i = 0; i < setting_kind_count; i++)
		if (setting_kinds[i].class == class)
			return &setting_kinds[i];
	return NULL;
}

static bool require_off(struct cim_context *context, const struct vm *vm)
{
	enum vm_state state = (enum vm_state)vm->record.state;

	if (state == VM_OFF)
		return true;
	cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_STATE, NULL,
		      "%s is %s; this can be done only while it is off", vm->record.element_name,
		      vm_state_name(state));
	context->error.has_state = true;
	context->error.current_state = vm_state_enabled_state(state);
	context->error.available_count = vm_state_available(state, context->error.available, CIM_STATES_MAX);
	return false;
}

/* ---- drafts: what a call makes of its machines, kept only when all of it is good ---- */

struct draft {
	struct vm *vm; /* NULL: it does not exist yet */
	struct store_vm record;
	struct store_storage storage; /* paths are the arena's or the machine's */
	bool storage_changed;
	bool live; /* it runs: its devices change through the worker */
	struct store_network network;
	bool network_changed;
	struct draft *next;
};

static struct draft *new_draft(struct cim_context *context, struct vm *vm)
{
	struct draft *draft = arena_alloc(context->arena, sizeof(*draft));

	draft->vm = vm;
	if (vm) {
		draft->record = vm->record;
		draft->storage = vm->storage;
		draft->network = vm->network;
	}
	return draft;
}

/* When settings of a kind may change. */
enum draft_time { DRAFT_OFF, DRAFT_STORAGE, DRAFT_ADAPTERS, DRAFT_ANY_STATE };

/* False with the error: it is neither off nor such that its devices can change. */
static bool may_change_devices(struct cim_context *context, const struct vm *vm, bool *live)
{
	*live = vm->worker && (vm->record.state == VM_RUNNING || vm->record.state == VM_PAUSED);
	if (!*live)
		return require_off(context, vm);
	if (vm->hot_plug || vm->network_plug)
		cim_error_set(&context->error, context->arena, CIM_ERR_BUSY, NULL,
			      "The devices of %s are changing", vm->record.element_name);
	return !vm->hot_plug && !vm->network_plug;
}

/* The draft of a machine whose devices are to change. NULL with the error: its state does not allow that. */
static struct draft *draft_of(struct cim_context *context, struct draft **drafts, struct vm *vm,
			      enum draft_time when)
{
	bool live = false;

	if (when == DRAFT_OFF && !require_off(context, vm))
		return NULL;
	if ((when == DRAFT_STORAGE || when == DRAFT_ADAPTERS) && !may_change_devices(context, vm, &live))
		return NULL;
	for (; *drafts; drafts = &(*drafts)->next)
		if ((*drafts)->vm == vm) {
			(*drafts)->live |= live;
			return *drafts;
		}
	*drafts = new_draft(context, vm);
	(*drafts)->live = live;
	return *drafts;
}

static uint32_t failed(const struct cim_context *context)
{
	return cim_status_return_value(context->error.status);
}

static bool store_failed(struct cim_context *context)
{
	cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
		      store_error(context->model->store));
	return false;
}

static bool write_drafts(struct store *store, struct draft *drafts)
{
	if (store_begin(store))
		return false;
	for (struct draft *d = drafts; d; d = d->next)
		if (store_vm_update(store, &d->record) ||
		    (d->storage_changed && store_storage_put(store, d->record.id, &d->storage)) ||
		    (d->network_changed && store_network_put(store, d->record.id, &d->network))) {
			store_rollback(store);
			return false;
		}
	return store_commit(store) == 0;
}

/* On disk first, then in the model. */
static bool commit(struct cim_context *context, struct draft *drafts)
{
	char reason[NET_REASON_SIZE];

	for (struct draft *d = drafts; d; d = d->next)
		d->record.config_changed_ms = model_now_ms();
	if (!write_drafts(context->model->store, drafts))
		return store_failed(context);
	for (struct draft *d = drafts; d; d = d->next) {
		d->vm->record = d->record;
		if (d->storage_changed)
			vm_take_storage(d->vm, &d->storage);
		log_notice("vm.modify", "vm=%s", d->record.id);
		if (d->network_changed && network_take(d->vm, &d->network, reason, sizeof(reason)))
			cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL,
				      "The settings are stored, but not in effect: %s", reason);
	}
	return context->error.status == CIM_OK;
}

/* ---- what is added ---- */

static bool setting_check(struct cim_context *context, const struct setting_kind *kind,
			  const struct store_vm *vm)
{
	return !kind->check || kind->check(context, vm);
}

/* Classes of which a machine has at most one. */
static bool add_single(struct cim_context *context, struct draft *draft, const struct cim_instance *setting,
		       bool defining)
{
	const struct setting_kind *kind = kind_of_class(setting->class);
	struct setting_target target = {.class = setting->class, .vm = &draft->record};

	if (!kind) {
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "ResourceSettings",
			      "%s cannot be added to a virtual machine", setting->class->name);
		return false;
	}
	if (kind->present(&draft->record) && !defining) {
		setting_put_refuse(context, "ResourceSettings",
				   "The virtual machine has its %s already; change it with "
				   "ModifyResourceSettings",
				   setting->class->name);
		return false;
	}
	if (kind->removable) {
		if (!cim_get_string(setting, Undercroft_LinuxKernelDirectSettingData_KernelPath)) {
			setting_put_refuse(context, "KernelPath", "KernelPath is required");
			return false;
		}
		draft->record.has_linux_direct = true;
	}
	return setting_put_all(context, &target, instance_setting(context->arena, kind, &draft->record),
			       setting, kind->put) &&
	       setting_check(context, kind, &draft->record);
}

/* What one call has added, to be the Parent of what comes later in it. */
struct adding {
	struct storage_adding storage;
	struct network_adding network;
};

/* One setting; its reference. NULL with the error. */
static struct cim_reference *add_setting(struct cim_context *context, struct draft *draft, struct adding *adding,
					 const struct cim_instance *setting, bool defining)
{
	struct network_item item;

	if (storage_setting_class(setting->class)) {
		draft->storage_changed = true;
		return storage_setting_add(context, &adding->storage, setting)
			       ? storage_setting_reference(
					 context->arena, draft->record.id, &draft->storage,
					 &adding->storage.labels[adding->storage.count - 1].item)
			       : NULL;
	}
	if (network_setting_class(setting->class)) {
		draft->network_changed = true;
		return network_setting_add(context, &adding->network, setting, &item)
			       ? network_setting_reference(context->arena, draft->record.id, &draft->network, &item)
			       : NULL;
	}
	return add_single(context, draft, setting, defining)
		       ? cim_reference_of(instance_setting(context->arena, kind_of_class(setting->class),
							   &draft->record))
		       : NULL;
}

/* All settings in their order; the references in `results`, if it is not NULL. */
static bool add_settings(struct cim_context *context, struct draft *draft, const struct cim_value *resources,
			 struct cim_reference **results)
{
	size_t room = resources->count + 1;
	struct adding adding = {
		.storage = {.vm_id = draft->record.id,
			    .storage = &draft->storage,
			    .labels = arena_alloc(context->arena, room * sizeof(*adding.storage.labels))},
		.network = {.vm_id = draft->record.id,
			    .network = &draft->network,
			    .labels = arena_alloc(context->arena, room * sizeof(*adding.network.labels))}};

	for (size_t i = 0; resources->is_set && i < resources->count; i++) {
		struct cim_reference *added =
			add_setting(context, draft, &adding, resources->items[i].instance, !results);

		if (!added)
			return false;
		if (results)
			results[i] = added;
	}
	return true;
}

static void set_defaults(struct store_vm *vm)
{
	model_new_id(vm->id);
	snprintf(vm->element_name, sizeof(vm->element_name), "%s", NAME_DEFAULT);
	vm->created_ms = vm->config_changed_ms = vm->state_changed_ms = model_now_ms();
	vm->state = VM_OFF;
	vm->requested_state = VM_REQUEST_NONE;
	vm->processor_count = 1;
	memory_setting_defaults(vm);
	/* Files of the host go into a guest only where somebody asked for it. */
	for (int i = 0; i < STORE_COMPONENT_COUNT; i++)
		vm->components[i] = i != STORE_FCOPY;
}

static bool put_system(struct cim_context *context, struct draft *draft, const struct cim_instance *system)
{
	struct setting_target target = {.class = system->class, .vm = &draft->record};

	return setting_put_all(context, &target, instance_vssd(context->arena, &draft->record), system,
			       put_vssd);
}

/*
 * Virtual hard disk files are looked into before anything of the model is: that takes a program, and the model is
 * unlocked while it runs. Whatever else is wrong with these settings is found later.
 */
static bool check_images(struct cim_context *context, const struct cim_value *resources)
{
	for (size_t i = 0; resources->is_set && i < resources->count; i++)
		if (!storage_setting_check_image(context, resources->items[i].instance))
			return false;
	return true;
}

/*
 * Keeps the drafts: at once, or, of a running machine, by a job, which is then put into that parameter.
 */
static uint32_t keep_drafts(struct cim_context *context, struct draft *drafts, int job_type, struct cim_arguments *out,
			    int parameter)
{
	char reason[STORE_STATUS_MAX + 1];
	struct job *job;

	for (struct draft *d = drafts; d; d = d->next)
		if (d->live && (d->next || d != drafts || (d->storage_changed && d->network_changed)))
			return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "ResourceSettings",
					     "ResourceSettings: a machine that runs is changed by a call of its own");
	if (!drafts || !drafts->live ||
	    (!drafts->storage_changed && !network_plug_is_needed(drafts->vm, &drafts->network)))
		return commit(context, drafts) ? CIM_RETURN_COMPLETED : failed(context);
	job = drafts->storage_changed ? hot_plug_start(drafts->vm, &drafts->storage, job_type, reason, sizeof(reason))
				      : network_plug_start(drafts->vm, &drafts->network, job_type, reason,
							   sizeof(reason));
	if (!job)
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "%s", reason);
	cim_argument_set_reference(out, parameter, instance_job_reference(context->arena, job));
	return CIM_RETURN_JOB_STARTED;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, DefineSystem)
{
	const struct cim_instance *system = cim_argument_instance(
		in, CIM_PARAMETER(Msvm_VirtualSystemManagementService, DefineSystem, SystemSettings));
	const struct cim_value *resources = &in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService,
								      DefineSystem, ResourceSettings)];
	struct draft *draft = new_draft(context, NULL);
	struct vm *vm;

	if (in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService, DefineSystem,
				     ReferenceConfiguration)]
		    .is_set)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED,
				     "ReferenceConfiguration",
				     "A machine cannot be defined from another one yet");
	set_defaults(&draft->record);
	if ((resources->is_set && !check_images(context, resources)) || !put_system(context, draft, system) || !add_settings(context, draft, resources, NULL))
		return failed(context);
	vm = vm_create(context->model, &draft->record, &draft->storage, &draft->network);
	if (!vm) {
		store_failed(context);
		return failed(context);
	}
	log_notice("vm.define", "vm=%s name=\"%s\"", vm->record.id, vm->record.element_name);
	cim_argument_set_reference(
		out, CIM_PARAMETER(Msvm_VirtualSystemManagementService, DefineSystem, ResultingSystem),
		instance_system_reference(context->arena, vm->record.id));
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, DestroySystem)
{
	const struct cim_reference *affected = cim_argument_reference(
		in, CIM_PARAMETER(Msvm_VirtualSystemManagementService, DestroySystem, AffectedSystem));
	const char *id = cim_reference_key(affected, "Name");
	struct vm *vm = id ? vm_find(context->model, id) : NULL;

	if (!vm)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, "AffectedSystem",
				     "AffectedSystem names no virtual machine");
	if (!require_off(context, vm))
		return failed(context);
	log_notice("vm.destroy", "vm=%s name=\"%s\"", vm->record.id, vm->record.element_name);
	if (vm_destroy(context->model, vm)) {
		store_failed(context);
		return failed(context);
	}
	return CIM_RETURN_COMPLETED;
}

/* The machine that has this system setting, or NULL. */
static struct vm *system_owner(struct model *model, const char *instance_id)
{
	const char *suffix;
	struct vm *vm = instance_id ? instance_setting_owner(model, instance_id, &suffix) : NULL;

	return vm && !*suffix ? vm : NULL;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, ModifySystemSettings)
{
	const struct cim_instance *system = cim_argument_instance(
		in, CIM_PARAMETER(Msvm_VirtualSystemManagementService, ModifySystemSettings, SystemSettings));
	const char *id = cim_get_string(system, Msvm_VirtualSystemSettingData_InstanceID);
	struct vm *vm = system_owner(context->model, id);
	struct draft *draft;

	if (!vm)
		return cim_error_set(&context->error, context->arena,
				     id ? CIM_ERR_NOT_FOUND : CIM_ERR_INVALID_PARAMETER, "InstanceID",
				     "InstanceID must name the settings of a virtual machine");
	/* Names and notes change in any state. */
	draft = new_draft(context, vm);
	if (!put_system(context, draft, system) || !commit(context, draft))
		return failed(context);
	return CIM_RETURN_COMPLETED;
}

/* Adapters come and go as storage does; their connections in any state. */
static enum draft_time time_of_class(const struct cim_class *class)
{
	if (storage_setting_class(class))
		return DRAFT_STORAGE;
	if (class == &cim_class_Msvm_SyntheticEthernetPortSettingData)
		return DRAFT_ADAPTERS;
	return class == &cim_class_Msvm_EthernetPortAllocationSettingData ? DRAFT_ANY_STATE : DRAFT_OFF;
}

/* Adapters come with their connections. Other kinds together: only while the machine is off. */
static enum draft_time time_of_both(enum draft_time one, enum draft_time other)
{
	if (one == other)
		return one;
	return (one == DRAFT_ADAPTERS && other == DRAFT_ANY_STATE) ||
			       (one == DRAFT_ANY_STATE && other == DRAFT_ADAPTERS)
		       ? DRAFT_ADAPTERS
		       : DRAFT_OFF;
}

static enum draft_time time_of(const struct cim_value *resources)
{
	enum draft_time when = resources->count ? time_of_class(resources->items[0].instance->class) : DRAFT_OFF;

	for (size_t i = 1; i < resources->count; i++)
		when = time_of_both(when, time_of_class(resources->items[i].instance->class));
	return when;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, AddResourceSettings)
{
	const struct cim_reference *affected =
		cim_argument_reference(in, CIM_PARAMETER(Msvm_VirtualSystemManagementService,
							 AddResourceSettings, AffectedConfiguration));
	const struct cim_value *resources = &in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService,
								      AddResourceSettings, ResourceSettings)];
	struct cim_reference **results;
	struct draft *draft = NULL;
	struct vm *vm;

	if (!check_images(context, resources))
		return failed(context);
	vm = system_owner(context->model, cim_reference_key(affected, "InstanceID"));
	if (!vm)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND,
				     "AffectedConfiguration",
				     "AffectedConfiguration names no settings of a virtual machine");
	results = arena_alloc(context->arena, (resources->count + 1) * sizeof(*results));
	if (!draft_of(context, &draft, vm, time_of(resources)) || !add_settings(context, draft, resources, results))
		return failed(context);
	cim_argument_set_references(out,
				    CIM_PARAMETER(Msvm_VirtualSystemManagementService, AddResourceSettings,
						  ResultingResourceSettings),
				    results, resources->count);
	return keep_drafts(context, draft, JOB_TYPE_ADD, out,
			   CIM_PARAMETER(Msvm_VirtualSystemManagementService, AddResourceSettings, Job));
}

/* ---- what is changed and removed ---- */

/* A device setting that is there: of a kind with one per machine, or an item of the storage or of the network. */
struct found_setting {
	struct vm *vm;
	const struct setting_kind *kind; /* NULL: storage or network */
	bool is_network;
	const char *suffix;
	struct storage_item item;
	struct network_item network_item;
};

static bool find_setting(struct model *model, const char *instance_id, struct found_setting *found)
{
	found->vm = instance_id ? instance_setting_owner(model, instance_id, &found->suffix) : NULL;
	if (!found->vm)
		return false;
	found->kind = instance_setting_kind(found->suffix);
	found->is_network = !found->kind &&
			    network_item_find(&found->vm->network, found->suffix, &found->network_item);
	return found->is_network ||
	       (found->kind ? found->kind->present(&found->vm->record)
			    : storage_item_find(&found->vm->storage, found->suffix, &found->item));
}

static const struct cim_class *class_of(const struct found_setting *found)
{
	if (found->kind)
		return found->kind->class;
	if (found->is_network)
		return network_item_class(&found->network_item);
	return found->item.kind == STORAGE_IMAGE ? &cim_class_Msvm_StorageAllocationSettingData
						 : &cim_class_Msvm_ResourceAllocationSettingData;
}

static enum draft_time time_of_found(const struct found_setting *found)
{
	return found->kind ? DRAFT_OFF : time_of_class(class_of(found));
}

static bool modify_one(struct cim_context *context, struct draft **drafts, const struct cim_instance *changes,
		       const char *field, struct cim_reference **result)
{
	const char *id = cim_get_string(changes, CIM_SettingData_InstanceID);
	struct setting_target target = {.class = changes->class};
	struct found_setting found;
	enum draft_time when;
	struct draft *draft;

	if (!find_setting(context->model, id, &found) || class_of(&found) != changes->class) {
		cim_error_set(&context->error, context->arena,
			      id ? CIM_ERR_NOT_FOUND : CIM_ERR_INVALID_PARAMETER, field,
			      "%s: InstanceID must name a present %s", field, changes->class->name);
		return false;
	}
	when = time_of_found(&found);
	/* The guest is told an adapter's name and address once, when it comes. */
	draft = draft_of(context, drafts, found.vm, when == DRAFT_ADAPTERS ? DRAFT_OFF : when);
	if (!draft)
		return false;
	if (found.is_network) {
		draft->network_changed = true;
		*result = network_setting_reference(context->arena, draft->record.id, &draft->network,
						    &found.network_item);
		return network_setting_modify(context, draft->record.id, &draft->network, &found.network_item,
					      changes);
	}
	if (!found.kind) {
		draft->storage_changed = true;
		*result = storage_setting_reference(context->arena, draft->record.id, &draft->storage,
						    &found.item);
		return storage_setting_modify(context, draft->record.id, &draft->storage, &found.item,
					      changes);
	}
	target.vm = &draft->record;
	*result = cim_reference_of(instance_setting(context->arena, found.kind, &draft->record));
	return setting_put_all(context, &target, instance_setting(context->arena, found.kind, &draft->record),
			       changes, found.kind->put) &&
	       setting_check(context, found.kind, &draft->record);
}

CIM_METHOD(Msvm_VirtualSystemManagementService, ModifyResourceSettings)
{
	const struct cim_value *resources = &in->values[CIM_PARAMETER(
		Msvm_VirtualSystemManagementService, ModifyResourceSettings, ResourceSettings)];
	struct cim_reference **results =
		arena_alloc(context->arena, (resources->count + 1) * sizeof(*results));
	struct draft *drafts = NULL;

	if (!check_images(context, resources))
		return failed(context);
	for (size_t i = 0; i < resources->count; i++)
		if (!modify_one(context, &drafts, resources->items[i].instance, "ResourceSettings",
				&results[i]))
			return failed(context);
	cim_argument_set_references(out,
				    CIM_PARAMETER(Msvm_VirtualSystemManagementService, ModifyResourceSettings,
						  ResultingResourceSettings),
				    results, resources->count);
	return keep_drafts(context, drafts, JOB_TYPE_MODIFY, out,
			   CIM_PARAMETER(Msvm_VirtualSystemManagementService, ModifyResourceSettings, Job));
}

static bool remove_one(struct cim_context *context, struct draft **drafts, const char *id)
{
	struct found_setting found;
	struct draft *draft;

	if (!find_setting(context->model, id, &found)) {
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, "ResourceSettings",
			      "ResourceSettings names a setting that is not there");
		return false;
	}
	if (found.kind && !found.kind->removable) {
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "ResourceSettings",
			      "%s cannot be removed from a virtual machine", found.kind->class->name);
		return false;
	}
	draft = draft_of(context, drafts, found.vm, time_of_found(&found));
	if (!draft)
		return false;
	if (found.is_network) {
		/* As below. */
		if (network_item_find(&draft->network, found.suffix, &found.network_item)) {
			network_setting_remove(&draft->network, &found.network_item);
			draft->network_changed = true;
		}
		return true;
	}
	if (found.kind) {
		draft->record.has_linux_direct = false;
		draft->record.kernel_path[0] = draft->record.initrd_path[0] = 0;
		draft->record.command_line[0] = 0;
		return true;
	}
	/* It may have gone together with its parent, which stood before it in the list. */
	if (storage_item_find(&draft->storage, found.suffix, &found.item)) {
		storage_remove(&draft->storage, &found.item);
		draft->storage_changed = true;
	}
	return true;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, RemoveResourceSettings)
{
	const struct cim_value *resources = &in->values[CIM_PARAMETER(
		Msvm_VirtualSystemManagementService, RemoveResourceSettings, ResourceSettings)];
	struct draft *drafts = NULL;

	for (size_t i = 0; i < resources->count; i++)
		if (!remove_one(context, &drafts,
				cim_reference_key(resources->items[i].reference, "InstanceID")))
			return failed(context);
	return keep_drafts(context, drafts, JOB_TYPE_REMOVE, out,
			   CIM_PARAMETER(Msvm_VirtualSystemManagementService, RemoveResourceSettings, Job));
}

static void enumerate_linux_direct(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Undercroft_LinuxKernelDirectSettingData, out);
}

static void modify_linux_direct(struct cim_context *context, const struct cim_instance *current,
				const struct cim_instance *changes)
{
	struct cim_instance *named = cim_instance_blank(context->arena, changes->class);
	struct cim_reference *result;
	struct draft *drafts = NULL;

	memcpy(named->values, changes->values, changes->class->property_count * sizeof(*named->values));
	cim_set_string(named, CIM_SettingData_InstanceID,
		       cim_get_string(current, CIM_SettingData_InstanceID));
	if (modify_one(context, &drafts, named, "InstanceID", &result))
		commit(context, drafts);
}

CIM_PROVIDER(Undercroft_LinuxKernelDirectSettingData) = {.enumerate = enumerate_linux_direct,
							 .modify = modify_linux_direct};
