/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics pages. A VP's counters are written where things happen; those of partitions and of the hypervisor are sums that
 * are brought up to date when such a page is mapped and after each call that had a target.
 */
#include "core/hvcall.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"

struct stats_object {
	uint32_t type;
	uint64_t partition_id;
	uint32_t vp_index;
};

static struct spinlock hv_lock;
static spa_t hv_page;
static bool hv_shown;

void hvcall_stats_init(void)
{
	hv_page = SPA(0);
	hv_shown = false;
}

static void refresh_hypervisor(void)
{
	struct partition_totals totals;
	uint64_t *counters;

	if (!__atomic_load_n(&hv_shown, __ATOMIC_ACQUIRE))
		return;
	partition_totals(&totals);
	counters = platform_ptr(hv_page);
	counters[HV_STATS_HV_LP_COUNT] = machine.cpu_count;
	counters[HV_STATS_HV_PARTITIONS] = totals.partitions;
	counters[HV_STATS_HV_VPS] = totals.vps;
	counters[HV_STATS_HV_DEPOSITED_PAGES] = totals.deposited_pages;
	counters[HV_STATS_HV_MAPPED_PAGES] = totals.mapped_pages;
	counters[HV_STATS_HV_ROOT_FREE_PAGES] = root_partition->pool.free_count;
	counters[HV_STATS_HV_TSC_HZ] = machine.tsc_hz;
}

void hvcall_stats_refresh(struct partition *p)
{
	uint64_t *counters = p ? p->stats : NULL;

	if (counters) {
		counters[HV_STATS_PARTITION_DEPOSITED_PAGES] = p->pool.free_count + p->pool.used_count;
		counters[HV_STATS_PARTITION_USED_PAGES] = p->pool.used_count;
		counters[HV_STATS_PARTITION_MAPPED_PAGES] = p->space.mapped_pages;
	}
	refresh_hypervisor();
}

static enum hv_status object_decode(const struct hv_input_map_stats_page *in, struct stats_object *out)
{
	*out = (struct stats_object){ .type = in->object_type };
	memcpy(&out->partition_id, in->identity, sizeof out->partition_id);
	memcpy(&out->vp_index, in->identity + 8, sizeof out->vp_index);
	if (in->identity[15])			/* areas other than the object's own */
		return HV_STATUS_INVALID_PARAMETER;
	switch (in->object_type) {
	case HV_STATS_OBJECT_HYPERVISOR:
	case HV_STATS_OBJECT_PARTITION:
	case HV_STATS_OBJECT_VP:
		return HV_STATUS_SUCCESS;
	}
	return HV_STATUS_INVALID_PARAMETER;	/* no counters are kept for logical processors */
}

/* --- The hypervisor's page ------------------------------------------------------------------------------------------ */

static enum hv_status hypervisor_map(spa_t *out_page)
{
	enum hv_status status = HV_STATUS_OPERATION_DENIED;

	spin_lock(&hv_lock);
	if (hv_shown)
		goto out;
	status = HV_STATUS_INSUFFICIENT_MEMORY;
	if (!hv_page.v)
		hv_page = page_pool_alloc(&root_partition->pool);
	if (hv_page.v)
		status = partition_show_page(hv_page, ACCESS_READ);
	if (status == HV_STATUS_SUCCESS)
		__atomic_store_n(&hv_shown, true, __ATOMIC_RELEASE);
	*out_page = hv_page;
out:
	spin_unlock(&hv_lock);
	return status;
}

/* The page is kept: a refresh may be under way on another CPU. */
static enum hv_status hypervisor_unmap(void)
{
	bool was;

	spin_lock(&hv_lock);
	was = hv_shown;
	if (was)
		partition_hide_page(hv_page);
	__atomic_store_n(&hv_shown, false, __ATOMIC_RELEASE);
	spin_unlock(&hv_lock);
	return was ? HV_STATUS_SUCCESS : HV_STATUS_OPERATION_DENIED;
}

/* --- Pages of partitions and VPs ------------------------------------------------------------------------------------ */

/* The page stays the partition's until it is finalized; mapping only shows it. */
static enum hv_status partition_map(struct partition *p, spa_t *out_page)
{
	enum hv_status status = HV_STATUS_OPERATION_DENIED;

