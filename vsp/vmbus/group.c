// SPDX-License-Identifier: Apache-2.0
/* Channels that are served together: what one round of them sent and read, who watches over them, and their lock. */
#include <stdarg.h>
#include <stdio.h>

#include "vmbus/server_state.h"

#define MILLISECOND_NS     1000000ull
#define SECOND_100NS       10000000ull
#define WATCHDOG_NS        (1000 * MILLISECOND_NS)
#define WATCHDOG_IDLE_NS   (10000 * MILLISECOND_NS)	/* when only a lost doorbell could be found */
#define LOG_WINDOW_100NS   (10 * SECOND_100NS)
#define LOG_LINES          16u				/* in a window: guests can make any of them happen */

void group_log(struct channel_group *group, const char *format, ...)
{
	uint64_t now = server_now(group->server);
	char text[160];
	va_list arguments;

	if (now - group->log_window >= LOG_WINDOW_100NS) {
		group->log_window = now;
		group->log_lines = 0;
	}
	if (group->log_lines++ >= LOG_LINES)
		return;
	va_start(arguments, format);
	(void)vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	group->host->ops->log(group->host->context, text);
}

void group_mark_dirty(struct vmbus_channel *channel)
{
	struct channel_group *group = channel->group;

	if (channel->dirty)
		return;
	channel->dirty = true;
	TAILQ_INSERT_TAIL(&group->dirty, channel, dirty_link);
	if (group->depth == 0 && !group->paused)
		vsp_soon(group->host, &group->flush);
}

void group_publish(struct channel_group *group)
{
	struct vmbus_channel *channel;

	while ((channel = TAILQ_FIRST(&group->dirty))) {
		TAILQ_REMOVE(&group->dirty, channel, dirty_link);
		channel->dirty = false;
		channel_publish(channel);
	}
}

static void disarm_watchdog(struct channel_group *group)
{
	if (group->watchdog_armed)
		group->host->ops->timer_cancel(group->host->context, &group->watchdog);
	group->watchdog_armed = false;
}

/* Soon while there is something to watch; now and then for what nobody here can know of. */
void group_arm_watchdog(struct channel_group *group, bool worth)
{
	const bool open = group->open_count != 0;

	if (group->watchdog_idles && (worth || !open))
		disarm_watchdog(group);
	if (!worth && !open)
		return;
	if (group->watchdog_armed)
		return;
	group->watchdog_armed = true;
	group->watchdog_idles = !worth;
	group->host->ops->timer_arm(group->host->context, &group->watchdog, worth ? WATCHDOG_NS : WATCHDOG_IDLE_NS);
}

static void settle_lanes(struct channel_group *group)
{
	if (group->paused)
		return;
	group_publish(group);
	group_arm_watchdog(group, group->sent);
}

void group_lock(struct channel_group *group)
{
	if (group->lanes)
		group->lanes->enter(group->lanes->context);
}

void group_unlock(struct channel_group *group)
{
	if (group->lanes)
		group->lanes->leave(group->lanes->context);
}

void group_enter(struct channel_group *group)
{
	group_lock(group);
	group->depth++;
}

void group_leave(struct channel_group *group)
{
	if (group->depth == 1 && group->lanes)
		settle_lanes(group);
	else if (group->depth == 1)
		server_settle(group->server);
	group->depth--;
	group_unlock(group);
}

static void flush(void *context)
{
	struct channel_group *group = context;

	group_enter(group);
	group_leave(group);
}

void group_watch(struct channel_group *group)
{
	struct control_channel *channel;

	group->watchdog_armed = group->sent = false;
	TAILQ_FOREACH(channel, &group->server->control.channels, link)
		if (channel_of(channel)->group == group)
			group->sent |= channel_watch(channel_of(channel));
}

static void lanes_watchdog_expired(void *context)
{
	struct channel_group *group = context;

	group_enter(group);
	group_watch(group);
	group_leave(group);
}

/* ---- devices that close channels on a lane */

static bool release_one(struct channel_group *group)
{
	struct control_channel *control;

	TAILQ_FOREACH(control, &group->server->control.channels, link) {
		struct vmbus_channel *channel = channel_of(control);

		if (channel->group != group || !channel->let_go)
			continue;
		channel->let_go = false;
		channel_release(channel);
		return true;
	}
	return false;
}

static void release_expired(void *context)
{
	struct channel_group *group = context;
	struct vmbus_server *server = group->server;

	server_enter(server);
	while (release_one(group))
		;
	server_leave(server);	/* the group may be gone with its device */
}

void group_init(struct channel_group *group, struct vmbus_server *server, const struct vsp_lanes *lanes, vsp_callback watchdog)
{
	*group = (struct channel_group){
		.server = server,
		.host = lanes ? &lanes->host[0] : server->host,
		.lanes = lanes,
		.paused = server->group.paused,
		.flush = vsp_soon_make(flush, group),
		.watchdog = { .expired = lanes ? lanes_watchdog_expired : watchdog, .context = lanes ? (void *)group : server },
		.release = { .expired = release_expired, .context = group },
	};
	TAILQ_INIT(&group->dirty);
}

void group_set_paused(struct channel_group *group, bool paused)
{
	group_enter(group);
	group->paused = paused;
	disarm_watchdog(group);
	group_leave(group);
}

void group_stop(struct channel_group *group)
{
	group_lock(group);
	vsp_soon_cancel(group->host, &group->flush);
	disarm_watchdog(group);
	group->host->ops->timer_cancel(group->host->context, &group->release);
	group_unlock(group);
}
