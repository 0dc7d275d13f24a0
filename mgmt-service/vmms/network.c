/* SPDX-License-Identifier: Apache-2.0 */
#include "vmms/network.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <unistd.h>

#include "daemon/log.h"
#include "vmms/network_wire.h"

#define RETRY_MS           30000
#define VLAN_ACCESS        1
#define VLAN_TRUNK         2
#define VLAN_PRIVATE       3
#define PVLAN_ISOLATED     1
#define DIRECTION_INCOMING 1
#define ACTION_ALLOW       1
#define ACTION_DENY        2

struct vswitch *vswitch_find(const struct model *model, const char *id)
{
	struct vswitch *s = model->network->switches;

	while (s && strcasecmp(s->record.id, id) != 0)
		s = s->next;
	return s;
}

const struct vswitch *network_switch_of(const struct model *model, const struct store_nic *nic)
{
	return nic->connection && nic->enabled && nic->switch_id[0] ? vswitch_find(model, nic->switch_id)
								    : NULL;
}

const struct store_nic *network_nic(const struct store_network *network, const char *id)
{
	for (unsigned i = 0; i < network->nic_count; i++)
		if (strcasecmp(network->nics[i].id, id) == 0)
			return &network->nics[i];
	return NULL;
}

const char *network_switch_users(const struct model *model, const char *id, struct arena *arena)
{
	const char *names = NULL;

	for (const struct vm *vm = model->vms; vm; vm = vm->next)
		for (unsigned i = 0; i < vm->network.nic_count; i++)
			if (vm->network.nics[i].connection &&
			    strcasecmp(vm->network.nics[i].switch_id, id) == 0) {
				names = arena_printf(arena, "%s%s\"%s\"", names ? names : "",
						     names ? ", " : "", vm->record.element_name);
				break;
			}
	return names;
}

const struct vm *network_mac_user(const struct model *model, const struct vm *but, const unsigned char mac[6])
{
	for (const struct vm *vm = model->vms; vm; vm = vm->next)
		for (unsigned i = 0; vm != but && i < vm->network.nic_count; i++)
			if (memcmp(vm->network.nics[i].mac, mac, 6) == 0)
				return vm;
	return NULL;
}

void network_new_mac(const struct model *model, unsigned char mac[6])
{
	static const unsigned char prefix[] = {0x00, 0x15, 0x5d};

	memcpy(mac, prefix, sizeof(prefix));
	do {
		while (getrandom(mac + 3, 3, 0) != 3)
			;
	} while (network_mac_user(model, NULL, mac));
}

/* ---- what shall be, in the words of net/net.h ---- */

static int describe_switch(const struct store_switch *record, struct net_switch *out, char *reason,
			   unsigned reason_size)
{
	*out = (struct net_switch){.id = record->id,
				   .name = record->element_name,
				   .kind = record->uplink[0]        ? NET_SWITCH_EXTERNAL
					   : record->nat_subnet[0]  ? NET_SWITCH_NAT
					   : record->internal_id[0] ? NET_SWITCH_INTERNAL
								    : NET_SWITCH_PRIVATE,
				   .uplink = record->uplink,
				   .host_shares = record->internal_id[0] != 0};
	return record->nat_subnet[0] ? net_subnet_parse(record->nat_subnet, &out->host, reason, reason_size)
				     : 0;
}

static bool describe_address(const char *text, unsigned prefix, unsigned type, struct arena *arena,
			     struct net_address *out)
{
	char reason[NET_REASON_SIZE];

	memset(out, 0, sizeof(*out));
	if (!text[0])
		return true;
	/* A MAC has no prefix. */
	return net_address_parse(type == 1 ? text : arena_printf(arena, "%s/%u", text, prefix), out, reason,
				 sizeof(reason)) == 0;
}

static void describe_acls(const struct store_nic *nic, struct net_port *port, struct arena *arena)
{
	static const enum net_address_kind kinds[] = {NET_ADDRESS_ANY, NET_ADDRESS_ANY, NET_ADDRESS_IPV4,
						      NET_ADDRESS_IPV6};
	struct net_acl *acls = arena_alloc(arena, (nic->acl_count + 1) * sizeof(*acls));

	for (unsigned i = 0; i < nic->acl_count; i++) {
		const struct store_acl *from = &nic->acls[i];
		struct net_acl *acl = &acls[port->acl_count];

		acl->action = from->action == ACTION_ALLOW  ? NET_ACL_ALLOW
			      : from->action == ACTION_DENY ? NET_ACL_DENY
							    : NET_ACL_METER;
		acl->inbound = from->direction == DIRECTION_INCOMING;
		acl->outbound = !acl->inbound;
		/* Addresses were checked on their way in. */
		if (!describe_address(from->local, from->local_prefix, from->type, arena, &acl->local) ||
		    !describe_address(from->remote, from->remote_prefix, from->type, arena, &acl->remote))
			continue;
		/* All addresses of a family are still of that family. */
		if (acl->local.kind == NET_ADDRESS_ANY && acl->remote.kind == NET_ADDRESS_ANY)
			acl->remote.kind = kinds[from->type];
		port->acl_count++;
	}
	port->acls = acls;
}

