/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifetime: every handler that works on a partition has a reference, taken under the list lock. States change under it too,
 * so whoever got a reference before a change is counted when the changer looks, and whoever comes after sees the new state.
 * That is how finalize and delete know that they are alone.
 */
#include "core/arch.h"
#include "core/frame.h"
#include "core/hypercall.h"
#include "core/lapic.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/run.h"
#include "core/vp.h"
#include "hv/hv_cpuid.h"
#include "hv/hv_msr.h"

#define RESERVE_MAX 64u		/* pages of the root's pool kept for what deposits need */
#define OVERLAY_RESERVE 3u	/* pages of a child's pool kept for tables down to its hypercall page, from the root of the map on */

#define CREATION_FLAGS (HV_PARTITION_FLAG_SMT | HV_PARTITION_FLAG_GPA_SUPER_PAGES | HV_PARTITION_FLAG_EXO | \
			HV_PARTITION_FLAG_LAPIC | HV_PARTITION_FLAG_INTERCEPT_MESSAGE_PAGE | HV_PARTITION_FLAG_X2APIC)

static struct partition root_storage;
struct partition *root_partition = &root_storage;

static struct spinlock list_lock;
static struct list_node partitions = { &partitions, &partitions };
static uint64_t last_id;
static spa_t dummy_page;

spa_t partition_dummy_page(void)
{
	return dummy_page;
}

/* --- The root ------------------------------------------------------------------------------------------------------- */

static enum hv_status root_hide_block(struct gpa_space *space)
{
	enum hv_status status = HV_STATUS_SUCCESS;
	uint64_t at = machine.hv_base.v, end = at + machine.hv_bytes;

	for (; status == HV_STATUS_SUCCESS && end - at >= GPA_LEVEL_BYTES(GPA_LEVEL_2M); at += GPA_LEVEL_BYTES(GPA_LEVEL_2M))
		status = gpa_space_share(space, GPA(at));
	for (; status == HV_STATUS_SUCCESS && at < end; at += PAGE_BYTES)
		status = gpa_space_map(space, GPA(at), dummy_page, ACCESS_READ | ACCESS_WRITE, GPA_LEVEL_4K);
	return status;
}

static enum hv_status root_map(struct gpa_space *space)
{
	uint64_t end = 1ull << (machine.phys_bits < 48 ? machine.phys_bits : 48);
	enum hv_status status = HV_STATUS_SUCCESS;

	for (uint64_t at = 0; status == HV_STATUS_SUCCESS && at < end; at += GPA_LEVEL_BYTES(GPA_LEVEL_1G))
		status = gpa_space_map(space, GPA(at), SPA(at), ACCESS_ALL, GPA_LEVEL_1G);
	if (status == HV_STATUS_SUCCESS)
		status = root_hide_block(space);
	if (status == HV_STATUS_SUCCESS)
		status = gpa_space_unmap(space, GPA(LAPIC_MMIO_BASE), GPA_LEVEL_4K);
	return status;
}

static bool shared_table_init(struct gpa_space *space, struct page_pool *pool)
{
	uint64_t *table;

	space->shared_table = page_pool_alloc(pool);
	if (!space->shared_table.v)
		return false;
	table = platform_ptr(space->shared_table);
	for (unsigned i = 0; i < PAGE_BYTES / 8; i++)
		table[i] = arch->leaf_encode(dummy_page, ACCESS_READ | ACCESS_WRITE, GPA_LEVEL_4K);
	return true;
}

static enum hv_status vps_page_alloc(struct partition *p)
{
	spa_t page = page_pool_alloc(&p->pool);

	if (!page.v)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	p->hypercall_page = page_pool_alloc(&p->pool);
	if (!p->hypercall_page.v) {
		page_pool_free(&p->pool, page);
		return HV_STATUS_INSUFFICIENT_MEMORY;
	}
	p->vps_page = page;
	p->vps = platform_ptr(page);
	return HV_STATUS_SUCCESS;
}

/* ENDBR64; VMMCALL; RET. Read-only to the guest, so written once. */
static void hypercall_page_fill(struct partition *p)
{
	static const uint8_t code[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x01, 0xd9, 0xc3 };
	uint8_t *page = platform_ptr(p->hypercall_page);

	memset(page, 0xcc, PAGE_BYTES);
	memcpy(page, code, sizeof code);
}

enum hv_status partition_create_root(void)
{
	struct partition *p = root_partition;
	enum hv_status status;

