/* SPDX-License-Identifier: Apache-2.0 */
#include "acpi.h"

#include <stdbool.h>

#include "bootinfo.h"
#include "memory.h"
#include "x86.h"

#define HEADER_BYTES        36u
#define RSDP_REVISION       15u
#define RSDP_RSDT           16u
#define RSDP_XSDT           24u
#define FADT_DSDT           40u
#define FADT_PM1A_CONTROL   64u
#define FADT_FLAGS          112u
#define FADT_SLEEP_CONTROL  244u		/* generic address: space, width, offset, access, address */
#define FADT_HW_REDUCED     (1u << 20)
#define GAS_ADDRESS         4u
#define GAS_SYSTEM_IO       1u
#define MADT_ENTRIES        44u
#define MADT_LOCAL_APIC     0u
#define AML_PACKAGE         0x12u
#define AML_BYTE            0x0au
#define SLEEP_ENABLE        0x20u
#define PM1_SLEEP_ENABLE    0x2000u

struct acpi acpi;
static bool hardware_reduced;
static uint8_t sleep_type;

static uint32_t table_bytes(const uint8_t *table)
{
	return load32(table + 4);
}

static const uint8_t *pointer(uint64_t gpa)
{
	return (const uint8_t *)(uintptr_t)gpa;
}

static const uint8_t *find_table(const char *signature)
{
	const uint8_t *rsdp = pointer(bootinfo.rsdp_gpa), *root;
	bool wide = rsdp[RSDP_REVISION] >= 2 && load64(rsdp + RSDP_XSDT);
	unsigned entry_bytes = wide ? 8 : 4;

	root = pointer(wide ? load64(rsdp + RSDP_XSDT) : load32(rsdp + RSDP_RSDT));
	for (uint32_t at = HEADER_BYTES; at + entry_bytes <= table_bytes(root); at += entry_bytes) {
		const uint8_t *table = pointer(wide ? load64(root + at) : load32(root + at));

		if (memcmp(table, signature, 4) == 0)
			return table;
	}
	return NULL;
}

static void read_processors(const uint8_t *madt)
{
	for (uint32_t at = MADT_ENTRIES; at + 2 <= table_bytes(madt) && madt[at + 1]; at += madt[at + 1]) {
		if (madt[at] == MADT_LOCAL_APIC && madt[at + 4] & 1 && acpi.processor_count < ACPI_PROCESSORS_MAX)
			acpi.apic_ids[acpi.processor_count++] = madt[at + 3];
	}
}

/* A number as AML writes small ones: ZeroOp, OneOp or BytePrefix. */
static uint8_t aml_small(const uint8_t *at)
{
	return *at == AML_BYTE ? at[1] : *at;
}

static bool find_sleep_type(const uint8_t *dsdt)
{
	for (uint32_t at = HEADER_BYTES; at + 12 <= table_bytes(dsdt); at++) {
		const uint8_t *package = dsdt + at + 4;

		if (memcmp(dsdt + at, "_S5_", 4) || package[0] != AML_PACKAGE)
			continue;
		package += 2 + (package[1] >> 6);	/* opcode, package length */
		sleep_type = aml_small(package + 1) & 7;
		return true;
	}
	return false;
}

static void read_fadt(const uint8_t *fadt)
{
	hardware_reduced = load32(fadt + FADT_FLAGS) & FADT_HW_REDUCED;
	if (!find_sleep_type(pointer(load32(fadt + FADT_DSDT))))
		return;
	if (!hardware_reduced)
		acpi.sleep_port = (uint16_t)load32(fadt + FADT_PM1A_CONTROL);
	else if (table_bytes(fadt) >= FADT_SLEEP_CONTROL + 12 && fadt[FADT_SLEEP_CONTROL] == GAS_SYSTEM_IO)
		acpi.sleep_port = (uint16_t)load64(fadt + FADT_SLEEP_CONTROL + GAS_ADDRESS);
}

void acpi_init(void)
{
	const uint8_t *table;

	if (!bootinfo.rsdp_gpa)
		return;
	table = find_table("APIC");
	if (table)
		read_processors(table);
	table = find_table("FACP");
	if (table)
		read_fadt(table);
}

void acpi_power_off(void)
{
	if (!acpi.sleep_port)
		return;
	if (hardware_reduced)
		out8(acpi.sleep_port, (uint8_t)(SLEEP_ENABLE | sleep_type << 2));
	else
		out16(acpi.sleep_port, (uint16_t)(PM1_SLEEP_ENABLE | sleep_type << 10));
}
