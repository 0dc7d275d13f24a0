/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu.h"

#include "acpi.h"
#include "clock.h"
#include "lapic.h"
#include "layout.h"
#include "memory.h"
#include "trap.h"
#include "x86.h"

#define START_TIMEOUT (5 * CLOCK_SECOND)

extern const uint8_t ap_trampoline[], ap_trampoline_end[];
extern uint32_t cpu_ap_stack_top;
void cpu_ap_main(void);

/* Written by the starter, read by the trampoline and by what follows it. */
uint32_t cpu_ap_stack_top;
static uint8_t stacks[ACPI_PROCESSORS_MAX][STACK_BYTES] __attribute__((aligned(16)));
static void (*start_work)(unsigned index);
static unsigned start_index;
static volatile unsigned started;

unsigned cpu_count(void)
{
	return acpi.processor_count ? acpi.processor_count : 1;
}

uint8_t cpu_apic_id(unsigned index)
{
	return acpi.apic_ids[index];
}

void cpu_ap_main(void)
{
	void (*work)(unsigned index) = start_work;
	unsigned index = start_index;

	trap_init_ap();
	lapic_init();
	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	work(index);
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

bool cpu_start(unsigned index, void (*work)(unsigned index))
{
	uint64_t start;

	memcpy((void *)LOW_CODE_GPA, ap_trampoline, (size_t)(ap_trampoline_end - ap_trampoline));
	cpu_ap_stack_top = (uint32_t)(uintptr_t)stacks[index] + STACK_BYTES;
	start_work = work;
	start_index = index;
	__atomic_store_n(&started, 0, __ATOMIC_SEQ_CST);
	lapic_ipi(cpu_apic_id(index), LAPIC_ICR_INIT | LAPIC_ICR_ASSERT);
	clock_spin(10 * CLOCK_MS);
	for (unsigned tries = 0; tries < 2 && !started; tries++) {
		lapic_ipi(cpu_apic_id(index), LAPIC_ICR_STARTUP | LAPIC_ICR_ASSERT | LOW_CODE_GPA >> 12);
		clock_spin(CLOCK_MS / 5);
	}
	start = clock_100ns();
	while (!started && clock_100ns() - start < START_TIMEOUT)
		cpu_pause();
	return started;
}
