/* SPDX-License-Identifier: Apache-2.0 */
/* TLFS web, "Hypercall Interface". One step a function, in the order in which a call can fail. */
#include "core/hypercall.h"

#include "core/arch.h"
#include "core/gpa_access.h"
#include "core/hvcall.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/vp.h"
#include "hv/hv_msr.h"

#define CR0_PE     (1ull << 0)
#define EFER_LMA   (1ull << 10)
#define RFLAGS_VM  (1ull << 17)
#define SEGMENT_L  0x2000u
#define FAST_BYTES 16u
#define REP_START_MASK (0xfffull << HC_REP_START_SHIFT)

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 };

/* Private pages of a CPU. A child's calls run while its parent's DispatchVp is under way on the same CPU: two levels. */
static struct {
	uint8_t *input, *output;
} cpu_pages[CPUS_MAX][2];

struct call {
	struct vp *vp;
	bool wide;			/* 64-bit register convention */
	uint64_t control;
	uint64_t input, output;		/* GPAs, or the fast parameters */
	const struct hypercall_row *row;
	uint32_t header_bytes;		/* fixed and variable */
	uint32_t input_bytes, output_bytes;	/* whole areas */
	struct hypercall_context c;
};

/* --- Who may call, and with which registers ------------------------------------------------------------------------- */

static uint64_t reg_low(const struct vp *vp, uint32_t name)
{
	struct hv_u128 value = { 0, 0 };

	CHECK(arch->reg_get(vp, name, &value) == HV_STATUS_SUCCESS);
	return value.low;
}

static uint16_t segment_attributes(const struct vp *vp, uint32_t name)
{
	struct hv_segment_register segment;
	struct hv_u128 value = { 0, 0 };

	CHECK(arch->reg_get(vp, name, &value) == HV_STATUS_SUCCESS);
	memcpy(&segment, &value, sizeof segment);
	return segment.attributes;
}

static bool caller_is_legal(const struct vp *vp)
{
	const struct partition *p = vp->partition;

	if (!(reg_low(vp, HV_REG_CR0) & CR0_PE) || (vp->rflags & RFLAGS_VM))
		return false;
	if ((segment_attributes(vp, HV_REG_SS) >> 5) & 3)
		return false;
	return p->guest_os_id && (p->hypercall_msr & HV_MSR_PAGE_ENABLE);
}

static uint64_t pair(uint64_t high, uint64_t low)
{
	return high << 32 | (low & 0xffffffffull);
}

static void registers_read(struct call *call)
{
	const uint64_t *r = call->vp->gpr;

	call->wide = (reg_low(call->vp, HV_REG_EFER) & EFER_LMA) && (segment_attributes(call->vp, HV_REG_CS) & SEGMENT_L);
	if (call->wide) {
		call->control = r[RCX];
		call->input = r[RDX];
		call->output = r[R8];
	} else {
		call->control = pair(r[RDX], r[RAX]);
		call->input = pair(r[RBX], r[RCX]);
		call->output = pair(r[RDI], r[RSI]);
	}
}

static void result_write(struct call *call, enum hv_status status, uint32_t reps)
{
	uint64_t result = (uint64_t)status | (uint64_t)reps << HC_REP_COUNT_SHIFT;
	uint64_t *r = call->vp->gpr;

	if (call->wide) {
		r[RAX] = result;
	} else {
		r[RAX] = result & 0xffffffffull;
		r[RDX] = result >> 32;
	}
}

/* The guest executes the same instruction again and goes on behind what is done. */
static void continuation_write(struct call *call, uint32_t next)
{
	uint64_t control = (call->control & ~REP_START_MASK) | (uint64_t)next << HC_REP_START_SHIFT;
	uint64_t *r = call->vp->gpr;

	if (call->wide) {
		r[RCX] = control;
	} else {
		r[RAX] = control & 0xffffffffull;
		r[RDX] = control >> 32;
	}
}

/* --- Checks before anything is done --------------------------------------------------------------------------------- */

