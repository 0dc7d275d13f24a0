/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/device_wire.h"

#include <json-c/json.h>

struct json_object *device_wire_call(const char *instance, const char *call)
{
	struct json_object *params = json_object_new_object();

	device_wire_put_text(params, "instance", instance);
	device_wire_put_text(params, "call", call);
	return params;
}

void device_wire_put_text(struct json_object *params, const char *name, const char *text)
{
	json_object_object_add(params, name, json_object_new_string(text));
}

void device_wire_put_number(struct json_object *params, const char *name, uint64_t number)
{
	json_object_object_add(params, name, json_object_new_uint64(number));
}

void device_wire_put_flag(struct json_object *params, const char *name, bool flag)
{
	json_object_object_add(params, name, json_object_new_boolean(flag));
}

void device_wire_release(struct json_object *params)
{
	json_object_put(params);
}

struct json_object *device_wire_member(struct json_object *object, const char *name)
{
	struct json_object *member;

	return json_object_is_type(object, json_type_object) &&
			       json_object_object_get_ex(object, name, &member)
		       ? member
		       : NULL;
}

static const char *text_of(struct json_object *o)
{
	return json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;
}

const char *device_wire_text(struct json_object *object, const char *name)
{
	return text_of(device_wire_member(object, name));
}

uint64_t device_wire_number(struct json_object *object, const char *name)
{
	struct json_object *member = device_wire_member(object, name);
	int64_t value = json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : 0;

	return value < 0 ? 0 : (uint64_t)value;
}

bool device_wire_flag(struct json_object *object, const char *name)
{
	struct json_object *member = device_wire_member(object, name);

	return json_object_is_type(member, json_type_boolean) && json_object_get_boolean(member);
}

size_t device_wire_item_count(struct json_object *event)
{
	struct json_object *items = device_wire_member(event, "items");

	return json_object_is_type(items, json_type_array) ? json_object_array_length(items) : 0;
}

bool device_wire_item(struct json_object *event, size_t index, const char **name, const char **value)
{
	struct json_object *pair = json_object_array_get_idx(device_wire_member(event, "items"), index);

	if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2)
		return false;
	*name = text_of(json_object_array_get_idx(pair, 0));
	*value = text_of(json_object_array_get_idx(pair, 1));
	return *name && *value;
}
