/* SPDX-License-Identifier: Apache-2.0 */
/* The world around the model guest: RAM, SynIC, clock, descriptors, as a struct vsp_host. */
#ifndef TESTS_UNIT_VSP_GUEST_HOST_H
#define TESTS_UNIT_VSP_GUEST_HOST_H

#include "guest.h"

#define GUEST_SLOTS    1024u
#define GUEST_FLAGS    2048u
#define GUEST_UNREAD_MAX 17u		/* the slot and the port's 16 buffers */

struct guest_doorbell {
	bool open, rung;
	uint32_t connection;
	vsp_callback rang;
	void *context;
};

struct guest_world {
	struct vsp_host host;
	uint8_t *ram;
	uint64_t ram_bytes;
	struct guest_range holes[16];
	unsigned hole_count;
	unsigned vp_count;
	struct guest_faults faults;

	struct guest_message *messages;		/* all that were ever posted, in order */
	unsigned message_count, message_max;
	unsigned unread;			/* of them, at the end: not yet taken by the guest */
	unsigned events[GUEST_FLAGS];
	uint32_t event_vp[GUEST_FLAGS];		/* of the last one */

	struct guest_doorbell doorbells[GUEST_SLOTS];
	struct vsp_timer *timers[GUEST_SLOTS];
	uint64_t expires[GUEST_SLOTS];
	struct vsp_watch *watches[GUEST_SLOTS];
	uint64_t now_ns, wall_base_100ns;
	char log[256];
};

void world_init(struct guest_world *world, uint64_t ram_bytes, unsigned vp_count);
void world_fini(struct guest_world *world);
/* Rung doorbells, due timers, readable descriptors (waits up to wait_ms for those): how many callbacks. */
unsigned world_turn(struct guest_world *world, int wait_ms);
/* Ring a doorbell; a connection that nobody opened is nothing. */
void world_ring(struct guest_world *world, uint32_t connection);
/* When the next timer is due; UINT64_MAX: none is armed. */
uint64_t world_next_timer(const struct guest_world *world);
/* Ends the program: the test itself is wrong, or the host broke a rule that no test wants to go on without. */
void guest_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
