/* SPDX-License-Identifier: Apache-2.0 */
/* Registers are described by two small tables, indexed by offset / 16, that both the MMIO and the MSR door consult. */
#include "core/lapic.h"

#include "core/lapic_timer.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"

#define REG_ID         0x20u
#define REG_VERSION    0x30u
#define REG_TPR        0x80u
#define REG_APR        0x90u
#define REG_PPR        0xa0u
#define REG_EOI        0xb0u
#define REG_RRR        0xc0u
#define REG_LDR        0xd0u
#define REG_DFR        0xe0u
#define REG_SVR        0xf0u
#define REG_ISR        0x100u
#define REG_TMR        0x180u
#define REG_IRR        0x200u
#define REG_IRR_LAST   0x270u
#define REG_ESR        0x280u
#define REG_ICR_LOW    0x300u
#define REG_ICR_HIGH   0x310u
#define REG_LVT_FIRST  0x320u
#define REG_LVT_LAST   0x370u
#define REG_INITIAL    0x380u
#define REG_CURRENT    0x390u
#define REG_DIVIDE     0x3e0u
#define REG_SELF_IPI   0x3f0u
#define REG_COUNT      64u

#define BASE_BITS      (LAPIC_BASE_BSP | LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLE)
#define SVR_BITS       0x3ffu
#define SVR_RESET      0xffu
#define DIVIDE_BITS    0xbu
#define DFR_FIXED      0x0fffffffu
#define VECTOR_MIN     16u

#define LVT_STATUS_BITS    0x5000u	/* delivery status, remote IRR */
#define ICR_BUSY           0x1000u
#define ICR_LOGICAL        0x800u
#define ICR_LEVEL_ASSERT   0x4000u
#define ICR_TRIGGER_LEVEL  0x8000u
#define ICR_LOW_BITS       0xccfffu
#define ICR_TYPE(low)      ((enum hv_interrupt_type)((low) >> 8 & 7))
#define ICR_SHORTHAND(low) ((low) >> 18 & 3)

enum shorthand { SHORTHAND_NONE, SHORTHAND_SELF, SHORTHAND_ALL, SHORTHAND_OTHERS };
#define LVT_TIMER_DEADLINE 0x40000u

#define XR 0x1u		/* xAPIC: known; a write to a read-only register is lost without an error */
#define MR 0x2u		/* x2APIC: may be read */
#define MW 0x4u		/* x2APIC: may be written */

static const uint8_t reg_access[REG_COUNT] = {
	[REG_ID >> 4] = XR | MR,
	[REG_VERSION >> 4] = XR | MR,
	[REG_TPR >> 4] = XR | MR | MW,
	[REG_APR >> 4] = XR,
	[REG_PPR >> 4] = XR | MR,
	[REG_EOI >> 4] = XR | MW,
	[REG_RRR >> 4] = XR,
	[REG_LDR >> 4] = XR | MR,
	[REG_DFR >> 4] = XR,
	[REG_SVR >> 4] = XR | MR | MW,
	[REG_ISR >> 4 ... REG_IRR_LAST >> 4] = XR | MR,
	[REG_ESR >> 4] = XR | MR | MW,
	[REG_ICR_LOW >> 4] = XR | MR | MW,
	[REG_ICR_HIGH >> 4] = XR,
	[REG_LVT_FIRST >> 4 ... REG_LVT_LAST >> 4] = XR | MR | MW,
	[REG_INITIAL >> 4] = XR | MR | MW,
	[REG_CURRENT >> 4] = XR | MR,
	[REG_DIVIDE >> 4] = XR | MR | MW,
	[REG_SELF_IPI >> 4] = MW,
};

