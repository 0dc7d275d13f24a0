/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The provider behind a guest's synthetic SCSI controller: 64 units on path 0, target 0, because guests remove and
 * resize units on other paths wrongly. All calls on the host's thread; with lanes, and the lock, on the bus' thread.
 */
#ifndef VSP_STORVSP_STORVSP_H
#define VSP_STORVSP_STORVSP_H

#include "block/block.h"
#include "storvsp/stats.h"
#include "vmbus/channel.h"

#define STORVSP_LUN_COUNT        64u
#define STORVSP_QUEUE_DEPTH      256u	/* requests under way in one channel */
#define STORVSP_SUB_CHANNELS_MAX 64u

struct storvsp;

struct storvsp_options {
	struct vmbus_guid instance;	/* stable across boots */
	unsigned sub_channels_max;	/* at most STORVSP_SUB_CHANNELS_MAX: VPs - 1 is a good number */
};

/* Offers a controller without units. 0; -EINVAL; -ENOMEM; what vmbus_device_add says. */
int storvsp_create(struct vmbus_server *server, const struct vsp_host *host, const struct storvsp_options *options,
		   struct storvsp **ret_storvsp);
/* Closes the units, finishes what is under way, takes the offer back, frees; then `done`, never from inside. */
void storvsp_destroy(struct storvsp *storvsp, vsp_callback done, void *context);

/* Attach and detach work while the guest runs, and tell it. The disk is the controller's when the call succeeds.
 * 0; -EINVAL no such LUN, or sectors that a drive cannot have; -EEXIST taken; -ENOMEM; -ENODEV being destroyed. */
int storvsp_attach_disk(struct storvsp *storvsp, unsigned lun, struct block_disk *disk);
/* The storage below may have another size now: looks, and tells the guest. 0; -ENOENT no such unit, or no medium; -errno. */
int storvsp_refresh(struct storvsp *storvsp, unsigned lun);
/* block_resize of the unit's disk, which tells the guest. -ENOENT no such unit, or no medium. */
int storvsp_resize(struct storvsp *storvsp, unsigned lun, uint64_t bytes, block_resize_done done, void *context,
		   struct block_failure *failure);
/* `id` is the drive's; medium may be NULL. */
int storvsp_attach_dvd(struct storvsp *storvsp, unsigned lun, const uint8_t id[16], struct block_disk *medium);
/* Commands fail from now on; those under way are finished, the disk closed, then `done`, never from inside. -ENOENT. */
int storvsp_detach(struct storvsp *storvsp, unsigned lun, vsp_callback done, void *context);

/* 0; -ENOENT no drive; -EINVAL; -EBUSY a medium is in it. */
int storvsp_dvd_insert(struct storvsp *storvsp, unsigned lun, struct block_disk *medium);
/* Also when the guest has locked it; an empty drive opens its tray. 0; -ENOENT. */
int storvsp_dvd_eject(struct storvsp *storvsp, unsigned lun);
bool storvsp_dvd_loaded(const struct storvsp *storvsp, unsigned lun);

/* 0; -ENOENT. */
int storvsp_lun_stats(const struct storvsp *storvsp, unsigned lun, struct storvsp_lun_stats *ret_stats);

#endif
