// SPDX-License-Identifier: GPL-2.0-only
/* Partitions: the registry, the descriptor, and the end. */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vid.h"

#define VID_FINALIZE_TRIES 100
#define VID_FINALIZE_PAUSE_MS 10

static DEFINE_HASHTABLE(vid_registry, 6);
static DEFINE_SPINLOCK(vid_registry_lock);

struct vid_partition *vid_partition_find(u64 id)
{
	struct vid_partition *partition;

	hash_for_each_possible_rcu(vid_registry, partition, node, id) {
		if (partition->id == id)
			return partition;
	}
	return NULL;
}

static void vid_partition_wake(struct vid_partition *partition)
{
	struct vid_vp *vp;
	unsigned int i;

	for (i = 0; i < VID_MAX_VPS; i++) {
		vp = rcu_dereference(partition->vps[i]);
		if (vp)
			vid_vp_signal(vp);
	}
}

void vid_partition_wake_all(void)
{
	struct vid_partition *partition;
	int bucket;

	rcu_read_lock();
	hash_for_each_rcu(vid_registry, bucket, partition, node)
		vid_partition_wake(partition);
	rcu_read_unlock();
}

static void vid_partition_register(struct vid_partition *partition)
{
	spin_lock(&vid_registry_lock);
	hash_add_rcu(vid_registry, &partition->node, partition->id);
	spin_unlock(&vid_registry_lock);
	atomic_long_inc(&vid_live.partitions);
}

static void vid_partition_unregister(struct vid_partition *partition)
{
	spin_lock(&vid_registry_lock);
	hash_del_rcu(&partition->node);
	spin_unlock(&vid_registry_lock);
	synchronize_rcu();
	atomic_long_dec(&vid_live.partitions);
}

/* False: the hypervisor may still have mappings of the guest's memory. Should never be; then nothing can be given back. */
static bool vid_partition_finalize(struct vid_partition *partition)
{
	int tries, error = 0;

	if (partition->state != VID_PARTITION_ACTIVE)
		return true;
	for (tries = 0; tries < VID_FINALIZE_TRIES; tries++) {
		error = vid_hv_finalize_partition(&partition->pool);
		if (!error)
			return true;
		msleep(VID_FINALIZE_PAUSE_MS);
	}
	pr_err("vid: partition %llu cannot be finalized (error %d): its memory is lost\n", partition->id, error);
	return false;
}

static bool vid_partition_dismantle(struct vid_partition *partition)
{
	long left;
	int error;

	if (!vid_partition_finalize(partition)) {
		atomic_long_add(atomic_long_read(&partition->pool.pages), &vid_live.leaked_pages);
		return false;
	}
	vid_hv_withdraw(&partition->pool);
	left = atomic_long_read(&partition->pool.pages);
	if (left) {
		atomic_long_add(left, &vid_live.leaked_pages);
		pr_err("vid: partition %llu kept %ld deposited pages\n", partition->id, left);
	}
	error = vid_hv_delete_partition(&partition->pool);
	if (error)
		pr_err("vid: partition %llu cannot be deleted (error %d)\n", partition->id, error);
	return true;
}

/* See "Lifetime" in vid.h: nobody but interrupt handlers and eventfd wake-ups can still be at work here. */
static void vid_partition_destroy(struct kref *refs)
{
	struct vid_partition *partition = container_of(refs, struct vid_partition, refs);

	vid_stats_remove_partition(partition);
	vid_partition_unregister(partition);
	vid_eventfd_release(partition);
	vid_port_release(partition);
	vid_memory_release(partition, vid_partition_dismantle(partition));
	mutex_destroy(&partition->lock);
	kfree(partition);
}

void vid_partition_get(struct vid_partition *partition)
{
	kref_get(&partition->refs);
}

void vid_partition_put(struct vid_partition *partition)
{
	kref_put(&partition->refs, vid_partition_destroy);
}

static int vid_partition_initialize(struct vid_partition *partition)
{
	int error;

	if (partition->state != VID_PARTITION_CREATED)
		return -EINVAL;
	error = vid_hv_initialize_partition(&partition->pool);
	if (error)
		return error;
	partition->state = VID_PARTITION_ACTIVE;
	vid_stats_activate_partition(partition);
	return 0;
}

