// SPDX-License-Identifier: Apache-2.0
/* What a host that asks for a trace gets: each record whole, in order, and nothing when it does not ask. */
#include "cmocka_all.h"

#include <errno.h>

#include "guest.h"
#include "vmbus/vmbus_trace.h"
#include "vmbus_echo.h"

#define CATCH(what, at) \
	do { \
		assert_true(sizeof(what) <= record_bytes - (at)); \
		memcpy(&(what), record + (at), sizeof(what)); \
	} while (0)

static struct guest *guest;
static struct vsp_host host;
static struct vsp_host_ops ops;
static struct vmbus_server *server;
static struct echo echo;

static uint8_t trace[1 << 20];
static size_t trace_bytes;
static const uint8_t *record;
static size_t record_bytes;

static void take(void *context, const struct iovec *pieces, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_true(pieces[i].iov_len <= sizeof trace - trace_bytes);
		memcpy(trace + trace_bytes, pieces[i].iov_base, pieces[i].iov_len);
		trace_bytes += pieces[i].iov_len;
	}
}

/* The model guest drives a server of its own; the host's functions are copied, so that one of them can be added. */
static int setup(void **state)
{
	guest = guest_new(16u << 20, 2);
	host = *guest_host(guest);
	ops = *host.ops;
	ops.trace = take;
	host.ops = &ops;
	trace_bytes = 0;
	server = vmbus_server_new(&(struct vmbus_server_config){ .host = &host, .vp_count = 2 });
	assert_non_null(server);
	echo_init(&echo, 1, 1);
	assert_int_equal(vmbus_device_add(server, &echo.device), 0);
	return 0;
}

static int teardown(void **state)
{
	vmbus_server_reset(server, NULL, NULL);
	vmbus_server_free(server);
	guest_free(guest);
	return 0;
}

/* The next record of this kind behind the last one that was found. */
static struct vmbus_trace_record find(enum vmbus_trace_kind kind)
{
	struct vmbus_trace_record header = { 0 };
	const uint8_t *at = record ? record + record_bytes : trace;

	while (at < trace + trace_bytes) {
		assert_true((size_t)(trace + trace_bytes - at) >= sizeof header);
		memcpy(&header, at, sizeof header);
		assert_true(header.bytes >= sizeof header && header.bytes <= (size_t)(trace + trace_bytes - at));
		assert_true(header.time_ns);
		if (header.kind == kind) {
			record = at;
			record_bytes = header.bytes;
			return header;
		}
		at += header.bytes;
	}
	fail_msg("no record of kind %d", kind);
	return header;
}

static void post(const void *message, size_t bytes)
{
	assert_int_equal(vmbus_server_message(server, message, bytes), 0);
}

/* Rings of two pages each from RAM page 16 on. */
static void open_channel(void)
{
	const struct vmbus_contact_message contact = {
		.header.type = VMBUS_INITIATE_CONTACT, .version = VMBUS_VERSION_WIN10_V5_3, .sint = VMBUS_SINT,
	};
	const struct vmbus_message_header request = { .type = VMBUS_REQUEST_OFFERS };
	const uint32_t gpadl[15] = { VMBUS_GPADL_HEADER, 0, 1, 7, 1u << 16 | 40, 4 * 4096, 0, 16, 0, 17, 0, 18, 0, 19, 0 };
	const struct vmbus_open_message open = {
		.header.type = VMBUS_OPEN_CHANNEL, .relid = 1, .ring_gpadl = 7, .downstream_page = 2,
	};

	record = NULL;
	post(&contact, sizeof contact);
	post(&request, sizeof request);
	post(gpadl, sizeof gpadl);
	post(&open, sizeof open);
	assert_int_equal(echo.opened, 1);
}

/* Puts a packet at the beginning of the ring and has the watchdog find it. */
static void send(const void *packet, uint32_t bytes)
{
	struct vmbus_ring_page *ring = guest_ram(guest, 16 * 4096);

	memcpy(guest_ram(guest, 17 * 4096), packet, bytes);
	ring->write_index = bytes + 8;
	guest_ring(guest, VMBUS_CONNECTION_CHANNELS + 1);
	guest_run(guest);
	assert_int_equal(echo.packets, 1);
}

