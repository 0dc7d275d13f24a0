/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/disk_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmms/storage.h"
#include "vmms/task.h"

void disk_set_close(struct disk_set *set)
{
	for (unsigned i = 0; i < set->count; i++)
		image_chain_close(&set->chains[i]);
	free(set->chains);
	*set = (struct disk_set){0};
}

const struct image_chain *disk_set_chain(const struct disk_set *set, unsigned drive)
{
	return drive < set->count && set->chains[drive].count ? &set->chains[drive] : NULL;
}

unsigned disk_set_fds(const struct disk_set *set, int *fds, unsigned room)
{
	unsigned count = 0;

	for (unsigned i = 0; i < set->count; i++)
		for (unsigned k = 0; k < set->chains[i].count; k++, count++)
			if (count < room)
				fds[count] = set->chains[i].layers[k].fd;
	return count;
}

/* The running machine that has the file in a drive, for the sentence; found by its path only. */
static const struct vm *user_of(const struct disk_opening *opening, const char *path)
{
	for (const struct vm *vm = opening->model->vms; vm; vm = vm->next)
		for (unsigned i = 0;
		     strcmp(vm->record.id, opening->vm_id) != 0 && vm->worker && i < vm->storage.drive_count;
		     i++)
			if (vm->storage.drives[i].path && strcmp(vm->storage.drives[i].path, path) == 0)
				return vm;
	return NULL;
}

/* Task, without the lock. */
static void open_images(void *context)
{
	struct disk_opening *opening = context;
	const struct image_opening how = {&opening->model->config->disks, image_tool_of(opening->model)};

	for (unsigned i = 0; i < opening->storage.drive_count && !opening->failed; i++) {
		const struct store_drive *drive = &opening->storage.drives[i];
		const struct host_disk disk = {drive->path, drive->kind == STORE_DVD_DRIVE, drive->read_only};

		if (!drive->path || (opening->wanted && !opening->wanted[i]))
			continue;
		opening->drive = i;
		opening->failed = image_chain_open(&how, &disk, &opening->in_use, &opening->set.chains[i],
						   NULL, opening->reason, sizeof(opening->reason)) != 0;
	}
}

static void free_opening(struct disk_opening *opening)
{
	disk_set_close(&opening->set);
	store_storage_clear(&opening->storage);
	free(opening->wanted);
	free(opening);
}

static void opened(void *context)
{
	struct disk_opening *opening = context;
	const char *path = opening->failed ? opening->storage.drives[opening->drive].path : NULL;
	const struct vm *user = path && opening->in_use ? user_of(opening, path) : NULL;

	if (user)
		snprintf(opening->reason, sizeof(opening->reason),
			 "%s is in use by the virtual machine \"%s\"", path, user->record.element_name);
	if (opening->failed)
		disk_set_close(&opening->set);
	opening->done(opening);
	free_opening(opening);
}

int disk_set_open(struct model *model, const struct vm *vm, const struct job *job,
		  const struct store_storage *storage, bool *wanted,
		  void (*done)(struct disk_opening *opening))
{
	struct disk_opening *opening = calloc(1, sizeof(*opening));

	if (!opening) {
		free(wanted);
		return -1;
	}
	opening->model = model;
	memcpy(opening->vm_id, vm->record.id, sizeof(opening->vm_id));
	memcpy(opening->job_id, job->record.id, sizeof(opening->job_id));
	opening->wanted = wanted;
	opening->done = done;
	opening->set.count = storage->drive_count;
	/* One more than needed: no drives are no lack of memory. */
	opening->set.chains = calloc(storage->drive_count + 1, sizeof(*opening->set.chains));
	if (opening->set.chains && storage_copy(&opening->storage, storage) &&
	    task_start(model, open_images, opened, opening) == 0)
		return 0;
	free_opening(opening);
	return -1;
}