/* Bits that a guest may set. xAPIC drops the others, x2APIC raises #GP. */
static const uint32_t reg_bits[REG_COUNT] = {
	[REG_TPR >> 4] = 0xff,
	[REG_LDR >> 4] = 0xff000000,
	[REG_DFR >> 4] = 0xf0000000,
	[REG_SVR >> 4] = SVR_BITS,
	[REG_ICR_LOW >> 4] = ICR_LOW_BITS,
	[REG_ICR_HIGH >> 4] = 0xff000000,
	[(REG_LVT_FIRST >> 4) + LVT_TIMER] = 0x300ff | LVT_TIMER_DEADLINE,
	[(REG_LVT_FIRST >> 4) + LVT_THERMAL] = 0x107ff,
	[(REG_LVT_FIRST >> 4) + LVT_PERF] = 0x107ff,
	[(REG_LVT_FIRST >> 4) + LVT_LINT0] = 0x1a7ff,
	[(REG_LVT_FIRST >> 4) + LVT_LINT1] = 0x1a7ff,
	[(REG_LVT_FIRST >> 4) + LVT_ERROR] = 0x100ff,
	[REG_INITIAL >> 4] = ~0u,
	[REG_DIVIDE >> 4] = DIVIDE_BITS,
	[REG_SELF_IPI >> 4] = 0xff,
};

/* Vector bitmaps */

static bool bit_test(const uint32_t bits[8], unsigned n)
{
	return __atomic_load_n(&bits[n / 32], __ATOMIC_RELAXED) >> n % 32 & 1;
}

static void bit_set(uint32_t bits[8], unsigned n)
{
	__atomic_fetch_or(&bits[n / 32], 1u << n % 32, __ATOMIC_SEQ_CST);
}

static void bit_clear(uint32_t bits[8], unsigned n)
{
	__atomic_fetch_and(&bits[n / 32], ~(1u << n % 32), __ATOMIC_SEQ_CST);
}

static int bit_highest(const uint32_t bits[8])
{
	for (int word = 7; word >= 0; word--) {
		uint32_t w = __atomic_load_n(&bits[word], __ATOMIC_ACQUIRE);

		if (w)
			return word * 32 + 31 - __builtin_clz(w);
	}
	return -1;
}

/* Mode and priority */

static uint64_t base_of(const struct lapic *l)
{
	return __atomic_load_n(&l->base_msr, __ATOMIC_RELAXED);
}

static bool in_xapic_mode(const struct lapic *l)
{
	return (base_of(l) & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)) == LAPIC_BASE_ENABLE;
}

static bool accepts_vectors(const struct lapic *l)
{
	return base_of(l) & LAPIC_BASE_ENABLE && __atomic_load_n(&l->svr, __ATOMIC_RELAXED) & LAPIC_SVR_ENABLE;
}

static uint32_t id_register(const struct lapic *l)
{
	return lapic_in_x2apic_mode(l) ? l->id : l->id << 24;
}

static uint32_t processor_priority(const struct lapic *l)
{
	int isr = bit_highest(l->isr);
	uint32_t in_service = isr < 0 ? 0 : (uint32_t)isr & 0xf0;

	return (l->tpr & 0xf0) >= in_service ? l->tpr : in_service;
}

static uint32_t arbitration_priority(const struct lapic *l)
{
	uint32_t ppr = processor_priority(l) & 0xf0;
	int irr = bit_highest(l->irr);
	uint32_t requested = irr < 0 ? 0 : (uint32_t)irr & 0xf0;

	if ((l->tpr & 0xf0) >= requested && (l->tpr & 0xf0) >= ppr)
		return l->tpr;
	return requested > ppr ? requested : ppr;
}

/* Acceptance */

static void make_pending(struct vp *vp, uint8_t vector, bool level)
{
	struct lapic *l = &vp->lapic;

	if (level)
		bit_set(l->tmr, vector);
	else
		bit_clear(l->tmr, vector);
	bit_set(l->irr, vector);
	vp_wake(vp);
}

static void set_error(struct vp *vp, uint32_t error)
{
	struct lapic *l = &vp->lapic;
	uint32_t before = __atomic_fetch_or(&l->esr_shadow, error, __ATOMIC_SEQ_CST);
	uint32_t lvt = __atomic_load_n(&l->lvt[LVT_ERROR], __ATOMIC_RELAXED);

	if (before & error || lvt & LAPIC_LVT_MASKED || (uint8_t)lvt < VECTOR_MIN || !accepts_vectors(l))
		return;
	make_pending(vp, (uint8_t)lvt, false);
}

