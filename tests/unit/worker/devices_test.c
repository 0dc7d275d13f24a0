// SPDX-License-Identifier: Apache-2.0
/* I/O APIC, clock, power registers, and the bus that leads to them. */
#include "cmocka_all.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fake_backend.h"
#include "worker/devices.h"
#include "worker/platform.h"

/* ---- I/O APIC alone ---- */

static struct ioapic ioapic;
static struct {
	unsigned sends[IOAPIC_PINS];
	unsigned routes[IOAPIC_PINS];
	struct ioapic_message message[IOAPIC_PINS];
	bool masked[IOAPIC_PINS];
} bus;

static void on_route(void *context, unsigned pin, const struct ioapic_message *message)
{
	bus.routes[pin]++;
	bus.masked[pin] = !message;
	if (message)
		bus.message[pin] = *message;
}

static void on_send(void *context, unsigned pin)
{
	bus.sends[pin]++;
}

static const struct ioapic_ops ioapic_test_ops = { on_route, on_send };

static int setup_ioapic(void **state)
{
	memset(&bus, 0, sizeof bus);
	ioapic_init(&ioapic, &ioapic_test_ops, NULL);
	return 0;
}

static uint32_t reg_read(uint8_t index)
{
	ioapic_write(&ioapic, 0x00, index);
	return ioapic_read(&ioapic, 0x10);
}

static void reg_write(uint8_t index, uint32_t value)
{
	ioapic_write(&ioapic, 0x00, index);
	ioapic_write(&ioapic, 0x10, value);
}

static void set_entry(unsigned pin, uint64_t entry)
{
	reg_write((uint8_t)(0x11 + 2 * pin), (uint32_t)(entry >> 32));
	reg_write((uint8_t)(0x10 + 2 * pin), (uint32_t)entry);
}

static void ioapic_registers(void **state)
{
	assert_int_equal(reg_read(0x01), 0x00170020);
	reg_write(0x00, 0xff000000);
	assert_int_equal(reg_read(0x00), 0x0f000000);
	assert_int_equal(reg_read(0x02), 0x0f000000);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		assert_int_equal(reg_read((uint8_t)(0x10 + 2 * pin)), 0x10000);
	reg_write(0x10, 0xffffffff);
	assert_int_equal(reg_read(0x10), 0x0001afff);	/* delivery status and remote IRR are read-only */
	assert_int_equal(reg_read(0x40), 0);
	assert_int_equal(ioapic_read(&ioapic, 0x00), 0x40);
	assert_int_equal(ioapic_read(&ioapic, 0x30), 0);
}

static void an_entry_becomes_a_message(void **state)
{
	static const struct { uint64_t entry; uint32_t address, data; } rows[] = {
		{ 0x0000000000000031, 0xfee00000, 0x031 },
		{ 0x0300000000000031, 0xfee03000, 0x031 },
		{ 0xff00000000000931, 0xfeeff004, 0x131 },	/* logical, lowest priority */
		{ 0x0100000000008131, 0xfee01000, 0x8131 },	/* level */
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		set_entry(4, rows[i].entry);
		assert_false(bus.masked[4]);
		assert_int_equal(bus.message[4].address, rows[i].address);
		assert_int_equal(bus.message[4].data, rows[i].data);
	}
	set_entry(4, 0x10031);
	assert_true(bus.masked[4]);
}

static void an_edge_is_sent_once(void **state)
{
	set_entry(4, 0x31);
	ioapic_set_pin(&ioapic, 4, true);
	ioapic_set_pin(&ioapic, 4, true);
	assert_int_equal(bus.sends[4], 1);
	ioapic_set_pin(&ioapic, 4, false);
	assert_int_equal(bus.sends[4], 1);
	ioapic_set_pin(&ioapic, 4, true);
	assert_int_equal(bus.sends[4], 2);
	ioapic_eoi(&ioapic, 0x31);
	assert_int_equal(bus.sends[4], 2);
}

static void an_edge_while_masked_is_sent_by_unmasking(void **state)
{
	ioapic_set_pin(&ioapic, 4, true);
	assert_int_equal(bus.sends[4], 0);
	set_entry(4, 0x31);
	assert_int_equal(bus.sends[4], 1);
	set_entry(4, 0x10031);
	set_entry(4, 0x31);
	assert_int_equal(bus.sends[4], 1);
}

