// SPDX-License-Identifier: Apache-2.0
/* What a file says of itself, and whether it holds together: on plain descriptors, on the caller's time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/vhdx_bat.h"
#include "block/vhdx_replay.h"

/* Beyond the end: zeroes. */
static int read_fd(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	uint8_t *to = buffer;

	while (bytes) {
		const ssize_t n = pread(*(int *)context, to, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(to, 0, bytes);
			return 0;
		}
		to += n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int vhdx_fd_source(int *fd, struct vhdx_source *source, struct block_failure *failure)
{
	const off_t end = lseek(*fd, 0, SEEK_END);

	failure->text[0] = 0;
	if (end < 0)
		return block_failure_set(failure, -errno, "the file cannot be read: %s", strerror(errno));
	*source = (struct vhdx_source){ .read = read_fd, .context = fd, .file_bytes = (uint64_t)end };
	return 0;
}

int vhdx_fd_write(int fd, const void *data, size_t bytes, uint64_t offset)
{
	const uint8_t *from = data;

	while (bytes) {
		const ssize_t n = pwrite(fd, from, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		from += n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int vhdx_inspect(int fd, struct vhdx_info *ret_info, struct block_failure *failure)
{
	struct vhdx_source source;
	struct vhdx_layout *layout;
	int r = vhdx_fd_source(&fd, &source, failure);

	if (r)
		return r;
	layout = calloc(1, sizeof *layout);
	if (!layout)
		return block_failure_set(failure, -ENOMEM, "out of memory");
	r = vhdx_layout_read(&source, layout, failure);
	if (r == 0)
		*ret_info = layout->info;
	vhdx_replay_free(source.replay);
	free(layout);
	return r;
}

int vhdx_fd_changed(int fd, struct vhdx_layout *layout, struct block_failure *failure)
{
	struct vhdx_header *header = &layout->header;
	int r = 0;

	if (vhdx_guid_new(&header->file_write_guid) || vhdx_guid_new(&header->data_write_guid))
		return block_failure_set(failure, -EIO, "no random numbers for the file's GUIDs");
	header->log_guid = (struct vhdx_guid){ { 0 } };
	for (unsigned i = 0; r == 0 && i < 2; i++) {
		layout->header_slot = !layout->header_slot;
		header->sequence++;
		vhdx_seal(header, sizeof *header, offsetof(struct vhdx_header, checksum));
		r = vhdx_fd_write(fd, header, sizeof *header, VHDX_HEADER_OFFSET(layout->header_slot));
		if (r == 0 && fsync(fd) < 0)
			r = -errno;
	}
	return r ? block_failure_set(failure, r, "the headers cannot be written: %s", strerror(-r)) : 0;
}

int vhdx_merged(int fd, struct block_failure *failure)
{
	struct vhdx_source source;
	struct vhdx_layout *layout;
	int r = vhdx_fd_source(&fd, &source, failure);

	if (r)
		return r;
	layout = calloc(1, sizeof *layout);
	if (!layout)
		return block_failure_set(failure, -ENOMEM, "out of memory");
	r = vhdx_layout_read(&source, layout, failure);
	if (r == 0 && source.replay)
		r = block_failure_set(failure, -EINVAL, "the log holds changes that are not in their places yet");
	if (r == 0)
		r = vhdx_fd_changed(fd, layout, failure);
	vhdx_replay_free(source.replay);
	free(layout);
	return r;
}

/* ---- check */

/* Opening needs one good copy of each. */
static int check_copies(const struct vhdx_source *source, uint8_t *buffer, struct vhdx_check *out,
			struct block_failure *failure)
{
	static const struct {
		uint32_t signature, bytes;
		size_t field;
		uint64_t offsets[2];
	} kinds[] = {
		{ VHDX_HEADER_SIGNATURE, VHDX_PAGE_BYTES, offsetof(struct vhdx_header, checksum),
		  { VHDX_HEADER_OFFSET(0), VHDX_HEADER_OFFSET(1) } },
		{ VHDX_REGION_SIGNATURE, VHDX_REGION_TABLE_BYTES, offsetof(struct vhdx_region_table, checksum),
		  { VHDX_REGION_OFFSET(0), VHDX_REGION_OFFSET(1) } },
	};
	bool *const damaged[] = { &out->header_damaged, &out->region_table_damaged };

	for (unsigned kind = 0; kind < 2; kind++) {
		for (unsigned copy = 0; copy < 2; copy++) {
			int r = vhdx_source_read(source, kinds[kind].offsets[copy], buffer, kinds[kind].bytes);

			if (r)
				return block_failure_set(failure, r, "the file cannot be read: %s", strerror(-r));
			if (memcmp(buffer, &kinds[kind].signature, sizeof kinds[kind].signature) != 0 ||
			    !vhdx_checksum_ok(buffer, kinds[kind].bytes, kinds[kind].field))
				*damaged[kind] = true;
		}
	}
	return 0;
}

static int check_blocks(const struct vhdx_source *source, const struct vhdx_layout *layout, struct vhdx_check *out,
			struct block_failure *failure)
{
	struct vhdx_space space = { 0 };
	size_t bytes;
	uint64_t *bat;
	int r = vhdx_bat_read(source, layout, &bat, &bytes, failure);

	if (r)
		return r;
	r = vhdx_bat_check(source, layout, false, true, bat, &space, failure);
	for (uint64_t block = 0; r == 0 && block < layout->block_count; block++)
		out->blocks += VHDX_BAT_STATE(bat[vhdx_bat_index(layout->chunk_shift, block)]) >= VHDX_BLOCK_PRESENT;
	out->lost_bytes = space.free_mibs * VHDX_MIB;
	free(space.used);
	(void)munmap(bat, bytes);
	return r;
}

int vhdx_check(int fd, struct vhdx_check *out, struct block_failure *failure)
{
	struct vhdx_layout *layout = calloc(1, sizeof *layout);
	uint8_t *buffer = malloc(VHDX_REGION_TABLE_BYTES);
	struct vhdx_source source = { .replay = NULL };
	int r = layout && buffer ? vhdx_fd_source(&fd, &source, failure) : block_failure_set(failure, -ENOMEM, "out of memory");

	memset(out, 0, sizeof *out);
	if (r == 0)
		r = vhdx_layout_read(&source, layout, failure);
	if (r == 0)
		r = check_copies(&source, buffer, out, failure);
	if (r == 0)
		r = check_blocks(&source, layout, out, failure);
	out->log_to_replay = source.replay != NULL;
	vhdx_replay_free(source.replay);
	free(buffer);
	free(layout);
	return r;
}

int vhdx_blocks(int fd, uint8_t **ret_bits, struct block_failure *failure)
{
	struct vhdx_layout *layout = calloc(1, sizeof *layout);
	struct vhdx_source source = { .replay = NULL };
	int r = layout ? vhdx_fd_source(&fd, &source, failure) : block_failure_set(failure, -ENOMEM, "out of memory");
	uint8_t *bits = NULL;
	uint64_t *bat = NULL;
	size_t bytes;

	if (r == 0)
		r = vhdx_layout_read(&source, layout, failure);
	if (r == 0)
		r = vhdx_bat_read(&source, layout, &bat, &bytes, failure);
	if (r == 0) {
		bits = calloc(layout->block_count / 8 + 1, 1);
		r = bits ? 0 : block_failure_set(failure, -ENOMEM, "out of memory");
	}
	for (uint64_t block = 0; r == 0 && block < layout->block_count; block++)
		if (VHDX_BAT_STATE(bat[vhdx_bat_index(layout->chunk_shift, block)]) != VHDX_BLOCK_NOT_PRESENT)
			bits[block / 8] |= (uint8_t)(1u << block % 8);
	if (bat)
		(void)munmap(bat, bytes);
	vhdx_replay_free(source.replay);
	free(layout);
	*ret_bits = bits;
	return r;
}
