/* SPDX-License-Identifier: Apache-2.0 */
/* Another size for a disk that a running machine uses: its worker does it, and says when it is done. */
#ifndef VMMS_DISK_RESIZE_H
#define VMMS_DISK_RESIZE_H

#include "vmms/vm.h"

/* The drive of a machine with a worker that writes to this image, or NULL. */
const struct store_drive *disk_resize_find(struct model *model, const char *path, struct vm **out_vm);
/* Ends the job, at once when the worker takes no requests. */
void disk_resize_start(struct vm *vm, const struct store_drive *drive, struct job *job, uint64_t bytes);
/* "resized" of controllers. */
void disk_resize_event(struct vm *vm, const struct worker_device_event *event);
/* The worker is gone: all that it had not done yet ends with that reason. */
void disk_resize_cancel(struct vm *vm, const char *reason);

#endif
