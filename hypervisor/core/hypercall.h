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
#define HC_TAIL       0x8u	/* what follows the header in its page is copied in too: inline data of its own length */

struct hypercall_context {
	struct vp *vp;
	const uint8_t *input;		/* private copy: header, then the elements of this call (all of the list) */
	uint8_t *output;		/* private, zeroed; copied out as far as produced */
	uint32_t input_bytes;		/* how much of it there is */
	uint32_t variable_bytes;
	uint32_t rep;			/* element to do now; 0 for simple calls */
	uint32_t rep_first;		/* first element of this round */
	uint32_t rep_count;
	uint32_t output_bytes;		/* simple calls with output of variable size may raise it, up to a page */
	struct partition *target;	/* reference kept until the call (or round) is over; see hypercall_target */
	struct vp *held;		/* released when the call (or round) is over */
};

/* At most so many elements in one round; the guest then comes back by itself. */
#define HYPERCALL_REPS_MAX 128u

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
	/* Rep calls that flush once for many: elements [first, end) were done. Output space of calls that have no output is
	 * theirs as scratch memory. NULL: nothing to finish. */
	void (*finish)(struct hypercall_context *c, uint32_t first, uint32_t end);
};

/*
 * Finds the partition that a call names, checks relation and state, and keeps it in c->target. An element of a rep call
 * gets what the first one got. ACCESS_DENIED for any id that is not a child (or self, when allowed) of the caller, but
 * INVALID_PARTITION_ID for one that does not exist; INVALID_PARTITION_STATE.
 */
#define HC_TARGET_CHILD 0x1u
#define HC_TARGET_SELF  0x2u
#define HC_IN_UNINITIALIZED 0x10u	/* states in which the call is legal */
#define HC_IN_ACTIVE        0x20u
#define HC_IN_FINALIZING    0x40u
#define HC_IN_FINALIZED     0x80u
#define HC_IN_ANY           0xf0u
enum hv_status hypercall_target(struct hypercall_context *c, uint64_t partition_id, uint32_t rules,
				struct partition **out) MUST_CHECK;

extern const struct hypercall_row hypercall_rows[];
extern const size_t hypercall_row_count;

/* No CPU has its pages yet. Called once by partition_create_root. */
void hypercall_init(void);

/* Exit handler: reads the VP's registers, runs the call, writes RAX. Returns:
 *   HYPERCALL_NEXT    done, step over the instruction
 *   HYPERCALL_RETRY   a rep call used up its time: same RIP, rep start advanced in RCX
 *   HYPERCALL_UD      not allowed from here: #UD  */
enum hypercall_outcome { HYPERCALL_NEXT, HYPERCALL_RETRY, HYPERCALL_UD };
enum hypercall_outcome hypercall_enter(struct vp *vp);

#endif
