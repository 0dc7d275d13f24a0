/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of vid-probe about what a child sends: events and messages through ports. */
#ifndef LIBVID_VID_PROBE_PORT_H
#define LIBVID_VID_PROBE_PORT_H

#include "libvid/vid_probe_guest.h"

bool test_event_port(struct probe_guest *guest);
bool test_message_port(struct probe_guest *guest);
bool test_message_port_full(struct probe_guest *guest);
bool test_port_lifetimes(struct probe_guest *guest);
bool test_port_kill(struct probe_guest *guest);
bool test_bad_ports(struct probe_guest *guest);

#endif
