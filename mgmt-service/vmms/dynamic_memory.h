/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets how much memory while machines run: gathers what guests say, balances, tells the workers. */
#ifndef VMMS_DYNAMIC_MEMORY_H
#define VMMS_DYNAMIC_MEMORY_H

#include "vmms/model.h"

/* "MemAvailable" of a text as /proc/meminfo has, in MiB; 0 when it is not there. */
uint64_t dynamic_memory_available(const char *meminfo);
/* Main thread, with the lock held; does something once in a balancer's period. */
void dynamic_memory_tick(struct model *model, int64_t monotonic_ms);

#endif
