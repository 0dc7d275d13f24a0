/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the VHD disk.
 *
 *   vhd.c          requests, cut into parts that lie in the file, in the parent, or nowhere
 *   vhd_block.c    blocks that need more than their BAT entry: bitmaps, and room for new ones
 *   vhd_commit.c   what makes bitmaps and BAT stable
 *
 * The format has no log. An image is whole at each moment because of an order of writes:
 *   a new block     footer behind it; its bitmap; then it is used in memory alone
 *   a commit        flush (data, bitmaps and footers of before); changed bitmaps and BAT entries; flush
 * A commit answers the guest's flushes, and runs a moment after a change when there is none.
 */
#ifndef VSP_BLOCK_VHD_DISK_H
#define VSP_BLOCK_VHD_DISK_H

#include "block/block.h"
#include "block/file.h"
#include "block/vhd_format.h"

#define VHD_BUCKETS 1024u

struct vhd_queue {
	struct block_request *first, *last;
};

/* In disk_data of a request. */
struct vhd_state {
	struct block_request *next;
	uint64_t cursor;		/* up to here parts exist */
	uint64_t bad;			/* the first byte that failed */
	uint32_t pending;		/* parts, and one while the cursor is not at the end */
	int error;
};
_Static_assert(sizeof(struct vhd_state) <= sizeof(((struct block_request *)0)->disk_data), "room for vhd_state");

enum vhd_block_state {
	VHD_BLOCK_LOADING,
	VHD_BLOCK_NEW,			/* room is being made */
	VHD_BLOCK_READY,
};

struct vhd_block {
	struct block_file_request request;	/* first: reads and writes its bitmap */
	struct block_file_request bat_request;
	struct iovec iov, bat_iov;
	struct vhd_disk *v;
	uint32_t index;
	uint32_t sector;		/* of a new one, until it has its BAT entry in memory */
	enum vhd_block_state state;
	unsigned users;			/* parts in flight */
	bool changed;			/* in the list of what a commit has to write */
	bool committing;		/* a commit is writing it */
	bool unlinked;			/* the file's BAT does not know it yet */
	bool link_now, linked_now;	/* this commit is to write its entry; has done so */
	bool bits_changed, write_bits;	/* since the last commit; in this commit */
	struct vhd_queue waiting;
	struct vhd_block *hash_next;
	struct vhd_block *list_next;	/* changed, or waiting for room */
	struct vhd_block *commit_next;
	struct vhd_block *idle_previous, *idle_next;
	bool idle;
	uint8_t *bitmap, *copy, *bat_sector;
};

enum vhd_commit_phase {
	VHD_COMMIT_NONE,
	VHD_COMMIT_DATA,		/* flush */
	VHD_COMMIT_WRITE,
	VHD_COMMIT_END,			/* flush */
};

struct vhd_disk {
	struct block_disk disk;		/* first */
	struct block_file *file;
	struct block_disk *parent;
	struct vhd_layout layout;
	uint32_t *bat;			/* as requests see it */
	uint8_t *full;			/* a bit a block: every bit of its bitmap is set */
	bool submitting;		/* nothing may be finished now */
	struct vhd_queue answered;	/* finished soon */
	struct vsp_soon answer;

	struct vhd_block *buckets[VHD_BUCKETS];
	struct vhd_block *idle_first, *idle_last;	/* the longest idle first */
	uint64_t idle_bytes;

	struct vhd_block *room_waiting, *room_making;
	unsigned room_pending;
	uint64_t room_end;		/* of those that room is being made for */
	uint64_t stale_end;		/* before it, the file may hold what was once something else */
	struct block_file_request footer_request;
	struct iovec footer_iov;

	enum vhd_commit_phase phase;
	struct vhd_block *changed, *committing;
	unsigned changed_count, commit_pending;
	int commit_error;
	bool commit_failed_before;
	struct block_file_request flush_request;
	struct vhd_queue flushes, flushes_now;
	struct vsp_timer commit_timer;
	bool settling;
};

static inline struct vhd_state *vhd_state_of(struct block_request *request)
{
	return (struct vhd_state *)request->disk_data;
}

/* vhd.c */
void vhd_queue_push(struct vhd_queue *queue, struct block_request *request);
struct block_request *vhd_queue_pop(struct vhd_queue *queue);
void vhd_advance(struct vhd_disk *v, struct block_request *request);	/* from its cursor on */
/* One part less; `error` 0 or of the byte at `bad`. */
void vhd_part_end(struct vhd_disk *v, struct block_request *request, int error, uint64_t bad);
void vhd_answer(struct vhd_disk *v, struct block_request *request);	/* now or, from inside a submit, later */
void vhd_submit_below(struct vhd_disk *v, struct block_file_request *request);
void vhd_settle_go_on(struct vhd_disk *v);	/* a closing disk has committed what it could */

/* vhd_block.c */
bool vhd_block_is_full(const struct vhd_disk *v, uint32_t index);
struct vhd_block *vhd_block_find(struct vhd_disk *v, uint32_t index);
/* Ready, or NULL: the request waits, or was answered with an error. */
struct vhd_block *vhd_block_get(struct vhd_disk *v, uint32_t index, struct block_request *request);
/* A block that is not in the BAT: the request waits for it. */
void vhd_block_allocate(struct vhd_disk *v, uint32_t index, struct block_request *request);
/* How many bytes from `offset` in the block on, at most `bytes`, are like the first: present or not. */
uint32_t vhd_block_run(const struct vhd_block *block, uint32_t offset, uint32_t bytes, bool *ret_present);
void vhd_block_written(struct vhd_block *block, uint32_t offset, uint32_t bytes);
void vhd_block_use(struct vhd_block *block);
void vhd_block_unuse(struct vhd_block *block);
void vhd_blocks_free(struct vhd_disk *v);

/* vhd_commit.c */
void vhd_commit_init(struct vhd_disk *v);
void vhd_commit_add(struct vhd_block *block);	/* it has changed */
void vhd_commit_flush(struct vhd_disk *v, struct block_request *request);	/* answered when all before it is stable */
bool vhd_commit_idle(const struct vhd_disk *v);	/* everything is stable but for the file's own cache */
void vhd_commit_now(struct vhd_disk *v);

#endif
