// SPDX-License-Identifier: Apache-2.0
#include "worker/rtc.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "worker/platform.h"

enum {
	REG_SECONDS = 0x00,
	REG_MINUTES = 0x02,
	REG_HOURS = 0x04,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	REG_CENTURY = PLATFORM_RTC_CENTURY,
};
#define SET_CENTURY     5u			/* its place in struct rtc.set: register 5 (alarm hours) is no time register */
#define A_UIP           0x80u
#define A_32768_HZ      0x26u
#define B_SET           0x80u
#define B_BINARY        0x04u
#define B_24_HOURS      0x02u
#define D_VALID         0x80u
#define HOURS_PM        0x80u
#define NS_PER_S        1000000000ll
#define UIP_NS          244000ll

void rtc_init(struct rtc *rtc, rtc_clock clock, void *context)
{
	memset(rtc, 0, sizeof *rtc);
	rtc->clock = clock;
	rtc->context = context;
	rtc->memory[REG_A] = A_32768_HZ;
	rtc->memory[REG_B] = B_24_HOURS;
}

static bool is_time(uint8_t index)
{
	return index == REG_SECONDS || index == REG_MINUTES || index == REG_HOURS ||
	       (index >= REG_WEEKDAY && index <= REG_YEAR) || index == REG_CENTURY;
}

static uint8_t *set_place(struct rtc *rtc, uint8_t index)
{
	return &rtc->set[index == REG_CENTURY ? SET_CENTURY : index];
}

static uint8_t encode(const struct rtc *rtc, int value)
{
	return (uint8_t)(rtc->memory[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static int decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->memory[REG_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 0xf);
}

static uint8_t encode_hours(const struct rtc *rtc, int hours)
{
	int twelve = hours % 12 ? hours % 12 : 12;

	if (rtc->memory[REG_B] & B_24_HOURS)
		return encode(rtc, hours);
	return encode(rtc, twelve) | (hours >= 12 ? HOURS_PM : 0);
}

static int decode_hours(const struct rtc *rtc, uint8_t value)
{
	if (rtc->memory[REG_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & (uint8_t)~HOURS_PM) % 12 + (value & HOURS_PM ? 12 : 0);
}

static uint8_t encode_register(const struct rtc *rtc, const struct tm *tm, uint8_t index)
{
	switch (index) {
	case REG_SECONDS:
		return encode(rtc, tm->tm_sec);
	case REG_MINUTES:
		return encode(rtc, tm->tm_min);
	case REG_HOURS:
		return encode_hours(rtc, tm->tm_hour);
	case REG_WEEKDAY:
		return encode(rtc, tm->tm_wday + 1);
	case REG_DAY:
		return encode(rtc, tm->tm_mday);
	case REG_MONTH:
		return encode(rtc, tm->tm_mon + 1);
	case REG_YEAR:
		return encode(rtc, tm->tm_year % 100);
	default:
		return encode(rtc, (tm->tm_year + 1900) / 100);
	}
}

static void now(const struct rtc *rtc, struct tm *out)
{
	time_t seconds = (time_t)(rtc->clock(rtc->context) / NS_PER_S + rtc->offset_s);

	memset(out, 0, sizeof *out);
	(void)gmtime_r(&seconds, out);		/* fails beyond year 2^31 only: then all zero */
}

/* What the guest stored becomes the time. Nonsense (month 40) is carried over, as a counter chain would. */
static void commit(struct rtc *rtc)
{
	struct tm tm = {
		.tm_sec = decode(rtc, rtc->set[REG_SECONDS]),
		.tm_min = decode(rtc, rtc->set[REG_MINUTES]),
		.tm_hour = decode_hours(rtc, rtc->set[REG_HOURS]),
		.tm_mday = decode(rtc, rtc->set[REG_DAY]),
		.tm_mon = decode(rtc, rtc->set[REG_MONTH]) - 1,
		.tm_year = decode(rtc, rtc->set[SET_CENTURY]) * 100 + decode(rtc, rtc->set[REG_YEAR]) - 1900,
	};

	rtc->offset_s = (int64_t)timegm(&tm) - rtc->clock(rtc->context) / NS_PER_S;
}

static void latch(struct rtc *rtc)
{
	static const uint8_t registers[] = { REG_SECONDS, REG_MINUTES, REG_HOURS, REG_WEEKDAY,
					     REG_DAY, REG_MONTH, REG_YEAR, REG_CENTURY };
	struct tm tm;

	now(rtc, &tm);
	for (unsigned i = 0; i < sizeof registers; i++)
		*set_place(rtc, registers[i]) = encode_register(rtc, &tm, registers[i]);
}

static void write_b(struct rtc *rtc, uint8_t value)
{
	uint8_t old = rtc->memory[REG_B];

	if ((value & B_SET) && !(old & B_SET))
		latch(rtc);
	if (!(value & B_SET) && (old & B_SET))
		commit(rtc);			/* in the format in which it was written */
	rtc->memory[REG_B] = value;
}

static void write_time(struct rtc *rtc, uint8_t index, uint8_t value)
{
	bool halted = rtc->memory[REG_B] & B_SET;

	if (!halted)
		latch(rtc);
	*set_place(rtc, index) = value;
	if (!halted)
		commit(rtc);
}

static uint8_t read_data(struct rtc *rtc)
{
	int64_t into_second = rtc->clock(rtc->context) % NS_PER_S;
	bool halted = rtc->memory[REG_B] & B_SET;
	struct tm tm;

	if (is_time(rtc->index)) {
		if (halted)
			return *set_place(rtc, rtc->index);
		now(rtc, &tm);
		return encode_register(rtc, &tm, rtc->index);
	}
	if (rtc->index == REG_A)
		return rtc->memory[REG_A] | (!halted && into_second >= NS_PER_S - UIP_NS ? A_UIP : 0);
	if (rtc->index == REG_C)
		return 0;			/* no interrupt flags */
	if (rtc->index == REG_D)
		return D_VALID;
	return rtc->memory[rtc->index];
}

uint8_t rtc_read(struct rtc *rtc, unsigned offset)
{
	return offset == 0 ? 0xff : read_data(rtc);	/* the index is write-only */
}

void rtc_write(struct rtc *rtc, unsigned offset, uint8_t value)
{
	if (offset == 0)
		rtc->index = value & (RTC_BYTES - 1);	/* bit 7: NMI mask, of no use here */
	else if (is_time(rtc->index))
		write_time(rtc, rtc->index, value);
	else if (rtc->index == REG_A)
		rtc->memory[REG_A] = value & (uint8_t)~A_UIP;
	else if (rtc->index == REG_B)
		write_b(rtc, value);
	else if (rtc->index != REG_C && rtc->index != REG_D)
		rtc->memory[rtc->index] = value;
}
