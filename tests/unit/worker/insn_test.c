// SPDX-License-Identifier: Apache-2.0
/* The instruction emulator: encodings with their length, address and effect. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdio.h>

#include "worker/insn.h"

#define VALUE 0x8877665544332211ull		/* what the device answers */

static struct {
	unsigned reads, writes, bytes;
	uint64_t written;
	uint64_t answer;
	int error;
} device;

static int on_read(void *context, unsigned bytes, uint64_t *out)
{
	device.reads++;
	device.bytes = bytes;
	*out = device.answer;
	return device.error;
}

static int on_write(void *context, unsigned bytes, uint64_t value)
{
	device.writes++;
	device.bytes = bytes;
	device.written = value;
	return device.error;
}

static const struct insn_memory memory = { NULL, on_read, on_write };

static struct insn_cpu make_cpu(enum insn_mode mode)
{
	struct insn_cpu cpu = { .rip = 0x1000, .rflags = 0x2, .mode = mode };

	for (unsigned i = 0; i < 16; i++)
		cpu.gpr[i] = 0x1111111111111111ull * i + 0x0100;
	if (mode != INSN_CODE_64)
		for (unsigned i = 0; i < 16; i++)
			cpu.gpr[i] &= 0xffffffff;
	cpu.segment_base[INSN_FS] = 0xf000000;
	cpu.segment_base[INSN_GS] = 0x5000000;
	cpu.segment_base[INSN_DS] = 0xd0000;
	cpu.segment_base[INSN_SS] = 0xe0000;
	return cpu;
}

#define RAX 0
#define RCX 1
#define RDX 2
#define RBX 3
#define RSI 6
#define R(n) (0x1111111111111111ull * (n) + 0x0100)
#define NO_REG 0xff

enum { N16 = INSN_CODE_16, N32 = INSN_CODE_32, N64 = INSN_CODE_64 };

