// SPDX-License-Identifier: Apache-2.0
#include "scsi_client.h"

#define PACKET_BYTES_MAX      128u
#define TRANSFER_MAX          (8u << 20)	/* what a list of pages in one packet holds by far */
#define INQUIRY               0x12u
#define SYNCHRONIZE_CACHE_10  0x35u
#define READ_16               0x88u
#define WRITE_16              0x8au
#define SERVICE_ACTION_IN_16  0x9eu
#define READ_CAPACITY_16      0x10u
#define CAPACITY_BYTES        32u
#define SENSE_UNIT_ATTENTION  6u
#define ATTENTIONS_MAX        8u

const struct vmbus_guid vsc_scsi_interface = STORVSC_SCSI_INTERFACE;

/* ---- the controller */

static int ask(struct vsc_scsi *scsi, struct storvsc_packet *packet)
{
	union {
		uint64_t align;
		uint8_t bytes[PACKET_BYTES_MAX];
	} buffer;
	struct vsc_packet got;
	int r;

	r = vsc_channel_transact(&scsi->channel, ++scsi->next_transaction, packet, sizeof *packet, &got, buffer.bytes,
				 sizeof buffer);
	if (r)
		return r;
	if (got.payload_bytes < sizeof *packet)
		return VSC_BROKEN;
	memcpy(packet, buffer.bytes + got.payload_offset, sizeof *packet);
	if (packet->operation != STORVSC_COMPLETE_IO)
		return VSC_BROKEN;
	return packet->status == STORVSC_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

static int agree(struct vsc_scsi *scsi)
{
	static const uint16_t versions[] = { STORVSC_VERSION_WIN10, STORVSC_VERSION_WIN8_1, STORVSC_VERSION_WIN8 };
	struct storvsc_packet packet = { .operation = STORVSC_BEGIN_INITIALIZATION };
	int r = ask(scsi, &packet);

	if (r)
		return r;
	r = VSC_REFUSED;
	for (unsigned i = 0; i < sizeof versions / sizeof versions[0] && r == VSC_REFUSED; i++) {
		packet = (struct storvsc_packet){ .operation = STORVSC_QUERY_PROTOCOL_VERSION };
		packet.version.version = scsi->version = versions[i];
		r = ask(scsi, &packet);
	}
	if (r)
		return r;
	packet = (struct storvsc_packet){ .operation = STORVSC_QUERY_PROPERTIES };
	r = ask(scsi, &packet);
	if (r)
		return r;
	if (packet.properties.flags & STORVSC_PROPERTY_MULTI_CHANNEL)
		scsi->sub_channels_max = packet.properties.max_channel_count;
	scsi->transfer_max = packet.properties.max_transfer_bytes;
	if (scsi->transfer_max < VSC_PAGE)
		return VSC_BROKEN;
	if (scsi->transfer_max > TRANSFER_MAX)
		scsi->transfer_max = TRANSFER_MAX;
	packet = (struct storvsc_packet){ .operation = STORVSC_END_INITIALIZATION };
	return ask(scsi, &packet);
}

int vsc_scsi_open(struct vsc_scsi *scsi, struct vsc_bus *bus, const struct vsc_offer *offer, void *rings,
		  unsigned ring_pages)
{
	int r;

	memset(scsi, 0, sizeof *scsi);
	r = vsc_channel_open(&scsi->channel, bus, offer, rings, ring_pages, bus->vp);
	if (r)
		return r;
	r = agree(scsi);
	if (r)
		(void)vsc_channel_close(&scsi->channel);
	return r;
}

int vsc_scsi_close(struct vsc_scsi *scsi)
{
	return vsc_channel_close(&scsi->channel);
}

int vsc_scsi_ask_sub_channels(struct vsc_scsi *scsi, unsigned count)
{
	struct storvsc_packet packet = { .operation = STORVSC_CREATE_SUB_CHANNELS, .sub_channel_count = (uint16_t)count };

	return count <= scsi->sub_channels_max ? ask(scsi, &packet) : VSC_INVALID;
}

int vsc_scsi_open_sub_channel(struct vsc_scsi *sub, const struct vsc_scsi *scsi, const struct vsc_offer *offer, void *rings,
			      unsigned ring_pages)
{
	memset(sub, 0, sizeof *sub);
	sub->version = scsi->version;
	sub->transfer_max = scsi->transfer_max;
	return vsc_channel_open(&sub->channel, scsi->channel.bus, offer, rings, ring_pages, scsi->channel.bus->vp);
}

int vsc_scsi_submit(struct vsc_scsi *scsi, const struct vsc_scsi_command *command)
{
	struct storvsc_packet packet = { .operation = STORVSC_EXECUTE_SRB, .flags = 1 };
	const struct vsc_part part = { &packet, sizeof packet };

	if (command->bytes > scsi->transfer_max || command->cdb_bytes > STORVSC_CDB_BYTES)
		return VSC_INVALID;
	packet.srb = (struct storvsc_srb){
		.length = sizeof packet.srb,
		.lun = command->lun,
		.cdb_length = command->cdb_bytes,
		.sense_info_length = STORVSC_SENSE_BYTES,
		.data_in = command->direction,
		.data_transfer_length = command->bytes,
		.time_out_value = 60,
	};
	memcpy(packet.srb.cdb_or_sense, command->cdb, command->cdb_bytes);
	if (command->bytes == 0)
		return vsc_channel_send(&scsi->channel, VMBUS_PACKET_IN_BAND, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED,
					command->transaction, &part, 1);
	return vsc_channel_send_memory(&scsi->channel, VMBUS_PACKET_FLAG_COMPLETION_REQUESTED, command->transaction,
				       command->memory, command->bytes, &packet, sizeof packet);
}

static int take_result(const struct vsc_packet *got, const uint8_t *buffer, struct vsc_scsi_result *out)
{
	struct storvsc_packet packet;

	if (got->payload_bytes < sizeof packet)
		return VSC_BROKEN;
	memcpy(&packet, buffer + got->payload_offset, sizeof packet);
	if (packet.operation != STORVSC_COMPLETE_IO || packet.srb.sense_info_length > STORVSC_SENSE_BYTES)
		return VSC_BROKEN;
	*out = (struct vsc_scsi_result){
		.transaction = got->transaction,
		.srb_status = packet.srb.srb_status,
		.scsi_status = packet.srb.scsi_status,
		.sense_bytes = packet.srb.sense_info_length,
		.moved = packet.srb.data_transfer_length,
	};
	memcpy(out->sense, packet.srb.cdb_or_sense, sizeof out->sense);
	return 1;
}

int vsc_scsi_reap(struct vsc_scsi *scsi, struct vsc_scsi_result *out)
{
	union {
		uint64_t align;
		uint8_t bytes[PACKET_BYTES_MAX];
	} buffer;
	struct vsc_packet got;
	int r;

	while ((r = vsc_channel_receive(&scsi->channel, &got, buffer.bytes, sizeof buffer)) == 1) {
		if (got.type == VMBUS_PACKET_COMPLETION)
			return take_result(&got, buffer.bytes, out);
		scsi->changes++;	/* REMOVE_DEVICE, ENUMERATE_BUS: nobody asked */
	}
	return r == VSC_TOO_LARGE ? VSC_BROKEN : r;
}

int vsc_scsi_execute(struct vsc_scsi *scsi, struct vsc_scsi_command *command, struct vsc_scsi_result *out)
{
	const struct vsc_platform *platform = scsi->channel.bus->platform;
	int r;

	command->transaction = ++scsi->next_transaction;
	r = vsc_scsi_submit(scsi, command);
	for (unsigned round = 0; r == VSC_OK; round++) {
		r = vsc_scsi_reap(scsi, out);
		if (r == 1)
			return out->transaction == command->transaction ? VSC_OK : VSC_BROKEN;
		vsc_bus_poll(scsi->channel.bus);
		if (r == 0 && !platform->wait(platform->context, round))
			r = VSC_TIMEOUT;
	}
	return r;
}

/* ---- a disk */

static void put_be(uint8_t *to, uint64_t value, unsigned bytes)
{
	while (bytes--) {
		to[bytes] = (uint8_t)value;
		value >>= 8;
	}
}

static uint64_t get_be(const uint8_t *from, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes; i++)
		value = value << 8 | from[i];
	return value;
}