static bool accept_vector(struct vp *vp, uint8_t vector, bool level)
{
	struct lapic *l = &vp->lapic;

	if (accepts_vectors(l) && vector >= VECTOR_MIN) {
		make_pending(vp, vector, level);
		return true;
	}
	if (accepts_vectors(l))
		set_error(vp, LAPIC_ESR_RECEIVE_VECTOR);
	/* Nobody will ever end it: the physical APIC must not wait. */
	if (level && l->level_eoi)
		l->level_eoi(vp, vector);
	return false;
}

void lapic_post(struct vp *vp, uint8_t vector, bool level)
{
	(void)accept_vector(vp, vector, level);	/* lost, as on hardware */
}

int lapic_pending(const struct vp *vp)
{
	const struct lapic *l = &vp->lapic;
	int irr = bit_highest(l->irr);

	if (irr < 0 || !(l->base_msr & LAPIC_BASE_ENABLE))
		return -1;
	return ((uint32_t)irr & 0xf0) > (processor_priority(l) & 0xf0) ? irr : -1;
}

void lapic_accept(struct vp *vp, uint8_t vector)
{
	struct lapic *l = &vp->lapic;

	bit_clear(l->irr, vector);
	if (!bit_test(l->auto_eoi, vector) || bit_test(l->tmr, vector))
		bit_set(l->isr, vector);
}

void lapic_eoi(struct vp *vp)
{
	struct lapic *l = &vp->lapic;
	int vector = bit_highest(l->isr);

	if (vector < 0 || !(l->base_msr & LAPIC_BASE_ENABLE))
		return;
	bit_clear(l->isr, (unsigned)vector);
	if (bit_test(l->tmr, (unsigned)vector) && l->level_eoi)
		l->level_eoi(vp, (uint8_t)vector);
	if (__atomic_load_n(&vp->synic.waiting, __ATOMIC_RELAXED))
		synic_scan(vp);
}

void lapic_set_tpr(struct vp *vp, uint8_t tpr)
{
	__atomic_store_n(&vp->lapic.tpr, tpr, __ATOMIC_RELAXED);
}

/* Messages between APICs */

struct message {
	enum hv_interrupt_type type;
	uint8_t vector;
	bool level, logical;
	uint32_t destination;
	enum shorthand shorthand;
	const struct vp *sender;	/* NULL: from outside */
};

static bool matches_logical(const struct lapic *l, uint32_t destination)
{
	uint32_t ldr = __atomic_load_n(&l->ldr, __ATOMIC_RELAXED), dfr = __atomic_load_n(&l->dfr, __ATOMIC_RELAXED);

	if (base_of(l) & LAPIC_BASE_X2APIC)
		return ldr >> 16 == destination >> 16 && ldr & destination & 0xffff;
	ldr >>= 24;
	if (dfr >> 28 == 0xf)
		return ldr & destination;
	return dfr >> 28 == 0 && ldr >> 4 == destination >> 4 && ldr & destination & 0xf;
}

static bool matches(const struct vp *vp, const struct message *m)
{
	const struct lapic *l = &vp->lapic;

	if (!(base_of(l) & LAPIC_BASE_ENABLE))
		return false;
	switch (m->shorthand) {
	case SHORTHAND_SELF:
		return vp == m->sender;
	case SHORTHAND_ALL:
		return true;
	case SHORTHAND_OTHERS:
		return vp != m->sender;
	case SHORTHAND_NONE:
		break;
	}
	if (m->destination == ~0u || (m->destination == 0xff && in_xapic_mode(l)))
		return true;
	if (m->logical)
		return matches_logical(l, m->destination);
	return in_xapic_mode(l) ? (l->id & 0xff) == m->destination : l->id == m->destination;
}

