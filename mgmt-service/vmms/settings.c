/* SPDX-License-Identifier: Apache-2.0 */
/* What can be set on a virtual machine, and the methods that set it. */
#include <stdio.h>
#include <string.h>

#include "cim/invoke.h"
#include "cim_schema.gen.h"
#include "daemon/log.h"
#include "vmms/instances.h"
#include "vmms/kernel_file.h"

#define MEMORY_DEFAULT_MIB 1024
#define NAME_DEFAULT       "New Virtual Machine"

/* Text of a client that goes into names, paths and command lines: no control characters, and it must fit. */
static enum setting_put put_text(struct cim_context *context, const char *field,
				 const struct cim_value *value, char *out, size_t size)
{
	const char *text = value->items[0].string;

	for (const char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field,
				      "%s must not contain control characters", field);
			return SETTING_REFUSED;
		}
	if (strlen(text) >= size) {
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field,
			      "%s is longer than %zu bytes", field, size - 1);
		return SETTING_REFUSED;
	}
	snprintf(out, size, "%s", text);
	return SETTING_PUT;
}

static bool always(const struct store_vm *vm)
{
	return true;
}

static void fill_processor(struct cim_instance *i, const struct store_vm *vm)
{
	cim_set_string(i, Msvm_ProcessorSettingData_ElementName, "Processor");
	cim_set_uint(i, Msvm_ProcessorSettingData_VirtualQuantity, vm->processor_count);
}

static enum setting_put put_processor(struct cim_context *context, struct store_vm *vm, int property,
				      const struct cim_value *value)
{
	if (property != Msvm_ProcessorSettingData_VirtualQuantity)
		return SETTING_NOT_BACKED;
	if (value->items[0].uint < 1 || value->items[0].uint > VM_PROCESSORS_MAX) {
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, "VirtualQuantity",
			      "VirtualQuantity: a virtual machine has 1 to %d processors", VM_PROCESSORS_MAX);
		return SETTING_REFUSED;
	}
	vm->processor_count = (unsigned)value->items[0].uint;
	return SETTING_PUT;
}

static void fill_memory(struct cim_instance *i, const struct store_vm *vm)
{
	cim_set_string(i, Msvm_MemorySettingData_ElementName, "Memory");
	cim_set_uint(i, Msvm_MemorySettingData_VirtualQuantity, vm->startup_mib);
	cim_set_uint(i, Msvm_MemorySettingData_Reservation, vm->startup_mib);
	cim_set_uint(i, Msvm_MemorySettingData_Limit, vm->startup_mib);
	cim_set_boolean(i, Msvm_MemorySettingData_DynamicMemoryEnabled, false);
}

static enum setting_put put_memory(struct cim_context *context, struct store_vm *vm, int property,
				   const struct cim_value *value)
{
	uint64_t mib = value->items[0].uint;

	if (property != Msvm_MemorySettingData_VirtualQuantity)
		return SETTING_NOT_BACKED;
	if (mib < VM_MEMORY_MIN_MIB || mib > VM_MEMORY_MAX_MIB || mib % VM_MEMORY_STEP_MIB) {
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, "VirtualQuantity",
			      "VirtualQuantity: memory is an even number of MiB from %d on",
			      VM_MEMORY_MIN_MIB);
		return SETTING_REFUSED;
	}
	vm->startup_mib = mib;
	return SETTING_PUT;
}

static void fill_serial_port(struct cim_instance *i, const struct store_vm *vm)
{
	cim_set_string(i, Msvm_SerialPortSettingData_ElementName, "COM 1");
	cim_set_uint(i, Msvm_SerialPortSettingData_ResourceType, 21);
	cim_set_string(i, Msvm_SerialPortSettingData_ResourceSubType, "Microsoft:Hyper-V:Serial Port");
	cim_set_string(i, Msvm_SerialPortSettingData_AddressOnParent, "0");
}

static enum setting_put put_nothing(struct cim_context *context, struct store_vm *vm, int property,
				    const struct cim_value *value)
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

static enum setting_put put_path(struct cim_context *context, const char *field,
				 const struct cim_value *value, bool may_be_empty, char *out)
{
	if (put_text(context, field, value, out, STORE_PATH_MAX + 1) == SETTING_REFUSED)
		return SETTING_REFUSED;
	if ((may_be_empty && !out[0]) || kernel_file_allowed(context->model->config, out))
		return SETTING_PUT;
	cim_error_set(
		&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field,
		"%s must be an absolute path below one of the directories that the configuration allows "
		"(kernel-directories)",
		field);
	return SETTING_REFUSED;
}

