/* SPDX-License-Identifier: Apache-2.0 */
/* The LAPIC page's decoder: one row an encoding. Expected lengths are those of the CPU manuals' encodings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/insn.h"

struct row {
	const char *text;
	uint8_t code[15], bytes;
	unsigned mode;
	bool known;
	struct mmio_insn want;
};

#define C(...) { __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })
static const struct row rows[] = {
	{ "mov eax,[rip+d32]", C(0x8b, 0x05, 1, 2, 3, 4), 64, true, { .length = 6, .reg = 0, .size = 4, .reg_size = 4 } },
	{ "mov [rdi],esi", C(0x89, 0x37), 64, true, { .length = 2, .reg = 6, .write = true, .size = 4, .reg_size = 4 } },
	{ "mov r9d,[r8+0x20]", C(0x45, 0x8b, 0x48, 0x20), 64, true, { .length = 4, .reg = 9, .size = 4, .reg_size = 4 } },
	{ "mov rax,[rbx]", C(0x48, 0x8b, 0x03), 64, true, { .length = 3, .size = 8, .reg_size = 8 } },
	{ "mov dword [abs32],imm32", C(0xc7, 0x04, 0x25, 0xb0, 0x00, 0xe0, 0xfe, 0x44, 0x33, 0x22, 0x11), 64, true,
	  { .length = 11, .write = true, .immediate = true, .size = 4, .reg_size = 4, .imm = 0x11223344 } },
	{ "mov qword [rax],imm32", C(0x48, 0xc7, 0x00, 0xff, 0xff, 0xff, 0xff), 64, true,
	  { .length = 7, .write = true, .immediate = true, .size = 8, .reg_size = 8, .imm = ~0ull } },
	{ "mov word [rax],imm16", C(0x66, 0xc7, 0x00, 0x34, 0x12), 64, true,
	  { .length = 5, .write = true, .immediate = true, .size = 2, .reg_size = 2, .imm = 0x1234 } },
	{ "mov byte [rax+rcx*4+d8],imm8", C(0xc6, 0x44, 0x88, 0x10, 0x7f), 64, true,
	  { .length = 5, .write = true, .immediate = true, .size = 1, .reg_size = 1, .imm = 0x7f } },
	{ "xchg [rdi],eax", C(0x87, 0x07), 64, true,
	  { .length = 2, .write = true, .exchange = true, .size = 4, .reg_size = 4 } },
	{ "mov eax,moffs64", C(0xa1, 1, 2, 3, 4, 5, 6, 7, 8), 64, true, { .length = 9, .size = 4, .reg_size = 4 } },
	{ "mov moffs32,eax", C(0xa3, 1, 2, 3, 4), 32, true, { .length = 5, .write = true, .size = 4, .reg_size = 4 } },
	{ "movzx ecx,byte [rdx]", C(0x0f, 0xb6, 0x0a), 64, true, { .length = 3, .reg = 1, .size = 1, .reg_size = 4 } },
	{ "movsx rcx,word [rdx]", C(0x48, 0x0f, 0xbf, 0x0a), 64, true,
	  { .length = 4, .reg = 1, .size = 2, .reg_size = 8, .sign_extend = true } },
	{ "mov ah,[rdx]", C(0x8a, 0x22), 64, true, { .length = 2, .reg = 0, .size = 1, .reg_size = 1, .high_byte = true } },
	{ "mov spl,[rdx]", C(0x40, 0x8a, 0x22), 64, true, { .length = 3, .reg = 4, .size = 1, .reg_size = 1 } },
	{ "mov ax,[bx+si], 16 bit", C(0x8b, 0x00), 16, true, { .length = 2, .size = 2, .reg_size = 2 } },
	{ "mov ax,[d16], 16 bit", C(0x8b, 0x06, 0x34, 0x12), 16, true, { .length = 4, .size = 2, .reg_size = 2 } },
	{ "mov eax,[eax], 16 bit with both prefixes", C(0x66, 0x67, 0x8b, 0x00), 16, true,
	  { .length = 4, .size = 4, .reg_size = 4 } },
	{ "mov eax,[bx+d16], 32 bit with address prefix", C(0x67, 0x8b, 0x87, 0x34, 0x12), 32, true,
	  { .length = 5, .size = 4, .reg_size = 4 } },
	{ "segment prefix", C(0x65, 0x8b, 0x04, 0x25, 0, 0, 0, 0), 64, true, { .length = 8, .size = 4, .reg_size = 4 } },
	{ "register operand", C(0x8b, 0xc1), 64, false, { 0 } },
	{ "add eax,[rdi]", C(0x03, 0x07), 64, false, { 0 } },
	{ "cut short in the displacement", C(0x8b, 0x05, 1, 2), 64, false, { 0 } },
	{ "cut short in the immediate", C(0xc7, 0x00, 1, 2, 3), 64, false, { 0 } },
	{ "prefixes only", C(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66), 64,
	  false, { 0 } },
};

static void every_encoding_has_its_length_and_operands(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
		const struct row *r = &rows[i];
		struct mmio_insn got;
		bool known = insn_decode_mmio(r->code, r->bytes, r->mode, &got);

		if (known != r->known || (known && memcmp(&got, &r->want, sizeof got)))
			fail_msg("%s: known %d, length %u, reg %u, size %u/%u, write %d", r->text, known, got.length, got.reg,
				 got.size, got.reg_size, got.write);
	}
}

/* Whatever the bytes are: no read past the end, and a length that fits what was given. */
static void random_bytes_never_exceed_what_was_given(void **state)
{
	uint64_t seed = 0x1d872b41;

	(void)state;
	for (unsigned n = 0; n < 200000; n++) {
		uint8_t code[15];
		struct mmio_insn got;
		size_t bytes;

		for (size_t i = 0; i < sizeof code; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			code[i] = (uint8_t)(seed >> 56);
		}
		bytes = seed % 16;
		if (insn_decode_mmio(code, bytes, n % 3 == 0 ? 16 : n % 3 == 1 ? 32 : 64, &got)) {
			assert_in_range(got.length, 2, bytes);
			assert_in_range(got.reg, 0, 15);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_encoding_has_its_length_and_operands),
		cmocka_unit_test(random_bytes_never_exceed_what_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
