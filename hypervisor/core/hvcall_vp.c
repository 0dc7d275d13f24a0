/* SPDX-License-Identifier: Apache-2.0 */
/* TLFS 2.0a "Virtual Processor Management"; DispatchVp and state pages as the public Linux headers have them. */
#include "core/arch.h"
#include "core/gpa_access.h"
#include "core/hvcall.h"
#include "core/mem.h"
#include "core/partition.h"
#include "core/run.h"
#include "core/vp.h"

#define TRANSLATE_VALIDATE (HV_TRANSLATE_VALIDATE_READ | HV_TRANSLATE_VALIDATE_WRITE | HV_TRANSLATE_VALIDATE_EXECUTE)
#define TRANSLATE_SUPERVISOR 0x40ull
#define TRANSLATE_USER       0x80ull
#define TRANSLATE_KNOWN      0x7ffull
#define CACHE_TYPE_WRITE_BACK 6u
#define DISPATCH_FLAGS_KNOWN 0x7fu	/* flags beyond the first two speak of speculation control, which passes through */

#define XSAVE_HEADER     512u
#define XSAVE_HEADER_END 576u
#define FXSAVE_MXCSR      24u
#define FXSAVE_MXCSR_MASK 28u
#define MXCSR_MASK_DEFAULT 0xffbfu

static enum hv_status vp_find(struct hypercall_context *c, uint64_t partition_id, uint32_t vp_index, struct vp **out)
{
	struct partition *p;
	enum hv_status status = hypercall_target(c, partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);

	if (status != HV_STATUS_SUCCESS)
		return status;
	*out = partition_vp(p, vp_index);
	return *out ? HV_STATUS_SUCCESS : HV_STATUS_INVALID_VP_INDEX;
}

/* Holds the VP until the call (or round) is over. */
static enum hv_status vp_find_and_hold(struct hypercall_context *c, uint64_t partition_id, uint32_t vp_index, struct vp **out)
{
	enum hv_status status;

	if (!c->held) {
		status = vp_find(c, partition_id, vp_index, out);
		if (status != HV_STATUS_SUCCESS)
			return status;
		if (!vp_hold(*out))
			return HV_STATUS_INVALID_VP_INDEX;	/* it is on its way out */
		c->held = *out;
	}
	*out = c->held;
	return HV_STATUS_SUCCESS;
}

/* --- Life cycle ----------------------------------------------------------------------------------------------------- */

enum hv_status hvcall_create_vp(struct hypercall_context *c)
{
	const struct hv_input_create_vp *in = (const void *)c->input;
	struct partition *p;
	enum hv_status status = hypercall_target(c, in->partition_id, HC_TARGET_CHILD | HC_IN_ACTIVE, &p);
	struct vp *vp;

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->flags || in->subnode_type)
		return HV_STATUS_INVALID_PARAMETER;
	return vp_create(p, in->vp_index, &vp);
}

enum hv_status hvcall_delete_vp(struct hypercall_context *c)
{
	const struct hv_input_delete_vp *in = (const void *)c->input;
	struct vp *vp;
	enum hv_status status = vp_find(c, in->partition_id, in->vp_index, &vp);

	return status != HV_STATUS_SUCCESS ? status : vp_delete(vp);
}

enum hv_status hvcall_dispatch_vp(struct hypercall_context *c)
{
	const struct hv_input_dispatch_vp *in = (const void *)c->input;
	struct vp *vp;
	enum hv_status status = vp_find(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->flags & ~DISPATCH_FLAGS_KNOWN)
		return HV_STATUS_INVALID_PARAMETER;
	return run_dispatch(vp, in->flags, in->time_slice, (struct hv_output_dispatch_vp *)(void *)c->output);
}

/* --- Registers ------------------------------------------------------------------------------------------------------ */

/* The caller's own VP needs no holding: it is here. Reading only. */
static bool is_calling_vp(const struct hypercall_context *c, uint64_t partition_id, uint32_t vp_index)
{
	if (partition_id != HV_PARTITION_ID_SELF && partition_id != c->vp->partition->id)
		return false;
	return vp_index == HV_VP_INDEX_SELF || vp_index == c->vp->index;
}

