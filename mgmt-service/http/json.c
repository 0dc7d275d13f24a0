/* SPDX-License-Identifier: Apache-2.0 */
#include "http/json.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cim/path.h"
#include "http/uri.h"
#include "vmms/model.h"

#define JSON_DEPTH_MAX 32
#define JSON_ARRAY_MAX 256
#define TEXT_FLAGS     (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static const char *finish(struct arena *arena, struct json_object *o)
{
	const char *text = arena_strdup(arena, json_object_to_json_string_ext(o, TEXT_FLAGS));

	json_object_put(o);
	return text;
}

static void put_text(struct json_object *o, const char *key, const char *text)
{
	if (text)
		json_object_object_add(o, key, json_object_new_string(text));
}

static struct json_object *embedded(struct arena *arena, const struct cim_instance *instance);

static struct json_object *scalar(struct arena *arena, const struct cim_value_type *type,
				  const union cim_scalar *item)
{
	switch (type->type) {
	case CIM_TYPE_BOOLEAN:
		return json_object_new_boolean(item->boolean);
	case CIM_TYPE_UINT64:
		return json_object_new_string(arena_printf(arena, "%llu", (unsigned long long)item->uint));
	case CIM_TYPE_SINT64:
		return json_object_new_string(arena_printf(arena, "%lld", (long long)item->sint));
	case CIM_TYPE_UINT8:
	case CIM_TYPE_UINT16:
	case CIM_TYPE_UINT32:
		return json_object_new_uint64(item->uint);
	case CIM_TYPE_SINT8:
	case CIM_TYPE_SINT16:
	case CIM_TYPE_SINT32:
		return json_object_new_int64(item->sint);
	case CIM_TYPE_REFERENCE:
		return json_object_new_string(uri_of(arena, item->reference));
	case CIM_TYPE_STRING:
	case CIM_TYPE_DATETIME:
		break;
	}
	return type->target ? embedded(arena, item->instance) : json_object_new_string(item->string);
}

static struct json_object *value(struct arena *arena, const struct cim_value_type *type,
				 const struct cim_value *v)
{
	struct json_object *list;

	if (!v->is_set)
		return NULL;
	if (!type->is_array)
		return scalar(arena, type, &v->items[0]);
	list = json_object_new_array();
	for (size_t i = 0; i < v->count; i++)
		json_object_array_add(list, scalar(arena, type, &v->items[i]));
	return list;
}

static struct json_object *path_text(struct arena *arena, const char *text)
{
	const struct cim_reference *reference = cim_path_parse(arena, text);

	return json_object_new_string(reference ? uri_of(arena, reference) : text);
}

/* Object paths are URIs here, the same that `self` has. */
static struct json_object *property_value(struct arena *arena, const struct cim_class *class,
					  const struct cim_property *p, const struct cim_value *v)
{
	struct json_object *list;

	if (!v->is_set || !cim_path_property(class, p))
		return value(arena, &p->value, v);
	if (!p->value.is_array)
		return path_text(arena, v->items[0].string);
	list = json_object_new_array();
	for (size_t i = 0; i < v->count; i++)
		json_object_array_add(list, path_text(arena, v->items[i].string));
	return list;
}

static struct json_object *properties(struct arena *arena, const struct cim_instance *instance,
				      const struct json_selection *selection)
{
	struct json_object *o = json_object_new_object();
	size_t count = selection ? selection->count : instance->class->property_count;

	for (size_t i = 0; i < count; i++) {
		int p = selection ? selection->properties[i] : (int)i;

		json_object_object_add(
			o, instance->class->properties[p].name,
			property_value(arena, instance->class, &instance->class->properties[p], &instance->values[p]));
	}
	return o;
}

static struct json_object *embedded(struct arena *arena, const struct cim_instance *instance)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "class", instance->class->name);
	json_object_object_add(o, "properties", properties(arena, instance, NULL));
	return o;
}

