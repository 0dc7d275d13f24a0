// SPDX-License-Identifier: Apache-2.0
#include "vmbus/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void control_init(struct control *control, const struct control_limits *limits)
{
	memset(control, 0, sizeof *control);
	control->limits = *limits;
	control->sint = VMBUS_SINT;
	TAILQ_INIT(&control->channels);
	TAILQ_INIT(&control->gpadls);
	TAILQ_INIT(&control->channel_actions);
	TAILQ_INIT(&control->gpadl_actions);
	STAILQ_INIT(&control->messages);
}

/* ---- messages to the guest */

bool control_post(struct control *control, const void *payload, size_t bytes, uint32_t opened_relid)
{
	struct control_message *message = malloc(sizeof *message);

	if (!message)
		return false;
	message->vp = control->vp;
	message->sint = control->sint;
	message->bytes = (uint8_t)bytes;
	message->opened_relid = opened_relid;
	memcpy(message->payload, payload, bytes);
	STAILQ_INSERT_TAIL(&control->messages, message, link);
	control->message_count++;
	return true;
}

struct control_message *control_first_message(struct control *control)
{
	return STAILQ_FIRST(&control->messages);
}

void control_drop_message(struct control *control)
{
	struct control_message *message = STAILQ_FIRST(&control->messages);

	STAILQ_REMOVE_HEAD(&control->messages, link);
	control->message_count--;
	free(message);
}

static void drop_messages(struct control *control)
{
	while (control->message_count)
		control_drop_message(control);
}

#define POST(control, message) ((void)control_post(control, &(message), sizeof(message), 0))

static void post_header(struct control *control, uint32_t type)
{
	const struct vmbus_message_header message = { .type = type };

	POST(control, message);
}

static void post_offer(struct control *control, const struct control_channel *channel)
{
	struct vmbus_offer_message message = {
		.header.type = VMBUS_OFFER_CHANNEL,
		.interface = channel->offer.interface,
		.instance = channel->offer.instance,
		.flags = channel->offer.flags,
		.mmio_megabytes = channel->offer.mmio_megabytes,
		.sub_channel_index = channel->index,
		.relid = channel->relid,
		.monitor_id = 0xff,
		.dedicated_interrupt = 1,
		.connection_id = VMBUS_CONNECTION_CHANNELS + channel->relid,
	};

	memcpy(message.user_defined, channel->offer.user_defined, sizeof message.user_defined);
	POST(control, message);
}

static void post_open_result(struct control *control, uint32_t relid, uint32_t open_id, uint32_t status)
{
	const struct vmbus_open_result_message message = {
		.header.type = VMBUS_OPEN_CHANNEL_RESULT, .relid = relid, .open_id = open_id, .status = status,
	};

	control->counters.opens_refused += status != VMBUS_STATUS_SUCCESS;
	(void)control_post(control, &message, sizeof message, status == VMBUS_STATUS_SUCCESS ? relid : 0);
}

static void post_gpadl_created(struct control *control, uint32_t relid, uint32_t gpadl, uint32_t status)
{
	const struct vmbus_gpadl_created_message message = {
		.header.type = VMBUS_GPADL_CREATED, .relid = relid, .gpadl = gpadl, .status = status,
	};

	control->counters.gpadls_refused += status != VMBUS_STATUS_SUCCESS;
	POST(control, message);
}

static void post_torndown(struct control *control, uint32_t gpadl)
{
	const struct vmbus_gpadl_torndown_message message = { .header.type = VMBUS_GPADL_TORNDOWN, .gpadl = gpadl };

	POST(control, message);
}

/* ---- actions */

static void act(struct control *control, struct control_channel *channel, enum control_action action)
{
	channel->action = action;
	TAILQ_INSERT_TAIL(&control->channel_actions, channel, action_link);
}

/* GPADLs first: an OPEN never overtakes the MAP of its ring. */
enum control_action control_next_action(struct control *control, struct control_channel **out_channel,
					struct gpadl **out_gpadl)
{
	struct control_channel *channel = TAILQ_FIRST(&control->channel_actions);
	struct gpadl *gpadl = TAILQ_FIRST(&control->gpadl_actions);
	enum control_action action;

