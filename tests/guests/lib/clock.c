/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "synthetic.h"
#include "x86.h"

#define PIT_HZ          1193182u
#define PIT_COUNT       59659u			/* 50 ms */
#define PIT_CHANNEL2    0x42u
#define PIT_COMMAND     0x43u
#define PIT_ONE_SHOT    0xb0u			/* channel 2, low and high byte, mode 0 */
#define GATE_PORT       0x61u
#define GATE_ON         0x01u
#define GATE_OUTPUT     0x20u
#define PIT_POLLS_MAX   1000000u
#define TSC_HZ_UNKNOWN  1000000000ull

static uint64_t tsc_hz, tsc_start;

static uint64_t measure(void)
{
	uint64_t before, ticks;

	out8(GATE_PORT, (uint8_t)((in8(GATE_PORT) & ~3u) | GATE_ON));
	out8(PIT_COMMAND, PIT_ONE_SHOT);
	out8(PIT_CHANNEL2, PIT_COUNT & 0xff);
	out8(PIT_CHANNEL2, PIT_COUNT >> 8);
	before = rdtsc();
	for (unsigned i = 0; !(in8(GATE_PORT) & GATE_OUTPUT); i++) {
		if (i == PIT_POLLS_MAX)
			return TSC_HZ_UNKNOWN;
	}
	ticks = rdtsc() - before;
	return ticks < 1000 ? TSC_HZ_UNKNOWN : ticks * PIT_HZ / PIT_COUNT;
}

void clock_init(void)
{
	if (synthetic_has(HV_PRIV_FREQUENCY_REGS))
		tsc_hz = rdmsr(HV_MSR_TSC_FREQUENCY);
	else
		tsc_hz = measure();
	tsc_start = rdtsc();
}

uint64_t clock_tsc_hz(void)
{
	return tsc_hz;
}

uint64_t clock_ticks_to_100ns(uint64_t ticks)
{
	return ticks / tsc_hz * CLOCK_SECOND + ticks % tsc_hz * CLOCK_SECOND / tsc_hz;
}

uint64_t clock_100ns(void)
{
	return clock_ticks_to_100ns(rdtsc() - tsc_start);
}

void clock_spin(uint64_t duration_100ns)
{
	uint64_t start = clock_100ns();

	while (clock_100ns() - start < duration_100ns)
		cpu_pause();
}

bool clock_wait(const volatile unsigned *flag, uint64_t timeout_100ns)
{
	uint64_t start = clock_100ns();

	irq_on();
	while (!*flag && clock_100ns() - start < timeout_100ns)
		cpu_pause();
	irq_off();
	return *flag != 0;
}
