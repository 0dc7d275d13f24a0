/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SCSI controllers of a machine, drives in them, images in the drives: what hangs on what, and how each is
 * named.
 *
 *   Microsoft:<machine>\<controller>\0            controller
 *   Microsoft:<machine>\<controller>\0\<LUN>\D    drive
 *   Microsoft:<machine>\<controller>\0\<LUN>\L    image in it
 *
 * Paths of drives belong to whoever filled the structure in; nothing here frees them.
 */
#ifndef VMMS_STORAGE_H
#define VMMS_STORAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "store/store.h"

enum storage_item_kind { STORAGE_CONTROLLER, STORAGE_DRIVE, STORAGE_IMAGE };

struct storage_item {
	enum storage_item_kind kind;
	unsigned controller; /* index */
	unsigned lun;        /* not of a controller */
};

#define STORAGE_ITEMS_MAX   (STORE_CONTROLLERS_MAX + 2 * STORE_DRIVES_MAX)
#define STORAGE_SUFFIX_SIZE (STORE_ID_SIZE + 8)

/* Everything there is, parents before children; their number. */
size_t storage_items(const struct store_storage *storage, struct storage_item items[STORAGE_ITEMS_MAX]);
/* What stands behind "Microsoft:<machine>\". False: there is no such item. Compares without case. */
bool storage_item_find(const struct store_storage *storage, const char *suffix, struct storage_item *item);
void storage_item_suffix(const struct store_storage *storage, const struct storage_item *item,
			 char suffix[STORAGE_SUFFIX_SIZE]);

/* NULL: nothing is there. */
struct store_drive *storage_drive_at(struct store_storage *storage, unsigned controller, unsigned lun);
/* -1: all are taken. */
int storage_free_lun(const struct store_storage *storage, unsigned controller);
/* The place is free. All but the place is for the caller to fill in. */
struct store_drive *storage_insert_drive(struct store_storage *storage, unsigned controller, unsigned lun);
/* With what hangs on it. Controllers behind a removed one move up. */
void storage_remove(struct store_storage *storage, const struct storage_item *item);
/* With paths of its own, for store_storage_clear(). False: no memory, and nothing is left behind. */
bool storage_copy(struct store_storage *to, const struct store_storage *from);

#endif
