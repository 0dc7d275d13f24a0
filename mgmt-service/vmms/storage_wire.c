/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/storage_wire.h"

#include <json-c/json.h>

static void put_text(struct json_object *o, const char *key, const char *text)
{
	json_object_object_add(o, key, json_object_new_string(text));
}

static void put_number(struct json_object *o, const char *key, int value)
{
	json_object_object_add(o, key, json_object_new_int(value));
}

static void put_boolean(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}

bool storage_wire_visible(const struct store_drive *drive)
{
	return drive->path || drive->kind == STORE_DVD_DRIVE;
}

/* "fd", "format" and "parents"; NULL chain: there is no medium. */
static void put_image(struct json_object *o, const struct image_chain *chain, int *next_fd)
{
	struct json_object *parents;

	put_number(o, "fd", chain ? (*next_fd)++ : -1);
	put_text(o, "format", image_format_name(chain ? chain->layers[0].format : IMAGE_RAW));
	if (!chain || chain->count < 2)
		return;
	parents = json_object_new_array();
	for (unsigned i = 1; i < chain->count; i++) {
		struct json_object *parent = json_object_new_object();

		put_number(parent, "fd", (*next_fd)++);
		put_text(parent, "format", image_format_name(chain->layers[i].format));
		json_object_array_add(parents, parent);
	}
	json_object_object_add(o, "parents", parents);
}

static struct json_object *lun(const struct store_drive *drive, const struct image_chain *chain, int *next_fd)
{
	bool is_dvd = drive->kind == STORE_DVD_DRIVE;
	struct json_object *o = json_object_new_object();

	put_number(o, "lun", (int)drive->lun);
	put_text(o, "kind", is_dvd ? "dvd" : "disk");
	put_image(o, chain, next_fd);
	put_text(o, "id", drive->disk_id);
	put_boolean(o, "read_only", is_dvd || drive->read_only);
	put_boolean(o, "direct", drive->direct);
	return o;
}

struct json_object *storage_wire_controller(const struct store_storage *storage, unsigned controller,
					    const struct disk_set *disks, int *next_fd)
{
	struct json_object *o = json_object_new_object(), *luns = json_object_new_array();

	put_text(o, "type", "scsi");
	put_text(o, "instance", storage->controllers[controller]);
	for (unsigned i = 0; i < storage->drive_count; i++)
		if (storage->drives[i].controller == controller && storage_wire_visible(&storage->drives[i]))
			json_object_array_add(luns,
					      lun(&storage->drives[i], disk_set_chain(disks, i), next_fd));
	json_object_object_add(o, "luns", luns);
	return o;
}

struct json_object *storage_wire_add_controller(const char *instance)
{
	struct json_object *o = json_object_new_object(), *device = json_object_new_object();

	put_text(device, "type", "scsi");
	put_text(device, "instance", instance);
	json_object_object_add(device, "luns", json_object_new_array());
	json_object_object_add(o, "device", device);
	return o;
}

struct json_object *storage_wire_remove_device(const char *instance)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "instance", instance);
	return o;
}

static struct json_object *device_call(const char *instance, const char *call)
{
	struct json_object *o = storage_wire_remove_device(instance);

	put_text(o, "call", call);
	return o;
}

struct json_object *storage_wire_add_lun(const char *instance, const struct store_drive *drive,
					 const struct image_chain *chain)
{
	struct json_object *o = device_call(instance, "add_lun");
	int next_fd = 0;

	json_object_object_add(o, "lun", lun(drive, chain, &next_fd));
	return o;
}

struct json_object *storage_wire_remove_lun(const char *instance, unsigned number)
{
	struct json_object *o = device_call(instance, "remove_lun");

	put_number(o, "lun", (int)number);
	return o;
}

struct json_object *storage_wire_set_medium(const char *instance, unsigned number,
					    const struct image_chain *chain)
{
	struct json_object *o = device_call(instance, "set_medium"), *medium = NULL;
	int next_fd = 0;

	put_number(o, "lun", (int)number);
	if (chain) {
		medium = json_object_new_object();
		put_image(medium, chain, &next_fd);
	}
	json_object_object_add(o, "medium", medium);
	return o;
}

struct json_object *storage_wire_refresh(const char *instance, unsigned number)
{
	struct json_object *o = device_call(instance, "refresh");

	put_number(o, "lun", (int)number);
	return o;
}

struct json_object *storage_wire_resize(const char *instance, unsigned number, uint64_t bytes)
{
	struct json_object *o = device_call(instance, "resize");

	put_number(o, "lun", (int)number);
	json_object_object_add(o, "bytes", json_object_new_uint64(bytes));
	return o;
}
