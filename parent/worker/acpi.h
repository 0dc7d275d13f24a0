/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI 6.4 tables of a child: RSDP, XSDT, FADT (hardware-reduced), MADT, DSDT. No firmware stands behind them: sleep and reset
 * are registers of the worker (pm.h), all interrupts come through one IOAPIC.
 */
#ifndef WORKER_ACPI_H
#define WORKER_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/failure.h"

struct acpi_config {
	unsigned vp_count;			/* 1..PLATFORM_VP_MAX; APIC id = VP index */
	uint64_t ram_top;			/* first address above all RAM, >= 4 GiB */
	bool has_com1;
};

struct acpi_layout {
	uint64_t rsdp_gpa;
	uint64_t xsdt_gpa, fadt_gpa, madt_gpa, dsdt_gpa;
	size_t bytes;				/* used of the buffer */
};

#define ACPI_TABLES_GPA   0xe0000u		/* where an operating system looks for the RSDP */
#define ACPI_TABLES_BYTES 0x10000u

/* Writes the tables for guest address `gpa` into buffer. -ENOSPC when they do not fit, -EINVAL for a bad config. */
int acpi_build(const struct acpi_config *config, uint64_t gpa, uint8_t *buffer, size_t buffer_bytes,
	       struct acpi_layout *out, struct failure *why) MUST_CHECK;

#endif
