// SPDX-License-Identifier: Apache-2.0
#include "dm/ram.h"

#define PAGES_PER_MIB 256u
#define UNIT_MIN      512u	/* large pages, whatever smaller unit the guest would take */

uint64_t dm_ranges_pages(const struct dm_range *ranges, unsigned count)
{
	uint64_t pages = 0;

	for (unsigned i = 0; i < count; i++)
		pages += ranges[i].count;
	return pages;
}

uint64_t dm_ram_assigned(const struct dm *dm)
{
	return dm_ranges_pages(dm->config.ram, dm->config.ram_count) +
	       dm_ranges_pages(dm->state.added, dm->state.added_count) - dm->ballooned.count;
}

uint64_t dm_range_end(const struct dm_range *range)
{
	return range->first + range->count;
}

/* Frames of RAM from `first` on that lie in one range; 0: it is no RAM. */
static uint64_t ram_from(const struct dm *dm, uint64_t first)
{
	for (unsigned i = 0; i < dm->config.ram_count; i++) {
		const struct dm_range *range = &dm->config.ram[i];

		if (first >= range->first && first < dm_range_end(range))
			return dm_range_end(range) - first;
	}
	for (unsigned i = 0; i < dm->state.added_count; i++) {
		const struct dm_range *range = &dm->state.added[i];

		if (first >= range->first && first < dm_range_end(range))
			return dm_range_end(range) - first;
	}
	return 0;
}

bool dm_ram_has(const struct dm *dm, uint64_t first, uint64_t count)
{
	while (count) {
		uint64_t here = ram_from(dm, first);

		if (here == 0)
			return false;
		if (here >= count)
			return true;
		first += here;
		count -= here;
	}
	return true;
}

uint64_t dm_ram_unit(const struct dm *dm)
{
	uint64_t pages = DM_HOT_ADD_ALIGNMENT(dm->state.capabilities) * PAGES_PER_MIB;

	return pages < UNIT_MIN ? UNIT_MIN : pages;
}

uint64_t dm_ram_room(const struct dm *dm, uint64_t *out_first)
{
	const struct dm_state *state = &dm->state;
	const struct dm_range *last = state->added_count ? &state->added[state->added_count - 1] : NULL;
	uint64_t unit = dm_ram_unit(dm), end = dm_range_end(&dm->config.hot);
	uint64_t first = dm_round_up(last ? dm_range_end(last) : dm->config.hot.first, unit);

	*out_first = first;
	if (first >= end || (state->added_count == DM_ADDED_MAX && first != dm_range_end(last)))
		return 0;
	return (end - first) / unit * unit;
}

void dm_ram_grow(struct dm *dm, uint64_t first, uint64_t count)
{
	struct dm_state *state = &dm->state;

	if (state->added_count && dm_range_end(&state->added[state->added_count - 1]) == first)
		state->added[state->added_count - 1].count += count;
	else
		state->added[state->added_count++] = (struct dm_range){ first, count };
}

void dm_ram_shrink(struct dm *dm, uint64_t count)
{
	struct dm_state *state = &dm->state;

	state->added[state->added_count - 1].count -= count;
	if (state->added[state->added_count - 1].count == 0)
		state->added_count--;
}

bool dm_ranges_are_valid(const struct dm_range *ranges, unsigned count, uint64_t from, uint64_t end)
{
	for (unsigned i = 0; i < count; i++) {
		if (ranges[i].count == 0 || ranges[i].first < from || ranges[i].first > end ||
		    ranges[i].count > end - ranges[i].first)
			return false;
		from = dm_range_end(&ranges[i]);
	}
	return true;
}
