/* SPDX-License-Identifier: Apache-2.0 */
/* HLT: it ends with the interrupt that it waits for, loses none, and costs no time of a processor. */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "lib/clock.h"
#include "lib/lapic.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define TIMER    0x55u
#define OTHER    0x66u
#define ROUNDS   200u

static volatile unsigned fired, other_fired;

static void on_timer(struct trap_frame *frame)
{
	fired++;
	lapic_eoi();
}

static void on_other(struct trap_frame *frame)
{
	other_fired++;
	lapic_eoi();
}

static void set_up(void)
{
	trap_set_handler(TIMER, on_timer);
	trap_set_handler(OTHER, on_other);
	fired = other_fired = 0;
}

static void wakes(void)
{
	const uint64_t duration = 30 * CLOCK_MS;
	uint64_t start = clock_100ns(), passed;

	set_up();
	lapic_timer_start(TIMER, 0, duration);
	while (!fired)
		halt_once();
	passed = clock_100ns() - start;
	EXPECT(passed >= duration - duration / 100, "woken after %llu units, not %llu", (unsigned long long)passed,
	       (unsigned long long)duration);
}

static void pending_already(void)
{
	set_up();
	for (unsigned i = 1; i <= ROUNDS; i++) {
		lapic_self_ipi(OTHER);
		halt_once();
		EXPECT_EQ(other_fired, i, "interrupts that ended a HLT at once");
	}
}

/* An interrupt between the check and HLT must not be slept through: timers so short that they fall everywhere. */
static void none_lost(void)
{
	set_up();
	for (unsigned i = 1; i <= ROUNDS; i++) {
		lapic_write(LAPIC_DIVIDE, LAPIC_DIVIDE_BY_1);
		lapic_write(LAPIC_LVT_TIMER, TIMER);
		lapic_write(LAPIC_INITIAL, 1 + 97 * i);
		while (fired < i)
			halt_once();
	}
	EXPECT_EQ(fired, ROUNDS, "timer interrupts");
}

/* HLT ends behind the instruction, registers and flags as they were. */
static void state(void)
{
	uint64_t before = 0x0123456789abcdefull, after, flags;

	set_up();
	lapic_timer_start(TIMER, 0, 2 * CLOCK_MS);
	__asm__ volatile("movq %2, %%r13\n\tstc\n\tsti\n\thlt\n\tpushfq\n\tcli\n\tpopq %1\n\tmovq %%r13, %0"
			 : "=&r"(after), "=&r"(flags) : "r"(before) : "r13", "memory", "cc");
	EXPECT_EQ(after, before, "a register after HLT");
	EXPECT_EQ(flags & (RFLAGS_IF | 1), RFLAGS_IF | 1, "IF and CF after HLT");
	EXPECT_EQ(fired, 1, "timer interrupts");
}

static void costs_nothing(void)
{
	const uint64_t duration = 500 * CLOCK_MS;
	uint64_t time, runtime;

	if (!synthetic_has(HV_PRIV_VP_RUNTIME | HV_PRIV_REFERENCE_COUNTER))
		SKIP("no VP runtime");
	set_up();
	time = rdmsr(HV_MSR_TIME_REF_COUNT);
	runtime = rdmsr(HV_MSR_VP_RUNTIME);
	lapic_timer_start(TIMER, 0, duration);
	while (!fired)
		halt_once();
	runtime = rdmsr(HV_MSR_VP_RUNTIME) - runtime;
	time = rdmsr(HV_MSR_TIME_REF_COUNT) - time;
	print("    %llu us ran in %llu us\n", (unsigned long long)runtime / 10, (unsigned long long)time / 10);
	EXPECT(time >= duration - duration / 100, "woken too early");
	EXPECT(runtime < time / 2, "a halted VP ran %llu of %llu units", (unsigned long long)runtime, (unsigned long long)time);
}

/* The counter's interval lies between two of the TSC. */
static void time_goes_on(void)
{
	uint64_t inner, outer, units, least, most;

	if (!synthetic_has(HV_PRIV_REFERENCE_COUNTER))
		SKIP("no reference counter");
	set_up();
	outer = rdtsc();
	units = rdmsr(HV_MSR_TIME_REF_COUNT);
	inner = rdtsc();
	lapic_timer_start(TIMER, 0, 100 * CLOCK_MS);
	while (!fired)
		halt_once();
	inner = rdtsc() - inner;
	units = rdmsr(HV_MSR_TIME_REF_COUNT) - units;
	outer = rdtsc() - outer;
	least = clock_ticks_to_100ns(inner);
	most = clock_ticks_to_100ns(outer);
	EXPECT(units + 2 >= least && units <= most + 2, "the counter says %llu across a HLT, the TSC %llu to %llu",
	       (unsigned long long)units, (unsigned long long)least, (unsigned long long)most);
}

const struct guest_test guest_tests[] = {
	{ "HLT waits for the timer", wakes },
	{ "HLT does not wait for what is pending", pending_already },
	{ "no interrupt is slept through", none_lost },
	{ "HLT changes nothing", state },
	{ "a halted VP does not run", costs_nothing },
	{ "TSC and counter go on in HLT", time_goes_on },
	{ 0 },
};
