/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device, one channel, one clock: a guest that reads and writes whole packets as a test tells it to. It
 * implements what a device sees of VMBus (vmbus/channel.h) and of its host (host.h), without rings and without a
 * server.
 */
#ifndef TESTS_UNIT_VSP_IC_RIG_H
#define TESTS_UNIT_VSP_IC_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ic/ic.h"
#include "vmbus/channel.h"

#define RIG_PACKETS_MAX 1024
#define RIG_RING_BYTES  12288
#define RIG_SECOND      1000000000ull

struct rig_packet {
	uint16_t type, flags;
	uint64_t transaction;
	size_t bytes;			/* as sent; a reader sees it padded to 8 */
	uint8_t *payload;
};

struct rig_fifo {
	struct rig_packet packets[RIG_PACKETS_MAX];
	unsigned first, count;
};

struct vmbus_channel {
	struct rig *rig;
	struct rig_fifo to_guest, to_host;
	uint8_t *reading;		/* of the last read, freed by the next */
	size_t ring_bytes, used;
	bool open, broken, wants_room, acknowledged;
};

struct rig {
	struct vmbus_device *device;
	struct vmbus_channel channel;
	struct vsp_host host;
	uint64_t now_ns;
	uint64_t clock_step_ns;		/* what each look at a clock takes */
	uint64_t slow_reads, slow_step_ns;	/* so many looks take longer */
	struct vsp_timer *timers[8];
	uint64_t due[8];
	unsigned flushes;
};

#define RIG_REFERENCE_OFFSET 7777ull			/* reference time at now_ns 0 */
#define RIG_WALL_OFFSET      133000000000000000ull	/* wall time at now_ns 0 */

void rig_init(struct rig *rig, struct vmbus_device *device);
void rig_fini(struct rig *rig);
int rig_open(struct rig *rig);
int rig_restore(struct rig *rig);	/* as open, for a device whose state was set */
void rig_close(struct rig *rig);

/* Time passes; timers that are due fire in order. */
void rig_advance(struct rig *rig, uint64_t ns);
unsigned rig_timers(const struct rig *rig);

unsigned rig_unread(const struct rig *rig);
/* The guest reads a packet; the caller frees payload. There has to be one. */
struct rig_packet rig_take(struct rig *rig);
/* Reads and forgets. */
void rig_drop(struct rig *rig);
/* The guest writes a packet; `ready` is called, or not. */
void rig_put(struct rig *rig, uint16_t type, uint16_t flags, uint64_t transaction, const void *payload, size_t bytes);
void rig_send(struct rig *rig, const void *payload, size_t bytes);
/* The guest breaks its ring. */
void rig_break(struct rig *rig);

/* Integration components: reads a request of this type and size and answers it in place, as a guest does. `edit`
 * may change the body first; status as given. */
void rig_answer(struct rig *rig, uint16_t message_type, size_t body_bytes, uint32_t status,
		void (*edit)(uint8_t *body, void *context), void *context);
void rig_answer_packet(struct rig *rig, const struct rig_packet *request, uint32_t status);
/* Reads the negotiation and picks these versions. */
void rig_negotiate(struct rig *rig, struct ic_version framework, struct ic_version message);
struct ic_header rig_header(const struct rig_packet *packet);

#endif
