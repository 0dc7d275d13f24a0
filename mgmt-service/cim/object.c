/* SPDX-License-Identifier: Apache-2.0 */
#include "cim/object.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

const struct cim_class *cim_class_find(const char *name)
{
	size_t low = 0, high = cim_class_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcasecmp(name, cim_classes[middle]->name);

		if (order == 0)
			return cim_classes[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool cim_class_is_a(const struct cim_class *class, const struct cim_class *ancestor)
{
	for (; class; class = class->superclass)
		if (class == ancestor)
			return true;
	return false;
}

int cim_property_find(const struct cim_class *class, const char *name)
{
	for (size_t i = 0; i < class->property_count; i++)
		if (strcasecmp(class->properties[i].name, name) == 0)
			return (int)i;
	return -1;
}

int cim_method_find(const struct cim_class *class, const char *name)
{
	for (size_t i = 0; i < class->method_count; i++)
		if (strcasecmp(class->methods[i].name, name) == 0)
			return (int)i;
	return -1;
}

int cim_parameter_find(const struct cim_method *method, const char *name)
{
	for (size_t i = 0; i < method->parameter_count; i++)
		if (strcasecmp(method->parameters[i].name, name) == 0)
			return (int)i;
	return -1;
}

int cim_class_key(const struct cim_class *class, size_t n)
{
	return n < class->key_count ? class->keys[n] : -1;
}

bool cim_type_is_unsigned(enum cim_type type)
{
	return type >= CIM_TYPE_UINT8 && type <= CIM_TYPE_UINT64;
}

bool cim_type_is_signed(enum cim_type type)
{
	return type >= CIM_TYPE_SINT8 && type <= CIM_TYPE_SINT64;
}

uint64_t cim_type_maximum(enum cim_type type)
{
	switch (type) {
	case CIM_TYPE_UINT8:
		return UINT8_MAX;
	case CIM_TYPE_UINT16:
		return UINT16_MAX;
	case CIM_TYPE_UINT32:
		return UINT32_MAX;
	case CIM_TYPE_UINT64:
		return UINT64_MAX;
	case CIM_TYPE_SINT8:
		return INT8_MAX;
	case CIM_TYPE_SINT16:
		return INT16_MAX;
	case CIM_TYPE_SINT32:
		return INT32_MAX;
	case CIM_TYPE_SINT64:
		return INT64_MAX;
	default:
		return 0;
	}
}

int64_t cim_type_minimum(enum cim_type type)
{
	switch (type) {
	case CIM_TYPE_SINT8:
		return INT8_MIN;
	case CIM_TYPE_SINT16:
		return INT16_MIN;
	case CIM_TYPE_SINT32:
		return INT32_MIN;
	case CIM_TYPE_SINT64:
		return INT64_MIN;
	default:
		return 0;
	}
}

static void scalar_from_text(struct arena *arena, enum cim_type type, const char *text,
			     union cim_scalar *scalar)
{
	if (type == CIM_TYPE_BOOLEAN)
		scalar->boolean = strcmp(text, "true") == 0;
	else if (cim_type_is_unsigned(type))
		scalar->uint = strtoull(text, NULL, 10);
	else if (cim_type_is_signed(type))
		scalar->sint = strtoll(text, NULL, 10);
	else
		scalar->string = arena_strdup(arena, text);
}

static union cim_scalar *value_set(struct arena *arena, struct cim_value *value, size_t count)
{
	value->is_set = true;
	value->count = count;
	value->items = arena_alloc(arena, (count ? count : 1) * sizeof(*value->items));
	return value->items;
}

struct cim_instance *cim_instance_blank(struct arena *arena, const struct cim_class *class)
{
	struct cim_instance *instance = arena_alloc(arena, sizeof(*instance));

	instance->class = class;
	instance->arena = arena;
	instance->values = arena_alloc(arena, class->property_count * sizeof(*instance->values));
	return instance;
}

struct cim_instance *cim_instance_create(struct arena *arena, const struct cim_class *class)
{
	struct cim_instance *instance = cim_instance_blank(arena, class);

	for (size_t i = 0; i < class->property_count; i++) {
		const struct cim_property *p = &class->properties[i];
		union cim_scalar *items;

		if (!p->default_count)
			continue;
		items = value_set(arena, &instance->values[i], p->default_count);
		for (size_t n = 0; n < p->default_count; n++)
			scalar_from_text(arena, p->value.type, p->defaults[n], &items[n]);
	}
	return instance;
}

static struct cim_value *slot(struct cim_instance *instance, int property)
{
	if (property < 0 || (size_t)property >= instance->class->property_count)
		abort();
	return &instance->values[property];
}

void cim_set_string(struct cim_instance *instance, int property, const char *text)
{
	struct cim_value *value = slot(instance, property);

	if (text)
		value_set(instance->arena, value, 1)->string = arena_strdup(instance->arena, text);
	else
		value->is_set = false;
}

void cim_set_uint(struct cim_instance *instance, int property, uint64_t number)
{
	struct cim_value *value = slot(instance, property);

	if (!cim_type_is_unsigned(instance->class->properties[property].value.type))
		abort();
	value_set(instance->arena, value, 1)->uint = number;
}

void cim_set_boolean(struct cim_instance *instance, int property, bool flag)
{
	value_set(instance->arena, slot(instance, property), 1)->boolean = flag;
}

void cim_set_time(struct cim_instance *instance, int property, int64_t unix_ms)
{
	time_t seconds = (time_t)(unix_ms / 1000);
	struct tm tm;
	char text[64];

	if (unix_ms <= 0) {
		slot(instance, property)->is_set = false;
		return;
	}
	gmtime_r(&seconds, &tm);
	snprintf(text, sizeof(text), "%04d%02d%02d%02d%02d%02d.%06d+000", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(unix_ms % 1000) * 1000);
	cim_set_string(instance, property, text);
}

void cim_set_interval(struct cim_instance *instance, int property, int64_t ms)
{
	int64_t seconds = ms > 0 ? ms / 1000 : 0;
	char text[64];

	snprintf(text, sizeof(text), "%08d%02d%02d%02d.%06d:000", (int)(seconds / 86400 % 100000000),
		 (int)(seconds / 3600 % 24), (int)(seconds / 60 % 60), (int)(seconds % 60),
		 (int)((ms > 0 ? ms % 1000 : 0) * 1000));
	cim_set_string(instance, property, text);
}

void cim_set_reference(struct cim_instance *instance, int property, struct cim_reference *reference)
{
	value_set(instance->arena, slot(instance, property), 1)->reference = reference;
}

void cim_set_strings(struct cim_instance *instance, int property, const char *const *texts, size_t count)
{
	union cim_scalar *items = value_set(instance->arena, slot(instance, property), count);

	for (size_t i = 0; i < count; i++)
		items[i].string = arena_strdup(instance->arena, texts[i]);
}

void cim_set_sint(struct cim_instance *instance, int property, int64_t value)
{
	value_set(instance->arena, slot(instance, property), 1)->sint = value;
}

void cim_set_instances(struct cim_instance *instance, int property, struct cim_instance *const *items,
		       size_t count)
{
	union cim_scalar *values = value_set(instance->arena, slot(instance, property), count);

	for (size_t i = 0; i < count; i++)
		values[i].instance = items[i];
}

void cim_set_uints(struct cim_instance *instance, int property, const uint16_t *values, size_t count)
{
	union cim_scalar *items = value_set(instance->arena, slot(instance, property), count);

	for (size_t i = 0; i < count; i++)
		items[i].uint = values[i];
}

void cim_set_uint64s(struct cim_instance *instance, int property, const uint64_t *values, size_t count)
{
	union cim_scalar *items = value_set(instance->arena, slot(instance, property), count);

	for (size_t i = 0; i < count; i++)
		items[i].uint = values[i];
}

const char *cim_get_string(const struct cim_instance *instance, int property)
{
	const struct cim_value *value = slot((struct cim_instance *)instance, property);

	return value->is_set && value->count ? value->items[0].string : NULL;
}

bool cim_get_uint(const struct cim_instance *instance, int property, uint64_t *number)
{
	const struct cim_value *value = slot((struct cim_instance *)instance, property);

	if (!value->is_set)
		return false;
	*number = value->items[0].uint;
	return true;
}

bool cim_value_equal(enum cim_type type, const struct cim_value *a, const struct cim_value *b)
{
	if (!a->is_set || !b->is_set)
		return a->is_set == b->is_set;
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (type == CIM_TYPE_BOOLEAN ? a->items[i].boolean != b->items[i].boolean
		    : type == CIM_TYPE_REFERENCE
			    ? !cim_reference_equal(a->items[i].reference, b->items[i].reference)
		    : type >= CIM_TYPE_STRING ? strcmp(a->items[i].string, b->items[i].string) != 0
					      : a->items[i].uint != b->items[i].uint)
			return false;
	}
	return true;
}

struct cim_arguments *cim_arguments_create(struct arena *arena, const struct cim_method *method)
{
	struct cim_arguments *arguments = arena_alloc(arena, sizeof(*arguments));

	arguments->method = method;
	arguments->arena = arena;
	arguments->values = arena_alloc(arena, method->parameter_count * sizeof(*arguments->values));
	return arguments;
}

void cim_argument_set_reference(struct cim_arguments *arguments, int parameter,
				struct cim_reference *reference)
{
	value_set(arguments->arena, &arguments->values[parameter], 1)->reference = reference;
}

void cim_argument_set_references(struct cim_arguments *arguments, int parameter,
				 struct cim_reference **references, size_t count)
{
	union cim_scalar *items = value_set(arguments->arena, &arguments->values[parameter], count);

	for (size_t i = 0; i < count; i++)
		items[i].reference = references[i];
}

void cim_argument_set_instances(struct cim_arguments *arguments, int parameter,
				struct cim_instance **instances, size_t count)
{
	union cim_scalar *items = value_set(arguments->arena, &arguments->values[parameter], count);

	for (size_t i = 0; i < count; i++)
		items[i].instance = instances[i];
}

uint64_t cim_argument_uint(const struct cim_arguments *arguments, int parameter)
{
	return arguments->values[parameter].items[0].uint;
}

struct cim_reference *cim_argument_reference(const struct cim_arguments *arguments, int parameter)
{
	return arguments->values[parameter].items[0].reference;
}

struct cim_instance *cim_argument_instance(const struct cim_arguments *arguments, int parameter)
{
	return arguments->values[parameter].items[0].instance;
}

struct cim_reference *cim_reference_of(const struct cim_instance *instance)
{
	struct cim_reference *reference = arena_alloc(instance->arena, sizeof(*reference));
	size_t count = instance->class->key_count;

	if (count > CIM_KEYS_MAX)
		abort();
	reference->class = instance->class;
	reference->key_count = count;
	for (size_t i = 0; i < count; i++) {
		const struct cim_value *value = &instance->values[cim_class_key(instance->class, i)];

		if (!value->is_set)
			abort();
		reference->keys[i] = value->items[0];
	}
	return reference;
}

struct cim_reference *cim_reference_make(struct arena *arena, const struct cim_class *class, size_t count,
					 const char *const *keys)
{
	struct cim_reference *reference = arena_alloc(arena, sizeof(*reference));

	if (count > CIM_KEYS_MAX || count != class->key_count)
		abort();
	reference->class = class;
	reference->key_count = count;
	for (size_t i = 0; i < count; i++)
		reference->keys[i].string = arena_strdup(arena, keys[i]);
	return reference;
}

static enum cim_type key_type(const struct cim_reference *reference, size_t n)
{
	return reference->class->properties[cim_class_key(reference->class, n)].value.type;
}

bool cim_reference_equal(const struct cim_reference *a, const struct cim_reference *b)
{
	if (!cim_class_is_a(a->class, b->class) && !cim_class_is_a(b->class, a->class))
		return false;
	if (a->key_count != b->key_count)
		return false;
	for (size_t i = 0; i < a->key_count; i++) {
		enum cim_type type = key_type(a, i);

		if (type != key_type(b, i))
			return false;
		if (type == CIM_TYPE_REFERENCE
			    ? !cim_reference_equal(a->keys[i].reference, b->keys[i].reference)
			    : strcasecmp(a->keys[i].string, b->keys[i].string) != 0)
			return false;
	}
	return true;
}

const char *cim_reference_key(const struct cim_reference *reference, const char *property)
{
	for (size_t i = 0; i < reference->key_count; i++) {
		const struct cim_property *p =
			&reference->class->properties[cim_class_key(reference->class, i)];

		if (strcasecmp(p->name, property) == 0 && p->value.type != CIM_TYPE_REFERENCE)
			return reference->keys[i].string;
	}
	return NULL;
}

void cim_list_init(struct cim_list *list, struct arena *arena)
{
	*list = (struct cim_list){.arena = arena};
}

void cim_list_add(struct cim_list *list, struct cim_instance *instance)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		struct cim_instance **items = arena_alloc(list->arena, room * sizeof(*items));

		if (list->count)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
		list->room = room;
	}
	list->items[list->count++] = instance;
}
