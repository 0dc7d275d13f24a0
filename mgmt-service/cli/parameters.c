/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/parameters.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char problem[512];

static const char *fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static const char *fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(problem, sizeof(problem), format, arguments);
	va_end(arguments);
	return problem;
}

bool parameters_bytes(const char *text, uint64_t *bytes)
{
	static const struct {
		const char *unit;
		uint64_t factor;
	} units[] = {
		{"", 1},
		{"KB", 1024},
		{"MB", 1024 * 1024},
		{"GB", UINT64_C(1) << 30},
		{"TB", UINT64_C(1) << 40},
	};
	long double number;
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	number = strtold(text, &end);
	/* strtold takes more than digits and a point: hexadecimal, exponents. */
	if (strspn(text, "0123456789.") != (size_t)(end - text))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcasecmp(end, units[i].unit) == 0) {
			number *= (long double)units[i].factor;
			if (number >= 9223372036854775808.0L || number != (long double)(uint64_t)number)
				return false;
			*bytes = (uint64_t)number;
			return true;
		}
	return false;
}

static const char *find(const struct parameter *table, const char *name, size_t *index)
{
	size_t size = strlen(name), matches = 0;

	for (size_t i = 0; table[i].name; i++) {
		if (strcasecmp(table[i].name, name) == 0 ||
		    (table[i].alias && strcasecmp(table[i].alias, name) == 0)) {
			*index = i;
			return NULL;
		}
		if (strncasecmp(table[i].name, name, size) == 0) {
			*index = i;
			matches++;
		}
	}
	if (matches == 1)
		return NULL;
	return matches ? fail("The parameter -%s is ambiguous.", name)
		       : fail("There is no parameter -%s.", name);
}

static const char *set_list(const struct parameter *p, struct parameter_value *value, char *text)
{
	char *save = NULL;

	for (char *item = strtok_r(text, ",", &save); item; item = strtok_r(NULL, ",", &save)) {
		if (value->count == PARAMETER_ITEMS_MAX)
			return fail("-%s has more than %d values.", p->name, PARAMETER_ITEMS_MAX);
		value->items[value->count++] = item;
	}
	return value->count ? NULL : fail("-%s needs a value.", p->name);
}

static const char *set(const struct parameter *p, struct parameter_value *value, char *text)
{
	char *end;

	if (value->given)
		return fail("-%s is given twice.", p->name);
	value->given = true;
	if (p->type == PARAMETER_STRINGS)
		return set_list(p, value, text);
	value->items[0] = text;
	value->count = 1;
	if (p->type == PARAMETER_BYTES && !parameters_bytes(text, &value->number))
		return fail("-%s: \"%s\" is no size (512MB, 4GB, or bytes).", p->name, text);
	if (p->type == PARAMETER_NUMBER) {
		errno = 0;
		value->number = strtoull(text, &end, 10);
		if (!isdigit((unsigned char)text[0]) || *end || errno)
			return fail("-%s: \"%s\" is no number.", p->name, text);
	}
	return NULL;
}

static const char *set_position(struct parameters *parameters, unsigned *position, char *text)
{
	for (;;) {
		size_t i = 0;

		(*position)++;
		while (parameters->table[i].name && parameters->table[i].position != *position)
			i++;
		if (!parameters->table[i].name)
			return fail("\"%s\" has no place here.", text);
		/* One that was given by name does not take a place again. */
		if (!parameters->values[i].given)
			return set(&parameters->table[i], &parameters->values[i], text);
	}
}

const char *parameters_read(struct parameters *parameters, const struct parameter *table,
			    const struct word *words, size_t count)
{
	unsigned position = 0;
	const char *wrong;
	size_t index = 0;

	memset(parameters, 0, sizeof(*parameters));
	parameters->table = table;
	for (size_t i = 0; i < count; i++) {
		char *text = words[i].text;

		if (words[i].quoted || text[0] != '-' || !isalpha((unsigned char)text[1])) {
			wrong = set_position(parameters, &position, text);
			if (wrong)
				return wrong;
			continue;
		}
		wrong = find(table, text + 1, &index);
		if (wrong)
			return wrong;
		if (table[index].type == PARAMETER_SWITCH) {
			parameters->values[index].given = true;
			parameters->values[index].number = 1;
			continue;
		}
		if (++i == count)
			return fail("-%s needs a value.", table[index].name);
		wrong = set(&table[index], &parameters->values[index], words[i].text);
		if (wrong)
			return wrong;
	}
	return NULL;
}

const char *parameters_missing(const struct parameters *parameters)
{
	for (size_t i = 0; parameters->table[i].name; i++)
		if (parameters->table[i].mandatory && !parameters->values[i].given)
			return parameters->table[i].name;
	return NULL;
}

const struct parameter_value *parameters_get(const struct parameters *parameters, const char *name)
{
	for (size_t i = 0; parameters->table[i].name; i++)
		if (strcmp(parameters->table[i].name, name) == 0)
			return &parameters->values[i];
	abort();
}

const char *parameters_string(const struct parameters *parameters, const char *name)
{
	const struct parameter_value *value = parameters_get(parameters, name);

	return value->given ? value->items[0] : NULL;
}

bool parameters_switch(const struct parameters *parameters, const char *name)
{
	return parameters_get(parameters, name)->given;
}
