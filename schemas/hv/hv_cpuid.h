/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Enlightenment leaves. TLFS web, "Feature and Interface Discovery". */
#ifndef HV_CPUID_H
#define HV_CPUID_H

#define HV_CPUID_VENDOR          0x40000000u
#define HV_CPUID_INTERFACE       0x40000001u
#define HV_CPUID_VERSION         0x40000002u
#define HV_CPUID_FEATURES        0x40000003u
#define HV_CPUID_ENLIGHTENMENT   0x40000004u
#define HV_CPUID_LIMITS          0x40000005u
#define HV_CPUID_HARDWARE        0x40000006u
#define HV_CPUID_MAX             HV_CPUID_HARDWARE

#define HV_CPUID_VENDOR_EBX      0x7263694du	/* "Micr" */
#define HV_CPUID_VENDOR_ECX      0x666f736fu	/* "osof" */
#define HV_CPUID_VENDOR_EDX      0x76482074u	/* "t Hv" */
#define HV_CPUID_INTERFACE_HV1   0x31237648u	/* "Hv#1" */

/* Leaf 3 EBX:EAX, the partition privilege mask. */
#define HV_PRIV_VP_RUNTIME             (1ull << 0)
#define HV_PRIV_REFERENCE_COUNTER      (1ull << 1)
#define HV_PRIV_SYNIC                  (1ull << 2)
#define HV_PRIV_SYNTHETIC_TIMERS       (1ull << 3)
#define HV_PRIV_INTR_CTRL              (1ull << 4)
#define HV_PRIV_HYPERCALL_MSRS         (1ull << 5)
#define HV_PRIV_VP_INDEX               (1ull << 6)
#define HV_PRIV_RESET                  (1ull << 7)
#define HV_PRIV_STATS_REG              (1ull << 8)
#define HV_PRIV_REFERENCE_TSC          (1ull << 9)
#define HV_PRIV_GUEST_IDLE             (1ull << 10)
#define HV_PRIV_FREQUENCY_REGS         (1ull << 11)
#define HV_PRIV_TSC_INVARIANT          (1ull << 15)
#define HV_PRIV_CREATE_PARTITIONS      (1ull << 32)
#define HV_PRIV_PARTITION_ID           (1ull << 33)
#define HV_PRIV_MEMORY_POOL            (1ull << 34)
#define HV_PRIV_POST_MESSAGES          (1ull << 36)
#define HV_PRIV_SIGNAL_EVENTS          (1ull << 37)
#define HV_PRIV_CREATE_PORT            (1ull << 38)
#define HV_PRIV_CONNECT_PORT           (1ull << 39)
#define HV_PRIV_ACCESS_STATS           (1ull << 40)
#define HV_PRIV_CPU_MANAGEMENT         (1ull << 44)

/* Leaf 3 EDX, features without a privilege. */
#define HV_FEATURE_FREQUENCY_MSRS      (1u << 8)
#define HV_FEATURE_CRASH_MSRS          (1u << 10)
#define HV_FEATURE_HYPERCALL_LOCK      (1u << 18)
#define HV_FEATURE_DIRECT_TIMERS       (1u << 19)

/* Leaf 4 EAX, recommendations. */
#define HV_HINT_RELAXED_TIMING         (1u << 5)
#define HV_HINT_DEPRECATE_AUTO_EOI     (1u << 9)

/* Private range, answered to the root partition only: where the driver finds what the TLFS has no leaf for. */
#define UC_CPUID_SIGNATURE             0x40000100u	/* EAX max leaf, EBX:ECX:EDX "Undercroft  " */
#define UC_CPUID_LOG                   0x40000101u	/* EAX:EBX GPA of the log ring (low, high), ECX its pages, EDX 0 */
#define UC_CPUID_SIGNATURE_EBX         0x65646e55u	/* "Unde" */
#define UC_CPUID_SIGNATURE_ECX         0x6f726372u	/* "rcro" */
#define UC_CPUID_SIGNATURE_EDX         0x20207466u	/* "ft  " */

#endif
