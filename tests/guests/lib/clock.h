/* SPDX-License-Identifier: Apache-2.0 */
/* Time by the TSC, whose frequency comes from its synthetic MSR, or is measured against the PIT of a plain machine. */
#ifndef GUEST_CLOCK_H
#define GUEST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_MS 10000ull		/* in units of 100 ns */
#define CLOCK_SECOND (1000 * CLOCK_MS)

void clock_init(void);
uint64_t clock_tsc_hz(void);
uint64_t clock_100ns(void);				/* since the first call of clock_init */
uint64_t clock_ticks_to_100ns(uint64_t ticks);		/* TSC ticks; up to some minutes of them */
void clock_spin(uint64_t duration_100ns);

/* Spins with interrupts on until *flag is not zero, for at most so long. Returns whether it was set; interrupts are off then.
 * A processor that hangs in HLT could not notice the time-out. */
bool clock_wait(const volatile unsigned *flag, uint64_t timeout_100ns);

#endif
