// SPDX-License-Identifier: Apache-2.0
/* Keyboard: protocol, scan codes byte for byte, a queue with an end, LEDs, hostile packets. */
#include "ic_rig.h"

#include <errno.h>

#include "keyboard/keyboard.h"

static struct rig rig;
static struct keyboard keyboard;
static unsigned led_count;
static uint8_t lit;

static void leds(void *context, uint8_t now)
{
	led_count++;
	lit = now;
}

static const struct keyboard_events events = { leds };

static int make(void **state)
{
	led_count = 0;
	keyboard_init(&keyboard, &events, NULL);
	rig_init(&rig, &keyboard.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void expect(uint16_t type, const void *bytes, size_t count)
{
	struct rig_packet packet = rig_take(&rig);

	assert_int_equal(packet.type, type);
	assert_int_equal(packet.bytes, count);
	assert_memory_equal(packet.payload, bytes, count);
	free(packet.payload);
}

static void request(uint32_t version)
{
	const uint32_t message[] = { KEYBOARD_PROTOCOL_REQUEST, version };

	rig_put(&rig, VMBUS_PACKET_IN_BAND, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, 0x1234, message, sizeof message);
	rig.device->ops->ready(rig.device->context, &rig.channel);
}

static void open_ready(void)
{
	assert_int_equal(rig_open(&rig), 0);
	request(0x00010000);
	expect(VMBUS_PACKET_COMPLETION, "", 0);
	expect(VMBUS_PACKET_IN_BAND, "\2\0\0\0\1\0\0\0", 8);
}

static int type(const char *scancodes, size_t count)
{
	return keyboard_type(&keyboard, (const uint8_t *)scancodes, count);
}

static void expect_stroke(uint8_t code, uint8_t info)
{
	const uint8_t bytes[12] = { 3, 0, 0, 0, code, 0, 0, 0, info };

	expect(VMBUS_PACKET_IN_BAND, bytes, sizeof bytes);
}

static void the_protocol_is_agreed_on(void **state)
{
	struct rig_packet packet;

	assert_int_equal(keyboard.device.offer.flags, 1);
	assert_int_equal(rig_open(&rig), 0);
	assert_int_equal(rig_unread(&rig), 0);			/* the guest speaks first */
	assert_int_equal(type("\x1e", 1), -ENOTCONN);
	request(0x00020000);
	packet = rig_take(&rig);
	assert_int_equal(packet.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(packet.transaction, 0x1234);
	free(packet.payload);
	expect(VMBUS_PACKET_IN_BAND, "\2\0\0\0\0\0\0\0", 8);
	assert_int_equal(type("\x1e", 1), -ENOTCONN);
	request(0x00010000);
	expect(VMBUS_PACKET_COMPLETION, "", 0);
	expect(VMBUS_PACKET_IN_BAND, "\2\0\0\0\1\0\0\0", 8);
	assert_int_equal(type("\x1e", 1), 0);
	expect_stroke(0x1e, 0);
}

static void scancodes_become_strokes(void **state)
{
	open_ready();
	/* a, Ctrl+Alt+Del, Pause */
	assert_int_equal(type("\x1e\x9e" "\x1d\x38\xe0\x53\xe0\xd3\xb8\x9d" "\xe1\x1d\x45\xe1\x9d\xc5", 16), 0);
	expect_stroke(0x1e, 0);
	expect_stroke(0x1e, 2);
	expect_stroke(0x1d, 0);
	expect_stroke(0x38, 0);
	expect_stroke(0x53, 4);
	expect_stroke(0x53, 6);
	expect_stroke(0x38, 2);
	expect_stroke(0x1d, 2);
	expect_stroke(0x1d, 8);
	expect_stroke(0x45, 0);
	expect_stroke(0x1d, 10);
	expect_stroke(0x45, 2);
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(type("", 0), 0);
	assert_int_equal(type("\x1e\xe0", 2), -EINVAL);
	assert_int_equal(type("\xe1", 1), -EINVAL);
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(keyboard.counters.strokes, 12);
}

static void strokes_wait_for_room_and_have_an_end(void **state)
{
	static uint8_t many[KEYBOARD_QUEUE_MAX];
	unsigned in_ring, total = 0;

	open_ready();
	for (unsigned i = 0; i < sizeof many; i++)
		many[i] = (uint8_t)(1 + i % 0x50);
	assert_int_equal(keyboard_type(&keyboard, many, sizeof many), 0);
	in_ring = rig_unread(&rig);
	assert_in_range(in_ring, 100, KEYBOARD_QUEUE_MAX - 1);
	assert_int_equal(keyboard_type(&keyboard, many, in_ring + 1), -ENOSPC);
	assert_int_equal(keyboard.state.count, KEYBOARD_QUEUE_MAX - in_ring);
	assert_int_equal(keyboard_type(&keyboard, many, in_ring), 0);
	assert_int_equal(type("\1", 1), -ENOSPC);
	while (rig_unread(&rig)) {
		uint32_t i = total < sizeof many ? total : total - (uint32_t)sizeof many;

		expect_stroke(many[i], 0);
		total++;
	}
	assert_int_equal(total, sizeof many + in_ring);
	assert_int_equal(keyboard.state.count, 0);
}

static void leds_come_back(void **state)
{
	static const uint32_t caps[] = { KEYBOARD_SET_LED, 0xfffffff4 };

	open_ready();
	rig_send(&rig, caps, sizeof caps);
	assert_int_equal(led_count, 1);
	assert_int_equal(lit, KEYBOARD_LED_CAPS_LOCK);
	assert_int_equal(keyboard.state.leds, KEYBOARD_LED_CAPS_LOCK);
	assert_int_equal(rig_unread(&rig), 0);
}

static void what_means_nothing_is_dropped(void **state)
{
	static const uint32_t bad[][2] = { { 0, 0 }, { 2, 1 }, { 3, 0 }, { 5, 0 }, { 0xffffffff, 0xffffffff } };
	static const uint32_t good[] = { KEYBOARD_PROTOCOL_REQUEST, 0x00010000 };

	open_ready();
	for (unsigned i = 0; i < 5; i++)
		rig_send(&rig, bad[i], 8);
	rig_send(&rig, good, 0);
	rig_put(&rig, VMBUS_PACKET_COMPLETION, 0, 0, good, sizeof good);
	rig_put(&rig, VMBUS_PACKET_GPA_DIRECT, 1, 9, good, sizeof good);
	rig_send(&rig, bad[0], 8);
	assert_int_equal(keyboard.counters.dropped, 9);
	assert_int_equal(rig_unread(&rig), 1);			/* the completion that one of them asked for */
	expect(VMBUS_PACKET_COMPLETION, "", 0);
	assert_int_equal(type("\1", 1), 0);
}

static void answers_wait_for_room_too(void **state)
{
	assert_int_equal(rig_open(&rig), 0);
	rig.channel.used = RIG_RING_BYTES - 8;
	request(0x00010000);
	request(0x00010000);
	assert_int_equal(rig_unread(&rig), 0);
	assert_int_equal(rig.channel.to_host.count, 1);		/* nothing is read that could not be answered */
	assert_int_equal(type("\1", 1), -ENOTCONN);
	rig.channel.used = 0;
	rig.device->ops->ready(rig.device->context, &rig.channel);
	for (unsigned i = 0; i < 2; i++) {
		expect(VMBUS_PACKET_COMPLETION, "", 0);
		expect(VMBUS_PACKET_IN_BAND, "\2\0\0\0\1\0\0\0", 8);
	}
	assert_int_equal(type("\1", 1), 0);
}

static void a_flood_is_read_in_portions(void **state)
{
	static const uint32_t junk[2];

	open_ready();
	for (unsigned i = 0; i < 200; i++)
		rig_put(&rig, VMBUS_PACKET_IN_BAND, 0, 0, junk, sizeof junk);
	rig_send(&rig, junk, sizeof junk);
	assert_in_range(keyboard.counters.dropped, 1, 64);
	rig_advance(&rig, 0);
	assert_int_equal(keyboard.counters.dropped, 201);
}

static void broken_and_tiny_rings_are_left_alone(void **state)
{
	open_ready();
	rig_break(&rig);
	assert_int_equal(type("\1", 1), -ENOTCONN);
	rig_close(&rig);
	open_ready();
	rig.channel.broken = true;
	assert_int_equal(type("\1", 1), 0);			/* seen when it is sent */
	assert_int_equal(keyboard.state.phase, KEYBOARD_BROKEN);
	rig_close(&rig);
	rig.channel.ring_bytes = 24;
	assert_int_equal(rig_open(&rig), 0);
	request(0x00010000);
	assert_int_equal(keyboard.state.phase, KEYBOARD_BROKEN);
}

static void closing_forgets_what_was_typed(void **state)
{
	static uint8_t many[KEYBOARD_QUEUE_MAX];

	for (unsigned i = 0; i < 3; i++) {
		open_ready();
		assert_int_equal(keyboard_type(&keyboard, many, sizeof many), 0);
		rig_close(&rig);
		assert_int_equal(type("\1", 1), -ENOTCONN);
		assert_int_equal(rig_timers(&rig), 0);
	}
	open_ready();
	assert_int_equal(rig_unread(&rig), 0);
}

static void pause_and_restore_keep_the_queue(void **state)
{
	static struct keyboard_state saved, bad;

	open_ready();
	keyboard_pause(&keyboard);
	assert_int_equal(type("\1\2\3", 3), 0);
	assert_int_equal(rig_unread(&rig), 0);
	keyboard_get_state(&keyboard, &saved);
	rig_close(&rig);
	keyboard_init(&keyboard, &events, NULL);
	assert_int_equal(rig_restore(&rig), -EINVAL);	/* without a state */
	bad = saved;
	bad.phase = KEYBOARD_PHASE_COUNT;
	assert_int_equal(keyboard_set_state(&keyboard, &bad), -EINVAL);
	bad = saved;
	bad.count = KEYBOARD_QUEUE_MAX + 1;
	assert_int_equal(keyboard_set_state(&keyboard, &bad), -EINVAL);
	bad = saved;
	bad.first = KEYBOARD_QUEUE_MAX;
	assert_int_equal(keyboard_set_state(&keyboard, &bad), -EINVAL);
	assert_int_equal(keyboard_set_state(&keyboard, &saved), 0);
	keyboard_pause(&keyboard);
	assert_int_equal(rig_restore(&rig), 0);
	assert_int_equal(keyboard_set_state(&keyboard, &saved), -EBUSY);
	assert_int_equal(rig_unread(&rig), 0);
	keyboard_resume(&keyboard);
	expect_stroke(1, 0);
	expect_stroke(2, 0);
	expect_stroke(3, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_protocol_is_agreed_on),
		TEST(scancodes_become_strokes),
		TEST(strokes_wait_for_room_and_have_an_end),
		TEST(leds_come_back),
		TEST(what_means_nothing_is_dropped),
		TEST(answers_wait_for_room_too),
		TEST(a_flood_is_read_in_portions),
		TEST(broken_and_tiny_rings_are_left_alone),
		TEST(closing_forgets_what_was_typed),
		TEST(pause_and_restore_keep_the_queue),
	};

	return cmocka_run_group_tests_name("keyboard", tests, NULL, NULL);
}
