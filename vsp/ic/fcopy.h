/* SPDX-License-Identifier: Apache-2.0 */
/* File copy (guest services): writes one file at a time into the guest, piece by piece. */
#ifndef VSP_IC_FCOPY_H
#define VSP_IC_FCOPY_H

#include "ic/ic.h"

/* Guests give up on their own daemon after 30 s and answer so. */
#define FCOPY_TIMEOUT_NS (35 * IC_SECOND_NS)

/* After an error nothing is left of the copy: the guest gets a CANCEL as soon as it takes one (CANCEL_OWED,
 * CANCELLING). */
enum fcopy_phase {
	FCOPY_IDLE,
	FCOPY_STARTING,
	FCOPY_WRITING,
	FCOPY_COMPLETING,
	FCOPY_CANCEL_OWED,
	FCOPY_CANCELLING,
	FCOPY_PHASE_COUNT
};

struct fcopy_events {
	/* Fills the buffer from the file that is copied. 0, or -errno: the copy ends with it. */
	int (*read)(void *context, uint64_t offset, void *buffer, size_t bytes);
	/* The copy's end, once. 0; -EREMOTEIO the guest said no: status; -ETIMEDOUT; -ECANCELED; -ECONNRESET the
	 * channel closed; what read or ic_request said. */
	void (*done)(void *context, int error, uint32_t status);
};

struct fcopy_state {
	struct ic_state ic;
	uint8_t phase;			/* enum fcopy_phase */
	uint32_t piece_bytes;		/* of the write that is out */
	uint64_t offset, file_bytes;
};

struct fcopy {
	struct ic ic;
	struct fcopy_state state;	/* its `ic` is filled by get only */
	const struct fcopy_events *events;
	void *context;
};

struct fcopy_job {
	/* At most 259 units of UTF-16 each. The directory is absolute: "/var/tmp", "C:\\Temp". */
	const char *directory;
	const char *name;		/* one component of a path */
	uint32_t flags;			/* IC_FCOPY_OVERWRITE, IC_FCOPY_CREATE_PATH */
	uint64_t bytes;			/* at most INT64_MAX */
};

void fcopy_init(struct fcopy *fcopy, const struct fcopy_events *events, void *context);

/* 0: read is called for all of the file, in order, then done. -EBUSY a copy, or the cancelling of one, is under
 * way; -EINVAL a path that is relative, leads upwards or has control characters, or unknown flags; -E2BIG;
 * -EILSEQ; else as ic_request. */
int fcopy_start(struct fcopy *fcopy, const struct fcopy_job *job);
/* Calls done with -ECANCELED, at once. -ENOENT no copy is under way. */
int fcopy_cancel(struct fcopy *fcopy);
/* Bytes that the guest has confirmed of this copy, or of the last one. */
uint64_t fcopy_progress(const struct fcopy *fcopy);

/* As heartbeat_get_state and heartbeat_set_state. */
void fcopy_get_state(const struct fcopy *fcopy, struct fcopy_state *out);
int fcopy_set_state(struct fcopy *fcopy, const struct fcopy_state *state);

#endif
