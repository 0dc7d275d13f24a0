/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call code in every form, with harmless parameters: a status of the interface comes back, no other register and no
 * byte of memory around the parameters changes, and it takes a bounded time.
 */
#include "hv/hv_cpuid.h"
#include "hv/hv_hypercall.h"
#include "hv/hv_status.h"
#include "lib/bootinfo.h"
#include "lib/clock.h"
#include "lib/hypercall.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define CODES        0x10000u
#define PAGE_BYTES   4096u
#define PATTERN      0xa7
#define SWEEP_LIMIT  (100 * CLOCK_SECOND)
#define CHECK_EVERY  0x400u

enum form { SLOW, FAST, REP, REP_FAST };

/* Guard, input, guard, output, guard. */
static uint8_t pages[5][PAGE_BYTES] __attribute__((aligned(4096)));

static void fill(void)
{
	memset(pages, PATTERN, sizeof pages);
	memset(pages[1], 0, PAGE_BYTES);
}

static bool untouched(void)
{
	const uint64_t *word = (const uint64_t *)pages;

	for (unsigned i = 0; i < sizeof pages / 8; i++) {
		bool in_input = i >= PAGE_BYTES / 8 && i < 2 * PAGE_BYTES / 8;

		if (word[i] != (in_input ? 0 : 0x0101010101010101ull * PATTERN))
			return false;
	}
	return true;
}

/* What a child without connections can get: unknown, wrong form, denied, or an input of zeros refused. */
static bool is_expected(uint16_t code, uint16_t status)
{
	if (status == HV_STATUS_INVALID_HYPERCALL_CODE || status == HV_STATUS_INVALID_HYPERCALL_INPUT ||
	    status == HV_STATUS_ACCESS_DENIED)
		return true;
	if (code == HVCALL_POST_MESSAGE || code == HVCALL_SIGNAL_EVENT)
		return status == HV_STATUS_INVALID_PARAMETER || status == HV_STATUS_INVALID_CONNECTION_ID;
	return false;
}

static uint64_t control_of(unsigned code, enum form form)
{
	return code | (form == FAST || form == REP_FAST ? HC_FAST_FLAG : 0) |
	       (form == REP || form == REP_FAST ? 1ull << HC_REP_COUNT_SHIFT : 0);
}

static void sweep(enum form form)
{
	bool fast = form == FAST || form == REP_FAST;
	uint64_t in = fast ? 0 : (uint64_t)pages[1], out = fast ? 0 : (uint64_t)pages[3];
	uint64_t start, worst = 0;
	unsigned known = 0;

	if (!synthetic_has(HV_PRIV_HYPERCALL_MSRS))
		SKIP("no hypercalls");
	(void)hypercall_enable();
	fill();
	start = clock_100ns();
	for (unsigned code = 0; code < CODES; code++) {
		uint64_t before = rdtsc(), result = hypercall(control_of(code, form), in, out), ticks = rdtsc() - before;

		EXPECT_ALL();
		EXPECT(is_expected((uint16_t)code, HC_RESULT_STATUS(result)), "call %x: result %llx", code,
		       (unsigned long long)result);
		EXPECT(HC_RESULT_REPS(result) == 0, "call %x: %u elements done", code, HC_RESULT_REPS(result));
		known += HC_RESULT_STATUS(result) != HV_STATUS_INVALID_HYPERCALL_CODE;
		worst = ticks > worst ? ticks : worst;
		if (code % CHECK_EVERY == CHECK_EVERY - 1) {
			EXPECT(untouched(), "memory changed by one of the calls up to %x", code);
			EXPECT(clock_100ns() - start < SWEEP_LIMIT, "too slow: only up to call %x", code);
		}
	}
	print("    %u known; %llu us in all, %llu us at most\n", known, (unsigned long long)(clock_100ns() - start) / 10,
	      (unsigned long long)clock_ticks_to_100ns(worst) / 10);
	EXPECT(known > 0, "not a single call is known");
}

static void slow(void)
{
	sweep(SLOW);
}

static void fast(void)
{
	sweep(FAST);
}

static void rep(void)
{
	sweep(REP);
}

static void rep_fast(void)
{
	sweep(REP_FAST);
}

const struct guest_test guest_tests[] = {
	{ "all codes with memory parameters", slow },
	{ "all codes with register parameters", fast },
	{ "all codes with one repetition", rep },
	{ "all codes with one repetition, in registers", rep_fast },
	{ 0 },
};
