// SPDX-License-Identifier: Apache-2.0
/* Carries out what the control plane decides: messages, doorbells, callbacks, and the clock that it lacks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/server_state.h"
#include "vmbus/trace.h"

#define MILLISECOND_NS     1000000ull
#define SECOND_100NS       10000000ull
#define RETRY_NS_MIN       (1 * MILLISECOND_NS)
#define RETRY_NS_MAX       (64 * MILLISECOND_NS)
#define RETRY_NS_DEAF      (1000 * MILLISECOND_NS)	/* the guest has its SynIC off */
#define STALL_TOLD_100NS   (5 * SECOND_100NS)
#define RESCIND_AFTER_100NS (2 * SECOND_100NS)		/* Linux does not survive offers that flap */
#define EXPEL_AFTER_100NS  (10 * SECOND_100NS)

uint64_t server_now(const struct vmbus_server *server)
{
	return server->host->ops->reference_time(server->host->context);
}

static void arm_retry(struct vmbus_server *server, uint64_t after_ns)
{
	if (!server->retry_armed)
		server->host->ops->timer_arm(server->host->context, &server->retry, after_ns);
	server->retry_armed = true;
}

static void disarm_retry(struct vmbus_server *server)
{
	if (server->retry_armed)
		server->host->ops->timer_cancel(server->host->context, &server->retry);
	server->retry_armed = false;
}

/* ---- messages to the guest */

static void forget_stall(struct vmbus_server *server)
{
	server->retry_ns = RETRY_NS_MIN;
	server->stalled = server->stall_told = false;
}

static void message_delivered(struct vmbus_server *server, const struct control_message *message)
{
	struct control_channel *channel = server->control.by_relid[message->opened_relid];

	server->messages_sent++;
	if (trace_is_on(server))
		trace_message(server, false, message->payload, message->bytes);
	forget_stall(server);
	if (channel && channel->state == CONTROL_OPEN)
		channel_announce(channel_of(channel));
}

static void deliver_messages(struct vmbus_server *server)
{
	const struct vsp_host *host = server->host;
	const struct control_message *message;

	if (server->retry_armed)
		return;
	while ((message = control_first_message(&server->control))) {
		int r = host->ops->post_message(host->context, message->vp, message->sint, message->payload,
						message->bytes);

		if (r) {
			server->post_retries++;
			if (!server->stalled)
				server->stalled_since = server_now(server);
			server->stalled = true;
			arm_retry(server, r == -EAGAIN ? server->retry_ns : RETRY_NS_DEAF);
			if (server->retry_ns < RETRY_NS_MAX)
				server->retry_ns *= 2;
			return;
		}
		message_delivered(server, message);
		control_drop_message(&server->control);
	}
}

static void retry_expired(void *context)
{
	struct vmbus_server *server = context;

	server->retry_armed = false;
	server_enter(server);
	server_leave(server);
}

/* ---- devices that come and go */

static void device_gone(struct server_device *entry)
{
	vsp_callback done = entry->done;
	void *context = entry->done_context;

	if (entry->own_group.lanes)
		group_stop(&entry->own_group);
	TAILQ_REMOVE(&entry->server->devices, entry, link);
	entry->server->leaving_count -= entry->state != DEVICE_HERE;
	entry->device->server_data = NULL;
	free(entry);
	if (done)
		done(context);
}

static void channel_gone(struct vmbus_channel *channel)
{
	struct server_device *entry = channel->device;

	channel_free(channel);
	if (entry && --entry->channel_count == 0)
		device_gone(entry);
}

int vmbus_device_add(struct vmbus_server *server, struct vmbus_device *device)
{
	struct server_device *entry = calloc(1, sizeof *entry);
	int r = -ENOMEM;

	if (!entry)
		return -ENOMEM;
	*entry = (struct server_device){
		.server = server,
		.device = device,
		.channel_count = 1,
		.added_at = server_now(server),
		.state = DEVICE_HERE,
	};
	if (device->lanes)
		group_init(&entry->own_group, server, device->lanes, NULL);
	entry->primary = channel_new(entry, NULL, 0);
	if (entry->primary)
		r = control_add(&server->control, &entry->primary->control);
	if (r) {
		free(entry->primary);
		free(entry);
		return r;
	}
	TAILQ_INSERT_TAIL(&server->devices, entry, link);
	device->server_data = entry;
	server_enter(server);
	server_leave(server);
	return 0;
}

