/* SPDX-License-Identifier: Apache-2.0 */
#include "core/scheduler.h"

#include "core/mem.h"
#include "core/partition.h"

void scheduler_signal_locked(struct cpu *cpu, struct vp *vp)
{
	__atomic_fetch_add(&vp->root_signal_count, 1, __ATOMIC_SEQ_CST);
	if (vp->signal_node.next == &vp->signal_node)
		list_add_tail(&cpu->signals, &vp->signal_node);
}

void scheduler_signal(struct vp *vp)
{
	struct cpu *cpu = platform_cpu();

	spin_lock(&cpu->lock);
	scheduler_signal_locked(cpu, vp);
	spin_unlock(&cpu->lock);
}

bool scheduler_take_message(struct vp *root_vp, struct hv_message *out)
{
	struct cpu *cpu = root_vp->home;
	struct hv_vp_signal_pair_message *m = (void *)out->payload;

	memset(out, 0, sizeof *out);
	spin_lock(&cpu->lock);
	while (m->vp_count < HV_VP_SIGNAL_PAIR_MAX && !list_empty(&cpu->signals)) {
		struct vp *vp = container_of(cpu->signals.next, struct vp, signal_node);

		list_remove(&vp->signal_node);
		m->partition_ids[m->vp_count] = vp->partition->id;
		m->vp_indexes[m->vp_count++] = vp->index;
	}
	spin_unlock(&cpu->lock);
	out->type = HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR;
	out->payload_bytes = sizeof *m;
	out->sender = HV_PARTITION_ID_ROOT;
	return m->vp_count != 0;
}

/* The VP is held and will not block again; it may be in one CPU's list of signals and in its home's list of deadlines. */
void scheduler_forget(struct vp *vp)
{
	for (unsigned i = 0; i < machine.cpu_count; i++) {
		struct cpu *cpu = cpus[i];

		if (!cpu)
			continue;
		spin_lock(&cpu->lock);
		for (struct list_node *n = cpu->signals.next; n != &cpu->signals; n = n->next)
			if (n == &vp->signal_node) {
				list_remove(n);
				break;
			}
		if (cpu == vp->home && vp->blocked_node.next != &vp->blocked_node)
			list_remove(&vp->blocked_node);
		spin_unlock(&cpu->lock);
	}
}
