/* SPDX-License-Identifier: Apache-2.0 */
/* The synthetic interrupt controller as far as a child can drive it by itself: its timers are the only source that it has. */
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"
#include "hv/hv_synic.h"
#include "lib/clock.h"
#include "lib/lapic.h"
#include "lib/memory.h"
#include "lib/synthetic.h"
#include "lib/trap.h"
#include "lib/verdict.h"
#include "lib/x86.h"

#define PATIENCE     (10 * CLOCK_SECOND)
#define BRIEFLY      (10 * CLOCK_MS)
#define VECTOR(sint) (0x50u + 7 * (sint))
#define TIMER_CONFIG HV_MSR_STIMER0_CONFIG
#define TIMER_COUNT  (HV_MSR_STIMER0_CONFIG + 1)

static volatile unsigned fired[256];
static struct hv_message slots[HV_SINT_COUNT] __attribute__((aligned(4096)));
static struct hv_message other_slots[HV_SINT_COUNT] __attribute__((aligned(4096)));
static bool without_eoi;

static void on_sint(struct trap_frame *frame)
{
	fired[frame->vector & 0xff]++;
	if (!without_eoi)
		lapic_eoi();
}

static bool set_up(void)
{
	if (!synthetic_has(HV_PRIV_SYNIC | HV_PRIV_SYNTHETIC_TIMERS))
		return false;
	without_eoi = false;
	memset(slots, 0, sizeof slots);
	memset(other_slots, 0, sizeof other_slots);
	wrmsr(TIMER_CONFIG, 0);
	wrmsr(HV_MSR_SCONTROL, 1);
	wrmsr(HV_MSR_SIMP, (uint64_t)slots | HV_MSR_PAGE_ENABLE);
	for (unsigned sint = 0; sint < HV_SINT_COUNT; sint++) {
		trap_set_handler((uint8_t)VECTOR(sint), on_sint);
		fired[VECTOR(sint)] = 0;
		wrmsr(HV_MSR_SINT0 + sint, HV_SINT_MASKED);
	}
	return true;
}

static void post_to(unsigned sint)
{
	wrmsr(TIMER_CONFIG, (uint64_t)sint << HV_STIMER_SINT_SHIFT | HV_STIMER_AUTO_ENABLE);
	wrmsr(TIMER_COUNT, 1);
}

static void every_sint(void)
{
	if (!set_up())
		SKIP("no SynIC");
	for (unsigned sint = 0; sint < HV_SINT_COUNT; sint++)
		wrmsr(HV_MSR_SINT0 + sint, VECTOR(sint));
	for (unsigned sint = 1; sint < HV_SINT_COUNT; sint++) {
		post_to(sint);
		EXPECT(clock_wait(&fired[VECTOR(sint)], PATIENCE), "no interrupt of SINT %u", sint);
		for (unsigned other = 0; other < HV_SINT_COUNT; other++)
			EXPECT(slots[other].type == (other == sint ? HV_MESSAGE_TIMER_EXPIRED : HV_MESSAGE_NONE),
			       "a message for SINT %u, slot %u: type %x", sint, other, slots[other].type);
		slots[sint].type = HV_MESSAGE_NONE;
	}
}

static void shared_vector(void)
{
	if (!set_up())
		SKIP("no SynIC");
	wrmsr(HV_MSR_SINT0 + 4, VECTOR(9));
	wrmsr(HV_MSR_SINT0 + 9, VECTOR(9));
	post_to(4);
	EXPECT(clock_wait(&fired[VECTOR(9)], PATIENCE), "no interrupt of the first SINT");
	fired[VECTOR(9)] = 0;
	post_to(9);
	EXPECT(clock_wait(&fired[VECTOR(9)], PATIENCE), "no interrupt of the second SINT");
}

/* The message is there, the interrupt is lost. */
static void masked(void)
{
	if (!set_up())
		SKIP("no SynIC");
	wrmsr(HV_MSR_SINT0 + 3, HV_SINT_MASKED | VECTOR(3));
	post_to(3);
	EXPECT_EQ(slots[3].type, HV_MESSAGE_TIMER_EXPIRED, "the slot of a masked SINT");
	EXPECT(!clock_wait(&fired[VECTOR(3)], BRIEFLY), "a masked SINT interrupts");
	wrmsr(HV_MSR_SINT0 + 3, VECTOR(3));
	EXPECT(!clock_wait(&fired[VECTOR(3)], BRIEFLY), "an interrupt came back with the unmasking");
}

static void polling(void)
{
	if (!set_up())
		SKIP("no SynIC");
	wrmsr(HV_MSR_SINT0 + 3, HV_SINT_POLLING | VECTOR(3));
	post_to(3);
	EXPECT_EQ(slots[3].type, HV_MESSAGE_TIMER_EXPIRED, "the slot of a polled SINT");
	EXPECT(!clock_wait(&fired[VECTOR(3)], BRIEFLY), "a polled SINT interrupts");
}

