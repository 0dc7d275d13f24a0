/* SPDX-License-Identifier: Apache-2.0 */
/* Feature bits by their names in APM vol. 3 appendix E and SDM vol. 2 CPUID; synthetic leaves as in hv_cpuid.h. */
#include "core/cpuid.h"

#include "core/log.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"
#include "hv/hv_cpuid.h"

#define BIT(n) (1u << (n))

/* Our own, not Microsoft's: build 1 of 1.0. */
#define VERSION_BUILD       1u
#define VERSION_MAJOR_MINOR (1u << 16)

#define SYNTHETIC_FIRST 0x40000000u
#define SYNTHETIC_LAST  0x4fffffffu
#define LEAF_BASIC_MAX  0xdu
#define LEAF_EXT_MAX    0x8000001eu

#define L1_ECX_MONITOR      BIT(3)
#define L1_ECX_FMA          BIT(12)
#define L1_ECX_X2APIC       BIT(21)
#define L1_ECX_TSC_DEADLINE BIT(24)
#define L1_ECX_XSAVE        BIT(26)
#define L1_ECX_OSXSAVE      BIT(27)
#define L1_ECX_AVX          BIT(28)
#define L1_ECX_F16C         BIT(29)
#define L1_ECX_HYPERVISOR   BIT(31)
#define L1_EDX_APIC         BIT(9)
#define L1_EDX_HTT          BIT(28)
#define L7_ECX_OSPKE        BIT(4)
#define L7_ECX_LA57         BIT(16)
#define X1_ECX_CMP_LEGACY   BIT(1)
#define X1_ECX_SVM          BIT(2)
#define X1_ECX_XOP          BIT(11)
#define X1_ECX_SKINIT       BIT(12)
#define X1_ECX_FMA4         BIT(16)
#define X7_EDX_TSC_INVARIANT BIT(8)

#define L7_EBX_AVX512 (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
#define L7_ECX_AVX512 (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define L7_EDX_AVX512 (BIT(2) | BIT(3) | BIT(8) | BIT(23))
#define L7_EBX_AVX2   BIT(5)
#define L7_ECX_AVX    (BIT(9) | BIT(10))	/* VAES, VPCLMULQDQ */

#define CR4_OSXSAVE   BIT(18)
#define CR4_PKE       BIT(22)
#define XCR0_AVX      0x4ull
#define XCR0_AVX512   0xe0ull
#define XSAVE_LEGACY_BYTES 576u			/* x87, SSE and the header */
#define LINEAR_BITS_4LEVEL 48u

/* Privileges */

static const struct {
	uint64_t feature, privilege;
} feature_privileges[] = {
	{ CPUID_FEATURE_VP_RUNTIME,        HV_PRIV_VP_RUNTIME },
	{ CPUID_FEATURE_REFERENCE_COUNTER, HV_PRIV_REFERENCE_COUNTER },
	{ CPUID_FEATURE_SYNIC,             HV_PRIV_SYNIC },
	{ CPUID_FEATURE_SYNTHETIC_TIMERS,  HV_PRIV_SYNTHETIC_TIMERS },
	{ CPUID_FEATURE_INTR_CTRL,         HV_PRIV_INTR_CTRL },
	{ CPUID_FEATURE_HYPERCALL,         HV_PRIV_HYPERCALL_MSRS },
	{ CPUID_FEATURE_VP_INDEX,          HV_PRIV_VP_INDEX },
	{ CPUID_FEATURE_REFERENCE_TSC,     HV_PRIV_REFERENCE_TSC },
	{ CPUID_FEATURE_FREQUENCY,         HV_PRIV_FREQUENCY_REGS },
};

#define FEATURES_HV1   (CPUID_FEATURE_HYPERVISOR_PRESENT | CPUID_FEATURE_HV1)

uint64_t cpuid_default_features(void)
{
	uint64_t features = FEATURES_HV1 | CPUID_FEATURE_DIRECT_TIMERS;

	for (size_t i = 0; i < ARRAY_COUNT(feature_privileges); i++)
		features |= feature_privileges[i].feature;
	return machine.tsc_reliable ? features : features & ~CPUID_FEATURE_REFERENCE_TSC;
}

/* What needs no asking: messages and signals to the parent, and the promise that the TSC is invariant when it is. */
static uint64_t unconditional_privileges(void)
{
	return HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS | (machine.tsc_invariant ? HV_PRIV_TSC_INVARIANT : 0);
}

enum hv_status cpuid_privileges_from_features(uint64_t features, uint64_t *out_privileges)
{
	uint64_t privileges = unconditional_privileges();