enum hv_status hvcall_get_vp_registers(struct hypercall_context *c)
{
	const struct hv_input_vp_registers *in = (const void *)c->input;
	const uint32_t *names = (const void *)(in + 1);
	struct hv_u128 *values = (void *)c->output;
	enum hv_status status = HV_STATUS_SUCCESS;
	struct vp *vp = c->vp;

	if (in->vtl)
		return HV_STATUS_INVALID_PARAMETER;
	if (!is_calling_vp(c, in->partition_id, in->vp_index))
		status = vp_find_and_hold(c, in->partition_id, in->vp_index, &vp);
	return status != HV_STATUS_SUCCESS ? status : vp_register_get(vp, names[c->rep], &values[c->rep]);
}

enum hv_status hvcall_set_vp_registers(struct hypercall_context *c)
{
	const struct hv_input_vp_registers *in = (const void *)c->input;
	const struct hv_register_assoc *assoc = (const struct hv_register_assoc *)(const void *)(in + 1) + c->rep;
	struct vp *vp;
	enum hv_status status = vp_find(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (in->vtl)
		return HV_STATUS_INVALID_PARAMETER;
	/* Before the VP is stopped, so that whoever dispatches it sees why. */
	if (assoc->name == HV_REG_EXPLICIT_SUSPEND && assoc->value.low == 1)
		__atomic_store_n(&vp->explicit_suspend, 1, __ATOMIC_SEQ_CST);
	status = vp_find_and_hold(c, in->partition_id, in->vp_index, &vp);
	return status != HV_STATUS_SUCCESS ? status : vp_register_set(vp, assoc->name, &assoc->value);
}

static bool translate_as_user(const struct vp *vp, uint64_t flags)
{
	struct hv_segment_register ss;
	struct hv_u128 value;

	if (flags & (HV_TRANSLATE_PRIVILEGE_EXEMPT | TRANSLATE_SUPERVISOR))
		return false;
	if (flags & TRANSLATE_USER)
		return true;
	if (arch->reg_get(vp, HV_REG_SS, &value) != HV_STATUS_SUCCESS)
		return false;
	memcpy(&ss, &value, sizeof ss);
	return ((ss.attributes >> 5) & 3) == 3;
}

enum hv_status hvcall_translate_virtual_address(struct hypercall_context *c)
{
	const struct hv_input_translate_virtual_address *in = (const void *)c->input;
	struct hv_output_translate_virtual_address *out = (void *)c->output;
	uint64_t flags = in->control_flags;
	gpa_t gpa = GPA(0);
	struct vp *vp;
	enum hv_status status = vp_find_and_hold(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	if (!(flags & TRANSLATE_VALIDATE) || (flags & ~TRANSLATE_KNOWN) || in->gva_page >> (64 - PAGE_SHIFT))
		return HV_STATUS_INVALID_PARAMETER;
	_Static_assert(HV_TRANSLATE_VALIDATE_READ == ACCESS_READ && HV_TRANSLATE_VALIDATE_WRITE == ACCESS_WRITE &&
		       HV_TRANSLATE_VALIDATE_EXECUTE == ACCESS_EXECUTE, "the same bits");
	out->result_code = gva_translate(vp, GVA(in->gva_page << PAGE_SHIFT), (uint8_t)(flags & TRANSLATE_VALIDATE),
					 translate_as_user(vp, flags), (flags & HV_TRANSLATE_SET_PAGE_TABLE_BITS) != 0, &gpa);
	if (out->result_code == HV_TRANSLATE_SUCCESS) {
		out->flags = CACHE_TYPE_WRITE_BACK;
		out->gpa_page = gpa.v >> PAGE_SHIFT;
	}
	return HV_STATUS_SUCCESS;
}

/* --- Pages that the parent sees ------------------------------------------------------------------------------------- */

static enum hv_status message_page_map(struct vp *vp, spa_t *out_page)
{
	enum hv_status status = HV_STATUS_SUCCESS;

