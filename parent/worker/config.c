// SPDX-License-Identifier: Apache-2.0
#include "worker/config.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "worker/platform.h"

#define DOCUMENT_VERSION 1
#define DOCUMENT_DEPTH   8

/* A member that an object may and must have. `path` is how it is named in errors. */
struct member {
	const char *name;
	enum json_type type;
	const char *path;
	int (*take)(struct json_object *value, struct config *config, struct failure *why);
	bool optional;
};

static const char *type_phrase(enum json_type type)
{
	switch (type) {
	case json_type_object:
		return "an object";
	case json_type_array:
		return "an array";
	case json_type_int:
		return "a whole number";
	case json_type_boolean:
		return "true or false";
	default:
		return "a text";
	}
}

static int take_members(struct json_object *object, const char *where, const struct member *members, unsigned count,
			struct config *config, struct failure *why)
{
	json_object_object_foreach(object, key, unused) {
		bool known = false;

		(void)unused;
		for (unsigned i = 0; i < count; i++)
			known |= strcmp(key, members[i].name) == 0;
		if (!known)
			return failure_set(why, -EINVAL, "%s%.100s: unknown member", where, key);
	}
	for (unsigned i = 0; i < count; i++) {
		struct json_object *value;
		int r;

		if (!json_object_object_get_ex(object, members[i].name, &value) && members[i].optional)
			continue;
		if (!json_object_object_get_ex(object, members[i].name, &value))
			return failure_set(why, -EINVAL, "%s: missing", members[i].path);
		if (json_object_get_type(value) != members[i].type)
			return failure_set(why, -EINVAL, "%s: must be %s", members[i].path, type_phrase(members[i].type));
		r = members[i].take(value, config, why);
		if (r)
			return r;
	}
	return 0;
}

static int take_number(struct json_object *value, const char *path, int64_t min, int64_t max, int64_t *out,
		       struct failure *why)
{
	int64_t number = json_object_get_int64(value);

	if (number < min || number > max)
		return failure_set(why, -EINVAL, "%s: %lld is not in %lld..%lld", path, (long long)number, (long long)min,
				   (long long)max);
	*out = number;
	return 0;
}

static int check_text(struct json_object *value, const char *path, size_t min, size_t max, struct failure *why)
{
	size_t bytes = (size_t)json_object_get_string_len(value);

	if (bytes != strlen(json_object_get_string(value)))
		return failure_set(why, -EINVAL, "%s: contains a zero character", path);
	if (bytes < min || bytes > max)
		return failure_set(why, -EINVAL, "%s: %zu bytes, %zu..%zu are possible", path, bytes, min, max);
	return 0;
}

static int take_version(struct json_object *value, struct config *config, struct failure *why)
{
	int64_t version = json_object_get_int64(value);

	if (version != DOCUMENT_VERSION)
		return failure_set(why, -EINVAL, "version: %lld is unknown, this worker reads version %d", (long long)version,
				   DOCUMENT_VERSION);
	return 0;
}

static int copy_guid(struct json_object *value, const char *path, char out[CONFIG_GUID_BYTES], struct failure *why)
{
	const char *text = json_object_get_string(value);

	if (!config_is_guid(text))
		return failure_set(why, -EINVAL, "%s: \"%.40s\" is no GUID", path, text);
	memcpy(out, text, CONFIG_GUID_BYTES);
	return 0;
}

static int take_id(struct json_object *value, struct config *config, struct failure *why)
{
	return copy_guid(value, "id", config->id, why);
}

static int take_name(struct json_object *value, struct config *config, struct failure *why)
{
	int r = check_text(value, "name", 1, CONFIG_NAME_MAX, why);

	if (r == 0)
		strcpy(config->name, json_object_get_string(value));
	return r;
}

static int take_count(struct json_object *value, struct config *config, struct failure *why)
{
	int64_t count = 0;
	int r = take_number(value, "processors.count", 1, PLATFORM_VP_MAX, &count, why);

	config->vp_count = (unsigned)count;
	return r;
}

