/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dynamic memory: how much RAM a running guest has. The provider drives the guest to a target: it asks for pages
 * (balloon), returns them, adds memory that the guest did not start with. One operation at a time, because guests mix
 * up two. What pages the guest gave is known here frame by frame; a guest that names pages which it does not have, or has
 * given before, is not listened to.
 *
 * A guest may give less than asked, refuse, or never answer: then it is asked again later, or not at all until it opens
 * the channel anew. Nothing waits for it.
 *
 * The owner gives dm->device to vmbus_device_add, and keeps dm in place until the device is removed.
 */
#ifndef VSP_DM_DM_H
#define VSP_DM_DM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dm/page_set.h"
#include "host.h"
#include "vmbus/channel.h"
#include "vmbus/dm.h"

#define DM_RAM_MAX         4
#define DM_ADDED_MAX       8
#define DM_OPERATION_PAGES 65536u		/* at a time: the owner's loop does not stand still for longer */
#define DM_TAKE_PAGES      8192u		/* in one call of take() */
#define DM_SETTLE_NS       50000000000ull	/* some guests crash when memory is added while they boot */
#define DM_ANSWER_NS       300000000000ull	/* then the guest counts as stalled */
#define DM_HOLD_NS         10000000000ull	/* from a refusal to the next attempt */
#define DM_NOTIFY_NS       1000000000ull	/* between two calls of status() */

struct dm_range {
	uint64_t first, count;		/* page frames */
};

struct dm_config {
	struct vmbus_guid instance;
	struct dm_range ram[DM_RAM_MAX];	/* what the guest starts with */
	unsigned ram_count;
	struct dm_range hot;		/* address space for memory that is added; behind all RAM; count may be 0 */
	uint64_t max_pages;		/* RAM never gets more than that */
	uint64_t settle_ns;		/* from when the guest is ready until memory is added: DM_SETTLE_NS */
};

/* From within these the owner must not call back, except for what takes a const dm. */
struct dm_events {
	/* The guest does not use these pages any longer: they may be taken from it. */
	void (*give_back)(void *context, uint64_t first, uint64_t count);
	/* Ballooned pages are to be RAM again, zeroed or not. 0, or -errno and nothing was done: tried again later. */
	int (*take)(void *context, uint64_t first, uint64_t count);
	/* Pages of config.hot are to be RAM. 0, or -errno and nothing was done: tried again later. */
	int (*hot_add)(void *context, uint64_t first, uint64_t count);
	/* The channel is gone: whoever runs in the guest next knows nothing of a balloon, so all pages that were given
	 * back have to be RAM again. dm_ballooned_next says which, for the last time. What was added stays. */
	void (*reset)(void *context);
	/* dm_get_status says something new; not more often than each DM_NOTIFY_NS. */
	void (*status)(void *context);
};

enum dm_phase {
	DM_CLOSED,
	DM_OPEN,			/* the guest has not asked for a version that we speak yet */
	DM_NEGOTIATED,			/* nor said what it can do */
	DM_READY,
	DM_BROKEN,			/* the guest broke the ring: nothing more until it opens again */
	DM_PHASE_COUNT
};

enum dm_operation {
	DM_IDLE,
	DM_BALLOON,
	DM_UNBALLOON,
	DM_HOT_ADD,
	DM_OPERATION_COUNT
};

/* In pages. */
struct dm_status {
	enum dm_phase phase;
	uint32_t version;		/* DM_VERSION_...; from DM_NEGOTIATED on */
	bool can_balloon, can_hot_add;	/* hot add: until the guest refuses it for good */
	bool stalled;			/* an answer is overdue */
	bool reported;			/* demand and available are the guest's word */
	uint64_t assigned;		/* RAM without what is ballooned */
	uint64_t target;
	uint64_t ballooned, added;
	uint64_t demand;		/* committed, without what is ballooned */
	uint64_t available;
};

struct dm_counters {
	uint64_t ballooned, unballooned, added;	/* pages, ever */
	uint64_t reports, timeouts, refusals;
	uint64_t lies;			/* ranges that the guest could not give, or more than it was asked for */
	uint64_t dropped;		/* messages that mean nothing, or nothing now */
};

/* What a saved state begins with; the ballooned pages follow. */
struct dm_state {
	uint8_t phase, operation;	/* enum dm_phase, enum dm_operation */
	uint8_t owes;			/* answers for which the ring had no room: DM_OWES_... */
	uint8_t accepted;		/* the version that is to be answered */
	uint8_t late, reported, hot_add_refused;
	uint8_t rsvd;
	uint32_t version, transaction;
	uint32_t owed_transaction;	/* the guest's, of version or capabilities */
	uint32_t added_count;
	uint64_t owed_completion;
	uint64_t capabilities;
	uint64_t target;
	uint64_t available, committed;
	uint64_t asked, got;		/* pages, of a balloon request */
	struct dm_range adding;		/* of a hot add request */
	struct dm_range added[DM_ADDED_MAX];
};
#define DM_OWES_COMPLETION   1u
#define DM_OWES_VERSION      2u
#define DM_OWES_CAPABILITIES 4u
#define DM_OWES_INFO         8u
#define DM_OWES_MASK         15u

struct dm {
	struct vmbus_device device;
	struct vmbus_channel *channel;	/* NULL while closed */
	struct dm_config config;
	struct dm_state state;
	struct page_set ballooned;
	bool paused, notify_waits, notify_armed;
	uint64_t hold_until[DM_OPERATION_COUNT];	/* ns of reference time */
	struct vsp_timer deadline, retry, again, notify;
	struct dm_counters counters;
	const struct dm_events *events;
	void *context;
};

/* 0; -EINVAL ranges overlap, are empty, out of order or beyond what a message can name, or there is more RAM than
 * max_pages; -ENOMEM. The target is the RAM that the guest starts with. */
int dm_init(struct dm *dm, const struct dm_config *config, const struct dm_events *events, void *context);
void dm_fini(struct dm *dm);		/* of one whose device was removed or never added */

/* What the guest shall have; it gets there step by step, or stays where it can get. 0; -EINVAL 0 or beyond
 * max_pages. */
int dm_set_target(struct dm *dm, uint64_t pages);
void dm_get_status(const struct dm *dm, struct dm_status *out);

/* The partition stands still, time-outs too. */
void dm_pause(struct dm *dm);
void dm_resume(struct dm *dm);

/* The machine was reset: it has the RAM that it started with, and the owner has taken away what was added. After the
 * VMBus server let go of the channel: -EBUSY before. */
int dm_reset(struct dm *dm);

/* For save and restore: get of a paused one, into dm_state_bytes; set of a paused one with the same configuration,
 * before its server is restored, whose channel goes on with it. The owner is not told of ballooned and added pages: it
 * finds them with dm_ballooned_next and state.added. 0; -EINVAL; -EBUSY open. */
size_t dm_state_bytes(const struct dm *dm);
void dm_get_state(const struct dm *dm, void *out);
int dm_set_state(struct dm *dm, const void *state, size_t bytes);
/* The first run of ballooned pages at or after `from`; false: none. */
bool dm_ballooned_next(const struct dm *dm, uint64_t from, struct dm_range *out);

#endif
