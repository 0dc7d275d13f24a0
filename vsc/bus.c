// SPDX-License-Identifier: Apache-2.0
#include "bus.h"

#include "channel.h"

#define NO_KEY        0xffffffffu
#define HEADER_FRAMES ((VMBUS_MESSAGE_BYTES_MAX - sizeof(struct vmbus_gpadl_header_message) - \
			sizeof(struct vmbus_gpa_range_header)) / sizeof(uint64_t))
#define BODY_FRAMES   ((VMBUS_MESSAGE_BYTES_MAX - sizeof(struct vmbus_gpadl_body_message)) / sizeof(uint64_t))
#define GPADL_PAGES_MAX ((0xffffu - sizeof(struct vmbus_gpa_range_header)) / sizeof(uint64_t))

static uint64_t gpa(const struct vsc_bus *bus, const void *memory)
{
	return bus->platform->gpa(bus->platform->context, memory);
}

void vsc_bus_init(struct vsc_bus *bus, const struct vsc_platform *platform, struct vsc_bus_pages *pages,
		  struct vsc_offer *offers, unsigned offer_max)
{
	memset(bus, 0, sizeof *bus);
	memset(offers, 0, offer_max * sizeof *offers);
	bus->platform = platform;
	bus->pages = pages;
	bus->offers = offers;
	bus->offer_max = offer_max;
	bus->next_gpadl = 0xe1e10;	/* any but 0 */
}

/* ---- messages from the host */

static struct vsc_offer *find_relid(struct vsc_bus *bus, uint32_t relid)
{
	for (unsigned i = 0; i < bus->offer_max; i++)
		if (bus->offers[i].relid == relid)
			return &bus->offers[i];
	return NULL;
}

static void note_offer(struct vsc_bus *bus, const struct vmbus_offer_message *message)
{
	struct vsc_offer *offer = find_relid(bus, 0);

	if (!offer || message->relid == 0 || message->relid > VMBUS_RELID_MAX || find_relid(bus, message->relid)) {
		bus->offers_lost++;
		return;
	}
	*offer = (struct vsc_offer){
		.interface = message->interface,
		.instance = message->instance,
		.relid = message->relid,
		.connection = message->connection_id,
		.sub_index = message->sub_channel_index,
	};
}

static void note_rescind(struct vsc_bus *bus, uint32_t relid)
{
	struct vsc_offer *offer = relid ? find_relid(bus, relid) : NULL;

	if (!offer)
		return;
	offer->rescinded = true;
	for (struct vsc_channel *channel = bus->channels; channel; channel = channel->next)
		if (channel->relid == relid)
			channel->rescinded = true;
	if (bus->reply.relid == relid)
		bus->reply.gone = true;
}

static bool is_reply(const struct vsc_reply *reply, uint32_t type, const uint8_t *message)
{
	uint32_t key;

	if (reply->type == 0 || reply->type != type || reply->came)
		return false;
	memcpy(&key, message + reply->key_offset, sizeof key);
	return reply->key == NO_KEY || reply->key == key;
}

void vsc_bus_poll(struct vsc_bus *bus)
{
	union {
		struct vmbus_message_header header;
		struct vmbus_offer_message offer;
		struct vmbus_relid_message relid;
		uint8_t bytes[VMBUS_MESSAGE_BYTES_MAX];
	} message;

	while (bus->platform->take_message(bus->platform->context, message.bytes)) {
		if (message.header.type == VMBUS_OFFER_CHANNEL) {
			note_offer(bus, &message.offer);
		} else if (message.header.type == VMBUS_RESCIND_CHANNEL_OFFER) {
			note_rescind(bus, message.relid.relid);
		} else if (is_reply(&bus->reply, message.header.type, message.bytes)) {
			memcpy(bus->reply.message, message.bytes, sizeof message.bytes);
			bus->reply.came = true;
		} else {
			bus->unexpected++;
		}
	}
}

/* ---- messages to the host */

int vsc_bus_post(struct vsc_bus *bus, const void *message, uint32_t bytes)
{
	const struct vsc_platform *platform = bus->platform;

	for (unsigned round = 0;; round++) {
		int r = platform->post_message(platform->context, bus->message_connection, message, bytes);

		if (r != VSC_FULL)
			return r;
		/* The host may wait for its own messages to be read. */
		vsc_bus_poll(bus);
		if (!platform->wait(platform->context, round))
			return VSC_TIMEOUT;
	}
}

void vsc_bus_expect(struct vsc_bus *bus, uint32_t type, uint32_t key_offset, uint32_t key, uint32_t relid)
{
	bus->reply = (struct vsc_reply){ .type = type, .key_offset = key_offset, .key = key, .relid = relid };
}