static int take_processors(struct json_object *value, struct config *config, struct failure *why)
{
	static const struct member members[] = {
		{ "count", json_type_int, "processors.count", take_count, false },
	};

	return take_members(value, "processors.", members, 1, config, why);
}

static int take_startup_mib(struct json_object *value, struct config *config, struct failure *why)
{
	int64_t mib = 0;
	int r = take_number(value, "memory.startup_mib", CONFIG_MEMORY_MIB_MIN, CONFIG_MEMORY_MIB_MAX, &mib, why);

	if (r)
		return r;
	if (mib % 2)
		return failure_set(why, -EINVAL, "memory.startup_mib: %lld is no multiple of 2", (long long)mib);
	config->memory_mib = (uint64_t)mib;
	return 0;
}

static int take_memory(struct json_object *value, struct config *config, struct failure *why)
{
	static const struct member members[] = {
		{ "startup_mib", json_type_int, "memory.startup_mib", take_startup_mib, false },
	};

	return take_members(value, "memory.", members, 1, config, why);
}

static int take_boot_kind(struct json_object *value, struct config *config, struct failure *why)
{
	const char *kind = json_object_get_string(value);

	if (strcmp(kind, "linux"))
		return failure_set(why, -EINVAL, "boot.kind: \"%.40s\" is unknown, \"linux\" is possible", kind);
	return 0;
}

static int take_command_line(struct json_object *value, struct config *config, struct failure *why)
{
	int r = check_text(value, "boot.command_line", 0, CONFIG_COMMAND_LINE_MAX, why);

	if (r)
		return r;
	config->command_line = strdup(json_object_get_string(value));
	return config->command_line ? 0 : failure_set(why, -ENOMEM, "boot.command_line: no memory");
}

static int take_boot(struct json_object *value, struct config *config, struct failure *why)
{
	static const struct member members[] = {
		{ "kind", json_type_string, "boot.kind", take_boot_kind, false },
		{ "command_line", json_type_string, "boot.command_line", take_command_line, false },
	};

	return take_members(value, "boot.", members, 2, config, why);
}

static int take_type(struct json_object *value, struct config *config, struct failure *why)
{
	return 0;		/* it chose the table that this stands in */
}

static int take_port(struct json_object *value, struct config *config, struct failure *why)
{
	int64_t port = 0;
	int r = take_number(value, "devices[].port", 1, 1, &port, why);

	if (r == 0 && config->has_com1)
		return failure_set(why, -EINVAL, "devices[].port: COM1 is there twice");
	config->has_com1 = true;
	return r;
}

/* What is being read is the last one. */
static struct config_scsi *last_scsi(struct config *config)
{
	return &config->scsi[config->scsi_count - 1];
}

static struct config_lun *last_lun(struct config *config)
{
	struct config_scsi *scsi = last_scsi(config);

	return &scsi->luns[scsi->lun_count - 1];
}

static int take_lun_number(struct json_object *value, struct config *config, struct failure *why)
{
	const struct config_scsi *scsi = last_scsi(config);
	int64_t lun = 0;
	int r = take_number(value, "devices[].luns[].lun", 0, CONFIG_LUN_MAX - 1, &lun, why);

	for (unsigned i = 0; r == 0 && i + 1 < scsi->lun_count; i++)
		if (scsi->luns[i].lun == lun)
			r = failure_set(why, -EINVAL, "devices[].luns[].lun: %lld is there twice", (long long)lun);
	last_lun(config)->lun = (unsigned)lun;
	return r;
}

static int take_lun_kind(struct json_object *value, struct config *config, struct failure *why)
{
	const char *kind = json_object_get_string(value);

	if (strcmp(kind, "disk") && strcmp(kind, "dvd"))
		return failure_set(why, -EINVAL, "devices[].luns[].kind: \"%.40s\" is unknown, \"disk\" and \"dvd\" are possible", kind);
	last_lun(config)->is_dvd = strcmp(kind, "dvd") == 0;
	return 0;
}

