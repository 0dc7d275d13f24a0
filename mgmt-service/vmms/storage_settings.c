/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/storage_settings.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cim/path.h"
#include "cim_schema.gen.h"
#include "vmms/host_file.h"
#include "vmms/image_chain.h"
#include "vmms/image_service.h"
#include "vmms/instances.h"
#include "vmms/setting_put.h"

#define ACCESS_READABLE   1
#define ACCESS_READ_WRITE 3
#define CACHING_DEFAULT   2
#define CACHING_NONE      3

#define HOST_RESOURCE CIM_ResourceAllocationSettingData_HostResource
#define PARENT        CIM_ResourceAllocationSettingData_Parent
#define ADDRESS       CIM_ResourceAllocationSettingData_AddressOnParent
#define TYPE          CIM_ResourceAllocationSettingData_ResourceType
#define SUBTYPE       CIM_ResourceAllocationSettingData_ResourceSubType

/* The rows of ResourceType and ResourceSubType that are storage. */
static const struct storage_kind {
	enum storage_item_kind item;
	enum store_drive_kind drive;
	uint16_t type;
	const char *subtype;
	const char *name;
} storage_kinds[] = {
	{STORAGE_CONTROLLER, 0, 6, "Microsoft:Hyper-V:Synthetic SCSI Controller", "SCSI Controller"},
	{STORAGE_DRIVE, STORE_DISK_DRIVE, 17, "Microsoft:Hyper-V:Synthetic Disk Drive", "Hard Drive"},
	{STORAGE_DRIVE, STORE_DVD_DRIVE, 16, "Microsoft:Hyper-V:Synthetic DVD Drive", "DVD Drive"},
	{STORAGE_IMAGE, STORE_DISK_DRIVE, 31, "Microsoft:Hyper-V:Virtual Hard Disk", "Hard Disk Image"},
	{STORAGE_IMAGE, STORE_DVD_DRIVE, 31, "Microsoft:Hyper-V:Virtual CD/DVD Disk", "ISO Disk Image"},
};
#define STORAGE_KIND_COUNT (sizeof(storage_kinds) / sizeof(storage_kinds[0]))

bool storage_setting_class(const struct cim_class *class)
{
	return class == &cim_class_Msvm_ResourceAllocationSettingData ||
	       class == &cim_class_Msvm_StorageAllocationSettingData;
}

static const struct store_drive *drive_of(const struct store_storage *storage,
					  const struct storage_item *item)
{
	/* The search changes nothing. */
	return storage_drive_at((struct store_storage *)storage, item->controller, item->lun);
}

static const struct storage_kind *kind_of(const struct store_storage *storage,
					  const struct storage_item *item)
{
	for (size_t i = 0; i < STORAGE_KIND_COUNT; i++)
		if (storage_kinds[i].item == item->kind &&
		    (item->kind == STORAGE_CONTROLLER ||
		     storage_kinds[i].drive == drive_of(storage, item)->kind))
			return &storage_kinds[i];
	abort();
}

static const char *instance_id(struct arena *arena, const char *vm_id, const struct store_storage *storage,
			       const struct storage_item *item)
{
	char suffix[STORAGE_SUFFIX_SIZE];

	storage_item_suffix(storage, item, suffix);
	return arena_printf(arena, "Microsoft:%s\\%s", vm_id, suffix);
}

struct cim_reference *storage_setting_reference(struct arena *arena, const char *vm_id,
						const struct store_storage *storage,
						const struct storage_item *item)
{
	const char *keys[] = {instance_id(arena, vm_id, storage, item)};

	return cim_reference_make(arena,
				  item->kind == STORAGE_IMAGE ? &cim_class_Msvm_StorageAllocationSettingData
							      : &cim_class_Msvm_ResourceAllocationSettingData,
				  1, keys);
}

static struct storage_item parent_of(const struct storage_item *item)
{
	return (struct storage_item){item->kind == STORAGE_IMAGE ? STORAGE_DRIVE : STORAGE_CONTROLLER,
				     item->controller, item->kind == STORAGE_IMAGE ? item->lun : 0};
}

static void fill_image(struct cim_instance *i, const struct store_drive *drive)
{
	const char *const paths[] = {drive->path ? drive->path : ""};

	if (drive->kind == STORE_DVD_DRIVE)
		cim_set_string(i, Msvm_StorageAllocationSettingData_Caption,
			       "ISO Disk Image Default Settings");
	if (drive->path)
		cim_set_strings(i, HOST_RESOURCE, paths, 1);
	cim_set_uint(i, Msvm_StorageAllocationSettingData_Access,
		     drive->read_only || drive->kind == STORE_DVD_DRIVE ? ACCESS_READABLE
									: ACCESS_READ_WRITE);
	cim_set_uint(i, Msvm_StorageAllocationSettingData_CachingMode,
		     drive->direct ? CACHING_NONE : CACHING_DEFAULT);
}

