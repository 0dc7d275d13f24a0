/* SPDX-License-Identifier: Apache-2.0 */
#include "core/exit.h"

#include "core/gpa_access.h"
#include "core/hypercall.h"
#include "core/intercept.h"
#include "core/log.h"
#include "core/mmio.h"
#include "core/msr.h"
#include "core/partition.h"

static enum verdict exit_interrupt(struct vp *vp, const struct vp_exit *exit)
{
	(void)vp;
	(void)exit;
	platform_take_interrupts(platform_cpu()->root_vp);
	return VERDICT_RETRY;
}

static enum verdict exit_interrupt_window(struct vp *vp, const struct vp_exit *exit)
{
	(void)exit;
	vp->want_window = false;
	if (vp->partition->is_root)
		platform_window_open(vp);
	return VERDICT_RETRY;
}

static enum verdict exit_hypercall(struct vp *vp, const struct vp_exit *exit)
{
	(void)exit;
	switch (hypercall_enter(vp)) {
	case HYPERCALL_NEXT:
		return VERDICT_NEXT;
	case HYPERCALL_RETRY:
		return VERDICT_RETRY;
	case HYPERCALL_UD:
		break;
	}
	return VERDICT_FAULT_UD;
}

static bool cpuid_intercepted(const struct partition *p, uint32_t leaf)
{
	for (uint32_t i = 0; i < p->cpuid_intercept_count; i++)
		if (p->cpuid_intercepts[i] == leaf)
			return true;
	return false;
}

static enum verdict exit_cpuid(struct vp *vp, const struct vp_exit *exit)
{
	struct cpuid_regs r;

	cpuid_for_vp(vp, (uint32_t)vp->gpr[0], (uint32_t)vp->gpr[1], &r);
	if (cpuid_intercepted(vp->partition, (uint32_t)vp->gpr[0])) {
		intercept_cpuid(vp, exit, &r);
		return VERDICT_PARENT;
	}
	vp->gpr[0] = r.eax;
	vp->gpr[3] = r.ebx;
	vp->gpr[1] = r.ecx;
	vp->gpr[2] = r.edx;
	return VERDICT_NEXT;
}

/* An MSR that no table knows: the machine's own for the root; for a child what its partition says. */
static enum verdict unknown_msr(struct vp *vp, const struct vp_exit *exit, uint64_t *value)
{
	const struct partition *p = vp->partition;

	if (p->is_root) {
		bool done = exit->msr.write ? arch->msr_write(exit->msr.index, *value) : arch->msr_read(exit->msr.index, value);

		return done ? VERDICT_NEXT : VERDICT_FAULT_GP;
	}
	if (p->msr_intercept) {
		intercept_msr(vp, exit);
		return VERDICT_PARENT;
	}
	*value = 0;
	return p->unimplemented_msr_action == 1 ? VERDICT_NEXT : VERDICT_FAULT_GP;
}

static enum verdict exit_msr(struct vp *vp, const struct vp_exit *exit)
{
	uint64_t value = (uint32_t)vp->gpr[0] | vp->gpr[2] << 32;
	enum msr_result result = exit->msr.write ? msr_write(vp, exit->msr.index, value) :
						   msr_read(vp, exit->msr.index, &value);
	enum verdict verdict = result == MSR_DONE ? VERDICT_NEXT : VERDICT_FAULT_GP;

	if (result == MSR_UNKNOWN)
		verdict = unknown_msr(vp, exit, &value);
	if (verdict == VERDICT_NEXT && !exit->msr.write) {
		vp->gpr[0] = (uint32_t)value;
		vp->gpr[2] = value >> 32;
	}
	return verdict;
}

static enum verdict exit_io(struct vp *vp, const struct vp_exit *exit)
{
	if (partition_io_intercepted(vp->partition, exit->io.port, !exit->io.in)) {
		intercept_io(vp, exit);
		return VERDICT_PARENT;
	}
	if (exit->io.in && !exit->io.string) {
		uint64_t mask = exit->io.size == 4 ? 0xffffffff : exit->io.size == 2 ? 0xffff : 0xff;

		vp->gpr[0] = exit->io.size == 4 ? mask : vp->gpr[0] | mask;
	}
	return VERDICT_NEXT;
}

static enum verdict exit_gpa_fault(struct vp *vp, const struct vp_exit *exit)
{
	struct partition *p = vp->partition;
	struct gpa_mapping m;

	if (mmio_is_lapic(vp, exit->gpa_fault.gpa))
		return mmio_lapic_access(vp, exit);
	m = gpa_space_lookup(&p->space, exit->gpa_fault.gpa);
	if (m.access & exit->gpa_fault.access)
		return VERDICT_RETRY;		/* another CPU has just mapped it */
	if ((p->hypercall_msr & HV_MSR_PAGE_ENABLE) && (exit->gpa_fault.gpa.v & PAGE_MASK) == p->hypercall_gpa.v &&
	    exit->gpa_fault.access == ACCESS_WRITE)
		return VERDICT_FAULT_GP;	/* TLFS web, Hypercall Interface: the page is not writable */
	if (p->is_root)
		return m.access ? VERDICT_FAULT_GP : VERDICT_STOP;	/* a page shown for reading only was written */
	intercept_memory(vp, exit, m.access != 0);
	return VERDICT_PARENT;
}

