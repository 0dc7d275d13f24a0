/* SPDX-License-Identifier: Apache-2.0 */
/* As much of ACPI as it takes to count processors and to switch off: RSDP, XSDT or RSDT, MADT, FADT, \_S5. */
#ifndef GUEST_ACPI_H
#define GUEST_ACPI_H

#include <stdint.h>

#define ACPI_PROCESSORS_MAX 64

extern struct acpi {
	unsigned processor_count;		/* enabled ones; 0 without a MADT */
	uint8_t apic_ids[ACPI_PROCESSORS_MAX];
	uint16_t sleep_port;			/* 0: cannot switch off */
} acpi;

void acpi_init(void);
void acpi_power_off(void);			/* returns when it did not work */

#endif
