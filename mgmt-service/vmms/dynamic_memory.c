/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/dynamic_memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"
#include "vmms/device_wire.h"
#include "vmms/integration.h"
#include "vmms/memory_balancer.h"
#include "vmms/vm.h"

uint64_t dynamic_memory_available(const char *meminfo)
{
	static const char key[] = "MemAvailable:";
	const char *line = strstr(meminfo, key);

	return line ? strtoull(line + sizeof(key) - 1, NULL, 10) / 1024 : 0;
}

static uint64_t host_available(void)
{
	char text[4096];
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (size <= 0)
		return 0;
	text[size] = 0;
	return dynamic_memory_available(text);
}

static bool takes_part(const struct vm *vm)
{
	return vm->record.dynamic_memory.enabled && vm->worker &&
	       (vm->worker->state == WORKER_STATE_RUNNING || vm->worker->state == WORKER_STATE_PAUSED);
}

/* Settings and figures as they are now, beside what the balancer keeps. */
static void gather(struct vm *vm)
{
	const struct store_dynamic_memory *settings = &vm->record.dynamic_memory;
	const struct guest_memory *told = &vm->guest.memory;
	struct memory_machine *machine = &vm->guest.balance;

	machine->startup = vm->record.startup_mib;
	machine->minimum = settings->minimum_mib;
	machine->maximum = settings->maximum_mib;
	machine->buffer_percent = settings->buffer_percent;
	machine->weight = settings->weight;
	machine->reported = told->known;
	machine->can_balloon = told->balloon;
	machine->can_hot_add = told->hot_add;
	machine->assigned = told->known ? told->assigned : vm->record.startup_mib;
	machine->demand = told->demand;
	machine->available = told->available;
}

static void target_set(void *context, const struct worker_answer *answer)
{
	struct vm *vm = context;

	if (!answer->code)
		return;
	/* Sent again in the next round, if it still holds then. */
	vm->guest.sent_target = 0;
	log_debug("memory.target", "vm=%s error=\"%s\"", vm->record.id, answer->code);
}

/* A guest that has not reported has no driver to do anything with a target. */
static void send_target(struct vm *vm)
{
	uint64_t target = vm->guest.balance.target;
	struct json_object *params;

	if (!vm->guest.memory.known || !target || target == vm->guest.sent_target ||
	    vm->worker->state != WORKER_STATE_RUNNING)
		return;
	params = device_wire_call(INTEGRATION_MEMORY_INSTANCE, "set_target");
	device_wire_put_number(params, "mib", target);
	if (worker_call(vm->worker, "device", params, NULL, 0, target_set, vm) == 0) {
		vm->guest.sent_target = target;
		log_debug("memory.target", "vm=%s mib=%llu", vm->record.id, (unsigned long long)target);
	}
}

static void balance(struct model *model, size_t count)
{
	struct memory_machine *machines = calloc(count, sizeof(*machines));
	size_t i = 0;

	if (!machines)
		return;
	for (struct vm *vm = model->vms; vm; vm = vm->next)
		if (takes_part(vm)) {
			gather(vm);
			machines[i++] = vm->guest.balance;
		}
	memory_balance(machines, count, host_available(), model->config->memory_reserve_mib);
	i = 0;
	for (struct vm *vm = model->vms; vm; vm = vm->next)
		if (takes_part(vm)) {
			vm->guest.balance = machines[i++];
			send_target(vm);
		}
	free(machines);
}

void dynamic_memory_tick(struct model *model, int64_t monotonic_ms)
{
	size_t count = 0;

	if (monotonic_ms < model->balance_at_ms)
		return;
	model->balance_at_ms = monotonic_ms + MEMORY_BALANCER_PERIOD_S * 1000;
	for (const struct vm *vm = model->vms; vm; vm = vm->next)
		count += takes_part(vm);
	if (count)
		balance(model, count);
}
