// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/undercroft:
 *
 *   hypervisor                   the hypervisor's own counters
 *   log                          its log ring, oldest byte first
 *   live                         what this driver holds for partitions: all zero when there is none
 *   driver                       what it has seen since it was loaded
 *   partitions/<id>/partition    counters of the partition, hypervisor's and driver's
 *   partitions/<id>/vp<n>        counters of a VP
 *
 * Each file has lines of "name value". debugfs waits for readers before a file goes, so a file's object may go after it.
 */
#include <linux/debugfs.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vid.h"

#define VID_STATS_COUNTERS (HV_PAGE_BYTES / sizeof(u64))

/* The ring's head: bytes ever written; the newest is at (head - 1) % size. */
struct vid_log_ring {
	u64 magic;
	u64 size_bytes;
	u64 head;
	u8 rsvd[40];
	char text[];
};

static struct dentry *vid_debugfs_root;
static struct dentry *vid_debugfs_partitions;
static struct vid_stats_page vid_hypervisor_stats = { .object_type = HV_STATS_OBJECT_HYPERVISOR };
static struct vid_log_ring *vid_log;
static u64 vid_log_size;	/* of text[], checked against the place it has */

static void vid_stats_map(struct vid_pool *pool, struct vid_stats_page *page)
{
	const u64 *counters;
	u64 gpfn;

	if (vid_hv_map_stats(pool, page->object_type, page->identity, &gpfn))
		return;
	counters = memremap(gpfn << HV_PAGE_SHIFT, HV_PAGE_BYTES, MEMREMAP_WB);
	smp_store_release(&page->counters, counters); /* a partition's file is there before its page */
	if (!counters)
		(void)vid_hv_unmap_stats(page->object_type, page->identity); /* goes with the object */
}

static void vid_stats_unmap(struct vid_stats_page *page)
{
	if (!page->counters)
		return;
	memunmap((void *)page->counters);
	page->counters = NULL;
	(void)vid_hv_unmap_stats(page->object_type, page->identity); /* goes with the object */
}

/* Which counters have names, and what they are. */
struct vid_counter_name {
	u32 index;
	const char *name;
};

static void vid_show_counters(struct seq_file *out, const struct vid_stats_page *page,
			      const struct vid_counter_name *names, size_t count)
{
	const u64 *counters = smp_load_acquire(&page->counters);
	size_t i;

	if (!counters)
		return;
	for (i = 0; i < count; i++)
		seq_printf(out, "%s %llu\n", names[i].name, READ_ONCE(counters[names[i].index]));
}

/* Counters that go by number; those that never counted are left out. */
static void vid_show_numbered(struct seq_file *out, const struct vid_stats_page *page, const char *name, u32 base,
			      u32 count)
{
	const u64 *counters = smp_load_acquire(&page->counters);
	u64 value;
	u32 i;

	if (!counters || WARN_ON_ONCE(base + count > VID_STATS_COUNTERS))
		return;
	for (i = 0; i < count; i++) {
		value = READ_ONCE(counters[base + i]);
		if (value)
			seq_printf(out, "%s.%u %llu\n", name, i, value);
	}
}

static const struct vid_counter_name vid_hypervisor_names[] = {
	{ HV_STATS_HV_LP_COUNT, "logical_processors" },
	{ HV_STATS_HV_PARTITIONS, "partitions" },
	{ HV_STATS_HV_VPS, "vps" },
	{ HV_STATS_HV_DEPOSITED_PAGES, "deposited_pages" },
	{ HV_STATS_HV_MAPPED_PAGES, "mapped_pages" },
	{ HV_STATS_HV_ROOT_FREE_PAGES, "root_free_pages" },
	{ HV_STATS_HV_TSC_HZ, "tsc_hz" },
};

static int hypervisor_show(struct seq_file *out, void *unused)
{
	vid_show_counters(out, &vid_hypervisor_stats, vid_hypervisor_names, ARRAY_SIZE(vid_hypervisor_names));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hypervisor);