/* Loads: register `reg` becomes `expect`. Stores: the device gets `expect` (reg NO_REG). */
static const struct {
	const char *text;
	uint8_t mode;
	uint8_t length;
	uint8_t bytes[INSN_BYTES_MAX];
	uint8_t width;
	uint8_t reg;
	uint64_t address;
	uint64_t expect;
} moves[] = {
	{ "mov %eax,(%rbx)", N64, 2, { 0x89, 0x03 }, 4, NO_REG, R(3), 0x100 },
	{ "mov %rax,(%rbx)", N64, 3, { 0x48, 0x89, 0x03 }, 8, NO_REG, R(3), 0x100 },
	{ "mov %cx,(%rbx)", N64, 3, { 0x66, 0x89, 0x0b }, 2, NO_REG, R(3), 0x1211 },
	{ "mov %cl,(%rbx)", N64, 2, { 0x88, 0x0b }, 1, NO_REG, R(3), 0x11 },
	{ "mov %ch,(%rbx)", N64, 2, { 0x88, 0x2b }, 1, NO_REG, R(3), 0x12 },
	{ "mov %bpl,(%rbx)", N64, 3, { 0x40, 0x88, 0x2b }, 1, NO_REG, R(3), 0x55 },
	{ "mov (%rbx),%eax", N64, 2, { 0x8b, 0x03 }, 4, RAX, R(3), 0x44332211 },
	{ "mov (%rbx),%rax", N64, 3, { 0x48, 0x8b, 0x03 }, 8, RAX, R(3), VALUE },
	{ "mov (%rbx),%cx", N64, 3, { 0x66, 0x8b, 0x0b }, 2, RCX, R(3), 0x1111111111112211ull },
	{ "mov (%rbx),%cl", N64, 2, { 0x8a, 0x0b }, 1, RCX, R(3), 0x1111111111111211ull },
	{ "mov (%rbx),%ch", N64, 2, { 0x8a, 0x2b }, 1, RCX, R(3), 0x1111111111111111ull },
	{ "mov (%rbx),%r9d", N64, 3, { 0x44, 0x8b, 0x0b }, 4, 9, R(3), 0x44332211 },
	{ "mov %eax,0x10(%rbx)", N64, 3, { 0x89, 0x43, 0x10 }, 4, NO_REG, R(3) + 0x10, 0x100 },
	{ "mov %eax,-0x10(%rbx)", N64, 3, { 0x89, 0x43, 0xf0 }, 4, NO_REG, R(3) - 0x10, 0x100 },
	{ "mov %eax,0x1000(%rbx)", N64, 6, { 0x89, 0x83, 0x00, 0x10, 0, 0 }, 4, NO_REG, R(3) + 0x1000, 0x100 },
	{ "mov %eax,(%rbx,%rcx,4)", N64, 3, { 0x89, 0x04, 0x8b }, 4, NO_REG, R(3) + 4 * R(1), 0x100 },
	{ "mov %eax,(%rsp)", N64, 3, { 0x89, 0x04, 0x24 }, 4, NO_REG, R(4), 0x100 },
	{ "mov %eax,8(%rbp)", N64, 3, { 0x89, 0x45, 0x08 }, 4, NO_REG, R(5) + 8, 0x100 },
	{ "mov %eax,(%r12)", N64, 4, { 0x41, 0x89, 0x04, 0x24 }, 4, NO_REG, R(12), 0x100 },
	{ "mov %eax,0(%r13)", N64, 4, { 0x41, 0x89, 0x45, 0x00 }, 4, NO_REG, R(13), 0x100 },
	{ "mov %eax,(%rax,%r12,1)", N64, 4, { 0x42, 0x89, 0x04, 0x20 }, 4, NO_REG, R(0) + R(12), 0x100 },
	{ "mov %eax,0x1234(,%rcx,8)", N64, 7, { 0x89, 0x04, 0xcd, 0x34, 0x12, 0, 0 }, 4, NO_REG, 8 * R(1) + 0x1234, 0x100 },
	{ "mov %eax,0xfec00010", N64, 7, { 0x89, 0x04, 0x25, 0x10, 0x00, 0xc0, 0xfe }, 4, NO_REG, 0xfffffffffec00010ull, 0x100 },
	{ "mov %eax,0x100(%rip)", N64, 6, { 0x89, 0x05, 0x00, 0x01, 0, 0 }, 4, NO_REG, 0x1106, 0x100 },
	{ "movl $5,0x100(%rip)", N64, 10, { 0xc7, 0x05, 0x00, 0x01, 0, 0, 5, 0, 0, 0 }, 4, NO_REG, 0x110a, 5 },
	{ "movq $-2,(%rbx)", N64, 7, { 0x48, 0xc7, 0x03, 0xfe, 0xff, 0xff, 0xff }, 8, NO_REG, R(3), ~1ull },
	{ "movw $0x1234,(%rbx)", N64, 5, { 0x66, 0xc7, 0x03, 0x34, 0x12 }, 2, NO_REG, R(3), 0x1234 },
	{ "movb $0xab,(%rbx)", N64, 3, { 0xc6, 0x03, 0xab }, 1, NO_REG, R(3), 0xab },
	{ "mov %eax,%gs:(%rbx)", N64, 3, { 0x65, 0x89, 0x03 }, 4, NO_REG, R(3) + 0x5000000, 0x100 },
	{ "mov %eax,%fs:(%rbx)", N64, 3, { 0x64, 0x89, 0x03 }, 4, NO_REG, R(3) + 0xf000000, 0x100 },
	{ "mov %eax,%es:(%rbx)", N64, 3, { 0x26, 0x89, 0x03 }, 4, NO_REG, R(3), 0x100 },
	{ "mov %eax,(%ebx)", N64, 3, { 0x67, 0x89, 0x03 }, 4, NO_REG, 0x33333433, 0x100 },
	{ "movabs %al,0x1122334455667788", N64, 9, { 0xa2, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 }, 1, NO_REG,
	  0x1122334455667788ull, 0x00 },
	{ "movabs 0x1122334455667788,%eax", N64, 9, { 0xa1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 }, 4, RAX,
	  0x1122334455667788ull, 0x44332211 },
	{ "addr32 mov 0x44332211,%eax", N64, 6, { 0x67, 0xa1, 0x11, 0x22, 0x33, 0x44 }, 4, RAX, 0x44332211, 0x44332211 },
	{ "movzbl (%rbx),%ecx", N64, 3, { 0x0f, 0xb6, 0x0b }, 1, RCX, R(3), 0x11 },
	{ "movzwl (%rbx),%ecx", N64, 3, { 0x0f, 0xb7, 0x0b }, 2, RCX, R(3), 0x2211 },
	{ "movzbw (%rbx),%cx", N64, 4, { 0x66, 0x0f, 0xb6, 0x0b }, 1, RCX, R(3), 0x1111111111110011ull },
	{ "movsbl (%rbx),%ecx", N64, 3, { 0x0f, 0xbe, 0x0b }, 1, RCX, R(3), 0x11 },
	{ "movswq (%rbx),%rcx", N64, 4, { 0x48, 0x0f, 0xbf, 0x0b }, 2, RCX, R(3), 0x2211 },
	{ "movslq (%rbx),%rcx", N64, 3, { 0x48, 0x63, 0x0b }, 4, RCX, R(3), 0x44332211 },
	{ "lock mov: prefix order", N64, 4, { 0xf0, 0x66, 0x89, 0x0b }, 2, NO_REG, R(3), 0x1211 },
	{ "REX before a prefix does not count", N64, 4, { 0x48, 0x66, 0x89, 0x0b }, 2, NO_REG, R(3), 0x1211 },
	{ "13 prefixes: 15 bytes in all", N64, 15, { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
	  0x89, 0x0b }, 2, NO_REG, R(3), 0x1211 },
	/* 32-bit code: DS and SS bases count */
	{ "mov %eax,(%ebx)", N32, 2, { 0x89, 0x03 }, 4, NO_REG, 0x33333433ull + 0xd0000, 0x100 },
	{ "mov %eax,(%ebp)", N32, 3, { 0x89, 0x45, 0x00 }, 4, NO_REG, 0x55555655ull + 0xe0000, 0x100 },
	{ "mov %eax,0xfec00000", N32, 6, { 0x89, 0x05, 0x00, 0x00, 0xc0, 0xfe }, 4, NO_REG, 0xfec00000ull + 0xd0000, 0x100 },
	{ "mov 0xfec00010,%eax", N32, 5, { 0xa1, 0x10, 0x00, 0xc0, 0xfe }, 4, RAX, 0xfec00010ull + 0xd0000, 0x44332211 },
	{ "data16 mov %ax,(%ebx)", N32, 3, { 0x66, 0x89, 0x03 }, 2, NO_REG, 0x33333433ull + 0xd0000, 0x100 },
	{ "addr16 mov %eax,(%bx,%si)", N32, 3, { 0x67, 0x89, 0x00 }, 4, NO_REG, ((0x3433 + 0x6766) & 0xffff) + 0xd0000, 0x100 },
	/* 16-bit code */
	{ "mov %ax,(%bx)", N16, 2, { 0x89, 0x07 }, 2, NO_REG, 0x3433 + 0xd0000, 0x100 },
	{ "mov %ax,-1(%bp,%di)", N16, 3, { 0x89, 0x43, 0xff }, 2, NO_REG, ((0x5655 + 0x7877 - 1) & 0xffff) + 0xe0000, 0x100 },
	{ "mov %ax,0x1234", N16, 4, { 0x89, 0x06, 0x34, 0x12 }, 2, NO_REG, 0x1234 + 0xd0000, 0x100 },
	{ "mov 0x1234(%bx),%ax", N16, 4, { 0x8b, 0x87, 0x34, 0x12 }, 2, RAX, 0x3433 + 0x1234 + 0xd0000, 0x2211 },
	{ "data32 addr32 mov %eax,(%ebx)", N16, 4, { 0x66, 0x67, 0x89, 0x03 }, 4, NO_REG, 0x33333433ull + 0xd0000, 0x100 },
	{ "mov %fs:0x10,%al", N16, 4, { 0x64, 0xa0, 0x10, 0x00 }, 1, RAX, 0xf000010, 0x111 },
};

