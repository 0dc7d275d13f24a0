/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's implementer of arch.h and platform.h: a machine of some CPUs and a little RAM in which everything stands still
 * until a test moves it. No logic; it records and replays. The CPU that "runs" is a property of the calling thread.
 *
 * RAM: [0, FAKE_RAM_BYTES), the hypervisor's block inside it at FAKE_BLOCK_BASE.
 */
#ifndef FAKE_FAKE_H
#define FAKE_FAKE_H

#include "core/arch.h"
#include "core/partition.h"
#include "core/vp.h"

#define FAKE_RAM_BYTES   (64ull << 20)
#define FAKE_BLOCK_BASE  (32ull << 20)
#define FAKE_BLOCK_BYTES (8ull << 20)
#define FAKE_CPUS_MAX    4u
#define FAKE_PHYS_BITS   40
#define FAKE_TSC_HZ      2000000000ull

/* A fresh machine with a root partition that has one VP per CPU, in 64-bit mode at CPL 0, with its hypercall page enabled at
 * FAKE_HYPERCALL_GPA. The calling thread is CPU 0. */
#define FAKE_HYPERCALL_GPA 0x7000ull
void fake_machine_init(unsigned cpu_count);
void fake_machine_fini(void);

void fake_set_cpu(unsigned index);		/* of the calling thread */
void fake_set_tsc(uint64_t tsc);
unsigned fake_kicks(unsigned cpu);		/* so far */
bool fake_take_kick(unsigned cpu);		/* true once after one or more kicks */
uint64_t fake_timer(unsigned cpu);		/* deadline that was set last */

/* What VPs do when they are entered: changes registers, fills the exit. Any thread. */
typedef void (*fake_guest)(struct vp *vp, struct vp_exit *out_exit);
void fake_set_guest(fake_guest guest);

/* The CPU of the machine, changed by tests. */
extern uint32_t fake_cpuid_vendor[3];		/* EBX ECX EDX of leaf 0 */

/* A 64-bit flat state at the given privilege level. */
void fake_long_mode(struct vp *vp, unsigned cpl);

#endif
