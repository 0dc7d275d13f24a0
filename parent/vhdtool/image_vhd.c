// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "block/uring_file.h"
#include "block/vhd.h"
#include "block/vhd_image.h"
#include "vhdtool/image.h"

#define VHD_EPOCH 946684800	/* 2000-01-01 */

_Static_assert(VHD_PATHS_MAX <= IMAGE_PATHS_MAX && VHD_PATH_BYTES <= IMAGE_PATH_BYTES, "room for the paths");

static enum image_type type_of(enum vhd_type type)
{
	return type == VHD_FIXED ? IMAGE_FIXED : type == VHD_DYNAMIC ? IMAGE_DYNAMIC : IMAGE_DIFFERENCING;
}

static bool cookie_at(int fd, off_t offset)
{
	char cookie[8];

	return offset >= 0 && pread(fd, cookie, sizeof cookie, offset) == sizeof cookie && memcmp(cookie, "conectix", 8) == 0;
}

static bool vhd_probe(int fd)
{
	const off_t end = lseek(fd, 0, SEEK_END);

	return cookie_at(fd, end - 512) || cookie_at(fd, end - 511) || cookie_at(fd, 0);
}

static int inspect(int fd, struct image_info *out, struct block_failure *why)
{
	struct vhd_info info;
	int r = vhd_inspect(fd, &info, why);

	if (r)
		return r;
	out->type = type_of(info.layout.type);
	out->virtual_bytes = info.layout.bytes;
	out->file_bytes = info.layout.file_bytes;
	out->block_bytes = info.layout.block_bytes;
	out->logical_bytes = out->physical_bytes = VHD_SECTOR_BYTES;
	image_id_format(info.layout.id, out->id);
	image_id_format(info.layout.id, out->disk_id);
	if (info.layout.type == VHD_DIFFERENCING)
		image_id_format(info.layout.parent_id, out->parent_id);
	out->parent_path_count = info.path_count;
	for (unsigned i = 0; i < info.path_count; i++)
		memcpy(out->parent_paths[i], info.paths[i], sizeof info.paths[i]);
	return 0;
}

/* The size is the parent's, if none was asked for. */
static int take_parent(const struct image_create *create, struct vhd_create_options *options, struct block_failure *why)
{
	struct vhd_info parent;
	int r = vhd_inspect(create->parent_fd, &parent, why);

	if (r)
		return r;
	if (!options->bytes)
		options->bytes = parent.layout.bytes;
	memcpy(options->parent_id, parent.layout.id, sizeof options->parent_id);
	options->parent_timestamp = parent.layout.timestamp;
	options->parent_path = create->parent_path;
	return 0;
}

static int create(int fd, const struct image_create *create, struct block_failure *why)
{
	static const enum vhd_type types[IMAGE_TYPE_COUNT] = { VHD_FIXED, VHD_DYNAMIC, VHD_DIFFERENCING };
	struct vhd_create_options options = {
		.type = types[create->type],
		.bytes = create->bytes,
		.block_bytes = create->block_bytes,
		.timestamp = (uint32_t)(time(NULL) - VHD_EPOCH),
	};
	int r;

	if (create->logical_bytes && create->logical_bytes != VHD_SECTOR_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: sectors of %u bytes: the format has 512", create->logical_bytes);
	if (create->physical_bytes && create->physical_bytes != VHD_SECTOR_BYTES)
		return block_failure_set(why, -EINVAL, "VHD: physical sectors of %u bytes: the format has 512",
					 create->physical_bytes);
	r = create->type == IMAGE_DIFFERENCING ? take_parent(create, &options, why) : 0;
	return r ? r : vhd_create(fd, &options, why);
}

static int check(int fd, struct image_check *out, struct block_failure *why)
{
	struct vhd_check check;
	int r = vhd_check(fd, &check, why);

	if (r)
		return r;
	out->blocks = check.blocks;
	out->lost_bytes = check.lost_bytes;
	if (check.footer_missing)
		out->notes[out->note_count++] = "there is no footer at the end; its copy is used";
	else if (check.copy_differs)
		out->notes[out->note_count++] = "the copy of the footer differs from it";
	return 0;
}

static int open_disk(const struct vsp_host *host, int fd, enum image_access access, struct block_disk *parent,
		     struct block_disk **ret_disk, struct block_failure *why)
{
	const struct block_uring_options below = { .read_only = access == IMAGE_READ };
	const struct vhd_options options = { .read_only = access == IMAGE_READ, .parent = parent };
	const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct block_file *file;
	int r;

	if (own < 0)
		return image_fail(why, "VHD");
	r = block_uring_create(host, own, &below, &file);
	if (r) {
		(void)close(own);
		return block_failure_set(why, r, "VHD: the file cannot be used: %s", strerror(-r));
	}
	r = vhd_open(file, &options, ret_disk, why);
	if (r)
		file->ops->destroy(file);
	return r;
}

const struct image_format image_vhd = {
	.name = "vhd",
	.probe = vhd_probe,
	.inspect = inspect,
	.create = create,
	.check = check,
	.resize = vhd_resize,
	.open = open_disk,
	.blocks = vhd_blocks,
};
