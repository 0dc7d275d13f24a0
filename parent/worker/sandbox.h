/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gives up for good what a worker does not need once its descriptors are in its hands: capabilities, new privileges, core
 * files, most system calls, executable memory. A system call outside the list in sandbox.c ends the process (SIGSYS; the
 * kernel's audit log has its number). Threads started later inherit all of it.
 */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include "worker/failure.h"

int sandbox_enter(struct failure *why) MUST_CHECK;

#endif
