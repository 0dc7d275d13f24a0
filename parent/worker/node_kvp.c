// SPDX-License-Identifier: Apache-2.0
/* Key-value pairs and the guest's IP configuration: one call at a time, its end in the event "done". */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ic/kvp.h"
#include "worker/node_ic.h"
#include "worker/node_kinds.h"

#define LIST_BYTES_MAX 4096

static const char *const pool_names[] = {
	[IC_KVP_POOL_EXTERNAL] = "external",
	[IC_KVP_POOL_GUEST] = "guest",
	[IC_KVP_POOL_AUTO] = "auto",
	[IC_KVP_POOL_AUTO_EXTERNAL] = "auto_external",
};
#define POOL_COUNT (sizeof pool_names / sizeof pool_names[0])

struct kvp_node {
	struct node_ic base;
	struct kvp kvp;
	bool ready;
	const struct node_call *under_way;
	struct json_object *items, *ip;	/* what came so far */
};

static void on_item(void *context, enum ic_kvp_pool pool, const struct kvp_item *item)
{
	struct kvp_node *this = context;
	struct json_object *pair = json_object_new_array();

	(void)json_object_array_add(pair, json_object_new_string(item->key));
	(void)json_object_array_add(pair, json_object_new_string(item->value));
	(void)json_object_array_add(this->items, pair);
}

static void on_ip_info(void *context, const struct kvp_ip_info *info)
{
	struct kvp_node *this = context;
	struct json_object *ip = json_object_new_object();

	(void)json_object_object_add(ip, "adapter", json_object_new_string(info->adapter_id));
	(void)json_object_object_add(ip, "dhcp", json_object_new_boolean(info->dhcp));
	(void)json_object_object_add(ip, "addresses", json_object_new_string(info->addresses));
	(void)json_object_object_add(ip, "subnets", json_object_new_string(info->subnets));
	(void)json_object_object_add(ip, "gateways", json_object_new_string(info->gateways));
	(void)json_object_object_add(ip, "dns_servers", json_object_new_string(info->dns_servers));
	json_object_put(this->ip);
	this->ip = ip;
}

static void forget_answer(struct kvp_node *this)
{
	json_object_put(this->items);
	json_object_put(this->ip);
	this->items = this->ip = NULL;
	this->under_way = NULL;
}

static void on_done(void *context, const struct kvp_result *result)
{
	struct kvp_node *this = context;
	struct json_object *body = node_ic_outcome(result->error, result->status);

	(void)json_object_object_add(body, "call", json_object_new_string(this->under_way->name));
	(void)json_object_object_add(body, "items", json_object_get(this->items));
	(void)json_object_object_add(body, "ip", json_object_get(this->ip));
	forget_answer(this);
	node_event(&this->base.node, "done", body);
}

static void on_ready(void *context, bool ready)
{
	struct kvp_node *this = context;
	struct json_object *body = json_object_new_object();

	this->ready = ready;
	(void)json_object_object_add(body, "ready", json_object_new_boolean(ready));
	node_event(&this->base.node, "ready", body);
}

static int add(struct node *node, struct failure *why)
{
	static const struct kvp_events events = {
		.item = on_item, .ip_info = on_ip_info, .done = on_done, .ready = on_ready,
	};
	struct kvp_node *this = (struct kvp_node *)node;

	kvp_init(&this->kvp, &events, this);
	this->base.ic = &this->kvp.ic;
	this->ready = false;
	return node_ic_offer(node, why);
}

static void client(struct node *node, bool connected)
{
	struct kvp_node *this = (struct kvp_node *)node;

	if (connected)
		on_ready(this, this->ready);
}

static void fini(struct node *node)
{
	forget_answer((struct kvp_node *)node);
}

/* Calls */

struct kvp_params {
	unsigned pool;
	const char *key, *value;
	unsigned family;
	struct kvp_ip_info ip;
};

static int take_pool(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct kvp_params *params = into;

	return json_take_name(value, path, pool_names, POOL_COUNT, &params->pool, why);
}

static int take_key(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct kvp_params *params = into;

	params->key = json_object_get_string(value);
	return json_check_text(value, path, 1, KVP_KEY_BYTES - 1, why);
}

static int take_value(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct kvp_params *params = into;

	params->value = json_object_get_string(value);
	return json_check_text(value, path, 0, KVP_VALUE_BYTES - 1, why);
}

static int take_family(struct json_object *value, const char *path, void *into, struct failure *why)
{
	static const char *const names[] = { "ipv4", "ipv6" };
	static const uint8_t families[] = { IC_KVP_FAMILY_IPV4, IC_KVP_FAMILY_IPV6 };
	struct kvp_params *params = into;
	unsigned which = 0;
	int r = json_take_name(value, path, names, 2, &which, why);

	params->ip.family = families[which];
	return r;
}

