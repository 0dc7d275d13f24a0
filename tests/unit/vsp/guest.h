/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model guest and the host around it, for tests of providers: guest RAM is plain memory, the clock stands still until
 * the test moves it, SynIC messages and event flags are arrays, HvSignalEvent is a function. The guest's side of VMBus
 * is written from the protocol and shares nothing with the server but the layouts of schemas/vmbus.
 *
 *	struct guest *guest = guest_new(64 << 20, 2);
 *	my_device_add(guest_server(guest), ...);			(any number, also later)
 *	guest_connect(guest, VMBUS_VERSION_WIN10_V5_3);			contact, offers
 *	relid = guest_relid(guest, &MY_INTERFACE, 0);
 *	channel = guest_open(guest, relid, 8);				GPADL, OPEN, OPEN_RESULT
 *	guest_send(channel, VMBUS_PACKET_IN_BAND, 1, 77, &request, sizeof request);
 *	guest_run(guest);						server and devices work until all is quiet
 *	guest_receive(channel, &packet);
 *	guest_free(guest);
 *
 * The guest breaks rules only where a test asks for it: message bytes, ring pages and indices are all open to the test.
 */
#ifndef TESTS_UNIT_VSP_GUEST_H
#define TESTS_UNIT_VSP_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host.h"
#include "vmbus/server.h"
#include "vmbus/vmbus.h"

#define GUEST_PAGE 4096u

struct guest;

/* A guest with RAM [0, ram_bytes) and a server without devices. No devices may be left open at the end. Ends the
 * program with a message when the machine has no memory. */
struct guest *guest_new(uint64_t ram_bytes, unsigned vp_count);
void guest_free(struct guest *guest);

const struct vsp_host *guest_host(struct guest *guest);
struct vmbus_server *guest_server(struct guest *guest);
/* For a server restored from a saved state: the same guest, a new server; the old one is freed. */
struct vmbus_server *guest_replace_server(struct guest *guest);

/* ---- the world around */

/* Delivers rung doorbells, timers that are due, descriptors that are readable now, and messages to the guest, until
 * nothing is left. Returns how many callbacks it made. */
unsigned guest_run(struct guest *guest);
/* Moves the clock, timer by timer; runs in between. Wall time and reference time go on by as much. */
void guest_advance(struct guest *guest, uint64_t ns);
/* Runs until the condition holds, waiting for descriptors in real time; false after `ms` milliseconds without. */
bool guest_wait(struct guest *guest, bool (*condition)(void *context), void *context, unsigned ms);
uint64_t guest_now(struct guest *guest);			/* nanoseconds since guest_new */
void guest_set_wall_time(struct guest *guest, uint64_t wall_100ns);
const char *guest_log(struct guest *guest);			/* last line that was logged, "" at first */
unsigned guest_timers_armed(struct guest *guest);
unsigned guest_doorbells_open(struct guest *guest);

/* What the host around does wrong, for as long as it is set. */
struct guest_faults {
	int post_error;			/* post_message returns this */
	int signal_error;
	int doorbell_error;		/* doorbell_open returns this */
	int watch_error;		/* watch_add returns this */
	bool messages_unread;		/* the guest leaves its messages: at most 17 fit, then -EAGAIN */
};
struct guest_faults *guest_faults(struct guest *guest);

/* ---- RAM */

uint64_t guest_pages(struct guest *guest, unsigned count);	/* fresh zeroed pages; never given back */
void *guest_ram(struct guest *guest, uint64_t gpa);		/* host address */
/* A hole: host->memory says NULL there from now on. */
void guest_make_hole(struct guest *guest, uint64_t gpa, uint64_t bytes);

/* ---- control messages */

struct guest_message {
	uint32_t type;
	uint32_t vp;
	uint8_t sint;
	uint32_t bytes;
	uint8_t payload[240];
};

/* HvPostMessage with these bytes; what vmbus_server_message returned. Then use guest_run. */
int guest_post(struct guest *guest, const void *payload, size_t bytes);
/* All messages that came are kept in order: 0 is the first since guest_forget_messages. NULL behind the last. */
const struct guest_message *guest_message(struct guest *guest, unsigned index);
/* The last message of a type, or NULL. */
const struct guest_message *guest_last_message(struct guest *guest, uint32_t type);
unsigned guest_message_count(struct guest *guest, uint32_t type);	/* 0: of all types */
void guest_forget_messages(struct guest *guest);

/* ---- connection */

