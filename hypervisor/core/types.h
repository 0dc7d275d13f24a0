/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses are one-field structs, so that they cannot be mixed up. */
#ifndef CORE_TYPES_H
#define CORE_TYPES_H

#include "hv/hv_status.h"
#include "hv/hv_types.h"

typedef struct { uint64_t v; } gpa_t;	/* guest physical */
typedef struct { uint64_t v; } spa_t;	/* system physical */
typedef struct { uint64_t v; } gva_t;	/* guest virtual */

#define PAGE_SHIFT 12
#define PAGE_BYTES 4096ull
#define PAGE_MASK  (~(PAGE_BYTES - 1))

#define GPA(x) ((gpa_t){ (x) })
#define SPA(x) ((spa_t){ (x) })
#define GVA(x) ((gva_t){ (x) })

#define MUST_CHECK __attribute__((warn_unused_result))
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Access rights of a mapping. */
#define ACCESS_READ    1u
#define ACCESS_WRITE   2u
#define ACCESS_EXECUTE 4u
#define ACCESS_ALL     7u

#define CPUS_MAX 64u

struct cpu;
struct vp;
struct partition;

#endif
