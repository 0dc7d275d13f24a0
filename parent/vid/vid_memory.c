// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: ranges of a process, pinned for as long as they are mapped into a partition. A region is set once; single
 * pages of it may be released (a balloon took them, or they were never there) and restored, any number of times.
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
	u64 address;			/* in the process */
	u64 pinned;			/* elements of pages[] that are not NULL */
	u32 map_flags;
	struct mm_struct *mm;		/* whose pinned_vm we count in; not its users */
	struct page *pages[];		/* NULL: released */
};

static void vid_region_count(struct vid_region *region, long pages)
{
	region->pinned += pages;
	atomic64_add(pages, &region->mm->pinned_vm);
	atomic_long_add(pages, &vid_live.pinned_pages);
}

/* Elements from i on, before end, that are all pinned, or all not. */
static u64 vid_region_span(const struct vid_region *region, u64 i, u64 end)
{
	u64 k = i + 1;

	while (k < end && !region->pages[k] == !region->pages[i])
		k++;
	return k - i;
}

static void vid_region_unpin(struct vid_region *region, u64 i, u64 end)
{
	u64 part;

	for (; i < end; i += part) {
		part = vid_region_span(region, i, min(end, i + VID_PIN_BATCH));
		if (region->pages[i]) {
			unpin_user_pages_dirty_lock(region->pages + i, part, true);
			memset(region->pages + i, 0, part * sizeof(region->pages[0]));
			vid_region_count(region, -(long)part);
		}
		cond_resched();
	}
}

static void vid_region_free(struct vid_region *region)
{
	vid_region_unpin(region, 0, region->page_count);
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
	region->address = args->userspace_addr;
	region->map_flags = HV_MAP_GPA_READABLE | HV_MAP_GPA_ADJUSTABLE;
	if (args->flags & BIT(MSHV_SET_MEM_BIT_WRITABLE))
		region->map_flags |= HV_MAP_GPA_WRITABLE;
	if (args->flags & BIT(MSHV_SET_MEM_BIT_EXECUTABLE))
		region->map_flags |= HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE;
	region->mm = current->mm;
	mmgrab(region->mm);
	return region;
}

/* Elements that are released. FOLL_WRITE for read-only regions too: else a private page could be copied away from under the
 * guest. On failure some are pinned. */
static int vid_region_pin(struct vid_region *region, u64 i, u64 end)
{
	while (i < end) {
		int part = min_t(u64, end - i, VID_PIN_BATCH);
		int got;

		if (fatal_signal_pending(current))
			return -EINTR;
		got = pin_user_pages_fast(region->address + (i << PAGE_SHIFT), part, FOLL_WRITE | FOLL_LONGTERM,
					  region->pages + i);
		/* Behind what it got, it may have left what it only tried. */
		if (got < part)
			memset(region->pages + i + max(got, 0), 0, (part - max(got, 0)) * sizeof(region->pages[0]));
		if (got <= 0)
			return got ? got : -EFAULT;
		vid_region_count(region, got);
		i += got;
		cond_resched();
	}
	return 0;
}

/* Whether the 512 pages from i on, before end, make one 2 MiB mapping. */
static bool vid_region_is_large(const struct vid_region *region, u64 i, u64 end)
{
	unsigned long pfn;
	u32 k;

	if (end - i < VID_LARGE_PAGES || (region->gpfn + i) % VID_LARGE_PAGES || !region->pages[i])
		return false;
	pfn = page_to_pfn(region->pages[i]);
	if (pfn % VID_LARGE_PAGES)
		return false;
	for (k = 1; k < VID_LARGE_PAGES; k++) {
		if (!region->pages[i + k] || page_to_pfn(region->pages[i + k]) != pfn + k)
			return false;
	}
	return true;
}

/* The longest run of pinned elements from i on, before end, that one hypercall takes: all large, or all small. Returns the
 * hypercall's elements; *ret_pages is what they cover. */
static u32 vid_region_run(const struct vid_region *region, u64 i, u64 end, bool *ret_large, u64 *ret_pages)
{
	bool large = vid_region_is_large(region, i, end);
	u64 stride = large ? VID_LARGE_PAGES : 1;
	u64 next = i + stride;
	u32 reps = 1;

	while (next < end && reps < VID_MAP_REPS_MAX && region->pages[next]) {
		/* Large mappings begin at multiples of 2 MiB only, so that is where to look again. */
		if ((large || (region->gpfn + next) % VID_LARGE_PAGES == 0) &&
		    vid_region_is_large(region, next, end) != large)
			break;
		reps++;
		next += stride;
	}
	*ret_large = large;
	*ret_pages = next - i;
	return reps;
}

