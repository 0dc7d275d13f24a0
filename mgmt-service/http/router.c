/* SPDX-License-Identifier: Apache-2.0 */
#include "http/router.h"

#include <string.h>

#include "http/uri.h"

#define PARTS_MAX 7

/* "{c}" class, "{k}" key, "{m}" method name; anything else is itself. */
static const struct row {
	const char *method;
	const char *parts[PARTS_MAX];
	enum operation operation;
} rows[] = {
	{"GET", {"openapi.json"}, OPERATION_OPENAPI},
	{"GET", {"classes"}, OPERATION_CLASSES},
	{"GET", {"classes", "{c}"}, OPERATION_CLASS},
	{"GET", {"classes", "{c}", "instances"}, OPERATION_LIST},
	{"GET", {"classes", "{c}", "instances", "{k}"}, OPERATION_GET},
	{"PATCH", {"classes", "{c}", "instances", "{k}"}, OPERATION_PATCH},
	{"DELETE", {"classes", "{c}", "instances", "{k}"}, OPERATION_DELETE},
	{"GET", {"classes", "{c}", "instances", "{k}", "associators"}, OPERATION_ASSOCIATORS},
	{"GET", {"classes", "{c}", "instances", "{k}", "references"}, OPERATION_REFERENCES},
	{"POST", {"classes", "{c}", "instances", "{k}", "methods", "{m}"}, OPERATION_INVOKE},
	{"GET", {"classes", "{c}", "instances", "{k}", "console"}, OPERATION_CONSOLE},
	{"GET", {"classes", "{c}", "instances", "{k}", "console", "log"}, OPERATION_CONSOLE_LOG},
};

static size_t split(struct arena *arena, const char *path, char *parts[PARTS_MAX])
{
	size_t count = 0;

	while (*path == '/') {
		size_t size = strcspn(++path, "/");

		if (!size || count == PARTS_MAX)
			return 0;
		parts[count++] = arena_strndup(arena, path, size);
		path += size;
	}
	return count;
}

static bool row_matches(const struct row *row, char *const parts[], size_t count, struct route *route)
{
	for (size_t i = 0; i < PARTS_MAX; i++) {
		if (!row->parts[i] || i >= count)
			return !row->parts[i] && i == count;
		if (strcmp(row->parts[i], "{c}") == 0)
			route->class_name = parts[i];
		else if (strcmp(row->parts[i], "{k}") == 0)
			route->key = parts[i];
		else if (strcmp(row->parts[i], "{m}") == 0)
			route->method_name = parts[i];
		else if (strcmp(row->parts[i], parts[i]) != 0)
			return false;
	}
	return count == PARTS_MAX;
}

void router_match(struct arena *arena, const char *method, const char *raw_path, struct route *route)
{
	const char *path = uri_below_base(raw_path);
	char *parts[PARTS_MAX];
	size_t count;

	*route = (struct route){.operation = OPERATION_NONE};
	count = path ? split(arena, path, parts) : 0;
	for (size_t i = 0; count && i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct route match = {0};

		if (!row_matches(&rows[i], parts, count, &match))
			continue;
		/* HEAD is GET without its body; the server drops that. */
		if (strcmp(method, rows[i].method) == 0 ||
		    (strcmp(method, "HEAD") == 0 && strcmp(rows[i].method, "GET") == 0 &&
		     rows[i].operation != OPERATION_CONSOLE)) {
			match.operation = rows[i].operation;
			*route = match;
			return;
		}
		route->operation = OPERATION_WRONG_METHOD;
		route->allow = route->allow ? arena_printf(arena, "%s, %s", route->allow, rows[i].method)
					    : rows[i].method;
	}
}
