/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Synthetic MSRs. TLFS 6.0b appendix C. */
#ifndef HV_MSR_H
#define HV_MSR_H

#define HV_MSR_GUEST_OS_ID       0x40000000u
#define HV_MSR_HYPERCALL         0x40000001u
#define HV_MSR_VP_INDEX          0x40000002u
#define HV_MSR_RESET             0x40000003u
#define HV_MSR_VP_RUNTIME        0x40000010u
#define HV_MSR_TIME_REF_COUNT    0x40000020u
#define HV_MSR_REFERENCE_TSC     0x40000021u
#define HV_MSR_TSC_FREQUENCY     0x40000022u
#define HV_MSR_APIC_FREQUENCY    0x40000023u
#define HV_MSR_EOI               0x40000070u
#define HV_MSR_ICR               0x40000071u
#define HV_MSR_TPR               0x40000072u
#define HV_MSR_VP_ASSIST_PAGE    0x40000073u
#define HV_MSR_SCONTROL          0x40000080u
#define HV_MSR_SVERSION          0x40000081u
#define HV_MSR_SIEFP             0x40000082u
#define HV_MSR_SIMP              0x40000083u
#define HV_MSR_EOM               0x40000084u
#define HV_MSR_SINT0             0x40000090u
#define HV_MSR_SINT15            0x4000009fu
#define HV_MSR_STIMER0_CONFIG    0x400000b0u
#define HV_MSR_STIMER3_COUNT     0x400000b7u
#define HV_MSR_GUEST_IDLE        0x400000f0u
#define HV_MSR_CRASH_P0          0x40000100u
#define HV_MSR_CRASH_P4          0x40000104u
#define HV_MSR_CRASH_CTL         0x40000105u
#define HV_MSR_TSC_INVARIANT_CONTROL 0x40000118u

#define HV_MSR_PAGE_ENABLE       1ull		/* bit 0 of every MSR that places a page */
#define HV_MSR_HYPERCALL_LOCKED  2ull
#define HV_MSR_PAGE_GPFN_MASK    (~0xfffull)

#define HV_SINT_VECTOR_MASK      0xffull
#define HV_SINT_MASKED           (1ull << 16)
#define HV_SINT_AUTO_EOI         (1ull << 17)
#define HV_SINT_POLLING          (1ull << 18)

#define HV_STIMER_ENABLE         (1ull << 0)
#define HV_STIMER_PERIODIC       (1ull << 1)
#define HV_STIMER_LAZY           (1ull << 2)
#define HV_STIMER_AUTO_ENABLE    (1ull << 3)
#define HV_STIMER_VECTOR_SHIFT   4
#define HV_STIMER_DIRECT         (1ull << 12)
#define HV_STIMER_SINT_SHIFT     16
#define HV_STIMER_RSVDZ          0xfffffffffff0e000ull	/* 15:13 and 63:20 */

#define HV_CRASH_CTL_NOTIFY      (1ull << 63)
#define HV_CRASH_CTL_MESSAGE     (1ull << 62)

#endif
