/* SPDX-License-Identifier: Apache-2.0 */
#include "http/console.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONSOLES_MAX 32
#define PIPE_ROOM    16384

struct console_set {
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned count;
	bool closed; /* takes no more */
	int stop_fd; /* eventfd: readable once all must end */
};

/* Bytes on their way from one side to the other. */
struct flow {
	int from, to;
	size_t start, end;
	bool ended;
	char bytes[PIPE_ROOM];
};

struct bridge {
	struct console_set *set;
	struct flow in, out; /* client to worker, worker to client */
	void (*done)(void *context);
	void *context;
};

struct console_set *console_set_create(void)
{
	struct console_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	pthread_mutex_init(&set->lock, NULL);
	pthread_cond_init(&set->idle, NULL);
	set->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (set->stop_fd < 0) {
		free(set);
		return NULL;
	}
	return set;
}

void console_set_close(struct console_set *set)
{
	uint64_t one = 1;

	pthread_mutex_lock(&set->lock);
	set->closed = true;
	if (write(set->stop_fd, &one, sizeof(one)) < 0)
		abort();
	while (set->count)
		pthread_cond_wait(&set->idle, &set->lock);
	pthread_mutex_unlock(&set->lock);
}

void console_set_destroy(struct console_set *set)
{
	if (!set)
		return;
	close(set->stop_fd);
	pthread_cond_destroy(&set->idle);
	pthread_mutex_destroy(&set->lock);
	free(set);
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void flow_step(struct flow *flow, short from_events, short to_events)
{
	ssize_t count;

	if (flow->start == flow->end && (from_events & (POLLIN | POLLHUP | POLLERR))) {
		count = recv(flow->from, flow->bytes, sizeof(flow->bytes), MSG_DONTWAIT);
		if (count > 0) {
			flow->start = 0;
			flow->end = (size_t)count;
			to_events |= POLLOUT;
		} else if (count == 0 || !would_block()) {
			flow->ended = true;
		}
	}
	if (flow->start < flow->end && (to_events & (POLLOUT | POLLERR | POLLHUP))) {
		count = send(flow->to, flow->bytes + flow->start, flow->end - flow->start,
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		if (count > 0)
			flow->start += (size_t)count;
		else if (!would_block())
			flow->ended = true;
	}
}

/*
 * Until the worker's side ends, the client's connection breaks, or the service stops. A client that only
 * closes its sending half still reads on.
 */
static void run(struct bridge *b)
{
	bool client_done = false;

	while (!b->out.ended) {
		struct pollfd fds[3] = {
			{.fd = b->in.from},
			{.fd = b->in.to},
			{.fd = b->set->stop_fd, .events = POLLIN},
		};

		if (!client_done && b->in.start == b->in.end)
			fds[0].events |= POLLIN;
		if (b->in.start < b->in.end)
			fds[1].events |= POLLOUT;
		if (b->out.start == b->out.end)
			fds[1].events |= POLLIN;
		else
			fds[0].events |= POLLOUT;
		if (poll(fds, 3, -1) < 0 && errno != EINTR)
			return;
		if (fds[2].revents)
			return;
		/* A client that is gone altogether shows as HUP; nothing it was sent arrives any more. */
		if (client_done && (fds[0].revents & (POLLHUP | POLLERR)))
			return;
		if (!client_done)
			flow_step(&b->in, fds[0].revents, fds[1].revents);
		flow_step(&b->out, fds[1].revents, fds[0].revents);
		client_done |= b->in.ended;
	}
}

static void *thread(void *context)
{
	struct bridge *b = context;
	struct console_set *set = b->set;

	run(b);
	close(b->in.to);
	b->done(b->context);
	free(b);
	pthread_mutex_lock(&set->lock);
	set->count--;
	pthread_cond_signal(&set->idle);
	pthread_mutex_unlock(&set->lock);
	return NULL;
}

int console_bridge(struct console_set *set, int client, int worker, const char *early, size_t early_size,
		   void (*done)(void *context), void *context)
{
	struct bridge *b = calloc(1, sizeof(*b));
	pthread_attr_t attributes;
	pthread_t id;
	int error;

	if (!b || early_size > sizeof(b->in.bytes)) {
		free(b);
		return -1;
	}
	b->set = set;
	b->in.from = b->out.to = client;
	b->in.to = b->out.from = worker;
	b->in.end = early_size;
	if (early_size)
		memcpy(b->in.bytes, early, early_size);
	b->done = done;
	b->context = context;
	pthread_mutex_lock(&set->lock);
	error = set->closed || set->count >= CONSOLES_MAX;
	set->count += !error;
	pthread_mutex_unlock(&set->lock);
	if (error) {
		free(b);
		return -1;
	}
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&id, &attributes, thread, b);
	pthread_attr_destroy(&attributes);
	if (!error)
		return 0;
	pthread_mutex_lock(&set->lock);
	set->count--;
	pthread_mutex_unlock(&set->lock);
	free(b);
	return -1;
}
