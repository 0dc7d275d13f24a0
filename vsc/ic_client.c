// SPDX-License-Identifier: Apache-2.0
#include "ic_client.h"

const struct vmbus_guid vsc_heartbeat_interface = {
	0x57164f39, 0x9115, 0x4e78, { 0xab, 0x55, 0x38, 0x2f, 0x3b, 0xd5, 0x42, 0x2d }
};
const struct vmbus_guid vsc_shutdown_interface = {
	0x0e0b6031, 0x5213, 0x4934, { 0x81, 0x8b, 0x38, 0xd9, 0x0c, 0xed, 0x39, 0xdb }
};
const struct vmbus_guid vsc_timesync_interface = {
	0x9527e630, 0xd0ae, 0x497b, { 0xad, 0xce, 0xe8, 0x0a, 0xb0, 0x17, 0x5c, 0xaf }
};

/* Of the framework and of the three kinds together: a host offers only versions that its component has. */
static const struct ic_version known[] = { { 4, 0 }, { 3, 2 }, { 3, 1 }, { 3, 0 }, { 1, 0 } };

/* The best of a list that is known; 0.0: none. */
static struct ic_version choose(const uint8_t *list, unsigned count)
{
	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		for (unsigned j = 0; j < count; j++)
			if (memcmp(&known[i], list + j * sizeof known[i], sizeof known[i]) == 0)
				return known[i];
	return (struct ic_version){ 0, 0 };
}

/* The answers lie where the questions were. Each returns the status and may shorten the body. */
static uint32_t negotiate(struct vsc_ic *ic, uint8_t *body, uint16_t *bytes)
{
	struct ic_negotiate lists;
	unsigned count;

	if (*bytes < sizeof lists)
		return IC_STATUS_INVALID;
	memcpy(&lists, body, sizeof lists);
	count = (unsigned)lists.framework_count + lists.message_count;
	if (count > (*bytes - sizeof lists) / sizeof(struct ic_version))
		return IC_STATUS_INVALID;
	body += sizeof lists;
	ic->framework = choose(body, lists.framework_count);
	ic->message = choose(body + lists.framework_count * sizeof(struct ic_version), lists.message_count);
	if (ic->framework.major == 0 || ic->message.major == 0)
		lists = (struct ic_negotiate){ 0, 0, 0 };
	else
		lists = (struct ic_negotiate){ 1, 1, 0 };
	memcpy(body - sizeof lists, &lists, sizeof lists);
	*bytes = sizeof lists;
	if (lists.framework_count == 0)
		return IC_STATUS_OK;
	memcpy(body, &ic->framework, sizeof ic->framework);
	memcpy(body + sizeof ic->framework, &ic->message, sizeof ic->message);
	*bytes += 2 * sizeof(struct ic_version);
	return IC_STATUS_OK;
}

static uint32_t heartbeat(struct vsc_ic *ic, uint8_t *body, uint16_t *bytes)
{
	uint64_t sequence;

	if (*bytes < sizeof sequence)
		return IC_STATUS_INVALID;
	memcpy(&sequence, body, sizeof sequence);
	sequence++;
	memcpy(body, &sequence, sizeof sequence);
	if (*bytes >= sizeof(struct ic_heartbeat) && ic->message.major >= 3) {
		const uint32_t healthy = IC_APPLICATION_HEALTHY;

		memcpy(body + offsetof(struct ic_heartbeat, application_state), &healthy, sizeof healthy);
	}
	ic->heartbeats++;
	return IC_STATUS_OK;
}

static uint32_t shut_down(struct vsc_ic *ic, uint8_t *body, uint16_t *bytes)
{
	uint32_t flags;

	if (*bytes < offsetof(struct ic_shutdown, text))
		return IC_STATUS_INVALID;
	memcpy(&flags, body + offsetof(struct ic_shutdown, flags), sizeof flags);
	if (flags & IC_SHUTDOWN_HIBERNATE)
		return IC_STATUS_FAIL;
	ic->shutdown_asked = true;
	ic->shutdown_flags = flags;
	return IC_STATUS_OK;
}

static uint32_t timesync(struct vsc_ic *ic, uint8_t *body, uint16_t *bytes)
{
	struct ic_timesync now;
	struct ic_timesync_v1 old;

	if (ic->message.major >= 4 && *bytes >= sizeof now) {
		memcpy(&now, body, sizeof now);
		ic->wall_time = now.wall_time;
		ic->reference_time = now.reference_time;
		ic->timesync_flags = now.flags;
		return IC_STATUS_OK;
	}
	if (ic->message.major >= 4 || *bytes < sizeof old)
		return IC_STATUS_INVALID;
	memcpy(&old, body, sizeof old);
	ic->wall_time = old.wall_time;
	ic->timesync_flags = old.flags;
	return IC_STATUS_OK;
}

static uint32_t dispatch(struct vsc_ic *ic, uint16_t type, uint8_t *body, uint16_t *bytes)
{
	switch (type) {
	case IC_MESSAGE_NEGOTIATE:
		return negotiate(ic, body, bytes);
	case IC_MESSAGE_HEARTBEAT:
		return heartbeat(ic, body, bytes);
	case IC_MESSAGE_SHUTDOWN:
		return shut_down(ic, body, bytes);
	case IC_MESSAGE_TIMESYNC:
		return timesync(ic, body, bytes);
	default:
		return IC_STATUS_NOT_SUPPORTED;
	}
}

int vsc_ic_open(struct vsc_ic *ic, struct vsc_bus *bus, const struct vsc_offer *offer, void *rings, unsigned ring_pages,
		void *packet)
{
	memset(ic, 0, sizeof *ic);
	ic->packet = packet;
	return vsc_channel_open(&ic->channel, bus, offer, rings, ring_pages, bus->vp);
}

int vsc_ic_close(struct vsc_ic *ic)
{
	return vsc_channel_close(&ic->channel);
}

static int answer(struct vsc_ic *ic, const struct vsc_packet *got)
{
	uint8_t *payload = ic->packet + got->payload_offset;
	struct ic_header header;
	const struct vsc_part part = { payload, got->payload_bytes };

	if (got->payload_bytes < sizeof header)
		return VSC_BROKEN;
	memcpy(&header, payload, sizeof header);
	if (!(header.flags & IC_FLAG_REQUEST))
		return VSC_OK;
	if (header.body_bytes > got->payload_bytes - sizeof header)
		header.status = IC_STATUS_INVALID;
	else
		header.status = dispatch(ic, header.message_type, payload + sizeof header, &header.body_bytes);
	ic->requests += header.message_type != IC_MESSAGE_NEGOTIATE;
	ic->refused += header.status != IC_STATUS_OK;
	header.flags = IC_FLAG_TRANSACTION | IC_FLAG_RESPONSE;
	memcpy(payload, &header, sizeof header);
	return vsc_channel_send(&ic->channel, VMBUS_PACKET_IN_BAND, 0, got->transaction, &part, 1);
}

int vsc_ic_poll(struct vsc_ic *ic)
{
	struct vsc_packet got;
	int r;

	while ((r = vsc_channel_receive(&ic->channel, &got, ic->packet, VSC_IC_PACKET_BYTES)) == 1) {
		r = answer(ic, &got);
		if (r)
			return r;
	}
	return r == VSC_TOO_LARGE ? VSC_BROKEN : r;
}
