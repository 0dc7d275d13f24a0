/* SPDX-License-Identifier: Apache-2.0 */
#include "core/vp.h"

#include "core/mem.h"
#include "core/msr.h"
#include "core/partition.h"
#include "core/scheduler.h"

#define MSR_APIC_BASE    0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define RFLAGS_FIXED     0x2ull
#define RFLAGS_TF        0x100ull
#define DR6_BS           0x4000ull
#define RFLAGS_RSVDZ     0xffffffffffc08028ull		/* 63:22, 15, 5, 3 */
#define RESET_RIP        0xfff0ull
#define EFER_LMA         (1ull << 10)
#define SEGMENT_L        0x2000u

/* --- Creation and deletion ------------------------------------------------------------------------------------------ */

static void core_reset(struct vp *vp)
{
	struct cpuid_regs id;

	memset(vp->gpr, 0, sizeof vp->gpr);
	arch->cpuid(1, 0, &id);
	vp->gpr[2] = id.eax;			/* RDX: family, model, stepping */
	vp->rip = RESET_RIP;
	vp->rflags = RFLAGS_FIXED;
	vp->event.type = VP_EVENT_NONE;
	vp->event_cr2 = 0;
	vp->irq_vector = -1;
	vp->nmi_masked = false;
	vp->activity = vp->index == 0 ? VP_ACTIVE : VP_WAIT_SIPI;
}

static spa_t vp_page(struct vp *vp)
{
	return page_pool_alloc(&vp->partition->pool);
}

/* Gives back what was made so far; also the whole of vp_free. */
static void vp_unmake(struct vp *vp, bool has_arch, bool has_synic)
{
	struct page_pool *pool = &vp->partition->pool;
	spa_t self = vp->self;

	if (has_synic)
		synic_destroy(vp);
	if (has_arch)
		arch->vp_destroy(vp);
	if (vp->message_page.v)
		page_pool_free(pool, vp->message_page);
	if (vp->register_page.v)
		page_pool_free(pool, vp->register_page);
	if (vp->stats_page.v)
		page_pool_free(pool, vp->stats_page);
	page_pool_free(pool, self);
}

static enum hv_status vp_make(struct partition *p, uint32_t index, struct vp **out_vp)
{
	spa_t self = page_pool_alloc(&p->pool);
	enum hv_status status = HV_STATUS_INSUFFICIENT_MEMORY;
	struct vp *vp;

	if (!self.v)
		return status;
	vp = platform_ptr(self);
	vp->self = self;
	vp->index = index;
	vp->partition = p;
	vp->explicit_suspend = 1;
	list_init(&vp->blocked_node);
	list_init(&vp->signal_node);
	vp->message_page = vp_page(vp);
	vp->stats_page = vp_page(vp);
	if (vp->message_page.v && vp->stats_page.v)
		status = arch->vp_create(vp);
	if (status != HV_STATUS_SUCCESS) {
		vp_unmake(vp, false, false);
		return status;
	}
	status = synic_create(vp);
	if (status != HV_STATUS_SUCCESS) {
		vp_unmake(vp, true, false);
		return status;
	}
	vp->stats = platform_ptr(vp->stats_page);
	vp->lapic.x2apic_allowed = (p->creation_flags & HV_PARTITION_FLAG_X2APIC) != 0;
	vp->lapic.tsc_deadline_allowed = true;
	lapic_init(vp, index, index == 0, machine.apic_hz);
	core_reset(vp);
	*out_vp = vp;
	return HV_STATUS_SUCCESS;
}

enum hv_status vp_create(struct partition *p, uint32_t index, struct vp **out_vp)
{
	enum hv_status status;
	struct vp *vp;

	if (index >= PARTITION_VPS_MAX)
		return HV_STATUS_INVALID_VP_INDEX;
	spin_lock(&p->lock);
	if (p->state != PARTITION_ACTIVE)
		status = HV_STATUS_INVALID_PARTITION_STATE;
	else if (p->vps[index])
		status = HV_STATUS_INVALID_VP_INDEX;
	else
		status = vp_make(p, index, &vp);
	if (status == HV_STATUS_SUCCESS) {
		__atomic_fetch_add(&p->vp_count, 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&p->vps[index], vp, __ATOMIC_RELEASE);
		*out_vp = vp;
	}
	spin_unlock(&p->lock);
	return status;
}

