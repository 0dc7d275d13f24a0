// SPDX-License-Identifier: Apache-2.0
#include "worker/control.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/json_take.h"
#include "worker/stats.h"
#include "worker/worker_msg.h"

#define PACKET_DEPTH 8

static void drop_client(struct control *c)
{
	if (c->client.fd < 0)
		return;
	loop_remove(c->loop, &c->client);
	(void)close(c->client.fd);
	c->client.fd = -1;
	machine_client(&c->worker->machine, false);
}

static void send_text(struct control *c, const char *text, size_t bytes)
{
	ssize_t sent;

	if (c->client.fd < 0 || bytes > WORKER_MSG_MAX)
		return;
	do
		sent = send(c->client.fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		drop_client(c);
}

/* Takes the object. */
static void send_object(struct control *c, struct json_object *object)
{
	size_t bytes = 0;
	const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &bytes);

	if (text)
		send_text(c, text, bytes);
	json_object_put(object);
}

static void add_text(struct json_object *object, const char *name, const char *text)
{
	(void)json_object_object_add(object, name, text ? json_object_new_string(text) : NULL);
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
	(void)json_object_object_add(object, name, json_object_new_uint64(value));
}

static void send_state(struct control *c)
{
	struct json_object *event = json_object_new_object();

	add_text(event, "event", "state");
	add_text(event, "state", worker_state_names[c->worker->state]);
	add_text(event, "reason", c->worker->reason);
	send_object(c, event);
}

static void on_change(void *context)
{
	send_state(context);
}

static void on_device_event(void *context, const char *text, size_t bytes)
{
	send_text(context, text, bytes);
}

/* Methods: result, or NULL with code and `why` set. */
typedef struct json_object *(*method_fn)(struct control *c, struct json_object *params, const char **out_code,
					 struct failure *why);

static struct json_object *device_answer(int r, const char **out_code)
{
	if (r == 0)
		return json_object_new_object();
	*out_code = node_error_code(r);
	return NULL;
}

static struct json_object *apply(struct control *c, enum worker_input input, const char **out_code, struct failure *why)
{
	bool refused = worker_transition(c->worker->state, input)->next == WORKER_STATE_COUNT;

	if (worker_apply(c->worker, input, why) == 0)
		return json_object_new_object();
	if (refused)
		*out_code = "invalid_state";
	else if (input == WORKER_START || input == WORKER_RESET)
		*out_code = "start_failed";
	return NULL;
}

static struct json_object *method_start(struct control *c, struct json_object *params, const char **out_code,
					struct failure *why)
{
	return apply(c, WORKER_START, out_code, why);
}

static struct json_object *method_pause(struct control *c, struct json_object *params, const char **out_code,
					struct failure *why)
{
	return apply(c, WORKER_PAUSE, out_code, why);
}

static struct json_object *method_resume(struct control *c, struct json_object *params, const char **out_code,
					 struct failure *why)
{
	return apply(c, WORKER_RESUME, out_code, why);
}

static struct json_object *method_reset(struct control *c, struct json_object *params, const char **out_code,
					struct failure *why)
{
	return apply(c, WORKER_RESET, out_code, why);
}

static struct json_object *method_stop(struct control *c, struct json_object *params, const char **out_code,
				       struct failure *why)
{
	struct json_object *how;

	if (!json_object_object_get_ex(params, "how", &how) || !json_object_is_type(how, json_type_string) ||
	    strcmp(json_object_get_string(how), "turn_off")) {
		*out_code = "invalid_params";
		(void)failure_set(why, -EINVAL, "params.how: \"turn_off\" is possible");
		return NULL;
	}
	return apply(c, WORKER_TURN_OFF, out_code, why);
}

static struct json_object *method_status(struct control *c, struct json_object *params, const char **out_code,
					 struct failure *why)
{
	struct json_object *result = json_object_new_object();
	const struct worker *w = c->worker;

