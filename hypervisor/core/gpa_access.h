/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door to guest memory. Copies are made once, under the GPA space's lock, so that a page cannot change owner
 * while it is touched; what is decided is decided on the copy.
 */
#ifndef CORE_GPA_ACCESS_H
#define CORE_GPA_ACCESS_H

#include "core/types.h"

enum gpa_result { GPA_DONE, GPA_NOT_MAPPED, GPA_NOT_ALLOWED };

enum gpa_result gpa_read(struct partition *p, gpa_t from, void *to, size_t bytes) MUST_CHECK;
enum gpa_result gpa_write(struct partition *p, gpa_t to, const void *from, size_t bytes) MUST_CHECK;

/* Borrows one guest page for atomic work on it (message slots, event flags): NULL when not mapped with `access`.
 * The GPA space's lock is held until gpa_page_put; nothing that takes it may be called in between. */
void *gpa_page_get(struct partition *p, gpa_t page, uint8_t access) MUST_CHECK;
void gpa_page_put(struct partition *p);

/* Walks the VP's own page tables (long mode, PAE, 32-bit, or none when paging is off).
 * access: ACCESS_* wanted; user: as CPL 3. Never sets accessed or dirty bits unless set_bits.
 * Result is enum hv_translate_result; *out_gpa is the byte's GPA on success. */
uint32_t gva_translate(struct vp *vp, gva_t gva, uint8_t access, bool user, bool set_bits, gpa_t *out_gpa) MUST_CHECK;

/* Up to `bytes` instruction bytes at CS:RIP; returns how many could be read (stops at an unmapped page). */
size_t gva_fetch_code(struct vp *vp, uint8_t *to, size_t bytes);

#endif
