/* SPDX-License-Identifier: Apache-2.0 */
#include "core/run.h"

#include "core/exit.h"
#include "core/intercept.h"
#include "core/partition.h"
#include "core/scheduler.h"

#define RFLAGS_IF (1ull << 9)
#define RETRY_100NS 10000ull		/* look again at a message slot that stayed occupied */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Fires what is due for the VP; returns its next deadline (TSC). The caller owns the VP. */
static uint64_t run_vp_timers(struct vp *vp, uint64_t now)
{
	uint64_t next = lapic_timer_run(vp, now), expiry;

	if (!vp->partition->is_root) {
		expiry = synth_timer_run(vp, ref_time_now(vp->partition));
		if (expiry != ~0ull)
			next = earlier(next, ref_time_to_tsc(vp->partition, expiry));
	}
	if (__atomic_load_n(&vp->synic.waiting, __ATOMIC_RELAXED)) {
		synic_scan(vp);
		if (vp->synic.waiting)
			next = earlier(next, now + mul_div_u64(RETRY_100NS, machine.tsc_hz, 10000000));
	}
	return next;
}

/* Would the VP do anything if it were entered now? */
static bool vp_runnable(const struct vp *vp)
{
	if (__atomic_load_n(&vp->init_pending, __ATOMIC_SEQ_CST))
		return true;
	switch (vp->activity) {
	case VP_ACTIVE:
		return true;
	case VP_WAIT_SIPI:
		return __atomic_load_n(&vp->sipi_pending, __ATOMIC_SEQ_CST) != 0;
	case VP_HALTED:
		break;
	}
	if (vp->event.type != VP_EVENT_NONE || (__atomic_load_n(&vp->nmi_pending, __ATOMIC_SEQ_CST) && !vp->nmi_masked))
		return true;
	if (!(vp->rflags & RFLAGS_IF))
		return false;
	return lapic_pending(vp) >= 0 || (vp->partition->is_root && platform_extint(vp->home) >= 0);
}

/* Is there anything that the parent's VP on this CPU should get before a child runs on? */
static bool root_wants_cpu(const struct vp *root)
{
	return lapic_pending(root) >= 0 || platform_extint(root->home) >= 0 || root->want_window ||
	       __atomic_load_n(&root->nmi_pending, __ATOMIC_SEQ_CST) || __atomic_load_n(&root->init_pending, __ATOMIC_SEQ_CST);
}

static void offer(struct vp *vp)
{
	vp->activity = VP_ACTIVE;
	if (vp->event.type == VP_EVENT_NONE && !vp->nmi_masked && __atomic_exchange_n(&vp->nmi_pending, 0, __ATOMIC_SEQ_CST))
		vp->event.type = VP_EVENT_NMI;
	vp->irq_is_extint = vp->partition->is_root && platform_extint(vp->home) >= 0;
	vp->irq_vector = vp->irq_is_extint ? platform_extint(vp->home) : lapic_pending(vp);
}

/* One entry, with its delivery and its exit. */
static enum verdict enter_once(struct cpu *cpu, struct vp *vp)
{
	struct vp_exit exit;
	int offered;

	offer(vp);
	offered = vp->irq_vector;
	__atomic_store_n(&cpu->in_guest, 1, __ATOMIC_SEQ_CST);
	arch->vp_enter(vp, &exit);
	__atomic_store_n(&cpu->in_guest, 0, __ATOMIC_SEQ_CST);
	if (offered >= 0 && vp->irq_vector < 0) {
		if (vp->irq_is_extint)
			platform_extint_taken(cpu);
		else
			lapic_accept(vp, (uint8_t)offered);
	}
	return exit_dispatch(vp, &exit);
}

/* Deadlines of children that block on this CPU: wakes those that are due, returns the next. */
static uint64_t run_blocked(struct cpu *cpu, uint64_t now)
{
	uint64_t next = ~0ull;

	spin_lock(&cpu->lock);
	for (struct list_node *n = cpu->blocked.next, *after; n != &cpu->blocked; n = after) {
		struct vp *vp = container_of(n, struct vp, blocked_node);

		after = n->next;
		if (vp->blocked_deadline <= now) {
			list_remove(n);
			if (__atomic_exchange_n(&vp->blocked, 0, __ATOMIC_SEQ_CST))
				scheduler_signal_locked(cpu, vp);
		} else {
			next = earlier(next, vp->blocked_deadline);
		}
	}
	spin_unlock(&cpu->lock);
	return next;
}

/* All that is timed on this CPU but the child that runs. */
static uint64_t run_cpu_timers(struct cpu *cpu, uint64_t now)
{
	uint64_t next = run_blocked(cpu, now);

	if (scheduler_pending(cpu))
		synic_scan(cpu->root_vp);
	return earlier(next, run_vp_timers(cpu->root_vp, now));
}

_Noreturn void run_root(struct cpu *cpu)
{
	struct vp *vp = cpu->root_vp;

	for (;;) {
		vp_process_startup(vp);
		platform_set_timer(run_cpu_timers(cpu, platform_tsc()));
		if (vp_runnable(vp))
			enter_once(cpu, vp);
		else
			platform_idle(vp);
	}
}

