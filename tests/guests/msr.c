/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access rules of the synthetic MSRs: who may read, who may write, which bits are refused and which are kept.
 * TLFS 6.0b appendix C. A guest that is told by CPUID that it may must be able to, and the other way round.
 */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "lib/hypercall.h"
#include "lib/synthetic.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define READ  1u
#define WRITE 2u
#define RW    (READ | WRITE)

static const struct rule {
	uint32_t msr;
	const char *name;
	uint64_t privilege;
	unsigned access;
	uint64_t kept;			/* bits that read back as they were written */
	uint64_t refused;		/* each of these bits alone is a #GP */
} rules[] = {
	{ HV_MSR_GUEST_OS_ID, "GUEST_OS_ID", HV_PRIV_HYPERCALL_MSRS, RW, ~0ull, 0 },
	{ HV_MSR_HYPERCALL, "HYPERCALL", HV_PRIV_HYPERCALL_MSRS, RW, 0xffc, 0 },
	{ HV_MSR_VP_INDEX, "VP_INDEX", HV_PRIV_VP_INDEX, READ, 0, 0 },
	{ HV_MSR_VP_RUNTIME, "VP_RUNTIME", HV_PRIV_VP_RUNTIME, READ, 0, 0 },
	{ HV_MSR_TIME_REF_COUNT, "TIME_REF_COUNT", HV_PRIV_REFERENCE_COUNTER, READ, 0, 0 },
	{ HV_MSR_REFERENCE_TSC, "REFERENCE_TSC", HV_PRIV_REFERENCE_TSC, RW, 0xffe, 0 },
	{ HV_MSR_TSC_FREQUENCY, "TSC_FREQUENCY", HV_PRIV_FREQUENCY_REGS, READ, 0, 0 },
	{ HV_MSR_APIC_FREQUENCY, "APIC_FREQUENCY", HV_PRIV_FREQUENCY_REGS, READ, 0, 0 },
	{ HV_MSR_EOI, "EOI", HV_PRIV_INTR_CTRL, WRITE, 0, ~0xffffffffull },
	{ HV_MSR_ICR, "ICR", HV_PRIV_INTR_CTRL, READ, 0, 0 },	/* writing sends */
	{ HV_MSR_TPR, "TPR", HV_PRIV_INTR_CTRL, RW, 0xff, ~0xffull },
	{ HV_MSR_VP_ASSIST_PAGE, "VP_ASSIST_PAGE", HV_PRIV_INTR_CTRL, RW, 0xffe, 0 },
	{ HV_MSR_SCONTROL, "SCONTROL", HV_PRIV_SYNIC, RW, ~1ull, 0 },
	{ HV_MSR_SVERSION, "SVERSION", HV_PRIV_SYNIC, READ, 0, 0 },
	{ HV_MSR_SIEFP, "SIEFP", HV_PRIV_SYNIC, RW, 0xffe, 0 },
	{ HV_MSR_SIMP, "SIMP", HV_PRIV_SYNIC, RW, 0xffe, 0 },
	{ HV_MSR_EOM, "EOM", HV_PRIV_SYNIC, RW, 0, 0 },
	{ HV_MSR_STIMER0_CONFIG, "STIMER0_CONFIG", HV_PRIV_SYNTHETIC_TIMERS, RW, 0, HV_STIMER_RSVDZ },
	{ HV_MSR_STIMER0_CONFIG + 1, "STIMER0_COUNT", HV_PRIV_SYNTHETIC_TIMERS, RW, ~0ull, 0 },
	{ HV_MSR_STIMER3_COUNT, "STIMER3_COUNT", HV_PRIV_SYNTHETIC_TIMERS, RW, ~0ull, 0 },
	{ HV_MSR_CRASH_P0, "CRASH_P0", HV_PRIV_HYPERCALL_MSRS, RW, ~0ull, 0 },
	{ HV_MSR_CRASH_P4, "CRASH_P4", HV_PRIV_HYPERCALL_MSRS, RW, ~0ull, 0 },
	{ HV_MSR_CRASH_CTL, "CRASH_CTL", HV_PRIV_HYPERCALL_MSRS, READ, 0, 0 },	/* writing is a report */
	{ HV_MSR_TSC_INVARIANT_CONTROL, "TSC_INVARIANT_CONTROL", HV_PRIV_TSC_INVARIANT, RW, 0, ~1ull },
	{ HV_MSR_RESET, "RESET", HV_PRIV_RESET, READ, 0, 0 },		/* writing resets */
	{ HV_MSR_GUEST_IDLE, "GUEST_IDLE", HV_PRIV_GUEST_IDLE, 0, 0, 0 },	/* reading halts */
	{ 0x400000e0, "STATS_PARTITION_RETAIL", HV_PRIV_STATS_REG, READ, 0, 0 },
};
#define RULE_COUNT (sizeof rules / sizeof rules[0])

