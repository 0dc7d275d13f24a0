/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A VP that is suspended by an intercept, as the handlers see it: its registers (through the shared register page when there
 * is one, else by hypercall), its virtual memory, and faults to give it. Used by the VP's own thread only.
 */
#ifndef WORKER_VP_CONTEXT_H
#define WORKER_VP_CONTEXT_H

#include "hv/hv_intercept.h"
#include "worker/backend.h"
#include "worker/devices.h"
#include "worker/guest_mem.h"
#include "worker/insn.h"

struct vp_context {
	uint32_t index;
	struct backend *backend;
	const struct guest_mem *mem;
	struct devices *devices;
	struct hv_register_page *page;		/* NULL: none */
};

/* Code size at the intercept: 64-bit when EFER.LMA and CS.L, else by CS.D. */
enum insn_mode vp_context_mode(const struct hv_intercept_header *header);

/* All of what instruction emulation needs. */
int vp_context_load(const struct vp_context *vp, const struct hv_intercept_header *header, struct insn_cpu *out,
		    struct failure *why) MUST_CHECK;
/* General registers, RIP and RFLAGS back. */
int vp_context_store(const struct vp_context *vp, const struct insn_cpu *cpu, struct failure *why) MUST_CHECK;
/* RIP and, when rax or rdx is not NULL, these: the end of most intercepts. */
int vp_context_finish(const struct vp_context *vp, uint64_t rip, const uint64_t *rax, const uint64_t *rdx,
		      struct failure *why) MUST_CHECK;

/* Pending exception instead of the instruction; the page fault address goes to CR2. */
int vp_context_inject(const struct vp_context *vp, uint8_t vector, bool has_error, uint32_t error, struct failure *why) MUST_CHECK;
int vp_context_page_fault(const struct vp_context *vp, uint64_t gva, uint32_t error, struct failure *why) MUST_CHECK;

#define VP_VECTOR_GP 13u
#define VP_VECTOR_PF 14u

/* Why a virtual address could not be used. */
struct vp_fault {
	uint64_t gva;
	uint32_t result;			/* enum hv_translate_result, never SUCCESS */
};

/*
 * Copies bytes of guest virtual memory; flags HV_TRANSLATE_VALIDATE_*. 0; -EFAULT with *out_fault set, and the pages before
 * the fault done; another -errno with `why`.
 */
int vp_context_access(const struct vp_context *vp, uint64_t gva, void *bytes, size_t count, uint64_t flags,
		      struct vp_fault *out_fault, struct failure *why) MUST_CHECK;

/*
 * The instruction at the intercept: from the message's bytes, or from guest memory when they are missing or too few.
 * -EOPNOTSUPP and -ENODATA as insn_decode.
 */
int vp_context_decode(const struct vp_context *vp, const struct hv_intercept_header *header, const uint8_t *bytes,
		      unsigned count, struct insn *out, struct failure *why) MUST_CHECK;

#endif
