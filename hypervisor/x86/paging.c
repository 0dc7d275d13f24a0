/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hypervisor's own map: identity, all supervisor pages, so that it runs under any SMEP/SMAP setting of a guest.
 *   RAM and the LAPIC        read, write, no execution       1 GiB pages (2 MiB in the first 4 GiB)
 *   its block                4 KiB pages: text read+execute, constants read, the rest read+write
 *   stack guards             not mapped
 */
#include "core/mem.h"
#include "core/partition.h"
#include "x86/cpu.h"
#include "x86/x86.h"

#define PTE_P    (1ull << 0)
#define PTE_W    (1ull << 1)
#define PTE_PWT  (1ull << 3)
#define PTE_PCD  (1ull << 4)
#define PTE_LEAF (1ull << 7)
#define PTE_NX   (1ull << 63)
#define PTE_SPA  0x000ffffffffff000ull

static uint64_t *pml4;

static uint64_t *new_table(void)
{
	spa_t page = page_pool_alloc(&root_partition->pool);

	return page.v ? platform_ptr(page) : NULL;
}

/* The entry for `at` at `level`, with tables made on the way down; a larger leaf on the way is split. NULL: no page. */
static uint64_t *entry_for(uint64_t at, unsigned level)
{
	uint64_t *table = pml4;

	for (unsigned l = 3; l > level; l--) {
		uint64_t *e = &table[(at >> (12 + 9 * l)) & 511];

		if (!(*e & PTE_P) || (*e & PTE_LEAF)) {
			uint64_t *t = new_table();

			if (!t)
				return NULL;
			if (*e & PTE_P)
				for (unsigned i = 0; i < 512; i++)
					t[i] = ((*e & ~(l == 1 ? PTE_LEAF : 0ull)) + ((uint64_t)i << (12 + 9 * (l - 1))));
			*e = (uintptr_t)t | PTE_P | PTE_W;
		}
		table = (uint64_t *)(uintptr_t)(*e & PTE_SPA);
	}
	return &table[(at >> (12 + 9 * level)) & 511];
}

static bool map_range(uint64_t from, uint64_t to, unsigned level, uint64_t flags)
{
	for (uint64_t at = from; at < to; at += PAGE_BYTES << (9 * level)) {
		uint64_t *e = entry_for(at, level);

		if (!e)
			return false;
		*e = at | flags | PTE_P | (level ? PTE_LEAF : 0);
	}
	return true;
}

#define GIB (1ull << 30)
#define MIB2 (2ull << 20)

/* Names of PE sections that are not plain data. */
struct section {
	char name[8];
	uint32_t bytes, rva;
	uint32_t rsvd[6];
};
WIRE_SIZE(struct section, 40);

static bool protect_image(uint64_t image)
{
	uint64_t pe = image + *(const uint32_t *)(uintptr_t)(image + 0x3c);
	unsigned sections = *(const uint16_t *)(uintptr_t)(pe + 6);
	const struct section *s = (const void *)(uintptr_t)(pe + 24 + *(const uint16_t *)(uintptr_t)(pe + 20));

	for (unsigned i = 0; i < sections; i++) {
		uint64_t from = image + s[i].rva, to = from + ((s[i].bytes + PAGE_BYTES - 1) & PAGE_MASK);
		uint64_t flags = memcmp(s[i].name, ".text", 6) == 0    ? 0
				 : memcmp(s[i].name, ".rdata", 7) == 0 ? PTE_NX
								       : PTE_NX | PTE_W;

		if (!map_range(from, to, 0, flags))
			return false;
	}
	return true;
}

enum hv_status paging_init(spa_t image, uint64_t image_bytes)
{
	uint64_t end = (machine.ram_end + GIB - 1) & ~(GIB - 1);
	const uint64_t data = PTE_W | PTE_NX;

	(void)image_bytes;
	pml4 = new_table();
	if (!pml4 || !map_range(0, 4 * GIB, 1, data) || !map_range(4 * GIB, end < 4 * GIB ? 4 * GIB : end, 2, data) ||
	    !map_range(LAPIC_MMIO_BASE & ~(MIB2 - 1), (LAPIC_MMIO_BASE & ~(MIB2 - 1)) + MIB2, 1, data | PTE_PCD | PTE_PWT) ||
	    !map_range(machine.hv_base.v, machine.hv_base.v + machine.hv_bytes, 0, data) || !protect_image(image.v))
		return HV_STATUS_INSUFFICIENT_MEMORY;
	return HV_STATUS_SUCCESS;
}

void paging_guard(spa_t page)
{
	uint64_t *e = entry_for(page.v, 0);

	CHECK(e);
	*e = 0;
}

void paging_load(void)
{
	cpu_write_cr0((cpu_read_cr0() | CR0_WP | CR0_NE | CR0_MP) & ~(CR0_TS | CR0_EM));
	cpu_write_cr3((uintptr_t)pml4);
}
