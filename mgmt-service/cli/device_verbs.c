/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about SCSI controllers and drives. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/objects.h"

#define RESOURCE  "Msvm_ResourceAllocationSettingData"
#define IMAGE     "Msvm_StorageAllocationSettingData"
#define COMPONENT "Msvm_VirtualSystemSettingDataComponent"

#define TYPE_CONTROLLER 6
#define TYPE_DISK_DRIVE 17
#define TYPE_DVD_DRIVE  16
#define TYPE_IMAGE      31

#define LOCATIONS       64
#define ACCESS_READABLE 1

/* What a machine has for storage: arrays of properties, each with its path. */
struct storage {
	json *resources; /* controllers and drives */
	json *images;
};

json *object_components(struct stage *stage, json *vm, const char *class)
{
	char *system = object_setting_path("Msvm_VirtualSystemSettingData", object_text(vm, "Id"), NULL),
	     *path = object_format("%s/associators?AssocClass=" COMPONENT "&ResultClass=%s", system, class);
	json *found = object_list(stage, path);

	free(path);
	free(system);
	return found;
}

static void storage_close(struct storage *storage)
{
	json_object_put(storage->resources);
	json_object_put(storage->images);
}

static bool storage_read(struct stage *stage, json *vm, struct storage *storage)
{
	storage->images = NULL;
	storage->resources = object_components(stage, vm, RESOURCE);
	if (storage->resources)
		storage->images = object_components(stage, vm, IMAGE);
	if (storage->images)
		return true;
	storage_close(storage);
	return false;
}

/* The next of an array whose member is this text, from *at on. */
static json *next_with(json *array, const char *name, const char *text, size_t *at)
{
	while (array && *at < json_object_array_length(array)) {
		json *o = json_object_array_get_idx(array, (*at)++);

		if (strcasecmp(object_text(o, name), text) == 0)
			return o;
	}
	return NULL;
}

static json *first_with(json *array, const char *name, const char *text)
{
	size_t at = 0;

	return next_with(array, name, text, &at);
}

static bool is_type(json *resource, int type)
{
	return object_number(resource, "ResourceType") == type;
}

/* ---- objects ---- */

static const char *drive_noun(json *resource)
{
	return is_type(resource, TYPE_DVD_DRIVE) ? "DVD Drive" : "Hard Drive";
}

static json *drive_object(const struct storage *storage, json *vm, json *drive)
{
	json *o = json_object_new_object(),
	     *controller = first_with(storage->resources, "self", object_text(drive, "Parent")),
	     *image = first_with(storage->images, "Parent", object_text(drive, "self")),
	     *paths = object_member(image, "HostResource");
	int64_t number = object_number(controller, "Address"),
		location = object_number(drive, "AddressOnParent");
	char *name = object_format("%s on SCSI controller number %lld at location %lld", drive_noun(drive),
				   (long long)number, (long long)location);

	object_put_text(o, "VMName", object_text(vm, "Name"));
	object_put_text(o, "ControllerType", "SCSI");
	object_put(o, "ControllerNumber", json_object_new_int64(number));
	object_put(o, "ControllerLocation", json_object_new_int64(location));
	if (is_type(drive, TYPE_DVD_DRIVE))
		object_put_text(o, "DvdMediaType", image ? "ISO" : "None");
	else
		object_put(o, "DiskNumber", NULL);
	object_put(o, "Path",
		   json_object_is_type(paths, json_type_array)
			   ? json_object_get(json_object_array_get_idx(paths, 0))
			   : NULL);
	if (is_type(drive, TYPE_DISK_DRIVE))
		object_put(o, "ReadOnly",
			   json_object_new_boolean(object_number(image, "Access") == ACCESS_READABLE));
	object_put_text(o, "Name", name);
	object_put_text(o, "Id", object_text(drive, "InstanceID"));
	object_put_text(o, "VMId", object_text(vm, "Id"));
	free(name);
	return o;
}

static int by_place(const void *a, const void *b)
{
	json *left = *(json *const *)a, *right = *(json *const *)b;
	int64_t order = object_number(left, "ControllerNumber") - object_number(right, "ControllerNumber");

	if (!order)
		order = object_number(left, "ControllerLocation") -
			object_number(right, "ControllerLocation");
	return order < 0 ? -1 : order > 0;
}

