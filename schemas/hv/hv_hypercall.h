/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Hypercall control word, call codes, input and output layouts.
 * TLFS web, "Hypercall Interface" and its per-call pages; parent calls from TLFS 2.0a and the public Linux headers.
 * Padding inside input structures is ignored, as the TLFS asks; only control values are checked.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include "hv/hv_types.h"

/* Control word (RCX). */
#define HC_CODE(w)        ((uint16_t)((w) & 0xffff))
#define HC_FAST(w)        ((bool)(((w) >> 16) & 1))
#define HC_VAR_HEADER(w)  ((uint32_t)(((w) >> 17) & 0x3ff))	/* in 8-byte units */
#define HC_REP_COUNT(w)   ((uint32_t)(((w) >> 32) & 0xfff))
#define HC_REP_START(w)   ((uint32_t)(((w) >> 48) & 0xfff))
#define HC_RSVDZ          0xf000f000f8000000ull	/* 63:60, 47:44, 31:27 (31: nested, not offered) */
#define HC_FAST_FLAG      (1ull << 16)
#define HC_REP_COUNT_SHIFT 32
#define HC_REP_START_SHIFT 48

/* Result word (RAX). */
#define HC_RESULT_STATUS(r) ((uint16_t)((r) & 0xffff))
#define HC_RESULT_REPS(r)   ((uint32_t)(((r) >> 32) & 0xfff))

enum hv_call_code {
	HVCALL_CREATE_PARTITION          = 0x0040,
	HVCALL_INITIALIZE_PARTITION      = 0x0041,
	HVCALL_FINALIZE_PARTITION        = 0x0042,
	HVCALL_DELETE_PARTITION          = 0x0043,
	HVCALL_GET_PARTITION_PROPERTY    = 0x0044,
	HVCALL_SET_PARTITION_PROPERTY    = 0x0045,
	HVCALL_GET_PARTITION_ID          = 0x0046,
	HVCALL_GET_NEXT_CHILD_PARTITION  = 0x0047,
	HVCALL_DEPOSIT_MEMORY            = 0x0048,
	HVCALL_WITHDRAW_MEMORY           = 0x0049,
	HVCALL_GET_MEMORY_BALANCE        = 0x004a,
	HVCALL_MAP_GPA_PAGES             = 0x004b,
	HVCALL_UNMAP_GPA_PAGES           = 0x004c,
	HVCALL_INSTALL_INTERCEPT         = 0x004d,
	HVCALL_CREATE_VP                 = 0x004e,
	HVCALL_DELETE_VP                 = 0x004f,
	HVCALL_GET_VP_REGISTERS          = 0x0050,
	HVCALL_SET_VP_REGISTERS          = 0x0051,
	HVCALL_TRANSLATE_VIRTUAL_ADDRESS = 0x0052,
	HVCALL_READ_GPA                  = 0x0053,
	HVCALL_WRITE_GPA                 = 0x0054,
	HVCALL_CLEAR_VIRTUAL_INTERRUPT   = 0x0056,
	HVCALL_DELETE_PORT               = 0x0058,
	HVCALL_DISCONNECT_PORT           = 0x005b,
	HVCALL_POST_MESSAGE              = 0x005c,
	HVCALL_SIGNAL_EVENT              = 0x005d,
	HVCALL_MAP_STATS_PAGE            = 0x006c,
	HVCALL_UNMAP_STATS_PAGE          = 0x006d,
	HVCALL_SET_PORT_PROPERTY         = 0x0070,
	HVCALL_GET_SYSTEM_PROPERTY       = 0x007b,
	HVCALL_REGISTER_INTERCEPT_RESULT = 0x0091,
	HVCALL_ASSERT_VIRTUAL_INTERRUPT  = 0x0094,
	HVCALL_CREATE_PORT               = 0x0095,
	HVCALL_CONNECT_PORT              = 0x0096,
	HVCALL_SIGNAL_EVENT_DIRECT       = 0x00c0,
	HVCALL_POST_MESSAGE_DIRECT       = 0x00c1,
	HVCALL_DISPATCH_VP               = 0x00c2,
	HVCALL_MAP_VP_STATE_PAGE         = 0x00e1,
	HVCALL_UNMAP_VP_STATE_PAGE       = 0x00e2,
	HVCALL_GET_VP_STATE              = 0x00e3,
	HVCALL_SET_VP_STATE              = 0x00e4,
};

