// SPDX-License-Identifier: Apache-2.0
/* The guest's end of VMBus, as a driver would behave, in as few words as a test needs. */
#include "guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest_host.h"

#define GPADL_FIRST    0xe1e10u
#define TURNS_MAX      1000000u
#define OFFERS_MAX     VMBUS_RELID_MAX

struct known_offer {
	struct vmbus_offer_message offer;
	bool rescinded;
};

struct guest {
	struct guest_world world;
	struct vmbus_server *server;
	uint64_t next_page;
	uint32_t next_gpadl;
	struct known_offer offers[OFFERS_MAX + 1];	/* by relid; relid 0 in it: not offered */
	struct guest_channel *channels;
};

struct guest_channel {
	struct guest_channel *next;
	struct guest *guest;
	uint32_t relid, gpadl, connection;
	unsigned ring_pages;
	uint8_t **pages;			/* out ring, then in ring */
	unsigned seen;				/* events */
};

static struct vmbus_server *new_server(struct guest *guest)
{
	const struct vmbus_server_config config = { .host = &guest->world.host, .vp_count = guest->world.vp_count };
	struct vmbus_server *server = vmbus_server_new(&config);

	if (!server)
		guest_die("no server");
	return server;
}

struct guest *guest_new(uint64_t ram_bytes, unsigned vp_count)
{
	struct guest *guest = calloc(1, sizeof *guest);

	if (!guest)
		guest_die("no memory");
	world_init(&guest->world, ram_bytes, vp_count);
	guest->next_page = GUEST_PAGE;
	guest->next_gpadl = GPADL_FIRST;
	guest->server = new_server(guest);
	return guest;
}

static void free_channel(struct guest_channel *channel)
{
	struct guest_channel **at = &channel->guest->channels;

	while (*at != channel)
		at = &(*at)->next;
	*at = channel->next;
	free(channel->pages);
	free(channel);
}

void guest_free(struct guest *guest)
{
	while (guest->channels)
		free_channel(guest->channels);
	vmbus_server_free(guest->server);
	world_fini(&guest->world);
	free(guest);
}

const struct vsp_host *guest_host(struct guest *guest)
{
	return &guest->world.host;
}

struct vmbus_server *guest_server(struct guest *guest)
{
	return guest->server;
}

struct vmbus_server *guest_replace_server(struct guest *guest)
{
	vmbus_server_free(guest->server);
	guest->server = new_server(guest);
	return guest->server;
}

struct guest_faults *guest_faults(struct guest *guest)
{
	return &guest->world.faults;
}

/* ---- time and turns */

static void take_offer(struct guest *guest, const struct guest_message *message)
{
	struct vmbus_offer_message offer;

	memcpy(&offer, message->payload, sizeof offer);
	if (offer.relid == 0 || offer.relid > OFFERS_MAX)
		guest_die("an offer of channel id %u", offer.relid);
	guest->offers[offer.relid] = (struct known_offer){ .offer = offer };
}

static void take_rescind(struct guest *guest, const struct guest_message *message)
{
	struct vmbus_relid_message rescind;

	memcpy(&rescind, message->payload, sizeof rescind);
	if (rescind.relid == 0 || rescind.relid > OFFERS_MAX || !guest->offers[rescind.relid].offer.relid)
		guest_die("channel %u, which was not offered, is rescinded", rescind.relid);
	guest->offers[rescind.relid].rescinded = true;
}

static unsigned take_messages(struct guest *guest)
{
	unsigned count = 0;

	while (guest->world.unread && !guest->world.faults.messages_unread) {
		const struct guest_message *message =
			&guest->world.messages[guest->world.message_count - guest->world.unread--];

		if (message->type == VMBUS_OFFER_CHANNEL)
			take_offer(guest, message);
		else if (message->type == VMBUS_RESCIND_CHANNEL_OFFER)
			take_rescind(guest, message);
		count++;
	}
	return count;
}

unsigned guest_run(struct guest *guest)
{
	unsigned total = 0, now;

	do {
		now = world_turn(&guest->world, 0);
		total += now;
		now += take_messages(guest);
		if (total > TURNS_MAX)
			guest_die("the world does not come to rest");
	} while (now);
	return total;
}

void guest_advance(struct guest *guest, uint64_t ns)
{
	uint64_t until = guest->world.now_ns + ns;

	guest_run(guest);
	while (world_next_timer(&guest->world) <= until) {
		guest->world.now_ns = world_next_timer(&guest->world);
		guest_run(guest);
	}
	guest->world.now_ns = until;
	guest_run(guest);
}

