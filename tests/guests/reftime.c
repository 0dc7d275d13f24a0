/* SPDX-License-Identifier: Apache-2.0 */
/* The partition's clock: counter MSR, reference TSC page, frequencies. TLFS web, "Timers", "Partition Reference Time". */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "hv/hv_synic.h"
#include "lib/clock.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define ROUNDS        2000u
#define TSC_HZ_MIN    100000000ull
#define TSC_HZ_MAX    20000000000ull
#define APIC_HZ_MIN   1000000ull
#define INTERVAL      (200 * CLOCK_MS)
#define PRECISION     100000ull		/* parts */

static struct hv_reference_tsc_page page __attribute__((aligned(4096)));

static uint64_t by_msr(void)
{
	return rdmsr(HV_MSR_TIME_REF_COUNT);
}

/* 0 while the page is invalid. */
static uint64_t by_page(void)
{
	const volatile struct hv_reference_tsc_page *p = &page;
	uint32_t sequence;
	uint64_t time;

	do {
		sequence = p->sequence;
		if (sequence == 0)
			return 0;
		__asm__ volatile("" : : : "memory");
		time = (uint64_t)((unsigned __int128)rdtsc() * p->scale >> 64) + (uint64_t)p->offset;
		__asm__ volatile("" : : : "memory");
	} while (p->sequence != sequence);
	return time;
}

static void counter(void)
{
	uint64_t before;

	if (!synthetic_has(HV_PRIV_REFERENCE_COUNTER))
		SKIP("no reference counter");
	before = by_msr();
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t now = by_msr();

		EXPECT(now >= before, "the counter went back from %llu to %llu", (unsigned long long)before,
		       (unsigned long long)now);
		before = now;
	}
	EXPECT(before > 0, "the counter stands at 0");
	EXPECT(before < 3600 * CLOCK_SECOND, "the counter says %llu s in a partition that has just begun",
	       (unsigned long long)(before / CLOCK_SECOND));
}

static uint64_t units_of(uint64_t ticks, uint64_t hz)
{
	return ticks / hz * CLOCK_SECOND + ticks % hz * CLOCK_SECOND / hz;
}

/* The counter's interval lies between two of the TSC, whatever interrupts the readings. */
static void frequencies(void)
{
	uint64_t tsc_hz, apic_hz, outer, inner, start, units, least, most;

	if (!synthetic_has(HV_PRIV_FREQUENCY_REGS | HV_PRIV_REFERENCE_COUNTER))
		SKIP("no frequencies");
	tsc_hz = rdmsr(HV_MSR_TSC_FREQUENCY);
	apic_hz = rdmsr(HV_MSR_APIC_FREQUENCY);
	EXPECT(tsc_hz > TSC_HZ_MIN && tsc_hz < TSC_HZ_MAX, "TSC_FREQUENCY is %llu", (unsigned long long)tsc_hz);
	EXPECT(apic_hz > APIC_HZ_MIN, "APIC_FREQUENCY is %llu", (unsigned long long)apic_hz);
	outer = rdtsc();
	start = by_msr();
	inner = rdtsc();
	clock_spin(INTERVAL);
	inner = rdtsc() - inner;
	units = by_msr() - start;
	outer = rdtsc() - outer;
	least = units_of(inner, tsc_hz);
	most = units_of(outer, tsc_hz);
	print("    TSC %llu Hz, APIC timer %llu Hz; counter %llu, by the TSC %llu to %llu\n", (unsigned long long)tsc_hz,
	      (unsigned long long)apic_hz, (unsigned long long)units, (unsigned long long)least, (unsigned long long)most);
	EXPECT(units + units / PRECISION + 1 >= least && units <= most + most / PRECISION + 1,
	       "the counter says %llu, the TSC %llu to %llu", (unsigned long long)units, (unsigned long long)least,
	       (unsigned long long)most);
}

static void page_enable(void)
{
	uint64_t value = (uint64_t)&page | HV_MSR_PAGE_ENABLE | 0xa5e;

	if (!synthetic_has(HV_PRIV_REFERENCE_TSC))
		SKIP("no reference TSC page");
	/* Before any identity: kernels do it in this order. */
	EXPECT_EQ(wrmsr_trap(HV_MSR_REFERENCE_TSC, value), 0, "placing the page");
	EXPECT_EQ(rdmsr(HV_MSR_REFERENCE_TSC), value, "REFERENCE_TSC");
	EXPECT(page.sequence != 0 && page.sequence != ~0u, "the page is not valid: sequence %x", page.sequence);
	EXPECT_EQ(page.rsvd, 0, "the page's reserved word");
	EXPECT(page.scale != 0, "the scale is 0");
}

