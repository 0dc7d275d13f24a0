/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TSC ticks of the elementary exits, as "BENCH NAME_min VALUE" and "BENCH NAME_median VALUE". On an emulator that counts one
 * instruction as one nanosecond of a 1 GHz TSC (-icount shift=0) a tick is an instruction.
 * Option: samples=NUMBER.
 */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "lib/bootinfo.h"
#include "lib/clock.h"
#include "lib/hypercall.h"
#include "lib/lapic.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define SAMPLES_MAX 10000u
#define SAMPLES     1000u
#define WARM_UP     16u
#define UNUSED_PORT 0x5f0u

static uint32_t samples[SAMPLES_MAX];
static unsigned sample_count;

static void sort(uint32_t *values, unsigned count)
{
	for (unsigned gap = count / 2; gap; gap /= 2) {
		for (unsigned i = gap; i < count; i++) {
			uint32_t value = values[i];
			unsigned j = i;

			for (; j >= gap && values[j - gap] > value; j -= gap)
				values[j] = values[j - gap];
			values[j] = value;
		}
	}
}

static void report(const char *name)
{
	sort(samples, sample_count);
	print("BENCH %s_min %u\n", name, samples[0]);
	print("BENCH %s_median %u\n", name, samples[sample_count / 2]);
}

/* The loop is the same for all, written out so that nothing but the instruction is measured. */
#define MEASURE(name, instruction) \
	do { \
		for (unsigned i_ = 0; i_ < WARM_UP + sample_count; i_++) { \
			uint64_t before_ = rdtsc(); \
			instruction; \
			uint64_t ticks_ = rdtsc() - before_; \
			if (i_ >= WARM_UP) \
				samples[i_ - WARM_UP] = ticks_ > ~0u ? ~0u : (uint32_t)ticks_; \
		} \
		report(name); \
	} while (0)

static void set_up(void)
{
	uint64_t wanted = bootinfo_number("samples", SAMPLES);

	EXPECT(wanted >= 1 && wanted <= SAMPLES_MAX, "samples=%llu: 1 to %u are possible", (unsigned long long)wanted,
	       SAMPLES_MAX);
	sample_count = (unsigned)wanted;
	print("BENCH samples %u\n", sample_count);
	print("BENCH tsc_hz %llu\n", (unsigned long long)clock_tsc_hz());
}

static void nothing(void)
{
	MEASURE("rdtsc", (void)0);
}

static void cpuid_exit(void)
{
	MEASURE("cpuid", (void)cpuid(0, 0));
	if (synthetic_present())
		MEASURE("cpuid_synthetic", (void)cpuid(HV_CPUID_FEATURES, 0));
}

static void null_hypercall(void)
{
	uint64_t result = 0;

	if (!synthetic_has(HV_PRIV_HYPERCALL_MSRS))
		SKIP("no hypercalls");
	(void)hypercall_enable();
	MEASURE("hypercall_null",
		__asm__ volatile("call *%[page]" : "=a"(result) : "c"(0x7fffull), "d"(0ull), [page] "b"(hypercall_page()) : "memory"));
	EXPECT_EQ(result, 2, "the result of an unknown call");
	if (!synthetic_has(HV_PRIV_SIGNAL_EVENTS))
		return;
	MEASURE("hypercall_signal_event",
		__asm__ volatile("call *%[page]" : "=a"(result) : "c"(0x1005dull), "d"(0xabcdefull), [page] "b"(hypercall_page())
				 : "memory"));
	EXPECT_EQ(result, 0x12, "the result of a signal to nobody");
}

static void synthetic_msrs(void)
{
	if (!synthetic_has(HV_PRIV_VP_INDEX | HV_PRIV_REFERENCE_COUNTER))
		SKIP("no synthetic MSRs");
	MEASURE("msr_vp_index", (void)rdmsr(HV_MSR_VP_INDEX));
	MEASURE("msr_time_ref_count", (void)rdmsr(HV_MSR_TIME_REF_COUNT));
}

static void apic(void)
{
	MEASURE("lapic_read", (void)lapic_read(LAPIC_TPR));
	MEASURE("lapic_eoi", lapic_eoi());
}

/* As far as the worker process and back. */
static void worker(void)
{
	unsigned all = sample_count;

	sample_count = all > 200 ? 200 : all;
	MEASURE("worker_out", out8(UNUSED_PORT, 0));
	sample_count = all;
}

const struct guest_test guest_tests[] = {
	{ "options", set_up },
	{ "nothing at all", nothing },
	{ "CPUID", cpuid_exit },
	{ "null hypercall", null_hypercall },
	{ "synthetic MSRs", synthetic_msrs },
	{ "APIC registers", apic },
	{ "a port of the worker", worker },
	{ 0 },
};
