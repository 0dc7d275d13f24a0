/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic timers of a VP. TLFS web, "Timers"; rules as in STIMERx_CONFIG. Times are the partition's reference time, 100 ns. */
#ifndef CORE_SYNTH_TIMER_H
#define CORE_SYNTH_TIMER_H

#include "core/types.h"
#include "hv/hv_synic.h"
#include "hv/hv_hypercall.h"

struct synth_timer {
	uint64_t config, count;
	uint64_t expiry;		/* reference time of the next expiry; 0: not armed */
	uint64_t message_expiry;	/* expiry time of the message that waits */
	bool message_pending;
};

bool synth_timer_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value) MUST_CHECK;
bool synth_timer_msr_write(struct vp *vp, uint32_t msr, uint64_t value) MUST_CHECK;
void synth_timer_reset(struct vp *vp);

/* Fires what is due at reference time `now`; returns the next expiry, ~0 none. */
uint64_t synth_timer_run(struct vp *vp, uint64_t now);

/* A message waits for slot `sint`: take the first one. Called by synic_scan with the SynIC lock held. */
bool synth_timer_take_message(struct vp *vp, unsigned sint, struct hv_message *out);

void synth_timer_state_get(const struct vp *vp, struct hv_stimers_state *out);
enum hv_status synth_timer_state_set(struct vp *vp, const struct hv_stimers_state *in) MUST_CHECK;

#endif