static void scale(void)
{
	uint64_t tsc_hz, second, error;

	if (!synthetic_has(HV_PRIV_REFERENCE_TSC | HV_PRIV_FREQUENCY_REGS))
		SKIP("no reference TSC page");
	tsc_hz = rdmsr(HV_MSR_TSC_FREQUENCY);
	second = (uint64_t)((unsigned __int128)tsc_hz * page.scale >> 64);
	error = second > CLOCK_SECOND ? second - CLOCK_SECOND : CLOCK_SECOND - second;
	EXPECT(error <= 1, "a second of the TSC is %llu units of 100 ns by the page's scale", (unsigned long long)second);
}

static void bracketing(void)
{
	uint64_t last = 0;

	if (!synthetic_has(HV_PRIV_REFERENCE_TSC | HV_PRIV_REFERENCE_COUNTER))
		SKIP("no reference TSC page");
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t before = by_page(), middle = by_msr(), after = by_page();

		EXPECT(before && after, "the page has become invalid");
		EXPECT(last <= before, "time went back from %llu to %llu", (unsigned long long)last, (unsigned long long)before);
		EXPECT(before <= middle && middle <= after, "page %llu, MSR %llu, page %llu", (unsigned long long)before,
		       (unsigned long long)middle, (unsigned long long)after);
		last = after;
	}
}

static void tsc_is_not_written(void)
{
	uint64_t before, after;

	if (!synthetic_has(HV_PRIV_REFERENCE_TSC | HV_PRIV_REFERENCE_COUNTER))
		SKIP("no reference TSC page");
	before = by_page();
	EXPECT_EQ(wrmsr_trap(MSR_TSC, 0), 0, "writing the TSC");
	after = by_page();
	EXPECT(after >= before && after - before < 10 * CLOCK_SECOND, "a written TSC moved the page's time from %llu to %llu",
	       (unsigned long long)before, (unsigned long long)after);
	EXPECT(by_msr() >= after, "the counter lies behind the page");
}

static void moving(void)
{
	static struct hv_reference_tsc_page second __attribute__((aligned(4096)));

	if (!synthetic_has(HV_PRIV_REFERENCE_TSC))
		SKIP("no reference TSC page");
	wrmsr(HV_MSR_REFERENCE_TSC, (uint64_t)&second | HV_MSR_PAGE_ENABLE);
	EXPECT(second.sequence != 0, "the second place is not valid");
	EXPECT_EQ(second.scale, page.scale, "its scale");
	EXPECT_EQ((uint64_t)second.offset, (uint64_t)page.offset, "its offset");
	wrmsr(HV_MSR_REFERENCE_TSC, 0);
}

static void runtime(void)
{
	uint64_t runtime, time, runtime_before, time_before;

	if (!synthetic_has(HV_PRIV_VP_RUNTIME | HV_PRIV_REFERENCE_COUNTER))
		SKIP("no VP runtime");
	time_before = by_msr();
	runtime_before = rdmsr(HV_MSR_VP_RUNTIME);
	clock_spin(100 * CLOCK_MS);
	runtime = rdmsr(HV_MSR_VP_RUNTIME) - runtime_before;
	time = by_msr() - time_before;
	EXPECT(runtime > 0, "the VP did not run");
	EXPECT(runtime <= time, "the VP ran %llu units in %llu", (unsigned long long)runtime, (unsigned long long)time);
}

const struct guest_test guest_tests[] = {
	{ "the counter only rises", counter },
	{ "the frequencies are those of the clocks", frequencies },
	{ "the page is valid as soon as it is placed", page_enable },
	{ "the page's scale is the TSC's frequency", scale },
	{ "page and counter agree to the unit", bracketing },
	{ "a written TSC does not move the time", tsc_is_not_written },
	{ "the page can be moved", moving },
	{ "a VP runs no longer than time passes", runtime },
	{ 0 },
};
