// SPDX-License-Identifier: Apache-2.0
#include "bench_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench_host.h"
#include "block/raw.h"
#include "block/uring_file.h"
#include "block/vhdx.h"

#define DISK_BYTES (16u << 20)

static int open_raw(int fd, struct block_disk **ret_disk)
{
	return block_raw_create(&bench_host.host, fd, &(struct block_raw_options){ 0 }, ret_disk);
}

static int open_vhdx(int fd, struct block_disk **ret_disk)
{
	const struct vhdx_create_options make = { .type = VHDX_DYNAMIC, .bytes = DISK_BYTES, .block_bytes = 2u << 20 };
	const struct vhdx_open_options options = { .read_only = false };
	struct block_failure failure = { "" };
	struct block_file *file;
	int r = vhdx_create(fd, &make, &failure);

	if (r == 0)
		r = block_uring_create(&bench_host.host, fd, &(struct block_uring_options){ .read_only = false }, &file);
	if (r == 0)
		r = vhdx_open(&bench_host.host, file, NULL, &options, ret_disk, &failure);
	if (r)
		(void)fprintf(stderr, "%s\n", failure.text);
	return r;
}

int bench_disk_open(const char *kind, const char *image, struct block_disk **ret_disk)
{
	int fd = open(image, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (strcmp(kind, "raw") == 0)
		return open_raw(fd, ret_disk);
	if (strcmp(kind, "vhdx") == 0)
		return open_vhdx(fd, ret_disk);
	bench_die(kind, -ENOTSUP);
}
