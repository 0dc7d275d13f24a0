// SPDX-License-Identifier: Apache-2.0
#include "worker/insn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker/le_bytes.h"

/* What an opcode's operands look like. */
enum form {
	FORM_NONE,
	FORM_RM_REG,				/* memory, register */
	FORM_REG_RM,				/* register, memory */
	FORM_RM_IMM8,				/* memory, sign-extended byte */
	FORM_RM_IMMZ,				/* memory, immediate of operand size (at most 4 bytes, sign-extended) */
	FORM_MOFFS_TO_ACC, FORM_ACC_TO_MOFFS,
	FORM_STRING,				/* implied rSI or rDI */
	FORM_PORT_IMM8, FORM_PORT_DX,
};

struct opcode {
	uint8_t form;
	uint8_t operation;
	uint8_t memory_bytes;			/* 0: operand size */
	int8_t extension;			/* ModRM.reg that it must have; -1: any; -2: it is the group-1 operation */
};
#define ANY     (-1)
#define GROUP_1 (-2)

#define ALU(base, op) \
	[(base) + 0] = { FORM_RM_REG, op, 1, ANY }, [(base) + 1] = { FORM_RM_REG, op, 0, ANY }, \
	[(base) + 2] = { FORM_REG_RM, op, 1, ANY }, [(base) + 3] = { FORM_REG_RM, op, 0, ANY }

static const struct opcode one_byte[256] = {
	ALU(0x00, INSN_ADD), ALU(0x08, INSN_OR), ALU(0x20, INSN_AND),
	ALU(0x28, INSN_SUB), ALU(0x30, INSN_XOR), ALU(0x38, INSN_CMP),
	[0x6c] = { FORM_STRING, INSN_INS, 1, ANY },
	[0x6d] = { FORM_STRING, INSN_INS, 0, ANY },
	[0x6e] = { FORM_STRING, INSN_OUTS, 1, ANY },
	[0x6f] = { FORM_STRING, INSN_OUTS, 0, ANY },
	[0x80] = { FORM_RM_IMM8, INSN_ADD, 1, GROUP_1 },
	[0x81] = { FORM_RM_IMMZ, INSN_ADD, 0, GROUP_1 },
	[0x83] = { FORM_RM_IMM8, INSN_ADD, 0, GROUP_1 },
	[0x84] = { FORM_RM_REG, INSN_TEST, 1, ANY },
	[0x85] = { FORM_RM_REG, INSN_TEST, 0, ANY },
	[0x86] = { FORM_RM_REG, INSN_XCHG, 1, ANY },
	[0x87] = { FORM_RM_REG, INSN_XCHG, 0, ANY },
	[0x88] = { FORM_RM_REG, INSN_MOV, 1, ANY },
	[0x89] = { FORM_RM_REG, INSN_MOV, 0, ANY },
	[0x8a] = { FORM_REG_RM, INSN_MOV, 1, ANY },
	[0x8b] = { FORM_REG_RM, INSN_MOV, 0, ANY },
	[0xa0] = { FORM_MOFFS_TO_ACC, INSN_MOV, 1, ANY },
	[0xa1] = { FORM_MOFFS_TO_ACC, INSN_MOV, 0, ANY },
	[0xa2] = { FORM_ACC_TO_MOFFS, INSN_MOV, 1, ANY },
	[0xa3] = { FORM_ACC_TO_MOFFS, INSN_MOV, 0, ANY },
	[0xc6] = { FORM_RM_IMM8, INSN_MOV, 1, 0 },
	[0xc7] = { FORM_RM_IMMZ, INSN_MOV, 0, 0 },
	[0xe4] = { FORM_PORT_IMM8, INSN_IN, 1, ANY },
	[0xe5] = { FORM_PORT_IMM8, INSN_IN, 0, ANY },
	[0xe6] = { FORM_PORT_IMM8, INSN_OUT, 1, ANY },
	[0xe7] = { FORM_PORT_IMM8, INSN_OUT, 0, ANY },
	[0xec] = { FORM_PORT_DX, INSN_IN, 1, ANY },
	[0xed] = { FORM_PORT_DX, INSN_IN, 0, ANY },
	[0xee] = { FORM_PORT_DX, INSN_OUT, 1, ANY },
	[0xef] = { FORM_PORT_DX, INSN_OUT, 0, ANY },
	[0xf6] = { FORM_RM_IMM8, INSN_TEST, 1, 0 },
	[0xf7] = { FORM_RM_IMMZ, INSN_TEST, 0, 0 },
};
static const struct opcode movsxd = { FORM_REG_RM, INSN_MOVSX, 4, ANY };	/* 63, 64-bit code only */