static bool accept_message(struct vp *vp, const struct message *m)
{
	switch (m->type) {
	case HV_INTERRUPT_FIXED:
	case HV_INTERRUPT_LOWEST_PRIORITY:
		return accept_vector(vp, m->vector, m->level);
	case HV_INTERRUPT_NMI:
		__atomic_store_n(&vp->nmi_pending, 1, __ATOMIC_SEQ_CST);
		break;
	case HV_INTERRUPT_INIT:
		__atomic_store_n(&vp->sipi_pending, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&vp->init_pending, 1, __ATOMIC_SEQ_CST);
		break;
	case HV_INTERRUPT_SIPI:
		__atomic_store_n(&vp->sipi_pending, 0x100u | m->vector, __ATOMIC_SEQ_CST);
		break;
	default:
		return false;
	}
	vp_wake(vp);
	return true;
}

static unsigned send(struct partition *p, const struct message *m)
{
	uint32_t count = __atomic_load_n(&p->vp_count, __ATOMIC_RELAXED), lowest_tpr = ~0u;
	struct vp *lowest = NULL;
	unsigned reached = 0;

	for (uint32_t i = 0, seen = 0; i < PARTITION_VPS_MAX && seen < count; i++) {
		struct vp *vp = partition_vp(p, i);
		uint32_t tpr;

		if (!vp)
			continue;
		seen++;
		if (!matches(vp, m))
			continue;
		if (m->type != HV_INTERRUPT_LOWEST_PRIORITY) {
			reached += accept_message(vp, m);
			continue;
		}
		tpr = __atomic_load_n(&vp->lapic.tpr, __ATOMIC_RELAXED);
		if (accepts_vectors(&vp->lapic) && tpr < lowest_tpr) {
			lowest = vp;
			lowest_tpr = tpr;
		}
	}
	if (lowest)
		reached = accept_message(lowest, m);
	return reached;
}

unsigned lapic_deliver(struct partition *partition, enum hv_interrupt_type type, uint8_t vector, bool level,
		       bool logical, uint32_t destination)
{
	const struct message m = {
		.type = type, .vector = vector, .level = level, .logical = logical, .destination = destination,
	};

	return send(partition, &m);
}

static void send_ipi(struct vp *vp, uint32_t low, uint32_t destination)
{
	const struct message m = {
		.type = ICR_TYPE(low), .vector = (uint8_t)low, .logical = low & ICR_LOGICAL,
		.destination = destination, .shorthand = ICR_SHORTHAND(low), .sender = vp,
	};
	bool carries_vector = m.type == HV_INTERRUPT_FIXED || m.type == HV_INTERRUPT_LOWEST_PRIORITY;

	/* INIT de-assert synchronized arbitration ids once; it does nothing now. */
	if (m.type == HV_INTERRUPT_INIT && (low & (ICR_TRIGGER_LEVEL | ICR_LEVEL_ASSERT)) == ICR_TRIGGER_LEVEL)
		return;
	/* Only interrupts may be sent to oneself by shorthand. */
	if (!carries_vector && (m.shorthand == SHORTHAND_SELF || m.shorthand == SHORTHAND_ALL))
		return;
	if (carries_vector && m.vector < VECTOR_MIN) {
		set_error(vp, LAPIC_ESR_SEND_VECTOR);
		return;
	}
	(void)send(vp->partition, &m);	/* an IPI to nobody is no error */
}

void lapic_write_icr(struct vp *vp, uint64_t value, bool x2apic_format)
{
	struct lapic *l = &vp->lapic;

	if (!(l->base_msr & LAPIC_BASE_ENABLE))
		return;
	l->icr_low = (uint32_t)value & ICR_LOW_BITS;
	l->icr_high = (uint32_t)(value >> 32);
	if (!x2apic_format)
		l->icr_high &= 0xff000000;
	send_ipi(vp, l->icr_low, x2apic_format ? l->icr_high : l->icr_high >> 24);
}

