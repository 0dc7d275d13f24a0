/* SPDX-License-Identifier: Apache-2.0 */
/* Ports among themselves: switches, queues, VLANs, guards, access lists, mirrors, bandwidth. */
#include "net_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

static void ports_of_a_switch_reach_each_other(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_port_state port;
	struct frame frame;

	connect_ports(bench, 3);
	assert_true(reaches(bench, 0, 1));
	assert_true(reaches(bench, 1, 0));
	assert_true(reaches(bench, 2, 0));
	/* Learned: a third port does not see what two say to each other. */
	frame = frame_to(bench, 0, 1, 0x88b5, "x", 1);
	send_frame(bench, 0, &frame);
	assert_true(arrives(bench, 1, &frame, 300));
	assert_false(arrives(bench, 2, &frame, 50));
	assert_int_equal(net_port_state(bench->net, bench->ids[0], &port), 1);
	assert_true(port.connected && port.running);
	assert_int_equal(port.tx_frames, 2);
	assert_int_equal(port.rx_frames, 2);
	assert_string_equal(port.switch_device, "ucb0a0b0c0d");
	assert_int_equal(net_port_state(bench->net, bench->ids[3], &port), 0);
}

static void a_port_moves_to_another_switch_and_out(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_port_state port;

	connect_ports(bench, 3);
	bench->ports[1].switch_id = bench->ports[2].switch_id = SWITCH_B;
	connect_port(bench, 1);
	assert_false(reaches(bench, 0, 1));
	assert_true(reaches(bench, 0, 2));
	connect_port(bench, 2);
	assert_false(reaches(bench, 0, 2));
	assert_true(reaches(bench, 1, 2));
	bench->ports[2].switch_id = NULL;
	connect_port(bench, 2);
	assert_int_equal(net_port_state(bench->net, bench->ids[2], &port), 1);
	assert_false(port.connected);
	assert_string_equal(port.switch_device, "");
	bench->ports[2].switch_id = "FFFFFFFF-0000-4000-8000-000000000000";
	refused(bench, net_port_apply(bench->net, &bench->ports[2], WHY(bench)),
		"vm2: the switch's bridge is missing");
}

static void all_queues_of_a_port_are_open(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct frame frame;
	bool seen = false;

	bench->ports[0].queues = NET_QUEUES_MAX;
	connect_ports(bench, 2);
	for (unsigned q = 0; q < NET_QUEUES_MAX; q++) {
		frame = frame_to(bench, 0, -1, 0x88b5, &q, sizeof(q));
		assert_int_equal(write(bench->fds[0][q], frame.bytes, frame.size), frame.size);
		assert_true(arrives(bench, 1, &frame, 300));
	}
	frame = frame_to(bench, 1, -1, 0x88b5, "back", 4);
	send_frame(bench, 1, &frame);
	for (unsigned q = 0; q < NET_QUEUES_MAX; q++) {
		uint8_t bytes[2048];

		seen |= read(bench->fds[0][q], bytes, sizeof(bytes)) == (ssize_t)frame.size;
	}
	assert_true(seen);
	bench->ports[2].queues = NET_QUEUES_MAX + 1;
	refused(bench, net_port_open(bench->net, &bench->ports[2], bench->fds[2], WHY(bench)),
		"1 to 8 queues");
	refused(bench, net_port_open(bench->net, &bench->ports[0], bench->fds[2], WHY(bench)),
		"is there already");
	bench->fds[2][0] = -1;
}

static void everything_may_be_said_twice_and_is_repaired(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_plan plan = plan_of(bench);
	char before[65536];

	connect_ports(bench, 2);
	strcpy(before, output(EVERYTHING));
	connect_ports(bench, 2);
	assert_string_equal(before, output(EVERYTHING));
	/* Another process, after a crash, with some of it undone. */
	net_close(bench->net);
	output("ip link set uct00000001 nomaster; ip link set uct00000000 down; ip link set ucb0a0b0c0d down;"
	       "nft delete table bridge undercroft; ip link set ucb1a1b1c1d alias ''");
	bench->net = net_open(bench->directory, WHY(bench));
	assert_non_null(bench->net);
	connect_ports(bench, 2);
	assert_true(reaches(bench, 0, 1));
	assert_string_equal(before, output(EVERYTHING));
	plan.switch_count = 1;
	good(bench, net_sweep(bench->net, &plan, WHY(bench)));
	assert_false(says("ip link", "ucb1a1b1c1d"));
	assert_true(says("ip link", "ucb0a0b0c0d"));
	good(bench, net_switch_remove(bench->net, SWITCH_A, WHY(bench)));
	good(bench, net_switch_remove(bench->net, SWITCH_A, WHY(bench)));
	assert_false(says("ip link", "ucb0a0b0c0d"));
}