static void moves_have_their_length_address_and_effect(void **state)
{
	for (unsigned i = 0; i < COUNT(moves); i++) {
		struct insn_cpu cpu = make_cpu((enum insn_mode)moves[i].mode), before = cpu;
		struct failure why = { "" };
		struct insn insn;

		memset(&device, 0, sizeof device);
		device.answer = VALUE;
		if (insn_decode(moves[i].bytes, moves[i].length, cpu.mode, &insn, &why))
			fail_msg("%s: %s", moves[i].text, why.text);
		if (insn.length != moves[i].length)
			fail_msg("%s: length %u", moves[i].text, insn.length);
		if (insn_linear_address(&insn, &cpu) != moves[i].address)
			fail_msg("%s: address %#llx", moves[i].text, (unsigned long long)insn_linear_address(&insn, &cpu));
		assert_int_equal(insn_execute(&insn, &cpu, &memory), 0);
		if (device.bytes != moves[i].width)
			fail_msg("%s: width %u", moves[i].text, device.bytes);
		assert_int_equal(cpu.rip, 0x1000u + moves[i].length);
		assert_int_equal(cpu.rflags, 0x2);
		if (moves[i].reg == NO_REG) {
			if (device.written != moves[i].expect || device.writes != 1 || device.reads != 0)
				fail_msg("%s: wrote %#llx", moves[i].text, (unsigned long long)device.written);
		} else {
			if (cpu.gpr[moves[i].reg] != moves[i].expect || device.writes != 0 || device.reads != 1)
				fail_msg("%s: register %#llx", moves[i].text, (unsigned long long)cpu.gpr[moves[i].reg]);
			before.gpr[moves[i].reg] = cpu.gpr[moves[i].reg];
		}
		assert_memory_equal(before.gpr, cpu.gpr, sizeof cpu.gpr);
	}
}