static struct json_object *resource(struct arena *arena, const struct cim_instance *instance,
				    const struct json_selection *selection)
{
	struct json_object *o = json_object_new_object(), *methods;
	const char *self = uri_of(arena, cim_reference_of(instance));

	put_text(o, "kind", "instance");
	put_text(o, "class", instance->class->name);
	put_text(o, "self", self);
	json_object_object_add(o, "properties", properties(arena, instance, selection));
	if (!instance->class->method_count)
		return o;
	methods = json_object_new_object();
	for (size_t i = 0; i < instance->class->method_count; i++)
		put_text(methods, instance->class->methods[i].name,
			 arena_printf(arena, "%s/methods/%s", self, instance->class->methods[i].name));
	json_object_object_add(o, "methods", methods);
	return o;
}

const char *json_instance(struct arena *arena, const struct cim_instance *instance,
			  const struct json_selection *selection)
{
	return finish(arena, resource(arena, instance, selection));
}

const char *json_collection(struct arena *arena, const struct cim_list *list, size_t first, size_t count,
			    const struct json_selection *selection, const char *next)
{
	struct json_object *o = json_object_new_object(), *items = json_object_new_array();

	put_text(o, "kind", "instancecollection");
	for (size_t i = first; i < first + count; i++)
		json_object_array_add(items, resource(arena, list->items[i], selection));
	json_object_object_add(o, "instances", items);
	put_text(o, "next", next);
	return finish(arena, o);
}

static const char *const type_names[] = {
	[CIM_TYPE_BOOLEAN] = "boolean", [CIM_TYPE_UINT8] = "uint8",       [CIM_TYPE_UINT16] = "uint16",
	[CIM_TYPE_UINT32] = "uint32",   [CIM_TYPE_UINT64] = "uint64",     [CIM_TYPE_SINT8] = "sint8",
	[CIM_TYPE_SINT16] = "sint16",   [CIM_TYPE_SINT32] = "sint32",     [CIM_TYPE_SINT64] = "sint64",
	[CIM_TYPE_STRING] = "string",   [CIM_TYPE_DATETIME] = "datetime", [CIM_TYPE_REFERENCE] = "reference",
};

static struct json_object *describe(struct arena *arena, const char *name, const struct cim_value_type *type)
{
	struct json_object *o = json_object_new_object(), *labels;

	put_text(o, "name", name);
	put_text(o, "type", type_names[type->type]);
	if (type->is_array)
		json_object_object_add(o, "array", json_object_new_boolean(true));
	put_text(o, type->type == CIM_TYPE_REFERENCE ? "classRef" : "embeddedInstance", type->target);
	put_text(o, "units", type->units);
	if (!type->label_count)
		return o;
	labels = json_object_new_object();
	for (size_t i = 0; i < type->label_count; i++) {
		const struct cim_label *l = &type->labels[i];

		put_text(labels,
			 l->low == l->high
				 ? arena_printf(arena, "%lld", (long long)l->low)
				 : arena_printf(arena, "%lld..%lld", (long long)l->low, (long long)l->high),
			 l->text);
	}
	json_object_object_add(o, "values", labels);
	return o;
}

static struct json_object *describe_method(struct arena *arena, const struct cim_method *m)
{
	struct json_object *o = describe(arena, m->name, &m->result), *list = json_object_new_array();

	json_object_object_add(o, "mayReturnJob",
			       json_object_new_boolean(m->flags & CIM_METHOD_MAY_RETURN_JOB));
	for (size_t i = 0; i < m->parameter_count; i++) {
		const struct cim_parameter *p = &m->parameters[i];
		struct json_object *item = describe(arena, p->name, &p->value);

		json_object_object_add(item, "in", json_object_new_boolean(p->flags & CIM_PARAMETER_IN));
		json_object_object_add(item, "out", json_object_new_boolean(p->flags & CIM_PARAMETER_OUT));
		json_object_object_add(item, "required",
				       json_object_new_boolean(p->flags & CIM_PARAMETER_REQUIRED));
		json_object_array_add(list, item);
	}
	json_object_object_add(o, "parameters", list);
	return o;
}

