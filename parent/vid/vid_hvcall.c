// SPDX-License-Identifier: GPL-2.0-only
/*
 * The only file that issues hypercalls.
 *
 * Input and output go through two pages that each CPU owns, with interrupts off from the first byte written to the last
 * byte read: so calls may be made in any context, and nothing is locked.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vid.h"

#define VID_DEPOSIT_FIRST 16u		/* pages given after the first refusal; doubled each time */
#define VID_DEPOSIT_STEP_MAX 256u
#define VID_DEPOSIT_LIMIT 16384u	/* for one call: a hypervisor that wants more than 64 MiB is broken */
#define VID_DEPOSIT_STATS_LIMIT 64u	/* for a page of counters */
#define VID_DEPOSIT_CHUNK 64u		/* list elements of one deposit or withdraw call */
#define VID_DEPOSIT_MARK 0x7669642d706f6f6cul

struct vid_call_pages {
	void *in;
	void *out;
};
static DEFINE_PER_CPU(struct vid_call_pages, vid_call_pages);

struct vid_pool vid_root_pool = { .partition_id = HV_PARTITION_ID_SELF };

/* Which errors a caller in user mode sees. The set is that of the upstream driver, since its clients test for it. */
int hv_status_to_errno(u16 status)
{
	switch (status) {
	case HV_STATUS_SUCCESS:
		return 0;
	case HV_STATUS_INVALID_HYPERCALL_CODE:
	case HV_STATUS_INVALID_HYPERCALL_INPUT:
	case HV_STATUS_INVALID_PARAMETER:
	case HV_STATUS_INVALID_PARTITION_ID:
	case HV_STATUS_INVALID_VP_INDEX:
	case HV_STATUS_INVALID_PORT_ID:
	case HV_STATUS_INVALID_CONNECTION_ID:
	case HV_STATUS_INVALID_REGISTER_VALUE:
		return -EINVAL;
	case HV_STATUS_INSUFFICIENT_MEMORY:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

void vid_hvcall_fini(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vid_call_pages *pages = per_cpu_ptr(&vid_call_pages, cpu);

		free_page((unsigned long)pages->in);
		free_page((unsigned long)pages->out);
		pages->in = pages->out = NULL;
	}
}

int vid_hvcall_init(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct vid_call_pages *pages = per_cpu_ptr(&vid_call_pages, cpu);

		pages->in = (void *)get_zeroed_page(GFP_KERNEL);
		pages->out = (void *)get_zeroed_page(GFP_KERNEL);
		if (!pages->in || !pages->out) {
			vid_hvcall_fini();
			return -ENOMEM;
		}
	}
	return 0;
}

static u64 vid_control(u16 code, unsigned int reps, unsigned int rep_start, unsigned int var_qwords)
{
	return code | (u64)var_qwords << 17 | (u64)reps << HC_REP_COUNT_SHIFT | (u64)rep_start << HC_REP_START_SHIFT;
}

/* One call with fixed input and output. Atomic. */
static u16 vid_issue(u16 code, const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
	struct vid_call_pages *pages;
	unsigned long irq_flags;
	u64 result;

	local_irq_save(irq_flags);
	pages = this_cpu_ptr(&vid_call_pages);
	memcpy(pages->in, in, in_bytes);
	result = vid_arch_hypercall(vid_control(code, 0, 0, 0), pages->in, out_bytes ? pages->out : NULL);
	if (out_bytes && HC_RESULT_STATUS(result) == HV_STATUS_SUCCESS)
		memcpy(out, pages->out, out_bytes);
	local_irq_restore(irq_flags);
	return HC_RESULT_STATUS(result);
}

/* Memory given in the course of one call. */
struct vid_retry {
	struct vid_pool *pool;
	unsigned int step;
	unsigned int given;
	unsigned int limit;
};

#define VID_RETRY(p) { .pool = (p), .step = VID_DEPOSIT_FIRST, .limit = VID_DEPOSIT_LIMIT }