/* All drives of a type, in the order of their places. */
static json *drive_objects(const struct storage *storage, json *vm, int type)
{
	json *out = json_object_new_array();

	for (size_t i = 0; i < json_object_array_length(storage->resources); i++) {
		json *resource = json_object_array_get_idx(storage->resources, i);

		if (is_type(resource, type))
			json_object_array_add(out, drive_object(storage, vm, resource));
	}
	json_object_array_sort(out, by_place);
	return out;
}

static json *controller_object(const struct storage *storage, json *vm, json *controller)
{
	json *o = json_object_new_object(), *drives = json_object_new_array(),
	     *names = json_object_new_array();
	size_t at = 0;

	for (;;) {
		json *drive = next_with(storage->resources, "Parent", object_text(controller, "self"), &at);

		if (!drive)
			break;
		json_object_array_add(drives, drive_object(storage, vm, drive));
	}
	json_object_array_sort(drives, by_place);
	for (size_t i = 0; i < json_object_array_length(drives); i++)
		json_object_array_add(
			names, json_object_get(object_member(json_object_array_get_idx(drives, i), "Name")));
	json_object_put(drives);
	object_put_text(o, "VMName", object_text(vm, "Name"));
	object_put(o, "ControllerNumber", json_object_new_int64(object_number(controller, "Address")));
	object_put(o, "Drives", names);
	object_put_text(o, "Name", "SCSI Controller");
	object_put_text(o, "Id", object_text(controller, "InstanceID"));
	object_put_text(o, "VMId", object_text(vm, "Id"));
	return o;
}

/* NULL: there is none of this number. */
static json *controller_numbered(const struct storage *storage, uint64_t number)
{
	for (size_t i = 0; i < json_object_array_length(storage->resources); i++) {
		json *resource = json_object_array_get_idx(storage->resources, i);

		if (is_type(resource, TYPE_CONTROLLER) &&
		    (uint64_t)object_number(resource, "Address") == number)
			return resource;
	}
	return NULL;
}

static size_t drives_on(const struct storage *storage, json *controller)
{
	size_t count = 0, at = 0;

	while (next_with(storage->resources, "Parent", object_text(controller, "self"), &at))
		count++;
	return count;
}

/* ---- places, as parameters name them ---- */

static bool number_matches(struct stage *stage, const char *name, json *object)
{
	const struct parameter_value *value = parameters_get(&stage->parameters, name);

	return !value->given || (uint64_t)object_number(object, name) == value->number;
}

static bool place_matches(struct stage *stage, json *object)
{
	return number_matches(stage, "ControllerNumber", object) &&
	       number_matches(stage, "ControllerLocation", object);
}

/* There is one type; scripts name it all the same. */
static bool controller_type_is_known(struct stage *stage)
{
	const char *type = parameters_string(&stage->parameters, "ControllerType");

	if (!type || strcasecmp(type, "SCSI") == 0)
		return true;
	stage_error(stage, "-ControllerType: \"%s\" is not supported, SCSI is.", type);
	return false;
}

/* The controller that is named, or the first with room. NULL after a message. */
static json *controller_for_drive(struct stage *stage, const struct storage *storage, json *vm)
{
	const struct parameter_value *number = parameters_get(&stage->parameters, "ControllerNumber");
	json *controller;

	if (number->given) {
		controller = controller_numbered(storage, number->number);
		if (!controller)
			stage_error(stage, "\"%s\" has no SCSI controller number %llu.",
				    object_text(vm, "Name"), (unsigned long long)number->number);
		return controller;
	}
	if (!controller_numbered(storage, 0)) {
		stage_error(stage, "\"%s\" has no SCSI controller; Add-VMScsiController adds one.",
			    object_text(vm, "Name"));
		return NULL;
	}
	for (uint64_t i = 0; (controller = controller_numbered(storage, i)); i++)
		if (drives_on(storage, controller) < LOCATIONS)
			return controller;
	stage_error(stage, "All locations of the SCSI controllers of \"%s\" are taken.",
		    object_text(vm, "Name"));
	return NULL;
}

/* ---- settings, as the service takes them ---- */

static json *describe(json *settings, const char *class, int type, const char *subtype, const char *label,
		      const char *parent)
{
	json *setting = object_setting(class, "", NULL), *properties = object_member(setting, "properties");
	char *full = object_format("Microsoft:Hyper-V:%s", subtype);

	object_put(properties, "ResourceType", json_object_new_int(type));
	object_put_text(properties, "ResourceSubType", full);
	if (label)
		object_put_text(properties, "InstanceID", label);
	if (parent)
		object_put_text(properties, "Parent", parent);
	json_object_array_add(settings, setting);
	free(full);
	return properties;
}

