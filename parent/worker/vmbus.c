// SPDX-License-Identifier: Apache-2.0
#include "worker/vmbus.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv/hv_synic.h"
#include "vmbus/server.h"
#include "worker/vmbus_devices.h"
#include "worker/vsp_host.h"

#define MESSAGE_RETRY_NS 10000000ull	/* look again whether the server takes messages */

static const uint32_t message_connections[] = { VMBUS_CONNECTION_MESSAGE, VMBUS_CONNECTION_MESSAGE4 };

struct vmbus {
	struct loop loop;
	struct vsp_world world;
	struct vmbus_server *server;
	struct vmbus_devices devices;

	struct loop_source messages;		/* the driver's message port */
	bool message_held;			/* the server did not take the last one yet */
	struct hv_message message;
	struct vsp_timer message_retry;
	bool paused;

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct loop_source wake;		/* eventfd: `call` is to be made */
	void (*call)(struct vmbus *bus, void *argument);
	void *argument;
};

/* Messages of the guest, in order. While the server is paused or takes none, the driver keeps them. */

static bool hand_in(struct vmbus *bus)
{
	bus->message_held = vmbus_server_message(bus->server, bus->message.payload, bus->message.payload_bytes) != 0;
	if (bus->message_held)
		bus->world.host.ops->timer_arm(bus->world.host.context, &bus->message_retry, MESSAGE_RETRY_NS);
	return !bus->message_held;
}

static void on_messages(void *context, uint32_t events)
{
	struct vmbus *bus = context;

	while (!bus->message_held && read(bus->messages.fd, &bus->message, sizeof bus->message) == sizeof bus->message) {
		if (bus->message.type != VMBUS_MESSAGE_TYPE || bus->message.payload_bytes > sizeof bus->message.payload)
			continue;
		if (!hand_in(bus))
			loop_modify(&bus->loop, &bus->messages, 0);
	}
}

static void on_message_retry(void *context)
{
	struct vmbus *bus = context;

	if (!bus->paused && hand_in(bus))
		loop_modify(&bus->loop, &bus->messages, EPOLLIN);
}

/* Calls of the main thread */

static void on_wake(void *context, uint32_t events)
{
	struct vmbus *bus = context;
	void (*call)(struct vmbus *, void *);
	uint64_t count;

	(void)!read(bus->wake.fd, &count, sizeof count); /* only resets it */
	(void)pthread_mutex_lock(&bus->lock);
	call = bus->call;
	(void)pthread_mutex_unlock(&bus->lock);
	if (!call)
		return;
	call(bus, bus->argument);
	(void)pthread_mutex_lock(&bus->lock);
	bus->call = NULL;
	(void)pthread_cond_signal(&bus->done);
	(void)pthread_mutex_unlock(&bus->lock);
}

static void call_and_wait(struct vmbus *bus, void (*call)(struct vmbus *bus, void *argument), void *argument)
{
	uint64_t one = 1;

	(void)pthread_mutex_lock(&bus->lock);
	bus->call = call;
	bus->argument = argument;
	(void)!write(bus->wake.fd, &one, sizeof one); /* an eventfd that is full wakes as well */
	while (bus->call)
		(void)pthread_cond_wait(&bus->done, &bus->lock);
	(void)pthread_mutex_unlock(&bus->lock);
}

static void *serve(void *context)
{
	struct vmbus *bus = context;

	(void)pthread_setname_np(pthread_self(), "vmbus"); /* for who looks; of another thread the sandbox forbids it */
	loop_run(&bus->loop);
	return NULL;
}

/* The thread takes no signals: those that kick VPs are for their threads. */
static int start_thread(struct vmbus *bus, struct failure *why)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&bus->thread, NULL, serve, bus);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return failure_set(why, -r, "vmbus: no thread: %s", strerror(r));
	return 0;
}

static int open_messages(struct vmbus *bus, struct failure *why)
{
	int fd = bus->world.backend->ops->message_port(bus->world.backend, message_connections,
							sizeof message_connections / sizeof message_connections[0], why);
	int r;

	if (fd < 0)
		return fd;
	bus->messages = (struct loop_source){ .fd = fd, .callback = on_messages, .context = bus };
	r = loop_add(&bus->loop, &bus->messages, EPOLLIN, why);
	if (r)
		(void)close(fd);
	return r;
}

static int open_wake(struct vmbus *bus, struct failure *why)
{
	int r;

	bus->wake = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .callback = on_wake, .context = bus,
	};
	if (bus->wake.fd < 0)
		return failure_set(why, -errno, "vmbus: no eventfd: %s", strerror(errno));
	r = loop_add(&bus->loop, &bus->wake, EPOLLIN, why);
	if (r)
		(void)close(bus->wake.fd);
	return r;
}

static int add_devices(struct vmbus *bus, const struct config *config, struct failure *why)
{
	const struct vmbus_server_config server = { .host = &bus->world.host, .vp_count = config->vp_count };

	bus->server = vmbus_server_new(&server);
	if (!bus->server)
		return failure_set(why, -ENOMEM, "vmbus: no memory");
	return vmbus_devices_add(&bus->devices, bus->server, &bus->world.host, config, why);
}

