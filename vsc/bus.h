/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest's side of a VMBus connection: contact, offers, lists of guest memory (GPADLs), unload. A call that needs an
 * answer waits for it with platform->wait; other messages that come meanwhile are noted, none is lost.
 *
 *	vsc_bus_init(&bus, &platform, &pages, offers, COUNT(offers));
 *	vsc_bus_connect(&bus, VMBUS_VERSION_WIN10_V5_3, 0);
 *	offer = vsc_bus_find(&bus, &interface, 0);
 *	vsc_channel_open(...);						channel.h
 *	vsc_bus_unload(&bus);
 */
#ifndef VSC_BUS_H
#define VSC_BUS_H

#include "guest_platform.h"

struct vsc_channel;

struct vsc_offer {
	struct vmbus_guid interface, instance;
	uint32_t relid;			/* 0: this entry is free */
	uint32_t connection;		/* what a signal goes to */
	uint16_t sub_index;		/* 0: primary */
	bool rescinded;
};

/* Page aligned; belongs to the connection until unload. */
struct vsc_bus_pages {
	uint8_t interrupt[VSC_PAGE];
	uint8_t monitor[2][VSC_PAGE];
};

/* The answer that a call waits for: a message of this type with this word at this offset. */
struct vsc_reply {
	uint32_t type;			/* 0: nobody waits */
	uint32_t key_offset, key;
	uint32_t relid;			/* a rescind of it ends the wait; 0: of no channel */
	bool came, gone;
	uint8_t message[VMBUS_MESSAGE_BYTES_MAX];
};

struct vsc_bus {
	const struct vsc_platform *platform;
	struct vsc_bus_pages *pages;
	struct vsc_offer *offers;
	unsigned offer_max;
	unsigned offers_lost;		/* that found no entry */
	struct vsc_channel *channels;	/* open ones */
	uint32_t version;		/* 0: not connected */
	uint32_t vp;
	uint32_t message_connection;
	uint32_t next_gpadl;
	unsigned unexpected;		/* messages that nobody waited for */
	struct vsc_reply reply;
};

void vsc_bus_init(struct vsc_bus *bus, const struct vsc_platform *platform, struct vsc_bus_pages *pages,
		  struct vsc_offer *offers, unsigned offer_max);

/* Contact from this version downwards until the host agrees, then the offers; messages go to that VP. All that was known of
 * an earlier connection is forgotten, its channels too. VSC_OK; VSC_REFUSED; VSC_TIMEOUT. */
int vsc_bus_connect(struct vsc_bus *bus, uint32_t version_max, uint32_t vp);
/* One version, no offers. As above. */
int vsc_bus_contact(struct vsc_bus *bus, uint32_t version, uint32_t vp);
int vsc_bus_request_offers(struct vsc_bus *bus);
/* After it the host touches no memory of the guest any more. */
int vsc_bus_unload(struct vsc_bus *bus);

/* Takes all messages that wait. Offers may be new, or rescinded, afterwards. */
void vsc_bus_poll(struct vsc_bus *bus);
/* An offer that is not rescinded, or NULL. */
struct vsc_offer *vsc_bus_find(struct vsc_bus *bus, const struct vmbus_guid *interface, unsigned sub_index);
/* Gives a rescinded (or unwanted) offer's channel id back; the entry is free then. Close its channel before. */
int vsc_bus_release(struct vsc_bus *bus, struct vsc_offer *offer);

/* Names page-aligned memory to the host. VSC_INVALID: not whole pages, or more than a list holds (8190 pages). */
int vsc_gpadl_create(struct vsc_bus *bus, uint32_t relid, const void *memory, uint32_t bytes, uint32_t *out_gpadl);
/* Waits until the host has let go of it. */
int vsc_gpadl_teardown(struct vsc_bus *bus, uint32_t relid, uint32_t gpadl);

/* ---- for channels, and for guests that speak for themselves */

/* Posts; waits while the host has no buffer. VSC_OK; VSC_TIMEOUT; VSC_REFUSED. */
int vsc_bus_post(struct vsc_bus *bus, const void *message, uint32_t bytes);
/* Names the answer before the question is posted. */
void vsc_bus_expect(struct vsc_bus *bus, uint32_t type, uint32_t key_offset, uint32_t key, uint32_t relid);
/* Copies it. VSC_OK; VSC_TIMEOUT; VSC_GONE. */
int vsc_bus_await(struct vsc_bus *bus, void *out, uint32_t bytes);

#endif
