/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GPA -> SPA map of a partition: four-level tables in the format of the CPU's nested paging (arch_ops.leaf_encode),
 * built from the partition's pool. Levels: 0 = 4 KiB, 1 = 2 MiB, 2 = 1 GiB leaves. Mapping a smaller leaf inside a larger
 * one splits it. Prepare, then commit: a failed call leaves the map as it was (spare empty tables may stay).
 */
#ifndef CORE_GPA_SPACE_H
#define CORE_GPA_SPACE_H

#include "core/page_pool.h"

struct gpa_space {
	struct spinlock lock;
	struct page_pool *pool;
	spa_t root;
	uint64_t mapped_pages;		/* 4 KiB pages */
	uint64_t generation;		/* (atomic) bumped by each change that needs a TLB flush; VPs compare before they enter */
	spa_t shared_table;		/* a level 0 table that many regions point to: copied before a change, never freed */
	spa_t spare;			/* table page for a change that must not fail; 0 none */
	bool uses_reserve;		/* tables may come from the pool's reserve */
};

struct gpa_mapping {
	spa_t spa;			/* of the byte asked for */
	uint8_t access;			/* ACCESS_*; 0: not mapped */
	uint8_t level;
};

#define GPA_LEVEL_4K 0u
#define GPA_LEVEL_2M 1u
#define GPA_LEVEL_1G 2u
#define GPA_LEVEL_BYTES(level) (PAGE_BYTES << (9 * (level)))

enum hv_status gpa_space_init(struct gpa_space *space, struct page_pool *pool) MUST_CHECK;
/* Gives all tables back to the pool. Frame counts are the caller's business. */
void gpa_space_fini(struct gpa_space *space);

/* gpa and spa aligned to the level. Supersedes what was there. INVALID_PARAMETER, INSUFFICIENT_MEMORY. Takes the lock.
 * map and unmap free the tables that they replace at once: use them for level 0, or while no VP runs on the space. */
enum hv_status gpa_space_map(struct gpa_space *space, gpa_t gpa, spa_t spa, uint8_t access, uint8_t level) MUST_CHECK;

/* The general form: puts a leaf at gpa (access 0: nothing) and hands back the entry that was there, 0 for none: a leaf, or a
 * table with many smaller ones. The caller flushes (partition_flush) and then gives it to gpa_space_release. */
enum hv_status gpa_space_exchange(struct gpa_space *space, gpa_t gpa, spa_t spa, uint8_t access, uint8_t level,
				  uint64_t *out_old) MUST_CHECK;
/* Visits each leaf of a detached entry (visit may be NULL) and gives its tables back to the pool. */
void gpa_space_release(struct gpa_space *space, gpa_t gpa, uint64_t old, uint8_t level,
		       void (*visit)(void *arg, gpa_t gpa, spa_t spa, uint8_t level), void *arg);
/* Lets the 2 MiB at gpa use space->shared_table. */
enum hv_status gpa_space_share(struct gpa_space *space, gpa_t gpa) MUST_CHECK;

/* A table page, used when the pool has none to give. Takes the lock. */
void gpa_space_give_spare(struct gpa_space *space, spa_t page);
/* Back to the pool, if it was not used. Takes the lock. */
void gpa_space_drop_spare(struct gpa_space *space);

/* Removes what is mapped in [gpa, gpa + level size), splitting a larger leaf; nothing there is fine. */
enum hv_status gpa_space_unmap(struct gpa_space *space, gpa_t gpa, uint8_t level) MUST_CHECK;
/* Takes the lock. */
struct gpa_mapping gpa_space_lookup(struct gpa_space *space, gpa_t gpa);
/* Same, for callers that hold space->lock. */
struct gpa_mapping gpa_space_lookup_locked(const struct gpa_space *space, gpa_t gpa);

/* After rights were taken away: returns when no CPU uses an older translation any more (run.c). No lock may be held that a
 * running CPU could wait for. */
void gpa_space_shootdown(const struct gpa_space *space);

/* Calls visit for each present leaf, in ascending order, without the lock: for teardown. */
void gpa_space_for_each(struct gpa_space *space, void (*visit)(void *arg, gpa_t gpa, spa_t spa, uint8_t level), void *arg);

#endif