int guest_contact(struct guest *guest, uint32_t version, uint32_t vp);	/* 0; -EPROTONOSUPPORT; -ETIMEDOUT no answer */
int guest_request_offers(struct guest *guest);				/* 0; -ETIMEDOUT */
int guest_connect(struct guest *guest, uint32_t version);		/* both, to VP 0 */
int guest_unload(struct guest *guest);					/* 0; -ETIMEDOUT not yet answered */
/* Channel id of an offer that is not rescinded; 0 when there is none. */
uint32_t guest_relid(struct guest *guest, const struct vmbus_guid *interface, unsigned sub_index);
uint32_t guest_relid_of_instance(struct guest *guest, const struct vmbus_guid *instance, unsigned sub_index);
bool guest_rescinded(struct guest *guest, uint32_t relid);
void guest_release(struct guest *guest, uint32_t relid);		/* RELID_RELEASED */

/* ---- GPADLs */

struct guest_range {
	uint64_t gpa;
	uint32_t bytes;
};
/* Header and bodies over a piece of memory; runs. The handle, 0 when the server refused. */
uint32_t guest_make_gpadl(struct guest *guest, uint32_t relid, uint64_t gpa, uint32_t bytes);
uint32_t guest_make_gpadl_of_pages(struct guest *guest, uint32_t relid, const uint64_t *pfns, unsigned count);
/* TEARDOWN; runs. 0; -ETIMEDOUT not (yet) answered. */
int guest_teardown_gpadl(struct guest *guest, uint32_t relid, uint32_t gpadl);
unsigned guest_torndown_count(struct guest *guest, uint32_t gpadl);

/* ---- channels */

struct guest_channel;

/* Makes rings of ring_pages pages each (control page included) out of pages that do not lie in a row, opens the channel
 * towards VP relid % vp_count. NULL when the server refused. */
struct guest_channel *guest_open(struct guest *guest, uint32_t relid, unsigned ring_pages);
/* CLOSECHANNEL, and TEARDOWN of the ring; runs. The channel is freed; 0; -ETIMEDOUT: teardown not yet answered. */
int guest_close(struct guest_channel *channel);
uint32_t guest_channel_relid(const struct guest_channel *channel);
uint32_t guest_channel_ring_gpadl(const struct guest_channel *channel);
/* Event flags that this channel got since the last call. */
unsigned guest_interrupts(struct guest_channel *channel);
/* Rings the channel's doorbell whether needed or not. */
void guest_signal(struct guest_channel *channel);
void guest_ring(struct guest *guest, uint32_t connection_id);		/* HvSignalEvent on any connection */

struct vmbus_ring_page *guest_out_ring(struct guest_channel *channel);	/* guest -> host control page */
struct vmbus_ring_page *guest_in_ring(struct guest_channel *channel);
uint32_t guest_ring_bytes(const struct guest_channel *channel);		/* data area of one direction */
/* Raw access to the data area of a ring, with wrap-around. */
void guest_ring_write(struct guest_channel *channel, bool out, uint32_t offset, const void *from, size_t bytes);
void guest_ring_read(struct guest_channel *channel, bool out, uint32_t offset, void *to, size_t bytes);

/* Puts a packet on the ring and signals when the rules say so. 0; -EAGAIN no room. Does not run the server. flags: 1 =
 * completion requested. */
int guest_send(struct guest_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction, const void *payload,
	       size_t bytes);
/* GPA direct, one packet range for each element of ranges. */
int guest_send_gpa_direct(struct guest_channel *channel, uint16_t flags, uint64_t transaction,
			  const struct guest_range *ranges, unsigned range_count, const void *payload, size_t bytes);
/* Any packet: everything between the 16 byte descriptor and the payload as `extra` (a multiple of 8 bytes). */
int guest_send_raw(struct guest_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		   const void *extra, size_t extra_bytes, const void *payload, size_t bytes);
int guest_send_completion(struct guest_channel *channel, uint64_t transaction, const void *payload, size_t bytes);

struct guest_packet {
	uint16_t type, flags;
	uint64_t transaction;
	uint32_t descriptor_bytes;	/* whole descriptor, the 16 common bytes included */
	uint32_t payload_bytes;		/* padding included */
	uint8_t data[65536];		/* descriptor, then payload */
};
static inline const uint8_t *guest_packet_payload(const struct guest_packet *packet)
{
	return packet->data + packet->descriptor_bytes;
}

/* Takes the next packet off the ring; frees its room, with the signal that the rules ask for. false when there is none.
 * Ends the program when the host wrote a packet that breaks the rules of the ring. */
bool guest_receive(struct guest_channel *channel, struct guest_packet *out);
/* Sends in-band with completion requested, runs, and takes the completion with this transaction; packets that come
 * before it are dropped. 0; -EAGAIN; -ETIMEDOUT. */
int guest_transact(struct guest_channel *channel, uint64_t transaction, const void *payload, size_t bytes,
		   struct guest_packet *out);

#endif