static int take_dhcp(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct kvp_params *params = into;

	params->ip.dhcp = json_object_get_boolean(value);
	return 0;
}

static int copy_text(struct json_object *value, const char *path, char *out, size_t bytes, struct failure *why)
{
	int r = json_check_text(value, path, 0, bytes - 1, why);

	if (r == 0)
		(void)snprintf(out, bytes, "%s", json_object_get_string(value));
	return r;
}

#define TAKE_IP_TEXT(member) \
	static int take_##member(struct json_object *value, const char *path, void *into, struct failure *why) \
	{ \
		struct kvp_params *params = into; \
\
		return copy_text(value, path, params->ip.member, sizeof params->ip.member, why); \
	}
TAKE_IP_TEXT(adapter_id)
TAKE_IP_TEXT(addresses)
TAKE_IP_TEXT(subnets)
TAKE_IP_TEXT(gateways)
TAKE_IP_TEXT(dns_servers)

static const struct json_member set_members[] = {
	{ "pool", json_type_string, take_pool, false },
	{ "key", json_type_string, take_key, false },
	{ "value", json_type_string, take_value, false },
};

static const struct json_member ip_members[] = {
	{ "adapter", json_type_string, take_adapter_id, false },
	{ "family", json_type_string, take_family, false },
	{ "dhcp", json_type_boolean, take_dhcp, false },
	{ "addresses", json_type_string, take_addresses, true },
	{ "subnets", json_type_string, take_subnets, true },
	{ "gateways", json_type_string, take_gateways, true },
	{ "dns_servers", json_type_string, take_dns_servers, true },
};

enum { CALL_GET, CALL_ENUMERATE, CALL_SET, CALL_DELETE, CALL_GET_IP, CALL_SET_IP };
static const struct node_call calls[];

/* `r` is what starting the operation said. */
static int started(struct node *node, unsigned which, int r, struct failure *why)
{
	struct kvp_node *this = (struct kvp_node *)node;

	if (r)
		return r == -EINVAL ? failure_set(why, r, "params.pool: not possible in this pool") : node_ic_failure(node, r, why);
	this->under_way = &calls[which];
	this->items = json_object_new_array();
	return 0;
}

static int call_get(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	struct kvp_params p = { .key = "" };
	int r = node_take_params(params, set_members, 2, &p, why);

	return r ? r : started(node, CALL_GET, kvp_get(&((struct kvp_node *)node)->kvp, (enum ic_kvp_pool)p.pool, p.key), why);
}

static int call_enumerate(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	struct kvp_params p = { .key = "" };
	int r = node_take_params(params, set_members, 1, &p, why);

	return r ? r : started(node, CALL_ENUMERATE,
			       kvp_enumerate(&((struct kvp_node *)node)->kvp, (enum ic_kvp_pool)p.pool), why);
}

static int call_set(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	struct kvp_params p = { .key = "" };
	int r = node_take_params(params, set_members, 3, &p, why);

	return r ? r : started(node, CALL_SET, kvp_set(&((struct kvp_node *)node)->kvp, (enum ic_kvp_pool)p.pool, p.key, p.value),
			       why);
}

static int call_delete(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	struct kvp_params p = { .key = "" };
	int r = node_take_params(params, set_members, 2, &p, why);

	return r ? r : started(node, CALL_DELETE, kvp_delete(&((struct kvp_node *)node)->kvp, (enum ic_kvp_pool)p.pool, p.key),
			       why);
}

static int call_get_ip(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	struct kvp_params p = { .key = "" };
	int r = node_take_params(params, ip_members, 2, &p, why);

	return r ? r : started(node, CALL_GET_IP, kvp_get_ip_info(&((struct kvp_node *)node)->kvp, p.ip.adapter_id, p.ip.family),
			       why);
}

static int call_set_ip(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	struct kvp_params p = { .key = "" };
	int r = node_take_params(params, ip_members, sizeof ip_members / sizeof ip_members[0], &p, why);

	return r ? r : started(node, CALL_SET_IP, kvp_set_ip_info(&((struct kvp_node *)node)->kvp, &p.ip), why);
}

static const struct node_call calls[] = {
	[CALL_GET] = { "get", call_get, false },
	[CALL_ENUMERATE] = { "enumerate", call_enumerate, false },
	[CALL_SET] = { "set", call_set, false },
	[CALL_DELETE] = { "delete", call_delete, false },
	[CALL_GET_IP] = { "get_ip", call_get_ip, false },
	[CALL_SET_IP] = { "set_ip", call_set_ip, false },
};

const struct node_kind node_kvp = {
	.type = "kvp",
	.max = 1,
	.bytes = sizeof(struct kvp_node),
	.fini = fini,
	.add = add,
	.remove = node_ic_remove,
	.pause = node_ic_pause,
	.resume = node_ic_resume,
	.client = client,
	.calls = calls,
	.call_count = sizeof calls / sizeof calls[0],
};