	if (features & ~(cpuid_default_features() | CPUID_FEATURE_SIGNAL_EVENTS))
		return HV_STATUS_PROPERTY_VALUE_OUT_OF_RANGE;
	if ((features & FEATURES_HV1) != FEATURES_HV1) {
		*out_privileges = 0;
		return HV_STATUS_SUCCESS;
	}
	for (size_t i = 0; i < ARRAY_COUNT(feature_privileges); i++) {
		if (features & feature_privileges[i].feature)
			privileges |= feature_privileges[i].privilege;
	}
	*out_privileges = privileges;
	return HV_STATUS_SUCCESS;
}

/* No synthetic timers: the parent keeps its LAPIC timer. */
uint64_t cpuid_root_privileges(void)
{
	return HV_PRIV_REFERENCE_COUNTER | HV_PRIV_SYNIC | HV_PRIV_INTR_CTRL | HV_PRIV_HYPERCALL_MSRS |
	       HV_PRIV_VP_INDEX | HV_PRIV_FREQUENCY_REGS | unconditional_privileges() |
	       (machine.tsc_reliable ? HV_PRIV_REFERENCE_TSC : 0);
}

/* A 6.1 kernel that saw CREATE_PARTITIONS, PARTITION_ID or CPU_MANAGEMENT would take itself for Microsoft's root, or die. */
uint64_t cpuid_visible_privileges(const struct partition *p)
{
	return p->is_root ? cpuid_root_privileges() : p->privileges & 0x30ffffffffull;
}

static bool shows_hypervisor(const struct partition *p)
{
	return p->is_root || p->synthetic_features & CPUID_FEATURE_HYPERVISOR_PRESENT;
}

static bool shows_hv1(const struct partition *p)
{
	return p->is_root || (p->synthetic_features & FEATURES_HV1) == FEATURES_HV1;
}

/* The machine. Above a range's last leaf some CPUs repeat other leaves: those are 0 here. */

static void machine_leaf(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	struct cpuid_regs range;

	arch->cpuid(leaf & 0x80000000u, 0, &range);
	if (leaf > range.eax && leaf != (leaf & 0x80000000u)) {
		memset(out, 0, sizeof(*out));
		return;
	}
	arch->cpuid(leaf, subleaf, out);
}

static uint64_t register_of(const struct vp *vp, uint32_t name)
{
	struct hv_u128 value;

	return arch->reg_get(vp, name, &value) == HV_STATUS_SUCCESS ? value.low : 0;
}

static uint32_t flag(bool on, uint32_t bit)
{
	return on ? bit : 0;
}

/* Topology of a child: one socket, a core for each VP. */

static uint32_t core_count(const struct vp *vp)
{
	uint32_t count = __atomic_load_n(&vp->partition->vp_count, __ATOMIC_RELAXED);

	return count ? count : 1;
}

static uint32_t core_id_bits(const struct vp *vp)
{
	uint32_t bits = 0;

	while (1u << bits < core_count(vp))
		bits++;
	return bits;
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

/* Children's leaves */

static void child_vendor(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)vp, (void)subleaf;
	r->eax = LEAF_BASIC_MAX;
}

/* What the VP's own registers and APIC say; the same for root and children. */
static void dynamic_features(const struct vp *vp, struct cpuid_regs *r)
{
	bool osxsave = r->ecx & L1_ECX_XSAVE && register_of(vp, HV_REG_CR4) & CR4_OSXSAVE;

	r->ecx &= ~(L1_ECX_X2APIC | L1_ECX_TSC_DEADLINE | L1_ECX_OSXSAVE | L1_ECX_HYPERVISOR);
	r->ecx |= flag(vp->lapic.x2apic_allowed, L1_ECX_X2APIC);
	r->ecx |= flag(vp->lapic.tsc_deadline_allowed, L1_ECX_TSC_DEADLINE);
	r->ecx |= flag(osxsave, L1_ECX_OSXSAVE);
	r->ecx |= flag(shows_hypervisor(vp->partition), L1_ECX_HYPERVISOR);
	if (!(vp->lapic.base_msr & LAPIC_BASE_ENABLE))
		r->edx &= ~L1_EDX_APIC;
}

static void child_features(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)subleaf;
	if (!machine.xcr0_mask)
		r->ecx &= ~L1_ECX_XSAVE;
	if (!(machine.xcr0_mask & XCR0_AVX))
		r->ecx &= ~(L1_ECX_AVX | L1_ECX_FMA | L1_ECX_F16C);
	r->ebx = (r->ebx & 0xff00) | at_most(core_count(vp), 255) << 16 | vp->lapic.id << 24;
	r->edx |= flag(core_count(vp) > 1, L1_EDX_HTT);
	dynamic_features(vp, r);
}

