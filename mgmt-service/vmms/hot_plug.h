/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storage of a running machine as it changes: the images are opened, then the worker takes one step after the
 * other, and each is kept in the store when the worker has taken it. The first that it does not take ends the
 * job with the device and the cause; what came before it stays, in the guest and in the store alike.
 */
#ifndef VMMS_HOT_PLUG_H
#define VMMS_HOT_PLUG_H

#include "store/store.h"
#include "vmms/vm.h"
#include "vmms/worker.h"

/* The machine has a worker and changes nothing else. A job of that type, or NULL with the reason. */
struct job *hot_plug_start(struct vm *vm, const struct store_storage *target, int job_type, char *reason,
			   unsigned reason_size);
/* "device" events of controllers. */
void hot_plug_event(struct vm *vm, const struct worker_device_event *event);
void hot_plug_check_deadline(struct vm *vm, int64_t monotonic_ms);
/* Ends what runs, if anything does, with that reason. */
void hot_plug_cancel(struct vm *vm, const char *reason);
/* Running machines with this image look at its size again. */
void hot_plug_refresh(struct model *model, const char *path);

#endif
