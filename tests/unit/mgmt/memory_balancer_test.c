/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory balancer: what a machine gets alone, what machines share, and how calm it stays under load that swings.
 * The simulated host counts each page; what holds at every moment is checked in every round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vmms/memory_balancer.h"

#define MACHINES_MAX 8

/* A host, and guests that come as far towards their targets as `speed` lets them in a round. */
struct world {
	struct memory_machine machines[MACHINES_MAX];
	size_t count;
	uint64_t total, reserve, speed;
	unsigned changes[MACHINES_MAX];
	uint64_t moved[MACHINES_MAX], last[MACHINES_MAX];
};

static uint64_t used(const struct world *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->count; i++)
		sum += w->machines[i].assigned;
	return sum;
}

static struct memory_machine machine(uint64_t minimum, uint64_t startup, uint64_t maximum, uint32_t weight)
{
	return (struct memory_machine){
		.startup = startup, .minimum = minimum, .maximum = maximum, .buffer_percent = 20, .weight = weight,
		.reported = true, .can_balloon = true, .can_hot_add = true, .assigned = startup,
	};
}

static struct world world(uint64_t total, uint64_t reserve)
{
	return (struct world){ .total = total, .reserve = reserve, .speed = 256 };
}

static void add(struct world *w, struct memory_machine m)
{
	w->machines[w->count++] = m;
}

static void round_of(struct world *w)
{
	uint64_t before = used(w), promised = 0;

	assert_true(before <= w->total);
	for (size_t i = 0; i < w->count; i++) {
		struct memory_machine *m = &w->machines[i];

		m->available = m->assigned > m->demand ? m->assigned - m->demand : 0;
	}
	memory_balance(w->machines, w->count, w->total - before, w->reserve);
	for (size_t i = 0; i < w->count; i++) {
		struct memory_machine *m = &w->machines[i];
		uint64_t distance = m->target > m->assigned ? m->target - m->assigned : m->assigned - m->target;

		assert_true(m->target >= m->minimum);
		assert_true(m->target <= m->maximum);
		promised += m->target > m->assigned ? distance : 0;
		if (w->last[i] && m->target != w->last[i]) {
			w->changes[i]++;
			w->moved[i] += m->target > w->last[i] ? m->target - w->last[i] : w->last[i] - m->target;
		}
		w->last[i] = m->target;
	}
	/* Never more than is free now, whoever else may give something back. */
	assert_true(promised == 0 || promised + before + w->reserve <= w->total);
	for (size_t i = 0; i < w->count; i++) {
		struct memory_machine *m = &w->machines[i];

		if (m->target > m->assigned)
			m->assigned += m->target - m->assigned < w->speed ? m->target - m->assigned : w->speed;
		else
			m->assigned -= m->assigned - m->target < w->speed ? m->assigned - m->target : w->speed;
	}
}

static void rounds(struct world *w, unsigned count)
{
	while (count--)
		round_of(w);
}

static void forget(struct world *w)
{
	memset(w->changes, 0, sizeof w->changes);
	memset(w->moved, 0, sizeof w->moved);
}

#define assert_near(value, wanted, band) assert_in_range(value, (wanted) - (band), (wanted) + (band))

static void startup_until_the_guest_reports(void **state)
{
	struct world w = world(65536, 1024);

	add(&w, machine(512, 2048, 8192, 5000));
	w.machines[0].reported = false;
	w.machines[0].demand = 8000;
	rounds(&w, 100);
	assert_int_equal(w.machines[0].target, 2048);
	w.machines[0].reported = true;
	w.machines[0].demand = 300;
	rounds(&w, 200);
	assert_int_equal(w.machines[0].target, 512);
	/* It starts anew and is silent again. */
	w.machines[0].reported = false;
	w.machines[0].assigned = 2048;
	rounds(&w, 1);
	assert_int_equal(w.machines[0].target, 2048);
}

