// SPDX-License-Identifier: Apache-2.0
/* Shutdown: what goes to the guest, what versions allow, all ends of a shutdown. */
#include "ic_rig.h"

#include <errno.h>

#include "ic/shutdown.h"

static struct rig rig;
static struct shutdown ic;
static unsigned accepts, ends;
static enum shutdown_end end;
static uint32_t end_status;

static void accepted(void *context)
{
	accepts++;
}

static void ended(void *context, enum shutdown_end how, uint32_t status)
{
	ends++;
	end = how;
	end_status = status;
}

static const struct shutdown_events events = { accepted, ended };
static const struct shutdown_request power_off = { .action = SHUTDOWN_POWER_OFF, .timeout_seconds = 60 };
static const struct shutdown_request restart = { .action = SHUTDOWN_RESTART, .timeout_seconds = 60 };
static const struct shutdown_request hibernate = { .action = SHUTDOWN_HIBERNATE, .timeout_seconds = 60 };

static int make(void **state)
{
	accepts = ends = 0;
	end_status = 0;
	shutdown_init(&ic, &events, NULL);
	rig_init(&rig, &ic.ic.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void open_ready(uint16_t major, uint16_t minor)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_negotiate(&rig, (struct ic_version){ 3, 0 }, (struct ic_version){ major, minor });
}

static void answer(uint32_t status)
{
	rig_answer(&rig, IC_MESSAGE_SHUTDOWN, 2060, status, NULL, NULL);
}

static void requests_are_byte_exact(void **state)
{
	static const struct {
		enum shutdown_action action;
		bool force;
		uint8_t flags;
	} rows[] = {
		{ SHUTDOWN_POWER_OFF, false, 0 }, { SHUTDOWN_POWER_OFF, true, 1 }, { SHUTDOWN_RESTART, false, 2 },
		{ SHUTDOWN_RESTART, true, 3 }, { SHUTDOWN_HIBERNATE, false, 4 }, { SHUTDOWN_HIBERNATE, true, 5 },
	};

	open_ready(3, 2);
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct shutdown_request request = { rows[i].action, rows[i].force, 300, "Maintenance" };
		uint8_t expected[2088] = {
			1, 0, 0, 0, 0x20, 0x08, 0, 0,
			3, 0, 0, 0, 3, 0, 3, 0, 2, 0, 0x0c, 0x08, 0, 0, 0, 0, (uint8_t)(2 + i), 3, 0, 0,
			0, 0, 0, 0x80, 0x2c, 1, 0, 0, rows[i].flags, 0, 0, 0,
			'M', 'a', 'i', 'n', 't', 'e', 'n', 'a', 'n', 'c', 'e',
		};
		struct rig_packet packet;

		assert_int_equal(shutdown_start(&ic, &request), 0);
		packet = rig_take(&rig);
		assert_int_equal(packet.bytes, sizeof expected);
		assert_memory_equal(packet.payload, expected, sizeof expected);
		rig_answer_packet(&rig, &packet, IC_STATUS_FAIL);
		free(packet.payload);
	}
}

static void versions_say_what_the_guest_can(void **state)
{
	assert_int_equal(shutdown_start(&ic, &power_off), -ENOTCONN);
	open_ready(3, 0);
	assert_int_equal(shutdown_start(&ic, &restart), -EOPNOTSUPP);
	assert_int_equal(shutdown_start(&ic, &hibernate), -EOPNOTSUPP);
	rig_close(&rig);
	open_ready(3, 1);
	assert_int_equal(shutdown_start(&ic, &hibernate), -EOPNOTSUPP);
	assert_int_equal(shutdown_start(&ic, &restart), 0);
}

static void nonsense_is_refused(void **state)
{
	static char text[2049];
	struct shutdown_request request = power_off;

	open_ready(3, 2);
	memset(text, 'x', 2048);
	request.text = text;
	assert_int_equal(shutdown_start(&ic, &request), -EINVAL);
	request.text = text + 1;			/* 2047 and the zero */
	assert_int_equal(shutdown_start(&ic, &request), 0);
	answer(IC_STATUS_FAIL);
	request = power_off;
	request.action = (enum shutdown_action)3;
	assert_int_equal(shutdown_start(&ic, &request), -EINVAL);
	request = power_off;
	request.timeout_seconds = 0;
	assert_int_equal(shutdown_start(&ic, &request), -EINVAL);
}