static void auto_eoi(void)
{
	if (!set_up())
		SKIP("no SynIC");
	without_eoi = true;
	wrmsr(HV_MSR_SINT0 + 5, HV_SINT_AUTO_EOI | VECTOR(5));
	post_to(5);
	EXPECT(clock_wait(&fired[VECTOR(5)], PATIENCE), "no interrupt");
	EXPECT_EQ(lapic_bit(LAPIC_ISR, VECTOR(5)), 0, "the service bit");
	fired[VECTOR(5)] = 0;
	slots[5].type = HV_MESSAGE_NONE;
	post_to(5);
	EXPECT(clock_wait(&fired[VECTOR(5)], PATIENCE), "no second interrupt");
	/* Without the bit the same vector stays in service. */
	wrmsr(HV_MSR_SINT0 + 5, VECTOR(5));
	fired[VECTOR(5)] = 0;
	slots[5].type = HV_MESSAGE_NONE;
	post_to(5);
	EXPECT(clock_wait(&fired[VECTOR(5)], PATIENCE), "no interrupt with an EOI of its own");
	EXPECT_EQ(lapic_bit(LAPIC_ISR, VECTOR(5)), 1, "the service bit then");
	lapic_eoi();
}

/* A second message may not overwrite the first. */
static void occupied(void)
{
	struct hv_timer_message payload;

	if (!set_up())
		SKIP("no SynIC");
	wrmsr(HV_MSR_SINT0 + 2, VECTOR(2));
	slots[2].type = 0x77;
	slots[2].payload[0] = 0x5a;
	post_to(2);
	EXPECT_EQ(slots[2].type, 0x77, "the type in an occupied slot");
	EXPECT_EQ(slots[2].payload[0], 0x5a, "the payload in an occupied slot");
	EXPECT_EQ(slots[2].flags & HV_MESSAGE_FLAG_PENDING, HV_MESSAGE_FLAG_PENDING, "the flag in an occupied slot");
	EXPECT(!clock_wait(&fired[VECTOR(2)], BRIEFLY), "an interrupt for a message that waits");
	/* End of message while the slot is still occupied changes nothing. */
	wrmsr(HV_MSR_EOM, 0);
	EXPECT_EQ(slots[2].type, 0x77, "the type after a premature EOM");
	slots[2].type = HV_MESSAGE_NONE;
	wrmsr(HV_MSR_EOM, 0);
	EXPECT(clock_wait(&fired[VECTOR(2)], PATIENCE), "no interrupt after EOM");
	EXPECT_EQ(slots[2].type, HV_MESSAGE_TIMER_EXPIRED, "the type");
	memcpy(&payload, slots[2].payload, sizeof payload);
	EXPECT_EQ(payload.expiration_time, 1, "the expiration time");
	EXPECT_EQ(slots[2].flags, 0, "the flags");
}

static void moved_page(void)
{
	if (!set_up())
		SKIP("no SynIC");
	wrmsr(HV_MSR_SINT0 + 2, VECTOR(2));
	wrmsr(HV_MSR_SIMP, (uint64_t)other_slots | HV_MSR_PAGE_ENABLE);
	post_to(2);
	EXPECT(clock_wait(&fired[VECTOR(2)], PATIENCE), "no interrupt");
	EXPECT_EQ(other_slots[2].type, HV_MESSAGE_TIMER_EXPIRED, "the slot in the new place");
	EXPECT_EQ(slots[2].type, HV_MESSAGE_NONE, "the slot in the old place");
	other_slots[2].type = HV_MESSAGE_NONE;
}

static void switched_off(void)
{
	if (!set_up())
		SKIP("no SynIC");
	wrmsr(HV_MSR_SINT0 + 2, VECTOR(2));
	wrmsr(HV_MSR_SCONTROL, 0);
	post_to(2);
	EXPECT(!clock_wait(&fired[VECTOR(2)], BRIEFLY), "an interrupt with the SynIC off");
	EXPECT_EQ(slots[2].type, HV_MESSAGE_NONE, "the slot with the SynIC off");
	wrmsr(HV_MSR_SCONTROL, 1);
	EXPECT(clock_wait(&fired[VECTOR(2)], PATIENCE), "no interrupt when it is on again");
	slots[2].type = HV_MESSAGE_NONE;
	wrmsr(HV_MSR_SIMP, 0);
	post_to(2);
	EXPECT_EQ(slots[2].type, HV_MESSAGE_NONE, "the slot without a message page");
}

const struct guest_test guest_tests[] = {
	{ "each SINT has a slot and a vector", every_sint },
	{ "two SINTs may share a vector", shared_vector },
	{ "a masked SINT takes messages silently", masked },
	{ "a polled SINT takes messages silently", polling },
	{ "automatic EOI leaves nothing in service", auto_eoi },
	{ "an occupied slot is left alone", occupied },
	{ "the message page can be moved", moved_page },
	{ "nothing arrives while it is off", switched_off },
	{ 0 },
};
