/* SPDX-License-Identifier: Apache-2.0 */
/* Names resolved, rules checked, inheritance flattened. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "mof_model.h"

static const struct {
	const char *name;
	int64_t low;
	int64_t high; /* of uint64 what fits into 63 bits: no ValueMap needs more */
} type_rows[] = {
	[CIM_TYPE_BOOLEAN] = {"boolean", 0, 0},
	[CIM_TYPE_UINT8] = {"uint8", 0, UINT8_MAX},
	[CIM_TYPE_UINT16] = {"uint16", 0, UINT16_MAX},
	[CIM_TYPE_UINT32] = {"uint32", 0, UINT32_MAX},
	[CIM_TYPE_UINT64] = {"uint64", 0, INT64_MAX},
	[CIM_TYPE_SINT8] = {"sint8", INT8_MIN, INT8_MAX},
	[CIM_TYPE_SINT16] = {"sint16", INT16_MIN, INT16_MAX},
	[CIM_TYPE_SINT32] = {"sint32", INT32_MIN, INT32_MAX},
	[CIM_TYPE_SINT64] = {"sint64", INT64_MIN, INT64_MAX},
	[CIM_TYPE_STRING] = {"string", 0, 0},
	[CIM_TYPE_DATETIME] = {"datetime", 0, 0},
	[CIM_TYPE_REFERENCE] = {"reference", 0, 0},
};

void mof_error(struct mof_schema *schema, struct mof_place place, const char *format, ...)
{
	va_list arguments;

	if (place.line > 0)
		fprintf(stderr, "%s:%d: error: ", place.file, place.line);
	else
		fprintf(stderr, "%s: error: ", place.file);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	schema->errors++;
}