/* Turns the status of an attempt into 0, -EAGAIN (memory was given: repeat) or the error to return. */
static int vid_settle(struct vid_retry *retry, u16 status)
{
	int error;

	if (status != HV_STATUS_INSUFFICIENT_MEMORY)
		return hv_status_to_errno(status);
	if (retry->given >= retry->limit)
		return -ENOMEM;
	error = vid_hv_deposit(retry->pool, retry->step);
	if (error)
		return error;
	retry->given += retry->step;
	retry->step = min(retry->step * 2, VID_DEPOSIT_STEP_MAX);
	return -EAGAIN;
}

/* vid_issue() until the hypervisor has memory enough. */
static int vid_call(struct vid_pool *pool, u16 code, const void *in, size_t in_bytes, void *out, size_t out_bytes)
{
	struct vid_retry retry = VID_RETRY(pool);
	int error;

	do
		error = vid_settle(&retry, vid_issue(code, in, in_bytes, out, out_bytes));
	while (error == -EAGAIN);
	return error;
}

/*
 * Deposited pages leave our address space: nobody may read them, not even a dump. PageOffline tells the readers of all
 * memory; the mark tells us on withdraw that a page was ours.
 */
static void vid_mark_deposited(struct page *page)
{
	set_page_private(page, VID_DEPOSIT_MARK);
	__SetPageOffline(page);
}

static void vid_unmark_deposited(struct page *page)
{
	__ClearPageOffline(page);
	set_page_private(page, 0);
}

/* What the root's own pool got stays there: `live` tells what is held for children. */
static void vid_pool_count(struct vid_pool *pool, long pages)
{
	atomic_long_add(pages, &pool->pages);
	if (pool != &vid_root_pool)
		atomic_long_add(pages, &vid_live.deposited_pages);
}

static unsigned int vid_alloc_pages(struct page **pages, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		pages[i] = alloc_page(GFP_KERNEL_ACCOUNT);
		if (!pages[i])
			break;
		vid_mark_deposited(pages[i]);
	}
	return i;
}

static u64 vid_issue_deposit(u64 partition_id, struct page **pages, unsigned int count)
{
	struct hv_input_deposit_memory *in;
	struct vid_call_pages *call;
	unsigned long irq_flags;
	unsigned int i;
	u64 result;

	local_irq_save(irq_flags);
	call = this_cpu_ptr(&vid_call_pages);
	in = call->in;
	in->partition_id = partition_id;
	for (i = 0; i < count; i++)
		in->gpfn[i] = page_to_pfn(pages[i]);
	result = vid_arch_hypercall(vid_control(HVCALL_DEPOSIT_MEMORY, count, 0, 0), in, NULL);
	local_irq_restore(irq_flags);
	return result;
}

static int vid_deposit_chunk(struct vid_pool *pool, unsigned int count)
{
	struct page *pages[VID_DEPOSIT_CHUNK];
	unsigned int got = vid_alloc_pages(pages, count);
	unsigned int done = 0;
	int error = got == count ? 0 : -ENOMEM;

	if (!error) {
		u64 result = vid_issue_deposit(pool->partition_id, pages, count);

		error = hv_status_to_errno(HC_RESULT_STATUS(result));
		done = error ? min(HC_RESULT_REPS(result), count) : count;
	}
	vid_pool_count(pool, done);
	while (got > done) {
		got--;
		vid_unmark_deposited(pages[got]);
		__free_page(pages[got]);
	}
	return error;
}

/*
 * To take a page out of our address space the hypervisor may have to split a large mapping, which costs the root's pool a
 * page. So a deposit can fail for want of memory that is not the child's.
 */
static int vid_deposit_part(struct vid_pool *pool, unsigned int count)
{
	int error = vid_deposit_chunk(pool, count);

	if (error != -ENOMEM || pool == &vid_root_pool)
		return error;
	error = vid_deposit_chunk(&vid_root_pool, VID_DEPOSIT_FIRST);
	return error ? error : vid_deposit_chunk(pool, count);
}

