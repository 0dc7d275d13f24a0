// SPDX-License-Identifier: Apache-2.0
/* The control plane as a guest sees it: the boot of a Linux guest, every message, every way to get one wrong. */
#include "cmocka_all.h"

#include <errno.h>

#include "guest.h"
#include "vmbus_echo.h"

static struct guest *guest;
static struct echo echo[8];

static int setup(void **state)
{
	guest = guest_new(128u << 20, 4);
	for (unsigned i = 0; i < COUNT(echo); i++)
		echo_init(&echo[i], (uint8_t)(COUNT(echo) - i), (uint8_t)i);
	return 0;
}

static int teardown(void **state)
{
	guest_free(guest);
	return 0;
}

static void add(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(vmbus_device_add(guest_server(guest), &echo[i].device), 0);
}

static struct vmbus_server_counters counters(void)
{
	struct vmbus_server_counters now;

	vmbus_server_get_counters(guest_server(guest), &now);
	return now;
}

static void post(const void *message, size_t bytes)
{
	assert_int_equal(guest_post(guest, message, bytes), 0);
	guest_run(guest);
}

static uint32_t word(const struct guest_message *message, unsigned offset)
{
	uint32_t value;

	assert_non_null(message);
	memcpy(&value, message->payload + offset, sizeof value);
	return value;
}

/* ---- the boot of a Linux guest, byte by byte where it matters */

static void offers_are_as_linux_wants_them(void)
{
	struct vmbus_offer_message offer, previous = { 0 };

	for (unsigned i = 0; i < COUNT(echo); i++) {
		const struct guest_message *message = guest_message(guest, 1 + i);

		assert_int_equal(message->type, VMBUS_OFFER_CHANNEL);
		assert_int_equal(message->bytes, 196);
		assert_int_equal(message->vp, 0);
		assert_int_equal(message->sint, 2);
		memcpy(&offer, message->payload, sizeof offer);
		assert_int_equal(offer.relid, i + 1);
		assert_int_equal(offer.connection_id, 0x2000 + offer.relid);
		assert_int_equal(offer.dedicated_interrupt, 1);
		assert_int_equal(offer.monitor_allocated, 0);
		assert_int_equal(offer.sub_channel_index, 0);
		assert_true(memcmp(&previous.interface, &offer.interface, sizeof offer.interface) < 0);
		previous = offer;
	}
	assert_int_equal(guest_message(guest, 1 + COUNT(echo))->type, VMBUS_ALL_OFFERS_DELIVERED);
	assert_int_equal(guest_message(guest, 1 + COUNT(echo))->bytes, 8);
}

static void boot_trace(void **state)
{
	uint8_t contact[40] = { 14 }, header[236] = { 8 }, body[240] = { 9 }, open[148] = { 5 };
	const uint8_t request_offers[8] = { 3 };
	const uint32_t relid = 1, gpadl = 0xe1e10, range_bytes = 262144, target = 3, downstream = 32;
	const uint16_t range_list_bytes = 8 + 64 * 8, range_count = 1;
	uint64_t first_pfn = guest_pages(guest, 64) / GUEST_PAGE, pfn = first_pfn;
	const struct guest_message *answer;

	add(COUNT(echo));
	memcpy(contact + 8, &(uint32_t){ 0x00050003 }, 4);
	contact[16] = 2;
	post(contact, sizeof contact);
	answer = guest_message(guest, 0);
	assert_int_equal(answer->type, 15);
	assert_int_equal(answer->bytes, 16);
	assert_int_equal(answer->payload[8], 1);
	assert_int_equal(answer->payload[9], 0);
	assert_int_equal(word(answer, 12), 1);
	assert_null(guest_message(guest, 1));

	post(request_offers, sizeof request_offers);
	offers_are_as_linux_wants_them();
	guest_forget_messages(guest);

	memcpy(header + 8, &relid, 4);
	memcpy(header + 12, &gpadl, 4);
	memcpy(header + 16, &range_list_bytes, 2);
	memcpy(header + 18, &range_count, 2);
	memcpy(header + 20, &range_bytes, 4);
	for (unsigned i = 0; i < 26; i++, pfn++)
		memcpy(header + 28 + 8 * i, &pfn, 8);
	post(header, 236);
	memcpy(body + 12, &gpadl, 4);
	for (unsigned i = 0; i < 28; i++, pfn++)
		memcpy(body + 16 + 8 * i, &pfn, 8);
	post(body, 240);
	assert_int_equal(guest_message_count(guest, 0), 0);
	for (unsigned i = 0; i < 10; i++, pfn++)
		memcpy(body + 16 + 8 * i, &pfn, 8);
	post(body, 16 + 10 * 8);
	answer = guest_message(guest, 0);
	assert_int_equal(answer->type, 10);
	assert_int_equal(answer->bytes, 20);
	assert_int_equal(word(answer, 8), relid);
	assert_int_equal(word(answer, 12), gpadl);
	assert_int_equal(word(answer, 16), 0);

	memcpy(open + 8, &relid, 4);
	memcpy(open + 12, &relid, 4);
	memcpy(open + 16, &gpadl, 4);
	memcpy(open + 20, &target, 4);
	memcpy(open + 24, &downstream, 4);
	post(open, sizeof open);
	answer = guest_message(guest, 1);
	assert_int_equal(answer->type, 6);
	assert_int_equal(answer->bytes, 20);
	assert_int_equal(word(answer, 8), relid);
	assert_int_equal(word(answer, 12), relid);
	assert_int_equal(word(answer, 16), 0);
	assert_int_equal(echo[7].opened, 1);		/* the first in the order of offers */
	assert_int_equal(guest_doorbells_open(guest), 1);
	assert_int_equal(counters().messages_bad + counters().messages_unknown, 0);
}

