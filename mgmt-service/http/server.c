/* SPDX-License-Identifier: Apache-2.0 */
#include "http/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/log.h"
#include "http/console.h"
#include "http/resource.h"
#include "http/uri.h"
#include "vmms/worker.h"

#define CONNECTIONS_MAX    128
#define CONNECTIONS_PER_IP 96
#define IDLE_SECONDS       90          /* above the longest ?wait= */
#define CONNECTION_MEMORY  (32 * 1024) /* request line and headers: more is answered 431 */
#define THREAD_STACK       (512 * 1024)
#define BODY_STEP          4096

struct server {
	struct model *model;
	const struct auth *auth;
	struct MHD_Daemon *daemon;
	struct console_set *consoles;
};

/* One request while it comes in. */
struct incoming {
	struct arena arena;
	struct server *server;
	struct MHD_Connection *connection;
	char *body;
	size_t size, room;
	bool refused; /* answered already, or about to be, without its body */
};

struct wanted {
	struct incoming *in;
	const char *name;
	const char *value;
};

static enum MHD_Result match_query(void *context, enum MHD_ValueKind kind, const char *raw_name,
				   const char *raw_value)
{
	struct wanted *wanted = context;
	const char *name = uri_decode(&wanted->in->arena, raw_name, strlen(raw_name));

	if (!name || strcmp(name, wanted->name) != 0)
		return MHD_YES;
	wanted->value = raw_value ? uri_decode(&wanted->in->arena, raw_value, strlen(raw_value)) : "";
	if (!wanted->value)
		wanted->value = "";
	return MHD_NO;
}

/* Many clients encode the '$' of a name, so names are decoded as well as values. */
static const char *query_value(void *context, const char *name)
{
	struct wanted wanted = {.in = context, .name = name};

	MHD_get_connection_values(wanted.in->connection, MHD_GET_ARGUMENT_KIND, match_query, &wanted);
	return wanted.value;
}

static const char *header_value(void *context, const char *name)
{
	struct incoming *in = context;

	return MHD_lookup_connection_value(in->connection, MHD_HEADER_KIND, name);
}

/* Paths and options are decoded by their readers: a decoded '/' in a key would be another path. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
	return strlen(text);
}

struct upgraded {
	struct MHD_UpgradeResponseHandle *handle;
};

static void console_done(void *context)
{
	struct upgraded *u = context;

	MHD_upgrade_action(u->handle, MHD_UPGRADE_ACTION_CLOSE);
	free(u);
}

struct console_target {
	struct server *server;
	int worker_fd;
};

static void upgrade(void *context, struct MHD_Connection *connection, void *request, const char *early,
		    size_t early_size, MHD_socket client, struct MHD_UpgradeResponseHandle *handle)
{
	struct console_target *target = context;
	struct upgraded *u = calloc(1, sizeof(*u));

	if (u)
		u->handle = handle;
	if (!u || console_bridge(target->server->consoles, client, target->worker_fd, early, early_size,
				 console_done, u)) {
		close(target->worker_fd);
		free(u);
		MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
	}
	free(target);
}

static struct MHD_Response *console_response(struct incoming *in, const char *vm_id,
					     struct response *response)
{
	struct console_target *target = calloc(1, sizeof(*target));
	struct MHD_Response *r;

	if (!target)
		return NULL;
	target->server = in->server;
	target->worker_fd = worker_console_connect(in->server->model, vm_id);
	if (target->worker_fd < 0) {
		resource_problem(&in->arena, response, 503, "The worker's console takes no connection", NULL);
		free(target);
		return NULL;
	}
	r = MHD_create_response_for_upgrade(upgrade, target);
	if (!r) {
		close(target->worker_fd);
		free(target);
		return NULL;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_UPGRADE, "undercroft-console");
	return r;
}

static enum MHD_Result send_response(struct incoming *in, struct response *response, const char *method,
				     const char *path)
{
	struct MHD_Response *r = NULL;
	enum MHD_Result result;

	if (response->upgrade_console)
		r = console_response(in, response->upgrade_console, response);
	if (!r)
		r = MHD_create_response_from_buffer(response->body_size, (void *)(uintptr_t)response->body,
						    response->body == NULL ? MHD_RESPMEM_PERSISTENT
									   : MHD_RESPMEM_MUST_COPY);
	if (!r)
		return MHD_NO;
	if (response->content_type)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, response->content_type);
	for (size_t i = 0; i < response->header_count; i++)
		MHD_add_response_header(r, response->headers[i].name, response->headers[i].value);
	if (response->status != 101)
		MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	log_debug("http", "method=%s path=\"%s\" status=%u", method, path, response->status);
	result = MHD_queue_response(in->connection, response->status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result refuse(struct incoming *in, unsigned status, const char *detail, const char *method,
			      const char *path)
{
	struct response response = {0};

	in->refused = true;
	resource_problem(&in->arena, &response, status, detail, NULL);
	if (status == 401)
		response_header(&response, "WWW-Authenticate", "Bearer");
	return send_response(in, &response, method, path);
}

/* First call of a request: headers only. */
static enum MHD_Result begin(struct server *server, struct MHD_Connection *connection, const char *method,
			     const char *path, void **request)
{
	struct incoming *in = calloc(1, sizeof(*in));
	const char *length;

	if (!in)
		return MHD_NO;
	arena_init(&in->arena);
	in->server = server;
	in->connection = connection;
	*request = in;
	if (!auth_check(server->auth, header_value(in, "Authorization")))
		return refuse(in, 401,
			      "A bearer token is required: Authorization: Bearer TOKEN, from the service's "
			      "token file",
			      method, path);
	length = header_value(in, "Content-Length");
	if (length && strtoull(length, NULL, 10) > HTTP_BODY_MAX)
		return refuse(in, 413, "The body is larger than 1 MiB", method, path);
	return MHD_YES;
}

