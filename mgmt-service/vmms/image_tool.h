/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs vhdtool (parent/vhdtool): what lies in a virtual hard disk file is never read by this process. The
 * program runs as the worker's user, without privileges, with the descriptors that it needs and no others,
 * and not for ever. Blocks; called without the model's lock.
 */
#ifndef VMMS_IMAGE_TOOL_H
#define VMMS_IMAGE_TOOL_H

#include "vmms/model.h"

#define IMAGE_TOOL_FIRST_FD   3
#define IMAGE_TOOL_FDS_MAX    80
#define IMAGE_TOOL_WORDS_MAX  (24 + 2 * IMAGE_TOOL_FDS_MAX)
#define IMAGE_TOOL_OUTPUT_MAX 16384
#define IMAGE_TOOL_LOOK_MS    10000             /* for what only looks at headers */
#define IMAGE_TOOL_WORK_MS    (6 * 3600 * 1000) /* for what reads or writes whole disks */

struct image_tool {
	const char *program;
	const char *user;
	int stop_fd; /* readable: give up; -1: none */
};

struct image_tool image_tool_of(const struct model *model);

/*
 * Runs it with these words after its name, ended by NULL; descriptor i of the list is IMAGE_TOOL_FIRST_FD + i
 * in it. 0 with what it printed in `output`; -1 with one sentence in `reason`, its own where it said one.
 */
int image_tool_run(const struct image_tool *tool, const char *const *words, const int *fds, unsigned fd_count,
		   int timeout_ms, char output[IMAGE_TOOL_OUTPUT_MAX], char *reason, unsigned reason_size);

#endif
