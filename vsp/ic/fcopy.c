// SPDX-License-Identifier: Apache-2.0
#include "ic/fcopy.h"

#include <errno.h>
#include <string.h>

#include "unicode/utf16.h"

static const struct ic_version frameworks[] = { { 3, 0 } };
static const struct ic_version messages[] = { { 1, 1 } };

static bool is_copying(const struct fcopy *fcopy)
{
	return fcopy->state.phase == FCOPY_STARTING || fcopy->state.phase == FCOPY_WRITING ||
	       fcopy->state.phase == FCOPY_COMPLETING;
}

static int send_bare(struct fcopy *fcopy, enum ic_fcopy_operation operation)
{
	const struct ic_fcopy_header body = { .operation = operation };

	return ic_request(&fcopy->ic, &body, sizeof body, FCOPY_TIMEOUT_NS);
}

static void cancel_if_owed(struct fcopy *fcopy)
{
	int r;

	if (fcopy->state.phase != FCOPY_CANCEL_OWED)
		return;
	r = send_bare(fcopy, IC_FCOPY_CANCEL);
	/* `answered`, `freed` or `resumed` comes when the way is free. */
	if (r != -EBUSY && r != -EHOSTDOWN)
		fcopy->state.phase = r ? FCOPY_IDLE : FCOPY_CANCELLING;
}

static void finish(struct fcopy *fcopy, enum fcopy_phase next, int error, uint32_t status)
{
	fcopy->state.phase = (uint8_t)next;
	cancel_if_owed(fcopy);
	fcopy->events->done(fcopy->context, error, status);
}

static int send_piece(struct fcopy *fcopy)
{
	struct ic_fcopy_write body = { .header.operation = IC_FCOPY_WRITE, .offset = fcopy->state.offset };
	uint64_t left = fcopy->state.file_bytes - fcopy->state.offset;
	int r;

	body.bytes = left < sizeof body.data ? (uint32_t)left : (uint32_t)sizeof body.data;
	r = fcopy->events->read(fcopy->context, body.offset, body.data, body.bytes);
	if (r)
		return r;
	/* Always of full size, as guests look at no less. */
	r = ic_request(&fcopy->ic, &body, sizeof body, FCOPY_TIMEOUT_NS);
	if (r == 0) {
		fcopy->state.phase = FCOPY_WRITING;
		fcopy->state.piece_bytes = body.bytes;
	}
	return r;
}

static int send_complete(struct fcopy *fcopy)
{
	int r = send_bare(fcopy, IC_FCOPY_COMPLETE);

	if (r == 0)
		fcopy->state.phase = FCOPY_COMPLETING;
	return r;
}

static void go_on(struct fcopy *fcopy)
{
	int r;

	fcopy->state.offset += fcopy->state.piece_bytes;
	fcopy->state.piece_bytes = 0;
	r = fcopy->state.offset < fcopy->state.file_bytes ? send_piece(fcopy) : send_complete(fcopy);
	/* A ring that broke, or a read that cancelled, has ended the copy on its way. */
	if (r && is_copying(fcopy))
		finish(fcopy, FCOPY_CANCEL_OWED, r, 0);
}

static void answered(struct ic *ic, const struct ic_answer *answer)
{
	struct fcopy *fcopy = (struct fcopy *)ic;

	if (is_copying(fcopy)) {
		if (answer->error)
			finish(fcopy, FCOPY_CANCEL_OWED, answer->error, 0);
		else if (answer->status != IC_STATUS_OK)
			finish(fcopy, fcopy->state.phase == FCOPY_STARTING ? FCOPY_IDLE : FCOPY_CANCEL_OWED, -EREMOTEIO,
			       answer->status);
		else if (fcopy->state.phase == FCOPY_COMPLETING)
			finish(fcopy, FCOPY_IDLE, 0, IC_STATUS_OK);
		else
			go_on(fcopy);
		return;
	}
	/* What the guest says to a CANCEL makes no difference; if it says nothing, it has its own time-out. */
	if (fcopy->state.phase == FCOPY_CANCELLING)
		fcopy->state.phase = FCOPY_IDLE;
	cancel_if_owed(fcopy);
}

static void freed(struct ic *ic)
{
	cancel_if_owed((struct fcopy *)ic);
}

static void closed(struct ic *ic)
{
	struct fcopy *fcopy = (struct fcopy *)ic;

	if (is_copying(fcopy))
		finish(fcopy, FCOPY_IDLE, -ECONNRESET, 0);
	else
		fcopy->state.phase = FCOPY_IDLE;
}

static void resumed(struct ic *ic)
{
	cancel_if_owed((struct fcopy *)ic);
}

