/* SPDX-License-Identifier: Apache-2.0 */
/* What vhdtool says of an image. No state, no I/O. */
#ifndef VMMS_IMAGE_WIRE_H
#define VMMS_IMAGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

enum image_format { IMAGE_RAW, IMAGE_VHD, IMAGE_VHDX };
/* As Msvm_VirtualHardDiskSettingData.Type. */
enum image_type { IMAGE_FIXED = 2, IMAGE_DYNAMIC = 3, IMAGE_DIFFERENCING = 4 };

#define IMAGE_PARENT_PATHS_MAX 8
#define IMAGE_ID_SIZE          STORE_ID_SIZE

struct image_info {
	enum image_format format;
	enum image_type type;
	uint64_t virtual_bytes, file_bytes;
	uint32_t block_bytes, logical_bytes, physical_bytes; /* block_bytes 0: it has none */
	char id[IMAGE_ID_SIZE];      /* what its children know it by; empty: it has none */
	char disk_id[IMAGE_ID_SIZE]; /* what the guest knows it by */
	char parent_id[IMAGE_ID_SIZE];
	unsigned parent_path_count; /* of a differencing image; written by whoever made the file */
	char parent_paths[IMAGE_PARENT_PATHS_MAX][STORE_PATH_MAX + 1];
};

/* 0, or -1: this is no answer of vhdtool. */
int image_wire_read(const char *text, size_t size, struct image_info *info);
/* As the contracts write them: "raw", "vhd", "vhdx"; "fixed", "dynamic", "differencing". */
const char *image_format_name(enum image_format format);
const char *image_type_name(enum image_type type);

#endif
