/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a differencing image's parent hold what the image does; then the image is of no use any more. */
#ifndef VHDTOOL_MERGE_H
#define VHDTOOL_MERGE_H

#include "vhdtool/chain.h"

/* `images` is the child, its parent, which is written, and the parent's parents down to the base. Can be done again after
 * it was cut off. 0, -errno. */
int merge(const struct chain_image *images, unsigned count, struct block_failure *why);

#endif