uint64_t lapic_read_icr(const struct vp *vp)
{
	return (uint64_t)vp->lapic.icr_high << 32 | vp->lapic.icr_low;
}

/* Registers */

static void mirror(struct vp *vp)
{
	if (vp->lapic.mirror)
		vp->lapic.mirror(vp);
}

static void lvt_write(struct vp *vp, enum lapic_lvt n, uint32_t value)
{
	struct lapic *l = &vp->lapic;

	if (!(l->svr & LAPIC_SVR_ENABLE))
		value |= LAPIC_LVT_MASKED;
	if (n == LVT_TIMER)
		lapic_timer_write_lvt(vp, value);
	else
		__atomic_store_n(&l->lvt[n], value, __ATOMIC_RELAXED);
	if (n == LVT_LINT0 || n == LVT_LINT1)
		mirror(vp);
}

static void svr_write(struct vp *vp, uint32_t value)
{
	struct lapic *l = &vp->lapic;

	__atomic_store_n(&l->svr, value, __ATOMIC_RELAXED);
	if (!(value & LAPIC_SVR_ENABLE)) {
		for (unsigned n = 0; n < LVT_COUNT; n++)
			lvt_write(vp, (enum lapic_lvt)n, l->lvt[n]);
	}
	mirror(vp);
}

static uint32_t writable_bits(const struct lapic *l, uint32_t offset)
{
	uint32_t bits = reg_bits[offset >> 4];

	if (offset == REG_LVT_FIRST && !l->tsc_deadline_allowed)
		bits &= ~LVT_TIMER_DEADLINE;
	return bits;
}

/* The value is masked already; read-only registers ignore it. */
static void reg_write(struct vp *vp, uint32_t offset, uint32_t value)
{
	struct lapic *l = &vp->lapic;

	switch (offset) {
	case REG_TPR:
		lapic_set_tpr(vp, (uint8_t)value);
		break;
	case REG_EOI:
		lapic_eoi(vp);
		break;
	case REG_LDR:
		__atomic_store_n(&l->ldr, value, __ATOMIC_RELAXED);
		mirror(vp);
		break;
	case REG_DFR:
		__atomic_store_n(&l->dfr, value | DFR_FIXED, __ATOMIC_RELAXED);
		mirror(vp);
		break;
	case REG_SVR:
		svr_write(vp, value);
		break;
	case REG_ESR:
		l->esr = __atomic_exchange_n(&l->esr_shadow, 0, __ATOMIC_SEQ_CST);
		break;
	case REG_ICR_LOW:
		lapic_write_icr(vp, (uint64_t)l->icr_high << 32 | value, false);
		break;
	case REG_ICR_HIGH:
		l->icr_high = value;
		break;
	case REG_LVT_FIRST ... REG_LVT_LAST:
		lvt_write(vp, (enum lapic_lvt)((offset - REG_LVT_FIRST) >> 4), value);
		break;
	case REG_INITIAL:
		lapic_timer_write_initial(vp, value);
		break;
	case REG_DIVIDE:
		lapic_timer_write_divide(vp, value);
		break;
	default:
		break;
	}
}

static uint32_t reg_read(const struct vp *vp, uint32_t offset)
{
	const struct lapic *l = &vp->lapic;
	unsigned word = offset >> 4 & 7;

	switch (offset) {
	case REG_ID:
		return id_register(l);
	case REG_VERSION:
		return LAPIC_VERSION;
	case REG_TPR:
		return l->tpr;
	case REG_APR:
		return arbitration_priority(l);
	case REG_PPR:
		return processor_priority(l);
	case REG_LDR:
		return l->ldr;
	case REG_DFR:
		return l->dfr;
	case REG_SVR:
		return l->svr;
	case REG_ISR ... REG_TMR - 16:
		return __atomic_load_n(&l->isr[word], __ATOMIC_RELAXED);
	case REG_TMR ... REG_IRR - 16:
		return __atomic_load_n(&l->tmr[word], __ATOMIC_RELAXED);
	case REG_IRR ... REG_IRR_LAST:
		return __atomic_load_n(&l->irr[word], __ATOMIC_RELAXED);
	case REG_ESR:
		return l->esr;
	case REG_ICR_LOW:
		return l->icr_low;
	case REG_ICR_HIGH:
		return l->icr_high;
	case REG_LVT_FIRST ... REG_LVT_LAST:
		return l->lvt[(offset - REG_LVT_FIRST) >> 4];
	case REG_INITIAL:
		return l->initial_count;
	case REG_CURRENT:
		return lapic_timer_count(l, platform_tsc());
	case REG_DIVIDE:
		return l->divide_config;
	default:
		return 0;
	}
}

