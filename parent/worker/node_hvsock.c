// SPDX-License-Identifier: Apache-2.0
/* Hyper-V sockets: services of the parent are Unix sockets in a folder, those of the guest are reached through a listening one. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hvsock/hvsock_listener.h"
#include "vmbus/guid.h"
#include "worker/node_kinds.h"

struct hvsock_node {
	struct node node;
	int listen_fd, directory_fd;
	struct hvsock *hvsock;		/* while on a bus */
	struct hvsock_listener *listener;
};

static struct hvsock_node *hvsock_of(struct node *node)
{
	return (struct hvsock_node *)node;
}

static int take_listen_fd(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct node_reading *reading = into;

	return node_take_fd(value, path, reading->fds, false, &hvsock_of(reading->node)->listen_fd, why);
}

static int take_directory_fd(struct json_object *value, const char *path, void *into, struct failure *why)
{
	struct node_reading *reading = into;

	return node_take_fd(value, path, reading->fds, false, &hvsock_of(reading->node)->directory_fd, why);
}

static void init(struct node *node)
{
	hvsock_of(node)->listen_fd = -1;
	hvsock_of(node)->directory_fd = -1;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

static void fini(struct node *node)
{
	close_fd(hvsock_of(node)->listen_fd);
	close_fd(hvsock_of(node)->directory_fd);
}

/* The guest connects to a service: to the socket of that name. Never waits: a listener whose queue is full refuses. */
static int connect_service(void *context, const struct vmbus_guid *service, int *ret_fd)
{
	const struct hvsock_node *this = context;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char name[VMBUS_GUID_CHARS + 1];
	int fd;

	vmbus_guid_format(service, name);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", this->directory_fd, name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int error = errno;

		(void)close(fd);
		return -error;
	}
	*ret_fd = fd;
	return 0;
}

static int add(struct node *node, struct failure *why)
{
	struct hvsock_node *this = hvsock_of(node);
	const struct hvsock_config config = {
		.host = node->bus->host, .server = node->bus->server, .connect = connect_service, .context = this,
	};
	int flags = fcntl(this->listen_fd, F_GETFL), r;

	if (flags < 0 || fcntl(this->listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return failure_set(why, -errno, "hvsock: descriptor %d: %s", this->listen_fd, strerror(errno));
	r = hvsock_create(&config, &this->hvsock);
	if (r) {
		this->hvsock = NULL;
		return failure_set(why, r, "hvsock: %s", strerror(-r));
	}
	r = hvsock_listener_create(node->bus->host, this->hvsock, this->listen_fd, &this->listener);
	if (r) {
		this->listener = NULL;
		return failure_set(why, r, "hvsock: its listening socket: %s", strerror(-r));
	}
	return 0;
}

static void remove_sockets(struct node *node, vsp_callback done, void *context)
{
	struct hvsock_node *this = hvsock_of(node);
	struct hvsock *hvsock = this->hvsock;

	if (this->listener)
		hvsock_listener_destroy(this->listener);
	this->listener = NULL;
	this->hvsock = NULL;
	if (hvsock)
		hvsock_destroy(hvsock, done, context);
	else
		done(context);
}

static void pause_sockets(struct node *node)
{
	hvsock_listener_pause(hvsock_of(node)->listener);
	hvsock_pause(hvsock_of(node)->hvsock);
}

static void resume_sockets(struct node *node)
{
	hvsock_resume(hvsock_of(node)->hvsock);
	hvsock_listener_resume(hvsock_of(node)->listener);
}

static void counters(struct node *node, struct counter_sink *sink)
{
	struct hvsock_counters c;

	hvsock_get_counters(hvsock_of(node)->hvsock, &c);
	node_counts(node, COUNTER_NO_UNIT, sink);
	sink->counter(sink, "sockets", c.sockets);
	sink->counter(sink, "opened", c.opened);
	sink->counter(sink, "refused", c.refused);
	sink->counter(sink, "timeouts", c.timeouts);
	sink->counter(sink, "broken", c.broken);
	sink->counter(sink, "bytes_received", c.bytes_received);
	sink->counter(sink, "bytes_sent", c.bytes_sent);
}

static const struct json_member members[] = {
	{ "listen_fd", json_type_int, take_listen_fd, false },
	{ "directory_fd", json_type_int, take_directory_fd, false },
};

const struct node_kind node_hvsock = {
	.type = "hvsock",
	.max = 1,
	.bytes = sizeof(struct hvsock_node),
	.members = members,
	.member_count = 2,
	.init = init,
	.fini = fini,
	.add = add,
	.remove = remove_sockets,
	.pause = pause_sockets,
	.resume = resume_sockets,
	.counters = counters,
};
