/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

static int epoll_fd = -1;

int loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return epoll_fd < 0 ? -1 : 0;
}

void loop_fini(void)
{
	if (epoll_fd >= 0)
		close(epoll_fd);
	epoll_fd = -1;
}

int loop_add(struct loop_source *source, int fd, void (*ready)(void *context), void *context)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = source}};

	*source = (struct loop_source){ready, context, -1};
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return -1;
	source->fd = fd;
	return 0;
}

void loop_close(struct loop_source *source)
{
	if (source->fd < 0)
		return;
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	close(source->fd);
	source->fd = -1;
}

void loop_once(int timeout_ms, void (*lock)(void), void (*unlock)(void))
{
	/* One event a time: a callback may close any other source, and no stale event may follow. */
	struct epoll_event event;
	int count = epoll_wait(epoll_fd, &event, 1, timeout_ms);

	if (count <= 0)
		return;
	lock();
	/* Another thread may have closed it between the wait and the lock. */
	if (((struct loop_source *)event.data.ptr)->fd >= 0)
		((struct loop_source *)event.data.ptr)
			->ready(((struct loop_source *)event.data.ptr)->context);
	unlock();
}