struct hv_proximity {
	uint32_t domain;
	uint32_t flags;
};

/* 0x40. Flags: bit 8 EXO (VMM-managed), 13 LAPIC in the hypervisor, 19 intercept message page, 22 x2APIC. */
struct hv_input_create_partition {
	uint64_t flags;
	struct hv_proximity proximity;
	uint32_t compatibility_version;
	uint32_t pad;
	uint64_t disabled_processor_features[2];
	uint64_t disabled_xsave_features;
	uint64_t isolation_properties;
};
WIRE_SIZE(struct hv_input_create_partition, 56);
#define HV_PARTITION_FLAG_SMT                    (1ull << 0)
#define HV_PARTITION_FLAG_NESTED                 (1ull << 1)
#define HV_PARTITION_FLAG_GPA_SUPER_PAGES        (1ull << 4)
#define HV_PARTITION_FLAG_EXO                    (1ull << 8)
#define HV_PARTITION_FLAG_LAPIC                  (1ull << 13)
#define HV_PARTITION_FLAG_INTERCEPT_MESSAGE_PAGE (1ull << 19)
#define HV_PARTITION_FLAG_X2APIC                 (1ull << 22)

struct hv_output_create_partition {
	uint64_t partition_id;
};

/* 0x41, 0x42, 0x43, 0x56. */
struct hv_input_partition {
	uint64_t partition_id;
};

/* 0x44, 0x45. */
struct hv_input_get_partition_property {
	uint64_t partition_id;
	uint32_t code;
	uint32_t pad;
};
struct hv_output_get_partition_property {
	uint64_t value;
};
struct hv_input_set_partition_property {
	uint64_t partition_id;
	uint32_t code;
	uint32_t pad;
	uint64_t value;
};
WIRE_SIZE(struct hv_input_set_partition_property, 24);

enum hv_partition_property {
	HV_PROPERTY_PRIVILEGE_FLAGS            = 0x00010000,
	HV_PROPERTY_SYNTHETIC_PROC_FEATURES    = 0x00010001,
	HV_PROPERTY_SUSPEND                    = 0x00020000,
	HV_PROPERTY_TIME_FREEZE                = 0x00030003,
	HV_PROPERTY_REFERENCE_TIME             = 0x00030005,
	HV_PROPERTY_UNIMPLEMENTED_MSR_ACTION   = 0x00050017,
	HV_PROPERTY_PROCESSOR_VENDOR           = 0x00060000,
	HV_PROPERTY_XSAVE_STATES               = 0x00060007,
	HV_PROPERTY_MAX_XSAVE_DATA_SIZE        = 0x00060008,
	HV_PROPERTY_PROCESSOR_CLOCK_FREQUENCY  = 0x00060009,
	HV_PROPERTY_PROCESSOR_FEATURES0        = 0x0006000a,
	HV_PROPERTY_PROCESSOR_FEATURES1        = 0x0006000b,
	HV_PROPERTY_GUEST_OS_ID                = 0x00070000,
};

/* 0x47. */
struct hv_input_get_next_child_partition {
	uint64_t parent_id;
	uint64_t previous_child_id;
};

/* 0x48: rep list of GPFNs of the caller behind the header. */
struct hv_input_deposit_memory {
	uint64_t partition_id;
	uint64_t gpfn[];
};
/* 0x49: rep list of GPFNs in the output. 0x4a: the same input. */
struct hv_input_withdraw_memory {
	uint64_t partition_id;
	struct hv_proximity proximity;
};
WIRE_SIZE(struct hv_input_withdraw_memory, 16);
struct hv_output_get_memory_balance {
	uint64_t pages_available;
	uint64_t pages_in_use;
};

