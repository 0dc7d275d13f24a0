// SPDX-License-Identifier: Apache-2.0
#include "worker/vp_context.h"

#include <errno.h>
#include <string.h>

#define STATE_LMA      0x10u
#define CS_LONG        0x2000u
#define CS_DEFAULT_32  0x4000u
#define GPR_COUNT      16u
#define PAGE_BYTES     4096u

enum insn_mode vp_context_mode(const struct hv_intercept_header *header)
{
	if ((header->execution_state & STATE_LMA) && (header->cs.attributes & CS_LONG))
		return INSN_CODE_64;
	return header->cs.attributes & CS_DEFAULT_32 ? INSN_CODE_32 : INSN_CODE_16;
}

static bool page_is_valid(const struct vp_context *vp)
{
	return vp->page && __atomic_load_n(&vp->page->is_valid, __ATOMIC_ACQUIRE) && vp->page->version == 1;
}

static void load_from_page(const struct hv_register_page *page, struct insn_cpu *out)
{
	memcpy(out->gpr, page->gpr, sizeof out->gpr);
	out->rip = page->rip;
	out->rflags = page->rflags;
	for (unsigned i = 0; i < INSN_SEGMENT_COUNT; i++)	/* the same order: ES CS SS DS FS GS */
		out->segment_base[i] = page->segment[i].base;
}

static int load_by_call(const struct vp_context *vp, struct insn_cpu *out, struct failure *why)
{
	uint32_t names[GPR_COUNT + 2 + INSN_SEGMENT_COUNT];
	struct hv_u128 values[GPR_COUNT + 2 + INSN_SEGMENT_COUNT] = { 0 };
	int r;

	for (unsigned i = 0; i < GPR_COUNT; i++)
		names[i] = HV_REG_RAX + i;
	names[GPR_COUNT] = HV_REG_RIP;
	names[GPR_COUNT + 1] = HV_REG_RFLAGS;
	for (unsigned i = 0; i < INSN_SEGMENT_COUNT; i++)
		names[GPR_COUNT + 2 + i] = HV_REG_ES + i;
	r = vp->backend->ops->registers_get(vp->backend, vp->index, names, values, sizeof names / sizeof names[0], why);
	if (r)
		return r;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		out->gpr[i] = values[i].low;
	out->rip = values[GPR_COUNT].low;
	out->rflags = values[GPR_COUNT + 1].low;
	for (unsigned i = 0; i < INSN_SEGMENT_COUNT; i++)
		out->segment_base[i] = values[GPR_COUNT + 2 + i].low;
	return 0;
}

int vp_context_load(const struct vp_context *vp, const struct hv_intercept_header *header, struct insn_cpu *out,
		    struct failure *why)
{
	out->mode = vp_context_mode(header);
	if (!page_is_valid(vp))
		return load_by_call(vp, out, why);
	load_from_page(vp->page, out);
	return 0;
}

static struct hv_register_assoc assoc(uint32_t name, uint64_t value)
{
	return (struct hv_register_assoc){ .name = name, .value.low = value };
}

int vp_context_store(const struct vp_context *vp, const struct insn_cpu *cpu, struct failure *why)
{
	struct hv_register_assoc regs[GPR_COUNT + 2];

	if (page_is_valid(vp)) {
		memcpy(vp->page->gpr, cpu->gpr, sizeof cpu->gpr);
		vp->page->rip = cpu->rip;
		vp->page->rflags = cpu->rflags;
		vp->page->dirty |= HV_REGISTER_PAGE_DIRTY_GPR | HV_REGISTER_PAGE_DIRTY_RIP | HV_REGISTER_PAGE_DIRTY_RFLAGS;
		return 0;
	}
	for (unsigned i = 0; i < GPR_COUNT; i++)
		regs[i] = assoc(HV_REG_RAX + i, cpu->gpr[i]);
	regs[GPR_COUNT] = assoc(HV_REG_RIP, cpu->rip);
	regs[GPR_COUNT + 1] = assoc(HV_REG_RFLAGS, cpu->rflags);
	return vp->backend->ops->registers_set(vp->backend, vp->index, regs, sizeof regs / sizeof regs[0], why);
}

int vp_context_finish(const struct vp_context *vp, uint64_t rip, const uint64_t *rax, const uint64_t *rdx,
		      struct failure *why)
{
	struct hv_register_assoc regs[3];
	unsigned count = 0;

	if (page_is_valid(vp)) {
		vp->page->rip = rip;
		if (rax)
			vp->page->gpr[0] = *rax;
		if (rdx)
			vp->page->gpr[2] = *rdx;
		vp->page->dirty |= HV_REGISTER_PAGE_DIRTY_RIP | (rax || rdx ? HV_REGISTER_PAGE_DIRTY_GPR : 0);
		return 0;
	}
	regs[count++] = assoc(HV_REG_RIP, rip);
	if (rax)
		regs[count++] = assoc(HV_REG_RAX, *rax);
	if (rdx)
		regs[count++] = assoc(HV_REG_RDX, *rdx);
	return vp->backend->ops->registers_set(vp->backend, vp->index, regs, count, why);
}

