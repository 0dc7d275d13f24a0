/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/network_plug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cim/error.h"
#include "daemon/log.h"
#include "vmms/network.h"
#include "vmms/network_wire.h"

#define REMOVAL_MS (60 * 1000) /* for a guest to let go of an adapter */

struct plug_step {
	bool comes;
	char id[STORE_ID_SIZE];
};

struct network_plug {
	struct vm *vm;
	char job_id[STORE_ID_SIZE];
	struct store_network target;
	struct store_network next; /* what a step makes of the machine's adapters */
	struct plug_step steps[2 * STORE_NICS_MAX];
	unsigned count, at;
	struct network_tap tap; /* of the adapter that comes in this step */
	bool removed;           /* the guest let go of the adapter of this step */
	int64_t deadline_ms;    /* monotonic, until which that is waited for; 0: it is not */
};

static void end(struct network_plug *plug, const char *error)
{
	struct model *model = plug->vm->model;
	struct job *job = job_find(model, plug->job_id);

	plug->vm->network_plug = NULL;
	if (error)
		job_fail(model, job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED, error);
	else
		job_complete(model, job);
	network_close_tap(&plug->tap);
	free(plug);
}

static void end_at_step(struct network_plug *plug, const char *cause, const char *code)
{
	const struct plug_step *step = &plug->steps[plug->at];
	const struct store_nic *nic =
		network_nic(step->comes ? &plug->target : &plug->vm->network, step->id);
	char text[STORE_STATUS_MAX + 1];

	snprintf(text, sizeof(text), "Network adapter '%.128s': %s%s%s%s", nic ? nic->element_name : step->id,
		 cause[0] ? cause : "the worker gave no reason", code ? " (" : "", code ? code : "",
		 code ? ")" : "");
	end(plug, text);
}

static void remove_nic(struct store_network *network, const char *id)
{
	const struct store_nic *found = network_nic(network, id);
	unsigned at = found ? (unsigned)(found - network->nics) : network->nic_count;

	if (!found)
		return;
	network->nic_count--;
	memmove(&network->nics[at], &network->nics[at + 1],
		(network->nic_count - at) * sizeof(network->nics[0]));
}

/* On disk, then in the model and on the host. -1 with the reason. */
static int keep(struct vm *vm, const struct store_network *network, char *reason, unsigned reason_size)
{
	struct store *store = vm->model->store;
	int error;

	vm->record.config_changed_ms = model_now_ms();
	error = store_begin(store);
	if (!error && (store_vm_update(store, &vm->record) ||
		       store_network_put(store, vm->record.id, network))) {
		store_rollback(store);
		error = -1;
	}
	if (error || store_commit(store)) {
		snprintf(reason, reason_size, "Store: %s", store_error(store));
		return -1;
	}
	return network_take(vm, network, reason, reason_size);
}

static void go_on(struct network_plug *plug);

/* The worker has taken it. Others may have changed the other adapters meanwhile. */
static void step_done(struct network_plug *plug)
{
	const struct plug_step *step = &plug->steps[plug->at];
	char reason[NET_REASON_SIZE];

	network_close_tap(&plug->tap);
	plug->removed = false;
	plug->deadline_ms = 0;
	plug->next = plug->vm->network;
	if (step->comes)
		plug->next.nics[plug->next.nic_count++] = *network_nic(&plug->target, step->id);
	else
		remove_nic(&plug->next, step->id);
	if (keep(plug->vm, &plug->next, reason, sizeof(reason))) {
		end_at_step(plug, reason, NULL);
		return;
	}
	plug->at++;
	go_on(plug);
}

static void answered(void *context, const struct worker_answer *answer)
{
	struct network_plug *plug = context;

	if (answer->code)
		end_at_step(plug, answer->message, answer->code);
	else if (plug->steps[plug->at].comes || plug->removed)
		step_done(plug);
	else
		plug->deadline_ms = model_monotonic_ms() + REMOVAL_MS;
}

static void go_on(struct network_plug *plug)
{
	const struct plug_step *step = &plug->steps[plug->at];
	struct vm *vm = plug->vm;
	char reason[NET_REASON_SIZE];
	struct json_object *params;

	if (plug->at == plug->count) {
		end(plug, NULL);
		return;
	}
	if (!vm->worker) {
		end_at_step(plug, "the worker is gone", NULL);
		return;
	}
	if (step->comes) {
		const struct store_nic *nic = network_nic(&plug->target, step->id);

		if (network_open_tap(vm, nic, &plug->tap, reason, sizeof(reason))) {
			end_at_step(plug, reason, NULL);
			return;
		}
		params = network_wire_add(nic, plug->tap.count);
	} else {
		params = network_wire_remove(step->id);
	}
	if (worker_call(vm->worker, step->comes ? "add_device" : "remove_device", params, plug->tap.fds,
			plug->tap.count, answered, plug))
		end_at_step(plug, "the worker takes no requests", NULL);
}

