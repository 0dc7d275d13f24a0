/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that waits for programs or disks: `run` on a thread of its own without the model's lock, then `done`
 * on the main thread with it. What `run` sees is its context and what is constant in the model.
 */
#ifndef VMMS_TASK_H
#define VMMS_TASK_H

#include "vmms/model.h"

/* -1: no thread for it, and neither is called. */
int task_start(struct model *model, void (*run)(void *context), void (*done)(void *context), void *context);
/* Main thread, with the lock held: calls `done` of what has run. */
void task_finish(struct model *model);
/* The service ends: tells all to stop (model.stop_fd), waits for them and calls `done`. */
void task_finish_all(struct model *model);

#endif
