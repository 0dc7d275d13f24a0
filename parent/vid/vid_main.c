// SPDX-License-Identifier: GPL-2.0-only
/* The module and the device node. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "vid.h"

struct vid_live vid_live;
struct vid_events vid_events;
struct workqueue_struct *vid_cleanup_wq;

static long vid_device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct mshv_create_partition create;
	void __user *user = (void __user *)argument;

	switch (command) {
	case MSHV_CREATE_PARTITION:
		if (copy_from_user(&create, user, sizeof(create)))
			return -EFAULT;
		return vid_partition_create(&create);
	case MSHV_ROOT_HVCALL:
		return vid_hv_passthrough(&vid_root_pool, VID_PASSTHROUGH_DEVICE, user);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations vid_device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vid_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice vid_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mshv",
	.mode = 0600,
	.fops = &vid_device_fops,
};

/* Each refusal is one line that says what is missing. */
static int vid_check_platform(void)
{
	const u64 needed = HV_PRIV_SYNIC | HV_PRIV_HYPERCALL_MSRS;

	if (!vid_arch_is_undercroft()) {
		pr_err("vid: not loaded: this kernel is not the root partition of an Undercroft hypervisor\n");
		return -ENODEV;
	}
	if (!vid_arch_hypercalls_ready()) {
		pr_err("vid: not loaded: the kernel has not enabled the hypercall page (no \"Hv#1\" interface found at boot)\n");
		return -ENODEV;
	}
	if ((vid_arch_privileges() & needed) != needed) {
		pr_err("vid: not loaded: the hypervisor offers no SynIC or no hypercalls (privileges 0x%llx)\n",
		       vid_arch_privileges());
		return -ENODEV;
	}
	return 0;
}

/* A hypervisor without this property has but one scheduler, and it is the root's. */
static int vid_check_scheduler(void)
{
	u64 type;
	int error = vid_hv_scheduler_type(&type);

	if (error) {
		pr_info("vid: scheduler type unknown (error %d), root scheduler assumed\n", error);
		return 0;
	}
	if (type != HV_SCHEDULER_TYPE_ROOT) {
		pr_err("vid: not loaded: the hypervisor runs scheduler type %llu; only the root scheduler (%u) is supported\n",
		       type, HV_SCHEDULER_TYPE_ROOT);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int __init vid_start(void)
{
	int error = vid_check_scheduler();

	if (error)
		return error;
	vid_cleanup_wq = alloc_workqueue("vid-cleanup", 0, 0);
	if (!vid_cleanup_wq)
		return -ENOMEM;
	error = vid_synic_init();
	if (error)
		goto no_synic;
	vid_stats_init();
	error = misc_register(&vid_device);
	if (!error)
		return 0;
	vid_stats_fini();
	vid_synic_fini();
no_synic:
	destroy_workqueue(vid_cleanup_wq);
	return error;
}

static int __init vid_init(void)
{
	int error = vid_check_platform();

	if (error)
		return error;
	error = vid_hvcall_init();
	if (error)
		return error;
	error = vid_start();
	if (error)
		vid_hvcall_fini();
	else
		pr_info("vid: /dev/mshv is there\n");
	return error;
}

/* Every descriptor holds the module, so no partition is left here. */
static void __exit vid_exit(void)
{
	misc_deregister(&vid_device);
	vid_stats_fini();
	vid_synic_fini();
	destroy_workqueue(vid_cleanup_wq);
	vid_hvcall_fini();
}

module_init(vid_init);
module_exit(vid_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Undercroft virtualization infrastructure driver: the parent partition's door to the hypervisor");
