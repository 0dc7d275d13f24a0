// SPDX-License-Identifier: Apache-2.0
/*
 * Hyper-V sockets under the real server, a guest that does what the input says and programs of the parent that do. A
 * step: an operation and which connection, then its bytes. Bytes of a connection whose rings the guest left alone
 * arrive as they were sent; nothing may be left when the guest is gone.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hvsock/hvsock.h"
#include "unit/vsp/guest.h"
#include "vmbus/hvsock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)
#define CONNECTIONS 4u
#define SECOND      1000000000ull

struct connection {
	uint32_t relid;
	struct guest_channel *channel;
	int program;
	bool lies;			/* the guest broke a rule: what arrives is its own fault */
	uint8_t sent, arrived;		/* guest to parent: the next byte */
	uint8_t written, taken;		/* parent to guest */
};

static struct guest *guest;
static struct hvsock *hvsock;
static struct connection connections[CONNECTIONS];
static int next_program;
static unsigned waiting;
static struct guest_packet packet;

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

static int make_pair(void)
{
	int fds[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
	next_program = fds[0];
	return fds[1];
}

static int connect_program(void *context, const struct vmbus_guid *service, int *ret_fd)
{
	if (service->a % 4 == 3)
		return -1;
	*ret_fd = make_pair();
	return 0;
}

static int waiting_fd = -1;

static void connected(void *context, int error)
{
	waiting--;
	if (error)
		(void)close(waiting_fd);
	waiting_fd = -1;
}

static void drop(struct connection *connection)
{
	if (connection->program >= 0)
		(void)close(connection->program);
	*connection = (struct connection){ .program = -1 };
}

static void forget_all(void)
{
	for (unsigned i = 0; i < CONNECTIONS; i++)
		drop(&connections[i]);
}

static void guest_connects(struct connection *connection, uint8_t what)
{
	const struct vmbus_guid endpoint = HVSOCK_SERVICE_OF_PORT(what % 8u);
	const struct vmbus_tl_connect_message request = {
		.header.type = VMBUS_TL_CONNECT_REQUEST, .endpoint = endpoint, .service = HVSOCK_SERVICE_OF_PORT(what / 8u),
	};

	/* A second one with the same name is refused; the model would take the first for it. */
	if (connection->relid || guest_relid_of_instance(guest, &endpoint, 0))
		return;
	next_program = -1;
	(void)guest_post(guest, &request, sizeof request);
	guest_run(guest);
	drop(connection);
	*connection = (struct connection){
		.program = next_program,
		.relid = next_program >= 0 ? guest_relid_of_instance(guest, &endpoint, 0) : 0,
	};
}

static void parent_connects(struct connection *connection, uint8_t what)
{
	const struct vmbus_guid service = HVSOCK_SERVICE_OF_PORT(1000u + what);
	struct vmbus_offer_message offer;

	if (connection->relid || waiting)
		return;
	waiting_fd = make_pair();
	waiting++;
	if (hvsock_connect(hvsock, &service, waiting_fd, connected, NULL)) {
		waiting--;
		(void)close(waiting_fd);
		(void)close(next_program);
		return;
	}
	guest_run(guest);
	drop(connection);
	memcpy(&offer, guest_last_message(guest, VMBUS_OFFER_CHANNEL)->payload, sizeof offer);
	*connection = (struct connection){ .program = next_program, .relid = offer.relid };
}

static void guest_opens(struct connection *connection, uint8_t what)
{
	if (connection->relid && !connection->channel)
		connection->channel = guest_open(guest, connection->relid, 2 + what % 8);
}

static void guest_closes(struct connection *connection, uint8_t what)
{
	if (connection->channel)
		(void)guest_close(connection->channel);
	if (connection->relid && what % 4)
		guest_release(guest, connection->relid);
	drop(connection);
}

static void guest_sends(struct connection *connection, struct input *in)
{
	static uint8_t payload[8 + 65536];
	struct hvsock_packet_header header = { HVSOCK_PACKET_DATA, next(in) };
	uint8_t lie = next(in), sent = connection->sent;
	size_t bytes;

	header.bytes *= lie % 2 ? 61u : 1u;
	bytes = header.bytes;
	for (size_t i = 0; i < bytes; i++)
		payload[sizeof header + i] = sent++;
	if (lie >= 0xf0) {
		header.type += lie & 1;
		header.bytes += (uint32_t)(lie & 14) << (lie & 4 ? 28 : 0);
		connection->lies = true;
	}
	/* Nothing is taken after the end. */
	connection->lies |= header.bytes == 0;
	memcpy(payload, &header, sizeof header);
	if (connection->channel &&
	    guest_send(connection->channel, VMBUS_PACKET_IN_BAND, 0, 0, payload, sizeof header + bytes) == 0)
		connection->sent = sent;
}

static void guest_takes(struct connection *connection, unsigned count)
{
	struct hvsock_packet_header header;

	if (!connection->channel || connection->lies)
		return;
	while (count-- && guest_receive(connection->channel, &packet)) {
		CHECK(packet.type == VMBUS_PACKET_IN_BAND && packet.payload_bytes >= sizeof header);
		memcpy(&header, guest_packet_payload(&packet), sizeof header);
		CHECK(header.type == HVSOCK_PACKET_DATA && header.bytes <= packet.payload_bytes - sizeof header);
		for (uint32_t i = 0; i < header.bytes; i++)
			CHECK(guest_packet_payload(&packet)[sizeof header + i] == connection->taken++);
	}
}

static void guest_scribbles(struct connection *connection, struct input *in)
{
	uint8_t where = next(in);
	uint32_t value = next(in) * 8u + (where & 0x40 ? 1 : 0);

	if (!connection->channel)
		return;
	connection->lies = true;
	if (where & 0x80)
		*(&guest_out_ring(connection->channel)->write_index + where % 4) = value;
	else
		*(&guest_in_ring(connection->channel)->write_index + where % 4) = value;
}

static void program_writes(struct connection *connection, unsigned bytes)
{
	uint8_t data[4096], written = connection->written;
	ssize_t n;

	bytes = bytes * 16 + 1;
	for (unsigned i = 0; i < bytes; i++)
		data[i] = written++;
	n = connection->program >= 0 ? send(connection->program, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	connection->written = (uint8_t)(connection->written + (n > 0 ? n : 0));
}

static void program_reads(struct connection *connection, unsigned bytes)
{
	uint8_t data[4096];
	ssize_t n = connection->program >= 0 ? recv(connection->program, data, bytes * 16 + 1, MSG_DONTWAIT) : 0;

	for (ssize_t i = 0; i < n && !connection->lies; i++)
		CHECK(data[i] == connection->arrived++);
}

static void program_ends(struct connection *connection, uint8_t what)
{
	if (connection->program < 0)
		return;
	if (what % 2) {
		(void)shutdown(connection->program, SHUT_WR);
	} else {
		(void)close(connection->program);
		connection->program = -1;
	}
}

static void step(struct input *in)
{
	uint8_t operation = next(in);
	struct connection *connection = &connections[operation >> 4 & 3];

	switch (operation & 15) {
	case 0:
		guest_connects(connection, next(in));
		break;
	case 1:
		parent_connects(connection, next(in));
		break;
	case 2:
		guest_opens(connection, next(in));
		break;
	case 3:
		guest_closes(connection, next(in));
		break;
	case 4:
	case 5:
		guest_sends(connection, in);
		break;
	case 6:
		guest_takes(connection, next(in));
		break;
	case 7:
		guest_scribbles(connection, in);
		break;
	case 8:
	case 9:
		program_writes(connection, next(in));
		break;
	case 10:
		program_reads(connection, next(in));
		break;
	case 11:
		program_ends(connection, next(in));
		break;
	case 12:
		guest_advance(guest, next(in) * (SECOND / 16));
		break;
	case 13:
		hvsock_cancel(hvsock, hvsock);		/* of nobody */
		if (connection->channel)
			guest_signal(connection->channel);
		break;
	case 14:
		hvsock_pause(hvsock);
		vmbus_server_pause(guest_server(guest));
		guest_run(guest);
		vmbus_server_resume(guest_server(guest));
		hvsock_resume(hvsock);
		break;
	default:
		if (next(in) % 4)
			break;
		forget_all();
		(void)guest_connect(guest, VMBUS_VERSION_WIN10_V5_3);
		break;
	}
	if (operation & 0x40)
		guest_run(guest);
}

static int lowest_free_descriptor(void)
{
	int fd = dup(0);

	CHECK(fd >= 0);
	(void)close(fd);
	return fd;
}

static void note(void *context)
{
	*(bool *)context = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hvsock_config config = { .connect = connect_program };
	struct input in = { data, size };
	const int descriptors = lowest_free_descriptor();
	bool destroyed = false;

	guest = guest_new(16u << 20, 2);
	config.host = guest_host(guest);
	config.server = guest_server(guest);
	CHECK(hvsock_create(&config, &hvsock) == 0);
	for (unsigned i = 0; i < CONNECTIONS; i++)
		connections[i].program = -1;
	CHECK(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3) == 0);
	while (in.left)
		step(&in);
	forget_all();
	vmbus_server_reset(guest_server(guest), NULL, NULL);
	hvsock_destroy(hvsock, note, &destroyed);
	CHECK(destroyed && waiting == 0);
	guest_run(guest);
	CHECK(guest_doorbells_open(guest) == 0);
	guest_free(guest);
	CHECK(lowest_free_descriptor() == descriptors);
	return 0;
}
