/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "daemon/log.h"
#include "vmms/vm.h"

static const struct {
	enum vm_action action;
	int type;
	const char *text;
} types[] = {
	{VM_ACTION_START, JOB_TYPE_START, "Starting Virtual Machine"},
	{VM_ACTION_TURN_OFF, JOB_TYPE_POWER_OFF, "Powering Off Virtual Machine"},
	{VM_ACTION_PAUSE, JOB_TYPE_PAUSE, "Pausing Virtual Machine"},
	{VM_ACTION_RESUME, JOB_TYPE_RESUME, "Resuming Virtual Machine"},
	{VM_ACTION_RESET, JOB_TYPE_RESET, "Resetting Virtual Machine"},
	{VM_ACTION_SHUTDOWN, JOB_TYPE_SHUTDOWN, "Shutting Down Virtual Machine"},
	{VM_ACTION_REBOOT, JOB_TYPE_REBOOT, "Rebooting Virtual Machine"},
	{VM_ACTION_NONE, JOB_TYPE_MODIFY, "Modifying Virtual Machine Resources"},
	{VM_ACTION_NONE, JOB_TYPE_FREEZE, "Freezing or Thawing the Guest's File Systems"},
	{VM_ACTION_NONE, JOB_TYPE_GUEST, "Copying Files to the Guest"},
	{VM_ACTION_NONE, JOB_TYPE_ADD, "Adding Virtual Machine Resources"},
	{VM_ACTION_NONE, JOB_TYPE_REMOVE, "Removing Virtual Machine Resources"},
	{VM_ACTION_NONE, JOB_TYPE_CREATE, "Creating Virtual Hard Disk"},
	{VM_ACTION_NONE, JOB_TYPE_EXPAND, "Resizing Virtual Hard Disk"},
	{VM_ACTION_NONE, JOB_TYPE_MERGE, "Merging Virtual Hard Disk"},
	{VM_ACTION_NONE, JOB_TYPE_CONVERT, "Converting Virtual Hard Disk"},
	{VM_ACTION_NONE, JOB_TYPE_VALIDATE, "Validating Virtual Hard Disk"},
};

#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

const char *job_type_text(int type)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (types[i].type == type)
			return types[i].text;
	return "Unknown";
}

int job_type_of(enum vm_action action)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (types[i].action == action)
			return types[i].type;
	return 0;
}

static enum vm_action action_of(int type)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		if (types[i].type == type)
			return types[i].action;
	return VM_ACTION_NONE;
}

static void append(struct model *model, struct job *job)
{
	struct job **link = &model->jobs;

	while (*link)
		link = &(*link)->next;
	*link = job;
}

static struct job *create(struct model *model, struct vm *vm, enum vm_action action, int type)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	model_new_id(job->record.id);
	snprintf(job->record.vm_id, sizeof(job->record.vm_id), "%s", vm ? vm->record.id : "");
	job->record.type = type;
	job->record.state = JOB_NEW;
	job->record.submitted_ms = job->record.changed_ms = model_now_ms();
	job->vm = vm;
	job->action = action;
	if (store_job_insert(model->store, &job->record)) {
		free(job);
		return NULL;
	}
	append(model, job);
	return job;
}

struct job *job_create(struct model *model, struct vm *vm, enum vm_action action)
{
	return create(model, vm, action, job_type_of(action));
}

struct job *job_begin(struct model *model, struct vm *vm, int type)
{
	struct job *job = create(model, vm, VM_ACTION_NONE, type);

	if (job)
		job_start(model, job);
	return job;
}

bool job_is_of_storage(const struct job *job)
{
	return job->record.type >= JOB_TYPE_STORAGE;
}

struct job *job_restore(struct model *model, const struct store_job *record)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->record = *record;
	job->action = action_of(record->type);
	append(model, job);
	return job;
}

static void save(struct model *model, struct job *job)
{
	job->record.changed_ms = model_now_ms();
	/* The model goes on with what it knows; the row will be found unfinished after a restart and settled
	 * then. */
	if (store_job_update(model->store, &job->record))
		log_error("store.job", "job=%s error=\"%s\"", job->record.id, store_error(model->store));
	pthread_cond_broadcast(&model->changed);
}

void job_start(struct model *model, struct job *job)
{
	job->queued = false;
	job->record.state = JOB_RUNNING;
	job->record.started_ms = model_now_ms();
	save(model, job);
}

void job_progress(struct model *model, struct job *job, unsigned percent)
{
	job->percent = percent;
	job->record.changed_ms = model_now_ms();
	pthread_cond_broadcast(&model->changed);
}

static void end(struct model *model, struct job *job, int state)
{
	job->queued = false;
	job->deadline_ms = 0;
	job->record.state = state;
	if (job->vm && job->vm->job == job)
		job->vm->job = NULL;
	job->vm = NULL;
	save(model, job);
	log_notice("job.end", "job=%s vm=%s type=\"%s\" state=%d error=%d text=\"%s\"", job->record.id,
		   job->record.vm_id, job_type_text(job->record.type), state, job->record.error_code,
		   job->record.error_text);
}

void job_complete(struct model *model, struct job *job)
{
	end(model, job, JOB_COMPLETED);
}

void job_fail(struct model *model, struct job *job, int state, int error_code, const char *text)
{
	job->record.error_code = error_code;
	snprintf(job->record.error_text, sizeof(job->record.error_text), "%s", text);
	end(model, job, state);
}

bool job_has_ended(const struct job *job)
{
	return job->record.state >= JOB_COMPLETED && job->record.state <= JOB_EXCEPTION;
}

struct job *job_find(struct model *model, const char *id)
{
	for (struct job *job = model->jobs; job; job = job->next)
		if (strcasecmp(job->record.id, id) == 0)
			return job;
	return NULL;
}

void job_forget(struct model *model, struct job *job)
{
	for (struct job **link = &model->jobs; *link; link = &(*link)->next)
		if (*link == job) {
			*link = job->next;
			free(job);
			pthread_cond_broadcast(&model->changed);
			return;
		}
}

int job_remove(struct model *model, struct job *job)
{
	if (store_job_delete(model->store, job->record.id))
		return -1;
	job_forget(model, job);
	return 0;
}

void job_expire(struct model *model)
{
	int64_t now = model_now_ms();
	struct job *next;

	for (struct job *job = model->jobs; job; job = next) {
		next = job->next;
		if (job_has_ended(job) && now - job->record.changed_ms > JOB_REMOVAL_MS &&
		    job_remove(model, job))
			log_error("store.job", "job=%s error=\"%s\"", job->record.id,
				  store_error(model->store));
	}
}

void job_wait(struct model *model, const char *id, int64_t changed_ms, int state, unsigned seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	while (!model->stopping) {
		const struct job *job = job_find(model, id);

		if (!job || job_has_ended(job) || job->record.changed_ms != changed_ms ||
		    job->record.state != state)
			return;
		if (pthread_cond_timedwait(&model->changed, &model->lock, &until))
			return;
	}
}

void job_free_all(struct model *model)
{
	while (model->jobs) {
		struct job *next = model->jobs->next;

		free(model->jobs);
		model->jobs = next;
	}
}