	if (gpadl) {
		TAILQ_REMOVE(&control->gpadl_actions, gpadl, action_link);
		*out_gpadl = gpadl;
		return CONTROL_MAP;
	}
	if (channel) {
		TAILQ_REMOVE(&control->channel_actions, channel, action_link);
		action = channel->action;
		channel->action = CONTROL_IDLE;
		*out_channel = channel;
		return action;
	}
	if (control->connect_waits) {
		control->connect_waits = false;
		return CONTROL_CONNECT;
	}
	if (control->quiet) {
		control->quiet = false;
		return CONTROL_QUIET;
	}
	return CONTROL_IDLE;
}

/* ---- GPADLs */

struct gpadl *control_find_gpadl(struct control *control, uint32_t id)
{
	struct gpadl *gpadl;

	TAILQ_FOREACH(gpadl, &control->gpadls, link)
		if (gpadl->id == id)
			break;
	return gpadl;
}

int control_adopt_gpadl(struct control *control, struct gpadl *gpadl)
{
	uint64_t charge = gpadl_charge(gpadl->range_bytes);

	if (control_find_gpadl(control, gpadl->id))
		return -EEXIST;
	if (control->gpadl_count >= control->limits.gpadls ||
	    charge > control->limits.gpadl_bytes - control->gpadl_bytes)
		return -ENOSPC;
	TAILQ_INSERT_TAIL(&control->gpadls, gpadl, link);
	control->gpadl_count++;
	control->gpadl_bytes += charge;
	return 0;
}

static void drop_gpadl(struct control *control, struct gpadl *gpadl)
{
	if (gpadl->state == GPADL_MAPPING)
		TAILQ_REMOVE(&control->gpadl_actions, gpadl, action_link);
	TAILQ_REMOVE(&control->gpadls, gpadl, link);
	control->gpadl_count--;
	control->gpadl_bytes -= gpadl_charge(gpadl->range_bytes);
	free(gpadl);
}

/* Of one channel id, or all (0). Nobody uses them: their channels are closed. */
static void drop_gpadls(struct control *control, uint32_t relid)
{
	struct gpadl *gpadl, *next;

	for (gpadl = TAILQ_FIRST(&control->gpadls); gpadl; gpadl = next) {
		next = TAILQ_NEXT(gpadl, link);
		if (relid == 0 || gpadl->relid == relid)
			drop_gpadl(control, gpadl);
	}
}

void control_fini(struct control *control)
{
	drop_messages(control);
	drop_gpadls(control, 0);
}

static void collect(struct control *control, struct gpadl *gpadl, const uint8_t *bytes, size_t count)
{
	if (!gpadl_append(gpadl, bytes, count))
		return;
	if (gpadl_well_formed(gpadl)) {
		gpadl->state = GPADL_MAPPING;
		TAILQ_INSERT_TAIL(&control->gpadl_actions, gpadl, action_link);
	} else {
		post_gpadl_created(control, gpadl->relid, gpadl->id, VMBUS_STATUS_INVALID_PARAMETER);
		drop_gpadl(control, gpadl);
	}
}

void control_mapped(struct control *control, struct gpadl *gpadl, bool ok)
{
	gpadl->state = GPADL_READY;
	post_gpadl_created(control, gpadl->relid, gpadl->id,
			   ok ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_INVALID_PARAMETER);
	if (!ok)
		drop_gpadl(control, gpadl);
}

void control_put_gpadl(struct control *control, struct gpadl *gpadl)
{
	/* During a reset nobody waits for the answer any more; the list goes with all others. */
	if (--gpadl->users || gpadl->state != GPADL_TEARING_DOWN || control->state == CONTROL_RESETTING)
		return;
	post_torndown(control, gpadl->id);
	drop_gpadl(control, gpadl);
}

static struct control_channel *find_channel(const struct control *control, uint32_t relid)
{
	return relid <= VMBUS_RELID_MAX ? control->by_relid[relid] : NULL;
}

/* The range list follows the header; in_bytes counts both. Bodies of a refused one find nothing and are left alone. */
static void on_gpadl_header(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_gpadl_header_message *message = in;
	struct gpadl *gpadl;

	if (!find_channel(control, message->relid) || message->gpadl == 0 || message->range_count == 0 ||
	    message->range_bytes == 0) {
		control->counters.bad++;
		post_gpadl_created(control, message->relid, message->gpadl, VMBUS_STATUS_INVALID_PARAMETER);
		return;
	}
	gpadl = gpadl_new(message);
	if (!gpadl || control_adopt_gpadl(control, gpadl)) {
		free(gpadl);
		post_gpadl_created(control, message->relid, message->gpadl, VMBUS_STATUS_INSUFFICIENT_RESOURCES);
		return;
	}
	collect(control, gpadl, (const uint8_t *)(message + 1), in_bytes - sizeof *message);
}

