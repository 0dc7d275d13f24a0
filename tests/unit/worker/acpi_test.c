// SPDX-License-Identifier: Apache-2.0
/* ACPI tables: sums, pointers, what an operating system relies on; and ACPICA's own disassembler reads them. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "worker/acpi.h"
#include "worker/le_bytes.h"
#include "worker/platform.h"

static uint8_t buffer[ACPI_TABLES_BYTES];
static struct acpi_layout layout;

static void build(unsigned vps)
{
	struct acpi_config config = { .vp_count = vps, .ram_top = 0x140000000ull, .has_com1 = true };
	struct failure why = { "" };

	memset(buffer, 0xcc, sizeof buffer);
	if (acpi_build(&config, ACPI_TABLES_GPA, buffer, sizeof buffer, &layout, &why))
		fail_msg("%s", why.text);
}

static uint8_t *at(uint64_t gpa)
{
	return buffer + (gpa - ACPI_TABLES_GPA);
}

static uint8_t sum(const uint8_t *bytes, size_t count)
{
	uint8_t total = 0;

	for (size_t i = 0; i < count; i++)
		total = (uint8_t)(total + bytes[i]);
	return total;
}

static void sums_and_pointers_are_right_for_any_number_of_processors(void **state)
{
	for (unsigned vps = 1; vps <= PLATFORM_VP_MAX; vps++) {
		const uint8_t *rsdp, *xsdt, *fadt;

		build(vps);
		rsdp = at(layout.rsdp_gpa);
		assert_memory_equal(rsdp, "RSD PTR ", 8);
		assert_int_equal(sum(rsdp, 20), 0);
		assert_int_equal(sum(rsdp, 36), 0);
		xsdt = at(le64_get(rsdp + 24));
		assert_memory_equal(xsdt, "XSDT", 4);
		assert_int_equal(sum(xsdt, le32_get(xsdt + 4)), 0);
		assert_int_equal(le32_get(xsdt + 4), 36 + 2 * 8);
		for (unsigned i = 0; i < 2; i++) {
			const uint8_t *table = at(le64_get(xsdt + 36 + 8 * i));

			assert_memory_equal(table, i ? "APIC" : "FACP", 4);
			assert_int_equal(sum(table, le32_get(table + 4)), 0);
		}
		fadt = at(le64_get(xsdt + 36));
		assert_int_equal(le32_get(fadt + 40), le64_get(fadt + 140));
		assert_memory_equal(at(le64_get(fadt + 140)), "DSDT", 4);
		assert_int_equal(sum(at(layout.dsdt_gpa), le32_get(at(layout.dsdt_gpa) + 4)), 0);
	}
}

static void madt_has_one_local_apic_per_processor_and_one_ioapic(void **state)
{
	const uint8_t *madt;
	unsigned locals = 0, ioapics = 0;

	build(5);
	madt = at(layout.madt_gpa);
	assert_int_equal(le32_get(madt + 36), 0xfee00000);
	assert_int_equal(le32_get(madt + 40), 0);	/* no dual 8259 */
	for (uint32_t offset = 44; offset < le32_get(madt + 4); offset += madt[offset + 1]) {
		if (madt[offset] == 0) {
			assert_int_equal(madt[offset + 3], locals);
			assert_int_equal(le32_get(madt + offset + 4), 1);
			locals++;
		}
		if (madt[offset] == 1) {
			assert_int_equal(le32_get(madt + offset + 4), PLATFORM_IOAPIC_GPA);
			assert_int_equal(le32_get(madt + offset + 8), 0);
			ioapics++;
		}
	}
	assert_int_equal(locals, 5);
	assert_int_equal(ioapics, 1);
}

