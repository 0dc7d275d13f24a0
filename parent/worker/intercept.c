// SPDX-License-Identifier: Apache-2.0
#include "worker/intercept.h"

#include <errno.h>
#include <string.h>

#include "worker/msr_policy.h"

#define INSTRUCTION_LENGTH 0xfu
#define MSR_INSN_BYTES     2u			/* RDMSR, WRMSR, CPUID when the hypervisor does not say */
#define PAGE_OFFSET        0xfffull

const char *const intercept_kind_names[INTERCEPT_KIND_COUNT] = {
	[INTERCEPT_KIND_NONE] = "none",
	[INTERCEPT_KIND_IO_PORT] = "io_port",
	[INTERCEPT_KIND_MEMORY] = "memory",
	[INTERCEPT_KIND_MSR] = "msr",
	[INTERCEPT_KIND_CPUID] = "cpuid",
	[INTERCEPT_KIND_HALT] = "halt",
	[INTERCEPT_KIND_APIC_EOI] = "apic_eoi",
	[INTERCEPT_KIND_UNRECOVERABLE] = "unrecoverable_exception",
	[INTERCEPT_KIND_UNSUPPORTED] = "unsupported_feature",
	[INTERCEPT_KIND_INVALID_REGISTER] = "invalid_register",
	[INTERCEPT_KIND_EXCEPTION] = "exception",
	[INTERCEPT_KIND_UNKNOWN] = "unknown",
};

static enum intercept_verdict resume_if(int result)
{
	return result ? INTERCEPT_FAILED : INTERCEPT_RESUME;
}

static uint64_t rip_after(const struct hv_intercept_header *header, unsigned length)
{
	enum insn_mode mode = vp_context_mode(header);

	return insn_truncate(header->rip + length, mode == INSN_CODE_64 ? 8 : mode == INSN_CODE_32 ? 4 : 2);
}

static enum intercept_verdict handle_none(const struct vp_context *vp, const struct hv_message *message, struct failure *why)
{
	return INTERCEPT_RESUME;
}

/* The length from the header, or from the code. 0 with `why` set when there is none. */
static unsigned io_length(const struct vp_context *vp, const struct hv_io_port_intercept *io, struct failure *why)
{
	unsigned length = io->header.instruction_length & INSTRUCTION_LENGTH;
	struct insn insn;

	if (length)
		return length;
	if (vp_context_decode(vp, &io->header, io->instruction_bytes, io->instruction_byte_count, &insn, why))
		return 0;
	if (insn.operation == INSN_IN || insn.operation == INSN_OUT)
		return insn.length;
	(void)failure_set(why, -EOPNOTSUPP, "vp %u: port %#x: no IN or OUT at rip %#llx", vp->index, io->port,
			  (unsigned long long)io->header.rip);
	return 0;
}

static int single_io(const struct vp_context *vp, const struct hv_io_port_intercept *io, struct failure *why)
{
	unsigned size = io->info & HV_IO_PORT_INFO_SIZE;
	unsigned length = io_length(vp, io, why);
	uint64_t rip = rip_after(&io->header, length);
	uint64_t rax = io->rax;

	if (length == 0)
		return -EOPNOTSUPP;
	if (io->header.access_type == HV_INTERCEPT_WRITE) {
		devices_port_write(vp->devices, io->port, size, (uint32_t)io->rax);
		return vp_context_finish(vp, rip, NULL, NULL, why);
	}
	insn_set_register(&rax, devices_port_read(vp->devices, io->port, size), size);
	return vp_context_finish(vp, rip, &rax, NULL, why);
}

static enum intercept_verdict handle_io_port(const struct vp_context *vp, const struct hv_message *message,
					     struct failure *why)
{
	struct hv_io_port_intercept io;
	unsigned size;
	int r;

	memcpy(&io, message->payload, sizeof io);
	size = io.info & HV_IO_PORT_INFO_SIZE;
	if (size != 1 && size != 2 && size != 4) {
		(void)failure_set(why, -EPROTO, "vp %u: port %#x: access of %u bytes", vp->index, io.port, size);
		return INTERCEPT_FAILED;
	}
	r = io.info & HV_IO_PORT_INFO_STRING ? string_io(vp, &io, why) : single_io(vp, &io, why);
	if (r)
		return INTERCEPT_FAILED;
	if (io.header.access_type != HV_INTERCEPT_WRITE)
		return INTERCEPT_RESUME;
	switch (devices_take_request(vp->devices)) {
	case PM_POWER_OFF:
		return INTERCEPT_POWER_OFF;
	case PM_RESET:
		return INTERCEPT_RESET;
	case PM_NONE:
		break;
	}
	return INTERCEPT_RESUME;
}

/* The memory operand of an intercepted access. */
struct mmio_access {
	const struct vp_context *vp;
	uint64_t gpa;
};

