// SPDX-License-Identifier: Apache-2.0
/* VMBus devices of a whole worker: added, called and removed over the control socket, before the start, while it runs, over resets. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "bench_machine.h"
#include "vmbus/vmbus.h"
#include "vmbus/vmbus_trace.h"

#define CONTROLLER "11111111-2222-3333-4444-555555555555"
#define ADAPTER    "21111111-2222-3333-4444-555555555555"
#define HEARTBEAT  "31111111-2222-3333-4444-555555555555"
#define DISK_ID    "41111111-2222-3333-4444-555555555555"
#define LUN(n)     "{\"lun\":" n ",\"kind\":\"disk\",\"fd\":0,\"format\":\"raw\",\"id\":\"" DISK_ID "\"}"
#define WAIT_S     10

static struct bench_machine bench;
static int client;

static int setup(void **state)
{
	if (bench_machine_init(&bench, 2))
		return -1;
	client = connect_unix(bench.control_listener, SOCK_SEQPACKET);
	bench_machine_settle(&bench);
	return 0;
}

static int teardown(void **state)
{
	const int trace = bench.config.trace_fd;

	(void)close(client);
	bench_machine_fini(&bench);
	if (trace >= 0)
		(void)close(trace);
	return 0;
}

/* The next packet of the worker, waited for. */
static const char *receive(void)
{
	static char packet[WORKER_MSG_MAX + 1];
	time_t end = time(NULL) + WAIT_S;
	ssize_t got = -1;

	while (got < 0 && time(NULL) < end) {
		(void)loop_step(&bench.loop, 10);
		got = recv(client, packet, WORKER_MSG_MAX, MSG_DONTWAIT);
	}
	packet[got < 0 ? 0 : got] = 0;
	return packet;
}

static void skip_state(void)
{
	assert_non_null(strstr(receive(), "\"event\":\"state\""));
}

static int file_of_bytes(size_t bytes)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	return fd;
}