static bool offset_known(uint32_t offset)
{
	return (offset & 0xf) == 0 && offset < REG_COUNT << 4 && reg_access[offset >> 4] & XR;
}

uint32_t lapic_read(struct vp *vp, uint32_t offset)
{
	if (!in_xapic_mode(&vp->lapic))
		return ~0u;
	if (!offset_known(offset)) {
		set_error(vp, LAPIC_ESR_REGISTER);
		return 0;
	}
	return reg_read(vp, offset);
}

void lapic_write(struct vp *vp, uint32_t offset, uint32_t value)
{
	if (!in_xapic_mode(&vp->lapic))
		return;
	if (!offset_known(offset)) {
		set_error(vp, LAPIC_ESR_REGISTER);
		return;
	}
	reg_write(vp, offset, value & writable_bits(&vp->lapic, offset));
}

/* MSRs */

static bool x2apic_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	uint32_t offset = (msr - LAPIC_MSR_X2APIC_FIRST) << 4;

	if (!lapic_in_x2apic_mode(&vp->lapic) || offset >= REG_COUNT << 4 || !(reg_access[offset >> 4] & MR))
		return false;
	*out_value = offset == REG_ICR_LOW ? lapic_read_icr(vp) : reg_read(vp, offset);
	return true;
}

static bool x2apic_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	uint32_t offset = (msr - LAPIC_MSR_X2APIC_FIRST) << 4;
	uint64_t allowed;

	if (!lapic_in_x2apic_mode(&vp->lapic) || offset >= REG_COUNT << 4 || !(reg_access[offset >> 4] & MW))
		return false;
	allowed = writable_bits(&vp->lapic, offset);
	/* The delivery status is gone here; software that still writes it is forgiven. Status bits of an LVT are read-only. */
	if (offset == REG_ICR_LOW)
		allowed |= 0xffffffff00000000ull | ICR_BUSY;
	if (offset >= REG_LVT_FIRST && offset <= REG_LVT_LAST)
		allowed |= LVT_STATUS_BITS;
	if (value & ~allowed)
		return false;
	if (offset == REG_ICR_LOW)
		lapic_write_icr(vp, value, true);
	else if (offset == REG_SELF_IPI)
		send_ipi(vp, (uint32_t)value | (uint32_t)SHORTHAND_SELF << 18, 0);
	else
		reg_write(vp, offset, (uint32_t)value & writable_bits(&vp->lapic, offset));
	return true;
}

/* Everything that is lost when the APIC is switched off. */
static void registers_reset(struct lapic *l)
{
	l->tpr = l->icr_low = l->icr_high = 0;
	l->esr = 0;
	__atomic_store_n(&l->esr_shadow, 0, __ATOMIC_RELAXED);
	l->dfr = ~0u;
	l->svr = SVR_RESET;
	for (unsigned n = 0; n < LVT_COUNT; n++)
		l->lvt[n] = LAPIC_LVT_MASKED;
	for (unsigned n = 0; n < 8; n++) {
		__atomic_store_n(&l->irr[n], 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&l->tmr[n], 0, __ATOMIC_SEQ_CST);
		l->isr[n] = 0;
	}
	l->divide_config = l->initial_count = l->timer_first_count = 0;
	l->timer_start_tsc = 0;
	lapic_timer_stop(l);
	l->ldr = lapic_in_x2apic_mode(l) ? l->id >> 4 << 16 | 1u << (l->id & 0xf) : 0;
}

