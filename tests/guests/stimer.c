/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic timers. TLFS web, "Timers", "Synthetic Timers". Lateness is the scheduler's; being early is a fault. */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "hv/hv_synic.h"
#include "lib/clock.h"
#include "lib/lapic.h"
#include "lib/memory.h"
#include "lib/print.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define VECTOR        0x51u			/* direct: timer n fires on VECTOR + n */
#define SINT_VECTOR   0x61u
#define SINT          2u
#define CONFIG(n)     (HV_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n)      (HV_MSR_STIMER0_CONFIG + 2 * (n) + 1)
#define DIRECT(n)     (HV_STIMER_DIRECT | (uint64_t)(VECTOR + (n)) << HV_STIMER_VECTOR_SHIFT)
#define BY_SINT       ((uint64_t)SINT << HV_STIMER_SINT_SHIFT)
#define PATIENCE      (10 * CLOCK_SECOND)
#define MISSED_MAX    8ull			/* a busy host runs a VP at least every so many periods */

static volatile unsigned fired[HV_STIMER_COUNT], sint_fired;
static volatile uint64_t fired_at[HV_STIMER_COUNT];
static struct hv_message slots[HV_SINT_COUNT] __attribute__((aligned(4096)));

static uint64_t now(void)
{
	return rdmsr(HV_MSR_TIME_REF_COUNT);
}

static void on_direct(struct trap_frame *frame)
{
	unsigned timer = (unsigned)frame->vector - VECTOR;

	fired_at[timer] = now();
	fired[timer]++;
	lapic_eoi();
}

static void on_sint(struct trap_frame *frame)
{
	sint_fired++;
	lapic_eoi();
}

static bool set_up(void)
{
	if (!synthetic_has(HV_PRIV_SYNTHETIC_TIMERS | HV_PRIV_REFERENCE_COUNTER | HV_PRIV_SYNIC))
		return false;
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++) {
		trap_set_handler((uint8_t)(VECTOR + n), on_direct);
		wrmsr(CONFIG(n), 0);
		wrmsr(COUNT(n), 0);
		fired[n] = 0;
	}
	trap_set_handler(SINT_VECTOR, on_sint);
	sint_fired = 0;
	return true;
}

static bool direct_set_up(void)
{
	return synthetic_features() & HV_FEATURE_DIRECT_TIMERS && set_up();
}

static void one_shot(void)
{
	if (!direct_set_up())
		SKIP("no direct synthetic timers");
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++) {
		uint64_t due = now() + (5 + 7 * n) * CLOCK_MS;

		wrmsr(CONFIG(n), DIRECT(n) | HV_STIMER_AUTO_ENABLE);
		wrmsr(COUNT(n), due);
		EXPECT_EQ(rdmsr(CONFIG(n)), DIRECT(n) | HV_STIMER_AUTO_ENABLE | HV_STIMER_ENABLE, "config while it runs");
		EXPECT(clock_wait(&fired[n], PATIENCE), "timer %u did not fire", n);
		EXPECT(fired_at[n] >= due, "timer %u fired %llu units too early", n, (unsigned long long)(due - fired_at[n]));
		EXPECT_EQ(rdmsr(CONFIG(n)), DIRECT(n) | HV_STIMER_AUTO_ENABLE, "config when it is over");
		EXPECT_EQ(rdmsr(COUNT(n)), due, "count when it is over");
		print("    timer %u: %llu us late\n", n, (unsigned long long)(fired_at[n] - due) / 10);
	}
	irq_on();
	clock_spin(20 * CLOCK_MS);
	irq_off();
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++)
		EXPECT_EQ(fired[n], 1, "firings of a one-shot timer");
}

static void past(void)
{
	static const uint64_t dues[] = { 1, 1000 };

	if (!direct_set_up())
		SKIP("no direct synthetic timers");
	for (unsigned i = 0; i < sizeof dues / sizeof dues[0]; i++) {
		fired[0] = 0;
		wrmsr(COUNT(0), dues[i]);
		wrmsr(CONFIG(0), DIRECT(0) | HV_STIMER_ENABLE);
		/* At once: the interrupt is already pending. */
		EXPECT_EQ(lapic_bit(LAPIC_IRR, VECTOR), 1, "the request of a timer that was due long ago");
		EXPECT(clock_wait(&fired[0], PATIENCE), "a timer in the past did not fire");
		EXPECT_EQ(rdmsr(CONFIG(0)) & HV_STIMER_ENABLE, 0, "enable afterwards");
	}
}

