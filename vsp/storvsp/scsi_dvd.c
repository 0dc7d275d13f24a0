// SPDX-License-Identifier: Apache-2.0
/* A DVD-ROM drive with a tray; each medium is one track. MMC-6. */
#include <string.h>

#include "storvsp/scsi_dvd.h"

#define DVD_BLOCK_BYTES 2048u

#define PROFILE_NONE    0x0000u
#define PROFILE_DVD_ROM 0x0010u

/* Media events of GET EVENT STATUS NOTIFICATION */
#define EVENT_NONE          0u
#define EVENT_NEW_MEDIUM    2u
#define EVENT_MEDIA_REMOVAL 3u

#define LEAD_OUT_TRACK 0xaau

/* ---- medium */

void scsi_dvd_insert(struct scsi_unit *unit, struct block_disk *disk)
{
	unit->tray_open = false;
	unit->attention |= SCSI_ATTENTION_MEDIUM;
	unit->media_event = EVENT_NEW_MEDIUM;
	scsi_unit_medium_set(unit, disk);
	unit->events.changed(unit->events.context);
}

void scsi_dvd_eject(struct scsi_unit *unit)
{
	unit->tray_open = true;
	unit->prevent_removal = false;
	unit->attention &= ~SCSI_ATTENTION_MEDIUM;
	unit->media_event = EVENT_MEDIA_REMOVAL;
	scsi_unit_medium_drop(unit);
	unit->events.changed(unit->events.context);
}

static void start_stop(struct scsi_task *task)
{
	struct scsi_unit *unit = task->unit;
	const bool start = task->cdb[4] & 1, load_eject = task->cdb[4] & 2;

	if (task->cdb[4] >> 4 || !load_eject) {		/* power states, and spinning: nothing to do */
		scsi_good(task);
	} else if (start) {
		unit->tray_open = false;
		scsi_good(task);
	} else if (unit->prevent_removal) {
		scsi_fail(task, SENSE_REMOVAL_PREVENTED);
	} else {
		if (!unit->tray_open)
			scsi_dvd_eject(unit);
		scsi_good(task);
	}
}

static void get_event_status(struct scsi_task *task)
{
	struct scsi_unit *unit = task->unit;
	uint8_t data[8] = { 0, 0, 0x80, 0x10 };		/* no event of these classes; media events are supported */
	size_t bytes = 4;

	if (!(task->cdb[1] & 1)) {		/* only polled */
		scsi_fail_field(task, 1);
		return;
	}
	if (task->cdb[4] & 0x10) {
		data[2] = 4;
		data[4] = unit->media_event;
		data[5] = (unit->tray_open ? 1 : 0) | (unit->disk ? 2 : 0);
		bytes = sizeof data;
		unit->media_event = EVENT_NONE;
	}
	scsi_put16(data, (uint16_t)(bytes - 2));
	scsi_answer(task, data, bytes, scsi_get16(task->cdb + 7));
}

static void mechanism_status(struct scsi_task *task)
{
	const uint8_t data[8] = { 0, task->unit->tray_open ? 0x10 : 0 };

	scsi_answer(task, data, sizeof data, scsi_get16(task->cdb + 8));
}

/* ---- configuration */

struct feature {
	uint16_t code;
	uint8_t flags;			/* version << 2 | persistent << 1 */
	bool with_medium;		/* current only then */
	uint8_t bytes;
	uint8_t content[8];
};

static const struct feature features[] = {
	{ 0x0001, 2 << 2 | 2, false, 8, { 0, 0, 0, 1 } },		/* core: SCSI */
	{ 0x0003, 2,          false, 4, { 0x29 } },			/* removable medium: tray, eject, lock */
	{ 0x0010, 0,          true,  8, { 0, 0, 0x08, 0, 0, 16 } },	/* random readable: 2048 bytes, 16 blocks */
	{ 0x001f, 0,          true,  0, { 0 } },			/* DVD read */
};

static size_t put_feature(uint8_t *to, uint16_t code, uint8_t flags, bool current, const uint8_t *content, size_t bytes)
{
	scsi_put16(to, code);
	to[2] = flags | (current ? 1 : 0);
	to[3] = (uint8_t)bytes;
	memcpy(to + 4, content, bytes);
	return 4 + bytes;
}

enum { CONFIGURATION_ALL, CONFIGURATION_CURRENT, CONFIGURATION_ONE };

