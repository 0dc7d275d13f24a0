/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All emulated devices of one child under one lock, and what leads to them: a table of ports and a table of MMIO ranges.
 * VP threads come in through the port and MMIO calls, the event loop through devices_console_input. Interrupts leave
 * through an eventfd per pin that the driver turns into the pin's MSI; the routes follow what the guest writes.
 *
 * Lock order: devices -> console (console.h). No call out to the driver blocks on a VP.
 */
#ifndef WORKER_DEVICES_H
#define WORKER_DEVICES_H

#include <pthread.h>

#include "worker/backend.h"
#include "worker/console.h"
#include "worker/counters.h"
#include "worker/ioapic.h"
#include "worker/pm.h"
#include "worker/rtc.h"
#include "worker/uart.h"

enum bus_counter {
	BUS_PORT_READS, BUS_PORT_WRITES, BUS_UNKNOWN_PORT_READS, BUS_UNKNOWN_PORT_WRITES,
	BUS_MMIO_READS, BUS_MMIO_WRITES, BUS_UNKNOWN_MMIO_READS, BUS_UNKNOWN_MMIO_WRITES,
	BUS_ROUTE_FAILURES, BUS_COUNTER_COUNT
};
extern const char *const bus_counter_names[BUS_COUNTER_COUNT];

struct devices {
	pthread_mutex_t lock;
	struct backend *backend;
	struct console *console;		/* not owned; outlives the devices; NULL: there is no COM1 */
	struct uart com1;
	struct ioapic ioapic;
	struct rtc rtc;
	struct pm pm;
	int irq_eventfd[IOAPIC_PINS];		/* -1: no device behind the pin */
	struct backend_route routes[IOAPIC_PINS];
	uint64_t counters[BUS_COUNTER_COUNT];
};

/* Power-on state. The partition exists: the interrupt of each device is bound to it. On failure nothing is left behind.
 * console NULL: a machine without COM1. */
int devices_init(struct devices *d, struct backend *backend, struct console *console, struct failure *why) MUST_CHECK;
/* No VP thread and no console callback may be inside any more. */
void devices_fini(struct devices *d);

/* size 1, 2 or 4. What no device answers reads as all ones; a write to it is dropped. Both are counted. */
uint32_t devices_port_read(struct devices *d, uint16_t port, unsigned size);
void devices_port_write(struct devices *d, uint16_t port, unsigned size, uint32_t value);
/* size 1, 2, 4 or 8. */
uint64_t devices_mmio_read(struct devices *d, uint64_t gpa, unsigned size);
void devices_mmio_write(struct devices *d, uint64_t gpa, unsigned size, uint64_t value);

/* End of a level-triggered interrupt on a local APIC. */
void devices_eoi(struct devices *d, uint8_t vector);
/* Input waits in the console. */
void devices_console_input(struct devices *d);
/* Power request of the guest since the last call. */
enum pm_request devices_take_request(struct devices *d);

void devices_counters(struct devices *d, struct counter_sink *sink);

#endif
