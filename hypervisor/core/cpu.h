/* SPDX-License-Identifier: Apache-2.0 */
/* A logical processor as the core sees it. Fields without a mark belong to the CPU itself. (k) guarded by lock. */
#ifndef CORE_CPU_H
#define CORE_CPU_H

#include "core/list.h"
#include "core/spinlock.h"

struct cpu {
	uint32_t index;			/* constant */
	uint32_t apic_id;		/* constant */
	struct vp *root_vp;		/* constant once lifted */
	struct vp *current;		/* whose state is loaded: root_vp, or the child being dispatched */
	struct spinlock lock;
	struct list_node blocked;	/* (k) children that block on this CPU with a deadline: vp->blocked_node */
	struct list_node signals;	/* (k) children to name in the next scheduler message: vp->signal_node */
	uint32_t in_guest;		/* atomic: from before the last look at pending work to the exit */
	uint64_t timer_deadline;	/* what platform_set_timer was last given */
	void *platform;			/* the machine layer's own */
};

extern struct cpu *cpus[CPUS_MAX];

#endif
