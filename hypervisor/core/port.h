/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports and connections: how one partition's HvPostMessage and HvSignalEvent reach another's SynIC. TLFS web,
 * "Inter-Partition Communication".
 *
 * A port is the receiving end and belongs to the partition that receives; a connection is the sending end, belongs to the
 * sender, and is all that a sender can name. A connection knows its port by partition, id and serial number and looks it up
 * anew each time, so that there is no pointer from one partition into another: a port may go while posts to it are under way,
 * and what is left of its connections answers INVALID_PORT_ID, also when the id is used again.
 *
 * Each partition has a lock over its ports and its connections; the locks of two partitions are never held together.
 */
#ifndef CORE_PORT_H
#define CORE_PORT_H

#include "core/list.h"
#include "core/spinlock.h"
#include "hv/hv_hypercall.h"
#include "hv/hv_synic.h"

#define PORT_BUCKETS 256u

struct port;
struct connection;

/* A partition's ports and connections. All memory is from its pool and is given back with the last of them. */
struct ports {
	struct spinlock lock;
	spa_t buckets_page;		/* 0 while there is no object */
	struct port **port_buckets;
	struct connection **connection_buckets;
	struct list_node roomy;		/* pages of objects that have a free cell */
	uint32_t count;			/* objects of both kinds */
};

void ports_init(struct partition *p);
/* Deletes all; what waits at ports is lost. No call that sends to or from the partition is under way. */
void ports_fini(struct partition *p);

/* Message and event ports; `info` is private memory. INVALID_PORT_ID id in use or of more than 24 bits; INVALID_PARAMETER
 * another type, SINT or flags out of range; INSUFFICIENT_MEMORY. */
enum hv_status port_create(struct partition *p, uint32_t port_id, uint64_t sender_id,
			   const struct hv_port_info *info) MUST_CHECK;
/* What waits at it is lost. INVALID_PORT_ID. */
enum hv_status port_delete(struct partition *p, uint32_t port_id) MUST_CHECK;
/* UC_PORT_PROPERTY_HOLD of a message port. INVALID_PORT_ID. */
enum hv_status port_hold(struct partition *p, uint32_t port_id, bool held) MUST_CHECK;

/* Connects `sender` with a port of `p`, which must have been made for it (else ACCESS_DENIED) and be of this type (else
 * INVALID_PARAMETER). INVALID_PORT_ID; INVALID_CONNECTION_ID id in use or of more than 24 bits; INSUFFICIENT_MEMORY. */
enum hv_status port_connect(struct partition *sender, uint32_t connection_id, struct partition *p, uint32_t port_id,
			    uint32_t type) MUST_CHECK;
/* Messages that wait at the port stay. INVALID_CONNECTION_ID. */
enum hv_status port_disconnect(struct partition *sender, uint32_t connection_id) MUST_CHECK;

/* What a VP of `sender` sends. Type and payload of the message are the sender's and checked; the rest is filled in here.
 * INVALID_CONNECTION_ID; INVALID_PORT_ID port gone, of the other type, or its partition not active; INVALID_VP_INDEX target
 * gone; INVALID_SYNIC_STATE; INSUFFICIENT_BUFFERS; INVALID_PARAMETER no such flag. */
enum hv_status port_post(struct partition *sender, uint32_t connection_id, struct hv_message *message) MUST_CHECK;
enum hv_status port_signal(struct partition *sender, uint32_t connection_id, uint32_t flag) MUST_CHECK;

#endif
