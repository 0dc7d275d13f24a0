/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual switches as the model knows them, and the ports of running machines in them. What the records say
 * is put into effect through net/net.h; after a restart everything is said again. Everything here under the
 * model's lock.
 *
 * A service without switches never touches the host's network.
 */
#ifndef VMMS_NETWORK_H
#define VMMS_NETWORK_H

#include "cim/provider.h"
#include "net/net.h"
#include "vmms/vm.h"

struct vswitch {
	struct store_switch record;
	char problem[NET_REASON_SIZE]; /* why it is not in effect, or empty */
	struct vswitch *next;
};

struct network {
	struct net *net;               /* NULL: the host's network cannot be managed */
	char problem[NET_REASON_SIZE]; /* why */
	struct vswitch *switches;      /* in order of creation */
	bool has_rules;
	int64_t retry_at_ms; /* monotonic: switches with a problem are tried again */
};

/* Loads the switches. -1 with the reason: the store cannot be read. */
int network_open(struct model *model, char *reason, unsigned reason_size);
/* With the workers found: puts all of it into effect. What fails goes to the log and to the switch's state.
 */
void network_settle(struct model *model);
/* Leaves the host's network as it is. */
void network_close(struct model *model);
/* Once a second. */
void network_tick(struct model *model);

struct vswitch *vswitch_find(const struct model *model, const char *id);
/* Does it go together with the other switches and with the host? 0, or -1 with the reason. */
int network_switch_check(const struct model *model, const struct store_switch *record, char *reason,
			 unsigned reason_size);
/* Stores and puts into effect; the switch is new, or changes, and was checked. -1: nothing has changed. */
int network_switch_put(struct model *model, const struct store_switch *record, char *reason,
		       unsigned reason_size);
/* It has no users. */
int network_switch_remove(struct model *model, struct vswitch *vswitch, char *reason, unsigned reason_size);
/* Names of the machines with a connection to it, or NULL: none. */
const char *network_switch_users(const struct model *model, const char *id, struct arena *arena);

/* In network_switches.c: adds the ports to the host and its adapters, as settings. */
void network_switch_ports(struct cim_context *context, struct cim_list *out);

/* The adapter's port is in this switch, or NULL. */
const struct vswitch *network_switch_of(const struct model *model, const struct store_nic *nic);
/* NULL: there is none of that id. */
const struct store_nic *network_nic(const struct store_network *network, const char *id);
/* 00-15-5D and three bytes that no adapter has. */
void network_new_mac(const struct model *model, unsigned char mac[6]);
/* A machine other than `but` that has an adapter of this address, or NULL. */
const struct vm *network_mac_user(const struct model *model, const struct vm *but,
				  const unsigned char mac[6]);

/* Taps of a machine that is about to start, by adapter and queue. */
struct network_taps {
	unsigned nic_count, queue_count;
	int fds[STORE_NICS_MAX][NET_QUEUES_MAX];
};
/* Opened, in their switches, with their rules. -1: none is open. */
int network_open_taps(struct model *model, const struct vm *vm, struct network_taps *taps, char *reason,
		      unsigned reason_size);
void network_close_taps(struct network_taps *taps);

/* The tap of one adapter, by queue. */
struct network_tap {
	unsigned count; /* 0: not open */
	int fds[NET_QUEUES_MAX];
};
/* Of an adapter that comes to a running machine: down, and of no switch until network_take(). */
int network_open_tap(const struct vm *vm, const struct store_nic *nic, struct network_tap *tap, char *reason,
		     unsigned reason_size);
void network_close_tap(struct network_tap *tap);
/*
 * The machine's adapters are these from now on. While it runs, ports change, and the worker is told; those that
 * are new have their taps, and their link is down until then. -1: they are, but not all of it is in effect.
 */
int network_take(struct vm *vm, const struct store_network *network, char *reason, unsigned reason_size);
/* Its worker has ended, and the taps with it. */
void network_vm_gone(struct model *model);

#endif
