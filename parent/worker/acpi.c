// SPDX-License-Identifier: Apache-2.0
#include "worker/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker/aml.h"
#include "worker/le_bytes.h"
#include "worker/platform.h"

#define RSDP_BYTES        36u
#define RSDP_V1_BYTES     20u			/* the first checksum covers these */
#define TABLE_HEADER_BYTES 36u
#define TABLE_ALIGN       16u
#define FADT_BYTES        276u
#define FADT_REVISION     6u
#define MADT_REVISION     5u
#define DSDT_REVISION     2u			/* 64-bit integers */

/* Fields of the table header, FADT and MADT: ACPI 6.4 §5.2.6, §5.2.9, §5.2.12. */
enum {
	HEADER_LENGTH = 4,
	HEADER_REVISION = 8,
	HEADER_CHECKSUM = 9,
	HEADER_OEM_ID = 10,
	HEADER_OEM_TABLE_ID = 16,
	HEADER_OEM_REVISION = 24,
	HEADER_CREATOR_ID = 28,
	HEADER_CREATOR_REVISION = 32,

	FADT_DSDT = 40,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_MINOR = 131,
	FADT_X_DSDT = 140,
	FADT_SLEEP_CONTROL = 244,
	FADT_SLEEP_STATUS = 256,
};
#define FADT_MINOR_VERSION      4u
#define BOOT_ARCH_NO_VGA        0x4u		/* and no 8042 (bit 1), no legacy devices (bit 0) */
#define FADT_FLAG_WBINVD        (1u << 0)
#define FADT_FLAG_PROC_C1       (1u << 2)
#define FADT_FLAG_NO_POWER_BUTTON (1u << 4)	/* no fixed-feature one */
#define FADT_FLAG_NO_SLEEP_BUTTON (1u << 5)
#define FADT_FLAG_NO_FIXED_RTC  (1u << 6)
#define FADT_FLAG_RESET_REG     (1u << 10)
#define FADT_FLAG_HW_REDUCED    (1u << 20)

#define MADT_LOCAL_APIC         0u
#define MADT_IOAPIC             1u
#define MADT_LOCAL_NMI          4u
#define MADT_ALL_PROCESSORS     0xffu
#define GAS_SYSTEM_IO           1u

/* A table under construction at the end of what is used. */
struct tables {
	uint8_t *buffer;
	size_t size_bytes;
	size_t used;
	uint64_t gpa;
	bool overflow;
};

static uint8_t checksum(const uint8_t *bytes, size_t count)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

/* Room for a table of that many bytes, zeroed; NULL when the buffer is full. */
static uint8_t *tables_reserve(struct tables *t, size_t bytes, uint64_t *out_gpa)
{
	size_t at = (t->used + TABLE_ALIGN - 1) & ~(size_t)(TABLE_ALIGN - 1);

	if (at > t->size_bytes || bytes > t->size_bytes - at) {
		t->overflow = true;
		return NULL;
	}
	memset(t->buffer + at, 0, bytes);
	t->used = at + bytes;
	*out_gpa = t->gpa + at;
	return t->buffer + at;
}

static void seal(uint8_t *table, const char *signature, size_t bytes, uint8_t revision)
{
	memcpy(table, signature, 4);
	le32_put(table + HEADER_LENGTH, (uint32_t)bytes);
	table[HEADER_REVISION] = revision;
	memcpy(table + HEADER_OEM_ID, "UCROFT", 6);
	memcpy(table + HEADER_OEM_TABLE_ID, "CHILD   ", 8);
	le32_put(table + HEADER_OEM_REVISION, 1);
	memcpy(table + HEADER_CREATOR_ID, "UCFT", 4);
	le32_put(table + HEADER_CREATOR_REVISION, 1);
	table[HEADER_CHECKSUM] = 0;
	table[HEADER_CHECKSUM] = checksum(table, bytes);
}

static void put_io_register(uint8_t *at, uint16_t port)
{
	at[0] = GAS_SYSTEM_IO;
	at[1] = 8;				/* bits */
	at[2] = 0;
	at[3] = 1;				/* byte access */
	le64_put(at + 4, port);
}

/* The VMBus device lies in the device that owns the MMIO windows; the guest's driver walks up to find them. Its own _CRS is
 * there and empty: without the object the walk ends at once. */
