/* SPDX-License-Identifier: Apache-2.0 */
#include "core/msr.h"

#include "core/cpuid.h"
#include "core/log.h"
#include "core/partition.h"
#include "core/vp.h"
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"

#define SYNTHETIC_FIRST 0x40000000u
#define SYNTHETIC_LAST  0x400fffffu

#define MSR_TSC          0x10u
#define MSR_PATCH_LEVEL  0x8bu
#define MSR_MTRR_CAP     0xfeu
#define MSR_MCG_CAP      0x179u
#define MSR_MCG_STATUS   0x17au
#define MSR_DEBUGCTL     0x1d9u
#define MSR_MTRR_DEFAULT 0x2ffu
#define MSR_SYSCFG       0xc0010010u
#define MSR_HWCR         0xc0010015u
#define MSR_TOP_MEM      0xc001001au
#define MSR_TOP_MEM2     0xc001001du
#define MSR_NB_CFG       0xc001001fu
#define MSR_INT_PENDING  0xc0010055u
#define MSR_MMCFG_BASE   0xc0010058u
#define MSR_VM_CR        0xc0010114u
#define MSR_VM_HSAVE_PA  0xc0010117u
#define MSR_SVM_KEY      0xc0010118u
#define MSR_OSVW_LENGTH  0xc0010140u
#define MSR_OSVW_STATUS  0xc0010141u
#define MSR_DC_CFG       0xc0011022u
#define MSR_DE_CFG       0xc0011029u
#define MSR_BU_CFG2      0xc001102au

#define MTRR_ENABLED_WRITE_BACK 0x806u	/* bit 11 enable, type 6 */
#define HWCR_TSC_FREQ_SEL       (1ull << 24)
#define DE_CFG_LFENCE_SERIALIZE 2ull

/* Guest identity and clock */

static bool guest_os_id_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->partition->guest_os_id;
	return true;
}

static bool guest_os_id_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)msr;
	partition_guest_os_id_write(vp->partition, value);
	return true;
}

static bool hypercall_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->partition->hypercall_msr;
	return true;
}

static bool hypercall_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)msr;
	return partition_hypercall_msr_write(vp->partition, value);
}

static bool vp_index_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->index;
	return true;
}

static bool vp_runtime_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	uint64_t ticks = vp->runtime_tsc;

	(void)msr;
	if (vp->run_start_tsc)
		ticks += platform_tsc() - vp->run_start_tsc;
	*out_value = mul_high_u64(ticks, vp->partition->time.scale);
	return true;
}

static bool time_ref_count_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = ref_time_now(vp->partition);
	return true;
}

static bool reference_tsc_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->partition->time.page_msr;
	return true;
}

static bool reference_tsc_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	struct partition *p = vp->partition;
	bool valid;

	(void)msr;
	spin_lock(&p->lock);
	valid = ref_time_msr_write(p, value);
	spin_unlock(&p->lock);
	return valid;
}

static bool tsc_frequency_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)vp, (void)msr;
	*out_value = machine.tsc_hz;
	return true;
}

static bool apic_frequency_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->lapic.hz;
	return true;
}

static bool tsc_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = platform_tsc() + vp->partition->time.tsc_offset;
	return true;
}

/* The reference TSC page is one for all VPs; a TSC of one's own would contradict it. */
static bool tsc_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)vp, (void)msr, (void)value;
	return true;
}

static bool tsc_invariant_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->partition->tsc_invariant_control;
	return true;
}

static bool tsc_invariant_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)msr;
	if (value & ~1ull)
		return false;
	__atomic_fetch_or(&vp->partition->tsc_invariant_control, value, __ATOMIC_RELAXED);	/* once set it stays */
	return true;
}

/* Interrupt controller */

static bool eoi_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)msr;
	if (value >> 32)
		return false;
	lapic_eoi(vp);
	return true;
}

static bool icr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = lapic_read_icr(vp);
	return true;
}

static bool icr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)msr;
	lapic_write_icr(vp, value, lapic_in_x2apic_mode(&vp->lapic));
	return true;
}

static bool tpr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->lapic.tpr;
	return true;
}

static bool tpr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)msr;
	if (value >> 8)
		return false;
	lapic_set_tpr(vp, (uint8_t)value);
	return true;
}

static bool vp_assist_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)msr;
	*out_value = vp->vp_assist_msr;
	return true;
}

/* The page stays the guest's own: "no EOI required" is never offered, and nothing else in it is ours to write. */
static bool vp_assist_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)msr;
	if (!msr_page_valid(value))
		return false;
	vp->vp_assist_msr = value;
	return true;
}

/* Crash report */

static bool crash_parameter_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	*out_value = vp->partition->crash[msr - HV_MSR_CRASH_P0];
	return true;
}