static void on_gpadl_body(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_gpadl_body_message *message = in;
	struct gpadl *gpadl = control_find_gpadl(control, message->gpadl);

	if (gpadl && gpadl->state == GPADL_COLLECTING)
		collect(control, gpadl, (const uint8_t *)(message + 1), in_bytes - sizeof *message);
	else
		control->counters.bad++;
}

static void on_gpadl_teardown(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_gpadl_teardown_message *message = in;
	struct gpadl *gpadl = control_find_gpadl(control, message->gpadl);

	if (!gpadl) {
		/* Nothing of it is used, and the guest waits for an answer without end. */
		control->counters.bad++;
		post_torndown(control, message->gpadl);
	} else if (gpadl->relid != message->relid || gpadl->state == GPADL_TEARING_DOWN) {
		control->counters.bad++;
	} else if (gpadl->users) {
		gpadl->state = GPADL_TEARING_DOWN;
	} else {
		post_torndown(control, gpadl->id);
		drop_gpadl(control, gpadl);
	}
}

/* ---- channels */

static int compare(const struct control_channel *a, const struct control_channel *b)
{
	int order = memcmp(&a->offer.interface, &b->offer.interface, sizeof a->offer.interface);

	if (order == 0)
		order = memcmp(&a->offer.instance, &b->offer.instance, sizeof a->offer.instance);
	return order ? order : (int)a->index - (int)b->index;
}

static void take_home(struct control *control, struct control_channel *channel, uint32_t home)
{
	channel->home = home;
	control->homes[home] = true;
}

/* There is a free one: there are no more channels than ids. */
static uint32_t free_home(const struct control *control)
{
	uint32_t home = 1;

	while (control->homes[home])
		home++;
	return home;
}

static void know(struct control *control, struct control_channel *channel)
{
	channel->relid = channel->home;
	control->by_relid[channel->relid] = channel;
}

static void offer(struct control *control, struct control_channel *channel)
{
	if (!channel->home)
		take_home(control, channel, free_home(control));
	know(control, channel);
	post_offer(control, channel);
}

/* Guests match offers by instance alone. Of a restored one that is revoked there may be another. */
static bool clashes(const struct control_channel *channel, const struct control_channel *other)
{
	if (channel->primary || channel->revoked || (control_is_socket(other) && !control_is_socket(channel)))
		return false;
	return !memcmp(&other->offer.instance, &channel->offer.instance, sizeof other->offer.instance);
}

int control_add(struct control *control, struct control_channel *channel)
{
	struct control_channel *other, *before = NULL;

	if (control->channel_count >= VMBUS_RELID_MAX ||
	    (control_is_socket(channel) && control->socket_count >= CONTROL_SOCKETS_MAX))
		return -ENOSPC;
	TAILQ_FOREACH(other, &control->channels, link) {
		if (clashes(channel, other))
			return -EEXIST;
		if (!before && compare(other, channel) > 0)
			before = other;
	}
	if (before)
		TAILQ_INSERT_BEFORE(before, channel, link);
	else
		TAILQ_INSERT_TAIL(&control->channels, channel, link);
	control->channel_count++;
	control->socket_count += control_is_socket(channel);
	if (control->state == CONTROL_CONNECTED && control->offers_sent)
		offer(control, channel);
	return 0;
}

static bool has_subchannels(const struct control *control, const struct control_channel *primary, bool open_only)
{
	struct control_channel *channel;

	TAILQ_FOREACH(channel, &control->channels, link)
		if (channel->primary == primary && (!open_only || channel->state != CONTROL_CLOSED))
			return true;
	return false;
}

static void forget(struct control *control, struct control_channel *channel)
{
	TAILQ_REMOVE(&control->channels, channel, link);
	control->channel_count--;
	control->socket_count -= control_is_socket(channel);
	if (channel->home)
		control->homes[channel->home] = false;
	act(control, channel, CONTROL_GONE);
}

