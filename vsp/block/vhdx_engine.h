/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside an open VHDX disk. Who does what:
 *
 *   vhdx_open.c    builds the disk from its file, and takes it down
 *   vhdx_io.c      requests: cut into pieces by block and sector bitmap, sent on, put together
 *   vhdx_alloc.c   payload and bitmap blocks come into being, and are given back
 *   vhdx_bitmap.c  pages of sector bitmaps in memory
 *   vhdx_commit.c  first write, log, flush, close: everything whose order matters to a power cut
 *   vhdx_online.c  another size
 *   vhdx_bat.c     the BAT read and checked
 *   vhdx_space.c   which MiB of the file are in use
 *
 * A request that cannot go on is put on a list, and looks at everything afresh when it is taken from there.
 */
#ifndef VSP_BLOCK_VHDX_ENGINE_H
#define VSP_BLOCK_VHDX_ENGINE_H

#include "block/vhdx_bat.h"
#include "block/vhdx_layout.h"
#include "block/vhdx_replay.h"

#define VHDX_IO_IOV            16u	/* memory pieces that an io has room for; more are allocated */
#define VHDX_IO_SLAB           64u
#define VHDX_IO_MAX            1024u	/* pieces under way */
#define VHDX_ALLOCATIONS_MAX   32u	/* blocks coming into being */
#define VHDX_BITMAP_PAGES_MAX  4096u	/* kept in memory, but for those in use */
#define VHDX_BITMAP_BUCKETS    1024u
#define VHDX_BLOCK_PAGES_MAX   16u	/* bitmap pages of one block: 256 MiB, 512 bytes a sector, a bit each */
/* Pages in a log entry. Three entries have to fit into the smallest log, see vhdx_commit.c. */
#define VHDX_DIRTY_MAX         64u
#define VHDX_COMMIT_NS         100000000u

_Static_assert(3 * (VHDX_DIRTY_MAX + 1) * VHDX_PAGE_BYTES <= VHDX_MIB, "three entries in a log");
_Static_assert(VHDX_DIRTY_MAX + 2 <= VHDX_PAGE_BYTES / sizeof(struct vhdx_log_descriptor), "descriptors in one page");

struct vhdx;
struct vhdx_online;

struct vhdx_queue {
	struct block_request *first, *last;
};

/* In disk_data of a request. */
struct vhdx_state {
	struct block_request *next;
	uint64_t at;			/* bytes that need no more looking at */
	uint64_t failed_at;
	uint32_t pending;		/* pieces under way, and one while the request itself is being cut */
	int32_t error;
};
_Static_assert(sizeof(struct vhdx_state) <= sizeof(((struct block_request *)0)->disk_data), "room for vhdx_state");

struct vhdx_bitmap_page {
	struct vhdx_bitmap_page *next;	/* in its bucket */
	struct vhdx *vhdx;
	uint64_t number;		/* of the disk's: VHDX_BITMAP_PAGE_SECTORS each */
	uint64_t file_offset;
	unsigned pins;
	bool ready, dirty, recent;
	struct vhdx_queue waiting;
	struct block_file_request file;
	struct iovec iov;
	uint8_t *data;
};

/* A piece of a request under way. */
struct vhdx_io {
	union {
		struct block_file_request file;
		struct block_request parent;
	};
	struct vhdx *vhdx;
	struct vhdx_io *next;
	struct block_request *request;
	uint64_t at;			/* where in the request */
	uint64_t entry;			/* with page: BAT entry and index when it began */
	uint64_t index;
	struct vhdx_bitmap_page *page;	/* sectors to mark there when it is done; pinned */
	struct iovec *many;		/* allocated */
	unsigned grace;
	struct iovec iov[VHDX_IO_IOV];
};

struct vhdx_allocation {
	struct vhdx *vhdx;
	bool active, growing, waiting_for_room;
	uint64_t index;			/* in the BAT */
	uint64_t offset, bytes;
	enum vhdx_block_state state;	/* to become */
	bool stale;			/* the space was used before */
	struct vhdx_queue waiting;
	struct vhdx_bitmap_page *pages[VHDX_BLOCK_PAGES_MAX];	/* pinned: whose bits have to be cleared */
	unsigned page_count;
	struct block_file_request file;
};

/* Blocks' worth of file space, by their first MiB. */
struct vhdx_mibs {
	uint32_t *items;
	size_t count, room;
};