/* The worker gets copies; ours are closed. */
static void request_with(const char *text, int *fds, unsigned count)
{
	_Alignas(struct cmsghdr) char space[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct iovec iov = { (char *)text, strlen(text) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (count) {
		struct cmsghdr *part;

		message.msg_control = space;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		part = CMSG_FIRSTHDR(&message);
		part->cmsg_level = SOL_SOCKET;
		part->cmsg_type = SCM_RIGHTS;
		part->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(part), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(client, &message, MSG_NOSIGNAL), (ssize_t)strlen(text));
	for (unsigned i = 0; i < count; i++)
		(void)close(fds[i]);
}

/* The answer, without its id. */
static const char *answer_to(const char *method_and_params, int *fds, unsigned count)
{
	static char text[4096];
	const char *got;

	(void)snprintf(text, sizeof text, "{\"id\":1,%s}", method_and_params);
	request_with(text, fds, count);
	do
		got = receive();
	while (got[0] && !strstr(got, "\"id\":1"));
	return got;
}

static void expect_done(const char *method_and_params, int *fds, unsigned count)
{
	assert_string_equal(answer_to(method_and_params, fds, count), "{\"id\":1,\"result\":{}}");
}

static void expect_refused(const char *method_and_params, const char *code, const char *part_of_message)
{
	const char *got = answer_to(method_and_params, NULL, 0);
	char wanted[64];

	(void)snprintf(wanted, sizeof wanted, "\"code\":\"%s\"", code);
	if (!strstr(got, wanted) || !strstr(got, part_of_message))
		fail_msg("%s: %s", method_and_params, got);
}

static void expect_event(const char *instance, const char *what)
{
	const char *got;

	do {
		got = receive();
		if (!got[0])
			fail_msg("no event \"%s\" of %s", what, instance);
	} while (!strstr(got, "\"event\":\"device\"") || !strstr(got, instance) || !strstr(got, what));
}

static void start(void)
{
	skip_state();
	assert_int_equal(worker_apply(&bench.worker, WORKER_START, NULL), 0);
	skip_state();
}

static unsigned open_descriptors(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* The guest */

static unsigned guest_read;		/* messages of the worker that it has read */

/* The next message of this type to the guest, others are passed over. */
static struct hv_message guest_next(uint32_t type)
{
	struct hv_message message = { .type = 0 };
	time_t end = time(NULL) + WAIT_S;

	for (;;) {
		struct timespec moment = { 0, 1000000 };
		uint32_t got;

		if (!fake_posted(&bench.backend, guest_read, &message)) {
			if (time(NULL) > end)
				fail_msg("the guest waits for message %u", type);
			(void)nanosleep(&moment, NULL);
			continue;
		}
		guest_read++;
		memcpy(&got, message.payload, sizeof got);
		if (got == type)
			return message;
	}
}

static void guest_contacts(void)
{
	const struct vmbus_contact_message contact = {
		.header.type = VMBUS_INITIATE_CONTACT, .version = VMBUS_VERSION_WIN10_V5_3, .sint = 2,
	};
	const struct vmbus_message_header request = { .type = VMBUS_REQUEST_OFFERS };

	guest_read = 0;
	fake_guest_posts(&bench.backend, &contact, sizeof contact);
	(void)guest_next(VMBUS_VERSION_RESPONSE);
	fake_guest_posts(&bench.backend, &request, sizeof request);
	(void)guest_next(VMBUS_ALL_OFFERS_DELIVERED);
}

/* Tests */

static void devices_come_and_go_before_the_start(void **state)
{
	unsigned before = open_descriptors();
	int fds[2];

	fds[0] = file_of_bytes(1 << 20);
	skip_state();
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
		    "\",\"luns\":[" LUN("3") "]}}", fds, 1);
	assert_int_equal(open_descriptors(), before + 1);
	expect_refused("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER "\",\"luns\":[]}}",
		       "exists", "is there twice");
	expect_done("\"method\":\"remove_device\",\"params\":{\"instance\":\"" CONTROLLER "\"}", NULL, 0);
	expect_event(CONTROLLER, "removed");
	assert_int_equal(open_descriptors(), before);
	expect_refused("\"method\":\"remove_device\",\"params\":{\"instance\":\"" CONTROLLER "\"}", "not_found", CONTROLLER);
}

static void a_guest_sees_devices_come_and_go(void **state)
{
	struct vmbus_offer_message offer;
	struct vmbus_relid_message released = { .header.type = VMBUS_RELID_RELEASED };
	struct hv_message message;
	int fds[1];

	start();
	guest_contacts();
	fds[0] = file_of_bytes(1 << 20);
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
		    "\",\"luns\":[" LUN("0") "]}}", fds, 1);
	message = guest_next(VMBUS_OFFER_CHANNEL);
	memcpy(&offer, message.payload, sizeof offer);
	assert_int_equal(offer.instance.a, 0x11111111);
	expect_done("\"method\":\"remove_device\",\"params\":{\"instance\":\"" CONTROLLER "\"}", NULL, 0);
	expect_refused("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"refresh\",\"lun\":0}", "not_found",
		       CONTROLLER);
	(void)guest_next(VMBUS_RESCIND_CHANNEL_OFFER);
	released.relid = offer.relid;
	fake_guest_posts(&bench.backend, &released, sizeof released);
	expect_event(CONTROLLER, "removed");
	assert_null(bench.config.nodes);
}

static void a_turn_off_does_not_wait_for_who_is_leaving(void **state)
{
	start();
	guest_contacts();
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"heartbeat\",\"instance\":\"" HEARTBEAT "\"}}", NULL, 0);
	expect_done("\"method\":\"remove_device\",\"params\":{\"instance\":\"" HEARTBEAT "\"}", NULL, 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_TURN_OFF, NULL), 0);
}

static void units_come_and_go_and_stay_over_a_reset(void **state)
{
	unsigned before;
	int fds[1];

	start();
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER "\",\"luns\":[]}}",
		    NULL, 0);
	before = open_descriptors();
	fds[0] = file_of_bytes(1 << 20);
	expect_done("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"add_lun\",\"lun\":" LUN("7") "}", fds, 1);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESET, NULL), 0);
	expect_done("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"refresh\",\"lun\":7}", NULL, 0);
	fds[0] = file_of_bytes(1 << 20);
	assert_non_null(strstr(answer_to("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER
					 "\",\"call\":\"add_lun\",\"lun\":" LUN("7") "}", fds, 1), "\"code\":\"exists\""));
	expect_done("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"remove_lun\",\"lun\":7}", NULL, 0);
	for (unsigned i = 0; i < 100 && open_descriptors() > before; i++)
		bench_machine_settle(&bench);
	assert_int_equal(open_descriptors(), before);
	expect_refused("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"remove_lun\",\"lun\":7}", "not_found",
		       "no unit 7");
}

