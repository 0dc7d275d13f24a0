/* SPDX-License-Identifier: Apache-2.0 */
#include "svm/svm.h"

#include "core/mem.h"
#include "core/partition.h"
#include "x86/cpu.h"
#include "x86/launch.h"

/* svm_run.S */
void svm_run(uint64_t vmcb_spa, uint64_t *gpr, int in_shadow) __attribute__((sysv_abi));
void svm_interrupt_window(void) __attribute__((sysv_abi));
void svm_idle(void) __attribute__((sysv_abi));

#define ASID_ROOT  1u
#define ASID_CHILD 2u

#define IOPM_BYTES  (3 * 4096)
#define MSRPM_BYTES (2 * 4096)

static uint8_t iopm_all[IOPM_BYTES] __attribute__((aligned(4096)));
static uint8_t msrpm_root[MSRPM_BYTES] __attribute__((aligned(4096)));
static uint8_t msrpm_child[MSRPM_BYTES] __attribute__((aligned(4096)));
static struct svm_cpu svm_cpus[CPUS_MAX];

#define INTERCEPT1_BOTH \
	(VMCB_INTERCEPT1_INTR | VMCB_INTERCEPT1_NMI | VMCB_INTERCEPT1_CPUID | VMCB_INTERCEPT1_HLT | \
	 VMCB_INTERCEPT1_INVLPGA | VMCB_INTERCEPT1_MSR | VMCB_INTERCEPT1_SHUTDOWN)
#define INTERCEPT1_CHILD (VMCB_INTERCEPT1_IOIO | VMCB_INTERCEPT1_RDPMC | VMCB_INTERCEPT1_INVD)
#define INTERCEPT2_BOTH \
	(VMCB_INTERCEPT2_VMRUN | VMCB_INTERCEPT2_VMMCALL | VMCB_INTERCEPT2_VMLOAD | VMCB_INTERCEPT2_VMSAVE | \
	 VMCB_INTERCEPT2_STGI | VMCB_INTERCEPT2_CLGI | VMCB_INTERCEPT2_SKINIT)
#define INTERCEPT2_CHILD \
	(VMCB_INTERCEPT2_WBINVD | VMCB_INTERCEPT2_MONITOR | VMCB_INTERCEPT2_MWAIT | VMCB_INTERCEPT2_MWAIT_ARMED | \
	 VMCB_INTERCEPT2_XSETBV)

void svm_cpu_enable(spa_t host_save_area)
{
	cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_SVME | EFER_NXE);
	cpu_wrmsr(MSR_VM_HSAVE_PA, host_save_area.v);
}

void svm_init(void)
{
	memset(iopm_all, 0xff, sizeof iopm_all);
	svm_msr_init(msrpm_root, msrpm_child);
}

static void segment_reset(struct vmcb_segment *s, uint16_t attributes)
{
	*s = (struct vmcb_segment){ .attributes = attributes, .limit = 0xffff };
}

static void svm_vp_reset(struct vp *vp, bool init)
{
	struct svm_vp *s = svm_of(vp);
	struct vmcb *v = s->vmcb;

	for (unsigned i = 0; i < 16; i++)
		vp->gpr[i] = 0;
	vp->gpr[2] = 0x00800f00;	/* EDX: family 0x17-ish, as after RESET */
	vp->rip = 0xfff0;
	vp->rflags = RFLAGS_RSVD1;
	vp->event.type = VP_EVENT_NONE;
	vp->nmi_masked = false;
	s->iret_pending = false;

	segment_reset(&v->es, 0x93);
	segment_reset(&v->ss, 0x93);
	segment_reset(&v->ds, 0x93);
	segment_reset(&v->fs, 0x93);
	segment_reset(&v->gs, 0x93);
	segment_reset(&v->cs, 0x9b);
	v->cs.selector = 0xf000;
	v->cs.base = 0xffff0000;
	segment_reset(&v->ldtr, 0x82);
	segment_reset(&v->tr, 0x8b);
	segment_reset(&v->gdtr, 0);
	segment_reset(&v->idtr, 0);
	v->cr0 = init ? ((v->cr0 & (CR0_CD | CR0_NW)) | CR0_ET) : (CR0_CD | CR0_NW | CR0_ET);
	v->cr2 = v->cr3 = v->cr4 = 0;
	v->efer = EFER_SVME;
	v->dr6 = 0xffff0ff0;
	v->dr7 = 0x400;
	s->dr[0] = s->dr[1] = s->dr[2] = s->dr[3] = 0;
	v->int_state = 0;
	v->event_inject = 0;
	v->exit_int_info = 0;
	v->cpl = 0;
	if (init)
		return;
	s->pat = v->g_pat = PAT_RESET;
	s->xcr0 = 1;
	s->tsc_aux = 0;
	v->star = v->lstar = v->cstar = v->sfmask = v->kernel_gs_base = 0;
	v->sysenter_cs = v->sysenter_esp = v->sysenter_eip = 0;
	memset(s->fpu, 0, PAGE_BYTES);
	((uint16_t *)s->fpu)[0] = 0x40;			/* FCW after RESET */
	((uint32_t *)s->fpu)[6] = 0x1f80;		/* MXCSR */
}