static unsigned queue_count(const struct vm *vm)
{
	return vm->record.processor_count < NET_QUEUES_MAX ? vm->record.processor_count : NET_QUEUES_MAX;
}

static void describe_port(const struct model *model, const struct vm *vm, const struct store_nic *nic,
			  struct net_port *port, struct arena *arena)
{
	const struct vswitch *s = network_switch_of(model, nic);

	*port = (struct net_port){
		.id = nic->id,
		.name = arena_printf(arena, "\"%s\" of \"%s\"", nic->element_name, vm->record.element_name),
		.switch_id = s ? s->record.id : NULL,
		.queues = queue_count(vm),
		.mtu = NETWORK_MTU};
	memcpy(port->mac, nic->mac, sizeof(port->mac));
	if (nic->features[STORE_FEATURE_VLAN] && nic->vlan_mode) {
		port->vlan_mode = nic->vlan_mode == VLAN_TRUNK ? NET_VLAN_TRUNK : NET_VLAN_ACCESS;
		port->vlan = nic->vlan_mode == VLAN_ACCESS  ? nic->access_vlan
			     : nic->vlan_mode == VLAN_TRUNK ? nic->native_vlan
							    : nic->primary_vlan;
		port->isolated = nic->vlan_mode == VLAN_PRIVATE && nic->pvlan_mode == PVLAN_ISOLATED;
		memcpy(port->trunk.bits, nic->trunk, sizeof(port->trunk.bits));
	}
	if (nic->features[STORE_FEATURE_BANDWIDTH]) {
		port->max_bps = nic->limit_bps;
		port->min_bps = nic->reservation_bps;
	}
	if (nic->features[STORE_FEATURE_SECURITY]) {
		port->allow_mac_spoofing = nic->mac_spoofing;
		port->dhcp_guard = nic->dhcp_guard;
		port->router_guard = nic->router_guard;
		port->monitor = (enum net_monitor)nic->monitor_mode;
		port->monitor_session = nic->monitor_session;
	}
	describe_acls(nic, port, arena);
}

static bool has_ports(const struct vm *vm, const struct vm *starting)
{
	return vm->worker || vm == starting;
}

static struct net_plan describe_all(const struct model *model, const struct vm *starting, struct arena *arena)
{
	struct net_switch *switches;
	struct net_port *ports;
	struct net_plan plan = {0};
	char reason[NET_REASON_SIZE];
	unsigned switch_count = 1, port_count = 1;

	for (const struct vswitch *s = model->network->switches; s; s = s->next)
		switch_count++;
	for (const struct vm *vm = model->vms; vm; vm = vm->next)
		port_count += vm->network.nic_count;
	plan.switches = switches = arena_alloc(arena, switch_count * sizeof(*switches));
	plan.ports = ports = arena_alloc(arena, port_count * sizeof(*ports));
	for (const struct vswitch *s = model->network->switches; s; s = s->next)
		if (!describe_switch(&s->record, &switches[plan.switch_count], reason, sizeof(reason)))
			plan.switch_count++;
	for (const struct vm *vm = model->vms; vm; vm = vm->next)
		for (unsigned i = 0; has_ports(vm, starting) && i < vm->network.nic_count; i++)
			describe_port(model, vm, &vm->network.nics[i], &ports[plan.port_count++], arena);
	return plan;
}

/* ---- putting it into effect ---- */

static int apply_rules(struct model *model, const struct vm *starting, char *reason, unsigned reason_size)
{
	struct network *network = model->network;
	struct arena arena;
	struct net_plan plan;
	int result = 0;

	arena_init(&arena);
	plan = describe_all(model, starting, &arena);
	if (plan.switch_count || plan.port_count || network->has_rules) {
		result = net_rules_apply(network->net, &plan, reason, reason_size);
		network->has_rules = plan.switch_count || plan.port_count;
	}
	arena_fini(&arena);
	return result;
}