static void periodic(void)
{
	const uint64_t period = 10 * CLOCK_MS, rounds = 50;
	uint64_t start, passed, expected;

	if (!direct_set_up())
		SKIP("no direct synthetic timers");
	wrmsr(CONFIG(1), DIRECT(1) | HV_STIMER_PERIODIC | HV_STIMER_AUTO_ENABLE);
	start = now();
	wrmsr(COUNT(1), period);
	irq_on();
	while (now() - start < period * rounds)
		cpu_pause();
	irq_off();
	passed = now() - start;
	wrmsr(CONFIG(1), 0);
	irq_on_briefly();			/* what came due before that */
	expected = passed / period;
	print("    %u firings in %llu periods\n", fired[1], (unsigned long long)expected);
	/* Periods missed while the VP did not run come together, but none may come too early or drift. */
	EXPECT(fired[1] <= expected, "%u firings in %llu periods", fired[1], (unsigned long long)expected);
	EXPECT(fired[1] >= expected / MISSED_MAX, "%u firings in %llu periods", fired[1], (unsigned long long)expected);
	fired[1] = 0;
	irq_on();
	clock_spin(3 * period);
	irq_off();
	EXPECT_EQ(fired[1], 0, "firings of a timer that was switched off");
}

static void phase(void)
{
	const uint64_t period = 20 * CLOCK_MS;
	uint64_t start;

	if (!direct_set_up())
		SKIP("no direct synthetic timers");
	wrmsr(CONFIG(2), DIRECT(2) | HV_STIMER_PERIODIC | HV_STIMER_AUTO_ENABLE);
	start = now();
	wrmsr(COUNT(2), period);
	for (unsigned i = 1; i <= 10; i++) {
		EXPECT(clock_wait(&fired[2], PATIENCE), "period %u did not end", i);
		EXPECT(fired_at[2] - start >= i * period, "period %u ended %llu units after the start", i,
		       (unsigned long long)(fired_at[2] - start));
		fired[2] = 0;
	}
	wrmsr(COUNT(2), 0);
}

static void halted(void)
{
	if (!direct_set_up())
		SKIP("no direct synthetic timers");
	for (unsigned i = 0; i < 20; i++) {
		uint64_t due = now() + (i % 4) * 3 * CLOCK_MS;

		wrmsr(CONFIG(3), DIRECT(3) | HV_STIMER_AUTO_ENABLE);
		fired[3] = 0;
		wrmsr(COUNT(3), due);
		while (!fired[3])
			halt_once();
		EXPECT(fired_at[3] >= due, "woken %llu units too early", (unsigned long long)(due - fired_at[3]));
	}
}

static void cancelled(void)
{
	if (!direct_set_up())
		SKIP("no direct synthetic timers");
	wrmsr(CONFIG(0), DIRECT(0) | HV_STIMER_AUTO_ENABLE);
	wrmsr(COUNT(0), now() + 10 * CLOCK_MS);
	wrmsr(COUNT(0), 0);
	EXPECT_EQ(rdmsr(CONFIG(0)) & HV_STIMER_ENABLE, 0, "enable after count 0");
	EXPECT(!clock_wait(&fired[0], 40 * CLOCK_MS), "a cancelled timer fired");
	wrmsr(CONFIG(0), DIRECT(0) | HV_STIMER_ENABLE);
	EXPECT(!clock_wait(&fired[0], 10 * CLOCK_MS), "a timer with count 0 fired");
}

/* Messages */

static void synic_on(void)
{
	memset(slots, 0, sizeof slots);
	wrmsr(HV_MSR_SIMP, (uint64_t)slots | HV_MSR_PAGE_ENABLE);
	wrmsr(HV_MSR_SINT0 + SINT, SINT_VECTOR);
	wrmsr(HV_MSR_SCONTROL, 1);
}

static void synic_off(void)
{
	wrmsr(HV_MSR_SINT0 + SINT, HV_SINT_MASKED);
	wrmsr(HV_MSR_SIMP, 0);
	wrmsr(HV_MSR_SCONTROL, 0);
}

static void check_message(unsigned timer, uint64_t due)
{
	const struct hv_message *slot = &slots[SINT];
	struct hv_timer_message payload;

	memcpy(&payload, slot->payload, sizeof payload);
	EXPECT_EQ(slot->type, HV_MESSAGE_TIMER_EXPIRED, "message type");
	EXPECT_EQ(slot->payload_bytes, sizeof payload, "payload size");
	EXPECT_EQ(payload.timer_index, timer, "timer index");
	EXPECT_EQ(payload.expiration_time, due, "expiration time");
	EXPECT(payload.delivery_time >= due, "delivered at %llu, due at %llu", (unsigned long long)payload.delivery_time,
	       (unsigned long long)due);
	EXPECT(payload.delivery_time <= now(), "delivered in the future");
}

