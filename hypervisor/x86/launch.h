/* SPDX-License-Identifier: Apache-2.0 */
/* The state of a CPU at the moment of its launch, as launch.S leaves it on the stack of whoever called. */
#ifndef X86_LAUNCH_H
#define X86_LAUNCH_H

#include "core/types.h"

/* Everything the C calling convention preserves, plus where to go on: the guest continues at `rip` with `rsp`, as if
 * launch_in_place had returned `1`. */
struct launch_state {
	uint64_t rbx, rbp, rdi, rsi, r12, r13, r14, r15;
	uint64_t rsp, rip, rflags;
};
WIRE_SIZE(struct launch_state, 88);

/* Calls lift(argument, state) on the present stack. Returns 1 in guest mode once lifted, 0 when lift returned. */
int launch_in_place(void (*lift)(void *argument, const struct launch_state *state), void *argument);

/* Leaves the present stack for good: fn(argument) on a new one. */
_Noreturn void launch_on_stack(void (*fn)(void *argument), void *argument, void *stack_top);

#endif