static bool granted(const struct rule *rule)
{
	if (rule->msr >= HV_MSR_CRASH_P0 && rule->msr <= HV_MSR_CRASH_CTL)
		return synthetic_features() & HV_FEATURE_CRASH_MSRS;
	return synthetic_has(rule->privilege);
}

static void reading(void)
{
	uint64_t value;

	if (!synthetic_present())
		SKIP("no synthetic interface");
	for (const struct rule *rule = rules; rule < rules + RULE_COUNT; rule++) {
		bool may = granted(rule) && rule->access & READ;

		if (granted(rule) && !rule->access)
			continue;
		EXPECT_EQ(rdmsr_trap(rule->msr, &value), may ? 0 : TRAP_GP, rule->name);
	}
}

/* Only MSRs that may not be written, or whose own value can be put back without a consequence. */
static void writing(void)
{
	uint64_t value;

	if (!synthetic_present())
		SKIP("no synthetic interface");
	for (const struct rule *rule = rules; rule < rules + RULE_COUNT; rule++) {
		bool acts = rule->msr == HV_MSR_ICR || rule->msr == HV_MSR_CRASH_CTL || rule->msr == HV_MSR_RESET;
		bool may = granted(rule) && rule->access & WRITE;

		if (granted(rule) && (acts || !rule->access))
			continue;
		if (!granted(rule) || !(rule->access & READ) || rdmsr_trap(rule->msr, &value))
			value = 0;
		EXPECT_EQ(wrmsr_trap(rule->msr, value), may ? 0 : TRAP_GP, rule->name);
	}
}

static void refused_bits(void)
{
	if (!synthetic_present())
		SKIP("no synthetic interface");
	for (const struct rule *rule = rules; rule < rules + RULE_COUNT; rule++) {
		if (!granted(rule))
			continue;
		for (unsigned bit = 0; bit < 64; bit++) {
			if (rule->refused >> bit & 1)
				EXPECT_EQ(wrmsr_trap(rule->msr, 1ull << bit), TRAP_GP, rule->name);
		}
	}
}

static void keep(const struct rule *rule, uint64_t pattern)
{
	uint64_t before = rdmsr(rule->msr), got;

	EXPECT_EQ(wrmsr_trap(rule->msr, (before & ~rule->kept) | (pattern & rule->kept)), 0, rule->name);
	got = rdmsr(rule->msr);
	wrmsr(rule->msr, before);
	EXPECT_EQ(got & rule->kept, pattern & rule->kept, rule->name);
	EXPECT_EQ(rdmsr(rule->msr), before, rule->name);
}

static void kept_bits(void)
{
	static const uint64_t patterns[] = { 0x5555555555555555ull, 0xaaaaaaaaaaaaaaaaull, ~0ull, 0 };

	if (!synthetic_present())
		SKIP("no synthetic interface");
	for (const struct rule *rule = rules; rule < rules + RULE_COUNT; rule++) {
		if (!rule->kept || !granted(rule))
			continue;
		for (unsigned i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
			keep(rule, patterns[i]);
			EXPECT_ALL();
		}
	}
}

static void reset_values(void)
{
	if (!synthetic_has(HV_PRIV_SYNIC | HV_PRIV_SYNTHETIC_TIMERS))
		SKIP("no SynIC or no timers");
	EXPECT_EQ(rdmsr(HV_MSR_GUEST_OS_ID), 0, "GUEST_OS_ID");
	EXPECT_EQ(rdmsr(HV_MSR_HYPERCALL), 0, "HYPERCALL");
	EXPECT_EQ(rdmsr(HV_MSR_SCONTROL), 0, "SCONTROL");
	EXPECT_EQ(rdmsr(HV_MSR_SIMP), 0, "SIMP");
	EXPECT_EQ(rdmsr(HV_MSR_SIEFP), 0, "SIEFP");
	EXPECT_EQ(rdmsr(HV_MSR_SVERSION), 1, "SVERSION");
	EXPECT_EQ(rdmsr(HV_MSR_EOM), 0, "EOM");
	for (uint32_t msr = HV_MSR_SINT0; msr <= HV_MSR_SINT15; msr++)
		EXPECT_EQ(rdmsr(msr), HV_SINT_MASKED, "a SINT");
	for (uint32_t msr = HV_MSR_STIMER0_CONFIG; msr <= HV_MSR_STIMER3_COUNT; msr++)
		EXPECT_EQ(rdmsr(msr), 0, "a synthetic timer register");
	EXPECT_EQ(rdmsr(HV_MSR_VP_INDEX), 0, "VP_INDEX of the boot processor");
}

