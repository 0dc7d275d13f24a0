/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual machine control block. APM vol. 2 appendix B; each area that the code touches is pinned. */
#ifndef SVM_VMCB_H
#define SVM_VMCB_H

#include "core/types.h"

struct vmcb_segment {
	uint16_t selector;
	uint16_t attributes;	/* 7:0 type, S, DPL, P; 11:8 AVL, L, D/B, G */
	uint32_t limit;
	uint64_t base;
};
WIRE_SIZE(struct vmcb_segment, 16);

struct vmcb {
	/* Control area */
	uint16_t intercept_cr_read, intercept_cr_write;
	uint16_t intercept_dr_read, intercept_dr_write;
	uint32_t intercept_exceptions;
	uint32_t intercept1;		/* VMCB_INTERCEPT1_* */
	uint32_t intercept2;		/* VMCB_INTERCEPT2_* */
	uint8_t rsvd1[0x03c - 0x014];
	uint16_t pause_threshold, pause_count;
	uint64_t iopm_spa, msrpm_spa;
	uint64_t tsc_offset;
	uint32_t asid;
	uint8_t tlb_control;
	uint8_t rsvd2[3];
	uint64_t int_control;		/* VMCB_INT_* */
	uint64_t int_state;		/* bit 0: shadow */
	uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
	uint64_t np_enable;
	uint8_t rsvd3[0x0a8 - 0x098];
	uint64_t event_inject;
	uint64_t ncr3;
	uint64_t lbr_control;
	uint32_t clean_bits, rsvd4;
	uint64_t next_rip;
	uint8_t rsvd5[0x400 - 0x0d0];

	/* State save area */
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t rsvd6[0x4cb - 0x4a0];
	uint8_t cpl;
	uint32_t rsvd7;
	uint64_t efer;
	uint8_t rsvd8[0x548 - 0x4d8];
	uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t rsvd9[0x5d8 - 0x580];
	uint64_t rsp;
	uint8_t rsvd10[0x5f8 - 0x5e0];
	uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
	uint8_t rsvd11[0x668 - 0x648];
	uint64_t g_pat;
	uint8_t rsvd12[0x1000 - 0x670];
};
WIRE_SIZE(struct vmcb, 4096);
WIRE_OFFSET(struct vmcb, intercept1, 0x00c);
WIRE_OFFSET(struct vmcb, pause_threshold, 0x03c);
WIRE_OFFSET(struct vmcb, iopm_spa, 0x040);
WIRE_OFFSET(struct vmcb, asid, 0x058);
WIRE_OFFSET(struct vmcb, int_control, 0x060);
WIRE_OFFSET(struct vmcb, exit_code, 0x070);
WIRE_OFFSET(struct vmcb, exit_int_info, 0x088);
WIRE_OFFSET(struct vmcb, np_enable, 0x090);
WIRE_OFFSET(struct vmcb, event_inject, 0x0a8);
WIRE_OFFSET(struct vmcb, next_rip, 0x0c8);
WIRE_OFFSET(struct vmcb, es, 0x400);
WIRE_OFFSET(struct vmcb, tr, 0x490);
WIRE_OFFSET(struct vmcb, cpl, 0x4cb);
WIRE_OFFSET(struct vmcb, efer, 0x4d0);
WIRE_OFFSET(struct vmcb, cr4, 0x548);
WIRE_OFFSET(struct vmcb, rip, 0x578);
WIRE_OFFSET(struct vmcb, rsp, 0x5d8);
WIRE_OFFSET(struct vmcb, rax, 0x5f8);
WIRE_OFFSET(struct vmcb, cr2, 0x640);
WIRE_OFFSET(struct vmcb, g_pat, 0x668);

