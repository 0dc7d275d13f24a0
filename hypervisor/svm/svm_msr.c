/* SPDX-License-Identifier: Apache-2.0 */
/* MSRs that are part of a VP's CPU state, and the permission maps that say which of them need no exit. */
#include "core/mem.h"
#include "core/partition.h"
#include "svm/svm.h"
#include "x86/cpu.h"

/* Two bits an MSR (read, write), 2 KiB for each of three ranges. APM vol. 2 §15.11. */
static void map_set(uint8_t *map, uint32_t msr, bool intercept)
{
	uint32_t bit = msr < 0x2000		? msr * 2
		       : msr - 0xc0000000u < 0x2000 ? (msr - 0xc0000000u) * 2 + 0x800 * 8
						    : (msr - 0xc0010000u) * 2 + 0x1000 * 8;

	if (intercept)
		map[bit / 8] |= (uint8_t)(3u << (bit % 8));
	else
		map[bit / 8] &= (uint8_t)~(3u << (bit % 8));
}

/* Saved and loaded by VMSAVE/VMLOAD, or by VMRUN itself: a guest may have them directly. */
static const uint32_t own_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE, MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SFMASK,
	MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP,
};

void svm_msr_init(uint8_t *root_map, uint8_t *child_map)
{
	memset(child_map, 0xff, 2 * PAGE_BYTES);
	for (size_t i = 0; i < ARRAY_COUNT(own_msrs); i++)
		map_set(child_map, own_msrs[i], false);

	map_set(root_map, MSR_EFER, true);
	map_set(root_map, MSR_APIC_BASE, true);
	map_set(root_map, MSR_TSC_DEADLINE, true);
	map_set(root_map, MSR_VM_CR, true);
	map_set(root_map, MSR_VM_HSAVE_PA, true);
	for (uint32_t msr = MSR_X2APIC_BASE; msr < MSR_X2APIC_BASE + 0x100; msr++)
		map_set(root_map, msr, true);
}

/* Where VMSAVE keeps an MSR; NULL when it is none of these. */
static uint64_t *vmsaved_msr(struct vmcb *v, uint32_t msr)
{
	switch (msr) {
	case MSR_FS_BASE:
		return &v->fs.base;
	case MSR_GS_BASE:
		return &v->gs.base;
	case MSR_KERNEL_GS_BASE:
		return &v->kernel_gs_base;
	case MSR_STAR:
		return &v->star;
	case MSR_LSTAR:
		return &v->lstar;
	case MSR_CSTAR:
		return &v->cstar;
	case MSR_SFMASK:
		return &v->sfmask;
	case MSR_SYSENTER_CS:
		return &v->sysenter_cs;
	case MSR_SYSENTER_ESP:
		return &v->sysenter_esp;
	case MSR_SYSENTER_EIP:
		return &v->sysenter_eip;
	}
	return NULL;
}

bool svm_vp_msr_read(struct vp *vp, uint32_t msr, uint64_t *out_value)
{
	struct svm_vp *s = svm_of(vp);
	const uint64_t *saved = vmsaved_msr(s->vmcb, msr);

	if (saved) {
		if (s->loaded)
			cpu_vmsave(s->vmcb_spa.v);
		*out_value = *saved;
		return true;
	}
	switch (msr) {
	case MSR_EFER:
		*out_value = s->vmcb->efer & ~EFER_SVME;
		return true;
	case MSR_PAT:
		*out_value = s->pat;
		return true;
	case MSR_TSC_AUX:
		*out_value = s->loaded ? cpu_rdmsr(MSR_TSC_AUX) : s->tsc_aux;
		return true;
	}
	return false;
}

static bool pat_valid(uint64_t v)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint8_t t = (uint8_t)(v >> i);

		if (t > 7 || t == 2 || t == 3)
			return false;
	}
	return true;
}

static int efer_write(struct vp *vp, uint64_t value)
{
	struct vmcb *v = svm_of(vp)->vmcb;
	/* SCE, LME, LMA (kept), NXE, FFXSR; the rest is reserved or SVM's. Bit 15 (TCE) and LMSLE are not offered. */
	const uint64_t allowed = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | (1ull << 14);

	if ((value & ~allowed) || ((v->cr0 & CR0_PG) && ((value ^ v->efer) & EFER_LME)))
		return -1;
	v->efer = (value & ~EFER_LMA) | (v->efer & EFER_LMA) | EFER_SVME;
	return 1;
}

int svm_vp_msr_write(struct vp *vp, uint32_t msr, uint64_t value)
{
	struct svm_vp *s = svm_of(vp);
	uint64_t *saved = vmsaved_msr(s->vmcb, msr);

	if (saved) {
		if (s->loaded)
			cpu_vmsave(s->vmcb_spa.v);
		*saved = value;
		if (s->loaded)
			cpu_vmload(s->vmcb_spa.v);
		return 1;
	}
	switch (msr) {
	case MSR_EFER:
		return efer_write(vp, value);
	case MSR_PAT:
		if (!pat_valid(value))
			return -1;
		s->pat = s->vmcb->g_pat = value;
		return 1;
	case MSR_TSC_AUX:
		if (value >> 32)
			return -1;
		s->tsc_aux = value;
		if (s->loaded)
			cpu_wrmsr(MSR_TSC_AUX, value);
		return 1;
	}
	return 0;
}
