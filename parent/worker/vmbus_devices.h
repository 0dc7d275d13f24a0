/* SPDX-License-Identifier: Apache-2.0 */
/* The VMBus devices that a child's configuration asks for, as one: made, paused, counted and taken down together. */
#ifndef WORKER_VMBUS_DEVICES_H
#define WORKER_VMBUS_DEVICES_H

#include "ic/heartbeat.h"
#include "ic/kvp.h"
#include "ic/shutdown.h"
#include "ic/timesync.h"
#include "keyboard/keyboard.h"
#include "storvsp/storvsp.h"
#include "worker/config.h"

struct vmbus_devices {
	const struct config *config;
	struct storvsp *scsi[CONFIG_SCSI_MAX];
	struct heartbeat heartbeat;
	struct shutdown shutdown;
	struct timesync timesync;
	struct kvp kvp;
	struct keyboard keyboard;
	vsp_callback closed;		/* while closing */
	void *context;
	unsigned closing;
};

/* On failure what was made is still there: vmbus_devices_close. */
int vmbus_devices_add(struct vmbus_devices *d, struct vmbus_server *server, const struct vsp_host *host,
		      const struct config *config, struct failure *why) MUST_CHECK;
/* The server was reset. Finishes what is under way, then `closed`; the server may be freed then, and the devices with it. */
void vmbus_devices_close(struct vmbus_devices *d, vsp_callback closed, void *context);

void vmbus_devices_pause(struct vmbus_devices *d);
void vmbus_devices_resume(struct vmbus_devices *d);
void vmbus_devices_counters(struct vmbus_devices *d,
			    void (*emit)(void *context, const char *device, const char *counter, uint64_t value),
			    void *context);

#endif
