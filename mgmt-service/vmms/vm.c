/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/log.h"
#include "vmms/disk_set.h"
#include "vmms/disk_resize.h"
#include "vmms/hot_plug.h"
#include "vmms/network.h"
#include "vmms/network_plug.h"
#include "vmms/storage.h"
#include "vmms/worker_wire.h"
#include "worker/worker_msg.h"

#define START_MS    (120 * 1000)
#define CHANGE_MS   (60 * 1000)
#define TURN_OFF_MS (10 * 1000)

struct vm *vm_find(struct model *model, const char *id)
{
	for (struct vm *vm = model->vms; vm; vm = vm->next)
		if (strcasecmp(vm->record.id, id) == 0)
			return vm;
	return NULL;
}

struct vm *vm_restore(struct model *model, const struct store_vm *record)
{
	struct vm *vm = calloc(1, sizeof(*vm)), **link = &model->vms;

	if (!vm)
		return NULL;
	vm->model = model;
	vm->record = *record;
	while (*link)
		link = &(*link)->next;
	*link = vm;
	return vm;
}

static bool insert(struct store *store, const struct store_vm *record, const struct store_storage *storage,
		   const struct store_network *network)
{
	if (store_begin(store))
		return false;
	if (store_vm_insert(store, record) || store_storage_put(store, record->id, storage) ||
	    store_network_put(store, record->id, network)) {
		store_rollback(store);
		return false;
	}
	return store_commit(store) == 0;
}

struct vm *vm_create(struct model *model, const struct store_vm *record, const struct store_storage *storage,
		     const struct store_network *network)
{
	struct vm *vm = insert(model->store, record, storage, network) ? vm_restore(model, record) : NULL;

	if (!vm)
		return NULL;
	vm_take_storage(vm, storage);
	vm->network = *network;
	return vm;
}

void vm_take_storage(struct vm *vm, const struct store_storage *storage)
{
	struct store_storage old = vm->storage;

	/* As for arenas: without memory for a few paths the process ends, and the workers go on. */
	if (!storage_copy(&vm->storage, storage))
		abort();
	for (unsigned i = 0; i < vm->storage.drive_count; i++)
		vm->storage.drives[i].again = false;
	store_storage_clear(&old);
}

static void vm_free(struct vm *vm)
{
	console_log_clear(&vm->console);
	worker_release(vm->worker);
	vm->worker = NULL;
	hot_plug_cancel(vm, "The management service stops");
	network_plug_cancel(vm, "The management service stops");
	disk_resize_cancel(vm, "The management service stops");
	device_stats_forget(&vm->stats);
	guest_end_requests(vm);
	guest_forget(vm);
	guest_items_clear(&vm->guest.host);
	store_storage_clear(&vm->storage);
	free(vm);
}

int vm_destroy(struct model *model, struct vm *vm)
{
	if (store_vm_delete(model->store, vm->record.id))
		return -1;
	for (struct vm **link = &model->vms; *link; link = &(*link)->next)
		if (*link == vm) {
			*link = vm->next;
			break;
		}
	vm_free(vm);
	return 0;
}

void vm_free_all(struct model *model)
{
	while (model->vms) {
		struct vm *next = model->vms->next;

		vm_free(model->vms);
		model->vms = next;
	}
}

static void save(struct model *model, struct vm *vm)
{
	/* A state that is not on disk is found again through the worker, or settled after a restart. */
	if (store_vm_update(model->store, &vm->record))
		log_error("store.vm", "vm=%s error=\"%s\"", vm->record.id, store_error(model->store));
}

static void set_state(struct vm *vm, enum vm_state state)
{
	if (vm->record.state == (int)state)
		return;
	log_notice("vm.state", "vm=%s from=%s to=%s", vm->record.id,
		   vm_state_name((enum vm_state)vm->record.state), vm_state_name(state));
	vm->record.state = (int)state;
	vm->record.state_changed_ms = model_now_ms();
}

static void set_status(struct vm *vm, bool failed, const char *text)
{
	vm->record.failed = failed;
	snprintf(vm->record.status_text, sizeof(vm->record.status_text), "%s", text);
}

