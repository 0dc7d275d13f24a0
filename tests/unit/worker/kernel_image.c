// SPDX-License-Identifier: Apache-2.0
#include "kernel_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/le_bytes.h"

void kernel_image_make(uint8_t image[KERNEL_IMAGE_BYTES])
{
	memset(image, 0, KERNEL_IMAGE_BYTES);
	image[0x1f1] = 1;				/* setup sectors behind the first */
	le32_put(image + 0x1f4, KERNEL_IMAGE_CODE_BYTES / 16);
	le16_put(image + 0x1fe, 0xaa55);
	image[0x200] = 0xeb;
	image[0x201] = 0x66;				/* header ends at 0x268 */
	memcpy(image + 0x202, "HdrS", 4);
	le16_put(image + 0x206, 0x020f);
	image[0x211] = 0x01;				/* LOADED_HIGH */
	le32_put(image + 0x22c, 0x7fffffff);
	le32_put(image + 0x230, 0x200000);
	image[0x234] = 1;
	le16_put(image + 0x236, 0x007f);
	le32_put(image + 0x238, 2047);
	le64_put(image + 0x258, 0x1000000);
	le32_put(image + 0x260, 0x100000);
	for (unsigned i = 0; i < KERNEL_IMAGE_CODE_BYTES; i++)
		image[KERNEL_IMAGE_SETUP_BYTES + i] = (uint8_t)(i * 7 + 1);
}

int file_of(const void *bytes, size_t count)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	if (fd < 0 || write(fd, bytes, count) != (ssize_t)count) {
		perror("memfd");
		abort();
	}
	return fd;
}
