/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual processor. Lives in one page of its partition's pool, with further pages for CPU state (arch), SynIC queue and
 * the pages shown to the parent.
 *
 * (c) constant after create   (o) owner: the CPU that has it dispatched, or whoever holds `owned` while it is not
 * (a) atomic, any CPU         (s) SynIC lock
 */
#ifndef CORE_VP_H
#define CORE_VP_H

#include "core/arch.h"
#include "core/cpu.h"
#include "core/lapic.h"
#include "core/list.h"
#include "core/synic.h"
#include "core/synth_timer.h"
#include "hv/hv_intercept.h"
#include "hv/hv_stats.h"

enum vp_activity { VP_ACTIVE, VP_HALTED, VP_WAIT_SIPI };

enum vp_event_type { VP_EVENT_NONE, VP_EVENT_EXCEPTION, VP_EVENT_NMI };
struct vp_event {
	enum vp_event_type type;
	uint8_t vector;
	bool has_error;
	uint32_t error;
};

struct vp {
	uint32_t index;				/* (c) */
	struct partition *partition;		/* (c) */

	uint32_t owned;				/* (a) enum vp_owner */
	struct cpu *home;			/* (a) CPU that runs it, or ran it last; root: its CPU for good */

	/* CPU state held by the core (o) */
	uint64_t gpr[16];			/* RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
	uint64_t rip, rflags;
	enum vp_activity activity;
	struct vp_event event;			/* delivered at the next entry */
	uint64_t event_cr2;
	int irq_vector;				/* interrupt to offer at the next entry, -1 none */
	bool irq_is_extint;			/* root: it comes from the 8259, not from the LAPIC */
	bool want_window;			/* root: exit as soon as an interrupt could be taken */
	bool nmi_masked;
	void *arch;				/* vendor's state */

	struct lapic lapic;
	struct synic synic;			/* (s) */
	struct synth_timer stimer[HV_STIMER_COUNT];
	uint64_t vp_assist_msr;

	/* Set by any CPU (a) */
	uint32_t nmi_pending;
	uint32_t init_pending;
	uint32_t sipi_pending;			/* 0x100 | vector */
	uint32_t stop_request;			/* leave the guest: deletion, suspension */

	/* Root scheduler */
	uint32_t explicit_suspend;		/* (a) */
	uint32_t intercept_suspend;		/* (o) */
	uint32_t blocked;			/* (a) 1: reported BLOCKED and not yet signalled to the parent */
	struct list_node blocked_node;		/* in home->blocked while waiting for a deadline */
	uint64_t blocked_deadline;		/* TSC */
	struct list_node signal_node;		/* in the signal queue of scheduler.c */
	uint32_t root_signal_count;		/* (a) wake messages sent for this VP */

	spa_t message_page;			/* (c) intercept message page */
	spa_t register_page;			/* (o) 0 until the parent maps it */
	spa_t stats_page;			/* (c) */
	spa_t self;				/* (c) its own page */
	bool message_shown, stats_shown;	/* (o) the parent sees the page */
	struct vp *dead_next;			/* partition.c */
	uint64_t *stats;			/* -> stats_page: hv_stats.h */
	uint64_t run_start_tsc, runtime_tsc;
	uint64_t gpa_generation;		/* (a) of the GPA space at the last entry */
};
_Static_assert(sizeof(struct vp) <= PAGE_BYTES, "a VP fits a page");

/* FREE nobody; DISPATCHED a CPU runs it; HELD a hypercall reads or writes it, briefly; DEAD it is deleted. */
enum vp_owner { VP_FREE, VP_DISPATCHED, VP_HELD, VP_DEAD };

/* Creates VP `index` of an active partition: reset state, explicit suspend set. Statuses of HvCallCreateVp. */
enum hv_status vp_create(struct partition *p, uint32_t index, struct vp **out_vp) MUST_CHECK;
/* Stops it (waits until no CPU has it) and takes it out of the partition; vp_free gives its pages back when no lookup can
 * reach it any more (partition_put). OBJECT_IN_USE when another CPU deletes it. */
enum hv_status vp_delete(struct vp *vp) MUST_CHECK;
void vp_free(struct vp *vp);

/* Takes the VP away from being dispatched, for reading or writing its state; kicks it out of the guest and waits.
 * Never called by the CPU that has it dispatched. vp_release lets it go. False when the VP is being deleted.
 * The root's VPs: own CPU only, no waiting. */
bool vp_hold(struct vp *vp) MUST_CHECK;
void vp_release(struct vp *vp);
/* Tries to own it for dispatch (waits for a hypercall that holds it); false when another CPU has it or it is deleted.
 * Given back with vp_release. */
bool vp_try_own(struct vp *vp) MUST_CHECK;

/* Something became pending for the VP: kick it out of the guest, wake its idle CPU, or tell the parent's scheduler. Any CPU. */
void vp_wake(struct vp *vp);

/* TLFS registers by name: core state, arch state, synthetic MSRs. The VP is held. */
enum hv_status vp_register_get(struct vp *vp, uint32_t name, struct hv_u128 *out) MUST_CHECK;
enum hv_status vp_register_set(struct vp *vp, uint32_t name, const struct hv_u128 *value) MUST_CHECK;

/* INIT and SIPI that were latched; called by the owner before entry. */
void vp_process_startup(struct vp *vp);
/* Full reset of CPU, LAPIC, SynIC, timers. */
void vp_reset(struct vp *vp);

void vp_inject_exception(struct vp *vp, uint8_t vector, bool has_error, uint32_t error);
/* The emulated instruction is done: steps over it, ends an interrupt shadow, and traps when it was single-stepped. */
void vp_advance_ip(struct vp *vp, uint8_t insn_len);
static inline void vp_count(struct vp *vp, unsigned counter) { if (vp->stats) vp->stats[counter]++; }

#endif
