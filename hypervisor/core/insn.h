/* SPDX-License-Identifier: Apache-2.0 */
/* Just enough of an instruction decoder for accesses to the LAPIC page, where the fault already gives the address. */
#ifndef CORE_INSN_H
#define CORE_INSN_H

#include "core/types.h"

struct mmio_insn {
	uint8_t length;
	uint8_t reg;			/* GPR index */
	bool write, immediate;		/* read: memory -> reg; write: reg or imm -> memory */
	bool exchange;			/* XCHG: both */
	uint8_t size;			/* of the memory operand: 1, 2, 4, 8 */
	uint8_t reg_size;		/* of the register that a read fills */
	bool sign_extend, high_byte;
	uint64_t imm;
};
/* MOV, MOVZX, MOVSX, XCHG with one memory operand. mode: 16, 32 or 64. false: something else, or too few bytes. */
bool insn_decode_mmio(const uint8_t *code, size_t bytes, unsigned mode, struct mmio_insn *out);

#endif