static void refuse(const struct vm *vm, const struct vm_transition *t, struct arena *arena,
		   struct cim_error *error)
{
	static const enum cim_status status[VM_REFUSAL_COUNT] = {
		[VM_REFUSED_ALREADY] = CIM_ERR_INVALID_STATE,
		[VM_REFUSED_STATE] = CIM_ERR_INVALID_STATE,
		[VM_REFUSED_BUSY] = CIM_ERR_BUSY,
		[VM_REFUSED_COMPONENTS] = CIM_ERR_NOT_SUPPORTED,
		[VM_REFUSED_SAVE] = CIM_ERR_NOT_SUPPORTED,
		[VM_REFUSED_UNKNOWN] = CIM_ERR_NOT_SUPPORTED,
		[VM_REFUSED_NUMBER] = CIM_ERR_INVALID_PARAMETER,
	};
	const char *text = vm_refusal_text(t->refusal);

	cim_error_set(error, arena, status[t->refusal],
		      t->refusal == VM_REFUSED_NUMBER ? "RequestedState" : NULL,
		      "%s is %s; RequestedState %u: %s", vm->record.element_name, vm_state_name(t->from),
		      t->requested, text);
	error->has_state = true;
	error->current_state = vm_state_enabled_state(t->from);
	error->available_count = vm_available_requests(vm, error->available, CIM_STATES_MAX);
}

/* What is asked of the guest takes its component. */
static struct vm_transition transition(const struct vm *vm, unsigned requested)
{
	struct vm_transition t = vm_state_request((enum vm_state)vm->record.state, requested);

	if ((t.action == VM_ACTION_SHUTDOWN || t.action == VM_ACTION_REBOOT) &&
	    !vm->record.components[STORE_SHUTDOWN])
		return (struct vm_transition){t.from, t.requested, VM_ACTION_NONE, t.from,
					      VM_REFUSED_COMPONENTS};
	return t;
}

size_t vm_available_requests(const struct vm *vm, uint16_t *out, size_t room)
{
	uint16_t all[CIM_STATES_MAX];
	size_t count = vm_state_available((enum vm_state)vm->record.state, all, CIM_STATES_MAX), taken = 0;

	for (size_t i = 0; i < count && taken < room; i++)
		if (transition(vm, all[i]).refusal == VM_ALLOWED)
			out[taken++] = all[i];
	return taken;
}

uint32_t vm_request_state_change(struct model *model, struct vm *vm, unsigned requested, struct arena *arena,
				 struct cim_error *error, struct job **out_job)
{
	static const struct vm_shutdown plain;

	return vm_request_shutdown(model, vm, requested, &plain, arena, error, out_job);
}

uint32_t vm_request_shutdown(struct model *model, struct vm *vm, unsigned requested,
			     const struct vm_shutdown *how, struct arena *arena, struct cim_error *error,
			     struct job **out_job)
{
	struct vm_transition t = transition(vm, requested);
	struct store_vm before = vm->record;
	struct job *job;

	if (t.refusal != VM_ALLOWED) {
		refuse(vm, &t, arena, error);
		return cim_status_return_value(error->status);
	}
	if (store_begin(model->store))
		return cim_error_set(error, arena, CIM_ERR_FAILED, NULL, "Store: %s",
				     store_error(model->store));
	set_state(vm, t.to);
	vm->record.requested_state = (int)requested;
	job = job_create(model, vm, t.action);
	if (!job || store_vm_update(model->store, &vm->record) || store_commit(model->store)) {
		cim_error_set(error, arena, CIM_ERR_FAILED, NULL, "Store: %s", store_error(model->store));
		store_rollback(model->store);
		vm->record = before;
		if (job)
			job_forget(model, job);
		return CIM_RETURN_FAILED;
	}
	if (vm->job)
		job_fail(model, vm->job, JOB_TERMINATED, (int)CIM_RETURN_INVALID_STATE,
			 "Replaced by a later request");
	vm->job = job;
	vm->shutdown = *how;
	job->queued = true;
	model_wake(model);
	*out_job = job;
	return CIM_RETURN_JOB_STARTED;
}

/* The machine falls back to what its worker says, or to off. A worker that never started, or is ending, goes.
 */
static enum vm_state settled_state(const struct vm *vm)
{
	if (!vm->worker)
		return VM_OFF;
	if (vm->worker->state == WORKER_CREATED || vm->worker->state == WORKER_STOPPED)
		return VM_STOPPING;
	return vm->worker->state == WORKER_STATE_PAUSED ? VM_PAUSED : VM_RUNNING;
}

