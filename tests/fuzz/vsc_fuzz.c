// SPDX-License-Identifier: Apache-2.0
/*
 * Clients against a host that lies: a small host answers the bus's messages well enough for channels to open, then the
 * input says what it writes into rings and receive buffer, and which answers it spoils. Nothing outside of the client's own
 * memory may be touched, and every wait has to end.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ic_client.h"
#include "net_client.h"
#include "scsi_client.h"

#define RING_PAGES  2u
#define RING_BYTES  ((RING_PAGES - 1) * VSC_PAGE)
#define QUEUE       32u
#define ROUNDS_MAX  12u
#define RELID       5u
#define RECEIVE_ID  0xcafeu

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static struct {
	const uint8_t *at;
	size_t left;
} input;

static uint8_t rings[2 * RING_PAGES][VSC_PAGE] __attribute__((aligned(4096)));
static uint8_t receive_buffer[4 * VSC_PAGE] __attribute__((aligned(4096)));
static uint8_t send_buffer[8 * VSC_PAGE] __attribute__((aligned(4096)));
static uint8_t control[VSC_PAGE] __attribute__((aligned(4096)));
static uint8_t packet[VSC_PAGE] __attribute__((aligned(4096)));
static struct vsc_bus_pages pages __attribute__((aligned(4096)));
static uint8_t messages[QUEUE][VMBUS_MESSAGE_BYTES_MAX];
static unsigned message_first, message_end;
static struct vmbus_guid interface;
static uint32_t write_index;
static uint64_t asked;			/* transaction of the client's last packet */
static volatile uint8_t sink;

static uint8_t take_byte(void)
{
	if (input.left == 0)
		return 0;
	input.left--;
	return *input.at++;
}

static uint32_t take_word(void)
{
	uint32_t value = take_byte();

	/* Small ones are the interesting ones. */
	if (value < 0xf0)
		return value;
	for (unsigned i = 0; i < 3; i++)
		value = value << 8 | take_byte();
	return value;
}

static void take_bytes(void *to, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)to)[i] = take_byte();
}

/* ---- the bus's messages */

static void answer(const void *message, size_t bytes)
{
	uint8_t *to = messages[message_end % QUEUE];
	uint8_t spoil = take_byte();

	if (message_end - message_first == QUEUE || spoil == 0xff)
		return;
	memset(to, 0, VMBUS_MESSAGE_BYTES_MAX);
	memcpy(to, message, bytes);
	if (spoil > 0xf0)
		to[take_byte() % bytes] ^= take_byte();
	message_end++;
}

static void answer_offers(void)
{
	const struct vmbus_offer_message offer = {
		.header.type = VMBUS_OFFER_CHANNEL, .interface = interface, .relid = RELID, .connection_id = 0x2005,
	};
	const struct vmbus_message_header end = { .type = VMBUS_ALL_OFFERS_DELIVERED };

	answer(&offer, sizeof offer);
	answer(&end, sizeof end);
}

static int post_message(void *context, uint32_t connection, const void *payload, uint32_t bytes)
{
	uint32_t words[6] = { 0 };

	memcpy(words, payload, bytes < sizeof words ? bytes : sizeof words);
	switch (words[0]) {
	case VMBUS_INITIATE_CONTACT:
		answer(&(struct vmbus_version_response_message){ .header.type = VMBUS_VERSION_RESPONSE, .supported = 1 },
		       sizeof(struct vmbus_version_response_message));
		break;
	case VMBUS_REQUEST_OFFERS:
		answer_offers();
		break;
	case VMBUS_GPADL_HEADER:
		answer(&(struct vmbus_gpadl_created_message){ .header.type = VMBUS_GPADL_CREATED, .gpadl = words[3] },
		       sizeof(struct vmbus_gpadl_created_message));
		break;
	case VMBUS_OPEN_CHANNEL:
		answer(&(struct vmbus_open_result_message){ .header.type = VMBUS_OPEN_CHANNEL_RESULT, .relid = words[2] },
		       sizeof(struct vmbus_open_result_message));
		write_index = 0;
		break;
	case VMBUS_GPADL_TEARDOWN:
		answer(&(struct vmbus_gpadl_torndown_message){ .header.type = VMBUS_GPADL_TORNDOWN, .gpadl = words[3] },
		       sizeof(struct vmbus_gpadl_torndown_message));
		break;
	default:
		break;
	}
	return VSC_OK;
}

static bool take_message(void *context, uint8_t message[VMBUS_MESSAGE_BYTES_MAX])
{
	if (message_first == message_end)
		return false;
	memcpy(message, messages[message_first++ % QUEUE], VMBUS_MESSAGE_BYTES_MAX);
	return true;
}

