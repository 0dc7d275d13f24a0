// SPDX-License-Identifier: Apache-2.0
/*
 * A larger disk in a file that nobody has open. A power cut leaves the old size or the new one: what the new one needs is
 * made stable behind the old, and the size, 8 bytes, is written last. A BAT that has no room moves to the file's end; both
 * places say the same until the region tables, which are written one after the other, name the new one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "block/vhdx_bat.h"
#include "block/vhdx_replay.h"

struct resize {
	int fd;
	struct vhdx_source source;
	struct vhdx_layout layout, grown;
	uint64_t *bat, *grown_bat;
	size_t bat_bytes, grown_bat_bytes;
	struct vhdx_space space;
	uint8_t table[VHDX_REGION_TABLE_BYTES];
};

static int write_at(const struct resize *z, const void *data, size_t bytes, uint64_t offset, struct block_failure *failure)
{
	int r = vhdx_fd_write(z->fd, data, bytes, offset);

	return r ? block_failure_set(failure, r, "the file cannot be written: %s", strerror(-r)) : 0;
}

static int make_stable(const struct resize *z, struct block_failure *failure)
{
	return fsync(z->fd) < 0 ? block_failure_set(failure, -errno, "the file cannot be made stable: %s", strerror(errno)) : 0;
}

static int write_zeroes(const struct resize *z, uint64_t offset, uint64_t bytes, struct block_failure *failure)
{
	static const uint8_t zeroes[65536];
	const bool fixed = z->layout.info.type == VHDX_FIXED;
	int r = 0;

	if (fallocate(z->fd, fixed ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
		      (off_t)bytes) == 0)
		return 0;
	for (uint64_t done = 0; r == 0 && done < bytes; done += sizeof zeroes)
		r = write_at(z, zeroes, bytes - done < sizeof zeroes ? (size_t)(bytes - done) : sizeof zeroes, offset + done,
			     failure);
	return r;
}

/* What a log that was left behind has to say, into the file. */
static int replay(const struct resize *z, struct block_failure *failure)
{
	const struct vhdx_replay *log = z->source.replay;
	int r = 0;

	if (!log)
		return 0;
	if (z->layout.file_bytes > z->source.file_bytes && ftruncate(z->fd, (off_t)z->layout.file_bytes) < 0)
		return block_failure_set(failure, -errno, "the file cannot be made longer: %s", strerror(errno));
	for (size_t i = 0; r == 0 && i < log->count; i++) {
		const struct vhdx_replay_step *step = &log->steps[i];
		uint8_t page[VHDX_PAGE_BYTES];

		if (step->zero) {
			r = write_zeroes(z, step->offset, step->bytes, failure);
		} else {
			vhdx_replay_page(step, page);
			r = write_at(z, page, sizeof page, step->offset, failure);
		}
	}
	return r ? r : make_stable(z, failure);
}

/* The last block reaches beyond the old end, and may hold anything there. */
static int clear_tail(const struct resize *z, struct block_failure *failure)
{
	const struct vhdx_info *info = &z->layout.info;
	const uint64_t in_block = info->bytes % info->block_bytes;
	const uint64_t entry = z->bat[vhdx_bat_index(z->layout.chunk_shift, z->layout.block_count - 1)];

	if (in_block == 0 || VHDX_BAT_STATE(entry) < VHDX_BLOCK_PRESENT)
		return 0;
	return write_zeroes(z, VHDX_BAT_OFFSET(entry) + in_block, info->block_bytes - in_block, failure);
}

/* Where the BAT lies and what it says; a fixed disk's new blocks follow it. */
static int plan(struct resize *z, struct block_failure *failure)
{
	uint64_t end = vhdx_whole_mib(z->layout.file_bytes);

	z->grown_bat = vhdx_bat_map(z->grown.bat_count, &z->grown_bat_bytes);
	if (!z->grown_bat)
		return block_failure_set(failure, -ENOMEM, "out of memory");
	for (uint64_t i = 0; i < z->layout.bat_count; i++)
		if (z->bat[i])
			z->grown_bat[i] = z->bat[i];
	if (z->grown.bat.offset == 0) {
		z->grown.bat.offset = end;
		end += z->grown.bat.bytes;
	}
	for (uint64_t block = z->layout.block_count; z->grown.info.type == VHDX_FIXED && block < z->grown.block_count; block++) {
		z->grown_bat[vhdx_bat_index(z->grown.chunk_shift, block)] = end | VHDX_BLOCK_PRESENT;
		end += z->grown.info.block_bytes;
	}
	if (end > VHDX_FILE_BYTES_MAX)
		return block_failure_set(failure, -ENOTSUP, "a file of %llu bytes is not supported", (unsigned long long)end);
	z->grown.file_bytes = end;
	return 0;
}

