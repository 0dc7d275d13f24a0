// SPDX-License-Identifier: Apache-2.0
#include "worker/dynamic_memory.h"

#include <errno.h>
#include <string.h>

#include "worker/guest_ram.h"

_Static_assert(GUEST_MEM_SLOTS <= DM_RAM_MAX, "each slot is a range of RAM");

static uint64_t bytes_of(uint64_t pages)
{
	return pages << HV_PAGE_SHIFT;
}

/* Once is enough to know: what a guest can cause at will is counted. */
static void count(uint64_t *counter, const struct failure *why)
{
	if ((*counter)++ == 0)
		log_line("%s", why->text);
}

static void give_back(void *context, uint64_t first, uint64_t pages)
{
	struct dynamic_memory *d = context;
	struct failure why;

	if (guest_ram_take(d->backend, d->mem, bytes_of(first), bytes_of(pages), &why))
		count(&d->take_failures, &why);
}

static int take(void *context, uint64_t first, uint64_t pages)
{
	struct dynamic_memory *d = context;
	struct failure why;
	int r = guest_ram_return(d->backend, d->mem, bytes_of(first), bytes_of(pages), &why);

	if (r)
		count(&d->return_failures, &why);
	return r;
}

static int hot_add(void *context, uint64_t first, uint64_t pages)
{
	struct dynamic_memory *d = context;
	struct failure why;
	int r = guest_ram_add(d->backend, d->mem, bytes_of(first), bytes_of(pages), &why);

	if (r)
		count(&d->return_failures, &why);
	return r;
}

static void all_back(void *context)
{
	struct dynamic_memory *d = context;
	struct dm_range run = { 0, 0 };
	struct failure why;
	int r = 0;

	while (r == 0 && dm_ballooned_next(&d->dm, run.first + run.count, &run))
		r = guest_ram_return(d->backend, d->mem, bytes_of(run.first), bytes_of(run.count), &why);
	if (r)
		d->events->failed(d->context, &why);
}

static void status(void *context)
{
	struct dynamic_memory *d = context;

	d->events->status(d->context);
}

static const struct dm_events dm_events = { give_back, take, hot_add, all_back, status };

static struct dm_range range_of(const struct guest_mem_slot *slot)
{
	return (struct dm_range){ slot->gpa >> HV_PAGE_SHIFT, slot->size_bytes >> HV_PAGE_SHIFT };
}

int dynamic_memory_init(struct dynamic_memory *d, const struct vmbus_guid *instance, uint64_t maximum_bytes,
			struct backend *backend, struct guest_mem *mem, const struct dynamic_memory_events *events,
			void *context, struct failure *why)
{
	struct dm_config config = {
		.instance = *instance,
		.ram_count = mem->slot_count,
		.hot = range_of(&mem->growth),
		.max_pages = maximum_bytes >> HV_PAGE_SHIFT,
		.settle_ns = DM_SETTLE_NS,
	};
	int r;

	memset(d, 0, sizeof *d);
	for (unsigned i = 0; i < mem->slot_count; i++)
		config.ram[i] = range_of(&mem->slot[i]);
	d->backend = backend;
	d->mem = mem;
	d->events = events;
	d->context = context;
	r = dm_init(&d->dm, &config, &dm_events, d);
	if (r)
		return failure_set(why, r, "dynamic memory: %llu MiB are no maximum for this machine: %s",
				   (unsigned long long)(maximum_bytes >> 20), strerror(-r));
	return 0;
}

void dynamic_memory_fini(struct dynamic_memory *d)
{
	dm_fini(&d->dm);
}

int dynamic_memory_set_state(struct dynamic_memory *d, const void *state, size_t bytes, struct failure *why)
{
	struct dm_range run = { 0, 0 };
	int r = dm_set_state(&d->dm, state, bytes);

	if (r)
		return failure_set(why, r, "dynamic memory: the saved state does not fit this machine: %s", strerror(-r));
	for (unsigned i = 0; r == 0 && i < d->dm.state.added_count; i++) {
		const struct dm_range *added = &d->dm.state.added[i];

		r = guest_ram_add(d->backend, d->mem, bytes_of(added->first), bytes_of(added->count), why);
	}
	while (r == 0 && dm_ballooned_next(&d->dm, run.first + run.count, &run))
		r = guest_ram_take(d->backend, d->mem, bytes_of(run.first), bytes_of(run.count), why);
	return r;
}
