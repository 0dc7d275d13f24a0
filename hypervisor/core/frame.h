/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns a page frame of RAM, and how many child mappings it has: so that no page is at once the hypervisor's and
 * a guest's. One 16-bit word a frame, in chunks taken from the root's pool when first needed.
 *
 *   state        parent may use    may be deposited    may be mapped into a child
 *   PARENT       yes               if map count is 0   yes
 *   DEPOSITED    no                no                  no
 *   HYPERVISOR   no                no                  no
 */
#ifndef CORE_FRAME_H
#define CORE_FRAME_H

#include "core/types.h"

/* The root's pool must be filled. RAM ends at machine.ram_end; the hypervisor's block is marked. */
enum hv_status frame_init(void);

/* PARENT with no child mapping -> DEPOSITED. OBJECT_IN_USE when mapped, OPERATION_DENIED when not PARENT or not RAM,
 * INSUFFICIENT_MEMORY when the root's pool has no page for the chunk. */
enum hv_status frame_deposit(spa_t page) MUST_CHECK;
void frame_withdraw(spa_t page);

/* Counts one more child mapping of a PARENT frame. OPERATION_DENIED when not PARENT or not RAM. */
enum hv_status frame_map_get(spa_t page) MUST_CHECK;
void frame_map_put(spa_t page);

#endif