static void a_trace_begins_with_what_it_is(void **state)
{
	struct vmbus_trace_start start;
	struct vmbus_trace_record header;

	record = NULL;
	header = find(VMBUS_TRACE_START);
	CATCH(start, sizeof header);
	assert_ptr_equal(record, trace);
	assert_int_equal(start.magic, VMBUS_TRACE_MAGIC);
	assert_memory_equal(&start.magic, "ucvbustr", 8);
	assert_int_equal(start.version, VMBUS_TRACE_VERSION);
	assert_int_equal(start.vp_count, 2);
}

static void messages_of_both_sides_are_there_in_order(void **state)
{
	static const uint32_t expected[][2] = {
		{ VMBUS_TRACE_MESSAGE_IN, VMBUS_INITIATE_CONTACT }, { VMBUS_TRACE_MESSAGE_OUT, VMBUS_VERSION_RESPONSE },
		{ VMBUS_TRACE_MESSAGE_IN, VMBUS_REQUEST_OFFERS },   { VMBUS_TRACE_MESSAGE_OUT, VMBUS_OFFER_CHANNEL },
		{ VMBUS_TRACE_MESSAGE_IN, VMBUS_GPADL_HEADER },     { VMBUS_TRACE_MESSAGE_OUT, VMBUS_GPADL_CREATED },
		{ VMBUS_TRACE_MESSAGE_IN, VMBUS_OPEN_CHANNEL },     { VMBUS_TRACE_MESSAGE_OUT, VMBUS_OPEN_CHANNEL_RESULT },
	};
	uint32_t type;

	open_channel();
	for (unsigned i = 0; i < COUNT(expected); i++) {
		assert_int_equal(find((enum vmbus_trace_kind)expected[i][0]).relid, 0);
		CATCH(type, sizeof(struct vmbus_trace_record));
		assert_int_equal(type, expected[i][1]);
	}
	assert_int_equal(record_bytes, sizeof(struct vmbus_trace_record) + sizeof(struct vmbus_open_result_message));
}

/* It is handed in again. */
static void a_message_that_is_not_taken_is_not_there(void **state)
{
	const struct vmbus_relid_message teardown_of_none[2] = { { .header.type = VMBUS_GPADL_TEARDOWN, .relid = 1 } };
	size_t before;
	int r;

	open_channel();
	guest_faults(guest)->messages_unread = true;
	do {
		before = trace_bytes;
		r = vmbus_server_message(server, teardown_of_none, 16);
	} while (r == 0);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(trace_bytes, before);
}

static void a_channel_comes_with_its_ids_and_goes(void **state)
{
	const struct vmbus_relid_message close = { .header.type = VMBUS_CLOSE_CHANNEL, .relid = 1 };
	struct vmbus_trace_open open;

	open_channel();
	record = NULL;
	assert_int_equal(find(VMBUS_TRACE_OPEN).relid, 1);
	CATCH(open, sizeof(struct vmbus_trace_record));
	assert_memory_equal(&open.interface, &echo.device.offer.interface, sizeof open.interface);
	assert_memory_equal(&open.instance, &echo.device.offer.instance, sizeof open.instance);
	assert_int_equal(open.index, 0);
	post(&close, sizeof close);
	assert_int_equal(find(VMBUS_TRACE_CLOSE).relid, 1);
}

