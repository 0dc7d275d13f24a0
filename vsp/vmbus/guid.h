/* SPDX-License-Identifier: Apache-2.0 */
/* GUIDs as text: 8-4-4-4-12 hexadecimal digits, as in file names, JSON and the lines of programs. */
#ifndef VSP_VMBUS_GUID_H
#define VSP_VMBUS_GUID_H

#include <stdbool.h>
#include <stddef.h>

#include "vmbus/vmbus.h"

#define VMBUS_GUID_CHARS 36u

/* Digits in any case, nothing before and nothing behind. */
bool vmbus_guid_parse(const char *text, size_t chars, struct vmbus_guid *out);
/* In lower case, with a terminating zero. */
void vmbus_guid_format(const struct vmbus_guid *guid, char out[VMBUS_GUID_CHARS + 1]);

#endif
