/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/guest_addresses.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmms/device_wire.h"
#include "vmms/guest_text.h"
#include "vmms/network.h"
#include "vmms/vm.h"

/* The worker gives up after 30 s of its own. */
#define CALL_MS 60000

/* ---- lists ---- */

/* The next of a list separated by ";", without the blanks around it. False: there is none. */
static bool next_item(const char **list, char out[GUEST_ADDRESS_SIZE])
{
	const char *from = *list;
	size_t size;

	if (!from || !*from)
		return false;
	size = strcspn(from, ";");
	*list = from + size + (from[size] != 0);
	while (size && from[0] == ' ') {
		from++;
		size--;
	}
	while (size && from[size - 1] == ' ')
		size--;
	/* Longer than any address: it is read as nothing, and still counts as one. */
	if (size >= GUEST_ADDRESS_SIZE)
		size = 0;
	memcpy(out, from, size);
	out[size] = 0;
	return true;
}

/* The address in its usual form. False: it is none. */
static bool canonical(char text[GUEST_ADDRESS_SIZE])
{
	unsigned char address[sizeof(struct in6_addr)];
	int family = strchr(text, ':') ? AF_INET6 : AF_INET;

	return inet_pton(family, text, address) == 1 && inet_ntop(family, address, text, GUEST_ADDRESS_SIZE);
}

static bool append(struct guest_list *list, const char *text)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->items[i], text) == 0)
			return false;
	if (list->count == GUEST_ADDRESSES_MAX)
		return false;
	snprintf(list->items[list->count++], GUEST_ADDRESS_SIZE, "%s", text);
	return true;
}

void guest_list_add(struct guest_list *list, const char *addresses)
{
	char text[GUEST_ADDRESS_SIZE];

	while (next_item(&addresses, text))
		if (canonical(text))
			append(list, text);
}

void guest_adapter_add(struct guest_adapter *adapter, const char *addresses, const char *subnets)
{
	char address[GUEST_ADDRESS_SIZE], subnet[GUEST_ADDRESS_SIZE];

	while (next_item(&addresses, address)) {
		bool has_subnet = next_item(&subnets, subnet);

		if (!canonical(address) || !append(&adapter->addresses, address))
			continue;
		/* A mask, or as guests write those of IPv6, "/64". A gap ends the list. */
		if (has_subnet && guest_text_is_address(subnet + (subnet[0] == '/')) &&
		    adapter->subnets.count + 1 == adapter->addresses.count)
			snprintf(adapter->subnets.items[adapter->subnets.count++], GUEST_ADDRESS_SIZE, "%s",
				 subnet);
	}
}

/* ---- asking ---- */

struct asked {
	char id[STORE_ID_SIZE];
	bool again; /* for IPv6 */
};

static const struct store_nic *nic_of(const struct vm *vm, const char *id)
{
	for (unsigned i = 0; i < vm->network.nic_count; i++)
		if (strcmp(vm->network.nics[i].id, id) == 0)
			return &vm->network.nics[i];
	return NULL;
}

static struct guest_adapter *find(const struct vm *vm, const char *id)
{
	struct guest_adapter *adapter = vm->guest.adapters;

	while (adapter && strcmp(adapter->id, id) != 0)
		adapter = adapter->next;
	return adapter;
}

static void forget_adapter(struct vm *vm, const char *id)
{
	struct guest_adapter **link = &vm->guest.adapters, *adapter = find(vm, id);

	if (!adapter)
		return;
	while (*link != adapter)
		link = &(*link)->next;
	*link = adapter->next;
	free(adapter);
}

static struct guest_adapter *fresh(struct vm *vm, const char *id)
{
	struct guest_adapter *adapter;

	forget_adapter(vm, id);
	adapter = calloc(1, sizeof(*adapter));
	if (!adapter)
		return NULL;
	snprintf(adapter->id, sizeof(adapter->id), "%s", id);
	adapter->next = vm->guest.adapters;
	vm->guest.adapters = adapter;
	return adapter;
}

static bool has_ipv6(const struct guest_list *list)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strchr(list->items[i], ':'))
			return true;
	return false;
}

static void ask(struct vm *vm, const struct store_nic *nic, bool again);

