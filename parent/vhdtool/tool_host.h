/* SPDX-License-Identifier: Apache-2.0 */
/* A host for disks in a program that does one thing: descriptors and timers, no guest. */
#ifndef VHDTOOL_TOOL_HOST_H
#define VHDTOOL_TOOL_HOST_H

#include <stdbool.h>

#include "host.h"

#define TOOL_HOST_WATCHES 64u

struct tool_host {
	struct vsp_host host;
	struct vsp_watch *watches[TOOL_HOST_WATCHES];
	struct vsp_timer *timers;	/* by deadline */
};

void tool_host_init(struct tool_host *h);
void tool_host_run_until(struct tool_host *h, const bool *flag);

#endif
