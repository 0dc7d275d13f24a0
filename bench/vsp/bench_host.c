// SPDX-License-Identifier: Apache-2.0
#include "bench_host.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <valgrind/callgrind.h>

#define CHANNELS (VMBUS_RELID_MAX + 1)
#define WATCHES  8u
#define TIMERS   16u
#define MESSAGES 256u
#define WALL     133500000000000000ull
#define PATIENCE 2000u

struct doorbell {
	vsp_callback rang;		/* NULL: closed */
	void *context;
	bool rung;
};

struct bench_host bench_host;
static uint8_t *ram;
static uint64_t ram_used = VSC_PAGE, now_ns;
static struct doorbell doorbells[CHANNELS];
static uint32_t rung[CHANNELS];			/* queue of channels whose doorbell was rung */
static unsigned rung_count;
static struct vsp_watch *watches[WATCHES];
static struct vsp_timer *timers[TIMERS];
static uint8_t messages[MESSAGES][VMBUS_MESSAGE_BYTES_MAX];
static unsigned message_first, message_end;
static struct vsc_offer offers[BENCH_OFFERS];

void bench_die(const char *what, long value)
{
	(void)fprintf(stderr, "vsp_bench: %s: %ld\n", what, value);
	exit(1);
}

void bench_report(const char *name, double value)
{
	(void)printf("BENCH %s %.6f\n", name, value);
}

/* ---- the providers' host */

static void *host_memory(void *host, uint64_t gpa, uint64_t bytes)
{
	return gpa < BENCH_RAM && bytes <= BENCH_RAM - gpa ? ram + gpa : NULL;
}

static int host_post_message(void *host, uint32_t vp, uint8_t sint, const void *payload, size_t bytes)
{
	uint8_t *message = messages[message_end % MESSAGES];

	if (message_end - message_first == MESSAGES)
		return -EAGAIN;
	memset(message, 0, VMBUS_MESSAGE_BYTES_MAX);
	memcpy(message, payload, bytes);
	message_end++;
	return 0;
}

static int host_signal_event(void *host, uint32_t vp, uint8_t sint, uint16_t flag)
{
	bench_host.signals++;
	return 0;
}

static int host_doorbell_open(void *host, uint32_t connection, vsp_callback rang, void *context)
{
	doorbells[connection % CHANNELS] = (struct doorbell){ rang, context, false };
	return 0;
}

static void host_doorbell_close(void *host, uint32_t connection)
{
	doorbells[connection % CHANNELS].rang = NULL;
}

static void host_timer_cancel(void *host, struct vsp_timer *timer)
{
	if (timer->host_data)
		timers[(uintptr_t)timer->host_data - 1] = NULL;
	timer->host_data = NULL;
}

static void host_timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	uintptr_t i = 0;

	host_timer_cancel(host, timer);
	while (i < TIMERS && timers[i])
		i++;
	if (i == TIMERS)
		bench_die("timers", TIMERS);
	timers[i] = timer;
	timer->host_data = (void *)(i + 1);
	timer->host_deadline_ns = now_ns + after_ns;
}

static int host_watch_add(void *host, struct vsp_watch *watch)
{
	for (uintptr_t i = 0; i < WATCHES; i++) {
		if (watches[i])
			continue;
		watches[i] = watch;
		watch->host_data = (void *)(i + 1);
		return 0;
	}
	return -ENOMEM;
}

static void host_watch_remove(void *host, struct vsp_watch *watch)
{
	if (watch->host_data)
		watches[(uintptr_t)watch->host_data - 1] = NULL;
	watch->host_data = NULL;
}

static uint64_t host_reference_time(void *host)
{
	return now_ns / 100;
}

static uint64_t host_wall_time(void *host)
{
	return WALL + now_ns / 100;
}

static uint64_t host_monotonic_ns(void *host)
{
	return 1 + now_ns;
}

static void host_log(void *host, const char *text)
{
	(void)fprintf(stderr, "%s\n", text);
}