void vm_action_failed(struct vm *vm, const char *text)
{
	struct model *model = vm->model;

	set_state(vm, settled_state(vm));
	if (vm->record.state == VM_OFF)
		set_status(vm, true, text);
	save(model, vm);
	if (vm->job)
		job_fail(model, vm->job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED, text);
}

/* The images are open, or cannot be; the job may have been replaced meanwhile. */
static void continue_start(struct disk_opening *opening)
{
	struct model *model = opening->model;
	struct vm *vm = vm_find(model, opening->vm_id);
	char reason[STORE_STATUS_MAX + 1];

	if (!vm || !vm->job || strcmp(vm->job->record.id, opening->job_id) != 0 || vm->worker)
		return;
	if (opening->failed) {
		vm_action_failed(vm, opening->reason);
		return;
	}
	vm->worker = worker_launch(model, vm, &opening->set, reason, sizeof(reason));
	if (!vm->worker) {
		vm_action_failed(vm, reason);
		return;
	}
	if (worker_send(vm->worker, WORKER_REQUEST_START)) {
		snprintf(vm->worker->end.reason, sizeof(vm->worker->end.reason), "internal_error");
		worker_kill_after(vm->worker, 0);
	}
	save(model, vm);
}

static void begin_start(struct model *model, struct vm *vm)
{
	set_status(vm, false, "");
	if (disk_set_open(model, vm, vm->job, &vm->storage, NULL, continue_start))
		vm_action_failed(vm, "No memory or no thread to open the disks");
}

static void begin_turn_off(struct model *model, struct vm *vm)
{
	if (!vm->worker) {
		/* It ended between the request and now. */
		set_state(vm, VM_OFF);
		save(model, vm);
		job_complete(model, vm->job);
		return;
	}
	worker_kill_after(vm->worker, worker_send(vm->worker, WORKER_REQUEST_STOP) ? 0 : TURN_OFF_MS);
}

static void begin_action(struct model *model, struct job *job)
{
	static const enum worker_request requests[] = {
		[VM_ACTION_PAUSE] = WORKER_REQUEST_PAUSE,
		[VM_ACTION_RESUME] = WORKER_REQUEST_RESUME,
		[VM_ACTION_RESET] = WORKER_REQUEST_RESET,
	};
	struct vm *vm = job->vm;

	job->deadline_ms = model_monotonic_ms() + (job->action == VM_ACTION_START ? START_MS : CHANGE_MS);
	switch (job->action) {
	case VM_ACTION_START:
		begin_start(model, vm);
		return;
	case VM_ACTION_TURN_OFF:
		begin_turn_off(model, vm);
		return;
	case VM_ACTION_PAUSE:
	case VM_ACTION_RESUME:
	case VM_ACTION_RESET:
		if (!vm->worker || worker_send(vm->worker, requests[job->action]))
			vm_action_failed(vm, "The worker takes no requests");
		return;
	case VM_ACTION_SHUTDOWN:
	case VM_ACTION_REBOOT:
		vm_shutdown_begin(vm);
		return;
	case VM_ACTION_NONE:
		break;
	}
	job_fail(model, job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED, "No such action");
}

void vm_run_job(struct model *model, struct job *job)
{
	job_start(model, job);
	begin_action(model, job);
}

void vm_replace_action(struct vm *vm, enum vm_action action)
{
	set_state(vm, action == VM_ACTION_TURN_OFF ? VM_STOPPING : VM_RESETTING);
	save(vm->model, vm);
	vm->job->action = action;
	begin_action(vm->model, vm->job);
}

static void complete_if_reached(struct vm *vm, struct model *model)
{
	if (vm->job && !vm->job->queued && vm->job->action != VM_ACTION_RESET &&
	    vm->record.state == (int)vm_action_goal(vm->job->action) && vm->job->action != VM_ACTION_TURN_OFF)
		job_complete(model, vm->job);
}

