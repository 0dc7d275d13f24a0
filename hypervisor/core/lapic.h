/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC that every VP has, the parent's and the children's alike. xAPIC registers by MMIO offset, x2APIC by MSR.
 * IRR bits may be set by any CPU at any time (atomic); all else belongs to the CPU that runs the VP, or to a caller that
 * holds the VP suspended. Source: APM vol. 2 chapter 16; SDM vol. 3 chapter 11.
 */
#ifndef CORE_LAPIC_H
#define CORE_LAPIC_H

#include "core/types.h"
#include "hv/hv_hypercall.h"

#define LAPIC_MMIO_BASE 0xfee00000ull

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic {
	uint64_t base_msr;		/* IA32_APIC_BASE: 8 BSP, 10 x2APIC, 11 enable */
	uint32_t id;			/* physical APIC id */
	uint32_t tpr, ldr, dfr, svr, esr, esr_shadow, icr_low, icr_high;
	uint32_t lvt[LVT_COUNT];
	uint32_t irr[8];		/* atomic: any CPU */
	uint32_t tmr[8];		/* atomic: any CPU */
	uint32_t isr[8];
	uint32_t auto_eoi[8];		/* vectors of auto-EOI SINTs: acceptance sets no ISR bit */
	uint32_t divide_config, initial_count;
	uint64_t timer_start_tsc;	/* TSC at which initial_count was loaded */
	uint64_t timer_deadline_tsc;	/* next expiry, ~0 none */
	uint64_t tsc_deadline_msr;
	uint64_t hz;			/* input clock at divide-by-1 */
	bool x2apic_allowed, tsc_deadline_allowed;
	/* Root only: a level-triggered physical interrupt was ended by the guest. NULL for children. */
	void (*level_eoi)(struct vp *vp, uint8_t vector);
	/* Root only: LINT/DFR/LDR/SVR/ID registers changed and the physical LAPIC has to follow. NULL for children. */
	void (*mirror)(struct vp *vp);
};

/* Power-on state. */
void lapic_init(struct vp *vp, uint32_t apic_id, bool bsp, uint64_t hz);
/* INIT: as power-on, but APIC_BASE and the id stay. */
void lapic_reset(struct vp *vp);

/* Register access by xAPIC offset (0..0xff0, 16-byte aligned, 32 bits). Unknown offsets read 0 and ignore writes (and set
 * ESR bit 7). A write of ICR, EOI, TPR, timer registers has its full effect. */
uint32_t lapic_read(struct vp *vp, uint32_t offset);
void lapic_write(struct vp *vp, uint32_t offset, uint32_t value);

/* x2APIC MSRs 0x800..0x8ff, APIC_BASE (0x1b), TSC_DEADLINE (0x6e0). false: #GP. */
bool lapic_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value) MUST_CHECK;
bool lapic_msr_write(struct vp *vp, uint32_t msr, uint64_t value) MUST_CHECK;
/* ICR in one 64-bit write (x2APIC form when x2apic, else destination in 63:56). */
void lapic_write_icr(struct vp *vp, uint64_t value, bool x2apic_format);
void lapic_eoi(struct vp *vp);

/* Makes `vector` pending and wakes the VP (vp_wake). Any CPU. Edge if !level. Lost when the APIC is software-disabled. */
void lapic_post(struct vp *vp, uint8_t vector, bool level);

/* Sends an interrupt message inside a partition, as ICR, MSI or HvCallAssertVirtualInterrupt would.
 * destination: APIC id or logical id, 0xff (xAPIC) or 0xffffffff broadcast. Returns how many VPs it reached. */
unsigned lapic_deliver(struct partition *partition, enum hv_interrupt_type type, uint8_t vector, bool level,
		       bool logical, uint32_t destination);

/* Highest pending vector above the processor priority, or -1. */
int lapic_pending(const struct vp *vp);
/* Highest pending vector that would wake a halted VP, taking TPR and ISR into account: same as above. */
/* The CPU took `vector`: IRR -> ISR (or nothing more, when auto-EOI). */
void lapic_accept(struct vp *vp, uint8_t vector);

/* Fires what is due at `now`; returns the next deadline (TSC), ~0 none. */
uint64_t lapic_timer_run(struct vp *vp, uint64_t now);

/* CR8 / TPR. */
static inline uint8_t lapic_cr8_from_tpr(uint32_t tpr) { return (uint8_t)(tpr >> 4); }

/* Whole state, for HvCallGet/SetVpState. set: INVALID_PARAMETER on nonsense (reserved vectors, ids not the VP's). */
void lapic_state_get(const struct vp *vp, struct hv_lapic_state *out);
enum hv_status lapic_state_set(struct vp *vp, const struct hv_lapic_state *in) MUST_CHECK;

#endif
