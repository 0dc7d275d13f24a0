// SPDX-License-Identifier: Apache-2.0
#include "unicode/utf16.h"

#include <errno.h>
#include <stdbool.h>

#define SURROGATE_HIGH 0xd800u
#define SURROGATE_LOW  0xdc00u
#define SURROGATE_END  0xe000u
#define SUPPLEMENTARY  0x10000u
#define CODE_POINT_MAX 0x10ffffu

static bool is_surrogate(uint32_t code)
{
	return code >= SURROGATE_HIGH && code < SURROGATE_END;
}

unsigned utf8_decode(const char *bytes, uint32_t *out_code)
{
	const unsigned char *text = (const unsigned char *)bytes;
	static const struct {
		uint8_t mask, lead;
		uint32_t least;
	} forms[] = {
		{ 0x80, 0x00, 0 },
		{ 0xe0, 0xc0, 0x80 },
		{ 0xf0, 0xe0, 0x800 },
		{ 0xf8, 0xf0, SUPPLEMENTARY },
	};

	for (unsigned n = 0; n < sizeof forms / sizeof forms[0]; n++) {
		uint32_t code = text[0] & (uint8_t)~forms[n].mask;

		if ((text[0] & forms[n].mask) != forms[n].lead)
			continue;
		for (unsigned i = 1; i <= n; i++) {
			if ((text[i] & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (text[i] & 0x3f);
		}
		*out_code = code;
		return code >= forms[n].least && code <= CODE_POINT_MAX && !is_surrogate(code) ? n + 1 : 0;
	}
	return 0;
}

unsigned utf8_encode(uint32_t code, char out[4])
{
	unsigned more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < SUPPLEMENTARY ? 2 : 3;
	static const uint8_t leads[] = { 0x00, 0xc0, 0xe0, 0xf0 };

	for (unsigned i = more; i > 0; i--) {
		out[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	out[0] = (char)(leads[more] | code);
	return more + 1;
}

unsigned utf16_decode(uint16_t first, uint16_t next, uint32_t *out_code)
{
	*out_code = first;
	if (!is_surrogate(first))
		return 1;
	if (first >= SURROGATE_LOW || next < SURROGATE_LOW || next >= SURROGATE_END)
		return 0;
	*out_code = SUPPLEMENTARY + ((first - SURROGATE_HIGH) << 10) + (next - SURROGATE_LOW);
	return 2;
}

unsigned utf16_encode(uint32_t code, uint16_t out[2])
{
	if (code < SUPPLEMENTARY) {
		out[0] = (uint16_t)code;
		return 1;
	}
	out[0] = (uint16_t)(SURROGATE_HIGH + ((code - SUPPLEMENTARY) >> 10));
	out[1] = (uint16_t)(SURROGATE_LOW + ((code - SUPPLEMENTARY) & 0x3ff));
	return 2;
}

int utf16_from_utf8(const char *text, uint16_t *out, size_t units_max, size_t *out_units)
{
	size_t units = 0;

	while (*text) {
		uint32_t code;
		uint16_t encoded[2];
		unsigned bytes = utf8_decode(text, &code), count;

		if (bytes == 0)
			return -EILSEQ;
		count = utf16_encode(code, encoded);
		if (units + count >= units_max)
			return -E2BIG;
		for (unsigned i = 0; i < count; i++)
			out[units++] = encoded[i];
		text += bytes;
	}
	if (units >= units_max)
		return -E2BIG;
	out[units++] = 0;
	*out_units = units;
	return 0;
}

int utf16_to_utf8(const uint16_t *units, size_t unit_count, char *out, size_t bytes_max)
{
	size_t bytes = 0;

	for (size_t i = 0; i < unit_count && units[i];) {
		uint32_t code;
		char encoded[4];
		unsigned used = utf16_decode(units[i], i + 1 < unit_count ? units[i + 1] : 0, &code), count;

		if (used == 0)
			return -EILSEQ;
		i += used;
		count = utf8_encode(code, encoded);
		if (bytes + count >= bytes_max)
			return -E2BIG;
		for (unsigned n = 0; n < count; n++)
			out[bytes++] = encoded[n];
	}
	if (bytes >= bytes_max)
		return -E2BIG;
	out[bytes] = 0;
	return 0;
}
