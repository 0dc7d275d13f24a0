// SPDX-License-Identifier: GPL-2.0-only
/*
 * VPs: the descriptor, its pages, and the run loop of the root scheduler.
 *
 * A VP runs on whichever CPU its thread is on, inside HvCallDispatchVp, with our interrupts off; an interrupt for us ends
 * the dispatch and is taken as soon as they are on again. Nothing can be lost between a decision and the dispatch:
 *
 *   signals, reschedule    tested with interrupts off; the IPI that announces a later one ends the dispatch at once
 *   vid_vp_stop()          sets the flag, then reads vp->cpu; we write vp->cpu, then test the flag
 *   wake-ups               VID_VP_SIGNALED is cleared before the dispatch; the hypervisor sends a message for whatever
 *                          makes a VP runnable after it was reported blocked
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>
#include <linux/vtime.h>

#include "vid.h"

#define VID_RUN_DEPOSITS_MAX 64		/* of VID_RUN_DEPOSIT_PAGES, in one RUN_VP */
#define VID_RUN_DEPOSIT_PAGES 16
#define VID_SUSPENDS_MAX 16
#define VID_SUSPEND_POLL (HZ / 10)

/* What one RUN_VP remembers between dispatches. */
struct vid_run {
	unsigned int deposits;
	unsigned int suspends;		/* in a row */
};

void vid_vp_signal(struct vid_vp *vp)
{
	set_bit(VID_VP_SIGNALED, &vp->flags);
	wake_up(&vp->wait);
}

/* Makes a RUN_VP that is under way return -EINTR; if there is none, the next one. */
static void vid_vp_stop(struct vid_vp *vp)
{
	int cpu;

	set_bit(VID_VP_STOP, &vp->flags);
	smp_mb__after_atomic();	/* pairs with smp_mb() in vid_vp_dispatch() */
	cpu = READ_ONCE(vp->cpu);
	if (cpu >= 0)
		smp_send_reschedule(cpu);
	wake_up(&vp->wait);
}

/*
 * One dispatch. -EAGAIN: nothing was run, look at the reasons to leave again.
 * The interrupt that ended it is taken before the time is accounted, so that a tick counts as the guest's.
 */
static int vid_vp_dispatch(struct vid_vp *vp, struct vid_run *run, struct hv_output_dispatch_vp *out)
{
	u32 flags = vp->intercepted ? HV_DISPATCH_FLAG_CLEAR_INTERCEPT_SUSPEND : 0;
	u16 status;

	preempt_disable();
	local_irq_disable();
	WRITE_ONCE(vp->cpu, smp_processor_id());
	smp_mb();	/* pairs with vid_vp_stop() */
	if (signal_pending(current) || need_resched() || test_bit(VID_VP_STOP, &vp->flags)) {
		WRITE_ONCE(vp->cpu, -1);
		local_irq_enable();
		preempt_enable();
		return -EAGAIN;
	}
	clear_bit(VID_VP_SIGNALED, &vp->flags);
	smp_mb__after_atomic();
	vtime_account_guest_enter();
	status = vid_hv_dispatch_vp(vp->partition->id, vp->index, flags, out);
	WRITE_ONCE(vp->cpu, -1);
	local_irq_enable();
	vp->dispatches++;	/* interrupts are taken here: not right behind STI, but an instruction later */
	barrier();
	local_irq_disable();
	vtime_account_guest_exit();
	local_irq_enable();
	preempt_enable();

	if (status == HV_STATUS_SUCCESS) {
		vp->intercepted = false;
		return 0;
	}
	if (status == HV_STATUS_INSUFFICIENT_MEMORY && run->deposits++ < VID_RUN_DEPOSITS_MAX) {
		int error = vid_hv_deposit(&vp->partition->pool, VID_RUN_DEPOSIT_PAGES);

		return error ? error : -EAGAIN;
	}
	return hv_status_to_errno(status);
}

/*
 * 0, or why the thread must go back to user mode. For a signal that has a handler this becomes -EINTR there; for anything
 * else (a tracer, the freezer, work that is to be done on the way, such as after each migration) the call is repeated
 * without user mode noticing. Such work alone does not take that way, hence the flag, which the kernel clears when it finds
 * no signal.
 */
static int vid_vp_must_leave(struct vid_vp *vp)
{
	if (test_and_clear_bit(VID_VP_STOP, &vp->flags))
		return -EINTR;
	if (signal_pending(current))
		return -ERESTARTNOHAND;
	if (test_thread_flag(TIF_NOTIFY_RESUME)) {
		set_thread_flag(TIF_SIGPENDING);
		return -ERESTARTNOHAND;
	}
	return 0;
}

static bool vid_vp_has_reason(struct vid_vp *vp)
{
	return test_bit(VID_VP_SIGNALED, &vp->flags) || test_bit(VID_VP_STOP, &vp->flags);
}

