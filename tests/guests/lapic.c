/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC, as APM vol. 2 chapter 16 describes it. Runs on a machine without a hypervisor as well. */
#include "lib/clock.h"
#include "lib/lapic.h"
#include "lib/layout.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define PATIENCE    (10 * CLOCK_SECOND)
#define MISSED_MAX  8u			/* a busy host runs a VP at least every so many periods */
#define LOW         0x41u
#define MIDDLE      0x62u
#define HIGH        0x83u
#define TIMER       0x94u
#define ERROR_VECTOR 0xa5u
#define ESR_SEND_VECTOR 0x20u
#define BASE_ENABLE 0x800u
#define BASE_BSP    0x100u

static volatile unsigned count[256];
static uint8_t order[16];
static volatile unsigned order_count;
static bool nest;

static void note(struct trap_frame *frame)
{
	uint8_t vector = (uint8_t)frame->vector;

	count[vector]++;
	if (order_count < sizeof order)
		order[order_count++] = vector;
	if (nest)
		irq_on_briefly();
	lapic_eoi();
}

static void no_eoi(struct trap_frame *frame)
{
	count[frame->vector & 0xff]++;
}

static void set_up(void)
{
	static const uint8_t vectors[] = { LOW, MIDDLE, HIGH, TIMER, ERROR_VECTOR };

	irq_off();
	lapic_write(LAPIC_TPR, 0);
	lapic_timer_stop();
	order_count = 0;
	nest = false;
	for (unsigned i = 0; i < sizeof vectors; i++) {
		count[vectors[i]] = 0;
		trap_set_handler(vectors[i], note);
	}
}

static void base(void)
{
	uint64_t value = rdmsr(MSR_APIC_BASE);

	EXPECT_EQ(value & ~0xfffull, LAPIC_GPA, "the APIC's address");
	EXPECT_EQ(value & (BASE_ENABLE | BASE_BSP), BASE_ENABLE | BASE_BSP, "the APIC's enable and boot processor bits");
	EXPECT((lapic_read(LAPIC_VERSION) & 0xff) >= 0x10, "version %x", lapic_read(LAPIC_VERSION));
	EXPECT((lapic_read(LAPIC_VERSION) >> 16 & 0xff) >= 3, "fewer than four local vectors");
	EXPECT_EQ(lapic_read(LAPIC_SVR), LAPIC_SVR_ENABLE | VECTOR_SPURIOUS, "the spurious vector register");
}

static void timer_one_shot(void)
{
	const uint64_t duration = 20 * CLOCK_MS;
	uint64_t start, passed;

	set_up();
	start = clock_100ns();
	lapic_timer_start(TIMER, 0, duration);
	EXPECT(lapic_read(LAPIC_CURRENT) > 0, "the timer does not count");
	EXPECT(clock_wait(&count[TIMER], PATIENCE), "the timer did not fire");
	passed = clock_100ns() - start;
	EXPECT(passed >= duration - duration / 100, "it fired after %llu units, not %llu", (unsigned long long)passed,
	       (unsigned long long)duration);
	EXPECT_EQ(lapic_read(LAPIC_CURRENT), 0, "the count afterwards");
	irq_on();
	clock_spin(3 * duration);
	irq_off();
	EXPECT_EQ(count[TIMER], 1, "firings of a one-shot timer");
}

static void timer_periodic(void)
{
	const uint64_t period = 10 * CLOCK_MS;
	uint64_t start, expected;

	set_up();
	start = clock_100ns();
	lapic_timer_start(TIMER, LAPIC_TIMER_PERIODIC, period);
	irq_on();
	clock_spin(50 * period);
	irq_off();
	expected = (clock_100ns() - start) / period;
	lapic_timer_stop();
	print("    %u firings in %llu periods\n", count[TIMER], (unsigned long long)expected);
	EXPECT(count[TIMER] <= expected + 1, "%u firings in %llu periods", count[TIMER], (unsigned long long)expected);
	EXPECT(count[TIMER] >= expected / MISSED_MAX, "%u firings in %llu periods", count[TIMER], (unsigned long long)expected);
	irq_on_briefly();
	count[TIMER] = 0;
	irq_on();
	clock_spin(3 * period);
	irq_off();
	EXPECT_EQ(count[TIMER], 0, "firings of a stopped timer");
}