/* 0x4b: rep list of the caller's page frames behind the header. */
struct hv_input_map_gpa_pages {
	uint64_t partition_id;
	uint64_t target_gpfn;
	uint32_t flags;
	uint32_t pad;
	uint64_t source_gpfn[];
};
WIRE_OFFSET(struct hv_input_map_gpa_pages, source_gpfn, 24);
#define HV_MAP_GPA_READABLE          0x1u
#define HV_MAP_GPA_WRITABLE          0x2u
#define HV_MAP_GPA_KERNEL_EXECUTABLE 0x4u
#define HV_MAP_GPA_USER_EXECUTABLE   0x8u
#define HV_MAP_GPA_ADJUSTABLE        0x8000u
#define HV_MAP_GPA_LARGE_PAGE        0x80000000u
#define HV_MAP_GPA_RIGHTS            0xfu

/* 0x4c: rep count pages (or 2 MiB units with the large-page flag). */
struct hv_input_unmap_gpa_pages {
	uint64_t partition_id;
	uint64_t target_gpfn;
	uint32_t flags;
	uint32_t pad;
};
WIRE_SIZE(struct hv_input_unmap_gpa_pages, 24);
#define HV_UNMAP_GPA_LARGE_PAGE 0x2u

/* 0x4d. */
struct hv_input_install_intercept {
	uint64_t partition_id;
	uint32_t access_mask;
	uint32_t intercept_type;
	uint64_t parameter;
};
WIRE_SIZE(struct hv_input_install_intercept, 24);
enum hv_intercept_type {
	HV_INTERCEPT_IO_PORT   = 0,
	HV_INTERCEPT_MSR       = 1,
	HV_INTERCEPT_CPUID     = 2,
	HV_INTERCEPT_EXCEPTION = 3,
	HV_INTERCEPT_MSR_INDEX = 0xc,
};
#define HV_INTERCEPT_ACCESS_READ    1u
#define HV_INTERCEPT_ACCESS_WRITE   2u
#define HV_INTERCEPT_ACCESS_EXECUTE 4u

/* 0x4e. */
struct hv_input_create_vp {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t pad[3];
	uint8_t subnode_type;
	uint64_t subnode_id;
	struct hv_proximity proximity;
	uint64_t flags;
};
WIRE_SIZE(struct hv_input_create_vp, 40);

/* 0x4f. */
struct hv_input_delete_vp {
	uint64_t partition_id;
	uint32_t vp_index;
	uint32_t pad;
};

/* 0x50: list of register names behind the header, list of struct hv_u128 in the output. */
struct hv_input_vp_registers {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t vtl;
	uint8_t pad[3];
};
WIRE_SIZE(struct hv_input_vp_registers, 16);

/* 0x51: list of these behind struct hv_input_vp_registers. */
struct hv_register_assoc {
	uint32_t name;
	uint32_t pad;
	uint64_t pad2;
	struct hv_u128 value;
};
WIRE_SIZE(struct hv_register_assoc, 32);

/* 0x52. */
struct hv_input_translate_virtual_address {
	uint64_t partition_id;
	uint32_t vp_index;
	uint32_t pad;
	uint64_t control_flags;
	uint64_t gva_page;
};
WIRE_SIZE(struct hv_input_translate_virtual_address, 32);
struct hv_output_translate_virtual_address {
	uint32_t result_code;
	uint32_t flags;			/* 7:0 cache type, 8 overlay page */
	uint64_t gpa_page;
};
#define HV_TRANSLATE_VALIDATE_READ      0x1u
#define HV_TRANSLATE_VALIDATE_WRITE     0x2u
#define HV_TRANSLATE_VALIDATE_EXECUTE   0x4u
#define HV_TRANSLATE_PRIVILEGE_EXEMPT   0x8u
#define HV_TRANSLATE_SET_PAGE_TABLE_BITS 0x10u
enum hv_translate_result {
	HV_TRANSLATE_SUCCESS             = 0,
	HV_TRANSLATE_PAGE_NOT_PRESENT    = 1,
	HV_TRANSLATE_PRIVILEGE_VIOLATION = 2,
	HV_TRANSLATE_INVALID_TABLE_FLAGS = 3,
	HV_TRANSLATE_GPA_UNMAPPED        = 4,
	HV_TRANSLATE_GPA_NO_READ         = 5,
	HV_TRANSLATE_GPA_NO_WRITE        = 6,
};

