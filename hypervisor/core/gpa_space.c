/* SPDX-License-Identifier: Apache-2.0 */
/* Level 3 is the root table: it holds no leaves. */
#include "core/arch.h"
#include "core/gpa_space.h"
#include "core/mem.h"

#define LEVEL_TOP    3u
#define TABLE_SLOTS  512u
#define GPA_BITS_MAX 48

static uint64_t *table_at(spa_t table)
{
	return platform_ptr(table);
}

static unsigned slot_of(gpa_t gpa, unsigned level)
{
	return (unsigned)(gpa.v >> (PAGE_SHIFT + 9 * level)) & (TABLE_SLOTS - 1);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == GPA_LEVEL_4K || (level < LEVEL_TOP && arch->entry_is_leaf(entry, (uint8_t)level));
}

/* A table page is seen by the CPU as soon as its entry is stored: content first. */
static void entry_store(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

static void bump(struct gpa_space *space)
{
	__atomic_fetch_add(&space->generation, 1, __ATOMIC_SEQ_CST);
}

static spa_t table_alloc(struct gpa_space *space)
{
	spa_t table = space->uses_reserve ? page_pool_alloc_reserved(space->pool) : page_pool_alloc(space->pool);

	if (!table.v) {
		table = space->spare;
		space->spare = SPA(0);
	}
	return table;
}

void gpa_space_give_spare(struct gpa_space *space, spa_t page)
{
	spa_t old;

	spin_lock(&space->lock);
	old = space->spare;
	space->spare = page;
	spin_unlock(&space->lock);
	if (old.v)
		page_pool_free(space->pool, old);
}

void gpa_space_drop_spare(struct gpa_space *space)
{
	gpa_space_give_spare(space, SPA(0));
}

enum hv_status gpa_space_init(struct gpa_space *space, struct page_pool *pool)
{
	memset(space, 0, sizeof *space);
	space->pool = pool;
	space->generation = 1;
	space->root = page_pool_alloc(pool);
	return space->root.v ? HV_STATUS_SUCCESS : HV_STATUS_INSUFFICIENT_MEMORY;
}

typedef void (*leaf_visitor)(void *arg, gpa_t gpa, spa_t spa, uint8_t level);

/* Leaves below `table` (at `level`, mapping from `base` on) in ascending order; frees the tables on the way up. */
static void subtree_walk(struct gpa_space *space, spa_t table, unsigned level, gpa_t base, bool free_tables,
			 leaf_visitor visit, void *arg)
{
	spa_t tables[LEVEL_TOP + 1];
	unsigned next[LEVEL_TOP + 1];
	unsigned l = level;
	uint64_t entry;
	gpa_t gpa;

	tables[l] = table;
	next[l] = 0;
	for (;;) {
		if (next[l] == TABLE_SLOTS) {
			if (free_tables && tables[l].v != space->shared_table.v)
				page_pool_free(space->pool, tables[l]);
			if (l == level)
				return;
			l++;
			continue;
		}
		entry = table_at(tables[l])[next[l]++];
		if (!arch->entry_access(entry))
			continue;
		if (!is_leaf(entry, l)) {
			l--;
			tables[l] = arch->entry_spa(entry);
			next[l] = 0;
			continue;
		}
		if (!visit)
			continue;
		gpa = base;
		for (unsigned k = l; k <= level; k++)
			gpa.v += (uint64_t)(next[k] - 1) << (PAGE_SHIFT + 9 * k);
		visit(arg, gpa, arch->entry_spa(entry), (uint8_t)l);
	}
}

static void count_pages(void *arg, gpa_t gpa, spa_t spa, uint8_t level)
{
	*(uint64_t *)arg += 1ull << (9 * level);
	(void)gpa;
	(void)spa;
}

static uint64_t entry_pages(struct gpa_space *space, uint64_t entry, unsigned level)
{
	uint64_t pages = 0;

	if (!arch->entry_access(entry))
		return 0;
	if (is_leaf(entry, level))
		return 1ull << (9 * level);
	subtree_walk(space, arch->entry_spa(entry), level - 1, GPA(0), false, count_pages, &pages);
	return pages;
}

/* Replaces a leaf by a table of 512 smaller ones. The map stays what it was, so no flush is needed. */
static bool leaf_split(struct gpa_space *space, uint64_t *entry, unsigned level)
{
	spa_t table = table_alloc(space);
	spa_t spa = arch->entry_spa(*entry);
	uint8_t access = arch->entry_access(*entry);

	if (!table.v)
		return false;
	for (unsigned i = 0; i < TABLE_SLOTS; i++)
		table_at(table)[i] = arch->leaf_encode(SPA(spa.v + i * GPA_LEVEL_BYTES(level - 1)), access, (uint8_t)(level - 1));
	entry_store(entry, arch->table_encode(table));
	return true;
}

static bool table_unshare(struct gpa_space *space, uint64_t *entry)
{
	spa_t table = table_alloc(space);

	if (!table.v)
		return false;
	memcpy(table_at(table), table_at(space->shared_table), PAGE_BYTES);
	entry_store(entry, arch->table_encode(table));
	bump(space);		/* the CPU may remember the shared table itself */
	return true;
}

/* Makes *entry, at `level`, point to a table that may be changed. */
static bool table_make(struct gpa_space *space, uint64_t *entry, unsigned level)
{
	if (!arch->entry_access(*entry)) {
		spa_t table = table_alloc(space);

		if (table.v)
			entry_store(entry, arch->table_encode(table));
		return table.v != 0;
	}
	if (is_leaf(*entry, level))
		return leaf_split(space, entry, level);
	if (arch->entry_spa(*entry).v == space->shared_table.v)
		return table_unshare(space, entry);
	return true;
}

/* Puts `value` (0: nothing) at the entry for gpa at `level`. */
static enum hv_status entry_exchange(struct gpa_space *space, gpa_t gpa, unsigned level, uint64_t value, uint64_t *out_old)
{
	uint64_t *entry = &table_at(space->root)[slot_of(gpa, LEVEL_TOP)];
	uint64_t old;

	for (unsigned l = LEVEL_TOP; l > level; l--) {
		if (!value && !arch->entry_access(*entry)) {
			*out_old = 0;
			return HV_STATUS_SUCCESS;
		}
		if (!table_make(space, entry, l))
			return HV_STATUS_INSUFFICIENT_MEMORY;
		entry = &table_at(arch->entry_spa(*entry))[slot_of(gpa, l - 1)];
	}
	old = *entry;
	space->mapped_pages -= entry_pages(space, old, level);
	entry_store(entry, value);
	space->mapped_pages += entry_pages(space, value, level);
	if (arch->entry_access(old))
		bump(space);
	*out_old = arch->entry_access(old) ? old : 0;
	return HV_STATUS_SUCCESS;
}

static bool gpa_is_valid(gpa_t gpa, spa_t spa, uint8_t level)
{
	return level <= GPA_LEVEL_1G && !(gpa.v >> GPA_BITS_MAX) && !(gpa.v & (GPA_LEVEL_BYTES(level) - 1)) &&
	       !(spa.v & (GPA_LEVEL_BYTES(level) - 1));
}

enum hv_status gpa_space_exchange(struct gpa_space *space, gpa_t gpa, spa_t spa, uint8_t access, uint8_t level,
				  uint64_t *out_old)
{
	enum hv_status status;

	if (!gpa_is_valid(gpa, access ? spa : SPA(0), level))
		return HV_STATUS_INVALID_PARAMETER;
	spin_lock(&space->lock);
	status = entry_exchange(space, gpa, level, access ? arch->leaf_encode(spa, access, level) : 0, out_old);
	spin_unlock(&space->lock);
	return status;
}

void gpa_space_release(struct gpa_space *space, gpa_t gpa, uint64_t old, uint8_t level, leaf_visitor visit, void *arg)
{
	if (!arch->entry_access(old))
		return;
	if (!is_leaf(old, level))
		subtree_walk(space, arch->entry_spa(old), level - 1u, gpa, true, visit, arg);
	else if (visit)
		visit(arg, gpa, arch->entry_spa(old), level);
}

enum hv_status gpa_space_map(struct gpa_space *space, gpa_t gpa, spa_t spa, uint8_t access, uint8_t level)
{
	uint64_t old;
	enum hv_status status;

	if (!access)
		return HV_STATUS_INVALID_PARAMETER;
	status = gpa_space_exchange(space, gpa, spa, access, level, &old);
	if (status == HV_STATUS_SUCCESS)
		gpa_space_release(space, gpa, old, level, NULL, NULL);
	return status;
}

enum hv_status gpa_space_unmap(struct gpa_space *space, gpa_t gpa, uint8_t level)
{
	uint64_t old;
	enum hv_status status = gpa_space_exchange(space, gpa, SPA(0), 0, level, &old);

	if (status == HV_STATUS_SUCCESS)
		gpa_space_release(space, gpa, old, level, NULL, NULL);
	return status;
}

enum hv_status gpa_space_share(struct gpa_space *space, gpa_t gpa)
{
	uint64_t old;
	enum hv_status status;

	if (!gpa_is_valid(gpa, SPA(0), GPA_LEVEL_2M))
		return HV_STATUS_INVALID_PARAMETER;
	spin_lock(&space->lock);
	status = entry_exchange(space, gpa, GPA_LEVEL_2M, arch->table_encode(space->shared_table), &old);
	spin_unlock(&space->lock);
	if (status == HV_STATUS_SUCCESS)
		gpa_space_release(space, gpa, old, GPA_LEVEL_2M, NULL, NULL);
	return status;
}

struct gpa_mapping gpa_space_lookup_locked(const struct gpa_space *space, gpa_t gpa)
{
	const struct gpa_mapping none = { .access = 0 };
	spa_t table = space->root;
	uint64_t entry;

	if (gpa.v >> GPA_BITS_MAX || !table.v)
		return none;
	for (unsigned l = LEVEL_TOP;; l--) {
		entry = table_at(table)[slot_of(gpa, l)];
		if (!arch->entry_access(entry))
			return none;
		if (is_leaf(entry, l))
			return (struct gpa_mapping){
				.spa = SPA(arch->entry_spa(entry).v + (gpa.v & (GPA_LEVEL_BYTES(l) - 1))),
				.access = arch->entry_access(entry),
				.level = (uint8_t)l,
			};
		table = arch->entry_spa(entry);
	}
}

struct gpa_mapping gpa_space_lookup(struct gpa_space *space, gpa_t gpa)
{
	struct gpa_mapping mapping;

	spin_lock(&space->lock);
	mapping = gpa_space_lookup_locked(space, gpa);
	spin_unlock(&space->lock);
	return mapping;
}

void gpa_space_for_each(struct gpa_space *space, leaf_visitor visit, void *arg)
{
	if (space->root.v)
		subtree_walk(space, space->root, LEVEL_TOP, GPA(0), false, visit, arg);
}

void gpa_space_fini(struct gpa_space *space)
{
	if (!space->root.v)
		return;
	subtree_walk(space, space->root, LEVEL_TOP, GPA(0), true, NULL, NULL);
	if (space->spare.v)
		page_pool_free(space->pool, space->spare);
	space->root = space->spare = SPA(0);
	space->mapped_pages = 0;
}