static void a_level_is_sent_again_after_eoi_while_it_lasts(void **state)
{
	set_entry(9, 0x8042);
	ioapic_set_pin(&ioapic, 9, true);
	assert_int_equal(bus.sends[9], 1);
	assert_int_equal(reg_read(0x10 + 18) & 0x4000, 0x4000);
	ioapic_eoi(&ioapic, 0x43);
	assert_int_equal(bus.sends[9], 1);
	ioapic_eoi(&ioapic, 0x42);
	assert_int_equal(bus.sends[9], 2);
	ioapic_set_pin(&ioapic, 9, false);
	ioapic_write(&ioapic, 0x40, 0x42);		/* the EOI register of version 0x20 */
	assert_int_equal(bus.sends[9], 2);
	assert_int_equal(reg_read(0x10 + 18) & 0x4000, 0);
}

static void a_switch_to_edge_clears_remote_irr(void **state)
{
	set_entry(9, 0x8042);
	ioapic_set_pin(&ioapic, 9, true);
	set_entry(9, 0x10042);
	assert_int_equal(reg_read(0x10 + 18) & 0x4000, 0);
}

static void pins_that_do_not_exist_are_ignored(void **state)
{
	ioapic_set_pin(&ioapic, 24, true);
	ioapic_set_pin(&ioapic, 31, true);
	assert_int_equal(ioapic.level, 0);
}

/* ---- clock ---- */

static int64_t test_now;

static int64_t test_clock(void *context)
{
	return test_now;
}

static struct rtc rtc;

static int setup_rtc(void **state)
{
	struct tm tm = { .tm_year = 126, .tm_mon = 10, .tm_mday = 21, .tm_hour = 13, .tm_min = 5, .tm_sec = 59 };

	test_now = (int64_t)timegm(&tm) * 1000000000;
	rtc_init(&rtc, test_clock, NULL);
	return 0;
}

static uint8_t cmos(uint8_t index)
{
	rtc_write(&rtc, 0, index);
	return rtc_read(&rtc, 1);
}

static void cmos_write(uint8_t index, uint8_t value)
{
	rtc_write(&rtc, 0, index);
	rtc_write(&rtc, 1, value);
}

static void the_clock_tells_utc_in_bcd_and_binary(void **state)
{
	static const struct { uint8_t index, bcd, binary; } rows[] = {
		{ 0, 0x59, 59 }, { 2, 0x05, 5 }, { 4, 0x13, 13 }, { 6, 0x07, 7 }, { 7, 0x21, 21 }, { 8, 0x11, 11 },
		{ 9, 0x26, 26 }, { 0x32, 0x20, 20 },
	};

	for (unsigned i = 0; i < COUNT(rows); i++)
		assert_int_equal(cmos(rows[i].index), rows[i].bcd);
	cmos_write(0x0b, 0x06);
	for (unsigned i = 0; i < COUNT(rows); i++)
		assert_int_equal(cmos(rows[i].index), rows[i].binary);
	cmos_write(0x0b, 0x00);				/* 12 hours, BCD */
	assert_int_equal(cmos(4), 0x81);
	assert_int_equal(cmos(0x0d), 0x80);
	assert_int_equal(cmos(0x0c), 0x00);
	test_now += 1000000000;
	assert_int_equal(cmos(0), 0x00);
	assert_int_equal(cmos(2), 0x06);
}

static void update_in_progress_is_short(void **state)
{
	assert_int_equal(cmos(0x0a) & 0x80, 0);
	test_now += 999755999;
	assert_int_equal(cmos(0x0a) & 0x80, 0);
	test_now += 1;
	assert_int_equal(cmos(0x0a) & 0x80, 0x80);
	test_now += 244000;
	assert_int_equal(cmos(0x0a) & 0x80, 0);
	cmos_write(0x0a, 0xa6);
	assert_int_equal(cmos(0x0a), 0x26);
}

static void a_clock_that_was_set_goes_on_from_there(void **state)
{
	cmos_write(0x0b, 0x82);
	cmos_write(0, 0x30);
	cmos_write(2, 0x10);
	cmos_write(4, 0x01);
	cmos_write(7, 0x01);
	cmos_write(8, 0x01);
	cmos_write(9, 0x30);
	cmos_write(0x32, 0x20);
	test_now += 5000000000;
	assert_int_equal(cmos(0), 0x30);		/* stands while it is set */
	cmos_write(0x0b, 0x02);
	assert_int_equal(cmos(0), 0x30);
	test_now += 31000000000;
	assert_int_equal(cmos(0), 0x01);
	assert_int_equal(cmos(2), 0x11);
	assert_int_equal(cmos(4), 0x01);
	assert_int_equal(cmos(9), 0x30);
}

static void nonsense_in_time_registers_is_survived(void **state)
{
	for (unsigned index = 0; index < 256; index++)
		for (unsigned value = 0; value < 256; value += 5)
			cmos_write((uint8_t)index, (uint8_t)value);
	for (unsigned index = 0; index < 256; index++)
		(void)cmos((uint8_t)index);
	assert_int_equal(rtc_read(&rtc, 0), 0xff);
}

