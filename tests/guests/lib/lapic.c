/* SPDX-License-Identifier: Apache-2.0 */
#include "lapic.h"

#include "clock.h"
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "layout.h"
#include "synthetic.h"
#include "trap.h"
#include "x86.h"

#define MEASURE_100NS (20 * CLOCK_MS)

static uint64_t timer_hz;

uint32_t lapic_read(uint32_t offset)
{
	return read32(LAPIC_GPA + offset);
}

void lapic_write(uint32_t offset, uint32_t value)
{
	write32(LAPIC_GPA + offset, value);
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

uint8_t lapic_id(void)
{
	return (uint8_t)(lapic_read(LAPIC_ID) >> 24);
}

/* Needs no EOI. */
static void spurious(struct trap_frame *frame)
{
}

void lapic_init(void)
{
	trap_set_handler(VECTOR_SPURIOUS, spurious);
	lapic_write(LAPIC_SVR, LAPIC_SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_write(LAPIC_TPR, 0);
	lapic_timer_stop();
}

void lapic_ipi(uint8_t apic_id, uint32_t icr_low)
{
	lapic_write(LAPIC_ICR_HIGH, (uint32_t)apic_id << 24);
	lapic_write(LAPIC_ICR_LOW, icr_low);
	while (lapic_read(LAPIC_ICR_LOW) & LAPIC_ICR_PENDING)
		cpu_pause();
}

void lapic_self_ipi(uint8_t vector)
{
	lapic_write(LAPIC_ICR_LOW, LAPIC_ICR_SELF | LAPIC_ICR_ASSERT | vector);
}

unsigned lapic_bit(uint32_t bitmap, uint8_t vector)
{
	return lapic_read(bitmap + 16u * (vector / 32u)) >> vector % 32u & 1;
}

static uint64_t measure(void)
{
	uint64_t tsc, ticks;

	lapic_write(LAPIC_DIVIDE, LAPIC_DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED);
	lapic_write(LAPIC_INITIAL, ~0u);
	tsc = rdtsc();
	clock_spin(MEASURE_100NS);
	ticks = ~0u - lapic_read(LAPIC_CURRENT);
	tsc = rdtsc() - tsc;
	lapic_timer_stop();
	return ticks * (clock_tsc_hz() / 1000) / (tsc / 1000);
}

uint64_t lapic_timer_hz(void)
{
	if (!timer_hz)
		timer_hz = synthetic_has(HV_PRIV_FREQUENCY_REGS) ? rdmsr(HV_MSR_APIC_FREQUENCY) : measure();
	return timer_hz;
}

void lapic_timer_start(uint8_t vector, uint32_t mode, uint64_t duration_100ns)
{
	uint64_t count = lapic_timer_hz() / 1000 * duration_100ns / CLOCK_MS;

	lapic_write(LAPIC_DIVIDE, LAPIC_DIVIDE_BY_1);
	lapic_write(LAPIC_LVT_TIMER, mode | vector);
	lapic_write(LAPIC_INITIAL, count > ~0u ? ~0u : (uint32_t)count);
}

void lapic_timer_stop(void)
{
	lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED);
	lapic_write(LAPIC_INITIAL, 0);
}
