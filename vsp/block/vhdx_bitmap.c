// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "block/vhdx_engine.h"

#define PAGES_IN_BLOCK (VHDX_BITMAP_BYTES / VHDX_PAGE_BYTES)

static struct vhdx_bitmap_page **bucket_of(struct vhdx *v, uint64_t number)
{
	return &v->buckets[number % VHDX_BITMAP_BUCKETS];
}

static void page_free(struct vhdx_bitmap_page *page)
{
	free(page->data);
	free(page);
}

/* The clock's hand goes over the buckets; what was not used since it came by last is dropped. */
static void drop_one(struct vhdx *v)
{
	for (unsigned i = 0; i < 2 * VHDX_BITMAP_BUCKETS; i++) {
		struct vhdx_bitmap_page **link = &v->buckets[v->bitmap_hand++ % VHDX_BITMAP_BUCKETS];

		for (; *link; link = &(*link)->next) {
			struct vhdx_bitmap_page *page = *link;

			if (page->pins || page->dirty || !page->ready)
				continue;
			if (page->recent) {
				page->recent = false;
				continue;
			}
			*link = page->next;
			page_free(page);
			v->bitmap_count--;
			return;
		}
	}
}

static void unlink_page(struct vhdx *v, struct vhdx_bitmap_page *page)
{
	struct vhdx_bitmap_page **link = bucket_of(v, page->number);

	while (*link != page)
		link = &(*link)->next;
	*link = page->next;
	v->bitmap_count--;
}

static void page_read(struct block_file_request *request, int error)
{
	struct vhdx_bitmap_page *page = (struct vhdx_bitmap_page *)((char *)request - offsetof(struct vhdx_bitmap_page, file));
	struct vhdx *v = page->vhdx;
	struct vhdx_queue waiting = page->waiting;
	struct block_request *next;

	page->waiting = (struct vhdx_queue){ 0 };
	if (error) {
		unlink_page(v, page);
		page_free(page);
		while ((next = vhdx_pop(&waiting)))
			vhdx_fail_request(v, next, error);
		return;
	}
	if (v->replay)
		vhdx_replay_over(v->replay, page->file_offset, page->data, VHDX_PAGE_BYTES);
	page->ready = true;
	vhdx_wake(v, &waiting);
}

static struct vhdx_bitmap_page *page_new(struct vhdx *v, uint64_t number)
{
	const uint64_t chunk = number / PAGES_IN_BLOCK;
	struct vhdx_bitmap_page *page = calloc(1, sizeof *page);
	void *data;

	if (!page || posix_memalign(&data, VHDX_PAGE_BYTES, VHDX_PAGE_BYTES)) {
		free(page);
		return NULL;
	}
	page->data = data;
	page->vhdx = v;
	page->number = number;
	page->file_offset = VHDX_BAT_OFFSET(v->bat[vhdx_bat_bitmap_index(v->chunk_shift, chunk)]) +
			    number % PAGES_IN_BLOCK * VHDX_PAGE_BYTES;
	page->iov = (struct iovec){ page->data, VHDX_PAGE_BYTES };
	page->file = (struct block_file_request){
		.op = BLOCK_FILE_READ, .offset = page->file_offset, .bytes = VHDX_PAGE_BYTES, .iov = &page->iov,
		.iov_count = 1, .done = page_read,
	};
	return page;
}

int vhdx_bitmap_get(struct vhdx *v, uint64_t number, struct vhdx_bitmap_page **ret_page)
{
	struct vhdx_bitmap_page **bucket = bucket_of(v, number), *page;

	for (page = *bucket; page && page->number != number; page = page->next)
		;
	if (!page) {
		if (v->bitmap_count >= VHDX_BITMAP_PAGES_MAX)
			drop_one(v);
		page = page_new(v, number);
		if (!page)
			return -ENOMEM;
		page->next = *bucket;
		*bucket = page;
		v->bitmap_count++;
		vhdx_send(v, &page->file);
	}
	page->recent = true;
	*ret_page = page;
	return 0;
}

void vhdx_bitmap_free(struct vhdx *v)
{
	for (unsigned i = 0; i < VHDX_BITMAP_BUCKETS; i++) {
		while (v->buckets[i]) {
			struct vhdx_bitmap_page *page = v->buckets[i];

			v->buckets[i] = page->next;
			page_free(page);
		}
	}
}

static bool bit(const struct vhdx_bitmap_page *page, uint32_t sector)
{
	return page->data[sector / 8] >> sector % 8 & 1;
}

/* Whether the first sector is here, and how many behind it are the same, at most up to `end`. */
bool vhdx_bitmap_run(const struct vhdx_bitmap_page *page, uint32_t first, uint32_t end, uint32_t *ret_count)
{
	const bool here = bit(page, first);
	const uint8_t same = here ? 0xff : 0;
	uint32_t at = first;

	while (at < end && bit(page, at) == here) {
		if (at % 8 == 0 && page->data[at / 8] == same)
			at += 8;
		else
			at++;
	}
	*ret_count = (at < end ? at : end) - first;
	return here;
}

bool vhdx_bitmap_is_set(const struct vhdx_bitmap_page *page, uint32_t first, uint32_t count)
{
	uint32_t run;

	return vhdx_bitmap_run(page, first, first + count, &run) && run == count;
}

void vhdx_bitmap_fill(struct vhdx *v, struct vhdx_bitmap_page *page, uint32_t first, uint32_t count, bool set)
{
	uint32_t run;

	if (vhdx_bitmap_run(page, first, first + count, &run) == set && run == count)
		return;
	for (uint32_t sector = first; sector < first + count;) {
		if (sector % 8 == 0 && first + count - sector >= 8) {
			page->data[sector / 8] = set ? 0xff : 0;
			sector += 8;
			continue;
		}
		if (set)
			page->data[sector / 8] |= (uint8_t)(1u << sector % 8);
		else
			page->data[sector / 8] &= (uint8_t)~(1u << sector % 8);
		sector++;
	}
	vhdx_dirty_bitmap(v, page);
}
