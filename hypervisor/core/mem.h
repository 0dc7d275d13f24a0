/* SPDX-License-Identifier: Apache-2.0 */
/* The memory functions that the compiler may call on its own: the host's, or x86/mem.c's. */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include "core/types.h"

#if __STDC_HOSTED__
#include <string.h>
#else
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
#endif

#endif