	if (!vp->message_shown)
		status = partition_show_page(vp->message_page, ACCESS_READ | ACCESS_WRITE);
	vp->message_shown = status == HV_STATUS_SUCCESS;
	*out_page = vp->message_page;
	return status;
}

static enum hv_status register_page_map(struct vp *vp, spa_t *out_page)
{
	enum hv_status status = HV_STATUS_SUCCESS;
	spa_t page = vp->register_page;

	if (!page.v) {
		page = page_pool_alloc(&vp->partition->pool);
		if (!page.v)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		status = partition_show_page(page, ACCESS_READ | ACCESS_WRITE);
		if (status != HV_STATUS_SUCCESS) {
			page_pool_free(&vp->partition->pool, page);
			return status;
		}
		vp->register_page = page;
	}
	*out_page = page;
	return status;
}

enum hv_status hvcall_map_vp_state_page(struct hypercall_context *c)
{
	const struct hv_input_vp_state_page *in = (const void *)c->input;
	struct hv_output_map_page *out = (void *)c->output;
	spa_t page = SPA(0);
	struct vp *vp;
	enum hv_status status = vp_find_and_hold(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	switch (in->type) {
	case HV_VP_STATE_PAGE_REGISTERS:
		status = register_page_map(vp, &page);
		break;
	case HV_VP_STATE_PAGE_INTERCEPT_MESSAGE:
		status = message_page_map(vp, &page);
		break;
	default:
		status = HV_STATUS_INVALID_PARAMETER;
	}
	out->gpfn = page.v >> PAGE_SHIFT;
	return status;
}

enum hv_status hvcall_unmap_vp_state_page(struct hypercall_context *c)
{
	const struct hv_input_vp_state_page *in = (const void *)c->input;
	struct vp *vp;
	enum hv_status status = vp_find_and_hold(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	switch (in->type) {
	case HV_VP_STATE_PAGE_REGISTERS:
		if (!vp->register_page.v)
			return HV_STATUS_INVALID_PARAMETER;
		partition_hide_page(vp->register_page);
		page_pool_free(&vp->partition->pool, vp->register_page);
		vp->register_page = SPA(0);
		return HV_STATUS_SUCCESS;
	case HV_VP_STATE_PAGE_INTERCEPT_MESSAGE:
		if (!vp->message_shown)
			return HV_STATUS_INVALID_PARAMETER;
		partition_hide_page(vp->message_page);
		vp->message_shown = false;
		return HV_STATUS_SUCCESS;
	}
	return HV_STATUS_INVALID_PARAMETER;
}

/* --- State as a whole ----------------------------------------------------------------------------------------------- */

static size_t xsave_bytes(struct vp *vp)
{
	size_t bytes;

	arch->fpu_image(vp, &bytes);
	return bytes;
}

/* Size of a state; 0 for a type that there is not. */
static size_t state_bytes(struct vp *vp, uint32_t type)
{
	switch (type) {
	case HV_VP_STATE_LAPIC:
		return sizeof(struct hv_lapic_state);
	case HV_VP_STATE_XSAVE:
		return xsave_bytes(vp);
	case HV_VP_STATE_SYNTHETIC_TIMERS:
		return sizeof(struct hv_stimers_state);
	}
	return 0;
}

/* To or from the caller's pages on the list behind the header. */
static enum hv_status pages_copy(struct hypercall_context *c, const uint64_t *gpfn, uint8_t *data, size_t bytes, bool write)
{
	for (size_t at = 0; at < bytes; at += PAGE_BYTES, gpfn++) {
		size_t part = bytes - at < PAGE_BYTES ? bytes - at : PAGE_BYTES;
		enum gpa_result result;

		if (*gpfn >> (machine.phys_bits - PAGE_SHIFT))
			return HV_STATUS_INVALID_PARAMETER;
		result = write ? gpa_write(c->vp->partition, GPA(*gpfn << PAGE_SHIFT), data + at, part) :
				 gpa_read(c->vp->partition, GPA(*gpfn << PAGE_SHIFT), data + at, part);
		if (result != GPA_DONE)
			return HV_STATUS_INVALID_PARAMETER;
	}
	return HV_STATUS_SUCCESS;
}

static uint32_t pages_for(size_t bytes)
{
	return (uint32_t)((bytes + PAGE_BYTES - 1) / PAGE_BYTES);
}

enum hv_status hvcall_get_vp_state(struct hypercall_context *c)
{
	const struct hv_input_vp_state *in = (const void *)c->input;
	uint32_t listed = c->variable_bytes / 8;
	size_t bytes;
	struct vp *vp;
	enum hv_status status = vp_find_and_hold(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	bytes = state_bytes(vp, in->type);
	if (!bytes || bytes > PAGE_BYTES || in->vtl || (listed && listed < pages_for(bytes)))
		return HV_STATUS_INVALID_PARAMETER;
	switch (in->type) {
	case HV_VP_STATE_LAPIC:
		lapic_state_get(vp, (struct hv_lapic_state *)(void *)c->output);
		break;
	case HV_VP_STATE_XSAVE:
		memcpy(c->output, arch->fpu_image(vp, &bytes), bytes);
		break;
	default:
		synth_timer_state_get(vp, (struct hv_stimers_state *)(void *)c->output);
	}
	if (listed)
		return pages_copy(c, in->gpfn, c->output, bytes, true);
	c->output_bytes = (uint32_t)bytes;
	return HV_STATUS_SUCCESS;
}

static uint32_t read_u32(const uint8_t *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof v);
	return v;
}

/* The CPU faults in the hypervisor on an image that XRSTOR does not like: everything it checks is checked here. */
static bool xsave_is_legal(const uint8_t *image, const uint8_t *now, size_t bytes)
{
	uint32_t mask = read_u32(now + FXSAVE_MXCSR_MASK);
	uint64_t states;

	if (read_u32(image + FXSAVE_MXCSR) & ~(mask ? mask : MXCSR_MASK_DEFAULT))
		return false;
	if (bytes < XSAVE_HEADER_END)
		return true;
	memcpy(&states, image + XSAVE_HEADER, sizeof states);
	if (states & ~machine.xcr0_mask)
		return false;
	for (size_t i = XSAVE_HEADER + 8; i < XSAVE_HEADER_END; i++)
		if (image[i])
			return false;
	return true;
}

static enum hv_status state_apply(struct vp *vp, uint32_t type, const uint8_t *data, size_t bytes)
{
	uint8_t *image;
	size_t image_bytes;

