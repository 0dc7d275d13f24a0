/* SPDX-License-Identifier: Apache-2.0 */
#include "x86/cpu.h"
#include "x86/x86.h"

#define APIC_BASE_EXTD (1ull << 10)

static bool x2apic;

void lapic_hw_init(void)
{
	x2apic = (cpu_rdmsr(MSR_APIC_BASE) & APIC_BASE_EXTD) != 0;
}

bool lapic_hw_is_x2apic(void)
{
	return x2apic;
}

uint32_t lapic_hw_read(uint32_t offset)
{
	if (x2apic)
		return (uint32_t)cpu_rdmsr(MSR_X2APIC_BASE + (offset >> 4));
	return *(volatile uint32_t *)(uintptr_t)(LAPIC_MMIO_BASE + offset);
}

void lapic_hw_write(uint32_t offset, uint32_t value)
{
	if (x2apic)
		cpu_wrmsr(MSR_X2APIC_BASE + (offset >> 4), value);
	else
		*(volatile uint32_t *)(uintptr_t)(LAPIC_MMIO_BASE + offset) = value;
}

uint32_t lapic_hw_id(void)
{
	return x2apic ? lapic_hw_read(LAPIC_ID) : lapic_hw_read(LAPIC_ID) >> 24;
}

/* Fixed, physical destination, edge. */
void lapic_hw_send(uint32_t apic_id, uint8_t vector)
{
	if (x2apic) {
		cpu_wrmsr(MSR_X2APIC_BASE + (LAPIC_ICR_LOW >> 4), (uint64_t)apic_id << 32 | 0x4000 | vector);
		return;
	}
	while (lapic_hw_read(LAPIC_ICR_LOW) & (1u << 12))
		platform_pause();
	lapic_hw_write(LAPIC_ICR_LOW + 0x10, apic_id << 24);
	lapic_hw_write(LAPIC_ICR_LOW, 0x4000 | vector);
}

bool lapic_hw_bit(uint32_t base, uint8_t vector)
{
	return lapic_hw_read(base + (vector / 32) * 0x10) >> (vector % 32) & 1;
}

int lapic_hw_highest(uint32_t base)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t word = lapic_hw_read(base + (uint32_t)i * 0x10);

		if (word)
			return i * 32 + 31 - __builtin_clz(word);
	}
	return -1;
}
