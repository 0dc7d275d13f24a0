// SPDX-License-Identifier: Apache-2.0
#include "guest_host.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WALL_TIME_DEFAULT 133500000000000000ull		/* a day in 2024 */

void guest_die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	abort();
}

static void *host_memory(void *host, uint64_t gpa, uint64_t bytes)
{
	struct guest_world *world = host;

	if (bytes == 0 || gpa >= world->ram_bytes || bytes > world->ram_bytes - gpa)
		return NULL;
	for (unsigned i = 0; i < world->hole_count; i++) {
		const struct guest_range *hole = &world->holes[i];

		if (gpa < hole->gpa + hole->bytes && hole->gpa < gpa + bytes)
			return NULL;
	}
	return world->ram + gpa;
}

static int host_post_message(void *host, uint32_t vp, uint8_t sint, const void *payload, size_t bytes)
{
	struct guest_world *world = host;
	struct guest_message *message;

	if (world->faults.post_error)
		return world->faults.post_error;
	if (vp >= world->vp_count)
		return -ENOENT;
	if (bytes > sizeof message->payload || sint >= 16)
		guest_die("a message of %zu bytes for SINT %u", bytes, sint);
	if (world->faults.messages_unread && world->unread >= GUEST_UNREAD_MAX)
		return -EAGAIN;
	if (world->message_count == world->message_max) {
		world->message_max = world->message_max ? world->message_max * 2 : 64;
		world->messages = realloc(world->messages, world->message_max * sizeof *world->messages);
		if (!world->messages)
			guest_die("no memory");
	}
	message = &world->messages[world->message_count++];
	memset(message, 0, sizeof *message);
	memcpy(message->payload, payload, bytes);
	memcpy(&message->type, message->payload, sizeof message->type);
	message->vp = vp;
	message->sint = sint;
	message->bytes = (uint32_t)bytes;
	world->unread++;
	return 0;
}

static int host_signal_event(void *host, uint32_t vp, uint8_t sint, uint16_t flag)
{
	struct guest_world *world = host;

	if (world->faults.signal_error)
		return world->faults.signal_error;
	if (vp >= world->vp_count)
		return -ENOENT;
	if (sint != VMBUS_SINT || flag >= GUEST_FLAGS)
		guest_die("event flag %u of SINT %u", flag, sint);
	world->events[flag]++;
	world->event_vp[flag] = vp;
	return 0;
}

static struct guest_doorbell *find_doorbell(struct guest_world *world, uint32_t connection)
{
	for (unsigned i = 0; i < GUEST_SLOTS; i++)
		if (world->doorbells[i].open && world->doorbells[i].connection == connection)
			return &world->doorbells[i];
	return NULL;
}

static int host_doorbell_open(void *host, uint32_t connection_id, vsp_callback rang, void *context)
{
	struct guest_world *world = host;

	if (world->faults.doorbell_error)
		return world->faults.doorbell_error;
	if (find_doorbell(world, connection_id))
		return -EEXIST;
	for (unsigned i = 0; i < GUEST_SLOTS; i++) {
		if (world->doorbells[i].open)
			continue;
		world->doorbells[i] = (struct guest_doorbell){ true, false, connection_id, rang, context };
		return 0;
	}
	return -ENOMEM;
}

static void host_doorbell_close(void *host, uint32_t connection_id)
{
	struct guest_doorbell *doorbell = find_doorbell(host, connection_id);

	if (!doorbell)
		guest_die("doorbell %#x is closed, but was not open", connection_id);
	doorbell->open = false;
}

/* host_data is the slot's number + 1, so that NULL means idle. */
static void host_timer_cancel(void *host, struct vsp_timer *timer)
{
	struct guest_world *world = host;

	if (timer->host_data)
		world->timers[(uintptr_t)timer->host_data - 1] = NULL;
	timer->host_data = NULL;
}

static void host_timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	struct guest_world *world = host;

	host_timer_cancel(host, timer);
	for (uintptr_t i = 0; i < GUEST_SLOTS; i++) {
		if (world->timers[i])
			continue;
		world->timers[i] = timer;
		world->expires[i] = world->now_ns + after_ns;
		timer->host_data = (void *)(i + 1);
		return;
	}
	guest_die("too many timers");
}

