// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: ranges of a process, pinned for as long as they are mapped into a partition.
 *
 * A page is given back to the process only when the hypervisor has said that the guest no longer reaches it. Where it
 * refuses to say so, the region stays, in the way of others and pinned, until the partition is finalized; and for good
 * if even that fails. Pinned pages are counted in the process' mm (VmPin) but not held against RLIMIT_MEMLOCK: who has
 * the partition's descriptor was given it by the owner of the device node.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vid.h"

#define VID_PIN_BATCH 512u
#define VID_GPFN_LIMIT (1ull << (52 - HV_PAGE_SHIFT))

struct vid_region {
	struct list_head node;		/* partition->regions */
	u64 gpfn;
	u64 page_count;
	u64 pinned;			/* leading elements of pages[] that are pinned */
	u32 map_flags;
	struct mm_struct *mm;		/* whose pinned_vm we count in; not its users */
	struct page *pages[];
};

static void vid_region_free(struct vid_region *region)
{
	u64 done, part;

	for (done = 0; done < region->pinned; done += part) {
		part = min_t(u64, region->pinned - done, VID_PIN_BATCH);
		unpin_user_pages_dirty_lock(region->pages + done, part, true);
		cond_resched();
	}
	atomic64_sub(region->pinned, &region->mm->pinned_vm);
	atomic_long_sub(region->pinned, &vid_live.pinned_pages);
	mmdrop(region->mm);
	kvfree(region);
}

static struct vid_region *vid_region_alloc(const struct mshv_user_mem_region *args)
{
	u64 count = args->size >> PAGE_SHIFT;
	struct vid_region *region;

	if (count > (INT_MAX - sizeof(*region)) / sizeof(struct page *))
		return ERR_PTR(-E2BIG);
	region = kvzalloc(struct_size(region, pages, count), GFP_KERNEL_ACCOUNT);
	if (!region)
		return ERR_PTR(-ENOMEM);
	region->gpfn = args->guest_pfn;
	region->page_count = count;
	region->map_flags = HV_MAP_GPA_READABLE | HV_MAP_GPA_ADJUSTABLE;
	if (args->flags & BIT(MSHV_SET_MEM_BIT_WRITABLE))
		region->map_flags |= HV_MAP_GPA_WRITABLE;
	if (args->flags & BIT(MSHV_SET_MEM_BIT_EXECUTABLE))
		region->map_flags |= HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE;
	region->mm = current->mm;
	mmgrab(region->mm);
	return region;
}

/* FOLL_WRITE for read-only regions too: else a private page could be copied away from under the guest. */
static int vid_region_pin(struct vid_region *region, u64 address)
{
	while (region->pinned < region->page_count) {
		int part = min_t(u64, region->page_count - region->pinned, VID_PIN_BATCH);
		int got;

		if (fatal_signal_pending(current))
			return -EINTR;
		got = pin_user_pages_fast(address + (region->pinned << PAGE_SHIFT), part, FOLL_WRITE | FOLL_LONGTERM,
					  region->pages + region->pinned);
		if (got <= 0)
			return got ? got : -EFAULT;
		region->pinned += got;
		atomic64_add(got, &region->mm->pinned_vm);
		atomic_long_add(got, &vid_live.pinned_pages);
		cond_resched();
	}
	return 0;
}

/* Whether the 512 pages from i on make one 2 MiB mapping. */
static bool vid_region_is_large(const struct vid_region *region, u64 i)
{
	unsigned long pfn;
	u32 k;

	if (region->page_count - i < VID_LARGE_PAGES || (region->gpfn + i) % VID_LARGE_PAGES)
		return false;
	pfn = page_to_pfn(region->pages[i]);
	if (pfn % VID_LARGE_PAGES)
		return false;
	for (k = 1; k < VID_LARGE_PAGES; k++) {
		if (page_to_pfn(region->pages[i + k]) != pfn + k)
			return false;
	}
	return true;
}

/* The longest run from `from` on that one hypercall takes: all large, or all small. Returns its elements. */
static u32 vid_region_run(const struct vid_region *region, u64 from, bool *ret_large)
{
	bool large = vid_region_is_large(region, from);
	u64 stride = large ? VID_LARGE_PAGES : 1;
	u64 i = from + stride;
	u32 reps = 1;

	while (i < region->page_count && reps < VID_MAP_REPS_MAX) {
		/* Large mappings begin at multiples of 2 MiB only, so that is where to look again. */
		if ((large || (region->gpfn + i) % VID_LARGE_PAGES == 0) && vid_region_is_large(region, i) != large)
			break;
		reps++;
		i += stride;
	}
	*ret_large = large;
	return reps;
}