static enum setting_put put_linux_direct(struct cim_context *context, struct store_vm *vm, int property,
					 const struct cim_value *value)
{
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

const struct setting_kind setting_kinds[] = {
	{&cim_class_Msvm_ProcessorSettingData, "Processor", false, always, fill_processor, put_processor},
	{&cim_class_Msvm_MemorySettingData, "Memory", false, always, fill_memory, put_memory},
	{&cim_class_Msvm_SerialPortSettingData, "COM1", false, always, fill_serial_port, put_nothing},
	{&cim_class_Undercroft_LinuxKernelDirectSettingData, "LinuxKernelDirect", true, has_linux_direct,
	 fill_linux_direct, put_linux_direct},
};
const size_t setting_kind_count = sizeof(setting_kinds) / sizeof(setting_kinds[0]);

static enum setting_put put_vssd(struct cim_context *context, struct store_vm *vm, int property,
				 const struct cim_value *value)
{
	size_t used = 0;

	if (property == Msvm_VirtualSystemSettingData_ElementName) {
		if (!value->items[0].string[0]) {
			cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER,
				      "ElementName", "ElementName must not be empty");
			return SETTING_REFUSED;
		}
		return put_text(context, "ElementName", value, vm->element_name, sizeof(vm->element_name));
	}
	if (property != Msvm_VirtualSystemSettingData_Notes)
		return SETTING_NOT_BACKED;
	vm->notes[0] = 0;
	for (size_t i = 0; i < value->count; i++) {
		used += (size_t)snprintf(vm->notes + used, sizeof(vm->notes) - used, "%s%s", i ? "\n" : "",
					 value->items[i].string);
		if (used >= sizeof(vm->notes)) {
			cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, "Notes",
				      "Notes are longer than %d bytes", STORE_NOTES_MAX);
			return SETTING_REFUSED;
		}
	}
	return SETTING_PUT;
}

/*
 * Puts what is set in `changes` into the draft. A property that nothing here backs may only repeat its
 * present value, so that a client can send back what it has read.
 */
static bool apply(struct cim_context *context, struct store_vm *draft, const struct cim_instance *current,
		  const struct cim_instance *changes,
		  enum setting_put (*put)(struct cim_context *, struct store_vm *, int,
					  const struct cim_value *))
{
	for (size_t i = 0; i < changes->class->property_count; i++) {
		const char *name = changes->class->properties[i].name;

		if (!changes->values[i].is_set || i == (size_t)CIM_SettingData_InstanceID)
			continue;
		switch (put(context, draft, (int)i, &changes->values[i])) {
		case SETTING_PUT:
			break;
		case SETTING_REFUSED:
			return false;
		case SETTING_NOT_BACKED:
			if (cim_value_equal(changes->class->properties[i].value.type, &changes->values[i],
					    &current->values[i]))
				break;
			cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, name,
				      "%s of %s cannot be changed", name, changes->class->name);
			return false;
		}
	}
	return true;
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

/* A setting that comes with a new machine, or is added to one. */
static bool add_setting(struct cim_context *context, struct store_vm *draft,
			const struct cim_instance *setting, bool defining)
{
	const struct setting_kind *kind = kind_of_class(setting->class);

	if (!kind) {
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "ResourceSettings",
			      "%s cannot be added to a virtual machine", setting->class->name);
		return false;
	}
	if (kind->present(draft) && !defining) {
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, "ResourceSettings",
			      "The virtual machine has its %s already; change it with ModifyResourceSettings",
			      setting->class->name);
		return false;
	}
	if (kind->removable) {
		if (!cim_get_string(setting, Undercroft_LinuxKernelDirectSettingData_KernelPath)) {
			cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER,
				      "KernelPath", "KernelPath is required");
			return false;
		}
		draft->has_linux_direct = true;
	}
	return apply(context, draft, instance_setting(context->arena, kind, draft), setting, kind->put);
}

static uint32_t failed(const struct cim_context *context)
{
	return cim_status_return_value(context->error.status);
}

/* On disk first, then in the model. */
static bool commit(struct cim_context *context, struct vm *vm, struct store_vm *draft)
{
	draft->config_changed_ms = model_now_ms();
	if (store_vm_update(context->model->store, draft)) {
		cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
			      store_error(context->model->store));
		return false;
	}
	vm->record = *draft;
	log_notice("vm.modify", "vm=%s", draft->id);
	return true;
}

