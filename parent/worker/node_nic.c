// SPDX-License-Identifier: Apache-2.0
/* Synthetic network adapters on tap queues that the management service has opened. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "netvsp/netvsp.h"
#include "worker/node_kinds.h"

#define NIC_MAX           8u
#define NIC_NAME_BYTES    256u
#define LINK_MBPS_DEFAULT 10000u
#define LINK_MBPS_MAX     1000000

enum link { LINK_UP, LINK_DOWN, LINK_MOVED, LINK_AS_IT_IS };
static const char *const link_names[] = { [LINK_UP] = "up", [LINK_DOWN] = "down", [LINK_MOVED] = "moved" };

struct nic {
	struct node node;
	struct netvsp *netvsp;		/* while on a bus */
	char name[NIC_NAME_BYTES];
	uint8_t mac[6];
	uint16_t mtu;
	uint32_t mbps;
	unsigned link;			/* LINK_UP or LINK_DOWN */
	struct netvsp_policy policy;
	unsigned tap_count;
	int taps[NETVSP_QUEUES_MAX];
};

static struct nic *nic_of(struct node *node)
{
	return (struct nic *)node;
}

static struct nic *nic_read_into(void *into)
{
	return nic_of(((struct node_reading *)into)->node);
}

/* Reading */

static void init(struct node *node)
{
	nic_of(node)->mbps = LINK_MBPS_DEFAULT;
}

static int take_name(struct json_object *value, const char *path, void *into, struct failure *why)
{
	int r = json_check_text(value, path, 0, NIC_NAME_BYTES - 1, why);

	if (r == 0)
		strcpy(nic_read_into(into)->name, json_object_get_string(value));
	return r;
}

