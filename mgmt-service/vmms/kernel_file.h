/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a client may name for a direct boot: only below the directories that the configuration allows.
 */
#ifndef VMMS_KERNEL_FILE_H
#define VMMS_KERNEL_FILE_H

#include <stdbool.h>

#include "daemon/config.h"

/* Absolute, without "." and ".." parts, below an allowed directory. Looks at the text only. */
bool kernel_file_allowed(const struct config *config, const char *path);
/* Read-only descriptor of a regular file; no symbolic link leads out of the directory. -1 with the reason. */
int kernel_file_open(const struct config *config, const char *path, char *reason, unsigned reason_size);

#endif