static void a_driver_talks_to_its_device_and_goes_home(void **state)
{
	static struct guest_packet packet;
	struct guest_channel *channel;
	uint32_t relid;

	add(2);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	relid = guest_relid(guest, &echo[1].device.offer.interface, 0);
	assert_int_equal(relid, 1);
	channel = guest_open(guest, relid, 32);
	assert_non_null(channel);
	assert_int_equal(guest_transact(channel, 77, "twelve bytes", 12, &packet), 0);
	assert_int_equal(packet.payload_bytes, 16);
	assert_memory_equal(guest_packet_payload(&packet), "twelve bytes\0\0\0\0", 16);
	assert_int_equal(guest_interrupts(channel), 1);
	assert_int_equal(guest_close(channel), 0);
	assert_int_equal(echo[1].closing, 1);
	assert_int_equal(guest_unload(guest), 0);
	assert_int_equal(counters().version, 0);
	assert_int_equal(counters().gpadl_count, 0);
	assert_int_equal(guest_doorbells_open(guest), 0);
}

/* ---- versions and contact */

static void versions(void **state)
{
	static const struct {
		uint32_t version;
		bool known;
		uint32_t tells;			/* connection id, or below 5.0 the version */
	} rows[] = {
		{ VMBUS_VERSION_WIN8, true, VMBUS_VERSION_WIN8 },
		{ VMBUS_VERSION_WIN8_1, true, VMBUS_VERSION_WIN8_1 },
		{ VMBUS_VERSION_WIN10, true, VMBUS_VERSION_WIN10 },
		{ VMBUS_VERSION_WIN10_V4_1, true, VMBUS_VERSION_WIN10_V4_1 },
		{ VMBUS_VERSION_WIN10_V5, true, 1 },
		{ VMBUS_VERSION_WIN10_V5_1, true, 1 },
		{ VMBUS_VERSION_WIN10_V5_2, true, 1 },
		{ VMBUS_VERSION_WIN10_V5_3, true, 1 },
		{ VMBUS_VERSION_WIN10_V6_0, true, 1 },
		{ 0x00060001, false, 0 },
		{ 0x00050004, false, 0 },
		{ 0x00010001, false, 0 },
		{ 0, false, 0 },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct guest_message *answer;

		assert_int_equal(guest_contact(guest, rows[i].version, 1), rows[i].known ? 0 : -EPROTONOSUPPORT);
		answer = guest_last_message(guest, VMBUS_VERSION_RESPONSE);
		assert_int_equal(answer->bytes, rows[i].version == VMBUS_VERSION_WIN10_V6_0 ? 20 : 16);
		assert_int_equal(answer->vp, 1);
		assert_int_equal(word(answer, 12), rows[i].tells);
		assert_int_equal(word(answer, 16), 0);			/* no feature flags */
		assert_int_equal(counters().version, rows[i].known ? rows[i].version : 0);
	}
}

static void contact_that_nobody_could_answer(void **state)
{
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 4), -ETIMEDOUT);
	assert_int_equal(counters().messages_bad, 1);
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 3), 0);
}

