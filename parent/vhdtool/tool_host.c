// SPDX-License-Identifier: Apache-2.0
#include "vhdtool/tool_host.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void timer_cancel(void *host, struct vsp_timer *timer)
{
	struct tool_host *h = host;

	for (struct vsp_timer **at = &h->timers; *at; at = &(*at)->host_next) {
		if (*at == timer) {
			*at = timer->host_next;
			break;
		}
	}
	timer->host_data = NULL;
}

static void timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	struct tool_host *h = host;
	struct vsp_timer **at = &h->timers;

	timer_cancel(host, timer);
	timer->host_data = h;
	timer->host_deadline_ns = now_ns() + after_ns;
	while (*at && (*at)->host_deadline_ns <= timer->host_deadline_ns)
		at = &(*at)->host_next;
	timer->host_next = *at;
	*at = timer;
}

static int watch_add(void *host, struct vsp_watch *watch)
{
	struct tool_host *h = host;

	for (unsigned i = 0; i < TOOL_HOST_WATCHES; i++) {
		if (!h->watches[i]) {
			h->watches[i] = watch;
			return 0;
		}
	}
	return -ENOSPC;
}

static void watch_remove(void *host, struct vsp_watch *watch)
{
	struct tool_host *h = host;

	for (unsigned i = 0; i < TOOL_HOST_WATCHES; i++)
		if (h->watches[i] == watch)
			h->watches[i] = NULL;
}

static uint64_t monotonic_ns(void *host)
{
	return now_ns();
}

static void write_log(void *host, const char *text)
{
	(void)fprintf(stderr, "vhdtool: %s\n", text);
}

static const struct vsp_host_ops ops = {
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.watch_add = watch_add,
	.watch_remove = watch_remove,
	.monotonic_ns = monotonic_ns,
	.log = write_log,
};

void tool_host_init(struct tool_host *h)
{
	memset(h, 0, sizeof *h);
	h->host = (struct vsp_host){ .ops = &ops, .context = h };
}

static int wait_ms(const struct tool_host *h)
{
	const uint64_t now = now_ns();

	if (!h->timers)
		return -1;
	return h->timers->host_deadline_ns <= now ? 0 : (int)((h->timers->host_deadline_ns - now) / 1000000 + 1);
}

static void wait_for_descriptors(struct tool_host *h)
{
	struct pollfd fds[TOOL_HOST_WATCHES];

	for (unsigned i = 0; i < TOOL_HOST_WATCHES; i++)
		fds[i] = (struct pollfd){ .fd = h->watches[i] ? h->watches[i]->fd : -1, .events = POLLIN };
	(void)poll(fds, TOOL_HOST_WATCHES, wait_ms(h));
	for (unsigned i = 0; i < TOOL_HOST_WATCHES; i++)
		if (fds[i].revents && h->watches[i] && h->watches[i]->fd == fds[i].fd)
			h->watches[i]->ready(h->watches[i]->context);
}

void tool_host_run_until(struct tool_host *h, const bool *flag)
{
	while (!*flag) {
		wait_for_descriptors(h);
		while (h->timers && h->timers->host_deadline_ns <= now_ns()) {
			struct vsp_timer *timer = h->timers;

			h->timers = timer->host_next;
			timer->host_data = NULL;
			timer->expired(timer->context);
		}
	}
}