static void build_vmbus(struct aml *aml, const struct acpi_config *config)
{
	static const char *const no_ops[] = { "_DIS", "_PS0", "_PS3" };
	const uint64_t gib = 1ull << 30;
	uint64_t high = (config->ram_top + gib - 1) & ~(gib - 1);
	struct aml_block owner = aml_device(aml, "VMOD"), bus;
	struct aml_template crs;

	aml_name_string(aml, "_HID", "ACPI0004");
	aml_name_integer(aml, "_UID", 0);
	crs = aml_template(aml, "_CRS");
	aml_resource_window(aml, PLATFORM_MMIO_LOW_BASE, PLATFORM_IOAPIC_GPA - PLATFORM_MMIO_LOW_BASE);
	aml_resource_window(aml, high, PLATFORM_MMIO_HIGH_BYTES);
	aml_template_close(aml, crs);

	bus = aml_device(aml, "VMBS");
	aml_name_string(aml, "_HID", "VMBus");
	aml_name_integer(aml, "_UID", 0);
	aml_name_string(aml, "_DDN", "VMBUS");
	aml_name_integer(aml, "_STA", 0xf);
	aml_name_integer(aml, "_ADR", 0);
	for (unsigned i = 0; i < sizeof no_ops / sizeof no_ops[0]; i++)
		aml_close(aml, aml_method(aml, no_ops[i], 0));
	crs = aml_template(aml, "_CRS");
	aml_template_close(aml, crs);
	aml_close(aml, bus);
	aml_close(aml, owner);
}

static void build_com1(struct aml *aml)
{
	struct aml_block device = aml_device(aml, "COM1");
	struct aml_template crs;

	aml_name_eisaid(aml, "_HID", "PNP0501");
	aml_name_integer(aml, "_UID", 1);
	aml_name_string(aml, "_DDN", "COM1");
	aml_name_integer(aml, "_STA", 0xf);
	crs = aml_template(aml, "_CRS");
	aml_resource_io(aml, PLATFORM_COM1_PORT, 8);
	aml_resource_interrupt_edge(aml, PLATFORM_COM1_GSI);
	aml_template_close(aml, crs);
	aml_close(aml, device);
}

/* Without an interrupt: it has no alarm, and a guest must not wait for one. */
static void build_rtc(struct aml *aml)
{
	struct aml_block device = aml_device(aml, "RTC0");
	struct aml_template crs;

	aml_name_eisaid(aml, "_HID", "PNP0B00");
	aml_name_integer(aml, "_STA", 0xf);
	crs = aml_template(aml, "_CRS");
	aml_resource_io(aml, PLATFORM_RTC_PORT, 2);
	aml_template_close(aml, crs);
	aml_close(aml, device);
}

static void build_processors(struct aml *aml, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct aml_block device;
		char name[8];

		(void)snprintf(name, sizeof name, "C%03X", i & 0xfff);
		device = aml_device(aml, name);
		aml_name_string(aml, "_HID", "ACPI0007");
		aml_name_integer(aml, "_UID", i);
		aml_name_integer(aml, "_STA", 0xf);
		aml_close(aml, device);
	}
}

static uint64_t build_dsdt(struct tables *t, const struct acpi_config *config)
{
	static const uint64_t s5[] = { PLATFORM_SLEEP_TYPE_S5, 0, 0, 0 };
	struct aml_block scope;
	struct aml aml;
	uint64_t gpa = 0;
	uint8_t *table = tables_reserve(t, TABLE_HEADER_BYTES, &gpa);

	if (!table)
		return 0;
	aml_init(&aml, table + TABLE_HEADER_BYTES, t->size_bytes - t->used);
	aml_name_package(&aml, "\\_S5", s5, sizeof s5 / sizeof s5[0]);
	scope = aml_scope(&aml, "\\_SB");
	build_processors(&aml, config->vp_count);
	if (config->has_com1)
		build_com1(&aml);
	build_rtc(&aml);
	build_vmbus(&aml, config);
	aml_close(&aml, scope);
	if (aml.overflow) {
		t->overflow = true;
		return 0;
	}
	t->used += aml.used;
	seal(table, "DSDT", TABLE_HEADER_BYTES + aml.used, DSDT_REVISION);
	return gpa;
}

static uint64_t build_fadt(struct tables *t, uint64_t dsdt_gpa)
{
	uint64_t gpa = 0;
	uint8_t *table = tables_reserve(t, FADT_BYTES, &gpa);

	if (!table)
		return 0;
	le32_put(table + FADT_DSDT, (uint32_t)dsdt_gpa);
	le64_put(table + FADT_X_DSDT, dsdt_gpa);
	table[FADT_CENTURY] = PLATFORM_RTC_CENTURY;
	le16_put(table + FADT_BOOT_ARCH, BOOT_ARCH_NO_VGA);
	le32_put(table + FADT_FLAGS, FADT_FLAG_WBINVD | FADT_FLAG_PROC_C1 | FADT_FLAG_NO_POWER_BUTTON |
		 FADT_FLAG_NO_SLEEP_BUTTON | FADT_FLAG_NO_FIXED_RTC | FADT_FLAG_RESET_REG | FADT_FLAG_HW_REDUCED);
	put_io_register(table + FADT_RESET_REG, PLATFORM_RESET_PORT);
	table[FADT_RESET_VALUE] = PLATFORM_RESET_VALUE;
	table[FADT_MINOR] = FADT_MINOR_VERSION;
	put_io_register(table + FADT_SLEEP_CONTROL, PLATFORM_SLEEP_CONTROL_PORT);
	put_io_register(table + FADT_SLEEP_STATUS, PLATFORM_SLEEP_STATUS_PORT);
	seal(table, "FACP", FADT_BYTES, FADT_REVISION);
	return gpa;
}

