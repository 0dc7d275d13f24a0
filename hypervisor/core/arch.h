/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vendor seam: mechanism, no policy. Implementers: svm/ on the metal, fake/ on the host (and one for VT-x later).
 * The core keeps a VP's general registers in struct vp (gpr, rip, rflags); everything else of the CPU state is the
 * implementer's, reached by TLFS register name.
 */
#ifndef CORE_ARCH_H
#define CORE_ARCH_H

#include "core/types.h"
#include "core/cpuid.h"
#include "hv/hv_hypercall.h"
#include "hv/hv_register.h"

enum exit_kind {
	EXIT_INTERRUPT,			/* physical interrupt, NMI, or nothing at all: look around and go on */
	EXIT_INTERRUPT_WINDOW,		/* the window that was asked for is open */
	EXIT_HYPERCALL,
	EXIT_CPUID,
	EXIT_MSR,
	EXIT_IO,
	EXIT_GPA_FAULT,
	EXIT_HALT,
	EXIT_CACHE,			/* INVD, WBINVD */
	EXIT_CR8_WRITE,
	EXIT_EXCEPTION,
	EXIT_TRIPLE_FAULT,
	EXIT_FORBIDDEN,			/* an instruction the guest may not have: #UD */
	EXIT_XSETBV,
	EXIT_INVALID_STATE,		/* the CPU refused the VP's state */
	EXIT_UNKNOWN,
	EXIT_KIND_COUNT
};

struct vp_exit {
	enum exit_kind kind;
	uint8_t insn_len;		/* bytes; 0 unknown */
	uint64_t raw_code;		/* the vendor's number, for messages and logs */
	union {
		struct { uint32_t index; bool write; } msr;
		struct { gpa_t gpa; uint8_t access; bool during_walk; } gpa_fault;
		struct { uint8_t gpr; } cr8;
		struct { uint16_t port; uint8_t size; bool in, string, rep; } io;
		struct { uint8_t vector; bool has_error; uint32_t error; uint64_t parameter; } exception;
	};
};

#define VECTOR_DB 1u
#define VECTOR_UD 6u
#define VECTOR_DF 8u
#define VECTOR_GP 13u
#define VECTOR_PF 14u

struct arch_ops {
	const char *name;

	/* State pages come from vp->partition->pool. The VP is then in its architectural reset state. INSUFFICIENT_MEMORY. */
	enum hv_status (*vp_create)(struct vp *vp);
	void (*vp_destroy)(struct vp *vp);
	/* Architectural state after INIT (RESET also clears what INIT keeps). */
	void (*vp_reset)(struct vp *vp, bool init);
	/* Start-up IPI: real mode at vector << 12. */
	void (*vp_startup)(struct vp *vp, uint8_t vector);

	/* Make this VP's state live on the calling CPU / bring it back to memory. Around vp_enter, on a change of VP only. */
	void (*vp_load)(struct vp *vp);
	void (*vp_unload)(struct vp *vp);

	/* Enters the guest once. Delivers vp->event (exception or NMI) and, when vp->irq_vector >= 0, that interrupt as soon
	 * as the guest can take it. On return vp->irq_vector is -1 if and only if it was taken; what was interrupted in
	 * mid-delivery is in vp->event again. */
	void (*vp_enter)(struct vp *vp, struct vp_exit *out_exit);

	/* All CPU registers that struct vp does not hold itself, by TLFS name. UNKNOWN_REGISTER, INVALID_REGISTER_VALUE. */
	enum hv_status (*reg_get)(const struct vp *vp, uint32_t name, struct hv_u128 *out);
	enum hv_status (*reg_set)(struct vp *vp, uint32_t name, const struct hv_u128 *value);

	/* Physical interrupts and NMIs are held off all the time but here: lets in what is pending; waits for the next one. */
	void (*let_interrupts_in)(void);
	void (*wait_for_interrupt)(void);

	/* True when the guest could take an interrupt right now (IF set, no shadow). */
	bool (*can_interrupt)(const struct vp *vp);
	/* Clears the interrupt shadow: an instruction was emulated. */
	void (*clear_shadow)(struct vp *vp);

	/* Extended (x87/SSE/AVX) state image in XSAVE format, in memory; the VP is not loaded. */
	void *(*fpu_image)(struct vp *vp, size_t *out_bytes);

	/* The machine's own CPUID and MSRs, for what passes through. MSR access returns false when the CPU would fault. */
	void (*cpuid)(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);
	bool (*msr_read)(uint32_t msr, uint64_t *out_value);
	bool (*msr_write)(uint32_t msr, uint64_t value);
	/* Architectural MSRs of a VP that live in its CPU state (FS base, STAR, PAT, ...). false: not one of these. */
	bool (*vp_msr_read)(struct vp *vp, uint32_t msr, uint64_t *out_value);
	/* 1 done, 0 not one of these, -1 #GP. */
	int (*vp_msr_write)(struct vp *vp, uint32_t msr, uint64_t value);

	/* Nested paging entries. level 0..2 as in gpa_space.h; decode returns access 0 when not present. */
	uint64_t (*leaf_encode)(spa_t spa, uint8_t access, uint8_t level);
	uint64_t (*table_encode)(spa_t table);
	uint8_t (*entry_access)(uint64_t entry);	/* 0: not present */
	bool (*entry_is_leaf)(uint64_t entry, uint8_t level);
	spa_t (*entry_spa)(uint64_t entry);		/* of a leaf or of the next table */
};

extern const struct arch_ops svm_ops, fake_ops;
extern const struct arch_ops *arch;		/* set once at boot, then read-only */

#endif
