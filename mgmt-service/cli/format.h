/* SPDX-License-Identifier: Apache-2.0 */
/* The last stage: objects as a table, as lists, or as JSON lines. */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <json-c/json.h>
#include <stdio.h>

enum cell_form { CELL_PLAIN, CELL_MIB };

struct column {
	const char *heading;
	const char *property;
	enum cell_form form; /* CELL_MIB: bytes shown as MiB */
};

#define FORMAT_COLUMNS_MAX 24

/* `objects` is an array. A column without a heading ends the list. */
void format_table(FILE *out, struct json_object *objects, const struct column *columns);
/* properties: NULL for all, else a list that NULL ends. */
void format_list(FILE *out, struct json_object *objects, const char *const *properties);
void format_json(FILE *out, struct json_object *objects);

#endif
