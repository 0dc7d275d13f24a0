/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/worker_wire.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmms/integration.h"
#include "vmms/storage_wire.h"

#define JSON_DEPTH_MAX 16

static const char *const request_names[WORKER_REQUEST_COUNT] = {
	[WORKER_REQUEST_STATUS] = "status", [WORKER_REQUEST_START] = "start",
	[WORKER_REQUEST_PAUSE] = "pause",   [WORKER_REQUEST_RESUME] = "resume",
	[WORKER_REQUEST_STOP] = "stop",     [WORKER_REQUEST_RESET] = "reset",
};

static const struct {
	const char *name;
	enum worker_state state;
} states[] = {
	{"created", WORKER_CREATED},
	{"running", WORKER_STATE_RUNNING},
	{"paused", WORKER_STATE_PAUSED},
	{"stopped", WORKER_STOPPED},
};

const char *worker_request_name(enum worker_request request)
{
	return request_names[request];
}

static char *take_text(struct json_object *object)
{
	char *text = strdup(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));

	json_object_put(object);
	return text;
}

static void put_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static struct json_object *device(struct json_object *devices, const char *type, const char *instance)
{
	struct json_object *o = json_object_new_object();

	put_text(o, "type", type);
	if (instance)
		put_text(o, "instance", instance);
	json_object_array_add(devices, o);
	return o;
}

/* The keyboard, and what of the integration components is enabled. */
static void put_integration(struct json_object *devices, const struct store_vm *vm)
{
	device(devices, "keyboard", INTEGRATION_KEYBOARD_INSTANCE);
	for (int i = 0; i < STORE_COMPONENT_COUNT; i++)
		if (vm->components[i])
			device(devices, integration_components[i].type, integration_components[i].instance);
}

static void put_memory(struct json_object *devices, const struct store_vm *vm)
{
	struct json_object *o;

	if (!vm->dynamic_memory.enabled)
		return;
	o = device(devices, "memory", INTEGRATION_MEMORY_INSTANCE);
	json_object_object_add(o, "minimum_mib", json_object_new_uint64(vm->dynamic_memory.minimum_mib));
	json_object_object_add(o, "maximum_mib", json_object_new_uint64(vm->dynamic_memory.maximum_mib));
}

static void put_hvsock(struct json_object *devices, const struct worker_hvsock *hvsock)
{
	struct json_object *o = device(devices, "hvsock", INTEGRATION_HVSOCK_INSTANCE);

	json_object_object_add(o, "listen_fd", json_object_new_int(hvsock->listen_fd));
	json_object_object_add(o, "directory_fd", json_object_new_int(hvsock->directory_fd));
}

char *worker_wire_config(const struct store_vm *vm, const struct store_storage *storage,
			 const struct disk_set *disks, int next_fd, const struct worker_hvsock *hvsock,
			 const struct network_devices *adapters)
{
	struct json_object *o = json_object_new_object(), *processors = json_object_new_object();
	struct json_object *memory = json_object_new_object(), *boot = json_object_new_object();
	struct json_object *devices = json_object_new_array();

	json_object_object_add(o, "version", json_object_new_int(1));
	put_text(o, "id", vm->id);
	put_text(o, "name", vm->element_name);
	json_object_object_add(processors, "count", json_object_new_int((int)vm->processor_count));
	json_object_object_add(o, "processors", processors);
	json_object_object_add(memory, "startup_mib", json_object_new_uint64(vm->startup_mib));
	json_object_object_add(o, "memory", memory);
	put_text(boot, "kind", "linux");
	put_text(boot, "command_line", vm->command_line);
	json_object_object_add(o, "boot", boot);
	json_object_object_add(device(devices, "com", NULL), "port", json_object_new_int(1));
	for (unsigned i = 0; i < storage->controller_count; i++)
		json_object_array_add(devices, storage_wire_controller(storage, i, disks, &next_fd));
	network_wire_devices(devices, adapters);
	put_integration(devices, vm);
	put_memory(devices, vm);
	if (hvsock)
		put_hvsock(devices, hvsock);
	json_object_object_add(o, "devices", devices);
	return take_text(o);
}

char *worker_wire_request(uint64_t id, enum worker_request request)
{
	struct json_object *o = json_object_new_object(), *params;

	json_object_object_add(o, "id", json_object_new_uint64(id));
	json_object_object_add(o, "method", json_object_new_string(request_names[request]));
	if (request == WORKER_REQUEST_STOP) {
		params = json_object_new_object();
		json_object_object_add(params, "how", json_object_new_string("turn_off"));
		json_object_object_add(o, "params", params);
	}
	return take_text(o);
}

