// SPDX-License-Identifier: Apache-2.0
#include "worker/json_take.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PATH_BYTES 96

static const char *type_phrase(enum json_type type)
{
	switch (type) {
	case json_type_object:
		return "an object";
	case json_type_array:
		return "an array";
	case json_type_int:
		return "a whole number";
	case json_type_boolean:
		return "true or false";
	default:
		return "a text";
	}
}

int json_take(struct json_object *object, const char *prefix, const struct json_member *members, unsigned count, void *into,
	      struct failure *why)
{
	json_object_object_foreach(object, key, unused) {
		bool known = false;

		(void)unused;
		for (unsigned i = 0; i < count; i++)
			known |= strcmp(key, members[i].name) == 0;
		if (!known)
			return failure_set(why, -EINVAL, "%s%.100s: unknown member", prefix, key);
	}
	for (unsigned i = 0; i < count; i++) {
		struct json_object *value;
		char path[PATH_BYTES];
		int r;

		(void)snprintf(path, sizeof path, "%s%s", prefix, members[i].name);
		if (!json_object_object_get_ex(object, members[i].name, &value)) {
			if (members[i].optional)
				continue;
			return failure_set(why, -EINVAL, "%s: missing", path);
		}
		if (json_object_get_type(value) != members[i].type)
			return failure_set(why, -EINVAL, "%s: must be %s", path, type_phrase(members[i].type));
		r = members[i].take ? members[i].take(value, path, into, why) : 0;
		if (r)
			return r;
	}
	return 0;
}

int json_take_number(struct json_object *value, const char *path, int64_t min, int64_t max, int64_t *out,
		     struct failure *why)
{
	int64_t number = json_object_get_int64(value);

	if (number < min || number > max)
		return failure_set(why, -EINVAL, "%s: %lld is not in %lld..%lld", path, (long long)number, (long long)min,
				   (long long)max);
	*out = number;
	return 0;
}

int json_check_text(struct json_object *value, const char *path, size_t min, size_t max, struct failure *why)
{
	size_t bytes = (size_t)json_object_get_string_len(value);

	if (bytes != strlen(json_object_get_string(value)))
		return failure_set(why, -EINVAL, "%s: contains a zero character", path);
	if (bytes < min || bytes > max)
		return failure_set(why, -EINVAL, "%s: %zu bytes, %zu..%zu are possible", path, bytes, min, max);
	return 0;
}

int json_take_guid(struct json_object *value, const char *path, char out[JSON_GUID_BYTES], struct failure *why)
{
	const char *text = json_object_get_string(value);

	if (!json_is_guid(text))
		return failure_set(why, -EINVAL, "%s: \"%.40s\" is no GUID", path, text);
	memcpy(out, text, JSON_GUID_BYTES);
	return 0;
}

int json_take_name(struct json_object *value, const char *path, const char *const *names, unsigned count, unsigned *out,
		   struct failure *why)
{
	const char *text = json_object_get_string(value);
	char possible[128] = "";

	for (unsigned i = 0; i < count; i++) {
		size_t used = strlen(possible);

		if (strcmp(text, names[i]) == 0) {
			*out = i;
			return 0;
		}
		(void)snprintf(possible + used, sizeof possible - used, "%s\"%s\"", i ? ", " : "", names[i]);
	}
	return failure_set(why, -EINVAL, "%s: \"%.40s\" is unknown, possible: %s", path, text, possible);
}

bool json_is_guid(const char *text)
{
	struct vmbus_guid guid;

	return vmbus_guid_parse(text, strlen(text), &guid);
}
