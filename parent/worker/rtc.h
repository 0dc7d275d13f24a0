/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CMOS clock (Motorola MC146818A data sheet): index and data port, current UTC, no interrupts. Registers follow the clock at
 * each read; "update in progress" is set in the last 244 us of a second, as on the chip, and so never for longer.
 */
#ifndef WORKER_RTC_H
#define WORKER_RTC_H

#include <stdint.h>

#define RTC_BYTES 128u

/* Nanoseconds since 1970 UTC. */
typedef int64_t (*rtc_clock)(void *context);

struct rtc {
	rtc_clock clock;
	void *context;
	uint8_t index;
	uint8_t memory[RTC_BYTES];		/* alarm, status registers and what the guest stores */
	int64_t offset_s;			/* guest's clock minus ours, since the guest set it */
	uint8_t set[10];			/* seconds..year as the guest wrote them while SET is on; then century */
};

void rtc_init(struct rtc *rtc, rtc_clock clock, void *context);
/* offset 0 index port, 1 data port */
uint8_t rtc_read(struct rtc *rtc, unsigned offset);
void rtc_write(struct rtc *rtc, unsigned offset, uint8_t value);

#endif
