/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Payloads of intercept messages. TLFS 2.0a "Intercepts"; layouts as in the public Linux headers. */
#ifndef HV_INTERCEPT_H
#define HV_INTERCEPT_H

#include "hv/hv_types.h"
#include "hv/hv_hypercall.h"

struct hv_intercept_header {
	uint32_t vp_index;
	uint8_t instruction_length;	/* 3:0 length, 0 unknown; 7:4 CR8 */
	uint8_t access_type;		/* 0 read, 1 write, 2 execute */
	uint16_t execution_state;	/* 1:0 CPL, 2 CR0.PE, 3 CR0.AM, 4 EFER.LMA, 6 interruption pending, 12 shadow */
	struct hv_segment_register cs;
	uint64_t rip;
	uint64_t rflags;
};
WIRE_SIZE(struct hv_intercept_header, 40);
enum hv_intercept_access { HV_INTERCEPT_READ = 0, HV_INTERCEPT_WRITE = 1, HV_INTERCEPT_EXECUTE = 2 };

struct hv_memory_intercept {
	struct hv_intercept_header header;
	uint32_t cache_type;
	uint8_t instruction_byte_count;
	uint8_t info;			/* 0 GVA valid, 1 GVA-GPA valid */
	uint8_t tpr;
	uint8_t rsvd;
	uint64_t gva;
	uint64_t gpa;
	uint8_t instruction_bytes[16];
};
WIRE_SIZE(struct hv_memory_intercept, 80);

struct hv_io_port_intercept {
	struct hv_intercept_header header;
	uint16_t port;
	uint8_t info;			/* 2:0 size 1/2/4, 3 string, 4 rep */
	uint8_t instruction_byte_count;
	uint32_t rsvd;
	uint64_t rax;
	uint8_t instruction_bytes[16];
	struct hv_segment_register ds;
	struct hv_segment_register es;
	uint64_t rcx;
	uint64_t rsi;
	uint64_t rdi;
};
WIRE_SIZE(struct hv_io_port_intercept, 128);
#define HV_IO_PORT_INFO_SIZE   0x7u
#define HV_IO_PORT_INFO_STRING 0x8u
#define HV_IO_PORT_INFO_REP    0x10u

struct hv_msr_intercept {
	struct hv_intercept_header header;
	uint32_t msr;
	uint32_t rsvd;
	uint64_t rdx;
	uint64_t rax;
};
WIRE_SIZE(struct hv_msr_intercept, 64);

struct hv_cpuid_intercept {
	struct hv_intercept_header header;
	uint64_t rax, rcx, rdx, rbx;
	uint64_t default_rax, default_rcx, default_rdx, default_rbx;
};
WIRE_SIZE(struct hv_cpuid_intercept, 104);

struct hv_exception_intercept {
	struct hv_intercept_header header;
	uint16_t vector;
	uint8_t info;			/* 0 error code valid, 1 software exception */
	uint8_t instruction_byte_count;
	uint32_t error_code;
	uint64_t parameter;
	uint64_t rsvd;
	uint8_t instruction_bytes[16];
	struct hv_segment_register ds;
	struct hv_segment_register ss;
	uint64_t gpr[16];
};
WIRE_SIZE(struct hv_exception_intercept, 240);

/* 0x80000022: the VP did something that the hypervisor has no answer for. code 1 = exit, parameter = its number. */
struct hv_unsupported_feature {
	uint32_t vp_index;
	uint32_t code;
	uint64_t parameter;
};
WIRE_SIZE(struct hv_unsupported_feature, 16);

#endif
