/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic on lists of memory pieces. Offsets and lengths are bounded by what the list holds. */
#ifndef VSP_BLOCK_IOV_H
#define VSP_BLOCK_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

uint64_t iov_bytes(const struct iovec *iov, unsigned count);

/* Copies between a list, from `offset` on, and a buffer. What was copied: less than asked when the list ends. */
size_t iov_gather(const struct iovec *iov, unsigned count, uint64_t offset, void *to, size_t bytes);
size_t iov_scatter(const struct iovec *iov, unsigned count, uint64_t offset, const void *from, size_t bytes);

/* Zeroes from `offset` on, `bytes` or up to the list's end. */
void iov_zero(const struct iovec *iov, unsigned count, uint64_t offset, uint64_t bytes);

/* Takes the first `bytes` away, changing the first piece that stays. */
void iov_advance(struct iovec **iov, unsigned *count, uint64_t bytes);

/* Cuts the list behind `bytes`. The count that stays. */
unsigned iov_truncate(struct iovec *iov, unsigned count, uint64_t bytes);

#endif
