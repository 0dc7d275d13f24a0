// SPDX-License-Identifier: Apache-2.0
/*
 * The two ends of a ring on two processors. Each end sleeps when it has nothing to do, and only a signal wakes it: one that
 * is not sent where the rules ask for it shows as a time-out.
 */
#include "unit/vsp/cmocka_all.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <time.h>

#include "guest_platform.h"
#include "ring.h"
#include "vmbus/ring.h"

#define PAGES_MAX    5u
#define PACKET_COUNT 50000u
#define PACKET_MAX   1600u
#define PATIENCE_S   20

static uint8_t memory[PAGES_MAX][VSC_PAGE] __attribute__((aligned(4096)));
static uint8_t *pages[PAGES_MAX];
static struct vsc_ring guest;
static struct vmbus_ring_reader reader;
static struct vmbus_ring_writer writer;
static sem_t wakes_guest, wakes_host;
static unsigned guest_signals, host_signals;

static uint32_t length_of(unsigned number)
{
	return 8 * ((number * 2654435761u >> 7) % (PACKET_MAX / 8));
}

static uint8_t byte_of(unsigned number, uint32_t at)
{
	return (uint8_t)(number * 13 + at);
}

/* A thread cannot fail a test: it says so by what it returns. */
static bool sleep_on(sem_t *semaphore)
{
	struct timespec until;
	int r;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	do
		r = sem_timedwait(semaphore, &until);
	while (r && errno == EINTR);
	return r == 0;
}

static void make_payload(uint8_t *payload, unsigned number, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		payload[i] = byte_of(number, i);
}

static bool payload_ok(const uint8_t *payload, unsigned number, uint32_t bytes)
{
	if (bytes != length_of(number))
		return false;
	for (uint32_t i = 0; i < bytes; i++)
		if (payload[i] != byte_of(number, i))
			return false;
	return true;
}

static struct vmbus_packet_descriptor descriptor_of(unsigned number)
{
	return (struct vmbus_packet_descriptor){ VMBUS_PACKET_IN_BAND, 2, (uint16_t)(2 + length_of(number) / 8), 0, number };
}

/* ---- the host's ends */

static void *host_writes(void *unused)
{
	uint8_t payload[PACKET_MAX];

	for (unsigned number = 0; number < PACKET_COUNT;) {
		struct vmbus_packet_descriptor descriptor = descriptor_of(number);
		uint32_t bytes = length_of(number);
		const struct iovec head = { &descriptor, sizeof descriptor }, part = { payload, bytes };
		int r;

		make_payload(payload, number, bytes);
		r = vmbus_ring_write(&writer, &head, 1, &part, 1, sizeof descriptor + bytes);
		/* In batches: only the last of some is shown at once. */
		if ((r || number % 3 == 0) && vmbus_ring_publish_write(&writer)) {
			host_signals++;
			(void)sem_post(&wakes_guest);
		}
		number += r == 0;
		if (r == -EAGAIN)
			r = vmbus_ring_want(&writer, sizeof descriptor + bytes);
		if (r == -EAGAIN && !sleep_on(&wakes_host))
			return "the host waits for room in vain";
		if ((r && r != -EAGAIN) || vmbus_ring_granted(&writer) < 0)
			return "the ring is broken for the host";
	}
	if (vmbus_ring_publish_write(&writer))
		(void)sem_post(&wakes_guest);
	return NULL;
}

static void *host_reads(void *unused)
{
	struct vmbus_packet_descriptor descriptor;
	uint8_t payload[PACKET_MAX];

	for (unsigned number = 0; number < PACKET_COUNT;) {
		int r = vmbus_ring_peek(&reader, &descriptor);

		if (r < 0)
			return "the ring is broken for the host";
		if (r) {
			uint32_t bytes = descriptor.length8 * 8u - (uint32_t)sizeof descriptor;

			vmbus_ring_mask(&reader);
			if (bytes > sizeof payload)
				return "a packet too long";
			vmbus_ring_copy(&reader, sizeof descriptor, payload, bytes);
			vmbus_ring_consume(&reader, &descriptor);
			if (!payload_ok(payload, number++, bytes))
				return "a packet is not what was written";
			continue;
		}
		if (vmbus_ring_publish_read(&reader)) {
			host_signals++;
			(void)sem_post(&wakes_guest);
		}
		r = vmbus_ring_unmask(&reader);
		if (r < 0 || (r == 0 && !sleep_on(&wakes_host)))
			return "the host waits for packets in vain";
	}
	if (vmbus_ring_publish_read(&reader))
		(void)sem_post(&wakes_guest);
	return NULL;
}