	switch (type) {
	case HV_VP_STATE_LAPIC:
		return lapic_state_set(vp, (const struct hv_lapic_state *)(const void *)data);
	case HV_VP_STATE_SYNTHETIC_TIMERS:
		return synth_timer_state_set(vp, (const struct hv_stimers_state *)(const void *)data);
	}
	image = arch->fpu_image(vp, &image_bytes);
	if (!xsave_is_legal(data, image, bytes))
		return HV_STATUS_INVALID_PARAMETER;
	memcpy(image, data, bytes);
	return HV_STATUS_SUCCESS;
}

enum hv_status hvcall_set_vp_state(struct hypercall_context *c)
{
	const struct hv_input_vp_state *in = (const void *)c->input;
	uint32_t words = c->variable_bytes / 8;
	size_t bytes;
	struct vp *vp;
	enum hv_status status = vp_find_and_hold(c, in->partition_id, in->vp_index, &vp);

	if (status != HV_STATUS_SUCCESS)
		return status;
	bytes = state_bytes(vp, in->type);
	if (!bytes || bytes > PAGE_BYTES || in->vtl)
		return HV_STATUS_INVALID_PARAMETER;
	/* What follows the header is a list of pages, or the state itself; their lengths tell them apart. */
	if (words == pages_for(bytes)) {
		status = pages_copy(c, in->gpfn, c->output, bytes, false);
		if (status != HV_STATUS_SUCCESS)
			return status;
		return state_apply(vp, in->type, c->output, bytes);
	}
	if ((words && words != (bytes + 7) / 8) || bytes > c->input_bytes - sizeof *in)
		return HV_STATUS_INVALID_PARAMETER;
	return state_apply(vp, in->type, (const uint8_t *)(in + 1), bytes);
}
