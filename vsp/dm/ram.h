/* SPDX-License-Identifier: Apache-2.0 */
/* Within dm: what RAM the guest has, and what could be added to it. */
#ifndef VSP_DM_RAM_H
#define VSP_DM_RAM_H

#include "dm/dm.h"

static inline uint64_t dm_round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

uint64_t dm_range_end(const struct dm_range *range);
uint64_t dm_ranges_pages(const struct dm_range *ranges, unsigned count);
/* In order, none empty, all in [from, end). */
bool dm_ranges_are_valid(const struct dm_range *ranges, unsigned count, uint64_t from, uint64_t end);

uint64_t dm_ram_assigned(const struct dm *dm);
/* Whether all of the range is RAM, ballooned or not. */
bool dm_ram_has(const struct dm *dm, uint64_t first, uint64_t count);

/* What the guest takes memory in. */
uint64_t dm_ram_unit(const struct dm *dm);
/* Room for new memory, in whole units, from *out_first on. */
uint64_t dm_ram_room(const struct dm *dm, uint64_t *out_first);
/* Of that room; shrink undoes the end of the last one. */
void dm_ram_grow(struct dm *dm, uint64_t first, uint64_t count);
void dm_ram_shrink(struct dm *dm, uint64_t count);

/* Whether this is a version of the protocol that we know. */
bool dm_speaks(uint32_t version);

#endif
