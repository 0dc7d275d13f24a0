// SPDX-License-Identifier: Apache-2.0
#include "hvsock/hvsock_listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmbus/guid.h"

#define SECOND_NS    1000000000ull
#define LINE_TIME_NS (5 * SECOND_NS)
#define RETRY_NS     (1 * SECOND_NS)	/* no descriptor or no memory for the next client */
#define COMMAND      "CONNECT "
#define COMMAND_CHARS (sizeof COMMAND - 1)
#define LINE_MAX_CHARS (COMMAND_CHARS + VMBUS_GUID_CHARS + 1)

struct client {
	TAILQ_ENTRY(client) link;
	struct hvsock_listener *listener;
	int fd;
	struct vsp_watch watch;
	bool watched;
	bool asks;			/* the guest */
	struct vsp_timer timer;
	char line[LINE_MAX_CHARS];
	size_t used;
};

struct hvsock_listener {
	const struct vsp_host *host;
	struct hvsock *hvsock;
	struct vsp_watch watch;
	bool watched;
	bool paused;
	struct vsp_timer retry;
	TAILQ_HEAD(, client) clients;
	unsigned client_count;
};

static void *host_of(const struct hvsock_listener *listener)
{
	return listener->host->context;
}

/* ---- accepting */

/* Watches while there is a place for one more. */
static void watch_door(struct hvsock_listener *listener)
{
	const struct vsp_host_ops *ops = listener->host->ops;
	const bool open = !listener->paused && listener->client_count < HVSOCK_CLIENTS_MAX;

	if (listener->watched && !open) {
		ops->watch_remove(host_of(listener), &listener->watch);
		listener->watched = false;
	} else if (!listener->watched && open) {
		listener->watched = ops->watch_add(host_of(listener), &listener->watch) == 0;
		if (!listener->watched)
			ops->timer_arm(host_of(listener), &listener->retry, RETRY_NS);
	}
}

static void close_door_for_a_while(struct hvsock_listener *listener)
{
	const struct vsp_host_ops *ops = listener->host->ops;

	if (listener->watched)
		ops->watch_remove(host_of(listener), &listener->watch);
	listener->watched = false;
	ops->timer_arm(host_of(listener), &listener->retry, RETRY_NS);
}

static void retry_expired(void *context)
{
	watch_door(context);
}

/* ---- clients */

static void unwatch(struct client *client)
{
	const struct vsp_host *host = client->listener->host;

	host->ops->timer_cancel(host->context, &client->timer);
	if (client->watched)
		host->ops->watch_remove(host->context, &client->watch);
	client->watched = false;
}

/* The descriptor is somebody else's by now, or closed. */
static void forget(struct client *client)
{
	struct hvsock_listener *listener = client->listener;

	unwatch(client);
	TAILQ_REMOVE(&listener->clients, client, link);
	listener->client_count--;
	free(client);
	watch_door(listener);
}

/* A client that does not take these few bytes at once does not want them. */
static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void turn_away(struct client *client, const char *reason)
{
	char text[160];

	(void)snprintf(text, sizeof text, "ERROR %s\n", reason);
	say(client->fd, text);
	(void)close(client->fd);
	client->fd = -1;
	forget(client);
}

static const char *reason_of(int error)
{
	switch (error) {
	case -ENOTCONN:
		return "the guest does not run, or has no driver for Hyper-V sockets";
	case -ETIMEDOUT:
		return "nobody in the guest listens to this service";
	case -ECONNRESET:
		return "the guest went away";
	case -ECANCELED:
		return "the virtual machine is about to go";
	case -ENOSPC:
		return "the guest has too many Hyper-V sockets";
	default:
		return strerror(-error);
	}
}

static void connected(void *context, int error)
{
	struct client *client = context;

	if (error) {
		turn_away(client, reason_of(error));
		return;
	}
	say(client->fd, "OK\n");
	forget(client);
}

static void ask_guest(struct client *client)
{
	struct vmbus_guid service;
	int r;

	if (client->used != LINE_MAX_CHARS || client->line[LINE_MAX_CHARS - 1] != '\n' ||
	    memcmp(client->line, COMMAND, COMMAND_CHARS) != 0 ||
	    !vmbus_guid_parse(client->line + COMMAND_CHARS, VMBUS_GUID_CHARS, &service)) {
		turn_away(client, "expected CONNECT and the GUID of a service");
		return;
	}
	unwatch(client);
	client->asks = true;
	r = hvsock_connect(client->listener->hvsock, &service, client->fd, connected, client);
	if (r)
		turn_away(client, reason_of(r));
}

