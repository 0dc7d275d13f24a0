// SPDX-License-Identifier: Apache-2.0
/* Heartbeat, and with it the frame of all integration components: negotiation, one request at a time, time-outs,
 * hostile packets, close, reopen. */
#include "ic_rig.h"

#include <errno.h>

#include "ic/heartbeat.h"

static struct rig rig;
static struct heartbeat heartbeat;
static unsigned changes;
static enum heartbeat_status told;
static enum ic_application_state told_application;

static void changed(void *context, enum heartbeat_status status, enum ic_application_state application)
{
	assert_ptr_equal(context, &rig);
	changes++;
	told = status;
	told_application = application;
}

static const struct heartbeat_events events = { .changed = changed };
static const struct ic_version v1 = { 1, 0 }, v3 = { 3, 0 };

static int make(void **state)
{
	changes = 0;
	heartbeat_init(&heartbeat, &events, &rig);
	rig_init(&rig, &heartbeat.ic.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void beat(uint8_t *body, void *context)
{
	struct ic_heartbeat message;

	memcpy(&message, body, sizeof message);
	message.sequence++;
	message.application_state = *(uint32_t *)context;
	memcpy(body, &message, sizeof message);
}

static void answer(uint32_t application)
{
	rig_answer(&rig, IC_MESSAGE_HEARTBEAT, 40, 0, beat, &application);
}

static void open_ready(struct ic_version message)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_negotiate(&rig, v3, message);
	assert_true(ic_is_ready(&heartbeat.ic));
}

static void the_offer_is_a_message_pipe(void **state)
{
	static const uint8_t interface[16] = { 0x39, 0x4f, 0x16, 0x57, 0x15, 0x91, 0x78, 0x4e,
					       0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d };
	static const uint8_t user_defined[8] = { 4 };

	assert_memory_equal(&heartbeat.ic.device.offer.interface, interface, 16);
	assert_int_equal(heartbeat.ic.device.offer.flags, 0x0011);
	assert_memory_equal(heartbeat.ic.device.offer.user_defined, user_defined, 8);
	assert_int_equal(heartbeat.ic.device.offer.packet_bytes_max, 4096);
}

static void negotiation_is_byte_exact(void **state)
{
	static const uint8_t expected[] = {
		1, 0, 0, 0, 44, 0, 0, 0,	/* pipe */
		1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 24, 0, 0, 0, 0, 0, 1, 3, 0, 0,
		2, 0, 2, 0, 0, 0, 0, 0,		/* counts */
		1, 0, 0, 0, 3, 0, 0, 0,		/* framework versions */
		1, 0, 0, 0, 3, 0, 0, 0,		/* message versions */
	};
	struct rig_packet packet;

	assert_int_equal(rig_open(&rig), 0);
	packet = rig_take(&rig);
	assert_int_equal(packet.type, VMBUS_PACKET_IN_BAND);
	assert_int_equal(packet.flags, 0);
	assert_int_equal(packet.bytes, sizeof expected);
	assert_memory_equal(packet.payload, expected, sizeof expected);
	assert_int_equal(rig.flushes, 1);
	free(packet.payload);
}

static void a_beat_is_byte_exact(void **state)
{
	uint8_t expected[68] = {
		1, 0, 0, 0, 60, 0, 0, 0,
		3, 0, 0, 0, 1, 0, 3, 0, 0, 0, 40, 0, 0, 0, 0, 0, 2, 3, 0, 0,
		1,				/* sequence */
	};
	struct rig_packet packet;

	open_ready(v3);
	packet = rig_take(&rig);
	assert_int_equal(packet.bytes, sizeof expected);
	assert_memory_equal(packet.payload, expected, sizeof expected);
	free(packet.payload);
}

static void beats_every_two_seconds_and_tells_once(void **state)
{
	open_ready(v3);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_NO_CONTACT);
	for (unsigned i = 0; i < 10; i++) {
		answer(IC_APPLICATION_HEALTHY);
		assert_int_equal(rig_unread(&rig), 0);
		rig_advance(&rig, HEARTBEAT_PERIOD_NS - 1);
		assert_int_equal(rig_unread(&rig), 0);
		rig_advance(&rig, 1);
		assert_int_equal(rig_unread(&rig), 1);
	}
	assert_int_equal(changes, 1);
	assert_int_equal(told, HEARTBEAT_OK);
	assert_int_equal(told_application, IC_APPLICATION_HEALTHY);
	answer(IC_APPLICATION_CRITICAL);
	assert_int_equal(changes, 2);
	assert_int_equal(told_application, IC_APPLICATION_CRITICAL);
	assert_int_equal(heartbeat_application(&heartbeat), IC_APPLICATION_CRITICAL);
}

