// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "block/vhdx_engine.h"

static int read_file(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	struct block_file *file = context;

	return file->ops->read_now(file, offset, buffer, bytes);
}

void vhdx_close(struct vhdx *v)
{
	const struct vsp_host *host = &v->disk.host;

	vsp_soon_cancel(host, &v->run_done);
	host->ops->timer_cancel(host->context, &v->commit_timer);
	if (v->bat)
		(void)munmap(v->bat, v->bat_bytes);
	vhdx_bitmap_free(v);
	vhdx_ios_free(v);
	vhdx_replay_free(v->replay);
	free(v->space.used);
	free(v->freed.items);
	free(v->freed_committing.items);
	free(v->freed_resting.items);
	free(v->freed_grace.items);
	free(v->freed_punch.items);
	free(v->bat_dirty);
	free(v->pages);
	free(v->entry);
	free(v);
}

static int check_parent(const struct vhdx *v, const struct block_disk *parent, struct block_failure *failure)
{
	const struct vhdx_locator *locator = &v->layout.info.parent;
	struct vhdx_guid guid;
	char is[VHDX_GUID_TEXT], want[VHDX_GUID_TEXT];

	if (v->layout.info.type != VHDX_DIFFERENCING)
		return parent ? block_failure_set(failure, -EINVAL,
						  "the disk is not a differencing one, and has no parent") : 0;
	if (!parent)
		return block_failure_set(failure, -EINVAL, "a differencing disk needs its parent %.100s",
					 locator->relative_path);
	if (!vhdx_data_write_guid(parent, &guid))
		return block_failure_set(failure, -EINVAL, "the parent is not a VHDX");
	if (!parent->info.read_only)
		return block_failure_set(failure, -EINVAL, "the parent is not opened read-only");
	if (parent->info.logical_bytes > v->layout.info.logical_bytes)
		return block_failure_set(failure, -EINVAL, "the parent's sectors have %u bytes, the disk's %u",
					 parent->info.logical_bytes, v->layout.info.logical_bytes);
	if (vhdx_guid_is(&locator->linkage, guid) ||
	    (!vhdx_guid_is_null(&locator->linkage2) && vhdx_guid_is(&locator->linkage2, guid)))
		return 0;
	vhdx_guid_format(&guid, is);
	vhdx_guid_format(&locator->linkage, want);
	return block_failure_set(failure, -ESTALE, "the parent has changed since: it is %s, not %s", is, want);
}

static void set_up(struct vhdx *v, struct block_disk *parent, const struct vhdx_open_options *options)
{
	const struct vhdx_info *info = &v->layout.info;
	struct block_info *block = &v->disk.info;
	static const uint8_t none[16];

	v->parent = parent;
	v->keep_data_guid = options->keep_data_guid;
	v->block_bytes = info->block_bytes;
	v->block_shift = (unsigned)__builtin_ctz(info->block_bytes);
	v->sector_shift = (unsigned)__builtin_ctz(info->logical_bytes);
	v->chunk_shift = v->layout.chunk_shift;
	v->page_shift = v->sector_shift + 15;
	v->wait_mark_last = &v->wait_mark;
	v->run_done = vsp_soon_make(vhdx_run_done, v);
	v->commit_timer = (struct vsp_timer){ .expired = vhdx_commit_due, .context = v };
	*block = (struct block_info){
		.bytes = info->bytes, .logical_bytes = info->logical_bytes, .physical_bytes = info->physical_bytes,
		.unmap_bytes = v->file->can_punch ? info->physical_bytes : info->block_bytes,
		.read_only = options->read_only || v->file->read_only,
	};
	block->unmap = !block->read_only && info->type != VHDX_FIXED;
	memcpy(block->id, memcmp(options->id, none, sizeof none) ? options->id : info->disk_id.bytes, sizeof block->id);
}

static int open_disk(struct vhdx *v, struct block_disk *parent, const struct vhdx_open_options *options,
		     struct block_failure *failure)
{
	struct vhdx_source source = { .read = read_file, .context = v->file };
	int r = v->file->ops->size(v->file, &source.file_bytes);

	if (r)
		return block_failure_set(failure, r, "the file's size cannot be read: %s", strerror(-r));
	if (source.file_bytes > VHDX_FILE_BYTES_MAX)
		return block_failure_set(failure, -ENOTSUP, "a file of %" PRIu64 " bytes is not supported",
					 source.file_bytes);
	r = vhdx_layout_read(&source, &v->layout, failure);
	if (r)
		return r;
	v->replay = source.replay;
	v->file_bytes = v->stable_bytes = source.file_bytes;
	if (v->layout.info.logical_bytes % v->file->align_bytes)
		return block_failure_set(failure, -EINVAL,
					 "the storage below needs %u bytes at a time, the disk's sectors have %u",
					 v->file->align_bytes, v->layout.info.logical_bytes);
	set_up(v, parent, options);
	r = check_parent(v, parent, failure);
	if (r == 0)
		r = vhdx_bat_read(&source, &v->layout, &v->bat, &v->bat_bytes, failure);
	if (r == 0)
		r = vhdx_bat_check(&source, &v->layout, v->disk.info.read_only, false, v->bat, &v->space, failure);
	if (r)
		return r;
	v->bat_dirty = calloc(vhdx_bat_dirty_words(v->bat_bytes), sizeof *v->bat_dirty);
	return v->bat_dirty ? 0 : block_failure_set(failure, -ENOMEM, "out of memory");
}

int vhdx_open(const struct vsp_host *host, struct block_file *file, struct block_disk *parent,
	      const struct vhdx_open_options *options, struct block_disk **ret_disk, struct block_failure *failure)
{
	struct vhdx *v = calloc(1, sizeof *v);
	int r = -ENOMEM;

	failure->text[0] = 0;
	if (!v)
		return block_failure_set(failure, r, "out of memory");
	block_disk_init(&v->disk, &vhdx_ops, host);
	v->file = file;
	v->slabs = calloc(VHDX_IO_MAX / VHDX_IO_SLAB, sizeof *v->slabs);
	r = v->slabs ? open_disk(v, parent, options, failure) : block_failure_set(failure, r, "out of memory");
	if (r) {
		vhdx_close(v);
		return r;
	}
	file->batched = vhdx_batch_end;
	file->batched_context = v;
	if (parent)
		block_listen(parent, &(struct block_listener){ .batched = vhdx_batch_end, .context = v });
	*ret_disk = &v->disk;
	return 0;
}

bool vhdx_data_write_guid(const struct block_disk *disk, struct vhdx_guid *ret_guid)
{
	if (disk->ops != &vhdx_ops)
		return false;
	*ret_guid = ((const struct vhdx *)disk)->layout.header.data_write_guid;
	return true;
}
