/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmms/device_wire.h"
#include "vmms/integration.h"
#include "vmms/vm.h"

#define GRACE_S 10 /* the worker's own time limits come first */
#define THAW_MS 45000

struct json_object *guest_call(enum store_component component, const char *call)
{
	return device_wire_call(integration_components[component].instance, call);
}

void guest_failure_text(const struct guest_failure *failure, const char *what, char *out, size_t size)
{
	static const struct {
		const char *code, *text;
	} texts[] = {
		{"not_found", "the virtual machine has no such integration component"},
		{"unsupported", "the guest's integration component cannot do this"},
		{"not_ready", "the guest's integration component does not answer"},
		{"busy", "the guest is busy with another request"},
		{"timed_out", "the guest did not answer in time"},
		{"canceled", "it was canceled"},
		{"late", "it came too late"},
		{"failed", "the worker could not do it"},
		{"gone", "the virtual machine was turned off"},
	};

	if (strcmp(failure->code, "refused") == 0) {
		snprintf(out, size, "%s: the guest refused (0x%08X)", what, failure->status);
		return;
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(failure->code, texts[i].code) == 0) {
			snprintf(out, size, "%s: %s", what, texts[i].text);
			return;
		}
	snprintf(out, size, "%s: %s", what, failure->code);
}

static void close_source(struct guest_request *request)
{
	if (request->fd >= 0)
		close(request->fd);
	request->fd = -1;
}

static void free_request(struct guest_request *request)
{
	device_wire_release(request->params);
	close_source(request);
	free(request);
}

/* The first of a queue has ended. */
static void end_first(struct vm *vm, enum store_component component, const struct guest_failure *failure,
		      struct json_object *event)
{
	struct guest_request *request = vm->guest.requests[component];

	vm->guest.requests[component] = request->next;
	if (request->done)
		request->done(vm, request->context, failure, event);
	free_request(request);
}

static void send_first(struct vm *vm, enum store_component component);

/* An answer that is waited for. */
struct asked {
	struct vm *vm;
	enum store_component component;
	uint64_t serial;
};

static void answered(void *context, const struct worker_answer *answer)
{
	struct asked asked = *(struct asked *)context;
	const struct guest_request *request = asked.vm->guest.requests[asked.component];
	struct guest_failure failure = {.code = answer->code};

	free(context);
	/* Its event, or its deadline, may have been faster. */
	if (!answer->code || !request || request->serial != asked.serial)
		return;
	end_first(asked.vm, asked.component, &failure, NULL);
	send_first(asked.vm, asked.component);
}

/* Until one is under way. */
static void send_first(struct vm *vm, enum store_component component)
{
	struct guest_request *request;

	while ((request = vm->guest.requests[component]) && !request->sent) {
		struct asked *asked = malloc(sizeof(*asked));
		struct json_object *params = request->params;
		struct guest_failure not_sent = {0};

		request->params = NULL;
		request->sent = true;
		request->deadline_ms = request->limit_ms ? model_monotonic_ms() + request->limit_ms : 0;
		request->serial = ++vm->guest.serial;
		if (asked && vm->worker) {
			*asked = (struct asked){vm, component, request->serial};
			if (worker_call(vm->worker, "device", params, &request->fd, request->fd >= 0,
					answered, asked) == 0) {
				/* The worker has its own copy. */
				close_source(request);
				return;
			}
		} else {
			device_wire_release(params);
		}
		free(asked);
		not_sent.code = vm->worker && vm->worker->control.fd >= 0 ? "failed" : "gone";
		end_first(vm, component, &not_sent, NULL);
	}
}

void guest_ask(struct vm *vm, enum store_component component, struct json_object *params, int fd,
	       unsigned limit_ms, guest_done *done, void *context)
{
	static const struct guest_failure no_memory = {.code = "failed"};
	struct guest_request *request = calloc(1, sizeof(*request)), **link = &vm->guest.requests[component];
	const char *call = device_wire_text(params, "call");

	if (!request) {
		device_wire_release(params);
		if (fd >= 0)
			close(fd);
		if (done)
			done(vm, context, &no_memory, NULL);
		return;
	}
	snprintf(request->call, sizeof(request->call), "%s", call ? call : "");
	request->params = params;
	request->fd = fd;
	request->limit_ms = limit_ms;
	request->done = done;
	request->context = context;
	while (*link)
		link = &(*link)->next;
	*link = request;
	send_first(vm, component);
}

/* What an event says about the call that is under way. `call` NULL: the event names none. */
static void event_ends(struct vm *vm, enum store_component component, const char *call,
		       struct json_object *event)
{
	const struct guest_request *request = vm->guest.requests[component];
	struct guest_failure failure = {.code = device_wire_text(event, "error"),
					.status = (uint32_t)device_wire_number(event, "status")};