static void what_is_not_ours_stays(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_plan nothing = {0};

	output("ip link add ucb0a0b0c0d type bridge; ip link set ucb0a0b0c0d alias mine; ip link add br0 "
	       "type bridge;"
	       "nft add table bridge other");
	refused(bench, net_switch_apply(bench->net, &bench->switches[0], WHY(bench)),
		"switch 'a': the device ucb0a0b0c0d is not ours");
	good(bench, net_switch_remove(bench->net, SWITCH_A, WHY(bench)));
	good(bench, net_sweep(bench->net, &nothing, WHY(bench)));
	good(bench, net_rules_apply(bench->net, &nothing, WHY(bench)));
	assert_true(says("ip link", "ucb0a0b0c0d"));
	assert_true(says("ip link", "br0"));
	assert_true(says("nft list tables", "bridge other"));
	assert_false(says("nft list tables", "undercroft"));
}

static void vlans_separate(void **state)
{
	struct bench *bench = needs_namespace(state);
	const uint8_t tag[] = {0, 5, 0x88, 0xb5, 'x'};
	struct frame tagged;

	connect_ports(bench, 1);
	needs(says("ip -d link show ucb0a0b0c0d", "vlan_filtering 1"),
	      "this kernel's bridges have no VLAN filtering");
	bench->ports[1].vlan_mode = bench->ports[2].vlan_mode = NET_VLAN_ACCESS;
	bench->ports[1].vlan = bench->ports[2].vlan = 5;
	bench->ports[3].vlan_mode = NET_VLAN_TRUNK;
	net_vlans_add(&bench->ports[3].trunk, 5);
	connect_ports(bench, PORTS);
	assert_false(reaches(bench, 0, 1));
	assert_true(reaches(bench, 1, 2));
	/* With its tag in a trunk; without one, the trunk is in the VLAN of those that have none. */
	assert_true(reaches(bench, 3, 0));
	tagged = frame_to(bench, 3, -1, 0x8100, tag, sizeof(tag));
	send_frame(bench, 3, &tagged);
	assert_false(arrives(bench, 0, &tagged, 100));
	bench->ports[2].vlan = 6;
	connect_port(bench, 2);
	assert_false(reaches(bench, 1, 2));
	assert_true(says("bridge vlan show dev uct00000002", "6 PVID Egress Untagged"));
	assert_false(says("bridge vlan show dev uct00000002", "4094"));
}

static void a_kernel_without_vlans_refuses_them(void **state)
{
	struct bench *bench = needs_namespace(state);

	connect_ports(bench, 1);
	needs(!says("ip -d link show ucb0a0b0c0d", "vlan_filtering 1"),
	      "this kernel's bridges have VLAN filtering");
	bench->ports[0].vlan_mode = NET_VLAN_ACCESS;
	bench->ports[0].vlan = 5;
	refused(bench, net_port_apply(bench->net, &bench->ports[0], WHY(bench)),
		"vm0: this kernel's bridges do not know");
}

static void isolated_ports_reach_only_the_others(void **state)
{
	struct bench *bench = needs_namespace(state);

	bench->ports[0].isolated = bench->ports[1].isolated = true;
	connect_ports(bench, 3);
	assert_false(reaches(bench, 0, 1));
	assert_true(reaches(bench, 0, 2));
	assert_true(reaches(bench, 2, 1));
	bench->ports[1].isolated = false;
	connect_port(bench, 1);
	assert_true(reaches(bench, 0, 1));
}

static void nobody_sends_with_anothers_address(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct frame frame;

	connect_ports(bench, 2);
	frame = frame_to(bench, 3, -1, 0x88b5, "spoof", 5);
	assert_false(passes(bench, 0, 1, &frame));
	bench->ports[0].allow_mac_spoofing = true;
	connect_port(bench, 0);
	assert_true(passes(bench, 0, 1, &frame));
}

