/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workbench for the parts of a VP that need no CPU: one partition with VPs, a TSC that only the test moves, 64 pages of
 * guest RAM, and stand-ins for the rest of the core that remember what they were asked.
 */
#ifndef RIG_H
#define RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/partition.h"
#include "core/vp.h"

#define RIG_TSC_HZ  2000000000ull
#define RIG_APIC_HZ 1000000000ull
#define RIG_PAGES   64u
#define RIG_VPS_MAX 20u

struct rig {
	struct partition partition;
	struct vp *vps[PARTITION_VPS_MAX];
	struct vp vp[RIG_VPS_MAX];
	struct cpu cpu;
	uint64_t tsc;
	unsigned wakes[RIG_VPS_MAX];
	bool page_mapped[RIG_PAGES];
	bool page_borrowed;
	uint64_t cr4, xfem;
	bool patch_level_faults;
	unsigned log_lines;
	/* One scheduler message for SINT0 of a root VP, when type is not 0. */
	struct hv_message scheduler_message;
	uint64_t hypercall_msr_written, guest_os_id_written;
	unsigned pool_used;
	unsigned pool_limit;
};
extern struct rig rig;

/* A child with `vps` VPs in reset state, default features; reference time and guest TSC start at 0. */
void rig_child(unsigned vps);
void rig_root(unsigned vps);
uint8_t *rig_page(unsigned n);			/* guest page n, at GPA n << 12 */
struct hv_message *rig_slot(unsigned page, unsigned sint);
void rig_advance_100ns(uint64_t units);

/* The machine's CPUID; replaced by tests. */
extern void (*rig_cpuid)(uint32_t leaf, uint32_t subleaf, struct cpuid_regs *out);

/* As the guest does it; fail the test when the outcome is another. */
uint64_t rig_rdmsr(struct vp *vp, uint32_t msr);
void rig_wrmsr(struct vp *vp, uint32_t msr, uint64_t value);
void rig_rdmsr_gp(struct vp *vp, uint32_t msr);
void rig_wrmsr_gp(struct vp *vp, uint32_t msr, uint64_t value);

/* Takes the interrupt that is next; -1 none. */
int rig_take_interrupt(struct vp *vp);

/* Small, repeatable. */
uint32_t rig_random(void);

#endif