static void each_shorter_prefix_of_an_instruction_asks_for_more(void **state)
{
	for (unsigned i = 0; i < COUNT(moves); i++)
		for (unsigned count = 0; count < moves[i].length; count++) {
			uint8_t *copy = malloc(count + 1);	/* exactly as long: the sanitizer sees a read beyond */
			struct insn insn;

			memcpy(copy, moves[i].bytes, count);
			if (insn_decode(copy, count, (enum insn_mode)moves[i].mode, &insn, NULL) != -ENODATA)
				fail_msg("%s: %u bytes were enough", moves[i].text, count);
			free(copy);
		}
}

#define CF 0x001
#define PF 0x004
#define AF 0x010
#define ZF 0x040
#define SF 0x080
#define OF 0x800

static const struct {
	const char *text;
	uint8_t length;
	uint8_t bytes[8];
	uint64_t in_memory, rcx;
	bool writes;
	uint64_t written;
	uint64_t rcx_after;
	uint64_t flags;
} arithmetic[] = {
	{ "and %ecx,(%rbx)", 2, { 0x21, 0x0b }, 0xff00ff00, 0x0ff00ff0, true, 0x0f000f00, 0x0ff00ff0, PF },
	{ "or %cl,(%rbx)", 2, { 0x08, 0x0b }, 0x80, 0x01, true, 0x81, 0x01, SF | PF },
	{ "xor %ecx,(%rbx)", 2, { 0x31, 0x0b }, 5, 5, true, 0, 5, ZF | PF },
	{ "and (%rbx),%ecx", 2, { 0x23, 0x0b }, 0xf0, 0xffffffffffffff3cull, false, 0, 0x30, PF },
	{ "or (%rbx),%rcx", 3, { 0x48, 0x0b, 0x0b }, 1ull << 63, 1, false, 0, 1ull << 63 | 1, SF },
	{ "add %cl,(%rbx)", 2, { 0x00, 0x0b }, 0xff, 0x01, true, 0x00, 0x01, CF | ZF | AF | PF },
	{ "add %cl,(%rbx) overflow", 2, { 0x00, 0x0b }, 0x7f, 0x01, true, 0x80, 0x01, OF | SF | AF },
	{ "sub %cl,(%rbx)", 2, { 0x28, 0x0b }, 0x00, 0x01, true, 0xff, 0x01, CF | SF | AF | PF },
	{ "sub (%rbx),%cl", 2, { 0x2a, 0x0b }, 0x01, 0x80, false, 0, 0x7f, OF | AF },
	{ "cmp %ecx,(%rbx)", 2, { 0x39, 0x0b }, 3, 3, false, 0, 3, ZF | PF },
	{ "cmp (%rbx),%ecx", 2, { 0x3b, 0x0b }, 4, 3, false, 0, 3, CF | SF | AF | PF },
	{ "test %ecx,(%rbx)", 2, { 0x85, 0x0b }, 0x80000000, 0xffffffff, false, 0, 0xffffffff, SF | PF },
	{ "testl $0x10,(%rbx)", 6, { 0xf7, 0x03, 0x10, 0, 0, 0 }, 0x20, 7, false, 0, 7, ZF | PF },
	{ "testb $0x80,(%rbx)", 3, { 0xf6, 0x03, 0x80 }, 0x80, 7, false, 0, 7, SF },
	{ "andl $-2,(%rbx)", 3, { 0x83, 0x23, 0xfe }, 0x13, 7, true, 0x12, 7, PF },
	{ "orl $0x10000,(%rbx)", 6, { 0x81, 0x0b, 0, 0, 1, 0 }, 0x31, 7, true, 0x10031, 7, 0 },
	{ "xorb $0xff,(%rbx)", 3, { 0x80, 0x33, 0xff }, 0x0f, 7, true, 0xf0, 7, SF | PF },
	{ "cmpq $-1,(%rbx)", 4, { 0x48, 0x83, 0x3b, 0xff }, UINT64_MAX, 7, false, 0, 7, ZF | PF },
	{ "addw $0x7fff,(%rbx)", 5, { 0x66, 0x81, 0x03, 0xff, 0x7f }, 0x0001, 7, true, 0x8000, 7, OF | SF | AF | PF },
	{ "subl $1,(%rbx)", 3, { 0x83, 0x2b, 0x01 }, 0x80000000, 7, true, 0x7fffffff, 7, OF | AF | PF },
	{ "xchg %ecx,(%rbx)", 2, { 0x87, 0x0b }, 0xaaaa5555, 0xffffffff00000001ull, true, 1, 0xaaaa5555, 0x8d7 },
	{ "xchg %cl,(%rbx)", 2, { 0x86, 0x0b }, 0x99, 0x1234, true, 0x34, 0x1299, 0x8d7 },
};

