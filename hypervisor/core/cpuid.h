/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a VP sees of CPUID. Children: the machine's leaves through masks (one table row per leaf and register), their own APIC
 * id and topology, and the Hv#1 leaves derived from the partition's privileges. Root: the machine's leaves with SVM, and what
 * else the hypervisor keeps for itself, hidden; Hv#1 leaves; and the private range.
 */
#ifndef CORE_CPUID_H
#define CORE_CPUID_H

#include "core/types.h"

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

void cpuid_for_vp(struct vp *vp, uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);

/* HV_PROPERTY_SYNTHETIC_PROC_FEATURES word -> privilege mask (leaf 3 EBX:EAX); bits we cannot honour are refused. */
enum hv_status cpuid_privileges_from_features(uint64_t features, uint64_t *out_privileges) MUST_CHECK;
/* What a child gets when the VMM does not say. */
uint64_t cpuid_default_features(void);
/* The root's privilege mask, as CPUID shows it (mode B: no root bits). */
uint64_t cpuid_root_privileges(void);

#endif
