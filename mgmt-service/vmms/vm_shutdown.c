/* SPDX-License-Identifier: Apache-2.0 */
/* The guest is asked to go: to shut down, to restart, to hibernate. */
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "vmms/device_wire.h"
#include "vmms/vm.h"

/* The worker says at the end of the time that it is up; a worker that does not is not waited for. */
#define GRACE_S 5

static bool is_going(const struct vm *vm)
{
	return vm->job && !vm->job->queued &&
	       (vm->job->action == VM_ACTION_SHUTDOWN || vm->job->action == VM_ACTION_REBOOT);
}

static const char *what(const struct vm *vm)
{
	if (vm->shutdown.hibernate)
		return "hibernate";
	return vm->job->action == VM_ACTION_REBOOT ? "restart" : "shut down";
}

void vm_shutdown_failed(struct vm *vm, const char *text)
{
	if (!is_going(vm))
		return;
	log_warning("vm.shutdown", "vm=%s force=%d text=\"%s\"", vm->record.id, vm->shutdown.force, text);
	if (vm->shutdown.force)
		vm_replace_action(vm,
				  vm->job->action == VM_ACTION_REBOOT ? VM_ACTION_RESET : VM_ACTION_TURN_OFF);
	else
		vm_action_failed(vm, text);
}

static void failed_with(struct vm *vm, const struct guest_failure *failure)
{
	char doing[64], text[STORE_STATUS_MAX + 1];

	snprintf(doing, sizeof(doing), "The guest could not be asked to %s", what(vm));
	guest_failure_text(failure, doing, text, sizeof(text));
	vm_shutdown_failed(vm, text);
}

void vm_shutdown_late(struct vm *vm)
{
	char text[STORE_STATUS_MAX + 1];

	snprintf(text, sizeof(text), "The guest did not %s within %u seconds", what(vm),
		 vm->model->config->shutdown_timeout);
	vm_shutdown_failed(vm, text);
}

static void answered(void *context, const struct worker_answer *answer)
{
	struct vm *vm = context;
	struct guest_failure failure = {.code = answer->code};

	/* A worker that is gone settles the job by itself. */
	if (answer->code && strcmp(answer->code, "gone") != 0 && is_going(vm))
		failed_with(vm, &failure);
}

void vm_shutdown_begin(struct vm *vm)
{
	unsigned seconds = vm->model->config->shutdown_timeout;
	struct json_object *params = guest_call(STORE_SHUTDOWN, "request");
	const char *action = vm->job->action == VM_ACTION_REBOOT ? "restart" : "power_off";

	device_wire_put_text(params, "action", vm->shutdown.hibernate ? "hibernate" : action);
	device_wire_put_flag(params, "force", vm->shutdown.force);
	device_wire_put_number(params, "timeout_s", seconds);
	device_wire_put_text(params, "text", vm->shutdown.reason);
	vm->job->deadline_ms = model_monotonic_ms() + (int64_t)(seconds + GRACE_S) * 1000;
	if (!vm->worker) {
		device_wire_release(params);
		vm_action_failed(vm, "The virtual machine was turned off");
	} else if (worker_call(vm->worker, "device", params, NULL, 0, answered, vm)) {
		vm_action_failed(vm, "The worker takes no requests");
	}
}

void vm_shutdown_event(struct vm *vm, const struct worker_device_event *event)
{
	const char *end = device_wire_text(event->body, "end");
	struct guest_failure failure = {.code = end,
					.status = (uint32_t)device_wire_number(event->body, "status")};

	/* "left": what follows is its end or its restart. */
	if (strcmp(event->what, "ended") != 0 || !end || !is_going(vm) || strcmp(end, "left") == 0)
		return;
	if (strcmp(end, "timed_out") == 0)
		vm_shutdown_late(vm);
	else
		failed_with(vm, &failure);
}
