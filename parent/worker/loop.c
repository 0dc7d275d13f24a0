// SPDX-License-Identifier: Apache-2.0
#include "worker/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 16

int loop_init(struct loop *loop, struct failure *why)
{
	memset(loop, 0, sizeof *loop);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return failure_set(why, -errno, "loop: epoll: %s", strerror(errno));
	return 0;
}

void loop_fini(struct loop *loop)
{
	if (loop->epoll_fd >= 0)
		(void)close(loop->epoll_fd);
	loop->epoll_fd = -1;
}

int loop_add(struct loop *loop, struct loop_source *source, uint32_t events, struct failure *why)
{
	struct epoll_event event = { .events = events, .data.ptr = source };
	int flags = fcntl(source->fd, F_GETFL);

	if (flags < 0 || fcntl(source->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return failure_set(why, -errno, "loop: descriptor %d: %s", source->fd, strerror(errno));
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0)
		return failure_set(why, -errno, "loop: descriptor %d: %s", source->fd, strerror(errno));
	return 0;
}

void loop_modify(struct loop *loop, struct loop_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event); /* it is in the set: cannot fail */
}

void loop_remove(struct loop *loop, struct loop_source *source)
{
	(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	for (int i = 0; i < loop->in_hand_count; i++)
		if (loop->in_hand[i].data.ptr == source)
			loop->in_hand[i].data.ptr = NULL;
}

bool loop_step(struct loop *loop, int timeout_ms)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, timeout_ms);

	loop->in_hand = events;
	loop->in_hand_count = count;
	for (int i = 0; i < count && !loop->stopping; i++) {
		struct loop_source *source = events[i].data.ptr;

		if (source)
			source->callback(source->context, events[i].events);
	}
	loop->in_hand_count = 0;
	return !loop->stopping;
}

void loop_run(struct loop *loop)
{
	while (loop_step(loop, -1))
		;
}

void loop_stop(struct loop *loop)
{
	loop->stopping = true;
}
