/* SPDX-License-Identifier: Apache-2.0 */
/* More than one VP: INIT-SIPI-SIPI, IPIs both ways, VP indexes, one clock for all. Needs two VPs, takes more. */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "hv/hv_status.h"
#include "lib/acpi.h"
#include "lib/clock.h"
#include "lib/cpu.h"
#include "lib/hypercall.h"
#include "lib/lapic.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define PING        0x71u
#define PONG        0x72u
#define BROADCAST   0x73u
#define WAKE        0x74u
#define NMI         2u
#define PATIENCE    (10 * CLOCK_SECOND)
#define ROUNDS      200u
#define CLOCK_ROUNDS 20000u
#define INDEXES_MAX ACPI_PROCESSORS_MAX

static volatile struct {
	unsigned pings, broadcasts, wakes, nmis;
	uint64_t vp_index, apic_id, leaf1_id, call_result;
	bool reported;
} seen[INDEXES_MAX];
static volatile unsigned pongs, nmi_total;
static unsigned running;
static uint8_t boot_id;

/* One word that all processors push forward with what their clock says. */
static volatile uint64_t newest;
static volatile unsigned clock_go, clock_done, clock_back;

static unsigned index_of_me(void)
{
	uint8_t id = lapic_id();

	for (unsigned i = 0; i < acpi.processor_count; i++) {
		if (acpi.apic_ids[i] == id)
			return i;
	}
	return 0;
}

static void on_ping(struct trap_frame *frame)
{
	seen[index_of_me()].pings++;
	lapic_eoi();
	lapic_ipi(boot_id, LAPIC_ICR_FIXED | LAPIC_ICR_ASSERT | PONG);
}

static void on_pong(struct trap_frame *frame)
{
	pongs++;
	lapic_eoi();
}

static void on_broadcast(struct trap_frame *frame)
{
	seen[index_of_me()].broadcasts++;
	lapic_eoi();
}

static void on_wake(struct trap_frame *frame)
{
	seen[index_of_me()].wakes++;
	lapic_eoi();
}

static void on_nmi(struct trap_frame *frame)
{
	seen[index_of_me()].nmis++;
	__atomic_fetch_add(&nmi_total, 1, __ATOMIC_SEQ_CST);
}

static uint64_t clock_value(void)
{
	return rdtsc();
}

/* No processor may read an earlier time than another one has already published. */
static void push_clock(void)
{
	for (unsigned i = 0; i < CLOCK_ROUNDS; i++) {
		uint64_t published = __atomic_load_n(&newest, __ATOMIC_SEQ_CST), mine = clock_value();

		if (mine < published)
			__atomic_fetch_add(&clock_back, 1, __ATOMIC_SEQ_CST);
		while (mine > published &&
		       !__atomic_compare_exchange_n(&newest, &published, mine, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			;
	}
	__atomic_fetch_add(&clock_done, 1, __ATOMIC_SEQ_CST);
}

static void ap_work(unsigned index)
{
	bool pushed = false;

	seen[index].apic_id = lapic_id();
	seen[index].leaf1_id = cpuid(1, 0).ebx >> 24;
	if (synthetic_has(HV_PRIV_VP_INDEX))
		seen[index].vp_index = rdmsr(HV_MSR_VP_INDEX);
	if (synthetic_has(HV_PRIV_HYPERCALL_MSRS)) {
		struct hypercall_registers r = { .rcx = 0x7fff, .rflags = 2 };

		hypercall_enter(&r, hypercall_page());
		seen[index].call_result = r.rax;
	}
	__atomic_store_n(&seen[index].reported, true, __ATOMIC_SEQ_CST);
	for (;;) {
		halt_once();
		if (clock_go && !pushed) {
			pushed = true;
			push_clock();
		}
	}
}

static bool wait_until(const volatile unsigned *value, unsigned wanted)
{
	uint64_t start = clock_100ns();

	irq_on();
	while (*value < wanted && clock_100ns() - start < PATIENCE)
		cpu_pause();
	irq_off();
	return *value >= wanted;
}

static void start(void)
{
	boot_id = lapic_id();
	if (cpu_count() < 2)
		SKIP("one VP only");
	trap_set_handler(PING, on_ping);
	trap_set_handler(PONG, on_pong);
	trap_set_handler(BROADCAST, on_broadcast);
	trap_set_handler(WAKE, on_wake);
	trap_set_handler(NMI, on_nmi);
	if (synthetic_has(HV_PRIV_HYPERCALL_MSRS))
		(void)hypercall_enable();
	running = 1;
	for (unsigned i = 0; i < cpu_count(); i++) {
		uint64_t begun = clock_100ns();

		if (cpu_apic_id(i) == boot_id)
			continue;
		EXPECT(cpu_start(i, ap_work), "processor %u (APIC id %u) did not start", i, cpu_apic_id(i));
		while (!seen[i].reported)
			EXPECT(clock_100ns() - begun < PATIENCE, "processor %u started, but says nothing", i);
		running++;
	}
	print("    %u processors\n", running);
}

static void identities(void)
{
	uint64_t indexes = 0;

	if (running < 2)
		SKIP("one VP only");
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (cpu_apic_id(i) == boot_id)
			continue;
		EXPECT_EQ(seen[i].apic_id, cpu_apic_id(i), "the APIC id");
		EXPECT_EQ(seen[i].leaf1_id, cpu_apic_id(i), "the APIC id of CPUID");
		if (!synthetic_has(HV_PRIV_VP_INDEX))
			continue;
		EXPECT(seen[i].vp_index < 64, "VP index %llu", (unsigned long long)seen[i].vp_index);
		EXPECT(!(indexes >> seen[i].vp_index & 1), "VP index %llu twice", (unsigned long long)seen[i].vp_index);
		EXPECT(seen[i].vp_index != rdmsr(HV_MSR_VP_INDEX), "an AP has the boot processor's VP index");
		indexes |= 1ull << seen[i].vp_index;
	}
}

static void hypercalls(void)
{
	if (running < 2 || !synthetic_has(HV_PRIV_HYPERCALL_MSRS))
		SKIP("needs two VPs and hypercalls");
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (cpu_apic_id(i) != boot_id)
			EXPECT_EQ(seen[i].call_result, HV_STATUS_INVALID_HYPERCALL_CODE, "a call through another VP's page");
	}
}

