/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/device_stats.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "cim_schema.gen.h"
#include "vmms/instances.h"
#include "vmms/storage.h"

#define PERIOD_MS 3000

void device_stats_drop(struct device_counters **devices, unsigned *count)
{
	for (unsigned i = 0; i < *count; i++) {
		free((*devices)[i].counters);
		free((*devices)[i].latency);
	}
	free(*devices);
	*devices = NULL;
	*count = 0;
}

void device_stats_forget(struct device_stats *stats)
{
	device_stats_drop(&stats->devices, &stats->count);
	device_stats_drop(&stats->coming, &stats->coming_count);
	stats->from = 0;
	stats->taken_ms = 0;
}

static void ask(struct vm *vm);

/* It comes while the machine is there: its worker ends before it, and all calls with the worker. */
static void answered(void *context, const struct worker_answer *answer)
{
	struct vm *vm = context;

	vm->stats.asking = false;
	if (!answer->code && !device_stats_read(&vm->stats, answer->result))
		ask(vm);
}

static void ask(struct vm *vm)
{
	vm->stats.asking = worker_call(vm->worker, "stats", device_stats_params(&vm->stats), NULL, 0,
				       answered, vm) == 0;
}

void device_stats_tick(struct vm *vm, int64_t monotonic_ms)
{
	if (!vm->worker || vm->worker->state != WORKER_STATE_RUNNING || vm->stats.asking ||
	    monotonic_ms - vm->stats.asked_ms < PERIOD_MS)
		return;
	vm->stats.asked_ms = monotonic_ms;
	vm->stats.from = 0;
	ask(vm);
}

/* InstanceID of the drive on this unit of a controller; NULL: there is none. */
static const char *drive_setting(struct arena *arena, struct vm *vm, const struct device_counters *device)
{
	struct storage_item item = {.kind = STORAGE_DRIVE, .lun = (unsigned)device->unit};
	char suffix[STORAGE_SUFFIX_SIZE];

	while (item.controller < vm->storage.controller_count &&
	       strcasecmp(vm->storage.controllers[item.controller], device->instance))
		item.controller++;
	if (item.controller == vm->storage.controller_count || device->unit == DEVICE_STATS_NO_UNIT ||
	    !storage_drive_at(&vm->storage, item.controller, item.lun))
		return NULL;
	storage_item_suffix(&vm->storage, &item, suffix);
	return arena_printf(arena, "Microsoft:%s\\%s", vm->record.id, suffix);
}

/* Names like scsi0 mean another device after one was removed. */
static const char *statistics_id(struct arena *arena, const struct vm *vm, const struct device_counters *device)
{
	const char *what = *device->instance ? device->instance : device->device;

	if (!*device->instance || device->unit == DEVICE_STATS_NO_UNIT)
		return arena_printf(arena, "Microsoft:%s\\Statistics\\%s", vm->record.id, what);
	return arena_printf(arena, "Microsoft:%s\\Statistics\\%s\\%d", vm->record.id, what, device->unit);
}

static struct cim_instance *statistics(struct cim_context *context, struct vm *vm,
				       const struct device_counters *device)
{
	struct cim_instance *i = cim_instance_create(context->arena, &cim_class_Undercroft_DeviceStatistics);
	const char *names[DEVICE_STATS_COUNTERS_MAX], *values[DEVICE_STATS_COUNTERS_MAX];
	const char *setting = drive_setting(context->arena, vm, device);

	for (unsigned k = 0; k < device->count; k++) {
		names[k] = device->counters[k].name;
		values[k] = arena_printf(context->arena, "%" PRIu64, device->counters[k].value);
	}
	cim_set_string(i, Undercroft_DeviceStatistics_InstanceID, statistics_id(context->arena, vm, device));
	cim_set_string(i, Undercroft_DeviceStatistics_ElementName, device->device);
	cim_set_string(i, Undercroft_DeviceStatistics_SystemName, vm->record.id);
	if (setting)
		cim_set_string(i, Undercroft_DeviceStatistics_SettingID, setting);
	if (*device->instance)
		cim_set_string(i, Undercroft_DeviceStatistics_DeviceInstance, device->instance);
	if (device->unit != DEVICE_STATS_NO_UNIT)
		cim_set_uint(i, Undercroft_DeviceStatistics_Unit, (uint64_t)device->unit);
	cim_set_strings(i, Undercroft_DeviceStatistics_CounterNames, names, device->count);
	cim_set_strings(i, Undercroft_DeviceStatistics_CounterValues, values, device->count);
	if (device->latency) {
		cim_set_uint64s(i, Undercroft_DeviceStatistics_ReadLatency, device->latency->reads,
				DEVICE_STATS_BUCKETS);
		cim_set_uint64s(i, Undercroft_DeviceStatistics_WriteLatency, device->latency->writes,
				DEVICE_STATS_BUCKETS);
	}
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
