/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine below a VMBus client (vsc/): messages and event flags of the SynIC, hypercalls, memory, patience. Guests that
 * use nothing else of the library but this, verdict.h, bootinfo.h, print.h and clock_100ns run in tests/loopback too, where it
 * is implemented over a server in the same process.
 */
#ifndef GUEST_VMBUS_H
#define GUEST_VMBUS_H

#include "guest_platform.h"

/* Switches the SynIC on at the first call. NULL: there is none, or this guest may not post messages or signal events. */
const struct vsc_platform *vmbus_platform(void);

/* How long a wait lasts in which nothing comes; at first, and with 0, VMBUS_PATIENCE. */
#define VMBUS_PATIENCE 200000000ull		/* 20 s in 100 ns */
void vmbus_set_patience(uint64_t duration_100ns);
/* Waits so long, whatever comes. */
void vmbus_pass_time(uint64_t duration_100ns);

void *vmbus_pages(unsigned count);		/* zeroed RAM, page aligned; never given back */
uint64_t vmbus_ram_end(void);			/* address of no RAM any more */
unsigned vmbus_interrupts(void);		/* of the bus so far */

#endif
