/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VP sees of CPUID. Children: the machine's leaves through masks (one table row per leaf), their own APIC
 * id and topology, and the Hv#1 leaves derived from the partition's privileges. Root: the machine's leaves with SVM, and what
 * else the hypervisor keeps for itself, hidden; Hv#1 leaves; and the private range.
 */
#ifndef CORE_CPUID_H
#define CORE_CPUID_H

#include "core/types.h"

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

/* HV_PROPERTY_SYNTHETIC_PROC_FEATURES. Public Linux headers, hv_partition_synthetic_processor_features. */
#define CPUID_FEATURE_HYPERVISOR_PRESENT (1ull << 0)
#define CPUID_FEATURE_HV1                (1ull << 1)
#define CPUID_FEATURE_VP_RUNTIME         (1ull << 2)
#define CPUID_FEATURE_REFERENCE_COUNTER  (1ull << 3)
#define CPUID_FEATURE_SYNIC              (1ull << 4)
#define CPUID_FEATURE_SYNTHETIC_TIMERS   (1ull << 5)
#define CPUID_FEATURE_INTR_CTRL          (1ull << 6)
#define CPUID_FEATURE_HYPERCALL          (1ull << 7)
#define CPUID_FEATURE_VP_INDEX           (1ull << 8)
#define CPUID_FEATURE_REFERENCE_TSC      (1ull << 9)
#define CPUID_FEATURE_FREQUENCY          (1ull << 11)
#define CPUID_FEATURE_DIRECT_TIMERS      (1ull << 22)
#define CPUID_FEATURE_SIGNAL_EVENTS      (1ull << 29)

/* A leaf that children see: what is kept of the machine's registers, and then what the hypervisor adds. Leaves without a row
 * read 0. Sorted by leaf. */
struct cpuid_child_row {
	uint32_t leaf;
	struct cpuid_regs keep;
	void (*adjust)(const struct vp *vp, uint32_t subleaf, struct cpuid_regs *regs);
};
extern const struct cpuid_child_row cpuid_child_rows[];
extern const size_t cpuid_child_row_count;

void cpuid_for_vp(struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);

/* HV_PROPERTY_SYNTHETIC_PROC_FEATURES word -> privilege mask (leaf 3 EBX:EAX); PROPERTY_VALUE_OUT_OF_RANGE for bits that we
 * cannot honour. Without Hv#1 (bits 0 and 1) nothing is granted. */
enum hv_status cpuid_privileges_from_features(uint64_t features, uint64_t *out_privileges) MUST_CHECK;
/* What a child gets when the VMM does not say. */
uint64_t cpuid_default_features(void);
/* The root's privilege mask, as CPUID shows it (mode B: no root bits) and as its MSR accesses are judged. */
uint64_t cpuid_root_privileges(void);
/* As CPUID shows them: the partition's privileges, without the root bits. */
uint64_t cpuid_visible_privileges(const struct partition *p);

#endif
