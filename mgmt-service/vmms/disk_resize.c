/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/disk_resize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/log.h"
#include "vmms/device_wire.h"
#include "vmms/storage_wire.h"

struct disk_resize {
	struct disk_resize *next;
	struct vm *vm;
	char job_id[STORE_ID_SIZE], controller[STORE_ID_SIZE];
	unsigned lun;
	uint64_t bytes;
	char path[STORE_PATH_MAX + 1];
	bool answered, told; /* by the worker: the call, and its event */
	char error[STORE_STATUS_MAX + 1]; /* of the event */
};

const struct store_drive *disk_resize_find(struct model *model, const char *path, struct vm **out_vm)
{
	for (struct vm *vm = model->vms; vm; vm = vm->next)
		for (unsigned i = 0; vm->worker && i < vm->storage.drive_count; i++) {
			const struct store_drive *drive = &vm->storage.drives[i];

			if (drive->kind == STORE_DISK_DRIVE && !drive->read_only && drive->path &&
			    strcmp(drive->path, path) == 0) {
				*out_vm = vm;
				return drive;
			}
		}
	return NULL;
}

/* `error` empty: it went well. */
static void end(struct disk_resize *resize, const char *error)
{
	struct model *model = resize->vm->model;
	struct job *job = job_find(model, resize->job_id);
	struct disk_resize **link = &resize->vm->disk_resizes;
	char text[STORE_STATUS_MAX + 1];

	while (*link != resize)
		link = &(*link)->next;
	*link = resize->next;
	snprintf(text, sizeof(text), "%.255s: %.250s", resize->path, error);
	if (error[0])
		job_fail(model, job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED, text);
	else
		job_complete(model, job);
	free(resize);
}

static void describe(char *out, size_t size, const char *message, const char *code)
{
	snprintf(out, size, "%s (%s)", message && message[0] ? message : "the worker gave no reason", code);
}

static void answered(void *context, const struct worker_answer *answer)
{
	struct disk_resize *resize = context;
	char text[STORE_STATUS_MAX + 1];

	resize->answered = true;
	if (answer->code) {
		describe(text, sizeof(text), answer->message, answer->code);
		end(resize, text);
	} else if (resize->told) {
		end(resize, resize->error);
	}
}

void disk_resize_start(struct vm *vm, const struct store_drive *drive, struct job *job, uint64_t bytes)
{
	const char *controller = vm->storage.controllers[drive->controller];
	struct disk_resize *resize = calloc(1, sizeof(*resize));

	if (!resize) {
		job_fail(vm->model, job, JOB_EXCEPTION, (int)CIM_RETURN_FAILED, "No memory");
		return;
	}
	resize->vm = vm;
	resize->lun = drive->lun;
	resize->bytes = bytes;
	snprintf(resize->job_id, sizeof(resize->job_id), "%s", job->record.id);
	snprintf(resize->controller, sizeof(resize->controller), "%s", controller);
	snprintf(resize->path, sizeof(resize->path), "%s", drive->path);
	resize->next = vm->disk_resizes;
	vm->disk_resizes = resize;
	log_notice("vm.disk_resize", "vm=%s job=%s path=\"%s\" bytes=%llu", vm->record.id, resize->job_id,
		   resize->path, (unsigned long long)bytes);
	if (worker_call(vm->worker, "device", storage_wire_resize(controller, drive->lun, bytes), NULL, 0,
			answered, resize))
		end(resize, "the worker takes no requests");
}

void disk_resize_event(struct vm *vm, const struct worker_device_event *event)
{
	uint64_t lun = device_wire_number(event->body, "lun"), bytes = device_wire_number(event->body, "bytes");
	const char *code = device_wire_text(event->body, "error");
	struct disk_resize *resize = vm->disk_resizes;

	while (resize && (resize->told || resize->lun != lun || resize->bytes != bytes ||
			  strcasecmp(resize->controller, event->instance) != 0))
		resize = resize->next;
	if (!resize)
		return;
	resize->told = true;
	if (code)
		describe(resize->error, sizeof(resize->error), device_wire_text(event->body, "message"), code);
	if (resize->answered)
		end(resize, resize->error);
}

void disk_resize_cancel(struct vm *vm, const char *reason)
{
	while (vm->disk_resizes)
		end(vm->disk_resizes, reason);
}
