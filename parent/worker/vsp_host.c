// SPDX-License-Identifier: Apache-2.0
#include "worker/vsp_host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "vmbus/vmbus.h"

#define NS_PER_S           1000000000ull
#define FILETIME_UNIX_BASE 116444736000000000ull	/* 1970-01-01 in 100 ns since 1601-01-01 */

struct doorbell {
	struct doorbell *next;
	struct vsp_world *world;
	uint32_t connection_id;
	struct loop_source source;		/* eventfd */
	vsp_callback rang;
	void *context;
};

struct watched {
	struct watched *next;
	struct vsp_world *world;
	struct loop_source source;
	struct vsp_watch *watch;
};

static void enter(const struct vsp_world *w)
{
	if (w->guard)
		w->guard->enter(w->guard->context);
}

static void leave(const struct vsp_world *w)
{
	if (w->guard)
		w->guard->leave(w->guard->context);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* cannot fail for the clocks used here */
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void *host_memory(void *host, uint64_t gpa, uint64_t bytes)
{
	const struct vsp_world *w = host;

	return guest_mem_range(w->mem, gpa, bytes);
}

static int host_post_message(void *host, uint32_t vp, uint8_t sint, const void *payload, size_t bytes)
{
	struct vsp_world *w = host;
	struct hv_message message = { .type = VMBUS_MESSAGE_TYPE, .payload_bytes = (uint8_t)bytes };

	if (bytes > sizeof message.payload)
		return -EIO;
	memcpy(message.payload, payload, bytes);
	return w->backend->ops->post_message(w->backend, vp, sint, &message);
}

static int host_signal_event(void *host, uint32_t vp, uint8_t sint, uint16_t flag)
{
	struct vsp_world *w = host;

	return w->backend->ops->signal_event(w->backend, vp, sint, flag);
}

static void on_doorbell(void *context, uint32_t events)
{
	struct doorbell *bell = context;
	struct vsp_world *w = bell->world;
	uint64_t count;

	if (read(bell->source.fd, &count, sizeof count) != sizeof count)
		return;
	enter(w);
	bell->rang(bell->context);
	leave(w);
}

static int host_doorbell_open(void *host, uint32_t connection_id, vsp_callback rang, void *context)
{
	struct vsp_world *w = host;
	struct doorbell *bell = calloc(1, sizeof *bell);
	struct failure why;
	int r;

	if (!bell)
		return -ENOMEM;
	*bell = (struct doorbell){
		.next = w->doorbells, .world = w, .connection_id = connection_id, .rang = rang, .context = context,
	};
	bell->source = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .callback = on_doorbell, .context = bell,
	};
	r = bell->source.fd < 0 ? -ENOMEM : loop_add(w->loop, &bell->source, EPOLLIN, &why);
	if (r == 0) {
		r = w->backend->ops->event_port(w->backend, connection_id, bell->source.fd, &why);
		if (r == 0) {
			w->doorbells = bell;
			return 0;
		}
		loop_remove(w->loop, &bell->source);
	}
	if (bell->source.fd >= 0)
		(void)close(bell->source.fd);
	free(bell);
	return r == -EEXIST || r == -ENOMEM ? r : -EIO;
}

static void host_doorbell_close(void *host, uint32_t connection_id)
{
	struct vsp_world *w = host;

	for (struct doorbell **at = &w->doorbells; *at; at = &(*at)->next) {
		struct doorbell *bell = *at;

		if (bell->connection_id != connection_id)
			continue;
		*at = bell->next;
		w->backend->ops->event_port_remove(w->backend, connection_id, bell->source.fd);
		loop_remove(w->loop, &bell->source);
		(void)close(bell->source.fd);
		free(bell);
		return;
	}
}

/* All zero stops it. */
static void set_timer(struct vsp_world *w)
{
	struct itimerspec when = { .it_value = { 0, 0 } };

	if (w->armed) {
		when.it_value.tv_sec = (time_t)(w->armed->host_deadline_ns / NS_PER_S);
		when.it_value.tv_nsec = (long)(w->armed->host_deadline_ns % NS_PER_S);
	}
	(void)timerfd_settime(w->timer.fd, TFD_TIMER_ABSTIME, &when, NULL); /* fails for values only that are never made here */
}

static void host_timer_cancel(void *host, struct vsp_timer *timer)
{
	struct vsp_world *w = host;

	if (!timer->host_data)
		return;
	for (struct vsp_timer **at = &w->armed; *at; at = &(*at)->host_next)
		if (*at == timer) {
			*at = timer->host_next;
			break;
		}
	timer->host_data = NULL;
	set_timer(w);
}

static void host_timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	struct vsp_world *w = host;
	struct vsp_timer **at = &w->armed;

	host_timer_cancel(host, timer);
	timer->host_deadline_ns = now_ns(CLOCK_MONOTONIC) + (after_ns ? after_ns : 1);
	while (*at && (*at)->host_deadline_ns <= timer->host_deadline_ns)
		at = &(*at)->host_next;
	timer->host_next = *at;
	timer->host_data = w;
	*at = timer;
	set_timer(w);
}