static void contact_of_another_trust_level_is_refused(void **state)
{
	struct vmbus_contact_message contact = {
		.header.type = VMBUS_INITIATE_CONTACT, .version = VMBUS_VERSION_WIN10_V5_3, .sint = 2, .vtl = 2,
	};

	post(&contact, sizeof contact);
	assert_int_equal(guest_message(guest, 0)->payload[8], 0);
	contact.vtl = 0;
	contact.sint = 7;
	post(&contact, sizeof contact);
	assert_int_equal(guest_message(guest, 1)->payload[8], 0);
	contact.sint = 2;
	post(&contact, sizeof contact);
	assert_int_equal(guest_message(guest, 2)->payload[8], 1);
}

static void nothing_works_before_contact(void **state)
{
	const struct vmbus_message_header request = { .type = VMBUS_REQUEST_OFFERS };
	uint8_t message[240] = { 0 };

	add(1);
	post(&request, sizeof request);
	for (uint8_t type = 0; type < 30; type++) {
		if (type == VMBUS_INITIATE_CONTACT || type == VMBUS_UNLOAD)
			continue;
		message[0] = type;
		post(message, sizeof message);
	}
	assert_int_equal(guest_message_count(guest, 0), 0);
	assert_int_equal(guest_unload(guest), 0);	/* a guest waits for this one without end */
}

static void offers_come_once_for_each_contact(void **state)
{
	const struct vmbus_message_header request = { .type = VMBUS_REQUEST_OFFERS };

	add(3);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 3);
	post(&request, sizeof request);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 3);
	assert_int_equal(counters().messages_bad, 1);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t before[3], relid;

		for (unsigned n = 0; n < 3; n++)
			before[n] = guest_relid_of_instance(guest, &echo[n].device.offer.instance, 0);
		guest_forget_messages(guest);
		assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
		assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 3);
		for (unsigned n = 0; n < 3; n++) {
			relid = guest_relid_of_instance(guest, &echo[n].device.offer.instance, 0);
			assert_int_not_equal(relid, 0);
			assert_int_equal(relid, before[n]);
		}
	}
}

/* ---- short, long and unknown messages */

static void lengths(void **state)
{
	static const struct {
		uint8_t type, bytes;
	} rows[] = {
		{ VMBUS_OPEN_CHANNEL, 148 }, { VMBUS_CLOSE_CHANNEL, 12 }, { VMBUS_GPADL_HEADER, 20 },
		{ VMBUS_GPADL_BODY, 16 }, { VMBUS_GPADL_TEARDOWN, 16 }, { VMBUS_RELID_RELEASED, 12 },
		{ VMBUS_INITIATE_CONTACT, 40 }, { VMBUS_TL_CONNECT_REQUEST, 40 }, { VMBUS_MODIFY_CHANNEL, 16 },
	};
	uint8_t message[300] = { 0 };

	add(1);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	guest_forget_messages(guest);
	for (unsigned i = 0; i < COUNT(rows); i++) {
		uint64_t bad = counters().messages_bad;

		message[0] = rows[i].type;
		post(message, rows[i].bytes - 1u);
		assert_int_equal(counters().messages_bad, bad + 1);
		assert_int_equal(guest_message_count(guest, 0), 0);
	}
	for (unsigned bytes = 0; bytes < 8; bytes++)
		post(message, bytes);
	post(message, 241);
	assert_int_equal(counters().messages_bad, COUNT(rows) + 9);
	assert_int_equal(guest_message_count(guest, 0), 0);
	assert_int_equal(counters().version, VMBUS_VERSION_WIN10_V5_3);
}

static void unknown_types_are_counted(void **state)
{
	static const uint32_t types[] = { 0, 1, 2, 4, 6, 10, 12, 15, 17, 18, 19, 20, 23, 24, 25, 29, 1000, 0xffffffff };
	uint32_t message[60] = { 0 };

	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	guest_forget_messages(guest);
	for (unsigned i = 0; i < COUNT(types); i++) {
		message[0] = types[i];
		post(message, sizeof message);
	}
	assert_int_equal(counters().messages_unknown, COUNT(types));
	assert_int_equal(guest_message_count(guest, 0), 0);
}