	if (!request || !request->sent || (call && strcmp(call, request->call) != 0))
		return;
	end_first(vm, component, failure.code ? &failure : NULL, event);
	send_first(vm, component);
}

void guest_freeze(struct vm *vm, unsigned timeout_s, unsigned frozen_max_s, guest_done *done, void *context)
{
	struct json_object *params = guest_call(STORE_VSS, "freeze");

	device_wire_put_number(params, "timeout_s", timeout_s);
	device_wire_put_number(params, "frozen_max_s", frozen_max_s);
	guest_ask(vm, STORE_VSS, params, -1, (timeout_s + GRACE_S) * 1000, done, context);
}

void guest_thaw(struct vm *vm, guest_done *done, void *context)
{
	guest_ask(vm, STORE_VSS, guest_call(STORE_VSS, "thaw"), -1, THAW_MS, done, context);
}

void guest_heartbeat_event(struct vm *vm, const struct worker_device_event *event)
{
	if (strcmp(event->what, "status") != 0)
		return;
	vm->guest.status = (uint16_t)device_wire_number(event->body, "status");
	vm->guest.application = (uint16_t)device_wire_number(event->body, "application");
}

void guest_kvp_event(struct vm *vm, const struct worker_device_event *event)
{
	if (strcmp(event->what, "done") == 0) {
		const char *call = device_wire_text(event->body, "call");

		event_ends(vm, STORE_KVP, call ? call : "", event->body);
		return;
	}
	if (strcmp(event->what, "ready") != 0 ||
	    vm->guest.kvp_ready == device_wire_flag(event->body, "ready"))
		return;
	vm->guest.kvp_ready = !vm->guest.kvp_ready;
	vm->guest.kvp_ready_ms = model_monotonic_ms();
	vm->guest.kvp_read_ms = 0;
	if (vm->guest.kvp_ready)
		guest_kvp_give_all(vm);
}

void guest_vss_event(struct vm *vm, const struct worker_device_event *event)
{
	if (strcmp(event->what, "frozen") == 0) {
		vm->guest.frozen = true;
		event_ends(vm, STORE_VSS, "freeze", event->body);
	} else if (strcmp(event->what, "failed") == 0) {
		event_ends(vm, STORE_VSS, "freeze", event->body);
	} else if (strcmp(event->what, "thawed") == 0) {
		vm->guest.frozen = false;
		event_ends(vm, STORE_VSS, "thaw", event->body);
	}
}

void guest_fcopy_event(struct vm *vm, const struct worker_device_event *event)
{
	if (strcmp(event->what, "done") == 0)
		event_ends(vm, STORE_FCOPY, NULL, event->body);
}

void guest_memory_event(struct vm *vm, const struct worker_device_event *event)
{
	if (strcmp(event->what, "status") == 0)
		vm->guest.memory =
			(struct guest_memory){.known = true,
					      .assigned = device_wire_number(event->body, "assigned_mib"),
					      .target = device_wire_number(event->body, "target_mib"),
					      .demand = device_wire_number(event->body, "demand_mib"),
					      .available = device_wire_number(event->body, "available_mib"),
					      .hot_add = device_wire_flag(event->body, "hot_add"),
					      .balloon = device_wire_flag(event->body, "balloon")};
}

void guest_tick(struct vm *vm, int64_t monotonic_ms)
{
	static const struct guest_failure late = {.code = "timed_out"};

	for (int i = 0; i < STORE_COMPONENT_COUNT; i++) {
		const struct guest_request *request = vm->guest.requests[i];

		if (!request || !request->deadline_ms || monotonic_ms < request->deadline_ms)
			continue;
		end_first(vm, (enum store_component)i, &late, NULL);
		send_first(vm, (enum store_component)i);
	}
	guest_kvp_tick(vm, monotonic_ms);
}

void guest_forget(struct vm *vm)
{
	struct guest *guest = &vm->guest;

	guest->status = guest->application = 0;
	guest->kvp_ready = guest->frozen = false;
	guest_items_clear(&guest->intrinsic);
	guest_items_clear(&guest->exchange);
	guest_addresses_forget(vm);
	memset(&guest->memory, 0, sizeof(guest->memory));
	memset(&guest->balance, 0, sizeof(guest->balance));
	guest->sent_target = 0;
}

void guest_end_requests(struct vm *vm)
{
	static const struct guest_failure gone = {.code = "gone"};

	for (int i = 0; i < STORE_COMPONENT_COUNT; i++)
		while (vm->guest.requests[i])
			end_first(vm, (enum store_component)i, &gone, NULL);
}