static int managed(const struct network *network, char *reason, unsigned reason_size)
{
	if (network->net)
		return 0;
	snprintf(reason, reason_size, "The host's network cannot be managed: %.400s", network->problem);
	return -1;
}

static int load_switch(void *context, const struct store_switch *record)
{
	struct network *network = context;
	struct vswitch *s = calloc(1, sizeof(*s)), **link = &network->switches;

	if (!s)
		return -1;
	s->record = *record;
	while (*link)
		link = &(*link)->next;
	*link = s;
	return 0;
}

int network_open(struct model *model, char *reason, unsigned reason_size)
{
	char directory[PATH_MAX + 16];

	model->network = calloc(1, sizeof(*model->network));
	if (!model->network) {
		snprintf(reason, reason_size, "No memory");
		return -1;
	}
	if (store_switch_each(model->store, load_switch, model->network)) {
		snprintf(reason, reason_size, "Switches: %s", store_error(model->store));
		return -1;
	}
	snprintf(directory, sizeof(directory), "%s/network", model->config->rundir);
	model->network->net = net_open(directory, model->network->problem, sizeof(model->network->problem));
	if (!model->network->net)
		log_warning("network.open", "text=\"%s\"", model->network->problem);
	return 0;
}

void network_close(struct model *model)
{
	struct network *network = model->network;

	while (network && network->switches) {
		struct vswitch *next = network->switches->next;

		free(network->switches);
		network->switches = next;
	}
	if (network)
		net_close(network->net);
	free(network);
	model->network = NULL;
}

static void apply_switch(struct network *network, struct vswitch *s)
{
	struct net_switch want;

	s->problem[0] = 0;
	if (managed(network, s->problem, sizeof(s->problem)) ||
	    describe_switch(&s->record, &want, s->problem, sizeof(s->problem)) ||
	    net_switch_apply(network->net, &want, s->problem, sizeof(s->problem)))
		log_error("network.switch", "switch=%s text=\"%s\"", s->record.id, s->problem);
}

static int apply_port(struct model *model, const struct vm *vm, const struct store_nic *nic, char *reason,
		      unsigned reason_size)
{
	struct arena arena;
	struct net_port port;
	int result;

	arena_init(&arena);
	describe_port(model, vm, nic, &port, &arena);
	result = net_port_apply(model->network->net, &port, reason, reason_size);
	arena_fini(&arena);
	return result;
}

static void tell_worker(struct vm *vm, const struct store_nic *nic, enum network_link link)
{
	if (worker_call(vm->worker, "device", network_wire_set(nic, link), NULL, 0, NULL, NULL))
		log_warning("network.worker", "vm=%s text=\"The worker takes no calls\"", vm->record.id);
}

/* Ports of running machines, and the link as their workers shall see it. */
static void settle_ports(struct model *model)
{
	char reason[NET_REASON_SIZE];

	if (apply_rules(model, NULL, reason, sizeof(reason)))
		log_error("network.rules", "text=\"%s\"", reason);
	for (struct vm *vm = model->vms; vm; vm = vm->next)
		for (unsigned i = 0; vm->worker && i < vm->network.nic_count; i++) {
			const struct store_nic *nic = &vm->network.nics[i];

			if (apply_port(model, vm, nic, reason, sizeof(reason)))
				log_error("network.port", "vm=%s text=\"%s\"", vm->record.id, reason);
			tell_worker(vm, nic,
				    network_switch_of(model, nic) ? NETWORK_LINK_UP : NETWORK_LINK_DOWN);
		}
}

/* What a crash left of a switch that was not stored yet. Who has no switches has left none. */
static void sweep(struct model *model)
{
	char reason[NET_REASON_SIZE];
	struct net_plan plan;
	struct arena arena;

	if (!model->network->switches)
		return;
	arena_init(&arena);
	plan = describe_all(model, NULL, &arena);
	if (net_sweep(model->network->net, &plan, reason, sizeof(reason)))
		log_error("network.sweep", "text=\"%s\"", reason);
	arena_fini(&arena);
}

void network_settle(struct model *model)
{
	struct network *network = model->network;

	for (struct vswitch *s = network->switches; s; s = s->next)
		apply_switch(network, s);
	if (!network->net)
		return;
	sweep(model);
	settle_ports(model);
}

