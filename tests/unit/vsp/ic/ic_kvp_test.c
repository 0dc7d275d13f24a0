// SPDX-License-Identifier: Apache-2.0
/* Key-value pairs: each operation byte for byte, what guests answer and what hostile guests answer, guests without
 * a daemon. */
#include "ic_rig.h"

#include <errno.h>

#include "ic/kvp.h"

static struct rig rig;
static struct kvp kvp;
static struct kvp_item items[16];
static unsigned item_count, done_count, ip_count;
static struct kvp_result result;
static struct kvp_ip_info ip;

static void item(void *context, enum ic_kvp_pool pool, const struct kvp_item *got)
{
	if (item_count < 16)
		items[item_count] = *got;
	item_count++;
}

static void ip_info(void *context, const struct kvp_ip_info *info)
{
	ip = *info;
	ip_count++;
}

static void done(void *context, const struct kvp_result *got)
{
	result = *got;
	done_count++;
}

static const struct kvp_events events = { .item = item, .ip_info = ip_info, .done = done };

static int make(void **state)
{
	item_count = done_count = ip_count = 0;
	kvp_init(&kvp, &events, NULL);
	rig_init(&rig, &kvp.ic.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void open_ready(uint16_t major)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_negotiate(&rig, (struct ic_version){ 3, 0 }, (struct ic_version){ major, 0 });
}

static size_t units_put(void *to, const char *ascii)
{
	size_t i = 0;

	do {
		memcpy((uint8_t *)to + 2 * i, (const uint16_t[]){ (uint8_t)ascii[i] }, 2);
	} while (ascii[i++]);
	return 2 * i;
}

static void record_put(struct ic_kvp_record *record, const char *key, const char *value)
{
	memset(record, 0, sizeof *record);
	record->value_type = IC_KVP_TEXT;
	record->key_bytes = (uint32_t)units_put(record->key, key);
	record->value_bytes = (uint32_t)units_put(record->value, value);
}

/* The record of an answer, and what to do with it before it goes out. */
struct reply {
	size_t at;			/* of the record in the body: 8 for enumerate, 4 else */
	const char *key, *value;
	size_t patch_at, patch_bytes;	/* in the record */
	uint64_t patch;
};

static void reply_put(uint8_t *body, void *context)
{
	const struct reply *reply = context;
	struct ic_kvp_record record;

	record_put(&record, reply->key, reply->value);
	memcpy((uint8_t *)&record + reply->patch_at, &reply->patch, reply->patch_bytes);
	memcpy(body + reply->at, &record, sizeof record);
}

static void answer(uint32_t status, struct reply *reply)
{
	rig_answer(&rig, IC_MESSAGE_KVP, 2580, status, reply ? reply_put : NULL, reply);
}

static void expect_request(const uint8_t *body, size_t body_bytes)
{
	struct rig_packet packet = rig_take(&rig);
	struct ic_header header = rig_header(&packet);

	assert_int_equal(packet.bytes, 28 + body_bytes);
	assert_int_equal(header.pipe_bytes, 20 + body_bytes);
	assert_int_equal(header.body_bytes, body_bytes);
	assert_int_equal(header.message_type, 2);
	assert_int_equal(header.message.major, kvp.ic.state.message.major);
	assert_memory_equal(packet.payload + 28, body, body_bytes);
	rig_answer_packet(&rig, &packet, IC_STATUS_FAIL);
	free(packet.payload);
	assert_int_equal(result.error, -EREMOTEIO);
	assert_int_equal(result.status, IC_STATUS_FAIL);
}

static void requests_are_byte_exact(void **state)
{
	uint8_t body[2580];

	open_ready(4);

	memset(body, 0, sizeof body);
	body[1] = 2;
	body[8] = 14;
	units_put(body + 16, "OSName");
	assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_AUTO, "OSName"), 0);
	expect_request(body, sizeof body);

	memset(body, 0, sizeof body);
	body[0] = 1;
	body[4] = 1;				/* text */
	body[8] = 4;
	body[12] = 10;
	units_put(body + 16, "k");
	units_put(body + 16 + 512, "Wert");
	assert_int_equal(kvp_set(&kvp, IC_KVP_POOL_EXTERNAL, "k", "Wert"), 0);
	expect_request(body, sizeof body);

	memset(body, 0, sizeof body);
	body[0] = 2;
	body[1] = 3;
	body[4] = 4;
	units_put(body + 8, "k");
	assert_int_equal(kvp_delete(&kvp, IC_KVP_POOL_AUTO_EXTERNAL, "k"), 0);
	expect_request(body, sizeof body);

	memset(body, 0, sizeof body);
	body[0] = 3;
	body[1] = 1;
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_GUEST), 0);
	expect_request(body, sizeof body);
}