/* Undoes what vmbus_start did, from the given step on. */
enum step { STEP_MESSAGES, STEP_SERVER, STEP_WORLD, STEP_LOOP, STEP_NONE };

static void undo(struct vmbus *bus, enum step from)
{
	switch (from) {
	case STEP_MESSAGES:
		loop_remove(&bus->loop, &bus->messages);
		(void)close(bus->messages.fd);
		/* fall through */
	case STEP_SERVER:
		if (bus->server)
			vmbus_server_free(bus->server);
		loop_remove(&bus->loop, &bus->wake);
		(void)close(bus->wake.fd);
		/* fall through */
	case STEP_WORLD:
		vsp_world_fini(&bus->world);
		/* fall through */
	case STEP_LOOP:
		loop_fini(&bus->loop);
		/* fall through */
	case STEP_NONE:
		(void)pthread_mutex_destroy(&bus->lock);
		(void)pthread_cond_destroy(&bus->done);
		free(bus);
	}
}

static void on_devices_quiet(void *context)
{
	struct vmbus *bus = context;

	loop_stop(&bus->loop);
}

static void on_server_quiet(void *context)
{
	struct vmbus *bus = context;

	vmbus_devices_close(&bus->devices, on_devices_quiet, bus);
}

static void begin_stop(struct vmbus *bus, void *argument)
{
	if (bus->paused)
		vmbus_server_resume(bus->server);
	vmbus_server_reset(bus->server, on_server_quiet, bus);
}

int vmbus_start(struct vmbus **out, const struct config *config, struct backend *backend, const struct guest_mem *mem,
		struct failure *why)
{
	enum step reached = STEP_NONE;
	struct vmbus *bus;
	int r;

	*out = NULL;
	if (!config_has_vmbus(config))
		return 0;
	bus = calloc(1, sizeof *bus);
	if (!bus)
		return failure_set(why, -ENOMEM, "vmbus: no memory");
	(void)pthread_mutex_init(&bus->lock, NULL); /* neither can fail with default attributes */
	(void)pthread_cond_init(&bus->done, NULL);
	bus->message_retry = (struct vsp_timer){ .expired = on_message_retry, .context = bus };
	r = loop_init(&bus->loop, why);
	if (r == 0) {
		reached = STEP_LOOP;
		r = vsp_world_init(&bus->world, backend, mem, &bus->loop, why);
	}
	if (r == 0) {
		reached = STEP_WORLD;
		r = open_wake(bus, why);
	}
	if (r == 0) {
		reached = STEP_SERVER;
		r = add_devices(bus, config, why);
	}
	if (r == 0)
		r = open_messages(bus, why);
	if (r == 0) {
		reached = STEP_MESSAGES;
		r = start_thread(bus, why);
	}
	if (r) {
		if (bus->server) {
			begin_stop(bus, NULL);
			loop_run(&bus->loop);
		}
		undo(bus, reached);
		return r;
	}
	*out = bus;
	return 0;
}

void vmbus_stop(struct vmbus *bus)
{
	if (!bus)
		return;
	call_and_wait(bus, begin_stop, NULL);
	(void)pthread_join(bus->thread, NULL);
	undo(bus, STEP_MESSAGES);
}

static void do_pause(struct vmbus *bus, void *argument)
{
	bus->paused = true;
	loop_modify(&bus->loop, &bus->messages, 0);
	vmbus_devices_pause(&bus->devices);
	vmbus_server_pause(bus->server);
}

static void do_resume(struct vmbus *bus, void *argument)
{
	bus->paused = false;
	vmbus_server_resume(bus->server);
	vmbus_devices_resume(&bus->devices);
	if (bus->message_held)
		on_message_retry(bus);
	else
		loop_modify(&bus->loop, &bus->messages, EPOLLIN);
}

void vmbus_pause(struct vmbus *bus)
{
	if (bus)
		call_and_wait(bus, do_pause, NULL);
}

void vmbus_resume(struct vmbus *bus)
{
	if (bus)
		call_and_wait(bus, do_resume, NULL);
}

struct sink {
	vmbus_counter_fn emit;
	void *context;
};

static void emit_counters(struct vmbus *bus, void *argument)
{
	const struct sink *sink = argument;
	struct vmbus_server_counters c;

	vmbus_server_get_counters(bus->server, &c);
	sink->emit(sink->context, "vmbus", "messages_received", c.messages_received);
	sink->emit(sink->context, "vmbus", "messages_sent", c.messages_sent);
	sink->emit(sink->context, "vmbus", "messages_bad", c.messages_bad);
	sink->emit(sink->context, "vmbus", "messages_unknown", c.messages_unknown);
	sink->emit(sink->context, "vmbus", "messages_refused", c.messages_refused);
	sink->emit(sink->context, "vmbus", "post_retries", c.post_retries);
	sink->emit(sink->context, "vmbus", "contacts", c.contacts);
	sink->emit(sink->context, "vmbus", "version", c.version);
	sink->emit(sink->context, "vmbus", "gpadl_bytes", c.gpadl_bytes);
	vmbus_devices_counters(&bus->devices, sink->emit, sink->context);
}

void vmbus_counters(struct vmbus *bus, vmbus_counter_fn emit, void *context)
{
	struct sink sink = { emit, context };

	if (bus)
		call_and_wait(bus, emit_counters, &sink);
}