/* Calls that change the partition, one at a time. */
static long vid_partition_change(struct vid_partition *partition, unsigned int command, void __user *user)
{
	union {
		struct mshv_create_vp vp;
		struct mshv_user_mem_region region;
		struct mshv_user_irqfd irqfd;
		struct mshv_user_ioeventfd ioeventfd;
		struct vid_event_port event_port;
		struct vid_message_port message_port;
		struct vid_guest_pages pages;
	} args;
	long result;

	if (_IOC_DIR(command) != _IOC_NONE && command != MSHV_SET_MSI_ROUTING &&
	    copy_from_user(&args, user, min_t(size_t, _IOC_SIZE(command), sizeof(args))))
		return -EFAULT;
	if (mutex_lock_killable(&partition->lock))
		return -EINTR;
	switch (command) {
	case MSHV_INITIALIZE_PARTITION:
		result = vid_partition_initialize(partition);
		break;
	case MSHV_CREATE_VP:
		result = partition->state == VID_PARTITION_ACTIVE ? vid_vp_create(partition, args.vp.vp_index) : -EINVAL;
		break;
	case MSHV_SET_GUEST_MEMORY:
		result = vid_memory_set(partition, &args.region);
		break;
	case MSHV_IRQFD:
		result = vid_irqfd(partition, &args.irqfd);
		break;
	case MSHV_IOEVENTFD:
		result = vid_ioeventfd(partition, &args.ioeventfd);
		break;
	case MSHV_SET_MSI_ROUTING:
		result = vid_set_routes(partition, user);
		break;
	case VID_EVENT_PORT:
		result = vid_event_port(partition, &args.event_port);
		break;
	case VID_MESSAGE_PORT:
		result = vid_message_port_create(partition, &args.message_port);
		break;
	case VID_GUEST_PAGES:
		result = vid_memory_pages(partition, &args.pages);
		break;
	default:
		result = -ENOTTY;
	}
	mutex_unlock(&partition->lock);
	return result;
}

static long vid_partition_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	struct vid_partition *partition = file->private_data;
	void __user *user = (void __user *)argument;

	switch (command) {
	case MSHV_ROOT_HVCALL:
		return vid_hv_passthrough(&partition->pool, VID_PASSTHROUGH_PARTITION, user);
	case MSHV_INITIALIZE_PARTITION:
	case MSHV_CREATE_VP:
	case MSHV_SET_GUEST_MEMORY:
	case MSHV_IRQFD:
	case MSHV_IOEVENTFD:
	case MSHV_SET_MSI_ROUTING:
	case VID_EVENT_PORT:
	case VID_MESSAGE_PORT:
	case VID_GUEST_PAGES:
		return vid_partition_change(partition, command, user);
	default:
		return -ENOTTY;
	}
}

static int vid_partition_release(struct inode *inode, struct file *file)
{
	vid_partition_put(file->private_data);
	return 0;
}

static const struct file_operations vid_partition_fops = {
	.owner = THIS_MODULE,
	.release = vid_partition_release,
	.unlocked_ioctl = vid_partition_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static int vid_creation_flags(const struct mshv_create_partition *args, u64 *ret_flags)
{
	u64 flags = HV_PARTITION_FLAG_EXO | HV_PARTITION_FLAG_INTERCEPT_MESSAGE_PAGE;
	u64 known = BIT_ULL(MSHV_PT_BIT_LAPIC) | BIT_ULL(MSHV_PT_BIT_X2APIC) | BIT_ULL(MSHV_PT_BIT_GPA_SUPER_PAGES);

	if (args->pt_flags & ~known || args->pt_isolation != 0)
		return -EINVAL;
	if (args->pt_flags & BIT_ULL(MSHV_PT_BIT_LAPIC))
		flags |= HV_PARTITION_FLAG_LAPIC;
	if (args->pt_flags & BIT_ULL(MSHV_PT_BIT_X2APIC))
		flags |= HV_PARTITION_FLAG_X2APIC;
	if (args->pt_flags & BIT_ULL(MSHV_PT_BIT_GPA_SUPER_PAGES))
		flags |= HV_PARTITION_FLAG_GPA_SUPER_PAGES;
	*ret_flags = flags;
	return 0;
}

static struct vid_partition *vid_partition_alloc(u64 creation_flags)
{
	struct vid_partition *partition = kzalloc(sizeof(*partition), GFP_KERNEL_ACCOUNT);
	int error;

	if (!partition)
		return ERR_PTR(-ENOMEM);
	error = vid_hv_create_partition(creation_flags, &partition->id);
	if (error) {
		kfree(partition);
		return ERR_PTR(error);
	}
	kref_init(&partition->refs);
	partition->pool.partition_id = partition->id;
	partition->state = VID_PARTITION_CREATED;
	mutex_init(&partition->lock);
	spin_lock_init(&partition->irqfd_lock);
	INIT_LIST_HEAD(&partition->regions);
	INIT_LIST_HEAD(&partition->ports);
	vid_partition_register(partition);
	return partition;
}

int vid_partition_create(const struct mshv_create_partition *args)
{
	struct vid_partition *partition;
	struct file *file;
	u64 flags;
	int fd, error;

	error = vid_creation_flags(args, &flags);
	if (error)
		return error;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	partition = vid_partition_alloc(flags);
	if (IS_ERR(partition)) {
		put_unused_fd(fd);
		return PTR_ERR(partition);
	}
	file = anon_inode_getfile("mshv_partition", &vid_partition_fops, partition, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		vid_partition_put(partition);
		return PTR_ERR(file);
	}
	vid_stats_add_partition(partition);
	fd_install(fd, file);
	return fd;
}
