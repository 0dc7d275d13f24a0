/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, as the host writes text, and UTF-16LE, as the components carry it. Both sides are checked: no overlong
 * forms, no lone surrogates, nothing above U+10FFFF. */
#ifndef VSP_IC_UTF16_H
#define VSP_IC_UTF16_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of UTF-8, with terminating zero, that any text of so many units needs at most. */
#define UTF16_UTF8_BYTES(units) (3 * (units) + 1)

/* Writes a terminating zero; units_max counts it, *out_units does too. 0; -EILSEQ; -E2BIG. */
int utf16_from_utf8(const char *text, uint16_t *out, size_t units_max, size_t *out_units);
/* Reads up to a zero or `units`; writes a terminating zero. 0; -EILSEQ; -E2BIG. */
int utf16_to_utf8(const uint16_t *units, size_t unit_count, char *out, size_t bytes_max);

#endif
