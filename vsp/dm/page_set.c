// SPDX-License-Identifier: Apache-2.0
#include "dm/page_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64u

static size_t words_of(const struct page_set *set)
{
	return (size_t)((set->limit + WORD_BITS - 1) / WORD_BITS);
}

/* The bits of the word at `from` that belong to the range; their number goes to *out_count. */
static uint64_t mask_at(uint64_t from, uint64_t end, uint64_t *out_count)
{
	unsigned shift = (unsigned)(from % WORD_BITS);
	uint64_t count = WORD_BITS - shift;

	if (count > end - from)
		count = end - from;
	*out_count = count;
	return (count == WORD_BITS ? ~0ull : (1ull << count) - 1) << shift;
}

int page_set_init(struct page_set *set, uint64_t limit)
{
	*set = (struct page_set){ .limit = limit };
	set->words = calloc(words_of(set) + 1, sizeof *set->words);
	return set->words ? 0 : -ENOMEM;
}

void page_set_fini(struct page_set *set)
{
	free(set->words);
	*set = (struct page_set){ 0 };
}

void page_set_clear(struct page_set *set)
{
	memset(set->words, 0, words_of(set) * sizeof *set->words);
	set->count = 0;
}

void page_set_add(struct page_set *set, uint64_t first, uint64_t count)
{
	uint64_t part;

	for (uint64_t at = first; at < first + count; at += part)
		set->words[at / WORD_BITS] |= mask_at(at, first + count, &part);
	set->count += count;
}

void page_set_remove(struct page_set *set, uint64_t first, uint64_t count)
{
	uint64_t part;

	for (uint64_t at = first; at < first + count; at += part)
		set->words[at / WORD_BITS] &= ~mask_at(at, first + count, &part);
	set->count -= count;
}

bool page_set_overlaps(const struct page_set *set, uint64_t first, uint64_t count)
{
	uint64_t part;

	for (uint64_t at = first; at < first + count; at += part) {
		if (set->words[at / WORD_BITS] & mask_at(at, first + count, &part))
			return true;
	}
	return false;
}

/* The first frame at or after `from` whose bit is one after the words were flipped with `flip`; the limit if none. */
static uint64_t find(const struct page_set *set, uint64_t from, uint64_t flip)
{
	while (from < set->limit) {
		uint64_t word = (set->words[from / WORD_BITS] ^ flip) >> from % WORD_BITS;

		if (word) {
			from += (unsigned)__builtin_ctzll(word);
			return from < set->limit ? from : set->limit;
		}
		from += WORD_BITS - from % WORD_BITS;
	}
	return set->limit;
}

uint64_t page_set_next(const struct page_set *set, uint64_t from, uint64_t max, uint64_t *out_first)
{
	uint64_t first = find(set, from, 0), count;

	if (first == set->limit)
		return 0;
	count = find(set, first, ~0ull) - first;
	*out_first = first;
	return count < max ? count : max;
}

size_t page_set_bytes(const struct page_set *set)
{
	return words_of(set) * sizeof *set->words;
}

void page_set_save(const struct page_set *set, uint8_t *to)
{
	memcpy(to, set->words, page_set_bytes(set));
}

int page_set_load(struct page_set *set, const uint8_t *from)
{
	size_t words = words_of(set);
	uint64_t count = 0, last;

	if (words && set->limit % WORD_BITS) {
		memcpy(&last, from + (words - 1) * sizeof last, sizeof last);
		if (last >> set->limit % WORD_BITS)
			return -EINVAL;
	}
	memcpy(set->words, from, page_set_bytes(set));
	for (size_t i = 0; i < words; i++)
		count += (unsigned)__builtin_popcountll(set->words[i]);
	set->count = count;
	return 0;
}