/* ---- power ---- */

static void power_registers(void **state)
{
	static const struct { uint16_t port; uint8_t value; enum pm_request request; } rows[] = {
		{ PLATFORM_SLEEP_CONTROL_PORT, 0x20 | PLATFORM_SLEEP_TYPE_S5 << 2, PM_POWER_OFF },
		{ PLATFORM_SLEEP_CONTROL_PORT, PLATFORM_SLEEP_TYPE_S5 << 2, PM_NONE },	/* not enabled */
		{ PLATFORM_SLEEP_CONTROL_PORT, 0x20 | 1 << 2, PM_NONE },			/* another state */
		{ PLATFORM_RESET_PORT, PLATFORM_RESET_VALUE, PM_RESET },
		{ PLATFORM_RESET_PORT, 0x00, PM_NONE },
		{ PLATFORM_KBD_PORT, 0xfe, PM_RESET },
		{ PLATFORM_KBD_PORT, 0xd1, PM_NONE },
	};

	for (unsigned i = 0; i < COUNT(rows); i++) {
		struct pm pm = { 0 };

		pm_write(&pm, rows[i].port, rows[i].value);
		assert_int_equal(pm.request, rows[i].request);
	}
}

static void wake_status_follows_a_refused_sleep(void **state)
{
	struct pm pm = { 0 };

	pm_write(&pm, PLATFORM_SLEEP_CONTROL_PORT, 0x24);
	assert_int_equal(pm_read(&pm, PLATFORM_SLEEP_STATUS_PORT), 0x80);
	pm_write(&pm, PLATFORM_SLEEP_STATUS_PORT, 0x80);
	assert_int_equal(pm_read(&pm, PLATFORM_SLEEP_STATUS_PORT), 0x00);
}

/* ---- all together on the bus ---- */

static struct fake_backend backend;
static struct console console;
static struct loop loop;
static struct devices devices;
static int pair[2];

static int setup_bus(void **state)
{
	struct failure why = { "" };

	fake_backend_init(&backend);
	assert_int_equal(loop_init(&loop, &why), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(console_init(&console, &loop, pair[0], NULL, NULL, &why), 0);
	assert_int_equal(devices_init(&devices, &backend.base, &console, &why), 0);
	return 0;
}

static int teardown_bus(void **state)
{
	devices_fini(&devices);
	console_fini(&console);
	loop_fini(&loop);
	(void)close(pair[0]);
	(void)close(pair[1]);
	fake_backend_fini(&backend);
	return 0;
}

static void nobody_home_reads_ones_and_is_counted(void **state)
{
	assert_int_equal(devices_port_read(&devices, 0x80, 1), 0xff);
	assert_int_equal(devices_port_read(&devices, 0xcf8, 4), 0xffffffff);
	devices_port_write(&devices, 0xed, 1, 0);
	assert_int_equal(devices_mmio_read(&devices, 0xfed00000, 4), 0xffffffff);
	assert_int_equal(devices_mmio_read(&devices, 0xfed00000, 8), UINT64_MAX);
	devices_mmio_write(&devices, 0xfed00000, 4, 1);
	assert_int_equal(devices.counters[BUS_UNKNOWN_PORT_READS], 2);
	assert_int_equal(devices.counters[BUS_UNKNOWN_PORT_WRITES], 1);
	assert_int_equal(devices.counters[BUS_UNKNOWN_MMIO_READS], 2);
	assert_int_equal(devices.counters[BUS_UNKNOWN_MMIO_WRITES], 1);
}

static void wide_port_accesses_are_split(void **state)
{
	devices_port_write(&devices, 0x3ff, 1, 0x5a);
	assert_int_equal(devices_port_read(&devices, 0x3fe, 2), 0x5ab0);
	assert_int_equal(devices_port_read(&devices, 0x3ff, 2), 0xff5a);
	assert_int_equal(devices_port_read(&devices, 0xffff, 4), 0xffffffff);	/* wraps, as the bus does */
}

static void com1_interrupt_reaches_its_eventfd_by_its_route(void **state)
{
	uint64_t count = 0;

	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA, 4, 0x19);
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA + 0x10, 4, 0x01000000);
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA, 4, 0x18);
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA + 0x10, 4, 0x00000024);
	assert_int_equal(backend.route_count, 1);
	assert_int_equal(backend.routes[0].gsi, PLATFORM_COM1_GSI);
	assert_int_equal(backend.routes[0].address_lo, 0xfee01000);
	assert_int_equal(backend.routes[0].data, 0x24);
	devices_port_write(&devices, 0x3fc, 1, 0x08);
	assert_int_equal(read(backend.irqfd[4], &count, sizeof count), -1);
	devices_port_write(&devices, 0x3f9, 1, 0x02);
	assert_int_equal(read(backend.irqfd[4], &count, sizeof count), sizeof count);
	assert_int_equal(count, 1);
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA + 0x10, 4, 0x00010024);
	assert_int_equal(backend.route_count, 0);
}

