/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A partition: one page of its creator's pool, a pool of its own, a GPA space, VPs.
 * (c) constant after create  (p) partition lock  (a) atomic
 */
#ifndef CORE_PARTITION_H
#define CORE_PARTITION_H

#include "core/gpa_space.h"
#include "core/list.h"
#include "core/page_pool.h"
#include "core/port.h"
#include "core/ref_time.h"
#include "core/spinlock.h"

#define PARTITION_VPS_MAX 256u

enum partition_state { PARTITION_UNINITIALIZED, PARTITION_ACTIVE, PARTITION_FINALIZING, PARTITION_FINALIZED };

struct partition {
	uint64_t id;				/* (c) never reused */
	struct partition *parent;		/* (c) NULL for the root */
	spa_t self;				/* (c) its own page */
	struct list_node node;			/* in the partition list, order of creation */
	uint32_t references;			/* (list lock) lookups in flight */
	struct vp *dead_vps;			/* (list lock) deleted, freed when no lookup is in flight */
	struct spinlock lock;
	enum partition_state state;		/* (p) */
	bool is_root;				/* (c) */
	uint64_t creation_flags;		/* (c) */
	struct page_pool pool;
	struct gpa_space space;
	struct vp **vps;			/* page of PARTITION_VPS_MAX pointers, from the pool; NULL until initialized */
	spa_t vps_page;
	uint32_t vp_count;			/* (p) */
	struct ports ports;

	/* Properties */
	uint64_t privileges;			/* leaf 3 EBX:EAX, and what calls are allowed */
	uint64_t synthetic_features;
	uint32_t unimplemented_msr_action;	/* 0 #GP, 1 ignore */
	uint32_t suspended;			/* (a) property SUSPEND */

	/* Partition-wide synthetic MSRs (p) */
	struct ref_time time;
	uint64_t guest_os_id;
	uint64_t hypercall_msr;
	struct spinlock overlay_lock;		/* guards the overlay and orders all changes of the GPA space; inside VP */
	spa_t hypercall_page;			/* the overlay's own page, from the pool */
	gpa_t hypercall_gpa;			/* where it is mapped; valid while enabled */
	spa_t hypercall_below;			/* what it hides */
	uint8_t hypercall_below_access;
	uint64_t crash[5];
	uint64_t crash_ctl;			/* last notification */
	uint64_t tsc_invariant_control;

	spa_t io_intercept_pages[4];		/* bitmaps of 32768 ports: read low, read high, write low, write high; 0 none */
	uint8_t msr_intercept;			/* HV_INTERCEPT_ACCESS_*: unknown MSRs go to the parent */
	uint32_t cpuid_intercepts[8];		/* leaves with an installed intercept */
	uint32_t cpuid_intercept_count;

	spa_t stats_page;
	uint64_t *stats;
};
_Static_assert(sizeof(struct partition) <= PAGE_BYTES, "a partition fits a page");

extern struct partition *root_partition;

/* The root: the boot code has filled machine and root_partition->pool; here its space gets the identity map, without the
 * hypervisor's block and the LAPIC page. Its VPs are created by vp_create. Boot only. INSUFFICIENT_MEMORY. */
enum hv_status partition_create_root(void) MUST_CHECK;

/* By id, with a reference. NULL when there is none. HV_PARTITION_ID_SELF is the caller's. */
struct partition *partition_get(struct partition *caller, uint64_t id);
void partition_put(struct partition *p);

/* The calls of TLFS 2.0a "Partition Management"; statuses as there. */
enum hv_status partition_create(struct partition *parent, uint64_t flags, uint64_t *out_id) MUST_CHECK;
enum hv_status partition_initialize(struct partition *p) MUST_CHECK;
enum hv_status partition_finalize(struct partition *p) MUST_CHECK;
enum hv_status partition_delete(struct partition *p) MUST_CHECK;	/* drops the caller's reference on success */
/* Id of the first child (previous_id 0) or of the one after it, in order of creation; 0 at the end. INVALID_PARTITION_ID when
 * previous_id is not a child. */
enum hv_status partition_next_child(struct partition *parent, uint64_t previous_id, uint64_t *out_id) MUST_CHECK;
struct partition_totals {
	uint64_t partitions, vps;			/* the root's too */
	uint64_t deposited_pages, mapped_pages;		/* of all children */
};
void partition_totals(struct partition_totals *out);
/* Leaves a VP that was deleted to be freed with the last reference. */
void partition_bury(struct partition *p, struct vp *vp);

struct vp *partition_vp(struct partition *p, uint32_t index);	/* NULL when there is none */

/* Every change of a live GPA space goes through here, because the hypercall page may lie on top. As gpa_space_exchange. */
enum hv_status partition_exchange(struct partition *p, gpa_t gpa, spa_t spa, uint8_t access, uint8_t level,
				  uint64_t *out_old) MUST_CHECK;
/* Returns when no VP can use a translation that is older than this call. Holds no lock; caller has a reference. */
void partition_flush(struct partition *p);

/* True when the parent wants accesses of this port: an intercept is installed, or the partition is EXO. */
bool partition_io_intercepted(const struct partition *p, uint16_t port, bool write);

/* The page that the parent sees where it may see nothing. Boot makes it. */
spa_t partition_dummy_page(void);

/* Shows one of the hypervisor's pages to the parent at its own address (identity), with these rights; and takes it back. */
enum hv_status partition_show_page(spa_t page, uint8_t access) MUST_CHECK;
void partition_hide_page(spa_t page);

/* MSRs HYPERCALL and GUEST_OS_ID. false: #GP. */
bool partition_hypercall_msr_write(struct partition *p, uint64_t value) MUST_CHECK;
void partition_guest_os_id_write(struct partition *p, uint64_t value);
/* The parent may write the MSR even when the guest has locked it. */
void partition_hypercall_msr_unlock(struct partition *p);

#endif