/* A signal ends the wait too; it is still pending then, and must_leave sees it. */
static void vid_vp_wait(struct vid_vp *vp)
{
	vp->blocks++;
	(void)wait_event_interruptible(vp->wait, vid_vp_has_reason(vp)); /* the caller looks why */
}

/*
 * A new VP is suspended explicitly, and whoever runs one wants it to run. A call that reads or writes the VP's registers
 * suspends it for a moment as well. If going on does not help for long, something else holds the VP, such as the partition's
 * own suspend: then ask now and then instead of spinning.
 */
static int vid_vp_resume(struct vid_vp *vp, struct vid_run *run)
{
	int error = vid_hv_set_register(&vp->partition->pool, vp->index, HV_REG_EXPLICIT_SUSPEND, 0);

	if (!error && ++run->suspends >= VID_SUSPENDS_MAX)
		(void)wait_event_interruptible_timeout(vp->wait, vid_vp_has_reason(vp), VID_SUSPEND_POLL); /* ditto */
	return error;
}

/* True if the intercept needs nobody in user mode. */
static bool vid_vp_resolve(struct vid_vp *vp, const struct hv_message *message)
{
	const struct vid_eoi *eoi = (const void *)message->payload;

	if (message->type == HV_MESSAGE_APIC_EOI)
		return vid_irqfd_eoi(vp->partition, eoi->vector);
	return vid_ioeventfd_intercept(vp, message);
}

/* What the VP's thread does after a dispatch: 0 go on, 1 a message for user mode is in *message, -errno. */
static int vid_vp_after(struct vid_vp *vp, struct vid_run *run, const struct hv_output_dispatch_vp *out,
			struct hv_message *message)
{
	switch (out->dispatch_event) {
	case HV_DISPATCH_EVENT_INTERCEPT:
		run->suspends = 0;
		vp->intercepted = true;
		vp->intercepts++;
		memcpy(message, vp->message, sizeof(*message));
		if (!vid_vp_resolve(vp, message))
			return 1;
		vp->resolved++;
		return 0;
	case HV_DISPATCH_EVENT_SUSPEND:
		return vid_vp_resume(vp, run);
	}
	run->suspends = 0;
	switch (out->dispatch_state) {
	case HV_DISPATCH_STATE_READY:
		return 0;
	case HV_DISPATCH_STATE_BLOCKED:
		vid_vp_wait(vp);
		return 0;
	default:
		return -EIO;
	}
}

static int vid_vp_run_loop(struct vid_vp *vp, struct hv_message *message)
{
	struct vid_run run = {};
	struct hv_output_dispatch_vp out;
	int result;

	do {
		cond_resched();
		result = vid_vp_must_leave(vp);
		if (result)
			return result;
		result = vid_vp_dispatch(vp, &run, &out);
		if (result == 0)
			result = vid_vp_after(vp, &run, &out, message);
		else if (result == -EAGAIN)
			result = 0;
	} while (result == 0);
	return min(result, 0);
}

static long vid_vp_run(struct vid_vp *vp, struct mshv_run_vp __user *user)
{
	struct hv_message message;
	int error;

	BUILD_BUG_ON(sizeof(message) != sizeof(user->msg_buf));
	if (!mutex_trylock(&vp->run_lock))
		return -EBUSY;
	error = vid_vp_run_loop(vp, &message);
	mutex_unlock(&vp->run_lock);
	if (!error && copy_to_user(user, &message, sizeof(message)))
		return -EFAULT;
	return error;
}

static long vid_vp_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct vid_vp *vp = file->private_data;
	void __user *user = (void __user *)argument;

	switch (command) {
	case MSHV_RUN_VP:
		return vid_vp_run(vp, user);
	case MSHV_GET_VP_STATE:
		return vid_vp_get_state(vp, user);
	case MSHV_SET_VP_STATE:
		return vid_vp_set_state(vp, user);
	case MSHV_ROOT_HVCALL:
		return vid_hv_passthrough(&vp->partition->pool, VID_PASSTHROUGH_VP, user);
	default:
		return -ENOTTY;
	}
}

/* The mapping holds the file, so the hypervisor's page cannot go while it is mapped. Never copied to a forked child. */
static int vid_vp_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct vid_vp *vp = file->private_data;
	u64 gpfn;

	if (vma_pages(vma) != 1 || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EACCES;
	switch (vma->vm_pgoff) {
	case MSHV_VP_MMAP_OFFSET_REGISTERS:
		if (!vp->registers)
			return -ENODEV;
		gpfn = vp->registers_gpfn;
		break;
	case MSHV_VP_MMAP_OFFSET_INTERCEPT_MESSAGE:
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vma->vm_flags &= ~VM_MAYWRITE;
		gpfn = vp->message_gpfn;
		break;
	default:
		return -EINVAL;
	}
	vma->vm_flags &= ~VM_MAYEXEC;
	vma->vm_flags |= VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP;
	return remap_pfn_range(vma, vma->vm_start, gpfn, PAGE_SIZE, vma->vm_page_prot);
}

