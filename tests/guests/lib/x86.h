/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instructions. The _trap forms may fault: they return 0, or TRAPPED | vector | error code << 32, and leave results as 0.
 * The trap handler finds them by the fixup table, resumes behind them and puts that word into RSI.
 */
#ifndef GUEST_X86_H
#define GUEST_X86_H

#include <stdbool.h>
#include <stdint.h>

#define TRAPPED        0x100ull
#define TRAP_VECTOR(t) ((unsigned)((t) & 0xff))
#define TRAP_ERROR(t)  ((uint32_t)((t) >> 32))
#define TRAP_DE (TRAPPED | 0)
#define TRAP_UD (TRAPPED | 6)
#define TRAP_GP (TRAPPED | 13)			/* error code 0 */

#define FIXUP(from, to) ".pushsection .fixups, \"a\"\n\t.quad " from ", " to "\n\t.popsection\n\t"

#define MSR_TSC       0x10u
#define MSR_APIC_BASE 0x1bu
#define MSR_EFER      0xc0000080u
#define MSR_VM_CR     0xc0010114u
#define MSR_VM_HSAVE  0xc0010117u
#define EFER_SVME     0x1000ull
#define CR4_OSXSAVE   0x40000ull
#define CR4_VMXE      0x2000ull
#define RFLAGS_IF     0x200ull

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf) : "memory");
	return r;
}

static inline uint64_t rdmsr_trap(uint32_t msr, uint64_t *out_value)
{
	uint64_t trap = 0, low = 0, high = 0;

	__asm__ volatile("1: rdmsr\n2:\n" FIXUP("1b", "2b") : "+a"(low), "+d"(high), "+S"(trap) : "c"(msr) : "memory");
	*out_value = trap ? 0 : high << 32 | low;
	return trap;
}

static inline uint64_t wrmsr_trap(uint32_t msr, uint64_t value)
{
	uint64_t trap = 0;

	__asm__ volatile("1: wrmsr\n2:\n" FIXUP("1b", "2b")
			 : "+S"(trap) : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
	return trap;
}

/* These must not fault: an unexpected trap is the guest's verdict. */
static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* The opcodes of both vendors, outside of the hypercall page. */
static inline uint64_t vmmcall_trap(uint64_t control, uint64_t *out_result)
{
	uint64_t trap = 0, result = 0;

	__asm__ volatile("xorl %%r8d, %%r8d\n1: vmmcall\n2:\n" FIXUP("1b", "2b")
			 : "+a"(result), "+S"(trap) : "c"(control), "d"(0ull) : "r8", "memory");
	*out_result = result;
	return trap;
}

static inline uint64_t write64_trap(volatile void *to, uint64_t value)
{
	uint64_t trap = 0;

	__asm__ volatile("1: movq %[value], (%[to])\n2:\n" FIXUP("1b", "2b")
			 : "+S"(trap) : [to] "r"(to), [value] "r"(value) : "memory");
	return trap;
}

static inline uint64_t xsetbv_trap(uint32_t index, uint64_t value)
{
	uint64_t trap = 0;

	__asm__ volatile("1: xsetbv\n2:\n" FIXUP("1b", "2b")
			 : "+S"(trap) : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
	return trap;
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void out16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

/* Device memory: one plain MOV, which is what an emulator has to know. */
static inline uint32_t read32(uintptr_t address)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void write32(uintptr_t address, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

static inline void irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Takes what is pending. NOP, not PAUSE: emulators are known to carry the shadow of STI over a PAUSE. */
static inline void irq_on_briefly(void)
{
	__asm__ volatile("sti\n\tnop\n\tnop\n\tcli" : : : "memory");
}

/* Halts with interrupts on and returns with them off: none is lost between STI and HLT. */
static inline void halt_once(void)
{
	__asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline uint64_t read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr4, %0" : "=r"(value));
	return value;
}

static inline void write_cr4(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr4" : : "r"(value) : "memory");
}

static inline void write_cr3(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(value) : "memory");
}

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));			/* as LIDT and LGDT read it */

static inline void load_idt(const struct table_pointer *pointer)
{
	__asm__ volatile("lidt %0" : : "m"(*pointer) : "memory");
}

#endif
