// SPDX-License-Identifier: Apache-2.0
/* The answerer against the components: versions, an hour of heartbeats and time samples, a shutdown. */
#include "unit/vsp/cmocka_all.h"

#include "ic/heartbeat.h"
#include "ic/shutdown.h"
#include "ic/timesync.h"
#include "ic_client.h"
#include "loopback.h"

#define SECOND     1000000000ull
#define RING_PAGES 2u

static struct loopback loopback;
static struct heartbeat heartbeat;
static struct shutdown shut;
static struct timesync timesync;
static struct vsc_ic clients[3];
static enum heartbeat_status status;
static enum ic_application_state application;
static bool accepted, ended;
static enum shutdown_end end;

static void changed(void *context, enum heartbeat_status now, enum ic_application_state state)
{
	status = now;
	application = state;
}

static void was_accepted(void *context)
{
	accepted = true;
}

static void has_ended(void *context, enum shutdown_end how, uint32_t hresult)
{
	ended = true;
	end = how;
}

static const struct heartbeat_events heartbeat_events = { changed };
static const struct shutdown_events shutdown_events = { was_accepted, has_ended };

static int setup(void **state)
{
	static const struct vmbus_guid *const interfaces[] = {
		&vsc_heartbeat_interface, &vsc_shutdown_interface, &vsc_timesync_interface,
	};

	loopback_init(&loopback, 4);
	accepted = ended = false;
	heartbeat_init(&heartbeat, &heartbeat_events, NULL);
	shutdown_init(&shut, &shutdown_events, NULL);
	timesync_init(&timesync);
	if (vmbus_device_add(loopback.server, &heartbeat.ic.device) || vmbus_device_add(loopback.server, &shut.ic.device) ||
	    vmbus_device_add(loopback.server, &timesync.ic.device) ||
	    vsc_bus_connect(&loopback.bus, VMBUS_VERSION_WIN10_V5_3, 0))
		return -1;
	for (unsigned i = 0; i < COUNT(clients); i++)
		if (vsc_ic_open(&clients[i], &loopback.bus, vsc_bus_find(&loopback.bus, interfaces[i], 0),
				loopback_pages(&loopback, 2 * RING_PAGES), RING_PAGES, loopback_pages(&loopback, 1)))
			return -1;
	return 0;
}

static int teardown(void **state)
{
	loopback_reset(&loopback);
	loopback_fini(&loopback);
	return 0;
}

static void poll_all(uint64_t ns)
{
	for (uint64_t done = 0; done <= ns; done += SECOND) {
		loopback_advance(&loopback, SECOND);
		for (unsigned i = 0; i < COUNT(clients); i++)
			if (clients[i].channel.ring_gpadl)
				assert_int_equal(vsc_ic_poll(&clients[i]), VSC_OK);
	}
	loopback_run(&loopback);
}

static void test_versions(void **state)
{
	poll_all(2 * SECOND);
	assert_int_equal(clients[0].message.major, 3);
	assert_int_equal(clients[1].message.major, 3);
	assert_int_equal(clients[1].message.minor, 2);
	assert_int_equal(clients[2].message.major, 4);
	for (unsigned i = 0; i < COUNT(clients); i++)
		assert_int_equal(clients[i].framework.major, 3);
	assert_true(ic_is_ready(&heartbeat.ic) && ic_is_ready(&shut.ic) && ic_is_ready(&timesync.ic));
}

static void test_an_hour(void **state)
{
	poll_all(3600 * SECOND);
	assert_in_range(clients[0].heartbeats, 1790, 1801);
	assert_int_equal(status, HEARTBEAT_OK);
	assert_int_equal(application, IC_APPLICATION_HEALTHY);
	assert_in_range(clients[2].requests, 700, 722);
	assert_true(clients[2].wall_time > clients[2].reference_time);
	assert_int_equal(heartbeat.ic.counters.timeouts + timesync.ic.counters.timeouts, 0);
	assert_int_equal(heartbeat.ic.counters.dropped + timesync.ic.counters.dropped, 0);
	for (unsigned i = 0; i < COUNT(clients); i++)
		assert_int_equal(clients[i].refused, 0);
}

static void test_a_guest_that_stops(void **state)
{
	poll_all(10 * SECOND);
	assert_int_equal(status, HEARTBEAT_OK);
	loopback_advance(&loopback, 60 * SECOND);
	assert_int_equal(status, HEARTBEAT_LOST_COMMUNICATION);
	poll_all(10 * SECOND);
	assert_int_equal(status, HEARTBEAT_OK);
}

static void test_a_shutdown(void **state)
{
	const struct shutdown_request request = { .action = SHUTDOWN_RESTART, .force = true, .timeout_seconds = 30 };

	poll_all(2 * SECOND);
	assert_int_equal(shutdown_start(&shut, &request), 0);
	poll_all(SECOND);
	assert_true(clients[1].shutdown_asked);
	assert_int_equal(clients[1].shutdown_flags, IC_SHUTDOWN_RESTART | IC_SHUTDOWN_FORCE);
	assert_true(accepted);
	assert_false(ended);
	assert_int_equal(vsc_ic_close(&clients[1]), VSC_OK);
	assert_true(ended);
	assert_int_equal(end, SHUTDOWN_LEFT);
}

static void test_a_hibernation_is_refused(void **state)
{
	const struct shutdown_request request = { .action = SHUTDOWN_HIBERNATE, .timeout_seconds = 30 };

	poll_all(2 * SECOND);
	assert_int_equal(shutdown_start(&shut, &request), 0);
	poll_all(SECOND);
	assert_true(ended);
	assert_int_equal(end, SHUTDOWN_REFUSED);
	assert_false(clients[1].shutdown_asked);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_versions),
		CASE(test_an_hour),
		CASE(test_a_guest_that_stops),
		CASE(test_a_shutdown),
		CASE(test_a_hibernation_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