static json *describe_controller(json *settings, const char *label)
{
	return describe(settings, RESOURCE, TYPE_CONTROLLER, "Synthetic SCSI Controller", label, NULL);
}

static json *describe_drive(json *settings, int type, const char *label, const char *parent)
{
	return describe(settings, RESOURCE, type,
			type == TYPE_DVD_DRIVE ? "Synthetic DVD Drive" : "Synthetic Disk Drive", label,
			parent);
}

static json *describe_image(json *settings, int drive_type, const char *parent, const char *path)
{
	json *properties =
		     describe(settings, IMAGE, TYPE_IMAGE,
			      drive_type == TYPE_DVD_DRIVE ? "Virtual CD/DVD Disk" : "Virtual Hard Disk",
			      NULL, parent),
	     *paths = json_object_new_array();

	json_object_array_add(paths, json_object_new_string(path));
	object_put(properties, "HostResource", paths);
	return properties;
}

void device_describe_disk(json *settings, const char *path)
{
	describe_controller(settings, "controller");
	if (!path)
		return;
	describe_drive(settings, TYPE_DISK_DRIVE, "drive", "controller");
	describe_image(settings, TYPE_DISK_DRIVE, "drive", path);
}

static void remove_setting(struct stage *stage, const char *path)
{
	json *paths = json_object_new_array();

	json_object_array_add(paths, json_object_new_string(path));
	object_remove_settings(stage, paths);
}

/* ---- controllers ---- */

static void get_controllers(struct stage *stage, json *vm)
{
	const struct parameter_value *wanted = parameters_get(&stage->parameters, "ControllerNumber");
	struct storage storage;
	json *controller;

	if (!storage_read(stage, vm, &storage))
		return;
	for (uint64_t i = 0; (controller = controller_numbered(&storage, i)); i++)
		if (!wanted->given || wanted->number == i)
			json_object_array_add(stage->output, controller_object(&storage, vm, controller));
	storage_close(&storage);
}

void verb_get_vm_scsi_controller(struct stage *stage)
{
	vm_each(stage, get_controllers);
}

/* With -Passthru, what the call made first: a controller or a drive. */
static void pass_new(struct stage *stage, json *vm, json *answer)
{
	json *made = object_member(answer, "ResultingResourceSettings"), *resource;
	struct storage storage;

	if (!json_object_is_type(made, json_type_array) || !json_object_array_length(made) ||
	    !parameters_switch(&stage->parameters, "Passthru") || !storage_read(stage, vm, &storage))
		return;
	resource = first_with(storage.resources, "self",
			      json_object_get_string(json_object_array_get_idx(made, 0)));
	if (resource)
		json_object_array_add(stage->output, is_type(resource, TYPE_CONTROLLER)
							     ? controller_object(&storage, vm, resource)
							     : drive_object(&storage, vm, resource));
	storage_close(&storage);
}

static void add_controller(struct stage *stage, json *vm)
{
	json *settings = json_object_new_array(), *answer;

	describe_controller(settings, NULL);
	answer = object_add_settings(stage, object_text(vm, "Id"), settings);
	pass_new(stage, vm, answer);
	json_object_put(answer);
}

void verb_add_vm_scsi_controller(struct stage *stage)
{
	vm_each(stage, add_controller);
}

bool object_is_piped(struct stage *stage)
{
	return stage->input && !parameters_get(&stage->parameters, "VMName")->given;
}

json *object_machine(json *object)
{
	json *vm = json_object_new_object();

	object_put_text(vm, "Name", object_text(object, "VMName"));
	object_put_text(vm, "Id", object_text(object, "VMId"));
	return vm;
}

static char *resource_path(const char *instance_id)
{
	char *encoded = client_encode(instance_id),
	     *path = object_format(OBJECT_CLASSES RESOURCE "/instances/%s", encoded);

	free(encoded);
	return path;
}

const char *object_piped_id(struct stage *stage, size_t index, const char *what)
{
	json *object = json_object_array_get_idx(stage->input, index);
	const char *id = object_text(object, "Id");

	if (strncmp(id, "Microsoft:", 10) == 0)
		return id;
	stage_error(stage, "An object of the pipeline is no %s.", what);
	return NULL;
}

