/* SPDX-License-Identifier: Apache-2.0 */
/* TLFS register names -> VMCB. The VP is held; live state is brought back to memory first when it is loaded here. */
#include "core/mem.h"
#include "svm/svm.h"
#include "x86/cpu.h"

struct register_row {
	uint32_t name;
	uint16_t offset;		/* of a u64 in the VMCB */
	bool vmsaved;			/* on the CPU while the VP is loaded: only VMSAVE brings it to the VMCB */
	uint64_t rsvdz;
};

/* name, VMCB field, only VMSAVE brings it to the VMCB, reserved bits */
#define VMCB_REGISTERS(X)						\
	X(CR0, cr0, false, 0xffffffff00000000ull)			\
	X(CR2, cr2, false, 0)						\
	X(CR3, cr3, false, 0)						\
	X(CR4, cr4, false, 0xffffffff00000000ull | CR4_LA57)		\
	X(DR6, dr6, false, 0xffffffff00000000ull)			\
	X(DR7, dr7, false, 0xffffffff00000000ull)			\
	X(KERNEL_GS_BASE, kernel_gs_base, true, 0)			\
	X(SYSENTER_CS, sysenter_cs, true, 0)				\
	X(SYSENTER_EIP, sysenter_eip, true, 0)				\
	X(SYSENTER_ESP, sysenter_esp, true, 0)				\
	X(STAR, star, true, 0)						\
	X(LSTAR, lstar, true, 0)					\
	X(CSTAR, cstar, true, 0)					\
	X(SFMASK, sfmask, true, 0)

#define ROW(name, field, vmsaved, rsvdz) { HV_REG_##name, offsetof(struct vmcb, field), vmsaved, rsvdz },
static const struct register_row vmcb_rows[] = { VMCB_REGISTERS(ROW) };
#define INDEX(name, field, vmsaved, rsvdz) INDEX_##name,
enum { VMCB_REGISTERS(INDEX) };

/* A dozen of these are read at each exit that goes to the parent: no search. */
static const struct register_row *find_row(uint32_t name)
{
	switch (name) {
#define CASE(reg, field, vmsaved, rsvdz) case HV_REG_##reg: return &vmcb_rows[INDEX_##reg];
		VMCB_REGISTERS(CASE)
	}
	return NULL;
}

static bool is_vmsaved(uint32_t name, const struct register_row *row)
{
	return row ? row->vmsaved : name == HV_REG_FS || name == HV_REG_GS || name == HV_REG_LDTR || name == HV_REG_TR;
}

static struct vmcb_segment *segment(struct vmcb *v, uint32_t name)
{
	switch (name) {
	case HV_REG_ES:
		return &v->es;
	case HV_REG_CS:
		return &v->cs;
	case HV_REG_SS:
		return &v->ss;
	case HV_REG_DS:
		return &v->ds;
	case HV_REG_FS:
		return &v->fs;
	case HV_REG_GS:
		return &v->gs;
	case HV_REG_LDTR:
		return &v->ldtr;
	case HV_REG_TR:
		return &v->tr;
	}
	return NULL;
}

/* struct hv_segment_register as two words: base; limit, selector, attributes. */
static struct hv_u128 segment_get(const struct vmcb_segment *s)
{
	uint64_t attributes = (s->attributes & 0xffull) | (s->attributes & 0xf00ull) << 4;

	return (struct hv_u128){ s->base, s->limit | (uint64_t)s->selector << 32 | attributes << 48 };
}

static void segment_set(struct vmcb_segment *s, const struct hv_u128 *value)
{
	struct hv_segment_register r;

	memcpy(&r, value, sizeof r);
	s->base = r.base;
	s->limit = r.limit;
	s->selector = r.selector;
	s->attributes = (uint16_t)((r.attributes & 0xff) | (r.attributes >> 4 & 0xf00));
}

/* x87 and SSE registers in the legacy part of the state image. */
static uint8_t *fpu_slot(struct svm_vp *s, uint32_t name)
{
	uint8_t *image = s->fpu;

	if (name >= HV_REG_XMM0 && name <= HV_REG_XMM15)
		return image + 160 + 16 * (name - HV_REG_XMM0);
	if (name >= HV_REG_FP_MMX0 && name <= HV_REG_FP_MMX7)
		return image + 32 + 16 * (name - HV_REG_FP_MMX0);
	if (name == HV_REG_FP_CONTROL_STATUS)
		return image;
	if (name == HV_REG_XMM_CONTROL_STATUS)
		return image + 16;
	return NULL;
}

static void fpu_mark_used(struct svm_vp *s)
{
	uint64_t *xstate_bv = (uint64_t *)((uint8_t *)s->fpu + 512);

	if (machine.xcr0_mask)
		*xstate_bv |= 3;
}

/* The few that are neither a VMCB field, nor a segment, nor in the state image. */
static enum hv_status other_get(const struct vp *vp, uint32_t name, struct hv_u128 *out)
{
	const struct svm_vp *s = svm_of(vp);
	const struct vmcb *v = s->vmcb;