static void old_versions_say_nothing_of_the_application(void **state)
{
	open_ready(v1);
	answer(IC_APPLICATION_CRITICAL);
	assert_int_equal(told, HEARTBEAT_OK);
	assert_int_equal(told_application, IC_APPLICATION_UNKNOWN);
}

static void nonsense_of_the_application_is_unknown(void **state)
{
	open_ready(v3);
	answer(0xfffffff1);
	assert_int_equal(told_application, IC_APPLICATION_UNKNOWN);
}

static void three_missed_are_lost_and_one_brings_it_back(void **state)
{
	open_ready(v3);
	answer(IC_APPLICATION_HEALTHY);
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);		/* asks the one that stays unanswered */
	rig_advance(&rig, 3 * HEARTBEAT_PERIOD_NS - 1);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
	rig_advance(&rig, 1);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_LOST_COMMUNICATION);
	assert_int_equal(changes, 2);
	/* However long it is silent, one request waits for it, and not a ring full. */
	rig_advance(&rig, 3600 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 1);
	assert_int_equal(changes, 2);
	/* It reads the old one, which frees the way; the next beat counts again. */
	answer(IC_APPLICATION_HEALTHY);
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);
	answer(IC_APPLICATION_HEALTHY);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
	assert_int_equal(changes, 3);
}

static void a_guest_that_reads_but_does_not_answer_is_asked_again(void **state)
{
	open_ready(v3);
	answer(IC_APPLICATION_HEALTHY);
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);
	rig_drop(&rig);
	rig_advance(&rig, 4 * HEARTBEAT_PERIOD_NS);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_LOST_COMMUNICATION);
	assert_int_equal(rig_unread(&rig), 1);
	answer(IC_APPLICATION_HEALTHY);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
}

static void a_guest_that_never_answers_is_no_contact_not_lost(void **state)
{
	open_ready(v3);
	rig_advance(&rig, 100 * RIG_SECOND);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_NO_CONTACT);
	assert_int_equal(changes, 0);
}

static void wrong_sequences_are_no_beats(void **state)
{
	open_ready(v3);
	rig_answer(&rig, IC_MESSAGE_HEARTBEAT, 40, 0, NULL, NULL);	/* not incremented */
	assert_int_equal(changes, 0);
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);
	rig_answer(&rig, IC_MESSAGE_HEARTBEAT, 40, IC_STATUS_FAIL, NULL, NULL);
	assert_int_equal(changes, 0);
}

static void no_version_in_common_is_a_mismatch(void **state)
{
	static const struct ic_version wrong[][2] = {
		{ { 2, 0 }, { 3, 0 } }, { { 3, 0 }, { 3, 1 } }, { { 0, 3 }, { 3, 0 } }, { { 0, 0 }, { 0, 0 } },
	};

	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		assert_int_equal(rig_open(&rig), 0);
		rig_negotiate(&rig, wrong[i][0], wrong[i][1]);
		assert_int_equal(heartbeat.ic.state.phase, IC_MISMATCH);
		assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_PROTOCOL_MISMATCH);
		rig_advance(&rig, 100 * RIG_SECOND);
		assert_int_equal(rig_unread(&rig), 0);
		rig_close(&rig);
	}
	assert_int_equal(changes, 1);
	open_ready(v3);
	answer(IC_APPLICATION_HEALTHY);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
}