static void slot_release(void)
{
	volatile struct hv_message *slot = &slots[SINT];

	slot->type = HV_MESSAGE_NONE;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (slot->flags & HV_MESSAGE_FLAG_PENDING)
		wrmsr(HV_MSR_EOM, 0);
}

static void message(void)
{
	uint64_t due;

	if (!set_up())
		SKIP("no synthetic timers");
	synic_on();
	for (unsigned n = 0; n < HV_STIMER_COUNT; n++) {
		sint_fired = 0;
		due = now() + 5 * CLOCK_MS;
		wrmsr(CONFIG(n), BY_SINT | HV_STIMER_AUTO_ENABLE);
		wrmsr(COUNT(n), due);
		EXPECT(clock_wait(&sint_fired, PATIENCE), "no message of timer %u", n);
		check_message(n, due);
		EXPECT_ALL();
		slot_release();
	}
	EXPECT_EQ(slots[SINT].type, HV_MESSAGE_NONE, "the slot in the end");
	synic_off();
}

/* Two timers, one slot: the second message waits, says so, and arrives after EOM. */
static void contention(void)
{
	if (!set_up())
		SKIP("no synthetic timers");
	synic_on();
	wrmsr(CONFIG(0), BY_SINT | HV_STIMER_AUTO_ENABLE);
	wrmsr(CONFIG(1), BY_SINT | HV_STIMER_AUTO_ENABLE);
	wrmsr(COUNT(0), 1);
	wrmsr(COUNT(1), 1);
	EXPECT(clock_wait(&sint_fired, PATIENCE), "no message");
	EXPECT_EQ(sint_fired, 1, "interrupts for one free slot");
	check_message(0, 1);
	EXPECT_ALL();
	EXPECT(slots[SINT].flags & HV_MESSAGE_FLAG_PENDING, "the slot does not say that another message waits");
	sint_fired = 0;
	slots[SINT].type = HV_MESSAGE_NONE;
	wrmsr(HV_MSR_EOM, 0);
	EXPECT(clock_wait(&sint_fired, PATIENCE), "no second message after EOM");
	check_message(1, 1);
	EXPECT_ALL();
	EXPECT(!(slots[SINT].flags & HV_MESSAGE_FLAG_PENDING), "the last message says that another one waits");
	sint_fired = 0;
	slot_release();
	wrmsr(HV_MSR_EOM, 0);
	EXPECT(!clock_wait(&sint_fired, 10 * CLOCK_MS), "EOM brought a third message");
	synic_off();
}

/* A message that finds the SynIC switched off waits for it. */
static void waits_for_synic(void)
{
	if (!set_up())
		SKIP("no synthetic timers");
	memset(slots, 0, sizeof slots);
	wrmsr(CONFIG(0), BY_SINT | HV_STIMER_AUTO_ENABLE);
	wrmsr(COUNT(0), 1);
	EXPECT_EQ(slots[SINT].type, HV_MESSAGE_NONE, "the slot of a SynIC that is off");
	synic_on();
	EXPECT(clock_wait(&sint_fired, PATIENCE), "the message was lost");
	check_message(0, 1);
	synic_off();
}

/* EOI of the SINT's vector looks for waiting messages as EOM does. */
static void eoi_is_enough(void)
{
	if (!set_up())
		SKIP("no synthetic timers");
	synic_on();
	wrmsr(CONFIG(0), BY_SINT | HV_STIMER_AUTO_ENABLE);
	wrmsr(CONFIG(1), BY_SINT | HV_STIMER_AUTO_ENABLE);
	wrmsr(COUNT(0), 1);
	wrmsr(COUNT(1), 1);
	EXPECT_EQ(slots[SINT].type, HV_MESSAGE_TIMER_EXPIRED, "the slot");
	slots[SINT].type = HV_MESSAGE_NONE;
	EXPECT(clock_wait(&sint_fired, PATIENCE), "no interrupt");
	EXPECT_EQ(slots[SINT].type, HV_MESSAGE_TIMER_EXPIRED, "the slot after the EOI");
	check_message(1, 1);
	synic_off();
}

const struct guest_test guest_tests[] = {
	{ "a one-shot timer fires once and not early", one_shot },
	{ "a timer in the past fires at once", past },
	{ "a periodic timer fires as often as periods pass", periodic },
	{ "a periodic timer keeps its phase", phase },
	{ "a timer wakes a halted VP", halted },
	{ "a cancelled timer does not fire", cancelled },
	{ "a timer's message says what happened", message },
	{ "two messages for one slot both arrive", contention },
	{ "a message waits for the SynIC", waits_for_synic },
	{ "an EOI brings the next message", eoi_is_enough },
	{ 0 },
};
