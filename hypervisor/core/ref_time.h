/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition's one clock: reference time in 100 ns, computed from the TSC exactly as a guest computes it from the reference
 * TSC page, so that page and MSR never disagree. TLFS web, "Timers", "Partition Reference TSC".
 *   guest TSC = TSC + tsc_offset;  time = ((guest TSC * scale) >> 64) + offset
 */
#ifndef CORE_REF_TIME_H
#define CORE_REF_TIME_H

#include "core/types.h"

struct ref_time {
	uint64_t scale;			/* 64.64 fraction of 100 ns units per TSC tick */
	int64_t offset;
	uint64_t tsc_offset;		/* added to the TSC by the CPU */
	bool frozen;
	uint64_t frozen_time;
	uint64_t page_msr;		/* HV_MSR_REFERENCE_TSC */
	uint32_t sequence;
};

/* Starts at reference time 0 and guest TSC 0 (root: at the machine's TSC, offset 0). */
void ref_time_init(struct partition *p, bool root);
uint64_t ref_time_now(struct partition *p);
/* The machine's TSC at which reference time reaches `when` (not before it); ~0 when frozen. */
uint64_t ref_time_to_tsc(struct partition *p, uint64_t when);
/* Stops the clock, or lets it go on from where it stands; the page is invalid meanwhile. No VP of the partition runs. */
void ref_time_freeze(struct partition *p, bool freeze);
/* INVALID_PARTITION_STATE unless frozen. */
enum hv_status ref_time_set(struct partition *p, uint64_t now) MUST_CHECK;
/* Writes the reference TSC page when enabled. false: #GP, the page lies beyond what the CPU can address. */
bool ref_time_msr_write(struct partition *p, uint64_t value) MUST_CHECK;

/* (a * b) >> 64 and (a << 64) / b for a < b, without libgcc. */
uint64_t mul_high_u64(uint64_t a, uint64_t b);
uint64_t div_shifted_u64(uint64_t a, uint64_t b);
/* a * b / c with a 128-bit product; c != 0 and the result must fit (saturates to ~0 otherwise). */
uint64_t mul_div_u64(uint64_t a, uint64_t b, uint64_t c);

#endif
