/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM that comes and goes while the child runs: pages that a guest gave up return to the parent, and are the guest's again
 * later; memory is added in the address space that guest_mem_reserve() kept for it. What vsp/dm asks of its owner.
 *
 * The caller knows that the guest does not use what it takes; a guest that touches it all the same gets an intercept, like
 * for any address where nothing is. One thread calls these. Addresses and sizes are page multiples.
 */
#ifndef WORKER_GUEST_RAM_H
#define WORKER_GUEST_RAM_H

#include "worker/backend.h"
#include "worker/guest_mem.h"

/* Takes RAM from the guest; its contents are gone. On failure some of it is taken: it may be taken again, or returned. */
int guest_ram_take(struct backend *b, const struct guest_mem *mem, uint64_t gpa, uint64_t bytes, struct failure *why) MUST_CHECK;
/* Makes what was taken the guest's again, zeroed. On failure all of it is still taken. */
int guest_ram_return(struct backend *b, const struct guest_mem *mem, uint64_t gpa, uint64_t bytes,
		     struct failure *why) MUST_CHECK;
/* Adds zeroed RAM; multiples of GUEST_MEM_ALIGN within mem->growth, where nothing is or where what was added is taken. On
 * failure the guest has none of it. */
int guest_ram_add(struct backend *b, struct guest_mem *mem, uint64_t gpa, uint64_t bytes, struct failure *why) MUST_CHECK;

#endif
