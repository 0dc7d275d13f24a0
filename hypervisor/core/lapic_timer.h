/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer of a local APIC, as its registers drive it; lapic.h has what the rest of the core calls. Values are masked to
 * what the registers hold already. On the CPU that runs the VP, or with the VP held.
 */
#ifndef CORE_LAPIC_TIMER_H
#define CORE_LAPIC_TIMER_H

#include "core/lapic.h"

enum lapic_timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

enum lapic_timer_mode lapic_timer_mode(const struct lapic *l);
void lapic_timer_stop(struct lapic *l);
/* Counts down from first_count, then, if periodic, from the initial count. 0 stops. */
void lapic_timer_start(struct lapic *l, uint32_t first_count, uint64_t now);
/* Current count; 0 when it does not run, or runs to a deadline. */
uint32_t lapic_timer_count(const struct lapic *l, uint64_t now);

/* What was due under the old value is settled first. */
void lapic_timer_write_lvt(struct vp *vp, uint32_t value);
void lapic_timer_write_initial(struct vp *vp, uint32_t value);
void lapic_timer_write_divide(struct vp *vp, uint32_t value);
/* IA32_TSC_DEADLINE, in the guest's TSC; lost in the other modes. */
void lapic_timer_write_deadline(struct vp *vp, uint64_t value);

#endif