/* Counts of zero, as a guest says that nothing fits; of more than one; and answers that are too short for any. */
static void bad_negotiations_are_mismatches(void **state)
{
	static const struct {
		struct ic_negotiate counts;
		uint16_t body_bytes;
		uint32_t status;
	} bad[] = {
		{ { 0, 0, 0 }, 16, 0 }, { { 2, 2, 0 }, 24, 0 }, { { 0xffff, 0xffff, 0 }, 24, 0 },
		{ { 1, 1, 0 }, 15, 0 },
		{ { 1, 1, 0 }, 0, 0 }, { { 1, 1, 0 }, 16, IC_STATUS_FAIL },
	};

	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct rig_packet packet;
		struct ic_header header;

		assert_int_equal(rig_open(&rig), 0);
		packet = rig_take(&rig);
		header = rig_header(&packet);
		header.body_bytes = bad[i].body_bytes;
		memcpy(packet.payload, &header, sizeof header);
		memcpy(packet.payload + 28, &bad[i].counts, sizeof bad[i].counts);
		memcpy(packet.payload + 36, &v3, 4);
		memcpy(packet.payload + 40, &v3, 4);
		rig_answer_packet(&rig, &packet, bad[i].status);
		free(packet.payload);
		assert_int_equal(heartbeat.ic.state.phase, IC_MISMATCH);
		rig_close(&rig);
	}
}

static void an_unread_negotiation_waits_for_ever(void **state)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_advance(&rig, 3600 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 1);
	assert_int_equal(heartbeat.ic.counters.timeouts, 1);
	rig_negotiate(&rig, v3, v3);			/* a late answer to it is as good as any */
	answer(IC_APPLICATION_HEALTHY);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
}

static void a_negotiation_that_got_lost_is_repeated(void **state)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_drop(&rig);
	rig_advance(&rig, 60 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 1);
	rig_negotiate(&rig, v3, v3);
	assert_true(ic_is_ready(&heartbeat.ic));
}

/* Each of these differs from a good answer in one thing. */
static void what_is_no_answer_is_dropped_and_counted(void **state)
{
	static const struct {
		size_t at, width;
		uint32_t value;
	} faults[] = {
		{ 0, 4, 0 }, { 0, 4, 2 },			/* pipe type */
		{ 4, 4, 19 }, { 4, 4, 0 }, { 4, 4, 0xffffffff }, { 4, 4, 65 },	/* pipe size; 64 are there */
		{ 12, 2, IC_MESSAGE_NEGOTIATE }, { 12, 2, IC_MESSAGE_KVP }, { 12, 2, 0xffff },
		{ 18, 2, 41 }, { 18, 2, 0xffff },		/* body size */
		{ 24, 1, 1 }, { 24, 1, 3 },			/* transaction */
		{ 25, 1, 3 }, { 25, 1, 0 },			/* flags */
	};
	struct rig_packet packet;
	struct ic_header header;
	uint8_t copy[68];
	uint64_t dropped = 0;

	open_ready(v3);
	packet = rig_take(&rig);
	header = rig_header(&packet);
	header.flags = IC_FLAG_RESPONSE | IC_FLAG_TRANSACTION;
	memcpy(packet.payload, &header, sizeof header);
	packet.payload[28]++;
	for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		memcpy(copy, packet.payload, sizeof copy);
		memcpy(copy + faults[i].at, &faults[i].value, faults[i].width);
		rig_send(&rig, copy, sizeof copy);
		assert_int_equal(heartbeat.ic.counters.dropped, ++dropped);
	}
	for (size_t bytes = 0; bytes < 28; bytes += 4) {
		rig_send(&rig, packet.payload, bytes);
		dropped += bytes + 7 < 32;			/* 28 would be whole */
		if (bytes < 24)
			assert_int_equal(heartbeat.ic.counters.dropped, dropped);
	}
	rig_put(&rig, VMBUS_PACKET_COMPLETION, 0, 0, packet.payload, packet.bytes);
	rig_send(&rig, packet.payload, 0);
	assert_int_equal(changes, 0);
	rig_send(&rig, packet.payload, packet.bytes);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
	dropped = heartbeat.ic.counters.dropped;
	rig_send(&rig, packet.payload, packet.bytes);		/* a second time */
	assert_int_equal(heartbeat.ic.counters.dropped, dropped + 1);
	free(packet.payload);
}

static void an_answer_to_an_earlier_request_does_not_count(void **state)
{
	struct rig_packet first;

	open_ready(v3);
	first = rig_take(&rig);
	rig_advance(&rig, 3 * HEARTBEAT_PERIOD_NS);		/* given up, and asked again */
	assert_int_equal(rig_unread(&rig), 1);
	first.payload[28]++;
	rig_answer_packet(&rig, &first, 0);
	assert_int_equal(changes, 0);
	assert_int_equal(heartbeat.ic.counters.dropped, 1);
	answer(IC_APPLICATION_HEALTHY);
	assert_int_equal(changes, 1);
	free(first.payload);
}