static void sockets_are_refused_at_once(void **state)
{
	struct vmbus_tl_connect_message request = { .header.type = VMBUS_TL_CONNECT_REQUEST };
	const struct guest_message *answer;

	memset(&request.endpoint, 0x11, sizeof request.endpoint);
	memset(&request.service, 0x22, sizeof request.service);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	post(&request, sizeof request);
	answer = guest_last_message(guest, VMBUS_TL_CONNECT_RESULT);
	assert_int_equal(answer->bytes, 44);
	assert_memory_equal(answer->payload + 8, &request.endpoint, 32);
	assert_int_not_equal(word(answer, 40), 0);
}

/* ---- GPADLs */

static uint32_t connected(void)
{
	add(2);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	guest_forget_messages(guest);
	return guest_relid_of_instance(guest, &echo[0].device.offer.instance, 0);
}

static void gpadls_of_every_size(void **state)
{
	static const unsigned pages[] = { 1, 2, 25, 26, 27, 53, 54, 55, 82, 256, 4096, 8190 };
	uint32_t relid = connected();

	for (unsigned i = 0; i < COUNT(pages); i++) {
		uint64_t bytes = counters().gpadl_bytes;
		uint32_t gpadl = guest_make_gpadl(guest, relid, GUEST_PAGE, pages[i] * GUEST_PAGE);

		assert_int_not_equal(gpadl, 0);
		assert_true(counters().gpadl_bytes - bytes >= pages[i] * GUEST_PAGE);
		assert_int_equal(guest_teardown_gpadl(guest, relid, gpadl), 0);
		assert_int_equal(counters().gpadl_bytes, bytes);
	}
	assert_int_not_equal(guest_make_gpadl(guest, relid, GUEST_PAGE + 100, 5000), 0);
	assert_int_equal(counters().gpadl_count, 1);
}

struct gpadl_case {
	const char *why;
	uint32_t relid, gpadl;
	uint16_t range_bytes, range_count;
	uint32_t words[12];			/* ranges as they come, the rest of the message */
	unsigned word_count;
};

static void gpadls_that_make_no_sense(void **state)
{
	const uint32_t relid = connected();
	const struct gpadl_case cases[] = {
		{ "no such channel", 99, 5, 16, 1, { 4096, 0, 1, 0 }, 4 },
		{ "channel 0", 0, 5, 16, 1, { 4096, 0, 1, 0 }, 4 },
		{ "channel id too large", 0x10000, 5, 16, 1, { 4096, 0, 1, 0 }, 4 },
		{ "handle 0", relid, 0, 16, 1, { 4096, 0, 1, 0 }, 4 },
		{ "no range", relid, 5, 16, 0, { 4096, 0, 1, 0 }, 4 },
		{ "no bytes", relid, 5, 0, 1, { 0 }, 0 },
		{ "too few page numbers", relid, 5, 16, 1, { 4097, 0, 1, 0 }, 4 },
		{ "too many page numbers", relid, 5, 24, 1, { 4096, 0, 1, 0, 2, 0 }, 6 },
		{ "offset behind the page", relid, 5, 16, 1, { 4096, 4096, 1, 0 }, 4 },
		{ "offset far behind the page", relid, 5, 16, 1, { 8, 5000, 1, 0 }, 4 },
		{ "offset makes it two pages", relid, 5, 16, 1, { 4096, 1, 1, 0 }, 4 },
		{ "half a range header", relid, 5, 4, 1, { 4096 }, 1 },
		{ "second range missing", relid, 5, 16, 2, { 4096, 0, 1, 0 }, 4 },
		{ "nothing in it", relid, 5, 8, 1, { 0, 0 }, 2 },
		{ "not RAM", relid, 5, 16, 1, { 4096, 0, 0x8000000, 0 }, 4 },
		{ "page number overflows", relid, 5, 16, 1, { 4096, 0, 1, 0x80000000 }, 4 },
		{ "4 GiB of bytes", relid, 5, 16, 1, { 0xffffffff, 0xfff, 1, 0 }, 4 },
	};

	for (unsigned i = 0; i < COUNT(cases); i++) {
		const struct gpadl_case *c = &cases[i];
		uint8_t message[240] = { VMBUS_GPADL_HEADER };
		const struct guest_message *answer;

		memcpy(message + 8, &c->relid, 4);
		memcpy(message + 12, &c->gpadl, 4);
		memcpy(message + 16, &c->range_bytes, 2);
		memcpy(message + 18, &c->range_count, 2);
		memcpy(message + 20, c->words, sizeof c->words);
		guest_forget_messages(guest);
		post(message, 20 + 4 * c->word_count);
		answer = guest_message(guest, 0);
		if (!answer || answer->type != VMBUS_GPADL_CREATED || word(answer, 16) == 0)
			fail_msg("%s: not refused", c->why);
		assert_int_equal(word(answer, 8), c->relid);
		assert_int_equal(word(answer, 12), c->gpadl);
		assert_int_equal(counters().gpadl_count, 0);
		assert_int_equal(counters().gpadl_bytes, 0);
	}
}