/* An adapter that was not there at first may have come. */
static void retry_switches(struct model *model)
{
	bool any = false;

	for (struct vswitch *s = model->network->switches; s; s = s->next)
		if (s->problem[0]) {
			apply_switch(model->network, s);
			any |= !s->problem[0];
		}
	if (any)
		settle_ports(model);
}

void network_tick(struct model *model)
{
	struct network *network = model->network;
	int64_t now = model_monotonic_ms();
	char reason[NET_REASON_SIZE];

	if (!network->net)
		return;
	net_tick(network->net, reason, sizeof(reason));
	if (reason[0])
		log_warning("network.dnsmasq", "text=\"%s\"", reason);
	if (now < network->retry_at_ms)
		return;
	network->retry_at_ms = now + RETRY_MS;
	retry_switches(model);
}

/* ---- switches ---- */

static int check_subnet(const struct model *model, const struct store_switch *record, char *reason,
			unsigned reason_size)
{
	struct net_subnet subnet, other;
	char device[IF_NAMESIZE];

	if (!record->nat_subnet[0])
		return 0;
	if (net_subnet_parse(record->nat_subnet, &subnet, reason, reason_size))
		return -1;
	for (const struct vswitch *s = model->network->switches; s; s = s->next)
		if (strcmp(s->record.id, record->id) != 0 && s->record.nat_subnet[0] &&
		    net_subnet_parse(s->record.nat_subnet, &other, reason, reason_size) == 0 &&
		    net_subnets_overlap(&subnet, &other)) {
			snprintf(reason, reason_size, "%s overlaps with %s of the switch '%.128s'",
				 record->nat_subnet, s->record.nat_subnet, s->record.element_name);
			return -1;
		}
	if (net_subnet_user(model->network->net, &subnet, record->id, device) == 1) {
		snprintf(reason, reason_size, "%s: the host's %s has an address in this network",
			 record->nat_subnet, device);
		return -1;
	}
	return 0;
}

static int check_uplink(const struct model *model, const struct store_switch *record, char *reason,
			unsigned reason_size)
{
	for (const struct vswitch *s = model->network->switches; s; s = s->next)
		if (record->uplink[0] && strcmp(s->record.id, record->id) != 0 &&
		    strcmp(s->record.uplink, record->uplink) == 0) {
			snprintf(reason, reason_size,
				 "switch '%.128s': %s is already the network adapter of the switch '%.128s'",
				 record->element_name, record->uplink, s->record.element_name);
			return -1;
		}
	return 0;
}

int network_switch_check(const struct model *model, const struct store_switch *record, char *reason,
			 unsigned reason_size)
{
	return managed(model->network, reason, reason_size) ||
			       check_uplink(model, record, reason, reason_size) ||
			       check_subnet(model, record, reason, reason_size)
		       ? -1
		       : 0;
}

/* Back to what was: the former switch, or none. */
static void undo_switch(struct model *model, struct vswitch *former, const char *id)
{
	char reason[NET_REASON_SIZE];

	if (former)
		apply_switch(model->network, former);
	else if (net_switch_remove(model->network->net, id, reason, sizeof(reason)))
		log_error("network.switch", "switch=%s text=\"%s\"", id, reason);
}

int network_switch_put(struct model *model, const struct store_switch *record, char *reason,
		       unsigned reason_size)
{
	struct network *network = model->network;
	struct vswitch *s = vswitch_find(model, record->id);
	struct net_switch want;

	if (managed(network, reason, reason_size) || describe_switch(record, &want, reason, reason_size))
		return -1;
	if (net_switch_apply(network->net, &want, reason, reason_size)) {
		undo_switch(model, s, record->id);
		return -1;
	}
	if (store_switch_put(model->store, record)) {
		snprintf(reason, reason_size, "Store: %s", store_error(model->store));
		undo_switch(model, s, record->id);
		return -1;
	}
	if (s) {
		s->record = *record;
		s->problem[0] = 0;
	} else if (load_switch(network, record)) {
		abort(); /* as for arenas */
	}
	/* The switch is there and stays; what its rules miss is said once, and again with each change. */
	if (apply_rules(model, NULL, reason, reason_size)) {
		s = vswitch_find(model, record->id);
		snprintf(s->problem, sizeof(s->problem), "%s", reason);
		log_error("network.rules", "text=\"%s\"", reason);
	}
	return 0;
}

