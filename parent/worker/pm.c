// SPDX-License-Identifier: Apache-2.0
#include "worker/pm.h"

#include "worker/platform.h"

#define SLEEP_ENABLE     0x20u
#define SLEEP_TYPE(v)    ((v) >> 2 & 0x7u)
#define WAKE_STATUS      0x80u
#define KBD_PULSE_RESET  0xfeu

uint8_t pm_read(struct pm *pm, uint16_t port)
{
	if (port == PLATFORM_SLEEP_STATUS_PORT)
		return pm->sleep_status;
	/* Sleep control reads as 0; so does the keyboard controller: its buffers are empty, a driver need not wait. */
	return port == PLATFORM_SLEEP_CONTROL_PORT || port == PLATFORM_KBD_PORT ? 0 : 0xff;
}

void pm_write(struct pm *pm, uint16_t port, uint8_t value)
{
	switch (port) {
	case PLATFORM_SLEEP_CONTROL_PORT:
		/* S5 is the only state there is; others are ignored, and the guest goes on as if woken at once. */
		if (!(value & SLEEP_ENABLE))
			break;
		if (SLEEP_TYPE(value) == PLATFORM_SLEEP_TYPE_S5)
			pm->request = PM_POWER_OFF;
		else
			pm->sleep_status |= WAKE_STATUS;
		break;
	case PLATFORM_SLEEP_STATUS_PORT:
		pm->sleep_status &= (uint8_t)~(value & WAKE_STATUS);
		break;
	case PLATFORM_RESET_PORT:
		if (value == PLATFORM_RESET_VALUE)
			pm->request = PM_RESET;
		break;
	case PLATFORM_KBD_PORT:
		if (value == KBD_PULSE_RESET)
			pm->request = PM_RESET;
		break;
	}
}
