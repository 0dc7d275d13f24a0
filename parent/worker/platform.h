/* SPDX-License-Identifier: Apache-2.0 */
/* The child's machine as its ACPI tables tell it: ports, MMIO and interrupt lines of the devices the worker emulates. */
#ifndef WORKER_PLATFORM_H
#define WORKER_PLATFORM_H

#define PLATFORM_VP_MAX            64u

/* I/O ports */
#define PLATFORM_KBD_PORT          0x64u	/* keyboard controller: its reset command only */
#define PLATFORM_RTC_PORT          0x70u	/* 2 ports */
#define PLATFORM_COM1_PORT         0x3f8u	/* 8 ports */
#define PLATFORM_SLEEP_CONTROL_PORT 0x600u	/* FADT SLEEP_CONTROL_REG */
#define PLATFORM_SLEEP_STATUS_PORT 0x601u	/* FADT SLEEP_STATUS_REG */
#define PLATFORM_RESET_PORT        0x602u	/* FADT RESET_REG */
#define PLATFORM_RESET_VALUE       0x01u
#define PLATFORM_SLEEP_TYPE_S5     0x05u	/* _S5 */
#define PLATFORM_RTC_CENTURY       0x32u	/* CMOS index, FADT CENTURY */

/* Physical addresses */
#define PLATFORM_IOAPIC_GPA        0xfec00000u
#define PLATFORM_LAPIC_GPA         0xfee00000u
#define PLATFORM_MMIO_LOW_BASE     0xe0000000u	/* VMBus: window below 4 GiB, up to the IOAPIC */
#define PLATFORM_MMIO_HIGH_BYTES   0x400000000ull /* VMBus: window above all RAM */

/* Interrupt lines of the IOAPIC (GSI base 0) */
#define PLATFORM_COM1_GSI          4u

#endif