#define RESIZE(lun, bytes) "\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER \
			   "\",\"call\":\"resize\",\"lun\":" lun ",\"bytes\":" bytes "}"

static void expect_resized(const char *request, const char *members)
{
	const char *got;

	request_with(request, NULL, 0);
	do
		got = receive();
	while (got[0] && !strstr(got, "resized"));
	assert_non_null(strstr(got, "\"instance\":\"" CONTROLLER "\""));
	assert_non_null(strstr(got, members));
}

static void a_vhdx_gets_another_size_while_it_is_used(void **state)
{
	char path[] = "./node_test.XXXXXX", command[128];
	int fds[1];

	if (system("qemu-img --version > /dev/null 2>&1") != 0)
		skip();
	(void)close(mkstemp(path));
	(void)snprintf(command, sizeof command, "qemu-img create -q -f vhdx %s 100M", path);
	assert_int_equal(system(command), 0);
	fds[0] = open(path, O_RDWR | O_CLOEXEC);
	start();
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
		    "\",\"luns\":[{\"lun\":7,\"kind\":\"disk\",\"fd\":0,\"format\":\"vhdx\",\"id\":\"" DISK_ID "\"}]}}", fds, 1);
	expect_refused(RESIZE("7", "70368744178688"), "invalid_params", "up to 64 TiB in sectors of 512");
	expect_resized("{\"id\":1," RESIZE("7", "209715200") "}", "\"bytes\":209715200,\"error\":null");
	bench_machine_fini(&bench);
	assert_int_equal(bench_machine_init(&bench, 2), 0);
	(void)snprintf(command, sizeof command, "qemu-img check -q -f vhdx %s && qemu-img info %s | grep -q '(209715200 bytes)'", path,
		       path);
	assert_int_equal(system(command), 0);
	(void)unlink(path);
}

static void a_disk_gets_another_size_while_it_is_used(void **state)
{
	int fds[1] = { file_of_bytes(1 << 20) }, spy = dup(fds[0]);

	start();
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
		    "\",\"luns\":[" LUN("7") "]}}", fds, 1);
	expect_refused(RESIZE("6", "2097152"), "not_found", "no unit 6");
	expect_refused(RESIZE("7", "2097153"), "invalid_params", "unit 7: 2097153 bytes are not whole sectors of 512");
	expect_refused(RESIZE("7", "0"), "invalid_params", "params.bytes");
	expect_refused(RESIZE("7", "4096"), "unsupported", "unit 7: the disk has 1048576 bytes: it is not made smaller");
	expect_resized("{\"id\":1," RESIZE("7", "2097152") "}", "\"lun\":7,\"bytes\":2097152,\"error\":null,\"message\":null");
	assert_int_equal(lseek(spy, 0, SEEK_END), 2097152);
	(void)close(spy);
	/* What the disk below owes nobody waits for when its unit goes. */
	expect_done(RESIZE("7", "4194304"), NULL, 0);
	expect_done("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"remove_lun\",\"lun\":7}", NULL, 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESET, NULL), 0);
}

/* Whoever waits for the end of the process may have the image at once. */
static void a_worker_that_ends_leaves_no_lock_behind(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[32];
	int fds[1], other, r;

	start();
	fds[0] = file_of_bytes(1 << 20);
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
	other = open(path, O_RDWR | O_CLOEXEC);		/* an open file of its own */
	assert_int_equal(fcntl(fds[0], F_OFD_SETLK, &lock), 0);
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
		    "\",\"luns\":[" LUN("0") "]}}", fds, 1);
	assert_int_equal(fcntl(other, F_OFD_SETLK, &lock), -1);
	bench_machine_fini(&bench);
	r = fcntl(other, F_OFD_SETLK, &lock);
	(void)close(other);
	(void)close(client);
	assert_int_equal(setup(state), 0);
	assert_int_equal(r, 0);
}

