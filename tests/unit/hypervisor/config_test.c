/* SPDX-License-Identifier: Apache-2.0 */
/* undercroft.conf: what is accepted, and what a person is told about the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "boot/config.h"

static unsigned parse(const char *text, struct boot_config *config, const char **why)
{
	/* Exactly as long as the text, so that a sanitizer sees one byte too many. */
	size_t bytes = strlen(text);
	char *copy = malloc(bytes ? bytes : 1);
	unsigned line;

	memcpy(copy, text, bytes);
	*why = NULL;
	line = config_parse(copy, bytes, config, why);
	free(copy);
	return line;
}

static void a_full_file_is_taken(void **state)
{
	static struct boot_config c;
	const char *why;

	(void)state;
	assert_int_equal(parse("# comment\r\n\n  kernel =\t\\vmlinuz \r\ncmdline = initrd=\\initrd.img root=a=b\n"
			       "options = tsc=stable   lift=off",
			       &c, &why),
			 0);
	assert_string_equal(c.kernel, "\\vmlinuz");
	assert_string_equal(c.cmdline, "initrd=\\initrd.img root=a=b");
	assert_true(c.tsc_stable);
	assert_false(c.lift);
}

static void an_empty_file_lifts_and_names_no_kernel(void **state)
{
	static struct boot_config c;
	const char *why;

	(void)state;
	assert_int_equal(parse("", &c, &why), 0);
	assert_string_equal(c.kernel, "");
	assert_true(c.lift);
	assert_false(c.tsc_stable);
}

static void bad_lines_are_named(void **state)
{
	static struct boot_config c;
	char long_line[CONFIG_TEXT_MAX + 16] = "kernel = ";
	const struct { const char *text; unsigned line; const char *why; } rows[] = {
		{ "kernel \\vmlinuz\n", 1, "no '=' in the line" },
		{ "# ok\nkernel = a\nkernal = b\n", 3, "unknown key" },
		{ "options = tsc=wrong", 1, "unknown option" },
		{ long_line, 1, "kernel path too long" },
	};

	(void)state;
	memset(long_line + 9, 'x', CONFIG_TEXT_MAX);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *why;

		assert_int_equal(parse(rows[i].text, &c, &why), rows[i].line);
		assert_string_equal(why, rows[i].why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_file_is_taken),
		cmocka_unit_test(an_empty_file_lifts_and_names_no_kernel),
		cmocka_unit_test(bad_lines_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