static void take_body(struct incoming *in, const char *bytes, size_t size)
{
	if (size > HTTP_BODY_MAX - in->size) {
		in->refused = true;
		return;
	}
	if (in->size + size > in->room) {
		size_t room = in->room ? in->room : BODY_STEP;
		char *bigger;

		while (room < in->size + size)
			room *= 2;
		bigger = realloc(in->body, room);
		if (!bigger) {
			in->refused = true;
			return;
		}
		in->body = bigger;
		in->room = room;
	}
	memcpy(in->body + in->size, bytes, size);
	in->size += size;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
			      const char *method, const char *version, const char *bytes, size_t *size,
			      void **request)
{
	struct server *server = context;
	struct incoming *in = *request;
	struct response response = {0};
	struct request r;

	if (!in)
		return begin(server, connection, method, path, request);
	if (*size) {
		if (!in->refused)
			take_body(in, bytes, *size);
		*size = 0;
		return MHD_YES;
	}
	if (in->refused)
		return refuse(in, 413, "The body is larger than 1 MiB", method, path);
	r = (struct request){.arena = &in->arena,
			     .method = method,
			     .raw_path = path,
			     .query = query_value,
			     .header = header_value,
			     .context = in,
			     .body = in->body,
			     .body_size = in->size};
	resource_handle(server->model, &r, &response);
	return send_response(in, &response, method, path);
}

static void completed(void *context, struct MHD_Connection *connection, void **request,
		      enum MHD_RequestTerminationCode code)
{
	struct incoming *in = *request;

	if (!in)
		return;
	arena_fini(&in->arena);
	free(in->body);
	free(in);
	*request = NULL;
}

static void library_log(void *context, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));
static void library_log(void *context, const char *format, va_list arguments)
{
	char line[512];

	vsnprintf(line, sizeof(line), format, arguments);
	log_debug("http.library", "text=\"%s\"", line);
}

static int listen_on(const struct config *config, unsigned *port, char *reason, unsigned reason_size)
{
	struct sockaddr_storage at = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&at;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&at;
	socklen_t size;
	int fd, on = 1;

	if (inet_pton(AF_INET, config->address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)config->port);
		size = sizeof(*v4);
	} else {
		inet_pton(AF_INET6, config->address, &v6->sin6_addr);
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)config->port);
		size = sizeof(*v6);
	}
	fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&at, size) || listen(fd, 64) ||
	    getsockname(fd, (struct sockaddr *)&at, &size)) {
		snprintf(reason, reason_size, "%s port %u: %s", config->address, config->port,
			 strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	*port = ntohs(at.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
	return fd;
}

struct server *server_start(struct model *model, const struct auth *auth, unsigned *port, char *reason,
			    unsigned reason_size)
{
	struct server *server = calloc(1, sizeof(*server));
	int fd = listen_on(model->config, port, reason, reason_size);

	if (!server || fd < 0) {
		free(server);
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	server->model = model;
	server->auth = auth;
	server->consoles = console_set_create();
	if (server->consoles)
		server->daemon = MHD_start_daemon(
			MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL |
				MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG,
			0, NULL, NULL, handle, server, MHD_OPTION_EXTERNAL_LOGGER, library_log, NULL,
			MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
			MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_PER_IP, MHD_OPTION_CONNECTION_TIMEOUT,
			IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
			MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK, MHD_OPTION_UNESCAPE_CALLBACK,
			keep_escapes, NULL, MHD_OPTION_NOTIFY_COMPLETED, completed, NULL,
			MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!server->daemon) {
		snprintf(reason, reason_size, "the HTTP server does not start");
		console_set_destroy(server->consoles);
		close(fd);
		free(server);
		return NULL;
	}
	return server;
}

void server_stop(struct server *server)
{
	MHD_socket fd = MHD_quiesce_daemon(server->daemon);

	if (fd != MHD_INVALID_SOCKET)
		close(fd);
	model_lock(server->model);
	server->model->stopping = true;
	pthread_cond_broadcast(&server->model->changed);
	model_unlock(server->model);
	/* A request may just be turning into a console: the set stays until the last connection thread has
	 * ended. */
	console_set_close(server->consoles);
	MHD_stop_daemon(server->daemon);
	console_set_destroy(server->consoles);
	free(server);
}
