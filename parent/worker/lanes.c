// SPDX-License-Identifier: Apache-2.0
#include "worker/lanes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct lane {
	struct lanes *lanes;
	unsigned index;
	struct vsp_world world;
	struct vsp_call *before, **before_end;
	struct vsp_call *after;
	/* Not of lane 0. */
	struct loop loop;
	struct loop_source stop;		/* eventfd */
	pthread_t thread;
};

struct lanes {
	struct vsp_lanes view;
	const char *name;
	pthread_mutex_t lock;			/* recursive: the bus' thread goes from the device to the bus and back */
	unsigned depth;				/* of the thread that holds it */
	struct vsp_host *hosts;
	struct lane lane[];
};

/* A thread is a lane of one device, or the bus' thread: lane 0 of all. */
static _Thread_local unsigned this_lane;

static unsigned current_lane(void *context)
{
	return this_lane;
}

/* ---- the lock */

void lanes_enter(struct lanes *lanes)
{
	(void)pthread_mutex_lock(&lanes->lock); /* recursive, and in order: cannot fail */
	lanes->depth++;
}

static void run_before(struct lane *lane)
{
	struct vsp_call *call;

	while ((call = lane->before)) {
		lane->before = call->host_next;
		if (!lane->before)
			lane->before_end = &lane->before;
		call->host_asked = false;
		call->run(call->context);
	}
}

static void run_after(struct vsp_call *calls)
{
	while (calls) {
		struct vsp_call *call = calls;

		calls = call->host_next;
		call->host_asked = false;
		call->run(call->context);
	}
}

void lanes_leave(struct lanes *lanes)
{
	struct lane *lane = &lanes->lane[this_lane];
	struct vsp_call *calls = NULL;

	if (lanes->depth == 1) {
		run_before(lane);
		calls = lane->after;
		lane->after = NULL;
	}
	lanes->depth--;
	(void)pthread_mutex_unlock(&lanes->lock); /* it is held */
	run_after(calls);
}

static void enter(void *context)
{
	lanes_enter(context);
}

static void leave(void *context)
{
	lanes_leave(context);
}

static void ask_before(void *context, struct vsp_call *call)
{
	struct lane *lane = &((struct lanes *)context)->lane[this_lane];

	if (call->host_asked)
		return;
	call->host_asked = true;
	call->host_next = NULL;
	*lane->before_end = call;
	lane->before_end = &call->host_next;
}

static void ask_after(void *context, struct vsp_call *call)
{
	struct lane *lane = &((struct lanes *)context)->lane[this_lane];

	if (call->host_asked)
		return;
	call->host_asked = true;
	call->host_next = lane->after;
	lane->after = call;
}

/* What was asked for on another lane has happened: that lane does not hold the lock any more. */
static void cancel(void *context, struct vsp_call *call)
{
	struct lane *lane = &((struct lanes *)context)->lane[this_lane];
	struct vsp_call **at = &lane->before;

	if (!call->host_asked)
		return;
	while (*at != call)
		at = &(*at)->host_next;
	*at = call->host_next;
	if (!*at)
		lane->before_end = at;
	call->host_asked = false;
}

/* ---- the threads */

static void *serve(void *context)
{
	struct lane *lane = context;
	char name[16];
	bool running;

	this_lane = lane->index;
	(void)snprintf(name, sizeof name, "%.8s-%u", lane->lanes->name, lane->index);
	(void)pthread_setname_np(pthread_self(), name);
	do {
		struct pollfd ready = { .fd = lane->loop.epoll_fd, .events = POLLIN };

		/* Waited without the lock, looked again with it: what another thread took off the loop meanwhile is not there. */
		(void)poll(&ready, 1, -1);
		lanes_enter(lane->lanes);
		running = loop_step(&lane->loop, 0);
		lanes_leave(lane->lanes);
	} while (running);
	return NULL;
}

static void on_stop(void *context, uint32_t events)
{
	struct lane *lane = context;

	loop_stop(&lane->loop);
}

