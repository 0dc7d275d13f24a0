/* SPDX-License-Identifier: Apache-2.0 */
/* Counts are computed from the TSC; nothing is kept per tick. */
#include "core/lapic_timer.h"

#include "core/partition.h"
#include "core/vp.h"

enum lapic_timer_mode lapic_timer_mode(const struct lapic *l)
{
	return (enum lapic_timer_mode)(l->lvt[LVT_TIMER] >> 17 & 3);
}

static bool timer_masked(const struct lapic *l)
{
	return l->lvt[LVT_TIMER] & LAPIC_LVT_MASKED;
}

/* Divide configuration 0..7 in bits 3,1,0: by 2, 4 .. 128, 1. */
static unsigned divide_shift(const struct lapic *l)
{
	unsigned code = (l->divide_config & 3) | (l->divide_config >> 1 & 4);

	return (code + 1) & 7;
}

static uint64_t ticks_since_start(const struct lapic *l, uint64_t now)
{
	if (now <= l->timer_start_tsc)
		return 0;
	return mul_div_u64(now - l->timer_start_tsc, l->hz, machine.tsc_hz) >> divide_shift(l);
}

/* First TSC at which ticks_since_start() says `ticks`. */
static uint64_t tsc_of_tick(const struct lapic *l, uint64_t ticks)
{
	uint64_t input = ticks << divide_shift(l), delta = mul_div_u64(input, machine.tsc_hz, l->hz);

	if (mul_div_u64(delta, l->hz, machine.tsc_hz) < input)
		delta++;
	return delta > ~0ull - l->timer_start_tsc ? ~0ull : l->timer_start_tsc + delta;
}

void lapic_timer_stop(struct lapic *l)
{
	l->timer_deadline_tsc = ~0ull;
	l->tsc_deadline_msr = 0;
}

void lapic_timer_start(struct lapic *l, uint32_t first_count, uint64_t now)
{
	lapic_timer_stop(l);
	if (first_count == 0)
		return;
	l->timer_first_count = first_count;
	l->timer_start_tsc = now;
	l->timer_deadline_tsc = tsc_of_tick(l, first_count);
}

uint32_t lapic_timer_count(const struct lapic *l, uint64_t now)
{
	uint64_t ticks;

	if (l->timer_deadline_tsc == ~0ull || lapic_timer_mode(l) > TIMER_PERIODIC)
		return 0;
	ticks = ticks_since_start(l, now);
	if (ticks < l->timer_first_count)
		return (uint32_t)(l->timer_first_count - ticks);
	if (lapic_timer_mode(l) == TIMER_ONE_SHOT || l->initial_count == 0)
		return 0;
	return (uint32_t)(l->initial_count - (ticks - l->timer_first_count) % l->initial_count);
}

static void timer_catch_up(struct vp *vp, uint64_t now)
{
	struct lapic *l = &vp->lapic;
	uint64_t laps;

	if (l->timer_deadline_tsc > now || l->timer_deadline_tsc == ~0ull)
		return;
	if (lapic_timer_mode(l) == TIMER_PERIODIC && l->initial_count) {
		laps = (ticks_since_start(l, now) - l->timer_first_count) / l->initial_count + 1;
		l->timer_deadline_tsc = tsc_of_tick(l, l->timer_first_count + laps * l->initial_count);
	} else {
		lapic_timer_stop(l);
	}
	if (!timer_masked(l))
		lapic_post(vp, (uint8_t)l->lvt[LVT_TIMER], false);
}

uint64_t lapic_timer_run(struct vp *vp, uint64_t now)
{
	timer_catch_up(vp, now);
	return timer_masked(&vp->lapic) ? ~0ull : vp->lapic.timer_deadline_tsc;
}

void lapic_timer_write_deadline(struct vp *vp, uint64_t value)
{
	struct lapic *l = &vp->lapic;
	uint64_t now = platform_tsc(), guest_now = now + vp->partition->time.tsc_offset;

	if (lapic_timer_mode(l) != TIMER_TSC_DEADLINE)
		return;
	lapic_timer_stop(l);
	if (value == 0)
		return;
	l->tsc_deadline_msr = value;
	if (value <= guest_now)
		l->timer_deadline_tsc = now;
	else
		l->timer_deadline_tsc = value - guest_now > ~0ull - now ? ~0ull : now + (value - guest_now);
	timer_catch_up(vp, now);
}

void lapic_timer_write_lvt(struct vp *vp, uint32_t value)
{
	struct lapic *l = &vp->lapic;
	uint64_t now = platform_tsc();
	enum lapic_timer_mode before = lapic_timer_mode(l);
	uint32_t count;

	/* What was due is settled under the old rules: unmasking does not bring back what was missed. */
	timer_catch_up(vp, now);
	count = lapic_timer_count(l, now);
	l->lvt[LVT_TIMER] = value;
	if (lapic_timer_mode(l) == before)
		return;
	if (before > TIMER_PERIODIC || lapic_timer_mode(l) > TIMER_PERIODIC) {
		l->initial_count = 0;
		lapic_timer_stop(l);
	} else {
		lapic_timer_start(l, count, now);
	}
}

void lapic_timer_write_initial(struct vp *vp, uint32_t value)
{
	struct lapic *l = &vp->lapic;

	if (lapic_timer_mode(l) > TIMER_PERIODIC)
		return;
	l->initial_count = value;
	lapic_timer_start(l, value, platform_tsc());
}

void lapic_timer_write_divide(struct vp *vp, uint32_t value)
{
	struct lapic *l = &vp->lapic;
	uint64_t now = platform_tsc();
	uint32_t count;

	timer_catch_up(vp, now);
	count = lapic_timer_count(l, now);
	l->divide_config = value;
	if (count)
		lapic_timer_start(l, count, now);
}