static void a_medium_is_changed(void **state)
{
#define MEDIUM(what) "\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"set_medium\",\"lun\":1,\"medium\":" what "}"
	int fds[1];

	start();
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
		    "\",\"luns\":[{\"lun\":1,\"kind\":\"dvd\",\"fd\":-1,\"format\":\"raw\",\"id\":\"" DISK_ID "\"}]}}", NULL, 0);
	for (unsigned i = 0; i < 3; i++) {
		fds[0] = file_of_bytes(1 << 20);
		expect_done(MEDIUM("{\"fd\":0,\"format\":\"raw\"}"), fds, 1);
	}
	expect_done(MEDIUM("null"), NULL, 0);
	expect_refused(MEDIUM("{\"fd\":0,\"format\":\"raw\"}"), "invalid_params", "fd");
	expect_refused(MEDIUM("7"), "invalid_params", "params.medium: must be an object or null");
}

static void an_adapter_lives_on_a_socket_pair(void **state)
{
	int fds[2];

	start();
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"nic\",\"instance\":\"" ADAPTER
		    "\",\"mac\":\"00-15-5D-01-02-03\",\"mtu\":1500,\"taps\":[0]}}", fds, 2);
	expect_done("\"method\":\"device\",\"params\":{\"instance\":\"" ADAPTER "\",\"call\":\"set\",\"link\":\"moved\",\"mac_spoofing\":true}",
		    NULL, 0);
	expect_refused("\"method\":\"device\",\"params\":{\"instance\":\"" ADAPTER "\",\"call\":\"set\",\"link\":\"sideways\"}",
		       "invalid_params", "possible: \\\"up\\\", \\\"down\\\", \\\"moved\\\"");
	assert_int_equal(worker_apply(&bench.worker, WORKER_PAUSE, NULL), 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESUME, NULL), 0);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESET, NULL), 0);
	expect_refused("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"nic\",\"instance\":\"" CONTROLLER
		       "\",\"mac\":\"01-15-5D-01-02-03\",\"mtu\":1500,\"taps\":[0]}}", "invalid_params", "no address of one adapter");
}

/* The entry of this name, and its member; the caller holds the answer. */
static struct json_object *counted(struct json_object *answer, const char *name, const char *member)
{
	struct json_object *list, *value;

	assert_true(json_object_object_get_ex(answer, "result", &list) && json_object_object_get_ex(list, "devices", &list));
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *entry = json_object_array_get_idx(list, i);

		assert_true(json_object_object_get_ex(entry, "name", &value));
		if (strcmp(json_object_get_string(value), name) == 0) {
			assert_true(json_object_object_get_ex(entry, member, &value));
			return value;
		}
	}
	fail_msg("%s is not counted", name);
	return NULL;
}

static void what_is_counted_says_whose_it_is(void **state)
{
	struct json_object *answer, *histograms, *list;
	int fds[2];

	start();
	fds[0] = file_of_bytes(1 << 20);
	fds[1] = file_of_bytes(1 << 20);
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
		    "\",\"luns\":[" LUN("3") ",{\"lun\":5,\"kind\":\"disk\",\"fd\":1,\"format\":\"raw\",\"id\":\"" DISK_ID "\"}]}}",
		    fds, 2);
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"heartbeat\",\"instance\":\"" HEARTBEAT "\"}}", NULL, 0);
	answer = json_tokener_parse(answer_to("\"method\":\"stats\"", NULL, 0));
	assert_string_equal(json_object_get_string(counted(answer, "scsi0:3", "instance")), CONTROLLER);
	assert_int_equal(json_object_get_int(counted(answer, "scsi0:3", "unit")), 3);
	assert_string_equal(json_object_get_string(counted(answer, "scsi0:5", "instance")), CONTROLLER);
	assert_int_equal(json_object_get_int(counted(answer, "scsi0:5", "unit")), 5);
	assert_int_equal(json_object_object_length(counted(answer, "scsi0:5", "counters")), 7);
	histograms = counted(answer, "scsi0:5", "histograms");
	assert_true(json_object_object_get_ex(histograms, "write_latency_us_log2", &list));
	assert_true(json_object_object_get_ex(histograms, "read_latency_us_log2", &list));
	assert_int_equal(json_object_array_length(list), 0);
	assert_string_equal(json_object_get_string(counted(answer, "heartbeat", "instance")), HEARTBEAT);
	assert_null(counted(answer, "heartbeat", "unit"));
	json_object_put(answer);
	expect_refused("\"method\":\"stats\",\"params\":{\"from\":-1}", "invalid_params", "params.from");
	expect_refused("\"method\":\"stats\",\"params\":{\"from\":\"x\"}", "invalid_params", "params.from: must be a number");
}

