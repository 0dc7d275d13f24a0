// SPDX-License-Identifier: Apache-2.0
/*
 * A VMBus server under a guest that posts what the input says, with devices that open, close, lag and come and go as it
 * says. A step: an operation, then its bytes. Nothing may be left when the guest is gone.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmbus/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)
#define RAM_PAGES 32u
#define DEVICES   2u
#define SOCKETS   4u
#define LATE_MAX  32u
#define TIMERS    3u

static _Alignas(4096) uint8_t ram[RAM_PAGES][4096];

struct fuzz_device {
	struct vmbus_device device;
	struct vmbus_channel *late[LATE_MAX];
	unsigned late_count;
	bool lags;
};

static struct fuzz_device devices[DEVICES];
static struct fuzz_device sockets[SOCKETS];		/* those with an id are offered */
static struct vmbus_server *server_of_sockets;
static struct {
	uint32_t connection;
	vsp_callback rang;
	void *context;
} doorbells[64];
static struct vsp_timer *timers[TIMERS];
static uint64_t now;
static int post_error;
static unsigned closed_resets;

static void *memory(void *host, uint64_t gpa, uint64_t bytes)
{
	return gpa < sizeof ram && bytes <= sizeof ram - gpa ? (uint8_t *)ram + gpa : NULL;
}

static int post_message(void *host, uint32_t vp, uint8_t sint, const void *payload, size_t bytes)
{
	CHECK(vp < 2 && sint == VMBUS_SINT && bytes >= sizeof(struct vmbus_message_header) && bytes <= 240);
	return post_error;
}

static int signal_event(void *host, uint32_t vp, uint8_t sint, uint16_t flag)
{
	CHECK(vp < 2 && sint == VMBUS_SINT && flag >= 1 && flag <= VMBUS_RELID_MAX);
	return 0;
}

static int doorbell_open(void *host, uint32_t connection_id, vsp_callback rang, void *context)
{
	for (unsigned i = 0; i < sizeof doorbells / sizeof doorbells[0]; i++) {
		CHECK(doorbells[i].connection != connection_id);
		if (doorbells[i].connection)
			continue;
		doorbells[i].connection = connection_id;
		doorbells[i].rang = rang;
		doorbells[i].context = context;
		return 0;
	}
	return -ENOMEM;
}

static void doorbell_close(void *host, uint32_t connection_id)
{
	for (unsigned i = 0; i < sizeof doorbells / sizeof doorbells[0]; i++) {
		if (doorbells[i].connection != connection_id)
			continue;
		doorbells[i].connection = 0;
		return;
	}
	abort();
}

static void timer_cancel(void *host, struct vsp_timer *timer)
{
	for (unsigned i = 0; i < TIMERS; i++)
		if (timers[i] == timer)
			timers[i] = NULL;
}

static void timer_arm(void *host, struct vsp_timer *timer, uint64_t after_ns)
{
	timer_cancel(host, timer);
	for (unsigned i = 0; i < TIMERS; i++) {
		if (timers[i])
			continue;
		timers[i] = timer;
		return;
	}
	abort();
}

static uint64_t reference_time(void *host)
{
	return now;
}

static uint64_t monotonic_ns(void *host)
{
	return 1 + now * 100;
}

static void log_line(void *host, const char *text)
{
	CHECK(strlen(text) < 200);
}

static const struct vsp_host_ops host_ops = {
	.memory = memory, .post_message = post_message, .signal_event = signal_event, .doorbell_open = doorbell_open,
	.doorbell_close = doorbell_close, .timer_arm = timer_arm, .timer_cancel = timer_cancel,
	.reference_time = reference_time, .wall_time = reference_time, .monotonic_ns = monotonic_ns,
	.log = log_line,
};
static const struct vsp_host host = { .ops = &host_ops };

/* Timers in any order, whatever they were armed for: a second passes with each. */
static void tick(void)
{
	for (unsigned i = 0; i < TIMERS; i++) {
		struct vsp_timer *timer = timers[i];

		timers[i] = NULL;
		now += 10000000;
		if (timer)
			timer->expired(timer->context);
	}
}

static int opened(void *context, struct vmbus_channel *channel)
{
	vmbus_channel_set_context(channel, context);
	return 0;
}

static void closing(void *context, struct vmbus_channel *channel)
{
	struct fuzz_device *device = context;

	CHECK(vmbus_channel_context(channel) == device);
	if (device->lags && device->late_count < LATE_MAX)
		device->late[device->late_count++] = channel;
	else
		vmbus_channel_closed(channel);
}

