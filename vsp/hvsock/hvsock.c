// SPDX-License-Identifier: Apache-2.0
#include "hvsock/hvsock.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmbus/hvsock.h"

#define SECOND_NS       1000000000ull
#define OPEN_TIMEOUT_NS (5 * SECOND_NS)		/* guests open at once, or never */
#define LINGER_NS       (2 * SECOND_NS)		/* for a guest to take what is left for it, and to close */
#define STALL_NS        (10 * SECOND_NS)	/* longer than a Linux guest takes to close in its own time */
#define BATCH           16u			/* packets of one connection, then it is the others' turn */
#define ROOM_MIN        4096u			/* bytes: no packets smaller than this because the ring is full */

#define PACKET_ROOM(bytes) (VMBUS_CHANNEL_OVERHEAD + sizeof(struct hvsock_packet_header) + (bytes))
#define END_ROOM           PACKET_ROOM(0u)	/* always kept for the empty packet */

enum phase {
	OFFERED,			/* the guest has not opened it */
	OPEN,
	LINGERING,			/* nobody is there in the parent; the guest knows, and has not yet closed */
	LEAVING,			/* rescinded */
};

struct stream {
	TAILQ_ENTRY(stream) link;
	struct hvsock *hvsock;
	struct vmbus_device device;
	struct vmbus_channel *channel;	/* OPEN, LINGERING */
	enum phase phase;
	int fd;				/* -1: closed, or not ours (any more) */
	hvsock_done done;		/* OFFERED: a program of the parent waits */
	void *done_context;
	struct vsp_watch watch;
	bool watched;
	struct vsp_timer deadline, again;

	/* guest -> parent */
	const uint8_t *left;		/* of the last packet: what the descriptor did not take */
	size_t left_bytes;
	bool guest_ended;		/* all of it was written */
	bool deaf;			/* nobody reads in the parent: drop it */
	/* parent -> guest */
	size_t room_min;
	bool full;			/* ready comes when there is room */
	bool abandoned;			/* while full: neither the guest nor the program has more to say */
	bool ended;			/* end of file */
	bool end_sent;
};
TAILQ_HEAD(stream_list, stream);

struct hvsock {
	struct hvsock_config config;
	struct vmbus_connector connector;
	struct stream_list streams;
	bool paused;
	bool destroyed;
	vsp_callback destroy_done;
	void *destroy_context;
	struct hvsock_counters counters;
	uint8_t buffer[HVSOCK_BYTES_MAX];	/* on its way from a descriptor to a ring, within one call */
};

static const struct vsp_host *host_of(const struct stream *stream)
{
	return stream->hvsock->config.host;
}

static void timer_arm(struct stream *stream, struct vsp_timer *timer, uint64_t after_ns)
{
	host_of(stream)->ops->timer_arm(host_of(stream)->context, timer, after_ns);
}

static void timer_cancel(struct stream *stream, struct vsp_timer *timer)
{
	host_of(stream)->ops->timer_cancel(host_of(stream)->context, timer);
}

/* ---- the descriptor */

static void unwatch(struct stream *stream)
{
	if (stream->watched)
		host_of(stream)->ops->watch_remove(host_of(stream)->context, &stream->watch);
	stream->watched = false;
}

static int watch_for(struct stream *stream, enum vsp_watch_for wait_for)
{
	const struct vsp_host *host = host_of(stream);
	int r = 0;

	if (stream->watched) {
		if (stream->watch.wait_for != wait_for)
			host->ops->watch_change(host->context, &stream->watch, wait_for);
		return 0;
	}
	stream->watch.wait_for = wait_for;
	r = host->ops->watch_add(host->context, &stream->watch);
	stream->watched = r == 0;
	return r;
}

/* What is to be heard of the descriptor now. A hang-up is told with everything, again and again: so nothing is watched
 * when it could not be acted upon. */