static uint64_t real_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool guest_wait(struct guest *guest, bool (*condition)(void *context), void *context, unsigned ms)
{
	uint64_t until = real_ms() + ms;

	for (;;) {
		guest_run(guest);
		if (condition(context))
			return true;
		if (real_ms() >= until)
			return false;
		(void)world_turn(&guest->world, 1);
	}
}

uint64_t guest_now(struct guest *guest)
{
	return guest->world.now_ns;
}

void guest_set_wall_time(struct guest *guest, uint64_t wall_100ns)
{
	guest->world.wall_base_100ns = wall_100ns - guest->world.now_ns / 100;
}

const char *guest_log(struct guest *guest)
{
	return guest->world.log;
}

unsigned guest_timers_armed(struct guest *guest)
{
	unsigned count = 0;

	for (unsigned i = 0; i < GUEST_SLOTS; i++)
		count += guest->world.timers[i] != NULL;
	return count;
}

unsigned guest_doorbells_open(struct guest *guest)
{
	unsigned count = 0;

	for (unsigned i = 0; i < GUEST_SLOTS; i++)
		count += guest->world.doorbells[i].open;
	return count;
}

/* ---- RAM */

uint64_t guest_pages(struct guest *guest, unsigned count)
{
	uint64_t gpa = guest->next_page;

	guest->next_page += (uint64_t)count * GUEST_PAGE;
	if (guest->next_page > guest->world.ram_bytes)
		guest_die("the guest has no RAM left");
	return gpa;
}

void *guest_ram(struct guest *guest, uint64_t gpa)
{
	return guest->world.ram + gpa;
}

void guest_make_hole(struct guest *guest, uint64_t gpa, uint64_t bytes)
{
	struct guest_world *world = &guest->world;

	if (world->hole_count == sizeof world->holes / sizeof world->holes[0] || bytes > UINT32_MAX)
		guest_die("too many holes");
	world->holes[world->hole_count++] = (struct guest_range){ gpa, (uint32_t)bytes };
}

/* ---- control messages */

int guest_post(struct guest *guest, const void *payload, size_t bytes)
{
	/* A copy of just this size: who reads behind it is found out. */
	void *copy = malloc(bytes ? bytes : 1);
	int r;

	if (!copy)
		guest_die("no memory");
	memcpy(copy, payload, bytes);
	r = vmbus_server_message(guest->server, copy, bytes);
	free(copy);
	return r;
}

static unsigned taken(const struct guest *guest)
{
	return guest->world.message_count - guest->world.unread;
}

const struct guest_message *guest_message(struct guest *guest, unsigned index)
{
	return index < taken(guest) ? &guest->world.messages[index] : NULL;
}

const struct guest_message *guest_last_message(struct guest *guest, uint32_t type)
{
	for (unsigned i = taken(guest); i--;)
		if (guest->world.messages[i].type == type)
			return &guest->world.messages[i];
	return NULL;
}

unsigned guest_message_count(struct guest *guest, uint32_t type)
{
	unsigned count = 0;

	for (unsigned i = 0; i < taken(guest); i++)
		count += type == 0 || guest->world.messages[i].type == type;
	return count;
}

void guest_forget_messages(struct guest *guest)
{
	struct guest_world *world = &guest->world;

	if (world->unread)
		memmove(world->messages, world->messages + taken(guest), world->unread * sizeof *world->messages);
	world->message_count = world->unread;
}

/* ---- connection */

static void post_and_run(struct guest *guest, const void *message, size_t bytes)
{
	(void)guest_post(guest, message, bytes);
	guest_run(guest);
}

int guest_contact(struct guest *guest, uint32_t version, uint32_t vp)
{
	struct vmbus_contact_message contact = {
		.header.type = VMBUS_INITIATE_CONTACT, .version = version, .target_vp = vp,
		.monitor_page1 = 0x1000, .monitor_page2 = 0x2000,
	};
	unsigned before = guest_message_count(guest, VMBUS_VERSION_RESPONSE);
	const struct guest_message *answer;

	if (version >= VMBUS_VERSION_WIN10_V5) {
		contact.sint = VMBUS_SINT;
	} else {
		const uint64_t interrupt_page = 0x3000;

		memcpy(&contact.sint, &interrupt_page, sizeof interrupt_page);
	}
	memset(guest->offers, 0, sizeof guest->offers);
	post_and_run(guest, &contact, sizeof contact);
	if (guest_message_count(guest, VMBUS_VERSION_RESPONSE) == before)
		return -ETIMEDOUT;
	answer = guest_last_message(guest, VMBUS_VERSION_RESPONSE);
	if (answer->bytes < sizeof(struct vmbus_version_response_message) || answer->vp != vp)
		guest_die("a version response of %u bytes to VP %u", answer->bytes, answer->vp);
	return answer->payload[offsetof(struct vmbus_version_response_message, supported)] ? 0 : -EPROTONOSUPPORT;
}

