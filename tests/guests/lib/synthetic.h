/* SPDX-License-Identifier: Apache-2.0 */
/* Is the interface there, and what does it grant. Everything is asked of CPUID at the moment of the call. */
#ifndef GUEST_SYNTHETIC_H
#define GUEST_SYNTHETIC_H

#include <stdbool.h>
#include <stdint.h>

bool synthetic_present(void);			/* hypervisor bit, vendor string, "Hv#1" */
uint64_t synthetic_privileges(void);		/* leaf 3 EBX:EAX; 0 when it is not there */
bool synthetic_has(uint64_t privileges);	/* all of them */
uint32_t synthetic_features(void);		/* leaf 3 EDX */

#endif
