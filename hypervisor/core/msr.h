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

struct msr_row {
	uint32_t first, last;
	enum { MSR_EVERYBODY, MSR_CHILDREN } scope;	/* the others have the machine's own */
	bool fixed;			/* reads give fixed_value, writes are ignored */
	uint64_t fixed_value;
	uint64_t privilege;		/* of the partition, as CPUID shows it; 0 none */
	/* NULL: #GP. false: #GP. */
	bool (*read)(struct vp *vp, uint32_t msr, uint64_t *out_value);
	bool (*write)(struct vp *vp, uint32_t msr, uint64_t value);
};
extern const struct msr_row msr_rows[];		/* sorted, disjoint */
extern const size_t msr_row_count;

enum msr_result msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value) MUST_CHECK;
enum msr_result msr_write(struct vp *vp, uint32_t msr, uint64_t value) MUST_CHECK;

/* An MSR that places a page: enabled, it must lie where the CPU can address it. */
static inline bool msr_page_valid(uint64_t value)
{
	return !(value & 1) || value >> machine.phys_bits == 0;
}

#endif