static bool crash_parameter_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	__atomic_store_n(&vp->partition->crash[msr - HV_MSR_CRASH_P0], value, __ATOMIC_RELAXED);
	return true;
}

static bool crash_ctl_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)vp, (void)msr;
	*out_value = HV_CRASH_CTL_NOTIFY | HV_CRASH_CTL_MESSAGE;	/* what it can do, not what was written */
	return true;
}

/* The parameters stay for the parent to read. One line for each life of a partition: a guest must not fill the log. */
static bool crash_ctl_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	struct partition *p = vp->partition;

	(void)msr;
	if (!(value & HV_CRASH_CTL_NOTIFY))
		return true;
	if (__atomic_exchange_n(&p->crash_ctl, value, __ATOMIC_SEQ_CST) & HV_CRASH_CTL_NOTIFY)
		return true;
	log_line("partition %llu: VP %u reports a guest crash, P0 %llx P1 %llx P2 %llx P3 %llx P4 %llx",
		 (unsigned long long)p->id, vp->index, (unsigned long long)p->crash[0],
		 (unsigned long long)p->crash[1], (unsigned long long)p->crash[2],
		 (unsigned long long)p->crash[3], (unsigned long long)p->crash[4]);
	return true;
}

/* The microcode is the machine's, and guests choose their workarounds by it. */
static bool patch_level_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	(void)vp;
	if (!arch->msr_read(msr, out_value))
		*out_value = 0;
	return true;
}

static bool ignore_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	(void)vp, (void)msr, (void)value;
	return true;
}

#define ROW(n, p, r, w)        { .first = (n), .last = (n), .privilege = (p), .read = (r), .write = (w) }
#define RANGE(n, m, p, r, w)   { .first = (n), .last = (m), .privilege = (p), .read = (r), .write = (w) }
#define CHILD(n, r, w)         { .first = (n), .last = (n), .scope = MSR_CHILDREN, .read = (r), .write = (w) }
#define FIXED(n, v)            { .first = (n), .last = (n), .scope = MSR_CHILDREN, .fixed = true, .fixed_value = (v) }
#define FORBIDDEN(n)           { .first = (n), .last = (n) }

/*
 * MTRRs: there are no ranges, and the default type is write-back, which is what nested paging and the guest's PAT make of it.
 * The AMD configuration registers read as a stock kernel wants to find them, so that it changes nothing.
 */
