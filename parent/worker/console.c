// SPDX-License-Identifier: Apache-2.0
#include "worker/console.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CHUNK_BYTES    4096u
#define GATHER_NS      5000000	/* a guest writes byte by byte: one wake-up of the loop, and of every client, for many */

static void wake(struct console *c)
{
	const struct itimerspec soon = { .it_value.tv_nsec = GATHER_NS };

	if (c->waking)
		return;
	c->waking = true;
	(void)timerfd_settime(c->wake.fd, 0, &soon, NULL); /* cannot fail: the descriptor and the time are ours */
}

void console_output(struct console *c, uint8_t byte)
{
	(void)pthread_mutex_lock(&c->lock);
	c->ring[c->written++ % WORKER_CONSOLE_BACKLOG] = byte;
	wake(c);
	(void)pthread_mutex_unlock(&c->lock);
}

size_t console_take_input(struct console *c, uint8_t *to, size_t max)
{
	size_t taken = 0;

	(void)pthread_mutex_lock(&c->lock);
	while (taken < max && c->input_count) {
		to[taken++] = c->input[c->input_head];
		c->input_head = (c->input_head + 1) % CONSOLE_INPUT_BYTES;
		c->input_count--;
	}
	if (taken && c->input_blocked)
		wake(c);
	(void)pthread_mutex_unlock(&c->lock);
	return taken;
}

static void client_close(struct console_client *client)
{
	loop_remove(client->console->loop, &client->source);
	(void)close(client->source.fd);
	client->source.fd = -1;
}

/* Copies what the client has not seen yet, at most CHUNK_BYTES; its place moves on over what the ring has lost. */
static size_t peek_output(struct console *c, struct console_client *client, uint8_t *to)
{
	uint64_t oldest, waiting;
	size_t bytes;

	(void)pthread_mutex_lock(&c->lock);
	oldest = c->written > WORKER_CONSOLE_BACKLOG ? c->written - WORKER_CONSOLE_BACKLOG : 0;
	if (client->sent < oldest) {
		c->dropped += oldest - client->sent;
		client->sent = oldest;
	}
	waiting = c->written - client->sent;
	bytes = waiting < CHUNK_BYTES ? (size_t)waiting : CHUNK_BYTES;
	for (size_t i = 0; i < bytes; i++)
		to[i] = c->ring[(client->sent + i) % WORKER_CONSOLE_BACKLOG];
	(void)pthread_mutex_unlock(&c->lock);
	return bytes;
}

static void client_want(struct console_client *client, uint32_t events)
{
	if (events == client->events)
		return;
	client->events = events;
	loop_modify(client->console->loop, &client->source, events);
}

/* Sends until the socket or the output is at its end. false: the client is gone. */
static bool client_send(struct console_client *client)
{
	uint8_t chunk[CHUNK_BYTES];

	for (;;) {
		size_t bytes = peek_output(client->console, client, chunk);
		ssize_t sent;

		if (bytes == 0) {
			client_want(client, client->events & ~(uint32_t)EPOLLOUT);
			return true;
		}
		sent = send(client->source.fd, chunk, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			client_want(client, client->events | EPOLLOUT);
			return true;
		}
		if (sent < 0) {
			client_close(client);
			return false;
		}
		client->sent += (uint64_t)sent;
	}
}

static void queue_input(struct console *c, const uint8_t *bytes, size_t count)
{
	(void)pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < count; i++)
		c->input[(c->input_head + c->input_count++) % CONSOLE_INPUT_BYTES] = bytes[i];
	(void)pthread_mutex_unlock(&c->lock);
}

/* Room in the input queue; with none, notes that the guest has to say when there is again. */
static size_t input_room(struct console *c)
{
	size_t room;

	(void)pthread_mutex_lock(&c->lock);
	room = CONSOLE_INPUT_BYTES - c->input_count;
	c->input_blocked = room == 0;
	(void)pthread_mutex_unlock(&c->lock);
	return room;
}

static void set_reading(struct console *c, bool on)
{
	for (unsigned i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		struct console_client *client = &c->clients[i];

		if (client->source.fd >= 0)
			client_want(client, on ? client->events | EPOLLIN : client->events & ~(uint32_t)EPOLLIN);
	}
}