static bool is_attention(const struct vsc_scsi_result *result)
{
	return result->scsi_status == 2 && result->sense_bytes > 2 && (result->sense[2] & 0xf) == SENSE_UNIT_ATTENTION;
}

/* A unit attention is news, not a refusal: the command is to be sent again. */
static int run(struct vsc_disk *disk, struct vsc_scsi_command *command)
{
	for (unsigned i = 0; i < ATTENTIONS_MAX; i++) {
		int r = vsc_scsi_execute(disk->scsi, command, &disk->last);

		if (r)
			return r;
		if (!is_attention(&disk->last))
			break;
	}
	return disk->last.scsi_status == 0 && (disk->last.srb_status & 0x3f) == SRB_STATUS_SUCCESS ? VSC_OK : VSC_REFUSED;
}

int vsc_disk_open(struct vsc_disk *disk, struct vsc_scsi *scsi, uint8_t lun, void *scratch)
{
	struct vsc_scsi_command command = {
		.lun = lun, .cdb_bytes = 16, .cdb = { SERVICE_ACTION_IN_16, READ_CAPACITY_16, [13] = CAPACITY_BYTES },
		.direction = SRB_DATA_IN, .memory = scratch, .bytes = CAPACITY_BYTES,
	};
	int r;

	*disk = (struct vsc_disk){ .scsi = scsi, .lun = lun, .scratch = scratch };
	r = run(disk, &command);
	if (r)
		return r;
	disk->blocks = get_be(disk->scratch, 8) + 1;
	disk->block_bytes = (uint32_t)get_be(disk->scratch + 8, 4);
	return disk->last.moved >= 12 && disk->block_bytes ? VSC_OK : VSC_BROKEN;
}

