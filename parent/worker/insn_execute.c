// SPDX-License-Identifier: Apache-2.0
#include "worker/insn.h"

#include <errno.h>

#define FLAG_CF 0x001ull
#define FLAG_PF 0x004ull
#define FLAG_AF 0x010ull
#define FLAG_ZF 0x040ull
#define FLAG_SF 0x080ull
#define FLAG_OF 0x800ull
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

uint64_t insn_truncate(uint64_t value, unsigned bytes)
{
	return bytes >= 8 ? value : value & ((1ull << (8 * bytes)) - 1);
}

void insn_set_register(uint64_t *reg, uint64_t value, unsigned bytes)
{
	if (bytes >= 4)
		*reg = insn_truncate(value, bytes);
	else
		*reg = (*reg & ~((1ull << (8 * bytes)) - 1)) | insn_truncate(value, bytes);
}

uint64_t insn_advance(uint64_t value, int64_t by, unsigned address_bytes)
{
	uint64_t reg = value;

	insn_set_register(&reg, value + (uint64_t)by, address_bytes);
	return reg;
}

uint64_t insn_linear_address(const struct insn *insn, const struct insn_cpu *cpu)
{
	uint64_t offset = insn->displacement;
	bool flat = cpu->mode == INSN_CODE_64 && insn->segment != INSN_FS && insn->segment != INSN_GS;

	if (insn->base == INSN_REG_RIP)
		offset += cpu->rip + insn->length;
	else if (insn->base != INSN_REG_NONE)
		offset += cpu->gpr[insn->base];
	if (insn->index != INSN_REG_NONE)
		offset += cpu->gpr[insn->index] << insn->scale;
	offset = insn_truncate(offset, insn->address_bytes);
	if (flat)
		return offset;
	offset += cpu->segment_base[insn->segment];
	return cpu->mode == INSN_CODE_64 ? offset : insn_truncate(offset, 4);
}

static uint64_t read_register(const struct insn *insn, const struct insn_cpu *cpu)
{
	uint64_t value = cpu->gpr[insn->reg];

	return insn_truncate(insn->reg_high ? value >> 8 : value, insn->register_bytes);
}

static void write_register(const struct insn *insn, struct insn_cpu *cpu, uint64_t value)
{
	uint64_t *reg = &cpu->gpr[insn->reg];

	if (insn->reg_high)
		*reg = (*reg & ~0xff00ull) | (value & 0xff) << 8;
	else
		insn_set_register(reg, value, insn->register_bytes);
}

static uint64_t result_flags(uint64_t result, unsigned bytes)
{
	uint64_t flags = 0;

	if (insn_truncate(result, bytes) == 0)
		flags |= FLAG_ZF;
	if (result >> (8 * bytes - 1) & 1)
		flags |= FLAG_SF;
	if (!(__builtin_popcountll(result & 0xff) & 1))
		flags |= FLAG_PF;
	return flags;
}

/* Result of a two-operand operation and its flags; CMP is SUB, TEST is AND, whose result the caller drops. */
static uint64_t arithmetic(enum insn_operation operation, uint64_t a, uint64_t b, unsigned bytes, uint64_t *rflags)
{
	unsigned sign = 8 * bytes - 1;
	uint64_t result, flags = 0, overflow = 0;

	switch (operation) {
	case INSN_ADD:
		result = insn_truncate(a + b, bytes);
		overflow = (a ^ result) & (b ^ result);
		flags = (result < a ? FLAG_CF : 0) | ((a ^ b ^ result) & FLAG_AF);
		break;
	case INSN_SUB:
	case INSN_CMP:
		result = insn_truncate(a - b, bytes);
		overflow = (a ^ b) & (a ^ result);
		flags = (a < b ? FLAG_CF : 0) | ((a ^ b ^ result) & FLAG_AF);
		break;
	case INSN_OR:
		result = a | b;
		break;
	case INSN_XOR:
		result = a ^ b;
		break;
	default:
		result = a & b;
		break;
	}
	flags |= result_flags(result, bytes) | (overflow >> sign & 1 ? FLAG_OF : 0);
	*rflags = (*rflags & ~FLAGS_ARITHMETIC) | flags;
	return result;
}

static uint64_t sign_extend(uint64_t value, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return bytes >= 8 ? value : (uint64_t)((int64_t)(value << shift) >> shift);
}

static int execute_move(const struct insn *insn, struct insn_cpu *cpu, const struct insn_memory *memory)
{
	uint64_t value = insn->has_immediate ? insn->immediate : read_register(insn, cpu);
	int r;

	if (insn->to_memory)
		return memory->write(memory->context, insn->memory_bytes, insn_truncate(value, insn->memory_bytes));
	r = memory->read(memory->context, insn->memory_bytes, &value);
	if (r)
		return r;
	value = insn_truncate(value, insn->memory_bytes);
	write_register(insn, cpu, insn->operation == INSN_MOVSX ? sign_extend(value, insn->memory_bytes) : value);
	return 0;
}

static int execute_exchange(const struct insn *insn, struct insn_cpu *cpu, const struct insn_memory *memory)
{
	uint64_t value = 0;
	int r = memory->read(memory->context, insn->memory_bytes, &value);

	if (r == 0)
		r = memory->write(memory->context, insn->memory_bytes, read_register(insn, cpu));
	if (r == 0)
		write_register(insn, cpu, insn_truncate(value, insn->memory_bytes));
	return r;
}

static int execute_arithmetic(const struct insn *insn, struct insn_cpu *cpu, const struct insn_memory *memory)
{
	unsigned bytes = insn->memory_bytes;
	uint64_t operand = insn->has_immediate ? insn_truncate(insn->immediate, bytes) : read_register(insn, cpu);
	uint64_t in_memory = 0, result, rflags = cpu->rflags;
	bool keep = insn->operation != INSN_CMP && insn->operation != INSN_TEST;
	int r = memory->read(memory->context, bytes, &in_memory);

	if (r)
		return r;
	in_memory = insn_truncate(in_memory, bytes);
	if (insn->to_memory) {
		result = arithmetic(insn->operation, in_memory, operand, bytes, &rflags);
		r = keep ? memory->write(memory->context, bytes, result) : 0;
	} else {
		result = arithmetic(insn->operation, operand, in_memory, bytes, &rflags);
		if (keep)
			write_register(insn, cpu, result);
	}
	if (r == 0)
		cpu->rflags = rflags;
	return r;
}

int insn_execute(const struct insn *insn, struct insn_cpu *cpu, const struct insn_memory *memory)
{
	static const uint8_t code_bytes[] = { [INSN_CODE_16] = 2, [INSN_CODE_32] = 4, [INSN_CODE_64] = 8 };
	int r;

	switch (insn->operation) {
	case INSN_MOV:
	case INSN_MOVZX:
	case INSN_MOVSX:
		r = execute_move(insn, cpu, memory);
		break;
	case INSN_XCHG:
		r = execute_exchange(insn, cpu, memory);
		break;
	case INSN_INS:
	case INSN_OUTS:
	case INSN_IN:
	case INSN_OUT:
		return -EINVAL;
	default:
		r = execute_arithmetic(insn, cpu, memory);
		break;
	}
	if (r == 0)
		cpu->rip = insn_truncate(cpu->rip + insn->length, code_bytes[cpu->mode]);
	return r;
}