static void an_accepted_one_ends_when_the_guest_has_left(void **state)
{
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	assert_int_equal(shutdown_start(&ic, &power_off), -EBUSY);
	answer(IC_STATUS_OK);
	assert_int_equal(accepts, 1);
	assert_int_equal(ends, 0);
	assert_int_equal(shutdown_start(&ic, &power_off), -EBUSY);
	rig_advance(&rig, 59 * RIG_SECOND);
	rig_close(&rig);
	assert_int_equal(ends, 1);
	assert_int_equal(end, SHUTDOWN_LEFT);
	assert_int_equal(rig_timers(&rig), 0);
	open_ready(3, 2);				/* it was a restart after all, or a kexec */
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
}

static void a_refusal_says_why(void **state)
{
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &hibernate), 0);
	answer(IC_STATUS_FAIL);
	assert_int_equal(ends, 1);
	assert_int_equal(end, SHUTDOWN_REFUSED);
	assert_int_equal(end_status, IC_STATUS_FAIL);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
}

static void one_without_answer_times_out(void **state)
{
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	rig_advance(&rig, 60 * RIG_SECOND - 1);
	assert_int_equal(ends, 0);
	rig_advance(&rig, 1);
	assert_int_equal(ends, 1);
	assert_int_equal(end, SHUTDOWN_TIMED_OUT);
	assert_int_equal(shutdown_start(&ic, &power_off), -EHOSTDOWN);	/* still unread */
	answer(IC_STATUS_OK);				/* late: nobody waits for it */
	assert_int_equal(accepts, 0);
	assert_int_equal(ends, 1);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	answer(IC_STATUS_OK);
	assert_int_equal(accepts, 1);
}

static void one_that_was_read_and_ignored_can_be_repeated(void **state)
{
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	rig_drop(&rig);
	rig_advance(&rig, 60 * RIG_SECOND);
	assert_int_equal(end, SHUTDOWN_TIMED_OUT);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
}

static void an_accepted_one_that_does_not_end_times_out(void **state)
{
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	rig_advance(&rig, 10 * RIG_SECOND);
	answer(IC_STATUS_OK);
	rig_advance(&rig, 50 * RIG_SECOND);
	assert_int_equal(ends, 1);
	assert_int_equal(end, SHUTDOWN_TIMED_OUT);
	assert_int_equal(rig_timers(&rig), 0);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
}

static void close_and_break_end_it(void **state)
{
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	rig_close(&rig);
	assert_int_equal(ends, 1);
	assert_int_equal(end, SHUTDOWN_LEFT);
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	rig_break(&rig);
	assert_int_equal(ends, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), -ENOTCONN);
	rig_close(&rig);
	assert_int_equal(ends, 2);
}

static void a_pause_stops_the_deadline(void **state)
{
	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	answer(IC_STATUS_OK);
	ic_pause(&ic.ic);
	rig_advance(&rig, 3600 * RIG_SECOND);
	ic_resume(&ic.ic);
	assert_int_equal(ends, 0);
	rig_advance(&rig, 60 * RIG_SECOND);
	assert_int_equal(ends, 1);
	ic_pause(&ic.ic);
	assert_int_equal(shutdown_start(&ic, &power_off), -EHOSTDOWN);
}

static void a_saved_shutdown_goes_on(void **state)
{
	struct shutdown_state saved, bad;

	open_ready(3, 2);
	assert_int_equal(shutdown_start(&ic, &power_off), 0);
	answer(IC_STATUS_OK);
	ic_pause(&ic.ic);
	shutdown_get_state(&ic, &saved);
	rig_close(&rig);
	ends = 0;
	shutdown_init(&ic, &events, NULL);
	bad = saved;
	bad.phase = SHUTDOWN_PHASE_COUNT;
	assert_int_equal(shutdown_set_state(&ic, &bad), -EINVAL);
	bad = saved;
	bad.timeout_seconds = 0;
	assert_int_equal(shutdown_set_state(&ic, &bad), -EINVAL);
	assert_int_equal(shutdown_set_state(&ic, &saved), 0);
	assert_int_equal(rig_restore(&rig), 0);
	ic_resume(&ic.ic);
	assert_int_equal(shutdown_start(&ic, &power_off), -EBUSY);
	rig_advance(&rig, 60 * RIG_SECOND);
	assert_int_equal(end, SHUTDOWN_TIMED_OUT);
	assert_int_equal(ends, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(requests_are_byte_exact),
		TEST(versions_say_what_the_guest_can),
		TEST(nonsense_is_refused),
		TEST(an_accepted_one_ends_when_the_guest_has_left),
		TEST(a_refusal_says_why),
		TEST(one_without_answer_times_out),
		TEST(one_that_was_read_and_ignored_can_be_repeated),
		TEST(an_accepted_one_that_does_not_end_times_out),
		TEST(close_and_break_end_it),
		TEST(a_pause_stops_the_deadline),
		TEST(a_saved_shutdown_goes_on),
	};

	return cmocka_run_group_tests_name("ic_shutdown", tests, NULL, NULL);
}
