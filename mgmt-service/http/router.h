/* SPDX-License-Identifier: Apache-2.0 */
/* (method, raw path) -> operation. Pure; names are not looked up here. */
#ifndef HTTP_ROUTER_H
#define HTTP_ROUTER_H

#include "cim/arena.h"

enum operation {
	OPERATION_NONE,         /* no such path */
	OPERATION_WRONG_METHOD, /* the path exists, with other methods: see allow */
	OPERATION_OPENAPI,
	OPERATION_CLASSES,
	OPERATION_CLASS,
	OPERATION_LIST,
	OPERATION_GET,
	OPERATION_PATCH,
	OPERATION_DELETE,
	OPERATION_ASSOCIATORS,
	OPERATION_REFERENCES,
	OPERATION_INVOKE,
	OPERATION_CONSOLE,
	OPERATION_CONSOLE_LOG,
};

struct route {
	enum operation operation;
	char *class_name; /* still encoded, as all parts; class and method names need no escapes */
	char *key;
	char *method_name;
	const char *allow; /* value of the Allow header */
};

void router_match(struct arena *arena, const char *method, const char *raw_path, struct route *route);

#endif
