/* SPDX-License-Identifier: Apache-2.0 */
/* Texts that go into fixed fields of the guest's protocols, measured as the guest holds them: in UTF-16. */
#ifndef VMMS_GUEST_TEXT_H
#define VMMS_GUEST_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define GUEST_KEY_UNITS_MAX   255
#define GUEST_VALUE_UNITS_MAX 1023
#define GUEST_PATH_UNITS_MAX  259

/* UTF-16 units of a UTF-8 text; bytes that are no UTF-8 count as one each. */
size_t guest_text_units(const char *text);
bool guest_text_fits(const char *text, size_t units);
/* IPv4 or IPv6 address, or a length of a network prefix, or a mask. */
bool guest_text_is_address(const char *text);
bool guest_text_is_guid(const char *text);

struct guest_path {
	char directory[4 * GUEST_PATH_UNITS_MAX], name[4 * GUEST_PATH_UNITS_MAX];
};

/* An absolute path in the guest; one that ends with a slash is a folder, and the name is the source's. */
bool guest_path_split(const char *destination, const char *source, struct guest_path *out);

#endif
