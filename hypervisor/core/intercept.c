/* SPDX-License-Identifier: Apache-2.0 */
#include "core/intercept.h"

#include "core/gpa_access.h"
#include "core/mem.h"
#include "core/partition.h"
#include "hv/hv_intercept.h"

#define CR0_PE	 (1ull << 0)
#define CR0_AM	 (1ull << 18)
#define EFER_LMA (1ull << 10)

static uint64_t reg(const struct vp *vp, uint32_t name)
{
	struct hv_u128 v;

	return arch->reg_get(vp, name, &v) == HV_STATUS_SUCCESS ? v.low : 0;
}

static struct hv_segment_register segment(const struct vp *vp, uint32_t name)
{
	struct hv_segment_register s = { 0 };
	struct hv_u128 v;

	if (arch->reg_get(vp, name, &v) == HV_STATUS_SUCCESS)
		memcpy(&s, &v, sizeof s);
	return s;
}

static uint16_t execution_state(const struct vp *vp)
{
	uint64_t cr0 = reg(vp, HV_REG_CR0);
	unsigned cpl = (segment(vp, HV_REG_SS).attributes >> 5) & 3;

	return (uint16_t)(cpl | (cr0 & CR0_PE ? 1u << 2 : 0) | (cr0 & CR0_AM ? 1u << 3 : 0) |
			  (reg(vp, HV_REG_EFER) & EFER_LMA ? 1u << 4 : 0) | (vp->event.type != VP_EVENT_NONE ? 1u << 6 : 0) |
			  (reg(vp, HV_REG_INTERRUPT_STATE) & 1 ? 1u << 12 : 0));
}

static struct hv_intercept_header header(const struct vp *vp, uint8_t insn_len, uint8_t access)
{
	return (struct hv_intercept_header){
		.vp_index = vp->index,
		.instruction_length = (uint8_t)((insn_len & 0xf) | (vp->lapic.tpr >> 4) << 4),
		.access_type = access,
		.execution_state = execution_state(vp),
		.cs = segment(vp, HV_REG_CS),
		.rip = vp->rip,
		.rflags = vp->rflags,
	};
}

/* Suspends first: whoever sees the message may resume the VP. */
static void send(struct vp *vp, uint32_t type, const void *payload, uint8_t bytes)
{
	struct hv_message *m;

	vp->intercept_suspend = 1;
	vp_count(vp, HV_STATS_VP_INTERCEPTS);
	register_page_fill(vp);
	if (!vp->message_page.v)
		return;
	m = platform_ptr(vp->message_page);
	memset(m, 0, sizeof *m);
	m->payload_bytes = bytes;
	m->sender = vp->partition->id;
	memcpy(m->payload, payload, bytes);
	__atomic_store_n(&m->type, type, __ATOMIC_RELEASE);
}

void intercept_io(struct vp *vp, const struct vp_exit *exit)
{
	struct hv_io_port_intercept p = {
		.header = header(vp, exit->insn_len, exit->io.in ? HV_INTERCEPT_READ : HV_INTERCEPT_WRITE),
		.port = exit->io.port,
		.info = (uint8_t)(exit->io.size | (exit->io.string ? HV_IO_PORT_INFO_STRING : 0) |
				  (exit->io.rep ? HV_IO_PORT_INFO_REP : 0)),
		.rax = vp->gpr[0],
		.ds = segment(vp, HV_REG_DS),
		.es = segment(vp, HV_REG_ES),
		.rcx = vp->gpr[1],
		.rsi = vp->gpr[6],
		.rdi = vp->gpr[7],
	};

	if (exit->io.string)	/* segment and address size are in the bytes only */
		p.instruction_byte_count = (uint8_t)gva_fetch_code(vp, p.instruction_bytes, 15);
	send(vp, HV_MESSAGE_IO_PORT, &p, sizeof p);
}

void intercept_memory(struct vp *vp, const struct vp_exit *exit, bool rights)
{
	struct hv_memory_intercept p = {
		.header = header(vp, 0, exit->gpa_fault.access == ACCESS_EXECUTE ? HV_INTERCEPT_EXECUTE :
					exit->gpa_fault.access == ACCESS_WRITE	 ? HV_INTERCEPT_WRITE :
										   HV_INTERCEPT_READ),
		.tpr = (uint8_t)vp->lapic.tpr,
		.gpa = exit->gpa_fault.gpa.v,
	};

	if (exit->gpa_fault.access != ACCESS_EXECUTE)
		p.instruction_byte_count = (uint8_t)gva_fetch_code(vp, p.instruction_bytes, 15);
	send(vp, rights ? HV_MESSAGE_GPA_INTERCEPT : HV_MESSAGE_GPA_UNMAPPED, &p, sizeof p);
}

void intercept_msr(struct vp *vp, const struct vp_exit *exit)
{
	struct hv_msr_intercept p = {
		.header = header(vp, exit->insn_len, exit->msr.write ? HV_INTERCEPT_WRITE : HV_INTERCEPT_READ),
		.msr = exit->msr.index,
		.rdx = vp->gpr[2],
		.rax = vp->gpr[0],
	};

	send(vp, HV_MESSAGE_MSR, &p, sizeof p);
}

