/* SPDX-License-Identifier: Apache-2.0 */
/* CPU facts and instructions without vendor. Inline assembler lives here and in the .S files. */
#ifndef X86_CPU_H
#define X86_CPU_H

#include "core/types.h"

#define CR0_PE (1ull << 0)
#define CR0_MP (1ull << 1)
#define CR0_EM (1ull << 2)
#define CR0_TS (1ull << 3)
#define CR0_ET (1ull << 4)
#define CR0_NE (1ull << 5)
#define CR0_WP (1ull << 16)
#define CR0_AM (1ull << 18)
#define CR0_NW (1ull << 29)
#define CR0_CD (1ull << 30)
#define CR0_PG (1ull << 31)

#define CR4_PSE        (1ull << 4)
#define CR4_PAE        (1ull << 5)
#define CR4_PGE        (1ull << 7)
#define CR4_OSFXSR     (1ull << 9)
#define CR4_OSXMMEXCPT (1ull << 10)
#define CR4_LA57       (1ull << 12)
#define CR4_OSXSAVE    (1ull << 18)
#define CR4_SMEP       (1ull << 20)
#define CR4_SMAP       (1ull << 21)

#define EFER_SCE  (1ull << 0)
#define EFER_LME  (1ull << 8)
#define EFER_LMA  (1ull << 10)
#define EFER_NXE  (1ull << 11)
#define EFER_SVME (1ull << 12)

#define RFLAGS_RSVD1 (1ull << 1)
#define RFLAGS_TF    (1ull << 8)
#define RFLAGS_IF    (1ull << 9)
#define RFLAGS_VM    (1ull << 17)

#define MSR_TSC            0x10u
#define MSR_APIC_BASE      0x1bu
#define MSR_SYSENTER_CS    0x174u
#define MSR_SYSENTER_ESP   0x175u
#define MSR_SYSENTER_EIP   0x176u
#define MSR_PAT            0x277u
#define MSR_TSC_DEADLINE   0x6e0u
#define MSR_X2APIC_BASE    0x800u
#define MSR_EFER           0xc0000080u
#define MSR_STAR           0xc0000081u
#define MSR_LSTAR          0xc0000082u
#define MSR_CSTAR          0xc0000083u
#define MSR_SFMASK         0xc0000084u
#define MSR_FS_BASE        0xc0000100u
#define MSR_GS_BASE        0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX        0xc0000103u
#define MSR_VM_CR          0xc0010114u
#define MSR_VM_HSAVE_PA    0xc0010117u

#define PAT_RESET 0x0007040600070406ull

static inline void cpu_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "0"(leaf), "2"(subleaf));
}

static inline uint64_t cpu_rdmsr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpu_wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

/* MSR access that survives #GP (x86/idt.S knows these instructions): true when the CPU did it. */
bool cpu_rdmsr_safe(uint32_t msr, uint64_t *out_value);
bool cpu_wrmsr_safe(uint32_t msr, uint64_t value);

static inline uint64_t cpu_rdtsc(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

#define CPU_CR_ACCESS(n)								\
	static inline uint64_t cpu_read_cr##n(void)					\
	{										\
		uint64_t v;								\
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v));			\
		return v;								\
	}										\
	static inline void cpu_write_cr##n(uint64_t v)					\
	{										\
		__asm__ volatile("mov %0, %%cr" #n : : "r"(v) : "memory");		\
	}
CPU_CR_ACCESS(0)
CPU_CR_ACCESS(2)
CPU_CR_ACCESS(3)
CPU_CR_ACCESS(4)

#define CPU_DR_ACCESS(n)								\
	static inline uint64_t cpu_read_dr##n(void)					\
	{										\
		uint64_t v;								\
		__asm__ volatile("mov %%db" #n ", %0" : "=r"(v));			\
		return v;								\
	}										\
	static inline void cpu_write_dr##n(uint64_t v)					\
	{										\
		__asm__ volatile("mov %0, %%db" #n : : "r"(v));				\
	}
CPU_DR_ACCESS(0)
CPU_DR_ACCESS(1)
CPU_DR_ACCESS(2)
CPU_DR_ACCESS(3)
CPU_DR_ACCESS(6)
CPU_DR_ACCESS(7)

static inline uint64_t cpu_xgetbv(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return (uint64_t)hi << 32 | lo;
}

static inline void cpu_xsetbv(uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline void cpu_xsave(void *area, uint64_t mask)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static inline void cpu_xrstor(const void *area, uint64_t mask)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)) : "memory");
}

static inline void cpu_fxsave(void *area)
{
	__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
}

static inline void cpu_fxrstor(const void *area)
{
	__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
}

static inline void cpu_out8(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint8_t cpu_in8(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline uint32_t cpu_in32(uint16_t port)
{
	uint32_t v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void cpu_vmsave(uint64_t vmcb_spa)
{
	__asm__ volatile("vmsave %%rax" : : "a"(vmcb_spa) : "memory");
}

static inline void cpu_vmload(uint64_t vmcb_spa)
{
	__asm__ volatile("vmload %%rax" : : "a"(vmcb_spa) : "memory");
}

struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));	/* the CPU's own layout */

static inline struct table_pointer cpu_sgdt(void)
{
	struct table_pointer p;

	__asm__ volatile("sgdt %0" : "=m"(p));
	return p;
}

static inline struct table_pointer cpu_sidt(void)
{
	struct table_pointer p;

	__asm__ volatile("sidt %0" : "=m"(p));
	return p;
}

#endif
