// SPDX-License-Identifier: Apache-2.0
#include "worker/node.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "vmbus/guid.h"
#include "worker/node_kinds.h"

#define MEMBERS_MAX 16

static const struct node_kind *const kinds[] = {
	&node_scsi, &node_nic, &node_heartbeat, &node_shutdown, &node_timesync, &node_kvp, &node_vss, &node_fcopy, &node_keyboard,
	&node_memory, &node_hvsock,
};

static const struct node_kind *find_kind(const char *type)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i]->type, type) == 0)
			return kinds[i];
	return NULL;
}

static int take_instance(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct node_reading *reading = into;

	return json_take_guid(value, path, reading->node->instance, why);
}

static int read_members(struct node_reading *reading, struct json_object *device, struct failure *why)
{
	const struct node_kind *kind = reading->node->kind;
	struct json_member members[MEMBERS_MAX] = {
		{ "type", json_type_string, NULL, false },
		{ "instance", json_type_string, take_instance, false },
	};

	for (unsigned i = 0; i < kind->member_count; i++)
		members[2 + i] = kind->members[i];
	return json_take(device, reading->prefix, members, kind->member_count + 2, reading, why);
}

int node_read(struct json_object *device, const char *prefix, struct node_fds *fds, struct node **out, struct failure *why)
{
	struct node_reading reading = { .fds = fds, .prefix = prefix };
	const struct node_kind *kind;
	struct json_object *type;
	int r;

	if (!json_object_object_get_ex(device, "type", &type) || !json_object_is_type(type, json_type_string))
		return failure_set(why, -EINVAL, "%stype: must be a text", prefix);
	kind = find_kind(json_object_get_string(type));
	if (!kind)
		return failure_set(why, -EINVAL, "%stype: \"%.40s\" is unknown", prefix, json_object_get_string(type));
	reading.node = calloc(1, kind->bytes);
	if (!reading.node)
		return failure_set(why, -ENOMEM, "%s: no memory", kind->type);
	reading.node->kind = kind;
	if (kind->init)
		kind->init(reading.node);
	r = read_members(&reading, device, why);
	if (r) {
		node_free(reading.node);
		return r;
	}
	*out = reading.node;
	return 0;
}

void node_free(struct node *node)
{
	if (node->kind->fini)
		node->kind->fini(node);
	free(node);
}

static bool has_index(const struct node *list, const struct node_kind *kind, unsigned index)
{
	for (; list; list = list->next)
		if (list->kind == kind && list->index == index)
			return true;
	return false;
}

int node_list_add(struct node **list, struct node *node, struct failure *why)
{
	const struct node_kind *kind = node->kind;
	struct node **at = list;

	node->index = 0;
	while (has_index(*list, kind, node->index))
		node->index++;
	if (node->index >= kind->max)
		return kind->max == 1 ? failure_set(why, -ENOSPC, "devices: \"%s\" is there twice", kind->type)
				      : failure_set(why, -ENOSPC, "devices: more than %u of type \"%s\"", kind->max, kind->type);
	for (; *at; at = &(*at)->next)
		if (strcasecmp((*at)->instance, node->instance) == 0)
			return failure_set(why, -EEXIST, "devices: instance %s is there twice", node->instance);
	*at = node;
	node->next = NULL;
	return 0;
}

void node_list_remove(struct node **list, struct node *node)
{
	while (*list != node)
		list = &(*list)->next;
	*list = node->next;
}

struct node *node_list_find(struct node *list, const char *instance)
{
	while (list && strcasecmp(list->instance, instance))
		list = list->next;
	return list;
}

void node_list_free(struct node **list)
{
	while (*list) {
		struct node *node = *list;

		*list = node->next;
		node_free(node);
	}
}

static const struct node_call *find_call(const struct node_kind *kind, const char *name)
{
	for (unsigned i = 0; i < kind->call_count; i++)
		if (strcmp(kind->calls[i].name, name) == 0)
			return &kind->calls[i];
	return NULL;
}

int node_call(struct node *node, const char *name, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	const struct node_call *call = find_call(node->kind, name);

	if (!call)
		return failure_set(why, -EINVAL, "params.call: \"%.40s\" is unknown to \"%s\"", name, node->kind->type);
	if (!node->bus && !call->any_time)
		return failure_set(why, -ENOTCONN, "%s: the machine is not running", node->kind->type);
	return call->call(node, params, fds, why);
}

int node_take_fd(struct json_object *value, const char *path, struct node_fds *fds, bool may_be_none, int *out,
		 struct failure *why)
{
	int64_t number = 0;
	int r = json_take_number(value, path, may_be_none ? -1 : 0, fds->fd ? (int64_t)fds->count - 1 : INT_MAX, &number, why);

	if (r)
		return r;
	if (number >= 0 && fds->fd) {
		int fd = fds->fd[number];

		fds->fd[number] = -1;
		number = fd;
		if (fd < 0)
			return failure_set(why, -EINVAL, "%s: the descriptor is named twice", path);
	}
	*out = (int)number;
	return 0;
}

int node_take_params(struct json_object *params, const struct json_member *members, unsigned count, void *into,
		     struct failure *why)
{
	struct json_member all[MEMBERS_MAX] = {
		{ "instance", json_type_string, NULL, false },
		{ "call", json_type_string, NULL, false },
	};

	for (unsigned i = 0; i < count; i++)
		all[2 + i] = members[i];
	return json_take(params, "params.", all, count + 2, into, why);
}

/* The printed form, which was checked when it was read. */
struct vmbus_guid node_guid(const char *text)
{
	struct vmbus_guid guid = { 0 };

	(void)vmbus_guid_parse(text, strlen(text), &guid);
	return guid;
}

void node_event(const struct node *node, const char *what, struct json_object *body)
{
	node->bus->event(node->bus->context, node, what, body);
}

/* "scsi0:3", "nic1:0", but "heartbeat". */
void node_counts(const struct node *node, int unit, struct counter_sink *sink)
{
	struct counter_source source = { .instance = node->instance, .unit = unit };
	char name[48];
	int bytes = snprintf(name, sizeof name, "%s", node->kind->type);

	if (node->kind->max > 1)
		bytes += snprintf(name + bytes, sizeof name - (size_t)bytes, "%u", node->index);
	if (unit != COUNTER_NO_UNIT)
		(void)snprintf(name + bytes, sizeof name - (size_t)bytes, ":%d", unit);
	source.name = name;
	sink->source(sink, &source);
}

const char *node_error_code(int error)
{
	switch (error) {
	case -EINVAL:
	case -E2BIG:
	case -EILSEQ:
	case -EBADF:
		return "invalid_params";
	case -ENOENT:
		return "not_found";
	case -EEXIST:
	case -ENOSPC:
		return "exists";
	case -EBUSY:
		return "busy";
	case -EOPNOTSUPP:
		return "unsupported";
	case -ENOTCONN:
	case -EHOSTDOWN:
	case -ECONNRESET:
	case -EAGAIN:
		return "not_ready";
	case -ETIMEDOUT:
		return "timed_out";
	case -EREMOTEIO:
		return "refused";
	case -ECANCELED:
		return "canceled";
	case -ETIME:
		return "late";
	default:
		return "failed";
	}
}
