// SPDX-License-Identifier: Apache-2.0
#include "worker/devices.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "worker/platform.h"

const char *const bus_counter_names[BUS_COUNTER_COUNT] = {
	[BUS_PORT_READS] = "port_reads",
	[BUS_PORT_WRITES] = "port_writes",
	[BUS_UNKNOWN_PORT_READS] = "unknown_port_reads",
	[BUS_UNKNOWN_PORT_WRITES] = "unknown_port_writes",
	[BUS_MMIO_READS] = "mmio_reads",
	[BUS_MMIO_WRITES] = "mmio_writes",
	[BUS_UNKNOWN_MMIO_READS] = "unknown_mmio_reads",
	[BUS_UNKNOWN_MMIO_WRITES] = "unknown_mmio_writes",
	[BUS_ROUTE_FAILURES] = "route_failures",
};

static uint8_t com1_read(struct devices *d, uint16_t port)
{
	return uart_read(&d->com1, port - PLATFORM_COM1_PORT);
}

static void com1_write(struct devices *d, uint16_t port, uint8_t value)
{
	uart_write(&d->com1, port - PLATFORM_COM1_PORT, value);
}

static uint8_t rtc_port_read(struct devices *d, uint16_t port)
{
	return rtc_read(&d->rtc, port - PLATFORM_RTC_PORT);
}

static void rtc_port_write(struct devices *d, uint16_t port, uint8_t value)
{
	rtc_write(&d->rtc, port - PLATFORM_RTC_PORT, value);
}

static uint8_t pm_port_read(struct devices *d, uint16_t port)
{
	return pm_read(&d->pm, port);
}

static void pm_port_write(struct devices *d, uint16_t port, uint8_t value)
{
	pm_write(&d->pm, port, value);
}

/* Ports of devices, each 8 bits wide: a wider access is that many accesses. Everything else (the delay ports 0x80 and 0xed,
 * PCI's 0xcf8, the 8259s, ...) is not there. */
static const struct port_row {
	uint16_t first, count;
	uint8_t (*read)(struct devices *d, uint16_t port);
	void (*write)(struct devices *d, uint16_t port, uint8_t value);
} port_rows[] = {
	{ PLATFORM_COM1_PORT, UART_PORT_COUNT, com1_read, com1_write },
	{ PLATFORM_RTC_PORT, 2, rtc_port_read, rtc_port_write },
	{ PLATFORM_SLEEP_CONTROL_PORT, 1, pm_port_read, pm_port_write },
	{ PLATFORM_SLEEP_STATUS_PORT, 1, pm_port_read, pm_port_write },
	{ PLATFORM_RESET_PORT, 1, pm_port_read, pm_port_write },
	{ PLATFORM_KBD_PORT, 1, pm_port_read, pm_port_write },
};

static void com1_transmit(void *context, uint8_t byte)
{
	struct devices *d = context;

	console_output(d->console, byte);
}

static size_t com1_pull(void *context, uint8_t *to, size_t max)
{
	struct devices *d = context;

	return console_take_input(d->console, to, max);
}

static void com1_interrupt(void *context, bool level)
{
	struct devices *d = context;

	ioapic_set_pin(&d->ioapic, PLATFORM_COM1_GSI, level);
}

static const struct uart_ops com1_ops = { com1_transmit, com1_pull, com1_interrupt };

static void ioapic_route(void *context, unsigned pin, const struct ioapic_message *message)
{
	struct devices *d = context;
	struct backend_route used[IOAPIC_PINS];
	unsigned count = 0;

	d->routes[pin] = (struct backend_route){ .gsi = pin };
	if (message) {
		d->routes[pin].address_lo = message->address;
		d->routes[pin].data = message->data;
	}
	if (d->irq_eventfd[pin] < 0)
		return;				/* nothing can ever raise it */
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		if (d->irq_eventfd[i] >= 0 && d->routes[i].address_lo)
			used[count++] = d->routes[i];
	/* A route that the driver refuses (a reserved delivery mode, say) is the guest's own trouble. */
	if (d->backend->ops->set_routes(d->backend, used, count, NULL))
		d->counters[BUS_ROUTE_FAILURES]++;
}

static void ioapic_send(void *context, unsigned pin)
{
	struct devices *d = context;
	uint64_t one = 1;

	if (d->irq_eventfd[pin] >= 0)
		(void)!write(d->irq_eventfd[pin], &one, sizeof one); /* full only if already signalled 2^64 times */
}

static const struct ioapic_ops ioapic_device_ops = { ioapic_route, ioapic_send };

static int64_t wall_clock(void *context)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail for this clock */
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int bind_interrupt(struct devices *d, unsigned pin, struct failure *why)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int r;

	if (fd < 0)
		return failure_set(why, -errno, "com1: no eventfd: %s", strerror(errno));
	r = d->backend->ops->irqfd(d->backend, fd, pin, why);
	if (r) {
		(void)close(fd);
		return r;
	}
	d->irq_eventfd[pin] = fd;
	return 0;
}

int devices_init(struct devices *d, struct backend *backend, struct console *console, struct failure *why)
{
	memset(d, 0, sizeof *d);
	d->backend = backend;
	d->console = console;
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		d->irq_eventfd[i] = -1;
	(void)pthread_mutex_init(&d->lock, NULL); /* cannot fail with default attributes */
	uart_init(&d->com1, &com1_ops, d);
	ioapic_init(&d->ioapic, &ioapic_device_ops, d);
	rtc_init(&d->rtc, wall_clock, NULL);
	return console ? bind_interrupt(d, PLATFORM_COM1_GSI, why) : 0;
}