static int take_lun_fd(struct json_object *value, struct config *config, struct failure *why)
{
	int64_t fd = 0;
	int r = take_number(value, "devices[].luns[].fd", -1, INT_MAX, &fd, why);

	last_lun(config)->fd = (int)fd;
	return r;
}

static int take_lun_format(struct json_object *value, struct config *config, struct failure *why)
{
	const char *format = json_object_get_string(value);

	if (strcmp(format, "raw"))
		return failure_set(why, -EINVAL, "devices[].luns[].format: \"%.40s\" is unknown, \"raw\" is possible", format);
	return 0;
}

static int take_lun_id(struct json_object *value, struct config *config, struct failure *why)
{
	return copy_guid(value, "devices[].luns[].id", last_lun(config)->id, why);
}

static int take_lun_read_only(struct json_object *value, struct config *config, struct failure *why)
{
	last_lun(config)->read_only = json_object_get_boolean(value);
	return 0;
}

static int take_lun_direct(struct json_object *value, struct config *config, struct failure *why)
{
	last_lun(config)->direct = json_object_get_boolean(value);
	return 0;
}

static int take_instance(struct json_object *value, struct config *config, struct failure *why)
{
	return copy_guid(value, "devices[].instance", last_scsi(config)->instance, why);
}

static int take_luns(struct json_object *value, struct config *config, struct failure *why)
{
	static const struct member members[] = {
		{ "lun", json_type_int, "devices[].luns[].lun", take_lun_number, false },
		{ "kind", json_type_string, "devices[].luns[].kind", take_lun_kind, false },
		{ "fd", json_type_int, "devices[].luns[].fd", take_lun_fd, false },
		{ "format", json_type_string, "devices[].luns[].format", take_lun_format, false },
		{ "id", json_type_string, "devices[].luns[].id", take_lun_id, false },
		{ "read_only", json_type_boolean, "devices[].luns[].read_only", take_lun_read_only, true },
		{ "direct", json_type_boolean, "devices[].luns[].direct", take_lun_direct, true },
	};
	struct config_scsi *scsi = last_scsi(config);
	size_t count = json_object_array_length(value);

	if (count > CONFIG_LUN_MAX)
		return failure_set(why, -EINVAL, "devices[].luns: %zu, %u are possible", count, CONFIG_LUN_MAX);
	scsi->luns = calloc(count ? count : 1, sizeof *scsi->luns);
	if (!scsi->luns)
		return failure_set(why, -ENOMEM, "devices[].luns: no memory");
	for (size_t i = 0; i < count; i++) {
		struct json_object *lun = json_object_array_get_idx(value, i);
		int r;

		if (!json_object_is_type(lun, json_type_object))
			return failure_set(why, -EINVAL, "devices[].luns[%zu]: must be an object", i);
		scsi->lun_count++;
		r = take_members(lun, "devices[].luns[].", members, sizeof members / sizeof members[0], config, why);
		if (r)
			return r;
		if (last_lun(config)->fd < 0 && !last_lun(config)->is_dvd)
			return failure_set(why, -EINVAL, "devices[].luns[].fd: a disk needs one");
	}
	return 0;
}

static int take_com(struct json_object *device, struct config *config, struct failure *why)
{
	static const struct member members[] = {
		{ "type", json_type_string, "devices[].type", take_type, false },
		{ "port", json_type_int, "devices[].port", take_port, false },
	};

	return take_members(device, "devices[].", members, 2, config, why);
}

static int take_scsi(struct json_object *device, struct config *config, struct failure *why)
{
	static const struct member members[] = {
		{ "type", json_type_string, "devices[].type", take_type, false },
		{ "instance", json_type_string, "devices[].instance", take_instance, false },
		{ "luns", json_type_array, "devices[].luns", take_luns, false },
	};

	if (config->scsi_count == CONFIG_SCSI_MAX)
		return failure_set(why, -EINVAL, "devices: more than %u SCSI controllers", CONFIG_SCSI_MAX);
	config->scsi_count++;
	return take_members(device, "devices[].", members, 3, config, why);
}