	add_text(result, "state", worker_state_names[w->state]);
	add_number(result, "pid", (uint64_t)getpid());
	add_number(result, "uptime_ms", worker_uptime_ms(w));
	add_number(result, "cpu_time_100ns", worker_cpu_time_100ns());
	add_number(result, "memory_mib", w->config->memory_mib);
	add_text(result, "reason", w->reason);
	return result;
}

static struct json_object *method_stats(struct control *c, struct json_object *params, const char **out_code,
					struct failure *why)
{
	struct json_object *value = NULL;
	int64_t from = 0;

	if (json_object_object_get_ex(params, "from", &value)) {
		int r = json_object_is_type(value, json_type_int) ? json_take_number(value, "params.from", 0, INT32_MAX, &from, why)
								  : failure_set(why, -EINVAL, "params.from: must be a number");

		if (r)
			return device_answer(r, out_code);
	}
	return stats_answer(&c->worker->machine, (uint64_t)from);
}

static struct json_object *method_add_device(struct control *c, struct json_object *params, const char **out_code,
					     struct failure *why)
{
	struct json_object *device;
	struct node *node;
	int r;

	if (!json_object_object_get_ex(params, "device", &device) || !json_object_is_type(device, json_type_object)) {
		*out_code = "invalid_params";
		(void)failure_set(why, -EINVAL, "params.device: must be an object");
		return NULL;
	}
	r = node_read(device, "params.device.", &c->fds, &node, why);
	if (r == 0) {
		r = machine_add_device(&c->worker->machine, node, why);
		if (r)
			node_free(node);
	}
	return device_answer(r, out_code);
}

/* NULL, with `why`, when there is none. */
static const char *text_param(struct json_object *params, const char *name, const char **out_code, struct failure *why)
{
	struct json_object *value;

	if (json_object_object_get_ex(params, name, &value) && json_object_is_type(value, json_type_string))
		return json_object_get_string(value);
	*out_code = "invalid_params";
	(void)failure_set(why, -EINVAL, "params.%s: must be a text", name);
	return NULL;
}

static struct json_object *method_remove_device(struct control *c, struct json_object *params, const char **out_code,
						struct failure *why)
{
	const char *instance = text_param(params, "instance", out_code, why);

	return instance ? device_answer(machine_remove_device(&c->worker->machine, instance, why), out_code) : NULL;
}

static struct json_object *method_device(struct control *c, struct json_object *params, const char **out_code,
					 struct failure *why)
{
	const char *instance = text_param(params, "instance", out_code, why);
	const char *name = instance ? text_param(params, "call", out_code, why) : NULL;

	if (!name)
		return NULL;
	return device_answer(machine_call_device(&c->worker->machine, instance, name, params, &c->fds, why), out_code);
}

static const struct {
	const char *name;
	method_fn call;
} methods[] = {
	{ "status", method_status },
	{ "start", method_start },
	{ "pause", method_pause },
	{ "resume", method_resume },
	{ "stop", method_stop },
	{ "reset", method_reset },
	{ "stats", method_stats },
	{ "add_device", method_add_device },
	{ "remove_device", method_remove_device },
	{ "device", method_device },
};

static method_fn find_method(const char *name)
{
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (strcmp(methods[i].name, name) == 0)
			return methods[i].call;
	return NULL;
}

static struct json_object *call(struct control *c, struct json_object *request, const char **out_code, struct failure *why)
{
	struct json_object *name, *params = NULL;
	method_fn method;

	*out_code = "invalid_request";
	if (!json_object_object_get_ex(request, "method", &name) || !json_object_is_type(name, json_type_string)) {
		(void)failure_set(why, -EINVAL, "method: missing, or no text");
		return NULL;
	}
	if (json_object_object_get_ex(request, "params", &params) && !json_object_is_type(params, json_type_object)) {
		(void)failure_set(why, -EINVAL, "params: must be an object");
		return NULL;
	}
	method = find_method(json_object_get_string(name));
	if (!method) {
		*out_code = "unknown_method";
		(void)failure_set(why, -EINVAL, "method: \"%.40s\" is unknown", json_object_get_string(name));
		return NULL;
	}
	*out_code = "internal_error";
	return method(c, params, out_code, why);
}