static int host_watch_add(void *host, struct vsp_watch *watch)
{
	struct guest_world *world = host;

	if (watch->host_data)
		guest_die("descriptor %d is watched twice", watch->fd);
	if (world->faults.watch_error)
		return world->faults.watch_error;
	for (uintptr_t i = 0; i < GUEST_SLOTS; i++) {
		if (world->watches[i])
			continue;
		world->watches[i] = watch;
		watch->host_data = (void *)(i + 1);
		return 0;
	}
	return -ENOMEM;
}

static void host_watch_change(void *host, struct vsp_watch *watch, enum vsp_watch_for wait_for)
{
	if (!watch->host_data)
		guest_die("descriptor %d is not watched", watch->fd);
	watch->wait_for = wait_for;
}

static void host_watch_remove(void *host, struct vsp_watch *watch)
{
	struct guest_world *world = host;

	if (watch->host_data)
		world->watches[(uintptr_t)watch->host_data - 1] = NULL;
	watch->host_data = NULL;
}

static uint64_t host_reference_time(void *host)
{
	const struct guest_world *world = host;

	return world->now_ns / 100;
}

static uint64_t host_wall_time(void *host)
{
	const struct guest_world *world = host;

	return world->wall_base_100ns + world->now_ns / 100;
}

static uint64_t host_monotonic_ns(void *host)
{
	const struct guest_world *world = host;

	return 1 + world->now_ns;
}

static void host_log(void *host, const char *text)
{
	struct guest_world *world = host;

	(void)snprintf(world->log, sizeof world->log, "%s", text);
}

static const struct vsp_host_ops ops = {
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

void world_init(struct guest_world *world, uint64_t ram_bytes, unsigned vp_count)
{
	memset(world, 0, sizeof *world);
	world->host = (struct vsp_host){ .ops = &ops, .context = world };
	world->ram_bytes = ram_bytes;
	world->vp_count = vp_count;
	world->wall_base_100ns = WALL_TIME_DEFAULT;
	world->ram = mmap(NULL, ram_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (world->ram == MAP_FAILED)
		guest_die("no memory");
}

void world_fini(struct guest_world *world)
{
	(void)munmap(world->ram, world->ram_bytes);
	free(world->messages);
}

void world_ring(struct guest_world *world, uint32_t connection)
{
	struct guest_doorbell *doorbell = find_doorbell(world, connection);

	if (doorbell)
		doorbell->rung = true;
}

uint64_t world_next_timer(const struct guest_world *world)
{
	uint64_t next = UINT64_MAX;

	for (unsigned i = 0; i < GUEST_SLOTS; i++)
		if (world->timers[i] && world->expires[i] < next)
			next = world->expires[i];
	return next;
}

/* One round of timers: those that callbacks arm are of the next. */
static unsigned turn_timers(struct guest_world *world)
{
	unsigned count = 0;

	for (unsigned i = 0; i < GUEST_SLOTS; i++) {
		struct vsp_timer *timer = world->timers[i];

		if (!timer || world->expires[i] > world->now_ns)
			continue;
		world->timers[i] = NULL;
		timer->host_data = NULL;
		timer->expired(timer->context);
		count++;
	}
	return count;
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

static unsigned turn_watches(struct guest_world *world, int wait_ms)
{
	struct pollfd fds[GUEST_SLOTS];
	unsigned slots[GUEST_SLOTS], count = 0, called = 0;

	for (unsigned i = 0; i < GUEST_SLOTS; i++) {
		if (!world->watches[i])
			continue;
		fds[count] = (struct pollfd){ .fd = world->watches[i]->fd,
						 .events = poll_events(world->watches[i]) };
		slots[count++] = i;
	}
	if ((count == 0 && wait_ms == 0) || poll(fds, count, wait_ms) <= 0)
		return 0;
	for (unsigned i = 0; i < count; i++) {
		struct vsp_watch *watch = world->watches[slots[i]];

		if (!fds[i].revents || !watch || watch->fd != fds[i].fd)
			continue;
		watch->ready(watch->context);
		called++;
	}
	return called;
}

unsigned world_turn(struct guest_world *world, int wait_ms)
{
	unsigned count = 0;

	for (unsigned i = 0; i < GUEST_SLOTS; i++) {
		struct guest_doorbell *doorbell = &world->doorbells[i];

		if (!doorbell->open || !doorbell->rung)
			continue;
		doorbell->rung = false;
		doorbell->rang(doorbell->context);
		count++;
	}
	count += turn_timers(world);
	return count + turn_watches(world, count ? 0 : wait_ms);
}
