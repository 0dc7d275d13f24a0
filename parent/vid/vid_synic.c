// SPDX-License-Identifier: GPL-2.0-only
/*
 * This CPU's end of the SynIC: a message page and a page of event flags, two SINTs on the kernel's hypervisor callback vector,
 * and what is said there: by the hypervisor on SINT 0, by children through their ports on SINT 2. Runs in interrupt context;
 * one message is taken from a slot at a time.
 */
#include <linux/cpuhotplug.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/notifier.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>

#include "vid.h"

#define VID_SINT 0
#define VID_MESSAGES_PER_INTERRUPT 64	/* more: the pending flag and EOM bring another interrupt */

#define VID_FLAG_LONGS (HV_EVENT_FLAGS_PER_SINT / BITS_PER_LONG)

static DEFINE_PER_CPU(struct hv_message *, vid_message_page);	/* HV_SINT_COUNT slots */
static DEFINE_PER_CPU(unsigned long *, vid_flags_page);		/* HV_SINT_COUNT times VID_FLAG_LONGS */
static int vid_synic_state;

static void vid_wake_pairs(const struct hv_vp_signal_pair_message *pairs)
{
	unsigned int count = min_t(unsigned int, pairs->vp_count, HV_VP_SIGNAL_PAIR_MAX);
	struct vid_partition *partition;
	struct vid_vp *vp;
	unsigned int i;

	rcu_read_lock();
	for (i = 0; i < count; i++) {
		partition = vid_partition_find(pairs->partition_ids[i]);
		if (!partition || pairs->vp_indexes[i] >= VID_MAX_VPS)
			continue;
		vp = rcu_dereference(partition->vps[pairs->vp_indexes[i]]);
		if (vp)
			vid_vp_signal(vp);
	}
	rcu_read_unlock();
	atomic_long_inc(&vid_events.wake_messages);

	/* Some did not fit: nobody knows which, and waking one too many only costs a dispatch. */
	if (pairs->overflow_count) {
		atomic_long_inc(&vid_events.wake_overflows);
		vid_partition_wake_all();
	}
}

static void vid_eoi(u64 partition_id, const struct vid_eoi *eoi)
{
	struct vid_partition *partition;

	rcu_read_lock();
	partition = vid_partition_find(partition_id);
	if (partition)
		vid_irqfd_eoi(partition, eoi->vector);
	rcu_read_unlock();
}

static void vid_handle_message(const struct hv_message *message)
{
	switch (message->type) {
	case HV_MESSAGE_SCHEDULER_VP_SIGNAL_PAIR:
		vid_wake_pairs((const void *)message->payload);
		break;
	case HV_MESSAGE_APIC_EOI:
		vid_eoi(message->sender, (const void *)message->payload);
		break;
	default:
		/* Freed like any other: what is not understood must not block the slot. */
		atomic_long_inc(&vid_events.strange_messages);
		pr_warn_ratelimited("vid: message of unknown type 0x%x\n", message->type);
	}
}

/*
 * The hypervisor writes the type last and looks at the slot again only after we have freed it. xchg() orders freeing
 * before the test of the pending flag; the hypervisor sets that flag before it looks whether the slot is free. So one of
 * the two sees the other.
 */
static bool vid_take_message(struct hv_message *slot, void (*handle)(const struct hv_message *message))
{
	if (smp_load_acquire(&slot->type) == HV_MESSAGE_NONE)
		return false;
	handle(slot);
	xchg(&slot->type, HV_MESSAGE_NONE);
	if (READ_ONCE(slot->flags) & HV_MESSAGE_FLAG_PENDING)
		wrmsrl(HV_MSR_EOM, 0);
	return true;
}

/* Cleared before they are handled: a flag that is set again meanwhile brings another interrupt. */
static void vid_take_flags(unsigned long *flags)
{
	unsigned long word;
	unsigned int i, bit;

	for (i = 0; i < VID_FLAG_LONGS; i++) {
		if (!READ_ONCE(flags[i]))
			continue;
		word = xchg(&flags[i], 0);
		for_each_set_bit(bit, &word, BITS_PER_LONG)
			vid_port_event(i * BITS_PER_LONG + bit);
	}
}

static void vid_synic_interrupt(void)
{
	struct hv_message *page = this_cpu_read(vid_message_page);
	int left = VID_MESSAGES_PER_INTERRUPT;

	if (!page)
		return;
	while (left-- && (vid_take_message(&page[VID_SINT], vid_handle_message) |
			  vid_take_message(&page[VID_PORT_SINT], vid_port_message)))
		;
	vid_take_flags(this_cpu_read(vid_flags_page) + VID_PORT_SINT * VID_FLAG_LONGS);
}

static void vid_synic_mask(unsigned int sint)
{
	wrmsrl_safe(HV_MSR_SINT0 + sint, HV_SINT_MASKED | HYPERVISOR_CALLBACK_VECTOR);
}