/* Intel's cache parameters: 25:14 IDs that share the cache - 1, 31:26 core IDs in the package - 1. */
static void child_cache_intel(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	uint32_t ids = 1u << core_id_bits(vp);
	bool shared = (r->eax >> 5 & 7) >= 3;

	(void)subleaf;
	if ((r->eax & 0x1f) == 0)
		return;
	r->eax &= 0x3fff;
	r->eax |= (shared ? ids - 1 : 0) << 14 | at_most(ids - 1, 63) << 26;
}

static void child_thermal(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)vp, (void)subleaf;
	r->eax = BIT(2);	/* the LAPIC timer never stops */
}

static void child_structured(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)vp;
	if (subleaf != 0) {
		memset(r, 0, sizeof(*r));
		return;
	}
	if ((machine.xcr0_mask & XCR0_AVX512) != XCR0_AVX512) {
		r->ebx &= ~L7_EBX_AVX512;
		r->ecx &= ~L7_ECX_AVX512;
		r->edx &= ~L7_EDX_AVX512;
	}
	if (!(machine.xcr0_mask & XCR0_AVX)) {
		r->ebx &= ~L7_EBX_AVX2;
		r->ecx &= ~L7_ECX_AVX;
	}
}

static void child_topology(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	memset(r, 0, sizeof(*r));
	r->ecx = subleaf & 0xff;
	r->edx = vp->lapic.id;
	if (subleaf == 0) {		/* threads of a core */
		r->ebx = 1;
		r->ecx |= 1 << 8;
	} else if (subleaf == 1) {	/* cores */
		r->eax = core_id_bits(vp);
		r->ebx = core_count(vp);
		r->ecx |= 2 << 8;
	}
}

/* Bytes of the standard, or the compacted, XSAVE image with these components. */
static uint32_t xsave_bytes(uint64_t components, bool compacted)
{
	uint32_t end = XSAVE_LEGACY_BYTES;
	struct cpuid_regs r;

	for (uint32_t i = 2; i < 63; i++) {
		if (!(components >> i & 1))
			continue;
		machine_leaf(0xd, i, &r);
		if (compacted)
			end = (r.ecx & 2 ? (end + 63) & ~63u : end) + r.eax;
		else if (r.ebx + r.eax > end)
			end = r.ebx + r.eax;
	}
	return end;
}

static void child_xsave(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	uint64_t enabled = register_of(vp, HV_REG_XFEM) & machine.xcr0_mask;
	struct cpuid_regs all = *r;

	memset(r, 0, sizeof(*r));
	if (!machine.xcr0_mask)
		return;
	if (subleaf == 0) {
		r->eax = all.eax & (uint32_t)machine.xcr0_mask;
		r->edx = all.edx & (uint32_t)(machine.xcr0_mask >> 32);
		r->ebx = xsave_bytes(enabled, false);
		r->ecx = xsave_bytes(machine.xcr0_mask, false);
	} else if (subleaf == 1) {
		r->eax = all.eax & 7;	/* XSAVEOPT, XSAVEC, XGETBV with ECX 1; no supervisor components */
		r->ebx = r->eax & 2 ? xsave_bytes(enabled, true) : 0;
	} else if (subleaf < 63 && machine.xcr0_mask >> subleaf & 1) {
		r->eax = all.eax;
		r->ebx = all.ebx;
		r->ecx = all.ecx & 2;
	}
}

static void child_ext_vendor(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)vp, (void)subleaf;
	r->eax = at_most(r->eax, LEAF_EXT_MAX);
}

static void child_ext_features(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)subleaf;
	if (!(machine.xcr0_mask & XCR0_AVX))
		r->ecx &= ~(X1_ECX_XOP | X1_ECX_FMA4);
	r->ecx |= flag(core_count(vp) > 1, X1_ECX_CMP_LEGACY);
}

/* Hidden until the guest has asked for it by MSR, where the MSR is offered. */
static void invariant_tsc(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	const struct partition *p = vp->partition;

	(void)subleaf;
	if (cpuid_visible_privileges(p) & HV_PRIV_TSC_INVARIANT && !(p->tsc_invariant_control & 1))
		r->edx &= ~X7_EDX_TSC_INVARIANT;
}

static void four_level_addresses(struct cpuid_regs *r)
{
	uint32_t linear = r->eax >> 8 & 0xff;

	r->eax = (r->eax & ~0xff00u) | at_most(linear, LINEAR_BITS_4LEVEL) << 8;
}