static void remove_piped(struct stage *stage, const char *what)
{
	for (size_t i = 0; i < json_object_array_length(stage->input); i++) {
		const char *id = object_piped_id(stage, i, what);
		char *path = id ? resource_path(id) : NULL;

		if (path)
			remove_setting(stage, path);
		free(path);
	}
}

static void remove_controller(struct stage *stage, json *vm)
{
	uint64_t number = parameters_get(&stage->parameters, "ControllerNumber")->number;
	struct storage storage;
	json *controller;

	if (!storage_read(stage, vm, &storage))
		return;
	controller = controller_numbered(&storage, number);
	if (controller)
		remove_setting(stage, object_text(controller, "self"));
	else
		stage_error(stage, "\"%s\" has no SCSI controller number %llu.", object_text(vm, "Name"),
			    (unsigned long long)number);
	storage_close(&storage);
}

void verb_remove_vm_scsi_controller(struct stage *stage)
{
	if (object_is_piped(stage))
		remove_piped(stage, "SCSI controller");
	else
		vm_each(stage, remove_controller);
}

/* ---- drives ---- */

static void get_drives(struct stage *stage, json *vm, int type)
{
	struct storage storage;
	json *drives;

	if (!storage_read(stage, vm, &storage))
		return;
	drives = drive_objects(&storage, vm, type);
	for (size_t i = 0; i < json_object_array_length(drives); i++) {
		json *drive = json_object_array_get_idx(drives, i);

		if (place_matches(stage, drive))
			json_object_array_add(stage->output, json_object_get(drive));
	}
	json_object_put(drives);
	storage_close(&storage);
}

static void get_disks(struct stage *stage, json *vm)
{
	get_drives(stage, vm, TYPE_DISK_DRIVE);
}

static void get_dvds(struct stage *stage, json *vm)
{
	get_drives(stage, vm, TYPE_DVD_DRIVE);
}

void verb_get_vm_hard_disk_drive(struct stage *stage)
{
	if (controller_type_is_known(stage))
		vm_each(stage, get_disks);
}

void verb_get_vm_dvd_drive(struct stage *stage)
{
	vm_each(stage, get_dvds);
}

/* The drive's settings, and those of its image if there is a path. */
static json *new_drive(struct stage *stage, json *controller, int type)
{
	const struct parameter_value *location = parameters_get(&stage->parameters, "ControllerLocation");
	const char *path = parameters_string(&stage->parameters, "Path");
	json *settings = json_object_new_array(), *properties;

	/* New-VHD ... | Add-VMHardDiskDrive -VMName ... */
	if (!path && stage->input && parameters_get(&stage->parameters, "VMName")->given)
		path = object_text(json_object_array_get_idx(stage->input, 0), "Path");
	properties = describe_drive(settings, type, "drive", object_text(controller, "self"));
	if (location->given)
		object_put_text(properties, "AddressOnParent", location->items[0]);
	if (!path || !*path)
		return settings;
	properties = describe_image(settings, type, "drive", path);
	if (type == TYPE_DISK_DRIVE && parameters_switch(&stage->parameters, "ReadOnly"))
		object_put(properties, "Access", json_object_new_int(ACCESS_READABLE));
	return settings;
}

static void add_drive(struct stage *stage, json *vm, int type)
{
	struct storage storage;
	json *controller, *answer;

	if (!storage_read(stage, vm, &storage))
		return;
	controller = controller_for_drive(stage, &storage, vm);
	if (controller) {
		answer =
			object_add_settings(stage, object_text(vm, "Id"), new_drive(stage, controller, type));
		pass_new(stage, vm, answer);
		json_object_put(answer);
	}
	storage_close(&storage);
}

static void add_disk(struct stage *stage, json *vm)
{
	add_drive(stage, vm, TYPE_DISK_DRIVE);
}

static void add_dvd(struct stage *stage, json *vm)
{
	add_drive(stage, vm, TYPE_DVD_DRIVE);
}

void verb_add_vm_hard_disk_drive(struct stage *stage)
{
	if (controller_type_is_known(stage))
		vm_each(stage, add_disk);
}

void verb_add_vm_dvd_drive(struct stage *stage)
{
	vm_each(stage, add_dvd);
}

