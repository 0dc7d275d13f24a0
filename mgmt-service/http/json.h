/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object layer as JSON and back. The only user of json-c in the HTTP room.
 *
 * instance   {"kind": "instance", "class": NAME, "self": PATH, "properties": {...}, "methods": {NAME: PATH}}
 * embedded   {"class": NAME, "properties": {...}}; what is given besides these two is not looked at
 * integers   numbers; 64-bit ones always strings, taken in both forms
 * references paths; datetime the CIM string of 25 characters; null is null
 *
 * Texts are the arena's.
 */
#ifndef HTTP_JSON_H
#define HTTP_JSON_H

#include <stdint.h>

#include "cim/provider.h"

/* Which properties to show; NULL: all. */
struct json_selection {
	size_t count;
	int properties[64];
};

const char *json_instance(struct arena *arena, const struct cim_instance *instance,
			  const struct json_selection *selection);
/* next may be NULL. */
const char *json_collection(struct arena *arena, const struct cim_list *list, size_t first, size_t count,
			    const struct json_selection *selection, const char *next);
const char *json_classes(struct arena *arena);
const char *json_class(struct arena *arena, const struct cim_class *class);
const char *json_result(struct arena *arena, const struct cim_class *class, const struct cim_arguments *out,
			uint32_t return_value);
const char *json_problem(struct arena *arena, unsigned status, const char *title,
			 const struct cim_error *error, const char *class_name, const char *method_name);
/* Of everything in the instance that does not change by itself. */
uint64_t json_instance_hash(struct arena *arena, const struct cim_instance *instance);

/* false with the context's error, which names the field. An empty body is an empty object. */
bool json_read_arguments(struct cim_context *context, const char *text, size_t size,
			 struct cim_arguments *arguments);
bool json_read_changes(struct cim_context *context, const char *text, size_t size,
		       struct cim_instance *changes);

#endif
