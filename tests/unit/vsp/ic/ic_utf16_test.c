// SPDX-License-Identifier: Apache-2.0
/* UTF-8 and UTF-16: every code point there and back, everything that is none refused, limits to the unit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unicode/utf16.h"

static void every_code_point_survives(void **state)
{
	for (uint32_t code = 1; code <= 0x10ffff; code++) {
		uint16_t units[3] = { (uint16_t)code, 0, 0 }, back[3];
		char text[7];
		size_t count = 0;

		if (code >= 0xd800 && code < 0xe000)
			continue;
		if (code >= 0x10000) {
			units[0] = (uint16_t)(0xd800 | (code - 0x10000) >> 10);
			units[1] = (uint16_t)(0xdc00 | ((code - 0x10000) & 0x3ff));
		}
		assert_int_equal(utf16_to_utf8(units, 3, text, sizeof text), 0);
		assert_int_equal(strlen(text), code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);
		assert_int_equal(utf16_from_utf8(text, back, 3, &count), 0);
		assert_int_equal(count, code < 0x10000 ? 2 : 3);
		assert_memory_equal(back, units, count * 2);
	}
}

static void known_texts(void **state)
{
	static const uint16_t expected[] = { 'a', 0xe4, 0x20ac, 0xd83d, 0xde00, 0 };
	uint16_t units[8];
	size_t count;

	assert_int_equal(utf16_from_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", units, 8, &count), 0);
	assert_int_equal(count, 6);
	assert_memory_equal(units, expected, sizeof expected);
}

static void what_is_no_utf8_is_refused(void **state)
{
	static const char *const bad[] = {
		"\x80", "\xbf", "\xc3", "\xc3" "a", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf", "\xe2\x82", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xf8\x88\x80\x80\x80", "\xfe", "\xff", "good\xff",
	};
	uint16_t units[16];
	size_t count;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(utf16_from_utf8(bad[i], units, 16, &count), -EILSEQ);
}

static void lone_surrogates_are_refused(void **state)
{
	static const uint16_t bad[][3] = {
		{ 0xd800, 0 }, { 0xdbff, 'a' }, { 0xdc00, 0 }, { 0xdfff, 0xd800 }, { 0xd800, 0xd800, 0xdc00 },
		{ 'a', 'b', 0xd900 },
	};
	char text[16];

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(utf16_to_utf8(bad[i], 3, text, sizeof text), -EILSEQ);
}

static void limits_count_the_zero(void **state)
{
	static const uint16_t euro[2] = { 0x20ac, 0x20ac };
	uint16_t units[3];
	char text[7];
	size_t count;

	assert_int_equal(utf16_from_utf8("ab", units, 3, &count), 0);
	assert_int_equal(utf16_from_utf8("abc", units, 3, &count), -E2BIG);
	assert_int_equal(utf16_from_utf8("a\xf0\x9f\x98\x80", units, 3, &count), -E2BIG);
	assert_int_equal(utf16_from_utf8("", units, 0, &count), -E2BIG);
	assert_int_equal(utf16_from_utf8("", units, 1, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(utf16_to_utf8(euro, 2, text, 7), 0);
	assert_int_equal(utf16_to_utf8(euro, 2, text, 6), -E2BIG);
	assert_int_equal(utf16_to_utf8(euro, 0, text, 0), -E2BIG);
	assert_int_equal(utf16_to_utf8(euro, 0, text, 1), 0);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_survives),
		cmocka_unit_test(known_texts),
		cmocka_unit_test(what_is_no_utf8_is_refused),
		cmocka_unit_test(lone_surrogates_are_refused),
		cmocka_unit_test(limits_count_the_zero),
	};

	return cmocka_run_group_tests_name("ic_utf16", tests, NULL, NULL);
}