int vid_hv_deposit(struct vid_pool *pool, unsigned int page_count)
{
	while (page_count) {
		unsigned int part = min(page_count, VID_DEPOSIT_CHUNK);
		int error = vid_deposit_part(pool, part);

		if (error)
			return error;
		page_count -= part;
		cond_resched();
	}
	return 0;
}

static u64 vid_issue_withdraw(u64 partition_id, u64 *gpfns)
{
	struct hv_input_withdraw_memory *in;
	struct vid_call_pages *call;
	unsigned long irq_flags;
	u64 result;

	local_irq_save(irq_flags);
	call = this_cpu_ptr(&vid_call_pages);
	in = call->in;
	memset(in, 0, sizeof(*in));
	in->partition_id = partition_id;
	result = vid_arch_hypercall(vid_control(HVCALL_WITHDRAW_MEMORY, VID_DEPOSIT_CHUNK, 0, 0), in, call->out);
	memcpy(gpfns, call->out, VID_DEPOSIT_CHUNK * sizeof(*gpfns));
	local_irq_restore(irq_flags);
	return result;
}

/* Only what we gave goes back to the allocator. */
static void vid_take_back(struct vid_pool *pool, u64 gpfn)
{
	struct page *page = pfn_valid(gpfn) ? pfn_to_page(gpfn) : NULL;

	if (!page || !PageOffline(page) || page_private(page) != VID_DEPOSIT_MARK) {
		pr_err_ratelimited("vid: partition %llu returned page 0x%llx, which it was never given\n",
				   pool->partition_id, gpfn);
		return;
	}
	vid_unmark_deposited(page);
	__free_page(page);
	vid_pool_count(pool, -1);
}

void vid_hv_withdraw(struct vid_pool *pool)
{
	u64 gpfns[VID_DEPOSIT_CHUNK];
	unsigned int done, i;
	u64 result;

	do {
		result = vid_issue_withdraw(pool->partition_id, gpfns);
		done = min(HC_RESULT_REPS(result), VID_DEPOSIT_CHUNK);
		for (i = 0; i < done; i++)
			vid_take_back(pool, gpfns[i]);
		cond_resched();
	} while (done && HC_RESULT_STATUS(result) == HV_STATUS_SUCCESS);

	if (HC_RESULT_STATUS(result) != HV_STATUS_SUCCESS && HC_RESULT_STATUS(result) != HV_STATUS_NO_RESOURCES)
		pr_err("vid: partition %llu: withdraw failed with status 0x%x\n", pool->partition_id,
		       HC_RESULT_STATUS(result));
}

int vid_hv_scheduler_type(u64 *ret_type)
{
	struct hv_input_get_system_property in = { .property = HV_SYSTEM_PROPERTY_SCHEDULER_TYPE };
	u64 out = 0;
	int error = vid_call(&vid_root_pool, HVCALL_GET_SYSTEM_PROPERTY, &in, sizeof(in), &out, sizeof(out));

	if (!error)
		*ret_type = lower_32_bits(out);
	return error;
}

int vid_hv_create_partition(u64 flags, u64 *ret_id)
{
	struct hv_input_create_partition in = { .flags = flags, .compatibility_version = 0x0609 };
	struct hv_output_create_partition out = {};
	int error = vid_call(&vid_root_pool, HVCALL_CREATE_PARTITION, &in, sizeof(in), &out, sizeof(out));

	if (!error)
		*ret_id = out.partition_id;
	return error;
}

static int vid_call_on_partition(struct vid_pool *pool, u16 code)
{
	struct hv_input_partition in = { .partition_id = pool->partition_id };

	return vid_call(pool, code, &in, sizeof(in), NULL, 0);
}

int vid_hv_initialize_partition(struct vid_pool *pool)
{
	return vid_call_on_partition(pool, HVCALL_INITIALIZE_PARTITION);
}

int vid_hv_finalize_partition(struct vid_pool *pool)
{
	return vid_call_on_partition(pool, HVCALL_FINALIZE_PARTITION);
}

int vid_hv_delete_partition(struct vid_pool *pool)
{
	return vid_call_on_partition(pool, HVCALL_DELETE_PARTITION);
}