static int mmio_read(void *context, unsigned bytes, uint64_t *out)
{
	const struct mmio_access *access = context;

	*out = devices_mmio_read(access->vp->devices, access->gpa, bytes);
	return 0;
}

static int mmio_write(void *context, unsigned bytes, uint64_t value)
{
	const struct mmio_access *access = context;

	devices_mmio_write(access->vp->devices, access->gpa, bytes, value);
	return 0;
}

/* The bytes come from memory that other VPs may write: what they say must fit the access that was made. */
static int check_operand(const struct vp_context *vp, const struct hv_memory_intercept *memory, const struct insn *insn,
			 const struct insn_cpu *cpu, struct failure *why)
{
	uint64_t linear = insn_linear_address(insn, cpu);

	if (!insn->has_memory || insn->operation == INSN_INS || insn->operation == INSN_OUTS)
		return failure_set(why, -EOPNOTSUPP, "vp %u: string I/O at rip %#llx with memory at %#llx that is no RAM",
				   vp->index, (unsigned long long)cpu->rip, (unsigned long long)memory->gpa);
	if ((linear & PAGE_OFFSET) != (memory->gpa & PAGE_OFFSET))
		return failure_set(why, -EOPNOTSUPP, "vp %u: the instruction at rip %#llx uses %#llx, the access was to %#llx",
				   vp->index, (unsigned long long)cpu->rip, (unsigned long long)linear,
				   (unsigned long long)memory->gpa);
	return 0;
}

static int emulate_access(const struct vp_context *vp, const struct hv_memory_intercept *memory, struct failure *why)
{
	struct mmio_access access = { .vp = vp, .gpa = memory->gpa };
	const struct insn_memory operand = { &access, mmio_read, mmio_write };
	struct insn_cpu cpu;
	struct failure what = { "" };
	struct insn insn;
	int r = vp_context_decode(vp, &memory->header, memory->instruction_bytes, memory->instruction_byte_count, &insn, &what);

	if (r)
		return failure_set(why, r, "vp %u: access to %#llx at rip %#llx: %s", vp->index,
				   (unsigned long long)memory->gpa, (unsigned long long)memory->header.rip, what.text);
	r = vp_context_load(vp, &memory->header, &cpu, why);
	if (r == 0)
		r = check_operand(vp, memory, &insn, &cpu, why);
	if (r == 0)
		r = insn_execute(&insn, &cpu, &operand);
	return r ? r : vp_context_store(vp, &cpu, why);
}

static enum intercept_verdict handle_memory(const struct vp_context *vp, const struct hv_message *message,
					    struct failure *why)
{
	struct hv_memory_intercept memory;

	memcpy(&memory, message->payload, sizeof memory);
	if (memory.header.access_type == HV_INTERCEPT_EXECUTE) {
		(void)failure_set(why, -EFAULT, "vp %u: runs at %#llx, where there is no RAM (rip %#llx)", vp->index,
				  (unsigned long long)memory.gpa, (unsigned long long)memory.header.rip);
		return INTERCEPT_FAILED;
	}
	return resume_if(emulate_access(vp, &memory, why));
}

static enum intercept_verdict handle_msr(const struct vp_context *vp, const struct hv_message *message, struct failure *why)
{
	const struct msr_policy *policy;
	struct hv_msr_intercept msr;
	unsigned length;
	uint64_t rax, rdx, rip;

	memcpy(&msr, message->payload, sizeof msr);
	policy = msr_policy_find(msr.msr);
	if (!policy)
		return resume_if(vp_context_inject(vp, VP_VECTOR_GP, true, 0, why));
	length = msr.header.instruction_length & INSTRUCTION_LENGTH;
	rip = rip_after(&msr.header, length ? length : MSR_INSN_BYTES);
	if (msr.header.access_type == HV_INTERCEPT_WRITE)
		return resume_if(vp_context_finish(vp, rip, NULL, NULL, why));
	rax = (uint32_t)policy->value;
	rdx = policy->value >> 32;
	return resume_if(vp_context_finish(vp, rip, &rax, &rdx, why));
}

/* No leaf is intercepted; should one arrive, the hypervisor's own answer is the right one. */
static enum intercept_verdict handle_cpuid(const struct vp_context *vp, const struct hv_message *message, struct failure *why)
{
	struct hv_cpuid_intercept cpuid;
	struct insn_cpu cpu;
	unsigned length;
	int r;

	memcpy(&cpuid, message->payload, sizeof cpuid);
	r = vp_context_load(vp, &cpuid.header, &cpu, why);
	if (r)
		return INTERCEPT_FAILED;
	length = cpuid.header.instruction_length & INSTRUCTION_LENGTH;
	cpu.gpr[0] = cpuid.default_rax;
	cpu.gpr[1] = cpuid.default_rcx;
	cpu.gpr[2] = cpuid.default_rdx;
	cpu.gpr[3] = cpuid.default_rbx;
	cpu.rip = rip_after(&cpuid.header, length ? length : MSR_INSN_BYTES);
	return resume_if(vp_context_store(vp, &cpu, why));
}