static void demand_and_buffer_within_the_limits(void **state)
{
	struct world w = world(65536, 1024);

	add(&w, machine(512, 2048, 8192, 5000));
	w.machines[0].demand = 4000;
	rounds(&w, 50);
	assert_near(w.machines[0].target, 4800, 150);
	w.machines[0].demand = 100000;
	rounds(&w, 50);
	assert_int_equal(w.machines[0].target, 8192);
	w.machines[0].demand = 10;
	rounds(&w, 300);
	assert_int_equal(w.machines[0].target, 512);
	w.machines[0].buffer_percent = 100;
	w.machines[0].demand = 1000;
	rounds(&w, 50);
	assert_near(w.machines[0].target, 2000, 62);
	w.machines[0].maximum = 1500;		/* set anew: at once */
	rounds(&w, 1);
	assert_int_equal(w.machines[0].target, 1500);
}

static void guests_without_balloon_or_hot_add(void **state)
{
	struct world w = world(65536, 1024);

	add(&w, machine(512, 2048, 8192, 5000));
	add(&w, machine(512, 2048, 8192, 5000));
	w.machines[0].can_balloon = false;
	w.machines[1].can_hot_add = false;
	w.machines[0].demand = 100;
	w.machines[1].demand = 6000;
	rounds(&w, 100);
	assert_int_equal(w.machines[0].target, 2048);
	assert_int_equal(w.machines[1].target, 2048);
	w.machines[1].demand = 600;
	rounds(&w, 200);
	assert_near(w.machines[1].target, 720, 45);
	w.machines[1].demand = 6000;
	rounds(&w, 50);
	assert_near(w.machines[1].target, 2048, 62);	/* what it had can be returned */
}

static void up_at_once_down_slowly(void **state)
{
	struct world w = world(65536, 1024);
	unsigned up = 0, down = 0;

	w.speed = 65536;
	add(&w, machine(512, 1024, 16384, 5000));
	w.machines[0].demand = 500;
	rounds(&w, 100);
	w.machines[0].demand = 8000;
	for (; w.machines[0].assigned < 9400; up++)
		round_of(&w);
	w.machines[0].demand = 500;
	for (; w.machines[0].assigned > 700; down++)
		round_of(&w);
	assert_in_range(up, 1, 6);
	assert_in_range(down, MEMORY_BALANCER_CALM_ROUNDS + 20, 200);
}

static void noise_changes_little(void **state)
{
	for (unsigned noise = 100; noise <= 800; noise *= 2) {
		struct world w = world(65536, 1024);
		unsigned seed = noise;

		add(&w, machine(512, 4096, 16384, 5000));
		for (unsigned n = 0; n < 3000; n++) {
			w.machines[0].demand = 4000 - rand_r(&seed) % noise;
			round_of(&w);
			if (n == 100)
				forget(&w);
		}
		assert_in_range(w.changes[0], 0, 3);
		assert_in_range(w.moved[0], 0, 1000);
		assert_near(w.machines[0].target, 4700, 320);
	}
}

/* Every second call the other load: a balancer without hysteresis makes 2000 changes of it, of 3600 MiB each. */
static void swinging_load_is_served_at_its_peaks(void **state)
{
	for (unsigned period = 2; period <= 24; period += 2) {
		struct world w = world(65536, 1024);

		add(&w, machine(512, 2048, 16384, 5000));
		for (unsigned n = 0; n < 2000; n++) {
			w.machines[0].demand = n % period < period / 2 ? 1000 : 4000;
			round_of(&w);
			if (n == 100)
				forget(&w);
			assert_true(n < 100 || w.machines[0].target >= 4600);
		}
		assert_in_range(w.changes[0], 0, 2);
		assert_in_range(w.moved[0], 0, 400);
	}
}

