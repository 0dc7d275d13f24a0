/* SPDX-License-Identifier: Apache-2.0 */
/* Free pages are linked through their own first words. */
#include "core/mem.h"
#include "core/page_pool.h"
#include "core/platform.h"

static uint64_t *link_of(uint64_t page)
{
	return platform_ptr(SPA(page));
}

static bool is_hypervisor_block(uint64_t page)
{
	return page >= machine.hv_base.v && page - machine.hv_base.v < machine.hv_bytes;
}

static void push(struct page_pool *pool, uint64_t page)
{
	*link_of(page) = pool->free_head;
	pool->free_head = page;
	pool->free_count++;
}

void page_pool_add(struct page_pool *pool, spa_t page)
{
	spin_lock(&pool->lock);
	push(pool, page.v);
	spin_unlock(&pool->lock);
}

static spa_t alloc_above(struct page_pool *pool, uint64_t reserve)
{
	uint64_t page = 0;

	spin_lock(&pool->lock);
	if (pool->free_count > reserve) {
		page = pool->free_head;
		pool->free_head = *link_of(page);
		pool->free_count--;
		pool->used_count++;
	}
	spin_unlock(&pool->lock);
	if (page)
		memset(platform_ptr(SPA(page)), 0, PAGE_BYTES);
	return SPA(page);
}

spa_t page_pool_alloc(struct page_pool *pool)
{
	return alloc_above(pool, pool->reserve);
}

spa_t page_pool_alloc_reserved(struct page_pool *pool)
{
	return alloc_above(pool, 0);
}

void page_pool_free(struct page_pool *pool, spa_t page)
{
	spin_lock(&pool->lock);
	CHECK(pool->used_count > 0);
	pool->used_count--;
	push(pool, page.v);
	spin_unlock(&pool->lock);
}

bool page_pool_take(struct page_pool *pool, spa_t *out_page)
{
	uint64_t before = 0, page = 0;

	spin_lock(&pool->lock);
	if (pool->free_count > pool->reserve) {
		/* Deposits are pushed in front, so that this ends at once for all but the root's pool. */
		page = pool->free_head;
		while (page && is_hypervisor_block(page)) {
			before = page;
			page = *link_of(page);
		}
	}
	if (page) {
		if (before)
			*link_of(before) = *link_of(page);
		else
			pool->free_head = *link_of(page);
		pool->free_count--;
	}
	spin_unlock(&pool->lock);
	if (!page)
		return false;
	memset(platform_ptr(SPA(page)), 0, PAGE_BYTES);
	*out_page = SPA(page);
	return true;
}