static void gpadl_of_several_ranges(void **state)
{
	uint32_t relid = connected();
	const uint32_t words[] = { 4096, 0, 9, 0, 0, 0, 100, 4000, 5, 0, 6, 0 };
	uint8_t message[20 + sizeof words] = { VMBUS_GPADL_HEADER };
	const uint16_t bytes = sizeof words, count = 3;

	memcpy(message + 8, &relid, 4);
	message[12] = 7;
	memcpy(message + 16, &bytes, 2);
	memcpy(message + 18, &count, 2);
	memcpy(message + 20, words, sizeof words);
	post(message, sizeof message);
	assert_int_equal(word(guest_last_message(guest, VMBUS_GPADL_CREATED), 16), 0);
	/* Such a one is no ring. */
	{
		struct vmbus_open_message open = {
			.header.type = VMBUS_OPEN_CHANNEL, .relid = relid, .ring_gpadl = 7, .downstream_page = 2,
		};

		post(&open, sizeof open);
		assert_int_not_equal(word(guest_last_message(guest, VMBUS_OPEN_CHANNEL_RESULT), 16), 0);
	}
}

static void teardown_is_always_answered(void **state)
{
	uint32_t relid = connected(), other = relid == 1 ? 2 : 1;
	uint8_t header[28] = { VMBUS_GPADL_HEADER };
	uint32_t gpadl = guest_make_gpadl(guest, relid, GUEST_PAGE, GUEST_PAGE);

	assert_int_equal(guest_teardown_gpadl(guest, other, gpadl), -ETIMEDOUT);	/* not this channel's */
	assert_int_equal(counters().gpadl_count, 1);
	assert_int_equal(guest_teardown_gpadl(guest, relid, gpadl), 0);
	assert_int_equal(guest_teardown_gpadl(guest, relid, gpadl), 0);			/* gone already */
	/* One whose bodies never came. */
	memcpy(header + 8, &relid, 4);
	header[12] = 9;
	header[16] = 80;
	header[18] = 1;
	post(header, sizeof header);
	assert_int_equal(counters().gpadl_count, 1);
	assert_int_equal(guest_teardown_gpadl(guest, relid, 9), 0);
	assert_int_equal(counters().gpadl_count, 0);
}

static void a_handle_names_one_gpadl(void **state)
{
	uint32_t relid = connected();
	const uint32_t words[] = { 4096, 0, 9, 0 };
	uint8_t message[36] = { VMBUS_GPADL_HEADER };

	memcpy(message + 8, &relid, 4);
	message[12] = 7;
	message[16] = 16;
	message[18] = 1;
	memcpy(message + 20, words, sizeof words);
	post(message, sizeof message);
	assert_int_equal(word(guest_last_message(guest, VMBUS_GPADL_CREATED), 16), 0);
	post(message, sizeof message);
	assert_int_not_equal(word(guest_last_message(guest, VMBUS_GPADL_CREATED), 16), 0);
	assert_int_equal(counters().gpadl_count, 1);
}

