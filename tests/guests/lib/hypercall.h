/* SPDX-License-Identifier: Apache-2.0 */
/* Hypercalls through the page. Every register that is no parameter carries a pattern and is looked at afterwards. */
#ifndef GUEST_HYPERCALL_H
#define GUEST_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

/* Layout as hypercall_enter in trap.S has it. */
struct hypercall_registers {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rflags;
};

#define HYPERCALL_GUEST_OS_ID (0x8f00ull << 48 | 1)	/* open source, none of the well-known ones */

/* Identifies the guest and places the page; returns what HV_MSR_HYPERCALL reads afterwards. */
uint64_t hypercall_enable(void);
void hypercall_disable(void);
const uint8_t *hypercall_page(void);		/* where hypercall_enable places it */

/*
 * Calls through the page with interrupts off. Returns RAX. A register other than RAX that differs afterwards, or a
 * reserved bit in the result, fails the running test.
 */
uint64_t hypercall(uint64_t control, uint64_t input, uint64_t output);

void hypercall_enter(struct hypercall_registers *registers, const void *page);	/* as it is */

#endif