int vsc_bus_await(struct vsc_bus *bus, void *out, uint32_t bytes)
{
	struct vsc_reply *reply = &bus->reply;
	int r = VSC_OK;

	for (unsigned round = 0;; round++) {
		vsc_bus_poll(bus);
		if (reply->came || reply->gone)
			break;
		if (!bus->platform->wait(bus->platform->context, round)) {
			r = VSC_TIMEOUT;
			break;
		}
	}
	if (reply->came)
		memcpy(out, reply->message, bytes);
	else if (reply->gone)
		r = VSC_GONE;
	reply->type = 0;
	return r;
}

static int post_and_await(struct vsc_bus *bus, const void *message, uint32_t bytes, void *out, uint32_t out_bytes)
{
	int r = vsc_bus_post(bus, message, bytes);

	if (r == VSC_OK)
		return vsc_bus_await(bus, out, out_bytes);
	bus->reply.type = 0;
	return r;
}

/* ---- connection */

static void forget_all(struct vsc_bus *bus)
{
	for (struct vsc_channel *channel = bus->channels; channel; channel = channel->next)
		channel->rescinded = true;
	bus->channels = NULL;
	memset(bus->offers, 0, bus->offer_max * sizeof *bus->offers);
	bus->offers_lost = 0;
	bus->version = 0;
}

int vsc_bus_contact(struct vsc_bus *bus, uint32_t version, uint32_t vp)
{
	const bool names_sint = version >= VMBUS_VERSION_WIN10_V5;
	struct vmbus_contact_message contact = {
		.header.type = VMBUS_INITIATE_CONTACT,
		.version = version,
		.target_vp = vp,
		.sint = VMBUS_SINT,
		.monitor_page1 = gpa(bus, bus->pages->monitor[0]),
		.monitor_page2 = gpa(bus, bus->pages->monitor[1]),
	};
	uint64_t interrupt_page = gpa(bus, bus->pages->interrupt);
	struct vmbus_version_response_message response;
	int r;

	if (!names_sint)
		memcpy((uint8_t *)&contact + offsetof(struct vmbus_contact_message, sint), &interrupt_page,
		       sizeof interrupt_page);
	forget_all(bus);
	bus->message_connection = names_sint ? VMBUS_CONNECTION_MESSAGE4 : VMBUS_CONNECTION_MESSAGE;
	vsc_bus_expect(bus, VMBUS_VERSION_RESPONSE, 0, NO_KEY, 0);
	r = post_and_await(bus, &contact, sizeof contact, &response, sizeof response);
	if (r)
		return r;
	if (!response.supported || response.connection_state)
		return VSC_REFUSED;
	bus->message_connection = names_sint ? response.connection_id : VMBUS_CONNECTION_MESSAGE;
	bus->version = version;
	bus->vp = vp;
	return VSC_OK;
}

int vsc_bus_request_offers(struct vsc_bus *bus)
{
	const struct vmbus_message_header request = { .type = VMBUS_REQUEST_OFFERS };
	struct vmbus_message_header end;

	vsc_bus_expect(bus, VMBUS_ALL_OFFERS_DELIVERED, 0, NO_KEY, 0);
	return post_and_await(bus, &request, sizeof request, &end, sizeof end);
}

int vsc_bus_connect(struct vsc_bus *bus, uint32_t version_max, uint32_t vp)
{
	static const uint32_t versions[] = {
		VMBUS_VERSION_WIN10_V5_3, VMBUS_VERSION_WIN10_V5_2, VMBUS_VERSION_WIN10_V5_1, VMBUS_VERSION_WIN10_V5,
		VMBUS_VERSION_WIN10_V4_1, VMBUS_VERSION_WIN10, VMBUS_VERSION_WIN8_1, VMBUS_VERSION_WIN8,
	};
	int r = VSC_REFUSED;

	for (unsigned i = 0; i < sizeof versions / sizeof versions[0] && r == VSC_REFUSED; i++)
		if (versions[i] <= version_max)
			r = vsc_bus_contact(bus, versions[i], vp);
	return r ? r : vsc_bus_request_offers(bus);
}

int vsc_bus_unload(struct vsc_bus *bus)
{
	const struct vmbus_message_header request = { .type = VMBUS_UNLOAD };
	struct vmbus_message_header response;
	int r;

	vsc_bus_expect(bus, VMBUS_UNLOAD_RESPONSE, 0, NO_KEY, 0);
	r = post_and_await(bus, &request, sizeof request, &response, sizeof response);
	if (r == VSC_OK)
		forget_all(bus);
	return r;
}