static void slow_swings_are_followed_in_few_steps(void **state)
{
	struct world w = world(65536, 1024);

	add(&w, machine(512, 2048, 16384, 5000));
	for (unsigned n = 0; n < 4000; n++) {
		w.machines[0].demand = n % 400 < 200 ? 1000 : 4000;
		round_of(&w);
		if (n == 399)
			forget(&w);
		if (n % 400 == 199)
			assert_near(w.machines[0].target, 1200, 75);
		if (n % 400 == 399)
			assert_near(w.machines[0].target, 4800, 150);
	}
	assert_in_range(w.changes[0], 9 * 2, 9 * 50);
	assert_in_range(w.moved[0], 9 * 7000, 9 * 7600);	/* there and back, no more */
}

static void a_guest_with_little_available_is_not_shrunk(void **state)
{
	struct memory_machine m = machine(512, 2048, 8192, 5000);

	m.demand = 400;
	m.available = 20;		/* it uses what it has not committed */
	for (unsigned n = 0; n < 200; n++)
		memory_balance(&m, 1, 65536, 1024);
	assert_int_equal(m.target, 2048);
}

static void when_memory_is_short_weight_decides(void **state)
{
	struct world w = world(9216, 1024);

	add(&w, machine(512, 1024, 16384, 2000));
	add(&w, machine(512, 1024, 16384, 4000));
	add(&w, machine(512, 1024, 16384, 8000));
	for (size_t i = 0; i < 3; i++)
		w.machines[i].demand = 10000;
	rounds(&w, 300);
	/* 8192 - 3 * 512 above the minima, 1 : 2 : 4 */
	assert_near(w.machines[0].assigned, 512 + 950, 120);
	assert_near(w.machines[1].assigned, 512 + 1901, 180);
	assert_near(w.machines[2].assigned, 512 + 3803, 300);
	forget(&w);
	rounds(&w, 300);
	assert_int_equal(w.changes[0] + w.changes[1] + w.changes[2], 0);

	/* What one does not need is the others'. */
	w.machines[2].demand = 800;
	rounds(&w, 300);
	assert_near(w.machines[2].assigned, 960, 60);
	assert_near(w.machines[1].assigned, 512 + 4138, 300);
	assert_near(w.machines[0].assigned, 512 + 2069, 200);
	w.machines[2].demand = 10000;
	rounds(&w, 300);
	assert_near(w.machines[2].assigned, 512 + 3803, 300);
}

static void a_weight_of_zero_still_gets_its_minimum(void **state)
{
	struct world w = world(4096, 1024);

	add(&w, machine(1024, 1024, 16384, 0));
	add(&w, machine(512, 1024, 16384, 10000));
	w.machines[0].demand = w.machines[1].demand = 10000;
	rounds(&w, 200);
	assert_near(w.machines[0].assigned, 1024, 2);
	assert_near(w.machines[1].assigned, 2048, 70);
}

static void a_host_that_needs_its_memory_gets_it(void **state)
{
	struct world w = world(10240, 1024);

	add(&w, machine(512, 4096, 8192, 5000));
	add(&w, machine(512, 4096, 8192, 5000));
	w.machines[0].demand = w.machines[1].demand = 3400;
	rounds(&w, 50);
	forget(&w);
	w.reserve = 5120;
	rounds(&w, 20);
	assert_true(used(&w) <= 10240 - 5120 + 2 * 256);
	assert_near(w.machines[0].assigned, 2560, 180);
	w.reserve = 10240;			/* minima are kept */
	rounds(&w, 100);
	assert_int_equal(w.machines[0].target, 512);
	assert_int_equal(w.machines[1].target, 512);
}

static void many_machines_with_noise_stay_calm(void **state)
{
	struct world w = world(24576, 1024);
	unsigned seed = 3, changes = 0;

	for (unsigned i = 0; i < MACHINES_MAX; i++)
		add(&w, machine(512, 1024, 8192, 1000 * (i + 1)));
	for (unsigned n = 0; n < 3000; n++) {
		for (unsigned i = 0; i < MACHINES_MAX; i++) {
			uint64_t swing = (n + 7 * i) % 12 < 6 ? 0 : 600;

			w.machines[i].demand = 2500 + 200 * i + swing + rand_r(&seed) % 300;
		}
		round_of(&w);
		if (n == 300)
			forget(&w);
	}
	for (unsigned i = 0; i < MACHINES_MAX; i++)
		changes += w.changes[i];
	assert_in_range(changes, 0, 3000 * MACHINES_MAX / 100);
	assert_true(used(&w) > 24576 - 1024 - 1500);	/* and nothing lies idle while it is short */
}

