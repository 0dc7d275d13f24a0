// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "block/raw.h"
#include "vhdtool/image.h"

#define RAW_SECTOR_BYTES   512u
#define RAW_PHYSICAL_BYTES 4096u

static bool raw_probe(int fd)
{
	return true;
}

static int raw_inspect(int fd, struct image_info *out, struct block_failure *why)
{
	const off_t end = lseek(fd, 0, SEEK_END);
	struct stat st;

	if (end < 0 || fstat(fd, &st) < 0)
		return image_fail(why, "raw: the file does not tell its size");
	out->type = S_ISREG(st.st_mode) && (uint64_t)st.st_blocks * 512 < (uint64_t)end ? IMAGE_DYNAMIC : IMAGE_FIXED;
	out->file_bytes = (uint64_t)end;
	out->virtual_bytes = (uint64_t)end / RAW_SECTOR_BYTES * RAW_SECTOR_BYTES;
	out->logical_bytes = RAW_SECTOR_BYTES;
	out->physical_bytes = RAW_PHYSICAL_BYTES;
	return 0;
}

static int raw_create(int fd, const struct image_create *create, struct block_failure *why)
{
	if (create->type == IMAGE_DIFFERENCING)
		return block_failure_set(why, -EINVAL, "raw: there are no differencing images of this format");
	if (create->block_bytes)
		return block_failure_set(why, -EINVAL, "raw: there are no blocks in this format");
	if ((create->logical_bytes && create->logical_bytes != RAW_SECTOR_BYTES) ||
	    (create->physical_bytes && create->physical_bytes != RAW_PHYSICAL_BYTES))
		return block_failure_set(why, -EINVAL, "raw: a disk of this format has sectors of %u bytes, physical ones of %u",
					 RAW_SECTOR_BYTES, RAW_PHYSICAL_BYTES);
	if (create->bytes == 0 || create->bytes % RAW_SECTOR_BYTES || create->bytes > INT64_MAX)
		return block_failure_set(why, -EINVAL, "raw: a disk of %" PRIu64 " bytes is not whole sectors", create->bytes);
	if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)create->bytes) < 0)
		return image_fail(why, "raw: the file cannot be given its size");
	if (create->type == IMAGE_FIXED && fallocate(fd, 0, 0, (off_t)create->bytes) < 0 && errno != EOPNOTSUPP)
		return image_fail(why, "raw: the file cannot be given its space");
	return fsync(fd) < 0 ? image_fail(why, "raw: the file cannot be made stable") : 0;
}

static int raw_resize(int fd, uint64_t bytes, struct block_failure *why)
{
	struct image_info info;
	int r = raw_inspect(fd, &info, why);

	if (r)
		return r;
	if (bytes % RAW_SECTOR_BYTES || bytes > INT64_MAX)
		return block_failure_set(why, -EINVAL, "raw: a disk of %" PRIu64 " bytes is not whole sectors", bytes);
	if (bytes < info.file_bytes)
		return block_failure_set(why, -ENOTSUP, "raw: images are not made smaller");
	if (ftruncate(fd, (off_t)bytes) < 0)
		return image_fail(why, "raw: the file cannot be given its size");
	return fsync(fd) < 0 ? image_fail(why, "raw: the file cannot be made stable") : 0;
}

static int raw_open(const struct vsp_host *host, int fd, enum image_access access, struct block_disk *parent,
		    struct block_disk **ret_disk, struct block_failure *why)
{
	const struct block_raw_options options = { .read_only = access == IMAGE_READ };
	int own, r;

	if (parent)
		return block_failure_set(why, -EINVAL, "raw: an image of this format has no parent");
	own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return image_fail(why, "raw");
	r = block_raw_create(host, own, &options, ret_disk);
	if (r) {
		(void)close(own);
		return block_failure_set(why, r, "raw: the file cannot be used as a disk: %s", strerror(-r));
	}
	return 0;
}

const struct image_format image_raw = {
	.name = "raw",
	.probe = raw_probe,
	.inspect = raw_inspect,
	.create = raw_create,
	.resize = raw_resize,
	.open = raw_open,
};
