/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power and reset: the sleep registers of hardware-reduced ACPI (ACPI 6.4 §4.8.3.7), the FADT's reset register, and the
 * keyboard controller's reset pulse, which operating systems try when all else fails. A request is handed to the machine,
 * which acts on it after the writing instruction is done.
 */
#ifndef WORKER_PM_H
#define WORKER_PM_H

#include <stdint.h>

enum pm_request { PM_NONE, PM_POWER_OFF, PM_RESET };

struct pm {
	uint8_t sleep_status;
	enum pm_request request;
};

uint8_t pm_read(struct pm *pm, uint16_t port);
void pm_write(struct pm *pm, uint16_t port, uint8_t value);

#endif
