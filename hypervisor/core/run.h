/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: deliver, enter, dispatch, again. And the root scheduler's DispatchVp, which nests a child's loop in the parent's. */
#ifndef CORE_RUN_H
#define CORE_RUN_H

#include "core/scheduler.h"
#include "core/vp.h"

/* Runs the root VP of this CPU for ever. */
_Noreturn void run_root(struct cpu *cpu);

/* HvCallDispatchVp on the calling CPU: runs the child until an intercept, a suspension, blocking, the end of the time slice
 * (100 ns, 0 none) or work for the parent. Statuses: INVALID_VP_STATE when another CPU has it. */
enum hv_status run_dispatch(struct vp *vp, uint32_t flags, uint64_t time_slice, struct hv_output_dispatch_vp *out) MUST_CHECK;

#endif
