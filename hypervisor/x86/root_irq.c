/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical interrupts belong to the parent. The hypervisor acknowledges them in a short window and makes them pending in the
 * virtual LAPIC of the root VP of the same CPU.
 *
 *   edge      physical EOI at once
 *   level     the physical ISR bit stays until the guest ends the vector, which keeps the line from storming
 *   8259      (ExtINT) acknowledged only when the guest can take it at once: the vector that the 8259 gives depends on
 *             what the guest has programmed by then. Until that moment LINT0 is masked.
 */
#include "core/partition.h"
#include "x86/cpu.h"
#include "x86/x86.h"

static struct x86_cpu *here(void)
{
	return x86_of(platform_cpu());
}

/* Masking LINT0 leaves a request that the CPU has already latched; a write of TPR makes the LAPIC look again. */
static void lint0_set(struct x86_cpu *c, uint32_t virtual_lint0)
{
	bool extint = LVT_MODE(virtual_lint0) == LVT_MODE_EXTINT;

	lapic_hw_write(LAPIC_LINT0, virtual_lint0 | (extint && c->lint0_gated ? LVT_MASKED : 0));
	lapic_hw_write(LAPIC_TPR, 0);
}

static void gate(struct x86_cpu *c, bool closed)
{
	c->lint0_gated = closed;
	lint0_set(c, c->cpu.root_vp->lapic.lvt[LVT_LINT0]);
}

static void mirror(struct vp *vp)
{
	struct x86_cpu *c = here();

	if (vp->home != &c->cpu)
		return;		/* reset from elsewhere: its own CPU does it when it starts */
	lapic_hw_write(LAPIC_LDR, vp->lapic.ldr);
	lapic_hw_write(LAPIC_DFR, vp->lapic.dfr);
	lapic_hw_write(LAPIC_SVR, 0x100 | VECTOR_HV_SPURIOUS);
	lapic_hw_write(LAPIC_LINT1, vp->lapic.lvt[LVT_LINT1]);
	lint0_set(c, vp->lapic.lvt[LVT_LINT0]);
}

static void eoi_what_is_wanted(struct x86_cpu *c)
{
	int v;

	while ((v = lapic_hw_highest(LAPIC_ISR)) >= 0 && (c->eoi_wanted[v / 32] & (1u << (v % 32)))) {
		c->eoi_wanted[v / 32] &= ~(1u << (v % 32));
		lapic_hw_write(LAPIC_EOI, 0);
	}
}

static void level_eoi(struct vp *vp, uint8_t vector)
{
	struct x86_cpu *c = here();

	(void)vp;
	c->eoi_wanted[vector / 32] |= 1u << (vector % 32);
	eoi_what_is_wanted(c);
}

/* Called by idt.S inside a window. */
void x86_interrupt(struct x86_cpu *c, uint32_t vector)
{
	struct vp *root = c->cpu.root_vp;
	bool level;

	c->taken++;
	if (vector == 2) {
		__atomic_store_n(&root->nmi_pending, 1, __ATOMIC_SEQ_CST);
		platform_set_timer(platform_tsc());	/* an idle wait that this came just before must not sleep on */
		return;
	}
	if (vector == VECTOR_HV_SPURIOUS)
		return;
	if (!lapic_hw_bit(LAPIC_ISR, (uint8_t)vector)) {
		c->extint_vector = (int)vector;
		gate(c, true);				/* one at a time */
		return;
	}
	if (vector == VECTOR_HV_TIMER || vector == VECTOR_HV_DOORBELL) {
		if (vector == VECTOR_HV_TIMER)
			c->cpu.timer_deadline = ~0ull;
		lapic_hw_write(LAPIC_EOI, 0);
		return;
	}
	level = lapic_hw_bit(LAPIC_TMR, (uint8_t)vector);
	lapic_post(root, (uint8_t)vector, level);
	if (!level)
		lapic_hw_write(LAPIC_EOI, 0);
}

