/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal connected to a virtual machine's console. */
#ifndef CLI_CONSOLE_H
#define CLI_CONSOLE_H

#include "cli/client.h"

#define CONSOLE_ESCAPE 0x1d /* Ctrl-] */

/*
 * Until the escape character (from a terminal), the end of the console, or, when standard input is no
 * terminal, until its end and a quiet time after it. 0, or 1 after a message.
 */
int console_connect(struct client *client, const char *serial_port);

#endif