/* One that swings must not make the others pay, when each MiB has to come from somebody. */
static void swinging_load_is_no_burden_for_others(void **state)
{
	for (unsigned period = 2; period <= 12; period += 2) {
		struct world w = world(8192, 1024);

		add(&w, machine(512, 2048, 16384, 5000));
		add(&w, machine(512, 2048, 16384, 5000));
		w.machines[1].demand = 8000;
		for (unsigned n = 0; n < 2000; n++) {
			w.machines[0].demand = n % period < period / 2 ? 1200 : 2400;
			round_of(&w);
			if (n == 200)
				forget(&w);
		}
		assert_in_range(w.changes[0] + w.changes[1], 0, 20);
		assert_in_range(w.moved[0] + w.moved[1], 0, 2000);
	}
}

static void guests_that_do_not_move_are_no_excuse(void **state)
{
	struct world w = world(8192, 1024);

	add(&w, machine(512, 4096, 8192, 5000));
	add(&w, machine(512, 2048, 8192, 5000));
	w.speed = 0;
	w.machines[1].demand = 8000;
	rounds(&w, 200);			/* the first was asked, and gives nothing */
	assert_int_equal(w.machines[0].target, 512);
	assert_int_equal(w.machines[1].target, 2048 + 1024);
}

static void wild_numbers_do_no_harm(void **state)
{
	struct memory_machine m[2] = { machine(512, 2048, 8192, 5000), machine(512, 2048, 8192, UINT32_MAX) };

	m[0].demand = m[0].available = UINT64_MAX;
	m[0].buffer_percent = UINT32_MAX;
	m[1].demand = UINT64_MAX;
	for (unsigned n = 0; n < 100; n++) {
		memory_balance(m, 2, UINT64_MAX, 0);
		m[0].assigned = m[0].target;
	}
	assert_int_equal(m[0].target, 8192);
	assert_true(m[1].target <= 8192);
	m[0].demand = 100;			/* the lie is not remembered for long */
	m[0].buffer_percent = 20;
	for (unsigned n = 0; n < 300; n++)
		memory_balance(m, 2, UINT64_MAX, 0);
	assert_int_equal(m[0].target, 512);
	memory_balance(NULL, 0, 0, UINT64_MAX);
	m[0].assigned = m[1].assigned = UINT64_MAX;
	memory_balance(m, 2, 0, UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(startup_until_the_guest_reports),
		cmocka_unit_test(demand_and_buffer_within_the_limits),
		cmocka_unit_test(guests_without_balloon_or_hot_add),
		cmocka_unit_test(up_at_once_down_slowly),
		cmocka_unit_test(noise_changes_little),
		cmocka_unit_test(swinging_load_is_served_at_its_peaks),
		cmocka_unit_test(slow_swings_are_followed_in_few_steps),
		cmocka_unit_test(a_guest_with_little_available_is_not_shrunk),
		cmocka_unit_test(when_memory_is_short_weight_decides),
		cmocka_unit_test(a_weight_of_zero_still_gets_its_minimum),
		cmocka_unit_test(a_host_that_needs_its_memory_gets_it),
		cmocka_unit_test(many_machines_with_noise_stay_calm),
		cmocka_unit_test(swinging_load_is_no_burden_for_others),
		cmocka_unit_test(guests_that_do_not_move_are_no_excuse),
		cmocka_unit_test(wild_numbers_do_no_harm),
	};

	return cmocka_run_group_tests_name("memory balancer", tests, NULL, NULL);
}
