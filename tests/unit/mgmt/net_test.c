/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switches and ports in a network namespace of each test's own, with real taps and frames. Without the right
 * to make a namespace, or without a feature in the running kernel, the test that needs it is skipped and says
 * so.
 */
#include "case.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "net/net.h"

#define SWITCH_A "0A0B0C0D-0000-4000-8000-0000000000A1"
#define SWITCH_B "1A1B1C1D-0000-4000-8000-0000000000B1"
#define PORTS    4
#define HEADER   12 /* of the tap */

struct bench {
	struct net *net;
	struct net_switch switches[2];
	struct net_port ports[PORTS];
	char ids[PORTS][NET_GUID_SIZE];
	char names[PORTS][16];
	int fds[PORTS][NET_QUEUES_MAX];
	char directory[64];
	char reason[NET_REASON_SIZE];
};

static int first_namespace = -1;

#define good(bench, call)                                                                                    \
	do {                                                                                                 \
		(bench)->reason[0] = 0;                                                                      \
		if (call)                                                                                    \
			fail_msg("%s: %s", #call, (bench)->reason);                                          \
	} while (0)
#define refused(bench, call, words)                                                                          \
	do {                                                                                                 \
		assert_int_equal(call, -1);                                                                  \
		if (!strstr((bench)->reason, words))                                                         \
			fail_msg("\"%s\" is not in \"%s\"", words, (bench)->reason);                         \
	} while (0)
#define WHY(bench) (bench)->reason, sizeof((bench)->reason)

/* What stays the same when the same is said again. */
#define EVERYTHING "ip -o link | sed 's/<.*>//; s/ state .*//'; nft -s list ruleset"

/* What a command prints; the status of it is not looked at. */
static const char *output(const char *command)
{
	static char text[65536];
	int pipes[2], status;
	size_t used = 0;
	ssize_t size;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	close(pipes[1]);
	while (used < sizeof(text) - 1 && (size = read(pipes[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)size;
	text[used] = 0;
	close(pipes[0]);
	waitpid(pid, &status, 0);
	return text;
}

static bool says(const char *command, const char *words)
{
	return strstr(output(command), words) != NULL;
}

static struct net_plan plan_of(struct bench *bench)
{
	return (struct net_plan){bench->switches, 2, bench->ports, PORTS};
}

static int set_up(void **state)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	assert_non_null(bench);
	*state = bench;
	if (unshare(CLONE_NEWNET))
		return 0; /* needs_namespace() skips */
	strcpy(bench->directory, "/tmp/uc-net-XXXXXX");
	assert_non_null(mkdtemp(bench->directory));
	bench->net = net_open(bench->directory, WHY(bench));
	if (!bench->net)
		fail_msg("%s", bench->reason);
	bench->switches[0] = (struct net_switch){.id = SWITCH_A, .name = "a", .kind = NET_SWITCH_PRIVATE};
	bench->switches[1] = (struct net_switch){.id = SWITCH_B, .name = "b", .kind = NET_SWITCH_PRIVATE};
	for (unsigned i = 0; i < PORTS; i++) {
		snprintf(bench->ids[i], NET_GUID_SIZE, "0000000%u-1111-4222-8333-444444444444", i);
		snprintf(bench->names[i], sizeof(bench->names[i]), "vm%u", i);
		bench->ports[i] = (struct net_port){.id = bench->ids[i],
						    .name = bench->names[i],
						    .switch_id = SWITCH_A,
						    .queues = 1,
						    .mtu = 1500,
						    .mac = {0, 0x15, 0x5d, 0, 0, (uint8_t)i}};
		for (unsigned q = 0; q < NET_QUEUES_MAX; q++)
			bench->fds[i][q] = -1;
	}
	return 0;
}

static int remove_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	struct net_plan nothing = {0};

	for (unsigned i = 0; i < PORTS; i++)
		for (unsigned q = 0; q < NET_QUEUES_MAX; q++)
			if (bench->net && bench->fds[i][q] >= 0)
				close(bench->fds[i][q]);
	if (bench->net) {
		net_sweep(bench->net, &nothing, WHY(bench));
		net_close(bench->net);
		nftw(bench->directory, remove_file, 8, FTW_DEPTH | FTW_PHYS);
	}
	setns(first_namespace, CLONE_NEWNET);
	free(bench);
	return 0;
}

static struct bench *needs_namespace(void **state)
{
	struct bench *bench = *state;

	if (!bench->net) {
		print_message("SKIP: no network namespace: %s\n", strerror(EPERM));
		skip();
	}
	return bench;
}

static void needs(bool there, const char *what)
{
	if (!there) {
		print_message("SKIP: %s\n", what);
		skip();
	}
}

static void connect_port(struct bench *bench, unsigned i)
{
	struct net_plan plan = plan_of(bench);

	if (bench->fds[i][0] < 0)
		good(bench, net_port_open(bench->net, &bench->ports[i], bench->fds[i], WHY(bench)));
	good(bench, net_rules_apply(bench->net, &plan, WHY(bench)));
	good(bench, net_port_apply(bench->net, &bench->ports[i], WHY(bench)));
}

static void connect_ports(struct bench *bench, unsigned count)
{
	good(bench, net_switch_apply(bench->net, &bench->switches[0], WHY(bench)));
	good(bench, net_switch_apply(bench->net, &bench->switches[1], WHY(bench)));
	for (unsigned i = 0; i < count; i++)
		connect_port(bench, i);
}

/* ---- frames ---- */

struct frame {
	uint8_t bytes[HEADER + 1514];
	size_t size;
};

static struct frame frame_to(struct bench *bench, unsigned from, int to, uint16_t type, const void *payload,
			     size_t size)
{
	struct frame frame = {.size = HEADER + 14 + (size < 46 ? 46 : size)};
	uint8_t *ethernet = frame.bytes + HEADER;

	memset(ethernet, 0xff, 6);
	if (to >= 0)
		memcpy(ethernet, bench->ports[to].mac, 6);
	memcpy(ethernet + 6, bench->ports[from].mac, 6);
	ethernet[12] = (uint8_t)(type >> 8);
	ethernet[13] = (uint8_t)type;
	memcpy(ethernet + 14, payload, size);
	return frame;
}

static struct frame udp_frame(struct bench *bench, unsigned from, int to, const char *source,
			      const char *destination, uint16_t source_port)
{
	/* As long as the shortest frame: some kernels cut off what is behind the packet. */
	uint8_t packet[46] = {0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17};
	uint32_t sum = 0;

	inet_pton(AF_INET, source, packet + 12);
	inet_pton(AF_INET, destination, packet + 16);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)packet[i] << 8 | packet[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	packet[10] = (uint8_t)(sum >> 8);
	packet[11] = (uint8_t)sum;
	packet[20] = (uint8_t)(source_port >> 8);
	packet[21] = (uint8_t)source_port;
	packet[23] = 9;
	packet[25] = 26;
	return frame_to(bench, from, to, 0x0800, packet, sizeof(packet));
}

static void send_frame(struct bench *bench, unsigned from, const struct frame *frame)
{
	assert_int_equal(write(bench->fds[from][0], frame->bytes, frame->size), frame->size);
}

/* The frame comes at that port; what else comes is looked over. */
static bool arrives(struct bench *bench, unsigned at, const struct frame *frame, int wait_ms)
{
	for (;;) {
		struct pollfd ready = {.fd = bench->fds[at][0], .events = POLLIN};
		uint8_t bytes[2048];
		ssize_t size;

		if (poll(&ready, 1, wait_ms) != 1)
			return false;
		size = read(ready.fd, bytes, sizeof(bytes));
		if (size == (ssize_t)frame->size &&
		    memcmp(bytes + HEADER, frame->bytes + HEADER, frame->size - HEADER) == 0)
			return true;
	}
}

static bool passes(struct bench *bench, unsigned from, unsigned to, const struct frame *frame)
{
	send_frame(bench, from, frame);
	return arrives(bench, to, frame, 300);
}

static bool reaches(struct bench *bench, unsigned from, unsigned to)
{
	static uint8_t counter;
	uint8_t payload[1] = {++counter};
	struct frame frame = frame_to(bench, from, -1, 0x88b5, payload, sizeof(payload));

	return passes(bench, from, to, &frame);
}

/* ---- tests ---- */

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

/* ---- with the parent ---- */

/* Port 0 asks who has that address; somebody answers. */
static bool answers_arp(struct bench *bench, const char *address)
{
	uint8_t request[28] = {0, 1, 8, 0, 6, 4, 0, 1, 0, 0x15, 0x5d, 0, 0, 0, 10, 7, 0, 9}, bytes[2048];
	struct pollfd ready = {.fd = bench->fds[0][0], .events = POLLIN};
	struct frame frame;

	inet_pton(AF_INET, address, request + 24);
	frame = frame_to(bench, 0, -1, 0x0806, request, sizeof(request));
	send_frame(bench, 0, &frame);
	while (poll(&ready, 1, 300) == 1)
		if (read(ready.fd, bytes, sizeof(bytes)) >= HEADER + 42 && bytes[HEADER + 13] == 6 &&
		    bytes[HEADER + 21] == 2)
			return true;
	return false;
}

static void an_internal_switch_reaches_the_parent(void **state)
{
	struct bench *bench = needs_namespace(state);

	bench->switches[0].kind = NET_SWITCH_INTERNAL;
	assert_int_equal(net_subnet_parse("10.7.0.0/24", &bench->switches[0].host, WHY(bench)), 0);
	connect_ports(bench, 1);
	assert_true(says("ip addr show ucb0a0b0c0d", "10.7.0.1/24"));
	assert_true(answers_arp(bench, "10.7.0.1"));
	/* A private one has no answer, whatever addresses the parent has. */
	bench->switches[0].kind = NET_SWITCH_PRIVATE;
	bench->switches[0].host.prefix = 0;
	output("ip link set lo up; ip addr add 10.7.0.1/24 dev lo");
	connect_ports(bench, 1);
	assert_false(says("ip addr show ucb0a0b0c0d", "10.7.0.1"));
	assert_false(answers_arp(bench, "10.7.0.1"));
}

static void an_external_switch_takes_the_adapter_and_gives_it_back(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_switch *external = &bench->switches[0];

	output("ip link add eth1 type veth peer name wire; ip link set wire up; ip link set eth1 up;"
	       "ip addr add 10.9.0.2/24 dev eth1; ip route add default via 10.9.0.1;"
	       "ip route add 10.99.0.0/16 via 10.9.0.7 metric 50");
	external->kind = NET_SWITCH_EXTERNAL;
	external->uplink = "eth7";
	refused(bench, net_switch_apply(bench->net, external, WHY(bench)),
		"switch 'a': there is no network adapter eth7");
	external->uplink = "lo";
	refused(bench, net_switch_apply(bench->net, external, WHY(bench)), "lo is no Ethernet adapter");
	assert_false(says("ip link", "ucb0a0b0c0d"));
	external->uplink = "eth1";
	external->host_shares = true;
	good(bench, net_switch_apply(bench->net, external, WHY(bench)));
	assert_true(says("ip link show eth1", "master ucb0a0b0c0d"));
	assert_true(says("ip addr show ucb0a0b0c0d", "10.9.0.2/24"));
	assert_false(says("ip -4 addr show eth1", "10.9.0.2"));
	assert_true(says("ip route", "default via 10.9.0.1 dev ucb0a0b0c0d"));
	assert_true(says("ip route", "10.99.0.0/16 via 10.9.0.7 dev ucb0a0b0c0d metric 50"));
	good(bench, net_switch_apply(bench->net, external, WHY(bench)));
	bench->switches[1].kind = NET_SWITCH_EXTERNAL;
	bench->switches[1].uplink = "eth1";
	refused(bench, net_switch_apply(bench->net, &bench->switches[1], WHY(bench)),
		"switch 'b': eth1 is already a port of ucb0a0b0c0d");
	/* Not shared any more, and then not external any more. */
	external->host_shares = false;
	good(bench, net_switch_apply(bench->net, external, WHY(bench)));
	assert_true(says("ip addr show eth1", "10.9.0.2/24"));
	external->host_shares = true;
	good(bench, net_switch_apply(bench->net, external, WHY(bench)));
	external->kind = NET_SWITCH_PRIVATE;
	good(bench, net_switch_apply(bench->net, external, WHY(bench)));
	assert_true(says("ip addr show eth1", "10.9.0.2/24"));
	assert_true(says("ip route", "default via 10.9.0.1 dev eth1"));
	external->kind = NET_SWITCH_EXTERNAL;
	good(bench, net_switch_apply(bench->net, external, WHY(bench)));
	good(bench, net_switch_remove(bench->net, SWITCH_A, WHY(bench)));
	assert_true(says("ip addr show eth1", "10.9.0.2/24"));
	assert_true(says("ip route", "default via 10.9.0.1 dev eth1"));
	assert_true(says("ip route", "10.99.0.0/16 via 10.9.0.7 dev eth1 metric 50"));
}

static void count_adapter(void *context, const struct net_adapter *adapter)
{
	unsigned *count = context;

	if (strcmp(adapter->name, "eth1") == 0)
		assert_int_equal(adapter->mac[5], 0x42);
	(*count)++;
}

static void adapters_are_listed(void **state)
{
	struct bench *bench = needs_namespace(state);
	unsigned count = 0;

	output("ip link add eth1 address 02:00:00:00:00:42 type veth peer name wire");
	connect_ports(bench, 1);
	good(bench, net_adapters(bench->net, count_adapter, &count, WHY(bench)));
	assert_int_equal(count, 2);
}

static void subnets_are_checked(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_subnet subnet, other;
	char name[IF_NAMESIZE];

	for (const char *const *bad =
		     (const char *const[]){"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "x/24", "10.0.0.0/30",
					   "10.0.0.0/7", "10.0.0.1/24", "127.0.0.0/8", "224.0.0.0/8",
					   "10.0.0.0/ 8", "/24", NULL};
	     *bad; bad++)
		if (net_subnet_parse(*bad, &subnet, WHY(bench)) != -1)
			fail_msg("%s", *bad);
	good(bench, net_subnet_parse("10.7.0.0/24", &subnet, WHY(bench)));
	good(bench, net_subnet_parse("10.0.0.0/8", &other, WHY(bench)));
	assert_true(net_subnets_overlap(&subnet, &other));
	good(bench, net_subnet_parse("10.8.0.0/24", &other, WHY(bench)));
	assert_false(net_subnets_overlap(&subnet, &other));
	assert_int_equal(net_subnet_user(bench->net, &subnet, NULL, name), 0);
	output("ip link add eth1 type veth peer name wire; ip addr add 10.7.0.9/30 dev eth1");
	assert_int_equal(net_subnet_user(bench->net, &subnet, NULL, name), 1);
	assert_string_equal(name, "eth1");
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

static bool wait_for(const char *command, const char *words)
{
	for (unsigned i = 0; i < 100; i++) {
		if (says(command, words))
			return true;
		usleep(50000);
	}
	return false;
}

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* As wait_for(), for a text to come or go, while time passes and nothing happens that is worth a word. */
static bool ticks_until(struct bench *bench, const char *command, const char *text, bool there)
{
	for (unsigned i = 0; i < 200; i++) {
		net_tick(bench->net, WHY(bench));
		assert_string_equal(bench->reason, "");
		if (says(command, text) == there)
			return true;
		usleep(50000);
	}
	return false;
}

/* A DHCP DISCOVER of port 0; the offer's address, or 0. */
static uint32_t ask_for_address(struct bench *bench)
{
	uint8_t payload[28 + 240 + 60] = {0x45, 0, 1, 0x48, 0,   0,   0,   0, 64, 17, 0,  0, 0,
					  0,    0, 0, 255,  255, 255, 255, 0, 68, 0,  67, 1, 0x34};
	uint8_t *dhcp = payload + 28, bytes[2048];
	uint32_t sum = 0, offered = 0;
	struct frame frame;

	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)payload[i] << 8 | payload[i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	payload[10] = (uint8_t)(sum >> 8);
	payload[11] = (uint8_t)sum;
	memcpy(dhcp, (const uint8_t[]){1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0x80, 0}, 12);
	memcpy(dhcp + 28, bench->ports[0].mac, 6);
	memcpy(dhcp + 236, (const uint8_t[]){99, 130, 83, 99, 53, 1, 1, 255}, 8);
	frame = frame_to(bench, 0, -1, 0x0800, payload, sizeof(payload));
	send_frame(bench, 0, &frame);
	for (unsigned i = 0; i < 40 && !offered; i++) {
		struct pollfd ready = {.fd = bench->fds[0][0], .events = POLLIN};

		if (poll(&ready, 1, 50) != 1)
			continue;
		if (read(ready.fd, bytes, sizeof(bytes)) > HEADER + 14 + 28 + 20 &&
		    bytes[HEADER + 14 + 9] == 17 && bytes[HEADER + 14 + 23] == 68)
			memcpy(&offered, bytes + HEADER + 14 + 28 + 16, 4);
	}
	return ntohl(offered);
}

static void a_nat_switch_gives_addresses(void **state)
{
	struct bench *bench = needs_namespace(state);
	struct net_plan plan = plan_of(bench);
	uint32_t offered = 0;
	char first[64];

	needs(access("/usr/sbin/dnsmasq", X_OK) == 0, "there is no dnsmasq");
	bench->switches[0].kind = NET_SWITCH_NAT;
	good(bench, net_subnet_parse("10.77.0.0/24", &bench->switches[0].host, WHY(bench)));
	connect_ports(bench, 1);
	assert_true(says("cat /proc/sys/net/ipv4/ip_forward", "1"));
	assert_true(says("nft list table ip undercroft", "masquerade"));
	assert_true(wait_for("ss -lun", ":67 "));
	for (unsigned i = 0; i < 5 && !offered; i++)
		offered = ask_for_address(bench);
	assert_in_range(offered, 0x0a4d0002, 0x0a4d00fe);
	/* It is started again when it dies, and goes on when the switch is said again by another process. */
	output("kill -9 $(cat /tmp/uc-net-*/" SWITCH_A ".pid)");
	for (unsigned i = 0; i < 60 && !strstr(bench->reason, "started again"); i++) {
		usleep(50000);
		net_tick(bench->net, WHY(bench));
	}
	assert_non_null(strstr(bench->reason, "had ended and was started again"));
	assert_true(wait_for("ss -lun", ":67 "));
	net_close(bench->net);
	bench->net = net_open(bench->directory, WHY(bench));
	snprintf(first, sizeof(first), "%s", output("cat /tmp/uc-net-*/" SWITCH_A ".pid"));
	good(bench, net_switch_apply(bench->net, &bench->switches[0], WHY(bench)));
	assert_string_equal(first, output("cat /tmp/uc-net-*/" SWITCH_A ".pid"));
	bench->switches[0].kind = NET_SWITCH_PRIVATE;
	good(bench, net_sweep(bench->net, &plan, WHY(bench)));
	assert_true(ticks_until(bench, "ss -lun", ":67 ", false));
}

static void nobody_waits_for_a_dnsmasq_to_end(void **state)
{
	struct bench *bench = needs_namespace(state);
	char first[64];
	int64_t before;

	needs(access("/usr/sbin/dnsmasq", X_OK) == 0, "there is no dnsmasq");
	bench->switches[0].kind = NET_SWITCH_NAT;
	good(bench, net_subnet_parse("10.77.0.0/24", &bench->switches[0].host, WHY(bench)));
	connect_ports(bench, 1);
	assert_true(wait_for("ss -lun", ":67 "));
	/* One that does not listen is killed, and the next one follows it. */
	snprintf(first, sizeof(first), "%s", output("cat /tmp/uc-net-*/" SWITCH_A ".pid"));
	output("kill -STOP $(cat /tmp/uc-net-*/" SWITCH_A ".pid)");
	good(bench, net_subnet_parse("10.78.0.0/24", &bench->switches[0].host, WHY(bench)));
	before = milliseconds();
	good(bench, net_switch_apply(bench->net, &bench->switches[0], WHY(bench)));
	assert_in_range(milliseconds() - before, 0, 2000);
	assert_true(ticks_until(bench, "ss -lun", "10.77.0.1", false));
	assert_true(ticks_until(bench, "ss -lun", "10.78.0.1", true));
	assert_string_not_equal(first, output("cat /tmp/uc-net-*/" SWITCH_A ".pid"));
	/* The same of one whose switch goes, and is wanted again at once. */
	output("kill -STOP $(cat /tmp/uc-net-*/" SWITCH_A ".pid)");
	bench->switches[0].kind = NET_SWITCH_INTERNAL;
	good(bench, net_switch_apply(bench->net, &bench->switches[0], WHY(bench)));
	snprintf(first, sizeof(first), "ls %.50s", bench->directory);
	assert_string_equal(output(first), "");
	bench->switches[0].kind = NET_SWITCH_NAT;
	good(bench, net_subnet_parse("10.79.0.0/24", &bench->switches[0].host, WHY(bench)));
	good(bench, net_switch_apply(bench->net, &bench->switches[0], WHY(bench)));
	assert_true(ticks_until(bench, "ss -lun", "10.79.0.1", true));
	assert_false(says("ss -lun", "10.78.0.1"));
}

/* A process in a namespace of its own, behind the far end of the wire. */
static pid_t outside(void)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		unshare(CLONE_NEWNET);
		kill(getpid(), SIGSTOP);
		output("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter; ip addr add 10.9.0.2/24 dev wire;"
		       "ip link set wire up");
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	waitpid(pid, &status, WUNTRACED);
	return pid;
}

static void a_nat_switch_translates(void **state)
{
	struct bench *bench = needs_namespace(state);
	const uint8_t announce[28] = {0,  1,  8, 0, 6, 4, 0, 1, 0, 0x15, 0x5d, 0,  0, 0,
				      10, 77, 0, 9, 0, 0, 0, 0, 0, 0,    10,   77, 0, 1};
	const uint8_t gateway[] = {2, 0x15, 0x5d, 0, 0, 0xa1};
	char command[128];
	struct frame frame;
	int status;
	pid_t far;

	needs(access("/usr/sbin/dnsmasq", X_OK) == 0, "there is no dnsmasq");
	bench->switches[0].kind = NET_SWITCH_NAT;
	good(bench, net_subnet_parse("10.77.0.0/24", &bench->switches[0].host, WHY(bench)));
	connect_ports(bench, 1);
	output("ip link add eth1 type veth peer name wire; ip addr add 10.9.0.1/24 dev eth1; ip link set "
	       "eth1 up");
	far = outside();
	snprintf(command, sizeof(command), "ip link set wire netns %d", (int)far);
	output(command);
	kill(far, SIGCONT);
	waitpid(far, &status, WUNTRACED);
	frame = frame_to(bench, 0, -1, 0x0806, announce, sizeof(announce));
	send_frame(bench, 0, &frame);
	frame = udp_frame(bench, 0, -1, "10.77.0.9", "10.9.0.2", 5555);
	memcpy(frame.bytes + HEADER, gateway, sizeof(gateway));
	send_frame(bench, 0, &frame);
	/* The far end knows no way to 10.77.0.0/24, and drops what it could not answer (rp_filter): what it
	 * counts came translated. Nobody listens on that port. */
	snprintf(command, sizeof(command),
		 "nsenter -t %d -n sh -c 'cat /proc/self/net/snmp' | grep ^Udp: | tail -1", (int)far);
	assert_true(wait_for(command, "Udp: 0 1 "));
	kill(far, SIGKILL);
	waitpid(far, &status, 0);
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
		CASE(an_internal_switch_reaches_the_parent),
		CASE(an_external_switch_takes_the_adapter_and_gives_it_back),
		CASE(adapters_are_listed),
		CASE(subnets_are_checked),
		CASE(a_nat_switch_gives_addresses),
		CASE(nobody_waits_for_a_dnsmasq_to_end),
		CASE(a_nat_switch_translates),
		cmocka_unit_test(texts_are_parsed),
	};

	first_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