static bool feature_wanted(const struct scsi_task *task, uint16_t code, bool current)
{
	const uint16_t start = scsi_get16(task->cdb + 2);

	switch (task->cdb[1] & 3) {
	case CONFIGURATION_ALL:
		return code >= start;
	case CONFIGURATION_CURRENT:
		return code >= start && current;
	default:
		return code == start;
	}
}

static void get_configuration(struct scsi_task *task)
{
	const bool medium = task->unit->disk != NULL;
	const uint8_t profiles[4] = { 0, PROFILE_DVD_ROM, medium ? 1 : 0 };
	uint8_t data[128] = { 0 };
	size_t bytes = 8;

	if ((task->cdb[1] & 3) > CONFIGURATION_ONE) {
		scsi_fail_field(task, 1);
		return;
	}
	scsi_put16(data + 6, medium ? PROFILE_DVD_ROM : PROFILE_NONE);
	if (feature_wanted(task, 0, true))
		bytes += put_feature(data + bytes, 0, 2, true, profiles, sizeof profiles);
	for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
		const struct feature *f = &features[i];
		const bool current = !f->with_medium || medium;

		if (feature_wanted(task, f->code, current))
			bytes += put_feature(data + bytes, f->code, f->flags, current, f->content, f->bytes);
	}
	scsi_put32(data, (uint32_t)(bytes - 4));
	scsi_answer(task, data, bytes, scsi_get16(task->cdb + 7));
}

static void mode_sense(struct scsi_task *task)
{
	static const uint8_t error_recovery[10] = { 0 };
	/* Reads DVD-ROM; a tray that can be opened and locked, and is. */
	const uint8_t capabilities[18] = { 0x08, 0, 0, 0, 0x29 | (task->unit->prevent_removal ? 2 : 0) };
	const struct scsi_mode_page pages[] = {
		{ 0x01, 12, error_recovery },
		{ 0x2a, 20, capabilities },
	};
	const struct scsi_mode mode = { .pages = pages, .page_count = sizeof pages / sizeof pages[0] };

	scsi_mode_sense(task, &mode);
}

/* ---- what is on the medium */

static void put_address(uint8_t *to, uint64_t lba, bool msf)
{
	const uint64_t frames = lba + 150;	/* two seconds of lead-in */

	if (!msf) {
		scsi_put32(to, (uint32_t)lba);
		return;
	}
	to[0] = 0;
	to[1] = frames / 75 / 60 < 255 ? (uint8_t)(frames / 75 / 60) : 255;
	to[2] = (uint8_t)(frames / 75 % 60);
	to[3] = (uint8_t)(frames % 75);
}

static uint8_t *put_track(uint8_t *to, uint8_t track, uint64_t lba, bool msf)
{
	to[1] = 0x14;			/* data track */
	to[2] = track;
	put_address(to + 4, lba, msf);
	return to + 8;
}

static void read_toc(struct scsi_task *task)
{
	const bool msf = task->cdb[1] & 2;
	const uint8_t format = task->cdb[2] & 0x0f, start = task->cdb[6];
	uint8_t data[4 + 2 * 8] = { 0 }, *to = data + 4;

	if (format > 1) {
		scsi_fail_field(task, 2);
		return;
	}
	if (format == 0 && start > 1 && start != LEAD_OUT_TRACK) {
		scsi_fail_field(task, 6);
		return;
	}
	data[2] = data[3] = 1;		/* first and last track, or session */
	if (format == 1 || start <= 1)
		to = put_track(to, 1, 0, msf);
	if (format == 0)
		to = put_track(to, LEAD_OUT_TRACK, scsi_blocks(task), msf);
	scsi_put16(data, (uint16_t)(to - data - 2));
	scsi_answer(task, data, (size_t)(to - data), scsi_get16(task->cdb + 7));
}

static void read_disc_information(struct scsi_task *task)
{
	uint8_t data[34] = { 0 };

	if (task->cdb[1] & 7) {
		scsi_fail_field(task, 1);
		return;
	}
	scsi_put16(data, sizeof data - 2);
	data[2] = 0x0e;			/* last session and disc are complete */
	data[3] = data[4] = data[5] = data[6] = 1;	/* first track, sessions, first and last track of the last */
	data[7] = 0x20;			/* unrestricted use */
	scsi_answer(task, data, sizeof data, scsi_get16(task->cdb + 7));
}