static struct json_object *class_head(struct arena *arena, const struct cim_class *class)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "kind", "class");
	put_text(o, "name", class->name);
	put_text(o, "self", arena_printf(arena, URI_BASE "/classes/%s", class->name));
	put_text(o, "superclass", class->superclass ? class->superclass->name : NULL);
	put_text(o, "description", class->description);
	json_object_object_add(o, "abstract", json_object_new_boolean(class->flags & CIM_CLASS_ABSTRACT));
	json_object_object_add(o, "association",
			       json_object_new_boolean(class->flags & CIM_CLASS_ASSOCIATION));
	return o;
}

const char *json_classes(struct arena *arena)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();

	put_text(o, "kind", "classcollection");
	for (size_t i = 0; i < cim_class_count; i++)
		json_object_array_add(list, class_head(arena, cim_classes[i]));
	json_object_object_add(o, "classes", list);
	return finish(arena, o);
}

const char *json_class(struct arena *arena, const struct cim_class *class)
{
	struct json_object *o = class_head(arena, class), *list = json_object_new_array();

	for (size_t i = 0; i < class->property_count; i++) {
		const struct cim_property *p = &class->properties[i];
		struct json_object *item = describe(arena, p->name, &p->value);

		put_text(item, "origin", p->origin);
		put_text(item, "description", p->description);
		json_object_object_add(item, "key", json_object_new_boolean(p->flags & CIM_PROPERTY_KEY));
		json_object_object_add(item, "write", json_object_new_boolean(p->flags & CIM_PROPERTY_WRITE));
		json_object_array_add(list, item);
	}
	json_object_object_add(o, "properties", list);
	list = json_object_new_array();
	for (size_t i = 0; i < class->method_count; i++)
		json_object_array_add(list, describe_method(arena, &class->methods[i]));
	json_object_object_add(o, "methods", list);
	return finish(arena, o);
}

const char *json_result(struct arena *arena, const struct cim_class *class, const struct cim_arguments *out,
			uint32_t return_value)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "kind", "methodresponse");
	put_text(o, "className", class->name);
	put_text(o, "methodName", out->method->name);
	json_object_object_add(o, "returnValue", json_object_new_uint64(return_value));
	for (size_t i = 0; i < out->method->parameter_count; i++)
		if (out->method->parameters[i].flags & CIM_PARAMETER_OUT)
			json_object_object_add(
				o, out->method->parameters[i].name,
				value(arena, &out->method->parameters[i].value, &out->values[i]));
	return finish(arena, o);
}

const char *json_problem(struct arena *arena, unsigned status, const char *title,
			 const struct cim_error *error, const char *class_name, const char *method_name)
{
	struct json_object *o = json_object_new_object(), *states;

	put_text(o, "type", "about:blank");
	put_text(o, "title", title);
	json_object_object_add(o, "status", json_object_new_int((int)status));
	put_text(o, "detail", error->detail);
	put_text(o, "field", error->field);
	if (method_name && error->status != CIM_OK)
		json_object_object_add(
			o, "returnValue",
			json_object_new_uint64(error->return_value ? error->return_value
								   : cim_status_return_value(error->status)));
	put_text(o, "className", class_name);
	put_text(o, "methodName", method_name);
	if (error->has_state) {
		json_object_object_add(o, "currentState", json_object_new_int(error->current_state));
		states = json_object_new_array();
		for (size_t i = 0; i < error->available_count; i++)
			json_object_array_add(states, json_object_new_int(error->available[i]));
		json_object_object_add(o, "availableStates", states);
	}
	return finish(arena, o);
}