void vm_worker_state(struct vm *vm, enum worker_state state, const char *reason)
{
	struct model *model = vm->model;
	enum vm_state next;

	if (state == WORKER_STOPPED || vm->record.state == VM_STOPPING)
		return;
	if (state == WORKER_CREATED || state == WORKER_UNKNOWN)
		return;
	next = state == WORKER_STATE_PAUSED ? VM_PAUSED : VM_RUNNING;
	/* While an action runs, an older state says nothing new: only its goal ends it. */
	if (vm->job && next != vm_action_goal(vm->job->action))
		return;
	if (vm->job &&
	    (vm->job->action == VM_ACTION_RESET || vm->job->action == VM_ACTION_REBOOT || vm->job->queued))
		return;
	if (vm->record.state != (int)next || vm->record.failed) {
		set_state(vm, next);
		set_status(vm, false, "");
		if (strcmp(reason, "guest_reset") == 0)
			log_notice("vm.guest_reset", "vm=%s", vm->record.id);
		save(model, vm);
	}
	complete_if_reached(vm, model);
}

void vm_worker_guest_reset(struct vm *vm)
{
	guest_forget(vm);
	if (!vm->job || vm->job->queued || vm->job->action != VM_ACTION_REBOOT)
		return;
	set_state(vm, VM_RUNNING);
	save(vm->model, vm);
	job_complete(vm->model, vm->job);
}

void vm_worker_answer(struct vm *vm, enum worker_request request, const char *error_code, const char *message)
{
	static const struct {
		enum worker_request request;
		enum vm_action action;
	} expected[] = {
		{WORKER_REQUEST_START, VM_ACTION_START},
		{WORKER_REQUEST_PAUSE, VM_ACTION_PAUSE},
		{WORKER_REQUEST_RESUME, VM_ACTION_RESUME},
		{WORKER_REQUEST_RESET, VM_ACTION_RESET},
	};
	struct model *model = vm->model;
	char text[STORE_STATUS_MAX + 1];

	if (error_code) {
		snprintf(text, sizeof(text), "The worker refused %s: %s (%s)", worker_request_name(request),
			 message[0] ? message : "no reason given", error_code);
		log_warning("worker.refused", "vm=%s text=\"%s\"", vm->record.id, text);
		if (request == WORKER_REQUEST_START)
			snprintf(vm->worker->end.start_error, sizeof(vm->worker->end.start_error), "%s",
				 message[0] ? message : error_code);
		if (request == WORKER_REQUEST_START || request == WORKER_REQUEST_STOP) {
			/* Nothing to keep: its end settles the job. */
			worker_kill_after(vm->worker,
					  request == WORKER_REQUEST_STOP ||
							  worker_send(vm->worker, WORKER_REQUEST_STOP)
						  ? 0
						  : TURN_OFF_MS);
			return;
		}
		if (vm->job)
			vm_action_failed(vm, text);
		return;
	}
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		if (expected[i].request == request && vm->job && !vm->job->queued &&
		    vm->job->action == expected[i].action) {
			set_state(vm, vm_action_goal(vm->job->action));
			save(model, vm);
			job_complete(model, vm->job);
		}
}

/* What the end of a worker means for a person; false when nothing went wrong. */
static bool describe_end(const struct vm *vm, const struct worker_end *end, bool asked, char *text,
			 size_t size)
{
	if (end->start_error[0] && !asked) {
		snprintf(text, size, "The virtual machine could not start: %s", end->start_error);
		return true;
	}
	if (asked || strcmp(end->reason, "turned_off") == 0) {
		snprintf(text, size, "%s", "");
		return false;
	}
	if (strcmp(end->reason, "guest_power_off") == 0) {
		snprintf(text, size, "The guest turned itself off");
		return false;
	}
	if (strcmp(end->reason, "triple_fault") == 0 ||
	    (end->have_status && !end->signaled && end->code == WORKER_EXIT_TRIPLE_FAULT))
		snprintf(text, size, "The virtual machine was stopped by a triple fault");
	else if (strcmp(end->reason, "guest_crash") == 0)
		snprintf(text, size, "The guest reported a crash");
	else if (end->have_status && end->signaled)
		snprintf(text, size, "The worker process was killed by signal %d", end->code);
	else if (vm->record.state == VM_STARTING)
		snprintf(text, size, "The virtual machine could not start%s%s", end->last_line[0] ? ": " : "",
			 end->last_line);
	else if (end->have_status)
		snprintf(text, size, "The worker process ended with status %d%s%s", end->code,
			 end->last_line[0] ? ": " : "", end->last_line);
	else
		snprintf(text, size, "The worker process ended unexpectedly");
	return true;
}