int vsc_disk_inquiry(struct vsc_disk *disk, uint8_t out[VSC_INQUIRY_BYTES])
{
	struct vsc_scsi_command command = {
		.lun = disk->lun, .cdb_bytes = 6, .cdb = { INQUIRY, [4] = VSC_INQUIRY_BYTES },
		.direction = SRB_DATA_IN, .memory = disk->scratch, .bytes = VSC_INQUIRY_BYTES,
	};
	int r = run(disk, &command);

	if (r == VSC_OK)
		memcpy(out, disk->scratch, VSC_INQUIRY_BYTES);
	return r;
}

void vsc_disk_command(const struct vsc_disk *disk, bool write, uint64_t block, uint32_t count, void *memory,
		      struct vsc_scsi_command *out)
{
	*out = (struct vsc_scsi_command){
		.lun = disk->lun, .cdb_bytes = 16, .cdb = { write ? WRITE_16 : READ_16 },
		.direction = write ? SRB_DATA_OUT : SRB_DATA_IN, .memory = memory, .bytes = count * disk->block_bytes,
	};
	put_be(out->cdb + 2, block, 8);
	put_be(out->cdb + 10, count, 4);
}

static int transfer(struct vsc_disk *disk, bool write, uint64_t block, uint32_t count, void *memory)
{
	struct vsc_scsi_command command;
	int r;

	if (count == 0 || count > disk->scsi->transfer_max / disk->block_bytes)
		return VSC_INVALID;
	vsc_disk_command(disk, write, block, count, memory, &command);
	r = run(disk, &command);
	return r == VSC_OK && disk->last.moved != command.bytes ? VSC_BROKEN : r;
}

int vsc_disk_read(struct vsc_disk *disk, uint64_t block, uint32_t count, void *memory)
{
	return transfer(disk, false, block, count, memory);
}

int vsc_disk_write(struct vsc_disk *disk, uint64_t block, uint32_t count, const void *memory)
{
	return transfer(disk, true, block, count, (void *)(uintptr_t)memory);
}

int vsc_disk_flush(struct vsc_disk *disk)
{
	struct vsc_scsi_command command = {
		.lun = disk->lun, .cdb_bytes = 10, .cdb = { SYNCHRONIZE_CACHE_10 }, .direction = SRB_DATA_NONE,
	};

	return run(disk, &command);
}
