// SPDX-License-Identifier: Apache-2.0
#include "libvid/vid_probe_port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HYPERCALL_PAGE 0x3000u
#define INPUT          0x5000u
#define STATUS_PORT    0x80u
#define ARRIVAL_MS     2000
#define POSTS_MAX      1000u		/* far more than any queue on the way */
#define POSTS_MIN      16u

/*
 * 32-bit: one hypercall, its status to STATUS_PORT, and again. The 32-bit convention has the control word in EDX:EAX, the input
 * in EBX:ECX and the output in EDI:ESI. What goes into EAX and ECX is filled in.
 */
enum { CODE_CONTROL = 5, CODE_INPUT = 10 };
static const uint8_t caller_code[] = {
	0x31, 0xd2,			/* xor edx, edx */
	0x31, 0xdb,			/* xor ebx, ebx */
	0xb8, 0, 0, 0, 0,		/* mov eax, control */
	0xb9, 0, 0, 0, 0,		/* mov ecx, input */
	0x31, 0xff,			/* xor edi, edi */
	0x31, 0xf6,			/* xor esi, esi */
	0x0f, 0x01, 0xd9,		/* vmmcall */
	0xe7, STATUS_PORT,		/* out STATUS_PORT, eax */
	0xeb, 0xe7,			/* jmp to the start */
};
_Static_assert(sizeof caller_code == 25, "the jump leads to the start");

static bool start_caller(struct probe_guest *guest, uint32_t control, uint32_t input)
{
	if (!probe_guest_start(guest, PROBE_FLAT_32, caller_code, sizeof caller_code))
		return false;
	memcpy(guest->memory + PROBE_CODE + CODE_CONTROL, &control, sizeof control);
	memcpy(guest->memory + PROBE_CODE + CODE_INPUT, &input, sizeof input);
	return probe_set(guest, HV_REG_GUEST_OS_ID, 1) && probe_set(guest, HV_REG_HYPERCALL, HYPERCALL_PAGE | 1);
}

/* Runs the guest through one call. */
static bool call_once(struct probe_guest *guest, uint16_t *out_status)
{
	struct hv_io_port_intercept io;
	struct hv_message message;

	if (!probe_expect(guest, HV_MESSAGE_IO_PORT, &message))
		return false;
	memcpy(&io, message.payload, sizeof io);
	PROBE_CHECK(io.port == STATUS_PORT && io.header.access_type == HV_INTERCEPT_WRITE);
	*out_status = (uint16_t)io.rax;
	return probe_set(guest, HV_REG_RIP, io.header.rip + (io.header.instruction_length & 0xf));
}

static bool expect_status(struct probe_guest *guest, uint16_t expected)
{
	uint16_t status = 0;

	if (!call_once(guest, &status))
		return false;
	if (status != expected)
		return probe_fail("the guest's hypercall returned 0x%x, expected 0x%x", status, expected);
	return true;
}

static bool wait_readable(int fd, int milliseconds)
{
	struct pollfd waiting = { .fd = fd, .events = POLLIN };

	return poll(&waiting, 1, milliseconds) == 1 && (waiting.revents & POLLIN);
}

static bool expect_rung(int event)
{
	eventfd_t count = 0;

	PROBE_CHECK(wait_readable(event, ARRIVAL_MS));
	PROBE_CHECK(eventfd_read(event, &count) == 0 && count == 1);
	return true;
}

/* ---- events ---- */

