/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arch.h"
#include "core/frame.h"
#include "core/gpa_access.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"

#define CR0_PE (1ull << 0)
#define CR0_WP (1ull << 16)
#define CR0_PG (1ull << 31)
#define CR4_PSE (1ull << 4)
#define CR4_PAE (1ull << 5)
#define EFER_LMA (1ull << 10)
#define EFER_NXE (1ull << 11)

#define PTE_PRESENT  (1ull << 0)
#define PTE_WRITE    (1ull << 1)
#define PTE_USER     (1ull << 2)
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY    (1ull << 6)
#define PTE_LARGE    (1ull << 7)
#define PTE_NX       (1ull << 63)
#define PTE_ADDRESS  0x000ffffffffff000ull

/* One access that stays inside a page; the space's lock is held. NULL: *out_result says why. */
static void *page_access(struct partition *p, gpa_t gpa, uint8_t access, enum gpa_result *out_result)
{
	struct gpa_mapping m = gpa_space_lookup_locked(&p->space, gpa);

	*out_result = GPA_NOT_MAPPED;
	if (!m.access || !frame_is_ram(m.spa))
		return NULL;
	*out_result = GPA_NOT_ALLOWED;
	if ((m.access & access) != access)
		return NULL;
	*out_result = GPA_DONE;
	return platform_ptr(m.spa);
}

static size_t bytes_in_page(uint64_t address, size_t bytes)
{
	size_t left = (size_t)(PAGE_BYTES - (address & ~PAGE_MASK));

	return bytes < left ? bytes : left;
}

static enum gpa_result gpa_copy(struct partition *p, gpa_t gpa, uint8_t *buffer, size_t bytes, bool write)
{
	enum gpa_result result = GPA_DONE;

	if (gpa.v + bytes < gpa.v)
		return GPA_NOT_MAPPED;
	spin_lock(&p->space.lock);
	while (bytes && result == GPA_DONE) {
		size_t part = bytes_in_page(gpa.v, bytes);
		void *page = page_access(p, gpa, write ? ACCESS_WRITE : ACCESS_READ, &result);

		if (page && write)
			memcpy(page, buffer, part);
		else if (page)
			memcpy(buffer, page, part);
		gpa.v += part;
		buffer += part;
		bytes -= part;
	}
	spin_unlock(&p->space.lock);
	return result;
}

enum gpa_result gpa_read(struct partition *p, gpa_t from, void *to, size_t bytes)
{
	return gpa_copy(p, from, to, bytes, false);
}

enum gpa_result gpa_write(struct partition *p, gpa_t to, const void *from, size_t bytes)
{
	return gpa_copy(p, to, (uint8_t *)(uintptr_t)from, bytes, true);
}

void *gpa_page_get(struct partition *p, gpa_t page, uint8_t access)
{
	enum gpa_result result;
	void *ptr;

	spin_lock(&p->space.lock);
	ptr = page_access(p, GPA(page.v & PAGE_MASK), access, &result);
	if (!ptr)
		spin_unlock(&p->space.lock);
	return ptr;
}

void gpa_page_put(struct partition *p)
{
	spin_unlock(&p->space.lock);
}

/* --- The guest's own page tables ------------------------------------------------------------------------------------ */

struct walk {
	struct vp *vp;
	uint64_t cr0, cr3, cr4, efer;
	uint8_t access;
	bool user, set_bits;
	unsigned entry_bytes;		/* 4 or 8 */
	unsigned bits_per_level;	/* 10 or 9 */
	unsigned levels;
	uint64_t rsvdz_high;		/* address bits that do not exist */
};

static uint64_t reg_read(const struct vp *vp, uint32_t name)
{
	struct hv_u128 value = { 0, 0 };

	CHECK(arch->reg_get(vp, name, &value) == HV_STATUS_SUCCESS);
	return value.low;
}

static void walk_init(struct walk *w, struct vp *vp, uint8_t access, bool user, bool set_bits)
{
	w->vp = vp;
	w->cr0 = reg_read(vp, HV_REG_CR0);
	w->cr3 = reg_read(vp, HV_REG_CR3);
	w->cr4 = reg_read(vp, HV_REG_CR4);
	w->efer = reg_read(vp, HV_REG_EFER);
	w->access = access;
	w->user = user;
	w->set_bits = set_bits;
	w->entry_bytes = w->cr4 & CR4_PAE ? 8 : 4;
	w->bits_per_level = w->cr4 & CR4_PAE ? 9 : 10;
	w->levels = w->efer & EFER_LMA ? 4 : w->cr4 & CR4_PAE ? 3 : 2;
	w->rsvdz_high = PTE_ADDRESS & ~((1ull << machine.phys_bits) - 1);
}

