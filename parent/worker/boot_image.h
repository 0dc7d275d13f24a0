/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boot of a Linux kernel at its 64-bit entry: kernel, initrd, command line, zero page, memory map, GDT and identity
 * page tables in guest RAM, and the registers of the first processor (boot.rst of Linux, "64-bit Boot Protocol").
 *
 * Guest physical layout
 *   0x00000500  GDT: null, null, 64-bit code (0x10), data (0x18)
 *   0x00007000  zero page
 *   0x00009000  page tables: PML4, PDPT, four page directories of 2 MiB pages: the low 4 GiB, identity
 *   0x00020000  command line
 *   0x000e0000  ACPI tables (acpi.h), reserved in the memory map together with the rest up to 1 MiB
 *   0x000ffff0  reset vector: writes the reset register. A kernel on reduced-hardware ACPI without EFI jumps here to restart
 *   0x00100000  RAM: the kernel where it wants to lie, the initrd as high as it may be
 *   0xc0000000  at most here the low RAM ends; the rest of it goes on at 4 GiB
 *   0xe0000000  devices: VMBus window, 0xfec00000 IOAPIC, 0xfee00000 local APIC
 */
#ifndef WORKER_BOOT_IMAGE_H
#define WORKER_BOOT_IMAGE_H

#include "hv/hv_hypercall.h"
#include "worker/guest_mem.h"

#define BOOT_GDT_GPA          0x500u
#define BOOT_ZERO_PAGE_GPA    0x7000u
#define BOOT_PAGE_TABLES_GPA  0x9000u
#define BOOT_COMMAND_LINE_GPA 0x20000u
#define BOOT_COMMAND_LINE_MAX 0x10000u
#define BOOT_LOW_RAM_END      0x9fc00u
#define BOOT_RESERVED_BASE    0xe0000u
#define BOOT_RESET_VECTOR_GPA 0xffff0u		/* F000:FFF0 in real mode */
#define BOOT_HIGH_RAM_BASE    0x100000u
#define BOOT_RESERVED_END     BOOT_HIGH_RAM_BASE

struct boot_files {
	int kernel_fd;				/* regular file */
	int initrd_fd;				/* regular file, or -1 for none */
	const char *command_line;
	uint64_t rsdp_gpa;
};

struct boot_entry {
	uint64_t rip;
	uint64_t zero_page_gpa;
	uint64_t page_table_gpa;
	/* Where things went, for logs and tests. */
	uint64_t kernel_gpa, kernel_bytes;
	uint64_t initrd_gpa, initrd_bytes;
};

/* Fills guest RAM. Every failure names the file, the field or the limit. -ENOEXEC, -EINVAL, -ENOSPC, -EIO. */
int boot_image_load(const struct guest_mem *mem, const struct boot_files *files, struct boot_entry *out,
		    struct failure *why) MUST_CHECK;

/* The registers that differ from the reset state, for HvCallSetVpRegisters on VP 0. Returns their number. */
#define BOOT_REGISTER_COUNT 18u
unsigned boot_image_registers(const struct boot_entry *entry, struct hv_register_assoc out[BOOT_REGISTER_COUNT]);

#endif