	frame_init();
	hypercall_init();
	list_init(&partitions);
	last_id = HV_PARTITION_ID_ROOT;
	p->id = HV_PARTITION_ID_ROOT;
	p->is_root = true;
	p->creation_flags = HV_PARTITION_FLAG_LAPIC;
	p->privileges = cpuid_root_privileges() | HV_PRIV_CREATE_PARTITIONS | HV_PRIV_PARTITION_ID | HV_PRIV_MEMORY_POOL |
			HV_PRIV_CREATE_PORT | HV_PRIV_CONNECT_PORT | HV_PRIV_ACCESS_STATS;
	ports_init(p);
	status = gpa_space_init(&p->space, &p->pool);
	if (status != HV_STATUS_SUCCESS)
		return status;
	p->space.uses_reserve = true;
	dummy_page = page_pool_alloc(&p->pool);
	if (!dummy_page.v || !shared_table_init(&p->space, &p->pool))
		return HV_STATUS_INSUFFICIENT_MEMORY;
	status = root_map(&p->space);
	if (status == HV_STATUS_SUCCESS)
		status = vps_page_alloc(p);
	if (status != HV_STATUS_SUCCESS)
		return status;
	hypercall_page_fill(p);
	ref_time_init(p, true);
	p->pool.reserve = p->pool.free_count / 8 < RESERVE_MAX ? p->pool.free_count / 8 : RESERVE_MAX;
	p->state = PARTITION_ACTIVE;
	list_add_tail(&partitions, &p->node);
	return HV_STATUS_SUCCESS;
}

/* --- Look-up and references ----------------------------------------------------------------------------------------- */

static struct partition *find_locked(uint64_t id)
{
	list_for_each(node, &partitions) {
		struct partition *p = container_of(node, struct partition, node);

		if (p->id == id)
			return p;
	}
	return NULL;
}

struct partition *partition_get(struct partition *caller, uint64_t id)
{
	struct partition *p;

	spin_lock(&list_lock);
	p = id == HV_PARTITION_ID_SELF ? caller : find_locked(id);
	if (p)
		p->references++;
	spin_unlock(&list_lock);
	return p;
}

static void free_dead(struct vp *vp)
{
	while (vp) {
		struct vp *next = vp->dead_next;

		vp_free(vp);
		vp = next;
	}
}

static struct vp *take_dead_locked(struct partition *p)
{
	struct vp *dead = p->dead_vps;

	p->dead_vps = NULL;
	return dead;
}

void partition_put(struct partition *p)
{
	struct vp *dead = NULL;

	/* Deleted VPs cannot be found any more: when nobody else is here, nobody else has a pointer to one. */
	spin_lock(&list_lock);
	if (p->references == 1)
		dead = take_dead_locked(p);
	if (!dead)
		p->references--;
	spin_unlock(&list_lock);
	if (!dead)
		return;
	free_dead(dead);
	spin_lock(&list_lock);
	p->references--;
	spin_unlock(&list_lock);
}

void partition_bury(struct partition *p, struct vp *vp)
{
	spin_lock(&list_lock);
	vp->dead_next = p->dead_vps;
	p->dead_vps = vp;
	spin_unlock(&list_lock);
}

enum hv_status partition_next_child(struct partition *parent, uint64_t previous_id, uint64_t *out_id)
{
	bool found = previous_id == 0;

	spin_lock(&list_lock);
	*out_id = 0;
	list_for_each(node, &partitions) {
		struct partition *p = container_of(node, struct partition, node);

		if (p->parent != parent)
			continue;
		if (found) {
			*out_id = p->id;
			break;
		}
		found = p->id == previous_id;
	}
	spin_unlock(&list_lock);
	return found ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_PARTITION_ID;
}

void partition_totals(struct partition_totals *out)
{
	memset(out, 0, sizeof *out);
	spin_lock(&list_lock);
	list_for_each(node, &partitions) {
		struct partition *p = container_of(node, struct partition, node);

		out->partitions++;
		out->vps += p->vp_count;
		if (p->is_root)
			continue;
		out->deposited_pages += p->pool.free_count + p->pool.used_count;
		out->mapped_pages += p->space.mapped_pages;
	}
	spin_unlock(&list_lock);
}

struct vp *partition_vp(struct partition *p, uint32_t index)
{
	if (index >= PARTITION_VPS_MAX || !p->vps)
		return NULL;
	return __atomic_load_n(&p->vps[index], __ATOMIC_ACQUIRE);
}

/* --- Life cycle ----------------------------------------------------------------------------------------------------- */

