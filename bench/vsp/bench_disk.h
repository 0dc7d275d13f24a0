/* SPDX-License-Identifier: Apache-2.0 */
/* Disks of both kinds: "raw" and "vhdx". */
#ifndef BENCH_VSP_BENCH_DISK_H
#define BENCH_VSP_BENCH_DISK_H

#include "block/block.h"

/* 0; -errno. Ends the program for a kind that is not there. */
int bench_disk_open(const char *kind, const char *image, struct block_disk **ret_disk);

#endif