static const struct opcode two_byte[256] = {
	[0xb6] = { FORM_REG_RM, INSN_MOVZX, 1, ANY },
	[0xb7] = { FORM_REG_RM, INSN_MOVZX, 2, ANY },
	[0xbe] = { FORM_REG_RM, INSN_MOVSX, 1, ANY },
	[0xbf] = { FORM_REG_RM, INSN_MOVSX, 2, ANY },
};

/* ModRM.reg of opcodes 80, 81, 83; ADC and SBB are not known here. */
static const int8_t group_1[8] = { INSN_ADD, INSN_OR, -1, -1, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP };

#define REX_W 0x8u
#define REX_R 0x4u
#define REX_X 0x2u
#define REX_B 0x1u

struct decoder {
	const uint8_t *bytes;
	size_t count, at;
	enum insn_mode mode;
	uint8_t rex;				/* with 0x40, or 0 */
	bool operand_prefix, address_prefix;
	uint8_t operand_bytes;
	uint8_t modrm;
};

static int fetch(struct decoder *d, unsigned bytes, uint64_t *out)
{
	if (d->at + bytes > INSN_BYTES_MAX)
		return -EOPNOTSUPP;
	if (bytes > d->count - d->at)
		return -ENODATA;
	*out = le_get(d->bytes + d->at, bytes);
	d->at += bytes;
	return 0;
}

static uint64_t sign_extend(uint64_t value, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return bytes >= 8 ? value : (uint64_t)((int64_t)(value << shift) >> shift);
}

static int fetch_signed(struct decoder *d, unsigned bytes, uint64_t *out)
{
	uint64_t value = 0;
	int r = fetch(d, bytes, &value);

	if (r == 0)
		*out = sign_extend(value, bytes);
	return r;
}

static void override_segment(struct insn *insn, uint8_t segment)
{
	insn->segment = segment;
	insn->segment_override = true;
}

/* false: the byte is no legacy prefix. */
static bool take_prefix(struct decoder *d, struct insn *insn, uint8_t byte)
{
	switch (byte) {
	case 0x26:
		override_segment(insn, INSN_ES);
		return true;
	case 0x2e:
		override_segment(insn, INSN_CS);
		return true;
	case 0x36:
		override_segment(insn, INSN_SS);
		return true;
	case 0x3e:
		override_segment(insn, INSN_DS);
		return true;
	case 0x64:
		override_segment(insn, INSN_FS);
		return true;
	case 0x65:
		override_segment(insn, INSN_GS);
		return true;
	case 0x66:
		d->operand_prefix = true;
		return true;
	case 0x67:
		d->address_prefix = true;
		return true;
	case 0xf0:				/* LOCK: device memory knows no other order than ours */
		return true;
	case 0xf2:
	case 0xf3:
		insn->repeat = true;
		return true;
	}
	return false;
}

static int decode_prefixes(struct decoder *d, struct insn *insn, uint8_t *out_opcode)
{
	uint64_t byte = 0;
	int r;

	for (;;) {
		r = fetch(d, 1, &byte);
		if (r)
			return r;
		if (take_prefix(d, insn, (uint8_t)byte)) {
			d->rex = 0;		/* REX counts only right before the opcode */
			continue;
		}
		if (d->mode != INSN_CODE_64 || (byte & 0xf0) != 0x40)
			break;
		d->rex = (uint8_t)byte;
	}
	*out_opcode = (uint8_t)byte;
	switch (d->mode) {
	case INSN_CODE_64:
		d->operand_bytes = d->rex & REX_W ? 8 : d->operand_prefix ? 2 : 4;
		insn->address_bytes = d->address_prefix ? 4 : 8;
		break;
	case INSN_CODE_32:
		d->operand_bytes = d->operand_prefix ? 2 : 4;
		insn->address_bytes = d->address_prefix ? 2 : 4;
		break;
	case INSN_CODE_16:
		d->operand_bytes = d->operand_prefix ? 4 : 2;
		insn->address_bytes = d->address_prefix ? 4 : 2;
		break;
	}
	return 0;
}

