/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about virtual hard disk files. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/objects.h"

#define SERVICE OBJECT_CLASSES "Msvm_ImageManagementService/instances/vhdsvc"
#define DATA    "Msvm_VirtualHardDiskSettingData"

static const char *const types[] = {NULL, NULL, "Fixed", "Dynamic", "Differencing"};
static const char *const formats[] = {"Raw", NULL, "VHD", "VHDX", "VHDSet"};

#define TYPE_DYNAMIC      3
#define TYPE_DIFFERENCING 4
#define COUNT(array)      (sizeof(array) / sizeof((array)[0]))

static const char *name_in(const char *const *names, size_t count, int64_t number)
{
	return number >= 0 && (size_t)number < count && names[number] ? names[number] : "Unknown";
}

/* The embedded properties that a method with a path answers; NULL with the error counted. To be put. */
static json *ask(struct stage *stage, const char *method, const char *path, const char *answer_name)
{
	json *body = json_object_new_object(), *answer, *properties;

	object_put_text(body, "Path", path);
	answer = object_invoke(stage, SERVICE, method, body);
	properties = json_object_get(object_member(object_member(answer, answer_name), "properties"));
	json_object_put(answer);
	return properties;
}

static void put_bytes(json *o, const char *name, json *properties, const char *property)
{
	object_put(o, name, json_object_new_int64(object_number(properties, property)));
}

/* NULL with the error counted. */
static json *vhd_object(struct stage *stage, const char *path)
{
	json *data = ask(stage, "GetVirtualHardDiskSettingData", path, "SettingData"),
	     *state = data ? ask(stage, "GetVirtualHardDiskState", path, "State") : NULL, *o = NULL;

	if (state) {
		o = json_object_new_object();
		object_put_text(o, "Path", object_text(data, "Path"));
		object_put_text(o, "VhdFormat",
				name_in(formats, COUNT(formats), object_number(data, "Format")));
		object_put_text(o, "VhdType", name_in(types, COUNT(types), object_number(data, "Type")));
		put_bytes(o, "FileSize", state, "FileSize");
		put_bytes(o, "Size", data, "MaxInternalSize");
		put_bytes(o, "LogicalSectorSize", data, "LogicalSectorSize");
		put_bytes(o, "PhysicalSectorSize", data, "PhysicalSectorSize");
		put_bytes(o, "BlockSize", data, "BlockSize");
		object_put_text(o, "ParentPath", object_text(data, "ParentPath"));
		object_put_text(o, "DiskIdentifier", object_text(data, "VirtualDiskId"));
		object_put(o, "Attached", json_object_get(object_member(state, "InUse")));
	}
	json_object_put(state);
	json_object_put(data);
	return o;
}

static void add_vhd(struct stage *stage, const char *path)
{
	json *o = vhd_object(stage, path);

	if (o)
		json_object_array_add(stage->output, o);
}

/* For each path that is named, or else of the objects that come through the pipeline. */
static void each_path(struct stage *stage, void (*visit)(struct stage *stage, const char *path))
{
	const struct parameter_value *paths = parameters_get(&stage->parameters, "Path");

	if (!paths->given && !stage->input)
		stage_error(stage, "%s: -Path is missing.", stage->verb->name);
	for (size_t i = 0; i < paths->count; i++)
		visit(stage, paths->items[i]);
	for (size_t i = 0; !paths->given && stage->input && i < json_object_array_length(stage->input); i++) {
		const char *path = object_text(json_object_array_get_idx(stage->input, i), "Path");

		if (*path)
			visit(stage, path);
		else
			stage_error(stage, "An object of the pipeline has no path of a virtual hard disk.");
	}
}

void verb_get_vhd(struct stage *stage)
{
	each_path(stage, add_vhd);
}

static void put_number(json *properties, const char *name, uint64_t number)
{
	char *text = object_format("%llu", (unsigned long long)number);

	object_put_text(properties, name, text);
	free(text);
}

static void put_parameter(struct stage *stage, json *properties, const char *parameter, const char *name)
{
	const struct parameter_value *value = parameters_get(&stage->parameters, parameter);

	/* 32-bit integers are numbers; what does not fit is refused by the service. */
	if (value->given)
		object_put(properties, name, json_object_new_int64((int64_t)value->number));
}

/* Embedded, with the properties in *properties. */
static json *describe(const char *path, int64_t type, json **properties)
{
	json *o = object_setting(DATA, "", NULL);

	*properties = object_member(o, "properties");
	object_put_text(*properties, "Path", path);
	object_put(*properties, "Type", json_object_new_int64(type));
	return o;
}

static bool create(struct stage *stage, json *data)
{
	json *body = json_object_new_object();

	object_put(body, "VirtualDiskSettingData", data);
	return object_call(stage, SERVICE, "CreateVirtualHardDisk", body);
}

bool vhd_create_dynamic(struct stage *stage, const char *path, uint64_t bytes)
{
	json *properties, *data = describe(path, TYPE_DYNAMIC, &properties);

	put_number(properties, "MaxInternalSize", bytes);
	return create(stage, data);
}