static void arithmetic_has_its_result_and_flags(void **state)
{
	for (unsigned i = 0; i < COUNT(arithmetic); i++) {
		struct insn_cpu cpu = make_cpu(INSN_CODE_64);
		struct failure why = { "" };
		struct insn insn;

		memset(&device, 0, sizeof device);
		device.answer = arithmetic[i].in_memory;
		cpu.gpr[RCX] = arithmetic[i].rcx;
		cpu.rflags = 0x2 | 0x8d5;			/* all set: each must be cleared where it is */
		if (insn_decode(arithmetic[i].bytes, arithmetic[i].length, cpu.mode, &insn, &why))
			fail_msg("%s: %s", arithmetic[i].text, why.text);
		assert_int_equal(insn.length, arithmetic[i].length);
		assert_int_equal(insn_execute(&insn, &cpu, &memory), 0);
		if (device.writes != arithmetic[i].writes || device.written != arithmetic[i].written)
			fail_msg("%s: wrote %#llx (%u times)", arithmetic[i].text, (unsigned long long)device.written, device.writes);
		if (cpu.gpr[RCX] != arithmetic[i].rcx_after)
			fail_msg("%s: rcx %#llx", arithmetic[i].text, (unsigned long long)cpu.gpr[RCX]);
		if ((cpu.rflags | 2) != (arithmetic[i].flags | 2))
			fail_msg("%s: flags %#llx", arithmetic[i].text, (unsigned long long)cpu.rflags);
	}
}

static const struct {
	const char *text;
	uint8_t mode, length;
	uint8_t bytes[8];
} unknown[] = {
	{ "ud2", N64, 2, { 0x0f, 0x0b } },
	{ "nop", N64, 1, { 0x90 } },
	{ "mov %eax,%ebx: no memory", N64, 2, { 0x89, 0xc3 } },
	{ "adc %eax,(%rbx)", N64, 2, { 0x11, 0x03 } },
	{ "adcl $1,(%rbx)", N64, 3, { 0x83, 0x13, 0x01 } },
	{ "not (%rbx)", N64, 2, { 0xf7, 0x13 } },
	{ "c7 /1", N64, 6, { 0xc7, 0x0b, 0, 0, 0, 0 } },
	{ "movsb", N64, 1, { 0xa4 } },
	{ "arpl in 32-bit code", N32, 2, { 0x63, 0x0b } },
	{ "vex", N64, 4, { 0xc5, 0xf8, 0x28, 0x03 } },
	{ "push", N64, 2, { 0xff, 0x33 } },
	{ "REX in 32-bit code is INC", N32, 3, { 0x48, 0x89, 0x03 } },
};

