/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that completes each request with its own payload and turns every bit of the memory that it names, and that
 * sends packets of its own when it is told to. It stops reading while an answer of its does not fit.
 */
#ifndef TESTS_LOOPBACK_MIRROR_H
#define TESTS_LOOPBACK_MIRROR_H

#include "vmbus/channel.h"

#define MIRROR_PACKET_MAX 16384u

extern const struct vmbus_guid mirror_interface;

struct mirror {
	struct vmbus_device device;
	struct vmbus_channel *channel;	/* NULL: not open */
	uint8_t unsent[MIRROR_PACKET_MAX];	/* an answer that waits for room */
	size_t unsent_bytes;
	uint64_t unsent_transaction;
	bool waits;
	/* Packets to be sent unasked: number n has mirror_length(n) bytes, all of them mirror_byte(n). */
	unsigned to_send, sent;
	unsigned requests, stalls;
	int broken;			/* what the last read said, when it was an error */
	bool gone;
};

void mirror_init(struct mirror *mirror);
void mirror_send(struct mirror *mirror, unsigned count);
void mirror_gone(void *mirror);		/* for vmbus_device_remove */

static inline unsigned mirror_length(unsigned number)
{
	return 8 * (number * 2654435761u >> 8 & 0xff);
}

static inline uint8_t mirror_byte(unsigned number)
{
	return (uint8_t)(number * 7 + 1);
}

#endif
