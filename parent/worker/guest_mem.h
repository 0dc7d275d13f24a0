/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The child's RAM: one anonymous mapping, seen by the guest as at most two slots, the second above the hole for
 * devices that ends at 4 GiB. Above it there may be address space for RAM that is added while the child runs. The only
 * door to guest memory: every address is the guest's word and is checked here. What another VP may write at the same time is
 * copied once; nothing is decided on the mapping itself.
 *
 * RAM that was taken from the guest (guest_ram.h) stays addressable here: what a device still writes there is lost.
 */
#ifndef WORKER_GUEST_MEM_H
#define WORKER_GUEST_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/failure.h"

#define GUEST_MEM_LOW_MAX   0xc0000000ull	/* RAM beyond this goes above 4 GiB */
#define GUEST_MEM_HIGH_BASE 0x100000000ull
#define GUEST_MEM_ALIGN     0x200000ull		/* sizes and the mapping itself: the hypervisor's large page */
#define GUEST_MEM_SLOTS     2
#define GUEST_MEM_GROWTH_ALIGN 0x8000000ull	/* Linux adds RAM in blocks of 128 MiB */

struct guest_mem_slot {
	uint64_t gpa;
	uint64_t size_bytes;
	uint8_t *host;
};

struct guest_mem {
	struct guest_mem_slot slot[GUEST_MEM_SLOTS];
	unsigned slot_count;
	uint64_t size_bytes;
	void *mapping;			/* what munmap takes: slot[0].host lies in it, aligned */
	size_t mapping_bytes;
	struct guest_mem_slot growth;	/* what of it is RAM says `grown`; size 0: there is none */
	uint64_t *grown;		/* a bit for each GUEST_MEM_ALIGN; set by one thread, read by all */
	void *growth_mapping;
	size_t growth_mapping_bytes;
};

/* Zeroed RAM of size_bytes, a non-zero multiple of GUEST_MEM_ALIGN. -EINVAL, -ENOMEM. */
int guest_mem_init(struct guest_mem *mem, uint64_t size_bytes, struct failure *why) MUST_CHECK;
/* Address space for `bytes` more, a multiple of GUEST_MEM_ALIGN; 0 does nothing. Once, before the guest is told where its RAM
 * ends. -EINVAL, -ENOMEM. */
int guest_mem_reserve(struct guest_mem *mem, uint64_t bytes, struct failure *why) MUST_CHECK;
void guest_mem_fini(struct guest_mem *mem);

/* The host's view of [gpa, gpa + bytes), or NULL when not all of it is RAM of one slot. bytes may be 0. */
void *guest_mem_range(const struct guest_mem *mem, uint64_t gpa, uint64_t bytes);

/* Copies; false (and nothing copied) when the range is not RAM. */
bool guest_mem_read(const struct guest_mem *mem, uint64_t gpa, void *to, size_t bytes) MUST_CHECK;
bool guest_mem_write(const struct guest_mem *mem, uint64_t gpa, const void *from, size_t bytes) MUST_CHECK;

/* First address above all RAM, also what may be added; at least GUEST_MEM_HIGH_BASE. */
uint64_t guest_mem_top(const struct guest_mem *mem);

/* For guest_ram.c. Ranges that are multiples of GUEST_MEM_ALIGN within `growth`: */
void *guest_mem_growth_host(const struct guest_mem *mem, uint64_t gpa, uint64_t bytes);	/* NULL: no such range */
bool guest_mem_is_grown(const struct guest_mem *mem, uint64_t gpa);
void guest_mem_grow(struct guest_mem *mem, uint64_t gpa, uint64_t bytes);

#endif
