/* SPDX-License-Identifier: Apache-2.0 */
/* A device that completes every request with the request's own bytes, for tests of the server. */
#ifndef TESTS_UNIT_VSP_VMBUS_ECHO_H
#define TESTS_UNIT_VSP_VMBUS_ECHO_H

#include "vmbus/server.h"

#define ECHO_CHANNELS 8u
#define ECHO_LATE     64u

struct echo {
	struct vmbus_device device;
	struct vmbus_channel *channels[ECHO_CHANNELS];	/* open ones, by index */
	struct vmbus_channel *late[ECHO_LATE];		/* shall be closed, and are not yet */
	unsigned late_count;
	/* what it shall do */
	int open_error;
	bool mute;			/* reads, answers nothing */
	bool deaf;			/* does not even read */
	bool greets;			/* sends a packet as soon as a channel is open */
	bool closes_later;		/* in echo_finish_closing; ECHO_LATE channels at most */
	unsigned subchannels;		/* asked for by any packet */
	/* what happened */
	unsigned opened, restored, closing, ready, packets, unanswered;
	int read_result, send_result, offer_result;
	uint16_t type;
	bool wants_completion;
	uint64_t transaction;
	size_t payload_bytes;
	uint8_t payload[4096];
	uint64_t range_bytes;
	unsigned iov_count;
	uint8_t range[16384];		/* the first bytes of the packet's range */
	bool gone;
};

/* instance: last byte of the instance id; the interface id is made of `interface`. */
void echo_init(struct echo *echo, uint8_t interface, uint8_t instance);
struct vmbus_guid echo_interface(uint8_t interface);
void echo_gone(void *echo);		/* for vmbus_device_remove */
void echo_close_one(struct echo *echo, unsigned index);	/* of the late ones */
void echo_finish_closing(struct echo *echo);

#endif
