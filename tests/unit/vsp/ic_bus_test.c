// SPDX-License-Identifier: Apache-2.0
/* Integration components and keyboard on the real bus: offers, rings, unread requests, kexec, save and restore. */
#include "cmocka_all.h"

#include <errno.h>

#include "guest.h"
#include "ic/fcopy.h"
#include "ic/heartbeat.h"
#include "ic/kvp.h"
#include "ic/shutdown.h"
#include "ic/timesync.h"
#include "ic/vss.h"
#include "keyboard/keyboard.h"

#define SECOND    1000000000ull
#define RING_PAGES 4

static struct guest *guest;
static struct guest_packet packet;
static struct heartbeat heartbeat;
static struct shutdown shut;
static struct timesync timesync;
static struct kvp kvp;
static struct vss vss;
static struct fcopy fcopy;
static struct keyboard keyboard;
static struct kvp_result kvp_result;
static unsigned ends;

static void changed(void *context, enum heartbeat_status status, enum ic_application_state application)
{
}

static void item(void *context, enum ic_kvp_pool pool, const struct kvp_item *got)
{
}

static void kvp_done(void *context, const struct kvp_result *result)
{
	kvp_result = *result;
	ends++;
}

static void ip_info(void *context, const struct kvp_ip_info *info)
{
}

static void nothing(void *context)
{
}

static void shutdown_ended(void *context, enum shutdown_end end, uint32_t status)
{
}

static void told(void *context, int error, uint32_t status)
{
}

static int read_file(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	memset(buffer, 0x5a, bytes);
	return 0;
}

static void leds(void *context, uint8_t lit)
{
}

static const struct heartbeat_events heartbeat_events = { changed };
static const struct kvp_events kvp_events = { .item = item, .ip_info = ip_info, .done = kvp_done };
static const struct shutdown_events shutdown_events = { nothing, shutdown_ended };
static const struct vss_events vss_events = { nothing, told, told };
static const struct fcopy_events fcopy_events = { read_file, told };
static const struct keyboard_events keyboard_events = { leds };
static struct ic *const components[] = { &heartbeat.ic, &shut.ic, &timesync.ic, &kvp.ic, &vss.ic, &fcopy.ic };

static void init_all(void)
{
	heartbeat_init(&heartbeat, &heartbeat_events, NULL);
	shutdown_init(&shut, &shutdown_events, NULL);
	timesync_init(&timesync);
	kvp_init(&kvp, &kvp_events, NULL);
	vss_init(&vss, &vss_events, NULL);
	fcopy_init(&fcopy, &fcopy_events, NULL);
	keyboard_init(&keyboard, &keyboard_events, NULL);
}

static void add_all(void)
{
	for (unsigned i = 0; i < COUNT(components); i++)
		assert_int_equal(vmbus_device_add(guest_server(guest), &components[i]->device), 0);
	assert_int_equal(vmbus_device_add(guest_server(guest), &keyboard.device), 0);
}

static int setup(void **state)
{
	ends = 0;
	guest = guest_new(64u << 20, 2);
	init_all();
	add_all();
	return guest_connect(guest, VMBUS_VERSION_WIN10_V5_3);
}

static int teardown(void **state)
{
	vmbus_server_reset(guest_server(guest), nothing, NULL);
	guest_run(guest);
	for (unsigned i = 0; i < COUNT(components); i++)
		assert_int_equal(components[i]->state.phase, IC_CLOSED);
	guest_free(guest);
	return 0;
}

static struct guest_channel *open_device(const struct vmbus_device *device, unsigned pages)
{
	struct guest_channel *channel = guest_open(guest, guest_relid(guest, &device->offer.interface, 0), pages);

	assert_non_null(channel);
	guest_run(guest);
	return channel;
}

static struct ic_header take(struct guest_channel *channel)
{
	struct ic_header header;

	assert_true(guest_receive(channel, &packet));
	assert_true(packet.payload_bytes >= sizeof header);
	memcpy(&header, guest_packet_payload(&packet), sizeof header);
	return header;
}

