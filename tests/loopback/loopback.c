// SPDX-License-Identifier: Apache-2.0
#include "loopback.h"

#include <errno.h>
#include <string.h>

#define PATIENCE   200u
#define IDLE_MS    2		/* for descriptors, in a round in which nothing happens */
#define IDLE_NS    20000000u	/* that such a round lasts by the host's clock */

static int post_message(void *context, uint32_t connection, const void *payload, uint32_t bytes)
{
	struct loopback *loopback = context;
	int r;

	loopback->hypercalls++;
	if ((connection != VMBUS_CONNECTION_MESSAGE && connection != VMBUS_CONNECTION_MESSAGE4) ||
	    bytes > VMBUS_MESSAGE_BYTES_MAX)
		return VSC_REFUSED;
	r = vmbus_server_message(loopback->server, payload, bytes);
	if (r != 0 && r != -EAGAIN)
		guest_die("the server does not take a message: %d", r);
	return r == 0 ? VSC_OK : VSC_FULL;
}

static void signal_event(void *context, uint32_t connection)
{
	struct loopback *loopback = context;

	loopback->hypercalls++;
	world_ring(&loopback->world, connection);
}

static bool take_message(void *context, uint8_t message[VMBUS_MESSAGE_BYTES_MAX])
{
	struct loopback *loopback = context;
	struct guest_world *world = &loopback->world;

	if (loopback->messages_taken == world->message_count)
		return false;
	world->unread -= world->unread > 0;
	memcpy(message, world->messages[loopback->messages_taken++].payload, VMBUS_MESSAGE_BYTES_MAX);
	return true;
}

static uint64_t gpa(void *context, const void *memory)
{
	struct loopback *loopback = context;
	uintptr_t offset = (uintptr_t)memory - (uintptr_t)loopback->world.ram;

	if (offset >= loopback->world.ram_bytes)
		guest_die("%p is no memory of the guest's", memory);
	return offset;
}

static bool wait(void *context, unsigned round)
{
	struct loopback *loopback = context;

	if (round == 0)
		loopback->idle = 0;
	if (world_turn(&loopback->world, 0) || world_turn(&loopback->world, IDLE_MS))
		return true;
	loopback->world.now_ns += IDLE_NS;
	return ++loopback->idle < loopback->patience;
}

void loopback_init(struct loopback *loopback, uint32_t seed)
{
	struct vmbus_server_config config = { .vp_count = 2 };

	memset(loopback, 0, sizeof *loopback);
	world_init(&loopback->world, LOOPBACK_RAM, config.vp_count);
	config.host = &loopback->world.host;
	loopback->server = vmbus_server_new(&config);
	if (!loopback->server)
		guest_die("no memory");
	loopback->platform = (struct vsc_platform){ loopback, post_message, signal_event, take_message, gpa, wait };
	loopback->patience = PATIENCE;
	loopback->random = seed;
	loopback->ram_used = VSC_PAGE;	/* nobody's GPA is 0 */
	vsc_bus_init(&loopback->bus, &loopback->platform, loopback_pages(loopback, sizeof(struct vsc_bus_pages) / VSC_PAGE),
		     loopback->offers, LOOPBACK_OFFERS);
}

void loopback_fini(struct loopback *loopback)
{
	vmbus_server_free(loopback->server);
	world_fini(&loopback->world);
}

static void note(void *flag)
{
	*(bool *)flag = true;
}

void loopback_reset(struct loopback *loopback)
{
	bool done = false;

	vmbus_server_reset(loopback->server, note, &done);
	if (!loopback_until(loopback, &done))
		guest_die("the server does not finish its reset");
}

void *loopback_pages(struct loopback *loopback, unsigned count)
{
	uint8_t *pages = loopback->world.ram + loopback->ram_used;

	if ((uint64_t)count * VSC_PAGE > loopback->world.ram_bytes - loopback->ram_used)
		guest_die("%u pages more than the guest's RAM", count);
	loopback->ram_used += (uint64_t)count * VSC_PAGE;
	return pages;
}

void loopback_run(struct loopback *loopback)
{
	while (world_turn(&loopback->world, 0))
		;
}

void loopback_advance(struct loopback *loopback, uint64_t ns)
{
	uint64_t until = loopback->world.now_ns + ns;

	loopback_run(loopback);
	while (world_next_timer(&loopback->world) <= until) {
		loopback->world.now_ns = world_next_timer(&loopback->world);
		loopback_run(loopback);
	}
	loopback->world.now_ns = until;
}

bool loopback_until(struct loopback *loopback, const bool *flag)
{
	for (unsigned i = 0; i < 3000 && !*flag; i++) {
		(void)world_turn(&loopback->world, 1);
		loopback_advance(loopback, IDLE_NS);
	}
	return *flag;
}

uint32_t loopback_random(struct loopback *loopback, uint32_t below)
{
	/* A linear congruence; its high bits are the good ones. */
	loopback->random = loopback->random * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)loopback->random * below >> 32);
}

void loopback_fill(struct loopback *loopback, void *memory, size_t bytes)
{
	uint8_t *at = memory;

	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)loopback_random(loopback, 256);
}