static void gpadls_have_limits(void **state)
{
	const struct vmbus_server_config config = {
		.host = guest_host(guest), .vp_count = 1, .gpadl_max = 8, .gpadl_bytes_max = 16 * GUEST_PAGE,
	};
	struct vmbus_server *server = vmbus_server_new(&config);
	const struct vmbus_contact_message contact = {
		.header.type = VMBUS_INITIATE_CONTACT, .version = VMBUS_VERSION_WIN10_V5_3, .sint = 2,
	};
	const struct vmbus_message_header request = { .type = VMBUS_REQUEST_OFFERS };
	struct vmbus_server_counters now;
	uint32_t header[5] = { VMBUS_GPADL_HEADER, 0, 1, 100, 1u << 16 | 16 };

	assert_int_equal(vmbus_device_add(server, &echo[0].device), 0);
	assert_int_equal(vmbus_server_message(server, &contact, sizeof contact), 0);
	assert_int_equal(vmbus_server_message(server, &request, sizeof request), 0);
	/* Incomplete ones count too. */
	for (unsigned i = 0; i < 20; i++, header[3]++)
		assert_int_equal(vmbus_server_message(server, header, sizeof header), 0);
	vmbus_server_get_counters(server, &now);
	assert_int_equal(now.gpadl_count, 8);
	assert_int_equal(now.gpadl_bytes, 16 * GUEST_PAGE);
	assert_int_equal(now.gpadls_refused, 12);
	assert_int_equal(vmbus_server_message(server, &contact, sizeof contact), 0);
	assert_int_equal(vmbus_server_message(server, &request, sizeof request), 0);
	header[4] = 1u << 16 | 0xffff;
	assert_int_equal(vmbus_server_message(server, header, sizeof header), 0);
	vmbus_server_get_counters(server, &now);
	assert_int_equal(now.gpadl_count, 0);
	vmbus_server_free(server);
}

/* ---- open, modify */

static void opens_that_make_no_sense(void **state)
{
	const uint32_t relid = connected(), other = relid == 1 ? 2 : 1;
	uint32_t ring = guest_make_gpadl(guest, relid, GUEST_PAGE, 8 * GUEST_PAGE);
	uint32_t small = guest_make_gpadl(guest, relid, GUEST_PAGE, 3 * GUEST_PAGE);
	uint32_t odd = guest_make_gpadl(guest, relid, GUEST_PAGE + 8, 8 * GUEST_PAGE);
	uint32_t ragged = guest_make_gpadl(guest, relid, GUEST_PAGE, 8 * GUEST_PAGE - 8);
	const struct {
		uint32_t relid, gpadl, vp, downstream;
	} rows[] = {
		{ 0, ring, 0, 4 }, { 77, ring, 0, 4 }, { 0xffffffff, ring, 0, 4 }, { other, ring, 0, 4 },
		{ relid, 1, 0, 4 }, { relid, ring, 4, 4 }, { relid, ring, 0xfffffffe, 4 }, { relid, ring, 0, 0 },
		{ relid, ring, 0, 1 }, { relid, ring, 0, 7 }, { relid, ring, 0, 8 }, { relid, ring, 0, 0xffffffff },
		{ relid, small, 0, 2 }, { relid, odd, 0, 4 }, { relid, ragged, 0, 4 },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		const struct vmbus_open_message open = {
			.header.type = VMBUS_OPEN_CHANNEL, .relid = rows[i].relid, .open_id = 500 + i,
			.ring_gpadl = rows[i].gpadl, .target_vp = rows[i].vp, .downstream_page = rows[i].downstream,
		};
		const struct guest_message *answer;

		guest_forget_messages(guest);
		post(&open, sizeof open);
		answer = guest_message(guest, 0);
		assert_int_equal(answer->type, VMBUS_OPEN_CHANNEL_RESULT);
		assert_int_equal(word(answer, 8), rows[i].relid);
		assert_int_equal(word(answer, 12), 500 + i);
		assert_int_not_equal(word(answer, 16), 0);
	}
	assert_int_equal(echo[0].opened, 0);
	assert_int_equal(guest_doorbells_open(guest), 0);
	assert_int_equal(counters().opens_refused, COUNT(rows));
}

static void opens_that_fail_in_the_host(void **state)
{
	uint32_t relid = connected();
	struct guest_channel *channel;

	echo[0].open_error = -EIO;
	assert_null(guest_open(guest, relid, 4));
	assert_int_equal(guest_doorbells_open(guest), 0);
	echo[0].open_error = 0;
	guest_faults(guest)->doorbell_error = -EIO;
	assert_null(guest_open(guest, relid, 4));
	guest_faults(guest)->doorbell_error = 0;
	assert_int_equal(echo[0].opened, 0);
	channel = guest_open(guest, relid, 4);
	assert_non_null(channel);
	assert_null(guest_open(guest, relid, 4));		/* open already */
	assert_int_equal(guest_close(channel), 0);
	assert_int_equal(echo[0].opened, 1);
}

