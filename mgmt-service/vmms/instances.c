/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/instances.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cim_schema.gen.h"
#include "vmms/network_adapters.h"
#include "vmms/storage_settings.h"

#define SYSTEM_CLASS "Msvm_ComputerSystem"
#define OK_TEXT      "Operating normally"
#define VM_VERSION   "1.0" /* of the configuration that a machine is made with */

struct cim_reference *instance_system_reference(struct arena *arena, const char *name)
{
	const char *keys[] = {SYSTEM_CLASS, name};

	return cim_reference_make(arena, &cim_class_Msvm_ComputerSystem, 2, keys);
}

struct cim_reference *instance_job_reference(struct arena *arena, const struct job *job)
{
	const char *keys[] = {job->record.id};

	return cim_reference_make(arena,
				  job_is_of_storage(job) ? &cim_class_Msvm_StorageJob : &cim_class_Msvm_ConcreteJob,
				  1, keys);
}

static const char *setting_id(struct arena *arena, const char *vm_id, const char *suffix)
{
	return arena_printf(arena, "Microsoft:%s%s%s", vm_id, suffix ? "\\" : "", suffix ? suffix : "");
}

struct cim_reference *instance_vssd_reference(struct arena *arena, const char *vm_id)
{
	const char *keys[] = {setting_id(arena, vm_id, NULL)};

	return cim_reference_make(arena, &cim_class_Msvm_VirtualSystemSettingData, 1, keys);
}

static const char *status_text(const struct vm *vm)
{
	return vm->record.status_text[0] ? vm->record.status_text : OK_TEXT;
}

static struct cim_instance *instance_host(struct cim_context *context)
{
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Msvm_ComputerSystem);
	const uint16_t ok[] = {2};
	struct timespec up;

	clock_gettime(CLOCK_BOOTTIME, &up);
	cim_set_string(i, Msvm_ComputerSystem_CreationClassName, SYSTEM_CLASS);
	cim_set_string(i, Msvm_ComputerSystem_Name, context->model->host_name);
	cim_set_string(i, Msvm_ComputerSystem_ElementName, context->model->host_name);
	cim_set_string(i, Msvm_ComputerSystem_Caption, "Hosting Computer System");
	cim_set_string(i, Msvm_ComputerSystem_Description, "Microsoft Hosting Computer System");
	cim_set_uints(i, Msvm_ComputerSystem_OperationalStatus, ok, 1);
	cim_set_strings(i, Msvm_ComputerSystem_StatusDescriptions, (const char *[]){OK_TEXT}, 1);
	cim_set_uint(i, Msvm_ComputerSystem_RequestedState, VM_REQUEST_NONE);
	cim_set_uint(i, Msvm_ComputerSystem_OnTimeInMilliseconds,
		     (uint64_t)up.tv_sec * 1000 + (uint64_t)up.tv_nsec / 1000000);
	return i;
}

static void set_health(struct cim_instance *i, const struct vm *vm, int operational, int descriptions,
		       int health)
{
	const uint16_t status[] = {vm->record.failed ? 3 : 2};
	const char *texts[] = {status_text(vm)};

	cim_set_uints(i, operational, status, 1);
	cim_set_strings(i, descriptions, texts, 1);
	cim_set_uint(i, health, vm->record.failed ? 20 : 5);
}

