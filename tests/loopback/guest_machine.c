// SPDX-License-Identifier: Apache-2.0
/*
 * The machine below micro-guests of the bus, a second time: what tests/guests/lib has over a real one, here over a server
 * and its devices in this process. The guest's queue of messages is as short as a real one. Arguments are its options.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "block/raw.h"
#include "guests/lib/bootinfo.h"
#include "guests/lib/clock.h"
#include "guests/lib/print.h"
#include "guests/lib/verdict.h"
#include "guests/lib/vmbus.h"
#include "ic/heartbeat.h"
#include "ic/shutdown.h"
#include "ic/timesync.h"
#include "keyboard/keyboard.h"
#include "loopback.h"
#include "netvsp/netvsp.h"
#include "storvsp/storvsp.h"

#define DISK_BYTES    (4u << 20)
#define ROUND_100NS   200000u		/* what an idle round of loopback.c lasts */

static struct {
	struct loopback loopback;
	struct heartbeat heartbeat;
	struct shutdown shutdown;
	struct timesync timesync;
	struct keyboard keyboard;
	struct storvsp *storvsp;
	struct netvsp *netvsp;
	int tap;
	bool destroyed;
	const char **options;
	const char *test;
	bool test_failed, test_skipped;
} machine;

/* ---- the devices */

static void on_heartbeat(void *context, enum heartbeat_status status, enum ic_application_state application)
{
}

static void on_accepted(void *context)
{
}

static void on_ended(void *context, enum shutdown_end end, uint32_t status)
{
}

static void on_leds(void *context, uint8_t lit)
{
}

static void on_destroyed(void *context)
{
	machine.destroyed = true;
}

static void add_disk(void)
{
	const struct storvsp_options options = { .instance = { 0x1234 } };
	int file = memfd_create("disk", MFD_CLOEXEC);
	struct block_disk *disk;

	if (ftruncate(file, DISK_BYTES) ||
	    block_raw_create(&machine.loopback.world.host, file, &(struct block_raw_options){ 0 }, &disk) ||
	    storvsp_create(machine.loopback.server, &machine.loopback.world.host, &options, &machine.storvsp) ||
	    storvsp_attach_disk(machine.storvsp, 0, disk))
		guest_die("no disk");
}

static void add_nic(void)
{
	struct netvsp_config config = { .host = &machine.loopback.world.host, .instance = { 9 }, .mac = { 0, 0x15, 0x5d, 1, 2, 3 },
					.mtu = 1500, .queue_count = 1, .link_mbps = 1000, .link_up = true };
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair))
		guest_die("no tap");
	machine.tap = pair[0];
	config.tap_fd[0] = pair[1];
	if (netvsp_create(machine.loopback.server, &config, &machine.netvsp))
		guest_die("no adapter");
}

static void switch_on(void)
{
	static const struct heartbeat_events heartbeat_events = { on_heartbeat };
	static const struct shutdown_events shutdown_events = { on_accepted, on_ended };
	static const struct keyboard_events keyboard_events = { on_leds };
	struct vmbus_device *devices[4];

	loopback_init(&machine.loopback, 5);
	machine.loopback.world.faults.messages_unread = true;
	heartbeat_init(&machine.heartbeat, &heartbeat_events, NULL);
	shutdown_init(&machine.shutdown, &shutdown_events, NULL);
	timesync_init(&machine.timesync);
	keyboard_init(&machine.keyboard, &keyboard_events, NULL);
	devices[0] = &machine.heartbeat.ic.device;
	devices[1] = &machine.shutdown.ic.device;
	devices[2] = &machine.timesync.ic.device;
	devices[3] = &machine.keyboard.device;
	for (unsigned i = 0; i < 4; i++)
		if (vmbus_device_add(machine.loopback.server, devices[i]))
			guest_die("no device %u", i);
	if (bootinfo_option("disk"))
		add_disk();
	if (bootinfo_option("nic"))
		add_nic();
}

static void await_destroyed(const char *what)
{
	if (!loopback_until(&machine.loopback, &machine.destroyed))
		guest_die("%s does not go", what);
	machine.destroyed = false;
}

static void switch_off(void)
{
	loopback_reset(&machine.loopback);
	if (machine.storvsp) {
		storvsp_destroy(machine.storvsp, on_destroyed, NULL);
		await_destroyed("the controller");
	}
	if (machine.netvsp) {
		netvsp_destroy(machine.netvsp, on_destroyed, NULL);
		await_destroyed("the adapter");
		(void)close(machine.tap);
	}
	loopback_fini(&machine.loopback);
}

/* ---- lib/vmbus.h */

const struct vsc_platform *vmbus_platform(void)
{
	return &machine.loopback.platform;
}

void vmbus_set_patience(uint64_t duration_100ns)
{
	machine.loopback.patience = 2 + (unsigned)((duration_100ns ? duration_100ns : VMBUS_PATIENCE) / ROUND_100NS);
}

void vmbus_pass_time(uint64_t duration_100ns)
{
	(void)world_turn(&machine.loopback.world, 1);
	loopback_advance(&machine.loopback, duration_100ns * 100);
}

void *vmbus_pages(unsigned count)
{
	return loopback_pages(&machine.loopback, count);
}

uint64_t vmbus_ram_end(void)
{
	return machine.loopback.world.ram_bytes;
}

unsigned vmbus_interrupts(void)
{
	return machine.loopback.world.message_count;
}

/* ---- lib/clock.h, lib/print.h, lib/bootinfo.h */

uint64_t clock_100ns(void)
{
	return machine.loopback.world.now_ns / 100;
}

void print(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
}

static const char *option(const char *name)
{
	size_t bytes = strlen(name);

	for (const char **at = machine.options; *at; at++)
		if (strncmp(*at, name, bytes) == 0 && ((*at)[bytes] == 0 || (*at)[bytes] == '='))
			return *at + bytes;
	return NULL;
}

bool bootinfo_option(const char *name)
{
	return option(name) != NULL;
}

uint64_t bootinfo_number(const char *name, uint64_t otherwise)
{
	const char *value = option(name);

	return value && *value == '=' ? strtoull(value + 1, NULL, 0) : otherwise;
}

/* ---- lib/verdict.h */

void verdict_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	machine.test_failed = true;
	(void)printf("  not ok: %s (%s:%d)\n    ", machine.test, file, line);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)printf("\n");
}

void verdict_skip(const char *reason)
{
	machine.test_skipped = true;
	(void)printf("  skipped: %s: %s\n", machine.test, reason);
}

bool verdict_failed(void)
{
	return machine.test_failed || machine.test_skipped;
}

int main(int argc, const char *argv[])
{
	unsigned failures = 0, passes = 0;

	machine.options = argv + 1;
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	switch_on();
	for (const struct guest_test *test = guest_tests; test->name; test++) {
		machine.test = test->name;
		machine.test_failed = machine.test_skipped = false;
		test->run();
		failures += machine.test_failed;
		if (verdict_failed())
			continue;
		passes++;
		(void)printf("  ok: %s\n", test->name);
	}
	switch_off();
	(void)printf("%s\n", failures ? "FAIL" : passes ? "PASS" : "SKIP");
	return failures || !passes;
}
