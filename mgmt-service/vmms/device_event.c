/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/device_event.h"

#include <string.h>

#include "daemon/log.h"
#include "vmms/disk_resize.h"
#include "vmms/hot_plug.h"
#include "vmms/network_plug.h"
#include "vmms/vm.h"

static void scsi_event(struct vm *vm, const struct worker_device_event *event)
{
	if (strcmp(event->what, "resized") == 0)
		disk_resize_event(vm, event);
	else
		hot_plug_event(vm, event);
}

/* By the DEVICE types of the contract. A row without a type ends the table. */
static const struct {
	const char *type;
	void (*event)(struct vm *vm, const struct worker_device_event *event);
} kinds[] = {
	{"scsi", scsi_event},
	{"nic", network_plug_event},
	{"heartbeat", guest_heartbeat_event},
	{"shutdown", vm_shutdown_event},
	{"kvp", guest_kvp_event},
	{"vss", guest_vss_event},
	{"fcopy", guest_fcopy_event},
	{"memory", guest_memory_event},
	{NULL, NULL},
};

void device_event(struct vm *vm, const struct worker_device_event *event)
{
	for (size_t i = 0; kinds[i].type; i++)
		if (strcmp(kinds[i].type, event->type) == 0) {
			kinds[i].event(vm, event);
			return;
		}
	log_debug("worker.device", "vm=%s type=\"%s\" what=\"%s\"", vm->record.id, event->type, event->what);
}