static struct store_vm *new_draft(struct cim_context *context, const struct store_vm *from)
{
	struct store_vm *draft = arena_alloc(context->arena, sizeof(*draft));

	if (from)
		*draft = *from;
	return draft;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, DefineSystem)
{
	const struct cim_instance *system = cim_argument_instance(
		in, CIM_PARAMETER(Msvm_VirtualSystemManagementService, DefineSystem, SystemSettings));
	const struct cim_value *resources = &in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService,
								      DefineSystem, ResourceSettings)];
	struct store_vm *draft = new_draft(context, NULL);
	struct vm *vm;

	if (in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService, DefineSystem,
				     ReferenceConfiguration)]
		    .is_set)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED,
				     "ReferenceConfiguration",
				     "A machine cannot be defined from another one yet");
	model_new_id(draft->id);
	snprintf(draft->element_name, sizeof(draft->element_name), "%s", NAME_DEFAULT);
	draft->created_ms = draft->config_changed_ms = draft->state_changed_ms = model_now_ms();
	draft->state = VM_OFF;
	draft->requested_state = VM_REQUEST_NONE;
	draft->processor_count = 1;
	draft->startup_mib = MEMORY_DEFAULT_MIB;
	if (!apply(context, draft, instance_vssd(context->arena, draft), system, put_vssd))
		return failed(context);
	for (size_t i = 0; resources->is_set && i < resources->count; i++)
		if (!add_setting(context, draft, resources->items[i].instance, true))
			return failed(context);
	vm = vm_create(context->model, draft);
	if (!vm)
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
				     store_error(context->model->store));
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
	if (vm_destroy(context->model, vm))
		return cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
				     store_error(context->model->store));
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, ModifySystemSettings)
{
	const struct cim_instance *system = cim_argument_instance(
		in, CIM_PARAMETER(Msvm_VirtualSystemManagementService, ModifySystemSettings, SystemSettings));
	const char *id = cim_get_string(system, Msvm_VirtualSystemSettingData_InstanceID);
	const struct setting_kind *kind;
	struct vm *vm = id ? instance_setting_owner(context->model, id, &kind) : NULL;
	struct store_vm *draft;

	if (!vm || kind)
		return cim_error_set(&context->error, context->arena,
				     id ? CIM_ERR_NOT_FOUND : CIM_ERR_INVALID_PARAMETER, "InstanceID",
				     "InstanceID must name the settings of a virtual machine");
	draft = new_draft(context, &vm->record);
	if (!apply(context, draft, instance_vssd(context->arena, &vm->record), system, put_vssd) ||
	    !commit(context, vm, draft))
		return failed(context);
	return CIM_RETURN_COMPLETED;
}

static struct cim_reference *setting_reference(struct cim_context *context, const struct cim_class *class,
					       const struct store_vm *vm)
{
	return cim_reference_of(instance_setting(context->arena, kind_of_class(class), vm));
}

CIM_METHOD(Msvm_VirtualSystemManagementService, AddResourceSettings)
{
	const struct cim_reference *affected =
		cim_argument_reference(in, CIM_PARAMETER(Msvm_VirtualSystemManagementService,
							 AddResourceSettings, AffectedConfiguration));
	const struct cim_value *resources = &in->values[CIM_PARAMETER(Msvm_VirtualSystemManagementService,
								      AddResourceSettings, ResourceSettings)];
	const char *id = cim_reference_key(affected, "InstanceID");
	const struct setting_kind *kind = NULL;
	struct vm *vm = id ? instance_setting_owner(context->model, id, &kind) : NULL;
	struct cim_reference **results;
	struct store_vm *draft;

	if (!vm || kind)
		return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND,
				     "AffectedConfiguration",
				     "AffectedConfiguration names no settings of a virtual machine");
	if (!require_off(context, vm))
		return failed(context);
	draft = new_draft(context, &vm->record);
	results = arena_alloc(context->arena, (resources->count + 1) * sizeof(*results));
	for (size_t i = 0; i < resources->count; i++) {
		if (!add_setting(context, draft, resources->items[i].instance, false))
			return failed(context);
		results[i] = setting_reference(context, resources->items[i].instance->class, draft);
	}
	if (!commit(context, vm, draft))
		return failed(context);
	cim_argument_set_references(out,
				    CIM_PARAMETER(Msvm_VirtualSystemManagementService, AddResourceSettings,
						  ResultingResourceSettings),
				    results, resources->count);
	return CIM_RETURN_COMPLETED;
}