static int watch(struct stream *stream)
{
	const bool read = !stream->ended && !stream->full, write = stream->left_bytes != 0;

	if (stream->hvsock->paused)
		return 0;
	if (read || write)
		return watch_for(stream, !write ? VSP_WATCH_READ : !read ? VSP_WATCH_WRITE : VSP_WATCH_READ_WRITE);
	if (stream->end_sent || (stream->full && stream->guest_ended && !stream->abandoned))
		return watch_for(stream, VSP_WATCH_HANGUP);
	unwatch(stream);
	return 0;
}

static void close_descriptor(struct stream *stream)
{
	unwatch(stream);
	if (stream->fd >= 0)
		(void)close(stream->fd);
	stream->fd = -1;
	stream->left_bytes = 0;
}

/* ---- the end of a connection */

static void gone(void *context)
{
	struct stream *stream = context;
	struct hvsock *hvsock = stream->hvsock;
	vsp_callback done = hvsock->destroy_done;
	void *done_context = hvsock->destroy_context;

	TAILQ_REMOVE(&hvsock->streams, stream, link);
	hvsock->counters.sockets--;
	free(stream);
	if (!hvsock->destroyed || hvsock->counters.sockets)
		return;
	free(hvsock);
	if (done)
		done(done_context);
}

/* The stream may be gone when this returns, if no callback of its device is running. */
static void leave(struct stream *stream, int error)
{
	hvsock_done done = stream->done;

	if (stream->phase == LEAVING)
		return;
	stream->phase = LEAVING;
	timer_cancel(stream, &stream->deadline);
	timer_cancel(stream, &stream->again);
	if (done)
		stream->fd = -1;		/* still the caller's */
	close_descriptor(stream);
	stream->done = NULL;
	if (done)
		done(stream->done_context, error);
	vmbus_device_remove(stream->hvsock->config.server, &stream->device, gone, stream);
}

static void linger(struct stream *stream)
{
	close_descriptor(stream);
	stream->phase = LINGERING;
	if (!stream->hvsock->paused)
		timer_arm(stream, &stream->deadline, LINGER_NS);
}

static void deadline(void *context)
{
	struct stream *stream = context;

	stream->hvsock->counters.timeouts += stream->phase == OFFERED;
	leave(stream, -ETIMEDOUT);
}

/* ---- bytes; all of these: 0, or -errno that ends the connection */

/* Writes what is left of a packet; some may stay left. */
static void write_left(struct stream *stream)
{
	while (stream->left_bytes && !stream->deaf) {
		ssize_t n = send(stream->fd, stream->left, stream->left_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			/* What that side wrote before is still to be read, so this is not the end. */
			stream->deaf = true;
			break;
		}
		stream->left += n;
		stream->left_bytes -= (size_t)n;
	}
	if (stream->deaf)
		stream->left_bytes = 0;
}

static int take_packet(struct stream *stream, const struct vmbus_packet *packet)
{
	struct hvsock_packet_header header;

	if (packet->type != VMBUS_PACKET_IN_BAND || packet->payload_bytes < sizeof header)
		return -EPROTO;
	memcpy(&header, packet->payload, sizeof header);
	if (header.type != HVSOCK_PACKET_DATA || header.bytes > HVSOCK_BYTES_MAX ||
	    header.bytes > packet->payload_bytes - sizeof header)
		return -EPROTO;
	if (header.bytes == 0) {
		stream->guest_ended = true;
		if (stream->fd >= 0)
			(void)shutdown(stream->fd, SHUT_WR);	/* fails when the other end is gone; then it knows */
		return 0;
	}
	stream->hvsock->counters.bytes_received += header.bytes;
	stream->left = packet->payload + sizeof header;		/* in place until the next read */
	stream->left_bytes = header.bytes;
	return 0;
}

static int from_guest(struct stream *stream)
{
	struct vmbus_packet packet;
	int r;

	for (unsigned i = 0; i < BATCH; i++) {
		write_left(stream);
		if (stream->left_bytes || stream->guest_ended)
			return 0;
		r = vmbus_channel_read(stream->channel, &packet);
		if (r == 0)
			return 0;
		if (r > 0)
			r = take_packet(stream, &packet);
		if (r < 0)
			return r;
	}
	timer_arm(stream, &stream->again, 0);
	return 0;
}