struct cim_instance *storage_setting_instance(struct cim_context *context, const char *vm_id,
					      const struct store_storage *storage,
					      const struct storage_item *item)
{
	const struct storage_kind *kind = kind_of(storage, item);
	const struct cim_reference *self = storage_setting_reference(context->arena, vm_id, storage, item);
	struct cim_instance *i = cim_instance_create(context->arena, self->class);
	const char *guids[] = {storage->controllers[item->controller]};
	struct storage_item parent = parent_of(item);

	cim_set_string(i, CIM_SettingData_InstanceID, self->keys[0].string);
	cim_set_string(i, CIM_SettingData_ElementName, kind->name);
	cim_set_uint(i, TYPE, kind->type);
	cim_set_string(i, SUBTYPE, kind->subtype);
	cim_set_uint(i, CIM_ResourceAllocationSettingData_VirtualQuantity, 1);
	if (item->kind == STORAGE_CONTROLLER) {
		cim_set_strings(i, Msvm_ResourceAllocationSettingData_VirtualSystemIdentifiers, guids, 1);
		cim_set_string(i, CIM_ResourceAllocationSettingData_Address,
			       arena_printf(context->arena, "%u", item->controller));
		return i;
	}
	cim_set_string(i, PARENT,
		       cim_path_of(context->arena, context->model->host_name,
				   storage_setting_reference(context->arena, vm_id, storage, &parent)));
	if (item->kind == STORAGE_DRIVE)
		cim_set_string(i, ADDRESS, arena_printf(context->arena, "%u", item->lun));
	else
		fill_image(i, drive_of(storage, item));
	return i;
}

/* ---- changes ---- */

/* The InstanceID that a Parent means: of an object path, or the text itself. */
static const char *parent_id(struct arena *arena, const char *text)
{
	const struct cim_reference *reference = cim_path_parse(arena, text);

	return reference && storage_setting_class(reference->class) ? reference->keys[0].string : text;
}

static bool find_parent(struct cim_context *context, const struct storage_adding *adding, const char *text,
			struct storage_item *out)
{
	const char *id = parent_id(context->arena, text),
		   *prefix = arena_printf(context->arena, "Microsoft:%s\\", adding->vm_id);

	for (size_t i = 0; i < adding->count; i++)
		if (adding->labels[i].instance_id && strcasecmp(adding->labels[i].instance_id, id) == 0) {
			*out = adding->labels[i].item;
			return true;
		}
	return strncasecmp(id, prefix, strlen(prefix)) == 0 &&
	       storage_item_find(adding->storage, id + strlen(prefix), out);
}

/* The path, if it is set and one. */
static const char *one_path(struct cim_context *context, const struct cim_value *value)
{
	const char *path = value->count == 1 ? value->items[0].string : "";

	if (value->count != 1 || !path[0]) {
		setting_put_refuse(context, "HostResource", "HostResource must hold one path");
		return NULL;
	}
	if (!setting_put_check_text(context, "HostResource", path, STORE_PATH_MAX))
		return NULL;
	if (!host_file_allowed(&context->model->config->disks, path)) {
		setting_put_refuse(context, "HostResource",
				   "HostResource must be an absolute path below one of the directories that "
				   "the configuration allows (disk-directories)");
		return NULL;
	}
	return path;
}

static enum setting_put put_host_resource(struct cim_context *context, struct store_drive *drive,
					  const struct cim_value *value)
{
	const char *path = one_path(context, value);

	if (!path)
		return SETTING_REFUSED;
	if (drive->path && strcmp(drive->path, path) == 0) {
		drive->again = drive->kind == STORE_DVD_DRIVE;
		return SETTING_PUT;
	}
	/* A guest must not take another disk for the one it knew; a DVD drive stays the same drive. */
	if (drive->path && drive->kind == STORE_DISK_DRIVE)
		model_new_id(drive->disk_id);
	drive->path = arena_strdup(context->arena, path);
	return SETTING_PUT;
}

static enum setting_put put_access(struct cim_context *context, struct store_drive *drive, uint64_t access)
{
	if (access != ACCESS_READABLE && access != ACCESS_READ_WRITE)
		return setting_put_refuse(context, "Access",
					  "Access must be %d (readable) or %d (read/write)", ACCESS_READABLE,
					  ACCESS_READ_WRITE);
	if (access == ACCESS_READ_WRITE && drive->kind == STORE_DVD_DRIVE)
		return setting_put_refuse(context, "Access", "Access: a DVD can only be read");
	drive->read_only = access == ACCESS_READABLE && drive->kind == STORE_DISK_DRIVE;
	return SETTING_PUT;
}

