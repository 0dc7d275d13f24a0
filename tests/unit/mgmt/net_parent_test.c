/* SPDX-License-Identifier: Apache-2.0 */
/* Switches with the parent on them: internal, external and NAT; the parent's own adapters and subnets. */
#include "net_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <strings.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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
		CASE(an_internal_switch_reaches_the_parent),
		CASE(an_external_switch_takes_the_adapter_and_gives_it_back),
		CASE(adapters_are_listed),
		CASE(subnets_are_checked),
		CASE(a_nat_switch_gives_addresses),
		CASE(nobody_waits_for_a_dnsmasq_to_end),
		CASE(a_nat_switch_translates),
	};

	remember_namespace();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
