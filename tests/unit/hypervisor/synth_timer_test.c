/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <string.h>

#include "hv/hv_msr.h"

#define SIM 4u
#define SINT 2u
#define CONFIG(n) (HV_MSR_STIMER0_CONFIG + 2 * (n))
#define COUNT(n)  (HV_MSR_STIMER0_CONFIG + 2 * (n) + 1)
#define ON        HV_STIMER_ENABLE
#define TO_SINT(n)   ((uint64_t)(n) << HV_STIMER_SINT_SHIFT)
#define DIRECT(v)    (HV_STIMER_DIRECT | (uint64_t)(v) << HV_STIMER_VECTOR_SHIFT)

static struct vp *vp;

static int setup(void **state)
{
	(void)state;
	rig_child(1);
	vp = &rig.vp[0];
	lapic_write(vp, 0xf0, 0x1ff);
	rig_wrmsr(vp, HV_MSR_SIMP, (uint64_t)SIM << 12 | 1);
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, 0xf3);
	rig_wrmsr(vp, HV_MSR_SCONTROL, 1);
	rig_advance_100ns(1000);
	return 0;
}

static uint64_t now(void)
{
	return ref_time_now(&rig.partition);
}

static uint64_t run(void)
{
	return synth_timer_run(vp, now());
}

/* As the CPU's timer does it. */
static void run_until(uint64_t when)
{
	rig.tsc = ref_time_to_tsc(&rig.partition, when);
	run();
}

static struct hv_timer_message message(unsigned sint)
{
	const struct hv_message *slot = rig_slot(SIM, sint);
	struct hv_timer_message payload;

	assert_int_equal(slot->type, HV_MESSAGE_TIMER_EXPIRED);
	assert_int_equal(slot->payload_bytes, sizeof(payload));
	memcpy(&payload, slot->payload, sizeof(payload));
	assert_int_equal(payload.rsvd, 0);
	return payload;
}

static void free_slot(unsigned sint)
{
	rig_slot(SIM, sint)->type = 0;
	rig_wrmsr(vp, HV_MSR_EOM, 0);
}

static bool interrupted(int vector)
{
	if (lapic_pending(vp) != vector)
		return false;
	rig_take_interrupt(vp);
	lapic_write(vp, 0xb0, 0);
	return true;
}

static void timers_start_at_0_and_return_to_it(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rig_rdmsr(vp, HV_MSR_STIMER0_CONFIG + i), 0);
	rig_wrmsr(vp, CONFIG(1), DIRECT(0x40) | ON);
	rig_wrmsr(vp, COUNT(1), now() + 100);
	synth_timer_reset(vp);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(rig_rdmsr(vp, HV_MSR_STIMER0_CONFIG + i), 0);
	assert_int_equal(run(), ~0ull);
}

static void reserved_bits_fault(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = 1ull << bit;

		if (value & HV_STIMER_RSVDZ || bit == 12)	/* direct with vector 0 */
			rig_wrmsr_gp(vp, CONFIG(0), value);
		else
			rig_wrmsr(vp, CONFIG(0), value);
	}
}

static void direct_mode_needs_its_feature_and_a_vector_from_16(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 16; v++)
		rig_wrmsr_gp(vp, CONFIG(0), DIRECT(v));
	rig_wrmsr(vp, CONFIG(0), DIRECT(16));
	rig.partition.synthetic_features &= ~CPUID_FEATURE_DIRECT_TIMERS;
	rig_wrmsr_gp(vp, CONFIG(0), DIRECT(16));
	rig_wrmsr(vp, CONFIG(0), TO_SINT(2));
}

static void a_message_timer_for_sint_0_does_not_stay_enabled(void **state)
{
	(void)state;
	rig_wrmsr(vp, CONFIG(0), ON | HV_STIMER_AUTO_ENABLE);
	assert_int_equal(rig_rdmsr(vp, CONFIG(0)), HV_STIMER_AUTO_ENABLE);
	rig_wrmsr(vp, COUNT(0), 1);
	assert_int_equal(rig_rdmsr(vp, CONFIG(0)), HV_STIMER_AUTO_ENABLE);
	rig_wrmsr(vp, CONFIG(0), ON | DIRECT(0x40));
	assert_true(interrupted(0x40));		/* SINT 0 does not matter then */
}