/* A revoked channel goes when the guest knows nothing of it any more; a primary after its sub-channels. */
static void forget_if_unknown(struct control *control, struct control_channel *channel)
{
	struct control_channel *primary = channel->primary;

	if (!channel->revoked || channel->relid || channel->state != CONTROL_CLOSED)
		return;
	if (!primary && has_subchannels(control, channel, false))
		return;
	forget(control, channel);
	if (primary)
		forget_if_unknown(control, primary);
}

static void post_rescind(struct control *control, const struct control_channel *channel)
{
	const struct vmbus_relid_message message = {
		.header.type = VMBUS_RESCIND_CHANNEL_OFFER, .relid = channel->relid,
	};

	POST(control, message);
}

static void revoke(struct control *control, struct control_channel *channel)
{
	if (channel->revoked)
		return;
	channel->revoked = true;
	if (channel->relid && control->state == CONTROL_CONNECTED)
		post_rescind(control, channel);
}

static void revoke_subchannels(struct control *control, struct control_channel *primary)
{
	struct control_channel *channel;

	TAILQ_FOREACH(channel, &control->channels, link)
		if (channel->primary == primary)
			revoke(control, channel);
}

void control_revoke(struct control *control, struct control_channel *primary)
{
	revoke_subchannels(control, primary);
	revoke(control, primary);
	forget_if_unknown(control, primary);
}

static void release(struct control *control, struct control_channel *channel)
{
	drop_gpadls(control, channel->relid);
	control->by_relid[channel->relid] = NULL;
	channel->relid = 0;
	channel->released = false;
	channel->declined = true;
	if (channel->primary)
		channel->revoked = true;
	forget_if_unknown(control, channel);
}

static void close_one(struct control *control, struct control_channel *channel)
{
	if (channel->state != CONTROL_OPEN)
		return;
	channel->state = CONTROL_CLOSING;
	act(control, channel, CONTROL_DETACH);
}

/* With a primary its sub-channels go, open or not: the guest asks for new ones after the next open. */
void control_close(struct control *control, struct control_channel *channel)
{
	struct control_channel *other;

	TAILQ_FOREACH(other, &control->channels, link)
		if (other->primary == channel)
			close_one(control, other);
	close_one(control, channel);
	revoke_subchannels(control, channel);
}

static bool vp_exists(const struct control *control, uint32_t vp)
{
	return vp == VMBUS_VP_NONE || vp < control->limits.vp_count;
}

static struct gpadl *ring_gpadl(struct control *control, const struct control_channel *channel,
				const struct control_open *open)
{
	struct gpadl *gpadl = control_find_gpadl(control, open->gpadl);
	unsigned pages;

	if (!gpadl || gpadl->relid != channel->relid || !vp_exists(control, open->target_vp))
		return NULL;
	pages = gpadl_whole_pages(gpadl);
	/* Both rings: a control page and some data. */
	if (pages < 4 || open->downstream_page < 2 || open->downstream_page > pages - 2)
		return NULL;
	return gpadl;
}

/* Does what next_open asks, now or when everything of the last time is closed. */
static void open_next(struct control *control, struct control_channel *channel)
{
	struct gpadl *gpadl;

	if (channel->state == CONTROL_CLOSING || (!channel->primary && has_subchannels(control, channel, true))) {
		channel->open_waits = true;
		return;
	}
	channel->open_waits = false;
	gpadl = ring_gpadl(control, channel, &channel->next_open);
	if (!gpadl || gpadl->state != GPADL_READY || channel->revoked) {
		post_open_result(control, channel->relid, channel->next_open.open_id, VMBUS_STATUS_INVALID_PARAMETER);
		return;
	}
	gpadl->users++;
	channel->open = channel->next_open;
	channel->state = CONTROL_OPENING;
	act(control, channel, CONTROL_ATTACH);
}

static void put_ring(struct control *control, struct control_channel *channel)
{
	channel->state = CONTROL_CLOSED;
	control_put_gpadl(control, control_find_gpadl(control, channel->open.gpadl));
}

void control_opened(struct control *control, struct control_channel *channel, bool ok)
{
	channel->state = CONTROL_OPEN;
	post_open_result(control, channel->relid, channel->open.open_id,
			 ok ? VMBUS_STATUS_SUCCESS : VMBUS_STATUS_UNSUCCESSFUL);
	if (!ok)
		put_ring(control, channel);
}

