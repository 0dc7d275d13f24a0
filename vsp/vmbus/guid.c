// SPDX-License-Identifier: Apache-2.0
#include "vmbus/guid.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool vmbus_guid_parse(const char *text, size_t chars, struct vmbus_guid *out)
{
	uint8_t value[16];
	unsigned digits = 0;

	if (chars != VMBUS_GUID_CHARS)
		return false;
	for (unsigned i = 0; i < VMBUS_GUID_CHARS; i++) {
		const bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash != (text[i] == '-') || (!dash && digit(text[i]) < 0))
			return false;
		if (dash)
			continue;
		value[digits / 2] = (uint8_t)((digits % 2 ? value[digits / 2] << 4 : 0) | digit(text[i]));
		digits++;
	}
	out->a = (uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 | value[3];
	out->b = (uint16_t)(value[4] << 8 | value[5]);
	out->c = (uint16_t)(value[6] << 8 | value[7]);
	memcpy(out->d, value + 8, sizeof out->d);
	return true;
}

void vmbus_guid_format(const struct vmbus_guid *guid, char out[VMBUS_GUID_CHARS + 1])
{
	const uint8_t *d = guid->d;

	(void)snprintf(out, VMBUS_GUID_CHARS + 1,
		       "%08" PRIx32 "-%04" PRIx16 "-%04" PRIx16 "-%02x%02x-%02x%02x%02x%02x%02x%02x", guid->a, guid->b, guid->c,
		       d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]);
}
