// SPDX-License-Identifier: Apache-2.0
/* The integration components without data of their own: heartbeat, shutdown, time synchronization, VSS. */
#include "worker/node_ic.h"

#include <errno.h>
#include <string.h>

#include "ic/heartbeat.h"
#include "ic/shutdown.h"
#include "ic/timesync.h"
#include "ic/vss.h"
#include "worker/node_kinds.h"

#define SHUTDOWN_TEXT_BYTES_MAX 2047
#define TIMEOUT_SECONDS_MAX     3600

/* What all share */

int node_ic_offer(struct node *node, struct failure *why)
{
	struct ic *ic = ((struct node_ic *)node)->ic;
	int r;

	ic->device.offer.instance = node_guid(node->instance);
	r = vmbus_device_add(node->bus->server, &ic->device);
	if (r == 0)
		return 0;
	((struct node_ic *)node)->ic = NULL;
	return failure_set(why, r, "%s: %s", node->kind->type, strerror(-r));
}

void node_ic_remove(struct node *node, vsp_callback done, void *context)
{
	struct node_ic *this = (struct node_ic *)node;
	struct ic *ic = this->ic;

	this->ic = NULL;
	if (ic)
		vmbus_device_remove(node->bus->server, &ic->device, done, context);
	else
		done(context);
}

void node_ic_pause(struct node *node)
{
	ic_pause(((struct node_ic *)node)->ic);
}

void node_ic_resume(struct node *node)
{
	ic_resume(((struct node_ic *)node)->ic);
}

int node_ic_failure(const struct node *node, int error, struct failure *why)
{
	const char *text = strerror(-error);

	switch (error) {
	case 0:
		return 0;
	case -ENOTCONN:
		text = "the guest's driver or daemon is not there";
		break;
	case -EHOSTDOWN:
	case -EAGAIN:
		text = "the guest does not read its requests";
		break;
	case -EBUSY:
		text = "an earlier request is under way";
		break;
	case -EOPNOTSUPP:
		text = "the guest's driver cannot do this";
		break;
	case -E2BIG:
	case -EMSGSIZE:
		text = "longer than the guest takes";
		break;
	default:
		break;
	}
	return failure_set(why, error, "%s: %s", node->kind->type, text);
}

struct json_object *node_ic_outcome(int error, uint32_t status)
{
	struct json_object *body = json_object_new_object();

	(void)json_object_object_add(body, "error", error ? json_object_new_string(node_error_code(error)) : NULL);
	(void)json_object_object_add(body, "status", json_object_new_int64(status));
	return body;
}

/* Heartbeat */

struct heartbeat_node {
	struct node_ic base;
	struct heartbeat heartbeat;
};

static void on_heartbeat(void *context, enum heartbeat_status status, enum ic_application_state application)
{
	struct node *node = context;
	struct json_object *body = json_object_new_object();

	(void)json_object_object_add(body, "status", json_object_new_int((int)status));
	(void)json_object_object_add(body, "application", json_object_new_int((int)application));
	node_event(node, "status", body);
}

static int heartbeat_add(struct node *node, struct failure *why)
{
	static const struct heartbeat_events events = { .changed = on_heartbeat };
	struct heartbeat_node *this = (struct heartbeat_node *)node;

	heartbeat_init(&this->heartbeat, &events, node);
	this->base.ic = &this->heartbeat.ic;
	return node_ic_offer(node, why);
}

static void heartbeat_client(struct node *node, bool connected)
{
	const struct heartbeat *heartbeat = &((struct heartbeat_node *)node)->heartbeat;

	if (connected)
		on_heartbeat(node, heartbeat_status(heartbeat), heartbeat_application(heartbeat));
}

static void heartbeat_counters(struct node *node, struct counter_sink *sink)
{
	const struct heartbeat *heartbeat = &((struct heartbeat_node *)node)->heartbeat;

	node_counts(node, COUNTER_NO_UNIT, sink);
	sink->counter(sink, "status", heartbeat_status(heartbeat));
	sink->counter(sink, "answers", heartbeat->ic.counters.answers);
}

const struct node_kind node_heartbeat = {
	.type = "heartbeat",
	.max = 1,
	.bytes = sizeof(struct heartbeat_node),
	.add = heartbeat_add,
	.remove = node_ic_remove,
	.pause = node_ic_pause,
	.resume = node_ic_resume,
	.client = heartbeat_client,
	.counters = heartbeat_counters,
};

/* Time synchronization */

struct timesync_node {
	struct node_ic base;
	struct timesync timesync;
};

static int timesync_add(struct node *node, struct failure *why)
{
	struct timesync_node *this = (struct timesync_node *)node;

	timesync_init(&this->timesync);
	this->base.ic = &this->timesync.ic;
	return node_ic_offer(node, why);
}

const struct node_kind node_timesync = {
	.type = "timesync",
	.max = 1,
	.bytes = sizeof(struct timesync_node),
	.add = timesync_add,
	.remove = node_ic_remove,
	.pause = node_ic_pause,
	.resume = node_ic_resume,
};

/* Shutdown */

struct shutdown_node {
	struct node_ic base;
	struct shutdown shutdown;
};

static void on_shutdown_accepted(void *context)
{
	node_event(context, "accepted", NULL);
}

static void on_shutdown_ended(void *context, enum shutdown_end end, uint32_t status)
{
	static const char *const names[] = {
		[SHUTDOWN_LEFT] = "left", [SHUTDOWN_REFUSED] = "refused", [SHUTDOWN_TIMED_OUT] = "timed_out",
	};
	struct json_object *body = json_object_new_object();

	(void)json_object_object_add(body, "end", json_object_new_string(names[end]));
	(void)json_object_object_add(body, "status", json_object_new_int64(status));
	node_event(context, "ended", body);
}