static void finish_reset_if_closed(struct control *control);

void control_closed(struct control *control, struct control_channel *channel)
{
	struct control_channel *primary = channel->primary;

	if (control->state == CONTROL_RESETTING) {
		channel->state = CONTROL_CLOSED;
		finish_reset_if_closed(control);
		return;
	}
	put_ring(control, channel);
	if (channel->released)
		release(control, channel);
	else if (channel->open_waits)
		open_next(control, channel);
	if (primary && primary->open_waits)
		open_next(control, primary);
}

static void on_open(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_open_message *message = in;
	struct control_channel *channel = find_channel(control, message->relid);

	if (!channel || channel->state == CONTROL_OPEN || channel->open_waits || channel->released) {
		control->counters.bad++;
		post_open_result(control, message->relid, message->open_id, VMBUS_STATUS_UNSUCCESSFUL);
		return;
	}
	channel->next_open = (struct control_open){
		.open_id = message->open_id,
		.gpadl = message->ring_gpadl,
		.target_vp = message->target_vp,
		.downstream_page = message->downstream_page,
	};
	open_next(control, channel);
}

static void on_close(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_relid_message *message = in;
	struct control_channel *channel = find_channel(control, message->relid);

	if (channel && channel->open_waits) {
		channel->open_waits = false;
		post_open_result(control, channel->relid, channel->next_open.open_id, VMBUS_STATUS_UNSUCCESSFUL);
	} else if (channel && channel->state == CONTROL_OPEN) {
		control_close(control, channel);
	} else if (!channel || !channel->revoked) {
		control->counters.bad++;	/* of a revoked one: the host was faster */
	}
}

static void on_relid_released(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_relid_message *message = in;
	struct control_channel *channel = find_channel(control, message->relid);

	if (!channel || channel->released || (channel->state == CONTROL_OPEN && !channel->revoked)) {
		control->counters.bad++;
		return;
	}
	channel->open_waits = false;
	control_close(control, channel);
	if (channel->state == CONTROL_CLOSED)
		release(control, channel);
	else
		channel->released = true;
}

static void on_modify(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_modify_message *message = in;
	struct control_channel *channel = find_channel(control, message->relid);
	struct vmbus_modify_response_message response = {
		.header.type = VMBUS_MODIFY_CHANNEL_RESPONSE, .relid = message->relid,
	};

	if (control->version < VMBUS_VERSION_WIN10_V4_1 || !channel || channel->state != CONTROL_OPEN ||
	    !vp_exists(control, message->target_vp)) {
		control->counters.bad++;
		response.status = VMBUS_STATUS_INVALID_PARAMETER;
	} else {
		channel->open.target_vp = message->target_vp;
	}
	/* Events are set by the thread that runs this: none goes to the old VP after the answer. */
	if (control->version >= VMBUS_VERSION_WIN10_V5_3)
		POST(control, response);
}

/* ---- sockets */

bool control_takes_sockets(const struct control *control)
{
	return control->state == CONTROL_CONNECTED && control->offers_sent && control->version >= VMBUS_VERSION_WIN10;
}

/* Whoever connects should not wait for a timeout; guests know no other status here. */
void control_refuse(struct control *control, const struct vmbus_tl_connect_message *connect)
{
	const struct vmbus_tl_connect_result_message result = {
		.header.type = VMBUS_TL_CONNECT_RESULT,
		.endpoint = connect->endpoint,
		.service = connect->service,
		.status = VMBUS_STATUS_CONNECTION_REFUSED,
	};

	control->counters.connects_refused++;
	POST(control, result);
}

static void on_tl_connect(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_tl_connect_message *message = in;

	control->counters.connects++;
	if (!control_takes_sockets(control) || control->connect_waits ||
	    control->socket_count >= CONTROL_SOCKETS_MAX) {
		control_refuse(control, message);
		return;
	}
	control->connect = *message;
	control->connect_waits = true;
}

static void on_request_offers(struct control *control, const void *in, size_t in_bytes)
{
	struct control_channel *channel;

	if (control->offers_sent) {
		control->counters.bad++;
		return;
	}
	control->offers_sent = true;
	TAILQ_FOREACH(channel, &control->channels, link)
		offer(control, channel);
	post_header(control, VMBUS_ALL_OFFERS_DELIVERED);
}

