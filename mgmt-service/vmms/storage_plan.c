/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/storage_plan.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

int storage_controller_index(const struct store_storage *storage, const char *id)
{
	for (unsigned i = 0; i < storage->controller_count; i++)
		if (strcasecmp(storage->controllers[i], id) == 0)
			return (int)i;
	return -1;
}

/* The drive in that place, or NULL. The search changes nothing. */
static const struct store_drive *drive_at(const struct store_storage *storage, int controller, unsigned lun)
{
	return controller < 0 ? NULL
			      : storage_drive_at((struct store_storage *)storage, (unsigned)controller, lun);
}

static bool same_path(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_drive(const struct store_drive *a, const struct store_drive *b)
{
	return a->kind == b->kind && strcmp(a->disk_id, b->disk_id) == 0 && same_path(a->path, b->path) &&
	       a->read_only == b->read_only && a->direct == b->direct;
}

/* A DVD drive stays and gets another medium; a disk goes and another one comes. */
static bool must_go(const struct store_drive *drive, const struct store_drive *wanted)
{
	return !wanted || (!same_drive(drive, wanted) &&
			   (drive->kind != STORE_DVD_DRIVE || wanted->kind != STORE_DVD_DRIVE ||
			    strcmp(drive->disk_id, wanted->disk_id) != 0));
}

static void add_step(struct storage_step *steps, size_t *count, enum storage_step_kind kind,
		     const char *controller, unsigned lun)
{
	struct storage_step *step = &steps[(*count)++];

	*step = (struct storage_step){.kind = kind, .lun = lun};
	snprintf(step->controller, sizeof(step->controller), "%s", controller);
}

/* Those of one storage that the other has not. */
static void add_controllers(const struct store_storage *of, const struct store_storage *not_of,
			    enum storage_step_kind kind, struct storage_step *steps, size_t *count)
{
	for (unsigned i = 0; i < of->controller_count; i++)
		if (storage_controller_index(not_of, of->controllers[i]) < 0)
			add_step(steps, count, kind, of->controllers[i], 0);
}

size_t storage_plan(const struct store_storage *from, const struct store_storage *to,
		    struct storage_step steps[STORAGE_STEPS_MAX])
{
	size_t count = 0;

	add_controllers(from, to, STEP_REMOVE_CONTROLLER, steps, &count);
	for (unsigned i = 0; i < from->drive_count; i++) {
		const struct store_drive *drive = &from->drives[i];
		const char *controller = from->controllers[drive->controller];
		int there = storage_controller_index(to, controller);

		if (there >= 0 && must_go(drive, drive_at(to, there, drive->lun)))
			add_step(steps, &count, STEP_REMOVE_DRIVE, controller, drive->lun);
	}
	add_controllers(to, from, STEP_ADD_CONTROLLER, steps, &count);
	for (unsigned i = 0; i < to->drive_count; i++) {
		const struct store_drive *drive = &to->drives[i], *now;
		const char *controller = to->controllers[drive->controller];
		int here = storage_controller_index(from, controller);

		now = drive_at(from, here, drive->lun);
		if (!now || drive->again || !same_drive(now, drive))
			add_step(steps, &count, STEP_PUT_DRIVE, controller, drive->lun);
	}
	return count;
}

/* As it is in the other storage, whose controller may have another index. */
static void put_drive(struct store_storage *at, unsigned controller, const struct store_drive *wanted)
{
	struct store_drive *drive = storage_drive_at(at, controller, wanted->lun);

	if (!drive)
		drive = storage_insert_drive(at, controller, wanted->lun);
	*drive = *wanted;
	drive->controller = controller;
}

void storage_step_apply(struct store_storage *at, const struct store_storage *to,
			const struct storage_step *step)
{
	int here = storage_controller_index(at, step->controller),
	    there = storage_controller_index(to, step->controller);
	unsigned index = (unsigned)here;

	switch (step->kind) {
	case STEP_REMOVE_CONTROLLER:
		storage_remove(at, &(struct storage_item){STORAGE_CONTROLLER, index, 0});
		break;
	case STEP_REMOVE_DRIVE:
		storage_remove(at, &(struct storage_item){STORAGE_DRIVE, index, step->lun});
		break;
	case STEP_PUT_DRIVE:
		put_drive(at, index, drive_at(to, there, step->lun));
		break;
	case STEP_ADD_CONTROLLER:
		memcpy(at->controllers[at->controller_count++], step->controller, sizeof(step->controller));
		break;
	}
}