static void a_flood_is_read_in_portions(void **state)
{
	static const uint8_t junk[64];

	open_ready(v3);
	for (unsigned i = 0; i < 200; i++)
		rig_put(&rig, VMBUS_PACKET_IN_BAND, 0, 0, junk, sizeof junk);
	rig_send(&rig, junk, sizeof junk);
	assert_in_range(heartbeat.ic.counters.dropped, 1, 64);
	rig_advance(&rig, 0);
	assert_int_equal(heartbeat.ic.counters.dropped, 201);
	for (unsigned i = 0; i < 200; i++)
		rig_put(&rig, VMBUS_PACKET_IN_BAND, 0, 0, junk, sizeof junk);
	rig_send(&rig, junk, sizeof junk);
	rig_close(&rig);				/* with more to read */
	assert_int_equal(rig_timers(&rig), 0);
}

static void a_broken_ring_is_left_alone_until_it_is_closed(void **state)
{
	open_ready(v3);
	answer(IC_APPLICATION_HEALTHY);
	rig_break(&rig);
	assert_int_equal(heartbeat.ic.state.phase, IC_BROKEN);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_NO_CONTACT);
	assert_int_equal(rig_timers(&rig), 0);
	rig_break(&rig);
	rig_close(&rig);
	assert_int_equal(changes, 2);
	open_ready(v3);
}

static void a_ring_that_breaks_between_reads_is_found_when_sending(void **state)
{
	open_ready(v3);
	answer(IC_APPLICATION_HEALTHY);
	rig.channel.broken = true;
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);
	assert_int_equal(heartbeat.ic.state.phase, IC_BROKEN);
	assert_int_equal(rig_timers(&rig), 0);
}

static void a_ring_too_small_to_negotiate_is_given_up(void **state)
{
	rig.channel.ring_bytes = 40;
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(heartbeat.ic.state.phase, IC_BROKEN);
	assert_int_equal(rig_timers(&rig), 0);
}

static void a_full_ring_is_negotiated_in_when_there_is_room(void **state)
{
	rig.channel.used = RIG_RING_BYTES - 8;
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig_unread(&rig), 0);
	rig.channel.used = 0;
	rig.device->ops->ready(rig.device->context, &rig.channel);
	rig_negotiate(&rig, v3, v3);
	answer(IC_APPLICATION_HEALTHY);
	assert_int_equal(told, HEARTBEAT_OK);
}

static void closing_in_the_middle_forgets_and_reopening_starts_over(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(rig_open(&rig), 0);
		rig_close(&rig);
		open_ready(v3);
		rig_close(&rig);			/* with a beat out */
		open_ready(v3);
		answer(IC_APPLICATION_HEALTHY);
		assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
		rig_close(&rig);
		assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_NO_CONTACT);
		assert_int_equal(rig_timers(&rig), 0);
	}
	assert_int_equal(changes, 6);
}

static void a_pause_stops_the_clock(void **state)
{
	open_ready(v3);
	answer(IC_APPLICATION_HEALTHY);
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);
	ic_pause(&heartbeat.ic);
	ic_pause(&heartbeat.ic);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_PAUSED);
	assert_int_equal(told, HEARTBEAT_PAUSED);
	assert_int_equal(rig_timers(&rig), 0);
	rig_advance(&rig, 3600 * RIG_SECOND);
	ic_resume(&heartbeat.ic);
	assert_int_equal(told, HEARTBEAT_OK);
	assert_int_equal(rig_unread(&rig), 1);
	answer(IC_APPLICATION_HEALTHY);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
	assert_int_equal(changes, 3);
}

static void packets_wait_while_paused(void **state)
{
	struct rig_packet packet;

	ic_pause(&heartbeat.ic);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig_unread(&rig), 0);
	ic_resume(&heartbeat.ic);
	rig_negotiate(&rig, v3, v3);
	packet = rig_take(&rig);
	packet.payload[28]++;
	ic_pause(&heartbeat.ic);
	rig_answer_packet(&rig, &packet, 0);
	assert_int_equal(changes, 1);			/* paused */
	assert_int_equal(ic_request(&heartbeat.ic, "", 0, 1), -EBUSY);
	ic_resume(&heartbeat.ic);
	assert_int_equal(told, HEARTBEAT_OK);
	free(packet.payload);
}

