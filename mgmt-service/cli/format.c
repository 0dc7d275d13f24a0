/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/format.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define CELL_ROOM 512

/* Text of others on a terminal: control characters would be commands. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void append(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void append(char *out, const char *format, ...)
{
	size_t used = strlen(out);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out + used, CELL_ROOM - used, format, arguments);
	va_end(arguments);
}

static void put_value(char *out, struct json_object *value)
{
	if (json_object_is_type(value, json_type_array)) {
		append(out, "{");
		for (size_t i = 0; i < json_object_array_length(value); i++) {
			append(out, "%s", i ? ", " : "");
			put_value(out, json_object_array_get_idx(value, i));
		}
		append(out, "}");
	} else if (json_object_is_type(value, json_type_boolean)) {
		append(out, "%s", json_object_get_boolean(value) ? "True" : "False");
	} else if (value) {
		append(out, "%s", json_object_get_string(value));
	}
}

static void cell(char *out, struct json_object *object, const struct column *column)
{
	struct json_object *value = NULL;

	out[0] = 0;
	json_object_object_get_ex(object, column->property, &value);
	if (column->form == CELL_MIB && value)
		append(out, "%lld", (long long)(json_object_get_int64(value) / (1024 * 1024)));
	else
		put_value(out, value);
	make_printable(out);
}

/* Columns a text takes: UTF-8 characters, not bytes. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void put_cell(FILE *out, const char *text, size_t width, int last)
{
	fputs(text, out);
	for (size_t have = width_of(text); !last && have < width + 1; have++)
		fputc(' ', out);
}

void format_table(FILE *out, struct json_object *objects, const struct column *columns)
{
	size_t widths[FORMAT_COLUMNS_MAX], count = 0, rows = json_object_array_length(objects);
	char text[CELL_ROOM];

	if (!rows)
		return;
	for (; columns[count].heading && count < FORMAT_COLUMNS_MAX; count++) {
		widths[count] = width_of(columns[count].heading);
		for (size_t row = 0; row < rows; row++) {
			cell(text, json_object_array_get_idx(objects, row), &columns[count]);
			if (width_of(text) > widths[count])
				widths[count] = width_of(text);
		}
	}
	fputc('\n', out);
	for (size_t c = 0; c < count; c++)
		put_cell(out, columns[c].heading, widths[c], c + 1 == count);
	fputc('\n', out);
	for (size_t c = 0; c < count; c++) {
		size_t size = width_of(columns[c].heading);

		memset(text, '-', size);
		text[size] = 0;
		put_cell(out, text, widths[c], c + 1 == count);
	}
	fputc('\n', out);
	for (size_t row = 0; row < rows; row++) {
		for (size_t c = 0; c < count; c++) {
			cell(text, json_object_array_get_idx(objects, row), &columns[c]);
			put_cell(out, text, widths[c], c + 1 == count);
		}
		fputc('\n', out);
	}
	fputc('\n', out);
}

static void put_line(FILE *out, const char *name, struct json_object *value, size_t width)
{
	char text[CELL_ROOM] = "";

	put_value(text, value);
	make_printable(text);
	fprintf(out, "%-*s : %s\n", (int)width, name, text);
}

void format_list(FILE *out, struct json_object *objects, const char *const *properties)
{
	size_t rows = json_object_array_length(objects);

	for (size_t row = 0; row < rows; row++) {
		struct json_object *object = json_object_array_get_idx(objects, row), *value;
		size_t width = 0;

		fputc('\n', out);
		for (size_t i = 0; properties && properties[i]; i++)
			width = strlen(properties[i]) > width ? strlen(properties[i]) : width;
		if (!properties) {
			json_object_object_foreach(object, name, ignored)
			{
				(void)ignored;
				width = strlen(name) > width ? strlen(name) : width;
			}
		}
		for (size_t i = 0; properties && properties[i]; i++) {
			value = NULL;
			json_object_object_get_ex(object, properties[i], &value);
			put_line(out, properties[i], value, width);
		}
		if (!properties) {
			json_object_object_foreach(object, name, member)
			{
				put_line(out, name, member, width);
			}
		}
	}
	if (rows)
		fputc('\n', out);
}

void format_json(FILE *out, struct json_object *objects)
{
	for (size_t i = 0; i < json_object_array_length(objects); i++)
		fprintf(out, "%s\n",
			json_object_to_json_string_ext(json_object_array_get_idx(objects, i),
						       JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
}
