/* SPDX-License-Identifier: Apache-2.0 */
/*
 * word: 15 deposited, 13:0 child mappings. Two levels: a directory covers 4 GiB and points to chunks of 8 MiB, both a page
 * of the root's pool. Nothing is ever taken out again, so lookups need no lock.
 */
#include "core/frame.h"
#include "core/lapic.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/platform.h"

#define WORD_DEPOSITED   0x8000u
#define WORD_COUNT_MASK  0x3fffu
#define CHUNK_SHIFT      (PAGE_SHIFT + 11)	/* 2048 words */
#define DIRECTORY_SHIFT  (CHUNK_SHIFT + 9)
#define DIRECTORIES_MAX  1024u			/* 4 TiB of RAM */
#define HOLES_MAX        32u

static uint64_t directories[DIRECTORIES_MAX];	/* SPA, 0 none yet */

static struct {
	uint64_t base, end;
} holes[HOLES_MAX];
static unsigned hole_count;

void frame_init(void)
{
	memset(directories, 0, sizeof directories);
}

bool frame_add_hole(spa_t base, uint64_t bytes)
{
	uint64_t end = base.v + bytes;

	for (unsigned i = 0; i < hole_count; i++) {
		if (base.v > holes[i].end || end < holes[i].base)
			continue;
		if (base.v < holes[i].base)
			holes[i].base = base.v;
		if (end > holes[i].end)
			holes[i].end = end;
		return true;
	}
	if (hole_count == HOLES_MAX)
		return false;
	holes[hole_count].base = base.v;
	holes[hole_count].end = end;
	hole_count++;
	return true;
}

bool frame_is_ram(spa_t page)
{
	if (page.v >= machine.ram_end || (page.v & PAGE_MASK) == LAPIC_MMIO_BASE)
		return false;
	for (unsigned i = 0; i < hole_count; i++)
		if (page.v >= holes[i].base && page.v < holes[i].end)
			return false;
	return true;
}

static bool is_hypervisor(spa_t page)
{
	return page.v >= machine.hv_base.v && page.v - machine.hv_base.v < machine.hv_bytes;
}

/* The page that *slot names; made when there is none yet. 0: the root's pool is empty. */
static uint64_t slot_get(uint64_t *slot, bool make)
{
	uint64_t now = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	spa_t fresh;

	if (now || !make)
		return now;
	fresh = page_pool_alloc_reserved(&root_partition->pool);
	if (!fresh.v)
		return 0;
	if (__atomic_compare_exchange_n(slot, &now, fresh.v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return fresh.v;
	page_pool_free(&root_partition->pool, fresh);
	return now;
}

static uint16_t *word_of(spa_t page, bool make)
{
	uint64_t directory, chunk;

	if (page.v >> DIRECTORY_SHIFT >= DIRECTORIES_MAX)
		return NULL;
	directory = slot_get(&directories[page.v >> DIRECTORY_SHIFT], make);
	if (!directory)
		return NULL;
	chunk = slot_get((uint64_t *)platform_ptr(SPA(directory)) + ((page.v >> CHUNK_SHIFT) & 511), make);
	if (!chunk)
		return NULL;
	return (uint16_t *)platform_ptr(SPA(chunk)) + ((page.v >> PAGE_SHIFT) & 2047);
}

enum hv_status frame_deposit(spa_t page)
{
	uint16_t *word, old = 0;

	/* Frame 0 cannot be told from "no page" and stays the parent's. */
	if (!page.v || !frame_is_ram(page) || is_hypervisor(page))
		return HV_STATUS_OPERATION_DENIED;
	word = word_of(page, true);
	if (!word)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	if (__atomic_compare_exchange_n(word, &old, WORD_DEPOSITED, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return HV_STATUS_SUCCESS;
	return old & WORD_DEPOSITED ? HV_STATUS_OPERATION_DENIED : HV_STATUS_OBJECT_IN_USE;
}

void frame_withdraw(spa_t page)
{
	uint16_t *word = word_of(page, false);

	CHECK(word && __atomic_load_n(word, __ATOMIC_RELAXED) == WORD_DEPOSITED);
	__atomic_store_n(word, 0, __ATOMIC_RELEASE);
}

static enum hv_status map_get_one(spa_t page)
{
	uint16_t *word, old;

	if (!page.v || !frame_is_ram(page) || is_hypervisor(page))
		return HV_STATUS_OPERATION_DENIED;
	word = word_of(page, true);
	if (!word)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	old = __atomic_load_n(word, __ATOMIC_ACQUIRE);
	do {
		if (old & WORD_DEPOSITED)
			return HV_STATUS_OPERATION_DENIED;
		if (old == WORD_COUNT_MASK)
			return HV_STATUS_OBJECT_IN_USE;
	} while (!__atomic_compare_exchange_n(word, &old, (uint16_t)(old + 1), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return HV_STATUS_SUCCESS;
}

enum hv_status frame_map_get(spa_t page, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		enum hv_status status = map_get_one(SPA(page.v + i * PAGE_BYTES));

		if (status != HV_STATUS_SUCCESS) {
			frame_map_put(page, i);
			return status;
		}
	}
	return HV_STATUS_SUCCESS;
}

void frame_map_put(spa_t page, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint16_t *word = word_of(SPA(page.v + i * PAGE_BYTES), false);

		uint16_t old;

		CHECK(word);
		old = __atomic_fetch_sub(word, 1, __ATOMIC_ACQ_REL);
		CHECK(old && !(old & WORD_DEPOSITED));
	}
}