enum hv_status partition_create(struct partition *parent, uint64_t flags, uint64_t *out_id)
{
	struct partition *p;
	spa_t page;

	if (flags & ~CREATION_FLAGS)
		return HV_STATUS_INVALID_PARAMETER;
	page = page_pool_alloc(&parent->pool);
	if (!page.v)
		return HV_STATUS_INSUFFICIENT_MEMORY;
	p = platform_ptr(page);
	p->self = page;
	p->parent = parent;
	p->state = PARTITION_UNINITIALIZED;
	p->creation_flags = flags;
	ports_init(p);
	p->synthetic_features = cpuid_default_features();
	if (cpuid_privileges_from_features(p->synthetic_features, &p->privileges) != HV_STATUS_SUCCESS)
		platform_panic("the default features are not our own", __FILE__, __LINE__);
	spin_lock(&list_lock);
	p->id = ++last_id;
	list_add_tail(&partitions, &p->node);
	*out_id = p->id;
	spin_unlock(&list_lock);
	return HV_STATUS_SUCCESS;
}

enum hv_status partition_initialize(struct partition *p)
{
	enum hv_status status = HV_STATUS_INVALID_PARTITION_STATE;

	spin_lock(&p->lock);
	if (p->state != PARTITION_UNINITIALIZED)
		goto out;
	status = HV_STATUS_INSUFFICIENT_MEMORY;
	if (__atomic_load_n(&p->pool.free_count, __ATOMIC_RELAXED) < OVERLAY_RESERVE)
		goto out;
	p->pool.reserve = OVERLAY_RESERVE;
	status = gpa_space_init(&p->space, &p->pool);
	if (status != HV_STATUS_SUCCESS)
		goto out;
	status = vps_page_alloc(p);
	if (status != HV_STATUS_SUCCESS) {
		gpa_space_fini(&p->space);
		goto out;
	}
	hypercall_page_fill(p);
	ref_time_init(p, false);
	__atomic_store_n(&p->state, PARTITION_ACTIVE, __ATOMIC_RELEASE);
out:
	if (p->state == PARTITION_UNINITIALIZED)
		p->pool.reserve = 0;
	spin_unlock(&p->lock);
	return status;
}

static void stop_vps(struct partition *p)
{
	for (uint32_t i = 0; i < PARTITION_VPS_MAX; i++) {
		struct vp *vp = partition_vp(p, i);
		struct cpu *home;

		if (!vp)
			continue;
		__atomic_store_n(&vp->stop_request, 1, __ATOMIC_SEQ_CST);
		home = __atomic_load_n(&vp->home, __ATOMIC_SEQ_CST);
		if (home)
			platform_kick(home);
	}
}

/* Handlers that were here before the state changed: dispatchers are stopped, the others end by themselves. */
static void wait_until_alone(struct partition *p)
{
	for (unsigned spins = 0;; spins++) {
		bool alone;

		spin_lock(&list_lock);
		alone = p->references == 1;
		spin_unlock(&list_lock);
		if (alone)
			return;
		if (spins % 1024 == 0)
			stop_vps(p);
		platform_pause();
	}
}

static void frame_unmapped(void *arg, gpa_t gpa, spa_t spa, uint8_t level)
{
	(void)arg;
	(void)gpa;
	frame_map_put(spa, 1u << (9 * level));
}

static void page_drop(struct partition *p, spa_t *page)
{
	if (page->v)
		page_pool_free(&p->pool, *page);
	*page = SPA(0);
}

static void teardown(struct partition *p)
{
	struct vp *dead;

	ports_fini(p);
	for (uint32_t i = 0; i < PARTITION_VPS_MAX; i++)
		if (p->vps[i])
			CHECK(vp_delete(p->vps[i]) == HV_STATUS_SUCCESS);
	spin_lock(&list_lock);
	dead = take_dead_locked(p);
	spin_unlock(&list_lock);
	free_dead(dead);

	partition_guest_os_id_write(p, 0);		/* takes the hypercall page away */
	gpa_space_for_each(&p->space, frame_unmapped, NULL);
	gpa_space_fini(&p->space);
	if (p->stats_page.v)
		partition_hide_page(p->stats_page);
	p->stats = NULL;
	page_drop(p, &p->stats_page);
	p->pool.reserve = 0;		/* all can be withdrawn */
	page_drop(p, &p->hypercall_page);
	for (unsigned i = 0; i < ARRAY_COUNT(p->io_intercept_pages); i++)
		page_drop(p, &p->io_intercept_pages[i]);
	p->vps = NULL;
	page_drop(p, &p->vps_page);
}

