// SPDX-License-Identifier: Apache-2.0
/*
 * INS and OUTS: elements between guest virtual memory and a port. An intercept does a bounded number of them and leaves RIP on
 * the instruction while its count is not used up, so that interrupts get in between, as on the processor.
 */
#include <errno.h>

#include "worker/intercept.h"
#include "worker/le_bytes.h"

#define ELEMENTS_PER_INTERCEPT 64u
#define FLAG_DF                0x400ull
#define GPR_RCX                1u
#define STATE_CPL              0x3u
#define PF_PRESENT             0x1u
#define PF_WRITE               0x2u
#define PF_USER                0x4u

/* The processor would have raised #PF; a GPA that is no RAM cannot be answered so. */
static int give_fault(const struct vp_context *vp, const struct hv_io_port_intercept *io, const struct vp_fault *fault,
		      struct failure *why)
{
	uint32_t error = io->header.access_type == HV_INTERCEPT_READ ? PF_WRITE : 0;	/* IN writes memory */

	if ((io->header.execution_state & STATE_CPL) == 3)
		error |= PF_USER;
	if (fault->result == HV_TRANSLATE_PRIVILEGE_VIOLATION)
		error |= PF_PRESENT;
	else if (fault->result != HV_TRANSLATE_PAGE_NOT_PRESENT)
		return failure_set(why, -EOPNOTSUPP, "vp %u: string I/O with port %#x: address %#llx is not in RAM (result %u)",
				   vp->index, io->port, (unsigned long long)fault->gva, fault->result);
	return vp_context_page_fault(vp, fault->gva, error, why);
}

static int one_element(const struct vp_context *vp, const struct hv_io_port_intercept *io, const struct insn *insn,
		       struct insn_cpu *cpu, struct vp_fault *fault, struct failure *why)
{
	unsigned bytes = insn->memory_bytes;
	uint64_t gva = insn_linear_address(insn, cpu);
	uint64_t *pointer = &cpu->gpr[insn->base];
	uint8_t buffer[4] = { 0 };
	int r;

	if (insn->operation == INSN_INS) {
		/* Tested before the port is read: a read cannot be taken back. */
		uint64_t gpa;
		uint32_t result = 0;

		r = vp->backend->ops->translate(vp->backend, vp->index, gva, HV_TRANSLATE_VALIDATE_WRITE, &result, &gpa, why);
		if (r)
			return r;
		if (result) {
			*fault = (struct vp_fault){ .gva = gva, .result = result };
			return -EFAULT;
		}
		le_put(buffer, devices_port_read(vp->devices, io->port, bytes), bytes);
		r = vp_context_access(vp, gva, buffer, bytes, HV_TRANSLATE_VALIDATE_WRITE, fault, why);
	} else {
		r = vp_context_access(vp, gva, buffer, bytes, HV_TRANSLATE_VALIDATE_READ, fault, why);
		if (r == 0)
			devices_port_write(vp->devices, io->port, bytes, (uint32_t)le_get(buffer, bytes));
	}
	if (r)
		return r;
	*pointer = insn_advance(*pointer, cpu->rflags & FLAG_DF ? -(int64_t)bytes : (int64_t)bytes, insn->address_bytes);
	if (insn->repeat)
		cpu->gpr[GPR_RCX] = insn_advance(cpu->gpr[GPR_RCX], -1, insn->address_bytes);
	return 0;
}

static int decode_string(const struct vp_context *vp, const struct hv_io_port_intercept *io, struct insn *insn,
			 struct failure *why)
{
	enum insn_operation wanted = io->header.access_type == HV_INTERCEPT_READ ? INSN_INS : INSN_OUTS;
	int r = vp_context_decode(vp, &io->header, io->instruction_bytes, io->instruction_byte_count, insn, why);

	if (r)
		return r;
	if (insn->operation != wanted || insn->memory_bytes != (io->info & HV_IO_PORT_INFO_SIZE))
		return failure_set(why, -EOPNOTSUPP, "vp %u: string I/O with port %#x: the code at rip %#llx is another instruction",
				   vp->index, io->port, (unsigned long long)io->header.rip);
	return 0;
}

int string_io(const struct vp_context *vp, const struct hv_io_port_intercept *io, struct failure *why)
{
	struct vp_fault fault = { 0 };
	struct insn_cpu cpu;
	struct insn insn;
	uint64_t left;
	int r = decode_string(vp, io, &insn, why), stored;

	if (r == 0)
		r = vp_context_load(vp, &io->header, &cpu, why);
	if (r)
		return r;
	for (unsigned i = 0; i < ELEMENTS_PER_INTERCEPT; i++) {
		left = insn.repeat ? insn_truncate(cpu.gpr[GPR_RCX], insn.address_bytes) : i == 0;
		if (left == 0)
			break;
		r = one_element(vp, io, &insn, &cpu, &fault, why);
		if (r)
			break;
	}
	left = insn.repeat ? insn_truncate(cpu.gpr[GPR_RCX], insn.address_bytes) : 0;
	if (r == 0 && left == 0)
		cpu.rip = insn_advance(cpu.rip, insn.length, cpu.mode == INSN_CODE_64 ? 8 : cpu.mode == INSN_CODE_32 ? 4 : 2);
	if (r && r != -EFAULT)
		return r;
	stored = vp_context_store(vp, &cpu, why);
	if (stored)
		return stored;
	return r ? give_fault(vp, io, &fault, why) : 0;
}