static bool check_event_port(struct probe_guest *guest, int event, int other)
{
	PROBE_OK(vid_event_port_assign(guest->partition, event, 0x123456));
	PROBE_OK(vid_event_port_assign(guest->partition, other, 7));
	PROBE_ERRNO(vid_event_port_assign(guest->partition, other, 0x123456), EEXIST);
	for (unsigned i = 0; i < 20; i++) {
		if (!expect_status(guest, HV_STATUS_SUCCESS) || !expect_rung(event))
			return false;
	}
	PROBE_CHECK(!wait_readable(other, 0));
	PROBE_OK(vid_event_port_deassign(guest->partition, 0x123456));
	PROBE_ERRNO(vid_event_port_deassign(guest->partition, 0x123456), ENOENT);
	if (!expect_status(guest, HV_STATUS_INVALID_CONNECTION_ID))
		return false;
	PROBE_CHECK(!wait_readable(event, 0));
	PROBE_OK(vid_event_port_assign(guest->partition, other, 0x123456));
	return expect_status(guest, HV_STATUS_SUCCESS) && expect_rung(other);
}

bool test_event_port(struct probe_guest *guest)
{
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bool ok;

	PROBE_CHECK(event >= 0 && other >= 0);
	ok = start_caller(guest, HVCALL_SIGNAL_EVENT | (uint32_t)HC_FAST_FLAG, 0x123456) &&
	     expect_status(guest, HV_STATUS_INVALID_CONNECTION_ID) && check_event_port(guest, event, other);
	(void)close(event); /* the driver has its own hold on it */
	(void)close(other); /* likewise */
	return ok;
}

/* ---- messages ---- */

static void write_message(struct probe_guest *guest, uint32_t connection, uint32_t number)
{
	struct hv_input_post_message in = {
		.connection_id = connection,
		.message_type = 1,
		.payload_bytes = sizeof number,
	};

	memcpy(in.payload, &number, sizeof number);
	memcpy(guest->memory + INPUT, &in, sizeof in);
}

static bool post(struct probe_guest *guest, uint32_t connection, uint32_t number, uint16_t expected)
{
	write_message(guest, connection, number);
	return expect_status(guest, expected);
}

static bool expect_message(int port, uint32_t number)
{
	static const uint8_t zeros[HV_MESSAGE_PAYLOAD_BYTES];
	struct hv_message message;
	uint32_t got;

	PROBE_CHECK(wait_readable(port, ARRIVAL_MS));
	PROBE_OK(vid_message_port_read(port, &message));
	memcpy(&got, message.payload, sizeof got);
	PROBE_CHECK(message.type == 1 && message.payload_bytes == sizeof got && message.flags == 0);
	if (got != number)
		return probe_fail("message %u, expected %u", got, number);
	PROBE_CHECK(memcmp(message.payload + sizeof got, zeros, sizeof zeros - sizeof got) == 0);
	return true;
}

static int open_messages(struct probe_guest *guest, const uint32_t *connections, unsigned count)
{
	int port = vid_message_port_create(guest->partition, connections, count);

	if (port >= 0)
		(void)fcntl(port, F_SETFL, O_NONBLOCK); /* a failure shows as a test that hangs */
	return port;
}

static bool check_message_port(struct probe_guest *guest, int port)
{
	void *nowhere = (void *)(uintptr_t)HV_PAGE_BYTES;
	struct hv_message message, several[3];

	PROBE_ERRNO(vid_message_port_read(port, &message), EAGAIN);
	PROBE_CHECK(!wait_readable(port, 0));
	for (uint32_t i = 0; i < 20; i++) {
		if (!post(guest, i % 2 ? 1 : 4, i, HV_STATUS_SUCCESS) || !expect_message(port, i))
			return false;
	}
	if (!post(guest, 2, 99, HV_STATUS_INVALID_CONNECTION_ID))
		return false;
	for (uint32_t i = 0; i < 3; i++) {
		if (!post(guest, 1, i, HV_STATUS_SUCCESS))
			return false;
	}
	usleep(100000);
	PROBE_CHECK(read(port, several, sizeof message - 1) == -1 && errno == EINVAL);
	PROBE_CHECK(read(port, nowhere, sizeof message) == -1 && errno == EFAULT);
	PROBE_CHECK(read(port, several, 2 * sizeof message + 5) == 2 * (ssize_t)sizeof message);
	PROBE_CHECK(several[0].payload[0] == 0 && several[1].payload[0] == 1);
	if (!expect_message(port, 2))
		return false;
	PROBE_ERRNO(vid_message_port_read(port, &message), EAGAIN);
	return true;
}

