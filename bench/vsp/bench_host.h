/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker without a partition: a VMBus server over plain memory, a client in the same memory, and callgrind counting while
 * the host's side works, and only then. All look-ups are by index, so that what is counted is the provider's work.
 */
#ifndef BENCH_VSP_BENCH_HOST_H
#define BENCH_VSP_BENCH_HOST_H

#include "bus.h"
#include "vmbus/server.h"

#define BENCH_RAM    (64u << 20)
#define BENCH_OFFERS 8u

extern struct bench_host {
	struct vsp_host host;
	struct vmbus_server *server;
	struct vsc_platform platform;
	struct vsc_bus bus;
	uint64_t signals;		/* in both directions */
	bool counting;
} bench_host;

void bench_host_init(void);
void *bench_pages(unsigned count);
/* The host works until nothing is left to do; waits for descriptors so long. */
void bench_host_run(int wait_ms);
_Noreturn void bench_die(const char *what, long value);

/* One named number, for who reads standard output. */
void bench_report(const char *name, double value);

#endif