enum hv_status vp_delete(struct vp *vp)
{
	struct partition *p = vp->partition;

	if (!vp_hold(vp))
		return HV_STATUS_OBJECT_IN_USE;
	__atomic_store_n(&vp->owned, VP_DEAD, __ATOMIC_SEQ_CST);
	synic_reset(vp);			/* from here on no port's message waits here */
	spin_lock(&p->lock);
	__atomic_store_n(&p->vps[vp->index], NULL, __ATOMIC_SEQ_CST);
	__atomic_fetch_sub(&p->vp_count, 1, __ATOMIC_SEQ_CST);
	spin_unlock(&p->lock);
	scheduler_forget(vp);
	if (vp->message_shown)
		partition_hide_page(vp->message_page);
	if (vp->register_page.v)
		partition_hide_page(vp->register_page);
	if (vp->stats_shown)
		partition_hide_page(vp->stats_page);
	partition_bury(p, vp);
	return HV_STATUS_SUCCESS;
}

void vp_free(struct vp *vp)
{
	/* Somebody who had found it before it went may have queued it once more. */
	scheduler_forget(vp);
	vp_unmake(vp, true, true);
}

/* --- Ownership ------------------------------------------------------------------------------------------------------ */

static bool is_root_vp(const struct vp *vp)
{
	return vp->partition->is_root;
}

static void kick(struct vp *vp)
{
	struct cpu *home = __atomic_load_n(&vp->home, __ATOMIC_SEQ_CST);

	if (home && home != platform_cpu())
		platform_kick(home);
}

