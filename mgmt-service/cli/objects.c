/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json *object_member(json *o, const char *name)
{
	json *value = NULL;

	if (json_object_is_type(o, json_type_object))
		json_object_object_get_ex(o, name, &value);
	return value;
}

const char *object_text(json *o, const char *name)
{
	json *value = object_member(o, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t object_number(json *o, const char *name)
{
	json *value = object_member(o, name);

	return value ? json_object_get_int64(value) : 0;
}

void object_put(json *o, const char *name, json *value)
{
	json_object_object_add(o, name, value);
}

void object_put_text(json *o, const char *name, const char *text)
{
	object_put(o, name, json_object_new_string(text));
}

char *object_format(const char *form, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, form);
	if (vasprintf(&text, form, arguments) < 0)
		abort();
	va_end(arguments);
	return text;
}

/* Follows "next". */
json *object_list(struct stage *stage, const char *path)
{
	json *all = json_object_new_array();
	char *next = strdup(path);

	while (next) {
		json *page = client_get(&stage->shell->client, next),
		     *instances = object_member(page, "instances");

		free(next);
		next = NULL;
		if (!page) {
			stage->shell->errors++;
			json_object_put(all);
			return NULL;
		}
		for (size_t i = 0; instances && i < json_object_array_length(instances); i++) {
			json *instance = json_object_array_get_idx(instances, i),
			     *properties = object_member(instance, "properties");

			object_put_text(properties, "self", object_text(instance, "self"));
			json_object_array_add(all, json_object_get(properties));
		}
		if (*object_text(page, "next"))
			next = strdup(object_text(page, "next"));
		json_object_put(page);
	}
	return all;
}

/* A literal of the service's filter language. */
static char *quote(const char *text)
{
	char *out = malloc(strlen(text) * 2 + 3), *at = out;

	if (!out)
		abort();
	*at++ = '\'';
	for (; *text; text++) {
		if (*text == '\'')
			*at++ = '\'';
		*at++ = *text;
	}
	*at++ = '\'';
	*at = 0;
	return out;
}

json *object_list_where(struct stage *stage, const char *class, const char *property, const char *value)
{
	char *quoted = quote(value), *filter = object_format("%s eq %s", property, quoted),
	     *encoded = client_encode(filter),
	     *path = object_format(OBJECT_CLASSES "%s/instances?$filter=%s", class, encoded);
	json *found = object_list(stage, path);

	free(path);
	free(encoded);
	free(filter);
	free(quoted);
	return found;
}

char *object_setting_path(const char *class, const char *id, const char *suffix)
{
	return object_format(OBJECT_CLASSES "%s/instances/Microsoft:%s%s%s", class, id, suffix ? "%5C" : "",
			     suffix ? suffix : "");
}

json *object_setting(const char *class, const char *id, const char *suffix)
{
	json *o = json_object_new_object(), *properties = json_object_new_object();
	char *instance = object_format("Microsoft:%s%s%s", id, suffix ? "\\" : "", suffix ? suffix : "");

	object_put_text(o, "class", class);
	if (*id)
		object_put_text(properties, "InstanceID", instance);
	object_put(o, "properties", properties);
	free(instance);
	return o;
}

json *object_invoke(struct stage *stage, const char *instance, const char *method, json *body)
{
	json *answer = client_invoke(&stage->shell->client, instance, method, body);

	if (!answer)
		stage->shell->errors++;
	return answer;
}

bool object_call(struct stage *stage, const char *instance, const char *method, json *body)
{
	json *answer = object_invoke(stage, instance, method, body);

	json_object_put(answer);
	return answer != NULL;
}

json *object_add_settings(struct stage *stage, const char *vm_id, json *settings)
{
	json *body = json_object_new_object();
	char *path = object_setting_path("Msvm_VirtualSystemSettingData", vm_id, NULL);

	object_put_text(body, "AffectedConfiguration", path);
	object_put(body, "ResourceSettings", settings);
	free(path);
	return object_invoke(stage, OBJECT_SERVICE, "AddResourceSettings", body);
}

static bool call_with_settings(struct stage *stage, const char *method, json *settings)
{
	json *body = json_object_new_object();

	object_put(body, "ResourceSettings", settings);
	return object_call(stage, OBJECT_SERVICE, method, body);
}

bool object_modify_setting(struct stage *stage, json *setting)
{
	json *settings = json_object_new_array();

	json_object_array_add(settings, setting);
	return call_with_settings(stage, "ModifyResourceSettings", settings);
}

bool object_remove_settings(struct stage *stage, json *paths)
{
	return call_with_settings(stage, "RemoveResourceSettings", paths);
}