static void rescind(struct server_device *entry)
{
	entry->state = DEVICE_RESCINDED;
	entry->due = server_now(entry->server) + EXPEL_AFTER_100NS;
	control_revoke(&entry->server->control, &entry->primary->control);
}

void vmbus_device_remove(struct vmbus_server *server, struct vmbus_device *device, vsp_callback done, void *context)
{
	struct server_device *entry = device->server_data;
	uint64_t offered;

	if (!entry || entry->state != DEVICE_HERE)
		return;
	server_enter(server);
	entry->done = done;
	entry->done_context = context;
	offered = entry->added_at > server->offers_at ? entry->added_at : server->offers_at;
	entry->due = offered + RESCIND_AFTER_100NS;
	entry->state = DEVICE_LEAVING;
	server->leaving_count++;
	/* Closing a socket is to rescind it, and guests wait for that. */
	if (entry->primary->control.relid == 0 || control_is_socket(&entry->primary->control) ||
	    server_now(server) >= entry->due)
		rescind(entry);
	server_leave(server);
}

int vmbus_device_offer_subchannels(struct vmbus_device *device, unsigned count)
{
	struct server_device *entry = device->server_data;
	struct vmbus_server *server;
	struct control_channel *channel;

	if (!entry || entry->primary->control.state != CONTROL_OPEN || entry->primary->control.revoked || count == 0)
		return -EINVAL;
	server = entry->server;
	TAILQ_FOREACH(channel, &server->control.channels, link)
		if (channel->primary == &entry->primary->control && !channel->revoked)
			return -EINVAL;
	if (count > VMBUS_RELID_MAX - server->control.channel_count)
		return -ENOSPC;
	server_enter(server);
	for (unsigned i = 1; i <= count; i++) {
		struct vmbus_channel *sub = channel_new(entry, entry->primary, i);

		if (!sub || control_add(&server->control, &sub->control)) {
			free(sub);
			server_leave(server);
			return -ENOMEM;
		}
		entry->channel_count++;
	}
	server_leave(server);
	return 0;
}

void vmbus_server_set_connector(struct vmbus_server *server, const struct vmbus_connector *connector)
{
	server->connector = connector;
}

bool vmbus_server_takes_sockets(const struct vmbus_server *server)
{
	return control_takes_sockets(&server->control);
}

/* Whether a channel of the device is not closed. */
static bool in_use(const struct server_device *entry)
{
	const struct control_channel *channel;

	TAILQ_FOREACH(channel, &entry->server->control.channels, link)
		if (channel_of((struct control_channel *)(uintptr_t)channel)->device == entry &&
		    channel->state != CONTROL_CLOSED)
			return true;
	return false;
}

/* The device may go although the guest has not let go of the channel ids; they stay reserved. */
static void let_go(struct server_device *entry)
{
	struct control_channel *channel;

	TAILQ_FOREACH(channel, &entry->server->control.channels, link)
		if (channel_of(channel)->device == entry)
			channel_expel(channel_of(channel));
	device_gone(entry);
}

static bool next_step_of_removal(struct server_device *entry)
{
	struct vmbus_server *server = entry->server;
	const uint32_t relid = entry->primary->control.relid;
	const bool due = server_now(server) >= entry->due;

	if (entry->state == DEVICE_LEAVING && (due || relid == 0)) {
		rescind(entry);
	} else if (entry->state == DEVICE_RESCINDED && due) {
		/* A program that keeps its end of a socket is nothing to tell. */
		if (!control_is_socket(&entry->primary->control))
			server_log(server, "the guest does not release channel %u: it is closed", relid);
		entry->state = DEVICE_EXPELLED;
		control_close(&server->control, &entry->primary->control);
	} else if (entry->state == DEVICE_EXPELLED && !in_use(entry)) {
		let_go(entry);
	} else {
		return false;
	}
	return true;
}

/* True: one went a step further. One at a time, because its callback may add and remove others. */
static bool remove_devices(struct vmbus_server *server)
{
	struct server_device *entry;

	if (server->leaving_count == 0)
		return false;
	TAILQ_FOREACH(entry, &server->devices, link)
		if (entry->state != DEVICE_HERE && next_step_of_removal(entry))
			return true;
	return false;
}

/* ---- actions */