static void on_timer(void *context, uint32_t events)
{
	struct vsp_world *w = context;
	uint64_t count, now;

	(void)!read(w->timer.fd, &count, sizeof count); /* only resets it */
	enter(w);
	/* Those that are due now; one that a callback arms again waits for the next round, even if it is due at once. */
	now = now_ns(CLOCK_MONOTONIC);
	while (w->armed && w->armed->host_deadline_ns <= now) {
		struct vsp_timer *timer = w->armed;

		w->armed = timer->host_next;
		timer->host_data = NULL;
		timer->expired(timer->context);
	}
	set_timer(w);
	leave(w);
}

static void on_watch(void *context, uint32_t events)
{
	const struct watched *entry = context;
	struct vsp_world *w = entry->world;

	enter(w);
	entry->watch->ready(entry->watch->context);
	leave(w);
}

static uint32_t watch_events(const struct vsp_watch *watch)
{
	static const uint32_t events[] = {
		[VSP_WATCH_READ] = EPOLLIN,
		[VSP_WATCH_WRITE] = EPOLLOUT,
		[VSP_WATCH_READ_WRITE] = EPOLLIN | EPOLLOUT,
		[VSP_WATCH_HANGUP] = 0,		/* epoll always tells hang-ups and errors */
	};

	return events[watch->wait_for];
}

static int host_watch_add(void *host, struct vsp_watch *watch)
{
	struct vsp_world *w = host;
	struct watched *entry = calloc(1, sizeof *entry);
	struct failure why;
	int r;

	if (!entry)
		return -ENOMEM;
	*entry = (struct watched){
		.next = w->watched, .world = w, .watch = watch, .source = { .fd = watch->fd, .callback = on_watch, .context = entry },
	};
	r = loop_add(w->loop, &entry->source, watch_events(watch), &why);
	if (r) {
		free(entry);
		return r;
	}
	w->watched = entry;
	watch->host_data = entry;
	return 0;
}

static void host_watch_change(void *host, struct vsp_watch *watch, enum vsp_watch_for wait_for)
{
	struct vsp_world *w = host;
	struct watched *entry = watch->host_data;

	watch->wait_for = wait_for;
	loop_modify(w->loop, &entry->source, watch_events(watch));
}

static void host_watch_remove(void *host, struct vsp_watch *watch)
{
	struct vsp_world *w = host;
	struct watched *entry = watch->host_data;

	for (struct watched **at = &w->watched; entry && *at; at = &(*at)->next)
		if (*at == entry) {
			*at = entry->next;
			break;
		}
	if (!entry)
		return;
	watch->host_data = NULL;
	loop_remove(w->loop, &entry->source);
	free(entry);
}

static uint64_t host_reference_time(void *host)
{
	struct vsp_world *w = host;
	const uint32_t name = HV_REG_TIME_REF_COUNT;
	struct hv_u128 value = { 0, 0 };

	/* The register exists as long as the partition; a partition that is gone has no time. */
	(void)w->backend->ops->registers_get(w->backend, 0, &name, &value, 1, NULL);
	return value.low;
}

static uint64_t host_wall_time(void *host)
{
	return now_ns(CLOCK_REALTIME) / 100 + FILETIME_UNIX_BASE;
}

static uint64_t host_monotonic_ns(void *host)
{
	return now_ns(CLOCK_MONOTONIC);
}

static void host_log(void *host, const char *text)
{
	log_line("%.200s", text);
}

/* The file appends whole records, whichever thread writes. It ends with the first that finds no room. */
static void host_trace(void *host, const struct iovec *pieces, unsigned count)
{
	struct vsp_world *w = host;
	size_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += pieces[i].iov_len;
	if (atomic_load(&w->trace_full) || writev(w->trace_fd, pieces, (int)count) == (ssize_t)bytes)
		return;
	if (!atomic_exchange(&w->trace_full, true))
		log_line("vmbus: the trace ends here: %s", strerror(errno));
}

static const struct vsp_host_ops host_ops = {
	.memory = host_memory,
	.post_message = host_post_message,
	.signal_event = host_signal_event,
	.doorbell_open = host_doorbell_open,
	.doorbell_close = host_doorbell_close,
	.timer_arm = host_timer_arm,
	.timer_cancel = host_timer_cancel,
	.watch_add = host_watch_add,
	.watch_change = host_watch_change,
	.watch_remove = host_watch_remove,
	.reference_time = host_reference_time,
	.wall_time = host_wall_time,
	.monotonic_ns = host_monotonic_ns,
	.log = host_log,
};

int vsp_world_init(struct vsp_world *w, struct backend *backend, const struct guest_mem *mem, struct loop *loop,
		   int trace_fd, struct failure *why)
{
	int r;

	*w = (struct vsp_world){ .ops = host_ops, .backend = backend, .mem = mem, .loop = loop, .trace_fd = trace_fd };
	w->host = (struct vsp_host){ .ops = &w->ops, .context = w };
	if (trace_fd >= 0)
		w->ops.trace = host_trace;
	w->timer = (struct loop_source){
		.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .callback = on_timer, .context = w,
	};
	if (w->timer.fd < 0)
		return failure_set(why, -errno, "vmbus: no timer: %s", strerror(errno));
	r = loop_add(loop, &w->timer, EPOLLIN, why);
	if (r)
		(void)close(w->timer.fd);
	return r;
}

void vsp_world_fini(struct vsp_world *w)
{
	while (w->doorbells)
		host_doorbell_close(w, w->doorbells->connection_id);
	while (w->watched)
		host_watch_remove(w, w->watched->watch);
	loop_remove(w->loop, &w->timer);
	(void)close(w->timer.fd);
}