bool vp_hold(struct vp *vp)
{
	uint32_t owner;

	if (is_root_vp(vp))
		return vp->home == platform_cpu();
	for (unsigned spins = 0;; spins++) {
		owner = VP_FREE;
		if (__atomic_compare_exchange_n(&vp->owned, &owner, VP_HELD, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			break;
		if (owner == VP_DEAD)
			return false;
		/* Another holder may have cleared it, and the dispatcher may only now have become the home. */
		__atomic_store_n(&vp->stop_request, 1, __ATOMIC_SEQ_CST);
		if (owner == VP_DISPATCHED && spins % 4096 == 0)
			kick(vp);
		platform_pause();
	}
	__atomic_store_n(&vp->stop_request, 0, __ATOMIC_SEQ_CST);
	return true;
}

void vp_release(struct vp *vp)
{
	if (!is_root_vp(vp))
		__atomic_store_n(&vp->owned, VP_FREE, __ATOMIC_SEQ_CST);
}

bool vp_try_own(struct vp *vp)
{
	uint32_t owner;

	for (;;) {
		owner = VP_FREE;
		if (__atomic_compare_exchange_n(&vp->owned, &owner, VP_DISPATCHED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return true;
		if (owner != VP_HELD)
			return false;
		platform_pause();
	}
}

/*
 * The caller has made something pending before. Whoever blocks the VP marks it blocked and then looks for pending work once
 * more; so one of the two sees the other. Likewise for a CPU that is about to enter the guest: it looks after it owns.
 */
void vp_wake(struct vp *vp)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (is_root_vp(vp)) {
		kick(vp);
		return;
	}
	if (__atomic_exchange_n(&vp->blocked, 0, __ATOMIC_SEQ_CST)) {
		if (__atomic_load_n(&vp->owned, __ATOMIC_SEQ_CST) != VP_DEAD)
			scheduler_signal(vp);
	} else if (__atomic_load_n(&vp->owned, __ATOMIC_SEQ_CST) == VP_DISPATCHED) {
		kick(vp);
	}
}

/* --- Start-up, exceptions ------------------------------------------------------------------------------------------- */

void vp_reset(struct vp *vp)
{
	core_reset(vp);
	arch->vp_reset(vp, false);
	lapic_init(vp, vp->lapic.id, vp->index == 0, vp->lapic.hz);
	synic_reset(vp);
	synth_timer_reset(vp);
	vp->vp_assist_msr = 0;
	__atomic_store_n(&vp->nmi_pending, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&vp->init_pending, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&vp->sipi_pending, 0, __ATOMIC_SEQ_CST);
}

void vp_process_startup(struct vp *vp)
{
	uint32_t sipi;

	if (__atomic_exchange_n(&vp->init_pending, 0, __ATOMIC_SEQ_CST)) {
		core_reset(vp);
		arch->vp_reset(vp, true);
		lapic_reset(vp);
	}
	sipi = __atomic_exchange_n(&vp->sipi_pending, 0, __ATOMIC_SEQ_CST);
	if (sipi && vp->activity == VP_WAIT_SIPI) {
		vp->activity = VP_ACTIVE;
		arch->vp_startup(vp, (uint8_t)sipi);
	}
}

/* Exceptions that make a double fault of a second one. APM vol. 2 section 8.2.9. */
static bool is_contributory(uint8_t vector)
{
	return vector == 0 || (vector >= 10 && vector <= 13);
}

void vp_inject_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error)
{
	const struct vp_event *first = &vp->event;
	bool second_is_bad = is_contributory(vector) || vector == VECTOR_PF;

	if (first->type == VP_EVENT_EXCEPTION &&
	    ((is_contributory(first->vector) && is_contributory(vector)) || (first->vector == VECTOR_PF && second_is_bad))) {
		vector = VECTOR_DF;
		has_error = true;
		error = 0;
	}
	vp->event = (struct vp_event){ VP_EVENT_EXCEPTION, vector, has_error, error };
}

static bool is_64_bit_code(const struct vp *vp)
{
	struct hv_u128 efer, cs;
	struct hv_segment_register segment;

	if (arch->reg_get(vp, HV_REG_EFER, &efer) != HV_STATUS_SUCCESS || !(efer.low & EFER_LMA))
		return false;
	if (arch->reg_get(vp, HV_REG_CS, &cs) != HV_STATUS_SUCCESS)
		return false;
	memcpy(&segment, &cs, sizeof segment);
	return (segment.attributes & SEGMENT_L) != 0;
}

/* The trap behind an instruction that ran with RFLAGS.TF set. APM vol. 2 section 13.1.4. */
static void single_step(struct vp *vp)
{
	struct hv_u128 dr6;

	CHECK(arch->reg_get(vp, HV_REG_DR6, &dr6) == HV_STATUS_SUCCESS);
	dr6.low |= DR6_BS;
	CHECK(arch->reg_set(vp, HV_REG_DR6, &dr6) == HV_STATUS_SUCCESS);
	vp_inject_exception(vp, VECTOR_DB, false, 0);
}

void vp_advance_ip(struct vp *vp, uint8_t insn_len)
{
	uint64_t next = vp->rip + insn_len;

	if (next >> 32 != vp->rip >> 32 && !is_64_bit_code(vp))
		next &= 0xffffffffull;
	vp->rip = next;
	arch->clear_shadow(vp);
	if (vp->rflags & RFLAGS_TF)
		single_step(vp);
}

/* --- Registers by name ---------------------------------------------------------------------------------------------- */

/* Registers that are an MSR to the guest too. */
static const struct msr_name {
	uint32_t first, last, msr;
} msr_names[] = {
	{ HV_REG_GUEST_CRASH_P0, HV_REG_GUEST_CRASH_P4, HV_MSR_CRASH_P0 },
	{ HV_REG_APIC_BASE, HV_REG_APIC_BASE, MSR_APIC_BASE },
	{ HV_REG_TSC_DEADLINE, HV_REG_TSC_DEADLINE, MSR_TSC_DEADLINE },
	{ HV_REG_VP_RUNTIME, HV_REG_VP_RUNTIME, HV_MSR_VP_RUNTIME },
	{ HV_REG_HYPERCALL, HV_REG_HYPERCALL, HV_MSR_HYPERCALL },
	{ HV_REG_GUEST_OS_ID, HV_REG_GUEST_OS_ID, HV_MSR_GUEST_OS_ID },
	{ HV_REG_VP_INDEX, HV_REG_VP_INDEX, HV_MSR_VP_INDEX },
	{ HV_REG_TIME_REF_COUNT, HV_REG_TIME_REF_COUNT, HV_MSR_TIME_REF_COUNT },
	{ HV_REG_VP_ASSIST_PAGE, HV_REG_VP_ASSIST_PAGE, HV_MSR_VP_ASSIST_PAGE },
	{ HV_REG_REFERENCE_TSC, HV_REG_REFERENCE_TSC, HV_MSR_REFERENCE_TSC },
	{ HV_REG_SINT0, HV_REG_SINT15, HV_MSR_SINT0 },
	{ HV_REG_SCONTROL, HV_REG_SIMP, HV_MSR_SCONTROL },
	{ HV_REG_STIMER0_CONFIG, HV_REG_STIMER3_COUNT, HV_MSR_STIMER0_CONFIG },
};

static bool find_msr(uint32_t name, uint32_t *out_msr)
{
	for (size_t i = 0; i < ARRAY_COUNT(msr_names); i++) {
		if (name < msr_names[i].first || name > msr_names[i].last)
			continue;
		*out_msr = msr_names[i].msr + (name - msr_names[i].first);
		return true;
	}
	return false;
}

static uint64_t pending_interruption_get(const struct vp *vp)
{
	const struct vp_event *e = &vp->event;

	switch (e->type) {
	case VP_EVENT_NONE:
		return 0;
	case VP_EVENT_NMI:
		return HV_PENDING_INTERRUPTION(HV_INTERRUPTION_NMI, 2);
	case VP_EVENT_EXCEPTION:
		return HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, e->vector) |
		       (e->has_error ? HV_PENDING_INTERRUPTION_ERROR_CODE | (uint64_t)e->error << 32 : 0);
	}
	return 0;
}

/* An event that is to be delivered ends a HLT. */
static void event_set(struct vp *vp, struct vp_event event)
{
	vp->event = event;
	if (event.type != VP_EVENT_NONE && vp->activity == VP_HALTED)
		vp->activity = VP_ACTIVE;
	vp_wake(vp);
}

static enum hv_status pending_interruption_set(struct vp *vp, uint64_t value)
{
	uint32_t vector = (uint32_t)(value >> 16) & 0xffff;
	bool has_error = (value & HV_PENDING_INTERRUPTION_ERROR_CODE) != 0;
	struct hv_u128 cr2;

	if (!(value & 1)) {
		event_set(vp, (struct vp_event){ .type = VP_EVENT_NONE });
		return HV_STATUS_SUCCESS;
	}
	switch ((value >> 1) & 7) {
	case HV_INTERRUPTION_EXTERNAL:
		if (vector < 16 || vector > 255)
			return HV_STATUS_INVALID_REGISTER_VALUE;
		lapic_post(vp, (uint8_t)vector, false);
		return HV_STATUS_SUCCESS;
	case HV_INTERRUPTION_NMI:
		event_set(vp, (struct vp_event){ .type = VP_EVENT_NMI, .vector = 2 });
		return HV_STATUS_SUCCESS;
	case HV_INTERRUPTION_EXCEPTION:
		if (vector > 31 || vector == 2)
			return HV_STATUS_INVALID_REGISTER_VALUE;
		/* A page fault takes CR2 along, and here it is what CR2 holds. */
		if (arch->reg_get(vp, HV_REG_CR2, &cr2) == HV_STATUS_SUCCESS)
			vp->event_cr2 = cr2.low;
		event_set(vp, (struct vp_event){ VP_EVENT_EXCEPTION, (uint8_t)vector, has_error, (uint32_t)(value >> 32) });
		return HV_STATUS_SUCCESS;
	}
	return HV_STATUS_INVALID_REGISTER_VALUE;
}

/* Exception events: 0 pending, 3:1 type 0, 8 error code, 31:16 vector, 63:32 error code; high word CR2. */
static struct hv_u128 pending_event_get(const struct vp *vp)
{
	const struct vp_event *e = &vp->event;

	if (e->type != VP_EVENT_EXCEPTION)
		return (struct hv_u128){ 0, 0 };
	return (struct hv_u128){
		1 | (e->has_error ? 0x100 | (uint64_t)e->error << 32 : 0) | (uint64_t)e->vector << 16,
		e->vector == VECTOR_PF ? vp->event_cr2 : 0,
	};
}

static enum hv_status pending_event_set(struct vp *vp, const struct hv_u128 *value)
{
	uint32_t vector = (uint32_t)(value->low >> 16) & 0xffff;

	if (!(value->low & 1)) {
		if (vp->event.type == VP_EVENT_EXCEPTION)
			vp->event.type = VP_EVENT_NONE;
		return HV_STATUS_SUCCESS;
	}
	if (((value->low >> 1) & 7) || vector > 31 || vector == 2)
		return HV_STATUS_INVALID_REGISTER_VALUE;
	vp->event_cr2 = value->high;
	event_set(vp, (struct vp_event){ VP_EVENT_EXCEPTION, (uint8_t)vector, (value->low & 0x100) != 0,
					 (uint32_t)(value->low >> 32) });
	return HV_STATUS_SUCCESS;
}

static uint64_t activity_get(const struct vp *vp)
{
	return vp->activity == VP_WAIT_SIPI ? 1 : vp->activity == VP_HALTED ? 2 : 0;
}

static enum hv_status activity_set(struct vp *vp, uint64_t value)
{
	switch (value) {
	case 0:
		vp->activity = VP_ACTIVE;
		break;
	case 1:
		vp->activity = VP_WAIT_SIPI;
		break;
	case 2:
		vp->activity = VP_HALTED;
		break;
	default:
		return HV_STATUS_INVALID_REGISTER_VALUE;
	}
	vp_wake(vp);
	return HV_STATUS_SUCCESS;
}

enum hv_status vp_register_get(struct vp *vp, uint32_t name, struct hv_u128 *out)
{
	uint64_t value;
	uint32_t msr;

	*out = (struct hv_u128){ 0, 0 };
	if (name >= HV_REG_RAX && name <= HV_REG_R15) {
		out->low = vp->gpr[name - HV_REG_RAX];
		return HV_STATUS_SUCCESS;
	}
	if (find_msr(name, &msr)) {
		if (msr_read(vp, msr, &value) != MSR_DONE)
			return HV_STATUS_UNKNOWN_REGISTER;
		out->low = value;
		return HV_STATUS_SUCCESS;
	}
	switch (name) {
	case HV_REG_RIP:
		out->low = vp->rip;
		return HV_STATUS_SUCCESS;
	case HV_REG_RFLAGS:
		out->low = vp->rflags;
		return HV_STATUS_SUCCESS;
	case HV_REG_EXPLICIT_SUSPEND:
		out->low = __atomic_load_n(&vp->explicit_suspend, __ATOMIC_SEQ_CST);
		return HV_STATUS_SUCCESS;
	case HV_REG_INTERCEPT_SUSPEND:
		out->low = vp->intercept_suspend;
		return HV_STATUS_SUCCESS;
	case HV_REG_DISPATCH_SUSPEND:
		return HV_STATUS_SUCCESS;
	case HV_REG_INTERNAL_ACTIVITY_STATE:
		out->low = activity_get(vp);
		return HV_STATUS_SUCCESS;
	case HV_REG_PENDING_INTERRUPTION:
		out->low = pending_interruption_get(vp);
		return HV_STATUS_SUCCESS;
	case HV_REG_PENDING_EVENT0:
		*out = pending_event_get(vp);
		return HV_STATUS_SUCCESS;
	case HV_REG_GUEST_CRASH_CTL:		/* to the guest the MSR shows capabilities; the parent wants what was written */
		out->low = vp->partition->crash_ctl;
		return HV_STATUS_SUCCESS;
	case HV_REG_CR8:
		out->low = lapic_cr8_from_tpr(vp->lapic.tpr);
		return HV_STATUS_SUCCESS;
	case HV_REG_TSC:
		out->low = platform_tsc() + vp->partition->time.tsc_offset;
		return HV_STATUS_SUCCESS;
	case HV_REG_INITIAL_APIC_ID:
		out->low = vp->lapic.id;
		return HV_STATUS_SUCCESS;
	case HV_REG_VP_ROOT_SIGNAL_COUNT:
		out->low = __atomic_load_n(&vp->root_signal_count, __ATOMIC_SEQ_CST);
		return HV_STATUS_SUCCESS;
	}
	return arch->reg_get(vp, name, out);
}

static enum hv_status msr_set(struct vp *vp, uint32_t msr, uint64_t value)
{
	if (msr == HV_MSR_HYPERCALL)
		partition_hypercall_msr_unlock(vp->partition);
	switch (msr_write(vp, msr, value)) {
	case MSR_DONE:
		return HV_STATUS_SUCCESS;
	case MSR_GP:
		return HV_STATUS_INVALID_REGISTER_VALUE;
	case MSR_UNKNOWN:
		break;
	}
	return HV_STATUS_UNKNOWN_REGISTER;
}

/* Registers where only clearing makes sense. */
static enum hv_status suspend_clear(uint32_t *suspend, uint64_t value)
{
	if (value && !*suspend)
		return HV_STATUS_INVALID_REGISTER_VALUE;
	*suspend = value ? 1 : 0;
	return HV_STATUS_SUCCESS;
}

enum hv_status vp_register_set(struct vp *vp, uint32_t name, const struct hv_u128 *value)
{
	uint64_t v = value->low;
	uint32_t msr;

	if (name >= HV_REG_RAX && name <= HV_REG_R15) {
		vp->gpr[name - HV_REG_RAX] = v;
		return HV_STATUS_SUCCESS;
	}
	if (find_msr(name, &msr))
		return msr_set(vp, msr, v);
	switch (name) {
	case HV_REG_RIP:
		vp->rip = v;
		return HV_STATUS_SUCCESS;
	case HV_REG_RFLAGS:
		if (v & RFLAGS_RSVDZ)
			return HV_STATUS_INVALID_REGISTER_VALUE;
		vp->rflags = v | RFLAGS_FIXED;
		return HV_STATUS_SUCCESS;
	case HV_REG_EXPLICIT_SUSPEND:
		if (v > 1)
			return HV_STATUS_INVALID_REGISTER_VALUE;
		__atomic_store_n(&vp->explicit_suspend, (uint32_t)v, __ATOMIC_SEQ_CST);
		return HV_STATUS_SUCCESS;
	case HV_REG_INTERCEPT_SUSPEND:
		return v > 1 ? HV_STATUS_INVALID_REGISTER_VALUE : suspend_clear(&vp->intercept_suspend, v);
	case HV_REG_DISPATCH_SUSPEND:
		return v ? HV_STATUS_INVALID_REGISTER_VALUE : HV_STATUS_SUCCESS;
	case HV_REG_INTERNAL_ACTIVITY_STATE:
		return activity_set(vp, v);
	case HV_REG_PENDING_INTERRUPTION:
		return pending_interruption_set(vp, v);
	case HV_REG_PENDING_EVENT0:
		return pending_event_set(vp, value);
	case HV_REG_CR8:
		if (v > 15)
			return HV_STATUS_INVALID_REGISTER_VALUE;
		lapic_set_tpr(vp, (uint8_t)(v << 4));
		return HV_STATUS_SUCCESS;
	case HV_REG_INITIAL_APIC_ID:
		if (v >= 0xffffffffull || is_root_vp(vp))
			return HV_STATUS_INVALID_REGISTER_VALUE;
		lapic_set_id(vp, (uint32_t)v);
		return HV_STATUS_SUCCESS;
	case HV_REG_TSC:
	case HV_REG_VP_ROOT_SIGNAL_COUNT:
		return HV_STATUS_INVALID_REGISTER_VALUE;	/* read-only */
	}
	return arch->reg_set(vp, name, value);
}