	if (name >= HV_REG_DR0 && name <= HV_REG_DR3) {
		out->low = s->dr[name - HV_REG_DR0];
		return HV_STATUS_SUCCESS;
	}
	switch (name) {
	case HV_REG_GDTR:
	case HV_REG_IDTR: {
		const struct vmcb_segment *t = name == HV_REG_GDTR ? &v->gdtr : &v->idtr;
		struct hv_table_register r = { .limit = (uint16_t)t->limit, .base = t->base };

		memcpy(out, &r, sizeof *out);
		return HV_STATUS_SUCCESS;
	}
	case HV_REG_EFER:
		out->low = v->efer & ~EFER_SVME;
		return HV_STATUS_SUCCESS;
	case HV_REG_PAT:
		out->low = s->pat;
		return HV_STATUS_SUCCESS;
	case HV_REG_TSC_AUX:
		out->low = s->tsc_aux;
		return HV_STATUS_SUCCESS;
	case HV_REG_XFEM:
		out->low = s->xcr0;
		return HV_STATUS_SUCCESS;
	case HV_REG_INTERRUPT_STATE:
		out->low = (v->int_state & 1) | (vp->nmi_masked ? 2 : 0);
		return HV_STATUS_SUCCESS;
	}
	return HV_STATUS_UNKNOWN_REGISTER;
}

enum hv_status svm_register_get(const struct vp *vp, uint32_t name, struct hv_u128 *out)
{
	struct svm_vp *s = svm_of(vp);
	const struct register_row *row = find_row(name);
	const struct vmcb_segment *seg;
	const uint8_t *slot;

	*out = (struct hv_u128){ 0, 0 };
	if (s->loaded && is_vmsaved(name, row))
		cpu_vmsave(s->vmcb_spa.v);
	if (row) {
		out->low = *(const uint64_t *)((const uint8_t *)s->vmcb + row->offset);
		return HV_STATUS_SUCCESS;
	}
	seg = segment(s->vmcb, name);
	if (seg) {
		*out = segment_get(seg);
		return HV_STATUS_SUCCESS;
	}
	slot = fpu_slot(s, name);
	if (slot) {
		memcpy(out, slot, sizeof *out);
		return HV_STATUS_SUCCESS;
	}
	return other_get(vp, name, out);
}

/* EFER as the parent sets it: LMA follows LME and paging, whatever order the registers come in. */
static enum hv_status efer_set(struct vmcb *v, uint64_t value)
{
	if (value & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | (1ull << 14)))
		return HV_STATUS_INVALID_REGISTER_VALUE;
	v->efer = value | EFER_SVME;
	return HV_STATUS_SUCCESS;
}

static enum hv_status xfem_set(struct svm_vp *s, uint64_t value)
{
	if (!(value & 1) || (value & ~(machine.xcr0_mask | 1)) || ((value & 4) && !(value & 2)))
		return HV_STATUS_INVALID_REGISTER_VALUE;
	s->xcr0 = value;
	if (s->loaded && machine.xcr0_mask)
		cpu_xsetbv(value);
	return HV_STATUS_SUCCESS;
}

enum hv_status svm_register_set(struct vp *vp, uint32_t name, const struct hv_u128 *value)
{
	struct svm_vp *s = svm_of(vp);
	struct vmcb *v = s->vmcb;
	const struct register_row *row = find_row(name);
	struct vmcb_segment *seg = segment(v, name);
	uint8_t *slot = fpu_slot(s, name);

	if (s->loaded && is_vmsaved(name, row))
		cpu_vmsave(s->vmcb_spa.v);
	if (row) {
		if (value->low & row->rsvdz)
			return HV_STATUS_INVALID_REGISTER_VALUE;
		memcpy((uint8_t *)v + row->offset, &value->low, 8);
	} else if (seg) {
		segment_set(seg, value);
		if (name == HV_REG_SS)
			v->cpl = (v->ss.attributes >> 5) & 3;
	} else if (slot) {
		memcpy(slot, value, sizeof *value);
		fpu_mark_used(s);
	} else if (name >= HV_REG_DR0 && name <= HV_REG_DR3) {
		s->dr[name - HV_REG_DR0] = value->low;
	} else if (name == HV_REG_GDTR || name == HV_REG_IDTR) {
		struct hv_table_register r;

		memcpy(&r, value, sizeof r);
		*(name == HV_REG_GDTR ? &v->gdtr : &v->idtr) = (struct vmcb_segment){ .limit = r.limit, .base = r.base };
	} else {
		switch (name) {
		case HV_REG_EFER:
			return efer_set(v, value->low);
		case HV_REG_XFEM:
			return xfem_set(s, value->low);
		case HV_REG_PAT:
		case HV_REG_TSC_AUX:
			return svm_vp_msr_write(vp, name == HV_REG_PAT ? MSR_PAT : MSR_TSC_AUX, value->low) == 1 ?
				       HV_STATUS_SUCCESS : HV_STATUS_INVALID_REGISTER_VALUE;
		case HV_REG_INTERRUPT_STATE:
			v->int_state = value->low & 1;
			vp->nmi_masked = (value->low & 2) != 0;
			return HV_STATUS_SUCCESS;
		default:
			return HV_STATUS_UNKNOWN_REGISTER;
		}
	}
	if (s->loaded && is_vmsaved(name, row))
		cpu_vmload(s->vmcb_spa.v);
	return HV_STATUS_SUCCESS;
}
