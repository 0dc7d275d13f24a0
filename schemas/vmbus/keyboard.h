/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic keyboard: raw in-band packets, no pipe header. The guest asks for the protocol first. Little endian. */
#ifndef SCHEMAS_VMBUS_KEYBOARD_H
#define SCHEMAS_VMBUS_KEYBOARD_H

#include "hv/hv_types.h"

enum keyboard_message_type {
	KEYBOARD_PROTOCOL_REQUEST  = 1,
	KEYBOARD_PROTOCOL_RESPONSE = 2,
	KEYBOARD_EVENT             = 3,
	KEYBOARD_SET_LED           = 4,
};

#define KEYBOARD_VERSION_1_0 0x00010000u
#define KEYBOARD_ACCEPTED    1u

/* A request (value: version), its response (value: KEYBOARD_ACCEPTED or 0), or LEDs (value: KEYBOARD_LED_...). */
struct keyboard_message {
	uint32_t type;
	uint32_t value;
};
WIRE_SIZE(struct keyboard_message, 8);

#define KEYBOARD_LED_SCROLL_LOCK 1u
#define KEYBOARD_LED_NUM_LOCK    2u
#define KEYBOARD_LED_CAPS_LOCK   4u
#define KEYBOARD_LED_MASK        7u

#define KEYBOARD_INFO_UNICODE 1u
#define KEYBOARD_INFO_BREAK   2u
#define KEYBOARD_INFO_E0      4u
#define KEYBOARD_INFO_E1      8u

struct keyboard_event {
	uint32_t type;
	uint16_t make_code;		/* scan code set 1, without the break bit */
	uint16_t rsvd;
	uint32_t info;
};
WIRE_SIZE(struct keyboard_event, 12);
WIRE_OFFSET(struct keyboard_event, info, 8);

#endif