static void unknown_instructions_are_refused_with_their_bytes(void **state)
{
	struct insn insn;

	for (unsigned i = 0; i < COUNT(unknown); i++) {
		struct failure why = { "" };
		char first[16];

		if (insn_decode(unknown[i].bytes, unknown[i].length, (enum insn_mode)unknown[i].mode, &insn, &why) != -EOPNOTSUPP)
			fail_msg("%s was taken", unknown[i].text);
		(void)snprintf(first, sizeof first, "instruction %02x", unknown[i].bytes[0]);
		assert_non_null(strstr(why.text, first));
	}
}

static void fifteen_bytes_are_the_limit(void **state)
{
	uint8_t bytes[32];
	struct insn insn;

	memset(bytes, 0x66, sizeof bytes);
	assert_int_equal(insn_decode(bytes, sizeof bytes, INSN_CODE_64, &insn, NULL), -EOPNOTSUPP);
	bytes[14] = 0x89;
	bytes[15] = 0x0b;
	assert_int_equal(insn_decode(bytes, sizeof bytes, INSN_CODE_64, &insn, NULL), -EOPNOTSUPP);
}

static void string_and_port_forms_decode(void **state)
{
	static const struct {
		uint8_t length, bytes[4];
		enum insn_operation operation;
		uint8_t width, segment;
		bool repeat;
	} rows[] = {
		{ 1, { 0x6e }, INSN_OUTS, 1, INSN_DS, false },
		{ 2, { 0xf3, 0x6e }, INSN_OUTS, 1, INSN_DS, true },
		{ 3, { 0xf3, 0x66, 0x6f }, INSN_OUTS, 2, INSN_DS, true },
		{ 3, { 0xf3, 0x48, 0x6f }, INSN_OUTS, 4, INSN_DS, true },
		{ 2, { 0x64, 0x6e }, INSN_OUTS, 1, INSN_FS, false },
		{ 2, { 0xf2, 0x6c }, INSN_INS, 1, INSN_ES, true },
		{ 2, { 0x64, 0x6d }, INSN_INS, 4, INSN_ES, false },
		{ 2, { 0xe4, 0x71 }, INSN_IN, 1, INSN_DS, false },
		{ 1, { 0xef }, INSN_OUT, 4, INSN_DS, false },
		{ 2, { 0x66, 0xed }, INSN_IN, 2, INSN_DS, false },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct insn insn;

		assert_int_equal(insn_decode(rows[i].bytes, rows[i].length, INSN_CODE_64, &insn, NULL), 0);
		assert_int_equal(insn.operation, rows[i].operation);
		assert_int_equal(insn.length, rows[i].length);
		assert_int_equal(insn.memory_bytes, rows[i].width);
		assert_int_equal(insn.segment, rows[i].segment);
		assert_int_equal(insn.repeat, rows[i].repeat);
	}
}

static void an_error_of_the_device_changes_nothing(void **state)
{
	static const uint8_t xchg[] = { 0x87, 0x0b }, and[] = { 0x21, 0x0b }, load[] = { 0x8b, 0x0b };
	static const uint8_t *const all[] = { xchg, and, load };

	for (unsigned i = 0; i < COUNT(all); i++) {
		struct insn_cpu cpu = make_cpu(INSN_CODE_64), before = cpu;
		struct insn insn;

		memset(&device, 0, sizeof device);
		device.error = -EIO;
		assert_int_equal(insn_decode(all[i], 2, cpu.mode, &insn, NULL), 0);
		assert_int_equal(insn_execute(&insn, &cpu, &memory), -EIO);
		assert_memory_equal(&cpu, &before, sizeof cpu);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_have_their_length_address_and_effect),
		cmocka_unit_test(each_shorter_prefix_of_an_instruction_asks_for_more),
		cmocka_unit_test(arithmetic_has_its_result_and_flags),
		cmocka_unit_test(unknown_instructions_are_refused_with_their_bytes),
		cmocka_unit_test(fifteen_bytes_are_the_limit),
		cmocka_unit_test(string_and_port_forms_decode),
		cmocka_unit_test(an_error_of_the_device_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
