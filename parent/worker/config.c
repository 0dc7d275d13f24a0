// SPDX-License-Identifier: Apache-2.0
#include "worker/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/json_take.h"
#include "worker/node_kinds.h"
#include "worker/platform.h"

#define DOCUMENT_VERSION 1
#define DOCUMENT_DEPTH   8

static int take_version(struct json_object *value, const char *path, void *into, struct failure *why)
{
	int64_t version = json_object_get_int64(value);

	if (version != DOCUMENT_VERSION)
		return failure_set(why, -EINVAL, "version: %lld is unknown, this worker reads version %d", (long long)version,
				   DOCUMENT_VERSION);
	return 0;
}

static int take_id(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct config *config = into;

	return json_take_guid(value, path, config->id, why);
}

static int take_name(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct config *config = into;
	int r = json_check_text(value, path, 1, CONFIG_NAME_MAX, why);

	if (r == 0)
		strcpy(config->name, json_object_get_string(value));
	return r;
}

static int take_count(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct config *config = into;
	int64_t count = 0;
	int r = json_take_number(value, path, 1, PLATFORM_VP_MAX, &count, why);

	config->vp_count = (unsigned)count;
	return r;
}

static int take_processors(struct json_object *value, const char *path, void *into, struct failure *why)
{
	static const struct json_member members[] = {
		{ "count", json_type_int, take_count, false },
	};

	return json_take(value, "processors.", members, 1, into, why);
}

static int take_startup_mib(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct config *config = into;
	int64_t mib = 0;
	int r = json_take_number(value, path, CONFIG_MEMORY_MIB_MIN, CONFIG_MEMORY_MIB_MAX, &mib, why);

	if (r)
		return r;
	if (mib % 2)
		return failure_set(why, -EINVAL, "memory.startup_mib: %lld is no multiple of 2", (long long)mib);
	config->memory_mib = (uint64_t)mib;
	return 0;
}

static int take_memory(struct json_object *value, const char *path, void *into, struct failure *why)
{
	static const struct json_member members[] = {
		{ "startup_mib", json_type_int, take_startup_mib, false },
	};

	return json_take(value, "memory.", members, 1, into, why);
}

static int take_boot_kind(struct json_object *value, const char *path, void *into, struct failure *why)
{
	const char *kind = json_object_get_string(value);

	if (strcmp(kind, "linux"))
		return failure_set(why, -EINVAL, "boot.kind: \"%.40s\" is unknown, \"linux\" is possible", kind);
	return 0;
}

static int take_command_line(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct config *config = into;
	int r = json_check_text(value, path, 0, CONFIG_COMMAND_LINE_MAX, why);

	if (r)
		return r;
	config->command_line = strdup(json_object_get_string(value));
	return config->command_line ? 0 : failure_set(why, -ENOMEM, "boot.command_line: no memory");
}

static int take_boot(struct json_object *value, const char *path, void *into, struct failure *why)
{
	static const struct json_member members[] = {
		{ "kind", json_type_string, take_boot_kind, false },
		{ "command_line", json_type_string, take_command_line, false },
	};

	return json_take(value, "boot.", members, 2, into, why);
}

static int take_port(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct config *config = into;
	int64_t port = 0;
	int r = json_take_number(value, path, 1, 1, &port, why);

	if (r == 0 && config->has_com1)
		return failure_set(why, -EINVAL, "%s: COM1 is there twice", path);
	config->has_com1 = true;
	return r;
}

static bool is_com(struct json_object *device)
{
	struct json_object *type;

	return json_object_object_get_ex(device, "type", &type) && json_object_is_type(type, json_type_string) &&
	       strcmp(json_object_get_string(type), "com") == 0;
}