/* 0x53, 0x54. */
struct hv_input_read_gpa {
	uint64_t partition_id;
	uint32_t vp_index;
	uint32_t byte_count;		/* 1..16, inside one page */
	uint64_t gpa;
	uint64_t control_flags;
};
WIRE_SIZE(struct hv_input_read_gpa, 32);
struct hv_output_read_gpa {
	uint32_t result_code;		/* 0 done, 1 unmapped, 2 no read, 3 no write */
	uint32_t pad;
	uint8_t data[16];
};
struct hv_input_write_gpa {
	uint64_t partition_id;
	uint32_t vp_index;
	uint32_t byte_count;
	uint64_t gpa;
	uint64_t control_flags;
	uint8_t data[16];
};
WIRE_SIZE(struct hv_input_write_gpa, 48);
struct hv_output_write_gpa {
	uint32_t result_code;
	uint32_t pad;
};

/* 0x58. */
struct hv_input_delete_port {
	uint64_t port_partition;
	uint32_t port_id;
	uint32_t pad;
};
WIRE_SIZE(struct hv_input_delete_port, 16);

/* 0x5b. */
struct hv_input_disconnect_port {
	uint64_t connection_partition;
	uint32_t connection_id;
	uint32_t flags;
};
WIRE_SIZE(struct hv_input_disconnect_port, 16);
#define HV_DISCONNECT_DOORBELL 0x1u

/* 0x5c. */
struct hv_input_post_message {
	uint32_t connection_id;
	uint32_t rsvdz;
	uint32_t message_type;
	uint32_t payload_bytes;		/* 0..240 */
	uint8_t payload[240];
};
WIRE_SIZE(struct hv_input_post_message, 256);

/* 0x5d. */
struct hv_input_signal_event {
	uint32_t connection_id;
	uint16_t flag_number;
	uint16_t rsvdz;
};
WIRE_SIZE(struct hv_input_signal_event, 8);

/* 0x6c, 0x6d. Object types and the identity's layout: hv_stats.h. */
struct hv_input_map_stats_page {
	uint32_t object_type;
	uint32_t pad;
	uint8_t identity[16];
};
WIRE_SIZE(struct hv_input_map_stats_page, 24);
struct hv_output_map_page {
	uint64_t gpfn;
};

/* 0x70. */
struct hv_input_set_port_property {
	uint64_t port_partition;
	uint32_t port_id;
	uint32_t property;
	uint64_t value;
};
WIRE_SIZE(struct hv_input_set_port_property, 24);
/*
 * Undercroft's own property of a message port: 1 keeps its messages at the port instead of handing them to a VP, so that a
 * receiver that is full can stop one sender without stopping the others on its SINT. When all buffers of the port are in use
 * the sender gets INSUFFICIENT_BUFFERS. 0 lets the messages go on. Once the call has returned, no further message of the port
 * appears in a slot.
 */
#define UC_PORT_PROPERTY_HOLD 0x80000001u

/* 0x7b. */
struct hv_input_get_system_property {
	uint32_t property;
	uint32_t pad;
	uint64_t argument[2];
};
WIRE_SIZE(struct hv_input_get_system_property, 24);
#define HV_SYSTEM_PROPERTY_SCHEDULER_TYPE 15u
#define HV_SCHEDULER_TYPE_ROOT 4u

/* 0x94. control: 31:0 type, 32 level, 33 logical destination. */
struct hv_input_assert_virtual_interrupt {
	uint64_t partition_id;
	uint64_t control;
	uint64_t destination;
	uint32_t vector;
	uint8_t vtl;
	uint8_t pad[3];
};
WIRE_SIZE(struct hv_input_assert_virtual_interrupt, 32);
#define HV_INTERRUPT_CONTROL_LEVEL   (1ull << 32)
#define HV_INTERRUPT_CONTROL_LOGICAL (1ull << 33)
enum hv_interrupt_type {
	HV_INTERRUPT_FIXED           = 0,
	HV_INTERRUPT_LOWEST_PRIORITY = 1,
	HV_INTERRUPT_SMI             = 2,
	HV_INTERRUPT_REMOTE_READ     = 3,
	HV_INTERRUPT_NMI             = 4,
	HV_INTERRUPT_INIT            = 5,
	HV_INTERRUPT_SIPI            = 6,
	HV_INTERRUPT_EXTINT          = 7,
};

