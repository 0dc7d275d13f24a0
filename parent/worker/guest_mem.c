// SPDX-License-Identifier: Apache-2.0
#include "worker/guest_mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Zeroed memory that begins on a large page; what munmap takes goes to *out_mapping and *out_mapping_bytes. */
static uint8_t *map_ram(uint64_t bytes, void **out_mapping, size_t *out_mapping_bytes, struct failure *why)
{
	size_t mapping_bytes;
	uintptr_t start;
	void *mapping;

	if (bytes == 0 || bytes % GUEST_MEM_ALIGN || bytes > SIZE_MAX - GUEST_MEM_ALIGN) {
		(void)failure_set(why, -EINVAL, "memory: %llu bytes is no multiple of 2 MiB", (unsigned long long)bytes);
		errno = EINVAL;
		return NULL;
	}
	/* mmap aligns to 4 KiB; the slack lets the RAM begin on a large page of the host as well. */
	mapping_bytes = (size_t)(bytes + GUEST_MEM_ALIGN);
	/* Private: stock kernels give huge pages to anonymous memory on request, but not to shared memory. The driver pins the
	 * pages and nothing is forked here, so that no copy can come between guest and worker. */
	mapping = mmap(NULL, mapping_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED) {
		(void)failure_set(why, -ENOMEM, "memory: cannot map %llu MiB: %s", (unsigned long long)(bytes >> 20),
				  strerror(errno));
		errno = ENOMEM;
		return NULL;
	}
	start = ((uintptr_t)mapping + GUEST_MEM_ALIGN - 1) & ~(uintptr_t)(GUEST_MEM_ALIGN - 1);
	(void)madvise((void *)start, (size_t)bytes, MADV_HUGEPAGE); /* a wish: kernels without it work too */
	(void)madvise((void *)start, (size_t)bytes, MADV_DONTDUMP); /* a core file is ours, not the guest's */
	(void)madvise((void *)start, (size_t)bytes, MADV_DONTFORK);
	*out_mapping = mapping;
	*out_mapping_bytes = mapping_bytes;
	return (uint8_t *)start;
}

int guest_mem_init(struct guest_mem *mem, uint64_t size_bytes, struct failure *why)
{
	uint8_t *start;

	memset(mem, 0, sizeof *mem);
	start = map_ram(size_bytes, &mem->mapping, &mem->mapping_bytes, why);
	if (!start)
		return -errno;
	mem->size_bytes = size_bytes;
	mem->slot[0] = (struct guest_mem_slot){
		.gpa = 0,
		.size_bytes = size_bytes < GUEST_MEM_LOW_MAX ? size_bytes : GUEST_MEM_LOW_MAX,
		.host = start,
	};
	mem->slot_count = 1;
	if (size_bytes > GUEST_MEM_LOW_MAX) {
		mem->slot[1] = (struct guest_mem_slot){
			.gpa = GUEST_MEM_HIGH_BASE,
			.size_bytes = size_bytes - GUEST_MEM_LOW_MAX,
			.host = start + GUEST_MEM_LOW_MAX,
		};
		mem->slot_count = 2;
	}
	return 0;
}

int guest_mem_reserve(struct guest_mem *mem, uint64_t bytes, struct failure *why)
{
	uint64_t units = bytes / GUEST_MEM_ALIGN;
	uint64_t gpa = (guest_mem_top(mem) + GUEST_MEM_GROWTH_ALIGN - 1) & ~(GUEST_MEM_GROWTH_ALIGN - 1);
	uint8_t *host;

	if (bytes == 0)
		return 0;
	mem->grown = calloc(units / 64 + 1, sizeof *mem->grown);
	if (!mem->grown)
		return failure_set(why, -ENOMEM, "memory: cannot keep account of %llu MiB", (unsigned long long)(bytes >> 20));
	host = map_ram(bytes, &mem->growth_mapping, &mem->growth_mapping_bytes, why);
	if (!host) {
		int r = -errno;

		free(mem->grown);
		mem->grown = NULL;
		return r;
	}
	mem->growth = (struct guest_mem_slot){ .gpa = gpa, .size_bytes = bytes, .host = host };
	return 0;
}

void guest_mem_fini(struct guest_mem *mem)
{
	if (mem->growth_mapping)
		(void)munmap(mem->growth_mapping, mem->growth_mapping_bytes);
	free(mem->grown);
	if (mem->mapping)
		(void)munmap(mem->mapping, mem->mapping_bytes);
	memset(mem, 0, sizeof *mem);
}

static void *host_of(const struct guest_mem_slot *slot, uint64_t gpa, uint64_t bytes)
{
	uint64_t offset = gpa - slot->gpa;

	if (gpa < slot->gpa || offset > slot->size_bytes || bytes > slot->size_bytes - offset)
		return NULL;
	return slot->host + offset;
}

bool guest_mem_is_grown(const struct guest_mem *mem, uint64_t gpa)
{
	uint64_t unit = (gpa - mem->growth.gpa) / GUEST_MEM_ALIGN;

	return __atomic_load_n(&mem->grown[unit / 64], __ATOMIC_ACQUIRE) >> unit % 64 & 1;
}

void guest_mem_grow(struct guest_mem *mem, uint64_t gpa, uint64_t bytes)
{
	uint64_t first = (gpa - mem->growth.gpa) / GUEST_MEM_ALIGN;

	for (uint64_t unit = first; unit < first + bytes / GUEST_MEM_ALIGN; unit++)
		(void)__atomic_fetch_or(&mem->grown[unit / 64], 1ull << unit % 64, __ATOMIC_RELEASE);
}

void *guest_mem_growth_host(const struct guest_mem *mem, uint64_t gpa, uint64_t bytes)
{
	if (mem->growth.size_bytes == 0 || gpa % GUEST_MEM_ALIGN || bytes % GUEST_MEM_ALIGN || bytes == 0)
		return NULL;
	return host_of(&mem->growth, gpa, bytes);
}

static void *grown_range(const struct guest_mem *mem, uint64_t gpa, uint64_t bytes)
{
	void *host = mem->growth.size_bytes ? host_of(&mem->growth, gpa, bytes) : NULL;

	if (!host || gpa == mem->growth.gpa + mem->growth.size_bytes)
		return NULL;
	/* An empty range is one where its byte would be. */
	for (uint64_t at = gpa & ~(GUEST_MEM_ALIGN - 1); at < gpa + (bytes ? bytes : 1); at += GUEST_MEM_ALIGN) {
		if (!guest_mem_is_grown(mem, at))
			return NULL;
	}
	return host;
}

void *guest_mem_range(const struct guest_mem *mem, uint64_t gpa, uint64_t bytes)
{
	for (unsigned i = 0; i < mem->slot_count; i++) {
		void *host = host_of(&mem->slot[i], gpa, bytes);

		if (host)
			return host;
	}
	return grown_range(mem, gpa, bytes);
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
	const struct guest_mem_slot *last = mem->growth.size_bytes ? &mem->growth : &mem->slot[mem->slot_count - 1];
	uint64_t top = last->gpa + last->size_bytes;

	return top < GUEST_MEM_HIGH_BASE ? GUEST_MEM_HIGH_BASE : top;
}
