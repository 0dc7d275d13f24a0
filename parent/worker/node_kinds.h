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

#endif
