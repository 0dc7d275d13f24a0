/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of one adapter share: the bench, with a test library on top. */
#ifndef TESTS_UNIT_VSP_NETVSP_RIG_H
#define TESTS_UNIT_VSP_NETVSP_RIG_H

#include "unit/vsp/cmocka_all.h"

#include "netvsp_bench.h"

extern struct bench bench;
extern struct bench_wire wire;			/* the frame that assert_on_wire() took */
extern const uint8_t guest_mac[6], other_mac[6];

int setup(void **state);			/* one queue; the guest has not spoken yet */
int setup_4(void **state);
int setup_connected(void **state);		/* frames flow */
int setup_connected_4(void **state);
int teardown(void **state);

struct netvsp_counters counters(unsigned queue);
uint64_t drops(unsigned queue, enum netvsp_drop drop);
void assert_on_wire(unsigned tap, const uint8_t *frame, size_t bytes);

/* "01 ff .." into bytes; text ends the line */
size_t from_hex(const char *text, uint8_t *out, size_t max);
void assert_bytes(const char *what, const uint8_t *got, size_t got_bytes, const char *expected);
/* An NVSP message and its completion; "": none. */
void assert_answer(const char *what, const char *message, const char *expected);
void assert_no_answer(const char *what, const char *message);
/* An RNDIS message and the reply. */
void assert_reply(const char *what, const char *message, const char *expected);
uint32_t query_u32(uint32_t oid);

#endif