static void ip_requests_are_byte_exact(void **state)
{
	static uint8_t body[7428];
	static struct kvp_ip_info info = {
		.adapter_id = "{0123}",
		.family = 3,
		.dhcp = true,
		.addresses = "10.0.0.2;fe80::1",
		.subnets = "255.0.0.0;/64",
		.gateways = "10.0.0.1",
		.dns_servers = "10.0.0.1;9.9.9.9",
	};

	open_ready(4);
	body[0] = 5;
	units_put(body + 2, info.adapter_id);
	body[258] = 3;
	body[259] = 1;
	units_put(body + 260, info.addresses);
	units_put(body + 2308, info.subnets);
	units_put(body + 4356, info.gateways);
	units_put(body + 5380, info.dns_servers);
	assert_int_equal(kvp_set_ip_info(&kvp, &info), 0);
	expect_request(body, sizeof body);

	memset(body, 0, sizeof body);
	body[0] = 4;
	units_put(body + 2, "00:15:5d:00:00:01");
	body[258] = 1;
	assert_int_equal(kvp_get_ip_info(&kvp, "00:15:5d:00:00:01", IC_KVP_FAMILY_IPV4), 0);
	expect_request(body, sizeof body);

	memset(info.dns_servers, 'x', 1024);
	assert_int_equal(kvp_set_ip_info(&kvp, &info), -E2BIG);
	rig_close(&rig);
	open_ready(3);
	assert_int_equal(kvp_get_ip_info(&kvp, "x", 1), -EOPNOTSUPP);
	assert_int_equal(kvp_set_ip_info(&kvp, &info), -EOPNOTSUPP);
}

static void ip_edit(uint8_t *body, void *context)
{
	units_put(body + 260, "192.168.0.7");
	body[258] = 1;
	body[259] = 1;
	memset(body + 5380, 'x', 2048);			/* 0x7878 without an end */
	if (context)
		memcpy(body + 4356, context, 2);
}

static void ip_answers_are_read(void **state)
{
	static uint16_t surrogate = 0xd800;

	open_ready(4);
	assert_int_equal(kvp_get_ip_info(&kvp, "x", 1), 0);
	rig_answer(&rig, IC_MESSAGE_KVP, 7428, 0, ip_edit, NULL);
	assert_int_equal(result.error, 0);
	assert_int_equal(ip_count, 1);
	assert_string_equal(ip.addresses, "192.168.0.7");
	assert_string_equal(ip.adapter_id, "x");
	assert_true(ip.dhcp);
	assert_int_equal(strlen(ip.dns_servers), 3072);
	assert_int_equal(kvp_get_ip_info(&kvp, "x", 1), 0);
	rig_answer(&rig, IC_MESSAGE_KVP, 7428, 0, ip_edit, &surrogate);
	assert_int_equal(result.error, -EPROTO);
	assert_int_equal(ip_count, 1);
}

static void enumerates_to_the_end(void **state)
{
	static const char *const keys[] = { "FullyQualifiedDomainName", "IntegrationServicesVersion", "OSName" };
	static const char *const values[] = { "guest.example", "3.1", "" };

	open_ready(4);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), -EBUSY);
	for (uint8_t i = 0; i < 3; i++) {
		struct reply reply = { .at = 8, .key = keys[i], .value = values[i] };

		assert_int_equal(rig.channel.to_guest.packets[rig.channel.to_guest.first].payload[32], i);
		assert_int_equal(rig.channel.to_guest.packets[rig.channel.to_guest.first].payload[29], 2);
		answer(IC_STATUS_OK, &reply);
		assert_int_equal(done_count, 0);
	}
	answer(IC_STATUS_NO_MORE_ITEMS, NULL);
	assert_int_equal(done_count, 1);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.operation, IC_KVP_ENUMERATE);
	assert_int_equal(item_count, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_string_equal(items[i].key, keys[i]);
		assert_string_equal(items[i].value, values[i]);
	}
}

static void numbers_become_text(void **state)
{
	static const struct {
		uint32_t type, bytes;
		const char *text;
	} rows[] = {
		{ IC_KVP_U32, 4, "305419896" }, { IC_KVP_U64, 8, "11068045857838618232" },
		{ IC_KVP_QWORD, 8, "11068045857838618232" },
	};

	open_ready(4);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t sizes = (uint64_t)rows[i].bytes << 32 | 4;
		struct rig_packet packet;

		assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_GUEST, "n"), 0);
		packet = rig_take(&rig);
		memcpy(packet.payload + 32, &rows[i].type, 4);
		memcpy(packet.payload + 36, &sizes, 8);
		memcpy(packet.payload + 32 + 524, "\x78\x56\x34\x12\x11\x99\x99\x99", 8);
		rig_answer_packet(&rig, &packet, 0);
		free(packet.payload);
		assert_int_equal(result.error, 0);
		assert_string_equal(items[i].key, "n");
		assert_string_equal(items[i].value, rows[i].text);
	}
}

