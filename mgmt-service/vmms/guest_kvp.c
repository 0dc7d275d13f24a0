/* SPDX-License-Identifier: Apache-2.0 */
/* Key-value pair exchange: what the guest tells, read again every now and then, and what the host gives. */
#include <stdlib.h>
#include <string.h>

#include "vmms/device_wire.h"
#include "vmms/guest.h"
#include "vmms/vm.h"

#define POLL_MS 20000
/* A guest that has just come waits for its addresses itself, one that was given others puts them to use. */
#define POLL_SOON_MS 4000
#define SETTLE_MS    120000
#define GIVEN_MS     30000
/* The worker gives up after 30 s of its own. */
#define CALL_MS 60000

void guest_items_clear(struct guest_items *items)
{
	for (size_t i = 0; i < items->count; i++) {
		free(items->items[i].name);
		free(items->items[i].value);
	}
	free(items->items);
	*items = (struct guest_items){0};
}

struct guest_item *guest_items_find(const struct guest_items *items, const char *name)
{
	for (size_t i = 0; i < items->count; i++)
		if (strcmp(items->items[i].name, name) == 0)
			return &items->items[i];
	return NULL;
}

bool guest_items_put(struct guest_items *items, const char *name, const char *value, bool host_only)
{
	struct guest_item *item = guest_items_find(items, name), *grown;
	char *copy = strdup(value), *own_name;

	if (!copy)
		return false;
	if (item) {
		free(item->value);
		item->value = copy;
		item->host_only = host_only;
		return true;
	}
	own_name = strdup(name);
	grown = own_name ? realloc(items->items, (items->count + 1) * sizeof(*grown)) : NULL;
	if (!grown) {
		free(own_name);
		free(copy);
		return false;
	}
	items->items = grown;
	grown[items->count++] = (struct guest_item){own_name, copy, host_only};
	return true;
}

void guest_items_remove(struct guest_items *items, const char *name)
{
	struct guest_item *item = guest_items_find(items, name);

	if (!item)
		return;
	free(item->name);
	free(item->value);
	items->count--;
	memmove(item, item + 1, (size_t)(items->items + items->count - item) * sizeof(*item));
}

/* A pool as it is now takes the place of what it was. */
static void take_pool(struct guest_items *items, struct json_object *event)
{
	const char *name, *value;

	guest_items_clear(items);
	for (size_t i = 0; i < device_wire_item_count(event); i++)
		if (device_wire_item(event, i, &name, &value))
			guest_items_put(items, name, value, false);
}

/* `context` says which pool was read. What could not be read stays as it was. */
static void pool_read(struct vm *vm, void *context, const struct guest_failure *failure,
		      struct json_object *event)
{
	if (!failure)
		take_pool(context, event);
}

static void read_pool(struct vm *vm, const char *pool, guest_done *done, struct guest_items *into)
{
	struct json_object *params = guest_call(STORE_KVP, "enumerate");

	device_wire_put_text(params, "pool", pool);
	guest_ask(vm, STORE_KVP, params, -1, CALL_MS, done, into);
}

static bool is_due(const struct vm *vm, int64_t monotonic_ms)
{
	bool given = vm->guest.kvp_given_ms && monotonic_ms < vm->guest.kvp_given_ms + GIVEN_MS,
	     settles = given ||
		       (monotonic_ms < vm->guest.kvp_ready_ms + SETTLE_MS && guest_addresses_missing(vm));

	return !vm->guest.kvp_read_ms ||
	       monotonic_ms >= vm->guest.kvp_read_ms + (settles ? POLL_SOON_MS : POLL_MS);
}

void guest_kvp_tick(struct vm *vm, int64_t monotonic_ms)
{
	if (!vm->guest.kvp_ready || vm->guest.requests[STORE_KVP] || !vm->worker ||
	    vm->worker->state != WORKER_STATE_RUNNING || !is_due(vm, monotonic_ms))
		return;
	vm->guest.kvp_read_ms = monotonic_ms;
	read_pool(vm, "auto", pool_read, &vm->guest.intrinsic);
	read_pool(vm, "guest", pool_read, &vm->guest.exchange);
	guest_addresses_ask(vm);
}

static void give(struct vm *vm, const char *pool, const char *name, const char *value, guest_done *done,
		 void *context)
{
	struct json_object *params = guest_call(STORE_KVP, value ? "set" : "delete");

	device_wire_put_text(params, "pool", pool);
	device_wire_put_text(params, "key", name);
	if (value)
		device_wire_put_text(params, "value", value);
	guest_ask(vm, STORE_KVP, params, -1, CALL_MS, done, context);
}

void guest_kvp_give(struct vm *vm, const char *name, const char *value, guest_done *done, void *context)
{
	give(vm, "external", name, value, done, context);
}

/* Guests keep what they were given: what was taken away while this one was not there goes now. */
static void purge(struct vm *vm, void *context, const struct guest_failure *failure,
		  struct json_object *event)
{
	const char *name, *value;

	for (size_t i = 0; !failure && i < device_wire_item_count(event); i++) {
		const struct guest_item *item = NULL;

		if (!device_wire_item(event, i, &name, &value))
			continue;
		item = guest_items_find(&vm->guest.host, name);
		if (!item || item->host_only)
			guest_kvp_give(vm, name, NULL, NULL, NULL);
	}
}

void guest_kvp_give_all(struct vm *vm)
{
	const char *const own[][2] = {{"HostName", vm->model->host_name},
				      {"PhysicalHostName", vm->model->host_name},
				      {"VirtualMachineId", vm->record.id},
				      {"VirtualMachineName", vm->record.element_name}};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		give(vm, "auto_external", own[i][0], own[i][1], NULL, NULL);
	for (size_t i = 0; i < vm->guest.host.count; i++)
		if (!vm->guest.host.items[i].host_only)
			guest_kvp_give(vm, vm->guest.host.items[i].name, vm->guest.host.items[i].value, NULL,
				       NULL);
	read_pool(vm, "external", purge, NULL);
}
