/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Root scheduler: which blocked children the parent must be told about. Each CPU keeps a list of the VPs that became runnable
 * through its own doing, and names them in one message to its root VP's SINT0 (pairs of partition id and VP index).
 */
#ifndef CORE_SCHEDULER_H
#define CORE_SCHEDULER_H

#include "core/vp.h"

/* A VP that was reported BLOCKED can run again. The message leaves before this CPU enters a guest. */
void scheduler_signal(struct vp *vp);
void scheduler_signal_locked(struct cpu *cpu, struct vp *vp);	/* cpu->lock is held */
static inline bool scheduler_pending(const struct cpu *cpu)
{
	return !list_empty(&cpu->signals);
}
/* Next message for SINT0 of a root VP; called by synic_scan with its SynIC lock held. */
bool scheduler_take_message(struct vp *root_vp, struct hv_message *out);
/* Forget a VP that is being deleted, wherever it waits. */
void scheduler_forget(struct vp *vp);

#endif