bool test_message_port(struct probe_guest *guest)
{
	static const uint32_t connections[] = { 1, 4 };
	bool ok;
	int port;

	if (!start_caller(guest, HVCALL_POST_MESSAGE, INPUT) || !post(guest, 1, 0, HV_STATUS_INVALID_CONNECTION_ID))
		return false;
	port = open_messages(guest, connections, 2);
	PROBE_OK(port);
	ok = check_message_port(guest, port);
	(void)close(port); /* a destructor has nobody to report to */
	return ok && post(guest, 1, 0, HV_STATUS_INVALID_CONNECTION_ID);
}

/* Nobody reads: the guest is told to wait, another port is not touched, and nothing is lost. */
static bool check_full(struct probe_guest *guest, int port, int other)
{
	uint16_t status = HV_STATUS_SUCCESS;
	uint32_t sent;

	for (sent = 0; sent < POSTS_MAX; sent++) {
		write_message(guest, 1, sent);
		if (!call_once(guest, &status))
			return false;
		if (status != HV_STATUS_SUCCESS)
			break;
	}
	PROBE_CHECK(status == HV_STATUS_INSUFFICIENT_BUFFERS);
	PROBE_CHECK(sent >= POSTS_MIN && sent < POSTS_MAX);
	for (uint32_t i = 0; i < 5; i++) {
		if (!post(guest, 2, i, HV_STATUS_SUCCESS) || !expect_message(other, i))
			return false;
	}
	for (uint32_t i = 0; i < sent; i++) {
		if (!expect_message(port, i))
			return false;
	}
	PROBE_CHECK(!wait_readable(port, 100));
	return post(guest, 1, 77, HV_STATUS_SUCCESS) && expect_message(port, 77);
}

bool test_message_port_full(struct probe_guest *guest)
{
	static const uint32_t first = 1, second = 2;
	int port, other;
	bool ok;

	if (!start_caller(guest, HVCALL_POST_MESSAGE, INPUT))
		return false;
	port = open_messages(guest, &first, 1);
	PROBE_OK(port);
	other = open_messages(guest, &second, 1);
	PROBE_OK(other);
	ok = check_full(guest, port, other) && check_full(guest, port, other);
	(void)close(port); /* a destructor has nobody to report to */
	(void)close(other); /* likewise */
	return ok;
}

/* ---- ends ---- */

/* All that a child can have, and messages that nobody reads. */
static bool start_busy(struct probe_guest *guest, int *out_port)
{
	static const uint32_t connections[] = { 1, 2, 3, 0xffffff };
	int event = eventfd(0, EFD_CLOEXEC);

	PROBE_CHECK(event >= 0);
	if (!start_caller(guest, HVCALL_POST_MESSAGE, INPUT))
		return false;
	for (uint32_t i = 0; i < 40; i++)
		PROBE_OK(vid_event_port_assign(guest->partition, event, 0x10000 + i));
	(void)close(event); /* the driver has its own hold on it */
	*out_port = open_messages(guest, connections, 4);
	PROBE_OK(*out_port);
	for (uint32_t i = 0; i < 10; i++) {
		if (!post(guest, 1 + i % 3, i, HV_STATUS_SUCCESS))
			return false;
	}
	return true;
}

