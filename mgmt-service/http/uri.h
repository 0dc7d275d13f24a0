/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of instances. One key: its value; several: k1=v1,k2=v2 in schema order; each part
 * percent-encoded. */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include <stddef.h>

#include "cim/provider.h"

#define URI_BASE          "/api/v2"
#define URI_REFERENCE_MAX 8192
#define URI_ALIAS         "/cimrs/root%2Fvirtualization%2Fv2"

/* Percent-decoding; NULL for a broken escape, a zero byte, or what is no UTF-8. */
char *uri_decode(struct arena *arena, const char *text, size_t size);
char *uri_encode(struct arena *arena, const char *text);
/* The part of a raw path below either base, beginning with '/', or NULL. */
const char *uri_below_base(const char *raw_path);

/* Always under URI_BASE, canonical key. */
char *uri_of(struct arena *arena, const struct cim_reference *reference);
/* The key as it stands in a path, still encoded. NULL with the context's error when it names nothing. */
struct cim_reference *uri_parse_key(struct cim_context *context, const struct cim_class *class,
				    const char *raw);
/* A reference as clients write it: path under either base. NULL with the context's error, `field` at fault.
 */
struct cim_reference *uri_parse_reference(struct cim_context *context, const char *text, const char *field);

#endif