int network_switch_remove(struct model *model, struct vswitch *vswitch, char *reason, unsigned reason_size)
{
	struct network *network = model->network;
	struct vswitch **link = &network->switches;

	/* What cannot be managed was not made; the record goes all the same. */
	if (network->net && net_switch_remove(network->net, vswitch->record.id, reason, reason_size))
		return -1;
	if (store_switch_delete(model->store, vswitch->record.id)) {
		snprintf(reason, reason_size, "Store: %s", store_error(model->store));
		apply_switch(network, vswitch);
		return -1;
	}
	while (*link != vswitch)
		link = &(*link)->next;
	*link = vswitch->next;
	free(vswitch);
	if (network->net && apply_rules(model, NULL, reason, reason_size))
		log_error("network.rules", "text=\"%s\"", reason);
	return 0;
}

/* ---- ports ---- */

void network_close_taps(struct network_taps *taps)
{
	for (unsigned i = 0; i < taps->nic_count; i++)
		for (unsigned q = 0; q < taps->queue_count; q++)
			close(taps->fds[i][q]);
	taps->nic_count = 0;
}

static int open_taps(struct model *model, const struct vm *vm, struct network_taps *taps, struct arena *arena,
		     char *reason, unsigned reason_size)
{
	for (unsigned i = 0; i < vm->network.nic_count; i++) {
		struct net_port port;

		describe_port(model, vm, &vm->network.nics[i], &port, arena);
		if (net_port_open(model->network->net, &port, taps->fds[i], reason, reason_size))
			return -1;
		taps->nic_count++;
	}
	if (apply_rules(model, vm, reason, reason_size))
		return -1;
	for (unsigned i = 0; i < vm->network.nic_count; i++)
		if (apply_port(model, vm, &vm->network.nics[i], reason, reason_size))
			return -1;
	return 0;
}

int network_open_taps(struct model *model, const struct vm *vm, struct network_taps *taps, char *reason,
		      unsigned reason_size)
{
	struct arena arena;
	int result;

	*taps = (struct network_taps){.queue_count = queue_count(vm)};
	if (!vm->network.nic_count)
		return 0;
	if (managed(model->network, reason, reason_size))
		return -1;
	arena_init(&arena);
	result = open_taps(model, vm, taps, &arena, reason, reason_size);
	arena_fini(&arena);
	if (result)
		network_close_taps(taps);
	return result;
}

int network_open_tap(const struct vm *vm, const struct store_nic *nic, struct network_tap *tap, char *reason,
		     unsigned reason_size)
{
	struct network *network = vm->model->network;
	struct arena arena;
	struct net_port port;
	int result;

	if (managed(network, reason, reason_size))
		return -1;
	arena_init(&arena);
	describe_port(vm->model, vm, nic, &port, &arena);
	result = net_port_open(network->net, &port, tap->fds, reason, reason_size);
	arena_fini(&arena);
	tap->count = result ? 0 : port.queues;
	return result;
}

void network_close_tap(struct network_tap *tap)
{
	for (unsigned q = 0; q < tap->count; q++)
		close(tap->fds[q]);
	tap->count = 0;
}

static enum network_link link_change(const struct vswitch *before, const struct vswitch *now)
{
	if (before == now)
		return NETWORK_LINK_SAME;
	return !now ? NETWORK_LINK_DOWN : before ? NETWORK_LINK_MOVED : NETWORK_LINK_UP;
}

static int change_ports(struct vm *vm, const struct vswitch *const before[STORE_NICS_MAX], char *reason,
			unsigned reason_size)
{
	struct model *model = vm->model;

	if (managed(model->network, reason, reason_size) || apply_rules(model, NULL, reason, reason_size))
		return -1;
	for (unsigned i = 0; i < vm->network.nic_count; i++) {
		const struct store_nic *nic = &vm->network.nics[i];

		if (apply_port(model, vm, nic, reason, reason_size))
			return -1;
		tell_worker(vm, nic, link_change(before[i], network_switch_of(model, nic)));
	}
	return 0;
}

int network_take(struct vm *vm, const struct store_network *network, char *reason, unsigned reason_size)
{
	const struct vswitch *before[STORE_NICS_MAX] = {NULL};

	for (unsigned i = 0; i < network->nic_count; i++) {
		const struct store_nic *former = network_nic(&vm->network, network->nics[i].id);

		before[i] = former ? network_switch_of(vm->model, former) : NULL;
	}
	vm->network = *network;
	return vm->worker ? change_ports(vm, before, reason, reason_size) : 0;
}

void network_vm_gone(struct model *model)
{
	char reason[NET_REASON_SIZE];

	if (model->network->has_rules && apply_rules(model, NULL, reason, sizeof(reason)))
		log_error("network.rules", "text=\"%s\"", reason);
}
