/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nftables: two tables of our own, `bridge undercroft` and `ip undercroft`, made anew from the plan in one
 * transaction.
 *
 *   bridge   from    what a guest sends, at its port: spoofing, guards, access list, limit
 *            to      what goes to a guest, at its port: access list
 *            input, output   nothing between the parent and switches that it has no part in
 *   ip       translation of NAT networks, and nobody from outside gets into them
 *
 * Matches name `meta protocol` where nft would look at the type in the frame: that is 802.1Q in a trunk.
 */
#include <arpa/inet.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/netlink.h"

#define LIMIT_BURST_MIN 65536u

static void write_address(FILE *out, const struct net_address *address, bool source)
{
	const char *end = source ? "s" : "d";
	char text[INET6_ADDRSTRLEN];

	switch (address->kind) {
	case NET_ADDRESS_ANY:
		break;
	case NET_ADDRESS_MAC:
		fprintf(out, "ether %saddr %02x:%02x:%02x:%02x:%02x:%02x ", end, address->bytes[0],
			address->bytes[1], address->bytes[2], address->bytes[3], address->bytes[4],
			address->bytes[5]);
		break;
	case NET_ADDRESS_IPV4:
		inet_ntop(AF_INET, address->bytes, text, sizeof(text));
		if (address->prefix)
			fprintf(out, "meta protocol ip ip %saddr %s/%u ", end, text, address->prefix);
		else
			fputs("meta protocol ip ", out);
		break;
	case NET_ADDRESS_IPV6:
		inet_ntop(AF_INET6, address->bytes, text, sizeof(text));
		if (address->prefix)
			fprintf(out, "meta protocol ip6 ip6 %saddr %s/%u ", end, text, address->prefix);
		else
			fputs("meta protocol ip6 ", out);
		break;
	}
}

static unsigned address_bits(const struct net_address *address)
{
	switch (address->kind) {
	case NET_ADDRESS_ANY:
		return 0;
	case NET_ADDRESS_MAC:
		return 256; /* says more than any network */
	case NET_ADDRESS_IPV4:
		return 97 + address->prefix;
	case NET_ADDRESS_IPV6:
		return 1 + address->prefix;
	}
	return 0;
}

/* The order in which entries are tried: meters see everything, then the narrower one wins, deny before allow.
 */
static int compare_acls(const void *left, const void *right)
{
	const struct net_acl *a = *(const struct net_acl *const *)left,
			     *b = *(const struct net_acl *const *)right;
	unsigned a_bits = address_bits(&a->local) + address_bits(&a->remote),
		 b_bits = address_bits(&b->local) + address_bits(&b->remote);

	if ((a->action == NET_ACL_METER) != (b->action == NET_ACL_METER))
		return a->action == NET_ACL_METER ? -1 : 1;
	if (a_bits != b_bits)
		return a_bits > b_bits ? -1 : 1;
	return (int)b->action - (int)a->action;
}

static int write_acls(FILE *out, const struct net_port *port, bool inbound)
{
	static const char *const verdicts[] = {[NET_ACL_ALLOW] = "counter return",
					       [NET_ACL_DENY] = "counter drop",
					       [NET_ACL_METER] = "counter"};
	const struct net_acl **order = calloc(port->acl_count + 1, sizeof(const struct net_acl *));

	if (!order)
		return -1;
	for (unsigned i = 0; i < port->acl_count; i++)
		order[i] = &port->acls[i];
	qsort(order, port->acl_count, sizeof(const struct net_acl *), compare_acls);
	for (unsigned i = 0; i < port->acl_count; i++) {
		if (!(inbound ? order[i]->inbound : order[i]->outbound))
			continue;
		fputs("\t\t", out);
		write_address(out, &order[i]->local, !inbound);
		write_address(out, &order[i]->remote, inbound);
		fprintf(out, "%s\n", verdicts[order[i]->action]);
	}
	free(order);
	return 0;
}

