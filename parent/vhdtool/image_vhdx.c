// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/uring_file.h"
#include "block/vhdx.h"
#include "vhdtool/image.h"

_Static_assert(VHDX_PATH_MAX <= IMAGE_PATH_BYTES && IMAGE_PATHS_MAX >= 3, "room for the paths");

static const enum image_type types_to_image[] = {
	[VHDX_FIXED] = IMAGE_FIXED, [VHDX_DYNAMIC] = IMAGE_DYNAMIC, [VHDX_DIFFERENCING] = IMAGE_DIFFERENCING,
};
static const enum vhdx_type types_from_image[IMAGE_TYPE_COUNT] = {
	[IMAGE_FIXED] = VHDX_FIXED, [IMAGE_DYNAMIC] = VHDX_DYNAMIC, [IMAGE_DIFFERENCING] = VHDX_DIFFERENCING,
};

static bool vhdx_probe(int fd)
{
	const uint64_t signature = VHDX_FILE_SIGNATURE;
	uint64_t found;

	return pread(fd, &found, sizeof found, 0) == sizeof found && found == signature;
}

/* ---- inspect */

static void format_guid(const struct vhdx_guid *guid, char out[IMAGE_ID_TEXT])
{
	static const uint8_t places[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	uint8_t in_order[16];

	for (unsigned i = 0; i < 16; i++)
		in_order[i] = guid->bytes[places[i]];
	image_id_format(in_order, out);
}

static void add_path(struct image_info *out, const char *path)
{
	if (path[0])
		memcpy(out->parent_paths[out->parent_path_count++], path, strlen(path) + 1);
}

/* What a child knows its parent by changes with each opening that writes; the disk's own id does not. */
static int inspect(int fd, struct image_info *out, struct block_failure *why)
{
	struct vhdx_info info;
	int r = vhdx_inspect(fd, &info, why);

	if (r)
		return r;
	out->type = types_to_image[info.type];
	out->virtual_bytes = info.bytes;
	out->file_bytes = info.file_bytes;
	out->block_bytes = info.block_bytes;
	out->logical_bytes = info.logical_bytes;
	out->physical_bytes = info.physical_bytes;
	format_guid(&info.data_write_guid, out->id);
	format_guid(&info.disk_id, out->disk_id);
	if (info.type != VHDX_DIFFERENCING)
		return 0;
	format_guid(&info.parent.linkage, out->parent_id);
	add_path(out, info.parent.relative_path);
	add_path(out, info.parent.absolute_win32_path);
	add_path(out, info.parent.volume_path);
	return 0;
}

/* ---- create */

/* From the child's folder on, as the format wants it: ".\folder\base.vhdx". Empty when the parent lies elsewhere. */
static int relative_path(const char *child, const char *parent, char out[VHDX_PATH_MAX], struct block_failure *why)
{
	const char *slash = child ? strrchr(child, '/') : NULL;
	const size_t folder = slash ? (size_t)(slash + 1 - child) : 0;
	const char *rest = parent + folder;

	out[0] = '\0';
	/* A backslash in a name here would be a folder there. */
	if (strncmp(parent, folder ? child : "", folder) != 0 || rest[0] == '/' || rest[0] == '\0' || strchr(rest, '\\'))
		return 0;
	if (strlen(rest) + 3 > VHDX_PATH_MAX)
		return block_failure_set(why, -EINVAL, "VHDX: the path of the parent is too long");
	memcpy(out, ".\\", 2);
	memcpy(out + 2, rest, strlen(rest) + 1);
	for (char *at = out; *at; at++)
		if (*at == '/')
			*at = '\\';
	return 0;
}

static int set_paths(const struct image_create *create, struct vhdx_locator *locator, struct block_failure *why)
{
	const char *parent = create->parent_path;
	int r = relative_path(create->path, parent, locator->relative_path, why);

	if (r)
		return r;
	if (parent[0] == '/') {
		if (strlen(parent) >= VHDX_PATH_MAX)
			return block_failure_set(why, -EINVAL, "VHDX: the path of the parent is too long");
		memcpy(locator->absolute_win32_path, parent, strlen(parent) + 1);
	} else if (!locator->relative_path[0]) {
		return block_failure_set(why, -EINVAL, "VHDX: the parent does not lie in or below the folder of the child: "
					 "name it by its whole path");
	}
	return 0;
}

/* What was not asked for is as in the parent. */
static int take_parent(const struct image_create *create, struct vhdx_create_options *options, struct block_failure *why)
{
	struct vhdx_info parent;
	int r = vhdx_inspect(create->parent_fd, &parent, why);

	if (r)
		return r;
	if (!options->bytes)
		options->bytes = parent.bytes;
	if (options->bytes < parent.bytes)
		return block_failure_set(why, -EINVAL, "VHDX: a disk of %" PRIu64 " bytes is smaller than its parent, which has "
					 "%" PRIu64, options->bytes, parent.bytes);
	if (!options->logical_bytes)
		options->logical_bytes = parent.logical_bytes;
	if (options->logical_bytes != parent.logical_bytes)
		return block_failure_set(why, -EINVAL, "VHDX: sectors of %u bytes: the parent's have %u", options->logical_bytes,
					 parent.logical_bytes);
	if (!options->physical_bytes)
		options->physical_bytes = parent.physical_bytes;
	options->parent.linkage = parent.data_write_guid;
	return set_paths(create, &options->parent, why);
}

static int create(int fd, const struct image_create *create, struct block_failure *why)
{
	struct vhdx_create_options options = {
		.type = types_from_image[create->type],
		.bytes = create->bytes,
		.block_bytes = create->block_bytes,
		.logical_bytes = create->logical_bytes,
		.physical_bytes = create->physical_bytes,
	};
	int r = create->type == IMAGE_DIFFERENCING ? take_parent(create, &options, why) : 0;

	return r ? r : vhdx_create(fd, &options, why);
}

/* ---- check, open */

static int check(int fd, struct image_check *out, struct block_failure *why)
{
	struct vhdx_check check;
	int r = vhdx_check(fd, &check, why);

	if (r)
		return r;
	out->blocks = (uint32_t)check.blocks;
	out->lost_bytes = check.lost_bytes;
	if (check.log_to_replay)
		out->notes[out->note_count++] = "the log holds changes that are not in their places yet";
	if (check.header_damaged)
		out->notes[out->note_count++] = "one of the two headers is damaged; the other counts";
	if (check.region_table_damaged)
		out->notes[out->note_count++] = "one of the two region tables is damaged; the other counts";
	return 0;
}

static int open_disk(const struct vsp_host *host, int fd, enum image_access access, struct block_disk *parent,
		     struct block_disk **ret_disk, struct block_failure *why)
{
	const struct block_uring_options below = { .read_only = access == IMAGE_READ };
	const struct vhdx_open_options options = {
		.read_only = access == IMAGE_READ, .keep_data_guid = access == IMAGE_MERGE,
	};
	const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	struct block_file *file;
	int r;

	if (own < 0)
		return image_fail(why, "VHDX");
	r = block_uring_create(host, own, &below, &file);
	if (r) {
		(void)close(own);
		return block_failure_set(why, r, "VHDX: the file cannot be used: %s", strerror(-r));
	}
	r = vhdx_open(host, file, parent, &options, ret_disk, why);
	if (r)
		file->ops->destroy(file);
	return r;
}

const struct image_format image_vhdx = {
	.name = "vhdx",
	.probe = vhdx_probe,
	.inspect = inspect,
	.create = create,
	.check = check,
	.resize = vhdx_resize,
	.open = open_disk,
	.blocks = vhdx_blocks,
	.merged = vhdx_merged,
};
