/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Fixed-width types and the assertions that pin wire layouts. Read by three compilers: host gcc, mingw-w64 and kbuild. */
#ifndef HV_TYPES_H
#define HV_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/stddef.h>
#include <linux/build_bug.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

#define WIRE_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "size of " #type)
#define WIRE_OFFSET(type, field, bytes) \
	_Static_assert(offsetof(type, field) == (bytes), "offset of " #type "." #field)

#define HV_PAGE_BYTES 4096u
#define HV_PAGE_SHIFT 12

#define HV_PARTITION_ID_INVALID 0ull
#define HV_PARTITION_ID_ROOT    1ull
#define HV_PARTITION_ID_SELF    (~0ull)
#define HV_VP_INDEX_SELF        0xfffffffeu
#define HV_ANY_VP               0xffffffffu

/* A 128-bit register value; smaller registers are zero-extended. TLFS web, HV_REGISTER_VALUE. */
struct hv_u128 {
	uint64_t low;
	uint64_t high;
};
WIRE_SIZE(struct hv_u128, 16);

#endif