static void count_0_disables_and_auto_enable_enables(void **state)
{
	(void)state;
	rig_wrmsr(vp, CONFIG(0), ON | TO_SINT(2));
	assert_int_equal(rig_rdmsr(vp, CONFIG(0)), ON | TO_SINT(2));
	assert_int_equal(run(), ~0ull);		/* count 0 never fires */
	rig_wrmsr(vp, COUNT(0), 0);
	assert_int_equal(rig_rdmsr(vp, CONFIG(0)), TO_SINT(2));
	rig_wrmsr(vp, COUNT(0), now() + 5);
	assert_int_equal(run(), ~0ull);
	rig_wrmsr(vp, CONFIG(0), HV_STIMER_AUTO_ENABLE | TO_SINT(2));
	rig_wrmsr(vp, COUNT(0), now() + 5);
	assert_int_equal(rig_rdmsr(vp, CONFIG(0)), ON | HV_STIMER_AUTO_ENABLE | TO_SINT(2));
	assert_int_equal(run(), rig_rdmsr(vp, COUNT(0)));
}

static void a_one_shot_fires_at_its_time_and_disables_itself(void **state)
{
	uint64_t when = now() + 500;

	(void)state;
	rig_wrmsr(vp, COUNT(3), when);
	rig_wrmsr(vp, CONFIG(3), ON | TO_SINT(SINT));
	assert_int_equal(run(), when);
	rig.tsc = ref_time_to_tsc(&rig.partition, when) - 1;
	run();
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
	rig.tsc++;
	assert_int_equal(run(), ~0ull);
	assert_int_equal(message(SINT).timer_index, 3);
	assert_int_equal(message(SINT).expiration_time, when);
	assert_int_equal(message(SINT).delivery_time, now());
	assert_int_equal(rig_slot(SIM, SINT)->sender, rig.partition.id);
	assert_true(interrupted(0xf3));
	assert_int_equal(rig_rdmsr(vp, CONFIG(3)), TO_SINT(SINT));
	assert_int_equal(rig_rdmsr(vp, COUNT(3)), when);
}

static void a_time_in_the_past_fires_at_once(void **state)
{
	(void)state;
	rig_wrmsr(vp, CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT(0xed));
	rig_wrmsr(vp, COUNT(0), now() - 1);
	assert_true(interrupted(0xed));
	rig_wrmsr(vp, COUNT(0), now());
	assert_true(interrupted(0xed));
	assert_int_equal(run(), ~0ull);
}

static void direct_mode_needs_no_synic(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_SCONTROL, 0);
	rig_wrmsr(vp, HV_MSR_SIMP, 0);
	rig_wrmsr(vp, CONFIG(0), HV_STIMER_AUTO_ENABLE | DIRECT(0xed));
	rig_wrmsr(vp, COUNT(0), now() + 10);
	rig.wakes[0] = 0;
	run_until(now() + 10);
	assert_true(interrupted(0xed));
	assert_int_equal(rig.wakes[0], 1);	/* a halted VP wakes */
}

static void a_periodic_timer_keeps_its_phase_when_polled_late(void **state)
{
	uint64_t start = now(), fired = 0;

	(void)state;
	rig_wrmsr(vp, COUNT(0), 10000);
	rig_wrmsr(vp, CONFIG(0), ON | HV_STIMER_PERIODIC | DIRECT(0xed));
	for (unsigned i = 0; i < 20000; i++) {
		uint64_t laps = (now() - start) / 10000;

		assert_int_equal(run(), start + (laps + 1) * 10000);
		assert_int_equal(interrupted(0xed), laps > fired);
		fired = laps;
		rig_advance_100ns(rig_random() % 25000);
	}
	assert_int_equal(rig_rdmsr(vp, CONFIG(0)), ON | HV_STIMER_PERIODIC | DIRECT(0xed));
}

