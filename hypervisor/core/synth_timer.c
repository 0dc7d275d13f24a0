/* SPDX-License-Identifier: Apache-2.0 */
/* The owner arms and fires; whoever scans the SynIC takes the message that an expiry left. */
#include "core/synth_timer.h"

#include "core/cpuid.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"

#define VECTOR_MIN 16u
#define NEVER      (~0ull)

static unsigned config_sint(uint64_t config)
{
	return config >> HV_STIMER_SINT_SHIFT & 0xf;
}

static uint8_t config_vector(uint64_t config)
{
	return (uint8_t)(config >> HV_STIMER_VECTOR_SHIFT);
}

static bool config_valid(const struct vp *vp, uint64_t config)
{
	if (config & HV_STIMER_RSVDZ)
		return false;
	if (!(config & HV_STIMER_DIRECT))
		return true;
	return vp->partition->synthetic_features & CPUID_FEATURE_DIRECT_TIMERS && config_vector(config) >= VECTOR_MIN;
}

/* Messages cannot go to SINT 0: such a timer does not stay enabled. */
static uint64_t config_settle(uint64_t config)
{
	if (!(config & HV_STIMER_DIRECT) && config_sint(config) == 0)
		config &= ~HV_STIMER_ENABLE;
	return config;
}

static void config_set(struct vp *vp, struct synth_timer *t, uint64_t config, bool keep_message)
{
	spin_lock(&vp->synic.lock);
	t->config = config;
	t->message_pending &= keep_message;
	spin_unlock(&vp->synic.lock);
}

static void arm(struct synth_timer *t, uint64_t now)
{
	if (!(t->config & HV_STIMER_ENABLE) || t->count == 0)
		t->expiry = 0;
	else if (!(t->config & HV_STIMER_PERIODIC))
		t->expiry = t->count;
	else
		t->expiry = t->count > NEVER - now ? NEVER : now + t->count;
}

/* One message a timer may wait; an expiry that finds it waiting adds nothing. */
static void leave_message(struct vp *vp, struct synth_timer *t, uint64_t expiry)
{
	spin_lock(&vp->synic.lock);
	if (!t->message_pending) {
		t->message_pending = true;
		t->message_expiry = expiry;
	}
	spin_unlock(&vp->synic.lock);
	synic_wait(vp, config_sint(t->config));
}

static void fire(struct vp *vp, struct synth_timer *t, uint64_t now)
{
	uint64_t expiry = t->expiry;

	if (t->config & HV_STIMER_PERIODIC) {
		uint64_t passed = (now - expiry) / t->count * t->count;

		t->expiry = t->count > NEVER - (expiry + passed) ? NEVER : expiry + passed + t->count;
	} else {
		t->expiry = 0;
		config_set(vp, t, t->config & ~HV_STIMER_ENABLE, true);
	}
	if (t->config & HV_STIMER_DIRECT)
		lapic_post(vp, config_vector(t->config), false);
	else
		leave_message(vp, t, expiry);
}

uint64_t synth_timer_run(struct vp *vp, uint64_t now)
{
	uint64_t next = NEVER;

	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		struct synth_timer *t = &vp->stimer[i];

		if (t->expiry == 0)
			continue;
		if (t->expiry <= now && t->expiry != NEVER)
			fire(vp, t, now);
		if (t->expiry != 0 && t->expiry < next)
			next = t->expiry;
	}
	return next;
}

bool synth_timer_has_message(const struct vp *vp, unsigned index, unsigned sint)
{
	const struct synth_timer *t = &vp->stimer[index];

	return t->message_pending && config_sint(t->config) == sint;
}

void synth_timer_take_message(struct vp *vp, unsigned index, struct hv_message *out)
{
	struct synth_timer *t = &vp->stimer[index];
	struct hv_timer_message payload = {
		.timer_index = index,
		.expiration_time = t->message_expiry,
		.delivery_time = ref_time_now(vp->partition),
	};

	memset(out, 0, sizeof(*out));
	out->type = HV_MESSAGE_TIMER_EXPIRED;
	out->payload_bytes = sizeof(payload);
	out->sender = vp->partition->id;
	memcpy(out->payload, &payload, sizeof(payload));
	t->message_pending = false;
}