int guest_request_offers(struct guest *guest)
{
	const struct vmbus_message_header message = { .type = VMBUS_REQUEST_OFFERS };
	unsigned before = guest_message_count(guest, VMBUS_ALL_OFFERS_DELIVERED);

	post_and_run(guest, &message, sizeof message);
	return guest_message_count(guest, VMBUS_ALL_OFFERS_DELIVERED) > before ? 0 : -ETIMEDOUT;
}

int guest_connect(struct guest *guest, uint32_t version)
{
	int r = guest_contact(guest, version, 0);

	return r ? r : guest_request_offers(guest);
}

int guest_unload(struct guest *guest)
{
	const struct vmbus_message_header message = { .type = VMBUS_UNLOAD };
	unsigned before = guest_message_count(guest, VMBUS_UNLOAD_RESPONSE);

	post_and_run(guest, &message, sizeof message);
	return guest_message_count(guest, VMBUS_UNLOAD_RESPONSE) > before ? 0 : -ETIMEDOUT;
}

static uint32_t find_offer(const struct guest *guest, const struct vmbus_guid *guid, bool instance, unsigned sub_index)
{
	for (uint32_t relid = 1; relid <= OFFERS_MAX; relid++) {
		const struct known_offer *known = &guest->offers[relid];
		const struct vmbus_guid *own = instance ? &known->offer.instance : &known->offer.interface;

		if (known->offer.relid && !known->rescinded && known->offer.sub_channel_index == sub_index &&
		    !memcmp(own, guid, sizeof *guid))
			return relid;
	}
	return 0;
}

uint32_t guest_relid(struct guest *guest, const struct vmbus_guid *interface, unsigned sub_index)
{
	return find_offer(guest, interface, false, sub_index);
}

uint32_t guest_relid_of_instance(struct guest *guest, const struct vmbus_guid *instance, unsigned sub_index)
{
	return find_offer(guest, instance, true, sub_index);
}

bool guest_rescinded(struct guest *guest, uint32_t relid)
{
	return relid <= OFFERS_MAX && guest->offers[relid].rescinded;
}

static void post_relid(struct guest *guest, uint32_t type, uint32_t relid)
{
	const struct vmbus_relid_message message = { .header.type = type, .relid = relid };

	post_and_run(guest, &message, sizeof message);
}

void guest_release(struct guest *guest, uint32_t relid)
{
	if (relid <= OFFERS_MAX)
		memset(&guest->offers[relid], 0, sizeof guest->offers[relid]);
	post_relid(guest, VMBUS_RELID_RELEASED, relid);
}

/* ---- GPADLs */

#define HEADER_PFNS 26u
#define BODY_PFNS   28u

static void post_pfns(struct guest *guest, uint8_t *message, size_t head_bytes, const uint64_t *pfns, unsigned count)
{
	memcpy(message + head_bytes, pfns, count * sizeof *pfns);
	(void)guest_post(guest, message, head_bytes + count * sizeof *pfns);
}

static uint32_t make_gpadl(struct guest *guest, uint32_t relid, uint32_t offset, uint32_t bytes, const uint64_t *pfns,
			   unsigned count)
{
	uint8_t message[VMBUS_MESSAGE_BYTES_MAX];
	const struct vmbus_gpadl_header_message header = {
		.header.type = VMBUS_GPADL_HEADER, .relid = relid, .gpadl = guest->next_gpadl++,
		.range_bytes = (uint16_t)(sizeof(struct vmbus_gpa_range_header) + count * sizeof *pfns),
		.range_count = 1,
	};
	const struct vmbus_gpa_range_header range = { bytes, offset };
	const struct vmbus_gpadl_body_message body = { .header.type = VMBUS_GPADL_BODY, .gpadl = header.gpadl };
	unsigned sent = count < HEADER_PFNS ? count : HEADER_PFNS;
	struct vmbus_gpadl_created_message created = { 0 };

	memcpy(message, &header, sizeof header);
	memcpy(message + sizeof header, &range, sizeof range);
	post_pfns(guest, message, sizeof header + sizeof range, pfns, sent);
	while (sent < count) {
		unsigned now = count - sent < BODY_PFNS ? count - sent : BODY_PFNS;

		memcpy(message, &body, sizeof body);
		post_pfns(guest, message, sizeof body, pfns + sent, now);
		sent += now;
	}
	guest_run(guest);
	for (unsigned i = taken(guest); i--;) {
		const struct guest_message *answer = &guest->world.messages[i];

		memcpy(&created, answer->payload, sizeof created);
		if (answer->type == VMBUS_GPADL_CREATED && created.gpadl == header.gpadl && created.relid == relid)
			return created.status == 0 ? header.gpadl : 0;
	}
	return 0;
}

