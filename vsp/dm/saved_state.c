// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "dm/ram.h"

bool dm_speaks(uint32_t version)
{
	return version == DM_VERSION_WIN7 || version == DM_VERSION_WIN8 || version == DM_VERSION_WIN10;
}

size_t dm_state_bytes(const struct dm *dm)
{
	return sizeof dm->state + page_set_bytes(&dm->ballooned);
}

void dm_get_state(const struct dm *dm, void *out)
{
	memcpy(out, &dm->state, sizeof dm->state);
	page_set_save(&dm->ballooned, (uint8_t *)out + sizeof dm->state);
}

bool dm_ballooned_next(const struct dm *dm, uint64_t from, struct dm_range *out)
{
	out->count = page_set_next(&dm->ballooned, from, UINT64_MAX, &out->first);
	return out->count > 0;
}

static bool state_is_valid(const struct dm *dm, const struct dm_state *state)
{
	const struct dm_range *hot = &dm->config.hot;
	const struct dm_range *last;

	if (state->phase >= DM_PHASE_COUNT || state->operation >= DM_OPERATION_COUNT || state->owes > DM_OWES_MASK ||
	    state->accepted > 1 || state->late > 1 || state->reported > 1 || state->hot_add_refused > 1)
		return false;
	if (state->target == 0 || state->target > dm->config.max_pages || state->added_count > DM_ADDED_MAX ||
	    state->asked > DM_OPERATION_PAGES || state->got > state->asked ||
	    !dm_ranges_are_valid(state->added, state->added_count, hot->first, dm_range_end(hot)))
		return false;
	if ((state->phase == DM_NEGOTIATED || state->phase == DM_READY) && !dm_speaks(state->version))
		return false;
	if (state->operation == DM_IDLE || state->phase == DM_BROKEN)
		return true;
	if (state->phase != DM_READY)
		return false;
	if (state->operation != DM_HOT_ADD)
		return true;
	/* What is being added is the end of what was added last. */
	last = state->added_count ? &state->added[state->added_count - 1] : NULL;
	return last && state->adding.count && state->adding.count <= last->count &&
	       state->adding.first == dm_range_end(last) - state->adding.count;
}

int dm_set_state(struct dm *dm, const void *saved, size_t bytes)
{
	const struct dm_state old = dm->state;
	struct dm_state state;
	struct dm_range run = { 0, 0 };

	if (dm->channel)
		return -EBUSY;
	if (!dm->paused || bytes != dm_state_bytes(dm))
		return -EINVAL;
	memcpy(&state, saved, sizeof state);
	if (!state_is_valid(dm, &state) || page_set_load(&dm->ballooned, (const uint8_t *)saved + sizeof state))
		return -EINVAL;
	dm->state = state;
	while (dm_ballooned_next(dm, dm_range_end(&run), &run)) {
		if (!dm_ram_has(dm, run.first, run.count) || state.phase == DM_CLOSED) {
			dm->state = old;
			page_set_clear(&dm->ballooned);
			return -EINVAL;
		}
	}
	return 0;
}
