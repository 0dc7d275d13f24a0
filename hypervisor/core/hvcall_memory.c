/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLFS 2.0a "Memory Pools" and "GPA Space". Elements change maps; their finish functions flush once for all of them, and only
 * then do pages get their new owner.
 */
#include "core/arch.h"
#include "core/frame.h"
#include "core/gpa_access.h"
#include "core/hvcall.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"

#define MAP_FLAGS   (HV_MAP_GPA_RIGHTS | HV_MAP_GPA_ADJUSTABLE | HV_MAP_GPA_LARGE_PAGE)
#define UNMAP_KEEP_PRECOMMITTED 1u
#define UNMAP_FLAGS (HV_UNMAP_GPA_LARGE_PAGE | UNMAP_KEEP_PRECOMMITTED)
#define HV_MAP_GPA_EXECUTABLE (HV_MAP_GPA_KERNEL_EXECUTABLE | HV_MAP_GPA_USER_EXECUTABLE)

enum { ACCESS_RESULT_DONE, ACCESS_RESULT_UNMAPPED, ACCESS_RESULT_NO_READ, ACCESS_RESULT_NO_WRITE };

static uint64_t gpfn_limit(void)
{
	return 1ull << (machine.phys_bits - PAGE_SHIFT);
}

/* --- Deposits ------------------------------------------------------------------------------------------------------- */

/* The caller's own page at gpfn: plain RAM, mapped one to one. */
static bool is_own_page(struct partition *caller, uint64_t gpfn)
{
	struct gpa_mapping m;

	if (gpfn >= gpfn_limit())
		return false;
	m = gpa_space_lookup(&caller->space, GPA(gpfn << PAGE_SHIFT));
	return m.access == ACCESS_ALL && m.spa.v == gpfn << PAGE_SHIFT;
}

enum hv_status hvcall_deposit_memory(struct hypercall_context *c)
{
	const struct hv_input_deposit_memory *in = (const void *)c->input;
	struct partition *caller = c->vp->partition, *p;
	spa_t page = SPA(in->gpfn[c->rep] << PAGE_SHIFT);
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_TARGET_SELF | HC_IN_UNINITIALIZED |
						 HC_IN_ACTIVE, &p);
	uint64_t old;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (!is_own_page(caller, in->gpfn[c->rep]))
		return HV_STATUS_OPERATION_DENIED;
	status = frame_deposit(page);
	if (status != HV_STATUS_SUCCESS)
		return status;
	status = partition_exchange(caller, GPA(page.v), partition_dummy_page(), ACCESS_READ | ACCESS_WRITE, GPA_LEVEL_4K, &old);
	if (status != HV_STATUS_SUCCESS)
		frame_withdraw(page);
	return status;
}

void hvcall_deposit_memory_finish(struct hypercall_context *c, uint32_t first, uint32_t end)
{
	const struct hv_input_deposit_memory *in = (const void *)c->input;

	partition_flush(c->vp->partition);
	for (uint32_t i = first; i < end; i++)
		page_pool_add(&c->target->pool, SPA(in->gpfn[i] << PAGE_SHIFT));
}

enum hv_status hvcall_withdraw_memory(struct hypercall_context *c)
{
	const struct hv_input_withdraw_memory *in = (const void *)c->input;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_TARGET_SELF | HC_IN_ANY, &p);
	uint64_t old;
	spa_t page;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (!page_pool_take(&p->pool, &page))
		return HV_STATUS_NO_RESOURCES;
	/* Its table was made when it was deposited, so this cannot fail. */
	CHECK(partition_exchange(c->vp->partition, GPA(page.v), page, ACCESS_ALL, GPA_LEVEL_4K, &old) == HV_STATUS_SUCCESS);
	frame_withdraw(page);
	((uint64_t *)(void *)c->output)[c->rep] = page.v >> PAGE_SHIFT;
	return HV_STATUS_SUCCESS;
}

/* The parent's CPUs must not go on reading the stand-in that was there. */
void hvcall_withdraw_memory_finish(struct hypercall_context *c, uint32_t first, uint32_t end)
{
	(void)first;
	(void)end;
	partition_flush(c->vp->partition);
}

