/* SPDX-License-Identifier: Apache-2.0 */
/* The C side: enumerations, tables and bindings. Data only. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "emit.h"

#define FIRST_LINES                                                                                          \
	"/* SPDX-License-Identifier: Apache-2.0 */\n/* Made by mofc from schemas/mof. Do not edit. */\n"

static const char *const type_constants[] = {
	[CIM_TYPE_BOOLEAN] = "CIM_TYPE_BOOLEAN",   [CIM_TYPE_UINT8] = "CIM_TYPE_UINT8",
	[CIM_TYPE_UINT16] = "CIM_TYPE_UINT16",     [CIM_TYPE_UINT32] = "CIM_TYPE_UINT32",
	[CIM_TYPE_UINT64] = "CIM_TYPE_UINT64",     [CIM_TYPE_SINT8] = "CIM_TYPE_SINT8",
	[CIM_TYPE_SINT16] = "CIM_TYPE_SINT16",     [CIM_TYPE_SINT32] = "CIM_TYPE_SINT32",
	[CIM_TYPE_SINT64] = "CIM_TYPE_SINT64",     [CIM_TYPE_STRING] = "CIM_TYPE_STRING",
	[CIM_TYPE_DATETIME] = "CIM_TYPE_DATETIME", [CIM_TYPE_REFERENCE] = "CIM_TYPE_REFERENCE",
};

bool emit_class_has_instances(const struct mof_class *class)
{
	return !(class->flags & CIM_CLASS_ABSTRACT) && class->key_count;
}