static void guards_hold_servers_back(void **state)
{
	struct bench *bench = needs_namespace(state);
	const uint8_t advertisement[] = {0x60, 0,        0,          0,       0,        16,
					 58,   255,      0xfe,       0x80,    [23] = 1, [24] = 0xff,
					 2,    [39] = 1, [40] = 134, [55] = 0};
	struct frame dhcp, router;

	connect_ports(bench, 2);
	dhcp = udp_frame(bench, 0, -1, "10.0.0.1", "255.255.255.255", 67);
	router = frame_to(bench, 0, -1, 0x86dd, advertisement, sizeof(advertisement));
	assert_true(passes(bench, 0, 1, &dhcp));
	assert_true(passes(bench, 0, 1, &router));
	bench->ports[0].dhcp_guard = true;
	connect_port(bench, 0);
	assert_false(passes(bench, 0, 1, &dhcp));
	assert_true(passes(bench, 0, 1, &router));
	bench->ports[0].router_guard = true;
	connect_port(bench, 0);
	assert_false(passes(bench, 0, 1, &router));
	dhcp = udp_frame(bench, 0, -1, "0.0.0.0", "255.255.255.255", 68);
	assert_true(passes(bench, 0, 1, &dhcp));
}

static void access_lists_by_the_narrower_entry(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_acl acls[] = {
		{.action = NET_ACL_DENY, .inbound = true, .outbound = true},
		{.action = NET_ACL_ALLOW, .inbound = true, .outbound = true},
		{.action = NET_ACL_METER, .outbound = true},
	};
	struct frame near, far, other;

	assert_int_equal(net_address_parse("10.1.0.0/16", &acls[0].remote, WHY(bench)), 0);
	assert_int_equal(net_address_parse("10.1.2.3", &acls[1].remote, WHY(bench)), 0);
	assert_int_equal(net_address_parse("10.0.0.0/8", &acls[2].remote, WHY(bench)), 0);
	bench->ports[0].acls = acls;
	bench->ports[0].acl_count = 3;
	connect_ports(bench, 2);
	far = udp_frame(bench, 0, -1, "10.0.0.1", "10.1.9.9", 1000);
	near = udp_frame(bench, 0, -1, "10.0.0.1", "10.1.2.3", 1000);
	other = udp_frame(bench, 0, -1, "10.0.0.1", "10.2.0.1", 1000);
	assert_false(passes(bench, 0, 1, &far));
	assert_true(passes(bench, 0, 1, &near));
	assert_true(passes(bench, 0, 1, &other));
	assert_true(says("nft list chain bridge undercroft acl_from_uct00000000", "packets 3"));
	/* The same the other way. */
	far = udp_frame(bench, 1, -1, "10.1.9.9", "10.0.0.1", 1000);
	near = udp_frame(bench, 1, -1, "10.1.2.3", "10.0.0.1", 1000);
	assert_false(passes(bench, 1, 0, &far));
	assert_true(passes(bench, 1, 0, &near));
	/* By hardware address, in one direction. */
	acls[0] = (struct net_acl){.action = NET_ACL_DENY, .inbound = true};
	assert_int_equal(net_address_parse("00-15-5D-00-00-01", &acls[0].remote, WHY(bench)), 0);
	bench->ports[0].acl_count = 1;
	connect_port(bench, 0);
	assert_false(reaches(bench, 1, 0));
	assert_true(reaches(bench, 0, 1));
}

static void a_mirror_sees_both_directions(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct frame frame;

	bench->ports[0].monitor = NET_MONITOR_SOURCE;
	bench->ports[2].monitor = NET_MONITOR_DESTINATION;
	connect_ports(bench, PORTS);
	assert_true(reaches(bench, 1, 0));
	frame = frame_to(bench, 0, 1, 0x88b5, "out", 3);
	send_frame(bench, 0, &frame);
	assert_true(arrives(bench, 2, &frame, 300));
	assert_false(arrives(bench, 3, &frame, 50));
	frame = frame_to(bench, 1, 0, 0x88b5, "in", 2);
	send_frame(bench, 1, &frame);
	assert_true(arrives(bench, 2, &frame, 300));
	bench->ports[2].monitor = NET_MONITOR_NONE;
	connect_port(bench, 2);
	frame = frame_to(bench, 0, 1, 0x88b5, "no more", 7);
	send_frame(bench, 0, &frame);
	assert_false(arrives(bench, 2, &frame, 100));
}

