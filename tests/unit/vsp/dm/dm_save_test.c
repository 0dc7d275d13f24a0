// SPDX-License-Identifier: Apache-2.0
/* Dynamic memory that goes on in another place; saved states that are refused. */
#include "dm_rig.h"

#include <errno.h>

/* The state of dm goes into a new one, in its place. */
static int move(void (*spoil)(struct dm_state *state, uint8_t *pages))
{
	size_t bytes = dm_state_bytes(&dm);
	uint8_t *saved = malloc(bytes);
	struct dm_state state;
	const struct dm_config c = config();
	int r;

	dm_pause(&dm);
	assert_int_equal(rig_timers(&rig), 0);
	dm_get_state(&dm, saved);
	memcpy(&state, saved, sizeof state);
	if (spoil)
		spoil(&state, saved + sizeof state);
	memcpy(saved, &state, sizeof state);
	rig.channel.open = false;
	dm_fini(&dm);
	assert_int_equal(dm_init(&dm, &c, &events, NULL), 0);
	assert_int_equal(dm_set_state(&dm, saved, bytes), -EINVAL);	/* not paused */
	dm_pause(&dm);
	assert_int_equal(dm_set_state(&dm, saved, bytes - 1), -EINVAL);
	r = dm_set_state(&dm, saved, bytes);
	free(saved);
	return r;
}

static void a_saved_one_goes_on(void **state)
{
	struct dm_range range;

	open_ready();
	rig_advance(&rig, DM_SETTLE_NS);
	assert_int_equal(dm_set_target(&dm, RAM + MIB(128)), 0);
	range = expect_hot_add();
	answer_hot_add(range.count, 1);
	assert_int_equal(dm_set_target(&dm, RAM - MIB(32)), 0);
	assert_int_equal(expect_balloon(), MIB(160));
	give(&(uint64_t){ DM_RANGE(range.first, MIB(100)) }, 1, true);
	assert_int_equal(move(NULL), 0);
	assert_int_equal(rig_restore(&rig), 0);
	assert_int_equal(dm_set_state(&dm, &dm, 1), -EBUSY);
	assert_int_equal(dm_set_target(&dm, RAM), 0);
	assert_int_equal(rig_unread(&rig), 0);
	dm_resume(&dm);
	assert_int_equal(now().added, MIB(128));
	assert_int_equal(now().ballooned, MIB(100));
	give_one(0, MIB(60));				/* the rest of the answer */
	assert_int_equal(expect_unballoon(), MIB(32));
	assert_int_equal(now().assigned, RAM);
	rig_advance(&rig, DM_ANSWER_NS);
	assert_true(now().stalled);
	answer_unballoon();
	assert_int_equal(now().assigned, RAM);
}

static void spoil_phase(struct dm_state *state, uint8_t *pages)
{
	state->phase = DM_PHASE_COUNT;
}

static void spoil_hole(struct dm_state *state, uint8_t *pages)
{
	pages[LOW / 8] = 1;
}

static void spoil_added(struct dm_state *state, uint8_t *pages)
{
	state->added_count = 1;
	state->added[0] = (struct dm_range){ HOT, MIB(HOT_MIB) + 1 };
}

static void spoil_overlap(struct dm_state *state, uint8_t *pages)
{
	state->added_count = 2;
	state->added[0] = (struct dm_range){ HOT, 10 };
	state->added[1] = (struct dm_range){ HOT + 9, 10 };
}

static void spoil_count(struct dm_state *state, uint8_t *pages)
{
	state->added_count = DM_ADDED_MAX + 1;
}

static void spoil_target(struct dm_state *state, uint8_t *pages)
{
	state->target = MAXIMUM + 1;
}

static void spoil_version(struct dm_state *state, uint8_t *pages)
{
	state->version = 0;
}

static void spoil_adding(struct dm_state *state, uint8_t *pages)
{
	state->operation = DM_HOT_ADD;
	state->adding = (struct dm_range){ HOT, 512 };
}

static void spoil_asked(struct dm_state *state, uint8_t *pages)
{
	state->got = state->asked + 1;
}

static void spoil_closed(struct dm_state *state, uint8_t *pages)
{
	state->phase = DM_CLOSED;
	pages[0] = 1;
}

static void spoiled_states_are_refused(void **state)
{
	static void (*const spoil[])(struct dm_state *state, uint8_t *pages) = {
		spoil_phase, spoil_hole, spoil_added, spoil_overlap, spoil_count, spoil_target, spoil_version,
		spoil_adding, spoil_asked, spoil_closed,
	};

	for (unsigned i = 0; i < sizeof spoil / sizeof spoil[0]; i++) {
		open_ready();
		assert_int_equal(move(spoil[i]), -EINVAL);
		assert_int_equal(now().assigned, RAM);
		dm_resume(&dm);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make, finish)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_saved_one_goes_on),
		TEST(spoiled_states_are_refused),
	};

	return cmocka_run_group_tests_name("dm_save", tests, NULL, NULL);
}
