/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the core asks of the machine below it, apart from the virtualization extension (arch.h).
 * Two implementers: x86/ on the metal, fake/ on the host.
 */
#ifndef CORE_PLATFORM_H
#define CORE_PLATFORM_H

#include "core/types.h"

/* The hypervisor's own view of a page of RAM. Valid for any byte of RAM; callers stay inside the page. */
void *platform_ptr(spa_t spa);

/* The CPU this code runs on; never changes while the hypervisor code runs. */
struct cpu *platform_cpu(void);

/* Time stamp counter of the machine, in step on all CPUs. Its rate: machine.tsc_hz. */
uint64_t platform_tsc(void);

/* Makes another CPU leave guest mode or its idle wait soon. Harmless when it is in neither, and for the own CPU. */
void platform_kick(struct cpu *cpu);

/* One-shot: an interrupt on this CPU not before the TSC reaches `deadline` (~0: none) and soon after. */
void platform_set_timer(uint64_t deadline_tsc);

/* Physical interrupts belong to the parent and become pending in its virtual LAPIC. They are let in at these moments only: */
void platform_take_interrupts(struct vp *root);	/* an exit said that something is pending */
void platform_idle(struct vp *root);		/* nothing to run: wait for the next one */
void platform_window_open(struct vp *root);	/* the window that vp->want_window asked for */
/* A vector taken from the 8259 for this CPU's root VP, which it has not got yet; -1 none. */
int platform_extint(struct cpu *cpu);
void platform_extint_taken(struct cpu *cpu);

static inline void platform_pause(void)
{
	__builtin_ia32_pause();
}

/* We are broken and going on is unsafe: logs and stops this CPU for good. Not reachable by input. */
_Noreturn void platform_panic(const char *what, const char *file, int line);
#define CHECK(x) do { if (!(x)) platform_panic(#x, __FILE__, __LINE__); } while (0)

/* One finished line (with its newline) to the debug port. */
void platform_debug_write(const char *text, size_t bytes);

/* Facts of the machine, filled before the first VP runs, constant afterwards. */
struct machine {
	uint32_t cpu_count;
	uint64_t tsc_hz;
	uint64_t apic_hz;		/* physical LAPIC timer at divide-by-1 */
	bool tsc_reliable;		/* invariant or declared so: reference TSC pages are offered */
	bool tsc_invariant;		/* CPUID says so */
	uint8_t phys_bits;
	spa_t hv_base;			/* the hypervisor's block, 2 MiB aligned */
	uint64_t hv_bytes;
	uint64_t ram_end;		/* first SPA above all RAM */
	uint64_t xcr0_mask;		/* extended state components that fit a VP's state page; 0: no XSAVE */
};
extern struct machine machine;

#endif
