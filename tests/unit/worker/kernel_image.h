/* SPDX-License-Identifier: Apache-2.0 */
/* A bzImage small enough for a test: a valid setup header in front of code that is only a pattern. */
#ifndef TESTS_UNIT_WORKER_KERNEL_IMAGE_H
#define TESTS_UNIT_WORKER_KERNEL_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define KERNEL_IMAGE_SETUP_BYTES 1024u
#define KERNEL_IMAGE_CODE_BYTES  4096u
#define KERNEL_IMAGE_BYTES       (KERNEL_IMAGE_SETUP_BYTES + KERNEL_IMAGE_CODE_BYTES)

void kernel_image_make(uint8_t image[KERNEL_IMAGE_BYTES]);
/* A descriptor of an unnamed file with these bytes. */
int file_of(const void *bytes, size_t count);

#endif