static int shutdown_add(struct node *node, struct failure *why)
{
	static const struct shutdown_events events = { .accepted = on_shutdown_accepted, .ended = on_shutdown_ended };
	struct shutdown_node *this = (struct shutdown_node *)node;

	shutdown_init(&this->shutdown, &events, node);
	this->base.ic = &this->shutdown.ic;
	return node_ic_offer(node, why);
}

static int take_action(struct json_object *value, const char *path, void *into, struct failure *why)
{
	static const char *const names[] = {
		[SHUTDOWN_POWER_OFF] = "power_off", [SHUTDOWN_RESTART] = "restart", [SHUTDOWN_HIBERNATE] = "hibernate",
	};
	struct shutdown_request *request = into;
	unsigned action = 0;
	int r = json_take_name(value, path, names, 3, &action, why);

	request->action = (enum shutdown_action)action;
	return r;
}

static int take_force(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct shutdown_request *request = into;

	request->force = json_object_get_boolean(value);
	return 0;
}

static int take_shutdown_timeout(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct shutdown_request *request = into;
	int64_t seconds = 0;
	int r = json_take_number(value, path, 1, TIMEOUT_SECONDS_MAX, &seconds, why);

	request->timeout_seconds = (uint32_t)seconds;
	return r;
}

static int take_text(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct shutdown_request *request = into;

	request->text = json_object_get_string(value);
	return json_check_text(value, path, 0, SHUTDOWN_TEXT_BYTES_MAX, why);
}

static int call_request(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = {
		{ "action", json_type_string, take_action, false },
		{ "force", json_type_boolean, take_force, true },
		{ "timeout_s", json_type_int, take_shutdown_timeout, false },
		{ "text", json_type_string, take_text, true },
	};
	struct shutdown_request request = { .force = false };
	int r = node_take_params(params, members, 4, &request, why);

	return r ? r : node_ic_failure(node, shutdown_start(&((struct shutdown_node *)node)->shutdown, &request), why);
}

static const struct node_call shutdown_calls[] = { { "request", call_request, false } };

const struct node_kind node_shutdown = {
	.type = "shutdown",
	.max = 1,
	.bytes = sizeof(struct shutdown_node),
	.add = shutdown_add,
	.remove = node_ic_remove,
	.pause = node_ic_pause,
	.resume = node_ic_resume,
	.calls = shutdown_calls,
	.call_count = 1,
};

/* VSS */

struct vss_node {
	struct node_ic base;
	struct vss vss;
	bool abandoned;			/* who asked for the freeze is gone: nobody else would thaw before the limit */
};

static void on_frozen(void *context)
{
	struct vss_node *this = context;

	if (this->abandoned)
		(void)!vss_thaw(&this->vss);	/* if not, the limit does it */
	node_event(&this->base.node, "frozen", NULL);
}

static void on_freeze_failed(void *context, int error, uint32_t status)
{
	node_event(context, "failed", node_ic_outcome(error, status));
}

static void on_thawed(void *context, int error, uint32_t status)
{
	node_event(context, "thawed", node_ic_outcome(error, status));
}

static int vss_add(struct node *node, struct failure *why)
{
	static const struct vss_events events = { .frozen = on_frozen, .failed = on_freeze_failed, .thawed = on_thawed };
	struct vss_node *this = (struct vss_node *)node;

	vss_init(&this->vss, &events, node);
	this->base.ic = &this->vss.ic;
	return node_ic_offer(node, why);
}

static void vss_client(struct node *node, bool connected)
{
	struct vss_node *this = (struct vss_node *)node;

	if (connected)
		return;
	this->abandoned = true;
	if (this->vss.state.phase == VSS_FROZEN)
		(void)!vss_thaw(&this->vss);	/* if not, the limit does it */
}

struct freeze {
	int64_t timeout, frozen_max;	/* seconds */
};

static int take_freeze_timeout(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct freeze *freeze = into;

	return json_take_number(value, path, 1, TIMEOUT_SECONDS_MAX, &freeze->timeout, why);
}

static int take_frozen_max(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct freeze *freeze = into;

	return json_take_number(value, path, 1, TIMEOUT_SECONDS_MAX, &freeze->frozen_max, why);
}

static int call_freeze(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	static const struct json_member members[] = {
		{ "timeout_s", json_type_int, take_freeze_timeout, false },
		{ "frozen_max_s", json_type_int, take_frozen_max, false },
	};
	struct vss_node *this = (struct vss_node *)node;
	struct freeze freeze = { 0, 0 };
	int r = node_take_params(params, members, 2, &freeze, why);

	if (r)
		return r;
	r = vss_freeze(&this->vss, (uint64_t)freeze.timeout * IC_SECOND_NS, (uint64_t)freeze.frozen_max * IC_SECOND_NS);
	if (r == 0)
		this->abandoned = false;
	return node_ic_failure(node, r, why);
}

static int call_thaw(struct node *node, struct json_object *params, struct node_fds *fds, struct failure *why)
{
	struct vss *vss = &((struct vss_node *)node)->vss;
	int r = node_take_params(params, NULL, 0, NULL, why);

	if (r)
		return r;
	r = vss_thaw(vss);
	return r == -EINVAL ? failure_set(why, -ENOTCONN, "vss: the guest is not frozen") : node_ic_failure(node, r, why);
}

static const struct node_call vss_calls[] = { { "freeze", call_freeze, false }, { "thaw", call_thaw, false } };

const struct node_kind node_vss = {
	.type = "vss",
	.max = 1,
	.bytes = sizeof(struct vss_node),
	.add = vss_add,
	.remove = node_ic_remove,
	.pause = node_ic_pause,
	.resume = node_ic_resume,
	.client = vss_client,
	.calls = vss_calls,
	.call_count = 2,
};
