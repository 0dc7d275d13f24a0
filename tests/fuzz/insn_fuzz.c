// SPDX-License-Identifier: Apache-2.0
/*
 * The worker's instruction emulator on bytes that a guest chose. First byte: code size and register pattern. Whatever decodes
 * must have a possible length, decode the same from exactly that many bytes, and leave RIP behind itself.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "worker/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition) do { if (!(condition)) abort(); } while (0)

static int read_memory(void *context, unsigned bytes, uint64_t *out)
{
	CHECK(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
	*out = *(const uint64_t *)context;
	return 0;
}

static int write_memory(void *context, unsigned bytes, uint64_t value)
{
	CHECK(bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8);
	CHECK(insn_truncate(value, bytes) == value);
	*(uint64_t *)context = value;
	return 0;
}

static void execute(const struct insn *insn, enum insn_mode mode, uint8_t pattern)
{
	uint64_t cell = 0x0101010101010101ull * pattern;
	const struct insn_memory memory = { &cell, read_memory, write_memory };
	struct insn_cpu cpu = { .rip = 0x1000, .rflags = 2, .mode = mode };

	for (unsigned i = 0; i < 16; i++)
		cpu.gpr[i] = cell * (2 * i + 1);
	(void)insn_linear_address(insn, &cpu);
	if (!insn->has_memory || insn->operation == INSN_INS || insn->operation == INSN_OUTS)
		return;
	CHECK(insn_execute(insn, &cpu, &memory) == 0);
	CHECK(cpu.rip == 0x1000u + insn->length);
	CHECK((cpu.rflags & ~0x8d5ull) == 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum insn_mode mode;
	struct insn insn, again;
	struct failure why;
	int r;

	if (size == 0)
		return 0;
	mode = (enum insn_mode)(data[0] % 3);
	r = insn_decode(data + 1, size - 1, mode, &insn, &why);
	CHECK(r == 0 || r == -ENODATA || r == -EOPNOTSUPP);
	if (r)
		return 0;
	CHECK(insn.length >= 1 && insn.length <= INSN_BYTES_MAX && insn.length <= size - 1);
	memset(&again, 0, sizeof again);
	CHECK(insn_decode(data + 1, insn.length, mode, &again, &why) == 0);
	CHECK(again.length == insn.length && again.operation == insn.operation && again.displacement == insn.displacement);
	CHECK(insn_decode(data + 1, insn.length - 1u, mode, &again, &why) == -ENODATA);
	execute(&insn, mode, data[0]);
	return 0;
}