int vid_hv_get_property(struct vid_pool *pool, u32 code, u64 *ret_value)
{
	struct hv_input_get_partition_property in = { .partition_id = pool->partition_id, .code = code };
	struct hv_output_get_partition_property out = {};
	int error = vid_call(pool, HVCALL_GET_PARTITION_PROPERTY, &in, sizeof(in), &out, sizeof(out));

	if (!error)
		*ret_value = out.value;
	return error;
}

int vid_hv_create_vp(struct vid_pool *pool, u32 vp_index)
{
	struct hv_input_create_vp in = { .partition_id = pool->partition_id, .vp_index = vp_index };

	return vid_call(pool, HVCALL_CREATE_VP, &in, sizeof(in), NULL, 0);
}

int vid_hv_delete_vp(struct vid_pool *pool, u32 vp_index)
{
	struct hv_input_delete_vp in = { .partition_id = pool->partition_id, .vp_index = vp_index };

	return vid_call(pool, HVCALL_DELETE_VP, &in, sizeof(in), NULL, 0);
}

int vid_hv_map_vp_page(struct vid_pool *pool, u32 vp_index, u32 type, u64 *ret_gpfn)
{
	struct hv_input_vp_state_page in = {
		.partition_id = pool->partition_id, .vp_index = vp_index, .type = type,
	};
	struct hv_output_map_page out = {};
	int error = vid_call(pool, HVCALL_MAP_VP_STATE_PAGE, &in, sizeof(in), &out, sizeof(out));

	if (!error)
		*ret_gpfn = out.gpfn;
	return error;
}

int vid_hv_unmap_vp_page(struct vid_pool *pool, u32 vp_index, u32 type)
{
	struct hv_input_vp_state_page in = {
		.partition_id = pool->partition_id, .vp_index = vp_index, .type = type,
	};

	return vid_call(pool, HVCALL_UNMAP_VP_STATE_PAGE, &in, sizeof(in), NULL, 0);
}

int vid_hv_map_stats(struct vid_pool *pool, u32 object_type, const u8 identity[16], u64 *ret_gpfn)
{
	struct hv_input_map_stats_page in = { .object_type = object_type };
	struct hv_output_map_page out = {};
	struct vid_retry retry = VID_RETRY(pool);
	int error;

	retry.limit = VID_DEPOSIT_STATS_LIMIT;
	memcpy(in.identity, identity, sizeof(in.identity));
	do
		error = vid_settle(&retry, vid_issue(HVCALL_MAP_STATS_PAGE, &in, sizeof(in), &out, sizeof(out)));
	while (error == -EAGAIN);
	if (!error)
		*ret_gpfn = out.gpfn;
	return error;
}

int vid_hv_unmap_stats(u32 object_type, const u8 identity[16])
{
	struct hv_input_map_stats_page in = { .object_type = object_type };

	memcpy(in.identity, identity, sizeof(in.identity));
	return hv_status_to_errno(vid_issue(HVCALL_UNMAP_STATS_PAGE, &in, sizeof(in), NULL, 0));
}

static u64 vid_issue_map(u64 partition_id, u64 gpfn, u32 flags, struct page **pages, u32 stride, u32 reps, u32 start)
{
	struct hv_input_map_gpa_pages *in;
	unsigned long irq_flags;
	u64 result;
	u32 i;

	local_irq_save(irq_flags);
	in = this_cpu_ptr(&vid_call_pages)->in;
	in->partition_id = partition_id;
	in->target_gpfn = gpfn;
	in->flags = flags;
	in->pad = 0;
	for (i = 0; i < reps; i++)
		in->source_gpfn[i] = page_to_pfn(pages[i * stride]);
	result = vid_arch_hypercall(vid_control(HVCALL_MAP_GPA_PAGES, reps, start, 0), in, NULL);
	local_irq_restore(irq_flags);
	return result;
}