uint32_t guest_make_gpadl_of_pages(struct guest *guest, uint32_t relid, const uint64_t *pfns, unsigned count)
{
	return make_gpadl(guest, relid, 0, count * GUEST_PAGE, pfns, count);
}

uint32_t guest_make_gpadl(struct guest *guest, uint32_t relid, uint64_t gpa, uint32_t bytes)
{
	uint32_t offset = (uint32_t)(gpa % GUEST_PAGE), gpadl;
	unsigned count = (unsigned)(((uint64_t)offset + bytes + GUEST_PAGE - 1) / GUEST_PAGE);
	uint64_t *pfns = calloc(count, sizeof *pfns);

	if (!pfns)
		guest_die("no memory");
	for (unsigned i = 0; i < count; i++)
		pfns[i] = gpa / GUEST_PAGE + i;
	gpadl = make_gpadl(guest, relid, offset, bytes, pfns, count);
	free(pfns);
	return gpadl;
}

unsigned guest_torndown_count(struct guest *guest, uint32_t gpadl)
{
	unsigned count = 0;

	for (unsigned i = 0; i < taken(guest); i++) {
		struct vmbus_gpadl_torndown_message message;

		memcpy(&message, guest->world.messages[i].payload, sizeof message);
		count += message.header.type == VMBUS_GPADL_TORNDOWN && message.gpadl == gpadl;
	}
	return count;
}

int guest_teardown_gpadl(struct guest *guest, uint32_t relid, uint32_t gpadl)
{
	const struct vmbus_gpadl_teardown_message message = {
		.header.type = VMBUS_GPADL_TEARDOWN, .relid = relid, .gpadl = gpadl,
	};
	unsigned before = guest_torndown_count(guest, gpadl);

	post_and_run(guest, &message, sizeof message);
	return guest_torndown_count(guest, gpadl) > before ? 0 : -ETIMEDOUT;
}

/* ---- channels */

/* Every other page, from the end: no two of them lie in a row. */
static uint64_t *scattered_pages(struct guest *guest, unsigned count)
{
	uint64_t base = guest_pages(guest, 2 * count) / GUEST_PAGE;
	uint64_t *pfns = calloc(count, sizeof *pfns);

	if (!pfns)
		guest_die("no memory");
	for (unsigned i = 0; i < count; i++)
		pfns[i] = base + 2 * (count - 1 - i);
	return pfns;
}

static bool open_succeeded(struct guest *guest, uint32_t relid)
{
	struct vmbus_open_result_message result;

	for (unsigned i = taken(guest); i--;) {
		memcpy(&result, guest->world.messages[i].payload, sizeof result);
		if (result.header.type == VMBUS_OPEN_CHANNEL_RESULT && result.relid == relid)
			return result.status == 0 && result.open_id == relid;
	}
	return false;
}

struct guest_channel *guest_open(struct guest *guest, uint32_t relid, unsigned ring_pages)
{
	struct guest_channel *channel = calloc(1, sizeof *channel);
	uint64_t *pfns = scattered_pages(guest, 2 * ring_pages);
	struct vmbus_open_message open = {
		.header.type = VMBUS_OPEN_CHANNEL, .relid = relid, .open_id = relid,
		.target_vp = relid % guest->world.vp_count, .downstream_page = ring_pages,
	};