struct vhdx_dirty {
	uint64_t file_offset;
	const void *data;
	struct vhdx_bitmap_page *page;	/* of a sector bitmap */
	bool bat;			/* of the BAT */
};

struct vhdx_apply {
	struct block_file_request file;	/* first */
	struct iovec iov;
	struct vhdx *vhdx;
};

struct vhdx {
	struct block_disk disk;		/* first */
	struct block_file *file;
	struct block_disk *parent;
	struct vhdx_layout layout;
	struct vhdx_replay *replay;	/* not in the file yet */

	uint64_t *bat;			/* whole; pages of zeroes cost nothing */
	size_t bat_bytes;
	unsigned block_shift, sector_shift, chunk_shift, page_shift;
	uint64_t block_bytes;
	uint64_t file_bytes;
	struct vhdx_online *online;	/* the disk gets another size */
	bool gate;			/* nothing may become dirty */
	bool growing;			/* a SET_SIZE is under way */
	uint64_t growing_to;
	struct block_file_request grow;
	struct vhdx_space space;

	/* Requests */
	bool submitting;		/* nothing may be finished */
	bool kick;			/* something was sent to the file or the parent */
	struct vhdx_io *free_ios;
	struct vhdx_io **slabs;
	unsigned slab_count;
	struct vhdx_queue done, wait_start, wait_io, wait_room, wait_allocation;
	struct vsp_soon run_done;
	struct vhdx_io *wait_mark, **wait_mark_last;

	struct vhdx_allocation allocations[VHDX_ALLOCATIONS_MAX];
	unsigned allocation_count;

	/* Blocks given back, on their way: BAT changed, being committed, committed, all pieces that knew them done,
	 * hole punched. */
	struct vhdx_mibs freed, freed_committing, freed_resting, freed_grace, freed_punch;
	unsigned grace;			/* which of two counts a new piece belongs to */
	uint32_t in_grace[2];
	bool grace_waits;
	bool punching;
	struct block_file_request punch;

	struct vhdx_bitmap_page *buckets[VHDX_BITMAP_BUCKETS];
	unsigned bitmap_count, bitmap_hand;

	/* Commits */
	bool keep_data_guid;
	bool started;			/* the file knows that it is being written */
	bool starting;
	int broken;			/* what is on the storage is not known any more; no more writes */
	size_t replay_at;
	struct block_file_request control;	/* one step at a time */
	struct iovec control_iov;
	void (*control_then)(struct vhdx *vhdx);
	unsigned header_left;
	void (*header_then)(struct vhdx *vhdx);
	struct vhdx_dirty dirty[VHDX_DIRTY_MAX], committing[VHDX_DIRTY_MAX];
	unsigned dirty_count, committing_count;
	unsigned long *bat_dirty;	/* a bit a page */
	bool barrier;			/* data that the dirty pages speak of has to be stable before them */
	bool busy;			/* a cycle runs */
	bool unstable;			/* and its entry is not stable yet */
	bool due;
	bool ending;
	struct vsp_timer commit_timer;
	struct vhdx_queue flush_waiting, flush_active;
	uint8_t *pages;			/* as they are being committed */
	uint8_t *entry;
	uint64_t entry_sequence;
	uint32_t entry_at, entry_bytes;	/* in the log */
	uint32_t last_at;		/* the entry before */
	bool last_needed;
	bool log_used;			/* the header names it */
	uint64_t stable_bytes, flushing_bytes;	/* of the file */
	unsigned applying;
	int apply_error;
	struct vhdx_apply apply[VHDX_DIRTY_MAX];
};

static inline struct vhdx *vhdx_of(struct block_disk *disk)
{
	return (struct vhdx *)disk;
}

static inline struct vhdx_state *vhdx_state(struct block_request *request)
{
	return (struct vhdx_state *)request->disk_data;
}

static inline size_t vhdx_bat_dirty_words(size_t bat_bytes)
{
	return bat_bytes / VHDX_PAGE_BYTES / (8 * sizeof(unsigned long)) + 1;
}

static inline void vhdx_push(struct vhdx_queue *queue, struct block_request *request)
{
	vhdx_state(request)->next = NULL;
	if (queue->last)
		vhdx_state(queue->last)->next = request;
	else
		queue->first = request;
	queue->last = request;
}

