/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The local APIC that every VP has, the parent's and the children's alike. xAPIC registers by MMIO offset, x2APIC by MSR.
 * IRR, TMR and error bits may be set by any CPU at any time (atomic); all else belongs to the CPU that runs the VP, or to a
 * caller that holds the VP suspended; other CPUs read id, mode and destination registers when they look for a target.
 * Source: APM vol. 2 chapter 16; SDM vol. 3 chapter 11.
 */
#ifndef CORE_LAPIC_H
#define CORE_LAPIC_H

#include "core/types.h"
#include "hv/hv_hypercall.h"

#define LAPIC_MMIO_BASE 0xfee00000ull
#define LAPIC_MSR_BASE         0x1bu
#define LAPIC_MSR_TSC_DEADLINE 0x6e0u
#define LAPIC_MSR_X2APIC_FIRST 0x800u
#define LAPIC_MSR_X2APIC_LAST  0x8ffu
#define LAPIC_VERSION   0x50014u	/* six LVT entries, no directed EOI */

#define LAPIC_BASE_BSP    (1ull << 8)
#define LAPIC_BASE_X2APIC (1ull << 10)
#define LAPIC_BASE_ENABLE (1ull << 11)

#define LAPIC_SVR_ENABLE  0x100u
#define LAPIC_LVT_MASKED  0x10000u
#define LAPIC_ESR_SEND_VECTOR    0x20u
#define LAPIC_ESR_RECEIVE_VECTOR 0x40u
#define LAPIC_ESR_REGISTER       0x80u

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct lapic {
	uint64_t base_msr;		/* IA32_APIC_BASE: 8 BSP, 10 x2APIC, 11 enable */
	uint32_t id;			/* physical APIC id */
	uint32_t tpr, ldr, dfr, svr, icr_low, icr_high;
	uint32_t esr;			/* as latched by the last write */
	uint32_t esr_shadow;		/* atomic: errors since then */
	uint32_t lvt[LVT_COUNT];
	uint32_t irr[8];		/* atomic: any CPU */
	uint32_t tmr[8];		/* atomic: any CPU */
	uint32_t isr[8];
	uint32_t auto_eoi[8];		/* vectors of auto-EOI SINTs: acceptance sets no ISR bit */
	uint32_t divide_config, initial_count;
	uint32_t timer_first_count;	/* count at timer_start_tsc; later laps of a periodic timer have initial_count */
	uint64_t timer_start_tsc;
	uint64_t timer_deadline_tsc;	/* next expiry, ~0 none */
	uint64_t tsc_deadline_msr;	/* the guest's TSC */
	uint64_t hz;			/* input clock at divide-by-1 */
	bool x2apic_allowed, tsc_deadline_allowed;
	/* Root only: a level-triggered physical interrupt was ended by the guest, or was lost because the APIC is disabled.
	 * NULL for children, whose level interrupts end without notice. */
	void (*level_eoi)(struct vp *vp, uint8_t vector);
	/* Root only: LINT/DFR/LDR/SVR registers changed and the physical LAPIC has to follow. NULL for children. */
	void (*mirror)(struct vp *vp);
};

/* Power-on state. The hooks and what is allowed stay as they are (0 in a new VP); vectors of auto-EOI SINTs are forgotten. */
void lapic_init(struct vp *vp, uint32_t apic_id, bool bsp, uint64_t hz);
/* The parent gives a held VP another APIC id; the logical id of x2APIC mode follows it. */
void lapic_set_id(struct vp *vp, uint32_t apic_id);
/* INIT: as power-on, but APIC_BASE, the id and the vectors of auto-EOI SINTs stay. */
void lapic_reset(struct vp *vp);

/* Register access by xAPIC offset (0..0xff0, 16-byte aligned, 32 bits). Unknown offsets read 0 and ignore writes (and set
 * ESR bit 7). A write of ICR, EOI, TPR, timer registers has its full effect. Unless the APIC is in xAPIC mode its page is
 * not decoded: reads give all ones, writes are lost. */
uint32_t lapic_read(struct vp *vp, uint32_t offset);
void lapic_write(struct vp *vp, uint32_t offset, uint32_t value);

/* x2APIC MSRs 0x800..0x8ff, APIC_BASE (0x1b), TSC_DEADLINE (0x6e0). false: #GP. */
bool lapic_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value) MUST_CHECK;
bool lapic_msr_write(struct vp *vp, uint32_t msr, uint64_t value) MUST_CHECK;
/* ICR in one 64-bit write (x2APIC form when x2apic, else destination in 63:56). */
void lapic_write_icr(struct vp *vp, uint64_t value, bool x2apic_format);
uint64_t lapic_read_icr(const struct vp *vp);
void lapic_eoi(struct vp *vp);
void lapic_set_tpr(struct vp *vp, uint8_t tpr);
static inline bool lapic_in_x2apic_mode(const struct lapic *l) { return l->base_msr & LAPIC_BASE_X2APIC; }

/* Makes `vector` pending and wakes the VP (vp_wake). Any CPU; level with a level_eoi hook: the VP's own CPU only. Edge if
 * !level. Lost when the APIC is disabled. Vectors below 16 set ESR bit 6 and are lost too. */
void lapic_post(struct vp *vp, uint8_t vector, bool level);

/* Sends an interrupt message inside a partition, as ICR, MSI or HvCallAssertVirtualInterrupt would.
 * destination: APIC id or logical id; 0xff (to APICs in xAPIC mode) or 0xffffffff broadcast. Returns how many VPs it
 * reached. SMI, remote read and ExtINT reach nobody. INIT forgets an older SIPI; both are latched for vp_process_startup.
 * VPs of the partition must not be freed meanwhile. */
unsigned lapic_deliver(struct partition *partition, enum hv_interrupt_type type, uint8_t vector, bool level,
		       bool logical, uint32_t destination);

/* Highest pending vector above the processor priority (TPR and ISR), or -1. What wakes a halted VP, too. */
int lapic_pending(const struct vp *vp);
/* The CPU took `vector`: IRR -> ISR (or nothing more, when auto-EOI). */
void lapic_accept(struct vp *vp, uint8_t vector);

/* Fires what is due at `now`; returns the next deadline (TSC), ~0 none. Missed periods make one interrupt; the next one
 * keeps the phase. A masked timer counts on but asks for no deadline. */
uint64_t lapic_timer_run(struct vp *vp, uint64_t now);

/* CR8 / TPR. */
static inline uint8_t lapic_cr8_from_tpr(uint32_t tpr) { return (uint8_t)(tpr >> 4); }

/* Whole state, for HvCallGet/SetVpState, in the register formats of the current mode. set: INVALID_PARAMETER on nonsense
 * (reserved vectors, ids not the VP's, more count left than there was). */
void lapic_state_get(const struct vp *vp, struct hv_lapic_state *out);
enum hv_status lapic_state_set(struct vp *vp, const struct hv_lapic_state *in) MUST_CHECK;

#endif