/* Takes the line and nothing of what is behind it. */
static void line_ready(void *context)
{
	struct client *client = context;
	const size_t room = LINE_MAX_CHARS - client->used;
	char *at = client->line + client->used;
	ssize_t n = recv(client->fd, at, room, MSG_PEEK | MSG_DONTWAIT);
	const char *end;

	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0) {
		turn_away(client, "the line has no end");
		return;
	}
	end = memchr(at, '\n', (size_t)n);
	n = recv(client->fd, at, end ? (size_t)(end - at) + 1 : (size_t)n, MSG_DONTWAIT);
	if (n <= 0) {
		turn_away(client, "the line cannot be read");
		return;
	}
	client->used += (size_t)n;
	if (end || client->used == LINE_MAX_CHARS)
		ask_guest(client);
}

static void line_late(void *context)
{
	turn_away(context, "the line did not come in time");
}

static int wait_for_line(struct client *client)
{
	const struct vsp_host *host = client->listener->host;
	int r = host->ops->watch_add(host->context, &client->watch);

	if (r)
		return r;
	client->watched = true;
	host->ops->timer_arm(host->context, &client->timer, LINE_TIME_NS);
	return 0;
}

static int client_new(struct hvsock_listener *listener, int fd)
{
	struct client *client = calloc(1, sizeof *client);
	int r;

	if (!client)
		return -ENOMEM;
	client->listener = listener;
	client->fd = fd;
	client->watch = (struct vsp_watch){ .fd = fd, .ready = line_ready, .context = client };
	client->timer = (struct vsp_timer){ .expired = line_late, .context = client };
	r = wait_for_line(client);
	if (r) {
		free(client);
		return r;
	}
	TAILQ_INSERT_TAIL(&listener->clients, client, link);
	listener->client_count++;
	return 0;
}

static void accept_ready(void *context)
{
	struct hvsock_listener *listener = context;
	int fd = accept4(listener->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r = 0;

	if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ECONNABORTED))
		return;
	if (fd >= 0) {
		r = client_new(listener, fd);
		if (r)
			(void)close(fd);
	}
	/* Whatever is short (descriptors, memory), others may give it back; until then it would be tried without end. */
	if (fd < 0 || r)
		close_door_for_a_while(listener);
	else
		watch_door(listener);
}

/* ---- all of it */

int hvsock_listener_create(const struct vsp_host *host, struct hvsock *hvsock, int fd,
			   struct hvsock_listener **ret_listener)
{
	struct hvsock_listener *listener = calloc(1, sizeof *listener);
	int r;

	if (!listener)
		return -ENOMEM;
	listener->host = host;
	listener->hvsock = hvsock;
	listener->watch = (struct vsp_watch){ .fd = fd, .ready = accept_ready, .context = listener };
	listener->retry = (struct vsp_timer){ .expired = retry_expired, .context = listener };
	TAILQ_INIT(&listener->clients);
	r = host->ops->watch_add(host->context, &listener->watch);
	if (r) {
		free(listener);
		return r;
	}
	listener->watched = true;
	*ret_listener = listener;
	return 0;
}

void hvsock_listener_destroy(struct hvsock_listener *listener)
{
	struct client *client;

	hvsock_listener_pause(listener);
	while ((client = TAILQ_FIRST(&listener->clients))) {
		hvsock_cancel(listener->hvsock, client);
		turn_away(client, reason_of(-ECANCELED));
	}
	free(listener);
}

void hvsock_listener_pause(struct hvsock_listener *listener)
{
	struct client *client;

	listener->paused = true;
	listener->host->ops->timer_cancel(host_of(listener), &listener->retry);
	watch_door(listener);
	TAILQ_FOREACH(client, &listener->clients, link)
		unwatch(client);
}

void hvsock_listener_resume(struct hvsock_listener *listener)
{
	struct client *client, *next;

	listener->paused = false;
	for (client = TAILQ_FIRST(&listener->clients); client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (!client->asks && wait_for_line(client))
			turn_away(client, "no memory");
	}
	watch_door(listener);
}
