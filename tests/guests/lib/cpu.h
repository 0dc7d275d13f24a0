/* SPDX-License-Identifier: Apache-2.0 */
/* Further processors: INIT, two STARTUPs, and a function to run there. */
#ifndef GUEST_CPU_H
#define GUEST_CPU_H

#include <stdbool.h>
#include <stdint.h>

unsigned cpu_count(void);			/* as the MADT says; at least 1 */
uint8_t cpu_apic_id(unsigned index);		/* in the order of the MADT */

/*
 * Starts that processor, which loads the common IDT, enables its APIC and calls work(index); when work returns it halts
 * with interrupts off. Returns false when it has not come up within 5 s. One at a time.
 */
bool cpu_start(unsigned index, void (*work)(unsigned index));

#endif