/* 0x95. Port and connection ids have 24 bits. */
enum hv_port_type {
	HV_PORT_MESSAGE  = 1,
	HV_PORT_EVENT    = 2,
	HV_PORT_MONITOR  = 3,
	HV_PORT_DOORBELL = 4,
};
#define HV_PORT_ID_MAX       0xffffffu
#define HV_CONNECTION_ID_MAX 0xffffffu

struct hv_port_info {
	uint32_t type;
	uint32_t pad;
	union {
		struct {
			uint32_t sint;
			uint32_t vp_index;	/* or HV_ANY_VP */
			uint64_t rsvd;
		} message, doorbell;
		struct {
			uint32_t sint;
			uint32_t vp_index;
			uint16_t base_flag;
			uint16_t flag_count;
			uint32_t rsvd;
		} event;
		struct {
			uint64_t gpa;
			uint64_t rsvd;
		} monitor;
	};
};
WIRE_SIZE(struct hv_port_info, 24);

struct hv_input_create_port {
	uint64_t port_partition;
	uint32_t port_id;
	uint8_t port_vtl;
	uint8_t min_connection_vtl;
	uint16_t pad;
	uint64_t connection_partition;	/* the only one that may connect */
	struct hv_port_info info;
	struct hv_proximity proximity;
};
WIRE_SIZE(struct hv_input_create_port, 56);

/* 0x96. */
struct hv_connection_info {
	uint32_t type;
	uint32_t pad;
	union {
		struct {
			uint64_t rsvd;
		} message, event;
		struct {
			uint64_t gpa;
		} monitor;
		struct {
			uint64_t gpa;
			uint64_t trigger_value;
			uint64_t flags;		/* 2:0 access size, 31 any value */
		} doorbell;
	};
};
WIRE_SIZE(struct hv_connection_info, 32);

struct hv_input_connect_port {
	uint64_t connection_partition;
	uint32_t connection_id;
	uint8_t connection_vtl;
	uint8_t pad[3];
	uint64_t port_partition;
	uint32_t port_id;
	uint32_t pad2;
	struct hv_connection_info info;
	struct hv_proximity proximity;
};
WIRE_SIZE(struct hv_input_connect_port, 72);
WIRE_OFFSET(struct hv_input_connect_port, info, 32);

/* 0xc0. */
struct hv_input_signal_event_direct {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t vtl;
	uint8_t sint;
	uint16_t flag;
};
WIRE_SIZE(struct hv_input_signal_event_direct, 16);
struct hv_output_signal_event_direct {
	uint8_t newly_signaled;
	uint8_t pad[7];
};

/* 0xc1. */
struct hv_input_post_message_direct {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t vtl;
	uint8_t pad[3];
	uint8_t sint;
	uint8_t pad2[3];
	uint8_t message[256];
	uint32_t pad3;
};
WIRE_SIZE(struct hv_input_post_message_direct, 280);
WIRE_OFFSET(struct hv_input_post_message_direct, message, 20);

/* 0xc2, root scheduler. time_slice in 100 ns, 0 = until something happens. */
struct hv_input_dispatch_vp {
	uint64_t partition_id;
	uint32_t vp_index;
	uint32_t flags;
	uint64_t time_slice;
	uint64_t spec_ctrl;
};
WIRE_SIZE(struct hv_input_dispatch_vp, 32);
#define HV_DISPATCH_FLAG_CLEAR_INTERCEPT_SUSPEND  0x1u
#define HV_DISPATCH_FLAG_ENABLE_CALLER_INTERRUPTS 0x2u
struct hv_output_dispatch_vp {
	uint32_t dispatch_state;
	uint32_t dispatch_event;
};
enum hv_dispatch_state { HV_DISPATCH_STATE_INVALID = 0, HV_DISPATCH_STATE_BLOCKED = 1, HV_DISPATCH_STATE_READY = 2 };
enum hv_dispatch_event { HV_DISPATCH_EVENT_NONE = 0, HV_DISPATCH_EVENT_SUSPEND = 1, HV_DISPATCH_EVENT_INTERCEPT = 2 };