static int send_packet(struct stream *stream, size_t bytes)
{
	struct hvsock_packet_header header = { HVSOCK_PACKET_DATA, (uint32_t)bytes };
	const struct iovec parts[] = { { &header, sizeof header }, { stream->hvsock->buffer, bytes } };

	return vmbus_channel_send(stream->channel, VMBUS_PACKET_IN_BAND, 0, 0, parts, bytes ? 2 : 1);
}

/* Bytes that the next packet may carry; less than room_min: none now. */
static size_t bytes_max(const struct stream *stream)
{
	const size_t room = vmbus_channel_room(stream->channel);
	size_t bytes;

	if (room < PACKET_ROOM(stream->room_min) + END_ROOM)
		return 0;
	bytes = (room - PACKET_ROOM(0u) - END_ROOM) & ~(size_t)(VMBUS_RING_ALIGN - 1);
	return bytes < HVSOCK_BYTES_MAX ? bytes : HVSOCK_BYTES_MAX;
}

static int send_end(struct stream *stream)
{
	int r = send_packet(stream, 0);

	stream->full = r == -EAGAIN;		/* only when the guest took room back; ready comes */
	stream->end_sent = r == 0;
	return stream->full ? 0 : r;
}

static int to_guest(struct stream *stream)
{
	struct hvsock *hvsock = stream->hvsock;

	for (unsigned i = 0; i < BATCH && !stream->ended && !stream->full; i++) {
		size_t max = bytes_max(stream);
		ssize_t n;
		int r;

		if (max == 0) {
			r = vmbus_channel_want_room(stream->channel, PACKET_ROOM(stream->room_min) + END_ROOM);
			stream->full = r == -EAGAIN;
			if (r && r != -EAGAIN)
				return r;
			continue;
		}
		n = recv(stream->fd, hvsock->buffer, max, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n <= 0) {
			stream->ended = true;	/* by an error: as if it had closed, which it has */
			break;
		}
		r = send_packet(stream, (size_t)n);
		if (r)
			return r;		/* -EAGAIN too: the guest takes room back that it gave */
		hvsock->counters.bytes_sent += (uint64_t)n;
	}
	return stream->ended && !stream->end_sent ? send_end(stream) : 0;
}