static void ipis(void)
{
	if (running < 2)
		SKIP("one VP only");
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (cpu_apic_id(i) == boot_id)
			continue;
		for (unsigned round = 1; round <= ROUNDS; round++) {
			unsigned before = pongs;

			lapic_ipi(cpu_apic_id(i), LAPIC_ICR_FIXED | LAPIC_ICR_ASSERT | PING);
			EXPECT(wait_until(&pongs, before + 1), "round %u: no answer of processor %u", round, i);
			EXPECT_EQ(seen[i].pings, round, "pings that arrived");
		}
	}
}

static void broadcast(void)
{
	unsigned me = index_of_me();

	if (running < 2)
		SKIP("one VP only");
	for (unsigned i = 0; i < cpu_count(); i++)
		seen[i].broadcasts = 0;
	lapic_write(LAPIC_ICR_LOW, LAPIC_ICR_OTHERS | LAPIC_ICR_ASSERT | BROADCAST);
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (i != me)
			EXPECT(wait_until(&seen[i].broadcasts, 1), "processor %u was not reached", i);
	}
	EXPECT_EQ(seen[me].broadcasts, 0, "broadcasts to others that reach oneself");
	lapic_write(LAPIC_ICR_LOW, LAPIC_ICR_ALL | LAPIC_ICR_ASSERT | BROADCAST);
	for (unsigned i = 0; i < cpu_count(); i++)
		EXPECT(wait_until(&seen[i].broadcasts, i == me ? 1 : 2), "processor %u was not reached by a broadcast to all", i);
}

static void logical(void)
{
	unsigned other = index_of_me() ? 0 : 1, before = seen[other].wakes;

	if (running < 2)
		SKIP("one VP only");
	/* Nobody else has set a logical id: only one's own address reaches anybody. */
	lapic_write(LAPIC_DFR, ~0u);
	lapic_write(LAPIC_LDR, 0x80u << 24);
	lapic_write(LAPIC_ICR_HIGH, 0x80u << 24);
	lapic_write(LAPIC_ICR_LOW, 0x800 | LAPIC_ICR_ASSERT | WAKE);
	EXPECT(wait_until(&seen[index_of_me()].wakes, 1), "no interrupt by one's logical id");
	EXPECT_EQ(seen[other].wakes, before, "interrupts of a processor without that logical id");
	lapic_write(LAPIC_LDR, 0);
}

static void nmi(void)
{
	unsigned wanted = running - 1;

	if (running < 2)
		SKIP("one VP only");
	nmi_total = 0;
	for (unsigned i = 0; i < cpu_count(); i++) {
		if (cpu_apic_id(i) != boot_id)
			lapic_ipi(cpu_apic_id(i), LAPIC_ICR_NMI | LAPIC_ICR_ASSERT);
	}
	EXPECT(wait_until(&nmi_total, wanted), "%u of %u NMIs arrived", nmi_total, wanted);
}

static void one_clock(void)
{
	if (running < 2)
		SKIP("one VP only");
	clock_go = 1;
	lapic_write(LAPIC_ICR_LOW, LAPIC_ICR_OTHERS | LAPIC_ICR_ASSERT | WAKE);
	push_clock();
	EXPECT(wait_until(&clock_done, running), "%u of %u processors have read their clocks", clock_done, running);
	EXPECT_EQ(clock_back, 0, "times that one TSC was behind another");
}

const struct guest_test guest_tests[] = {
	{ "INIT and STARTUP start the others", start },
	{ "every VP has an identity of its own", identities },
	{ "one hypercall page serves all VPs", hypercalls },
	{ "IPIs go both ways and wake", ipis },
	{ "broadcasts reach whom they should", broadcast },
	{ "logical destinations match the logical id", logical },
	{ "NMIs arrive", nmi },
	{ "all TSCs are one", one_clock },
	{ 0 },
};