static uint64_t pending_exception(uint8_t vector, bool has_error, uint32_t error)
{
	uint64_t value = HV_PENDING_INTERRUPTION(HV_INTERRUPTION_EXCEPTION, vector);

	if (has_error)
		value |= HV_PENDING_INTERRUPTION_ERROR_CODE | (uint64_t)error << 32;
	return value;
}

int vp_context_inject(const struct vp_context *vp, uint8_t vector, bool has_error, uint32_t error, struct failure *why)
{
	struct hv_register_assoc reg = assoc(HV_REG_PENDING_INTERRUPTION, pending_exception(vector, has_error, error));

	return vp->backend->ops->registers_set(vp->backend, vp->index, &reg, 1, why);
}

int vp_context_page_fault(const struct vp_context *vp, uint64_t gva, uint32_t error, struct failure *why)
{
	struct hv_register_assoc regs[2] = {
		assoc(HV_REG_CR2, gva),
		assoc(HV_REG_PENDING_INTERRUPTION, pending_exception(VP_VECTOR_PF, true, error)),
	};

	return vp->backend->ops->registers_set(vp->backend, vp->index, regs, 2, why);
}

/* One page's part of an access. */
static int access_page(const struct vp_context *vp, uint64_t gva, uint8_t *bytes, size_t count, uint64_t flags,
		       struct vp_fault *out_fault, struct failure *why)
{
	uint32_t result = 0;
	uint64_t gpa = 0;
	int r = vp->backend->ops->translate(vp->backend, vp->index, gva, flags, &result, &gpa, why);
	bool done;

	if (r)
		return r;
	if (result == HV_TRANSLATE_SUCCESS) {
		done = flags & HV_TRANSLATE_VALIDATE_WRITE ? guest_mem_write(vp->mem, gpa, bytes, count)
							   : guest_mem_read(vp->mem, gpa, bytes, count);
		if (done)
			return 0;
		result = HV_TRANSLATE_GPA_UNMAPPED;
	}
	*out_fault = (struct vp_fault){ .gva = gva, .result = result };
	return -EFAULT;
}

int vp_context_access(const struct vp_context *vp, uint64_t gva, void *bytes, size_t count, uint64_t flags,
		      struct vp_fault *out_fault, struct failure *why)
{
	uint8_t *at = bytes;

	while (count) {
		size_t part = PAGE_BYTES - (size_t)(gva % PAGE_BYTES);
		int r;

		if (part > count)
			part = count;
		r = access_page(vp, gva, at, part, flags, out_fault, why);
		if (r)
			return r;
		gva += part;
		at += part;
		count -= part;
	}
	return 0;
}

/* As many bytes as there are: an instruction may end right before a page that is not there. */
static int fetch_code(const struct vp_context *vp, const struct hv_intercept_header *header, uint8_t *bytes, size_t *out_count,
		      struct failure *why)
{
	bool flat = vp_context_mode(header) == INSN_CODE_64;
	uint64_t gva = flat ? header->rip : (uint32_t)(header->cs.base + header->rip);
	size_t count = PAGE_BYTES - (size_t)(gva % PAGE_BYTES);
	struct vp_fault fault;
	int r;

	if (count > INSN_BYTES_MAX)
		count = INSN_BYTES_MAX;
	r = vp_context_access(vp, gva, bytes, count, HV_TRANSLATE_VALIDATE_EXECUTE, &fault, why);
	if (r == -EFAULT)
		return failure_set(why, r, "vp %u: no code at rip %#llx", vp->index, (unsigned long long)header->rip);
	if (r)
		return r;
	*out_count = count;
	if (count < INSN_BYTES_MAX &&
	    vp_context_access(vp, gva + count, bytes + count, INSN_BYTES_MAX - count, HV_TRANSLATE_VALIDATE_EXECUTE, &fault,
			      NULL) == 0)
		*out_count = INSN_BYTES_MAX;
	return 0;
}

int vp_context_decode(const struct vp_context *vp, const struct hv_intercept_header *header, const uint8_t *bytes,
		      unsigned count, struct insn *out, struct failure *why)
{
	enum insn_mode mode = vp_context_mode(header);
	uint8_t fetched[INSN_BYTES_MAX];
	size_t fetched_count = 0;
	int r = -ENODATA;

	if (count > INSN_BYTES_MAX)
		count = INSN_BYTES_MAX;
	if (count)
		r = insn_decode(bytes, count, mode, out, why);
	if (r != -ENODATA)
		return r;
	r = fetch_code(vp, header, fetched, &fetched_count, why);
	return r ? r : insn_decode(fetched, fetched_count, mode, out, why);
}
