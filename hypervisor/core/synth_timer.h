/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic timers of a VP. TLFS web, "Timers"; rules as in STIMERx_CONFIG. Times are the partition's reference time, 100 ns.
 * (o) owner, as in vp.h   (s) SynIC lock; written under it by the owner only, apart from message_pending
 */
#ifndef CORE_SYNTH_TIMER_H
#define CORE_SYNTH_TIMER_H

#include "core/types.h"
#include "hv/hv_synic.h"
#include "hv/hv_hypercall.h"

struct synth_timer {
	uint64_t config;		/* (s) */
	uint64_t count;			/* (o) */
	uint64_t expiry;		/* (o) reference time of the next expiry; 0: not armed */
	uint64_t message_expiry;	/* (s) expiry time of the message that waits */
	bool message_pending;		/* (s) */
};

bool synth_timer_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value) MUST_CHECK;
bool synth_timer_msr_write(struct vp *vp, uint32_t msr, uint64_t value) MUST_CHECK;
void synth_timer_reset(struct vp *vp);

/* Fires what is due at reference time `now`; returns the next expiry, ~0 none. Missed periods make one expiry; the next one
 * keeps the phase. */
uint64_t synth_timer_run(struct vp *vp, uint64_t now);

/* Does the message of timer `index` wait for slot `sint`? Take it. Both with the SynIC lock held. */
bool synth_timer_has_message(const struct vp *vp, unsigned index, unsigned sint);
void synth_timer_take_message(struct vp *vp, unsigned index, struct hv_message *out);

/* For HvCallGet/SetVpState. `adjustment` carries the next expiry of a periodic timer, so that its phase survives (0: starts
 * anew). set: INVALID_PARAMETER for a CONFIG that the MSR would refuse. */
void synth_timer_state_get(const struct vp *vp, struct hv_stimers_state *out);
enum hv_status synth_timer_state_set(struct vp *vp, const struct hv_stimers_state *in) MUST_CHECK;

#endif
