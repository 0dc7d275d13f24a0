/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with dynamic memory on a bench. The owner keeps a list of present pages of its own and sees to it that no page
 * is taken or given twice.
 */
#ifndef TESTS_UNIT_VSP_DM_RIG_H
#define TESTS_UNIT_VSP_DM_RIG_H

#include "unit/vsp/ic/ic_rig.h"

#include "dm/dm.h"

#define MIB(n)   ((uint64_t)(n) * 256)
#define LOW      MIB(512)
#define HIGH     MIB(4096)
#define HIGH_MIB 64
#define RAM      (LOW + MIB(HIGH_MIB))
#define HOT      (HIGH + MIB(HIGH_MIB))
#define HOT_MIB  1088
#define FRAMES   (HOT + MIB(HOT_MIB))
#define MAXIMUM  (RAM + MIB(1024))

#define LINUX_CAPABILITIES (DM_CAN_BALLOON | DM_CAN_HOT_ADD | 7 << 2)

extern struct rig rig;
extern struct dm dm;
extern const struct dm_events events;
extern bool *present;				/* by page */
extern uint64_t present_count;
extern unsigned statuses, resets, takes;		/* calls of the owner */
extern unsigned refuse_takes, refuse_hot_adds;		/* the take of that number and all behind it; so many */

int make(void **state);
int finish(void **state);
struct dm_config config(void);
struct dm_status now(void);

/* ---- the guest */

struct dm_header header(uint16_t type, size_t bytes);
void request_version(uint32_t version);
void expect_verdict(uint16_t type, bool accepted);
void report_capabilities(uint64_t capabilities);
void open_ready_with(uint64_t capabilities);
void open_ready(void);

/* The request that there has to be, of this type and the size of `out`. */
void expect_request(uint16_t type, void *out, size_t bytes);
uint32_t expect_balloon(void);				/* pages */
void give(const uint64_t *ranges, unsigned count, bool more);
void give_one(uint64_t first, uint64_t count);
/* All ranges of an unballoon request, which lie where none of the guest's own pages are; their pages. */
uint64_t expect_unballoon(void);
void answer_unballoon(void);
struct dm_range expect_hot_add(void);
void answer_hot_add(uint64_t pages, uint32_t result);
void report(uint64_t available, uint64_t committed);

#endif
