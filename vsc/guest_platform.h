/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client asks of the machine that it runs on: a micro-guest implements it over hypercalls and the SynIC, a loopback
 * test over plain memory. There is no allocation, no clock and no interrupt handler here: all memory is the caller's.
 */
#ifndef VSC_GUEST_PLATFORM_H
#define VSC_GUEST_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmbus/vmbus.h"

#define VSC_PAGE 4096u

enum vsc_error {
	VSC_OK        = 0,
	VSC_TIMEOUT   = -1,		/* platform->wait lost its patience */
	VSC_REFUSED   = -2,		/* the host said no */
	VSC_FULL      = -3,		/* no room now: try again */
	VSC_TOO_LARGE = -4,		/* never room */
	VSC_BROKEN    = -5,		/* the host broke the rules of a ring or of an answer */
	VSC_GONE      = -6,		/* the channel was rescinded */
	VSC_INVALID   = -7,		/* the caller's arguments */
};

struct vsc_platform {
	void *context;
	/* HvPostMessage, type VMBUS_MESSAGE_TYPE. VSC_OK; VSC_FULL no buffer now; VSC_REFUSED. */
	int (*post_message)(void *context, uint32_t connection, const void *payload, uint32_t bytes);
	void (*signal_event)(void *context, uint32_t connection);		/* HvSignalEvent, flag 0 */
	/* The next message of VMBUS_SINT's slot, zero padded; false when there is none. */
	bool (*take_message)(void *context, uint8_t message[VMBUS_MESSAGE_BYTES_MAX]);
	uint64_t (*gpa)(void *context, const void *memory);
	/* Nothing to do until something has come: may return early. Round counts from 0 in each wait; false: this wait has
	 * lasted long enough. */
	bool (*wait)(void *context, unsigned round);
};

/* What compilers call by themselves, so that whoever links a client has it. */
void *memcpy(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