static void timer_divides(void)
{
	static const struct {
		uint32_t code;
		unsigned by;
	} rows[] = { { 0xb, 1 }, { 0x0, 2 }, { 0x1, 4 }, { 0x2, 8 }, { 0x3, 16 }, { 0x8, 32 }, { 0x9, 64 }, { 0xa, 128 } };

	set_up();
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t before, started, read, after, ticks, least, most;

		lapic_write(LAPIC_DIVIDE, rows[i].code);
		EXPECT_EQ(lapic_read(LAPIC_DIVIDE), rows[i].code, "the divider");
		lapic_write(LAPIC_LVT_TIMER, LAPIC_LVT_MASKED | TIMER);
		before = clock_100ns();
		lapic_write(LAPIC_INITIAL, ~0u);
		started = clock_100ns();
		clock_spin(5 * CLOCK_MS);
		read = clock_100ns();
		ticks = (uint64_t)(~0u - lapic_read(LAPIC_CURRENT));
		after = clock_100ns();
		lapic_timer_stop();
		least = lapic_timer_hz() / 1000 * (read - started) / CLOCK_MS / rows[i].by;
		most = lapic_timer_hz() / 1000 * (after - before) / CLOCK_MS / rows[i].by;
		EXPECT(ticks + 2 >= least - least / 100 && ticks <= most + most / 100 + 2,
		       "divided by %u: %llu ticks, not %llu to %llu", rows[i].by, (unsigned long long)ticks,
		       (unsigned long long)least, (unsigned long long)most);
	}
}

static void timer_masked(void)
{
	set_up();
	lapic_timer_start(TIMER, LAPIC_LVT_MASKED, CLOCK_MS);
	irq_on();
	clock_spin(5 * CLOCK_MS);
	irq_off();
	EXPECT_EQ(count[TIMER], 0, "firings of a masked timer");
	lapic_write(LAPIC_LVT_TIMER, TIMER);
	irq_on_briefly();
	EXPECT_EQ(count[TIMER], 0, "firings when it is unmasked afterwards");
}

static void self_ipi(void)
{
	set_up();
	lapic_self_ipi(MIDDLE);
	EXPECT_EQ(lapic_bit(LAPIC_IRR, MIDDLE), 1, "the request");
	EXPECT_EQ(lapic_bit(LAPIC_ISR, MIDDLE), 0, "the service bit before");
	EXPECT_EQ(lapic_bit(LAPIC_TMR, MIDDLE), 0, "the trigger mode");
	EXPECT_EQ(count[MIDDLE], 0, "interrupts while they are off");
	lapic_self_ipi(MIDDLE);
	irq_on_briefly();
	EXPECT_EQ(count[MIDDLE], 1, "interrupts of two requests that met");
	EXPECT_EQ(lapic_bit(LAPIC_IRR, MIDDLE), 0, "the request afterwards");
	lapic_ipi(lapic_id(), LAPIC_ICR_FIXED | LAPIC_ICR_ASSERT | MIDDLE);
	irq_on_briefly();
	EXPECT_EQ(count[MIDDLE], 2, "interrupts by one's own id");
}

static void priorities(void)
{
	set_up();
	lapic_self_ipi(LOW);
	lapic_self_ipi(HIGH);
	lapic_self_ipi(MIDDLE);
	irq_on_briefly();
	EXPECT_EQ(order_count, 3, "interrupts");
	EXPECT(order[0] == HIGH && order[1] == MIDDLE && order[2] == LOW, "order %x %x %x", order[0], order[1], order[2]);
}