/* In place, as guests answer; `body` replaces its beginning. */
static void answer(struct guest_channel *channel, uint32_t status, const void *body, size_t bytes)
{
	uint8_t *payload = packet.data + packet.descriptor_bytes;
	struct ic_header header;

	memcpy(&header, payload, sizeof header);
	header.status = status;
	header.flags = IC_FLAG_TRANSACTION | IC_FLAG_RESPONSE;
	memcpy(payload, &header, sizeof header);
	if (bytes)
		memcpy(payload + sizeof header, body, bytes);
	assert_int_equal(guest_send(channel, VMBUS_PACKET_IN_BAND, 0, packet.transaction, payload,
				    packet.payload_bytes), 0);
	guest_run(guest);
}

static struct guest_channel *open_ready(struct ic *ic)
{
	struct guest_channel *channel = open_device(&ic->device, RING_PAGES);
	struct {
		struct ic_negotiate counts;
		struct ic_version framework, message;
	} body = { { 1, 1, 0 }, { 3, 0 }, ic->kind->messages[ic->kind->message_count - 1] };

	assert_int_equal(take(channel).message_type, IC_MESSAGE_NEGOTIATE);
	answer(channel, 0, &body, sizeof body);
	assert_true(ic_is_ready(ic));
	return channel;
}

static void a_guest_with_all_of_them(void **state)
{
	const struct shutdown_request power_off = { .action = SHUTDOWN_POWER_OFF, .timeout_seconds = 60 };
	const struct fcopy_job job = { "/tmp", "f", 0, 7000 };
	struct guest_channel *channels[COUNT(components)];
	struct ic_heartbeat beat;

	for (unsigned i = 0; i < COUNT(components); i++)
		channels[i] = open_ready(components[i]);
	assert_int_equal(take(channels[0]).message_type, IC_MESSAGE_HEARTBEAT);
	memcpy(&beat, guest_packet_payload(&packet) + 28, sizeof beat);
	beat.sequence++;
	answer(channels[0], 0, &beat, sizeof beat);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);

	assert_int_equal(shutdown_start(&shut, &power_off), 0);
	assert_int_equal(take(channels[1]).body_bytes, 2060);
	assert_int_equal(packet.payload_bytes, 2088);
	answer(channels[1], 0, NULL, 0);
	assert_int_equal(shut.state.phase, SHUTDOWN_ACCEPTED);

	assert_int_equal(take(channels[2]).body_bytes, 24);
	answer(channels[2], 0, NULL, 0);

	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
	assert_int_equal(take(channels[3]).body_bytes, 2580);
	answer(channels[3], IC_STATUS_NO_MORE_ITEMS, NULL, 0);
	assert_int_equal(ends, 1);
	assert_int_equal(kvp_result.error, 0);
	assert_int_equal(kvp_get_ip_info(&kvp, "x", 1), 0);
	assert_int_equal(take(channels[3]).body_bytes, 7428);
	answer(channels[3], 0, NULL, 0);
	assert_int_equal(kvp_result.error, 0);

	assert_int_equal(vss_freeze(&vss, SECOND, SECOND), 0);
	assert_int_equal(take(channels[4]).body_bytes, 12);
	answer(channels[4], IC_STATUS_FAIL, NULL, 0);
	assert_int_equal(vss.state.phase, VSS_IDLE);

	assert_int_equal(fcopy_start(&fcopy, &job), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fcopy.state.phase, i == 0   ? FCOPY_STARTING :
						     i == 3 ? FCOPY_COMPLETING : FCOPY_WRITING);
		(void)take(channels[5]);
		answer(channels[5], 0, NULL, 0);
	}
	assert_int_equal(fcopy.state.phase, FCOPY_IDLE);
	assert_int_equal(fcopy_progress(&fcopy), 7000);
}

/* The room of the ring is how a component knows that a request is still unread. */
static void an_unread_request_is_known(void **state)
{
	struct guest_channel *channel = open_ready(&kvp.ic);

	for (unsigned i = 0; i < 20; i++) {			/* all around the ring */
		assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
		guest_advance(guest, KVP_TIMEOUT_NS);
		assert_int_equal(kvp_result.error, -ETIMEDOUT);
		assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), -EHOSTDOWN);
		guest_advance(guest, 600 * SECOND);
		(void)take(channel);
		assert_false(guest_receive(channel, &packet));
	}
	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
	(void)take(channel);
	answer(channel, IC_STATUS_NO_MORE_ITEMS, NULL, 0);
	assert_int_equal(kvp_result.error, 0);
}