static int take_device(struct json_object *device, size_t index, struct config *config, struct failure *why)
{
	static const struct json_member com_members[] = {
		{ "type", json_type_string, NULL, false },
		{ "port", json_type_int, take_port, false },
	};
	struct node_fds inherited = { .fd = NULL };
	struct node *node;
	int r;

	if (!json_object_is_type(device, json_type_object))
		return failure_set(why, -EINVAL, "devices[%zu]: must be an object", index);
	if (is_com(device))
		return json_take(device, "devices[].", com_members, 2, config, why);
	r = node_read(device, "devices[].", &inherited, &node, why);
	if (r)
		return r;
	r = node_list_add(&config->nodes, node, why);
	if (r)
		node_free(node);
	return r;
}

static int take_devices(struct json_object *value, const char *path, void *into, struct failure *why)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_object_array_length(value); i++)
		r = take_device(json_object_array_get_idx(value, i), i, into, why);
	return r;
}

static const struct json_member document_members[] = {
	{ "version", json_type_int, take_version, false },	/* first: another version may have other members */
	{ "id", json_type_string, take_id, false },
	{ "name", json_type_string, take_name, false },
	{ "processors", json_type_object, take_processors, false },
	{ "memory", json_type_object, take_memory, false },
	{ "boot", json_type_object, take_boot, false },
	{ "devices", json_type_array, take_devices, false },
};

static int check_memory(const struct config *config, struct failure *why)
{
	uint64_t growth_mib;

	return node_memory_growth(config->nodes, config->memory_mib, &growth_mib, why);
}

static int take_document(struct json_object *document, struct config *config, struct failure *why)
{
	struct json_object *version;
	int r;

	if (!json_object_is_type(document, json_type_object))
		return failure_set(why, -EINVAL, "the document is no JSON object");
	if (json_object_object_get_ex(document, "version", &version) && json_object_is_type(version, json_type_int)) {
		r = take_version(version, "version", config, why);
		if (r)
			return r;
	}
	r = json_take(document, "", document_members, sizeof document_members / sizeof document_members[0], config, why);
	return r ? r : check_memory(config, why);
}

int config_parse(const char *text, size_t bytes, struct config *out, struct failure *why)
{
	struct json_tokener *tokener;
	struct json_object *document;
	enum json_tokener_error error;
	struct config config = { .trace_fd = -1 };
	size_t end;
	int r;

	if (bytes > CONFIG_DOCUMENT_BYTES_MAX)
		return failure_set(why, -EINVAL, "the document is longer than %u bytes", CONFIG_DOCUMENT_BYTES_MAX);
	tokener = json_tokener_new_ex(DOCUMENT_DEPTH);
	if (!tokener)
		return failure_set(why, -ENOMEM, "no memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	document = json_tokener_parse_ex(tokener, text, (int)bytes);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	while (end < bytes && isspace((unsigned char)text[end]))
		end++;
	if (error != json_tokener_success || end != bytes)
		r = failure_set(why, -EINVAL, "no JSON: %s at byte %zu",
				error == json_tokener_success ? "more text after the document" : json_tokener_error_desc(error), end);
	else
		r = take_document(document, &config, why);
	json_object_put(document);
	if (r) {
		config_fini(&config);
		return r == -ENOMEM ? r : -EINVAL;	/* what is there twice is a fault of the document */
	}
	*out = config;
	return 0;
}

int config_read(int fd, struct config *out, struct failure *why)
{
	char *text = malloc(CONFIG_DOCUMENT_BYTES_MAX + 1);
	size_t bytes = 0;
	ssize_t got = 1;
	int r;

	if (!text)
		return failure_set(why, -ENOMEM, "no memory");
	while (got && bytes <= CONFIG_DOCUMENT_BYTES_MAX) {
		got = read(fd, text + bytes, CONFIG_DOCUMENT_BYTES_MAX + 1 - bytes);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		bytes += (size_t)got;
	}
	if (got < 0)
		r = failure_set(why, -EIO, "cannot be read: %s", strerror(errno));
	else
		r = config_parse(text, bytes, out, why);
	free(text);
	return r;
}

void config_fini(struct config *config)
{
	free(config->command_line);
	node_list_free(&config->nodes);
	memset(config, 0, sizeof *config);
}