static void pins_without_device_ask_for_no_route(void **state)
{
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA, 4, 0x10);
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA + 0x10, 4, 0x00000020);
	assert_int_equal(backend.route_count, 0);
}

static void a_route_that_the_driver_refuses_is_counted(void **state)
{
	backend.fail_call = "set_routes";
	backend.fail_error = -EINVAL;
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA, 4, 0x18);
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA + 0x10, 4, 0x00000324);
	assert_int_equal(devices.counters[BUS_ROUTE_FAILURES], 1);
}

static void ioapic_registers_at_any_width(void **state)
{
	devices_mmio_write(&devices, PLATFORM_IOAPIC_GPA, 1, 1);
	assert_int_equal(devices_mmio_read(&devices, PLATFORM_IOAPIC_GPA + 0x10, 4), 0x170020);
	assert_int_equal(devices_mmio_read(&devices, PLATFORM_IOAPIC_GPA + 0x12, 1), 0x17);
	assert_int_equal(devices_mmio_read(&devices, PLATFORM_IOAPIC_GPA + 0x10, 8), 0x170020);
	assert_int_equal(devices_mmio_read(&devices, PLATFORM_IOAPIC_GPA + 0x14, 4), 0);
}

static void a_request_is_taken_once(void **state)
{
	devices_port_write(&devices, PLATFORM_RESET_PORT, 1, PLATFORM_RESET_VALUE);
	assert_int_equal(devices_take_request(&devices), PM_RESET);
	assert_int_equal(devices_take_request(&devices), PM_NONE);
}

static void without_console_there_is_no_com1(void **state)
{
	struct failure why = { "" };
	struct devices bare;

	backend.irqfd[4] = -1;
	assert_int_equal(devices_init(&bare, &backend.base, NULL, &why), 0);
	assert_int_equal(backend.irqfd[4], -1);
	assert_int_equal(devices_port_read(&bare, 0x3fd, 1), 0xff);
	devices_port_write(&bare, 0x3f8, 1, 'x');
	devices_console_input(&bare);
	devices_fini(&bare);
}

static void a_driver_without_irqfd_is_a_failure_with_its_reason(void **state)
{
	struct failure why = { "" };
	struct devices other;

	backend.fail_call = "irqfd";
	backend.fail_error = -ENOSYS;
	assert_int_equal(devices_init(&other, &backend.base, &console, &why), -ENOSYS);
	assert_string_equal(why.text, "fake: irqfd fails");
}

#define BUS(f) cmocka_unit_test_setup_teardown(f, setup_bus, teardown_bus)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ioapic_registers, setup_ioapic),
		cmocka_unit_test_setup(an_entry_becomes_a_message, setup_ioapic),
		cmocka_unit_test_setup(an_edge_is_sent_once, setup_ioapic),
		cmocka_unit_test_setup(an_edge_while_masked_is_sent_by_unmasking, setup_ioapic),
		cmocka_unit_test_setup(a_level_is_sent_again_after_eoi_while_it_lasts, setup_ioapic),
		cmocka_unit_test_setup(a_switch_to_edge_clears_remote_irr, setup_ioapic),
		cmocka_unit_test_setup(pins_that_do_not_exist_are_ignored, setup_ioapic),
		cmocka_unit_test_setup(the_clock_tells_utc_in_bcd_and_binary, setup_rtc),
		cmocka_unit_test_setup(update_in_progress_is_short, setup_rtc),
		cmocka_unit_test_setup(a_clock_that_was_set_goes_on_from_there, setup_rtc),
		cmocka_unit_test_setup(nonsense_in_time_registers_is_survived, setup_rtc),
		cmocka_unit_test(power_registers),
		cmocka_unit_test(wake_status_follows_a_refused_sleep),
		BUS(nobody_home_reads_ones_and_is_counted),
		BUS(wide_port_accesses_are_split),
		BUS(com1_interrupt_reaches_its_eventfd_by_its_route),
		BUS(pins_without_device_ask_for_no_route),
		BUS(a_route_that_the_driver_refuses_is_counted),
		BUS(ioapic_registers_at_any_width),
		BUS(a_request_is_taken_once),
		BUS(without_console_there_is_no_com1),
		BUS(a_driver_without_irqfd_is_a_failure_with_its_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
