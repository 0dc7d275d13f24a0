/* SPDX-License-Identifier: Apache-2.0 */
/* Making, resizing, converting and checking image files. No model, no lock: it blocks for as long as vhdtool
 * works. */
#ifndef VMMS_IMAGE_WORK_H
#define VMMS_IMAGE_WORK_H

#include "vmms/image_chain.h"

enum image_operation { IMAGE_CREATE, IMAGE_RESIZE, IMAGE_CONVERT, IMAGE_MERGE, IMAGE_VALIDATE };

struct image_work {
	enum image_operation operation;
	struct image_opening opening;
	char *path;   /* what is made or changed */
	char *source; /* convert, merge: what is read */
	char *parent; /* create: of a differencing image */
	enum image_type type;
	uint64_t bytes;                                      /* 0: as the parent */
	uint32_t block_bytes, logical_bytes, physical_bytes; /* 0: as vhdtool thinks fit */
	/* How it ended. */
	bool failed;
	bool in_use;
	bool found_in_use;                 /* resize: a machine has it, and must look at its size */
	char reason[STORE_STATUS_MAX + 1]; /* of a failure */
};

void image_work_run(struct image_work *work);
/* The texts. */
void image_work_clear(struct image_work *work);

#endif
