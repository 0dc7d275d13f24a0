/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC's timer. */
#include "rig.h"

#define EOI   0xb0u
#define SVR   0xf0u
#define ESR   0x280u
#define LVTT  0x320u
#define TMICT 0x380u
#define TMCCT 0x390u
#define TDCR  0x3e0u

#define DIVIDE_BY_1 0xbu
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u

static struct vp *vp;

static int setup(void **state)
{
	(void)state;
	rig_child(1);
	vp = &rig.vp[0];
	lapic_write(vp, SVR, 0x1ff);
	return 0;
}

/* Timer: 2 TSC ticks make one tick of the APIC's clock. */

static uint64_t run(void)
{
	return lapic_timer_run(vp, rig.tsc);
}

static void a_one_shot_timer_fires_once_and_not_early(void **state)
{
	uint64_t start = rig.tsc;

	(void)state;
	lapic_write(vp, TDCR, DIVIDE_BY_1);
	lapic_write(vp, LVTT, 0x20);
	lapic_write(vp, TMICT, 1000);
	assert_int_equal(run(), start + 2000);
	rig.tsc = start + 1999;
	assert_int_equal(run(), start + 2000);
	assert_int_equal(lapic_pending(vp), -1);
	assert_int_equal(lapic_read(vp, TMCCT), 1);
	rig.tsc++;
	assert_int_equal(run(), ~0ull);
	assert_int_equal(rig_take_interrupt(vp), 0x20);
	assert_int_equal(lapic_read(vp, TMCCT), 0);
	assert_int_equal(lapic_read(vp, TMICT), 1000);
	rig.tsc += 100000;
	assert_int_equal(run(), ~0ull);
	assert_int_equal(lapic_pending(vp), -1);
}