static inline struct block_request *vhdx_pop(struct vhdx_queue *queue)
{
	struct block_request *request = queue->first;

	if (request) {
		queue->first = vhdx_state(request)->next;
		if (!queue->first)
			queue->last = NULL;
	}
	return request;
}

static inline void vhdx_send(struct vhdx *v, struct block_file_request *request)
{
	request->file = v->file;
	request->moved = 0;
	v->kick = true;
	v->file->ops->submit(v->file, request);
}

/* vhdx_open.c */
void vhdx_close(struct vhdx *v);

/* vhdx_io.c */
extern const struct block_disk_ops vhdx_ops;
void vhdx_go_on(struct vhdx *v, struct block_request *request);
void vhdx_fail_request(struct vhdx *v, struct block_request *request, int error);	/* the rest of it */
void vhdx_wake(struct vhdx *v, struct vhdx_queue *queue);
void vhdx_finish(struct vhdx *v, struct block_request *request, int error);
void vhdx_run_done(void *context);
void vhdx_kick_below(struct vhdx *v);
void vhdx_batch_end(void *context);
void vhdx_marks_go_on(struct vhdx *v);
void vhdx_ios_free(struct vhdx *v);

/* vhdx_alloc.c */
struct vhdx_allocation *vhdx_allocation_find(struct vhdx *v, uint64_t index);
/* 0: begun, and maybe over; -EAGAIN too many: wait_allocation; -errno. Takes the pages' pins on success. */
int vhdx_allocate(struct vhdx *v, uint64_t index, uint64_t bytes, enum vhdx_block_state state,
		  struct vhdx_bitmap_page **pages, unsigned page_count);
void vhdx_allocations_go_on(struct vhdx *v);
void vhdx_release(struct vhdx *v, uint64_t index, enum vhdx_block_state state);
void vhdx_lengthen(struct vhdx *v);		/* the file, as far as somebody needs it and it is not yet */
void vhdx_punch_freed(struct vhdx *v);
void vhdx_freed_stable(struct vhdx *v);
void vhdx_freed_rest(struct vhdx *v);

/* vhdx_bitmap.c */
int vhdx_bitmap_get(struct vhdx *v, uint64_t number, struct vhdx_bitmap_page **ret_page);	/* may not be ready */
void vhdx_bitmap_free(struct vhdx *v);
bool vhdx_bitmap_run(const struct vhdx_bitmap_page *page, uint32_t first, uint32_t end, uint32_t *ret_count);
bool vhdx_bitmap_is_set(const struct vhdx_bitmap_page *page, uint32_t first, uint32_t count);
void vhdx_bitmap_fill(struct vhdx *v, struct vhdx_bitmap_page *page, uint32_t first, uint32_t count, bool set);

/* vhdx_commit.c */
void vhdx_start(struct vhdx *v);
bool vhdx_room(const struct vhdx *v, unsigned pages);
void vhdx_dirty_bat(struct vhdx *v, uint64_t index);
void vhdx_dirty_bitmap(struct vhdx *v, struct vhdx_bitmap_page *page);
void vhdx_dirty_page(struct vhdx *v, uint64_t file_offset, const void *data);	/* another one, not dirty yet */
bool vhdx_settled(const struct vhdx *v);	/* nothing that a flush would have to write but data */
void vhdx_poke(struct vhdx *v);			/* begins a cycle when there is a reason */
void vhdx_commit_due(void *context);
void vhdx_broken(struct vhdx *v, int error);
void vhdx_settle(struct block_disk *disk);

/* vhdx_online.c */
int vhdx_online_resize(struct block_disk *disk, uint64_t bytes, struct block_failure *failure);
void vhdx_online_go_on(struct vhdx *v);		/* what it may have waited for has come; without one nothing */
void vhdx_online_fail(struct vhdx *v, int error);
uint64_t vhdx_online_file_bytes(const struct vhdx *v);	/* that it needs; 0: none */
void vhdx_online_taken(struct vhdx *v);		/* all dirty pages are in an entry that is about to be written */
void vhdx_online_applied(struct vhdx *v);	/* the entry is stable, its pages are in their places */

/* vhdx_space.c, more in vhdx_bat.h */
bool vhdx_mibs_add(struct vhdx_mibs *mibs, uint64_t offset);
void vhdx_mibs_move(struct vhdx_mibs *to, struct vhdx_mibs *from);

#endif