static bool has_children_locked(const struct partition *parent)
{
	list_for_each(node, &partitions)
		if (container_of(node, struct partition, node)->parent == parent)
			return true;
	return false;
}

enum hv_status partition_finalize(struct partition *p)
{
	enum hv_status status = HV_STATUS_SUCCESS;

	spin_lock(&list_lock);
	spin_lock(&p->lock);
	if (p->state != PARTITION_ACTIVE)
		status = HV_STATUS_INVALID_PARTITION_STATE;
	else if (has_children_locked(p))
		status = HV_STATUS_OPERATION_DENIED;
	else
		__atomic_store_n(&p->state, PARTITION_FINALIZING, __ATOMIC_SEQ_CST);
	spin_unlock(&p->lock);
	spin_unlock(&list_lock);
	if (status != HV_STATUS_SUCCESS)
		return status;

	wait_until_alone(p);
	teardown(p);
	__atomic_store_n(&p->state, PARTITION_FINALIZED, __ATOMIC_SEQ_CST);
	return HV_STATUS_SUCCESS;
}

enum hv_status partition_delete(struct partition *p)
{
	enum hv_status status = HV_STATUS_SUCCESS;
	struct page_pool *pool = p->parent ? &p->parent->pool : NULL;
	spa_t page = p->self;

	spin_lock(&list_lock);
	if (p->is_root || (p->state != PARTITION_UNINITIALIZED && p->state != PARTITION_FINALIZED))
		status = HV_STATUS_INVALID_PARTITION_STATE;
	else if (p->pool.free_count || p->pool.used_count)
		status = HV_STATUS_OPERATION_DENIED;
	else if (p->references != 1)
		status = HV_STATUS_OBJECT_IN_USE;
	else
		list_remove(&p->node);
	spin_unlock(&list_lock);
	if (status == HV_STATUS_SUCCESS)
		page_pool_free(pool, page);
	return status;
}

/* --- The GPA space and the hypercall page on top of it -------------------------------------------------------------- */

static bool overlay_is_on(const struct partition *p)
{
	return (p->hypercall_msr & HV_MSR_PAGE_ENABLE) != 0;
}

static bool overlay_is_inside(const struct partition *p, gpa_t gpa, uint8_t level)
{
	return overlay_is_on(p) && level <= GPA_LEVEL_1G && p->hypercall_gpa.v >= gpa.v &&
	       p->hypercall_gpa.v - gpa.v < GPA_LEVEL_BYTES(level);
}

static bool give_spare_table(struct partition *p)
{
	spa_t page = page_pool_alloc_reserved(&p->pool);

	if (page.v)
		gpa_space_give_spare(&p->space, page);
	return page.v != 0;
}

/* Puts the overlay over what is at gpa. Needs memory only when the page lies in a larger leaf or in none: of a child that is
 * what its pool keeps in reserve, as the guest, which asks for the page, cannot deposit. */
static enum hv_status overlay_lay(struct partition *p, gpa_t gpa)
{
	struct gpa_mapping below = gpa_space_lookup(&p->space, gpa);
	enum hv_status status;

	/* A table that an attempt made stays: each gets further. */
	do
		status = gpa_space_map(&p->space, gpa, p->hypercall_page, ACCESS_READ | ACCESS_EXECUTE, GPA_LEVEL_4K);
	while (status == HV_STATUS_INSUFFICIENT_MEMORY && give_spare_table(p));
	gpa_space_drop_spare(&p->space);
	if (status != HV_STATUS_SUCCESS)
		return status;
	p->hypercall_gpa = gpa;
	p->hypercall_below = below.spa;
	p->hypercall_below_access = below.access;
	return status;
}

/* The table that holds its entry exists, so this cannot fail. */
static void overlay_lift(struct partition *p)
{
	uint64_t old;

	CHECK(gpa_space_exchange(&p->space, p->hypercall_gpa, p->hypercall_below, p->hypercall_below_access, GPA_LEVEL_4K,
				 &old) == HV_STATUS_SUCCESS);
}

static enum hv_status exchange_around_overlay(struct partition *p, gpa_t gpa, spa_t spa, uint8_t access, uint8_t level,
					      uint64_t *out_old)
{
	enum hv_status status;

	/* The table that holds the overlay's entry may be replaced: what it takes to lay it again is taken now. */
	if (!give_spare_table(p))
		return HV_STATUS_INSUFFICIENT_MEMORY;
	overlay_lift(p);
	status = gpa_space_exchange(&p->space, gpa, spa, access, level, out_old);
	CHECK(overlay_lay(p, p->hypercall_gpa) == HV_STATUS_SUCCESS);
	gpa_space_drop_spare(&p->space);
	return status;
}

