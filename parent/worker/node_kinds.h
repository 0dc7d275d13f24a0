/* SPDX-License-Identifier: Apache-2.0 */
/* All kinds of VMBus devices that a worker can host. */
#ifndef WORKER_NODE_KINDS_H
#define WORKER_NODE_KINDS_H

#include "worker/node.h"

extern const struct node_kind node_scsi;	/* node_scsi.c */
extern const struct node_kind node_nic;		/* node_nic.c */
extern const struct node_kind node_heartbeat, node_shutdown, node_timesync, node_vss;	/* node_ic.c */
extern const struct node_kind node_kvp;		/* node_kvp.c */
extern const struct node_kind node_fcopy;	/* node_fcopy.c */
extern const struct node_kind node_keyboard;	/* node_keyboard.c */
extern const struct node_kind node_memory;	/* node_memory.c */
extern const struct node_kind node_hvsock;	/* node_hvsock.c */

/* What dynamic memory asks of a machine that starts with so much. 0 and the MiB that it may get beyond that, 0 without dynamic
 * memory; -EINVAL the start is not between minimum and maximum. */
int node_memory_growth(const struct node *list, uint64_t startup_mib, uint64_t *ret_mib, struct failure *why) MUST_CHECK;

#endif
