/* SPDX-License-Identifier: Apache-2.0 */
/* core/platform.h on the metal. */
#include "core/log.h"
#include "core/ref_time.h"
#include "x86/cpu.h"
#include "x86/idt_offsets.h"
#include "x86/x86.h"

_Static_assert(offsetof(struct x86_cpu, in_window) == X86_CPU_IN_WINDOW, "idt.S reads it there");

#define DEBUG_PORT 0xe9

struct machine machine;
struct cpu *cpus[CPUS_MAX];
const struct arch_ops *arch;

void *platform_ptr(spa_t spa)
{
	return (void *)(uintptr_t)spa.v;
}

struct cpu *platform_cpu(void)
{
	uintptr_t top = (uintptr_t)__builtin_frame_address(0) | (CPU_AREA_BYTES - 1);

	return &(*(struct x86_cpu **)(top - 7))->cpu;
}

uint64_t platform_tsc(void)
{
	return cpu_rdtsc();
}

void platform_kick(struct cpu *cpu)
{
	if (cpu != platform_cpu())
		lapic_hw_send(cpu->apic_id, VECTOR_HV_DOORBELL);
}

void platform_set_timer(uint64_t deadline)
{
	struct cpu *cpu = platform_cpu();
	uint64_t now = platform_tsc(), ticks;

	if (deadline == cpu->timer_deadline)
		return;
	cpu->timer_deadline = deadline;
	if (deadline == ~0ull) {
		lapic_hw_write(LAPIC_TMICT, 0);
		return;
	}
	ticks = deadline > now ? mul_div_u64(deadline - now, machine.apic_hz, machine.tsc_hz) + 1 : 1;
	lapic_hw_write(LAPIC_TMICT, ticks > 0xffffffff ? 0xffffffff : (uint32_t)ticks);
}

_Noreturn void platform_panic(const char *what, const char *file, int line)
{
	log_line("hypervisor: stopped: %s (%s:%d)", what, file, line);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void platform_debug_write(const char *text, size_t bytes)
{
	if (cpu_in8(DEBUG_PORT) != DEBUG_PORT)
		return;
	for (size_t i = 0; i < bytes; i++)
		cpu_out8(DEBUG_PORT, (uint8_t)text[i]);
}
