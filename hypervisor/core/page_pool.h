/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition's own pages: all that the hypervisor keeps for a partition comes from here. Filled by deposits (the root's
 * at boot from the hypervisor's block), emptied by withdrawals. Pages are zeroed when allocated and when withdrawn.
 */
#ifndef CORE_PAGE_POOL_H
#define CORE_PAGE_POOL_H

#include "core/spinlock.h"

struct page_pool {
	struct spinlock lock;
	uint64_t free_head;		/* SPA of the first free page, 0 none; linked through the pages */
	uint64_t free_count;
	uint64_t used_count;
	uint64_t reserve;		/* free pages that only page_pool_alloc_reserved may take */
};

void page_pool_add(struct page_pool *pool, spa_t page);
/* A zeroed page, or SPA 0 when the pool is empty. */
MUST_CHECK spa_t page_pool_alloc(struct page_pool *pool);
/* Same, and may use the reserve: for what a deposit itself needs, so that a full pool can always be helped. */
MUST_CHECK spa_t page_pool_alloc_reserved(struct page_pool *pool);
/* Back to the free list. */
void page_pool_free(struct page_pool *pool, spa_t page);
/* Takes a free page out of the pool for good, zeroed; false when there is none. Pages of the hypervisor's block stay. */
MUST_CHECK bool page_pool_take(struct page_pool *pool, spa_t *out_page);

#endif
