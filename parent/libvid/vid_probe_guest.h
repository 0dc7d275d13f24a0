/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A child partition small enough to see through: 2 MiB of memory at 0, one VP, a few bytes of code at PROBE_CODE. And the
 * means to say what went wrong with it. Used by vid-probe alone.
 */
#ifndef LIBVID_VID_PROBE_GUEST_H
#define LIBVID_VID_PROBE_GUEST_H

#include "libvid/vid.h"

#define PROBE_MEMORY_BYTES 0x200000u
#define PROBE_CODE         0x1000u
#define PROBE_UNMAPPED     0x600000u	/* nothing is ever mapped here */
#define PROBE_FLAT_32      1u		/* flags of probe_guest_start(): 32-bit protected mode, else real mode */

struct probe_guest {
	int device, partition, vp;	/* -1: closed */
	uint8_t *memory;		/* page 0 on */
};

extern const char *probe_device;

/* Says why a check failed, once; the first reason is kept. Returns false, so that it can end a test. */
bool probe_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *probe_reason(void);
void probe_reset(void);

#define PROBE_CHECK(condition) \
	do { \
		if (!(condition)) \
			return probe_fail("line %d: %s", __LINE__, #condition); \
	} while (0)
/* An expression that is 0 on success and -errno else. */
#define PROBE_OK(expression) \
	do { \
		int probe_result_ = (expression); \
		if (probe_result_ < 0) \
			return probe_fail("line %d: %s: %s", __LINE__, #expression, strerror(-probe_result_)); \
	} while (0)
#define PROBE_ERRNO(expression, expected) \
	do { \
		int probe_result_ = (expression); \
		if (probe_result_ != -(expected)) \
			return probe_fail("line %d: %s: returned %d, expected %d", __LINE__, #expression, probe_result_, \
					  -(expected)); \
	} while (0)

/* Partition with local APIC, memory, VP 0 about to execute `code`. probe_guest_stop() is due even after a failure. */
bool probe_guest_start(struct probe_guest *guest, unsigned flags, const uint8_t *code, size_t code_bytes);
void probe_guest_stop(struct probe_guest *guest);

/* Runs VP 0 and expects this type of message within ten seconds. Prints what it got if the program is verbose. */
bool probe_expect(struct probe_guest *guest, uint32_t type, struct hv_message *out);
/* The same for a write to a port; steps over the instruction. */
bool probe_expect_out(struct probe_guest *guest, uint16_t port, uint32_t value, unsigned bytes);
bool probe_set(struct probe_guest *guest, uint32_t name, uint64_t value);
bool probe_set_segment(struct probe_guest *guest, uint32_t name, uint64_t base, uint16_t attributes);
/* Software-enables the local APIC, so that it takes interrupts. */
bool probe_enable_apic(struct probe_guest *guest);

/* Signals the calling thread again and again from the given time on, so that RUN_VP cannot hang; then stops. */
void probe_alarm_start(unsigned milliseconds);
void probe_alarm_stop(void);

extern bool probe_verbose;

#endif