/* Whether the other end has closed, not only its own direction. */
static bool hung_up(const struct stream *stream)
{
	struct pollfd fd = { .fd = stream->fd };

	return poll(&fd, 1, 0) > 0 && fd.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/*
 * A guest that closes and one that ends its direction look alike. If the program closed too, what it wrote may wait for
 * a guest that will not read it, and that in turn waits for the rescind: such a guest has some time from its last sign.
 */
static void abandon_if_stuck(struct stream *stream)
{
	if (!stream->full || !stream->guest_ended)
		return;
	stream->abandoned |= hung_up(stream);
	if (stream->abandoned)
		timer_arm(stream, &stream->deadline, STALL_NS);
}

static int move_bytes(struct stream *stream)
{
	int r = from_guest(stream);

	if (r == 0 && stream->phase == OPEN)
		r = to_guest(stream);
	return r;
}

/* As leave: the stream may be gone afterwards. */
static void move(struct stream *stream)
{
	struct vmbus_channel *channel = stream->channel;
	int r = move_bytes(stream);

	if (r == 0 && stream->phase == OPEN && stream->end_sent && !stream->guest_ended &&
	    (stream->deaf || hung_up(stream))) {
		stream->deaf = true;
		linger(stream);
		/* Nobody reads: what waited for the descriptor goes, and may have held up the guest's end. */
		r = from_guest(stream);
	}
	vmbus_channel_flush(channel);
	if (r == 0 && !(stream->guest_ended && stream->end_sent) && stream->phase == OPEN) {
		abandon_if_stuck(stream);
		r = watch(stream);
	}
	stream->hvsock->counters.broken += r == -EPROTO;
	if (r || (stream->guest_ended && stream->end_sent))
		leave(stream, r);
}

static void go_on(void *context)
{
	struct stream *stream = context;

	if (stream->phase == OFFERED)
		timer_arm(stream, &stream->deadline, OPEN_TIMEOUT_NS);	/* after a pause */
	else
		move(stream);
}

/* ---- the channel */

static int opened(void *device, struct vmbus_channel *channel)
{
	struct stream *stream = device;
	const size_t room = vmbus_channel_room(channel);
	hvsock_done done = stream->done;
	int r;

	if (stream->phase != OFFERED || room < 2 * PACKET_ROOM(64u))
		return -EINVAL;
	r = watch(stream);
	if (r) {
		leave(stream, r);
		return r;
	}
	timer_cancel(stream, &stream->deadline);
	stream->phase = OPEN;
	stream->channel = channel;
	stream->room_min = ROOM_MIN;
	if (room < 2 * PACKET_ROOM(ROOM_MIN))
		stream->room_min = (room / 2 - PACKET_ROOM(0u)) & ~(size_t)(VMBUS_RING_ALIGN - 1);
	stream->hvsock->counters.opened++;
	stream->done = NULL;
	if (done)
		done(stream->done_context, 0);
	return 0;
}

static void closing(void *device, struct vmbus_channel *channel)
{
	leave(device, -ECONNRESET);
	vmbus_channel_closed(channel);
}

static void ready(void *device, struct vmbus_channel *channel)
{
	struct stream *stream = device;

	if (stream->phase == LEAVING || stream->hvsock->paused)
		return;
	stream->full = false;
	move(stream);
}

static const struct vmbus_device_ops device_ops = { .opened = opened, .closing = closing, .ready = ready };

/* ---- the beginning of a connection */

/* Offers it; the descriptor is the stream's only if this succeeds. */
static int stream_new(struct hvsock *hvsock, const struct vmbus_guid *service, const struct vmbus_guid *instance,
		      bool guest_accepts, int fd, struct stream **ret_stream)
{
	const struct hvsock_user_defined user_defined = {
		.pipe_mode = VMBUS_PIPE_MODE_BYTE, .guest_accepts = guest_accepts, .version_low = HVSOCK_VERSION_RS5,
	};
	struct stream *stream = calloc(1, sizeof *stream);
	int r;

	if (!stream)
		return -ENOMEM;
	stream->hvsock = hvsock;
	stream->fd = fd;
	stream->watch = (struct vsp_watch){ .fd = fd, .ready = go_on, .context = stream };
	stream->deadline = (struct vsp_timer){ .expired = deadline, .context = stream };
	stream->again = (struct vsp_timer){ .expired = go_on, .context = stream };
	stream->device = (struct vmbus_device){
		.offer = { .interface = *service, .instance = *instance, .flags = HVSOCK_OFFER_FLAGS,
			   .packet_bytes_max = PACKET_ROOM(HVSOCK_BYTES_MAX) },
		.ops = &device_ops,
		.context = stream,
	};
	memcpy(stream->device.offer.user_defined, &user_defined, sizeof user_defined);
	r = vmbus_device_add(hvsock->config.server, &stream->device);
	if (r) {
		free(stream);
		return r;
	}
	TAILQ_INSERT_TAIL(&hvsock->streams, stream, link);
	hvsock->counters.sockets++;
	timer_arm(stream, &stream->deadline, OPEN_TIMEOUT_NS);
	*ret_stream = stream;
	return 0;
}

static int connect_to_parent(struct hvsock *hvsock, const struct vmbus_guid *endpoint, const struct vmbus_guid *service)
{
	struct stream *stream;
	int fd = -1, r;

	if (!hvsock->config.connect)
		return -ECONNREFUSED;
	if (hvsock->counters.sockets >= HVSOCK_SOCKETS_MAX)
		return -ENOSPC;
	r = hvsock->config.connect(hvsock->config.context, service, &fd);
	if (r)
		return r;
	r = stream_new(hvsock, service, endpoint, false, fd, &stream);
	if (r)
		(void)close(fd);
	return r;
}

static int guest_connects(void *context, const struct vmbus_guid *endpoint, const struct vmbus_guid *service)
{
	struct hvsock *hvsock = context;
	int r = connect_to_parent(hvsock, endpoint, service);

	hvsock->counters.refused += r != 0;
	return r;
}

int hvsock_connect(struct hvsock *hvsock, const struct vmbus_guid *service, int fd, hvsock_done done, void *context)
{
	struct vmbus_guid instance;
	struct stream *stream;
	int r;

	if (hvsock->paused || !vmbus_server_takes_sockets(hvsock->config.server))
		return -ENOTCONN;
	if (hvsock->counters.sockets >= HVSOCK_SOCKETS_MAX)
		return -ENOSPC;
	if (getrandom(&instance, sizeof instance, 0) != sizeof instance)
		return -errno;
	instance.c = (instance.c & 0x0fff) | 0x4000;		/* a random GUID says that it is one */
	instance.d[0] = (instance.d[0] & 0x3f) | 0x80;
	r = stream_new(hvsock, service, &instance, true, fd, &stream);
	if (r)
		return r;
	stream->done = done;
	stream->done_context = context;
	return 0;
}

void hvsock_cancel(struct hvsock *hvsock, void *context)
{
	struct stream *stream;

	TAILQ_FOREACH(stream, &hvsock->streams, link) {
		if (!stream->done || stream->done_context != context)
			continue;
		stream->done = NULL;
		stream->fd = -1;
		leave(stream, -ECANCELED);
		return;
	}
}

/* ---- all of them */

/* Called by the server, which keeps its devices until the call is over. */
static void guest_gone(void *context)
{
	struct hvsock *hvsock = context;
	struct stream *stream;

	TAILQ_FOREACH(stream, &hvsock->streams, link)
		leave(stream, -ECONNRESET);
}

int hvsock_create(const struct hvsock_config *config, struct hvsock **ret_hvsock)
{
	struct hvsock *hvsock = calloc(1, sizeof *hvsock);

	if (!hvsock)
		return -ENOMEM;
	hvsock->config = *config;
	hvsock->connector = (struct vmbus_connector){ guest_connects, guest_gone, hvsock };
	TAILQ_INIT(&hvsock->streams);
	vmbus_server_set_connector(config->server, &hvsock->connector);
	*ret_hvsock = hvsock;
	return 0;
}

void hvsock_destroy(struct hvsock *hvsock, vsp_callback done, void *context)
{
	struct stream *stream;

	vmbus_server_set_connector(hvsock->config.server, NULL);
	hvsock->counters.sockets++;		/* this call, as one more that is not yet gone */
	hvsock->destroyed = true;
	hvsock->destroy_done = done;
	hvsock->destroy_context = context;
	do {
		TAILQ_FOREACH(stream, &hvsock->streams, link)
			if (stream->phase != LEAVING)
				break;
		if (stream)
			leave(stream, -ECANCELED);
	} while (stream);
	if (--hvsock->counters.sockets)
		return;
	free(hvsock);
	if (done)
		done(context);
}

void hvsock_pause(struct hvsock *hvsock)
{
	struct stream *stream;

	hvsock->paused = true;
	TAILQ_FOREACH(stream, &hvsock->streams, link) {
		unwatch(stream);
		timer_cancel(stream, &stream->deadline);
		timer_cancel(stream, &stream->again);
	}
}

void hvsock_resume(struct hvsock *hvsock)
{
	struct stream *stream;

	hvsock->paused = false;
	TAILQ_FOREACH(stream, &hvsock->streams, link) {
		if (stream->phase == LINGERING)
			timer_arm(stream, &stream->deadline, LINGER_NS);
		stream->full = false;
		if (stream->phase != LEAVING)
			timer_arm(stream, &stream->again, 0);
	}
}

void hvsock_get_counters(const struct hvsock *hvsock, struct hvsock_counters *out)
{
	*out = hvsock->counters;
}