enum hv_status partition_exchange(struct partition *p, gpa_t gpa, spa_t spa, uint8_t access, uint8_t level, uint64_t *out_old)
{
	enum hv_status status = HV_STATUS_SUCCESS;

	spin_lock(&p->overlay_lock);
	if (!overlay_is_inside(p, gpa, level)) {
		status = gpa_space_exchange(&p->space, gpa, spa, access, level, out_old);
	} else if (level == GPA_LEVEL_4K) {
		*out_old = p->hypercall_below_access ?
			   arch->leaf_encode(p->hypercall_below, p->hypercall_below_access, GPA_LEVEL_4K) : 0;
		p->hypercall_below = spa;
		p->hypercall_below_access = access;
	} else {
		status = exchange_around_overlay(p, gpa, spa, access, level, out_old);
	}
	spin_unlock(&p->overlay_lock);
	return status;
}

void partition_flush(struct partition *p)
{
	gpa_space_shootdown(&p->space);
}

enum hv_status partition_show_page(spa_t page, uint8_t access)
{
	uint64_t old;
	enum hv_status status = partition_exchange(root_partition, GPA(page.v), page, access, GPA_LEVEL_4K, &old);

	if (status == HV_STATUS_SUCCESS)
		partition_flush(root_partition);
	return status;
}

void partition_hide_page(spa_t page)
{
	uint64_t old;

	/* It was shown, so the table is there. */
	CHECK(partition_exchange(root_partition, GPA(page.v), dummy_page, ACCESS_READ | ACCESS_WRITE, GPA_LEVEL_4K, &old) ==
	      HV_STATUS_SUCCESS);
	partition_flush(root_partition);
}

/* --- MSRs HYPERCALL and GUEST_OS_ID --------------------------------------------------------------------------------- */

static bool overlay_place_is_legal(gpa_t gpa)
{
	return gpa.v < 1ull << machine.phys_bits && gpa.v != LAPIC_MMIO_BASE;
}

bool partition_hypercall_msr_write(struct partition *p, uint64_t value)
{
	gpa_t gpa = GPA(value & HV_MSR_PAGE_GPFN_MASK);
	bool was_on, done = false;

	spin_lock(&p->overlay_lock);
	was_on = overlay_is_on(p);
	if (!p->guest_os_id)
		value &= ~HV_MSR_PAGE_ENABLE;
	if (p->hypercall_msr & HV_MSR_HYPERCALL_LOCKED)
		goto out;
	if ((value & HV_MSR_PAGE_ENABLE) && !overlay_place_is_legal(gpa))
		goto out;
	if (was_on)
		overlay_lift(p);
	if ((value & HV_MSR_PAGE_ENABLE) && overlay_lay(p, gpa) != HV_STATUS_SUCCESS) {
		if (was_on)
			CHECK(overlay_lay(p, p->hypercall_gpa) == HV_STATUS_SUCCESS);
		goto out;
	}
	p->hypercall_msr = value;
	done = true;
out:
	spin_unlock(&p->overlay_lock);
	if (done)
		partition_flush(p);
	return done;
}

void partition_guest_os_id_write(struct partition *p, uint64_t value)
{
	spin_lock(&p->overlay_lock);
	p->guest_os_id = value;
	if (!value) {
		if (overlay_is_on(p))
			overlay_lift(p);
		p->hypercall_msr &= ~(HV_MSR_PAGE_ENABLE | HV_MSR_HYPERCALL_LOCKED);
	}
	spin_unlock(&p->overlay_lock);
	if (!value)
		partition_flush(p);
}

void partition_hypercall_msr_unlock(struct partition *p)
{
	spin_lock(&p->overlay_lock);
	p->hypercall_msr &= ~HV_MSR_HYPERCALL_LOCKED;
	spin_unlock(&p->overlay_lock);
}

/* --- Intercepts ----------------------------------------------------------------------------------------------------- */

bool partition_io_intercepted(const struct partition *p, uint16_t port, bool write)
{
	spa_t page = p->io_intercept_pages[(write ? 2 : 0) + (port >> 15)];
	const uint8_t *bitmap;

	if (p->creation_flags & HV_PARTITION_FLAG_EXO)
		return true;
	if (!page.v)
		return false;
	bitmap = platform_ptr(page);
	return (bitmap[(port & 0x7fff) >> 3] >> (port & 7)) & 1;
}
