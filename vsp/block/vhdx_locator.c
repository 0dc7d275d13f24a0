// SPDX-License-Identifier: Apache-2.0
/* GUIDs as text and parent locators: pairs of UTF-16 strings in an item of the metadata. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "block/vhdx_layout.h"
#include "unicode/utf16.h"

#define PAIRS_MAX 256u

void vhdx_guid_format(const struct vhdx_guid *guid, char text[VHDX_GUID_TEXT])
{
	const uint8_t *b = guid->bytes;

	(void)snprintf(text, VHDX_GUID_TEXT, "{%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X}", b[3], b[2],
		       b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool vhdx_guid_parse(const char *text, struct vhdx_guid *ret_guid)
{
	static const uint8_t places[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	const size_t length = strlen(text);
	struct vhdx_guid guid;

	if (length == 38 && text[0] == '{' && text[37] == '}')
		text++;
	else if (length != 36)
		return false;
	for (unsigned i = 0; i < 16; i++) {
		int high, low;

		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (*text++ != '-')
				return false;
		}
		high = hex_digit(text[0]);
		low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0)
			return false;
		guid.bytes[places[i]] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	*ret_guid = guid;
	return true;
}

int vhdx_guid_new(struct vhdx_guid *ret_guid)
{
	struct vhdx_guid guid;

	if (getrandom(&guid, sizeof guid, 0) != sizeof guid)
		return -EIO;
	guid.bytes[7] = (uint8_t)((guid.bytes[7] & 0x0f) | 0x40);
	guid.bytes[8] = (uint8_t)((guid.bytes[8] & 0x3f) | 0x80);
	*ret_guid = guid;
	return 0;
}

static uint16_t unit_at(const uint8_t *text, size_t index)
{
	return (uint16_t)(text[2 * index] | text[2 * index + 1] << 8);
}

/* false: too long, or not text. */
static bool to_utf8(const uint8_t *text, size_t units, char *out, size_t room)
{
	size_t used = 0;

	for (size_t i = 0; i < units;) {
		uint32_t c;
		char bytes[4];
		const unsigned taken = utf16_decode(unit_at(text, i), i + 1 < units ? unit_at(text, i + 1) : 0, &c);
		unsigned n;

		if (taken == 0 || c == 0)
			return false;
		i += taken;
		n = utf8_encode(c, bytes);
		if (used + n >= room)
			return false;
		memcpy(out + used, bytes, n);
		used += n;
	}
	out[used] = 0;
	return true;
}

/* Bytes of UTF-16, 0: not UTF-8, empty, or more than `room`. */
static size_t to_utf16(const char *text, uint8_t *out, size_t room)
{
	size_t used = 0;

	while (*text) {
		uint16_t units[2];
		uint32_t c;
		const unsigned n = utf8_decode(text, &c);
		unsigned count;

		if (n == 0)
			return 0;
		text += n;
		count = utf16_encode(c, units);
		if (used + 2 * count > room)
			return 0;
		memcpy(out + used, units, 2 * count);
		used += 2 * count;
	}
	return used;
}

static bool set_pair(struct vhdx_locator *locator, const char *key, const uint8_t *value, size_t units)
{
	char guid[VHDX_GUID_TEXT];

	if (strcmp(key, "parent_linkage") == 0)
		return to_utf8(value, units, guid, sizeof guid) && vhdx_guid_parse(guid, &locator->linkage);
	if (strcmp(key, "parent_linkage2") == 0)
		return to_utf8(value, units, guid, sizeof guid) && vhdx_guid_parse(guid, &locator->linkage2);
	if (strcmp(key, "relative_path") == 0)
		return to_utf8(value, units, locator->relative_path, sizeof locator->relative_path);
	if (strcmp(key, "absolute_win32_path") == 0)
		return to_utf8(value, units, locator->absolute_win32_path, sizeof locator->absolute_win32_path);
	if (strcmp(key, "volume_path") == 0)
		return to_utf8(value, units, locator->volume_path, sizeof locator->volume_path);
	return true;			/* somebody else's */
}

int vhdx_locator_decode(const uint8_t *item, size_t bytes, struct vhdx_locator *locator, struct block_failure *failure)
{
	struct vhdx_locator_header header;

	memset(locator, 0, sizeof *locator);
	memcpy(&header, item, sizeof header);
	if (!vhdx_guid_is(&header.type, (struct vhdx_guid)VHDX_LOCATOR_TYPE))
		return block_failure_set(failure, -ENOTSUP, "a parent that is not a VHDX");
	if (header.pair_count > PAIRS_MAX ||
	    sizeof header + header.pair_count * sizeof(struct vhdx_locator_entry) > bytes)
		return block_failure_set(failure, -EINVAL, "a parent locator with %u entries in %zu bytes",
					 header.pair_count, bytes);
	for (unsigned i = 0; i < header.pair_count; i++) {
		struct vhdx_locator_entry entry;
		char key[64];

		memcpy(&entry, item + sizeof header + i * sizeof entry, sizeof entry);
		if (entry.key_offset > bytes || entry.key_bytes > bytes - entry.key_offset || entry.value_offset > bytes ||
		    entry.value_bytes > bytes - entry.value_offset || (entry.key_bytes | entry.value_bytes) & 1u)
			return block_failure_set(failure, -EINVAL, "entry %u of the parent locator lies outside of it",
						 i);
		if (!to_utf8(item + entry.key_offset, entry.key_bytes / 2, key, sizeof key))
			continue;
		if (!set_pair(locator, key, item + entry.value_offset, entry.value_bytes / 2))
			return block_failure_set(failure, -EINVAL, "the parent locator's %s is not understood", key);
	}
	if (vhdx_guid_is_null(&locator->linkage))
		return block_failure_set(failure, -EINVAL, "the parent locator has no parent_linkage");
	return 0;
}

size_t vhdx_locator_encode(const struct vhdx_locator *locator, uint8_t *item)
{
	char linkage[VHDX_GUID_TEXT];
	const struct {
		const char *key, *value;
	} pairs[] = {
		{ "parent_linkage", linkage },
		{ "relative_path", locator->relative_path },
		{ "volume_path", locator->volume_path },
		{ "absolute_win32_path", locator->absolute_win32_path },
	};
	const unsigned pairs_max = sizeof pairs / sizeof *pairs;
	struct vhdx_locator_header header = { .type = VHDX_LOCATOR_TYPE };
	size_t used = sizeof header + pairs_max * sizeof(struct vhdx_locator_entry);

	vhdx_guid_format(&locator->linkage, linkage);
	memset(item, 0, VHDX_LOCATOR_BYTES_MAX);
	for (unsigned i = 0; i < pairs_max; i++) {
		struct vhdx_locator_entry entry;
		size_t n;

		if (pairs[i].value[0] == 0)
			continue;
		n = to_utf16(pairs[i].key, item + used, VHDX_LOCATOR_BYTES_MAX - used);
		entry.key_offset = (uint32_t)used;
		entry.key_bytes = (uint16_t)n;
		used += n;
		n = to_utf16(pairs[i].value, item + used, VHDX_LOCATOR_BYTES_MAX - used);
		if (n == 0)
			return 0;
		entry.value_offset = (uint32_t)used;
		entry.value_bytes = (uint16_t)n;
		used += n;
		memcpy(item + sizeof header + header.pair_count++ * sizeof entry, &entry, sizeof entry);
	}
	memcpy(item, &header, sizeof header);
	return used;
}
