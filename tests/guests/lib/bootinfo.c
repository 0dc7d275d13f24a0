/* SPDX-License-Identifier: Apache-2.0 */
#include "bootinfo.h"

#include "layout.h"
#include "memory.h"

#define BIOS_AREA     0xe0000u			/* where firmware without a pointer in the zero page keeps the RSDP */
#define BIOS_AREA_END 0x100000u

struct bootinfo bootinfo;
extern const uint8_t _image_end[];

static uint64_t find_rsdp(void)
{
	for (uint64_t at = BIOS_AREA; at < BIOS_AREA_END; at += 16) {
		if (memcmp((const void *)at, "RSD PTR ", 8) == 0)
			return at;
	}
	return 0;
}

static void read_memory_map(const uint8_t *zero_page)
{
	const uint8_t *entry = zero_page + ZERO_PAGE_E820;

	for (unsigned i = 0; i < zero_page[ZERO_PAGE_E820_COUNT]; i++, entry += E820_ENTRY_BYTES) {
		struct bootinfo_region region = { load64(entry), load64(entry) + load64(entry + 8), load32(entry + 16) };

		if (bootinfo.region_count < BOOTINFO_REGIONS_MAX)
			bootinfo.regions[bootinfo.region_count++] = region;
		if (region.type == BOOTINFO_RAM && region.end > bootinfo.ram_end)
			bootinfo.ram_end = region.end;
	}
}

void bootinfo_init(const uint8_t *zero_page)
{
	uint32_t command_line = load32(zero_page + ZERO_PAGE_COMMAND_LINE);

	bootinfo.command_line = command_line ? (const char *)(uintptr_t)command_line : "";
	bootinfo.rsdp_gpa = load64(zero_page + ZERO_PAGE_RSDP);
	if (!bootinfo.rsdp_gpa)
		bootinfo.rsdp_gpa = find_rsdp();
	read_memory_map(zero_page);
}

uint64_t bootinfo_image_end(void)
{
	return (uint64_t)_image_end;
}

/* The text behind NAME, or NULL. */
static const char *option(const char *name)
{
	const char *at = bootinfo.command_line;
	size_t bytes = strlen(name);

	while (*at) {
		while (*at == ' ')
			at++;
		if (memcmp(at, name, bytes) == 0 && (at[bytes] == 0 || at[bytes] == ' ' || at[bytes] == '='))
			return at + bytes;
		while (*at && *at != ' ')
			at++;
	}
	return NULL;
}

bool bootinfo_option(const char *name)
{
	return option(name) != NULL;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

uint64_t bootinfo_number(const char *name, uint64_t otherwise)
{
	const char *at = option(name);
	uint64_t value = 0;
	int base = 10;

	if (!at || *at++ != '=')
		return otherwise;
	if (at[0] == '0' && at[1] == 'x') {
		base = 16;
		at += 2;
	}
	for (; digit(*at) < base; at++)
		value = value * (uint64_t)base + (uint64_t)digit(*at);
	return value;
}
