// SPDX-License-Identifier: Apache-2.0
/* VSS: freeze and thaw, every way in which either fails, and that no guest stays frozen. */
#include "ic_rig.h"

#include <errno.h>

#include "ic/vss.h"

#define FREEZE_NS (60 * RIG_SECOND)
#define FROZEN_NS (10 * RIG_SECOND)

static struct rig rig;
static struct vss vss;
static unsigned frozen_count, failed_count, thawed_count;
static int error;
static uint32_t status;

static void frozen(void *context)
{
	frozen_count++;
}

static void failed(void *context, int why, uint32_t guest)
{
	failed_count++;
	error = why;
	status = guest;
}

static void thawed(void *context, int why, uint32_t guest)
{
	thawed_count++;
	error = why;
	status = guest;
}

static const struct vss_events events = { frozen, failed, thawed };

static int make(void **state)
{
	frozen_count = failed_count = thawed_count = 0;
	vss_init(&vss, &events, NULL);
	rig_init(&rig, &vss.ic.device);
	return 0;
}

static int finish(void **state)
{
	rig_fini(&rig);
	return 0;
}

static void open_ready(void)
{
	assert_int_equal(rig_open(&rig), 0);
	rig_negotiate(&rig, (struct ic_version){ 3, 0 }, (struct ic_version){ 5, 0 });
}

static void check_operation(uint8_t *body, void *context)
{
	const uint8_t expected[12] = { *(uint8_t *)context };

	assert_memory_equal(body, expected, sizeof expected);
	if (*(uint8_t *)context == IC_VSS_HOT_BACKUP)
		body[8] = 5;
}

static void answer(uint8_t operation, uint32_t guest_status)
{
	rig_answer(&rig, IC_MESSAGE_VSS, 12, guest_status, check_operation, &operation);
}

static void freeze(void)
{
	unsigned before = frozen_count;

	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	answer(IC_VSS_HOT_BACKUP, 0);
	answer(IC_VSS_FREEZE, 0);
	assert_int_equal(frozen_count, before + 1);
}

static void freezes_and_thaws(void **state)
{
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), -ENOTCONN);
	open_ready();
	assert_int_equal(vss_thaw(&vss), -EINVAL);
	for (unsigned i = 1; i <= 3; i++) {
		freeze();
		assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), -EBUSY);
		rig_advance(&rig, FROZEN_NS - 1);
		assert_int_equal(vss_thaw(&vss), 0);
		assert_int_equal(vss_thaw(&vss), -EINVAL);
		answer(IC_VSS_THAW, 0);
		assert_int_equal(thawed_count, i);
		assert_int_equal(error, 0);
	}
	assert_int_equal(vss_freeze(&vss, 0, 1), -EINVAL);
	assert_int_equal(vss_freeze(&vss, 1, 0), -EINVAL);
	assert_int_equal(rig_timers(&rig), 0);
}

static void the_limit_thaws_by_itself(void **state)
{
	open_ready();
	freeze();
	rig_advance(&rig, FROZEN_NS);
	assert_int_equal(vss_thaw(&vss), -ETIME);
	answer(IC_VSS_THAW, 0);
	assert_int_equal(thawed_count, 1);
	assert_int_equal(error, -ETIME);
	freeze();
	assert_int_equal(vss_thaw(&vss), 0);
	answer(IC_VSS_THAW, 0);
	assert_int_equal(error, 0);
}

static void refusals_say_why(void **state)
{
	open_ready();
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	answer(IC_VSS_HOT_BACKUP, IC_STATUS_FAIL);	/* no daemon */
	assert_int_equal(failed_count, 1);
	assert_int_equal(error, -EREMOTEIO);
	assert_int_equal(status, IC_STATUS_FAIL);
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	rig_answer(&rig, IC_MESSAGE_VSS, 12, 0, NULL, NULL);	/* without the flags, as stock Linux: a yes */
	assert_int_equal(failed_count, 1);
	answer(IC_VSS_FREEZE, IC_STATUS_FAIL);
	assert_int_equal(failed_count, 2);
	assert_int_equal(error, -EREMOTEIO);
	freeze();
	assert_int_equal(vss_thaw(&vss), 0);
	answer(IC_VSS_THAW, IC_STATUS_FAIL);
	assert_int_equal(thawed_count, 1);
	assert_int_equal(error, -EREMOTEIO);
	freeze();
}

static void short_answers_are_malformed(void **state)
{
	struct rig_packet packet;
	struct ic_header header;

	open_ready();
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	packet = rig_take(&rig);
	header = rig_header(&packet);
	header.body_bytes = 11;
	memcpy(packet.payload, &header, sizeof header);
	rig_answer_packet(&rig, &packet, 0);
	free(packet.payload);
	assert_int_equal(error, -EPROTO);
}

static void a_question_without_answer_times_out(void **state)
{
	open_ready();
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	rig_advance(&rig, VSS_TIMEOUT_NS);
	assert_int_equal(failed_count, 1);
	assert_int_equal(error, -ETIMEDOUT);
	answer(IC_VSS_HOT_BACKUP, 0);
	assert_int_equal(rig_unread(&rig), 0);		/* nothing was frozen, nothing is to be thawed */
	freeze();
}