/* Four full controllers and 64 VPs. */
static void what_does_not_fit_into_a_packet_is_asked_for_later(void **state)
{
	struct json_object *answer, *result, *list, *value;
	char text[16384], name[16];
	unsigned parts = 0, devices = 0, vps = 0;
	int64_t next = 0;

	bench_machine_fini(&bench);
	(void)close(client);
	assert_int_equal(bench_machine_init(&bench, 64), 0);
	client = connect_unix(bench.control_listener, SOCK_SEQPACKET);
	start();
	for (unsigned c = 0; c < 4; c++) {
		int at = snprintf(text, sizeof text, "{\"id\":1,\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\","
				  "\"instance\":\"%u1111111-2222-3333-4444-555555555555\",\"luns\":[", c);

		for (unsigned lun = 0; lun < 64; lun++)
			at += snprintf(text + at, sizeof text - (size_t)at, "%s{\"lun\":%u,\"kind\":\"dvd\",\"fd\":-1,"
				       "\"format\":\"raw\",\"id\":\"" DISK_ID "\"}", lun ? "," : "", lun);
		(void)snprintf(text + at, sizeof text - (size_t)at, "]}}}");
		request_with(text, NULL, 0);
		assert_string_equal(receive(), "{\"id\":1,\"result\":{}}");
	}
	do {
		(void)snprintf(text, sizeof text, "\"method\":\"stats\",\"params\":{\"from\":%lld}", (long long)next);
		answer = json_tokener_parse(answer_to(text, NULL, 0));
		assert_true(json_object_object_get_ex(answer, "result", &result));
		assert_true(json_object_object_get_ex(result, "vps", &list));
		vps += (unsigned)json_object_array_length(list);
		assert_true(json_object_object_get_ex(result, "devices", &list));
		for (size_t i = 0; i < json_object_array_length(list); i++, devices++) {
			if (devices < 4)	/* bus, com1, ioapic, vmbus */
				continue;
			(void)snprintf(name, sizeof name, "scsi%u:%u", (devices - 4) / 64, (devices - 4) % 64);
			assert_true(json_object_object_get_ex(json_object_array_get_idx(list, i), "name", &value));
			assert_string_equal(json_object_get_string(value), name);
		}
		next = json_object_object_get_ex(result, "next", &value) ? json_object_get_int64(value) : 0;
		assert_true(next == 0 || next == devices);
		parts++;
		json_object_put(answer);
	} while (next);
	assert_in_range(parts, 2, 3);
	assert_int_equal(devices, 4 + 4 * 64);
	assert_int_equal(vps, 64);
}

static void components_tell_how_things_stand(void **state)
{
	start();
	expect_refused("\"method\":\"device\",\"params\":{\"instance\":\"" HEARTBEAT "\",\"call\":\"request\"}", "not_found", HEARTBEAT);
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"heartbeat\",\"instance\":\"" HEARTBEAT "\"}}", NULL, 0);
	(void)close(client);
	client = connect_unix(bench.control_listener, SOCK_SEQPACKET);
	skip_state();
	expect_event(HEARTBEAT, "\"status\":12");
	expect_refused("\"method\":\"device\",\"params\":{\"instance\":\"" HEARTBEAT "\",\"call\":\"stop\"}", "invalid_params",
		       "is unknown to \\\"heartbeat\\\"");
}

#define COMPONENT(type, call) \
	{ type, "\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"" type "\",\"instance\":\"" CONTROLLER "\"}}", \
	  "\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\"," call "}" }

