/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87, SSE and AVX registers are the VP's own: they survive every kind of exit and the time of others. Two children at once
 * with different patterns (option seed=NUMBER) see each other's if state leaks.
 */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "lib/bootinfo.h"
#include "lib/clock.h"
#include "lib/hypercall.h"
#include "lib/lapic.h"
#include "lib/memory.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define TIMER        0x77u
#define AREA_BYTES   4096u
#define XCR0_AVX     7ull
#define L1_ECX_XSAVE (1u << 26)
#define L1_ECX_AVX   (1u << 28)
#define FX_FCW       0u
#define FX_FTW       4u
#define FX_MXCSR     24u
#define FX_ST        32u
#define FX_XMM       160u
#define FX_END       416u
#define XSTATE_BV    512u
#define XCOMP_END    576u
#define FCW          0x027fu			/* all masked, double precision */
#define MXCSR        0x9f80u			/* all masked, flush to zero */
#define ROUNDS       20u
#define UNUSED_PORT  0x5f0u

static uint8_t before[AREA_BYTES] __attribute__((aligned(64)));
static uint8_t after[AREA_BYTES] __attribute__((aligned(64)));
static volatile unsigned fired;
static bool with_avx;
static uint32_t avx_at, avx_bytes;

static void on_timer(struct trap_frame *frame)
{
	fired++;
	lapic_eoi();
}

static uint8_t pattern(unsigned i, uint64_t seed)
{
	uint64_t x = (i + 1) * 0x9e3779b97f4a7c15ull ^ seed * 0xd1342543de82ef95ull;

	x ^= x >> 29;
	return (uint8_t)(x * 0xbf58476d1ce4e5b9ull >> 56);
}

/* A state that can be loaded: exponents of the x87 registers are ordinary ones. */
static void make_state(uint64_t seed)
{
	memset(before, 0, sizeof before);
	for (unsigned i = FX_XMM; i < FX_END; i++)
		before[i] = pattern(i, seed);
	for (unsigned st = 0; st < 8; st++) {
		uint8_t *value = before + FX_ST + 16 * st;

		for (unsigned i = 0; i < 7; i++)
			value[i] = pattern(16 * st + i, seed);
		value[7] = 0x80 | pattern(st, seed);
		value[8] = pattern(100 + st, seed);
		value[9] = 0x3f;
	}
	before[FX_FCW] = FCW & 0xff;
	before[FX_FCW + 1] = FCW >> 8;
	before[FX_FTW] = 0xff;
	before[FX_MXCSR] = MXCSR & 0xff;
	before[FX_MXCSR + 1] = MXCSR >> 8;
	if (!with_avx)
		return;
	before[XSTATE_BV] = (uint8_t)XCR0_AVX;
	for (unsigned i = 0; i < avx_bytes; i++)
		before[avx_at + i] = pattern(1000 + i, seed);
}