static bool extint_enabled(const struct vp *root)
{
	uint32_t lint0 = root->lapic.lvt[LVT_LINT0];

	return LVT_MODE(lint0) == LVT_MODE_EXTINT && !(lint0 & LVT_MASKED);
}

/* Could the guest take an interrupt the moment it is entered again? */
static bool ready_for_extint(const struct x86_cpu *c, const struct vp *root)
{
	return c->extint_vector < 0 && c->cpu.current == root && root->activity != VP_WAIT_SIPI && arch->can_interrupt(root);
}

static void window(struct x86_cpu *c, void (*wait)(void))
{
	c->in_window = 1;
	wait();
	c->in_window = 0;
	eoi_what_is_wanted(c);
}

void platform_take_interrupts(struct vp *root)
{
	struct x86_cpu *c = here();
	uint32_t before = c->taken;

	if (!extint_enabled(root) || c->extint_vector >= 0) {
		window(c, arch->let_interrupts_in);
		return;
	}
	if (ready_for_extint(c, root)) {
		if (c->lint0_gated)
			gate(c, false);
		window(c, arch->let_interrupts_in);
		return;
	}
	if (!c->lint0_gated)
		gate(c, true);
	window(c, arch->let_interrupts_in);
	if (c->taken != before)
		gate(c, false);		/* it was the LAPIC's; an 8259 that also asks makes the next exit */
	else
		root->want_window = true;
}

void platform_idle(struct vp *root)
{
	struct x86_cpu *c = here();

	if (extint_enabled(root) && c->lint0_gated == ready_for_extint(c, root))
		gate(c, !c->lint0_gated);
	window(c, arch->wait_for_interrupt);
}

void platform_window_open(struct vp *root)
{
	root->want_window = false;
	platform_take_interrupts(root);
}

int platform_extint(struct cpu *cpu)
{
	return x86_of(cpu)->extint_vector;
}

void platform_extint_taken(struct cpu *cpu)
{
	x86_of(cpu)->extint_vector = -1;
	gate(x86_of(cpu), false);
}

/* The virtual LAPIC starts as what the firmware left in the physical one, its running timer included. */
void root_irq_adopt(struct vp *vp)
{
	struct x86_cpu *c = here();
	struct lapic *l = &vp->lapic;
	static const uint32_t lvt_offset[LVT_COUNT] = { LAPIC_LVTT,  LAPIC_LVT_THERMAL, LAPIC_LVT_PERF,
							LAPIC_LINT0, LAPIC_LINT1,	LAPIC_LVT_ERROR };
	uint32_t initial = lapic_hw_read(LAPIC_TMICT), divide = lapic_hw_read(LAPIC_TDCR);

	l->base_msr = cpu_rdmsr(MSR_APIC_BASE);
	l->ldr = lapic_hw_read(LAPIC_LDR);
	l->dfr = lapic_hw_read(LAPIC_DFR);
	l->svr = lapic_hw_read(LAPIC_SVR);
	l->tpr = lapic_hw_read(LAPIC_TPR);
	for (unsigned i = 0; i < LVT_COUNT; i++)
		l->lvt[i] = lapic_hw_read(lvt_offset[i]);
	lapic_write(vp, LAPIC_TDCR, divide);
	if (initial && !(l->lvt[LVT_TIMER] & LVT_MASKED))
		lapic_write(vp, LAPIC_TMICT, initial);

	l->level_eoi = level_eoi;
	l->mirror = mirror;
	c->extint_vector = -1;
	lapic_hw_write(LAPIC_LVTT, VECTOR_HV_TIMER);
	lapic_hw_write(LAPIC_TDCR, 0xb);		/* divide by 1 */
	lapic_hw_write(LAPIC_TMICT, 0);
	lapic_hw_write(LAPIC_LVT_ERROR, LVT_MASKED);
	lapic_hw_write(LAPIC_LVT_PERF, LVT_MASKED);
	lapic_hw_write(LAPIC_LVT_THERMAL, LVT_MASKED);
	c->cpu.timer_deadline = ~0ull;
	mirror(vp);
}