static void unknown(void)
{
	static const uint32_t msrs[] = {
		0x40000004, 0x4000000f, 0x40000011, 0x40000024, 0x40000050, 0x40000074, 0x40000086, 0x400000a0, 0x400000b8,
		0x400000c0, 0x40000106, 0x40000119, 0x40000200, 0x40001002, 0x40001080, 0x400fffff,
	};
	uint64_t value;

	if (!synthetic_present())
		SKIP("no synthetic interface");
	for (unsigned i = 0; i < sizeof msrs / sizeof msrs[0]; i++) {
		EXPECT(rdmsr_trap(msrs[i], &value) == TRAP_GP, "reading the unknown MSR %x was no #GP(0)", msrs[i]);
		EXPECT(wrmsr_trap(msrs[i], 0) == TRAP_GP, "writing the unknown MSR %x was no #GP(0)", msrs[i]);
	}
}

static void virtualization_hidden(void)
{
	uint64_t value;

	if (!synthetic_present())
		SKIP("no synthetic interface");
	EXPECT_EQ(rdmsr_trap(MSR_VM_CR, &value), TRAP_GP, "reading VM_CR");
	EXPECT_EQ(wrmsr_trap(MSR_VM_CR, 0), TRAP_GP, "writing VM_CR");
	EXPECT_EQ(rdmsr_trap(MSR_VM_HSAVE, &value), TRAP_GP, "reading VM_HSAVE_PA");
	EXPECT_EQ(wrmsr_trap(MSR_VM_HSAVE, 0x100000), TRAP_GP, "writing VM_HSAVE_PA");
}

/* A page beyond the physical addresses is none. */
static void page_place(void)
{
	static const uint32_t msrs[] = { HV_MSR_REFERENCE_TSC, HV_MSR_VP_ASSIST_PAGE, HV_MSR_SIEFP, HV_MSR_SIMP };
	unsigned bits = cpuid(0x80000008, 0).eax & 0xff;

	if (!synthetic_has(HV_PRIV_REFERENCE_TSC | HV_PRIV_INTR_CTRL | HV_PRIV_SYNIC))
		SKIP("not all of the page MSRs are offered");
	for (unsigned i = 0; i < sizeof msrs / sizeof msrs[0]; i++) {
		EXPECT(wrmsr_trap(msrs[i], 1ull << bits | HV_MSR_PAGE_ENABLE) == TRAP_GP, "MSR %x takes a page at bit %u",
		       msrs[i], bits);
		EXPECT_EQ(rdmsr(msrs[i]) & HV_MSR_PAGE_ENABLE, 0, "the enable bit after a refusal");
	}
}

static void sint_vectors(void)
{
	if (!synthetic_has(HV_PRIV_SYNIC))
		SKIP("no SynIC");
	for (uint32_t msr = HV_MSR_SINT0; msr <= HV_MSR_SINT15; msr++) {
		EXPECT_EQ(wrmsr_trap(msr, 15), TRAP_GP, "an unmasked SINT with vector 15");
		EXPECT_EQ(wrmsr_trap(msr, 0), TRAP_GP, "an unmasked SINT with vector 0");
		EXPECT_EQ(wrmsr_trap(msr, HV_SINT_MASKED | 3), 0, "a masked SINT with vector 3");
		EXPECT_EQ(rdmsr(msr), HV_SINT_MASKED | 3, "that SINT");
		EXPECT_EQ(wrmsr_trap(msr, 0xffffffffffe0ff00ull | HV_SINT_MASKED), 0, "reserved bits of a SINT");
		EXPECT_EQ(rdmsr(msr), 0xffffffffffe0ff00ull | HV_SINT_MASKED, "that SINT");
		EXPECT_EQ(wrmsr_trap(msr, 0x77), 0, "an unmasked SINT");
		EXPECT_EQ(rdmsr(msr), 0x77, "that SINT");
	}
	for (uint32_t msr = HV_MSR_SINT0; msr <= HV_MSR_SINT15; msr++)
		wrmsr(msr, HV_SINT_MASKED);
}