static void add_steps(struct network_plug *plug, const struct store_network *from,
		      const struct store_network *but, bool comes)
{
	for (unsigned i = 0; i < from->nic_count; i++)
		if (!network_nic(but, from->nics[i].id)) {
			struct plug_step *step = &plug->steps[plug->count++];

			step->comes = comes;
			memcpy(step->id, from->nics[i].id, sizeof(step->id));
		}
}

bool network_plug_is_needed(const struct vm *vm, const struct store_network *target)
{
	for (unsigned i = 0; i < target->nic_count; i++)
		if (!network_nic(&vm->network, target->nics[i].id))
			return true;
	for (unsigned i = 0; i < vm->network.nic_count; i++)
		if (!network_nic(target, vm->network.nics[i].id))
			return true;
	return false;
}

/* What the same call changes of adapters that are there and stay. */
static int keep_others(struct network_plug *plug, char *reason, unsigned reason_size)
{
	bool changed = false;

	plug->next = plug->vm->network;
	for (unsigned i = 0; i < plug->next.nic_count; i++) {
		const struct store_nic *nic = network_nic(&plug->target, plug->next.nics[i].id);

		if (nic && memcmp(nic, &plug->next.nics[i], sizeof(*nic)) != 0) {
			plug->next.nics[i] = *nic;
			changed = true;
		}
	}
	return changed ? keep(plug->vm, &plug->next, reason, reason_size) : 0;
}

struct job *network_plug_start(struct vm *vm, const struct store_network *target, int job_type, char *reason,
			       unsigned reason_size)
{
	struct network_plug *plug = calloc(1, sizeof(*plug));
	struct job *job;

	if (!plug) {
		snprintf(reason, reason_size, "No memory");
		return NULL;
	}
	plug->vm = vm;
	plug->target = *target;
	add_steps(plug, &vm->network, target, false);
	add_steps(plug, target, &vm->network, true);
	if (keep_others(plug, reason, reason_size)) {
		free(plug);
		return NULL;
	}
	job = job_begin(vm->model, vm, job_type);
	if (!job) {
		snprintf(reason, reason_size, "Store: %s", store_error(vm->model->store));
		free(plug);
		return NULL;
	}
	memcpy(plug->job_id, job->record.id, sizeof(plug->job_id));
	vm->network_plug = plug;
	go_on(plug);
	return job;
}

/* An adapter that the guest let go of after all, when nobody waited any more. */
static void removed_late(struct vm *vm, const char *instance)
{
	struct store_network *next = network_nic(&vm->network, instance) ? malloc(sizeof(*next)) : NULL;
	char reason[NET_REASON_SIZE];

	if (!next)
		return;
	*next = vm->network;
	remove_nic(next, instance);
	log_notice("vm.removed_late", "vm=%s adapter=%s", vm->record.id, instance);
	if (keep(vm, next, reason, sizeof(reason)))
		log_error("network.removed", "vm=%s text=\"%s\"", vm->record.id, reason);
	free(next);
}

void network_plug_event(struct vm *vm, const struct worker_device_event *event)
{
	struct network_plug *plug = vm->network_plug;
	const struct plug_step *step = plug && plug->at < plug->count ? &plug->steps[plug->at] : NULL;

	if (strcmp(event->what, "removed") != 0)
		return;
	if (!step || step->comes || strcasecmp(step->id, event->instance) != 0) {
		removed_late(vm, event->instance);
		return;
	}
	plug->removed = true;
	if (plug->deadline_ms)
		step_done(plug);
}

void network_plug_check_deadline(struct vm *vm, int64_t monotonic_ms)
{
	struct network_plug *plug = vm->network_plug;

	if (plug && plug->deadline_ms && monotonic_ms >= plug->deadline_ms)
		end_at_step(plug, "the guest did not let go of it in time", "timed_out");
}

void network_plug_cancel(struct vm *vm, const char *reason)
{
	if (vm->network_plug)
		end(vm->network_plug, reason);
}
