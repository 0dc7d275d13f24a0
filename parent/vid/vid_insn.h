/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Decodes the one kind of instruction that doorbells are rung with: MOV of a register or an immediate to memory. Anything
 * else, and anything unusual about it, is left to user mode. Pure: bytes in, description out.
 */
#ifndef VID_INSN_H
#define VID_INSN_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

struct vid_store {
	uint8_t length;			/* of the instruction, in bytes */
	uint8_t bytes;			/* written: 1, 2, 4, 8 */
	bool is_immediate;
	uint8_t gpr;			/* number of the source register, RAX 0 .. R15 15 */
	bool high_byte;			/* AH, CH, DH, BH: bits 15:8 of gpr */
	uint64_t immediate;		/* sign-extended to `bytes` */
};

/*
 * long_mode: 64-bit code, else 32-bit code (16-bit code is not for this). count is how many of bytes[] are valid.
 * Returns false for everything but a plain store.
 */
bool vid_decode_store(const uint8_t *bytes, size_t count, bool long_mode, struct vid_store *out);

#endif
