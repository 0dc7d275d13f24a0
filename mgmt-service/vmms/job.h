/* SPDX-License-Identifier: Apache-2.0 */
/* Work that outlives its request. A job is a row in the store before anybody hears of it. */
#ifndef VMMS_JOB_H
#define VMMS_JOB_H

#include "vmms/model.h"
#include "vmms/vm_state.h"

/* JobState */
#define JOB_NEW        2
#define JOB_RUNNING    4
#define JOB_COMPLETED  7
#define JOB_TERMINATED 8
#define JOB_EXCEPTION  10

/* JobType */
#define JOB_TYPE_START     12
#define JOB_TYPE_POWER_OFF 13
#define JOB_TYPE_SHUTDOWN  16
#define JOB_TYPE_PAUSE     26
#define JOB_TYPE_RESUME    27
#define JOB_TYPE_RESET     28
#define JOB_TYPE_REBOOT    29
#define JOB_TYPE_ADD       30
#define JOB_TYPE_MODIFY    31
#define JOB_TYPE_REMOVE    32
#define JOB_TYPE_FREEZE    51
#define JOB_TYPE_GUEST     180

/* JobType of Msvm_StorageJob, which counts for itself. */
#define JOB_TYPE_STORAGE  1000
#define JOB_TYPE_CREATE   (JOB_TYPE_STORAGE + 1)
#define JOB_TYPE_EXPAND   (JOB_TYPE_STORAGE + 4)
#define JOB_TYPE_MERGE    (JOB_TYPE_STORAGE + 5)
#define JOB_TYPE_CONVERT  (JOB_TYPE_STORAGE + 6)
#define JOB_TYPE_VALIDATE (JOB_TYPE_STORAGE + 9)

#define JOB_REMOVAL_MS (5 * 60 * 1000) /* TimeBeforeRemoval */

struct job {
	struct store_job record;
	struct vm *vm; /* NULL once it has ended */
	enum vm_action action;
	bool queued;
	int64_t deadline_ms; /* monotonic; 0: none */
	unsigned percent;    /* while it runs */
	struct job *next;
};

/* In the store and in the model, state New. NULL with store_error(). */
struct job *job_create(struct model *model, struct vm *vm, enum vm_action action);
/* Of work that changes no state, running from now on: whoever does it ends it. Of no machine without `vm`. */
struct job *job_begin(struct model *model, struct vm *vm, int type);
/* It works on virtual hard disk files. */
bool job_is_of_storage(const struct job *job);
/* From the store after a restart. */
struct job *job_restore(struct model *model, const struct store_job *record);
void job_start(struct model *model, struct job *job);
/* What is done of it. */
void job_progress(struct model *model, struct job *job, unsigned percent);
void job_complete(struct model *model, struct job *job);
/* state: JOB_EXCEPTION or JOB_TERMINATED. `text` may be cut. */
void job_fail(struct model *model, struct job *job, int state, int error_code, const char *text);
bool job_has_ended(const struct job *job);
struct job *job_find(struct model *model, const char *id);
/* From the store and the model; the job has ended. */
int job_remove(struct model *model, struct job *job);
/* From the model only: its row never came to be. */
void job_forget(struct model *model, struct job *job);
/* Removes what ended longer ago than JOB_REMOVAL_MS. */
void job_expire(struct model *model);
const char *job_type_text(int type);
int job_type_of(enum vm_action action);
/* Waits until the job's record differs from the given change time and state, it is removed, the service
 * stops, or the time is up. The lock is held before and after. */
void job_wait(struct model *model, const char *id, int64_t changed_ms, int state, unsigned seconds);
void job_free_all(struct model *model);

#endif