static void default_segment(struct insn *insn, uint8_t base)
{
	if (!insn->segment_override)
		insn->segment = base == 4 || base == 5 ? INSN_SS : INSN_DS;
}

static int decode_address_16(struct decoder *d, struct insn *insn)
{
	static const struct { uint8_t base, index; } pairs[8] = {
		{ 3, 6 }, { 3, 7 }, { 5, 6 }, { 5, 7 },
		{ 6, INSN_REG_NONE }, { 7, INSN_REG_NONE }, { 5, INSN_REG_NONE }, { 3, INSN_REG_NONE },
	};
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;

	if (mod == 0 && rm == 6) {
		default_segment(insn, INSN_REG_NONE);
		return fetch_signed(d, 2, &insn->displacement);
	}
	insn->base = pairs[rm].base;
	insn->index = pairs[rm].index;
	default_segment(insn, insn->base);
	return mod ? fetch_signed(d, mod == 1 ? 1 : 2, &insn->displacement) : 0;
}

static int decode_sib(struct decoder *d, struct insn *insn)
{
	uint64_t sib = 0;
	int r = fetch(d, 1, &sib);

	if (r)
		return r;
	insn->scale = (uint8_t)(sib >> 6);
	insn->index = (uint8_t)((sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0));
	if (insn->index == 4)
		insn->index = INSN_REG_NONE;
	insn->base = (uint8_t)((sib & 7) | (d->rex & REX_B ? 8 : 0));
	if ((sib & 7) == 5 && d->modrm >> 6 == 0) {
		insn->base = INSN_REG_NONE;
		default_segment(insn, INSN_REG_NONE);
		return fetch_signed(d, 4, &insn->displacement);
	}
	default_segment(insn, insn->base);
	return 0;
}

static int decode_address(struct decoder *d, struct insn *insn)
{
	unsigned mod = d->modrm >> 6, rm = d->modrm & 7;
	int r = 0;

	if (insn->address_bytes == 2)
		return decode_address_16(d, insn);
	if (rm == 4) {
		r = decode_sib(d, insn);
		if (r)
			return r;
	} else if (mod == 0 && rm == 5) {
		insn->base = d->mode == INSN_CODE_64 ? INSN_REG_RIP : INSN_REG_NONE;
		default_segment(insn, INSN_REG_NONE);
		return fetch_signed(d, 4, &insn->displacement);
	} else {
		insn->base = (uint8_t)(rm | (d->rex & REX_B ? 8 : 0));
		default_segment(insn, insn->base);
	}
	return mod ? fetch_signed(d, mod == 1 ? 1 : 4, &insn->displacement) : r;
}

static void set_register_operand(struct decoder *d, struct insn *insn)
{
	insn->reg = (uint8_t)((d->modrm >> 3 & 7) | (d->rex & REX_R ? 8 : 0));
	if (insn->register_bytes == 1 && !d->rex && insn->reg >= 4) {
		insn->reg_high = true;
		insn->reg = (uint8_t)(insn->reg - 4);
	}
}

static int decode_modrm(struct decoder *d, const struct opcode *opcode, struct insn *insn)
{
	uint64_t modrm = 0;
	int r = fetch(d, 1, &modrm);

	if (r)
		return r;
	d->modrm = (uint8_t)modrm;
	if (opcode->extension >= 0 && (d->modrm >> 3 & 7) != (unsigned)opcode->extension)
		return -EOPNOTSUPP;
	if (opcode->extension == GROUP_1) {
		if (group_1[d->modrm >> 3 & 7] < 0)
			return -EOPNOTSUPP;
		insn->operation = (enum insn_operation)group_1[d->modrm >> 3 & 7];
	}
	if (d->modrm >> 6 == 3)
		return -EOPNOTSUPP;		/* no memory operand: cannot have been intercepted */
	insn->has_memory = true;
	set_register_operand(d, insn);
	return decode_address(d, insn);
}

