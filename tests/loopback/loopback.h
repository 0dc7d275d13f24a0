/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of the bus in one process: a real VMBus server over plain memory, and the platform of a client in the same
 * memory. The host works while the client waits, and when the test says so.
 */
#ifndef TESTS_LOOPBACK_LOOPBACK_H
#define TESTS_LOOPBACK_LOOPBACK_H

#include "bus.h"
#include "unit/vsp/guest_host.h"

#define LOOPBACK_RAM    (48u << 20)
#define LOOPBACK_OFFERS 64u

struct loopback {
	struct guest_world world;
	struct vmbus_server *server;
	struct vsc_platform platform;
	struct vsc_bus bus;
	struct vsc_offer offers[LOOPBACK_OFFERS];
	uint64_t ram_used;
	unsigned messages_taken;
	unsigned patience;		/* rounds of a wait in which nothing happens */
	unsigned idle;			/* such rounds so far */
	uint64_t hypercalls;		/* messages and signals */
	uint32_t random;
};

/* The guest has two VPs. Ends the program without memory. */
void loopback_init(struct loopback *loopback, uint32_t seed);
/* After the devices are gone. */
void loopback_fini(struct loopback *loopback);
/* Resets the bus, as a machine that is switched off: devices may be destroyed afterwards. */
void loopback_reset(struct loopback *loopback);

void *loopback_pages(struct loopback *loopback, unsigned count);	/* zeroed; never given back */
void loopback_run(struct loopback *loopback);				/* until the host is quiet */
void loopback_advance(struct loopback *loopback, uint64_t ns);
/* Runs and lets time pass until the flag is set; false after a minute of the host's clock. */
bool loopback_until(struct loopback *loopback, const bool *flag);
uint32_t loopback_random(struct loopback *loopback, uint32_t below);
void loopback_fill(struct loopback *loopback, void *memory, size_t bytes);

#endif
