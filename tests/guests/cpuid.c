/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic CPUID leaves of a child, and what is hidden from it. TLFS web, "Feature and Interface Discovery".
 * A stock Linux child turns into a root, or dies at boot, on one wrong bit of leaf 3 EBX.
 */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "lib/acpi.h"
#include "lib/lapic.h"
#include "lib/synthetic.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define HYPERVISOR_BIT       (1u << 31)
#define L1_ECX_VMX           (1u << 5)
#define L1_ECX_XSAVE         (1u << 26)
#define L1_ECX_OSXSAVE       (1u << 27)
#define X1_ECX_SVM           (1u << 2)
#define X7_EDX_TSC_INVARIANT (1u << 8)
#define PRIVILEGES_KNOWN     0x003e79ffull		/* upper half: EBX 0-8, 11-17, 19-21; isolation is no child's */
#define PRIVILEGES_LOW_KNOWN 0xffffull
#define RANGE_LAST           0x4000ffffu

static bool is_zero(struct cpuid r)
{
	return !(r.eax | r.ebx | r.ecx | r.edx);
}

static bool same(struct cpuid a, struct cpuid b)
{
	return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

static void vendor(void)
{
	struct cpuid r = cpuid(HV_CPUID_VENDOR, 0);

	if (!(cpuid(1, 0).ecx & HYPERVISOR_BIT))
		SKIP("no hypervisor here");
	EXPECT(r.eax >= HV_CPUID_LIMITS && r.eax <= RANGE_LAST, "the last leaf is %x", r.eax);
	EXPECT_EQ(r.ebx, HV_CPUID_VENDOR_EBX, "vendor EBX");
	EXPECT_EQ(r.ecx, HV_CPUID_VENDOR_ECX, "vendor ECX");
	EXPECT_EQ(r.edx, HV_CPUID_VENDOR_EDX, "vendor EDX");
}

static void interface(void)
{
	struct cpuid r = cpuid(HV_CPUID_INTERFACE, 0);

	if (!synthetic_present())
		SKIP("no synthetic interface");
	EXPECT_EQ(r.eax, HV_CPUID_INTERFACE_HV1, "interface signature");
	EXPECT_EQ(r.ebx | r.ecx | r.edx, 0, "EBX, ECX, EDX of the interface leaf");
	EXPECT(cpuid(HV_CPUID_VERSION, 0).ebx >> 16, "the major version is 0");
}

static void privileges(void)
{
	struct cpuid r = cpuid(HV_CPUID_FEATURES, 0);
	uint64_t all = (uint64_t)r.ebx << 32 | r.eax;

	if (!synthetic_present())
		SKIP("no synthetic interface");
	EXPECT(all & HV_PRIV_HYPERCALL_MSRS, "no hypercall MSRs: %llx", (unsigned long long)all);
	EXPECT(all & HV_PRIV_VP_INDEX, "no VP index: %llx", (unsigned long long)all);
	EXPECT(!(all & HV_PRIV_CREATE_PARTITIONS), "a child may create partitions");
	EXPECT(!(all & HV_PRIV_PARTITION_ID), "a child may ask for its partition id: stock kernels die of it");
	EXPECT(!(all & HV_PRIV_CPU_MANAGEMENT), "a child is told that it is the root");
	EXPECT_EQ(r.eax & ~PRIVILEGES_LOW_KNOWN, 0, "reserved bits of the privileges, low");
	EXPECT_EQ(r.ebx & ~PRIVILEGES_KNOWN, 0, "reserved bits of the privileges, high");
}

static void features(void)
{
	struct cpuid r = cpuid(HV_CPUID_FEATURES, 0);
	uint64_t all = synthetic_privileges();

	if (!synthetic_present())
		SKIP("no synthetic interface");
	EXPECT_EQ(!!(all & HV_PRIV_FREQUENCY_REGS), !!(r.edx & HV_FEATURE_FREQUENCY_MSRS),
		  "the frequency MSRs' privilege, beside their feature bit,");
	EXPECT(!(r.edx & HV_FEATURE_DIRECT_TIMERS) || all & HV_PRIV_SYNTHETIC_TIMERS, "direct timers without timers");
}

static void hints(void)
{
	struct cpuid r = cpuid(HV_CPUID_ENLIGHTENMENT, 0);

	if (!synthetic_present())
		SKIP("no synthetic interface");
	EXPECT(r.eax & HV_HINT_DEPRECATE_AUTO_EOI, "automatic EOI is not discouraged");
	EXPECT_EQ(r.edx, 0, "EDX of the hints");
}

static void limits(void)
{
	struct cpuid r = cpuid(HV_CPUID_LIMITS, 0);

	if (!synthetic_present())
		SKIP("no synthetic interface");
	EXPECT(r.eax >= acpi.processor_count, "%u VPs at most, but there are %u", r.eax, acpi.processor_count);
	EXPECT(r.ebx, "no logical processor");
}

static void beyond(void)
{
	static const uint32_t far[] = { 0x40000080, 0x400000ff, 0x40000100, 0x40000101, 0x40001000, RANGE_LAST, 0x4fffffff };
	uint32_t last = cpuid(HV_CPUID_VENDOR, 0).eax;

	if (!synthetic_present())
		SKIP("no synthetic interface");
	for (uint32_t leaf = last + 1; leaf < last + 32; leaf++)
		EXPECT(is_zero(cpuid(leaf, 0)), "leaf %x, beyond the last, is not 0", leaf);
	for (unsigned i = 0; i < sizeof far / sizeof far[0]; i++)
		EXPECT(is_zero(cpuid(far[i], 0)), "leaf %x, beyond the last, is not 0", far[i]);
}

static void stable(void)
{
	if (!synthetic_present())
		SKIP("no synthetic interface");
	for (uint32_t leaf = HV_CPUID_VENDOR; leaf <= HV_CPUID_MAX; leaf++) {
		struct cpuid first = cpuid(leaf, 0);

		for (uint32_t subleaf = 1; subleaf < 16; subleaf++)
			EXPECT(same(first, cpuid(leaf, subleaf)), "leaf %x depends on ECX", leaf);
		EXPECT(same(first, cpuid(leaf, ~0u)), "leaf %x depends on ECX", leaf);
	}
}

static void upper_halves(void)
{
	static const uint32_t leaves[] = { 0, 1, 0x40000000, 0x40000003, 0x80000001 };

	for (unsigned i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
		uint64_t a = ~0xffffffffull | leaves[i], b = ~0ull, c = ~0xffffffffull, d = ~0ull;

		__asm__ volatile("cpuid" : "+a"(a), "+b"(b), "+c"(c), "+d"(d) : : "memory");
		EXPECT_EQ((a | b | c | d) >> 32, 0, "what CPUID leaves in the upper halves");
	}
}

static void no_virtualization(void)
{
	uint64_t efer = rdmsr(MSR_EFER);

	if (!synthetic_present())
		SKIP("no synthetic interface");
	EXPECT_EQ(cpuid(1, 0).ecx & L1_ECX_VMX, 0, "VMX");
	EXPECT_EQ(cpuid(0x80000001, 0).ecx & X1_ECX_SVM, 0, "SVM");
	EXPECT(is_zero(cpuid(0x8000000a, 0)), "the SVM leaf is not 0");
	EXPECT_EQ(efer & EFER_SVME, 0, "EFER.SVME");
	EXPECT_EQ(wrmsr_trap(MSR_EFER, efer | EFER_SVME), TRAP_GP, "setting EFER.SVME");
	EXPECT_EQ(rdmsr(MSR_EFER), efer, "EFER afterwards");
}

static void apic_id(void)
{
	uint32_t id = lapic_id();

	EXPECT_EQ(cpuid(1, 0).ebx >> 24, id, "APIC id of leaf 1");
	if (cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx)
		EXPECT_EQ(cpuid(0xb, 0).edx, id, "APIC id of leaf 0xb");
}

static void osxsave(void)
{
	uint64_t cr4 = read_cr4();

	if (!(cpuid(1, 0).ecx & L1_ECX_XSAVE))
		SKIP("no XSAVE");
	write_cr4(cr4 & ~CR4_OSXSAVE);
	EXPECT_EQ(cpuid(1, 0).ecx & L1_ECX_OSXSAVE, 0, "OSXSAVE before CR4 has it");
	write_cr4(cr4 | CR4_OSXSAVE);
	EXPECT_EQ(cpuid(1, 0).ecx & L1_ECX_OSXSAVE, L1_ECX_OSXSAVE, "OSXSAVE after CR4 has it");
	write_cr4(cr4);
}

static void invariant_tsc(void)
{
	if (!synthetic_has(HV_PRIV_TSC_INVARIANT))
		SKIP("the TSC is not offered as invariant");
	EXPECT_EQ(cpuid(0x80000007, 0).edx & X7_EDX_TSC_INVARIANT, 0, "the invariant bit before it was asked for");
	EXPECT_EQ(rdmsr(HV_MSR_TSC_INVARIANT_CONTROL), 0, "TSC_INVARIANT_CONTROL at first");
	EXPECT_EQ(wrmsr_trap(HV_MSR_TSC_INVARIANT_CONTROL, 2), TRAP_GP, "a reserved bit of TSC_INVARIANT_CONTROL");
	EXPECT_EQ(wrmsr_trap(HV_MSR_TSC_INVARIANT_CONTROL, 1), 0, "asking for it");
	EXPECT_EQ(cpuid(0x80000007, 0).edx & X7_EDX_TSC_INVARIANT, X7_EDX_TSC_INVARIANT, "the invariant bit");
	EXPECT_EQ(wrmsr_trap(HV_MSR_TSC_INVARIANT_CONTROL, 0), 0, "taking it back");
	EXPECT_EQ(rdmsr(HV_MSR_TSC_INVARIANT_CONTROL), 1, "TSC_INVARIANT_CONTROL, which cannot be taken back,");
}

const struct guest_test guest_tests[] = {
	{ "the vendor leaf names the interface", vendor },
	{ "the interface leaf says Hv#1", interface },
	{ "the privileges are those of a child", privileges },
	{ "features agree with the privileges", features },
	{ "automatic EOI is discouraged", hints },
	{ "the limits hold what is there", limits },
	{ "leaves beyond the last are 0", beyond },
	{ "synthetic leaves do not depend on ECX", stable },
	{ "CPUID clears the upper halves", upper_halves },
	{ "there is no virtualization in a child", no_virtualization },
	{ "the APIC id is the same everywhere", apic_id },
	{ "OSXSAVE follows CR4", osxsave },
	{ "the invariant TSC appears when asked for", invariant_tsc },
	{ 0 },
};