static struct cim_instance *instance_vm(struct cim_context *context, const struct vm *vm)
{
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Msvm_ComputerSystem);
	enum vm_state state = (enum vm_state)vm->record.state;
	uint16_t available[CIM_STATES_MAX];
	size_t count = vm_available_requests(vm, available, CIM_STATES_MAX);

	cim_set_string(i, Msvm_ComputerSystem_CreationClassName, SYSTEM_CLASS);
	cim_set_string(i, Msvm_ComputerSystem_Name, vm->record.id);
	cim_set_string(i, Msvm_ComputerSystem_ElementName, vm->record.element_name);
	cim_set_string(i, Msvm_ComputerSystem_Caption, "Virtual Machine");
	cim_set_string(i, Msvm_ComputerSystem_Description, "Microsoft Virtual Machine");
	cim_set_time(i, Msvm_ComputerSystem_InstallDate, vm->record.created_ms);
	set_health(i, vm, Msvm_ComputerSystem_OperationalStatus, Msvm_ComputerSystem_StatusDescriptions,
		   Msvm_ComputerSystem_HealthState);
	cim_set_uint(i, Msvm_ComputerSystem_EnabledState, vm_state_enabled_state(state));
	cim_set_uint(i, Msvm_ComputerSystem_RequestedState, (uint64_t)vm->record.requested_state);
	cim_set_uint(i, Msvm_ComputerSystem_EnabledDefault, 3);
	cim_set_time(i, Msvm_ComputerSystem_TimeOfLastStateChange, vm->record.state_changed_ms);
	cim_set_uints(i, Msvm_ComputerSystem_AvailableRequestedStates, available, count);
	cim_set_uint(i, Msvm_ComputerSystem_TransitioningToState, vm_state_transitioning_to(state));
	cim_set_time(i, Msvm_ComputerSystem_TimeOfLastConfigurationChange, vm->record.config_changed_ms);
	cim_set_uint(i, Msvm_ComputerSystem_OnTimeInMilliseconds,
		     vm->worker ? worker_uptime_ms(vm->worker) : 0);
	if (vm->worker && vm->worker->pid)
		cim_set_uint(i, Msvm_ComputerSystem_ProcessID, (uint64_t)vm->worker->pid);
	return i;
}

static void enumerate_systems(struct cim_context *context, struct cim_list *out)
{
	cim_list_add(out, instance_host(context));
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		cim_list_add(out, instance_vm(context, vm));
}

CIM_PROVIDER(Msvm_ComputerSystem) = {.enumerate = enumerate_systems};

static struct cim_instance *instance_service(struct cim_context *context)
{
	struct cim_instance *i =
		cim_instance_create(context->arena, &cim_class_Msvm_VirtualSystemManagementService);

	cim_set_string(i, Msvm_VirtualSystemManagementService_SystemName, context->model->host_name);
	cim_set_strings(i, Msvm_VirtualSystemManagementService_StatusDescriptions, (const char *[]){"OK"}, 1);
	return i;
}

static void enumerate_services(struct cim_context *context, struct cim_list *out)
{
	cim_list_add(out, instance_service(context));
}

CIM_PROVIDER(Msvm_VirtualSystemManagementService) = {.enumerate = enumerate_services};

struct cim_instance *instance_vssd(struct arena *arena, const struct store_vm *vm)
{
	struct cim_instance *i = cim_instance_create(arena, &cim_class_Msvm_VirtualSystemSettingData);
	const char *lines[STORE_NOTES_MAX / 2 + 1];
	char *notes = arena_strdup(arena, vm->notes), *save = NULL;
	size_t count = 0;

	cim_set_string(i, Msvm_VirtualSystemSettingData_InstanceID, setting_id(arena, vm->id, NULL));
	cim_set_string(i, Msvm_VirtualSystemSettingData_ElementName, vm->element_name);
	cim_set_string(i, Msvm_VirtualSystemSettingData_Description,
		       "Active settings for the virtual machine");
	cim_set_string(i, Msvm_VirtualSystemSettingData_VirtualSystemIdentifier, vm->id);
	cim_set_string(i, Msvm_VirtualSystemSettingData_VirtualSystemType,
		       "Microsoft:Hyper-V:System:Realized");
	cim_set_time(i, Msvm_VirtualSystemSettingData_CreationTime, vm->created_ms);
	cim_set_string(i, Msvm_VirtualSystemSettingData_ConfigurationID, vm->id);
	cim_set_string(i, Msvm_VirtualSystemSettingData_Version, VM_VERSION);
	for (char *line = strtok_r(notes, "\n", &save); line && count < sizeof(lines) / sizeof(lines[0]);
	     line = strtok_r(NULL, "\n", &save))
		lines[count++] = line;
	cim_set_strings(i, Msvm_VirtualSystemSettingData_Notes, lines, count);
	return i;
}