/* ---- offers */

struct vsc_offer *vsc_bus_find(struct vsc_bus *bus, const struct vmbus_guid *interface, unsigned sub_index)
{
	for (unsigned i = 0; i < bus->offer_max; i++) {
		struct vsc_offer *offer = &bus->offers[i];

		if (offer->relid && !offer->rescinded && offer->sub_index == sub_index &&
		    memcmp(&offer->interface, interface, sizeof *interface) == 0)
			return offer;
	}
	return NULL;
}

int vsc_bus_release(struct vsc_bus *bus, struct vsc_offer *offer)
{
	const struct vmbus_relid_message message = { .header.type = VMBUS_RELID_RELEASED, .relid = offer->relid };
	int r = vsc_bus_post(bus, &message, sizeof message);

	if (r == VSC_OK)
		memset(offer, 0, sizeof *offer);
	return r;
}

/* ---- GPADLs */

/* Page numbers of memory, from page `first` on, as many as fit. */
static unsigned put_frames(const struct vsc_bus *bus, uint8_t *to, const uint8_t *memory, unsigned first, unsigned count,
			   unsigned max)
{
	unsigned now = count - first < max ? count - first : max;

	for (unsigned i = 0; i < now; i++) {
		uint64_t frame = gpa(bus, memory + (size_t)(first + i) * VSC_PAGE) / VSC_PAGE;

		memcpy(to + i * sizeof frame, &frame, sizeof frame);
	}
	return now;
}

static int post_ranges(struct vsc_bus *bus, uint32_t relid, uint32_t gpadl, const uint8_t *memory, unsigned pages)
{
	struct vmbus_gpadl_header_message header = {
		.header.type = VMBUS_GPADL_HEADER, .relid = relid, .gpadl = gpadl,
		.range_bytes = (uint16_t)(sizeof(struct vmbus_gpa_range_header) + pages * sizeof(uint64_t)), .range_count = 1,
	};
	const struct vmbus_gpadl_body_message body = { .header.type = VMBUS_GPADL_BODY, .gpadl = gpadl };
	const struct vmbus_gpa_range_header range = { .bytes = pages * VSC_PAGE };
	uint8_t message[VMBUS_MESSAGE_BYTES_MAX];
	unsigned done, now;
	int r;

	memcpy(message, &header, sizeof header);
	memcpy(message + sizeof header, &range, sizeof range);
	done = put_frames(bus, message + sizeof header + sizeof range, memory, 0, pages, HEADER_FRAMES);
	r = vsc_bus_post(bus, message, (uint32_t)(sizeof header + sizeof range + done * sizeof(uint64_t)));
	for (; r == VSC_OK && done < pages; done += now) {
		memcpy(message, &body, sizeof body);
		now = put_frames(bus, message + sizeof body, memory, done, pages, BODY_FRAMES);
		r = vsc_bus_post(bus, message, (uint32_t)(sizeof body + now * sizeof(uint64_t)));
	}
	return r;
}

int vsc_gpadl_create(struct vsc_bus *bus, uint32_t relid, const void *memory, uint32_t bytes, uint32_t *out_gpadl)
{
	struct vmbus_gpadl_created_message created;
	uint32_t gpadl = ++bus->next_gpadl;
	int r;

	if (bytes == 0 || bytes % VSC_PAGE || bytes / VSC_PAGE > GPADL_PAGES_MAX || gpa(bus, memory) % VSC_PAGE)
		return VSC_INVALID;
	vsc_bus_expect(bus, VMBUS_GPADL_CREATED, offsetof(struct vmbus_gpadl_created_message, gpadl), gpadl, relid);
	r = post_ranges(bus, relid, gpadl, memory, bytes / VSC_PAGE);
	if (r == VSC_OK)
		r = vsc_bus_await(bus, &created, sizeof created);
	bus->reply.type = 0;
	if (r)
		return r;
	*out_gpadl = gpadl;
	return created.status == VMBUS_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

/* Also of a rescinded channel: its memory is the guest's own again only after the answer. */
int vsc_gpadl_teardown(struct vsc_bus *bus, uint32_t relid, uint32_t gpadl)
{
	const struct vmbus_gpadl_teardown_message message = {
		.header.type = VMBUS_GPADL_TEARDOWN, .relid = relid, .gpadl = gpadl,
	};
	struct vmbus_gpadl_torndown_message torndown;

	vsc_bus_expect(bus, VMBUS_GPADL_TORNDOWN, offsetof(struct vmbus_gpadl_torndown_message, gpadl), gpadl, 0);
	return post_and_await(bus, &message, sizeof message, &torndown, sizeof torndown);
}
