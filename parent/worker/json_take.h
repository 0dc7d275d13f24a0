/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading JSON objects strictly: every member has a type and a range, unknown ones are refused by name, and each error names
 * the member's path ("devices[].luns[].lun: 64 is not in 0..63").
 */
#ifndef WORKER_JSON_TAKE_H
#define WORKER_JSON_TAKE_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmbus/guid.h"
#include "worker/failure.h"

#define JSON_GUID_BYTES (VMBUS_GUID_CHARS + 1)		/* with the terminating zero */

/* A member that an object may have, and must have unless it is optional. */
struct json_member {
	const char *name;
	enum json_type type;
	/* 0, or -errno with `path` named in `why`. NULL: somebody else has looked at it. */
	int (*take)(struct json_object *value, const char *path, void *into, struct failure *why);
	bool optional;
};

/* Calls `take` in the table's order. `prefix` is the object's own path with its dot. -EINVAL, or what `take` said. */
int json_take(struct json_object *object, const char *prefix, const struct json_member *members, unsigned count, void *into,
	      struct failure *why) MUST_CHECK;

/* What `take` functions are made of. -EINVAL. */
int json_take_number(struct json_object *value, const char *path, int64_t min, int64_t max, int64_t *out,
		     struct failure *why) MUST_CHECK;
/* Between min and max bytes, no zero among them. */
int json_check_text(struct json_object *value, const char *path, size_t min, size_t max, struct failure *why) MUST_CHECK;
int json_take_guid(struct json_object *value, const char *path, char out[JSON_GUID_BYTES], struct failure *why) MUST_CHECK;
/* The index in `names` of the text. */
int json_take_name(struct json_object *value, const char *path, const char *const *names, unsigned count, unsigned *out,
		   struct failure *why) MUST_CHECK;

/* xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx, hexadecimal */
bool json_is_guid(const char *text);

#endif