static void packets_are_there_as_they_lie_in_the_ring(void **state)
{
	const struct {
		struct vmbus_packet_descriptor descriptor;
		char payload[16];
	} sent = { { VMBUS_PACKET_IN_BAND, 2, 4, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, 0x1234 }, "what was said" };
	struct vmbus_packet_descriptor answer;
	struct vmbus_trace_packet packet;

	open_channel();
	send(&sent, sizeof sent);
	record = NULL;
	assert_int_equal(find(VMBUS_TRACE_PACKET_IN).relid, 1);
	CATCH(packet, sizeof(struct vmbus_trace_record));
	assert_int_equal(packet.packet_bytes, sizeof sent);
	assert_int_equal(packet.range_bytes, 0);
	assert_int_equal(packet.data_bytes, 0);
	assert_int_equal(record_bytes, sizeof(struct vmbus_trace_record) + sizeof packet + sizeof sent);
	assert_memory_equal(record + sizeof(struct vmbus_trace_record) + sizeof packet, &sent, sizeof sent);

	assert_int_equal(find(VMBUS_TRACE_PACKET_OUT).relid, 1);
	CATCH(packet, sizeof(struct vmbus_trace_record));
	CATCH(answer, sizeof(struct vmbus_trace_record) + sizeof packet);
	assert_int_equal(packet.packet_bytes, sizeof sent);
	assert_int_equal(answer.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(answer.transaction, 0x1234);
	assert_memory_equal(record + record_bytes - sizeof sent.payload, sent.payload, sizeof sent.payload);
}

static void of_the_memory_that_a_packet_names_the_beginning_is_there(void **state)
{
	const struct {
		struct vmbus_packet_descriptor descriptor;
		uint32_t rsvd, range_count, bytes, offset;
		uint64_t page[2];
	} sent = { { VMBUS_PACKET_GPA_DIRECT, 6, 6, 0, 5 }, 0, 1, 4000, 4000, { 30, 40 } };
	struct vmbus_trace_packet packet;
	const uint8_t *data;

	memset(guest_ram(guest, 30 * 4096), 0x11, 4096);
	memset(guest_ram(guest, 40 * 4096), 0x22, 4096);
	open_channel();
	send(&sent, sizeof sent);
	record = NULL;
	(void)find(VMBUS_TRACE_PACKET_IN);
	CATCH(packet, sizeof(struct vmbus_trace_record));
	assert_int_equal(packet.packet_bytes, sizeof sent);
	assert_int_equal(packet.range_bytes, 4000);
	assert_int_equal(packet.data_bytes, VMBUS_TRACE_DATA_MAX);
	assert_int_equal(record_bytes, sizeof(struct vmbus_trace_record) + sizeof packet + sizeof sent + VMBUS_TRACE_DATA_MAX);
	data = record + record_bytes - VMBUS_TRACE_DATA_MAX;
	assert_int_equal(data[95], 0x11);
	assert_int_equal(data[96], 0x22);
	assert_int_equal(data[VMBUS_TRACE_DATA_MAX - 1], 0x22);
}

static void a_device_adds_what_lies_in_a_buffer_of_its_own(void **state)
{
	uint8_t bytes[2 * VMBUS_TRACE_DATA_MAX];
	const struct iovec pieces[] = { { bytes, 300 }, { bytes + 300, sizeof bytes - 300 } };

	memset(bytes, 0x33, sizeof bytes);
	open_channel();
	vmbus_channel_trace(echo.channels[0], pieces, 2);
	record = NULL;
	assert_int_equal(find(VMBUS_TRACE_DATA).relid, 1);
	assert_int_equal(record_bytes, sizeof(struct vmbus_trace_record) + VMBUS_TRACE_DATA_MAX);
	assert_int_equal(record[record_bytes - 1], 0x33);
}

static void nobody_asks_and_nothing_is_made(void **state)
{
	ops.trace = NULL;
	trace_bytes = 0;
	open_channel();
	vmbus_channel_trace(echo.channels[0], NULL, 0);
	assert_int_equal(trace_bytes, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_trace_begins_with_what_it_is),
		TEST(messages_of_both_sides_are_there_in_order),
		TEST(a_message_that_is_not_taken_is_not_there),
		TEST(a_channel_comes_with_its_ids_and_goes),
		TEST(packets_are_there_as_they_lie_in_the_ring),
		TEST(of_the_memory_that_a_packet_names_the_beginning_is_there),
		TEST(a_device_adds_what_lies_in_a_buffer_of_its_own),
		TEST(nobody_asks_and_nothing_is_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
