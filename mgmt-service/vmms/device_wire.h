/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters and events of device calls, as schemas/worker/worker_msg.h has them: written, and read with
 * care. Members that are missing or of another type read as NULL, 0 or false.
 */
#ifndef VMMS_DEVICE_WIRE_H
#define VMMS_DEVICE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* {"instance": ..., "call": ...}; members are put behind. */
struct json_object *device_wire_call(const char *instance, const char *call);
void device_wire_put_text(struct json_object *params, const char *name, const char *text);
void device_wire_put_number(struct json_object *params, const char *name, uint64_t number);
void device_wire_put_flag(struct json_object *params, const char *name, bool flag);
void device_wire_release(struct json_object *params);

/* Text lives as long as the object. */
const char *device_wire_text(struct json_object *object, const char *name);
uint64_t device_wire_number(struct json_object *object, const char *name);
bool device_wire_flag(struct json_object *object, const char *name);
struct json_object *device_wire_member(struct json_object *object, const char *name);
/* "items" of KVP's "done": [[KEY, VALUE], ...]. */
size_t device_wire_item_count(struct json_object *event);
bool device_wire_item(struct json_object *event, size_t index, const char **name, const char **value);

#endif