enum hv_status hvcall_get_memory_balance(struct hypercall_context *c)
{
	const struct hv_input_withdraw_memory *in = (const void *)c->input;
	struct hv_output_get_memory_balance *out = (void *)c->output;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_TARGET_SELF | HC_IN_ANY, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	spin_lock(&p->pool.lock);
	out->pages_available = p->pool.free_count;
	out->pages_in_use = p->pool.used_count;
	spin_unlock(&p->pool.lock);
	return HV_STATUS_SUCCESS;
}

/* --- Guest memory --------------------------------------------------------------------------------------------------- */

/* Legal: none, R, RW, RX, RWX; both kinds of X together. */
static bool rights_decode(uint32_t flags, uint8_t *out_access)
{
	uint32_t execute = flags & HV_MAP_GPA_EXECUTABLE;

	if (execute && execute != HV_MAP_GPA_EXECUTABLE)
		return false;
	if ((flags & (HV_MAP_GPA_WRITABLE | HV_MAP_GPA_EXECUTABLE)) && !(flags & HV_MAP_GPA_READABLE))
		return false;
	*out_access = (uint8_t)((flags & HV_MAP_GPA_READABLE ? ACCESS_READ : 0) |
				(flags & HV_MAP_GPA_WRITABLE ? ACCESS_WRITE : 0) | (execute ? ACCESS_EXECUTE : 0));
	return true;
}

/* Target GPA of this element, inside the space, aligned, and not the LAPIC's page. */
static bool target_decode(uint64_t gpfn, uint32_t rep, uint8_t level, gpa_t *out_gpa)
{
	uint64_t pages = 1ull << (9 * level), lapic = LAPIC_MMIO_BASE >> PAGE_SHIFT;

	if ((gpfn & (pages - 1)) || gpfn >= gpfn_limit())
		return false;
	gpfn += rep * pages;
	if (gpfn > gpfn_limit() - pages)
		return false;
	*out_gpa = GPA(gpfn << PAGE_SHIFT);
	return gpfn > lapic || lapic - gpfn >= pages;
}

static enum hv_status source_check(struct partition *caller, uint64_t gpfn, uint8_t level)
{
	uint64_t pages = 1ull << (9 * level);

	if ((gpfn & (pages - 1)) || gpfn >= gpfn_limit() || gpfn > gpfn_limit() - pages)
		return HV_STATUS_INVALID_PARAMETER;
	for (uint64_t i = 0; i < pages; i++) {
		struct gpa_mapping m = gpa_space_lookup(&caller->space, GPA((gpfn + i) << PAGE_SHIFT));

		if (!m.access || m.spa.v != (gpfn + i) << PAGE_SHIFT)
			return HV_STATUS_OPERATION_DENIED;
		if (m.level >= level && level)
			break;			/* one leaf covers it all */
	}
	return HV_STATUS_SUCCESS;
}

/* What elements displaced, until the flush. */
static uint64_t *displaced(struct hypercall_context *c, uint32_t rep)
{
	return (uint64_t *)(void *)c->output + (rep - c->rep_first);
}
_Static_assert(HYPERCALL_REPS_MAX * 8 <= PAGE_BYTES, "what one round displaces fits the scratch page");

static void frame_displaced(void *arg, gpa_t gpa, spa_t spa, uint8_t level)
{
	(void)arg;
	(void)gpa;
	frame_map_put(spa, 1u << (9 * level));
}

static void release_displaced(struct hypercall_context *c, uint32_t first, uint32_t end, uint8_t level)
{
	uint64_t any = 0;

	for (uint32_t i = first; i < end; i++)
		any |= *displaced(c, i);
	if (!any)
		return;
	partition_flush(c->target);
	for (uint32_t i = first; i < end; i++)
		gpa_space_release(&c->target->space, GPA(0), *displaced(c, i), level, frame_displaced, NULL);
}

static uint8_t map_level(uint32_t flags)
{
	return flags & HV_MAP_GPA_LARGE_PAGE ? GPA_LEVEL_2M : GPA_LEVEL_4K;
}

