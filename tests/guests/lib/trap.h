/* SPDX-License-Identifier: Apache-2.0 */
/* Exceptions and interrupts. What has neither a fixup (x86.h) nor a handler ends the guest with FAIL. */
#ifndef GUEST_TRAP_H
#define GUEST_TRAP_H

#include <stdint.h>

struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

typedef void (*trap_handler)(struct trap_frame *frame);

void trap_init(void);		/* boot processor: fills the IDT, the TSS of ring 3, and loads both */
void trap_init_ap(void);	/* loads the same IDT */
void trap_set_handler(uint8_t vector, trap_handler handler);

/* Runs code in ring 3 (all memory is open to it) until it executes int $0x80; returns its RSI. */
uint64_t user_run(const void *entry, void *stack_top);

#endif
