/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSRs as a table: one row per MSR or range with its scope, rights and handlers. The result says what the exit does next.
 *   MSR_DONE     emulated
 *   MSR_GP       #GP(0)
 *   MSR_UNKNOWN  no row: property UNIMPLEMENTED_MSR_ACTION, an installed intercept, or #GP decide (exit.c);
 *                for the root: the machine's own MSR
 */
#ifndef CORE_MSR_H
#define CORE_MSR_H

#include "core/platform.h"

enum msr_result { MSR_DONE, MSR_GP, MSR_UNKNOWN };

enum msr_result msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value) MUST_CHECK;
enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value) MUST_CHECK;

/* An MSR that places a page: enabled, it must lie where the CPU can address it. */
static inline bool msr_page_valid(uint64_t value)
{
	return !(value & 1) || value >> machine.phys_bits == 0;
}

#endif