/* A thread in RUN_VP holds the file: without this, a close elsewhere would wait for its VP's pleasure. */
static int vid_vp_flush(struct file *file, fl_owner_t id)
{
	struct vid_vp *vp = file->private_data;

	if (mutex_is_locked(&vp->run_lock))
		vid_vp_stop(vp);
	return 0;
}

static void vid_vp_unmap_pages(struct vid_vp *vp)
{
	struct vid_pool *pool = &vp->partition->pool;

	if (vp->message) {
		memunmap(vp->message);
		(void)vid_hv_unmap_vp_page(pool, vp->index, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE); /* goes with the VP */
	}
	if (vp->registers) {
		memunmap(vp->registers);
		(void)vid_hv_unmap_vp_page(pool, vp->index, HV_VP_STATE_PAGE_REGISTERS); /* goes with the VP */
	}
}

static int vid_vp_map_page(struct vid_vp *vp, u32 type, u64 *ret_gpfn, void **ret_page)
{
	struct vid_pool *pool = &vp->partition->pool;
	int error = vid_hv_map_vp_page(pool, vp->index, type, ret_gpfn);

	if (error)
		return error;
	*ret_page = memremap(*ret_gpfn << HV_PAGE_SHIFT, HV_PAGE_BYTES, MEMREMAP_WB);
	if (*ret_page)
		return 0;
	(void)vid_hv_unmap_vp_page(pool, vp->index, type); /* goes with the VP */
	return -ENOMEM;
}

/* partition->lock held. If the hypervisor will not delete it the VP lies idle until the partition is finalized. */
static void vid_vp_teardown(struct vid_vp *vp)
{
	int error;

	vid_vp_unmap_pages(vp);
	error = vid_hv_delete_vp(&vp->partition->pool, vp->index);
	if (error)
		pr_warn("vid: partition %llu: VP %u cannot be deleted (error %d)\n", vp->partition->id, vp->index, error);
}

static int vid_vp_release(struct inode *inode, struct file *file)
{
	struct vid_vp *vp = file->private_data;
	struct vid_partition *partition = vp->partition;

	vid_stats_remove_vp(vp);
	mutex_lock(&partition->lock);
	RCU_INIT_POINTER(partition->vps[vp->index], NULL);
	vid_vp_teardown(vp);
	mutex_unlock(&partition->lock);
	kfree_rcu(vp, rcu);
	atomic_long_dec(&vid_live.vps);
	vid_partition_put(partition);
	return 0;
}

static const struct file_operations vid_vp_fops = {
	.owner = THIS_MODULE,
	.flush = vid_vp_flush,
	.release = vid_vp_release,
	.unlocked_ioctl = vid_vp_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vid_vp_mmap,
	.llseek = noop_llseek,
};

static struct vid_vp *vid_vp_build(struct vid_partition *partition, u32 index)
{
	struct vid_vp *vp = kzalloc(sizeof(*vp), GFP_KERNEL_ACCOUNT);
	int error;

	if (!vp)
		return ERR_PTR(-ENOMEM);
	vp->partition = partition;
	vp->index = index;
	vp->cpu = -1;
	mutex_init(&vp->run_lock);
	init_waitqueue_head(&vp->wait);

	error = vid_hv_create_vp(&partition->pool, index);
	if (error) {
		kfree(vp);
		return ERR_PTR(error);
	}
	error = vid_vp_map_page(vp, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE, &vp->message_gpfn, (void **)&vp->message);
	if (error) {
		vid_vp_teardown(vp);
		kfree(vp);
		return ERR_PTR(error);
	}
	/* The register page is a shortcut; all that is in it can be had by hypercall. */
	if (vid_vp_map_page(vp, HV_VP_STATE_PAGE_REGISTERS, &vp->registers_gpfn, (void **)&vp->registers))
		vp->registers = NULL;
	return vp;
}

/* partition->lock held, partition active. */
int vid_vp_create(struct vid_partition *partition, u32 index)
{
	struct vid_vp *vp;
	struct file *file;
	int fd;

	if (index >= VID_MAX_VPS)
		return -EINVAL;
	if (rcu_access_pointer(partition->vps[index]))
		return -EEXIST;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vp = vid_vp_build(partition, index);
	if (IS_ERR(vp)) {
		put_unused_fd(fd);
		return PTR_ERR(vp);
	}
	file = anon_inode_getfile("mshv_vp", &vid_vp_fops, vp, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vid_vp_teardown(vp);
		kfree(vp);
		return PTR_ERR(file);
	}
	vid_partition_get(partition);
	atomic_long_inc(&vid_live.vps);
	rcu_assign_pointer(partition->vps[index], vp);
	vid_stats_add_vp(vp);
	fd_install(fd, file);
	return fd;
}