static void every_divisor_divides(void **state)
{
	static const struct { uint32_t config, divisor; } rows[] = {
		{ 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 0xa, 128 }, { 0xb, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_COUNT(rows); i++) {
		lapic_write(vp, TDCR, rows[i].config);
		lapic_write(vp, TMICT, 1000);
		lapic_write(vp, LVTT, 0x20);
		assert_int_equal(run(), rig.tsc + 2000 * rows[i].divisor);
		rig.tsc += 200 * rows[i].divisor;
		assert_int_equal(lapic_read(vp, TMCCT), 900);
	}
}

static void a_change_of_the_divisor_keeps_the_count(void **state)
{
	(void)state;
	lapic_write(vp, TDCR, DIVIDE_BY_1);
	lapic_write(vp, LVTT, 0x20);
	lapic_write(vp, TMICT, 1000);
	rig.tsc += 1200;
	lapic_write(vp, TDCR, 0);
	assert_int_equal(lapic_read(vp, TMCCT), 400);
	assert_int_equal(run(), rig.tsc + 400 * 4);
}

static void a_periodic_timer_keeps_its_phase_when_polled_late(void **state)
{
	uint64_t start = rig.tsc;

	(void)state;
	lapic_write(vp, TDCR, DIVIDE_BY_1);
	lapic_write(vp, LVTT, PERIODIC | 0x20);
	lapic_write(vp, TMICT, 1000);
	for (unsigned i = 0; i < 10000; i++) {
		uint64_t laps = (rig.tsc - start) / 2000;

		assert_int_equal(run(), start + (laps + 1) * 2000);
		assert_int_equal(lapic_read(vp, TMCCT), 1000 - (rig.tsc - start) / 2 % 1000);
		assert_int_equal(rig_take_interrupt(vp), (rig.tsc - start) / 2000 > 0 && i > 0 ? 0x20 : -1);
		lapic_write(vp, EOI, 0);
		rig.tsc += 2000 + rig_random() % 9000;
	}
}

static void a_periodic_timer_does_not_drift_at_odd_rates(void **state)
{
	uint64_t start, period_100 = 0;

	(void)state;
	machine.tsc_hz = 2294609377;
	vp->lapic.hz = 62500001;
	lapic_write(vp, TDCR, 3);
	lapic_write(vp, LVTT, PERIODIC | 0x20);
	lapic_write(vp, TMICT, 3907);
	start = rig.tsc;
	for (unsigned i = 1; i <= 100000; i++) {
		unsigned __int128 exact = (unsigned __int128)i * 3907 * 16 * machine.tsc_hz;
		uint64_t next = run();

		assert_int_equal(next, start + (uint64_t)((exact + vp->lapic.hz - 1) / vp->lapic.hz));
		rig.tsc = next;
		run();
		assert_int_equal(rig_take_interrupt(vp), 0x20);
		lapic_write(vp, EOI, 0);
		if (i == 100000)
			period_100 = next - start;
	}
	/* 100,000 periods of 3907 * 16 / 62500001 s */
	assert_in_range(period_100, 229500000000ull, 229600000000ull);
}

static void a_masked_timer_counts_without_interrupts(void **state)
{
	(void)state;
	lapic_write(vp, TDCR, DIVIDE_BY_1);
	lapic_write(vp, LVTT, MASKED | 0x20);
	lapic_write(vp, TMICT, 1000);
	assert_int_equal(run(), ~0ull);
	rig.tsc += 500;
	assert_int_equal(lapic_read(vp, TMCCT), 750);
	rig.tsc += 5000;
	lapic_write(vp, LVTT, 0x20);
	run();
	assert_int_equal(lapic_pending(vp), -1);
	lapic_write(vp, LVTT, MASKED | 0x20);
	lapic_write(vp, TMICT, 1000);
	lapic_write(vp, LVTT, 0x20);
	assert_int_equal(run(), rig.tsc + 2000);
}

static void an_initial_count_of_0_stops_the_timer(void **state)
{
	(void)state;
	lapic_write(vp, LVTT, PERIODIC | 0x20);
	lapic_write(vp, TMICT, 1000);
	lapic_write(vp, TMICT, 0);
	assert_int_equal(run(), ~0ull);
	assert_int_equal(lapic_read(vp, TMCCT), 0);
}

static void a_timer_with_an_illegal_vector_sets_the_error(void **state)
{
	(void)state;
	lapic_write(vp, LVTT, 5);
	lapic_write(vp, TMICT, 1);
	rig.tsc += 1000;
	run();
	assert_int_equal(lapic_pending(vp), -1);
	lapic_write(vp, ESR, 0);
	assert_int_equal(lapic_read(vp, ESR), 0x40);
}

static void a_tsc_deadline_is_in_the_guests_tsc(void **state)
{
	uint64_t guest;

	(void)state;
	rig_wrmsr_gp(vp, 0x6e0, 1);
	rig_rdmsr_gp(vp, 0x6e0);
	vp->lapic.tsc_deadline_allowed = true;
	rig_wrmsr(vp, 0x6e0, 12345);
	assert_int_equal(rig_rdmsr(vp, 0x6e0), 0);
	lapic_write(vp, LVTT, DEADLINE | 0x20);
	guest = rig.tsc + rig.partition.time.tsc_offset;
	rig_wrmsr(vp, 0x6e0, guest + 5000);
	assert_int_equal(rig_rdmsr(vp, 0x6e0), guest + 5000);
	assert_int_equal(run(), rig.tsc + 5000);
	lapic_write(vp, TMICT, 77);
	assert_int_equal(lapic_read(vp, TMICT), 0);
	assert_int_equal(lapic_read(vp, TMCCT), 0);
	rig.tsc += 5000;
	assert_int_equal(run(), ~0ull);
	assert_int_equal(rig_take_interrupt(vp), 0x20);
	assert_int_equal(rig_rdmsr(vp, 0x6e0), 0);
	lapic_write(vp, EOI, 0);
	rig_wrmsr(vp, 0x6e0, guest + 1);	/* long past: at once */
	assert_int_equal(rig_take_interrupt(vp), 0x20);
	rig_wrmsr(vp, 0x6e0, ~0ull);
	rig_wrmsr(vp, 0x6e0, 0);
	assert_int_equal(run(), ~0ull);
}

static void leaving_or_entering_deadline_mode_disarms(void **state)
{
	(void)state;
	vp->lapic.tsc_deadline_allowed = true;
	lapic_write(vp, LVTT, 0x20);
	lapic_write(vp, TMICT, 1000);
	lapic_write(vp, LVTT, DEADLINE | 0x20);
	assert_int_equal(run(), ~0ull);
	rig_wrmsr(vp, 0x6e0, rig.tsc);
	assert_int_not_equal(run(), ~0ull);
	lapic_write(vp, LVTT, 0x20);
	assert_int_equal(run(), ~0ull);
	assert_int_equal(rig_rdmsr(vp, 0x6e0), 0);
	lapic_write(vp, LVTT, PERIODIC | DEADLINE | 0x20);
	lapic_write(vp, TMICT, 1000);
	assert_int_equal(run(), ~0ull);
}

static void a_running_timer_survives_a_change_between_one_shot_and_periodic(void **state)
{
	(void)state;
	lapic_write(vp, TDCR, DIVIDE_BY_1);
	lapic_write(vp, LVTT, 0x20);
	lapic_write(vp, TMICT, 1000);
	rig.tsc += 1000;
	lapic_write(vp, LVTT, PERIODIC | 0x20);
	assert_int_equal(run(), rig.tsc + 1000);
	rig.tsc += 1000;
	assert_int_equal(run(), rig.tsc + 2000);
	lapic_write(vp, LVTT, 0x20);
	rig.tsc += 2000;
	assert_int_equal(run(), ~0ull);
	lapic_write(vp, LVTT, PERIODIC | 0x20);
	assert_int_equal(run(), ~0ull);
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_one_shot_timer_fires_once_and_not_early),
		T(every_divisor_divides),
		T(a_change_of_the_divisor_keeps_the_count),
		T(a_periodic_timer_keeps_its_phase_when_polled_late),
		T(a_periodic_timer_does_not_drift_at_odd_rates),
		T(a_masked_timer_counts_without_interrupts),
		T(an_initial_count_of_0_stops_the_timer),
		T(a_timer_with_an_illegal_vector_sets_the_error),
		T(a_tsc_deadline_is_in_the_guests_tsc),
		T(leaving_or_entering_deadline_mode_disarms),
		T(a_running_timer_survives_a_change_between_one_shot_and_periodic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