static bool entry_has_reserved(const struct walk *w, uint64_t entry, unsigned level, bool leaf, unsigned shift)
{
	if (w->entry_bytes == 4)
		return leaf && level == 1 && (entry & (0x3fe000ull & ~0x1fe000ull));	/* bit 21 of a 4 MiB page */
	if (entry & w->rsvdz_high)
		return true;
	if ((entry & PTE_NX) && !(w->efer & EFER_NXE))
		return true;
	if (w->levels == 3 && level == 2)
		return (entry & 0x1e6) != 0;					/* PAE PDPTE */
	if (level == 3 && (entry & PTE_LARGE))
		return true;
	return leaf && level && (entry & ((1ull << shift) - 1) & PTE_ADDRESS & ~0x1000ull);
}

static bool entry_is_large(const struct walk *w, uint64_t entry, unsigned level)
{
	if (!(entry & PTE_LARGE) || !level)
		return false;
	if (w->entry_bytes == 4)
		return level == 1 && (w->cr4 & CR4_PSE);
	return level == 1 || (level == 2 && w->levels == 4);
}

static uint32_t gpa_failure(enum gpa_result result, bool write)
{
	if (result == GPA_NOT_MAPPED)
		return HV_TRANSLATE_GPA_UNMAPPED;
	return write ? HV_TRANSLATE_GPA_NO_WRITE : HV_TRANSLATE_GPA_NO_READ;
}

