/* SPDX-License-Identifier: Apache-2.0 */
#include "cim/path.h"

#include <string.h>
#include <strings.h>

#define NAMESPACE "Root\\Virtualization\\V2"

static char *escape(struct arena *arena, const char *value)
{
	char *out = arena_alloc(arena, strlen(value) * 2 + 1), *at = out;

	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			*at++ = '\\';
		*at++ = *value;
	}
	return out;
}

char *cim_path_of(struct arena *arena, const char *host, const struct cim_reference *reference)
{
	char *path = arena_printf(arena, "\\\\%s\\" NAMESPACE ":%s", host, reference->class->name);

	for (size_t i = 0; i < reference->key_count; i++) {
		const struct cim_property *p =
			&reference->class->properties[cim_class_key(reference->class, i)];

		if (p->value.type == CIM_TYPE_REFERENCE)
			return NULL;
		path = arena_printf(arena, "%s%c%s=\"%s\"", path, i ? ',' : '.', p->name,
				    escape(arena, reference->keys[i].string));
	}
	return path;
}

/* What stands in quotes, and behind them; NULL when they do not close. */
static char *unescape(struct arena *arena, const char *text, const char **end)
{
	char *out = arena_alloc(arena, strlen(text) + 1), *at = out;

	for (; *text && *text != '"'; text++) {
		if (*text == '\\' && *++text == 0)
			return NULL;
		*at++ = *text;
	}
	*end = text + 1;
	return *text ? out : NULL;
}

static bool parse_key(struct cim_reference *reference, struct arena *arena, const char **text)
{
	const char *equals = strchr(*text, '=');

	if (!equals || equals[1] != '"')
		return false;
	for (size_t i = 0; i < reference->key_count; i++) {
		const struct cim_property *p =
			&reference->class->properties[cim_class_key(reference->class, i)];
		size_t size = (size_t)(equals - *text);

		if (strlen(p->name) != size || strncasecmp(p->name, *text, size) != 0)
			continue;
		if (p->value.type == CIM_TYPE_REFERENCE || reference->keys[i].string)
			return false;
		reference->keys[i].string = unescape(arena, equals + 2, text);
		return reference->keys[i].string != NULL;
	}
	return false;
}

struct cim_reference *cim_path_parse(struct arena *arena, const char *text)
{
	struct cim_reference *reference = arena_alloc(arena, sizeof(*reference));
	const char *colon = strchr(text, ':'), *dot;

	if (text[0] == '\\') {
		if (!colon)
			return NULL;
		text = colon + 1;
	}
	dot = strchr(text, '.');
	if (!dot)
		return NULL;
	reference->class = cim_class_find(arena_strndup(arena, text, (size_t)(dot - text)));
	if (!reference->class || !reference->class->key_count || reference->class->key_count > CIM_KEYS_MAX)
		return NULL;
	reference->key_count = reference->class->key_count;
	text = dot + 1;
	for (size_t i = 0; i < reference->key_count; i++) {
		if ((i && *text++ != ',') || !parse_key(reference, arena, &text))
			return NULL;
	}
	return *text ? NULL : reference;
}

/* HostResource of a disk is a file; of a network connection it is a switch or an adapter. */
static bool is_ethernet(const struct cim_class *class)
{
	while (class && strcmp(class->name, "CIM_EthernetPortAllocationSettingData") != 0)
		class = class->superclass;
	return class != NULL;
}

bool cim_path_property(const struct cim_class *class, const struct cim_property *property)
{
	return strcmp(property->origin, "CIM_ResourceAllocationSettingData") == 0 &&
	       (strcmp(property->name, "Parent") == 0 ||
		(strcmp(property->name, "HostResource") == 0 && is_ethernet(class)));
}
