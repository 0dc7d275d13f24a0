/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to a guest's services for programs of the parent: a listening Unix stream socket. Whoever connects writes
 * "CONNECT <GUID>\n" and reads "OK\n", and then is connected to that service of the guest, or "ERROR <reason>\n" and
 * the end. What it writes behind the line, without waiting for the answer, is the guest's already.
 *
 * A client has five seconds for its line; HVSOCK_CLIENTS_MAX of them may be at the door, more wait outside.
 */
#ifndef VSP_HVSOCK_LISTENER_H
#define VSP_HVSOCK_LISTENER_H

#include "hvsock/hvsock.h"

#define HVSOCK_CLIENTS_MAX 64u

struct hvsock_listener;

/* fd listens, and is non-blocking; it stays the caller's. The host and the provider stay in place. 0; -ENOMEM; what
 * the host's watch_add said. */
int hvsock_listener_create(const struct vsp_host *host, struct hvsock *hvsock, int fd,
			   struct hvsock_listener **ret_listener);
/* Before the provider goes. Who is at the door is turned away; connections live on. */
void hvsock_listener_destroy(struct hvsock_listener *listener);
/* While the partition stands still nobody gets in. */
void hvsock_listener_pause(struct hvsock_listener *listener);
void hvsock_listener_resume(struct hvsock_listener *listener);

#endif