static bool is_ram(struct vmbus_server *server, const struct gpadl *gpadl)
{
	struct gpa_cursor cursor;
	uint32_t bytes;
	uint64_t gpa;

	gpadl_pieces(gpadl, &cursor);
	while (gpa_cursor_next(&cursor, &gpa, &bytes) > 0)
		if (!server->host->ops->memory(server->host->context, gpa, bytes))
			return false;
	return true;
}

static void attach(struct vmbus_server *server, struct vmbus_channel *channel)
{
	int r = channel_attach(channel, NULL);

	if (r)
		server_log(server, "channel %u does not open: %s", channel->control.relid, strerror(-r));
	control_opened(&server->control, &channel->control, r == 0);
	/* A guest may have written before it asked to open; then nobody rings. */
	if (r)
		return;
	group_enter(channel->group);
	channel_attend(channel);
	group_leave(channel->group);
}

static void connect_socket(struct vmbus_server *server)
{
	const struct vmbus_tl_connect_message request = server->control.connect;
	const struct vmbus_connector *connector = server->connector;

	if (!connector || connector->connect(connector->context, &request.endpoint, &request.service))
		control_refuse(&server->control, &request);
}

static void quiet(struct vmbus_server *server)
{
	vsp_callback done = server->reset_done;

	if (server->connector)
		server->connector->reset(server->connector->context);

	/* What could not be delivered is dropped; what comes now need not wait for that. */
	disarm_retry(server);
	forget_stall(server);
	server->reset_done = NULL;
	if (done)
		done(server->reset_context);
}

static void act(struct vmbus_server *server)
{
	struct control_channel *channel;
	struct gpadl *gpadl;

	for (;;) {
		switch (control_next_action(&server->control, &channel, &gpadl)) {
		case CONTROL_MAP:
			control_mapped(&server->control, gpadl, is_ram(server, gpadl));
			break;
		case CONTROL_ATTACH:
			attach(server, channel_of(channel));
			break;
		case CONTROL_DETACH:
			channel_detach(channel_of(channel));
			break;
		case CONTROL_GONE:
			channel_gone(channel_of(channel));
			break;
		case CONTROL_CONNECT:
			connect_socket(server);
			break;
		case CONTROL_QUIET:
			quiet(server);
			break;
		case CONTROL_IDLE:
			return;
		}
	}
}

/* ---- the loop's end */

static bool worth_watching(const struct vmbus_server *server)
{
	return server->leaving_count || server->group.sent || server->control.message_count ||
	       server->control.state == CONTROL_RESETTING;
}

void server_settle(struct vmbus_server *server)
{
	do {
		act(server);
	} while (remove_devices(server));
	if (server->control.offers_sent && !server->offered)
		server->offers_at = server_now(server);
	server->offered = server->control.offers_sent;
	if (server->group.paused)
		return;
	group_publish(&server->group);
	deliver_messages(server);
	group_arm_watchdog(&server->group, worth_watching(server));
}

/* ---- the watchdog */

static void tell_stall(struct vmbus_server *server)
{
	if (!server->stalled || server->stall_told || server_now(server) - server->stalled_since < STALL_TOLD_100NS)
		return;
	server->stall_told = true;
	server_log(server, "the guest does not take its VMBus messages, %u wait", server->control.message_count);
}

/* At the watchdog's second look: a guest waits for an answer without end. */
static void tell_slow_closing(struct vmbus_server *server)
{
	struct control_channel *channel;

	if (server->control.state != CONTROL_RESETTING) {
		server->resets_watched = 0;
		return;
	}
	if (++server->resets_watched != 2)
		return;
	TAILQ_FOREACH(channel, &server->control.channels, link)
		if (channel->state == CONTROL_CLOSING)
			server_log(server, "the device behind channel %u takes long to close it", channel->relid);
}

static void watchdog_expired(void *context)
{
	struct vmbus_server *server = context;

	server_enter(server);
	group_watch(&server->group);
	tell_stall(server);
	tell_slow_closing(server);
	server_leave(server);
}

/* ---- what the host asks for */

struct vmbus_server *vmbus_server_new(const struct vmbus_server_config *config)
{
	const struct control_limits limits = {
		.vp_count = config->vp_count,
		.gpadls = config->gpadl_max ? config->gpadl_max : VMBUS_GPADL_MAX,
		.gpadl_bytes = config->gpadl_bytes_max ? config->gpadl_bytes_max : VMBUS_GPADL_BYTES_MAX,
	};
	struct vmbus_server *server;