static void client_receive(struct console_client *client)
{
	struct console *c = client->console;
	uint8_t chunk[CONSOLE_INPUT_BYTES];
	size_t room = input_room(c);
	ssize_t got;

	if (room == 0) {
		set_reading(c, false);
		return;
	}
	got = recv(client->source.fd, chunk, room, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (got <= 0) {
		client_close(client);
		return;
	}
	queue_input(c, chunk, (size_t)got);
	if (c->input_ready)
		c->input_ready(c->context);
}

static void on_client(void *context, uint32_t events)
{
	struct console_client *client = context;

	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN)) {
		client_close(client);
		return;
	}
	if (events & EPOLLOUT && !client_send(client))
		return;
	if (events & EPOLLIN)
		client_receive(client);
}

static void on_wake(void *context, uint32_t events)
{
	struct console *c = context;
	uint64_t count;
	bool resume;

	(void)!read(c->wake.fd, &count, sizeof count); /* only rearms it for the next time */
	(void)pthread_mutex_lock(&c->lock);
	c->waking = false;
	resume = c->input_blocked && c->input_count < CONSOLE_INPUT_BYTES / 2;
	if (resume)
		c->input_blocked = false;
	(void)pthread_mutex_unlock(&c->lock);
	if (resume)
		set_reading(c, true);
	for (unsigned i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (c->clients[i].source.fd >= 0)
			(void)client_send(&c->clients[i]); /* a lost client is no trouble here */
}

static struct console_client *free_client(struct console *c)
{
	for (unsigned i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (c->clients[i].source.fd < 0)
			return &c->clients[i];
	return NULL;
}

static void on_connect(void *context, uint32_t events)
{
	struct console *c = context;
	int fd = accept4(c->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct console_client *client;

	if (fd < 0)
		return;
	client = free_client(c);
	if (!client) {
		(void)close(fd);		/* the limit is the client's answer */
		return;
	}
	client->source = (struct loop_source){ .fd = fd, .callback = on_client, .context = client };
	client->events = c->input_blocked ? 0 : EPOLLIN;
	client->sent = 0;			/* moved up to the oldest byte that is kept */
	(void)pthread_mutex_lock(&c->lock);
	if (c->written > WORKER_CONSOLE_BACKLOG)
		client->sent = c->written - WORKER_CONSOLE_BACKLOG;
	(void)pthread_mutex_unlock(&c->lock);
	if (loop_add(c->loop, &client->source, client->events, NULL)) {
		(void)close(fd);
		client->source.fd = -1;
		return;
	}
	(void)client_send(client);
}

int console_init(struct console *c, struct loop *loop, int listen_fd, void (*input_ready)(void *context), void *context,
		 struct failure *why)
{
	int r;

	memset(c, 0, sizeof *c);
	c->loop = loop;
	c->input_ready = input_ready;
	c->context = context;
	(void)pthread_mutex_init(&c->lock, NULL); /* cannot fail with default attributes */
	for (unsigned i = 0; i < CONSOLE_CLIENTS_MAX; i++) {
		c->clients[i].console = c;
		c->clients[i].source.fd = -1;
	}
	c->listener = (struct loop_source){ .fd = listen_fd, .callback = on_connect, .context = c };
	c->wake = (struct loop_source){ .fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .callback = on_wake, .context = c };
	if (c->wake.fd < 0)
		return failure_set(why, -errno, "console: no timer: %s", strerror(errno));
	r = loop_add(loop, &c->wake, EPOLLIN, why);
	if (r == 0)
		r = loop_add(loop, &c->listener, EPOLLIN, why);
	if (r)
		(void)close(c->wake.fd);
	return r;
}

void console_fini(struct console *c)
{
	for (unsigned i = 0; i < CONSOLE_CLIENTS_MAX; i++)
		if (c->clients[i].source.fd >= 0 && client_send(&c->clients[i]))
			client_close(&c->clients[i]);
	loop_remove(c->loop, &c->listener);
	loop_remove(c->loop, &c->wake);
	(void)close(c->wake.fd);
	(void)pthread_mutex_destroy(&c->lock);
}