enum hv_status hvcall_map_gpa_pages(struct hypercall_context *c)
{
	const struct hv_input_map_gpa_pages *in = (const void *)c->input;
	uint8_t level = map_level(in->flags), access;
	uint64_t source = in->source_gpfn[c->rep];
	spa_t spa = SPA(source << PAGE_SHIFT);
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);
	gpa_t gpa;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if ((in->flags & ~MAP_FLAGS) || !rights_decode(in->flags, &access) ||
	    !target_decode(in->target_gpfn, c->rep, level, &gpa))
		return HV_STATUS_INVALID_PARAMETER;
	status = source_check(c->vp->partition, source, level);
	if (status != HV_STATUS_SUCCESS)
		return status;
	if (!access)			/* no rights: nothing is mapped */
		return partition_exchange(p, gpa, SPA(0), 0, level, displaced(c, c->rep));
	status = frame_map_get(spa, 1u << (9 * level));
	if (status != HV_STATUS_SUCCESS)
		return status;
	status = partition_exchange(p, gpa, spa, access, level, displaced(c, c->rep));
	if (status != HV_STATUS_SUCCESS)
		frame_map_put(spa, 1u << (9 * level));
	return status;
}

void hvcall_map_gpa_pages_finish(struct hypercall_context *c, uint32_t first, uint32_t end)
{
	const struct hv_input_map_gpa_pages *in = (const void *)c->input;

	release_displaced(c, first, end, map_level(in->flags));
}

static uint8_t unmap_level(uint32_t flags)
{
	return flags & HV_UNMAP_GPA_LARGE_PAGE ? GPA_LEVEL_2M : GPA_LEVEL_4K;
}

enum hv_status hvcall_unmap_gpa_pages(struct hypercall_context *c)
{
	const struct hv_input_unmap_gpa_pages *in = (const void *)c->input;
	uint8_t level = unmap_level(in->flags);
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);
	gpa_t gpa;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if ((in->flags & ~UNMAP_FLAGS) || !target_decode(in->target_gpfn, c->rep, level, &gpa))
		return HV_STATUS_INVALID_PARAMETER;
	return partition_exchange(p, gpa, SPA(0), 0, level, displaced(c, c->rep));
}

void hvcall_unmap_gpa_pages_finish(struct hypercall_context *c, uint32_t first, uint32_t end)
{
	const struct hv_input_unmap_gpa_pages *in = (const void *)c->input;

	release_displaced(c, first, end, unmap_level(in->flags));
}

/* --- Small accesses for the parent's emulator ----------------------------------------------------------------------- */

static enum hv_status small_access_check(struct hypercall_context *c, uint64_t partition_id, uint32_t vp_index, uint64_t gpa,
					 uint32_t bytes, struct partition **out)
{
	enum hv_status status = hypercall_target(c, partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, out);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (!partition_vp(*out, vp_index))
		return HV_STATUS_INVALID_VP_INDEX;
	if (!bytes || bytes > 16 || gpa >> machine.phys_bits || bytes > PAGE_BYTES - (gpa & ~PAGE_MASK))
		return HV_STATUS_INVALID_PARAMETER;
	return HV_STATUS_SUCCESS;
}

enum hv_status hvcall_read_gpa(struct hypercall_context *c)
{
	const struct hv_input_read_gpa *in = (const void *)c->input;
	struct hv_output_read_gpa *out = (void *)c->output;
	struct partition *p;
	enum hv_status status = small_access_check(c, in->partition_id, in->vp_index, in->gpa, in->byte_count, &p);
	enum gpa_result result;

	if (status != HV_STATUS_SUCCESS)
		return status;
	result = gpa_read(p, GPA(in->gpa), out->data, in->byte_count);
	out->result_code = result == GPA_DONE ? ACCESS_RESULT_DONE :
			   result == GPA_NOT_MAPPED ? ACCESS_RESULT_UNMAPPED : ACCESS_RESULT_NO_READ;
	return HV_STATUS_SUCCESS;
}

enum hv_status hvcall_write_gpa(struct hypercall_context *c)
{
	const struct hv_input_write_gpa *in = (const void *)c->input;
	struct hv_output_write_gpa *out = (void *)c->output;
	struct partition *p;
	enum hv_status status = small_access_check(c, in->partition_id, in->vp_index, in->gpa, in->byte_count, &p);
	enum gpa_result result;

	if (status != HV_STATUS_SUCCESS)
		return status;
	result = gpa_write(p, GPA(in->gpa), in->data, in->byte_count);
	out->result_code = result == GPA_DONE ? ACCESS_RESULT_DONE :
			   result == GPA_NOT_MAPPED ? ACCESS_RESULT_UNMAPPED : ACCESS_RESULT_NO_WRITE;
	return HV_STATUS_SUCCESS;
}
