/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of schemas/worker/worker_msg.h, written and read. No state, no I/O. */
#ifndef VMMS_WORKER_WIRE_H
#define VMMS_WORKER_WIRE_H

#include <stddef.h>

#include "store/store.h"
#include "vmms/network_wire.h"
#include "vmms/worker.h"

enum worker_packet_kind {
	WORKER_PACKET_RESULT,
	WORKER_PACKET_ERROR,
	WORKER_PACKET_STATE,
	WORKER_PACKET_DEVICE,
	WORKER_PACKET_OTHER
};

struct worker_packet {
	enum worker_packet_kind kind;
	uint64_t id;             /* result and error */
	enum worker_state state; /* state event; result of status, else WORKER_UNKNOWN */
	char reason[WORKER_REASON_SIZE];
	char code[64];
	char message[256];
	bool has_status;
	int64_t pid;
	uint64_t uptime_ms, cpu_time_100ns, memory_mib;
	struct worker_device_event device; /* its body is `body` */
	struct json_object *body;          /* the result, or the whole event; NULL: none */
};

/* The worker's descriptors of the machine's folder of VM sockets. */
struct worker_hvsock {
	int listen_fd, directory_fd;
};

struct disk_set;

/* The configuration document; the worker has the descriptors of `disks` from next_fd on, as storage_wire.h
 * numbers them. `hvsock` NULL: no VM sockets; `adapters` NULL: none. Allocated, NULL without memory. */
char *worker_wire_config(const struct store_vm *vm, const struct store_storage *storage,
			 const struct disk_set *disks, int next_fd, const struct worker_hvsock *hvsock,
			 const struct network_devices *adapters);
/* One request; allocated, NULL without memory. */
char *worker_wire_request(uint64_t id, enum worker_request request);
/* A request with parameters, which are put. */
char *worker_wire_call(uint64_t id, const char *method, struct json_object *params);
/* 0, or -1: it is no packet of the protocol. To be released in any case. */
int worker_wire_read(const char *text, size_t size, struct worker_packet *packet);
void worker_wire_release(struct worker_packet *packet);
const char *worker_request_name(enum worker_request request);

#endif