static int live_show(struct seq_file *out, void *unused)
{
	seq_printf(out, "partitions %ld\n", atomic_long_read(&vid_live.partitions));
	seq_printf(out, "vps %ld\n", atomic_long_read(&vid_live.vps));
	seq_printf(out, "regions %ld\n", atomic_long_read(&vid_live.regions));
	seq_printf(out, "pinned_pages %ld\n", atomic_long_read(&vid_live.pinned_pages));
	seq_printf(out, "deposited_pages %ld\n", atomic_long_read(&vid_live.deposited_pages));
	seq_printf(out, "irqfds %ld\n", atomic_long_read(&vid_live.irqfds));
	seq_printf(out, "ioeventfds %ld\n", atomic_long_read(&vid_live.ioeventfds));
	seq_printf(out, "ports %ld\n", atomic_long_read(&vid_live.ports));
	seq_printf(out, "messages_waiting %ld\n", atomic_long_read(&vid_live.messages_waiting));
	seq_printf(out, "leaked_pages %ld\n", atomic_long_read(&vid_live.leaked_pages));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(live);

static int driver_show(struct seq_file *out, void *unused)
{
	seq_printf(out, "wake_messages %ld\n", atomic_long_read(&vid_events.wake_messages));
	seq_printf(out, "wake_overflows %ld\n", atomic_long_read(&vid_events.wake_overflows));
	seq_printf(out, "strange_messages %ld\n", atomic_long_read(&vid_events.strange_messages));
	seq_printf(out, "root_deposited_pages %ld\n", atomic_long_read(&vid_root_pool.pages));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(driver);

static const struct vid_counter_name vid_partition_names[] = {
	{ HV_STATS_PARTITION_DEPOSITED_PAGES, "deposited_pages" },
	{ HV_STATS_PARTITION_USED_PAGES, "used_pages" },
	{ HV_STATS_PARTITION_MAPPED_PAGES, "mapped_pages" },
};

static int partition_show(struct seq_file *out, void *unused)
{
	struct vid_partition *partition = out->private;

	vid_show_counters(out, &partition->stats, vid_partition_names, ARRAY_SIZE(vid_partition_names));
	seq_printf(out, "driver_deposited_pages %ld\n", atomic_long_read(&partition->pool.pages));
	seq_printf(out, "driver_pinned_pages %ld\n", atomic_long_read(&partition->pinned_pages));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(partition);

static const struct vid_counter_name vid_vp_names[] = {
	{ HV_STATS_VP_RUNTIME_100NS, "runtime_100ns" },
	{ HV_STATS_VP_DISPATCHES, "dispatches" },
	{ HV_STATS_VP_BLOCKS, "blocks" },
	{ HV_STATS_VP_INTERCEPTS, "intercepts" },
};

static int vp_show(struct seq_file *out, void *unused)
{
	struct vid_vp *vp = out->private;

	vid_show_counters(out, &vp->stats, vid_vp_names, ARRAY_SIZE(vid_vp_names));
	vid_show_numbered(out, &vp->stats, "exit", HV_STATS_VP_EXIT_BASE, HV_STATS_VP_EXIT_COUNT);
	vid_show_numbered(out, &vp->stats, "hypercall", HV_STATS_VP_HYPERCALL_BASE, HV_STATS_VP_HYPERCALL_COUNT);
	seq_printf(out, "driver_dispatches %llu\n", READ_ONCE(vp->dispatches));
	seq_printf(out, "driver_blocks %llu\n", READ_ONCE(vp->blocks));
	seq_printf(out, "driver_intercepts %llu\n", READ_ONCE(vp->intercepts));
	seq_printf(out, "driver_resolved %llu\n", READ_ONCE(vp->resolved));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vp);

/* ---- log ---- */

static u64 vid_log_oldest(u64 head)
{
	return head > vid_log_size ? head - vid_log_size : 0;
}

static int log_open(struct inode *inode, struct file *file)
{
	u64 *base = kmalloc(sizeof(*base), GFP_KERNEL);

	if (!base)
		return -ENOMEM;
	*base = vid_log_oldest(READ_ONCE(vid_log->head));
	file->private_data = base;
	return 0;
}

static int log_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

/* Copies [from, from + bytes) of the text as it was written; the ring wraps at most once in a page. */
static void vid_log_copy(char *to, u64 from, size_t bytes)
{
	u64 offset;
	size_t part;

	div64_u64_rem(from, vid_log_size, &offset);
	part = min_t(u64, bytes, vid_log_size - offset);
	memcpy(to, vid_log->text + offset, part);
	memcpy(to + part, vid_log->text, bytes - part);
}

/* File position 0 is the oldest byte at open. What the writer overtakes is skipped, never shown torn. */
static ssize_t log_read(struct file *file, char __user *user, size_t count, loff_t *position)
{
	const u64 *base = file->private_data;
	char *bounce;
	u64 from, head;
	ssize_t result;

	if (*position < 0)
		return -EINVAL;
	bounce = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!bounce)
		return -ENOMEM;
	do {
		head = smp_load_acquire(&vid_log->head);
		from = max(*base + (u64)*position, vid_log_oldest(head));
		result = from < head ? min3((u64)count, head - from, min_t(u64, PAGE_SIZE, vid_log_size)) : 0;
		vid_log_copy(bounce, from, result);
		smp_rmb(); /* the text was read before the head is looked at again */
	} while (from < vid_log_oldest(READ_ONCE(vid_log->head)) && !signal_pending(current));
	if (result && copy_to_user(user, bounce, result))
		result = -EFAULT;
	else
		*position = from - *base + result;
	kfree(bounce);
	return result;
}

static const struct file_operations log_fops = {
	.owner = THIS_MODULE,
	.open = log_open,
	.release = log_release,
	.read = log_read,
	.llseek = default_llseek,
};

static void vid_log_map(void)
{
	u64 gpa, bytes;

	vid_arch_log_location(&gpa, &bytes);
	if (bytes <= sizeof(*vid_log) || gpa % PAGE_SIZE)
		return;
	vid_log = memremap(gpa, bytes, MEMREMAP_WB);
	if (!vid_log)
		return;
	vid_log_size = READ_ONCE(vid_log->size_bytes);
	if (vid_log_size == 0 || vid_log_size > bytes - sizeof(*vid_log)) {
		pr_warn("vid: the hypervisor's log ring has no sane size (%llu of %llu bytes)\n", vid_log_size, bytes);
		memunmap(vid_log);
		vid_log = NULL;
	}
}

/* ---- objects come and go ---- */

void vid_stats_add_vp(struct vid_vp *vp)
{
	char name[16];

	vp->stats.object_type = HV_STATS_OBJECT_VP;
	memcpy(vp->stats.identity, &vp->partition->id, sizeof(vp->partition->id));
	memcpy(vp->stats.identity + 8, &vp->index, sizeof(vp->index));
	vid_stats_map(&vp->partition->pool, &vp->stats);
	snprintf(name, sizeof(name), "vp%u", vp->index);
	vp->debugfs = debugfs_create_file(name, 0400, vp->partition->debugfs, vp, &vp_fops);
}

void vid_stats_remove_vp(struct vid_vp *vp)
{
	debugfs_remove(vp->debugfs);
	vid_stats_unmap(&vp->stats);
}

void vid_stats_add_partition(struct vid_partition *partition)
{
	char name[24];

	snprintf(name, sizeof(name), "%llu", partition->id);
	partition->stats.object_type = HV_STATS_OBJECT_PARTITION;
	memcpy(partition->stats.identity, &partition->id, sizeof(partition->id));
	partition->debugfs = debugfs_create_dir(name, vid_debugfs_partitions);
	debugfs_create_file("partition", 0400, partition->debugfs, partition, &partition_fops);
}

void vid_stats_activate_partition(struct vid_partition *partition)
{
	vid_stats_map(&partition->pool, &partition->stats);
}

void vid_stats_remove_partition(struct vid_partition *partition)
{
	debugfs_remove(partition->debugfs);
	vid_stats_unmap(&partition->stats);
}

void vid_stats_init(void)
{
	vid_stats_map(&vid_root_pool, &vid_hypervisor_stats);
	vid_log_map();
	vid_debugfs_root = debugfs_create_dir("undercroft", NULL);
	vid_debugfs_partitions = debugfs_create_dir("partitions", vid_debugfs_root);
	debugfs_create_file("live", 0400, vid_debugfs_root, NULL, &live_fops);
	debugfs_create_file("driver", 0400, vid_debugfs_root, NULL, &driver_fops);
	if (vid_hypervisor_stats.counters)
		debugfs_create_file("hypervisor", 0400, vid_debugfs_root, NULL, &hypervisor_fops);
	if (vid_log)
		debugfs_create_file("log", 0400, vid_debugfs_root, NULL, &log_fops);
}

void vid_stats_fini(void)
{
	debugfs_remove(vid_debugfs_root);
	vid_stats_unmap(&vid_hypervisor_stats);
	if (vid_log)
		memunmap(vid_log);
	vid_log = NULL;
}
