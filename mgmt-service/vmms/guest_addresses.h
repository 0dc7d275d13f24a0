/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses that a guest has on its network adapters, as it says through key-value exchange: asked for adapter
 * by adapter. A guest that cannot tell adapters apart still names all its addresses among its intrinsic items.
 */
#ifndef VMMS_GUEST_ADDRESSES_H
#define VMMS_GUEST_ADDRESSES_H

#include <stdbool.h>

#include "store/store.h"

struct vm;

#define GUEST_ADDRESSES_MAX 32
#define GUEST_ADDRESS_SIZE  48

struct guest_list {
	unsigned count;
	char items[GUEST_ADDRESSES_MAX][GUEST_ADDRESS_SIZE];
};

/* Subnets are those of the addresses, in their order; a guest may have told fewer. */
struct guest_adapter {
	char id[STORE_ID_SIZE];
	bool dhcp;
	struct guest_list addresses, subnets, gateways, dns_servers;
	struct guest_adapter *next;
};

/* Asks for all adapters; answers come one by one. */
void guest_addresses_ask(struct vm *vm);
void guest_addresses_forget(struct vm *vm);
/* What is known of the adapter, which may be nothing. */
void guest_addresses_of(const struct vm *vm, const struct store_nic *nic, struct guest_adapter *out);
/* An adapter has a connection and no address yet but one that needs no network. */
bool guest_addresses_missing(const struct vm *vm);
/* Of all its adapters, each once. */
void guest_addresses_all(const struct vm *vm, struct guest_list *out);

/*
 * Takes what one answer says of an adapter behind what is there: lists separated by ";", NULL for none.
 * Addresses that are none, or are there already, are passed over together with their subnets.
 */
void guest_adapter_add(struct guest_adapter *adapter, const char *addresses, const char *subnets);
/* The same of a list by itself. */
void guest_list_add(struct guest_list *list, const char *addresses);

#endif