/* Off -> xAPIC -> x2APIC -> off, and xAPIC -> off; all else is refused. The BSP bit and the address are not the guest's. */
static bool base_write(struct vp *vp, uint64_t value)
{
	struct lapic *l = &vp->lapic;
	uint64_t mode = value & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
	uint64_t before = l->base_msr & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);

	if ((value & ~BASE_BITS) != LAPIC_MMIO_BASE || mode == LAPIC_BASE_X2APIC)
		return false;
	if (mode & LAPIC_BASE_X2APIC && (!l->x2apic_allowed || before == 0))
		return false;
	if (mode == LAPIC_BASE_ENABLE && before & LAPIC_BASE_X2APIC)
		return false;
	if (mode == before)
		return true;
	__atomic_store_n(&l->base_msr, LAPIC_MMIO_BASE | (l->base_msr & LAPIC_BASE_BSP) | mode, __ATOMIC_RELAXED);
	if (mode == 0)
		registers_reset(l);
	else if (mode & LAPIC_BASE_X2APIC)
		l->ldr = l->id >> 4 << 16 | 1u << (l->id & 0xf);
	mirror(vp);
	return true;
}

bool lapic_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	const struct lapic *l = &vp->lapic;

	switch (msr) {
	case LAPIC_MSR_BASE:
		*out_value = l->base_msr;
		return true;
	case LAPIC_MSR_TSC_DEADLINE:
		*out_value = l->tsc_deadline_msr;
		return l->tsc_deadline_allowed;
	case LAPIC_MSR_X2APIC_FIRST ... LAPIC_MSR_X2APIC_LAST:
		return x2apic_read(vp, msr, out_value);
	default:
		return false;
	}
}

bool lapic_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	switch (msr) {
	case LAPIC_MSR_BASE:
		return base_write(vp, value);
	case LAPIC_MSR_TSC_DEADLINE:
		if (!vp->lapic.tsc_deadline_allowed)
			return false;
		lapic_timer_write_deadline(vp, value);
		return true;
	case LAPIC_MSR_X2APIC_FIRST ... LAPIC_MSR_X2APIC_LAST:
		return x2apic_write(vp, msr, value);
	default:
		return false;
	}
}

/* Life cycle */

void lapic_init(struct vp *vp, uint32_t apic_id, bool bsp, uint64_t hz)
{
	struct lapic *l = &vp->lapic;

	l->id = apic_id;
	l->hz = hz;
	l->base_msr = LAPIC_MMIO_BASE | LAPIC_BASE_ENABLE | (bsp ? LAPIC_BASE_BSP : 0);
	memset(l->auto_eoi, 0, sizeof(l->auto_eoi));
	registers_reset(l);
	mirror(vp);
}

void lapic_set_id(struct vp *vp, uint32_t apic_id)
{
	struct lapic *l = &vp->lapic;

	l->id = apic_id;
	if (lapic_in_x2apic_mode(l))
		l->ldr = apic_id >> 4 << 16 | 1u << (apic_id & 0xf);
}

void lapic_reset(struct vp *vp)
{
	registers_reset(&vp->lapic);
	mirror(vp);
}