static void a_periodic_timer_does_not_drift(void **state)
{
	uint64_t start = now();

	(void)state;
	rig_wrmsr(vp, COUNT(0), 10000);
	rig_wrmsr(vp, CONFIG(0), ON | HV_STIMER_PERIODIC | DIRECT(0xed));
	for (unsigned i = 1; i <= 1000; i++) {
		rig.tsc = ref_time_to_tsc(&rig.partition, run()) + 3000;	/* always a little late */
		run();
		assert_true(interrupted(0xed));
	}
	assert_int_equal(run(), start + 1001 * 10000);
}

static void missed_periods_leave_one_message(void **state)
{
	uint64_t start = now();

	(void)state;
	rig_wrmsr(vp, COUNT(0), 100);
	rig_wrmsr(vp, CONFIG(0), ON | HV_STIMER_PERIODIC | TO_SINT(SINT));
	for (unsigned i = 0; i < 50; i++) {
		rig_advance_100ns(100);
		run();
	}
	assert_int_equal(message(SINT).expiration_time, start + 100);
	assert_int_equal(rig_slot(SIM, SINT)->flags, HV_MESSAGE_FLAG_PENDING);
	free_slot(SINT);
	assert_int_equal(message(SINT).expiration_time, start + 200);
	assert_int_equal(rig_slot(SIM, SINT)->flags, 0);
	free_slot(SINT);
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
}

static void a_message_waits_while_the_synic_is_off(void **state)
{
	uint64_t when = now() + 10;

	(void)state;
	rig_wrmsr(vp, HV_MSR_SCONTROL, 0);
	rig_wrmsr(vp, COUNT(0), when);
	rig_wrmsr(vp, CONFIG(0), ON | TO_SINT(SINT));
	run_until(when);
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
	rig_advance_100ns(500);
	rig_wrmsr(vp, HV_MSR_SCONTROL, 1);
	assert_int_equal(message(SINT).expiration_time, when);
	assert_int_equal(message(SINT).delivery_time, now());
	assert_true(interrupted(0xf3));
}

static void a_masked_sint_gets_the_message_without_an_interrupt(void **state)
{
	(void)state;
	rig_wrmsr(vp, HV_MSR_SINT0 + SINT, HV_SINT_MASKED);
	rig_wrmsr(vp, CONFIG(0), HV_STIMER_AUTO_ENABLE | TO_SINT(SINT));
	rig_wrmsr(vp, COUNT(0), 1);
	assert_int_equal(message(SINT).expiration_time, 1);
	assert_int_equal(lapic_pending(vp), -1);
}

static void a_new_setting_drops_the_message_that_waits(void **state)
{
	(void)state;
	rig_slot(SIM, SINT)->type = 5;
	rig_wrmsr(vp, CONFIG(0), HV_STIMER_AUTO_ENABLE | TO_SINT(SINT));
	rig_wrmsr(vp, COUNT(0), 1);
	rig_wrmsr(vp, CONFIG(0), TO_SINT(SINT));
	free_slot(SINT);
	assert_int_equal(rig_slot(SIM, SINT)->type, 0);
	assert_int_equal(vp->synic.waiting, 0);
}

static void timers_and_posts_take_turns_at_one_slot(void **state)
{
	unsigned seen[5] = { 0 };
	struct hv_message posted = { .type = 1 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		rig_wrmsr(vp, COUNT(i), 1);
		rig_wrmsr(vp, CONFIG(i), ON | HV_STIMER_PERIODIC | TO_SINT(SINT));
	}
	for (unsigned i = 0; i < 500; i++) {
		enum hv_status status = synic_post(vp, SINT, &posted);

		assert_true(status == HV_STATUS_SUCCESS || status == HV_STATUS_INSUFFICIENT_BUFFERS);
		rig_advance_100ns(10);
		run();
		seen[rig_slot(SIM, SINT)->type == 1 ? 4 : message(SINT).timer_index]++;
		free_slot(SINT);
	}
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(seen[i], 100);
}