static int take_mac(struct json_object *value, const char *path, void *into, struct failure *why)
{
	const char *text = json_object_get_string(value);
	unsigned m[6];
	int end = 0;

	if (sscanf(text, "%2x-%2x-%2x-%2x-%2x-%2x%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &end) != 6 || end != 17 || text[17])
		return failure_set(why, -EINVAL, "%s: \"%.40s\" is no address like 00-15-5D-01-02-03", path, text);
	if ((m[0] & 1) || !(m[0] | m[1] | m[2] | m[3] | m[4] | m[5]))
		return failure_set(why, -EINVAL, "%s: %s is no address of one adapter", path, text);
	for (unsigned i = 0; i < 6; i++)
		nic_read_into(into)->mac[i] = (uint8_t)m[i];
	return 0;
}

static int take_mtu(struct json_object *value, const char *path, void *into, struct failure *why)
{
	int64_t mtu = 0;
	int r = json_take_number(value, path, NETVSP_MTU_MIN, NETVSP_MTU_MAX, &mtu, why);

	nic_read_into(into)->mtu = (uint16_t)mtu;
	return r;
}

static int take_taps(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct node_reading *reading = into;
	struct nic *nic = nic_of(reading->node);
	size_t count = json_object_array_length(value);
	int r = 0;

	if (count < 1 || count > NETVSP_QUEUES_MAX)
		return failure_set(why, -EINVAL, "%s: %zu, 1..%u are possible", path, count, NETVSP_QUEUES_MAX);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct json_object *tap = json_object_array_get_idx(value, i);

		if (!json_object_is_type(tap, json_type_int))
			return failure_set(why, -EINVAL, "%s[%zu]: must be a whole number", path, i);
		r = node_take_fd(tap, path, reading->fds, false, &nic->taps[i], why);
		nic->tap_count += r == 0;
	}
	return r;
}

static int take_link(struct json_object *value, const char *path, void *into, struct failure *why)
{
	return json_take_name(value, path, link_names, 2, &nic_read_into(into)->link, why);
}

static int take_mbps(struct json_object *value, const char *path, void *into, struct failure *why)
{
	int64_t mbps = 0;
	int r = json_take_number(value, path, 1, LINK_MBPS_MAX, &mbps, why);

	nic_read_into(into)->mbps = (uint32_t)mbps;
	return r;
}

static int take_spoofing(struct json_object *value, const char *path, void *into, struct failure *why)
{
	nic_read_into(into)->policy.allow_mac_spoofing = json_object_get_boolean(value);
	return 0;
}

static int take_guard_dhcp(struct json_object *value, const char *path, void *into, struct failure *why)
{
	nic_read_into(into)->policy.guard_dhcp = json_object_get_boolean(value);
	return 0;
}

static int take_guard_router(struct json_object *value, const char *path, void *into, struct failure *why)
{
	nic_read_into(into)->policy.guard_router = json_object_get_boolean(value);
	return 0;
}

static void fini(struct node *node)
{
	struct nic *nic = nic_of(node);

	for (unsigned i = 0; i < nic->tap_count; i++)
		(void)close(nic->taps[i]);
}

/* On the bus */

/* The adapter gets descriptors of its own: after a reset a new one needs them again. */
static int copy_taps(const struct nic *nic, struct netvsp_config *config, struct failure *why)
{
	for (config->queue_count = 0; config->queue_count < nic->tap_count; config->queue_count++) {
		unsigned i = config->queue_count;

		config->tap_fd[i] = fcntl(nic->taps[i], F_DUPFD_CLOEXEC, 0);
		if (config->tap_fd[i] < 0)
			return failure_set(why, -errno, "network adapter %u: descriptor %d: %s", nic->node.index, nic->taps[i],
					   strerror(errno));
	}
	return 0;
}

static int add(struct node *node, struct failure *why)
{
	struct nic *nic = nic_of(node);
	struct netvsp_config config = {
		.host = node->bus->host,
		.instance = node_guid(node->instance),
		.name = nic->name[0] ? nic->name : NULL,
		.mtu = nic->mtu,
		.link_mbps = nic->mbps,
		.link_up = nic->link == LINK_UP,
		.policy = nic->policy,
	};
	int r = copy_taps(nic, &config, why);

	memcpy(config.mac, nic->mac, sizeof config.mac);
	if (r == 0) {
		r = netvsp_create(node->bus->server, &config, &nic->netvsp);
		if (r == 0)
			return 0;
		failure_set(why, r, "network adapter %u: %s", node->index, strerror(-r));
	}
	nic->netvsp = NULL;
	for (unsigned i = 0; i < config.queue_count; i++)
		(void)close(config.tap_fd[i]);
	return r;
}

static void remove_adapter(struct node *node, vsp_callback done, void *context)
{
	struct nic *nic = nic_of(node);
	struct netvsp *netvsp = nic->netvsp;

	nic->netvsp = NULL;
	if (netvsp)
		netvsp_destroy(netvsp, done, context);
	else
		done(context);
}

static void pause_adapter(struct node *node)
{
	netvsp_pause(nic_of(node)->netvsp);
}

static void resume_adapter(struct node *node)
{
	netvsp_resume(nic_of(node)->netvsp);
}

static void count_traffic(const struct netvsp_counters *c, struct counter_sink *sink)
{
	static const char *const tx_names[NETVSP_CAST_COUNT] = { "tx_unicast", "tx_multicast", "tx_broadcast" };
	static const char *const rx_names[NETVSP_CAST_COUNT] = { "rx_unicast", "rx_multicast", "rx_broadcast" };
	uint64_t tx_bytes = 0, rx_bytes = 0;

	for (unsigned i = 0; i < NETVSP_CAST_COUNT; i++) {
		sink->counter(sink, tx_names[i], c->tx[i].frames);
		sink->counter(sink, rx_names[i], c->rx[i].frames);
		tx_bytes += c->tx[i].bytes;
		rx_bytes += c->rx[i].bytes;
	}
	sink->counter(sink, "tx_bytes", tx_bytes);
	sink->counter(sink, "rx_bytes", rx_bytes);
	sink->counter(sink, "tx_waits", c->tx_waits);
	sink->counter(sink, "rx_waits", c->rx_waits);
	for (unsigned i = 0; i < NETVSP_DROP_COUNT; i++)
		if (c->drops[i])
			sink->counter(sink, netvsp_drop_names[i], c->drops[i]);
}

static void counters(struct node *node, struct counter_sink *sink)
{
	const struct nic *nic = nic_of(node);
	struct netvsp_counters c;

	for (unsigned i = 0; nic->netvsp && i < nic->tap_count; i++) {
		netvsp_counters_get(nic->netvsp, i, &c);
		node_counts(node, (int)i, sink);
		count_traffic(&c, sink);
	}
}

/* Calls */

static int take_new_link(struct json_object *value, const char *path, void *into, struct failure *why)
{
	return json_take_name(value, path, link_names, 3, &nic_read_into(into)->link, why);
}

static int call_set(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = {
		{ "link", json_type_string, take_new_link, true },
		{ "mac_spoofing", json_type_boolean, take_spoofing, true },
		{ "guard_dhcp", json_type_boolean, take_guard_dhcp, true },
		{ "guard_router", json_type_boolean, take_guard_router, true },
	};
	static const enum netvsp_link_change changes[] = {
		[LINK_UP] = NETVSP_LINK_UP, [LINK_DOWN] = NETVSP_LINK_DOWN, [LINK_MOVED] = NETVSP_LINK_MOVED,
	};
	struct nic *nic = nic_of(node), wanted = *nic;
	struct node_reading reading = { .node = &wanted.node };
	int r;

	wanted.link = LINK_AS_IT_IS;
	r = node_take_params(params, members, 4, &reading, why);
	if (r)
		return r;
	nic->policy = wanted.policy;
	if (nic->netvsp)
		netvsp_policy_set(nic->netvsp, &nic->policy);
	if (wanted.link == LINK_AS_IT_IS)
		return 0;
	nic->link = wanted.link == LINK_DOWN ? LINK_DOWN : LINK_UP;
	if (nic->netvsp)
		netvsp_link_set(nic->netvsp, changes[wanted.link]);
	return 0;
}

static const struct node_call calls[] = { { "set", call_set, true } };

static const struct json_member members[] = {
	{ "name", json_type_string, take_name, true },
	{ "mac", json_type_string, take_mac, false },
	{ "mtu", json_type_int, take_mtu, false },
	{ "taps", json_type_array, take_taps, false },
	{ "link", json_type_string, take_link, true },
	{ "link_mbps", json_type_int, take_mbps, true },
	{ "mac_spoofing", json_type_boolean, take_spoofing, true },
	{ "guard_dhcp", json_type_boolean, take_guard_dhcp, true },
	{ "guard_router", json_type_boolean, take_guard_router, true },
};

const struct node_kind node_nic = {
	.type = "nic",
	.max = NIC_MAX,
	.bytes = sizeof(struct nic),
	.members = members,
	.member_count = sizeof members / sizeof members[0],
	.init = init,
	.fini = fini,
	.add = add,
	.remove = remove_adapter,
	.pause = pause_adapter,
	.resume = resume_adapter,
	.counters = counters,
	.calls = calls,
	.call_count = 1,
};