static void enumerate_vssds(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		cim_list_add(out, instance_vssd(context->arena, &vm->record));
}

CIM_PROVIDER(Msvm_VirtualSystemSettingData) = {.enumerate = enumerate_vssds};

struct cim_instance *instance_setting(struct arena *arena, const struct setting_kind *kind,
				      const struct store_vm *vm)
{
	struct cim_instance *i = cim_instance_create(arena, kind->class);

	/* All of them are CIM_SettingData: InstanceID has the base class's index. */
	cim_set_string(i, CIM_SettingData_InstanceID, setting_id(arena, vm->id, kind->suffix));
	kind->fill(i, vm);
	return i;
}

struct vm *instance_setting_owner(struct model *model, const char *instance_id, const char **suffix)
{
	static const char prefix[] = "Microsoft:";
	char id[STORE_ID_SIZE];

	if (strncasecmp(instance_id, prefix, sizeof(prefix) - 1) != 0 ||
	    strlen(instance_id) < sizeof(prefix) - 1 + STORE_ID_SIZE - 1)
		return NULL;
	memcpy(id, instance_id + sizeof(prefix) - 1, sizeof(id) - 1);
	id[sizeof(id) - 1] = 0;
	*suffix = instance_id + sizeof(prefix) - 1 + STORE_ID_SIZE - 1;
	/* A backslash with nothing behind it names nothing. */
	if (**suffix && (*(*suffix)++ != '\\' || !**suffix))
		return NULL;
	return vm_find(model, id);
}

const struct setting_kind *instance_setting_kind(const char *suffix)
{
	for (size_t i = 0; i < setting_kind_count; i++)
		if (strcasecmp(suffix, setting_kinds[i].suffix) == 0)
			return &setting_kinds[i];
	return NULL;
}

void instance_settings(struct cim_context *context, const struct cim_class *class, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (size_t i = 0; i < setting_kind_count; i++)
			if (setting_kinds[i].class == class && setting_kinds[i].present(&vm->record))
				cim_list_add(out, instance_setting(context->arena, &setting_kinds[i],
								   &vm->record));
}

static void enumerate_processors(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_ProcessorSettingData, out);
}

static void enumerate_memories(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_MemorySettingData, out);
}

static void enumerate_serial_ports(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_SerialPortSettingData, out);
}

static void enumerate_heartbeats(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_HeartbeatComponentSettingData, out);
}

static void enumerate_shutdowns(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_ShutdownComponentSettingData, out);
}

static void enumerate_timesyncs(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_TimeSyncComponentSettingData, out);
}

static void enumerate_vss_settings(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_VssComponentSettingData, out);
}

static void enumerate_guest_interfaces(struct cim_context *context, struct cim_list *out)
{
	instance_settings(context, &cim_class_Msvm_GuestServiceInterfaceComponentSettingData, out);
}

CIM_PROVIDER(Msvm_VssComponentSettingData) = {.enumerate = enumerate_vss_settings};
CIM_PROVIDER(Msvm_GuestServiceInterfaceComponentSettingData) = {.enumerate = enumerate_guest_interfaces};
CIM_PROVIDER(Msvm_ProcessorSettingData) = {.enumerate = enumerate_processors};
CIM_PROVIDER(Msvm_MemorySettingData) = {.enumerate = enumerate_memories};
CIM_PROVIDER(Msvm_SerialPortSettingData) = {.enumerate = enumerate_serial_ports};
CIM_PROVIDER(Msvm_HeartbeatComponentSettingData) = {.enumerate = enumerate_heartbeats};
CIM_PROVIDER(Msvm_ShutdownComponentSettingData) = {.enumerate = enumerate_shutdowns};
CIM_PROVIDER(Msvm_TimeSyncComponentSettingData) = {.enumerate = enumerate_timesyncs};

