// SPDX-License-Identifier: Apache-2.0
#include "hvsock_rig.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig rig;
static struct guest_packet packet;

static int make_pair(int *out_program)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	*out_program = fds[0];
	return fds[1];
}

static int connect_program(void *context, const struct vmbus_guid *service, int *ret_fd)
{
	assert_ptr_equal(context, &rig);
	rig.connects++;
	rig.service = *service;
	if (rig.connect_error)
		return rig.connect_error;
	*ret_fd = make_pair(&rig.program);
	return 0;
}

int rig_setup(void **state)
{
	struct hvsock_config config = { .connect = connect_program, .context = &rig };

	memset(&rig, 0, sizeof rig);
	rig.guest = guest_new(256u << 20, 2);
	config.host = guest_host(rig.guest);
	config.server = guest_server(rig.guest);
	assert_int_equal(hvsock_create(&config, &rig.hvsock), 0);
	assert_int_equal(guest_connect(rig.guest, VMBUS_VERSION_WIN10_V5_3), 0);
	return 0;
}

static void note_destroyed(void *context)
{
	rig.destroyed = true;
}

int rig_teardown(void **state)
{
	if (rig.hvsock) {
		vmbus_server_reset(guest_server(rig.guest), NULL, NULL);
		hvsock_destroy(rig.hvsock, note_destroyed, NULL);
		assert_true(rig.destroyed);
	}
	guest_run(rig.guest);
	assert_int_equal(guest_doorbells_open(rig.guest), 0);
	guest_free(rig.guest);
	return 0;
}

struct vmbus_guid rig_endpoint(uint32_t port)
{
	return HVSOCK_SERVICE_OF_PORT(port);
}

const struct vmbus_offer_message *rig_offer(uint32_t relid)
{
	static struct vmbus_offer_message offer;
	const struct guest_message *message;

	for (unsigned i = guest_message_count(rig.guest, 0); i--;) {
		message = guest_message(rig.guest, i);
		memcpy(&offer, message->payload, sizeof offer);
		if (message->type == VMBUS_OFFER_CHANNEL && offer.relid == relid)
			return &offer;
	}
	return NULL;
}

uint32_t rig_guest_connects(const struct vmbus_guid *endpoint, uint32_t port)
{
	const struct vmbus_tl_connect_message request = {
		.header.type = VMBUS_TL_CONNECT_REQUEST, .endpoint = *endpoint, .service = HVSOCK_SERVICE_OF_PORT(port),
	};

	assert_int_equal(guest_post(rig.guest, &request, sizeof request), 0);
	guest_run(rig.guest);
	return guest_relid_of_instance(rig.guest, endpoint, 0);
}

static void note_done(void *context, int error)
{
	assert_ptr_equal(context, &rig);
	rig.done_count++;
	rig.done_error = error;
}

uint32_t rig_parent_connects(uint32_t port)
{
	const struct vmbus_guid service = HVSOCK_SERVICE_OF_PORT(port);
	struct vmbus_offer_message offer;
	unsigned before = guest_message_count(rig.guest, VMBUS_OFFER_CHANNEL);

	rig.provider_fd = make_pair(&rig.program);
	rig.done_error = hvsock_connect(rig.hvsock, &service, rig.provider_fd, note_done, &rig);
	guest_run(rig.guest);
	if (rig.done_error)
		return 0;
	assert_int_equal(guest_message_count(rig.guest, VMBUS_OFFER_CHANNEL), before + 1);
	memcpy(&offer, guest_last_message(rig.guest, VMBUS_OFFER_CHANNEL)->payload, sizeof offer);
	return offer.relid;
}

struct guest_channel *rig_connection(unsigned ring_pages)
{
	static uint32_t port = 0x1000;
	const struct vmbus_guid endpoint = rig_endpoint(port++);
	struct guest_channel *channel = guest_open(rig.guest, rig_guest_connects(&endpoint, 1), ring_pages);

	assert_non_null(channel);
	return channel;
}

bool rig_send(struct guest_channel *channel, const void *bytes, size_t count)
{
	static uint8_t payload[65536];
	const struct hvsock_packet_header header = { HVSOCK_PACKET_DATA, (uint32_t)count };

	memcpy(payload, &header, sizeof header);
	memcpy(payload + sizeof header, bytes, count);
	return guest_send(channel, VMBUS_PACKET_IN_BAND, 0, 0, payload, sizeof header + count) == 0;
}

bool rig_send_end(struct guest_channel *channel)
{
	return rig_send(channel, "", 0);
}

size_t rig_receive(struct guest_channel *channel, uint8_t *to, size_t max, unsigned packets, bool *ended)
{
	struct hvsock_packet_header header;
	size_t used = 0;

	while (packets-- && guest_receive(channel, &packet)) {
		assert_int_equal(packet.type, VMBUS_PACKET_IN_BAND);
		assert_int_equal(packet.flags, 0);
		assert_true(packet.payload_bytes >= sizeof header);
		memcpy(&header, guest_packet_payload(&packet), sizeof header);
		assert_int_equal(header.type, HVSOCK_PACKET_DATA);
		assert_true(header.bytes <= HVSOCK_BYTES_MAX && header.bytes <= packet.payload_bytes - sizeof header);
		assert_true(packet.payload_bytes - sizeof header - header.bytes < 8);
		assert_false(*ended);
		assert_true(used + header.bytes <= max);
		*ended = header.bytes == 0;
		memcpy(to + used, guest_packet_payload(&packet) + sizeof header, header.bytes);
		used += header.bytes;
	}
	return used;
}

size_t rig_write(int fd, const void *bytes, size_t count)
{
	ssize_t n = send(fd, bytes, count, MSG_DONTWAIT | MSG_NOSIGNAL);

	return n > 0 ? (size_t)n : 0;
}

size_t rig_read(int fd, void *to, size_t max, bool *ended)
{
	size_t used = 0;
	ssize_t n = 1;

	while (used < max && n > 0) {
		n = recv(fd, (uint8_t *)to + used, max - used, MSG_DONTWAIT);
		if (n > 0)
			used += (size_t)n;
		*ended |= n == 0 || (n < 0 && errno != EAGAIN);
	}
	return used;
}

bool rig_at_end(int fd)
{
	bool ended = false;
	uint8_t byte;

	return rig_read(fd, &byte, 1, &ended) == 0 && ended;
}

struct hvsock_counters rig_counters(void)
{
	struct hvsock_counters now;

	hvsock_get_counters(rig.hvsock, &now);
	return now;
}

uint32_t rig_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}