/* By an address on the medium, or by number: there is one track, in the one session. Linux asks when it opens the drive. */
static void read_track_information(struct scsi_task *task)
{
	const uint32_t which = scsi_get32(task->cdb + 2);
	const uint64_t blocks = scsi_blocks(task);
	uint8_t data[36] = { 0 };

	switch (task->cdb[1] & 3) {
	case 0:
		if (which >= blocks) {
			scsi_fail(task, SENSE_LBA_OUT_OF_RANGE);
			return;
		}
		break;
	case 1:
	case 2:
		if (which == 1)
			break;
		/* fall through */
	default:
		scsi_fail_field(task, 2);
		return;
	}
	scsi_put16(data, sizeof data - 2);
	data[2] = data[3] = 1;		/* track, session */
	data[5] = 0x04;			/* data track */
	data[6] = 0x01;			/* data mode 1 */
	scsi_put32(data + 24, blocks <= UINT32_MAX ? (uint32_t)blocks : UINT32_MAX);
	scsi_answer(task, data, sizeof data, scsi_get16(task->cdb + 7));
}

/* Physical format of the one layer. */
static void read_dvd_structure(struct scsi_task *task)
{
	const uint32_t first = 0x30000, last = (uint32_t)(first + scsi_blocks(task) - 1);
	const size_t bytes = 4 + 2048;

	if (task->cdb[1] & 0x0f || task->cdb[6] || task->cdb[7]) {	/* DVD, layer 0, format 0 */
		scsi_fail_field(task, task->cdb[7] ? 7 : task->cdb[6] ? 6 : 1);
		return;
	}
	if (!scsi_scratch(task, bytes))
		return;
	scsi_put16(task->scratch, (uint16_t)(bytes - 2));
	task->scratch[4] = 0x01;	/* DVD-ROM, version 1 */
	task->scratch[5] = 0x02;	/* 120 mm, 10 Mbit/s */
	task->scratch[6] = 0x01;	/* one layer, embossed */
	scsi_put32(task->scratch + 8, first);
	scsi_put32(task->scratch + 12, last & 0xffffff);
	scsi_answer(task, task->scratch, bytes, scsi_get16(task->cdb + 8));
}

static void seek(struct scsi_task *task)
{
	if (scsi_range_ok(task, scsi_get32(task->cdb + 2), 0))
		scsi_good(task);
}

static void set_speed(struct scsi_task *task)
{
	scsi_good(task);		/* as fast as it can */
}

/* ---- */

static const uint8_t vpd_pages[] = { 0x00, 0x80, 0x83 };

#define QUIET SCSI_COMMAND_NO_ATTENTION
#define MEDIUM SCSI_COMMAND_MEDIUM

static const struct scsi_command commands[] = {
	{ 0x00,  6, MEDIUM, scsi_test_unit_ready },
	{ 0x03,  6, QUIET,  scsi_request_sense },
	{ 0x08,  6, MEDIUM, scsi_read },			/* READ(6) */
	{ 0x12,  6, QUIET,  scsi_inquiry },
	{ 0x1a,  6, 0,      mode_sense },			/* (6) */
	{ 0x1b,  6, 0,      start_stop },
	{ 0x1e,  6, 0,      scsi_prevent_allow },
	{ 0x25, 10, MEDIUM, scsi_read_capacity_10 },
	{ 0x28, 10, MEDIUM, scsi_read },			/* READ(10) */
	{ 0x2b, 10, MEDIUM, seek },				/* SEEK(10) */
	{ 0x2f, 10, MEDIUM, scsi_verify },			/* VERIFY(10) */
	{ 0x35, 10, MEDIUM, scsi_synchronize_cache },
	{ 0x43, 10, MEDIUM, read_toc },
	{ 0x46, 10, QUIET,  get_configuration },
	{ 0x4a, 10, QUIET,  get_event_status },
	{ 0x51, 10, MEDIUM, read_disc_information },
	{ 0x52, 10, MEDIUM, read_track_information },
	{ 0x5a, 10, 0,      mode_sense },			/* (10) */
	{ 0xa8, 12, MEDIUM, scsi_read },			/* READ(12) */
	{ 0xad, 12, MEDIUM, read_dvd_structure },
	{ 0xbb, 12, 0,      set_speed },			/* SET CD SPEED */
	{ 0xbd, 12, 0,      mechanism_status },
};

const struct scsi_unit_type scsi_dvd_type = {
	.peripheral = 0x05,
	.removable = true,
	.block_bytes = DVD_BLOCK_BYTES,
	.product = "Virtual DVD-ROM ",
	.commands = commands,
	.command_count = sizeof commands / sizeof commands[0],
	.vpd_pages = vpd_pages,
	.vpd_page_count = sizeof vpd_pages,
};
