// SPDX-License-Identifier: Apache-2.0
#include "worker/guest_ram.h"

#include <errno.h>
#include <sys/mman.h>

/* A range of RAM may lie in several slots: the high one and what was added adjoin. Calls `each` for its parts. */
static int for_each_part(struct backend *b, const struct guest_mem *mem, uint64_t gpa, uint64_t bytes,
			 int (*each)(struct backend *b, uint64_t gpa, void *host, uint64_t bytes, struct failure *why),
			 struct failure *why)
{
	int r = 0;

	while (r == 0 && bytes) {
		uint64_t part = bytes;
		void *host;

		/* Halves meet the border soon enough; whole ranges are the rule. */
		while (!(host = guest_mem_range(mem, gpa, part)) && part > HV_PAGE_BYTES)
			part = part / 2 & ~(uint64_t)(HV_PAGE_BYTES - 1);
		if (!host)
			return failure_set(why, -EINVAL, "memory: there is no RAM at %#llx", (unsigned long long)gpa);
		r = each(b, gpa, host, part, why);
		gpa += part;
		bytes -= part;
	}
	return r;
}

static bool is_pages(uint64_t gpa, uint64_t bytes)
{
	return gpa % HV_PAGE_BYTES == 0 && bytes % HV_PAGE_BYTES == 0 && bytes > 0 && bytes <= UINT64_MAX - gpa;
}

static int refuse(uint64_t gpa, uint64_t bytes, struct failure *why)
{
	return failure_set(why, -EINVAL, "memory: %llu bytes at %#llx are no range that can come or go",
			   (unsigned long long)bytes, (unsigned long long)gpa);
}

/* First the guest, then the pages: else it would write to what is somebody else's. */
static int take_part(struct backend *b, uint64_t gpa, void *host, uint64_t bytes, struct failure *why)
{
	int r = b->ops->release(b, gpa, bytes, why);

	if (r == 0 && madvise(host, (size_t)bytes, MADV_DONTNEED))
		r = failure_set(why, -errno, "memory: %llu KiB at %#llx cannot be thrown away",
				(unsigned long long)(bytes >> 10), (unsigned long long)gpa);
	return r;
}

/* A device may have written there since: what is given back is zeroed. */
static int return_part(struct backend *b, uint64_t gpa, void *host, uint64_t bytes, struct failure *why)
{
	int r = take_part(b, gpa, host, bytes, why);

	return r ? r : b->ops->restore(b, gpa, bytes, why);
}

int guest_ram_take(struct backend *b, const struct guest_mem *mem, uint64_t gpa, uint64_t bytes, struct failure *why)
{
	return is_pages(gpa, bytes) ? for_each_part(b, mem, gpa, bytes, take_part, why) : refuse(gpa, bytes, why);
}

int guest_ram_return(struct backend *b, const struct guest_mem *mem, uint64_t gpa, uint64_t bytes, struct failure *why)
{
	int r;

	if (!is_pages(gpa, bytes))
		return refuse(gpa, bytes, why);
	r = for_each_part(b, mem, gpa, bytes, return_part, why);
	if (r)
		(void)for_each_part(b, mem, gpa, bytes, take_part, NULL);	/* the first reason is the one to tell */
	return r;
}

/* Of [gpa, end): so much of the beginning is RAM already, or is not. */
static uint64_t same_from(const struct guest_mem *mem, uint64_t gpa, uint64_t end)
{
	uint64_t at = gpa + GUEST_MEM_ALIGN;

	while (at < end && guest_mem_is_grown(mem, at) == guest_mem_is_grown(mem, gpa))
		at += GUEST_MEM_ALIGN;
	return at - gpa;
}

int guest_ram_add(struct backend *b, struct guest_mem *mem, uint64_t gpa, uint64_t bytes, struct failure *why)
{
	uint8_t *host = guest_mem_growth_host(mem, gpa, bytes);
	uint64_t at = gpa, end = gpa + bytes, part;
	int r = 0;

	if (!host)
		return refuse(gpa, bytes, why);
	for (; r == 0 && at < end; at += r ? 0 : part) {
		part = same_from(mem, at, end);
		if (guest_mem_is_grown(mem, at)) {
			r = return_part(b, at, host + (at - gpa), part, why);
			continue;
		}
		r = b->ops->map(b, at, host + (at - gpa), part, why);
		if (r == 0)
			guest_mem_grow(mem, at, part);
	}
	/* What failed may be there in part, if it was there before. */
	if (r && guest_mem_is_grown(mem, at))
		at += part;
	if (r && at > gpa)
		(void)take_part(b, gpa, host, at - gpa, NULL);
	return r;
}
