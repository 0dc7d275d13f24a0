/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"
#include "x86/cpu.h"
#include "x86/x86.h"

struct gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, rsvd;
};
WIRE_SIZE(struct gate, 16);

static uint64_t gdt[3] __attribute__((aligned(16)));
static struct gate idt[256] __attribute__((aligned(16)));

extern char idt_stubs[];	/* idt.S: 256 entries of 16 bytes */
#define STUB_BYTES 16

void desc_init(void)
{
	gdt[1] = 0x00af9b000000ffffull;	/* code, 64-bit */
	gdt[2] = 0x00cf93000000ffffull;	/* data */
	for (unsigned i = 0; i < 256; i++) {
		uint64_t at = (uintptr_t)idt_stubs + STUB_BYTES * i;

		idt[i] = (struct gate){ (uint16_t)at, HOST_CS, 0, 0x8e, (uint16_t)(at >> 16), (uint32_t)(at >> 32), 0 };
	}
}

void desc_load(void)
{
	struct table_pointer g = { sizeof gdt - 1, (uintptr_t)gdt };
	struct table_pointer i = { sizeof idt - 1, (uintptr_t)idt };

	__asm__ volatile("lgdt %0\n\t"
			 "pushq %2\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\tmov %3, %%ds\n\t"
			 "mov %3, %%es\n\t"
			 "mov %3, %%ss\n\t"
			 "lidt %1"
			 : : "m"(g), "m"(i), "i"(HOST_CS), "r"(HOST_DS) : "rax", "memory");
}

void x86_exception(uint64_t vector, const uint64_t *frame);

/* An exception in the hypervisor itself; called by idt.S. frame: error code, RIP, CS, RFLAGS, RSP, SS. */
void x86_exception(uint64_t vector, const uint64_t *frame)
{
	log_line("hypervisor: exception %llu, error %#llx, rip %#llx, rsp %#llx, cr2 %#llx", (unsigned long long)vector,
		 (unsigned long long)frame[0], (unsigned long long)frame[1], (unsigned long long)frame[4],
		 (unsigned long long)cpu_read_cr2());
	platform_panic("exception in the hypervisor", __FILE__, __LINE__);
}
