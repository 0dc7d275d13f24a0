/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that assembler, linker script and C share. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define LOAD_GPA            0x100000
#define SETUP_SECTORS       7			/* behind the boot sector */
#define SETUP_BYTES         0x1000		/* (SETUP_SECTORS + 1) * 512 */
#define ENTRY_64_OFFSET     0x200

/* Fields of the zero page ("boot_params"), which the file's first sectors are laid out as. */
#define ZERO_PAGE_RSDP      0x070
#define ZERO_PAGE_E820_COUNT 0x1e8
#define ZERO_PAGE_COMMAND_LINE 0x228
#define ZERO_PAGE_E820      0x2d0
#define E820_ENTRY_BYTES    20
#define E820_ENTRIES_MAX    128

#define SELECTOR_CODE_64    0x08
#define SELECTOR_DATA       0x10
#define SELECTOR_CODE_32    0x18
#define SELECTOR_USER_DATA  0x23
#define SELECTOR_USER_CODE  0x2b
#define SELECTOR_TSS        0x30		/* two entries */
#define SELECTOR_CODE_16    0x40
#define SELECTOR_DATA_16    0x48

#define VECTOR_USER_RETURN  0x80		/* int $0x80 leaves ring 3 */
#define VECTOR_SPURIOUS     0xff

/* Low memory that a loader's structures do not use: code that has to run below 1 MiB is copied there. */
#define LOW_CODE_GPA        0x1000
#define LOW_DATA_GPA        0x2000		/* 4 KiB, also the stack of real mode */

#define STACK_BYTES         0x4000

#endif