static uint64_t build_madt(struct tables *t, const struct acpi_config *config)
{
	const size_t local_bytes = 8, ioapic_bytes = 12, nmi_bytes = 6;
	size_t bytes = TABLE_HEADER_BYTES + 8 + config->vp_count * local_bytes + ioapic_bytes + nmi_bytes;
	uint64_t gpa = 0;
	uint8_t *table = tables_reserve(t, bytes, &gpa), *at;

	if (!table)
		return 0;
	le32_put(table + TABLE_HEADER_BYTES, PLATFORM_LAPIC_GPA);
	at = table + TABLE_HEADER_BYTES + 8;	/* flags stay 0: no dual 8259 */
	for (unsigned i = 0; i < config->vp_count; i++, at += local_bytes) {
		at[0] = MADT_LOCAL_APIC;
		at[1] = (uint8_t)local_bytes;
		at[2] = (uint8_t)i;		/* _UID */
		at[3] = (uint8_t)i;		/* APIC id */
		le32_put(at + 4, 1);		/* enabled */
	}
	at[0] = MADT_IOAPIC;
	at[1] = (uint8_t)ioapic_bytes;
	le32_put(at + 4, PLATFORM_IOAPIC_GPA);	/* id 0, GSI base 0 */
	at += ioapic_bytes;
	at[0] = MADT_LOCAL_NMI;
	at[1] = (uint8_t)nmi_bytes;
	at[2] = MADT_ALL_PROCESSORS;
	at[5] = 1;				/* LINT1 */
	seal(table, "APIC", bytes, MADT_REVISION);
	return gpa;
}

static uint64_t build_xsdt(struct tables *t, uint64_t fadt_gpa, uint64_t madt_gpa)
{
	const size_t bytes = TABLE_HEADER_BYTES + 16;
	uint64_t gpa = 0;
	uint8_t *table = tables_reserve(t, bytes, &gpa);

	if (!table)
		return 0;
	le64_put(table + TABLE_HEADER_BYTES, fadt_gpa);
	le64_put(table + TABLE_HEADER_BYTES + 8, madt_gpa);
	seal(table, "XSDT", bytes, 1);
	return gpa;
}

static void fill_rsdp(uint8_t *rsdp, uint64_t xsdt_gpa)
{
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "UCROFT", 6);
	rsdp[15] = 2;				/* revision; no RSDT */
	le32_put(rsdp + 20, RSDP_BYTES);
	le64_put(rsdp + 24, xsdt_gpa);
	rsdp[8] = checksum(rsdp, RSDP_V1_BYTES);
	rsdp[32] = checksum(rsdp, RSDP_BYTES);
}

int acpi_build(const struct acpi_config *config, uint64_t gpa, uint8_t *buffer, size_t buffer_bytes,
	       struct acpi_layout *out, struct failure *why)
{
	struct tables t = { .buffer = buffer, .size_bytes = buffer_bytes, .gpa = gpa };
	struct acpi_layout layout = { 0 };
	uint8_t *rsdp;

	if (config->vp_count == 0 || config->vp_count > PLATFORM_VP_MAX)
		return failure_set(why, -EINVAL, "acpi: %u processors, 1..%u are possible", config->vp_count, PLATFORM_VP_MAX);
	rsdp = tables_reserve(&t, RSDP_BYTES, &layout.rsdp_gpa);
	layout.dsdt_gpa = build_dsdt(&t, config);
	layout.fadt_gpa = build_fadt(&t, layout.dsdt_gpa);
	layout.madt_gpa = build_madt(&t, config);
	layout.xsdt_gpa = build_xsdt(&t, layout.fadt_gpa, layout.madt_gpa);
	if (t.overflow)
		return failure_set(why, -ENOSPC, "acpi: the tables do not fit %zu bytes", buffer_bytes);
	fill_rsdp(rsdp, layout.xsdt_gpa);
	layout.bytes = t.used;
	*out = layout;
	return 0;
}
