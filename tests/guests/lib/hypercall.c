/* SPDX-License-Identifier: Apache-2.0 */
#include "hypercall.h"

#include "hv/hv_hypercall.h"
#include "hv/hv_msr.h"
#include "verdict.h"
#include "x86.h"

#define PATTERN(n)     (0x5a5a0000c3c30000ull * (2 * (n) + 1) ^ (n))
#define RFLAGS_PATTERN 0x8d7ull			/* OF SF ZF AF PF CF */
#define RESULT_RSVD    0xfffff000ffff0000ull

static uint8_t page[4096] __attribute__((aligned(4096)));

uint64_t hypercall_enable(void)
{
	wrmsr(HV_MSR_GUEST_OS_ID, HYPERCALL_GUEST_OS_ID);
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)page | HV_MSR_PAGE_ENABLE);
	return rdmsr(HV_MSR_HYPERCALL);
}

void hypercall_disable(void)
{
	wrmsr(HV_MSR_HYPERCALL, 0);
	wrmsr(HV_MSR_GUEST_OS_ID, 0);
}

const uint8_t *hypercall_page(void)
{
	return page;
}

static void check(const char *name, uint64_t control, uint64_t got, uint64_t wanted)
{
	if (got != wanted)
		verdict_fail(__FILE_NAME__, __LINE__, "call %llx changed %s from %llx to %llx", (unsigned long long)control,
			     name, (unsigned long long)wanted, (unsigned long long)got);
}

uint64_t hypercall(uint64_t control, uint64_t input, uint64_t output)
{
	const struct hypercall_registers before = {
		.rax = PATTERN(0), .rbx = PATTERN(1), .rcx = control, .rdx = input, .rsi = PATTERN(4), .rdi = PATTERN(5),
		.rbp = PATTERN(6), .r8 = output, .r9 = PATTERN(9), .r10 = PATTERN(10), .r11 = PATTERN(11), .r12 = PATTERN(12),
		.r13 = PATTERN(13), .r14 = PATTERN(14), .r15 = PATTERN(15), .rflags = RFLAGS_PATTERN,
	};
	struct hypercall_registers after = before;

	hypercall_enter(&after, page);
	check("rbx", control, after.rbx, before.rbx);
	/* A rep call that was interrupted may show how far it came. */
	check("rcx", control, after.rcx & ~(0xfffull << HC_REP_START_SHIFT), control & ~(0xfffull << HC_REP_START_SHIFT));
	check("rdx", control, after.rdx, before.rdx);
	check("rsi", control, after.rsi, before.rsi);
	check("rdi", control, after.rdi, before.rdi);
	check("rbp", control, after.rbp, before.rbp);
	check("r8", control, after.r8, before.r8);
	check("r9", control, after.r9, before.r9);
	check("r10", control, after.r10, before.r10);
	check("r11", control, after.r11, before.r11);
	check("r12", control, after.r12, before.r12);
	check("r13", control, after.r13, before.r13);
	check("r14", control, after.r14, before.r14);
	check("r15", control, after.r15, before.r15);
	check("rflags", control, after.rflags, before.rflags);
	check("the result's reserved bits", control, after.rax & RESULT_RSVD, 0);
	return after.rax;
}
