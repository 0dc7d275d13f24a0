/* SPDX-License-Identifier: Apache-2.0 */
/* The opened images of drives: all of a machine that starts, or those of drives that come to a running one.
 */
#ifndef VMMS_DISK_SET_H
#define VMMS_DISK_SET_H

#include "vmms/image_chain.h"
#include "vmms/vm.h"

/* Parallel to the drives of a storage; without layers: nothing is open for that drive. */
struct disk_set {
	unsigned count;
	struct image_chain *chains;
};

/* Of all drives, or of those that `wanted` marks. */
struct disk_opening {
	struct model *model;
	char vm_id[STORE_ID_SIZE];
	char job_id[STORE_ID_SIZE];   /* that it is for */
	struct store_storage storage; /* with paths of its own */
	bool *wanted;                 /* allocated; NULL: all */
	struct disk_set set;          /* who is told takes it, or leaves it to be closed */
	bool failed;
	bool in_use;
	unsigned drive;                    /* that could not be opened */
	char reason[STORE_STATUS_MAX + 1]; /* why not */
	void (*done)(struct disk_opening *opening);
};

/*
 * Opens in a task; `done` comes on the main thread with the model locked, also when it failed, and the
 * opening is freed after it. `wanted` belongs to the opening in any case. -1: there is no memory or thread
 * for it.
 */
int disk_set_open(struct model *model, const struct vm *vm, const struct job *job,
		  const struct store_storage *storage, bool *wanted,
		  void (*done)(struct disk_opening *opening));
void disk_set_close(struct disk_set *set);
/* What is open for the drive; NULL: nothing. */
const struct image_chain *disk_set_chain(const struct disk_set *set, unsigned drive);
/* Of all images together, in the order of the drives, each followed by its parents. At most `room`; their
 * number. */
unsigned disk_set_fds(const struct disk_set *set, int *fds, unsigned room);

#endif
