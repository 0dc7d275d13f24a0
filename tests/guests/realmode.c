/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real mode, where every processor starts: CPUID, ports, a string of ports, HLT with an interrupt through the table at
 * address 0; and back to long mode.
 */
#include "hv/hv_cpuid.h"
#include "lib/clock.h"
#include "lib/lapic.h"
#include "lib/layout.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define TIMER        0x70u
#define MAGIC        0x600du
#define UNUSED_PORT  0x5f0u

/* What the 16-bit code finds and leaves at LOW_DATA_GPA; offsets as in realmode_entry.S. */
struct exchange {
	uint32_t leaf;
	struct cpuid result;
	uint32_t interrupts;
	uint32_t port_in;
	uint32_t done;
	uint32_t cr0;
	uint16_t vmmcall_faults, rsvd;
};
static volatile struct exchange *const exchange = (volatile struct exchange *)LOW_DATA_GPA;

extern const uint8_t realmode_code[], realmode_code_end[], realmode_interrupt[], realmode_invalid_opcode[];
void realmode_visit(void);

/* The table's entries are CS:IP. */
static void vector_set(unsigned vector, const uint8_t *handler)
{
	volatile uint16_t *entry = (volatile uint16_t *)(uintptr_t)(vector * 4);

	__asm__("" : "+r"(entry));		/* address 0 and what follows is a place like any other */
	entry[0] = (uint16_t)(handler - realmode_code);
	entry[1] = LOW_CODE_GPA >> 4;
}

static void visit(uint32_t leaf)
{
	memcpy((void *)LOW_CODE_GPA, realmode_code, (size_t)(realmode_code_end - realmode_code));
	memset((void *)LOW_DATA_GPA, 0, sizeof *exchange);
	exchange->leaf = leaf;
	vector_set(TIMER, realmode_interrupt);
	vector_set(6, realmode_invalid_opcode);
	/* The other end of the APIC's timer is in real mode, where its registers are out of reach. */
	lapic_timer_start(TIMER, 0, 20 * CLOCK_MS);
	realmode_visit();
	lapic_eoi();
	trap_init_ap();
}

static void there_and_back(void)
{
	uint64_t start = clock_100ns();

	visit(0);
	EXPECT_EQ(exchange->done, MAGIC, "the mark of the 16-bit code");
	EXPECT_EQ(exchange->cr0 & 1, 0, "CR0.PE there");
	EXPECT_EQ(exchange->interrupts, 1, "interrupts there");
	EXPECT(clock_100ns() - start >= 19 * CLOCK_MS, "HLT ended before the timer");
	EXPECT_EQ(lapic_bit(LAPIC_ISR, TIMER), 0, "the service bit after the EOI");
}

static void same_cpuid(void)
{
	static const uint32_t leaves[] = { 0, 0x80000001, HV_CPUID_VENDOR, HV_CPUID_FEATURES };

	for (unsigned i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
		struct cpuid here = cpuid(leaves[i], 0);

		visit(leaves[i]);
		EXPECT_EQ(exchange->result.eax, here.eax, "EAX");
		EXPECT_EQ(exchange->result.ebx, here.ebx, "EBX");
		EXPECT_EQ(exchange->result.ecx, here.ecx, "ECX");
		EXPECT_EQ(exchange->result.edx, here.edx, "EDX");
	}
}

static void no_hypercalls(void)
{
	if (!synthetic_present())
		SKIP("no hypervisor");
	visit(0);
	EXPECT_EQ(exchange->vmmcall_faults, 1, "invalid opcodes of VMMCALL in real mode");
}

static void ports(void)
{
	visit(0);
	EXPECT_EQ(exchange->port_in, in8(UNUSED_PORT), "what a port reads there");
}

const struct guest_test guest_tests[] = {
	{ "real mode can be entered and left", there_and_back },
	{ "CPUID says the same there", same_cpuid },
	{ "ports work there", ports },
	{ "there are no hypercalls there", no_hypercalls },
	{ 0 },
};