/* 0xe1, 0xe2: pages of a VP that the parent may see. */
struct hv_input_vp_state_page {
	uint64_t partition_id;
	uint32_t vp_index;
	uint32_t type;			/* 15:0 type, 31:16 must be zero here */
};
WIRE_SIZE(struct hv_input_vp_state_page, 16);
enum hv_vp_state_page_type { HV_VP_STATE_PAGE_REGISTERS = 0, HV_VP_STATE_PAGE_INTERCEPT_MESSAGE = 1 };

/* 0xe3, 0xe4. For types with bit 31 set and an empty list the data is inside the output (or behind this header). */
struct hv_input_vp_state {
	uint64_t partition_id;
	uint32_t vp_index;
	uint8_t vtl;
	uint8_t pad[3];
	uint32_t type;
	uint32_t rsvd;
	uint64_t xsave_flags;
	uint64_t xsave_states;
	uint64_t gpfn[];
};
WIRE_OFFSET(struct hv_input_vp_state, gpfn, 40);
#define HV_VP_STATE_LAPIC            0x80000000u
#define HV_VP_STATE_XSAVE            0x80000001u
#define HV_VP_STATE_SYNTHETIC_TIMERS 0x80000004u

/* Local APIC state as 0xe3/0xe4 carry it. */
struct hv_lapic_state {
	uint32_t id, version, ldr, dfr, spurious;
	uint32_t isr[8], tmr[8], irr[8];
	uint32_t esr, icr_high, icr_low;
	uint32_t lvt_timer, lvt_thermal, lvt_perf, lvt_lint0, lvt_lint1, lvt_error, lvt_cmci;
	uint32_t error_status, initial_count, current_count, divide_config, remote_read;
};
WIRE_SIZE(struct hv_lapic_state, 176);

struct hv_stimer_state {
	uint32_t flags;			/* bit 0: undelivered message */
	uint32_t rsvd;
	uint64_t config, count, adjustment, undelivered_expiry;
};
struct hv_stimers_state {
	struct hv_stimer_state timer[4];
	uint64_t rsvd[5];
};
WIRE_SIZE(struct hv_stimers_state, 200);

/* Content of the register page. Consumed by the hypervisor on dispatch, by its dirty bits. */
struct hv_segment_register {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint16_t attributes;		/* 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B, 15 G */
};
WIRE_SIZE(struct hv_segment_register, 16);
struct hv_table_register {
	uint16_t pad[3];
	uint16_t limit;
	uint64_t base;
};
WIRE_SIZE(struct hv_table_register, 16);

struct hv_register_page {
	uint16_t version;		/* 1 */
	uint8_t is_valid;
	uint8_t rsvd;
	uint32_t dirty;			/* 0 GPRs, 1 RIP, 2 XMM, 3 segments, 4 RFLAGS */
	uint64_t gpr[16];		/* RAX RCX RDX RBX RSP RBP RSI RDI R8..R15 */
	uint64_t rip;
	uint64_t rflags;
	uint64_t rsvd2;
	struct hv_u128 xmm[6];
	struct hv_segment_register segment[6];	/* ES CS SS DS FS GS */
	uint64_t cr0, cr3, cr4, cr8, efer, dr7;
	uint64_t pending_interruption, interrupt_state, emulation_hints;
	uint64_t xfem;
};
WIRE_OFFSET(struct hv_register_page, rip, 0x88);
WIRE_OFFSET(struct hv_register_page, xmm, 0xa0);
WIRE_OFFSET(struct hv_register_page, segment, 0x100);
WIRE_OFFSET(struct hv_register_page, cr0, 0x160);
#define HV_REGISTER_PAGE_DIRTY_GPR      0x1u
#define HV_REGISTER_PAGE_DIRTY_RIP      0x2u
#define HV_REGISTER_PAGE_DIRTY_XMM      0x4u
#define HV_REGISTER_PAGE_DIRTY_SEGMENTS 0x8u
#define HV_REGISTER_PAGE_DIRTY_RFLAGS   0x10u

#endif
