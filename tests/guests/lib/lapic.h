/* SPDX-License-Identifier: Apache-2.0 */
/* The local APIC in xAPIC mode. */
#ifndef GUEST_LAPIC_H
#define GUEST_LAPIC_H

#include <stdint.h>

#define LAPIC_GPA        0xfee00000u
#define LAPIC_ID         0x20u
#define LAPIC_VERSION    0x30u
#define LAPIC_TPR        0x80u
#define LAPIC_PPR        0xa0u
#define LAPIC_EOI        0xb0u
#define LAPIC_LDR        0xd0u
#define LAPIC_DFR        0xe0u
#define LAPIC_SVR        0xf0u
#define LAPIC_ISR        0x100u
#define LAPIC_TMR        0x180u
#define LAPIC_IRR        0x200u
#define LAPIC_ESR        0x280u
#define LAPIC_ICR_LOW    0x300u
#define LAPIC_ICR_HIGH   0x310u
#define LAPIC_LVT_TIMER  0x320u
#define LAPIC_LVT_ERROR  0x370u
#define LAPIC_INITIAL    0x380u
#define LAPIC_CURRENT    0x390u
#define LAPIC_DIVIDE     0x3e0u

#define LAPIC_SVR_ENABLE     0x100u
#define LAPIC_LVT_MASKED     0x10000u
#define LAPIC_TIMER_PERIODIC 0x20000u
#define LAPIC_DIVIDE_BY_1    0xbu

#define LAPIC_ICR_FIXED      0x000u
#define LAPIC_ICR_NMI        0x400u
#define LAPIC_ICR_INIT       0x500u
#define LAPIC_ICR_STARTUP    0x600u
#define LAPIC_ICR_PENDING    0x1000u
#define LAPIC_ICR_ASSERT     0x4000u
#define LAPIC_ICR_SELF       0x40000u
#define LAPIC_ICR_ALL        0x80000u
#define LAPIC_ICR_OTHERS     0xc0000u

void lapic_init(void);			/* enables the calling processor's, timer masked, TPR 0 */
uint32_t lapic_read(uint32_t offset);
void lapic_write(uint32_t offset, uint32_t value);
void lapic_eoi(void);
uint8_t lapic_id(void);
void lapic_ipi(uint8_t apic_id, uint32_t icr_low);
void lapic_self_ipi(uint8_t vector);
unsigned lapic_bit(uint32_t bitmap, uint8_t vector);	/* one bit of ISR, TMR or IRR */
uint64_t lapic_timer_hz(void);		/* input of the timer at divide by 1: from its MSR, or measured */
void lapic_timer_start(uint8_t vector, uint32_t mode, uint64_t duration_100ns);
void lapic_timer_stop(void);

#endif