/* Linux' daemon gives the addresses of both families to whoever asks for one, others do not. */
static void heard(struct vm *vm, const struct store_nic *nic, bool again, struct json_object *ip)
{
	struct guest_adapter *adapter = again ? find(vm, nic->id) : fresh(vm, nic->id);

	if (!adapter)
		return;
	adapter->dhcp |= device_wire_flag(ip, "dhcp");
	guest_adapter_add(adapter, device_wire_text(ip, "addresses"), device_wire_text(ip, "subnets"));
	guest_list_add(&adapter->gateways, device_wire_text(ip, "gateways"));
	guest_list_add(&adapter->dns_servers, device_wire_text(ip, "dns_servers"));
	if (!again && !has_ipv6(&adapter->addresses))
		ask(vm, nic, true);
}

static void answered(struct vm *vm, void *context, const struct guest_failure *failure,
		     struct json_object *event)
{
	struct asked asked = *(struct asked *)context;
	const struct store_nic *nic = nic_of(vm, asked.id);

	free(context);
	/* A guest that refuses has no driver for it, or no address on it; without an answer all stays as it was. */
	if (!nic || (failure && !asked.again && strcmp(failure->code, "refused") == 0))
		forget_adapter(vm, asked.id);
	else if (!failure)
		heard(vm, nic, asked.again, device_wire_member(event, "ip"));
}

/* The daemon compares the address of its interfaces, in capitals, with this text. */
static void ask(struct vm *vm, const struct store_nic *nic, bool again)
{
	struct asked *asked = malloc(sizeof(*asked));
	struct json_object *params;
	char mac[18];

	if (!asked)
		return;
	snprintf(asked->id, sizeof(asked->id), "%s", nic->id);
	asked->again = again;
	snprintf(mac, sizeof(mac), "%02X:%02X:%02X:%02X:%02X:%02X", nic->mac[0], nic->mac[1], nic->mac[2],
		 nic->mac[3], nic->mac[4], nic->mac[5]);
	params = guest_call(STORE_KVP, "get_ip");
	device_wire_put_text(params, "adapter", mac);
	device_wire_put_text(params, "family", again ? "ipv6" : "ipv4");
	guest_ask(vm, STORE_KVP, params, -1, CALL_MS, answered, asked);
}

void guest_addresses_ask(struct vm *vm)
{
	for (unsigned i = 0; i < vm->network.nic_count; i++)
		ask(vm, &vm->network.nics[i], false);
}

void guest_addresses_forget(struct vm *vm)
{
	while (vm->guest.adapters)
		forget_adapter(vm, vm->guest.adapters->id);
}

/* ---- what is known ---- */

static void add_intrinsic(const struct vm *vm, struct guest_list *out)
{
	static const char *const names[] = {"NetworkAddressIPv4", "NetworkAddressIPv6"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct guest_item *item = guest_items_find(&vm->guest.intrinsic, names[i]);

		if (item)
			guest_list_add(out, item->value);
	}
}

void guest_addresses_of(const struct vm *vm, const struct store_nic *nic, struct guest_adapter *out)
{
	const struct guest_adapter *known = find(vm, nic->id);

	if (known) {
		*out = *known;
		return;
	}
	memset(out, 0, sizeof(*out));
	if (vm->network.nic_count == 1)
		add_intrinsic(vm, &out->addresses);
}

static bool has_address(const struct guest_list *addresses)
{
	for (unsigned i = 0; i < addresses->count; i++)
		if (strncmp(addresses->items[i], "fe80:", 5) != 0)
			return true;
	return false;
}

bool guest_addresses_missing(const struct vm *vm)
{
	struct guest_adapter adapter;

	for (unsigned i = 0; i < vm->network.nic_count; i++) {
		guest_addresses_of(vm, &vm->network.nics[i], &adapter);
		if (network_switch_of(vm->model, &vm->network.nics[i]) && !has_address(&adapter.addresses))
			return true;
	}
	return false;
}

void guest_addresses_all(const struct vm *vm, struct guest_list *out)
{
	out->count = 0;
	for (unsigned i = 0; i < vm->network.nic_count; i++) {
		const struct guest_adapter *known = find(vm, vm->network.nics[i].id);

		for (unsigned a = 0; known && a < known->addresses.count; a++)
			append(out, known->addresses.items[a]);
	}
	if (!out->count)
		add_intrinsic(vm, out);
}