static void without_a_guest_calls_are_refused(void **state)
{
	static const struct {
		const char *type, *add, *call;
	} rows[] = {
		COMPONENT("shutdown", "\"call\":\"request\",\"action\":\"power_off\",\"timeout_s\":5"),
		COMPONENT("kvp", "\"call\":\"enumerate\",\"pool\":\"auto\""),
		COMPONENT("kvp", "\"call\":\"set_ip\",\"adapter\":\"x\",\"family\":\"ipv4\",\"dhcp\":true"),
		COMPONENT("vss", "\"call\":\"freeze\",\"timeout_s\":5,\"frozen_max_s\":5"),
		COMPONENT("vss", "\"call\":\"thaw\""),
	};

	start();
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		expect_done(rows[i].add, NULL, 0);
		expect_refused(rows[i].call, "not_ready", rows[i].type);
		expect_done("\"method\":\"remove_device\",\"params\":{\"instance\":\"" CONTROLLER "\"}", NULL, 0);
		expect_event(CONTROLLER, "removed");
	}
	expect_done(rows[0].add, NULL, 0);
	expect_refused("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"request\",\"action\":\"nap\",\"timeout_s\":5}",
		       "invalid_params", "params.action: \\\"nap\\\" is unknown");
}

static void descriptors_that_nobody_takes_are_closed(void **state)
{
	unsigned before = open_descriptors();
	int fds[4];

	skip_state();
	for (unsigned i = 0; i < 4; i++)
		fds[i] = file_of_bytes(4096);
	(void)answer_to("\"method\":\"status\"", fds, 4);
	assert_int_equal(open_descriptors(), before);
	fds[0] = file_of_bytes(4096);
	(void)answer_to("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"scsi\",\"instance\":\"" CONTROLLER
			"\",\"luns\":[" LUN("0") "," LUN("1") "]}}", fds, 1);
	assert_int_equal(open_descriptors(), before);
}

/* A node that was read in part gives back what it took, and nothing else. */
static void devices_that_are_refused_close_their_own_descriptors_only(void **state)
{
	static const char *const members[] = {
		"\"type\":\"fcopy\",\"instance\":7",
		"\"type\":\"fcopy\",\"instance\":\"" CONTROLLER "\",\"colour\":1",
		"\"type\":\"hvsock\",\"instance\":7",
		"\"type\":\"hvsock\",\"instance\":\"" CONTROLLER "\",\"listen_fd\":0",
		"\"type\":\"nic\",\"instance\":\"" ADAPTER "\",\"mac\":\"00-15-5D-01-02-03\",\"mtu\":1500,\"taps\":[0,1]",
	};
	char request[512];
	unsigned before;

	skip_state();
	before = open_descriptors();
	for (unsigned i = 0; i < sizeof members / sizeof members[0]; i++) {
		int fd = file_of_bytes(4096);

		(void)snprintf(request, sizeof request, "\"method\":\"add_device\",\"params\":{\"device\":{%s}}", members[i]);
		assert_non_null(strstr(answer_to(request, &fd, 1), "\"code\":\"invalid_params\""));
		assert_int_equal(open_descriptors(), before);
	}
}

static void memory_is_told_and_bounded(void **state)
{
	start();
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"memory\",\"instance\":\"" CONTROLLER
		    "\",\"minimum_mib\":16,\"maximum_mib\":64}}", NULL, 0);
	expect_done("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"set_target\",\"mib\":24}", NULL, 0);
	expect_refused("\"method\":\"device\",\"params\":{\"instance\":\"" CONTROLLER "\",\"call\":\"set_target\",\"mib\":65}",
		       "invalid_params", "params.mib: 65 is not in 16..64");
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESET, NULL), 0);
	(void)close(client);
	client = connect_unix(bench.control_listener, SOCK_SEQPACKET);
	skip_state();
	expect_event(CONTROLLER, "\"assigned_mib\":32");
	expect_done("\"method\":\"remove_device\",\"params\":{\"instance\":\"" CONTROLLER "\"}", NULL, 0);
	expect_event(CONTROLLER, "removed");
}