	if (!channel)
		guest_die("no memory");
	channel->pages = calloc(2 * ring_pages, sizeof *channel->pages);
	if (!channel->pages)
		guest_die("no memory");
	for (unsigned i = 0; i < 2 * ring_pages; i++)
		channel->pages[i] = guest_ram(guest, pfns[i] * GUEST_PAGE);
	channel->guest = guest;
	channel->relid = relid;
	channel->ring_pages = ring_pages;
	channel->connection = relid <= OFFERS_MAX ? guest->offers[relid].offer.connection_id : 0;
	channel->next = guest->channels;
	guest->channels = channel;
	guest_in_ring(channel)->feature_bits = VMBUS_RING_FEATURE_PENDING_SEND;
	guest_out_ring(channel)->feature_bits = VMBUS_RING_FEATURE_PENDING_SEND;
	if (relid <= OFFERS_MAX)
		channel->seen = guest->world.events[relid];
	channel->gpadl = open.ring_gpadl = guest_make_gpadl_of_pages(guest, relid, pfns, 2 * ring_pages);
	free(pfns);
	if (channel->gpadl)
		post_and_run(guest, &open, sizeof open);
	if (!channel->gpadl || !open_succeeded(guest, relid)) {
		free_channel(channel);
		return NULL;
	}
	return channel;
}

int guest_close(struct guest_channel *channel)
{
	struct guest *guest = channel->guest;
	int r;

	post_relid(guest, VMBUS_CLOSE_CHANNEL, channel->relid);
	r = guest_teardown_gpadl(guest, channel->relid, channel->gpadl);
	free_channel(channel);
	return r;
}

uint32_t guest_channel_relid(const struct guest_channel *channel)
{
	return channel->relid;
}

uint32_t guest_channel_ring_gpadl(const struct guest_channel *channel)
{
	return channel->gpadl;
}

unsigned guest_interrupts(struct guest_channel *channel)
{
	unsigned now = channel->guest->world.events[channel->relid], fresh = now - channel->seen;

	channel->seen = now;
	return fresh;
}

void guest_ring(struct guest *guest, uint32_t connection_id)
{
	world_ring(&guest->world, connection_id);
}

void guest_signal(struct guest_channel *channel)
{
	world_ring(&channel->guest->world, channel->connection);
}

/* ---- rings */

struct vmbus_ring_page *guest_out_ring(struct guest_channel *channel)
{
	return (struct vmbus_ring_page *)(void *)channel->pages[0];
}

struct vmbus_ring_page *guest_in_ring(struct guest_channel *channel)
{
	return (struct vmbus_ring_page *)(void *)channel->pages[channel->ring_pages];
}

uint32_t guest_ring_bytes(const struct guest_channel *channel)
{
	return (channel->ring_pages - 1) * GUEST_PAGE;
}

static uint8_t *ring_byte(struct guest_channel *channel, bool out, uint64_t offset)
{
	uint32_t at = (uint32_t)(offset % guest_ring_bytes(channel));

	return channel->pages[(out ? 0 : channel->ring_pages) + 1 + at / GUEST_PAGE] + at % GUEST_PAGE;
}

void guest_ring_write(struct guest_channel *channel, bool out, uint32_t offset, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		*ring_byte(channel, out, (uint64_t)offset + i) = ((const uint8_t *)from)[i];
}

void guest_ring_read(struct guest_channel *channel, bool out, uint32_t offset, void *to, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)to)[i] = *ring_byte(channel, out, (uint64_t)offset + i);
}

static uint32_t free_bytes(const struct vmbus_ring_page *ring, uint32_t size)
{
	uint32_t read = ring->read_index, write = ring->write_index;

	return write >= read ? size - (write - read) : read - write;
}

int guest_send_raw(struct guest_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction,
		   const void *extra, size_t extra_bytes, const void *payload, size_t bytes)
{
	struct vmbus_ring_page *ring = guest_out_ring(channel);
	const uint32_t size = guest_ring_bytes(channel), start = ring->write_index;
	const uint64_t length = (16 + extra_bytes + bytes + 7) / 8 * 8;
	const uint64_t trailer = (uint64_t)start << 32, zero = 0;
	const struct vmbus_packet_descriptor descriptor = {
		.type = type, .payload_offset8 = (uint16_t)(2 + extra_bytes / 8), .length8 = (uint16_t)(length / 8),
		.flags = flags, .transaction = transaction,
	};

	if (extra_bytes % 8 || length / 8 > UINT16_MAX)
		guest_die("no packet has %zu + %zu bytes", extra_bytes, bytes);
	if (free_bytes(ring, size) <= length + 8)
		return -EAGAIN;
	guest_ring_write(channel, true, start, &descriptor, sizeof descriptor);
	guest_ring_write(channel, true, start + 16, extra, extra_bytes);
	guest_ring_write(channel, true, (uint32_t)(start + 16 + extra_bytes), payload, bytes);
	guest_ring_write(channel, true, (uint32_t)(start + 16 + extra_bytes + bytes), &zero,
			 length - 16 - extra_bytes - bytes);
	guest_ring_write(channel, true, (uint32_t)(start + length), &trailer, sizeof trailer);
	ring->write_index = (uint32_t)((start + length + 8) % size);
	if (ring->interrupt_mask == 0 && ring->read_index == start)
		guest_signal(channel);
	return 0;
}

