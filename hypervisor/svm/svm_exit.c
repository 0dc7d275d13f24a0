/* SPDX-License-Identifier: Apache-2.0 */
/* VMCB -> struct vp_exit. No vendor word beyond this file. */
#include "core/gpa_access.h"
#include "svm/svm.h"
#include "x86/cpu.h"

#define CPUID_SVM_FEATURES 0x8000000au
#define SVM_FEATURE_NRIP   (1u << 3)

static bool is_prefix(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf2 || b == 0xf3 || b == 0xf0 || b == 0x2e || b == 0x36 || b == 0x3e ||
	       b == 0x26 || b == 0x64 || b == 0x65;
}

/* Without next-RIP save the length is in the bytes: prefixes, and then what the exit code says the opcode has. */
static uint8_t length_from_bytes(struct vp *vp, uint8_t opcode_bytes)
{
	uint8_t code[15];
	size_t have = gva_fetch_code(vp, code, sizeof code);
	size_t n = 0;

	while (n < have && is_prefix(code[n]))
		n++;
	if (n < have && (code[n] & 0xf0) == 0x40 && (svm_of(vp)->vmcb->cs.attributes & 0x200))
		n++;	/* REX */
	return n + opcode_bytes <= have ? (uint8_t)(n + opcode_bytes) : 0;
}

static bool has_next_rip(void)
{
	static int known = -1;

	if (known < 0) {
		uint32_t r[4];

		cpu_cpuid(CPUID_SVM_FEATURES, 0, r);
		known = (r[3] & SVM_FEATURE_NRIP) != 0;
	}
	return known;
}

static uint8_t insn_length(struct vp *vp, uint8_t opcode_bytes)
{
	const struct vmcb *v = svm_of(vp)->vmcb;

	if (has_next_rip() && v->next_rip - v->rip <= 15)
		return (uint8_t)(v->next_rip - v->rip);
	return length_from_bytes(vp, opcode_bytes);
}

static void decode_io(const struct vmcb *v, struct vp_exit *e)
{
	uint64_t info = v->exit_info1;

	e->kind = EXIT_IO;
	e->io.port = (uint16_t)(info >> 16);
	e->io.in = info & 1;
	e->io.string = info & 4;
	e->io.rep = info & 8;
	e->io.size = info & 0x10 ? 1 : info & 0x20 ? 2 : 4;
	e->insn_len = (uint8_t)(v->exit_info2 - v->rip);
}

static void decode_npf(const struct vmcb *v, struct vp_exit *e)
{
	uint64_t info = v->exit_info1;

	e->kind = EXIT_GPA_FAULT;
	e->gpa_fault.gpa = GPA(v->exit_info2);
	e->gpa_fault.access = info & 0x10 ? ACCESS_EXECUTE : info & 2 ? ACCESS_WRITE : ACCESS_READ;
	e->gpa_fault.during_walk = (info >> 33) & 1;
}

/* MOV CR8, r64 is 0F 22 /0 with REX.R, or with a LOCK prefix; without a decoded register number the bytes tell. */
static void decode_cr8(struct vp *vp, struct vp_exit *e)
{
	uint8_t code[15], rex = 0;
	size_t have = gva_fetch_code(vp, code, sizeof code), n = 0;

	while (n < have && is_prefix(code[n]))
		n++;
	if (n < have && (code[n] & 0xf0) == 0x40)
		rex = code[n++];
	if (n + 3 > have)
		return;		/* the code is gone: EXIT_UNKNOWN */
	e->kind = EXIT_CR8_WRITE;
	e->cr8.gpr = (uint8_t)((code[n + 2] & 7) | (rex & 1) << 3);
	e->insn_len = (uint8_t)(n + 3);
}

static void decode_exception(const struct vmcb *v, uint32_t vector, struct vp_exit *e)
{
	e->kind = EXIT_EXCEPTION;
	e->exception.vector = (uint8_t)vector;
	e->exception.has_error = vector == VECTOR_DF || (vector >= 10 && vector <= 14) || vector == 17;
	e->exception.error = (uint32_t)v->exit_info1;
	e->exception.parameter = vector == VECTOR_PF ? v->exit_info2 : 0;
}

/* Exits that are an instruction and nothing else: code -> kind and bytes of its opcode. */
static const struct simple_exit {
	uint16_t code;
	uint8_t kind, opcode_bytes;
} simple_exits[] = {
	{ VMEXIT_RDPMC, EXIT_FORBIDDEN, 2 },  { VMEXIT_CPUID, EXIT_CPUID, 2 },	     { VMEXIT_INVD, EXIT_CACHE, 2 },
	{ VMEXIT_HLT, EXIT_HALT, 1 },	      { VMEXIT_INVLPGA, EXIT_FORBIDDEN, 3 }, { VMEXIT_VMRUN, EXIT_FORBIDDEN, 3 },
	{ VMEXIT_VMMCALL, EXIT_HYPERCALL, 3 }, { VMEXIT_WBINVD, EXIT_CACHE, 2 },  { VMEXIT_MONITOR, EXIT_FORBIDDEN, 3 },
	{ VMEXIT_MWAIT, EXIT_FORBIDDEN, 3 },  { VMEXIT_MWAIT_ARMED, EXIT_FORBIDDEN, 3 }, { VMEXIT_XSETBV, EXIT_XSETBV, 3 },
};

void svm_decode_exit(struct vp *vp, struct vp_exit *e)
{
	struct svm_vp *s = svm_of(vp);
	const struct vmcb *v = s->vmcb;
	uint32_t code = (uint32_t)v->exit_code;	/* zero- or sign-extended, depending on the CPU */

	*e = (struct vp_exit){ .kind = EXIT_UNKNOWN, .raw_code = code };
	if (code == (uint32_t)VMEXIT_INVALID) {
		e->kind = EXIT_INVALID_STATE;
		return;
	}
	if (code >= VMEXIT_EXCEPTION_0 && code < VMEXIT_EXCEPTION_0 + 32) {
		decode_exception(v, code - VMEXIT_EXCEPTION_0, e);
		return;
	}
	for (size_t i = 0; i < ARRAY_COUNT(simple_exits); i++)
		if (simple_exits[i].code == code) {
			e->kind = simple_exits[i].kind;
			e->insn_len = insn_length(vp, simple_exits[i].opcode_bytes);
			return;
		}
	switch (code) {
	case VMEXIT_INTR:
	case VMEXIT_NMI:
	case VMEXIT_SMI:
	case VMEXIT_INIT:
		e->kind = EXIT_INTERRUPT;
		break;
	case VMEXIT_IRET:
		s->iret_pending = true;
		s->iret_rip = vp->rip;
		e->kind = EXIT_INTERRUPT;
		break;
	case VMEXIT_VINTR:
		e->kind = EXIT_INTERRUPT_WINDOW;
		break;
	case VMEXIT_CR8_WRITE:
		decode_cr8(vp, e);
		break;
	case VMEXIT_IOIO:
		decode_io(v, e);
		break;
	case VMEXIT_MSR:
		e->kind = EXIT_MSR;
		e->msr.index = (uint32_t)vp->gpr[1];
		e->msr.write = v->exit_info1 & 1;
		e->insn_len = insn_length(vp, 2);
		break;
	case VMEXIT_SHUTDOWN:
		e->kind = EXIT_TRIPLE_FAULT;
		break;
	case VMEXIT_NPF:
		decode_npf(v, e);
		break;
	}
	if (code >= VMEXIT_VMLOAD && code <= VMEXIT_SKINIT)
		e->kind = EXIT_FORBIDDEN;
}
