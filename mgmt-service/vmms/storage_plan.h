/* SPDX-License-Identifier: Apache-2.0 */
/* From one storage of a machine to another, in steps that a running worker can take one by one. No I/O. */
#ifndef VMMS_STORAGE_PLAN_H
#define VMMS_STORAGE_PLAN_H

#include "vmms/storage.h"

/* In this order, so that places and files are free before they are taken. */
enum storage_step_kind {
	STEP_REMOVE_CONTROLLER, /* with its drives */
	STEP_REMOVE_DRIVE,      /* a drive, or the disk in a place that gets another one */
	STEP_ADD_CONTROLLER,    /* without drives */
	STEP_PUT_DRIVE,         /* a drive comes, or a DVD drive gets another medium */
};

struct storage_step {
	enum storage_step_kind kind;
	char controller[STORE_ID_SIZE];
	unsigned lun; /* of a drive */
};

#define STORAGE_STEPS_MAX (2 * STORE_CONTROLLERS_MAX + 2 * STORE_DRIVES_MAX)

/* Controllers are the same by their GUIDs. The number of steps; none: nothing changes. */
size_t storage_plan(const struct store_storage *from, const struct store_storage *to,
		    struct storage_step steps[STORAGE_STEPS_MAX]);
/* Makes the step's change. Paths come from `to`, and stay its own. */
void storage_step_apply(struct store_storage *at, const struct store_storage *to,
			const struct storage_step *step);
/* The index of the controller with that GUID, or -1. */
int storage_controller_index(const struct store_storage *storage, const char *id);

#endif