/* ---- the host's ring */

static struct vmbus_ring_page *ring_page(void)
{
	return (struct vmbus_ring_page *)(void *)rings[RING_PAGES];
}

static void ring_put(const void *from, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		rings[RING_PAGES + 1][(write_index + i) % RING_BYTES] = ((const uint8_t *)from)[i];
	write_index = (write_index + bytes) % RING_BYTES;
}

/* A request of a component's that is nearly in order. */
static void make_ic_request(uint8_t payload[256])
{
	const struct ic_version versions[] = { { 3, 0 }, { 3, 2 } };
	const struct ic_negotiate lists = { 1, 1, 0 };
	struct ic_header header = { .pipe_type = IC_PIPE_DATA, .message_type = take_byte() % 5, .body_bytes = 16,
				    .flags = IC_FLAG_TRANSACTION | IC_FLAG_REQUEST };

	memcpy(payload, &header, sizeof header);
	memcpy(payload + sizeof header, &lists, sizeof lists);
	memcpy(payload + sizeof header + sizeof lists, versions, sizeof versions);
}

/* A packet that is in order on the outside. */
static void put_packet(uint16_t type, uint64_t transaction, const void *extra, uint32_t extra_bytes)
{
	uint8_t payload[256] = { 0 };
	uint32_t bytes = take_byte() / 8 * 8;
	bool request = type == VMBUS_PACKET_IN_BAND && bytes >= 48;
	const struct vmbus_packet_descriptor descriptor = {
		type, (uint16_t)((16 + extra_bytes) / 8), (uint16_t)((16 + extra_bytes + bytes) / 8), take_byte() & 1, transaction,
	};

	if (request) {
		make_ic_request(payload);
		payload[take_byte()] ^= take_byte();
	} else {
		take_bytes(payload, bytes);
	}
	ring_put(&descriptor, sizeof descriptor);
	ring_put(extra, extra_bytes);
	ring_put(payload, bytes);
	ring_put(&(struct vmbus_packet_trailer){ 0, 0 }, sizeof(struct vmbus_packet_trailer));
	ring_page()->write_index = write_index;
}

static void put_transfer(void)
{
	struct {
		uint16_t set_id;
		uint8_t rsvd[2];
		uint32_t range_count;
		struct vmbus_transfer_page_range range[2];
	} extra = { take_byte() & 7 ? RECEIVE_ID : 0, { 0 }, 1 + (take_byte() & 1), { { 0, 0 } } };
	const struct rndis_packet frame = {
		.header = { RNDIS_PACKET, 60 }, .data_offset = sizeof frame - RNDIS_OFFSET_BASE, .data_bytes = take_byte() & 31,
	};

	if (take_byte() == 0xff)
		extra.range_count = take_word();
	for (unsigned i = 0; i < 2; i++)
		extra.range[i] = (struct vmbus_transfer_page_range){ take_word(), take_word() };
	memcpy(receive_buffer + extra.range[0].offset % VSC_PAGE, &frame, sizeof frame);
	if (take_byte() & 1)
		take_bytes(receive_buffer + extra.range[0].offset % VSC_PAGE, take_byte());
	put_packet(VMBUS_PACKET_TRANSFER_PAGES, take_byte(), &extra, sizeof extra);
}

static void lie(void)
{
	switch (take_byte() % 8) {
	case 0:
	case 1:
	case 2:
		put_packet(VMBUS_PACKET_COMPLETION, asked, NULL, 0);
		break;
	case 3:
		put_packet(VMBUS_PACKET_COMPLETION, take_word(), NULL, 0);
		break;
	case 4:
		put_packet(VMBUS_PACKET_IN_BAND, take_word(), NULL, 0);
		break;
	case 5:
		put_transfer();
		break;
	case 6:
		ring_page()->write_index = take_word() * (take_byte() & 1 ? 8 : 1);
		ring_page()->pending_send_bytes = take_word();
		((struct vmbus_ring_page *)(void *)rings[0])->read_index = take_word() * 8;
		break;
	default:
		take_bytes(rings[RING_PAGES + 1] + take_byte() * 8, take_byte());
		if (message_end - message_first < QUEUE)
			take_bytes(messages[message_end++ % QUEUE], take_byte() % VMBUS_MESSAGE_BYTES_MAX);
		break;
	}
}

/* A host that reads at once: there is always room. */
static void signal_event(void *context, uint32_t connection)
{
	struct vmbus_ring_page *out = (struct vmbus_ring_page *)(void *)rings[0];
	uint32_t at = (out->read_index + (uint32_t)offsetof(struct vmbus_packet_descriptor, transaction)) % RING_BYTES / 8 * 8;

	memcpy(&asked, rings[1] + at, sizeof asked);
	out->read_index = out->write_index;
}

