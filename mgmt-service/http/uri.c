/* SPDX-License-Identifier: Apache-2.0 */
#include "http/uri.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cim/query.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

/* How many bytes follow a first byte; 4: it is none. */
static unsigned utf8_more(unsigned char first)
{
	if (first < 0x80)
		return 0;
	if (first < 0xc2 || first > 0xf4)
		return 4;
	return first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
}

/* Well-formed UTF-8 without overlong forms and surrogates. Source: RFC 3629 section 4. */
static bool is_utf8(const unsigned char *s)
{
	while (*s) {
		unsigned more = utf8_more(*s);
		unsigned char first = *s++;

		if (more == 4)
			return false;
		if ((first == 0xe0 && *s < 0xa0) || (first == 0xed && *s > 0x9f) ||
		    (first == 0xf0 && *s < 0x90) || (first == 0xf4 && *s > 0x8f))
			return false;
		for (; more; more--, s++)
			if ((*s & 0xc0) != 0x80)
				return false;
	}
	return true;
}

char *uri_decode(struct arena *arena, const char *text, size_t size)
{
	char *out = arena_alloc(arena, size + 1);
	size_t used = 0;

	for (size_t i = 0; i < size; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			int high = i + 2 < size ? hex_digit(text[i + 1]) : -1;
			int low = high < 0 ? -1 : hex_digit(text[i + 2]);

			if (low < 0)
				return NULL;
			c = high * 16 + low;
			i += 2;
		}
		if (c == 0)
			return NULL;
		out[used++] = (char)c;
	}
	return is_utf8((unsigned char *)out) ? out : NULL;
}

char *uri_encode(struct arena *arena, const char *text)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = arena_alloc(arena, strlen(text) * 3 + 1);
	size_t used = 0;

	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr("-._~:", c)) {
			out[used++] = (char)c;
		} else {
			out[used++] = '%';
			out[used++] = digits[c >> 4];
			out[used++] = digits[c & 15];
		}
	}
	return out;
}

const char *uri_below_base(const char *raw_path)
{
	static const char *const bases[] = {URI_BASE, URI_ALIAS};

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		size_t size = strlen(bases[i]);

		/* The escape in the alias may be written in either case. */
		if (strncasecmp(raw_path, bases[i], size) == 0 && raw_path[size] == '/')
			return raw_path + size;
	}
	return NULL;
}

char *uri_of(struct arena *arena, const struct cim_reference *reference)
{
	char *uri = arena_printf(arena, URI_BASE "/classes/%s/instances/", reference->class->name);

	for (size_t i = 0; i < reference->key_count; i++) {
		const struct cim_property *p =
			&reference->class->properties[cim_class_key(reference->class, i)];
		const char *value = p->value.type == CIM_TYPE_REFERENCE
					    ? uri_of(arena, reference->keys[i].reference)
					    : reference->keys[i].string;

		value = uri_encode(arena, value);
		if (reference->key_count == 1)
			uri = arena_printf(arena, "%s%s", uri, value);
		else
			uri = arena_printf(arena, "%s%s%s=%s", uri, i ? "," : "", p->name, value);
	}
	return uri;
}

static void no_instance(struct cim_context *context, const struct cim_class *class)
{
	cim_error_set(&context->error, context->arena, CIM_ERR_NOT_FOUND, NULL,
		      "There is no such instance of %s", class->name);
}

/* The last key alone, where it names exactly one instance. */
static struct cim_reference *by_last_key(struct cim_context *context, const struct cim_class *class,
					 const char *value)
{
	struct cim_reference *found = NULL;
	struct cim_list list;

	cim_list_init(&list, context->arena);
	cim_enumerate(context, class, false, &list);
	for (size_t i = 0; i < list.count; i++) {
		struct cim_reference *reference = cim_reference_of(list.items[i]);
		size_t last = reference->key_count - 1;
		enum cim_type type = list.items[i]
					     ->class->properties[cim_class_key(list.items[i]->class, last)]
					     .value.type;

		if (type == CIM_TYPE_REFERENCE || strcasecmp(reference->keys[last].string, value) != 0)
			continue;
		if (found) {
			no_instance(context, class);
			return NULL;
		}
		found = reference;
	}
	if (!found)
		no_instance(context, class);
	return found;
}