static void write_guards(FILE *out, const struct net_port *port)
{
	const uint8_t *mac = port->mac;

	if (!port->allow_mac_spoofing)
		fprintf(out, "\t\tether saddr != %02x:%02x:%02x:%02x:%02x:%02x counter drop\n", mac[0],
			mac[1], mac[2], mac[3], mac[4], mac[5]);
	if (port->dhcp_guard)
		fputs("\t\tmeta protocol ip meta l4proto udp udp sport 67 counter drop\n"
		      "\t\tmeta protocol ip6 meta l4proto udp udp sport 547 counter drop\n",
		      out);
	if (port->router_guard)
		fputs("\t\tmeta protocol ip6 meta l4proto ipv6-icmp icmpv6 type { nd-router-advert, "
		      "nd-redirect } counter "
		      "drop\n"
		      "\t\tmeta protocol ip meta l4proto icmp icmp type { redirect, router-advertisement } "
		      "counter drop\n",
		      out);
}

static int write_port(FILE *out, const struct net_port *port)
{
	char device[IF_NAMESIZE];

	net_port_device(port->id, device);
	fprintf(out, "\tchain acl_from_%s {\n", device);
	if (write_acls(out, port, false))
		return -1;
	fprintf(out, "\t}\n\tchain acl_to_%s {\n", device);
	if (write_acls(out, port, true))
		return -1;
	fprintf(out, "\t}\n\tchain from_%s {\n", device);
	write_guards(out, port);
	fprintf(out, "\t\tjump acl_from_%s\n", device);
	if (port->max_bps) {
		uint64_t bytes = port->max_bps / 8 ? port->max_bps / 8 : 1;
		uint64_t burst = bytes / 100 > LIMIT_BURST_MIN ? bytes / 100 : LIMIT_BURST_MIN;

		fprintf(out, "\t\tlimit rate over %llu bytes/second burst %llu bytes counter drop\n",
			(unsigned long long)bytes,
			(unsigned long long)(burst < UINT32_MAX ? burst : UINT32_MAX));
	}
	fputs("\t}\n", out);
	return 0;
}

static void write_jumps(FILE *out, const struct net_plan *plan, const char *hook, const char *match,
			const char *chain)
{
	char device[IF_NAMESIZE];

	fprintf(out, "\tchain %s {\n\t\ttype filter hook %s priority 0; policy accept;\n", hook, hook);
	if (plan->port_count) {
		fprintf(out, "\t\t%s vmap { ", match);
		for (unsigned i = 0; i < plan->port_count; i++) {
			net_port_device(plan->ports[i].id, device);
			fprintf(out, "%s\"%s\" : jump %s_%s", i ? ", " : "", device, chain, device);
		}
		fputs(" }\n", out);
	}
	fputs("\t}\n", out);
}

static const struct net_switch *switch_of(const struct net_plan *plan, const char *id)
{
	for (unsigned i = 0; id && i < plan->switch_count; i++)
		if (strcasecmp(plan->switches[i].id, id) == 0)
			return &plan->switches[i];
	return NULL;
}

static bool is_closed(const struct net_switch *s)
{
	return s->kind == NET_SWITCH_PRIVATE || (s->kind == NET_SWITCH_EXTERNAL && !s->host_shares);
}

/* A bridge without an address still answers for the parent's others: so the parent's end is cut off. */
static void write_closed(FILE *out, const struct net_plan *plan, const char *hook, const char *match)
{
	char device[IF_NAMESIZE];

	fprintf(out, "\tchain %s {\n\t\ttype filter hook %s priority 0; policy accept;\n", hook, hook);
	for (unsigned i = 0; i < plan->port_count; i++) {
		const struct net_switch *s = switch_of(plan, plan->ports[i].switch_id);

		net_port_device(plan->ports[i].id, device);
		if (!s || is_closed(s))
			fprintf(out, "\t\t%s \"%s\" drop\n", match, device);
	}
	for (unsigned i = 0; i < plan->switch_count; i++)
		if (plan->switches[i].kind == NET_SWITCH_EXTERNAL && is_closed(&plan->switches[i]))
			fprintf(out, "\t\t%s \"%s\" drop\n", match, plan->switches[i].uplink);
	fputs("\t}\n", out);
}

static void write_nat(FILE *out, const struct net_plan *plan)
{
	char device[IF_NAMESIZE], address[INET_ADDRSTRLEN];

	fputs("\tchain postrouting {\n\t\ttype nat hook postrouting priority 100; policy accept;\n", out);
	for (unsigned i = 0; i < plan->switch_count; i++) {
		const struct net_switch *s = &plan->switches[i];

		if (s->kind != NET_SWITCH_NAT)
			continue;
		net_switch_device(s->id, device);
		inet_ntop(AF_INET, &s->host.address, address, sizeof(address));
		fprintf(out, "\t\tip saddr %s/%u oifname != \"%s\" masquerade\n", address, s->host.prefix,
			device);
	}
	fputs("\t}\n\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n", out);
	for (unsigned i = 0; i < plan->switch_count; i++) {
		if (plan->switches[i].kind != NET_SWITCH_NAT)
			continue;
		net_switch_device(plan->switches[i].id, device);
		fprintf(out,
			"\t\toifname \"%s\" iifname != \"%s\" ct state != { established, related } drop\n",
			device, device);
	}
	fputs("\t}\n", out);
}