void devices_fini(struct devices *d)
{
	for (unsigned i = 0; i < IOAPIC_PINS; i++)
		if (d->irq_eventfd[i] >= 0)
			(void)close(d->irq_eventfd[i]);
	(void)pthread_mutex_destroy(&d->lock);
	memset(d, 0, sizeof *d);
}

static const struct port_row *find_port(const struct devices *d, uint16_t port)
{
	for (size_t i = 0; i < sizeof port_rows / sizeof port_rows[0]; i++) {
		const struct port_row *row = &port_rows[i];

		if (port >= row->first && port - row->first < row->count)
			return row->read == com1_read && !d->console ? NULL : row;
	}
	return NULL;
}

uint32_t devices_port_read(struct devices *d, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	(void)pthread_mutex_lock(&d->lock);
	d->counters[BUS_PORT_READS]++;
	for (unsigned i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(port + i);
		const struct port_row *row = find_port(d, at);
		uint8_t byte = row ? row->read(d, at) : 0xff;

		if (!row && i == 0)
			d->counters[BUS_UNKNOWN_PORT_READS]++;
		value |= (uint32_t)byte << (8 * i);
	}
	(void)pthread_mutex_unlock(&d->lock);
	return value;
}

void devices_port_write(struct devices *d, uint16_t port, unsigned size, uint32_t value)
{
	(void)pthread_mutex_lock(&d->lock);
	d->counters[BUS_PORT_WRITES]++;
	for (unsigned i = 0; i < size; i++) {
		uint16_t at = (uint16_t)(port + i);
		const struct port_row *row = find_port(d, at);

		if (row)
			row->write(d, at, (uint8_t)(value >> (8 * i)));
		else if (i == 0)
			d->counters[BUS_UNKNOWN_PORT_WRITES]++;
	}
	(void)pthread_mutex_unlock(&d->lock);
}

static bool is_ioapic(uint64_t gpa)
{
	return gpa >= PLATFORM_IOAPIC_GPA && gpa - PLATFORM_IOAPIC_GPA < IOAPIC_MMIO_BYTES;
}

/* The registers are 32 bits wide on 16-byte boundaries; narrower reads see their bytes, wider ones zeros above. */
uint64_t devices_mmio_read(struct devices *d, uint64_t gpa, unsigned size)
{
	uint32_t offset = (uint32_t)(gpa - PLATFORM_IOAPIC_GPA);
	uint64_t value = UINT64_MAX;

	(void)pthread_mutex_lock(&d->lock);
	d->counters[BUS_MMIO_READS]++;
	if (is_ioapic(gpa))
		value = (offset & 0xc) ? 0 : (uint64_t)ioapic_read(&d->ioapic, offset & ~0x3u) >> (8 * (offset & 0x3));
	else
		d->counters[BUS_UNKNOWN_MMIO_READS]++;
	(void)pthread_mutex_unlock(&d->lock);
	return size >= 8 ? value : value & ((1ull << (8 * size)) - 1);
}

void devices_mmio_write(struct devices *d, uint64_t gpa, unsigned size, uint64_t value)
{
	uint32_t offset = (uint32_t)(gpa - PLATFORM_IOAPIC_GPA);

	(void)pthread_mutex_lock(&d->lock);
	d->counters[BUS_MMIO_WRITES]++;
	if (is_ioapic(gpa))
		ioapic_write(&d->ioapic, offset, (uint32_t)value);
	else
		d->counters[BUS_UNKNOWN_MMIO_WRITES]++;
	(void)pthread_mutex_unlock(&d->lock);
}

void devices_eoi(struct devices *d, uint8_t vector)
{
	(void)pthread_mutex_lock(&d->lock);
	ioapic_eoi(&d->ioapic, vector);
	(void)pthread_mutex_unlock(&d->lock);
}

void devices_console_input(struct devices *d)
{
	(void)pthread_mutex_lock(&d->lock);
	if (d->console)
		uart_poll(&d->com1);
	(void)pthread_mutex_unlock(&d->lock);
}

enum pm_request devices_take_request(struct devices *d)
{
	enum pm_request request;

	(void)pthread_mutex_lock(&d->lock);
	request = d->pm.request;
	d->pm.request = PM_NONE;
	(void)pthread_mutex_unlock(&d->lock);
	return request;
}

static void count_device(struct counter_sink *sink, const char *device, const char *const names[], const uint64_t values[],
			 unsigned count)
{
	sink->source(sink, &(struct counter_source){ .name = device, .unit = COUNTER_NO_UNIT });
	for (unsigned i = 0; i < count; i++)
		sink->counter(sink, names[i], values[i]);
}

void devices_counters(struct devices *d, struct counter_sink *sink)
{
	(void)pthread_mutex_lock(&d->lock);
	count_device(sink, "bus", bus_counter_names, d->counters, BUS_COUNTER_COUNT);
	count_device(sink, "com1", uart_counter_names, d->com1.counters, UART_COUNTER_COUNT);
	count_device(sink, "ioapic", ioapic_counter_names, d->ioapic.counters, IOAPIC_COUNTER_COUNT);
	(void)pthread_mutex_unlock(&d->lock);
}