static enum setting_put put_caching(struct cim_context *context, struct store_drive *drive, uint64_t mode)
{
	if (mode != CACHING_DEFAULT && mode != CACHING_NONE)
		return setting_put_refuse(context, "CachingMode",
					  "CachingMode must be %d (default) or %d (none)", CACHING_DEFAULT,
					  CACHING_NONE);
	drive->direct = mode == CACHING_NONE;
	return SETTING_PUT;
}

static enum setting_put put_storage(struct cim_context *context, const struct setting_target *target,
				    int property, const struct cim_value *value)
{
	struct store_drive *drive =
		storage_drive_at(target->storage, target->item->controller, target->item->lun);

	if (target->item->kind != STORAGE_IMAGE)
		return SETTING_NOT_BACKED;
	switch (property) {
	case HOST_RESOURCE:
		return put_host_resource(context, drive, value);
	case Msvm_StorageAllocationSettingData_Access:
		return put_access(context, drive, value->items[0].uint);
	case Msvm_StorageAllocationSettingData_CachingMode:
		return put_caching(context, drive, value->items[0].uint);
	default:
		return SETTING_NOT_BACKED;
	}
}

/* One file twice in a machine would be written through two caches of the guest. */
static bool is_alone(struct cim_context *context, const struct store_storage *storage,
		     const struct store_drive *drive)
{
	bool writes = drive->kind == STORE_DISK_DRIVE && !drive->read_only;

	for (unsigned i = 0; i < storage->drive_count; i++) {
		const struct store_drive *other = &storage->drives[i];

		if (other == drive || !other->path || strcmp(other->path, drive->path) != 0)
			continue;
		if (!writes && (other->read_only || other->kind == STORE_DVD_DRIVE))
			continue;
		setting_put_refuse(
			context, "HostResource",
			"%s is attached to this virtual machine already, at controller %u location %u",
			drive->path, other->controller, other->lun);
		return false;
	}
	return true;
}

/* The image as a whole, once all its properties are in. The file may be another one by the time of a start,
 * which looks again. */
static bool check_image(struct cim_context *context, const struct store_storage *storage,
			const struct storage_item *item)
{
	const struct store_drive *drive = drive_of(storage, item);
	struct host_disk disk = {drive->path, drive->kind == STORE_DVD_DRIVE, drive->read_only};
	char reason[STORE_PATH_MAX + 256];
	int fd;

	if (!is_alone(context, storage, drive))
		return false;
	if (disk.is_dvd && image_format_of(disk.path) != IMAGE_RAW) {
		setting_put_refuse(context, "HostResource", "%s: a virtual hard disk is no DVD", disk.path);
		return false;
	}
	fd = host_file_open_disk(&context->model->config->disks, &disk, NULL, reason, sizeof(reason));
	if (fd < 0) {
		setting_put_refuse(context, "HostResource", "%s", reason);
		return false;
	}
	close(fd);
	return true;
}

bool storage_setting_check_image(struct cim_context *context, const struct cim_instance *setting)
{
	const struct cim_value *paths =
		storage_setting_class(setting->class) ? &setting->values[HOST_RESOURCE] : NULL;
	struct host_disk disk = {.read_only = true};

	if (!paths || !paths->is_set || paths->count != 1)
		return true;
	disk.path = paths->items[0].string;
	return image_format_of(disk.path) == IMAGE_RAW ||
	       !host_file_allowed(&context->model->config->disks, disk.path) ||
	       image_service_check(context, "HostResource", &disk);
}

bool storage_setting_modify(struct cim_context *context, const char *vm_id, struct store_storage *storage,
			    const struct storage_item *item, const struct cim_instance *changes)
{
	const struct setting_target target = {.class = changes->class, .storage = storage, .item = item};
	const struct cim_instance *current = storage_setting_instance(context, vm_id, storage, item);

	return setting_put_all(context, &target, current, changes, put_storage) &&
	       (item->kind != STORAGE_IMAGE || check_image(context, storage, item));
}

/* By ResourceSubType, or by ResourceType where that is enough; of images there are two, by what the drive
 * takes. */