static void catch_up(struct fuzz_device *device)
{
	while (device->late_count)
		vmbus_channel_closed(device->late[--device->late_count]);
}

static void ready(void *context, struct vmbus_channel *channel)
{
	struct fuzz_device *device = context;
	struct vmbus_packet packet;
	struct vmbus_gpa_range range;

	while (vmbus_channel_read(channel, &packet) > 0) {
		uint64_t bytes = 0;

		for (unsigned i = 0; i < packet.range.iov_count; i++) {
			bytes += packet.range.iov[i].iov_len;
			CHECK(packet.range.iov[i].iov_len <= sizeof ram);
		}
		CHECK(bytes == packet.range.bytes);
		if (packet.transaction & 1)
			(void)vmbus_device_offer_subchannels(&device->device, 1 + (packet.transaction >> 1 & 1));
		if (packet.transaction & 4 &&
		    vmbus_channel_gpadl_get(channel, packet.transaction >> 8 & 15, &range) == 0)
			CHECK(range.iov_count > 0 && range.bytes > 0);
		if (packet.transaction & 8)
			vmbus_channel_gpadl_put(channel, packet.transaction >> 8 & 15);
		if (packet.wants_completion)
			(void)vmbus_channel_complete(channel, packet.transaction, packet.payload, packet.payload_bytes);
	}
}

static const struct vmbus_device_ops device_ops = { .opened = opened, .closing = closing, .ready = ready };

static void removed(void *context)
{
	CHECK(((struct fuzz_device *)context)->late_count == 0);
}

static void reset_done(void *context)
{
	closed_resets++;
}

/* ---- sockets: gone when either side closes, so from callbacks */

static void socket_gone(void *context)
{
	memset(context, 0, sizeof(struct fuzz_device));
}

static void socket_closing(void *context, struct vmbus_channel *channel)
{
	struct fuzz_device *socket = context;

	vmbus_device_remove(server_of_sockets, &socket->device, socket_gone, socket);
	CHECK(socket->device.server_data);
	vmbus_channel_closed(channel);
}

static void socket_ready(void *context, struct vmbus_channel *channel)
{
	struct fuzz_device *socket = context;
	struct vmbus_packet packet;
	int r;

	while ((r = vmbus_channel_read(channel, &packet)) > 0) {
		if (packet.transaction & 1)
			vmbus_device_remove(server_of_sockets, &socket->device, socket_gone, socket);
		if (vmbus_channel_want_room(channel, packet.transaction >> 1) == 0)
			CHECK(vmbus_channel_room(channel) >= packet.transaction >> 1 || packet.transaction >> 1 > 65536);
	}
	if (r < 0)
		vmbus_device_remove(server_of_sockets, &socket->device, socket_gone, socket);
}

static const struct vmbus_device_ops socket_ops = {
	.opened = opened, .closing = socket_closing, .ready = socket_ready,
};

static int socket_connect(void *context, const struct vmbus_guid *endpoint, const struct vmbus_guid *service)
{
	struct fuzz_device *socket = sockets;
	int r;

	while (socket < sockets + SOCKETS && socket->device.ops)
		socket++;
	if (socket == sockets + SOCKETS)
		return -ENOSPC;
	socket->device = (struct vmbus_device){
		.offer = { .interface = *service, .instance = *endpoint, .flags = VMBUS_OFFER_TLNPI_PROVIDER },
		.ops = &socket_ops,
		.context = socket,
	};
	r = vmbus_device_add(server_of_sockets, &socket->device);
	if (r)
		socket_gone(socket);
	return r;
}

static void sockets_reset(void *context)
{
	for (unsigned i = 0; i < SOCKETS; i++)
		if (sockets[i].device.ops)
			vmbus_device_remove(server_of_sockets, &sockets[i].device, socket_gone, &sockets[i]);
}

static const struct vmbus_connector connector = { socket_connect, sockets_reset, NULL };

/* What a guest's message has at most, so that a few bytes of input make a whole one. */
static size_t message_bytes(uint8_t type)
{
	switch (type) {
	case VMBUS_OPEN_CHANNEL:
		return sizeof(struct vmbus_open_message);
	case VMBUS_GPADL_HEADER:
	case VMBUS_GPADL_BODY:
		return 60;
	default:
		return 40;
	}
}

struct input {
	const uint8_t *at;
	size_t left;
};

static uint8_t next(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->at++;
}