const struct msr_row msr_rows[] = {
	FIXED(0x0, 0),				/* P5 machine check address */
	FIXED(0x1, 0),				/* P5 machine check type */
	CHILD(MSR_TSC, tsc_read, tsc_write),
	ROW(LAPIC_MSR_BASE, 0, lapic_msr_read, lapic_msr_write),
	CHILD(MSR_PATCH_LEVEL, patch_level_read, ignore_write),
	FIXED(MSR_MTRR_CAP, 0),
	FIXED(MSR_MCG_CAP, 0),
	FIXED(MSR_MCG_STATUS, 0),
	FIXED(MSR_DEBUGCTL, 0),
	FIXED(MSR_MTRR_DEFAULT, MTRR_ENABLED_WRITE_BACK),
	ROW(LAPIC_MSR_TSC_DEADLINE, 0, lapic_msr_read, lapic_msr_write),
	RANGE(LAPIC_MSR_X2APIC_FIRST, LAPIC_MSR_X2APIC_LAST, 0, lapic_msr_read, lapic_msr_write),
	ROW(HV_MSR_GUEST_OS_ID, HV_PRIV_HYPERCALL_MSRS, guest_os_id_read, guest_os_id_write),
	ROW(HV_MSR_HYPERCALL, HV_PRIV_HYPERCALL_MSRS, hypercall_read, hypercall_write),
	ROW(HV_MSR_VP_INDEX, HV_PRIV_VP_INDEX, vp_index_read, NULL),
	ROW(HV_MSR_VP_RUNTIME, HV_PRIV_VP_RUNTIME, vp_runtime_read, NULL),
	ROW(HV_MSR_TIME_REF_COUNT, HV_PRIV_REFERENCE_COUNTER, time_ref_count_read, NULL),
	ROW(HV_MSR_REFERENCE_TSC, HV_PRIV_REFERENCE_TSC, reference_tsc_read, reference_tsc_write),
	ROW(HV_MSR_TSC_FREQUENCY, HV_PRIV_FREQUENCY_REGS, tsc_frequency_read, NULL),
	ROW(HV_MSR_APIC_FREQUENCY, HV_PRIV_FREQUENCY_REGS, apic_frequency_read, NULL),
	ROW(HV_MSR_EOI, HV_PRIV_INTR_CTRL, NULL, eoi_write),
	ROW(HV_MSR_ICR, HV_PRIV_INTR_CTRL, icr_read, icr_write),
	ROW(HV_MSR_TPR, HV_PRIV_INTR_CTRL, tpr_read, tpr_write),
	ROW(HV_MSR_VP_ASSIST_PAGE, HV_PRIV_INTR_CTRL, vp_assist_read, vp_assist_write),
	ROW(HV_MSR_SCONTROL, HV_PRIV_SYNIC, synic_msr_read, synic_msr_write),
	ROW(HV_MSR_SVERSION, HV_PRIV_SYNIC, synic_msr_read, NULL),
	ROW(HV_MSR_SIEFP, HV_PRIV_SYNIC, synic_msr_read, synic_msr_write),
	ROW(HV_MSR_SIMP, HV_PRIV_SYNIC, synic_msr_read, synic_msr_write),
	ROW(HV_MSR_EOM, HV_PRIV_SYNIC, synic_msr_read, synic_msr_write),
	RANGE(HV_MSR_SINT0, HV_MSR_SINT15, HV_PRIV_SYNIC, synic_msr_read, synic_msr_write),
	RANGE(HV_MSR_STIMER0_CONFIG, HV_MSR_STIMER3_COUNT, HV_PRIV_SYNTHETIC_TIMERS, synth_timer_msr_read,
	      synth_timer_msr_write),
	/* CPUID shows the crash MSRs as a feature, not as a privilege: they come with the hypercall MSRs. */
	RANGE(HV_MSR_CRASH_P0, HV_MSR_CRASH_P4, HV_PRIV_HYPERCALL_MSRS, crash_parameter_read, crash_parameter_write),
	ROW(HV_MSR_CRASH_CTL, HV_PRIV_HYPERCALL_MSRS, crash_ctl_read, crash_ctl_write),
	ROW(HV_MSR_TSC_INVARIANT_CONTROL, HV_PRIV_TSC_INVARIANT, tsc_invariant_read, tsc_invariant_write),
	FIXED(MSR_SYSCFG, 0),
	FIXED(MSR_HWCR, HWCR_TSC_FREQ_SEL),
	FIXED(MSR_TOP_MEM, 0),
	FIXED(MSR_TOP_MEM2, 0),
	FIXED(MSR_NB_CFG, 0),
	FIXED(MSR_INT_PENDING, 0),
	FIXED(MSR_MMCFG_BASE, 0),
	/* The parent's too: the virtualization extension is taken. */
	FORBIDDEN(MSR_VM_CR),
	FORBIDDEN(MSR_VM_HSAVE_PA),
	FORBIDDEN(MSR_SVM_KEY),
	FIXED(MSR_OSVW_LENGTH, 0),
	FIXED(MSR_OSVW_STATUS, 0),
	FIXED(MSR_DC_CFG, 0),
	FIXED(MSR_DE_CFG, DE_CFG_LFENCE_SERIALIZE),
	FIXED(MSR_BU_CFG2, 0),
};
const size_t msr_row_count = ARRAY_COUNT(msr_rows);

static const struct msr_row *row_find(const struct partition *p, uint32_t msr)
{
	size_t low = 0, high = msr_row_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct msr_row *row = &msr_rows[middle];

		if (msr < row->first)
			high = middle;
		else if (msr > row->last)
			low = middle + 1;
		else
			return row->scope == MSR_CHILDREN && p->is_root ? NULL : row;
	}
	return NULL;
}

static bool row_allowed(const struct partition *p, const struct msr_row *row)
{
	return (row->privilege & ~cpuid_visible_privileges(p)) == 0;
}

static bool is_synthetic(uint32_t msr)
{
	return msr >= SYNTHETIC_FIRST && msr <= SYNTHETIC_LAST;
}

enum msr_result msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	const struct msr_row *row = row_find(vp->partition, msr);
	uint64_t value = 0;

	if (!row) {
		if (is_synthetic(msr))
			return MSR_GP;
		return arch->vp_msr_read(vp, msr, out_value) ? MSR_DONE : MSR_UNKNOWN;
	}
	if (row->fixed)
		value = row->fixed_value;
	else if (!row->read || !row_allowed(vp->partition, row) || !row->read(vp, msr, &value))
		return MSR_GP;
	*out_value = value;
	return MSR_DONE;
}

enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	const struct msr_row *row = row_find(vp->partition, msr);
	int written;

	if (!row) {
		if (is_synthetic(msr))
			return MSR_GP;
		written = arch->vp_msr_write(vp, msr, value);
		if (written == 0)
			return MSR_UNKNOWN;
		return written < 0 ? MSR_GP : MSR_DONE;
	}
	if (row->fixed)
		return MSR_DONE;
	if (!row->write || !row_allowed(vp->partition, row) || !row->write(vp, msr, value))
		return MSR_GP;
	return MSR_DONE;
}
