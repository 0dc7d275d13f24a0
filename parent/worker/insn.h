/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instructions with which operating systems reach device memory and string ports: decoded from bytes the guest controls,
 * carried out on a copy of its registers. Pure: no guest memory, no hypercalls. Encodings: APM vol. 3, chapters 1 to 3.
 *
 * Known: MOV (88-8B, A0-A3, C6, C7), MOVZX, MOVSX, MOVSXD, ADD OR AND SUB XOR CMP (register, memory and immediate forms), TEST,
 * XCHG, INS, OUTS, IN, OUT; all ModRM, SIB and RIP-relative forms, legacy prefixes and REX, 16-, 32- and 64-bit code.
 */
#ifndef WORKER_INSN_H
#define WORKER_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/failure.h"

#define INSN_BYTES_MAX 15u

enum insn_mode { INSN_CODE_16, INSN_CODE_32, INSN_CODE_64 };

enum insn_operation {
	INSN_MOV, INSN_MOVZX, INSN_MOVSX,
	INSN_ADD, INSN_OR, INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP, INSN_TEST, INSN_XCHG,
	INSN_INS, INSN_OUTS, INSN_IN, INSN_OUT,
};

enum insn_segment { INSN_ES, INSN_CS, INSN_SS, INSN_DS, INSN_FS, INSN_GS, INSN_SEGMENT_COUNT };

#define INSN_REG_NONE 0xffu
#define INSN_REG_RIP  0xfeu			/* as base */

struct insn {
	enum insn_operation operation;
	uint8_t length;				/* 1..15 */
	uint8_t address_bytes;			/* 2, 4, 8 */
	uint8_t memory_bytes;			/* of the memory (or port) access: 1, 2, 4, 8 */
	uint8_t register_bytes;			/* of the register operand */
	bool to_memory;				/* memory is the destination */
	bool has_memory;
	bool has_immediate;
	uint64_t immediate;			/* sign-extended */
	uint8_t reg;				/* register operand: 0..15 */
	bool reg_high;				/* AH, CH, DH, BH: reg is 0..3 */
	uint8_t segment;			/* enum insn_segment */
	bool segment_override;
	uint8_t base, index;			/* INSN_REG_* or 0..15 */
	uint8_t scale;				/* shift */
	uint64_t displacement;			/* sign-extended */
	bool repeat;
};

struct insn_cpu {
	uint64_t gpr[16];			/* RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
	uint64_t rip, rflags;
	uint64_t segment_base[INSN_SEGMENT_COUNT];
	enum insn_mode mode;
};

/* The memory operand. Return 0, or a negative errno that insn_execute passes on with no register changed. */
struct insn_memory {
	void *context;
	int (*read)(void *context, unsigned bytes, uint64_t *out);
	int (*write)(void *context, unsigned bytes, uint64_t value);
};

/*
 * -ENODATA: more bytes are needed than `count`. -EOPNOTSUPP: none of the known instructions; `why` names the bytes.
 * *out is written only on success.
 */
int insn_decode(const uint8_t *bytes, size_t count, enum insn_mode mode, struct insn *out, struct failure *why) MUST_CHECK;

/* Linear address of the memory operand (for INS the destination, for OUTS the source). RIP in cpu is that of this instruction. */
uint64_t insn_linear_address(const struct insn *insn, const struct insn_cpu *cpu);

/* Everything with a memory operand but string I/O. On success RIP is behind the instruction. */
int insn_execute(const struct insn *insn, struct insn_cpu *cpu, const struct insn_memory *memory) MUST_CHECK;

/* `value` cut to 1, 2, 4 or 8 bytes. */
uint64_t insn_truncate(uint64_t value, unsigned bytes);
/* Writes a register the way the processor does: 8 and 16 bits keep the rest, 32 bits clear the upper half. */
void insn_set_register(uint64_t *reg, uint64_t value, unsigned bytes);
/* Adds to RIP, RSI, RDI, RCX with the width of the code or address. */
uint64_t insn_advance(uint64_t value, int64_t by, unsigned address_bytes);

#endif
