/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/storage.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

size_t storage_items(const struct store_storage *storage, struct storage_item items[STORAGE_ITEMS_MAX])
{
	size_t count = 0;

	for (unsigned i = 0; i < storage->controller_count; i++)
		items[count++] = (struct storage_item){STORAGE_CONTROLLER, i, 0};
	for (unsigned i = 0; i < storage->drive_count; i++) {
		const struct store_drive *drive = &storage->drives[i];

		items[count++] = (struct storage_item){STORAGE_DRIVE, drive->controller, drive->lun};
		if (drive->path)
			items[count++] = (struct storage_item){STORAGE_IMAGE, drive->controller, drive->lun};
	}
	return count;
}

void storage_item_suffix(const struct store_storage *storage, const struct storage_item *item,
			 char suffix[STORAGE_SUFFIX_SIZE])
{
	const char *controller = storage->controllers[item->controller];

	if (item->kind == STORAGE_CONTROLLER)
		snprintf(suffix, STORAGE_SUFFIX_SIZE, "%s\\0", controller);
	else
		snprintf(suffix, STORAGE_SUFFIX_SIZE, "%s\\0\\%u\\%c", controller, item->lun % STORE_LUNS_MAX,
			 item->kind == STORAGE_DRIVE ? 'D' : 'L');
}

bool storage_item_find(const struct store_storage *storage, const char *suffix, struct storage_item *item)
{
	struct storage_item items[STORAGE_ITEMS_MAX];
	size_t count = storage_items(storage, items);
	char its[STORAGE_SUFFIX_SIZE];

	for (size_t i = 0; i < count; i++) {
		storage_item_suffix(storage, &items[i], its);
		if (strcasecmp(its, suffix) == 0) {
			*item = items[i];
			return true;
		}
	}
	return false;
}

struct store_drive *storage_drive_at(struct store_storage *storage, unsigned controller, unsigned lun)
{
	for (unsigned i = 0; i < storage->drive_count; i++)
		if (storage->drives[i].controller == controller && storage->drives[i].lun == lun)
			return &storage->drives[i];
	return NULL;
}

int storage_free_lun(const struct store_storage *storage, unsigned controller)
{
	unsigned lun = 0;

	/* They are in order: the first gap is free. */
	for (unsigned i = 0; i < storage->drive_count; i++)
		if (storage->drives[i].controller == controller && storage->drives[i].lun == lun)
			lun++;
	return lun < STORE_LUNS_MAX ? (int)lun : -1;
}

struct store_drive *storage_insert_drive(struct store_storage *storage, unsigned controller, unsigned lun)
{
	struct store_drive *drives = storage->drives;
	unsigned at = storage->drive_count++;

	while (at && (drives[at - 1].controller > controller ||
		      (drives[at - 1].controller == controller && drives[at - 1].lun > lun))) {
		drives[at] = drives[at - 1];
		at--;
	}
	drives[at] = (struct store_drive){.controller = controller, .lun = lun};
	return &drives[at];
}

static void remove_controller(struct store_storage *storage, unsigned controller)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < storage->drive_count; i++) {
		struct store_drive drive = storage->drives[i];

		if (drive.controller == controller)
			continue;
		if (drive.controller > controller)
			drive.controller--;
		storage->drives[kept++] = drive;
	}
	storage->drive_count = kept;
	storage->controller_count--;
	memmove(storage->controllers + controller, storage->controllers + controller + 1,
		(storage->controller_count - controller) * sizeof(storage->controllers[0]));
}

void storage_remove(struct store_storage *storage, const struct storage_item *item)
{
	struct store_drive *drive = storage_drive_at(storage, item->controller, item->lun);

	switch (item->kind) {
	case STORAGE_CONTROLLER:
		remove_controller(storage, item->controller);
		break;
	case STORAGE_DRIVE:
		storage->drive_count--;
		memmove(drive, drive + 1,
			(size_t)(storage->drives + storage->drive_count - drive) * sizeof(*drive));
		break;
	case STORAGE_IMAGE:
		drive->path = NULL;
		drive->read_only = drive->direct = false;
		break;
	}
}

bool storage_copy(struct store_storage *to, const struct store_storage *from)
{
	*to = *from;
	for (unsigned i = 0; i < from->drive_count; i++) {
		if (!from->drives[i].path)
			continue;
		to->drives[i].path = strdup(from->drives[i].path);
		if (!to->drives[i].path) {
			to->drive_count = i;
			store_storage_clear(to);
			return false;
		}
	}
	return true;
}
