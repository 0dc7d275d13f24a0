/* SPDX-License-Identifier: Apache-2.0 */
/* The machine below the core: descriptors, page tables, the physical LAPIC, per-CPU areas. */
#ifndef X86_X86_H
#define X86_X86_H

#include "core/cpu.h"
#include "core/vp.h"

/* A CPU's own area, aligned to its size, so that the CPU is found from the stack pointer: struct x86_cpu in the lowest page,
 * a page that is not mapped, so that a stack which grows too far faults, the stack, and in the last eight bytes a pointer
 * to the struct. */
#define CPU_AREA_BYTES  0x8000ull
#define CPU_GUARD_AT    PAGE_BYTES

/* What the machine layer keeps for a CPU. */
struct x86_cpu {
	uint32_t in_window;		/* interrupts may come now; anything else is an exception of ours (idt_offsets.h) */
	struct cpu cpu;
	spa_t area;			/* CPU_AREA_BYTES */
	spa_t host_save;		/* VM_HSAVE_PA */

	/* Interrupt ownership, root_irq.c */
	int extint_vector;		/* taken from the 8259, not yet delivered; -1 none */
	bool lint0_gated;		/* physical LINT0 is masked until the guest can take an ExtINT */
	uint32_t eoi_wanted[8];		/* level-triggered vectors that the guest ended out of order */
	uint32_t taken;			/* interrupts and NMIs taken in windows, ever */
};

static inline struct x86_cpu *x86_of(struct cpu *cpu)
{
	return cpu->platform;
}

/* desc.c: GDT and IDT of the hypervisor; the same on every CPU. */
#define HOST_CS 0x08
#define HOST_DS 0x10
void desc_init(void);
void desc_load(void);

/* paging.c: identity map of RAM and the LAPIC, no execution outside the image's text, no writing to it. */
enum hv_status paging_init(spa_t image, uint64_t image_bytes);
void paging_guard(spa_t page);		/* takes one page of the hypervisor's block out of the map */
void paging_load(void);

/* lapic_hw.c: the physical LAPIC, in either mode. Offsets as in xAPIC. */
#define VECTOR_HV_SPURIOUS 0xffu
#define VECTOR_HV_DOORBELL 0xf2u
#define VECTOR_HV_TIMER    0xf1u
#define LAPIC_ID      0x020u
#define LAPIC_TPR     0x080u
#define LAPIC_EOI     0x0b0u
#define LAPIC_LDR     0x0d0u
#define LAPIC_DFR     0x0e0u
#define LAPIC_SVR     0x0f0u
#define LAPIC_ISR     0x100u
#define LAPIC_TMR     0x180u
#define LAPIC_IRR     0x200u
#define LAPIC_ESR     0x280u
#define LAPIC_ICR_LOW 0x300u
#define LAPIC_LVTT    0x320u
#define LAPIC_LVT_THERMAL 0x330u
#define LAPIC_LVT_PERF 0x340u
#define LAPIC_LINT0   0x350u
#define LAPIC_LINT1   0x360u
#define LAPIC_LVT_ERROR 0x370u
#define LAPIC_TMICT   0x380u
#define LAPIC_TMCCT   0x390u
#define LAPIC_TDCR    0x3e0u
#define LVT_MASKED    (1u << 16)
#define LVT_MODE(v)   (((v) >> 8) & 7)
#define LVT_MODE_EXTINT 7u
void lapic_hw_init(void);		/* once: which mode the firmware left */
bool lapic_hw_is_x2apic(void);
uint32_t lapic_hw_read(uint32_t offset);
void lapic_hw_write(uint32_t offset, uint32_t value);
void lapic_hw_send(uint32_t apic_id, uint8_t vector);
uint32_t lapic_hw_id(void);
bool lapic_hw_bit(uint32_t base, uint8_t vector);
int lapic_hw_highest(uint32_t base);

/* root_irq.c: physical interrupts belong to the parent; the hypervisor acknowledges them and hands them on. */
void root_irq_adopt(struct vp *vp);	/* on the VP's CPU: virtual LAPIC := physical, then the physical one is ours */
void x86_interrupt(struct x86_cpu *c, uint32_t vector);

#endif