static const struct storage_kind *wanted_kind(struct cim_context *context, const struct cim_instance *setting)
{
	const char *subtype = cim_get_string(setting, SUBTYPE);
	const struct storage_kind *found = NULL;
	uint64_t type = 0;
	bool typed = cim_get_uint(setting, TYPE, &type);

	for (size_t i = 0; i < STORAGE_KIND_COUNT && !found; i++)
		if (subtype ? strcasecmp(storage_kinds[i].subtype, subtype) == 0
			    : typed && storage_kinds[i].type == type)
			found = &storage_kinds[i];
	if (!found && (subtype || typed))
		cim_error_set(&context->error, context->arena, CIM_ERR_NOT_SUPPORTED,
			      subtype ? "ResourceSubType" : "ResourceType",
			      "%s cannot be added to a virtual machine",
			      subtype ? subtype
				      : arena_printf(context->arena, "ResourceType %u", (unsigned)type));
	else if (!found)
		setting_put_refuse(context, "ResourceSubType",
				   "ResourceSubType is required: a SCSI controller, a drive, or an image");
	else if (typed && found->type != type) {
		setting_put_refuse(context, "ResourceType", "ResourceType of a %s is %u", found->subtype,
				   found->type);
		return NULL;
	}
	return found;
}

static bool add_controller(struct cim_context *context, struct storage_adding *adding,
			   struct storage_item *added)
{
	struct store_storage *storage = adding->storage;

	if (storage->controller_count == STORE_CONTROLLERS_MAX) {
		setting_put_refuse(context, "ResourceSettings",
				   "ResourceSettings: a virtual machine has at most %d SCSI controllers",
				   STORE_CONTROLLERS_MAX);
		return false;
	}
	*added = (struct storage_item){STORAGE_CONTROLLER, storage->controller_count, 0};
	model_new_id(storage->controllers[storage->controller_count++]);
	return true;
}

static bool required_parent(struct cim_context *context, const struct storage_adding *adding,
			    const struct cim_instance *setting, const struct storage_kind *kind,
			    struct storage_item *parent)
{
	const char *text = cim_get_string(setting, PARENT),
		   *wanted = kind->item == STORAGE_DRIVE ? "a SCSI controller" : "a drive";

	if (!text) {
		setting_put_refuse(context, "Parent", "Parent is required: %s of this virtual machine",
				   wanted);
		return false;
	}
	if (!find_parent(context, adding, text, parent)) {
		setting_put_refuse(context, "Parent", "Parent names nothing in this virtual machine");
		return false;
	}
	if (parent->kind != (kind->item == STORAGE_DRIVE ? STORAGE_CONTROLLER : STORAGE_DRIVE)) {
		setting_put_refuse(context, "Parent", "Parent must be %s, and this is a %s", wanted,
				   kind_of(adding->storage, parent)->name);
		return false;
	}
	return true;
}

static bool choose_lun(struct cim_context *context, struct store_storage *storage, unsigned controller,
		       const char *address, unsigned *lun)
{
	const struct store_drive *there;
	char *end;
	unsigned long number;
	int first_free = storage_free_lun(storage, controller);

	if (!address) {
		if (first_free < 0)
			setting_put_refuse(context, "Parent",
					   "Parent: all %d locations of this controller are taken",
					   STORE_LUNS_MAX);
		*lun = (unsigned)first_free;
		return first_free >= 0;
	}
	number = strtoul(address, &end, 10);
	if (!isdigit((unsigned char)address[0]) || *end || number >= STORE_LUNS_MAX) {
		setting_put_refuse(context, "AddressOnParent",
				   "AddressOnParent must be a location from 0 to %d", STORE_LUNS_MAX - 1);
		return false;
	}
	*lun = (unsigned)number;
	there = storage_drive_at(storage, controller, *lun);
	if (there)
		setting_put_refuse(context, "AddressOnParent",
				   "AddressOnParent: location %u is taken by a %s", *lun,
				   there->kind == STORE_DVD_DRIVE ? "DVD drive" : "hard drive");
	return !there;
}

static bool add_drive(struct cim_context *context, struct storage_adding *adding,
		      const struct cim_instance *setting, const struct storage_kind *kind,
		      struct storage_item *added)
{
	struct storage_item parent;
	struct store_drive *drive;
	unsigned lun;

	if (!required_parent(context, adding, setting, kind, &parent) ||
	    !choose_lun(context, adding->storage, parent.controller, cim_get_string(setting, ADDRESS), &lun))
		return false;
	drive = storage_insert_drive(adding->storage, parent.controller, lun);
	drive->kind = kind->drive;
	model_new_id(drive->disk_id);
	*added = (struct storage_item){STORAGE_DRIVE, parent.controller, lun};
	return true;
}