static const struct vsp_host_ops ops = {
	.memory = host_memory, .post_message = host_post_message, .signal_event = host_signal_event,
	.doorbell_open = host_doorbell_open, .doorbell_close = host_doorbell_close, .timer_arm = host_timer_arm,
	.timer_cancel = host_timer_cancel, .watch_add = host_watch_add, .watch_remove = host_watch_remove,
	.reference_time = host_reference_time, .wall_time = host_wall_time,
	.monotonic_ns = host_monotonic_ns, .log = host_log,
};

static void work(vsp_callback callback, void *context)
{
	if (bench_host.counting)
		CALLGRIND_TOGGLE_COLLECT;
	callback(context);
	if (bench_host.counting)
		CALLGRIND_TOGGLE_COLLECT;
}

static bool ring_doorbells(void)
{
	unsigned count = rung_count;

	rung_count = 0;
	for (unsigned i = 0; i < count; i++) {
		struct doorbell *doorbell = &doorbells[rung[i]];

		doorbell->rung = false;
		if (doorbell->rang)
			work(doorbell->rang, doorbell->context);
	}
	return count != 0;
}

static bool expire_timers(void)
{
	bool any = false;

	for (unsigned i = 0; i < TIMERS; i++) {
		struct vsp_timer *timer = timers[i];

		if (!timer || timer->host_deadline_ns > now_ns)
			continue;
		host_timer_cancel(NULL, timer);
		work(timer->expired, timer->context);
		any = true;
	}
	return any;
}

static bool look_at_descriptors(int wait_ms)
{
	struct pollfd fds[WATCHES];
	bool any = false;

	for (unsigned i = 0; i < WATCHES; i++)
		fds[i] = (struct pollfd){ .fd = watches[i] ? watches[i]->fd : -1, .events = POLLIN };
	if (poll(fds, WATCHES, wait_ms) <= 0)
		return false;
	for (unsigned i = 0; i < WATCHES; i++) {
		if (!fds[i].revents || !watches[i])
			continue;
		work(watches[i]->ready, watches[i]->context);
		any = true;
	}
	return any;
}

void bench_host_run(int wait_ms)
{
	bool any;

	do {
		any = ring_doorbells();
		any |= expire_timers();
		any |= look_at_descriptors(any ? 0 : wait_ms);
		wait_ms = 0;
	} while (any);
}

/* ---- the client's platform */

static int post_message(void *context, uint32_t connection, const void *payload, uint32_t bytes)
{
	return vmbus_server_message(bench_host.server, payload, bytes) ? VSC_FULL : VSC_OK;
}

static void signal_event(void *context, uint32_t connection)
{
	uint32_t channel = connection % CHANNELS;

	bench_host.signals++;
	if (doorbells[channel].rung)
		return;
	doorbells[channel].rung = true;
	rung[rung_count++] = channel;
}

static bool take_message(void *context, uint8_t message[VMBUS_MESSAGE_BYTES_MAX])
{
	if (message_first == message_end)
		return false;
	memcpy(message, messages[message_first++ % MESSAGES], VMBUS_MESSAGE_BYTES_MAX);
	return true;
}

static uint64_t gpa(void *context, const void *memory)
{
	return (uint64_t)((const uint8_t *)memory - ram);
}

static bool wait(void *context, unsigned round)
{
	bench_host_run(1);
	now_ns += 1000000;
	return round < PATIENCE;
}

void bench_host_init(void)
{
	const struct vmbus_server_config config = { .host = &bench_host.host, .vp_count = 1 };

	ram = mmap(NULL, BENCH_RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ram == MAP_FAILED)
		bench_die("no memory", errno);
	bench_host.host = (struct vsp_host){ .ops = &ops };
	bench_host.platform = (struct vsc_platform){ NULL, post_message, signal_event, take_message, gpa, wait };
	bench_host.server = vmbus_server_new(&config);
	if (!bench_host.server)
		bench_die("no memory", errno);
	vsc_bus_init(&bench_host.bus, &bench_host.platform, bench_pages(sizeof(struct vsc_bus_pages) / VSC_PAGE), offers,
		     BENCH_OFFERS);
}

void *bench_pages(unsigned count)
{
	uint8_t *pages = ram + ram_used;

	ram_used += (uint64_t)count * VSC_PAGE;
	if (ram_used > BENCH_RAM)
		bench_die("guest pages", count);
	return pages;
}