static void ring_indices_that_are_wrong_from_the_start(void **state)
{
	uint32_t relid = connected();
	uint64_t gpa = guest_pages(guest, 8);
	uint32_t gpadl = guest_make_gpadl(guest, relid, gpa, 8 * GUEST_PAGE);
	struct vmbus_ring_page *out = guest_ram(guest, gpa), *in = guest_ram(guest, gpa + 4 * GUEST_PAGE);
	const struct vmbus_open_message open = {
		.header.type = VMBUS_OPEN_CHANNEL, .relid = relid, .ring_gpadl = gpadl, .downstream_page = 4,
	};
	uint32_t *indices[] = { &out->read_index, &out->write_index, &in->read_index, &in->write_index };
	static const uint32_t values[] = { 4, 0x3000, 0xfffffff8 };

	for (unsigned i = 0; i < COUNT(indices); i++) {
		for (unsigned n = 0; n < COUNT(values); n++) {
			*indices[i] = values[n];
			post(&open, sizeof open);
			assert_int_not_equal(word(guest_last_message(guest, VMBUS_OPEN_CHANNEL_RESULT), 16), 0);
		}
		*indices[i] = 0;
	}
	post(&open, sizeof open);
	assert_int_equal(word(guest_last_message(guest, VMBUS_OPEN_CHANNEL_RESULT), 16), 0);
	assert_int_equal(in->feature_bits & 1, 1);
}

static void modify(uint32_t relid, uint32_t vp, unsigned answers, bool ok)
{
	const struct vmbus_modify_message message = {
		.header.type = VMBUS_MODIFY_CHANNEL, .relid = relid, .target_vp = vp,
	};
	const struct guest_message *answer;

	guest_forget_messages(guest);
	post(&message, sizeof message);
	assert_int_equal(guest_message_count(guest, 0), answers);
	if (!answers)
		return;
	answer = guest_message(guest, 0);
	assert_int_equal(answer->type, VMBUS_MODIFY_CHANNEL_RESPONSE);
	assert_int_equal(answer->bytes, 16);
	assert_int_equal(word(answer, 8), relid);
	assert_int_equal(word(answer, 12) == 0, ok);
}

static void channels_move_between_vps(void **state)
{
	static struct guest_packet packet;
	struct vmbus_channel_counters now;
	uint32_t relid = connected();
	struct guest_channel *channel;

	modify(relid, 1, 1, false);				/* not open */
	channel = guest_open(guest, relid, 4);
	modify(relid, 3, 1, true);
	modify(relid, 4, 1, false);
	modify(55, 3, 1, false);
	assert_int_equal(vmbus_channel_get_counters(&echo[0].device, 0, &now), 0);
	assert_int_equal(now.target_vp, 3);
	assert_int_equal(guest_transact(channel, 1, "x", 1, &packet), 0);
	assert_int_equal(guest_interrupts(channel), 1);
	modify(relid, VMBUS_VP_NONE, 1, true);
	assert_int_equal(guest_transact(channel, 2, "x", 1, &packet), 0);
	assert_int_equal(guest_interrupts(channel), 0);
	modify(relid, 0, 1, true);
	assert_int_equal(guest_transact(channel, 3, "x", 1, &packet), 0);
	assert_int_equal(guest_interrupts(channel), 1);

	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_2), 0);
	assert_non_null(guest_open(guest, relid, 4));
	modify(relid, 2, 0, true);				/* done, but no answer below 5.3 */
	assert_int_equal(vmbus_channel_get_counters(&echo[0].device, 0, &now), 0);
	assert_int_equal(now.target_vp, 2);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10), 0);
	channel = guest_open(guest, relid, 4);
	modify(relid, 3, 0, false);				/* not in this version */
	assert_int_equal(vmbus_channel_get_counters(&echo[0].device, 0, &now), 0);
	assert_int_equal(now.target_vp, relid % 4);
	assert_int_equal(guest_close(channel), 0);
}

static void a_guest_declines_an_offer(void **state)
{
	uint32_t relid = connected();

	assert_int_not_equal(guest_make_gpadl(guest, relid, GUEST_PAGE, GUEST_PAGE), 0);
	guest_release(guest, relid);
	assert_int_equal(counters().gpadl_count, 0);
	assert_int_equal(guest_make_gpadl(guest, relid, GUEST_PAGE, GUEST_PAGE), 0);
	guest_release(guest, relid);
	assert_int_equal(counters().messages_bad, 2);
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(guest_relid_of_instance(guest, &echo[0].device.offer.instance, 0), relid);
	assert_non_null(guest_open(guest, relid, 4));
	guest_release(guest, relid);				/* illegal while it is open */
	assert_int_equal(echo[0].closing, 0);
}

/* ---- delivery */

