// SPDX-License-Identifier: GPL-2.0-only
#include "vid_insn.h"

#define REX_W 0x8
#define REX_R 0x4

/* Bytes not yet decoded. Running out of them sets `short_of` and yields zeros. */
struct vid_bytes {
	const uint8_t *at;
	size_t left;
	bool short_of;
};

static uint8_t vid_next_byte(struct vid_bytes *b)
{
	if (b->left == 0) {
		b->short_of = true;
		return 0;
	}
	b->left--;
	return *b->at++;
}

static void vid_skip(struct vid_bytes *b, size_t count)
{
	while (count--)
		(void)vid_next_byte(b); /* only its length matters */
}

static uint64_t vid_next_immediate(struct vid_bytes *b, unsigned int bytes)
{
	uint64_t value = 0;
	unsigned int i;

	for (i = 0; i < bytes; i++)
		value |= (uint64_t)vid_next_byte(b) << 8 * i;
	return value;
}

struct vid_prefixes {
	bool operand_size;
	uint8_t rex;			/* 0: none */
};

/* Legacy prefixes that change nothing here, one operand-size prefix, then REX right before the opcode. */
static bool vid_decode_prefixes(struct vid_bytes *b, bool long_mode, struct vid_prefixes *out, uint8_t *opcode)
{
	for (;;) {
		uint8_t byte = vid_next_byte(b);

		switch (byte) {
		case 0x66:
			out->operand_size = true;
			continue;
		case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65:
			continue;	/* segments: the address is known already */
		case 0x67: case 0xf0: case 0xf2: case 0xf3:
			return false;	/* other address forms, LOCK, REP: not plain */
		}
		if (long_mode && (byte & 0xf0) == 0x40) {
			out->rex = byte;
			byte = vid_next_byte(b);
			if ((byte & 0xf0) == 0x40 || byte == 0x66)
				return false;
		}
		*opcode = byte;
		return true;
	}
}

/* Steps over SIB and displacement of a 32- or 64-bit address. False: the operand is a register. */
static bool vid_skip_address(struct vid_bytes *b, uint8_t modrm)
{
	uint8_t mod = modrm >> 6;
	uint8_t rm = modrm & 7;
	uint8_t sib_base = 0;

	if (mod == 3)
		return false;
	if (rm == 4)
		sib_base = vid_next_byte(b) & 7;
	if (mod == 1)
		vid_skip(b, 1);
	else if (mod == 2 || rm == 5 || (rm == 4 && sib_base == 5))
		vid_skip(b, 4);
	return true;
}

static uint64_t vid_sign_extend_32(uint64_t value)
{
	return value & 0x80000000u ? value | 0xffffffff00000000ull : value;
}

static void vid_decode_register(struct vid_store *out, uint8_t rex, uint8_t modrm)
{
	out->is_immediate = false;
	out->gpr = (modrm >> 3 & 7) | (rex & REX_R ? 8 : 0);
	if (out->bytes == 1 && rex == 0 && out->gpr >= 4) {
		out->gpr -= 4;
		out->high_byte = true;
	}
}

bool vid_decode_store(const uint8_t *bytes, size_t count, bool long_mode, struct vid_store *out)
{
	struct vid_bytes b = { .at = bytes, .left = count };
	struct vid_prefixes prefixes = { 0 };
	uint8_t opcode = 0, modrm;
	bool byte_form, immediate;

	*out = (struct vid_store){ 0 };
	if (!vid_decode_prefixes(&b, long_mode, &prefixes, &opcode))
		return false;
	if (opcode != 0x88 && opcode != 0x89 && opcode != 0xc6 && opcode != 0xc7)
		return false;
	byte_form = opcode == 0x88 || opcode == 0xc6;
	immediate = opcode >= 0xc6;

	if (byte_form)
		out->bytes = 1;
	else if (prefixes.rex & REX_W)
		out->bytes = 8;
	else
		out->bytes = prefixes.operand_size ? 2 : 4;

	modrm = vid_next_byte(&b);
	if (immediate && (modrm >> 3 & 7) != 0)
		return false;
	if (!vid_skip_address(&b, modrm))
		return false;
	if (immediate) {
		out->is_immediate = true;
		out->immediate = vid_next_immediate(&b, out->bytes == 8 ? 4 : out->bytes);
		if (out->bytes == 8)
			out->immediate = vid_sign_extend_32(out->immediate);
	} else {
		vid_decode_register(out, prefixes.rex, modrm);
	}
	out->length = (uint8_t)(count - b.left);
	return !b.short_of;
}
