/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model guest with a provider of sockets, and programs of the parent that are one end of a socketpair each. The
 * guest's side of a connection is written from the protocol.
 */
#ifndef TESTS_UNIT_VSP_HVSOCK_RIG_H
#define TESTS_UNIT_VSP_HVSOCK_RIG_H

#include "unit/vsp/cmocka_all.h"

#include <errno.h>

#include "unit/vsp/guest.h"
#include "hvsock/hvsock.h"
#include "vmbus/hvsock.h"

#define SECOND 1000000000ull

struct rig {
	struct guest *guest;
	struct hvsock *hvsock;
	int connect_error;		/* the parent's program is not there */
	unsigned connects;
	struct vmbus_guid service;	/* of the last connect of the guest */
	int program;			/* of the last connection, either way; the test's to close */
	int provider_fd;		/* its other end, while hvsock_connect waits or after it failed */
	unsigned done_count;		/* of hvsock_connect */
	int done_error;
	bool destroyed;
};
extern struct rig rig;

int rig_setup(void **state);		/* connected, no sockets */
int rig_teardown(void **state);

struct vmbus_guid rig_endpoint(uint32_t port);
/* TL_CONNECT_REQUEST; runs. The channel id of the offer that answers, 0 when there is none. */
uint32_t rig_guest_connects(const struct vmbus_guid *endpoint, uint32_t port);
/* hvsock_connect; runs. The channel id of the offer; 0, and the error in rig.done_error. */
uint32_t rig_parent_connects(uint32_t port);
/* A connection that both ends have open, begun by the guest; rig.program is the parent's end. */
struct guest_channel *rig_connection(unsigned ring_pages);
const struct vmbus_offer_message *rig_offer(uint32_t relid);	/* the last one of it */

/* The guest's send and receive. A send that finds no room says false. */
bool rig_send(struct guest_channel *channel, const void *bytes, size_t count);
bool rig_send_end(struct guest_channel *channel);
/* Appends what the guest takes off the ring, up to `packets`; true in *ended when the parent's direction ended. */
size_t rig_receive(struct guest_channel *channel, uint8_t *to, size_t max, unsigned packets, bool *ended);

/* The program's. */
size_t rig_write(int fd, const void *bytes, size_t count);	/* what it takes now */
size_t rig_read(int fd, void *to, size_t max, bool *ended);	/* what there is now */
bool rig_at_end(int fd);					/* end of file or reset, nothing before it */

struct hvsock_counters rig_counters(void);
/* Same bytes for the same seed. */
uint32_t rig_random(uint32_t *seed);

#endif
