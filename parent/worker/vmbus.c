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
#include "worker/vsp_host.h"

#define MESSAGE_RETRY_NS 10000000ull	/* look again whether the server takes messages */

static const uint32_t message_connections[] = { VMBUS_CONNECTION_MESSAGE, VMBUS_CONNECTION_MESSAGE4 };

struct vmbus {
	struct loop loop;
	struct vsp_world world;
	struct vmbus_server *server;
	const struct config *config;
	struct vmbus_owner owner;
	struct guest_mem *mem;
	struct node_bus nodes;		/* what the nodes see of this bus */
	unsigned leaving;		/* nodes that are being removed */
	unsigned closing;		/* all that is not off yet, while it stops */

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

static void on_node_event(void *context, const struct node *node, const char *what, struct json_object *body)
{
	struct vmbus *bus = context;

	node_events_push(bus->owner.events, node, what, body);
}

static void on_node_failed(void *context, const struct failure *why)
{
	struct vmbus *bus = context;

	bus->owner.failed(bus->owner.context, why);
}

/* A node that fails is off the bus again, but for what its `remove` does. */
static int add_node(struct vmbus *bus, struct node *node, struct failure *why)
{
	node->bus = &bus->nodes;
	return node->kind->add(node, why);
}

static int add_nodes(struct vmbus *bus, struct failure *why)
{
	const struct vmbus_server_config server = { .host = &bus->world.host, .vp_count = bus->config->vp_count };
	int r = 0;

	bus->server = vmbus_server_new(&server);
	if (!bus->server)
		return failure_set(why, -ENOMEM, "vmbus: no memory");
	bus->nodes = (struct node_bus){
		.server = bus->server,
		.host = &bus->world.host,
		.backend = bus->world.backend,
		.mem = bus->mem,
		.loop = &bus->loop,
		.vp_count = bus->config->vp_count,
		.event = on_node_event,
		.failed = on_node_failed,
		.context = bus,
	};
	for (struct node *node = bus->config->nodes; r == 0 && node; node = node->next)
		if (!node->removing)
			r = add_node(bus, node, why);
	return r;
}

static bool is_on(const struct vmbus *bus, const struct node *node)
{
	return node->bus == &bus->nodes && !node->removing;
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

static void on_node_off(void *context)
{
	struct vmbus *bus = context;

	if (--bus->closing == 0)
		loop_stop(&bus->loop);
}

/* Those that are leaving answer to their own remove. */
static void on_server_quiet(void *context)
{
	struct vmbus *bus = context;

	bus->closing = 1 + bus->leaving;	/* one for this call: nodes may answer from inside */
	for (struct node *node = bus->config->nodes; node; node = node->next) {
		if (!is_on(bus, node))
			continue;
		bus->closing++;
		node->kind->remove(node, on_node_off, bus);
	}
	on_node_off(bus);
}

static void begin_stop(struct vmbus *bus, void *argument)
{
	if (bus->paused)
		vmbus_server_resume(bus->server);
	vmbus_server_reset(bus->server, on_server_quiet, bus);
}

static void forget_nodes(struct vmbus *bus)
{
	for (struct node *node = bus->config->nodes; node; node = node->next)
		node->bus = NULL;
}

int vmbus_start(struct vmbus **out, const struct config *config, struct backend *backend, struct guest_mem *mem,
		const struct vmbus_owner *owner, struct failure *why)
{
	enum step reached = STEP_NONE;
	struct vmbus *bus;
	int r;

	*out = NULL;
	bus = calloc(1, sizeof *bus);
	if (!bus)
		return failure_set(why, -ENOMEM, "vmbus: no memory");
	bus->config = config;
	bus->owner = *owner;
	bus->mem = mem;
	(void)pthread_mutex_init(&bus->lock, NULL); /* neither can fail with default attributes */
	(void)pthread_cond_init(&bus->done, NULL);
	bus->message_retry = (struct vsp_timer){ .expired = on_message_retry, .context = bus };
	r = loop_init(&bus->loop, why);
	if (r == 0) {
		reached = STEP_LOOP;
		r = vsp_world_init(&bus->world, backend, mem, &bus->loop, config->trace_fd, why);
	}
	if (r == 0) {
		reached = STEP_WORLD;
		r = open_wake(bus, why);
	}
	if (r == 0) {
		reached = STEP_SERVER;
		r = add_nodes(bus, why);
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
		forget_nodes(bus);
		undo(bus, reached);
		return r;
	}
	*out = bus;
	return 0;
}

void vmbus_stop(struct vmbus *bus)
{
	call_and_wait(bus, begin_stop, NULL);
	(void)pthread_join(bus->thread, NULL);
	forget_nodes(bus);
	undo(bus, STEP_MESSAGES);
}

static void do_pause(struct vmbus *bus, void *argument)
{
	bus->paused = true;
	loop_modify(&bus->loop, &bus->messages, 0);
	for (struct node *node = bus->config->nodes; node; node = node->next)
		if (is_on(bus, node) && node->kind->pause)
			node->kind->pause(node);
	vmbus_server_pause(bus->server);
}

static void do_resume(struct vmbus *bus, void *argument)
{
	bus->paused = false;
	vmbus_server_resume(bus->server);
	for (struct node *node = bus->config->nodes; node; node = node->next)
		if (is_on(bus, node) && node->kind->resume)
			node->kind->resume(node);
	if (bus->message_held)
		on_message_retry(bus);
	else
		loop_modify(&bus->loop, &bus->messages, EPOLLIN);
}

void vmbus_pause(struct vmbus *bus)
{
	call_and_wait(bus, do_pause, NULL);
}

void vmbus_resume(struct vmbus *bus)
{
	call_and_wait(bus, do_resume, NULL);
}

struct departure;

struct node_order {
	struct node *node;
	const char *name;
	struct json_object *params;
	struct node_fds *fds;
	struct departure *departure;
	struct failure *why;
	bool connected;
	int result;
};

/* A node on its way off the bus; NULL: what is left of one that never came on. */
struct departure {
	struct vmbus *bus;
	struct node *node;
};

static void on_departed(void *context)
{
	const struct departure departure = *(struct departure *)context;
	struct vmbus *bus = departure.bus;

	free(context);
	bus->leaving--;
	if (departure.node)
		node_events_push_gone(bus->owner.events, departure.node);
	if (bus->closing)
		on_node_off(bus);
}

static struct departure *departure_new(struct vmbus *bus, struct node *node, struct failure *why)
{
	struct departure *departure = malloc(sizeof *departure);

	if (departure)
		*departure = (struct departure){ bus, node };
	else
		failure_set(why, -ENOMEM, "vmbus: no memory");
	return departure;
}

static void depart(struct vmbus *bus, struct node *node, struct departure *departure)
{
	bus->leaving++;
	node->kind->remove(node, on_departed, departure);
}

static void do_add(struct vmbus *bus, void *argument)
{
	struct node_order *order = argument;

	order->result = add_node(bus, order->node, order->why);
	if (order->result)
		depart(bus, order->node, order->departure);
	else if (bus->paused && order->node->kind->pause)
		order->node->kind->pause(order->node);
}

int vmbus_add(struct vmbus *bus, struct node *node, struct failure *why)
{
	struct node_order order = { .node = node, .departure = departure_new(bus, NULL, why), .why = why };

	if (!order.departure)
		return -ENOMEM;
	call_and_wait(bus, do_add, &order);
	if (order.result == 0)
		free(order.departure);
	return order.result;
}

static void do_remove(struct vmbus *bus, void *argument)
{
	struct node_order *order = argument;

	order->node->removing = true;
	depart(bus, order->node, order->departure);
}

int vmbus_remove(struct vmbus *bus, struct node *node, struct failure *why)
{
	struct node_order order = { .node = node, .departure = departure_new(bus, node, why) };

	if (!order.departure)
		return -ENOMEM;
	call_and_wait(bus, do_remove, &order);
	return 0;
}

static void do_call(struct vmbus *bus, void *argument)
{
	struct node_order *order = argument;

	order->result = node_call(order->node, order->name, order->params, order->fds, order->why);
}

int vmbus_call(struct vmbus *bus, struct node *node, const char *name, struct json_object *params, struct node_fds *fds,
	       struct failure *why)
{
	struct node_order order = { .node = node, .name = name, .params = params, .fds = fds, .why = why };

	call_and_wait(bus, do_call, &order);
	return order.result;
}

static void do_client(struct vmbus *bus, void *argument)
{
	const struct node_order *order = argument;

	for (struct node *node = bus->config->nodes; node; node = node->next)
		if (is_on(bus, node) && node->kind->client)
			node->kind->client(node, order->connected);
}

void vmbus_client(struct vmbus *bus, bool connected)
{
	struct node_order order = { .connected = connected };

	call_and_wait(bus, do_client, &order);
}

static void do_counters(struct vmbus *bus, void *argument)
{
	struct counter_sink *sink = argument;
	struct vmbus_server_counters c;

	vmbus_server_get_counters(bus->server, &c);
	sink->source(sink, &(struct counter_source){ .name = "vmbus", .unit = COUNTER_NO_UNIT });
	sink->counter(sink, "messages_received", c.messages_received);
	sink->counter(sink, "messages_sent", c.messages_sent);
	sink->counter(sink, "messages_bad", c.messages_bad);
	sink->counter(sink, "messages_unknown", c.messages_unknown);
	sink->counter(sink, "messages_refused", c.messages_refused);
	sink->counter(sink, "post_retries", c.post_retries);
	sink->counter(sink, "contacts", c.contacts);
	sink->counter(sink, "version", c.version);
	sink->counter(sink, "gpadl_bytes", c.gpadl_bytes);
	for (struct node *node = bus->config->nodes; node; node = node->next)
		if (is_on(bus, node) && node->kind->counters)
			node->kind->counters(node, sink);
}

void vmbus_counters(struct vmbus *bus, struct counter_sink *sink)
{
	call_and_wait(bus, do_counters, sink);
}
