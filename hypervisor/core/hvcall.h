/* SPDX-License-Identifier: Apache-2.0 */
/* Handlers of the hypercall table, by file. Input and output layouts: hv_hypercall.h; statuses: TLFS 2.0a, per call. */
#ifndef CORE_HVCALL_H
#define CORE_HVCALL_H

#include "core/hypercall.h"
#include "hv/hv_cpuid.h"
#include "hv/hv_hypercall.h"
#include "hv/hv_stats.h"

/* hvcall_partition.c */
enum hv_status hvcall_create_partition(struct hypercall_context *c);
enum hv_status hvcall_initialize_partition(struct hypercall_context *c);
enum hv_status hvcall_finalize_partition(struct hypercall_context *c);
enum hv_status hvcall_delete_partition(struct hypercall_context *c);
enum hv_status hvcall_get_partition_property(struct hypercall_context *c);
enum hv_status hvcall_set_partition_property(struct hypercall_context *c);
enum hv_status hvcall_get_partition_id(struct hypercall_context *c);
enum hv_status hvcall_get_next_child_partition(struct hypercall_context *c);
enum hv_status hvcall_install_intercept(struct hypercall_context *c);
enum hv_status hvcall_get_system_property(struct hypercall_context *c);

/* hvcall_memory.c */
enum hv_status hvcall_deposit_memory(struct hypercall_context *c);
void hvcall_deposit_memory_finish(struct hypercall_context *c, uint32_t first, uint32_t end);
enum hv_status hvcall_withdraw_memory(struct hypercall_context *c);
void hvcall_withdraw_memory_finish(struct hypercall_context *c, uint32_t first, uint32_t end);
enum hv_status hvcall_get_memory_balance(struct hypercall_context *c);
enum hv_status hvcall_map_gpa_pages(struct hypercall_context *c);
void hvcall_map_gpa_pages_finish(struct hypercall_context *c, uint32_t first, uint32_t end);
enum hv_status hvcall_unmap_gpa_pages(struct hypercall_context *c);
void hvcall_unmap_gpa_pages_finish(struct hypercall_context *c, uint32_t first, uint32_t end);
enum hv_status hvcall_read_gpa(struct hypercall_context *c);
enum hv_status hvcall_write_gpa(struct hypercall_context *c);

/* hvcall_vp.c */
enum hv_status hvcall_create_vp(struct hypercall_context *c);
enum hv_status hvcall_delete_vp(struct hypercall_context *c);
enum hv_status hvcall_get_vp_registers(struct hypercall_context *c);
enum hv_status hvcall_set_vp_registers(struct hypercall_context *c);
enum hv_status hvcall_translate_virtual_address(struct hypercall_context *c);
enum hv_status hvcall_dispatch_vp(struct hypercall_context *c);
enum hv_status hvcall_map_vp_state_page(struct hypercall_context *c);
enum hv_status hvcall_unmap_vp_state_page(struct hypercall_context *c);
enum hv_status hvcall_get_vp_state(struct hypercall_context *c);
enum hv_status hvcall_set_vp_state(struct hypercall_context *c);

/* hvcall_ipc.c */
enum hv_status hvcall_clear_virtual_interrupt(struct hypercall_context *c);
enum hv_status hvcall_create_port(struct hypercall_context *c);
enum hv_status hvcall_delete_port(struct hypercall_context *c);
enum hv_status hvcall_set_port_property(struct hypercall_context *c);
enum hv_status hvcall_connect_port(struct hypercall_context *c);
enum hv_status hvcall_disconnect_port(struct hypercall_context *c);
enum hv_status hvcall_post_message(struct hypercall_context *c);
enum hv_status hvcall_signal_event(struct hypercall_context *c);
enum hv_status hvcall_assert_virtual_interrupt(struct hypercall_context *c);
enum hv_status hvcall_signal_event_direct(struct hypercall_context *c);
enum hv_status hvcall_post_message_direct(struct hypercall_context *c);

/* hvcall_stats.c */
void hvcall_stats_init(void);
enum hv_status hvcall_map_stats_page(struct hypercall_context *c);
enum hv_status hvcall_unmap_stats_page(struct hypercall_context *c);
/* Brings the mapped pages of a partition and of the hypervisor up to date; after each call that had a target. */
void hvcall_stats_refresh(struct partition *p);

#endif