static int key_by_name(const struct cim_class *class, const char *name, size_t size)
{
	for (size_t i = 0; i < class->key_count; i++) {
		const char *key = class->properties[cim_class_key(class, i)].name;

		if (strlen(key) == size && strncasecmp(key, name, size) == 0)
			return (int)i;
	}
	return -1;
}

static bool set_key(struct cim_context *context, struct cim_reference *reference, size_t n, const char *raw,
		    size_t size)
{
	const struct cim_property *p = &reference->class->properties[cim_class_key(reference->class, n)];
	char *value = uri_decode(context->arena, raw, size);

	if (!value) {
		no_instance(context, reference->class);
		return false;
	}
	if (p->value.type != CIM_TYPE_REFERENCE) {
		reference->keys[n].string = value;
		return true;
	}
	reference->keys[n].reference = uri_parse_reference(context, value, p->name);
	return reference->keys[n].reference != NULL;
}

struct cim_reference *uri_parse_key(struct cim_context *context, const struct cim_class *class,
				    const char *raw)
{
	struct cim_reference *reference = arena_alloc(context->arena, sizeof(*reference));
	size_t count = class->key_count;
	unsigned given = 0;
	char *value;

	reference->class = class;
	reference->key_count = count;
	if (!count) {
		no_instance(context, class);
		return NULL;
	}
	if (count == 1)
		return set_key(context, reference, 0, raw, strlen(raw)) ? reference : NULL;
	if (!strchr(raw, '=')) {
		value = uri_decode(context->arena, raw, strlen(raw));
		if (!value) {
			no_instance(context, class);
			return NULL;
		}
		return by_last_key(context, class, value);
	}
	while (*raw) {
		size_t size = strcspn(raw, ","), name = strcspn(raw, "=");
		int n = name < size ? key_by_name(class, raw, name) : -1;

		if (n < 0 || (given & (1u << n))) {
			no_instance(context, class);
			return NULL;
		}
		if (!set_key(context, reference, (size_t)n, raw + name + 1, size - name - 1))
			return NULL;
		given |= 1u << n;
		raw += size + (raw[size] == ',');
	}
	if (given != (1u << count) - 1) {
		no_instance(context, class);
		return NULL;
	}
	return reference;
}

struct cim_reference *uri_parse_reference(struct cim_context *context, const char *text, const char *field)
{
	static const char classes[] = "/classes/", instances[] = "/instances/";
	const char *rest = uri_below_base(text), *slash;
	const struct cim_class *class;

	/* Keys that are references nest: the bound keeps both depth and copies small. */
	if (!rest || strlen(text) > URI_REFERENCE_MAX || strncmp(rest, classes, sizeof(classes) - 1) != 0)
		goto malformed;
	rest += sizeof(classes) - 1;
	slash = strchr(rest, '/');
	if (!slash || strncmp(slash, instances, sizeof(instances) - 1) != 0 ||
	    strchr(slash + sizeof(instances) - 1, '/'))
		goto malformed;
	class = cim_class_find(arena_strndup(context->arena, rest, (size_t)(slash - rest)));
	if (!class) {
		cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field,
			      "%s refers to an unknown class", field);
		return NULL;
	}
	/* References inside a reference exist only in association keys: one level deep, bounded by the text's
	 * length. */
	return uri_parse_key(context, class, slash + sizeof(instances) - 1);
malformed:
	cim_error_set(&context->error, context->arena, CIM_ERR_INVALID_PARAMETER, field,
		      "%s must be the path of an instance, " URI_BASE "/classes/CLASS/instances/KEY", field);
	return NULL;
}
