/* SPDX-License-Identifier: Apache-2.0 */
/* Events of a running machine's devices, handed to what knows the kind of device. */
#ifndef VMMS_DEVICE_EVENT_H
#define VMMS_DEVICE_EVENT_H

#include "vmms/worker.h"

/* Called by worker.c. Events of kinds that nothing here knows are passed over. */
void device_event(struct vm *vm, const struct worker_device_event *event);

#endif
