/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/memory_balancer.h"

#define LEVEL_NOISE_PART 32u	/* so little below the level is no lower demand */
#define LEVEL_DECAY      16u	/* of what the level is above demand, one part in a round */
#define UP_STEP_MIN      256u
#define DOWN_STEP_MIN    32u
#define DOWN_STEP_PART   16u	/* of the target */
#define URGENT_STEP_MIN  64u
#define URGENT_STEP_PART 4u
#define UP_BAND_MIN      16u	/* differences below are not worth a change */
#define UP_BAND_PART     32u
#define DOWN_BAND_MIN    32u
#define DOWN_BAND_PART   16u
#define NUMBER_MAX       (1ull << 40)	/* so that products with weights and percents fit */

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t part_of(uint64_t value, uint64_t part, uint64_t at_least)
{
	return max(value / part, at_least);
}

static uint64_t weight_of(const struct memory_machine *m)
{
	return max(1, min(m->weight, MEMORY_BALANCER_WEIGHT_MAX));
}

static uint64_t buffer_of(const struct memory_machine *m)
{
	return m->own.level * min(m->buffer_percent, MEMORY_BALANCER_BUFFER_MAX) / 100;
}

/* A guest that cannot give memory back keeps what it has. */
static uint64_t floor_of(const struct memory_machine *m)
{
	if (!m->reported)
		return max(m->assigned, m->startup);
	return m->can_balloon ? m->minimum : max(m->assigned, m->minimum);
}

static uint64_t ceiling_of(const struct memory_machine *m)
{
	uint64_t ceiling = m->reported && m->can_hot_add ? m->maximum : max(m->startup, m->assigned);

	return max(min(ceiling, m->maximum), floor_of(m));
}

/* The level stays at a peak of demand until there was none as high for a while. */
static void follow_demand(struct memory_machine *m)
{
	uint64_t demand = min(m->demand, m->maximum);

	if (!m->reported || demand > m->own.level)
		m->own.level = m->reported ? demand : 0;
	if (demand >= m->own.level - m->own.level / LEVEL_NOISE_PART)
		m->own.calm = 0;
	else if (m->own.calm < MEMORY_BALANCER_CALM_ROUNDS)
		m->own.calm++;
	else
		m->own.level -= (m->own.level - demand + LEVEL_DECAY - 1) / LEVEL_DECAY;
}

static void want(struct memory_machine *m)
{
	m->assigned = min(m->assigned, NUMBER_MAX);
	if (m->target == 0)
		m->target = max(floor_of(m), m->assigned ? m->assigned : m->startup);
	m->own.ideal = floor_of(m);
	m->own.wanted = max(floor_of(m), min(m->own.level + buffer_of(m), ceiling_of(m)));
}

/*
 * Shares `total` by weight: ideal grows from `ideal` as it stands to at most `wanted`. Those that need less than their
 * share leave the rest to the others, so this ends after at most one round for each machine.
 */
static void share(struct memory_machine *machines, size_t count, uint64_t total)
{
	bool somebody_full = true;

	while (somebody_full) {
		uint64_t weights = 0, left = total;

		somebody_full = false;
		for (size_t i = 0; i < count; i++)
			weights += machines[i].own.ideal < machines[i].own.wanted ? weight_of(&machines[i]) : 0;
		for (size_t i = 0; i < count; i++) {
			struct memory_machine *m = &machines[i];
			uint64_t needs = less(m->own.wanted, m->own.ideal);

			if (needs && left * weight_of(m) / weights >= needs) {
				m->own.ideal = m->own.wanted;
				total -= needs;
				somebody_full = true;
			}
		}
		if (somebody_full)
			continue;
		for (size_t i = 0; i < count; i++) {
			struct memory_machine *m = &machines[i];

			if (m->own.ideal < m->own.wanted)
				m->own.ideal += left * weight_of(m) / weights;
		}
	}
}

/* What this machine's target is to be, as far as there is memory for it. */
static uint64_t goal_of(struct memory_machine *m, bool is_short)
{
	uint64_t ideal = m->own.ideal, step;

	if (ideal >= m->target) {
		m->own.shrinking = false;
		if (ideal - m->target < part_of(m->target, UP_BAND_PART, UP_BAND_MIN))
			return m->target;
		return max(m->target, min(ideal, m->assigned + max(m->assigned, UP_STEP_MIN)));
	}
	/* Begun, it goes all the way. */
	if (m->target - ideal >= part_of(m->target, DOWN_BAND_PART, DOWN_BAND_MIN))
		m->own.shrinking = true;
	if (!m->own.shrinking)
		return m->target;
	if (is_short)
		return max(ideal, less(m->target, part_of(m->target, URGENT_STEP_PART, URGENT_STEP_MIN)));
	step = part_of(m->target, DOWN_STEP_PART, DOWN_STEP_MIN);
	/* What is less than a step can wait until the level has come to rest. */
	if (m->target - ideal < step && m->own.calm)
		return m->target;
	return max(ideal, less(m->target, min(step, less(m->available, buffer_of(m)))));
}

void memory_balance(struct memory_machine *machines, size_t count, uint64_t host_available, uint64_t host_reserve)
{
	uint64_t available = min(host_available, NUMBER_MAX), reserve = min(host_reserve, NUMBER_MAX);
	uint64_t has = available, wanted = 0, floors = 0;
	bool is_short;

	for (size_t i = 0; i < count; i++) {
		follow_demand(&machines[i]);
		want(&machines[i]);
		has += machines[i].assigned;
		wanted += machines[i].own.wanted;
		floors += machines[i].own.ideal;
	}
	is_short = wanted > less(has, reserve);
	share(machines, count, less(less(has, reserve), floors));

	/* The same once more, for what the host has free now. */
	for (size_t i = 0; i < count; i++) {
		struct memory_machine *m = &machines[i];
		uint64_t goal = max(floor_of(m), min(goal_of(m, is_short), ceiling_of(m)));

		m->own.granted = goal;
		m->own.wanted = less(goal, m->assigned);
		m->own.ideal = 0;
	}
	share(machines, count, less(available, reserve));
	for (size_t i = 0; i < count; i++) {
		struct memory_machine *m = &machines[i];
		uint64_t now = m->own.wanted ? m->assigned + m->own.ideal : m->own.granted;

		/* A bit of what it is to get is not worth a change. */
		if (now < m->own.granted && now >= m->target &&
		    now - m->target < part_of(m->target, UP_BAND_PART, UP_BAND_MIN))
			now = m->target;
		m->target = now;
	}
}