/* ---- connection */

static bool version_known(uint32_t version)
{
	static const uint32_t known[] = {
		VMBUS_VERSION_WIN8, VMBUS_VERSION_WIN8_1, VMBUS_VERSION_WIN10, VMBUS_VERSION_WIN10_V4_1,
		VMBUS_VERSION_WIN10_V5, VMBUS_VERSION_WIN10_V5_1, VMBUS_VERSION_WIN10_V5_2, VMBUS_VERSION_WIN10_V5_3,
		VMBUS_VERSION_WIN10_V6_0,
	};

	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i] == version)
			return true;
	return false;
}

static void accept_contact(struct control *control)
{
	const struct vmbus_contact_message *contact = &control->contact;
	const bool names_sint = contact->version >= VMBUS_VERSION_WIN10_V5;
	/* The long form also when refusing: guests drop shorter ones and wait forever. */
	struct vmbus_version_response_message_v6 message = {
		.response.header.type = VMBUS_VERSION_RESPONSE,
		/* Those of 6.0 are for what is not offered here (confidential channels, pausing, moving monitor pages);
		 * without them all messages are as before. */
		.feature_flags = 0,
	};

	control->vp = contact->target_vp;
	control->sint = VMBUS_SINT;
	if (version_known(contact->version) && (!names_sint || (contact->sint == VMBUS_SINT && contact->vtl == 0))) {
		control->state = CONTROL_CONNECTED;
		control->version = contact->version;
		message.response.supported = 1;
		message.response.connection_id = names_sint ? VMBUS_CONNECTION_MESSAGE : contact->version;
	}
	(void)control_post(control, &message, control->version >= VMBUS_VERSION_WIN10_V6_0 ? sizeof message :
			   sizeof message.response, 0);
}

static void finish_reset_if_closed(struct control *control)
{
	struct control_channel *channel, *next;

	TAILQ_FOREACH(channel, &control->channels, link)
		if (channel->state != CONTROL_CLOSED)
			return;
	drop_gpadls(control, 0);
	memset(control->by_relid, 0, sizeof control->by_relid);
	/* Sub-channels lie behind their primary: forget them first. */
	for (channel = TAILQ_LAST(&control->channels, control_channel_list); channel; channel = next) {
		next = TAILQ_PREV(channel, control_channel_list, link);
		channel->relid = 0;
		channel->released = channel->declined = channel->open_waits = false;
		if (channel->primary || channel->revoked)
			forget(control, channel);
	}
	control->state = CONTROL_DISCONNECTED;
	control->version = 0;
	control->offers_sent = false;
	control->quiet = true;
	if (control->next == CONTROL_NEXT_CONTACT)
		accept_contact(control);
	else if (control->next == CONTROL_NEXT_UNLOAD)
		post_header(control, VMBUS_UNLOAD_RESPONSE);
}

static void reset(struct control *control, enum control_next next)
{
	struct control_channel *channel;

	/* Whatever was on its way belongs to somebody who is gone. */
	drop_messages(control);
	control->connect_waits = false;
	control->next = next;
	control->state = CONTROL_RESETTING;
	/* From the end: sub-channels lie behind their primary and close first. */
	TAILQ_FOREACH_REVERSE(channel, &control->channels, control_channel_list, link)
		close_one(control, channel);
	finish_reset_if_closed(control);
}

void control_reset(struct control *control)
{
	reset(control, CONTROL_NEXT_NOTHING);
}

static void on_contact(struct control *control, const void *in, size_t in_bytes)
{
	const struct vmbus_contact_message *message = in;

	control->counters.contacts++;
	if (message->target_vp >= control->limits.vp_count) {
		control->counters.bad++;		/* no VP that could get an answer */
		return;
	}
	control->contact = *message;
	reset(control, CONTROL_NEXT_CONTACT);
}

static void on_unload(struct control *control, const void *in, size_t in_bytes)
{
	/* After a contact that is not yet answered, the answer goes where that one asked for. */
	if (control->state == CONTROL_RESETTING && control->next == CONTROL_NEXT_CONTACT)
		control->vp = control->contact.target_vp;
	reset(control, CONTROL_NEXT_UNLOAD);
}

/* ---- a restored state */

