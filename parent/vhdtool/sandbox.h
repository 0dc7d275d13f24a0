/* SPDX-License-Identifier: Apache-2.0 */
/* Gives up for good what is not needed once the files are open: new privileges, core files, and nearly all system calls.
 * One outside the list in sandbox.c ends the process. */
#ifndef VHDTOOL_SANDBOX_H
#define VHDTOOL_SANDBOX_H

#include "block/failure.h"

int sandbox_enter(struct block_failure *why);	/* 0, -errno */

#endif