/* The descriptor keeps the partition, and what was sent can still be read when the child has no VP any more. */
bool test_port_lifetimes(struct probe_guest *guest)
{
	int port, again;

	if (!start_busy(guest, &port))
		return false;
	PROBE_OK(close(guest->vp));
	PROBE_OK(close(guest->partition));
	guest->vp = guest->partition = -1;
	for (uint32_t i = 0; i < 5; i++) {
		if (!expect_message(port, i))
			return false;
	}
	PROBE_OK(close(port));
	probe_guest_stop(guest);
	/* The same ids, in another partition at the same time. */
	if (!start_busy(guest, &port))
		return false;
	PROBE_OK(close(port));
	again = open_messages(guest, (const uint32_t[]){ 1 }, 1);
	PROBE_OK(again);
	PROBE_CHECK(!wait_readable(again, 0));
	if (!post(guest, 1, 5, HV_STATUS_SUCCESS) || !expect_message(again, 5))
		return false;
	PROBE_OK(close(again));
	return true;
}

bool test_port_kill(struct probe_guest *guest)
{
	struct probe_guest killed;
	int port, status;
	pid_t child = fork();

	(void)guest;
	PROBE_CHECK(child >= 0);
	if (child == 0) {
		if (!start_busy(&killed, &port))
			_exit(1);
		(void)raise(SIGKILL);
	}
	PROBE_CHECK(waitpid(child, &status, 0) == child);
	PROBE_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	return true;
}

static bool check_bad_ports(struct probe_guest *guest, int event)
{
	static const uint32_t twice[] = { 1, 1 }, taken[] = { 8, 7 }, wide[] = { 0x1000000 };
	struct vid_event_port strange = { .connection_id = 9, .eventfd = event, .flags = 2 };
	struct vid_message_port many = { .connection_ids = { 1, 2, 3, 4 }, .count = 5 };
	int port;

	PROBE_ERRNO(vid_event_port_assign(guest->partition, -1, 7), EBADF);
	PROBE_ERRNO(vid_event_port_assign(guest->partition, guest->partition, 7), EINVAL);
	PROBE_ERRNO(vid_event_port_assign(guest->partition, event, 0x1000000), EINVAL);
	PROBE_CHECK(ioctl(guest->partition, VID_EVENT_PORT, &strange) == -1 && errno == EINVAL);
	PROBE_CHECK(ioctl(guest->vp, VID_EVENT_PORT, &strange) == -1 && errno == ENOTTY);
	PROBE_ERRNO(vid_event_port_deassign(guest->partition, 7), ENOENT);
	PROBE_OK(vid_event_port_assign(guest->partition, event, 7));
	PROBE_ERRNO(vid_message_port_create(guest->partition, taken, 2), EEXIST);
	PROBE_ERRNO(vid_message_port_create(guest->partition, twice, 2), EINVAL);
	PROBE_ERRNO(vid_message_port_create(guest->partition, wide, 1), EINVAL);
	PROBE_ERRNO(vid_message_port_create(guest->partition, taken, 0), EINVAL);
	PROBE_CHECK(ioctl(guest->partition, VID_MESSAGE_PORT, &many) == -1 && errno == EINVAL);
	port = vid_message_port_create(guest->partition, taken, 1);
	PROBE_OK(port);
	PROBE_ERRNO(vid_event_port_assign(guest->partition, event, 8), EEXIST);
	PROBE_ERRNO(vid_event_port_deassign(guest->partition, 8), ENOENT);
	PROBE_CHECK(write(port, &many, sizeof many) == -1);
	PROBE_OK(close(port));
	return true;
}

bool test_bad_ports(struct probe_guest *guest)
{
	static const uint32_t connection = 1;
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bool ok;

	PROBE_CHECK(event >= 0);
	guest->device = vid_open(probe_device);
	PROBE_OK(guest->device);
	guest->partition = vid_partition_create(guest->device, 1u << MSHV_PT_BIT_LAPIC);
	PROBE_OK(guest->partition);
	PROBE_ERRNO(vid_event_port_assign(guest->partition, event, 7), EINVAL);
	PROBE_ERRNO(vid_message_port_create(guest->partition, &connection, 1), EINVAL);
	probe_guest_stop(guest);
	ok = start_caller(guest, HVCALL_POST_MESSAGE, INPUT) && check_bad_ports(guest, event);
	(void)close(event); /* the driver has its own hold on it */
	return ok;
}