/* The type that the switches ask for; -1 after a message. */
static int64_t wanted_type(struct stage *stage)
{
	bool parent = parameters_string(&stage->parameters, "ParentPath") != NULL;
	int64_t type = parent ? TYPE_DIFFERENCING : TYPE_DYNAMIC;
	unsigned given = 0;

	for (size_t i = 0; i < COUNT(types); i++)
		if (types[i] && parameters_switch(&stage->parameters, types[i])) {
			type = (int64_t)i;
			given++;
		}
	if (given <= 1 && parent == (type == TYPE_DIFFERENCING))
		return type;
	stage_error(stage, given > 1 ? "-Fixed, -Dynamic and -Differencing exclude each other."
				     : "-Differencing and -ParentPath go together.");
	return -1;
}

static void new_vhd(struct stage *stage, const char *path)
{
	const struct parameter_value *size = parameters_get(&stage->parameters, "SizeBytes");
	const char *parent = parameters_string(&stage->parameters, "ParentPath");
	int64_t type = wanted_type(stage);
	json *properties, *data;

	if (type < 0)
		return;
	if (!size->given && !parent) {
		stage_error(stage, "-SizeBytes is missing.");
		return;
	}
	data = describe(path, type, &properties);
	if (size->given)
		put_number(properties, "MaxInternalSize", size->number);
	if (parent)
		object_put_text(properties, "ParentPath", parent);
	put_parameter(stage, properties, "BlockSizeBytes", "BlockSize");
	put_parameter(stage, properties, "LogicalSectorSizeBytes", "LogicalSectorSize");
	put_parameter(stage, properties, "PhysicalSectorSizeBytes", "PhysicalSectorSize");
	if (create(stage, data))
		add_vhd(stage, path);
}

void verb_new_vhd(struct stage *stage)
{
	each_path(stage, new_vhd);
}

static void resize(struct stage *stage, const char *path)
{
	json *body = json_object_new_object();

	object_put_text(body, "Path", path);
	put_number(body, "MaxInternalSize", parameters_get(&stage->parameters, "SizeBytes")->number);
	if (object_call(stage, SERVICE, "ResizeVirtualHardDisk", body) &&
	    parameters_switch(&stage->parameters, "Passthru"))
		add_vhd(stage, path);
}

void verb_resize_vhd(struct stage *stage)
{
	each_path(stage, resize);
}

/* By -VHDType, or as the source is; a differencing one becomes dynamic. -1 after a message. */
static int64_t converted_type(struct stage *stage, const char *source)
{
	const char *wanted = parameters_string(&stage->parameters, "VHDType");
	json *data;
	int64_t type;

	for (size_t i = 0; wanted && i < COUNT(types); i++)
		if (types[i] && strcasecmp(wanted, types[i]) == 0)
			return (int64_t)i;
	if (wanted) {
		stage_error(stage, "-VHDType: \"%s\" is none of Fixed, Dynamic, Differencing.", wanted);
		return -1;
	}
	data = ask(stage, "GetVirtualHardDiskSettingData", source, "SettingData");
	type = data ? object_number(data, "Type") : -1;
	json_object_put(data);
	return type == TYPE_DIFFERENCING ? TYPE_DYNAMIC : type;
}

static void convert(struct stage *stage, const char *path)
{
	const char *destination = parameters_string(&stage->parameters, "DestinationPath");
	int64_t type = converted_type(stage, path);
	json *body, *properties, *data;

	if (type < 0)
		return;
	data = describe(destination, type, &properties);
	put_parameter(stage, properties, "BlockSizeBytes", "BlockSize");
	body = json_object_new_object();
	object_put_text(body, "SourcePath", path);
	object_put(body, "VirtualDiskSettingData", data);
	if (object_call(stage, SERVICE, "ConvertVirtualHardDisk", body) &&
	    parameters_switch(&stage->parameters, "Passthru"))
		add_vhd(stage, destination);
}

void verb_convert_vhd(struct stage *stage)
{
	each_path(stage, convert);
}

static void merge(struct stage *stage, const char *path)
{
	const char *destination = parameters_string(&stage->parameters, "DestinationPath");
	json *body = json_object_new_object();

	object_put_text(body, "SourcePath", path);
	object_put_text(body, "DestinationPath", destination);
	if (object_call(stage, SERVICE, "MergeVirtualHardDisk", body) &&
	    parameters_switch(&stage->parameters, "Passthru"))
		add_vhd(stage, destination);
}

void verb_merge_vhd(struct stage *stage)
{
	each_path(stage, merge);
}

/* What is wrong with a file is an error; the object says it for scripts. */
static void test(struct stage *stage, const char *path)
{
	json *body = json_object_new_object(), *o = json_object_new_object();

	object_put_text(body, "Path", path);
	object_put_text(o, "Path", path);
	object_put(o, "Result",
		   json_object_new_boolean(object_call(stage, SERVICE, "ValidateVirtualHardDisk", body)));
	json_object_array_add(stage->output, o);
}

void verb_test_vhd(struct stage *stage)
{
	each_path(stage, test);
}