uint64_t json_instance_hash(struct arena *arena, const struct cim_instance *instance)
{
	struct json_object *o = json_object_new_object();
	uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	const char *text;

	for (size_t i = 0; i < instance->class->property_count; i++)
		if (!(instance->class->properties[i].flags & CIM_PROPERTY_GAUGE))
			json_object_object_add(
				o, instance->class->properties[i].name,
				value(arena, &instance->class->properties[i].value, &instance->values[i]));
	for (text = finish(arena, o); *text; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return hash;
}

/* ---- reading ---- */

struct reader {
	struct cim_context *context;
	const char *path; /* of the field being read */
};

static bool refuse(const struct reader *r, const char *expected)
{
	cim_error_set(&r->context->error, r->context->arena, CIM_ERR_INVALID_PARAMETER, r->path,
		      "%s: %s expected", r->path, expected);
	return false;
}

static bool range_error(const struct reader *r, const struct cim_value_type *type)
{
	uint64_t high = type->has_maximum ? (uint64_t)type->maximum : cim_type_maximum(type->type);
	int64_t low = type->has_minimum ? type->minimum : cim_type_minimum(type->type);

	return refuse(r, arena_printf(r->context->arena, "a number from %lld to %llu", (long long)low,
				      (unsigned long long)high));
}

/* Sign and size of a JSON number or of a string of digits. */
static bool read_digits(const struct reader *r, struct json_object *o, bool *negative, uint64_t *size)
{
	const char *text;
	char *end;

	if (json_object_is_type(o, json_type_int)) {
		int64_t number = json_object_get_int64(o);

		*negative = number < 0;
		/* get_int64 stops at its maximum: what is larger is read as unsigned. */
		*size = number < 0 ? 0 - (uint64_t)number : json_object_get_uint64(o);
		return true;
	}
	if (!json_object_is_type(o, json_type_string))
		return false;
	text = json_object_get_string(o);
	*negative = text[0] == '-';
	text += *negative;
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*size = strtoull(text, &end, 10);
	return !errno && !*end;
}

static bool read_integer(const struct reader *r, const struct cim_value_type *type, struct json_object *o,
			 union cim_scalar *item)
{
	bool negative;
	uint64_t size;

	if (!read_digits(r, o, &negative, &size))
		return refuse(r, arena_printf(r->context->arena, "an integer (%s)", type_names[type->type]));
	if (cim_type_is_unsigned(type->type)) {
		if ((negative && size) || size > cim_type_maximum(type->type) ||
		    (type->has_maximum && size > (uint64_t)type->maximum) ||
		    (type->has_minimum && size < (uint64_t)type->minimum))
			return range_error(r, type);
		item->uint = size;
		return true;
	}
	if (size > (uint64_t)INT64_MAX)
		return range_error(r, type);
	item->sint = negative ? -(int64_t)size : (int64_t)size;
	if (item->sint < cim_type_minimum(type->type) || (size > cim_type_maximum(type->type) && !negative) ||
	    (type->has_minimum && item->sint < type->minimum) ||
	    (type->has_maximum && item->sint > type->maximum))
		return range_error(r, type);
	return true;
}

static size_t characters(const char *utf8)
{
	size_t count = 0;

	for (; *utf8; utf8++)
		count += ((unsigned char)*utf8 & 0xc0) != 0x80;
	return count;
}

static bool read_string(const struct reader *r, const struct cim_value_type *type, struct json_object *o,
			union cim_scalar *item)
{
	const char *text;

	if (!json_object_is_type(o, json_type_string))
		return refuse(r, "a string");
	text = json_object_get_string(o);
	if (strlen(text) != (size_t)json_object_get_string_len(o))
		return refuse(r, "a string without zero characters");
	if (type->max_length && characters(text) > type->max_length)
		return refuse(r, arena_printf(r->context->arena, "at most %u characters", type->max_length));
	item->string = arena_strdup(r->context->arena, text);
	return true;
}

/* yyyymmddHHMMSS.mmmmmmsutc or ddddddddHHMMSS.mmmmmm:000. Source: DSP0004, "Datetime Type". */
static bool read_datetime(const struct reader *r, const struct cim_value_type *type, struct json_object *o,
			  union cim_scalar *item)
{
	static const char expected[] = "a CIM datetime of 25 characters";

	if (!json_object_is_type(o, json_type_string) || json_object_get_string_len(o) != 25)
		return refuse(r, expected);
	item->string = arena_strdup(r->context->arena, json_object_get_string(o));
	for (size_t i = 0; i < 25; i++) {
		char c = item->string[i];

		if (i == 14   ? c != '.'
		    : i == 21 ? !strchr("+-:", c) || !c
			      : !isdigit((unsigned char)c) && c != '*')
			return refuse(r, expected);
	}
	return true;
}

static bool read_members(const struct reader *r, struct json_object *o, struct cim_instance *out);

static bool read_embedded(const struct reader *r, const struct cim_value_type *type, struct json_object *o,
			  union cim_scalar *item)
{
	const struct cim_class *class = cim_class_find(type->target);
	struct json_object *member;
	struct reader inner = *r;

	if (!json_object_is_type(o, json_type_object))
		return refuse(r, arena_printf(r->context->arena, "an embedded instance of %s (an object)",
					      type->target));
	if (json_object_object_get_ex(o, "class", &member)) {
		const struct cim_class *given = json_object_is_type(member, json_type_string)
							? cim_class_find(json_object_get_string(member))
							: NULL;

		inner.path = arena_printf(r->context->arena, "%s.class", r->path);
		if (!given || !cim_class_is_a(given, class))
			return refuse(&inner, arena_printf(r->context->arena, "%s or a subclass of it",
							   type->target));
		class = given;
	}
	if (class->flags & CIM_CLASS_ABSTRACT) {
		inner.path = arena_printf(r->context->arena, "%s.class", r->path);
		return refuse(&inner, arena_printf(r->context->arena, "a subclass of %s", type->target));
	}
	item->instance = cim_instance_blank(r->context->arena, class);
	if (!json_object_object_get_ex(o, "properties", &member)) {
		inner.path = arena_printf(r->context->arena, "%s.properties", r->path);
		return refuse(&inner, "an object");
	}
	return read_members(r, member, item->instance);
}

static bool read_reference(const struct reader *r, const struct cim_value_type *type, struct json_object *o,
			   union cim_scalar *item)
{
	const struct cim_class *target = cim_class_find(type->target);

	if (!json_object_is_type(o, json_type_string))
		return refuse(r, "the path of an instance (a string)");
	item->reference = uri_parse_reference(r->context, json_object_get_string(o), r->path);
	if (!item->reference)
		return false;
	if (!cim_class_is_a(item->reference->class, target) &&
	    !cim_class_is_a(target, item->reference->class))
		return refuse(r, arena_printf(r->context->arena, "an instance of %s", type->target));
	return true;
}

static bool read_scalar(const struct reader *r, const struct cim_value_type *type, struct json_object *o,
			union cim_scalar *item)
{
	if (type->type == CIM_TYPE_BOOLEAN) {
		item->boolean = json_object_get_boolean(o);
		return json_object_is_type(o, json_type_boolean) || refuse(r, "true or false");
	}
	if (type->type == CIM_TYPE_STRING)
		return type->target ? read_embedded(r, type, o, item) : read_string(r, type, o, item);
	if (type->type == CIM_TYPE_DATETIME)
		return read_datetime(r, type, o, item);
	if (type->type == CIM_TYPE_REFERENCE)
		return read_reference(r, type, o, item);
	return read_integer(r, type, o, item);
}

static bool read_value(const struct reader *r, const struct cim_value_type *type, struct json_object *o,
		       struct cim_value *out)
{
	size_t count = 1;

	if (!o)
		return true;
	if (type->is_array) {
		if (!json_object_is_type(o, json_type_array))
			return refuse(r, "an array");
		count = json_object_array_length(o);
		if (count > JSON_ARRAY_MAX)
			return refuse(r, "a shorter array");
	}
	out->items = arena_alloc(r->context->arena, (count ? count : 1) * sizeof(*out->items));
	out->count = count;
	for (size_t i = 0; i < count; i++) {
		struct reader inner = *r;
		struct json_object *item = o;

		if (type->is_array) {
			inner.path = arena_printf(r->context->arena, "%s[%zu]", r->path, i);
			item = json_object_array_get_idx(o, i);
			if (!item)
				return refuse(&inner, "a value other than null");
		}
		if (!read_scalar(&inner, type, item, &out->items[i]))
			return false;
	}
	out->is_set = true;
	return true;
}

static bool read_paths(const struct reader *r, struct cim_value *value)
{
	struct cim_context *context = r->context;

	for (size_t i = 0; i < value->count; i++) {
		struct cim_reference *reference;

		if (value->items[i].string[0] != '/')
			continue;
		reference = uri_parse_reference(context, value->items[i].string, r->path);
		if (!reference)
			return false;
		value->items[i].string = cim_path_of(context->arena, context->model->host_name, reference);
		if (!value->items[i].string)
			return refuse(r, "the path of a setting");
	}
	return true;
}

static bool read_members(const struct reader *r, struct json_object *o, struct cim_instance *out)
{
	if (!json_object_is_type(o, json_type_object))
		return refuse(r, "an object");
	json_object_object_foreach(o, name, member)
	{
		struct reader inner = *r;
		int p = cim_property_find(out->class, name);

		inner.path = r->path[0] ? arena_printf(r->context->arena, "%s.%s", r->path, name)
					: arena_strdup(r->context->arena, name);
		if (p < 0)
			return refuse(&inner,
				      arena_printf(r->context->arena, "a property of %s", out->class->name));
		if (!read_value(&inner, &out->class->properties[p].value, member, &out->values[p]))
			return false;
		if (out->values[p].is_set && cim_path_property(out->class, &out->class->properties[p]) &&
		    !read_paths(&inner, &out->values[p]))
			return false;
	}
	return true;
}

/* The whole body as one object; NULL with the error. */
static struct json_object *parse(struct cim_context *context, const char *text, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	struct json_object *o = NULL;
	enum json_tokener_error error;
	size_t at;

	if (!size) {
		json_tokener_free(tokener);
		return json_object_new_object();
	}
	if (!tokener)
		abort();
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, text, (int)size);
	error = json_tokener_get_error(tokener);
	at = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	while (error == json_tokener_success && at < size && isspace((unsigned char)text[at]))
		at++;
	if (error != json_tokener_success || at < size) {
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, "body",
			      "The body is no JSON: %s at byte %zu",
			      error == json_tokener_success ? "text after the end"
							    : json_tokener_error_desc(error),
			      at);
		json_object_put(o);
		return NULL;
	}
	if (!json_object_is_type(o, json_type_object)) {
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, "body",
			      "The body must be a JSON object");
		json_object_put(o);
		return NULL;
	}
	return o;
}