/* MSRs: CONFIG and COUNT alternate from STIMER0_CONFIG on. */

static struct synth_timer *timer_of_msr(struct vp *vp, uint32_t msr, bool *out_is_count)
{
	if (msr < HV_MSR_STIMER0_CONFIG || msr > HV_MSR_STIMER3_COUNT)
		return NULL;
	*out_is_count = (msr - HV_MSR_STIMER0_CONFIG) & 1;
	return &vp->stimer[(msr - HV_MSR_STIMER0_CONFIG) / 2];
}

bool synth_timer_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	bool is_count;
	const struct synth_timer *t = timer_of_msr(vp, msr, &is_count);

	if (!t)
		return false;
	*out_value = is_count ? t->count : t->config;
	return true;
}

static uint64_t config_after_count(uint64_t config, uint64_t count)
{
	if (count == 0)
		return config & ~HV_STIMER_ENABLE;
	return config_settle(config & HV_STIMER_AUTO_ENABLE ? config | HV_STIMER_ENABLE : config);
}

bool synth_timer_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	bool is_count;
	struct synth_timer *t = timer_of_msr(vp, msr, &is_count);
	uint64_t now;

	if (!t || (!is_count && !config_valid(vp, value)))
		return false;
	if (is_count)
		t->count = value;
	config_set(vp, t, is_count ? config_after_count(t->config, value) : config_settle(value), false);
	now = ref_time_now(vp->partition);
	arm(t, now);
	(void)synth_timer_run(vp, now);	/* what is in the past already fires at once */
	return true;
}

void synth_timer_reset(struct vp *vp)
{
	spin_lock(&vp->synic.lock);
	memset(vp->stimer, 0, sizeof(vp->stimer));
	spin_unlock(&vp->synic.lock);
}

#define STATE_UNDELIVERED 1u

void synth_timer_state_get(const struct vp *vp, struct hv_stimers_state *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		const struct synth_timer *t = &vp->stimer[i];
		struct hv_stimer_state *state = &out->timer[i];

		state->config = t->config;
		state->count = t->count;
		state->adjustment = t->config & HV_STIMER_PERIODIC ? t->expiry : 0;
		if (t->message_pending) {
			state->flags = STATE_UNDELIVERED;
			state->undelivered_expiry = t->message_expiry;
		}
	}
}

static bool state_valid(const struct vp *vp, const struct hv_stimer_state *state)
{
	if (!config_valid(vp, state->config) || state->config != config_settle(state->config))
		return false;
	if (!(state->flags & STATE_UNDELIVERED))
		return true;
	return !(state->config & HV_STIMER_DIRECT) && config_sint(state->config) != 0;
}

static void state_load(struct vp *vp, struct synth_timer *t, const struct hv_stimer_state *state, uint64_t now)
{
	config_set(vp, t, state->config, false);
	t->count = state->count;
	arm(t, now);
	if (t->expiry && t->config & HV_STIMER_PERIODIC && state->adjustment)
		t->expiry = state->adjustment;
	if (state->flags & STATE_UNDELIVERED)
		leave_message(vp, t, state->undelivered_expiry);
}

enum hv_status synth_timer_state_set(struct vp *vp, const struct hv_stimers_state *in)
{
	uint64_t now = ref_time_now(vp->partition);

	for (unsigned i = 0; i < HV_STIMER_COUNT; i++) {
		if (!state_valid(vp, &in->timer[i]))
			return HV_STATUS_INVALID_PARAMETER;
	}
	for (unsigned i = 0; i < HV_STIMER_COUNT; i++)
		state_load(vp, &vp->stimer[i], &in->timer[i], now);
	(void)synth_timer_run(vp, now);	/* the caller's run loop asks again for the next expiry */
	return HV_STATUS_SUCCESS;
}