#define VMCB_INTERCEPT_CR8       (1u << 8)	/* of intercept_cr_write */
#define VMCB_INTERCEPT1_INTR     (1u << 0)
#define VMCB_INTERCEPT1_NMI      (1u << 1)
#define VMCB_INTERCEPT1_VINTR    (1u << 4)
#define VMCB_INTERCEPT1_RDPMC    (1u << 15)
#define VMCB_INTERCEPT1_CPUID    (1u << 18)
#define VMCB_INTERCEPT1_IRET     (1u << 20)
#define VMCB_INTERCEPT1_INVD     (1u << 22)
#define VMCB_INTERCEPT1_HLT      (1u << 24)
#define VMCB_INTERCEPT1_INVLPGA  (1u << 26)
#define VMCB_INTERCEPT1_IOIO     (1u << 27)
#define VMCB_INTERCEPT1_MSR      (1u << 28)
#define VMCB_INTERCEPT1_SHUTDOWN (1u << 31)
#define VMCB_INTERCEPT2_VMRUN    (1u << 0)
#define VMCB_INTERCEPT2_VMMCALL  (1u << 1)
#define VMCB_INTERCEPT2_VMLOAD   (1u << 2)
#define VMCB_INTERCEPT2_VMSAVE   (1u << 3)
#define VMCB_INTERCEPT2_STGI     (1u << 4)
#define VMCB_INTERCEPT2_CLGI     (1u << 5)
#define VMCB_INTERCEPT2_SKINIT   (1u << 6)
#define VMCB_INTERCEPT2_WBINVD   (1u << 9)
#define VMCB_INTERCEPT2_MONITOR  (1u << 10)
#define VMCB_INTERCEPT2_MWAIT    (1u << 11)
#define VMCB_INTERCEPT2_MWAIT_ARMED (1u << 12)
#define VMCB_INTERCEPT2_XSETBV   (1u << 13)

#define VMCB_INT_V_TPR_MASK      0xffull
#define VMCB_INT_V_IRQ           (1ull << 8)
#define VMCB_INT_V_IGN_TPR       (1ull << 20)
#define VMCB_INT_V_INTR_MASKING  (1ull << 24)
#define VMCB_INT_V_VECTOR_SHIFT  32

#define VMCB_TLB_KEEP      0
#define VMCB_TLB_FLUSH_ALL 1

#define VMCB_EVENT_VALID      (1ull << 31)
#define VMCB_EVENT_ERROR      (1ull << 11)
#define VMCB_EVENT_TYPE(t)    ((uint64_t)(t) << 8)
#define VMCB_EVENT_TYPE_OF(e) (((e) >> 8) & 7)
enum { VMCB_TYPE_INTR = 0, VMCB_TYPE_NMI = 2, VMCB_TYPE_EXCEPTION = 3, VMCB_TYPE_SOFTWARE = 4 };

enum vmexit_code {
	VMEXIT_CR8_WRITE   = 0x18,
	VMEXIT_EXCEPTION_0 = 0x40,
	VMEXIT_INTR        = 0x60,
	VMEXIT_NMI         = 0x61,
	VMEXIT_SMI         = 0x62,
	VMEXIT_INIT        = 0x63,
	VMEXIT_VINTR       = 0x64,
	VMEXIT_RDPMC       = 0x6f,
	VMEXIT_CPUID       = 0x72,
	VMEXIT_IRET        = 0x74,
	VMEXIT_INVD        = 0x76,
	VMEXIT_HLT         = 0x78,
	VMEXIT_INVLPGA     = 0x7a,
	VMEXIT_IOIO        = 0x7b,
	VMEXIT_MSR         = 0x7c,
	VMEXIT_SHUTDOWN    = 0x7f,
	VMEXIT_VMRUN       = 0x80,
	VMEXIT_VMMCALL     = 0x81,
	VMEXIT_VMLOAD      = 0x82,
	VMEXIT_SKINIT      = 0x86,
	VMEXIT_WBINVD      = 0x89,
	VMEXIT_MONITOR     = 0x8a,
	VMEXIT_MWAIT       = 0x8b,
	VMEXIT_MWAIT_ARMED = 0x8c,
	VMEXIT_XSETBV      = 0x8d,
	VMEXIT_NPF         = 0x400,
	VMEXIT_INVALID     = -1,
};

#endif