static void bandwidth_is_shaped_and_limited(void **state)
{
	struct bench *bench = needs_namespace(state);
	unsigned arrived = 0;
	struct frame frame;

	bench->ports[0].max_bps = 80000000;
	bench->ports[0].min_bps = 8000000;
	connect_ports(bench, 2);
	assert_true(says("tc class show dev uct00000000", "rate 8Mbit ceil 80Mbit"));
	assert_true(says("nft list chain bridge undercroft from_uct00000000", "limit rate over 10"));
	assert_true(reaches(bench, 0, 1));
	assert_true(reaches(bench, 1, 0));
	bench->ports[0].max_bps = 20000000;
	connect_port(bench, 0);
	assert_true(says("tc class show dev uct00000000", "rate 8Mbit ceil 20Mbit"));
	/* From the guest: a burst, then drops. */
	bench->ports[0].max_bps = 80000;
	connect_port(bench, 0);
	frame = frame_to(bench, 0, 1, 0x88b5, frame.bytes, 1500);
	for (unsigned i = 0; i < 200; i++) {
		send_frame(bench, 0, &frame);
		arrived += arrives(bench, 1, &frame, 1);
	}
	assert_in_range(arrived, 20, 70);
	bench->ports[0].max_bps = bench->ports[0].min_bps = 0;
	connect_port(bench, 0);
	assert_false(says("tc qdisc show dev uct00000000", "htb"));
}

static void texts_are_parsed(void **state)
{
	char reason[NET_REASON_SIZE];
	struct net_address address;
	struct net_vlans vlans;

	assert_int_equal(net_vlans_parse("1-3,100,4093", &vlans, reason, sizeof(reason)), 0);
	assert_true(net_vlans_has(&vlans, 2) && net_vlans_has(&vlans, 100) && net_vlans_has(&vlans, 4093));
	assert_false(net_vlans_has(&vlans, 4) || net_vlans_has(&vlans, 0));
	for (const char *const *bad =
		     (const char *const[]){"0", "4094", "3-1", "1-", "-1", "1,,2", "1,", "a", "1-2-3", NULL};
	     *bad; bad++)
		if (net_vlans_parse(*bad, &vlans, reason, sizeof(reason)) != -1)
			fail_msg("%s", *bad);
	for (const char *const *bad =
		     (const char *const[]){"", "10.0.0.1/33", "10.0.0/8", "fe80::/129", "00-15-5D-00-00",
					   "00-15-5D-00-00-0g", "00-15-5D-00-00-01/8", "10.0.0.1/", NULL};
	     *bad; bad++)
		if (net_address_parse(*bad, &address, reason, sizeof(reason)) != -1)
			fail_msg("%s", *bad);
	assert_int_equal(net_address_parse("fe80::/10", &address, reason, sizeof(reason)), 0);
	assert_int_equal(address.kind, NET_ADDRESS_IPV6);
	assert_int_equal(address.prefix, 10);
	assert_int_equal(net_address_parse("00155D0A0B0C", &address, reason, sizeof(reason)), 0);
	assert_int_equal(address.kind, NET_ADDRESS_MAC);
	assert_int_equal(address.bytes[5], 0x0c);
	assert_int_equal(net_address_parse("ANY", &address, reason, sizeof(reason)), 0);
	assert_int_equal(address.kind, NET_ADDRESS_ANY);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(ports_of_a_switch_reach_each_other),
		CASE(a_port_moves_to_another_switch_and_out),
		CASE(all_queues_of_a_port_are_open),
		CASE(everything_may_be_said_twice_and_is_repaired),
		CASE(what_is_not_ours_stays),
		CASE(vlans_separate),
		CASE(a_kernel_without_vlans_refuses_them),
		CASE(isolated_ports_reach_only_the_others),
		CASE(nobody_sends_with_anothers_address),
		CASE(guards_hold_servers_back),
		CASE(access_lists_by_the_narrower_entry),
		CASE(a_mirror_sees_both_directions),
		CASE(bandwidth_is_shaped_and_limited),
		cmocka_unit_test(texts_are_parsed),
	};

	remember_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