static bool add_image(struct cim_context *context, struct storage_adding *adding,
		      const struct cim_instance *setting, const struct storage_kind *kind,
		      struct storage_item *added)
{
	struct storage_item parent;
	struct store_drive *drive;
	const char *path;

	if (!required_parent(context, adding, setting, kind, &parent))
		return false;
	drive = storage_drive_at(adding->storage, parent.controller, parent.lun);
	if (cim_get_string(setting, SUBTYPE) && drive->kind != kind->drive) {
		setting_put_refuse(context, "Parent", "Parent: a %s does not go into a %s", kind->name,
				   kind_of(adding->storage, &parent)->name);
		return false;
	}
	if (drive->path) {
		setting_put_refuse(context, "Parent", "Parent: this drive has an image already, %s",
				   drive->path);
		return false;
	}
	if (!setting->values[HOST_RESOURCE].is_set) {
		setting_put_refuse(context, "HostResource",
				   "HostResource is required: the path of the image");
		return false;
	}
	path = one_path(context, &setting->values[HOST_RESOURCE]);
	if (!path)
		return false;
	drive->path = arena_strdup(context->arena, path);
	*added = (struct storage_item){STORAGE_IMAGE, parent.controller, parent.lun};
	return true;
}

/* Clients may send an image as the other class, which knows the base class's properties. */
static const struct cim_instance *as_class(struct cim_context *context, const struct cim_instance *setting,
					   const struct cim_class *class)
{
	struct cim_instance *other = cim_instance_blank(context->arena, class);
	size_t shared = cim_class_CIM_ResourceAllocationSettingData.property_count;

	for (size_t i = shared; i < setting->class->property_count; i++)
		if (setting->values[i].is_set) {
			setting_put_refuse(context, setting->class->properties[i].name,
					   "%s is no property of an instance of %s",
					   setting->class->properties[i].name, class->name);
			return NULL;
		}
	memcpy(other->values, setting->values, shared * sizeof(*other->values));
	return other;
}

bool storage_setting_add(struct cim_context *context, struct storage_adding *adding,
			 const struct cim_instance *setting)
{
	const struct storage_kind *kind = wanted_kind(context, setting);
	const struct cim_class *class;
	struct cim_instance *rest;
	struct storage_item added;

	if (!kind)
		return false;
	if (!(kind->item == STORAGE_CONTROLLER ? add_controller(context, adding, &added)
	      : kind->item == STORAGE_DRIVE    ? add_drive(context, adding, setting, kind, &added)
					       : add_image(context, adding, setting, kind, &added)))
		return false;
	adding->labels[adding->count].instance_id = cim_get_string(setting, CIM_SettingData_InstanceID);
	adding->labels[adding->count++].item = added;
	class = storage_setting_reference(context->arena, adding->vm_id, adding->storage, &added)->class;
	if (setting->class != class)
		setting = as_class(context, setting, class);
	if (!setting)
		return false;
	/* What said where and what it is has been understood, in whatever form; the rest is put as a change
	 * is. */
	rest = cim_instance_blank(context->arena, class);
	memcpy(rest->values, setting->values, class->property_count * sizeof(*rest->values));
	rest->values[PARENT].is_set = rest->values[TYPE].is_set = rest->values[SUBTYPE].is_set = false;
	if (added.kind == STORAGE_DRIVE)
		rest->values[ADDRESS].is_set = false;
	return storage_setting_modify(context, adding->vm_id, adding->storage, &added, rest);
}

/* ---- instances ---- */

static void enumerate(struct cim_context *context, const struct cim_class *class, struct cim_list *out)
{
	struct storage_item items[STORAGE_ITEMS_MAX];

	for (const struct vm *vm = context->model->vms; vm; vm = vm->next) {
		size_t count = storage_items(&vm->storage, items);

		for (size_t i = 0; i < count; i++)
			if ((items[i].kind == STORAGE_IMAGE) ==
			    (class == &cim_class_Msvm_StorageAllocationSettingData))
				cim_list_add(out, storage_setting_instance(context, vm->record.id,
									   &vm->storage, &items[i]));
	}
}

static void enumerate_resources(struct cim_context *context, struct cim_list *out)
{
	enumerate(context, &cim_class_Msvm_ResourceAllocationSettingData, out);
}

static void enumerate_images(struct cim_context *context, struct cim_list *out)
{
	enumerate(context, &cim_class_Msvm_StorageAllocationSettingData, out);
}

CIM_PROVIDER(Msvm_ResourceAllocationSettingData) = {.enumerate = enumerate_resources};
CIM_PROVIDER(Msvm_StorageAllocationSettingData) = {.enumerate = enumerate_images};
