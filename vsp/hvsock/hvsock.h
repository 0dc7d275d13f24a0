/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hyper-V sockets: each connection is a channel of its own, and a connected stream descriptor in the parent. Bytes go
 * from one to the other as far as the reader takes them: what it does not take stays with the sender, in the ring or in
 * the descriptor's buffer, and holds up nobody else. Each direction ends for itself; when both have, the connection is
 * over. Programs of the parent and of the guest see what they would see of a Unix stream socket.
 *
 * All of it runs on the thread of the VMBus server; at most HVSOCK_SOCKETS_MAX connections, each without a buffer of
 * its own.
 */
#ifndef VSP_HVSOCK_H
#define VSP_HVSOCK_H

#include "vmbus/channel.h"

#define HVSOCK_SOCKETS_MAX 256u

struct hvsock;

struct hvsock_config {
	const struct vsp_host *host;
	struct vmbus_server *server;	/* the one provider of sockets on it */
	/* The guest connects to a service of the parent: connects to whoever offers it. 0 and a connected, non-blocking
	 * stream descriptor, which is the provider's from then on; -errno: the guest is refused. Does not wait: a guest
	 * can ask as often as it likes. NULL: the parent offers nothing. */
	int (*connect)(void *context, const struct vmbus_guid *service, int *ret_fd);
	void *context;
};

/* Takes the server's connector. 0; -ENOMEM. */
int hvsock_create(const struct hvsock_config *config, struct hvsock **ret_hvsock);
/* Closes all connections (who waits in hvsock_connect hears -ECANCELED); `done` is called when nothing is left, perhaps
 * before this returns. The guest has ten seconds to let go; after a reset of the server it has no say. */
void hvsock_destroy(struct hvsock *hvsock, vsp_callback done, void *context);

/* 0: connected, bytes flow when this returns, and the descriptor is the provider's. Else it stays the caller's:
 * -ETIMEDOUT nobody in the guest listens; -ECONNRESET the guest went away; -ECANCELED; what the host said. */
typedef void (*hvsock_done)(void *context, int error);

/* A program of the parent, at the other end of a connected, non-blocking stream descriptor, connects to a service of
 * the guest. 0: `done` will be called, not before this returns; -ENOTCONN the guest has no driver for it, or not yet;
 * -ENOSPC too many connections; -ENOMEM. */
int hvsock_connect(struct hvsock *hvsock, const struct vmbus_guid *service, int fd, hvsock_done done, void *context);
/* Of what hvsock_connect has under way with that context: `done` will not be called. */
void hvsock_cancel(struct hvsock *hvsock, void *context);

/* The partition stands still: nothing is read or written, no timeout passes. Pause before the server, resume after
 * it. */
void hvsock_pause(struct hvsock *hvsock);
void hvsock_resume(struct hvsock *hvsock);

struct hvsock_counters {
	uint32_t sockets;		/* now, with those that the guest has not let go of */
	uint64_t opened;
	uint64_t refused;		/* connects of the guest that got no connection */
	uint64_t timeouts;		/* offers that the guest did not open */
	uint64_t broken;		/* by the guest, against the protocol */
	uint64_t bytes_received, bytes_sent;	/* from and to the guest */
};
void hvsock_get_counters(const struct hvsock *hvsock, struct hvsock_counters *out);

#endif