int guest_send(struct guest_channel *channel, uint16_t type, uint16_t flags, uint64_t transaction, const void *payload,
	       size_t bytes)
{
	return guest_send_raw(channel, type, flags, transaction, NULL, 0, payload, bytes);
}

int guest_send_completion(struct guest_channel *channel, uint64_t transaction, const void *payload, size_t bytes)
{
	return guest_send(channel, VMBUS_PACKET_COMPLETION, 0, transaction, payload, bytes);
}

int guest_send_gpa_direct(struct guest_channel *channel, uint16_t flags, uint64_t transaction,
			  const struct guest_range *ranges, unsigned range_count, const void *payload, size_t bytes)
{
	uint8_t extra[32768];
	size_t used = 8;

	memset(extra, 0, 4);
	memcpy(extra + 4, &range_count, 4);
	for (unsigned i = 0; i < range_count; i++) {
		uint32_t offset = (uint32_t)(ranges[i].gpa % GUEST_PAGE);
		uint64_t pages = ((uint64_t)offset + ranges[i].bytes + GUEST_PAGE - 1) / GUEST_PAGE;

		if (used + 8 + pages * 8 > sizeof extra)
			guest_die("too many pages for a packet");
		memcpy(extra + used, &ranges[i].bytes, 4);
		memcpy(extra + used + 4, &offset, 4);
		used += 8;
		for (uint64_t page = 0; page < pages; page++, used += 8) {
			uint64_t pfn = ranges[i].gpa / GUEST_PAGE + page;

			memcpy(extra + used, &pfn, 8);
		}
	}
	return guest_send_raw(channel, VMBUS_PACKET_GPA_DIRECT, flags, transaction, extra, used, payload, bytes);
}

bool guest_receive(struct guest_channel *channel, struct guest_packet *out)
{
	struct vmbus_ring_page *ring = guest_in_ring(channel);
	const uint32_t size = guest_ring_bytes(channel), read = ring->read_index, before = free_bytes(ring, size);
	struct vmbus_packet_descriptor descriptor;
	uint32_t trailer[2], length, after;

	if (ring->write_index >= size || ring->write_index % 8)
		guest_die("the host's write index is %u", ring->write_index);
	if (ring->write_index == read)
		return false;
	guest_ring_read(channel, false, read, &descriptor, sizeof descriptor);
	length = descriptor.length8 * 8u;
	if (descriptor.payload_offset8 < 2 || descriptor.payload_offset8 > descriptor.length8 ||
	    length + 8 > size - before || length > sizeof out->data)
		guest_die("the host wrote a packet of %u * 8 bytes", descriptor.length8);
	guest_ring_read(channel, false, read, out->data, length);
	guest_ring_read(channel, false, read + length, trailer, sizeof trailer);
	if (trailer[0] || trailer[1] != read)
		guest_die("trailer %#x %#x behind the packet at %#x", trailer[0], trailer[1], read);
	out->type = descriptor.type;
	out->flags = descriptor.flags;
	out->transaction = descriptor.transaction;
	out->descriptor_bytes = descriptor.payload_offset8 * 8u;
	out->payload_bytes = length - out->descriptor_bytes;
	ring->read_index = (read + length + 8) % size;
	after = free_bytes(ring, size);
	if (ring->feature_bits & VMBUS_RING_FEATURE_PENDING_SEND && ring->pending_send_bytes &&
	    before <= ring->pending_send_bytes && after > ring->pending_send_bytes)
		guest_signal(channel);
	return true;
}

int guest_transact(struct guest_channel *channel, uint64_t transaction, const void *payload, size_t bytes,
		   struct guest_packet *out)
{
	int r = guest_send(channel, VMBUS_PACKET_IN_BAND, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, transaction, payload,
			   bytes);

	if (r)
		return r;
	guest_run(channel->guest);
	while (guest_receive(channel, out))
		if (out->type == VMBUS_PACKET_COMPLETION && out->transaction == transaction)
			return 0;
	return -ETIMEDOUT;
}