static void post(struct vmbus_server *server, struct input *in)
{
	uint8_t message[240] = { 0 }, type = next(in), given = next(in) % 32;
	size_t bytes = message_bytes(type);
	uint8_t *copy;

	message[0] = type;
	/* Each byte of input is the low byte of a word: small numbers are what matters. */
	for (unsigned i = 0; i < given && 8 + 4 * i < sizeof message; i++)
		message[8 + 4 * i] = next(in);
	if (type == VMBUS_INITIATE_CONTACT && message[8] < 4) {
		const uint32_t version = VMBUS_VERSION_WIN10_V5_3;

		memcpy(message + 8, &version, sizeof version);
		message[16] = VMBUS_SINT;
	}
	if (type == VMBUS_GPADL_HEADER) {
		const uint32_t lengths = (message[18] ? message[18] : 1u) << 16 | (message[16] & 0xf8u);
		const uint32_t range = message[20] * 0x1000u;

		memcpy(message + 16, &lengths, sizeof lengths);
		memcpy(message + 20, &range, sizeof range);
	}
	if (type & 0x80) {			/* raw */
		bytes = given;
		for (unsigned i = 0; i < bytes; i++)
			message[i] = next(in);
	}
	copy = malloc(bytes + 1);		/* its end is watched */
	CHECK(copy);
	memcpy(copy, message, bytes);
	(void)vmbus_server_message(server, copy, bytes);
	free(copy);
}

static void post_words(struct vmbus_server *server, const uint32_t *words, size_t bytes)
{
	(void)vmbus_server_message(server, words, bytes);
}

/* What a driver does: rings of two pages each in RAM page 8 * (relid % 4) and on, zeroed, and the channel is open. */
static void open_channel(struct vmbus_server *server, uint32_t relid)
{
	const uint32_t page = 8 * (relid % 4);
	const uint32_t gpadl[15] = {
		VMBUS_GPADL_HEADER, 0, relid, relid, 1u << 16 | 40, 4 * 4096, 0,
		page, 0, page + 1, 0, page + 2, 0, page + 3, 0,
	};
	const uint32_t open[37] = { VMBUS_OPEN_CHANNEL, 0, relid, relid, relid, relid % 2, 2 };

	memset(ram[page], 0, 4 * sizeof ram[0]);
	post_words(server, gpadl, sizeof gpadl);
	post_words(server, open, sizeof open);
}

/* A packet at the guest's write index, with the input's bytes behind the descriptor. */
static void send(struct input *in, uint8_t which)
{
	uint8_t *page = ram[8 * (which % 4)];
	uint32_t write;
	uint16_t descriptor[8] = { 0 };
	unsigned length = next(in) % 8;

	memcpy(&write, page, sizeof write);
	if (write > 4096 - 96)
		return;
	descriptor[0] = which & 4 ? VMBUS_PACKET_GPA_DIRECT : VMBUS_PACKET_IN_BAND;
	descriptor[1] = (uint16_t)(2 + next(in) % 8);
	descriptor[2] = (uint16_t)(2 + length);
	descriptor[3] = 1;
	descriptor[4] = (uint16_t)(next(in) | next(in) << 8);
	memcpy(page + 4096 + write, descriptor, sizeof descriptor);
	for (unsigned i = 0; i < 2 * length; i++)
		page[4096 + write + 16 + 4 * i] = next(in);
	write += 24 + 8 * length;
	memcpy(page, &write, sizeof write);
}

/* A message as it came from a real guest: a length, the bytes. */
static void post_whole(struct vmbus_server *server, struct input *in)
{
	const size_t bytes = next(in);
	uint8_t *copy = malloc(bytes + 1);	/* its end is watched */

	CHECK(copy);
	for (size_t i = 0; i < bytes; i++)
		copy[i] = next(in);
	(void)vmbus_server_message(server, copy, bytes);
	free(copy);
}

/* The same of a packet: a length in units of 8 bytes, the bytes. Goes where `send` puts its own. */
static void send_whole(struct input *in, uint8_t which)
{
	uint8_t *page = ram[8 * (which % 4)];
	const uint32_t bytes = next(in) * 8u;
	uint32_t write;
	bool fits;

	memcpy(&write, page, sizeof write);
	fits = write < 4096 && bytes + 8 < 4096 - write;
	for (uint32_t i = 0; i < bytes; i++) {
		const uint8_t byte = next(in);

		if (fits)
			page[4096 + write + i] = byte;
	}
	if (!fits)
		return;
	write += bytes + 8;
	memcpy(page, &write, sizeof write);
}