static void a_kexec_starts_over(void **state)
{
	struct guest_channel *channel;

	for (unsigned i = 0; i < 3; i++) {
		channel = open_ready(&kvp.ic);
		assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
		if (i == 1) {
			assert_int_equal(guest_unload(guest), 0);
			assert_int_equal(guest_connect(guest, VMBUS_VERSION_WIN10_V5_3), 0);
		} else {
			assert_int_equal(guest_close(channel), 0);
		}
		assert_int_equal(ends, i + 1);
		assert_int_equal(kvp_result.error, -ECONNRESET);
		assert_null(kvp.ic.deadline.host_data);
	}
}

static void the_keyboard_types_through_full_rings(void **state)
{
	static const uint32_t request[] = { KEYBOARD_PROTOCOL_REQUEST, KEYBOARD_VERSION_1_0 };
	static uint8_t strokes[KEYBOARD_QUEUE_MAX];
	struct guest_channel *channel = open_device(&keyboard.device, 2);
	unsigned got = 0;

	assert_int_equal(guest_transact(channel, 5, request, sizeof request, &packet), 0);
	assert_true(guest_receive(channel, &packet));
	assert_memory_equal(guest_packet_payload(&packet), "\2\0\0\0\1\0\0\0", 8);
	for (unsigned i = 0; i < sizeof strokes; i++)
		strokes[i] = (uint8_t)(1 + i % 80);
	assert_int_equal(keyboard_type(&keyboard, strokes, sizeof strokes), 0);
	do {
		guest_run(guest);
		while (guest_receive(channel, &packet)) {
			struct keyboard_event event;

			memcpy(&event, guest_packet_payload(&packet), sizeof event);
			assert_int_equal(event.type, KEYBOARD_EVENT);
			assert_int_equal(event.make_code, strokes[got]);
			got++;
		}
	} while (keyboard.state.count);
	while (guest_receive(channel, &packet))
		got++;
	assert_int_equal(got, sizeof strokes);
}

static void a_restored_machine_goes_on(void **state)
{
	struct guest_channel *channel = open_ready(&heartbeat.ic), *kvp_channel = open_ready(&kvp.ic);
	struct heartbeat_state beating;
	struct ic_heartbeat beat;
	struct kvp_state asking;
	void *saved;
	size_t bytes;

	assert_int_equal(kvp_enumerate(&kvp, IC_KVP_POOL_AUTO), 0);
	for (unsigned i = 0; i < COUNT(components); i++)
		ic_pause(components[i]);
	vmbus_server_pause(guest_server(guest));
	heartbeat_get_state(&heartbeat, &beating);
	kvp_get_state(&kvp, &asking);
	assert_int_equal(vmbus_server_save(guest_server(guest), &saved, &bytes), 0);
	guest_replace_server(guest);
	init_all();
	add_all();
	assert_int_equal(heartbeat_set_state(&heartbeat, &beating), 0);
	assert_int_equal(kvp_set_state(&kvp, &asking), 0);
	assert_int_equal(vmbus_server_restore(guest_server(guest), saved, bytes), 0);
	free(saved);
	vmbus_server_resume(guest_server(guest));
	ic_resume(&heartbeat.ic);
	ic_resume(&kvp.ic);
	guest_run(guest);
	assert_int_equal(take(channel).message_type, IC_MESSAGE_HEARTBEAT);
	memcpy(&beat, guest_packet_payload(&packet) + 28, sizeof beat);
	beat.sequence++;
	answer(channel, 0, &beat, sizeof beat);
	assert_int_equal(heartbeat_status(&heartbeat), HEARTBEAT_OK);
	assert_int_equal(take(kvp_channel).message_type, IC_MESSAGE_KVP);
	answer(kvp_channel, IC_STATUS_NO_MORE_ITEMS, NULL, 0);
	assert_int_equal(ends, 1);
	assert_int_equal(kvp_result.error, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_with_all_of_them),
		TEST(an_unread_request_is_known),
		TEST(a_kexec_starts_over),
		TEST(the_keyboard_types_through_full_rings),
		TEST(a_restored_machine_goes_on),
	};

	return cmocka_run_group_tests_name("ic_bus", tests, NULL, NULL);
}
