// SPDX-License-Identifier: Apache-2.0
#include "cmocka_all.h"

#include "vmbus/guid.h"

static const char text[] = "01234567-89AB-cdef-0123-456789abcdef";

static void what_is_parsed_is_formatted_again(void **state)
{
	struct vmbus_guid guid;
	char out[VMBUS_GUID_CHARS + 1];

	assert_true(vmbus_guid_parse(text, strlen(text), &guid));
	assert_int_equal(guid.a, 0x01234567);
	assert_int_equal(guid.b, 0x89ab);
	assert_int_equal(guid.c, 0xcdef);
	assert_memory_equal(guid.d, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	vmbus_guid_format(&guid, out);
	assert_string_equal(out, "01234567-89ab-cdef-0123-456789abcdef");
}

static void digits_that_are_zero_are_written(void **state)
{
	const struct vmbus_guid guid = { .a = 1, .d = { [7] = 2 } };
	char out[VMBUS_GUID_CHARS + 1];

	vmbus_guid_format(&guid, out);
	assert_string_equal(out, "00000001-0000-0000-0000-000000000002");
}

static void only_36_characters_are_a_guid(void **state)
{
	struct vmbus_guid guid;

	assert_false(vmbus_guid_parse(text, 35, &guid));
	assert_false(vmbus_guid_parse("01234567-89AB-cdef-0123-456789abcdef0", 37, &guid));
	assert_false(vmbus_guid_parse("", 0, &guid));
}

static void each_character_counts(void **state)
{
	static const char wrong[] = { '-', 'g', 'G', ' ', '+', '{', '/', ':', '@', '`', 0, (char)0xff };
	struct vmbus_guid guid;

	for (unsigned at = 0; at < VMBUS_GUID_CHARS; at++)
		for (unsigned i = 0; i < sizeof wrong; i++) {
			char broken[sizeof text];

			memcpy(broken, text, sizeof text);
			broken[at] = text[at] == '-' && wrong[i] == '-' ? '0' : wrong[i];
			assert_false(vmbus_guid_parse(broken, VMBUS_GUID_CHARS, &guid));
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_parsed_is_formatted_again),
		cmocka_unit_test(digits_that_are_zero_are_written),
		cmocka_unit_test(only_36_characters_are_a_guid),
		cmocka_unit_test(each_character_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
