/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, as the host writes text, and UTF-16LE, as the components carry it. Both sides are checked: no overlong
 * forms, no lone surrogates, nothing above U+10FFFF. */
#ifndef VSP_UNICODE_UTF16_H
#define VSP_UNICODE_UTF16_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of UTF-8, with terminating zero, that any text of so many units needs at most. */
#define UTF16_UTF8_BYTES(units) (3 * (units) + 1)

/* One code point at a time, for texts that lie in another order or may not be all that Unicode is. */
/* The character at the beginning of a text that ends with a zero: its bytes, 0: it is none. */
unsigned utf8_decode(const char *text, uint32_t *out_code);
unsigned utf8_encode(uint32_t code, char out[4]);	/* bytes */
/* `next` is the unit behind the first, 0 at the end. The units used, 0: a surrogate without its other half. */
unsigned utf16_decode(uint16_t first, uint16_t next, uint32_t *out_code);
unsigned utf16_encode(uint32_t code, uint16_t out[2]);	/* units */

/* Whole texts. */
/* Writes a terminating zero; units_max counts it, *out_units does too. 0; -EILSEQ; -E2BIG. */
int utf16_from_utf8(const char *text, uint16_t *out, size_t units_max, size_t *out_units);
/* Reads up to a zero or `units`; writes a terminating zero. 0; -EILSEQ; -E2BIG. */
int utf16_to_utf8(const uint16_t *units, size_t unit_count, char *out, size_t bytes_max);

#endif