static void scribble(struct input *in)
{
	uint8_t *page = ram[next(in) % RAM_PAGES];
	unsigned offset = (unsigned)(next(in) << 8 | next(in)) % 4096, bytes = next(in) % 32;

	for (unsigned i = 0; i < bytes && offset + i < 4096; i++)
		page[offset + i] = next(in);
}

static void ring(uint8_t which)
{
	unsigned i = which % (sizeof doorbells / sizeof doorbells[0]);

	if (doorbells[i].connection)
		doorbells[i].rang(doorbells[i].context);
}

static void connect_guest(struct vmbus_server *server)
{
	const struct vmbus_contact_message contact = {
		.header.type = VMBUS_INITIATE_CONTACT, .version = VMBUS_VERSION_WIN10_V5_3, .sint = VMBUS_SINT,
	};
	const struct vmbus_message_header request = { .type = VMBUS_REQUEST_OFFERS };

	(void)vmbus_server_message(server, &contact, sizeof contact);
	(void)vmbus_server_message(server, &request, sizeof request);
}

static void come_or_go(struct vmbus_server *server, struct fuzz_device *device)
{
	if (device->device.server_data)
		vmbus_device_remove(server, &device->device, removed, device);
	else
		(void)vmbus_device_add(server, &device->device);
}

static void step(struct vmbus_server *server, struct input *in)
{
	uint8_t operation = next(in);
	struct fuzz_device *device = &devices[operation >> 4 & 1];

	switch (operation & 15) {
	case 3:
		send_whole(in, operation >> 4);
		ring(next(in));
		break;
	case 4:
		post_whole(server, in);
		break;
	case 5:
		open_channel(server, 1 + (operation >> 4) % 6);
		break;
	case 6:
		send(in, operation >> 4);
		ring(next(in));
		break;
	case 7:
		connect_guest(server);
		break;
	case 8:
		scribble(in);
		break;
	case 9:
		ring(next(in));
		break;
	case 10:
		device->lags = !device->lags;
		if (!device->lags)
			catch_up(device);
		break;
	case 11:
		come_or_go(server, device);
		break;
	case 12:
		tick();
		break;
	case 13:
		post_error = operation & 32 ? -EAGAIN : 0;
		break;
	case 14:
		vmbus_server_reset(server, reset_done, NULL);
		break;
	case 15:
		vmbus_server_pause(server);
		vmbus_server_resume(server);
		break;
	default:
		post(server, in);
		break;
	}
}

static void start(struct vmbus_server *server)
{
	memset(ram, 0, sizeof ram);
	memset(devices, 0, sizeof devices);
	memset(sockets, 0, sizeof sockets);
	server_of_sockets = server;
	vmbus_server_set_connector(server, &connector);
	post_error = 0;
	for (unsigned i = 0; i < DEVICES; i++) {
		devices[i].device.ops = &device_ops;
		devices[i].device.context = &devices[i];
		devices[i].device.offer.instance.a = i + 1;
		CHECK(vmbus_device_add(server, &devices[i].device) == 0);
	}
}

static void finish(struct vmbus_server *server)
{
	struct vmbus_server_counters counters;
	unsigned before;

	for (unsigned i = 0; i < DEVICES; i++) {
		devices[i].lags = false;
		catch_up(&devices[i]);
	}
	before = closed_resets;
	vmbus_server_reset(server, reset_done, NULL);
	CHECK(closed_resets == before + 1);
	vmbus_server_get_counters(server, &counters);
	CHECK(counters.gpadl_count == 0 && counters.gpadl_bytes == 0 && counters.queued == 0);
	for (unsigned i = 0; i < sizeof doorbells / sizeof doorbells[0]; i++)
		CHECK(doorbells[i].connection == 0);
	for (unsigned i = 0; i < SOCKETS; i++)
		CHECK(!sockets[i].device.ops);
	vmbus_server_free(server);
	for (unsigned i = 0; i < TIMERS; i++)
		CHECK(!timers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct vmbus_server_config config = {
		.host = &host, .vp_count = 2, .gpadl_max = 16, .gpadl_bytes_max = 1u << 20,
	};
	struct vmbus_server *server = vmbus_server_new(&config);
	struct input in = { data, size };

	CHECK(server);
	start(server);
	while (in.left)
		step(server, &in);
	finish(server);
	return 0;
}