static void stimer_config(void)
{
	const uint32_t config = HV_MSR_STIMER0_CONFIG, count = config + 1;
	const uint64_t sint2 = 2ull << HV_STIMER_SINT_SHIFT;

	if (!synthetic_has(HV_PRIV_SYNTHETIC_TIMERS))
		SKIP("no synthetic timers");
	EXPECT_EQ(wrmsr_trap(config, HV_STIMER_DIRECT | 15ull << HV_STIMER_VECTOR_SHIFT), TRAP_GP, "direct with vector 15");
	if (!(synthetic_features() & HV_FEATURE_DIRECT_TIMERS))
		EXPECT_EQ(wrmsr_trap(config, HV_STIMER_DIRECT | 64ull << HV_STIMER_VECTOR_SHIFT), TRAP_GP, "direct");
	wrmsr(config, HV_STIMER_ENABLE);
	EXPECT_EQ(rdmsr(config) & HV_STIMER_ENABLE, 0, "enable with SINT 0");
	wrmsr(config, sint2 | HV_STIMER_AUTO_ENABLE);
	EXPECT_EQ(rdmsr(config), sint2 | HV_STIMER_AUTO_ENABLE, "config");
	wrmsr(count, ~0ull - 1);
	EXPECT_EQ(rdmsr(config), sint2 | HV_STIMER_AUTO_ENABLE | HV_STIMER_ENABLE, "config after a count");
	EXPECT_EQ(rdmsr(count), ~0ull - 1, "count");
	wrmsr(count, 0);
	EXPECT_EQ(rdmsr(config), sint2 | HV_STIMER_AUTO_ENABLE, "config after count 0");
	wrmsr(config, 0);
}

static void crash_control(void)
{
	if (!(synthetic_features() & HV_FEATURE_CRASH_MSRS))
		SKIP("no crash MSRs");
	EXPECT(rdmsr(HV_MSR_CRASH_CTL) & HV_CRASH_CTL_NOTIFY, "CRASH_CTL does not offer a notification");
	EXPECT_EQ(wrmsr_trap(HV_MSR_CRASH_CTL, 0), 0, "writing CRASH_CTL without the notification");
	EXPECT(rdmsr(HV_MSR_CRASH_CTL) & HV_CRASH_CTL_NOTIFY, "CRASH_CTL shows what was written");
}

/* The locked bit can be set once only; the partition does not lose it until it is reset. Therefore the last of the tests. */
static void lock(void)
{
	uint64_t locked = (uint64_t)hypercall_page() | HV_MSR_PAGE_ENABLE | HV_MSR_HYPERCALL_LOCKED;

	if (!(synthetic_features() & HV_FEATURE_HYPERCALL_LOCK))
		SKIP("no lock");
	(void)hypercall_enable();
	EXPECT_EQ(wrmsr_trap(HV_MSR_HYPERCALL, locked), 0, "locking the hypercall page");
	EXPECT_EQ(rdmsr(HV_MSR_HYPERCALL), locked, "HYPERCALL");
	EXPECT_EQ(wrmsr_trap(HV_MSR_HYPERCALL, locked), TRAP_GP, "writing the same again");
	EXPECT_EQ(wrmsr_trap(HV_MSR_HYPERCALL, 0), TRAP_GP, "unlocking");
	EXPECT_EQ(rdmsr(HV_MSR_HYPERCALL), locked, "HYPERCALL afterwards");
	EXPECT_EQ(hypercall(0, 0, 0), 2, "a call through the locked page");
}

const struct guest_test guest_tests[] = {
	{ "a new partition's MSRs have their reset values", reset_values },
	{ "MSRs can be read exactly as the privileges say", reading },
	{ "MSRs can be written exactly as the privileges say", writing },
	{ "reserved bits that must be 0 are refused", refused_bits },
	{ "reserved bits that are to be preserved are kept", kept_bits },
	{ "unknown synthetic MSRs fault", unknown },
	{ "the virtualization MSRs fault", virtualization_hidden },
	{ "a page beyond the physical addresses is refused", page_place },
	{ "SINTs check their vectors only when unmasked", sint_vectors },
	{ "synthetic timers settle their enable bit", stimer_config },
	{ "crash control reads as capabilities", crash_control },
	{ "a locked hypercall page stays", lock },
	{ 0 },
};
