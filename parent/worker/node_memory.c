// SPDX-License-Identifier: Apache-2.0
/* Dynamic memory: the management service sets targets, the guest's reports go back. */
#include <errno.h>
#include <string.h>

#include "worker/config.h"
#include "worker/dynamic_memory.h"
#include "worker/node_kinds.h"

#define PAGES_OF_MIB(mib) ((uint64_t)(mib) << 8)

struct memory_node {
	struct node node;
	int64_t minimum_mib, maximum_mib;
	struct dynamic_memory memory;
	bool made, offered;
};

static struct memory_node *memory_of(struct node *node)
{
	return (struct memory_node *)node;
}

/* Reading */

static int take_minimum(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct node_reading *reading = into;

	return json_take_number(value, path, CONFIG_MEMORY_MIB_MIN, CONFIG_MEMORY_MIB_MAX,
				&memory_of(reading->node)->minimum_mib, why);
}

static int take_maximum(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct node_reading *reading = into;
	int64_t *maximum = &memory_of(reading->node)->maximum_mib;
	int r = json_take_number(value, path, CONFIG_MEMORY_MIB_MIN, CONFIG_MEMORY_MIB_MAX, maximum, why);

	if (r == 0 && *maximum % 2)
		return failure_set(why, -EINVAL, "%s: %lld is no multiple of 2", path, (long long)*maximum);
	return r;
}

int node_memory_growth(const struct node *list, uint64_t startup_mib, uint64_t *ret_mib, struct failure *why)
{
	const struct memory_node *memory;

	*ret_mib = 0;
	while (list && (list->kind != &node_memory || list->removing))
		list = list->next;
	if (!list)
		return 0;
	memory = (const struct memory_node *)list;
	if (startup_mib < (uint64_t)memory->minimum_mib || startup_mib > (uint64_t)memory->maximum_mib)
		return failure_set(why, -EINVAL, "memory.startup_mib: %llu is not between minimum and maximum of dynamic memory, "
				   "%lld..%lld", (unsigned long long)startup_mib, (long long)memory->minimum_mib,
				   (long long)memory->maximum_mib);
	*ret_mib = (uint64_t)memory->maximum_mib - startup_mib;
	return 0;
}

/* On the bus */

static void add_mib(struct json_object *body, const char *name, uint64_t pages)
{
	(void)json_object_object_add(body, name, json_object_new_uint64(pages >> 8));
}

static void on_status(void *context)
{
	struct memory_node *this = context;
	struct json_object *body = json_object_new_object();
	struct dm_status status;

	dm_get_status(&this->memory.dm, &status);
	add_mib(body, "assigned_mib", status.assigned);
	add_mib(body, "target_mib", status.target);
	add_mib(body, "demand_mib", status.demand);
	add_mib(body, "available_mib", status.available);
	(void)json_object_object_add(body, "reported", json_object_new_boolean(status.reported));
	(void)json_object_object_add(body, "hot_add", json_object_new_boolean(status.can_hot_add));
	(void)json_object_object_add(body, "balloon", json_object_new_boolean(status.can_balloon));
	(void)json_object_object_add(body, "stalled", json_object_new_boolean(status.stalled));
	node_event(&this->node, "status", body);
}

static void on_failed(void *context, const struct failure *why)
{
	const struct memory_node *this = context;

	this->node.bus->failed(this->node.bus->context, why);
}

static void end_memory(struct memory_node *this)
{
	if (this->made)
		dynamic_memory_fini(&this->memory);
	this->made = this->offered = false;
}

static int add(struct node *node, struct failure *why)
{
	static const struct dynamic_memory_events events = { .status = on_status, .failed = on_failed };
	struct memory_node *this = memory_of(node);
	struct vmbus_guid instance = node_guid(node->instance);
	int r;

	end_memory(this);		/* of the bus before this one */
	r = dynamic_memory_init(&this->memory, &instance, (uint64_t)this->maximum_mib << 20, node->bus->backend, node->bus->mem,
				&events, this, why);
	if (r)
		return r;
	this->made = true;
	r = vmbus_device_add(node->bus->server, &this->memory.dm.device);
	this->offered = r == 0;
	return r ? failure_set(why, r, "dynamic memory: %s", strerror(-r)) : 0;
}

static void remove_memory(struct node *node, vsp_callback done, void *context)
{
	struct memory_node *this = memory_of(node);

	if (!this->offered) {
		end_memory(this);
		done(context);
		return;
	}
	this->offered = false;
	/* Its rest goes with the node, or when it is made anew: nothing of it acts by itself once it is off the bus. */
	vmbus_device_remove(node->bus->server, &this->memory.dm.device, done, context);
}

static void fini(struct node *node)
{
	end_memory(memory_of(node));
}

static void pause_memory(struct node *node)
{
	dm_pause(&memory_of(node)->memory.dm);
}

static void resume_memory(struct node *node)
{
	dm_resume(&memory_of(node)->memory.dm);
}

static void client(struct node *node, bool connected)
{
	if (connected)
		on_status(memory_of(node));
}

static void counters(struct node *node, struct counter_sink *sink)
{
	const struct dynamic_memory *memory = &memory_of(node)->memory;

	node_counts(node, COUNTER_NO_UNIT, sink);
	sink->counter(sink, "ballooned_pages", memory->dm.counters.ballooned);
	sink->counter(sink, "unballooned_pages", memory->dm.counters.unballooned);
	sink->counter(sink, "added_pages", memory->dm.counters.added);
	sink->counter(sink, "reports", memory->dm.counters.reports);
	sink->counter(sink, "timeouts", memory->dm.counters.timeouts);
	sink->counter(sink, "refusals", memory->dm.counters.refusals);
	sink->counter(sink, "lies", memory->dm.counters.lies);
	sink->counter(sink, "take_failures", memory->take_failures);
	sink->counter(sink, "return_failures", memory->return_failures);
}

/* Calls */

static int take_target(struct json_object *value, const char *path, void *into, struct failure *why)
{
	return json_take_number(value, path, 1, CONFIG_MEMORY_MIB_MAX, into, why);
}

static int call_set_target(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = { { "mib", json_type_int, take_target, false } };
	const struct memory_node *this = memory_of(node);
	int64_t mib = 0;
	int r = node_take_params(params, members, 1, &mib, why);

	if (r)
		return r;
	if (mib < this->minimum_mib || mib > this->maximum_mib)
		return failure_set(why, -EINVAL, "params.mib: %lld is not in %lld..%lld", (long long)mib,
				   (long long)this->minimum_mib, (long long)this->maximum_mib);
	r = dm_set_target(&memory_of(node)->memory.dm, PAGES_OF_MIB(mib));
	return r ? failure_set(why, r, "memory: %s", strerror(-r)) : 0;
}

static const struct node_call calls[] = { { "set_target", call_set_target, false } };

static const struct json_member members[] = {
	{ "minimum_mib", json_type_int, take_minimum, false },
	{ "maximum_mib", json_type_int, take_maximum, false },
};

const struct node_kind node_memory = {
	.type = "memory",
	.max = 1,
	.bytes = sizeof(struct memory_node),
	.members = members,
	.member_count = 2,
	.fini = fini,
	.add = add,
	.remove = remove_memory,
	.pause = pause_memory,
	.resume = resume_memory,
	.client = client,
	.counters = counters,
	.calls = calls,
	.call_count = 1,
};