static void blocked_remove(struct vp *vp)
{
	struct cpu *home = vp->home;

	if (!home)
		return;
	spin_lock(&home->lock);
	if (vp->blocked_node.next != &vp->blocked_node)
		list_remove(&vp->blocked_node);
	spin_unlock(&home->lock);
	__atomic_store_n(&vp->blocked, 0, __ATOMIC_SEQ_CST);
}

/* Reports BLOCKED, unless something came in between. From here on whoever makes something pending tells the parent. */
static bool block(struct cpu *cpu, struct vp *vp, uint64_t deadline)
{
	vp->blocked_deadline = deadline;
	if (deadline != ~0ull) {
		spin_lock(&cpu->lock);
		list_add_tail(&cpu->blocked, &vp->blocked_node);
		spin_unlock(&cpu->lock);
	}
	__atomic_store_n(&vp->blocked, 1, __ATOMIC_SEQ_CST);
	if (!vp_runnable(vp))
		return true;
	blocked_remove(vp);
	return false;
}

static bool suspended(const struct vp *vp)
{
	return __atomic_load_n(&vp->explicit_suspend, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&vp->partition->suspended, __ATOMIC_SEQ_CST);
}

/* Somebody wants to hold the VP for a moment: the parent simply dispatches it again. */
static bool wanted(const struct vp *vp)
{
	return __atomic_load_n(&vp->stop_request, __ATOMIC_SEQ_CST) != 0;
}

static struct hv_output_dispatch_vp outcome(enum hv_dispatch_state state, enum hv_dispatch_event event)
{
	return (struct hv_output_dispatch_vp){ state, event };
}

static struct hv_output_dispatch_vp run_child(struct cpu *cpu, struct vp *vp, uint64_t slice_end)
{
	for (;;) {
		uint64_t now = platform_tsc(), next;

		if (suspended(vp))
			return outcome(HV_DISPATCH_STATE_BLOCKED, HV_DISPATCH_EVENT_SUSPEND);
		next = earlier(run_cpu_timers(cpu, now), slice_end);
		if (root_wants_cpu(cpu->root_vp) || wanted(vp) || now >= slice_end)
			return outcome(HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_NONE);
		vp_process_startup(vp);
		uint64_t vp_next = run_vp_timers(vp, now);
		if (!vp_runnable(vp)) {
			if (!block(cpu, vp, vp_next))
				continue;
			vp_count(vp, HV_STATS_VP_BLOCKS);
			return outcome(HV_DISPATCH_STATE_BLOCKED, HV_DISPATCH_EVENT_NONE);
		}
		platform_set_timer(earlier(next, vp_next));
		if (enter_once(cpu, vp) == VERDICT_PARENT || vp->intercept_suspend)
			return outcome(HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_INTERCEPT);
	}
}

enum hv_status run_dispatch(struct vp *vp, uint32_t flags, uint64_t time_slice, struct hv_output_dispatch_vp *out)
{
	struct cpu *cpu = platform_cpu();
	uint64_t start, end;

	if (!vp_try_own(vp))
		return HV_STATUS_INVALID_VP_STATE;
	blocked_remove(vp);
	if ((flags & HV_DISPATCH_FLAG_CLEAR_INTERCEPT_SUSPEND) && vp->intercept_suspend) {
		register_page_consume(vp);
		vp->intercept_suspend = 0;
	}
	if (suspended(vp)) {
		*out = outcome(HV_DISPATCH_STATE_BLOCKED, HV_DISPATCH_EVENT_SUSPEND);
	} else if (vp->intercept_suspend) {
		*out = outcome(HV_DISPATCH_STATE_READY, HV_DISPATCH_EVENT_INTERCEPT);
	} else {
		start = platform_tsc();
		end = time_slice && time_slice < 10000000 ? start + mul_div_u64(time_slice, machine.tsc_hz, 10000000) : ~0ull;
		vp->home = cpu;
		vp_count(vp, HV_STATS_VP_DISPATCHES);
		vp->run_start_tsc = start;
		arch->vp_unload(cpu->root_vp);
		arch->vp_load(vp);
		cpu->current = vp;
		*out = run_child(cpu, vp, end);
		cpu->current = cpu->root_vp;
		arch->vp_unload(vp);
		arch->vp_load(cpu->root_vp);
		vp->runtime_tsc += platform_tsc() - start;
		vp->run_start_tsc = 0;
	}
	vp_release(vp);
	return HV_STATUS_SUCCESS;
}

void gpa_space_shootdown(const struct gpa_space *space)
{
	struct cpu *self = platform_cpu();

	for (unsigned i = 0; i < machine.cpu_count; i++) {
		struct cpu *cpu = cpus[i];
		const struct vp *vp = cpu ? __atomic_load_n(&cpu->current, __ATOMIC_SEQ_CST) : NULL;

		if (!vp || cpu == self || &vp->partition->space != space || !__atomic_load_n(&cpu->in_guest, __ATOMIC_SEQ_CST))
			continue;
		platform_kick(cpu);
		while (__atomic_load_n(&cpu->in_guest, __ATOMIC_SEQ_CST) &&
		       __atomic_load_n(&cpu->current, __ATOMIC_SEQ_CST) == vp &&
		       vp->gpa_generation != __atomic_load_n(&space->generation, __ATOMIC_SEQ_CST))
			platform_pause();
	}
}
