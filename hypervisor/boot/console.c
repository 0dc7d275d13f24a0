/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/boot.h"
#include "core/log.h"
#include "core/platform.h"

static EFI_SYSTEM_TABLE *system_table;

void console_init(EFI_SYSTEM_TABLE *st)
{
	system_table = st;
}

void console_line(const char *format, ...)
{
	char line[200];
	CHAR16 wide[sizeof line + 2];
	__builtin_va_list args;
	size_t n;

	__builtin_va_start(args, format);
	n = log_format(line, sizeof line - 1, format, args);
	__builtin_va_end(args);
	for (size_t i = 0; i < n; i++)
		wide[i] = (CHAR16)line[i];
	wide[n] = '\r';
	wide[n + 1] = '\n';
	wide[n + 2] = 0;
	system_table->ConOut->OutputString(system_table->ConOut, wide);
	line[n++] = '\n';
	platform_debug_write(line, n);
}
