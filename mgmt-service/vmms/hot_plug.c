/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/hot_plug.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cim/error.h"
#include "daemon/log.h"
#include "vmms/disk_set.h"
#include "vmms/storage_plan.h"
#include "vmms/storage_wire.h"
#include "worker/worker_msg.h"

#define REMOVAL_MS (60 * 1000) /* for a guest to let go of a controller */

struct hot_plug {
	struct vm *vm;
	char job_id[STORE_ID_SIZE];
	struct store_storage target; /* with paths of its own */
	struct disk_set disks;       /* of the target's drives that come */
	struct storage_step steps[STORAGE_STEPS_MAX];
	size_t count, at;
	bool removed;        /* the guest let go of the controller of this step */
	int64_t deadline_ms; /* monotonic, until which that is waited for; 0: it is not */
};

static void end(struct hot_plug *plug, const char *error)
{
	struct model *model = plug->vm->model;
	struct job *job = job_find(model, plug->job_id);

	plug->vm->hot_plug = NULL;
	if (error)
		job_fail(model, job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED, error);
	else
		job_complete(model, job);
	disk_set_close(&plug->disks);
	store_storage_clear(&plug->target);
	free(plug);
}

static const struct store_drive *drive_in(const struct store_storage *storage,
					  const struct storage_step *step)
{
	int controller = storage_controller_index(storage, step->controller);

	/* The search changes nothing. */
	return controller < 0
		       ? NULL
		       : storage_drive_at((struct store_storage *)storage, (unsigned)controller, step->lun);
}

/* As the shell names devices. */
static void describe(const struct hot_plug *plug, const struct storage_step *step, char *out, size_t size)
{
	bool goes = step->kind == STEP_REMOVE_CONTROLLER || step->kind == STEP_REMOVE_DRIVE;
	const struct store_storage *storage = goes ? &plug->vm->storage : &plug->target;
	const struct store_drive *drive = drive_in(storage, step);
	int controller = storage_controller_index(storage, step->controller);

	if (step->kind == STEP_REMOVE_CONTROLLER || step->kind == STEP_ADD_CONTROLLER)
		snprintf(out, size, "SCSI controller number %d", controller);
	else
		snprintf(out, size, "%s on SCSI controller number %d at location %u",
			 drive && drive->kind == STORE_DVD_DRIVE ? "DVD Drive" : "Hard Drive", controller,
			 step->lun);
}

static void end_at_step(struct hot_plug *plug, const char *cause, const char *code)
{
	char device[96], text[STORE_STATUS_MAX + 1];

	describe(plug, &plug->steps[plug->at], device, sizeof(device));
	snprintf(text, sizeof(text), "%s: %s%s%s%s", device, cause[0] ? cause : "the worker gave no reason",
		 code ? " (" : "", code ? code : "", code ? ")" : "");
	end(plug, text);
}

/* On disk, then in the model. */
static bool keep(struct vm *vm, const struct store_storage *storage)
{
	struct store *store = vm->model->store;

	vm->record.config_changed_ms = model_now_ms();
	if (store_begin(store))
		return false;
	if (store_vm_update(store, &vm->record) || store_storage_put(store, vm->record.id, storage)) {
		store_rollback(store);
		return false;
	}
	if (store_commit(store))
		return false;
	vm_take_storage(vm, storage);
	return true;
}

static void go_on(struct hot_plug *plug);

/* The worker has taken it, or it is nothing to the worker. False: the change has ended. */
static bool step_done(struct hot_plug *plug)
{
	struct store_storage next = plug->vm->storage;

	storage_step_apply(&next, &plug->target, &plug->steps[plug->at]);
	if (!keep(plug->vm, &next)) {
		end_at_step(plug, store_error(plug->vm->model->store), "store");
		return false;
	}
	plug->at++;
	return true;
}

static void controller_removed(struct hot_plug *plug)
{
	plug->removed = false;
	plug->deadline_ms = 0;
	if (step_done(plug))
		go_on(plug);
}

static void answered(void *context, const struct worker_answer *answer)
{
	struct hot_plug *plug = context;

	if (answer->code) {
		end_at_step(plug, answer->message, answer->code);
		return;
	}
	if (plug->steps[plug->at].kind != STEP_REMOVE_CONTROLLER) {
		if (step_done(plug))
			go_on(plug);
	} else if (plug->removed) {
		controller_removed(plug);
	} else {
		plug->deadline_ms = model_monotonic_ms() + REMOVAL_MS;
	}
}

/* What the step means to the worker; NULL: nothing. */
static struct json_object *step_call(const struct hot_plug *plug, const char **method,
				     const struct image_chain **chain)
{
	const struct storage_step *step = &plug->steps[plug->at];
	const struct store_drive *now = drive_in(&plug->vm->storage, step),
				 *wanted = drive_in(&plug->target, step);
	const char *instance = step->controller;

	*method = "device";
	*chain = NULL;
	switch (step->kind) {
	case STEP_REMOVE_CONTROLLER:
		*method = "remove_device";
		return storage_wire_remove_device(instance);
	case STEP_ADD_CONTROLLER:
		*method = "add_device";
		return storage_wire_add_controller(instance);
	case STEP_REMOVE_DRIVE:
		return storage_wire_visible(now) ? storage_wire_remove_lun(instance, step->lun) : NULL;
	case STEP_PUT_DRIVE:
		*chain = disk_set_chain(&plug->disks, (unsigned)(wanted - plug->target.drives));
		if (now)
			return storage_wire_set_medium(instance, step->lun, *chain);
		return storage_wire_visible(wanted) ? storage_wire_add_lun(instance, wanted, *chain) : NULL;
	}
	return NULL;
}

