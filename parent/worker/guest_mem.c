// SPDX-License-Identifier: Apache-2.0
#include "worker/guest_mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int guest_mem_init(struct guest_mem *mem, uint64_t size_bytes, struct failure *why)
{
	size_t mapping_bytes;
	uintptr_t start;
	void *mapping;

	memset(mem, 0, sizeof *mem);
	if (size_bytes == 0 || size_bytes % GUEST_MEM_ALIGN || size_bytes > SIZE_MAX - GUEST_MEM_ALIGN)
		return failure_set(why, -EINVAL, "memory: %llu bytes is no multiple of 2 MiB",
				   (unsigned long long)size_bytes);
	/* mmap aligns to 4 KiB; the slack lets the RAM begin on a large page of the host as well. */
	mapping_bytes = (size_t)(size_bytes + GUEST_MEM_ALIGN);
	/* Private: stock kernels give huge pages to anonymous memory on request, but not to shared memory. The driver pins the
	 * pages and nothing is forked here, so that no copy can come between guest and worker. */
	mapping = mmap(NULL, mapping_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED)
		return failure_set(why, -ENOMEM, "memory: cannot map %llu MiB: %s",
				   (unsigned long long)(size_bytes >> 20), strerror(errno));
	start = ((uintptr_t)mapping + GUEST_MEM_ALIGN - 1) & ~(uintptr_t)(GUEST_MEM_ALIGN - 1);
	(void)madvise((void *)start, (size_t)size_bytes, MADV_HUGEPAGE); /* a wish: kernels without it work too */
	(void)madvise((void *)start, (size_t)size_bytes, MADV_DONTDUMP); /* a core file is ours, not the guest's */
	(void)madvise((void *)start, (size_t)size_bytes, MADV_DONTFORK);

	mem->mapping = mapping;
	mem->mapping_bytes = mapping_bytes;
	mem->size_bytes = size_bytes;
	mem->slot[0] = (struct guest_mem_slot){
		.gpa = 0,
		.size_bytes = size_bytes < GUEST_MEM_LOW_MAX ? size_bytes : GUEST_MEM_LOW_MAX,
		.host = (uint8_t *)start,
	};
	mem->slot_count = 1;
	if (size_bytes > GUEST_MEM_LOW_MAX) {
		mem->slot[1] = (struct guest_mem_slot){
			.gpa = GUEST_MEM_HIGH_BASE,
			.size_bytes = size_bytes - GUEST_MEM_LOW_MAX,
			.host = (uint8_t *)start + GUEST_MEM_LOW_MAX,
		};
		mem->slot_count = 2;
	}
	return 0;
}

void guest_mem_fini(struct guest_mem *mem)
{
	if (mem->mapping)
		(void)munmap(mem->mapping, mem->mapping_bytes);
	memset(mem, 0, sizeof *mem);
}

void *guest_mem_range(const struct guest_mem *mem, uint64_t gpa, uint64_t bytes)
{
	for (unsigned i = 0; i < mem->slot_count; i++) {
		const struct guest_mem_slot *slot = &mem->slot[i];
		uint64_t offset = gpa - slot->gpa;

		if (gpa < slot->gpa || offset > slot->size_bytes)
			continue;
		if (bytes > slot->size_bytes - offset)
			continue;
		return slot->host + offset;
	}
	return NULL;
}

bool guest_mem_read(const struct guest_mem *mem, uint64_t gpa, void *to, size_t bytes)
{
	const void *from = guest_mem_range(mem, gpa, bytes);

	if (!from)
		return false;
	memcpy(to, from, bytes);
	return true;
}

bool guest_mem_write(const struct guest_mem *mem, uint64_t gpa, const void *from, size_t bytes)
{
	void *to = guest_mem_range(mem, gpa, bytes);

	if (!to)
		return false;
	memcpy(to, from, bytes);
	return true;
}

uint64_t guest_mem_top(const struct guest_mem *mem)
{
	const struct guest_mem_slot *last = &mem->slot[mem->slot_count - 1];
	uint64_t top = last->gpa + last->size_bytes;

	return top < GUEST_MEM_HIGH_BASE ? GUEST_MEM_HIGH_BASE : top;
}
