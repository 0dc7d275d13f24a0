/* SPDX-License-Identifier: Apache-2.0 */
/* Turns an exit into an intercept message for the parent: fills the VP's message page (and register page when mapped) and sets
 * INTERCEPT_SUSPEND before the message becomes visible. Layouts: hv_intercept.h. */
#ifndef CORE_INTERCEPT_H
#define CORE_INTERCEPT_H

#include "core/vp.h"

void intercept_io(struct vp *vp, const struct vp_exit *exit);
void intercept_memory(struct vp *vp, const struct vp_exit *exit, bool rights);
void intercept_msr(struct vp *vp, const struct vp_exit *exit);
void intercept_cpuid(struct vp *vp, const struct vp_exit *exit, const struct cpuid_regs *defaults);
void intercept_exception(struct vp *vp, const struct vp_exit *exit);
void intercept_halt(struct vp *vp);
void intercept_unrecoverable(struct vp *vp);
void intercept_unsupported(struct vp *vp, uint32_t code, uint64_t parameter);
/* APIC EOI for a level-triggered interrupt of a child. */
void intercept_apic_eoi(struct vp *vp, uint8_t vector);

/* Register page <-> VP, when mapped: fill on suspension, consume dirty groups on resume. */
void register_page_fill(struct vp *vp);
void register_page_consume(struct vp *vp);

#endif