static void child_sizes(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)subleaf;
	four_level_addresses(r);
	r->ecx = at_most(core_count(vp) - 1, 255) | core_id_bits(vp) << 12;
}

/* AMD's cache topology: 25:14 cores that share the cache - 1. */
static void child_cache_amd(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	bool shared = (r->eax >> 5 & 7) >= 3;

	(void)subleaf;
	if ((r->eax & 0x1f) == 0)
		return;
	r->eax = (r->eax & 0x3fff) | (shared ? core_count(vp) - 1 : 0) << 14;
}

static void child_identifiers(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *r)
{
	(void)subleaf;
	r->eax = vp->lapic.id;
	r->ebx = vp->lapic.id & 0xff;	/* core id; one thread a core */
	r->ecx = 0;			/* one node, number 0 */
}

#define ALL ~0u
const struct cpuid_child_row cpuid_child_rows[] = {
	{ 0x0, { ALL, ALL, ALL, ALL }, child_vendor },
	/* ECX: SSE3 PCLMULQDQ SSSE3 FMA CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND.
	 * EDX: all but DS, ACPI, SS, HTT, TM, IA64, PBE and the serial number. */
	{ 0x1, { ALL, 0xff00, 0x76d83203, 0x078bfbff }, child_features },
	{ 0x2, { ALL, ALL, ALL, ALL }, NULL },
	{ 0x4, { ALL, ALL, ALL, ALL }, child_cache_intel },
	{ 0x6, { 0, 0, 0, 0 }, child_thermal },
	/* EBX: FSGSBASE BMI1 AVX2 FDP SMEP BMI2 ERMS FCS AVX512F/DQ RDSEED ADX SMAP IFMA CLFLUSHOPT CLWB AVX512* SHA AVX512BW/VL.
	 * ECX: PREFETCHWT1 VBMI UMIP VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID. EDX: AVX512 FSRM MD_CLEAR. */
	{ 0x7, { 0, 0xfdbf23e9, 0x00405f47, 0x0080051c }, child_structured },
	{ 0xb, { 0, 0, 0, 0 }, child_topology },
	{ 0xd, { ALL, ALL, ALL, ALL }, child_xsave },
	{ 0x80000000, { ALL, ALL, ALL, ALL }, child_ext_vendor },
	/* ECX: LAHF CR8 LZCNT SSE4A misaligned 3DNOWPREFETCH XOP FMA4 TBM TOPOEXT.
	 * EDX: the basic features again, SYSCALL NX MMXEXT FXSR 1G RDTSCP LM 3DNOW. */
	{ 0x80000001, { ALL, ALL, 0x006109f1, 0xedd3fbff }, child_ext_features },
	{ 0x80000002, { ALL, ALL, ALL, ALL }, NULL },
	{ 0x80000003, { ALL, ALL, ALL, ALL }, NULL },
	{ 0x80000004, { ALL, ALL, ALL, ALL }, NULL },
	{ 0x80000005, { ALL, ALL, ALL, ALL }, NULL },
	{ 0x80000006, { ALL, ALL, ALL, ALL }, NULL },
	{ 0x80000007, { 0, 0, 0, X7_EDX_TSC_INVARIANT }, invariant_tsc },
	/* EBX: CLZERO, XSAVE of error pointers, WBNOINVD. */
	{ 0x80000008, { 0xffff, BIT(0) | BIT(2) | BIT(9), 0, 0 }, child_sizes },
	{ 0x80000019, { ALL, ALL, ALL, ALL }, NULL },
	{ 0x8000001a, { ALL, 0, 0, 0 }, NULL },
	{ 0x8000001d, { ALL, ALL, ALL, ALL }, child_cache_amd },
	{ 0x8000001e, { 0, 0, 0, 0 }, child_identifiers },
};
const size_t cpuid_child_row_count = ARRAY_COUNT(cpuid_child_rows);

static void child_leaf(const struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < cpuid_child_row_count; i++) {
		const struct cpuid_child_row *row = &cpuid_child_rows[i];

		if (row->leaf != leaf)
			continue;
		machine_leaf(leaf, subleaf, out);
		out->eax &= row->keep.eax;
		out->ebx &= row->keep.ebx;
		out->ecx &= row->keep.ecx;
		out->edx &= row->keep.edx;
		if (row->adjust)
			row->adjust(vp, subleaf, out);
		return;
	}
}

/* The root's leaves: the machine's, less what the hypervisor keeps for itself. */

