/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the stock kernel has set up already as a guest of an "Hv#1" interface: the hypercall page, the callback vector.
 * vid_arch.c alone includes the kernel's Hyper-V headers, because their names are also those of schemas/hv.
 */
#ifndef VID_ARCH_H
#define VID_ARCH_H

#include <linux/types.h>

/* We are the root partition of an Undercroft hypervisor. */
bool vid_arch_is_undercroft(void);
/* The kernel has found the interface and enabled the hypercall page. */
bool vid_arch_hypercalls_ready(void);
/* Privilege mask, HV_PRIV_*. */
u64 vid_arch_privileges(void);
/* Whether a SINT on the callback vector needs auto-EOI, because the kernel's handler does not write EOI. */
bool vid_arch_sint_auto_eoi(void);
/* Issues a hypercall. in and out are in the direct map, or NULL. Returns the result word. */
u64 vid_arch_hypercall(u64 control, void *in, void *out);
/* The hypervisor's log ring; 0 bytes: none. */
void vid_arch_log_location(u64 *ret_gpa, u64 *ret_bytes);
/* handler runs in interrupt context for each interrupt on HYPERVISOR_CALLBACK_VECTOR. */
void vid_arch_set_interrupt(void (*handler)(void));
void vid_arch_clear_interrupt(void);

#endif
