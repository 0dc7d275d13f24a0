/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A triple fault ends this child and nothing else. There is no verdict after it: the runner looks for the last line
 * "TRIPLE" and for the worker's reason "triple_fault". Without the option "fault" nothing happens.
 */
#include "lib/bootinfo.h"
#include "lib/print.h"
#include "lib/verdict.h"
#include "lib/x86.h"

static void triple_fault(void)
{
	static const struct table_pointer nothing;

	if (!bootinfo_option("fault"))
		SKIP("only with the option \"fault\"");
	print("TRIPLE\n");
	print_flush();
	load_idt(&nothing);
	__asm__ volatile("ud2");
}

const struct guest_test guest_tests[] = {
	{ "an exception without an IDT", triple_fault },
	{ 0 },
};