/* ---- the guest's ends */

static const char *guest_reads(void)
{
	struct vmbus_packet_descriptor descriptor;
	uint8_t payload[PACKET_MAX];

	for (unsigned number = 0; number < PACKET_COUNT;) {
		int r = vsc_ring_peek(&guest, &descriptor);

		if (r < 0)
			return "the ring is broken for the guest";
		if (r) {
			uint32_t bytes = descriptor.length8 * 8u - (uint32_t)sizeof descriptor;

			vsc_ring_mask(&guest);
			if (bytes > sizeof payload)
				return "a packet too long";
			vsc_ring_copy(&guest, sizeof descriptor, payload, bytes);
			vsc_ring_consume(&guest, &descriptor);
			if (!payload_ok(payload, number++, bytes))
				return "a packet is not what was written";
			continue;
		}
		if (vsc_ring_publish_read(&guest)) {
			guest_signals++;
			(void)sem_post(&wakes_host);
		}
		if (!vsc_ring_unmask(&guest) && !sleep_on(&wakes_guest))
			return "the guest waits for packets in vain";
	}
	if (vsc_ring_publish_read(&guest))
		(void)sem_post(&wakes_host);
	return NULL;
}

static const char *guest_writes(void)
{
	uint8_t payload[PACKET_MAX];

	for (unsigned number = 0; number < PACKET_COUNT;) {
		const struct vmbus_packet_descriptor descriptor = descriptor_of(number);
		uint32_t bytes = length_of(number);
		int r = vsc_ring_reserve(&guest, (uint32_t)sizeof descriptor + bytes);

		if (r == VSC_FULL)
			r = vsc_ring_want(&guest, (uint32_t)sizeof descriptor + bytes);
		if (r == VSC_FULL && !sleep_on(&wakes_guest))
			return "the guest waits for room in vain";
		if (r == VSC_FULL)
			continue;
		if (r)
			return "the ring is broken for the guest";
		make_payload(payload, number++, bytes);
		vsc_ring_put(&guest, &descriptor, sizeof descriptor);
		vsc_ring_put(&guest, payload, bytes);
		vsc_ring_end(&guest);
		if (vsc_ring_publish_write(&guest)) {
			guest_signals++;
			(void)sem_post(&wakes_host);
		}
	}
	return NULL;
}

/* ---- */

static void run(unsigned page_count, void *(*host)(void *), const char *(*guest_end)(void))
{
	const char *guest_said;
	pthread_t thread;
	void *host_said;

	for (unsigned i = 0; i < PAGES_MAX; i++)
		pages[i] = memory[i];
	vsc_ring_init(&guest, memory, page_count);
	guest.control->feature_bits = VMBUS_RING_FEATURE_PENDING_SEND;
	assert_int_equal(vmbus_ring_reader_init(&reader, pages, page_count), 0);
	assert_int_equal(vmbus_ring_writer_init(&writer, pages, page_count), 0);
	assert_int_equal(sem_init(&wakes_guest, 0, 0), 0);
	assert_int_equal(sem_init(&wakes_host, 0, 0), 0);
	guest_signals = host_signals = 0;
	assert_int_equal(pthread_create(&thread, NULL, host, NULL), 0);
	guest_said = guest_end();
	assert_int_equal(pthread_join(thread, &host_said), 0);
	if (guest_said)
		fail_msg("%s", guest_said);
	if (host_said)
		fail_msg("%s", (char *)host_said);
	/* They are worth having: fewer than packets. */
	assert_true(guest_signals < PACKET_COUNT && host_signals < PACKET_COUNT);
	(void)sem_destroy(&wakes_guest);
	(void)sem_destroy(&wakes_host);
}

static void test_from_host_to_guest(void **state)
{
	run(2, host_writes, guest_reads);
	run(PAGES_MAX, host_writes, guest_reads);
}

static void test_from_guest_to_host(void **state)
{
	run(2, host_reads, guest_writes);
	run(PAGES_MAX, host_reads, guest_writes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_host_to_guest),
		cmocka_unit_test(test_from_guest_to_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
