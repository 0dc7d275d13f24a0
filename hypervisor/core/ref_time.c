/* SPDX-License-Identifier: Apache-2.0 */
/* The partition's clock. 128-bit quotients are made of 64-bit steps: the freestanding build has no libgcc. */
#include "core/ref_time.h"

#include "core/gpa_access.h"
#include "core/mem.h"
#include "core/msr.h"
#include "core/partition.h"
#include "hv/hv_msr.h"
#include "hv/hv_synic.h"

#define UNITS_PER_SECOND 10000000ull	/* 100 ns */

/* high:low / divisor for high < divisor: schoolbook division with two 32-bit digits after normalizing the divisor. */
static uint64_t div_128_by_64(uint64_t high, uint64_t low, uint64_t divisor)
{
	const uint64_t base = 1ull << 32;
	unsigned shift = (unsigned)__builtin_clzll(divisor);
	uint64_t d = divisor << shift, d1 = d >> 32, d0 = d & (base - 1);
	uint64_t rest = shift ? high << shift | low >> (64 - shift) : high;
	uint64_t digits[2] = { low << shift >> 32, low << shift & (base - 1) };
	uint64_t quotient = 0;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t q = rest / d1, r = rest % d1;

		while (q >= base || q * d0 > (r << 32 | digits[i])) {
			q--;
			r += d1;
			if (r >= base)
				break;
		}
		rest = (rest << 32 | digits[i]) - q * d;
		quotient = quotient << 32 | q;
	}
	return quotient;
}

uint64_t mul_high_u64(uint64_t a, uint64_t b)
{
	return (uint64_t)((unsigned __int128)a * b >> 64);
}

uint64_t div_shifted_u64(uint64_t a, uint64_t b)
{
	return div_128_by_64(a, 0, b);
}

uint64_t mul_div_u64(uint64_t a, uint64_t b, uint64_t c)
{
	unsigned __int128 product = (unsigned __int128)a * b;
	uint64_t high = (uint64_t)(product >> 64), low = (uint64_t)product;

	if (high == 0)
		return low / c;
	if (high >= c)
		return ~0ull;
	return div_128_by_64(high, low, c);
}

static uint64_t running_time(const struct ref_time *t, uint64_t tsc)
{
	return mul_high_u64(tsc + t->tsc_offset, t->scale) + (uint64_t)t->offset;
}

/* 0 and ~0 mean "not valid" to readers. */
static uint32_t next_sequence(struct ref_time *t)
{
	do {
		t->sequence++;
	} while (t->sequence == 0 || t->sequence == ~0u);
	return t->sequence;
}

/* A page that cannot be written is the guest's loss: it reads whatever lies there. */
static void page_update(struct partition *p)
{
	struct ref_time *t = &p->time;
	struct hv_reference_tsc_page *page;
	bool valid = machine.tsc_reliable && !t->frozen;

	if (!(t->page_msr & HV_MSR_PAGE_ENABLE))
		return;
	page = gpa_page_get(p, GPA(t->page_msr & HV_MSR_PAGE_GPFN_MASK), ACCESS_WRITE);
	if (!page)
		return;
	/* Readers that see the old sequence twice have read old values; those that see 0 ask the MSR. */
	__atomic_store_n(&page->sequence, 0, __ATOMIC_SEQ_CST);
	page->rsvd = 0;
	__atomic_store_n(&page->scale, t->scale, __ATOMIC_SEQ_CST);
	__atomic_store_n(&page->offset, t->offset, __ATOMIC_SEQ_CST);
	memset(page->rsvd2, 0, sizeof(page->rsvd2));
	if (valid)
		__atomic_store_n(&page->sequence, next_sequence(t), __ATOMIC_SEQ_CST);
	gpa_page_put(p);
}

void ref_time_init(struct partition *p, bool root)
{
	struct ref_time *t = &p->time;

	memset(t, 0, sizeof(*t));
	t->scale = div_shifted_u64(UNITS_PER_SECOND, machine.tsc_hz);
	t->tsc_offset = root ? 0 : 0 - platform_tsc();
}

uint64_t ref_time_now(struct partition *p)
{
	const struct ref_time *t = &p->time;

	return t->frozen ? t->frozen_time : running_time(t, platform_tsc());
}

/* Host TSC at which the guest's reads `guest_tsc`, kept inside 0..~0. */
static uint64_t host_tsc(const struct ref_time *t, uint64_t guest_tsc)
{
	uint64_t behind = 0 - t->tsc_offset;	/* guest TSC = TSC - behind */

	if ((int64_t)t->tsc_offset < 0)
		return guest_tsc > ~0ull - behind ? ~0ull : guest_tsc + behind;
	return guest_tsc < t->tsc_offset ? 0 : guest_tsc - t->tsc_offset;
}

uint64_t ref_time_to_tsc(struct partition *p, uint64_t when)
{
	const struct ref_time *t = &p->time;
	uint64_t units, guest_tsc;

	if (t->frozen)
		return ~0ull;
	if (t->offset >= 0 && when <= (uint64_t)t->offset)
		return host_tsc(t, 0);
	units = when - (uint64_t)t->offset;
	if (t->offset < 0 && units < when)
		return ~0ull;
	if (units >= t->scale)
		return ~0ull;			/* beyond the range of the TSC */
	guest_tsc = div_shifted_u64(units, t->scale);
	if (mul_high_u64(guest_tsc, t->scale) < units && guest_tsc != ~0ull)
		guest_tsc++;
	return host_tsc(t, guest_tsc);
}

void ref_time_freeze(struct partition *p, bool freeze)
{
	struct ref_time *t = &p->time;

	if (freeze == t->frozen)
		return;
	if (freeze) {
		t->frozen_time = running_time(t, platform_tsc());
	} else {
		t->offset = 0;
		t->offset = (int64_t)(t->frozen_time - running_time(t, platform_tsc()));
	}
	t->frozen = freeze;
	page_update(p);
}

enum hv_status ref_time_set(struct partition *p, uint64_t now)
{
	if (!p->time.frozen)
		return HV_STATUS_INVALID_PARTITION_STATE;
	p->time.frozen_time = now;
	return HV_STATUS_SUCCESS;
}

bool ref_time_msr_write(struct partition *p, uint64_t value)
{
	if (!msr_page_valid(value))
		return false;
	p->time.page_msr = value;
	page_update(p);
	return true;
}
