/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypercall ABI. hypercall.c is the only file that knows registers, fast and memory passing, alignment, page crossing,
 * reserved bits, reps and the result word. Rows carry the policy; handlers are plain functions on private memory.
 */
#ifndef CORE_HYPERCALL_H
#define CORE_HYPERCALL_H

#include "core/types.h"

#define HC_FAST_OK    0x1u	/* fits RDX:R8 and may be passed there */
#define HC_ROOT_ONLY  0x2u	/* refused with ACCESS_DENIED to anybody but a partition that may create partitions */
#define HC_VARIABLE   0x4u	/* may carry a variable header */

struct hypercall_context {
	struct vp *vp;
	const uint8_t *input;		/* private copy: header, then the elements of this call (all of the list) */
	uint8_t *output;		/* private, zeroed; copied out as far as produced */
	uint32_t variable_bytes;
	uint32_t rep;			/* element to do now; 0 for simple calls */
	uint32_t rep_count;
	uint32_t output_bytes;		/* simple calls with output of variable size may raise it */
};

struct hypercall_row {
	uint16_t code;
	const char *name;
	uint64_t privilege;		/* all of these bits; 0 none */
	uint16_t in_bytes;		/* fixed header */
	uint16_t in_rep_bytes;		/* per element, 0 for none */
	uint16_t out_bytes;		/* simple calls */
	uint16_t out_rep_bytes;
	bool rep;
	uint8_t flags;
	enum hv_status (*handle)(struct hypercall_context *c);	/* simple: once; rep: per element */
};

extern const struct hypercall_row hypercall_rows[];
extern const size_t hypercall_row_count;

/* Exit handler: reads the VP's registers, runs the call, writes RAX. Returns:
 *   HYPERCALL_NEXT    done, step over the instruction
 *   HYPERCALL_RETRY   a rep call used up its time: same RIP, rep start advanced in RCX
 *   HYPERCALL_UD      not allowed from here: #UD  */
enum hypercall_outcome { HYPERCALL_NEXT, HYPERCALL_RETRY, HYPERCALL_UD };
enum hypercall_outcome hypercall_enter(struct vp *vp);

#endif