void lapic_state_get(const struct vp *vp, struct hv_lapic_state *out)
{
	const struct lapic *l = &vp->lapic;

	memset(out, 0, sizeof(*out));
	out->id = id_register(l);
	out->version = LAPIC_VERSION;
	out->ldr = l->ldr;
	out->dfr = l->dfr;
	out->spurious = l->svr;
	for (unsigned n = 0; n < 8; n++) {
		out->isr[n] = l->isr[n];
		out->tmr[n] = __atomic_load_n(&l->tmr[n], __ATOMIC_RELAXED);
		out->irr[n] = __atomic_load_n(&l->irr[n], __ATOMIC_RELAXED);
	}
	out->esr = l->esr;
	out->error_status = __atomic_load_n(&l->esr_shadow, __ATOMIC_RELAXED);
	out->icr_high = l->icr_high;
	out->icr_low = l->icr_low;
	out->lvt_timer = l->lvt[LVT_TIMER];
	out->lvt_thermal = l->lvt[LVT_THERMAL];
	out->lvt_perf = l->lvt[LVT_PERF];
	out->lvt_lint0 = l->lvt[LVT_LINT0];
	out->lvt_lint1 = l->lvt[LVT_LINT1];
	out->lvt_error = l->lvt[LVT_ERROR];
	out->lvt_cmci = LAPIC_LVT_MASKED;	/* there is none */
	out->initial_count = l->initial_count;
	out->current_count = lapic_timer_count(l, platform_tsc());
	out->divide_config = l->divide_config;
}

static bool state_valid(const struct lapic *l, const struct hv_lapic_state *in)
{
	uint32_t reserved = in->isr[0] | in->tmr[0] | in->irr[0];

	if (in->id != l->id && in->id != l->id << 24)
		return false;
	return (reserved & 0xffff) == 0 && in->current_count <= in->initial_count;
}

static void lvts_load(struct lapic *l, const struct hv_lapic_state *in)
{
	const uint32_t values[LVT_COUNT] = {
		[LVT_TIMER] = in->lvt_timer, [LVT_THERMAL] = in->lvt_thermal, [LVT_PERF] = in->lvt_perf,
		[LVT_LINT0] = in->lvt_lint0, [LVT_LINT1] = in->lvt_lint1, [LVT_ERROR] = in->lvt_error,
	};

	for (unsigned n = 0; n < LVT_COUNT; n++) {
		l->lvt[n] = values[n] & writable_bits(l, REG_LVT_FIRST + 16 * n);
		if (!(l->svr & LAPIC_SVR_ENABLE))
			l->lvt[n] |= LAPIC_LVT_MASKED;
	}
}

enum hv_status lapic_state_set(struct vp *vp, const struct hv_lapic_state *in)
{
	struct lapic *l = &vp->lapic;
	uint64_t deadline_msr = l->tsc_deadline_msr, deadline_tsc = l->timer_deadline_tsc;
	bool x2apic = lapic_in_x2apic_mode(l), was_deadline = lapic_timer_mode(l) == TIMER_TSC_DEADLINE;

	if (!state_valid(l, in))
		return HV_STATUS_INVALID_PARAMETER;
	if (!x2apic) {
		l->ldr = in->ldr & 0xff000000;
		l->dfr = in->dfr | DFR_FIXED;
	}
	l->svr = in->spurious & SVR_BITS;
	for (unsigned n = 0; n < 8; n++) {
		l->isr[n] = in->isr[n];
		__atomic_store_n(&l->tmr[n], in->tmr[n], __ATOMIC_SEQ_CST);
		__atomic_store_n(&l->irr[n], in->irr[n], __ATOMIC_SEQ_CST);
	}
	l->esr = in->esr;
	__atomic_store_n(&l->esr_shadow, in->error_status, __ATOMIC_SEQ_CST);
	l->icr_high = x2apic ? in->icr_high : in->icr_high & 0xff000000;
	l->icr_low = in->icr_low & ICR_LOW_BITS;
	lvts_load(l, in);
	l->divide_config = in->divide_config & DIVIDE_BITS;
	l->initial_count = in->initial_count;
	lapic_timer_stop(l);
	if (lapic_timer_mode(l) <= TIMER_PERIODIC) {
		lapic_timer_start(l, in->current_count, platform_tsc());
	} else if (was_deadline && lapic_timer_mode(l) == TIMER_TSC_DEADLINE) {
		/* The deadline is an MSR of its own, not part of this state. */
		l->tsc_deadline_msr = deadline_msr;
		l->timer_deadline_tsc = deadline_tsc;
	}
	mirror(vp);
	vp_wake(vp);
	return HV_STATUS_SUCCESS;
}