static void periods_beyond_the_end_of_time_never_come(void **state)
{
	(void)state;
	rig_wrmsr(vp, COUNT(0), ~0ull);
	rig_wrmsr(vp, CONFIG(0), ON | HV_STIMER_PERIODIC | DIRECT(0x40));
	assert_int_equal(run(), ~0ull);
	rig_wrmsr(vp, CONFIG(0), ON | DIRECT(0x40));
	rig_advance_100ns(100000);
	assert_int_equal(run(), ~0ull);
	assert_int_equal(lapic_pending(vp), -1);
}

static void the_state_goes_out_and_in_again(void **state)
{
	struct hv_stimers_state out, again;
	uint64_t start = now();

	(void)state;
	rig_slot(SIM, SINT)->type = 5;
	rig_wrmsr(vp, CONFIG(0), HV_STIMER_AUTO_ENABLE | TO_SINT(SINT));
	rig_wrmsr(vp, COUNT(0), 77);
	rig_wrmsr(vp, COUNT(1), 1000);
	rig_wrmsr(vp, CONFIG(1), ON | HV_STIMER_PERIODIC | DIRECT(0x40));
	rig_wrmsr(vp, COUNT(2), start + 5000);
	rig_wrmsr(vp, CONFIG(2), ON | DIRECT(0x41));
	rig_advance_100ns(300);
	synth_timer_state_get(vp, &out);
	assert_int_equal(out.timer[0].flags, 1);
	assert_int_equal(out.timer[0].undelivered_expiry, 77);
	synth_timer_reset(vp);
	assert_int_equal(synth_timer_state_set(vp, &out), HV_STATUS_SUCCESS);
	synth_timer_state_get(vp, &again);
	assert_memory_equal(&out, &again, sizeof(out));
	assert_int_equal(run(), start + 1000);
	free_slot(SINT);
	assert_int_equal(message(SINT).expiration_time, 77);
}

static void nonsense_state_is_refused(void **state)
{
	static const struct hv_stimer_state bad[] = {
		{ .config = HV_STIMER_RSVDZ }, { .config = DIRECT(3) }, { .config = ON },
		{ .flags = 1 }, { .flags = 1, .config = DIRECT(0x40) },
	};
	struct hv_stimers_state in;

	(void)state;
	rig_wrmsr(vp, COUNT(0), 123);
	for (unsigned i = 0; i < ARRAY_COUNT(bad); i++) {
		memset(&in, 0, sizeof(in));
		in.timer[3] = bad[i];
		assert_int_equal(synth_timer_state_set(vp, &in), HV_STATUS_INVALID_PARAMETER);
		assert_int_equal(rig_rdmsr(vp, COUNT(0)), 123);		/* nothing was changed */
	}
}

/* Against a model that keeps start times instead of expiries. */

static struct model_timer {
	uint64_t config, count, start, last;	/* periodic: expiries at start + k * count, last one handled */
	bool armed, pending;
	uint64_t pending_expiry;
} model[4];
static bool model_slot_full[16];

static void model_arm(struct model_timer *m)
{
	m->armed = m->config & ON && m->count;
	m->start = m->last = now();
	m->pending = false;
}

static uint64_t model_expiry(const struct model_timer *m)
{
	return m->config & HV_STIMER_PERIODIC ? m->start + ((m->last - m->start) / m->count + 1) * m->count : m->count;
}

static void model_run(bool *out_direct)
{
	for (unsigned i = 0; i < 4; i++) {
		struct model_timer *m = &model[i];
		uint64_t expiry;

		if (!m->armed || (expiry = model_expiry(m)) > now())
			continue;
		m->last = now();
		if (!(m->config & HV_STIMER_PERIODIC)) {
			m->armed = false;
			m->config &= ~ON;
		}
		if (m->config & HV_STIMER_DIRECT) {
			out_direct[i] = true;
		} else if (!m->pending) {
			m->pending = true;
			m->pending_expiry = expiry;
		}
	}
}