void vm_worker_gone(struct vm *vm, const struct worker_end *end)
{
	struct model *model = vm->model;
	bool went = strcmp(end->reason, "guest_power_off") == 0 && vm->record.state == VM_SHUTTING_DOWN;
	bool asked = vm->record.state == VM_STOPPING || went;
	char text[STORE_STATUS_MAX + 1];
	bool failed = describe_end(vm, end, asked, text, sizeof(text));

	if (failed)
		log_warning("worker.gone", "vm=%s text=\"%s\"", vm->record.id, text);
	hot_plug_cancel(vm, text[0] ? text : "The virtual machine was turned off");
	network_plug_cancel(vm, text[0] ? text : "The virtual machine was turned off");
	disk_resize_cancel(vm, text[0] ? text : "The virtual machine was turned off");
	device_stats_forget(&vm->stats);
	set_state(vm, VM_OFF);
	set_status(vm, failed, text);
	guest_end_requests(vm);
	guest_forget(vm);
	save(model, vm);
	network_vm_gone(model);
	if (!vm->job)
		return;
	/* A job in the queue that wanted a worker finds none when it runs; it ends here with the reason. */
	if (vm->job->action == VM_ACTION_TURN_OFF || (vm->job->action == VM_ACTION_SHUTDOWN && went))
		job_complete(model, vm->job);
	else
		job_fail(model, vm->job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED,
			 text[0] ? text : "The virtual machine was turned off");
}

void vm_worker_silent(struct vm *vm)
{
	set_status(vm, true, "The worker process does not answer");
	log_warning("worker.silent", "vm=%s", vm->record.id);
	save(vm->model, vm);
}

void vm_check_deadline(struct vm *vm, int64_t monotonic_ms)
{
	struct job *job = vm->job;
	char text[128];

	hot_plug_check_deadline(vm, monotonic_ms);
	network_plug_check_deadline(vm, monotonic_ms);
	device_stats_tick(vm, monotonic_ms);
	if (!job || !job->deadline_ms || monotonic_ms < job->deadline_ms)
		return;
	job->deadline_ms = 0;
	snprintf(text, sizeof(text), "The worker did not answer in time");
	if (job->action == VM_ACTION_START || job->action == VM_ACTION_TURN_OFF) {
		if (vm->worker)
			worker_kill_after(vm->worker, 0);
		else
			vm_action_failed(vm, "The disks could not be opened in time");
		return;
	}
	if (job->action == VM_ACTION_SHUTDOWN || job->action == VM_ACTION_REBOOT)
		vm_shutdown_late(vm);
	else
		vm_action_failed(vm, text);
}

static void settle_machine(struct model *model, struct vm *vm)
{
	enum vm_state state = settled_state(vm);
	bool was_up = vm_state_has_worker((enum vm_state)vm->record.state);

	set_state(vm, state);
	if (state == VM_STOPPING)
		worker_kill_after(vm->worker, worker_send(vm->worker, WORKER_REQUEST_STOP) ? 0 : TURN_OFF_MS);
	if (!vm->worker && was_up)
		set_status(vm, true, "The worker process ended while the management service was not running");
	else if (vm->worker && vm->worker->state == WORKER_UNKNOWN)
		set_status(vm, true, "The worker process does not answer");
	else if (vm->worker)
		set_status(vm, false, "");
	save(model, vm);
}

static void settle_job(struct model *model, struct job *job)
{
	struct vm *vm = vm_find(model, job->record.vm_id);

	if (vm && job->action != VM_ACTION_NONE && job->action != VM_ACTION_RESET &&
	    job->action != VM_ACTION_REBOOT && vm->record.state == (int)vm_action_goal(job->action))
		job_complete(model, job);
	else
		job_fail(model, job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED,
			 "The management service was restarted before the job had ended");
}

void vm_settle_after_restart(struct model *model)
{
	for (struct vm *vm = model->vms; vm; vm = vm->next)
		settle_machine(model, vm);
	for (struct job *job = model->jobs; job; job = job->next)
		if (!job_has_ended(job))
			settle_job(model, job);
}