/* Elements done stay done when a later one lacks memory, so the repeated call starts behind them. */
int vid_hv_map_pages(struct vid_pool *pool, u64 gpfn, u32 flags, bool large, struct page **pages, u32 reps)
{
	struct vid_retry retry = VID_RETRY(pool);
	u32 stride = large ? VID_LARGE_PAGES : 1;
	u32 start = 0;
	u64 result;
	int error;

	if (WARN_ON_ONCE(reps == 0 || reps > VID_MAP_REPS_MAX))
		return -EINVAL;
	if (large)
		flags |= HV_MAP_GPA_LARGE_PAGE;
	do {
		result = vid_issue_map(pool->partition_id, gpfn, flags, pages, stride, reps, start);
		start = clamp(HC_RESULT_REPS(result), start, reps - 1);
		error = vid_settle(&retry, HC_RESULT_STATUS(result));
	} while (error == -EAGAIN);
	return error;
}

static u64 vid_issue_unmap(u64 partition_id, u64 gpfn, u32 flags, u32 reps, u32 start)
{
	struct hv_input_unmap_gpa_pages *in;
	unsigned long irq_flags;
	u64 result;

	local_irq_save(irq_flags);
	in = this_cpu_ptr(&vid_call_pages)->in;
	in->partition_id = partition_id;
	in->target_gpfn = gpfn;
	in->flags = flags;
	in->pad = 0;
	result = vid_arch_hypercall(vid_control(HVCALL_UNMAP_GPA_PAGES, reps, start, 0), in, NULL);
	local_irq_restore(irq_flags);
	return result;
}

int vid_hv_unmap_pages(struct vid_pool *pool, u64 gpfn, bool large, u32 reps)
{
	struct vid_retry retry = VID_RETRY(pool);
	u32 start = 0;
	u64 result;
	int error;

	do {
		result = vid_issue_unmap(pool->partition_id, gpfn, large ? HV_UNMAP_GPA_LARGE_PAGE : 0, reps, start);
		start = clamp(HC_RESULT_REPS(result), start, reps - 1);
		error = vid_settle(&retry, HC_RESULT_STATUS(result));
	} while (error == -EAGAIN);
	return error;
}

static u64 vid_issue_get_register(u64 partition_id, u32 vp_index, u32 name, u64 *value)
{
	struct hv_input_vp_registers *in;
	struct vid_call_pages *call;
	unsigned long irq_flags;
	u64 result;

	local_irq_save(irq_flags);
	call = this_cpu_ptr(&vid_call_pages);
	in = call->in;
	memset(in, 0, sizeof(*in));
	in->partition_id = partition_id;
	in->vp_index = vp_index;
	memcpy(in + 1, &name, sizeof(name));
	result = vid_arch_hypercall(vid_control(HVCALL_GET_VP_REGISTERS, 1, 0, 0), in, call->out);
	*value = ((const struct hv_u128 *)call->out)->low;
	local_irq_restore(irq_flags);
	return result;
}

int vid_hv_get_register(struct vid_pool *pool, u32 vp_index, u32 name, u64 *ret_value)
{
	struct vid_retry retry = VID_RETRY(pool);
	u64 result, value;
	int error;

	do {
		result = vid_issue_get_register(pool->partition_id, vp_index, name, &value);
		error = vid_settle(&retry, HC_RESULT_STATUS(result));
	} while (error == -EAGAIN);
	if (!error)
		*ret_value = value;
	return error;
}

static u64 vid_issue_set_register(u64 partition_id, u32 vp_index, u32 name, u64 value)
{
	struct hv_register_assoc *assoc;
	struct hv_input_vp_registers *in;
	unsigned long irq_flags;
	u64 result;

	local_irq_save(irq_flags);
	in = this_cpu_ptr(&vid_call_pages)->in;
	memset(in, 0, sizeof(*in));
	in->partition_id = partition_id;
	in->vp_index = vp_index;
	assoc = (struct hv_register_assoc *)(in + 1);
	memset(assoc, 0, sizeof(*assoc));
	assoc->name = name;
	assoc->value.low = value;
	result = vid_arch_hypercall(vid_control(HVCALL_SET_VP_REGISTERS, 1, 0, 0), in, NULL);
	local_irq_restore(irq_flags);
	return result;
}

