/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns a page frame of RAM, and how many child mappings it has: so that no page is at once the hypervisor's and
 * a guest's. One 16-bit word a frame, changed by compare-and-swap, in chunks taken from the root's pool when first needed.
 *
 *   state        parent may use    may be deposited    may be mapped into a child
 *   PARENT       yes               if map count is 0   yes
 *   DEPOSITED    no                no                  no
 *   HYPERVISOR   no                no                  no
 */
#ifndef CORE_FRAME_H
#define CORE_FRAME_H

#include "core/types.h"

/* Forgets everything. Called once by partition_create_root. RAM ends at machine.ram_end; the hypervisor's block counts as
 * HYPERVISOR by its address. */
void frame_init(void);

/* [base, base + bytes) below machine.ram_end is not RAM (a device window, firmware's own). At boot, before any hypercall;
 * survives frame_init. False when the table of holes is full. */
bool frame_add_hole(spa_t base, uint64_t bytes) MUST_CHECK;
bool frame_is_ram(spa_t page);

/* PARENT with no child mapping -> DEPOSITED. OBJECT_IN_USE when mapped, OPERATION_DENIED when not PARENT or not RAM,
 * INSUFFICIENT_MEMORY when the root's pool has no page for the chunk. */
enum hv_status frame_deposit(spa_t page) MUST_CHECK;
void frame_withdraw(spa_t page);

/* Counts one more child mapping of `count` PARENT frames from `page` on; all of them or none. OPERATION_DENIED when one is
 * not PARENT or not RAM, OBJECT_IN_USE when one is mapped too often, INSUFFICIENT_MEMORY. */
enum hv_status frame_map_get(spa_t page, uint32_t count) MUST_CHECK;
void frame_map_put(spa_t page, uint32_t count);

#endif