static void set_switch_names(struct cim_context *context, struct cim_instance *i, const struct vm *vm)
{
	const char *names[STORE_NICS_MAX];
	size_t count = 0;

	for (unsigned n = 0; n < vm->network.nic_count; n++) {
		const struct vswitch *s = network_switch_of(context->model, &vm->network.nics[n]);

		if (s)
			names[count++] = s->record.element_name;
	}
	cim_set_strings(i, Msvm_SummaryInformation_VirtualSwitchNames, names, count);
}

static void enumerate_summaries(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next) {
		struct cim_instance *i =
			cim_instance_create(context->arena, &cim_class_Msvm_SummaryInformation);

		cim_set_string(i, Msvm_SummaryInformation_InstanceID,
			       setting_id(context->arena, vm->record.id, NULL));
		cim_set_string(i, Msvm_SummaryInformation_Name, vm->record.id);
		cim_set_string(i, Msvm_SummaryInformation_ElementName, vm->record.element_name);
		cim_set_string(i, Msvm_SummaryInformation_Notes, vm->record.notes);
		cim_set_string(i, Msvm_SummaryInformation_Version, VM_VERSION);
		set_switch_names(context, i, vm);
		cim_set_string(i, Msvm_SummaryInformation_HostComputerSystemName, context->model->host_name);
		cim_set_time(i, Msvm_SummaryInformation_CreationTime, vm->record.created_ms);
		cim_set_uint(i, Msvm_SummaryInformation_EnabledState,
			     vm_state_enabled_state((enum vm_state)vm->record.state));
		cim_set_uint(i, Msvm_SummaryInformation_NumberOfProcessors, vm->record.processor_count);
		set_health(i, vm, Msvm_SummaryInformation_OperationalStatus,
			   Msvm_SummaryInformation_StatusDescriptions, Msvm_SummaryInformation_HealthState);
		/* Figures of a worker only while there is one that has reported. */
		if (vm->worker && vm->worker->has_status) {
			cim_set_uint(i, Msvm_SummaryInformation_UpTime, worker_uptime_ms(vm->worker));
			cim_set_uint(i, Msvm_SummaryInformation_ProcessorLoad, vm->worker->cpu_percent);
			cim_set_uint(i, Msvm_SummaryInformation_MemoryUsage, vm->worker->memory_mib);
		}
		instance_summarize_guest(i, vm);
		instance_summarize_addresses(i, vm);
		cim_list_add(out, i);
	}
}

CIM_PROVIDER(Msvm_SummaryInformation) = {.enumerate = enumerate_summaries};

void instance_fill_job(struct cim_instance *i, const struct job *job)
{
	const struct store_job *r = &job->record;
	bool failed = r->state == JOB_EXCEPTION;
	int64_t end = job_has_ended(job) ? r->changed_ms : model_now_ms();

	cim_set_string(i, CIM_ConcreteJob_InstanceID, r->id);
	cim_set_string(i, CIM_ConcreteJob_Name, job_type_text(r->type));
	cim_set_string(i, CIM_ConcreteJob_ElementName, job_type_text(r->type));
	cim_set_string(i, CIM_ConcreteJob_Caption, job_type_text(r->type));
	cim_set_uint(i, CIM_ConcreteJob_JobState, (uint64_t)r->state);
	cim_set_string(i, CIM_ConcreteJob_JobStatus, failed ? "Exception" : "OK");
	cim_set_time(i, CIM_ConcreteJob_TimeSubmitted, r->submitted_ms);
	cim_set_time(i, CIM_ConcreteJob_StartTime, r->started_ms);
	if (r->started_ms)
		cim_set_interval(i, CIM_ConcreteJob_ElapsedTime, end - r->started_ms);
	cim_set_time(i, CIM_ConcreteJob_TimeOfLastStateChange, r->changed_ms);
	cim_set_uint(i, CIM_ConcreteJob_PercentComplete, job_has_ended(job) ? 100 : job->percent);
	cim_set_boolean(i, CIM_ConcreteJob_DeleteOnCompletion, true);
	cim_set_uint(i, CIM_ConcreteJob_LocalOrUtcTime, 2);
	cim_set_uint(i, CIM_ConcreteJob_ErrorCode, (uint64_t)r->error_code);
	cim_set_string(i, CIM_ConcreteJob_ErrorDescription, r->error_text[0] ? r->error_text : NULL);
	if (failed) {
		const uint16_t error[] = {6}; /* Error */

		cim_set_uints(i, CIM_ConcreteJob_OperationalStatus, error, 1);
		cim_set_strings(i, CIM_ConcreteJob_StatusDescriptions, (const char *[]){r->error_text}, 1);
		cim_set_uint(i, CIM_ConcreteJob_HealthState, 20);
	}
}