static enum verdict exit_halt(struct vp *vp, const struct vp_exit *exit)
{
	(void)exit;
	vp->activity = VP_HALTED;
	return VERDICT_NEXT;
}

/* Cache control and the like: nothing to do for a guest that has no device of its own. */
static enum verdict exit_ignored(struct vp *vp, const struct vp_exit *exit)
{
	(void)vp;
	(void)exit;
	return VERDICT_NEXT;
}

static enum verdict exit_cr8_write(struct vp *vp, const struct vp_exit *exit)
{
	uint64_t value = vp->gpr[exit->cr8.gpr];

	if (value > 15)
		return VERDICT_FAULT_GP;
	lapic_set_tpr(vp, (uint8_t)(value << 4));
	return VERDICT_NEXT;
}

static enum verdict exit_exception(struct vp *vp, const struct vp_exit *exit)
{
	intercept_exception(vp, exit);
	return VERDICT_PARENT;
}

static enum verdict exit_triple_fault(struct vp *vp, const struct vp_exit *exit)
{
	(void)exit;
	if (vp->partition->is_root)
		return VERDICT_STOP;
	intercept_unrecoverable(vp);
	return VERDICT_PARENT;
}

static enum verdict exit_forbidden(struct vp *vp, const struct vp_exit *exit)
{
	(void)vp;
	(void)exit;
	return VERDICT_FAULT_UD;
}

static enum verdict exit_xsetbv(struct vp *vp, const struct vp_exit *exit)
{
	struct hv_u128 value = { (uint32_t)vp->gpr[0] | vp->gpr[2] << 32, 0 };

	(void)exit;
	if ((uint32_t)vp->gpr[1] != 0 || arch->reg_set(vp, HV_REG_XFEM, &value) != HV_STATUS_SUCCESS)
		return VERDICT_FAULT_GP;
	return VERDICT_NEXT;
}

static enum verdict exit_stop(struct vp *vp, const struct vp_exit *exit)
{
	(void)vp;
	(void)exit;
	return VERDICT_STOP;
}

const struct exit_route exit_routes[EXIT_KIND_COUNT] = {
	[EXIT_INTERRUPT]	= { "interrupt", exit_interrupt },
	[EXIT_INTERRUPT_WINDOW] = { "interrupt_window", exit_interrupt_window },
	[EXIT_HYPERCALL]	= { "hypercall", exit_hypercall },
	[EXIT_CPUID]		= { "cpuid", exit_cpuid },
	[EXIT_MSR]		= { "msr", exit_msr },
	[EXIT_IO]		= { "io", exit_io },
	[EXIT_GPA_FAULT]	= { "gpa_fault", exit_gpa_fault },
	[EXIT_HALT]		= { "halt", exit_halt },
	[EXIT_CACHE]		= { "cache", exit_ignored },
	[EXIT_CR8_WRITE]	= { "cr8_write", exit_cr8_write },
	[EXIT_EXCEPTION]	= { "exception", exit_exception },
	[EXIT_TRIPLE_FAULT]	= { "triple_fault", exit_triple_fault },
	[EXIT_FORBIDDEN]	= { "forbidden", exit_forbidden },
	[EXIT_XSETBV]		= { "xsetbv", exit_xsetbv },
	[EXIT_INVALID_STATE]	= { "invalid_state", exit_stop },
	[EXIT_UNKNOWN]		= { "unknown", exit_stop },
};

/* A child stops with a message; the root cannot be told, and what it did is beyond repair. */
static void stop(struct vp *vp, const struct vp_exit *exit)
{
	if (!vp->partition->is_root) {
		intercept_unsupported(vp, 1, exit->raw_code);
		return;
	}
	log_line("hypervisor: parent VP %u cannot go on: exit %s (%#llx), rip %#llx, gpa %#llx", vp->index,
		 exit_routes[exit->kind].name, (unsigned long long)exit->raw_code, (unsigned long long)vp->rip,
		 exit->kind == EXIT_GPA_FAULT ? (unsigned long long)exit->gpa_fault.gpa.v : 0ull);
	platform_panic("the parent's state is beyond repair", __FILE__, __LINE__);
}

enum verdict exit_dispatch(struct vp *vp, const struct vp_exit *exit)
{
	enum verdict verdict = exit_routes[exit->kind].handle(vp, exit);

	vp_count(vp, HV_STATS_VP_EXIT_BASE + exit->kind);
	switch (verdict) {
	case VERDICT_RETRY:
		break;
	case VERDICT_NEXT:
		vp_advance_ip(vp, exit->insn_len);
		break;
	case VERDICT_PARENT:
		break;
	case VERDICT_FAULT_UD:
		vp_inject_exception(vp, VECTOR_UD, false, 0);
		break;
	case VERDICT_FAULT_GP:
		vp_inject_exception(vp, VECTOR_GP, true, 0);
		break;
	case VERDICT_STOP:
		stop(vp, exit);
		break;
	}
	return verdict == VERDICT_STOP ? VERDICT_PARENT : verdict;
}