static bool read_parameters(struct cim_context *context, struct json_object *o,
			    struct cim_arguments *arguments)
{
	json_object_object_foreach(o, name, member)
	{
		struct reader r = {context, arena_strdup(context->arena, name)};
		int p = cim_parameter_find(arguments->method, name);

		if (p < 0 || !(arguments->method->parameters[p].flags & CIM_PARAMETER_IN))
			return refuse(&r, arena_printf(context->arena, "an input parameter of %s",
						       arguments->method->name));
		if (!read_value(&r, &arguments->method->parameters[p].value, member, &arguments->values[p]))
			return false;
	}
	return true;
}

bool json_read_arguments(struct cim_context *context, const char *text, size_t size,
			 struct cim_arguments *arguments)
{
	struct json_object *o = parse(context, text, size);
	bool good = o && read_parameters(context, o, arguments);

	json_object_put(o);
	return good;
}

bool json_read_changes(struct cim_context *context, const char *text, size_t size,
		       struct cim_instance *changes)
{
	struct json_object *o = parse(context, text, size), *member;
	struct reader r = {context, "properties"};
	bool good = false;

	if (o && !json_object_object_get_ex(o, "properties", &member)) {
		refuse(&r, "an object");
	} else if (o) {
		r.path = "";
		good = read_members(&r, member, changes);
	}
	json_object_put(o);
	return good;
}
