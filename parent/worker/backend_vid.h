/* SPDX-License-Identifier: Apache-2.0 */
/* The backend on /dev/mshv, through libvid. */
#ifndef WORKER_BACKEND_VID_H
#define WORKER_BACKEND_VID_H

#include "worker/backend.h"
#include "worker/platform.h"

struct backend_vid {
	struct backend base;
	int device_fd;				/* not owned */
	int partition_fd;
	int vp_fd[PLATFORM_VP_MAX];
	struct hv_register_page *page[PLATFORM_VP_MAX];
};

void backend_vid_init(struct backend_vid *vid, int device_fd);

#endif