/* Each is malformed in one way: left out of an enumeration, an error of a get. */
static void malformed_items_are_left_out(void **state)
{
	static struct reply bad[] = {
		{ 0, "k", "v", 4, 4, 0 },		/* key size */
		{ 0, "k", "v", 4, 4, 3 },
		{ 0, "k", "v", 4, 4, 514 },
		{ 0, "k", "v", 4, 4, 0xffffffff },
		{ 0, "k", "v", 8, 4, 3 },		/* value size */
		{ 0, "k", "v", 8, 4, 2050 },
		{ 0, "k", "v", 8, 4, 0xfffffffe },
		{ 0, "k", "v", 0, 4, 0 },		/* type */
		{ 0, "k", "v", 0, 4, 7 },
		{ 0, "k", "v", 0, 4, 8 },		/* number of 4 bytes where 8 are due */
		{ 0, "k", "v", 12, 2, 0xdc00 },		/* text */
		{ 0, "k", "v", 524, 2, 0xd800 },
		{ 0, "", "v", 0, 0, 0 },
	};
	struct reply good = { 8, "last", "one", 0, 0, 0 };
	unsigned count = sizeof bad / sizeof bad[0];

	open_ready(4);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_GUEST), 0);
	for (unsigned i = 0; i < count; i++) {
		bad[i].at = 8;
		answer(IC_STATUS_OK, &bad[i]);
	}
	answer(IC_STATUS_OK, &good);
	answer(IC_STATUS_NO_MORE_ITEMS, NULL);
	assert_int_equal(result.error, 0);
	assert_int_equal(result.malformed, count);
	assert_int_equal(item_count, 1);
	assert_string_equal(items[0].key, "last");
	for (unsigned i = 0; i < count; i++) {
		bad[i].at = 4;
		assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_GUEST, "k"), 0);
		answer(IC_STATUS_OK, &bad[i]);
		assert_int_equal(result.error, -EPROTO);
	}
	assert_int_equal(item_count, 1);
}

static void the_longest_texts_fit(void **state)
{
	static char key[257], value[1025];
	uint8_t body[2580] = { 1 };

	open_ready(4);
	memset(key, 'k', 256);
	memset(value, 'v', 1024);
	assert_int_equal(kvp_set(&kvp, IC_KVP_POOL_EXTERNAL, key, "v"), -E2BIG);
	assert_int_equal(kvp_set(&kvp, IC_KVP_POOL_EXTERNAL, key + 1, value), -E2BIG);
	assert_int_equal(kvp_set(&kvp, IC_KVP_POOL_EXTERNAL, key + 1, value + 1), 0);
	body[4] = 1;
	memcpy(body + 8, (const uint32_t[]){ 512, 2048 }, 8);
	units_put(body + 16, key + 1);
	units_put(body + 16 + 512, value + 1);
	expect_request(body, sizeof body);
	/* Full fields without a zero are as good. */
	assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_GUEST, "k"), 0);
	{
		struct rig_packet packet = rig_take(&rig);

		memset(packet.payload + 28 + 16, 'x', 512 + 2048);
		memcpy(packet.payload + 28 + 4, (const uint32_t[]){ IC_KVP_TEXT, 512, 2048 }, 12);
		rig_answer_packet(&rig, &packet, 0);
		free(packet.payload);
	}
	assert_int_equal(result.error, 0);
	assert_int_equal(strlen(items[0].key), 768);
	assert_int_equal(strlen(items[0].value), 3072);
}

static void what_may_not_be_asked_is_refused(void **state)
{
	assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_AUTO, "k"), -ENOTCONN);
	open_ready(4);
	assert_int_equal(kvp_set(&kvp, IC_KVP_POOL_AUTO, "k", "v"), -EINVAL);
	assert_int_equal(kvp_set(&kvp, IC_KVP_POOL_GUEST, "k", "v"), -EINVAL);
	assert_int_equal(kvp_delete(&kvp, IC_KVP_POOL_GUEST, "k"), -EINVAL);
	assert_int_equal(kvp_get(&kvp, (enum ic_kvp_pool)4, "k"), -EINVAL);
	assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_AUTO, ""), -EINVAL);
	assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_AUTO, "\xff"), -EILSEQ);
	assert_int_equal(kvp_set(&kvp, IC_KVP_POOL_EXTERNAL, "k", "\xed\xa0\x80"), -EILSEQ);
	assert_int_equal(rig_unread(&rig), 0);
}