static void vid_synic_disable(void)
{
	vid_synic_mask(VID_SINT);
	vid_synic_mask(VID_PORT_SINT);
	wrmsrl_safe(HV_MSR_SCONTROL, 0);
	wrmsrl_safe(HV_MSR_SIMP, 0);
	wrmsrl_safe(HV_MSR_SIEFP, 0);
}

/* hv_vmbus would be the other user; two cannot share a page. */
static int vid_synic_check(unsigned int cpu)
{
	u64 simp, siefp;
	int error = rdmsrl_safe(HV_MSR_SIMP, &simp);

	if (!error)
		error = rdmsrl_safe(HV_MSR_SIEFP, &siefp);
	if (!error && (simp | siefp) & HV_MSR_PAGE_ENABLE) {
		pr_err("vid: CPU %u: the SynIC pages are in use already\n", cpu);
		return -EBUSY;
	}
	return error;
}

static int vid_synic_online(unsigned int cpu)
{
	u64 sint = HYPERVISOR_CALLBACK_VECTOR;
	int error = vid_synic_check(cpu);

	if (error)
		return error;
	if (vid_arch_sint_auto_eoi())
		sint |= HV_SINT_AUTO_EOI;
	error = wrmsrl_safe(HV_MSR_SIMP, virt_to_phys(per_cpu(vid_message_page, cpu)) | HV_MSR_PAGE_ENABLE);
	if (!error)
		error = wrmsrl_safe(HV_MSR_SIEFP, virt_to_phys(per_cpu(vid_flags_page, cpu)) | HV_MSR_PAGE_ENABLE);
	if (!error)
		error = wrmsrl_safe(HV_MSR_SINT0 + VID_SINT, sint);
	if (!error)
		error = wrmsrl_safe(HV_MSR_SINT0 + VID_PORT_SINT, sint);
	if (!error)
		error = wrmsrl_safe(HV_MSR_SCONTROL, 1);
	if (error) {
		pr_err("vid: CPU %u: SynIC registers cannot be written\n", cpu);
		vid_synic_disable();
	}
	return error;
}

/*
 * Wake-ups that were on their way to this CPU are made good by waking everybody. Ports send to other CPUs as soon as their SINT
 * is masked here; what waits here until then is taken now.
 */
static int vid_synic_offline(unsigned int cpu)
{
	const struct hv_message *slot = this_cpu_read(vid_message_page) + VID_PORT_SINT;
	unsigned long irq_flags;

	local_irq_save(irq_flags);
	vid_synic_mask(VID_PORT_SINT);
	do
		vid_synic_interrupt();
	while (READ_ONCE(slot->type) != HV_MESSAGE_NONE);
	vid_synic_disable();
	local_irq_restore(irq_flags);
	vid_partition_wake_all();
	return 0;
}

static void vid_synic_disable_here(void *unused)
{
	vid_synic_disable();
}

/* The next kernel, if it is started by kexec, has other plans for our message pages. */
static int vid_synic_reboot(struct notifier_block *block, unsigned long action, void *data)
{
	on_each_cpu(vid_synic_disable_here, NULL, 1);
	return NOTIFY_DONE;
}

static struct notifier_block vid_synic_reboot_block = { .notifier_call = vid_synic_reboot };

static void vid_synic_free_pages(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		free_page((unsigned long)per_cpu(vid_message_page, cpu));
		free_page((unsigned long)per_cpu(vid_flags_page, cpu));
		per_cpu(vid_message_page, cpu) = NULL;
		per_cpu(vid_flags_page, cpu) = NULL;
	}
}

int vid_synic_init(void)
{
	int cpu, state;

	for_each_possible_cpu(cpu) {
		per_cpu(vid_message_page, cpu) = (struct hv_message *)get_zeroed_page(GFP_KERNEL);
		per_cpu(vid_flags_page, cpu) = (unsigned long *)get_zeroed_page(GFP_KERNEL);
		if (!per_cpu(vid_message_page, cpu) || !per_cpu(vid_flags_page, cpu)) {
			vid_synic_free_pages();
			return -ENOMEM;
		}
	}
	vid_arch_set_interrupt(vid_synic_interrupt);
	state = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "x86/vid:online", vid_synic_online, vid_synic_offline);
	if (state < 0) {
		vid_arch_clear_interrupt();
		vid_synic_free_pages();
		return state;
	}
	vid_synic_state = state;
	register_reboot_notifier(&vid_synic_reboot_block);
	return 0;
}

void vid_synic_fini(void)
{
	unregister_reboot_notifier(&vid_synic_reboot_block);
	cpuhp_remove_state(vid_synic_state);
	vid_arch_clear_interrupt();
	vid_synic_free_pages();
}