static void load(void)
{
	if (with_avx)
		__asm__ volatile("xrstor64 %0" : : "m"(before), "a"((uint32_t)XCR0_AVX), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 %0" : : "m"(before) : "memory");
}

static void store(void)
{
	memset(after, 0, sizeof after);
	if (with_avx)
		__asm__ volatile("xsave64 %0" : "+m"(after) : "a"((uint32_t)XCR0_AVX), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 %0" : "=m"(after) : : "memory");
}

static void compare(const char *what)
{
	EXPECT(load32(after + FX_FCW) == load32(before + FX_FCW), "%s: x87 control and status %x, not %x", what,
	       load32(after + FX_FCW), load32(before + FX_FCW));
	EXPECT(load32(after + FX_MXCSR) == load32(before + FX_MXCSR), "%s: MXCSR %x, not %x", what, load32(after + FX_MXCSR),
	       load32(before + FX_MXCSR));
	for (unsigned st = 0; st < 8; st++)
		EXPECT(memcmp(after + FX_ST + 16 * st, before + FX_ST + 16 * st, 10) == 0, "%s: st%u differs", what, st);
	for (unsigned xmm = 0; xmm < 16; xmm++)
		EXPECT(memcmp(after + FX_XMM + 16 * xmm, before + FX_XMM + 16 * xmm, 16) == 0, "%s: xmm%u differs", what, xmm);
	for (unsigned ymm = 0; with_avx && ymm < 16; ymm++)
		EXPECT(memcmp(after + avx_at + 16 * ymm, before + avx_at + 16 * ymm, 16) == 0, "%s: ymm%u differs", what, ymm);
}

static void event_nothing(void)
{
}

static void event_cpuid(void)
{
	(void)cpuid(1, 0);
}

static void event_msr(void)
{
	if (synthetic_has(HV_PRIV_VP_INDEX))
		(void)rdmsr(HV_MSR_VP_INDEX);
}

static void event_hypercall(void)
{
	struct hypercall_registers r = { .rcx = 0x7fff, .rflags = 2 };

	if (synthetic_has(HV_PRIV_HYPERCALL_MSRS))
		hypercall_enter(&r, hypercall_page());
}

static void event_port(void)
{
	out8(UNUSED_PORT, 1);
	(void)in8(UNUSED_PORT);
}

static void event_apic(void)
{
	(void)lapic_read(LAPIC_TPR);
}

static void event_halt(void)
{
	fired = 0;
	lapic_timer_start(TIMER, 0, 3 * CLOCK_MS);
	while (!fired)
		halt_once();
}

static void event_time(void)
{
	irq_on();
	clock_spin(15 * CLOCK_MS);
	irq_off();
}

static void survives(void)
{
	static const struct {
		const char *name;
		void (*happen)(void);
	} events[] = {
		{ "nothing", event_nothing }, { "CPUID", event_cpuid }, { "an MSR", event_msr }, { "a hypercall", event_hypercall },
		{ "a port", event_port }, { "the APIC", event_apic }, { "HLT", event_halt }, { "time", event_time },
	};
	uint64_t seed = bootinfo_number("seed", 1);

	trap_set_handler(TIMER, on_timer);
	if (synthetic_has(HV_PRIV_HYPERCALL_MSRS))
		(void)hypercall_enable();
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < sizeof events / sizeof events[0]; i++) {
			make_state(seed * 1000003 + round * 16 + i);
			load();
			events[i].happen();
			store();
			compare(events[i].name);
			EXPECT_ALL();
		}
	}
}

static void sse(void)
{
	with_avx = false;
	survives();
}

static void avx(void)
{
	struct cpuid sizes;

	if (!(cpuid(1, 0).ecx & L1_ECX_XSAVE) || !(cpuid(1, 0).ecx & L1_ECX_AVX))
		SKIP("no AVX");
	write_cr4(read_cr4() | CR4_OSXSAVE);
	EXPECT_EQ(xsetbv_trap(0, XCR0_AVX), 0, "XSETBV with x87, SSE and AVX");
	sizes = cpuid(0xd, 2);
	avx_bytes = sizes.eax;
	avx_at = sizes.ebx;
	EXPECT(avx_bytes == 256 && avx_at >= XCOMP_END && avx_at + avx_bytes <= AREA_BYTES, "AVX state: %u bytes at %u", avx_bytes,
	       avx_at);
	EXPECT(cpuid(0xd, 0).ebx >= avx_at + avx_bytes, "CPUID says %u bytes for what is enabled", cpuid(0xd, 0).ebx);
	with_avx = true;
	survives();
}

static void xcr0_rules(void)
{
	uint64_t supported;

	if (!(cpuid(1, 0).ecx & L1_ECX_XSAVE))
		SKIP("no XSAVE");
	write_cr4(read_cr4() | CR4_OSXSAVE);
	supported = (uint64_t)cpuid(0xd, 0).edx << 32 | cpuid(0xd, 0).eax;
	EXPECT(supported & 3, "x87 and SSE are not among the states: %llx", (unsigned long long)supported);
	EXPECT_EQ(xsetbv_trap(0, 0), TRAP_GP, "XCR0 without x87");
	EXPECT_EQ(xsetbv_trap(0, 5), TRAP_GP, "XCR0 with AVX, without SSE");
	EXPECT_EQ(xsetbv_trap(0, 1ull << 63 | 3), TRAP_GP, "XCR0 with a reserved bit");
	EXPECT_EQ(xsetbv_trap(1, 3), TRAP_GP, "XCR1");
	for (unsigned bit = 2; bit < 63; bit++) {
		if (!(supported >> bit & 1))
			EXPECT(xsetbv_trap(0, 1ull << bit | 7) == TRAP_GP, "XCR0 takes bit %u, which is not supported", bit);
	}
	EXPECT_EQ(xsetbv_trap(0, 3), 0, "XCR0 with x87 and SSE");
}

const struct guest_test guest_tests[] = {
	{ "x87 and SSE survive", sse },
	{ "XSETBV checks what it is given", xcr0_rules },
	{ "AVX survives", avx },
	{ 0 },
};