	if (!config->host || config->vp_count == 0 || config->vp_count == VMBUS_VP_NONE)
		return NULL;
	server = calloc(1, sizeof *server);
	if (!server)
		return NULL;
	server->host = config->host;
	server->retry_ns = RETRY_NS_MIN;
	server->retry = (struct vsp_timer){ .expired = retry_expired, .context = server };
	control_init(&server->control, &limits);
	TAILQ_INIT(&server->devices);
	group_init(&server->group, server, NULL, watchdog_expired);
	if (trace_is_on(server))
		trace_start(server);
	return server;
}

static void stop_timers(struct vmbus_server *server)
{
	disarm_retry(server);
	group_stop(&server->group);
}

void vmbus_server_free(struct vmbus_server *server)
{
	struct control_channel *channel;
	struct server_device *entry;

	if (!server)
		return;
	stop_timers(server);
	while ((channel = TAILQ_FIRST(&server->control.channels))) {
		TAILQ_REMOVE(&server->control.channels, channel, link);
		channel_abandon(channel_of(channel));
	}
	while ((entry = TAILQ_FIRST(&server->devices))) {
		TAILQ_REMOVE(&server->devices, entry, link);
		if (entry->own_group.lanes)
			group_stop(&entry->own_group);
		entry->device->server_data = NULL;
		free(entry);
	}
	control_fini(&server->control);
	free(server);
}

int vmbus_server_message(struct vmbus_server *server, const void *payload, size_t bytes)
{
	int r;

	server_enter(server);
	r = control_message(&server->control, payload, bytes);
	if (r == 0 && trace_is_on(server))
		trace_message(server, true, payload, bytes);
	server_leave(server);
	return r;
}

void vmbus_server_reset(struct vmbus_server *server, vsp_callback done, void *context)
{
	server_enter(server);
	server->reset_done = done;
	server->reset_context = context;
	control_reset(&server->control);
	server_leave(server);
}

void server_set_paused(struct vmbus_server *server, bool paused)
{
	struct server_device *entry;

	server->group.paused = paused;
	TAILQ_FOREACH(entry, &server->devices, link)
		if (entry->own_group.lanes)
			group_set_paused(&entry->own_group, paused);
}

void vmbus_server_pause(struct vmbus_server *server)
{
	server_enter(server);
	server_leave(server);
	stop_timers(server);
	server_set_paused(server, true);
}

void vmbus_server_resume(struct vmbus_server *server)
{
	struct control_channel *channel;

	server_set_paused(server, false);
	server_enter(server);
	TAILQ_FOREACH(channel, &server->control.channels, link)
		channel_resume(channel_of(channel));
	server_leave(server);
}

void vmbus_server_get_counters(const struct vmbus_server *server, struct vmbus_server_counters *out)
{
	const struct control *control = &server->control;

	*out = (struct vmbus_server_counters){
		.messages_received = control->counters.received,
		.messages_sent = server->messages_sent,
		.messages_bad = control->counters.bad,
		.messages_unknown = control->counters.unknown,
		.messages_refused = control->counters.refused,
		.post_retries = server->post_retries,
		.contacts = control->counters.contacts,
		.gpadls_refused = control->counters.gpadls_refused,
		.opens_refused = control->counters.opens_refused,
		.connects = control->counters.connects,
		.connects_refused = control->counters.connects_refused,
		.gpadl_count = control->gpadl_count,
		.gpadl_bytes = control->gpadl_bytes,
		.queued = control->message_count,
		.version = control->version,
	};
}

int vmbus_channel_get_counters(const struct vmbus_device *device, unsigned index, struct vmbus_channel_counters *out)
{
	const struct server_device *entry = device->server_data;
	struct control_channel *channel;

	if (!entry)
		return -ENOENT;
	TAILQ_FOREACH(channel, &entry->server->control.channels, link) {
		if (channel_of(channel)->device != entry || channel->index != index || (index && channel->revoked))
			continue;
		group_lock(channel_of(channel)->group);
		*out = channel_of(channel)->counters;
		out->broken = channel_of(channel)->broken;
		group_unlock(channel_of(channel)->group);
		out->open = channel->state == CONTROL_OPEN;
		out->relid = channel->relid;
		out->target_vp = channel->open.target_vp;
		return 0;
	}
	return -ENOENT;
}