int control_adopt_home(struct control *control, struct control_channel *channel, uint32_t home)
{
	if (home == 0 || home > VMBUS_RELID_MAX || control->homes[home] || channel->home)
		return -EINVAL;
	take_home(control, channel, home);
	return 0;
}

int control_adopt_offer(struct control *control, struct control_channel *channel)
{
	if (!channel->home || channel->relid)
		return -EINVAL;
	know(control, channel);
	return 0;
}

int control_adopt_open(struct control *control, struct control_channel *channel)
{
	struct gpadl *gpadl = channel->relid ? ring_gpadl(control, channel, &channel->open) : NULL;

	if (!gpadl || gpadl->state == GPADL_COLLECTING)
		return -EINVAL;
	gpadl->users++;
	channel->state = CONTROL_OPEN;
	return 0;
}

void control_adopt_connection(struct control *control, uint32_t version, bool offers_sent)
{
	struct control_channel *channel;
	struct gpadl *gpadl, *next;

	control->state = CONTROL_CONNECTED;
	control->version = version;
	control->offers_sent = offers_sent;
	TAILQ_FOREACH(channel, &control->channels, link) {
		if (offers_sent && channel->relid == 0 && !channel->declined)
			offer(control, channel);
		if (channel->untold)
			post_rescind(control, channel);
		channel->untold = false;
	}
	for (gpadl = TAILQ_FIRST(&control->gpadls); gpadl; gpadl = next) {
		next = TAILQ_NEXT(gpadl, link);
		if (gpadl->state == GPADL_TEARING_DOWN && gpadl->users == 0) {
			post_torndown(control, gpadl->id);
			drop_gpadl(control, gpadl);
		}
	}
}

/* ---- dispatch */

struct route {
	void (*handler)(struct control *control, const void *in, size_t in_bytes);
	uint8_t bytes_min;
	bool any_state;			/* also when not connected, and however many answers are unread */
};

static const struct route routes[VMBUS_MESSAGE_TYPE_COUNT] = {
	[VMBUS_REQUEST_OFFERS] = { on_request_offers, sizeof(struct vmbus_message_header), false },
	[VMBUS_OPEN_CHANNEL] = { on_open, sizeof(struct vmbus_open_message), false },
	[VMBUS_CLOSE_CHANNEL] = { on_close, sizeof(struct vmbus_relid_message), false },
	[VMBUS_GPADL_HEADER] = { on_gpadl_header, sizeof(struct vmbus_gpadl_header_message), false },
	[VMBUS_GPADL_BODY] = { on_gpadl_body, sizeof(struct vmbus_gpadl_body_message), false },
	[VMBUS_GPADL_TEARDOWN] = { on_gpadl_teardown, sizeof(struct vmbus_gpadl_teardown_message), false },
	[VMBUS_RELID_RELEASED] = { on_relid_released, sizeof(struct vmbus_relid_message), false },
	[VMBUS_INITIATE_CONTACT] = { on_contact, sizeof(struct vmbus_contact_message), true },
	[VMBUS_UNLOAD] = { on_unload, sizeof(struct vmbus_message_header), true },
	[VMBUS_TL_CONNECT_REQUEST] = { on_tl_connect, sizeof(struct vmbus_tl_connect_message), false },
	[VMBUS_MODIFY_CHANNEL] = { on_modify, sizeof(struct vmbus_modify_message), false },
};

int control_message(struct control *control, const void *payload, size_t bytes)
{
	union {
		struct vmbus_message_header header;
		struct vmbus_contact_message align;
		uint8_t bytes[VMBUS_MESSAGE_BYTES_MAX];
	} message = { .bytes = { 0 } };
	const struct route *route;

	control->counters.received++;
	if (bytes < sizeof message.header || bytes > sizeof message) {
		control->counters.bad++;
		return 0;
	}
	memcpy(message.bytes, payload, bytes);
	route = message.header.type < VMBUS_MESSAGE_TYPE_COUNT ? &routes[message.header.type] : NULL;
	if (!route || !route->handler) {
		control->counters.unknown++;
		return 0;
	}
	if (bytes < route->bytes_min || (control->state != CONTROL_CONNECTED && !route->any_state)) {
		control->counters.bad++;
		return 0;
	}
	if (control->message_count >= CONTROL_QUEUE_MAX && !route->any_state) {
		control->counters.refused++;
		return -EAGAIN;
	}
	route->handler(control, message.bytes, bytes);
	return 0;
}
