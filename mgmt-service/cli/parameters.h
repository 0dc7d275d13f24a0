/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters of a command: names without case and by unambiguous beginning, positions, switches, sizes,
 * lists. */
#ifndef CLI_PARAMETERS_H
#define CLI_PARAMETERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/line.h"

enum parameter_type {
	PARAMETER_SWITCH,
	PARAMETER_STRING,
	PARAMETER_STRINGS,
	PARAMETER_BYTES,
	PARAMETER_NUMBER
};

#define PARAMETER_NAMED     0 /* position: only by name */
#define PARAMETERS_MAX      16
#define PARAMETER_ITEMS_MAX 32
#define PARAMETER_MANDATORY true
#define PARAMETER_OPTIONAL  false

struct parameter {
	const char *name;
	const char *alias; /* or NULL */
	enum parameter_type type;
	unsigned position; /* 1 is the first word that has no parameter name */
	bool mandatory;    /* unless objects come through the pipeline */
};

struct parameter_value {
	bool given;
	uint64_t number; /* bytes, number; 1 for a switch */
	size_t count;
	const char *items[PARAMETER_ITEMS_MAX];
};

/* Values parallel to the table; texts belong to the words (list items are cut there, in place). */
struct parameters {
	const struct parameter *table; /* a row without a name ends it */
	struct parameter_value values[PARAMETERS_MAX];
};

/* NULL, or a sentence that says what is wrong, valid until the next call. */
const char *parameters_read(struct parameters *parameters, const struct parameter *table,
			    const struct word *words, size_t count);
/* The first mandatory one that is missing, or NULL. */
const char *parameters_missing(const struct parameters *parameters);
/* The table has a parameter of that name. */
const struct parameter_value *parameters_get(const struct parameters *parameters, const char *name);
const char *parameters_string(const struct parameters *parameters, const char *name);
bool parameters_switch(const struct parameters *parameters, const char *name);
/* "512MB", "4gb", "1.5GB", "1048576". */
bool parameters_bytes(const char *text, uint64_t *bytes);

#endif