/* Same runs as for mapping, so the hypervisor never has to split a large mapping. */
static int vid_region_unmap(struct vid_partition *partition, const struct vid_region *region)
{
	bool large;
	u64 i = 0;
	u32 reps;
	int error;

	while (i < region->page_count) {
		reps = vid_region_run(region, i, &large);
		error = vid_hv_unmap_pages(&partition->pool, region->gpfn + i, large, reps);
		if (error)
			return error;
		i += (u64)reps * (large ? VID_LARGE_PAGES : 1);
		cond_resched();
	}
	return 0;
}

static int vid_region_map(struct vid_partition *partition, struct vid_region *region)
{
	bool large;
	u64 i = 0;
	u32 reps;
	int error;

	while (i < region->page_count) {
		reps = vid_region_run(region, i, &large);
		error = vid_hv_map_pages(&partition->pool, region->gpfn + i, region->map_flags, large,
					 region->pages + i, reps);
		if (error)
			return error;
		i += (u64)reps * (large ? VID_LARGE_PAGES : 1);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static void vid_region_add(struct vid_partition *partition, struct vid_region *region)
{
	list_add(&region->node, &partition->regions);
	atomic_long_add(region->page_count, &partition->pinned_pages);
	atomic_long_inc(&vid_live.regions);
}

static void vid_region_remove(struct vid_partition *partition, struct vid_region *region)
{
	list_del(&region->node);
	atomic_long_sub(region->page_count, &partition->pinned_pages);
	atomic_long_dec(&vid_live.regions);
}

static bool vid_region_overlaps(const struct vid_region *region, u64 gpfn, u64 page_count)
{
	return gpfn < region->gpfn + region->page_count && region->gpfn < gpfn + page_count;
}

static int vid_memory_map(struct vid_partition *partition, const struct mshv_user_mem_region *args)
{
	struct vid_region *region;
	int error;

	list_for_each_entry(region, &partition->regions, node) {
		if (vid_region_overlaps(region, args->guest_pfn, args->size >> PAGE_SHIFT))
			return -EEXIST;
	}
	region = vid_region_alloc(args);
	if (IS_ERR(region))
		return PTR_ERR(region);
	error = vid_region_pin(region, args->userspace_addr);
	if (error) {
		vid_region_free(region);
		return error;
	}
	error = vid_region_map(partition, region);
	if (error && vid_region_unmap(partition, region) == 0) {
		vid_region_free(region);
		return error;
	}
	vid_region_add(partition, region);
	return error;
}

static int vid_memory_unmap(struct vid_partition *partition, const struct mshv_user_mem_region *args)
{
	u64 page_count = args->size >> PAGE_SHIFT;
	struct vid_region *region;
	int error;

	list_for_each_entry(region, &partition->regions, node) {
		if (!vid_region_overlaps(region, args->guest_pfn, page_count))
			continue;
		if (region->gpfn != args->guest_pfn || region->page_count != page_count)
			return -EINVAL;
		error = vid_region_unmap(partition, region);
		if (error)
			return error;
		vid_region_remove(partition, region);
		vid_region_free(region);
		return 0;
	}
	return -ENOENT;
}

static int vid_memory_check(const struct mshv_user_mem_region *args)
{
	const u8 unmap = BIT(MSHV_SET_MEM_BIT_UNMAP);
	const u8 rights = BIT(MSHV_SET_MEM_BIT_WRITABLE) | BIT(MSHV_SET_MEM_BIT_EXECUTABLE);

	if (memchr_inv(args->rsvd, 0, sizeof(args->rsvd)) || args->flags & ~(unmap | rights))
		return -EINVAL;
	if (args->size == 0 || args->size % PAGE_SIZE)
		return -EINVAL;
	if (args->guest_pfn >= VID_GPFN_LIMIT || args->size >> PAGE_SHIFT > VID_GPFN_LIMIT - args->guest_pfn)
		return -EINVAL;
	if (args->flags & unmap)
		return args->flags == unmap ? 0 : -EINVAL;
	if (args->userspace_addr % PAGE_SIZE)
		return -EINVAL;
	return access_ok(u64_to_user_ptr(args->userspace_addr), args->size) ? 0 : -EFAULT;
}

int vid_memory_set(struct vid_partition *partition, const struct mshv_user_mem_region *args)
{
	int error = vid_memory_check(args);

	if (error)
		return error;
	if (partition->state != VID_PARTITION_ACTIVE)
		return -EINVAL;
	if (args->flags & BIT(MSHV_SET_MEM_BIT_UNMAP))
		return vid_memory_unmap(partition, args);
	return vid_memory_map(partition, args);
}

/* Last step of a partition's life. unmapped: the hypervisor has confirmed that the guest reaches nothing any more. */
void vid_memory_release(struct vid_partition *partition, bool unmapped)
{
	struct vid_region *region, *next;

	list_for_each_entry_safe(region, next, &partition->regions, node) {
		vid_region_remove(partition, region);
		if (unmapped)
			vid_region_free(region);
		else
			atomic_long_add(region->pinned, &vid_live.leaked_pages);
	}
}
