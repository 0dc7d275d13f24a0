/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/image_wire.h"

#include <json-c/json.h>
#include <string.h>

#define JSON_DEPTH_MAX 8

static const char *const format_names[] = {[IMAGE_RAW] = "raw", [IMAGE_VHD] = "vhd", [IMAGE_VHDX] = "vhdx"};
static const char *const type_names[] = {
	[IMAGE_FIXED] = "fixed", [IMAGE_DYNAMIC] = "dynamic", [IMAGE_DIFFERENCING] = "differencing"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *image_format_name(enum image_format format)
{
	return format_names[format];
}

const char *image_type_name(enum image_type type)
{
	return type_names[type];
}

static struct json_object *member(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *found;

	return json_object_object_get_ex(o, key, &found) && json_object_is_type(found, type) ? found : NULL;
}

/* The index of the member's text among the names, or -1. */
static int one_of(struct json_object *o, const char *key, const char *const *names, size_t count)
{
	struct json_object *found = member(o, key, json_type_string);

	for (size_t i = 0; found && i < count; i++)
		if (names[i] && strcmp(json_object_get_string(found), names[i]) == 0)
			return (int)i;
	return -1;
}

static bool number(struct json_object *o, const char *key, uint64_t maximum, uint64_t *out)
{
	struct json_object *found = member(o, key, json_type_int);
	int64_t value = found ? json_object_get_int64(found) : -1;

	*out = (uint64_t)value;
	return value >= 0 && *out <= maximum;
}

/* Printable text that fits, without zeroes in it. */
static bool copy_text(struct json_object *o, char *out, size_t size)
{
	size_t length =
		json_object_is_type(o, json_type_string) ? (size_t)json_object_get_string_len(o) : size;
	const char *text = length < size ? json_object_get_string(o) : NULL;

	if (!text || strlen(text) != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	memcpy(out, text, length + 1);
	return true;
}

/* Absent or null is no identifier. */
static bool identifier(struct json_object *o, const char *key, char out[IMAGE_ID_SIZE])
{
	struct json_object *found;

	out[0] = 0;
	return !json_object_object_get_ex(o, key, &found) || !found || copy_text(found, out, IMAGE_ID_SIZE);
}

static bool read_parent(struct json_object *o, struct image_info *info)
{
	struct json_object *parent = member(o, "parent", json_type_object),
			   *paths = parent ? member(parent, "paths", json_type_array) : NULL;

	if (info->type != IMAGE_DIFFERENCING)
		return true;
	if (!paths || !identifier(parent, "id", info->parent_id))
		return false;
	/* More of them, or such as no path can be, are passed over: one good path is enough. */
	for (size_t i = 0;
	     i < json_object_array_length(paths) && info->parent_path_count < IMAGE_PARENT_PATHS_MAX; i++)
		if (copy_text(json_object_array_get_idx(paths, i),
			      info->parent_paths[info->parent_path_count], STORE_PATH_MAX + 1))
			info->parent_path_count++;
	return true;
}

static bool read_object(struct json_object *o, struct image_info *info)
{
	int format = one_of(o, "format", format_names, COUNT(format_names)),
	    type = one_of(o, "type", type_names, COUNT(type_names));
	uint64_t block, logical, physical;

	if (format < 0 || type < 0 || !number(o, "virtual_bytes", INT64_MAX, &info->virtual_bytes) ||
	    !number(o, "file_bytes", INT64_MAX, &info->file_bytes) ||
	    !number(o, "block_bytes", UINT32_MAX, &block) ||
	    !number(o, "logical_bytes", UINT32_MAX, &logical) ||
	    !number(o, "physical_bytes", UINT32_MAX, &physical) || !identifier(o, "id", info->id) ||
	    !identifier(o, "disk_id", info->disk_id))
		return false;
	info->format = (enum image_format)format;
	info->type = (enum image_type)type;
	info->block_bytes = (uint32_t)block;
	info->logical_bytes = (uint32_t)logical;
	info->physical_bytes = (uint32_t)physical;
	return read_parent(o, info);
}

int image_wire_read(const char *text, size_t size, struct image_info *info)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	struct json_object *o;
	bool good;

	memset(info, 0, sizeof(*info));
	if (!tokener)
		return -1;
	json_tokener_set_flags(tokener, JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, text, (int)size);
	good = json_object_is_type(o, json_type_object) && read_object(o, info);
	json_object_put(o);
	json_tokener_free(tokener);
	return good ? 0 : -1;
}
