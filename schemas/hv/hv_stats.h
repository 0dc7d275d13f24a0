/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Statistics pages mapped by HvCallMapStatsPage: one 4096-byte page of 64-bit counters, read-only to the parent.
 * Identity (16 bytes): partition id u64 @0 and VP index u32 @8 for VPs; partition id @0 for partitions; LP index u32 @0
 * for logical processors; area u8 @15 (0 self).
 * The TLFS leaves counter indices to the hypervisor's version; these are Undercroft's.
 */
#ifndef HV_STATS_H
#define HV_STATS_H

#define HV_STATS_OBJECT_HYPERVISOR 0x1u
#define HV_STATS_OBJECT_LP         0x2u
#define HV_STATS_OBJECT_PARTITION  0x10001u
#define HV_STATS_OBJECT_VP         0x10002u

/* VP page */
#define HV_STATS_VP_RUNTIME_100NS  0
#define HV_STATS_VP_DISPATCHES     1
#define HV_STATS_VP_BLOCKS         2
#define HV_STATS_VP_INTERCEPTS     3
#define HV_STATS_VP_EXIT_BASE      16	/* + enum exit_kind of the hypervisor; names in its exit table */
#define HV_STATS_VP_EXIT_COUNT     32
#define HV_STATS_VP_HYPERCALL_BASE 64	/* + row of the hypercall table */
#define HV_STATS_VP_HYPERCALL_COUNT 64

/* Partition page */
#define HV_STATS_PARTITION_DEPOSITED_PAGES 0
#define HV_STATS_PARTITION_USED_PAGES      1
#define HV_STATS_PARTITION_MAPPED_PAGES    2

/* Hypervisor page */
#define HV_STATS_HV_LP_COUNT          0
#define HV_STATS_HV_PARTITIONS        1
#define HV_STATS_HV_VPS               2
#define HV_STATS_HV_DEPOSITED_PAGES   3	/* all children together */
#define HV_STATS_HV_MAPPED_PAGES      4	/* parent pages mapped into children */
#define HV_STATS_HV_ROOT_FREE_PAGES   5
#define HV_STATS_HV_TSC_HZ            6

#endif