void *mof_alloc(size_t bytes)
{
	void *memory = calloc(1, bytes ? bytes : 1);

	if (!memory) {
		fputs("mofc: out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

char *mof_strdup(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(mof_alloc(size), text, size);
}

const char *mof_type_name(enum cim_type type)
{
	return type_rows[type].name;
}

bool mof_type_is_integer(enum cim_type type)
{
	return type >= CIM_TYPE_UINT8 && type <= CIM_TYPE_SINT64;
}

struct mof_class *mof_find_class(const struct mof_schema *schema, const char *name)
{
	for (struct mof_class *class = schema->classes; class; class = class->next)
		if (strcasecmp(class->name, name) == 0)
			return class;
	return NULL;
}

const struct mof_qualifier *mof_find_qualifier(const struct mof_qualifier *list, const char *name)
{
	for (; list; list = list->next)
		if (strcasecmp(list->name, name) == 0)
			return list;
	return NULL;
}

bool mof_qualifier_true(const struct mof_qualifier *list, const char *name)
{
	const struct mof_qualifier *qualifier = mof_find_qualifier(list, name);

	if (!qualifier)
		return false;
	return !qualifier->value || qualifier->value->items->boolean;
}

const struct mof_literal *mof_qualifier_literal(const struct mof_qualifier *list, const char *name)
{
	const struct mof_qualifier *qualifier = mof_find_qualifier(list, name);

	return qualifier && qualifier->value ? qualifier->value->items : NULL;
}

const char *mof_qualifier_string(const struct mof_qualifier *list, const char *name)
{
	const struct mof_literal *literal = mof_qualifier_literal(list, name);

	return literal && literal->kind == MOF_STRING ? literal->string : NULL;
}

static bool range_end(const char *text, size_t size, int64_t *value)
{
	char digits[24];
	char *end;

	if (size == 0 || size >= sizeof(digits))
		return false;
	memcpy(digits, text, size);
	digits[size] = 0;
	*value = strtoll(digits, &end, 10);
	return *end == 0;
}

bool mof_value_range(const char *text, enum cim_type type, int64_t *low, int64_t *high)
{
	const char *dots = strstr(text, "..");

	*low = type_rows[type].low;
	*high = type_rows[type].high;
	if (!dots) {
		if (!range_end(text, strlen(text), low) || *low < type_rows[type].low ||
		    *low > type_rows[type].high)
			return false;
		*high = *low;
		return true;
	}
	if (dots != text && !range_end(text, (size_t)(dots - text), low))
		return false;
	if (dots[2] && !range_end(dots + 2, strlen(dots + 2), high))
		return false;
	return *low <= *high && *low >= type_rows[type].low && *high <= type_rows[type].high;
}

static bool literal_fits(const struct mof_literal *literal, enum cim_type type)
{
	switch (literal->kind) {
	case MOF_NULL:
		return true;
	case MOF_BOOLEAN:
		return type == CIM_TYPE_BOOLEAN;
	case MOF_STRING:
		if (type == CIM_TYPE_DATETIME)
			return strlen(literal->string) == 25;
		return type == CIM_TYPE_STRING;
	case MOF_INTEGER:
		if (!mof_type_is_integer(type))
			return false;
		if (literal->negative)
			return literal->magnitude <= (uint64_t)INT64_MAX &&
			       -(int64_t)literal->magnitude >= type_rows[type].low;
		return type == CIM_TYPE_UINT64 || literal->magnitude <= (uint64_t)type_rows[type].high;
	}
	return false;
}

static void check_constant(struct mof_schema *schema, struct mof_place place, const char *name,
			   const struct mof_constant *constant, const struct mof_type *type)
{
	if (constant->items->kind == MOF_NULL)
		return;
	if (constant->is_array != type->is_array) {
		mof_error(schema, place, "value of %s must%s be an array", name,
			  type->is_array ? "" : " not");
		return;
	}
	for (const struct mof_literal *item = constant->items; item; item = item->next)
		if (!literal_fits(item, type->type))
			mof_error(schema, place, "value of %s does not fit its type %s", name,
				  mof_type_name(type->type));
}

static void check_qualifiers(struct mof_schema *schema, const struct mof_qualifier *list, unsigned scope)
{
	const struct mof_qualifier_decl *decl;

	for (const struct mof_qualifier *q = list; q; q = q->next) {
		for (decl = schema->qualifier_decls; decl; decl = decl->next)
			if (strcasecmp(decl->name, q->name) == 0)
				break;
		if (!decl) {
			mof_error(schema, q->place, "qualifier %s is not declared", q->name);
			continue;
		}
		if (!(decl->scope & scope))
			mof_error(schema, q->place, "qualifier %s has no place here", q->name);
		if (!q->value && decl->type.type != CIM_TYPE_BOOLEAN)
			mof_error(schema, q->place, "qualifier %s needs a value", q->name);
		else if (q->value)
			check_constant(schema, q->place, q->name, q->value, &decl->type);
		if (mof_find_qualifier(q->next, q->name))
			mof_error(schema, q->place, "qualifier %s is given twice", q->name);
	}
}

static size_t literal_count(const struct mof_literal *list)
{
	size_t count = 0;

	for (; list; list = list->next)
		count++;
	return count;
}

static void check_value_map(struct mof_schema *schema, const struct mof_feature *feature)
{
	const struct mof_qualifier *map = mof_find_qualifier(feature->qualifiers, "ValueMap");
	const struct mof_qualifier *values = mof_find_qualifier(feature->qualifiers, "Values");
	int64_t low, high;

	if (!map && !values)
		return;
	if (!map || !values || !map->value || !values->value) {
		mof_error(schema, feature->place, "%s: ValueMap and Values come together", feature->name);
		return;
	}
	if (!mof_type_is_integer(feature->type.type)) {
		mof_error(schema, map->place, "%s: ValueMap is for integers", feature->name);
		return;
	}
	if (literal_count(map->value->items) != literal_count(values->value->items))
		mof_error(schema, map->place, "%s: ValueMap has %zu rows, Values has %zu", feature->name,
			  literal_count(map->value->items), literal_count(values->value->items));
	for (const struct mof_literal *item = map->value->items; item; item = item->next)
		if (item->kind == MOF_STRING &&
		    !mof_value_range(item->string, feature->type.type, &low, &high))
			mof_error(schema, map->place, "%s: \"%s\" is no value or range of %s", feature->name,
				  item->string, mof_type_name(feature->type.type));
}

static void check_feature(struct mof_schema *schema, const struct mof_feature *feature, unsigned scope)
{
	const char *embedded = mof_qualifier_string(feature->qualifiers, "EmbeddedInstance");

	check_qualifiers(schema, feature->qualifiers, scope);
	check_value_map(schema, feature);
	if (feature->type.type == CIM_TYPE_REFERENCE && !mof_find_class(schema, feature->type.reference))
		mof_error(schema, feature->place, "%s refers to the unknown class %s", feature->name,
			  feature->type.reference);
	if (embedded && feature->type.type != CIM_TYPE_STRING)
		mof_error(schema, feature->place, "%s: an embedded instance is carried in a string",
			  feature->name);
	if (embedded && !mof_find_class(schema, embedded))
		mof_error(schema, feature->place, "%s embeds the unknown class %s", feature->name, embedded);
	if (feature->initial)
		check_constant(schema, feature->place, feature->name, feature->initial, &feature->type);
	for (const struct mof_feature *p = feature->parameters; p; p = p->next) {
		for (const struct mof_feature *other = p->next; other; other = other->next)
			if (strcasecmp(p->name, other->name) == 0)
				mof_error(schema, other->place, "%s has two parameters named %s",
					  feature->name, p->name);
		check_feature(schema, p, MOF_SCOPE_PARAMETER);
	}
}

static unsigned feature_scope(const struct mof_feature *feature)
{
	if (feature->is_method)
		return MOF_SCOPE_METHOD;
	return feature->type.type == CIM_TYPE_REFERENCE ? MOF_SCOPE_REFERENCE : MOF_SCOPE_PROPERTY;
}

static void override_feature(struct mof_schema *schema, struct mof_feature **slot,
			     struct mof_feature *feature)
{
	const struct mof_feature *base = *slot;
	const char *name = mof_qualifier_string(feature->qualifiers, "Override");

	if (!name || strcasecmp(name, feature->name) != 0)
		mof_error(schema, feature->place, "%s stands already at %s:%d: say Override(\"%s\")",
			  feature->name, base->place.file, base->place.line, feature->name);
	else if (base->type.type != feature->type.type || base->type.is_array != feature->type.is_array)
		mof_error(schema, feature->place, "%s overrides %s:%d with another type", feature->name,
			  base->place.file, base->place.line);
	feature->origin = base->origin;
	/* Key and Gauge are not lost by an override; labels and a default that are not repeated stay as well.
	 */
	feature->flags |= base->flags;
	if (!mof_find_qualifier(feature->qualifiers, "ValueMap")) {
		for (const struct mof_qualifier *q = base->qualifiers; q; q = q->next)
			if (strcasecmp(q->name, "ValueMap") == 0 || strcasecmp(q->name, "Values") == 0) {
				struct mof_qualifier *copy = mof_alloc(sizeof(*copy));

				*copy = *q;
				copy->next = feature->qualifiers;
				feature->qualifiers = copy;
			}
	}
	if (!feature->initial)
		feature->initial = base->initial;
	*slot = feature;
}

/* A key keeps its place when a subclass says Key again. */
static void add_key(struct mof_schema *schema, struct mof_class *class, const struct mof_feature *feature)
{
	size_t index = 0;

	while (index < class->property_count && class->properties[index] != feature)
		index++;
	for (size_t i = 0; i < class->key_count; i++)
		if (class->keys[i] == index)
			return;
	if (class->key_count == MOF_KEYS_MAX)
		mof_error(schema, feature->place, "%s has more than %d keys", class->name, MOF_KEYS_MAX);
	else
		class->keys[class->key_count++] = index;
}

static void place_feature(struct mof_schema *schema, struct mof_class *class, struct mof_feature *feature)
{
	struct mof_feature **list = feature->is_method ? class->methods : class->properties;
	size_t *count = feature->is_method ? &class->method_count : &class->property_count;

	if (mof_qualifier_true(feature->qualifiers, "Key"))
		feature->flags |= CIM_PROPERTY_KEY;
	if (mof_qualifier_true(feature->qualifiers, "Write"))
		feature->flags |= CIM_PROPERTY_WRITE;
	if (mof_qualifier_true(feature->qualifiers, "Gauge"))
		feature->flags |= CIM_PROPERTY_GAUGE;
	if (!feature->is_method && mof_qualifier_true(feature->qualifiers, "Required"))
		feature->flags |= CIM_PROPERTY_REQUIRED;
	feature->origin = class;
	for (size_t i = 0; i < *count; i++)
		if (strcasecmp(list[i]->name, feature->name) == 0) {
			if (list[i]->origin == class)
				mof_error(schema, feature->place, "%s stands already at %s:%d", feature->name,
					  list[i]->place.file, list[i]->place.line);
			else
				override_feature(schema, &list[i], feature);
			return;
		}
	if (mof_find_qualifier(feature->qualifiers, "Override"))
		mof_error(schema, feature->place, "%s overrides nothing", feature->name);
	list[(*count)++] = feature;
}

static void flatten(struct mof_schema *schema, struct mof_class *class)
{
	size_t own = 0;

	for (struct mof_feature *f = class->features; f; f = f->next)
		own++;
	class->properties = mof_alloc((own + (class->super ? class->super->property_count : 0)) *
				      sizeof(*class->properties));
	class->methods =
		mof_alloc((own + (class->super ? class->super->method_count : 0)) * sizeof(*class->methods));
	if (class->super) {
		class->property_count = class->super->property_count;
		class->method_count = class->super->method_count;
		class->key_count = class->super->key_count;
		memcpy(class->keys, class->super->keys, sizeof(class->keys));
		if (class->property_count)
			memcpy(class->properties, class->super->properties,
			       class->property_count * sizeof(*class->properties));
		if (class->method_count)
			memcpy(class->methods, class->super->methods,
			       class->method_count * sizeof(*class->methods));
	}
	for (struct mof_feature *f = class->features; f; f = f->next) {
		check_feature(schema, f, feature_scope(f));
		place_feature(schema, class, f);
		if (f->flags & CIM_PROPERTY_KEY)
			add_key(schema, class, f);
	}
}

static void check_keys(struct mof_schema *schema, const struct mof_class *class)
{
	size_t references = 0;

	for (size_t i = 0; i < class->property_count; i++) {
		const struct mof_feature *p = class->properties[i];

		if (p->type.type == CIM_TYPE_REFERENCE)
			references++;
		if ((p->flags & CIM_PROPERTY_KEY) && p->type.is_array)
			mof_error(schema, p->place, "key %s cannot be an array", p->name);
		if ((p->flags & CIM_PROPERTY_KEY) && p->type.type != CIM_TYPE_STRING &&
		    p->type.type != CIM_TYPE_REFERENCE)
			mof_error(schema, p->place, "key %s must be a string or a reference", p->name);
	}
	if ((class->flags & CIM_CLASS_ASSOCIATION) && references < 2)
		mof_error(schema, class->place, "association %s has less than two references", class->name);
}

/* Stands `super` earlier in the text than `class`? Then there can be no cycle. */
static bool stands_before(const struct mof_class *super, const struct mof_class *class)
{
	for (const struct mof_class *c = super->next; c; c = c->next)
		if (c == class)
			return true;
	return false;
}

bool mof_resolve(struct mof_schema *schema)
{
	unsigned errors = schema->errors;

	for (struct mof_class *class = schema->classes; class; class = class->next) {
		if (mof_qualifier_true(class->qualifiers, "Abstract"))
			class->flags |= CIM_CLASS_ABSTRACT;
		if (mof_qualifier_true(class->qualifiers, "Association"))
			class->flags |= CIM_CLASS_ASSOCIATION;
		check_qualifiers(schema, class->qualifiers,
				 class->flags & CIM_CLASS_ASSOCIATION ? MOF_SCOPE_CLASS | MOF_SCOPE_ASSOC
								      : MOF_SCOPE_CLASS);
		if (class->super_name) {
			class->super = mof_find_class(schema, class->super_name);
			if (!class->super || !stands_before(class->super, class)) {
				mof_error(schema, class->place,
					  "superclass %s of %s does not stand before it", class->super_name,
					  class->name);
				class->super = NULL;
			} else if ((class->super->flags ^ class->flags) & CIM_CLASS_ASSOCIATION) {
				mof_error(schema, class->place,
					  "%s and its superclass must both be associations", class->name);
			}
		}
		flatten(schema, class);
		check_keys(schema, class);
	}
	return schema->errors == errors;
}
