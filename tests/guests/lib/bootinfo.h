/* SPDX-License-Identifier: Apache-2.0 */
/* What the loader left: command line, memory map, RSDP. */
#ifndef GUEST_BOOTINFO_H
#define GUEST_BOOTINFO_H

#include <stdbool.h>
#include <stdint.h>

#define BOOTINFO_RAM      1u
#define BOOTINFO_REGIONS_MAX 32

struct bootinfo_region {
	uint64_t base, end;
	uint32_t type;
};

extern struct bootinfo {
	const char *command_line;
	uint64_t rsdp_gpa;			/* 0: none found */
	uint64_t ram_end;			/* end of the highest RAM region */
	unsigned region_count;
	struct bootinfo_region regions[BOOTINFO_REGIONS_MAX];
} bootinfo;

void bootinfo_init(const uint8_t *zero_page);

/* Options on the command line, separated by blanks: NAME or NAME=NUMBER (0x for hexadecimal). */
bool bootinfo_option(const char *name);
uint64_t bootinfo_number(const char *name, uint64_t otherwise);

/* End of the guest's own image, page aligned: RAM from there on is free. */
uint64_t bootinfo_image_end(void);

#endif