static void root_leaf(const struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	arch->cpuid(leaf, subleaf, out);
	switch (leaf) {
	case 0x1:
		out->ecx &= ~L1_ECX_MONITOR;
		dynamic_features(vp, out);
		break;
	case 0x5:			/* MONITOR/MWAIT */
	case 0x8000000a:		/* SVM */
	case 0x8000001f:		/* encrypted memory: its page table bit would clash with nested paging */
		memset(out, 0, sizeof(*out));
		break;
	case 0x7:
		if (subleaf == 0) {
			out->ecx &= ~(L7_ECX_LA57 | L7_ECX_OSPKE);
			out->ecx |= flag(register_of(vp, HV_REG_CR4) & CR4_PKE, L7_ECX_OSPKE);
		}
		break;
	case 0x80000001:
		out->ecx &= ~(X1_ECX_SVM | X1_ECX_SKINIT);
		break;
	case 0x80000007:
		invariant_tsc(vp, subleaf, out);
		break;
	case 0x80000008:
		four_level_addresses(out);
		break;
	}
}

/* Synthetic leaves */

static void leaf_features(const struct vp *vp, struct cpuid_regs *out)
{
	const struct partition *p = vp->partition;
	uint64_t privileges = cpuid_visible_privileges(p);
	bool direct = privileges & HV_PRIV_SYNTHETIC_TIMERS && p->synthetic_features & CPUID_FEATURE_DIRECT_TIMERS;

	out->eax = (uint32_t)privileges;
	out->ebx = (uint32_t)(privileges >> 32);
	out->edx = flag(privileges & HV_PRIV_FREQUENCY_REGS, HV_FEATURE_FREQUENCY_MSRS) |
		   flag(privileges & HV_PRIV_HYPERCALL_MSRS, HV_FEATURE_CRASH_MSRS | HV_FEATURE_HYPERCALL_LOCK) |
		   flag(direct, HV_FEATURE_DIRECT_TIMERS);
}

static void synthetic_leaf(const struct vp *vp, uint32_t leaf, struct cpuid_regs *out)
{
	switch (leaf) {
	case HV_CPUID_VENDOR:
		out->eax = HV_CPUID_MAX;
		out->ebx = HV_CPUID_VENDOR_EBX;
		out->ecx = HV_CPUID_VENDOR_ECX;
		out->edx = HV_CPUID_VENDOR_EDX;
		break;
	case HV_CPUID_INTERFACE:
		out->eax = HV_CPUID_INTERFACE_HV1;
		break;
	case HV_CPUID_VERSION:
		out->eax = VERSION_BUILD;
		out->ebx = VERSION_MAJOR_MINOR;
		break;
	case HV_CPUID_FEATURES:
		leaf_features(vp, out);
		break;
	case HV_CPUID_ENLIGHTENMENT:
		out->eax = HV_HINT_RELAXED_TIMING | HV_HINT_DEPRECATE_AUTO_EOI;
		out->ebx = ~0u;		/* never report long spin waits */
		break;
	case HV_CPUID_LIMITS:
		out->eax = vp->partition->is_root ? machine.cpu_count : PARTITION_VPS_MAX;
		out->ebx = machine.cpu_count;
		break;
	case HV_CPUID_HARDWARE:
		out->eax = BIT(1) | BIT(3);	/* MSR bitmaps, second level address translation */
		break;
	}
}

static void private_leaf(uint32_t leaf, struct cpuid_regs *out)
{
	if (leaf == UC_CPUID_SIGNATURE) {
		out->eax = UC_CPUID_LOG;
		out->ebx = UC_CPUID_SIGNATURE_EBX;
		out->ecx = UC_CPUID_SIGNATURE_ECX;
		out->edx = UC_CPUID_SIGNATURE_EDX;
	} else if (leaf == UC_CPUID_LOG && log_ring_pages) {
		out->eax = (uint32_t)log_ring_spa.v;
		out->ebx = (uint32_t)(log_ring_spa.v >> 32);
		out->ecx = log_ring_pages;
	}
}

void cpuid_for_vp(struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out)
{
	const struct partition *p = vp->partition;

	if (leaf >= SYNTHETIC_FIRST && leaf <= SYNTHETIC_LAST) {
		memset(out, 0, sizeof(*out));
		if (shows_hv1(p))
			synthetic_leaf(vp, leaf, out);
		if (p->is_root)
			private_leaf(leaf, out);
	} else if (p->is_root) {
		root_leaf(vp, leaf, subleaf, out);
	} else {
		child_leaf(vp, leaf, subleaf, out);
	}
}