static void tpr(void)
{
	set_up();
	lapic_write(LAPIC_TPR, MIDDLE & 0xf0);
	EXPECT_EQ(lapic_read(LAPIC_TPR), MIDDLE & 0xf0, "the task priority");
	EXPECT_EQ(lapic_read(LAPIC_PPR), MIDDLE & 0xf0, "the processor priority");
	lapic_self_ipi(LOW);
	lapic_self_ipi(MIDDLE);
	lapic_self_ipi(HIGH);
	irq_on_briefly();
	EXPECT_EQ(order_count, 1, "interrupts above the task priority");
	EXPECT_EQ(order[0], HIGH, "the first");
	lapic_write(LAPIC_TPR, (MIDDLE & 0xf0) - 1);
	irq_on_briefly();
	EXPECT_EQ(order_count, 2, "interrupts one class lower");
	lapic_write(LAPIC_TPR, 0);
	irq_on_briefly();
	EXPECT_EQ(count[LOW], 1, "the last");
}

/* CR8 is bits 7:4 of the same register. */
static void cr8(void)
{
	uint64_t value;

	set_up();
	__asm__ volatile("movq %0, %%cr8" : : "r"(9ull) : "memory");
	EXPECT_EQ(lapic_read(LAPIC_TPR), 0x90, "the task priority after CR8 := 9");
	lapic_self_ipi(HIGH);
	irq_on_briefly();
	EXPECT_EQ(count[HIGH], 0, "interrupts below CR8");
	lapic_write(LAPIC_TPR, 0x30);
	__asm__ volatile("movq %%cr8, %0" : "=r"(value));
	EXPECT_EQ(value, 3, "CR8 after TPR := 0x30");
	irq_on_briefly();
	EXPECT_EQ(count[HIGH], 1, "interrupts above CR8");
	__asm__ volatile("movq %0, %%cr8" : : "r"(0ull) : "memory");
}

static void service_bits(void)
{
	set_up();
	trap_set_handler(LOW, no_eoi);
	trap_set_handler(HIGH, no_eoi);
	lapic_self_ipi(LOW);
	irq_on_briefly();
	EXPECT_EQ(lapic_bit(LAPIC_ISR, LOW), 1, "the service bit without an EOI");
	EXPECT_EQ(lapic_read(LAPIC_PPR), LOW & 0xf0, "the processor priority");
	lapic_self_ipi(LOW);
	irq_on_briefly();
	EXPECT_EQ(count[LOW], 1, "interrupts while the first is in service");
	lapic_self_ipi(HIGH);
	irq_on_briefly();
	EXPECT_EQ(count[HIGH], 1, "interrupts of a higher class");
	/* An EOI ends the highest. */
	lapic_eoi();
	EXPECT_EQ(lapic_bit(LAPIC_ISR, HIGH), 0, "the higher service bit after one EOI");
	EXPECT_EQ(lapic_bit(LAPIC_ISR, LOW), 1, "the lower service bit after one EOI");
	lapic_eoi();
	EXPECT_EQ(lapic_bit(LAPIC_ISR, LOW), 0, "the lower service bit after two");
	irq_on_briefly();
	EXPECT_EQ(count[LOW], 2, "interrupts when the first is over");
	lapic_eoi();
	EXPECT_EQ(lapic_read(LAPIC_PPR), 0, "the processor priority in the end");
}

static void nested(void)
{
	set_up();
	nest = true;
	lapic_self_ipi(LOW);
	irq_on_briefly();
	EXPECT_EQ(count[LOW], 1, "interrupts with nesting");
	for (unsigned i = 0; i < 100; i++) {
		lapic_self_ipi(LOW);
		lapic_self_ipi(MIDDLE);
		irq_on_briefly();
	}
	nest = false;
	EXPECT_EQ(count[LOW], 101, "lower interrupts");
	EXPECT_EQ(count[MIDDLE], 100, "higher interrupts");
	for (uint32_t word = 0; word < 8; word++)
		EXPECT_EQ(lapic_read(LAPIC_ISR + 16 * word), 0, "a word of the service bits");
}