static void emit_string(FILE *out, const char *text)
{
	if (!text) {
		fputs("NULL", out);
		return;
	}
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f)
			fprintf(out, "\\%03o", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

bool emit_header(FILE *out, const struct mof_schema *schema)
{
	fputs(FIRST_LINES
	      "#ifndef CIM_SCHEMA_GEN_H\n#define CIM_SCHEMA_GEN_H\n\n#include \"mof/cim_schema.h\"\n",
	      out);
	for (const struct mof_class *c = schema->classes; c; c = c->next) {
		fprintf(out, "\nextern const struct cim_class cim_class_%s;\n", c->name);
		if (c->property_count) {
			fprintf(out, "enum {\n");
			for (size_t i = 0; i < c->property_count; i++)
				fprintf(out, "\t%s_%s = %zu,\n", c->name, c->properties[i]->name, i);
			fprintf(out, "};\n");
		}
		for (size_t m = 0; m < c->method_count; m++) {
			size_t i = 0;

			if (c->methods[m]->origin != c || !c->methods[m]->parameters)
				continue;
			fprintf(out, "enum {\n");
			for (const struct mof_feature *p = c->methods[m]->parameters; p; p = p->next)
				fprintf(out, "\t%s_%s_%s = %zu,\n", c->name, c->methods[m]->name, p->name,
					i++);
			fprintf(out, "};\n");
		}
	}
	fputs("\n#endif\n", out);
	return true;
}

static void emit_labels(FILE *out, const struct mof_feature *f, const char *name)
{
	const struct mof_literal *map = mof_qualifier_literal(f->qualifiers, "ValueMap");
	const struct mof_literal *text = mof_qualifier_literal(f->qualifiers, "Values");
	int64_t low, high;

	if (!map || !text)
		return;
	fprintf(out, "static const struct cim_label labels_%s[] = {\n", name);
	for (; map && text; map = map->next, text = text->next) {
		if (!mof_value_range(map->string, f->type.type, &low, &high))
			continue;
		fprintf(out, "\t{ INT64_C(%" PRId64 "), INT64_C(%" PRId64 "), ", low, high);
		emit_string(out, text->string);
		fputs(" },\n", out);
	}
	fputs("};\n", out);
}

static void emit_bound(FILE *out, const struct mof_literal *literal, const char *has, const char *field)
{
	if (literal)
		fprintf(out, ", .%s = true, .%s = INT64_C(%s%" PRIu64 ")", has, field,
			literal->negative ? "-" : "", literal->magnitude);
}

static void emit_value_type(FILE *out, const struct mof_feature *f, const char *name)
{
	const struct mof_literal *length = mof_qualifier_literal(f->qualifiers, "MaxLen");
	const char *target = f->type.type == CIM_TYPE_REFERENCE
				     ? f->type.reference
				     : mof_qualifier_string(f->qualifiers, "EmbeddedInstance");
	const char *units = mof_qualifier_string(f->qualifiers, "Units");

	fprintf(out, "{ .type = %s, .is_array = %s", type_constants[f->type.type],
		f->type.is_array ? "true" : "false");
	if (target) {
		fputs(", .target = ", out);
		emit_string(out, target);
	}
	if (units) {
		fputs(", .units = ", out);
		emit_string(out, units);
	}
	if (length)
		fprintf(out, ", .max_length = %" PRIu64, length->magnitude);
	emit_bound(out, mof_qualifier_literal(f->qualifiers, "MinValue"), "has_minimum", "minimum");
	emit_bound(out, mof_qualifier_literal(f->qualifiers, "MaxValue"), "has_maximum", "maximum");
	if (mof_find_qualifier(f->qualifiers, "ValueMap"))
		fprintf(out, ", .labels = labels_%s, .label_count = sizeof(labels_%s) / sizeof(labels_%s[0])",
			name, name, name);
	fputs(" }", out);
}

static void emit_default(FILE *out, const struct mof_feature *f, const char *name)
{
	if (!f->initial || f->initial->items->kind == MOF_NULL)
		return;
	fprintf(out, "static const char *const default_%s[] = {", name);
	for (const struct mof_literal *item = f->initial->items; item; item = item->next) {
		char number[24];

		fputc(' ', out);
		if (item->kind == MOF_STRING) {
			emit_string(out, item->string);
		} else if (item->kind == MOF_BOOLEAN) {
			fputs(item->boolean ? "\"true\"" : "\"false\"", out);
		} else {
			snprintf(number, sizeof(number), "%s%" PRIu64, item->negative ? "-" : "",
				 item->magnitude);
			emit_string(out, number);
		}
		fputc(',', out);
	}
	fputs(" };\n", out);
}

static void emit_properties(FILE *out, const struct mof_class *c)
{
	char name[512];

	for (size_t i = 0; i < c->property_count; i++) {
		snprintf(name, sizeof(name), "%s_%s", c->name, c->properties[i]->name);
		emit_labels(out, c->properties[i], name);
		emit_default(out, c->properties[i], name);
	}
	if (!c->property_count)
		return;
	fprintf(out, "static const struct cim_property properties_%s[] = {\n", c->name);
	for (size_t i = 0; i < c->property_count; i++) {
		const struct mof_feature *p = c->properties[i];
		bool initial = p->initial && p->initial->items->kind != MOF_NULL;

		snprintf(name, sizeof(name), "%s_%s", c->name, p->name);
		fprintf(out, "\t{ .name = \"%s\", .origin = \"%s\", .flags = %#x, .value = ", p->name,
			p->origin->name, p->flags);
		emit_value_type(out, p, name);
		if (mof_qualifier_string(p->qualifiers, "Description")) {
			fputs(", .description = ", out);
			emit_string(out, mof_qualifier_string(p->qualifiers, "Description"));
		}
		if (initial)
			fprintf(out,
				", .defaults = default_%s, .default_count = sizeof(default_%s) / sizeof(char "
				"*)",
				name, name);
		fputs(" },\n", out);
	}
	fputs("};\n", out);
}

static unsigned parameter_flags(const struct mof_feature *p)
{
	unsigned flags = 0;

	/* In is the default of DSP0004: it is there unless the text says In(FALSE). */
	if (!mof_find_qualifier(p->qualifiers, "In") || mof_qualifier_true(p->qualifiers, "In"))
		flags |= CIM_PARAMETER_IN;
	if (mof_qualifier_true(p->qualifiers, "Out"))
		flags |= CIM_PARAMETER_OUT;
	if (mof_qualifier_true(p->qualifiers, "Required"))
		flags |= CIM_PARAMETER_REQUIRED;
	return flags;
}

static void emit_parameters(FILE *out, const struct mof_class *c, const struct mof_feature *m)
{
	char name[768];

	snprintf(name, sizeof(name), "%s_%s_returns", c->name, m->name);
	emit_labels(out, m, name);
	for (const struct mof_feature *p = m->parameters; p; p = p->next) {
		snprintf(name, sizeof(name), "%s_%s_%s", c->name, m->name, p->name);
		emit_labels(out, p, name);
	}
	if (!m->parameters)
		return;
	fprintf(out, "static const struct cim_parameter parameters_%s_%s[] = {\n", c->name, m->name);
	for (const struct mof_feature *p = m->parameters; p; p = p->next) {
		snprintf(name, sizeof(name), "%s_%s_%s", c->name, m->name, p->name);
		fprintf(out, "\t{ .name = \"%s\", .flags = %#x, .value = ", p->name, parameter_flags(p));
		emit_value_type(out, p, name);
		fputs(" },\n", out);
	}
	fputs("};\n", out);
}

static void emit_methods(FILE *out, const struct mof_class *c)
{
	char name[512];

	for (size_t i = 0; i < c->method_count; i++)
		emit_parameters(out, c, c->methods[i]);
	if (!c->method_count)
		return;
	fprintf(out, "static const struct cim_method methods_%s[] = {\n", c->name);
	for (size_t i = 0; i < c->method_count; i++) {
		const struct mof_feature *m = c->methods[i];

		snprintf(name, sizeof(name), "%s_%s_returns", c->name, m->name);
		fprintf(out, "\t{ .name = \"%s\", .origin = \"%s\", .flags = %#x, .result = ", m->name,
			m->origin->name,
			mof_qualifier_true(m->qualifiers, "Undercroft_MayReturnJob")
				? CIM_METHOD_MAY_RETURN_JOB
				: 0);
		emit_value_type(out, m, name);
		if (m->parameters)
			fprintf(out,
				", .parameters = parameters_%s_%s, .parameter_count = "
				"sizeof(parameters_%s_%s) / sizeof(parameters_%s_%s[0])",
				c->name, m->name, c->name, m->name, c->name, m->name);
		fputs(" },\n", out);
	}
	fputs("};\n", out);
}

static void emit_class(FILE *out, const struct mof_class *c)
{
	emit_properties(out, c);
	emit_methods(out, c);
	if (c->key_count) {
		fprintf(out, "static const uint16_t keys_%s[] = {", c->name);
		for (size_t i = 0; i < c->key_count; i++)
			fprintf(out, " %zu,", c->keys[i]);
		fputs(" };\n", out);
	}
	fprintf(out, "const struct cim_class cim_class_%s = { .name = \"%s\", .flags = %#x", c->name, c->name,
		c->flags);
	if (mof_qualifier_string(c->qualifiers, "Description")) {
		fputs(", .description = ", out);
		emit_string(out, mof_qualifier_string(c->qualifiers, "Description"));
	}
	if (c->super)
		fprintf(out, ", .superclass = &cim_class_%s", c->super->name);
	if (c->property_count)
		fprintf(out, ", .properties = properties_%s, .property_count = %zu", c->name,
			c->property_count);
	if (c->method_count)
		fprintf(out, ", .methods = methods_%s, .method_count = %zu", c->name, c->method_count);
	if (c->key_count)
		fprintf(out, ", .keys = keys_%s, .key_count = %zu", c->name, c->key_count);
	fputs(" };\n\n", out);
}

static int by_name(const void *a, const void *b)
{
	return strcasecmp((*(struct mof_class *const *)a)->name, (*(struct mof_class *const *)b)->name);
}

static struct mof_class **sorted_classes(const struct mof_schema *schema, size_t *count)
{
	struct mof_class **list;

	*count = 0;
	for (const struct mof_class *c = schema->classes; c; c = c->next)
		(*count)++;
	list = mof_alloc((*count + 1) * sizeof(*list));
	*count = 0;
	for (struct mof_class *c = schema->classes; c; c = c->next)
		list[(*count)++] = c;
	qsort(list, *count, sizeof(*list), by_name);
	return list;
}

bool emit_tables(FILE *out, const struct mof_schema *schema)
{
	size_t count;
	struct mof_class **list = sorted_classes(schema, &count);

	fputs(FIRST_LINES "#include \"cim_schema.gen.h\"\n\n", out);
	for (const struct mof_class *c = schema->classes; c; c = c->next)
		emit_class(out, c);
	fputs("const struct cim_class *const cim_classes[] = {\n", out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "\t&cim_class_%s,\n", list[i]->name);
	fprintf(out, "};\nconst size_t cim_class_count = %zu;\n", count);
	return true;
}

bool emit_bindings(FILE *out, const struct mof_schema *schema)
{
	size_t count;
	struct mof_class **list = sorted_classes(schema, &count);

	fputs(FIRST_LINES "#include \"cim/provider.h\"\n#include \"cim_schema.gen.h\"\n\n", out);
	for (size_t i = 0; i < count; i++) {
		const struct mof_class *c = list[i];

		if (!emit_class_has_instances(c))
			continue;
		fprintf(out, "extern const struct cim_provider cim_provider_%s;\n", c->name);
		for (size_t m = 0; m < c->method_count; m++)
			fprintf(out, "cim_method_function cim_method_%s_%s;\n", c->name, c->methods[m]->name);
		if (!c->method_count)
			continue;
		fprintf(out, "static cim_method_function *const functions_%s[] = {\n", c->name);
		for (size_t m = 0; m < c->method_count; m++)
			fprintf(out, "\tcim_method_%s_%s,\n", c->name, c->methods[m]->name);
		fputs("};\n", out);
	}
	fputs("\n/* One row per class, in the order of cim_classes[]. */\nconst struct cim_binding "
	      "cim_bindings[] = {\n",
	      out);
	for (size_t i = 0; i < count; i++) {
		const struct mof_class *c = list[i];

		if (!emit_class_has_instances(c))
			fputs("\t{ NULL, NULL },\n", out);
		else if (c->method_count)
			fprintf(out, "\t{ &cim_provider_%s, functions_%s },\n", c->name, c->name);
		else
			fprintf(out, "\t{ &cim_provider_%s, NULL },\n", c->name);
	}
	fputs("};\n", out);
	return true;
}

bool emit_cli_properties(FILE *out, const struct mof_schema *schema)
{
	size_t count;
	struct mof_class **list = sorted_classes(schema, &count);

	fputs(FIRST_LINES "#include \"cli/cli_schema.h\"\n\n", out);
	for (size_t i = 0; i < count; i++) {
		if (!emit_class_has_instances(list[i]))
			continue;
		fprintf(out, "static const char *const properties_%s[] = {\n", list[i]->name);
		for (size_t p = 0; p < list[i]->property_count; p++)
			fprintf(out, "\t\"%s\",\n", list[i]->properties[p]->name);
		fputs("\tNULL,\n};\n", out);
	}
	fputs("const struct cli_class cli_classes[] = {\n", out);
	for (size_t i = 0; i < count; i++)
		if (emit_class_has_instances(list[i]))
			fprintf(out, "\t{ \"%s\", properties_%s },\n", list[i]->name, list[i]->name);
	fputs("\t{ NULL, NULL },\n};\n", out);
	return true;
}
