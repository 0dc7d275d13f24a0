/* SPDX-License-Identifier: Apache-2.0 */
#include "core/insn.h"

struct cursor {
	const uint8_t *code;
	size_t bytes, at;
	bool failed;
};

static uint8_t next(struct cursor *c)
{
	if (c->at >= c->bytes) {
		c->failed = true;
		return 0;
	}
	return c->code[c->at++];
}

static uint64_t little(struct cursor *c, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t)next(c) << (8 * i);
	return v;
}

/* Steps over ModRM, SIB and displacement of a memory operand; false for a register operand. */
static bool skip_modrm(struct cursor *c, uint8_t modrm, unsigned address_bits)
{
	unsigned mod = modrm >> 6, rm = modrm & 7;

	if (mod == 3)
		return false;
	if (address_bits == 16) {
		little(c, mod == 2 || (mod == 0 && rm == 6) ? 2 : mod);
		return true;
	}
	if (rm == 4) {
		uint8_t sib = next(c);

		if (mod == 0 && (sib & 7) == 5)
			little(c, 4);
	} else if (mod == 0 && rm == 5) {
		little(c, 4);
	}
	little(c, mod == 1 ? 1 : mod == 2 ? 4 : 0);
	return true;
}

struct prefixes {
	bool operand, address;
	uint8_t rex;
};

static uint8_t skip_prefixes(struct cursor *c, unsigned mode, struct prefixes *p)
{
	for (;;) {
		uint8_t b = next(c);

		if (c->failed)
			return 0;
		if (b == 0x66)
			p->operand = true;
		else if (b == 0x67)
			p->address = true;
		else if (b != 0xf0 && b != 0xf2 && b != 0xf3 && b != 0x2e && b != 0x36 && b != 0x3e && b != 0x26 && b != 0x64 &&
			 b != 0x65) {
			if (mode != 64 || (b & 0xf0) != 0x40)
				return b;
			p->rex = b;
			return next(c);
		}
	}
}

static bool decode_two_byte(struct cursor *c, struct mmio_insn *out)
{
	uint8_t op = next(c);

	if (op != 0xb6 && op != 0xb7 && op != 0xbe && op != 0xbf)
		return false;
	out->reg_size = out->size;
	out->size = op & 1 ? 2 : 1;
	out->sign_extend = op >= 0xbe;
	return true;
}

bool insn_decode_mmio(const uint8_t *code, size_t bytes, unsigned mode, struct mmio_insn *out)
{
	struct cursor c = { code, bytes, 0, false };
	struct prefixes p = { 0 };
	uint8_t op = skip_prefixes(&c, mode, &p), modrm;
	unsigned address_bits = mode == 64 ? (p.address ? 32 : 64) : (mode == 32) != p.address ? 32 : 16;
	unsigned word = p.rex & 8 ? 8 : (mode != 16) != p.operand ? 4 : 2;

	*out = (struct mmio_insn){ .size = (uint8_t)word };
	switch (op) {
	case 0xa0: case 0xa1: case 0xa2: case 0xa3:	/* MOV between the accumulator and an absolute address */
		out->write = op & 2;
		out->size = out->reg_size = op & 1 ? (uint8_t)word : 1;
		little(&c, address_bits / 8);
		out->length = (uint8_t)c.at;
		return !c.failed;
	case 0x86: case 0x87:
		out->exchange = out->write = true;
		break;
	case 0x88: case 0x89:
		out->write = true;
		break;
	case 0x8a: case 0x8b:
		break;
	case 0xc6: case 0xc7:
		out->write = out->immediate = true;
		break;
	case 0x0f:
		if (!decode_two_byte(&c, out))
			return false;
		break;
	default:
		return false;
	}
	if (op != 0x0f) {
		out->size = op & 1 ? (uint8_t)word : 1;
		out->reg_size = out->size;
	}
	modrm = next(&c);
	out->reg = (uint8_t)((modrm >> 3 & 7) | (p.rex & 4) << 1);
	if (out->size == 1 && op != 0x0f && !p.rex && out->reg >= 4) {
		out->high_byte = true;		/* AH, CH, DH, BH */
		out->reg -= 4;
	}
	if (!skip_modrm(&c, modrm, address_bits))
		return false;
	if (out->immediate) {
		out->imm = little(&c, out->size == 8 ? 4 : out->size);
		if (out->size == 8)
			out->imm = (uint64_t)(int64_t)(int32_t)out->imm;
	}
	out->length = (uint8_t)c.at;
	return !c.failed && c.at <= 15;
}