static void svm_vp_startup(struct vp *vp, uint8_t vector)
{
	struct vmcb *v = svm_of(vp)->vmcb;

	v->cs.selector = (uint16_t)(vector << 8);
	v->cs.base = (uint64_t)vector << 12;
	v->cs.limit = 0xffff;
	v->cs.attributes = 0x9b;
	vp->rip = 0;
}

static void svm_vp_destroy(struct vp *vp)
{
	struct svm_vp *s = svm_of(vp);
	struct page_pool *pool = &vp->partition->pool;
	spa_t self;

	if (!s)
		return;
	for (unsigned i = 0; i < CPUS_MAX; i++)
		__atomic_compare_exchange_n(&svm_cpus[i].last_child, &(const struct vp *){ vp }, NULL, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	if (s->fpu)
		page_pool_free(pool, s->fpu_spa);
	if (s->vmcb)
		page_pool_free(pool, s->vmcb_spa);
	self = s->self_spa;
	vp->arch = NULL;
	page_pool_free(pool, self);
}

static void vmcb_set_control(struct vp *vp)
{
	struct vmcb *v = svm_of(vp)->vmcb;
	bool root = vp->partition->is_root;

	v->intercept1 = INTERCEPT1_BOTH | (root ? 0 : INTERCEPT1_CHILD);
	v->intercept_cr_write = VMCB_INTERCEPT_CR8;	/* an emulator dies of one that meets a pending V_IRQ */
	v->intercept2 = INTERCEPT2_BOTH | (root ? 0 : INTERCEPT2_CHILD);
	v->iopm_spa = (uintptr_t)iopm_all;
	v->msrpm_spa = (uintptr_t)(root ? msrpm_root : msrpm_child);
	v->asid = root ? ASID_ROOT : ASID_CHILD;
	v->np_enable = 1;
	v->ncr3 = vp->partition->space.root.v;
	v->int_control = VMCB_INT_V_INTR_MASKING | VMCB_INT_V_IGN_TPR;
}

static enum hv_status svm_vp_create(struct vp *vp)
{
	struct page_pool *pool = &vp->partition->pool;
	spa_t self = page_pool_alloc(pool);
	struct svm_vp *s;

	if (!self.v)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	s = platform_ptr(self);
	s->self_spa = self;
	vp->arch = s;
	s->vmcb_spa = page_pool_alloc(pool);
	if (s->vmcb_spa.v)
		s->vmcb = platform_ptr(s->vmcb_spa);
	s->fpu_spa = page_pool_alloc(pool);
	if (s->fpu_spa.v)
		s->fpu = platform_ptr(s->fpu_spa);
	if (!s->vmcb || !s->fpu) {
		svm_vp_destroy(vp);
		return HV_STATUS_INSUFFICIENT_MEMORY;
	}
	vmcb_set_control(vp);
	svm_vp_reset(vp, false);
	return HV_STATUS_SUCCESS;
}

/*
 * XSETBV cannot be intercepted on every CPU: what a guest left in XCR0 is read back and kept as its state. The image holds
 * all components that machine.xcr0_mask names, whatever the guest enabled, so that nothing of one VP is left for another.
 */
static void fpu_save(struct svm_vp *s)
{
	if (!machine.xcr0_mask) {
		cpu_fxsave(s->fpu);
		return;
	}
	s->xcr0 = cpu_xgetbv();
	cpu_xsetbv(machine.xcr0_mask);
	cpu_xsave(s->fpu, ~0ull);
}

static void fpu_restore(struct svm_vp *s)
{
	if (!machine.xcr0_mask) {
		cpu_fxrstor(s->fpu);
		return;
	}
	cpu_xsetbv(machine.xcr0_mask);
	cpu_xrstor(s->fpu, ~0ull);
	cpu_xsetbv(s->xcr0);
}

static void svm_vp_load(struct vp *vp)
{
	struct svm_vp *s = svm_of(vp);

	cpu_vmload(s->vmcb_spa.v);
	fpu_restore(s);
	cpu_write_dr0(s->dr[0]);
	cpu_write_dr1(s->dr[1]);
	cpu_write_dr2(s->dr[2]);
	cpu_write_dr3(s->dr[3]);
	cpu_wrmsr(MSR_TSC_AUX, s->tsc_aux);
	s->loaded = true;
}

static void svm_vp_unload(struct vp *vp)
{
	struct svm_vp *s = svm_of(vp);

	cpu_vmsave(s->vmcb_spa.v);
	fpu_save(s);
	if (!vp->partition->is_root)
		s->xcr0 &= machine.xcr0_mask | 1;	/* where XSETBV cannot be intercepted a child may have set more */
	s->dr[0] = cpu_read_dr0();
	s->dr[1] = cpu_read_dr1();
	s->dr[2] = cpu_read_dr2();
	s->dr[3] = cpu_read_dr3();
	s->tsc_aux = cpu_rdmsr(MSR_TSC_AUX);
	s->loaded = false;
}

static uint64_t event_encode(const struct vp_event *e)
{
	switch (e->type) {
	case VP_EVENT_NONE:
		return 0;
	case VP_EVENT_NMI:
		return VMCB_EVENT_VALID | VMCB_EVENT_TYPE(VMCB_TYPE_NMI) | 2;
	case VP_EVENT_EXCEPTION:
		return VMCB_EVENT_VALID | VMCB_EVENT_TYPE(VMCB_TYPE_EXCEPTION) | e->vector |
		       (e->has_error ? VMCB_EVENT_ERROR | (uint64_t)e->error << 32 : 0);
	}
	return 0;
}

/*
 * What was in mid-delivery when the guest left. External interrupts are never re-injected from here: V_IRQ is still set, or
 * the vector is still in irq_vector, and it is offered again. INT n is executed again, as RIP still points at it.
 */
static void event_recover(struct vp *vp, uint64_t info)
{
	uint8_t vector = (uint8_t)info;
	unsigned type = VMCB_EVENT_TYPE_OF(info);

	vp->event.type = VP_EVENT_NONE;
	if (!(info & VMCB_EVENT_VALID))
		return;
	if (type == VMCB_TYPE_NMI || (type == VMCB_TYPE_EXCEPTION && vector == 2))
		vp->event.type = VP_EVENT_NMI;
	else if (type == VMCB_TYPE_EXCEPTION && vector < 31)
		vp->event = (struct vp_event){ VP_EVENT_EXCEPTION, vector, (info & VMCB_EVENT_ERROR) != 0,
					       (uint32_t)(info >> 32) };
}

static void offer_interrupt(struct vp *vp, struct vmcb *v)
{
	uint64_t control = VMCB_INT_V_INTR_MASKING | VMCB_INT_V_IGN_TPR | (vp->lapic.tpr >> 4);

	v->intercept1 &= ~VMCB_INTERCEPT1_VINTR;
	if (vp->irq_vector >= 0) {
		control |= VMCB_INT_V_IRQ | (uint64_t)vp->irq_vector << VMCB_INT_V_VECTOR_SHIFT;
	} else if (vp->want_window) {
		control |= VMCB_INT_V_IRQ;
		v->intercept1 |= VMCB_INTERCEPT1_VINTR;
	}
	v->int_control = control;
}

/* NMIs stay masked until the handler's IRET is behind: the intercept stops before it, so one more look is needed. */
static void track_nmi_mask(struct vp *vp, struct svm_vp *s)
{
	if (s->iret_pending && vp->rip != s->iret_rip) {
		s->iret_pending = false;
		vp->nmi_masked = false;
	}
	if (vp->event.type == VP_EVENT_NMI)
		vp->nmi_masked = true;
	if (vp->nmi_masked && !s->iret_pending)
		s->vmcb->intercept1 |= VMCB_INTERCEPT1_IRET;
	else
		s->vmcb->intercept1 &= ~VMCB_INTERCEPT1_IRET;
}

/* One ASID serves all children of a CPU in turn, so it is flushed when another one comes, or when mappings changed. */
static uint8_t tlb_decision(struct vp *vp)
{
	struct svm_cpu *c = &svm_cpus[platform_cpu()->index];
	uint64_t generation = __atomic_load_n(&vp->partition->space.generation, __ATOMIC_SEQ_CST);
	uint8_t control = VMCB_TLB_KEEP;

	if (vp->partition->is_root) {
		if (vp->gpa_generation != generation)
			control = VMCB_TLB_FLUSH_ALL;
	} else if (c->last_child != vp || c->last_generation != generation) {
		control = VMCB_TLB_FLUSH_ALL;
		c->last_child = vp;
		c->last_generation = generation;
	}
	vp->gpa_generation = generation;
	return control;
}

static void svm_vp_enter(struct vp *vp, struct vp_exit *out_exit)
{
	struct svm_vp *s = svm_of(vp);
	struct vmcb *v = s->vmcb;

	v->rax = vp->gpr[0];
	v->rsp = vp->gpr[4];
	v->rip = vp->rip;
	v->rflags = vp->rflags;
	track_nmi_mask(vp, s);
	if (vp->event.type == VP_EVENT_EXCEPTION && vp->event.vector == VECTOR_PF)
		v->cr2 = vp->event_cr2;
	v->event_inject = event_encode(&vp->event);
	offer_interrupt(vp, v);
	v->tsc_offset = vp->partition->time.tsc_offset;
	v->clean_bits = 0;
	v->tlb_control = tlb_decision(vp);
	if (!machine.xcr0_mask)
		v->cr4 &= ~CR4_OSXSAVE;

	svm_run(s->vmcb_spa.v, vp->gpr, v->int_state & 1);

	vp->gpr[0] = v->rax;
	vp->gpr[4] = v->rsp;
	vp->rip = v->rip;
	vp->rflags = v->rflags;
	vp->event_cr2 = v->cr2;
	vp->lapic.tpr = (vp->lapic.tpr >> 4) == (v->int_control & 0xf) ? vp->lapic.tpr :
									 (uint32_t)(v->int_control & 0xf) << 4;
	event_recover(vp, v->exit_int_info);
	if (vp->irq_vector >= 0 && !(v->int_control & VMCB_INT_V_IRQ) &&
	    !((v->exit_int_info & VMCB_EVENT_VALID) && VMCB_EVENT_TYPE_OF(v->exit_int_info) == VMCB_TYPE_INTR))
		vp->irq_vector = -1;
	svm_decode_exit(vp, out_exit);
}

static bool svm_can_interrupt(const struct vp *vp)
{
	return (vp->rflags & RFLAGS_IF) && !(svm_of(vp)->vmcb->int_state & 1);
}

static void svm_clear_shadow(struct vp *vp)
{
	svm_of(vp)->vmcb->int_state = 0;
}

static void *svm_fpu_image(struct vp *vp, size_t *out_bytes)
{
	uint32_t r[4];

	*out_bytes = 512;
	if (machine.xcr0_mask) {
		cpu_cpuid(0xd, 0, r);
		*out_bytes = r[2] < PAGE_BYTES ? r[2] : PAGE_BYTES;
	}
	return svm_of(vp)->fpu;
}

/* --- taking over a running CPU ------------------------------------------------------------------------------------- */

#define READ_SELECTOR(name)								\
	static uint16_t read_##name(void)						\
	{										\
		uint16_t v;								\
		__asm__("mov %%" #name ", %0" : "=r"(v));				\
		return v;								\
	}
READ_SELECTOR(es)
READ_SELECTOR(cs)
READ_SELECTOR(ss)
READ_SELECTOR(ds)

static struct vmcb_segment segment_from_gdt(uint16_t selector, const struct table_pointer *gdt)
{
	uint64_t d;
	struct vmcb_segment s = { .selector = selector };

	if (!(selector & ~3) || (selector & 4) || (uint32_t)(selector | 7) > gdt->limit)
		return s;
	d = *(const uint64_t *)(uintptr_t)(gdt->base + (selector & ~7ull));
	s.attributes = (uint16_t)(((d >> 40) & 0xff) | ((d >> 44) & 0xf00));
	s.limit = (uint32_t)((d & 0xffff) | ((d >> 32) & 0xf0000));
	if (s.attributes & 0x800)
		s.limit = s.limit << 12 | 0xfff;
	s.base = ((d >> 16) & 0xffffff) | ((d >> 32) & 0xff000000);
	return s;
}

void svm_capture(struct vp *vp, const struct launch_state *state)
{
	struct svm_vp *s = svm_of(vp);
	struct vmcb *v = s->vmcb;
	struct table_pointer gdt = cpu_sgdt(), idt = cpu_sidt();

	cpu_vmsave(s->vmcb_spa.v);
	v->es = segment_from_gdt(read_es(), &gdt);
	v->cs = segment_from_gdt(read_cs(), &gdt);
	v->ss = segment_from_gdt(read_ss(), &gdt);
	v->ds = segment_from_gdt(read_ds(), &gdt);
	v->gdtr = (struct vmcb_segment){ .limit = gdt.limit, .base = gdt.base };
	v->idtr = (struct vmcb_segment){ .limit = idt.limit, .base = idt.base };
	v->cr0 = cpu_read_cr0();
	v->cr2 = cpu_read_cr2();
	v->cr3 = cpu_read_cr3();
	v->cr4 = cpu_read_cr4();
	v->efer = cpu_rdmsr(MSR_EFER) | EFER_SVME;
	v->dr6 = cpu_read_dr6();
	v->dr7 = cpu_read_dr7();
	v->g_pat = s->pat = cpu_rdmsr(MSR_PAT);
	vp->gpr[3] = state->rbx;
	vp->gpr[4] = state->rsp;
	vp->gpr[5] = state->rbp;
	vp->gpr[6] = state->rsi;
	vp->gpr[7] = state->rdi;
	vp->gpr[12] = state->r12;
	vp->gpr[13] = state->r13;
	vp->gpr[14] = state->r14;
	vp->gpr[15] = state->r15;
	vp->rip = state->rip;
	vp->rflags = state->rflags;
	s->loaded = true;
}

/* --- machine access and nested paging entries --------------------------------------------------------------------- */

static void svm_cpuid(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	uint32_t r[4];

	cpu_cpuid(leaf, subleaf, r);
	*out = (struct cpuid_regs){ r[0], r[1], r[2], r[3] };
}

#define PTE_P    (1ull << 0)
#define PTE_W    (1ull << 1)
#define PTE_U    (1ull << 2)
#define PTE_LEAF (1ull << 7)
#define PTE_NX   (1ull << 63)
#define PTE_SPA  0x000ffffffffff000ull

static uint64_t svm_leaf_encode(spa_t spa, uint8_t access, uint8_t level)
{
	if (!(access & ACCESS_READ))
		return 0;
	return spa.v | PTE_P | PTE_U | (access & ACCESS_WRITE ? PTE_W : 0) | (access & ACCESS_EXECUTE ? 0 : PTE_NX) |
	       (level ? PTE_LEAF : 0);
}

static uint64_t svm_table_encode(spa_t table)
{
	return table.v | PTE_P | PTE_W | PTE_U;
}

static uint8_t svm_entry_access(uint64_t e)
{
	if (!(e & PTE_P))
		return 0;
	return (uint8_t)(ACCESS_READ | (e & PTE_W ? ACCESS_WRITE : 0) | (e & PTE_NX ? 0 : ACCESS_EXECUTE));
}

static bool svm_entry_is_leaf(uint64_t e, uint8_t level)
{
	return level == 0 || (e & PTE_LEAF);
}

static spa_t svm_entry_spa(uint64_t e)
{
	return SPA(e & PTE_SPA);
}

static void svm_let_interrupts_in(void)
{
	svm_interrupt_window();
}

static void svm_wait_for_interrupt(void)
{
	svm_idle();
}

const struct arch_ops svm_ops = {
	.name = "svm",
	.let_interrupts_in = svm_let_interrupts_in,
	.wait_for_interrupt = svm_wait_for_interrupt,
	.vp_create = svm_vp_create,
	.vp_destroy = svm_vp_destroy,
	.vp_reset = svm_vp_reset,
	.vp_startup = svm_vp_startup,
	.vp_load = svm_vp_load,
	.vp_unload = svm_vp_unload,
	.vp_enter = svm_vp_enter,
	.reg_get = svm_register_get,
	.reg_set = svm_register_set,
	.can_interrupt = svm_can_interrupt,
	.clear_shadow = svm_clear_shadow,
	.fpu_image = svm_fpu_image,
	.cpuid = svm_cpuid,
	.msr_read = cpu_rdmsr_safe,
	.msr_write = cpu_wrmsr_safe,
	.vp_msr_read = svm_vp_msr_read,
	.vp_msr_write = svm_vp_msr_write,
	.leaf_encode = svm_leaf_encode,
	.table_encode = svm_table_encode,
	.entry_access = svm_entry_access,
	.entry_is_leaf = svm_entry_is_leaf,
	.entry_spa = svm_entry_spa,
};