const char *const config_single_names[CONFIG_SINGLE_COUNT] = {
	[CONFIG_HEARTBEAT] = "heartbeat", [CONFIG_SHUTDOWN] = "shutdown", [CONFIG_TIMESYNC] = "timesync",
	[CONFIG_KVP] = "kvp", [CONFIG_KEYBOARD] = "keyboard",
};

static int take_single(struct json_object *device, enum config_single which, struct config *config, struct failure *why)
{
	struct json_object *instance;

	if (config->single[which][0])
		return failure_set(why, -EINVAL, "devices: \"%s\" is there twice", config_single_names[which]);
	json_object_object_foreach(device, key, unused) {
		(void)unused;
		if (strcmp(key, "type") && strcmp(key, "instance"))
			return failure_set(why, -EINVAL, "devices[].%.100s: unknown member", key);
	}
	if (!json_object_object_get_ex(device, "instance", &instance) || !json_object_is_type(instance, json_type_string))
		return failure_set(why, -EINVAL, "devices[].instance: must be a text");
	return copy_guid(instance, "devices[].instance", config->single[which], why);
}

static int take_device(struct json_object *device, size_t index, struct config *config, struct failure *why)
{
	struct json_object *value;
	const char *type;

	if (!json_object_is_type(device, json_type_object))
		return failure_set(why, -EINVAL, "devices[%zu]: must be an object", index);
	if (!json_object_object_get_ex(device, "type", &value) || !json_object_is_type(value, json_type_string))
		return failure_set(why, -EINVAL, "devices[].type: must be a text");
	type = json_object_get_string(value);
	if (strcmp(type, "com") == 0)
		return take_com(device, config, why);
	if (strcmp(type, "scsi") == 0)
		return take_scsi(device, config, why);
	for (unsigned i = 0; i < CONFIG_SINGLE_COUNT; i++)
		if (strcmp(type, config_single_names[i]) == 0)
			return take_single(device, (enum config_single)i, config, why);
	return failure_set(why, -EINVAL, "devices[].type: \"%.40s\" is unknown", type);
}

static int take_devices(struct json_object *value, struct config *config, struct failure *why)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < json_object_array_length(value); i++)
		r = take_device(json_object_array_get_idx(value, i), i, config, why);
	return r;
}

static const struct member document_members[] = {
	{ "version", json_type_int, "version", take_version, false },	/* first: another version may have other members */
	{ "id", json_type_string, "id", take_id, false },
	{ "name", json_type_string, "name", take_name, false },
	{ "processors", json_type_object, "processors", take_processors, false },
	{ "memory", json_type_object, "memory", take_memory, false },
	{ "boot", json_type_object, "boot", take_boot, false },
	{ "devices", json_type_array, "devices", take_devices, false },
};

static int take_document(struct json_object *document, struct config *config, struct failure *why)
{
	struct json_object *version;

	if (!json_object_is_type(document, json_type_object))
		return failure_set(why, -EINVAL, "the document is no JSON object");
	if (json_object_object_get_ex(document, "version", &version) && json_object_is_type(version, json_type_int)) {
		int r = take_version(version, config, why);

		if (r)
			return r;
	}
	return take_members(document, "", document_members, sizeof document_members / sizeof document_members[0], config, why);
}

int config_parse(const char *text, size_t bytes, struct config *out, struct failure *why)
{
	struct json_tokener *tokener;
	struct json_object *document;
	enum json_tokener_error error;
	struct config config = { .vp_count = 0 };
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
		return r;
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
	for (unsigned i = 0; i < config->scsi_count; i++)
		free(config->scsi[i].luns);
	memset(config, 0, sizeof *config);
}

bool config_has_vmbus(const struct config *config)
{
	for (unsigned i = 0; i < CONFIG_SINGLE_COUNT; i++)
		if (config->single[i][0])
			return true;
	return config->scsi_count > 0;
}

bool config_is_guid(const char *text)
{
	static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	for (size_t i = 0; i < sizeof shape - 1; i++)
		if (shape[i] == 'x' ? !isxdigit((unsigned char)text[i]) : text[i] != '-')
			return false;
	return text[sizeof shape - 1] == 0;
}