static void who_knocks_for_a_guest_without_sockets_is_told(void **state)
{
	static const char line[] = "CONNECT 00000001-facb-11e6-bd58-64006a7986d3\n";
	int fds[2] = { listen_unix(SOCK_STREAM), open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	struct sockaddr_un address;
	socklen_t bytes = sizeof address;
	char answer[128] = "";
	int knocking;

	start();
	assert_int_equal(getsockname(fds[0], (struct sockaddr *)&address, &bytes), 0);
	expect_done("\"method\":\"add_device\",\"params\":{\"device\":{\"type\":\"hvsock\",\"instance\":\"" CONTROLLER
		    "\",\"listen_fd\":0,\"directory_fd\":1}}", fds, 2);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESET, NULL), 0);
	knocking = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(knocking, (struct sockaddr *)&address, bytes), 0);
	assert_int_equal(send(knocking, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
	assert_true(recv(knocking, answer, sizeof answer - 1, 0) > 0);
	assert_non_null(strstr(answer, "ERROR "));
	(void)close(knocking);
	expect_done("\"method\":\"remove_device\",\"params\":{\"instance\":\"" CONTROLLER "\"}", NULL, 0);
	expect_event(CONTROLLER, "removed");
}

/* Its size once it has grown beyond that. */
static off_t grown(int fd, off_t beyond)
{
	time_t end = time(NULL) + WAIT_S;

	while (lseek(fd, 0, SEEK_END) <= beyond && time(NULL) < end)
		bench_machine_settle(&bench);
	return lseek(fd, 0, SEEK_END);
}

static void a_trace_begins_anew_with_each_reset(void **state)
{
	struct {
		struct vmbus_trace_record record;
		struct vmbus_trace_start start;
	} head;
	off_t bytes;

	bench.config.trace_fd = file_of_bytes(0);
	(void)fcntl(bench.config.trace_fd, F_SETFL, O_APPEND);
	start();
	assert_true(grown(bench.config.trace_fd, 0) >= (off_t)sizeof head);
	assert_int_equal(pread(bench.config.trace_fd, &head, sizeof head, 0), sizeof head);
	assert_int_equal(head.record.bytes, sizeof head);
	assert_int_equal(head.record.kind, VMBUS_TRACE_START);
	assert_int_equal(head.start.magic, VMBUS_TRACE_MAGIC);
	assert_int_equal(head.start.vp_count, 2);
	guest_contacts();
	bytes = grown(bench.config.trace_fd, sizeof head);
	assert_int_equal(worker_apply(&bench.worker, WORKER_RESET, NULL), 0);
	assert_true(grown(bench.config.trace_fd, bytes) > bytes);
}

static void a_trace_that_finds_no_room_ends_and_nothing_else(void **state)
{
	bench.config.trace_fd = memfd_create("trace", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(bench.config.trace_fd, F_ADD_SEALS, F_SEAL_GROW), 0);
	start();
	guest_contacts();
	assert_int_equal(lseek(bench.config.trace_fd, 0, SEEK_END), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(devices_come_and_go_before_the_start),
		TEST(a_guest_sees_devices_come_and_go),
		TEST(a_turn_off_does_not_wait_for_who_is_leaving),
		TEST(units_come_and_go_and_stay_over_a_reset),
		TEST(a_disk_gets_another_size_while_it_is_used),
		TEST(a_vhdx_gets_another_size_while_it_is_used),
		TEST(a_worker_that_ends_leaves_no_lock_behind),
		TEST(a_medium_is_changed),
		TEST(an_adapter_lives_on_a_socket_pair),
		TEST(what_is_counted_says_whose_it_is),
		TEST(what_does_not_fit_into_a_packet_is_asked_for_later),
		TEST(components_tell_how_things_stand),
		TEST(without_a_guest_calls_are_refused),
		TEST(descriptors_that_nobody_takes_are_closed),
		TEST(devices_that_are_refused_close_their_own_descriptors_only),
		TEST(memory_is_told_and_bounded),
		TEST(who_knocks_for_a_guest_without_sockets_is_told),
		TEST(a_trace_begins_anew_with_each_reset),
		TEST(a_trace_that_finds_no_room_ends_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