static struct cim_instance *instance_job(struct cim_context *context, const struct job *job)
{
	const struct store_job *r = &job->record;
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Msvm_ConcreteJob);

	instance_fill_job(i, job);
	cim_set_uint(i, Msvm_ConcreteJob_JobType, (uint64_t)r->type);
	cim_set_boolean(i, Msvm_ConcreteJob_Cancellable, false);
	cim_set_string(i, Msvm_ConcreteJob_ErrorSummaryDescription, r->error_text[0] ? r->error_text : NULL);
	return i;
}

static void enumerate_jobs(struct cim_context *context, struct cim_list *out)
{
	for (const struct job *job = context->model->jobs; job; job = job->next)
		if (!job_is_of_storage(job))
			cim_list_add(out, instance_job(context, job));
}

void instance_remove_job(struct cim_context *context, const struct cim_instance *current)
{
	struct job *job = job_find(context->model, cim_get_string(current, CIM_ConcreteJob_InstanceID));

	if (!job || !job_has_ended(job))
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_STATE, NULL,
			      "The job has not ended");
	else if (job_remove(context->model, job))
		cim_error_set(&context->error, context->arena, CIM_ERR_FAILED, NULL, "Store: %s",
			      store_error(context->model->store));
}

CIM_PROVIDER(Msvm_ConcreteJob) = {.enumerate = enumerate_jobs, .remove = instance_remove_job};

struct cim_instance *instance_error(struct arena *arena, const struct job *job)
{
	struct cim_instance *i = cim_instance_create(arena, &cim_class_Msvm_Error);

	cim_set_uint(i, Msvm_Error_ErrorType, 4); /* Software Error */
	cim_set_string(i, Msvm_Error_OwningEntity, "Undercroft");
	cim_set_string(i, Msvm_Error_Message, job->record.error_text);
	cim_set_uint(i, Msvm_Error_PerceivedSeverity, 4); /* High */
	cim_set_uint(i, Msvm_Error_ProbableCause, 0);
	cim_set_string(i, Msvm_Error_ErrorSource, job->record.vm_id);
	cim_set_uint(i, Msvm_Error_CIMStatusCode, 1); /* CIM_ERR_FAILED */
	return i;
}

static void add_link(struct cim_context *context, struct cim_list *out, const struct cim_class *class,
		     int left, struct cim_reference *left_end, int right, struct cim_reference *right_end)
{
	struct cim_instance *i = cim_instance_create(context->arena, class);

	cim_set_reference(i, left, left_end);
	cim_set_reference(i, right, right_end);
	cim_list_add(out, i);
}

static void enumerate_settings_define_state(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		add_link(context, out, &cim_class_Msvm_SettingsDefineState,
			 Msvm_SettingsDefineState_ManagedElement,
			 instance_system_reference(context->arena, vm->record.id),
			 Msvm_SettingsDefineState_SettingData,
			 instance_vssd_reference(context->arena, vm->record.id));
}

CIM_PROVIDER(Msvm_SettingsDefineState) = {.enumerate = enumerate_settings_define_state};

static void add_component(struct cim_context *context, const struct vm *vm, struct cim_reference *part,
			  struct cim_list *out)
{
	add_link(context, out, &cim_class_Msvm_VirtualSystemSettingDataComponent,
		 Msvm_VirtualSystemSettingDataComponent_GroupComponent,
		 instance_vssd_reference(context->arena, vm->record.id),
		 Msvm_VirtualSystemSettingDataComponent_PartComponent, part);
}

