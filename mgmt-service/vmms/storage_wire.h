/* SPDX-License-Identifier: Apache-2.0 */
/* SCSI controllers and their LUNs as schemas/worker/worker_msg.h writes them, and the calls that change them.
 */
#ifndef VMMS_STORAGE_WIRE_H
#define VMMS_STORAGE_WIRE_H

#include "vmms/disk_set.h"

struct json_object;

/* A guest sees a hard drive with an image, and a DVD drive always. */
bool storage_wire_visible(const struct store_drive *drive);
/*
 * DEVICE of one controller, with what a guest sees of its drives. Descriptors are numbered from *next_fd on
 * in the order of the drives, each image followed by its parents; *next_fd becomes the next free number.
 * `disks` is of this storage.
 */
struct json_object *storage_wire_controller(const struct store_storage *storage, unsigned controller,
					    const struct disk_set *disks, int *next_fd);

/* Parameters of the calls of a running machine; the descriptors of a packet are numbered from 0 on. */
struct json_object *storage_wire_add_controller(const char *instance);
struct json_object *storage_wire_remove_device(const char *instance);
struct json_object *storage_wire_add_lun(const char *instance, const struct store_drive *drive,
					 const struct image_chain *chain);
struct json_object *storage_wire_remove_lun(const char *instance, unsigned lun);
/* `chain` NULL: the medium is taken out. */
struct json_object *storage_wire_set_medium(const char *instance, unsigned lun,
					    const struct image_chain *chain);
struct json_object *storage_wire_refresh(const char *instance, unsigned lun);
struct json_object *storage_wire_resize(const char *instance, unsigned lun, uint64_t bytes);

#endif