static int start_thread(struct lane *lane, struct failure *why)
{
	sigset_t all, before;
	int r;

	/* Signals kick VPs: they are for their threads. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&lane->thread, NULL, serve, lane);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r ? failure_set(why, -r, "no thread: %s", strerror(r)) : 0;
}

static void close_lane(struct lane *lane)
{
	loop_remove(&lane->loop, &lane->stop);
	(void)close(lane->stop.fd);
	loop_fini(&lane->loop);
}

static int open_lane(struct lane *lane, struct failure *why)
{
	int r = loop_init(&lane->loop, why);

	if (r)
		return r;
	lane->stop = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .callback = on_stop, .context = lane,
	};
	r = lane->stop.fd < 0 ? failure_set(why, -errno, "no eventfd: %s", strerror(errno))
			      : loop_add(&lane->loop, &lane->stop, EPOLLIN, why);
	if (r == 0)
		return 0;
	if (lane->stop.fd >= 0)
		(void)close(lane->stop.fd);
	loop_fini(&lane->loop);
	return r;
}

static int start_lane(struct lane *lane, struct backend *backend, const struct guest_mem *mem, struct failure *why)
{
	int r = open_lane(lane, why);

	if (r)
		return r;
	r = vsp_world_init(&lane->world, backend, mem, &lane->loop, -1, why);
	if (r == 0) {
		lane->lanes->hosts[lane->index] = lane->world.host;
		lane->lanes->hosts[lane->index].lanes = &lane->lanes->view;
		r = start_thread(lane, why);
		if (r)
			vsp_world_fini(&lane->world);
	}
	if (r)
		close_lane(lane);
	return r;
}

static void stop_lane(struct lane *lane)
{
	const uint64_t one = 1;

	(void)!write(lane->stop.fd, &one, sizeof one); /* an eventfd that is not full takes it */
	(void)pthread_join(lane->thread, NULL);
	vsp_world_fini(&lane->world);
	close_lane(lane);
}

static struct lanes *lanes_new(unsigned count, const char *name)
{
	struct lanes *lanes = calloc(1, sizeof *lanes + count * sizeof lanes->lane[0]);
	pthread_mutexattr_t recursive;

	if (!lanes)
		return NULL;
	lanes->hosts = calloc(count, sizeof *lanes->hosts);
	if (!lanes->hosts) {
		free(lanes);
		return NULL;
	}
	lanes->name = name;
	(void)pthread_mutexattr_init(&recursive); /* these three cannot fail for what is asked here */
	(void)pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	(void)pthread_mutex_init(&lanes->lock, &recursive);
	(void)pthread_mutexattr_destroy(&recursive);
	lanes->view = (struct vsp_lanes){
		.count = count, .host = lanes->hosts, .current = current_lane, .enter = enter, .leave = leave,
		.before = ask_before, .after = ask_after, .cancel = cancel, .context = lanes,
	};
	for (unsigned i = 0; i < count; i++) {
		lanes->lane[i].lanes = lanes;
		lanes->lane[i].index = i;
		lanes->lane[i].before_end = &lanes->lane[i].before;
	}
	return lanes;
}

static void lanes_free(struct lanes *lanes)
{
	(void)pthread_mutex_destroy(&lanes->lock);
	free(lanes->hosts);
	free(lanes);
}

int lanes_start(struct lanes **out, unsigned count, const char *name, struct backend *backend, const struct guest_mem *mem,
		struct loop *bus_loop, struct failure *why)
{
	struct lanes *lanes = lanes_new(count + 1, name);
	unsigned started = 1;
	int r;

	if (!lanes)
		return failure_set(why, -ENOMEM, "no memory");
	r = vsp_world_init(&lanes->lane[0].world, backend, mem, bus_loop, -1, why);
	if (r) {
		lanes_free(lanes);
		return r;
	}
	lanes->lane[0].world.guard = &lanes->view;
	lanes->hosts[0] = lanes->lane[0].world.host;
	lanes->hosts[0].lanes = &lanes->view;
	for (; r == 0 && started <= count; started += r == 0)
		r = start_lane(&lanes->lane[started], backend, mem, why);
	if (r == 0) {
		*out = lanes;
		return 0;
	}
	while (--started)
		stop_lane(&lanes->lane[started]);
	vsp_world_fini(&lanes->lane[0].world);
	lanes_free(lanes);
	return r;
}

void lanes_stop(struct lanes *lanes)
{
	if (!lanes)
		return;
	for (unsigned i = 1; i < lanes->view.count; i++)
		stop_lane(&lanes->lane[i]);
	vsp_world_fini(&lanes->lane[0].world);
	lanes_free(lanes);
}

const struct vsp_host *lanes_host(const struct lanes *lanes)
{
	return &lanes->hosts[0];
}
