/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ticket lock. The hypervisor runs with interrupts held off, so a lock is never taken twice by one CPU through an
 * interrupt. Order, outermost first: partition list -> partition -> VP -> ports -> SynIC -> GPA space -> page pool -> frames ->
 * CPU.
 */
#ifndef CORE_SPINLOCK_H
#define CORE_SPINLOCK_H

#include "core/platform.h"

struct spinlock {
	uint16_t next;
	uint16_t owner;
};

static inline void spin_lock(struct spinlock *lock)
{
	uint16_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->owner, __ATOMIC_ACQUIRE) != ticket)
		platform_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
	__atomic_store_n(&lock->owner, (uint16_t)(lock->owner + 1), __ATOMIC_RELEASE);
}

#endif