static void fadt_is_hardware_reduced_with_sleep_and_reset_registers(void **state)
{
	const uint8_t *fadt;

	build(1);
	fadt = at(layout.fadt_gpa);
	assert_int_equal(le32_get(fadt + 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(le32_get(fadt + 112) & (1u << 20 | 1u << 10), 1u << 20 | 1u << 10);
	assert_int_equal(le16_get(fadt + 109), 0x4);
	assert_int_equal(fadt[116], 1);
	assert_int_equal(le64_get(fadt + 120), PLATFORM_RESET_PORT);
	assert_int_equal(le64_get(fadt + 248), PLATFORM_SLEEP_CONTROL_PORT);
	assert_int_equal(le64_get(fadt + 260), PLATFORM_SLEEP_STATUS_PORT);
	assert_int_equal(fadt[108], PLATFORM_RTC_CENTURY);
}

static void a_buffer_that_is_too_small_is_refused_at_every_size(void **state)
{
	struct acpi_config config = { .vp_count = 2, .ram_top = 0x100000000ull, .has_com1 = true };
	struct failure why = { "" };

	build(2);
	for (size_t bytes = 0; bytes < layout.bytes; bytes++) {
		uint8_t *small = malloc(bytes + 1);
		struct acpi_layout out;

		assert_int_equal(acpi_build(&config, ACPI_TABLES_GPA, small, bytes, &out, &why), -ENOSPC);
		free(small);
	}
	config.vp_count = PLATFORM_VP_MAX + 1;
	assert_int_equal(acpi_build(&config, ACPI_TABLES_GPA, buffer, sizeof buffer, &layout, &why), -EINVAL);
	config.vp_count = 0;
	assert_int_equal(acpi_build(&config, ACPI_TABLES_GPA, buffer, sizeof buffer, &layout, &why), -EINVAL);
}

static void write_table(const char *directory, const char *name, uint64_t gpa)
{
	char path[128];
	FILE *file;

	(void)snprintf(path, sizeof path, "%s/%s.dat", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(at(gpa), le32_get(at(gpa) + 4), 1, file), 1);
	assert_int_equal(fclose(file), 0);
}

/* Whether the disassembly of a table contains a text. */
static bool says(const char *directory, const char *name, const char *text)
{
	static char content[1 << 18];
	char path[128];
	FILE *file;
	size_t bytes;

	(void)snprintf(path, sizeof path, "%s/%s.dsl", directory, name);
	file = fopen(path, "r");
	if (!file)
		return false;
	bytes = fread(content, 1, sizeof content - 1, file);
	content[bytes] = 0;
	(void)fclose(file);
	return strstr(content, text) != NULL;
}

static void the_disassembler_understands_every_table(void **state)
{
	char directory[] = "/tmp/acpi-test-XXXXXX", command[256];

	if (system("command -v iasl >/dev/null 2>&1")) {
		skip();
		return;
	}
	assert_non_null(mkdtemp(directory));
	build(3);
	write_table(directory, "dsdt", layout.dsdt_gpa);
	write_table(directory, "fadt", layout.fadt_gpa);
	write_table(directory, "madt", layout.madt_gpa);
	(void)snprintf(command, sizeof command,
		       "cd %s && iasl -d dsdt.dat >log 2>&1 && iasl -d fadt.dat >>log 2>&1 && iasl -d madt.dat >>log 2>&1 && "
		       "! grep -qiE 'error|invalid|unknown' log *.dsl", directory);
	assert_int_equal(system(command), 0);
	assert_true(says(directory, "dsdt", "Name (_HID, \"VMBus\")"));
	assert_true(says(directory, "dsdt", "EisaId (\"PNP0501\")"));
	assert_true(says(directory, "dsdt", "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive"));
	assert_true(says(directory, "dsdt", "Device (C002)"));
	assert_true(says(directory, "dsdt", "Name (\\_S5, Package (0x04)"));
	assert_true(says(directory, "dsdt", "0x0000000140000000, // Range Minimum"));
	(void)snprintf(command, sizeof command, "rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_and_pointers_are_right_for_any_number_of_processors),
		cmocka_unit_test(madt_has_one_local_apic_per_processor_and_one_ioapic),
		cmocka_unit_test(fadt_is_hardware_reduced_with_sleep_and_reset_registers),
		cmocka_unit_test(a_buffer_that_is_too_small_is_refused_at_every_size),
		cmocka_unit_test(the_disassembler_understands_every_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