static enum intercept_verdict handle_halt(const struct vp_context *vp, const struct hv_message *message, struct failure *why)
{
	return INTERCEPT_HALT;
}

static enum intercept_verdict handle_apic_eoi(const struct vp_context *vp, const struct hv_message *message,
					      struct failure *why)
{
	uint32_t vector;

	memcpy(&vector, message->payload + 4, sizeof vector);
	devices_eoi(vp->devices, (uint8_t)vector);
	return INTERCEPT_RESUME;
}

static enum intercept_verdict handle_unrecoverable(const struct vp_context *vp, const struct hv_message *message,
						   struct failure *why)
{
	struct hv_intercept_header header;

	memcpy(&header, message->payload, sizeof header);
	(void)failure_set(why, -EFAULT, "vp %u: triple fault at rip %#llx", vp->index, (unsigned long long)header.rip);
	return INTERCEPT_TRIPLE_FAULT;
}

static enum intercept_verdict handle_unsupported(const struct vp_context *vp, const struct hv_message *message,
						 struct failure *why)
{
	struct hv_unsupported_feature feature;

	memcpy(&feature, message->payload, sizeof feature);
	(void)failure_set(why, -EOPNOTSUPP, "vp %u: the hypervisor cannot go on: unsupported feature %u, parameter %#llx",
			  vp->index, feature.code, (unsigned long long)feature.parameter);
	return INTERCEPT_FAILED;
}

static enum intercept_verdict handle_invalid_register(const struct vp_context *vp, const struct hv_message *message,
						      struct failure *why)
{
	(void)failure_set(why, -EINVAL, "vp %u: the hypervisor found an invalid register value", vp->index);
	return INTERCEPT_FAILED;
}

static enum intercept_verdict handle_exception(const struct vp_context *vp, const struct hv_message *message,
					       struct failure *why)
{
	struct hv_exception_intercept exception;

	memcpy(&exception, message->payload, sizeof exception);
	(void)failure_set(why, -EOPNOTSUPP, "vp %u: exception %u at rip %#llx was intercepted, which nobody asked for",
			  vp->index, exception.vector, (unsigned long long)exception.header.rip);
	return INTERCEPT_FAILED;
}

const struct intercept_route intercept_routes[] = {
	{ HV_MESSAGE_NONE, INTERCEPT_KIND_NONE, handle_none },
	{ HV_MESSAGE_IO_PORT, INTERCEPT_KIND_IO_PORT, handle_io_port },
	{ HV_MESSAGE_GPA_UNMAPPED, INTERCEPT_KIND_MEMORY, handle_memory },
	{ HV_MESSAGE_GPA_INTERCEPT, INTERCEPT_KIND_MEMORY, handle_memory },
	{ HV_MESSAGE_MSR, INTERCEPT_KIND_MSR, handle_msr },
	{ HV_MESSAGE_CPUID, INTERCEPT_KIND_CPUID, handle_cpuid },
	{ HV_MESSAGE_HALT, INTERCEPT_KIND_HALT, handle_halt },
	{ HV_MESSAGE_APIC_EOI, INTERCEPT_KIND_APIC_EOI, handle_apic_eoi },
	{ HV_MESSAGE_UNRECOVERABLE_EXCEPTION, INTERCEPT_KIND_UNRECOVERABLE, handle_unrecoverable },
	{ HV_MESSAGE_UNSUPPORTED_FEATURE, INTERCEPT_KIND_UNSUPPORTED, handle_unsupported },
	{ HV_MESSAGE_INVALID_VP_REGISTER, INTERCEPT_KIND_INVALID_REGISTER, handle_invalid_register },
	{ HV_MESSAGE_EXCEPTION, INTERCEPT_KIND_EXCEPTION, handle_exception },
};
const unsigned intercept_route_count = sizeof intercept_routes / sizeof intercept_routes[0];

enum intercept_verdict intercept_handle(const struct vp_context *vp, const struct hv_message *message,
					enum intercept_kind *out_kind, struct failure *why)
{
	for (unsigned i = 0; i < intercept_route_count; i++) {
		if (intercept_routes[i].message_type != message->type)
			continue;
		*out_kind = intercept_routes[i].kind;
		return intercept_routes[i].handle(vp, message, why);
	}
	*out_kind = INTERCEPT_KIND_UNKNOWN;
	(void)failure_set(why, -EPROTO, "vp %u: message of unknown type %#x", vp->index, message->type);
	return INTERCEPT_FAILED;
}