struct component_list {
	struct cim_context *context;
	const struct vm *vm;
	struct cim_list *out;
};

static void add_network_component(void *context, struct cim_reference *part)
{
	const struct component_list *list = context;

	add_component(list->context, list->vm, part, list->out);
}

static void enumerate_components(struct cim_context *context, struct cim_list *out)
{
	struct storage_item items[STORAGE_ITEMS_MAX];

	for (const struct vm *vm = context->model->vms; vm; vm = vm->next) {
		size_t count = storage_items(&vm->storage, items);
		struct component_list list = {context, vm, out};

		network_setting_references(context->arena, vm, add_network_component, &list);
		for (size_t i = 0; i < setting_kind_count; i++) {
			const char *keys[] = {
				setting_id(context->arena, vm->record.id, setting_kinds[i].suffix)};

			if (setting_kinds[i].present(&vm->record))
				add_component(
					context, vm,
					cim_reference_make(context->arena, setting_kinds[i].class, 1, keys),
					out);
		}
		for (size_t i = 0; i < count; i++)
			add_component(context, vm,
				      storage_setting_reference(context->arena, vm->record.id, &vm->storage,
								&items[i]),
				      out);
	}
}

CIM_PROVIDER(Msvm_VirtualSystemSettingDataComponent) = {.enumerate = enumerate_components};

static void enumerate_affected(struct cim_context *context, struct cim_list *out)
{
	for (const struct job *job = context->model->jobs; job; job = job->next)
		if (vm_find(context->model, job->record.vm_id))
			add_link(context, out, &cim_class_Msvm_AffectedJobElement,
				 Msvm_AffectedJobElement_AffectedElement,
				 instance_system_reference(context->arena, job->record.vm_id),
				 Msvm_AffectedJobElement_AffectingElement,
				 instance_job_reference(context->arena, job));
}

CIM_PROVIDER(Msvm_AffectedJobElement) = {.enumerate = enumerate_affected};

static void enumerate_hosted_services(struct cim_context *context, struct cim_list *out)
{
	add_link(context, out, &cim_class_Msvm_HostedService, Msvm_HostedService_Antecedent,
		 instance_system_reference(context->arena, context->model->host_name),
		 Msvm_HostedService_Dependent, cim_reference_of(instance_service(context)));
	add_link(context, out, &cim_class_Msvm_HostedService, Msvm_HostedService_Antecedent,
		 instance_system_reference(context->arena, context->model->host_name),
		 Msvm_HostedService_Dependent, cim_reference_of(instance_switch_service(context)));
}

CIM_PROVIDER(Msvm_HostedService) = {.enumerate = enumerate_hosted_services};

static void enumerate_hosted_systems(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next)
		add_link(context, out, &cim_class_Msvm_HostedDependency, Msvm_HostedDependency_Antecedent,
			 instance_system_reference(context->arena, context->model->host_name),
			 Msvm_HostedDependency_Dependent,
			 instance_system_reference(context->arena, vm->record.id));
}

CIM_PROVIDER(Msvm_HostedDependency) = {.enumerate = enumerate_hosted_systems};

static void enumerate_summary_links(struct cim_context *context, struct cim_list *out)
{
	for (const struct vm *vm = context->model->vms; vm; vm = vm->next) {
		const char *keys[] = {setting_id(context->arena, vm->record.id, NULL)};

		add_link(context, out, &cim_class_Msvm_ComputerSystemSummaryInformation,
			 Msvm_ComputerSystemSummaryInformation_Antecedent,
			 instance_system_reference(context->arena, vm->record.id),
			 Msvm_ComputerSystemSummaryInformation_Dependent,
			 cim_reference_make(context->arena, &cim_class_Msvm_SummaryInformation, 1, keys));
	}
}

CIM_PROVIDER(Msvm_ComputerSystemSummaryInformation) = {.enumerate = enumerate_summary_links};
