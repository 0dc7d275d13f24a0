/* SPDX-License-Identifier: Apache-2.0 */
#include "core/mmio.h"

#include "core/gpa_access.h"
#include "core/insn.h"
#include "core/intercept.h"
#include "core/mem.h"
#include "core/partition.h"

#define APIC_BASE_ENABLE (1ull << 11)
#define APIC_BASE_X2APIC (1ull << 10)
#define EFER_LMA	 (1ull << 10)
#define SEGMENT_L	 (1u << 13)
#define SEGMENT_D	 (1u << 14)

bool mmio_is_lapic(const struct vp *vp, gpa_t gpa)
{
	return (gpa.v & PAGE_MASK) == (vp->lapic.base_msr & 0x000ffffffffff000ull) &&
	       (vp->lapic.base_msr & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE;
}

unsigned mmio_code_mode(const struct vp *vp)
{
	struct hv_u128 value;
	struct hv_segment_register cs;

	if (arch->reg_get(vp, HV_REG_CS, &value) != HV_STATUS_SUCCESS)
		return 64;
	memcpy(&cs, &value, sizeof cs);
	if (arch->reg_get(vp, HV_REG_EFER, &value) == HV_STATUS_SUCCESS && (value.low & EFER_LMA) && (cs.attributes & SEGMENT_L))
		return 64;
	return cs.attributes & SEGMENT_D ? 32 : 16;
}

static uint64_t size_mask(unsigned size)
{
	return size == 8 ? ~0ull : (1ull << (8 * size)) - 1;
}

static void register_write(struct vp *vp, const struct mmio_insn *insn, uint64_t value)
{
	uint64_t *gpr = &vp->gpr[insn->reg];
	unsigned shift = insn->high_byte ? 8 : 0;
	uint64_t mask = size_mask(insn->reg_size) << shift;

	if (insn->sign_extend) {
		unsigned up = 64 - 8 * insn->size;

		value = (uint64_t)((int64_t)(value << up) >> up);
	}
	*gpr = insn->reg_size == 4 ? (uint32_t)value : (*gpr & ~mask) | (value << shift & mask);
}

/* Registers are 32 bits wide at multiples of 16; a wider or narrower access sees its part of the 16-byte slot. */
static uint64_t slot_read(struct vp *vp, uint32_t offset, unsigned size)
{
	unsigned skip = offset & 0xf;
	uint64_t value = skip < 4 ? (uint64_t)lapic_read(vp, offset & 0xff0) >> (8 * skip) : 0;

	return value & size_mask(size);
}

enum verdict mmio_lapic_access(struct vp *vp, const struct vp_exit *exit)
{
	uint32_t offset = exit->gpa_fault.gpa.v & 0xfff;
	uint8_t code[15];
	size_t have = gva_fetch_code(vp, code, sizeof code);
	struct mmio_insn insn;
	uint64_t old = 0, value;

	if (exit->gpa_fault.during_walk || !insn_decode_mmio(code, have, mmio_code_mode(vp), &insn)) {
		if (vp->partition->is_root)
			return VERDICT_STOP;
		intercept_memory(vp, exit, false);
		return VERDICT_PARENT;
	}
	if (insn.exchange || !insn.write)
		old = slot_read(vp, offset, insn.size);
	if (insn.write) {
		value = insn.immediate ? insn.imm : vp->gpr[insn.reg] >> (insn.high_byte ? 8 : 0);
		if (!(offset & 0xf) && insn.size >= 4)
			lapic_write(vp, offset, (uint32_t)value);
	}
	if (insn.exchange || !insn.write)
		register_write(vp, &insn, old);
	vp_advance_ip(vp, insn.length);
	return VERDICT_RETRY;
}