int vid_hv_set_register(struct vid_pool *pool, u32 vp_index, u32 name, u64 value)
{
	struct vid_retry retry = VID_RETRY(pool);
	u64 result;
	int error;

	do {
		result = vid_issue_set_register(pool->partition_id, vp_index, name, value);
		error = vid_settle(&retry, HC_RESULT_STATUS(result));
	} while (error == -EAGAIN);
	return error;
}

int vid_hv_create_port(u32 port_id, u64 sender_id, const struct hv_port_info *info)
{
	struct hv_input_create_port in = {
		.port_partition = HV_PARTITION_ID_SELF, .port_id = port_id, .connection_partition = sender_id, .info = *info,
	};

	return vid_call(&vid_root_pool, HVCALL_CREATE_PORT, &in, sizeof(in), NULL, 0);
}

int vid_hv_delete_port(u32 port_id)
{
	struct hv_input_delete_port in = { .port_partition = HV_PARTITION_ID_SELF, .port_id = port_id };

	return vid_call(&vid_root_pool, HVCALL_DELETE_PORT, &in, sizeof(in), NULL, 0);
}

int vid_hv_connect_port(struct vid_pool *pool, u32 connection_id, u32 port_id, u32 type)
{
	struct hv_input_connect_port in = {
		.connection_partition = pool->partition_id, .connection_id = connection_id,
		.port_partition = HV_PARTITION_ID_SELF, .port_id = port_id, .info.type = type,
	};

	return vid_call(pool, HVCALL_CONNECT_PORT, &in, sizeof(in), NULL, 0);
}

int vid_hv_disconnect_port(struct vid_pool *pool, u32 connection_id)
{
	struct hv_input_disconnect_port in = {
		.connection_partition = pool->partition_id, .connection_id = connection_id,
	};

	return vid_call(pool, HVCALL_DISCONNECT_PORT, &in, sizeof(in), NULL, 0);
}

u16 vid_hv_hold_port(u32 port_id, bool hold)
{
	struct hv_input_set_port_property in = {
		.port_partition = HV_PARTITION_ID_SELF, .port_id = port_id, .property = UC_PORT_PROPERTY_HOLD, .value = hold,
	};

	return vid_issue(HVCALL_SET_PORT_PROPERTY, &in, sizeof(in), NULL, 0);
}

u16 vid_hv_assert_interrupt(u64 partition_id, u64 control, u64 destination, u32 vector)
{
	struct hv_input_assert_virtual_interrupt in = {
		.partition_id = partition_id, .control = control, .destination = destination, .vector = vector,
	};

	return vid_issue(HVCALL_ASSERT_VIRTUAL_INTERRUPT, &in, sizeof(in), NULL, 0);
}

u16 vid_hv_dispatch_vp(u64 partition_id, u32 vp_index, u32 flags, struct hv_output_dispatch_vp *ret)
{
	struct hv_input_dispatch_vp in = { .partition_id = partition_id, .vp_index = vp_index, .flags = flags };

	return vid_issue(HVCALL_DISPATCH_VP, &in, sizeof(in), ret, sizeof(*ret));
}

/*
 * State data travels inside the call's own page, behind the input or in the output, if it fits there and the list of pages
 * (the variable header) is empty; else in the pages that the list names.
 */
struct vid_state_transfer {
	u16 code;
	u32 vp_index;
	u32 type;
	u64 xsave_states;
	void *buffer;			/* page aligned, in the direct map, contiguous */
	size_t bytes;
};

/* Returns the length of the list. */
static unsigned int vid_fill_state(const struct vid_state_transfer *t, u64 partition_id, struct hv_input_vp_state *in)
{
	bool set = t->code == HVCALL_SET_VP_STATE;
	size_t room = HV_PAGE_BYTES - (set ? sizeof(*in) : 0);
	unsigned int i, count;

	memset(in, 0, sizeof(*in));
	in->partition_id = partition_id;
	in->vp_index = t->vp_index;
	in->type = t->type;
	in->xsave_states = t->xsave_states;
	if (t->bytes <= room) {
		if (set)
			memcpy(in->gpfn, t->buffer, t->bytes);
		return 0;
	}
	count = DIV_ROUND_UP(t->bytes, HV_PAGE_BYTES);
	for (i = 0; i < count; i++)
		in->gpfn[i] = virt_to_phys(t->buffer + (size_t)i * HV_PAGE_BYTES) >> HV_PAGE_SHIFT;
	return count;
}

