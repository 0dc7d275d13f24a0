/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets that idt.S needs; platform.c proves them. */
#ifndef X86_IDT_OFFSETS_H
#define X86_IDT_OFFSETS_H

#define X86_CPU_IN_WINDOW 0

#endif
