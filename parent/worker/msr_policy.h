/* SPDX-License-Identifier: Apache-2.0 */
/* What a child finds in MSRs that the hypervisor does not virtualize: a table; everything else is #GP. */
#ifndef WORKER_MSR_POLICY_H
#define WORKER_MSR_POLICY_H

#include <stdint.h>

struct msr_policy {
	uint32_t first, last;
	uint64_t value;				/* what a read gives; writes are dropped */
	const char *name;
};

/* NULL: the MSR does not exist. */
const struct msr_policy *msr_policy_find(uint32_t msr);

extern const struct msr_policy msr_policies[];
extern const unsigned msr_policy_count;

#endif
