/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of guest page frames below a limit, one bit for each: what it takes depends on the size of the guest, never on
 * how a guest scatters its pages.
 */
#ifndef VSP_DM_PAGE_SET_H
#define VSP_DM_PAGE_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_set {
	uint64_t *words;
	uint64_t limit;			/* frames are below it */
	uint64_t count;			/* in the set */
};

/* An empty set. 0; -ENOMEM. */
int page_set_init(struct page_set *set, uint64_t limit);
void page_set_fini(struct page_set *set);
void page_set_clear(struct page_set *set);

/* Ranges lie below the limit. add: none of it is in the set; remove: all of it is. */
void page_set_add(struct page_set *set, uint64_t first, uint64_t count);
void page_set_remove(struct page_set *set, uint64_t first, uint64_t count);
/* Whether any frame of the range is in the set. */
bool page_set_overlaps(const struct page_set *set, uint64_t first, uint64_t count);
/* The first run of frames at or after `from`, cut off after `max` frames; its length, 0: none. */
uint64_t page_set_next(const struct page_set *set, uint64_t from, uint64_t max, uint64_t *out_first);

/* The set as bytes, and back: -EINVAL when a frame is not below the limit. `bytes` is page_set_bytes. */
size_t page_set_bytes(const struct page_set *set);
void page_set_save(const struct page_set *set, uint8_t *to);
int page_set_load(struct page_set *set, const uint8_t *from);

#endif
