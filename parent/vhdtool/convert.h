/* SPDX-License-Identifier: Apache-2.0 */
/* Copies what a disk holds into a new image. */
#ifndef VHDTOOL_CONVERT_H
#define VHDTOOL_CONVERT_H

#include "vhdtool/chain.h"

/* `from` is the source, then its parents down to the base. `to` is created with `create`, whose size is the source's
 * when it is 0. 0, -errno. */
int convert(const struct chain_image *from, unsigned from_count, int to, const struct image_format *to_format,
	    struct image_create *create, struct block_failure *why);

#endif