static u16 vid_issue_state(const struct vid_state_transfer *t, u64 partition_id)
{
	bool in_output = t->code == HVCALL_GET_VP_STATE && t->bytes <= HV_PAGE_BYTES;
	struct vid_call_pages *call;
	unsigned long irq_flags;
	unsigned int var;
	u64 result;

	local_irq_save(irq_flags);
	call = this_cpu_ptr(&vid_call_pages);
	var = vid_fill_state(t, partition_id, call->in);
	result = vid_arch_hypercall(vid_control(t->code, 0, 0, var), call->in,
				    t->code == HVCALL_GET_VP_STATE ? call->out : NULL);
	if (in_output && HC_RESULT_STATUS(result) == HV_STATUS_SUCCESS)
		memcpy(t->buffer, call->out, t->bytes);
	local_irq_restore(irq_flags);
	return HC_RESULT_STATUS(result);
}

static int vid_transfer_state(struct vid_pool *pool, const struct vid_state_transfer *t)
{
	struct vid_retry retry = VID_RETRY(pool);
	int error;

	do
		error = vid_settle(&retry, vid_issue_state(t, pool->partition_id));
	while (error == -EAGAIN);
	return error;
}

int vid_hv_get_vp_state(struct vid_pool *pool, u32 vp_index, u32 type, u64 xsave_states, void *buffer, size_t bytes)
{
	struct vid_state_transfer t = {
		.code = HVCALL_GET_VP_STATE, .vp_index = vp_index, .type = type,
		.xsave_states = xsave_states, .buffer = buffer, .bytes = bytes,
	};

	return vid_transfer_state(pool, &t);
}

int vid_hv_set_vp_state(struct vid_pool *pool, u32 vp_index, u32 type, u64 xsave_states, const void *buffer,
			size_t bytes)
{
	struct vid_state_transfer t = {
		.code = HVCALL_SET_VP_STATE, .vp_index = vp_index, .type = type,
		.xsave_states = xsave_states, .buffer = (void *)buffer, .bytes = bytes,
	};

	return vid_transfer_state(pool, &t);
}

/*
 * Calls that user mode may make on its own partition: from which descriptors, and the bytes that the input must have.
 * The first eight bytes are the partition id in all of them, and are ours to write.
 */
#define FROM_DEVICE    (1u << VID_PASSTHROUGH_DEVICE)
#define FROM_PARTITION (1u << VID_PASSTHROUGH_PARTITION)
#define FROM_VP        (1u << VID_PASSTHROUGH_VP)

static const struct vid_passthrough_row {
	u16 code;
	u16 fixed;			/* bytes before the list */
	u16 element;			/* bytes of a list element in the input */
	bool rep;
	u8 from;
} vid_passthrough_rows[] = {
	/* code                              fixed element rep    from */
	{ HVCALL_GET_PARTITION_PROPERTY,     16,   0,      false, FROM_DEVICE | FROM_PARTITION | FROM_VP },
	{ HVCALL_SET_PARTITION_PROPERTY,     24,   0,      false, FROM_PARTITION },
	{ HVCALL_INSTALL_INTERCEPT,          24,   0,      false, FROM_PARTITION | FROM_VP },
	{ HVCALL_GET_VP_REGISTERS,           16,   4,      true,  FROM_PARTITION | FROM_VP },
	{ HVCALL_SET_VP_REGISTERS,           16,   32,     true,  FROM_PARTITION | FROM_VP },
	{ HVCALL_TRANSLATE_VIRTUAL_ADDRESS,  32,   0,      false, FROM_PARTITION | FROM_VP },
	{ HVCALL_CLEAR_VIRTUAL_INTERRUPT,    8,    0,      false, FROM_PARTITION | FROM_VP },
	{ HVCALL_REGISTER_INTERCEPT_RESULT,  60,   0,      false, FROM_PARTITION | FROM_VP },
	{ HVCALL_ASSERT_VIRTUAL_INTERRUPT,   32,   0,      false, FROM_PARTITION | FROM_VP },
	{ HVCALL_SIGNAL_EVENT_DIRECT,        16,   0,      false, FROM_PARTITION | FROM_VP },
	{ HVCALL_POST_MESSAGE_DIRECT,        280,  0,      false, FROM_PARTITION | FROM_VP },
	{ 0x00c9 /* GetGpaPagesAccessStates */, 24, 0,     true,  FROM_PARTITION | FROM_VP },
	{ 0x00f4 /* GetVpCpuidValues */,     24,   24,     true,  FROM_PARTITION | FROM_VP },
};

