/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Switches and ports in a network namespace of each test's own, with real taps and frames. Without the right
 * to make a namespace, or without a feature in the running kernel, the test that needs it is skipped and says
 * so.
 */
#ifndef UNIT_MGMT_NET_RIG_H
#define UNIT_MGMT_NET_RIG_H

#include "case.h"

#include <stdbool.h>

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

/* Once, before the first test: where each test comes back to. */
void remember_namespace(void);
int set_up(void **state);
int tear_down(void **state);
struct bench *needs_namespace(void **state);
void needs(bool there, const char *what);

/* What a command prints; the status of it is not looked at. The next call overwrites it. */
const char *output(const char *command);
bool says(const char *command, const char *words);

struct net_plan plan_of(struct bench *bench);
void connect_port(struct bench *bench, unsigned i);
void connect_ports(struct bench *bench, unsigned count);

struct frame {
	uint8_t bytes[HEADER + 1514];
	size_t size;
};

/* `to`: a port, or -1: everybody. */
struct frame frame_to(struct bench *bench, unsigned from, int to, uint16_t type, const void *payload,
		      size_t size);
struct frame udp_frame(struct bench *bench, unsigned from, int to, const char *source,
		       const char *destination, uint16_t source_port);
void send_frame(struct bench *bench, unsigned from, const struct frame *frame);
/* The frame comes at that port; what else comes is looked over. */
bool arrives(struct bench *bench, unsigned at, const struct frame *frame, int wait_ms);
bool passes(struct bench *bench, unsigned from, unsigned to, const struct frame *frame);
bool reaches(struct bench *bench, unsigned from, unsigned to);

#endif