static void errors(void)
{
	if (!synthetic_present())
		SKIP("not every emulator's APIC does this");
	set_up();
	lapic_write(LAPIC_LVT_ERROR, ERROR_VECTOR);
	lapic_write(LAPIC_ESR, 0);
	lapic_write(LAPIC_ESR, 0);
	EXPECT_EQ(lapic_read(LAPIC_ESR), 0, "the error status at first");
	lapic_self_ipi(5);
	irq_on_briefly();
	lapic_write(LAPIC_ESR, 0);
	EXPECT(lapic_read(LAPIC_ESR) & ESR_SEND_VECTOR, "vector 5 was sent: error status %x", lapic_read(LAPIC_ESR));
	EXPECT_EQ(count[ERROR_VECTOR], 1, "error interrupts");
	lapic_write(LAPIC_LVT_ERROR, LAPIC_LVT_MASKED);
}

static void software_disabled(void)
{
	if (!synthetic_present())
		SKIP("not every emulator's APIC does this");
	set_up();
	lapic_write(LAPIC_LVT_TIMER, TIMER);
	lapic_write(LAPIC_SVR, VECTOR_SPURIOUS);
	EXPECT_EQ(lapic_read(LAPIC_LVT_TIMER) & LAPIC_LVT_MASKED, LAPIC_LVT_MASKED, "a local vector's mask while disabled");
	lapic_write(LAPIC_LVT_TIMER, TIMER);
	EXPECT_EQ(lapic_read(LAPIC_LVT_TIMER) & LAPIC_LVT_MASKED, LAPIC_LVT_MASKED, "that mask after unmasking");
	lapic_write(LAPIC_SVR, LAPIC_SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_self_ipi(LOW);
	irq_on_briefly();
	EXPECT_EQ(count[LOW], 1, "interrupts when it is enabled again");
}

/* Plain loads and stores of every form that a compiler makes of a register access. */
static void access_forms(void)
{
	volatile uint32_t *tpr_register = (volatile uint32_t *)(uintptr_t)(LAPIC_GPA + LAPIC_TPR);
	uint32_t value = 0x20;
	uint64_t r9 = 0;

	set_up();
	__asm__ volatile("movl $0x10, %0" : "=m"(*tpr_register));
	EXPECT_EQ(lapic_read(LAPIC_TPR), 0x10, "after MOV of an immediate");
	__asm__ volatile("xchgl %0, %1" : "+r"(value), "+m"(*tpr_register));
	EXPECT_EQ(value, 0x10, "what XCHG reads");
	EXPECT_EQ(lapic_read(LAPIC_TPR), 0x20, "after XCHG");
	__asm__ volatile("movl $0x30, %%r9d\n\tmovl %%r9d, (%1)\n\tmovl (%1), %%r9d\n\tmovq %%r9, %0"
			 : "=r"(r9) : "r"(tpr_register) : "r9", "memory");
	EXPECT_EQ(r9, 0x30, "with R9");
	__asm__ volatile("movzbl %1, %0" : "=r"(value) : "m"(*tpr_register));
	if (synthetic_present())		/* others may leave narrow accesses undefined */
		EXPECT_EQ(value, 0x30, "what MOVZX of a byte reads");
	__asm__ volatile("movl 0x20(%1,%2,4), %0" : "=r"(value) : "r"((uint64_t)LAPIC_GPA), "r"(0x18ull));
	EXPECT_EQ(value, 0x30, "with base, index and displacement");
	__asm__ volatile("movl %%gs:(%1), %0" : "=r"(value) : "r"((uint64_t)LAPIC_GPA + LAPIC_TPR));
	EXPECT_EQ(value, 0x30, "with a segment prefix");
	lapic_write(LAPIC_TPR, 0);
}

const struct guest_test guest_tests[] = {
	{ "the APIC is where it should be", base },
	{ "registers can be accessed in all usual forms", access_forms },
	{ "the timer fires once", timer_one_shot },
	{ "the timer fires periodically", timer_periodic },
	{ "the timer's divider divides", timer_divides },
	{ "a masked timer stays silent", timer_masked },
	{ "an IPI to oneself arrives", self_ipi },
	{ "higher vectors come first", priorities },
	{ "the task priority holds back", tpr },
	{ "CR8 is the task priority", cr8 },
	{ "an EOI ends the highest in service", service_bits },
	{ "interrupts nest", nested },
	{ "illegal vectors are errors", errors },
	{ "a disabled APIC masks its local vectors", software_disabled },
	{ 0 },
};
