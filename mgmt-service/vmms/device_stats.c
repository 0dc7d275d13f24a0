/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/device_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cim_schema.gen.h"
#include "vmms/instances.h"
#include "vmms/storage.h"

#define PERIOD_MS 3000

void device_stats_forget(struct device_stats *stats)
{
	for (unsigned i = 0; i < stats->count; i++)
		free(stats->devices[i].counters);
	free(stats->devices);
	stats->devices = NULL;
	stats->count = 0;
	stats->taken_ms = 0;
}

/* It comes while the machine is there: its worker ends before it, and all calls with the worker. */
static void answered(void *context, const struct worker_answer *answer)
{
	struct vm *vm = context;

	if (!answer->code)
		device_stats_read(&vm->stats, answer->result);
}

void device_stats_tick(struct vm *vm, int64_t monotonic_ms)
{
	if (!vm->worker || vm->worker->state != WORKER_STATE_RUNNING ||
	    monotonic_ms - vm->stats.asked_ms < PERIOD_MS)
		return;
	vm->stats.asked_ms = monotonic_ms;
	worker_call(vm->worker, "stats", NULL, NULL, 0, answered, vm);
}

/* InstanceID of the drive that the worker calls scsi<controller>:<LUN>; NULL: it means none. */
static const char *drive_setting(struct arena *arena, struct vm *vm, const char *device)
{
	struct storage_item item = {.kind = STORAGE_DRIVE};
	char suffix[STORAGE_SUFFIX_SIZE], rest;

	if (sscanf(device, "scsi%u:%u%c", &item.controller, &item.lun, &rest) != 2 ||
	    !storage_drive_at(&vm->storage, item.controller, item.lun))
		return NULL;
	storage_item_suffix(&vm->storage, &item, suffix);
	return arena_printf(arena, "Microsoft:%s\\%s", vm->record.id, suffix);
}

static struct cim_instance *statistics(struct cim_context *context, struct vm *vm,
				       const struct device_counters *device)
{
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Undercroft_DeviceStatistics);
	const char *names[DEVICE_STATS_COUNTERS_MAX], *values[DEVICE_STATS_COUNTERS_MAX];
	const char *setting = drive_setting(context->arena, vm, device->device);

	for (unsigned k = 0; k < device->count; k++) {
		names[k] = device->counters[k].name;
		values[k] = arena_printf(context->arena, "%" PRIu64, device->counters[k].value);
	}
	cim_set_string(
		i, Undercroft_DeviceStatistics_InstanceID,
		arena_printf(context->arena, "Microsoft:%s\\Statistics\\%s", vm->record.id, device->device));
	cim_set_string(i, Undercroft_DeviceStatistics_ElementName, device->device);
	cim_set_string(i, Undercroft_DeviceStatistics_SystemName, vm->record.id);
	if (setting)
		cim_set_string(i, Undercroft_DeviceStatistics_SettingID, setting);
	cim_set_strings(i, Undercroft_DeviceStatistics_CounterNames, names, device->count);
	cim_set_strings(i, Undercroft_DeviceStatistics_CounterValues, values, device->count);
	cim_set_time(i, Undercroft_DeviceStatistics_Timestamp, vm->stats.taken_ms);
	return i;
}

static void enumerate(struct cim_context *context, struct cim_list *out)
{
	for (struct vm *vm = context->model->vms; vm; vm = vm->next)
		for (unsigned i = 0; vm->worker && i < vm->stats.count; i++)
			cim_list_add(out, statistics(context, vm, &vm->stats.devices[i]));
}

CIM_PROVIDER(Undercroft_DeviceStatistics) = {.enumerate = enumerate};
