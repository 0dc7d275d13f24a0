/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network adapters that come to a running machine and go: first those that go, then those that come, each kept
 * in the store when the worker has taken it. The first that it does not take ends the job with the adapter and
 * the cause; what came before it stays, in the guest and in the store alike.
 */
#ifndef VMMS_NETWORK_PLUG_H
#define VMMS_NETWORK_PLUG_H

#include "store/store.h"
#include "vmms/vm.h"
#include "vmms/worker.h"

/* Adapters come or go on the way to `target`. */
bool network_plug_is_needed(const struct vm *vm, const struct store_network *target);
/* The machine has a worker and changes no other devices. A job of that type, or NULL with the reason. */
struct job *network_plug_start(struct vm *vm, const struct store_network *target, int job_type, char *reason,
			       unsigned reason_size);
/* "device" events of adapters. */
void network_plug_event(struct vm *vm, const struct worker_device_event *event);
void network_plug_check_deadline(struct vm *vm, int64_t monotonic_ms);
/* Ends what runs, if anything does, with that reason. */
void network_plug_cancel(struct vm *vm, const char *reason);

#endif