static bool has_nat(const struct net_plan *plan)
{
	for (unsigned i = 0; i < plan->switch_count; i++)
		if (plan->switches[i].kind == NET_SWITCH_NAT)
			return true;
	return false;
}

/* To delete a table it must be there; to add one that is there is no error. */
static char *write_script(const struct net_plan *plan)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool bad = false;

	if (!out)
		return NULL;
	fputs("add table bridge undercroft\ndelete table bridge undercroft\n"
	      "add table ip undercroft\ndelete table ip undercroft\n",
	      out);
	if (plan->port_count || plan->switch_count) {
		fputs("table bridge undercroft {\n", out);
		for (unsigned i = 0; i < plan->port_count && !bad; i++)
			bad = write_port(out, &plan->ports[i]) != 0;
		for (unsigned i = 0; i < plan->port_count; i++) {
			char device[IF_NAMESIZE];

			net_port_device(plan->ports[i].id, device);
			fprintf(out, "\tchain to_%s {\n\t\tjump acl_to_%s\n\t}\n", device, device);
		}
		write_jumps(out, plan, "prerouting", "iifname", "from");
		write_jumps(out, plan, "postrouting", "oifname", "to");
		write_closed(out, plan, "input", "iifname");
		write_closed(out, plan, "output", "oifname");
		fputs("}\n", out);
	}
	if (has_nat(plan)) {
		fputs("table ip undercroft {\n", out);
		write_nat(out, plan);
		fputs("}\n", out);
	}
	if (fclose(out) || bad) {
		free(text);
		return NULL;
	}
	return text;
}

static int apply_mirrors(struct net *net, const struct net_plan *plan, char *reason, unsigned reason_size)
{
	for (unsigned i = 0; i < plan->port_count; i++) {
		const struct net_port *port = &plan->ports[i];
		int targets[MIRROR_TARGETS_MAX], error;
		char device[IF_NAMESIZE];
		unsigned count = 0;
		struct link link, to;

		net_port_device(port->id, device);
		if (link_find(net, device, &link) != 1 || !link_is_of(&link, device, port->id))
			continue;
		for (unsigned n = 0; n < plan->port_count && count < MIRROR_TARGETS_MAX; n++) {
			const struct net_port *other = &plan->ports[n];

			if (port->monitor != NET_MONITOR_SOURCE ||
			    other->monitor != NET_MONITOR_DESTINATION ||
			    other->monitor_session != port->monitor_session || !port->switch_id ||
			    !other->switch_id || strcasecmp(port->switch_id, other->switch_id) != 0)
				continue;
			net_port_device(other->id, device);
			if (link_find(net, device, &to) == 1 && link_is_of(&to, device, other->id))
				targets[count++] = to.index;
		}
		error = mirror_apply(net, link.index, targets, count);
		if (error)
			return net_refuse(reason, reason_size, "%s: mirroring: %s", port->name,
					  netlink_why(net, error));
	}
	return 0;
}

/* The first line of what nft said, without where it stands in our text. */
static int nft_failed(struct net *net, char *reason, unsigned reason_size)
{
	const char *text = nft_ctx_get_error_buffer(net->nft);
	const char *error = strstr(text, "Error: ");

	text = error ? error + strlen("Error: ") : text;
	return net_refuse(reason, reason_size, "nftables: %.*s", (int)strcspn(text, "\n"), text);
}

int net_rules_apply(struct net *net, const struct net_plan *plan, char *reason, unsigned reason_size)
{
	char *script = write_script(plan);
	int result;

	if (!script)
		return net_refuse(reason, reason_size, "No memory for the rules");
	result = nft_run_cmd_from_buffer(net->nft, script);
	free(script);
	if (result)
		return nft_failed(net, reason, reason_size);
	return apply_mirrors(net, plan, reason, reason_size);
}