/* Only ever adds bits, and only while the entry is still the one that was read, as the CPU does. */
static uint32_t entry_mark(const struct walk *w, gpa_t at, uint64_t entry, uint64_t bits)
{
	struct partition *p = w->vp->partition;
	enum gpa_result result;
	void *ptr;

	if ((entry & bits) == bits)
		return HV_TRANSLATE_SUCCESS;
	spin_lock(&p->space.lock);
	ptr = page_access(p, at, ACCESS_READ | ACCESS_WRITE, &result);
	if (ptr && w->entry_bytes == 4) {
		uint32_t expected = (uint32_t)entry;

		__atomic_compare_exchange_n((uint32_t *)ptr, &expected, (uint32_t)(entry | bits), false, __ATOMIC_SEQ_CST,
					    __ATOMIC_RELAXED);
	} else if (ptr) {
		__atomic_compare_exchange_n((uint64_t *)ptr, &entry, entry | bits, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
	}
	spin_unlock(&p->space.lock);
	return ptr ? HV_TRANSLATE_SUCCESS : gpa_failure(result, true);
}

/* Rights gathered on the way down against what is wanted. */
static bool rights_allow(const struct walk *w, bool user_page, bool writable, bool no_execute)
{
	if (w->user && !user_page)
		return false;
	if ((w->access & ACCESS_WRITE) && !writable && (w->user || (w->cr0 & CR0_WP)))
		return false;
	return !((w->access & ACCESS_EXECUTE) && no_execute);
}

static uint64_t leaf_address(const struct walk *w, uint64_t entry, unsigned shift, gva_t gva)
{
	uint64_t offset_mask = (1ull << shift) - 1;
	uint64_t base = entry & PTE_ADDRESS & ~offset_mask;

	if (w->entry_bytes == 4 && shift == 22)
		base = (entry & 0xffc00000ull) | ((entry >> 13) & 0xff) << 32;	/* PSE-36 */
	return base | (gva.v & offset_mask);
}

static uint32_t walk_run(const struct walk *w, gva_t gva, gpa_t *out_gpa)
{
	uint64_t table = w->levels == 3 ? w->cr3 & 0xffffffe0ull :
			 w->entry_bytes == 4 ? w->cr3 & 0xfffff000ull : w->cr3 & PTE_ADDRESS;
	bool user_page = true, writable = true, no_execute = false;

	for (unsigned level = w->levels - 1;; level--) {
		unsigned shift = PAGE_SHIFT + w->bits_per_level * level;
		unsigned slot = (unsigned)(gva.v >> shift) & ((1u << w->bits_per_level) - 1);
		bool pdpte = w->levels == 3 && level == 2;
		uint64_t entry = 0;
		gpa_t at = GPA(table + (uint64_t)(pdpte ? slot & 3 : slot) * w->entry_bytes);
		enum gpa_result result = gpa_read(w->vp->partition, at, &entry, w->entry_bytes);
		uint32_t marked;
		bool leaf;

		if (result != GPA_DONE)
			return gpa_failure(result, false);
		if (!(entry & PTE_PRESENT))
			return HV_TRANSLATE_PAGE_NOT_PRESENT;
		leaf = level == 0 || entry_is_large(w, entry, level);
		if (entry_has_reserved(w, entry, level, leaf, shift))
			return HV_TRANSLATE_INVALID_TABLE_FLAGS;
		if (!pdpte) {
			user_page = user_page && (entry & PTE_USER);
			writable = writable && (entry & PTE_WRITE);
			no_execute = no_execute || ((entry & PTE_NX) && w->entry_bytes == 8);
		}
		if (leaf && !rights_allow(w, user_page, writable, no_execute))
			return HV_TRANSLATE_PRIVILEGE_VIOLATION;
		if (w->set_bits && !pdpte) {
			marked = entry_mark(w, at, entry, PTE_ACCESSED |
					    (leaf && (w->access & ACCESS_WRITE) ? PTE_DIRTY : 0));
			if (marked != HV_TRANSLATE_SUCCESS)
				return marked;
		}
		if (leaf) {
			*out_gpa = GPA(leaf_address(w, entry, shift, gva));
			return HV_TRANSLATE_SUCCESS;
		}
		table = entry & PTE_ADDRESS;
	}
}

/* What the partition's own map says about the page that was found. */
static uint32_t gpa_check(struct partition *p, gpa_t gpa, uint8_t access)
{
	struct gpa_mapping m = gpa_space_lookup(&p->space, gpa);

	if (!m.access)
		return HV_TRANSLATE_GPA_UNMAPPED;
	if ((access & (ACCESS_READ | ACCESS_EXECUTE)) && !(m.access & ACCESS_READ))
		return HV_TRANSLATE_GPA_NO_READ;
	if ((access & ACCESS_WRITE) && !(m.access & ACCESS_WRITE))
		return HV_TRANSLATE_GPA_NO_WRITE;
	return HV_TRANSLATE_SUCCESS;
}

uint32_t gva_translate(struct vp *vp, gva_t gva, uint8_t access, bool user, bool set_bits, gpa_t *out_gpa)
{
	struct walk w;
	uint32_t result;
	gpa_t gpa;

	walk_init(&w, vp, access, user, set_bits);
	if (!(w.efer & EFER_LMA))
		gva.v &= 0xffffffffull;
	else if (gva.v + (1ull << 47) >= 1ull << 48 && (w.cr0 & CR0_PG))
		return HV_TRANSLATE_PAGE_NOT_PRESENT;			/* not canonical */
	if ((w.cr0 & (CR0_PE | CR0_PG)) == (CR0_PE | CR0_PG)) {
		result = walk_run(&w, gva, &gpa);
		if (result != HV_TRANSLATE_SUCCESS)
			return result;
	} else {
		gpa = GPA(gva.v);
	}
	result = gpa_check(vp->partition, gpa, access);
	if (result == HV_TRANSLATE_SUCCESS)
		*out_gpa = gpa;
	return result;
}

size_t gva_fetch_code(struct vp *vp, uint8_t *to, size_t bytes)
{
	struct hv_u128 cs = { 0, 0 };
	struct hv_segment_register segment;
	size_t done = 0;
	bool long_mode = (reg_read(vp, HV_REG_EFER) & EFER_LMA) != 0;
	uint64_t start;

	CHECK(arch->reg_get(vp, HV_REG_CS, &cs) == HV_STATUS_SUCCESS);
	memcpy(&segment, &cs, sizeof segment);
	start = segment.base + vp->rip;
	if (!long_mode || !(segment.attributes & 0x2000))
		start &= 0xffffffffull;
	while (done < bytes) {
		size_t part = bytes_in_page(start + done, bytes - done);
		gpa_t gpa;

		if (gva_translate(vp, GVA(start + done), ACCESS_EXECUTE, false, false, &gpa) != HV_TRANSLATE_SUCCESS)
			break;
		if (gpa_read(vp->partition, gpa, to + done, part) != GPA_DONE)
			break;
		done += part;
	}
	return done;
}
