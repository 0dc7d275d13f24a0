/* SPDX-License-Identifier: Apache-2.0 */
/* The memory functions that the compiler may call on its own: x86/mem.c's, or the host's. */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include "core/types.h"

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