/* Where nothing was restored since, these are the same runs as for mapping, so the hypervisor has no large mapping to split. */
static int vid_region_unmap(struct vid_partition *partition, const struct vid_region *region, u64 i, u64 end)
{
	bool large;
	u64 part;
	u32 reps;
	int error;

	for (; i < end; i += part) {
		if (!region->pages[i]) {
			part = vid_region_span(region, i, end);
			continue;
		}
		reps = vid_region_run(region, i, end, &large, &part);
		error = vid_hv_unmap_pages(&partition->pool, region->gpfn + i, large, reps);
		if (error)
			return error;
		cond_resched();
	}
	return 0;
}

/* Elements that are pinned. */
static int vid_region_map(struct vid_partition *partition, struct vid_region *region, u64 i, u64 end)
{
	bool large;
	u64 part;
	u32 reps;
	int error;

	for (; i < end; i += part) {
		reps = vid_region_run(region, i, end, &large, &part);
		error = vid_hv_map_pages(&partition->pool, region->gpfn + i, region->map_flags, large,
					 region->pages + i, reps);
		if (error)
			return error;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static void vid_region_add(struct vid_partition *partition, struct vid_region *region)
{
	list_add(&region->node, &partition->regions);
	atomic_long_add(region->pinned, &partition->pinned_pages);
	atomic_long_inc(&vid_live.regions);
}

static void vid_region_remove(struct vid_partition *partition, struct vid_region *region)
{
	list_del(&region->node);
	atomic_long_sub(region->pinned, &partition->pinned_pages);
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
	error = vid_region_pin(region, 0, region->page_count);
	if (error) {
		vid_region_free(region);
		return error;
	}
	error = vid_region_map(partition, region, 0, region->page_count);
	if (error && vid_region_unmap(partition, region, 0, region->page_count) == 0) {
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
		error = vid_region_unmap(partition, region, 0, region->page_count);
		if (error)
			return error;
		vid_region_remove(partition, region);
		vid_region_free(region);
		return 0;
	}
	return -ENOENT;
}

/* Run by run, so that a page is either the guest's and pinned, or neither; but for one that the hypervisor neither takes
 * away nor gives back, which stays pinned. */
static int vid_region_release(struct vid_partition *partition, struct vid_region *region, u64 i, u64 end)
{
	u64 part;
	bool large;
	int error;

	for (; i < end; i += part) {
		if (!region->pages[i]) {
			part = vid_region_span(region, i, end);
			continue;
		}
		vid_region_run(region, i, end, &large, &part);
		error = vid_region_unmap(partition, region, i, i + part);
		if (error) {
			if (vid_region_map(partition, region, i, i + part))
				pr_warn_ratelimited("vid: partition %llu: pages at %#llx are lost to the guest\n",
						    partition->id, (region->gpfn + i) << PAGE_SHIFT);
			return error;
		}
		vid_region_unpin(region, i, i + part);
		atomic_long_sub(part, &partition->pinned_pages);
		if (fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

static int vid_region_restore(struct vid_partition *partition, struct vid_region *region, u64 i, u64 end)
{
	u64 part, pinned;
	int error;

	if (region->mm != current->mm)
		return -EPERM;
	for (; i < end; i += part) {
		part = vid_region_span(region, i, end);
		if (region->pages[i])
			continue;
		pinned = region->pinned;
		error = vid_region_pin(region, i, i + part);
		if (!error)
			error = vid_region_map(partition, region, i, i + part);
		if (error && vid_region_unmap(partition, region, i, i + part) == 0)
			vid_region_unpin(region, i, i + part);
		atomic_long_add(region->pinned - pinned, &partition->pinned_pages);
		if (error)
			return error;
	}
	return 0;
}

static struct vid_region *vid_region_at(struct vid_partition *partition, u64 gpfn)
{
	struct vid_region *region;

	list_for_each_entry(region, &partition->regions, node) {
		if (vid_region_overlaps(region, gpfn, 1))
			return region;
	}
	return NULL;
}

int vid_memory_pages(struct vid_partition *partition, const struct vid_guest_pages *args)
{
	bool restore = args->operation == VID_GUEST_PAGES_RESTORE;
	u64 gpfn = args->guest_pfn, end, first, part;
	struct vid_region *region;
	int error = 0;

	if (args->rsvd || (!restore && args->operation != VID_GUEST_PAGES_RELEASE))
		return -EINVAL;
	if (args->page_count == 0 || gpfn >= VID_GPFN_LIMIT || args->page_count > VID_GPFN_LIMIT - gpfn)
		return -EINVAL;
	if (partition->state != VID_PARTITION_ACTIVE)
		return -EINVAL;
	for (end = gpfn + args->page_count; gpfn < end && !error; gpfn += part) {
		region = vid_region_at(partition, gpfn);
		if (!region)
			return -ENOENT;
		first = gpfn - region->gpfn;
		part = min(end - gpfn, region->page_count - first);
		error = restore ? vid_region_restore(partition, region, first, first + part)
				: vid_region_release(partition, region, first, first + part);
	}
	return error;
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