/* One change of one machine; several machines in one call change one after the other. */
static bool modify_one(struct cim_context *context, const struct cim_instance *changes, const char *field,
		       struct cim_reference **result)
{
	const char *id = cim_get_string(changes, CIM_SettingData_InstanceID);
	const struct setting_kind *kind = NULL;
	struct vm *vm = id ? instance_setting_owner(context->model, id, &kind) : NULL;
	struct store_vm *draft;

	if (!vm || !kind || kind->class != changes->class || !kind->present(&vm->record)) {
		cim_error_set(&context->error, context->arena,
			      id ? CIM_ERR_NOT_FOUND : CIM_ERR_INVALID_PARAMETER, field,
			      "%s: InstanceID must name a present %s", field, changes->class->name);
		return false;
	}
	if (!require_off(context, vm))
		return false;
	draft = new_draft(context, &vm->record);
	if (!apply(context, draft, instance_setting(context->arena, kind, &vm->record), changes, kind->put) ||
	    !commit(context, vm, draft))
		return false;
	*result = setting_reference(context, kind->class, draft);
	return true;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, ModifyResourceSettings)
{
	const struct cim_value *resources = &in->values[CIM_PARAMETER(
		Msvm_VirtualSystemManagementService, ModifyResourceSettings, ResourceSettings)];
	struct cim_reference **results =
		arena_alloc(context->arena, (resources->count + 1) * sizeof(*results));

	for (size_t i = 0; i < resources->count; i++)
		if (!modify_one(context, resources->items[i].instance, "ResourceSettings", &results[i]))
			return failed(context);
	cim_argument_set_references(out,
				    CIM_PARAMETER(Msvm_VirtualSystemManagementService, ModifyResourceSettings,
						  ResultingResourceSettings),
				    results, resources->count);
	return CIM_RETURN_COMPLETED;
}

CIM_METHOD(Msvm_VirtualSystemManagementService, RemoveResourceSettings)
{
	const struct cim_value *resources = &in->values[CIM_PARAMETER(
		Msvm_VirtualSystemManagementService, RemoveResourceSettings, ResourceSettings)];

	for (size_t i = 0; i < resources->count; i++) {
		const char *id = cim_reference_key(resources->items[i].reference, "InstanceID");
		const struct setting_kind *kind = NULL;
		struct vm *vm = id ? instance_setting_owner(context->model, id, &kind) : NULL;
		struct store_vm *draft;

		if (!vm || !kind || !kind->present(&vm->record))
			return cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND,
					     "ResourceSettings",
					     "ResourceSettings names a setting that is not there");
		if (!kind->removable)
			return cim_error_set(
				&context->error, context->arena, CIM_ERR_NOT_SUPPORTED, "ResourceSettings",
				"%s cannot be removed from a virtual machine", kind->class->name);
		if (!require_off(context, vm))
			return failed(context);
		draft = new_draft(context, &vm->record);
		draft->has_linux_direct = false;
		draft->kernel_path[0] = draft->initrd_path[0] = draft->command_line[0] = 0;
		if (!commit(context, vm, draft))
			return failed(context);
	}
	return CIM_RETURN_COMPLETED;
}

static void enumerate_linux_direct(struct cim_context *context, struct cim_list *out)
{
	const struct setting_kind *kind = kind_of_class(&cim_class_Undercroft_LinuxKernelDirectSettingData);

	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		if (kind->present(&vm->record))
			cim_list_add(out, instance_setting(context->arena, kind, &vm->record));
}

static void modify_linux_direct(struct cim_context *context, const struct cim_instance *current,
				const struct cim_instance *changes)
{
	struct cim_instance *named = cim_instance_blank(context->arena, changes->class);
	struct cim_reference *result;

	memcpy(named->values, changes->values, changes->class->property_count * sizeof(*named->values));
	cim_set_string(named, CIM_SettingData_InstanceID,
		       cim_get_string(current, CIM_SettingData_InstanceID));
	modify_one(context, named, "InstanceID", &result);
}

CIM_PROVIDER(Undercroft_LinuxKernelDirectSettingData) = {.enumerate = enumerate_linux_direct,
							 .modify = modify_linux_direct};