	spin_lock(&p->lock);
	if (p->stats)
		goto out;
	status = HV_STATUS_INSUFFICIENT_MEMORY;
	if (!p->stats_page.v)
		p->stats_page = page_pool_alloc(&p->pool);
	if (p->stats_page.v)
		status = partition_show_page(p->stats_page, ACCESS_READ);
	if (status == HV_STATUS_SUCCESS)
		p->stats = platform_ptr(p->stats_page);
	*out_page = p->stats_page;
out:
	spin_unlock(&p->lock);
	return status;
}

static enum hv_status partition_unmap(struct partition *p)
{
	bool was;

	spin_lock(&p->lock);
	was = p->stats != NULL;
	if (was)
		partition_hide_page(p->stats_page);
	p->stats = NULL;
	spin_unlock(&p->lock);
	return was ? HV_STATUS_SUCCESS : HV_STATUS_OPERATION_DENIED;
}

static enum hv_status vp_map(struct vp *vp, spa_t *out_page)
{
	enum hv_status status;

	if (vp->stats_shown)
		return HV_STATUS_OPERATION_DENIED;
	status = partition_show_page(vp->stats_page, ACCESS_READ);
	vp->stats_shown = status == HV_STATUS_SUCCESS;
	*out_page = vp->stats_page;
	return status;
}

static enum hv_status vp_unmap(struct vp *vp)
{
	if (!vp->stats_shown)
		return HV_STATUS_OPERATION_DENIED;
	partition_hide_page(vp->stats_page);
	vp->stats_shown = false;
	return HV_STATUS_SUCCESS;
}

static enum hv_status vp_find(struct hypercall_context *c, struct partition *p, uint32_t index)
{
	struct vp *vp = partition_vp(p, index);

	/* The parent's own VPs are not held by anybody, so they cannot be guarded here. */
	if (!vp || p == c->vp->partition || !vp_hold(vp))
		return HV_STATUS_INVALID_VP_INDEX;
	c->held = vp;
	return HV_STATUS_SUCCESS;
}

static enum hv_status object_find(struct hypercall_context *c, const struct stats_object *o, struct partition **out)
{
	enum hv_status status = hypercall_target(c, o->partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, out);

	if (status == HV_STATUS_SUCCESS && o->type == HV_STATS_OBJECT_VP)
		status = vp_find(c, *out, o->vp_index);
	return status;
}

enum hv_status hvcall_map_stats_page(struct hypercall_context *c)
{
	const struct hv_input_map_stats_page *in = (const void *)c->input;
	struct hv_output_map_page *out = (void *)c->output;
	struct stats_object o;
	struct partition *p = NULL;
	enum hv_status status = object_decode(in, &o);
	spa_t page = SPA(0);

	if (status == HV_STATUS_SUCCESS && o.type != HV_STATS_OBJECT_HYPERVISOR)
		status = object_find(c, &o, &p);
	if (status != HV_STATUS_SUCCESS)
		return status;
	status = o.type == HV_STATS_OBJECT_HYPERVISOR ? hypervisor_map(&page) :
		 o.type == HV_STATS_OBJECT_PARTITION ? partition_map(p, &page) : vp_map(c->held, &page);
	out->gpfn = page.v >> PAGE_SHIFT;
	if (status == HV_STATUS_SUCCESS && !p)
		refresh_hypervisor();
	return status;
}

enum hv_status hvcall_unmap_stats_page(struct hypercall_context *c)
{
	const struct hv_input_map_stats_page *in = (const void *)c->input;
	struct stats_object o;
	struct partition *p = NULL;
	enum hv_status status = object_decode(in, &o);

	if (status == HV_STATUS_SUCCESS && o.type != HV_STATS_OBJECT_HYPERVISOR)
		status = object_find(c, &o, &p);
	if (status != HV_STATUS_SUCCESS)
		return status;
	return o.type == HV_STATS_OBJECT_HYPERVISOR ? hypervisor_unmap() :
	       o.type == HV_STATS_OBJECT_PARTITION ? partition_unmap(p) : vp_unmap(c->held);
}