static int make_longer(const struct resize *z, struct block_failure *failure)
{
	const uint64_t from = z->layout.file_bytes, to = z->grown.file_bytes;
	int error = 0;

	if (from == to)
		return 0;
	if (ftruncate(z->fd, (off_t)to) < 0)
		error = errno;
	else if (z->layout.info.type == VHDX_FIXED && fallocate(z->fd, 0, (off_t)from, (off_t)(to - from)) < 0 &&
		 errno != EOPNOTSUPP)
		error = errno;
	if (error == 0)
		return 0;
	(void)ftruncate(z->fd, (off_t)from);
	return block_failure_set(failure, -error, "the file cannot be made longer: %s", strerror(error));
}

/* In its old place the BAT's new entries, in a new one, which is all zeroes, whatever is not. */
static int write_bat(const struct resize *z, struct block_failure *failure)
{
	static const uint8_t zeroes[VHDX_PAGE_BYTES];
	const bool moved = z->grown.bat.offset != z->layout.bat.offset;
	const uint8_t *bat = (const uint8_t *)z->grown_bat;
	const uint64_t end = z->grown.bat_count * sizeof(uint64_t);
	uint64_t next;
	int r = 0;

	for (uint64_t at = moved ? 0 : z->layout.bat_count * sizeof(uint64_t); r == 0 && at < end; at = next) {
		next = (at / VHDX_PAGE_BYTES + 1) * VHDX_PAGE_BYTES;
		if (next > end)
			next = end;
		if (!moved || memcmp(bat + at, zeroes, next - at) != 0)
			r = write_at(z, bat + at, next - at, z->grown.bat.offset + at, failure);
	}
	return r ? r : make_stable(z, failure);
}

/* One good copy there is: the layout was read from it. */
static int read_region_table(struct resize *z, struct block_failure *failure)
{
	int r = 0;

	for (unsigned copy = 0; r == 0 && copy < 2; copy++) {
		r = z->source.read(z->source.context, VHDX_REGION_OFFSET(copy), z->table, sizeof z->table);
		if (r == 0 && vhdx_region_table_ok(z->table))
			return 0;
	}
	return block_failure_set(failure, r ? r : -EIO, "the region table cannot be read");
}

static int name_bat(struct resize *z, struct block_failure *failure)
{
	int r;

	if (z->grown.bat.offset == z->layout.bat.offset)
		return 0;
	r = read_region_table(z, failure);
	if (r)
		return r;
	vhdx_region_table_move_bat(z->table, &z->grown.bat);
	for (unsigned copy = 0; r == 0 && copy < 2; copy++) {
		r = write_at(z, z->table, sizeof z->table, VHDX_REGION_OFFSET(copy), failure);
		if (r == 0)
			r = make_stable(z, failure);
	}
	return r;
}

static int write_size(struct resize *z, struct block_failure *failure)
{
	int r = write_at(z, &z->grown.info.bytes, sizeof z->grown.info.bytes, z->layout.size_at, failure);

	return r ? r : make_stable(z, failure);
}

static int grow(struct resize *z, struct block_failure *failure)
{
	int r = plan(z, failure);

	if (r == 0)
		r = replay(z, failure);
	if (r == 0)
		r = make_longer(z, failure);
	if (r == 0)
		r = vhdx_fd_changed(z->fd, &z->layout, failure);
	if (r == 0)
		r = clear_tail(z, failure);
	if (r == 0)
		r = write_bat(z, failure);
	if (r == 0)
		r = name_bat(z, failure);
	return r ? r : write_size(z, failure);
}

int vhdx_resize(int fd, uint64_t bytes, struct block_failure *failure)
{
	struct resize *z = calloc(1, sizeof *z);
	int r;

	if (!z)
		return block_failure_set(failure, -ENOMEM, "out of memory");
	z->fd = fd;
	r = vhdx_fd_source(&z->fd, &z->source, failure);
	if (r == 0)
		r = vhdx_layout_read(&z->source, &z->layout, failure);
	if (r == 0)
		r = vhdx_layout_grow(&z->layout, bytes, &z->grown, failure);
	if (r == 0)
		r = vhdx_bat_read(&z->source, &z->layout, &z->bat, &z->bat_bytes, failure);
	if (r == 0)
		r = vhdx_bat_check(&z->source, &z->layout, false, true, z->bat, &z->space, failure);
	if (r == 0 && bytes != z->layout.info.bytes)
		r = grow(z, failure);
	if (z->bat)
		(void)munmap(z->bat, z->bat_bytes);
	if (z->grown_bat)
		(void)munmap(z->grown_bat, z->grown_bat_bytes);
	free(z->space.used);
	vhdx_replay_free(z->source.replay);
	free(z);
	return r;
}