static void go_on(struct hot_plug *plug)
{
	while (plug->at < plug->count) {
		const struct image_chain *chain;
		const char *method;
		struct json_object *params = step_call(plug, &method, &chain);
		int fds[1 + IMAGE_PARENTS_MAX];
		unsigned fd_count = chain ? chain->count : 0;

		if (!params) {
			if (!step_done(plug))
				return;
			continue;
		}
		for (unsigned i = 0; i < fd_count; i++)
			fds[i] = chain->layers[i].fd;
		if (!plug->vm->worker ||
		    worker_call(plug->vm->worker, method, params, fds, fd_count, answered, plug))
			end_at_step(plug,
				    fd_count > WORKER_MSG_FDS_MAX
					    ? "it has too many parents to come to a running machine"
					    : "the worker takes no requests",
				    NULL);
		return;
	}
	end(plug, NULL);
}

static void images_opened(struct disk_opening *opening)
{
	struct vm *vm = vm_find(opening->model, opening->vm_id);
	struct hot_plug *plug = vm ? vm->hot_plug : NULL;

	/* It may have been canceled meanwhile. */
	if (!plug || strcmp(plug->job_id, opening->job_id) != 0)
		return;
	if (opening->failed) {
		end(plug, opening->reason);
		return;
	}
	plug->disks = opening->set;
	opening->set = (struct disk_set){0};
	go_on(plug);
}

/* Which of the target's drives bring an image. */
static bool *drives_that_come(const struct hot_plug *plug)
{
	bool *wanted = calloc(plug->target.drive_count + 1, sizeof(*wanted));

	for (size_t i = 0; wanted && i < plug->count; i++)
		if (plug->steps[i].kind == STEP_PUT_DRIVE)
			wanted[drive_in(&plug->target, &plug->steps[i]) - plug->target.drives] = true;
	return wanted;
}

struct job *hot_plug_start(struct vm *vm, const struct store_storage *target, int job_type, char *reason,
			   unsigned reason_size)
{
	struct hot_plug *plug = calloc(1, sizeof(*plug));
	struct job *job;
	bool *wanted;

	if (!plug || !storage_copy(&plug->target, target)) {
		snprintf(reason, reason_size, "No memory");
		free(plug);
		return NULL;
	}
	plug->vm = vm;
	plug->count = storage_plan(&vm->storage, &plug->target, plug->steps);
	job = job_begin(vm->model, vm, job_type);
	if (!job) {
		snprintf(reason, reason_size, "Store: %s", store_error(vm->model->store));
		store_storage_clear(&plug->target);
		free(plug);
		return NULL;
	}
	memcpy(plug->job_id, job->record.id, sizeof(plug->job_id));
	vm->hot_plug = plug;
	wanted = drives_that_come(plug);
	if (!wanted || disk_set_open(vm->model, vm, job, &plug->target, wanted, images_opened))
		end(plug, "No memory or no thread to open the disks");
	return job;
}

/* A controller that the guest let go of after all, when nobody waited any more. */
static void removed_late(struct vm *vm, const char *instance)
{
	int controller = storage_controller_index(&vm->storage, instance);
	struct store_storage next = vm->storage;

	if (controller < 0)
		return;
	storage_remove(&next, &(struct storage_item){STORAGE_CONTROLLER, (unsigned)controller, 0});
	log_notice("vm.removed_late", "vm=%s controller=%s", vm->record.id, instance);
	if (!keep(vm, &next))
		log_error("store.vm", "vm=%s error=\"%s\"", vm->record.id, store_error(vm->model->store));
}

void hot_plug_event(struct vm *vm, const struct worker_device_event *event)
{
	struct hot_plug *plug = vm->hot_plug;
	const struct storage_step *step = plug && plug->at < plug->count ? &plug->steps[plug->at] : NULL;

	if (strcmp(event->what, "removed") != 0)
		return;
	if (!step || step->kind != STEP_REMOVE_CONTROLLER ||
	    strcasecmp(step->controller, event->instance) != 0) {
		/* While others change, the plan still counts with it. */
		if (!plug)
			removed_late(vm, event->instance);
		return;
	}
	plug->removed = true;
	if (plug->deadline_ms)
		controller_removed(plug);
}

void hot_plug_check_deadline(struct vm *vm, int64_t monotonic_ms)
{
	struct hot_plug *plug = vm->hot_plug;

	if (plug && plug->deadline_ms && monotonic_ms >= plug->deadline_ms)
		end_at_step(plug, "the guest did not let go of it in time", "timed_out");
}

void hot_plug_cancel(struct vm *vm, const char *reason)
{
	if (vm->hot_plug)
		end(vm->hot_plug, reason);
}

void hot_plug_refresh(struct model *model, const char *path)
{
	for (struct vm *vm = model->vms; vm; vm = vm->next)
		for (unsigned i = 0; vm->worker && i < vm->storage.drive_count; i++) {
			const struct store_drive *drive = &vm->storage.drives[i];

			if (drive->path && strcmp(drive->path, path) == 0)
				worker_call(vm->worker, "device",
					    storage_wire_refresh(vm->storage.controllers[drive->controller],
								 drive->lun),
					    NULL, 0, NULL, NULL);
		}
}