static void an_enumeration_without_end_is_ended(void **state)
{
	struct reply reply = { 8, "k", "v", 0, 0, 0 };

	open_ready(4);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_GUEST), 0);
	while (done_count == 0)
		answer(IC_STATUS_OK, &reply);
	assert_int_equal(item_count, KVP_ITEMS_MAX);
	assert_int_equal(result.error, -E2BIG);
	assert_int_equal(rig_unread(&rig), 0);
}

static void short_answers_are_malformed(void **state)
{
	open_ready(4);
	for (unsigned i = 0; i < 3; i++) {
		struct rig_packet packet;
		struct ic_header header;

		assert_int_equal(i == 0   ? kvp_get(&kvp, IC_KVP_POOL_AUTO, "k") :
				 i == 1 ? kvp_enumerate(&kvp, IC_KVP_POOL_AUTO) : kvp_get_ip_info(&kvp, "x", 1), 0);
		packet = rig_take(&rig);
		header = rig_header(&packet);
		header.body_bytes--;
		memcpy(packet.payload, &header, sizeof header);
		rig_answer_packet(&rig, &packet, 0);
		free(packet.payload);
		assert_int_equal(result.error, -EPROTO);
	}
	assert_int_equal(done_count, 3);
}

static void a_guest_without_daemon_times_out_and_blocks_nothing(void **state)
{
	/* The driver is there, the daemon is not: not even the negotiation is read. */
	assert_int_equal(rig_open(&rig), 0);
	rig_advance(&rig, 600 * RIG_SECOND);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), -ENOTCONN);
	assert_int_equal(rig_unread(&rig), 1);
	rig_negotiate(&rig, (struct ic_version){ 3, 0 }, (struct ic_version){ 4, 0 });	/* it starts */
	/* Then it dies in the middle. */
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
	rig_advance(&rig, KVP_TIMEOUT_NS);
	assert_int_equal(done_count, 1);
	assert_int_equal(result.error, -ETIMEDOUT);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), -EHOSTDOWN);
	rig_advance(&rig, 3600 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 1);
	/* And comes back: the old request is answered into the void. */
	answer(IC_STATUS_OK, NULL);
	assert_int_equal(done_count, 1);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
	answer(IC_STATUS_NO_MORE_ITEMS, NULL);
	assert_int_equal(result.error, 0);
}

static void close_and_break_end_an_operation(void **state)
{
	open_ready(4);
	assert_int_equal(kvp_get(&kvp, IC_KVP_POOL_AUTO, "k"), 0);
	rig_close(&rig);
	assert_int_equal(done_count, 1);
	assert_int_equal(result.error, -ECONNRESET);
	open_ready(4);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
	rig_break(&rig);
	assert_int_equal(done_count, 2);
	assert_int_equal(result.error, -ECONNRESET);
}

static void a_saved_enumeration_goes_on(void **state)
{
	struct reply reply = { 8, "k", "v", 0, 0, 0 };
	struct kvp_state saved, bad;
	struct rig_packet packet;

	open_ready(4);
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_GUEST), 0);
	answer(IC_STATUS_OK, &reply);
	packet = rig_take(&rig);
	ic_pause(&kvp.ic);
	kvp_get_state(&kvp, &saved);
	rig_close(&rig);
	done_count = item_count = 0;
	kvp_init(&kvp, &events, NULL);
	bad = saved;
	bad.operation = 6;
	assert_int_equal(kvp_set_state(&kvp, &bad), -EINVAL);
	bad = saved;
	bad.index = KVP_ITEMS_MAX;
	assert_int_equal(kvp_set_state(&kvp, &bad), -EINVAL);
	assert_int_equal(kvp_set_state(&kvp, &saved), 0);
	assert_int_equal(rig_restore(&rig), 0);
	ic_resume(&kvp.ic);
	reply_put(packet.payload + 28, &reply);
	rig_answer_packet(&rig, &packet, 0);
	free(packet.payload);
	assert_int_equal(item_count, 1);
	assert_int_equal(rig.channel.to_guest.packets[rig.channel.to_guest.first].payload[32], 2);
	answer(IC_STATUS_NO_MORE_ITEMS, NULL);
	assert_int_equal(done_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_byte_exact),
		TEST(ip_requests_are_byte_exact),
		TEST(ip_answers_are_read),
		TEST(enumerates_to_the_end),
		TEST(numbers_become_text),
		TEST(malformed_items_are_left_out),
		TEST(the_longest_texts_fit),
		TEST(what_may_not_be_asked_is_refused),
		TEST(an_enumeration_without_end_is_ended),
		TEST(short_answers_are_malformed),
		TEST(a_guest_without_daemon_times_out_and_blocks_nothing),
		TEST(close_and_break_end_an_operation),
		TEST(a_saved_enumeration_goes_on),
	};

	return cmocka_run_group_tests_name("ic_kvp", tests, NULL, NULL);
}
