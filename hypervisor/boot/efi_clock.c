/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the TSC and the local APIC's timer count, measured against the ACPI power management timer (3.579545 MHz). An
 * interval is as long as that timer says, not as long as it was asked to be; and of several readings at each end the one that
 * took least counts, so that an interrupted reading does no harm. Without the timer the firmware's stall has to do.
 */
#include "boot/boot.h"
#include "core/mem.h"
#include "core/ref_time.h"
#include "x86/cpu.h"
#include "x86/x86.h"

#define PM_TIMER_HZ   3579545ull
#define PM_TIMER_MASK 0xffffffu		/* 24 bits are always there: 4.7 s */
#define INTERVAL_US   100000u
#define READINGS      8u

/* ACPI 6.4 chapter 5: the members used here. */
struct acpi_rsdp {
	char signature[8];
	uint8_t checksum, oem[6], revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
} __attribute__((packed));		/* the specification's layout */
struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t rest[28];
};
WIRE_SIZE(struct acpi_header, 36);
#define FADT_PM_TMR_BLK 76u

static const struct acpi_rsdp *find_rsdp(EFI_SYSTEM_TABLE *st)
{
	static const EFI_GUID acpi = { 0x8868e871, 0xe4f1, 0x11d3, { 0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81 } };

	for (UINTN i = 0; i < st->NumberOfTableEntries; i++)
		if (memcmp(&st->ConfigurationTable[i].VendorGuid, &acpi, sizeof acpi) == 0)
			return st->ConfigurationTable[i].VendorTable;
	return NULL;
}

/* The timer's I/O port, 0 when there is none. */
static uint16_t find_pm_timer(EFI_SYSTEM_TABLE *st)
{
	const struct acpi_rsdp *rsdp = find_rsdp(st);
	const struct acpi_header *xsdt = rsdp ? (const void *)(uintptr_t)rsdp->xsdt : NULL;

	for (uint32_t at = sizeof *xsdt; xsdt && at + 8 <= xsdt->length; at += 8) {
		const struct acpi_header *table;
		uint64_t address;
		uint32_t port;

		memcpy(&address, (const char *)xsdt + at, sizeof address);
		table = (const void *)(uintptr_t)address;
		if (memcmp(table->signature, "FACP", 4) != 0 || table->length < FADT_PM_TMR_BLK + 4)
			continue;
		memcpy(&port, (const char *)table + FADT_PM_TMR_BLK, sizeof port);
		return port <= 0xffff ? (uint16_t)port : 0;
	}
	return 0;
}

struct clock_reading {
	uint64_t tsc;
	uint32_t pm, apic;
};

static struct clock_reading read_clocks(uint16_t pm_port)
{
	struct clock_reading best = { 0, 0, 0 };
	uint64_t shortest = ~0ull;

	for (unsigned i = 0; i < READINGS; i++) {
		uint64_t before = cpu_rdtsc(), after;
		uint32_t pm = pm_port ? cpu_in32(pm_port) : 0, apic = lapic_hw_read(LAPIC_TMCCT);

		after = cpu_rdtsc();
		if (after - before < shortest) {
			shortest = after - before;
			best = (struct clock_reading){ before + (after - before) / 2, pm, apic };
		}
	}
	return best;
}

static void take_rates(const struct clock_reading *a, const struct clock_reading *b, bool has_pm, struct boot_info *info)
{
	uint64_t tsc = b->tsc - a->tsc, apic = a->apic - b->apic, pm = (b->pm - a->pm) & PM_TIMER_MASK;

	if (has_pm && pm > PM_TIMER_HZ / 1000) {
		info->tsc_hz = mul_div_u64(tsc, PM_TIMER_HZ, pm);
		info->apic_hz = mul_div_u64(apic, PM_TIMER_HZ, pm);
	} else {
		info->tsc_hz = tsc * (1000000 / INTERVAL_US);
		info->apic_hz = apic * (1000000 / INTERVAL_US);
	}
}

/* The LAPIC timer is the firmware's own tick: put back as it was. */
void efi_calibrate(EFI_SYSTEM_TABLE *st, struct boot_info *info)
{
	uint32_t lvtt = lapic_hw_read(LAPIC_LVTT), tdcr = lapic_hw_read(LAPIC_TDCR), tmict = lapic_hw_read(LAPIC_TMICT);
	uint16_t pm_port = find_pm_timer(st);
	EFI_TPL tpl = st->BootServices->RaiseTPL(TPL_HIGH_LEVEL);
	struct clock_reading a, b;

	lapic_hw_write(LAPIC_LVTT, LVT_MASKED | 0xfe);
	lapic_hw_write(LAPIC_TDCR, 0xb);
	lapic_hw_write(LAPIC_TMICT, 0xffffffff);
	a = read_clocks(pm_port);
	st->BootServices->Stall(INTERVAL_US);
	b = read_clocks(pm_port);
	lapic_hw_write(LAPIC_TDCR, tdcr);
	lapic_hw_write(LAPIC_LVTT, lvtt);
	lapic_hw_write(LAPIC_TMICT, tmict);
	st->BootServices->RestoreTPL(tpl);
	take_rates(&a, &b, pm_port != 0, info);
}