static void model_check_slots(void)
{
	for (unsigned sint = 1; sint < 16; sint++) {
		unsigned waiting = 0;

		if (!model_slot_full[sint] && rig_slot(SIM, sint)->type) {
			struct hv_timer_message m = message(sint);

			assert_true(m.timer_index < 4);
			assert_true(model[m.timer_index].pending);
			assert_int_equal(model[m.timer_index].config >> HV_STIMER_SINT_SHIFT & 0xf, sint);
			assert_int_equal(model[m.timer_index].pending_expiry, m.expiration_time);
			model[m.timer_index].pending = false;
			model_slot_full[sint] = true;
		}
		for (unsigned i = 0; i < 4; i++)
			waiting += model[i].pending && (model[i].config >> HV_STIMER_SINT_SHIFT & 0xf) == sint;
		if (!model_slot_full[sint])
			assert_int_equal(waiting, 0);
	}
}

static void model_check(const bool *direct)
{
	uint64_t next = ~0ull;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig_rdmsr(vp, CONFIG(i)), model[i].config);
		assert_int_equal(rig_rdmsr(vp, COUNT(i)), model[i].count);
		if (model[i].armed && model_expiry(&model[i]) < next)
			next = model_expiry(&model[i]);
		assert_int_equal(vp->lapic.irr[2] >> i & 1, direct[i]);
	}
	vp->lapic.irr[2] = 0;
	assert_int_equal(run(), next);
	model_check_slots();
}

static void model_step(void)
{
	unsigned i = rig_random() % 4, sint = rig_random() % 4;
	struct model_timer *m = &model[i];
	bool direct[4] = { false };
	uint64_t value;

	switch (rig_random() % 6) {
	case 0:
		value = (rig_random() & 0xf) | TO_SINT(sint);
		if (rig_random() % 2)
			value |= DIRECT(0x40 + i);
		rig_wrmsr(vp, CONFIG(i), value);
		m->config = value & HV_STIMER_DIRECT || sint ? value : value & ~ON;
		model_arm(m);
		break;
	case 1:
		value = rig_random() % 4 == 0 ? 0 : m->config & HV_STIMER_PERIODIC ? 1 + rig_random() % 300 :
								     now() - 200 + rig_random() % 600;
		rig_wrmsr(vp, COUNT(i), value);
		m->count = value;
		if (value == 0)
			m->config &= ~ON;
		else if (m->config & HV_STIMER_AUTO_ENABLE && (m->config & HV_STIMER_DIRECT ||
							       m->config >> HV_STIMER_SINT_SHIFT & 0xf))
			m->config |= ON;
		model_arm(m);
		break;
	case 2 ... 3:
		rig_advance_100ns(rig_random() % 200);
		run();
		break;
	default:
		if (sint && model_slot_full[sint]) {
			model_slot_full[sint] = false;
			free_slot(sint);
		}
		break;
	}
	model_run(direct);
	model_check_slots();
	model_check(direct);
}

static void random_operations_agree_with_a_plain_model(void **state)
{
	(void)state;
	memset(model, 0, sizeof(model));
	memset(model_slot_full, 0, sizeof(model_slot_full));
	for (unsigned i = 0; i < 300000; i++)
		model_step();
}

#define T(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(timers_start_at_0_and_return_to_it),
		T(reserved_bits_fault),
		T(direct_mode_needs_its_feature_and_a_vector_from_16),
		T(a_message_timer_for_sint_0_does_not_stay_enabled),
		T(count_0_disables_and_auto_enable_enables),
		T(a_one_shot_fires_at_its_time_and_disables_itself),
		T(a_time_in_the_past_fires_at_once),
		T(direct_mode_needs_no_synic),
		T(a_periodic_timer_keeps_its_phase_when_polled_late),
		T(a_periodic_timer_does_not_drift),
		T(missed_periods_leave_one_message),
		T(a_message_waits_while_the_synic_is_off),
		T(a_masked_sint_gets_the_message_without_an_interrupt),
		T(a_new_setting_drops_the_message_that_waits),
		T(timers_and_posts_take_turns_at_one_slot),
		T(periods_beyond_the_end_of_time_never_come),
		T(the_state_goes_out_and_in_again),
		T(nonsense_state_is_refused),
		T(random_operations_agree_with_a_plain_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