static const struct ic_kind kind = {
	.interface = { 0x34d14be3, 0xdee4, 0x41c8, { 0x9a, 0xe7, 0x6b, 0x17, 0x49, 0x77, 0xc1, 0x92 } },
	.instance = { 0xeb765408, 0x105f, 0x49b6, { 0xb4, 0xaa, 0xc1, 0x23, 0xb6, 0x4d, 0x17, 0xd4 } },
	.message_type = IC_MESSAGE_FCOPY,
	.packet_bytes_max = 8192,
	.frameworks = frameworks,
	.messages = messages,
	.framework_count = sizeof frameworks / sizeof frameworks[0],
	.message_count = sizeof messages / sizeof messages[0],
	.answered = answered,
	.freed = freed,
	.closed = closed,
	.resumed = resumed,
};

void fcopy_init(struct fcopy *fcopy, const struct fcopy_events *events, void *context)
{
	memset(fcopy, 0, sizeof *fcopy);
	ic_init(&fcopy->ic, &kind);
	fcopy->events = events;
	fcopy->context = context;
}

static bool is_separator(char c)
{
	return c == '/' || c == '\\';
}

static bool has_control(const char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return true;
	}
	return false;
}

/* The component that starts here is "..". */
static bool is_upwards(const char *text)
{
	return text[0] == '.' && text[1] == '.' && (text[2] == 0 || is_separator(text[2]));
}

static bool is_name(const char *name)
{
	for (const char *c = name; *c; c++) {
		/* A colon would name a stream or a drive. */
		if (is_separator(*c) || *c == ':')
			return false;
	}
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !has_control(name);
}

static bool is_directory(const char *directory)
{
	char letter = (char)(directory[0] | 0x20);
	bool drive = letter >= 'a' && letter <= 'z' && directory[1] == ':' && is_separator(directory[2]);

	if (!drive && !is_separator(directory[0]))
		return false;
	for (const char *c = directory; *c; c++) {
		if (is_separator(*c) && is_upwards(c + 1))
			return false;
	}
	return !has_control(directory);
}

/* With a separator at its end if there is room, because Linux' daemon creates the path up to there. */
static int put_directory(const char *directory, uint16_t out[IC_FCOPY_PATH_UNITS])
{
	size_t units;			/* with the zero */
	int r = utf16_from_utf8(directory, out, IC_FCOPY_PATH_UNITS, &units);

	if (r || is_separator(directory[strlen(directory) - 1]) || units == IC_FCOPY_PATH_UNITS)
		return r;
	out[units - 1] = is_separator(directory[0]) ? (uint8_t)directory[0] : '\\';
	out[units] = 0;
	return 0;
}

int fcopy_start(struct fcopy *fcopy, const struct fcopy_job *job)
{
	struct ic_fcopy_start body = {
		.header.operation = IC_FCOPY_START,
		.flags = job->flags,
		.file_bytes = job->bytes,
	};
	size_t units;
	int r;

	if (!is_directory(job->directory) || !is_name(job->name) || job->bytes > INT64_MAX ||
	    (job->flags & ~(IC_FCOPY_OVERWRITE | IC_FCOPY_CREATE_PATH)))
		return -EINVAL;
	r = put_directory(job->directory, body.path_name);
	if (r == 0)
		r = utf16_from_utf8(job->name, body.file_name, IC_FCOPY_PATH_UNITS, &units);
	if (r)
		return r;
	if (!ic_is_ready(&fcopy->ic))
		return -ENOTCONN;
	if (fcopy->state.phase != FCOPY_IDLE)
		return -EBUSY;
	r = ic_request(&fcopy->ic, &body, sizeof body, FCOPY_TIMEOUT_NS);
	if (r)
		return r;
	fcopy->state.phase = FCOPY_STARTING;
	fcopy->state.piece_bytes = 0;
	fcopy->state.offset = 0;
	fcopy->state.file_bytes = job->bytes;
	return 0;
}

int fcopy_cancel(struct fcopy *fcopy)
{
	if (!is_copying(fcopy))
		return -ENOENT;
	finish(fcopy, FCOPY_CANCEL_OWED, -ECANCELED, 0);
	return 0;
}

uint64_t fcopy_progress(const struct fcopy *fcopy)
{
	return fcopy->state.offset;
}

void fcopy_get_state(const struct fcopy *fcopy, struct fcopy_state *out)
{
	*out = fcopy->state;
	out->ic = fcopy->ic.state;
}

int fcopy_set_state(struct fcopy *fcopy, const struct fcopy_state *state)
{
	int r;

	if (state->phase >= FCOPY_PHASE_COUNT || state->file_bytes > INT64_MAX || state->offset > state->file_bytes ||
	    state->piece_bytes > state->file_bytes - state->offset)
		return -EINVAL;
	r = ic_set_state(&fcopy->ic, &state->ic);
	if (r == 0)
		fcopy->state = *state;
	return r;
}
