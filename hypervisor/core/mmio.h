/* SPDX-License-Identifier: Apache-2.0 */
/* The one device with registers in memory that the hypervisor itself keeps: the local APIC page. */
#ifndef CORE_MMIO_H
#define CORE_MMIO_H

#include "core/exit.h"

/* Is this address in the VP's LAPIC page, with the LAPIC in xAPIC mode? */
bool mmio_is_lapic(const struct vp *vp, gpa_t gpa);

/* Decodes and carries out the access that faulted. An instruction that is not understood goes to the parent (children) or
 * stops the VP (root). */
enum verdict mmio_lapic_access(struct vp *vp, const struct vp_exit *exit);

/* Bits of the code that CS runs: 16, 32 or 64. */
unsigned mmio_code_mode(const struct vp *vp);

#endif