static uint64_t gpa(void *context, const void *memory)
{
	return (uintptr_t)memory;
}

static bool wait(void *context, unsigned round)
{
	if (input.left == 0 || round >= ROUNDS_MAX)
		return false;
	lie();
	return true;
}

static const struct vsc_platform platform = { NULL, post_message, signal_event, take_message, gpa, wait };

/* ---- the clients */

static void on_frame(void *context, const uint8_t *frame, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		sink ^= frame[i];
}

/* By a whole initialization, or as if there had been one, which few inputs get through. */
static void try_scsi(struct vsc_bus *bus, const struct vsc_offer *offer)
{
	struct vsc_scsi scsi = { .version = STORVSC_VERSION_WIN10, .transfer_max = 1u << 20 };
	struct vsc_scsi_result result;
	struct vsc_disk disk = { .scsi = &scsi, .scratch = control, .blocks = 1000, .block_bytes = 512 };
	uint8_t inquiry[VSC_INQUIRY_BYTES];
	int r;

	if (take_byte() & 1)
		r = vsc_scsi_open(&scsi, bus, offer, rings, RING_PAGES);
	else
		r = vsc_channel_open(&scsi.channel, bus, offer, rings, RING_PAGES, 0);
	if (r)
		return;
	if (take_byte() & 1)
		(void)vsc_disk_open(&disk, &scsi, 0, control);
	(void)vsc_disk_inquiry(&disk, inquiry);
	if (disk.block_bytes && disk.block_bytes <= sizeof receive_buffer)
		(void)vsc_disk_read(&disk, 1, 1, receive_buffer);
	while (input.left && vsc_scsi_reap(&scsi, &result) >= 0)
		lie();
	(void)vsc_scsi_close(&scsi);
}

static void try_nic(struct vsc_bus *bus, const struct vsc_offer *offer)
{
	const struct vsc_nic_memory memory = {
		.rings = rings, .ring_pages = RING_PAGES, .receive = receive_buffer, .receive_bytes = sizeof receive_buffer,
		.send = send_buffer, .send_bytes = sizeof send_buffer, .control = control, .packet = packet,
		.packet_bytes = sizeof packet,
	};
	static struct vsc_nic nic;
	uint32_t value;
	int r;

	nic = (struct vsc_nic){ .memory = memory, .receiver = on_frame, .section_bytes = 6144, .section_count = 5 };
	if (take_byte() & 1)
		r = vsc_nic_open(&nic, bus, offer, &memory, on_frame, NULL);
	else
		r = vsc_channel_open(&nic.channel, bus, offer, rings, RING_PAGES, 0);
	if (r)
		return;
	(void)vsc_nic_query(&nic, OID_GEN_LINK_SPEED, &value, sizeof value);
	(void)vsc_nic_set(&nic, OID_GEN_CURRENT_PACKET_FILTER, &value, sizeof value);
	while (input.left && vsc_nic_poll(&nic) == VSC_OK) {
		lie();
		(void)vsc_nic_send(&nic, control, 64 + take_byte());
	}
	(void)vsc_nic_close(&nic);
}

static void try_ic(struct vsc_bus *bus, const struct vsc_offer *offer)
{
	struct vsc_ic ic;

	if (vsc_ic_open(&ic, bus, offer, rings, RING_PAGES, packet))
		return;
	while (input.left && vsc_ic_poll(&ic) == VSC_OK)
		lie();
	(void)vsc_ic_close(&ic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct {
		const struct vmbus_guid *interface;
		void (*run)(struct vsc_bus *bus, const struct vsc_offer *offer);
	} clients[] = {
		{ &vsc_scsi_interface, try_scsi }, { &vsc_nic_interface, try_nic }, { &vsc_heartbeat_interface, try_ic },
	};
	struct vsc_offer offers[4];
	struct vsc_bus bus;
	const struct vsc_offer *offer;
	unsigned which;

	input.at = data;
	input.left = bytes;
	memset(rings, 0, sizeof rings);
	memset(receive_buffer, 0, sizeof receive_buffer);
	message_first = message_end = 0;
	which = take_byte() % 3;
	interface = *clients[which].interface;
	vsc_bus_init(&bus, &platform, &pages, offers, 4);
	if (vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0))
		return 0;
	offer = vsc_bus_find(&bus, &interface, 0);
	if (offer)
		clients[which].run(&bus, offer);
	return 0;
}