static int decode_immediate(struct decoder *d, struct insn *insn, unsigned bytes)
{
	insn->has_immediate = true;
	insn->to_memory = true;
	return fetch_signed(d, bytes, &insn->immediate);
}

static int decode_operands(struct decoder *d, const struct opcode *opcode, struct insn *insn)
{
	int r;

	switch ((enum form)opcode->form) {
	case FORM_RM_REG:
		insn->to_memory = true;
		return decode_modrm(d, opcode, insn);
	case FORM_REG_RM:
		return decode_modrm(d, opcode, insn);
	case FORM_RM_IMM8:
		r = decode_modrm(d, opcode, insn);
		return r ? r : decode_immediate(d, insn, 1);
	case FORM_RM_IMMZ:
		r = decode_modrm(d, opcode, insn);
		return r ? r : decode_immediate(d, insn, insn->memory_bytes == 2 ? 2 : 4);
	case FORM_MOFFS_TO_ACC:
	case FORM_ACC_TO_MOFFS:
		insn->to_memory = opcode->form == FORM_ACC_TO_MOFFS;
		insn->has_memory = true;
		default_segment(insn, INSN_REG_NONE);
		return fetch(d, insn->address_bytes, &insn->displacement);
	case FORM_STRING:
		insn->has_memory = true;
		insn->to_memory = insn->operation == INSN_INS;
		insn->base = insn->to_memory ? 7 : 6;
		if (insn->to_memory)
			insn->segment = INSN_ES;	/* cannot be overridden */
		else
			default_segment(insn, insn->base);
		return 0;
	case FORM_PORT_IMM8:
		insn->has_immediate = true;
		return fetch(d, 1, &insn->immediate);
	case FORM_PORT_DX:
		return 0;
	case FORM_NONE:
		break;
	}
	return -EOPNOTSUPP;
}

static const struct opcode *find_opcode(struct decoder *d, uint8_t byte, int *out_error)
{
	uint64_t second = 0;

	*out_error = 0;
	if (byte == 0x63 && d->mode == INSN_CODE_64)
		return &movsxd;
	if (byte != 0x0f)
		return &one_byte[byte];
	*out_error = fetch(d, 1, &second);
	return &two_byte[second & 0xff];
}

static int decode(struct decoder *d, struct insn *insn)
{
	const struct opcode *opcode;
	uint8_t byte = 0;
	bool port;
	int r = decode_prefixes(d, insn, &byte);

	if (r)
		return r;
	opcode = find_opcode(d, byte, &r);
	if (r)
		return r;
	if (opcode->form == FORM_NONE)
		return -EOPNOTSUPP;
	port = opcode->form == FORM_STRING || opcode->form == FORM_PORT_IMM8 || opcode->form == FORM_PORT_DX;
	if (port && d->operand_bytes == 8)
		d->operand_bytes = 4;		/* REX.W has no effect on port I/O */
	insn->operation = (enum insn_operation)opcode->operation;
	insn->memory_bytes = opcode->memory_bytes ? opcode->memory_bytes : d->operand_bytes;
	insn->register_bytes = insn->operation == INSN_MOVZX || insn->operation == INSN_MOVSX ? d->operand_bytes
											       : insn->memory_bytes;
	r = decode_operands(d, opcode, insn);
	insn->length = (uint8_t)d->at;
	return r;
}

static void describe(const uint8_t *bytes, size_t count, struct failure *why)
{
	char text[3 * INSN_BYTES_MAX + 1] = "";
	size_t at = 0;

	for (size_t i = 0; i < count && i < INSN_BYTES_MAX; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, " %02x", bytes[i]);
	(void)failure_set(why, -EOPNOTSUPP, "unknown instruction%s", text);
}

int insn_decode(const uint8_t *bytes, size_t count, enum insn_mode mode, struct insn *out, struct failure *why)
{
	struct insn insn = { .base = INSN_REG_NONE, .index = INSN_REG_NONE, .segment = INSN_DS };
	struct decoder d = { .bytes = bytes, .count = count, .mode = mode };
	int r = decode(&d, &insn);

	if (r == -EOPNOTSUPP)
		describe(bytes, count, why);
	if (r == -ENODATA)
		(void)failure_set(why, r, "only %zu bytes of the instruction are known", count);
	if (r == 0)
		*out = insn;
	return r;
}