void intercept_cpuid(struct vp *vp, const struct vp_exit *exit, const struct cpuid_regs *d)
{
	struct hv_cpuid_intercept p = {
		.header = header(vp, exit->insn_len, HV_INTERCEPT_EXECUTE),
		.rax = vp->gpr[0],
		.rcx = vp->gpr[1],
		.rdx = vp->gpr[2],
		.rbx = vp->gpr[3],
		.default_rax = d->eax,
		.default_rcx = d->ecx,
		.default_rdx = d->edx,
		.default_rbx = d->ebx,
	};

	send(vp, HV_MESSAGE_CPUID, &p, sizeof p);
}

void intercept_exception(struct vp *vp, const struct vp_exit *exit)
{
	struct hv_exception_intercept p = {
		.header = header(vp, 0, HV_INTERCEPT_EXECUTE),
		.vector = exit->exception.vector,
		.info = exit->exception.has_error ? 1 : 0,
		.error_code = exit->exception.error,
		.parameter = exit->exception.parameter,
		.ds = segment(vp, HV_REG_DS),
		.ss = segment(vp, HV_REG_SS),
	};

	memcpy(p.gpr, vp->gpr, sizeof p.gpr);
	p.instruction_byte_count = (uint8_t)gva_fetch_code(vp, p.instruction_bytes, 15);
	send(vp, HV_MESSAGE_EXCEPTION, &p, sizeof p);
}

void intercept_halt(struct vp *vp)
{
	struct hv_intercept_header p = header(vp, 0, HV_INTERCEPT_EXECUTE);

	send(vp, HV_MESSAGE_HALT, &p, sizeof p);
}

void intercept_unrecoverable(struct vp *vp)
{
	struct hv_intercept_header p = header(vp, 0, HV_INTERCEPT_EXECUTE);

	send(vp, HV_MESSAGE_UNRECOVERABLE_EXCEPTION, &p, sizeof p);
}

void intercept_unsupported(struct vp *vp, uint32_t code, uint64_t parameter)
{
	struct hv_unsupported_feature p = { vp->index, code, parameter };

	send(vp, HV_MESSAGE_UNSUPPORTED_FEATURE, &p, sizeof p);
}

void intercept_apic_eoi(struct vp *vp, uint8_t vector)
{
	const struct { uint32_t vp_index, vector; } p = { vp->index, vector };

	send(vp, HV_MESSAGE_APIC_EOI, &p, sizeof p);
}

static const uint32_t page_segments[6] = { HV_REG_ES, HV_REG_CS, HV_REG_SS, HV_REG_DS, HV_REG_FS, HV_REG_GS };

void register_page_fill(struct vp *vp)
{
	struct hv_register_page *r;

	if (!vp->register_page.v)
		return;
	r = platform_ptr(vp->register_page);
	r->version = 1;
	r->dirty = 0;
	memcpy(r->gpr, vp->gpr, sizeof r->gpr);
	r->rip = vp->rip;
	r->rflags = vp->rflags;
	for (unsigned i = 0; i < ARRAY_COUNT(page_segments); i++)
		r->segment[i] = segment(vp, page_segments[i]);
	r->cr0 = reg(vp, HV_REG_CR0);
	r->cr3 = reg(vp, HV_REG_CR3);
	r->cr4 = reg(vp, HV_REG_CR4);
	r->cr8 = vp->lapic.tpr >> 4;
	r->efer = reg(vp, HV_REG_EFER);
	r->dr7 = reg(vp, HV_REG_DR7);
	r->interrupt_state = reg(vp, HV_REG_INTERRUPT_STATE);
	r->xfem = reg(vp, HV_REG_XFEM);
	__atomic_store_n(&r->is_valid, 1, __ATOMIC_RELEASE);
}

/* The parent may write the page at any time: copied once, then used. */
void register_page_consume(struct vp *vp)
{
	struct hv_register_page *page, r;

	if (!vp->register_page.v)
		return;
	page = platform_ptr(vp->register_page);
	memcpy(&r, page, sizeof r);
	page->is_valid = 0;
	page->dirty = 0;
	if (r.dirty & HV_REGISTER_PAGE_DIRTY_GPR)
		memcpy(vp->gpr, r.gpr, sizeof vp->gpr);
	if (r.dirty & HV_REGISTER_PAGE_DIRTY_RIP)
		vp->rip = r.rip;
	if (r.dirty & HV_REGISTER_PAGE_DIRTY_RFLAGS) {
		struct hv_u128 v = { r.rflags, 0 };

		if (vp_register_set(vp, HV_REG_RFLAGS, &v) != HV_STATUS_SUCCESS)
			vp->rflags |= 2;	/* refused: the old value stays */
	}
	if (r.dirty & HV_REGISTER_PAGE_DIRTY_SEGMENTS)
		for (unsigned i = 0; i < ARRAY_COUNT(page_segments); i++) {
			struct hv_u128 v;

			memcpy(&v, &r.segment[i], sizeof v);
			(void)arch->reg_set(vp, page_segments[i], &v);
		}
}