static const struct hypercall_row *row_find(uint16_t code)
{
	size_t low = 0, high = hypercall_row_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (hypercall_rows[middle].code == code)
			return &hypercall_rows[middle];
		if (hypercall_rows[middle].code < code)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static enum hv_status control_check(struct call *call)
{
	const struct hypercall_row *row = call->row;
	uint32_t count = HC_REP_COUNT(call->control), start = HC_REP_START(call->control);

	if (call->control & HC_RSVDZ)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (row->rep ? start >= count : (count || start))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	if (HC_VAR_HEADER(call->control) && !(row->flags & HC_VARIABLE))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	call->header_bytes = row->in_bytes + 8 * HC_VAR_HEADER(call->control);
	if (call->header_bytes > PAGE_BYTES)
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	call->input_bytes = call->header_bytes + count * row->in_rep_bytes;
	call->output_bytes = row->rep ? count * row->out_rep_bytes : row->out_bytes;
	if (HC_FAST(call->control) &&
	    (!(row->flags & HC_FAST_OK) || call->input_bytes > FAST_BYTES || call->output_bytes))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	return HV_STATUS_SUCCESS;
}

static enum hv_status privilege_check(const struct call *call)
{
	uint64_t held = call->vp->partition->privileges, needed = call->row->privilege;

	if (call->row->flags & HC_ROOT_ONLY)
		needed |= HV_PRIV_CREATE_PARTITIONS;
	return (held & needed) == needed ? HV_STATUS_SUCCESS : HV_STATUS_ACCESS_DENIED;
}

static enum hv_status area_check(const struct call *call, uint64_t gpa, uint32_t bytes, uint8_t access)
{
	struct gpa_mapping mapping;

	if (!bytes)
		return HV_STATUS_SUCCESS;
	if ((gpa & 7) || gpa >> machine.phys_bits)
		return HV_STATUS_INVALID_ALIGNMENT;
	if (bytes > PAGE_BYTES - (gpa & ~PAGE_MASK))
		return HV_STATUS_INVALID_ALIGNMENT;
	mapping = gpa_space_lookup(&call->vp->partition->space, GPA(gpa));
	return (mapping.access & access) == access ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_ALIGNMENT;
}

static bool areas_overlap(uint64_t a, uint32_t a_bytes, uint64_t b, uint32_t b_bytes)
{
	return a_bytes && b_bytes && a < b + b_bytes && b < a + a_bytes;
}

static enum hv_status memory_check(const struct call *call)
{
	enum hv_status status = area_check(call, call->input, call->input_bytes, ACCESS_READ);

	if (status == HV_STATUS_SUCCESS)
		status = area_check(call, call->output, call->output_bytes, ACCESS_WRITE);
	if (status == HV_STATUS_SUCCESS &&
	    areas_overlap(call->input, call->input_bytes, call->output, call->output_bytes))
		status = HV_STATUS_INVALID_HYPERCALL_INPUT;
	return status;
}

/* --- Private copies ------------------------------------------------------------------------------------------------- */

static uint8_t *private_page(uint8_t **slot)
{
	spa_t page;

	if (!*slot) {
		page = page_pool_alloc_reserved(&root_partition->pool);
		if (page.v)
			*slot = platform_ptr(page);
	}
	return *slot;
}

void hypercall_init(void)
{
	memset(cpu_pages, 0, sizeof cpu_pages);
	hvcall_stats_init();
}

static enum hv_status pages_get(struct call *call)
{
	unsigned cpu = platform_cpu()->index, level = call->vp->partition->is_root ? 0 : 1;
	uint8_t *input = private_page(&cpu_pages[cpu][level].input);

	call->c.output = private_page(&cpu_pages[cpu][level].output);
	call->c.input = input;
	return input && call->c.output ? HV_STATUS_SUCCESS : HV_STATUS_INSUFFICIENT_MEMORY;
}

static enum hv_status input_copy(struct call *call)
{
	uint8_t *to = (uint8_t *)(uintptr_t)call->c.input;
	uint64_t fast[2] = { call->input, call->output };

	call->c.input_bytes = call->input_bytes;
	if (HC_FAST(call->control)) {
		memcpy(to, fast, FAST_BYTES);
		return HV_STATUS_SUCCESS;
	}
	if (call->row->flags & HC_TAIL)
		call->c.input_bytes = (uint32_t)(PAGE_BYTES - (call->input & ~PAGE_MASK));
	if (!call->c.input_bytes)
		return HV_STATUS_SUCCESS;
	return gpa_read(call->vp->partition, GPA(call->input), to, call->c.input_bytes) == GPA_DONE ?
	       HV_STATUS_SUCCESS : HV_STATUS_INVALID_ALIGNMENT;
}

static enum hv_status output_copy(struct call *call, uint32_t from, uint32_t bytes)
{
	if (!bytes)
		return HV_STATUS_SUCCESS;
	return gpa_write(call->vp->partition, GPA(call->output + from), call->c.output + from, bytes) == GPA_DONE ?
	       HV_STATUS_SUCCESS : HV_STATUS_INVALID_ALIGNMENT;
}

/* --- Running -------------------------------------------------------------------------------------------------------- */

enum hv_status hypercall_target(struct hypercall_context *c, uint64_t partition_id, uint32_t rules, struct partition **out)
{
	struct partition *caller = c->vp->partition, *p = c->target;

	if (!p) {
		p = partition_get(caller, partition_id);
		if (!p)
			return HV_STATUS_INVALID_PARTITION_ID;
		c->target = p;
		if (p == caller ? !(rules & HC_TARGET_SELF) : !(p->parent == caller && (rules & HC_TARGET_CHILD)))
			return HV_STATUS_ACCESS_DENIED;
		if (!(rules & HC_IN_UNINITIALIZED << __atomic_load_n(&p->state, __ATOMIC_SEQ_CST)))
			return HV_STATUS_INVALID_PARTITION_STATE;
	}
	*out = p;
	return HV_STATUS_SUCCESS;
}

static void context_release(struct hypercall_context *c)
{
	if (c->held)
		vp_release(c->held);
	c->held = NULL;
	if (c->target) {
		hvcall_stats_refresh(c->target);
		partition_put(c->target);
	}
	c->target = NULL;
}

static enum hv_status simple_run(struct call *call)
{
	struct hypercall_context *c = &call->c;
	enum hv_status status;

	memset(c->output, 0, call->output_bytes);
	c->output_bytes = call->output_bytes;
	status = call->row->handle(c);
	context_release(c);
	if (status != HV_STATUS_SUCCESS)
		return status;
	if (c->output_bytes > call->output_bytes) {		/* how much, only the handler knew */
		if (HC_FAST(call->control))
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
		status = area_check(call, call->output, c->output_bytes, ACCESS_WRITE);
		if (status != HV_STATUS_SUCCESS)
			return status;
		if (areas_overlap(call->input, call->input_bytes, call->output, c->output_bytes))
			return HV_STATUS_INVALID_HYPERCALL_INPUT;
	}
	return output_copy(call, 0, c->output_bytes);
}

static bool time_is_up(const struct call *call, uint32_t done)
{
	return done >= HYPERCALL_REPS_MAX || (done && lapic_pending(call->vp) >= 0 && arch->can_interrupt(call->vp));
}

/* One round over the list; returns the element it stopped at. */
static uint32_t rep_run(struct call *call, enum hv_status *out_status)
{
	const struct hypercall_row *row = call->row;
	struct hypercall_context *c = &call->c;
	uint32_t first = HC_REP_START(call->control), rep = first;
	enum hv_status status = HV_STATUS_SUCCESS, copied;

	c->rep_first = first;
	c->rep_count = HC_REP_COUNT(call->control);
	memset(c->output, 0, PAGE_BYTES);
	while (rep < c->rep_count && !time_is_up(call, rep - first)) {
		c->rep = rep;
		status = row->handle(c);
		if (status != HV_STATUS_SUCCESS)
			break;
		rep++;
	}
	if (row->finish && rep > first)
		row->finish(c, first, rep);
	context_release(c);
	copied = output_copy(call, first * row->out_rep_bytes, (rep - first) * row->out_rep_bytes);
	*out_status = status != HV_STATUS_SUCCESS ? status : copied;
	return rep;
}

static enum hypercall_outcome run(struct call *call)
{
	enum hv_status status;
	uint32_t reached;

	call->c.vp = call->vp;
	call->c.variable_bytes = call->header_bytes - call->row->in_bytes;
	if (!call->row->rep) {
		result_write(call, simple_run(call), 0);
		return HYPERCALL_NEXT;
	}
	reached = rep_run(call, &status);
	if (status == HV_STATUS_SUCCESS && reached < call->c.rep_count) {
		continuation_write(call, reached);
		return HYPERCALL_RETRY;
	}
	result_write(call, status, reached);
	return HYPERCALL_NEXT;
}

static enum hv_status prepare(struct call *call)
{
	enum hv_status status;

	call->row = row_find(HC_CODE(call->control));
	if (!call->row)
		return HV_STATUS_INVALID_HYPERCALL_CODE;
	status = control_check(call);
	if (status == HV_STATUS_SUCCESS)
		status = privilege_check(call);
	if (status == HV_STATUS_SUCCESS && !HC_FAST(call->control))
		status = memory_check(call);
	if (status == HV_STATUS_SUCCESS)
		status = pages_get(call);
	if (status == HV_STATUS_SUCCESS)
		status = input_copy(call);
	return status;
}

enum hypercall_outcome hypercall_enter(struct vp *vp)
{
	struct call call = { .vp = vp };
	enum hv_status status;

	if (!caller_is_legal(vp))
		return HYPERCALL_UD;
	registers_read(&call);
	status = prepare(&call);
	if (call.row && call.row - hypercall_rows < HV_STATS_VP_HYPERCALL_COUNT)
		vp_count(vp, HV_STATS_VP_HYPERCALL_BASE + (unsigned)(call.row - hypercall_rows));
	if (status != HV_STATUS_SUCCESS) {
		/* Elements that earlier rounds have done stay counted. */
		result_write(&call, status, call.row && call.row->rep && status != HV_STATUS_INVALID_HYPERCALL_INPUT ?
			     HC_REP_START(call.control) : 0);
		return HYPERCALL_NEXT;
	}
	return run(&call);
}
