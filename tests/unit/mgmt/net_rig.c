/* SPDX-License-Identifier: Apache-2.0 */
#include "net_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int first_namespace = -1;

void remember_namespace(void)
{
	first_namespace = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

const char *output(const char *command)
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

bool says(const char *command, const char *words)
{
	return strstr(output(command), words) != NULL;
}

struct net_plan plan_of(struct bench *bench)
{
	return (struct net_plan){bench->switches, 2, bench->ports, PORTS};
}

int set_up(void **state)
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

int tear_down(void **state)
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

struct bench *needs_namespace(void **state)
{
	struct bench *bench = *state;

	if (!bench->net) {
		print_message("SKIP: no network namespace: %s\n", strerror(EPERM));
		skip();
	}
	return bench;
}

void needs(bool there, const char *what)
{
	if (!there) {
		print_message("SKIP: %s\n", what);
		skip();
	}
}

void connect_port(struct bench *bench, unsigned i)
{
	struct net_plan plan = plan_of(bench);

	if (bench->fds[i][0] < 0)
		good(bench, net_port_open(bench->net, &bench->ports[i], bench->fds[i], WHY(bench)));
	good(bench, net_rules_apply(bench->net, &plan, WHY(bench)));
	good(bench, net_port_apply(bench->net, &bench->ports[i], WHY(bench)));
}

void connect_ports(struct bench *bench, unsigned count)
{
	good(bench, net_switch_apply(bench->net, &bench->switches[0], WHY(bench)));
	good(bench, net_switch_apply(bench->net, &bench->switches[1], WHY(bench)));
	for (unsigned i = 0; i < count; i++)
		connect_port(bench, i);
}

/* ---- frames ---- */

struct frame frame_to(struct bench *bench, unsigned from, int to, uint16_t type, const void *payload,
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

struct frame udp_frame(struct bench *bench, unsigned from, int to, const char *source,
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

void send_frame(struct bench *bench, unsigned from, const struct frame *frame)
{
	assert_int_equal(write(bench->fds[from][0], frame->bytes, frame->size), frame->size);
}

bool arrives(struct bench *bench, unsigned at, const struct frame *frame, int wait_ms)
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

bool passes(struct bench *bench, unsigned from, unsigned to, const struct frame *frame)
{
	send_frame(bench, from, frame);
	return arrives(bench, to, frame, 300);
}

bool reaches(struct bench *bench, unsigned from, unsigned to)
{
	static uint8_t counter;
	uint8_t payload[1] = {++counter};
	struct frame frame = frame_to(bench, from, -1, 0x88b5, payload, sizeof(payload));

	return passes(bench, from, to, &frame);
}