static void a_freeze_that_comes_late_is_thawed(void **state)
{
	struct rig_packet packet;

	open_ready();
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	answer(IC_VSS_HOT_BACKUP, 0);
	rig_advance(&rig, FREEZE_NS);			/* unread */
	assert_int_equal(failed_count, 1);
	assert_int_equal(error, -ETIMEDOUT);
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), -EBUSY);
	assert_int_equal(rig_unread(&rig), 1);
	answer(IC_VSS_FREEZE, 0);
	assert_int_equal(frozen_count, 0);
	answer(IC_VSS_THAW, 0);
	assert_int_equal(thawed_count, 0);
	freeze();
	assert_int_equal(vss_thaw(&vss), 0);
	answer(IC_VSS_THAW, 0);
	/* Read, but not finished in time: the thaw is in the ring behind it. */
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	answer(IC_VSS_HOT_BACKUP, 0);
	packet = rig_take(&rig);
	rig_advance(&rig, FREEZE_NS);
	assert_int_equal(failed_count, 2);
	rig_answer_packet(&rig, &packet, 0);
	answer(IC_VSS_THAW, 0);
	freeze();
	free(packet.payload);
}

static void a_thaw_without_answer_is_repeated_until_there_is_one(void **state)
{
	open_ready();
	freeze();
	assert_int_equal(vss_thaw(&vss), 0);
	rig_advance(&rig, VSS_TIMEOUT_NS);
	assert_int_equal(thawed_count, 1);
	assert_int_equal(error, -ETIMEDOUT);
	rig_advance(&rig, 3600 * RIG_SECOND);
	assert_int_equal(rig_unread(&rig), 1);
	for (unsigned i = 0; i < 5; i++) {
		rig_drop(&rig);
		rig_advance(&rig, VSS_TIMEOUT_NS);
		assert_int_equal(rig_unread(&rig), 1);
	}
	answer(IC_VSS_THAW, 0);
	rig_advance(&rig, 2 * VSS_TIMEOUT_NS);
	if (rig_unread(&rig))
		answer(IC_VSS_THAW, 0);
	assert_int_equal(thawed_count, 1);
	freeze();
}

static void close_and_break_end_everything(void **state)
{
	for (unsigned stage = 0; stage < 4; stage++) {
		open_ready();
		assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
		if (stage > 0)
			answer(IC_VSS_HOT_BACKUP, 0);
		if (stage > 1)
			answer(IC_VSS_FREEZE, 0);
		if (stage > 2)
			assert_int_equal(vss_thaw(&vss), 0);
		if (stage % 2)
			rig_break(&rig);
		rig_close(&rig);
		assert_int_equal(failed_count, stage > 1 ? 2 : stage + 1);
		assert_int_equal(thawed_count, stage > 1 ? stage - 1 : 0);
		assert_int_equal(error, -ECONNRESET);
		assert_int_equal(rig_timers(&rig), 0);
	}
	/* With a thaw that is owed: the next guest owes nothing. */
	open_ready();
	assert_int_equal(vss_freeze(&vss, FREEZE_NS, FROZEN_NS), 0);
	answer(IC_VSS_HOT_BACKUP, 0);
	rig_advance(&rig, FREEZE_NS);
	rig_close(&rig);
	open_ready();
	assert_int_equal(rig_unread(&rig), 0);
	freeze();
	rig.channel.broken = true;
	rig_advance(&rig, FROZEN_NS);
	assert_int_equal(error, -ECONNRESET);
	assert_int_equal(rig_timers(&rig), 0);
}

static void a_saved_freeze_goes_on(void **state)
{
	struct vss_state saved, bad;

	open_ready();
	freeze();
	ic_pause(&vss.ic);
	rig_advance(&rig, 3600 * RIG_SECOND);
	vss_get_state(&vss, &saved);
	rig_close(&rig);
	thawed_count = 0;
	vss_init(&vss, &events, NULL);
	bad = saved;
	bad.phase = VSS_PHASE_COUNT;
	assert_int_equal(vss_set_state(&vss, &bad), -EINVAL);
	assert_int_equal(vss_set_state(&vss, &saved), 0);
	assert_int_equal(rig_restore(&rig), 0);
	ic_resume(&vss.ic);
	assert_int_equal(vss_thaw(&vss), 0);
	answer(IC_VSS_THAW, 0);
	assert_int_equal(thawed_count, 1);
	assert_int_equal(error, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(freezes_and_thaws),
		TEST(the_limit_thaws_by_itself),
		TEST(refusals_say_why),
		TEST(short_answers_are_malformed),
		TEST(a_question_without_answer_times_out),
		TEST(a_freeze_that_comes_late_is_thawed),
		TEST(a_thaw_without_answer_is_repeated_until_there_is_one),
		TEST(close_and_break_end_everything),
		TEST(a_saved_freeze_goes_on),
	};

	return cmocka_run_group_tests_name("ic_vss", tests, NULL, NULL);
}