static bool vid_passthrough_allowed(const struct mshv_root_hvcall *call, enum vid_passthrough from)
{
	const struct vid_passthrough_row *row;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(vid_passthrough_rows); i++) {
		row = &vid_passthrough_rows[i];
		if (row->code != call->code)
			continue;
		return row->from & (1u << from) && row->rep == (call->reps != 0) && call->reps <= 0xfff &&
		       call->in_sz >= row->fixed + (u32)row->element * call->reps;
	}
	return false;
}

static bool vid_passthrough_well_formed(const struct mshv_root_hvcall *call)
{
	return call->status == 0 && !memchr_inv(call->rsvd, 0, sizeof(call->rsvd)) && call->in_ptr != 0 &&
	       call->in_sz >= sizeof(u64) && call->in_sz <= HV_PAGE_BYTES && call->out_sz <= HV_PAGE_BYTES &&
	       (call->out_ptr != 0) == (call->out_sz != 0);
}

static int vid_passthrough_issue(struct vid_pool *pool, struct mshv_root_hvcall *call, void *in, void *out)
{
	struct vid_retry retry = VID_RETRY(pool);
	u32 reps = call->reps;
	u32 start = 0;
	u64 result;
	int error;

	do {
		result = vid_arch_hypercall(vid_control(call->code, reps, start, 0), in, out);
		if (reps)
			start = clamp(HC_RESULT_REPS(result), start, reps - 1);
		error = vid_settle(&retry, HC_RESULT_STATUS(result));
	} while (error == -EAGAIN);
	call->status = HC_RESULT_STATUS(result);
	call->reps = HC_RESULT_REPS(result);
	return error;
}

static int vid_passthrough_run(struct vid_pool *pool, struct mshv_root_hvcall *call, void *in, void *out)
{
	u64 id = pool->partition_id;
	int error;

	if (copy_from_user(in, u64_to_user_ptr(call->in_ptr), call->in_sz))
		return -EFAULT;
	memcpy(in, &id, sizeof(id));
	error = vid_passthrough_issue(pool, call, in, out);
	if (call->out_sz && copy_to_user(u64_to_user_ptr(call->out_ptr), out, call->out_sz))
		return -EFAULT;
	return error;
}

/* Own pages, not the CPU's: user copies may sleep, and a rep call keeps its list while memory is being deposited. */
int vid_hv_passthrough(struct vid_pool *pool, enum vid_passthrough from, struct mshv_root_hvcall __user *user)
{
	struct mshv_root_hvcall call;
	void *in, *out;
	int error;

	if (copy_from_user(&call, user, sizeof(call)))
		return -EFAULT;
	if (!vid_passthrough_well_formed(&call) || !vid_passthrough_allowed(&call, from))
		return -EINVAL;
	in = (void *)get_zeroed_page(GFP_KERNEL);
	out = (void *)get_zeroed_page(GFP_KERNEL);
	error = in && out ? vid_passthrough_run(pool, &call, in, out) : -ENOMEM;
	free_page((unsigned long)in);
	free_page((unsigned long)out);
	if (error != -EFAULT && copy_to_user(user, &call, sizeof(call)))
		return -EFAULT;
	return error;
}
