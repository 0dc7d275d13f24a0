/* SPDX-License-Identifier: Apache-2.0 */
/* AMD SVM with nested paging behind core/arch.h. Nothing optional is required: no next-RIP save, no decode assists. */
#ifndef SVM_SVM_H
#define SVM_SVM_H

#include "core/vp.h"
#include "svm/vmcb.h"

/* A VP's CPU state that struct vp does not hold; one page of the pool, beside the VMCB's page and the XSAVE image's. */
struct svm_vp {
	struct vmcb *vmcb;
	spa_t vmcb_spa;
	void *fpu;			/* XSAVE or FXSAVE image */
	spa_t fpu_spa, self_spa;
	uint64_t xcr0;
	uint64_t dr[4];
	uint64_t tsc_aux;
	uint64_t pat;
	bool loaded;			/* FS, GS, TR, LDTR, syscall MSRs, FPU, DR0-3 are live on a CPU */
	bool iret_pending;		/* NMI handler is at its IRET: unmask once that is behind */
	uint64_t iret_rip;
};

/* Per-CPU part: what was last loaded, for TLB decisions. */
struct svm_cpu {
	const struct vp *last_child;
	uint64_t last_generation;
};

static inline struct svm_vp *svm_of(const struct vp *vp)
{
	return vp->arch;
}

/* Boot, on each CPU: EFER.SVME, the host save area. */
void svm_cpu_enable(spa_t host_save_area);
/* Boot, once: permission maps. */
void svm_init(void);
/* The state of a running CPU, taken over in place: the root VP starts as what this CPU is. */
struct launch_state;
void svm_capture(struct vp *vp, const struct launch_state *state);

/* svm_exit.c: VMCB -> struct vp_exit. */
void svm_decode_exit(struct vp *vp, struct vp_exit *out);
/* svm_msr.c */
bool svm_vp_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value);
int svm_vp_msr_write(struct vp *vp, uint32_t msr, uint64_t value);
void svm_msr_init(uint8_t *root_map, uint8_t *child_map);
/* svm_register.c */
enum hv_status svm_register_get(const struct vp *vp, uint32_t name, struct hv_u128 *out);
enum hv_status svm_register_set(struct vp *vp, uint32_t name, const struct hv_u128 *value);

#endif
