/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli) as VHDX uses it: start with 0, feed pieces in order. */
#ifndef VSP_BLOCK_CRC32C_H
#define VSP_BLOCK_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(uint32_t crc, const void *data, size_t bytes);

#endif