static void respond(struct control *c, struct json_object *request)
{
	struct json_object *response = json_object_new_object();
	struct json_object *id = NULL, *result, *error;
	struct failure why = { "" };
	const char *code;

	(void)json_object_object_get_ex(request, "id", &id);
	(void)json_object_object_add(response, "id", json_object_get(id));
	result = call(c, request, &code, &why);
	if (result) {
		(void)json_object_object_add(response, "result", result);
	} else {
		error = json_object_new_object();
		add_text(error, "code", code);
		add_text(error, "message", why.text);
		(void)json_object_object_add(response, "error", error);
	}
	send_object(c, response);
}

/* One JSON object and nothing else, or NULL. */
static struct json_object *parse_packet(const char *packet, size_t bytes)
{
	struct json_tokener *tokener = json_tokener_new_ex(PACKET_DEPTH);
	struct json_object *object;

	if (!tokener)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, packet, (int)bytes);
	if (object && (json_tokener_get_parse_end(tokener) != bytes || !json_object_is_type(object, json_type_object))) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

static void close_fds(struct control *c)
{
	for (unsigned i = 0; i < c->fds.count; i++)
		if (c->fd[i] >= 0)
			(void)close(c->fd[i]);
	c->fds.count = 0;
}

/* As recv, with the descriptors that came along in c->fds. */
static ssize_t receive(struct control *c)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof c->fd)];
	struct iovec iov = { c->packet, WORKER_MSG_MAX + 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
	ssize_t got = recvmsg(c->client.fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	c->fds.count = 0;
	if (got < 0)
		return got;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
		const size_t bytes = part->cmsg_len - CMSG_LEN(0);

		if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS || c->fds.count)
			continue;
		memcpy(c->fd, CMSG_DATA(part), bytes);
		c->fds.count = (unsigned)(bytes / sizeof c->fd[0]);
	}
	return got;
}

static void on_packet(void *context, uint32_t events)
{
	struct control *c = context;
	struct json_object *request;
	ssize_t got = receive(c);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	request = got > 0 && got <= WORKER_MSG_MAX ? parse_packet(c->packet, (size_t)got) : NULL;
	if (request)
		respond(c, request);
	else
		drop_client(c);
	json_object_put(request);
	close_fds(c);
}

static void on_connect(void *context, uint32_t events)
{
	struct control *c = context;
	int fd = accept4(c->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	drop_client(c);
	c->client.fd = fd;
	if (loop_add(c->loop, &c->client, EPOLLIN, NULL)) {
		(void)close(fd);
		c->client.fd = -1;
		return;
	}
	send_state(c);
	machine_client(&c->worker->machine, true);
}

int control_listen(struct control *c, struct loop *loop, int listen_fd, struct worker *worker, struct failure *why)
{
	memset(c, 0, sizeof *c);
	c->loop = loop;
	c->worker = worker;
	c->client = (struct loop_source){ .fd = -1, .callback = on_packet, .context = c };
	c->listener = (struct loop_source){ .fd = listen_fd, .callback = on_connect, .context = c };
	c->fds.fd = c->fd;
	c->packet = malloc(WORKER_MSG_MAX + 1);
	if (!c->packet)
		return failure_set(why, -ENOMEM, "control: no memory");
	if (loop_add(loop, &c->listener, EPOLLIN, why)) {
		free(c->packet);
		return -EIO;
	}
	worker->on_change = on_change;
	worker->context = c;
	worker->machine.events.happened = on_device_event;
	worker->machine.events.happened_context = c;
	return 0;
}

void control_end(struct control *c)
{
	c->worker->on_change = NULL;
	c->worker->machine.events.happened = NULL;
	drop_client(c);
	loop_remove(c->loop, &c->listener);
	free(c->packet);
}
