/* SPDX-License-Identifier: Apache-2.0 */
#include "verdict.h"

#include "acpi.h"
#include "bootinfo.h"
#include "clock.h"
#include "lapic.h"
#include "print.h"
#include "trap.h"
#include "x86.h"

void guest_main(const uint8_t *zero_page);

static struct {
	const char *test, *failed_test, *skip_reason;
	unsigned failures, passes, skips;
	bool test_failed, test_skipped, ending;
} state = { .test = "start" };

const char *verdict_test(void)
{
	return state.test;
}

bool verdict_failed(void)
{
	return state.test_failed || state.test_skipped;
}

static void say(const char *format, va_list arguments)
{
	print_list(format, arguments);
	print("\n");
}

void verdict_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	state.test_failed = true;
	print("  not ok: %s (%s:%d)\n    ", state.test, file, line);
	va_start(arguments, format);
	say(format, arguments);
	va_end(arguments);
}

void verdict_skip(const char *reason)
{
	state.test_skipped = true;
	state.skip_reason = reason;
	print("  skipped: %s: %s\n", state.test, reason);
}

_Noreturn void verdict_end(enum verdict verdict, const char *format, ...)
{
	static const char *const words[] = { "PASS", "FAIL", "SKIP", "ERROR" };
	va_list arguments;

	irq_off();
	if (!__atomic_exchange_n(&state.ending, true, __ATOMIC_SEQ_CST)) {
		print("%s%s", words[verdict], format ? " " : "\n");
		if (format) {
			va_start(arguments, format);
			say(format, arguments);
			va_end(arguments);
		}
		print_flush();
		acpi_power_off();
	}
	for (;;)
		__asm__ volatile("cli\n\thlt");
}

static void run(const struct guest_test *test)
{
	state.test = test->name;
	state.test_failed = state.test_skipped = false;
	test->run();
	if (state.test_failed) {
		if (!state.failures++)
			state.failed_test = test->name;
	} else if (state.test_skipped) {
		state.skips++;
	} else {
		state.passes++;
		print("  ok: %s\n", test->name);
	}
}

void guest_main(const uint8_t *zero_page)
{
	trap_init();
	bootinfo_init(zero_page);
	acpi_init();
	clock_init();
	lapic_init();
	for (const struct guest_test *test = guest_tests; test->name; test++)
		run(test);
	if (state.failures)
		verdict_end(VERDICT_FAIL, "%s%s", state.failed_test, state.failures > 1 ? ", and others" : "");
	if (!state.passes)
		verdict_end(VERDICT_SKIP, "%s", state.skips ? state.skip_reason : "no test");
	verdict_end(VERDICT_PASS, 0);
}