static void a_saved_state_goes_on_with_the_open_channel(void **state)
{
	struct heartbeat_state saved;
	struct rig_packet packet;

	open_ready(v3);
	answer(IC_APPLICATION_HEALTHY);
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);
	packet = rig_take(&rig);			/* out when it is saved */
	ic_pause(&heartbeat.ic);
	heartbeat_get_state(&heartbeat, &saved);
	rig_close(&rig);

	heartbeat_init(&heartbeat, &events, &rig);
	assert_int_equal(heartbeat_set_state(&heartbeat, &saved), 0);
	assert_int_equal(rig_restore(&rig), 0);
	assert_int_equal(heartbeat_set_state(&heartbeat, &saved), -EBUSY);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_PAUSED);
	ic_resume(&heartbeat.ic);
	assert_int_equal(rig_unread(&rig), 0);		/* no negotiation, and the beat is still out */
	packet.payload[28]++;
	rig_answer_packet(&rig, &packet, 0);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
	rig_advance(&rig, HEARTBEAT_PERIOD_NS);
	answer(IC_APPLICATION_CRITICAL);
	assert_int_equal(told_application, IC_APPLICATION_CRITICAL);
	free(packet.payload);
}

static void damaged_states_are_refused(void **state)
{
	struct heartbeat_state good, bad;

	open_ready(v3);
	ic_pause(&heartbeat.ic);
	heartbeat_get_state(&heartbeat, &good);
	rig_close(&rig);
	assert_int_equal(rig_restore(&rig), -EINVAL);	/* without a state */
	bad = good;
	bad.ic.paused = false;
	assert_int_equal(heartbeat_set_state(&heartbeat, &bad), -EINVAL);
	bad = good;
	bad.status = 3;
	assert_int_equal(heartbeat_set_state(&heartbeat, &bad), -EINVAL);
	bad = good;
	bad.application = 4;
	assert_int_equal(heartbeat_set_state(&heartbeat, &bad), -EINVAL);
	bad = good;
	bad.ic.phase = IC_PHASE_COUNT;
	assert_int_equal(heartbeat_set_state(&heartbeat, &bad), -EINVAL);
	bad = good;
	bad.ic.phase = IC_CLOSED;			/* with a request out */
	assert_int_equal(heartbeat_set_state(&heartbeat, &bad), -EINVAL);
	bad = good;
	bad.ic.waiting = IC_WAITING_COUNT;
	assert_int_equal(heartbeat_set_state(&heartbeat, &bad), -EINVAL);
	bad = good;
	bad.ic.message.minor = 9;
	assert_int_equal(heartbeat_set_state(&heartbeat, &bad), -EINVAL);
	assert_int_equal(heartbeat_set_state(&heartbeat, &good), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_offer_is_a_message_pipe),
		TEST(negotiation_is_byte_exact),
		TEST(a_beat_is_byte_exact),
		TEST(beats_every_two_seconds_and_tells_once),
		TEST(old_versions_say_nothing_of_the_application),
		TEST(nonsense_of_the_application_is_unknown),
		TEST(three_missed_are_lost_and_one_brings_it_back),
		TEST(a_guest_that_reads_but_does_not_answer_is_asked_again),
		TEST(a_guest_that_never_answers_is_no_contact_not_lost),
		TEST(wrong_sequences_are_no_beats),
		TEST(no_version_in_common_is_a_mismatch),
		TEST(bad_negotiations_are_mismatches),
		TEST(an_unread_negotiation_waits_for_ever),
		TEST(a_negotiation_that_got_lost_is_repeated),
		TEST(what_is_no_answer_is_dropped_and_counted),
		TEST(an_answer_to_an_earlier_request_does_not_count),
		TEST(a_flood_is_read_in_portions),
		TEST(a_broken_ring_is_left_alone_until_it_is_closed),
		TEST(a_ring_that_breaks_between_reads_is_found_when_sending),
		TEST(a_ring_too_small_to_negotiate_is_given_up),
		TEST(a_full_ring_is_negotiated_in_when_there_is_room),
		TEST(closing_in_the_middle_forgets_and_reopening_starts_over),
		TEST(a_pause_stops_the_clock),
		TEST(packets_wait_while_paused),
		TEST(a_saved_state_goes_on_with_the_open_channel),
		TEST(damaged_states_are_refused),
	};

	return cmocka_run_group_tests_name("ic_heartbeat", tests, NULL, NULL);
}