/* The drive that the parameters mean: the only one that fits them. Its object, or NULL after a message. */
static json *chosen_drive(struct stage *stage, const struct storage *storage, json *vm, int type)
{
	const char *noun = type == TYPE_DVD_DRIVE ? "DVD drive" : "hard drive";
	json *drives = drive_objects(storage, vm, type), *found = NULL;
	size_t count = 0;

	for (size_t i = 0; i < json_object_array_length(drives); i++) {
		json *drive = json_object_array_get_idx(drives, i);

		if (!place_matches(stage, drive))
			continue;
		if (!count++)
			found = json_object_get(drive);
	}
	json_object_put(drives);
	if (count == 1)
		return found;
	json_object_put(found);
	stage_error(
		stage,
		count ? "\"%s\" has several such %ss; -ControllerNumber and -ControllerLocation say which."
		      : "\"%s\" has no such %s.",
		object_text(vm, "Name"), noun);
	return NULL;
}

static void remove_drive(struct stage *stage, json *vm, int type)
{
	struct storage storage;
	json *drive;
	char *path;

	if (!storage_read(stage, vm, &storage))
		return;
	drive = chosen_drive(stage, &storage, vm, type);
	if (drive) {
		path = resource_path(object_text(drive, "Id"));
		remove_setting(stage, path);
		free(path);
	}
	json_object_put(drive);
	storage_close(&storage);
}

static void remove_disk(struct stage *stage, json *vm)
{
	remove_drive(stage, vm, TYPE_DISK_DRIVE);
}

static void remove_dvd(struct stage *stage, json *vm)
{
	remove_drive(stage, vm, TYPE_DVD_DRIVE);
}

void verb_remove_vm_hard_disk_drive(struct stage *stage)
{
	if (!controller_type_is_known(stage))
		return;
	if (object_is_piped(stage))
		remove_piped(stage, "hard drive");
	else
		vm_each(stage, remove_disk);
}

void verb_remove_vm_dvd_drive(struct stage *stage)
{
	if (object_is_piped(stage))
		remove_piped(stage, "DVD drive");
	else
		vm_each(stage, remove_dvd);
}

/* Another image, a first one, or, with an empty path, none. */
static void set_medium(struct stage *stage, const struct storage *storage, json *vm, const char *drive,
		       const char *path)
{
	json *image = first_with(storage->images, "Parent", drive), *settings, *setting;

	if (!*path) {
		if (image)
			remove_setting(stage, object_text(image, "self"));
		return;
	}
	settings = json_object_new_array();
	describe_image(settings, TYPE_DVD_DRIVE, image ? NULL : drive, path);
	if (!image) {
		json_object_put(object_add_settings(stage, object_text(vm, "Id"), settings));
		return;
	}
	setting = json_object_get(json_object_array_get_idx(settings, 0));
	object_put_text(object_member(setting, "properties"), "InstanceID", object_text(image, "InstanceID"));
	json_object_put(settings);
	object_modify_setting(stage, setting);
}

/* `id` NULL: by the parameters. */
static void set_dvd_of(struct stage *stage, json *vm, const char *id)
{
	const char *medium = parameters_string(&stage->parameters, "Path");
	int errors = stage->shell->errors;
	struct storage storage;
	json *chosen = NULL, *drive;

	if (!storage_read(stage, vm, &storage))
		return;
	if (!id) {
		chosen = chosen_drive(stage, &storage, vm, TYPE_DVD_DRIVE);
		id = object_text(chosen, "Id");
	}
	drive = first_with(storage.resources, "InstanceID", id);
	if (!drive && !chosen && *id)
		stage_error(stage, "The DVD drive is not there any more.");
	if (drive && medium)
		set_medium(stage, &storage, vm, object_text(drive, "self"), medium);
	storage_close(&storage);
	if (errors == stage->shell->errors && parameters_switch(&stage->parameters, "Passthru") &&
	    storage_read(stage, vm, &storage)) {
		drive = first_with(storage.resources, "InstanceID", id);
		if (drive)
			json_object_array_add(stage->output, drive_object(&storage, vm, drive));
		storage_close(&storage);
	}
	json_object_put(chosen);
}

static void set_dvd(struct stage *stage, json *vm)
{
	set_dvd_of(stage, vm, NULL);
}

void verb_set_vm_dvd_drive(struct stage *stage)
{
	for (size_t i = 0; object_is_piped(stage) && i < json_object_array_length(stage->input); i++) {
		const char *id = object_piped_id(stage, i, "DVD drive");
		json *vm = object_machine(json_object_array_get_idx(stage->input, i));

		if (id)
			set_dvd_of(stage, vm, id);
		json_object_put(vm);
	}
	if (!object_is_piped(stage))
		vm_each(stage, set_dvd);
}