static void messages_wait_for_a_guest_that_is_slow(void **state)
{
	add(8);
	for (unsigned i = 0; i < 40; i++) {
		static struct echo more[40];

		echo_init(&more[i], 50, (uint8_t)i);
		assert_int_equal(vmbus_device_add(guest_server(guest), &more[i].device), 0);
	}
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), 0);
	guest_forget_messages(guest);
	guest_faults(guest)->messages_unread = true;
	assert_int_equal(guest_request_offers(guest), -ETIMEDOUT);
	assert_int_equal(counters().queued, 49 - 17);
	guest_advance(guest, 20000000);
	assert_int_equal(counters().queued, 49 - 17);
	assert_true(counters().post_retries > 3);
	guest_advance(guest, 7000000000);
	assert_non_null(strstr(guest_log(guest), "does not take"));
	guest_faults(guest)->messages_unread = false;
	guest_advance(guest, 200000000);
	assert_int_equal(counters().queued, 0);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 48);
	for (unsigned i = 0; i < 48; i++)
		assert_int_equal(word(guest_message(guest, i), 184), i + 1);
	assert_int_equal(guest_message(guest, 48)->type, VMBUS_ALL_OFFERS_DELIVERED);
}

static void a_guest_that_reads_nothing_makes_nothing_grow(void **state)
{
	const struct vmbus_gpadl_teardown_message teardown = { .header.type = VMBUS_GPADL_TEARDOWN, .gpadl = 1 };
	unsigned refused = 0;

	connected();
	guest_faults(guest)->messages_unread = true;
	for (unsigned i = 0; i < 20000; i++)
		refused += guest_post(guest, &teardown, sizeof teardown) == -EAGAIN;
	assert_true(refused > 15000);
	assert_int_equal(counters().messages_refused, refused);
	assert_true(counters().queued <= 4096);
	/* A new contact is taken, and ends the old one's backlog. */
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), -ETIMEDOUT);
	assert_int_equal(counters().queued, 1);
	guest_faults(guest)->messages_unread = false;
	guest_advance(guest, 2000000);
	assert_int_equal(counters().queued, 0);
	assert_int_equal(guest_message_count(guest, VMBUS_VERSION_RESPONSE), 1);
}

static void synic_off(void **state)
{
	add(1);
	guest_faults(guest)->post_error = -EIO;
	assert_int_equal(guest_contact(guest, VMBUS_VERSION_WIN10_V5_3, 0), -ETIMEDOUT);
	guest_faults(guest)->post_error = 0;
	guest_advance(guest, 1100000000);
	assert_int_equal(guest_message_count(guest, VMBUS_VERSION_RESPONSE), 1);
	guest_faults(guest)->post_error = -EIO;
	assert_int_equal(guest_request_offers(guest), -ETIMEDOUT);
	guest_faults(guest)->post_error = 0;
	/* A new contact does not wait for the old one's timer. */
	assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
	assert_int_equal(guest_message_count(guest, VMBUS_OFFER_CHANNEL), 1);
}

static void configuration(void **state)
{
	assert_null(vmbus_server_new(&(struct vmbus_server_config){ .host = guest_host(guest) }));
	assert_null(vmbus_server_new(&(struct vmbus_server_config){ .vp_count = 1 }));
	vmbus_server_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(boot_trace),
		TEST(a_driver_talks_to_its_device_and_goes_home),
		TEST(versions),
		TEST(contact_that_nobody_could_answer),
		TEST(contact_of_another_trust_level_is_refused),
		TEST(nothing_works_before_contact),
		TEST(offers_come_once_for_each_contact),
		TEST(lengths),
		TEST(unknown_types_are_counted),
		TEST(sockets_are_refused_at_once),
		TEST(gpadls_of_every_size),
		TEST(gpadls_that_make_no_sense),
		TEST(gpadl_of_several_ranges),
		TEST(teardown_is_always_answered),
		TEST(a_handle_names_one_gpadl),
		TEST(gpadls_have_limits),
		TEST(opens_that_make_no_sense),
		TEST(opens_that_fail_in_the_host),
		TEST(ring_indices_that_are_wrong_from_the_start),
		TEST(channels_move_between_vps),
		TEST(a_guest_declines_an_offer),
		TEST(messages_wait_for_a_guest_that_is_slow),
		TEST(a_guest_that_reads_nothing_makes_nothing_grow),
		TEST(synic_off),
		TEST(configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
