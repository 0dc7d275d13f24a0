// SPDX-License-Identifier: Apache-2.0
#include "unit/vsp/block/block_host.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void give_up(const char *why)
{
	(void)fprintf(stderr, "host: %s\n", why);
	abort();
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void timer_cancel(void *host, struct vsp_timer *timer)
{
	struct block_host *h = host;

	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++)
		if (h->timers[i] == timer)
			h->timers[i] = NULL;
	timer->host_data = NULL;
}

static void timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	struct block_host *h = host;

	timer_cancel(host, timer);
	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++) {
		if (!h->timers[i]) {
			h->timers[i] = timer;
			h->expires[i] = now_ns() + after_ns;
			timer->host_data = h;
			return;
		}
	}
	give_up("too many timers");
}

static int watch_add(void *host, struct vsp_watch *watch)
{
	struct block_host *h = host;

	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++) {
		if (!h->watches[i]) {
			h->watches[i] = watch;
			return 0;
		}
	}
	return -ENOSPC;
}

static void watch_change(void *host, struct vsp_watch *watch, enum vsp_watch_for wait_for)
{
	watch->wait_for = wait_for;
}

static void watch_remove(void *host, struct vsp_watch *watch)
{
	struct block_host *h = host;

	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++)
		if (h->watches[i] == watch)
			h->watches[i] = NULL;
}

static uint64_t reference_time(void *host)
{
	return now_ns() / 100;
}

static uint64_t monotonic_ns(void *host)
{
	const struct block_host *h = host;

	return h->clock_ns ? h->clock_ns : now_ns();
}

static void write_log(void *host, const char *text)
{
	(void)fprintf(stderr, "log: %s\n", text);
}

static const struct vsp_host_ops ops = {
	.timer_arm = timer_arm,
	.timer_cancel = timer_cancel,
	.watch_add = watch_add,
	.watch_change = watch_change,
	.watch_remove = watch_remove,
	.reference_time = reference_time,
	.monotonic_ns = monotonic_ns,
	.log = write_log,
};

void block_host_init(struct block_host *h)
{
	memset(h, 0, sizeof *h);
	h->host = (struct vsp_host){ .ops = &ops, .context = h };
}

static bool run_timers(struct block_host *h)
{
	const uint64_t now = now_ns();
	bool any = false;

	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++) {
		struct vsp_timer *timer = h->timers[i];

		if (!timer || h->expires[i] > now)
			continue;
		h->timers[i] = NULL;
		timer->host_data = NULL;
		any = true;
		timer->expired(timer->context);
	}
	return any;
}

static int time_to_wait(const struct block_host *h, int wait_ms)
{
	const uint64_t now = now_ns();

	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++) {
		if (h->timers[i]) {
			const uint64_t ms = h->expires[i] <= now ? 0 : (h->expires[i] - now) / 1000000 + 1;

			if (ms < (uint64_t)wait_ms)
				wait_ms = (int)ms;
		}
	}
	return wait_ms;
}

static short poll_events(const struct vsp_watch *watch)
{
	static const short events[] = {
		[VSP_WATCH_READ] = POLLIN,
		[VSP_WATCH_WRITE] = POLLOUT,
		[VSP_WATCH_READ_WRITE] = POLLIN | POLLOUT,
		[VSP_WATCH_HANGUP] = 0,
	};

	return events[watch->wait_for];
}

bool block_host_turn(struct block_host *h, int wait_ms)
{
	struct pollfd fds[BLOCK_HOST_SLOTS];
	struct vsp_watch *watches[BLOCK_HOST_SLOTS];
	unsigned count = 0;
	bool any = false;

	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++) {
		if (h->watches[i]) {
			fds[count] = (struct pollfd){ .fd = h->watches[i]->fd, .events = poll_events(h->watches[i]) };
			watches[count++] = h->watches[i];
		}
	}
	(void)poll(fds, count, time_to_wait(h, wait_ms));
	for (unsigned i = 0; i < count; i++) {
		for (unsigned j = 0; fds[i].revents && j < BLOCK_HOST_SLOTS; j++) {
			if (h->watches[j] == watches[i]) {	/* still watched */
				any = true;
				watches[i]->ready(watches[i]->context);
				break;
			}
		}
	}
	return run_timers(h) || any;
}

void block_host_run_until(struct block_host *h, const bool *flag)
{
	const uint64_t end = now_ns() + 10000000000ull;

	while (!*flag) {
		(void)block_host_turn(h, 100);
		if (now_ns() > end)
			give_up("waited ten seconds in vain");
	}
}

bool block_host_idle(const struct block_host *h)
{
	for (unsigned i = 0; i < BLOCK_HOST_SLOTS; i++)
		if (h->watches[i] || h->timers[i])
			return false;
	return true;
}