char *worker_wire_call(uint64_t id, const char *method, struct json_object *params)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "id", json_object_new_uint64(id));
	put_text(o, "method", method);
	if (params)
		json_object_object_add(o, "params", params);
	return take_text(o);
}

/* A string member, cut to the room; control characters have no place in logs and problem texts. */
static bool get_text(struct json_object *object, const char *key, char *out, size_t size)
{
	struct json_object *member;

	out[0] = 0;
	if (!json_object_object_get_ex(object, key, &member) ||
	    !json_object_is_type(member, json_type_string))
		return false;
	snprintf(out, size, "%s", json_object_get_string(member));
	for (char *c = out; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	return true;
}

static uint64_t get_number(struct json_object *object, const char *key)
{
	struct json_object *member;
	int64_t value;

	if (!json_object_object_get_ex(object, key, &member) || !json_object_is_type(member, json_type_int))
		return 0;
	value = json_object_get_int64(member);
	return value < 0 ? 0 : (uint64_t)value;
}

static enum worker_state get_state(struct json_object *object)
{
	char name[16];

	get_text(object, "state", name, sizeof(name));
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(name, states[i].name) == 0)
			return states[i].state;
	return WORKER_UNKNOWN;
}

static void read_status(struct json_object *result, struct worker_packet *packet)
{
	packet->state = get_state(result);
	if (packet->state == WORKER_UNKNOWN)
		return;
	packet->has_status = true;
	packet->pid = (int64_t)get_number(result, "pid");
	packet->uptime_ms = get_number(result, "uptime_ms");
	packet->cpu_time_100ns = get_number(result, "cpu_time_100ns");
	packet->memory_mib = get_number(result, "memory_mib");
	get_text(result, "reason", packet->reason, sizeof(packet->reason));
}

static int read_device_event(struct json_object *o, struct worker_packet *packet)
{
	packet->kind = WORKER_PACKET_DEVICE;
	packet->body = json_object_get(o);
	packet->device.body = o;
	return get_text(o, "instance", packet->device.instance, sizeof(packet->device.instance)) &&
			       get_text(o, "type", packet->device.type, sizeof(packet->device.type)) &&
			       get_text(o, "what", packet->device.what, sizeof(packet->device.what))
		       ? 0
		       : -1;
}

static int read_event(struct json_object *o, struct worker_packet *packet)
{
	char name[32];

	if (!get_text(o, "event", name, sizeof(name)))
		return -1;
	if (strcmp(name, "device") == 0)
		return read_device_event(o, packet);
	if (strcmp(name, "state") != 0) {
		packet->kind = WORKER_PACKET_OTHER;
		return 0;
	}
	packet->kind = WORKER_PACKET_STATE;
	packet->state = get_state(o);
	get_text(o, "reason", packet->reason, sizeof(packet->reason));
	return packet->state == WORKER_UNKNOWN ? -1 : 0;
}

static int read_object(struct json_object *o, struct worker_packet *packet)
{
	struct json_object *id, *member;

	if (!json_object_object_get_ex(o, "id", &id))
		return read_event(o, packet);
	if (!json_object_is_type(id, json_type_int))
		return -1;
	packet->id = json_object_get_uint64(id);
	if (json_object_object_get_ex(o, "error", &member)) {
		packet->kind = WORKER_PACKET_ERROR;
		if (!json_object_is_type(member, json_type_object) ||
		    !get_text(member, "code", packet->code, sizeof(packet->code)))
			return -1;
		get_text(member, "message", packet->message, sizeof(packet->message));
		return 0;
	}
	packet->kind = WORKER_PACKET_RESULT;
	if (!json_object_object_get_ex(o, "result", &member))
		return -1;
	packet->body = json_object_get(member);
	if (json_object_is_type(member, json_type_object))
		read_status(member, packet);
	return 0;
}

int worker_wire_read(const char *text, size_t size, struct worker_packet *packet)
{
	struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
	struct json_object *o;
	int result = -1;

	memset(packet, 0, sizeof(*packet));
	if (!tokener)
		return -1;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	o = json_tokener_parse_ex(tokener, text, (int)size);
	if (o && json_object_is_type(o, json_type_object) && json_tokener_get_parse_end(tokener) == size)
		result = read_object(o, packet);
	json_object_put(o);
	json_tokener_free(tokener);
	return result;
}

void worker_wire_release(struct worker_packet *packet)
{
	json_object_put(packet->body);
	packet->body = NULL;
}
