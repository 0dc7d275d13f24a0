/* SPDX-License-Identifier: Apache-2.0 */
/* Networks, addresses and VLAN lists as people write them. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/netlink.h"

/* Digits only, 0..max; -1. */
static int number(const char *text, size_t size, unsigned max)
{
	unsigned value = 0;

	if (!size || size > 5)
		return -1;
	for (size_t i = 0; i < size; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	return value <= max ? (int)value : -1;
}

static uint32_t mask_of(unsigned prefix)
{
	return prefix ? ~UINT32_C(0) << (32 - prefix) : 0;
}

bool net_subnets_overlap(const struct net_subnet *a, const struct net_subnet *b)
{
	uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);

	return a->prefix && b->prefix && ((ntohl(a->address.s_addr) ^ ntohl(b->address.s_addr)) & mask) == 0;
}

int net_subnet_parse(const char *text, struct net_subnet *out, char *reason, unsigned reason_size)
{
	const char *slash = strchr(text, '/');
	int prefix = slash ? number(slash + 1, strlen(slash + 1), 32) : -1;
	char address[INET_ADDRSTRLEN];
	uint32_t host;

	if (prefix < 0 || slash - text >= (int)sizeof(address))
		return net_refuse(reason, reason_size, "\"%.64s\" is no IPv4 network such as 192.168.77.0/24",
				  text);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = 0;
	if (inet_pton(AF_INET, address, &out->address) != 1)
		return net_refuse(reason, reason_size, "\"%.64s\" is no IPv4 network such as 192.168.77.0/24",
				  text);
	if (prefix < 8 || prefix > 29)
		return net_refuse(reason, reason_size, "%.64s: the prefix must be 8 to 29 bits long", text);
	host = ntohl(out->address.s_addr);
	if (host & ~mask_of((unsigned)prefix))
		return net_refuse(reason, reason_size, "%.64s: bits are set behind the prefix", text);
	if (host >> 24 == 0 || host >> 24 == 127 || host >> 24 >= 224)
		return net_refuse(reason, reason_size, "%.64s: not a network of hosts", text);
	out->address.s_addr = htonl(host + 1);
	out->prefix = (unsigned)prefix;
	return 0;
}

int net_vlans_parse(const char *text, struct net_vlans *out, char *reason, unsigned reason_size)
{
	memset(out, 0, sizeof(*out));
	while (*text) {
		size_t size = strcspn(text, ","), dash = strcspn(text, "-,");
		int first = number(text, dash, NET_VLAN_MAX), last = first;

		if (dash < size)
			last = number(text + dash + 1, size - dash - 1, NET_VLAN_MAX);
		if (first < 1 || last < first)
			return net_refuse(reason, reason_size,
					  "\"%.*s\" is no VLAN or range of VLANs from 1 to %d",
					  (int)(size < 32 ? size : 32), text, NET_VLAN_MAX);
		for (unsigned id = (unsigned)first; id <= (unsigned)last; id++)
			net_vlans_add(out, id);
		text += size;
		if (*text == ',' && !*++text)
			return net_refuse(reason, reason_size, "the list of VLANs ends with a comma");
	}
	return 0;
}

int net_mac_parse(const char *text, uint8_t mac[6])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 12; i++) {
		const char *digit;

		if (i && i % 2 == 0 && (*text == '-' || *text == ':'))
			text++;
		digit = *text ? strchr(digits, tolower((unsigned char)*text++)) : NULL;
		if (!digit)
			return -1;
		mac[i / 2] = (uint8_t)(mac[i / 2] << 4 | (digit - digits));
	}
	return *text ? -1 : 0;
}

int net_address_parse(const char *text, struct net_address *out, char *reason, unsigned reason_size)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN];
	size_t size = slash ? (size_t)(slash - text) : strlen(text);
	int prefix = -1;

	memset(out, 0, sizeof(*out));
	if (strcasecmp(text, "any") == 0 || strcmp(text, "*") == 0)
		return 0;
	if (!slash && net_mac_parse(text, out->bytes) == 0) {
		out->kind = NET_ADDRESS_MAC;
		return 0;
	}
	memset(out, 0, sizeof(*out));
	if (size < sizeof(address)) {
		memcpy(address, text, size);
		address[size] = 0;
		if (inet_pton(AF_INET, address, out->bytes) == 1)
			out->kind = NET_ADDRESS_IPV4;
		else if (inet_pton(AF_INET6, address, out->bytes) == 1)
			out->kind = NET_ADDRESS_IPV6;
	}
	if (out->kind != NET_ADDRESS_ANY)
		prefix =
			slash ? number(slash + 1, strlen(slash + 1), out->kind == NET_ADDRESS_IPV4 ? 32 : 128)
			      : (out->kind == NET_ADDRESS_IPV4 ? 32 : 128);
	if (prefix < 0)
		return net_refuse(reason, reason_size,
				  "\"%.64s\" is no MAC, IPv4 or IPv6 address, nor one with a prefix", text);
	out->prefix = (unsigned)prefix;
	return 0;
}
